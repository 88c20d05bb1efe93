//! The small world in which the tests of this crate play.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use route_plan::Phase;
use traffic_split::Percent;

use crate::calendar::{Calendar, Freeze};
use crate::{
    Abort, Cause, Effect, Event, Evidence, Facts, Grace, Hook, Intent, Next, Policy, Refusal, RollbackPolicy,
    Step, Terms, Wait, Written, apply, decide,
};

mod simulation;

pub(crate) const HOUR: Duration = Duration::from_hours(1);
pub(crate) const BACK: Event = Event::RolledBack { cause: Cause::Person, to: Percent::ZERO, in_parts: false };

/// The calendar is open.
pub(crate) const OPEN: &str = "2026-12-01T12:00:00Z";
/// It is closed, by a freeze.
pub(crate) const FROZEN: &str = "2026-12-24T12:00:00Z";
/// The deadline is over.
pub(crate) const LATE: &str = "2027-07-01T12:00:00Z";

pub(crate) fn percent(text: &str) -> Percent {
    text.parse().unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn set(text: &str) -> Event {
    Event::PercentSet(percent(text))
}

pub(crate) fn back_to(to: &str, in_parts: bool) -> Event {
    Event::RolledBack { cause: Cause::Person, to: percent(to), in_parts }
}

/// A schedule of these percentages with nothing to wait for but evidence.
pub(crate) fn steps(percents: &[&str]) -> Vec<Step> {
    percents.iter().map(|text| Step::to(percent(text))).collect()
}

/// People move it; everything else as in [`ramped`].
pub(crate) fn by_people() -> Policy {
    Policy { steps: Vec::new(), ..ramped() }
}

/// 1, 5, 25, 100 % with something of everything.
pub(crate) fn ramped() -> Policy {
    let mut steps = steps(&["1", "5", "25", "100"]);
    steps[0].hold = HOUR;
    (steps[1].hold, steps[1].min_requests, steps[1].approve, steps[1].drill) = (2 * HOUR, 1000, true, true);
    steps[2].announce = Some("http://hooks.internal/announce".parse().unwrap());
    steps[2].confirm = Some("http://hooks.internal/confirm".parse().unwrap());
    steps[3].hold = HOUR;
    let freeze = Freeze {
        from: "2026-12-20T00:00".parse().unwrap(),
        to: "2027-01-02T00:00".parse().unwrap(),
        reason: Some("holidays".to_owned()),
    };
    Policy {
        steps,
        calendar: Calendar { time_zone: TimeZone::UTC, windows: Vec::new(), freezes: vec![freeze] },
        exclusive: true,
        after: vec!["users".to_owned()],
        rollback: RollbackPolicy { over: HOUR, ..RollbackPolicy::default() },
        abort: Abort { rollbacks: Some(3), deadline: Some(at("2027-06-01T00:00:00Z")) },
        grace: Grace::default(),
        shadow: false,
    }
}

/// What a file with this policy says.
pub(crate) fn written(share: &str, phase: Option<Phase>, attempt: u64, policy: &Policy) -> Written {
    let ramp = policy.steps.iter().map(|step| step.percent).collect();
    Written { percent: percent(share), phase, attempt, ramp }
}

/// Everything is as it should be, and the hold was served.
pub(crate) fn all_good(now: &str) -> Facts {
    Facts {
        now: at(now),
        held: 1000 * HOUR,
        requests: 1_000_000,
        evidence: Evidence::Proven,
        matching: Evidence::Proven,
        busy: None,
        after: None,
        announced: Hook::Yes,
        confirmed: Hook::Yes,
    }
}

/// One migration, its file and its clock.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) intent: Intent,
    pub(crate) policy: Policy,
    pub(crate) now: Timestamp,
}

impl World {
    /// A file that was never read before, with this percent.
    pub(crate) fn first(share: &str, policy: Policy) -> Self {
        World::reading(written(share, None, 1, &policy), policy)
    }

    pub(crate) fn reading(written: Written, policy: Policy) -> Self {
        World { intent: Intent::first(written, &policy), policy, now: at(OPEN) }
    }

    /// What an event would make of it.
    pub(crate) fn try_on(&self, event: &Event, force: bool) -> Result<(Intent, Vec<Effect>), Refusal> {
        apply(&self.intent, event, &Terms { policy: &self.policy, now: self.now, force })
    }

    /// After this event, which must be possible.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a story of what happens reads better without ampersands"
    )]
    pub(crate) fn then(mut self, event: Event) -> Self {
        self.happens(&event);
        self
    }

    /// After this event, by force.
    pub(crate) fn insisting(mut self, event: &Event) -> Self {
        self.intent = self.try_on(event, true).unwrap().0;
        self
    }

    /// The event, which must be possible, and its effects.
    pub(crate) fn happens(&mut self, event: &Event) -> Vec<Effect> {
        let (intent, effects) = self.try_on(event, false).unwrap();
        self.intent = intent;
        effects
    }

    /// The sentence by which an event is refused.
    pub(crate) fn refuses(&self, event: &Event) -> String {
        self.try_on(event, false).unwrap_err().to_string()
    }

    /// A file with this percent is read; phase, attempt and ramp are as in the one before.
    pub(crate) fn reads(self, share: &str) -> Self {
        let written = Written { percent: percent(share), ..self.intent.written.clone() };
        self.then(Event::FileRead(written))
    }

    /// A file that begins another attempt is read; the rest is as in the one before.
    pub(crate) fn begins_attempt(self, attempt: u64) -> Self {
        let written = Written { attempt, ..self.intent.written.clone() };
        self.then(Event::FileRead(written))
    }

    /// The file has another schedule now.
    pub(crate) fn on(mut self, steps: Vec<Step>) -> Self {
        self.policy.steps = steps;
        let ramp = self.policy.steps.iter().map(|step| step.percent).collect();
        let written = Written { ramp, ..self.intent.written.clone() };
        self.then(Event::FileRead(written))
    }

    pub(crate) fn at(mut self, now: &str) -> Self {
        self.now = at(now);
        self
    }

    pub(crate) fn in_force(&self) -> String {
        self.intent.standing().in_force().to_string()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.intent.standing().phase
    }

    /// How many steps its ramp has entered.
    pub(crate) fn step(&self) -> usize {
        self.intent.progress.as_ref().map_or(0, |progress| progress.entered)
    }

    /// What is next when everything is as it should be.
    pub(crate) fn next(&self) -> Next {
        decide(&self.intent, &self.policy, &Facts { now: self.now, ..all_good(OPEN) })
    }

    /// What it waits for when everything is as it should be.
    pub(crate) fn wait(&self) -> Wait {
        match self.next() {
            Next::Wait(wait) => wait,
            next => panic!("{next:?} is due"),
        }
    }
}
