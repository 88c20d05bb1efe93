//! One migration's guard: all tests together, tick by tick.

use std::time::Duration;

use traffic_split::Arm;

use crate::evidence::Block;
use crate::gate::Gate;
use crate::latency::{bucket_start, shift_factor};
use crate::limits::{Against, Pick, Spec};
use crate::machine::Machine;
use crate::old_latency::OldLatency;
use crate::run::Run;
use crate::{
    Breach, Cause, Counts, Judgement, Limits, Margin, Quantile, Signal, SignalEvidence, Tally, Verdict,
};

/// A held ramp is let go after so long without a new reason.
const QUIET_S: f64 = 600.0;
/// ... or, once new has been shown to be no worse, after so long.
const QUIET_AND_PROVEN_S: f64 = 60.0;
/// After so long without a request of old there is nothing to compare with.
const OLD_GONE_S: f64 = 60.0;
/// What old must keep within where no limit is set.
const OLD_LIMIT: f64 = 0.01;
const FAILURES_PRIOR: f64 = 0.002;
const TRAFFIC_MEMORY_S: f64 = 60.0;
/// Less than one request in a month is none.
const LEAST_TRAFFIC_PER_S: f64 = 4e-7;
const LEAST_FAIL_AFTER: Duration = Duration::from_secs(1);
const SLOWEST_TIMES: f64 = 4.0;

/// Judges new against old and the limits, from counts.
///
/// See the [crate's documentation](crate) for how it is called.
#[derive(Clone, Debug)]
pub struct Guard {
    pub(crate) limits: Limits,
    pub(crate) rollback: Machine,
    pub(crate) pause: Machine,
    pub(crate) gate: Gate,
    /// What is to be shown while old has no traffic: that new keeps within the fixed limits.
    pub(crate) alone: Gate,
    pub(crate) old_latency: OldLatency,
    pub(crate) now_s: f64,
    pub(crate) step: Step,
    pub(crate) traffic: Traffic,
    pub(crate) hold: Option<Hold>,
    pub(crate) breach: Option<Breach>,
    /// What the breach is told by: since its evidence began to gather.
    pub(crate) onset: Option<Run>,
    /// Seconds since comparisons began to count.
    pub(crate) comparing_s: f64,
    /// Comparisons since then that differed where none may.
    pub(crate) zero_tolerance: u64,
}

/// Since the step began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Step {
    pub(crate) elapsed_s: f64,
    pub(crate) arms: [Tally; 2],
}

/// Requests and failures of both arms, fading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Traffic {
    requests: [f64; 2],
    failures: [f64; 2],
    seconds: f64,
    pub(crate) old_silent_s: f64,
}

/// Why the ramp is held, and for how long there was no new reason.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hold {
    pub(crate) cause: Cause,
    pub(crate) quiet_s: f64,
}

impl Traffic {
    fn add(&mut self, dt_s: f64, counts: &Counts) {
        let kept = (-dt_s / TRAFFIC_MEMORY_S).exp();
        for arm in Arm::ALL {
            let (at, counts) = (arm.index(), counts.arm(arm));
            self.requests[at] = self.requests[at] * kept + counts.requests as f64;
            self.failures[at] = self.failures[at] * kept + counts.failures as f64;
        }
        self.seconds = self.seconds * kept + dt_s;
        let old = counts.arm(Arm::Old).requests;
        self.old_silent_s = if old > 0 { 0.0 } else { self.old_silent_s + dt_s };
    }

    /// Requests of new for each of old; `None` while one of them has none.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let [old, new] = self.requests;
        (old > 0.0 && new > 0.0).then(|| new / old)
    }

    /// Requests of new in a second; `None` while there is none.
    pub(crate) fn new_per_s(&self) -> Option<f64> {
        let rate = self.requests[Arm::New.index()] / self.seconds;
        (rate > LEAST_TRAFFIC_PER_S).then_some(rate)
    }

    /// Requests of both arms in a second; `None` while there is none.
    pub(crate) fn all_per_s(&self) -> Option<f64> {
        let rate = self.requests.iter().sum::<f64>() / self.seconds;
        (rate > LEAST_TRAFFIC_PER_S).then_some(rate)
    }

    /// Old's share of failures, cautiously where little was seen.
    fn old_failures(&self) -> f64 {
        let [requests, failures] = [self.requests, self.failures].map(|arms| arms[Arm::Old.index()]);
        (FAILURES_PRIOR * 50.0 + failures) / (50.0 + requests)
    }
}

