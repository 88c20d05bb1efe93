//! G2 to G4: how soon a new that is worse is found out.

use rollback_guard::Limits;

use crate::traffic::{Runs, Scene, Shape, failures_only, without_warm_up};

/// A fault after an hour of health, and how few requests of new it may take in the median.
struct Goal {
    name: &'static str,
    rate: f64,
    share: f64,
    failing: f64,
    warm_s: f64,
    requests: f64,
    seconds: f64,
}

const NEVER_MIND: f64 = f64::INFINITY;

const fn goal(name: &'static str, rate: f64, share: f64, failing: f64, requests: f64, seconds: f64) -> Goal {
    Goal { name, rate, share, failing, warm_s: 3600.0, requests, seconds }
}

const fn at_step(name: &'static str, rate: f64, share: f64, failing: f64, requests: f64) -> Goal {
    Goal { name, rate, share, failing, warm_s: 0.0, requests, seconds: NEVER_MIND }
}

const GOALS: &[Goal] = &[
    goal("G2 hard down", 5.0, 0.01, 1.0, 12.0, NEVER_MIND),
    goal("G2 hard down", 50.0, 0.05, 1.0, 12.0, NEVER_MIND),
    goal("G2 hard down", 500.0, 0.01, 1.0, 12.0, NEVER_MIND),
    goal("G2 hard down", 500.0, 0.05, 1.0, 12.0, 1.0),
    goal("G2 hard down", 500.0, 0.5, 1.0, 100.0, 0.5),
    goal("G2 hard down", 5000.0, 0.01, 1.0, NEVER_MIND, 0.5),
    goal("G3 5 % fail", 50.0, 0.01, 0.051, 500.0, NEVER_MIND),
    goal("G3 5 % fail", 500.0, 0.01, 0.051, 500.0, NEVER_MIND),
    goal("G3 5 % fail", 500.0, 0.05, 0.051, 500.0, NEVER_MIND),
    goal("G3 5 % fail", 500.0, 0.5, 0.051, 1300.0, NEVER_MIND),
    goal("G3 5 % fail", 5000.0, 0.5, 0.051, 1300.0, NEVER_MIND),
    at_step("G3 5 % fail, at a step", 500.0, 0.01, 0.051, 220.0),
    at_step("G3 5 % fail, at a step", 500.0, 0.05, 0.051, 220.0),
    at_step("G3 5 % fail, at a step", 500.0, 0.5, 0.051, 700.0),
    goal("half fail", 500.0, 0.01, 0.5, NEVER_MIND, NEVER_MIND),
    goal("half fail", 500.0, 0.5, 0.5, NEVER_MIND, NEVER_MIND),
];

impl Goal {
    fn runs(&self, limits: &Limits, runs: u64, seed: u64) -> Runs {
        let scene = Scene::new(self.rate, self.share, 0.001, self.failing);
        Runs::of(&Scene { warm_s: self.warm_s, ..scene }, limits, runs, seed)
    }

    fn hold(&self, runs: &Runs, slack: f64) {
        let (requests, seconds) = runs.median();
        let at = format!("{} at {} req/s, {}", self.name, self.rate, self.share);
        assert_eq!(runs.early(), 0, "{at}: before the fault");
        assert!(requests <= self.requests * slack, "{at}: {requests} requests in the median");
        assert!(seconds <= self.seconds * slack + 0.05, "{at}: {seconds} s in the median");
    }
}

#[test]
fn failures_are_found_out_soon() {
    for (seed, goal) in (1..).zip(GOALS) {
        goal.hold(&goal.runs(&failures_only(), 15, seed), 1.15);
    }
}

/// Latency at 500 requests a second: how many requests in the median, for the canary's share.
fn slower(share: f64, new: &Shape, runs: u64, seed: u64) -> Runs {
    let latency = Some((Shape::lognormal(1.0), new.clone()));
    let scene = Scene::new(500.0, share, 0.001, 0.001);
    Runs::of(&Scene { warm_s: 900.0, watched_s: 3600.0, latency, ..scene }, &without_warm_up(), runs, seed)
}

#[test]
fn slowness_is_found_out_soon() {
    for (factor, share, most) in [(2.0, 0.05, 700.0), (2.0, 0.5, 1600.0), (5.0, 0.01, 60.0)] {
        let (requests, _) = slower(share, &Shape::lognormal(factor), 9, 3).median();
        assert!(requests <= most * 1.15, "x{factor} at {share}: {requests} requests in the median");
    }
    assert_eq!(slower(0.05, &Shape::lognormal(1.1), 4, 4).hits(), 0);
}

#[test]
#[ignore = "a minute: 100 runs of each goal"]
fn g2_g3_g4_detection_in_full() {
    println!("\nG2, G3: old at 0.1 %; requests of new and seconds to the rollback");
    println!("| goal | req/s | share | median | p95 | failures median | seconds median | p95 | goal |");
    for (seed, goal) in (1..).zip(GOALS) {
        let runs = goal.runs(&failures_only(), 100, 500 + seed);
        let ((n50, t50), (n95, t95)) = (runs.median(), runs.quantile(0.95));
        println!(
            "| {} | {} | {} | {n50} | {n95} | {} | {t50:.2} | {t95:.2} | {} |",
            goal.name,
            goal.rate,
            goal.share,
            runs.median_failures(),
            goal.requests
        );
        goal.hold(&runs, 1.0);
    }
    println!("\nG4: latency at 500 req/s, lognormal with a spread of 0.8; all signals");
    println!("| new | share | found | median | p95 | seconds median |");
    let shapes = [
        ("x1.0", Shape::lognormal(1.0)),
        ("x1.1", Shape::lognormal(1.1)),
        ("x1.4", Shape::lognormal(1.4)),
        ("x2", Shape::lognormal(2.0)),
        ("x5", Shape::lognormal(5.0)),
        ("10 % are x10", Shape::with_slow(0.1)),
    ];
    for (name, shape) in &shapes {
        for share in [0.01, 0.05, 0.5] {
            let runs = slower(share, shape, 40, 700);
            let ((n50, t50), (n95, _)) = (runs.median(), runs.quantile(0.95));
            println!("| {name} | {share} | {} of 40 | {n50} | {n95} | {t50:.2} |", runs.hits());
            match *name {
                "x2" => assert!(n50 <= if share < 0.1 { 700.0 } else { 1600.0 }),
                "x5" if share < 0.1 => assert!(n50 <= 60.0),
                "x1.0" | "x1.1" | "x1.4" => assert_eq!(runs.hits(), 0),
                _ => {}
            }
        }
    }
}
