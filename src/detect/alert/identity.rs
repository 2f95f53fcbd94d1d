//! What names an alert from outside its value: its id, its Kafka key, and values of headers.
//!
//! Owns the encodings; which values go in is `alert`'s. They never change: consumers deduplicate by the id and
//! rely on the key's order.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::record::{OrgId, Position, hex};

/// The namespace of Noroshi's alert ids.
const NAMESPACE: Uuid = Uuid::from_u128(0xde9a_7f5e_a07b_4468_b22b_a254_2325_2d74);
/// A longer key is cut here and ends with a hash of the whole.
const KEY_BYTES_MAX: usize = 512;
/// Hex digits of that hash.
const KEY_HASH_DIGITS: usize = 32;
/// A longer header value is cut here.
const HEADER_BYTES_MAX: usize = 512;

/// The id of the alert that this rule raises for this organisation because of the events at these positions.
///
/// UUID version 5: the same input gives the same id whatever the batching or the order of the positions (I-3).
pub fn alert_id(rule_id: &str, rule_version: &str, org_id: &OrgId, positions: &[&Position]) -> Uuid {
    let mut positions: Vec<String> = positions.iter().map(|position| position.to_string()).collect();
    positions.sort_unstable();
    let fields = [rule_id, rule_version, org_id.as_str()];
    id(fields.into_iter().chain(positions.iter().map(String::as_str)))
}

/// The id of the alert that a built-in rule raises about a partition of a source in a window, whatever record of it made it.
pub(crate) fn partition_alert_id(
    (rule_id, rule_version): (&str, &str),
    org_id: &OrgId,
    source: &str,
    (topic, partition): (&str, i32),
    window_start_ms: i64,
) -> Uuid {
    let (partition, window) = (partition.to_string(), window_start_ms.to_string());
    id([rule_id, rule_version, org_id.as_str(), source, topic, &partition, &window].into_iter())
}

/// The id of the alert that a built-in rule raises about a rule, its version and its table in a window.
pub(crate) fn rule_alert_id(
    (rule_id, rule_version): (&str, &str),
    org_id: &OrgId,
    (its_id, its_version, table): (&str, &str, &str),
    window_start_ms: i64,
) -> Uuid {
    let window = window_start_ms.to_string();
    id([rule_id, rule_version, org_id.as_str(), its_id, its_version, table, &window].into_iter())
}

fn id<'f>(fields: impl Iterator<Item = &'f str>) -> Uuid {
    let mut name = Vec::new();
    for field in fields {
        // A length before each field: `ab`+`c` and `a`+`bc` differ.
        name.extend_from_slice(&(field.len() as u64).to_be_bytes());
        name.extend_from_slice(field.as_bytes());
    }
    Uuid::new_v5(&NAMESPACE, &name)
}

/// The Kafka key: the organisation, and what the alert is about, each after a `|`.
///
/// Percent-encoded, so that no value can look like two. The order of alerts is kept for each key.
pub(crate) fn key<'v>(org_id: &OrgId, entity: impl Iterator<Item = &'v str>) -> Vec<u8> {
    let mut key = String::new();
    encode(org_id.as_str(), &mut key, |byte| byte == b'|');
    for value in entity {
        key.push('|');
        encode(value, &mut key, |byte| byte == b'|');
    }
    if key.len() > KEY_BYTES_MAX {
        let hash = hex(&Sha256::digest(key.as_bytes()));
        key.truncate(KEY_BYTES_MAX - KEY_HASH_DIGITS - 1);
        key.push('~');
        key.extend(hash.chars().take(KEY_HASH_DIGITS));
    }
    key.into_bytes()
}

/// A header's value: printable ASCII, other bytes percent-encoded.
pub(crate) fn header(value: &str) -> String {
    let mut text = String::new();
    encode(value, &mut text, |_| false);
    text.truncate(HEADER_BYTES_MAX);
    text
}

