//! Whether a copy can be made, decided by the worker that serves the request, in a few loads.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use migration_glue::copies::{COPY_BYTES, Holds, PROBE_MS, Rate};
use route_plan::{Compares, NotCopied, ShadowPolicy, Snapshot, UpstreamLimits};
use telemetry::{MAX_TRAFFIC_NAMES, Memory, Side, SnapshotCell, Telemetry};
use tokio::sync::mpsc::error::TrySendError;
use traffic_split::Arm;

use super::account::{Slot, Track, Tracks};
use super::capture::Held;
use super::job::Job;
use super::lane::{self, LaneEnd, LaneParts};
use super::lanes::Lanes;
use crate::alarm::TICK_MS;
use crate::prober::BoardReader;

/// One migration's copies, as one worker decides about them.
pub(crate) struct Desk {
    pub(crate) track: Arc<Track>,
    /// For the record of what copying does to users.
    pub(crate) memory: RefCell<Memory>,
    rate: Rate,
    /// When one more copy is let through to an arm that fails them, by arm, on the worker's clock.
    probe_at_ms: [Cell<u64>; 2],
}

/// A copy may be made.
pub(crate) struct Pass {
    pub(crate) held: Held,
    pub(crate) is_probe: bool,
}

/// What a worker needs for its copies.
pub(crate) struct Copier {
    parts: CopierParts,
    tracks: Arc<Tracks>,
    desks: RefCell<HashMap<String, Rc<Desk>>>,
    lane: RefCell<Option<LaneEnd>>,
}

pub(crate) struct CopierParts {
    pub(crate) index: usize,
    pub(crate) workers: u32,
    pub(crate) snapshots: Arc<SnapshotCell>,
    pub(crate) board: BoardReader,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) compares: Option<Arc<dyn Compares>>,
    pub(crate) lanes: Arc<Lanes>,
}

impl Copier {
    pub(crate) fn new(parts: CopierParts) -> Copier {
        let tracks = Tracks::new(parts.index, parts.telemetry.clone());
        Copier { parts, tracks, desks: RefCell::default(), lane: RefCell::default() }
    }

    /// The desks of the migrations that have a shadow, in their order. The first shadow starts the lane.
    pub(crate) fn follow(&self, snapshot: &Snapshot) -> Vec<Option<Rc<Desk>>> {
        let wanted = snapshot.migrations.iter().any(|one| one.shadow.is_some());
        if wanted {
            self.start_lane();
        }
        let desk = |one: &route_plan::Migration| one.shadow.is_some().then(|| self.desk(&one.name));
        if wanted { snapshot.migrations.iter().map(desk).collect() } else { Vec::new() }
    }

    fn desk(&self, migration: &str) -> Rc<Desk> {
        let mut desks = self.desks.borrow_mut();
        if let Some(desk) = desks.get(migration) {
            return desk.clone();
        }
        let desk = Rc::new(Desk {
            track: self.tracks.of(migration),
            memory: RefCell::default(),
            rate: Rate::by_ticks_of(TICK_MS),
            probe_at_ms: Default::default(),
        });
        if desks.len() < MAX_TRAFFIC_NAMES {
            desks.insert(migration.to_owned(), desk.clone());
        }
        desk
    }

    fn start_lane(&self) {
        let mut lane = self.lane.borrow_mut();
        if lane.as_ref().is_some_and(|lane| !lane.jobs.is_closed()) {
            return;
        }
        let parts = &self.parts;
        let started = lane::start(
            LaneParts {
                index: parts.index,
                workers: parts.workers,
                snapshots: parts.snapshots.clone(),
                board: parts.board.clone(),
                telemetry: parts.telemetry.clone(),
                tracks: self.tracks.clone(),
                compares: parts.compares.clone(),
            },
            &parts.lanes,
        );
        match started {
            Ok(started) => *lane = Some(started),
            Err(error) => tracing::error!(
                worker = parts.index,
                "no copies are sent for the requests of worker {}: its lane cannot be started: {error}",
                parts.index
            ),
        }
    }

