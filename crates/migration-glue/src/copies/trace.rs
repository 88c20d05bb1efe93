//! A copy's place in the trace of its request.

/// A `traceparent` of version 00 (W3C Trace Context, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildTrace([u8; 55]);

impl ChildTrace {
    /// A span below the one that the client names, with this id, of which 0 is none. `None` where the client's value cannot
    /// be read. A later version is read as far as this one goes, and answered in this one (section 3.2.4 there).
    #[must_use]
    pub fn of(parent: &[u8], id: u64) -> Option<ChildTrace> {
        let (known, behind) = parent.split_first_chunk::<55>()?;
        let is_hex = |bytes: &[u8]| bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == b'0');
        let (version, trace, span, flags) = (&known[..2], &known[3..35], &known[36..52], &known[53..]);
        let well_formed = [2, 35, 52].iter().all(|at| known[*at] == b'-')
            && [version, trace, span, flags].into_iter().all(is_hex)
            && !is_zero(trace)
            && !is_zero(span)
            && version != b"ff"
            && (behind.is_empty() || (version != b"00" && behind[0] == b'-'));
        if !well_formed {
            return None;
        }
        let mut child = *known;
        child[..2].copy_from_slice(b"00");
        const HEX: &[u8; 16] = b"0123456789abcdef";
        for (pair, byte) in child[36..52].as_chunks_mut::<2>().0.iter_mut().zip(id.max(1).to_be_bytes()) {
            *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
        }
        Some(ChildTrace(child))
    }

    /// The value of the field, which is plain ASCII.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn child(parent: &[u8]) -> Option<String> {
        ChildTrace::of(parent, 0xabc).map(|child| String::from_utf8(child.0.to_vec()).unwrap())
    }

    #[test]
    fn a_copy_is_another_span_of_the_same_trace() {
        let expected = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000abc-01";
        assert_eq!(child(PARENT).as_deref(), Some(expected));
        let later = b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes";
        assert_eq!(child(later).as_deref(), Some(expected));
        assert!(ChildTrace::of(PARENT, 0).is_some_and(|child| child.0.ends_with(b"-0000000000000001-01")));
    }

    #[test]
    fn what_cannot_be_read_has_no_children() {
        for bad in [
            &b""[..],
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            b"00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"\xff\xff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(child(bad), None, "{}", bad.escape_ascii());
        }
    }
}
