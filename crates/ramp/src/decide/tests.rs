use std::fmt::Write;

use super::*;
use crate::tests::{
    BACK, FROZEN, HOUR, LATE, World, all_good, at, back_to, by_people, percent, ramped, set, steps,
};
use crate::{Grace, Policy, Preset, Target};

/// The ramp of [`ramped`] in this step, counted from 1.
fn in_step(step: usize) -> World {
    (0..step).fold(World::first("0", ramped()), |world, next| world.then(Event::StepEntered(next)))
}

/// A moment at which everything speaks against going on.
fn all_bad() -> Facts {
    Facts {
        now: at(FROZEN),
        held: HOUR / 2,
        requests: 400,
        evidence: Evidence::Against("new fails 1.3 % of requests, old 0.2 %".to_owned()),
        matching: Evidence::Missing("about 5,500 more comparisons".to_owned()),
        busy: Some("orders".to_owned()),
        after: Some("users".to_owned()),
        announced: Hook::NotCalled,
        confirmed: Hook::NotCalled,
    }
}

fn said(next: &Next) -> String {
    match next {
        Next::Wait(wait) => format!("waits: {wait}"),
        Next::Call(kind, step) => format!("calls the {} hook of step {}", kind.as_str(), step + 1),
        Next::Do(event) => format!("does {event:?}"),
    }
}

/// A name of what was put right, and how.
type Remedy = (&'static str, fn(&mut World, &mut Facts));

/// What is in the way is put right one by one; so each line is what comes before all that is below it.
fn precedence(world: &World, remedies: &[Remedy]) -> String {
    let (mut world, mut facts) = (world.clone(), all_bad());
    let mut lines = String::new();
    writeln!(lines, "  {:<24} {}", "", said(&decide(&world.intent, &world.policy, &facts))).unwrap();
    for (name, remedy) in remedies {
        remedy(&mut world, &mut facts);
        writeln!(lines, "  {name:<24} {}", said(&decide(&world.intent, &world.policy, &facts))).unwrap();
    }
    lines
}

fn insist(world: &mut World, event: &Event) {
    *world = world.clone().insisting(event);
}

/// Latched in preparation, with a shadow.
fn preparing(policy: Policy) -> World {
    let shadow = Policy { shadow: true, ..policy };
    World::first("0", shadow).then(Event::PhaseSet(Phase::Preparation)).then(BACK)
}

#[test]
fn what_is_waited_for_in_order_of_precedence() {
    let approve = |world: &mut World, _: &mut Facts| {
        insist(world, &Event::Advanced(Wait::Approval { step: 2, unguarded: false }));
    };
    let within: &[Remedy] = &[
        ("served", |_, facts| facts.held = 2 * HOUR),
        ("1000 requests", |_, facts| facts.requests = 1000),
        ("nothing speaks against", |_, facts| {
            facts.evidence = Evidence::Missing("300 more requests".to_owned());
        }),
        ("nothing judges", |_, facts| facts.evidence = Evidence::Unguarded),
        ("proven", |_, facts| facts.evidence = Evidence::Proven),
        ("approved", approve),
        ("in a drill", |world, _| insist(world, &Event::DrillBegun)),
        ("the drill fails", |world, _| insist(world, &Event::DrillEnded { passed: false })),
        ("resumed", |world, _| insist(world, &Event::Resumed)),
        ("and drilled", |world, _| {
            insist(world, &Event::DrillBegun);
            insist(world, &Event::DrillEnded { passed: true });
        }),
        ("`users` has arrived", |_, facts| facts.after = None),
        ("`orders` is idle", |_, facts| facts.busy = None),
        ("the freeze is over", |_, facts| facts.now = at("2027-01-02T00:00:00Z")),
        ("past the deadline", |_, facts| facts.now = at(LATE)),
        ("no deadline", |world, _| world.policy.abort.deadline = None),
        ("called", |_, facts| facts.announced = Hook::Called),
        ("announced", |_, facts| facts.announced = Hook::Yes),
        ("called", |_, facts| facts.confirmed = Hook::Called),
        ("answers", |_, facts| facts.confirmed = Hook::No("status 503".to_owned())),
        ("answers", |_, facts| facts.confirmed = Hook::Yes),
    ];
    let first: &[Remedy] = &[
        ("resumed", |world, _| insist(world, &Event::Resumed)),
        ("advanced", |world, _| insist(world, &Event::Advanced(Wait::Phase(Phase::Shadow)))),
        ("paused", |world, _| insist(world, &Event::Paused)),
        ("the file asks for 5", |world, _| *world = world.clone().at(FROZEN).reads("5")),
        ("the freeze is over", |_, facts| facts.now = at("2027-01-02T00:00:00Z")),
    ];
    let last: &[Remedy] = &[
        ("served", |_, facts| facts.held = HOUR),
        ("nothing judges", |_, facts| facts.evidence = Evidence::Unguarded),
        ("arrived", |world, facts| {
            world.now = facts.now;
            insist(world, &Event::Arrived);
        }),
        ("a day later", |_, facts| facts.now = facts.now.checked_add(24 * HOUR).unwrap()),
        ("14 days later", |_, facts| facts.now = facts.now.checked_add(13 * 24 * HOUR).unwrap()),
        ("advanced", |world, _| insist(world, &Event::Advanced(Wait::Cleanup))),
    ];
    let shadow = World::first("0", ramped()).then(Event::PhaseSet(Phase::Shadow)).then(BACK);
    let compared: &[Remedy] = &[
        ("resumed", |world, _| insist(world, &Event::Resumed)),
        ("advanced", |world, _| insist(world, &Event::Advanced(Wait::Phase(Phase::Preparation)))),
        ("too many differ", |_, facts| facts.matching = Evidence::Against("4 of 900 differ".to_owned())),
        ("they match", |_, facts| facts.matching = Evidence::Proven),
        ("advanced", |world, _| insist(world, &Event::Advanced(Wait::Phase(Phase::Shadow)))),
    ];
    let table = format!(
        "# latched in shadow, before the first step\n{}\n# in step 2 of 1/5/25/100, everything speaks against going on\n{}\n\
         # in step 4\n{}\n# without a ramp\n{}\n# with a shadow\n{}\n# with a shadow and no ramp\n{}",
        precedence(&shadow, first),
        precedence(&in_step(2), within),
        precedence(&in_step(4), last),
        precedence(&World::first("5", by_people()), &[]),
        precedence(&preparing(ramped()), compared),
        precedence(&preparing(by_people()), compared),
    );
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("what_is_waited_for", table) });
}

