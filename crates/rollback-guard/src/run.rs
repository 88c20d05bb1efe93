//! What evidence has done lately: since when it gathers, and whether it still does.

use crate::evidence::{Block, WORSE};

/// What is called the latest requests.
const LATEST_S: f64 = 0.5;
const LATEST_REQUESTS: f64 = 5.0;

/// What was counted since the evidence for an alternative began to gather: since the last time that it spoke no more
/// for it than against it (Page's CUSUM). Judges nothing; it is what is told of a breach, since a fault is not to be
/// told diluted by the good hours before it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Run {
    ln: f64,
    pub(crate) counts: Block,
    pub(crate) time_s: f64,
    /// Without the time before its first requests ended: in that nothing was seen.
    span_s: f64,
}

impl Run {
    /// Of these counts, whatever they speak for.
    pub(crate) fn of(counts: Block, time_s: f64) -> Self {
        Run { counts, time_s, ..Run::default() }
    }

    /// How long it has gathered, from its first requests to its last.
    pub(crate) fn span_s(&self) -> f64 {
        self.span_s
    }

    pub(crate) fn add(&mut self, ln_s: f64, counts: &Block, dt_s: f64) {
        self.ln += ln_s;
        if self.ln > 0.0 {
            self.span_s += if self.counts.new > 0.0 { dt_s } else { 0.0 };
            self.counts.add(counts);
            self.time_s += dt_s;
        } else {
            *self = Run::default();
        }
    }
}

/// What the latest requests alone say: those of the last half second at least, and a handful at least.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latest {
    ln: [[f64; WORSE]; 2],
    new: [f64; 2],
    age_s: f64,
}

impl Latest {
    pub(crate) fn add(&mut self, ln_s: &[f64; WORSE], counts: &Block, dt_s: f64) {
        if self.age_s >= LATEST_S && self.new[0] >= LATEST_REQUESTS {
            self.ln = [[0.0; WORSE], self.ln[0]];
            self.new = [0.0, self.new[0]];
            self.age_s = 0.0;
        }
        self.ln[0].iter_mut().zip(ln_s).for_each(|(sum, ln_s)| *sum += ln_s);
        self.new[0] += counts.new;
        self.age_s += dt_s;
    }

    pub(crate) fn ln(&self, k: usize) -> f64 {
        self.ln[0][k] + self.ln[1][k]
    }
}
