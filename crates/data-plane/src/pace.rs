//! Whether a client sends its body, and takes its answer, fast enough to be worth a place.

/// What has moved since when, on the worker's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    since_ms: Option<u64>,
    bytes: u64,
}

impl Pace {
    /// `bytes` have moved, and the client was the one to be waited for. `false` when that is too few: less than
    /// `min_rate_bytes` a second over `period_ms` or more.
    pub(crate) fn note(&mut self, bytes: u64, min_rate_bytes: u64, period_ms: u64, now_ms: u64) -> bool {
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        self.bytes += bytes;
        let past_ms = now_ms.saturating_sub(since_ms);
        if past_ms < period_ms {
            return true;
        }
        let enough = self.bytes.saturating_mul(1_000) >= min_rate_bytes.saturating_mul(past_ms);
        *self = Pace { since_ms: Some(now_ms), bytes: 0 };
        enough
    }

    /// Somebody else was the one to be waited for: the time begins anew.
    pub(crate) fn rest(&mut self) {
        *self = Pace::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_is_too_slow_and_a_pause_is_not() {
        let mut pace = Pace::default();
        assert!((0..10).all(|second| pace.note(1, 100, 10_000, second * 1_000)));
        assert!(!pace.note(1, 100, 10_000, 10_000), "11 bytes in 10 s");
        assert!((10..20).all(|second| pace.note(100, 100, 10_000, second * 1_000)));
        assert!(pace.note(100, 100, 10_000, 20_000), "1,100 bytes in 10 s");
        assert!(!pace.note(1, 100, 10_000, 70_000), "and then nothing for long");
        pace.note(1, 100, 10_000, 71_000);
        pace.rest();
        assert!(pace.note(1, 100, 10_000, 200_000), "the upstream's time does not count");
        assert!(pace.note(0, 0, 10_000, 900_000), "no rate is asked for");
    }
}
