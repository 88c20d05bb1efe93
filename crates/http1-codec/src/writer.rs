//! Serialisation into a buffer that the caller keeps.
//!
//! Nothing that is given to a writer can end a line early: in debug builds it is an error of the caller, in
//! release builds the offending bytes are replaced. So a response or request can never be split by what we
//! write.

use alloc::vec::Vec;

use crate::chars::{is_path_byte, is_text_byte, is_token};
use crate::trailers::may_be_trailer;
use crate::{Field, Span, Trailers};

/// What follows the data of each chunk (RFC 9112 section 7.1).
pub const CHUNK_END: &[u8] = b"\r\n";

/// Appends one head to a buffer: the start line, then fields, then [`end`](Self::end).
#[derive(Debug)]
#[must_use = "a head is complete only after `end`"]
pub struct HeadWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Field lines that stand next to each other in one buffer and are still to be copied, so that neighbours
    /// cost one copy.
    run: Option<(&'a [u8], Span)>,
}

impl<'a> HeadWriter<'a> {
    /// A writer that appends to `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, run: None }
    }

    /// `method SP target SP HTTP/1.1 CRLF`. A target without a path, as an absolute-form target may be, gets
    /// its `/`; for OPTIONS an empty one becomes `*` (RFC 9112 section 3.2.4).
    pub fn request_line(&mut self, method: &[u8], target: &[u8]) {
        self.flush();
        push_name(self.out, method);
        self.out.push(b' ');
        match target {
            [] if method == b"OPTIONS" => self.out.push(b'*'),
            [] | [b'?', ..] => self.out.push(b'/'),
            _ => {}
        }
        push_target(self.out, target);
        self.out.extend_from_slice(b" HTTP/1.1\r\n");
    }

    /// `HTTP/1.1 SP status SP reason CRLF`. `status` has three digits.
    pub fn status_line(&mut self, status: u16, reason: &[u8]) {
        debug_assert!((100..=999).contains(&status), "a status has three digits");
        self.flush();
        self.out.extend_from_slice(b"HTTP/1.1 ");
        for unit in [100, 10, 1] {
            self.out.push(b'0' + u8::try_from(status / unit % 10).unwrap_or(0));
        }
        self.out.push(b' ');
        push_text(self.out, reason);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Copies a field of the head that was parsed from `buf`. Lines that came as we would write them are
    /// copied as bytes, and consecutive ones at once; others are written anew.
    pub fn copy_field(&mut self, buf: &'a [u8], field: &Field) {
        if !field.verbatim {
            self.flush();
            self.push_line(field.name.of(buf), field.value.of(buf));
            return;
        }
        match &mut self.run {
            Some((run_buf, run)) if core::ptr::eq(*run_buf, buf) && run.end == field.line.start => {
                run.end = field.line.end;
            }
            _ => {
                self.flush();
                self.run = Some((buf, field.line));
            }
        }
    }

    /// `name: value CRLF`.
    pub fn field(&mut self, name: &str, value: &[u8]) {
        self.flush();
        self.push_line(name.as_bytes(), value);
    }

    /// Whole lines that are known when the program is written, such as `"Via: 1.1 name\r\n"`.
    #[inline]
    pub fn lines(&mut self, lines: &'static str) {
        debug_assert!(lines.ends_with("\r\n"), "a line without its end: {lines:?}");
        self.flush();
        self.out.extend_from_slice(lines.as_bytes());
    }

    /// Whole lines in pairs of what is known when the program is written and a value behind it, and their `end`.
    pub fn lines_of(&mut self, pairs: &[(&'static str, &[u8])], end: &'static str) {
        debug_assert!(end.ends_with("\r\n"), "a line without its end: {end:?}");
        self.flush();
        for (known, value) in pairs {
            self.out.extend_from_slice(known.as_bytes());
            push_text(self.out, value);
        }
        self.out.extend_from_slice(end.as_bytes());
    }

    /// `name: value CRLF`, the value given in parts.
    pub fn field_of(&mut self, name: &str, parts: &[&[u8]]) {
        self.flush();
        push_name(self.out, name.as_bytes());
        self.out.extend_from_slice(b": ");
        for part in parts.iter().filter(|part| !part.is_empty()) {
            push_text(self.out, part);
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// `name: number CRLF`, in decimal.
    pub fn field_u64(&mut self, name: &str, number: u64) {
        self.flush();
        push_name(self.out, name.as_bytes());
        self.out.extend_from_slice(b": ");
        push_decimal(self.out, number);
        self.out.extend_from_slice(b"\r\n");
    }

    /// The empty line that ends the head.
    pub fn end(mut self) {
        self.flush();
        self.out.extend_from_slice(b"\r\n");
    }

    fn flush(&mut self) {
        if let Some((buf, run)) = self.run.take() {
            let lines = run.of(buf);
            debug_assert!(lines.ends_with(b"\r\n"), "the field was parsed from another buffer");
            self.out.extend_from_slice(lines);
        }
    }

    fn push_line(&mut self, name: &[u8], value: &[u8]) {
        push_name(self.out, name);
        self.out.extend_from_slice(b": ");
        push_text(self.out, value);
        self.out.extend_from_slice(b"\r\n");
    }
}

/// Appends the size line of a chunk of `len` bytes; the data and [`CHUNK_END`] follow. Nothing for 0, which
/// would end the body: see [`write_last_chunk`].
pub fn write_chunk_head(out: &mut Vec<u8>, len: usize) {
    debug_assert!(len > 0, "an empty chunk ends the body");
    if len == 0 {
        return;
    }
    let significant = (usize::BITS - len.leading_zeros()).div_ceil(4);
    for place in (0..significant).rev() {
        let digit = u8::try_from(len >> (4 * place) & 0xf).unwrap_or(0);
        out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the last chunk and the trailers, which end a chunked body. Fields that may not be trailers are
/// left out: framing, routing, authentication and what says how to read the content (RFC 9110 section 6.5.1).
pub fn write_last_chunk(out: &mut Vec<u8>, trailers: Option<&Trailers>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flat_map(Trailers::iter) {
        if may_be_trailer(name) {
            push_name(out, name);
            out.extend_from_slice(b": ");
            push_text(out, value);
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a field value or a reason; a byte that would end the line becomes a space.
#[inline]
fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    debug_assert!(text.iter().all(|&byte| is_text_byte(byte)), "controls in a line: {}", text.escape_ascii());
    let start = out.len();
    out.extend_from_slice(text);
    if any_below::<b' '>(text) {
        replace(out, start, |byte| byte < b' ' && byte != b'\t', b' ');
    }
}

/// Appends a method or a field name; a byte that would end the name or the line becomes an underscore.
#[inline]
fn push_name(out: &mut Vec<u8>, name: &[u8]) {
    debug_assert!(is_token(name), "not a token: {}", name.escape_ascii());
    let start = out.len();
    out.extend_from_slice(name);
    if any_below::<b'!'>(name) {
        replace(out, start, |byte| byte <= b' ', b'_');
    }
}

/// Appends a request target; a byte that would end the target or the line becomes an underscore.
#[inline]
fn push_target(out: &mut Vec<u8>, target: &[u8]) {
    let may_stand = |&byte: &u8| is_path_byte(byte) || byte == b'?';
    debug_assert!(target.iter().all(may_stand), "not a request target: {}", target.escape_ascii());
    let start = out.len();
    out.extend_from_slice(target);
    if any_below::<b'!'>(target) {
        replace(out, start, |byte| byte <= b' ', b'_');
    }
}

/// Whether any byte is below `LIMIT`, which is at most 128. The bytes were checked where they came from, but nothing
/// after this would stop what could make two lines or words of one; so this looks again, eight bytes at a time.
#[inline]
fn any_below<const LIMIT: u8>(bytes: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let limits = u64::from_ne_bytes([LIMIT; 8]);
    // A byte from `LIMIT` on cannot borrow from its neighbour unless that neighbour is below it.
    let below = |eight: &[u8; 8]| {
        let eight = u64::from_ne_bytes(*eight);
        eight.wrapping_sub(limits) & !eight & HIGH
    };
    let Some(end) = bytes.last_chunk::<8>() else { return bytes.iter().any(|&byte| byte < LIMIT) };
    bytes.as_chunks::<8>().0.iter().fold(below(end), |found, eight| found | below(eight)) != 0
}

#[cold]
fn replace(out: &mut [u8], start: usize, is_harmful: impl Fn(u8) -> bool, substitute: u8) {
    let bytes = out.iter_mut().skip(start);
    bytes.filter(|byte| is_harmful(**byte)).for_each(|byte| *byte = substitute);
}

fn push_decimal(out: &mut Vec<u8>, number: u64) {
    let start = out.len();
    let mut rest = number;
    loop {
        out.push(b'0' + u8::try_from(rest % 10).unwrap_or(0));
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

#[cfg(test)]
mod tests;
