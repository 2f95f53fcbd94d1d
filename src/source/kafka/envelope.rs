//! Key and headers of a fetched message, copied only when somebody asks.
//!
//! Owns nothing: it looks at the message as long as the call lasts. Called by `dead_letter` through the port.

use rdkafka::message::{BorrowedMessage, Headers, Message};

use crate::source::Envelope;

pub(super) struct Borrowed<'a, 'm>(pub(super) &'a BorrowedMessage<'m>);

impl Envelope for Borrowed<'_, '_> {
    fn key(&self) -> Option<Vec<u8>> {
        self.0.key().map(<[u8]>::to_vec)
    }

    fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let Some(headers) = self.0.headers() else { return Vec::new() };
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    }
}
