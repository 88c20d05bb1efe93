//! What was counted since somebody last looked.

use std::sync::Arc;

use rollback_guard::{Counts, Merged};
use telemetry::EvidenceCells;

/// Reads the cells of all workers, and gives what is new in them as one block for a guard.
pub(crate) struct Lookout {
    cells: Arc<EvidenceCells>,
    merged: Merged,
    /// The counts as of the last look.
    seen: Counts,
}

impl Lookout {
    /// Sees what is counted from now on.
    pub(crate) fn new(cells: Arc<EvidenceCells>) -> Self {
        let mut lookout = Lookout { cells, merged: Merged::new(), seen: Counts::ZERO };
        lookout.skip();
        lookout
    }

    /// The cells that it reads.
    pub(crate) fn cells(&self) -> &EvidenceCells {
        &self.cells
    }

    /// What was counted since the last look; failures that several workers counted of one key are taken back.
    pub(crate) fn block(&mut self) -> Counts {
        let now = self.cells.totals();
        let mut block = now.clone();
        block.since(&self.seen);
        self.seen = now;
        self.take_marks();
        self.merged.settle(&mut block);
        block
    }

    /// Lets what was counted since the last look go by.
    pub(crate) fn skip(&mut self) {
        self.seen = self.cells.totals();
        self.take_marks();
    }

    fn take_marks(&mut self) {
        let merged = &mut self.merged;
        self.cells.take_marks(|mark| merged.add(mark));
    }
}
