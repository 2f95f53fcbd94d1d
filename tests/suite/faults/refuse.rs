//! What brokers and rule sets refuse: rights and passwords that are taken away, wrong ones, rules that change, alerts that
//! are too large.
//!
//! Owns the evidence, as the sibling `strike` does for faults of machines and networks, which calls it.

use super::plan::Random;
use super::round::{PASSWORD_REFUSED, RECORDS_EACH, RIGHTS_REFUSED, Round};
use crate::delivery::ORGANISATIONS;
use crate::kafka::Login;
use crate::kafka::acl::Resource;

/// Kafka refuses.
const REFUSED: Option<i32> = Some(3);

/// Rights that all need: what is refused ends the process, and it goes on when they are back.
pub fn forbid(round: &mut Round<'_>, at: usize, random: &mut Random) {
    let group = format!("noroshi-{}", round.setup.id);
    let (ids, outputs) = (format!("{group}-"), round.outputs());
    let output = &outputs[if outputs.len() > 2 { outputs.len() - 1 } else { random.next(2) }];
    let resource =
        [Resource::Group(&group), Resource::TransactionalIds(&ids), Resource::Topic(output)][random.next(3)];
    round.note(format!("{resource:?}"));
    let user = user(round).user;
    round.own.broker.deny(&user, resource);
    ends(round, at, &RIGHTS_REFUSED);
    round.own.broker.no_longer_deny(&user, resource);
    round.unattended = false;
    round.restart(at, None);
}

/// It ends by itself and says why; nobody starts it again as long as it cannot run.
fn ends(round: &mut Round<'_>, at: usize, said: &[&str]) {
    round.unattended = true;
    round.work_until("it ends for what is refused", Some(at), |round| {
        let running = &mut round.processes[at].running;
        if running.runs() {
            return false;
        }
        let (code, log) = (running.wait().code(), running.log());
        if code == REFUSED && said.iter().any(|said| log.contains(said)) {
            return true;
        }
        // It may have been fenced for what came before.
        assert_eq!(code, Some(4), "{}\n{log}", round.story());
        round.restart(at, None);
        false
    });
}

/// The right to one organisation's own topic, or the topic itself: it waits, the others go on.
pub fn park(round: &mut Round<'_>, random: &mut Random) {
    let which = random.next(ORGANISATIONS.len());
    let (organisation, topic) = (ORGANISATIONS[which], round.outputs()[which].clone());
    let deleted = random.next(2) == 0;
    round.note(format!("{organisation}: {}", if deleted { "topic deleted" } else { "right taken away" }));
    let user = user(round).user;
    let input = round.setup.topic(organisation);
    if deleted {
        // What is in it goes with it.
        round.finish();
        round.keep(which);
        round.own.broker.delete_topic(&topic);
    } else {
        round.own.broker.deny(&user, Resource::Topic(&topic));
    }
    round.work_until("it is parked", None, |round| {
        (0..round.processes.len()).any(|at| {
            let status = round.status(at).unwrap_or_default();
            let parked = status["parked"].as_array();
            parked.is_some_and(|parked| parked.iter().any(|one| one["organisation"] == organisation))
        })
    });
    round.produce(RECORDS_EACH);
    round.until("the others go on", None, |round| round.behind_of(|topic| topic != input) == Some(0));
    assert!(round.behind_of(|topic| topic == input) > Some(0), "{}: it did not wait", round.story());
    if deleted {
        round.make(which);
    } else {
        round.own.broker.no_longer_deny(&user, Resource::Topic(&topic));
    }
    round.finish();
}

/// It ends, and the one whose name it has goes on.
pub fn wrong_password(round: &mut Round<'_>, at: usize) {
    round.until("a process with a wrong password ends and disturbs nobody", None, |round| {
        let (name, id) = (round.processes[at].instance.clone(), round.processes[at].running.id());
        let mut wrong = round.spawn_with(&name, None, Some("a wrong password"));
        round.produce(RECORDS_EACH);
        let (code, log) = (wrong.wait().code(), wrong.log());
        assert!(code == REFUSED && log.contains("refuses us"), "{}: {code:?}\n{log}", round.story());
        round.finish();
        // It may have been fenced for what came before; then once more.
        round.processes[at].running.runs() && round.processes[at].running.id() == id
    });
}

/// What stands goes on; who comes anew is refused.
pub fn change_password(round: &mut Round<'_>, at: usize, random: &mut Random) {
    let login = user(round);
    if random.next(2) == 0 {
        round.note("another one");
        round.own.broker.set_password(&Login { password: "another password".into(), ..login.clone() });
    } else {
        round.note("none");
        round.own.broker.forget_password(&login.user);
    }
    round.unattended = true;
    let cut = round.proxy.cut();
    assert!(cut > 0, "{}: no connection stood", round.story());
    ends(round, at, &PASSWORD_REFUSED);
    round.own.broker.set_password(&login);
    round.unattended = false;
    round.restart(at, None);
}

/// Another version that finds the same; the oracle wants alerts of both.
pub fn reload(round: &mut Round<'_>, at: usize) {
    round.produce(RECORDS_EACH);
    round.finish();
    round.until("a changed rule set is taken over under load", None, |round| {
        let Some(before) = generation(round, at) else { return false };
        round.rules.change();
        round.processes[at].running.signal("HUP");
        let mut taken = false;
        round.work_until("it takes the rule set over", Some(at), |round| {
            taken = generation(round, at).is_some_and(|now| now > before) && round.holds(at);
            taken || !round.processes[at].running.runs()
        });
        // Whether it was taken over or started with it: what comes now is judged by it.
        round.revive(None);
        round.until("it holds partitions", None, |round| round.holds(at));
        round.produce(RECORDS_EACH);
        round.finish();
        taken
    });
}

/// The old one goes on.
pub fn bad_reload(round: &mut Round<'_>, at: usize) {
    round.until("a faulty rule set is refused", None, |round| {
        let Some(before) = generation(round, at) else { return false };
        // That of an earlier one may still be told.
        if outcome(round, at).as_deref() == Some("refused") {
            return false;
        }
        // Whoever ends now would not start.
        round.unattended = true;
        round.rules.break_it();
        round.processes[at].running.signal("HUP");
        let mut refused = false;
        round.work_until("it refuses the rule set", Some(at), |round| {
            refused = outcome(round, at).as_deref() == Some("refused");
            refused || !round.processes[at].running.runs()
        });
        round.produce(RECORDS_EACH);
        round.until("the old rule set goes on", Some(at), |round| {
            round.behind() == Some(0) || round.processes.iter_mut().any(|process| !process.running.runs())
        });
        refused &= round.behind() == Some(0) && generation(round, at) == Some(before);
        round.rules.mend();
        round.unattended = false;
        round.revive(None);
        refused
    });
}

/// Which rule set a process has, once all its lanes run it.
fn generation(round: &mut Round<'_>, at: usize) -> Option<u64> {
    let status = round.status(at)?;
    let number = status["rule_set"]["generation"].as_u64()?;
    let lanes = status["lanes"].as_array()?;
    lanes.iter().all(|lane| lane["generation"].as_u64() == Some(number)).then_some(number)
}

fn outcome(round: &mut Round<'_>, at: usize) -> Option<String> {
    Some(round.status(at)?["reload"]["outcome"].as_str()?.to_owned())
}

/// It is looked for among those that are read with it, and rejected; the others alert.
pub fn refuse(round: &mut Round<'_>) {
    round.input.fatten();
    round.produce(RECORDS_EACH);
    round.finish();
}

fn user(round: &Round<'_>) -> Login {
    round.login.clone().expect("the processes log in")
}
