//! How often both arms answer the same, and how sure that is.
//!
//! "No mismatch in 500 comparisons" is a match rate of 100 %, and no proof of 99.9 %. So a rate comes with a lower bound,
//! and the bound is one that may be looked at after every comparison: a classical interval (Clopper and Pearson) holds
//! for one look, and whoever advances at the first moment at which it is good enough advances on luck.
//!
//! # The bound
//!
//! For a rate of mismatches `q`, let `e(q)` be the mean over some ratios `r < 1` of the likelihood ratios
//!
//! ```text
//!   r^F * ((1 - r q) / (1 - q))^(n - F)          F mismatches among n comparisons
//! ```
//!
//! As long as each comparison mismatches with a probability of at least `q`, whatever came before, the expected value of
//! each further factor is at most 1: it is largest at `q` itself, and 1 there. So `e(q)` is a supermartingale that begins
//! at 1, and by Ville's inequality the chance that it ever reaches 1/a is at most a. All `q` at which it has are ruled out
//! with confidence 1 - a at all times; `e` grows with `q`, so what is left ends at one bound. Nothing is assumed of the
//! rate but that: it may move. This is the test of a fixed limit that `rollback-guard` uses, with the sign for going
//! forward. Without any mismatch it needs 5,456 comparisons for 99.9 % at a confidence of 99 %, where one look would
//! need 4,603.
//!
//! Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", arXiv:2010.09686.

use std::fmt;

use super::classes::{ClassCounts, Tally};
use super::endpoint::Endpoint;

/// The alternatives: ratios of rates, and how much of the stake each has. The first is "never", which is what most
/// endpoints do once their real differences are mended.
const ALTERNATIVES: [(f64, f64); 7] =
    [(0.0, 0.30), (0.1, 0.15), (0.3, 0.15), (0.5, 0.10), (0.7, 0.10), (0.87, 0.12), (0.96, 0.08)];

/// How many comparisons are looked ahead for.
const MOST_NEEDED: u64 = 1 << 40;

/// Comparisons that say something about new, and how many of them were mismatches. Noise and races are in neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatchRate {
    /// Matched and mismatched.
    pub judged: u64,
    /// Mismatched; at most `judged`.
    pub mismatched: u64,
}

impl From<&ClassCounts> for MatchRate {
    fn from(counts: &ClassCounts) -> Self {
        let mismatched = counts.of(super::Class::Mismatched);
        MatchRate { judged: counts.judged(), mismatched }
    }
}

impl MatchRate {
    /// The share that matched, 0 to 1; `None` without any comparison.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        (self.judged > 0).then(|| 1.0 - self.mismatched as f64 / self.judged as f64)
    }

    /// What the true rate is at least, with this confidence (0 to 1, such as 0.99), however often it is looked at. 0
    /// where nothing is known.
    #[must_use]
    pub fn at_least(self, confidence: f64) -> f64 {
        1.0 - mismatches_at_most(self.judged as f64, self.mismatched as f64, needed_ln(confidence))
    }

    /// `99.93 %, at least 99.90 %`; both rounded down, so that neither promises too much.
    #[must_use]
    pub fn display(self, confidence: f64) -> MatchRateDisplay {
        MatchRateDisplay { rate: self, at_least: self.at_least(confidence) }
    }
}

/// How [`MatchRate::display`] is written.
#[derive(Clone, Copy, Debug)]
pub struct MatchRateDisplay {
    rate: MatchRate,
    at_least: f64,
}

impl fmt::Display for MatchRateDisplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(rate) = self.rate.rate() else { return f.write_str("no comparisons yet") };
        // As many digits as it takes for what is missing to be seen.
        let digits =
            |share: f64| (2..=6).find(|digits| 1.0 - share >= 10_f64.powi(-2 - *digits)).unwrap_or(6);
        let write = |share: f64, digits: i32| {
            let decimals = usize::try_from(digits).unwrap_or_default();
            format!("{:.decimals$} %", floored(share, digits))
        };
        if self.rate.mismatched == 0 {
            return write!(f, "100 %, at least {}", write(self.at_least, digits(self.at_least)));
        }
        let digits = digits(rate);
        write!(f, "{}, at least {}", write(rate, digits), write(self.at_least, digits))
    }
}

/// A share in per cent, rounded down to this many digits. The small addition keeps what is exact: 0.29 * 100 is not 29.
fn floored(share: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    ((share * 100.0 * scale) + 1e-7).floor() / scale
}

/// What it takes to go on to canary: fewer mismatches than `limit`, with evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// The share of mismatches to stay below, above 0 and below 1. By default 0.1 %.
    pub limit: f64,
    /// How sure that has to be. By default 99 %.
    pub confidence: f64,
}

impl Default for Entry {
    fn default() -> Self {
        Entry { limit: 0.001, confidence: 0.99 }
    }
}

/// Whether the entry condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryState {
    /// There is evidence that mismatches are below the limit.
    Met,
    /// Mismatches are below the limit so far, and there are too few comparisons to say so.
    Needs {
        /// How many more, if mismatches stay as frequent as they are.
        at_this_rate: u64,
        /// How many more without any further mismatch.
        without_mismatch: u64,
    },
    /// Mismatches are at the limit or above it; more of the same will not help.
    TooMany {
        /// How many more comparisons it would take without any further mismatch.
        without_mismatch: u64,
    },
}

