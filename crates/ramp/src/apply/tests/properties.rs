//! What holds whatever happens, in whatever order.
//!
//! `PROPTEST_CASES` says how many stories are told; a thousand of each kind without it. A hundred
//! thousand are told by `cargo test -p ramp -- --ignored`, in two minutes.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use route_plan::Phase;
use traffic_split::Percent;

use crate::apply::aborted;
use crate::policy::Policy;
use crate::tests::{FROZEN, HOUR, LATE, OPEN, World, all_good, at, by_people, ramped, steps};
use crate::{Cause, Effect, Event, Evidence, Facts, Intent, Next, ShadowOff, Wait, Written, decide};

/// What happens next; made an event of by the state that it meets.
#[derive(Clone, Debug)]
enum Move {
    /// The file is read again, and this has changed in it.
    Read(Change),
    /// Whatever the state is.
    Event(Event),
    /// The step so many after the next is entered.
    Step(usize),
    /// Somebody advances what is waited for when things are so.
    Advance(Moment),
    /// What is due when things are so.
    Due(Moment),
    /// It is another day.
    Day(&'static str),
}

#[derive(Clone, Debug)]
enum Change {
    Nothing,
    Percent(Percent),
    Phase(Option<Phase>),
    Attempt(u64),
    Policy(usize),
    All(Percent, Option<Phase>, u64, usize),
}

/// How things are.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Good,
    Unguarded,
    TooEarly,
}

/// The ways forward and back that a file may name.
fn policies() -> Vec<Policy> {
    let mut then_shadow = ramped();
    then_shadow.rollback.then = Some(Phase::Shadow);
    then_shadow.abort.rollbacks = None;
    let ends_at_50 = Policy { steps: steps(&["2", "50"]), ..ramped() };
    vec![ramped(), by_people(), then_shadow, ends_at_50]
}

fn any_percent() -> impl Strategy<Value = Percent> {
    let round = ["0", "1", "5", "25", "50", "100"].map(|text| text.parse::<Percent>().unwrap());
    let any = (0..=100_000_000_u32).prop_map(|millionths| Percent::from_millionths(millionths).unwrap());
    prop_oneof![3 => proptest::sample::select(round.to_vec()), 1 => any]
}

fn any_phase() -> impl Strategy<Value = Option<Phase>> {
    proptest::option::of(proptest::sample::select(Phase::ALL.to_vec()))
}

fn any_change() -> impl Strategy<Value = Change> {
    let which = 0..policies().len();
    prop_oneof![
        Just(Change::Nothing),
        any_percent().prop_map(Change::Percent),
        any_phase().prop_map(Change::Phase),
        (1..6_u64).prop_map(Change::Attempt),
        which.clone().prop_map(Change::Policy),
        (any_percent(), any_phase(), 1..6_u64, which).prop_map(|(a, b, c, d)| Change::All(a, b, c, d)),
    ]
}

fn any_rollback() -> impl Strategy<Value = Event> {
    let cause = proptest::sample::select(Cause::ALL.to_vec());
    (cause, any_percent(), any::<bool>()).prop_map(|(cause, to, in_parts)| Event::RolledBack {
        cause,
        to,
        in_parts,
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => any_percent().prop_map(Event::PercentSet),
        2 => proptest::sample::select(Phase::ALL.to_vec()).prop_map(Event::PhaseSet),
        1 => (any_percent(), any_phase()).prop_map(|(percent, phase)| Event::Undone { percent, phase }),
        3 => any_rollback(),
        3 => Just(Event::Returned),
        4 => Just(Event::Resumed),
        1 => Just(Event::Paused),
        1 => (0..5_u32).prop_map(|hours| Event::Held(hours * HOUR)),
        1 => Just(Event::Opened),
        2 => Just(Event::DrillBegun),
        2 => any::<bool>().prop_map(|passed| Event::DrillEnded { passed }),
        1 => Just(Event::DrillInterrupted),
        1 => Just(Event::Arrived),
        1 => proptest::option::of(proptest::sample::select(ShadowOff::ALL.to_vec())).prop_map(Event::ShadowSwitched),
    ]
}

fn any_moment() -> impl Strategy<Value = Moment> {
    proptest::sample::select(vec![Moment::Good, Moment::Unguarded, Moment::TooEarly])
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        3 => any_change().prop_map(Move::Read),
        8 => any_event().prop_map(Move::Event),
        1 => (0..3_usize).prop_map(Move::Step),
        2 => any_moment().prop_map(Move::Advance),
        4 => any_moment().prop_map(Move::Due),
        1 => proptest::sample::select(vec![OPEN, FROZEN, LATE]).prop_map(Move::Day),
    ]
}

