//! Evidence that both arms answer alike, which is gathered before anybody is on new.
//!
//! Mismatches are a matter of the two systems, not of how many users are on which. So what is shown of them is not begun
//! anew at each step of a ramp, and is also gathered in a phase in which all users are on old and new gets copies: there
//! it is the condition to go on to users.
//!
//! New that was mended is not told from new that is as it was: the evidence that mismatches were too many outweighs what
//! comes after for a long time. So where they are too many, counting begins anew each day, and whenever somebody says so.
//! Each beginning is one more chance of 1 in 100 to call a rate good that lies at the limit.

use std::time::Duration;

use crate::evidence::{Block, below};
use crate::gate::{MOST_LN, PASS_LN, Proof};
use crate::limits::{Pick, Spec};
use crate::need::soonest;
use crate::{Counts, Guard, Signal};

/// How long mismatches that are too many count against what comes after.
const ANEW_AFTER_S: f64 = 86_400.0;
/// The highest rate of mismatches that a lower bound of matches is looked for under.
const HIGHEST_RATE: f64 = 1.0 - 1e-9;
const HALVINGS: u32 = 50;

/// How far it is shown that the answers of both arms are alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatchProof {
    /// The share of comparisons that may differ.
    pub limit: f64,
    /// Comparisons since counting began, noise and races left out.
    pub compared: u64,
    /// Those that differed.
    pub differed: u64,
    /// What that comes to.
    pub state: MatchState,
}

/// What comparisons come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchState {
    /// There is evidence that fewer differ than the limit. It stays until something speaks against it.
    Proven,
    /// There is too little to say so.
    Needs {
        /// How many more it takes, if none of them differs.
        comparisons: u64,
    },
    /// As many differ as the limit, or more. Counting begins anew a day after it began.
    TooMany {
        /// How many more it takes, if none of them differs.
        comparisons: u64,
    },
    /// There is evidence that more differ than the limit, not long ago.
    Held,
    /// So many differed where none may.
    ZeroTolerance(u64),
}

impl Guard {
    /// Takes in what was compared since the last tick, `since_last` ago, while no users are on new: evidence that fewer
    /// answers differ than may, or more. Nothing of the arms is looked at, and users are never to go back for it.
    pub fn compare(&mut self, since_last: Duration, block: &Counts) {
        let dt_s = since_last.as_secs_f64();
        let compared = Block {
            new: block.comparisons as f64,
            new_bad: block.mismatches.min(block.comparisons) as f64,
            ..Block::default()
        };
        let pick = |spec: &Spec| (spec.pick == Pick::Mismatches).then_some(compared);
        self.pause.tick(dt_s, pick);
        self.gate.tick(pick);
        self.note_compared(dt_s, block);
        self.note_hold(dt_s);
    }

    /// What is shown of mismatches; `None` where they are not limited.
    #[must_use]
    pub fn match_proof(&self) -> Option<MatchProof> {
        let limit = self.limits.mismatches.pause?;
        let proof = self.gate.proofs.iter().find(|proof| proof.spec.pick == Pick::Mismatches)?;
        let [compared, differed, ..] = proof.total.rounded();
        let comparisons = needed(proof);
        let is_held = self.hold.is_some_and(|hold| hold.cause.signal == Signal::Mismatches);
        let state = if self.zero_tolerance > 0 {
            MatchState::ZeroTolerance(self.zero_tolerance)
        } else if is_held {
            MatchState::Held
        } else if proof.passed {
            MatchState::Proven
        } else if is_too_many(proof, limit) {
            MatchState::TooMany { comparisons }
        } else {
            MatchState::Needs { comparisons }
        };
        Some(MatchProof { limit, compared, differed, state })
    }

    /// What was compared so far says nothing any more: new, or what counts as a difference, is another one.
    pub fn compare_anew(&mut self) {
        self.comparing_s = 0.0;
        self.zero_tolerance = 0;
        for proof in self.gate.proofs.iter_mut().filter(|proof| proof.spec.pick == Pick::Mismatches) {
            *proof = Proof::new(proof.spec);
        }
        if self.hold.is_some_and(|hold| hold.cause.signal == Signal::Mismatches) {
            self.hold = None;
            self.pause.calm();
        }
    }

    /// Once for each tick.
    pub(crate) fn note_compared(&mut self, dt_s: f64, block: &Counts) {
        self.comparing_s += dt_s;
        self.zero_tolerance = self.zero_tolerance.saturating_add(block.zero_tolerance);
        if self.comparing_s < ANEW_AFTER_S {
            return;
        }
        let limit = self.limits.mismatches.pause;
        let proof = self.gate.proofs.iter().find(|proof| proof.spec.pick == Pick::Mismatches);
        let is_lost = proof.zip(limit).is_some_and(|(proof, limit)| is_too_many(proof, limit));
        if is_lost && self.hold.is_none() && self.zero_tolerance == 0 {
            self.compare_anew();
        }
    }
}

