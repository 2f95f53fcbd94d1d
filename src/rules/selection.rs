//! Which of the sound rules run.
//!
//! Owns the choice that a pipeline makes: by level, by status, by id, by the formats of its sources, and the folder with
//! the values of Sigma's placeholders. It is the same for SQL and for Sigma rules. Called by `rules::load`;
//! `pipeline::definition` makes it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use super::meta::{RuleLevel, RuleMeta, RuleStatus};
use crate::diagnostic::{Diagnostic, Location, codes};
use crate::normalise::schema::feed::{FORMATS, Format};

/// Which rules run, of those that are sound. The default: all but deprecated and unsupported ones.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only rules of these levels.
    pub levels: Option<BTreeSet<RuleLevel>>,
    /// Only rules with these statuses: the one way to have unsupported ones.
    pub statuses: Option<Vec<RuleStatus>>,
    /// Deprecated ones as well.
    pub deprecated: bool,
    /// Not these, by their ids in lower case, and where the pipeline says so.
    pub disabled: BTreeMap<String, Option<Location>>,
    /// A folder with values for placeholders.
    pub values: Option<PathBuf>,
    /// The formats that events come in, by name: what they cannot hold no rule finds. Without, all formats.
    pub formats: Option<BTreeSet<&'static str>>,
    /// Where the pipeline chooses by status or level.
    pub place: Option<Location>,
}

impl Selection {
    /// Why a rule is left out; nothing when it runs.
    pub fn off(&self, meta: &RuleMeta) -> Option<String> {
        if self.disabled.contains_key(&meta.id.to_lowercase()) {
            return Some("the pipeline disables it".to_owned());
        }
        let asked_for = match &self.statuses {
            Some(statuses) => {
                statuses.contains(&meta.status) || (self.deprecated && meta.status == RuleStatus::Deprecated)
            }
            None => match meta.status {
                RuleStatus::Deprecated => self.deprecated,
                RuleStatus::Unsupported => false,
                RuleStatus::Stable | RuleStatus::Test | RuleStatus::Experimental => true,
            },
        };
        if !asked_for {
            return Some(format!("its status is {}", meta.status.as_str()));
        }
        let level = self.levels.as_ref().is_none_or(|levels| levels.contains(&meta.level));
        (!level).then(|| format!("its level is {}", meta.level.as_str()))
    }

    /// The formats that events come in.
    pub fn fed(&self) -> Vec<&'static dyn Format> {
        let is_fed =
            |format: &&dyn Format| self.formats.as_ref().is_none_or(|fed| fed.contains(format.name()));
        FORMATS.iter().copied().filter(is_fed).collect()
    }

    /// Tells when the choice leaves none of the rules, which have these metadata.
    pub fn leaves_none<'a>(&self, mut rules: impl Iterator<Item = &'a RuleMeta>) -> Option<Diagnostic> {
        let off = self.off(rules.next()?)?;
        if (self.levels.is_none() && self.statuses.is_none()) || rules.any(|meta| self.off(meta).is_none()) {
            return None;
        }
        let message = "the choice of rules leaves none of them";
        let told = Diagnostic::new(codes::P015, message).help(format!("of the first one {off}")).warning();
        Some(match &self.place {
            Some(place) => told.at(place.clone()),
            None => told,
        })
    }

    /// The folder with values for placeholders.
    pub fn values(&self) -> Option<&Path> {
        self.values.as_deref()
    }

    /// Ids that are disabled and that none of the rules has: probably a slip, or a rule that is gone.
    pub fn strangers<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Vec<Diagnostic> {
        if self.disabled.is_empty() {
            return Vec::new();
        }
        let known: HashSet<String> = ids.into_iter().map(str::to_lowercase).collect();
        let strangers = self.disabled.iter().filter(|(id, _)| !known.contains(*id));
        strangers
            .map(|(id, place)| {
                let message = format!("no rule has the id `{id}` that is disabled");
                let told = Diagnostic::new(codes::P013, message).warning();
                let told = told.help("correct it, or leave it out if the rule is gone");
                match place {
                    Some(place) => told.at(place.clone()),
                    None => told,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(level: &str, status: &str) -> RuleMeta {
        let json = serde_json::json!({"id": "A-1", "title": "t", "level": level, "status": status});
        serde_json::from_value(json).expect("metadata")
    }

    #[test]
    fn level_status_and_id_choose() {
        let default = Selection::default();
        let high =
            Selection { levels: Some([RuleLevel::High, RuleLevel::Critical].into()), ..Selection::default() };
        let stable = Selection { statuses: Some(vec![RuleStatus::Stable]), ..Selection::default() };
        let unsupported = Selection { statuses: Some(vec![RuleStatus::Unsupported]), ..Selection::default() };
        let old = Selection { deprecated: true, ..Selection::default() };
        let stable_and_old = Selection { deprecated: true, ..stable.clone() };
        let without = Selection { disabled: [("a-1".to_owned(), None)].into(), ..Selection::default() };
        for (name, selection, level, status, off) in [
            ("default", &default, "low", "test", None),
            ("default", &default, "low", "deprecated", Some("its status is deprecated")),
            ("default", &default, "low", "unsupported", Some("its status is unsupported")),
            ("high", &high, "critical", "test", None),
            ("high", &high, "medium", "test", Some("its level is medium")),
            ("high", &high, "medium", "deprecated", Some("its status is deprecated")),
            ("stable", &stable, "low", "stable", None),
            ("stable", &stable, "low", "experimental", Some("its status is experimental")),
            ("unsupported", &unsupported, "low", "unsupported", None),
            ("unsupported", &unsupported, "low", "stable", Some("its status is stable")),
            ("old", &old, "low", "deprecated", None),
            ("old", &old, "low", "unsupported", Some("its status is unsupported")),
            ("stable and old", &stable_and_old, "low", "deprecated", None),
            ("stable and old", &stable_and_old, "low", "test", Some("its status is test")),
            ("without", &without, "high", "stable", Some("the pipeline disables it")),
        ] {
            let found = selection.off(&meta(level, status));
            assert_eq!(found.as_deref(), off, "{name}: {level}, {status}");
        }
    }

    #[test]
    fn an_id_that_no_rule_has_is_told() {
        let disabled = ["a-1", "b-2"].map(|id| (id.to_owned(), None)).into();
        let selection = Selection { disabled, ..Selection::default() };
        let told = selection.strangers(["A-1", "c-3"]);
        let told: Vec<_> = told.iter().map(|told| (told.code.id, told.is_error(), &*told.message)).collect();
        assert_eq!(told, [("P013", false, "no rule has the id `b-2` that is disabled")]);
        assert!(Selection::default().strangers([]).is_empty());
    }

    #[test]
    fn a_choice_that_leaves_no_rule_is_told() {
        let metas = [meta("low", "test"), meta("high", "experimental")];
        let told = |selection: Selection| selection.leaves_none(metas.iter()).map(|told| told.to_string());
        let statuses = |status| Selection { statuses: Some(vec![status]), ..Selection::default() };
        let expect = "the choice of rules leaves none of them [P015]; of the first one its status is test";
        assert_eq!(told(statuses(RuleStatus::Unsupported)).as_deref(), Some(expect));
        assert_eq!(told(statuses(RuleStatus::Experimental)), None);
        let disabled = [("a-1".to_owned(), None)].into();
        assert_eq!(told(Selection { disabled, ..Selection::default() }), None, "each by its id");
        assert!(statuses(RuleStatus::Stable).leaves_none([].iter()).is_none());
    }
}
