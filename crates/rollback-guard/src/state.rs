//! What outlives a restart, as plain data.
//!
//! A guard that began anew at every restart would be paid a fresh stake each time, and the bound on false alarms would
//! grow with the number of restarts. So its state can be taken out, kept by whoever keeps things, and put back. A state
//! that is some time old is as valid as one of the last tick: what came between is bet on by nobody, which costs speed
//! and nothing else.

use crate::evidence::{BETTER, WORSE};
use crate::gate::Gate;
use crate::guard::{Hold, Step};
use crate::latency::BUCKETS;
use crate::limits::Spec;
use crate::machine::{Machine, OldRate};
use crate::old_latency::LEARN_EVERY_S;
use crate::{Breach, Cause, Guard, Limits, Quantile, Tally};

/// All that a guard knows that matters after a restart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuardState {
    /// Seconds that were judged.
    pub now_s: f64,
    /// Seconds since the step began.
    pub step_elapsed_s: f64,
    /// What old and new did since then.
    pub step: [Tally; 2],
    /// Evidence for rolling back.
    pub rollback: Vec<TestState>,
    /// All stakes paid in for it.
    pub rollback_paid: f64,
    /// Evidence for holding the ramp.
    pub pause: Vec<TestState>,
    /// All stakes paid in for it.
    pub pause_paid: f64,
    /// Evidence that new is not worse.
    pub gate: Vec<ProofState>,
    /// Old's latencies by bucket, those that are not zero.
    pub old_latency: Vec<(u16, f64)>,
    /// When they are next learned from, in judged seconds.
    pub learn_at_s: f64,
    /// The first bucket past each of old's quantiles.
    pub old_quantiles: Vec<(Quantile, u16)>,
    /// Comparisons that differed where none may, since comparisons began to count.
    pub zero_tolerance: u64,
    /// Why the ramp is held, and how many seconds there was no new reason.
    pub hold: Option<(Cause, f64)>,
    /// Why users went back.
    pub breach: Option<Breach>,
}

/// One signal's evidence that new is worse.
#[derive(Clone, Debug, PartialEq)]
pub struct TestState {
    /// Which signal, against which line.
    pub cause: Cause,
    /// What was tolerated, as [`TestState::cause`] has it: a margin, a rate, a number of buckets.
    pub line: f64,
    /// The capital on each alternative. Not negative.
    pub capital: [f64; WORSE],
    /// Bad requests of old and all of them, as remembered.
    pub old: (f64, f64),
}

/// One signal's evidence that new is not worse.
#[derive(Clone, Debug, PartialEq)]
pub struct ProofState {
    /// Which signal, against which line.
    pub cause: Cause,
    /// What was tolerated, as in [`TestState::line`].
    pub line: f64,
    /// The logarithm of the evidence for each alternative.
    pub ln_e: [f64; BETTER],
    /// Whether it was enough.
    pub passed: bool,
    /// Bad requests of old and all of them since the step began.
    pub old: (f64, f64),
    /// Bad requests of new and all of them since then, or comparisons.
    pub new: (f64, f64),
}

impl GuardState {
    /// Whether a guard that went on from it would roll back whatever comes next.
    #[must_use]
    pub fn would_roll_back(&self) -> bool {
        let capital = self.rollback.iter().flat_map(|test| test.capital).map(sane);
        self.breach.is_some() || capital.sum::<f64>() >= 1.0
    }

    /// What is left of it where its evidence does not count any more: what was paid in for that, and no stake. Stakes
    /// that were paid in once are not paid in again for being lost, which costs speed and nothing else.
    #[must_use]
    pub fn without_stake(&self) -> GuardState {
        let (rollback_paid, pause_paid) = (self.rollback_paid, self.pause_paid);
        GuardState { rollback_paid, pause_paid, ..GuardState::default() }
    }
}

impl Guard {
    /// What to keep. Between two slots, with no request of one arm waiting for one of the other, it is all there is;
    /// else what is left out is the slot's begin and those requests.
    #[must_use]
    pub fn state(&self) -> GuardState {
        let mut latency: Vec<(u16, f64)> = (0..).zip(self.old_latency.counts.iter().copied()).collect();
        latency.retain(|(_, count)| *count > 0.0);
        let edges = self.old_latency.edges.iter();
        GuardState {
            now_s: self.now_s,
            step_elapsed_s: self.step.elapsed_s,
            step: self.step.arms,
            rollback: self.rollback.state(),
            rollback_paid: self.rollback.paid,
            pause: self.pause.state(),
            pause_paid: self.pause.paid,
            gate: self.gate.state().chain(self.alone.state()).collect(),
            old_latency: latency,
            learn_at_s: self.old_latency.learn_at_s,
            old_quantiles: edges
                .map(|(quantile, edge)| (*quantile, u16::try_from(*edge).unwrap_or(u16::MAX)))
                .collect(),
            zero_tolerance: self.zero_tolerance,
            hold: self.hold.map(|hold| (hold.cause, hold.quiet_s)),
            breach: self.breach,
        }
    }

