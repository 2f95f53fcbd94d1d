//! What shippers put around the lines that they send.
//!
//! Owns the envelopes by name, and taking one off: the text inside goes on to the next envelope or the format, what is left
//! of the envelope goes with the event under [`KEY`]. An envelope that is not there, or empty, is a reject: nothing is guessed.
//! Called by `compose` for each frame.

use std::borrow::Cow;

use super::TimeField;
use super::json::outer::{Outer, OuterFault};
use super::readers::syslog::{self, Rfc5424};
use super::readers::{Fault, text};

/// The key of an event under which what was around it stands.
pub const KEY: &str = "envelope";

/// An envelope.
pub struct Envelope {
    /// The name that source declarations use.
    pub name: &'static str,
    /// One sentence for the documentation.
    pub description: &'static str,
    /// Where in it a time is, for events that have none of their own.
    pub times: &'static [TimeField],
    kind: Kind,
}

enum Kind {
    /// A JSON object with the text, or the object, at the first of these paths that it has. `*` stands for each item of a
    /// list.
    Json(&'static [&'static str]),
    /// A syslog header before the text.
    Syslog,
    /// `TIME STREAM TAG text`, as containerd and CRI-O write the lines of a container.
    Cri,
}

const fn utc(path: &'static str) -> TimeField {
    TimeField { path, utc: true }
}

/// All envelopes.
pub const ENVELOPES: &[Envelope] = &[
    Envelope {
        name: "vector",
        description: "Vector's JSON encoding of a log event: the line in `message`",
        times: &[utc("timestamp")],
        kind: Kind::Json(&["message"]),
    },
    Envelope {
        name: "fluent-bit",
        description: "Fluent Bit's JSON: the line in `log` or `message`",
        times: &[utc("@timestamp"), utc("date"), utc("time")],
        kind: Kind::Json(&["log", "message"]),
    },
    Envelope {
        name: "fluentd",
        description: "Fluentd's JSON: the line in `message` or `log`",
        times: &[utc("time"), utc("@timestamp")],
        kind: Kind::Json(&["message", "log"]),
    },
    Envelope {
        name: "logstash",
        description: "Logstash with its json codec: the line in `event.original` or `message`",
        times: &[utc("@timestamp")],
        kind: Kind::Json(&["event.original", "message"]),
    },
    Envelope {
        name: "filebeat",
        description: "Filebeat and Elastic Agent: the line in `event.original` or `message`",
        times: &[utc("@timestamp")],
        kind: Kind::Json(&["event.original", "message"]),
    },
    Envelope {
        name: "docker",
        description: "Docker's json-file driver: the line in `log`",
        times: &[utc("time")],
        kind: Kind::Json(&["log"]),
    },
    Envelope {
        name: "cri",
        description: "Lines of a container as containerd and CRI-O write them: time, stream, tag, text",
        times: &[utc("time")],
        kind: Kind::Cri,
    },
    Envelope {
        name: "syslog",
        description: "A syslog header (RFC 5424, RFC 3164 or what relays write instead) before the text",
        times: &[TimeField { path: "timestamp", utc: false }],
        kind: Kind::Syslog,
    },
    Envelope {
        name: "cloudwatch",
        description: "CloudWatch Logs subscriptions: texts in `logEvents`",
        times: &[],
        kind: Kind::Json(&["logEvents.*.message"]),
    },
    Envelope {
        name: "records",
        description: "A list of events under `Records` (AWS in S3) or `records` (Azure Event Hubs)",
        times: &[],
        kind: Kind::Json(&["Records.*", "records.*"]),
    },
    Envelope {
        name: "splunk-hec",
        description: "Splunk's HTTP Event Collector: the event in `event`",
        times: &[utc("time")],
        kind: Kind::Json(&["event"]),
    },
    Envelope {
        name: "kafka-connect",
        description: "Kafka Connect's JSON converter with schemas: the event in `payload`",
        times: &[],
        kind: Kind::Json(&["payload"]),
    },
];

/// The index of an envelope in [`ENVELOPES`].
pub fn envelope(name: &str) -> Option<usize> {
    ENVELOPES.iter().position(|envelope| envelope.name == name)
}

/// Takes what is inside of an envelope, and what is left of the envelope as a JSON object.
pub type Take<'t> = dyn FnMut(&[u8], &str) -> Result<(), Fault> + 't;

/// Takes envelopes off.
pub struct Opener {
    envelope: &'static Envelope,
    outer: Outer,
}

impl Opener {
    /// For one kind of envelope; JSON in it may be nested so deep.
    pub fn new(envelope: &'static Envelope, depth_max: usize) -> Self {
        Self { envelope, outer: Outer::new(depth_max) }
    }

    /// Hands on what is inside, each time with what is left of the envelope as a JSON object.
    pub fn open(&mut self, frame: &[u8], each: &mut Take<'_>) -> Result<(), Fault> {
        let written = text(frame)?;
        match self.envelope.kind {
            Kind::Json(paths) => self.outer.open(written, paths, each).map_err(|fault| match fault {
                OuterFault::Inner(fault) => fault,
                OuterFault::Json { at, what } => {
                    Fault::new(at, format!("envelope {}: {what}", self.envelope.name))
                }
                OuterFault::Nothing => {
                    let paths = paths.join("`, `");
                    Fault::new(0, format!("envelope {}: there is no text at `{paths}`", self.envelope.name))
                }
            }),
            Kind::Syslog => {
                let header = syslog::header(written, Rfc5424::Strict).map_err(|fault| Fault {
                    what: format!("envelope syslog: {}", fault.what).into(),
                    ..fault
                })?;
                let mut left = String::new();
                super::events::object(&mut left, |object| header.write_parts(object));
                each(header.message.as_bytes(), &left)
            }
            Kind::Cri => {
                let mut parts = written.splitn(4, ' ');
                let (Some(time), Some(stream @ ("stdout" | "stderr")), Some(tag), Some(line)) =
                    (parts.next(), parts.next(), parts.next(), parts.next())
                else {
                    return Err(Fault::new(0, "envelope cri: no time, stream and tag"));
                };
                let mut left = String::new();
                super::events::object(&mut left, |object| {
                    object.text("time", time);
                    object.text("stream", stream);
                    object.text("tag", tag);
                });
                each(line.as_bytes(), &left)
            }
        }
    }
}

/// One envelope within another, as one object: the inner one under [`KEY`] of the outer.
pub fn nested<'t>(outer: &'t str, inner: &'t str) -> Cow<'t, str> {
    match (outer, inner) {
        ("", one) | (one, "") => one.into(),
        (outer, inner) => {
            let mut text = inner.strip_suffix('}').unwrap_or(inner).to_owned();
            if text.len() > 1 {
                text.push(',');
            }
            text.push('"');
            text.push_str(KEY);
            text.push_str("\":");
            text.push_str(outer);
            text.push('}');
            text.into()
        }
    }
}
