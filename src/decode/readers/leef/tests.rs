//! LEEF: frames, and what is read of them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::decode::readers;

const HEAD: &str = "LEEF:1.0|V|P|1|id|";
const HEAD2: &str = "LEEF:2.0|V|P|1|id|";

fn one(mut reader: Leef, frame: &str) -> Value {
    let read =
        readers::read(&mut reader, frame.as_bytes()).unwrap_or_else(|fault| panic!("{frame}: {fault}"));
    assert_eq!(read.as_array().map(Vec::len), Some(1), "{frame}");
    read[0].clone()
}

#[test]
fn headers() {
    let header = json!({"leefVersion": "1.0", "vendor": "V", "product": "P", "version": "1", "eventId": "id", "attributes": {}});
    assert_eq!(one(Leef::default(), HEAD), header);
    assert_eq!(one(Leef::default(), "LEEF:1.0|V|P|1|id\n"), header);
    assert_eq!(one(Leef::default(), "LEEF: 1.0|V|P|1|id|\t \r\n"), header);
    assert_eq!(one(Leef::default(), "1.0|V|P|1|id|"), header);
    let read = one(Leef::default(), &format!("Oct  3 10:02:03 gw1 LEEF:x {HEAD}a=1"));
    assert_eq!(
        (&read["prefix"], &read["attributes"]),
        (&json!("Oct  3 10:02:03 gw1 LEEF:x"), &json!({"a": "1"}))
    );
}

#[test]
fn attributes_and_their_delimiters() {
    let two = json!({"a": "1 x=y", "b_c": "2=3|4"});
    for (reader, frame, named, expect) in [
        (Leef::default(), format!("{HEAD}a=1 x=y\tb_c=2=3|4\t"), None, two.clone()),
        (Leef::default(), format!("{HEAD2}|a=1 x=y\tb_c=2=3|4"), None, two.clone()),
        (Leef::default(), format!("{HEAD2}a=1 x=y\tb_c=2=3|4"), None, two.clone()),
        (Leef::default(), format!("{HEAD2}^|a=1 x=y^b_c=2=3|4"), Some("^"), two.clone()),
        (Leef::default(), format!("{HEAD2}x5E|a=1 x=y^b_c=2=3|4"), Some("^"), two.clone()),
        (Leef::default(), format!("{HEAD2}0x09|a=1 x=y\tb_c=2=3|4"), Some("\t"), two.clone()),
        (Leef::default(), format!("{HEAD2}¦|a=1 x=y¦b_c=2=3|4"), Some("¦"), two.clone()),
        (
            Leef::with_delimiter(' '),
            format!("{HEAD}a=1 b_c=2  a=3"),
            None,
            json!({"a": ["1", "3"], "b_c": "2"}),
        ),
        (Leef::with_delimiter(' '), format!("{HEAD2};|a=1 2;b=3"), Some(";"), json!({"a": "1 2", "b": "3"})),
        (Leef::default(), format!("{HEAD}url=http://x/?a=1&b=2"), None, json!({"url": "http://x/?a=1&b=2"})),
        (Leef::default(), format!("{HEAD}m= C:\\x\\=\tn="), None, json!({"m": " C:\\x\\=", "n": ""})),
    ] {
        let read = one(reader, &frame);
        assert_eq!((&read["attributes"], read["delimiter"].as_str()), (&expect, named), "{frame}");
    }
}

#[test]
fn faults() {
    let many: String = (0..=MAX_FIELDS).map(|number| format!("k{number}=v\t")).collect();
    for (frame, at, what) in [
        (String::new(), 0, "no LEEF:"),
        ("LEEF:3.0|V|P|1|id|".to_owned(), 0, "no LEEF:"),
        ("LEEF:1.0|V|P|1".to_owned(), 13, "no pipe after version"),
        (format!("{HEAD}a=1\tb"), HEAD.len() + 4, "without ="),
        (format!("{HEAD}a=1\t=b"), HEAD.len() + 4, "a key that is empty"),
        (format!("{HEAD}{}=1", "k".repeat(MAX_KEY + 1)), HEAD.len(), "a key that is empty"),
        (format!("{HEAD}{many}"), HEAD.len() + many.len() - "k1024=v\t".len(), "more than 1024"),
        (format!("{HEAD}a=1 b=2"), HEAD.len(), "declare the source's delimiter"),
        (format!("{HEAD}a=1|b=2"), HEAD.len(), "declare the source's delimiter"),
        (format!("{HEAD2}=|a"), HEAD2.len() + 2, "without ="),
        (format!("{HEAD2}xx|a=1"), HEAD2.len(), "no delimiter"),
        (format!("{HEAD2}xD800|a=1"), HEAD2.len(), "no delimiter"),
        (format!("{HEAD2}0x|a=1"), HEAD2.len(), "no delimiter"),
    ] {
        let fault = readers::read(&mut Leef::default(), frame.as_bytes()).expect_err(what);
        assert_eq!((fault.at, fault.what.contains(what)), (at, true), "{what}: {fault}");
    }
}

proptest! {
    #[test]
    fn whatever_the_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[a-z=|^\t ]{0,60}", at in 0..100_usize, byte in any::<u8>(), two in any::<bool>()) {
        let head = if two { format!("{HEAD2}^|") } else { HEAD.to_owned() };
        let mut changed = format!("x {head}src=1^msg=a b\t{text}").into_bytes();
        if let Some(place) = changed.get_mut(at) {
            *place = byte;
        }
        for frame in [&bytes, &changed] {
            for mut reader in [Leef::default(), Leef::with_delimiter('¦')] {
                match readers::read(&mut reader, frame) {
                    Ok(read) => prop_assert!(read[0]["attributes"].is_object()),
                    Err(fault) => prop_assert!(fault.at <= frame.len()),
                }
            }
        }
    }
}
