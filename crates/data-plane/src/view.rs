//! One snapshot as one worker sees it, with the worker's own cells and connections beside it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use http1_codec::Limits;
use route_plan::{AnswerFailures, Endpoint, Migration, Plan, Rules, Snapshot};
use telemetry::{
    EvidenceCells, MAX_TRAFFIC_NAMES, Memory, Telemetry, TrafficCells, TrafficKind, WorkerCells,
};
use traffic_split::Arm;

use crate::board::{Board, Found};
use crate::buffer::READ_BYTES;
use crate::copies::{Copier, Desk, Lent};
use crate::upstream::{Member, Names, UpstreamPool, Usage};

/// What a request goes by from its admission to its end.
pub(crate) struct View {
    pub(crate) snapshot: Arc<Snapshot>,
    /// How often this worker has seen users moved by then.
    pub(crate) moves: u64,
    pub(crate) limits: Limits,
    pub(crate) answer_limits: Limits,
    pub(crate) upstreams: Vec<UpstreamPool>,
    /// The headers by which clients may force an arm, of all migrations: no backend sees any of them, since the value
    /// may be a secret.
    pub(crate) force_headers: Vec<String>,
    /// Whether any arm or route changes heads. Seldom, so that most requests need not ask theirs.
    any_rules: bool,
    /// Whether any migration says which answers are failures. Seldom, too.
    any_failures: bool,
    pub(crate) migration_cells: Vec<Arc<TrafficCells>>,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) route_cells: Vec<Arc<TrafficCells>>,
    /// Where it is decided about copies, by migration; empty where none has a shadow.
    pub(crate) desks: Vec<Option<Rc<Desk>>>,
    /// The snapshot for this worker's lane.
    pub(crate) lent: Arc<Lent>,
}

impl View {
    pub(crate) fn empty() -> View {
        View {
            snapshot: Arc::default(),
            moves: 0,
            limits: Limits::default(),
            answer_limits: Limits::default(),
            upstreams: Vec::new(),
            force_headers: Vec::new(),
            any_rules: false,
            any_failures: false,
            migration_cells: Vec::new(),
            evidence: Vec::new(),
            route_cells: Vec::new(),
            desks: Vec::new(),
            lent: Arc::default(),
        }
    }

    /// The view of a snapshot. Connections and records of upstreams that it keeps are taken over from `stock`.
    pub(crate) fn build(
        snapshot: Arc<Snapshot>,
        board: &Board,
        stock: &Stock,
        copier: &Copier,
        telemetry: &Telemetry,
        now_ms: u64,
    ) -> View {
        let cells = |kind, name: &str| telemetry.traffic(kind, name);
        let connection = snapshot.connection;
        let limits = Limits {
            head_bytes: connection.header_bytes.min(READ_BYTES),
            fields: connection.header_count,
            target_bytes: connection.target_bytes,
            ..Limits::default()
        };
        let migrations = snapshot.migrations.iter();
        let evidence = snapshot.migrations.iter().map(|one| stock.evidence(&one.name, telemetry));
        let routes = snapshot.routes.iter();
        View {
            migration_cells: migrations.map(|one| cells(TrafficKind::Migration, &one.name)).collect(),
            evidence: evidence.collect(),
            route_cells: routes.map(|one| cells(TrafficKind::Route, &one.name)).collect(),
            answer_limits: Limits { head_bytes: READ_BYTES, ..Limits::default() },
            force_headers: force_headers(&snapshot),
            any_rules: any_rules(&snapshot),
            any_failures: snapshot.migrations.iter().any(|one| one.failures != AnswerFailures::default()),
            upstreams: stock.pools(&snapshot, board, now_ms),
            desks: copier.follow(&snapshot),
            lent: Arc::new(Lent(snapshot.clone())),
            moves: 0,
            limits,
            snapshot,
        }
    }

    /// Takes the place of another one: counts on when a percentage is not what it was, or the time is not that tunnels
    /// and streams have after it was lowered.
    pub(crate) fn follow(&mut self, before: &View) {
        let places = |snapshot: &Snapshot| -> Vec<_> {
            let place = |one: &Migration| (one.lineage, one.split.percent, one.drain_after_rollback_ms);
            snapshot.migrations.iter().map(place).collect()
        };
        let moved = places(&self.snapshot) != places(&before.snapshot);
        self.moves = before.moves + u64::from(moved);
    }

    /// Where a migration is in this view's snapshot, whatever it is called.
    pub(crate) fn position(&self, lineage: u64) -> Option<usize> {
        self.snapshot.migrations.iter().position(|migration| migration.lineage == lineage)
    }

    /// What is changed in the messages of this attempt; `None` when nothing is.
    pub(crate) fn rules(&self, plan: &Plan) -> Option<&Rules> {
        if !self.any_rules {
            return None;
        }
        plan.rules(&self.snapshot).filter(|rules| !rules.is_empty())
    }

    /// What is changed in the messages of an arm of a migration; `None` when nothing is.
    pub(crate) fn rules_of(&self, migration: usize, arm: Arm) -> Option<&Rules> {
        let rules = self.snapshot.migrations.get(migration)?.rules.get(arm.index())?;
        (!rules.is_empty()).then_some(rules)
    }

