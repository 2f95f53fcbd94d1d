//! What the planner says of types that do not fit, in the words of our documentation, and what to write instead.
//!
//! Owns the wording only. Called by `rules::plan` and `rules::load`.

use datafusion::common::DataFusionError;

/// Names of types: the planner's, and those of `docs/tables.md`.
const TYPES: &[(&str, &str)] = &[
    ("Timestamp(µs, \"+00:00\")", "timestamp"),
    ("Duration(µs)", "interval"),
    ("Interval(MonthDayNano)", "interval"),
    ("Utf8View", "string"),
    ("LargeUtf8", "string"),
    ("Utf8", "string"),
    ("Int64", "int"),
    ("Float64", "double"),
    ("Boolean", "boolean"),
];

/// How lengths of time are compared.
pub(super) const INTERVALS: &str = "compare times instead: a > b + INTERVAL '5 minutes'";

/// What to write, by a part of the message; the first that fits.
const HELP: &[(&[&str], &str)] = &[
    // Before what speaks of types alone.
    (&["parsing timestamp"], "write a time as TIMESTAMP '2026-10-03T01:00:00Z'"),
    (
        &["cannot cast string"],
        "write a literal of the column's type, or make a text of the column: CAST(x AS VARCHAR)",
    ),
    (
        &["type interval", "unable to represent", "interval field"],
        "write it like INTERVAL '5 minutes', and of at most 1000 years",
    ),
    (&["requires a boolean", "logical boolean"], "compare it with something, such as x = 'value'"),
    (&["function '"], "docs/functions.md has the arguments; CAST(x AS VARCHAR) makes a text"),
    (&["interval"], INTERVALS),
    (&["arithmetic expression timestamp"], "add or subtract an interval, such as INTERVAL '5 minutes'"),
    (&["timestamp"], "compare times with times, such as TIMESTAMP '2026-10-03T01:00:00Z'"),
];

/// What to write when nothing more is known.
const HELP_ELSE: &str = "bring both sides to one type: CAST(x AS VARCHAR) makes a text, TRY_CAST(x AS BIGINT) a number, or NULL where \
     there is none";

/// The first line of an error, without the planner's own words around it.
pub(in crate::rules) fn plain_message(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let line = text.lines().next().unwrap_or_default();
    let line = line
        .trim_start_matches("Error during planning: ")
        .trim_start_matches("type_coercion\ncaused by\n")
        .trim_start_matches("Arrow error: ")
        .trim_start_matches("Cast error: ")
        .trim_start_matches("Parser error: ")
        .trim_end_matches('.');
    let mut line = TYPES.iter().fold(line.to_owned(), |line, (theirs, ours)| line.replace(theirs, ours));
    if let Some(first) = line.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    line
}

/// What to do about a message of [`plain_message`] that is about types.
pub(super) fn help(message: &str) -> &'static str {
    let fits = |(parts, _): &&(&[&str], &str)| parts.iter().any(|part| message.contains(part));
    HELP.iter().find(fits).map_or(HELP_ELSE, |(_, help)| help)
}
