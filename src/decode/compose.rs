//! A record → frames → what is inside their envelopes → events.
//!
//! Owns carrying out the steps of a source: unpacking, cutting into frames, taking envelopes off, and handing what is left to the
//! format's reader, or to the reader of JSON. All events of a record become one JSON list, which is read like any record of
//! JSON; so a record is taken whole or not at all, and limits hold over all of it. What is refused is told with its step
//! and byte. Made by `steps`.

use std::io::Read;
use std::ops::Range;

use super::envelope::{self, Opener, Take};
use super::events::Events;
use super::json::{JsonDecoder, frame::JsonFrames};
use super::readers::{Fault, Reader};
use super::steps::{Framing, Packing, Steps};
use super::{DecodeLimits, Decoder, FieldSet, Reject, RejectCode, Value};

/// How many times larger than a record may be what was packed in it, and what its events are as JSON.
const UNPACKED_SHARE_MAX: usize = 16;

/// Decodes the records of a source with steps.
pub struct Composed {
    steps: Steps,
    limits: DecodeLimits,
    /// Bytes of what was packed, of what is handed on from frames, and of events as JSON: of each so many at most.
    unpacked_bytes_max: usize,
    openers: Vec<Opener>,
    inner: Inner,
    json: JsonDecoder,
    events: Events,
    /// Of each event of the record that was decoded last, the frame that it was in.
    places: Vec<Range<usize>>,
    unpacked: Vec<u8>,
}

/// What reads a frame in the end.
enum Inner {
    Reader(Box<dyn Reader>),
    Json(JsonFrames),
}

impl Composed {
    /// For these steps, and the reader of a format that is not JSON.
    pub fn new(
        steps: &Steps,
        reader: Option<Box<dyn Reader>>,
        fields: &FieldSet,
        limits: DecodeLimits,
    ) -> Self {
        let unpacked_bytes_max = limits.record_bytes_max.saturating_mul(UNPACKED_SHARE_MAX);
        let json = JsonDecoder::new(fields, DecodeLimits { record_bytes_max: unpacked_bytes_max, ..limits });
        let inner = reader.map_or_else(|| Inner::Json(JsonFrames::new(limits.depth_max)), Inner::Reader);
        Self {
            openers: steps.envelopes().map(|envelope| Opener::new(envelope, limits.depth_max)).collect(),
            steps: steps.clone(),
            limits,
            unpacked_bytes_max,
            inner,
            json,
            events: Events::new(unpacked_bytes_max),
            places: Vec::new(),
            unpacked: Vec::new(),
        }
    }

    fn frames(&mut self, payload: &[u8]) -> Result<(), Reject> {
        let Self { steps, openers, inner, events, places, limits, unpacked_bytes_max: most, .. } = self;
        events.clear();
        places.clear();
        // What is around many small texts is carried along with each of them.
        let mut carried = 0usize;
        for (nth, frame) in frames(steps.framing, payload).into_iter().enumerate() {
            let bytes = payload.get(frame.clone()).unwrap_or_default();
            opened(openers, bytes, "", &mut |bytes, left| {
                carried += bytes.len() + left.len();
                if carried > *most || events.is_full() {
                    return Err(Fault::new(0, "format: the events are too large").code(RejectCode::TooLarge));
                }
                events.with(envelope::KEY, left);
                match inner {
                    Inner::Reader(reader) => reader.read(bytes, events),
                    Inner::Json(frames) => frames.read(bytes, events),
                }
            })
            .map_err(|fault| rejected(&fault, (steps.framing == Framing::Lines).then_some(nth)))?;
            if events.is_full() {
                let detail = format!("format: the events are more than {most} bytes");
                return Err(Reject { code: RejectCode::TooLarge, detail });
            }
            if events.len() > limits.events_per_record_max {
                let detail = format!("more than {} events", limits.events_per_record_max);
                return Err(Reject { code: RejectCode::TooManyEvents, detail });
            }
            places.resize(events.len(), frame);
        }
        Ok(())
    }
}

impl Decoder for Composed {
    fn decode(&mut self, payload: &[u8], emit: &mut dyn FnMut(&[Value<'_>])) -> Result<u32, Reject> {
        if payload.len() > self.limits.record_bytes_max {
            let detail = format!("more than {} bytes", self.limits.record_bytes_max);
            return Err(Reject { code: RejectCode::TooLarge, detail });
        }
        let mut unpacked = std::mem::take(&mut self.unpacked);
        let packing = self.steps.packing;
        let read = unpack(packing, payload, self.unpacked_bytes_max, &mut unpacked)
            .and_then(|()| self.frames(if packing == Packing::None { payload } else { &unpacked }));
        self.unpacked = unpacked;
        read?;
        if self.events.is_empty() {
            return Ok(0);
        }
        self.json.decode(self.events.list().as_bytes(), emit)
    }

    fn parts(&self, _payload: &[u8]) -> Vec<Range<usize>> {
        // What was packed, or came out of the one frame, has no place of its own in the record.
        match (self.steps.packing, self.steps.framing) {
            (Packing::None, Framing::Lines) => self.places.clone(),
            _ => Vec::new(),
        }
    }
}

/// Takes all envelopes off a frame, from the outside in.
fn opened(openers: &mut [Opener], frame: &[u8], outer: &str, each: &mut Take<'_>) -> Result<(), Fault> {
    match openers {
        [] => each(frame, outer),
        [first, rest @ ..] => {
            first.open(frame, &mut |inner, left| opened(rest, inner, &envelope::nested(outer, left), each))
        }
    }
}

/// Where the frames are.
fn frames(framing: Framing, payload: &[u8]) -> Vec<Range<usize>> {
    let trimmed = |range: Range<usize>| {
        let bytes = &payload[range.clone()];
        let start = range.start + bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        start..(start + payload[start..range.end].trim_ascii_end().len())
    };
    match framing {
        Framing::Record => std::iter::once(0..payload.len()).collect(),
        Framing::Lines => {
            let mut from = 0;
            let lines = payload.split_inclusive(|byte| *byte == b'\n').map(|line| {
                from += line.len();
                trimmed(from - line.len()..from)
            });
            lines.filter(|line| !line.is_empty()).collect()
        }
    }
}

fn unpack(packing: Packing, payload: &[u8], most: usize, into: &mut Vec<u8>) -> Result<(), Reject> {
    into.clear();
    let wanted = most as u64 + 1;
    let (name, read) = match packing {
        Packing::None => return Ok(()),
        Packing::Gzip => {
            ("gzip", flate2::bufread::MultiGzDecoder::new(payload).take(wanted).read_to_end(into))
        }
        Packing::Zstd => (
            "zstd",
            zstd::Decoder::with_buffer(payload).and_then(|decoder| decoder.take(wanted).read_to_end(into)),
        ),
    };
    if let Err(error) = read {
        let detail = format!("packing: no whole {name}: {}", error.kind());
        return Err(Reject { code: RejectCode::Syntax, detail });
    }
    if into.len() > most {
        let detail = format!("packing: more than {most} bytes of {name}");
        return Err(Reject { code: RejectCode::TooLarge, detail });
    }
    Ok(())
}

fn rejected(fault: &Fault, line: Option<usize>) -> Reject {
    let detail = match line {
        Some(nth) => format!("frame {nth}: {fault}"),
        None => fault.to_string(),
    };
    Reject { code: fault.code, detail }
}

#[cfg(test)]
mod tests;
