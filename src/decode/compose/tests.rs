//! Records with steps around their format, and what becomes of them.

use std::io::Write;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::decode::envelope::{ENVELOPES, envelope};
use crate::decode::format;
use crate::decode::steps::with_steps;

fn steps(packing: Packing, framing: Framing, envelopes: &[&str]) -> Steps {
    let envelopes = envelopes.iter().map(|name| envelope(name).expect(name)).collect();
    Steps { packing, framing, envelopes }
}

/// The events of a record, whole, or its reject.
fn read(steps: Steps, payload: &[u8]) -> Result<Vec<Json>, Reject> {
    let format = with_steps(format("windows-json").expect("a format"), steps);
    let mut fields = FieldSet::of(format);
    let whole = fields.add(FieldSet::WHOLE);
    let limits = DecodeLimits { record_bytes_max: 4_096, depth_max: 8, events_per_record_max: 5 };
    let mut events = Vec::new();
    let count = format.decoder(&fields, limits).decode(payload, &mut |slots| {
        let Value::Text(text) = slots[whole].clone().plain() else { panic!("an event without text") };
        events.push(serde_json::from_str(&text).expect("JSON"));
    })?;
    assert_eq!(count as usize, events.len());
    Ok(events)
}

/// Steps, a record, and what becomes of it.
type Case<T> = (Packing, Framing, &'static [&'static str], Vec<u8>, T);

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(text).expect("packs");
    packed.finish().expect("packs")
}

