//! The guard of one migration at work: takes what the workers have counted since the last look, and judges.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use config_file::GuardConfig;
use ramp::Evidence;
use rollback_guard::{
    Breach, Cause, Counts, Guard, GuardState, Limits, MatchRate, MatchState, MismatchLimit, Need, ProofState,
    Signal, TestState, Verdict,
};
use serde_json::{Map, Value, json};
use telemetry::{ComparisonCells, EvidenceCells};
use traffic_split::{Arm, Percent};

use crate::lookout::Lookout;
use crate::stakes::{self, Before};

/// What a ramp may make of a verdict.
fn as_evidence(verdict: Verdict, may_advance: bool, sentence: String) -> Evidence {
    match verdict {
        Verdict::Healthy if may_advance => Evidence::Proven,
        Verdict::Healthy => {
            Evidence::Against("old itself is above its limit, so nothing is shown about new".to_owned())
        }
        Verdict::Insufficient => Evidence::Missing(sentence),
        Verdict::Degraded | Verdict::Breached => Evidence::Against(sentence),
        Verdict::Unguarded => Evidence::Unguarded,
    }
}

/// Where a migration stands, as far as the guard goes by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ground {
    /// The percentage in force.
    pub(crate) percent: Percent,
    /// There is a latch.
    pub(crate) is_latched: bool,
    /// Users are on their way back in parts.
    pub(crate) is_returning: bool,
    /// Users are away from new for a moment, in a drill: that begins no step.
    pub(crate) is_drilling: bool,
    /// Requests are copied, so that answers are compared.
    pub(crate) is_compared: bool,
}

impl Ground {
    /// Of a migration with these intents.
    pub(crate) fn of(intent: &ramp::Intent) -> Self {
        Ground {
            percent: intent.standing().in_force(),
            is_latched: intent.latch.is_some(),
            is_returning: intent.latch.is_some_and(|latch| latch.is_returning()),
            is_drilling: intent.is_drilling,
            is_compared: false,
        }
    }

    /// A rollback to more than 0 is over: what is left on new is judged from there on.
    fn is_back_at_a_step(self) -> bool {
        self.is_latched && !self.is_returning && self.percent > Percent::ZERO
    }
}

/// What a guard knows of how alike the answers are, for new and against it, put aside while it does not look at them.
struct Aside {
    rollback: Vec<TestState>,
    pause: Vec<TestState>,
    gate: Vec<ProofState>,
    rate: MatchRate,
}

impl Aside {
    fn of(mut state: GuardState, rate: MatchRate) -> Self {
        let is_of_answers = |cause: &Cause| cause.signal == Signal::Mismatches;
        state.rollback.retain(|test| is_of_answers(&test.cause));
        state.pause.retain(|test| is_of_answers(&test.cause));
        state.gate.retain(|proof| is_of_answers(&proof.cause));
        Aside { rollback: state.rollback, pause: state.pause, gate: state.gate, rate }
    }
}

/// A guard with its eyes.
pub(crate) struct Watchman {
    lookout: Lookout,
    config: GuardConfig,
    guard: Guard,
    /// What comparing came to, as of the last look.
    comparisons: Option<(Arc<ComparisonCells>, Counts)>,
    /// What was shown of how alike the answers are, while none are compared.
    aside: Option<Aside>,
    ground: Ground,
    /// The percentage in force, drills left out: what is above it is a raise.
    level: Percent,
    /// It has been told that there is nowhere to go back to.
    alerted: bool,
    /// The verdict that was told last.
    told: Verdict,
}

impl Watchman {
    /// Judges by what is counted from now on.
    pub(crate) fn new(cells: Arc<EvidenceCells>, config: GuardConfig, ground: Ground) -> Self {
        let guard = Guard::new(limits_at(&config, ground));
        Self::with(cells, config, guard, ground)
    }

    /// Goes on from what was kept of its guard when the process before ended, or of a migration that was gone from the
    /// file. Stands as that did; what is different now is for [`Watchman::follow`].
    pub(crate) fn restored(
        name: &str,
        cells: Arc<EvidenceCells>,
        config: GuardConfig,
        before: &Before,
    ) -> Self {
        // What is shown of mismatches is kept until it is known whether they are looked at: by the next step.
        let (guard, lost) = stakes::begin(config.limits.clone(), Some(before));
        if let Some(why) = lost {
            tracing::warn!(
                migration = name,
                "{name}: {why}, so the guard begins without a stake: it needs more evidence for a rollback until the \
                 next step"
            );
        }
        Self::with(cells, config, guard, before.ground)
    }

