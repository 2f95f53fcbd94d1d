//! The bounds that hold before any parser sees a byte.
//!
//! Owns limits and the checks that need no parsing. Called by the decoders.

use super::{Reject, RejectCode};

/// Largest record by default, in bytes. Topics are made to take it, and gzip packs 1,032 bytes of zeros into one at most: a
/// batch of such a topic stays below the 4 GiB that librdkafka can unpack.
const RECORD_BYTES_MAX: usize = 4_000_000;

/// How large, how deep and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Larger records are rejected.
    pub record_bytes_max: usize,
    /// JSON nested deeper is rejected.
    pub depth_max: usize,
    /// Records with more events are rejected.
    pub events_per_record_max: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { record_bytes_max: RECORD_BYTES_MAX, depth_max: 64, events_per_record_max: 10_000 }
    }
}

/// Strips a byte-order mark and surrounding white space; refuses what is empty, too large or no UTF-8.
pub fn text<'a>(payload: &'a [u8], limits: &DecodeLimits) -> Result<&'a str, Reject> {
    if payload.len() > limits.record_bytes_max {
        let detail = format!("more than {} bytes", limits.record_bytes_max);
        return Err(Reject { code: RejectCode::TooLarge, detail });
    }
    let payload = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    let payload = payload.trim_ascii();
    if payload.is_empty() {
        return Err(Reject { code: RejectCode::Empty, detail: "no bytes but white space".into() });
    }
    // The faster check does not say where it failed.
    simdutf8::basic::from_utf8(payload).or_else(|_| std::str::from_utf8(payload)).map_err(|error| Reject {
        code: RejectCode::NotUtf8,
        detail: format!("first bad byte at {}", error.valid_up_to()),
    })
}
