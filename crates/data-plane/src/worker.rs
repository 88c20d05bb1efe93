//! A worker: one thread with its own runtime, connections, upstream connections and counters. Workers share nothing
//! that more than one of them writes.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::cache::Cache;
use migration_glue::Surroundings;
use route_plan::{
    Compares, ConnectionLimits, Drained, Kept, ListenerLimits, Observation, Plan, Snapshot, Target,
};
use telemetry::access_log::{self, AccessEntry};
use telemetry::{SnapshotCell, Telemetry, TrafficCells, WorkerCells};
use traffic_split::{Arm, Percent, Reason};

use crate::alarm::{Alarms, TICK_MS};
use crate::buffer::BufferPool;
use crate::copies::{Copier, CopierParts, Lanes};
use crate::keep::Allowance;
use crate::load::Loads;
use crate::prober::BoardReader;
use crate::scratch::{Scratch, ScratchPool};
use crate::view::{Evidence, Stock, View};

/// Ticks between two looks for upstream connections that have been idle for too long.
const TICKS_PER_SWEEP: u64 = 500 / TICK_MS;

/// What a worker's connections share.
pub(crate) struct Worker {
    pub(crate) index: usize,
    /// How many workers there are.
    pub(crate) workers: u32,
    /// As many client connections as the process has descriptors for.
    pub(crate) most_clients: usize,
    pub(crate) alarms: Rc<Alarms>,
    pub(crate) buffers: Rc<BufferPool>,
    pub(crate) scratches: Rc<ScratchPool>,
    pub(crate) cells: Arc<WorkerCells>,
    pub(crate) access_log: access_log::Handle,
    pub(crate) loads: Arc<Loads>,
    telemetry: Arc<Telemetry>,
    published: RefCell<Cache<Arc<SnapshotCell>, Arc<Snapshot>>>,
    view: RefCell<Rc<View>>,
    /// As the view has it.
    moves: Cell<u64>,
    board: RefCell<BoardReader>,
    stock: Stock,
    pub(crate) copier: Copier,
    patience: Cell<ConnectionLimits>,
    /// Requests under way.
    pub(crate) requests: Cell<usize>,
    /// What requests may keep of their content, for a second attempt.
    pub(crate) allowance: Rc<Allowance>,
    /// Fallbacks under way.
    pub(crate) fallbacks: Cell<u32>,
    random: RefCell<fastrand::Rng>,
    draining: Cell<bool>,
    stopping: Cell<bool>,
}

/// Everything that a worker is started with.
pub(crate) struct Parts {
    pub(crate) index: usize,
    pub(crate) snapshots: Arc<SnapshotCell>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) access_log: access_log::Handle,
    pub(crate) loads: Arc<Loads>,
    pub(crate) board: BoardReader,
    /// As many client connections as the process has descriptors for.
    pub(crate) most_clients: usize,
    pub(crate) compares: Option<Arc<dyn Compares>>,
    pub(crate) lanes: Arc<Lanes>,
}

impl Worker {
    pub(crate) fn new(parts: Parts) -> Rc<Worker> {
        let Parts { index, snapshots, telemetry, access_log, loads, board, most_clients, compares, lanes } =
            parts;
        let cells = telemetry.worker(index);
        let workers = u32::try_from(telemetry.worker_count()).unwrap_or(u32::MAX);
        let copier = Copier::new(CopierParts {
            index,
            workers,
            snapshots: snapshots.clone(),
            board: board.clone(),
            telemetry: telemetry.clone(),
            compares,
            lanes,
        });
        let published = Cache::new(snapshots);
        let worker = Worker {
            index,
            workers,
            most_clients,
            alarms: Alarms::new(),
            buffers: Rc::default(),
            scratches: Rc::default(),
            stock: Stock::new(cells.clone(), workers),
            copier,
            cells,
            board: RefCell::new(board),
            access_log,
            loads,
            telemetry,
            published: RefCell::new(published),
            view: RefCell::new(Rc::new(View::empty())),
            moves: Cell::default(),
            patience: Cell::default(),
            requests: Cell::default(),
            allowance: Allowance::share(workers as usize),
            fallbacks: Cell::default(),
            random: RefCell::new(fastrand::Rng::new()),
            draining: Cell::new(false),
            stopping: Cell::new(false),
        };
        worker.look();
        Rc::new(worker)
    }

    /// The snapshot in force, looked at once for each request.
    pub(crate) fn view(&self) -> Rc<View> {
        self.look();
        self.view.borrow().clone()
    }