    /// Which answers to this attempt are failures; `None` where that is the usual ones.
    pub(crate) fn failures(&self, plan: &Plan) -> Option<&AnswerFailures> {
        if !self.any_failures {
            return None;
        }
        plan.migration().and_then(|index| self.snapshot.migrations.get(index)).map(|one| &one.failures)
    }
}

/// Whether any arm or route changes anything in heads.
fn any_rules(snapshot: &Snapshot) -> bool {
    let arms = snapshot.migrations.iter().flat_map(|migration| &migration.rules);
    arms.chain(snapshot.routes.iter().map(|route| &route.rules)).any(|rules| !rules.is_empty())
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

/// What one migration is judged by, as this worker counts it.
#[derive(Clone)]
pub(crate) struct Evidence {
    pub(crate) cells: Arc<EvidenceCells>,
    pub(crate) memory: Rc<RefCell<Memory>>,
}

/// What outlives a view: usage and members of each upstream, by its name.
pub(crate) struct Stock {
    evidence: RefCell<HashMap<String, Evidence>>,
    upstreams: RefCell<HashMap<String, Kept>>,
    cells: Arc<WorkerCells>,
    workers: u32,
}

#[derive(Default)]
struct Kept {
    usage: Rc<Usage>,
    members: HashMap<(Endpoint, SocketAddr), Rc<Member>>,
}

impl Stock {
    pub(crate) fn new(cells: Arc<WorkerCells>, workers: u32) -> Stock {
        Stock { evidence: RefCell::default(), upstreams: RefCell::default(), cells, workers }
    }

    /// The evidence of a migration, with what this worker remembers of its keys: also when it was gone for a while.
    fn evidence(&self, migration: &str, telemetry: &Telemetry) -> Evidence {
        let mut known = self.evidence.borrow_mut();
        if let Some(evidence) = known.get(migration) {
            return evidence.clone();
        }
        let evidence = Evidence { cells: telemetry.evidence(migration), memory: Rc::default() };
        // Names come from the configuration; thousands of reloads that each rename something end here.
        if known.len() < MAX_TRAFFIC_NAMES {
            known.insert(migration.to_owned(), evidence.clone());
        }
        evidence
    }

    pub(crate) fn pools(&self, snapshot: &Snapshot, board: &Board, now_ms: u64) -> Vec<UpstreamPool> {
        let mut before = self.upstreams.borrow_mut();
        let mut kept = HashMap::new();
        let mut pools = Vec::with_capacity(snapshot.upstreams.len());
        for upstream in &snapshot.upstreams {
            let was = before.remove(&upstream.name);
            let mut was =
                was.unwrap_or_else(|| Kept { usage: Usage::new(self.cells.clone()), ..Kept::default() });
            let usage = was.usage.clone();
            usage.set_limits(&upstream.limits, self.workers);
            let (members, names) = members(upstream, board, &mut was, now_ms);
            retire(was.members.into_values());
            let listed = members.iter().map(|one| ((one.endpoint.clone(), one.address), one.clone()));
            let now = Kept { usage: usage.clone(), members: listed.collect() };
            kept.insert(upstream.name.clone(), now);
            pools.push(UpstreamPool::new(members, names, usage, upstream));
        }
        for gone in std::mem::replace(&mut *before, kept).into_values() {
            retire(gone.members.into_values());
        }
        pools
    }

    /// Closes all idle connections.
    pub(crate) fn close_idle(&self) {
        for kept in self.upstreams.borrow().values() {
            kept.members.values().for_each(|member| member.close_idle());
        }
    }

    /// Closes connections that have been idle for too long.
    pub(crate) fn sweep(&self, now_ms: u64) {
        for kept in self.upstreams.borrow().values() {
            kept.members.values().for_each(|member| member.sweep(now_ms));
        }
    }
}

/// An upstream's members as the board has them, those known before taken out of `was`.
fn members(
    upstream: &route_plan::Upstream,
    board: &Board,
    was: &mut Kept,
    now_ms: u64,
) -> (Vec<Rc<Member>>, Names) {
    let slow_start_ms = upstream.ejection.map_or(0, |ejection| ejection.slow_start_ms);
    let mut members: Vec<Rc<Member>> = Vec::with_capacity(upstream.endpoints.len());
    let mut names = Names::Known;
    for endpoint in &upstream.endpoints {
        let addresses = match board.find(&upstream.name, endpoint) {
            Found::At(addresses) => addresses,
            Found::Unknown => {
                names = Names::Unknown;
                continue;
            }
            Found::Nowhere => {
                if names == Names::Known {
                    names = Names::NotFound;
                }
                continue;
            }
        };
        for (address, healthy) in addresses {
            let known = was.members.remove(&(endpoint.clone(), address));
            let member = known.unwrap_or_else(|| Member::new(endpoint.clone(), address, was.usage.clone()));
            member.set_healthy(healthy, now_ms, slow_start_ms);
            members.push(member);
        }
    }
    (members, names)
}

fn retire(members: impl Iterator<Item = Rc<Member>>) {
    members.for_each(|member| member.retire());
}
