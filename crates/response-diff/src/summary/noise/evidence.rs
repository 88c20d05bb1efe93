//! The evidence about one path: bets on which of two things differs more often.

/// How much of what there is each bet risks, and how much of the stake it has. All of it finds what always varies,
/// little of it what rarely does.
const BETS: [(f64, f64); 6] =
    [(0.05, 0.10), (0.1, 0.10), (0.2, 0.25), (0.35, 0.15), (0.6, 0.10), (1.0, 0.30)];

/// How many bets there are.
pub(super) const BETS_MADE: usize = BETS.len();

/// No bet grows over this: it changes nothing any more, and numbers stay numbers.
const MOST: f64 = 1e12;

/// What a bet that has lost all is taken for when asked how long it needs: a later stake.
const LEAST: f64 = 1e-3;

/// What several bets on the same claim have come to. It begins at nothing; stakes are paid in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wealth([f64; BETS_MADE]);

impl Wealth {
    pub(super) const NONE: Wealth = Wealth([0.0; BETS_MADE]);

    /// What was kept; `None` where it is not as many finite numbers as there are bets.
    pub(super) fn restored(kept: &[f64]) -> Option<Wealth> {
        let kept: [f64; BETS_MADE] = kept.try_into().ok()?;
        kept.iter().all(|wealth| (0.0..=MOST).contains(wealth)).then_some(Wealth(kept))
    }

    pub(super) fn to_vec(self) -> Vec<f64> {
        self.0.to_vec()
    }

    pub(super) fn stake(&mut self, amount: f64) {
        for (wealth, (_, share)) in self.0.iter_mut().zip(BETS) {
            *wealth += amount * share;
        }
    }

    /// Plays one round. `gain` is at least -1, and its expected value at most 0 where the claim is false.
    pub(super) fn play(&mut self, gain: f64) {
        for (wealth, (risked, _)) in self.0.iter_mut().zip(BETS) {
            *wealth = (*wealth * (1.0 + risked * gain)).clamp(0.0, MOST);
        }
    }

    pub(super) fn total(&self) -> f64 {
        self.0.iter().sum()
    }

    /// About how many rounds it takes until one of the bets has come to `enough`, where a gain of `win` comes with
    /// probability `chance`, and else one of `loss`. `None` where none of them gets there.
    pub(super) fn rounds_until(&self, enough: f64, chance: f64, win: f64, loss: f64) -> Option<f64> {
        let part = |chance: f64, growth: f64| if chance > 0.0 { chance * growth.max(0.0).ln() } else { 0.0 };
        let rounds = self.0.iter().zip(BETS).filter_map(|(wealth, (risked, _))| {
            let growth = part(chance, 1.0 + risked * win) + part(1.0 - chance, 1.0 + risked * loss);
            (growth > 1e-9).then(|| (enough / wealth.max(LEAST)).ln().max(0.0) / growth)
        });
        rounds.min_by(f64::total_cmp)
    }

    /// The mean of both, by weight.
    pub(super) fn mean(self, weight: f64, other: Wealth, other_weight: f64) -> Wealth {
        let whole = (weight + other_weight).max(f64::MIN_POSITIVE);
        let mut mean = self;
        for (mine, theirs) in mean.0.iter_mut().zip(other.0) {
            *mine = (*mine * weight + theirs * other_weight) / whole;
        }
        mean
    }
}
