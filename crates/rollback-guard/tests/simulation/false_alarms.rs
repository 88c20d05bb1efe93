//! G1: false rollbacks are at most as frequent as the stakes say.

use rollback_guard::{Budget, Limits};

use crate::traffic::{Runs, Scene, Shape, failures_only, without_warm_up};

/// A thousand times the usual stakes, so that the bound can be seen at all.
const LARGE: Budget = Budget { per_step: 0.1, per_day: 0.1 };

/// What is paid in for failures within an hour, of the large stakes.
fn bound() -> f64 {
    0.5 * (LARGE.per_step + LARGE.per_day / 24.0)
}

fn on_the_line(rate: f64, share: f64, failing: f64) -> Scene {
    let new_failing = failing + 0.005;
    Scene {
        warm_s: 0.0,
        watched_s: 3600.0,
        stride_s: Some(2.0),
        ..Scene::new(rate, share, failing, new_failing)
    }
}

fn cells() -> Vec<(f64, f64, f64)> {
    let traffic = [(50.0, 0.05), (500.0, 0.01), (500.0, 0.5), (5000.0, 0.05)];
    traffic.into_iter().flat_map(|(rate, share)| [0.0, 0.001, 0.05].map(|old| (rate, share, old))).collect()
}

#[test]
fn on_the_tolerated_line_alarms_are_rarer_than_the_stakes() {
    let limits = Limits { budget: LARGE, ..failures_only() };
    let (mut hits, mut runs) = (0, 0);
    for (n, (rate, share, failing)) in (0..).zip(cells()) {
        hits += Runs::of(&on_the_line(rate, share, failing), &limits, 12, 10 + n).hits();
        runs += 12;
    }
    // Three standard deviations over the bound.
    let most = bound() * f64::from(runs) + 3.0 * (bound() * f64::from(runs)).sqrt();
    assert!((hits as f64) < most, "{hits} of {runs}, the bound is {:.1}", bound() * f64::from(runs));
}

#[test]
fn a_healthy_day_is_quiet() {
    let (old, new) = (Shape::coarse(), Shape::coarse().shifted(9));
    for (seed, rate, share, failing) in
        [(1, 500.0, 0.05, 0.001), (2, 50.0, 0.5, 0.01), (3, 5000.0, 0.01, 0.0001)]
    {
        let latency = Some((old.clone(), new.clone()));
        let day =
            Scene { warm_s: 0.0, stride_s: Some(20.0), latency, ..Scene::new(rate, share, failing, failing) };
        assert_eq!(Runs::of(&day, &without_warm_up(), 2, seed).hits(), 0);
    }
}

#[test]
#[ignore = "minutes: 1,440 hours at a thousand times the stakes, and 720 days at the usual ones"]
fn g1_false_alarms_in_full() {
    println!("\nG1, an hour at stakes times 1000, new on the line; bound {:.4}", bound());
    println!("| req/s | share | old | tick 2 s | tick 50 ms, 10 min |");
    let limits = Limits { budget: LARGE, ..failures_only() };
    let (mut all, mut worst) = (0.0, 0.0_f64);
    for (n, (rate, share, failing)) in (0..).zip(cells()) {
        let scene = on_the_line(rate, share, failing);
        let hour = Runs::of(&scene, &limits, 120, 100 + n).hits() as f64 / 120.0;
        let fine = Scene { watched_s: 600.0, stride_s: Some(0.05), ..scene };
        let fine = Runs::of(&fine, &limits, 40, 200 + n).hits() as f64 / 40.0;
        println!("| {rate} | {share} | {failing} | {hour:.3} | {fine:.3} |");
        all += hour / 12.0;
        worst = worst.max(hour);
    }
    println!("mean {all:.4}, worst cell {worst:.3}");
    assert!(all < bound());

    let (old, new) = (Shape::coarse(), Shape::coarse().shifted(9));
    let (mut hits, mut days) = (0, 0);
    for (n, rate) in (0..).zip([5.0, 50.0, 500.0, 5000.0]) {
        for (m, share) in (0..).zip([0.01, 0.05, 0.5]) {
            for (o, failing) in (0..).zip([0.0001, 0.001, 0.01]) {
                let latency = Some((old.clone(), new.clone()));
                let scene = Scene::new(rate, share, failing, failing);
                let day = Scene { warm_s: 0.0, stride_s: Some(20.0), latency, ..scene };
                hits += Runs::of(&day, &without_warm_up(), 20, 1000 + n * 100 + m * 10 + o).hits();
                days += 20;
            }
        }
    }
    println!("{hits} false rollbacks in {days} canary-days at the usual stakes, latency exactly on the line");
    assert_eq!(hits, 0);
}
