//! The files of `schemas/sigma/`: their shape, and from a file to declarations.
//!
//! Owns what can be wrong with a file but the SQL of its conditions, which `rules::log_source` checks. Called by the
//! parent.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ANY, LogSource, LogSources, Route};
use crate::diagnostic::{Diagnostic, Location, SourceFile, codes, suggest};
use crate::document::{self, Document, Spans, pointer_segment};
use crate::normalise::condition::Condition;
use crate::normalise::schema::{Catalog, Table};

/// A file of log sources.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogSourcesFile {
    /// What a rule's `logsource` means. A declaration must cover all that the rule names. Of several the one that names
    /// most counts: a category before a service, a service before a product.
    #[serde(default)]
    logsource: Vec<DeclarationFile>,
}

/// One log source, or several that are the same.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeclarationFile {
    /// Sigma's `category`, or several; `*` for whatever rules say, also nothing. Without, rules must not name one.
    #[serde(default)]
    category: Option<NamesFile>,
    /// Sigma's `product`, or several; `*` for whatever rules say, also nothing. Without, rules must not name one.
    #[serde(default)]
    product: Option<NamesFile>,
    /// Sigma's `service`, or several; `*` for whatever rules say, also nothing. Without, rules must not name one; beside
    /// a `category` they may, if a declaration of the product names it.
    #[serde(default)]
    service: Option<NamesFile>,
    /// Where its events are. A rule runs on each of these, so an event should be on one only.
    route: Vec<RouteFile>,
}

/// A table, and which of its rows.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RouteFile {
    /// The table.
    table: String,
    /// Which of its rows, as a condition in the SQL of rules. Without, all.
    #[serde(default)]
    r#where: Option<String>,
    /// The columns of Sigma's fields, where their names differ: one, or several that may each hold the field.
    #[serde(default)]
    fields: BTreeMap<String, NamesFile>,
    /// Columns that alerts show beside those that the rule names.
    #[serde(default)]
    outputs: Vec<String>,
}

