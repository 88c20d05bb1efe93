//! What a migration's way forward and back goes by: the values that a file sets and events are judged with.

use std::time::Duration;

use jiff::Timestamp;
use route_plan::Phase;
use traffic_split::Percent;

use crate::calendar::Calendar;
use crate::hook_url::HookUrl;
use crate::intent::Intent;

/// What a migration's way forward and back goes by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// The schedule of percentages; empty: people move it.
    pub steps: Vec<Step>,
    /// When the percentage may rise.
    pub calendar: Calendar,
    /// Of all exclusive migrations only one is within a step that is not shown to be good yet.
    pub exclusive: bool,
    /// Migrations that must have arrived before this one's ramp begins.
    pub after: Vec<String>,
    /// How a rollback is done.
    pub rollback: RollbackPolicy,
    /// When the migration has failed too often to go forward again without more ado.
    pub abort: Abort,
    /// How long everybody is on new before old may go. 14 days by default.
    pub grace: Grace,
    /// The file has a shadow: that the answers match has to be shown before users get new.
    pub shadow: bool,
}

/// How long everybody is on new before old may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace(pub Duration);

impl Default for Grace {
    fn default() -> Self {
        Grace(Duration::from_hours(14 * 24))
    }
}

/// One entry of the schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The percentage; above 0 and above that of the step before.
    pub percent: Percent,
    /// How long it is served at least. Downtime does not count.
    pub hold: Duration,
    /// How many requests new must have had in it at least.
    pub min_requests: u64,
    /// Whether a person must say that it goes on after it.
    pub approve: bool,
    /// Whether going back is tried before it goes on.
    pub drill: bool,
    /// Who is told before the step is entered. The step waits until that is delivered.
    pub announce: Option<HookUrl>,
    /// Who is asked before the step is entered. The step waits for a yes.
    pub confirm: Option<HookUrl>,
}

impl Step {
    /// A step of this percentage with nothing to wait for but evidence.
    #[must_use]
    pub fn to(percent: Percent) -> Self {
        Step {
            percent,
            hold: Duration::ZERO,
            min_requests: 0,
            approve: false,
            drill: false,
            announce: None,
            confirm: None,
        }
    }
}

/// How a rollback is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RollbackPolicy {
    /// Where to.
    pub to: Target,
    /// The phase while it is latched at 0; `None`: as it was.
    pub then: Option<Phase>,
    /// Over how long users return, in ten parts; 0: all at once.
    pub over: Duration,
}

/// Where a rollback leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// All users get old.
    #[default]
    Old,
    /// The percentage of the step before, if there is one.
    PreviousStep,
}

/// When a migration is given up: it goes forward again only by force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort {
    /// After so many rollbacks of one attempt that took users back; `None`: however many.
    pub rollbacks: Option<u32>,
    /// From this moment on.
    pub deadline: Option<Timestamp>,
}

impl Default for Abort {
    fn default() -> Self {
        Abort { rollbacks: Some(3), deadline: None }
    }
}

const DAY: Duration = Duration::from_hours(24);

/// A schedule that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// For a system that everything depends on: 1 % for a day, 5 % for two, 10 % for four, then 25, 50 and 90 % for a
    /// week each, 100 %. Each step is approved, and going back is tried at the first.
    Standard,
    /// For a system that is easy to replace: 5, 25, 50 and 75 % for a day each, 100 %.
    Expansion,
}

impl Preset {
    /// All of them.
    pub const ALL: [Preset; 2] = [Preset::Standard, Preset::Expansion];

    /// Its name in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Preset::Standard => "standard",
            Preset::Expansion => "expansion",
        }
    }

    /// Its steps.
    #[must_use]
    pub fn steps(self) -> Vec<Step> {
        let days: &[(u32, u32)] = match self {
            Preset::Standard => &[(1, 1), (5, 2), (10, 4), (25, 7), (50, 7), (90, 7), (100, 0)],
            Preset::Expansion => &[(5, 1), (25, 1), (50, 1), (75, 1), (100, 0)],
        };
        let step = |(index, &(percent, days)): (usize, &(u32, u32))| Step {
            hold: DAY * days,
            approve: self == Preset::Standard,
            drill: self == Preset::Standard && index == 0,
            ..Step::to(Percent::from_millionths(percent * 1_000_000).unwrap_or(Percent::FULL))
        };
        days.iter().enumerate().map(step).collect()
    }
}

impl Policy {
    /// Where a rollback leads to that names no other place. Of a rollback to a step, the next one leads to old.
    #[must_use]
    pub fn target(&self, intent: &Intent) -> Percent {
        self.target_of(self.rollback.to, intent)
    }

    /// Where this leads to: always below what is in force, which somebody may have set below the steps that were entered.
    #[must_use]
    pub fn target_of(&self, to: Target, intent: &Intent) -> Percent {
        let entered = intent.steps_entered();
        let in_force = intent.standing().in_force();
        let mut before = self.steps.iter().take(entered.saturating_sub(1)).rev();
        match (to, before.find(|step| step.percent < in_force)) {
            (Target::PreviousStep, Some(step)) if intent.latch.is_none() => step.percent,
            _ => Percent::ZERO,
        }
    }

    /// How many steps have at most this percentage.
    #[must_use]
    pub fn steps_within(&self, percent: Percent) -> usize {
        self.steps.iter().take_while(|step| step.percent <= percent).count()
    }
}
