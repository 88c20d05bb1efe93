use crate::tests::{
    BACK, FROZEN, LATE, World, all_good, back_to, by_people, percent, ramped, set, steps, written,
};
use std::time::Duration;

use crate::{Facts, Next, decide};

use super::*;

mod properties;
mod table;

// What a file says, and what people say.

#[test]
fn reading_an_unchanged_file_keeps_what_a_person_set() {
    let mut world = World::first("5", by_people()).then(set("25"));
    let before = world.intent.clone();
    assert_eq!(world.happens(&Event::FileRead(before.written.clone())), []);
    assert_eq!(world.intent, before);
    assert_eq!(world.intent.percent_from, Origin::Person);
}

#[test]
fn a_changed_file_overrides_what_a_person_set() {
    let world = World::first("5", by_people()).then(set("25")).reads("10");
    assert_eq!((world.in_force().as_str(), world.intent.percent_from), ("10", Origin::File));
}

#[test]
fn the_file_is_compared_with_itself_not_with_what_is_asked() {
    // Somebody set 10 by hand, then wrote 10 into the file: nothing moves, and the file is the author from then on.
    let world = World::first("5", by_people()).then(set("10")).reads("10");
    assert_eq!((world.in_force().as_str(), world.intent.percent_from), ("10", Origin::File));
    // The file goes back to 5: that is a change, although 5 was its first word.
    assert_eq!(world.reads("5").in_force(), "5");
}

#[test]
fn a_changed_phase_leaves_the_percent_that_a_person_set() {
    let policy = by_people();
    let in_phase = |phase| written("5", Some(phase), 1, &policy);
    let world = World::reading(in_phase(Phase::Canary), policy.clone());
    let world = world.then(set("25")).then(Event::FileRead(in_phase(Phase::Shadow)));
    assert_eq!((world.intent.percent, world.phase()), (percent("25"), Phase::Shadow));
    assert_eq!(world.in_force(), "0");
    assert_eq!(world.then(Event::PhaseSet(Phase::Canary)).in_force(), "25");
}

#[test]
fn a_phase_that_nobody_asked_for_follows_the_percent() {
    let world = World::first("0", by_people());
    assert_eq!(world.phase(), Phase::Preparation);
    let world = world.then(set("1"));
    assert_eq!((world.phase(), world.in_force().as_str()), (Phase::Canary, "1"));
    assert!(world.intent.phase_is_implied());
    let world = world.then(Event::PhaseSet(Phase::Full)).then(set("0"));
    assert_eq!((world.phase(), world.intent.phase_from), (Phase::Full, Origin::Person));
}

#[test]
fn what_was_at_some_time_comes_back_as_a_person_s_word() {
    let world = World::first("5", by_people()).then(Event::PhaseSet(Phase::Shadow)).then(set("50"));
    let world = world.then(Event::Undone { percent: percent("5"), phase: None });
    assert_eq!((world.in_force().as_str(), world.phase()), ("5", Phase::Canary));
    assert_eq!(world.intent.percent_from, Origin::Person);
}

// The latch.

#[test]
fn a_file_s_percent_is_recorded_while_latched_and_holds_after_a_resume() {
    let mut world = World::first("5", by_people()).then(BACK);
    let written = written("50", None, 1, &world.policy);
    let told = world.happens(&Event::FileRead(written));
    assert_eq!((world.intent.percent, world.in_force().as_str()), (percent("50"), "0"));
    let held_back = Effect::HeldBack { wanted: percent("50"), cap: Percent::ZERO, by_calendar: false };
    assert!(told.contains(&held_back), "{told:?}");
    assert_eq!(world.then(Event::Resumed).in_force(), "50");
}

#[test]
fn an_attempt_counts_once() {
    let world = World::first("5", by_people()).begins_attempt(2).then(BACK).begins_attempt(1);
    assert!(world.clone().begins_attempt(2).intent.latch.is_some(), "2 was there before");
    assert!(world.begins_attempt(3).intent.latch.is_none());
}

#[test]
fn what_is_refused_says_what_to_do() {
    let world = World::first("5", by_people()).then(BACK);
    assert_eq!(
        world.refuses(&set("25")),
        "latched at 0 % since a rollback, so 25 % is refused; resume first"
    );
    assert_eq!(
        world.then(Event::Resumed).refuses(&Event::Resumed),
        "neither latched nor paused, so there is nothing to resume"
    );
    assert!(Cause::ALL.into_iter().all(|cause| Cause::named(cause.as_str()) == Some(cause)));
}

