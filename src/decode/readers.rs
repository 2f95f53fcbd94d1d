//! Formats that are not JSON.
//!
//! Owns what a reader is and the list of them; each has a file here. A reader turns the bytes of a frame (a record, a line,
//! what stood in an envelope) into events, total and bounded as all of `decode`; it names fields as its format does, and leaves
//! their meaning to the tables' views. Called by `compose`.

pub mod access_log;
pub mod auditd;
pub mod delimited;
mod pieces;
mod request;
pub mod squid;
pub mod w3c;
pub mod windows_event_xml;
pub mod zeek_tsv;

use std::borrow::Cow;

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
    /// The byte of the frame, from 0.
    pub at: usize,
    /// What is wrong there; never with bytes of the frame.
    pub what: Cow<'static, str>,
}

impl Fault {
    /// What is wrong at a byte.
    pub fn new(at: usize, what: impl Into<Cow<'static, str>>) -> Self {
        Self { at, what: what.into() }
    }
}

/// The text of a frame, for readers of text.
pub fn text(frame: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(frame).map_err(|error| Fault::new(error.valid_up_to(), "no UTF-8"))
}

/// The events that a reader finds in a frame, as JSON: for its tests.
#[cfg(test)]
pub fn read(reader: &mut dyn Reader, frame: &[u8]) -> Result<serde_json::Value, Fault> {
    let mut events = Events::default();
    reader.read(frame, &mut events)?;
    Ok(serde_json::from_str(events.list()).expect("a reader writes JSON"))
}
