//! The advance gate: evidence that new is *not* worse than old and the margin.
//!
//! The same e-values with the sign turned, begun afresh at each step. Not having seen trouble is no evidence of its
//! absence, so going forward asks for an e-value of 100 for every signal: a step that is at or over the line on any of
//! them is then called good with a chance of at most 1 in 100 (an intersection-union test). Without drip and without
//! cap; a signal that has passed stays passed until the next step.

use crate::Cause;
use crate::evidence::{BETTER, Block, below, better_than_old};
use crate::limits::{Against, Pick, Spec};
use crate::machine::OldRate;

/// The logarithm of what has to be reached: 1 over the chance of calling a bad step good.
pub(crate) const PASS_LN: f64 = 4.605_170_185_988_092;
const MOST_LN: f64 = 300.0;

/// One signal that has to be shown not to be worse.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) spec: Spec,
    /// For each alternative, since the step began.
    pub(crate) ln_e: [f64; BETTER],
    pub(crate) passed: bool,
    pub(crate) old: OldRate,
    pending: Block,
    /// All blocks since the step began.
    pub(crate) total: Block,
}

impl Proof {
    pub(crate) fn new(spec: Spec) -> Self {
        Proof {
            spec,
            ln_e: [0.0; BETTER],
            passed: false,
            old: OldRate::default(),
            pending: Block::default(),
            total: Block::default(),
        }
    }

    fn add(&mut self, counts: Block) {
        self.pending.add(&counts);
        self.total.add(&counts);
        let block = self.pending;
        let ln_s = match self.spec.against {
            Against::Old { margin } if block.new > 0.0 && block.old > 0.0 => {
                let old = self.old.estimate(self.spec.prior);
                better_than_old(old, margin, block.new / block.old).ln_evidence(&block)
            }
            Against::Fixed { rate } | Against::FixedAlone { rate } if block.new > 0.0 => {
                below(rate).ln_evidence(&block)
            }
            _ => return,
        };
        self.ln_e.iter_mut().zip(ln_s).for_each(|(sum, ln_s)| *sum += ln_s);
        self.old.add(&block, 1.0);
        self.pending = Block::default();
        self.passed |= self.ln_evidence() >= PASS_LN;
    }

    /// What one request of new that is not bad adds to the evidence, where it is held against a fixed rate.
    pub(crate) fn growth_of_good(&self) -> [f64; BETTER] {
        match self.spec.against {
            Against::Old { .. } => [0.0; BETTER],
            Against::Fixed { rate } | Against::FixedAlone { rate } => {
                below(rate).ln_evidence(&Block { new: 1.0, ..Block::default() })
            }
        }
    }

    /// The logarithm of the evidence, mixed over the alternatives.
    pub(crate) fn ln_evidence(&self) -> f64 {
        mixed(&self.ln_e)
    }

    /// Whether it is enough with this on top of each alternative.
    pub(crate) fn would_pass(&self, more: [f64; BETTER]) -> bool {
        mixed(&std::array::from_fn(|k| self.ln_e[k] + more[k])) >= PASS_LN
    }
}

/// The logarithm of the mean.
pub(crate) fn mixed(ln_e: &[f64; BETTER]) -> f64 {
    let sum: f64 = ln_e.iter().map(|ln_e| ln_e.min(MOST_LN).exp()).sum();
    (sum / BETTER as f64).max(f64::MIN_POSITIVE).ln()
}

/// All signals that have to be shown not to be worse before the ramp goes on.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    pub(crate) proofs: Vec<Proof>,
}

impl Gate {
    pub(crate) fn new(specs: Vec<Spec>) -> Self {
        Gate { proofs: specs.into_iter().map(Proof::new).collect() }
    }

    pub(crate) fn restart(&mut self) {
        for proof in &mut self.proofs {
            *proof = Proof::new(proof.spec);
        }
    }

    /// A step of the ramp begins. How many answers differ is no matter of it.
    pub(crate) fn begin_step(&mut self) {
        for proof in self.proofs.iter_mut().filter(|proof| proof.spec.pick != Pick::Mismatches) {
            *proof = Proof::new(proof.spec);
        }
    }

    /// What was shown of this signal is no answer to what is seen now.
    pub(crate) fn forget_passed(&mut self, cause: Cause) {
        let passed = self.proofs.iter_mut().filter(|proof| proof.passed && proof.spec.cause == cause);
        passed.for_each(|proof| *proof = Proof::new(proof.spec));
    }

    pub(crate) fn has_passed(&self, cause: Cause) -> bool {
        self.proofs.iter().any(|proof| proof.passed && proof.spec.cause == cause)
    }

    pub(crate) fn tick(&mut self, counts: impl Fn(&Spec) -> Option<Block>) {
        for proof in &mut self.proofs {
            // What has passed needs no more, and costs nothing more. But how alike answers are goes on to be told.
            let is_told = proof.spec.pick == Pick::Mismatches;
            if proof.passed && !is_told {
                continue;
            }
            let Some(counts) = counts(&proof.spec) else { continue };
            if proof.passed {
                proof.total.add(&counts);
            } else {
                proof.add(counts);
            }
        }
    }

    /// Whether every signal has passed; never where there is none.
    pub(crate) fn passed(&self) -> bool {
        !self.proofs.is_empty() && self.proofs.iter().all(|proof| proof.passed)
    }

    /// The first signal that has not passed.
    pub(crate) fn missing(&self) -> Option<Cause> {
        self.proofs.iter().find(|proof| !proof.passed).map(|proof| proof.spec.cause)
    }
}
