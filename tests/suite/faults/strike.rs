//! Carrying out a fault so that it has an effect: each waits until the broker, the proxy or the process itself shows it.
//!
//! Owns the evidence. A fault that has none within two minutes fails the round: it would prove nothing.

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use super::plan::{Kind, POLL_INTERVAL_MS, Random, SESSION_MS, TRANSACTION_MS_SHORT};
use super::proxy::{END_TRANSACTION, FETCH_OFFSETS, Harm, PRODUCE};
use super::refuse;
use super::round::{RECORDS_EACH, Round};

/// The places in a transaction where a process can die.
const CRASHES: [&str; 12] = [
    "before:Begin",
    "after:Begin",
    "before:Produce",
    "after:Produce",
    "before:SendOffsets",
    "after:SendOffsets",
    "before:Commit",
    "after:Commit",
    "before:Replace",
    "after:Replace",
    // These two only where transactions time out soon, and can be held back.
    "before:Abort",
    "after:Abort",
];
/// Connections are cut again when nothing came of it.
const CUT_PAUSE: Duration = Duration::from_secs(3);
const CRASHES_ANYWHERE: usize = CRASHES.len() - 2;
const ABORTED: i32 = 6;
/// SIGTERM.
const TERMINATED: i32 = 15;
const PROCESSES_MAX: usize = 3;

/// What a process logs when …
mod said {
    /// … the group takes its partitions, or gives it some.
    pub const MOVED: &str = "The group moved partitions";
    /// … a transaction came to nothing.
    pub const NOT_COMMITTED: &str = "An epoch was not committed";
    /// … librdkafka found it too slow.
    pub const POLLS_MISSED: &str = "maximum poll interval";
}

/// Lets it happen.
pub fn strike(round: &mut Round<'_>, kind: Kind, random: &mut Random) {
    round.revive(None);
    let at = random.next(round.processes.len());
    // What holds nothing has nothing to lose.
    round.until("the process to be struck holds partitions", None, |round| round.holds(at));
    let name = round.processes[at].instance.clone();
    round.note(format!("{kind:?} {name}"));
    let harm = |round: &mut Round<'_>, harm: Harm| {
        round.proxy.arm(END_TRANSACTION, None, harm);
        round.work_until("the end of a transaction is harmed", None, |round| !round.proxy.is_armed());
    };
    match kind {
        Kind::Kill => kill(round, at, random),
        Kind::Crash => {
            let aborts = round.impatient && round.proxy.reads;
            let places = if aborts { CRASHES.len() } else { CRASHES_ANYWHERE };
            let place = format!("{}:{}", CRASHES[random.next(places)], 1 + random.next(3));
            crash(round, at, &place);
        }
        Kind::StandStill => stand_still(round, at),
        Kind::Stop => stop(round, at, true),
        Kind::JoinOrLeave if round.processes.len() < PROCESSES_MAX => {
            let new = round.start();
            round.work_until("the new process holds partitions", None, |round| round.holds(new));
        }
        Kind::JoinOrLeave => {
            stop(round, at, false);
            round.processes.remove(at);
        }
        Kind::LoseRequest => harm(round, Harm::LoseRequest),
        Kind::LoseAnswer => harm(round, Harm::LoseAnswer),
        Kind::DelayAnswer => harm(round, Harm::DelayAnswer(1_500)),
        Kind::LateRequest => harm(round, Harm::LateRequest(1_000)),
        Kind::HangCommit => hang_commit(round, at, &name),
        Kind::Outsleep => outsleep(round, at, &name),
        Kind::MissPolls => miss_polls(round, at, &name),
        Kind::KillBroker => kill_broker(round),
        Kind::Forbid => refuse::forbid(round, at, random),
        Kind::Park => refuse::park(round, random),
        Kind::WrongPassword => refuse::wrong_password(round, at),
        Kind::ChangePassword => refuse::change_password(round, at, random),
        Kind::Reload => refuse::reload(round, at),
        Kind::BadReload => refuse::bad_reload(round, at),
        Kind::Refuse => refuse::refuse(round),
    }
}

/// With work that is not committed.
fn kill(round: &mut Round<'_>, at: usize, random: &mut Random) {
    round.until("a process is killed with work under way", None, |round| {
        round.produce(RECORDS_EACH);
        std::thread::sleep(Duration::from_millis(random.next(100) as u64));
        round.put_down(at);
        let behind = round.behind();
        round.restart(at, None);
        behind.is_some_and(|behind| behind > 0)
    });
}

fn crash(round: &mut Round<'_>, at: usize, place: &str) {
    round.note(place);
    round.put_down(at);
    round.restart(at, Some(place));
    let mut cut: Option<Instant> = None;
    round.work_until("it dies at the named point", Some(at), |round| {
        if round.processes[at].running.runs() {
            // What makes it abort, or replace its producer.
            if place.contains("Abort") && !round.proxy.is_armed() && !round.proxy.is_holding() {
                let name = round.processes[at].instance.clone();
                round.proxy.arm(PRODUCE, Some(&name), Harm::Hold);
            } else if place.contains("Replace")
                && round.holds(at)
                && cut.is_none_or(|cut| cut.elapsed() > CUT_PAUSE)
            {
                round.proxy.cut();
                cut = Some(Instant::now());
            }
            return false;
        }
        round.proxy.release();
        let there = round.processes[at].running.wait().signal() == Some(ABORTED);
        // It may also have been fenced for what came before.
        round.restart(at, if there { None } else { Some(place) });
        there
    });
}

