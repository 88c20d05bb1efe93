//! The whole table of a small world, so that a changed cell is seen in review.

use std::fmt::Write;
use std::time::Duration;

use route_plan::Phase;
use traffic_split::Percent;

use crate::policy::Policy;
use crate::tests::{
    BACK, FROZEN, HOUR, LATE, World, all_good, back_to, by_people, percent, ramped, set, steps, written,
};
use crate::{
    Cause, Effect, Event, Evidence, Facts, Intent, Metric, Next, Refusal, ShadowOff, Terms, Wait, Written,
    apply, decide,
};

/// A name of an event, the event, whether somebody insists, and the policy of the file that is in force then.
struct Row {
    name: String,
    event: Event,
    force: bool,
    policy: Policy,
}

/// Served for half an hour with few requests: so the first steps wait for something.
fn facts(world: &World) -> Facts {
    let held = Duration::from_secs(30 * 60);
    Facts {
        now: world.now,
        held,
        requests: 400,
        evidence: Evidence::Proven,
        ..all_good("2026-12-01T12:00:00Z")
    }
}

fn in_shadow() -> World {
    let policy = by_people();
    World::reading(written("5", Some(Phase::Shadow), 1, &policy), policy)
}

fn with_a_shadow() -> World {
    let policy = Policy { shadow: true, ..by_people() };
    World::reading(written("5", Some(Phase::Preparation), 1, &policy), policy)
}

/// A migration without a ramp.
fn states_without_a_ramp() -> Vec<(&'static str, World)> {
    let first = || World::first("5", by_people());
    let mut then_shadow = by_people();
    then_shadow.rollback.then = Some(Phase::Shadow);
    vec![
        ("file 5", first()),
        ("file 5, set 25", first().then(set("25"))),
        ("file 5 in shadow", in_shadow()),
        ("file 5 in preparation, with a shadow", with_a_shadow()),
        (
            "file 5 in shadow, which did harm",
            in_shadow().then(Event::ShadowSwitched(Some(ShadowOff::Effect))),
        ),
        ("file 5, phase full", first().then(Event::PhaseSet(Phase::Full))),
        ("file 5, latched at 0", first().then(BACK)),
        ("file 5, latched at 0, in shadow since", World::first("5", then_shadow).then(BACK)),
        ("set 25, latched at 5", first().then(set("25")).then(back_to("5", false))),
        ("file 25, of which a freeze lets through 5", first().at(FROZEN).reads("25")),
    ]
}

/// A migration with the ramp 1, 5, 25, 100.
fn states_with_a_ramp() -> Vec<(&'static str, World)> {
    let step = |step: usize| {
        (0..step).fold(World::first("0", ramped()), |world, next| world.then(Event::StepEntered(next)))
    };
    let approval = || Event::Advanced(Wait::Approval { step: 2, unguarded: false });
    let again = |world: World| world.then(BACK).then(Event::Resumed).then(Event::StepEntered(0));
    let aborted = again(again(step(2))).then(BACK).insisting(&Event::Resumed);
    vec![
        ("before the first step", step(0)),
        ("before the first step, in shadow", step(0).then(Event::PhaseSet(Phase::Shadow))),
        ("in step 2 at 5", step(2)),
        ("in step 2, paused by somebody", step(2).then(Event::Paused)),
        ("in step 2, paused by set 7", step(2).then(set("7"))),
        (
            "in step 2, paused by a failed drill",
            step(2).then(Event::DrillBegun).then(Event::DrillEnded { passed: false }),
        ),
        ("in step 2, approved", step(2).then(approval())),
        ("in step 2, drilling", step(2).then(approval()).then(Event::DrillBegun)),
        ("in step 2, in a freeze", step(2).at(FROZEN)),
        ("in step 2, raised to 25 in a freeze", step(2).at(FROZEN).reads("25").then(Event::Resumed)),
        ("in step 4 at 100", step(4)),
        ("arrived", step(4).then(Event::Arrived)),
        ("in step 3, latched at 0", step(3).then(BACK)),
        ("in step 3, latched at the step before", step(3).then(back_to("5", false))),
        ("in step 4, on the way back in parts", step(4).then(back_to("0", true)).then(Event::Returned)),
        ("begun again after three rollbacks", aborted.clone()),
        ("latched for the fourth time", aborted.insisting(&Event::StepEntered(0)).then(BACK)),
        ("in step 2 past the deadline", step(2).at(LATE)),
    ]
}

