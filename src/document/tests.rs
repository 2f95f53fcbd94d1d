//! Reading, places, faults, and what is left of a faulty document.

use super::*;
use serde::Deserialize;

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
struct Sample {
    name: String,
    #[serde(default)]
    size: Option<u32>,
    #[serde(default)]
    mode: Option<Mode>,
    #[serde(default)]
    pace: Pace,
    #[serde(default)]
    inner: Vec<Inner>,
    #[serde(default)]
    place: Option<Place>,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Place {
    File(String),
    Env(String),
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Fast,
    Safe,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq, Default)]
#[serde(rename_all = "lowercase")]
enum Pace {
    /// Described, so that each has a place of its own in the schema.
    #[default]
    Slow,
    /// The same.
    Brisk,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
struct Inner {
    topic: String,
}

fn shown(result: Result<Document<Sample>, Vec<Diagnostic>>) -> Vec<String> {
    let mut found = result.expect_err("errors");
    crate::diagnostic::sort(&mut found);
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn all_errors_of_a_toml_file_come_at_once_each_at_its_place() {
    let text = "nme = 'x'\nsize = -1\nmode = 'quick'\n[[inner]]\ntopc = 'a'\n[[inner]]\ntopic = 7\n";
    let file = SourceFile::new("p.toml", text);
    assert_eq!(
        shown(read_toml::<Sample>(&file)),
        [
            "p.toml:1:1: the file lacks the key `name` [D004]",
            "p.toml:1:1: unknown key `nme` [D003]; did you mean `name`?",
            "p.toml:2:8: must be at least 0 [D006]",
            "p.toml:3:8: `quick` is not one of the allowed values [D006]; allowed: fast, safe",
            "p.toml:4:1: `inner[0]` lacks the key `topic` [D004]",
            "p.toml:5:1: unknown key `topc` [D003]; did you mean `topic`?",
            "p.toml:7:9: expected string, found a number [D005]",
        ]
    );
}

#[test]
fn yaml_gives_the_same_places() {
    let text = "/*---\nname: 狼煙\nsize: big\ninner: [{topic: a, x: 1}]\n---*/\n";
    let file = SourceFile::new("r.sql", text);
    let end = text.find("---*/").expect("end");
    assert_eq!(
        shown(read_yaml::<Sample>(&file, 6..end)),
        [
            "r.sql:3:7: expected integer, found a string [D005]",
            "r.sql:4:20: unknown key `x` [D003]; did you mean `topic`?",
        ]
        .map(|line| line.replace("did you mean `topic`?", "known here: topic"))
    );
}

#[test]
fn yaml_that_could_grow_or_hide_is_refused() {
    for (text, expect) in [
        ("name: &a x\nmode: *a\n", "D007"),
        ("name: !!str x\n", "D007"),
        ("name: a\n---\nname: b\n", "D007"),
        ("name: a\nname: b\n", "D002"),
        ("name: [a\n", "D002"),
        ("{a: b}: c\n", "D002"),
    ] {
        let file = SourceFile::new("x.yaml", text);
        let found = read_yaml::<Sample>(&file, 0..text.len()).expect_err(text);
        assert_eq!(found[0].code.id, expect, "{text:?}: {}", found[0]);
    }
    let deep = "[".repeat(5_000);
    let file = SourceFile::new("x.yaml", deep.as_str());
    assert!(read_yaml::<Sample>(&file, 0..deep.len()).is_err());
}

#[test]
fn a_key_that_is_given_twice_hides_no_other_fault() {
    for (text, expect) in [
        (
            "name = 'x'\nname = 7\nsize = -1\n",
            vec!["p.toml:2:1: the key `name` is given twice [D002]", "p.toml:3:8: must be at least 0 [D006]"],
        ),
        (
            "name = 'x'\n[place]\nfile = 7\n[place]\nfle = 'a'\n",
            vec![
                "p.toml:3:8: expected string, found a number [D005]",
                "p.toml:4:2: the key `place` is given twice [D002]",
                "p.toml:5:1: unknown key `fle` [D003]",
            ],
        ),
        (
            "place = { file = 'a', file = 'b' }\n",
            vec![
                "p.toml:1:1: the file lacks the key `name` [D004]",
                "p.toml:1:23: the key `file` is given twice [D002]",
            ],
        ),
        // Where the text itself is broken, nobody knows what it means.
        (
            "name = 'x'\nname = 'y'\nsize =\n[[inner]]\n",
            vec!["p.toml:2:1: the key `name` is given twice [D002]", "p.toml:3:7: "],
        ),
    ] {
        let found = shown(read_toml::<Sample>(&SourceFile::new("p.toml", text)));
        let fits = found.len() == expect.len()
            && found.iter().zip(&expect).all(|(found, expect)| found.starts_with(expect));
        assert!(fits, "{text}: {found:#?}");
    }
    let text = "name: x\nsize: 1\ninner: [{topic: a}, {topic: 7}]\nsize: big\ninner:\n- topic: 7\nnme: x\n";
    let file = SourceFile::new("p.yaml", text);
    assert_eq!(
        shown(read_yaml::<Sample>(&file, 0..text.len())),
        [
            "p.yaml:4:1: the key `size` is given twice [D002]",
            "p.yaml:4:7: expected integer, found a string [D005]",
            "p.yaml:5:1: the key `inner` is given twice [D002]",
            "p.yaml:6:10: expected string, found a number [D005]",
            "p.yaml:7:1: unknown key `nme` [D003]; did you mean `name`?",
        ]
    );
}

#[test]
fn a_key_in_the_wrong_table_is_told_where_it_belongs() {
    for (text, expect) in [
        // In another table, in a list, in one of several tables.
        ("name = 'x'\ntopic = 'a'\n", "unknown key `topic` [D003]; did you mean `inner.topic`?"),
        ("name = 'x'\nfile = 'a'\n", "unknown key `file` [D003]; did you mean `place.file`?"),
        (
            "name = 'x'\n[[inner]]\ntopic = 'a'\nmode = 'fast'\n",
            "unknown key `mode` [D003]; did you mean `mode` at the top of the file?",
        ),
        // A table that is nowhere, with a key that is somewhere.
        ("name = 'x'\n[qqqq]\ntopic = 'a'\n", "unknown key `qqqq` [D003]; did you mean `inner.topic`?"),
        // Also a slip of the pen, and neither.
        (
            "name = 'x'\n[[inner]]\ntopic = 'a'\ntopc = 1\n",
            "unknown key `topc` [D003]; did you mean `topic`?",
        ),
        (
            "name = 'x'\nqqqq = 1\n",
            "unknown key `qqqq` [D003]; known here: inner, mode, name, pace, place, size",
        ),
    ] {
        let found = shown(read_toml::<Sample>(&SourceFile::new("p.toml", text)));
        assert!(found.iter().any(|found| found.ends_with(expect)), "{text}: {found:?}");
    }
}

#[test]
fn one_of_several_tables_is_explained() {
    for (text, expect) in [
        ("name = 'x'\nplace = 'a'\n", "p.toml:2:9: expected object, found a string [D005]"),
        ("name = 'x'\nplace = { fle = 'a' }\n", "p.toml:2:11: unknown key `fle` [D003]"),
        ("name = 'x'\nplace = { file = 7 }\n", "p.toml:2:18: expected string, found a number [D005]"),
        ("name = 'x'\nplace = { file = 'a', env = 'b' }\n", "p.toml:2:"),
    ] {
        let found = shown(read_toml::<Sample>(&SourceFile::new("p.toml", text)));
        assert!(found.iter().any(|found| found.starts_with(expect)), "{text}: {found:?}");
        assert!(found.iter().all(|found| !found.contains("expected ,")), "{text}: {found:?}");
    }
}

#[test]
fn a_value_that_is_none_of_a_list_is_one_fault_with_the_whole_list() {
    for (text, expect) in [
        ("mode = 5", "p.toml:2:8: expected string, found a number [D005]; allowed: fast, safe"),
        ("mode = 'x'", "p.toml:2:8: `x` is not one of the allowed values [D006]; allowed: fast, safe"),
        ("pace = 5", "p.toml:2:8: expected string, found a number [D005]; allowed: slow, brisk"),
        ("pace = []", "p.toml:2:8: expected string, found a list [D005]; allowed: slow, brisk"),
        ("pace = {}", "p.toml:2:8: expected string, found a table [D005]; allowed: slow, brisk"),
        ("pace = 'x'", "p.toml:2:8: `x` is not one of the allowed values [D006]; allowed: slow, brisk"),
    ] {
        let file = SourceFile::new("p.toml", format!("name = 'x'\n{text}\n"));
        assert_eq!(shown(read_toml::<Sample>(&file)), [expect], "{text}");
    }
}

#[test]
fn a_good_document_keeps_the_places_of_its_values() {
    let file = SourceFile::new("p.toml", "name = 'x'\n[[inner]]\ntopic = 'a'\n");
    let document = read_toml::<Sample>(&file).expect("reads");
    assert_eq!(document.value.inner, [Inner { topic: "a".into() }]);
    let place = document.spans.value("/inner/0/topic");
    assert_eq!(file.line_column(place.span.start), (3, 9));
    assert_eq!(document.spans.value("/inner/0/nothing/there").span, document.spans.value("/inner/0").span);
}

#[test]
fn the_sound_rest_of_a_faulty_document_is_left_to_look_at() {
    // Text; what of it is left (name, size, topics), and what counts as lost.
    for (text, left, lost) in [
        ("nme = 'x'\nsize = 3\n", ("?", Some(3), vec![]), vec!["/name", "/nme"]),
        ("name = 'x'\nsize = -1\n", ("x", None, vec![]), vec!["/size"]),
        ("name = 7\n", ("?", None, vec![]), vec!["/name"]),
        // The second item moves up to where the first was, and is not lost.
        (
            "name = 'x'\n[[inner]]\ntopic = 'a'\n[[inner]]\n[[inner]]\ntopic = 'b'\nx = 1\n",
            ("x", None, vec!["a", "?", "b"]),
            vec!["/inner/1/topic", "/inner/2/x", "/inner"],
        ),
        ("name = 'x'\ninner = ['a', { topic = 'b' }]\n", ("x", None, vec!["b"]), vec!["/inner"]),
    ] {
        let file = SourceFile::new("p.toml", text);
        let mut found = Vec::new();
        let document = look_at_toml::<Sample>(&file, &mut found).expect(text);
        assert!(!found.is_empty(), "{text}");
        let sample = &document.value;
        let topics: Vec<&str> = sample.inner.iter().map(|inner| inner.topic.as_str()).collect();
        assert_eq!((sample.name.as_str(), sample.size, topics), left, "{text}");
        for pointer in &lost {
            assert!(document.spans.is_lost(pointer), "{text}: {pointer}");
        }
        assert!(!document.spans.is_lost("/inner/0"), "{text}");
        assert!(!document.spans.is_lost("/mode"), "{text}");
    }
    let file = SourceFile::new("p.toml", "name = 'x'\ninner = ['a', { topic = 'b' }]\n");
    let document = look_at_toml::<Sample>(&file, &mut Vec::new()).expect("something is left");
    assert_eq!(file.line_column(document.spans.value("/inner/0/topic").span.start), (2, 25));
    // Text that is no document has no rest.
    assert!(look_at_toml::<Sample>(&SourceFile::new("p.toml", "name = "), &mut Vec::new()).is_none());
}
