//! By what new is judged.

use std::time::Duration;

use response_diff::path::Places;
use rollback_guard::{
    Budget, ClientErrors, LatencyLimit, Limits, MismatchLimit, RateLimit, WarmUp, shift_factor,
    tolerated_shift,
};
use route_plan::{AnswerFailures, Phase, ValueMatch};
use traffic_split::Percent;

use super::{is_token, shadow};
use crate::checked::GuardConfig;
use crate::diagnostic::{Diagnostic, Sink};
use crate::written::{Said, Table};

/// What a migration's `guard` table asks for. Mismatches count where answers are compared: where the file has a shadow.
pub(super) fn guard(table: &Table, is_compared: bool, sink: &mut Sink) -> Option<GuardConfig> {
    let error_rate = table.table("error_rate").map(|table| error_rate(table, sink));
    let latency = latencies(table, sink);
    let failures = table.table("failures").map(|table| failures(table, sink));
    let mismatches = table.table("mismatches").map(|table| mismatches(table, sink));
    let zero_tolerance = zero_tolerance(table, sink);
    let budget = table.table("false_alarms").and_then(|table| budget(table, sink));
    let limits = Limits {
        budget: budget?,
        error_rate: error_rate?,
        latency,
        latency_floor: Duration::from_millis(table.millis("latency_floor")?.value),
        latency_persists: Duration::from_millis(table.millis("latency_persists")?.value),
        client_errors: client_errors(table)?,
        mismatches: mismatches.filter(|_| is_compared).unwrap_or_default(),
        warm_up: WarmUp {
            time: Duration::from_millis(table.millis("warm_up")?.value),
            requests: table.count("warm_up_requests")?.value,
        },
        ..Limits::default()
    };
    Some(GuardConfig { limits, failures: failures?, zero_tolerance, dry_run: table.flag("dry_run")? })
}

/// Where no answers may differ at all.
fn zero_tolerance(table: &Table, sink: &mut Sink) -> Vec<String> {
    for said in table.texts("zero_tolerance").iter().filter(|said| said.value.starts_with('$')) {
        if let Err(errors) = Places::compile(&[said.value]) {
            let error = errors.into_iter().next().map(|found| found.error.to_string()).unwrap_or_default();
            let message = format!("`{}` is no JSONPath: {error}", said.value);
            sink.push(Diagnostic::error("bad-place", &said.spot, message));
        }
    }
    shadow::places(table, "zero_tolerance", sink)
}

/// How many comparisons may differ.
fn mismatches(table: &Table, sink: &mut Sink) -> MismatchLimit {
    let limit = |name: &str| table.share(name);
    let (pause, rollback) = (limit("pause"), limit("rollback"));
    for said in [&pause, &rollback].into_iter().flatten() {
        if said.value == Percent::ZERO || said.value == Percent::FULL {
            let message = format!("`{}` % is out of range", said.value);
            let diagnostic = Diagnostic::error("out-of-range", &said.spot, message);
            let help = "what must never differ belongs into `zero_tolerance`";
            let help = (said.value == Percent::ZERO).then(|| help.to_owned());
            sink.push(diagnostic.expected("more than 0 % and less than 100 %").maybe_help(help));
        }
    }
    if let (Some(pause), Some(rollback)) = (&pause, &rollback)
        && rollback.value <= pause.value
    {
        let message = format!(
            "users would go back at {} %, before the ramp is held at {} %",
            rollback.value, pause.value
        );
        let diagnostic = Diagnostic::error("mismatch-order", &rollback.spot, message);
        sink.push(diagnostic.expected(format!("more than {} %", pause.value)).label(pause.span(), "held at"));
    }
    let part = |said: Option<Said<Percent>>| said.map(|said| fraction(said.value));
    MismatchLimit { pause: part(pause), rollback: part(rollback) }
}

/// Warns where all users are on new, so that there is nobody to compare with, and no fixed limit either.
pub(super) fn unguarded(migration: &Table, phase: Option<Phase>, sink: &mut Sink) {
    let Some(phase) = phase.filter(|phase| phase.in_force(Percent::ZERO) == Percent::FULL) else { return };
    // No table: switched off on purpose, or wrong and reported.
    let (Some(said), Some(guard)) = (migration.text("phase"), migration.table("guard")) else { return };
    let has_max = |table: &Table| table.wrote("max");
    let is_limited =
        guard.table("error_rate").is_some_and(has_max) || guard.tables("latency").iter().any(has_max);
    // What was written but wrong, or misspelt, has been reported already.
    let is_reported =
        guard.entries.iter().any(|entry| entry.value.is_none()) || sink.has_unknown_key_in(&guard.spot);
    let is_compared = shadow::is_written(migration) && phase == Phase::Full;
    if is_limited || is_compared || is_reported {
        return;
    }
    let message =
        format!("nothing judges `new` in phase `{phase}`: nobody is left on `old` to compare it with");
    let help = format!(
        "{}set `max` in [{}.error_rate] or of a latency, or `guard = false` where nothing is to judge it",
        if phase == Phase::Full { "write `shadow = true`, so that old gets copies, or " } else { "" },
        guard.spot.path
    );
    sink.push(Diagnostic::warning("unguarded", &said.spot, message).help(help));
}