    /// A guard that goes on from `state`, with no new stake. `limits` may differ from those it was taken under, as after
    /// a reload: a signal whose line moved goes on with at most a fresh stake and never with more than it had, and one
    /// that was not there before has what drips in until the next step.
    ///
    /// Numbers that no guard can have had, as from a damaged file, are taken for 0.
    #[must_use]
    pub fn restore(limits: Limits, state: &GuardState) -> Self {
        let (rollback_tests, pause_tests) = (limits.rollback_tests(), limits.pause_tests());
        let rollback = Machine::restored(rollback_tests, limits.budget, &state.rollback, state.rollback_paid);
        let pause = Machine::restored(pause_tests, limits.pause_budget, &state.pause, state.pause_paid);
        let mut guard = Guard::with(limits, rollback, pause);
        guard.gate.restore(&state.gate);
        guard.alone.restore(&state.gate);
        guard.now_s = sane(state.now_s);
        guard.step = Step { elapsed_s: sane(state.step_elapsed_s), arms: state.step };
        for (bucket, count) in &state.old_latency {
            if let Some(place) = guard.old_latency.counts.get_mut(usize::from(*bucket)) {
                *place = sane(*count);
            }
        }
        guard.old_latency.all = guard.old_latency.counts.iter().sum();
        guard.old_latency.learn_at_s = sane(state.learn_at_s).min(guard.now_s + LEARN_EVERY_S);
        let edges = state.old_quantiles.iter();
        guard.old_latency.edges = edges.map(|(q, edge)| (*q, usize::from(*edge).min(BUCKETS))).collect();
        guard.zero_tolerance = state.zero_tolerance;
        guard.hold = state.hold.map(|(cause, quiet_s)| Hold { cause, quiet_s: sane(quiet_s) });
        guard.breach = state.breach;
        guard
    }
}

impl Machine {
    fn state(&self) -> Vec<TestState> {
        let tests = self.tests.iter();
        tests
            .map(|test| TestState {
                cause: test.spec.cause,
                line: test.spec.line(),
                capital: self.capital_of(test),
                old: (test.old.bad, test.old.all),
            })
            .collect()
    }

    fn restored(specs: Vec<Spec>, budget: crate::Budget, states: &[TestState], paid: f64) -> Self {
        let mut machine = Machine::empty(specs, budget);
        machine.paid = sane(paid);
        for test in &mut machine.tests {
            let Some(state) = states.iter().find(|state| state.cause == test.spec.cause) else { continue };
            let fresh = test.spec.weight / WORSE as f64 * budget.per_step;
            let kept = if state.line == test.spec.line() { f64::MAX } else { fresh };
            test.base = state.capital.map(|capital| sane(capital).min(kept));
            test.old = OldRate { bad: sane(state.old.0).min(sane(state.old.1)), all: sane(state.old.1) };
        }
        machine.go_on();
        machine
    }
}

impl Gate {
    fn state(&self) -> impl Iterator<Item = ProofState> {
        self.proofs.iter().map(|proof| ProofState {
            cause: proof.spec.cause,
            line: proof.spec.line(),
            ln_e: proof.ln_e,
            passed: proof.passed,
            old: (proof.old.bad, proof.old.all),
            new: (proof.total.new_bad, proof.total.new),
        })
    }

    fn restore(&mut self, states: &[ProofState]) {
        for proof in &mut self.proofs {
            let spec = proof.spec;
            let known = states.iter().find(|state| state.cause == spec.cause && state.line == spec.line());
            if let Some(state) = known.filter(|state| state.ln_e.iter().all(|ln_e| ln_e.is_finite())) {
                proof.ln_e = state.ln_e;
                proof.passed = state.passed;
                let new = sane(state.new.1);
                (proof.total.new, proof.total.new_bad) = (new, sane(state.new.0).min(new));
                let all = sane(state.old.1);
                proof.old = OldRate { bad: sane(state.old.0).min(all), all };
            }
        }
    }
}

