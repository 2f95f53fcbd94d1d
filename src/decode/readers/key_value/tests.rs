//! Keys and values: frames, and what is read of them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::decode::readers;

fn with(separator: Separator) -> Options {
    Options { separator, ..Options::default() }
}

fn one(options: Options, frame: &str) -> Value {
    let read = readers::read(&mut KeyValue::new(options), frame.as_bytes())
        .unwrap_or_else(|fault| panic!("{frame}: {fault}"));
    assert_eq!(read.as_array().map(Vec::len), Some(1), "{frame}");
    read[0].clone()
}

#[test]
fn separated_by_blanks() {
    for (frame, expect) in [
        ("a=1 b=two\n", json!({"a": "1", "b": "two"})),
        ("  a=1\t b=  c= d=4\r\n", json!({"a": "1", "b": "", "c": "", "d": "4"})),
        (r#"m="x y=z, w" n="" "o p"="q""#, json!({"m": "x y=z, w", "n": "", "o p": "q"})),
        (r#"m="\"q\" C:\\x\y" n=a"b"c"#, json!({"m": r#""q" C:\x\y"#, "n": "a\"b\"c"})),
        ("IN=e0 DF SYN URGP=0 DF", json!({"IN": "e0", "DF": true, "SYN": true, "URGP": "0"})),
        ("a=1 a=2 b=3 a", json!({"a": ["1", "2", "true"], "b": "3"})),
        ("u=http://x/?a=1&b=2 k='x' 狼煙=煙", json!({"u": "http://x/?a=1&b=2", "k": "'x'", "狼煙": "煙"})),
        (r#""1" "two words" k="v""#, json!({"1": true, "two words": true, "k": "v"})),
    ] {
        assert_eq!(one(Options::default(), frame), expect, "{frame}");
    }
}

#[test]
fn separated_by_signs() {
    for (separator, frame) in [
        (Separator::Comma, r#"date=2026-10-03,time = 10:02 , msg="a, b" ,flag,, x= y z ,"#),
        (Separator::Semicolon, r#"date=2026-10-03; time=10:02;msg = "a, b";flag;x= y z"#),
        (Separator::Pipe, r#"date=2026-10-03|time=10:02|msg="a, b"|flag|x=y z |"#),
    ] {
        let expect = json!({"date": "2026-10-03", "time": "10:02", "msg": "a, b", "flag": true, "x": "y z"});
        assert_eq!(one(with(separator), frame), expect, "{frame}");
    }
}

#[test]
fn what_else_a_source_declares() {
    let colon = Options { separator: Separator::Comma, assignment: Assignment::Colon, ..Options::default() };
    let expect = json!({"Client": "web", "DstIP": "192.0.2.1", "URL": "http://x/", "q": "a:b"});
    assert_eq!(one(colon, "Client: web, DstIP: 192.0.2.1, URL: http://x/, q:\"a:b\""), expect);
    let literal = Options { backslash: Backslash::Literal, ..Options::default() };
    assert_eq!(one(literal, r#"dir="C:\x\" y="\\z""#), json!({"dir": r"C:\x\", "y": r"\\z"}));
    let single = Options { single_quotes: true, ..Options::default() };
    assert_eq!(
        one(single, r#"a='x "y' b="it's" c='it\'s'"#),
        json!({"a": "x \"y", "b": "it's", "c": "it's"})
    );
}

#[test]
fn faults() {
    let many: String = (0..=MAX_FIELDS).map(|number| format!("k{number}=v ")).collect();
    let long = format!("a=1 {}=2", "k".repeat(MAX_KEY + 1));
    for (frame, at, what) in [
        ("", 0, "no key with a value"),
        ("session closed for user root", 0, "no key with a value"),
        ("a=1 key=\"quote never closed", 8, "never closed"),
        ("a=1 key=\"never\\\"", 8, "never closed"),
        ("a=1 \"key", 4, "never closed"),
        ("a=\"1\"2 b=3", 5, "behind a closing quote"),
        ("\"a\"b=3", 3, "behind a closing quote"),
        ("a=1 =2", 4, "a value without key"),
        ("a=1 \"\"=2", 4, "a value without key"),
        ("a=b\"c d\" e=f", 7, "a quote within a word"),
        (&many, many.len() - "k1024=v ".len(), "more than 1024 fields"),
        (&long, 4, "a key or a word of more than"),
    ] {
        let fault = readers::read(&mut KeyValue::default(), frame.as_bytes()).expect_err(what);
        assert_eq!((fault.at, fault.what.contains(what)), (at, true), "{what}: {fault}");
    }
    let fault = readers::read(&mut KeyValue::default(), b"a=\xff").expect_err("no UTF-8");
    assert_eq!(fault.at, 2);
}

proptest! {
    #[test]
    fn whatever_the_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[a-c=,;|:'\"\\\\ ]{0,60}", at in 0..100_usize, byte in any::<u8>()) {
        let mut changed = format!("a=1 b=\"x \\\" y\" flag, c='2';d=3|{text}").into_bytes();
        if let Some(place) = changed.get_mut(at) {
            *place = byte;
        }
        for separator in [Separator::Space, Separator::Comma, Separator::Semicolon, Separator::Pipe] {
            for (assignment, backslash, single_quotes) in
                [(Assignment::Equals, Backslash::Escapes, false), (Assignment::Colon, Backslash::Literal, true)]
            {
                let mut reader = KeyValue::new(Options { separator, assignment, backslash, single_quotes });
                for frame in [&bytes, &changed] {
                    match readers::read(&mut reader, frame) {
                        Ok(read) => prop_assert!(read[0].is_object()),
                        Err(fault) => prop_assert!(fault.at <= frame.len()),
                    }
                }
            }
        }
    }
}
