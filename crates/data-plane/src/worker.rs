//! A worker: one thread with its own runtime, connections, upstream connections and counters. Workers share nothing
//! that more than one of them writes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::cache::Cache;
use http1_codec::Limits;
use migration_glue::Surroundings;
use route_plan::{ConnectionLimits, Endpoint, Kept, Observation, Plan, Rules, Snapshot, Target};
use telemetry::access_log::{self, AccessEntry};
use telemetry::{SnapshotCell, Telemetry, TrafficCells, TrafficKind, WorkerCells};
use traffic_split::Reason;

use crate::alarm::{Alarms, TICK_MS};
use crate::buffer::BufferPool;
use crate::load::Loads;
use crate::scratch::{Scratch, ScratchPool};
use crate::upstream::{Connection, EndpointPool, UpstreamPool};

/// Ticks between two looks for upstream connections that have been idle for too long.
const TICKS_PER_SWEEP: u64 = 500 / TICK_MS;

/// What a worker's connections share.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) alarms: Rc<Alarms>,
    pub(crate) buffers: Rc<BufferPool>,
    pub(crate) scratches: Rc<ScratchPool>,
    pub(crate) cells: Arc<WorkerCells>,
    pub(crate) access_log: access_log::Handle,
    pub(crate) loads: Arc<Loads>,
    telemetry: Arc<Telemetry>,
    published: RefCell<Cache<Arc<SnapshotCell>, Arc<Snapshot>>>,
    view: RefCell<Rc<View>>,
    pools: RefCell<HashMap<Endpoint, Rc<EndpointPool>>>,
    patience: Cell<ConnectionLimits>,
    /// Fallbacks under way.
    pub(crate) fallbacks: Cell<u32>,
    random: RefCell<fastrand::Rng>,
    draining: Cell<bool>,
    stopping: Cell<bool>,
}

/// One snapshot as this worker sees it: with its own cells and connections beside it.
pub(crate) struct View {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) limits: Limits,
    pub(crate) answer_limits: Limits,
    pub(crate) upstreams: Vec<UpstreamPool>,
    /// The headers by which clients may force an arm, of all migrations: no backend sees any of them, since the value
    /// may be a secret.
    pub(crate) force_headers: Vec<String>,
    /// Whether any arm or route changes heads. Seldom, so that most requests need not ask theirs.
    any_rules: bool,
    migration_cells: Vec<Arc<TrafficCells>>,
    route_cells: Vec<Arc<TrafficCells>>,
}

impl View {
    /// What is changed in the messages of this attempt; `None` when nothing is.
    pub(crate) fn rules(&self, plan: &Plan) -> Option<&Rules> {
        if !self.any_rules {
            return None;
        }
        plan.rules(&self.snapshot).filter(|rules| !rules.is_empty())
    }
}

/// Everything that a worker is started with.
pub(crate) struct Parts {
    pub(crate) index: usize,
    pub(crate) snapshots: Arc<SnapshotCell>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) access_log: access_log::Handle,
    pub(crate) loads: Arc<Loads>,
}

