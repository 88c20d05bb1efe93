use std::fmt::Write;

use proptest::prelude::*;

use super::*;

fn percent(text: &str) -> Percent {
    text.parse().unwrap()
}

fn written(share: &str, phase: Option<Phase>, attempt: u64) -> Written {
    Written { percent: percent(share), phase, attempt }
}

fn after(first: Written, events: &[Event]) -> Intent {
    events.iter().fold(Intent::first(first), |intent, event| apply(&intent, event).0)
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
    ];
    let mut table = String::new();
    for (state, intent) in &states {
        for (name, event) in &events {
            let (next, effects) = apply(intent, event);
            let standing = next.standing();
            writeln!(
                table,
                "{state:<20} | {name:<18} -> asked {:>3} {:<12} in force {:>3} | {effects:?}",
                standing.asked,
                standing.phase,
                standing.in_force()
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
    let (next, effects) = apply(&intent, &Event::FileRead(file));
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
    let intent = apply(&intent, &Event::FileRead(written("5", None, 1))).0;
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
    let intent = apply(&intent, &Event::PhaseSet(Phase::Canary)).0;
    assert_eq!(intent.standing().in_force(), percent("25"));
}

#[test]
fn a_phase_that_nobody_asked_for_follows_the_percent() {
    let intent = after(written("0", None, 1), &[]);
    assert_eq!(intent.standing().phase, Phase::Preparation);
    let intent = apply(&intent, &Event::PercentSet(percent("1"))).0;
    assert_eq!((intent.standing().phase, intent.standing().in_force()), (Phase::Canary, percent("1")));
    assert!(intent.phase_is_implied());
    let intent = apply(&intent, &Event::PhaseSet(Phase::Full)).0;
    let intent = apply(&intent, &Event::PercentSet(percent("0"))).0;
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

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        any_written().prop_map(Event::FileRead),
        any_percent().prop_map(Event::PercentSet),
        any_phase().prop_map(Event::PhaseSet),
    ]
}

proptest! {
    #[test]
    fn reading_the_same_file_again_is_never_an_intent(
        first in any_written(),
        events in proptest::collection::vec(any_event(), 0..12),
    ) {
        let intent = after(first, &events);
        let (next, effects) = apply(&intent, &Event::FileRead(intent.written()));
        prop_assert_eq!(next, intent);
        prop_assert!(effects.is_empty());
    }

    #[test]
    fn the_last_intent_wins(
        first in any_written(),
        events in proptest::collection::vec(any_event(), 0..12),
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
            }
        }
        let implied = if share == Percent::ZERO { Phase::Preparation } else { Phase::Canary };
        let standing = after(first, &events).standing();
        prop_assert_eq!(standing, Standing { asked: share, phase: phase.unwrap_or(implied) });
    }

    #[test]
    fn what_is_in_force_changes_exactly_when_an_effect_says_so(
        first in any_written(),
        events in proptest::collection::vec(any_event(), 1..12),
    ) {
        let mut intent = Intent::first(first);
        for event in &events {
            let (next, effects) = apply(&intent, event);
            let told = effects.iter().find_map(|effect| match effect {
                Effect::InForce { from, to } => Some((*from, *to)),
                _ => None,
            });
            let (from, to) = (intent.standing().in_force(), next.standing().in_force());
            prop_assert_eq!(told, (from != to).then_some((from, to)));
            intent = next;
        }
    }
}