#[test]
fn a_percent_is_refused_while_latched_whatever_the_rollback_made_of_the_phase() {
    let mut policy = by_people();
    policy.rollback.then = Some(Phase::Shadow);
    let mut world = World::first("5", policy).then(BACK);
    assert_eq!(world.phase(), Phase::Shadow);
    assert_eq!(
        world.refuses(&set("25")),
        "latched at 0 % since a rollback, so 25 % is refused; resume first"
    );
    let told = world.happens(&Event::FileRead(written("50", None, 1, &world.policy)));
    assert!(told.iter().any(|effect| matches!(effect, Effect::HeldBack { .. })), "{told:?}");
    let world = world.then(Event::Resumed);
    assert_eq!((world.phase(), world.in_force().as_str()), (Phase::Canary, "50"));
}

#[test]
fn to_lift_a_latch_is_a_step_forward_though_nobody_moves() {
    let latched = in_step(3).then(BACK);
    let resumed = latched.clone().then(Event::Resumed);
    assert_eq!(resumed.in_force(), "0");
    assert!(resumed.intent.is_forward_from(&latched.intent), "it is written down before it is done");
}

/// Percent in force after each part, up to the last.
fn returns(mut world: World) -> (World, Vec<String>) {
    let mut shares = vec![world.in_force()];
    while world.intent.latch.is_some_and(|latch| latch.is_returning()) {
        world = world.then(Event::Returned);
        shares.push(world.in_force());
    }
    (world, shares)
}

#[test]
fn users_return_in_ten_parts() {
    let (world, shares) = returns(World::first("50", by_people()).then(back_to("5", true)));
    assert_eq!(shares, ["45.5", "41", "36.5", "32", "27.5", "23", "18.5", "14", "9.5", "5"]);
    assert_eq!(world.refuses(&Event::Returned), "not any more where this was decided");
}

#[test]
fn the_phase_of_a_rollback_waits_for_the_last_part() {
    let mut policy = by_people();
    policy.rollback.then = Some(Phase::Shadow);
    let world = World::first("50", policy).then(back_to("0", true));
    assert_eq!((world.phase(), world.in_force().as_str()), (Phase::Canary, "45"));
    let (world, shares) = returns(world);
    assert_eq!(shares.len(), 10);
    assert_eq!((world.phase(), world.in_force().as_str()), (Phase::Shadow, "0"));
}

#[test]
fn a_second_rollback_hurries_the_first_and_never_loosens_it() {
    let returning = World::first("100", by_people()).then(back_to("0", true)).then(Event::Returned);
    assert_eq!(returning.in_force(), "80");
    assert_eq!(returning.clone().then(back_to("0", true)).in_force(), "80", "it goes on as it was");
    assert_eq!(returning.clone().then(BACK).in_force(), "0");
    let to_25 = returning.then(back_to("25", false));
    assert_eq!(to_25.in_force(), "25");
    assert_eq!(returns(to_25).0.in_force(), "0", "the first still leads to 0");
    let at_5 = World::first("25", by_people()).then(back_to("5", false));
    assert_eq!(at_5.clone().then(back_to("10", false)).in_force(), "5");
    assert_eq!(at_5.then(BACK).in_force(), "0");
}

#[test]
fn rollbacks_count_to_an_abort_that_force_or_a_higher_attempt_overcomes() {
    let mut world = World::first("5", by_people());
    for _ in 0..2 {
        world = world.then(BACK).then(Event::Resumed);
    }
    let world = world.then(BACK).then(BACK);
    assert_eq!(world.intent.rollbacks, 3, "one that meets a latch is no other");
    let sentence = "aborted: rolled back 3 times, and `abort.rollbacks` is 3; `--force` with a reason goes \
                    forward all the same, a higher `attempt` begins anew";
    assert_eq!(world.refuses(&Event::Resumed), sentence);
    let resumed = world.clone().insisting(&Event::Resumed);
    assert_eq!(resumed.in_force(), "5");
    assert_eq!(resumed.refuses(&set("6")), sentence);
    assert_eq!(resumed.then(set("4")).in_force(), "4", "less is always possible");
    let anew = world.begins_attempt(2);
    assert_eq!((anew.in_force().as_str(), anew.intent.rollbacks), ("5", 0));
}