impl Entry {
    /// Whether the condition holds for what was compared so far. It may be asked after every comparison.
    #[must_use]
    pub fn state(&self, rate: MatchRate) -> EntryState {
        let (judged, mismatched) = (rate.judged as f64, rate.mismatched as f64);
        let enough = needed_ln(self.confidence);
        if ln_evidence(judged, mismatched, self.limit) >= enough {
            return EntryState::Met;
        }
        let reached = |more: u64, share: f64| {
            let more = more as f64;
            ln_evidence(judged + more, mismatched + more * share, self.limit) >= enough
        };
        let without_mismatch = least(|more| reached(more, 0.0));
        let share = if rate.judged == 0 { 0.0 } else { mismatched / judged };
        if share >= self.limit {
            return EntryState::TooMany { without_mismatch };
        }
        EntryState::Needs { at_this_rate: least(|more| reached(more, share)), without_mismatch }
    }
}

/// The least number for which `holds`, which from there on it always does.
fn least(holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, 1);
    while high < MOST_NEEDED && !holds(high) {
        low = high;
        high *= 2;
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}

fn needed_ln(confidence: f64) -> f64 {
    -(1.0 - confidence.clamp(0.0, 1.0 - 1e-12)).ln()
}

/// The logarithm of the evidence against "at least `limit` of the comparisons are mismatches".
fn ln_evidence(judged: f64, mismatched: f64, limit: f64) -> f64 {
    let matched = (judged - mismatched).max(0.0);
    let of = |(ratio, stake): &(f64, f64)| {
        let mismatches = if mismatched > 0.0 { mismatched * ratio.ln() } else { 0.0 };
        stake.ln() + mismatches + matched * ((-ratio * limit).ln_1p() - (-limit).ln_1p())
    };
    let parts = ALTERNATIVES.map(|alternative| of(&alternative));
    let most = parts.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + parts.iter().map(|part| (part - most).exp()).sum::<f64>().ln()
}

/// The smallest share of mismatches that is ruled out, with all above it.
fn mismatches_at_most(judged: f64, mismatched: f64, enough: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0 - 1e-12);
    if judged <= 0.0 || ln_evidence(judged, mismatched, high) < enough {
        return 1.0;
    }
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if ln_evidence(judged, mismatched, middle) >= enough { high = middle } else { low = middle }
    }
    high
}

/// How much of what is known has been compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Coverage {
    /// Every known endpoint, the one with the most requests first.
    pub endpoints: Vec<EndpointCoverage>,
    /// The share of the requests that went to endpoints with enough comparisons, 0 to 1; 1 where there were none.
    pub share_of_requests: f64,
}

/// How much of one endpoint has been compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointCoverage {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The requests that were seen of it.
    pub requests: u64,
    /// Whether that is enough.
    pub state: Covered,
}

/// Whether an endpoint has been compared often enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covered {
    /// It has.
    Enough,
    /// A few times.
    Few {
        /// Comparisons that said something.
        judged: u64,
    },
    /// Every comparison came to noise or a race, which says nothing about new. A rule that ignores the noise makes the
    /// rest of the answers count.
    OnlyNoise {
        /// How many there were.
        comparisons: u64,
    },
    /// Never.
    Not,
}

impl Coverage {
    /// Of these endpoints ([`super::Endpoints::all`]), of which each should have at least `enough` comparisons that say
    /// something.
    #[must_use]
    pub fn new(known: &[(Endpoint, u64)], tally: &Tally, enough: u64) -> Coverage {
        let covered = |(endpoint, requests): &(Endpoint, u64)| {
            let counts = tally.of(endpoint);
            let state = match (counts.judged(), counts.compared()) {
                (judged, _) if judged >= enough.max(1) => Covered::Enough,
                (0, 0) => Covered::Not,
                (0, comparisons) => Covered::OnlyNoise { comparisons },
                (judged, _) => Covered::Few { judged },
            };
            EndpointCoverage { endpoint: endpoint.clone(), requests: *requests, state }
        };
        let mut endpoints: Vec<_> = known.iter().map(covered).collect();
        endpoints.sort_by(|one, other| {
            other.requests.cmp(&one.requests).then_with(|| one.endpoint.cmp(&other.endpoint))
        });
        let sum = |endpoints: &mut dyn Iterator<Item = &EndpointCoverage>| {
            // From 0, since the sum of nothing is -0.
            endpoints.fold(0.0, |sum, endpoint| sum + endpoint.requests as f64)
        };
        let whole = sum(&mut endpoints.iter());
        let enough = sum(&mut endpoints.iter().filter(|endpoint| endpoint.state == Covered::Enough));
        Coverage { share_of_requests: if whole > 0.0 { enough / whole } else { 1.0 }, endpoints }
    }

    /// The endpoints that have not been compared often enough, the one with the most requests first.
    pub fn missing(&self) -> impl Iterator<Item = &EndpointCoverage> {
        self.endpoints.iter().filter(|endpoint| endpoint.state != Covered::Enough)
    }
}

#[cfg(test)]
mod tests;
