//! What workers count and the guard judges by: plain numbers that only grow, and so are merged by addition.

use std::time::Duration;

use traffic_split::Arm;

use crate::latency::{BUCKETS, latency_bucket};

/// What one arm did.
///
/// One outcome for each request: the final one, after all retries, counted when it is known. A request that its client
/// gave up on is not counted at all, and neither is a failure that [`crate::Repeats`] leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArmCounts {
    /// Requests that ended, failures among them.
    pub requests: u64,
    /// Those that failed. One that hangs fails once, at `fail_after`, and is not counted again when it ends.
    pub failures: u64,
    /// Those answered with a 4xx, but for those left out below.
    pub client_errors: u64,
    /// Those answered with a 4xx to a key that had one only just now, as [`crate::Repeats`] tells.
    pub client_errors_left_out: u64,
    /// Those that took more than one attempt at this arm.
    pub retried: u64,
    /// Those that did not fail, by [`latency_bucket`] of their latency.
    pub latency: [u64; BUCKETS],
}

impl ArmCounts {
    /// Nothing counted yet.
    pub const ZERO: ArmCounts = ArmCounts {
        requests: 0,
        failures: 0,
        client_errors: 0,
        client_errors_left_out: 0,
        retried: 0,
        latency: [0; BUCKETS],
    };

    /// How many were not failures and fell into `bucket` or above.
    pub(crate) fn slower(&self, bucket: usize) -> u64 {
        self.latency.get(bucket..).unwrap_or_default().iter().sum()
    }

    /// How many were not failures.
    pub(crate) fn successes(&self) -> u64 {
        self.latency.iter().sum()
    }

    fn zip(&mut self, other: &ArmCounts, with: impl Fn(&mut u64, u64)) {
        with(&mut self.requests, other.requests);
        with(&mut self.failures, other.failures);
        with(&mut self.client_errors, other.client_errors);
        with(&mut self.client_errors_left_out, other.client_errors_left_out);
        with(&mut self.retried, other.retried);
        for (mine, theirs) in self.latency.iter_mut().zip(&other.latency) {
            with(mine, *theirs);
        }
    }
}

/// What both arms did: one worker's totals, the sum over workers, or what came in since the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// What each arm did, in the order of [`Arm::index`].
    pub arms: [ArmCounts; 2],
    /// Pairs of answers that were compared, noise and races left out.
    pub comparisons: u64,
    /// Those that differed.
    pub mismatches: u64,
    /// Those that differed where no difference is allowed.
    pub zero_tolerance: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Counts::ZERO
    }
}

impl Counts {
    /// Nothing counted yet.
    pub const ZERO: Counts =
        Counts { arms: [ArmCounts::ZERO, ArmCounts::ZERO], comparisons: 0, mismatches: 0, zero_tolerance: 0 };

    /// Counts a request of `arm` that did not fail.
    #[inline]
    pub fn success(&mut self, arm: Arm, latency: Duration) {
        let counts = self.arm_mut(arm);
        counts.requests += 1;
        counts.latency[latency_bucket(latency)] += 1;
    }

    /// Counts a request of `arm` that failed.
    #[inline]
    pub fn failure(&mut self, arm: Arm) {
        let counts = self.arm_mut(arm);
        counts.requests += 1;
        counts.failures += 1;
    }

    /// What `arm` did.
    #[must_use]
    pub const fn arm(&self, arm: Arm) -> &ArmCounts {
        &self.arms[arm.index()]
    }

    /// What `arm` did, to be added to.
    #[inline]
    pub const fn arm_mut(&mut self, arm: Arm) -> &mut ArmCounts {
        &mut self.arms[arm.index()]
    }

    /// Adds what another worker counted.
    pub fn add(&mut self, other: &Counts) {
        self.zip(other, |mine, theirs| *mine = mine.saturating_add(theirs));
    }

    /// Leaves what was counted since `earlier`. A count that went back, as after a restart of who counts, is 0.
    pub fn since(&mut self, earlier: &Counts) {
        self.zip(earlier, |mine, before| *mine = mine.saturating_sub(before));
    }

    fn zip(&mut self, other: &Counts, with: impl Fn(&mut u64, u64) + Copy) {
        for (mine, theirs) in self.arms.iter_mut().zip(&other.arms) {
            mine.zip(theirs, with);
        }
        with(&mut self.comparisons, other.comparisons);
        with(&mut self.mismatches, other.mismatches);
        with(&mut self.zero_tolerance, other.zero_tolerance);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_merged_by_addition_and_read_by_difference() {
        let (mut one, mut other) = (Counts::ZERO, Counts::ZERO);
        one.success(Arm::Old, Duration::from_millis(4));
        one.failure(Arm::New);
        other.success(Arm::New, Duration::from_millis(9));
        let before = one.clone();
        one.add(&other);
        assert_eq!((one.arm(Arm::New).requests, one.arm(Arm::New).failures), (2, 1));
        assert_eq!(one.arm(Arm::New).slower(latency_bucket(Duration::from_millis(8))), 1);
        assert_eq!(one.arm(Arm::New).slower(BUCKETS + 9), 0);
        one.since(&before);
        assert_eq!(one, other);
    }
}
