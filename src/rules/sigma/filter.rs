//! Filters: conditions that others add to rules without editing them.
//!
//! Owns which rules a filter is for. Its condition is put beside the rule's by `lower`; its selections are its own, so that
//! no pattern of the rule's condition picks them.

use std::ops::Range;

use super::parse::{Search, SigmaRule};
use crate::diagnostic::Location;
use crate::normalise::schema::log_source::LogSource;

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
    /// Whether the filter is for a rule: it names it or `any`, and the rule's log source is one of its own.
    pub fn applies_to(&self, rule: &SigmaRule) -> bool {
        let named = match &self.targets {
            Targets::Any => true,
            Targets::These(names) => names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(&rule.meta.id) || rule.name.as_ref() == Some(name)),
        };
        let fits = |own: &Option<String>, rules: &Option<String>| match (own, rules) {
            (None, _) => true,
            (Some(own), Some(rules)) => own.eq_ignore_ascii_case(rules),
            (Some(_), None) => false,
        };
        named
            && fits(&self.logsource.category, &rule.logsource.category)
            && fits(&self.logsource.product, &rule.logsource.product)
            && fits(&self.logsource.service, &rule.logsource.service)
    }
}
