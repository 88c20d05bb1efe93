//! What all copies of one service share: their limits, and the counts that each request ends in.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use route_plan::{Compares, NotCopied, Observation, ShadowPolicy};
use traffic_split::{Arm, Percent};

use super::Observer;
use super::runtime::{Runtime, Task};
use crate::copies::{Breaker, COPY_BYTES, Holds, PROBE_MS, Rate};

const REASONS: usize = NotCopied::ALL.len();

/// The copies of one service.
pub(super) struct Copies {
    /// The migration's name.
    pub(super) name: Arc<str>,
    pub(super) compares: Arc<dyn Compares>,
    pub(super) runtime: Arc<dyn Runtime>,
    observer: Option<Arc<Observer>>,
    memory_limit_bytes: usize,
    memory_bytes: AtomicUsize,
    under_way: AtomicU32,
    gate: Mutex<Gate>,
    dropped: [AtomicU64; REASONS],
    pairs: AtomicU64,
    began: Instant,
}

/// What is looked at and changed in one go.
struct Gate {
    rate: Rate,
    breakers: [Breaker; 2],
    /// When one more copy is let through to an arm that fails them, by arm.
    probe_at_ms: [u64; 2],
}

/// A copy may be made.
pub(super) struct Pass {
    pub(super) held: Held,
    pub(super) is_probe: bool,
}

impl Copies {
    pub(super) fn new(
        name: &str,
        runtime: Arc<dyn Runtime>,
        compares: Arc<dyn Compares>,
        memory_limit_bytes: usize,
        observer: Option<Arc<Observer>>,
    ) -> Copies {
        Copies {
            name: name.into(),
            compares,
            observer,
            memory_limit_bytes,
            memory_bytes: AtomicUsize::new(0),
            under_way: AtomicU32::new(0),
            gate: Mutex::new(Gate {
                rate: Rate::by_ticks_of(1),
                breakers: Default::default(),
                probe_at_ms: [0; 2],
            }),
            dropped: std::array::from_fn(|_| AtomicU64::new(0)),
            pairs: AtomicU64::new(0),
            began: runtime.now(),
            runtime,
        }
    }

    /// Whether a copy may be made now, with `bytes` beside what every copy takes. Asks in the order in which the proxy does.
    pub(super) fn admit(
        self: &Arc<Self>,
        policy: &ShadowPolicy,
        arm: Arm,
        bytes: usize,
    ) -> Result<Pass, NotCopied> {
        let now_ms = self.now_ms();
        self.gate().probe(arm, now_ms)?;
        if self.under_way.load(Ordering::Relaxed) >= policy.concurrency {
            return Err(NotCopied::Concurrency);
        }
        // Whoever compares is not ours, and its panic must not become the caller's.
        catch_unwind(AssertUnwindSafe(|| self.compares.room())).unwrap_or(Err(NotCopied::Incomparable))?;
        let mut gate = self.gate();
        // Another one may have been let through meanwhile.
        let is_probe = gate.probe(arm, now_ms)?;
        if !gate.rate.take(policy.per_second, now_ms) {
            return Err(NotCopied::Rate);
        }
        let mut held = self.memory();
        if !held.grow(COPY_BYTES.saturating_add(bytes)) {
            return Err(NotCopied::Memory);
        }
        if let Some(at_ms) = gate.probe_at_ms.get_mut(arm.index()) {
            *at_ms = now_ms.saturating_add(PROBE_MS);
        }
        Ok(Pass { held, is_probe })
    }

    /// Memory of which nothing is taken yet.
    pub(super) fn memory(self: &Arc<Self>) -> Held {
        Held { copies: self.clone(), bytes: 0 }
    }

    /// One more copy under way; `None`: there are as many as may be.
    pub(super) fn slot(self: &Arc<Self>, most: u32) -> Option<Slot> {
        let slot = Slot(self.clone());
        (self.under_way.fetch_add(1, Ordering::Relaxed) < most).then_some(slot)
    }

    /// Whether hardly any copies go to this arm, because they fail.
    pub(super) fn is_shut(&self, arm: Arm) -> bool {
        self.gate().breakers.get(arm.index()).is_some_and(Breaker::is_open)
    }

    /// A copy to this arm was answered, or failed.
    pub(super) fn note(&self, arm: Arm, failed: bool, most: Option<Percent>) {
        if let Some(breaker) = self.gate().breakers.get_mut(arm.index()) {
            breaker.note(failed, most);
        }
    }

