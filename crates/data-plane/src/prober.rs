//! Looks after the upstreams' addresses, once for all workers: resolves names and asks whether endpoints are healthy.
//!
//! A thread of its own, so that nothing of it delays a request. What it finds is one immutable [`Board`]; workers notice
//! another one when they take up their next request. A name is looked up again and again, one lookup at a time; when that
//! fails, its last good addresses stay.

mod check;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::cache::Cache;
use route_plan::{HealthCheck, Snapshot};
use telemetry::{EndpointFacts, SnapshotCell, Telemetry};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{self, JoinHandle, spawn_local};

use crate::board::{Board, Found, Place};

/// How often it looks for another configuration.
const LOOK: Duration = Duration::from_millis(50);
/// How often a name is looked up.
const LOOK_UP: Duration = Duration::from_secs(5);
/// How soon it is looked up again while it has no address.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(1);
/// Findings that may wait; whoever finds more waits too.
const FINDINGS: usize = 256;
/// Names that are looked up at the same time. One that nobody answers for takes its place for many seconds.
const LOOK_UPS: usize = 64;
/// Most addresses of one name that are used.
const ADDRESSES_MAX: usize = 64;

/// Where the workers read what the prober found.
pub(crate) type BoardReader = watch::Receiver<Arc<Board>>;

/// What a task of the prober found out.
enum Finding {
    Addresses(Place, Vec<SocketAddr>),
    NoAddress(Place, String),
    /// With the task that found it.
    Health(Place, SocketAddr, task::Id, bool),
}

/// The prober's own state.
struct Prober {
    published: Cache<Arc<SnapshotCell>, Arc<Snapshot>>,
    seen: Option<Arc<Snapshot>>,
    watched: HashMap<Place, Watched>,
    findings: mpsc::Sender<Finding>,
    board: watch::Sender<Arc<Board>>,
    telemetry: Arc<Telemetry>,
}

/// One endpoint that is looked after.
#[derive(Default)]
struct Watched {
    check: Option<HealthCheck>,
    found: Found,
    resolving: Option<Task>,
    /// The last lookup failed.
    is_lost: bool,
    checking: HashMap<SocketAddr, Task>,
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts the prober's thread; it ends when `stop` is dropped.
pub(crate) fn start(
    snapshots: &Arc<SnapshotCell>,
    telemetry: &Arc<Telemetry>,
    stop: oneshot::Receiver<()>,
) -> std::io::Result<BoardReader> {
    let (board, reader) = watch::channel(Arc::<Board>::default());
    let published = Cache::new(snapshots.clone());
    let telemetry = telemetry.clone();
    std::thread::Builder::new().name("prober".to_owned()).spawn(move || {
        let runtime = match crate::accept::runtime(LOOK_UPS) {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!("health checks and name lookups cannot run: {error}"),
        };
        let (findings, found) = mpsc::channel(FINDINGS);
        let watched = HashMap::new();
        let prober = Prober { published, seen: None, watched, findings, board, telemetry };
        runtime.block_on(prober.run(found, stop));
    })?;
    Ok(reader)
}

impl Prober {
    async fn run(mut self, mut found: mpsc::Receiver<Finding>, mut stop: oneshot::Receiver<()>) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            let mut changed = tokio::select! {
                _ = look.tick() => self.look(),
                Some(finding) = found.recv() => self.take(finding),
                // Nothing is ever sent: it ends when the other half is dropped.
                _ = &mut stop => return,
            };
            // What comes together, as when a whole network fails, is published together.
            while let Ok(finding) = found.try_recv() {
                changed |= self.take(finding);
            }
            if changed {
                self.publish();
            }
        }
    }

    /// Follows the configuration.
    fn look(&mut self) -> bool {
        let latest = self.published.load().clone();
        if self.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &latest)) {
            return false;
        }
        let mut before = std::mem::take(&mut self.watched);
        for upstream in &latest.upstreams {
            let name: Arc<str> = Arc::from(upstream.name.as_str());
            for endpoint in &upstream.endpoints {
                let place = (name.clone(), endpoint.clone());
                let mut watched = before.remove(&place).unwrap_or_else(|| self.watch(&place));
                watched.check_by(&place, upstream.health.as_ref(), &self.findings);
                self.watched.insert(place, watched);
            }
        }
        self.seen = Some(latest);
        true
    }

    fn watch(&self, place: &Place) -> Watched {
        let mut watched = Watched::default();
        match place.1.addr {
            Some(address) => watched.move_to(place, vec![address], &self.findings),
            None => {
                let task = spawn_local(resolve(place.clone(), self.findings.clone()));
                watched.resolving = Some(Task(task));
            }
        }
        watched
    }

    /// Takes in a finding. `true` when it changes what is known.
    fn take(&mut self, finding: Finding) -> bool {
        match finding {
            Finding::Addresses(place, mut addresses) => {
                addresses.sort_unstable();
                addresses.dedup();
                addresses.truncate(ADDRESSES_MAX);
                let Some(watched) = self.watched.get_mut(&place) else { return false };
                if std::mem::take(&mut watched.is_lost) {
                    tracing::info!("{}: {} can be looked up again", place.0, place.1.authority);
                }
                let before = watched.found.clone();
                watched.move_to(&place, addresses, &self.findings);
                before != watched.found
            }
            Finding::NoAddress(place, why) => {
                let Some(watched) = self.watched.get_mut(&place) else { return false };
                if !std::mem::replace(&mut watched.is_lost, true) {
                    tracing::warn!("{}: {} cannot be looked up: {why}", place.0, place.1.authority);
                }
                let first = watched.found == Found::Unknown;
                if first {
                    watched.found = Found::Nowhere;
                }
                first
            }
            Finding::Health(place, address, by, healthy) => {
                let Some(watched) = self.watched.get_mut(&place) else { return false };
                // A check that has been replaced by another one has no say any more.
                if watched.checking.get(&address).is_none_or(|task| task.0.id() != by) {
                    return false;
                }
                let Found::At(addresses) = &mut watched.found else { return false };
                let Some(known) = addresses.iter_mut().find(|known| known.0 == address) else { return false };
                std::mem::replace(&mut known.1, healthy) != healthy
            }
        }
    }

    fn publish(&self) {
        let found = self.watched.iter().map(|(place, watched)| (place.clone(), watched.found.clone()));
        self.board.send_replace(Arc::new(Board::new(found.collect())));
        let mut facts = Vec::new();
        for upstream in self.seen.iter().flat_map(|seen| &seen.upstreams) {
            for endpoint in &upstream.endpoints {
                let place = (Arc::from(upstream.name.as_str()), endpoint.clone());
                let found = self.watched.get(&place).map(|watched| &watched.found);
                let fact = |endpoint: String, healthy| EndpointFacts {
                    upstream: upstream.name.clone(),
                    endpoint,
                    healthy,
                };
                match found {
                    Some(Found::At(addresses)) => {
                        facts.extend(
                            addresses.iter().map(|(address, healthy)| fact(address.to_string(), *healthy)),
                        );
                    }
                    _ => facts.push(fact(endpoint.authority.clone(), false)),
                }
            }
        }
        self.telemetry.publish_endpoints(facts);
    }
}

