//! Saved answers: raw messages as `curl -i` writes them, or bodies alone.

use std::borrow::Cow;

use crate::answer::{Answer, Body, Field, Incomplete};
use crate::decode;
use crate::outcome::NotCompared;

/// Heads in one file: interim answers, redirects that were followed, answers of proxies.
const MOST_HEADS: usize = 100;
/// Fields in one head or among the trailers.
const MOST_FIELDS: usize = 10_000;

/// A field, by name and value.
pub(crate) type OwnedField = (Vec<u8>, Vec<u8>);

/// An answer that was saved to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedAnswer {
    status: u16,
    headers: Vec<OwnedField>,
    trailers: Vec<OwnedField>,
    body: Vec<u8>,
    has_head: bool,
    /// The head says that there is more of the body.
    is_cut: bool,
}

impl SavedAnswer {
    /// Reads an answer. What does not begin with a status line is a body alone, of an answer with status 200 and no
    /// header fields.
    ///
    /// Lines end in CRLF or LF. Of several heads the last one counts: before it stand interim answers, redirects that
    /// were followed, 401 and 407 that were answered with credentials, and for CONNECT `200 Connection established`
    /// or a 200 without fields, none of which have a body in such a file. Behind any other head comes its body,
    /// whatever that looks like. The chunks of a transfer coding are taken apart only where the body consists of
    /// them: `curl` has done so already, unless it was told `--raw`. In the same way, a content coding that the head
    /// names and the body does not have was undone by whoever saved it (`curl --compressed`): the field is left out.
    ///
    /// A body that is shorter than its Content-Length did not come to its end, unless there is none at all, as of HEAD,
    /// or a coding was undone. One that is longer is taken as it is.
    ///
    /// Nothing is refused: what looks like a head and is none is a body.
    #[must_use]
    pub fn parse(bytes: &[u8], decoded_bytes: usize) -> SavedAnswer {
        let mut rest = bytes;
        let mut last = None;
        for _ in 0..MOST_HEADS {
            let Some((head, behind)) = Head::parse(rest) else { break };
            let is_last = !head.is_followed;
            last = Some(head);
            rest = behind;
            if is_last {
                break;
            }
        }
        let Some(head) = last else {
            return SavedAnswer {
                status: 200,
                headers: Vec::new(),
                trailers: Vec::new(),
                body: bytes.to_vec(),
                has_head: false,
                is_cut: false,
            };
        };
        let (body, trailers) = match head.is_chunked().then(|| chunks(rest)).flatten() {
            Some((body, trailers)) => (Cow::Owned(body), trailers),
            None => (Cow::Borrowed(rest), Vec::new()),
        };
        let mut saved = SavedAnswer {
            is_cut: head.promises_more_than(&body),
            status: head.status,
            headers: head.fields,
            trailers,
            body: body.into_owned(),
            has_head: true,
        };
        if saved.is_decoded_already(decoded_bytes) {
            saved.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-encoding"));
        }
        saved
    }

    /// Whether it had a status line and header fields.
    #[must_use]
    pub fn has_head(&self) -> bool {
        self.has_head
    }

    /// For a body that was saved alone, beside an answer whose head is known: gives it the same status and fields, so
    /// that only the bodies are compared.
    pub fn take_head_of(&mut self, other: &SavedAnswer) {
        self.status = other.status;
        self.headers.clone_from(&other.headers);
        self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-encoding"));
    }

    /// As a comparison takes it.
    #[must_use]
    pub fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.status,
            headers: self.headers.iter().map(field).collect(),
            trailers: self.trailers.iter().map(field).collect(),
            body: if self.is_cut { Body::Incomplete(Incomplete::Upstream) } else { Body::Whole(&self.body) },
        }
    }

    fn is_decoded_already(&self, decoded_bytes: usize) -> bool {
        let Ok(codings) = decode::codings(&self.answer()) else { return false };
        // A broken body that begins as a coded one does is a broken body.
        let looks_coded =
            self.body.starts_with(&[0x1f, 0x8b]) || self.body.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
        !codings.is_empty()
            && !looks_coded
            && decode::decode(&self.body, &codings, decoded_bytes) == Err(NotCompared::Encoding)
    }
}

pub(crate) fn field(field: &OwnedField) -> Field<'_> {
    Field { name: &field.0, value: &field.1 }
}

struct Head {
    status: u16,
    fields: Vec<OwnedField>,
    /// Another head can come behind it: it is of an answer that was not the last, and whose body is not saved.
    is_followed: bool,
}

