//! When old answers a request that new has failed. Pure: what is allowed is decided here, the data plane carries it out.
//!
//! The rule is that a client must never be worse off for having been sent to new, and that nothing is ever carried out
//! twice that the operator did not say may be. So:
//!
//! | how far new got | safe method or listed | other |
//! |---|---|---|
//! | no connection, no healthy endpoint, its limits reached | old answers | old answers: new never saw it |
//! | the request may have reached it: broken off, timed out, no valid answer | old answers | new's failure is passed on |
//! | it answered with one of `fallback.statuses`, nothing was sent to the client | old answers | its answer is passed on |
//! | it answered otherwise, or the answer is on its way to the client | its answer is passed on | its answer is passed on |
//!
//! A request that was sent once on a connection that turned out to be closed may have reached new, however the attempt to
//! repeat it ended: it is in the second row.
//!
//! Also passed on is whatever failed when the received part of the request's body is over `fallback.body_bytes` and so
//! was not kept, when the time for the whole request is over, when the client is gone, or when as many fallbacks as
//! `fallback.concurrency` are under way. A request whose body is still arriving can fall back: old gets what was kept and
//! then the rest. `FALLBACK.md` beside this crate has every case; a test reads it.

use crate::matching::RouteTable;
use crate::outcome::Failure;

/// What a migration's file says about falling back.
#[derive(Clone, Debug)]
pub struct FallbackPolicy {
    /// How long new may take for the head of its answer (for a short answer: for all of it) before old is asked, in
    /// milliseconds.
    pub after_ms: u32,
    /// Statuses of new for which old is asked.
    pub statuses: Statuses,
    /// Requests that may be carried out twice although their method is not safe. What it leads to means nothing.
    pub listed: RouteTable,
    /// How much of a request's content is kept so that it can be sent to old, in bytes.
    pub body_bytes: u32,
    /// Fallbacks under way at once, in the whole process.
    pub concurrency: u32,
}

impl Default for FallbackPolicy {
    fn default() -> Self {
        Self {
            after_ms: 1_000,
            statuses: Statuses::of(&[500, 502, 503, 504]),
            listed: RouteTable::default(),
            body_bytes: 64 << 10,
            concurrency: 1_000,
        }
    }
}

/// A set of statuses from 500 to 599: what is no failure of the server is none of new either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statuses([u64; 2]);

impl Statuses {
    /// The set of these statuses; others than 500 to 599 are not in it.
    #[must_use]
    pub fn of(statuses: &[u16]) -> Self {
        let mut set = Self::default();
        for (word, bit) in statuses.iter().filter_map(|&status| place(status)) {
            set.0[word] |= bit;
        }
        set
    }

    /// Whether it has this status.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        place(status).is_some_and(|(word, bit)| self.0[word] & bit != 0)
    }
}

fn place(status: u16) -> Option<(usize, u64)> {
    let at = usize::from(status.checked_sub(500)?);
    (at < 100).then_some((at / 64, 1 << (at % 64)))
}

/// What a plan says about falling back for one request. Small, since every request under way carries one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Index of the upstream that answers instead, in [`crate::Snapshot::upstreams`].
    pub upstream: u32,
    /// See [`FallbackPolicy::after_ms`].
    pub after_ms: u32,
    /// See [`FallbackPolicy::statuses`].
    pub statuses: Statuses,
    /// See [`FallbackPolicy::body_bytes`].
    pub body_bytes: u32,
    /// See [`FallbackPolicy::concurrency`].
    pub concurrency: u32,
    /// The request may be carried out twice: its method is safe (RFC 9110 section 9.2.1), or it is listed.
    pub replayable: bool,
}

/// How an attempt at new ended, as far as the decision goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It failed before an answer could be passed on.
    Failed(Failure),
    /// It answered with this status, and nothing of the answer has been passed on.
    Answered(u16),
    /// The client went away or broke the rules, or crossfade itself can do no more: nobody is to be asked.
    Client,
}

/// What else the decision depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// Something other than `100 Continue` has been sent to the client.
    pub begun: bool,
    /// The request was sent before the attempt that failed, on a connection that closed: it may have reached new.
    pub sent: bool,
    /// A part of the request's content was received that has not been kept.
    pub body_lost: bool,
    /// Fallbacks under way, this one not counted.
    pub under_way: u32,
}

/// Why new's failure is passed on although the migration falls back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kept {
    /// The request may have reached new, and may not be carried out twice.
    NotReplayable,
    /// More of its content arrived than is kept.
    BodyTooLarge,
    /// A part of an answer has been sent.
    AnswerBegun,
    /// As many fallbacks are under way as may be.
    TooMany,
    /// The time for the whole request is over.
    TimeIsUp,
}

impl Kept {
    /// Every reason, in the order of [`Kept::index`].
    pub const ALL: [Kept; 5] =
        [Kept::NotReplayable, Kept::BodyTooLarge, Kept::AnswerBegun, Kept::TooMany, Kept::TimeIsUp];

    /// Position in [`Kept::ALL`], for tables of counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The value of the `reason` label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kept::NotReplayable => "not-replayable",
            Kept::BodyTooLarge => "body-too-large",
            Kept::AnswerBegun => "answer-begun",
            Kept::TooMany => "too-many",
            Kept::TimeIsUp => "time-is-up",
        }
    }
}

/// What is to happen after an attempt at new has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Old is asked.
    FallBack,
    /// What new did is passed on, and nothing else was to be considered.
    PassOn,
    /// What new did is passed on although old might have done better.
    Keep(Kept),
}

impl Fallback {
    /// What is to happen after an attempt at new.
    #[must_use]
    pub fn decide(&self, ended: Ended, circumstances: Circumstances) -> Decision {
        let never_reached = match ended {
            Ended::Client => return Decision::PassOn,
            Ended::Answered(status) if !self.statuses.contains(status) => return Decision::PassOn,
            Ended::Answered(_) => false,
            Ended::Failed(Failure::TotalTimeout) => return Decision::Keep(Kept::TimeIsUp),
            Ended::Failed(failure) => failure.is_before_sending() && !circumstances.sent,
        };
        if circumstances.begun {
            Decision::Keep(Kept::AnswerBegun)
        } else if !never_reached && !self.replayable {
            Decision::Keep(Kept::NotReplayable)
        } else if circumstances.body_lost {
            Decision::Keep(Kept::BodyTooLarge)
        } else if circumstances.under_way >= self.concurrency {
            Decision::Keep(Kept::TooMany)
        } else {
            Decision::FallBack
        }
    }
}

#[cfg(test)]
mod tests;
