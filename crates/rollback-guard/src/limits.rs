//! What is tolerated, as an operator states it, and the single tests that come of it.

use std::time::Duration;

use crate::latency::{first_bucket_from, tolerated_shift, too_slow_from};
use crate::{Cause, Quantile, Signal};

/// Chance of acting wrongly that is paid in as stakes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// At the start and at every step of the ramp. Above 0, at most 1.
    pub per_step: f64,
    /// Over each day, evenly. Above 0, at most 1.
    pub per_day: f64,
}

/// What is tolerated of new's failures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// How far above old's rate new's may lie, as a share: 0.005 is half a percentage point. `None`: not compared.
    pub over_old: Option<f64>,
    /// The highest rate at all, above 0 and below 1. `None`: no limit.
    pub max: Option<f64>,
}

/// What is tolerated of new's latency at one quantile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencyLimit {
    /// Which quantile.
    pub quantile: Quantile,
    /// The factor over old's that has to be caught, above 1; what is tolerated is less, see [`tolerated_shift`], but
    /// at least [`Limits::latency_floor`].
    /// `None`: not compared.
    pub over_old: Option<f64>,
    /// The longest it may be at all. `None`: no limit.
    pub max: Option<Duration>,
}

/// What to do when new answers more often with a 4xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientErrors {
    /// It is a matter of the clients.
    Ignore,
    /// Hold the ramp.
    Pause,
    /// Roll back.
    Rollback,
}

/// What is tolerated of comparisons, as shares of those that were made, above 0 and below 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MismatchLimit {
    /// Above it the ramp is held, and evidence that it is below is needed to go on. `None`: there are no comparisons.
    pub pause: Option<f64>,
    /// Above it users go back. `None`: never for mismatches.
    pub rollback: Option<f64>,
}

/// How long at the start of a step latency is not judged: caches are cold and code is not compiled yet.
///
/// It ends with whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarmUp {
    /// This much time.
    pub time: Duration,
    /// This many requests of new.
    pub requests: u64,
}

impl WarmUp {
    /// Latency is judged from the first request on.
    pub const NONE: WarmUp = WarmUp { time: Duration::ZERO, requests: 0 };
}

/// All that is tolerated of one migration.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// For rolling back without need. 1 in 10,000 for each step and each day by default.
    pub budget: Budget,
    /// For holding the ramp without need. 1 in 100 for each step and each day by default.
    pub pause_budget: Budget,
    /// Failures; old and half a percentage point by default.
    pub error_rate: RateLimit,
    /// Latencies, each quantile once; p50, p95 and p99 by default, a doubling of each to be caught.
    pub latency: Vec<LatencyLimit>,
    /// 4xx; holds the ramp by default.
    pub client_errors: ClientErrors,
    /// How far above old's rate of 4xx, or of retried requests, new's may lie, as a share; 0.01 by default.
    pub soft_over_old: f64,
    /// Comparisons of answers; none by default.
    pub mismatches: MismatchLimit,
    /// A latency that lies less than this above old's own is never blamed, whatever the factor; 1 ms by default. A
    /// connection that is used seldom, as those of a small canary are, is colder than one that is always used, and
    /// where answers take a fraction of a millisecond that alone can be a factor of 2.
    pub latency_floor: Duration,
    /// How long new must have been slower before users go back for it; 1.5 s by default. A system that pauses, to
    /// collect its garbage say, is slow for all requests of that moment at once: one event, not hundreds. What the burst
    /// cap is to failures, this is to latency. Evidence is gathered as ever, so it only ever holds back.
    pub latency_persists: Duration,
    /// When latency begins to count; after 30 s or 200 requests by default.
    pub warm_up: WarmUp,
}

impl Default for Limits {
    fn default() -> Self {
        let doubled = |quantile| LatencyLimit { quantile, over_old: Some(2.0), max: None };
        Limits {
            budget: Budget { per_step: 1e-4, per_day: 1e-4 },
            pause_budget: Budget { per_step: 1e-2, per_day: 1e-2 },
            error_rate: RateLimit { over_old: Some(0.005), max: None },
            latency: [Quantile::P50, Quantile::P95, Quantile::P99].map(doubled).to_vec(),
            client_errors: ClientErrors::Pause,
            soft_over_old: 0.01,
            mismatches: MismatchLimit::default(),
            latency_floor: Duration::from_millis(1),
            latency_persists: Duration::from_millis(1500),
            warm_up: WarmUp { time: Duration::from_secs(30), requests: 200 },
        }
    }
}

