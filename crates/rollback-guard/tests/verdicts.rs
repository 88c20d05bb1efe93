//! What the guard says in which situation, through its public door.

#![allow(clippy::unwrap_used, reason = "a failed expectation ends the test that had it")]

use std::time::Duration;

use proptest::prelude::*;
use rollback_guard::{
    ClientErrors, Counts, Guard, GuardState, Judgement, LatencyLimit, Limits, MismatchLimit, Quantile,
    RateLimit, Verdict, WarmUp,
};
use traffic_split::Arm;

const TICK: Duration = Duration::from_millis(50);
const SECOND: u64 = 20;

/// What happens in each tick, as a share of requests or a factor.
#[derive(Clone, Copy, Debug)]
struct Scene {
    old: u64,
    new: u64,
    /// Every so many requests of old fail; 0: none.
    old_fails: u64,
    new_fails: u64,
    old_4xx: u64,
    new_4xx: u64,
    new_retries: u64,
    new_slower: f64,
}

const HEALTHY: Scene = Scene {
    old: 20,
    new: 5,
    old_fails: 0,
    new_fails: 0,
    old_4xx: 0,
    new_4xx: 0,
    new_retries: 0,
    new_slower: 1.0,
};

/// Plays scenes to a guard; what fails is spread evenly, so that nothing here is left to chance.
struct Stage {
    guard: Guard,
    played: [u64; 2],
}

impl Stage {
    fn new(limits: Limits) -> Stage {
        Stage { guard: Guard::new(limits), played: [0; 2] }
    }

    fn play(&mut self, ticks: u64, scene: Scene) -> Judgement {
        for _ in 0..ticks {
            let mut block = Counts::ZERO;
            self.arm(&mut block, Arm::Old, scene.old, [scene.old_fails, scene.old_4xx, 0], 1.0);
            let new = [scene.new_fails, scene.new_4xx, scene.new_retries];
            self.arm(&mut block, Arm::New, scene.new, new, scene.new_slower);
            self.guard.tick(TICK, &block);
        }
        self.guard.judgement()
    }

    fn arm(&mut self, block: &mut Counts, arm: Arm, requests: u64, every: [u64; 3], slower: f64) {
        for _ in 0..requests {
            let n = &mut self.played[arm.index()];
            *n += 1;
            let [fails, client_error, retried] =
                every.map(|every| n.checked_rem(every).is_some_and(|rest| rest == 0));
            if fails {
                block.failure(arm);
            } else {
                // From 10 ms, with a long tail: 45 ms at p95, 100 ms at p99.
                let slower_than = (*n * 377 % 1000) as f64 / 1000.0;
                let ms = 10.0 / (1.0005 - slower_than).sqrt();
                block.success(arm, Duration::from_secs_f64(ms / 1e3 * slower));
            }
            block.arm_mut(arm).client_errors += u64::from(client_error && !fails);
            block.arm_mut(arm).retried += u64::from(retried);
        }
    }
}

fn limits() -> Limits {
    Limits { warm_up: WarmUp::NONE, ..Limits::default() }
}

fn with_max(max: f64) -> Limits {
    Limits { error_rate: RateLimit { over_old: Some(0.005), max: Some(max) }, ..limits() }
}

/// New is slower by this factor than an old that answers in 0.1 ms at the least, with a long tail: 1 ms at p99.
fn quick(new_slower: f64) -> Judgement {
    let (mut guard, mut played) = (Guard::new(Limits::default()), 0_u32);
    for _ in 0..60 * SECOND {
        let mut block = Counts::ZERO;
        for n in 0..100 {
            played += 1;
            let slower_than = f64::from(played * 377 % 1000) / 1000.0;
            let old = Duration::from_secs_f64(1e-4 / (1.0005 - slower_than).sqrt());
            block.success(Arm::Old, old);
            if n % 20 == played / 1000 % 20 {
                block.success(Arm::New, old.mul_f64(new_slower));
            }
        }
        guard.tick(TICK, &block);
    }
    guard.judgement()
}

#[test]
fn less_than_a_millisecond_is_no_reason_to_go_back() {
    assert_eq!(quick(1.3).verdict, Verdict::Healthy);
    let on_the_way = quick(1.9);
    assert_eq!((on_the_way.verdict, on_the_way.ln_w < 0.0), (Verdict::Insufficient, true));
    assert_eq!(quick(12.0).verdict, Verdict::Breached);
}

