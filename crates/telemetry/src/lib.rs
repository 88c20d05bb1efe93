//! What crossfade tells about itself: metric names, counters, exposition, logs.
//!
//! Workers share nothing, so each counts in cells that only it writes: a count is a load, an addition and a store,
//! never a locked instruction, and no cache line is written by two threads. Whoever reads (a scrape, the
//! controller's tick) sums the workers' cells. Every metric is declared once, in [`names`]; what a scrape prints is
//! put together from the cells and from [`ControlFacts`], which the controller leaves here.
//!
//! Two kinds of log: events (sentences with numbers, by `tracing`, see [`logs`]) and the access log, a line for each
//! request, off by default and lossy under pressure (see [`access_log`]). Neither ever blocks a worker.

pub mod access_log;
mod comparisons;
mod counter;
mod evidence;
mod exposition;
mod facts;
pub mod logs;
mod looks;
pub mod names;
mod process;
mod registry;
mod shadow;
mod traffic;
mod worker;

use std::sync::{Arc, RwLock};

pub use comparisons::{AskedFor, Compared, ComparerCells, ComparisonCells, ComparisonTotals};
pub use counter::Counter;
pub use evidence::{EvidenceCells, Memory};
pub use facts::{
    ControlFacts, EndpointFacts, HookFacts, MigrationFacts, RampFacts, ReloadCounts, ShadowFacts,
};
pub use looks::{LOOK_BOUNDS_S, LookCells};
pub use registry::{MAX_TRAFFIC_NAMES, Telemetry};
pub use shadow::{COPIED, HELD_OUT, LaneCells, SHADOW_MEMORY_BYTES, ShadowCells, ShadowTotals, Side};
pub use traffic::{
    CODE_CLASSES, DURATION_BOUNDS_S, Durations, Leg, Totals, TrafficCells, TrafficKind, code_class,
};
pub use worker::{MAX_REFUSAL_REASONS, WorkerCells};

/// Where the running [`route_plan::Snapshot`] is published: the controller stores, each worker reads through an
/// [`arc_swap::Cache`], which costs one relaxed load while nothing changed.
///
/// The lock strategy is chosen knowingly: arc-swap's default strategy has an open report of a use after free.
pub type SnapshotCell = arc_swap::ArcSwapAny<Arc<route_plan::Snapshot>, RwLock<()>>;