    /// Tells the embedder what became of a copy.
    pub(super) fn observe(&self, arm: Arm, leg: &Observation) {
        if let Some(observer) = &self.observer {
            observer(arm, leg);
        }
    }

    /// Runs a task beside the request. A runtime that takes no more drops it, which counts.
    pub(super) fn spawn(&self, task: Task) {
        let spawned = catch_unwind(AssertUnwindSafe(|| self.runtime.spawn(task)));
        // A panic of the runtime's must not become the caller's.
        drop(spawned);
    }

    /// Counts a request that is not copied, or not compared.
    pub(super) fn dropped(&self, why: NotCopied) {
        if let Some(count) = self.dropped.get(why as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn counts(&self) -> ShadowCounts {
        let gate = self.gate();
        let is_shut = |arm: Arm| gate.breakers.get(arm.index()).is_some_and(Breaker::is_open);
        ShadowCounts {
            pairs: self.pairs.load(Ordering::Relaxed),
            dropped: std::array::from_fn(|at| {
                self.dropped.get(at).map_or(0, |count| count.load(Ordering::Relaxed))
            }),
            under_way: self.under_way.load(Ordering::Relaxed),
            memory_bytes: self.memory_bytes.load(Ordering::Relaxed),
            held_back: [is_shut(Arm::Old), is_shut(Arm::New)],
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        let past = self.runtime.now().saturating_duration_since(self.began);
        u64::try_from(past.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Gate {
    /// Whether a copy to this arm would be one that is let through although copies fail. An error: it would not be.
    fn probe(&self, arm: Arm, now_ms: u64) -> Result<bool, NotCopied> {
        let is_shut = self.breakers.get(arm.index()).is_some_and(Breaker::is_open);
        let is_time = self.probe_at_ms.get(arm.index()).is_some_and(|at_ms| now_ms >= *at_ms);
        if is_shut && !is_time { Err(NotCopied::TargetDown) } else { Ok(is_shut) }
    }
}

/// What became of the requests of a service with a shadow. Each one is counted once: as a pair that was handed over to be
/// compared, or by the reason why there is none. A request under way is not counted yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShadowCounts {
    /// Requests whose two answers were handed over.
    pub pairs: u64,
    dropped: [u64; REASONS],
    /// Copies under way.
    pub under_way: u32,
    /// Memory that copies and captured answers hold, in bytes.
    pub memory_bytes: usize,
    /// By [`Arm::index`]: so many copies to the arm failed that only one a second is sent.
    pub held_back: [bool; 2],
}

impl ShadowCounts {
    /// Requests that have no pair for this reason.
    #[must_use]
    pub fn dropped_for(&self, why: NotCopied) -> u64 {
        self.dropped.get(why as usize).copied().unwrap_or(0)
    }

    /// All requests that have been counted.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.dropped.iter().fold(self.pairs, |all, count| all.saturating_add(*count))
    }
}

/// Memory of the copies that is in use, given back when this is dropped.
pub(super) struct Held {
    copies: Arc<Copies>,
    bytes: usize,
}

impl Held {
    /// Takes over what another one holds.
    pub(super) fn absorb(&mut self, mut other: Held) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Holds for Held {
    fn grow(&mut self, bytes: usize) -> bool {
        let limit = self.copies.memory_limit_bytes;
        let sum = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= limit);
        let memory = &self.copies.memory_bytes;
        let fits = memory.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok();
        if fits {
            self.bytes += bytes;
        }
        fits
    }

    fn shrink_to(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.copies.memory_bytes.fetch_sub(less, Ordering::Relaxed);
        self.bytes -= less;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

/// One copy under way, counted for as long as it lives.
pub(super) struct Slot(Arc<Copies>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One request that is to be copied, which is counted exactly once: when this is dropped, at the latest.
pub(super) struct Account {
    copies: Arc<Copies>,
    why: NotCopied,
    is_open: bool,
}

impl Account {
    pub(super) fn open(copies: &Arc<Copies>) -> Account {
        Account { copies: copies.clone(), why: NotCopied::Ended, is_open: true }
    }

    pub(super) fn copies(&self) -> &Arc<Copies> {
        &self.copies
    }

    /// What it is counted as if nothing more is said.
    pub(super) fn presume(&mut self, why: NotCopied) {
        self.why = why;
    }

    /// It was not copied, or is not compared.
    pub(super) fn close(mut self, why: NotCopied) {
        self.why = why;
    }

    /// Both answers were handed over.
    pub(super) fn close_with_pair(mut self) {
        self.is_open = false;
        self.copies.pairs.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if self.is_open {
            self.copies.dropped(self.why);
        }
    }
}