#[test]
fn too_little_is_insufficient_and_enough_is_healthy() {
    let mut stage = Stage::new(limits());
    let early = stage.play(2 * SECOND, HEALTHY);
    assert_eq!((early.verdict, early.may_advance), (Verdict::Insufficient, false));
    let text = stage.guard.explain();
    assert!(text.starts_with("insufficient; about ") && text.contains("more requests ("), "{text}");
    let late = stage.play(60 * SECOND, HEALTHY);
    assert_eq!((late.verdict, late.may_advance, late.cause), (Verdict::Healthy, true, None));
    let text = stage.guard.explain();
    assert!(text.starts_with("healthy; a 5% failure rate would be noticed after about "), "{text}");
    stage.guard.begin_step();
    assert_eq!(stage.guard.judgement().verdict, Verdict::Insufficient, "each step is shown anew");
}

#[test]
fn a_breach_stays_until_somebody_resumes() {
    let mut stage = Stage::new(limits());
    stage.play(10 * SECOND, HEALTHY);
    let breached = stage.play(SECOND, Scene { new_fails: 1, ..HEALTHY });
    assert_eq!(breached.verdict, Verdict::Breached);
    let text = stage.guard.explain();
    let breach = *stage.guard.breach().unwrap();
    assert_eq!(breach.cause.to_string(), "error_rate");
    assert!(breach.new.failures >= 10 && breach.ln_w >= 0.0, "{breach:?}");
    assert_eq!(
        text,
        "breached; error_rate: 35 of 1,035 failed on new, 0 of 4,140 on old; tolerated: old and 0.5 pp"
    );
    assert_eq!(stage.play(120 * SECOND, HEALTHY).verdict, Verdict::Breached);
    assert_eq!(stage.guard.breach(), Some(&breach));
    stage.guard.resume();
    assert_eq!(stage.play(1, HEALTHY).verdict, Verdict::Insufficient);
    assert!(stage.guard.judgement().ln_w < -9.0, "fresh evidence");
    assert_eq!(stage.play(60 * SECOND, HEALTHY).verdict, Verdict::Healthy);
}

#[test]
fn a_little_worse_holds_the_ramp_and_clears_by_itself() {
    let mut stage = Stage::new(limits());
    stage.play(60 * SECOND, HEALTHY);
    let worse = Scene { new_fails: 250, ..HEALTHY };
    let held = stage.play(600 * SECOND, worse);
    assert_eq!((held.verdict, held.may_advance), (Verdict::Degraded, false));
    assert!(stage.guard.explain().starts_with("degraded; "), "{}", stage.guard.explain());
    assert_eq!(stage.play(900 * SECOND, worse).verdict, Verdict::Degraded, "more of the same keeps it held");
    assert_eq!(stage.play(30 * SECOND, HEALTHY).verdict, Verdict::Degraded);
    assert_eq!(stage.play(570 * SECOND, HEALTHY).verdict, Verdict::Healthy);
}

#[test]
fn quiet_traffic_lets_a_hold_go_after_ten_minutes() {
    let mut stage = Stage::new(limits());
    stage.play(20 * SECOND, HEALTHY);
    let held = stage.play(20 * SECOND, Scene { new_slower: 1.4, ..HEALTHY });
    assert_eq!(held.verdict, Verdict::Degraded);
    let text = stage.guard.explain();
    assert!(text.starts_with("degraded; p") && text.ends_with("1.091 times old's"), "{text}");
    let none = Scene { old: 0, new: 0, ..HEALTHY };
    assert_eq!(stage.play(590 * SECOND, none).verdict, Verdict::Degraded);
    assert_ne!(stage.play(20 * SECOND, none).verdict, Verdict::Degraded);
}

