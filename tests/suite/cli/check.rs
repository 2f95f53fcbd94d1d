//! `noroshi check`: every problem of every file at once, with its code and its place.

use serde_json::Value;

use super::{Folder, SHELL, finish, program, repository, rule};

/// A file, and what must be said of it: code, line, column, and a part of the message and its help.
type Broken = (&'static str, String, &'static [(&'static str, usize, usize, &'static str)]);

fn broken() -> Vec<Broken> {
    let process = |condition: &str| format!("SELECT Image FROM process_activity\nWHERE {condition}");
    vec![
        ("rules/a-column.sql", rule("a", &process("Imagee = 'x'")), &[("Q008", 7, 7, "`Image`")]),
        (
            "rules/b-table.sql",
            rule("b", "SELECT Image FROM proces_activity\nWHERE Image = 'x'"),
            &[("Q007", 6, 19, "`process_activity`")],
        ),
        ("rules/c-clock.sql", rule("c", &process("event_time > now()")), &[("Q010", 7, 20, "now")]),
        (
            "rules/d-metadata.sql",
            "/*---\nid: d\ntitle: x\nlvel: high\nstatus: fine\n---*/\nSELECT 1\n".into(),
            &[
                ("D003", 4, 1, "`level`"),
                ("D006", 5, 9, "stable"),
                ("Q006", 7, 1, "known tables"),
                ("Q023", 7, 8, "WHERE"),
            ],
        ),
        ("rules/e-bare.sql", "SELECT Image FROM process_activity\n".into(), &[
            ("R001", 1, 1, "/*---"),
            ("Q023", 1, 8, "WHERE"),
        ]),
        ("rules/f-twin.sql", rule("a", &process("Image = 'x'")), &[("R002", 2, 5, "a-column.sql:2")]),
        (
            "rules/g-group.sql",
            rule("g", &process("Image = 'x'\nGROUP BY Image")),
            &[("Q013", 8, 1, "GROUP is not available in this version")],
        ),
        ("rules/h-like.sql", rule("h", &process(r"Image LIKE '%\cmd.exe'")), &[("Q028", 7, 18, r"'%\\cmd.exe'")]),
        ("rules/i-function.sql", rule("i", &process("lowr(Image) = 'x'")), &[("Q009", 7, 7, "lower")]),
        ("rules/j-sound.sql", SHELL.into(), &[]),
        (
            "pipelines/p/pipeline.toml",
            "rules = []\n[[organisation]]\nid = \"power\"\nname = \"P\"\n[[source]]\nid = \"s\"\norganisation = \"powr\"\n\
             topics = [\"in\"]\nformat = \"windows-jsn\"\n[alerts]\ntopic = \"alerts.{org}\"\n"
                .into(),
            &[
                ("P001", 7, 16, "`power`"),
                ("P001", 9, 10, "`windows-json`"),
                ("P004", 11, 9, "{org_id}"),
            ],
        ),
    ]
}

fn folder() -> Folder {
    let files = broken();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text, _)| (*name, text.as_str())).collect();
    Folder::new(&files)
}

#[test]
fn all_problems_of_all_files_come_at_once_each_at_its_place() {
    let folder = folder();
    let (people, machine) = (folder.run(&["check"]), folder.run(&["check", "--format", "json"]));
    assert_eq!((people.code, machine.code), (Some(1), Some(1)), "{}{}", people.err, machine.err);
    let document: Value = serde_json::from_str(&machine.out).expect("JSON");
    let found: Vec<(String, Value)> = document["diagnostics"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| {
            let text = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
            (format!("{} {}:{}:{}", text("code"), text("file"), item["line"], item["column"]), item.clone())
        })
        .collect();
    let mut expected = 0;
    for (name, _, problems) in broken() {
        for (code, line, column, part) in problems {
            expected += 1;
            let place = format!("{name}:{line}:{column}");
            let wanted = format!("{code} {place}");
            let Some((_, item)) = found.iter().find(|(found, _)| *found == wanted) else {
                let all: Vec<&str> = found.iter().map(|(found, _)| found.as_str()).collect();
                panic!("{wanted} is missing; found\n{}", all.join("\n"));
            };
            assert!(
                format!("{} {}", item["message"], item["help"]).replace("\\\\", "\\").contains(part),
                "{item:#}"
            );
            let severity = if *code == "Q028" { "warning" } else { "error" };
            assert_eq!(item["severity"], severity, "{item:#}");
            for shown in [format!("{severity}[{code}]"), place] {
                assert!(people.out.contains(&shown), "{shown} is not shown:\n{}", people.out);
            }
        }
    }
    assert_eq!(found.len(), expected, "{:#}", document["diagnostics"]);
    assert!(people.out.ends_with(&format!("{} errors, 1 warning\n", expected - 1)), "{}", people.out);
    assert!(people.err.is_empty() && machine.err.is_empty(), "{}{}", people.err, machine.err);
}

