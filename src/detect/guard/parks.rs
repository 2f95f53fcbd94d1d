//! The rules of a set that are parked, for all lanes that run it.
//!
//! Owns that a rule which one lane has parked is parked for all of them at once: what a lane asks for each rule and batch is
//! one load. And that each organisation is told once, by the lane that takes it upon itself; a lane whose epoch does not come
//! about gives that back. Filled by `detect::guard::turn`; asked by it, `pipeline::outlets` and `pipeline::watch`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Reason;
use crate::record::{OrgId, TimeMicros};

/// A rule that is parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRule {
    /// Index of the rule in its set.
    pub rule: usize,
    /// Why.
    pub reason: Reason,
    /// The same in numbers, without anything of any event: one line for people.
    pub why: String,
    /// Since when.
    pub since: TimeMicros,
}

#[derive(Debug, Clone)]
struct Entry {
    parked: ParkedRule,
    /// The organisations that a lane is about to tell; true for those that it has told, in an epoch that is committed.
    told: BTreeMap<OrgId, bool>,
    /// It has been counted and written into the log.
    noted: bool,
}

/// Which rules of a set are parked.
#[derive(Debug, Default)]
pub struct Parks {
    flags: Box<[AtomicBool]>,
    count: AtomicUsize,
    entries: Mutex<BTreeMap<usize, Entry>>,
}

impl Parks {
    /// For a set of so many rules; none is parked.
    pub fn new(rules: usize) -> Self {
        Self { flags: (0..rules).map(|_| AtomicBool::new(false)).collect(), ..Self::default() }
    }

    /// Of how many rules the set is.
    pub fn rules(&self) -> usize {
        self.flags.len()
    }

