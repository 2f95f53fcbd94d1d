//! What of a set of Sigma rules can find anything, and why the others cannot.
//!
//! Owns the verdict on each rule: what the formats that are fed can fill of the tables that it runs on. Rules are read and
//! compiled by `rules::load`; `cli::sigma::coverage` prints. Nothing is said of events: a field that can be there may be
//! missing in all of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::normalise::projection::column_path;
use crate::normalise::schema::feed::{Format, can_fill, can_match};
use crate::normalise::schema::log_source::{LogSource, Route};
use crate::normalise::schema::{Table, View};
use crate::rules::Rule;
use crate::rules::meta::{RuleLevel, RuleMeta, RuleStatus};
use crate::rules::reach::{Outlook, outlook};

/// What a rule says of itself, as far as it can be read.
#[derive(Debug, Clone, Default)]
pub struct Headline {
    /// Its id.
    pub id: Option<String>,
    /// Its title.
    pub title: String,
    /// Its level.
    pub level: Option<RuleLevel>,
    /// Its status.
    pub status: Option<RuleStatus>,
    /// Its tags.
    pub tags: Vec<String>,
}

impl From<&RuleMeta> for Headline {
    fn from(meta: &RuleMeta) -> Self {
        Self {
            id: Some(meta.id.clone()),
            title: meta.title.clone(),
            level: Some(meta.level),
            status: Some(meta.status),
            tags: meta.tags.clone(),
        }
    }
}

/// A rule, and what loading made of it.
#[derive(Debug)]
pub struct Subject {
    /// What it says of itself.
    pub headline: Headline,
    /// `file:line:column` of it.
    pub place: String,
    /// Its log source.
    pub log_source: LogSource,
    /// What loading made of it.
    pub fate: Fate,
}

/// What loading made of a rule.
#[derive(Debug)]
pub enum Fate {
    /// It runs on these routes, one compiled rule for each; some fields are read by their paths.
    Armed(Vec<(Route, Arc<Rule>)>, Vec<String>),
    /// It could, and is left out on purpose: why.
    Off(String),
    /// Its log source is that of no table.
    NoTable,
    /// It cannot run: why.
    Faulty(String),
}

/// What can be said of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It runs, and each field that it names has a column.
    Armed,
    /// It runs; some fields are read by their paths.
    ArmedByPath,
    /// It runs, without fields that no event of the fed formats has.
    ArmedWithout,
    /// Without these fields it can find nothing.
    NoField,
    /// No format that is fed makes rows of its log source.
    NoSource,
    /// Its log source is that of no table.
    NoTable,
    /// It cannot be compiled.
    NotSupported,
    /// It is left out on purpose.
    Off,
}

impl Verdict {
    /// All, the best first.
    pub const ALL: &[Self] = &[
        Self::Armed,
        Self::ArmedByPath,
        Self::ArmedWithout,
        Self::NoField,
        Self::NoSource,
        Self::NoTable,
        Self::NotSupported,
        Self::Off,
    ];

    /// For machines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Armed => "armed",
            Self::ArmedByPath => "armed_by_path",
            Self::ArmedWithout => "armed_without",
            Self::NoField => "no_field",
            Self::NoSource => "no_source",
            Self::NoTable => "no_table",
            Self::NotSupported => "not_supported",
            Self::Off => "off",
        }
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Armed => "armed",
            Self::ArmedByPath => "armed, fields by path",
            Self::ArmedWithout => "armed, fields missing",
            Self::NoField => "not armed: no field",
            Self::NoSource => "not armed: no source",
            Self::NoTable => "not armed: no table",
            Self::NotSupported => "not armed: not supported",
            Self::Off => "off",
        }
    }

    /// Whether it can find something.
    pub fn is_armed(self) -> bool {
        matches!(self, Self::Armed | Self::ArmedByPath | Self::ArmedWithout)
    }
}

/// What can be said of a rule, and why.
#[derive(Debug, Clone)]
pub struct Coverage {
    /// What it says of itself.
    pub headline: Headline,
    /// `file:line:column` of it.
    pub place: String,
    /// Its log source.
    pub log_source: LogSource,
    /// The tables that it runs on, each once; of a rule that is not armed those that it would run on.
    pub tables: Vec<String>,
    /// What can be said of it.
    pub verdict: Verdict,
    /// Fields that are read by their paths, of a rule that is armed.
    pub by_path: Vec<String>,
    /// Fields that no event of the fed formats has.
    pub missing: Vec<String>,
    /// Why it is not armed, when the verdict does not say all.
    pub why: Option<String>,
}

