//! From Sigma documents to rules.
//!
//! Owns which documents become rules and what is told of each: its log source's routes, the filters that apply to it, the
//! id that is its own, what its alerts show, its version. What a document means is `parse`'s and `lower`'s, how it is asked
//! `expression`'s. A document that cannot be armed takes no other with it: what is wrong with it is a warning. Called by
//! `rules::load`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::logical_expr::Expr;
use sha2::{Digest, Sha256};

use super::documents::{NOT_ARMED, SigmaDocument, Verdict, correlated, unread, why_not, without_table};
use super::expression::{self, TEXT_COLUMN, expression};
use super::filter::SigmaFilter;
use super::licence::Licences;
use super::lower::{Lowered, lower};
use super::parse::{Document, SigmaRule, documents};
use super::placeholders::Placeholders;
use super::text::{self, Printed};
use super::tree::Column;
use crate::diagnostic::{Diagnostic, Location, SourceFile, codes};
use crate::normalise::projection::column_path;
use crate::normalise::schema::SystemColumn;
use crate::normalise::schema::log_source::Route;
use crate::printable;
use crate::rules::file::short;
use crate::rules::meta::RuleMeta;
use crate::rules::plan::{self, PlannedTable, Tables};
use crate::rules::{Origin, Rule, RuleLimits, Selection, SqlLimits, bind, claim};

/// Rules that one thread compiles at least: starting a thread takes as long as some rules.
const THREAD_RULES_MIN: usize = 64;

/// The SQL of a Sigma rule on one table.
#[derive(Debug, Clone)]
pub struct SigmaText {
    /// The rule's id.
    pub id: String,
    /// The table.
    pub table: String,
    /// A rule file.
    pub sql: String,
}

/// The column with the name of the sensor that saw something: its rows are of many hosts.
const SENSOR_COLUMN: &str = "sensor";

/// What came of some files.
#[derive(Debug, Default)]
pub(in crate::rules) struct Outcome {
    pub(in crate::rules) rules: Vec<Rule>,
    pub(in crate::rules) documents: Vec<SigmaDocument>,
    pub(in crate::rules) texts: Vec<SigmaText>,
    pub(in crate::rules) found: Vec<Diagnostic>,
}

/// What rules are made with.
pub(in crate::rules) struct Input<'a> {
    pub(in crate::rules) tables: &'a Tables,
    pub(in crate::rules) limits: &'a RuleLimits,
    pub(in crate::rules) selection: &'a Selection,
    /// Whether the SQL is wanted as well.
    pub(in crate::rules) texts: bool,
}

/// A log source's rows of a table.
struct Source<'a> {
    route: &'a Route,
    table: &'a PlannedTable,
    /// What the declaration says of the rows, as an expression.
    condition: Option<Expr>,
}

