//! What a seed stands for: the shape of the run, how often the wire fails, which faults come when.

use super::Millis;
use super::rng::Rng;
use crate::sink::transaction::Call;

/// What happens to a process, or to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// SIGKILL, and a restart of the same name after some time.
    Crash { process: usize },
    /// SIGKILL at the next call of this kind.
    CrashAt { process: usize, call: Call, at: Point },
    /// SIGSTOP, then SIGCONT.
    Pause { process: usize, for_ms: Millis },
    /// SIGSTOP; another process of the same name starts; SIGCONT.
    Double { process: usize, for_ms: Millis },
    /// SIGTERM, and a restart.
    Stop { process: usize },
    /// SIGTERM twice.
    StopNow { process: usize },
    /// Nobody reaches the broker.
    Outage { for_ms: Millis },
}

/// Where in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    Before,
    /// The broker has taken the request, the answer is under way.
    Between,
    After,
}

/// How often a request meets what, in a thousand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wire {
    /// It is lost.
    pub(super) lost: u64,
    /// Its answer is lost, or comes when nobody waits for it.
    pub(super) answer_lost: u64,
    /// It arrives when its sender has long tried again, and been answered.
    pub(super) delayed: u64,
    /// It arrives twice.
    pub(super) doubled: u64,
    /// The client hands the doubt on instead of trying again by itself.
    pub(super) told: u64,
}

/// The shape of a run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) cooperative: bool,
    pub(super) processes: usize,
    pub(super) lanes: u32,
    pub(super) partitions: i32,
    pub(super) interval_ms: Millis,
    pub(super) records_max: u64,
    pub(super) bytes_max: u64,
    pub(super) records: u64,
    pub(super) wire: Wire,
    pub(super) faults: Vec<(Millis, Fault)>,
    /// When a process joins for the first time.
    pub(super) starts: Vec<Millis>,
    /// How long a client waits for an answer before it asks again.
    pub(super) answer_ms: Millis,
    /// How long the client's counters may be out of date.
    pub(super) counters_ms: Millis,
    pub(super) revoke_deadline_ms: Millis,
    /// What output topics refuse.
    pub(super) refused: Refused,
    /// The alert topic of an organisation may not be written to, from when to when.
    pub(super) denied: Option<(usize, Millis, Millis)>,
    pub(super) retry_ms: Millis,
}

/// What output topics refuse for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Nothing,
    /// Alerts of fat records.
    FatAlerts,
    /// Their dead letters too, with the record in it.
    Fat,
    /// Batches of more bytes than this, which one alert never has.
    Batches(usize),
}

/// Faults stop here; then everything must come to rest.
pub(super) const CHAOS_MS: Millis = 20_000;
/// After so long a silence the group goes on without a member.
pub(super) const SESSION_MS: Millis = 3_000;
/// The broker aborts a transaction that is open for longer.
pub(super) const TXN_TIMEOUT_MS: Millis = 6_000;

impl Plan {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let processes = rng.pick(&[1, 2, 2, 3]);
        let (quiet, some, many) = (0, 20, 120);
        let mut rate = || rng.pick(&[quiet, quiet, some, some, many]);
        let wire =
            Wire { lost: rate(), answer_lost: rate(), delayed: rate(), doubled: rate(), told: 3 * rate() };
        let count = rng.below(6);
        let mut faults: Vec<(Millis, Fault)> =
            (0..count).map(|_| (rng.below(CHAOS_MS), fault(rng, processes))).collect();
        faults.sort_by_key(|(at, _)| *at);
        let plan = Self {
            cooperative: rng.per_mille(600),
            processes,
            lanes: u32::try_from(rng.between(1, 3)).unwrap_or(1),
            partitions: rng.pick(&[1, 2, 2, 3]),
            interval_ms: rng.pick(&[20, 200, 200, 1_000]),
            records_max: rng.pick(&[3, 10, 1_000]),
            bytes_max: rng.pick(&[600, 3_000, 1 << 20]),
            records: rng.between(20, 70),
            wire,
            faults,
            starts: (0..processes).map(|_| rng.pick(&[0, 0, 500, 8_000])).collect(),
            answer_ms: rng.pick(&[100, 500, 1_500]),
            counters_ms: rng.pick(&[1, 500]),
            revoke_deadline_ms: rng.pick(&[100, SESSION_MS / 2]),
            refused: Refused::Nothing,
            denied: None,
            retry_ms: rng.pick(&[300, 2_000]),
        };
        let refused = [Refused::Nothing, Refused::FatAlerts, Refused::Fat, Refused::Batches(9_000)];
        let from = rng.below(CHAOS_MS / 2);
        let denied = (rng.index(2), from, from + rng.below(CHAOS_MS - from));
        Self { refused: rng.pick(&refused), denied: rng.per_mille(300).then_some(denied), ..plan }
    }
}

fn fault(rng: &mut Rng, processes: usize) -> Fault {
    let process = rng.index(processes);
    let calls = [
        Call::Begin,
        Call::Produce,
        Call::SendOffsets,
        Call::Commit,
        Call::Commit,
        Call::Abort,
        Call::Replace,
    ];
    let pauses = [500, 2_500, 4_000, 9_000];
    match rng.below(11) {
        0..2 => Fault::Crash { process },
        2..5 => Fault::CrashAt {
            process,
            call: rng.pick(&calls),
            at: rng.pick(&[Point::Before, Point::Between, Point::After]),
        },
        5..7 => Fault::Pause { process, for_ms: rng.pick(&pauses) },
        7 => Fault::Double { process, for_ms: rng.pick(&pauses) },
        8 => Fault::Stop { process },
        9 => Fault::StopNow { process },
        _ => Fault::Outage { for_ms: rng.pick(&[300, 2_000, 7_000]) },
    }
}
