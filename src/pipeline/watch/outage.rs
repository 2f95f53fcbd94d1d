//! How an outage of the brokers is told: when it begins, now and then while it lasts, and when it is over.
//!
//! Owns when there is something to say; time is handed in. librdkafka reports the same loss several times a second and
//! in several wordings, and nothing when all is well again. Called by `pipeline::watch`.

use std::time::{Duration, Instant};

/// A lasting outage is told again after this time.
pub(super) const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// What librdkafka calls the errors of connections, in the texts that a lane passes on.
const CONNECTION: &[&str] = &["BrokerTransportFailure", "AllBrokersDown", "Resolve"];

/// True for the report of a lost connection; false for others, such as a right that is missing.
pub(super) fn is_connection(what: &str) -> bool {
    CONNECTION.iter().any(|name| what.contains(name))
}

/// One lane's view of the brokers.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// When trouble began.
    began: Option<Instant>,
    /// When it was last reported.
    last: Option<Instant>,
    /// When it was last told.
    told: Option<Instant>,
    /// No broker is connected, by librdkafka's statistics: these also tell when one is again.
    silent: bool,
}

impl Outage {
    /// A report of trouble; true when it is to be told now.
    pub(super) fn reported(&mut self, now: Instant) -> bool {
        self.began.get_or_insert(now);
        self.last = Some(now);
        let due = self.told.is_none_or(|told| now.duration_since(told) >= AGAIN_AFTER);
        if due {
            self.told = Some(now);
        }
        due
    }

    /// No broker is connected; true when it is to be told now.
    pub(super) fn silent(&mut self, now: Instant) -> bool {
        self.silent = true;
        self.reported(now)
    }

    /// A broker has answered: how long there was trouble, when there was.
    pub(super) fn answered(&mut self, now: Instant) -> Option<Duration> {
        let began = self.began.take()?;
        // Without word from the statistics it lasted as long as it was reported.
        let end = if self.silent { Some(now) } else { self.last };
        // The next outage is told at once.
        *self = Self::default();
        end.map(|end| end.duration_since(began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports at these seconds; which are told.
    fn told(outage: &mut Outage, start: Instant, seconds: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let told = seconds.into_iter();
        told.filter(|at| outage.reported(start + Duration::from_secs(*at))).collect()
    }

    #[test]
    fn an_outage_is_told_at_once_then_now_and_then_and_when_it_is_over() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut outage = Outage::default();
        assert_eq!(outage.answered(start), None, "nothing was wrong");
        assert_eq!(told(&mut outage, start, 0..=95), [0, 30, 60, 90]);
        assert!(!outage.silent(after(96)));
        assert_eq!(outage.answered(after(100)), Some(Duration::from_secs(100)));
        assert_eq!(outage.answered(after(101)), None, "it is over once");
        assert_eq!(told(&mut outage, start, 101..=104), [101]);
        // The statistics saw nothing of it: an epoch much later is no measure.
        assert_eq!(outage.answered(after(400)), Some(Duration::from_secs(3)));
        assert!(outage.silent(after(401)));
    }

    #[test]
    fn lost_connections_are_told_from_other_trouble() {
        for (what, expect) in [
            (
                "Global error: BrokerTransportFailure (Local: Broker transport failure) (localhost:9092/1: refused)",
                true,
            ),
            (
                "Global error: AllBrokersDown (Local: All broker connections are down) (1/1 brokers are down)",
                true,
            ),
            ("Global error: Resolve (Local: Host resolution failure) (nowhere:9092)", true),
            ("Global error: TopicAuthorizationFailed (Broker: Topic authorization failed) (in)", false),
            ("Global error: SaslAuthenticationFailed (…)", false),
        ] {
            assert_eq!(is_connection(what), expect, "{what}");
        }
    }
}