/// Loads the documents of these files. An id that another rule has taken is not taken again.
pub(in crate::rules) fn load(
    files: &[Arc<SourceFile>],
    input: &Input<'_>,
    ids: &mut HashMap<String, Location>,
) -> Outcome {
    let mut outcome = Outcome::default();
    if files.is_empty() {
        return outcome;
    }
    let placeholders = placeholders(input.selection, &mut outcome.found);
    let (mut rules, mut filters, mut correlations) = (Vec::new(), Vec::new(), Vec::new());
    let mut licences = Licences::default();
    for file in files {
        let mut found = Vec::new();
        let read = catch_unwind(AssertUnwindSafe(|| documents(file, &mut found)));
        let read = read.unwrap_or_else(|_| {
            found.push(failed(Location::new(file, 0..0)));
            Vec::new()
        });
        outcome.documents.extend(unread(file, &found));
        outcome.found.extend(found);
        for document in read {
            match document {
                Document::Rule(mut rule) => {
                    if rule.meta.license.is_none() {
                        rule.meta.license = licences.of(&file.path).map(str::to_owned);
                    }
                    rules.push(rule);
                }
                Document::Filter(filter) => filters.push(filter),
                Document::Correlation(correlation) => correlations.push(correlation),
            }
        }
    }
    outcome.documents.extend(correlated(&correlations, &rules, &mut outcome.found));
    // The first with an id has it, whatever becomes of it.
    let mut fresh = Vec::with_capacity(rules.len());
    for rule in rules {
        match claim(ids, &rule.meta.id, rule.place.clone()) {
            None => fresh.push(rule),
            Some(taken) => {
                outcome.documents.push(SigmaDocument::rule(&rule, Verdict::Faulty(taken.message.clone())));
                outcome.found.push(taken.warning());
            }
        }
    }
    let mut sources: HashMap<usize, Result<Source<'_>, String>> = HashMap::new();
    for route in fresh.iter().flat_map(|rule| input.tables.log_sources().routes(&rule.logsource)) {
        sources.entry(address(route)).or_insert_with(|| source(route, input));
    }
    let context = Context { input, filters: &filters, placeholders: &placeholders, sources: &sources };
    for part in in_parallel(&fresh, &context) {
        outcome.rules.extend(part.rules);
        outcome.documents.extend(part.documents);
        outcome.texts.extend(part.texts);
        outcome.found.extend(part.found);
    }
    outcome.found.extend(without_table(&outcome.documents));
    for filter in &filters {
        let rules = fresh.iter().filter(|rule| filter.applies_to(rule)).count();
        outcome.documents.push(SigmaDocument::filter(filter, rules));
    }
    for diagnostic in &mut outcome.found {
        if diagnostic.is_error() {
            *diagnostic = diagnostic.clone().warning();
        }
    }
    outcome
}

fn placeholders(selection: &Selection, found: &mut Vec<Diagnostic>) -> Placeholders {
    match selection.values() {
        Some(folder) => Placeholders::load(folder, found),
        None => Placeholders::default(),
    }
}

fn failed(place: Location) -> Diagnostic {
    Diagnostic::new(codes::Q025, "not armed: the planner failed on this document").at(place).warning()
}

/// The rows that a route means.
fn source<'a>(route: &'a Route, input: &Input<'a>) -> Result<Source<'a>, String> {
    let name = &route.table.name;
    let table = input.tables.find(name).ok_or_else(|| format!("there is no table `{name}`"))?;
    let condition = match &route.condition {
        None => None,
        Some(sql) => {
            let wrong = |why: &str| format!("the log source's condition on `{name}` is wrong: {why}");
            Some(plan::condition(sql, input.tables, table, &input.limits.sql).map_err(|why| wrong(&why))?)
        }
    };
    Ok(Source { route, table, condition })
}

struct Context<'a> {
    input: &'a Input<'a>,
    filters: &'a [SigmaFilter],
    placeholders: &'a Placeholders,
    /// By the address of the route.
    sources: &'a HashMap<usize, Result<Source<'a>, String>>,
}

fn address(route: &Route) -> usize {
    std::ptr::from_ref(route).addr()
}

/// The rules compiled, in their order, on all cores.
fn in_parallel(rules: &[SigmaRule], context: &Context<'_>) -> Vec<Outcome> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = rules.len().div_ceil(cores).max(THREAD_RULES_MIN);
    let compile = |rules: &[SigmaRule]| rules.iter().map(|rule| one(rule, context)).collect::<Vec<_>>();
    if rules.len() <= share {
        return compile(rules);
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = rules
            .chunks(share)
            .map(|rules| {
                let thread =
                    std::thread::Builder::new().name("sigma".into()).stack_size(crate::rules::STACK_BYTES);
                (rules, thread.spawn_scoped(scope, move || compile(rules)))
            })
            .collect();
        let done = threads.into_iter().map(|(rules, thread)| match thread.map(|thread| thread.join()) {
            Ok(Ok(outcomes)) => outcomes,
            _ => compile(rules),
        });
        done.flatten().collect()
    })
}