    /// How long to wait for a client, as the snapshot that was looked at last says.
    pub(crate) fn patience(&self) -> ConnectionLimits {
        self.patience.get()
    }

    /// Whether one more client connection is within the limits of the process.
    pub(crate) fn has_room(&self) -> bool {
        self.loads.total() < self.patience().connections.min(self.most_clients)
    }

    /// Closes all idle connections to upstreams, since there are no descriptors left.
    pub(crate) fn free_descriptors(&self) {
        self.stock.close_idle();
    }

    /// What the clients of the listener at this configured address may use up, if it has limits of its own.
    pub(crate) fn listener_limits(&self, asked: SocketAddr) -> Option<ListenerLimits> {
        let view = self.view.borrow();
        view.snapshot.listeners.iter().find(|listener| listener.0 == asked).map(|listener| listener.1)
    }

    /// Follows the configuration and what the prober found. Costs two loads while neither has changed.
    fn look(&self) {
        let mut published = self.published.borrow_mut();
        let latest = published.load();
        let mut board = self.board.borrow_mut();
        // Once the prober has ended, what it found last stays.
        let board_changed = board.has_changed().unwrap_or(false);
        if board_changed || !Arc::ptr_eq(latest, &self.view.borrow().snapshot) {
            let found = board.borrow_and_update().clone();
            let now_ms = self.alarms.now_ms();
            let (stock, telemetry) = (&self.stock, &self.telemetry);
            let mut view = View::build(latest.clone(), &found, stock, &self.copier, telemetry, now_ms);
            view.follow(&self.view.borrow());
            self.patience.set(view.snapshot.connection);
            if self.moves.replace(view.moves) != view.moves {
                self.alarms.wake_followers();
            }
            *self.view.borrow_mut() = Rc::new(view);
        }
    }

    /// Follows the configuration without a request that does: tunnels and streams are to learn that their users were
    /// moved, also where nothing else goes on.
    fn look_at_snapshot(&self) {
        let is_new = !Arc::ptr_eq(self.published.borrow_mut().load(), &self.view.borrow().snapshot);
        if is_new {
            self.look();
        }
    }

    /// How often users were moved, or the time changed that tunnels and streams have after it, as far as this worker has
    /// seen.
    pub(crate) fn moves(&self) -> u64 {
        self.moves.get()
    }

    /// How a migration stands by the snapshot that was looked at last, and after how many milliseconds tunnels and streams
    /// of those are closed who are back on old. `None` where it is gone.
    pub(crate) fn place(&self, lineage: u64) -> Option<(Percent, u32)> {
        let view = self.view.borrow();
        let migration = view.position(lineage).and_then(|index| view.snapshot.migrations.get(index))?;
        Some((migration.split.percent, migration.drain_after_rollback_ms))
    }

    /// What the prober finds, for somebody who waits for it.
    pub(crate) fn board(&self) -> BoardReader {
        self.board.borrow().clone()
    }

    pub(crate) fn random(&self) -> u128 {
        self.random.borrow_mut().u128(..)
    }

    /// A random number below `limit`, which is not 0.
    pub(crate) fn random_below(&self, limit: usize) -> usize {
        self.random.borrow_mut().usize(..limit)
    }

    /// No further requests on a connection once the one under way is answered.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// What has not ended by now is cut off.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    pub(crate) fn drain(&self) {
        self.draining.set(true);
        self.alarms.wake_all();
    }

    pub(crate) fn stop(&self) {
        self.draining.set(true);
        self.stopping.set(true);
        self.alarms.wake_all();
    }

    /// Writes the access log's line for a request that was refused before it could be read as a whole.
    pub(crate) fn log_refused(&self, client: IpAddr, status: u16, reason: &'static str) {
        if self.access_log.enabled() {
            let entry =
                AccessEntry { client, status: Some(status), refused: Some(reason), ..AccessEntry::EMPTY };
            self.access_log.log(self.index, &entry);
        }
    }

    /// Moves the coarse clock, for as long as the worker lives.
    pub(crate) async fn tick(self: Rc<Self>) {
        let mut interval = tokio::time::interval(Duration::from_millis(TICK_MS));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ticks: u64 = 0;
        loop {
            interval.tick().await;
            self.alarms.tick();
            self.copier.collect();
            self.look_at_snapshot();
            ticks += 1;
            if ticks.is_multiple_of(TICKS_PER_SWEEP) {
                self.look();
                self.stock.sweep(self.alarms.now_ms());
            }
        }
    }
}

