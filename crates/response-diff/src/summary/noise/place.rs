//! What is known of one place, and how that changes with each block.

use super::evidence::Wealth;
use super::{Evidence, Rules, State};

const FIRST_STAKE: f64 = 0.8;
const LATER_STAKES: f64 = 0.2;
/// After how many blocks the second stake is paid; the next ones after twice as many each.
const SECOND_STAKE_AFTER: u64 = 64;
const REAL_STAKE: f64 = 0.01;
/// Evidence against noise has to reach this.
const REAL_ENOUGH: f64 = 100.0;
/// More sampled requests than this are never waited for.
const MOST_NEEDED: f64 = 1e6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Unknown,
    Noise,
    Real,
}

#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) evidence: Evidence,
    /// Comparisons with new that differed here since the last block.
    pub(super) pending: u64,
    pub(super) noise: Wealth,
    pub(super) real: Wealth,
    pub(super) mark: Mark,
    /// The most that the evidence for noise came to since it began.
    pub(super) peak: f64,
    /// How many stakes on noise have been paid in.
    pub(super) stakes: u32,
    pub(super) blocks: u64,
    /// When it differed last, as a number of the table's own.
    pub(super) touched: u64,
}

impl Place {
    pub(super) fn new() -> Self {
        let mut noise = Wealth::NONE;
        noise.stake(FIRST_STAKE);
        Place {
            evidence: Evidence::default(),
            pending: 0,
            noise,
            real: Wealth::NONE,
            mark: Mark::Unknown,
            peak: 0.0,
            stakes: 1,
            blocks: 0,
            touched: 0,
        }
    }

    /// One block: whether it differed between two answers of old, and in which share of those of old and new.
    pub(super) fn block(&mut self, old_differs: bool, share: f64, rules: &Rules) {
        let (factor, x) = (rules.factor(), f64::from(u8::from(old_differs)));
        self.evidence.old_differ += u64::from(old_differs);
        self.blocks += 1;
        let doubled = self.blocks >= SECOND_STAKE_AFTER && self.blocks.is_power_of_two();
        if doubled && self.mark != Mark::Noise {
            self.next_stake();
        }
        self.noise.play(factor * x - share);
        self.real.stake(REAL_STAKE);
        self.real.play((share - factor * x) / factor);
        self.decide(rules);
    }

    fn next_stake(&mut self) {
        let number = f64::from(self.stakes);
        self.stakes = self.stakes.saturating_add(1);
        self.noise.stake(LATER_STAKES / (number * (number + 1.0)));
    }

    fn decide(&mut self, rules: &Rules) {
        let for_noise = self.noise.total();
        self.peak = self.peak.max(for_noise);
        if self.mark != Mark::Noise && for_noise >= rules.enough() {
            self.mark = Mark::Noise;
            self.real = Wealth::NONE;
        } else if self.mark != Mark::Real && self.real.total() >= REAL_ENOUGH {
            if self.mark == Mark::Noise {
                self.noise = Wealth::NONE;
                self.peak = 0.0;
                self.next_stake();
            }
            self.mark = Mark::Real;
            self.real = Wealth::NONE;
        }
    }

    /// Makes one place of two.
    pub(super) fn absorb(&mut self, other: &Place, rules: &Rules) {
        let (mine, theirs) = (self.blocks as f64 + 1.0, other.blocks as f64 + 1.0);
        self.noise = self.noise.mean(mine, other.noise, theirs);
        self.real = self.real.mean(mine, other.real, theirs);
        self.evidence.old_differ += other.evidence.old_differ;
        self.evidence.new_differ += other.evidence.new_differ;
        self.pending += other.pending;
        self.stakes = self.stakes.max(other.stakes);
        self.blocks += other.blocks;
        self.touched = self.touched.max(other.touched);
        if self.mark != other.mark {
            self.mark = Mark::Unknown;
        }
        self.peak = self.noise.total();
        self.decide(rules);
    }

    pub(super) fn state(&self, evidence: &Evidence, rules: &Rules) -> State {
        match self.mark {
            Mark::Noise => State::Noise { confidence: 1.0 - 1.0 / self.peak.max(rules.enough()) },
            Mark::Real => State::Real,
            Mark::Unknown => State::Unknown { needs: needs(evidence, self, rules) },
        }
    }
}

/// How many more blocks it takes to tell, at the frequencies seen so far.
fn needs(evidence: &Evidence, place: &Place, rules: &Rules) -> Option<u64> {
    let frequency = |differ: u64, pairs: u64| differ as f64 / pairs.max(1) as f64;
    let factor = rules.factor();
    let with_new = frequency(evidence.new_differ, evidence.new_pairs).min(1.0);
    // As long as old was never asked twice, what would tell is that it is noise.
    let itself = match evidence.old_pairs {
        0 => with_new,
        pairs => frequency(evidence.old_differ, pairs).min(1.0),
    };
    let to_noise = place.noise.rounds_until(rules.enough(), itself, factor - with_new, -with_new);
    let mut real = place.real;
    real.stake(REAL_STAKE);
    let to_real = real.rounds_until(REAL_ENOUGH, itself, (with_new - factor) / factor, with_new / factor);
    to_noise
        .into_iter()
        .chain(to_real)
        .min_by(f64::total_cmp)
        .filter(|blocks| *blocks < MOST_NEEDED)
        .map(rounded_up)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of at least 1, held in a float"
)]
fn rounded_up(blocks: f64) -> u64 {
    blocks.ceil().max(1.0) as u64
}
