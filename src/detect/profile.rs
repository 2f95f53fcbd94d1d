//! Where the time of an engine goes: by stage, and by rule.
//!
//! Owns the counters and the clock that fills them. Who is not asked for a profile reads no clock. Filled by
//! `detect::run` and `pipeline::engine`; shown by `noroshi scan --profile`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Reads the clock when somebody wants to know.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Option<Instant>);

impl Stopwatch {
    /// Begins now, or never.
    pub fn when(wanted: bool) -> Self {
        Self(wanted.then(Instant::now))
    }

    /// Time since it began; none when it never did.
    pub fn read(self) -> Duration {
        self.0.map(|began| began.elapsed()).unwrap_or_default()
    }
}

/// Time by stage, of all records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stages {
    /// Bytes → fields.
    pub decode: Duration,
    /// Fields → rows of tables, without the next.
    pub normalise: Duration,
    /// Which rules can hit a row.
    pub look_up: Duration,
    /// Rows that rules may hit → Arrow.
    pub build: Duration,
    /// DataFusion on the rows that lookups leave open.
    pub judge: Duration,
    /// What rules select of the rows that they hit.
    pub outputs: Duration,
    /// Decoding records with hits once more, for evidence.
    pub evidence: Duration,
    /// Building alerts.
    pub alerts: Duration,
}

/// What one rule cost beside the lookups, which all rules share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleProfile {
    /// Rows that DataFusion had to judge.
    pub open: u64,
    /// Time for that.
    pub judge: Duration,
    /// Rows that it hit.
    pub hits: u64,
    /// Time for what it selects and for its alerts.
    pub alerts: Duration,
}

impl RuleProfile {
    /// All of its time.
    pub fn total(&self) -> Duration {
        self.judge + self.alerts
    }
}

/// Lookups of one column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LookupProfile {
    /// Values that were looked up.
    pub values: u64,
    /// Those of them that were not remembered.
    pub new: u64,
    /// Time for the new ones.
    pub time: Duration,
}

impl LookupProfile {
    /// Adds another one's.
    pub fn add(&mut self, other: Self) {
        self.values += other.values;
        self.new += other.new;
        self.time += other.time;
    }
}

/// Where the time went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// By stage.
    pub stages: Stages,
    /// By index of the rule in its set; those behind the last are zero.
    pub rules: Vec<RuleProfile>,
    /// Lookups by table and column.
    pub columns: BTreeMap<(String, String), LookupProfile>,
}

impl Profile {
    /// A rule's counters.
    pub fn rule(&mut self, rule: usize) -> &mut RuleProfile {
        if self.rules.len() <= rule {
            self.rules.resize(rule + 1, RuleProfile::default());
        }
        &mut self.rules[rule]
    }

    /// Adds another engine's.
    pub fn add(&mut self, other: &Self) {
        let Stages { decode, normalise, look_up, build, judge, outputs, evidence, alerts } = other.stages;
        let stages = &mut self.stages;
        stages.decode += decode;
        stages.normalise += normalise;
        stages.look_up += look_up;
        stages.build += build;
        stages.judge += judge;
        stages.outputs += outputs;
        stages.evidence += evidence;
        stages.alerts += alerts;
        for (rule, more) in other.rules.iter().enumerate() {
            let sum = self.rule(rule);
            sum.open += more.open;
            sum.judge += more.judge;
            sum.hits += more.hits;
            sum.alerts += more.alerts;
        }
        for (column, more) in &other.columns {
            self.columns.entry(column.clone()).or_default().add(*more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_of_several_engines_add_up() {
        let second = Duration::from_secs(1);
        let mut one = Profile::default();
        one.stages.decode = second;
        *one.rule(2) = RuleProfile { open: 3, judge: second, hits: 1, alerts: second };
        let column = ("t".to_owned(), "c".to_owned());
        one.columns.insert(column.clone(), LookupProfile { values: 4, new: 2, time: second });
        let mut sum = Profile::default();
        sum.rule(0).hits = 5;
        sum.add(&one);
        sum.add(&one);
        assert_eq!((sum.stages.decode, sum.rules.len(), sum.rules[0].hits), (second * 2, 3, 5));
        assert_eq!(sum.rules[2], RuleProfile { open: 6, judge: second * 2, hits: 2, alerts: second * 2 });
        assert_eq!(sum.columns[&column], LookupProfile { values: 8, new: 4, time: second * 2 });
        assert_eq!(sum.rules[2].total(), second * 4);
        assert_eq!(Stopwatch::when(false).read(), Duration::ZERO);
    }
}