#[test]
fn events_come_out_of_what_is_around_them() {
    use Framing::{Lines, Record};
    use Packing::{Gzip, None, Zstd};
    let one = json!({"EventID": 1});
    #[rustfmt::skip]
    let table: Vec<Case<Vec<Json>>> = vec![
        (None, Lines, &[], b"{\"EventID\":1}\r\n\n  {\"EventID\":2}".to_vec(), vec![one.clone(), json!({"EventID": 2})]),
        (Gzip, Record, &[], gzip(b"{\"EventID\":1}"), vec![one.clone()]),
        (Gzip, Lines, &[], [gzip(b"{\"EventID\":1}\n"), gzip(b"{\"EventID\":1}\n")].concat(), vec![one.clone(), one.clone()]),
        (Zstd, Record, &[], zstd::encode_all(&b"[{\"EventID\":1}]"[..], 3).expect("packs"), vec![one.clone()]),
        (None, Record, &["vector"], br#"{"message":"{\"EventID\":1}","host":"h","timestamp":"t"}"#.to_vec(),
            vec![json!({"EventID": 1, "envelope": {"host": "h", "timestamp": "t"}})]),
        (None, Record, &["vector"], br#"{"message":{"EventID":1},"host":"h"}"#.to_vec(), vec![json!({"EventID": 1, "envelope": {"host": "h"}})]),
        (None, Record, &["fluent-bit"], br#"{"message":"{}","kubernetes":{"pod":"p"}}"#.to_vec(),
            vec![json!({"envelope": {"kubernetes": {"pod": "p"}}})]),
        (None, Record, &["filebeat"], br#"{"event":{"original":"{\"EventID\":1}","module":"m"},"message":"other"}"#.to_vec(),
            vec![json!({"EventID": 1, "envelope": {"event": {"module": "m"}, "message": "other"}})]),
        (None, Record, &["filebeat"], br#"{"event.original":"{\"EventID\":1}"}"#.to_vec(), vec![json!({"EventID": 1, "envelope": {}})]),
        (None, Record, &["cri"], b"2026-10-03T01:02:03.4Z stdout F {\"EventID\":1}".to_vec(),
            vec![json!({"EventID": 1, "envelope": {"time": "2026-10-03T01:02:03.4Z", "stream": "stdout", "tag": "F"}})]),
        (None, Record, &["fluentd", "docker"], br#"{"tag":"t","message":"{\"log\":\"{\\\"EventID\\\":1}\\n\",\"stream\":\"stderr\"}"}"#.to_vec(),
            vec![json!({"EventID": 1, "envelope": {"stream": "stderr", "envelope": {"tag": "t"}}})]),
        (None, Record, &["syslog"], b"<13>1 2026-10-03T01:02:03Z gw app 7 - - {\"EventID\":1}".to_vec(),
            vec![json!({"EventID": 1, "envelope": {"facility": 1, "facility_name": "user", "severity": 5, "severity_name": "notice",
                "version": 1, "timestamp": "2026-10-03T01:02:03Z", "hostname": "gw", "app_name": "app", "procid": "7"}})]),
        (None, Lines, &["vector", "syslog"], br#"{"host":"v","message":"<13>Oct  3 01:02:03 gw app: {\"EventID\":1}"}"#.to_vec(),
            vec![json!({"EventID": 1, "envelope": {"facility": 1, "facility_name": "user", "severity": 5, "severity_name": "notice",
                "timestamp": "Oct  3 01:02:03", "hostname": "gw", "app_name": "app", "envelope": {"host": "v"}}})]),
        (None, Record, &["records"], br#"{"Records":[{"EventID":1},{"EventID":1}]}"#.to_vec(),
            vec![json!({"EventID": 1, "envelope": {}}), json!({"EventID": 1, "envelope": {}})]),
        (None, Record, &["cloudwatch"], br#"{"owner":"o","logEvents":[{"id":"1","message":"{\"EventID\":1}"},{"id":"2","message":"{\"EventID\":2}"}]}"#.to_vec(),
            vec![json!({"EventID": 1, "envelope": {"id": "1", "envelope": {"owner": "o"}}}), json!({"EventID": 2, "envelope": {"id": "2", "envelope": {"owner": "o"}}})]),
        (None, Lines, &[], b" \n".to_vec(), vec![]),
    ];
    for (packing, framing, envelopes, payload, expect) in table {
        let shown = String::from_utf8_lossy(&payload).into_owned();
        assert_eq!(read(steps(packing, framing, envelopes), &payload).expect(&shown), expect, "{shown}");
    }
}

#[test]
fn what_is_not_there_is_refused_with_its_step_and_byte() {
    use Framing::{Lines, Record};
    use Packing::{Gzip, None, Zstd};
    let bomb = gzip(&vec![b' '; 4_096 * 16 + 1]);
    // What is around the list is there once for each of its items.
    let repeated = json!({"Records": [{}, {}, {}], "around": "x".repeat(3_900)})
        .to_string()
        .replace("{},{},{}", &["{}"; 20].join(","));
    let empty = json!({"logEvents": [{"message": "[]"}], "around": "x".repeat(3_000)}).to_string();
    let empty = empty.replace(r#"{"message":"[]"}"#, &[r#"{"message":"[]"}"#; 50].join(","));
    let deep = format!("{{\"message\":{:?}}}", "[".repeat(9) + &"]".repeat(9));
    #[rustfmt::skip]
    let table: Vec<Case<(RejectCode, &str)>> = vec![
        (Gzip, Record, &[], b"{}".to_vec(), (RejectCode::Syntax, "packing: no whole gzip")),
        (Gzip, Record, &[], gzip(b"{\"EventID\":1}")[..20].to_vec(), (RejectCode::Syntax, "packing: no whole gzip")),
        (Zstd, Record, &[], b"\x28\xb5\x2f\xfd\xff".to_vec(), (RejectCode::Syntax, "packing: no whole zstd")),
        (Gzip, Record, &[], bomb, (RejectCode::TooLarge, "packing: more than 65536 bytes")),
        (None, Record, &[], vec![b' '; 5_000], (RejectCode::TooLarge, "more than 4096 bytes")),
        (None, Lines, &[], b"{}\n{\"a\n".to_vec(), (RejectCode::Syntax, "frame 1: format: the JSON ends early, at byte 3")),
        (None, Lines, &[], b"{}\n{}\n{}\n{}\n{}\n{}\n".to_vec(), (RejectCode::TooManyEvents, "more than 5 events")),
        (None, Record, &["records"], repeated.into_bytes(), (RejectCode::TooLarge, "the events are too large")),
        (None, Record, &["cloudwatch"], empty.into_bytes(), (RejectCode::TooLarge, "the events are too large")),
        (None, Record, &["vector"], b"not JSON".to_vec(), (RejectCode::Syntax, "envelope vector: no JSON, at byte 0")),
        (None, Record, &["vector"], b"[1]".to_vec(), (RejectCode::Syntax, "envelope vector: no JSON object")),
        (None, Record, &["vector"], br#"{"log":"{}"}"#.to_vec(), (RejectCode::Syntax, "envelope vector: there is no text at `message`")),
        (None, Record, &["vector"], br#"{"message":" "}"#.to_vec(), (RejectCode::Syntax, "there is no text at `message`")),
        (None, Record, &["vector"], br#"{"message":"{\"a\":1},{\"b\":2}"}"#.to_vec(), (RejectCode::Syntax, "format: no JSON, at byte 7")),
        (None, Record, &["vector"], br#"{"message":"1"}"#.to_vec(), (RejectCode::Syntax, "format: no JSON object")),
        (None, Record, &["vector"], deep.into_bytes(), (RejectCode::TooDeep, "format: JSON nested too deep")),
        (None, Record, &["vector"], b"{\"message\":\"\xff\"}".to_vec(), (RejectCode::NotUtf8, "no UTF-8, at byte 12")),
        (None, Record, &["syslog"], b"<13>1 nonsense {}".to_vec(), (RejectCode::Syntax, "envelope syslog: ")),
        (None, Record, &["cri"], b"2026-10-03T01:02:03Z {}".to_vec(), (RejectCode::Syntax, "envelope cri: no time, stream and tag")),
    ];
    for (packing, framing, envelopes, payload, (code, detail)) in table {
        let reject = read(steps(packing, framing, envelopes), &payload).expect_err(detail);
        assert!(reject.code == code && reject.detail.contains(detail), "{detail}: {reject}");
    }
}

/// Evidence of an event shows its own line, also where lines hold several or none.
#[test]
fn each_event_has_the_place_of_its_frame() {
    let payload = b"[]\n {\"EventID\":1} \n[{\"EventID\":2},{\"EventID\":3}]\n";
    let place = |framing, packing, payload: &[u8]| {
        let format = with_steps(format("windows-json").expect("a format"), steps(packing, framing, &[]));
        let mut decoder = format.decoder(&FieldSet::of(format), DecodeLimits::default());
        decoder.decode(payload, &mut |_| ()).expect("reads");
        decoder.parts(payload)
    };
    assert_eq!(place(Framing::Lines, Packing::None, payload), [4..17, 19..48, 19..48]);
    assert!(place(Framing::Lines, Packing::Gzip, &gzip(payload)).is_empty());
    let xml = format("windows-event-xml").expect("a format");
    let events = b"<Events><Event><a>{}</a></Event><Event><a>{}</a></Event></Events>";
    let mut decoder = xml.decoder(&FieldSet::of(xml), DecodeLimits::default());
    assert_eq!(decoder.decode(events, &mut |_| ()), Ok(2));
    assert!(decoder.parts(events).is_empty());
}

#[test]
fn times_of_envelopes_come_after_those_of_the_event() {
    let format = format("suricata-eve").expect("a format");
    let wrapped = with_steps(format, steps(Packing::None, Framing::Record, &["vector", "docker"]));
    let paths: Vec<&str> = wrapped.time_fields().iter().map(|time| time.path).collect();
    assert_eq!(paths, ["timestamp", "envelope.time", "envelope.envelope.timestamp"]);
    let again = with_steps(format, steps(Packing::None, Framing::Record, &["vector", "docker"]));
    assert!(std::ptr::eq(wrapped.time_fields(), again.time_fields()), "each is made once");
    assert!(wrapped.may_hold("envelope.Anything") && !wrapped.may_hold("Image"));
}

fn any_steps() -> impl Strategy<Value = Steps> {
    let packing = prop::sample::select(vec![Packing::None, Packing::Gzip, Packing::Zstd]);
    let framing = prop::sample::select(vec![Framing::Record, Framing::Lines]);
    (packing, framing, prop::collection::vec(0..ENVELOPES.len(), 0..3))
        .prop_map(|(packing, framing, envelopes)| Steps { packing, framing, envelopes })
}

fn odd_payload() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        ",",
        ":",
        "\n",
        "message",
        "log",
        "logEvents",
        "Records",
        "event.original",
        "\"message\":\"{}\"",
        "{\"log\":{\"a\":1}}",
        "stdout F ",
        "2026-10-03T01:02:03Z ",
        " ",
        "1",
        "\u{e9}",
    ]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes()),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_events_or_a_reject(steps in any_steps(), payload in odd_payload()) {
        // It asserts for itself that events are JSON, and as many as it says.
        let _ = read(steps, &payload);
    }

    /// What is put into an envelope comes out of it.
    #[test]
    fn an_envelope_changes_nothing_of_an_event(
        event in prop::collection::btree_map("[a-zA-Z\"\\\\é\n]{0,6}", "[\\PC\n\t\"\\\\]{0,12}", 0..5),
        left in "[\\PC\"]{0,8}",
        inside: bool,
    ) {
        prop_assume!(!event.contains_key(envelope::KEY));
        let inner = if inside { json!(event) } else { json!(serde_json::to_string(&event).expect("JSON")) };
        let outer = json!({"host": left, "message": inner}).to_string();
        let found = read(steps(Packing::None, Framing::Record, &["vector"]), outer.as_bytes()).expect("reads");
        let mut expect = json!(event);
        expect[envelope::KEY] = json!({"host": left});
        prop_assert_eq!(found, vec![expect]);
    }
}
