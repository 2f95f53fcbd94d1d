//! syslog: RFC 5424, RFC 3164 and what is written instead of it.
//!
//! Owns the parts of a message ([`Header`]), octet counting, and the event made of them. RFC 3164 describes habits, not a
//! format: what does not fit is the message (§4.3.3), never a fault. RFC 5424 is a format: what breaks it is a fault, unless
//! the source is declared [`Rfc5424::Loose`]. Times are left as they were written. `syslog` is also an envelope: [`header`]
//! borrows the parts, so that another reader may read [`Header::message`]. Called by `compose`.

mod rfc3164;
mod rfc5424;
#[cfg(test)]
mod tests;
mod time;

use super::{Fault, Reader, text};
use crate::decode::events::{Events, Object};

/// The most messages with octet counts in one frame.
const MAX_MESSAGES: usize = 10_000;
/// The most digits of an octet count.
const COUNT_DIGITS: usize = 9;
/// The largest priority: facility 23, severity 7.
const MAX_PRIORITY: u8 = 191;

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// What becomes of a message that says version 1 and is not RFC 5424.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rfc5424 {
    /// It is a fault.
    #[default]
    Strict,
    /// Time (also in seconds since 1970) and host are read, the rest is the message; where only the structured data is
    /// broken, it begins the message.
    Loose,
}

/// The parts of a message, as they were written; absent ones and the NILVALUE are `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header<'a> {
    /// 0 to 23.
    pub facility: Option<u8>,
    /// 0 (emergency) to 7 (debug).
    pub severity: Option<u8>,
    /// 1 for RFC 5424.
    pub version: Option<u8>,
    /// With zone and year where they stand beside it.
    pub timestamp: Option<&'a str>,
    /// Name or address.
    pub hostname: Option<&'a str>,
    /// The tag of RFC 3164 without process.
    pub app_name: Option<&'a str>,
    /// What stands in the tag's brackets.
    pub procid: Option<&'a str>,
    /// For Cisco's messages `FACILITY-SEVERITY-MNEMONIC`.
    pub msgid: Option<&'a str>,
    /// Its elements, brackets and escapes included; read by [`Header::write_parts`].
    pub structured_data: Option<&'a str>,
    /// The number that Cisco's devices count messages with.
    pub sequence: Option<&'a str>,
    /// `*` or `.` where a Cisco device says that its clock is not set or not synchronised.
    pub clock_mark: Option<&'a str>,
    /// The device's own time, when a relay's stands before it.
    pub device_timestamp: Option<&'a str>,
    /// What `msgid` of a Cisco device consists of.
    pub cisco: Option<Cisco<'a>>,
    /// The rest, without byte order mark and the line's end.
    pub message: &'a str,
    /// The byte at which it begins.
    pub message_at: usize,
}

/// `%FACILITY-SEVERITY-MNEMONIC:` of Cisco's devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cisco<'a> {
    /// As `ASA`, `SEC`; with subfacility, as `PKT_INFRA-LINK`.
    pub facility: &'a str,
    /// 0 to 7; may differ from the priority's.
    pub severity: u8,
    /// As `302013`, `IPACCESSLOGP`.
    pub mnemonic: &'a str,
}

impl Header<'_> {
    /// Writes all but the message.
    pub fn write_parts(&self, object: &mut Object<'_>) {
        if let Some(facility) = self.facility {
            object.int("facility", facility.into());
            if let Some(name) = FACILITIES.get(usize::from(facility)) {
                object.text("facility_name", name);
            }
        }
        if let Some(severity) = self.severity {
            object.int("severity", severity.into());
            if let Some(name) = SEVERITIES.get(usize::from(severity)) {
                object.text("severity_name", name);
            }
        }
        if let Some(version) = self.version {
            object.int("version", version.into());
        }
        let texts = [
            ("timestamp", self.timestamp),
            ("hostname", self.hostname),
            ("app_name", self.app_name),
            ("procid", self.procid),
            ("msgid", self.msgid),
            ("sequence", self.sequence),
            ("clock_mark", self.clock_mark),
            ("device_timestamp", self.device_timestamp),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                object.text(key, value);
            }
        }
        if let Some(data) = self.structured_data {
            object.object("structured_data", |inner| rfc5424::write(data, inner));
        }
        if let Some(Cisco { facility, severity, mnemonic }) = self.cisco {
            object.object("cisco", |inner| {
                inner.text("facility", facility);
                inner.int("severity", severity.into());
                inner.text("mnemonic", mnemonic);
            });
        }
    }
}

