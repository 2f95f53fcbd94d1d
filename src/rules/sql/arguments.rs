//! Which functions a rule may call, and with which arguments.
//!
//! Owns the refusals of everything that is not on `rules::functions`' list, each with its reason, and the
//! bounds on arguments: what must be a literal is one, and no chain of calls makes a text much longer than the
//! event gave it. Patterns are `patterns`'.

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, Spanned,
    UnaryOperator, Value, ValueWithSpan,
};

use super::expression::null;
use super::expression::shortened;
use super::{Checker, single};
use crate::diagnostic::{codes, nearest};
use crate::rules::functions::{self, Arguments, FIELD, Network};

/// Would read a clock, a random source, a file, a setting or the session.
const IMPURE: &[&str] = &[
    "clock_timestamp",
    "current_catalog",
    "current_database",
    "current_date",
    "current_role",
    "current_schema",
    "current_setting",
    "current_time",
    "current_timestamp",
    "current_user",
    "curdate",
    "file_row_index",
    "gen_random_uuid",
    "getdate",
    "input_file_name",
    "localtime",
    "localtimestamp",
    "newid",
    "now",
    "pg_read_file",
    "pg_sleep",
    "rand",
    "random",
    "read_csv",
    "read_json",
    "read_parquet",
    "session_user",
    "set_config",
    "sleep",
    "statement_timestamp",
    "sysdate",
    "system_user",
    "today",
    "transaction_timestamp",
    "user",
    "utc_timestamp",
    "uuid",
    "version",
];
/// Over many rows.
const AGGREGATES: &[&str] = &[
    "any_value",
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "every",
    "first_value",
    "grouping",
    "hop",
    "last_value",
    "max",
    "mean",
    "median",
    "min",
    "mode",
    "nth_value",
    "percentile_cont",
    "session",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "tumble",
    "var",
    "var_pop",
    "var_samp",
];
/// Over neighbouring rows.
const WINDOWS: &[&str] =
    &["cume_dist", "dense_rank", "lag", "lead", "ntile", "percent_rank", "rank", "row_number"];
/// Yield rows.
const TABLES: &[&str] = &["flatten", "generate_series", "json_each", "range", "unnest"];
/// Parts of a time that `date_part` and EXTRACT know, in lower case; the names that arrow gives them.
#[rustfmt::skip]
pub(super) const TIME_PARTS: &[&str] = &[
    "year", "years", "y", "yr", "yrs", "isoyear", "quarter", "qtr", "month", "months", "mon", "mons", "week", "weeks", "w",
    "day", "days", "d", "dow", "isodow", "doy", "hour", "hours", "h", "hr", "hrs", "minute", "minutes", "m", "min", "mins",
    "second", "seconds", "s", "sec", "secs", "millisecond", "milliseconds", "ms", "msec", "msecs", "microsecond",
    "microseconds", "us", "usec", "usecs", "nanosecond", "nanoseconds", "epoch",
];
/// Arguments with a few values: the function, which argument, its values, and how to name them.
const CHOICES: &[(&str, usize, &[&str], &str)] = &[
    ("any_compare", 1, functions::COMPARISONS, "'<', '<=', '=', '>=' or '>'"),
    ("any_date_part", 0, functions::PARTS, "'minute', 'hour', 'day', 'week', 'month' or 'year'"),
    ("any_match", 2, functions::MATCHES, "'equals', 'contains', 'starts_with' or 'ends_with'"),
    (
        "date_part",
        0,
        TIME_PARTS,
        "'year', 'month', 'day', 'hour', 'minute', 'second', 'dow', 'doy', 'week' or 'epoch'",
    ),
    ("encode", 1, &["base64", "base64pad", "hex"], "'hex' or 'base64'"),
];
/// The planner makes a CASE of them, which asks for each argument and gives it.
const REPEATED: &[&str] = &["coalesce", "ifnull", "nvl", "nvl2"];
/// Known elsewhere, with what to write here.
const INSTEAD: &[(&str, &str)] = &[
    ("abs", "compare with both signs; it fails on the smallest number"),
    ("arrow_cast", "use CAST or TRY_CAST"),
    ("chr", "write the character"),
    ("date_bin", "use date_part"),
    ("date_trunc", "it fails on times after the year 2262; use date_part"),
    ("decode", "it fails on text that is not encoded; compare with the encoded text"),
    ("json_extract", "use json_get(text, 'a.b')"),
    ("json_value", "use json_get(text, 'a.b')"),
    ("lpad", "its result is as long as an argument says; compare without padding"),
    ("power", "multiply; it fails on large numbers"),
    ("regexp_extract", "use regexp_replace with a group, or regexp_like"),
    ("regexp_match", "use regexp_like, or ~"),
    ("repeat", "its result is as long as an argument says; write the text"),
    ("rpad", "its result is as long as an argument says; compare without padding"),
    ("sqrt", "it fails on negative numbers; compare with the square"),
    ("to_char", "use date_part"),
    ("to_date", "it fails on text that is no date; use CAST(TRY_CAST(x AS TIMESTAMP) AS DATE)"),
    ("to_timestamp", "it fails on text that is no time; use TRY_CAST(x AS TIMESTAMP)"),
];

