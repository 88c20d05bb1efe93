//! The one place where all cells hang, so that a scrape finds them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tracing_appender::non_blocking::ErrorCounter;

use crate::process::ProcessFacts;
use crate::{
    ComparerCells, ComparisonCells, ControlFacts, EndpointFacts, EvidenceCells, LaneCells, LookCells,
    ShadowCells, TrafficCells, TrafficKind, WorkerCells, access_log, exposition,
};

/// How many migrations and routes have counters of their own in the life of a process. Names come from the
/// configuration, so this is reached only by thousands of reloads that each rename something.
pub const MAX_TRAFFIC_NAMES: usize = 4096;

/// All cells of the process.
#[derive(Debug)]
pub struct Telemetry {
    workers: Box<[Arc<WorkerCells>]>,
    lanes: Box<[Arc<LaneCells>]>,
    looks: LookCells,
    comparer: ComparerCells,
    directory: Mutex<Directory>,
    facts: Mutex<Arc<ControlFacts>>,
    endpoints: Mutex<Arc<[EndpointFacts]>>,
    access_log: OnceLock<access_log::Handle>,
    event_log: OnceLock<ErrorCounter>,
}

impl Telemetry {
    /// Cells for `workers` workers, at least one.
    #[must_use]
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Telemetry {
            workers: (0..workers.max(1)).map(|_| Arc::default()).collect(),
            lanes: (0..workers.max(1)).map(|_| Arc::new(LaneCells::new(workers))).collect(),
            looks: LookCells::default(),
            comparer: ComparerCells::default(),
            directory: Mutex::default(),
            facts: Mutex::default(),
            endpoints: Mutex::new(Arc::default()),
            access_log: OnceLock::new(),
            event_log: OnceLock::new(),
        })
    }

    /// The counters of one migration or route: for one name always the same ones, as long as the process lives, so
    /// that counts survive every reload. Takes a lock: to be called when a configuration is adopted, not for each
    /// request.
    ///
    /// Beyond [`MAX_TRAFFIC_NAMES`] names all further ones share one set that is labelled `_overflow`.
    #[must_use]
    pub fn traffic(&self, kind: TrafficKind, name: &str) -> Arc<TrafficCells> {
        let workers = self.workers.len();
        lock(&self.directory).cells(kind, name, workers)
    }

    /// The evidence about one migration: for one name always the same cells, as [`Telemetry::traffic`].
    #[must_use]
    pub fn evidence(&self, migration: &str) -> Arc<EvidenceCells> {
        let workers = self.workers.len();
        named(&mut lock(&self.directory).evidence, migration, || EvidenceCells::new(workers))
    }

    /// What became of the requests that a migration's shadow is about: for one name always the same cells.
    #[must_use]
    pub fn shadow(&self, migration: &str) -> Arc<ShadowCells> {
        let workers = self.workers.len();
        named(&mut lock(&self.directory).shadow, migration, || ShadowCells::new(workers))
    }

    /// What copying does to users: served requests that were to be copied, as [`crate::COPIED`], beside those that chance
    /// held out from it, as [`crate::HELD_OUT`]. Chance alone tells them apart, whatever became of the copies, so that a
    /// guard may judge the one by the other. For one name always the same cells.
    #[must_use]
    pub fn shadow_effect(&self, migration: &str) -> Arc<EvidenceCells> {
        let workers = self.workers.len();
        named(&mut lock(&self.directory).shadow_effect, migration, || EvidenceCells::new(workers))
    }

    /// Copies beside the served attempts of the same requests: each request that was copied, whose bucket chose its arm and
    /// whose client stayed, is once on either arm, one of them served and the other one a copy. For one name always the same
    /// cells.
    #[must_use]
    pub fn shadow_evidence(&self, migration: &str) -> Arc<EvidenceCells> {
        let workers = self.workers.len();
        named(&mut lock(&self.directory).shadow_evidence, migration, || EvidenceCells::new(workers))
    }

    /// The cells of the lane beside worker `index`; an index beyond the last wraps around.
    #[must_use]
    pub fn lane(&self, index: usize) -> Arc<LaneCells> {
        let at = index % self.lanes.len();
        self.lanes.get(at).map_or_else(|| Arc::new(LaneCells::new(1)), Arc::clone)
    }

    /// What comparing a migration's answers came to: for one name always the same cells.
    #[must_use]
    pub fn comparisons(&self, migration: &str) -> Arc<ComparisonCells> {
        named(&mut lock(&self.directory).comparisons, migration, ComparisonCells::default)
    }

    /// The cells of worker `index`, counted from 0; an index beyond the last wraps around.
    #[must_use]
    pub fn worker(&self, index: usize) -> Arc<WorkerCells> {
        let at = index % self.workers.len();
        self.workers.get(at).map(Arc::clone).unwrap_or_default()
    }

    /// What comparing takes.
    #[must_use]
    pub fn comparer(&self) -> &ComparerCells {
        &self.comparer
    }

    /// The times between two looks at the guards.
    #[must_use]
    pub fn looks(&self) -> &LookCells {
        &self.looks
    }

    /// How many workers there are cells for.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        self.workers.len()
    }

    /// Leaves the controller's facts for the next scrape.
    pub fn publish_facts(&self, facts: ControlFacts) {
        *lock(&self.facts) = Arc::new(facts);
    }

    /// The facts that the controller left last.
    #[must_use]
    pub fn facts(&self) -> Arc<ControlFacts> {
        Arc::clone(&lock(&self.facts))
    }

    /// Leaves what health checks found for the next scrape and for the status.
    pub fn publish_endpoints(&self, endpoints: Vec<EndpointFacts>) {
        *lock(&self.endpoints) = endpoints.into();
    }

    /// What health checks found last, in the order of the configuration.
    #[must_use]
    pub fn endpoints(&self) -> Arc<[EndpointFacts]> {
        Arc::clone(&lock(&self.endpoints))
    }

    /// Makes the access log's own counters part of every scrape. Only the first call has an effect.
    pub fn watch_access_log(&self, handle: access_log::Handle) {
        let _ = self.access_log.set(handle);
    }

    /// Makes the count of dropped event log lines part of every scrape. Only the first call has an effect.
    pub fn watch_event_log(&self, dropped: ErrorCounter) {
        let _ = self.event_log.set(dropped);
    }

    /// All metrics in Prometheus' text format 0.0.4 ([`Telemetry::CONTENT_TYPE`]).
    #[must_use]
    pub fn scrape(&self) -> String {
        let (traffic, overflowed) = lock(&self.directory).list();
        let evidence = lock(&self.directory).evidence.clone();
        let comparisons = lock(&self.directory).comparisons.clone();
        let shadow = lock(&self.directory).shadow.clone();
        exposition::text(&exposition::Sources {
            traffic: &traffic,
            evidence: &evidence,
            comparisons: &comparisons,
            shadow: &shadow,
            lanes: &self.lanes,
            names_overflowed: overflowed,
            workers: &self.workers,
            looks: &self.looks,
            comparer: &self.comparer,
            facts: &self.facts(),
            endpoints: &self.endpoints(),
            access_log: self.access_log.get(),
            event_log_dropped: self.event_log.get().map_or(0, |dropped| dropped.dropped_lines() as u64),
            process: ProcessFacts::read(),
        })
    }

    /// The media type of [`Telemetry::scrape`].
    pub const CONTENT_TYPE: &'static str = prometheus::TEXT_FORMAT;
}

