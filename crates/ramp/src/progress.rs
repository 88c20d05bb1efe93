//! How far a ramp is.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use traffic_split::Percent;

use crate::policy::Policy;

/// How far a ramp is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many steps were entered; the last of them is the present one.
    pub entered: usize,
    /// How long the present step was served, as noted last.
    pub held: Duration,
    /// Somebody said that it may go on after the present step.
    pub approved: bool,
    /// Going back was tried in the present step, and went well.
    pub drilled: bool,
    /// Why it does not move.
    pub paused: Option<Pause>,
    /// When everybody came to get new, and the ramp was over.
    pub arrived_at: Option<Timestamp>,
}

/// Why a ramp does not move until somebody resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Somebody paused it.
    Asked,
    /// Somebody asked for a percent or a phase, without evidence.
    Intent,
    /// Going back was tried and did not go well.
    Drill,
}

impl Pause {
    /// All of them.
    pub const ALL: [Pause; 3] = [Pause::Asked, Pause::Intent, Pause::Drill];

    /// The word used in the journal and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Pause::Asked => "asked",
            Pause::Intent => "intent",
            Pause::Drill => "drill",
        }
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pause::Asked => "somebody paused it",
            Pause::Intent => "somebody asked for a percent or a phase by hand",
            Pause::Drill => "the rollback drill did not go well",
        })
    }
}

impl Progress {
    /// A ramp that goes on from this percentage: in the step of that percentage, or in the one below. `None` where there
    /// is no ramp.
    #[must_use]
    pub fn at(percent: Percent, policy: &Policy) -> Option<Progress> {
        let entered = policy.steps_within(percent);
        (!policy.steps.is_empty()).then(|| Progress { entered, ..Progress::default() })
    }

    /// Goes on from this percentage. In the step in which it was it stays as it is, but for a pause.
    pub(crate) fn go_on_at(&mut self, percent: Percent, policy: &Policy) {
        let entered = policy.steps_within(percent);
        if entered != self.entered {
            *self = Progress { entered, ..Progress::default() };
        }
        self.paused = None;
    }

    pub(crate) fn enter(&mut self, step: usize) {
        *self = Progress { entered: step + 1, ..Progress::default() };
    }
}
