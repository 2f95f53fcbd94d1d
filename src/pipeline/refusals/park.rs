//! One organisation's topic that may not be written to: that organisation waits, the others go on.
//!
//! Owns who is parked, until when, and when the lane must stop instead, as pure decisions on names and milliseconds.
//! Called by `pipeline::refusals`, and by `pipeline::service` before the start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::Parking;
use crate::pipeline::cycle::Millis;
use crate::pipeline::definition::Pipeline;

/// How often a parked organisation is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParkLimits {
    /// The first time after this; then after twice the time, and so on.
    pub retry_ms: Millis,
    /// …but not after more than this.
    pub retry_max_ms: Millis,
}

impl From<&Parking> for ParkLimits {
    fn from(parking: &Parking) -> Self {
        Self { retry_ms: parking.retry_ms, retry_max_ms: parking.retry_max_ms }
    }
}

impl Default for ParkLimits {
    fn default() -> Self {
        Self::from(&Parking::default())
    }
}

/// The topics that an organisation's outputs go to; organisations without a source have no outputs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::pipeline) struct Owners(BTreeMap<usize, BTreeSet<String>>);

impl Owners {
    pub(in crate::pipeline) fn new(pipeline: &Pipeline) -> Self {
        let read: BTreeSet<usize> = pipeline.sources.iter().map(|source| source.organisation).collect();
        let topics = |at: usize| {
            let id = &pipeline.organisations.get(at)?.id;
            Some((at, BTreeSet::from([pipeline.alerts.topic(id), pipeline.rejects.topic(id)])))
        };
        Self(read.into_iter().filter_map(topics).collect())
    }
}

/// What follows from a topic that may not be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pipeline) enum Ruling {
    /// The topic is this organisation's alone.
    Park(usize),
    /// It is parked, and yet something of it was published.
    Known,
    /// Others need it too, or nobody would be left.
    Stop,
}

/// Decides who must wait; `parked` are those who do.
pub(in crate::pipeline) fn rule(topic: &str, owners: &Owners, parked: &BTreeSet<usize>) -> Ruling {
    let mut users = owners.0.iter().filter(|(_, topics)| topics.contains(topic)).map(|(at, _)| *at);
    match (users.next(), users.next()) {
        (Some(owner), None) if parked.contains(&owner) => Ruling::Known,
        (Some(owner), None) if owners.0.keys().any(|other| *other != owner && !parked.contains(other)) => {
            Ruling::Park(owner)
        }
        _ => Ruling::Stop,
    }
}

/// Why an organisation waits whose topic is not there, and what to do.
pub(in crate::pipeline) fn missing(topic: &str) -> String {
    format!("the topic `{topic}` is not there: `noroshi topics --create` makes what is missing")
}

/// An organisation that waits, or is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parked {
    pub(super) topic: Arc<str>,
    pub(super) why: String,
    /// When it is tried again; `None` while it is.
    pub(super) until: Option<Millis>,
    tries: u32,
}

/// Who is parked.
#[derive(Debug, Clone, Default)]
pub(super) struct Parks {
    limits: ParkLimits,
    parked: BTreeMap<usize, Parked>,
}

impl Parks {
    pub(super) fn new(limits: ParkLimits) -> Self {
        Self { limits, parked: BTreeMap::new() }
    }

    /// Parks an organisation, for longer each time until something of it has been published.
    pub(super) fn park(&mut self, organisation: usize, topic: &Arc<str>, why: &str, now: Millis) {
        let tries = self.parked.get(&organisation).map_or(0, |parked| parked.tries.saturating_add(1));
        let ParkLimits { retry_ms, retry_max_ms } = self.limits;
        let pause = retry_ms.saturating_mul(1 << tries.min(20)).min(retry_max_ms).max(retry_ms);
        let parked =
            Parked { topic: Arc::clone(topic), why: why.to_owned(), until: Some(now + pause), tries };
        self.parked.insert(organisation, parked);
    }

    /// Those whose time is over are tried again from here on; whether there are any. One whose topic is `absent` goes on
    /// waiting, for as long as the first time: the look costs the others nothing.
    pub(super) fn release(&mut self, now: Millis, mut absent: impl FnMut(&str) -> bool) -> bool {
        let mut any = false;
        let due = self.parked.values_mut().filter(|parked| parked.until.is_some_and(|until| now >= until));
        for parked in due {
            any = true;
            parked.until = absent(&parked.topic).then(|| {
                parked.why = missing(&parked.topic);
                now + self.limits.retry_ms
            });
        }
        any
    }

    /// Somebody asks: those who wait have waited long enough.
    pub(super) fn hurry(&mut self, now: Millis) {
        let waiting = self.parked.values_mut().filter_map(|parked| parked.until.as_mut());
        waiting.for_each(|until| *until = now.min(*until));
    }

    /// The same over a change of the pipeline, each under its new index; without those that `renamed` does not know.
    pub(super) fn carried(&self, mut renamed: impl FnMut(usize, &Parked) -> Option<usize>) -> Self {
        let parked = self.parked.iter();
        let parked = parked.filter_map(|(at, parked)| Some((renamed(*at, parked)?, parked.clone())));
        Self { limits: self.limits, parked: parked.collect() }
    }

