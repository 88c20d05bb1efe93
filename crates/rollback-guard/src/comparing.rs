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

use crate::evidence::Block;
use crate::gate::Proof;
use crate::limits::{Pick, Spec};
use crate::{Counts, Guard, MatchRate, Signal};

/// How long mismatches that are too many count against what comes after.
const ANEW_AFTER_S: f64 = 86_400.0;
/// How many comparisons are looked ahead for.
const MOST_NEEDED: u64 = 1 << 40;

/// How far it is shown that the answers of both arms are alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatchProof {
    /// The share of comparisons that may differ.
    pub limit: f64,
    /// What was compared since counting began, noise and races left out. At least `1 - limit` match exactly when the
    /// evidence for that has opened the gate.
    pub rate: MatchRate,
    /// Comparisons that the verdict goes by while it is [`MatchState::Held`], and those of them that differed; they are
    /// not known any more after a restart.
    pub held_by: Option<(u64, u64)>,
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
        let rate = MatchRate::at_gate(compared, differed, limit, proof.passed);
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
        let held_by = is_held.then(|| self.pause.compared()).flatten();
        Some(MatchProof { limit, rate, held_by, state })
    }

    /// What was compared so far says nothing any more, neither for new nor against it: new, or what counts as a
    /// difference, is another one.
    pub fn compare_anew(&mut self) {
        self.rollback.forget(Pick::Mismatches);
        self.pause.forget(Pick::Mismatches);
        self.prove_matches_anew();
    }

    /// What was compared so far shows nothing of how alike the answers are.
    fn prove_matches_anew(&mut self) {
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
            self.prove_matches_anew();
        }
    }
}

fn is_too_many(proof: &Proof, limit: f64) -> bool {
    !proof.passed && proof.total.new_bad > 0.0 && proof.total.new_bad >= limit * proof.total.new
}

