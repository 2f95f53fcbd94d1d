//! The dead-letter record: the bytes that were no event, untouched, and headers that say why.
//!
//! Owns the headers (Kafka Connect's names, so that existing tools work, and our own) and the cut of what is
//! too large. When a record is rejected is `decode`'s to say; the transaction is `sink::kafka`'s.

use sha2::{Digest, Sha256};

use super::{Header, Output};
use crate::decode::Reject;
use crate::record::{OrgId, hex};
use crate::source::RecordRef;

/// Stage names in `__connect.errors.stage`.
const STAGE: &str = "VALUE_CONVERTER";
/// Longest text in a header.
const HEADER_BYTES_MAX: usize = 512;

/// A rejected record on its way out.
#[derive(Debug)]
pub struct DeadLetter {
    /// What is published.
    pub output: Output,
    /// Whether its value was cut.
    pub cut: bool,
}

/// Makes the dead-letter record of a rejected record. A value over `bytes_max` is cut; its length and SHA-256
/// say what it was.
pub fn output(
    topic: &std::sync::Arc<str>,
    record: &RecordRef<'_>,
    reject: &Reject,
    org_id: &OrgId,
    source: &str,
    bytes_max: usize,
) -> DeadLetter {
    let mut headers = record.envelope.headers();
    let position = format!("{}/{}/{}", record.topic, record.partition, record.offset);
    let mut add = |name: &str, value: &str| headers.push(header(name, value));
    add("__connect.errors.topic", record.topic);
    add("__connect.errors.partition", &record.partition.to_string());
    add("__connect.errors.offset", &record.offset.to_string());
    add("__connect.errors.connector.name", "noroshi");
    add("__connect.errors.stage", STAGE);
    add("__connect.errors.exception.class.name", reject.code.as_str());
    add("__connect.errors.exception.message", &reject.detail);
    add("noroshi-reject-code", reject.code.as_str());
    add("noroshi-reject-id", &position);
    add("noroshi-org-id", org_id.as_str());
    add("noroshi-source", source);
    add("noroshi-version", env!("CARGO_PKG_VERSION"));
    add("noroshi-reject-attempt", "1");
    let mut value = record.payload.map(<[u8]>::to_vec);
    let mut cut = false;
    if let Some(bytes) = value.as_mut().filter(|bytes| bytes.len() > bytes_max) {
        add("noroshi-reject-bytes", &bytes.len().to_string());
        add("noroshi-reject-sha256", &hex(&Sha256::digest(&*bytes)));
        bytes.truncate(bytes_max);
        cut = true;
    }
    let key = record.envelope.key();
    let output = Output { topic: topic.clone(), key, value, headers, timestamp_ms: record.timestamp_ms };
    DeadLetter { output, cut }
}

fn header(name: &str, value: &str) -> Header {
    let mut end = value.len().min(HEADER_BYTES_MAX);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    (name.to_owned(), Some(value.as_bytes()[..end].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::RejectCode;
    use crate::source::Envelope;
    use std::sync::Arc;

    struct Original;

    impl Envelope for Original {
        fn key(&self) -> Option<Vec<u8>> {
            Some(b"k".to_vec())
        }

        fn headers(&self) -> Vec<Header> {
            vec![("a".into(), Some(b"1".to_vec())), ("a".into(), None)]
        }
    }

    fn reject_of(payload: Option<&[u8]>, bytes_max: usize) -> DeadLetter {
        let topic: Arc<str> = Arc::from("in");
        let record = RecordRef {
            source: 0,
            slot: 0,
            topic: &topic,
            partition: 2,
            offset: 7,
            timestamp_ms: Some(5),
            payload,
            envelope: &Original,
        };
        let reject = Reject { code: RejectCode::Syntax, detail: "x".repeat(2_000) };
        output(&Arc::from("dead"), &record, &reject, &OrgId::new("power"), "power-windows", bytes_max)
    }

    fn named<'a>(output: &'a Output, name: &str) -> Vec<&'a [u8]> {
        output.headers.iter().filter(|h| h.0 == name).filter_map(|h| h.1.as_deref()).collect()
    }

    #[test]
    fn the_original_is_kept_and_the_reason_added() {
        let DeadLetter { output, cut } = reject_of(Some(b"\xff{"), 10);
        assert!(!cut);
        assert_eq!(output.value.as_deref(), Some(&b"\xff{"[..]));
        assert_eq!((output.key.as_deref(), output.timestamp_ms), (Some(&b"k"[..]), Some(5)));
        assert_eq!(output.headers[..2], [("a".into(), Some(b"1".to_vec())), ("a".into(), None)]);
        assert_eq!(named(&output, "noroshi-reject-id"), [b"in/2/7"]);
        assert_eq!(named(&output, "noroshi-reject-code"), [b"syntax"]);
        assert_eq!(named(&output, "__connect.errors.exception.message")[0].len(), 512);
        assert!(named(&output, "noroshi-reject-sha256").is_empty());
    }

    #[test]
    fn what_is_too_large_is_cut_and_identified() {
        let DeadLetter { output, cut } = reject_of(Some(b"abcdef"), 3);
        assert!(cut);
        assert_eq!(output.value.as_deref(), Some(&b"abc"[..]));
        assert_eq!(named(&output, "noroshi-reject-bytes"), [b"6"]);
        // SHA-256 of "abcdef".
        let digest = "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721";
        assert_eq!(named(&output, "noroshi-reject-sha256"), [digest.as_bytes()]);
        assert_eq!(reject_of(None, 3).output.value, None);
        assert!(!reject_of(Some(b"abc"), 3).cut);
    }
}