/// A migration or route with its counters.
pub(crate) type Named = (TrafficKind, Arc<str>, Arc<TrafficCells>);

#[derive(Debug, Default)]
struct Directory {
    cells: BTreeMap<(TrafficKind, Arc<str>), Arc<TrafficCells>>,
    evidence: BTreeMap<Arc<str>, Arc<EvidenceCells>>,
    comparisons: BTreeMap<Arc<str>, Arc<ComparisonCells>>,
    shadow: BTreeMap<Arc<str>, Arc<ShadowCells>>,
    shadow_effect: BTreeMap<Arc<str>, Arc<EvidenceCells>>,
    shadow_evidence: BTreeMap<Arc<str>, Arc<EvidenceCells>>,
    /// Names that found the directory full; counted once for each lookup.
    overflowed: u64,
}

impl Directory {
    fn cells(&mut self, kind: TrafficKind, name: &str, workers: usize) -> Arc<TrafficCells> {
        let mut key = (kind, Arc::from(name));
        if !self.cells.contains_key(&key) && self.cells.len() >= MAX_TRAFFIC_NAMES {
            self.overflowed += 1;
            key.1 = Arc::from("_overflow");
        }
        Arc::clone(self.cells.entry(key).or_insert_with(|| Arc::new(TrafficCells::new(kind, workers))))
    }

    fn list(&self) -> (Vec<Named>, u64) {
        let cells = self.cells.iter();
        (
            cells.map(|((kind, name), cells)| (*kind, Arc::clone(name), Arc::clone(cells))).collect(),
            self.overflowed,
        )
    }
}

/// The cells of one name. Beyond [`MAX_TRAFFIC_NAMES`] all further names share cells that nobody judges by.
fn named<T>(known: &mut BTreeMap<Arc<str>, Arc<T>>, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
    let is_full = !known.contains_key(name) && known.len() >= MAX_TRAFFIC_NAMES;
    let name = if is_full { "_overflow" } else { name };
    Arc::clone(known.entry(Arc::from(name)).or_insert_with(|| Arc::new(make())))
}

/// A poisoned lock guards nothing here that could be half written, so it is used as it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_one_set_of_cells() {
        let telemetry = Telemetry::new(2);
        let first = telemetry.traffic(TrafficKind::Migration, "shop");
        assert!(Arc::ptr_eq(&first, &telemetry.traffic(TrafficKind::Migration, "shop")));
        assert!(!Arc::ptr_eq(&first, &telemetry.traffic(TrafficKind::Route, "shop")));
    }

    #[test]
    fn names_are_bounded() {
        let telemetry = Telemetry::new(1);
        for number in 0..MAX_TRAFFIC_NAMES {
            let _ = telemetry.traffic(TrafficKind::Route, &format!("r{number}"));
        }
        let over = telemetry.traffic(TrafficKind::Route, "one-too-many");
        assert!(Arc::ptr_eq(&over, &telemetry.traffic(TrafficKind::Route, "another")));
        let known = telemetry.traffic(TrafficKind::Route, "r7");
        assert!(!Arc::ptr_eq(&over, &known));
        let scrape = telemetry.scrape();
        assert!(scrape.contains("crossfade_traffic_names_overflowed_total 2\n"));
        assert!(scrape.contains("route=\"_overflow\""));
    }

    #[test]
    fn workers_wrap_around() {
        let telemetry = Telemetry::new(0);
        assert_eq!(telemetry.worker_count(), 1);
        telemetry.worker(5).requests_started.inc();
        assert_eq!(telemetry.worker(0).requests_started.get(), 1);
    }
}
