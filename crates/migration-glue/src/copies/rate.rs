//! How often something may be, kept by a clock that may be coarse.

use std::cell::Cell;

/// How many copies there may be in a second: a bucket of tokens that holds a tenth of a second's, and one at least.
#[derive(Debug)]
pub struct Rate {
    /// How coarse the clock is, in milliseconds.
    tick_ms: u64,
    /// In thousandths of a copy.
    tokens: Cell<u64>,
    filled_at_ms: Cell<u64>,
    has_begun: Cell<bool>,
}

impl Rate {
    const COPY: u64 = 1_000;

    /// For a clock that moves by so many milliseconds at once, 1 at least.
    #[must_use]
    pub const fn by_ticks_of(tick_ms: u64) -> Self {
        Rate { tick_ms, tokens: Cell::new(0), filled_at_ms: Cell::new(0), has_begun: Cell::new(false) }
    }

    /// Whether there may be one more at `now_ms` on a clock that never goes back, of `per_second`.
    #[must_use]
    pub fn take(&self, per_second: u32, now_ms: u64) -> bool {
        let per_second = u64::from(per_second);
        // One tick of the clock on top, so that nothing is lost to it.
        let most = (per_second * Self::COPY / 10).max(Self::COPY + per_second * self.tick_ms);
        let past_ms = now_ms.saturating_sub(self.filled_at_ms.replace(now_ms));
        // A second's worth of copies is as many thousandths of a copy each millisecond.
        let tokens = if self.has_begun.replace(true) {
            self.tokens.get().saturating_add(past_ms.saturating_mul(per_second)).min(most)
        } else {
            most
        };
        let fits = per_second > 0 && tokens >= Self::COPY;
        self.tokens.set(if fits { tokens - Self::COPY } else { tokens });
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_over_any_second() {
        for per_second in [1, 7, 100, 1_000, 50_000] {
            let rate = Rate::by_ticks_of(25);
            let mut taken = Vec::new();
            for tick in 0..400_u64 {
                let now_ms = tick * 25;
                let now = (0..2_000).take_while(|_| rate.take(per_second, now_ms)).count();
                taken.push(u32::try_from(now).unwrap());
            }
            let any_second = taken.windows(40).map(|second| second.iter().sum::<u32>()).max().unwrap();
            assert!(any_second <= per_second + (per_second / 10).max(1), "{any_second} of {per_second}");
            let all: u32 = taken.iter().sum();
            assert!(all >= per_second * 10 - per_second / 10, "{all} in ten seconds of {per_second}");
        }
        assert!(!Rate::by_ticks_of(25).take(0, 5_000));
    }
}
