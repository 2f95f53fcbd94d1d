//! The two record shapes: flat Windows event JSON as agents write it, and Suricata's EVE JSON.
//!
//! Owns headers, field order and the text of `Message`. Which events there are is left to `office`, `wire` and
//! `attack`.

use std::fmt::{Display, Write};

use super::cast::{Address, Host};
use super::json::Json;
use super::random::Random;
use crate::demo::clock::{Form, Stamp};
use crate::record::TimeMicros;

/// Agents write the local time beside UTC; the organisations are nine hours ahead.
const LOCAL_OFFSET_US: i64 = 9 * 3_600 * 1_000_000;
/// A shipper sees a Sysmon event up to this long after it happened.
const SHIPPING_US_MAX: u64 = 900_000;
const SECOND_US: i64 = 1_000_000;

/// A Windows log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// Sysmon's operational log.
    Sysmon,
    /// The security log.
    Security,
    /// The system log, as the service control manager writes it.
    System,
    /// PowerShell's operational log.
    PowerShell,
}

/// A connection, as a sensor sees it.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    /// Who began it.
    pub source: (Address, u16),
    /// Whom it went to.
    pub destination: (Address, u16),
    /// `TCP` or `UDP`.
    pub protocol: &'static str,
    /// Suricata's name of the protocol inside.
    pub app: &'static str,
}

/// 128 bits in the form of a GUID with braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guid(pub u64, pub u64);

impl Display for Guid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (a, b, c) = (self.0 >> 32, self.0 >> 16 & 0xffff, self.0 & 0xffff);
        write!(f, "{{{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}}}", self.1 >> 48, self.1 & 0xffff_ffff_ffff)
    }
}

/// Writes records, one after the other, into buffers that are used again.
#[derive(Debug)]
pub struct Pen {
    /// Where all chance comes from.
    pub random: Random,
    /// The time of the record in the making.
    pub now: TimeMicros,
    json: Json,
    message: String,
    record_numbers: [u64; 3],
}

impl Pen {
    /// A pen whose records a seed determines.
    pub fn new(seed: u64) -> Self {
        let record_numbers = [410_233, 1_204_518, 87_902];
        Self {
            random: Random::new(seed),
            now: 0,
            json: Json::default(),
            message: String::new(),
            record_numbers,
        }
    }

    /// A process number as Windows gives them: a multiple of four.
    pub fn process_id(&mut self) -> u64 {
        4 * self.random.between(200, 4_000)
    }

    /// A new GUID.
    pub fn guid(&mut self) -> Guid {
        Guid(self.random.bits(), self.random.bits())
    }