impl Checker<'_> {
    pub(super) fn function(&mut self, function: Function, depth: usize) -> Expr {
        let span = function.span();
        let at = self.bytes(span);
        let Function { name, uses_odbc_syntax, parameters, args, filter, null_treatment, over, within_group } =
            function;
        // `User` is a keyword of the parser and a column of Sysmon.
        if matches!(args, FunctionArguments::None) {
            let parts: Vec<Ident> = name.0.iter().filter_map(|part| part.as_ident().cloned()).collect();
            let column = parts
                .last()
                .is_some_and(|last| self.table.is_some_and(|table| table.column(&last.value).is_some()));
            match parts.as_slice() {
                [ident] if column => return self.column(ident, ident),
                [_, _] if column => return self.compound(&parts),
                // The table was told already, and which columns it has nobody knows.
                [_] | [_, _] if self.table.is_none() => return null(),
                _ => {}
            }
        }
        let Some(ident) = single(&name).cloned() else {
            let message = format!("the function {} is not on the list", shortened(&name.to_string()));
            self.refuse(codes::Q009, message, at, "functions have plain names here");
            return null();
        };
        let lower = ident.value.to_ascii_lowercase();
        let name_at = self.bytes(ident.span);
        if over.is_some() || WINDOWS.contains(&lower.as_str()) {
            let help = "a rule sees one row at a time in this version";
            self.refuse(codes::Q014, format!("`{lower}` over a window is not available"), name_at, help);
            return null();
        }
        if AGGREGATES.contains(&lower.as_str()) || filter.is_some() || !within_group.is_empty() {
            let help = "a rule sees one row at a time in this version; greatest and least compare columns";
            self.refuse(
                codes::Q013,
                format!("aggregates are not available in this version: `{lower}`"),
                name_at,
                help,
            );
            return null();
        }
        if IMPURE.contains(&lower.as_str()) {
            let message =
                format!("`{lower}` would answer differently each time, or look outside of the event");
            self.refuse(
                codes::Q010,
                message,
                name_at,
                "use event_time for the time, and columns for the rest",
            );
            return null();
        }
        if TABLES.contains(&lower.as_str()) {
            let help = "a rule gives at most one alert for each row";
            self.refuse(codes::Q018, format!("the table function `{lower}` is refused"), name_at, help);
            return null();
        }
        if lower == FIELD.name {
            let plain = null_treatment.is_none() && parameters == FunctionArguments::None;
            return self.field(plain.then_some(&args), at, span);
        }
        let Some(known) = functions::named(&lower) else {
            let help = match INSTEAD.iter().find(|(name, _)| *name == lower) {
                Some((_, help)) => (*help).to_owned(),
                None => {
                    match nearest(&lower, functions::names().iter().copied().chain([FIELD.name])).as_slice() {
                        [] => "docs/functions.md lists what rules may call".to_owned(),
                        near => format!("did you mean `{}`?", near.join("` or `")),
                    }
                }
            };
            let message = format!("the function `{lower}` is not on the list of those that rules may call");
            self.refuse(codes::Q009, message, name_at, help);
            return null();
        };
        let list = match args {
            FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses })
                if clauses.is_empty()
                    && null_treatment.is_none()
                    && parameters == FunctionArguments::None =>
            {
                args
            }
            _ => {
                let help = format!("call it so: {}", known.signature);
                self.refuse(codes::Q011, "this form of a call is not available", at, help);
                return null();
            }
        };
        let mut values = Vec::with_capacity(list.len());
        for argument in list {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => values.push(expr),
                _ => {
                    let help = format!("call it so: {}", known.signature);
                    self.refuse(codes::Q011, "arguments with names or * are not available", at, help);
                    return null();
                }
            }
        }
        if values.is_empty() {
            let message = format!("`{}` needs arguments", known.name);
            self.refuse(codes::Q022, message, name_at, format!("call it so: {}", known.signature));
            return null();
        }
        let _ = uses_odbc_syntax;
        let growth = self.arguments(known, &values).max(1);
        let outside = self.growth;
        self.growth = outside.saturating_mul(growth);
        if self.growth > self.limits.growth_max {
            let message = format!("the text could become {} times as long", self.growth);
            self.refuse(codes::Q026, message, name_at.clone(), "replace by something shorter, or nest less");
        }
        let copies = if REPEATED.contains(&known.name) { 3 } else { 1 };
        let args = values
            .into_iter()
            .map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(self.copied(copies, value, depth + 1))))
            .collect();
        self.growth = outside;
        let mut resolved = sqlparser::ast::Ident::new(known.name);
        resolved.span = span;
        Expr::Function(Function {
            name: vec![resolved].into(),
            uses_odbc_syntax: false,
            parameters: FunctionArguments::None,
            args: FunctionArguments::List(FunctionArgumentList {
                duplicate_treatment: None,
                args,
                clauses: Vec::new(),
            }),
            filter: None,
            null_treatment: None,
            over: None,
            within_group: Vec::new(),
        })
    }

    /// Checks the arguments that must be literals; how many times longer the result may be than the text.
    fn arguments(&mut self, function: &functions::Function, values: &[Expr]) -> usize {
        match function.arguments {
            Arguments::Any => {}
            Arguments::Literals(which) => {
                for value in which.iter().filter_map(|at| values.get(*at)) {
                    if literal(value).is_none() {
                        self.must_be_literal(function, value);
                    }
                }
                for (name, at, known, said) in CHOICES {
                    if *name == function.name
                        && let Some(value) = values.get(*at)
                        && let Some(text) = text_of(value)
                        && !known.contains(&text.as_str())
                        // Parts of a time may be written in any case.
                        && !(*name == "date_part" && known.contains(&text.to_ascii_lowercase().as_str()))
                    {
                        let place = self.bytes(value.span());
                        let message = format!("`{name}` knows no '{}'", shortened(&text));
                        self.refuse(codes::Q022, message, place, format!("use {said}"));
                    }
                }
                // Hexadecimal doubles a text, and calls can stand inside each other.
                if function.name == "encode" {
                    return 2;
                }
            }
            Arguments::Substring => {
                if let Some(value) = values.get(1) {
                    self.start(value);
                }
                if let Some(value) = values.get(2) {
                    self.count(value);
                }
            }
            Arguments::Positive(at) => {
                if let Some(value) = values.get(at) {
                    let number = text_of(value).and_then(|text| text.parse::<u32>().ok());
                    if number.is_none_or(|number| number == 0) {
                        let place = self.bytes(value.span());
                        let message = format!("`{}` needs a whole number from 1 here", function.name);
                        self.refuse(
                            codes::Q011,
                            message,
                            place,
                            format!("call it so: {}", function.signature),
                        );
                    }
                }
            }
            Arguments::Regex { pattern, flags } => {
                if let Some(value) = values.get(pattern) {
                    self.regex(value, values.get(flags));
                }
                if let Some(start) = values.get(2).filter(|_| flags == 3) {
                    self.count(start);
                }
            }
            Arguments::RegexReplace => {
                if let Some(value) = values.get(1) {
                    self.regex(value, values.get(3));
                }
                if let Some(value) = values.get(2) {
                    let Some(text) = text_of(value) else {
                        self.must_be_literal(function, value);
                        return 1;
                    };
                    // At each place at most the literal and each group once more.
                    return 1 + text.len();
                }
            }
            Arguments::Replace => {
                let texts: Vec<Option<String>> = values.iter().skip(1).map(text_of).collect();
                if let [Some(from), Some(to)] = texts.as_slice() {
                    return if from.is_empty() { 1 + to.len() } else { to.len().div_ceil(from.len()) };
                }
                for value in values.iter().skip(1).filter(|value| text_of(value).is_none()) {
                    self.must_be_literal(function, value);
                }
            }
            Arguments::ShortLiteral(at) => {
                if let Some(value) = values.get(at) {
                    match text_of(value) {
                        Some(text) if text.chars().count() <= self.limits.short_literal_chars_max => {}
                        Some(_) => {
                            let place = self.bytes(value.span());
                            let most = self.limits.short_literal_chars_max;
                            let message =
                                format!("`{}` compares with at most {most} characters", function.name);
                            self.refuse(codes::Q026, message, place, "shorten it");
                        }
                        None => self.must_be_literal(function, value),
                    }
                }
            }
            Arguments::Cidr(at) => {
                if let Some(value) = values.get(at) {
                    match text_of(value).map(|text| Network::parse(&text)) {
                        Some(Ok(_)) => {}
                        Some(Err(error)) => {
                            let place = self.bytes(value.span());
                            let help = "write a network such as '10.0.0.0/8' or '2001:db8::/32'";
                            self.refuse(codes::Q022, error, place, help);
                        }
                        None => self.must_be_literal(function, value),
                    }
                }
            }
            Arguments::Like(at) => {
                if let Some(value) = values.get(at) {
                    self.like(false, value, None);
                }
            }
            Arguments::JsonPath(at) => {
                if let Some(value) = values.get(at) {
                    match text_of(value) {
                        Some(path) if path.split('.').all(|segment| !segment.is_empty()) => {}
                        Some(_) => {
                            let place = self.bytes(value.span());
                            let help = "write keys and indexes with dots between: 'user.roles.0'";
                            self.refuse(codes::Q022, "the path has an empty part", place, help);
                        }
                        None => self.must_be_literal(function, value),
                    }
                }
            }
        }
        1
    }

    fn must_be_literal(&mut self, function: &functions::Function, value: &Expr) {
        let at = self.bytes(value.span());
        let message = format!("this argument of `{}` must be a literal", function.name);
        self.refuse(codes::Q011, message, at, format!("call it so: {}", function.signature));
    }

    /// Characters to remove: each is looked for at each end, so that two long texts would take minutes.
    pub(super) fn trimmed(&mut self, value: &Expr) {
        if literal(value).is_none()
            && let Some(function) = functions::named("trim")
        {
            self.must_be_literal(function, value);
        }
    }

    /// A first character: a number near the smallest one overflows on the stream.
    pub(super) fn start(&mut self, value: &Expr) {
        let small = matches!(literal(value), Some(Value::Number(text, _)) if text.parse::<u32>().is_ok());
        if !small {
            let at = self.bytes(value.span());
            let help = "write a number; split_part cuts a text at a separator";
            self.refuse(codes::Q011, "the first character must be a literal number", at, help);
        }
    }

    /// A count of characters: negative ones fail on the stream.
    pub(super) fn count(&mut self, value: &Expr) {
        let whole = matches!(value, Expr::Value(ValueWithSpan { value: Value::Number(text, _), .. })
            if text.parse::<u32>().is_ok());
        if !whole {
            let at = self.bytes(value.span());
            let help = "write a number from 0";
            self.refuse(codes::Q011, "the count of characters must be a literal number", at, help);
        }
    }
}

/// A literal, perhaps with a sign or in parentheses.
fn literal(expr: &Expr) -> Option<&Value> {
    match expr {
        Expr::Value(value) => Some(&value.value),
        Expr::Nested(inner) => literal(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => {
            literal(expr).filter(|value| matches!(value, Value::Number(..)))
        }
        _ => None,
    }
}

/// The text of a literal string, or an unsigned number as written.
pub(super) fn text_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::UnaryOp { .. } => None,
        other => match literal(other)? {
            Value::SingleQuotedString(text) | Value::Number(text, _) => Some(text.clone()),
            _ => None,
        },
    }
}