#[test]
fn users_who_are_on_new_before_the_first_step_have_to_do_well_first() {
    let mut world = World::first("0", ramped()).then(Event::StepEntered(0)).then(Event::StepEntered(1));
    // The step that it was in is taken out of the file.
    world = world.on(steps(&["25", "100"]));
    assert_eq!((world.step(), world.in_force().as_str()), (0, "5"));
    let said = |world: &World, evidence: Evidence| {
        said(&decide(&world.intent, &world.policy, &Facts { evidence, ..all_good("2026-12-01T12:00:00Z") }))
    };
    let missing = || Evidence::Missing("300 more requests".to_owned());
    assert_eq!(said(&world, missing()), "waits: 300 more requests");
    assert_eq!(said(&world, Evidence::Proven), "does StepEntered(0)");
    assert_eq!(
        said(&world, Evidence::Unguarded),
        "waits: some users are on new before the first step, but nothing judges new; waits for `crossfade advance`"
    );
    world = world.then(Event::Advanced(Wait::Approval { step: 0, unguarded: true }));
    assert_eq!(said(&world, Evidence::Unguarded), "does StepEntered(0)");
    let nobody = World::first("0", ramped());
    assert_eq!(said(&nobody, missing()), "does StepEntered(0)", "nothing is to be shown of nobody");
}

#[test]
fn where_nothing_judges_new_a_person_does() {
    let mut policy = ramped();
    policy.steps = steps(&["5", "50"]);
    let world = World::first("0", policy).then(Event::StepEntered(0));
    let facts = Facts { evidence: Evidence::Unguarded, ..all_good("2026-12-01T12:00:00Z") };
    let next = decide(&world.intent, &world.policy, &facts);
    let wait = Wait::Approval { step: 1, unguarded: true };
    assert_eq!(next, Next::Wait(wait.clone()));
    let world = world.then(Event::Advanced(wait));
    assert_eq!(decide(&world.intent, &world.policy, &facts), Next::Do(Event::StepEntered(1)));
}

#[test]
fn a_schedule_that_ends_below_100_is_done_there() {
    let mut policy = ramped();
    policy.steps = steps(&["5", "50"]);
    let world = World::first("50", policy);
    assert_eq!(world.wait(), Wait::Done);
    assert_eq!(world.wait().to_string(), "the last step is shown to be good; nothing more is due");
}