/// What the file may say, with the policy that it has then.
fn readings(world: &World) -> Vec<Row> {
    let last = &world.intent.written;
    let ramp = |percents: &[&str]| Policy { steps: steps(percents), ..world.policy.clone() };
    let read = |name: &str, written: Written| Row {
        name: format!("read {name}"),
        event: Event::FileRead(written),
        force: false,
        policy: world.policy.clone(),
    };
    let with_ramp = |name: &str, policy: Policy| {
        let ramp = policy.steps.iter().map(|step| step.percent).collect();
        Row { policy, ..read(name, Written { ramp, ..last.clone() }) }
    };
    vec![
        read("the same", last.clone()),
        read("2", Written { percent: percent("2"), ..last.clone() }),
        read("50", Written { percent: percent("50"), ..last.clone() }),
        read("canary", Written { phase: Some(Phase::Canary), ..last.clone() }),
        read("full", Written { phase: Some(Phase::Full), ..last.clone() }),
        read("attempt 2", Written { attempt: 2, ..last.clone() }),
        with_ramp("ramp 2/50/100", ramp(&["2", "50", "100"])),
        with_ramp("no ramp", by_people()),
    ]
}

fn rows(world: &World) -> Vec<Row> {
    let row = |name: &str, event: Event, force: bool| Row {
        name: if force { format!("{name}!") } else { name.to_owned() },
        event,
        force,
        policy: world.policy.clone(),
    };
    let mut rows = readings(world);
    for (name, event) in [("set 50", set("50")), ("set 2", set("2"))] {
        rows.extend([row(name, event.clone(), false), row(name, event, true)]);
    }
    rows.extend(Phase::ALL.map(|phase| row(&format!("phase {phase}"), Event::PhaseSet(phase), false)));
    let undone = Event::Undone { percent: percent("10"), phase: None };
    let by_guard =
        Event::RolledBack { cause: Cause::Guard(Metric::ErrorRate), to: percent("1"), in_parts: false };
    let next = world.step();
    rows.extend([
        row("undone to 10", undone, false),
        row("back to 0", BACK, false),
        row("back to 0 in parts", back_to("0", true), false),
        row("guard, back to 1", by_guard, false),
        row("returned", Event::Returned, false),
        row("resumed", Event::Resumed, false),
        row("resumed", Event::Resumed, true),
        row("paused", Event::Paused, false),
    ]);
    if let Next::Wait(wait) = decide(&world.intent, &world.policy, &facts(world)) {
        rows.extend([false, true].map(|force| row("advanced", Event::Advanced(wait.clone()), force)));
    }
    rows.extend([
        row("next step", Event::StepEntered(next), false),
        row("stale step", Event::StepEntered(next + 1), false),
        row("held 1 h", Event::Held(HOUR), false),
        row("opened", Event::Opened, false),
        row("drill begun", Event::DrillBegun, false),
        row("drill passed", Event::DrillEnded { passed: true }, false),
        row("drill failed", Event::DrillEnded { passed: false }, false),
        row("drill interrupted", Event::DrillInterrupted, false),
        row("arrived", Event::Arrived, false),
        row("shadow off", Event::ShadowSwitched(Some(ShadowOff::Asked)), false),
        row("shadow harms", Event::ShadowSwitched(Some(ShadowOff::Effect)), false),
        row("shadow on", Event::ShadowSwitched(None), false),
    ]);
    rows
}