/// One rule, on all routes of its log source.
fn one(rule: &SigmaRule, context: &Context<'_>) -> Outcome {
    let done = catch_unwind(AssertUnwindSafe(|| {
        let mut outcome = Outcome::default();
        let verdict = armed(rule, context, &mut outcome);
        if !matches!(verdict, Verdict::Armed { .. } | Verdict::Off(_)) {
            outcome.rules.clear();
        }
        outcome.documents.push(SigmaDocument::rule(rule, verdict));
        outcome
    }));
    done.unwrap_or_else(|_| Outcome {
        documents: vec![SigmaDocument::rule(rule, Verdict::Faulty("the planner failed on it".to_owned()))],
        found: vec![failed(rule.place.clone())],
        ..Outcome::default()
    })
}

fn armed(rule: &SigmaRule, context: &Context<'_>, outcome: &mut Outcome) -> Verdict {
    let input = context.input;
    let routes = input.tables.log_sources().routes(&rule.logsource);
    if routes.is_empty() {
        return Verdict::NoTable;
    }
    let filters: Vec<&SigmaFilter> =
        context.filters.iter().filter(|filter| filter.applies_to(rule)).collect();
    let version = version(rule, &filters, context.placeholders);
    let off = input.selection.off(&rule.meta);
    let (mut tables, mut by_path) = (Vec::new(), BTreeSet::new());
    for route in routes {
        let before = outcome.found.len();
        let Some(lowered) = lower(rule, route, &filters, context.placeholders, &mut outcome.found) else {
            return Verdict::Faulty(outcome.found.get(before).map(why_not).unwrap_or_default());
        };
        let made = match context.sources.get(&address(route)) {
            Some(Ok(source)) => made(rule, &lowered, source, input, outcome),
            Some(Err(why)) => Err(why.clone()),
            None => Err("its log source is not planned".to_owned()),
        };
        match made {
            Ok((planned, columns)) => {
                outcome.rules.push(Rule {
                    outputs: planned.outputs.iter().map(|(name, _)| name.clone()).collect(),
                    meta: RuleMeta {
                        entity: entity(route, planned.outputs.iter().map(|(name, _)| name)),
                        ..rule.meta.clone()
                    },
                    version: version.clone(),
                    file: Arc::clone(&rule.place.file),
                    table: Arc::clone(&route.table),
                    columns,
                    enabled: off.is_none(),
                    off: off.clone(),
                    origin: Origin::Sigma,
                    planned,
                });
            }
            Err(why) => {
                let message = format!("{NOT_ARMED} {why}");
                outcome.found.push(Diagnostic::new(codes::Q025, message).at(rule.place.clone()).warning());
                return Verdict::Faulty(why);
            }
        }
        tables.push(route.table.name.clone());
        by_path.extend(lowered.by_path);
    }
    match off {
        Some(why) => Verdict::Off(why),
        None => Verdict::Armed { tables, by_path: by_path.into_iter().collect() },
    }
}

/// What runs on one table, and the columns that it reads.
fn made(
    rule: &SigmaRule,
    lowered: &Lowered,
    source: &Source<'_>,
    input: &Input<'_>,
    outcome: &mut Outcome,
) -> Result<(plan::Planned, Vec<String>), String> {
    let table = source.table;
    let asked =
        expression(&lowered.condition, table, &input.limits.sql).map_err(|fault| fault.to_string())?;
    let outputs = outputs(rule, lowered, source, &input.limits.sql);
    if input.texts {
        let entity = entity(source.route, outputs.iter().map(|(name, _)| name));
        let printed = Printed {
            meta: &RuleMeta { entity, ..rule.meta.clone() },
            table: table.name(),
            outputs: &outputs,
            source: source.route.condition.as_deref(),
            condition: &asked,
        };
        let sql = text::file(&printed);
        outcome.texts.push(SigmaText { id: rule.meta.id.clone(), table: table.name().to_owned(), sql });
    }
    let condition = expression::all(source.condition.iter().cloned().chain([asked]).collect());
    let all = outputs.iter().map(|(_, expr)| expr).chain([&condition]);
    let names: BTreeSet<String> =
        all.flat_map(|expr| expr.column_refs()).map(|column| column.name.clone()).collect();
    let fields = names.iter().filter(|name| column_path(name).is_some()).count();
    if fields > input.limits.sql.fields_max {
        return Err(format!("more than {} fields are read by their paths", input.limits.sql.fields_max));
    }
    let layout =
        table.layout(names.iter().map(String::as_str)).map_err(|error| plan::plain_message(&error))?;
    let planned = plan::built(condition, outputs, &layout).map_err(|refusal| refusal.1)?;
    let schema: &Arc<Schema> = layout.inner();
    bind::bind("trial", &planned, schema)
        .map_err(|error| format!("it cannot run: {}", plan::plain_message(&error)))?;
    Ok((planned, names.into_iter().collect()))
}

