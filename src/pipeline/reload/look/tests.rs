//! What is a change of a pipeline's files, and what is none.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

const PIPELINE: &str = "rules = [\"rules\"]\nschemas = \"schemas\"\nvalues = \"values\"\n";

struct Stage {
    folder: tempfile::TempDir,
    looker: Looker,
    /// The clock of the looks. As long as it stands here, all files are too young to be trusted.
    now: SystemTime,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for inner in ["rules/deep", "schemas/tables", "schemas/sigma", "values"] {
            fs::create_dir_all(folder.path().join(inner)).expect("a folder");
        }
        let looker = Looker::new(folder.path(), RuleLimits::default());
        let stage = Self { folder, looker, now: SystemTime::now() };
        stage.write("pipeline.toml", PIPELINE);
        stage.write("rules/a.sql", "a");
        stage.write("rules/deep/b.sql", "b");
        stage.write("schemas/tables/t.toml", "t");
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("writes");
    }

    fn look(&mut self) -> String {
        self.looker.look(self.now)
    }
}

type Change = (&'static str, fn(&Stage), bool);

#[test]
fn what_is_a_change_and_what_is_none() {
    let changes: &[Change] = &[
        ("nothing", |_| {}, false),
        ("a rule is edited", |s| s.write("rules/a.sql", "A"), true),
        ("a rule in a folder is edited", |s| s.write("rules/deep/b.sql", "bb"), true),
        ("a rule is added", |s| s.write("rules/c.sql", "c"), true),
        ("a rule is deleted", |s| fs::remove_file(s.path("rules/a.sql")).expect("removes"), true),
        (
            "a rule is renamed",
            |s| fs::rename(s.path("rules/a.sql"), s.path("rules/z.sql")).expect("renames"),
            true,
        ),
        ("a log source is added", |s| s.write("schemas/sigma/s.toml", "s"), true),
        ("a value is added", |s| s.write("values/servers.txt", "srv"), true),
        ("something else lies among the values", |s| s.write("values/README.md", "read me"), false),
        ("a table is edited", |s| s.write("schemas/tables/t.toml", "T"), true),
        ("the pipeline is edited", |s| s.write("pipeline.toml", &format!("# \n{PIPELINE}")), true),
        (
            "the pipeline names other folders",
            |s| s.write("pipeline.toml", "rules = [\"rules/deep\"]\n"),
            true,
        ),
        ("the pipeline is cut short", |s| s.write("pipeline.toml", "rules = ["), true),
        ("the pipeline is deleted", |s| fs::remove_file(s.path("pipeline.toml")).expect("removes"), true),
        ("the rules' folder is deleted", |s| fs::remove_dir_all(s.path("rules")).expect("removes"), true),
        ("the tables' folder is deleted", |s| fs::remove_dir_all(s.path("schemas")).expect("removes"), true),
        (
            "a folder cannot be read",
            |s| {
                fs::remove_dir_all(s.path("schemas/tables")).expect("removes");
                s.write("schemas/tables", "no folder");
            },
            true,
        ),
        ("a rule leads nowhere", |s| symlink("nowhere", s.path("rules/d.sql")).expect("links"), true),
        ("a rule is touched", |s| s.write("rules/a.sql", "a"), false),
        (
            "a rule is replaced by its like",
            |s| {
                s.write("new", "a");
                fs::rename(s.path("new"), s.path("rules/a.sql")).expect("renames");
            },
            false,
        ),
        (
            "an editor saves by renaming",
            |s| {
                s.write("rules/.a.sql.new", "A");
                fs::rename(s.path("rules/.a.sql.new"), s.path("rules/a.sql")).expect("renames");
            },
            true,
        ),
        ("an editor keeps a hidden copy", |s| s.write("rules/.a.sql", "half"), false),
        ("something else lies there", |s| s.write("rules/README.md", "read me"), false),
    ];
    for (what, change, expect) in changes {
        let mut stage = Stage::new();
        let before = stage.look();
        change(&stage);
        let after = stage.look();
        assert_eq!(before != after, *expect, "{what}");
        assert_eq!(stage.look(), after, "{what}: the same again");
        // Another process, which has seen nothing before, finds the same.
        let mut other = Looker::new(stage.folder.path(), RuleLimits::default());
        if !stage.path("pipeline.toml").exists() || what.contains("cut short") {
            continue;
        }
        assert_eq!(other.look(stage.now), after, "{what}: seen by another");
    }
}

/// As Kubernetes mounts a ConfigMap: links to `..data`, which is a link to a folder that is exchanged as a whole.
#[test]
fn an_exchanged_config_map_is_one_change_and_its_hidden_folders_are_not_read() {
    let mut stage = Stage::new();
    fs::remove_file(stage.path("rules/a.sql")).expect("removes");
    let data = |stage: &Stage, version: &str, text: &str| {
        fs::create_dir(stage.path(&format!("rules/..{version}"))).expect("a folder");
        stage.write(&format!("rules/..{version}/a.sql"), text);
        symlink(format!("..{version}"), stage.path("rules/..data_tmp")).expect("links");
    };
    let exchange = |stage: &Stage| {
        fs::rename(stage.path("rules/..data_tmp"), stage.path("rules/..data")).expect("renames")
    };
    data(&stage, "1", "a");
    exchange(&stage);
    symlink("..data/a.sql", stage.path("rules/a.sql")).expect("links");
    let first = stage.look();
    let (files, faults) = rules::files(&[stage.path("rules")], &RuleLimits::default());
    assert_eq!(files, [stage.path("rules/a.sql"), stage.path("rules/deep/b.sql")], "{faults:?}");
    data(&stage, "2", "A");
    assert_eq!(stage.look(), first, "written, not yet exchanged");
    exchange(&stage);
    let second = stage.look();
    assert_ne!(second, first);
    fs::remove_dir_all(stage.path("rules/..1")).expect("removes");
    assert_eq!(stage.look(), second, "what was exchanged is cleared away");
}

#[test]
fn a_file_is_read_again_only_when_its_stamp_has_changed() {
    let mut stage = Stage::new();
    // Changed just now: a second change may have the same stamp.
    for read in [4, 8] {
        stage.look();
        assert_eq!(stage.looker.read, read);
    }
    // An hour later every further change shows.
    stage.now += Duration::from_secs(3_600);
    for read in [12, 12, 12] {
        stage.look();
        assert_eq!(stage.looker.read, read);
    }
    stage.write("rules/a.sql", "longer");
    stage.look();
    assert_eq!(stage.looker.read, 13);
}

#[test]
fn the_fingerprint_does_not_say_where_the_folder_is() {
    let (mut one, mut two) = (Stage::new(), Stage::new());
    assert_eq!(one.look(), two.look());
}
