//! A Sigma rule as a SQL rule, for people: what `noroshi sigma sql` prints.
//!
//! Owns the printing of metadata and of the expressions that `expression` makes, before they are simplified; so the SQL
//! says what runs. `check` accepts the text. Other expressions than those never come here, and are printed as DataFusion
//! shows them.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::utils::split_binary;
use datafusion::logical_expr::{Expr, Operator};
use sqlparser::keywords::ALL_KEYWORDS;

use crate::normalise::projection::column_path;
use crate::printable;
use crate::rules::meta::RuleMeta;

/// Spaces of one level.
const INDENT: usize = 4;
/// Numbers of more digits are written with an exponent.
const DIGITS_MAX: usize = 24;
/// Words that YAML takes for something else than a text.
const YAML_WORDS: &[&str] = &["true", "false", "null", "yes", "no", "on", "off"];

/// What is printed.
pub(in crate::rules) struct Printed<'a> {
    pub(in crate::rules) meta: &'a RuleMeta,
    /// A line for people in front of the metadata.
    pub(in crate::rules) note: Option<&'a str>,
    pub(in crate::rules) table: &'a str,
    /// Names and expressions.
    pub(in crate::rules) outputs: &'a [(String, Expr)],
    /// Which rows of the table the log source is, as its declaration says it.
    pub(in crate::rules) source: Option<&'a str>,
    pub(in crate::rules) condition: &'a Expr,
}

/// The whole file: metadata and query.
pub(in crate::rules) fn file(printed: &Printed<'_>) -> String {
    let note = printed.note.map(|note| format!("# {note}\n")).unwrap_or_default();
    format!("/*---\n{note}{}---*/\n{}\n", front_matter(printed.meta), query(printed))
}

fn query(printed: &Printed<'_>) -> String {
    let outputs: Vec<String> = printed.outputs.iter().map(|(name, expr)| output(name, expr)).collect();
    let mut sql = format!("SELECT {}\nFROM {}\nWHERE\n", outputs.join(", "), name(printed.table));
    let always = Expr::Literal(ScalarValue::Boolean(Some(true)), None);
    let says_nothing = *printed.condition == always && printed.source.is_some();
    let parts = if says_nothing { Vec::new() } else { split_binary(printed.condition, Operator::And) };
    let mut lines: Vec<String> = Vec::with_capacity(parts.len() + 1);
    lines.extend(printed.source.map(|source| format!("({source})")));
    lines.extend(parts.iter().map(|part| operand(part, INDENT)));
    sql.push_str(&" ".repeat(INDENT));
    sql.push_str(&lines.join(&format!("\n{}AND ", " ".repeat(INDENT))));
    sql
}

fn output(named: &str, expr: &Expr) -> String {
    match expr {
        Expr::Column(column) if column.name == named => name(named),
        other => format!("{} AS {}", one(other, 0), quoted(named)),
    }
}

/// An expression that stands beside others: with parentheses where it has parts of its own.
fn operand(expr: &Expr, indent: usize) -> String {
    match expr {
        Expr::BinaryExpr(binary) if matches!(binary.op, Operator::And | Operator::Or) => block(expr, indent),
        other => one(other, indent),
    }
}

/// A chain in parentheses, each part on a line of its own.
fn block(expr: &Expr, indent: usize) -> String {
    let (inner, outer) = (" ".repeat(indent + INDENT), " ".repeat(indent));
    let (op, word) = match expr {
        Expr::BinaryExpr(binary) if binary.op == Operator::Or => (Operator::Or, "OR"),
        _ => (Operator::And, "AND"),
    };
    let parts = split_binary(expr, op);
    let parts: Vec<String> = parts.iter().map(|part| operand(part, indent + INDENT)).collect();
    format!("(\n{inner}{}\n{outer})", parts.join(&format!("\n{inner}{word} ")))
}

