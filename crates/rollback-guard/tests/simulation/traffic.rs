//! Simulated traffic: counts of a migration with known rates, drawn from a seed.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::{Binomial, Distribution, Normal, Poisson};
use rollback_guard::{BUCKETS, Counts, Guard, Judgement, Limits, latency_bucket};
use traffic_split::Arm;

pub type Seed = Xoshiro256PlusPlus;

pub fn seeded(seed: u64) -> Seed {
    Seed::seed_from_u64(seed)
}

/// A distribution of latencies, as probabilities of the guard's buckets.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Of the buckets that can occur, in falling order of bucket.
    parts: Vec<(usize, f64)>,
}

impl Shape {
    /// Lognormal around 20 ms with a spread of 0.8, times `factor`.
    pub fn lognormal(factor: f64) -> Shape {
        Shape::sampled(|_| factor)
    }

    /// The same, but `slow` of the requests take ten times as long.
    pub fn with_slow(slow: f64) -> Shape {
        Shape::sampled(|share| if share < slow { 10.0 } else { 1.0 })
    }

    fn sampled(factor: impl Fn(f64) -> f64) -> Shape {
        const DRAWS: u32 = 400_000;
        let (mut seed, normal) = (seeded(77), Normal::new(0.0_f64, 0.8).unwrap());
        let mut counts = vec![0.0; BUCKETS];
        for n in 0..DRAWS {
            let share = f64::from(n) / f64::from(DRAWS);
            let ms: f64 = 20.0 * normal.sample(&mut seed).exp() * factor(share);
            counts[latency_bucket(Duration::from_secs_f64(ms / 1e3))] += 1.0 / f64::from(DRAWS);
        }
        Shape::of(&counts)
    }

    fn of(shares: &[f64]) -> Shape {
        let parts = shares.iter().copied().enumerate().rev();
        Shape { parts: parts.filter(|(_, share)| *share > 0.0).collect() }
    }

    /// This many buckets slower.
    pub fn shifted(&self, buckets: usize) -> Shape {
        Shape { parts: self.parts.iter().map(|(bucket, share)| (bucket + buckets, *share)).collect() }
    }

    /// A coarse one: sixteen buckets apart, for speed.
    pub fn coarse() -> Shape {
        let mut shares = vec![0.0; BUCKETS];
        for (step, share) in [0.2, 0.35, 0.25, 0.1, 0.055, 0.03, 0.01, 0.005].into_iter().enumerate() {
            shares[180 + 16 * step] = share;
        }
        Shape::of(&shares)
    }

    /// Deals `n` requests out to the buckets.
    fn deal(&self, seed: &mut Seed, n: u64, latency: &mut [u64; BUCKETS]) {
        let (mut left, mut share_left) = (n, 1.0);
        for (bucket, share) in &self.parts {
            if left == 0 {
                return;
            }
            let here = binomial(seed, left, share / share_left);
            latency[*bucket] += here;
            left -= here;
            share_left = (share_left - share).max(1e-12);
        }
        latency[self.parts.last().unwrap().0] += left;
    }
}

pub fn poisson(seed: &mut Seed, mean: f64) -> u64 {
    if mean > 0.0 { Poisson::new(mean).unwrap().sample(seed) as u64 } else { 0 }
}

pub fn binomial(seed: &mut Seed, n: u64, share: f64) -> u64 {
    Binomial::new(n, share.clamp(0.0, 1.0)).unwrap().sample(seed)
}

/// What happens, to old and new alike and apart.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Requests in a second, both arms.
    pub rate: f64,
    /// New's share of them.
    pub share: f64,
    /// Old's failures before the fault; new's too.
    pub failing: f64,
    /// New's failures from the fault on.
    pub new_failing: f64,
    /// How long all was well before, in seconds.
    pub warm_s: f64,
    /// How long the fault is watched, in seconds.
    pub watched_s: f64,
    /// Old's latency, and new's from the fault on; before it they are alike.
    pub latency: Option<(Shape, Shape)>,
    /// Looks in a second where a simulation must not take larger strides; `None`: strides that grow.
    pub stride_s: Option<f64>,
}

impl Scene {
    pub fn new(rate: f64, share: f64, failing: f64, new_failing: f64) -> Scene {
        let (warm_s, watched_s) = (3600.0, 86_400.0);
        Scene { rate, share, failing, new_failing, warm_s, watched_s, latency: None, stride_s: None }
    }

