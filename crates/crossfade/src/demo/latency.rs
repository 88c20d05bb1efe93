//! How long answers took, as a histogram that can be subtracted: the latest seconds are the difference of two.

use std::time::Duration;

/// Steps between a power of two and the next; a quantile is right to within 1/16.
const STEPS: u64 = 1 << STEP_BITS;
const STEP_BITS: u32 = 4;
/// Powers of two of a microsecond above the first steps: up to a minute.
const POWERS: usize = 23;
const CELLS: usize = (POWERS + 1) << STEP_BITS;

/// Counts of durations, by size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Latency {
    cells: Box<[u64]>,
}

impl Default for Latency {
    fn default() -> Self {
        Latency { cells: vec![0; CELLS].into_boxed_slice() }
    }
}

impl Latency {
    /// Counts one; what took more than a minute counts as a minute.
    pub(super) fn add(&mut self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = cell(us).min(CELLS - 1);
        if let Some(count) = self.cells.get_mut(at) {
            *count += 1;
        }
    }

    /// The time within which the share `quantile` (0 to 1) of those answers came that `before` does not hold yet;
    /// `None` when there are none.
    pub(super) fn quantile_since(&self, before: &Latency, quantile: f64) -> Option<Duration> {
        let counts = || self.cells.iter().zip(&before.cells).map(|(now, then)| now.saturating_sub(*then));
        let all: u64 = counts().sum();
        let mut left = all as f64 * quantile;
        let at = counts().position(|count| {
            left -= count as f64;
            count > 0 && left <= 0.0
        })?;
        Some(Duration::from_micros(middle_us(at)))
    }
}

/// The cell of a duration: below `STEPS` one for each microsecond, then `STEPS` for each power of two.
fn cell(us: u64) -> usize {
    let power = us.checked_ilog2().unwrap_or(0).saturating_sub(STEP_BITS);
    let step = us >> power;
    usize::try_from(u64::from(power) * STEPS + step).unwrap_or(usize::MAX)
}

/// A duration that belongs to a cell, from its middle.
fn middle_us(cell: usize) -> u64 {
    let cell = cell as u64;
    if cell < 2 * STEPS {
        return cell;
    }
    let power = cell / STEPS - 1;
    let first = (cell % STEPS + STEPS) << power;
    first + (1 << power) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_holds_what_it_stands_for() {
        for us in (0..5_000).chain([65_535, 65_536, 1_000_000, 59_000_000]) {
            let middle = middle_us(cell(us));
            assert!(middle.abs_diff(us) * STEPS <= us, "{us} us reads as {middle} us");
        }
        assert!(cell(59_000_000) < CELLS);
        let mut latency = Latency::default();
        latency.add(Duration::MAX);
        assert!(latency.quantile_since(&Latency::default(), 0.5) > Some(Duration::from_secs(60)));
    }

    #[test]
    fn quantiles_are_of_what_came_since() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile_since(&Latency::default(), 0.5), None);
        for _ in 0..100 {
            latency.add(Duration::from_secs(1));
        }
        let before = latency.clone();
        assert_eq!(latency.quantile_since(&before, 0.99), None);
        for ms in 1..=100 {
            latency.add(Duration::from_millis(ms));
        }
        let near = |quantile: f64, ms: f64| {
            let found = latency.quantile_since(&before, quantile).unwrap().as_secs_f64() * 1000.0;
            assert!((found / ms - 1.0).abs() < 0.07, "{found} ms instead of {ms} ms");
        };
        near(0.5, 50.0);
        near(0.99, 99.0);
    }
}
