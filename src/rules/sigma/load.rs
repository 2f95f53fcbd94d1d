//! From Sigma documents to rules.
//!
//! Owns which documents become rules and what is told of each: its log source's routes, the filters that apply to it, the
//! id that is its own, its version, whether it can find anything. What a document means is `parse`'s and `lower`'s, what
//! runs `compile`'s. A document that cannot be armed takes no other with it: what is wrong with it is a warning. Called by
//! `rules::load`.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::compile::{Refused, Source, made, source};
use super::coverage::{self, Reach, Verdict};
use super::documents::{
    Fate, NOT_ARMED, SigmaDocument, correlated, unread, why_not, without_source, without_table,
};
use super::fault::place_of;
use super::filter::{self, Others, SigmaFilter};
use super::landmarks::Unfit;
use super::licence::Licences;
use super::lower::{Lowered, lower};
use super::parse::{Document, SigmaRule, documents};
use super::placeholders::Placeholders;
use super::rule_files::SigmaText;
use crate::diagnostic::{Diagnostic, Location, Severity, SourceFile, codes};
use crate::normalise::schema::log_source::Route;
use crate::printable;
use crate::rules::file::short;
use crate::rules::meta::Given;
use crate::rules::metadata::{Part, Tested};
use crate::rules::plan::Tables;
use crate::rules::{Origin, Rule, RuleLimits, Selection, claim};

/// Rules that one thread compiles at least: starting a thread takes as long as some rules.
const THREAD_RULES_MIN: usize = 64;
/// Shorter names are too near to each other for one to be a slip for the other.
const NEAR_CHARS_MIN: usize = 4;
/// Fields that a message names.
const FIELDS_SHOWN_MAX: usize = 5;

/// What came of some files.
#[derive(Debug, Default)]
pub(in crate::rules) struct Outcome {
    pub(in crate::rules) rules: Vec<Rule>,
    pub(in crate::rules) documents: Vec<SigmaDocument>,
    pub(in crate::rules) texts: Vec<SigmaText>,
    /// Whether a rule has no SQL that would be accepted, where the SQL is wanted.
    pub(in crate::rules) unprinted: bool,
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
    let unread = outcome.documents.iter().filter_map(|document| document.headline.id.as_deref());
    filter::check(&filters, &rules, &Others::new(ids.keys(), unread), &mut outcome.found);
    // The first with an id has it, whatever becomes of it.
    let mut fresh = Vec::with_capacity(rules.len());
    for rule in rules {
        match claim(ids, &rule.meta.id, rule.place.clone()) {
            None => fresh.push(rule),
            Some(taken) => {
                outcome.documents.push(SigmaDocument::rule(&rule, Fate::Faulty(taken.message.clone())));
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
        outcome.unprinted |= part.unprinted;
        outcome.found.extend(part.found);
    }
    outcome.found.extend(without_table(&outcome.documents, input.tables.log_sources()));
    outcome.found.extend(without_source(&outcome.documents));
    for filter in &filters {
        let is_part = |document: &&SigmaDocument| document.filters.iter().any(|name| name == filter.name());
        let rules = outcome.documents.iter().filter(is_part).count();
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
        let mut document = SigmaDocument::rule(rule, Fate::NoTable);
        document.fate = compiled(rule, context, &mut document, &mut outcome);
        if matches!(document.fate, Fate::NoTable | Fate::Faulty(_)) {
            outcome.rules.clear();
            outcome.texts.clear();
        }
        // What is left out on purpose need not be sound.
        if matches!(document.fate, Fate::Off(_)) {
            outcome.found.clear();
        }
        outcome.documents.push(document);
        outcome
    }));
    done.unwrap_or_else(|_| Outcome {
        documents: vec![SigmaDocument::rule(rule, Fate::Faulty("the planner failed on it".to_owned()))],
        found: vec![failed(rule.place.clone())],
        ..Outcome::default()
    })
}

