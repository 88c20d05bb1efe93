//! Request heads (RFC 9112 section 3).

use crate::authority::check_authority;
use crate::fields::{self, Fields};
use crate::scan::{self, HeadScan, Kind};
use crate::target::{Target, read_target};
use crate::{Field, FieldId, Framing, Limits, Reason, Reject, Span, Version, is_token};

/// The head of a request, as spans into the buffer that was parsed.
///
/// Made to be kept: after [`reset`](Self::reset) its memory serves the next request. The accessors tell about
/// the last head for which [`parse`](Self::parse) returned `Ok(true)`; before that they are empty.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    scan: HeadScan,
    fields: Fields,
    head_len: usize,
    method: Span,
    target: Span,
    host: Span,
    path_and_query: Span,
    version: Version,
    framing: Framing,
    upgrade: Option<Span>,
    is_head: bool,
}

impl RequestHead {
    /// An empty head. Does not allocate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for a whole head at the start of `buf`. `Ok(false)`: more bytes are needed. `Ok(true)`: it was
    /// parsed, and the spans index `buf`.
    ///
    /// How far it looked is remembered, so that a head that arrives byte by byte costs linear time. Until the
    /// next [`reset`](Self::reset), `buf` must start with the same bytes each time.
    ///
    /// # Errors
    /// The message is not one that every recipient reads alike, or exceeds a limit. What shows early is
    /// refused early: bytes that are no HTTP, a bare line feed, too many bytes. The connection must not be
    /// used further.
    pub fn parse(&mut self, buf: &[u8], limits: &Limits) -> Result<bool, Reject> {
        if self.head_len > 0 {
            return Ok(true);
        }
        let head_len = match self.read_at_once(buf, limits)? {
            Some(head_len) => head_len,
            None => {
                let Some(head_len) = self.scan.advance(buf, limits, Kind::Request)? else { return Ok(false) };
                self.read_request_line(buf)?;
                self.read_fields(buf, head_len)?;
                head_len
            }
        };
        self.check_host(buf)?;
        self.settle(buf)?;
        self.head_len = head_len;
        Ok(true)
    }

    /// Forgets the request but keeps the memory.
    pub fn reset(&mut self) {
        let mut fields = core::mem::take(&mut self.fields);
        fields.clear();
        *self = Self { fields, ..Self::default() };
    }

    /// Length of the head in bytes, with the empty lines before and after it: where the body begins.
    #[must_use]
    pub fn head_len(&self) -> usize {
        self.head_len
    }

    /// The method, a token (RFC 9110 section 9.1).
    #[must_use]
    pub fn method(&self) -> Span {
        self.method
    }

    /// The whole request target as it was sent (RFC 9112 section 3.2).
    #[must_use]
    pub fn target(&self) -> Span {
        self.target
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

    /// How the body is delimited: `None`, `Length` of at least 1, or `Chunked` (RFC 9112 section 6.3). A
    /// `Content-Length` of 0 is `None` too; [`content_length`](Self::content_length) tells them apart.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The number in `Content-Length`, below 2^63.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.fields.facts().length
    }

