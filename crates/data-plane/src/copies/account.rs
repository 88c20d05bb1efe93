//! What a worker and its lane share of one migration's copies, and the account that each request is closed by.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use migration_glue::copies::{Breaker, Turn};
use route_plan::NotCopied;
use telemetry::{
    EvidenceCells, MAX_TRAFFIC_NAMES, Memory, ShadowCells, Side, Telemetry, TrafficCells, TrafficKind,
};
use traffic_split::{Arm, Percent};

/// One migration's copies, as one worker and its lane see them. No other thread has it, so that counts of its users stay
/// between the two.
pub(crate) struct Track {
    pub(crate) name: Arc<str>,
    pub(crate) worker: usize,
    pub(crate) cells: Arc<ShadowCells>,
    pub(crate) traffic: Arc<TrafficCells>,
    pub(crate) effect: Arc<EvidenceCells>,
    evidence: Arc<EvidenceCells>,
    under_way: AtomicU32,
    /// By arm: copies to it fail, so that hardly any are sent.
    shut: [AtomicBool; 2],
    lane: Mutex<LaneSide>,
}

/// What the lane alone uses.
#[derive(Default)]
struct LaneSide {
    breakers: [Breaker; 2],
    memory: Memory,
}

impl Track {
    fn new(name: &str, worker: usize, telemetry: &Telemetry) -> Track {
        Track {
            name: Arc::from(name),
            worker,
            cells: telemetry.shadow(name),
            traffic: telemetry.traffic(TrafficKind::Migration, name),
            effect: telemetry.shadow_effect(name),
            evidence: telemetry.shadow_evidence(name),
            under_way: AtomicU32::new(0),
            shut: [AtomicBool::new(false), AtomicBool::new(false)],
            lane: Mutex::default(),
        }
    }

    /// Whether hardly any copies go to this arm, because they fail.
    pub(crate) fn is_shut(&self, arm: Arm) -> bool {
        self.shut.get(arm.index()).is_some_and(|shut| shut.load(Ordering::Relaxed))
    }

    /// Copies under way.
    pub(crate) fn under_way(&self) -> u32 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// A copy to this arm was answered, or failed. By the lane.
    pub(crate) fn note(&self, arm: Arm, failed: bool, most: Option<Percent>) -> Option<Turn> {
        let mut lane = self.lane();
        let breaker = lane.breakers.get_mut(arm.index())?;
        let turn = breaker.note(failed, most);
        if let Some(shut) = self.shut.get(arm.index()) {
            shut.store(breaker.is_open(), Ordering::Relaxed);
        }
        turn
    }

    /// Records both legs of one request. By the lane.
    pub(crate) fn record_pair(&self, legs: [&route_plan::Observation; 2]) {
        let mut lane = self.lane();
        for leg in legs {
            if let Some(arm) = leg.arm {
                self.evidence.record_as(self.worker, &mut lane.memory, arm, leg);
            }
        }
    }

    fn lane(&self) -> MutexGuard<'_, LaneSide> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tracks of one worker and its lane, by migration.
pub(crate) struct Tracks {
    worker: usize,
    telemetry: Arc<Telemetry>,
    known: Mutex<HashMap<Box<str>, Arc<Track>>>,
}

impl Tracks {
    pub(crate) fn new(worker: usize, telemetry: Arc<Telemetry>) -> Arc<Tracks> {
        Arc::new(Tracks { worker, telemetry, known: Mutex::default() })
    }

    /// The one of this migration, also when it was gone for a while.
    pub(crate) fn of(&self, migration: &str) -> Arc<Track> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(track) = known.get(migration) {
            return track.clone();
        }
        let track = Arc::new(Track::new(migration, self.worker, &self.telemetry));
        // Names come from the configuration; thousands of reloads that each rename something end here.
        if known.len() < MAX_TRAFFIC_NAMES {
            known.insert(migration.into(), track.clone());
        }
        track
    }
}

/// One request of a migration with a shadow, which is counted exactly once: when this is dropped, at the latest.
pub(crate) struct Account {
    track: Arc<Track>,
    side: Side,
    why: NotCopied,
    is_open: bool,
}

impl Account {
    /// Of a request that this worker has taken up. Unless more is said, the process ended over it.
    pub(crate) fn open(track: Arc<Track>) -> Account {
        Account { track, side: Side::Worker, why: NotCopied::Ended, is_open: true }
    }

    pub(crate) fn track(&self) -> &Arc<Track> {
        &self.track
    }

    /// Now this side has it, and this is what it is counted as if nothing more is said.
    pub(crate) fn pass_to(&mut self, side: Side, why: NotCopied) {
        (self.side, self.why) = (side, why);
    }

    /// It was not copied, or is not compared.
    pub(crate) fn close(mut self, why: NotCopied) {
        self.why = why;
    }

    /// Both answers were handed over.
    pub(crate) fn close_with_pair(mut self) {
        self.is_open = false;
        self.track.cells.pair(self.track.worker);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if self.is_open {
            self.track.cells.dropped(self.track.worker, self.side, self.why);
        }
    }
}

/// One copy under way, counted for as long as it lives.
pub(crate) struct Slot(Arc<Track>);

impl Slot {
    /// `None`: there are as many as may be.
    pub(crate) fn take(track: &Arc<Track>, most: u32) -> Option<Slot> {
        let slot = Slot(track.clone());
        (track.under_way.fetch_add(1, Ordering::Relaxed) < most).then_some(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_counted_once_by_whoever_has_it_last() {
        let telemetry = Telemetry::new(1);
        let track = Tracks::new(0, telemetry.clone()).of("shop");
        Account::open(track.clone()).close(NotCopied::Rate);
        drop(Account::open(track.clone()));
        Account::open(track.clone()).close_with_pair();
        let mut passed = Account::open(track.clone());
        passed.pass_to(Side::Between, NotCopied::Ended);
        drop(passed);
        let mut passed = Account::open(track);
        passed.pass_to(Side::Lane, NotCopied::Ended);
        passed.close(NotCopied::Slow);
        let totals = telemetry.shadow("shop").totals();
        assert_eq!((totals.requests(), totals.pairs), (5, 1));
        for (why, count) in [(NotCopied::Rate, 1), (NotCopied::Ended, 2), (NotCopied::Slow, 1)] {
            assert_eq!(totals.dropped_for(why), count, "{why}");
        }
    }

    #[test]
    fn slots_have_an_end() {
        let track = Tracks::new(0, Telemetry::new(1)).of("shop");
        let held: Vec<Option<Slot>> = (0..3).map(|_| Slot::take(&track, 2)).collect();
        assert!(held[0].is_some() && held[1].is_some() && held[2].is_none());
        assert_eq!(track.under_way(), 2);
        drop(held);
        assert_eq!(track.under_way(), 0);
    }
}
