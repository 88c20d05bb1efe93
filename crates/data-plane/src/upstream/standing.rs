//! How an endpoint stands with one worker: failures in a row, whether it is out, and how far it is back.

use std::cell::Cell;

use route_plan::Ejection;

/// The scale of weights: a member with its full part.
pub(crate) const FULL_WEIGHT: u64 = 1_000;
/// For how long after a failure it is doubtful, in milliseconds, and how many failures in a row make a difference.
const DOUBT_MS: u64 = 5_000;
const DOUBT_MAX: u32 = 15;
/// The part with which a member comes back.
const FIRST_WEIGHT: u64 = 100;

/// One endpoint's record. Times are on the worker's clock, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    failures: Cell<u32>,
    failed_at_ms: Cell<u64>,
    /// Ejections without a good answer between them.
    ejections: Cell<u32>,
    out_until_ms: Cell<u64>,
    /// When it came back, or will; 0: it was never away.
    back_at_ms: Cell<u64>,
    slow_start_ms: Cell<u64>,
}

impl Standing {
    /// Takes note of the end of an attempt. `true` when there were enough failures for an ejection.
    pub(crate) fn note(&self, failed: bool, ejection: Option<&Ejection>, now_ms: u64) -> bool {
        if !failed {
            self.failures.set(0);
            // What answers after its time out has ended has earned its name back.
            if !self.is_out(now_ms) {
                self.ejections.set(0);
            }
            return false;
        }
        self.failures.set(self.failures.get().saturating_add(1));
        self.failed_at_ms.set(now_ms);
        // Attempts that began before it went out do not put it out for longer.
        ejection.is_some_and(|ejection| self.failures.get() >= ejection.failures && !self.is_out(now_ms))
    }

    /// Out of how many requests that could go to it only one does, since it has failed lately: one that fails at once has
    /// nothing under way, and would look like the best of all.
    pub(crate) fn doubt(&self, now_ms: u64) -> usize {
        let lately = now_ms < self.failed_at_ms.get().saturating_add(DOUBT_MS);
        if lately { self.failures.get().min(DOUBT_MAX) as usize + 1 } else { 1 }
    }

    /// Leaves it out from now on, twice as long as the last time.
    pub(crate) fn eject(&self, ejection: &Ejection, now_ms: u64) {
        let doublings = self.ejections.get().min(32);
        let time_ms = ejection.time_ms.saturating_mul(1 << doublings).min(ejection.max_time_ms);
        self.ejections.set(doublings + 1);
        // One failure more after that, and it is out again.
        self.failures.set(ejection.failures.saturating_sub(1));
        self.out_until_ms.set(now_ms.saturating_add(time_ms));
        self.returns(now_ms.saturating_add(time_ms), ejection.slow_start_ms);
    }

    /// It is back at `at_ms`, for the beginning with less than its part.
    pub(crate) fn returns(&self, at_ms: u64, slow_start_ms: u64) {
        self.back_at_ms.set(at_ms);
        self.slow_start_ms.set(slow_start_ms);
    }

    pub(crate) fn is_out(&self, now_ms: u64) -> bool {
        now_ms < self.out_until_ms.get()
    }

    /// Its part of the requests, up to [`FULL_WEIGHT`].
    pub(crate) fn weight(&self, now_ms: u64) -> u64 {
        let (back_at_ms, slow_start_ms) = (self.back_at_ms.get(), self.slow_start_ms.get());
        let since_ms = now_ms.saturating_sub(back_at_ms);
        if back_at_ms == 0 || since_ms >= slow_start_ms {
            return FULL_WEIGHT;
        }
        FIRST_WEIGHT + (FULL_WEIGHT - FIRST_WEIGHT) * since_ms / slow_start_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Ejection =
        Ejection { failures: 3, time_ms: 100, max_time_ms: 350, max_percent: 50, slow_start_ms: 1_000 };

    #[test]
    fn failures_in_a_row_put_it_out_for_longer_each_time() {
        let standing = Standing::default();
        let mut now_ms = 1_000;
        assert!(!standing.note(true, Some(&RULE), now_ms) && !standing.note(true, Some(&RULE), now_ms));
        assert!(!standing.note(false, Some(&RULE), now_ms), "a good answer begins the count anew");
        assert!(!standing.note(true, Some(&RULE), now_ms) && !standing.note(true, Some(&RULE), now_ms));
        for time_ms in [100, 200, 350, 350] {
            assert!(standing.note(true, Some(&RULE), now_ms));
            standing.eject(&RULE, now_ms);
            assert!(standing.is_out(now_ms + time_ms - 1) && !standing.is_out(now_ms + time_ms));
            assert!(!standing.note(true, Some(&RULE), now_ms + 1), "what was under way changes nothing");
            now_ms += time_ms;
        }
        assert!(!standing.note(false, Some(&RULE), now_ms));
        assert!(!standing.note(true, Some(&RULE), now_ms), "forgiven");
    }

    #[test]
    fn failures_make_it_doubtful_for_a_while() {
        let standing = Standing::default();
        assert_eq!(standing.doubt(0), 1);
        assert!(!standing.note(true, None, 100), "without a rule nothing is ejected");
        assert_eq!((standing.doubt(5_099), standing.doubt(5_100)), (2, 1));
        for _ in 0..99 {
            standing.note(true, None, 700);
        }
        assert_eq!(standing.doubt(701), 16, "there is an end to it");
        standing.note(false, None, 800);
        assert_eq!(standing.doubt(801), 1, "one good answer is enough");
    }

    #[test]
    fn it_comes_back_slowly() {
        let standing = Standing::default();
        assert_eq!(standing.weight(0), FULL_WEIGHT);
        standing.eject(&RULE, 1_000);
        let weights = [1_100, 1_200, 1_600, 2_099, 2_100, 9_000].map(|now_ms| standing.weight(now_ms));
        assert_eq!(weights, [100, 190, 550, 999, 1_000, 1_000]);
    }
}
