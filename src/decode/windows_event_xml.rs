//! `windows-event-xml`: Windows events as XML, as the system renders them and many agents forward them.
//!
//! The reader writes the nested JSON of `windows-event-json`, so where the fields are is that format's.

use super::readers::windows_event_xml;
use super::windows_event_json::WindowsEventJson;
use super::{Format, Places, Reader, TimeField};

/// The format.
pub struct WindowsEventXml;

impl Format for WindowsEventXml {
    fn name(&self) -> &'static str {
        "windows-event-xml"
    }

    fn description(&self) -> &'static str {
        "Windows event XML: one or several `<Event>`, as wevtutil, NXLog and Splunk's forwarder write them"
    }

    fn time_fields(&self) -> &'static [TimeField] {
        WindowsEventJson.time_fields()
    }

    fn mark(&self) -> &'static str {
        WindowsEventJson.mark()
    }

    fn places(&self) -> Option<Places> {
        WindowsEventJson.places()
    }

    fn reader(&self) -> Option<Box<dyn Reader>> {
        Some(Box::new(windows_event_xml::WindowsEventXml))
    }
}
