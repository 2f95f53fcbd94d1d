//! Evaluating a rule under its guard: measured, in pieces, and not at all once it is parked.
//!
//! Owns the measuring and the obeying; the decision is the parent's. A rule's rows come in pieces, so that a rule that takes
//! too long is found between two of them; how large they are follows from how long the last one took. What a row would take
//! of memory is known before it is evaluated (`rules::weight`): rows are halved until they fit, and a row that does not fit
//! alone is a row that the rule fails on. Called by `detect::run`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;

use super::parks::{ParkedRule, Parks};
use super::{GuardLimits, Seen, State, judge};
use crate::detect::run::{Hit, RuleFailure};
use crate::observe::panics::caught;
use crate::record::TimeMicros;
use crate::rules::{EvaluateError, Weight};

/// Rows of the first piece, and of the largest.
const ROWS_FIRST: usize = 64;
const ROWS_MOST: usize = 65_536;
/// A piece that takes more of the time for a batch than this part is too large.
const PIECE_PART: u32 = 32;

/// One lane's guard over all rules of a set.
pub struct Guard {
    limits: GuardLimits,
    parks: Arc<Parks>,
    rules: Vec<Kept>,
    /// Which batch it is.
    batch: u64,
    now: TimeMicros,
    failures: Vec<RuleFailure>,
    /// By rule: rows that it would have judged or alerted on, were it not parked.
    unjudged: BTreeMap<usize, u64>,
}

/// What is kept of a rule between its turns.
#[derive(Debug, Clone, Copy)]
struct Kept {
    state: State,
    batch: u64,
    /// Rows of the next piece.
    piece: usize,
}

impl Guard {
    /// Over the rules whose parks these are.
    pub fn new(limits: GuardLimits, parks: Arc<Parks>) -> Self {
        let kept = Kept { state: State::default(), batch: 0, piece: ROWS_FIRST };
        Self {
            limits,
            rules: vec![kept; parks.rules()],
            parks,
            batch: 0,
            now: 0,
            failures: Vec::new(),
            unjudged: BTreeMap::new(),
        }
    }

    /// What is seen from now on is seen at this time.
    pub fn at(&mut self, now: TimeMicros) {
        self.now = now;
    }

    /// Rules begin with another batch.
    pub fn next_batch(&mut self) {
        self.batch += 1;
    }

    /// The rules that are parked.
    pub fn parks(&self) -> &Arc<Parks> {
        &self.parks
    }

    /// Rows that rules have failed on since this was last asked.
    pub fn take_failures(&mut self) -> Vec<RuleFailure> {
        std::mem::take(&mut self.failures)
    }

    /// By rule: rows that were not judged or not alerted on, because it is parked, since this was last asked.
    pub fn take_unjudged(&mut self) -> BTreeMap<usize, u64> {
        std::mem::take(&mut self.unjudged)
    }

    /// Rules have found these rows of a batch, in the order of rules. Those of parked rules are taken out.
    pub fn found(&mut self, hits: &mut Vec<Hit>) {
        for of_rule in hits.chunk_by(|a, b| a.rule == b.rule) {
            if let Some(first) = of_rule.first().filter(|hit| !self.parks.is_parked(hit.rule)) {
                self.see(first.rule, Seen::Found(of_rule.len() as u64));
            }
        }
        if self.parks.count() > 0 {
            let (parks, unjudged) = (&self.parks, &mut self.unjudged);
            hits.retain(|hit| {
                let parked = parks.is_parked(hit.rule);
                if parked {
                    *unjudged.entry(hit.rule).or_default() += 1;
                }
                !parked
            });
        }
    }

    /// A rule's turn with so many rows of a batch.
    pub fn turn<'g>(
        &'g mut self,
        rule: usize,
        batch: &'g RecordBatch,
        rows: usize,
        weight: Weight,
    ) -> Turn<'g> {
        let parked = self.parks.is_parked(rule);
        if !parked && self.rules.get(rule).is_some_and(|kept| kept.batch != self.batch) {
            self.see(rule, Seen::Batch);
            if let Some(kept) = self.rules.get_mut(rule) {
                kept.batch = self.batch;
            }
        }
        Turn { guard: self, rule, batch, rows, weight, next: 0, parked }
    }

    /// Something is seen of a rule; true when it is parked for it.
    fn see(&mut self, rule: usize, seen: Seen) -> bool {
        let Some(kept) = self.rules.get_mut(rule) else { return false };
        let (state, reason) = judge(&self.limits, kept.state, seen, self.now);
        kept.state = state;
        let Some(reason) = reason else { return false };
        let why = state.tell(reason, &self.limits);
        self.parks.park(ParkedRule { rule, reason, why, since: self.now });
        true
    }
}