/// One name, or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
enum NamesFile {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl NamesFile {
    fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// What is declared, with what is wrong with it.
pub(super) fn read(files: &[Arc<SourceFile>], catalog: &Catalog, found: &mut Vec<Diagnostic>) -> LogSources {
    let mut sources = LogSources::default();
    let mut seen: HashMap<LogSource, Location> = HashMap::new();
    for file in files {
        let Some(document) = document::look_at_toml::<LogSourcesFile>(file, found) else { continue };
        for (at, declaration) in document.value.logsource.iter().enumerate() {
            let pointer = format!("/logsource/{at}");
            let mut routes = Vec::new();
            for (nth, entry) in declaration.route.iter().enumerate() {
                let pointer = format!("{pointer}/route/{nth}");
                routes.extend(route(entry, &document, &pointer, catalog, found));
            }
            for named in named(declaration) {
                let parts = [&named.category, &named.product, &named.service];
                if parts.iter().all(|part| part.as_deref().is_none_or(|name| name == ANY)) {
                    let message = "the log source names neither category, product nor service";
                    found.push(
                        Diagnostic::new(codes::S009, message)
                            .at(document.spans.value(&pointer))
                            .help("it would be that of every rule"),
                    );
                    continue;
                }
                let place = place_of(declaration, &document.spans, &pointer);
                match seen.get(&named) {
                    Some(first) => {
                        let (line, _) = first.file.line_column(first.span.start);
                        let path = first.file.path.display();
                        let message = format!("the log source {named} is already declared at {path}:{line}");
                        found.push(Diagnostic::new(codes::S009, message).at(place));
                    }
                    None => {
                        seen.insert(named.clone(), place);
                        sources.add(named, routes.clone());
                    }
                }
            }
        }
    }
    sources
}

/// What is declared, as far as the tables are there that it names, and their columns.
pub(super) fn read_as_far(files: &[Arc<SourceFile>], catalog: &Catalog) -> LogSources {
    let mut sources = LogSources::default();
    for file in files {
        let Some(document) = document::look_at_toml::<LogSourcesFile>(file, &mut Vec::new()) else {
            continue;
        };
        for (at, declaration) in document.value.logsource.iter().enumerate() {
            let routes = declaration.route.iter().enumerate().filter_map(|(nth, entry)| {
                let table = catalog.table(&entry.table).filter(|table| has_all(table, entry))?;
                let pointer = format!("/logsource/{at}/route/{nth}");
                let mut entry = entry.clone();
                entry.outputs.retain(|name| table.column(name).is_some());
                for names in entry.fields.values_mut() {
                    let known = names.names().iter().filter(|name| table.column(name).is_some());
                    *names = NamesFile::Several(known.cloned().collect());
                }
                entry.fields.retain(|_, names| !names.names().is_empty());
                route(&entry, &document, &pointer, catalog, &mut Vec::new())
            });
            let routes: Vec<_> = routes.collect();
            for named in named(declaration) {
                if !routes.is_empty() {
                    sources.add(named, routes.clone());
                }
            }
        }
    }
    sources
}

/// Whether the table has the columns of the condition.
fn has_all(table: &Table, entry: &RouteFile) -> bool {
    let Some(condition) = &entry.r#where else { return true };
    let Ok(condition) = Condition::parse(condition) else { return true };
    let mut known = true;
    condition.map(&mut |name: &String| known &= table.column(name).is_some());
    known
}

/// Each log source that a declaration is of.
fn named(declaration: &DeclarationFile) -> Vec<LogSource> {
    let each = |names: &Option<NamesFile>| match names {
        Some(names) => names.names().iter().cloned().map(Some).collect(),
        None => vec![None],
    };
    let mut all = Vec::new();
    for category in each(&declaration.category) {
        for product in each(&declaration.product) {
            for service in each(&declaration.service) {
                let source = LogSource { category: category.clone(), product: product.clone(), service };
                all.push(source.to_lowercase());
            }
        }
    }
    all
}

/// Where the first of its names stands.
fn place_of(declaration: &DeclarationFile, spans: &Spans, pointer: &str) -> Location {
    let first = [
        ("category", declaration.category.is_some()),
        ("product", declaration.product.is_some()),
        ("service", declaration.service.is_some()),
    ];
    let key = first.iter().find(|(_, given)| *given).map_or("", |(key, _)| *key);
    spans.value(&format!("{pointer}/{key}"))
}

/// A route, and the place of its condition's text.
fn route(
    entry: &RouteFile,
    document: &Document<LogSourcesFile>,
    pointer: &str,
    catalog: &Catalog,
    found: &mut Vec<Diagnostic>,
) -> Option<(Route, Option<Location>)> {
    let spans = &document.spans;
    let Some(table) = catalog.table(&entry.table) else {
        let told = spans.is_lost(&format!("{pointer}/table")) || catalog.is_unread(&entry.table);
        if !told {
            let known = catalog.tables().iter().map(|table| table.name.as_str());
            found.push(
                Diagnostic::new(codes::S010, format!("there is no table `{}`", entry.table))
                    .at(spans.value(&format!("{pointer}/table")))
                    .help(suggest(&entry.table, known)),
            );
        }
        return None;
    };
    let mut check = |name: &String, pointer: String| {
        if table.column(name).is_none() && !table.incomplete {
            let known = table.columns.iter().map(|column| column.name.as_str());
            found.push(
                Diagnostic::new(codes::S010, format!("the table `{}` has no column `{name}`", table.name))
                    .at(spans.value(&pointer))
                    .help(suggest(name, known)),
            );
        }
    };
    for (nth, name) in entry.outputs.iter().enumerate() {
        check(name, format!("{pointer}/outputs/{nth}"));
    }
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (field, columns) in &entry.fields {
        let pointer = format!("{pointer}/fields/{}", pointer_segment(field));
        match columns {
            NamesFile::One(name) => check(name, pointer),
            NamesFile::Several(names) => {
                names.iter().enumerate().for_each(|(nth, name)| check(name, format!("{pointer}/{nth}")));
            }
        }
        fields.entry(field.to_lowercase()).or_default().extend(columns.names().iter().cloned());
    }
    let route = Route {
        table: Arc::clone(table),
        condition: entry.r#where.clone(),
        fields,
        outputs: entry.outputs.clone(),
    };
    let place = entry.r#where.as_ref().map(|text| inner(spans.value(&format!("{pointer}/where")), text));
    Some((route, place))
}

/// The text of a string literal without its quotes, when it stands there as it is.
fn inner(mut literal: Location, text: &str) -> Location {
    let written = literal.file.text.get(literal.span.clone()).and_then(|written| written.find(text));
    if let Some(at) = written {
        let start = literal.span.start + at;
        literal.span = start..start + text.len();
    }
    literal
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
