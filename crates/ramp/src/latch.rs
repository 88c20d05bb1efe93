//! The latch: the mark that a rollback leaves, so that nothing goes forward again until somebody says so.

use std::fmt;

use jiff::Timestamp;
use route_plan::Phase;
use traffic_split::Percent;

use crate::calendar::Closed;

/// What the guard judges by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// The share of requests that fail.
    ErrorRate,
    /// The time to the answer.
    Latency,
    /// The share of requests that are answered with 4xx.
    ClientErrors,
    /// The share of comparisons that differ.
    Mismatches,
}

/// Who or what asked for a rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// A person, or a program in a person's name.
    Person,
    /// The guard, by this metric.
    Guard(Metric),
}

impl Cause {
    /// Every cause, as metrics list them.
    pub const ALL: [Cause; 5] = [
        Cause::Person,
        Cause::Guard(Metric::ErrorRate),
        Cause::Guard(Metric::Latency),
        Cause::Guard(Metric::ClientErrors),
        Cause::Guard(Metric::Mismatches),
    ];

    /// The word used in metrics, the journal and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Cause::Person => "person",
            Cause::Guard(Metric::ErrorRate) => "error_rate",
            Cause::Guard(Metric::Latency) => "latency",
            Cause::Guard(Metric::ClientErrors) => "client_errors",
            Cause::Guard(Metric::Mismatches) => "mismatches",
        }
    }

    /// The cause that has this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == word)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The mark of a rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latch {
    /// The percent that is not exceeded, whatever is asked for. While users return in parts it is on its way to
    /// [`Latch::target`].
    pub cap: Percent,
    /// Where the rollback leads to.
    pub target: Percent,
    /// What was in force before.
    pub from: Percent,
    /// The phase while it is latched at 0; `None`: as it was.
    pub then: Option<Phase>,
    /// Who or what asked for the rollback.
    pub cause: Cause,
}

/// In how many parts users return where they do not all at once.
const PARTS: u32 = 10;

impl Latch {
    /// Whether users are still on their way back.
    #[must_use]
    pub fn is_returning(&self) -> bool {
        self.cap > self.target
    }

    /// What is not exceeded after the next part.
    #[must_use]
    pub fn next_cap(&self) -> Percent {
        let part = self.from.millionths().saturating_sub(self.target.millionths()).div_ceil(PARTS);
        let cap = self.cap.min(self.from).millionths().saturating_sub(part);
        Percent::from_millionths(cap).unwrap_or(Percent::ZERO).max(self.target)
    }

    /// How many parts there are in all.
    #[must_use]
    pub const fn parts() -> u32 {
        PARTS
    }
}

/// An event that is not possible in the state that it met. Its sentence goes on after "NAME is".
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// More was asked for than the latch lets through.
    Latched {
        /// What was asked for.
        wanted: Percent,
        /// What the latch lets through.
        cap: Percent,
    },
    /// Nothing is latched or paused, so there is nothing to resume.
    NothingToResume,
    /// The migration has no ramp.
    NoRamp,
    /// It was given up.
    Aborted(Aborted),
    /// The calendar is closed.
    Closed(Closed),
    /// The ramp waits for something else than a word.
    Waits(String),
    /// No user is on new, or all are taken back already, so there is nothing to try.
    NothingToDrill,
    /// A drill is under way already, or none.
    Drill,
    /// It is not so any more.
    Stale,
}

/// Why a migration goes forward by force alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aborted {
    /// It was rolled back too often.
    Rollbacks {
        /// So often, in this attempt.
        count: u32,
        /// So often is too often.
        limit: u32,
    },
    /// It had to be done by then.
    Deadline(Timestamp),
}

impl fmt::Display for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Aborted::Rollbacks { count, limit } => {
                write!(f, "aborted: rolled back {count} times, and `abort.rollbacks` is {limit}")
            }
            Aborted::Deadline(at) => write!(f, "aborted: its `abort.deadline` {at} is over"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Latched { wanted, cap } => {
                write!(f, "latched at {cap} % since a rollback, so {wanted} % is refused; resume first")
            }
            Refusal::NothingToResume => {
                f.write_str("neither latched nor paused, so there is nothing to resume")
            }
            Refusal::NoRamp => f.write_str("without a ramp, so there is nothing to pause or advance"),
            Refusal::Aborted(aborted) => {
                write!(
                    f,
                    "{aborted}; `--force` with a reason goes forward all the same, a higher `attempt` begins anew"
                )
            }
            Refusal::Closed(closed) => {
                write!(f, "not to be raised during {closed}; `--force` with a reason does it all the same")
            }
            Refusal::Waits(what) => write!(f, "not ready to advance: {what}"),
            Refusal::NothingToDrill => {
                f.write_str("latched or at 0 %, so there is nothing to try in a drill")
            }
            Refusal::Drill => f.write_str("in a rollback drill already, or not in one any more"),
            Refusal::Stale => f.write_str("not any more where this was decided"),
        }
    }
}

impl std::error::Error for Refusal {}
