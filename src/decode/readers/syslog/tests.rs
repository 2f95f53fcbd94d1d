//! Frames and what is read in them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::decode::readers;

fn one(frame: &str) -> Value {
    let read = readers::read(&mut Syslog::default(), frame.as_bytes())
        .unwrap_or_else(|fault| panic!("{frame}: {fault}"));
    let mut list = read.as_array().expect("a list").clone();
    assert_eq!(list.len(), 1, "{frame}");
    list.remove(0)
}

/// What is read, without facility and severity, which stand in a test of their own.
fn parts(frame: &str) -> Value {
    let mut event = one(frame);
    let object = event.as_object_mut().expect("an object");
    for key in ["facility", "facility_name", "severity", "severity_name"] {
        object.remove(key);
    }
    event
}

#[test]
fn priorities() {
    for (frame, facility, severity, names) in [
        ("<0>x", 0, 0, ["kern", "emerg"]),
        ("<34>x", 4, 2, ["auth", "crit"]),
        ("<086>x", 10, 6, ["authpriv", "info"]),
        ("<191>x", 23, 7, ["local7", "debug"]),
    ] {
        let expect = json!({"facility": facility, "facility_name": names[0], "severity": severity,
            "severity_name": names[1], "message": "x"});
        assert_eq!(one(frame), expect, "{frame}");
    }
    for frame in ["<192>x", "<>x", "<1234>x", "<1x", "< 1>x", "<-1>x", "x", "", "<300>1 - - - - - -"] {
        assert_eq!(one(frame), json!({"message": frame}), "{frame}");
    }
}

