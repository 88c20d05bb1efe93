use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::Metric;

fn percent(text: &str) -> Percent {
    text.parse().unwrap()
}

fn written(share: &str, phase: Option<Phase>, attempt: u64) -> Written {
    Written { percent: percent(share), phase, attempt }
}

fn after(first: Written, events: &[Event]) -> Intent {
    events.iter().fold(Intent::first(first), |intent, event| step(&intent, event))
}

/// The state after an event; after one that is refused, the same.
fn step(intent: &Intent, event: &Event) -> Intent {
    apply(intent, event).map_or(*intent, |(after, _)| after)
}

fn effects_of(intent: &Intent, event: &Event) -> Vec<Effect> {
    apply(intent, event).map_or(Vec::new(), |(_, effects)| effects)
}

const BY_HAND: Cause = Cause::Person;
const BACK: Event = Event::RolledBack { cause: BY_HAND, to: Percent::ZERO };

fn back_to(to: &str) -> Event {
    Event::RolledBack { cause: BY_HAND, to: percent(to) }
}

/// The whole table of a small world, so that a changed cell is seen in review.
#[test]
fn the_table() {
    let states = [
        ("file 5", after(written("5", None, 1), &[])),
        ("file 0", after(written("0", None, 1), &[])),
        ("file 5, set 25", after(written("5", None, 1), &[Event::PercentSet(percent("25"))])),
        ("file 5 in shadow", after(written("5", Some(Phase::Shadow), 1), &[])),
        ("file 5, phase full", after(written("5", None, 1), &[Event::PhaseSet(Phase::Full)])),
        ("file 5, latched", after(written("5", None, 1), &[BACK])),
        (
            "set 25, latched at 5",
            after(written("5", None, 1), &[Event::PercentSet(percent("25")), back_to("5")]),
        ),
        ("full, latched", after(written("5", None, 1), &[Event::PhaseSet(Phase::Full), BACK])),
    ];
    let events = [
        ("read 5", Event::FileRead(written("5", None, 1))),
        ("read 10", Event::FileRead(written("10", None, 1))),
        ("read 0", Event::FileRead(written("0", None, 1))),
        ("read 5 in canary", Event::FileRead(written("5", Some(Phase::Canary), 1))),
        ("read 5, attempt 2", Event::FileRead(written("5", None, 2))),
        ("set 50", Event::PercentSet(percent("50"))),
        ("set 0", Event::PercentSet(percent("0"))),
        ("phase shadow", Event::PhaseSet(Phase::Shadow)),
        ("phase full", Event::PhaseSet(Phase::Full)),
        ("phase canary", Event::PhaseSet(Phase::Canary)),
        ("rolled back", BACK),
        ("guard, back to 5", Event::RolledBack { cause: Cause::Guard(Metric::ErrorRate), to: percent("5") }),
        ("resumed", Event::Resumed),
    ];
    let mut table = String::new();
    for (state, intent) in &states {
        for (name, event) in &events {
            let after = apply(intent, event);
            let standing = step(intent, event).standing();
            let (asked, phase, in_force) = (standing.asked, standing.phase, standing.in_force());
            let latch = if standing.cap < Percent::FULL {
                format!(" latched {}", standing.cap)
            } else {
                String::new()
            };
            let told = match after {
                Ok((_, effects)) => format!("{effects:?}"),
                Err(refusal) => format!("refused: {refusal}"),
            };
            writeln!(
                table,
                "{state:<20} | {name:<18} -> asked {asked:>3} {phase:<12} in force {in_force:>3}{latch} | {told}"
            )
            .unwrap();
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

#[test]
fn reading_an_unchanged_file_keeps_what_a_person_set() {
    let file = written("5", None, 1);
    let intent = after(file, &[Event::PercentSet(percent("25"))]);
    let (next, effects) = apply(&intent, &Event::FileRead(file)).unwrap();
    assert_eq!((next, effects.as_slice()), (intent, [].as_slice()));
    assert_eq!(next.percent_from(), Origin::Person);
}

#[test]
fn a_changed_file_overrides_what_a_person_set() {
    let intent = after(
        written("5", None, 1),
        &[Event::PercentSet(percent("25")), Event::FileRead(written("10", None, 1))],
    );
    assert_eq!(intent.standing().asked, percent("10"));
    assert_eq!(intent.percent_from(), Origin::File);
}

#[test]
fn the_file_is_compared_with_itself_not_with_what_is_asked() {
    // Somebody set 10 by hand, then wrote 10 into the file: nothing moves, and the file is the author from then on.
    let intent = after(
        written("5", None, 1),
        &[Event::PercentSet(percent("10")), Event::FileRead(written("10", None, 1))],
    );
    assert_eq!((intent.standing().asked, intent.percent_from()), (percent("10"), Origin::File));
    // The file goes back to 5: that is a change, although 5 was its first word.
    let intent = step(&intent, &Event::FileRead(written("5", None, 1)));
    assert_eq!(intent.standing().asked, percent("5"));
}

#[test]
fn a_changed_phase_leaves_the_percent_that_a_person_set() {
    let intent = after(
        written("5", Some(Phase::Canary), 1),
        &[Event::PercentSet(percent("25")), Event::FileRead(written("5", Some(Phase::Shadow), 1))],
    );
    let standing = intent.standing();
    assert_eq!(
        (standing.asked, standing.phase, standing.in_force()),
        (percent("25"), Phase::Shadow, Percent::ZERO)
    );
    let intent = step(&intent, &Event::PhaseSet(Phase::Canary));
    assert_eq!(intent.standing().in_force(), percent("25"));
}

#[test]
fn a_phase_that_nobody_asked_for_follows_the_percent() {
    let intent = after(written("0", None, 1), &[]);
    assert_eq!(intent.standing().phase, Phase::Preparation);
    let intent = step(&intent, &Event::PercentSet(percent("1")));
    assert_eq!((intent.standing().phase, intent.standing().in_force()), (Phase::Canary, percent("1")));
    assert!(intent.phase_is_implied());
    let intent = step(&intent, &Event::PhaseSet(Phase::Full));
    let intent = step(&intent, &Event::PercentSet(percent("0")));
    assert_eq!((intent.standing().phase, intent.phase_from()), (Phase::Full, Origin::Person));
}

fn any_percent() -> impl Strategy<Value = Percent> {
    prop_oneof![
        Just(Percent::ZERO),
        Just(Percent::FULL),
        (0..=100_000_000_u32).prop_map(|millionths| Percent::from_millionths(millionths).unwrap())
    ]
}

fn any_phase() -> impl Strategy<Value = Phase> {
    proptest::sample::select(Phase::ALL.to_vec())
}

fn any_written() -> impl Strategy<Value = Written> {
    (any_percent(), proptest::option::of(any_phase()), 1..4_u64)
        .prop_map(|(percent, phase, attempt)| Written { percent, phase, attempt })
}

fn any_intent() -> impl Strategy<Value = Event> {
    prop_oneof![
        any_written().prop_map(Event::FileRead),
        any_percent().prop_map(Event::PercentSet),
        any_phase().prop_map(Event::PhaseSet),
    ]
}

fn any_rollback() -> impl Strategy<Value = Event> {
    let cause = proptest::sample::select(Cause::ALL.to_vec());
    (cause, any_percent()).prop_map(|(cause, to)| Event::RolledBack { cause, to })
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![3 => any_intent(), 1 => any_rollback(), 1 => Just(Event::Resumed)]
}

proptest! {
    #[test]
    fn reading_the_same_file_again_is_never_an_intent(
        first in any_written(),
        events in proptest::collection::vec(any_event(), 0..12),
    ) {
        let intent = after(first, &events);
        let (next, effects) = apply(&intent, &Event::FileRead(intent.written())).unwrap();
        prop_assert_eq!(next, intent);
        prop_assert!(effects.is_empty());
    }

    #[test]
    fn without_a_latch_the_last_intent_wins(
        first in any_written(),
        events in proptest::collection::vec(any_intent(), 0..12),
    ) {
        // The naive reading of the rule: replay all events and remember the last word on each value.
        let (mut last, mut share, mut phase) = (first, first.percent, first.phase);
        for event in &events {
            match event {
                Event::PercentSet(set) => share = *set,
                Event::PhaseSet(set) => phase = Some(*set),
                Event::FileRead(now) => {
                    if now.percent != last.percent { share = now.percent; }
                    if now.phase != last.phase { phase = now.phase; }
                    last = *now;
                }
                Event::RolledBack { .. } | Event::Resumed => {}
            }
        }
        let implied = if share == Percent::ZERO { Phase::Preparation } else { Phase::Canary };
        let standing = after(first, &events).standing();
        prop_assert_eq!(standing, Standing {
            asked: share,
            phase: phase.unwrap_or(implied),
            cap: Percent::FULL,
        });
    }

    #[test]
    fn what_is_in_force_changes_exactly_when_an_effect_says_so(
        first in any_written(),
        events in proptest::collection::vec(any_event(), 1..12),
    ) {
        let mut intent = Intent::first(first);
        for event in &events {
            let (next, effects) = (step(&intent, event), effects_of(&intent, event));
            let told = effects.iter().find_map(|effect| match effect {
                Effect::InForce { from, to } => Some((*from, *to)),
                _ => None,
            });
            let (from, to) = (intent.standing().in_force(), next.standing().in_force());
            prop_assert_eq!(told, (from != to).then_some((from, to)));
            intent = next;
        }
    }

    #[test]
    fn a_rollback_leads_to_its_cap_in_one_event(
        first in any_written(),
        events in proptest::collection::vec(any_event(), 0..12),
        cause in proptest::sample::select(Cause::ALL.to_vec()),
        to in any_percent(),
    ) {
        let before = after(first, &events);
        let (next, _) = apply(&before, &Event::RolledBack { cause, to }).unwrap();
        prop_assert!(next.latch().is_some_and(|latch| latch.cap <= to));
        prop_assert!(next.standing().in_force() <= to.min(before.standing().in_force()));
        prop_assert_eq!(next.standing().asked, before.standing().asked, "what is asked for stays");
        prop_assert!(!next.is_forward_from(&before));
    }

    #[test]
    fn only_a_resume_or_a_higher_attempt_clears_a_latch_or_loosens_it(
        first in any_written(),
        events in proptest::collection::vec(any_event(), 1..16),
    ) {
        let (mut intent, mut highest) = (Intent::first(first), first.attempt);
        for event in &events {
            let next = step(&intent, event);
            let begins = matches!(event, Event::FileRead(now) if now.attempt > highest);
            if let Event::FileRead(now) = event {
                highest = highest.max(now.attempt);
            }
            if let Some(latch) = intent.latch() && !begins && *event != Event::Resumed {
                prop_assert!(next.latch().is_some_and(|now| now.cap <= latch.cap), "{:?}", event);
                prop_assert!(next.standing().in_force() <= latch.cap);
            }
            intent = next;
        }
    }

    #[test]
    fn the_percent_never_rises_without_an_intent(
        first in any_written(),
        events in proptest::collection::vec(any_event(), 1..16),
    ) {
        let mut intent = Intent::first(first);
        for event in &events {
            let next = step(&intent, event);
            if next.standing().in_force() > intent.standing().in_force() {
                let is_intent = match event {
                    Event::PercentSet(_) | Event::PhaseSet(_) => intent.latch().is_none_or(|latch| {
                        next.standing().in_force() <= latch.cap
                    }),
                    Event::FileRead(now) => *now != intent.written(),
                    Event::Resumed => true,
                    Event::RolledBack { .. } => false,
                };
                prop_assert!(is_intent, "{:?} from {:?} to {:?}", event, intent, next);
                prop_assert!(next.is_forward_from(&intent));
            }
            prop_assert!(next.standing().in_force() <= next.standing().cap);
            prop_assert_eq!(Intent::from_parts(next.parts()), next);
            intent = next;
        }
    }
}

#[test]
fn a_file_s_percent_is_recorded_while_latched_and_holds_after_a_resume() {
    let latched = after(written("5", None, 1), &[BACK]);
    let (recorded, effects) = apply(&latched, &Event::FileRead(written("50", None, 1))).unwrap();
    assert_eq!((recorded.standing().asked, recorded.standing().in_force()), (percent("50"), Percent::ZERO));
    assert!(effects.contains(&Effect::HeldBack { wanted: percent("50"), cap: Percent::ZERO }));
    assert_eq!(step(&recorded, &Event::Resumed).standing().in_force(), percent("50"));
}

#[test]
fn an_attempt_counts_once() {
    let again = [Event::FileRead(written("5", None, 2)), BACK, Event::FileRead(written("5", None, 1))];
    let latched = after(written("5", None, 1), &again);
    assert!(step(&latched, &Event::FileRead(written("5", None, 2))).latch().is_some(), "2 was there before");
    assert!(step(&latched, &Event::FileRead(written("5", None, 3))).latch().is_none());
}

#[test]
fn what_is_refused_says_what_to_do() {
    let latched = after(written("5", None, 1), &[BACK]);
    let said = |intent: &Intent, event: &Event| apply(intent, event).unwrap_err().to_string();
    assert_eq!(
        said(&latched, &Event::PercentSet(percent("25"))),
        "latched at 0 % since a rollback, so 25 % is refused; resume first"
    );
    assert_eq!(
        said(&step(&latched, &Event::Resumed), &Event::Resumed),
        "not latched, so there is nothing to resume"
    );
    assert!(Cause::ALL.into_iter().all(|cause| Cause::named(cause.as_str()) == Some(cause)));
}
