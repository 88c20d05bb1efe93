//! When copies to an arm fail too often to be worth sending: a breaker, with its numbers.
//!
//! It opens after [`ROW`] failures in a row, or when as large a share of the last [`WINDOW`] copies failed as the operator
//! says. While it is open one copy is let through each [`PROBE_MS`]; one that is answered closes it, and the count begins anew. Any whole
//! answer is a success, whatever it says: a status that differs is for the comparison to tell.

use traffic_split::Percent;

/// Failures in a row that open it.
const ROW: u32 = 10;
/// How many of the latest copies the share is taken over, as bits.
const WINDOW: u32 = 64;
/// How often one copy is let through while it is open, in milliseconds.
pub const PROBE_MS: u64 = 1_000;

/// Judges the copies of one migration to one arm.
#[derive(Debug, Default)]
pub struct Breaker {
    /// The latest copies, the last one lowest: 1 where it failed.
    failed: u64,
    seen: u32,
    in_a_row: u32,
    is_open: bool,
}

/// The breaker has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Failures, of so many.
    Opened {
        /// Copies that failed.
        failed: u32,
        /// Copies looked at, the latest 64 at most.
        of: u32,
    },
    /// A copy was answered again.
    Closed,
}

impl Breaker {
    /// Whether copies are held back, but for one now and then.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Takes note of a copy. `most`: the share of failures at which it opens; `None`: it never does.
    pub fn note(&mut self, failed: bool, most: Option<Percent>) -> Option<Turn> {
        if self.is_open {
            if failed && most.is_some() {
                return None;
            }
            *self = Breaker::default();
            return Some(Turn::Closed);
        }
        self.failed = self.failed << 1 | u64::from(failed);
        self.seen = (self.seen + 1).min(WINDOW);
        self.in_a_row = if failed { self.in_a_row + 1 } else { 0 };
        let share = self.failed.count_ones();
        let most = most?;
        let is_too_many = u64::from(share) * u64::from(Percent::FULL.millionths())
            >= u64::from(most.millionths()) * u64::from(WINDOW);
        if self.in_a_row < ROW && !(self.seen == WINDOW && is_too_many) {
            return None;
        }
        self.is_open = true;
        Some(Turn::Opened { failed: share, of: self.seen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(percent: u32) -> Option<Percent> {
        Percent::from_millionths(percent * 1_000_000).ok()
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_answer_closes_it() {
        let mut breaker = Breaker::default();
        assert!((1..ROW).all(|_| breaker.note(true, percent(50)).is_none()));
        assert_eq!(breaker.note(true, percent(50)), Some(Turn::Opened { failed: ROW, of: ROW }));
        assert!(breaker.is_open() && breaker.note(true, percent(50)).is_none());
        assert_eq!(breaker.note(false, percent(50)), Some(Turn::Closed));
        assert!(!breaker.is_open());
        assert!((1..ROW).all(|_| breaker.note(true, percent(50)).is_none()), "the count began anew");
        assert!(breaker.note(false, percent(50)).is_none());
        assert!((1..ROW).all(|_| breaker.note(true, percent(50)).is_none()));
    }

    #[test]
    fn the_share_of_many_opens_it() {
        for (share, every, opens) in [(50, 2, true), (51, 2, false), (25, 4, true), (26, 4, false)] {
            let most = percent(share);
            let mut breaker = Breaker::default();
            let turns: Vec<Turn> = (0..1_000).filter_map(|at| breaker.note(at % every == 0, most)).collect();
            assert_eq!(!turns.is_empty(), opens, "{share} %, one in {every}: {turns:?}");
        }
        let mut breaker = Breaker::default();
        assert!(
            (0..WINDOW - 1).all(|at| breaker.note(at % 2 == 0, percent(50)).is_none()),
            "few say nothing"
        );
    }

    #[test]
    fn it_never_opens_where_the_operator_says_so() {
        let mut breaker = Breaker::default();
        assert!((0..1_000).all(|_| breaker.note(true, None).is_none()) && !breaker.is_open());
        assert!((0..ROW).any(|_| breaker.note(true, percent(50)).is_some()));
        assert_eq!(breaker.note(true, None), Some(Turn::Closed), "not any more");
    }
}
