//! G5: what must not roll back, however bad it looks for a moment.

use std::time::Duration;

use rand::RngExt;
use rollback_guard::{Counts, Guard, Limits, Mark, Merged, RateLimit, Repeats, Trouble, Verdict};
use traffic_split::Arm;

use crate::traffic::{Scene, failures_only, seeded, without_warm_up};

const TICK: Duration = Duration::from_millis(50);

/// A minute in which both arms fail alike, after a minute of health, tick by tick; how many of `runs` rolled back.
fn outages(rate: f64, share: f64, level: f64, old_later_s: f64, limits: &Limits, runs: u64) -> usize {
    let scene = Scene {
        warm_s: 60.0,
        watched_s: 90.0,
        stride_s: Some(0.05),
        ..Scene::new(rate, share, 0.001, 0.001)
    };
    let during =
        |t_s: f64, from_s: f64, usual: f64| if (from_s..60.0).contains(&t_s) { level } else { usual };
    let failing = |t_s: f64, old: f64, new: f64| (during(t_s, old_later_s, old), during(t_s, 0.0, new));
    let rolled_back = (0..runs).filter(|n| {
        let mut seed = seeded(40 + n);
        scene.run_with(&mut seed, limits, failing).0.is_some()
    });
    rolled_back.count()
}

#[test]
fn an_outage_of_both_is_nobodys_fault() {
    for (rate, share) in [(50.0, 0.05), (500.0, 0.5), (5000.0, 0.05)] {
        for level in [0.05, 0.5, 1.0] {
            assert_eq!(outages(rate, share, level, 0.0, &failures_only(), 2), 0, "{rate} {share} {level}");
        }
    }
    assert_eq!(outages(500.0, 0.05, 0.5, 0.2, &failures_only(), 4), 0, "old a little later");
}

#[test]
fn a_fixed_limit_blames_new_no_more_for_it() {
    let error_rate = RateLimit { over_old: Some(0.005), max: Some(0.01) };
    let limits = Limits { error_rate, ..failures_only() };
    for (rate, share) in [(50.0, 0.05), (500.0, 0.5), (5000.0, 0.5), (5000.0, 0.05)] {
        for level in [0.05, 0.5, 1.0] {
            assert_eq!(outages(rate, share, level, 0.0, &limits, 3), 0, "{rate} {share} {level}");
        }
    }
}

/// One tick of 200 requests a second at 5 % on new, none failing but for `failing` of new's own.
fn tick_with(failing: u64) -> Counts {
    let mut block = Counts::ZERO;
    (0..9).for_each(|_| block.success(Arm::Old, Duration::from_millis(20)));
    block.success(Arm::New, Duration::from_millis(20));
    (0..failing).for_each(|_| block.failure(Arm::New));
    block
}

#[test]
fn a_burst_inside_a_slot_does_not_decide() {
    for burst in [5, 500] {
        let mut guard = Guard::new(failures_only());
        for n in 0..600 {
            let verdict = guard.tick(TICK, &tick_with(if n == 300 { burst } else { 0 })).verdict;
            assert_ne!(verdict, Verdict::Breached, "{burst} failures in tick 300, at tick {n}");
        }
        guard.begin_step();
        guard.tick(TICK, &tick_with(burst));
        assert!(guard.judgement().ln_w < 0.0, "nor on a fresh stake");
    }
}

/// Ten minutes of two arms that are alike, `rates` requests a second, each of which stands still once a minute for
/// `pause_s`, half a minute apart, as a collection of garbage does: what came meanwhile is answered right after it, within
/// `catching_up_s`. Whether users went back.
fn pauses(limits: &Limits, rates: [u64; 2], pause_s: f64, catching_up_s: f64) -> bool {
    const TICK_S: f64 = 0.05;
    let mut guard = Guard::new(limits.clone());
    let mut seed = seeded(7);
    let mut waiting = [0_u64; 2];
    let ticks = (600.0 / TICK_S) as u64;
    for tick in 0..ticks {
        let mut block = Counts::ZERO;
        for arm in Arm::ALL {
            let at = arm.index();
            let in_minute = (tick as f64 * TICK_S + 30.0 * at as f64).rem_euclid(60.0);
            let came = rates[at] / 20;
            if in_minute < pause_s {
                waiting[at] += came;
                continue;
            }
            let left_s = (pause_s + catching_up_s - in_minute).max(TICK_S);
            let late = (waiting[at] as f64 * TICK_S / left_s).ceil().min(waiting[at] as f64) as u64;
            waiting[at] -= late;
            for _ in 0..late {
                let waited = seed.random_range(0.0..pause_s);
                block.success(arm, Duration::from_secs_f64(0.01 + waited + in_minute - pause_s));
            }
            for _ in 0..came {
                block.success(arm, Duration::from_secs_f64(seed.random_range(0.008..0.014)));
            }
        }
        if guard.tick(TICK, &block).verdict == Verdict::Breached {
            return true;
        }
    }
    false
}

