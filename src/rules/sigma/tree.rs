//! What a Sigma rule asks of a row: a tree of conditions on columns, without modifiers, selectors and field names.
//!
//! Owns types only. `lower` makes trees, `expression` and `text` read them.
//!
//! A condition is true or false, never unknown: a test of a column without a value is false (but for [`Test::Null`]),
//! so that `Not` of it is true. Sigma's filters are meant so: a field that is missing suppresses nothing.

/// A condition on a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// All hold; none at all: always.
    All(Vec<Condition>),
    /// One holds; none at all: never.
    Any(Vec<Condition>),
    /// At least so many hold (`2 of selection_*`).
    AtLeast(u64, Vec<Condition>),
    /// Does not hold.
    Not(Box<Condition>),
    /// A test of one column.
    Test(Column, Test),
}

/// What of the row is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// A declared column of the table, or a system column.
    Named(String),
    /// A field of the event by its path: it has no column. SQL: `field('a.b')`.
    Path(String),
    /// All values of the event, one to a line, for keywords. SQL: `event_text`.
    Text,
}

/// A test of a value. Of a list, one item that passes is enough.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// There is no value.
    Null,
    /// There is a value.
    Present,
    /// The whole value as text matches.
    Like {
        /// The pattern.
        pattern: Pattern,
        /// With regard to case; Sigma has it without.
        cased: bool,
    },
    /// A part of the value matches a regular expression.
    Regex {
        /// In the syntax of the crate `regex`, flags included (`(?i)…`).
        pattern: String,
    },
    /// The value is an address in a network.
    Cidr(String),
    /// The value as a number compares so.
    Number(Comparison, f64),
    /// The value is this truth value.
    Flag(bool),
    /// The value and that of another column.
    Same {
        /// The other column.
        other: Column,
        /// Where in the value the other's must stand.
        place: Place,
        /// With regard to case.
        cased: bool,
    },
    /// A part of the value as a time (UTC) is this number.
    TimePart(TimePart, i64),
}

/// Sigma's comparisons of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// Where a text must stand in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is the whole.
    Whole,
    /// Somewhere.
    Within,
    /// At the beginning.
    Start,
    /// At the end.
    End,
}

/// Sigma's parts of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimePart {
    /// 0 to 59
    Minute,
    /// 0 to 23
    Hour,
    /// Of the month, 1 to 31
    Day,
    /// ISO week, 1 to 53
    Week,
    /// 1 to 12
    Month,
    /// Four digits
    Year,
}

/// A text with wildcards; it stands for the whole value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Pattern(pub Vec<Part>);

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    /// This text; never empty, and never two of these in a row.
    Literal(String),
    /// `*`: any characters, also none, also line ends.
    Any,
    /// `?`: one character.
    One,
    /// One of the dashes that Windows programs take for the beginning of an option: `-` `/` `–` `—` `―`.
    Dash,
}
