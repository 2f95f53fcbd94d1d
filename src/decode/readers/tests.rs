//! What the tests of all readers need.

use super::*;

/// The events that a reader finds in a frame, as JSON.
pub(super) fn read(reader: &mut dyn Reader, frame: &[u8]) -> Result<serde_json::Value, Fault> {
    let mut events = Events::default();
    reader.read(frame, &mut events)?;
    Ok(serde_json::from_str(events.list()).expect("a reader writes JSON"))
}
