//! A request that was copied, with both its answers: what the data plane hands to those who compare.

use std::fmt;
use std::sync::Arc;

use traffic_split::Arm;

use crate::shadow::NotCopied;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The migration's name.
    pub migration: Arc<str>,
    /// The arm whose answer the user got.
    pub served: Arm,
    /// The method.
    pub method: Box<[u8]>,
    /// The host that was asked, without a port; may be empty.
    pub host: Box<[u8]>,
    /// Path and query as they were received, in origin form.
    pub target: Box<[u8]>,
    /// The request id, which both legs carry.
    pub request_id: Box<[u8]>,
    /// What may be secret of the client's own header fields, so that it is known where an answer repeats it: credentials,
    /// cookies and all fields that HTTP does not know. Where there is content, what it is written in too.
    pub fields: FieldLines,
    /// Its content, without transfer codings: for the same reason, where it has any.
    pub content: Box<[u8]>,
    /// The hash of the key, 0 where there was none.
    pub key: u64,
    /// When the request came, in milliseconds since 1970 by the wall clock.
    pub at_ms: u64,
}

/// One captured answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Its status.
    pub status: u16,
    /// Its header fields.
    pub headers: FieldLines,
    /// Its trailer fields.
    pub trailers: FieldLines,
    /// What came of its body, without transfer codings.
    pub body: CapturedBody,
    /// From the start of the attempt, or the last byte of the request's body if later, to the head of the answer, in
    /// microseconds.
    pub to_head_us: u64,
}

/// The body of a captured answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CapturedBody {
    /// All of it.
    Whole(Vec<u8>),
    /// More than [`crate::ShadowPolicy::capture_bytes`].
    Hashed {
        /// Its length in bytes.
        bytes: u64,
        /// XXH3-128 of its bytes, seed 0.
        hash: u128,
    },
    /// It did not come to its end.
    Incomplete(NotCopied),
}

/// Header or trailer fields, one after the other, in the order in which they came.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FieldLines(Vec<u8>);

impl FieldLines {
    /// No fields.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// No fields, with room for so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Adds one. `name` is a token and `value` has no line breaks, as every parsed field.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.0.extend_from_slice(name);
        self.0.push(b':');
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let lines = self.0.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((&line[..colon], &line[colon + 1..]))
        })
    }

    /// How much memory they take, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for FieldLines {
    /// Names only: values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| String::from_utf8_lossy(name))).finish()
    }
}

/// A request as it can be sent once more to either arm: a safe one without a body.
#[derive(Clone, PartialEq, Eq)]
pub struct Again {
    /// The heads as they go to old and to new, by [`Arm::index`], marked as copies.
    pub heads: [Box<[u8]>; 2],
}

impl fmt::Debug for Again {
    /// Never shows the heads, which carry credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Again").finish_non_exhaustive()
    }
}

/// A copied request with both its answers.
#[derive(Clone, Debug)]
pub struct Pair {
    /// What was asked for.
    pub asked: Asked,
    /// The answers of old and new, by [`Arm::index`].
    pub answers: [Captured; 2],
    /// The request, if it may be sent again.
    pub again: Option<Again>,
}

/// Takes pairs, to compare them.
pub trait Compares: Send + Sync {
    /// Takes a pair, or gives it back at once when as many wait as may. Never blocks.
    ///
    /// # Errors
    /// The pair, with the reason.
    fn take(&self, pair: Box<Pair>) -> Result<(), NotCopied>;

    /// Whether one more pair would be taken at the moment. Asked before a request is copied, so that nothing is sent whose
    /// answer nobody would look at. Never blocks.
    ///
    /// # Errors
    /// What there is too little of: [`NotCopied::Budget`] is processor time, [`NotCopied::QueueFull`] and
    /// [`NotCopied::Memory`] are places for pairs that wait, and what they hold.
    fn room(&self) -> Result<(), NotCopied>;
}

/// What becomes of a request that is asked again.
pub type Answered = Box<dyn FnOnce(Result<Captured, NotCopied>) + Send>;

/// Sends requests once more, as copies.
pub trait Asks: Send + Sync {
    /// Sends the request to an arm of its migration and tells `answered` what came of it, exactly once and on another
    /// thread; also when it is turned away. Never blocks.
    fn ask(&self, migration: &str, again: &Again, arm: Arm, answered: Answered);
}