    fn with(cells: Arc<EvidenceCells>, config: GuardConfig, guard: Guard, ground: Ground) -> Self {
        let watchman = Watchman {
            lookout: Lookout::new(cells),
            config,
            guard,
            comparisons: None,
            aside: None,
            ground,
            level: ground.percent,
            alerted: false,
            told: Verdict::Insufficient,
        };
        watchman.await_nobody();
        watchman
    }

    /// Judges also by what comparing comes to, from now on.
    pub(crate) fn comparing(mut self, cells: Arc<ComparisonCells>) -> Self {
        let seen = cells.totals().counts();
        self.comparisons = Some((cells, seen));
        self
    }

    /// What was compared so far says nothing any more: new, or what counts as a difference, is another one.
    pub(crate) fn compare_anew(&mut self) {
        // What was counted since the last look belongs to it.
        if let Some((cells, seen)) = &mut self.comparisons {
            *seen = cells.totals().counts();
        }
        self.aside = None;
        self.guard.compare_anew();
    }

    /// Goes by another configuration and percentage. Evidence and stakes stay; a raise pays in another stake and shuts the
    /// gate. Once a latch is cleared, or a rollback has left some users on new, what spoke against new is forgotten.
    pub(crate) fn follow(&mut self, config: &GuardConfig, ground: Ground) {
        let limits = limits_at(config, ground);
        if config.limits.mismatches != self.config.limits.mismatches {
            // It was found under another limit.
            self.aside = None;
        }
        if limits != *self.guard.limits() {
            let (state, rate) = (self.state(), self.match_rate());
            self.guard = Guard::restore(limits, &state);
            let is_limited = config.limits.mismatches.pause.is_some();
            let rate = rate.filter(|_| is_limited && !ground.is_compared);
            self.aside = rate.map(|rate| Aside::of(state, rate));
        }
        self.config = config.clone();
        let was = std::mem::replace(&mut self.ground, ground);
        let is_cleared = was.is_latched && !ground.is_latched;
        if is_cleared || (ground.is_back_at_a_step() && !was.is_back_at_a_step()) {
            self.resume();
        } else if ground.percent > self.level {
            self.guard.begin_step();
        }
        if !ground.is_drilling {
            self.level = ground.percent;
        }
    }

    /// Looks at what was counted since the last time, `since_last` ago. What it finds it finds at every look, until nobody
    /// is on new any more. While nobody is on new, or everybody is and no fixed limit is set, there is nothing to judge,
    /// and what was counted is skipped.
    pub(crate) fn look(&mut self, since_last: Duration) -> Option<Breach> {
        let compared = self.newly_compared();
        if self.ground.percent == Percent::ZERO {
            self.skip();
            if self.ground.is_compared {
                self.guard.compare(since_last, &compared);
            }
            return None;
        }
        if self.has_nothing_to_compare() {
            self.skip();
            // What differs is seen all the same, where old gets copies.
            let judged = self.ground.is_compared.then(|| self.guard.tick(since_last, &compared));
            return judged.and_then(|_| self.guard.breach().copied());
        }
        let mut block = self.lookout.block();
        block.add(&compared);
        self.guard.tick(since_last, &block);
        self.tell_fail_after();
        self.guard.breach().copied()
    }

    /// What comparing came to since the last look, and nothing where it is not to be looked at.
    fn newly_compared(&mut self) -> Counts {
        let Some((cells, seen)) = &mut self.comparisons else { return Counts::ZERO };
        let now = cells.totals().counts();
        let mut compared = now.clone();
        compared.since(seen);
        *seen = now;
        if self.ground.is_compared { compared } else { Counts::ZERO }
    }

    fn has_nothing_to_compare(&self) -> bool {
        self.ground.percent == Percent::FULL && !self.config.limits.has_fixed()
    }