fn one(expr: &Expr, indent: usize) -> String {
    let below = |expr: &Expr| one(expr, indent);
    match expr {
        // A field by its path has the name that SQL calls it by.
        Expr::Column(column) if column_path(&column.name).is_some() => column.name.clone(),
        Expr::Column(column) => name(&column.name),
        Expr::Literal(value, _) => literal(value),
        Expr::IsNull(inner) => format!("{} IS NULL", below(inner)),
        Expr::IsNotNull(inner) => format!("{} IS NOT NULL", below(inner)),
        Expr::IsNotTrue(inner) => format!("{} IS NOT TRUE", in_parentheses(inner, indent)),
        Expr::Like(like) => {
            let word = if like.case_insensitive { "ILIKE" } else { "LIKE" };
            format!("{} {word} {}", below(&like.expr), below(&like.pattern))
        }
        Expr::BinaryExpr(binary) if matches!(binary.op, Operator::And | Operator::Or) => block(expr, indent),
        Expr::BinaryExpr(binary) => {
            format!("{} {} {}", below(&binary.left), binary.op, below(&binary.right))
        }
        Expr::Cast(cast) => format!("CAST({} AS {})", below(&cast.expr), kind(cast.field.data_type())),
        Expr::TryCast(cast) => {
            format!("TRY_CAST({} AS {})", below(&cast.expr), kind(cast.field.data_type()))
        }
        Expr::Case(case) => {
            let whens = case.when_then_expr.iter();
            let whens = whens.map(|(when, then)| format!("WHEN {} THEN {}", below(when), below(then)));
            let whens: Vec<String> = whens.collect();
            let otherwise = case.else_expr.as_ref().map(|other| format!(" ELSE {}", below(other)));
            format!("CASE {}{} END", whens.join(" "), otherwise.unwrap_or_default())
        }
        Expr::ScalarFunction(call) => {
            let args: Vec<String> = call.args.iter().map(below).collect();
            format!("{}({})", call.func.name(), args.join(", "))
        }
        other => other.to_string(),
    }
}

fn in_parentheses(expr: &Expr, indent: usize) -> String {
    match expr {
        Expr::BinaryExpr(binary) if matches!(binary.op, Operator::And | Operator::Or) => block(expr, indent),
        other => format!("({})", one(other, indent)),
    }
}

fn literal(value: &ScalarValue) -> String {
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            format!("'{}'", text.replace('\'', "''"))
        }
        ScalarValue::Float64(Some(number)) => {
            let plain = number.to_string();
            if plain.len() > DIGITS_MAX { format!("{number:e}") } else { plain }
        }
        ScalarValue::Boolean(Some(truth)) => truth.to_string(),
        other => other.to_string(),
    }
}

fn kind(kind: &DataType) -> &'static str {
    match kind {
        DataType::Float64 => "DOUBLE",
        DataType::Timestamp(..) => "TIMESTAMP",
        _ => "VARCHAR",
    }
}

/// A name as it can stand in SQL: quoted where it is a word of SQL, or no plain name.
fn name(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let upper = name.to_ascii_uppercase();
    if plain && ALL_KEYWORDS.binary_search(&upper.as_str()).is_err() { name.to_owned() } else { quoted(name) }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The metadata that a Sigma rule has, as YAML.
fn front_matter(meta: &RuleMeta) -> String {
    let mut yaml = String::new();
    let mut entry = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            yaml.push_str(&format!("{key}: {}\n", scalar(value, true)));
        }
    };
    entry("id", Some(&meta.id));
    entry("title", Some(&meta.title));
    entry("description", meta.description.as_deref());
    entry("status", Some(meta.status.as_str()));
    entry("level", Some(meta.level.as_str()));
    entry("author", meta.author.as_deref());
    entry("date", meta.date.as_deref());
    entry("modified", meta.modified.as_deref());
    entry("license", meta.license.as_deref());
    for (key, items) in [
        ("entity", &meta.entity),
        ("tags", &meta.tags),
        ("references", &meta.references),
        ("falsepositives", &meta.falsepositives),
    ] {
        if !items.is_empty() {
            yaml.push_str(&format!("{key}:\n"));
        }
        for item in items {
            yaml.push_str(&format!("  - {}\n", scalar(item, false)));
        }
    }
    yaml
}

/// A text in YAML: plain where nobody can take it for something else, in lines where it has them, else in quotes.
fn scalar(text: &str, lines: bool) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '_' | '/' | '(' | ')' | '-' | ',');
    let word = YAML_WORDS.contains(&text.to_ascii_lowercase().as_str());
    let day = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let uuid = text.len() == 36
        && text.matches('-').count() == 4
        && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if day || uuid || (begins && text.chars().all(plain) && !text.ends_with(' ') && !word) {
        return text.to_owned();
    }
    let is_line = |line: &str| {
        !line.starts_with([' ', '\t']) && line.trim_end() == line && printable::line(line, usize::MAX) == line
    };
    let in_lines = lines
        && text.contains('\n')
        && text.lines().all(is_line)
        && !text.starts_with('\n')
        && !text.ends_with('\n')
        && !text.contains("*/");
    if in_lines {
        return format!("|-\n  {}", text.replace('\n', "\n  ")).replace("\n  \n", "\n\n");
    }
    let json = serde_json::Value::from(text).to_string();
    // The metadata is a comment of SQL, which must not end in the middle.
    printable::json(&json).replace("*/", "*\\/")
}

#[cfg(test)]
#[path = "text/tests.rs"]
mod tests;
