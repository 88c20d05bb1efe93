//! What the attempts of one migration or route amounted to, counted by the workers and summed by readers.

use std::time::Duration;

use route_plan::fallback::Kept;
use route_plan::outcome::{Drained, Failure, Observation};
use traffic_split::{Arm, Role};

use crate::Counter;

/// Upper bounds of the duration histogram's buckets, in seconds; an implicit last bucket takes the rest.
pub const DURATION_BOUNDS_S: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The same bounds in nanoseconds, which is what an observation is compared with.
const DURATION_BOUNDS_NS: [u64; 14] = [
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Values of the `code_class` label. `none` is a request that ended before any status: its client went away.
pub const CODE_CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];

const ROLES: usize = 4;
const ARMS: usize = 2;

/// What a set of cells counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrafficKind {
    /// A migration: cells for each arm and role.
    Migration,
    /// A route to one upstream.
    Route,
}

/// Counters of one migration or route: one shard for each worker, on cache lines of its own.
#[derive(Debug)]
pub struct TrafficCells {
    kind: TrafficKind,
    shards: Box<[Shard]>,
}

impl TrafficCells {
    pub(crate) fn new(kind: TrafficKind, workers: usize) -> Self {
        TrafficCells { kind, shards: (0..workers.max(1)).map(|_| Shard::new(kind)).collect() }
    }

    /// Counts one attempt as it ended.
    ///
    /// To be called by the thread of worker `worker` only, but for copies, which its lane alone counts; allocates nothing.
    /// A worker beyond those announced to [`crate::Telemetry::new`], or an attempt without an arm on a migration, is not
    /// counted.
    #[inline]
    pub fn record(&self, worker: usize, observation: &Observation) {
        let at = match (self.kind, observation.arm) {
            (TrafficKind::Route, _) => 0,
            (TrafficKind::Migration, Some(arm)) => position(arm, observation.role),
            (TrafficKind::Migration, None) => return,
        };
        if let Some(leg) = self.shards.get(worker).and_then(|shard| shard.legs.get(at)) {
            leg.record(observation);
        }
    }

    /// Counts one request of a migration that had no key, and so went to old. By worker `worker` only.
    #[inline]
    pub fn no_key(&self, worker: usize) {
        if let Some(shard) = self.shards.get(worker) {
            shard.no_key.inc();
        }
    }

    /// Counts one failure of new that was passed on although the migration falls back. By worker `worker` only.
    #[inline]
    pub fn kept(&self, worker: usize, why: Kept) {
        if let Some(count) = self.shards.get(worker).and_then(|shard| shard.kept.get(why.index())) {
            count.inc();
        }
    }

    /// Counts one tunnel or stream on new that was closed because its user was back on old. By worker `worker` only.
    pub fn drained(&self, worker: usize, kind: Drained) {
        if let Some(count) = self.shards.get(worker).and_then(|shard| shard.drained.get(kind.index())) {
            count.inc();
        }
    }

    /// What these cells count for.
    #[must_use]
    pub fn kind(&self) -> TrafficKind {
        self.kind
    }

    /// The sums over all workers. Counts that workers add meanwhile may be in or not.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let legs = self.shards.first().map_or(0, |shard| shard.legs.len());
        let mut totals = Totals {
            legs: vec![Leg::default(); legs],
            no_key: 0,
            kept: [0; Kept::ALL.len()],
            drained: [0; Drained::ALL.len()],
        };
        for shard in &self.shards {
            totals.no_key += shard.no_key.get();
            add_all(&mut totals.kept, &shard.kept);
            add_all(&mut totals.drained, &shard.drained);
            for (sum, cells) in totals.legs.iter_mut().zip(&shard.legs) {
                cells.add_to(sum);
            }
        }
        totals
    }
}

/// Sums over all workers, read at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    /// By arm and role for a migration, a single one for a route.
    legs: Vec<Leg>,
    /// Requests that had no key, and so went to old.
    pub no_key: u64,
    /// Failures of new that were passed on although the migration falls back, in the order of [`Kept::ALL`].
    pub kept: [u64; Kept::ALL.len()],
    /// Tunnels and streams on new that were closed because their users were back on old, in the order of
    /// [`Drained::ALL`].
    pub drained: [u64; Drained::ALL.len()],
}

impl Totals {
    /// What a migration's `arm` did in `role`; all zero for a route's cells.
    #[must_use]
    pub fn leg(&self, arm: Arm, role: Role) -> Leg {
        if self.legs.len() == 1 {
            return Leg::default();
        }
        self.legs.get(position(arm, role)).copied().unwrap_or_default()
    }

    /// What a route's upstream did; for a migration's cells, what old served.
    #[must_use]
    pub fn route(&self) -> Leg {
        self.legs.first().copied().unwrap_or_default()
    }

    /// Requests whose arm the bucket chose, as counted on `arm`: what a measured split is taken from.
    #[must_use]
    pub fn by_bucket(&self, arm: Arm) -> u64 {
        self.leg(arm, Role::Served).by_bucket
    }
}