/// How many buckets of latency over old are taken for a reason to hold the ramp.
const PAUSE_SHIFT: usize = 2;
/// The part of the tolerated failures over old that is taken for a reason to hold the ramp.
const PAUSE_PART: f64 = 0.2;
const FAILURES_PRIOR: f64 = 0.002;

/// Share of the stake: failures get half of it and latencies the other half; what comes on top takes a quarter each.
const HALF: f64 = 0.5;
const QUARTER: f64 = 0.25;

/// Which counts one test takes from a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    Failures,
    /// Slower than old's own quantile; new by this many buckets more.
    Slower {
        quantile: Quantile,
        shift: usize,
    },
    /// In this bucket or above.
    From(usize),
    ClientErrors,
    Retries,
    Mismatches,
}

/// What the counts are held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Against {
    /// Old's rate at the same time and this margin.
    Old { margin: f64 },
    /// This rate, unless old is as bad.
    Fixed { rate: f64 },
    /// This rate, whatever old does.
    FixedAlone { rate: f64 },
}

/// One test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spec {
    pub(crate) cause: Cause,
    pub(crate) pick: Pick,
    pub(crate) against: Against,
    /// What old's rate is taken to be before anything is known of it.
    pub(crate) prior: f64,
    /// Its share of the stake; those of one list add up to at most 1.
    pub(crate) weight: f64,
}

impl Spec {
    /// What is tolerated, as one number: what evidence under another one is not evidence for.
    pub(crate) fn line(&self) -> f64 {
        match (self.pick, self.against) {
            (Pick::Slower { shift, .. }, _) => shift as f64,
            (Pick::From(bucket), _) => bucket as f64,
            (_, Against::Old { margin }) => margin,
            (_, Against::Fixed { rate } | Against::FixedAlone { rate }) => rate,
        }
    }
}

impl Limits {
    /// What rolls back.
    pub(crate) fn rollback_tests(&self) -> Vec<Spec> {
        let mut specs: Vec<Spec> = self.over_old(1.0, None).collect();
        specs.extend(self.fixed(|rate| Against::Fixed { rate }));
        if self.client_errors == ClientErrors::Rollback {
            specs.push(self.soft(Signal::ClientErrors));
        }
        specs.extend(self.mismatches.rollback.map(mismatch_test));
        shared_out(specs)
    }

    /// What holds the ramp.
    pub(crate) fn pause_tests(&self) -> Vec<Spec> {
        let mut specs: Vec<Spec> = self.over_old(PAUSE_PART, Some(PAUSE_SHIFT)).collect();
        specs.extend(self.fixed(|rate| Against::FixedAlone { rate }));
        if self.client_errors == ClientErrors::Pause {
            specs.push(self.soft(Signal::ClientErrors));
        }
        specs.push(self.soft(Signal::Retries));
        specs.extend(self.mismatches.pause.map(mismatch_test));
        shared_out(specs)
    }

    /// What must be shown not to be worse before the ramp goes on.
    pub(crate) fn gate_tests(&self) -> Vec<Spec> {
        let mut specs: Vec<Spec> = self.over_old(1.0, None).collect();
        if self.client_errors != ClientErrors::Ignore {
            specs.push(self.soft(Signal::ClientErrors));
        }
        specs.extend(self.mismatches.pause.map(mismatch_test));
        specs
    }

    /// The first bucket in which a request of new is slow, where old's own quantile ends before bucket `edge`.
    pub(crate) fn slow_from(&self, edge: usize, shift: usize) -> usize {
        too_slow_from(edge, shift, self.latency_floor)
    }

    /// Whether new can be judged without old.
    #[must_use]
    pub fn has_fixed(&self) -> bool {
        self.error_rate.max.is_some() || self.latency.iter().any(|limit| limit.max.is_some())
    }

    /// What new is judged by where there is no old.
    pub(crate) fn fixed_tests(&self) -> Vec<Spec> {
        self.fixed(|rate| Against::FixedAlone { rate }).collect()
    }

