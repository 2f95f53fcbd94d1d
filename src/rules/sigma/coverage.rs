//! What of a set of Sigma rules can find anything, and why the others cannot.
//!
//! Owns the verdict on each rule: what the formats that are fed can fill of the tables that it runs on. `load` arms what
//! it allows, and no more; `cli::sigma::coverage` prints the same. Nothing is said of events: a field that can be there may
//! be missing in all of them.

use std::collections::BTreeSet;

use datafusion::logical_expr::Expr;

use super::documents::{Fate, Headline, SigmaDocument};
use crate::diagnostic::{Diagnostic, codes};
use crate::normalise::projection::column_path;
use crate::normalise::schema::feed::{Format, can_fill, can_match};
use crate::normalise::schema::log_source::{LogSource, Route};
use crate::normalise::schema::{Table, View};
use crate::rules::reach::{Outlook, outlook};

/// What can be said of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It runs, and each field that it names has a column.
    Armed,
    /// It runs; some fields are read by their paths.
    ArmedByPath,
    /// It runs, without fields that no event of the fed formats has.
    ArmedWithout,
    /// Without fields that no event of the fed formats has it would find nothing, or everything: it does not run.
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
    /// The filters that are part of it: ids, or titles of those without.
    pub filters: Vec<String>,
    /// Why it is not armed, when the verdict does not say all.
    pub why: Option<String>,
}

/// What can be said of a rule, by what loading made of it.
pub fn cover(document: &SigmaDocument) -> Coverage {
    let is_by_path = !document.by_path.is_empty();
    let (verdict, why) = match &document.fate {
        Fate::Armed if !document.missing.is_empty() => (Verdict::ArmedWithout, None),
        Fate::Armed if is_by_path => (Verdict::ArmedByPath, None),
        Fate::Armed => (Verdict::Armed, None),
        Fate::NoField => (Verdict::NoField, None),
        Fate::NoSource(why) => (Verdict::NoSource, Some(why.as_str())),
        Fate::NoTable => (Verdict::NoTable, None),
        Fate::Off(why) => (Verdict::Off, Some(why.as_str())),
        Fate::Faulty(why) => (Verdict::NotSupported, Some(why.as_str())),
        Fate::Waiting => (Verdict::NotSupported, Some("correlations do not run in this version")),
        Fate::Applied { .. } => (Verdict::NotSupported, Some("it is a filter")),
    };
    let tables: BTreeSet<&String> = document.tables.iter().collect();
    Coverage {
        headline: document.headline.clone(),
        place: Diagnostic::new(codes::G018, "").at(document.place.clone()).place(),
        log_source: document.log_source.clone(),
        tables: tables.into_iter().cloned().collect(),
        verdict,
        by_path: if verdict.is_armed() { document.by_path.clone() } else { Vec::new() },
        missing: document.missing.clone(),
        filters: document.filters.clone(),
        why: why.map(str::to_owned),
    }
}

/// What makes the rows of a route: views of its table, with the formats that are fed.
pub(super) struct Fed<'a> {
    table: &'a Table,
    views: Vec<(&'a View, &'a dyn Format)>,
}

/// What one route of a rule comes to.
#[derive(Debug)]
pub(super) struct Reach {
    /// Whether it can find something there.
    pub(super) verdict: Verdict,
    /// Fields that no row has.
    pub(super) missing: BTreeSet<String>,
    /// It finds each row that lacks the fields which are read by their paths.
    pub(super) finds_the_rest: bool,
}

impl<'a> Fed<'a> {
    /// What these formats make of a route's rows.
    pub(super) fn new(route: &'a Route, formats: &[&'a dyn Format]) -> Self {
        let fed = |view: &View| {
            let format = *formats.iter().find(|format| format.name() == view.format)?;
            can_match(&route.table, view, route.condition.as_deref()).then_some(format)
        };
        let views = route.table.views.iter().filter_map(|view| Some((view, fed(view)?))).collect();
        Self { table: &route.table, views }
    }

    /// What a rule's condition can find on these rows; the route's own condition holds for all of them, and is no part
    /// of it.
    pub(super) fn reach(&self, condition: &Expr) -> Reach {
        if self.views.is_empty() {
            return Reach { verdict: Verdict::NoSource, missing: BTreeSet::new(), finds_the_rest: false };
        }
        let absent = |name: &str| self.is_absent(name);
        let columns = condition.column_refs();
        let missing = columns.iter().filter(|column| absent(&column.name));
        let missing: BTreeSet<String> =
            missing.map(|column| column_path(&column.name).unwrap_or_else(|| column.name.clone())).collect();
        let verdict = match outlook(condition, &absent) {
            Outlook::Open if missing.is_empty() => Verdict::Armed,
            Outlook::Open => Verdict::ArmedWithout,
            // With its fields missing it would find everything or nothing: neither is what it is meant to find.
            Outlook::Never | Outlook::Always if !missing.is_empty() => Verdict::NoField,
            Outlook::Never | Outlook::Always => Verdict::Armed,
        };
        let lacks = |name: &str| column_path(name).is_some() || absent(name);
        let by_path = columns.iter().any(|column| column_path(&column.name).is_some());
        let finds_the_rest = by_path && verdict.is_armed() && outlook(condition, &lacks) == Outlook::Always;
        Reach { verdict, missing, finds_the_rest }
    }

    /// Whether no event of the fed formats has a value for the column.
    fn is_absent(&self, name: &str) -> bool {
        if let Some(path) = column_path(name) {
            return !self.views.iter().any(|(_, format)| format.may_hold(&path));
        }
        // System columns always are there.
        self.table.column(name).is_some()
            && !self.views.iter().any(|(view, format)| can_fill(self.table, view, name, *format))
    }
}

/// What a rule comes to on all of its routes: the best of them counts, with what is missing on each that is as good.
pub(super) fn best(reached: &[Reach]) -> (Verdict, BTreeSet<String>) {
    let verdict = reached.iter().map(|reach| reach.verdict).min().unwrap_or(Verdict::NoTable);
    let same = reached.iter().filter(|reach| reach.verdict == verdict);
    let missing = same.map(|reach| reach.missing.clone()).reduce(|a, b| &a & &b);
    (verdict, missing.unwrap_or_default())
}

/// Which rows would have to be made.
pub(super) fn unfed(routes: &[Route]) -> String {
    let rows = routes.iter().map(|route| match &route.condition {
        Some(condition) => format!("`{}` where {condition}", route.table.name),
        None => format!("`{}`", route.table.name),
    });
    format!("nothing feeds {}", rows.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
#[path = "coverage/tests.rs"]
mod tests;
