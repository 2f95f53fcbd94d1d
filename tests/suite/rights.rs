//! Rights that are taken away, and credentials that expire, while the process runs: it stops with one clear line, and
//! when they are back each record alerts exactly once (I-1, I-3).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::kafka::acl::Resource;
use super::kafka::own::OwnBroker;
use super::kafka::{Login, broker};
use super::process::{Running, WAIT_MAX};
use super::security::{Listeners, Way, YEAR_2100};
use super::stopping::{HEARTBEAT, SESSION, Stage};

const SETTINGS: [&str; 5] =
    ["epoch.interval_ms=20", "epoch.records_max=100", "transaction.timeout_ms=10000", SESSION, HEARTBEAT];
/// A token that is good for so long, in seconds: the process starts, works, and outlives it.
const TOKEN_S: u64 = 8;

/// Gives it work until it ends, and looks at how.
fn ends(stage: &mut Stage<'_>, running: &mut Running, way: &Way, what: &str, said: &str) {
    let topic = stage.topic();
    let deadline = Instant::now() + WAIT_MAX;
    while running.runs() {
        assert!(Instant::now() < deadline, "{what}: it goes on\n{}", running.log());
        stage.produce(&topic, 5);
        std::thread::sleep(Duration::from_millis(100));
    }
    let (code, log) = (running.wait().code(), running.log());
    assert_eq!(code, Some(3), "{what}: {log}");
    let lines: Vec<&str> = log.lines().filter(|line| line.starts_with("noroshi: ")).collect();
    assert_eq!(lines.len(), 1, "{what}: {log}");
    assert!(lines[0].contains(said), "{what}: {said:?} is not in {log}");
    assert!(!log.contains("panicked"), "{what}: {log}");
    way.assert_silent(what, &log);
}

#[test]
fn rights_that_are_taken_away_stop_it_and_given_back_nothing_is_lost() {
    let Some(broker) = broker() else { return };
    let Some(listeners) = Listeners::of(broker) else { return };
    let mut stage = Stage::new(broker);
    let folder = tempfile::tempdir().expect("a folder");
    let way = listeners.sasl("SCRAM-SHA-512", &listeners.limited, Some(folder.path()));
    let user = &listeners.limited.user;
    let (id, topic) = (stage.setup.id.clone(), stage.topic());
    let (topics, group, ids) = (format!("{id}."), format!("noroshi-{id}"), format!("noroshi-{id}-"));
    for resource in [Resource::Topics(&topics), Resource::Group(&group), Resource::TransactionalIds(&ids)] {
        broker.allow(user, resource);
    }
    for (what, resource, said) in [
        ("group", Resource::Group(&group), "Group authorization failed"),
        ("transactional id", Resource::TransactionalIds(&ids), "Transactional Id authorization failed"),
        ("input", Resource::Topic(&topic), "Topic authorization failed"),
    ] {
        let mut running = way.run(&stage.setup, &SETTINGS);
        stage.produce(&topic, 20);
        stage.finish(&mut running);
        broker.deny(user, resource);
        ends(&mut stage, &mut running, &way, what, said);
        broker.no_longer_deny(user, resource);
    }
    let mut running = way.run(&stage.setup, &SETTINGS);
    stage.finish(&mut running);
    let (status, log) = running.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    stage.assert_exactly_once();
}

#[test]
fn a_token_that_is_not_renewed_stops_it_and_renewed_nothing_is_lost() {
    let Some(broker) = broker() else { return };
    let Some(listeners) = Listeners::of(broker) else { return };
    let mut stage = Stage::new(broker);
    let folder = tempfile::tempdir().expect("a folder");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let way = listeners.token_file(folder.path(), now + TOKEN_S);
    let mut running = way.run(&stage.setup, &SETTINGS);
    let topic = stage.topic();
    stage.produce(&topic, 20);
    stage.finish(&mut running);
    ends(&mut stage, &mut running, &way, "token", "the broker refuses the credentials");
    let mut running = listeners.token_file(folder.path(), YEAR_2100).run(&stage.setup, &SETTINGS);
    stage.finish(&mut running);
    let (status, log) = running.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    stage.assert_exactly_once();
}

/// The broker asks for the password again after a time, or when a connection was cut.
#[test]
fn a_password_that_is_changed_stops_it_and_with_the_new_one_nothing_is_lost() {
    if broker().is_none() {
        return;
    }
    for (what, settings) in [
        ("asked again", &[("connections.max.reauth.ms", "4000")][..]),
        // Whoever is connected stays so.
        ("cut", &[]),
    ] {
        let own = OwnBroker::with(settings);
        let listeners = Listeners::of(&own.broker).expect("its listeners");
        let mut stage = Stage::new(&own.broker);
        let folder = tempfile::tempdir().expect("a folder");
        let (old, topic) = (&listeners.login, stage.topic());
        let way = listeners.sasl("SCRAM-SHA-512", old, Some(folder.path()));
        let mut running = way.run(&stage.setup, &SETTINGS);
        stage.produce(&topic, 20);
        stage.finish(&mut running);
        let new = Login { password: "another-5d1e".into(), ..old.clone() };
        own.change_password(&new.user, &new.password);
        if settings.is_empty() {
            own.kill();
            own.restart();
        }
        ends(&mut stage, &mut running, &way, what, "the broker refuses the credentials");
        // With the old one it does not start either.
        let mut running = way.run(&stage.setup, &SETTINGS);
        assert_eq!(running.wait().code(), Some(3), "{what}: {}", running.log());
        assert!(running.log().contains("refuses us"), "{what}: {}", running.log());
        let way = listeners.sasl("SCRAM-SHA-512", &new, Some(folder.path()));
        let mut running = way.run(&stage.setup, &SETTINGS);
        stage.finish(&mut running);
        let (status, log) = running.terminate();
        assert_eq!(status.code(), Some(0), "{what}: {log}");
        stage.assert_exactly_once();
    }
}
