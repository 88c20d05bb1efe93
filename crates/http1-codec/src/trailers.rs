//! Trailers: the fields after a chunked body (RFC 9110 section 6.5).

use alloc::vec::Vec;

use crate::chars::is_text_byte;
use crate::fields::why_refused;
use crate::{FIELDS_MAX, FieldId, Limits, Reason, Reject, SECTION_BYTES_MAX, Span, dashed, is_token};

/// The trailers of one body, validated like the fields of a head.
#[derive(Clone, Debug, Default)]
pub struct Trailers {
    bytes: Vec<u8>,
    fields: Vec<(Span, Span)>,
}

impl Trailers {
    /// No trailers. Does not allocate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Names and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|&(name, value)| (name.of(&self.bytes), value.of(&self.bytes)))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Adds a field, for those who have trailers from elsewhere.
    ///
    /// # Errors
    /// The name is not a token, the value holds a control character, or a limit would be exceeded.
    pub fn push(&mut self, name: &[u8], value: &[u8], limits: &Limits) -> Result<(), Reject> {
        if !is_token(name) {
            return Err(Reason::BadName.into());
        }
        if !value.iter().all(|&byte| is_text_byte(byte)) {
            return Err(Reason::BadValue.into());
        }
        if self.fields.len() >= limits.trailer_fields.min(FIELDS_MAX) {
            return Err(Reason::TooManyTrailers.into());
        }
        let start = self.bytes.len();
        if start + name.len() + value.len() > limits.trailer_bytes.min(SECTION_BYTES_MAX) {
            return Err(Reason::TrailersTooLarge.into());
        }
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        let middle = start + name.len();
        self.fields.push((Span::new(start, middle), Span::new(middle, self.bytes.len())));
        Ok(())
    }
}

/// A trailer section that is arriving.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    trailers: Trailers,
    line_start: usize,
    lines: usize,
    /// The carriage return of the empty line that closes the section has come.
    closing: bool,
    lines_max: usize,
    bytes_max: usize,
}

impl Section {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            trailers: Trailers::new(),
            line_start: 0,
            lines: 0,
            closing: false,
            lines_max: limits.trailer_fields.min(FIELDS_MAX),
            bytes_max: limits.trailer_bytes.min(SECTION_BYTES_MAX),
        }
    }

    pub(crate) fn trailers(&self) -> &Trailers {
        &self.trailers
    }

    /// Takes one byte. Whether the section is complete.
    pub(crate) fn push(&mut self, byte: u8) -> Result<bool, Reason> {
        let bytes = &mut self.trailers.bytes;
        if self.closing {
            return if byte == b'\n' { self.close() } else { Err(Reason::BareCr) };
        }
        if byte == b'\r' && bytes.len() == self.line_start {
            self.closing = true;
            return Ok(false);
        }
        if bytes.len() == self.bytes_max {
            return Err(Reason::TrailersTooLarge);
        }
        bytes.push(byte);
        if byte == b'\n' {
            if !bytes.ends_with(b"\r\n") {
                return Err(Reason::BareLf);
            }
            self.line_start = bytes.len();
            self.lines += 1;
            if self.lines > self.lines_max {
                return Err(Reason::TooManyTrailers);
            }
        }
        Ok(false)
    }

    fn close(&mut self) -> Result<bool, Reason> {
        // Nearly all bodies have no trailers, and those do not allocate.
        if self.lines == 0 {
            return Ok(true);
        }
        let Trailers { bytes, fields } = &mut self.trailers;
        bytes.extend_from_slice(b"\r\n");
        let mut lines = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let Ok(httparse::Status::Complete((_, lines))) = httparse::parse_headers(bytes, &mut lines) else {
            return Err(why_refused(bytes));
        };
        let base = bytes.as_ptr().addr();
        let span = |part: &[u8]| {
            let start = part.as_ptr().addr().wrapping_sub(base);
            Span::new(start, start + part.len())
        };
        fields.extend(lines.iter().map(|line| (span(line.name.as_bytes()), span(line.value))));
        Ok(true)
    }
}

/// Whether a field called `name` may be sent as a trailer. Not those that a recipient must know before the
/// content: framing, routing, request modifiers, authentication, response controls and what says how to read
/// the content (RFC 9110 section 6.5.1), nor those that a proxy vouches for.
pub(crate) fn may_be_trailer(name: &[u8]) -> bool {
    if let Some(dashed) = dashed(name) {
        return may_be_trailer(&dashed);
    }
    const FORBIDDEN: &[&[u8]] = &[
        b"age",
        b"cache-control",
        b"expires",
        b"http2-settings",
        b"pragma",
        b"range",
        b"vary",
        b"warning",
        b"www-authenticate",
    ];
    const FORBIDDEN_PREFIXES: &[&[u8]] = &[b"content-", b"if-"];
    // Digests are computed while the content is sent (RFC 9530 section 2).
    const ALLOWED: &[&[u8]] = &[b"content-digest", b"content-md5"];

    let is = |other: &&[u8]| name.eq_ignore_ascii_case(other);
    let begins = |prefix: &&[u8]| {
        name.get(..prefix.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(prefix))
    };
    match FieldId::of(name) {
        FieldId::Other => {
            ALLOWED.iter().any(is) || !(FORBIDDEN.iter().any(is) || FORBIDDEN_PREFIXES.iter().any(begins))
        }
        // The one that a proxy acts on and that is nothing of the above.
        FieldId::Server => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_known_before_the_content_is_no_trailer() {
        for name in [
            &b"Content-Length"[..],
            b"transfer-encoding",
            b"HOST",
            b"Content-Type",
            b"content-disposition",
            b"If-Match",
            b"Authorization",
            b"Set-Cookie",
            b"Trailer",
            b"Connection",
            b"X-Forwarded-For",
            b"Crossfade-Arm",
            b"Cache-Control",
            b"Date",
        ] {
            assert!(!may_be_trailer(name), "{}", name.escape_ascii());
        }
        for name in [
            &b"grpc-status"[..],
            b"Grpc-Message",
            b"Server-Timing",
            b"Content-Digest",
            b"X-Checksum",
            b"Etag",
        ] {
            assert!(may_be_trailer(name), "{}", name.escape_ascii());
        }
    }

    #[test]
    fn pushed_trailers_are_validated_and_bounded() {
        let limits = Limits { trailer_fields: 2, trailer_bytes: 20, ..Limits::default() };
        let mut trailers = Trailers::new();
        let refused = |result: Result<(), Reject>| result.unwrap_err().reason;
        assert_eq!(refused(trailers.push(b"a b", b"", &limits)), Reason::BadName);
        assert_eq!(refused(trailers.push(b"a", b"b\r\nc: d", &limits)), Reason::BadValue);
        assert_eq!(refused(trailers.push(b"a", &[b'x'; 20], &limits)), Reason::TrailersTooLarge);
        trailers.push(b"a", b"1", &limits).unwrap();
        trailers.push(b"b", b"", &limits).unwrap();
        assert_eq!(refused(trailers.push(b"c", b"", &limits)), Reason::TooManyTrailers);
        assert!(trailers.iter().eq([(&b"a"[..], &b"1"[..]), (b"b", b"")]));
    }
}
