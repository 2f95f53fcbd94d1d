//! Transactions over scripted calls: which calls are made, how it ends, and what the next one begins with.

use std::collections::VecDeque;

use super::Call::{Abort, Begin, Commit, Produce, Replace, SendOffsets};
use super::*;

const LIMITS: CarryLimits =
    CarryLimits { try_for_ms: 1_000, replace_for_ms: 500, slow_ms: 400, replace_tainted: true };

/// Answers as the script says, then with yes; each call takes 1 ms, one that is to be tried again 300 ms.
#[derive(Default)]
struct Script {
    answers: VecDeque<(Call, Verdict)>,
    made: Vec<Call>,
    now: std::rc::Rc<std::cell::Cell<Millis>>,
    taint: Option<String>,
    /// A call that takes this long.
    slow: Option<(Call, Millis)>,
    /// What records that must be aborted were refused for.
    cause: Option<Cause>,
}

impl Calls<()> for Script {
    fn call(&mut self, call: Call, _: &Epoch<()>, _: Millis) -> Result<(), Failure> {
        self.made.push(call);
        let scripted = self.answers.front().filter(|(at, _)| *at == call).map(|(_, verdict)| *verdict);
        let verdict = scripted.unwrap_or(Verdict::Ok);
        if scripted.is_some() {
            self.answers.pop_front();
        }
        let slow = self.slow.filter(|(at, _)| *at == call).map(|(_, took)| took);
        let took = slow.unwrap_or(if verdict == Verdict::Retry { 300 } else { 1 });
        self.now.set(self.now.get() + took);
        if call == Replace && verdict == Verdict::Ok {
            self.taint = None;
        }
        if verdict == Verdict::Ok {
            return Ok(());
        }
        let refused = call == Produce && matches!(verdict, Verdict::Abort | Verdict::Fatal);
        let (why, cause) = match self.cause.clone().filter(|_| refused) {
            Some(cause) => ("refused".into(), Some(cause)),
            None => ("scripted".into(), None),
        };
        Err(Failure { verdict, why, cause })
    }

    fn taint(&mut self) -> Option<String> {
        self.taint.clone()
    }

    fn fenced(&self, why: &str) -> String {
        why.to_owned()
    }
}

fn run(script: &mut Script, left: Left, limits: CarryLimits) -> (Ended, Left) {
    let epoch = Epoch {
        number: 1,
        outputs: Vec::new(),
        offsets: Vec::new(),
        stamps: Vec::new(),
        group: None,
        apart: false,
        batches_halved: 0,
    };
    let now = std::rc::Rc::clone(&script.now);
    let mut carry = Carry::new(epoch, left, script, now.get(), limits);
    for _ in 0..100 {
        if let Step::Ended(ended) = carry.step(script, || now.get()) {
            return (ended, carry.left());
        }
    }
    panic!("no end after {:?}", script.made);
}

