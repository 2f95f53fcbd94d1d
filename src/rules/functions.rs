//! The functions that rules may call: one list, nothing else exists for a rule.
//!
//! Owns the list, what each function asks of its arguments, and the reference text. A function is on it
//! only when no value of an event can make it fail, allocate without a bound, or answer differently
//! tomorrow (I-6). Our own functions have a file each below. Called by `rules::sql` (which names exist),
//! `rules::plan` (the planner's functions) and the reference page's generator.

mod any;
mod any_value;
mod casefold;
mod cidr_match;
mod json_get;
#[cfg(test)]
pub(crate) mod stumble;

use std::sync::{Arc, LazyLock};

use datafusion::functions::{core, datetime, encoding, math, regex, string, unicode};
use datafusion::logical_expr::ScalarUDF;

pub(crate) use any::like_regex;
pub(super) use any_value::{COMPARISONS, MATCHES, PARTS};
pub(crate) use casefold::{casefold, casefold_into};
pub(crate) use cidr_match::{Network, address, cidr_match};

/// What a function asks of its arguments beyond their types; the indexes count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arguments {
    /// Anything.
    Any,
    /// These must be literals.
    Literals(&'static [usize]),
    /// These must be whole numbers from 1, as literals.
    Positive(usize),
    /// Start and count of characters, as literals.
    Substring,
    /// A regular expression, and where its flags stand.
    Regex { pattern: usize, flags: usize },
    /// Pattern, replacement and perhaps flags: the result may grow.
    RegexReplace,
    /// From and to, as literals: the result may grow.
    Replace,
    /// A short literal: the cost is the product of both lengths.
    ShortLiteral(usize),
    /// A network in CIDR form.
    Cidr(usize),
    /// A path such as `a.b.0`.
    JsonPath(usize),
    /// A pattern of LIKE.
    Like(usize),
}

/// A function that rules may call.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) signature: &'static str,
    pub(crate) text: &'static str,
    pub(crate) arguments: Arguments,
    /// False where SQL has a syntax of its own (`EXTRACT(… FROM …)`) that this function carries out.
    documented: bool,
    udf: fn() -> Arc<ScalarUDF>,
}

impl Function {
    /// The function as DataFusion knows it.
    pub(crate) fn udf(&self) -> Arc<ScalarUDF> {
        (self.udf)()
    }
}

/// One entry of the functions' reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionDoc {
    /// Name, lower case.
    pub name: &'static str,
    /// How it is called and what it returns.
    pub signature: &'static str,
    /// One sentence.
    pub text: &'static str,
}

/// Looks like a function and is none: `rules::sql` makes a column of it.
pub(crate) const FIELD: FunctionDoc = FunctionDoc {
    name: "field",
    signature: "field('a.b.0') → string",
    text: "The event's field at a path, also one that the table has no column for: a text as it is, a number or boolean as its text, an object or list as JSON; NULL when it is missing or null. The path must be a literal.",
};

