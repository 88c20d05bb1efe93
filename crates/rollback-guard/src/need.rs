//! How many more requests something takes: "not enough evidence yet" with a number.
//!
//! If the truth were known, each request would add a known amount to the logarithm of the evidence on average, and
//! what is still missing divided by that is the number of requests. The formula predicts simulated medians within
//! about a fifth, except where the burst cap rules: nothing is ever noticed in less than about 0.3 s.

use std::time::Duration;

use crate::evidence::{BETTER, Block, above, below, better_than_old, worse_than_old};
use crate::gate::{PASS_LN, Proof};
use crate::limits::{Against, Pick};
use crate::{Cause, Guard, Need, Signal};

/// More than this is "never" for all that anybody waits for.
const MOST_REQUESTS: f64 = 1e12;

impl Guard {
    /// After how many more requests of new a share `failing` of failures would be noticed and rolled back, if it began
    /// now. `None` where so few are tolerated, or failures are not judged, or there is no traffic to compare with.
    #[must_use]
    pub fn need_to_notice(&self, failing: f64) -> Option<Need> {
        let failing = failing.clamp(0.0, 1.0);
        let tests = self.rollback.tests.iter().filter(|test| test.spec.cause.signal == Signal::ErrorRate);
        let least = tests.filter_map(|test| {
            let old = test.old.estimate(test.spec.prior);
            let (bet, ratio) = match test.spec.against {
                Against::Old { margin } => {
                    let ratio = self.traffic.ratio()?;
                    (worse_than_old(old, margin, ratio), ratio)
                }
                Against::Fixed { rate } | Against::FixedAlone { rate } => (above(rate), f64::INFINITY),
            };
            let growth = bet.ln_evidence(&expected(failing, old, ratio));
            let missing = test.base.map(|capital| -capital.max(1e-300).ln());
            soonest(&missing, &growth)
        });
        least.min_by(f64::total_cmp).and_then(|requests| self.need(requests))
    }

    /// How many requests of new it takes to show that it is no worse, if it is exactly as good as old, from the beginning
    /// of a step in which it gets `share` of all requests, above 0 and below 1. `None` if that cannot be reckoned yet.
    #[must_use]
    pub fn need_for_gate_at(&self, share: f64) -> Option<Need> {
        let ratio = share / (1.0 - share);
        let mut most = 0.0_f64;
        // What is shown of comparisons is shown for all steps, and not by requests of new.
        for proof in self.gate.proofs.iter().filter(|proof| proof.spec.pick != Pick::Mismatches) {
            let mut fresh = proof.clone();
            fresh.ln_e = [0.0; BETTER];
            most = most.max(self.requests_at(&fresh, ratio)?);
        }
        let requests = (most > 0.0 && most < MOST_REQUESTS).then(|| most.ceil())?;
        let per_s = self.traffic.all_per_s().map(|all| all * share);
        let time = per_s.and_then(|rate| Duration::try_from_secs_f64(requests / rate).ok());
        Some(Need { requests: rounded(requests), time })
    }

    /// How many more requests of new it takes to show that it is no worse, if it is exactly as good as old. `None` if
    /// that is shown already, or cannot be shown at present.
    #[must_use]
    pub fn need_for_gate(&self) -> Option<Need> {
        self.slowest_proof().and_then(|(_, requests)| self.need(requests))
    }

    /// The signal that will be shown to be no worse last, but for what comparisons show, and how many requests that takes; infinitely many where it
    /// cannot be shown at present.
    pub(crate) fn slowest_proof(&self) -> Option<(Cause, f64)> {
        let of_requests = |proof: &&Proof| !proof.passed && proof.spec.pick != Pick::Mismatches;
        let missing = self.active_gate().proofs.iter().filter(of_requests);
        let each = missing.map(|proof| (proof.spec.cause, self.requests_for(proof).unwrap_or(f64::INFINITY)));
        each.reduce(|slowest, next| if next.1 > slowest.1 { next } else { slowest })
    }

    fn requests_for(&self, proof: &Proof) -> Option<f64> {
        match proof.spec.against {
            Against::Old { .. } => self.requests_at(proof, self.traffic.ratio()?),
            Against::Fixed { .. } | Against::FixedAlone { .. } => self.requests_at(proof, f64::INFINITY),
        }
    }

    fn requests_at(&self, proof: &Proof, ratio: f64) -> Option<f64> {
        let seen = proof.total;
        let new_rate = (seen.new_bad + 0.5) / (seen.new + 1.0);
        let (bet, block) = match (proof.spec.against, proof.spec.pick) {
            (Against::Old { margin }, pick) => {
                let guess = proof.old.estimate(proof.spec.prior);
                let (new, old) = match pick {
                    Pick::Slower { quantile, shift } => {
                        let edge = self.old_latency.edge(quantile)?;
                        (
                            self.old_latency.share_from(self.limits.slow_from(edge, shift)),
                            self.old_latency.share_from(edge),
                        )
                    }
                    _ => (guess, guess),
                };
                (better_than_old(guess, margin, ratio), expected(new, old, ratio))
            }
            (Against::Fixed { rate } | Against::FixedAlone { rate }, _) => {
                (below(rate), expected(new_rate, 0.0, f64::INFINITY))
            }
        };
        let growth = bet.ln_evidence(&block);
        // The mean over the alternatives has to reach the line; reckoned as if one of them did it alone.
        let line = PASS_LN + (growth.len() as f64).ln();
        soonest(&proof.ln_e.map(|ln_e| line - ln_e), &growth)
    }

    pub(crate) fn need(&self, requests: f64) -> Option<Need> {
        if requests.is_nan() || requests >= MOST_REQUESTS {
            return None;
        }
        let requests = requests.ceil().max(1.0);
        let time =
            self.traffic.new_per_s().and_then(|rate| Duration::try_from_secs_f64(requests / rate).ok());
        Some(Need { requests: rounded(requests), time })
    }
}

impl Block {
    /// As whole numbers: new, new's bad ones, old, old's bad ones.
    pub(crate) fn rounded(&self) -> [u64; 4] {
        [self.new, self.new_bad, self.old, self.old_bad].map(rounded)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, held in a float")]
pub(crate) fn rounded(count: f64) -> u64 {
    count.round().max(0.0) as u64
}

/// What one request of new comes with on average.
fn expected(new: f64, old: f64, ratio: f64) -> Block {
    let per_new = 1.0 / ratio;
    Block { new: 1.0, new_bad: new, old: per_new, old_bad: old * per_new }
}

/// The least number of requests with which one of the alternatives gets there.
pub(crate) fn soonest<const N: usize>(missing: &[f64; N], growth: &[f64; N]) -> Option<f64> {
    let each = missing.iter().zip(growth).filter(|(_, growth)| **growth > 0.0);
    each.map(|(missing, growth)| missing.max(0.0) / growth).min_by(f64::total_cmp)
}