fn compiled(
    rule: &SigmaRule,
    context: &Context<'_>,
    document: &mut SigmaDocument,
    outcome: &mut Outcome,
) -> Fate {
    let input = context.input;
    let routes = input.tables.log_sources().routes(&rule.logsource);
    if routes.is_empty() {
        return Fate::NoTable;
    }
    let filters: Vec<&SigmaFilter> =
        context.filters.iter().filter(|filter| filter.applies_to(rule)).collect();
    let version = version(rule, &filters, context.placeholders);
    let off = input.selection.off(&rule.meta);
    // What is left out on purpose need not be sound.
    let faulty = |why| off.clone().map_or(Fate::Faulty(why), Fate::Off);
    let (mut by_path, mut on_routes) = (BTreeSet::new(), Vec::with_capacity(routes.len()));
    for (nth, route) in routes.iter().enumerate() {
        let before = outcome.found.len();
        let Some(lowered) = lower(rule, route, &filters, context.placeholders, &mut outcome.found) else {
            return faulty(outcome.found.get(before).map(why_not).unwrap_or_default());
        };
        let made = match context.sources.get(&address(route)) {
            Some(Ok(source)) => made(rule, &lowered, source, nth, input, outcome),
            Some(Err(why)) => Err(Refused::by_planner(why.clone())),
            None => Err(Refused::by_planner("its log source is not planned".to_owned())),
        };
        let made = match made {
            Ok(made) => made,
            Err(refused) => {
                let message = format!("{NOT_ARMED} {}", refused.why);
                let place = refused.place.unwrap_or_else(|| rule.place.clone());
                let told = Diagnostic::new(refused.code, message).at(place).warning();
                outcome.found.push(Diagnostic { help: refused.help, ..told });
                return faulty(refused.why);
            }
        };
        let off = off.clone().or_else(|| unreached(&made.reach));
        outcome.rules.push(Rule {
            outputs: made.planned.outputs.iter().map(|(name, _)| name.clone()).collect(),
            meta: made.meta,
            version: version.clone(),
            file: Arc::clone(&rule.place.file),
            table: Arc::clone(&route.table),
            columns: made.columns,
            enabled: off.is_none(),
            off,
            origin: Origin::Sigma,
            planned: made.planned,
        });
        document.tables.push(route.table.name.clone());
        by_path.extend(lowered.by_path.iter().cloned());
        for filter in &lowered.filters {
            if !document.filters.contains(filter) {
                document.filters.push(filter.clone());
            }
        }
        on_routes.push((made.reach, lowered));
    }
    check_tests(rule, &outcome.rules, &mut outcome.found);
    outcome.found.extend(near_misses(routes, &on_routes));
    let (reached, lowered): (Vec<Reach>, Vec<Lowered>) = on_routes.into_iter().unzip();
    let (verdict, missing) = coverage::best(&reached);
    document.by_path = by_path.into_iter().filter(|path| !missing.contains(path)).collect();
    document.missing = missing.into_iter().collect();
    outcome.found.extend(never_fit(&lowered));
    if let Some(why) = off {
        return Fate::Off(why);
    }
    let place_of = |fields: &[String]| {
        let places =
            lowered.iter().flat_map(|lowered| fields.iter().map(|field| lowered.landmarks.of_column(field)));
        places.flatten().next().unwrap_or(&rule.place).clone()
    };
    match verdict {
        Verdict::NoSource => Fate::NoSource(coverage::unfed(routes)),
        Verdict::NoField => {
            let fields = named(&document.missing);
            let message =
                format!("{NOT_ARMED} no event of the fed formats has {fields}, which the rule needs");
            let told = Diagnostic::new(codes::G018, message).at(place_of(&document.missing)).warning();
            outcome.found.push(told.help("without it the rule would find nothing, or everything"));
            Fate::NoField
        }
        _ => {
            if reached.iter().any(|reach| reach.finds_the_rest) {
                let fields = named(&document.by_path);
                let message =
                    format!("the rule finds each event of its log source that does not have {fields}");
                let told = Diagnostic::new(codes::G021, message).at(place_of(&document.by_path)).warning();
                outcome.found.push(told.help("say what the event must have, beside what it must not"));
            }
            Fate::Armed
        }
    }
}

/// Why a rule is left out on a route; nothing when it may find something there.
fn unreached(reach: &Reach) -> Option<String> {
    match reach.verdict {
        Verdict::NoSource => Some("no format that is fed makes the rows".to_owned()),
        Verdict::NoField => Some("no event of the fed formats has the fields".to_owned()),
        _ => None,
    }
}

