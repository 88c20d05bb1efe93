//! G8: going on when new is as good, and not when it is worse; and how many requests that is said to take.

use std::time::Duration;

use rollback_guard::{Counts, Guard, Limits, Verdict};
use traffic_split::Arm;

use crate::traffic::{Runs, Scene, Seed, Shape, failures_only, quantile, seeded, without_warm_up};

/// After how many requests of new the guard calls it healthy; `None` within `most_s`.
fn opened(seed: &mut Seed, scene: &Scene, limits: &Limits, most_s: f64) -> Option<u64> {
    let mut guard = Guard::new(limits.clone());
    let base_s = (0.5 / (scene.rate * scene.share)).max(0.05);
    let mut t_s = 0.0;
    while t_s < most_s {
        let dt_s = base_s.max(0.02 * t_s);
        t_s += dt_s;
        let block = scene.draw(seed, dt_s, scene.failing, scene.new_failing, true);
        let judgement = guard.tick(Duration::from_secs_f64(dt_s), &block);
        if judgement.may_advance {
            return Some(guard.tally(Arm::New).requests);
        }
    }
    None
}

fn equal(rate: f64, share: f64, failing: f64) -> Scene {
    let latency = Some((Shape::lognormal(1.0), Shape::lognormal(1.0)));
    Scene { latency, ..Scene::new(rate, share, failing, failing) }
}

fn median_to_open(scene: &Scene, runs: u64, seed: u64) -> f64 {
    let each = (0..runs).map(|n| opened(&mut seeded(seed * 7919 + n), scene, &without_warm_up(), 1e6));
    quantile(each.map(|requests| requests.map_or(f64::INFINITY, |n| n as f64)).collect(), 0.5)
}

/// How often a step is called good although new is exactly half a point worse.
fn wrongly_opened(share: f64, runs: u64, seed: u64) -> f64 {
    let scene = Scene::new(500.0, share, 0.001, 0.006);
    // Only the gate is asked here: nothing may hold it shut.
    let limits = Limits {
        pause_budget: rollback_guard::Budget { per_step: 1e-30, per_day: 1e-30 },
        ..failures_only()
    };
    let each = (0..runs).filter_map(|n| opened(&mut seeded(seed * 7919 + n), &scene, &limits, 6.0 * 3600.0));
    each.count() as f64 / runs as f64
}

#[test]
fn an_equal_new_may_go_on_soon() {
    for (share, most) in [(0.05, 2200.0), (0.5, 3000.0)] {
        let median = median_to_open(&equal(500.0, share, 0.001), 9, 1);
        assert!(median <= most * 1.15, "{share}: {median}");
    }
}

#[test]
fn a_new_on_the_line_may_not() {
    assert!(wrongly_opened(0.05, 100, 2) <= 0.04);
}

#[test]
#[ignore = "minutes: 60 runs of each, 10,000 of the wrong ones"]
fn g8_gate_in_full() {
    println!("\nG8: requests of new until the gate opens, new equal to old, all signals");
    println!("| req/s | share | failing | median |");
    for rate in [50.0, 500.0, 5000.0] {
        for share in [0.01, 0.05, 0.5] {
            for failing in [0.0, 0.001, 0.01] {
                let median = median_to_open(&equal(rate, share, failing), 60, 11);
                println!("| {rate} | {share} | {failing} | {median} |");
                if failing == 0.001 {
                    assert!(median <= if share < 0.1 { 2200.0 } else { 3000.0 });
                }
            }
        }
    }
    for share in [0.01, 0.05, 0.5] {
        let wrong = wrongly_opened(share, 10_000, 12);
        println!("opened although new is exactly 0.5 pp worse, at {share}: {wrong:.4} (bound 0.01)");
        // Three standard deviations over the bound.
        assert!(wrong <= 0.013);
    }
}

/// A guard that has seen an hour of health, in strides.
fn after_an_hour(scene: &Scene, limits: &Limits, seed: u64) -> Guard {
    let scene = Scene { watched_s: 0.0, ..scene.clone() };
    scene.run_with(&mut seeded(seed), limits, |_, old, new| (old, new)).1
}

#[test]
fn what_is_said_to_be_needed_is_what_it_takes() {
    for (rate, share) in [(500.0, 0.01), (500.0, 0.05), (500.0, 0.5)] {
        let scene = Scene::new(rate, share, 0.001, 0.051);
        let said: Vec<f64> = (0..9)
            .map(|n| {
                after_an_hour(&scene, &failures_only(), n).need_to_notice(0.051).unwrap().requests as f64
            })
            .collect();
        let (said, (took, _)) = (quantile(said, 0.5), Runs::of(&scene, &failures_only(), 40, 21).median());
        assert!((0.7..1.4).contains(&(said / took)), "{share}: said {said}, took {took}");
    }
}

#[test]
fn what_the_gate_is_said_to_need_is_what_it_takes() {
    let scene = equal(500.0, 0.05, 0.001);
    let after_five_seconds = |n| {
        let (mut seed, mut guard) = (seeded(n), Guard::new(without_warm_up()));
        for _ in 0..100 {
            guard.tick(Duration::from_millis(50), &scene.draw(&mut seed, 0.05, 0.001, 0.001, true));
        }
        assert_eq!(guard.judgement().verdict, Verdict::Insufficient);
        let said = guard.need_for_gate().unwrap();
        let per_s = said.requests as f64 / said.time.unwrap().as_secs_f64();
        assert!((18.0..32.0).contains(&per_s), "{per_s}");
        (said.requests + guard.tally(Arm::New).requests) as f64
    };
    let said = quantile((0..15).map(after_five_seconds).collect(), 0.5);
    let took = median_to_open(&scene, 25, 6);
    assert!((0.6..1.6).contains(&(said / took)), "said {said}, took {took}");
}

#[test]
fn nothing_is_needed_that_cannot_be_had() {
    let mut guard = Guard::new(failures_only());
    assert_eq!(guard.need_to_notice(0.05), None, "no traffic");
    assert_eq!(guard.need_for_gate(), None);
    let mut block = Counts::ZERO;
    (0..50).for_each(|_| block.success(Arm::Old, Duration::from_millis(5)));
    (0..50).for_each(|_| block.success(Arm::New, Duration::from_millis(5)));
    guard.tick(Duration::from_millis(50), &block);
    assert_eq!(guard.need_to_notice(0.004), None, "tolerated");
    assert!(guard.need_to_notice(0.05).is_some());
}
