//! What must hold: each expected alert once, each reject's dead letter once, nothing else, in order, everything at
//! rest in the end, and no lane that stopped for a difference that was none.
//!
//! Owns the input as it was fed, what the concurrent reader saw, and the comparison. It knows nothing of lanes.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::Millis;
use super::broker::InputRecord;
use super::group::Tp;
use super::plan::{CHAOS_MS, Refused};
use super::state::{Event, State};
use super::workload::{Fed, Must, ORGANISATIONS, must, read, record};
use crate::pipeline::cycle::Exit;
use crate::sink::Output;

/// How long everything may take to come to rest once there are no faults any more.
const REST_MS: Millis = 120_000;
/// After so long without faults no lane fails any more.
const HEALED_MS: Millis = 60_000;

/// What was fed in and seen.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    fed: Vec<Fed>,
    sequences: BTreeMap<&'static str, u64>,
    /// By topic: how far the concurrent reader is, and what it saw.
    seen: BTreeMap<Arc<str>, (usize, Vec<Rc<Output>>)>,
    /// Where partitions begin that are read from the newest record on.
    begins: BTreeMap<Tp, i64>,
    probed: bool,
    doubled: bool,
    /// What does not hold.
    pub(super) violations: Vec<String>,
}

impl Oracle {
    pub(super) fn begins(&mut self, offsets: Vec<(Tp, i64)>) {
        for (tp, offset) in offsets {
            self.begins.entry(tp).or_insert(offset);
        }
    }

    /// How often a record's output must be there.
    fn expected(&self, fed: &Fed) -> u64 {
        u64::from(
            fed.must != Must::Nothing && self.begins.get(&fed.tp).is_none_or(|begin| fed.offset >= *begin),
        )
    }
}

impl State {
    fn violation(&mut self, what: String) {
        self.note(|| format!("VIOLATION: {what}"));
        self.oracle.violations.push(what);
        self.finished = true;
    }

    /// Feeds some records in.
    pub(super) fn feed(&mut self) {
        let left = self.plan.records.saturating_sub(self.oracle.fed.len() as u64);
        for _ in 0..self.rng.between(1, 8).min(left) {
            let organisation = self.rng.pick(&ORGANISATIONS);
            let partition = self.rng.index(usize::try_from(self.plan.partitions).unwrap_or(1));
            self.feed_one(organisation, i32::try_from(partition).unwrap_or(0), false);
        }
        if left > 0 {
            let pause = self.rng.below(2 * CHAOS_MS * 4 / self.plan.records);
            self.after(pause, Event::Feed);
        }
    }

    fn feed_one(&mut self, organisation: &'static str, partition: i32, probe: bool) {
        let tp = (Arc::from(format!("in.{organisation}")), partition);
        let gap = if self.rng.per_mille(100) { 1 } else { 0 };
        let next = self.oracle.sequences.entry(organisation).or_default();
        let sequence = *next;
        *next += 1;
        let fat = matches!(self.plan.refused, Refused::FatAlerts | Refused::Fat);
        let value = record(&mut self.rng, organisation, sequence, probe, fat);
        let Some(log) = self.broker.inputs.get_mut(&tp) else { return };
        let offset = log.end + gap;
        log.end = offset + 1;
        let must = must(value.as_deref());
        log.records.push(InputRecord { offset, value });
        self.note(|| format!("fed: {organisation}-{sequence} at {}/{partition}/{offset}: {must:?}", tp.0));
        self.oracle.fed.push(Fed { organisation, sequence, tp, offset, must });
    }

    /// The concurrent reader looks at what is new.
    pub(super) fn read(&mut self) {
        for (topic, log) in &self.broker.outputs {
            let (from, seen) = self.oracle.seen.entry(Arc::clone(topic)).or_default();
            seen.extend(log.visible(*from));
            *from = log.stable().max(*from);
        }
        let pause = self.rng.below(400);
        self.after(pause, Event::Read);
    }

    /// The broker's clocks: sessions, rebalances, transactions that are open for too long.
    pub(super) fn broker_clocks(&mut self) {
        if self.broker.group.tick(self.now) {
            self.cover("generation");
        }
        let now = self.now;
        let denied = self.plan.denied.filter(|(_, from, until)| (*from..*until).contains(&now));
        self.broker.denied =
            denied.map(|(organisation, ..)| Arc::from(format!("alerts.{}", ORGANISATIONS[organisation])));
        let expired = self.broker.expire(self.now);
        if expired > 0 {
            self.cover("transaction timed out");
        }
        for marker in self.broker.markers() {
            let delay = self.rng.below(25);
            self.after(delay, Event::Marker(marker));
        }
        self.after(100, Event::Broker);
    }

    /// A lane has ended.
    pub(super) fn ended(&mut self, lane: usize, exit: &Exit) {
        self.note(|| format!("lane {lane}: {exit:?}"));
        self.cover(match exit {
            Exit::Stopped => "exit: stopped",
            Exit::Deadline => "exit: deadline",
            Exit::Fenced(_) => "exit: fenced",
            Exit::Failed(_) => "exit: failed",
            Exit::Undeclared(_) => "exit: undeclared",
            Exit::Contradicted(_) => "exit: contradicted",
        });
        let (Exit::Failed(why) | Exit::Contradicted(why)) = exit else { return };
        self.oracle.doubled |= self.covered.contains_key("doubled");
        let same_name = self.oracle.doubled && why.contains("same identity");
        let contradicted = matches!(exit, Exit::Contradicted(_));
        if contradicted && !same_name {
            self.violation(format!("lane {lane} stopped for a contradiction: {why}"));
        } else if self.now > CHAOS_MS + HEALED_MS {
            self.violation(format!("lane {lane} failed long after the last fault: {why}"));
        }
    }