#[test]
fn slowness_is_not_judged_while_new_warms_up() {
    let slow = Scene { new_slower: 5.0, new: 1, ..HEALTHY };
    let mut cold = Stage::new(Limits::default());
    // A step: old's latency is known, new has just started.
    cold.play(60 * SECOND, HEALTHY);
    cold.guard.begin_step();
    assert_ne!(cold.play(9 * SECOND, slow).verdict, Verdict::Breached);
    let after = cold.play(30 * SECOND, slow);
    assert_eq!(after.verdict, Verdict::Breached);
    let text = cold.guard.explain();
    assert!(
        text.contains(" were slow on new, ") && text.ends_with("on old; tolerated: 1.477 times old's"),
        "{text}"
    );
    let mut failing = Stage::new(Limits::default());
    failing.play(60 * SECOND, HEALTHY);
    failing.guard.begin_step();
    let failed = failing.play(SECOND, Scene { new_fails: 1, ..HEALTHY });
    assert_eq!(failed.verdict, Verdict::Breached, "failures are judged from the first request on");
}

#[test]
fn more_4xx_on_new_hold_or_roll_back_as_asked() {
    let scene = Scene { old_4xx: 20, new_4xx: 5, ..HEALTHY };
    for (asked, verdict, cause) in [
        (ClientErrors::Pause, Verdict::Degraded, Some("client_errors")),
        (ClientErrors::Rollback, Verdict::Breached, Some("client_errors")),
        (ClientErrors::Ignore, Verdict::Healthy, None),
    ] {
        let mut stage = Stage::new(Limits { client_errors: asked, ..limits() });
        let judgement = stage.play(100 * SECOND, scene);
        let named = judgement.cause.map(|cause| cause.to_string());
        assert_eq!((judgement.verdict, named.as_deref()), (verdict, cause), "{asked:?}");
    }
    let mut alike = Stage::new(limits());
    let judgement = alike.play(100 * SECOND, Scene { old_4xx: 5, new_4xx: 5, ..HEALTHY });
    assert_eq!(
        judgement.verdict,
        Verdict::Insufficient,
        "at a fifth, a point more or less takes long to tell"
    );
}

#[test]
fn more_retries_on_new_hold_the_ramp() {
    let mut stage = Stage::new(limits());
    let judgement = stage.play(60 * SECOND, Scene { new_retries: 10, ..HEALTHY });
    assert_eq!(judgement.verdict, Verdict::Degraded);
    assert_eq!(judgement.cause.unwrap().to_string(), "retries");
}

#[test]
fn above_its_limit_new_goes_back_only_while_old_keeps_within() {
    // 3 % of new fail; over old that is tolerated here, the limit is 1 %.
    let lax = |max| {
        let error_rate = RateLimit { over_old: Some(0.05), max: Some(max) };
        Limits { error_rate, latency: Vec::new(), ..limits() }
    };
    let mut stage = Stage::new(lax(0.01));
    let judgement = stage.play(300 * SECOND, Scene { new_fails: 33, old_fails: 500, ..HEALTHY });
    assert_eq!(judgement.verdict, Verdict::Breached);
    assert_eq!(judgement.cause.unwrap().to_string(), "error_rate_max");

    let mut both = Stage::new(lax(0.01));
    let judgement = both.play(300 * SECOND, Scene { new_fails: 33, old_fails: 33, ..HEALTHY });
    assert_eq!((judgement.verdict, judgement.old_over_limit), (Verdict::Degraded, true));
    assert!(both.guard.explain().ends_with("so the ramp holds"), "{}", both.guard.explain());
    // Old recovers, and new with it: nothing of the bad time is held against new.
    assert_ne!(both.play(900 * SECOND, HEALTHY).verdict, Verdict::Breached);
}

#[test]
fn an_old_that_fails_holds_the_ramp_without_a_limit_too() {
    let mut stage = Stage::new(limits());
    let judgement = stage.play(300 * SECOND, Scene { old_fails: 20, ..HEALTHY });
    assert!(judgement.old_over_limit && !judgement.may_advance);
    assert_ne!(judgement.verdict, Verdict::Breached);
}

#[test]
fn a_fixed_latency_is_held_to() {
    let max = Some(Duration::from_millis(100));
    let latency = vec![LatencyLimit { quantile: Quantile::P95, over_old: None, max }];
    let mut stage = Stage::new(Limits { latency, ..limits() });
    assert_eq!(stage.play(60 * SECOND, HEALTHY).verdict, Verdict::Healthy);
    let judgement = stage.play(60 * SECOND, Scene { new_slower: 4.0, ..HEALTHY });
    assert_eq!(judgement.cause.unwrap().to_string(), "p95_max");
    let text = stage.guard.explain();
    assert!(text.contains("tolerated: 10") && text.ends_with(" ms"), "{text}");
}