/// The parts of one message without octet count. Only a message that says version 1 can be a fault.
pub fn header(written: &str, rfc5424: Rfc5424) -> Result<Header<'_>, Fault> {
    let text = written.trim_end_matches(['\n', '\r', '\0']);
    let mut header = Header::default();
    let rest = match priority(text) {
        Some((priority, rest)) => {
            header.facility = Some(priority >> 3);
            header.severity = Some(priority & 7);
            rest
        }
        None => text,
    };
    match rest.strip_prefix("1 ") {
        Some(after) if header.facility.is_some() => {
            header.version = Some(1);
            rfc5424::read(text, after, &mut header, rfc5424)?;
        }
        _ => rfc3164::read(rest, &mut header),
    }
    header.message = header.message.strip_prefix('\u{feff}').unwrap_or(header.message);
    header.message_at = text.len() - header.message.len();
    Ok(header)
}

/// `<` a number up to 191 `>`, and what follows.
fn priority(text: &str) -> Option<(u8, &str)> {
    let rest = text.strip_prefix('<')?;
    let digits = digits(rest, 3);
    let (number, rest) = rest.split_at_checked(digits)?;
    let number = number.parse().ok().filter(|number| *number <= MAX_PRIORITY)?;
    Some((number, rest.strip_prefix('>')?))
}

/// How many digits a text begins with; at most one more than `most`.
fn digits(text: &str, most: usize) -> usize {
    text.bytes().take(most + 1).take_while(u8::is_ascii_digit).count()
}

/// The octet count before a message with priority, and what follows.
fn counted(text: &str) -> Option<(usize, &str)> {
    let (count, rest) = text.split_at_checked(digits(text, COUNT_DIGITS))?;
    let rest = rest.strip_prefix(' ')?;
    priority(rest)?;
    Some((count.parse().ok()?, rest))
}

/// Reads syslog.
#[derive(Debug, Clone, Copy, Default)]
pub struct Syslog {
    rfc5424: Rfc5424,
}

impl Syslog {
    /// What becomes of messages that say version 1 and are not RFC 5424.
    pub fn new(rfc5424: Rfc5424) -> Self {
        Self { rfc5424 }
    }

    fn message(self, text: &str, at: usize, events: &mut Events) -> Result<(), Fault> {
        let header =
            header(text, self.rfc5424).map_err(|fault| Fault { at: fault.at.saturating_add(at), ..fault })?;
        events.event(|object| {
            header.write_parts(object);
            object.text("message", header.message);
        });
        Ok(())
    }
}

impl Reader for Syslog {
    fn read(&mut self, frame: &[u8], events: &mut Events) -> Result<(), Fault> {
        let text = text(frame)?;
        if counted(text).is_none() {
            return self.message(text, 0, events);
        }
        let mut rest = text;
        for _ in 0..MAX_MESSAGES {
            let at = text.len() - rest.len();
            let (count, after) = counted(rest)
                .ok_or_else(|| Fault::new(at, "no octet count and priority where the next message begins"))?;
            let begin = text.len() - after.len();
            let (message, after) = after.split_at_checked(count).ok_or_else(|| {
                Fault::new(at, "an octet count that ends beyond the frame or within a character")
            })?;
            self.message(message, begin, events)?;
            rest = after.trim_start_matches(['\n', '\r']);
            if rest.is_empty() {
                return Ok(());
            }
        }
        Err(Fault::new(text.len() - rest.len(), format!("more than {MAX_MESSAGES} messages in a frame")))
    }
}
