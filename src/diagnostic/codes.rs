//! Every diagnostic code, in one list; `docs/diagnostics.md` is generated from it.
//!
//! A code never changes its meaning. A new one goes to the end of its letter: D documents (syntax and
//! shape of any file), C configuration, S schemas, P pipelines, R rule metadata, Q rule SQL, T tests, G Sigma.

/// A stable code and what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code {
    /// For example `Q101`.
    pub id: &'static str,
    /// One sentence for the reference page.
    pub meaning: &'static str,
}

macro_rules! codes {
    ($($id:ident $meaning:literal)*) => {
        $(#[doc = $meaning] pub const $id: Code = Code { id: stringify!($id), meaning: $meaning };)*
        /// All codes, in the order of the reference page.
        pub const ALL: &[Code] = &[$($id),*];
    };
}

codes! {
    D001 "The file cannot be read, is not UTF-8, or is too large."
    D002 "The text is not valid TOML or YAML."
    D003 "A key is not known here."
    D004 "A required key is missing."
    D005 "A value has the wrong type."
    D006 "A value is outside of what is allowed."
    D007 "YAML anchors, aliases, tags and several documents are not read."

    C001 "A librdkafka property is set that Noroshi owns, because changing it would break exactly-once delivery or a bound."
    C002 "Two settings contradict each other."
    C003 "A secret cannot be read."
    C004 "An environment variable sets a key that is not known."
    C005 "The HTTP address is not loopback, and nothing protects it."
    C006 "A file that TLS needs holds no certificate or key in PEM."

    S001 "A table or a column is declared twice."
    S002 "A view names no format, one that is not known, or one twice."
    S003 "A view's condition cannot be read."
    S004 "A view fills a column that the table does not have."
    S005 "A column has the name of a system column, or the form of one that reads a path."
    S006 "A transformation or a value does not fit the column's type."
    S007 "An OCSF path does not begin with an attribute that evidence may hold, leads to none that takes the column, or clashes with another."
    S008 "An observable does not fit the column's type."
    S009 "A log source is declared twice, or names neither category, product nor service."
    S010 "A log source names a table or a column that does not exist."

    P001 "Something that the pipeline names does not exist."
    P002 "An identifier is used twice."
    P003 "A name contains characters that it may not contain."
    P004 "A topic template names a placeholder that is not known, or yields an invalid topic."
    P005 "Two sources read the same topic."
    P006 "The pipeline has no source or no rule."
    P007 "A topic is read and written by the same pipeline."
    P008 "A change that a running process cannot take over: it needs a restart."
    P009 "What the pipeline needs is not on the broker, or the broker does not answer."
    P010 "A header that alerts are to get cannot be added."
    P011 "Alerts and rejects go to the same topic."
    P012 "Two topics differ only in `.` and `_`, which Kafka takes for one name in its metrics."
    P013 "The pipeline disables a rule that is not there."
    P014 "The choice of rules contradicts itself."
    P015 "The choice of rules leaves none of them."

    R001 "The rule has no front matter, or it is not closed."
    R002 "Two rules have the same id."
    R003 "The SQL after the front matter is missing."
    R004 "The rule names an entity that its query does not return."
    R005 "The rule uses metadata whose feature is not available in this version."
    R006 "A tag is not a known ATT&CK tag form."
    R007 "No source of the pipeline feeds the rule's table."
    R008 "A folder holds no rule."
    R009 "A date is not a day, written as YYYY-MM-DD."
    R010 "The rule has more problems than are shown."

    Q001 "The SQL cannot be parsed."
    Q002 "The rule holds more than one statement."
    Q003 "The statement is not a query."
    Q004 "The SQL is too long."
    Q005 "The SQL is nested too deeply, or has too many parts."
    Q006 "The query reads no table, or more than one."
    Q007 "The table is not known."
    Q008 "The column is not known."
    Q009 "The function is not on the list of those that rules may call."
    Q010 "The function would read a clock, a random source, a file or a setting."
    Q011 "A kind of expression that rules may not use."
    Q012 "A kind of clause that rules may not use."
    Q013 "Aggregates and GROUP BY need a window and are not available in this version."
    Q014 "Window functions are not available in this version."
    Q015 "Joins are not available in this version."
    Q016 "ORDER BY, LIMIT and DISTINCT would need the whole stream."
    Q017 "WITH (common table expressions) is not available; recursive ones never are."
    Q018 "Table functions are refused."
    Q019 "Subqueries are not available in this version."
    Q020 "UNION, INTERSECT and EXCEPT are not available: write one rule for each query."
    Q021 "The regular expression is invalid, too large, or not a literal."
    Q022 "A type or a value does not fit where it stands, or a value of an event could make the expression fail."
    Q023 "A query without WHERE would alert on each event."
    Q024 "Two output columns have the same name."
    Q025 "The planner refused the query."
    Q026 "A literal or a name is too long, or a text could become too long."
    Q027 "The condition never holds, or always does."
    Q028 "A LIKE pattern has a backslash before an ordinary character: it is dropped, not matched."
    Q029 "DataFusion runs the regular expression as LIKE and loses its backslash."
    Q030 "The name of an output column has characters that do not show, or is that of another system column."
    Q031 "Nothing that the rule needs can be looked up, so it is looked at on each row of its table: it works, and costs more than others."

    T001 "A test's input cannot be read."
    T002 "A test expects something that the rule cannot return."
    T003 "A row that a test gives has a column that the rule's table does not have, or a value that does not fit it."
    T004 "A case has no input, or a file that belongs to no source of the pipeline."

    G001 "The YAML of a Sigma document cannot be read, is nested too deeply or too large, or has anchors, aliases or tags."
    G002 "A Sigma document lacks something that it must have, or has it in a form that it cannot have."
    G003 "Metadata of a Sigma document are not as the specification says; the document is used without them."
    G004 "The condition of a Sigma rule cannot be read."
    G005 "The condition of a Sigma rule names a selection that the rule does not have, or a pattern that fits none."
    G006 "A modifier of Sigma is not known."
    G007 "Modifiers of Sigma do not go together, or not in this order."
    G008 "A value of a Sigma rule does not fit its modifiers or its field's column, or is none."
    G009 "A regular expression of a Sigma rule is invalid or too large, or has look-around or back-references."
    G010 "A network of a Sigma rule is none."
    G011 "A placeholder of a Sigma rule has no values."
    G012 "A Sigma document, a file of them, a value, or all that a rule asks for with the values of its placeholders, is larger than what is taken."
    G013 "A Sigma rule uses something that is not a part of Sigma 2.1: an aggregation in its condition, or items of lists."
    G014 "Correlations are checked, and do not run in this version."
    G015 "A correlation refers to a rule that is not there, or to itself."
    G016 "The values of placeholders cannot be read."
    G017 "No table holds the log source of a Sigma rule."
    G018 "A Sigma rule needs fields that no event of the fed formats has: it would find nothing, or everything."
    G019 "No format that is fed makes the rows that Sigma rules would look at; it is a sum, and no fault."
    G020 "A Sigma filter names a rule that is not there, or one that is about another log source, or is for no rule."
    G021 "A Sigma rule finds each event that lacks a field without a column."
    G022 "A test of a Sigma rule cannot be read."
    G023 "A field of a Sigma rule has no column, and nearly the name of one."
}

const INTRODUCTION: &str = "\
# Diagnostics

<!-- Generated from src/diagnostic/codes.rs. To change this page, change the meanings there, then run
     NOROSHI_BLESS=1 cargo test diagnostic::codes -->

What `noroshi check` and the other commands say about a file: a code, the place, what is wrong, and what to do. A code
keeps its meaning and is never used again for another one, so scripts may rely on it (`noroshi check --format json`).
Errors must be corrected before a start; warnings are things that work, but probably not as meant.
";

/// The letters and what each is about, in the order of the page.
const LETTERS: &[(char, &str)] = &[
    ('D', "Documents: syntax and shape of any file"),
    ('C', "Configuration"),
    ('S', "Schemas: the declarations of tables and of Sigma's log sources"),
    ('P', "Pipelines"),
    ('R', "Metadata of rules"),
    ('Q', "SQL of rules"),
    ('T', "Tests of rules"),
    ('G', "Sigma: rules of others, in YAML. What is not armed is told as a warning; the others run"),
];

/// `docs/diagnostics.md`.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    for (letter, title) in LETTERS {
        page.push_str(&format!("\n## {letter}: {title}\n\n| code | meaning |\n|---|---|\n"));
        for code in ALL.iter().filter(|code| code.id.starts_with(*letter)) {
            page.push_str(&format!("| `{}` | {} |\n", code.id, code.meaning.replace('|', "\\|")));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_page_is_current() {
        crate::committed::assert_committed("docs/diagnostics.md", &page());
    }

    #[test]
    fn codes_are_unique_well_formed_and_on_the_page() {
        let page = page();
        let mut seen = std::collections::HashSet::new();
        for code in ALL {
            let (letter, number) = code.id.split_at(1);
            assert!(letter.chars().all(|c| c.is_ascii_uppercase()) && number.len() == 3, "{}", code.id);
            assert!(number.bytes().all(|b| b.is_ascii_digit()), "{}", code.id);
            assert!(seen.insert(code.id), "{} stands twice", code.id);
            assert!(code.meaning.ends_with('.'), "{}", code.id);
            assert!(page.contains(&format!("| `{}` |", code.id)), "{} is not on the page", code.id);
        }
    }
}
