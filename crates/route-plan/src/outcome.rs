//! What became of one attempt: the vocabulary that the glue reports in, the metrics count in and the guard judges by.

use std::time::Duration;

use traffic_split::{Arm, Role};

/// Why an attempt at an upstream failed. Each is a failure of that upstream, never of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No endpoint of the upstream is healthy.
    NoEndpoint,
    /// As many requests or connections are in use as `limits` of the upstream allow, and no more may wait.
    Overloaded,
    /// No connection could be made: refused, unreachable, name not found.
    Connect,
    /// No connection within `timeouts.connect`.
    ConnectTimeout,
    /// No head of an answer within `timeouts.first_byte`.
    FirstByteTimeout,
    /// Neither side moved a byte for `timeouts.idle`, and it was the upstream's turn.
    IdleTimeout,
    /// Not done within `timeouts.total`.
    TotalTimeout,
    /// The connection ended before the answer's head was whole.
    Closed,
    /// The answer was cut short after its head.
    Truncated,
    /// The answer is not HTTP/1.1 as RFC 9112 has it.
    BadAnswer,
    /// An answer with a 5xx status.
    Status5xx,
    /// An answer with another status that the migration counts as a failure.
    StatusOther,
    /// An answer with a header that the migration counts as a failure.
    Header,
    /// The head of the answer took longer than `timeouts.fail_after`; the client got it all the same.
    Late,
}

impl Failure {
    /// Every reason, in the order of [`Failure::index`].
    pub const ALL: [Failure; 14] = [
        Failure::NoEndpoint,
        Failure::Overloaded,
        Failure::Connect,
        Failure::ConnectTimeout,
        Failure::FirstByteTimeout,
        Failure::IdleTimeout,
        Failure::TotalTimeout,
        Failure::Closed,
        Failure::Truncated,
        Failure::BadAnswer,
        Failure::Status5xx,
        Failure::StatusOther,
        Failure::Header,
        Failure::Late,
    ];

    /// Position in [`Failure::ALL`], for tables of counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The value of the `reason` label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Failure::NoEndpoint => "no-endpoint",
            Failure::Overloaded => "overloaded",
            Failure::Connect => "connect",
            Failure::ConnectTimeout => "connect-timeout",
            Failure::FirstByteTimeout => "first-byte-timeout",
            Failure::IdleTimeout => "idle-timeout",
            Failure::TotalTimeout => "total-timeout",
            Failure::Closed => "closed",
            Failure::Truncated => "truncated",
            Failure::BadAnswer => "bad-answer",
            Failure::Status5xx => "status-5xx",
            Failure::StatusOther => "status-other",
            Failure::Header => "header",
            Failure::Late => "late",
        }
    }

    /// Whether nothing of the request was sent, so that the upstream cannot have acted on it.
    #[must_use]
    pub const fn is_before_sending(self) -> bool {
        matches!(self, Failure::NoEndpoint | Failure::Overloaded | Failure::Connect | Failure::ConnectTimeout)
    }

    /// What a client is told when nothing of the answer has reached it: 503 where nobody was asked, 504 for what took too
    /// long, else 502 (RFC 9110 15.6.3 to 15.6.5).
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Failure::NoEndpoint | Failure::Overloaded => 503,
            Failure::ConnectTimeout
            | Failure::FirstByteTimeout
            | Failure::IdleTimeout
            | Failure::TotalTimeout => 504,
            _ => 502,
        }
    }
}

/// What is closed on new once its user has been back on old for `drain_after_rollback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drained {
    /// An upgraded connection.
    Tunnel,
    /// An answer whose body was still on its way.
    Stream,
}

impl Drained {
    /// Both, in the order of [`Drained::index`].
    pub const ALL: [Drained; 2] = [Drained::Tunnel, Drained::Stream];

    /// Position in [`Drained::ALL`], for tables of counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The value of the `kind` label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Drained::Tunnel => "tunnel",
            Drained::Stream => "stream",
        }
    }
}

/// One attempt, as it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The arm asked; `None` on a route that is no migration.
    pub arm: Option<Arm>,
    /// What the attempt was for.
    pub role: Role,
    /// Whether the bucket chose the arm: only then is it evidence for the guard.
    pub by_bucket: bool,
    /// The hash of the request's key, 0 where it had none: tells one user's trouble from everybody's.
    pub key: u64,
    /// Status of the answer that came from the upstream, if its head came.
    pub status: Option<u16>,
    /// Status that the client was given; differs from `status` when crossfade answered itself, and is `None` when
    /// another attempt answered.
    pub client_status: Option<u16>,
    /// Old answered instead.
    pub covered: bool,
    /// It took longer than `fail_after`, which was told when it did.
    pub hung: bool,
    /// It took more than one attempt at the same upstream.
    pub retried: bool,
    /// From the start of the attempt, or from the last byte of the request's body if that came later, to the
    /// head of the answer, or to the failure.
    pub to_head: Duration,
    /// From when the request's head was complete to the last byte of the answer handed to the kernel.
    pub total: Duration,
    /// Why the upstream failed, if it did.
    pub failure: Option<Failure>,
    /// Whether the client went away before its answer was complete.
    pub client_aborted: bool,
    /// Whether it was cut short on purpose, since its user was back on old: how it would have ended nobody knows.
    pub drained: bool,
}

impl Observation {
    /// Whether the answer came to its end. One that counts as a failure by its status, its fields or its time did.
    #[must_use]
    pub const fn has_whole_answer(&self) -> bool {
        let ended_well = matches!(
            self.failure,
            None | Some(Failure::Status5xx | Failure::StatusOther | Failure::Header | Failure::Late)
        );
        ended_well && self.status.is_some() && !self.drained && !self.client_aborted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use traffic_split::Role;

    use super::{Drained, Failure, Observation};

    #[test]
    fn an_answer_is_whole_when_it_came_to_its_end() {
        let well = Observation {
            arm: None,
            role: Role::Served,
            by_bucket: false,
            key: 0,
            status: Some(200),
            client_status: Some(200),
            covered: false,
            hung: false,
            retried: false,
            to_head: Duration::ZERO,
            total: Duration::ZERO,
            failure: None,
            client_aborted: false,
            drained: false,
        };
        assert!(well.has_whole_answer());
        assert!(!Observation { status: None, ..well }.has_whole_answer());
        assert!(!Observation { client_aborted: true, ..well }.has_whole_answer());
        assert!(!Observation { drained: true, ..well }.has_whole_answer());
        for failure in Failure::ALL {
            let by_what_it_says =
                matches!(failure.as_str(), "status-5xx" | "status-other" | "header" | "late");
            let failed = Observation { failure: Some(failure), ..well };
            assert_eq!(failed.has_whole_answer(), by_what_it_says, "{}", failure.as_str());
        }
    }

    #[test]
    fn labels_are_distinct_and_in_order() {
        for (at, failure) in Failure::ALL.iter().enumerate() {
            assert_eq!(failure.index(), at);
            assert!(matches!(failure.status(), 502..=504));
        }
        let mut labels: Vec<_> = Failure::ALL.iter().map(|f| f.as_str()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Failure::ALL.len());
        assert_eq!(Drained::ALL.map(Drained::index), [0, 1]);
        assert_eq!(Drained::ALL.map(Drained::as_str), ["tunnel", "stream"]);
    }
}
