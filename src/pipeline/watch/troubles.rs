//! Troubles of topics and partitions → metrics, health and the log.
//!
//! Owns what is counted and said when one begins and ends: once for the process, although each lane may see it. What a
//! trouble is, is `source::troubles`'s. Called by `pipeline::watch`.

use super::Observed;
use crate::observe::health::TroubleStatus;
use crate::source::PartitionStatus;
use crate::source::troubles::TroubleNote;

/// What is wrong with a partition, or with its topic: the kind.
pub(super) fn of(troubles: &[TroubleNote], partition: &PartitionStatus) -> Option<&'static str> {
    let its_own = |note: &&TroubleNote| {
        note.topic == partition.topic && note.partition.is_none_or(|number| number == partition.partition)
    };
    // One of its own says more than one of its topic, and is listed behind it.
    troubles.iter().rfind(its_own).map(|note| note.trouble.kind())
}

/// Tells what has changed for a lane from `before` to `now`.
pub(super) fn tell(observed: &Observed, lane: u32, before: &[TroubleNote], now: &[TroubleNote]) {
    let Observed { metrics, health } = observed;
    for note in now.iter().filter(|note| !before.contains(note)) {
        if let (Some(partition), lost @ 1..) = (note.partition, note.trouble.lost()) {
            metrics.lost(&note.topic, partition, lost);
        }
    }
    let status = |note: &TroubleNote| TroubleStatus {
        kind: note.trouble.kind(),
        topic: note.topic.to_string(),
        partition: note.partition,
        message: note.to_string(),
    };
    let (begun, over) = health.troubles(lane, now.iter().map(status).collect());
    for TroubleStatus { kind, topic, partition, message } in begun {
        metrics.trouble(kind, &topic);
        health.error(kind, &message);
        tracing::warn!(lane, kind, topic, partition, "Trouble with the input: {message}.");
    }
    for TroubleStatus { kind, topic, partition, .. } in over {
        tracing::info!(lane, kind, topic, partition, "A trouble with the input is over.");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Watch;
    use super::super::tests::watch;
    use super::*;
    use crate::pipeline::lane::LaneEvents;
    use crate::source::troubles::Trouble;

    fn note(topic: &str, partition: Option<i32>, trouble: Trouble) -> TroubleNote {
        TroubleNote { topic: Arc::from(topic), partition, trouble }
    }

    fn has(watch: &Watch, line: &str) -> bool {
        watch.observed.metrics.encode().lines().any(|found| found == line)
    }

    #[test]
    fn a_trouble_is_counted_and_shown_once_until_it_is_over() {
        let mut lane = watch();
        let mut other = Watch { lane: 1, ..watch() };
        other.observed = lane.observed.clone();
        let missing = note("in.a", None, Trouble::Missing);
        let gone = note("in.b", Some(3), Trouble::OutOfRange { next: 5, low: 12, high: 40 });
        lane.troubled(std::slice::from_ref(&missing));
        other.troubled(std::slice::from_ref(&missing));
        lane.troubled(&[missing.clone(), gone.clone()]);
        lane.troubled(&[missing.clone(), gone.clone()]);
        for line in [
            "noroshi_troubles_total{kind=\"missing\",topic=\"in.a\"} 1",
            "noroshi_troubles_total{kind=\"out_of_range\",topic=\"in.b\"} 1",
            "noroshi_lost_records_total{topic=\"in.b\",partition=\"3\"} 7",
        ] {
            assert!(has(&lane, line), "{line} is not in\n{}", lane.observed.metrics.encode());
        }
        let health = Arc::clone(&lane.observed.health);
        let shown = health.status()["troubles"].clone();
        assert_eq!(shown[0]["kind"], "missing");
        assert_eq!((&shown[1]["topic"], &shown[1]["partition"]), (&"in.b".into(), &3.into()));
        assert_eq!(shown.as_array().map(Vec::len), Some(2), "{shown}");
        let ready = || health.ready().err().unwrap_or_default();
        let told = |ready: &[String]| ready.iter().filter(|why| why.contains("`in.a` is not there")).count();
        assert_eq!(told(&ready()), 1, "{:?}", ready());
        // For one lane it is over; not yet for the other.
        lane.troubled(&[]);
        assert_eq!(told(&ready()), 1, "{:?}", ready());
        other.troubled(&[]);
        assert_eq!(told(&ready()), 0, "{:?}", ready());
        lane.troubled(&[missing]);
        assert!(has(&lane, "noroshi_troubles_total{kind=\"missing\",topic=\"in.a\"} 2"));
    }

    #[test]
    fn a_partition_shows_its_own_trouble_or_that_of_its_topic() {
        let troubles = [
            note("a", None, Trouble::Recreated),
            note("a", Some(1), Trouble::HeldBack { at: 7 }),
            note("b", Some(1), Trouble::HeldBack { at: 7 }),
        ];
        for (topic, partition, expect) in [
            ("a", 0, Some("recreated")),
            ("a", 1, Some("held_back")),
            ("b", 0, None),
            ("b", 1, Some("held_back")),
        ] {
            let topic: Arc<str> = Arc::from(topic);
            let status = PartitionStatus {
                topic,
                partition,
                next: 0,
                committed: None,
                end: None,
                held_back: 0,
                lag: None,
                held: false,
                blocked: None,
            };
            assert_eq!(of(&troubles, &status), expect, "{status:?}");
        }
    }
}
