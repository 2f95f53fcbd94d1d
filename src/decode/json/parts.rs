//! Where the objects of a JSON record stand in its bytes.
//!
//! Owns a scan that knows strings and brackets, and nothing else: the record has been parsed before. Called by the
//! parent, for the few records that alert.

use std::ops::Range;

/// The objects of a list, or those that stand one after the other, in order.
pub(super) fn parts(text: &[u8]) -> Vec<Range<usize>> {
    // White space as `decode::bounds` strips it, and a byte-order mark.
    let listed = text.iter().find(|byte| !byte.is_ascii_whitespace() && !matches!(byte, 0xef | 0xbb | 0xbf));
    let base = usize::from(listed == Some(&b'['));
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.iter().enumerate() {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'{' | b'[' => {
                if depth == base && *byte == b'{' {
                    start = at;
                }
                depth += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == base && *byte == b'}' {
                    parts.push(start..at + 1);
                }
            }
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn objects_are_found_whatever_is_in_them() {
        for (text, expect) in [
            (r#"{"a":1}"#, vec![r#"{"a":1}"#]),
            (r#" [ {"a":[{"b":"}"}]} ,{"c":"\"]}{"} ] "#, vec![r#"{"a":[{"b":"}"}]}"#, r#"{"c":"\"]}{"}"#]),
            ("{\"a\":1}\n\n{\"b\":{}}\r\n", vec![r#"{"a":1}"#, r#"{"b":{}}"#]),
            ("\u{feff}[{\"a\":\"\\\\\"}]", vec![r#"{"a":"\\"}"#]),
            ("\u{c}\u{c}[{\"a\":1}]", vec![r#"{"a":1}"#]),
            ("[]", vec![]),
            ("", vec![]),
        ] {
            let found: Vec<&str> = parts(text.as_bytes()).into_iter().map(|part| &text[part]).collect();
            assert_eq!(found, expect, "{text}");
        }
    }

    fn object() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Value::from),
            "[\\PC\"\\\\{}\\[\\]]{0,12}".prop_map(Value::from)
        ];
        let value = leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"{}]{0,4}", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("[a-z\"{}]{0,4}", value, 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn each_part_is_the_object_that_was_written(objects in prop::collection::vec(object(), 0..5), lines: bool) {
            let texts: Vec<String> = objects.iter().map(Value::to_string).collect();
            let text = if lines { texts.join("\n") } else { format!("[{}]", texts.join(" , ")) };
            let found: Vec<String> = parts(text.as_bytes()).into_iter().map(|part| text[part].to_owned()).collect();
            prop_assert_eq!(found, texts);
        }
    }
}
