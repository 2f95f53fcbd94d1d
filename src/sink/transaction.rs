//! The outcome of each transaction call, as a pure table.
//!
//! Owns what follows from a producer call that failed: try again, abort, replace the producer, give up. The
//! contract is librdkafka's ("Transactional producer API"): a fatal error, or one without any flag, means a
//! new producer; `requires abort` means abort and rewind; `retriable` means the same call again. `sink::kafka`
//! makes the calls.

/// A producer call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// Begin the transaction.
    Begin,
    /// Enqueue everything, wait for the delivery reports.
    Produce,
    /// Add the input offsets.
    SendOffsets,
    /// Commit.
    Commit,
    /// Abort.
    Abort,
    /// A new producer of the same transactional id, initialised: fences everything the old one left behind.
    Replace,
}

/// What a call returned, reduced to what matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It worked.
    Ok,
    /// The same call may be made again.
    Retry,
    /// Only an abort helps; nothing of the transaction is visible.
    Abort,
    /// The producer is dead, or the error says nothing: only a new producer helps.
    Fatal,
    /// Another producer of the same id has taken over.
    Fenced,
    /// The broker refuses for a reason that trying again does not change: no rights, no such topic.
    Refused,
}

/// The facts of an error as librdkafka states them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Facts {
    /// `is_fatal`.
    pub fatal: bool,
    /// `txn_requires_abort`.
    pub requires_abort: bool,
    /// `is_retriable`.
    pub retriable: bool,
    /// The code is `_FENCED`, `PRODUCER_FENCED` or `INVALID_PRODUCER_EPOCH`.
    pub fenced: bool,
    /// The code names missing rights, or a topic that is not there.
    pub refused: bool,
}

/// Classifies an error.
pub fn verdict(facts: Facts) -> Verdict {
    match facts {
        Facts { fenced: true, .. } => Verdict::Fenced,
        Facts { refused: true, .. } => Verdict::Refused,
        Facts { fatal: true, .. } => Verdict::Fatal,
        Facts { requires_abort: true, .. } => Verdict::Abort,
        Facts { retriable: true, .. } => Verdict::Retry,
        _ => Verdict::Fatal,
    }
}

/// How a transaction ends, or the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Next {
    /// Make this call.
    Call(Call),
    /// Everything is visible.
    Committed,
    /// Nothing is visible.
    Aborted,
    /// Not known what became of it, but the new producer has fenced it: the group's offsets tell.
    Indefinite,
    /// Another process has taken over.
    Fenced,
    /// It cannot go on.
    Refused,
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Progress {
    /// The last call made.
    pub call: Call,
    /// True once the transaction has begun: before that there is nothing to lose.
    pub begun: bool,
    /// True once the producer was replaced.
    pub replaced: bool,
    /// True once a commit has been sent: from then on only a definite answer ends it.
    pub commit_sent: bool,
    /// True when the time for trying again is over.
    pub out_of_time: bool,
}

/// The first call of a transaction. A tainted producer may have a request under way that nobody waits for any more,
/// and that could end this transaction instead of its own (Jepsen on Kafka); a new one of the same id fences it.
pub fn first(tainted: bool) -> Call {
    if tainted { Call::Replace } else { Call::Begin }
}

/// Whether a producer is tainted by a call's verdict: the outcome of a request that moves the transaction is not
/// definite, or was not at first. What librdkafka retries by itself it tells in its statistics alone. Records that were
/// refused taint it as well: their numbers are missing in its sequence, and the broker would refuse those that follow.
pub fn taints(call: Call, verdict: Verdict) -> bool {
    match call {
        Call::Produce => verdict == Verdict::Abort,
        _ => moves(call) && !matches!(verdict, Verdict::Ok | Verdict::Abort),
    }
}

