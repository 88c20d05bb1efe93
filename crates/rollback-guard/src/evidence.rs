//! The e-value of one block of requests: how much better "new is worse" explains it than anything that is tolerated.
//!
//! Of a block we know `n1` requests of new, of which `f1` were bad, and `n0` and `f0` of old at the same time. New at
//! rate `p1` and old at rate `p0` are *tolerated* while `p1 <= p0 + margin`. An alternative says `p1 = t1`, with old
//! at `t0`. Of all tolerated pairs, one is closest to it: the pair `(g, e)` on the line `g = e + margin` that
//! minimises `r * KL(t1 || g) + KL(t0 || e)`, with `r = n1 / n0`. Then
//!
//! ```text
//! ln S = f1 ln(t1/g) + (n1-f1) ln((1-t1)/(1-g)) + f0 ln(t0/e) + (n0-f0) ln((1-t0)/(1-e))
//! ```
//!
//! has an expected `S` of at most 1 under *every* tolerated pair, so that `S` can be multiplied over blocks like the
//! winnings of fair bets: if the product ever gets large, luck is a bad explanation. It does not matter how large the
//! blocks are, how often one looks, how old's rate moves from block to block, or how good the guess `t0` is; a bad
//! guess costs speed, never validity. The guess must come from earlier blocks only.
//!
//! This is the two-sample e-variable of Turner, Ly and Grunwald (arXiv:2106.02693) with a linear margin (Turner and
//! Grunwald, arXiv:2203.09785). Turned round (tolerated: `p1 >= p0 + margin`, alternatives below) it is evidence that
//! new is *not* worse. Against a fixed rate there is no old, and the closest tolerated rate is the limit itself.
//!
//! With the answers to one and the same request on both arms, failures come in pairs. That only lowers the expected
//! `S`, since it rises with failures of new and falls with those of old; the bound holds.

/// Alternatives in which new is worse: these multiples of the tolerated odds, and two rates of their own.
const WORSE_ODDS: [f64; 5] = [1.5, 2.5, 5.0, 12.0, 40.0];
/// Half down, and hard down.
const WORSE_RATES: [f64; 2] = [0.5, 0.97];
/// How many alternatives there are in which new is worse.
pub(crate) const WORSE: usize = WORSE_ODDS.len() + WORSE_RATES.len();
/// How many there are in which it is not.
pub(crate) const BETTER: usize = WORSE_ODDS.len();

/// Halvings, on a logarithmic scale, in the search for the closest tolerated pair.
const HALVINGS: u32 = 22;
const LEAST_RATE: f64 = 1e-9;

/// Counts of one block, as the formulas take them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Block {
    pub(crate) new: f64,
    pub(crate) new_bad: f64,
    pub(crate) old: f64,
    pub(crate) old_bad: f64,
}

impl Block {
    pub(crate) fn add(&mut self, counts: &Block) {
        self.new += counts.new;
        self.new_bad += counts.new_bad;
        self.old += counts.old;
        self.old_bad += counts.old_bad;
    }
}

/// Which way the margin is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Worse,
    NotWorse,
}

/// An alternative and the tolerated pair closest to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bet<const N: usize> {
    /// New's rate in each alternative; NaN where the alternative is switched off.
    new: [f64; N],
    /// Old's rate in all of them.
    old: f64,
    closest_new: [f64; N],
    closest_old: [f64; N],
}

impl<const N: usize> Bet<N> {
    /// The logarithm of the block's evidence for each alternative; 0 where one is switched off.
    pub(crate) fn ln_evidence(&self, block: &Block) -> [f64; N] {
        std::array::from_fn(|k| {
            let (new, old) = (self.new[k], self.old);
            let (g, e) = (self.closest_new[k], self.closest_old[k]);
            let ln_s = block.new_bad * (new / g).ln()
                + (block.new - block.new_bad) * ((1.0 - new) / (1.0 - g)).ln()
                + block.old_bad * (old / e).ln()
                + (block.old - block.old_bad) * ((1.0 - old) / (1.0 - e)).ln();
            if new.is_nan() { 0.0 } else { ln_s }
        })
    }
}