    /// Whether the client wants to use the connection again (RFC 9112 section 9.3): HTTP/1.1 unless it says
    /// `close`, HTTP/1.0 only if it says `keep-alive`.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        let facts = self.fields.facts();
        !facts.close && (self.version == Version::Http11 || facts.keep_alive)
    }

    /// Whether the client waits for `100 (Continue)` before it sends the body (RFC 9110 section 10.1.1).
    /// Never in HTTP/1.0, where the field is to be ignored, nor without a body.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.fields.facts().expects_continue
            && self.version == Version::Http11
            && self.framing != Framing::None
    }

    /// The value of `Upgrade`, if this is an upgrade that may be passed on: HTTP/1.1, `Connection` names it,
    /// one line that lists protocols by RFC 9110 section 7.8, and no body, which would have to be delimited
    /// before the other protocol starts. Otherwise the field is to be ignored, as a server may. So is a list
    /// that offers `h2c`, which tunnels requests past the proxy and which RFC 9113 section 3.1 withdrew.
    #[must_use]
    pub fn upgrade(&self) -> Option<Span> {
        self.upgrade
    }

    /// Host and optional port: from an absolute-form target if there is one, as that overrides the field (RFC
    /// 9112 section 3.2.2), else from `Host`. Empty only in HTTP/1.0.
    #[must_use]
    pub fn host(&self) -> Span {
        self.host
    }

    /// The target in origin-form, or `*` (RFC 9112 section 3.2). An absolute-form target may have no path:
    /// then this is empty or begins with `?`, and `/` is meant before it.
    /// [`HeadWriter::request_line`](crate::HeadWriter::request_line) adds it.
    #[must_use]
    pub fn path_and_query(&self) -> Span {
        self.path_and_query
    }

    /// Whether the method is HEAD, whose responses have no body.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.is_head
    }

    /// Whether the client accepts trailers: `TE: trailers` (RFC 9110 section 10.1.4).
    #[must_use]
    pub fn te_trailers(&self) -> bool {
        self.fields.facts().te_trailers
    }

    /// Reads a head that is there as a whole and has nothing unusual between its words, as nearly all: then there
    /// is no need to look for its end first. The length of the head, or `None` for the long way, which reads
    /// such heads alike.
    fn read_at_once(&mut self, buf: &[u8], limits: &Limits) -> Result<Option<usize>, Reason> {
        if !self.scan.is_fresh() {
            return Ok(None);
        }
        let window = scan::window(buf, limits);
        let mut lines = fields::lines();
        let mut request = httparse::Request::new(&mut []);
        let Ok(httparse::Status::Complete(head_len)) = request.parse_with_uninit_headers(window, &mut lines)
        else {
            return Ok(None);
        };
        let (Some(method), Some(target)) = (request.method, request.path) else { return Ok(None) };
        let spaces = [method.len(), method.len() + 1 + target.len()];
        let start_line_end = spaces[1] + " HTTP/1.1\r\n".len();
        let is_plain = window.starts_with(method.as_bytes())
            && method.len() <= scan::METHOD_BYTES_MAX
            && target.len() <= limits.target_bytes
            && window.get(spaces[0]) == Some(&b' ')
            && window.get(spaces[1]) == Some(&b' ')
            && fields::are_plain(window, request.headers, start_line_end, head_len, limits);
        if !is_plain {
            return Ok(None);
        }
        self.scan.set(spaces, start_line_end - 1);
        self.read_request_line(buf)?;
        self.fields.clear();
        self.fields.read(buf, request.headers, head_len - "\r\n".len())?;
        Ok(Some(head_len))
    }

    fn read_request_line(&mut self, buf: &[u8]) -> Result<(), Reason> {
        let [first, second] = self.scan.spaces;
        let line_end = self.scan.start_line_feed.saturating_sub(1);
        if first == 0 || second == 0 {
            return Err(Reason::BadRequestLine);
        }
        self.method = Span::new(self.scan.start, first);
        self.target = Span::new(first + 1, second);
        let method = self.method.of(buf);
        if !is_token(method) {
            return Err(if method.contains(&b'\r') { Reason::BareCr } else { Reason::BadMethod });
        }
        self.version = match buf.get(second + 1..line_end).unwrap_or_default() {
            b"HTTP/1.1" => Version::Http11,
            b"HTTP/1.0" => Version::Http10,
            rest if rest.contains(&b' ') => return Err(Reason::BadRequestLine),
            other => return Err(why_version_refused(other)),
        };
        if method == b"CONNECT" {
            return Err(Reason::ConnectMethod);
        }
        self.is_head = method == b"HEAD";
        let Target { authority, path_and_query } = read_target(buf, self.target, method)?;
        self.host = authority.unwrap_or_default();
        self.path_and_query = path_and_query;
        Ok(())
    }

    fn read_fields(&mut self, buf: &[u8], head_len: usize) -> Result<(), Reason> {
        let mut lines = fields::lines();
        let mut request = httparse::Request::new(&mut []);
        let head = buf.get(self.scan.start..head_len).unwrap_or_default();
        match request.parse_with_uninit_headers(head, &mut lines) {
            Ok(httparse::Status::Complete(_)) => {
                self.fields.clear();
                self.fields.read(buf, request.headers, head_len - "\r\n".len())
            }
            _ => {
                Err(fields::why_refused(buf.get(self.scan.start_line_feed + 1..head_len).unwrap_or_default()))
            }
        }
    }

    /// RFC 9112 section 3.2: exactly one valid `Host`, which only HTTP/1.0 may leave out.
    fn check_host(&mut self, buf: &[u8]) -> Result<(), Reason> {
        let facts = self.fields.facts();
        if facts.host_repeated {
            return Err(Reason::HostRepeated);
        }
        match self.fields.first(FieldId::Host) {
            Some(field) => {
                check_authority(field.value.of(buf))?;
                if self.host.is_empty() {
                    self.host = field.value;
                }
                Ok(())
            }
            None if self.version == Version::Http10 => Ok(()),
            None => Err(Reason::HostMissing),
        }
    }

    /// What only all fields together can tell.
    fn settle(&mut self, buf: &[u8]) -> Result<(), Reason> {
        let facts = self.fields.facts();
        if self.version == Version::Http10 && facts.has(FieldId::TransferEncoding) {
            return Err(Reason::CodingInHttp10);
        }
        self.framing = match facts.length {
            _ if facts.chunked()? => Framing::Chunked,
            None | Some(0) => Framing::None,
            Some(length) => Framing::Length(length),
        };
        if self.version == Version::Http11 {
            if facts.unknown_expectation {
                return Err(Reason::UnknownExpectation);
            }
            if self.framing == Framing::None {
                self.upgrade = facts.upgrade(buf);
            }
        }
        Ok(())
    }
}

/// Why something other than the two supported versions was refused.
#[cold]
pub(crate) fn why_version_refused(version: &[u8]) -> Reason {
    match *version {
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Reason::UnsupportedVersion,
        _ if version.contains(&b'\r') => Reason::BareCr,
        _ => Reason::BadVersion,
    }
}