#[test]
fn past_the_deadline_nothing_rises_but_by_force() {
    let world = World::first("5", by_people()).at(LATE);
    assert!(world.refuses(&set("6")).starts_with("aborted: its `abort.deadline` 2027-06-01T00:00:00Z"));
    assert_eq!(world.clone().insisting(&set("6")).in_force(), "6");
    assert_eq!(world.then(BACK).in_force(), "0");
}

// The calendar.

#[test]
fn a_file_s_increase_waits_for_the_calendar_and_a_person_insists() {
    let world = World::first("5", by_people()).at(FROZEN).reads("25");
    assert_eq!((world.intent.percent, world.in_force().as_str()), (percent("25"), "5"));
    assert!(world.refuses(&set("50")).starts_with("not to be raised during a freeze (holidays)"));
    assert_eq!(world.clone().then(set("10")).in_force(), "5", "less than what waits may wait instead");
    assert_eq!(world.clone().then(set("3")).in_force(), "3");
    assert_eq!(world.clone().insisting(&set("50")).in_force(), "50");
    let wait = world.wait();
    assert_eq!(wait.to_string(), "not to be raised during a freeze (holidays) until 2027-01-02 00:00 UTC");
    assert_eq!(world.clone().insisting(&Event::Advanced(wait)).in_force(), "25");
    let open = world.at("2027-01-02T00:00:00Z");
    assert_eq!(open.next(), Next::Do(Event::Opened));
    assert_eq!(open.then(Event::Opened).in_force(), "25");
}

#[test]
fn neither_a_drill_nor_a_latch_lets_an_increase_slip_into_a_freeze() {
    let drilling = World::first("5", by_people()).then(Event::DrillBegun).at(FROZEN);
    assert!(drilling.refuses(&set("25")).starts_with("not to be raised during a freeze"));
    let read = drilling.reads("25").then(Event::DrillEnded { passed: true });
    assert_eq!(read.in_force(), "5", "the file's increase waits as it would have without the drill");
    let latched = World::first("5", by_people()).then(BACK).at(FROZEN).reads("25");
    assert!(latched.refuses(&Event::Resumed).starts_with("not to be raised during a freeze"));
    assert_eq!(latched.clone().insisting(&Event::Resumed).in_force(), "25");
    assert_eq!(latched.begins_attempt(2).in_force(), "0");
}

#[test]
fn resuming_by_force_brings_into_force_what_a_freeze_held_back() {
    let world = World::first("5", by_people()).at(FROZEN).reads("25").then(BACK);
    assert_eq!(world.insisting(&Event::Resumed).in_force(), "25");
}

#[test]
fn an_attempt_that_begins_in_a_freeze_is_told_to_wait() {
    let mut world = World::first("5", by_people()).then(BACK).at(FROZEN);
    let told = world.happens(&Event::FileRead(written("5", None, 2, &world.policy)));
    let held_back = Effect::HeldBack { wanted: percent("5"), cap: Percent::ZERO, by_calendar: true };
    assert!(told.contains(&held_back), "{told:?}");
}

// The ramp.

/// The ramp of [`ramped`] in this step, counted from 1.
fn in_step(step: usize) -> World {
    (0..step).fold(World::first("0", ramped()), |world, next| world.then(Event::StepEntered(next)))
}

#[test]
fn a_word_of_a_person_or_a_changed_file_pauses_the_ramp() {
    for world in
        [in_step(2).then(set("7")), in_step(2).then(Event::PhaseSet(Phase::Shadow)), in_step(2).reads("3")]
    {
        assert_eq!(world.wait(), Wait::Paused(Pause::Intent));
    }
    let world = in_step(2);
    let canary = written("0", Some(Phase::Canary), 1, &world.policy);
    let said = world.then(Event::FileRead(canary)).intent.progress.unwrap().paused;
    assert_eq!(said, None, "what was so before says nothing");
    let lower = in_step(3).then(set("7")).then(Event::Resumed);
    assert_eq!((lower.step(), lower.in_force().as_str()), (2, "7"), "it goes on in the step below");
    assert_eq!(
        in_step(2).then(set("5")).intent.progress.unwrap().paused,
        None,
        "what changes nothing says nothing"
    );
}