fn error_rate(table: &Table, sink: &mut Sink) -> RateLimit {
    let mut rate = |name: &str, help: &str| {
        let said = table.share(name)?;
        let is_fine = said.value > Percent::ZERO && said.value < Percent::FULL;
        if !is_fine {
            let message = format!("`{}` % is out of range", said.value);
            let diagnostic = Diagnostic::error("out-of-range", &said.spot, message);
            sink.push(diagnostic.expected("more than 0 % and less than 100 %").help(help));
        }
        is_fine.then(|| fraction(said.value))
    };
    RateLimit {
        over_old: rate("over_old", "`over_old = false` does without the comparison"),
        max: rate("max", "leave `max` out where there is no limit"),
    }
}

fn failures(table: &Table, sink: &mut Sink) -> AnswerFailures {
    let mut headers: Vec<ValueMatch> = Vec::new();
    for (name, value) in table.conditions("header") {
        let lower = name.value.to_ascii_lowercase();
        if !is_token(&lower) {
            let message = format!("`{}` is not a header name", name.value);
            let diagnostic = Diagnostic::error("bad-header-name", &name.spot, message);
            sink.push(diagnostic.expected("letters, digits and `-`"));
        }
        if headers.iter().any(|known| known.name == lower) {
            let message = format!("the header `{lower}` is named twice; case makes no difference");
            sink.push(Diagnostic::error("bad-condition", &name.spot, message).expected("each header once"));
        }
        headers.push(ValueMatch { name: lower, value: value.clone() });
    }
    AnswerFailures::of(table.statuses("statuses").into_iter().map(|said| said.value), headers)
}

/// The limits that are right.
fn latencies(guard: &Table, sink: &mut Sink) -> Vec<LatencyLimit> {
    let mut quantiles: Vec<Said<_>> = Vec::new();
    let mut limits = Vec::new();
    for table in guard.tables("latency") {
        let over_old = table.factor("over_old");
        if let Some(over_old) = &over_old {
            closeness(over_old, sink);
        }
        if table.flag("over_old") == Some(false) && !table.wrote("max") {
            let message = format!("`{}` limits nothing", table.spot.path);
            let diagnostic = Diagnostic::error("empty-limit", &table.spot, message);
            let help = "leave the whole entry out where this quantile is not to be judged";
            sink.push(diagnostic.expected("`over_old`, `max` or both").help(help));
        }
        let Some(quantile) = table.quantile("quantile") else { continue };
        if let Some(earlier) = quantiles.iter().find(|earlier| earlier.value == quantile.value) {
            let message = format!("{} has a limit already", quantile.value);
            let diagnostic = Diagnostic::error("duplicate-quantile", &quantile.spot, message);
            sink.push(diagnostic.expected("each quantile once").label(earlier.span(), "the same quantile"));
        }
        limits.push(LatencyLimit {
            quantile: quantile.value,
            over_old: over_old.map(|said| said.value),
            max: table.millis("max").map(|said| Duration::from_millis(said.value)),
        });
        quantiles.push(quantile);
    }
    limits
}

/// Warns of a factor that is closer than the guard can tell apart soon.
fn closeness(factor: &Said<f64>, sink: &mut Sink) {
    let shift = tolerated_shift(factor.value);
    // Down to here what is tolerated follows the factor; below, it is the least there is.
    if shift_factor(shift + CLEARANCE) <= factor.value {
        return;
    }
    let (tolerated, caught) = (shift_factor(shift), factor.value);
    let when = if caught > tolerated { "caught late" } else { "never caught" };
    let message = format!(
        "latencies are not compared that closely: {tolerated:.2}x is tolerated, so {caught}x is {when}"
    );
    sink.push(Diagnostic::warning("small-factor", &factor.spot, message).help("write \"1.5x\" or more"));
}

fn client_errors(table: &Table) -> Option<ClientErrors> {
    match table.text("client_errors")?.value {
        "pause" => Some(ClientErrors::Pause),
        "rollback" => Some(ClientErrors::Rollback),
        "ignore" => Some(ClientErrors::Ignore),
        _ => None,
    }
}

fn budget(table: &Table, sink: &mut Sink) -> Option<Budget> {
    let mut chance = |name: &str| {
        let said = table.share(name)?;
        if said.value == Percent::ZERO || said.value.millionths() > MOST_FALSE_ALARMS {
            let message = format!("`{}` % is out of range", said.value);
            let diagnostic = Diagnostic::error("out-of-range", &said.spot, message);
            sink.push(diagnostic.expected("more than 0 % and at most 10 %"));
        }
        Some(fraction(said.value))
    };
    let (per_step, per_day) = (chance("per_step"), chance("per_day"));
    Some(Budget { per_step: per_step?, per_day: per_day? })
}

/// The share as a part of 1, the nearest double to its decimal form.
fn fraction(share: Percent) -> f64 {
    f64::from(share.millionths()) / f64::from(Percent::FULL.millionths())
}

/// How many buckets of latency lie between what has to be caught and what is tolerated, see [`tolerated_shift`].
const CLEARANCE: usize = 7;
/// 10 %, in the millionths of a per cent that shares are counted in.
const MOST_FALSE_ALARMS: u32 = 10_000_000;
