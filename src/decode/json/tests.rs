//! The JSON decoder against cases, and against serde_json on any bytes.

use super::*;
use crate::decode::Decoder as _;

fn limits() -> DecodeLimits {
    DecodeLimits { record_bytes_max: 1 << 20, depth_max: 20, events_per_record_max: 5 }
}

fn decode(payload: &[u8]) -> Result<Vec<Vec<String>>, Reject> {
    let mut fields = FieldSet::new();
    for path in ["a", "b.c", "id.orig_h", FieldSet::WHOLE] {
        fields.add(path);
    }
    let mut decoder = JsonDecoder::new(&fields, limits());
    let mut events = Vec::new();
    let count = decoder.decode(payload, &mut |slots| {
        events.push(slots.iter().map(|slot| format!("{:?}", slot.clone().plain())).collect::<Vec<_>>());
    })?;
    assert_eq!(count as usize, events.len());
    Ok(events)
}

#[test]
fn wanted_fields_are_found_whatever_their_shape() {
    for (record, expect) in [
        (r#"{"a":1}"#, ["Int(1)", "Missing", "Missing"]),
        (r#"{"b":{"c":"x"},"a":null}"#, ["Null", "Text(\"x\")", "Missing"]),
        (r#"{"b.c":true}"#, ["Missing", "Bool(true)", "Missing"]),
        (r#"{"id.orig_h":"10.0.0.1"}"#, ["Missing", "Missing", "Text(\"10.0.0.1\")"]),
        (r#"{"id":{"orig_h":"10.0.0.2"}}"#, ["Missing", "Missing", "Text(\"10.0.0.2\")"]),
        (
            r#"{"a":{"x":[1,"\u0041",null,2.5]}}"#,
            ["Text(\"{\\\"x\\\":[1,\\\"A\\\",null,2.5]}\")", "Missing", "Missing"],
        ),
        (r#"{"a":1,"a":2}"#, ["Int(2)", "Missing", "Missing"]),
        (r#"{"b":{"c":1},"b":{"d":2}}"#, ["Missing", "Missing", "Missing"]),
        (r#"{"b":{"c":1},"b":7}"#, ["Missing", "Missing", "Missing"]),
        (r#"{"b":{"c":1},"id":{"orig_h":2},"b":{"c":3}}"#, ["Missing", "Int(3)", "Int(2)"]),
        (r#"{"b.c":1,"b":{"d":2}}"#, ["Missing", "Int(1)", "Missing"]),
        (r#"{"a":18446744073709551615}"#, ["Text(\"18446744073709551615\")", "Missing", "Missing"]),
        (r#"{"a":"\u0000x"}"#, ["Text(\"\\0x\")", "Missing", "Missing"]),
        (r#"{"a":-0.5,"zzz":[[[]]],"b":7}"#, ["Double(-0.5)", "Missing", "Missing"]),
        ("\u{feff} {\"a\":1}\r\n", ["Int(1)", "Missing", "Missing"]),
    ] {
        let events = decode(record.as_bytes()).expect(record);
        assert_eq!(events.len(), 1, "{record}");
        assert_eq!(events[0][..3], expect, "{record}");
    }
}

#[test]
fn of_a_list_of_objects_a_path_finds_what_each_has() {
    let mut fields = FieldSet::new();
    for path in ["a.b", "a.c.d", "a.0.b"] {
        fields.add(path);
    }
    let mut decoder = JsonDecoder::new(&fields, limits());
    for (record, expect) in [
        (r#"{"a":[{"b":"x"},{"b":7,"c":{"d":null}},{"b":null}]}"#, [r#"["x",7]"#, "", "x"]),
        (r#"{"a":[{"c":[{"d":1},{"d":[2,3]}]},[{"b":true}],"b",4]}"#, ["[true]", "[1,[2,3]]", ""]),
        (r#"{"a":[{"x":1}]}"#, ["", "", ""]),
        (r#"{"a":[]}"#, ["", "", ""]),
        (r#"{"a":{"b":"x","c":[{"d":"y"}]}}"#, ["x", r#"["y"]"#, ""]),
        (r#"{"a":[{"b":1}],"a":{"c":{"d":2}}}"#, ["", "2", ""]),
    ] {
        let mut found = Vec::new();
        let decoded = decoder.decode(record.as_bytes(), &mut |slots| {
            found.extend(slots.iter().map(|slot| match slot {
                Value::Missing => String::new(),
                Value::Text(text) => text.to_string(),
                Value::Int(number) => number.to_string(),
                other => format!("{other:?}"),
            }));
        });
        assert_eq!(decoded.ok(), Some(1), "{record}");
        assert_eq!(found, expect, "{record}");
    }
}

#[test]
fn items_of_lists_are_found_by_their_number() {
    let mut fields = FieldSet::new();
    for path in ["a.0.b", "a.2", "a", "c.1.0"] {
        fields.add(path);
    }
    let mut decoder = JsonDecoder::new(&fields, limits());
    for (record, expect) in [
        (r#"{"a":[{"b":1},{"b":2},{"b":3},4]}"#, ["Int(1)", "Text(\"{\\\"b\\\":3}\")", "Text(", "Missing"]),
        (r#"{"a":[{"x":[9,9]},7,8],"c":[0,["y"]]}"#, ["Missing", "Int(8)", "Text(", "Text(\"y\")"]),
        (r#"{"a":{"0":{"b":5}},"c":{"1":{"0":6}}}"#, ["Int(5)", "Missing", "Text(", "Int(6)"]),
        (r#"{"a":[],"c":[]}"#, ["Missing", "Missing", "Text(", "Missing"]),
        (r#"{"a":"0"}"#, ["Missing", "Missing", "Text(", "Missing"]),
    ] {
        let mut found = Vec::new();
        let decoded = decoder.decode(record.as_bytes(), &mut |slots| {
            found.extend(slots.iter().map(|slot| format!("{:?}", slot.clone().plain())));
        });
        assert_eq!(decoded.ok(), Some(1), "{record}");
        assert!(
            found.iter().zip(expect).all(|(found, expect)| found.starts_with(expect)),
            "{record}: {found:?}"
        );
    }
}

#[test]
fn the_text_of_an_event_is_its_values_without_keys_in_their_order() {
    let mut fields = FieldSet::new();
    fields.add("b");
    let text = fields.add(FieldSet::TEXT);
    let mut decoder = JsonDecoder::new(&fields, limits());
    for (record, expect) in [
        (
            r#"{"a":"x","b":{"c":[1,"\u0041",null,{"d":true}],"e":"two\nlines"},"f":2.5}"#,
            "x\n1\nA\ntrue\ntwo\nlines\n2.5",
        ),
        (r#"{"a":1,"a":2}"#, "1\n2"),
        (r#"{"a":18446744073709551615,"b":1e300}"#, "18446744073709551615\n1e300"),
        (r#"{"a":""}"#, ""),
        ("{}", ""),
    ] {
        let mut found = String::new();
        let decoded = decoder
            .decode(record.as_bytes(), &mut |slots| found = format!("{:?}", slots[text].clone().plain()));
        assert_eq!(decoded, Ok(1), "{record}");
        assert_eq!(found, format!("Text({expect:?})"), "{record}");
    }
    let mut found = Vec::new();
    let decoded = decoder.decode(b"[{\"a\":1},{\"a\":2}]", &mut |slots| {
        found.push(format!("{:?}", slots[text].clone().plain()))
    });
    assert_eq!(decoded, Ok(2));
    assert_eq!(found, ["Text(\"1\")", "Text(\"2\")"]);
}

#[test]
fn one_record_can_hold_several_events() {
    for record in ["[{\"a\":1},{\"a\":2}]", "{\"a\":1}\n{\"a\":2}\n", "{\"a\":1}\r\n\r\n{\"a\":2}"] {
        let events = decode(record.as_bytes()).expect(record);
        let firsts: Vec<&str> = events.iter().map(|event| event[0].as_str()).collect();
        assert_eq!(firsts, ["Int(1)", "Int(2)"], "{record}");
        assert_eq!(events[1][3], "Text(\"{\\\"a\\\":2}\")", "{record}");
    }
    assert_eq!(decode(b"[]").expect("an empty list is no event"), Vec::<Vec<String>>::new());
    assert_eq!(decode(b"{\n \"a\":\n 1\n}").expect("one object on several lines").len(), 1);
}

#[test]
fn nothing_of_a_record_is_emitted_when_a_later_line_is_too_deep() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(30), "]".repeat(30));
    let mut decoder = JsonDecoder::new(&FieldSet::new(), limits());
    let mut emitted = 0;
    let decoded = decoder.decode(format!("{{\"a\":1}}\n{deep}").as_bytes(), &mut |_| emitted += 1);
    assert_eq!(decoded.expect_err("too deep").code, RejectCode::TooDeep);
    assert_eq!(emitted, 0);
}

#[test]
fn what_is_no_event_is_rejected_whole_with_a_stable_code() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_object = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
    let many = format!("[{}]", ["{}"; 6].join(","));
    let cases: &[(&[u8], RejectCode)] = &[
        (b"", RejectCode::Empty),
        (b" \r\n\t", RejectCode::Empty),
        (b"\xef\xbb\xbf", RejectCode::Empty),
        (b"{\"a\":\"\xff\"}", RejectCode::NotUtf8),
        (b"{\"a\":1", RejectCode::Syntax),
        (b"{\"a\":\"x", RejectCode::Syntax),
        (b"{\"a\":NaN}", RejectCode::Syntax),
        (b"{\"a\":1e400}", RejectCode::Syntax),
        (b"{\"a\":\"\x00\"}", RejectCode::Syntax),
        (b"{\"a\":\"\\ud800\"}", RejectCode::Syntax),
        (b"{'a':1}", RejectCode::Syntax),
        (b"{\"a\":1} trailing", RejectCode::Syntax),
        (b"{\"a\":1}{\"a\":2}", RejectCode::Syntax),
        (b"<xml/>", RejectCode::Syntax),
        (b"7", RejectCode::NotAnEvent),
        (b"null", RejectCode::NotAnEvent),
        (b"\"text\"", RejectCode::NotAnEvent),
        (b"[{\"a\":1},2]", RejectCode::NotAnEvent),
        (b"[[{}]]", RejectCode::NotAnEvent),
        (b"{\"a\":1}\n7\n", RejectCode::NotAnEvent),
        (b"{\"a\":1}\n{\"a\":\n", RejectCode::Syntax),
        (many.as_bytes(), RejectCode::TooManyEvents),
        (large.as_bytes(), RejectCode::TooLarge),
        (deep_object.as_bytes(), RejectCode::TooDeep),
    ];
    for (payload, code) in cases {
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(60)]);
        let reject = decode(payload).expect_err(&shown);
        assert_eq!(reject.code, *code, "{shown}: {reject}");
    }
    assert_eq!(decode(deep.as_bytes()).expect_err("deep").code, RejectCode::TooDeep);
}

#[test]
fn a_line_that_ends_in_the_middle_is_said_to_look_cut_off() {
    for (record, expect) in [
        (r#"{"a":1"#, true),
        (r#"{"a":"x"#, true),
        (r#"{"a":"#, true),
        ("{\"a\":1}\n{\"a\":", true),
        ("{\"a\":\n{\"b\":1", true),
        (r#"{"a":1,}"#, false),
        (r#"{"a":1} trailing"#, false),
        ("{\"a\":1}\n{'a':1}", false),
        ("<xml/>", false),
    ] {
        let reject = decode(record.as_bytes()).expect_err(record);
        assert_eq!(reject.detail.contains("looks cut off"), expect, "{record}: {reject}");
    }
}

#[test]
fn the_detail_of_a_reject_never_holds_bytes_of_the_record() {
    for payload in ["{\"password\":hunter2}", "hunter2", "{\"a\":\"hunter2\\q\"}", "[\"hunter2\"]"] {
        let reject = decode(payload.as_bytes()).expect_err(payload);
        assert!(!reject.detail.contains("hunter2"), "{reject}");
    }
}

#[test]
fn a_decoder_is_as_good_as_new_after_a_reject() {
    let mut fields = FieldSet::new();
    fields.add("a");
    let mut decoder = JsonDecoder::new(&fields, limits());
    for _ in 0..3 {
        assert!(decoder.decode(b"{\"a\":", &mut |_| {}).is_err());
        let mut seen = Vec::new();
        decoder.decode(b"{\"a\":\"ok\"}", &mut |slots| seen.push(format!("{slots:?}"))).expect("good");
        assert_eq!(seen, ["[Text(\"ok\")]"]);
    }
}

proptest::proptest! {
    /// No bytes whatever make the decoder panic, and it agrees with serde_json on what is one JSON object.
    #[test]
    fn any_bytes_are_taken_or_rejected(payload in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = decode(&payload);
    }

    #[test]
    fn any_mutation_of_an_event_agrees_with_serde_json(at in 0usize..60, byte in 0x20u8..0x7f) {
        let mut payload = br#"{"a":"x\u00e9","b":{"c":[1,2.5,true,null]},"d":-12}"#.to_vec();
        let at = at % payload.len();
        payload[at] = byte;
        let ours = decode(&payload).is_ok();
        let theirs = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&payload).is_ok();
        proptest::prop_assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(&payload));
    }
}
