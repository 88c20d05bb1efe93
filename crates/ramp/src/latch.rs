//! The latch: the mark that a rollback leaves, so that nothing goes forward again until somebody says so.

use std::fmt;

use traffic_split::Percent;

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
    /// The percent that is not exceeded, whatever is asked for.
    pub cap: Percent,
    /// Who or what asked for the rollback.
    pub cause: Cause,
}

/// An event that is not possible in the state that it met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// More was asked for than the latch lets through.
    Latched {
        /// What was asked for.
        wanted: Percent,
        /// What the latch lets through.
        cap: Percent,
    },
    /// Nothing is latched, so there is nothing to resume.
    NotLatched,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Latched { wanted, cap } => {
                write!(f, "latched at {cap} % since a rollback, so {wanted} % is refused; resume first")
            }
            Refusal::NotLatched => f.write_str("not latched, so there is nothing to resume"),
        }
    }
}

impl std::error::Error for Refusal {}
