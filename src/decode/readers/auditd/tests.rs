//! Records, events of several, and lines that are broken.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::decode::readers::read;

const HEAD: &str = "type=SYSCALL msg=audit(1700000000.123:42):";
const LOGIN: &str = "node=h type=USER_LOGIN msg=audit(1700000000.123:42): pid=1 uid=0 msg='op=login acct=\"ada\" exe=2F62 res=success'\u{1d}UID=\"root\"";

/// A record of a type with fields besides its head.
fn alone(kind: &str, fields: Value) -> Value {
    let mut event = json!({"timestamp": 1_700_000_000.123, "sequence": 42, "type": kind});
    let fields = fields.as_object().expect("an object").clone();
    event.as_object_mut().expect("an object").extend(fields);
    json!([event])
}

#[test]
fn a_record_alone() {
    for (body, expect) in [
        (
            " arch=c000003e a0=7F comm=\"a b\" key=(null)",
            json!({"arch": "c000003e", "a0": "7F", "comm": "a b", "key": "(null)"}),
        ),
        ("", json!({})),
        (
            " exe=2F622063 comm=CAFÉ cwd=2F6 name=2f name=61",
            json!({"exe": "/b c", "comm": "CAFÉ", "cwd": "2F6", "name": ["2f", "a"]}),
        ),
        (" proctitle=6C73002D6C0000", json!({"proctitle": "ls -l"})),
        (" data=0DC3A9FF", json!({"data": "\ré\\xff"})),
        (" key=6101620163 key=\"d\"", json!({"key": ["a", "b", "c", "d"]})),
        (" key=61016200", json!({"key": ["a", "b\u{0}"]})),
        (" mac= pfs=x a=b=c", json!({"mac": "", "pfs": "x", "a": "b=c"})),
        (
            " avc:  denied  { read } for  pid=1 name=\"c\" =x \"y=z\"",
            json!({"message": "avc: denied { read } for =x \"y=z\"", "pid": "1", "name": "c"}),
        ),
        (
            " msg='op=x y  exe=\"/a b\" acct=\"o'brien\" who=o'neil res=ok ' after=1",
            json!({"op": "x", "message": "y", "exe": "/a b", "acct": "o'brien", "who": "o'neil", "res": "ok", "after": "1"}),
        ),
        (
            " msg='op='\u{1d}UID=\"root\" OGID=612062 SYSCALL=open",
            json!({"op": "", "UID": "root", "OGID": "a b", "SYSCALL": "open"}),
        ),
        (
            " saddr=02\u{1d}SADDR={ saddr_fam=inet laddr=0.0.0.0 }",
            json!({"saddr": "02", "SADDR": "saddr_fam=inet laddr=0.0.0.0"}),
        ),
        (
            " type=x node=y sequence=z msg=audit",
            json!({"_type": "x", "_node": "y", "_sequence": "z", "msg": "audit"}),
        ),
        (" id='x y' b=1", json!({"id": "x y", "b": "1"})),
    ] {
        assert_eq!(
            read(&mut Auditd, format!("{HEAD}{body}").as_bytes()),
            Ok(alone("SYSCALL", expect)),
            "{body}"
        );
    }
}

#[test]
fn heads() {
    for (line, expect) in [
        (
            LOGIN,
            alone(
                "USER_LOGIN",
                json!({"node": "h", "pid": "1", "uid": "0", "op": "login", "acct": "ada", "exe": "/b", "res": "success", "UID": "root"}),
            ),
        ),
        (
            "type=DAEMON_CONFIG msg=audit(1700000000.123:42) config changed, pid=1",
            alone("DAEMON_CONFIG", json!({"message": "config changed,", "pid": "1"})),
        ),
        (
            "[   12.5] audit: type=1400 audit(1700000000.123:42): a=1",
            alone("1400", json!({"uptime": 12.5, "a": "1"})),
        ),
        (
            "type=UNKNOWN[1334] msg=audit(1700000000.123:42): a=1\r\n",
            alone("UNKNOWN[1334]", json!({"a": "1"})),
        ),
        (
            "type=EXECVE msg=audit(1700000000.123:42): argc=2 a0=6C73 a1[0]=2D a1_len=61 a2=\"-l\"",
            alone("EXECVE", json!({"argc": "2", "a0": "ls", "a1[0]": "-", "a1_len": "61", "a2": "-l"})),
        ),
    ] {
        assert_eq!(read(&mut Auditd, line.as_bytes()), Ok(expect), "{line}");
    }
}

