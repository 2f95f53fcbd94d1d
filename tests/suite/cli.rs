//! The commands as users run them: arguments in, exit code and both outputs out. No Kafka.

mod check;
mod explain;
mod outputs;
mod rows;
mod scan;
mod sigma_given;
mod sigma_rules;
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::process::{Finished, finish, program};

/// A folder with files, gone after the test.
struct Folder(TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        for (name, text) in files {
            folder.write(name, text.as_bytes());
        }
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(&path, bytes).expect("writes");
        path
    }

    /// Runs the program in the folder.
    fn run(&self, args: &[&str]) -> Finished {
        finish(program().current_dir(self.path()).args(args))
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A rule with the least metadata.
fn rule(id: &str, sql: &str) -> String {
    format!("/*---\nid: {id}\ntitle: The rule {id}\nlevel: high\n---*/\n{sql}\n")
}

/// A rule that finds what [`started`] makes of `cmd.exe`.
pub const SHELL: &str = "\
/*---
id: shell
title: A shell was started
level: high
entity: [Computer]
---*/
SELECT Computer, Image FROM process_activity WHERE Image ILIKE '%\\\\cmd.exe'
";

/// The process creation of a program, as one line.
fn started(image: &str) -> String {
    let image = image.replace('\\', "\\\\");
    format!(
        r#"{{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"UtcTime":"2026-10-03 01:00:00.123","Hostname":"ws1","Image":"{image}"}}"#
    )
}

fn hit() -> String {
    started(r"C:\Windows\System32\cmd.exe")
}

fn miss() -> String {
    started(r"C:\Windows\explorer.exe")
}

#[test]
fn every_command_explains_itself_with_examples() {
    for command in ["", "demo", "run", "scan", "check", "explain", "test", "topics", "dlq", "completions"] {
        let args: Vec<&str> = [command, "--help"].into_iter().filter(|arg| !arg.is_empty()).collect();
        let done = finish(program().args(&args));
        assert_eq!(done.code, Some(0), "{args:?}: {}", done.err);
        assert!(done.out.contains("Examples:") && done.out.contains("  noroshi "), "{args:?}:\n{}", done.out);
        assert!(!done.out.contains('\x1b') && done.err.is_empty(), "{args:?}");
    }
    let short = finish(program().arg("-h"));
    for command in ["demo", "run", "scan", "check", "explain", "test", "topics", "dlq", "completions"] {
        assert!(
            short.out.contains(&format!("\n  {command} ")),
            "{command} is not in the list:\n{}",
            short.out
        );
    }
}

#[test]
fn the_version_is_the_package_s() {
    let done = finish(program().arg("--version"));
    assert_eq!(
        (done.code, done.out.as_str()),
        (Some(0), concat!("noroshi ", env!("CARGO_PKG_VERSION"), "\n"))
    );
}

#[test]
fn wrong_arguments_are_two_and_name_what_is_right() {
    for (args, expect) in [
        (&[][..], "Usage:"),
        (&["chek"], "'check'"),
        (&["scan", "--source", "windows-json"], "--rules"),
        (&["scan", "--rules", "."], "--source"),
        (&["scan", "--rules", ".", "--source", "windows-json", "--threads", "0"], "1..=256"),
        (&["run"], "--pipeline"),
        (&["demo", "--records", "3"], "500"),
        (&["completions", "tcsh"], "possible values"),
        (&["dlq"], "replay"),
        (&["dlq", "list"], "--pipeline"),
        (&["dlq", "show", "--pipeline", "."], "<POSITION>"),
        (&["dlq", "show", "--pipeline", ".", "dead/17"], "TOPIC/PARTITION/OFFSET"),
        (&["dlq", "replay", "--pipeline", "."], "say which rejects"),
        (&["dlq", "replay", "--pipeline", ".", "--attempts-max", "1", "--all"], "2..=1000"),
        (&["dlq", "list", "--pipeline", ".", "--since", "soon"], "30m, 2h, 1d"),
        (&["check", "--format", "xml"], "possible values: human, json"),
        (&["--colour", "sometimes", "check"], "possible values: auto, always, never"),
    ] {
        let done = finish(program().args(args));
        assert_eq!(done.code, Some(2), "{args:?}");
        assert!(done.err.contains(expect) && done.out.is_empty(), "{args:?}: {}{}", done.out, done.err);
    }
}

#[test]
fn completions_are_those_of_the_shell() {
    for (shell, expect) in
        [("bash", "complete -F _noroshi"), ("zsh", "#compdef noroshi"), ("fish", "complete -c noroshi")]
    {
        let done = finish(program().args(["completions", shell]));
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{shell}");
        for part in [expect, "scan", "pipeline"] {
            assert!(done.out.contains(part), "{shell}: {part}");
        }
    }
}

#[test]
fn topics_are_listed_without_a_broker() {
    let done = finish(program().current_dir(repository()).args(["topics", "--pipeline", "pipelines/demo"]));
    assert_eq!(done.code, Some(0));
    assert!(done.err.contains("no broker is configured") && done.err.lines().count() == 1, "{}", done.err);
    let lines: Vec<Vec<&str>> = done.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines,
        [
            vec!["alerts", "unknown", "alerts"],
            vec!["dead-letters", "unknown", "rejects"],
            vec!["in.ministry.windows", "unknown", "input", "of", "ministry-windows"],
            vec!["in.power.ids", "unknown", "input", "of", "power-ids"],
            vec!["in.power.windows", "unknown", "input", "of", "power-windows"],
            vec!["in.rail.ids", "unknown", "input", "of", "rail-ids"],
            vec!["in.rail.windows", "unknown", "input", "of", "rail-windows"],
        ]
    );
    let json = ["topics", "--pipeline", "pipelines/demo", "--format", "json"];
    let done = finish(program().current_dir(repository()).args(json));
    let topics: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(
        topics[2],
        serde_json::json!({"topic": "in.ministry.windows", "role": "input", "source": "ministry-windows", "state": "unknown"})
    );
    let missing =
        finish(program().current_dir(repository()).args(["topics", "--pipeline", "pipelines/none"]));
    assert_eq!(missing.code, Some(2));
    assert!(missing.err.contains("D001") && missing.err.contains("pipelines/none"), "{}", missing.err);
}

#[test]
fn a_run_tells_all_that_stands_in_its_way_at_once() {
    let pipeline = "rules = [\"rule.sql\"]\n[[organisation]]\nid = \"power\"\nname = \"P\"\n[[source]]\nid = \"win\"\n\
                    organisation = \"power\"\ntopics = [\"a\"]\nformat = \"windows-jsn\"\n";
    let folder = Folder::new(&[("p/pipeline.toml", pipeline), ("p/rule.sql", "SELECT 1")]);
    let done = folder.run(&["run", "--pipeline", "p"]);
    assert_eq!(done.code, Some(2), "{}", done.err);
    for part in ["no broker is configured", "windows-jsn", "R001"] {
        assert!(done.err.contains(part), "{part} is not in\n{}", done.err);
    }
}

#[test]
fn the_demo_finds_the_attack_at_all_three() {
    let done = finish(program().args(["demo", "--records", "600", "--rate", "0"]));
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(!done.out.contains('\x1b') && !done.err.contains('\x1b'), "{}{}", done.out, done.err);
    let line = done.out.lines().find(|line| line.contains("203.0.113.77"));
    let line = line.unwrap_or_else(|| panic!("the server is not in the summary:\n{}", done.out));
    for organisation in ["ministry", "power", "rail"] {
        assert!(line.contains(organisation), "{organisation} is not in {line:?}:\n{}", done.out);
    }
}