#[test]
fn without_old_only_a_limit_guards() {
    let full = Scene { old: 0, ..HEALTHY };
    let mut bare = Stage::new(limits());
    assert_eq!(bare.play(61 * SECOND, full).verdict, Verdict::Unguarded);
    assert!(bare.guard.explain().starts_with("unguarded; old gets no requests"));
    assert!(!bare.guard.judgement().may_advance);

    let mut limited = Stage::new(with_max(0.02));
    assert_eq!(limited.play(100 * SECOND, full).verdict, Verdict::Healthy);
    let judgement = limited.play(10 * SECOND, Scene { new_fails: 5, ..full });
    assert_eq!(judgement.verdict, Verdict::Breached);
    assert_eq!(judgement.cause.unwrap().to_string(), "error_rate_max");
}

#[test]
fn comparisons_hold_and_one_where_none_may_differ_goes_back() {
    let mismatches = MismatchLimit { pause: Some(0.001), rollback: Some(0.05) };
    let limits = Limits { latency: Vec::new(), mismatches, ..limits() };
    let compared = |guard: &mut Guard, each: u64, differ: u64, ticks: u64| {
        for n in 0..ticks {
            let mut block = Counts { comparisons: each, ..Counts::ZERO };
            block.mismatches = if n % 10 == 0 { differ } else { 0 };
            (0..20).for_each(|_| block.success(Arm::Old, TICK));
            (0..5).for_each(|_| block.success(Arm::New, TICK));
            guard.tick(TICK, &block);
        }
        guard.judgement()
    };
    let mut guard = Guard::new(limits.clone());
    assert_eq!(
        compared(&mut guard, 5, 0, 1000).cause.unwrap().to_string(),
        "mismatches_max",
        "not yet shown"
    );
    assert_eq!(compared(&mut guard, 5, 0, 4000).verdict, Verdict::Healthy);
    let held = compared(&mut guard, 5, 1, 400);
    assert_eq!((held.verdict, held.cause.unwrap().to_string()), (Verdict::Degraded, "mismatches_max".into()));
    assert_eq!(compared(&mut guard, 5, 5, 400).verdict, Verdict::Breached);

    let mut guard = Guard::new(limits);
    guard.tick(TICK, &Counts { comparisons: 1, mismatches: 1, zero_tolerance: 1, ..Counts::ZERO });
    assert_eq!(guard.breach().unwrap().cause.to_string(), "zero_tolerance_max");
}

#[test]
fn a_shadow_is_judged_by_its_pairs() {
    // Every request has both legs; when new fails where old did not, that is what counts.
    let pairs = Scene { old: 5, new: 5, ..HEALTHY };
    let mut stage = Stage::new(limits());
    assert_eq!(
        stage.play(120 * SECOND, Scene { old_fails: 500, new_fails: 500, ..pairs }).verdict,
        Verdict::Healthy
    );
    assert_eq!(stage.play(10 * SECOND, Scene { new_fails: 4, ..pairs }).verdict, Verdict::Breached);
}

#[test]
fn a_step_adds_a_stake_that_earlier_evidence_does_not_multiply() {
    let mut stage = Stage::new(limits());
    stage.play(60 * SECOND, HEALTHY);
    let before = stage.guard.paid_in();
    stage.play(1, Scene { new_fails: 1, ..HEALTHY });
    let mid_slot = stage.guard.judgement().ln_w;
    stage.guard.begin_step();
    assert!((stage.guard.paid_in() - before - 1e-4).abs() < 1e-9);
    let added = stage.guard.judgement().ln_w.exp() - mid_slot.exp();
    assert!((added - 1e-4).abs() < 1e-7, "{added}");
}

#[test]
fn requests_that_hang_fail_after_four_times_the_slowest_tolerated() {
    let limit = Duration::from_secs(30);
    let mut stage = Stage::new(limits());
    assert_eq!(stage.guard.fail_after(limit), limit, "nothing is known yet");
    stage.play(60 * SECOND, HEALTHY);
    let after = stage.guard.fail_after(limit).as_secs_f64();
    // Old's p99 is a bit over 100 ms: 4 x 1.477 x 100 ms is less than the least.
    assert!((after - 1.0).abs() < 1e-9, "{after}");
    assert_eq!(stage.guard.fail_after(Duration::from_millis(700)), Duration::from_millis(700));
}