/// One request's surroundings: the worker, and the one snapshot that the request goes by.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) worker: Rc<Worker>,
    pub(crate) view: Rc<View>,
}

impl Site {
    /// Counts a request that had no key, which the old arm gets.
    pub(crate) fn count_keyless(&self, plan: &Plan) {
        let keyless = plan.assignment.as_ref().is_some_and(|one| one.reason == Reason::NoKey);
        if keyless
            && let Some(cells) = plan.migration().and_then(|index| self.view.migration_cells.get(index))
        {
            cells.no_key(self.worker.index);
        }
    }

    /// Counts a tunnel or stream that was closed since its user is back on old: under the name that its migration has now.
    pub(crate) fn count_drained(&self, plan: &Plan, kind: Drained) {
        let Some(index) = plan.migration() else { return };
        let now = self.worker.view.borrow();
        let lineage = self.view.snapshot.migrations.get(index).map(|migration| migration.lineage);
        let renamed = lineage.and_then(|lineage| now.migration_cells.get(now.position(lineage)?));
        if let Some(cells) = renamed.or_else(|| self.view.migration_cells.get(index)) {
            cells.drained(self.worker.index, kind);
        }
    }

    /// Writes the access log's line for a request that nothing matches.
    pub(crate) fn log_unmatched(&self, scratch: &Scratch) {
        let entry = AccessEntry { status: Some(404), refused: Some("no-route"), ..entry_of(scratch) };
        self.worker.access_log.log(self.worker.index, &entry);
    }

    /// Writes one line of the access log.
    pub(crate) fn log(&self, scratch: &Scratch, plan: &Plan, observed: &Observation, body_bytes: [u64; 2]) {
        let snapshot = &self.view.snapshot;
        let (migration, route) = match plan.target {
            Target::Migration(index) => (snapshot.migrations.get(index).map(|one| one.name.as_str()), None),
            Target::Route(index) => (None, snapshot.routes.get(index).map(|one| one.name.as_str())),
        };
        let entry = AccessEntry {
            status: observed.client_status,
            duration: observed.total,
            to_head: observed.status.map(|_| observed.to_head),
            request_body_bytes: body_bytes[0],
            response_body_bytes: body_bytes[1],
            migration,
            route,
            arm: plan.arm,
            reason: plan.assignment.as_ref().map(|one| one.reason.as_str()),
            failure: observed.failure,
            client_aborted: observed.client_aborted,
            drained: observed.drained,
            ..entry_of(scratch)
        };
        self.worker.access_log.log(self.worker.index, &entry);
    }
}

/// What the access log tells of a request itself, whatever becomes of it.
fn entry_of(scratch: &Scratch) -> AccessEntry<'_> {
    let head = scratch.logged.as_slice();
    AccessEntry {
        client: scratch.facts.client_ip,
        method: scratch.request.method().of(head),
        host: scratch.facts.host.of(head),
        path: scratch.path(head),
        request_id: &scratch.request_id,
        user_agent: scratch.request.find(head, "user-agent", 0),
        ..AccessEntry::EMPTY
    }
}

impl Site {
    fn evidence(&self, target: Target) -> Option<&Evidence> {
        match target {
            Target::Migration(index) => self.view.evidence.get(index),
            Target::Route(_) => None,
        }
    }

    fn cells(&self, target: Target) -> Option<&Arc<TrafficCells>> {
        match target {
            Target::Migration(index) => self.view.migration_cells.get(index),
            Target::Route(index) => self.view.route_cells.get(index),
        }
    }
}

impl Surroundings for Site {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn random(&self) -> u128 {
        self.worker.random()
    }

    fn observe(&self, target: Target, observation: &Observation) {
        if let Some(cells) = self.cells(target) {
            cells.record(self.worker.index, observation);
        }
        if let Some(evidence) = self.evidence(target) {
            evidence.cells.record(self.worker.index, &mut evidence.memory.borrow_mut(), observation);
        }
    }

    fn hangs(&self, target: Target, arm: Arm, key: u64) {
        if let Some(evidence) = self.evidence(target) {
            evidence.cells.hangs(self.worker.index, &mut evidence.memory.borrow_mut(), arm, key);
        }
    }

    fn fail_after_ms(&self, target: Target) -> Option<NonZeroU32> {
        self.evidence(target).and_then(|evidence| evidence.cells.fail_after_ms())
    }

    fn kept(&self, target: Target, why: Kept) {
        if let Some(cells) = self.cells(target) {
            cells.kept(self.worker.index, why);
        }
    }
}
