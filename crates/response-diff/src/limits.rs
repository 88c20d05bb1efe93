//! What a comparison may cost.

/// What one comparison may use up. Whatever exceeds it is [`NotCompared`](crate::NotCompared) or shown shortened, and
/// never called a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To how many bytes a body may decode, at each of its content codings.
    pub decoded_bytes: usize,
    /// How deep a document may nest; a scalar alone is 1 deep.
    pub depth: usize,
    /// How many values a document may have, arrays and objects included.
    pub nodes: usize,
    /// How many differences are listed. What more there is, is left out.
    pub findings: usize,
    /// How many pairs of values may be looked at, such as to find the partners of an unordered array's elements.
    pub work: usize,
    /// How many bytes of text are compared by lines; larger texts are one difference.
    pub text_bytes: usize,
    /// How many characters of a value are shown.
    pub shown_chars: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            decoded_bytes: 4 << 20,
            depth: 128,
            nodes: 200_000,
            findings: 64,
            work: 1_000_000,
            text_bytes: 64 << 10,
            shown_chars: 256,
        }
    }
}
