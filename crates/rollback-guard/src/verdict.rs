//! What the guard says.

use std::fmt;
use std::time::Duration;

use crate::Cause;

/// The guard's word on new, as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Nothing speaks against new, but too little has been seen to call it no worse.
    Insufficient,
    /// New has been shown to be no worse within the margin, since the step began.
    Healthy,
    /// New is a little worse, or cannot be blamed alone: the ramp is held. Clears by itself.
    Degraded,
    /// New is worse than is tolerated: users go back. Stays until [`crate::Guard::resume`].
    Breached,
    /// There is nothing to judge new by: old has no traffic, and no limit of its own is set.
    Unguarded,
}

impl Verdict {
    /// All verdicts, from the order of the life of a step.
    pub const ALL: [Verdict; 5] =
        [Verdict::Insufficient, Verdict::Healthy, Verdict::Degraded, Verdict::Breached, Verdict::Unguarded];

    /// The word used in status, metrics and journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Insufficient => "insufficient",
            Verdict::Healthy => "healthy",
            Verdict::Degraded => "degraded",
            Verdict::Breached => "breached",
            Verdict::Unguarded => "unguarded",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What one tick came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why new is breached or degraded; else which signal is still to be shown no worse, if any.
    pub cause: Option<Cause>,
    /// The logarithm of the evidence for rolling back. At 0 and above, the guard rolls back.
    pub ln_w: f64,
    /// The logarithm of the evidence for holding the ramp. At 0 and above, the ramp is held.
    pub ln_pause: f64,
    /// Whether the ramp may go on, as far as the guard is asked: new shown to be no worse, nothing held or breached,
    /// and old within its own limit.
    pub may_advance: bool,
    /// Whether old itself is above the limit, so that nothing can be learned about new.
    pub old_over_limit: bool,
    /// Whether a slot of the burst cap ended with this tick.
    pub slot_ended: bool,
}

/// Requests and failures of one arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that ended.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
}

/// What was known when new was found to be worse than is tolerated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breach {
    /// The signal with the largest share of the evidence.
    pub cause: Cause,
    /// How much judged time the guard had behind it.
    pub at: Duration,
    /// The logarithm of the evidence.
    pub ln_w: f64,
    /// New since the step began.
    pub new: Tally,
    /// Old since the step began.
    pub old: Tally,
}

/// What is tolerated of a signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Margin {
    /// Old's rate and this share of all requests.
    RateOverOld(f64),
    /// Old's latency times this, or the latency floor more where that is more.
    TimesOld(f64),
    /// This share.
    Rate(f64),
    /// This latency, for all but the quantile's rest.
    Latency(Duration),
}

/// What is known of one signal since the step began: for status and journal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignalEvidence {
    /// Which signal, against which line.
    pub cause: Cause,
    /// What is tolerated.
    pub margin: Margin,
    /// The logarithm of its part of the evidence.
    pub ln_w: f64,
    /// Requests of new that were judged.
    pub new: u64,
    /// The bad ones: failed, slower than the line, or whatever the signal is about.
    pub new_bad: u64,
    /// Requests of old that were judged.
    pub old: u64,
    /// The bad ones. A slow request of old is one past old's own quantile.
    pub old_bad: u64,
}

/// How many more requests of new something takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Requests of new, at least 1.
    pub requests: u64,
    /// How long that is at present traffic; `None` while new has none.
    pub time: Option<Duration>,
}
