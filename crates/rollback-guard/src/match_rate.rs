//! How often both arms answer the same, and what that is at least.
//!
//! "No mismatch in 500 comparisons" is a match rate of 100 %, and no proof of 99.9 %. So a rate comes with a lower bound,
//! and the bound is one that may be looked at after every comparison: a classical interval (Clopper and Pearson) holds
//! for one look, and whoever goes forward at the first moment at which it is good enough goes forward on luck.
//!
//! The bound is the advance gate turned round: all higher rates of mismatches are ruled out by the e-value of 100 that
//! opens the gate, whichever limit that has. The e-value of a rate grows with the rate, so what is left ends at one bound,
//! and it reaches the limit of a gate at the very comparison at which that gate opens. For 99.9 % at a confidence of 99 %
//! that takes 5,537 comparisons without a mismatch, where one look would need 4,603.
//!
//! Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", arXiv:2010.09686.

use std::fmt;

use crate::evidence::{Block, below};
use crate::gate::{PASS_LN, mixed};

/// How sure a lower bound is, 0 to 1: one that is wrong at any time has a chance of at most 1 in 100.
pub const MATCH_CONFIDENCE: f64 = 0.99;

/// The highest rate of mismatches that a lower bound of matches is looked for under.
const HIGHEST_RATE: f64 = 1.0 - 1e-9;
const HALVINGS: u32 = 50;
/// What a bound that has not reached the gate's limit stays below it, so that it does not look as if it had.
const SHORT_OF: f64 = 1e-9;

/// Comparisons that say something about new, how many of them differed, and what share matches at least. Noise and races
/// are in none of it.
///
/// It is written as `99.93 %, at least 99.90 %`, both rounded down, so that neither promises too much.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MatchRate {
    compared: u64,
    differed: u64,
    at_least: f64,
}

impl MatchRate {
    /// Of so many comparisons, `differed` of which did not match: at most all of them.
    #[must_use]
    pub fn of(compared: u64, differed: u64) -> Self {
        let differed = differed.min(compared);
        MatchRate { compared, differed, at_least: at_least(compared, differed) }
    }

    /// The same, as the gate with this limit sees it: once that has opened, it stays shown that fewer differ.
    pub(crate) fn at_gate(compared: u64, differed: u64, limit: f64, is_open: bool) -> Self {
        let rate = Self::of(compared, differed);
        let line = 1.0 - limit;
        let at_least = if is_open { rate.at_least.max(line) } else { rate.at_least.min(line - SHORT_OF) };
        MatchRate { at_least: at_least.max(0.0), ..rate }
    }

    /// Comparisons.
    #[must_use]
    pub const fn compared(self) -> u64 {
        self.compared
    }

    /// Those that differed; at most all of them.
    #[must_use]
    pub const fn differed(self) -> u64 {
        self.differed
    }

    /// The share that matched, 0 to 1; `None` without any comparison.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        let matched = self.compared - self.differed;
        (self.compared > 0).then(|| matched as f64 / self.compared as f64)
    }

    /// What the true rate is at least, 0 to 1, with [`MATCH_CONFIDENCE`], however often it is looked at. 0 where nothing
    /// is known.
    #[must_use]
    pub const fn at_least(self) -> f64 {
        self.at_least
    }
}

fn at_least(compared: u64, differed: u64) -> f64 {
    let block = Block { new: compared as f64, new_bad: differed as f64, ..Block::default() };
    let is_ruled_out = |rate: f64| mixed(&below(rate).ln_evidence(&block)) >= PASS_LN;
    let (mut low, mut high) = (0.0, HIGHEST_RATE);
    if compared == 0 || !is_ruled_out(high) {
        return 0.0;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        *(if is_ruled_out(middle) { &mut high } else { &mut low }) = middle;
    }
    1.0 - high
}

impl fmt::Display for MatchRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(rate) = self.rate() else { return f.write_str("no comparisons yet") };
        if self.differed == 0 {
            return write!(f, "100 %, at least {} %", floored(self.at_least));
        }
        write!(f, "{} %, at least {} %", floored(rate), floored(self.at_least))
    }
}

/// In per cent, rounded down, with as many digits as it takes for what is missing to be seen: 2 to 6.
fn floored(share: f64) -> String {
    let digits = (2..6).find(|digits| 1.0 - share >= 10_f64.powi(-2 - digits)).unwrap_or(6);
    let scale = 10_f64.powi(digits);
    // The small addition keeps what is exact: 0.29 * 100 is not 29.
    let percent = (share * 100.0 * scale + 1e-7).floor() / scale;
    format!("{percent:.*}", usize::try_from(digits).unwrap_or_default())
}

#[cfg(test)]
mod tests;