    /// Outputs to this topic were committed: whoever was tried again is parked no more.
    pub(super) fn reached(&mut self, topic: &Arc<str>) {
        self.parked.retain(|_, parked| parked.until.is_some() || parked.topic != *topic);
    }

    /// The topics of those who are tried again.
    pub(super) fn tried(&self) -> impl Iterator<Item = &Arc<str>> {
        self.parked.values().filter(|parked| parked.until.is_none()).map(|parked| &parked.topic)
    }

    /// Those who wait, and those who are tried again.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &Parked)> {
        self.parked.iter().map(|(at, parked)| (*at, parked))
    }

    /// Those who wait.
    pub(super) fn waiting(&self) -> impl Iterator<Item = usize> {
        self.all().filter(|(_, parked)| parked.until.is_some()).map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(topics: &[&[&str]]) -> Owners {
        let owned = |topics: &[&str]| topics.iter().map(|topic| (*topic).to_owned()).collect();
        Owners(topics.iter().enumerate().map(|(at, topics)| (at, owned(topics))).collect())
    }

    #[test]
    fn who_waits_for_which_topic() {
        use Ruling::{Known, Park, Stop};
        let own = owners(&[&["a.power", "dead"], &["a.rail", "dead"], &["a.water", "dead"]]);
        let shared = owners(&[&["alerts", "dead.power"], &["alerts", "dead.rail"]]);
        let one = owners(&[&["a.power", "dead.power"]]);
        for (what, owners, topic, parked, expect) in [
            ("its own topic", &own, "a.rail", vec![], Park(1)),
            ("its own topic, another waits already", &own, "a.rail", vec![0], Park(1)),
            ("nobody would be left", &own, "a.rail", vec![0, 2], Stop),
            ("it waits already", &own, "a.rail", vec![1], Known),
            ("a shared topic of dead letters", &own, "dead", vec![], Stop),
            ("a topic of nobody", &own, "a.mill", vec![], Stop),
            ("a shared topic of alerts", &shared, "alerts", vec![], Stop),
            ("its own topic of dead letters", &shared, "dead.rail", vec![], Park(1)),
            ("the only organisation", &one, "a.power", vec![], Stop),
        ] {
            let parked = parked.into_iter().collect();
            assert_eq!(rule(topic, owners, &parked), expect, "{what}");
        }
    }

    #[test]
    fn it_is_tried_again_less_and_less_often_until_something_arrives() {
        let mut parks = Parks::new(ParkLimits { retry_ms: 10, retry_max_ms: 35 });
        let topic: Arc<str> = Arc::from("a.rail");
        let mut now = 0;
        for pause in [10, 20, 35, 35] {
            parks.park(1, &topic, "denied", now);
            assert_eq!(parks.waiting().collect::<Vec<_>>(), [1]);
            parks.reached(&topic);
            assert!(!parks.release(now + pause - 1, |_| false), "{pause}");
            now += pause;
            assert!(parks.release(now, |_| false) && !parks.release(now, |_| false), "{pause}");
            assert_eq!((parks.waiting().count(), parks.tried().count()), (0, 1));
        }
        parks.reached(&Arc::from("a.power"));
        assert_eq!(parks.tried().count(), 1);
        parks.reached(&topic);
        assert_eq!(parks.tried().count(), 0);
        parks.park(1, &topic, "denied", now);
        assert!(parks.release(now + 10, |_| false), "it begins anew");
    }

    #[test]
    fn a_topic_that_is_not_there_is_looked_for_without_a_try() {
        let mut parks = Parks::new(ParkLimits { retry_ms: 10, retry_max_ms: 100 });
        parks.park(1, &Arc::from("a.rail"), "denied", 0);
        let mut until = 10;
        for _ in 0..3 {
            assert!(parks.release(until, |topic| topic == "a.rail"));
            until += 10;
            let (_, parked) = parks.all().next().expect("it waits");
            assert_eq!((parked.until, &*parked.why), (Some(until), &*missing("a.rail")));
        }
        assert!(parks.release(until, |_| false));
        assert_eq!((parks.waiting().count(), parks.tried().count()), (0, 1));
    }

    #[test]
    fn somebody_who_asks_shortens_every_wait_and_makes_none_longer() {
        let mut parks = Parks::new(ParkLimits { retry_ms: 10, retry_max_ms: 100 });
        parks.park(1, &Arc::from("a.rail"), "denied", 0);
        parks.park(2, &Arc::from("a.water"), "denied", 5);
        parks.release(10, |_| false);
        parks.hurry(7);
        assert_eq!(parks.all().map(|(_, parked)| parked.until).collect::<Vec<_>>(), [None, Some(7)]);
        parks.hurry(9);
        assert_eq!(parks.all().map(|(_, parked)| parked.until).collect::<Vec<_>>(), [None, Some(7)]);
    }
}