    /// Counts of `dt_s` seconds with these failures.
    pub fn draw(
        &self,
        seed: &mut Seed,
        dt_s: f64,
        old_failing: f64,
        new_failing: f64,
        faulty: bool,
    ) -> Counts {
        let mut counts = Counts::ZERO;
        for (arm, share, failing) in
            [(Arm::Old, 1.0 - self.share, old_failing), (Arm::New, self.share, new_failing)]
        {
            let requests = poisson(seed, self.rate * share * dt_s);
            let failures = binomial(seed, requests, failing);
            let counts = counts.arm_mut(arm);
            (counts.requests, counts.failures) = (requests, failures);
            if let Some((old, new)) = &self.latency {
                let shape = if arm == Arm::New && faulty { new } else { old };
                shape.deal(seed, requests - failures, &mut counts.latency);
            }
        }
        counts
    }

    /// Runs a guard until it finds a breach or the scene is over.
    pub fn run(&self, seed: &mut Seed, limits: &Limits) -> Option<Hit> {
        self.run_with(seed, limits, |_, old, new| (old, new)).0
    }

    /// The same with failures that move: from seconds since the fault, old's and new's usual ones.
    pub fn run_with(
        &self,
        seed: &mut Seed,
        limits: &Limits,
        failing: impl Fn(f64, f64, f64) -> (f64, f64),
    ) -> (Option<Hit>, Guard) {
        let mut guard = Guard::new(limits.clone());
        let mut t_s = -self.warm_s;
        let (mut new, mut failures) = (0, 0);
        while t_s < self.watched_s - 1e-9 {
            let dt_s = self.stride(t_s);
            let faulty = t_s > -1e-9;
            let new_failing = if faulty { self.new_failing } else { self.failing };
            let (old_failing, new_failing) = failing(t_s + dt_s / 2.0, self.failing, new_failing);
            let block = self.draw(seed, dt_s, old_failing, new_failing, faulty);
            let judgement: Judgement = guard.tick(Duration::from_secs_f64(dt_s), &block);
            t_s += dt_s;
            if faulty {
                new += block.arm(Arm::New).requests;
                failures += block.arm(Arm::New).failures;
            }
            if judgement.ln_w >= 0.0 {
                return (Some(Hit { t_s, new, failures, early: !faulty }), guard);
            }
        }
        (None, guard)
    }

    /// Large strides while nothing happens, 50 ms right before and after the fault, then longer and longer ones.
    fn stride(&self, t_s: f64) -> f64 {
        if let Some(stride_s) = self.stride_s {
            return stride_s;
        }
        let base_s = (0.5 / (self.rate * self.share)).max(0.05);
        let stride_s = if t_s < -1e-9 {
            let left_s = -t_s;
            if left_s > 60.0 * base_s { base_s.max(0.1 * left_s) } else { base_s.min(left_s) }
        } else {
            base_s.max(0.02 * t_s).min((self.watched_s - t_s).max(base_s))
        };
        stride_s.max(1e-6)
    }
}

/// A breach.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    /// Seconds from the fault.
    pub t_s: f64,
    /// New's requests from the fault on.
    pub new: u64,
    /// Its failures among them.
    pub failures: u64,
    /// Whether it came before the fault.
    pub early: bool,
}

/// Many runs of one scene.
#[derive(Clone, Debug)]
pub struct Runs(pub Vec<Option<Hit>>);

impl Runs {
    pub fn of(scene: &Scene, limits: &Limits, runs: u64, seed: u64) -> Runs {
        Runs((0..runs).map(|n| scene.run(&mut seeded(seed * 1_000_003 + n), limits)).collect())
    }

    pub fn hits(&self) -> usize {
        self.0.iter().flatten().count()
    }

    pub fn early(&self) -> usize {
        self.0.iter().flatten().filter(|hit| hit.early).count()
    }

    /// The quantile of requests and of seconds; a run without a breach counts as never.
    pub fn quantile(&self, share: f64) -> (f64, f64) {
        let requests = self.0.iter().map(|hit| hit.map_or(f64::INFINITY, |hit| hit.new as f64)).collect();
        let seconds = self.0.iter().map(|hit| hit.map_or(f64::INFINITY, |hit| hit.t_s)).collect();
        (quantile(requests, share), quantile(seconds, share))
    }

    pub fn median_failures(&self) -> f64 {
        quantile(self.0.iter().map(|hit| hit.map_or(f64::INFINITY, |hit| hit.failures as f64)).collect(), 0.5)
    }

    pub fn median(&self) -> (f64, f64) {
        self.quantile(0.5)
    }
}

pub fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (share * (values.len() - 1) as f64).ceil();
    values[at as usize]
}

/// Failures alone, as in the reference's tables of failures.
pub fn failures_only() -> Limits {
    Limits { latency: Vec::new(), ..without_warm_up() }
}

pub fn without_warm_up() -> Limits {
    Limits { warm_up: rollback_guard::WarmUp::NONE, ..Limits::default() }
}
