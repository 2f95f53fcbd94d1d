//! Pipelines that are read, and the problems of those that are not.

use super::*;

fn load(text: &str) -> Result<Pipeline, Vec<String>> {
    let file = SourceFile::new("p/pipeline.toml", text);
    Pipeline::from_file(&file, Path::new("/nowhere/p")).map_err(|mut found| {
        crate::diagnostic::sort(&mut found);
        found.iter().map(ToString::to_string).collect()
    })
}

const GOOD: &str = r#"
rules = []
[[organisation]]
id = "power"
name = "Power"
tlp = "red"
[[source]]
id = "power-windows"
organisation = "power"
topics = ["in.power.windows"]
topic_pattern = "in\\.power\\.win-.*"
format = "windows-json"
time_zone = "+09:00"
allowed_lateness = "2h"
start = "earliest"
[alerts]
topic = "alerts.{org_id}"
"#;

#[test]
fn a_good_pipeline() {
    let pipeline = load(GOOD).expect("loads");
    assert_eq!(pipeline.name, "p");
    assert_eq!(pipeline.sources[0].allowed_lateness_ms, 7_200_000);
    assert_eq!(pipeline.output_topics(), ["alerts.power", "dead-letters"]);
    for (topic, expect) in [
        ("in.power.windows", Some(0)),
        ("in.power.win-7", Some(0)),
        ("in.power.windows2", None),
        ("xin.power.win-7", None),
        ("in_power_win-7", None),
    ] {
        assert_eq!(pipeline.source_of(topic), expect, "{topic}");
    }
}

#[test]
fn a_key_in_the_wrong_table_is_told_where_it_belongs() {
    for (line, expect) in [
        ("tlp = 'red'", "p/pipeline.toml:18:1: unknown key `tlp` [D003]; did you mean `organisation.tlp`?"),
        (
            "time_zone = 'UTC'",
            "p/pipeline.toml:18:1: unknown key `time_zone` [D003]; did you mean `source.time_zone`?",
        ),
        (
            "schemas = '.'",
            "p/pipeline.toml:18:1: unknown key `schemas` [D003]; did you mean `schemas` at the top of the file?",
        ),
    ] {
        assert_eq!(load(&format!("{GOOD}{line}\n")).expect_err(line), [expect]);
    }
}

#[test]
fn all_problems_at_once_each_at_its_place() {
    let text = r#"
rules = ["missing"]
[[organisation]]
id = "a"
name = "A"
[[organisation]]
id = "a"
name = "B"
[[source]]
id = "s"
organisation = "b"
topics = ["in put", "x"]
format = "windowsjson"
time_zone = "Tokyo"
allowed_lateness = "soon"
[[source]]
id = "t"
organisation = "a"
topics = ["alerts"]
format = "suricata-eve"
[[source]]
id = "t"
organisation = "a"
topics = ["alerts"]
format = "suricata-eve"
[[source]]
id = "u"
organisation = "a"
topic_pattern = "("
format = "suricata-eve"
[rejects]
topic = "dead.{organisation}"
"#;
    let found = load(text).expect_err("many problems");
    let codes: Vec<(String, String)> = found
        .iter()
        .map(|line| {
            let place =
                line.split(": ").next().unwrap_or_default().trim_start_matches("p/pipeline.toml:").to_owned();
            let code = line.split('[').nth(1).unwrap_or_default()[..4].to_owned();
            (place, code)
        })
        .collect();
    let expect = [
        ("2:10", "P001"),
        ("7:6", "P002"),
        ("11:16", "P001"),
        ("12:11", "P003"),
        ("13:10", "P001"),
        ("14:13", "D006"),
        ("15:20", "D006"),
        // The default topic of alerts stands nowhere.
        ("19:11", "P007"),
        ("22:6", "P002"),
        ("24:11", "P005"),
        ("29:17", "D006"),
        ("32:9", "P004"),
    ];
    let expect: Vec<(String, String)> = expect.iter().map(|(p, c)| ((*p).into(), (*c).into())).collect();
    assert_eq!(codes, expect, "{found:#?}");
}

#[test]
fn durations() {
    for (text, expect) in [
        ("500ms", Some(500)),
        ("30 s", Some(30_000)),
        ("1d", Some(86_400_000)),
        ("5", None),
        ("-1s", None),
        ("1y", None),
        ("", None),
    ] {
        assert_eq!(parse_duration_ms(text), expect, "{text}");
    }
}

