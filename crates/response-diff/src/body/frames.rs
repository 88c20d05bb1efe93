//! The messages of a gRPC body, each with its length before it.

use std::borrow::Cow;

use crate::answer::Answer;
use crate::decode::{self, Coding};
use crate::findings::Findings;
use crate::limits::Limits;
use crate::outcome::{Kind, NotCompared};

use super::bytes;

/// One bit says that a message is compressed, one, on the web, that it is the trailers.
const COMPRESSED: u8 = 0x01;
const TRAILERS: u8 = 0x80;

/// A message as it stands in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    flags: u8,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The trailer fields that it consists of, where it does: HTTP/1 field lines (gRPC-Web).
    pub(crate) fn trailers(&self) -> Option<&'a [u8]> {
        (self.flags & TRAILERS != 0).then_some(self.payload)
    }
}

/// All messages of a body; `None` where it does not consist of them.
pub(crate) fn frames(mut body: &[u8]) -> Option<Vec<Frame<'_>>> {
    let mut frames = Vec::new();
    while !body.is_empty() {
        let ([flags, length @ ..], rest) = body.split_first_chunk::<5>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (payload, rest) = rest.split_at_checked(length)?;
        frames.push(Frame { flags: *flags, payload });
        body = rest;
    }
    Some(frames)
}

/// Compares two bodies of messages: how many there are, then each by its bytes, without its coding.
pub(crate) fn compare(
    old: (&Answer<'_>, &[Frame<'_>]),
    new: (&Answer<'_>, &[Frame<'_>]),
    limits: &Limits,
    findings: &mut Findings,
) -> Result<(), NotCompared> {
    let messages = |frames: &[Frame<'_>]| frames.iter().filter(|frame| frame.trailers().is_none()).count();
    let (count, new_count) = (messages(old.1), messages(new.1));
    if count != new_count {
        let shown =
            |count: usize| if count == 1 { "1 message".to_owned() } else { format!("{count} messages") };
        let kind = match (count, new_count) {
            (0, _) => Kind::Added,
            (_, 0) => Kind::Missing,
            _ => Kind::Length,
        };
        let shown = |count: usize| (count > 0).then(|| shown(count));
        findings.push("body", kind, shown(count).as_deref(), shown(new_count).as_deref());
        return Ok(());
    }
    let (codings, new_codings) = (coding(old.0), coding(new.0));
    let pairs = old.1.iter().filter(|frame| frame.trailers().is_none());
    let pairs = pairs.zip(new.1.iter().filter(|frame| frame.trailers().is_none()));
    for (number, (old, new)) in pairs.enumerate() {
        if old == new && codings == new_codings {
            continue;
        }
        let (old, new) = (old.message(&codings, limits)?, new.message(&new_codings, limits)?);
        bytes::compare("body", &format!("body[{number}]"), &old, &new, findings);
    }
    Ok(())
}

/// How messages are compressed, where they are.
fn coding(answer: &Answer<'_>) -> Option<Vec<Coding>> {
    let name = answer.header_values("grpc-encoding").last()?.trim_ascii();
    match name {
        b"identity" => None,
        b"gzip" => Some(vec![Coding::Gzip]),
        b"deflate" => Some(vec![Coding::Deflate]),
        b"zstd" => Some(vec![Coding::Zstd]),
        b"br" => Some(vec![Coding::Brotli]),
        _ => Some(Vec::new()),
    }
}

impl<'a> Frame<'a> {
    fn message(&self, codings: &Option<Vec<Coding>>, limits: &Limits) -> Result<Cow<'a, [u8]>, NotCompared> {
        if self.flags & COMPRESSED == 0 {
            return Ok(Cow::Borrowed(self.payload));
        }
        match codings {
            // Compressed, and nobody says how, or in a way that is not known.
            None => Err(NotCompared::Encoding),
            Some(codings) if codings.is_empty() => Err(NotCompared::Encoding),
            Some(codings) => decode::decode(self.payload, codings, limits.decoded_bytes),
        }
    }
}
