//! What one comparison may cost, and what it may say.

/// Bounds of one comparison. What exceeds `depth`, `nodes` or `work` is [`NotCompared`](crate::NotCompared), never a
/// match; what exceeds `differences` or `shown` is left out of a mismatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To how many bytes a body may decode, at each of its content codings.
    pub decoded_bytes: usize,
    /// How many bytes of text are compared by lines; larger texts that differ are one difference.
    pub text_bytes: usize,
    /// How deep a JSON body may nest: `[[1]]` is 2 deep. More than [`Limits::DEEPEST`] counts as that.
    pub depth: usize,
    /// Values and member names that one JSON body may have.
    pub nodes: usize,
    /// Steps that one comparison may take: one for each pair of values looked at and for each 64 bytes compared, and
    /// one for each value that a filter looks at. A million take 20 to 100 ms.
    pub work: u64,
    /// Differences that one comparison lists. A comparison ends when it has found that many.
    pub differences: usize,
    /// Bytes of a value that a difference shows; what was cut off is marked by `…`.
    pub shown: usize,
}

impl Limits {
    /// The deepest nesting that can be asked for, so that walking a body cannot exhaust a thread's stack.
    pub const DEEPEST: usize = 256;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            decoded_bytes: 4 << 20,
            text_bytes: 64 << 10,
            depth: 128,
            nodes: 1_000_000,
            work: 4_000_000,
            differences: 100,
            shown: 256,
        }
    }
}

/// The steps that are left to one comparison.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    left: u64,
}

impl Work {
    pub(crate) fn new(limits: &Limits) -> Work {
        Work { left: limits.work }
    }

    /// Takes steps. When they are not there, nothing is left.
    pub(crate) fn take(&mut self, steps: u64) {
        self.left = self.left.saturating_sub(steps);
    }

    /// Takes the steps of looking at this many bytes.
    pub(crate) fn take_bytes(&mut self, bytes: usize) {
        self.take(1 + bytes as u64 / 64);
    }

    /// Whether the limit was reached: what was found since then is worth nothing.
    pub(crate) fn is_spent(&self) -> bool {
        self.left == 0
    }
}