/// A rule's turn. It counts what the rule does not judge any more.
pub struct Turn<'g> {
    guard: &'g mut Guard,
    rule: usize,
    batch: &'g RecordBatch,
    rows: usize,
    weight: Weight,
    next: usize,
    parked: bool,
}

impl Turn<'_> {
    /// The rows that come next, by their place among those of the turn; `None` when all are through, or the rule is parked.
    pub fn piece(&mut self) -> Option<Range<usize>> {
        if self.parked {
            self.leave((self.rows - self.next) as u64);
            self.next = self.rows;
        }
        if self.next == self.rows {
            return None;
        }
        let piece = self.guard.rules.get(self.rule).map_or(ROWS_FIRST, |kept| kept.piece);
        let from = self.next;
        self.next = self.rows.min(from + piece);
        Some(from..self.next)
    }

    /// Evaluates the rule on these rows of the batch. There is no result when it fails; the caller tries fewer rows then, and
    /// a single row that it fails on has been noted.
    pub fn attempt<T>(&mut self, rows: &[u32], run: impl FnOnce() -> Result<T, EvaluateError>) -> Option<T> {
        let alone = if let [row] = rows { Some(*row) } else { None };
        if self.parked {
            self.leave(u64::from(alone.is_some()));
            return None;
        }
        if let Err(bytes) = self.fits(rows) {
            let most = self.guard.limits.bytes_max;
            let why = format!("its evaluation could take {bytes} bytes of memory, and {most} is the most");
            self.failed(alone, Seen::TooLarge, why);
            return None;
        }
        let began = clock();
        let done = caught(run);
        self.ran(rows.len(), clock().saturating_sub(began));
        match done {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(error)) => self.failed(alone, Seen::Failed, error.to_string()),
            Err(panicked) => {
                let place = panicked.place.map(|place| format!(" at {place}")).unwrap_or_default();
                self.failed(alone, Seen::Panicked, format!("the rule's evaluation panicked{place}"));
            }
        }
        None
    }

    fn ran(&mut self, rows: usize, took: Duration) {
        self.parked |= self.guard.see(self.rule, Seen::Ran(took));
        let most = self.guard.limits.batch_time_max / PIECE_PART;
        if let Some(kept) = self.guard.rules.get_mut(self.rule) {
            if took > most {
                kept.piece = (rows.min(kept.piece) / 2).max(1);
            } else if took < most / 4 && rows >= kept.piece {
                kept.piece = (kept.piece * 2).min(ROWS_MOST);
            }
        }
    }

    fn failed(&mut self, row: Option<u32>, seen: Seen, why: String) {
        let Some(row) = row else { return };
        self.guard.failures.push(RuleFailure { rule: self.rule, row, why });
        self.parked |= self.guard.see(self.rule, seen);
    }

    fn leave(&mut self, rows: u64) {
        if rows > 0 {
            *self.guard.unjudged.entry(self.rule).or_default() += rows;
        }
    }

    /// Whether these rows take no more memory together than they may; else how much they could take.
    fn fits(&self, rows: &[u32]) -> Result<(), u64> {
        let bytes = estimate(self.weight, self.batch, rows);
        if bytes <= self.guard.limits.bytes_max { Ok(()) } else { Err(bytes) }
    }
}

/// What an evaluation of this weight can take of memory for these rows of a batch, in bytes.
pub fn estimate(weight: Weight, batch: &RecordBatch, rows: &[u32]) -> u64 {
    let longest = longest_texts(batch, rows).into_iter();
    longest.fold(0u64, |bytes, longest| bytes.saturating_add(weight.bytes(u64::from(longest))))
}

/// Of each of these rows of a batch, the bytes of its longest text.
fn longest_texts(batch: &RecordBatch, rows: &[u32]) -> Vec<u32> {
    let mut longest = vec![0; rows.len()];
    let texts = batch.columns().iter().filter(|column| *column.data_type() == DataType::Utf8View);
    for column in texts {
        let views = column.as_string_view().views();
        for (longest, row) in longest.iter_mut().zip(rows) {
            // The first four bytes of a view are the length.
            let bytes = views.get(*row as usize).map_or(0, |view| (*view & u128::from(u32::MAX)) as u32);
            *longest = bytes.max(*longest);
        }
    }
    longest
}

/// Time, from any beginning.
fn clock() -> Duration {
    static BEGAN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let passed = BEGAN.elapsed();
    #[cfg(test)]
    let passed = passed + crate::rules::functions::stumble::pretended();
    passed
}
