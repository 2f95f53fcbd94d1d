//! Rules that are parked → log, metrics and `/status`.
//!
//! Owns what was said of them. Which rules are parked all lanes of a set know together, so each of them says what has changed
//! since it looked last, and what is said once is said by the first that looks. Called by `pipeline::watch`.

use std::collections::BTreeSet;

use super::Observed;
use crate::detect::guard::parks::ParkedRule;
use crate::observe::health::ParkedRuleStatus;
use crate::pipeline::engine::Compiled;

/// What one lane has said.
#[derive(Debug, Default)]
pub(super) struct ParkedRules {
    /// The generation, and how many of its rules were parked.
    said: (u64, usize),
    /// The ids of those.
    ids: BTreeSet<String>,
}

impl ParkedRules {
    /// Says what has changed. Costs nothing when nothing has.
    pub(super) fn tell(&mut self, lane: u32, observed: &Observed, compiled: &Compiled, generation: u64) {
        let now = (generation, compiled.parks.count());
        // A rule stays parked as long as its set runs.
        if self.said == now || (now.1 == 0 && self.said.1 == 0) {
            return;
        }
        self.said = now;
        let rules = compiled.rules.rules();
        for ParkedRule { rule, reason, why, .. } in compiled.parks.take_new() {
            let Some(rule) = rules.get(rule) else { continue };
            let (id, version, reason) = (rule.meta.id.as_str(), rule.version.as_str(), reason.as_str());
            observed.metrics.rule_parks(id, reason);
            observed.health.error("rule_parked", &format!("the rule {id} is parked: {why}"));
            tracing::error!(
                lane,
                rule = id,
                version,
                reason,
                "A rule is parked, all others go on: {why}. It stays parked until its file is changed, or a restart."
            );
        }
        let status = |parked: ParkedRule| {
            let rule = rules.get(parked.rule)?;
            Some(ParkedRuleStatus {
                rule: rule.meta.id.clone(),
                version: rule.version.clone(),
                table: rule.table.name.clone(),
                reason: parked.reason.as_str(),
                why: parked.why,
                since_ms: parked.since.div_euclid(1_000),
            })
        };
        let shown: Vec<ParkedRuleStatus> = compiled.parks.all().into_iter().filter_map(status).collect();
        let ids: BTreeSet<String> = shown.iter().map(|status| status.rule.clone()).collect();
        for id in self.ids.union(&ids) {
            observed.metrics.rule_parked(id, ids.contains(id));
        }
        observed.metrics.rules_parked(shown.len() as u64);
        observed.health.rules_parked(generation, shown);
        self.ids = ids;
    }
}