    /// Whether a copy may be made now. `is_healthy`: the arm has an endpoint that is.
    pub(crate) fn admit(
        &self,
        desk: &Desk,
        policy: &ShadowPolicy,
        arm: Arm,
        now_ms: u64,
        is_healthy: bool,
    ) -> Result<Pass, NotCopied> {
        let lane = self.lane.borrow();
        let Some(lane) = lane.as_ref() else { return Err(NotCopied::QueueFull) };
        if !is_healthy {
            return Err(NotCopied::TargetDown);
        }
        let is_probe = desk.track.is_shut(arm);
        if is_probe && !desk.is_time_to_probe(arm, now_ms) {
            return Err(NotCopied::TargetDown);
        }
        if desk.track.under_way() >= self.share(policy.concurrency) {
            return Err(NotCopied::Concurrency);
        }
        self.parts.compares.as_ref().map_or(Ok(()), |compares| compares.room())?;
        if !desk.rate.take(self.share(policy.per_second), now_ms) {
            return Err(NotCopied::Rate);
        }
        let mut held = Held::nothing(&lane.cells);
        if !held.grow(COPY_BYTES) {
            return Err(NotCopied::Memory);
        }
        desk.probed(arm, now_ms);
        Ok(Pass { held, is_probe })
    }

    /// Counts a copy among those under way, if there may be one more.
    pub(crate) fn slot(&self, desk: &Desk, policy: &ShadowPolicy) -> Option<Slot> {
        Slot::take(&desk.track, self.share(policy.concurrency))
    }

    /// Memory of the lane, of which nothing is taken yet.
    pub(crate) fn memory(&self) -> Option<Held> {
        self.lane.borrow().as_ref().map(|lane| Held::nothing(&lane.cells))
    }

    /// Hands a copy to the lane, and tells whether it has it. Never waits.
    pub(crate) fn send(&self, mut job: Box<Job>) -> bool {
        let lane = self.lane.borrow();
        let Some(lane) = lane.as_ref() else {
            job.close(NotCopied::QueueFull);
            return false;
        };
        if let Some(account) = &mut job.account {
            account.pass_to(Side::Between, NotCopied::Ended);
        }
        let (mut job, why) = match lane.jobs.try_send(job) {
            Ok(()) => {
                lane.cells.queued.inc();
                return true;
            }
            Err(TrySendError::Full(job)) => (job, NotCopied::QueueFull),
            Err(TrySendError::Closed(job)) => (job, NotCopied::Ended),
        };
        if let Some(account) = &mut job.account {
            account.pass_to(Side::Worker, why);
        }
        false
    }

    /// Frees what the lane is done with.
    pub(crate) fn collect(&self) {
        if let Some(lane) = self.lane.borrow().as_ref() {
            let mut spent = lane.spent.borrow_mut();
            while let Ok(job) = spent.pop() {
                drop(job);
            }
        }
    }

    /// Limits are the process's: each worker has its part, rounded up.
    fn share(&self, total: u32) -> u32 {
        if total == 0 {
            return 0;
        }
        u32::try_from(UpstreamLimits::share(total as usize, self.parts.workers as usize)).unwrap_or(u32::MAX)
    }
}

impl Desk {
    fn is_time_to_probe(&self, arm: Arm, now_ms: u64) -> bool {
        self.probe_at_ms.get(arm.index()).is_some_and(|at_ms| now_ms >= at_ms.get())
    }

