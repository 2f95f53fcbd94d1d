//! Sets that are taken, and sets that are refused while the old one goes on.

use std::fs;

use super::*;
use crate::rules::Rule;

const PIPELINE: &str = r#"
name = "harbour"
[[organisation]]
id = "power"
name = "Power"
[[source]]
id = "power-windows"
organisation = "power"
topics = ["in.power"]
format = "windows-json"
"#;

fn rule(id: &str, event: u32) -> String {
    format!(
        "/*---\nid: {id}\ntitle: {id}\n---*/\nSELECT Computer FROM windows_security WHERE EventID = {event}\n"
    )
}

struct Stage {
    folder: tempfile::TempDir,
    reload: Reload,
    slot: Arc<Slot>,
}

impl Stage {
    fn new(admit: Admit) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("rules")).expect("a folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("writes");
        write("pipeline.toml", PIPELINE);
        write("rules/a.sql", &rule("a", 1));
        write("rules/b.sql", &rule("b", 2));
        let config = Config::default();
        let (looked, sound) =
            start(folder.path(), &RuleLimits::from(&config.limits)).unwrap_or_else(|found| {
                panic!("{found:?}");
            });
        let slot = Slot::new(Arc::new(sound.compiled), looked.content(), 0);
        let observed = Observed::new(&config, &slot.newest(), "a");
        let reload = Reload::new(looked, &sound.warnings, &config, Arc::clone(&slot), observed, admit);
        Self { folder, reload, slot }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).expect("writes");
    }

    /// Two looks: the second finds the files at rest.
    fn looks(&mut self) {
        self.reload.turn(false);
        self.reload.turn(false);
    }

    fn status(&self) -> serde_json::Value {
        self.reload.observed.health.status()
    }

    fn outcome(&self) -> serde_json::Value {
        self.status()["reload"]["outcome"].clone()
    }

    fn metric(&self, line: &str) {
        let text = self.reload.observed.metrics.encode();
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }

    fn rules(&self) -> Vec<(String, String)> {
        let newest = self.slot.newest();
        let of = |rule: &Arc<Rule>| (rule.meta.id.clone(), rule.version.clone());
        newest.compiled.rules.rules().iter().map(of).collect()
    }
}

fn willing() -> Admit {
    Box::new(|_, _| Ok(()))
}

#[test]
fn a_sound_change_is_offered_once_it_rests() {
    let mut stage = Stage::new(willing());
    stage.looks();
    assert_eq!((stage.slot.number(), stage.outcome()), (1, serde_json::Value::Null));
    let before = stage.slot.newest();
    stage.write("rules/b.sql", &rule("b", 22));
    stage.write("rules/c.sql", &rule("c", 3));
    fs::remove_file(stage.folder.path().join("rules/a.sql")).expect("removes");
    stage.reload.turn(false);
    assert_eq!(stage.slot.number(), 1, "it may not be complete");
    stage.reload.turn(false);
    assert_eq!((stage.slot.number(), stage.outcome()), (2, "loaded".into()));
    let after = stage.slot.newest();
    let ids: Vec<String> = stage.rules().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["b", "c"]);
    assert_eq!(
        Changes::between(&before.compiled.rules, &after.compiled.rules),
        Changes { added: 1, removed: 1, changed: 1 }
    );
    assert_ne!(before.content, after.content);
    stage.metric("noroshi_reloads_total{outcome=\"loaded\"} 1");
    stage.looks();
    assert_eq!(stage.slot.number(), 2, "nothing has changed since");
}

type Fault = (&'static str, fn(&Stage), &'static str);