/// The first of these fields, and that there are more.
fn named(fields: &[String]) -> String {
    let shown = fields.iter().take(FIELDS_SHOWN_MAX).map(|field| format!("`{}`", printable::line(field, 60)));
    let shown: Vec<String> = shown.collect();
    match fields.len() {
        0 => "its fields".to_owned(),
        1 => format!("a field {}", shown.concat()),
        count if count > shown.len() => {
            format!("the fields {} and {} more", shown.join(", "), count - shown.len())
        }
        _ => format!("the fields {}", shown.join(", ")),
    }
}

/// Fields that no route has a column for, and that differ by a slip from one that it has.
fn near_misses(routes: &[Route], compiled: &[(Reach, Lowered)]) -> Vec<Diagnostic> {
    let Some((_, first)) = compiled.first() else { return Vec::new() };
    let is_everywhere = |path: &&String| compiled.iter().all(|(_, lowered)| lowered.by_path.contains(path));
    let told = first.by_path.iter().filter(is_everywhere).filter_map(|path| {
        let known = routes.iter().flat_map(|route| {
            let columns = route.table.columns.iter().map(|column| column.name.as_str());
            columns.chain(route.fields.keys().map(String::as_str))
        });
        let is_near = |name: &&str| {
            let (name, path) = (name.to_lowercase(), path.to_lowercase());
            name.chars().count() >= NEAR_CHARS_MIN && strsim::damerau_levenshtein(&name, &path) == 1
        };
        let meant = known.into_iter().find(is_near)?;
        let place = first.landmarks.of_column(path)?;
        let message =
            format!("`{}` has no column, and is read from the event by its name", printable::line(path, 60));
        let told = Diagnostic::new(codes::G023, message).at(place.clone());
        Some(Diagnostic { severity: Severity::Note, ..told.help(format!("did you mean `{meant}`?")) })
    });
    told.collect()
}

/// What is wrong with the rule's own tests; `compiled` is the rule on each of its routes.
fn check_tests(rule: &SigmaRule, compiled: &[Rule], found: &mut Vec<Diagnostic>) {
    let folder = rule.place.file.path.parent().unwrap_or(Path::new(""));
    let outputs: Vec<String> = compiled.iter().flat_map(|rule| rule.outputs.iter().cloned()).collect();
    let table = match compiled {
        [only] => Some(only.table.as_ref()),
        _ => None,
    };
    for ((at, test), place) in rule.meta.tests.iter().enumerate().zip(&rule.test_places) {
        // The name stands somewhere in the test.
        let within = |pointer: &str, _: Part| {
            let name = pointer.rsplit('/').next().unwrap_or_default();
            Location::new(&place.file, place_of(&place.file, &place.span, name))
        };
        let of = Tested { folder, outputs: Some(&outputs), table, place: &within };
        of.check(at, test, found);
        if compiled.len() > 1 && matches!(test.given, Given::Rows(_)) {
            let message = "the rule is on several tables, and a test's rows are of one";
            let told = Diagnostic::new(codes::T003, message).at(within("given", Part::Key));
            found.push(told.help("give a file of records instead"));
        }
    }
}

/// Values that fit their field on none of the routes.
fn never_fit(lowered: &[Lowered]) -> Vec<Diagnostic> {
    let Some((first, others)) = lowered.split_first() else { return Vec::new() };
    let same =
        |a: &Unfit, b: &Unfit| Arc::ptr_eq(&a.place.file, &b.place.file) && a.place.span == b.place.span;
    let mut told: Vec<&Unfit> = Vec::new();
    for unfit in first.landmarks.unfits() {
        let everywhere =
            others.iter().all(|other| other.landmarks.unfits().iter().any(|other| same(unfit, other)));
        if everywhere && !told.iter().any(|told| same(unfit, told)) {
            told.push(unfit);
        }
    }
    let told = told.into_iter().map(|unfit| {
        // Third parties write for many engines: a value that has no meaning here may have one elsewhere.
        let told = Diagnostic::new(codes::G008, &*unfit.message).at(unfit.place.clone());
        let told = told.help("write a value that the field can have, or leave it out");
        Diagnostic { severity: Severity::Note, ..told }
    });
    told.collect()
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