#[test]
fn a_percent_between_two_steps_is_in_the_lower_one() {
    let world = World::first("0", ramped()).then(set("7")).then(Event::Resumed);
    assert_eq!((world.step(), world.in_force().as_str()), (2, "7"));
    assert_eq!(World::first("0.5", ramped()).step(), 0);
}

#[test]
fn only_a_step_that_is_not_shown_to_be_good_keeps_others_waiting() {
    let facts = |held| Facts { held, ..all_good("2026-12-01T12:00:00Z") };
    let world = in_step(2);
    let busy = |held| is_within_a_step(&decide(&world.intent, &world.policy, &facts(held)));
    assert!(busy(HOUR), "it is served");
    assert!(!busy(2 * HOUR), "it waits for approval");
    assert!(!is_within_a_step(&world.clone().then(Event::Paused).next()));
    let mut alone = in_step(1);
    alone.policy.exclusive = false;
    let others = Facts { busy: Some("orders".to_owned()), ..facts(HOUR) };
    assert_eq!(decide(&alone.intent, &alone.policy, &others), Next::Do(Event::StepEntered(1)));
}

#[test]
fn times_are_said_in_few_words() {
    let table = [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (630, "10 min"),
        (3600, "1 h"),
        (3660, "1 h 1 min"),
        (86_400, "1 d"),
        (90_000, "1 d 1 h"),
        (93_000, "1 d 1 h"),
    ];
    for (seconds, expected) in table {
        assert_eq!(time(Duration::from_secs(seconds)), expected, "{seconds}");
    }
    assert_eq!(time(Duration::from_millis(1)), "1 s", "never nothing while something is left");
}

#[test]
fn the_presets_are_the_schedules_that_they_are_named_for() {
    let shown = |preset: Preset| {
        let step = |step: &Step| {
            let days = step.hold.as_secs() / 86_400;
            let marks = [(step.approve, " approve"), (step.drill, " drill")];
            let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
            format!("{} % for {days} d{marks}", step.percent)
        };
        preset.steps().iter().map(step).collect::<Vec<_>>()
    };
    assert_eq!(
        shown(Preset::Standard),
        [
            "1 % for 1 d approve drill",
            "5 % for 2 d approve",
            "10 % for 4 d approve",
            "25 % for 7 d approve",
            "50 % for 7 d approve",
            "90 % for 7 d approve",
            "100 % for 0 d approve",
        ]
    );
    assert_eq!(
        shown(Preset::Expansion),
        ["5 % for 1 d", "25 % for 1 d", "50 % for 1 d", "75 % for 1 d", "100 % for 0 d",]
    );
    for preset in Preset::ALL {
        let steps = preset.steps();
        assert!(
            steps
                .iter()
                .all(|step| step.min_requests == 0 && step.announce.is_none() && step.confirm.is_none())
        );
        assert!(steps.is_sorted_by(|a, b| a.percent < b.percent), "{}", preset.as_str());
        assert_eq!(steps.last().map(|step| step.percent), Some(Percent::FULL), "{}", preset.as_str());
    }
}

#[test]
fn a_rollback_leads_below_what_is_in_force() {
    let mut policy = ramped();
    policy.rollback.to = Target::PreviousStep;
    let world = (0..3).fold(World::first("0", policy), |world, next| world.then(Event::StepEntered(next)));
    let target = |world: &World| world.policy.target(&world.intent).to_string();
    assert_eq!(target(&world), "5", "the step before that of 25");
    for (by_hand, expected) in [("5", "1"), ("3", "1"), ("1", "0"), ("0", "0")] {
        assert_eq!(target(&world.clone().then(set(by_hand))), expected, "{by_hand} is set by hand");
    }
    assert_eq!(world.policy.target_of(Target::Old, &world.intent), Percent::ZERO);
    let capped = world.then(set("3")).then(back_to("80", false));
    assert_eq!(capped.intent.latch.map(|latch| latch.cap), Some(percent("3")), "nothing more is let through");
}

#[test]
fn a_policy_counts_the_steps_within_a_percentage() {
    let policy = Policy { steps: steps(&["1", "5", "25"]), ..Policy::default() };
    for (share, expected) in [("0", 0), ("0.999999", 0), ("1", 1), ("24", 2), ("25", 3), ("100", 3)] {
        assert_eq!(policy.steps_within(percent(share)), expected, "{share}");
    }
    assert_eq!(Policy::default().grace, Grace(14 * 24 * HOUR));
}
