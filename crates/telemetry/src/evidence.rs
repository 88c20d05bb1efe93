//! What the guard judges one migration by: counted by the workers, each in cells of its own, summed by the controller.
//!
//! Evidence is every request whose arm the bucket chose, that was let end and whose client stayed for it: what
//! testers force, what has no key, and what old answered in new's place are counted in metrics only. One key that
//! fails again and again counts once ([`Repeats`]): each worker keeps its own memory of keys, and hands a mark of
//! every trouble that counted to the controller, which takes back what two workers counted of one key.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rollback_guard::{BUCKETS, Counts, Mark, Repeats, Trouble, latency_bucket};
use route_plan::outcome::Observation;
use traffic_split::{Arm, Role};

use crate::Counter;

/// Marks that may wait for the controller, which takes them every 50 ms. Beyond it a key that fails on two workers may be
/// counted once on each.
const MARKS: usize = 4_096;

/// The evidence about one migration: one shard for each worker.
#[derive(Debug)]
pub struct EvidenceCells {
    shards: Box<[Shard]>,
    fail_after: FailAfter,
    began: Instant,
    marks: SyncSender<Mark>,
    marked: Mutex<Receiver<Mark>>,
    /// Marks that found the queue full; written by any worker, hardly ever.
    lost: Mutex<u64>,
}

/// One worker's memory of keys that had trouble at one migration.
#[derive(Debug, Default)]
pub struct Memory(Repeats);

/// In milliseconds, 0 for never. On a line of its own: every request reads it, and it is hardly ever written.
#[derive(Debug)]
#[repr(align(128))]
struct FailAfter(AtomicU32);

#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    arms: [ArmCells; 2],
}

#[derive(Debug)]
#[repr(align(128))]
struct ArmCells {
    failures: Counter,
    client_errors: Counter,
    client_errors_left_out: Counter,
    retried: Counter,
    /// Of each request that did not fail. There is no count of all requests beside it: a reader would find one whose
    /// failure is not there yet, and take it for a success.
    latency: Box<[Counter]>,
}

impl ArmCells {
    fn new() -> Self {
        ArmCells {
            failures: Counter::new(),
            client_errors: Counter::new(),
            client_errors_left_out: Counter::new(),
            retried: Counter::new(),
            latency: (0..BUCKETS).map(|_| Counter::new()).collect(),
        }
    }
}

impl EvidenceCells {
    pub(crate) fn new(workers: usize) -> Self {
        let (marks, marked) = sync_channel(MARKS);
        let shard = |_| Shard { arms: [ArmCells::new(), ArmCells::new()] };
        EvidenceCells {
            shards: (0..workers.max(1)).map(shard).collect(),
            fail_after: FailAfter(AtomicU32::new(0)),
            began: Instant::now(),
            marks,
            marked: Mutex::new(marked),
            lost: Mutex::new(0),
        }
    }

    /// Takes in one attempt as it ended, if it is evidence. By the thread of worker `worker` only, with its own memory.
    #[inline]
    pub fn record(&self, worker: usize, memory: &mut Memory, observation: &Observation) {
        let is_evidence = observation.by_bucket && observation.role == Role::Served;
        if let Some(arm) = observation.arm.filter(|_| is_evidence) {
            self.record_as(worker, memory, arm, observation);
        }
    }

    /// Takes in one attempt as it ended, whatever it was for, as one of this arm: for cells in which arms stand for
    /// something else, or that hold copies. By one thread for each `worker` only, with its own memory.
    pub fn record_as(&self, worker: usize, memory: &mut Memory, arm: Arm, observation: &Observation) {
        let Some(cells) = self.shards.get(worker).map(|shard| &shard.arms[arm.index()]) else { return };
        if observation.failure.is_some() {
            // One that hung has been counted when it did.
            if !observation.hung && self.counts(memory, Trouble::Failure, arm, observation.key) {
                cells.failures.inc();
            }
            return;
        }
        if observation.client_aborted || observation.hung || observation.drained {
            return;
        }
        let Some(status) = observation.status else { return };
        let client_error = (400..500).contains(&status).then(|| {
            let counts = self.counts(memory, Trouble::ClientError, arm, observation.key);
            if counts { &cells.client_errors } else { &cells.client_errors_left_out }
        });
        if let Some(count) = cells.latency.get(latency_bucket(observation.to_head)) {
            count.inc();
        }
        if let Some(count) = client_error {
            count.inc();
        }
        if observation.retried {
            cells.retried.inc();
        }
    }

    /// A request has been under way for longer than `fail_after`: it fails now, however it ends. By worker `worker` only.
    pub fn hangs(&self, worker: usize, memory: &mut Memory, arm: Arm, key: u64) {
        let cells = self.shards.get(worker).map(|shard| &shard.arms[arm.index()]);
        if let Some(cells) = cells
            && self.counts(memory, Trouble::Failure, arm, key)
        {
            cells.failures.inc();
        }
    }

