//! What a migration's way forward and back goes by.

use std::time::Duration;

use ramp::calendar::Calendar;
use ramp::hook_url::HookUrl;
use ramp::{Abort, Grace, Policy, Preset, RollbackPolicy, Step, Target};
use route_plan::Phase;
use traffic_split::Percent;

use super::{calendar, order, shadow, whole};
use crate::diagnostic::{Diagnostic, Sink, Spot};
use crate::fields::MOST_STEPS;
use crate::written::{Said, Table};

/// `common` is the calendar of the migrations that have none of their own.
pub(super) fn policy(
    name: &Said<String>,
    table: &Table,
    root: &Table,
    common: Option<&Calendar>,
    sink: &mut Sink,
) -> Option<Policy> {
    let steps = steps(table, sink);
    let own = table.table("calendar").map(|own| {
        zone_not_taken_over(own, root, sink);
        calendar::calendar(own, sink)
    });
    let after = order::after(name, table, root, sink);
    let rollback = table.table("rollback").and_then(rollback);
    let abort = table.table("abort").and_then(|table| abort(table, sink));
    Some(Policy {
        steps: steps?,
        calendar: own.unwrap_or_else(|| common.cloned())?,
        exclusive: table.flag("exclusive")?,
        after,
        rollback: rollback?,
        abort: abort?,
        grace: Grace(Duration::from_millis(table.millis("grace")?.value)),
        shadow: shadow::is_written(table),
    })
}

fn steps(table: &Table, sink: &mut Sink) -> Option<Vec<Step>> {
    if let Some(said) = table.text("ramp") {
        return Preset::ALL.into_iter().find(|preset| preset.as_str() == said.value).map(Preset::steps);
    }
    let tables = table.tables("ramp");
    if let Some(extra) = tables.get(MOST_STEPS) {
        let message = format!("a ramp of {} steps is too long", tables.len());
        let diagnostic = Diagnostic::error("too-many-steps", &extra.spot, message);
        sink.push(diagnostic.expected(format!("at most {MOST_STEPS} steps; this is one more")));
    }
    let mut before: Option<Said<Percent>> = None;
    let steps: Vec<_> = tables
        .iter()
        .map(|table| {
            let percent = table.share("percent");
            if let Some(percent) = &percent {
                rising(percent, before.as_ref(), sink);
            }
            before = percent.or(before.take());
            step(table, sink)
        })
        .collect();
    steps.into_iter().collect()
}

/// Reports a step that is none: back, or not at all.
fn rising(percent: &Said<Percent>, before: Option<&Said<Percent>>, sink: &mut Sink) {
    if percent.value == Percent::ZERO {
        let diagnostic = Diagnostic::error("out-of-range", &percent.spot, "`0` % is out of range");
        let help = "a ramp begins where all users are on `old`, without a step of its own for it";
        sink.push(diagnostic.expected("more than 0 % and at most 100 %").help(help));
    } else if let Some(before) = before.filter(|before| percent.value <= before.value) {
        let message = format!("the ramp does not rise: {} % comes after {} %", percent.value, before.value);
        let diagnostic = Diagnostic::error("ramp-order", &percent.spot, message);
        let expected = if before.value == Percent::FULL {
            "no step after 100 %".to_owned()
        } else {
            format!("more than {} %", before.value)
        };
        sink.push(diagnostic.expected(expected).label(before.span(), "the step before"));
    }
}

fn step(table: &Table, sink: &mut Sink) -> Option<Step> {
    let announce = hook(table, "announce", sink);
    let confirm = hook(table, "confirm", sink);
    Some(Step {
        percent: table.share("percent")?.value,
        hold: Duration::from_millis(table.millis("hold")?.value),
        min_requests: table.count("min_requests")?.value,
        approve: table.flag("approve")?,
        drill: table.flag("drill")?,
        announce,
        confirm,
    })
}

/// The address of a hook. It may be a secret from the environment, and stays out of messages.
fn hook(table: &Table, name: &str, sink: &mut Sink) -> Option<HookUrl> {
    let said = table.text(name)?;
    match said.value.parse() {
        Ok(url) => Some(url),
        Err(reason) => {
            let message = format!("this is not the address of a hook: {reason}");
            let diagnostic = Diagnostic::error("bad-hook", &said.spot, message);
            sink.push(diagnostic.expected("an address such as \"https://hooks.example.com/x\""));
            None
        }
    }
}

fn rollback(table: &Table) -> Option<RollbackPolicy> {
    let to = match table.text("to")?.value {
        "previous-step" => Target::PreviousStep,
        _ => Target::Old,
    };
    let then = table.text("then");
    Some(RollbackPolicy {
        to,
        then: then.and_then(|said| said.value.parse().ok()),
        over: Duration::from_millis(table.millis("over")?.value),
    })
}