impl Head {
    /// A head at the beginning of the bytes, and what comes behind it.
    fn parse(bytes: &[u8]) -> Option<(Head, &[u8])> {
        let (line, mut rest) = next_line(bytes)?;
        let (status, reason) = status_of(line)?;
        let mut fields = Vec::new();
        // A head at the end of a file may lack the empty line behind it.
        while let Some((line, behind)) = next_line(rest) {
            rest = behind;
            if line.is_empty() {
                break;
            }
            add_field(line, &mut fields)?;
        }
        // Proxies that say only OK to CONNECT say nothing else.
        let is_bare = fields.is_empty() && rest.starts_with(b"HTTP/");
        let is_tunnel = status == 200 && (is_bare || reason.eq_ignore_ascii_case(b"Connection established"));
        let is_followed = is_tunnel || matches!(status, 100..=199 | 300..=399 | 401 | 407);
        Some((Head { status, fields, is_followed }, rest))
    }

    fn values<'s>(&'s self, wanted: &'s [u8]) -> impl DoubleEndedIterator<Item = &'s [u8]> {
        self.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| &value[..])
    }

    /// Whether a part of the body is not there. Where there are codings, lengths are of something else than what was
    /// saved; where there is nothing, it may be an answer to HEAD.
    fn promises_more_than(&self, body: &[u8]) -> bool {
        let is_coded = [&b"content-encoding"[..], b"transfer-encoding"]
            .into_iter()
            .any(|name| self.values(name).next().is_some());
        let length = self.values(b"content-length").next_back();
        let length: Option<u64> = length.and_then(|value| str::from_utf8(value).ok()?.parse().ok());
        !is_coded && !body.is_empty() && length.is_some_and(|length| length > body.len() as u64)
    }

    fn is_chunked(&self) -> bool {
        self.values(b"transfer-encoding").next_back().is_some_and(|value| {
            let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
            last.trim_ascii().eq_ignore_ascii_case(b"chunked")
        })
    }
}

/// Status and reason of `HTTP/1.1 200 OK` or `HTTP/2 200`.
fn status_of(line: &[u8]) -> Option<(u16, &[u8])> {
    let rest = line.strip_prefix(b"HTTP/")?;
    let (version, rest) = rest.split_at(rest.iter().position(|byte| *byte == b' ')?);
    let is_version = !version.is_empty() && version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    let rest = rest.trim_ascii_start();
    let digits = rest.get(..3)?;
    let ends = rest.get(3).is_none_or(|byte| *byte == b' ');
    let status: u16 = str::from_utf8(digits).ok()?.parse().ok()?;
    (is_version && ends && digits.iter().all(u8::is_ascii_digit) && (100..=599).contains(&status))
        .then_some((status, rest.get(4..).unwrap_or_default().trim_ascii()))
}

/// Adds a field line; `None` where it is none. A line that begins with white space goes on with the value of the one
/// before (obs-fold, RFC 9112 section 5.2).
fn add_field(line: &[u8], fields: &mut Vec<OwnedField>) -> Option<()> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        let (_, value) = fields.last_mut()?;
        value.push(b' ');
        value.extend_from_slice(line.trim_ascii());
        return Some(());
    }
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    if !is_name || fields.len() == MOST_FIELDS {
        return None;
    }
    fields.push((name.to_vec(), value.get(1..)?.trim_ascii().to_vec()));
    Some(())
}

/// The fields of lines behind each other; what is none is left out.
pub(crate) fn field_lines(mut bytes: &[u8]) -> Vec<OwnedField> {
    let mut fields = Vec::new();
    while let Some((line, behind)) = next_line(bytes) {
        let _ = add_field(line, &mut fields);
        bytes = behind;
    }
    fields
}

/// The next line without its end, and what comes behind it. `None` where nothing is left.
fn next_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.is_empty() {
        return None;
    }
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Some((bytes, b"")) };
    let (line, rest) = bytes.split_at(end);
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..).unwrap_or_default()))
}

/// The body and the trailers of a chunked message (RFC 9112 section 7.1), where all of the bytes are one.
fn chunks(mut rest: &[u8]) -> Option<(Vec<u8>, Vec<OwnedField>)> {
    let mut body = Vec::new();
    loop {
        let (line, behind) = next_line(rest)?;
        let size = line.split(|byte| *byte == b';').next()?.trim_ascii();
        let is_size = !size.is_empty() && size.iter().all(u8::is_ascii_hexdigit);
        let size = is_size.then(|| usize::from_str_radix(str::from_utf8(size).ok()?, 16).ok())??;
        if size == 0 {
            rest = behind;
            break;
        }
        body.extend_from_slice(behind.get(..size)?);
        let behind = behind.get(size..)?;
        rest = behind.strip_prefix(b"\r\n").or_else(|| behind.strip_prefix(b"\n"))?;
    }
    let mut trailers = Vec::new();
    while let Some((line, behind)) = next_line(rest) {
        rest = behind;
        if line.is_empty() {
            break;
        }
        add_field(line, &mut trailers)?;
    }
    rest.is_empty().then_some((body, trailers))
}

#[cfg(test)]
mod tests;