    /// After how many milliseconds a request under way is to be counted as failed, as the one who judges said last; `None`:
    /// never.
    #[inline]
    #[must_use]
    pub fn fail_after_ms(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.fail_after.0.load(Ordering::Relaxed))
    }

    /// Says it. For the one who judges; without effect on requests that are under way.
    pub fn set_fail_after_ms(&self, limit_ms: Option<NonZeroU32>) {
        if self.fail_after_ms() != limit_ms {
            self.fail_after.0.store(limit_ms.map_or(0, NonZeroU32::get), Ordering::Relaxed);
        }
    }

    fn counts(&self, memory: &mut Memory, trouble: Trouble, arm: Arm, key: u64) -> bool {
        let mark = Mark { trouble, arm, key, at: self.began.elapsed() };
        let counts = memory.0.counts(mark);
        if counts
            && self.shards.len() > 1
            && let Err(TrySendError::Full(_)) = self.marks.try_send(mark)
        {
            *self.lost.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        }
        counts
    }

    /// The sums over all workers. What workers add meanwhile may be in or not, each request as a whole: only that one had
    /// a client error or was retried may be seen a moment after the request.
    #[must_use]
    pub fn totals(&self) -> Counts {
        let mut totals = Counts::ZERO;
        for shard in &self.shards {
            for (cells, sum) in shard.arms.iter().zip(&mut totals.arms) {
                // Before the requests that they are of; the guard takes no more of them than there are of those.
                sum.client_errors += cells.client_errors.get();
                sum.client_errors_left_out += cells.client_errors_left_out.get();
                sum.retried += cells.retried.get();
                let failures = cells.failures.get();
                sum.failures += failures;
                sum.requests += failures;
                for (sum_of_bucket, cell) in sum.latency.iter_mut().zip(&cells.latency) {
                    let count = cell.get();
                    *sum_of_bucket += count;
                    sum.requests += count;
                }
            }
        }
        totals
    }

    /// The marks that workers have left since the last call. For the one who judges.
    pub fn take_marks(&self, mut take: impl FnMut(Mark)) {
        let marked = self.marked.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok(mark) = marked.try_recv() {
            take(mark);
        }
    }

    /// Marks that found the queue full.
    #[must_use]
    pub fn lost_marks(&self) -> u64 {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when marks count their time.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use route_plan::outcome::Failure;

    use super::*;

    fn answered(arm: Arm, status: u16) -> Observation {
        Observation {
            arm: Some(arm),
            role: Role::Served,
            by_bucket: true,
            key: 7,
            status: Some(status),
            client_status: Some(status),
            covered: false,
            hung: false,
            retried: false,
            to_head: Duration::from_millis(3),
            total: Duration::from_millis(4),
            failure: None,
            client_aborted: false,
            drained: false,
        }
    }

    fn failed(key: u64) -> Observation {
        Observation { key, status: None, failure: Some(Failure::Closed), ..answered(Arm::New, 200) }
    }

    #[test]
    fn only_what_the_bucket_decided_and_the_client_stayed_for_is_evidence() {
        let cells = EvidenceCells::new(1);
        let mut memory = Memory::default();
        let fine = answered(Arm::New, 200);
        for observation in [
            Observation { by_bucket: false, ..fine },
            Observation { arm: None, ..fine },
            Observation { role: Role::Fallback, ..fine },
            Observation { role: Role::Shadow, ..fine },
            Observation { client_aborted: true, ..fine },
            Observation { drained: true, ..fine },
            Observation { status: None, ..fine },
            Observation { hung: true, ..fine },
            Observation { hung: true, ..failed(1) },
        ] {
            cells.record(0, &mut memory, &observation);
        }
        assert_eq!(cells.totals(), Counts::ZERO);
        cells.record(0, &mut memory, &fine);
        cells.record(0, &mut memory, &Observation { retried: true, ..answered(Arm::Old, 404) });
        cells.record(0, &mut memory, &Observation { covered: true, client_aborted: true, ..failed(1) });
        let totals = cells.totals();
        let (old, new) = (totals.arm(Arm::Old), totals.arm(Arm::New));
        assert_eq!(
            (new.requests, new.failures, new.client_errors),
            (2, 1, 0),
            "what old covered is new's failure"
        );
        assert_eq!((old.requests, old.failures, old.client_errors, old.retried), (1, 0, 1, 1));
        assert_eq!(new.latency[latency_bucket(Duration::from_millis(3))], 1, "failures have no latency");
    }

    #[test]
    fn a_failure_is_seen_with_its_request_or_not_at_all() {
        let cells = EvidenceCells::new(1);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut memory = Memory::default();
                for key in 0..300_000 {
                    cells.record(0, &mut memory, &failed(key));
                    cells.record(0, &mut memory, &answered(Arm::New, 200));
                }
            });
            let mut is_over = false;
            while !is_over {
                is_over = writer.is_finished();
                let totals = cells.totals();
                let new = totals.arm(Arm::New);
                let answered: u64 = new.latency.iter().sum();
                assert_eq!(new.requests, new.failures + answered);
                assert!(!is_over || (new.failures, answered) == (300_000, 300_000), "{new:?}");
            }
        });
    }

    #[test]
    fn one_key_s_trouble_counts_once_and_is_left_out_otherwise() {
        let cells = EvidenceCells::new(2);
        let mut memories = [Memory::default(), Memory::default()];
        for _ in 0..50 {
            cells.record(0, &mut memories[0], &failed(1));
            cells.record(0, &mut memories[0], &answered(Arm::Old, 404));
        }
        cells.hangs(0, &mut memories[0], Arm::New, 1);
        cells.record(1, &mut memories[1], &failed(1));
        let totals = cells.totals();
        let new = totals.arm(Arm::New);
        assert_eq!((new.requests, new.failures), (2, 2), "once for each worker");
        assert_eq!(
            (totals.arm(Arm::Old).client_errors, totals.arm(Arm::Old).client_errors_left_out),
            (1, 49)
        );
        let mut marks = 0;
        cells.take_marks(|_| marks += 1);
        assert_eq!((marks, cells.lost_marks()), (3, 0), "so the controller knows that two were one key's");
    }

    #[test]
    fn a_full_queue_of_marks_holds_nobody_up() {
        let cells = EvidenceCells::new(2);
        let mut memory = Memory::default();
        for key in 0..MARKS as u64 + 10 {
            cells.record(0, &mut memory, &failed(key));
        }
        assert_eq!(cells.lost_marks(), 10);
        assert_eq!(cells.totals().arm(Arm::New).failures, MARKS as u64 + 10);
    }
}
