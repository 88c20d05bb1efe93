//! Why a call got no good answer.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use ramp::hook_url::HookUrl;

use crate::MAX_ANSWER_BYTES;

/// A call that got no answer of 200 to 299. Its sentence names scheme, host and port of the address and nothing else
/// of it, since path and query may carry tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    origin: String,
    fault: Fault,
}

/// What went wrong, for who decides whether to call again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call cannot be made as it is; nothing was sent.
    NotSent {
        /// Why, as a sentence.
        cause: String,
    },
    /// The name was not resolved.
    Unresolved {
        /// What the resolver said.
        cause: String,
    },
    /// No address took the connection.
    Unreachable {
        /// What the system said, for each address where a name has several.
        cause: String,
    },
    /// TLS was not agreed upon, or the certificate is not trusted.
    Tls {
        /// What rustls said.
        cause: String,
    },
    /// The time for the whole call was over.
    Late {
        /// How far it had come.
        stage: Stage,
        /// The time that it had.
        timeout: Duration,
    },
    /// The connection ended before the answer did, or the answer is no HTTP/1.1.
    Broken {
        /// What hyper said.
        cause: String,
    },
    /// An answer with another status than 200 to 299.
    Status(u16),
    /// The answer's body is longer than [`MAX_ANSWER_BYTES`].
    TooLong,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The name is being resolved.
    Resolving,
    /// The connection is being made.
    Connecting,
    /// TLS is being agreed upon.
    Handshake,
    /// The request is sent, or being sent; the head of the answer is not there.
    Waiting,
    /// The head of the answer is there, its body is not.
    Receiving,
}

impl CallError {
    pub(crate) fn new(url: &HookUrl, fault: Fault) -> Self {
        Self { origin: url.origin(), fault }
    }

    /// What went wrong.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }
}

impl Display for CallError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let at = &self.origin;
        match &self.fault {
            Fault::NotSent { cause } => write!(f, "nothing was sent to {at}: {cause}"),
            Fault::Unresolved { cause } => write!(f, "cannot resolve the host of {at}: {cause}"),
            Fault::Unreachable { cause } => write!(f, "cannot connect to {at}: {cause}"),
            Fault::Tls { cause } => write!(f, "no secure connection to {at}: {cause}"),
            Fault::Late { stage, timeout } => {
                write!(f, "no answer from {at} within {}: {stage}", Seconds(*timeout))
            }
            Fault::Broken { cause } => write!(f, "no whole answer from {at}: {cause}"),
            Fault::Status(status @ 300..=399) => {
                write!(f, "{at} answered {status}, and redirects are not followed; name the final address")
            }
            Fault::Status(status) => write!(f, "{at} answered {status}"),
            Fault::TooLong => {
                write!(f, "the answer of {at} is longer than {} KiB", MAX_ANSWER_BYTES / 1024)
            }
        }
    }
}

impl Error for CallError {}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolving => "its name was not resolved",
            Self::Connecting => "it was not connected",
            Self::Handshake => "TLS was not agreed upon",
            Self::Waiting => "it had not begun to answer",
            Self::Receiving => "its answer had not ended",
        })
    }
}

/// `5 s`, or `250 ms` where it is no whole number of seconds.
struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.subsec_millis() {
            0 => write!(f, "{} s", self.0.as_secs()),
            _ => write!(f, "{} ms", self.0.as_millis()),
        }
    }
}

/// An error and what lies under it, as far as that says something new.
pub(crate) fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut under = error.source();
    while let Some(error) = under {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        under = error.source();
    }
    text
}
