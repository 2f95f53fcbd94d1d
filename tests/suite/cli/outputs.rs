//! Streams that cannot be written: a full disk, a closed descriptor, a reader that has gone. What was lost is told, by
//! the exit code and in one line; nothing panics.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use super::*;

const PIPELINE: &str = "name = \"p\"\nrules = [\"shell.sql\"]\n[[organisation]]\nid = \"power\"\nname = \"P\"\n[[source]]\n\
     id = \"power-windows\"\norganisation = \"power\"\ntopics = [\"in.power\"]\nformat = \"windows-json\"\n\
     start = \"earliest\"\n[alerts]\ntopic = \"alerts\"\n[rejects]\ntopic = \"dead\"\n";

/// Commands that print, and their exit codes.
const COMMANDS: &[(&[&str], i32)] = &[
    (&["--help"], 0),
    (&["--version"], 0),
    (&["run", "--help"], 0),
    (&["completions", "bash"], 0),
    (&["completions", "fish"], 0),
    (&["check", "shell.sql"], 0),
    (&["check", "broken.sql"], 1),
    (&["check", "--format", "json", "broken.sql"], 1),
    (&["test", "shell.sql"], 0),
    (&["scan", "--rules", "shell.sql", "--source", "windows-json", "events"], 0),
    (&["scan", "--rules", "shell.sql", "--source", "windows-json", "--output", "table", "events"], 0),
    (&["scan", "--rules", "shell.sql", "--source", "windows-json", "--output", "ocsf", "events"], 0),
    (&["scan", "--source", "windows-json", "--output", "rows", "events"], 0),
    (&["topics", "--pipeline", "."], 0),
    (&["topics", "--pipeline", ".", "--format", "json"], 0),
    (&["demo", "--records", "500", "--rate", "0"], 0),
];

fn folder() -> Folder {
    let events = format!("{}\n{}\n", hit(), miss());
    let broken = rule("broken", "SELECT nothing FROM nowhere");
    Folder::new(&[
        ("shell.sql", SHELL),
        ("broken.sql", &broken),
        ("events", &events),
        ("pipeline.toml", PIPELINE),
    ])
}

/// The program under a shell, which can do what `Stdio` cannot: close a stream.
fn redirected(folder: &Folder, redirection: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec \"$0\" \"$@\" {redirection}"), env!("CARGO_BIN_EXE_noroshi")]);
    command.args(args).current_dir(folder.path()).stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

#[test]
fn output_that_finds_no_room_is_six_and_one_line() {
    let folder = folder();
    for (args, _) in COMMANDS {
        let done = finish(&mut redirected(&folder, ">/dev/full", args));
        assert_eq!(done.code, Some(6), "{args:?}: {}", done.err);
        let told: Vec<&str> = done.err.lines().filter(|line| line.starts_with("noroshi: cannot")).collect();
        assert_eq!(
            told,
            ["noroshi: cannot write: No space left on device (os error 28)"],
            "{args:?}: {}",
            done.err
        );
        assert!(
            done.err.ends_with(&format!("{}\n", told[0])) && !done.err.contains("panicked"),
            "{}",
            done.err
        );
    }
}

#[test]
fn a_full_or_closed_error_stream_changes_nothing() {
    let folder = folder();
    for (args, code) in COMMANDS {
        for redirection in ["2>/dev/full", "2>&-", "<&- 2>&-"] {
            let done = finish(&mut redirected(&folder, redirection, args));
            assert_eq!(done.code, Some(*code), "{args:?} {redirection}");
            assert!(!done.out.is_empty(), "{args:?} {redirection}");
        }
    }
    // What only the error stream tells is in the exit code as well.
    for redirection in ["2>/dev/full", "2>&-", ">&- 2>&-", ">/dev/full 2>/dev/full"] {
        let args = ["scan", "--rules", "broken.sql", "--source", "windows-json", "events"];
        let done = finish(&mut redirected(&folder, redirection, &args));
        assert_eq!((done.code, done.out.as_str()), (Some(2), ""), "{redirection}");
    }
}

/// Who closes standard output wants nothing of it, as with `/dev/null`; who stops reading has read enough.
#[test]
fn output_that_nobody_wants_changes_no_exit_code() {
    let folder = folder();
    for (args, code) in COMMANDS {
        let done = finish(&mut redirected(&folder, ">&-", args));
        assert_eq!(done.code, Some(*code), "{args:?}: {}", done.err);
        assert!(!done.err.contains("panicked"), "{args:?}: {}", done.err);

        let mut command = program();
        command.args(*args).current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("the program ends");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{args:?}: {err}");
        assert!(!err.contains("panicked") && !err.contains("cannot write"), "{args:?}: {err}");
    }
}

#[test]
fn the_manual_and_the_help_have_the_same_exit_codes() {
    let help = finish(program().arg("--help")).out;
    let (_, listed) = help.split_once("Exit codes:\n").expect("a list of exit codes");
    let first = |line: &str| line.split_whitespace().next().and_then(|word| word.parse().ok());
    let told: BTreeSet<u8> = listed.lines().filter_map(first).collect();
    let manual = fs::read_to_string(repository().join("docs/operations.md")).expect("the manual");
    let (_, table) = manual.split_once("| Exit code |").expect("a table of exit codes");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let written: BTreeSet<u8> = rows.filter_map(|line| first(line.trim_start_matches('|'))).collect();
    assert_eq!((told.len(), &told), (8, &written));
}
