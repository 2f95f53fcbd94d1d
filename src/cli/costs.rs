//! What rules cost, as `check` says it.
//!
//! Owns the sums, and the notes on rules that are expensive; the classes are `detect::cost`'s, the reasons
//! `detect::explain`'s. A rule that several pipelines have counts once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::detect::cost::CostClass;
use crate::detect::explain::{Explained, Shares};
use crate::diagnostic::{Diagnostic, Location, Severity, codes};
use crate::printable;
use crate::rules::{Loaded, Origin};

/// Columns of what makes a rule expensive.
const WHAT_COLUMNS_MAX: usize = 300;

/// The rules that run, by id, version and table.
#[derive(Debug, Default)]
pub struct Costs {
    rules: BTreeMap<(String, String, String), Cost>,
}

#[derive(Debug)]
struct Cost {
    file: String,
    class: CostClass,
    because: Vec<String>,
}

impl Costs {
    /// Adds rules; what is said of those that are expensive.
    pub fn add(&mut self, loaded: &Loaded) -> Vec<Diagnostic> {
        // What rules share does not change their class.
        let shares = Shares::default();
        let mut told = Vec::new();
        for rule in loaded.rules.iter().filter(|rule| rule.enabled) {
            let key = (rule.meta.id.clone(), rule.version.clone(), rule.table.name.clone());
            if self.rules.contains_key(&key) {
                continue;
            }
            let Explained { class, because, .. } = Explained::new(rule, &shares);
            if let Some(first) = because.first().filter(|_| class == CostClass::EveryRow) {
                let what = printable::line(&first.what, WHAT_COLUMNS_MAX);
                let message = format!("`{}` is expensive: {what}", rule.meta.title);
                let of_it = |place: &Location| place.file.path == rule.file.path;
                let places = loaded.sigma.iter().filter(|document| {
                    rule.origin == Origin::Sigma && document.headline.id.as_ref() == Some(&rule.meta.id)
                });
                let place = places.map(|document| document.place.clone()).find(of_it);
                let note = Diagnostic::new(codes::Q031, message)
                    .at(place.unwrap_or_else(|| Location::new(&rule.file, 0..0)))
                    .help(first.instead);
                told.push(Diagnostic { severity: Severity::Note, ..note });
            }
            let because = because.into_iter().map(|because| because.what).collect();
            let file = rule.file.path.display().to_string();
            self.rules.insert(key, Cost { file, class, because });
        }
        told
    }

    fn of(&self, class: CostClass) -> usize {
        self.rules.values().filter(|cost| cost.class == class).count()
    }

    /// The number of rules of each class.
    pub fn sums(&self) -> Value {
        let sums = CostClass::ALL.iter().map(|class| (class.as_str().to_owned(), self.of(*class).into()));
        Value::Object(sums.collect())
    }

    /// Each rule on each of its tables.
    pub fn each(&self) -> Vec<Value> {
        let each = self.rules.iter().map(|((id, _, table), cost)| {
            json!({
                "rule_id": id,
                "file": cost.file,
                "table": table,
                "class": cost.class.as_str(),
                "because": cost.because,
            })
        });
        each.collect()
    }

    /// "cost: 70 indexed, 2 scanned", without classes that no rule has; none without rules.
    pub fn line(&self) -> Option<String> {
        let there = CostClass::ALL.iter().filter(|class| self.of(**class) > 0);
        let there: Vec<String> =
            there.map(|class| format!("{} {}", self.of(*class), class.as_str())).collect();
        let more = if self.of(CostClass::Indexed) < self.rules.len() {
            "; `noroshi explain RULE` says why"
        } else {
            ""
        };
        (!there.is_empty()).then(|| format!("cost: {}{more}", there.join(", ")))
    }
}
