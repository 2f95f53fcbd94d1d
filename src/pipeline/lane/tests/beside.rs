//! A lane goes on while a rule set is rebuilt beside it, and takes it ready-made.

use std::fs;
use std::sync::mpsc::{Sender, channel};

use super::*;
use crate::pipeline::reload::{self, Reload, Wake};
use crate::pipeline::watch::Observed;

/// Epochs that are committed before the rebuild may end.
const EPOCHS: u64 = 5;

/// Lets the rebuild end once the lane has committed some epochs, and the lane once it runs what came of it.
struct Onlooker {
    slot: Arc<Slot>,
    go: Sender<()>,
    epochs: u64,
    records: u64,
    generation: u64,
    stop: Stop,
}

impl LaneEvents for Onlooker {
    fn ended(&mut self, ended: &Ended, tally: &Tally, _: &[FindingNote], _: Duration) {
        assert_eq!(ended.end, EpochEnd::Committed);
        self.records += tally.sources.iter().map(|source| source.records).sum::<u64>();
        self.epochs += 1;
        if self.epochs == EPOCHS {
            self.go.send(()).expect("the rebuild waits for it");
        }
    }

    fn beat(&mut self, _: &dyn Fn() -> Vec<PartitionStatus>, _: u64) {
        let all = self.records == 2 * RECORDS.unsigned_abs();
        if all && self.generation == 2 && self.stop.asked() == 0 {
            self.stop.ask();
        }
    }

    fn adopted(&mut self, generation: &Generation) {
        assert!(self.epochs >= EPOCHS, "the rebuild was still at work");
        self.generation = generation.number;
        let limits = EngineLimits::from(&Config::default().limits);
        assert!(
            self.slot.take(&limits).1.is_none(),
            "the lane has not taken the engine that was ready for it"
        );
    }
}

#[test]
fn a_lane_goes_on_while_a_rule_set_is_rebuilt() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |generation| {
        let (pipeline, rule) = texts(generation);
        fs::create_dir_all(folder.path().join("rules")).expect("a folder");
        fs::write(folder.path().join("pipeline.toml"), pipeline).expect("writes");
        fs::write(folder.path().join("rules/every.sql"), rule).expect("writes");
    };
    write(1);
    let mut config = Config::default();
    config.reload.interval_ms = 1;
    let (looked, sound) = reload::start(folder.path(), &RuleLimits::from(&config.limits))
        .unwrap_or_else(|found| panic!("{found:?}"));
    let slot = Slot::new(Arc::new(sound.compiled), looked.content(), 0);
    let observed = Observed::new(&config, &slot.newest(), "a");
    let ((go, gone), (begin, began)) = (channel(), channel());
    // The last step of a rebuild but one: all is read and compiled, nothing is offered.
    let admit = Box::new(move |_: &Pipeline, _: &Pipeline| {
        begin.send(()).expect("somebody waits for it");
        gone.recv().expect("the lane goes on");
        Ok(())
    });
    let stop = Stop::default();
    let reload = Reload::new(looked, &sound.warnings, &config, Arc::clone(&slot), observed, admit);
    write(2);
    reload.spawn(Wake::default(), stop.clone()).expect("a thread");

    let engine = Engine::new(slot.newest().compiled, EngineLimits::from(&config.limits));
    let script = Script {
        slot: Arc::clone(&slot),
        sets: Vec::new(),
        offers: BTreeSet::new(),
        aborts: BTreeSet::new(),
    };
    let script = Arc::new(Mutex::new(script));
    let source = Records {
        script: Arc::clone(&script),
        topics: TOPICS.map(Arc::from),
        next: [0; 2],
        committed: [0; 2],
        sources: [0, 1],
        read: 0,
    };
    let committed = Committed::default();
    let sink = Log { script, flight: None, looks: 0, committed: Arc::clone(&committed) };
    let events =
        Onlooker { slot: Arc::clone(&slot), go, epochs: 0, records: 0, generation: 1, stop: stop.clone() };
    let me = Stamp { writer: "me".into(), life: 1, epoch: 0, birth: None };
    let lane = Lane::new((source, sink), engine, events, lane_limits(64 << 20), me, SystemClock::default())
        .following(Arc::clone(&slot), 1);
    began.recv().expect("the rebuild begins");
    let (exit, ..) = lane.run(&stop);
    assert_eq!(exit, Exit::Stopped);
    let outputs: usize = committed.lock().expect("a lock").iter().map(Vec::len).sum();
    assert_eq!(
        outputs,
        2 * usize::try_from(RECORDS).expect("small"),
        "each record is an alert or a reject, once"
    );
}
