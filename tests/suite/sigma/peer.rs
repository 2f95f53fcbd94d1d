//! The independent reader: rsigma, over the rows that our tables have of each event.
//!
//! Owns nothing of our rules but the names of columns: what a field means is the same on both sides (`seen`), what a rule
//! means is the peer's own reading, and where a rule applies stands in `routes`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use noroshi::rules::{self, RuleLimits};
use rsigma_eval::{Engine, JsonEvent};
use serde_json::Value;

use super::Hit;
use super::seen::Views;

/// What the peer finds in flat Windows events, one a line.
pub fn hits(folders: &[PathBuf], lines: &[String]) -> BTreeSet<Hit> {
    let engines = engines(folders);
    let mut views = Views::new();
    let mut found = BTreeSet::new();
    let engine = |(category, service): (Option<&str>, Option<&str>)| {
        engines.get(&(category.map(str::to_owned), service.map(str::to_owned)))
    };
    for (at, line) in lines.iter().enumerate() {
        for (source, seen) in views.of(line.as_bytes(), &|source| engine(source).is_some()) {
            let seen = Value::Object(seen);
            for result in
                engine(source).into_iter().flat_map(|engine| engine.evaluate(&JsonEvent::borrow(&seen)))
            {
                found.insert((result.header.rule_id.clone().expect("an id"), at));
            }
        }
    }
    found
}

type Engines = BTreeMap<(Option<String>, Option<String>), Engine>;

/// An engine for each log source of the Windows rules.
fn engines(folders: &[PathBuf]) -> Engines {
    let (files, unfound) = rules::files(folders, &RuleLimits::default());
    // A folder of the set may hold no rule.
    assert!(unfound.iter().all(|told| told.code.id == "R008"), "{unfound:?}");
    let mut rules: BTreeMap<(Option<String>, Option<String>), Vec<rsigma_parser::SigmaRule>> =
        BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a rule");
        let read = rsigma_parser::parse_sigma_yaml(&text).expect("YAML");
        for rule in read.rules {
            // Without values for its placeholders a rule is not armed here; the peer takes them as they stand.
            if rule.logsource.product.as_deref() == Some("windows") && !text.contains("|expand") {
                let key = (rule.logsource.category.clone(), rule.logsource.service.clone());
                rules.entry(key).or_default().push(rule);
            }
        }
    }
    let engine = |rules: Vec<rsigma_parser::SigmaRule>| {
        let mut engine = Engine::new();
        let failed = engine.add_rules(&rules);
        assert!(failed.is_empty(), "{failed:?}");
        engine
    };
    rules.into_iter().map(|(key, rules)| (key, engine(rules))).collect()
}
