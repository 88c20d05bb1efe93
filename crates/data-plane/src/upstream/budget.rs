//! How many attempts may be made again: a share of the requests, so that retries never multiply an outage.

use std::cell::Cell;

use route_plan::Retry;

/// Requests and retries are counted over this and the part of it before, in milliseconds.
const WINDOW_MS: u64 = 5_000;

/// The budget of one upstream, for one worker.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    began_ms: Cell<u64>,
    now: Cell<Counts>,
    before: Cell<Counts>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: u64,
    retries: u64,
}

impl Budget {
    /// A request came.
    pub(crate) fn request(&self, now_ms: u64) {
        self.turn(now_ms);
        let now = self.now.get();
        self.now.set(Counts { requests: now.requests + 1, ..now });
    }

    /// Whether one attempt may be made again, which is counted if so. `workers`: how many share `budget_min`.
    pub(crate) fn retry(&self, retry: &Retry, workers: u32, now_ms: u64) -> bool {
        self.turn(now_ms);
        let (now, before) = (self.now.get(), self.before.get());
        let (requests, retries) = (now.requests + before.requests, now.retries + before.retries);
        let least = u64::from(retry.budget_min.div_ceil(workers.max(1)));
        let allowed = retries < least + requests * u64::from(retry.budget_percent) / 100;
        if allowed {
            self.now.set(Counts { retries: now.retries + 1, ..now });
        }
        allowed
    }

    fn turn(&self, now_ms: u64) {
        let past_ms = now_ms.saturating_sub(self.began_ms.get());
        if past_ms < WINDOW_MS {
            return;
        }
        self.before.set(if past_ms < 2 * WINDOW_MS { self.now.get() } else { Counts::default() });
        self.now.set(Counts::default());
        self.began_ms.set(now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_share_of_requests_and_a_few() {
        let retry = Retry { attempts: 2, budget_percent: 20, budget_min: 4, safe_methods: false };
        let budget = Budget::default();
        let used = |now_ms| (0..1_000).take_while(|_| budget.retry(&retry, 2, now_ms)).count();
        assert_eq!(used(0), 2, "half of the least for one of two workers");
        (0..100).for_each(|_| budget.request(10));
        assert_eq!(used(20), 20);
        assert_eq!(used(WINDOW_MS), 0, "the last window still counts");
        assert_eq!(used(2 * WINDOW_MS), 2, "by then it is forgotten");
    }
}