/// What one route of a rule comes to.
struct Reached {
    verdict: Verdict,
    missing: BTreeSet<String>,
}

/// The verdict on a rule where these formats are fed.
pub fn cover(subject: Subject, formats: &[&dyn Format]) -> Coverage {
    let Subject { headline, place, log_source, fate } = subject;
    let mut coverage = Coverage {
        headline,
        place,
        log_source,
        tables: Vec::new(),
        verdict: Verdict::NoTable,
        by_path: Vec::new(),
        missing: Vec::new(),
        why: None,
    };
    match fate {
        Fate::Armed(routes, by_path) => {
            let tables: BTreeSet<&str> = routes.iter().map(|(route, _)| route.table.name.as_str()).collect();
            coverage.tables = tables.into_iter().map(str::to_owned).collect();
            let reached: Vec<Reached> =
                routes.iter().map(|(route, rule)| reach(route, rule, formats)).collect();
            let best = reached.iter().map(|reached| reached.verdict).min();
            coverage.verdict = best.unwrap_or(Verdict::NoTable);
            // What is missing on each of the routes that come to this.
            let same = reached.into_iter().filter(|reached| reached.verdict == coverage.verdict);
            let missing = same.map(|reached| reached.missing).reduce(|a, b| &a & &b).unwrap_or_default();
            coverage.missing = missing.into_iter().collect();
            if coverage.verdict.is_armed() {
                coverage.by_path =
                    by_path.into_iter().filter(|path| !coverage.missing.contains(path)).collect();
                if coverage.verdict == Verdict::Armed && !coverage.by_path.is_empty() {
                    coverage.verdict = Verdict::ArmedByPath;
                }
            }
            if coverage.verdict == Verdict::NoSource {
                coverage.why = Some(unfed(&routes));
            }
        }
        Fate::Off(why) => (coverage.verdict, coverage.why) = (Verdict::Off, Some(why)),
        Fate::Faulty(why) => (coverage.verdict, coverage.why) = (Verdict::NotSupported, Some(why)),
        Fate::NoTable => {}
    }
    coverage
}

/// Which rows would have to be made.
fn unfed(routes: &[(Route, Arc<Rule>)]) -> String {
    let rows = routes.iter().map(|(route, _)| match &route.condition {
        Some(condition) => format!("`{}` where {condition}", route.table.name),
        None => format!("`{}`", route.table.name),
    });
    format!("nothing feeds {}", rows.collect::<Vec<_>>().join(", "))
}

fn reach(route: &Route, rule: &Rule, formats: &[&dyn Format]) -> Reached {
    let fed = |view: &View| {
        let format = *formats.iter().find(|format| format.name() == view.format)?;
        can_match(&route.table, view, route.condition.as_deref()).then_some(format)
    };
    let fed: Vec<(&View, &dyn Format)> =
        route.table.views.iter().filter_map(|view| Some((view, fed(view)?))).collect();
    if fed.is_empty() {
        return Reached { verdict: Verdict::NoSource, missing: BTreeSet::new() };
    }
    let absent = |name: &str| is_absent(name, &route.table, &fed);
    let missing: BTreeSet<String> = rule
        .condition()
        .column_refs()
        .into_iter()
        .filter(|column| absent(&column.name))
        .map(|column| column_path(&column.name).unwrap_or_else(|| column.name.clone()))
        .collect();
    let verdict = match outlook(rule, &absent) {
        Outlook::Open if missing.is_empty() => Verdict::Armed,
        Outlook::Open => Verdict::ArmedWithout,
        // With its fields missing it would find everything or nothing: neither is what it is meant to find.
        Outlook::Never | Outlook::Always if !missing.is_empty() => Verdict::NoField,
        Outlook::Never | Outlook::Always => Verdict::Armed,
    };
    Reached { verdict, missing }
}

/// Whether no event of the fed formats has a value for the column.
fn is_absent(name: &str, table: &Table, fed: &[(&View, &dyn Format)]) -> bool {
    if let Some(path) = column_path(name) {
        return !fed.iter().any(|(_, format)| format.may_hold(&path));
    }
    // System columns always are there.
    table.column(name).is_some() && !fed.iter().any(|(view, format)| can_fill(table, view, name, *format))
}

#[cfg(test)]
#[path = "coverage/tests.rs"]
mod tests;
