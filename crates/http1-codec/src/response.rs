//! Response heads (RFC 9112 section 4).

use crate::chars::is_text_byte;
use crate::fields::{self, Fields};
use crate::request::why_version_refused;
use crate::scan::{self, HeadScan, Kind};
use crate::{Field, FieldId, Framing, Limits, Reason, Reject, Span, Version};

/// The head of a response, as spans into the buffer that was parsed.
///
/// Made to be kept: after [`reset`](Self::reset) its memory serves the next response. The accessors tell
/// about the last head for which [`parse`](Self::parse) returned `Ok(true)`; before that they are empty.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    scan: HeadScan,
    fields: Fields,
    head_len: usize,
    status: u16,
    reason: Span,
    version: Version,
    chunked: bool,
    upgrade: Option<Span>,
}

impl ResponseHead {
    /// An empty head. Does not allocate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for a whole head at the start of `buf`. `Ok(false)`: more bytes are needed. `Ok(true)`: it was
    /// parsed, and the spans index `buf`. Used like [`RequestHead::parse`](crate::RequestHead::parse).
    ///
    /// One thing is tolerated that RFC 9112 section 4 does not allow, because it is common: a status line
    /// that ends right after the status, without the space before an empty reason.
    ///
    /// # Errors
    /// The message is not one that every recipient reads alike, or exceeds a limit. The connection must not
    /// be used further; a client is answered 502.
    pub fn parse(&mut self, buf: &[u8], limits: &Limits) -> Result<bool, Reject> {
        if self.head_len > 0 {
            return Ok(true);
        }
        let head_len = match self.read_at_once(buf, limits)? {
            Some(head_len) => head_len,
            None => {
                let Some(head_len) = self.scan.advance(buf, limits, Kind::Response)? else {
                    return Ok(false);
                };
                self.read_status_line(buf)?;
                self.read_fields(buf, head_len)?;
                head_len
            }
        };
        self.settle(buf)?;
        self.head_len = head_len;
        Ok(true)
    }

    /// Forgets the response but keeps the memory.
    pub fn reset(&mut self) {
        let mut fields = core::mem::take(&mut self.fields);
        fields.clear();
        *self = Self { fields, ..Self::default() };
    }

    /// Length of the head in bytes, with the empty line after it: where the body begins.
    #[must_use]
    pub fn head_len(&self) -> usize {
        self.head_len
    }

    /// The status, 100 to 599.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase, often empty.
    #[must_use]
    pub fn reason(&self) -> Span {
        self.reason
    }