#[test]
fn exit_codes_tell_problems_from_wrong_use() {
    let folder = folder();
    let empty = Folder::new(&[]);
    for (folder, args, code, part) in [
        (&folder, &["rules/j-sound.sql"][..], 0, "1 rule, 0 pipelines, 17 tables: no problems"),
        (&folder, &["rules/h-like.sql"], 0, "1 warning"),
        (
            &folder,
            &["rules/j-sound.sql", "rules/a-column.sql"],
            1,
            "2 rule files, 1 sound, 0 pipelines, 17 tables: 1 error",
        ),
        (&folder, &["pipelines"], 1, "error[R008]: no rule is in pipelines or below"),
        (&folder, &["rules/j-sound.sql", "pipelines"], 0, "warning[R008]"),
        (&folder, &["rules/none.sql"], 1, "rules/none.sql"),
        (&folder, &["pipelines/p"], 1, "3 errors"),
        (&folder, &["--pipeline", "pipelines/none"], 1, "D001"),
        (&folder, &["rules/j-sound.sql", "--config", "none.toml"], 1, "none.toml"),
        (&folder, &["--no-such-thing"], 2, "--no-such-thing"),
        (&empty, &[], 2, "nothing to check here"),
    ] {
        let done = folder.run(&[&["check"], args].concat());
        assert_eq!(done.code, Some(code), "{args:?}: {}{}", done.out, done.err);
        assert!(format!("{}{}", done.out, done.err).contains(part), "{args:?}: {}{}", done.out, done.err);
    }
}

#[test]
fn the_limits_of_the_configuration_hold() {
    let long =
        rule("long", &format!("SELECT Image FROM process_activity WHERE Image = '{}'", "x".repeat(300)));
    let folder = Folder::new(&[("rules/a.sql", SHELL), ("rules/b.sql", &long)]);
    for (limits, expect) in [
        ("", None),
        ("[limits]\nrule_sql_bytes_max = 256\n", Some("Q004")),
        ("[limits]\nrules_max = 1\n", Some("more than limits.rules_max, 1")),
    ] {
        folder.write("noroshi.toml", limits.as_bytes());
        for command in
            [&["check"][..], &["test", "rules"], &["scan", "--rules", "rules", "--source", "windows-json"]]
        {
            let done = folder.run(command);
            let (failed, all) = (done.code != Some(0), format!("{}{}", done.out, done.err));
            assert_eq!(failed, expect.is_some(), "{limits}{command:?}: {all}");
            assert!(all.contains(expect.unwrap_or_default()), "{limits}{command:?}: {all}");
        }
    }
}

#[test]
fn the_repository_itself_has_no_problem() {
    let done = finish(program().current_dir(repository()).arg("check"));
    assert_eq!(done.code, Some(0), "{}", done.out);
    assert!(done.out.ends_with(": no problems\n"), "{}", done.out);
}

#[test]
fn colour_is_what_the_user_asks_for() {
    let folder = folder();
    for (no_colour, args, coloured) in [
        (None, &["check"][..], false),
        (Some("1"), &["check"], false),
        (None, &["check", "--colour", "always"], true),
        (Some("1"), &["--colour", "always", "check"], true),
        (None, &["check", "--colour", "never"], false),
    ] {
        let mut command = program();
        command.env_remove("NO_COLOR").current_dir(folder.path()).args(args);
        if let Some(value) = no_colour {
            command.env("NO_COLOR", value);
        }
        let done = finish(&mut command);
        assert_eq!(done.out.contains('\x1b'), coloured, "{no_colour:?} {args:?}");
    }
}