macro_rules! functions {
    ($($(#[$only:meta])? $name:literal $signature:literal $text:literal $arguments:expr, $udf:expr;)*) => {
        static ALLOWED: &[Function] = &[$($(#[$only])? Function {
            name: $name,
            signature: $signature,
            text: $text,
            arguments: $arguments,
            documented: !$signature.is_empty(),
            udf: || $udf,
        }),*];
    };
}

use Arguments::{
    Any, Cidr, JsonPath, Like, Literals, Positive, Regex, RegexReplace, Replace, ShortLiteral, Substring,
};

// Sorted by name: `named` searches it by halves.
functions! {
    "any_cidr_match" "any_cidr_match(address, network) → boolean" "cidr_match, of an address or of a JSON list such as '[\"10.0.0.1\",\"192.0.2.7\"]': one item that passes is enough. The same holds for the other any_ functions; lists in the list count as well." Cidr(1), any::any_cidr_match();
    "any_compare" "any_compare(text, operator, number) → boolean" "Whether a text, or one item of a JSON list, is a number that compares so; the operator is '<', '<=', '=', '>=' or '>'. Operator and number must be literals." Literals(&[1, 2]), any_value::any_compare();
    "any_date_part" "any_date_part(part, text, number) → boolean" "Whether a part ('minute', 'hour', 'day', 'week', 'month', 'year') of a time is this number, in UTC; the time is a text, or one item of a JSON list. Part and number must be literals." Literals(&[0, 2]), any_value::any_date_part();
    "any_ilike" "any_ilike(text, pattern) → boolean" "ILIKE, of a text or of one item of a JSON list. The pattern must be a literal." Like(1), any::any_ilike();
    "any_like" "any_like(text, pattern) → boolean" "LIKE, of a text or of one item of a JSON list. The pattern must be a literal." Like(1), any::any_like();
    "any_match" "any_match(text, other, how) → boolean" "Whether two texts, or one item each where they are JSON lists, stand so to each other: 'equals', 'contains', 'starts_with' or 'ends_with', with regard to case. It compares at most 32 MiB of them." Literals(&[2]), any_value::any_match();
    "any_regexp_like" "any_regexp_like(text, pattern) → boolean" "regexp_like, of a text or of one item of a JSON list. The pattern must be a literal; flags stand in it: (?i)." Regex { pattern: 1, flags: usize::MAX }, any::any_regexp_like();
    "ascii" "ascii(text) → int" "Code point of the first character." Any, string::ascii();
    "bit_length" "bit_length(text) → int" "Length in bits." Any, string::bit_length();
    "btrim" "btrim(text [, characters]) → string" "Removes characters (spaces) from both ends. The characters must be a literal." Literals(&[1]), string::btrim();
    "casefold" "casefold(text) → string" "Without case: equal for texts that ILIKE takes for the same." Any, casefold::udf();
    "ceil" "ceil(number) → double" "The nearest whole number that is not smaller." Any, math::ceil();
    "char_length" "char_length(text) → int" "Length in characters." Any, unicode::character_length();
    "character_length" "character_length(text) → int" "Length in characters." Any, unicode::character_length();
    "cidr_match" "cidr_match(address, network) → boolean" "Whether an IPv4 or IPv6 address lies in a network such as '10.0.0.0/8'; NULL when the text is no address. An IPv4 address written as IPv6 (::ffff:10.0.0.1) counts as IPv4." Cidr(1), cidr_match::udf();
    "coalesce" "coalesce(value, …) → value" "The first value that is not NULL." Any, core::coalesce();
    "concat" "concat(text, …) → string" "All texts joined; NULL counts as empty." Any, string::concat();
    "concat_ws" "concat_ws(separator, text, …) → string" "All texts joined with a separator; NULLs are left out." Literals(&[0]), string::concat_ws();
    "contains" "contains(text, part) → boolean" "Whether the text contains the part, with regard to case." Any, string::contains();
    "date_part" "date_part(part, time) → int or double" "A part of a time: 'year', 'month', 'day', 'hour', 'minute', 'second', 'dow' (0 is Sunday), 'doy', 'week', 'epoch'. In UTC." Literals(&[0]), datetime::date_part();
    "encode" "encode(text, 'hex' or 'base64') → string" "The text's bytes in hexadecimal or Base64." Literals(&[1]), encoding::encode();
    "ends_with" "ends_with(text, end) → boolean" "Whether the text ends so, with regard to case." Any, string::ends_with();
    "find_in_set" "find_in_set(text, list) → int" "Position of the text in a list separated by commas, from 1; 0 when it is not there." Any, unicode::find_in_set();
    "floor" "floor(number) → double" "The nearest whole number that is not greater." Any, math::floor();
    "greatest" "greatest(value, …) → value" "The greatest of the values; NULLs are left out." Any, core::greatest();
    "ifnull" "ifnull(value, otherwise) → value" "The value, or the other one when it is NULL." Any, core::nvl();
    "initcap" "initcap(text) → string" "Each word's first letter in upper case, the rest in lower case." Any, unicode::initcap();
    "instr" "instr(text, part) → int" "Position of the part in characters, from 1; 0 when it is not there." Any, unicode::strpos();
    "isnan" "isnan(number) → boolean" "Whether the number is NaN." Any, math::isnan();
    "json_get" "json_get(text, path) → string" "The value at a path such as 'user.roles.0' of a JSON text: a text without its quotes, anything else as JSON; NULL when there is none, or the text is no JSON." JsonPath(1), json_get::udf();
    "least" "least(value, …) → value" "The smallest of the values; NULLs are left out." Any, core::least();
    "left" "left(text, count) → string" "The first characters; with a negative count all but the last ones." Literals(&[1]), unicode::left();
    "length" "length(text) → int" "Length in characters." Any, unicode::character_length();
    "levenshtein" "levenshtein(text, literal) → int" "How many changes of one character make the one text of the other; the second must be a literal of at most 64 characters." ShortLiteral(1), string::levenshtein();
    "ln" "ln(number) → double" "Natural logarithm." Any, math::ln();
    "log10" "log10(number) → double" "Logarithm to base 10." Any, math::log10();
    "log2" "log2(number) → double" "Logarithm to base 2." Any, math::log2();
    "lower" "lower(text) → string" "In lower case." Any, string::lower();
    "ltrim" "ltrim(text [, characters]) → string" "Removes characters (spaces) from the start. The characters must be a literal." Literals(&[1]), string::ltrim();
    "nullif" "nullif(value, other) → value" "NULL when both are equal, else the value." Any, core::nullif();
    "nvl" "nvl(value, otherwise) → value" "The value, or the other one when it is NULL." Any, core::nvl();
    "nvl2" "nvl2(value, then, otherwise) → value" "`then` when the value is not NULL, else the other one." Any, core::nvl2();
    "octet_length" "octet_length(text) → int" "Length in bytes of UTF-8." Any, string::octet_length();
    "position" "position(part IN text) → int" "Position of the part in characters, from 1; 0 when it is not there." Any, unicode::strpos();
    "regexp_count" "regexp_count(text, pattern [, start [, flags]]) → int" "How often a regular expression matches. The pattern must be a literal." Regex { pattern: 1, flags: 3 }, regex::regexp_count();
    "regexp_like" "regexp_like(text, pattern [, flags]) → boolean" "Whether a regular expression matches somewhere in the text. The pattern must be a literal; flags: i, s, m, x, U." Regex { pattern: 1, flags: 2 }, regex::regexp_like();
    "regexp_replace" "regexp_replace(text, pattern, replacement [, flags]) → string" "Replaces the first match of a regular expression, or all with the flag g. Pattern and replacement must be literals; `\\1` is the first group." RegexReplace, regex::regexp_replace();
    "replace" "replace(text, from, to) → string" "Replaces all occurrences of a text. Both must be literals." Replace, string::replace();
    "reverse" "reverse(text) → string" "The characters in reverse order." Any, unicode::reverse();
    "right" "right(text, count) → string" "The last characters; with a negative count all but the first ones." Literals(&[1]), unicode::right();
    "round" "round(number [, decimals]) → double" "Rounded to so many decimals." Literals(&[1]), math::round();
    "rtrim" "rtrim(text [, characters]) → string" "Removes characters (spaces) from the end. The characters must be a literal." Literals(&[1]), string::rtrim();
    "signum" "signum(number) → double" "-1, 0 or 1 by the number's sign." Any, math::signum();
    "split_part" "split_part(text, separator, index) → string" "The part at an index from 1; empty when there is none." Positive(2), string::split_part();
    "starts_with" "starts_with(text, start) → boolean" "Whether the text starts so, with regard to case." Any, string::starts_with();
    "strpos" "strpos(text, part) → int" "Position of the part in characters, from 1; 0 when it is not there." Any, unicode::strpos();
    "substr" "substr(text, start [, count]) → string" "So many characters from a position, which counts from 1. Both must be literals." Substring, unicode::substr();
    "substr_index" "substr_index(text, separator, count) → string" "The text before so many separators; from the end when the count is negative." Literals(&[1, 2]), unicode::substr_index();
    "substring" "substring(text FROM start [FOR count]) → string" "So many characters from a position, which counts from 1. Both must be literals." Substring, unicode::substring();
    #[cfg(test)] "test_stumble" "" "" Any, stumble::udf();
    "to_hex" "to_hex(int) → string" "The number in hexadecimal." Any, string::to_hex();
    "translate" "translate(text, from, to) → string" "Replaces each character of `from` by the one at its place in `to`, or removes it." Literals(&[1, 2]), unicode::translate();
    "trim" "trim([BOTH | LEADING | TRAILING] [characters FROM] text) → string" "Removes characters (spaces) from the ends. The characters must be a literal." Literals(&[1]), string::btrim();
    "trunc" "trunc(number) → double" "The number without its decimals." Any, math::trunc();
    "upper" "upper(text) → string" "In upper case." Any, string::upper();
}

static NAMES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| ALLOWED.iter().map(|function| function.name).collect());

/// The function of that name (lower case).
pub(crate) fn named(name: &str) -> Option<&'static Function> {
    ALLOWED.binary_search_by(|function| function.name.cmp(name)).ok().and_then(|at| ALLOWED.get(at))
}

