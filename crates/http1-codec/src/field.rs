//! One field line, and the names that a proxy acts on.

use alloc::vec::Vec;

use crate::Span;

/// A field line of a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Its name, in the case it came in.
    pub name: Span,
    /// Its value, without the white space around it.
    pub value: Span,
    /// The whole line with its CRLF.
    pub line: Span,
    /// Which field it is, if it is one that the proxy acts on.
    pub id: FieldId,
    /// The line is exactly `name: value` CRLF, so that its bytes may be copied through.
    pub verbatim: bool,
    /// The field is for this connection only and must not be forwarded: `Connection` and what it names,
    /// `Keep-Alive`, `Proxy-Connection`, `TE`, `Transfer-Encoding`, `Upgrade` (RFC 9110 section 7.6.1).
    /// `Trailer` is not among them, as trailers are forwarded.
    pub hop: bool,
}

/// Fields that the proxy itself acts on, recognised while parsing so that nobody compares names twice.
#[allow(missing_docs, reason = "each is named like its field")]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum FieldId {
    /// Any other field.
    #[default]
    Other,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    KeepAlive,
    ProxyConnection,
    ProxyAuthenticate,
    ProxyAuthorization,
    Te,
    Trailer,
    Upgrade,
    Expect,
    Via,
    Forwarded,
    XForwardedFor,
    XForwardedHost,
    XForwardedProto,
    XForwardedPort,
    XRealIp,
    XRequestId,
    Traceparent,
    Cookie,
    SetCookie,
    Authorization,
    Date,
    Server,
    Location,
    ContentType,
    ContentEncoding,
    RetryAfter,
    MaxForwards,
    /// Any name that begins with `crossfade-`. Also with `crossfade_`, which CGI-like systems cannot tell
    /// from it.
    Crossfade,
}

impl FieldId {
    /// The field called `name`, a token in any case.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let Some(first) = name.first() else { return Self::Other };
        let first = first.to_ascii_lowercase();
        for &(candidate, id) in candidates(name.len(), first) {
            if is_name(candidate, name) {
                return id;
            }
        }
        if first == b'c'
            && let Some((prefix, [b'-' | b'_', ..])) = name.split_at_checked(PREFIX.len())
            && prefix.eq_ignore_ascii_case(PREFIX)
        {
            return Self::Crossfade;
        }
        Self::Other
    }

    /// Whether the field is for one connection only, whether or not `Connection` names it.
    pub(crate) fn is_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }

    /// One bit of a set of identifiers; none for `Other`.
    #[inline]
    pub(crate) fn bit(self) -> u64 {
        if self == Self::Other { 0 } else { 1 << (self as u8) }
    }
}

/// `name` with each `_` as `-`, `None` where it has none. Many application servers read the two alike, as CGI did, so a
/// name that is reserved in one spelling has to be so in the other.
#[must_use]
pub fn dashed(name: &[u8]) -> Option<Vec<u8>> {
    if !has_underscore(name) {
        return None;
    }
    Some(name.iter().map(|&byte| if byte == b'_' { b'-' } else { byte }).collect())
}

/// Eight bytes at a time, since this runs for most fields.
#[inline]
fn has_underscore(name: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // A byte that is 0 borrows; whether there is any is exact.
    let in_eight = |eight: &[u8; 8]| {
        let zero_where_it_is = u64::from_ne_bytes(*eight) ^ (ONES * b'_' as u64);
        zero_where_it_is.wrapping_sub(ONES) & !zero_where_it_is & (ONES << 7)
    };
    let Some(end) = name.last_chunk::<8>() else { return name.contains(&b'_') };
    name.as_chunks::<8>().0.iter().fold(in_eight(end), |found, eight| found | in_eight(eight)) != 0
}

const PREFIX: &[u8] = b"crossfade";

/// Whether `name` is `candidate` in any case; both have the same length. Eight bytes at a time, since this runs for
/// every field. Setting the bit that makes letters small is harmless in `-`, which has it; what else becomes a letter
/// or `-` by it is no token character.
#[inline]
fn is_name(candidate: &[u8], name: &[u8]) -> bool {
    let small = |eight: &[u8; 8]| u64::from_ne_bytes(*eight) | 0x2020_2020_2020_2020;
    // The last eight overlap the ones before them, so that there is no remainder to go through.
    let (Some(end), Some(name_end)) = (candidate.last_chunk::<8>(), name.last_chunk::<8>()) else {
        return candidate.eq_ignore_ascii_case(name);
    };
    let (wide, name_wide) = (candidate.as_chunks::<8>().0, name.as_chunks::<8>().0);
    u64::from_ne_bytes(*end) == small(name_end)
        && wide.iter().zip(name_wide).all(|(ours, theirs)| u64::from_ne_bytes(*ours) == small(theirs))
}

