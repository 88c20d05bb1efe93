//! When copies to an arm fail too often to be worth sending: a breaker, with its numbers.
//!
//! It opens after [`ROW`] failures in a row, or when more than half of the last [`WINDOW`] copies failed. While it is open
//! the worker lets one copy through each [`PROBE_MS`]; one that is answered closes it, and the count begins anew. Any whole
//! answer is a success, whatever it says: a status that differs is for the comparison to tell.

/// Failures in a row that open it.
const ROW: u32 = 10;
/// How many of the latest copies the share is taken over, as bits.
const WINDOW: u32 = 64;
/// How often one copy is let through while it is open, in milliseconds.
pub(crate) const PROBE_MS: u64 = 1_000;

/// Judges the copies of one migration to one arm.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// The latest copies, the last one lowest: 1 where it failed.
    failed: u64,
    seen: u32,
    in_a_row: u32,
    is_open: bool,
}

/// The breaker has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Failures, of so many.
    Opened { failed: u32, of: u32 },
    /// A copy was answered again.
    Closed,
}

impl Breaker {
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    pub(crate) fn note(&mut self, failed: bool) -> Option<Turn> {
        if self.is_open {
            if failed {
                return None;
            }
            *self = Breaker::default();
            return Some(Turn::Closed);
        }
        self.failed = self.failed << 1 | u64::from(failed);
        self.seen = (self.seen + 1).min(WINDOW);
        self.in_a_row = if failed { self.in_a_row + 1 } else { 0 };
        let share = self.failed.count_ones();
        let is_full = self.seen == WINDOW && share * 2 > WINDOW;
        if self.in_a_row < ROW && !is_full {
            return None;
        }
        self.is_open = true;
        Some(Turn::Opened { failed: share, of: self.seen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_open_it_and_one_answer_closes_it() {
        let mut breaker = Breaker::default();
        assert!((1..ROW).all(|_| breaker.note(true).is_none()));
        assert_eq!(breaker.note(true), Some(Turn::Opened { failed: ROW, of: ROW }));
        assert!(breaker.is_open() && breaker.note(true).is_none());
        assert_eq!(breaker.note(false), Some(Turn::Closed));
        assert!(!breaker.is_open());
        assert!((1..ROW).all(|_| breaker.note(true).is_none()), "the count began anew");
        assert!(breaker.note(false).is_none());
        assert!((1..ROW).all(|_| breaker.note(true).is_none()));
    }

    #[test]
    fn more_than_half_of_many_open_it() {
        let mut breaker = Breaker::default();
        let half = (0..1_000).map(|at| breaker.note(at % 2 == 0)).all(|turn| turn.is_none());
        assert!(half && !breaker.is_open(), "half is not more than half");
        let mut opened = None;
        for at in 0..1_000 {
            opened = opened.or(breaker.note(at % 3 != 0));
        }
        assert!(matches!(opened, Some(Turn::Opened { failed: 33.., of: 64 })), "{opened:?}");
    }
}