#[test]
fn a_ramp_begins_again_where_a_rollback_has_led_to() {
    let world = in_step(3).then(BACK).then(Event::Resumed);
    assert_eq!((world.step(), world.in_force().as_str()), (0, "0"));
    assert_eq!(world.next(), Next::Do(Event::StepEntered(0)));
    let world = in_step(3).then(back_to("5", false)).then(Event::Resumed);
    assert_eq!((world.step(), world.in_force().as_str()), (2, "5"));
    let world = in_step(1).then(back_to("5", false)).then(Event::Resumed);
    assert_eq!((world.step(), world.in_force().as_str()), (1, "1"), "the latch was above what was asked for");
    let world = in_step(3).then(Event::PhaseSet(Phase::Full)).then(back_to("25", false));
    let world = world.then(Event::Resumed);
    assert_eq!((world.phase(), world.in_force().as_str(), world.step()), (Phase::Canary, "25", 3));
}

#[test]
fn who_resumes_during_a_return_in_parts_moves_nobody() {
    let returning = in_step(4).then(back_to("0", true)).then(Event::Returned);
    assert_eq!(returning.in_force(), "80");
    let resumed = returning.then(Event::Resumed);
    assert_eq!((resumed.in_force().as_str(), resumed.step()), ("80", 3));
}

#[test]
fn another_schedule_keeps_the_percent_and_the_pause() {
    let other = steps(&["2", "4", "50", "100"]);
    let world = in_step(2).then(Event::Paused).on(other);
    assert_eq!((world.in_force().as_str(), world.step()), ("5", 2));
    assert_eq!(world.wait(), Wait::Paused(Pause::Asked));
    let gone = world.on(Vec::new());
    assert_eq!((gone.in_force().as_str(), gone.intent.progress.clone()), ("5", None));
    assert_eq!(gone.refuses(&Event::Paused), "without a ramp, so there is nothing to pause or advance");
}

#[test]
fn a_failed_drill_pauses_the_ramp_and_is_tried_again() {
    let drilling = in_step(2).then(Event::DrillBegun);
    assert_eq!(drilling.in_force(), "0");
    let failed = drilling.then(Event::DrillEnded { passed: false });
    assert_eq!((failed.in_force().as_str(), failed.wait()), ("5", Wait::Paused(Pause::Drill)));
    let resumed =
        failed.then(Event::Resumed).then(Event::Advanced(Wait::Approval { step: 2, unguarded: false }));
    assert_eq!(resumed.next(), Next::Do(Event::DrillBegun));
    let passed = resumed.then(Event::DrillBegun).then(Event::DrillEnded { passed: true });
    assert_eq!(passed.next(), Next::Do(Event::StepEntered(2)));
}

#[test]
fn an_interrupted_drill_counts_neither_way_and_is_tried_again() {
    let approved = in_step(2).then(Event::Advanced(Wait::Approval { step: 2, unguarded: false }));
    let mut drilling = approved.then(Event::DrillBegun);
    let effects = drilling.happens(&Event::DrillInterrupted);
    assert!(effects.contains(&Effect::DrillInterrupted), "{effects:?}");
    assert_eq!((drilling.in_force().as_str(), drilling.step()), ("5", 2));
    assert_eq!(drilling.next(), Next::Do(Event::DrillBegun));
    assert_eq!(
        drilling.refuses(&Event::DrillInterrupted),
        "in a rollback drill already, or not in one any more"
    );
    // Whoever asked for less meanwhile gets that, and who paused the ramp finds it paused.
    let lowered = in_step(2).then(Event::DrillBegun).then(set("2")).then(Event::DrillInterrupted);
    assert_eq!((lowered.in_force().as_str(), lowered.wait()), ("2", Wait::Paused(Pause::Intent)));
    // One that went well before stays so.
    let passed = in_step(2).then(Event::DrillBegun).then(Event::DrillEnded { passed: true });
    let again = passed.then(Event::DrillBegun).then(Event::DrillInterrupted);
    assert!(again.intent.progress.is_some_and(|progress| progress.drilled));
}

#[test]
fn a_rollback_of_nobody_is_no_sign_that_the_migration_fails() {
    let rollbacks = |world: &World| world.intent.rollbacks;
    let nobody = World::first("0", ramped()).then(BACK);
    assert!(nobody.intent.latch.is_some(), "it latches all the same");
    assert_eq!(rollbacks(&nobody), 0);
    let often = (0..5).fold(nobody, |world, _| world.then(Event::Resumed).then(BACK));
    assert_eq!(rollbacks(&often), 0);
    let shadow = in_step(2).then(Event::PhaseSet(Phase::Shadow)).then(BACK);
    assert_eq!(rollbacks(&shadow), 0, "5 % are asked for, and nobody is on new");
    assert_eq!(rollbacks(&in_step(2).then(BACK)), 1);
    assert_eq!(
        rollbacks(&in_step(2).then(Event::DrillBegun).then(BACK)),
        1,
        "a drill has them away for a moment"
    );
    assert_eq!(rollbacks(&in_step(2).then(BACK).then(BACK)), 1);
}

