//! CEF: frames, and what is read of them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::decode::readers;

const HEAD: &str = "CEF:0|V|P|1|id|n|5|";

fn one(escapes: Escapes, frame: &str) -> Value {
    let read = readers::read(&mut Cef::new(escapes), frame.as_bytes())
        .unwrap_or_else(|fault| panic!("{frame}: {fault}"));
    assert_eq!(read.as_array().map(Vec::len), Some(1), "{frame}");
    read[0].clone()
}

#[test]
fn headers() {
    let event = |prefix: Option<&str>, parts: [&str; 7]| {
        let mut event = json!({"cefVersion": parts[0], "extension": {}});
        for (name, part) in HEADER.iter().zip(&parts[1..]) {
            event[*name] = json!(part);
        }
        if let Some(prefix) = prefix {
            event["prefix"] = json!(prefix);
        }
        event
    };
    for (frame, expect) in [
        ("CEF:0|V|P|1.2|id|n a|High|", event(None, ["0", "V", "P", "1.2", "id", "n a", "High"])),
        ("CEF:1.2|V|P|1.2|id|n|5\r\n", event(None, ["1.2", "V", "P", "1.2", "id", "n", "5"])),
        ("CEF: 0||P|||n|| \n", event(None, ["0", "", "P", "", "", "n", ""])),
        (r"CEF:0|a\|b|c\\|1|id|n=1|5|", event(None, ["0", "a|b", r"c\", "1", "id", "n=1", "5"])),
        (
            "Oct  3 10:02:03 gw1 CEF:0|V|P|1|id|n|5|",
            event(Some("Oct  3 10:02:03 gw1"), ["0", "V", "P", "1", "id", "n", "5"]),
        ),
        ("CEF:CEF:0|V|P|1|id|n|5|", event(Some("CEF:"), ["0", "V", "P", "1", "id", "n", "5"])),
        ("0|V|P|1|id|n|5|", event(None, ["0", "V", "P", "1", "id", "n", "5"])),
    ] {
        assert_eq!(one(Escapes::Strict, frame), expect, "{frame}");
    }
}

#[test]
fn extensions() {
    for (extension, expect) in [
        ("src=192.0.2.1 dst=192.0.2.2", json!({"src": "192.0.2.1", "dst": "192.0.2.2"})),
        (" msg=a b  c   act=x ", json!({"msg": "a b  c", "act": "x"})),
        ("a= b=\tc=1\n d=2", json!({"a": "", "b": "", "c": "1", "d": "2"})),
        ("request=http://x/?a=1&b=2 act=x", json!({"request": "http://x/?a=1&b=2", "act": "x"})),
        (r"a=b\=c d\=e f=\\ g=1\n2\r3", json!({"a": "b=c d=e", "f": "\\", "g": "1\n2\r3"})),
        ("a=b|c a.b_c[0]=d", json!({"a": "b|c", "a.b_c[0]": "d"})),
        ("a=1 b=2 a=3", json!({"a": ["1", "3"], "b": "2"})),
        ("msg=狼煙 = x a==b", json!({"msg": "狼煙 = x", "a": "=b"})),
    ] {
        for escapes in [Escapes::Strict, Escapes::Keep] {
            assert_eq!(one(escapes, &format!("{HEAD}{extension}"))["extension"], expect, "{extension}");
        }
    }
}

#[test]
fn labelled_fields_stand_beside_their_keys() {
    let event = one(
        Escapes::Strict,
        &format!(
            "{HEAD}cs1=x y cs1Label=Rule Name cn2Label=count cn2=7 cs3Label=absent cs4Label= cs4=z cs1=w"
        ),
    );
    assert_eq!(event["extension"]["cs1Label"], "Rule Name");
    assert_eq!(event["extension"]["cs4"], "z");
    assert_eq!(event["labels"], json!({"Rule Name": ["x y", "w"], "count": "7"}));
}

#[test]
fn faults() {
    let many: String = (0..=MAX_FIELDS).map(|number| format!("k{number}=v ")).collect();
    let labels: String = (0..=MAX_LABELS).map(|number| format!("k{number}=v k{number}Label=l ")).collect();
    let with = |extension: &str| format!("{HEAD}{extension}");
    for (frame, at, what) in [
        (String::new(), 0, "no CEF:"),
        ("CEF:x|V|P|1|id|n|5|".to_owned(), 0, "no CEF:"),
        ("CEF:0".to_owned(), 0, "no CEF:"),
        ("CEF:0|V|P|1|id|n".to_owned(), 15, "no pipe after name"),
        (r"CEF:0|V|P|1|id|n\".to_owned(), 15, "no pipe after name"),
        (r"CEF:0|a\b|P|1|id|n|5|".to_owned(), 7, "escapes nothing"),
        (with(r"a=C:\Users"), HEAD.len() + 4, "escapes nothing"),
        (with(r"a=1 b=  x\ c=d"), HEAD.len() + 9, "escapes nothing"),
        (with("text a=b"), HEAD.len(), "text before the first key"),
        (with("text"), HEAD.len(), "text before the first key"),
        (with(&format!("a=1 {}=2", "k".repeat(MAX_KEY + 1))), HEAD.len() + 4, "a key of more than"),
        (with(&many), HEAD.len() + many.len() - "k1024=v ".len(), "more than 1024 fields"),
        (with(&labels), HEAD.len(), "more than 64 labelled"),
    ] {
        let fault = readers::read(&mut Cef::default(), frame.as_bytes()).expect_err(&frame);
        assert_eq!((fault.at, fault.what.contains(what)), (at, true), "{frame}: {fault}");
    }
    let kept = one(Escapes::Keep, &with(r#"a=C:\Users\n b=\"x\" c=\"#));
    assert_eq!(kept["extension"], json!({"a": "C:\\Users\n", "b": "\\\"x\\\"", "c": "\\"}));
}

proptest! {
    #[test]
    fn whatever_the_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[a-z=\\\\| ]{0,60}", at in 0..100_usize, byte in any::<u8>()) {
        let mut changed = format!("x {HEAD}src=1 msg=a \\= b c=\\\\ cs1=d cs1Label=e {text}").into_bytes();
        if let Some(place) = changed.get_mut(at) {
            *place = byte;
        }
        for frame in [&bytes, &changed] {
            for escapes in [Escapes::Strict, Escapes::Keep] {
                match readers::read(&mut Cef::new(escapes), frame) {
                    Ok(read) => prop_assert!(read[0]["extension"].is_object()),
                    Err(fault) => prop_assert!(fault.at <= frame.len()),
                }
            }
        }
    }
}