#[test]
fn records_of_one_event_are_joined() {
    let frame = "type=SYSCALL msg=audit(1.5:1): a0=1 type=CWD msg=audit(1.5:1): cwd=\"/\"\n\
        type=CWD msg=audit(1.5:2): cwd=\"/x\"\n\
        node=h type=CWD msg=audit(1.5:1): cwd=\"/y\"\n\
        type=PATH msg=audit(1.5:1): item=0\n\
        type=PATH msg=audit(1.5:1): item=1\n\
        type=EOE msg=audit(1.5:1): \n";
    let expect = json!([
        {"timestamp": 1.5, "sequence": 1, "SYSCALL": [{"a0": "1"}], "CWD": [{"cwd": "/"}],
         "PATH": [{"item": "0"}, {"item": "1"}], "EOE": [{}]},
        {"timestamp": 1.5, "sequence": 2, "type": "CWD", "cwd": "/x"},
        {"timestamp": 1.5, "sequence": 1, "node": "h", "type": "CWD", "cwd": "/y"},
    ]);
    assert_eq!(read(&mut Auditd, frame.as_bytes()), Ok(expect));
    // What stands in quotes is no head.
    let frame = format!("{HEAD} a=\"x type=CWD msg=audit(1.5:1): b=1\"");
    let expect = alone("SYSCALL", json!({"a": "x type=CWD msg=audit(1.5:1): b=1"}));
    assert_eq!(read(&mut Auditd, frame.as_bytes()), Ok(expect));
}

#[test]
fn faults() {
    let at = HEAD.len();
    let many = format!("{HEAD}{}", " a".repeat(FIELDS_MAX + 1));
    for (line, at, what) in [
        ("hello".to_owned(), 0, "no `type=`"),
        (format!("{HEAD}\nnode=h x"), at + 8, "no `type=`"),
        ("type=syscall msg=audit(1.5:1): ".to_owned(), 5, "no type of a record"),
        ("type= msg=audit(1.5:1): ".to_owned(), 5, "no type of a record"),
        ("type=CWD".to_owned(), 8, "no `audit(` with time and number"),
        ("type=CWD msg=audit(1.5): ".to_owned(), 13, "no `audit(` with time and number"),
        ("type=CWD msg=audit(x:1): ".to_owned(), 13, "no `audit(` with time and number"),
        ("type=CWD msg=audit(1.5:1".to_owned(), 13, "no `audit(` with time and number"),
        (format!("{HEAD} a=\"x"), at + 3, "a quote that is never closed"),
        (format!("{HEAD} a='x"), at + 3, "a quote that is never closed"),
        (format!("{HEAD} msg='a=1"), at + 5, "a quote that is never closed"),
        (format!("{HEAD} a={{ x"), at + 3, "a brace that is never closed"),
        (many, at + 1 + 2 * FIELDS_MAX, "more than 8192 fields in a record"),
    ] {
        assert_eq!(read(&mut Auditd, line.as_bytes()), Err(Fault::new(at, what)), "{line}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_events_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let mut line = HEAD.as_bytes().to_vec();
        line.extend(bytes);
        let _ = read(&mut Auditd, &line);
    }

    #[test]
    fn a_broken_record_is_events_or_a_fault(at in 0..LOGIN.len(), with in "[\"'{}= \nA0é\u{1d}]{0,3}") {
        let mut bytes = LOGIN.as_bytes().to_vec();
        bytes.splice(at..at, with.bytes());
        let _ = read(&mut Auditd, &bytes);
    }

    #[test]
    fn what_is_written_in_hexadecimal_is_read(name in "[a\" é\u{2}-\u{1f}]{1,9}") {
        let written: String = name.bytes().map(|byte| format!("{byte:02X}")).collect();
        let found = read(&mut Auditd, format!("{HEAD} name={written}").as_bytes());
        prop_assert_eq!(found, Ok(alone("SYSCALL", json!({"name": name}))));
    }
}
