//! What became of requests that a migration's shadow is about, and what the lanes that send copies hold.
//!
//! A worker and the lane beside it are two threads, so each has counters of its own. Every request of a migration with a
//! shadow is counted exactly once: as a pair that was handed over to be compared, or by the reason why there was none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use route_plan::NotCopied;
use traffic_split::Arm;

use crate::traffic::{DurationCells, Durations};
use crate::{Counter, WorkerCells};

const REASONS: usize = NotCopied::ALL.len();

/// How much memory copies and captured answers of the whole process may hold, in bytes.
pub const SHADOW_MEMORY_BYTES: usize = 64 << 20;

/// Who counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The worker that serves the request.
    Worker,
    /// The lane that sends the copy.
    Lane,
    /// Nobody has it: it was on its way from one to the other when the process ended.
    Between,
}

/// Counters of one migration's shadow: one shard for each worker and its lane.
#[derive(Debug)]
pub struct ShadowCells {
    shards: Box<[Shard]>,
    /// Reasons of [`Side::Between`], which any thread may count.
    between: [AtomicU64; REASONS],
}

#[derive(Debug, Default)]
struct Shard {
    worker: WorkerSide,
    lane: LaneSide,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct WorkerSide {
    dropped: [Counter; REASONS],
    /// Held out, and to be copied.
    served: [DurationCells; 2],
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct LaneSide {
    dropped: [Counter; REASONS],
    pairs: Counter,
}

impl ShadowCells {
    pub(crate) fn new(workers: usize) -> Self {
        ShadowCells {
            shards: (0..workers.max(1)).map(|_| Shard::default()).collect(),
            between: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Counts a request that was not copied, or whose copy was not compared. By the thread that `side` is for `worker`.
    pub fn dropped(&self, worker: usize, side: Side, why: NotCopied) {
        let at = why as usize;
        let count = self.shards.get(worker).and_then(|shard| match side {
            Side::Worker => shard.worker.dropped.get(at),
            Side::Lane => shard.lane.dropped.get(at),
            Side::Between => None,
        });
        match (count, self.between.get(at)) {
            (Some(count), _) => count.inc(),
            (None, Some(between)) => drop(between.fetch_add(1, Ordering::Relaxed)),
            (None, None) => {}
        }
    }

    /// Counts a pair that was handed over. By the lane of `worker`.
    pub fn pair(&self, worker: usize) {
        if let Some(shard) = self.shards.get(worker) {
            shard.lane.pairs.inc();
        }
    }

    /// Counts how long a served answer took to its head: of a request that was to be `copied`, or that was held out from it
    /// by chance. By `worker` only.
    pub fn served(&self, worker: usize, copied: bool, to_head: std::time::Duration) {
        if let Some(cells) =
            self.shards.get(worker).and_then(|one| one.worker.served.get(usize::from(copied)))
        {
            cells.record(to_head);
        }
    }

    /// The sums over all workers and lanes.
    #[must_use]
    pub fn totals(&self) -> ShadowTotals {
        let mut totals = ShadowTotals::default();
        for shard in &self.shards {
            totals.pairs += shard.lane.pairs.get();
            for (sum, cells) in totals.served.iter_mut().zip(&shard.worker.served) {
                cells.add_to(sum);
            }
        }
        for (at, sum) in totals.dropped.iter_mut().enumerate() {
            let sides = |shard: &Shard| [&shard.worker.dropped, &shard.lane.dropped].map(|one| one[at].get());
            *sum = self.shards.iter().flat_map(sides).sum::<u64>() + self.between[at].load(Ordering::Relaxed);
        }
        totals
    }
}

/// Sums of [`ShadowCells`], read at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ShadowTotals {
    /// By reason, in the order of [`NotCopied::ALL`].
    pub dropped: [u64; REASONS],
    /// Pairs that were handed over to be compared.
    pub pairs: u64,
    /// Time to the head of served answers: of those held out, and of those to be copied.
    pub served: [Durations; 2],
}

impl ShadowTotals {
    /// Requests that were not copied or compared for this reason.
    #[must_use]
    pub fn dropped_for(&self, why: NotCopied) -> u64 {
        self.dropped.get(why as usize).copied().unwrap_or_default()
    }

    /// All requests that have been accounted for.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.dropped.iter().sum::<u64>() + self.pairs
    }
}

/// The arms that the cells of [`crate::Telemetry::shadow_effect`] take for requests that were held out from copying by
/// chance, and those that were to be copied.
pub const HELD_OUT: Arm = Arm::Old;
/// See [`HELD_OUT`].
pub const COPIED: Arm = Arm::New;

/// What one lane holds, and its connections.
#[derive(Debug)]
#[repr(align(128))]
pub struct LaneCells {
    /// Its connections to upstreams, counted as a worker's. Only the lane's thread adds to them.
    pub connections: Arc<WorkerCells>,
    /// Copies that the worker has put into the queue. Only the worker adds to it.
    pub queued: Counter,
    /// Copies that the lane has taken out of it. Only the lane adds to it.
    pub taken: Counter,
    /// Copies that were begun to be sent. Only the lane adds to it.
    pub begun: Counter,
    /// Copies that were answered or given up. Only the lane adds to it.
    pub ended: Counter,
    memory: AtomicUsize,
    memory_limit: usize,
}

impl LaneCells {
    pub(crate) fn new(lanes: usize) -> Self {
        LaneCells {
            connections: Arc::default(),
            queued: Counter::new(),
            taken: Counter::new(),
            begun: Counter::new(),
            ended: Counter::new(),
            memory: AtomicUsize::new(0),
            memory_limit: SHADOW_MEMORY_BYTES / lanes.max(1),
        }
    }

    /// Takes `bytes` of this lane's part of the memory; `false`: there is not as much left. From any thread; worker and lane
    /// do.
    #[must_use]
    pub fn take_memory(&self, bytes: usize) -> bool {
        let before = self.memory.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.memory_limit;
        if !fits {
            self.memory.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    /// Gives back what was taken.
    pub fn give_memory_back(&self, bytes: usize) {
        self.memory.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// How much is taken, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }

    /// How much may be taken, in bytes.
    #[must_use]
    pub fn memory_limit(&self) -> usize {
        self.memory_limit
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_side_counts_for_itself_and_all_are_summed() {
        let cells = ShadowCells::new(2);
        cells.dropped(0, Side::Worker, NotCopied::Rate);
        cells.dropped(1, Side::Lane, NotCopied::Rate);
        cells.dropped(1, Side::Between, NotCopied::Ended);
        cells.dropped(7, Side::Lane, NotCopied::Slow);
        cells.pair(1);
        cells.served(0, true, Duration::from_millis(2));
        cells.served(1, false, Duration::from_millis(1));
        let totals = cells.totals();
        assert_eq!(totals.dropped_for(NotCopied::Rate), 2);
        assert_eq!(totals.dropped_for(NotCopied::Ended), 1);
        assert_eq!(
            totals.dropped_for(NotCopied::Slow),
            1,
            "a worker that nobody knows is counted all the same"
        );
        assert_eq!((totals.requests(), totals.pairs), (5, 1));
        assert_eq!(totals.served.map(|one| one.count()), [1, 1]);
    }

    #[test]
    fn reasons_have_their_place_in_the_table() {
        for (at, why) in NotCopied::ALL.iter().enumerate() {
            assert_eq!(*why as usize, at, "{why}");
        }
    }

    #[test]
    fn memory_has_an_end() {
        let cells = LaneCells::new(2);
        assert!(cells.take_memory(SHADOW_MEMORY_BYTES / 2));
        assert!(!cells.take_memory(1));
        cells.give_memory_back(10);
        assert!(cells.take_memory(10) && !cells.take_memory(usize::MAX));
        assert_eq!(cells.memory(), cells.memory_limit());
    }
}