#[test]
fn rfc_5424() {
    for (frame, expect) in [
        (
            "<34>1 2026-01-02T03:04:05.678901Z sub-07.example.org su 812 ID47 - refused",
            json!({"version": 1, "timestamp": "2026-01-02T03:04:05.678901Z", "hostname": "sub-07.example.org",
                "app_name": "su", "procid": "812", "msgid": "ID47", "message": "refused"}),
        ),
        ("<34>1 - - - - - -", json!({"version": 1, "message": ""})),
        ("<34>1 - - - - - - \u{feff}狼煙\r\n", json!({"version": 1, "message": "狼煙"})),
        (
            "<34>1 - h a - - [x@32473 n=\"1\" m=\"\"][y] m",
            json!({"version": 1, "hostname": "h", "app_name": "a", "message": "m",
                "structured_data": {"x@32473": {"n": "1", "m": ""}, "y": {}}}),
        ),
        (
            r#"<34>1 - - - - - [x a="\"q\" \\ \] \n" a="2" b="[z]" a="3"]"#,
            json!({"version": 1, "message": "",
                "structured_data": {"x": {"a": [r#""q" \ ] \n"#, "2", "3"], "b": "[z]"}}}),
        ),
        (
            "<34>1 - - - - - [x a=\"1\" ] m",
            json!({"version": 1, "structured_data": {"x": {"a": "1"}}, "message": "m"}),
        ),
        (
            "<34>1 2026-01-02T03:04:05 - - - - -  m",
            json!({"version": 1, "timestamp": "2026-01-02T03:04:05", "message": " m"}),
        ),
    ] {
        assert_eq!(parts(frame), expect, "{frame}");
    }
}

#[test]
fn faults_of_rfc_5424_and_how_they_are_read_loosely() {
    let long = format!("<34>1 - {} - - - -", "h".repeat(256));
    for (frame, at, what, loose) in [
        ("<34>1 ", 6, "no space after the timestamp", json!({"message": ""})),
        ("<34>1 yesterday h a p m - x", 6, "no timestamp", json!({"message": "yesterday h a p m - x"})),
        ("<34>1 - h", 8, "no space after the hostname", json!({"message": "h"})),
        ("<34>1 -  a p m - x", 8, "no hostname", json!({"message": " a p m - x"})),
        (&long, 8, "no space after the hostname", json!({"message": long[8..]})),
        ("<34>1 - h a p m", 14, "no space after the msgid", json!({"hostname": "h", "message": "a p m"})),
        ("<34>1 - h a p m x", 16, "no structured data", json!({"hostname": "h", "message": "a p m x"})),
        ("<34>1 - h a p m -x", 17, "no space after", json!({"hostname": "h", "message": "a p m -x"})),
        (
            "<134>1 1700000000.123456789 gw_1 flows src=192.0.2.1 dst=192.0.2.2 x=1 y=2",
            7,
            "no timestamp",
            json!({"timestamp": "1700000000.123456789", "hostname": "gw_1",
                "message": "flows src=192.0.2.1 dst=192.0.2.2 x=1 y=2"}),
        ),
        (
            "<34>1 - h a p m [a:\"1\"; b:\"2\"]",
            19,
            "not closed",
            json!({"hostname": "h", "app_name": "a", "procid": "p", "msgid": "m", "message": "[a:\"1\"; b:\"2\"]"}),
        ),
        ("<34>1 - - - - - [] x", 17, "no id", json!({"message": "[] x"})),
        ("<34>1 - - - - - [x n] y", 20, "no =\"", json!({"message": "[x n] y"})),
        ("<34>1 - - - - - [x n=1] y", 20, "no =\"", json!({"message": "[x n=1] y"})),
        ("<34>1 - - - - - [x n=\"1\\\"] y", 20, "never closed", json!({"message": "[x n=\"1\\\"] y"})),
        ("<34>1 - - - - - [x n=\"1\"", 24, "not closed", json!({"message": "[x n=\"1\""})),
        ("<34>1 - - - - - [x][y z", 23, "no =\"", json!({"message": "[x][y z"})),
    ] {
        let fault = readers::read(&mut Syslog::default(), frame.as_bytes()).expect_err(frame);
        assert_eq!((fault.at, fault.what.contains(what)), (at, true), "{frame}: {fault}");
        let mut events = Events::default();
        Syslog::new(Rfc5424::Loose).read(frame.as_bytes(), &mut events).expect(frame);
        let read: Value = serde_json::from_str(events.list()).expect("JSON");
        for (key, value) in loose.as_object().expect("an object") {
            assert_eq!(read[0][key], *value, "{frame}: {key}");
        }
        assert_eq!(
            read[0].as_object().map(serde_json::Map::len),
            loose.as_object().map(|loose| loose.len() + 5),
            "{frame}"
        );
    }
}

#[test]
fn rfc_3164_and_what_is_written_in_its_place() {
    let time = |time: &str, rest: Value| {
        let mut event = json!({"timestamp": time});
        let (Some(event_parts), Some(rest)) = (event.as_object_mut(), rest.as_object()) else {
            unreachable!()
        };
        event_parts.extend(rest.clone());
        event
    };
    let ssh = |at: &str| {
        time(at, json!({"hostname": "gw1", "app_name": "sshd", "procid": "812", "message": "Failed for x"}))
    };
    for (frame, expect) in [
        ("<34>Oct  3 10:02:03 gw1 sshd[812]: Failed for x\n", ssh("Oct  3 10:02:03")),
        ("Oct 3 10:02:03 gw1 sshd[812]: Failed for x\0", ssh("Oct 3 10:02:03")),
        ("<34>Oct 03 10:02:03.123 gw1 sshd[812]: Failed for x", ssh("Oct 03 10:02:03.123")),
        ("<34>Oct 03 2026 10:02:03 gw1 sshd[812]: Failed for x", ssh("Oct 03 2026 10:02:03")),
        ("<34>Oct 03 10:02:03 2026 gw1 sshd[812]: Failed for x", ssh("Oct 03 10:02:03 2026")),
        ("<34>Oct 03 10:02:03 JST 2026 gw1 sshd[812]: Failed for x", ssh("Oct 03 10:02:03 JST 2026")),
        ("<34>2026 Oct  3 10:02:03 +09:00 gw1 sshd[812]: Failed for x", ssh("2026 Oct  3 10:02:03 +09:00")),
        (
            "2026-10-03T10:02:03.456789+09:00 gw1 sshd[812]: Failed for x\n",
            ssh("2026-10-03T10:02:03.456789+09:00"),
        ),
        ("<34>2026-10-03T10:02:03Z gw1 sshd[812]: Failed for x", ssh("2026-10-03T10:02:03Z")),
        ("2026-10-03 10:02:03,456 UTC gw1 sshd[812]:Failed for x", ssh("2026-10-03 10:02:03,456 UTC")),
        ("2026/10/03 10:02:03 gw1 sshd[812]: Failed for x", ssh("2026/10/03 10:02:03")),
        (
            "Oct 3 10:02:03 sshd[812]: a b",
            time("Oct 3 10:02:03", json!({"app_name": "sshd", "procid": "812", "message": "a b"})),
        ),
        (
            "Oct 3 10:02:03 su(pam): a b",
            time("Oct 3 10:02:03", json!({"app_name": "su(pam)", "message": "a b"})),
        ),
        (
            "Oct 3 10:02:03 gw1 a: b: c",
            time("Oct 3 10:02:03", json!({"hostname": "gw1", "app_name": "a", "message": "b: c"})),
        ),
        ("Oct 3 10:02:03 gw1 a:b c", time("Oct 3 10:02:03", json!({"hostname": "gw1", "message": "a:b c"}))),
        ("Oct 3 10:02:03 gw1 : a b", time("Oct 3 10:02:03", json!({"hostname": "gw1", "message": "a b"}))),
        (
            "Oct 3 10:02:03 192.0.2.1: a b",
            time("Oct 3 10:02:03", json!({"hostname": "192.0.2.1", "message": "a b"})),
        ),
        (
            "Oct 3 10:02:03 2001:db8::1 a: b",
            time("Oct 3 10:02:03", json!({"hostname": "2001:db8::1", "app_name": "a", "message": "b"})),
        ),
        (
            "Oct 3 10:02:03 gw1 {\"a\": 1}",
            time("Oct 3 10:02:03", json!({"hostname": "gw1", "message": "{\"a\": 1}"})),
        ),
        ("Oct 3 10:02:03 CEF:0|a b|", time("Oct 3 10:02:03", json!({"message": "CEF:0|a b|"}))),
        ("Oct 3 10:02:03 1,2026/10/03,a b", time("Oct 3 10:02:03", json!({"message": "1,2026/10/03,a b"}))),
        ("Oct 3 10:02:03 a=b c=d", time("Oct 3 10:02:03", json!({"message": "a=b c=d"}))),
        ("Oct 3 10:02:03 word", time("Oct 3 10:02:03", json!({"message": "word"}))),
        ("Oct 3 10:02:03", time("Oct 3 10:02:03", json!({"message": ""}))),
        ("<34>sshd[812]: a b", json!({"app_name": "sshd", "procid": "812", "message": "a b"})),
        ("<34>sshd: a b", json!({"message": "sshd: a b"})),
        ("<30>device=\"x\" date=2026-10-03", json!({"message": "device=\"x\" date=2026-10-03"})),
        ("<34> Oct 3 10:02 gw1 x", json!({"message": " Oct 3 10:02 gw1 x"})),
        ("<34>Oct 32 10:02:03 gw1 x", json!({"message": "Oct 32 10:02:03 gw1 x"})),
        ("<34>Okt 3 10:02:03 gw1 x", json!({"message": "Okt 3 10:02:03 gw1 x"})),
        ("<34>Oct 3 10:02:031 gw1 x", json!({"message": "Oct 3 10:02:031 gw1 x"})),
        ("1 2026-10-03T10:02:03Z gw1 a - - - x", json!({"message": "1 2026-10-03T10:02:03Z gw1 a - - - x"})),
    ] {
        assert_eq!(parts(frame), expect, "{frame}");
    }
    let named = one("Oct 3 10:02:03 <local0.info> 192.0.2.1 x y");
    assert_eq!(
        (&named["facility"], &named["severity"], &named["hostname"]),
        (&json!(16), &json!(6), &json!("192.0.2.1"))
    );
}

#[test]
fn devices_of_cisco() {
    let asa = json!({"facility": "ASA", "severity": 6, "mnemonic": "302013"});
    let sec = json!({"facility": "SEC", "severity": 6, "mnemonic": "IPACCESSLOGP"});
    for (frame, expect) in [
        (
            "<166>Oct 03 2026 10:02:03: %ASA-6-302013: Built x",
            json!({"timestamp": "Oct 03 2026 10:02:03", "msgid": "ASA-6-302013", "cisco": asa, "message": "Built x"}),
        ),
        (
            "Oct 03 10:02:03 fw1 : %ASA-6-302013: Built x",
            json!({"timestamp": "Oct 03 10:02:03", "hostname": "fw1", "msgid": "ASA-6-302013", "cisco": asa, "message": "Built x"}),
        ),
        (
            "Oct 03 10:02:03 fw1: %ASA-6-302013: Built x",
            json!({"timestamp": "Oct 03 10:02:03", "hostname": "fw1", "msgid": "ASA-6-302013", "cisco": asa, "message": "Built x"}),
        ),
        (
            "Oct 03 10:02:03 h fw[9]: %ASA-6-302013: Built x",
            json!({"timestamp": "Oct 03 10:02:03", "hostname": "h", "app_name": "fw", "procid": "9",
                "msgid": "ASA-6-302013", "cisco": asa, "message": "Built x"}),
        ),
        ("<166>%ASA-6-302013: Built x", json!({"msgid": "ASA-6-302013", "cisco": asa, "message": "Built x"})),
        (
            "<189>681: *Oct  3 10:02:03.776 JST: %SEC-6-IPACCESSLOGP: list",
            json!({"sequence": "681", "clock_mark": "*", "timestamp": "Oct  3 10:02:03.776 JST",
                "msgid": "SEC-6-IPACCESSLOGP", "cisco": sec, "message": "list"}),
        ),
        (
            "<189>35: gw1: .Oct  3 10:02:03.776: %SEC-6-IPACCESSLOGP: list",
            json!({"sequence": "35", "hostname": "gw1", "clock_mark": ".", "timestamp": "Oct  3 10:02:03.776",
                "msgid": "SEC-6-IPACCESSLOGP", "cisco": sec, "message": "list"}),
        ),
        (
            "Oct  3 10:02:04 192.0.2.1 585920: Oct  3 10:02:03.619: %SEC-6-IPACCESSLOGP: list",
            json!({"timestamp": "Oct  3 10:02:04", "hostname": "192.0.2.1", "sequence": "585920",
                "device_timestamp": "Oct  3 10:02:03.619", "msgid": "SEC-6-IPACCESSLOGP", "cisco": sec, "message": "list"}),
        ),
        (
            "<189>: 2026 Oct  3 10:02:03.776 UTC: %PKT_INFRA-LINK-3-UPDOWN : down",
            json!({"timestamp": "2026 Oct  3 10:02:03.776 UTC", "msgid": "PKT_INFRA-LINK-3-UPDOWN",
                "cisco": {"facility": "PKT_INFRA-LINK", "severity": 3, "mnemonic": "UPDOWN"}, "message": "down"}),
        ),
        (
            "<189>681: Oct  3 10:02:03: %SEC-9-X: list",
            json!({"message": "681: Oct  3 10:02:03: %SEC-9-X: list"}),
        ),
        ("<189>681: %%SEC-6-X: list", json!({"message": "681: %%SEC-6-X: list"})),
    ] {
        assert_eq!(parts(frame), expect, "{frame}");
    }
}

#[test]
fn octet_counts() {
    let messages = |frame: &str| {
        let read = readers::read(&mut Syslog::default(), frame.as_bytes()).expect(frame);
        let list = read.as_array().expect("a list");
        list.iter().map(|event| event["message"].as_str().expect("a message").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(messages("17 <34>1 - - - - - -\n"), [""]);
    assert_eq!(messages("5 <1>é4 <1>x\n\n5 <1>yz"), ["é", "x", "yz"]);
    assert_eq!(messages("5 x <1>y"), ["5 x <1>y"]);
    for (frame, at, what) in [
        ("9 <1>x", 0, "beyond the frame"),
        ("4 <1>é", 0, "within a character"),
        ("4 <1>x5 <1>y", 6, "beyond the frame"),
        ("4 <1>xx", 6, "no octet count"),
        ("4 <1>x8 <1>1 - h", 15, "no space after the hostname"),
    ] {
        let fault = readers::read(&mut Syslog::default(), frame.as_bytes()).expect_err(frame);
        assert_eq!((fault.at, fault.what.contains(what)), (at, true), "{frame}: {fault}");
    }
    let fault = readers::read(&mut Syslog::default(), b"<1>a\xff").expect_err("no UTF-8");
    assert_eq!(fault.at, 4);
}

#[test]
fn where_the_message_begins() {
    for frame in
        ["<34>Oct  3 10:02:03 gw1 a[1]: message\n", "<34>1 - - - - - [x y=\"z\"] \u{feff}message", "message"]
    {
        let header = header(frame, Rfc5424::Strict).expect(frame);
        assert_eq!((header.message, &frame[header.message_at..][..7]), ("message", "message"), "{frame}");
    }
}

proptest! {
    #[test]
    fn whatever_the_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), good in 0..5_usize, at in 0..100_usize, byte in any::<u8>()) {
        let good = [
            "<34>1 2026-01-02T03:04:05.678901Z h a 1 m [x@1 a=\"\\\"b\" c=\"d\"] text",
            "<34>Oct  3 10:02:03 2026 gw1 sshd[812]: Failed for x",
            "<189>35: gw1: .Oct  3 10:02:03.776 JST: %SEC-6-IPACCESSLOGP: list",
            "2026-10-03T10:02:03.456789+09:00 gw1 sshd[812]: Failed for x\n",
            "17 <34>1 - - - - - -4 <1>x",
        ][good];
        let mut changed = good.as_bytes().to_vec();
        if let Some(place) = changed.get_mut(at % good.len()) {
            *place = byte;
        }
        for frame in [&bytes, &changed] {
            for how in [Rfc5424::Strict, Rfc5424::Loose] {
                match readers::read(&mut Syslog::new(how), frame) {
                    Ok(read) => prop_assert!(read.as_array().is_some_and(|list| !list.is_empty())),
                    Err(fault) => prop_assert!(fault.at <= frame.len()),
                }
            }
        }
    }
}
