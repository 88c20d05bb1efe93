//! Whether old is well enough to be asked once more.

use std::time::{Duration, Instant};

/// How often old is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long a trouble keeps it from being asked.
const REST: Duration = Duration::from_secs(10);
/// Failures that are trouble, as a share of requests: where the guard too takes old to be degraded unless told otherwise.
const FAILURES: f64 = 0.01;
/// Fewer requests than this say nothing of a share.
const FEWEST: u64 = 100;
/// So many failures are trouble among however few requests.
const FAILURES_AT_ALL: u64 = 3;

/// What old's counters say of it, and how its answers to those questions went.
#[derive(Debug, Default)]
pub(crate) struct OldHealth {
    looked_at: Option<Instant>,
    /// Requests and failures at the last look.
    seen: (u64, u64),
    /// Since the last look that had enough of them to say something.
    gathered: (u64, u64),
    rests_until: Option<Instant>,
}

impl OldHealth {
    /// Whether it is time for a look.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.looked_at.is_none_or(|at| now.saturating_duration_since(at) >= LOOK)
    }

    /// What its counters say: all requests and failures so far.
    pub(crate) fn look(&mut self, now: Instant, requests: u64, failures: u64) {
        let first = self.looked_at.replace(now).is_none();
        let new = (requests.saturating_sub(self.seen.0), failures.saturating_sub(self.seen.1));
        self.seen = (requests, failures);
        if first {
            return;
        }
        self.gathered = (self.gathered.0 + new.0, self.gathered.1 + new.1);
        let (requests, failures) = self.gathered;
        let is_bad = failures >= FAILURES_AT_ALL && failures as f64 > requests as f64 * FAILURES;
        if is_bad {
            self.rest(now);
        }
        if is_bad || requests >= FEWEST {
            self.gathered = (0, 0);
        }
    }

    /// A question to it got no answer.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.rest(now);
    }

    /// Whether it may be asked.
    pub(crate) fn is_well(&self, now: Instant) -> bool {
        self.rests_until.is_none_or(|until| now >= until)
    }

    fn rest(&mut self, now: Instant) {
        self.rests_until = Some(now + REST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_is_left_alone_while_it_fails_and_for_a_while_after() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut old = OldHealth::default();
        assert!(old.is_due(start) && old.is_well(start));
        old.look(start, 10_000, 5_000);
        assert!(old.is_well(start), "what was before is not known");
        assert!(!old.is_due(start + Duration::from_millis(900)) && old.is_due(at(1)));
        old.look(at(1), 10_500, 5_005);
        assert!(old.is_well(at(1)), "1 % is what old may fail");
        old.look(at(2), 11_000, 5_011);
        assert!(!old.is_well(at(2)) && !old.is_well(at(11)) && old.is_well(at(12)));
        old.look(at(12), 11_001, 5_012);
        assert!(old.is_well(at(12)), "one failure says nothing");
        old.look(at(13), 11_002, 5_013);
        old.look(at(14), 11_004, 5_014);
        assert!(!old.is_well(at(14)), "three of four do");
        old.failed(at(30));
        assert!(!old.is_well(at(39)) && old.is_well(at(40)));
    }
}