    /// Begins a Windows event: everything that stands in each of them.
    pub fn windows(&mut self, host: Host, log: Log, id: u32) {
        let (channel, source, guid, title) = match log {
            Log::Sysmon => (
                "Microsoft-Windows-Sysmon/Operational",
                "Microsoft-Windows-Sysmon",
                "{5770385F-C22A-43E0-BF4C-06F5698FFBD9}",
                sysmon_title(id),
            ),
            // Clearing the log is recorded by the event log service itself.
            Log::Security if id == 1102 => (
                "Security",
                "Microsoft-Windows-Eventlog",
                "{FC65DDD8-D6EF-4962-83D5-6E5CFE9CE148}",
                security_title(id),
            ),
            Log::Security => (
                "Security",
                "Microsoft-Windows-Security-Auditing",
                "{54849625-5478-4994-A5BA-3E3B0328C30D}",
                security_title(id),
            ),
            Log::System => (
                "System",
                "Service Control Manager",
                "{555908D1-A6D7-4695-8E1E-26931D2012F4}",
                "A service was installed in the system.",
            ),
            Log::PowerShell => (
                "Microsoft-Windows-PowerShell/Operational",
                "Microsoft-Windows-PowerShell",
                "{A0C1853B-5C40-4B15-8766-3CF1C58F985A}",
                "Creating Scriptblock text (1 of 1):",
            ),
        };
        // Only Sysmon has a time of its own; for the others `@timestamp` is when it happened.
        let shipping = if log == Log::Sysmon { self.random.below(SHIPPING_US_MAX) as i64 } else { 0 };
        let record_number = self.record_numbers.get_mut(host.org.at).map_or(0, |number| {
            *number += 1;
            *number
        });
        let thread = self.process_id();
        let now = self.now;
        let json = &mut self.json;
        json.begin();
        json.text("@timestamp", Stamp { us: now + shipping, form: Form::Rfc3339 });
        json.text("EventTime", Stamp { us: now + LOCAL_OFFSET_US, form: Form::Seconds });
        json.text("EventReceivedTime", Stamp { us: now + LOCAL_OFFSET_US + SECOND_US, form: Form::Seconds });
        json.text("Hostname", host);
        json.text("Channel", channel);
        json.text("SourceName", source);
        json.text("ProviderGuid", guid);
        json.raw("EventID", id);
        json.raw("RecordNumber", record_number);
        json.raw("OpcodeValue", 0);
        json.text("Severity", "INFO");
        json.raw("SeverityValue", 2);
        json.raw("ThreadID", thread);
        json.text("SourceModuleName", "eventlog");
        json.text("SourceModuleType", "im_msvistalog");
        if log == Log::Security {
            json.raw("Keywords", -9_214_364_837_600_034_816_i64);
            json.text("EventType", if id == 4625 { "AUDIT_FAILURE" } else { "AUDIT_SUCCESS" });
        } else {
            json.text("AccountName", "SYSTEM");
            json.text("Domain", "NT AUTHORITY");
            json.text("UserID", "S-1-5-18");
        }
        self.message.clear();
        self.message.push_str(title);
        if log == Log::Sysmon {
            self.field("RuleName", "-");
            self.field("UtcTime", Stamp { us: now, form: Form::Sysmon });
        }
    }

    /// A field of the Windows event; it stands in `Message`, too.
    pub fn field(&mut self, key: &str, value: impl Display) {
        // Writing to a String does not fail.
        let _ = write!(self.message, "\r\n{key}: {value}");
        self.json.text(key, value);
    }

    /// Ends the Windows event.
    pub fn windows_done(&mut self) -> Vec<u8> {
        self.json.text("Message", &self.message);
        self.json.finish()
    }

    /// Begins an event of Suricata's log: everything that stands in each of them.
    pub fn eve(&mut self, kind: &str, connection: Connection) {
        let flow_id = self.random.below(1 << 51);
        let json = &mut self.json;
        json.begin();
        json.text("timestamp", Stamp { us: self.now, form: Form::Eve });
        json.raw("flow_id", flow_id);
        json.text("in_iface", "eno2");
        json.text("event_type", kind);
        json.text("src_ip", connection.source.0);
        json.raw("src_port", connection.source.1);
        json.text("dest_ip", connection.destination.0);
        json.raw("dest_port", connection.destination.1);
        json.text("proto", connection.protocol);
        if !connection.app.is_empty() {
            json.text("app_proto", connection.app);
        }
    }

    /// The body of the EVE event, field by field.
    pub fn body(&mut self) -> &mut Json {
        &mut self.json
    }

    /// Ends the EVE event.
    pub fn eve_done(&mut self) -> Vec<u8> {
        self.json.finish()
    }
}

fn sysmon_title(id: u32) -> &'static str {
    match id {
        1 => "Process Create:",
        3 => "Network connection detected:",
        5 => "Process terminated:",
        7 => "Image loaded:",
        10 => "Process accessed:",
        11 => "File created:",
        13 => "Registry value set:",
        _ => "Dns query:",
    }
}

fn security_title(id: u32) -> &'static str {
    match id {
        1102 => "The audit log was cleared.",
        4624 => "An account was successfully logged on.",
        4625 => "An account failed to log on.",
        4634 => "An account was logged off.",
        _ => "Special privileges assigned to new logon.",
    }
}
