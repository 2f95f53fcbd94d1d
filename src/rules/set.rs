//! The rules that run together: immutable, with a version of its own.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Rule;
use super::file::short;

/// A set of rules. Alerts name the version of their rule; status and metrics name the version of the set.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    /// For each rule the index of the first one with its id.
    firsts: Vec<usize>,
    version: String,
}

impl RuleSet {
    /// A set of these rules, in this order.
    pub fn new(rules: Vec<Arc<Rule>>) -> Self {
        let mut digest = Sha256::new();
        for rule in &rules {
            digest.update(rule.meta.id.as_bytes());
            digest.update([0]);
            digest.update(rule.version.as_bytes());
            digest.update([0]);
        }
        let version = short(&digest.finalize());
        let mut ids: HashMap<&str, usize> = HashMap::new();
        let firsts =
            rules.iter().enumerate().map(|(at, rule)| *ids.entry(&rule.meta.id).or_insert(at)).collect();
        Self { rules, firsts, version }
    }

    /// The first rule with the id of this one. A Sigma rule whose log source is in several tables is a rule for each of
    /// them, and all of them are one rule to whoever reads its alerts.
    pub fn first(&self, rule: usize) -> usize {
        self.firsts.get(rule).copied().unwrap_or(rule)
    }

    /// The rules.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// First 16 hexadecimal digits of a SHA-256 over ids and versions.
    pub fn version(&self) -> &str {
        &self.version
    }
}