/// What share of comparisons matches at least, 0 to 1, where `differed` of `compared` did not: with a confidence of 99 %,
/// however often one looks. All higher rates of mismatches are ruled out by the evidence that opens the gate.
#[must_use]
pub fn matches_at_least(compared: u64, differed: u64) -> f64 {
    let block = Block { new: compared as f64, new_bad: differed.min(compared) as f64, ..Block::default() };
    let is_ruled_out = |rate: f64| {
        let each = below(rate).ln_evidence(&block);
        let mean = each.iter().map(|ln_e| ln_e.min(MOST_LN).exp()).sum::<f64>() / each.len() as f64;
        mean.ln() >= PASS_LN
    };
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

fn is_too_many(proof: &Proof, limit: f64) -> bool {
    !proof.passed && proof.total.new_bad > 0.0 && proof.total.new_bad >= limit * proof.total.new
}

/// How many more comparisons it takes, if none of them differs.
fn needed(proof: &Proof) -> u64 {
    let growth = proof.growth_of_good();
    // The mean over the alternatives has to reach the line; reckoned as if one of them did it alone.
    let line = PASS_LN + (growth.len() as f64).ln();
    let missing = proof.ln_e.map(|ln_e| line - ln_e);
    soonest(&missing, &growth).map_or(u64::MAX, |comparisons| crate::need::rounded(comparisons.ceil()).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, MismatchLimit, Verdict};

    const TICK: Duration = Duration::from_millis(50);

    fn guard() -> Guard {
        let mismatches = MismatchLimit { pause: Some(0.001), rollback: None };
        Guard::new(Limits { mismatches, ..Limits::default() })
    }

    fn compare(guard: &mut Guard, ticks: u32, comparisons: u64, mismatches: u64) -> MatchState {
        for _ in 0..ticks {
            guard.compare(TICK, &Counts { comparisons, mismatches, ..Counts::ZERO });
        }
        guard.match_proof().unwrap().state
    }

    #[test]
    fn so_many_comparisons_are_needed_and_then_it_is_proven() {
        let mut guard = guard();
        let MatchState::Needs { comparisons: first } = compare(&mut guard, 1, 0, 0) else { panic!() };
        assert!((6_000..7_000).contains(&first), "{first}");
        let MatchState::Needs { comparisons: then } = compare(&mut guard, 100, 10, 0) else { panic!() };
        assert_eq!(then, first - 1_000);
        let last = u32::try_from(then / 10).unwrap();
        assert_eq!(compare(&mut guard, last + 1, 10, 0), MatchState::Proven);
        guard.begin_step();
        assert_eq!(guard.match_proof().unwrap().state, MatchState::Proven, "a step takes nothing of it");
        guard.resume();
        assert!(matches!(guard.match_proof().unwrap().state, MatchState::Needs { .. }));
    }

    #[test]
    fn too_many_hold_and_what_was_proven_is_proven_no_more() {
        let mut guard = guard();
        assert_eq!(compare(&mut guard, 1_000, 10, 0), MatchState::Proven);
        assert_eq!(compare(&mut guard, 100, 10, 1), MatchState::Held);
        assert_eq!(guard.judgement().verdict, Verdict::Degraded);
        assert!(guard.breach().is_none(), "nobody is there to go back");
        let later = compare(&mut guard, 12_500, 1, 0);
        assert!(matches!(later, MatchState::TooMany { .. }), "not held any more, but {later:?}");
        // Somebody says that new is another one.
        compare(&mut guard, 100, 10, 1);
        guard.compare_anew();
        assert!(matches!(guard.match_proof().unwrap().state, MatchState::Needs { .. }));
        assert_ne!(guard.judgement().verdict, Verdict::Degraded);
    }

    #[test]
    fn counting_begins_anew_after_a_day_of_too_many() {
        let mut guard = guard();
        // Too many, and too few to be sure.
        let first = compare(&mut guard, 1, 500, 1);
        assert!(matches!(first, MatchState::TooMany { .. }), "{first:?}");
        for _ in 0..23 {
            guard.compare(Duration::from_hours(1), &Counts::ZERO);
        }
        assert!(matches!(guard.match_proof().unwrap().state, MatchState::TooMany { .. }));
        guard.compare(Duration::from_hours(2), &Counts::ZERO);
        let proof = guard.match_proof().unwrap();
        assert_eq!((proof.compared, proof.differed), (0, 0));
    }

    #[test]
    fn one_difference_where_none_may_be_stands_in_the_way() {
        let mut guard = guard();
        compare(&mut guard, 1_000, 10, 0);
        guard.compare(TICK, &Counts { comparisons: 1, mismatches: 1, zero_tolerance: 1, ..Counts::ZERO });
        assert_eq!(guard.match_proof().unwrap().state, MatchState::ZeroTolerance(1));
        let restored = Guard::restore(guard.limits().clone(), &guard.state());
        assert_eq!(restored.match_proof(), guard.match_proof(), "also after a restart");
        guard.compare_anew();
        assert!(matches!(guard.match_proof().unwrap().state, MatchState::Needs { .. }));
    }

    #[test]
    fn the_lower_bound_is_the_limit_where_the_gate_opens() {
        let mut guard = guard();
        let opens = (1..).find(|_| compare(&mut guard, 1, 1, 0) == MatchState::Proven).unwrap();
        assert!(matches_at_least(opens, 0) >= 0.999 && matches_at_least(opens - 1, 0) < 0.999, "{opens}");
        for (compared, differed, expected) in [
            (0, 0, "0.0000"),
            (1, 1, "0.0000"),
            (100, 0, "0.9460"),
            (100, 50, "0.3278"),
            (10_000, 7, "0.9980"),
            (1_000_000, 700, "0.9991"),
            (5, 9, "0.0000"),
        ] {
            assert_eq!(
                format!("{:.4}", matches_at_least(compared, differed)),
                expected,
                "{compared} {differed}"
            );
        }
    }

    #[test]
    fn without_a_limit_there_is_nothing_to_show() {
        let mut guard = Guard::new(Limits::default());
        guard.compare(TICK, &Counts { comparisons: 10, mismatches: 10, ..Counts::ZERO });
        assert_eq!(guard.match_proof(), None);
        assert_ne!(guard.judgement().verdict, Verdict::Degraded);
    }
}
