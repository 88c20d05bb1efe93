//! The measured split: which share of the latest bucketed requests went to new.
//!
//! Counters only grow, so a share is taken between two readings of them. Readings are kept for a minute; what was
//! counted before the percentage last changed is left out, since it says nothing about the one in force.

use std::collections::VecDeque;

/// How many readings are kept; with one a second, a minute.
const MAX_READINGS: usize = 61;

/// Bucketed requests so far, by arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) old: u64,
    pub(crate) new: u64,
}

/// The latest readings of one migration.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    readings: VecDeque<Reading>,
}

impl Measure {
    /// Begins with this reading.
    pub(crate) fn from(reading: Reading) -> Self {
        Measure { readings: VecDeque::from([reading]) }
    }

    /// Adds the latest reading; the oldest goes when there are too many.
    pub(crate) fn add(&mut self, reading: Reading) {
        if self.readings.len() == MAX_READINGS {
            self.readings.pop_front();
        }
        self.readings.push_back(reading);
    }

    /// The share of new in per cent between the oldest and the latest reading; `None` without requests between them.
    pub(crate) fn percent(&self) -> Option<f64> {
        let (first, last) = (self.readings.front()?, self.readings.back()?);
        let new = last.new.saturating_sub(first.new);
        let all = new + last.old.saturating_sub(first.old);
        (all > 0).then(|| new as f64 * 100.0 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_since_the_beginning_counts() {
        let mut measure = Measure::from(Reading { old: 1000, new: 7 });
        assert_eq!(measure.percent(), None);
        measure.add(Reading { old: 1003, new: 8 });
        assert_eq!(measure.percent(), Some(25.0));
    }

    #[test]
    fn a_minute_is_remembered() {
        let mut measure = Measure::from(Reading::default());
        for second in 1..=200 {
            // All to old for 100 seconds, then all to new.
            measure.add(Reading { old: second.min(100), new: second.saturating_sub(100) });
        }
        assert_eq!(measure.percent(), Some(100.0));
        assert_eq!(measure.readings.len(), MAX_READINGS);
    }
}