/// What a file says first, by which policy, and what happens then; with each move whether somebody insists.
type Story = (Percent, Option<Phase>, usize, Vec<(Move, bool)>);

fn any_story() -> impl Strategy<Value = Story> {
    let moves = proptest::collection::vec((any_move(), prop::bool::weighted(0.2)), 0..24);
    (any_percent(), any_phase(), 0..policies().len(), moves)
}

fn ramp_of(policy: &Policy) -> Vec<Percent> {
    policy.steps.iter().map(|step| step.percent).collect()
}

impl Moment {
    fn facts(self, world: &World) -> Facts {
        let good = Facts { now: world.now, ..all_good(OPEN) };
        match self {
            Moment::Good => good,
            Moment::Unguarded => Facts { evidence: Evidence::Unguarded, ..good },
            Moment::TooEarly => Facts { held: Duration::ZERO, requests: 0, ..good },
        }
    }
}

impl World {
    fn decides(&self, moment: Moment) -> Next {
        decide(&self.intent, &self.policy, &moment.facts(self))
    }

    /// The event that a move is in this state. A file that is read brings its policy with it.
    fn event(&mut self, action: &Move) -> Option<Event> {
        match action {
            Move::Event(event) => Some(event.clone()),
            Move::Step(ahead) => Some(Event::StepEntered(self.step() + ahead)),
            Move::Advance(moment) => match self.decides(*moment) {
                Next::Wait(wait) => Some(Event::Advanced(wait)),
                _ => None,
            },
            Move::Due(moment) => match self.decides(*moment) {
                Next::Do(event) => Some(event),
                _ => None,
            },
            Move::Day(day) => {
                self.now = at(day);
                None
            }
            Move::Read(change) => Some(Event::FileRead(self.edit(change))),
        }
    }

    fn edit(&mut self, change: &Change) -> Written {
        let last = self.intent.written.clone();
        match *change {
            Change::Nothing => last,
            Change::Percent(percent) => Written { percent, ..last },
            Change::Phase(phase) => Written { phase, ..last },
            Change::Attempt(attempt) => Written { attempt, ..last },
            Change::Policy(index) => {
                self.policy = policies().swap_remove(index);
                Written { ramp: ramp_of(&self.policy), ..last }
            }
            Change::All(percent, phase, attempt, index) => {
                self.policy = policies().swap_remove(index);
                Written { percent, phase, attempt, ramp: ramp_of(&self.policy) }
            }
        }
    }
}

fn told_in_force(effects: &[Effect]) -> Option<(Percent, Percent)> {
    effects.iter().find_map(|effect| match effect {
        Effect::InForce { from, to } => Some((*from, *to)),
        _ => None,
    })
}

/// What holds of every event that is possible.
fn holds(before: &World, event: &Event, force: bool, after: &Intent, effects: &[Effect]) -> TestCaseResult {
    let (was, is) = (before.intent.standing().in_force(), after.standing().in_force());
    prop_assert_eq!(told_in_force(effects), (was != is).then_some((was, is)), "what is in force is told");
    if is > was || after.due() > before.intent.due() || after.let_through() > before.intent.let_through() {
        rises(before, event, force, after)?;
    }
    if let Some(latch) = before.intent.latch {
        let begins = matches!(event, Event::FileRead(now) if now.attempt > before.intent.attempt);
        let is_tighter = after.latch.is_some_and(|now| now.cap <= latch.cap && now.target <= latch.target);
        prop_assert!(begins || *event == Event::Resumed || is_tighter, "the latch holds");
    }
    if let Some(latch) = after.latch {
        prop_assert!(is <= latch.cap && latch.target <= latch.cap);
    }
    if let Event::FileRead(written) = event {
        prop_assert_eq!(&after.written, written, "what is read is remembered");
        prop_assert!(*written != before.intent.written || *after == before.intent, "the same says nothing");
    }
    if matches!(event, Event::StepEntered(_)) {
        let progress = before.intent.progress.as_ref();
        let may = before.intent.latch.is_none() && !before.intent.is_drilling;
        prop_assert!(may && progress.is_some_and(|progress| progress.paused.is_none()));
    }
    prop_assert_eq!(after.progress.is_some(), !before.policy.steps.is_empty(), "a ramp has a progress");
    let entered = after.progress.as_ref().map_or(0, |progress| progress.entered);
    prop_assert!(entered <= before.policy.steps.len());
    prop_assert!(after.frozen_at.is_none_or(|at| after.wanted() > at), "only what is held back is frozen");
    prop_assert!(after.attempt >= after.written.attempt);
    Ok(())
}

