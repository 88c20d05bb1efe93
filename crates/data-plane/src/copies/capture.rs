//! Content that is kept while it passes, counted in the lane's part of the memory.

use std::sync::Arc;

use migration_glue::copies::Holds;
use telemetry::LaneCells;

/// Content as it passes.
pub(crate) type Capture = migration_glue::copies::Capture<Held>;

/// Memory of a lane that is in use, given back when this is dropped.
pub(crate) struct Held {
    cells: Arc<LaneCells>,
    bytes: usize,
}

impl Held {
    pub(crate) fn nothing(cells: &Arc<LaneCells>) -> Held {
        Held { cells: cells.clone(), bytes: 0 }
    }

    /// Nothing yet, of the same lane.
    pub(crate) fn another(&self) -> Held {
        Held::nothing(&self.cells)
    }
}

impl Holds for Held {
    fn grow(&mut self, bytes: usize) -> bool {
        let fits = self.cells.take_memory(bytes);
        if fits {
            self.bytes += bytes;
        }
        fits
    }

    fn shrink_to(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.cells.give_memory_back(less);
        self.bytes -= less;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.cells.give_memory_back(self.bytes);
    }
}
