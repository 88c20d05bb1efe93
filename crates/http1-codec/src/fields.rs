//! The field section of a head: the lines, and what they say about the message.

use alloc::vec::Vec;
use core::mem::MaybeUninit;

use crate::chars::{elements, is_text_byte, is_token, is_token_byte};
use crate::{FIELDS_MAX, Field, FieldId, LENGTH_MAX, Limits, Reason, Span};

/// Most fields that `Connection` may name beside the options that every proxy knows. Bounds the work of
/// finding them.
const NAMED_FIELDS_MAX: u8 = 32;

/// Room for the lines that httparse finds; uninitialised, so that it costs nothing.
pub(crate) type Lines<'b> = [MaybeUninit<httparse::Header<'b>>; FIELDS_MAX];

/// An empty [`Lines`].
#[inline]
pub(crate) fn lines<'b>() -> Lines<'b> {
    [const { MaybeUninit::uninit() }; FIELDS_MAX]
}

/// The fields of a head, and what was learnt from them on the way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    list: Vec<Field>,
    facts: Facts,
}

/// What the fields say about the message as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    /// The identifiers that occur, as bits.
    seen: u64,
    /// `Content-Length`.
    pub(crate) length: Option<u64>,
    /// `Transfer-Encoding`, all lines together.
    coding: Coding,
    /// `Host` occurs more than once.
    pub(crate) host_repeated: bool,
    /// `Connection: close`.
    pub(crate) close: bool,
    /// `Connection: keep-alive`.
    pub(crate) keep_alive: bool,
    /// `Connection: upgrade`.
    upgrade: bool,
    /// How many fields `Connection` names beside those that are for the connection anyway.
    named: u8,
    /// `Expect: 100-continue`.
    pub(crate) expects_continue: bool,
    /// An expectation that is not `100-continue`.
    pub(crate) unknown_expectation: bool,
    /// `TE: trailers`.
    pub(crate) te_trailers: bool,
    /// The value of `Upgrade` when there is one line of it.
    upgrade_value: Option<Span>,
}

/// What has been seen of `Transfer-Encoding`.
#[derive(Clone, Copy, Debug, Default)]
struct Coding {
    chunked: bool,
    others: bool,
}

/// Whether the lines that httparse found stand in `head` back to back, each with a CRLF right behind its value, from
/// `start` to the empty line at the end, and are not too many. httparse alone would let a bare line feed pass.
pub(crate) fn are_plain(
    head: &[u8],
    lines: &[httparse::Header<'_>],
    start: usize,
    head_len: usize,
    limits: &Limits,
) -> bool {
    let base = head.as_ptr().addr();
    let ends_at = |at: usize| head.get(at..at + 2) == Some(b"\r\n");
    let mut at = start;
    for line in lines {
        let value_end = line.value.as_ptr().addr().wrapping_sub(base) + line.value.len();
        if line.name.as_ptr().addr().wrapping_sub(base) != at || !ends_at(value_end) {
            return false;
        }
        at = value_end + 2;
    }
    start >= 2
        && ends_at(start - 2)
        && ends_at(at)
        && at + 2 == head_len
        && lines.len() <= limits.fields.min(FIELDS_MAX)
}

impl Fields {
    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.facts = Facts::default();
    }

    pub(crate) fn list(&self) -> &[Field] {
        &self.list
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(crate) fn first(&self, id: FieldId) -> Option<&Field> {
        if self.facts.seen & id.bit() == 0 {
            return None;
        }
        self.list.iter().find(|field| field.id == id)
    }

    pub(crate) fn find<'b>(&self, buf: &'b [u8], name: &str, nth: usize) -> Option<&'b [u8]> {
        self.list
            .iter()
            .filter(|field| field.name.of(buf).eq_ignore_ascii_case(name.as_bytes()))
            .nth(nth)
            .map(|field| field.value.of(buf))
    }

    /// Reads the lines that httparse found in `buf`, the last of which ends at `end`.
    pub(crate) fn read(
        &mut self,
        buf: &[u8],
        lines: &[httparse::Header<'_>],
        end: usize,
    ) -> Result<(), Reason> {
        let base = buf.as_ptr().addr();
        let offset = |part: &[u8]| part.as_ptr().addr().wrapping_sub(base);
        let mut rest = lines.iter();
        let mut next = rest.next();
        while let Some(line) = next {
            next = rest.next();
            let name_start = offset(line.name.as_bytes());
            let name_end = name_start + line.name.len();
            let value_start = offset(line.value);
            let value_end = value_start + line.value.len();
            let line_end = next.map_or(end, |next| offset(next.name.as_bytes()));
            let id = FieldId::of(line.name.as_bytes());
            let value = Span::new(value_start, value_end);
            self.list.push(Field {
                name: Span::new(name_start, name_end),
                value,
                line: Span::new(name_start, line_end),
                id,
                verbatim: value_start == name_end + 2
                    && line_end == value_end + 2
                    && buf.get(name_end + 1) == Some(&b' '),
                hop: id.is_hop(),
            });
            if id != FieldId::Other {
                self.facts.note(id, value, line.value)?;
            }
        }
        if self.facts.named > 0 {
            self.mark_named(buf);
        }
        Ok(())
    }

    /// Marks the fields that `Connection` names, wherever they stand.
    #[cold]
    fn mark_named(&mut self, buf: &[u8]) {
        for index in 0..self.list.len() {
            let Some(connection) = self.list.get(index).filter(|field| field.id == FieldId::Connection)
            else {
                continue;
            };
            let options = connection.value.of(buf);
            // The fields of known options are marked already. What is left is bounded by `NAMED_FIELDS_MAX`.
            let unknown = |option: &&[u8]| {
                !option.is_empty() && !FieldId::of(option).is_hop() && !option.eq_ignore_ascii_case(b"close")
            };
            for option in elements(options).filter(unknown) {
                for field in &mut self.list {
                    field.hop |= field.name.of(buf).eq_ignore_ascii_case(option);
                }
            }
        }
    }
}