impl Watched {
    /// It is checked like this from now on. What is known of it stays, and so does its health while it is checked.
    fn check_by(&mut self, place: &Place, check: Option<&HealthCheck>, findings: &mpsc::Sender<Finding>) {
        if self.check.as_ref() == check {
            return;
        }
        self.check = check.cloned();
        self.checking.clear();
        let Found::At(known) = &mut self.found else { return };
        for (_, healthy) in known.iter_mut().filter(|_| check.is_none()) {
            *healthy = true;
        }
        let addresses = known.iter().map(|known| known.0).collect();
        self.move_to(place, addresses, findings);
    }

    /// The endpoint has these addresses now. Those that it had keep their health, new ones count as healthy.
    fn move_to(&mut self, place: &Place, addresses: Vec<SocketAddr>, findings: &mpsc::Sender<Finding>) {
        let before = match std::mem::take(&mut self.found) {
            Found::At(before) => before,
            Found::Unknown | Found::Nowhere => Vec::new(),
        };
        let health =
            |address: SocketAddr| before.iter().find(|known| known.0 == address).is_none_or(|known| known.1);
        self.checking.retain(|address, _| addresses.contains(address));
        if let Some(check) = &self.check {
            for &address in &addresses {
                self.checking.entry(address).or_insert_with(|| {
                    let healthy = health(address);
                    let run = check::run(place.clone(), address, check.clone(), healthy, findings.clone());
                    Task(spawn_local(run))
                });
            }
        }
        self.found = Found::At(addresses.into_iter().map(|address| (address, health(address))).collect());
    }
}

/// Looks a name up again and again.
async fn resolve(place: Place, findings: mpsc::Sender<Finding>) {
    loop {
        let looked_up = tokio::net::lookup_host((place.1.host.as_str(), place.1.port)).await;
        let addresses: Result<Vec<SocketAddr>, String> =
            looked_up.map(Iterator::collect).map_err(|error| error.to_string());
        let (finding, pause) = match addresses {
            Ok(addresses) if !addresses.is_empty() => (Finding::Addresses(place.clone(), addresses), LOOK_UP),
            Ok(_) => (Finding::NoAddress(place.clone(), "the name has no address".to_owned()), LOOK_UP_AGAIN),
            Err(why) => (Finding::NoAddress(place.clone(), why), LOOK_UP_AGAIN),
        };
        if findings.send(finding).await.is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests;