    /// Tells the workers when a request that hangs is to be counted, as soon as old's latency is known.
    fn tell_fail_after(&self) {
        let after = Some(self.guard.fail_after(Duration::MAX)).filter(|after| *after < Duration::MAX);
        let after_ms = after.map(|after| u32::try_from(after.as_millis()).unwrap_or(u32::MAX));
        self.lookout.cells().set_fail_after_ms(after_ms.and_then(NonZeroU32::new));
    }

    /// Nobody is compared, so nobody is waited for.
    fn skip(&mut self) {
        self.await_nobody();
        self.lookout.skip();
    }

    fn await_nobody(&self) {
        self.lookout.cells().set_fail_after_ms(None);
    }

    /// Somebody lets new go forward again: what spoke against it is forgotten.
    pub(crate) fn resume(&mut self) {
        self.guard.resume();
        self.alerted = false;
    }

    /// Whether what it finds while users return is to be told: the first time.
    pub(crate) fn tell_once(&mut self) -> bool {
        let verdict = std::mem::replace(&mut self.told, Verdict::Breached);
        self.ground.is_returning && verdict != Verdict::Breached
    }

    /// Takes note that there is nowhere to go back to. `true` when that has to be told.
    pub(crate) fn cannot_go_back(&mut self) -> bool {
        !std::mem::replace(&mut self.alerted, true)
    }

    /// What is to be kept of its guard.
    pub(crate) fn state(&self) -> GuardState {
        let mut state = self.guard.state();
        if let Some(aside) = &self.aside {
            state.rollback.extend(aside.rollback.iter().cloned());
            state.pause.extend(aside.pause.iter().cloned());
            state.gate.extend(aside.gate.iter().cloned());
        }
        state
    }

    /// What it goes by.
    pub(crate) fn config(&self) -> &GuardConfig {
        &self.config
    }

    /// The verdict before, if it is another one now and has not been told. While nobody is on new there is none to tell.
    pub(crate) fn turned(&mut self) -> Option<Verdict> {
        // But for what comparisons say before anybody is.
        if self.ground.percent == Percent::ZERO && !self.is_held() && self.told != Verdict::Degraded {
            return None;
        }
        let now = self.verdict();
        let before = std::mem::replace(&mut self.told, now);
        (before != now).then_some(before)
    }

    /// Why users go back, with its numbers.
    pub(crate) fn breach_sentence(&self) -> String {
        self.guard.breach_sentence().unwrap_or_default()
    }

    /// Where its migration stands.
    pub(crate) fn ground(&self) -> Ground {
        self.ground
    }

    /// What the ramp may make of it.
    pub(crate) fn evidence(&self) -> Evidence {
        let (verdict, sentence) = self.report();
        as_evidence(verdict, self.guard.judgement().may_advance, sentence)
    }

    /// What is shown of the answers of both arms, for going on to users.
    pub(crate) fn matching(&self) -> Evidence {
        let (Some(proof), Some(sentence)) = (self.guard.match_proof(), self.guard.match_sentence()) else {
            return Evidence::Proven;
        };
        match proof.state {
            MatchState::Proven => Evidence::Proven,
            MatchState::Needs { .. } => Evidence::Missing(sentence),
            MatchState::TooMany { .. } | MatchState::Held | MatchState::ZeroTolerance(_) => {
                Evidence::Against(sentence)
            }
        }
    }

    /// How often the answers match, by what the gate has counted, also while none are compared; `None` where mismatches
    /// are not limited.
    pub(crate) fn match_rate(&self) -> Option<MatchRate> {
        let looked_at = self.guard.match_proof().map(|proof| proof.rate);
        looked_at.or_else(|| self.aside.as_ref().map(|aside| aside.rate))
    }

    /// What is shown of the answers of both arms, as a sentence; `None` where mismatches are not limited.
    pub(crate) fn match_sentence(&self) -> Option<String> {
        self.guard.match_sentence()
    }

    /// Requests that new had since the step began.
    pub(crate) fn requests(&self) -> u64 {
        self.guard.tally(Arm::New).requests
    }

    /// How many requests of new the gate of a step with this share of them needs.
    pub(crate) fn need_for_gate_at(&self, share: f64) -> Option<Need> {
        self.guard.need_for_gate_at(share)
    }