#[test]
fn what_is_called_how_it_ends_and_what_it_leaves() {
    let rewound = || EpochEnd::Rewound("scripted".into());
    let unknown = || EpochEnd::Unknown("scripted".into());
    for (what, tainted, answers, made, end, doubtful, leaves) in [
        (
            "all well",
            false,
            vec![],
            vec![Begin, Produce, SendOffsets, Commit],
            EpochEnd::Committed,
            false,
            false,
        ),
        (
            "a tainted producer is replaced before it begins",
            true,
            vec![],
            vec![Replace, Begin, Produce, SendOffsets, Commit],
            EpochEnd::Committed,
            true,
            false,
        ),
        (
            "a commit that had to be asked twice is definite, and taints",
            false,
            vec![(Commit, Verdict::Retry)],
            vec![Begin, Produce, SendOffsets, Commit, Commit],
            EpochEnd::Committed,
            true,
            true,
        ),
        (
            "offsets that had to be sent twice taint",
            false,
            vec![(SendOffsets, Verdict::Retry)],
            vec![Begin, Produce, SendOffsets, SendOffsets, Commit],
            EpochEnd::Committed,
            true,
            true,
        ),
        (
            "a commit without an answer is unknown, and the new producer is not tainted",
            false,
            vec![(Commit, Verdict::Retry); 4],
            vec![Begin, Produce, SendOffsets, Commit, Commit, Commit, Commit, Replace],
            unknown(),
            true,
            false,
        ),
        (
            "a fatal commit is unknown",
            false,
            vec![(Commit, Verdict::Fatal)],
            vec![Begin, Produce, SendOffsets, Commit, Replace],
            unknown(),
            true,
            false,
        ),
        (
            "what must be aborted is aborted",
            false,
            vec![(SendOffsets, Verdict::Abort)],
            vec![Begin, Produce, SendOffsets, Abort],
            rewound(),
            false,
            false,
        ),
        (
            "after records that were refused the numbers of the next would be wrong: the producer is tainted",
            false,
            vec![(Produce, Verdict::Abort)],
            vec![Begin, Produce, Abort],
            rewound(),
            true,
            true,
        ),
        (
            "an abort that had to be asked twice taints",
            false,
            vec![(Produce, Verdict::Abort), (Abort, Verdict::Retry)],
            vec![Begin, Produce, Abort, Abort],
            rewound(),
            true,
            true,
        ),
        (
            "a producer that cannot begin is replaced, and the transaction goes on",
            false,
            vec![(Begin, Verdict::Fatal)],
            vec![Begin, Replace, Begin, Produce, SendOffsets, Commit],
            EpochEnd::Committed,
            true,
            false,
        ),
        (
            "a new one that cannot begin either is not replaced again",
            true,
            vec![(Begin, Verdict::Fatal)],
            vec![Replace, Begin],
            rewound(),
            true,
            false,
        ),
    ] {
        let mut script = Script { answers: answers.into(), ..Script::default() };
        let left = Left { taint: tainted.then(|| "before".to_owned()) };
        let (ended, left) = run(&mut script, left, LIMITS);
        assert_eq!(script.made, made, "{what}");
        assert_eq!(ended.end, end, "{what}");
        assert_eq!((ended.doubtful, left.taint.is_some()), (doubtful, leaves), "{what}");
        assert_eq!(ended.replaced, made.contains(&Replace), "{what}");
    }
}

#[test]
fn a_refusal_is_told_whatever_the_abort_meets() {
    let record = || Cause::Record(std::sync::Arc::from("alerts"));
    let refused = |cause| EpochEnd::Refused(Refusal { cause, why: "refused".into() });
    let (produce, replace) = ((Produce, Verdict::Abort), (Abort, Verdict::Fatal));
    for (what, cause, answers, end) in [
        ("it aborts", Some(record()), vec![produce], refused(record())),
        ("the abort fails", Some(record()), vec![produce, replace], refused(record())),
        ("it was too slow", Some(Cause::TooSlow), vec![produce], refused(Cause::TooSlow)),
        ("the producer is replaced", Some(record()), vec![(Produce, Verdict::Fatal)], refused(record())),
        ("nobody refused anything", None, vec![produce, replace], EpochEnd::Rewound("scripted".into())),
        (
            "another has taken over",
            Some(record()),
            vec![produce, (Abort, Verdict::Fenced)],
            EpochEnd::Fenced("scripted".into()),
        ),
    ] {
        let mut script = Script { answers: answers.into(), cause, ..Script::default() };
        assert_eq!(run(&mut script, Left::default(), LIMITS).0.end, end, "{what}");
    }
}

#[test]
fn a_slow_call_may_have_been_sent_twice() {
    for (call, took, taints) in [
        (SendOffsets, 399, false),
        (SendOffsets, 400, true),
        (Commit, 400, true),
        (Begin, 400, false),
        (Produce, 400, false),
    ] {
        let mut script = Script { slow: Some((call, took)), ..Script::default() };
        let (ended, left) = run(&mut script, Left::default(), LIMITS);
        assert_eq!(ended.end, EpochEnd::Committed, "{call:?}");
        assert_eq!((ended.doubtful, left.taint.is_some()), (taints, taints), "{call:?} {took}");
    }
}

#[test]
fn what_the_connections_tell_taints_as_well() {
    let mut script = Script { taint: Some("a connection was lost".into()), ..Script::default() };
    run(&mut script, Left::default(), LIMITS);
    assert_eq!(script.made[..2], [Replace, Begin]);
    run(&mut script, Left::default(), LIMITS);
    assert_eq!(script.made.iter().filter(|call| **call == Replace).count(), 1, "once is enough");
    let mut off = Script { taint: Some("a connection was lost".into()), ..Script::default() };
    run(&mut off, Left::default(), CarryLimits { replace_tainted: false, ..LIMITS });
    assert!(!off.made.contains(&Replace));
}
