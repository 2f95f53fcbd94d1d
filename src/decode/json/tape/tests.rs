//! Texts as nodes, against two other readers of JSON.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

fn tape(text: &str) -> Result<Vec<Node<'_>>, Fault> {
    let mut nodes = Vec::new();
    read(text, 128, &mut Buffers::default(), &mut nodes).map(|()| nodes)
}

/// The value that nodes are, and how many they are.
fn value(nodes: &[Node<'_>]) -> (Value, usize) {
    match nodes[0] {
        Node::Null => (Value::Null, 1),
        Node::Bool(flag) => (flag.into(), 1),
        Node::Text(text) => (text.get().into(), 1),
        Node::Number(written) => {
            let number = match number(written) {
                Number::Int(number) => number.into(),
                Number::Large(number) => number.into(),
                Number::Double(number) => number.into(),
            };
            (number, 1)
        }
        Node::Array { len, count } => {
            let (mut items, mut at) = (Vec::new(), 1);
            for _ in 0..len {
                let (item, size) = value(&nodes[at..]);
                items.push(item);
                at += size;
            }
            assert_eq!(at, count + 1);
            (items.into(), at)
        }
        Node::Object { len, count } => {
            let (mut members, mut at) = (Map::new(), 1);
            for _ in 0..len {
                let Node::Text(key) = nodes[at] else { panic!("no key") };
                let (member, size) = value(&nodes[at + 1..]);
                members.insert(key.get().into_owned(), member);
                at += 1 + size;
            }
            assert_eq!(at, count + 1);
            (members.into(), at)
        }
    }
}

fn agrees(text: &str) {
    let ours = tape(text).map(|nodes| value(&nodes).0);
    match (serde_json::from_str::<Value>(text), ours) {
        (Ok(theirs), Ok(ours)) => assert_eq!(ours, theirs, "{text:?}"),
        (Err(_), Err(fault)) => assert!(fault.at <= text.len(), "{text:?}: {fault:?}"),
        (theirs, ours) => panic!("{text:?}: {ours:?}, expected {theirs:?}"),
    }
}

#[test]
fn what_is_json_and_what_is_not() {
    #[rustfmt::skip]
    let table = [
        "", " ", "null", " true ", "false", "nul", "nulll", "truefalse", "true false", "NaN",
        "0", "-0", "-", "00", "01", "1.", ".5", "1.5", "1e5", "1E+5", "1e", "1e+", "1e999", "-1e999", "+1", "1 2", "0x1",
        "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
        "18446744073709551615", "18446744073709551616", "123456789012345678901234567890", "1e-400", "0.1e1", "1.5.5",
        "\"\"", "\"a\"", "\"", "\"a", "a\"", "\"\\\"", "\"\\\\\"", "\"\\\\\\\"\"", "\"\\x\"", "\"\\u12\"", "\"\\u00e9\"",
        "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "\"\\ude00\"", "\"\\ud83d\\u0041\"", "\"\\ud83d\\ud83d\\ude00\"",
        "\"\\\\ud83d\\ude00\"", "\"\\ud83dx\\ude00\"", "\"\\ud83d\\ude00\\ude00\"", "\"\\uD83D\\uDE00\\b\\f\\n\\r\\t\\/\"",
        "\"a\tb\"", "\"a\nb\"", "\"a\u{7f}é😀\"", "\\\"a\\\"", "{\\\"a\\\":1}",
        "[]", "[ ]", "[1]", "[1,]", "[,1]", "[1 2]", "[1,2", "[", "]", "[[]]", "[[],[]]", "[[[1],2],3]", "[1]]", "[}",
        "{}", "{ }", "{\"a\":1}", "{\"a\":1,}", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\" 1}", "{a:1}", "{1:1}", "{\"a\":1 \"b\":2}",
        "{\"a\":1,\"b\":[{}]}", "{\"a\":{\"b\":{}}}", "{\"a\":1]", "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":\"b\"\"c\"}",
        "\u{c}1", "1\u{c}", "[\u{c}]", "{\u{c}}", "[1\u{c}2]", "\u{1a}", "\u{feff}1", "\u{a0}1", "{\"a\"\u{1a}1}",
        "{\"\\u0061\":1,\"a\":2}", "[\"{\",\"}\",\"[\",\":\",\",\"]", ":", ",", "[:]", "{\"a\":1:2}",
    ];
    for text in table {
        agrees(text);
    }
}

#[test]
fn things_are_found_wherever_they_stand_in_a_block() {
    for before in 0..140 {
        let space = " ".repeat(before);
        let inside = "x".repeat(before);
        for text in [
            format!("{space}{{\"a\":\"\\\\\"}}"),
            format!("[\"{inside}\\\"\",{space}1]"),
            format!("[\"{inside}\\\\\", true{space}]"),
            format!("\"{inside}\\ud83d\\ude00\""),
            format!("\"{inside}\n\""),
            format!("\"{inside}"),
            format!("[{}\"\"]", "\"\\\\\",".repeat(before)),
            format!("{}{}", "[".repeat(before.min(120)), "]".repeat(before.min(120))),
        ] {
            agrees(&text);
        }
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(tape(&deep(128)).is_ok());
    assert_eq!(tape(&deep(129)), Err(Fault { kind: FaultKind::Deep, at: 128 }));
    assert_eq!(tape(&"{\"a\":".repeat(200)), Err(Fault { kind: FaultKind::Deep, at: 5 * 128 }));
}

fn json() -> impl Strategy<Value = String> {
    let text = "[a-c\\\\\"/bfnrtuéD8-9 ]{0,9}";
    let leaf = prop_oneof![
        text.prop_map(|text| format!("\"{text}\"")),
        text.prop_map(|text| Value::from(text).to_string()),
        "-?[0-9]{1,21}(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?",
        prop::sample::select(vec!["null", "true", "false", "", "nul"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let pair = (inner.clone(), "[ \t\n]{0,2}", inner.clone())
            .prop_map(|(key, space, value)| format!("{key}{space}:{space}{value}"));
        prop_oneof![
            (prop::collection::vec(inner, 0..5), "[ \r]{0,2}")
                .prop_map(|(items, space)| format!("[{space}{}{space}]", items.join(","))),
            (prop::collection::vec(pair, 0..5), " {0,70}")
                .prop_map(|(items, space)| format!("{{{space}{}{space}}}", items.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nearly_json_is_read_as_serde_json_reads_it(text in json()) {
        agrees(&text);
    }

    #[test]
    fn any_text_is_read_as_serde_json_reads_it(text in "[\\PC\"\\\\{}\\[\\]:,0-9\n]{0,150}") {
        agrees(&text);
    }
}
