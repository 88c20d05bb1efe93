//! One field line, and the names that a proxy acts on.

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
        for &(candidate, id) in candidates(name.len()) {
            if candidate.first() == Some(&first) && is_name(candidate, name) {
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

const PREFIX: &[u8] = b"crossfade";

/// Whether `name` is `candidate` in any case; both have the same length. Eight bytes at a time, since this runs for
/// every field. Setting the bit that makes letters small is harmless in `-`, which has it; what else becomes a letter
/// or `-` by it is no token character.
#[inline]
fn is_name(candidate: &[u8], name: &[u8]) -> bool {
    let ((wide, rest), (name_wide, name_rest)) = (candidate.as_chunks::<8>(), name.as_chunks::<8>());
    let small = |eight: &[u8; 8]| u64::from_ne_bytes(*eight) | 0x2020_2020_2020_2020;
    wide.iter().zip(name_wide).all(|(ours, theirs)| u64::from_ne_bytes(*ours) == small(theirs))
        && rest.eq_ignore_ascii_case(name_rest)
}

/// The names of one length, in lower case.
#[inline]
fn candidates(name_bytes: usize) -> &'static [(&'static [u8], FieldId)] {
    match name_bytes {
        2 => &[(b"te", FieldId::Te)],
        3 => &[(b"via", FieldId::Via)],
        4 => &[(b"host", FieldId::Host), (b"date", FieldId::Date)],
        6 => &[(b"cookie", FieldId::Cookie), (b"server", FieldId::Server), (b"expect", FieldId::Expect)],
        7 => &[(b"upgrade", FieldId::Upgrade), (b"trailer", FieldId::Trailer)],
        8 => &[(b"location", FieldId::Location)],
        9 => &[(b"forwarded", FieldId::Forwarded), (b"x-real-ip", FieldId::XRealIp)],
        10 => &[
            (b"connection", FieldId::Connection),
            (b"set-cookie", FieldId::SetCookie),
            (b"keep-alive", FieldId::KeepAlive),
        ],
        11 => &[(b"traceparent", FieldId::Traceparent), (b"retry-after", FieldId::RetryAfter)],
        12 => &[
            (b"content-type", FieldId::ContentType),
            (b"x-request-id", FieldId::XRequestId),
            (b"max-forwards", FieldId::MaxForwards),
        ],
        13 => &[(b"authorization", FieldId::Authorization)],
        14 => &[(b"content-length", FieldId::ContentLength)],
        15 => &[(b"x-forwarded-for", FieldId::XForwardedFor)],
        16 => &[
            (b"x-forwarded-host", FieldId::XForwardedHost),
            (b"x-forwarded-port", FieldId::XForwardedPort),
            (b"content-encoding", FieldId::ContentEncoding),
            (b"proxy-connection", FieldId::ProxyConnection),
        ],
        17 => &[
            (b"transfer-encoding", FieldId::TransferEncoding),
            (b"x-forwarded-proto", FieldId::XForwardedProto),
        ],
        18 => &[(b"proxy-authenticate", FieldId::ProxyAuthenticate)],
        19 => &[(b"proxy-authorization", FieldId::ProxyAuthorization)],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::{FieldId, candidates};

    #[test]
    fn candidates_stand_under_their_own_length() {
        for name_bytes in 0..64 {
            for &(name, id) in candidates(name_bytes) {
                assert_eq!(name.len(), name_bytes, "{id:?}");
                assert_eq!(FieldId::of(name), id);
                assert_eq!(FieldId::of(&name.to_ascii_uppercase()), id);
                assert!((id as u8) < 64, "fits a set of 64 bits");
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