    /// Whether everything has come to rest; then a fresh record must pass, and then the result is looked at.
    pub(super) fn check(&mut self) {
        let unrest = self.unrest();
        if let Some(what) = unrest {
            if self.now > CHAOS_MS + REST_MS {
                self.violation(format!("no rest {REST_MS} ms after the last fault: {what}"));
                return self.judge();
            }
        } else if self.oracle.probed {
            self.finished = true;
            self.read();
            return self.judge();
        } else {
            self.oracle.probed = true;
            for organisation in ORGANISATIONS {
                for partition in 0..self.plan.partitions {
                    self.feed_one(organisation, partition, true);
                }
            }
        }
        self.after(300, Event::Check);
    }

    fn unrest(&self) -> Option<String> {
        if (self.oracle.fed.len() as u64) < self.plan.records {
            return Some("records are still to be fed".into());
        }
        if !self.broker.at_rest() {
            return Some("a transaction is open".into());
        }
        for (tp, log) in &self.broker.inputs {
            let committed = self.broker.group.offsets.get(tp).map_or(0, |(offset, _)| *offset);
            let begin = self.oracle.begins.get(tp).copied().unwrap_or(0);
            let end = log.records.last().map_or(0, |record| record.offset + 1).max(begin);
            if committed != end {
                return Some(format!("{}/{}: {committed} of {end} is committed", tp.0, tp.1));
            }
        }
        for (topic, log) in &self.broker.outputs {
            if log.stable() != log.len() {
                return Some(format!("{topic}: the last stable offset stays behind"));
            }
        }
        None
    }

    /// The final look.
    fn judge(&mut self) {
        let mut wrong = Vec::new();
        let mut bare_letters = 0;
        let mut count: BTreeMap<(String, u64), u64> = BTreeMap::new();
        let places: BTreeMap<(&str, u64), &Fed> =
            self.oracle.fed.iter().map(|fed| ((fed.organisation, fed.sequence), fed)).collect();
        for (topic, log) in &self.broker.outputs {
            let outputs = log.visible(0);
            let (_, seen) = self.oracle.seen.get(topic).cloned().unwrap_or_default();
            let agree =
                seen.len() == outputs.len() && seen.iter().zip(&outputs).all(|(a, b)| Rc::ptr_eq(a, b));
            if !agree {
                wrong.push(format!(
                    "{topic}: the concurrent reader saw {}, the final one {}",
                    seen.len(),
                    outputs.len()
                ));
            }
            let mut last: BTreeMap<_, i64> = BTreeMap::new();
            for output in outputs {
                let bare = output.value.as_ref().is_some_and(Vec::is_empty);
                let about = self.oracle.fed.iter().find(|fed| bare && names_place(&output, fed));
                let about = about.map(|fed| (fed.organisation.to_owned(), fed.sequence, Must::Reject));
                bare_letters += u64::from(bare);
                let Some((organisation, sequence, is)) = about.or_else(|| read(&output)) else {
                    wrong.push(format!("{topic}: an output about nothing"));
                    continue;
                };
                let Some(fed) = places.get(&(organisation.as_str(), sequence)) else {
                    wrong.push(format!("{topic}: {organisation}-{sequence} was never fed"));
                    continue;
                };
                if fed.must != is || !topic.ends_with(&format!(".{organisation}")) {
                    wrong.push(format!("{topic}: {organisation}-{sequence} is not expected there"));
                }
                if is == Must::Reject && !names_place(&output, fed) {
                    wrong.push(format!("{topic}: {organisation}-{sequence} names another place"));
                }
                if last.insert(&fed.tp, fed.offset).is_some_and(|before| before > fed.offset) {
                    wrong.push(format!("{topic}: {organisation}-{sequence} is out of order"));
                }
                *count.entry((organisation, sequence)).or_default() += 1;
            }
        }
        for fed in self.oracle.fed.iter().filter(|fed| fed.must != Must::Nothing) {
            let times = count.get(&(fed.organisation.to_owned(), fed.sequence)).copied().unwrap_or(0);
            let expected = self.oracle.expected(fed);
            if times != expected {
                let (organisation, sequence) = (fed.organisation, fed.sequence);
                wrong
                    .push(format!("{organisation}-{sequence}: {:?} {times} times, not {expected}", fed.must));
            }
        }
        if bare_letters > 0 {
            self.cover("bare dead letter");
        }
        for what in wrong {
            self.violation(what);
        }
    }
}

fn names_place(output: &Output, fed: &Fed) -> bool {
    let place = format!("{}/{}/{}", fed.tp.0, fed.tp.1, fed.offset);
    let named = output.headers.iter().find(|(name, _)| name == "noroshi-reject-id");
    named.is_some_and(|(_, value)| value.as_deref() == Some(place.as_bytes()))
}