/// What holds of every event after which more users get new, or will once a drill or a freeze is over.
fn rises(before: &World, event: &Event, force: bool, after: &Intent) -> TestCaseResult {
    let by_a_person = matches!(
        event,
        Event::PercentSet(_)
            | Event::PhaseSet(_)
            | Event::Undone { .. }
            | Event::Resumed
            | Event::Advanced(_)
    );
    let by_the_file = matches!(event, Event::FileRead(now) if *now != before.intent.written);
    let by_its_own = matches!(
        event,
        Event::StepEntered(_) | Event::Opened | Event::DrillEnded { .. } | Event::DrillInterrupted
    );
    prop_assert!(by_a_person || by_the_file || by_its_own, "{:?} brings nobody forward", event);
    prop_assert!(after.is_forward_from(&before.intent));
    let closed = before.policy.calendar.closed(before.now);
    let is_let_through = after.let_through() > before.intent.let_through();
    prop_assert!(!(by_the_file && is_let_through) || closed.is_none(), "a file's increase waits");
    let stopped = closed.is_some() || aborted(&before.intent, &before.policy, before.now).is_some();
    prop_assert!(!by_a_person || force || !stopped, "a person insists");
    Ok(())
}

/// What was in force before a drill, and whether somebody asked for something meanwhile.
type Drill = Option<(Percent, bool)>;

/// A drill takes everybody back and brings back no more than it took.
fn drills(drill: &mut Drill, before: &Intent, event: &Event, after: &Intent) -> TestCaseResult {
    let is = after.standing().in_force();
    match event {
        Event::DrillBegun => *drill = Some((before.standing().in_force(), false)),
        Event::DrillEnded { .. } | Event::DrillInterrupted => {
            let (was, asked) = drill.take().expect("it began");
            prop_assert!(asked || is == was, "{} after a drill from {}", is, was);
        }
        Event::FileRead(written) if *written == before.written => {}
        Event::FileRead(_) | Event::PercentSet(_) | Event::PhaseSet(_) | Event::Undone { .. } => {
            *drill = drill.map(|(was, _)| (was, true));
        }
        Event::Advanced(_) | Event::Opened | Event::Resumed => *drill = drill.map(|(was, _)| (was, true)),
        _ => {}
    }
    prop_assert!(!after.is_drilling || is == Percent::ZERO);
    *drill = drill.filter(|_| after.is_drilling);
    Ok(())
}

/// Everything that holds of each event, in the order in which they happen; the world after them.
fn told(story: &Story) -> Result<World, TestCaseError> {
    let (percent, phase, index, moves) = story;
    let policy = policies().swap_remove(*index);
    let written = Written { percent: *percent, phase: *phase, attempt: 1, ramp: ramp_of(&policy) };
    let (mut world, mut drill) = (World::reading(written, policy), None);
    for (action, force) in moves {
        let Some(event) = world.event(action) else { continue };
        let insists = *force && !matches!(action, Move::Due(_));
        let result = world.try_on(&event, insists);
        let must = matches!(action, Move::Due(_) | Move::Read(_))
            || matches!(event, Event::RolledBack { .. } | Event::Opened);
        prop_assert!(result.is_ok() || !must, "{:?} is refused: {:?} in {:?}", event, result, world.intent);
        let Ok((after, effects)) = result else { continue };
        if matches!(action, Move::Due(_)) {
            prop_assert!(after != world.intent, "{:?} is due and changes nothing", event);
        }
        holds(&world, &event, insists, &after, &effects)?;
        drills(&mut drill, &world.intent, &event, &after)?;
        world.intent = after;
    }
    Ok(world)
}