/// The names of all of them.
pub(crate) fn names() -> &'static [&'static str] {
    &NAMES
}

/// Every function that rules may call, by name.
pub fn documented() -> Vec<FunctionDoc> {
    let documented = ALLOWED.iter().filter(|function| function.documented);
    let functions = documented.map(|function| FunctionDoc {
        name: function.name,
        signature: function.signature,
        text: function.text,
    });
    let mut all: Vec<FunctionDoc> = functions.chain([FIELD]).collect();
    all.sort_by_key(|function| function.name);
    all
}

/// Our own functions, for a DataFusion session of somebody else: the oracle of tests and benches.
pub fn own() -> [Arc<ScalarUDF>; 10] {
    [
        any::any_cidr_match(),
        any_value::any_compare(),
        any_value::any_date_part(),
        any::any_ilike(),
        any::any_like(),
        any_value::any_match(),
        any::any_regexp_like(),
        casefold::udf(),
        cidr_match::udf(),
        json_get::udf(),
    ]
}

/// The reference page of the functions, in Markdown.
pub fn reference() -> String {
    let mut page = String::from(
        "# Functions in rules\n\n\
         Generated from the list in `src/rules/functions.rs`; do not edit.\n\n\
         A rule may call these functions and no others. They read no clock, no file and no setting, and no value\n\
         of an event makes them fail. Unless it says otherwise, a function returns NULL when an argument is NULL.\n\n\
         | Function | What it returns |\n|---|---|\n",
    );
    for entry in documented() {
        page.push_str(&format!("| `{}` | {} |\n", entry.signature.replace('|', "\\|"), entry.text));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_each_name_stands_once() {
        assert!(ALLOWED.windows(2).all(|pair| pair[0].name < pair[1].name));
        for name in names() {
            assert_eq!(named(name).map(|function| function.name), Some(*name));
        }
    }

    #[test]
    fn nothing_on_the_list_may_answer_differently_tomorrow() {
        use datafusion::logical_expr::Volatility;
        for function in ALLOWED {
            assert_eq!(function.udf().signature().volatility, Volatility::Immutable, "{}", function.name);
        }
    }

    #[test]
    fn the_reference_page_is_current() {
        crate::committed::assert_committed("docs/functions.md", &reference());
    }
}