fn sane(number: f64) -> f64 {
    if number.is_finite() && number > 0.0 { number } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use traffic_split::Arm;

    use super::*;
    use crate::{Counts, RateLimit, Verdict};

    const TICK: Duration = Duration::from_millis(50);

    fn block(n: u64, failing: bool) -> Counts {
        let mut block = Counts::ZERO;
        for request in 0..20 {
            block.success(Arm::Old, Duration::from_millis(10 + (request * 7 + n) % 50));
        }
        block.success(Arm::New, Duration::from_millis(10 + n % 50));
        if failing {
            block.failure(Arm::New);
        }
        block
    }

    fn run(guard: &mut Guard, ticks: std::ops::Range<u64>, failing: bool) {
        for n in ticks {
            guard.tick(TICK, &block(n, failing));
        }
    }

    #[test]
    fn a_restored_guard_goes_on_as_if_nothing_had_happened() {
        let mut guard = Guard::new(Limits::default());
        run(&mut guard, 0..900, false);
        let mut restored = Guard::restore(Limits::default(), &guard.state());
        assert_eq!(restored.state(), guard.state());
        run(&mut guard, 900..904, true);
        run(&mut restored, 900..904, true);
        let (ln_w, again) = (guard.judgement().ln_w, restored.judgement().ln_w);
        assert!((ln_w - again).abs() < 1e-9, "{ln_w} {again}");
    }

    #[test]
    fn restarts_never_refill_the_stake() {
        let mut guard = Guard::new(Limits::default());
        run(&mut guard, 0..2000, false);
        let before = Guard::restore(Limits::default(), &guard.state()).judgement().ln_w;
        for _ in 0..1000 {
            guard = Guard::restore(Limits::default(), &guard.state());
        }
        let fresh = Guard::new(Limits::default()).judgement().ln_w;
        let after = guard.judgement().ln_w;
        assert!(after <= before + 1e-6 && before < fresh - 1.5, "{before} {after} {fresh}");
        assert!((guard.paid_in() - 1e-4).abs() < 1e-6);
    }

    #[test]
    fn neither_do_limits_that_change() {
        let mut guard = Guard::new(Limits::default());
        run(&mut guard, 0..2000, false);
        let before = Guard::restore(Limits::default(), &guard.state()).judgement().ln_w;
        for over_old in [0.006, 0.005, 0.02, 0.005] {
            let error_rate = RateLimit { over_old: Some(over_old), max: Some(0.3) };
            guard = Guard::restore(Limits { error_rate, ..Limits::default() }, &guard.state());
        }
        assert!(guard.judgement().ln_w <= before + 1e-6);
        // Evidence under a stricter line is none under a looser one.
        run(&mut guard, 0..4, true);
        let error_rate = RateLimit { over_old: Some(0.4), max: None };
        let looser = Guard::restore(Limits { error_rate, ..Limits::default() }, &guard.state());
        assert!(looser.judgement().ln_w < (1e-4_f64).ln());
    }

    #[test]
    fn a_breach_outlives_a_restart() {
        let mut guard = Guard::new(Limits::default());
        run(&mut guard, 0..20, true);
        assert_eq!(guard.judgement().verdict, Verdict::Breached);
        let restored = Guard::restore(Limits::default(), &guard.state());
        assert_eq!(restored.judgement().verdict, Verdict::Breached);
        assert_eq!(restored.breach(), guard.breach());
    }

    #[test]
    fn what_would_roll_back_is_known_before_it_does() {
        let mut guard = Guard::new(Limits::default());
        run(&mut guard, 0..10, false);
        assert!(!guard.state().would_roll_back() && !GuardState::default().would_roll_back());
        let mut state = guard.state();
        state.rollback[0].capital = [0.2; WORSE];
        assert!(state.would_roll_back());
        assert!(!state.without_stake().would_roll_back());
        run(&mut guard, 10..30, true);
        assert!(guard.state().would_roll_back());
        let left = guard.state().without_stake();
        let lost = Guard::restore(Limits::default(), &left);
        assert!(lost.breach().is_none() && lost.paid_in() == guard.paid_in());
    }

    #[test]
    fn without_a_stake_it_is_slower_and_not_blind() {
        let ticks_until_breach = |mut guard: Guard| {
            run(&mut guard, 0..100, false);
            (0..).take(1000).find(|n| guard.tick(TICK, &block(*n, true)).verdict == Verdict::Breached)
        };
        let fresh = ticks_until_breach(Guard::new(Limits::default())).unwrap();
        let lost = ticks_until_breach(Guard::restore(Limits::default(), &GuardState::default())).unwrap();
        assert!(fresh < lost && lost < 4 * fresh, "{fresh} {lost}");
    }

    #[test]
    fn damaged_numbers_are_nothing() {
        let mut guard = Guard::new(Limits::default());
        run(&mut guard, 0..10, false);
        let mut state = guard.state();
        state.rollback[0].capital = [f64::NAN, f64::INFINITY, -1.0, 0.0, 0.0, 0.0, 0.0];
        state.rollback[0].old = (5.0, f64::NAN);
        state.gate[0].ln_e[0] = f64::NAN;
        state.old_latency.push((u16::MAX, 3.0));
        for now_s in [f64::NAN, f64::MAX] {
            state.now_s = now_s;
            let mut restored = Guard::restore(Limits::default(), &state);
            run(&mut restored, 0..10, false);
            assert!(restored.judgement().ln_w.is_finite());
            run(&mut restored, 0..20, true);
            assert!(restored.breach().is_some());
        }
    }
}
