//! What can happen to a migration, and what that changes.

use std::time::Duration;

use route_plan::Phase;
use traffic_split::Percent;

use crate::decide::Wait;
use crate::intent::{Origin, ShadowOff, Written};
use crate::latch::Cause;
use crate::progress::Pause;

/// What can happen to a migration. The list is closed.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The file was read and says this.
    FileRead(Written),
    /// Somebody asked for a percent.
    PercentSet(Percent),
    /// Somebody asked for a phase.
    PhaseSet(Phase),
    /// Somebody wants percent and phase as they were at some time.
    Undone {
        /// The percent asked for then.
        percent: Percent,
        /// The phase asked for then.
        phase: Option<Phase>,
    },
    /// Users are taken back, and a latch keeps them there.
    RolledBack {
        /// Who or what asked for it.
        cause: Cause,
        /// The percent that is not to be exceeded from here on.
        to: Percent,
        /// In parts, where the policy says so; else all at once.
        in_parts: bool,
    },
    /// The next part of the users is taken back.
    Returned,
    /// Somebody lifted the latch, or lets a paused ramp go on.
    Resumed,
    /// Somebody paused the ramp.
    Paused,
    /// Somebody says that the ramp may go on. With it comes what the ramp was waiting for.
    Advanced(Wait),
    /// The ramp enters a step, counted from 0.
    StepEntered(usize),
    /// How long the present step was served by now.
    Held(Duration),
    /// The calendar is open again: what the file asked for meanwhile comes into force.
    Opened,
    /// All users are taken back for a moment, to see that it can be done.
    DrillBegun,
    /// They come back.
    DrillEnded {
        /// Whether old served them all.
        passed: bool,
    },
    /// They come back, but nobody saw what became of them: the drill counts neither way, and the ramp tries it again.
    DrillInterrupted,
    /// The last step was shown to be good: everybody gets new.
    Arrived,
    /// Requests are copied again, or not any more and why.
    ShadowSwitched(Option<ShadowOff>),
}

/// What an event changed, to be told and, where it is about what is in force, to be published.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Another percent is asked for.
    PercentAsked {
        /// The percent before.
        from: Percent,
        /// The percent now.
        to: Percent,
        /// Who asked.
        by: Origin,
    },
    /// The migration entered another phase.
    PhaseEntered {
        /// The phase before.
        from: Phase,
        /// The phase now.
        to: Phase,
        /// Who asked, for the phase or for the percent that it follows.
        by: Origin,
    },
    /// A latch begins, or is tightened.
    Latched {
        /// The percent in force before.
        from: Percent,
        /// What is not exceeded from here on.
        cap: Percent,
        /// Where the users are taken back to; below the cap while they return in parts.
        target: Percent,
        /// Who or what asked for it.
        cause: Cause,
    },
    /// The latch is gone.
    Released {
        /// What it capped the percent at.
        cap: Percent,
        /// Who lifted it: a person, or the file by a higher attempt.
        by: Origin,
    },
    /// More is asked for than a latch or the calendar lets through: it is remembered, not applied.
    HeldBack {
        /// What would be in force.
        wanted: Percent,
        /// What is let through.
        cap: Percent,
        /// Whether it is the calendar.
        by_calendar: bool,
    },
    /// The calendar holds nothing back any more.
    Opened,
    /// Another percent is in force: users move.
    InForce {
        /// The percent before.
        from: Percent,
        /// The percent now.
        to: Percent,
    },
    /// The file begins a fresh attempt.
    AttemptRaised {
        /// The attempt before.
        from: u64,
        /// The attempt now.
        to: u64,
    },
    /// The ramp is at this step now.
    StepEntered {
        /// Which, from 1; 0: before the first.
        step: usize,
        /// Of how many.
        of: usize,
    },
    /// The ramp may go on after the present step.
    StepApproved {
        /// Which, from 1.
        step: usize,
    },
    /// The ramp does not move.
    RampPaused {
        /// Why.
        why: Pause,
    },
    /// A paused ramp goes on.
    RampGoesOn,
    /// There is no ramp any more.
    RampGone,
    /// A drill begins.
    DrillBegun {
        /// The percent in force before.
        from: Percent,
    },
    /// A drill is over.
    DrillEnded {
        /// Whether old served everybody.
        passed: bool,
    },
    /// A drill is over, and nobody saw what became of it.
    DrillInterrupted,
    /// The ramp is over: everybody gets new.
    Arrived,
    /// Requests are copied again, or not any more.
    ShadowSwitched {
        /// Why not; `None`: they are.
        off: Option<ShadowOff>,
    },
}
