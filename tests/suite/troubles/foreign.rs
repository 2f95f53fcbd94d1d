//! Transactions of other producers: what they abort is no lag, and what they hold back is told.

use std::fs;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::{Stage, lines, metric, status, troubles};
use crate::kafka::{broker, unique};
use crate::process::{Running, WAIT_MAX, get};

const STEP_MAX: Duration = Duration::from_secs(60);

/// Aborted records and the markers of transactions are offsets that no reader of committed records gets past by reading: the
/// group's offset stays before them until a record comes.
#[test]
fn what_nobody_can_read_is_no_lag() {
    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, "earliest", &[("a", 1)]);
    let a = stage.topic("a");
    let foreign: BaseProducer = broker
        .config()
        .set("transactional.id", unique("foreign"))
        .create()
        .expect("a transactional producer");
    foreign.init_transactions(STEP_MAX).expect("init");
    let text = r#"{"Channel":"Security","EventID":1102,"Hostname":"f","EventTime":"2026-01-02 03:04:05"}"#;
    let write = || {
        foreign.begin_transaction().expect("begin");
        for _ in 0..20 {
            let outgoing: BaseRecord<'_, (), str> = BaseRecord::to(&a).partition(0).payload(text);
            foreign.send(outgoing).map_err(|(error, _)| error).expect("send");
        }
        foreign.flush(STEP_MAX).expect("flush");
    };
    let lag = format!("noroshi_lag_records{{topic=\"{a}\",partition=\"0\"}}");
    let ends_at = |address: &str, end: i64| {
        status(address)["lanes"][0]["partitions"][0]["last_stable_offset"] == end
            && metric(address, &lag) == Some(0)
    };
    let mut running = stage.run(&[]);
    let mut address = running.http();
    write();
    foreign.commit_transaction(STEP_MAX).expect("commit");
    stage.reaches(&mut running, "a", 0, 20);
    running.runs_until("the marker is no lag", || ends_at(&address, 21));
    write();
    foreign.abort_transaction(STEP_MAX).expect("abort");
    running.runs_until("what was aborted is no lag", || ends_at(&address, 42));
    let (exit, log) = running.terminate();
    assert_eq!(exit.code(), Some(0), "{log}");
    running = stage.run(&[]);
    address = running.http();
    running.runs_until("nor is it after a restart", || ends_at(&address, 42));
    assert_eq!(stage.committed("a"), [Some(20)]);
    stage.produce("a", 0, 1);
    stage.reaches(&mut running, "a", 0, 43);
    let alerts = stage.broker.read_committed(&stage.topic("alerts"), 21, WAIT_MAX);
    assert_eq!(alerts.len(), 21);
    let (exit, log) = running.terminate();
    assert_eq!(exit.code(), Some(0), "{log}");
}

#[test]
fn a_foreign_transaction_that_stays_open_is_told_until_it_ends() {
    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, "earliest", &[("a", 1), ("b", 1)]);
    let mut running = stage.run(&["input.held_back_ms=2000"]);
    let address = running.http();
    let a = stage.topic("a");
    stage.produce("a", 0, 3);
    stage.reaches(&mut running, "a", 0, 3);
    let foreign: BaseProducer = broker
        .config()
        .set("transactional.id", unique("foreign"))
        .set("transaction.timeout.ms", "600000")
        .create()
        .expect("a transactional producer");
    foreign.init_transactions(STEP_MAX).expect("init");
    let text = r#"{"Channel":"Security","EventID":1102,"Hostname":"f","EventTime":"2026-01-02 03:04:05"}"#;
    let write = || {
        let outgoing: BaseRecord<'_, (), str> = BaseRecord::to(&a).partition(0).payload(text);
        foreign.send(outgoing).map_err(|(error, _)| error).expect("send");
        foreign.flush(STEP_MAX).expect("flush");
    };
    // A short one is nothing.
    foreign.begin_transaction().expect("begin");
    write();
    foreign.commit_transaction(STEP_MAX).expect("commit");
    stage.reaches(&mut running, "a", 0, 4);
    foreign.begin_transaction().expect("begin");
    write();
    stage.produce("a", 0, 9);
    running.runs_until("it is told", || troubles(&address) == [("held_back".into(), a.clone(), Some(0))]);
    // The marker of the first is an offset as well.
    let (code, text) = get(&address, "/ready");
    let expect = format!("a transaction of another producer holds back {a}/0 at offset 5");
    assert!(code == 503 && text.contains(&expect), "{code} {text}");
    let gauge = format!("noroshi_held_back_records{{topic=\"{a}\",partition=\"0\"}}");
    running.runs_until("it is measured", || metric(&address, &gauge) == Some(10));
    let shown = status(&address);
    let partition = &shown["lanes"][0]["partitions"][0];
    assert_eq!(
        (&partition["held_back"], &partition["trouble"]),
        (&10.into(), &"held_back".into()),
        "{shown:#}"
    );
    assert_eq!(
        (&partition["last_stable_offset"], &partition["high_watermark"]),
        (&5.into(), &15.into()),
        "{shown:#}"
    );
    // The others go on, and nothing spins.
    let before = cpu(&running);
    stage.produce("b", 0, 1);
    stage.reaches(&mut running, "b", 0, 1);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(lines(&running, &["WARN", "holds back"]), 1, "{}", running.log());
    assert!(cpu(&running) - before < 100, "more than half of a core for nothing");
    foreign.commit_transaction(STEP_MAX).expect("commit");
    stage.reaches(&mut running, "a", 0, 15);
    running.runs_until("it is over", || troubles(&address).is_empty() && get(&address, "/ready").0 == 200);
    running.runs_until("and measured", || metric(&address, &gauge) == Some(0));
    assert_eq!(lines(&running, &["trouble with the input is over"]), 1, "{}", running.log());
    let alerts = stage.broker.read_committed(&stage.topic("alerts"), 15, WAIT_MAX);
    assert_eq!(alerts.len(), 15);
    let (exit, log) = running.terminate();
    assert_eq!(exit.code(), Some(0), "{log}");
}

/// Hundredths of a second of processor time that a process has used.
fn cpu(running: &Running) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/stat", running.id())).expect("Linux");
    let (_, after) = text.rsplit_once(") ").expect("a name");
    after.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}