#[test]
fn ticks_a_little_early_make_the_same_slots() {
    let mut guard = Guard::new(limits());
    let ended = (0..100).filter(|n| {
        let tick = Duration::from_micros(if n % 3 == 0 { 48_900 } else { 50_400 });
        guard.tick(tick, &Counts::ZERO).slot_ended
    });
    assert_eq!(ended.count(), 50);
}

fn any_block() -> impl Strategy<Value = Counts> {
    let arm = (0_u64..2000, 0.0..=1.0_f64, 0.0..=1.0_f64, 0_usize..400);
    (arm.clone(), arm, 0_u64..3).prop_map(|(old, new, mismatches)| {
        let mut block = Counts { comparisons: 2, mismatches, ..Counts::ZERO };
        for (arm, (n, failing, client_errors, bucket)) in [(Arm::Old, old), (Arm::New, new)] {
            let share = |share: f64| (0..n).filter(|k| (*k as f64) < share * n as f64).count() as u64;
            let counts = block.arm_mut(arm);
            counts.requests = n;
            counts.failures = share(failing);
            counts.client_errors = share(client_errors);
            counts.retried = share(client_errors);
            counts.latency[bucket] = n - counts.failures;
        }
        block
    })
}

proptest! {
    #[test]
    fn whatever_is_counted_evidence_stays_a_number(
        blocks in proptest::collection::vec((any_block(), 0_u64..3000), 1..60),
        max in 0.0001..0.9_f64,
    ) {
        let mut guard = Guard::new(with_max(max));
        let mut breached = false;
        for (n, (block, ms)) in blocks.iter().enumerate() {
            let judgement = guard.tick(Duration::from_millis(*ms), block);
            prop_assert!(judgement.ln_w.is_finite() && judgement.ln_pause.is_finite());
            prop_assert!(!breached || judgement.verdict == Verdict::Breached, "a breach stays");
            prop_assert!(!judgement.may_advance || judgement.verdict == Verdict::Healthy);
            prop_assert!(!guard.explain().is_empty());
            breached = judgement.verdict == Verdict::Breached;
            if n % 7 == 3 {
                let state: GuardState = guard.state();
                guard = Guard::restore(with_max(max), &state);
                prop_assert_eq!(guard.state(), state);
            }
        }
    }
}

/// Plays scenes until users go back, and says what is told then.
fn told(limits: Limits, scene: Scene) -> String {
    let mut stage = Stage::new(limits);
    // Minutes of health must not water down what comes.
    stage.play(300 * SECOND, HEALTHY);
    let mut sentences = (0..100 * SECOND).filter_map(|_| {
        stage.play(1, scene);
        stage.guard.breach_sentence()
    });
    sentences.next().unwrap()
}

#[test]
fn a_breach_is_told_with_its_numbers_from_when_it_began() {
    let plain = Limits { warm_up: WarmUp::NONE, ..Limits::default() };
    let mut strict = plain.clone();
    strict.latency =
        vec![LatencyLimit { quantile: Quantile::P95, over_old: None, max: Some(Duration::from_millis(60)) }];
    let four = Limits { client_errors: ClientErrors::Rollback, ..plain.clone() };
    let sentences = [
        told(plain.clone(), Scene { new_fails: 2, ..HEALTHY }),
        told(plain, Scene { new_slower: 3.0, ..HEALTHY }),
        told(strict, Scene { new_slower: 3.0, ..HEALTHY }),
        told(four, Scene { new_4xx: 4, ..HEALTHY }),
    ];
    let expected = [
        "new fails 48.89% of requests, old 0%, allowed +0.5% (after 45 requests, 0.4 s)",
        "new takes longer than 21.7 ms for 100% of requests, allowed 50%: old's p50 is 14.7 ms, allowed 1.48x \
         (after 155 requests, 1.6 s)",
        "new takes longer than 60 ms for 24.38% of requests, allowed 5% (after 160 requests, 1.6 s)",
        "new answers 24.29% of requests with a 4xx, old 0%, allowed +1% (after 70 requests, 0.7 s)",
    ];
    assert_eq!(sentences, expected);
}