    /// Requests of both arms in a second.
    pub(crate) fn requests_per_s(&self) -> Option<f64> {
        self.guard.requests_per_s()
    }

    /// What it knows, for the journal: counts, evidence and margins.
    pub(crate) fn data(&self) -> Map<String, Value> {
        let [old, new] = [Arm::Old, Arm::New].map(|arm| self.guard.tally(arm));
        let signals = self.guard.evidence().into_iter().map(|signal| {
            json!({
                "signal": signal.cause.to_string(),
                "allowed": format!("{:?}", signal.margin),
                "ln_w": rounded(signal.ln_w),
                "new": [signal.new_bad, signal.new],
                "old": [signal.old_bad, signal.old],
            })
        });
        let proofs = self.guard.proofs().into_iter();
        let proofs = proofs.map(|(cause, ln_e, _)| (cause.to_string(), Value::from(rounded(ln_e))));
        Map::from_iter([
            ("verdict".to_owned(), self.verdict().as_str().into()),
            ("ln_w".to_owned(), rounded(self.guard.judgement().ln_w).into()),
            ("new_requests".to_owned(), new.requests.into()),
            ("new_failures".to_owned(), new.failures.into()),
            ("old_requests".to_owned(), old.requests.into()),
            ("old_failures".to_owned(), old.failures.into()),
            ("signals".to_owned(), signals.collect()),
            ("proofs_ln_e".to_owned(), Value::Object(proofs.collect())),
        ])
    }

    /// The verdict. What it rests on is told by [`Watchman::report`], which is work for readers and not for each look.
    pub(crate) fn verdict(&self) -> Verdict {
        self.idle().map_or_else(|| self.guard.judgement().verdict, |(verdict, _)| verdict)
    }

    /// The logarithm of the evidence that new is worse: at 0 users go back. `None` where there is nothing to judge by.
    pub(crate) fn ln_evidence(&self) -> Option<f64> {
        let judges = !matches!(self.idle(), Some((Verdict::Unguarded, _)));
        judges.then(|| rounded(self.guard.judgement().ln_w))
    }

    /// The verdict, and one sentence about it.
    pub(crate) fn report(&self) -> (Verdict, String) {
        if let Some((verdict, sentence)) = self.idle() {
            return (verdict, sentence.to_owned());
        }
        let verdict = self.guard.judgement().verdict;
        if verdict == Verdict::Breached && self.alerted {
            let sentence = format!("cannot go back: no endpoint of old is healthy; {}", self.guard.explain());
            return (verdict, sentence);
        }
        (verdict, self.guard.explain())
    }

    /// With everybody on one arm there is nothing to compare with, and this is said.
    fn idle(&self) -> Option<(Verdict, &'static str)> {
        if self.guard.breach().is_some() {
            None
        } else if self.is_held() {
            // Comparisons speak against new, also where nothing else is judged.
            None
        } else if self.has_nothing_to_compare() {
            let sentence = "unguarded; everybody is on new, so there is nobody to compare with";
            Some((Verdict::Unguarded, sentence))
        } else {
            let is_empty = self.ground.percent == Percent::ZERO;
            is_empty.then_some((Verdict::Insufficient, "insufficient; new gets no requests"))
        }
    }

    fn is_held(&self) -> bool {
        let judgement = self.guard.judgement();
        let by_comparing = judgement.cause.is_some_and(|cause| cause.signal == Signal::Mismatches);
        self.ground.is_compared && judgement.verdict == Verdict::Degraded && by_comparing
    }
}

/// What is tolerated where it stands like this. Where no answers are compared, nothing has to be shown of them.
fn limits_at(config: &GuardConfig, ground: Ground) -> Limits {
    let mut limits = config.limits.clone();
    if !ground.is_compared {
        limits.mismatches = MismatchLimit::default();
    }
    limits
}

/// To three digits behind the point: a reader's number.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

impl Drop for Watchman {
    fn drop(&mut self) {
        self.await_nobody();
    }
}

#[cfg(test)]
mod tests {
    use route_plan::outcome::{Failure, Observation};
    use telemetry::{Memory, Telemetry};
    use traffic_split::Role;

    use super::*;
    use crate::stakes::Stake;

    const TICK: Duration = Duration::from_millis(50);