#[test]
fn a_rollback_ends_a_drill() {
    let mut world = in_step(2).then(Event::DrillBegun).then(BACK);
    assert!(!world.intent.is_drilling);
    world = world.then(Event::Resumed);
    assert_eq!(
        world.refuses(&Event::DrillEnded { passed: true }),
        "in a rollback drill already, or not in one any more"
    );
}

#[test]
fn a_rollback_during_a_drill_brings_nobody_forward() {
    let world = in_step(3).then(Event::DrillBegun).then(back_to("5", false));
    assert_eq!(world.in_force(), "0");
}

#[test]
fn who_takes_back_the_phase_full_is_not_overruled_by_the_ramp() {
    let full = in_step(4).then(Event::Arrived);
    let back = full.then(Event::PhaseSet(Phase::Canary));
    assert_eq!((back.in_force().as_str(), back.wait()), ("100", Wait::Paused(Pause::Intent)));
    let mut resumed = back.then(Event::Resumed);
    assert_eq!(resumed.next(), Next::Do(Event::Arrived));
    assert!(resumed.happens(&Event::Arrived).contains(&Effect::Arrived));
}

#[test]
fn a_latched_migration_has_nothing_to_drill() {
    let world = in_step(3).then(back_to("5", false));
    assert_eq!(world.refuses(&Event::DrillBegun), "latched or at 0 %, so there is nothing to try in a drill");
}

#[test]
fn the_ramp_moves_in_canary_alone() {
    let world = World::first("0", ramped()).then(Event::PhaseSet(Phase::Shadow));
    assert_eq!(world.wait(), Wait::Phase(Phase::Shadow));
    assert_eq!(world.refuses(&Event::StepEntered(0)), "not any more where this was decided");
    let world = world.then(Event::Advanced(Wait::Phase(Phase::Shadow)));
    assert_eq!(world.next(), Next::Do(Event::StepEntered(0)));
}

#[test]
fn everybody_gets_new_by_a_schedule_that_ends_there() {
    let mut policy = ramped();
    policy.steps.truncate(2);
    let world = World::first("5", policy);
    assert_eq!(world.refuses(&Event::Arrived), "not any more where this was decided");
    let world = in_step(4).then(Event::Arrived);
    assert_eq!((world.phase(), world.in_force().as_str()), (Phase::Full, "100"));
    assert_eq!(world.wait().to_string(), "everybody gets new; old is kept for 14 d more");
    assert_eq!(world.refuses(&Event::Arrived), "not any more where this was decided");
}

#[test]
fn who_insists_leaves_a_step_before_its_time() {
    let hold = Wait::Hold { left: Duration::from_secs(60) };
    let told = in_step(1).refuses(&Event::Advanced(hold.clone()));
    assert_eq!(told, "not ready to advance: the step is to be served for 1 min more");
    let next = in_step(1).insisting(&Event::Advanced(hold.clone()));
    assert_eq!((next.step(), next.in_force().as_str(), next.intent.percent_from), (2, "5", Origin::Person));
    let last = in_step(4).insisting(&Event::Advanced(hold));
    assert_eq!((last.phase(), last.in_force().as_str()), (Phase::Full, "100"));
}

#[test]
fn a_ramp_serves_no_hold_while_the_calendar_holds_its_percentage_back() {
    // 0 -> 5 in a freeze, and somebody lets the ramp go on: the step of 5 % would be served, and drilled, at 0 %.
    let world = World::first("0", ramped()).at(FROZEN).reads("5").then(Event::Resumed);
    assert_eq!((world.in_force().as_str(), world.step()), ("0", 2));
    assert!(matches!(world.wait(), Wait::Closed(_)), "{:?}", world.wait());
}

#[test]
fn a_hold_is_noted_and_never_shrinks() {
    let minutes = |n: u64| Duration::from_secs(n * 60);
    let world = in_step(1).then(Event::Held(minutes(10))).then(Event::Held(minutes(5)));
    let facts =
        Facts { held: world.intent.progress.clone().unwrap().held, ..all_good("2026-12-01T12:00:00Z") };
    let left = Next::Wait(Wait::Hold { left: minutes(50) });
    assert_eq!(decide(&world.intent, &world.policy, &facts), left);
}