/// How many more comparisons it takes, if none of them differs: exactly so many.
fn needed(proof: &Proof) -> u64 {
    let growth = proof.growth_of_good();
    let is_enough = |more: u64| proof.would_pass(std::array::from_fn(|k| more as f64 * growth[k]));
    let (mut low, mut high) = (0, 1);
    while high < MOST_NEEDED && !is_enough(high) {
        (low, high) = (high, high * 2);
    }
    while high - low > 1 {
        let middle = u64::midpoint(low, high);
        *(if is_enough(middle) { &mut high } else { &mut low }) = middle;
    }
    high
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
        assert_eq!(first, 5_537, "the figure of the documentation");
        let MatchState::Needs { comparisons: then } = compare(&mut guard, 100, 10, 0) else { panic!() };
        assert_eq!(then, first - 1_000);
        let last = u32::try_from(then).unwrap();
        assert_eq!(compare(&mut guard, last - 1, 1, 0), MatchState::Needs { comparisons: 1 });
        assert_eq!(compare(&mut guard, 1, 1, 0), MatchState::Proven);
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
        assert_eq!((proof.rate.compared(), proof.rate.differed()), (0, 0));
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
        assert_eq!(opens, 5_537, "the figure of the documentation");
        let at_least = |compared, differed| MatchRate::of(compared, differed).at_least();
        assert!(at_least(opens, 0) >= 0.999 && at_least(opens - 1, 0) < 0.999, "{opens}");
        for (compared, differed, expected) in [
            (0, 0, "0.0000"),
            (1, 1, "0.0000"),
            (100, 0, "0.9460"),
            (100, 50, "0.3278"),
            (10_000, 7, "0.9980"),
            (1_000_000, 700, "0.9991"),
            (5, 9, "0.0000"),
        ] {
            assert_eq!(format!("{:.4}", at_least(compared, differed)), expected, "{compared} {differed}");
        }
    }

    #[test]
    fn the_figure_is_at_the_limit_exactly_while_the_gate_is_open() {
        let mut guard = guard();
        let line = 1.0 - 0.001;
        let look = |guard: &Guard| {
            let proof = guard.match_proof().unwrap();
            let (is_open, text) = (proof.state == MatchState::Proven, proof.rate.to_string());
            assert_eq!(proof.rate.at_least() >= line, is_open, "{proof:?}");
            assert_eq!(text.contains("at least 99.9"), is_open, "{text}");
            is_open
        };
        let mut opened = false;
        for tick in 0..2_000 {
            compare(&mut guard, 1, 7, u64::from(tick == 100));
            opened |= look(&guard);
        }
        assert!(opened, "one mismatch in 14,000 is well within 0.1 %");
        assert_eq!(guard.match_proof().unwrap().rate.compared(), 14_000, "counted on after it has opened");
        // Now it is a little more than one in a thousand for long: too little to hold, and shown once is shown.
        compare(&mut guard, 4, 500, 1);
        assert!(look(&guard));
        let restored = Guard::restore(guard.limits().clone(), &guard.state());
        assert_eq!(restored.match_proof(), guard.match_proof(), "also after a restart");
        // What holds shuts it again.
        while compare(&mut guard, 1, 10, 1) != MatchState::Held {
            look(&guard);
        }
        assert!(!look(&guard));
    }

    #[test]
    fn after_other_rules_no_sentence_tells_what_was_counted_before() {
        let mut guard = guard();
        compare(&mut guard, 1_000, 10, 0);
        while compare(&mut guard, 1, 10, 5) != MatchState::Held {}
        let held = guard.match_sentence().unwrap();
        assert!(held.contains(" of 10,0"), "what it is held by: {held}");
        assert!(guard.explain().contains(&held[..held.find(" comparisons").unwrap()]), "{}", guard.explain());
        guard.compare_anew();
        let sentence = guard.match_sentence().unwrap();
        assert!(sentence.ends_with("so far 0 of 0 do"), "{sentence}");
        let fresh = Guard::new(guard.limits().clone());
        let capital = |guard: &Guard| guard.judgement().ln_pause;
        assert!(capital(&guard) <= capital(&fresh) + 1e-6, "{} {}", capital(&guard), capital(&fresh));
        // By the new rules they differ as well.
        let mut compared = 0;
        while compare(&mut guard, 1, 10, 5) != MatchState::Held {
            compared += 10;
        }
        compared += 10;
        let (sentence, explained) = (guard.match_sentence().unwrap(), guard.explain());
        let counts = format!("{} of {compared} comparisons differ", compared / 2);
        assert!(sentence.starts_with(&counts), "{sentence}");
        assert!(explained.contains(&counts), "{explained}");
        let restored = Guard::restore(guard.limits().clone(), &guard.state());
        let sentence = restored.match_sentence().unwrap();
        assert_eq!(sentence, "too many comparisons differ, and fewer than 0.1% have to");
    }

    #[test]
    fn evidence_for_a_rollback_is_forgotten_with_the_rules_it_was_gathered_by() {
        let mismatches = MismatchLimit { pause: Some(0.001), rollback: Some(0.05) };
        let limits = Limits { mismatches, ..Limits::default() };
        let ticks_to_breach = |guard: &mut Guard| {
            let block = Counts { comparisons: 10, mismatches: 2, ..Counts::ZERO };
            (1..1_000).find(|_| guard.tick(TICK, &block).verdict == Verdict::Breached).unwrap()
        };
        let alone = ticks_to_breach(&mut Guard::new(limits.clone()));
        let mut guard = Guard::new(limits);
        for _ in 0..alone - 1 {
            guard.tick(TICK, &Counts { comparisons: 10, mismatches: 2, ..Counts::ZERO });
        }
        guard.compare_anew();
        assert!(ticks_to_breach(&mut guard) >= alone);
        let breach = guard.breach_sentence().unwrap();
        assert!(breach.contains(&format!("after {} requests", 10 * alone)), "{breach}");
    }

    #[test]
    fn without_a_limit_there_is_nothing_to_show() {
        let mut guard = Guard::new(Limits::default());
        guard.compare(TICK, &Counts { comparisons: 10, mismatches: 10, ..Counts::ZERO });
        assert_eq!(guard.match_proof(), None);
        assert_ne!(guard.judgement().verdict, Verdict::Degraded);
    }
}