#[test]
fn faults_of_the_shape_do_not_hide_the_others_and_make_no_new_ones() {
    let text = r#"
rulez = []
rules = ["missing"]
[[organisation]]
idd = "a"
name = "A"
[[organisation]]
id = "b"
name = "B"
tlp = "pink"
[[source]]
id = "s"
organisation = "a"
topics = "t"
format = "windows-jsn"
[[source]]
id = "u"
organisation = "b"
topics = ["no topic"]
format = "windows-json"
allowed_lateness = "soon"
"#;
    let codes: Vec<String> = load(text)
        .expect_err("faults")
        .iter()
        .map(|line| {
            let place = line.trim_start_matches("p/pipeline.toml:").split(':').next().unwrap_or_default();
            format!("{place} {}", &line[line.rfind('[').unwrap_or(0)..][..6])
        })
        .collect();
    assert_eq!(
        codes,
        [
            "2 [D003]",
            "3 [P001]",
            "4 [D004]",
            "5 [D003]",
            "10 [D006]",
            "14 [D005]",
            "15 [P001]",
            "19 [P003]",
            "21 [D006]"
        ]
    );
}

#[test]
fn what_a_faulty_source_claims_is_claimed_all_the_same() {
    let text = r#"
rules = []
[[organisation]]
id = "a"
name = "A"
[[source]]
id = "s"
organisation = "a"
topics = ["in", "dead-letters"]
format = "windows-jsn"
[[source]]
id = "s"
organisation = "a"
topics = ["in"]
format = "windows-json"
[[source]]
idd = "u"
organisation = "a"
topics = ["other"]
format = "windows-json"
[[source]]
id = "v"
organisation = "a"
topic_pattern = "oth.*"
format = "windows-json"
"#;
    let codes: Vec<String> = load(text)
        .expect_err("faults")
        .iter()
        .map(|line| {
            let place = line.trim_start_matches("p/pipeline.toml:").split(':').next().unwrap_or_default();
            format!("{place} {}", &line[line.find(" [").unwrap_or(0)..][1..7])
        })
        .collect();
    let expect = ["9 [P007]", "10 [P001]", "12 [P002]", "14 [P005]", "16 [D004]", "17 [D003]", "24 [P005]"];
    assert_eq!(codes, expect);
}

#[test]
fn added_headers_are_checked_where_they_stand() {
    let text = r#"
rules = []
[[organisation]]
id = "a"
name = "A"
[[source]]
id = "s"
organisation = "a"
topics = ["in"]
format = "windows-json"
[alerts.headers]
"splunk.header.index" = "noroshi_{org_id}"
"noroshi-level" = "x"
"a/b" = "{organisation}"
"#;
    let found = load(text).expect_err("faults");
    let places: Vec<bool> = found
        .iter()
        .zip(["13:19", "14:9"])
        .map(|(line, place)| line.contains(&format!("pipeline.toml:{place}")) && line.contains("[P010]"))
        .collect();
    assert_eq!((found.len(), places), (2, vec![true, true]), "{found:?}");
    let sound = load(&text.replace("\"noroshi-level\" = \"x\"\n\"a/b\" = \"{organisation}\"\n", ""));
    assert_eq!(sound.expect("sound").alert_headers.len(), 1);
}

#[test]
fn topics_that_get_in_each_others_way() {
    let source = |topics: &str| {
        format!("[[source]]\nid = 's'\norganisation = 'a'\n{topics}\nformat = 'windows-json'\n")
    };
    let organisations =
        "rules = []\n[[organisation]]\nid = 'a'\nname = 'A'\n[[organisation]]\nid = 'b.c'\nname = 'B'\n";
    let both = "alerts and rejects both go to";
    for (topics, sinks, expect) in [
        ("topics = ['in']", "", vec![]),
        ("topics = ['in']", "[alerts]\ntopic = 'x'\n[rejects]\ntopic = 'x'\n", vec![("16:9", "P011", both)]),
        ("topics = ['in']", "[alerts]\ntopic = 'dead-letters'\n", vec![("14:9", "P011", both)]),
        ("topics = ['in']", "[rejects]\ntopic = 'alerts'\n", vec![("14:9", "P011", both)]),
        // One organisation's rejects among another's alerts.
        (
            "topics = ['in']",
            "[alerts]\ntopic = 'x.{org_id}'\n[rejects]\ntopic = 'x.b.c'\n",
            vec![("16:9", "P011", "`x.b.c`")],
        ),
        ("topics = ['in']", "[alerts]\ntopic = 'x.{org_id}'\n[rejects]\ntopic = 'y.{org_id}'\n", vec![]),
        // An unsound template says nothing of topics.
        (
            "topics = ['in']",
            "[alerts]\ntopic = '{x}'\n[rejects]\ntopic = '{x}'\n",
            vec![("14:9", "P004", ""), ("16:9", "P004", "")],
        ),
        ("topics = ['in', 'alerts']", "", vec![("11:17", "P007", "`alerts` is also read by the source `s`")]),
        ("topic_pattern = 'al.*'", "", vec![("11:17", "P007", "`alerts`")]),
        ("topics = ['in', 'x']", "[alerts]\ntopic = 'x'\n", vec![("14:9", "P007", "`x`")]),
        ("topics = ['in.a', 'in_a', 'in-a']", "", vec![("11:19", "P012", "the topics `in.a` and `in_a`")]),
        ("topics = ['x.a']", "[alerts]\ntopic = 'x_{org_id}'\n", vec![("14:9", "P012", "`x.a` and `x_a`")]),
    ] {
        let file = SourceFile::new("p.toml", format!("{organisations}{}{sinks}", source(topics)));
        let mut found = Vec::new();
        let document = document::look_at_toml::<PipelineFile>(&file, &mut found).expect("a document");
        from_document(&document, Path::new("/nowhere/p"), &mut found);
        crate::diagnostic::sort(&mut found);
        let fits = found.len() == expect.len()
            && found.iter().zip(&expect).all(|(found, (place, code, message))| {
                found.place() == format!("p.toml:{place}")
                    && found.code.id == *code
                    && found.message.contains(message)
                    && found.is_error() == (*code != "P012")
            });
        assert!(fits, "{topics} {sinks}: {found:#?}");
    }
}