impl Guard {
    /// A guard that has seen nothing, with a fresh stake. For a migration that was judged before, even by an earlier
    /// process, there is [`Guard::restore`].
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let rollback = Machine::new(limits.rollback_tests(), limits.budget);
        let pause = Machine::new(limits.pause_tests(), limits.pause_budget);
        Guard::with(limits, rollback, pause)
    }

    pub(crate) fn with(limits: Limits, rollback: Machine, pause: Machine) -> Self {
        Guard {
            rollback,
            pause,
            gate: Gate::new(limits.gate_tests()),
            alone: Gate::new(limits.fixed_tests()),
            old_latency: OldLatency::new(limits.latency.iter().map(|limit| limit.quantile).collect()),
            limits,
            now_s: 0.0,
            step: Step::default(),
            traffic: Traffic::default(),
            hold: None,
            breach: None,
            onset: None,
            comparing_s: 0.0,
            zero_tolerance: 0,
        }
    }

    /// Takes in what was counted since the last tick, `since_last` ago, and judges.
    ///
    /// To be called every 50 ms or so; anything from 10 to 100 ms will do. Two ticks of 50 ms make a slot of the burst
    /// cap.
    pub fn tick(&mut self, since_last: Duration, block: &Counts) -> Judgement {
        let dt_s = since_last.as_secs_f64();
        self.now_s += dt_s;
        self.traffic.add(dt_s, block);
        self.old_latency.see(&block.arm(Arm::Old).latency);
        let warming_up = self.is_warming_up();
        let view = View::new(block, &self.limits, &self.old_latency, warming_up);
        self.rollback.tick(dt_s, |spec| view.block(spec));
        self.pause.tick(dt_s, |spec| view.block(spec));
        self.gate.tick(|spec| view.block(spec));
        self.alone.tick(|spec| view.block(spec));
        self.count_step(dt_s, block);
        self.note_breach(block);
        self.note_compared(dt_s, block);
        self.note_hold(dt_s);
        self.old_latency.learn(self.now_s);
        self.judgement()
    }

    fn count_step(&mut self, dt_s: f64, block: &Counts) {
        self.step.elapsed_s += dt_s;
        for arm in Arm::ALL {
            let tally = &mut self.step.arms[arm.index()];
            tally.requests += block.arm(arm).requests;
            tally.failures += block.arm(arm).failures;
        }
    }

    fn note_breach(&mut self, block: &Counts) {
        if self.breach.is_some() {
            return;
        }
        let by_evidence = (self.rollback.w >= 1.0).then(|| self.rollback.leading()).flatten();
        let by_evidence = by_evidence.filter(|cause| self.has_persisted(*cause));
        let by_rule = (block.zero_tolerance > 0).then_some(Cause::max(Signal::ZeroTolerance));
        if let Some(cause) = by_evidence.or(by_rule) {
            let [old, new] = self.step.arms;
            let at = Duration::try_from_secs_f64(self.now_s).unwrap_or(Duration::MAX);
            self.onset = self.rollback.run_of(cause);
            self.breach = Some(Breach { cause, at, ln_w: ln(self.rollback.w), new, old });
        }
    }

    /// Slowness has to last before users go back for it.
    fn has_persisted(&self, cause: Cause) -> bool {
        let for_s = self.limits.latency_persists.as_secs_f64();
        !matches!(cause.signal, Signal::Latency(_)) || for_s <= 0.0 || self.rollback.persists(cause, for_s)
    }

    pub(crate) fn note_hold(&mut self, dt_s: f64) {
        if self.pause.w >= 1.0
            && let Some(cause) = self.pause.leading()
        {
            // What was shown before is no answer to what is seen now. A gate that is still shut goes on as it was: to
            // begin anew would give it another chance of opening wrongly.
            if self.hold.is_none() {
                for gate in [&mut self.gate, &mut self.alone] {
                    if gate.passed() {
                        gate.restart();
                    }
                    gate.forget_passed(cause);
                }
            }
            self.hold = Some(Hold { cause, quiet_s: 0.0 });
            self.pause.clip();
            return;
        }
        let cause = self.hold.map(|hold| hold.cause);
        // Of comparisons nothing else has to be shown, and before anybody is on new nothing else can be.
        let compared = cause.filter(|cause| cause.signal == Signal::Mismatches);
        let proven = self.active_gate().passed() || compared.is_some_and(|cause| self.gate.has_passed(cause));
        if let Some(hold) = &mut self.hold {
            hold.quiet_s += dt_s;
            if hold.quiet_s >= QUIET_S || (proven && hold.quiet_s >= QUIET_AND_PROVEN_S) {
                self.hold = None;
                self.pause.calm();
            }
        }
    }

    fn is_warming_up(&self) -> bool {
        let warm_up = self.limits.warm_up;
        let new = self.step.arms[Arm::New.index()].requests;
        self.step.elapsed_s < warm_up.time.as_secs_f64() && new < warm_up.requests
    }

    pub(crate) fn active_gate(&self) -> &Gate {
        let compared = !self.gate.proofs.is_empty() && !self.old_is_gone();
        if compared { &self.gate } else { &self.alone }
    }

    fn old_is_gone(&self) -> bool {
        self.traffic.old_silent_s >= OLD_GONE_S
    }

    /// How the last tick left things.
    #[must_use]
    pub fn judgement(&self) -> Judgement {
        let old_over_limit = self.traffic.old_failures() > self.limits.error_rate.max.unwrap_or(OLD_LIMIT);
        let gate = self.active_gate();
        let (verdict, cause) = if let Some(breach) = self.breach {
            (Verdict::Breached, Some(breach.cause))
        } else if let Some(hold) = self.hold {
            (Verdict::Degraded, Some(hold.cause))
        } else if gate.proofs.is_empty() {
            (Verdict::Unguarded, None)
        } else if gate.passed() {
            (Verdict::Healthy, None)
        } else {
            (Verdict::Insufficient, gate.missing())
        };
        Judgement {
            verdict,
            cause,
            ln_w: ln(self.rollback.w),
            ln_pause: ln(self.pause.w),
            may_advance: verdict == Verdict::Healthy && !old_over_limit,
            old_over_limit,
            slot_ended: self.rollback.slot_ended,
        }
    }

    /// A step of the ramp begins: a fresh stake on top of the evidence, the gate is shut again, latency warms up. What is
    /// shown of mismatches stays: it says nothing about how many users are on new.
    ///
    /// For every raise of the percentage, whoever asked for it; not for lowering it.
    pub fn begin_step(&mut self) {
        self.rollback.begin_step();
        self.pause.begin_step();
        self.gate.begin_step();
        self.alone.restart();
        self.step = Step::default();
    }

    /// Somebody cleared the latch: all evidence against new is forgotten, and a step begins.
    pub fn resume(&mut self) {
        self.rollback.restart();
        self.pause.restart();
        self.gate.restart();
        self.alone.restart();
        self.step = Step::default();
        self.hold = None;
        self.breach = None;
        (self.comparing_s, self.zero_tolerance) = (0.0, 0);
    }

    /// What was known when new was found to be worse than tolerated; `None` unless the verdict is breached.
    #[must_use]
    pub fn breach(&self) -> Option<&Breach> {
        self.breach.as_ref()
    }

    /// What is tolerated.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What `arm` did since the step began.
    #[must_use]
    pub fn tally(&self, arm: Arm) -> Tally {
        self.step.arms[arm.index()]
    }

    /// The bound on the chance that this guard ever rolled back without need: all stakes that were paid in.
    #[must_use]
    pub fn paid_in(&self) -> f64 {
        self.rollback.paid
    }

    /// When a request in flight is to be counted as failed: after four times the slowest latency at p99 that is
    /// tolerated, at least 1 s, at most `limit`. `limit` itself until old's latency is known.
    #[must_use]
    pub fn fail_after(&self, limit: Duration) -> Duration {
        let Some(edge) = self.old_latency.edge(Quantile::P99) else {
            return limit;
        };
        let slowest = bucket_start(edge + self.tolerated_shift_of_p99());
        slowest.mul_f64(SLOWEST_TIMES).max(LEAST_FAIL_AFTER).min(limit)
    }

    fn tolerated_shift_of_p99(&self) -> usize {
        let known = self.limits.latency.iter().find(|limit| limit.quantile == Quantile::P99);
        crate::tolerated_shift(known.and_then(|limit| limit.over_old).unwrap_or(2.0))
    }

    /// Requests of both arms in a second, over the last minute or so; `None` while there is none.
    #[must_use]
    pub fn requests_per_s(&self) -> Option<f64> {
        self.traffic.all_per_s()
    }

    /// What is known of each signal that can roll back.
    #[must_use]
    pub fn evidence(&self) -> Vec<SignalEvidence> {
        self.evidence_in(&self.rollback)
    }

    /// What is known of each signal that can hold the ramp; its lines are tighter.
    #[must_use]
    pub fn pause_evidence(&self) -> Vec<SignalEvidence> {
        self.evidence_in(&self.pause)
    }

    fn evidence_in(&self, machine: &Machine) -> Vec<SignalEvidence> {
        let tests = machine.tests.iter().zip(machine.shares());
        tests
            .map(|(test, (cause, capital))| {
                let [new, new_bad, old, old_bad] = test.total.rounded();
                let margin = margin(&test.spec);
                SignalEvidence { cause, margin, ln_w: ln(capital), new, new_bad, old, old_bad }
            })
            .collect()
    }

    /// How far each signal is on the way to being shown no worse: the logarithm of that evidence, and whether it
    /// sufficed. What is needed is the logarithm of 100.
    #[must_use]
    pub fn proofs(&self) -> Vec<(Cause, f64, bool)> {
        let proofs = self.active_gate().proofs.iter();
        proofs.map(|proof| (proof.spec.cause, proof.ln_evidence(), proof.passed)).collect()
    }
}