/// Whether a call's request moves the transaction, so that a copy of it that comes late could move another.
pub fn moves(call: Call) -> bool {
    match call {
        Call::SendOffsets | Call::Commit | Call::Abort => true,
        // Records that did not arrive make the transaction abort; they are part of no other.
        Call::Begin | Call::Produce | Call::Replace => false,
    }
}

/// What follows from a call's verdict.
pub fn next(progress: Progress, verdict: Verdict) -> Next {
    use Call::{Abort, Begin, Commit, Produce, Replace, SendOffsets};
    let Progress { call, begun, replaced, commit_sent, out_of_time } = progress;
    match (call, verdict) {
        (_, Verdict::Fenced) => Next::Fenced,
        (Begin, Verdict::Ok) => Next::Call(Produce),
        (Produce, Verdict::Ok) => Next::Call(SendOffsets),
        (SendOffsets, Verdict::Ok) => Next::Call(Commit),
        (Commit, Verdict::Ok) => Next::Committed,
        // librdkafka turns a commit into an abort only when the commit has not taken effect.
        (Abort, Verdict::Ok) => Next::Aborted,
        (Replace, Verdict::Ok) if !begun => Next::Call(Begin),
        (Replace, Verdict::Ok) if commit_sent => Next::Indefinite,
        (Replace, Verdict::Ok) => Next::Aborted,
        // Without rights, going on would retry for ever. The open transaction dies with the producer.
        (_, Verdict::Refused) => Next::Refused,
        (Replace, _) if out_of_time => Next::Refused,
        (Replace, _) => Next::Call(Replace),
        // A new producer that cannot begin either: the lane counts it as an abort, and gives up after some.
        (Begin, Verdict::Fatal | Verdict::Abort) if replaced => Next::Aborted,
        (_, Verdict::Fatal) => Next::Call(Replace),
        (_, Verdict::Retry) if !out_of_time => Next::Call(call),
        // A commit without an answer is indefinite: an abort could contradict it (Jepsen on Kafka).
        (Commit | Abort | Begin, Verdict::Retry) => Next::Call(Replace),
        (Produce | SendOffsets, Verdict::Retry) => Next::Call(Abort),
        (Abort | Begin, Verdict::Abort) => Next::Call(Replace),
        (_, Verdict::Abort) => Next::Call(Abort),
    }
}

#[cfg(test)]
mod tests {
    use super::Call::{Abort, Begin, Commit, Produce, Replace, SendOffsets};
    use super::*;

    #[test]
    fn errors_are_classified_by_librdkafkas_flags() {
        let none = Facts::default();
        for (facts, expect) in [
            (none, Verdict::Fatal),
            (Facts { retriable: true, ..none }, Verdict::Retry),
            (Facts { requires_abort: true, ..none }, Verdict::Abort),
            (Facts { requires_abort: true, retriable: true, ..none }, Verdict::Abort),
            (Facts { fatal: true, retriable: true, ..none }, Verdict::Fatal),
            (Facts { fatal: true, requires_abort: true, ..none }, Verdict::Fatal),
            (Facts { fenced: true, fatal: true, ..none }, Verdict::Fenced),
            (Facts { refused: true, requires_abort: true, ..none }, Verdict::Refused),
        ] {
            assert_eq!(verdict(facts), expect, "{facts:?}");
        }
    }

