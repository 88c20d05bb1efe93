//! Evidence over time: stakes, slots and the burst cap.
//!
//! Evidence starts as a small stake, the chance of a false alarm that one is ready to take. Each block multiplies the
//! stake on each alternative by that block's e-value, as a gambler's capital at fair odds. Capital of at least 1 means
//! that luck would have had to multiply the stake into 1, which happens with a chance of at most the stake: Ville's
//! inequality. More stakes may be paid in at any time, as long as what they are multiplied by comes later; the chance
//! of a false alarm is then at most all that was paid in. Stakes that drip in all the time are what lets a fault that
//! begins after hours of health be met with fresh capital, rather than with what the good hours have left of it (the
//! Shiryaev-Roberts e-detector of Shin, Ramdas and Rinaldo). Mixing over alternatives and over signals is mixing of
//! capital and keeps all of this.
//!
//! **The burst cap.** Failures that come all at once, a connection that dies with five requests on it, are one event,
//! not five. So a slot of 100 ms may multiply the evidence by at most 100, or by the root of what is still missing.
//! From a fresh stake at least three slots have to agree. A cap only ever lowers evidence, so the bound stands.

use crate::evidence::{Block, WORSE, above, above_and_worse_than_old, worse_than_old};
use crate::limits::{Against, Pick, Spec};
use crate::run::{Latest, Run};
use crate::{Budget, Cause};

const SLOT_S: f64 = 0.1;
const DAY_S: f64 = 86_400.0;
/// The logarithm of 100.
const LEAST_CAP_LN: f64 = 4.605_170_185_988_092;
/// Keeps the exponential finite.
const MOST_LN: f64 = 300.0;
/// Keeps capital finite where nobody acts on it.
const MOST_CAPITAL: f64 = 1e100;

/// What is left of evidence that was acted on and may come again.
const CLIPPED_CAPITAL: f64 = 0.1;

/// How long what was seen of old's rate is remembered, where it is only a guess to bet with.
const GUESS_MEMORY_S: f64 = 300.0;
/// How long where it is what old is judged by.
const JUDGED_MEMORY_S: f64 = 60.0;
/// What the guess before any evidence weighs, in requests.
const PRIOR_WEIGHT: f64 = 50.0;
/// After so long without a request, old is taken to have no traffic.
const SILENT_AFTER_S: f64 = 10.0;

/// Bad requests of old and all of them, fading with time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct OldRate {
    pub(crate) bad: f64,
    pub(crate) all: f64,
}

impl OldRate {
    pub(crate) fn estimate(&self, prior: f64) -> f64 {
        ((prior * PRIOR_WEIGHT + self.bad) / (PRIOR_WEIGHT + self.all)).clamp(1e-5, 0.9)
    }

    pub(crate) fn add(&mut self, block: &Block, kept: f64) {
        self.bad = self.bad * kept + block.old_bad;
        self.all = self.all * kept + block.old;
    }
}

/// One test and the capital on each of its alternatives.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) spec: Spec,
    /// At the end of the last slot.
    pub(crate) base: [f64; WORSE],
    /// The logarithm of what this slot's evidence multiplies it by.
    slot_ln: [f64; WORSE],
    pending: Block,
    pending_s: f64,
    runs: [Run; WORSE],
    latest: Latest,
    pub(crate) old: OldRate,
    silent_s: f64,
    /// All blocks since the last step.
    pub(crate) total: Block,
}

impl Test {
    fn add(&mut self, dt_s: f64, counts: Block) {
        self.pending.add(&counts);
        self.pending_s += dt_s;
        self.total.add(&counts);
        self.silent_s = if counts.old > 0.0 { 0.0 } else { self.silent_s + dt_s };
        let ln_s = match self.spec.against {
            Against::Old { margin } => self.against_old(dt_s, margin),
            Against::Fixed { rate } => self.against_rate(dt_s, rate, &counts),
            Against::FixedAlone { rate } => {
                (self.pending.new > 0.0).then(|| above(rate).ln_evidence(&self.pending))
            }
        };
        if let Some(ln_s) = ln_s {
            self.slot_ln.iter_mut().zip(ln_s).for_each(|(sum, ln_s)| *sum += ln_s);
            for (run, ln_s) in self.runs.iter_mut().zip(ln_s) {
                run.add(ln_s, &self.pending, self.pending_s);
            }
            self.latest.add(&ln_s, &self.pending, self.pending_s);
            (self.pending, self.pending_s) = (Block::default(), 0.0);
        }
    }