#[test]
fn a_password_that_belongs_into_the_configuration_is_not_shown() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("pipeline.toml");
    for line in [
        "kafka = { sasl = { password = 'canary-9b1d' } }",
        "password = 'canary-9b1d'",
        "password = canary-9b1d",
        "kafka.sasl.password = 'canary-9b1d'",
    ] {
        std::fs::write(&path, format!("{line}\n{GOOD}")).expect("write");
        let found = Pipeline::load(&path).expect_err(line);
        let shown: String = found.iter().map(|found| found.render(false)).collect();
        assert!(shown.contains("pipeline.toml:1:") && !shown.contains("canary"), "{line}: {shown}");
    }
}

#[test]
fn which_rules_run_is_chosen() {
    use crate::rules::meta::{RuleLevel, RuleStatus};
    let pipeline = |select: &str| load(&format!("values = 'values'\n{GOOD}[select]\n{select}"));
    // The folder of values is not there.
    let at_values = "p/pipeline.toml:1:10: /nowhere/p/values is no folder [P001]; \
        make it, with a file NAME.txt for each placeholder %NAME%";
    for (select, expect) in [
        ("level_min = 'high'", &[][..]),
        (
            "level_min = 'high'\nlevels = ['low']",
            &["p/pipeline.toml:21:1: `level_min` and `levels` are both given [P014]; \
               give one of them: the levels by name, or the lowest"],
        ),
        (
            "levels = []\nstatuses = []",
            &[
                "p/pipeline.toml:20:10: with no `levels` no rule runs [P014]; leave the key out to have all",
                "p/pipeline.toml:21:12: with no `statuses` no rule runs [P014]; leave the key out to have all",
            ],
        ),
        (
            "disabled = ['a-1', 'b', 'A-1']",
            &["p/pipeline.toml:20:25: the rule `A-1` is disabled twice [P002]"],
        ),
    ] {
        let found = pipeline(select).expect_err("no values");
        let expect: Vec<&str> = [at_values].iter().chain(expect).copied().collect();
        assert_eq!(found, expect, "{select}");
    }
    let of = |select: &str| load(&format!("{GOOD}[select]\n{select}")).expect(select).selection;
    let chosen =
        of("level_min = 'high'\nstatuses = ['stable', 'test']\ndeprecated = true\ndisabled = ['A-1']");
    assert_eq!(chosen.levels, Some([RuleLevel::High, RuleLevel::Critical].into()));
    assert_eq!(chosen.statuses, Some(vec![RuleStatus::Stable, RuleStatus::Test]));
    assert!(chosen.deprecated && chosen.disabled.contains_key("a-1"));
    assert_eq!(of("levels = ['low', 'high']").levels, Some([RuleLevel::Low, RuleLevel::High].into()));
    let none = load(GOOD).expect("loads").selection;
    assert!(none.levels.is_none() && none.statuses.is_none() && !none.deprecated && none.values.is_none());
}

#[test]
fn steps_before_a_format_are_named_and_few() {
    let with = |steps: &str| load(&GOOD.replace("[[source]]\n", &format!("[[source]]\n{steps}\n")));
    let sound =
        with("packing = 'gzip'\nframing = 'lines'\nenvelopes = ['fluent-bit', 'docker']").expect("sound");
    let times: Vec<&str> = sound.sources[0].format.time_fields().iter().map(|time| time.path).collect();
    assert!(
        times.ends_with(&[
            "envelope.time",
            "envelope.envelope.@timestamp",
            "envelope.envelope.date",
            "envelope.envelope.time"
        ]),
        "{times:?}"
    );
    assert_eq!(sound.sources[0].format.name(), "windows-json");
    for (steps, code, words) in [
        ("envelopes = ['vectr']", "[P001]", "vector"),
        ("envelopes = ['docker', 'docker', 'docker', 'docker', 'docker']", "[D006]", "more than 4"),
        ("packing = 'rar'", "[D006]", "rar"),
        ("framing = 'line'", "[D006]", "line"),
    ] {
        let found = with(steps).expect_err(steps).join("\n");
        assert!(found.contains(code) && found.contains(words), "{steps}: {found}");
    }
}
