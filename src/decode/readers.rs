//! Formats that are not JSON.
//!
//! Owns what a reader is and the list of them; each has a file here. A reader turns the bytes of a frame (a record, a line,
//! what stood in an envelope) into events, total and bounded as all of `decode`; it names fields as its format does, and leaves
//! their meaning to the tables' views. Called by `compose`.

pub mod access_log;
pub mod auditd;
pub mod cef;
pub mod delimited;
pub mod key_value;
pub mod leef;
pub mod pairs;
mod pieces;
mod request;
pub mod squid;
pub mod syslog;
pub mod w3c;
pub mod windows_event_xml;
pub mod zeek_tsv;

use std::borrow::Cow;

use super::RejectCode;
use super::events::Events;

/// Reads a format that is not JSON.
pub trait Reader: Send {
    /// Writes the events that a frame holds. After a fault nothing of the record is used.
    fn read(&mut self, frame: &[u8], events: &mut Events) -> Result<(), Fault>;
}

/// Why a frame holds no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}, at byte {at}")]
pub struct Fault {
    /// The reject that it becomes.
    pub code: RejectCode,
    /// The byte of the frame, from 0.
    pub at: usize,
    /// What is wrong there; never with bytes of the frame.
    pub what: Cow<'static, str>,
}

impl Fault {
    /// What is wrong at a byte.
    pub fn new(at: usize, what: impl Into<Cow<'static, str>>) -> Self {
        Self { code: RejectCode::Syntax, at, what: what.into() }
    }

    /// The same with another code.
    pub fn code(self, code: RejectCode) -> Self {
        Self { code, ..self }
    }
}

/// The text of a frame, for readers of text.
pub fn text(frame: &[u8]) -> Result<&str, Fault> {
    let refused =
        |error: std::str::Utf8Error| Fault::new(error.valid_up_to(), "no UTF-8").code(RejectCode::NotUtf8);
    std::str::from_utf8(frame).map_err(refused)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
use tests::read;