/// What alerts show: what the rule asks for, what it looks at, and what the log source is shown with.
fn outputs(
    rule: &SigmaRule,
    lowered: &Lowered,
    source: &Source<'_>,
    limits: &SqlLimits,
) -> Vec<(String, Expr)> {
    let wanted = rule.fields.iter().flat_map(|field| {
        let columns = source.route.columns(field);
        match columns.is_empty() {
            true => vec![Column::Path(field.clone())],
            false => columns.into_iter().map(|name| Column::Named(name.to_owned())).collect(),
        }
    });
    let route = source.route.outputs.iter().map(|name| Column::Named(name.clone()));
    let (mut outputs, mut seen) = (Vec::new(), HashSet::new());
    for column in wanted.chain(lowered.columns.iter().cloned()).chain(route) {
        let name = match &column {
            // The text is in the alert anyway.
            Column::Text => continue,
            Column::Named(name) => match source.table.column(name) {
                Some(TEXT_COLUMN) | None => continue,
                Some(name) => name.to_owned(),
            },
            Column::Path(path) => {
                let system = SystemColumn::ALL.iter().any(|(_, name, ..)| name.eq_ignore_ascii_case(path));
                let shows = printable::line(path, usize::MAX) == *path
                    && path.chars().count() <= limits.name_chars_max;
                if system || !shows {
                    continue;
                }
                path.clone()
            }
        };
        if outputs.len() < limits.outputs_max
            && seen.insert(name.to_lowercase())
            && let Ok(expr) = expression::column(&column, source.table)
        {
            outputs.push((name, expr));
        }
    }
    if outputs.is_empty()
        && let Ok(expr) = expression::column(&Column::Named("event_time".to_owned()), source.table)
    {
        outputs.push(("event_time".to_owned(), expr));
    }
    outputs
}

/// What alerts are about: the first of the log source's columns, which is a host or a user; also who began it, where the
/// events may be a sensor's, which are of many hosts.
fn entity<'a>(route: &Route, outputs: impl Iterator<Item = &'a String> + Clone) -> Vec<String> {
    let is_sensor = |name: &&str| *name == "SourceIp" && route.table.column(SENSOR_COLUMN).is_some();
    let first = route.outputs.first().map(String::as_str);
    let wanted =
        first.into_iter().chain(Some("SourceIp").filter(is_sensor).filter(|name| first != Some(*name)));
    wanted
        .filter_map(|name| outputs.clone().find(|shown| shown.eq_ignore_ascii_case(name)).cloned())
        .collect()
}

/// The hash of the rule's text, of those of all filters that apply to it, and of the values of its placeholders: it changes
/// when any of them does.
fn version(rule: &SigmaRule, filters: &[&SigmaFilter], placeholders: &Placeholders) -> String {
    let mut digest = Sha256::new();
    let filters = filters.iter().map(|filter| (&filter.place, &filter.text));
    for (place, range) in [(&rule.place, &rule.text)].into_iter().chain(filters) {
        let text = place.file.text.get(range.clone()).unwrap_or_default();
        digest.update(text.as_bytes());
        let named = placeholders.0.iter().filter(|_| text.contains("|expand"));
        for (name, values) in named.filter(|(name, _)| text.contains(&format!("%{name}%"))) {
            for part in [name].into_iter().chain(values) {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part.as_bytes());
            }
        }
    }
    short(&digest.finalize())
}