fn stand_still(round: &mut Round<'_>, at: usize) {
    let before = round.logged(at, said::MOVED);
    round.processes[at].running.signal("STOP");
    round.produce(RECORDS_EACH);
    // Longer than its session; the others take over, if there are any. What it held is lost, or, where it was about to
    // join, it joins again.
    std::thread::sleep(Duration::from_millis(u64::from(SESSION_MS) + 1_500));
    round.processes[at].running.signal("CONT");
    round.until("it notices that it was away", Some(at), |round| {
        !round.processes[at].running.runs() || round.logged(at, said::MOVED) > before
    });
}

/// In order.
fn stop(round: &mut Round<'_>, at: usize, again: bool) {
    round.until("a process stops in order", Some(at), |round| {
        round.produce(RECORDS_EACH);
        let running = &mut round.processes[at].running;
        if running.runs() {
            running.signal("TERM");
        }
        let ended = running.wait();
        let (code, text) = (ended.code(), running.log());
        // It may have been fenced for what came before, and one that was started again a moment ago has not begun.
        let unborn = ended.signal() == Some(TERMINATED) && text.is_empty();
        assert!(unborn || matches!(code, Some(0 | 3 | 4)), "{}: {ended:?}\n{text}", round.story());
        if again || code != Some(0) {
            round.restart(at, None);
        }
        code == Some(0)
    });
}

/// Waits until a commit of this process, or of any, is held back.
fn hold_commit(round: &mut Round<'_>, name: Option<&str>) {
    round.proxy.arm(END_TRANSACTION, name, Harm::Hold);
    round.work_until("a commit is held back", None, |round| round.proxy.is_holding());
}

/// The process gives up a commit that has no answer, replaces its producer and reads again.
fn hang_commit(round: &mut Round<'_>, at: usize, name: &str) {
    // On a busy machine it has given up before we look.
    let before = round.logged(at, said::NOT_COMMITTED);
    hold_commit(round, Some(name));
    let held = Instant::now();
    round.until("it gives the commit up", Some(at), |round| {
        held.elapsed() > Duration::from_millis(u64::from(TRANSACTION_MS_SHORT))
            && (!round.processes[at].running.runs() || round.logged(at, said::NOT_COMMITTED) > before)
    });
    // Now the old commit arrives as well: it must not end what has begun meanwhile.
    round.proxy.release();
}

/// The broker aborts a transaction whose process stands still; its commit arrives when it is too late.
fn outsleep(round: &mut Round<'_>, at: usize, name: &str) {
    let outputs = round.outputs();
    round.until("a process is caught with a transaction open", Some(at), |round| {
        let before = round.logged(at, said::NOT_COMMITTED);
        hold_commit(round, Some(name));
        if !round.processes[at].running.runs() {
            round.proxy.release();
            round.revive(None);
            return false;
        }
        round.processes[at].running.signal("STOP");
        let is_open =
            |round: &Round<'_>| outputs.iter().any(|topic| round.own.broker.is_transaction_open(topic));
        // What has given its commit up already sleeps too late.
        let caught = is_open(round) && round.logged(at, said::NOT_COMMITTED) == before;
        if caught {
            round.until("the broker aborts it", Some(at), |round| !is_open(round));
        }
        round.proxy.release();
        round.processes[at].running.signal("CONT");
        if caught {
            round.until("it notices", Some(at), |round| {
                !round.processes[at].running.runs() || round.logged(at, said::NOT_COMMITTED) > before
            });
        }
        caught
    });
}

/// A lost answer makes the lane ask for the group's offsets, on its own thread; that answer takes too long.
fn miss_polls(round: &mut Round<'_>, at: usize, name: &str) {
    let late_ms = u64::from(POLL_INTERVAL_MS) + 1_500;
    round.until("polls are missed", Some(at), |round| {
        let before = round.logged(at, said::POLLS_MISSED);
        round.proxy.arm(END_TRANSACTION, Some(name), Harm::LoseAnswer);
        round.proxy.arm(FETCH_OFFSETS, Some(name), Harm::DelayAnswerAlone(late_ms));
        round.work_until("both are harmed", None, |round| !round.proxy.is_armed());
        // An answer that no lane has waited for delays nobody: then once more.
        let patience = Instant::now() + 2 * Duration::from_millis(late_ms);
        let mut missed = false;
        round.until("the lane polls again", Some(at), |round| {
            missed = round.logged(at, said::POLLS_MISSED) > before;
            missed || !round.processes[at].running.runs() || Instant::now() > patience
        });
        round.revive(None);
        missed
    });
}

fn kill_broker(round: &mut Round<'_>) {
    if round.proxy.reads {
        hold_commit(round, None);
    } else {
        round.until("the broker is killed with work under way", None, |round| {
            round.produce(RECORDS_EACH);
            round.behind().is_some_and(|behind| behind > 0)
        });
    }
    round.own.kill();
    round.proxy.release();
    round.input.reconnect();
    round.own.restart();
    round.until("the broker answers again", None, |round| round.behind().is_some());
}