#[test]
fn a_faulty_change_leaves_the_old_set_running_and_says_why() {
    let faults: &[Fault] = &[
        (
            "SQL",
            |s| s.write("rules/b.sql", "/*---\nid: b\ntitle: b\n---*/\nSELECT x FROM nothing WHERE 1 = 1"),
            "Q007",
        ),
        ("two rules of one id", |s| s.write("rules/c.sql", &rule("a", 3)), "R002"),
        ("half a rule", |s| s.write("rules/b.sql", "/*---\nid: b\nti"), "R001"),
        ("an empty file", |s| s.write("rules/b.sql", ""), "R001"),
        ("half a pipeline", |s| s.write("pipeline.toml", &PIPELINE[..60]), "D002"),
        ("no pipeline", |s| fs::remove_file(s.folder.path().join("pipeline.toml")).expect("removes"), "D001"),
        ("no rules' folder", |s| fs::remove_dir_all(s.folder.path().join("rules")).expect("removes"), "P001"),
        (
            "no rule at all",
            |s| {
                fs::remove_dir_all(s.folder.path().join("rules")).expect("removes");
                fs::create_dir(s.folder.path().join("rules")).expect("a folder");
            },
            "R008",
        ),
        ("no tables", |s| s.write("pipeline.toml", &format!("schemas = \"none\"{PIPELINE}")), "D001"),
        ("another name", |s| s.write("pipeline.toml", &PIPELINE.replace("harbour", "port")), "P008"),
    ];
    for (what, fault, code) in faults {
        let mut stage = Stage::new(willing());
        fault(&stage);
        stage.looks();
        assert_eq!(stage.slot.number(), 1, "{what}");
        let status = stage.status();
        let reload = &status["reload"];
        assert_eq!(reload["outcome"], "refused", "{what}");
        let codes: Vec<&str> =
            reload["problems"].as_array().into_iter().flatten().filter_map(|p| p["code"].as_str()).collect();
        assert!(codes.contains(code), "{what}: {codes:?}");
        assert_eq!(reload["problems_total"], codes.len(), "{what}");
        assert_eq!(status["errors"][0]["code"], "reload_refused", "{what}");
        stage.metric("noroshi_reload_refused 1");
        // It is told once, and the cure is taken.
        stage.looks();
        stage.metric("noroshi_reloads_total{outcome=\"refused\"} 1");
        stage.write("pipeline.toml", PIPELINE);
        let _ = fs::create_dir(stage.folder.path().join("rules"));
        let _ = fs::remove_file(stage.folder.path().join("rules/c.sql"));
        stage.write("rules/a.sql", &rule("a", 7));
        stage.write("rules/b.sql", &rule("b", 2));
        stage.looks();
        assert_eq!((stage.slot.number(), stage.outcome()), (2, "loaded".into()), "{what}");
        stage.metric("noroshi_reload_refused 0");
    }
}

#[test]
fn a_rollback_needs_no_reload() {
    let mut stage = Stage::new(willing());
    stage.write("rules/b.sql", "nonsense");
    stage.looks();
    assert_eq!(stage.outcome(), "refused");
    stage.write("rules/b.sql", &rule("b", 2));
    stage.looks();
    assert_eq!((stage.slot.number(), stage.outcome()), (1, "unchanged".into()));
    assert_eq!(stage.status()["reload"]["problems"], serde_json::json!([]));
    stage.metric("noroshi_reload_refused 0");
}

#[test]
fn a_signal_gets_an_answer() {
    let mut stage = Stage::new(willing());
    stage.reload.turn(true);
    assert_eq!((stage.slot.number(), stage.outcome()), (1, "unchanged".into()));
    stage.write("rules/b.sql", "nonsense");
    stage.looks();
    stage.reload.turn(true);
    stage.reload.turn(false);
    stage.metric("noroshi_reloads_total{outcome=\"refused\"} 2");
}

/// What the broker lacks is no fault of the files: the same set is tried again, and told once.
#[test]
fn a_missing_topic_is_waited_for() {
    let there = Arc::new(Mutex::new(false));
    let seen = Arc::clone(&there);
    let mut stage = Stage::new(Box::new(move |old, new| {
        assert_eq!((old.sources.len(), new.sources.len()), (1, 2));
        if *seen.lock().expect("a lock") {
            Ok(())
        } else {
            Err(ServiceError::MissingTopics(vec!["in.rail".into()]))
        }
    }));
    let more = "[[source]]\nid = \"more\"\norganisation = \"power\"\ntopics = [\"in.rail\"]\nformat = \"windows-json\"\n";
    stage.write("pipeline.toml", &format!("{PIPELINE}{more}"));
    stage.looks();
    let problem = &stage.status()["reload"]["problems"][0];
    assert_eq!(problem["code"], "P009");
    assert!(problem["message"].as_str().is_some_and(|text| text.contains("in.rail")), "{problem}");
    stage.looks();
    assert_eq!(stage.slot.number(), 1, "not before the time to try again");
    *there.lock().expect("a lock") = true;
    stage.reload.began -= Duration::from_millis(settling::TRY_AGAIN_MS);
    stage.looks();
    assert_eq!((stage.slot.number(), stage.outcome()), (2, "loaded".into()));
    assert_eq!(stage.status()["errors_total"], 1);
}

#[test]
fn a_wake_is_not_lost_and_asks_once() {
    let wake = Wake::default();
    wake.ask();
    wake.ask();
    assert!(wake.wait(None));
    assert!(!wake.wait(Some(Duration::ZERO)));
}