    fn probed(&self, arm: Arm, now_ms: u64) {
        if let Some(at_ms) = self.probe_at_ms.get(arm.index()) {
            at_ms.set(now_ms.saturating_add(PROBE_MS));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::RwLock;
    use std::time::Instant;

    use route_plan::{Asked, FieldLines};
    use tokio::sync::{mpsc, oneshot, watch};

    use super::*;
    use crate::copies::account::Account;
    use crate::copies::job::{CopyLimits, Message, Road, ServedBy};

    /// A copier whose lane takes nothing out of its queue, which has room for two.
    fn stuck(telemetry: &Arc<Telemetry>) -> (Copier, mpsc::Receiver<Box<Job>>) {
        let copier = Copier::new(CopierParts {
            index: 0,
            workers: 1,
            snapshots: Arc::new(SnapshotCell::with_strategy(Arc::default(), RwLock::default())),
            board: watch::channel(Arc::default()).1,
            telemetry: telemetry.clone(),
            compares: None,
            lanes: Lanes::new(),
        });
        let (jobs, waiting) = mpsc::channel(2);
        let (_, spent) = rtrb::RingBuffer::new(1);
        let spent = spent.into();
        *copier.lane.borrow_mut() = Some(LaneEnd { jobs, spent, cells: telemetry.lane(0) });
        (copier, waiting)
    }

    fn copy(copier: &Copier, desk: &Desk, pass: Pass) -> Option<Box<Job>> {
        let slot = copier.slot(desk, &ShadowPolicy::default())?;
        Some(Box::new(Job {
            account: Some(Account::open(desk.track.clone())),
            slot: Some(slot),
            _held: pass.held,
            road: Road { lent: Arc::default(), migration: 0, arm: Arm::New },
            is_probe: pass.is_probe,
            message: Message::new(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), true),
            heads: None,
            asked: Asked {
                migration: desk.track.name.clone(),
                served: Arm::Old,
                method: Box::default(),
                host: Box::default(),
                target: Box::default(),
                request_id: Box::default(),
                fields: FieldLines::new(),
                content: Box::default(),
                key: 0,
                at_ms: 0,
            },
            limits: CopyLimits {
                capture_bytes: 0,
                deadline_ms: 0,
                connect_ms: 0,
                max_failures: None,
                fail_after_ms: None,
            },
            at: Instant::now(),
            served: ServedBy::Later(oneshot::channel().1),
        }))
    }

    #[test]
    fn a_lane_that_does_not_keep_up_is_not_waited_for() {
        let telemetry = Telemetry::new(1);
        let (copier, waiting) = stuck(&telemetry);
        let desk = copier.desk("shop");
        let policy = ShadowPolicy::default();
        let sent: Vec<bool> = (0..5)
            .map(|_| {
                let pass = copier.admit(&desk, &policy, Arm::New, 0, true);
                let pass = pass.unwrap_or_else(|why| panic!("{why}"));
                copy(&copier, &desk, pass).is_some_and(|job| copier.send(job))
            })
            .collect();
        assert_eq!(sent, [true, true, false, false, false]);
        let shadow = telemetry.shadow("shop");
        assert_eq!(shadow.totals().dropped_for(NotCopied::QueueFull), 3);
        assert_eq!((desk.track.under_way(), telemetry.lane(0).memory()), (2, 2 * COPY_BYTES));
        drop(waiting);
        assert_eq!(shadow.totals().dropped_for(NotCopied::Ended), 2, "what waited has ended");
        assert_eq!((desk.track.under_way(), telemetry.lane(0).memory()), (0, 0));
        let pass = copier.admit(&desk, &policy, Arm::New, 0, true).unwrap_or_else(|why| panic!("{why}"));
        assert!(!copy(&copier, &desk, pass).is_some_and(|job| copier.send(job)));
        assert_eq!(shadow.totals().dropped_for(NotCopied::Ended), 3);
    }

    #[test]
    fn what_cannot_be_is_told_at_once() {
        let telemetry = Telemetry::new(1);
        let (copier, _waiting) = stuck(&telemetry);
        let desk = copier.desk("shop");
        let policy = ShadowPolicy { concurrency: 1, ..ShadowPolicy::default() };
        let admit = |now_ms, is_healthy| copier.admit(&desk, &policy, Arm::New, now_ms, is_healthy).err();
        assert_eq!(admit(0, false), Some(NotCopied::TargetDown));
        assert_eq!(admit(0, true), None);
        let slot = copier.slot(&desk, &policy);
        assert_eq!(admit(0, true), Some(NotCopied::Concurrency));
        drop(slot);
        assert!(telemetry.lane(0).take_memory(telemetry.lane(0).memory_limit()));
        assert_eq!(admit(0, true), Some(NotCopied::Memory));
        telemetry.lane(0).give_memory_back(telemetry.lane(0).memory_limit());
        // An arm that fails copies gets one now and then.
        let half = Some("50".parse().unwrap());
        assert!((0..10).any(|_| desk.track.note(Arm::New, true, half).is_some()));
        let probed: Vec<u64> =
            (0..40).map(|tick| tick * 100).filter(|&at| admit(at, true).is_none()).collect();
        assert_eq!(probed, [1_000, 2_000, 3_000]);
        *copier.lane.borrow_mut() = None;
        assert_eq!(admit(9_000, true), Some(NotCopied::QueueFull));
    }
}
