//! A flood of rejects: when a source sends mostly what cannot be read.
//!
//! Owns the decision, as a pure state machine: no Kafka, no bytes, no clock but the milliseconds it is given. It counts
//! each partition of a source by itself, in the order of its records, by Kafka's timestamps: so the same input gives the
//! same floods with the same windows, whatever the batching and whoever reads which partition (I-3). It counts a record
//! when it leaves with an epoch, and takes the count back when the epoch does not come about. The alert is
//! `detect::flood`'s, what `/ready` says `observe::health`'s. Called by `pipeline::open` and `pipeline::lane`.

use super::cycle::Millis;
use crate::config::Rejects;

/// The window slides by this part of it.
const SLICES: usize = 10;
const SLICES_I64: i64 = SLICES as i64;
/// A timestamp so far from the others is believed only when the next record agrees.
const FAR_SLICES: i64 = 3 * SLICES_I64;

/// When rejects are a flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloodLimits {
    /// Share of a partition's records in the window, in per cent.
    pub percent: u64,
    /// Rejects in the window; fewer are no flood.
    pub rejects_min: u64,
    /// Length of the window, in milliseconds.
    pub window_ms: u64,
}

impl From<&Rejects> for FloodLimits {
    fn from(rejects: &Rejects) -> Self {
        Self {
            percent: u64::from(rejects.flood_percent),
            rejects_min: rejects.flood_rejects_min,
            window_ms: rejects.flood_window_ms,
        }
    }
}

impl Default for FloodLimits {
    fn default() -> Self {
        Self::from(&Rejects::default())
    }
}

impl FloodLimits {
    fn slice_ms(&self) -> i64 {
        (i64::try_from(self.window_ms).unwrap_or(i64::MAX) / SLICES_I64).max(1)
    }
}

/// Records, and rejects among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records.
    pub records: u64,
    /// Rejects.
    pub rejects: u64,
}

/// A flood begins with this record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Began {
    /// The window of the alert, on a grid of windows since 1970: part of its identity. In milliseconds.
    pub window_start_ms: i64,
    /// What the sliding window holds.
    pub counts: Counts,
}

/// A partition in flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flooded {
    /// The partition's slot.
    pub slot: usize,
    /// Index of its source.
    pub source: usize,
    /// What the sliding window holds.
    pub counts: Counts,
}

/// One partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Window {
    source: usize,
    /// Which slice of time is the newest; `None` before the first timestamp.
    newest: Option<i64>,
    /// A slice far away that the last record named. It is believed once the next record agrees.
    elsewhere: Option<i64>,
    slices: [Counts; SLICES],
    sum: Counts,
    flooded: bool,
    /// The last window that an alert was raised for.
    alerted: Option<i64>,
    /// When the last record was counted, on the lane's clock. Only for what is shown.
    seen: Millis,
}

impl Window {
    fn count(&mut self, limits: &FloodLimits, timestamp_ms: Option<i64>, rejected: bool) -> Option<Began> {
        if let Some(time) = timestamp_ms {
            self.move_to(time.div_euclid(limits.slice_ms()));
        }
        let newest = self.newest.unwrap_or(0);
        let slice = usize::try_from(newest.rem_euclid(SLICES_I64)).unwrap_or(0);
        for counts in self.slices.get_mut(slice).into_iter().chain([&mut self.sum]) {
            counts.records += 1;
            counts.rejects += u64::from(rejected);
        }
        let Counts { records, rejects } = self.sum;
        if self.flooded {
            // It ends well below of where it began, or it would come and go.
            self.flooded = rejects * 200 >= limits.percent * records && rejects * 2 >= limits.rejects_min;
            return None;
        }
        self.flooded = rejects >= limits.rejects_min && rejects * 100 >= limits.percent * records;
        let window = newest.div_euclid(SLICES_I64);
        if !self.flooded || self.alerted == Some(window) {
            return None;
        }
        self.alerted = Some(window);
        let window_start_ms = window.saturating_mul(SLICES_I64).saturating_mul(limits.slice_ms());
        Some(Began { window_start_ms, counts: self.sum })
    }

    /// Slides on. A record from the window's past counts as of now; a single one from far away does not move the window,
    /// as a shipper's clock may be wrong.
    fn move_to(&mut self, slice: i64) {
        let Some(newest) = self.newest else {
            self.newest = Some(slice);
            return;
        };
        let near = |other: i64| slice.saturating_sub(other).saturating_abs() < FAR_SLICES;
        if near(newest) {
            self.elsewhere = None;
            for at in newest + 1..=slice {
                let left =
                    usize::try_from(at.rem_euclid(SLICES_I64)).ok().and_then(|at| self.slices.get_mut(at));
                let left = left.map(std::mem::take).unwrap_or_default();
                self.sum.records -= left.records;
                self.sum.rejects -= left.rejects;
            }
            self.newest = Some(newest.max(slice));
        } else if self.elsewhere.is_some_and(near) {
            self.elsewhere = None;
            self.newest = Some(slice);
            self.slices = Default::default();
            self.sum = Counts::default();
        } else {
            self.elsewhere = Some(slice);
        }
    }
}

/// The partitions of a lane: as of what is open, in flight, and committed.
#[derive(Debug, Clone, Default)]
pub struct Floods {
    limits: FloodLimits,
    open: Vec<Option<Window>>,
    sealed: Option<Vec<Option<Window>>>,
    committed: Vec<Option<Window>>,
}

impl Floods {
    /// Nothing counted yet.
    pub fn new(limits: FloodLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// A record leaves with the open epoch. `now` is only for what is shown.
    pub fn count(
        &mut self,
        slot: usize,
        source: usize,
        timestamp_ms: Option<i64>,
        rejected: bool,
        now: Millis,
    ) -> Option<Began> {
        if self.open.len() <= slot {
            self.open.resize(slot + 1, None);
        }
        let window = self.open.get_mut(slot)?;
        let window = window.get_or_insert_with(|| Window { source, ..Window::default() });
        window.seen = now;
        window.count(&self.limits, timestamp_ms, rejected)
    }

    /// The open epoch goes to the sink.
    pub fn seal(&mut self) {
        self.sealed = Some(self.open.clone());
    }

    /// The epoch in flight is committed.
    pub fn committed(&mut self) {
        if let Some(sealed) = self.sealed.take() {
            self.committed = sealed;
        }
    }

    /// The open epoch is thrown away.
    pub fn discard(&mut self) {
        self.open = self.sealed.clone().unwrap_or_else(|| self.committed.clone());
    }

    /// All that is not committed is thrown away.
    pub fn rewind(&mut self) {
        self.sealed = None;
        self.open = self.committed.clone();
    }

    /// Forgets the partitions that are not kept: others count them from now on.
    pub fn keep(&mut self, kept: impl Fn(usize) -> bool) {
        let lists = [Some(&mut self.open), self.sealed.as_mut(), Some(&mut self.committed)];
        for (slot, window) in lists.into_iter().flatten().flat_map(|list| list.iter_mut().enumerate()) {
            if !kept(slot) {
                *window = None;
            }
        }
    }

    /// The partitions in flood. One that has been silent for a whole window is none any more.
    pub fn flooded(&self, now: Millis) -> Vec<Flooded> {
        let windows = self.open.iter().enumerate().filter_map(|(slot, window)| Some((slot, (*window)?)));
        windows
            .filter(|(_, window)| window.flooded && now.saturating_sub(window.seen) < self.limits.window_ms)
            .map(|(slot, window)| Flooded { slot, source: window.source, counts: window.sum })
            .collect()
    }
}

#[cfg(test)]
#[path = "flood/tests.rs"]
mod tests;