    /// A block is over when both arms have a request in it. That rule looks at counts only, never at outcomes.
    fn against_old(&mut self, dt_s: f64, margin: f64) -> Option<[f64; WORSE]> {
        let block = self.pending;
        if !(block.new > 0.0 && block.old > 0.0) {
            return None;
        }
        let old = self.old.estimate(self.spec.prior);
        let ln_s = worse_than_old(old, margin, block.new / block.old).ln_evidence(&block);
        self.old.add(&block, (-dt_s / GUESS_MEMORY_S).exp());
        Some(ln_s)
    }

    /// Blames new for being above the limit only in so far as it is also worse than old at the same time: the smaller
    /// of two e-values is one against either excuse. Nothing counts while old itself is above the limit.
    fn against_rate(&mut self, dt_s: f64, rate: f64, counts: &Block) -> Option<[f64; WORSE]> {
        let block = self.pending;
        let old = self.old.estimate(self.spec.prior);
        self.old.add(counts, (-dt_s / JUDGED_MEMORY_S).exp());
        let alone = self.silent_s >= SILENT_AFTER_S;
        if !(block.new > 0.0 && (block.old > 0.0 || alone)) {
            return None;
        }
        let fixed = above(rate).ln_evidence(&block);
        if block.old == 0.0 {
            return Some(fixed);
        }
        if old > rate {
            return Some([0.0; WORSE]);
        }
        let worse = above_and_worse_than_old(rate, old, block.new / block.old).ln_evidence(&block);
        Some(std::array::from_fn(|k| fixed[k].min(worse[k])))
    }

    fn forget_blocks(&mut self) {
        (self.pending, self.pending_s) = (Block::default(), 0.0);
        (self.runs, self.latest) = ([Run::default(); WORSE], Latest::default());
        self.total = Block::default();
    }

    /// The capital on each alternative as it is now.
    fn capital(&self, cap_ln: f64) -> [f64; WORSE] {
        std::array::from_fn(|k| self.base[k] * self.slot_ln[k].min(cap_ln).min(MOST_LN).exp())
    }

    fn pay(&mut self, stake: f64) {
        let each = self.spec.weight / WORSE as f64 * stake;
        self.base.iter_mut().for_each(|base| *base += each);
    }
}

/// Tests that share one stake.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) tests: Vec<Test>,
    pub(crate) budget: Budget,
    /// All stakes paid in: the bound on the chance of ever having been wrong.
    pub(crate) paid: f64,
    /// Of the slot.
    age_s: f64,
    cap_ln: f64,
    pub(crate) w: f64,
    pub(crate) slot_ended: bool,
}

impl Machine {
    pub(crate) fn new(specs: Vec<Spec>, budget: Budget) -> Self {
        let mut machine = Machine::empty(specs, budget);
        // The drip of the first slot comes in advance.
        machine.pay(budget.per_step + budget.per_day * SLOT_S / DAY_S);
        machine.go_on();
        machine
    }

    /// Without any stake yet.
    pub(crate) fn empty(specs: Vec<Spec>, budget: Budget) -> Self {
        let test = |spec| Test {
            spec,
            base: [0.0; WORSE],
            slot_ln: [0.0; WORSE],
            pending: Block::default(),
            pending_s: 0.0,
            runs: [Run::default(); WORSE],
            latest: Latest::default(),
            old: OldRate::default(),
            silent_s: 0.0,
            total: Block::default(),
        };
        let tests = specs.into_iter().map(test).collect();
        Machine { tests, budget, paid: 0.0, age_s: 0.0, cap_ln: LEAST_CAP_LN, w: 0.0, slot_ended: false }
    }

    /// Takes in what came since the last tick, `dt_s` ago; a test without counts is not judged now. Evidence is in `w`
    /// afterwards; 1 and more means to act.
    pub(crate) fn tick(&mut self, dt_s: f64, counts: impl Fn(&Spec) -> Option<Block>) {
        for test in &mut self.tests {
            if let Some(counts) = counts(&test.spec) {
                test.add(dt_s, counts);
            }
        }
        self.age_s += dt_s;
        let cap_ln = self.slot_cap_ln();
        self.w = self.tests.iter().map(|test| test.capital(cap_ln).iter().sum::<f64>()).sum();
        // Ticks are a little early or late; two of 50 ms are a slot all the same.
        self.slot_ended = self.age_s >= SLOT_S - (0.1 * dt_s).max(1e-9);
        if self.slot_ended {
            self.end_slot();
        }
    }

    /// A slot that lasted longer, because a tick was late, may do as much as the slots that it stands for.
    fn slot_cap_ln(&self) -> f64 {
        self.cap_ln * (self.age_s / SLOT_S).round_ties_even().max(1.0)
    }

    fn end_slot(&mut self) {
        let cap_ln = self.slot_cap_ln();
        for test in &mut self.tests {
            test.base = test.capital(cap_ln).map(|capital| capital.min(MOST_CAPITAL));
            test.slot_ln = [0.0; WORSE];
        }
        let drip = self.budget.per_day * self.age_s / DAY_S;
        self.age_s = 0.0;
        self.pay(drip);
    }