/// What one arm did in one role.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Leg {
    /// Requests by class of status, in the order of [`CODE_CLASSES`].
    pub by_class: [u64; CODE_CLASSES.len()],
    /// Failures by reason, in the order of [`Failure::ALL`].
    pub failures: [u64; Failure::ALL.len()],
    /// Time to the head of the answer or to the failure.
    pub durations: Durations,
    /// Requests whose arm the bucket chose.
    pub by_bucket: u64,
    /// Requests whose client went away before its answer was complete.
    pub client_aborts: u64,
    /// Attempts in whose place old answered, by reason in the order of [`Failure::ALL`].
    pub covered: [u64; Failure::ALL.len()],
}

impl Leg {
    /// All requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.by_class.iter().sum()
    }

    /// All failures.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }
}

/// A histogram of durations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Durations {
    /// Observations by bucket, not cumulated; one more than there are bounds.
    pub counts: [u64; DURATION_BOUNDS_S.len() + 1],
    /// Sum of all observations in seconds.
    pub sum_s: f64,
}

impl Durations {
    /// How many observations there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// The index into [`CODE_CLASSES`] of a status.
#[must_use]
pub fn code_class(status: Option<u16>) -> usize {
    match status {
        Some(status @ 100..600) => usize::from(status / 100 - 1),
        _ => CODE_CLASSES.len() - 1,
    }
}

fn position(arm: Arm, role: Role) -> usize {
    let role = match role {
        Role::Served => 0,
        Role::Shadow => 1,
        Role::Fallback => 2,
        Role::DualWrite => 3,
    };
    arm.index() * ROLES + role
}

/// One worker's cells. Aligned to two cache lines, since processors fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    legs: Box<[LegCells]>,
    no_key: Counter,
    kept: [Counter; Kept::ALL.len()],
    drained: [Counter; Drained::ALL.len()],
}

impl Shard {
    fn new(kind: TrafficKind) -> Self {
        let legs = match kind {
            TrafficKind::Migration => ARMS * ROLES,
            TrafficKind::Route => 1,
        };
        Shard {
            legs: (0..legs).map(|_| LegCells::default()).collect(),
            no_key: Counter::new(),
            kept: Default::default(),
            drained: Default::default(),
        }
    }
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct LegCells {
    by_class: [Counter; CODE_CLASSES.len()],
    failures: [Counter; Failure::ALL.len()],
    durations: DurationCells,
    by_bucket: Counter,
    client_aborts: Counter,
    covered: [Counter; Failure::ALL.len()],
}

impl LegCells {
    fn record(&self, observation: &Observation) {
        let status = observation.client_status.or(observation.status);
        if let Some(count) = self.by_class.get(code_class(status)) {
            count.inc();
        }
        if let Some(failure) = observation.failure
            && let Some(count) = self.failures.get(failure.index())
        {
            count.inc();
        }
        // A client that left before the head says nothing about how long the head would have taken.
        if observation.status.is_some() || observation.failure.is_some() {
            self.durations.record(observation.to_head);
        }
        if observation.by_bucket {
            self.by_bucket.inc();
        }
        if observation.client_aborted {
            self.client_aborts.inc();
        }
        if observation.covered
            && let Some(count) = observation.failure.and_then(|failure| self.covered.get(failure.index()))
        {
            count.inc();
        }
    }

    fn add_to(&self, sum: &mut Leg) {
        add_all(&mut sum.by_class, &self.by_class);
        add_all(&mut sum.failures, &self.failures);
        self.durations.add_to(&mut sum.durations);
        sum.by_bucket += self.by_bucket.get();
        sum.client_aborts += self.client_aborts.get();
        add_all(&mut sum.covered, &self.covered);
    }
}

/// A histogram of durations, written by one thread.
#[derive(Debug, Default)]
pub(crate) struct DurationCells {
    counts: [Counter; DURATION_BOUNDS_S.len() + 1],
    sum_ns: Counter,
}

impl DurationCells {
    pub(crate) fn record(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = DURATION_BOUNDS_NS.partition_point(|&bound| bound < ns);
        if let Some(count) = self.counts.get(bucket) {
            count.inc();
        }
        self.sum_ns.add(ns);
    }

    pub(crate) fn add_to(&self, sum: &mut Durations) {
        add_all(&mut sum.counts, &self.counts);
        sum.sum_s += nanoseconds_to_s(self.sum_ns.get());
    }
}

fn add_all<const N: usize>(sums: &mut [u64; N], cells: &[Counter; N]) {
    for (sum, cell) in sums.iter_mut().zip(cells) {
        *sum += cell.get();
    }
}

/// Exact below 2^53 ns (104 days of summed waiting), and within 1e-16 of it beyond.
fn nanoseconds_to_s(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

#[cfg(test)]
mod tests;
