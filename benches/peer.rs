//! The peer that detection is measured against: `rsigma-eval`, given the same events and every help that it knows.
//!
//! Owns what it is given. Which rules an event can concern is decided before the clock starts, and for each such set of
//! log sources there is an engine of its own, so that it looks at no rule in vain and once at each event; of its own
//! switches those are on that make it fastest on the workload. What a rule sees of an event is `seen`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rsigma_eval::{Engine, JsonEvent};
use rsigma_parser::SigmaRule;
use serde_json::{Map, Value};

use super::routes::Source;
use super::seen::{Views, sources_of};

/// Events on which the switches are tried.
const TRIED: usize = 3_000;
/// Bytes that its bloom prefilter may take: enough for all of these rules, its default is not.
const BLOOM_BYTES_MAX: usize = 64 << 20;
/// Events that are parsed before the clock starts, where parsing does not count: more would fill the memory.
const PARSED_TOGETHER: usize = 500;

type Key = (Option<String>, Option<String>);

fn key((category, service): Source) -> Key {
    (category.map(str::to_owned), service.map(str::to_owned))
}

/// Rules by log source.
pub struct Rules(BTreeMap<Key, OfSource>);

#[derive(Default)]
struct OfSource {
    rules: Vec<SigmaRule>,
    /// The fields that they look at, and perhaps more.
    fields: BTreeSet<String>,
}

impl Rules {
    /// Reads the Windows rules of these files; those with placeholders are not armed here and are left out.
    pub fn read(files: &[PathBuf]) -> Self {
        let mut rules: BTreeMap<Key, OfSource> = BTreeMap::new();
        for file in files {
            let text = fs::read_to_string(file).expect("a rule");
            let read = rsigma_parser::parse_sigma_yaml(&text).expect("YAML");
            for rule in read.rules {
                if rule.logsource.product.as_deref() == Some("windows") && !text.contains("|expand") {
                    let key = (rule.logsource.category.clone(), rule.logsource.service.clone());
                    let of_source = rules.entry(key).or_default();
                    of_source.rules.push(rule);
                    of_source.fields.extend(fields(&text));
                }
            }
        }
        Self(rules)
    }

    fn of(&self, key: &Key) -> &[SigmaRule] {
        self.0.get(key).map(|of_source| of_source.rules.as_slice()).unwrap_or_default()
    }

    fn looks_at(&self, (category, service): Source, field: &str) -> bool {
        let key = (category.map(str::to_owned), service.map(str::to_owned));
        self.0.get(&key).is_some_and(|of_source| of_source.fields.contains(field))
    }

    fn has(&self, source: Source) -> bool {
        !self.of(&key(source)).is_empty()
    }
}

/// What the peer reads, in order.
pub struct Fed {
    items: Vec<Item>,
    /// The sets of log sources; the first is empty.
    classes: Vec<BTreeSet<Key>>,
}

struct Item {
    /// Number of the record.
    record: usize,
    json: Vec<u8>,
    class: usize,
}

impl Fed {
    fn new() -> Self {
        Self { items: Vec::new(), classes: vec![BTreeSet::new()] }
    }

    /// The records as rules see them; mostly one object a record.
    pub fn as_seen(rules: &Rules, records: &[Vec<u8>]) -> Self {
        let mut fed = Self::new();
        let mut views = Views::new();
        for (at, record) in records.iter().enumerate() {
            let mut groups: Vec<(BTreeSet<Source>, Map<String, Value>)> = Vec::new();
            for (source, seen) in views.of(record, &|source| rules.has(source)) {
                let group = groups.iter_mut().find(|(sources, known)| {
                    let matters = |field: &str| {
                        sources.iter().chain([&source]).any(|source| rules.looks_at(*source, field))
                    };
                    agree(known, &seen, &matters)
                });
                match group {
                    Some((sources, known)) => {
                        sources.insert(source);
                        for (key, value) in seen {
                            known.entry(key).or_insert(value);
                        }
                    }
                    None => groups.push((BTreeSet::from([source]), seen)),
                }
            }
            if groups.is_empty() {
                // It has to be parsed to know that no rule concerns it.
                fed.push(at, record.clone(), BTreeSet::new());
            }
            for (sources, seen) in groups {
                fed.push(at, serde_json::to_vec(&seen).expect("JSON"), sources);
            }
        }
        fed
    }

    /// The records as they are: rules do not find all of their fields in them.
    pub fn as_they_are(rules: &Rules, records: &[Vec<u8>]) -> Self {
        let mut fed = Self::new();
        for (at, record) in records.iter().enumerate() {
            let event: Map<String, Value> = serde_json::from_slice(record).expect("an object");
            let sources = sources_of(&event).into_iter().filter(|source| rules.has(*source)).collect();
            fed.push(at, record.clone(), sources);
        }
        fed
    }

    /// The records as they are, all for one engine with all rules, as rsigma itself would run them: it finds other pairs, as
    /// rules also look at events that they are not for.
    pub fn for_one_engine(rules: &Rules, records: &[Vec<u8>]) -> Self {
        let mut fed = Self::new();
        fed.classes.push(rules.0.keys().cloned().collect());
        fed.items = records
            .iter()
            .cloned()
            .enumerate()
            .map(|(record, json)| Item { record, json, class: 1 })
            .collect();
        fed
    }

