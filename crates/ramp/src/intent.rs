//! The state of one migration: what is asked for, by whom, how far its ramp is, and what holds it back.

use std::fmt;

use jiff::Timestamp;
use route_plan::Phase;
use traffic_split::Percent;

use crate::latch::Latch;
use crate::policy::Policy;
use crate::progress::Progress;

/// What is asked for: the share and the phase, which may overrule the share; and what is let through of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The percent asked for last.
    pub asked: Percent,
    /// The phase the migration is in.
    pub phase: Phase,
    /// What a latch, a drill or a freeze caps the percent at; 100 without any.
    pub cap: Percent,
}

impl Standing {
    /// The percent that would be in force without a cap.
    #[must_use]
    pub fn wanted(&self) -> Percent {
        self.phase.in_force(self.asked)
    }

    /// The percent that the split works with.
    #[must_use]
    pub fn in_force(&self) -> Percent {
        self.wanted().min(self.cap)
    }
}

/// What a file says of one migration, as far as it carries intent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Its percent; 0 where none is written.
    pub percent: Percent,
    /// Its phase; where none is written, the phase follows the percent.
    pub phase: Option<Phase>,
    /// Counts fresh starts.
    pub attempt: u64,
    /// The percentages of its ramp; empty without one.
    pub ramp: Vec<Percent>,
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The configuration file, by a changed value.
    File,
    /// A person or program, through the command line or the API.
    Person,
    /// The ramp, by a step that was due.
    Ramp,
}

impl Origin {
    /// All of them.
    pub const ALL: [Origin; 3] = [Origin::File, Origin::Person, Origin::Ramp];

    /// The word used in status, journal and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Origin::File => "file",
            Origin::Person => "person",
            Origin::Ramp => "ramp",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a shadow is switched off, until somebody switches it on again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShadowOff {
    /// Somebody did it.
    Asked,
    /// Copies made users wait, or fail.
    Effect,
}

impl ShadowOff {
    /// All of them.
    pub const ALL: [ShadowOff; 2] = [ShadowOff::Asked, ShadowOff::Effect];

    /// The word used in the journal and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ShadowOff::Asked => "asked",
            ShadowOff::Effect => "effect",
        }
    }
}

/// The state of one migration. [`crate::apply`] makes the next one of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The percent asked for last.
    pub percent: Percent,
    /// The phase asked for last; `None`: nobody did, so it follows the percent.
    pub phase: Option<Phase>,
    /// Who asked for the percent.
    pub percent_from: Origin,
    /// Who asked for the phase, or left it to follow the percent.
    pub phase_from: Origin,
    /// What the file said last.
    pub written: Written,
    /// The highest attempt that the file ever had: going back to a lower one and forth again is no fresh start.
    pub attempt: u64,
    /// The mark of a rollback, until somebody resumes.
    pub latch: Option<Latch>,
    /// Rollbacks of this attempt, of those on new at the time; without any it is none.
    pub rollbacks: u32,
    /// How far the ramp is; `None` exactly where there is none.
    pub progress: Option<Progress>,
    /// A file asked for more while the calendar was closed: what stays in force until it opens.
    pub frozen_at: Option<Percent>,
    /// A drill is under way: all users are on old for a moment.
    pub is_drilling: bool,
    /// Why no requests are copied, whatever the file says of a shadow; `None`: they are.
    pub shadow_off: Option<ShadowOff>,
    /// Since when it is in phase `full`, or `cleanup` after that; `None`: it is not, or was so from the beginning.
    pub full_since: Option<Timestamp>,
}

impl Intent {
    /// The state of a migration that was not known before: the file is the intent.
    #[must_use]
    pub fn first(written: Written, policy: &Policy) -> Self {
        Intent {
            percent: written.percent,
            phase: written.phase,
            percent_from: Origin::File,
            phase_from: Origin::File,
            attempt: written.attempt,
            latch: None,
            rollbacks: 0,
            progress: Progress::at(written.percent, policy),
            frozen_at: None,
            is_drilling: false,
            shadow_off: None,
            full_since: None,
            written,
        }
    }

    /// What is asked for now, and what is let through of it.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let latched = self.latch.filter(|latch| latch.cap == Percent::ZERO).and_then(|latch| latch.then);
        let drill = self.is_drilling.then_some(Percent::ZERO);
        let caps = [self.latch.map(|latch| latch.cap), self.frozen_at, drill];
        Standing {
            asked: self.percent,
            phase: latched.unwrap_or_else(|| self.asked_phase()),
            cap: caps.into_iter().flatten().min().unwrap_or(Percent::FULL),
        }
    }

    /// The phase asked for; where nobody asked for one, it follows the percent.
    #[must_use]
    pub fn asked_phase(&self) -> Phase {
        let implied = if self.percent > Percent::ZERO { Phase::Canary } else { Phase::Preparation };
        self.phase.unwrap_or(implied)
    }

    /// The percent asked for by share and phase, whatever a rollback has made of the phase.
    #[must_use]
    pub fn wanted(&self) -> Percent {
        self.asked_phase().in_force(self.percent)
    }

    /// Whether everybody is to get new, and the ramp is over.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Some(Phase::Full | Phase::Cleanup))
    }

    /// What comes into force once no drill and no freeze is in the way.
    pub(crate) fn due(&self) -> Percent {
        self.wanted().min(self.latch.map_or(Percent::FULL, |latch| latch.cap))
    }

    /// What is in force but for a drill, which gives back what it takes.
    pub(crate) fn let_through(&self) -> Percent {
        self.due().min(self.frozen_at.unwrap_or(Percent::FULL))
    }

    /// Whether going from `before` to this is a step forward: more users may get new, now or once a phase, a latch, the
    /// calendar or the end of a drill lets them. What is none can be done at once and written down afterwards.
    #[must_use]
    pub fn is_forward_from(&self, before: &Intent) -> bool {
        let (was, is) = (before.standing(), self.standing());
        is.in_force() > was.in_force()
            || is.asked > was.asked
            || is.wanted() > was.wanted()
            || is.cap > was.cap
            || self.due() > before.due()
            || self.let_through() > before.let_through()
    }

    /// How many steps the ramp has entered; 0 where there is none.
    #[must_use]
    pub fn steps_entered(&self) -> usize {
        self.progress.as_ref().map_or(0, |progress| progress.entered)
    }

    /// Whether nobody asked for a phase, so that it follows the percent.
    #[must_use]
    pub fn phase_is_implied(&self) -> bool {
        self.phase.is_none()
    }

    /// Whether the ramp has to wait since the migration is in a phase before it.
    #[must_use]
    pub fn is_before_the_ramp(&self) -> bool {
        matches!(self.phase, Some(Phase::Preparation | Phase::Shadow))
    }
}