    fn observation(arm: Arm, key: u64, fails: bool) -> Observation {
        Observation {
            arm: Some(arm),
            role: Role::Served,
            by_bucket: true,
            key,
            status: (!fails).then_some(200),
            client_status: Some(if fails { 502 } else { 200 }),
            covered: false,
            hung: false,
            retried: false,
            to_head: Duration::from_millis(5),
            total: Duration::from_millis(5),
            failure: fails.then_some(Failure::Closed),
            client_aborted: false,
            drained: false,
        }
    }

    fn at(percent: &str) -> Ground {
        Ground { percent: percent.parse().unwrap(), ..Ground::default() }
    }

    struct Stage {
        cells: Arc<EvidenceCells>,
        memory: Memory,
        watchman: Watchman,
        key: u64,
    }

    impl Stage {
        fn new(percent: &str) -> Self {
            let cells = Telemetry::new(1).evidence("shop");
            let watchman = Watchman::new(Arc::clone(&cells), GuardConfig::default(), at(percent));
            Stage { cells, memory: Memory::default(), watchman, key: 0 }
        }

        /// A second in which each arm has so many requests, those of new failing or not.
        fn second(&mut self, requests: u64, new_fails: bool) -> Option<Breach> {
            let mut breach = None;
            for _ in 0..20 {
                for _ in 0..requests / 20 {
                    self.key += 1;
                    self.cells.record(0, &mut self.memory, &observation(Arm::Old, self.key, false));
                    self.cells.record(0, &mut self.memory, &observation(Arm::New, self.key, new_fails));
                }
                breach = breach.or(self.watchman.look(TICK));
            }
            breach
        }
    }

    #[test]
    fn new_that_is_down_is_found_within_a_second() {
        let mut stage = Stage::new("50");
        assert_eq!(stage.second(200, false), None);
        let breach = stage.second(200, true).expect("within a second");
        assert_eq!(stage.second(200, false), Some(breach), "until somebody has acted");
        assert_eq!(stage.watchman.report().0, Verdict::Breached);
        let sentence = stage.watchman.breach_sentence();
        assert!(
            sentence.starts_with("new fails ") && sentence.contains("old 0%, allowed +0.5% (after "),
            "{sentence}"
        );
        let config = GuardConfig::default();
        stage.watchman.follow(&config, Ground { is_latched: true, ..at("0") });
        assert_eq!(stage.second(200, true), None, "nobody is on new");
        assert_eq!(stage.watchman.report().0, Verdict::Breached, "and it is known why");
        stage.watchman.follow(&config, at("50"));
        assert_ne!(stage.watchman.report().0, Verdict::Breached);
        assert!(stage.second(200, true).is_some(), "and again");
    }

    #[test]
    fn what_was_counted_while_nobody_was_compared_is_no_evidence() {
        for percent in ["0", "100"] {
            let mut stage = Stage::new(percent);
            assert_eq!(stage.second(200, true), None, "{percent}");
            stage.watchman.follow(&GuardConfig::default(), at("50"));
            assert_eq!(stage.watchman.look(TICK), None);
            assert_eq!(stage.watchman.report().0, Verdict::Insufficient);
            assert!(stage.second(200, true).is_some());
        }
    }

    #[test]
    fn a_restart_keeps_the_evidence_and_refills_no_stake() {
        let mut stage = Stage::new("50");
        assert_eq!(stage.second(200, false), None);
        let kept = stage.watchman.state();
        let stake = Stake { step: "the first".to_owned(), state: kept.clone() };
        let before = Before { stake: Some(stake), step: "the first".to_owned(), ground: at("50") };
        let restart = |stage: &mut Stage, before: &Before| {
            let cells = Arc::clone(&stage.cells);
            stage.watchman = Watchman::restored("shop", cells, GuardConfig::default(), before);
            stage.watchman.state()
        };
        assert_eq!(restart(&mut stage, &before), kept);
        let lost = restart(&mut stage, &Before { step: "the second".to_owned(), ..before.clone() });
        assert_eq!((lost.rollback_paid, lost.step), (kept.rollback_paid, GuardState::default().step));
        assert!(lost.rollback.iter().all(|test| test.capital.iter().all(|capital| *capital == 0.0)));
        assert!(stage.second(200, true).is_some(), "and it sees all the same what is down");
        // A raise that came with the file of the new start is a step like any other.
        restart(&mut stage, &before);
        stage.watchman.follow(&GuardConfig::default(), at("75"));
        assert!(stage.watchman.state().rollback_paid > kept.rollback_paid + 9e-5);
    }