impl Facts {
    /// Whether the field occurs.
    pub(crate) fn has(&self, id: FieldId) -> bool {
        self.seen & id.bit() != 0
    }

    /// Whether the body is chunked, from all that `Transfer-Encoding` and `Content-Length` say together.
    pub(crate) fn chunked(&self) -> Result<bool, Reason> {
        if !self.has(FieldId::TransferEncoding) {
            return Ok(false);
        }
        if self.has(FieldId::ContentLength) {
            return Err(Reason::LengthAndCoding);
        }
        if !self.coding.chunked {
            return Err(Reason::BadCoding);
        }
        if self.coding.others { Err(Reason::UnsupportedCoding) } else { Ok(true) }
    }

    /// The value of `Upgrade` if `Connection` agrees and the value is a plain list of protocols.
    pub(crate) fn upgrade(&self, buf: &[u8]) -> Option<Span> {
        let value = self.upgrade_value.filter(|_| self.upgrade)?;
        elements(value.of(buf)).all(is_protocol).then_some(value)
    }

    fn note(&mut self, id: FieldId, span: Span, value: &[u8]) -> Result<(), Reason> {
        let again = self.has(id);
        self.seen |= id.bit();
        match id {
            FieldId::Host => self.host_repeated |= again,
            FieldId::ContentLength if again => return Err(Reason::LengthRepeated),
            FieldId::ContentLength => self.length = Some(parse_length(value)?),
            FieldId::TransferEncoding => self.coding.note(value)?,
            FieldId::Connection => self.note_options(value)?,
            FieldId::Upgrade => self.upgrade_value = if again { None } else { Some(span) },
            FieldId::Te => {
                self.te_trailers |= elements(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
            }
            FieldId::Expect => {
                let known = elements(value).all(|one| one.eq_ignore_ascii_case(b"100-continue"));
                self.expects_continue |= known;
                self.unknown_expectation |= !known;
            }
            _ => {}
        }
        Ok(())
    }

    /// The options of one `Connection` line.
    ///
    /// Whatever an option names is removed when the message goes on, as RFC 9110 section 7.6.1 demands, and a
    /// client can thus have removed what the system behind relies on. So options that name the fields by
    /// which messages are delimited and routed are refused. `Transfer-Encoding` may be named: it never
    /// outlives this connection, and servers exist that name it. What a proxy adds for the next hop it adds
    /// after removing.
    fn note_options(&mut self, value: &[u8]) -> Result<(), Reason> {
        for option in elements(value) {
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else if option.is_empty() {
                // RFC 9110 section 5.6.1.2: empty elements are to be ignored.
            } else if !is_token(option) {
                return Err(Reason::BadConnectionOption);
            } else {
                match FieldId::of(option) {
                    FieldId::Host | FieldId::ContentLength => return Err(Reason::ProtectedOption),
                    id if id.is_hop() => {}
                    _ if self.named == NAMED_FIELDS_MAX => return Err(Reason::TooManyOptions),
                    _ => self.named += 1,
                }
            }
        }
        Ok(())
    }
}

impl Coding {
    /// Takes note of one `Transfer-Encoding` line; several read like one list (RFC 9110 section 5.2).
    fn note(&mut self, value: &[u8]) -> Result<(), Reason> {
        for coding in elements(value) {
            let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            let name = coding.split(|&byte| byte == b';').next().unwrap_or_default();
            if self.chunked && is_chunked {
                return Err(Reason::CodingRepeated);
            }
            if self.chunked || !is_token(name.trim_ascii_end()) {
                return Err(Reason::BadCoding);
            }
            self.chunked |= is_chunked;
            self.others |= !is_chunked;
        }
        Ok(())
    }
}

/// Why httparse refused `section`, the field lines of a head or trailer section up to and including the empty
/// line. Every line feed in it has its carriage return.
#[cold]
pub(crate) fn why_refused(section: &[u8]) -> Reason {
    let mut rest = section;
    let mut first = true;
    while let Some(feed) = memchr::memchr(b'\n', rest) {
        let line = rest.get(..feed.saturating_sub(1)).unwrap_or_default();
        if let Some(reason) = why_line_refused(line, first) {
            return reason;
        }
        rest = rest.get(feed + 1..).unwrap_or_default();
        first = false;
    }
    Reason::BadName
}

fn why_line_refused(line: &[u8], first: bool) -> Option<Reason> {
    let name_end = line.iter().position(|&byte| !is_token_byte(byte));
    let Some((name, rest)) = name_end.and_then(|end| line.split_at_checked(end)) else {
        return (!line.is_empty()).then_some(Reason::MissingColon);
    };
    match *rest {
        [b' ' | b'\t', ..] if name.is_empty() => {
            Some(if first { Reason::SpaceBeforeFields } else { Reason::Folded })
        }
        [b':', ..] if name.is_empty() => Some(Reason::EmptyName),
        [b':', ref value @ ..] => match value.iter().find(|&&byte| !is_text_byte(byte))? {
            b'\r' => Some(Reason::BareCr),
            _ => Some(Reason::BadValue),
        },
        [b' ' | b'\t', ..] if rest.trim_ascii_start().first() == Some(&b':') => {
            Some(Reason::SpaceBeforeColon)
        }
        [b'\r', ..] => Some(Reason::BareCr),
        _ => Some(Reason::BadName),
    }
}

/// `1*DIGIT` (RFC 9110 section 8.6), below 2^63. Lists of equal numbers could be repaired; they are refused.
fn parse_length(value: &[u8]) -> Result<u64, Reason> {
    if value.is_empty() {
        return Err(Reason::BadLength);
    }
    let mut length = 0_u64;
    for &byte in value {
        if !byte.is_ascii_digit() {
            return Err(Reason::BadLength);
        }
        length = length
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u64::from(byte - b'0')))
            .filter(|&length| length <= LENGTH_MAX)
            .ok_or(Reason::BadLength)?;
    }
    Ok(length)
}

/// `protocol-name ["/" protocol-version]` (RFC 9110 section 7.8), but not `h2c`: inside such a tunnel a
/// client could send requests that the proxy never sees, and RFC 9113 section 3.1 withdrew it.
fn is_protocol(protocol: &[u8]) -> bool {
    let mut parts = protocol.splitn(2, |&byte| byte == b'/');
    let name = parts.next().unwrap_or_default();
    is_token(name) && parts.next().is_none_or(is_token) && !name.eq_ignore_ascii_case(b"h2c")
}
