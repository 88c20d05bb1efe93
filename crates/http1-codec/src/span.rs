//! Where in the caller's buffer something lies.

/// A range of bytes in the buffer that was parsed. Four bytes an end instead of eight keeps a head's list of
/// fields small; heads are limited far below 4 GiB.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Span {
    /// Index of the first byte.
    pub start: u32,
    /// Index after the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes that this span denotes in `buf`, which must be the buffer that was parsed. Empty when the
    /// span does not lie within `buf`; never panics.
    #[must_use]
    #[inline]
    pub fn of(self, buf: &[u8]) -> &[u8] {
        buf.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether it denotes no bytes.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// `start..end`. Ends beyond `u32` cannot occur within the limits; they would yield a span that denotes
    /// nothing.
    #[inline]
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start: narrow(start), end: narrow(end) }
    }
}

#[inline]
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