/// One effect in a few words.
fn told(effect: &Effect) -> String {
    match effect {
        Effect::PercentAsked { from, to, by } => format!("{by} asks for {to} after {from}"),
        Effect::PhaseEntered { from, to, by } => format!("{from} -> {to} by {by}"),
        Effect::ShadowSwitched { off } => format!("shadow {}", off.map_or("on", ShadowOff::as_str)),
        Effect::Latched { from, cap, target, cause } if cap == target => {
            format!("LATCHED at {cap} from {from} by {cause}")
        }
        Effect::Latched { from, cap, target, cause } => {
            format!("LATCHED at {cap} on the way to {target} from {from} by {cause}")
        }
        Effect::Released { cap, by } => format!("released from {cap} by {by}"),
        Effect::HeldBack { wanted, cap, by_calendar: false } => format!("{wanted} held back at {cap}"),
        Effect::HeldBack { wanted, cap, by_calendar: true } => {
            format!("{wanted} waits at {cap} for the calendar")
        }
        Effect::Opened => "calendar holds nothing back".to_owned(),
        Effect::InForce { from, to } => format!("in force {from} -> {to}"),
        Effect::AttemptRaised { from, to } => format!("attempt {from} -> {to}"),
        Effect::StepEntered { step, of } => format!("at step {step} of {of}"),
        Effect::StepApproved { step } => format!("step {step} approved"),
        Effect::RampPaused { why } => format!("ramp paused, {why:?}"),
        Effect::RampGoesOn => "ramp goes on".to_owned(),
        Effect::RampGone => "ramp gone".to_owned(),
        Effect::DrillBegun { from } => format!("drill begun from {from}"),
        Effect::DrillEnded { passed } => format!("drill {}", if *passed { "passed" } else { "failed" }),
        Effect::DrillInterrupted => "drill interrupted".to_owned(),
        Effect::Arrived => "arrived".to_owned(),
    }
}

/// What is asked for, the phase, what is in force, the cap and the step.
fn shown(intent: &Intent, policy: &Policy) -> String {
    let standing = intent.standing();
    let cap = if standing.cap < Percent::FULL { standing.cap.to_string() } else { "-".to_owned() };
    let step = intent.progress.as_ref().map_or("-".to_owned(), |progress| {
        let mark = if progress.paused.is_some() { " paused" } else { "" };
        format!("{}/{}{mark}", progress.entered, policy.steps.len())
    });
    let (asked, phase, in_force) = (standing.asked, standing.phase, standing.in_force());
    format!("asked {asked:>3} {phase:<11} in force {in_force:>3} cap {cap:>3} step {step:<10}")
}

fn cell(before: &Intent, result: &Result<(Intent, Vec<Effect>), Refusal>, policy: &Policy) -> String {
    match result {
        Err(refusal) => format!("refused: {refusal}"),
        Ok((after, _)) if after == before => "nothing changes".to_owned(),
        Ok((after, effects)) => {
            let effects: Vec<String> = effects.iter().map(told).collect();
            let effects = if effects.is_empty() { "noted".to_owned() } else { effects.join(", ") };
            format!("{} | {effects}", shown(after, policy))
        }
    }
}

#[test]
fn what_every_event_does_in_every_state() {
    let mut table = String::new();
    for (name, world) in states_without_a_ramp().into_iter().chain(states_with_a_ramp()) {
        writeln!(table, "# {name}: {}", shown(&world.intent, &world.policy).trim_end()).unwrap();
        match decide(&world.intent, &world.policy, &facts(&world)) {
            Next::Wait(wait) => writeln!(table, "  waits: {wait}").unwrap(),
            next => writeln!(table, "  next: {next:?}").unwrap(),
        }
        for Row { name, event, force, policy } in rows(&world) {
            let result = apply(&world.intent, &event, &Terms { policy: &policy, now: world.now, force });
            writeln!(table, "  {name:<19} {}", cell(&world.intent, &result, &policy)).unwrap();
        }
        table.push('\n');
    }
    insta::with_settings!({ snapshot_path => "../snapshots", omit_expression => true }, {
        insta::assert_snapshot!("the_table", table);
    });
}
