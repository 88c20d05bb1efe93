//! The JSON of ramps: how far one is, and what comes when.

use control_plane::{Plan, PlannedStep, RampStatus};
use ramp::Pause;
use serde::Serialize;
use traffic_split::Percent;

/// How far a ramp is.
#[derive(Debug, Serialize)]
pub(crate) struct RampAnswer {
    /// The present step, from 1; 0: before the first.
    step: usize,
    /// The percentages of its steps.
    steps: Vec<f64>,
    held_seconds: f64,
    hold_seconds: f64,
    /// Why it does not move until somebody resumes; `null`: it does.
    paused: Option<&'static str>,
    waits_for: String,
}

impl From<&RampStatus> for RampAnswer {
    fn from(ramp: &RampStatus) -> Self {
        RampAnswer {
            step: ramp.step,
            steps: ramp.steps.iter().copied().map(Percent::as_f64).collect(),
            held_seconds: ramp.held.as_secs_f64(),
            hold_seconds: ramp.hold.as_secs_f64(),
            paused: ramp.paused.map(Pause::as_str),
            waits_for: ramp.waits_for.clone(),
        }
    }
}

/// `GET migrations/{name}/ramp`: what comes when, if nothing speaks against it and every word that is waited for is
/// given at once.
#[derive(Debug, Serialize)]
pub(crate) struct PlanAnswer {
    migration: String,
    step: usize,
    held: bool,
    waits_for: String,
    steps: Vec<StepAnswer>,
}

#[derive(Debug, Serialize)]
struct StepAnswer {
    step: usize,
    percent: f64,
    entered: bool,
    /// When it comes at the earliest, in the calendar's time zone; `null` where it was entered.
    earliest: Option<String>,
    hold_seconds: f64,
    min_requests: u64,
    /// How many requests of new its gate needs, if new is as good as old; `null`: not known yet.
    gate_requests: Option<u64>,
    gate_seconds: Option<f64>,
    approve: bool,
    drill: bool,
    hooks: Vec<&'static str>,
    /// Keys whose bucket lies between the two move with it.
    buckets: [f64; 2],
}

impl PlanAnswer {
    pub(crate) fn of(migration: String, plan: &Plan) -> Self {
        PlanAnswer {
            migration,
            step: plan.present,
            held: plan.is_held,
            waits_for: plan.waits_for.clone(),
            steps: plan.steps.iter().map(StepAnswer::from).collect(),
        }
    }
}

impl From<&PlannedStep> for StepAnswer {
    fn from(step: &PlannedStep) -> Self {
        let bucket = |percent: Percent| f64::from(percent.millionths()) / 1e8;
        StepAnswer {
            step: step.step,
            percent: step.percent.as_f64(),
            entered: step.is_entered,
            earliest: step.earliest.as_ref().map(|at| at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()),
            hold_seconds: step.hold.as_secs_f64(),
            min_requests: step.min_requests,
            gate_requests: step.gate_requests,
            gate_seconds: step.gate_time.map(|time| time.as_secs_f64()),
            approve: step.approve,
            drill: step.drill,
            hooks: step.hooks.clone(),
            buckets: [bucket(step.from), bucket(step.percent)],
        }
    }
}
