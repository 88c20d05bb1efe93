//! How regularly the guards look: the times between two looks, counted by the controller.

use std::time::Duration;

use crate::Counter;

/// Upper bounds of the histogram's buckets, in seconds; an implicit last bucket takes the rest. A look is due every 50 ms,
/// so they are close together from there to twice that.
pub const LOOK_BOUNDS_S: [f64; 15] =
    [0.025, 0.05, 0.0525, 0.055, 0.06, 0.065, 0.07, 0.08, 0.09, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5];

/// The times between two looks at the guards.
#[derive(Debug, Default)]
pub struct LookCells {
    counts: [Counter; LOOK_BOUNDS_S.len() + 1],
    sum_ns: Counter,
}

impl LookCells {
    /// Counts the time since the look before. By the controller only.
    pub fn record(&self, since_last: Duration) {
        let seconds = since_last.as_secs_f64();
        if let Some(count) = self.counts.get(LOOK_BOUNDS_S.partition_point(|&bound| bound < seconds)) {
            count.inc();
        }
        self.sum_ns.add(u64::try_from(since_last.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many there were by bucket, not cumulated, and their sum in seconds.
    pub(crate) fn read(&self) -> ([u64; LOOK_BOUNDS_S.len() + 1], f64) {
        let counts = std::array::from_fn(|bucket| self.counts.get(bucket).map_or(0, Counter::get));
        (counts, Duration::from_nanos(self.sum_ns.get()).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive_and_what_is_late_is_told_from_what_is_not() {
        let cells = LookCells::default();
        for micros in [1_000, 50_000, 50_001, 59_999, 60_001, 99_000, 101_000, 9_000_000] {
            cells.record(Duration::from_micros(micros));
        }
        let (counts, sum) = cells.read();
        assert_eq!(counts, [1, 1, 1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1]);
        assert!((sum - 9.421_001).abs() < 1e-9, "{sum}");
    }
}
