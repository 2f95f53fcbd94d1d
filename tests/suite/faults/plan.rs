//! What a seed means: the way to the broker, the group's protocol, how the input is written, how many processes, which
//! faults in which order.
//!
//! Owns the choice alone: no broker, no process, no clock. The same seed is the same plan everywhere.

use std::fmt;

/// What befalls a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// SIGKILL of a process that has work.
    Kill,
    /// A process dies at a named point of its transaction.
    Crash,
    /// SIGSTOP for longer than the session, then SIGCONT.
    StandStill,
    /// SIGTERM.
    Stop,
    /// One more process, or one less when there are three.
    JoinOrLeave,
    /// The end of a transaction never arrives.
    LoseRequest,
    /// Its answer never comes back.
    LoseAnswer,
    /// Its answer is late.
    DelayAnswer,
    /// It arrives after its connection is gone.
    LateRequest,
    /// A commit hangs for longer than a transaction may take: the process gives it up.
    HangCommit,
    /// A process stands still in a transaction until the broker has aborted it.
    Outsleep,
    /// A lane waits for an answer for longer than `max.poll.interval.ms`.
    MissPolls,
    /// SIGKILL of the broker with a transaction under way, and a new start.
    KillBroker,
    /// The rights to the topic of alerts, the transactional ids or the group are taken away, and given back.
    Forbid,
    /// The right to one organisation's own topic of alerts is taken away, and given back; or it is deleted, and made anew.
    Park,
    /// A process with a running one's name and a wrong password.
    WrongPassword,
    /// The user's password is changed, or taken away, and all connections break; then it is put back.
    ChangePassword,
    /// Another rule set, under load.
    Reload,
    /// A faulty one, and a sound one again.
    BadReload,
    /// A record whose alert is too large for its topic.
    Refuse,
}

impl Kind {
    /// All of them; a round's seed says which one it has for sure.
    pub const ALL: [Self; 20] = [
        Self::Kill,
        Self::LoseAnswer,
        Self::Crash,
        Self::KillBroker,
        Self::StandStill,
        Self::HangCommit,
        Self::Stop,
        Self::LateRequest,
        Self::Outsleep,
        Self::JoinOrLeave,
        Self::MissPolls,
        Self::LoseRequest,
        Self::DelayAnswer,
        Self::Forbid,
        Self::Reload,
        Self::WrongPassword,
        Self::Refuse,
        Self::ChangePassword,
        Self::BadReload,
        Self::Park,
    ];

    /// Needs a proxy that reads the requests.
    fn aims(self) -> bool {
        use Kind::{DelayAnswer, HangCommit, LateRequest, LoseAnswer, LoseRequest, MissPolls, Outsleep};
        matches!(
            self,
            LoseRequest | LoseAnswer | DelayAnswer | LateRequest | HangCommit | Outsleep | MissPolls
        )
    }

    /// Needs a user who logs in, and has rights that can be taken away.
    fn logs_in(self) -> bool {
        matches!(self, Self::Forbid | Self::Park | Self::WrongPassword | Self::ChangePassword)
    }

    fn fits(self, way: Way) -> bool {
        !(self.aims() && way == Way::Tls || self.logs_in() && way == Way::Plain)
    }

    /// Needs transactions that time out soon.
    fn is_impatient(self) -> bool {
        matches!(self, Self::HangCommit | Self::Outsleep)
    }
}

/// How the processes come to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Without any security.
    Plain,
    /// As a user with a password (SCRAM) and just the rights that it needs.
    Scram,
    /// The same over TLS: no proxy reads it.
    Tls,
}

impl Way {
    /// All of them, the first twice as often as each other one.
    const CHOICE: [Self; 4] = [Self::Plain, Self::Plain, Self::Scram, Self::Tls];
}

/// Small and seeded; the same numbers on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).expect("31 bits") % below
    }
}

/// A round as its seed wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub seed: u64,
    pub way: Way,
    /// `classic` or `consumer`.
    pub protocol: &'static str,
    /// Whether the input is written in transactions, some of them aborted.
    pub transactional: bool,
    /// Processes at the beginning.
    pub processes: usize,
    pub faults: Vec<Kind>,
}