#[test]
fn a_system_that_pauses_now_and_then_is_not_a_slower_one() {
    let limits = without_warm_up();
    for rates in [[1000, 1000], [1900, 100], [200, 200]] {
        for (pause_s, catching_up_s) in [(0.2, 0.1), (0.5, 0.3), (1.0, 0.2), (1.0, 0.5)] {
            assert!(!pauses(&limits, rates, pause_s, catching_up_s), "{rates:?} {pause_s} {catching_up_s}");
        }
    }
    let at_once = Limits { latency_persists: Duration::ZERO, ..limits };
    assert!(pauses(&at_once, [1000, 1000], 1.0, 0.5), "the test would notice");
}

#[test]
fn one_key_that_fails_500_times_does_not_decide() {
    for workers in [1, 4] {
        let mut repeats = vec![Repeats::new(); workers];
        let (mut guard, mut merged) = (Guard::new(without_warm_up()), Merged::new());
        let (mut seed, mut left) = (seeded(3), 500);
        for n in 0..2000_u32 {
            let mut block = tick_with(0);
            // Half a second in, the key begins to fail five times a tick, each time on some worker.
            for _ in 0..if n > 10 { 5.min(left) } else { 0 } {
                left -= 1;
                let mark = Mark { trouble: Trouble::Failure, arm: Arm::New, key: 99, at: TICK * n };
                if repeats[seed.random_range(0..workers)].counts(mark) {
                    block.failure(Arm::New);
                    merged.add(mark);
                }
            }
            merged.settle(&mut block);
            guard.tick(TICK, &block);
        }
        assert_eq!(left, 0);
        assert!(guard.breach().is_none());
        assert_eq!(guard.tally(Arm::New).failures, 1);
    }
}

#[test]
fn a_baseline_that_moves_is_followed() {
    let scene =
        Scene { warm_s: 0.0, watched_s: 7200.0, stride_s: Some(5.0), ..Scene::new(500.0, 0.05, 0.02, 0.02) };
    let moving = |t_s: f64, old: f64, _: f64| {
        let failing = old * (1.0 + 0.9 * (t_s / 600.0 * std::f64::consts::TAU).sin());
        (failing, failing)
    };
    for seed in 0..6 {
        assert!(scene.run_with(&mut seeded(seed), &failures_only(), moving).0.is_none());
    }
}

#[test]
#[ignore = "minutes: 60 outages of each kind, tick by tick"]
fn g5_noise_in_full() {
    println!("\nG5: rollbacks of 60, columns 50, 500, 5000 req/s x 1, 5, 50 %");
    let events = [
        ("5 %, 60 s", 0.05, 0.0),
        ("50 %, 60 s", 0.5, 0.0),
        ("100 %, 60 s", 1.0, 0.0),
        ("50 %, old 0.2 s later", 0.5, 0.2),
    ];
    let error_rate = RateLimit { over_old: Some(0.005), max: Some(0.01) };
    for (what, limits) in
        [("over old", failures_only()), ("and max 1 %", Limits { error_rate, ..failures_only() })]
    {
        for (name, level, later_s) in events {
            let mut row = format!("| outage of both {name}, {what} |");
            for rate in [50.0, 500.0, 5000.0] {
                for share in [0.01, 0.05, 0.5] {
                    let hits = outages(rate, share, level, later_s, &limits, 60);
                    row += &format!(" {hits}");
                    assert_eq!(hits, 0, "{name} {rate} {share}");
                }
            }
            println!("{row} |");
        }
    }
}
