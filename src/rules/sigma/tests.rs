//! Sigma against its specification: tables of snippets and the trees they become, faults and their places, the public
//! rules, and a second reading of the specification that random rules are compared with.

mod conditions;
mod corpus;
mod documents;
mod evaluator;
mod faults;
mod interpreter;
mod modifiers;
mod property;
mod whole;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::filter::SigmaFilter;
use super::lower::{Lowered, lower};
use super::parse::{Document, SigmaRule, documents};
use super::placeholders::Placeholders;
use super::tree::{Column, Comparison, Condition, Part, Pattern, Place, Test};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::normalise::schema::Catalog;
use crate::normalise::schema::log_source::Route;

const TABLE: &str = r#"
table = "sample"
class_uid = 1007
description = "A column of each type."
[columns]
CommandLine = { type = "string", category = "machine", description = "." }
Elevated = { type = "boolean", category = "machine", description = "." }
EventID = { type = "int", category = "machine", description = "." }
Image = { type = "string", category = "machine", description = "." }
Score = { type = "double", category = "machine", description = "." }
Seen = { type = "timestamp", category = "machine", description = "." }
md5 = { type = "string", category = "machine", description = "." }
sha1 = { type = "string", category = "machine", description = "." }
"#;

/// A route to a table with a column of each type. `Hash` is in two of them.
fn route() -> Route {
    let catalog = Catalog::from_files([SourceFile::new("sample.toml", TABLE)]).expect("a table");
    let fields = [("hash", vec!["md5", "sha1"]), ("time", vec!["event_time"])];
    let fields =
        fields.map(|(field, columns)| (field.to_owned(), columns.into_iter().map(str::to_owned).collect()));
    Route {
        table: Arc::clone(catalog.table("sample").expect("the table")),
        condition: None,
        fields: BTreeMap::from(fields),
        outputs: Vec::new(),
    }
}

/// A rule with these lines below `detection:`, which are indented by four.
fn rule_of(detection: &str) -> String {
    let lines: Vec<String> = detection.lines().map(|line| format!("    {line}\n")).collect();
    format!("title: T\nid: t\nlogsource: {{category: c, product: p}}\ndetection:\n{}", lines.concat())
}

/// A rule with one selection.
fn rule_with(selection: &str) -> String {
    let lines: Vec<String> = selection.lines().map(|line| format!("    {line}\n")).collect();
    rule_of(&format!("sel:\n{}condition: sel", lines.concat()))
}

/// The documents of a text, and what is wrong with it.
fn read(text: &str) -> (Vec<Document>, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let documents = documents(&SourceFile::new("r.yml", text), &mut found);
    (documents, found)
}

fn rules(text: &str) -> (Vec<SigmaRule>, Vec<SigmaFilter>, Vec<Diagnostic>) {
    let (documents, found) = read(text);
    let (mut rules, mut filters) = (Vec::new(), Vec::new());
    for document in documents {
        match document {
            Document::Rule(rule) => rules.push(rule),
            Document::Filter(filter) => filters.push(filter),
            Document::Correlation(_) => {}
        }
    }
    (rules, filters, found)
}

fn placeholders() -> Placeholders {
    let values =
        [("admins", vec!["root", r"CORP\adm_*"]), ("dirs", vec!["a", "b"]), ("nets", vec!["10.0.0.0/8"])];
    let values =
        values.map(|(name, values)| (name.to_owned(), values.into_iter().map(str::to_owned).collect()));
    Placeholders(BTreeMap::from(values))
}

/// The first rule of a text on [`route`], with the filters of the text.
fn lowered(text: &str) -> Result<Lowered, Vec<String>> {
    let (rules, filters, mut found) = rules(text);
    let lowered = rules.first().and_then(|rule| {
        let filters: Vec<&SigmaFilter> = filters.iter().filter(|filter| filter.applies_to(rule)).collect();
        lower(rule, &route(), &filters, &placeholders(), &mut found)
    });
    assert!(found.iter().all(|diagnostic| !diagnostic.is_error()), "{found:?}");
    lowered.ok_or_else(|| found.iter().map(ToString::to_string).collect())
}

/// The tree of a rule with one selection, in one line.
fn tree(selection: &str) -> String {
    match lowered(&rule_with(selection)) {
        Ok(lowered) => show(&lowered.condition),
        Err(faults) => faults.join("\n"),
    }
}

/// A condition in one line. `[x]` is a literal, `~` a dash; `=` is without regard to case, `==` with it.
fn show(condition: &Condition) -> String {
    let join = |parts: &[Condition], between: &str| {
        format!("({})", parts.iter().map(show).collect::<Vec<_>>().join(between))
    };
    match condition {
        Condition::All(parts) if parts.is_empty() => "always".to_owned(),
        Condition::Any(parts) if parts.is_empty() => "never".to_owned(),
        Condition::All(parts) => join(parts, " & "),
        Condition::Any(parts) => join(parts, " | "),
        Condition::AtLeast(count, parts) => format!("{count} of {}", join(parts, ", ")),
        Condition::Not(part) => format!("!{}", show(part)),
        Condition::Test(column, test) => format!("{}{}", show_column(column), show_test(test)),
    }
}

fn show_column(column: &Column) -> String {
    match column {
        Column::Named(name) => name.clone(),
        Column::Path(path) => format!("${path}"),
        Column::Text => "text".to_owned(),
    }
}

fn show_test(test: &Test) -> String {
    match test {
        Test::Null => " null".to_owned(),
        Test::Present => " present".to_owned(),
        Test::Like { pattern, cased } => {
            format!("{}{}", if *cased { "==" } else { "=" }, show_pattern(pattern))
        }
        Test::Regex { pattern } => format!(" re {pattern}"),
        Test::Cidr(network) => format!(" in {network}"),
        Test::Number(comparison, number) => {
            let comparison = match comparison {
                Comparison::Equal => "#",
                Comparison::Less => "<",
                Comparison::LessOrEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterOrEqual => ">=",
            };
            format!("{comparison}{number}")
        }
        Test::Flag(flag) => format!(" is {flag}"),
        Test::Same { other, place, cased } => {
            let place = match place {
                Place::Whole => "same",
                Place::Within => "contains",
                Place::Start => "starts",
                Place::End => "ends",
            };
            format!(" {place}{} {}", if *cased { " cased" } else { "" }, show_column(other))
        }
        Test::TimePart(part, number) => format!(" {part:?} {number}"),
    }
}

fn show_pattern(pattern: &Pattern) -> String {
    let part = |part: &Part| match part {
        Part::Literal(text) => format!("[{text}]"),
        Part::Any => "*".to_owned(),
        Part::One => "?".to_owned(),
        Part::Dash => "~".to_owned(),
    };
    pattern.0.iter().map(part).collect()
}