    fn pay(&mut self, stake: f64) {
        for test in &mut self.tests {
            test.pay(stake);
            self.paid += stake * test.spec.weight;
        }
        self.cap_ln = (-0.5 * self.capital().clamp(1e-30, 1.0).ln()).max(LEAST_CAP_LN);
    }

    /// At the end of the last slot.
    fn capital(&self) -> f64 {
        self.tests.iter().flat_map(|test| test.base).sum()
    }

    /// A step of the ramp begins: a fresh stake on top of what there is, which only later evidence multiplies.
    pub(crate) fn begin_step(&mut self) {
        self.end_slot();
        self.pay(self.budget.per_step);
        self.forget_blocks();
    }

    /// Begins anew with a fresh stake, whatever there was.
    pub(crate) fn restart(&mut self) {
        self.end_slot();
        self.tests.iter_mut().for_each(|test| test.base = [0.0; WORSE]);
        self.pay(self.budget.per_step + self.budget.per_day * SLOT_S / DAY_S);
        self.forget_blocks();
    }

    fn forget_blocks(&mut self) {
        self.tests.iter_mut().for_each(Test::forget_blocks);
        self.w = self.capital();
    }

    /// Leaves at most a fresh stake on each alternative, and never more than there was.
    pub(crate) fn calm(&mut self) {
        self.end_slot();
        for test in &mut self.tests {
            let fresh = test.spec.weight / WORSE as f64 * self.budget.per_step;
            test.base.iter_mut().for_each(|base| *base = base.min(fresh));
        }
        self.go_on();
    }

    /// What was counted of this speaks no more against new: at most a fresh stake is left, and never more than there was.
    pub(crate) fn forget(&mut self, pick: Pick) {
        self.end_slot();
        for test in self.tests.iter_mut().filter(|test| test.spec.pick == pick) {
            let fresh = test.spec.weight / WORSE as f64 * self.budget.per_step;
            test.base.iter_mut().for_each(|base| *base = base.min(fresh));
            test.forget_blocks();
        }
        self.go_on();
    }

    /// Comparisons since the step began or they began to count anew, and those that differed; `None` before there is one.
    pub(crate) fn compared(&self) -> Option<(u64, u64)> {
        let test = self.tests.iter().find(|test| test.spec.pick == Pick::Mismatches)?;
        let [compared, differed, ..] = test.total.rounded();
        (compared > 0).then_some((compared, differed))
    }

    /// Evidence of 1 has been acted on: what is left is a tenth, so that more of the same brings it back soon, and its
    /// end lets it fade soon.
    pub(crate) fn clip(&mut self) {
        self.end_slot();
        let over = self.capital() / CLIPPED_CAPITAL;
        if over > 1.0 {
            self.tests.iter_mut().flat_map(|test| &mut test.base).for_each(|base| *base /= over);
        }
        self.pay(0.0);
    }

    /// The capital on each alternative of one of the tests, this slot's evidence included.
    pub(crate) fn capital_of(&self, test: &Test) -> [f64; WORSE] {
        test.capital(self.slot_cap_ln())
    }

    /// To be called once the capital was put in.
    pub(crate) fn go_on(&mut self) {
        self.pay(0.0);
        self.w = self.capital();
    }

    /// What was counted since the evidence of this test began to gather, for the alternative that it speaks for most.
    pub(crate) fn run_of(&self, cause: Cause) -> Option<Run> {
        let (test, k) = self.best_of(cause)?;
        test.runs.get(k).copied()
    }

    /// Whether the evidence of this test has gathered for so long, and the latest requests still add to it.
    pub(crate) fn persists(&self, cause: Cause, for_s: f64) -> bool {
        let best = self.best_of(cause);
        best.is_some_and(|(test, k)| test.runs[k].span_s() >= for_s && test.latest.ln(k) > 0.0)
    }

    /// A test, and the alternative that its evidence speaks for most.
    fn best_of(&self, cause: Cause) -> Option<(&Test, usize)> {
        let test = self.tests.iter().find(|test| test.spec.cause == cause)?;
        let each = self.capital_of(test).into_iter().enumerate();
        let best = each.reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map(|(k, _)| (test, k))
    }

    /// The test with the largest share of the evidence.
    pub(crate) fn leading(&self) -> Option<Cause> {
        let shares = self.shares();
        let leading = shares.iter().copied().reduce(|best, next| if next.1 > best.1 { next } else { best });
        leading.map(|(cause, _)| cause)
    }

    /// The capital on each test.
    pub(crate) fn shares(&self) -> Vec<(Cause, f64)> {
        self.tests.iter().map(|test| (test.spec.cause, self.capital_of(test).iter().sum())).collect()
    }
}