fn abort(table: &Table, sink: &mut Sink) -> Option<Abort> {
    let deadline = table.text("deadline").map(|said| calendar::moment(&said, sink));
    let rollbacks = match table.flag("rollbacks") {
        Some(_) => None,
        None => Some(whole(&table.count("rollbacks")?)),
    };
    Some(Abort { rollbacks, deadline: deadline.unwrap_or_default() })
}

/// Warns of a calendar that goes by UTC while all others go by another clock.
fn zone_not_taken_over(own: &Table, root: &Table, sink: &mut Sink) {
    let Some(common) = root.table("calendar").filter(|common| common.wrote("time_zone")) else { return };
    let Some(zone) = common.text("time_zone").filter(|_| !own.wrote("time_zone")) else { return };
    if zone.value.eq_ignore_ascii_case("utc") || sink.has_unknown_key_in(&own.spot) {
        return;
    }
    let message =
        format!("this calendar goes by UTC, not by {}: it replaces [calendar] as a whole", zone.value);
    let help = format!("write `time_zone = \"{}\"`, or \"UTC\" where that is meant", zone.value);
    let diagnostic = Diagnostic::warning("time-zone-not-taken-over", &own.spot, message);
    sink.push(diagnostic.label(zone.span(), "not taken over").help(help));
}

/// Warns of what is written and does nothing, or waits for people.
pub(super) fn of_no_use(
    name: &str,
    table: &Table,
    phase: Option<Phase>,
    policy: Option<&Policy>,
    sink: &mut Sink,
) {
    let spot_of = |table: &Table, key: &str| Some(table.spot.child(key, table.key(key)?));
    let Some(ramp) = spot_of(table, "ramp") else {
        // A ramp that was misspelt has been reported.
        if !sink.has_unknown_key_in(&table.spot) {
            without_ramp(table, &spot_of, sink);
        }
        return;
    };
    if let Some(guard) = spot_of(table, "guard").filter(|_| table.flag("guard") == Some(false)) {
        let message =
            format!("nothing judges `new`, so the ramp waits at each step for `crossfade advance {name}`");
        let diagnostic = Diagnostic::warning("ramp-without-guard", &guard, message);
        let help =
            "leave `guard = false` out, and the ramp goes on by itself when `new` is shown to be no worse";
        sink.push(diagnostic.label(ramp.span.clone(), "the ramp").help(help));
    }
    if let (Some(phase), Some(said)) = (phase, table.text("phase"))
        && phase.in_force(Percent::ZERO) == Percent::FULL
    {
        let message = format!("the ramp has nothing to do: phase `{phase}` sends all users to new");
        let diagnostic = Diagnostic::warning("ramp-not-run", &ramp, message);
        sink.push(
            diagnostic.label(said.span(), "the phase decides").help("a ramp goes on in phase `canary`"),
        );
    }
    if let Some(policy) = policy.filter(|_| phase.is_none_or(|phase| phase == Phase::Canary)) {
        between_steps(table, policy, sink);
    }
}

fn without_ramp(table: &Table, spot_of: &dyn Fn(&Table, &str) -> Option<Spot>, sink: &mut Sink) {
    let is_used = [table.flag("exclusive") == Some(true), !table.texts("after").is_empty()];
    for (key, _) in ["exclusive", "after"].into_iter().zip(is_used).filter(|(_, is_used)| *is_used) {
        let Some(spot) = spot_of(table, key) else { continue };
        let message = format!("`{key}` does nothing without a ramp");
        sink.push(Diagnostic::warning("needs-ramp", &spot, message).help("add a `ramp`, or leave it out"));
    }
    let to = table.table("rollback").and_then(|rollback| rollback.text("to"));
    if let Some(said) = to.filter(|said| said.value == "previous-step") {
        let message = "without a ramp there is no step before: a rollback sends all users to old";
        let help = "add a `ramp`, or write \"old\"";
        sink.push(Diagnostic::warning("needs-ramp", &said.spot, message).help(help));
    }
}

/// Warns of a percentage that the ramp knows no step for.
fn between_steps(table: &Table, policy: &Policy, sink: &mut Sink) {
    let Some(percent) = table.share("percent").filter(|_| table.wrote("percent")) else { return };
    let within = policy.steps_within(percent.value);
    let below = within.checked_sub(1).and_then(|place| policy.steps.get(place));
    let (Some(below), Some(above)) = (below, policy.steps.get(within)) else { return };
    if below.percent == percent.value {
        return;
    }
    let (percent, below, above) = (&percent, below.percent, above.percent);
    let message =
        format!("{} % lies between two steps: the ramp goes on from its step of {below} %", percent.value);
    let help = format!("write {below} or {above}, or add a step of {} %", percent.value);
    sink.push(Diagnostic::warning("percent-between-steps", &percent.spot, message).help(help));
}
