//! What stands between a source's bytes and the batch.
//!
//! Owns a source's decoder and layout, and the question whether a row is worth building. Called by the parent for each record.

use super::Compiled;
use crate::decode::{DecodeLimits, Decoder};
use crate::detect::profile::{Profile, Stopwatch};
use crate::detect::run::{Detector, Memory, Verdict};
use crate::normalise::layout::{Layout, RowCells, Watch};

/// The decoder and the layout of a source.
pub(super) struct Feed {
    pub(super) decoder: Box<dyn Decoder>,
    pub(super) layout: Layout,
    /// The same with all columns, once there is something to show.
    pub(super) evidence: Option<(Box<dyn Decoder>, Layout)>,
}

impl Feed {
    pub(super) fn new(compiled: &Compiled, source: usize, limits: DecodeLimits) -> Self {
        let format = compiled.pipeline.sources[source].format;
        let layout = Layout::new(&compiled.projection, format);
        Self { decoder: format.decoder(layout.fields(), limits), layout, evidence: None }
    }
}

/// Asks the rules of each row before it is built.
pub(super) struct Judge<'e> {
    pub(super) detector: &'e Detector,
    pub(super) memory: &'e mut Memory,
    pub(super) verdicts: &'e mut [Vec<Verdict>],
    pub(super) seen: &'e mut Vec<usize>,
    pub(super) profile: Option<&'e mut Profile>,
}

impl Watch for Judge<'_> {
    fn wants(&mut self, table: usize, cells: &mut RowCells<'_>) -> bool {
        self.seen.push(table);
        let watch = Stopwatch::when(self.profile.is_some());
        let verdict = self.detector.judge(table, cells, self.memory);
        if let Some(profile) = &mut self.profile {
            profile.stages.look_up += watch.read();
        }
        let wanted = verdict.is_some();
        self.verdicts[table].extend(verdict);
        wanted
    }
}