/// The bets that new is worse than old and the margin.
pub(crate) fn worse_than_old(old: f64, margin: f64, ratio: f64) -> Bet<WORSE> {
    bet(worse_alternatives(old + margin), old, margin, ratio, Claim::Worse)
}

/// The bets that new is not as bad as old and the margin.
pub(crate) fn better_than_old(old: f64, margin: f64, ratio: f64) -> Bet<BETTER> {
    bet(better_alternatives(old + margin), old, margin, ratio, Claim::NotWorse)
}

/// The bets that new is above a fixed rate.
pub(crate) fn above(limit: f64) -> Bet<WORSE> {
    fixed(worse_alternatives(limit), limit)
}

/// The bets that new is below a fixed rate.
pub(crate) fn below(limit: f64) -> Bet<BETTER> {
    fixed(better_alternatives(limit), limit)
}

/// The bets that new is at the rates of [`above`] while old is at `old`, against everything in which new is no worse
/// than old. Switched off where the alternative is not above `old`.
pub(crate) fn above_and_worse_than_old(limit: f64, old: f64, ratio: f64) -> Bet<WORSE> {
    let alternatives = worse_alternatives(limit).map(|new| if new > old { new } else { f64::NAN });
    bet(alternatives, old, 0.0, ratio, Claim::Worse)
}

fn fixed<const N: usize>(new: [f64; N], limit: f64) -> Bet<N> {
    Bet { new, old: 0.5, closest_new: [limit; N], closest_old: [0.5; N] }
}

fn worse_alternatives(tolerated: f64) -> [f64; WORSE] {
    let odds = tolerated / (1.0 - tolerated);
    std::array::from_fn(|k| match WORSE_ODDS.get(k) {
        Some(factor) => {
            let rate = (odds * factor / (1.0 + odds * factor)).min(0.995);
            // Nothing is worse than what is tolerated when that is nearly everything.
            if tolerated < 1.0 && rate > tolerated { rate } else { f64::NAN }
        }
        None => {
            let rate = WORSE_RATES[k - WORSE_ODDS.len()];
            if rate > 1.3 * tolerated { rate } else { f64::NAN }
        }
    })
}

fn better_alternatives(tolerated: f64) -> [f64; BETTER] {
    let odds = tolerated / (1.0 - tolerated);
    WORSE_ODDS.map(|factor| {
        let lower = odds * (1.0 / factor);
        if tolerated < 1.0 { lower / (1.0 + lower) } else { f64::NAN }
    })
}