    #[test]
    fn what_follows_from_each_call() {
        use Next::{Aborted, Call, Committed, Fenced, Indefinite, Refused};
        use Verdict as V;
        for (call, commit_sent, out_of_time, verdict, expect) in [
            (Begin, false, false, V::Ok, Call(Produce)),
            (Produce, false, false, V::Ok, Call(SendOffsets)),
            (SendOffsets, false, false, V::Ok, Call(Commit)),
            (Commit, true, false, V::Ok, Committed),
            (Abort, false, false, V::Ok, Aborted),
            (Begin, false, false, V::Fatal, Call(Replace)),
            (Begin, false, false, V::Retry, Call(Begin)),
            (Begin, false, true, V::Retry, Call(Replace)),
            (Produce, false, false, V::Retry, Call(Produce)),
            (Produce, false, true, V::Retry, Call(Abort)),
            (Produce, false, false, V::Abort, Call(Abort)),
            (Produce, false, false, V::Fatal, Call(Replace)),
            (SendOffsets, false, false, V::Retry, Call(SendOffsets)),
            (SendOffsets, false, true, V::Retry, Call(Abort)),
            (SendOffsets, false, false, V::Abort, Call(Abort)),
            (SendOffsets, false, false, V::Fatal, Call(Replace)),
            (Commit, true, false, V::Retry, Call(Commit)),
            (Commit, true, true, V::Retry, Call(Replace)),
            (Commit, true, false, V::Abort, Call(Abort)),
            (Commit, true, false, V::Fatal, Call(Replace)),
            (Commit, true, false, V::Fenced, Fenced),
            (Abort, false, false, V::Retry, Call(Abort)),
            (Abort, false, true, V::Retry, Call(Replace)),
            (Abort, false, false, V::Abort, Call(Replace)),
            (Abort, false, false, V::Fatal, Call(Replace)),
            (Replace, false, false, V::Ok, Aborted),
            (Replace, true, false, V::Ok, Indefinite),
            (Replace, true, false, V::Fatal, Call(Replace)),
            (Replace, true, true, V::Fatal, Refused),
            (SendOffsets, false, false, V::Refused, Refused),
            (Replace, false, false, V::Fenced, Fenced),
        ] {
            let begun = call != Begin;
            let progress = Progress { call, begun, replaced: false, commit_sent, out_of_time };
            assert_eq!(next(progress, verdict), expect, "{progress:?} {verdict:?}");
        }
    }

    /// A producer whose past is doubtful never begins a transaction.
    #[test]
    fn a_tainted_producer_is_replaced_before_it_begins() {
        assert_eq!((first(false), first(true)), (Begin, Replace));
        let mut progress =
            Progress { call: Replace, begun: false, replaced: true, commit_sent: false, out_of_time: false };
        assert_eq!(next(progress, Verdict::Ok), Next::Call(Begin));
        progress.call = Begin;
        assert_eq!(next(progress, Verdict::Fatal), Next::Aborted, "a second one is not tried");
        for (call, verdict, expect) in [
            (Commit, Verdict::Ok, false),
            (Commit, Verdict::Retry, true),
            (Commit, Verdict::Fatal, true),
            (Commit, Verdict::Abort, false),
            (Abort, Verdict::Retry, true),
            (SendOffsets, Verdict::Retry, true),
            (Produce, Verdict::Retry, false),
            (Produce, Verdict::Abort, true),
            (Begin, Verdict::Retry, false),
            (Replace, Verdict::Fatal, false),
        ] {
            assert_eq!(taints(call, verdict), expect, "{call:?} {verdict:?}");
        }
    }

    /// No sequence of failures lasts for ever, and a commit that was sent never ends as merely aborted
    /// without an abort that the broker has acknowledged.
    #[test]
    fn every_transaction_ends() {
        let verdicts =
            [Verdict::Ok, Verdict::Retry, Verdict::Abort, Verdict::Fatal, Verdict::Fenced, Verdict::Refused];
        for call in [Begin, Produce, SendOffsets, Commit, Abort, Replace] {
            for verdict in verdicts {
                let mut progress = Progress {
                    call,
                    begun: call != Begin,
                    replaced: false,
                    commit_sent: call == Commit,
                    out_of_time: true,
                };
                let mut steps = 0;
                while let Next::Call(call) = next(progress, if steps < 4 { verdict } else { Verdict::Ok }) {
                    progress.commit_sent |= call == Commit;
                    progress.begun |= call == Produce;
                    progress.replaced |= call == Replace;
                    progress.call = call;
                    steps += 1;
                    assert!(steps < 12, "{call:?} {verdict:?} does not end");
                }
            }
        }
    }
}