fn ln(w: f64) -> f64 {
    w.max(1e-300).ln()
}

fn margin(spec: &Spec) -> Margin {
    match (spec.pick, spec.against) {
        (Pick::Slower { shift, .. }, _) => Margin::TimesOld(shift_factor(shift)),
        (Pick::From(bucket), _) => Margin::Latency(bucket_start(bucket)),
        (_, Against::Old { margin }) => Margin::RateOverOld(margin),
        (_, Against::Fixed { rate } | Against::FixedAlone { rate }) => Margin::Rate(rate),
    }
}

/// One tick's counts, as the tests pick from them.
struct View<'a> {
    counts: &'a Counts,
    limits: &'a Limits,
    old_latency: &'a OldLatency,
    warming_up: bool,
    successes: [u64; 2],
}

impl<'a> View<'a> {
    fn new(counts: &'a Counts, limits: &'a Limits, old_latency: &'a OldLatency, warming_up: bool) -> Self {
        let successes = Arm::ALL.map(|arm| counts.arm(arm).successes());
        View { counts, limits, old_latency, warming_up, successes }
    }

    /// What a test takes from this tick; `None` where it does not judge now.
    fn block(&self, spec: &Spec) -> Option<Block> {
        let (old, new) = (self.counts.arm(Arm::Old), self.counts.arm(Arm::New));
        let [old_answered, new_answered] = self.successes;
        let [n1, f1, n0, f0] = match spec.pick {
            Pick::Failures => [new.requests, new.failures, old.requests, old.failures],
            Pick::Slower { .. } | Pick::From(_) if self.warming_up => return None,
            Pick::Slower { quantile, shift } => {
                let edge = self.old_latency.edge(quantile)?;
                [new_answered, new.slower(self.limits.slow_from(edge, shift)), old_answered, old.slower(edge)]
            }
            Pick::From(bucket) => [new_answered, new.slower(bucket), old_answered, old.slower(bucket)],
            Pick::ClientErrors => {
                let [new_all, old_all] =
                    [new, old].map(|arm| arm.requests.saturating_sub(arm.client_errors_left_out));
                [new_all, new.client_errors, old_all, old.client_errors]
            }
            Pick::Retries => [new.requests, new.retried, old.requests, old.retried],
            Pick::Mismatches => [self.counts.comparisons, self.counts.mismatches, 0, 0],
        };
        // Cells are read one after the other while workers write: a bad one may be there before its request is.
        let [new, new_bad, old, old_bad] = [n1, f1.min(n1), n0, f0.min(n0)].map(|count| count as f64);
        Some(Block { new, new_bad, old, old_bad })
    }
}