/// Appends the text with everything percent-encoded that is not printable ASCII, is `%`, or is asked for.
fn encode(value: &str, into: &mut String, also: impl Fn(u8) -> bool) {
    for byte in value.bytes() {
        if (0x20..0x7f).contains(&byte) && byte != b'%' && !also(byte) {
            into.push(char::from(byte));
        } else {
            into.push('%');
            into.push_str(&hex(&[byte]).to_ascii_uppercase());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn at(topic: &str, partition: i32, offset: i64, index: u32) -> Position {
        Position { topic: topic.into(), partition, offset, index }
    }

    #[test]
    fn ids_are_those_of_all_releases() {
        let (a, b) = (at("t", 0, 0, 0), at("t", 0, 1, 0));
        for (rule, version, org, positions, expect) in [
            ("r", "1", "o", &[&a][..], "61b7eaf1-ce07-5573-b4fd-5ac8ad76b1e0"),
            ("r", "1", "o", &[&b], "d115c59d-7851-5c01-a6d4-d436990d76d7"),
            ("r", "1", "o", &[&a, &b], "73fa052c-f5c9-56f3-bfd7-f90d15176ac2"),
            ("r", "1", "o", &[&b, &a], "73fa052c-f5c9-56f3-bfd7-f90d15176ac2"),
            ("r1", "", "o", &[&a], "a5a5e023-4c47-5994-aa9f-4e1a9b7bda78"),
            ("r", "2", "o", &[&a], "c2113337-be51-566f-a4ba-6f57bb931ea7"),
            ("狼煙", "1", "省", &[&a], "c40b1bb3-41c0-5b90-a991-77e89421e169"),
            ("r", "1", "o", &[], "eacb046c-c8bd-55d6-af39-46fc6ab88ad8"),
        ] {
            let id = alert_id(rule, version, &OrgId::new(org), positions);
            assert_eq!(id.to_string(), expect, "{rule} {version} {org} {positions:?}");
            assert_eq!(id.get_version_num(), 5);
        }
    }

    #[test]
    fn keys_keep_values_apart() {
        let long = "x".repeat(2_000);
        for (org, entity, expect) in [
            ("power", &[][..], "power".to_owned()),
            ("power", &["203.0.113.7"], "power|203.0.113.7".to_owned()),
            ("power", &["a", "b"], "power|a|b".to_owned()),
            ("power", &["a|b"], "power|a%7Cb".to_owned()),
            ("power", &["a%7Cb"], "power|a%257Cb".to_owned()),
            ("power", &["", ""], "power||".to_owned()),
            ("power", &["省\n"], "power|%E7%9C%81%0A".to_owned()),
            ("power", &[&long], format!("power|{}~4e4816b05c7d712154078488dc89d749", "x".repeat(473))),
        ] {
            let made = key(&OrgId::new(org), entity.iter().copied());
            assert_eq!(String::from_utf8(made).expect("ascii"), expect);
        }
    }

    #[test]
    fn headers_are_printable_ascii() {
        for (value, expect) in [
            ("5c1b2a60-7f7e", "5c1b2a60-7f7e"),
            ("amber+strict", "amber+strict"),
            ("100%", "100%25"),
            ("a\r\nb\0", "a%0D%0Ab%00"),
            ("省", "%E7%9C%81"),
        ] {
            assert_eq!(header(value), expect);
        }
        assert_eq!(header(&"省".repeat(1_000)).len(), HEADER_BYTES_MAX);
    }

    type Input = (String, String, String, Vec<(String, i32, i64, u32)>);

    fn input() -> impl Strategy<Value = Input> {
        let text = || proptest::sample::select(vec!["", "a", "b", "ab", "a/0", "/", "0", "\0"]);
        let position = (text(), 0..2i32, 0..2i64, 0..2u32);
        (text(), text(), text(), proptest::collection::vec(position, 0..3)).prop_map(
            |(a, b, c, positions)| {
                let owned = positions.into_iter().map(|(t, p, o, i)| (t.to_owned(), p, o, i));
                let mut positions: Vec<_> = owned.collect();
                positions.sort();
                (a.to_owned(), b.to_owned(), c.to_owned(), positions)
            },
        )
    }

    fn id_of((rule, version, org, positions): &Input) -> Uuid {
        let positions: Vec<_> = positions.iter().map(|(t, p, o, i)| at(t, *p, *o, *i)).collect();
        alert_id(rule, version, &OrgId::new(org), &positions.iter().collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn ids_differ_exactly_when_inputs_do(inputs in proptest::collection::vec(input(), 2..40)) {
            let mut seen: BTreeMap<Uuid, &Input> = BTreeMap::new();
            for input in &inputs {
                let earlier = seen.entry(id_of(input)).or_insert(input);
                prop_assert_eq!(*earlier, input);
            }
            let distinct: std::collections::BTreeSet<_> = inputs.iter().collect();
            prop_assert_eq!(seen.len(), distinct.len());
        }
    }
}
