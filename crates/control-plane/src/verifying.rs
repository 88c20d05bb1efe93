//! Whether a rollback did what it was to do, seen from the counters of live requests.
//!
//! A snapshot that was published is no proof. What proves it is that requests keep ending on old and none on new any
//! more; those that were on new when it was decided are waited for.

use std::time::Duration;

use traffic_split::Percent;

/// For so long no request may have ended on new.
const QUIET: Duration = Duration::from_millis(500);
/// After so long it is told how far it came.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many requests tell a share that is not 0.
const ENOUGH: u64 = 100;
/// What is in flight when it is decided is left out of a share.
const SETTLING: Duration = Duration::from_secs(1);

/// Requests whose arm the bucket chose, and failures of each arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) old: u64,
    pub(crate) new: u64,
    pub(crate) old_failures: u64,
    pub(crate) new_failures: u64,
}

/// A rollback that is being watched.
#[derive(Clone, Debug)]
pub(crate) struct Verification {
    target: Percent,
    first: Count,
    last: Count,
    /// When the latest request ended on new, and the latest that failed there.
    last_on_new: Duration,
    last_failure: Duration,
    /// Where the share is measured from.
    settled: Option<Count>,
}

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Whether it did what it was to do; else not enough was seen, or the opposite.
    pub(crate) verified: bool,
    /// From the decision until the last request that new served ended; 0 where none did.
    pub(crate) to_target: Duration,
    /// From the decision until the last failure of new that a user had a part in; 0 where none did.
    pub(crate) recovery: Duration,
    /// Since the decision.
    pub(crate) count: Count,
}

impl Verification {
    /// Begins at the moment of the decision.
    pub(crate) fn new(target: Percent, first: Count) -> Self {
        let zero = Duration::ZERO;
        Verification { target, first, last: first, last_on_new: zero, last_failure: zero, settled: None }
    }

    /// What was counted by `since`, the time since the decision. `None`: it goes on.
    pub(crate) fn look(&mut self, since: Duration, now: Count) -> Option<Seen> {
        if now.new > self.last.new {
            self.last_on_new = since;
        }
        if now.new_failures > self.last.new_failures {
            self.last_failure = since;
        }
        self.last = now;
        if since >= SETTLING {
            self.settled.get_or_insert(now);
        }
        let verified = self.is_there(since);
        (verified || since >= PATIENCE).then(|| self.seen(verified))
    }

    /// What was seen by now.
    pub(crate) fn seen(&self, verified: bool) -> Seen {
        let (first, last) = (self.first, self.last);
        let count = Count {
            old: last.old.saturating_sub(first.old),
            new: last.new.saturating_sub(first.new),
            old_failures: last.old_failures.saturating_sub(first.old_failures),
            new_failures: last.new_failures.saturating_sub(first.new_failures),
        };
        Seen { verified, to_target: self.last_on_new, recovery: self.last_failure, count }
    }

    fn is_there(&self, since: Duration) -> bool {
        if self.target == Percent::ZERO {
            let is_quiet = since.saturating_sub(self.last_on_new) >= QUIET;
            return is_quiet && self.last.old > self.first.old;
        }
        let Some(settled) = self.settled else { return false };
        let new = self.last.new.saturating_sub(settled.new) as f64;
        let all = new + self.last.old.saturating_sub(settled.old) as f64;
        let share = self.target.as_f64() / 100.0;
        // Four standard deviations of what that share comes to by chance.
        all >= ENOUGH as f64 && new <= share * all + 4.0 * (share * (1.0 - share) * all).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn count(old: u64, new: u64) -> Count {
        Count { old, new, ..Count::default() }
    }

    #[test]
    fn all_on_old_is_seen_when_new_is_quiet_and_old_answers() {
        let mut watched = Verification::new(Percent::ZERO, count(1000, 500));
        assert_eq!(watched.look(MS(50), count(1040, 510)), None);
        let failing = Count { new_failures: 1, ..count(1080, 511) };
        assert_eq!(watched.look(MS(100), failing), None, "one was still under way");
        let later = |old| Count { new_failures: 1, ..count(old, 511) };
        assert_eq!(watched.look(MS(550), later(1400)), None, "quiet for 450 ms");
        let seen = watched.look(MS(600), later(1500)).unwrap();
        assert!(seen.verified);
        assert_eq!((seen.to_target, seen.recovery), (MS(100), MS(100)));
        assert_eq!(seen.count, Count { old: 500, new: 11, new_failures: 1, old_failures: 0 });
    }

    #[test]
    fn without_traffic_nothing_is_verified() {
        let mut watched = Verification::new(Percent::ZERO, count(10, 10));
        assert_eq!(watched.look(MS(59_999), count(10, 10)), None);
        let seen = watched.look(MS(60_000), count(10, 10)).unwrap();
        assert!(!seen.verified && seen.to_target == MS(0));
    }

    #[test]
    fn a_share_is_seen_within_what_chance_allows() {
        let five = "5".parse().unwrap();
        let mut watched = Verification::new(five, count(0, 0));
        assert_eq!(watched.look(MS(1000), count(500, 500)), None, "what was in flight");
        assert_eq!(watched.look(MS(1500), count(580, 505)), None, "too few");
        assert!(watched.look(MS(2000), count(785, 520)).unwrap().verified);
        let mut ignored = Verification::new(five, count(0, 0));
        assert_eq!(ignored.look(MS(1000), count(0, 0)), None);
        assert!(!ignored.look(MS(60_000), count(500, 500)).unwrap().verified);
    }
}