/// Finds the closest tolerated pair by bisection for all alternatives at once.
fn bet<const N: usize>(new: [f64; N], old: f64, margin: f64, ratio: f64, claim: Claim) -> Bet<N> {
    // A stand-in for what is switched off, with which the search does no harm.
    let target = new.map(|rate| if rate.is_nan() { (old + margin).min(0.5) } else { rate });
    let ends = target.map(|rate| (rate - margin).max(LEAST_RATE));
    let (mut low, mut high) = match claim {
        Claim::Worse => ([old; N], ends),
        Claim::NotWorse => (ends.map(|end| end.min(old)), [old; N]),
    };
    for _ in 0..HALVINGS {
        for k in 0..N {
            let e = (low[k] * high[k]).sqrt();
            let g = e + margin;
            let slope = ratio * (g - target[k]) * e * (1.0 - e) + (e - old) * g * (1.0 - g);
            let past = slope > 0.0;
            high[k] = if past { e } else { high[k] };
            low[k] = if past { low[k] } else { e };
        }
    }
    let closest_old: [f64; N] = std::array::from_fn(|k| (low[k] * high[k]).sqrt());
    Bet { new, old, closest_new: closest_old.map(|e| e + margin), closest_old }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The probability of `k` of `n` at rate `p`, for small numbers.
    fn binomial(n: i32, k: i32, p: f64) -> f64 {
        let ways = (0..k).fold(1.0, |ways, i| ways * f64::from(n - i) / f64::from(i + 1));
        ways * p.powi(k) * (1.0 - p).powi(n - k)
    }

    /// The exact expected value of S over all outcomes of a block.
    fn expected<const N: usize>(bet: &Bet<N>, n1: i32, n0: i32, p1: f64, p0: f64) -> [f64; N] {
        let mut sum = [0.0; N];
        for f1 in 0..=n1 {
            for f0 in 0..=n0 {
                let chance = binomial(n1, f1, p1) * binomial(n0, f0, p0);
                let [new, new_bad, old, old_bad] = [n1, f1, n0, f0].map(f64::from);
                let ln_s = bet.ln_evidence(&Block { new, new_bad, old, old_bad });
                (0..N).for_each(|k| sum[k] += chance * ln_s[k].exp());
            }
        }
        sum
    }

    const RATES: [f64; 6] = [0.0, 0.001, 0.02, 0.2, 0.6, 0.9];

    #[test]
    fn the_expected_evidence_of_what_is_tolerated_is_at_most_one() {
        for (n1, n0) in [(1, 1), (3, 9), (10, 2)] {
            let ratio = f64::from(n1) / f64::from(n0);
            for guess in [1e-5, 0.002, 0.05, 0.4, 0.9] {
                for margin in [0.0, 0.001, 0.005, 0.05] {
                    let worse = worse_than_old(guess, margin, ratio);
                    let better = better_than_old(guess, margin, ratio);
                    for p0 in RATES {
                        let line = p0 + margin;
                        for share in [0.0, 0.7, 1.0] {
                            let tolerated = expected(&worse, n1, n0, line * share, p0);
                            assert!(tolerated.iter().all(|s| *s <= 1.0 + 1e-6), "{tolerated:?}");
                        }
                        let not_better = (line * 1.3).min(1.0);
                        for p1 in [line, not_better] {
                            let s = expected(&better, n1, n0, p1, p0);
                            assert!(
                                s.iter().all(|s| *s <= 1.0 + 1e-6),
                                "{n1} {n0} {guess} {margin} {p1} {s:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_fixed_limit_is_bet_against_alike() {
        for limit in [0.001, 0.01, 0.5] {
            for share in [0.2, 1.0] {
                let s = expected(&above(limit), 9, 1, limit * share, 0.3);
                assert!(s.iter().all(|s| *s <= 1.0 + 1e-9), "{s:?}");
            }
            let s = expected(&below(limit), 9, 1, limit * 1.5, 0.3);
            assert!(s.iter().all(|s| *s <= 1.0 + 1e-9), "{s:?}");
        }
        let shared = above_and_worse_than_old(0.01, 0.001, 0.5);
        let s = expected(&shared, 4, 8, 0.5, 0.5);
        assert!(s.iter().all(|s| *s <= 1.0 + 1e-6), "both at 50 %: {s:?}");
    }

    #[test]
    fn the_closest_pair_is_the_closed_form_without_a_margin() {
        let bet = worse_than_old(0.01, 0.0, 0.25);
        for k in 0..WORSE {
            let e = (0.25 * bet.new[k] + 0.01) / 1.25;
            assert!((bet.closest_old[k] / e - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn alternatives_beyond_everything_are_switched_off() {
        assert!(worse_alternatives(0.999).iter().all(|rate| rate.is_nan()));
        assert!(worse_alternatives(1.2).iter().all(|rate| rate.is_nan()));
        assert!(worse_alternatives(0.45)[5].is_nan());
        let off = worse_than_old(0.9, 0.2, 1.0).ln_evidence(&Block {
            new: 5.0,
            new_bad: 5.0,
            old: 5.0,
            old_bad: 5.0,
        });
        assert_eq!(off, [0.0; WORSE]);
    }

    #[test]
    fn pairs_that_fail_together_are_no_evidence() {
        // One request on both arms that fails on both with chance p, or on neither.
        let bet = worse_than_old(0.002, 0.005, 1.0);
        for p in [0.001, 0.05, 0.5] {
            let both = bet.ln_evidence(&Block { new: 1.0, new_bad: 1.0, old: 1.0, old_bad: 1.0 });
            let none = bet.ln_evidence(&Block { new: 1.0, new_bad: 0.0, old: 1.0, old_bad: 0.0 });
            for k in 0..WORSE {
                assert!(p * both[k].exp() + (1.0 - p) * none[k].exp() <= 1.0);
            }
        }
    }
}
