//! Telemetry of a ministry, a power company and a railway, made up from a seed, with an attack hidden in it.
//!
//! Owns the stream: which source is next, at which time, and where the attack, the mistyped passwords and the
//! damaged records stand. There is no clock and no outside source of chance: the same seed, start and length
//! give the same bytes. What single records hold is left to the modules below. Called by `noroshi demo`.
//!
//! Whatever its length, a stream spans one hour of event time, so that windows of minutes find the same in a
//! short one and in a long one. One record in [`DAMAGED_EVERY`] is damaged (cut off, with a byte that is no
//! UTF-8, or empty), so that rejects are seen, too.

mod attack;
mod cast;
mod json;
mod office;
mod pen;
mod programs;
mod random;
#[cfg(test)]
mod tests;
mod wire;

pub use attack::{ATTACK, AttackStep};
use cast::{MINISTRY, Org, POWER, RAIL};
use pen::Pen;

use crate::record::TimeMicros;

/// One record in so many is damaged.
pub const DAMAGED_EVERY: u64 = 2_000;
/// Shorter streams have no place for the attack and hold only ordinary records.
pub const RECORDS_WITH_ATTACK_MIN: u64 = 500;

/// Event time that a stream spans.
const SPAN_US: u64 = 3_600 * 1_000_000;
/// Windows events have times of this precision.
const WINDOWS_PRECISION_US: i64 = 1_000;
/// How many passwords are mistyped in the hour, at most; spread evenly over organisations and workstations.
const MISTYPED_MAX: u64 = 60;
/// In a short stream, one record in so many is a mistyped password.
const MISTYPED_EVERY_MIN: u64 = 500;

/// A source and the records it sends.
#[derive(Debug, Clone, Copy)]
enum Feed {
    Windows(&'static Org),
    Ids(&'static Org),
}

const FEEDS: &[(u64, Feed)] = &[
    (30, Feed::Windows(&MINISTRY)),
    (22, Feed::Windows(&POWER)),
    (18, Feed::Windows(&RAIL)),
    (16, Feed::Ids(&POWER)),
    (14, Feed::Ids(&RAIL)),
];

/// The sources of the stream: id, organisation, format.
pub const SOURCES: &[(&str, &str, &str)] = &[
    ("ministry-windows", "ministry", "windows-json"),
    ("power-windows", "power", "windows-json"),
    ("power-ids", "power", "suricata-eve"),
    ("rail-windows", "rail", "windows-json"),
    ("rail-ids", "rail", "suricata-eve"),
];

/// A record of the stream.
#[derive(Debug)]
pub struct Generated {
    /// Id of the source that sends it; one of [`SOURCES`].
    pub source: &'static str,
    /// The record's bytes.
    pub value: Vec<u8>,
    /// When it happened, as the record says; never before the previous record.
    pub time_us: TimeMicros,
    /// The step of the attack that the record shows.
    pub step: Option<&'static AttackStep>,
    /// True when the record was damaged on purpose and cannot be read.
    pub damaged: bool,
}

/// The stream.
#[derive(Debug)]
pub struct Telemetry {
    pen: Pen,
    start_us: TimeMicros,
    records: u64,
    next: u64,
    steps: usize,
    damaged: u64,
}

impl Telemetry {
    /// A stream of so many records whose first happens at `start_us` or just after it.
    pub fn new(seed: u64, start_us: TimeMicros, records: u64) -> Self {
        let mut pen = Pen::new(seed);
        pen.now = start_us;
        Self { pen, start_us, records, next: 0, steps: 0, damaged: 0 }
    }

    /// How many records are left.
    pub fn remaining(&self) -> u64 {
        self.records - self.next
    }

    /// The step that is due at this record.
    fn due_step(&mut self, at: u64) -> Option<&'static AttackStep> {
        if self.records < RECORDS_WITH_ATTACK_MIN {
            return None;
        }
        let step = ATTACK.get(self.steps)?;
        let due = u128::from(self.records) * u128::from(step.at_permille) / 1_000;
        if u128::from(at) < due {
            return None;
        }
        self.steps += 1;
        Some(step)
    }

    /// Moves the time on: to the record's place in the hour, and for Windows up to its precision.
    fn advance(&mut self, at: u64, windows: bool) {
        let within = self.pen.random.below(SPAN_US);
        let offset =
            (u128::from(at) * u128::from(SPAN_US) + u128::from(within)) / u128::from(self.records.max(1));
        let mut now = (self.start_us + offset as i64).max(self.pen.now);
        if windows {
            now += (-now).rem_euclid(WINDOWS_PRECISION_US);
        }
        self.pen.now = now;
    }

    fn ordinary(&mut self, at: u64, feed: Feed) -> Vec<u8> {
        match feed {
            Feed::Windows(org) => {
                let every = (self.records / MISTYPED_MAX).max(MISTYPED_EVERY_MIN);
                if at % every == every / 3 {
                    office::mistyped_password(&mut self.pen, org)
                } else {
                    office::write(&mut self.pen, org)
                }
            }
            Feed::Ids(org) => wire::write(&mut self.pen, org),
        }
    }
}

impl Iterator for Telemetry {
    type Item = Generated;

    fn next(&mut self) -> Option<Generated> {
        if self.next >= self.records {
            return None;
        }
        let at = self.next;
        self.next += 1;
        if let Some(step) = self.due_step(at) {
            self.advance(at, step.source.ends_with("-windows"));
            let value = (step.write)(&mut self.pen);
            let time_us = self.pen.now;
            return Some(Generated { source: step.source, value, time_us, step: Some(step), damaged: false });
        }
        let feed = *self.pen.random.weighted(FEEDS);
        let (source, windows) = match feed {
            Feed::Windows(org) => (org.windows, true),
            Feed::Ids(org) => (org.ids, false),
        };
        self.advance(at, windows);
        let mut value = self.ordinary(at, feed);
        // From the middle of each stretch on, so that a step of the attack only puts the damage off by one.
        let damaged = at >= self.damaged * DAMAGED_EVERY + DAMAGED_EVERY / 2;
        if damaged {
            damage(&mut value, self.damaged);
            self.damaged += 1;
        }
        Some(Generated { source, value, time_us: self.pen.now, step: None, damaged })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let remaining = usize::try_from(self.remaining());
        (remaining.unwrap_or(usize::MAX), remaining.ok())
    }
}

/// Makes a record unreadable, in one of three ways by turns.
fn damage(value: &mut Vec<u8>, turn: u64) {
    let middle = value.len() / 2;
    match turn % 3 {
        0 => value.truncate(middle),
        1 => {
            if let Some(byte) = value.get_mut(middle) {
                *byte = 0xff;
            }
        }
        _ => value.clear(),
    }
}