    /// The version of the message.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// All fields in their order.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        self.fields.list()
    }

    /// The first field with this identifier. Always `None` for [`FieldId::Other`].
    #[must_use]
    pub fn field(&self, id: FieldId) -> Option<&Field> {
        self.fields.first(id)
    }

    /// The value of the `nth` field (from 0) with this name in any case. `buf` is the buffer that was parsed.
    #[must_use]
    pub fn find<'b>(&self, buf: &'b [u8], name: &str, nth: usize) -> Option<&'b [u8]> {
        self.fields.find(buf, name, nth)
    }

    /// Whether the server will keep the connection open (RFC 9112 section 9.3), as far as the fields tell: a
    /// body framed [`Framing::UntilClose`] ends it all the same.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        let facts = self.fields.facts();
        !facts.close && (self.version == Version::Http11 || facts.keep_alive)
    }

    /// How the body is delimited (RFC 9112 section 6.3): `None` for answers to HEAD and for 1xx, 204 and 304,
    /// whatever their fields say; else `Chunked`, `Length` (0 included), or `UntilClose` when neither is
    /// announced.
    #[must_use]
    pub fn framing(&self, request_was_head: bool) -> Framing {
        if request_was_head || matches!(self.status, 100..=199 | 204 | 304) {
            return Framing::None;
        }
        match self.fields.facts().length {
            _ if self.chunked => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        }
    }

    /// Whether another response to the same request follows: 1xx, but not 101.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }

    /// The protocol that a 101 response switches to. Always there in a 101, never otherwise.
    #[must_use]
    pub fn upgrade(&self) -> Option<Span> {
        self.upgrade
    }

    /// The number in `Content-Length`, below 2^63. In answers to HEAD and in 304 it describes a body that is
    /// not sent.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.fields.facts().length
    }

    /// Reads a head that is there as a whole and has nothing unusual between its words; see the request's.
    fn read_at_once(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<usize>, Reason> {
        if !self.scan.is_fresh() {
            return Ok(None);
        }
        let window = scan::window(buf, limits);
        let mut lines = fields::lines();
        let mut response = httparse::Response::new(&mut []);
        let strict = httparse::ParserConfig::default();
        let parsed = strict.parse_response_with_uninit_headers(&mut response, window, &mut lines);
        let Ok(httparse::Status::Complete(head_len)) = parsed else { return Ok(None) };
        let Some(start_line_feed) = memchr::memchr(b'\n', window) else { return Ok(None) };
        let is_plain = window.starts_with(b"HTTP/")
            && fields::are_plain(window, response.headers, start_line_feed + 1, head_len, limits);
        if !is_plain {
            return Ok(None);
        }
        self.scan.set([0, 0], start_line_feed);
        self.read_status_line(buf)?;
        self.fields.clear();
        self.fields.read(buf, response.headers, head_len - "\r\n".len())?;
        Ok(Some(head_len))
    }

    fn read_status_line(&mut self, buf: &[u8]) -> Result<(), Reason> {
        let line_end = self.scan.start_line_feed.saturating_sub(1);
        let line = buf.get(..line_end).unwrap_or_default();
        let space = memchr::memchr(b' ', line).ok_or(Reason::BadStatusLine)?;
        let (version, rest) = line.split_at_checked(space).ok_or(Reason::BadStatusLine)?;
        self.version = match version {
            b"HTTP/1.1" => Version::Http11,
            b"HTTP/1.0" => Version::Http10,
            other => return Err(why_version_refused(other)),
        };
        let (digits, reason) = match *rest {
            [b' ', a, b, c] => ([a, b, c], &[][..]),
            [b' ', a, b, c, b' ', ref reason @ ..] => ([a, b, c], reason),
            _ => return Err(Reason::BadStatusLine),
        };
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(Reason::BadStatusLine);
        }
        self.status = digits.iter().fold(0, |sum, &digit| sum * 10 + u16::from(digit - b'0'));
        if !(100..=599).contains(&self.status) {
            return Err(Reason::BadStatus);
        }
        self.reason = Span::new(line_end - reason.len(), line_end);
        match reason.iter().find(|&&byte| !is_text_byte(byte)) {
            None => Ok(()),
            Some(b'\r') => Err(Reason::BareCr),
            Some(_) => Err(Reason::BadStatusLine),
        }
    }

    fn read_fields(&mut self, buf: &[u8], head_len: usize) -> Result<(), Reason> {
        let mut lines = fields::lines();
        let mut response = httparse::Response::new(&mut []);
        let head = buf.get(..head_len).unwrap_or_default();
        let strict = httparse::ParserConfig::default();
        match strict.parse_response_with_uninit_headers(&mut response, head, &mut lines) {
            Ok(httparse::Status::Complete(_)) => {
                self.fields.clear();
                self.fields.read(buf, response.headers, head_len - "\r\n".len())
            }
            _ => {
                Err(fields::why_refused(buf.get(self.scan.start_line_feed + 1..head_len).unwrap_or_default()))
            }
        }
    }

    /// What only all fields together can tell.
    fn settle(&mut self, buf: &[u8]) -> Result<(), Reason> {
        let facts = self.fields.facts();
        let coded = facts.has(FieldId::TransferEncoding);
        if self.version == Version::Http10 && coded {
            return Err(Reason::CodingInHttp10);
        }
        self.chunked = facts.chunked()?;
        if matches!(self.status, 100..=199 | 204) && (coded || facts.length.is_some_and(|length| length > 0))
        {
            return Err(Reason::BodyNotAllowed);
        }
        if self.status == 101 {
            self.upgrade = facts.upgrade(buf).filter(|_| self.version == Version::Http11);
            if self.upgrade.is_none() {
                return Err(Reason::SwitchWithoutUpgrade);
            }
        }
        Ok(())
    }
}