/// The names of one length that begin with one letter, in lower case.
#[inline]
fn candidates(name_bytes: usize, first: u8) -> &'static [(&'static [u8], FieldId)] {
    match (name_bytes, first) {
        (2, b't') => &[(b"te", FieldId::Te)],
        (3, b'v') => &[(b"via", FieldId::Via)],
        (4, b'h') => &[(b"host", FieldId::Host)],
        (4, b'd') => &[(b"date", FieldId::Date)],
        (6, b'c') => &[(b"cookie", FieldId::Cookie)],
        (6, b's') => &[(b"server", FieldId::Server)],
        (6, b'e') => &[(b"expect", FieldId::Expect)],
        (7, b'u') => &[(b"upgrade", FieldId::Upgrade)],
        (7, b't') => &[(b"trailer", FieldId::Trailer)],
        (8, b'l') => &[(b"location", FieldId::Location)],
        (9, b'f') => &[(b"forwarded", FieldId::Forwarded)],
        (9, b'x') => &[(b"x-real-ip", FieldId::XRealIp)],
        (10, b'c') => &[(b"connection", FieldId::Connection)],
        (10, b's') => &[(b"set-cookie", FieldId::SetCookie)],
        (10, b'k') => &[(b"keep-alive", FieldId::KeepAlive)],
        (11, b't') => &[(b"traceparent", FieldId::Traceparent)],
        (11, b'r') => &[(b"retry-after", FieldId::RetryAfter)],
        (12, b'c') => &[(b"content-type", FieldId::ContentType)],
        (12, b'x') => &[(b"x-request-id", FieldId::XRequestId)],
        (12, b'm') => &[(b"max-forwards", FieldId::MaxForwards)],
        (13, b'a') => &[(b"authorization", FieldId::Authorization)],
        (14, b'c') => &[(b"content-length", FieldId::ContentLength)],
        (15, b'x') => &[(b"x-forwarded-for", FieldId::XForwardedFor)],
        (16, b'x') => {
            &[(b"x-forwarded-host", FieldId::XForwardedHost), (b"x-forwarded-port", FieldId::XForwardedPort)]
        }
        (16, b'c') => &[(b"content-encoding", FieldId::ContentEncoding)],
        (16, b'p') => &[(b"proxy-connection", FieldId::ProxyConnection)],
        (17, b't') => &[(b"transfer-encoding", FieldId::TransferEncoding)],
        (17, b'x') => &[(b"x-forwarded-proto", FieldId::XForwardedProto)],
        (18, b'p') => &[(b"proxy-authenticate", FieldId::ProxyAuthenticate)],
        (19, b'p') => &[(b"proxy-authorization", FieldId::ProxyAuthorization)],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::{FieldId, candidates, dashed};

    #[test]
    fn candidates_stand_under_their_own_length_and_letter() {
        let mut known = 0;
        for name_bytes in 0..64 {
            for first in 0..=u8::MAX {
                for &(name, id) in candidates(name_bytes, first) {
                    assert_eq!((name.len(), name[0]), (name_bytes, first), "{id:?}");
                    assert_eq!(FieldId::of(name), id);
                    assert_eq!(FieldId::of(&name.to_ascii_uppercase()), id);
                    assert!((id as u8) < 64, "fits a set of 64 bits");
                    for at in 0..name.len() {
                        let mut other = name.to_vec();
                        other[at] = if other[at] == b'q' { b'w' } else { b'q' };
                        assert_eq!(FieldId::of(&other), FieldId::Other, "{}", other.escape_ascii());
                    }
                    known += 1;
                }
            }
        }
        assert_eq!(
            known,
            FieldId::Crossfade as u8 - 1,
            "each identifier but the first and the last has one name"
        );
    }

    #[test]
    fn an_underscore_is_found_wherever_it_stands() {
        for len in 0..40 {
            let plain = std::vec![b'x'; len];
            assert_eq!(dashed(&plain), None);
            for other in [b'^', b'`', b'-', 0, 0xff] {
                assert_eq!(dashed(&std::vec![other; len]), None, "{other}");
            }
            for at in 0..len {
                let mut name = plain.clone();
                name[at] = b'_';
                let mut expected = plain.clone();
                expected[at] = b'-';
                assert_eq!(dashed(&name), Some(expected));
            }
        }
    }

    #[test]
    fn the_reserved_prefix_is_recognised_in_both_spellings() {
        for name in [&b"crossfade-shadow"[..], b"Crossfade-Arm", b"CROSSFADE_ARM", b"crossfade-"] {
            assert_eq!(FieldId::of(name), FieldId::Crossfade);
        }
        for name in [&b"crossfade"[..], b"crossfades-x", b"x-crossfade-arm", b""] {
            assert_eq!(FieldId::of(name), FieldId::Other);
        }
    }
}
