//! What comparing the answers of copied requests came to: counted by who compares, read by the controller and scrapes.

use std::sync::atomic::{AtomicU64, Ordering};

use rollback_guard::Counts;

use crate::Counter;

/// What a comparison came to. Each is a value of the label `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compared {
    /// Both answers were the same by the rules.
    Matched,
    /// They differed, and not by noise alone.
    Mismatched,
    /// They differed only where old differs from itself.
    Noise,
    /// They differed, and no longer did when both were asked again.
    Race,
    /// There were two answers, and they could not be held against each other.
    NotCompared,
}

impl Compared {
    /// Every result.
    pub const ALL: [Compared; 5] =
        [Compared::Matched, Compared::Mismatched, Compared::Noise, Compared::Race, Compared::NotCompared];

    /// The word in metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Compared::Matched => "matched",
            Compared::Mismatched => "mismatched",
            Compared::Noise => "noise",
            Compared::Race => "race",
            Compared::NotCompared => "not_compared",
        }
    }
}

/// What a request is asked once more for. Each is a value of the label `purpose`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AskedFor {
    /// To learn in what old differs from itself.
    Noise,
    /// To see whether a mismatch lasts.
    Race,
}

impl AskedFor {
    /// Every purpose.
    pub const ALL: [AskedFor; 2] = [AskedFor::Noise, AskedFor::Race];

    /// The word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            AskedFor::Noise => "noise",
            AskedFor::Race => "race",
        }
    }
}

/// What comparing takes, of the whole process.
#[derive(Debug, Default)]
pub struct ComparerCells {
    /// Pairs that wait to be compared.
    pub waiting: AtomicU64,
    /// Processor time that was used, in microseconds.
    pub used_us: AtomicU64,
    /// The share of requests that is let in, in millionths.
    pub let_in_ppm: AtomicU64,
    /// Times that what was found of a migration was written. By the thread that writes.
    pub kept: Counter,
    /// Times that it could not be. By the thread that writes.
    pub not_kept: Counter,
}

impl ComparerCells {
    /// How it stands. By the thread that compares.
    pub fn set(&self, waiting: usize, used: std::time::Duration, let_in: f64) {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of 0 to 1 is at most a million millionths"
        )]
        let let_in_ppm = (let_in.clamp(0.0, 1.0) * 1e6) as u64;
        self.waiting.store(waiting as u64, Ordering::Relaxed);
        self.used_us.store(u64::try_from(used.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.let_in_ppm.store(let_in_ppm, Ordering::Relaxed);
    }
}

/// The comparisons of one migration. Written by one thread, the one that compares.
#[derive(Debug, Default)]
pub struct ComparisonCells {
    results: [Counter; Compared::ALL.len()],
    zero_tolerance: Counter,
    asked: [Counter; AskedFor::ALL.len()],
}

impl ComparisonCells {
    /// Counts a request that is sent to an arm once more. By the thread that compares only.
    pub fn asked(&self, purpose: AskedFor) {
        if let Some(count) = self.asked.get(purpose as usize) {
            count.inc();
        }
    }

    /// How many were sent for this.
    #[must_use]
    pub fn asked_for(&self, purpose: AskedFor) -> u64 {
        self.asked.get(purpose as usize).map_or(0, Counter::get)
    }

    /// Counts one comparison that is over: one whose mismatch is still to be asked again is not. By the thread that
    /// compares only.
    pub fn record(&self, result: Compared) {
        if let Some(count) = self.results.get(result as usize) {
            count.inc();
        }
    }

    /// Counts a mismatch with a difference where none is allowed, which [`ComparisonCells::record`] is told of too. By the
    /// thread that compares only.
    pub fn zero_tolerance(&self) {
        self.zero_tolerance.inc();
    }

    /// What was counted so far.
    #[must_use]
    pub fn totals(&self) -> ComparisonTotals {
        // Those that take users back before the comparisons that they are among: never more of them.
        let zero_tolerance = self.zero_tolerance.get();
        let [matched, mismatched, noise, race, not_compared] =
            [0, 1, 2, 3, 4].map(|at| self.results[at].get());
        ComparisonTotals { matched, mismatched, noise, race, not_compared, zero_tolerance }
    }
}

/// Comparisons by what they came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ComparisonTotals {
    /// The same by the rules.
    pub matched: u64,
    /// Different.
    pub mismatched: u64,
    /// Different where old differs from itself.
    pub noise: u64,
    /// Different for a moment.
    pub race: u64,
    /// No judgement was possible.
    pub not_compared: u64,
    /// Of those mismatched, the ones with a difference where none is allowed.
    pub zero_tolerance: u64,
}

impl ComparisonTotals {
    /// Those that say something about new: noise and races never count.
    #[must_use]
    pub const fn judged(&self) -> u64 {
        self.matched.saturating_add(self.mismatched)
    }

    /// What was counted since `earlier`.
    #[must_use]
    pub const fn since(&self, earlier: &ComparisonTotals) -> ComparisonTotals {
        ComparisonTotals {
            matched: self.matched.saturating_sub(earlier.matched),
            mismatched: self.mismatched.saturating_sub(earlier.mismatched),
            noise: self.noise.saturating_sub(earlier.noise),
            race: self.race.saturating_sub(earlier.race),
            not_compared: self.not_compared.saturating_sub(earlier.not_compared),
            zero_tolerance: self.zero_tolerance.saturating_sub(earlier.zero_tolerance),
        }
    }

    /// How many came to this.
    #[must_use]
    pub const fn of(&self, result: Compared) -> u64 {
        match result {
            Compared::Matched => self.matched,
            Compared::Mismatched => self.mismatched,
            Compared::Noise => self.noise,
            Compared::Race => self.race,
            Compared::NotCompared => self.not_compared,
        }
    }

    /// As a guard takes them, with nothing of the arms.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            comparisons: self.judged(),
            mismatches: self.mismatched,
            zero_tolerance: self.zero_tolerance,
            ..Counts::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_comparison_is_in_exactly_one_result() {
        let cells = ComparisonCells::default();
        for (times, result) in (1..).zip(Compared::ALL) {
            (0..times).for_each(|_| cells.record(result));
        }
        cells.zero_tolerance();
        let totals = cells.totals();
        let expected = ComparisonTotals {
            matched: 1,
            mismatched: 2,
            noise: 3,
            race: 4,
            not_compared: 5,
            zero_tolerance: 1,
        };
        assert_eq!(totals, expected);
        assert_eq!(Compared::ALL.map(|result| totals.of(result)), [1, 2, 3, 4, 5]);
        let before = ComparisonTotals { mismatched: 1, race: 9, ..ComparisonTotals::default() };
        let since = ComparisonTotals { mismatched: 1, race: 0, ..expected };
        assert_eq!(totals.since(&before), since);
        let counts = totals.counts();
        assert_eq!((counts.comparisons, counts.mismatches, counts.zero_tolerance), (3, 2, 1));
    }
}
