//! Content codings undone (RFC 9110 section 8.4), within a limit.
//!
//! A few kilobytes can decode to gigabytes, so every coding is pulled in small steps, and how much there is so far is
//! checked before it grows: no buffer is ever larger than the limit. What does not decode to its very end, checksums
//! included, is no body to compare.

mod zstd;

use std::borrow::Cow;
use std::io::{self, Read};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};

use crate::answer::Answer;
use crate::outcome::NotCompared;

/// Two are rare, and every one costs a pass.
const MOST_CODINGS: usize = 4;
/// How much is decoded before the limit is looked at again.
const STEP_BYTES: usize = 8 << 10;

/// One content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// RFC 1952; `x-gzip` is the same (RFC 9110 section 8.4.1.3).
    Gzip,
    /// RFC 1950 by the standard (RFC 9110 section 8.4.1.2). Some senders leave out its frame and send RFC 1951 alone,
    /// which clients accept, so both are.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878, with the window that RFC 9659 allows.
    Zstd,
}

/// The codings of an answer's body, in the order in which they were applied. None of them is `identity`.
///
/// # Errors
/// [`NotCompared::Encoding`] for a coding that is not known, and for more than four.
pub(crate) fn codings(answer: &Answer<'_>) -> Result<Vec<Coding>, NotCompared> {
    let mut codings = Vec::new();
    for name in names(answer) {
        let coding = match &*name {
            "gzip" | "x-gzip" => Coding::Gzip,
            "deflate" => Coding::Deflate,
            "br" => Coding::Brotli,
            "zstd" => Coding::Zstd,
            _ => return Err(NotCompared::Encoding),
        };
        if codings.len() == MOST_CODINGS {
            return Err(NotCompared::Encoding);
        }
        codings.push(coding);
    }
    Ok(codings)
}

/// What the codings are called, known or not, in lower case.
pub(crate) fn names(answer: &Answer<'_>) -> impl Iterator<Item = String> {
    let values = answer.header_values("content-encoding");
    values
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(|name| String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase())
        .filter(|name| !(name.is_empty() || name == "identity"))
}

/// The body without its codings.
///
/// A body of no bytes decodes to none, whatever its coding: answers to HEAD and some empty ones keep the header. What
/// stands after the end of a coded body makes it bad, but for further members of gzip and frames of zstd, and the
/// zeros that some tools pad gzip with.
///
/// # Errors
/// [`NotCompared::DecodedSize`] where one of the codings decodes to more than `most` bytes, [`NotCompared::Encoding`]
/// where it is cut short, broken, or followed by something else.
pub(crate) fn decode<'a>(
    body: &'a [u8],
    codings: &[Coding],
    most: usize,
) -> Result<Cow<'a, [u8]>, NotCompared> {
    if body.len() > most {
        return Err(NotCompared::DecodedSize);
    }
    let mut decoded = Cow::Borrowed(body);
    // The last one applied is the first to be undone.
    for coding in codings.iter().rev() {
        if decoded.is_empty() {
            break;
        }
        let next = undo(&decoded, *coding, most)?;
        decoded = Cow::Owned(next);
    }
    Ok(decoded)
}

fn undo(coded: &[u8], coding: Coding, most: usize) -> Result<Vec<u8>, NotCompared> {
    match coding {
        Coding::Gzip => gzip(coded, most),
        Coding::Deflate => deflate(coded, most),
        Coding::Brotli => brotli(coded, most),
        Coding::Zstd => zstd::undo(coded, most),
    }
}

fn gzip(mut rest: &[u8], most: usize) -> Result<Vec<u8>, NotCompared> {
    let mut out = Vec::new();
    loop {
        let mut member = GzDecoder::new(rest);
        pull(&mut member, &mut out, most)?;
        rest = member.into_inner();
        if rest.iter().all(|byte| *byte == 0) {
            return Ok(out);
        }
    }
}

fn deflate(coded: &[u8], most: usize) -> Result<Vec<u8>, NotCompared> {
    // RFC 1950 section 2.2: method 8, and a multiple of 31. A bare stream hardly ever begins so, but may.
    let is_framed = matches!(coded, [cmf, flags, ..]
        if cmf & 0x0f == 8 && u16::from_be_bytes([*cmf, *flags]).is_multiple_of(31));
    if is_framed {
        let mut framed = ZlibDecoder::new(coded);
        match all_of(&mut framed, most) {
            Ok(out) if framed.into_inner().is_empty() => return Ok(out),
            Err(NotCompared::DecodedSize) => return Err(NotCompared::DecodedSize),
            _ => {}
        }
    }
    let mut bare = DeflateDecoder::new(coded);
    let out = all_of(&mut bare, most)?;
    if bare.into_inner().is_empty() { Ok(out) } else { Err(NotCompared::Encoding) }
}

fn brotli(coded: &[u8], most: usize) -> Result<Vec<u8>, NotCompared> {
    // Strict: `br` has no large windows (RFC 7932 section 9.1), which would be memory for the asking.
    let mut state =
        BrotliState::new_strict(StandardAlloc::default(), StandardAlloc::default(), StandardAlloc::default());
    let mut out = Vec::new();
    let mut step = [0; STEP_BYTES];
    let (mut left, mut at, mut total) = (coded.len(), 0, 0);
    loop {
        let (mut room, mut end) = (step.len(), 0);
        let result = BrotliDecompressStream(
            &mut left, &mut at, coded, &mut room, &mut end, &mut step, &mut total, &mut state,
        );
        grow(&mut out, step.get(..end).unwrap_or_default(), most)?;
        match result {
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultSuccess if left == 0 => return Ok(out),
            BrotliResult::ResultSuccess | BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => {
                return Err(NotCompared::Encoding);
            }
        }
    }
}

fn all_of(reader: &mut impl Read, most: usize) -> Result<Vec<u8>, NotCompared> {
    let mut out = Vec::new();
    pull(reader, &mut out, most)?;
    Ok(out)
}

/// Reads to the end, in steps.
fn pull(reader: &mut impl Read, out: &mut Vec<u8>, most: usize) -> Result<(), NotCompared> {
    let mut step = [0; STEP_BYTES];
    loop {
        match reader.read(&mut step) {
            Ok(0) => return Ok(()),
            Ok(read) => grow(out, step.get(..read).unwrap_or_default(), most)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(NotCompared::Encoding),
        }
    }
}

/// Appends what still fits.
fn grow(out: &mut Vec<u8>, more: &[u8], most: usize) -> Result<(), NotCompared> {
    if more.len() > most.saturating_sub(out.len()) {
        return Err(NotCompared::DecodedSize);
    }
    out.extend_from_slice(more);
    Ok(())
}

#[cfg(test)]
mod tests;