impl Worker {
    pub(crate) fn new(parts: Parts) -> Rc<Worker> {
        let Parts { index, snapshots, telemetry, access_log, loads } = parts;
        let published = Cache::new(snapshots);
        let worker = Worker {
            index,
            alarms: Alarms::new(),
            buffers: Rc::default(),
            scratches: Rc::default(),
            cells: telemetry.worker(index),
            access_log,
            loads,
            telemetry,
            published: RefCell::new(published),
            view: RefCell::new(Rc::new(View::empty())),
            pools: RefCell::default(),
            patience: Cell::default(),
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

    fn look(&self) {
        let mut published = self.published.borrow_mut();
        let latest = published.load();
        if !Arc::ptr_eq(latest, &self.view.borrow().snapshot) {
            let view = self.build(latest.clone());
            self.patience.set(view.snapshot.connection);
            *self.view.borrow_mut() = Rc::new(view);
        }
    }

    fn build(&self, snapshot: Arc<Snapshot>) -> View {
        let mut pools = self.pools.borrow_mut();
        let mut kept = HashMap::new();
        let mut upstreams = Vec::with_capacity(snapshot.upstreams.len());
        for upstream in &snapshot.upstreams {
            let endpoints = upstream.endpoints.iter().map(|endpoint| {
                let pool = kept.entry(endpoint.clone()).or_insert_with(|| {
                    pools.remove(endpoint).unwrap_or_else(|| EndpointPool::new(endpoint.clone()))
                });
                pool.clone()
            });
            upstreams.push(UpstreamPool::new(endpoints.collect()));
        }
        for gone in std::mem::replace(&mut *pools, kept).into_values() {
            self.cells.upstream_closed.add(gone.retire());
        }
        let cells = |kind, name: &str| self.telemetry.traffic(kind, name);
        let connection = snapshot.connection;
        let limits = Limits {
            head_bytes: connection.header_bytes.min(crate::buffer::READ_BYTES),
            fields: connection.header_count,
            target_bytes: connection.target_bytes,
            ..Limits::default()
        };
        View {
            migration_cells: snapshot
                .migrations
                .iter()
                .map(|one| cells(TrafficKind::Migration, &one.name))
                .collect(),
            route_cells: snapshot.routes.iter().map(|one| cells(TrafficKind::Route, &one.name)).collect(),
            answer_limits: Limits { head_bytes: crate::buffer::READ_BYTES, ..Limits::default() },
            force_headers: force_headers(&snapshot),
            any_rules: any_rules(&snapshot),
            limits,
            upstreams,
            snapshot,
        }
    }

    /// How many workers there are.
    pub(crate) fn workers(&self) -> u32 {
        u32::try_from(self.telemetry.worker_count()).unwrap_or(u32::MAX)
    }

    pub(crate) fn random(&self) -> u128 {
        self.random.borrow_mut().u128(..)
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
            ticks += 1;
            if ticks.is_multiple_of(TICKS_PER_SWEEP) {
                self.look();
                let now_ms = self.alarms.now_ms();
                let closed: u64 = self.pools.borrow().values().map(|pool| pool.sweep(now_ms)).sum();
                self.cells.upstream_closed.add(closed);
            }
        }
    }
}

impl View {
    fn empty() -> View {
        View {
            snapshot: Arc::default(),
            limits: Limits::default(),
            answer_limits: Limits::default(),
            upstreams: Vec::new(),
            force_headers: Vec::new(),
            any_rules: false,
            migration_cells: Vec::new(),
            route_cells: Vec::new(),
        }
    }
}

/// Each once. Those that begin with `crossfade-` are removed anyway.
fn force_headers(snapshot: &Snapshot) -> Vec<String> {
    let forcing = snapshot.migrations.iter().filter_map(|migration| migration.force.as_ref());
    let mut names: Vec<String> = forcing.map(|force| force.header.clone()).collect();
    names.retain(|name| !name.starts_with("crossfade-"));
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether any arm or route changes anything in heads.
fn any_rules(snapshot: &Snapshot) -> bool {
    let arms = snapshot.migrations.iter().flat_map(|migration| &migration.rules);
    arms.chain(snapshot.routes.iter().map(|route| &route.rules)).any(|rules| !rules.is_empty())
}

/// One request's surroundings: the worker, and the one snapshot that the request goes by.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) worker: Rc<Worker>,
    pub(crate) view: Rc<View>,
}

impl Site {
    /// The idle connection used last, if one is still good; `once` for a request that cannot be sent a second time.
    pub(crate) fn idle_connection(&self, endpoint: &EndpointPool, once: bool) -> Option<Connection> {
        let mut stale = 0;
        let connection = endpoint.take_idle(once, &mut stale);
        if stale > 0 {
            self.worker.cells.upstream_closed.add(stale);
        }
        if connection.is_some() {
            self.worker.cells.upstream_reuses.inc();
        }
        connection
    }

    /// Counts a request that had no key, which the old arm gets.
    pub(crate) fn count_keyless(&self, plan: &Plan) {
        let keyless = plan.assignment.as_ref().is_some_and(|one| one.reason == Reason::NoKey);
        if keyless
            && let Some(cells) = plan.migration().and_then(|index| self.view.migration_cells.get(index))
        {
            cells.no_key(self.worker.index);
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
    }

    fn kept(&self, target: Target, why: Kept) {
        if let Some(cells) = self.cells(target) {
            cells.kept(self.worker.index, why);
        }
    }
}