    fn over_old(&self, part: f64, shift: Option<usize>) -> impl Iterator<Item = Spec> {
        let failures = self.error_rate.over_old.map(|margin| Spec {
            cause: Cause::over_old(Signal::ErrorRate),
            pick: Pick::Failures,
            against: Against::Old { margin: margin * part },
            prior: FAILURES_PRIOR,
            weight: HALF,
        });
        let each = HALF / self.latency.iter().filter(|limit| limit.over_old.is_some()).count() as f64;
        let latencies = self.latency.iter().filter_map(move |limit| {
            let (quantile, caught) = (limit.quantile, limit.over_old?);
            Some(Spec {
                cause: Cause::over_old(Signal::Latency(quantile)),
                pick: Pick::Slower { quantile, shift: shift.unwrap_or(tolerated_shift(caught)) },
                against: Against::Old { margin: 0.0 },
                prior: 1.0 - quantile.share(),
                weight: each,
            })
        });
        failures.into_iter().chain(latencies)
    }

    fn fixed(&self, against: impl Fn(f64) -> Against) -> impl Iterator<Item = Spec> {
        let failures = self.error_rate.max.map(|rate| Spec {
            cause: Cause::max(Signal::ErrorRate),
            pick: Pick::Failures,
            against: against(rate),
            prior: FAILURES_PRIOR.min(rate),
            weight: QUARTER,
        });
        let each = QUARTER / self.latency.iter().filter(|limit| limit.max.is_some()).count() as f64;
        let latencies = self.latency.iter().filter_map(move |limit| {
            let rate = 1.0 - limit.quantile.share();
            Some(Spec {
                cause: Cause::max(Signal::Latency(limit.quantile)),
                pick: Pick::From(first_bucket_from(limit.max?)),
                against: against(rate),
                prior: rate,
                weight: each,
            })
        });
        failures.into_iter().chain(latencies)
    }

    fn soft(&self, signal: Signal) -> Spec {
        let pick = if signal == Signal::Retries { Pick::Retries } else { Pick::ClientErrors };
        Spec {
            cause: Cause::over_old(signal),
            pick,
            against: Against::Old { margin: self.soft_over_old },
            prior: FAILURES_PRIOR,
            weight: QUARTER,
        }
    }
}

fn mismatch_test(rate: f64) -> Spec {
    Spec {
        cause: Cause::max(Signal::Mismatches),
        pick: Pick::Mismatches,
        against: Against::FixedAlone { rate },
        prior: rate,
        weight: QUARTER,
    }
}

/// Makes the weights add up to at most 1.
fn shared_out(mut specs: Vec<Spec>) -> Vec<Spec> {
    let sum: f64 = specs.iter().map(|spec| spec.weight).sum();
    // A sum of thirds may be a hair over 1; the plain case is left exactly as it is.
    if sum > 1.0 + 1e-9 {
        specs.iter_mut().for_each(|spec| spec.weight /= sum);
    }
    specs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_case_is_failures_and_three_quantiles() {
        let specs = Limits::default().rollback_tests();
        let names: Vec<String> = specs.iter().map(|spec| spec.cause.to_string()).collect();
        assert_eq!(names, ["error_rate", "p50", "p95", "p99"]);
        assert_eq!(specs[0].weight, 0.5);
        assert_eq!(specs[1].weight, 0.5 / 3.0);
        assert_eq!(specs[2].pick, Pick::Slower { quantile: Quantile::P95, shift: 9 });
        assert_eq!(specs[3].prior, 1.0 - 0.99);
    }

    #[test]
    fn whatever_is_asked_for_shares_one_stake() {
        let mut limits = Limits::default();
        limits.error_rate.max = Some(0.01);
        limits.latency[1].max = Some(Duration::from_millis(800));
        limits.client_errors = ClientErrors::Rollback;
        limits.mismatches = MismatchLimit { pause: Some(0.001), rollback: Some(0.01) };
        for specs in [limits.rollback_tests(), limits.pause_tests()] {
            let sum: f64 = specs.iter().map(|spec| spec.weight).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        }
        let pause: Vec<String> = limits.pause_tests().iter().map(|spec| spec.cause.to_string()).collect();
        assert_eq!(
            pause,
            ["error_rate", "p50", "p95", "p99", "error_rate_max", "p95_max", "retries", "mismatches_max"]
        );
    }
}