impl Plan {
    /// The plan of a seed, and the rest of its chance.
    pub fn of(seed: u64) -> (Self, Random) {
        let mut random = Random::new(seed);
        let count = Kind::ALL.len();
        let sure = Kind::ALL[usize::try_from(seed % count as u64).expect("few")];
        let ways: Vec<Way> = Way::CHOICE.into_iter().filter(|way| sure.fits(*way)).collect();
        let way = ways[random.next(ways.len())];
        let protocol = if random.next(3) == 0 { "consumer" } else { "classic" };
        let transactional = random.next(2) == 0;
        let processes = 2 + usize::from(random.next(3) == 0);
        // A broker takes its time to come back: one such fault is enough, and not with transactions that time out soon.
        let fits = |kind: Kind| {
            let slow = kind == Kind::KillBroker || sure == Kind::KillBroker && kind.is_impatient();
            kind.fits(way) && !slow
        };
        let mut faults = vec![sure];
        let wanted = 2 + random.next(2);
        while faults.len() < wanted {
            let kind = Kind::ALL[random.next(count)];
            if fits(kind) {
                faults.push(kind);
            }
        }
        // The sure one is not always the first.
        let at = random.next(faults.len());
        faults.swap(0, at);
        (Self { seed, way, protocol, transactional, processes, faults }, random)
    }

    pub fn has(&self, kind: Kind) -> bool {
        self.faults.contains(&kind)
    }

    /// Whether its transactions time out soon.
    pub fn is_impatient(&self) -> bool {
        self.faults.iter().any(|kind| kind.is_impatient())
    }

    /// Settings of all its processes.
    pub fn settings(&self) -> Vec<String> {
        let consumer = |name: &str, value: u32| format!("kafka.consumer.properties.\"{name}\"={value}");
        let mut settings: Vec<String> =
            ["http.listen=127.0.0.1:0", "epoch.interval_ms=20", "epoch.records_max=40"]
                .map(str::to_owned)
                .into();
        let timeout = if self.is_impatient() { TRANSACTION_MS_SHORT } else { TRANSACTION_MS };
        settings.push(format!("transaction.timeout_ms={timeout}"));
        settings.push(format!("kafka.group_protocol={}", self.protocol));
        if self.protocol == "classic" {
            settings.push(consumer("session.timeout.ms", SESSION_MS));
            settings.push(consumer("heartbeat.interval.ms", 500));
        }
        if self.has(Kind::Reload) || self.has(Kind::BadReload) {
            settings.push("reload.interval_ms=500".to_owned());
        }
        if self.has(Kind::Park) {
            settings.extend(["parking.retry_ms=500", "parking.retry_max_ms=500"].map(str::to_owned));
        }
        if self.has(Kind::MissPolls) {
            settings.push(consumer("max.poll.interval.ms", POLL_INTERVAL_MS));
        }
        settings
    }
}

/// A member that is silent for so long is gone; the loop's broker knows it for the newer protocol.
pub const SESSION_MS: u32 = 3_000;
/// `max.poll.interval.ms` where it is to be missed; less than the session it must not be.
pub const POLL_INTERVAL_MS: u32 = 3_000;
/// `transaction.timeout_ms`: a process that comes back with fewer lanes leaves a transaction open for so long.
pub const TRANSACTION_MS: u32 = 8_000;
/// The same where it is to pass.
pub const TRANSACTION_MS_SHORT: u32 = 2_000;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, way, protocol, transactional, processes, faults } = self;
        let input = if *transactional { "in transactions, some aborted" } else { "plain" };
        write!(
            f,
            "again with NOROSHI_FAULT_SEED={seed} NOROSHI_FAULT_ROUNDS=1: way {way:?}, protocol {protocol}, input {input}, \
             {processes} at first, {faults:?}"
        )
    }
}

mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_plan() {
        assert_eq!(Plan::of(7).0, Plan::of(7).0);
        let plans: Vec<Plan> = (1..=super::super::ROUNDS).map(|seed| Plan::of(seed).0).collect();
        for kind in Kind::ALL {
            assert!(plans.iter().any(|plan| plan.has(kind)), "{kind:?} is in none");
        }
        for of in [|plan: &Plan| plan.transactional, |plan: &Plan| plan.protocol == "consumer"] {
            let some = plans.iter().filter(|plan| of(plan)).count();
            assert!((3..plans.len() - 3).contains(&some), "{some} of {}", plans.len());
        }
        assert!(plans.iter().all(|plan| !(plan.has(Kind::KillBroker) && plan.is_impatient())));
        for way in Way::CHOICE {
            let some = plans.iter().filter(|plan| plan.way == way).count();
            assert!(some >= 3, "{some} {way:?} of {}", plans.len());
        }
        assert!(plans.iter().all(|plan| plan.faults.iter().all(|kind| kind.fits(plan.way))));
    }
}