/// From here a rollback leads to its target: at once, or in ten parts at most, none of which brings anybody forward.
fn goes_back(world: &World, rollback: &Event) -> TestCaseResult {
    let Event::RolledBack { to, in_parts, .. } = *rollback else { unreachable!("it is one") };
    let before = world.intent.standing();
    let mut back = world.clone().then(rollback.clone());
    let standing = back.intent.standing();
    prop_assert!(standing.in_force() <= before.in_force());
    prop_assert!(in_parts || standing.in_force() <= to);
    prop_assert_eq!(standing.asked, before.asked, "what is asked for stays");
    prop_assert!(
        !back.intent.is_forward_from(&world.intent),
        "it can be done at once and written down afterwards"
    );
    let mut last = standing.in_force();
    for part in 1.. {
        if !back.intent.latch.is_some_and(|latch| latch.is_returning()) {
            break;
        }
        prop_assert!(part < 10, "in ten parts at most, of which the rollback is the first");
        back = back.then(Event::Returned);
        let now = back.intent.standing().in_force();
        prop_assert!(now <= last);
        last = now;
    }
    prop_assert!(last <= to);
    Ok(())
}

/// From here what is due leads to a wait or to the end, when everything is as it should be.
fn comes_to_rest(world: &World) -> TestCaseResult {
    let mut world = world.clone();
    let bound = 4 * world.policy.steps.len() + 4;
    for _ in 0..bound {
        let event = match world.decides(Moment::Good) {
            Next::Do(event) => event,
            Next::Call(..) => return Err(TestCaseError::fail("the hooks have said yes")),
            Next::Wait(Wait::Drill) => Event::DrillEnded { passed: true },
            Next::Wait(wait @ Wait::Approval { .. }) => Event::Advanced(wait),
            Next::Wait(_) => return Ok(()),
        };
        let result = world.try_on(&event, false);
        prop_assert!(result.is_ok(), "{:?} is due and refused: {:?} in {:?}", event, result, world.intent);
        world = world.then(event);
    }
    Err(TestCaseError::fail(format!("still something is due after {bound} events in {:?}", world.intent)))
}

fn everything_holds(story: &Story, rollback: &Event) -> TestCaseResult {
    let world = told(story)?;
    goes_back(&world, rollback)?;
    comes_to_rest(&world)?;
    let mut again = world.clone();
    prop_assert_eq!(again.happens(&Event::FileRead(world.intent.written.clone())), vec![]);
    prop_assert_eq!(again.intent, world.intent, "reading the same file again is no intent");
    Ok(())
}

/// So many stories, or more where `PROPTEST_CASES` says so.
fn at_least(stories: u32) -> Config {
    let config = Config::default();
    Config { cases: config.cases.max(stories), ..config }
}

proptest! {
    #![proptest_config(at_least(1000))]

    #[test]
    fn whatever_happens_the_rules_hold(story in any_story(), rollback in any_rollback()) {
        everything_holds(&story, &rollback)?;
    }

    #[test]
    fn without_latch_ramp_and_freeze_the_last_intent_wins(
        percent in any_percent(),
        phase in any_phase(),
        changes in proptest::collection::vec((any_percent(), any_phase(), 0..4_u8), 0..12),
    ) {
        // The naive reading of the rule: remember the last word on each value.
        let (mut share, mut of_phase) = (percent, phase);
        let written = Written { percent, phase, attempt: 1, ramp: Vec::new() };
        let mut world = World::reading(written, by_people());
        for (percent, phase, kind) in changes {
            let last = world.intent.written.clone();
            let event = match (kind, phase) {
                (0, Some(phase)) => {
                    of_phase = Some(phase);
                    Event::PhaseSet(phase)
                }
                (1, _) => {
                    share = percent;
                    Event::PercentSet(percent)
                }
                _ => {
                    if percent != last.percent { share = percent; }
                    if phase != last.phase { of_phase = phase; }
                    Event::FileRead(Written { percent, phase, ..last })
                }
            };
            world = world.then(event);
        }
        let implied = if share == Percent::ZERO { Phase::Preparation } else { Phase::Canary };
        let standing = world.intent.standing();
        prop_assert_eq!((standing.asked, standing.phase), (share, of_phase.unwrap_or(implied)));
        prop_assert_eq!(standing.cap, Percent::FULL);
    }
}

#[test]
#[ignore = "a hundred thousand stories take two minutes"]
fn whatever_happens_a_hundred_thousand_times_the_rules_hold() {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..at_least(100_000) });
    let stories = (any_story(), any_rollback());
    runner.run(&stories, |(story, rollback)| everything_holds(&story, &rollback)).unwrap();
}