    fn push(&mut self, record: usize, json: Vec<u8>, sources: BTreeSet<Source>) {
        let sources: BTreeSet<Key> = sources.into_iter().map(key).collect();
        let known = self.classes.iter().position(|class| *class == sources);
        let class = known.unwrap_or_else(|| {
            self.classes.push(sources);
            self.classes.len() - 1
        });
        self.items.push(Item { record, json, class });
    }

    /// Objects that the peer reads.
    pub fn len(&self) -> usize {
        self.items.len()
    }
}

/// Whether rules may see one object instead of these: they agree on all fields that matter. A number is the same as its
/// text to the peer.
fn agree(a: &Map<String, Value>, b: &Map<String, Value>, matters: &dyn Fn(&str) -> bool) -> bool {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let same = |known: &Value, value: &Value| known == value || text(known) == text(value);
    b.iter().all(|(key, value)| a.get(key).is_none_or(|known| same(known, value)) || !matters(key))
}

/// The keys of a rule's YAML without their modifiers.
fn fields(text: &str) -> impl Iterator<Item = String> {
    let keys = text.lines().filter_map(|line| line.split_once(':')).map(|(key, _)| key);
    keys.map(|key| key.trim_start_matches([' ', '-']).split('|').next().unwrap_or_default().to_owned())
}

/// Its own switches.
#[derive(Debug, Clone, Copy)]
struct Switches {
    bloom: bool,
    cross_rule: bool,
}

impl Switches {
    const ALL: [Self; 4] = [
        Self { bloom: false, cross_rule: false },
        Self { bloom: true, cross_rule: false },
        Self { bloom: false, cross_rule: true },
        Self { bloom: true, cross_rule: true },
    ];

    fn told(self) -> String {
        let on = |is_on: bool| if is_on { "on" } else { "off" };
        format!("bloom prefilter {}, cross-rule Aho-Corasick {}", on(self.bloom), on(self.cross_rule))
    }
}

/// The peer, ready for one workload.
pub struct Peer {
    engines: Vec<Engine>,
}

impl Peer {
    /// With those switches that are fastest on this; tells which.
    pub fn fastest(rules: &Rules, fed: &Fed) -> Self {
        let mut best: Option<(Duration, Switches, Self)> = None;
        let mut told = Vec::new();
        let step = (fed.items.len() / TRIED).max(1);
        let some: Vec<&Item> = fed.items.iter().step_by(step).collect();
        for switches in Switches::ALL {
            let peer = Self::with(rules, &fed.classes, switches);
            let take = || {
                let began = Instant::now();
                std::hint::black_box(some.iter().map(|item| peer.parse_and_match(item)).sum::<usize>());
                began.elapsed()
            };
            let took = [take(), take(), take()].into_iter().min().unwrap_or_default();
            told.push(format!("{:.0} ({})", some.len() as f64 / took.as_secs_f64(), switches.told()));
            if best.as_ref().is_none_or(|(least, ..)| took < *least) {
                best = Some((took, switches, peer));
            }
        }
        let (_, switches, peer) = best.expect("four are tried");
        println!(
            "rsigma-eval 0.23.0, candidate index, {} engines by log source, {}",
            fed.classes.len(),
            switches.told()
        );
        println!("  tried, events/s: {}", told.join("; "));
        peer
    }

    fn with(rules: &Rules, classes: &[BTreeSet<Key>], switches: Switches) -> Self {
        let engine = |class: &BTreeSet<Key>| {
            let mut engine = Engine::new();
            engine.set_bloom_prefilter(switches.bloom);
            engine.set_bloom_max_bytes(BLOOM_BYTES_MAX);
            engine.set_cross_rule_ac(switches.cross_rule);
            let failed = engine.add_rules(class.iter().flat_map(|source| rules.of(source)));
            assert!(failed.is_empty(), "{failed:?}");
            engine
        };
        Self { engines: classes.iter().map(engine).collect() }
    }

    fn parse_and_match(&self, item: &Item) -> usize {
        let event: Value = serde_json::from_slice(&item.json).expect("JSON");
        self.engines[item.class].evaluate(&JsonEvent::borrow(&event)).len()
    }

    /// Parses and matches all; how long that took and how often a rule hit.
    pub fn run(&self, fed: &Fed) -> (Duration, u64) {
        let began = Instant::now();
        let hits = fed.items.iter().map(|item| self.parse_and_match(item) as u64).sum();
        (began.elapsed(), hits)
    }

    /// The same, but the time of parsing does not count: what no parser could make faster.
    pub fn run_parsed(&self, fed: &Fed) -> (Duration, u64) {
        let (mut took, mut hits) = (Duration::ZERO, 0);
        for items in fed.items.chunks(PARSED_TOGETHER) {
            let parse = |item: &Item| serde_json::from_slice(&item.json).expect("JSON");
            let events: Vec<Value> = items.iter().map(parse).collect();
            let began = Instant::now();
            for (item, event) in items.iter().zip(&events) {
                hits += self.engines[item.class].evaluate(&JsonEvent::borrow(event)).len() as u64;
            }
            took += began.elapsed();
        }
        (took, hits)
    }

    /// Which rules hit which records.
    pub fn pairs(&self, fed: &Fed) -> BTreeSet<(String, usize)> {
        let mut pairs = BTreeSet::new();
        for item in &fed.items {
            let event: Value = serde_json::from_slice(&item.json).expect("JSON");
            for hit in self.engines[item.class].evaluate(&JsonEvent::borrow(&event)) {
                pairs.insert((hit.header.rule_id.clone().expect("an id"), item.record));
            }
        }
        pairs
    }
}