    #[test]
    fn a_drill_begins_no_step() {
        let mut stage = Stage::new("50");
        let paid = |stage: &Stage| stage.watchman.state().rollback_paid;
        let before = paid(&stage);
        let config = GuardConfig::default();
        stage.watchman.follow(&config, Ground { is_drilling: true, ..at("0") });
        stage.watchman.follow(&config, at("50"));
        assert_eq!(paid(&stage).to_bits(), before.to_bits());
        stage.watchman.follow(&config, at("60"));
        assert!(paid(&stage) > before);
    }

    #[test]
    fn a_rollback_to_a_step_is_judged_from_there_on() {
        let mut stage = Stage::new("50");
        assert!(stage.second(200, true).is_some());
        let config = GuardConfig::default();
        stage.watchman.follow(&config, Ground { is_latched: true, is_returning: true, ..at("30") });
        assert_eq!(stage.watchman.report().0, Verdict::Breached, "on the way back");
        stage.watchman.follow(&config, Ground { is_latched: true, ..at("25") });
        assert_eq!(stage.watchman.look(TICK), None);
        assert!(stage.second(200, true).is_some(), "what is left is still failing");
    }

    #[test]
    fn with_everybody_on_new_fixed_limits_are_judged() {
        let mut config = GuardConfig::default();
        config.limits.error_rate.max = Some(0.02);
        let mut stage = Stage::new("100");
        stage.watchman.follow(&config, at("100"));
        let mut breach = None;
        for _ in 0..30 {
            for _ in 0..200 {
                stage.key += 1;
                stage.cells.record(
                    0,
                    &mut stage.memory,
                    &observation(Arm::New, stage.key, stage.key.is_multiple_of(4)),
                );
            }
            // Half a second each: old has to be silent for a while before it counts as gone.
            breach = breach.or(stage.watchman.look(TICK * 10));
        }
        assert!(breach.is_some());
    }

    #[test]
    fn workers_learn_when_a_request_hangs_while_both_arms_are_compared() {
        let mut stage = Stage::new("50");
        let told = |stage: &Stage| stage.cells.fail_after_ms().map(NonZeroU32::get);
        stage.second(200, false);
        assert_eq!(told(&stage), None, "old has shown too little of how long it takes");
        stage.second(200, false);
        assert_eq!(told(&stage), Some(1_000), "old takes 5 ms, so the least there is");
        stage.watchman.follow(&GuardConfig::default(), at("100"));
        stage.second(200, false);
        assert_eq!(told(&stage), None, "nobody is compared");
        stage.watchman.follow(&GuardConfig::default(), at("50"));
        stage.second(200, false);
        assert_eq!(told(&stage), Some(1_000));
        drop(stage.watchman);
        assert_eq!(stage.cells.fail_after_ms(), None, "nobody judges");
    }

    #[test]
    fn the_evidence_is_a_number_where_something_is_judged() {
        let mut stage = Stage::new("50");
        let stake = stage.watchman.ln_evidence().expect("compared");
        assert!((stake - 1e-4_f64.ln()).abs() < 1e-3, "{stake}");
        assert!(stage.second(200, true).is_some());
        assert!(stage.watchman.ln_evidence() >= Some(0.0));
        stage.watchman.follow(&GuardConfig::default(), Ground { is_latched: true, ..at("0") });
        assert!(stage.watchman.ln_evidence() >= Some(0.0), "what took them back");
        assert_eq!(Stage::new("100").watchman.ln_evidence(), None);
        assert_eq!(Stage::new("0").watchman.ln_evidence(), Some(stake));
    }

    #[test]
    fn other_limits_keep_the_evidence() {
        let mut stage = Stage::new("50");
        assert!(stage.second(200, true).is_some());
        let mut config = GuardConfig::default();
        config.limits.error_rate.max = Some(0.02);
        stage.watchman.follow(&config, at("50"));
        assert_eq!(stage.watchman.report().0, Verdict::Breached);
    }
}
