//! Filters: conditions that others add to rules without editing them.
//!
//! Owns which rules a filter is for, and telling of filters that are for none. Its condition is put beside the rule's by `lower`; its selections are its own, so that
//! no pattern of the rule's condition picks them.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::fault::{Faults, place_of};
use super::parse::{Search, SigmaRule};
use crate::diagnostic::{Diagnostic, Location, codes, nearest};
use crate::normalise::schema::log_source::LogSource;

/// Names for which others are looked for that are like them: each is compared with those of all rules.
const SUGGESTIONS_MAX: usize = 50;
/// Bytes of such a name, and of those.
const NAME_BYTES_MAX: usize = 64;

/// A filter.
#[derive(Debug)]
pub struct SigmaFilter {
    /// What it is about.
    pub title: String,
    /// Its id.
    pub id: Option<String>,
    /// Which rules' log sources it fits; what is not named may be anything.
    pub logsource: LogSource,
    /// Where its title stands.
    pub place: Location,
    /// Its text in the file, as that of a rule.
    pub(super) text: Range<usize>,
    /// Where `rules:` stands.
    pub(super) rules_place: Location,
    pub(super) targets: Targets,
    pub(super) search: Search,
}

/// Which rules a filter is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Targets {
    /// All of its log source.
    Any,
    /// Those of these ids or names.
    These(Vec<String>),
}

impl SigmaFilter {
    /// Its id, or its title when it has none.
    pub fn name(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.title)
    }

    /// Whether the filter is for a rule: it names it or `any`, and the rule's log source is one of its own.
    pub fn applies_to(&self, rule: &SigmaRule) -> bool {
        let named = match &self.targets {
            Targets::Any => true,
            Targets::These(names) => names.iter().any(|name| is_called(rule, name)),
        };
        named && self.fits(&rule.logsource)
    }

    fn fits(&self, source: &LogSource) -> bool {
        let fits = |own: &Option<String>, rules: &Option<String>| match (own, rules) {
            (None, _) => true,
            (Some(own), Some(rules)) => own.eq_ignore_ascii_case(rules),
            (Some(_), None) => false,
        };
        fits(&self.logsource.category, &source.category)
            && fits(&self.logsource.product, &source.product)
            && fits(&self.logsource.service, &source.service)
    }
}

fn is_called(rule: &SigmaRule, name: &str) -> bool {
    name.eq_ignore_ascii_case(&rule.meta.id) || rule.name.as_deref() == Some(name)
}

/// Ids, in lower case, that are not those of sound Sigma rules.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// Of SQL rules: filters are not for them.
    sql: HashSet<String>,
    /// Of Sigma documents that cannot be used: that is told elsewhere.
    unread: HashSet<String>,
}

impl Others {
    pub(super) fn new<'a>(
        sql: impl Iterator<Item = &'a String>,
        unread: impl Iterator<Item = &'a str>,
    ) -> Self {
        Self {
            sql: sql.map(|id| id.to_lowercase()).collect(),
            unread: unread.map(str::to_lowercase).collect(),
        }
    }
}

/// Tells of filters that are for nothing: for rules that are not there, or that are about other log sources.
pub(super) fn check(
    filters: &[SigmaFilter],
    rules: &[SigmaRule],
    others: &Others,
    found: &mut Vec<Diagnostic>,
) {
    let mut known: HashMap<String, Vec<&SigmaRule>> = HashMap::new();
    for rule in rules {
        known.entry(rule.meta.id.to_lowercase()).or_default().push(rule);
        if let Some(name) = rule.name.as_ref().filter(|name| !name.eq_ignore_ascii_case(&rule.meta.id)) {
            known.entry(name.clone()).or_default().push(rule);
        }
    }
    let mut suggestions = SUGGESTIONS_MAX;
    for filter in filters {
        let mut faults = Faults::new(&filter.place.file, found);
        let names = match &filter.targets {
            Targets::These(names) => names.as_slice(),
            Targets::Any => {
                if !rules.iter().any(|rule| filter.fits(&rule.logsource)) {
                    let message = format!(
                        "no rule is about the log source {}: the filter is for none",
                        filter.logsource
                    );
                    let help = "load the rules beside the filter, or correct its log source";
                    faults.warn(codes::G020, message, filter.rules_place.span.clone(), help);
                }
                continue;
            }
        };
        for name in names {
            let place = || place_of(&filter.place.file, &filter.rules_place.span, name);
            let named = known.get(name).or_else(|| known.get(&name.to_lowercase()));
            let named: Vec<&&SigmaRule> =
                named.into_iter().flatten().filter(|rule| is_called(rule, name)).collect();
            match named.first() {
                Some(_) if named.iter().any(|rule| filter.fits(&rule.logsource)) => {}
                Some(rule) => {
                    let message = format!(
                        "the filter is for the log source {}, and `{name}` is about {}: it is not filtered",
                        filter.logsource, rule.logsource
                    );
                    faults.warn(
                        codes::G020,
                        message,
                        place(),
                        "write the rule's log source, or a part of it",
                    );
                }
                None if others.unread.contains(&name.to_lowercase()) => {}
                None if others.sql.contains(&name.to_lowercase()) => {
                    let message =
                        format!("`{name}` is a rule in SQL, and filters are for Sigma's: it is not filtered");
                    faults.warn(codes::G020, message, place(), "write the exception into the rule");
                }
                None => {
                    let near = if suggestions > 0 && name.len() <= NAME_BYTES_MAX {
                        suggestions -= 1;
                        let short =
                            known.keys().map(String::as_str).filter(|name| name.len() <= NAME_BYTES_MAX);
                        nearest(name, short)
                    } else {
                        Vec::new()
                    };
                    let help = match near.first() {
                        None => "load the rule beside the filter, or correct the reference".to_owned(),
                        Some(near) => format!("did you mean `{near}`?"),
                    };
                    let message = format!("there is no Sigma rule with the id or name `{name}`");
                    faults.warn(codes::G020, message, place(), &help);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "filter/tests.rs"]
mod tests;