    /// How many rules are parked.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether this rule is parked.
    pub fn is_parked(&self, rule: usize) -> bool {
        self.flags.get(rule).is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// Parks a rule, unless it is parked already.
    pub fn park(&self, parked: ParkedRule) {
        self.add(Entry { parked, told: BTreeMap::new(), noted: false });
    }

    /// All that are parked, by index.
    pub fn all(&self) -> Vec<ParkedRule> {
        self.entries().values().map(|entry| entry.parked.clone()).collect()
    }

    /// Those that nobody has asked for in this way before.
    pub fn take_new(&self) -> Vec<ParkedRule> {
        let mut entries = self.entries();
        let new = entries.values_mut().filter(|entry| !entry.noted);
        new.map(|entry| {
            entry.noted = true;
            entry.parked.clone()
        })
        .collect()
    }

    /// Those that are parked in a set that went before stay so, as far as they are rules of this set: `same` says which of
    /// this set a rule of that one is.
    pub fn inherit(&self, former: &Self, same: impl Fn(usize) -> Option<usize>) {
        if former.count() == 0 {
            return;
        }
        let known: Vec<Entry> = former.entries().values().cloned().collect();
        for mut entry in known {
            if let Some(rule) = same(entry.parked.rule) {
                entry.parked.rule = rule;
                // What is in flight may not arrive: rather twice, with one id, than never.
                entry.told.retain(|_, arrived| *arrived);
                self.add(entry);
            }
        }
    }

    fn add(&self, entry: Entry) {
        let rule = entry.parked.rule;
        let Some(flag) = self.flags.get(rule) else { return };
        let mut entries = self.entries();
        match entries.entry(rule) {
            Vacant(vacant) => {
                vacant.insert(entry);
            }
            // Whoever parks it first says why.
            Occupied(mut known) => {
                known.get_mut().told.extend(entry.told);
                known.get_mut().noted |= entry.noted;
            }
        }
        self.count.store(entries.len(), Ordering::Release);
        flag.store(true, Ordering::Relaxed);
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<usize, Entry>> {
        // Each change is whole before anything can panic.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a lane has taken upon itself to tell: it leaves with an epoch, or goes back.
#[derive(Debug, Default)]
pub struct Tickets {
    open: Vec<Ticket>,
    sealed: Vec<Ticket>,
}

#[derive(Debug)]
struct Ticket {
    parks: Arc<Parks>,
    rule: usize,
    organisation: OrgId,
}

impl Tickets {
    /// Whether this lane shall tell the organisation, with the epoch that is open.
    pub fn take(&mut self, parks: &Arc<Parks>, rule: usize, organisation: &OrgId) -> bool {
        let mut entries = parks.entries();
        let Some(entry) = entries.get_mut(&rule) else { return false };
        let new = !entry.told.contains_key(organisation);
        if new {
            entry.told.insert(organisation.clone(), false);
            self.open.push(Ticket { parks: Arc::clone(parks), rule, organisation: organisation.clone() });
        }
        new
    }

    /// The open epoch goes to the sink.
    pub fn seal(&mut self) {
        self.sealed.append(&mut self.open);
    }

    /// The epoch in flight is committed.
    pub fn committed(&mut self) {
        for Ticket { parks, rule, organisation } in self.sealed.drain(..) {
            if let Some(entry) = parks.entries().get_mut(&rule) {
                entry.told.insert(organisation, true);
            }
        }
    }

    /// The open epoch is thrown away.
    pub fn discard(&mut self) {
        give_back(&mut self.open);
    }

    /// All that is not committed is thrown away.
    pub fn rewind(&mut self) {
        give_back(&mut self.open);
        give_back(&mut self.sealed);
    }
}

impl Drop for Tickets {
    fn drop(&mut self) {
        self.rewind();
    }
}

fn give_back(tickets: &mut Vec<Ticket>) {
    for Ticket { parks, rule, organisation } in tickets.drain(..) {
        if let Some(entry) = parks.entries().get_mut(&rule) {
            entry.told.remove(&organisation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parked(rule: usize) -> ParkedRule {
        ParkedRule { rule, reason: Reason::Time, why: "slow".into(), since: 7 }
    }

    #[test]
    fn a_rule_is_parked_once_and_for_all() {
        let parks = Parks::new(3);
        assert_eq!((parks.count(), parks.is_parked(1)), (0, false));
        parks.park(parked(1));
        parks.park(ParkedRule { reason: Reason::Rows, ..parked(1) });
        parks.park(parked(9));
        assert_eq!((parks.count(), parks.is_parked(1), parks.is_parked(0)), (1, true, false));
        assert_eq!(parks.all(), [parked(1)], "the first reason stays");
        assert_eq!((parks.take_new().len(), parks.take_new().len()), (1, 0));
    }

    #[test]
    fn what_is_parked_stays_so_in_the_next_set_while_it_is_the_same_rule() {
        let (former, next) = (Parks::new(3), Arc::new(Parks::new(2)));
        let former = Arc::new(former);
        former.park(parked(0));
        former.park(parked(2));
        former.take_new();
        let told = OrgId::new("power");
        let mut tickets = Tickets::default();
        assert!(tickets.take(&former, 2, &told));
        tickets.seal();
        tickets.committed();
        // The first is gone or another one; the third is the second now.
        next.inherit(&former, |rule| (rule == 2).then_some(1));
        assert_eq!(next.all(), [parked(1)]);
        assert!(next.take_new().is_empty(), "it was told");
        assert!(!tickets.take(&next, 1, &told));
        // What becomes of the former set while the next one is offered already.
        let (rail, port) = (OrgId::new("rail"), OrgId::new("port"));
        assert!(tickets.take(&former, 2, &rail));
        tickets.seal();
        tickets.committed();
        assert!(tickets.take(&former, 2, &port));
        next.inherit(&former, |rule| (rule == 2).then_some(1));
        assert_eq!(next.all(), [parked(1)]);
        assert!(!tickets.take(&next, 1, &rail), "it was told meanwhile");
        assert!(tickets.take(&next, 1, &port), "nobody knows whether it will be");
    }

    /// I-1: each organisation is told in an epoch that is committed, once.
    #[test]
    fn what_does_not_leave_is_told_again() {
        let parks = Arc::new(Parks::new(1));
        parks.park(parked(0));
        let (power, rail) = (OrgId::new("power"), OrgId::new("rail"));
        let (mut one, mut two) = (Tickets::default(), Tickets::default());
        assert!(one.take(&parks, 0, &power));
        assert!(!two.take(&parks, 0, &power), "another lane does it");
        one.discard();
        assert!(two.take(&parks, 0, &power), "the other lane does not");
        two.seal();
        assert!(two.take(&parks, 0, &rail));
        two.discard();
        assert!(!one.take(&parks, 0, &power), "it is in flight");
        assert!(one.take(&parks, 0, &rail));
        one.seal();
        one.committed();
        two.rewind();
        assert!(one.take(&parks, 0, &power), "it was not committed");
        drop(one);
        assert!(two.take(&parks, 0, &power), "a lane that ends has not told");
        assert!(!two.take(&parks, 0, &rail));
    }
}
