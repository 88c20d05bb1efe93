//! Body framing as a machine: bytes in, runs of content out (RFC 9112 sections 6 and 7).

use core::ops::Range;

use crate::chars::{is_text_byte, is_token_byte};
use crate::trailers::Section;
use crate::{Framing, LENGTH_MAX, Limits, Reason, Reject, Trailers};

/// Most bytes of chunk extensions in one body. Each line has its own limit, but a body of one-byte chunks
/// could carry any amount of them past limits on content.
const EXTENSION_BYTES_MAX: usize = 8_192;
/// `16 ^ 16` would not fit 64 bits, so more digits than this are an overflow or padding; both are refused.
const SIZE_DIGITS_MAX: u8 = 16;

/// Separates the content of one body from its framing.
///
/// Show it what arrived, take the content out of the range that it names, drop what it consumed, and repeat
/// with the rest until [`is_done`](Self::is_done) or nothing was consumed.
#[derive(Clone, Debug)]
pub struct BodyDecoder {
    state: State,
    /// Bytes of content left: of the body, or of the current chunk.
    left: u64,
    /// Hexadecimal digits of the current chunk size.
    digits: u8,
    /// Bytes of the current chunk's size line.
    line_bytes: usize,
    /// Bytes of all chunk extensions so far.
    extension_bytes: usize,
    line_bytes_max: usize,
    section: Section,
}

/// What one call of [`BodyDecoder::decode`] found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Piece {
    /// How many bytes of the input are dealt with, content and framing.
    pub consumed: usize,
    /// Where in the input the content lies. Empty when there was only framing.
    pub data: Range<usize>,
}

/// What is expected next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Content of a body of known length.
    Length,
    /// Content until the peer closes.
    UntilClose,
    /// A digit of a chunk size, or what follows it.
    Size,
    /// The first byte of an extension's name.
    NameStart,
    Name,
    /// The first byte of an extension's value.
    ValueStart,
    Value,
    Quoted,
    /// The byte after a backslash in a quoted value.
    Escaped,
    /// What follows a quoted value.
    Unquoted,
    SizeLf,
    /// Content of a chunk.
    Data,
    DataCr,
    DataLf,
    /// Trailer lines and the empty line at the end.
    Trailers,
    Done,
    /// Refused: the same answer for ever.
    Failed(Reason),
}

impl BodyDecoder {
    /// A decoder for a body framed like this. Does not allocate; only trailers ever make it.
    #[must_use]
    pub fn new(framing: Framing, limits: &Limits) -> Self {
        let (state, left) = match framing {
            Framing::None | Framing::Length(0) => (State::Done, 0),
            Framing::Length(length) => (State::Length, length),
            Framing::Chunked => (State::Size, 0),
            Framing::UntilClose => (State::UntilClose, 0),
        };
        Self {
            state,
            left,
            digits: 0,
            line_bytes: 0,
            extension_bytes: 0,
            line_bytes_max: limits.chunk_line_bytes,
            section: Section::new(limits),
        }
    }

    /// Looks at `input`, the bytes after those consumed so far. Returns after at most one run of content, so
    /// call it again with the rest. When nothing is consumed, more bytes are needed or the body is done;
    /// bytes after its end are never consumed.
    ///
    /// # Errors
    /// The framing is broken, and so is the connection. Content that was already returned came before the
    /// fault.
    pub fn decode(&mut self, input: &[u8]) -> Result<Piece, Reject> {
        let mut at = 0;
        loop {
            let available = input.len() - at;
            match self.state {
                State::Failed(reason) => return Err(reason.into()),
                State::Done => return Ok(Piece { consumed: at, data: at..at }),
                State::UntilClose => return Ok(Piece { consumed: input.len(), data: at..input.len() }),
                State::Length | State::Data => {
                    let run = usize::try_from(self.left).unwrap_or(usize::MAX).min(available);
                    self.left -= run as u64;
                    if self.left == 0 {
                        self.state = if self.state == State::Data { State::DataCr } else { State::Done };
                    }
                    return Ok(Piece { consumed: at + run, data: at..at + run });
                }
                _ => {
                    let Some(&byte) = input.get(at) else { return Ok(Piece { consumed: at, data: at..at }) };
                    at += 1;
                    match self.step(byte) {
                        Ok(state) => self.state = state,
                        Err(reason) => {
                            self.state = State::Failed(reason);
                            return Err(reason.into());
                        }
                    }
                }
            }
        }
    }

    /// Whether the body is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The peer closed its side. Completes a body framed [`Framing::UntilClose`].
    ///
    /// # Errors
    /// [`Reason::Truncated`] when the body was cut short (RFC 9112 section 8).
    pub fn eof(&mut self) -> Result<(), Reject> {
        match self.state {
            State::Done | State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            State::Failed(reason) => Err(reason.into()),
            _ => {
                self.state = State::Failed(Reason::Truncated);
                Err(Reason::Truncated.into())
            }
        }
    }

    /// Bytes of content that are still to come, if that is known: for [`Framing::Length`] and once done.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length => Some(self.left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// The trailers; complete when [`is_done`](Self::is_done), empty before.
    #[must_use]
    pub fn trailers(&self) -> &Trailers {
        self.section.trailers()
    }

    /// Takes one byte of chunked framing.
    fn step(&mut self, byte: u8) -> Result<State, Reason> {
        match self.state {
            State::SizeLf => self.begin_chunk(byte),
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataCr if byte == b'\n' => Err(Reason::BareLf),
            State::DataLf if byte == b'\n' => Ok(State::Size),
            State::DataCr | State::DataLf => Err(Reason::ChunkNotTerminated),
            State::Trailers => Ok(if self.section.push(byte)? { State::Done } else { State::Trailers }),
            state => self.step_size_line(state, byte),
        }
    }

    /// Takes one byte of `chunk-size [ chunk-ext ] CRLF` (RFC 9112 section 7.1).
    fn step_size_line(&mut self, state: State, byte: u8) -> Result<State, Reason> {
        if byte == b'\n' {
            return Err(Reason::BareLf);
        }
        if byte == b'\r' {
            return match state {
                State::Size if self.digits > 0 => Ok(State::SizeLf),
                State::Name | State::Value | State::Unquoted => Ok(State::SizeLf),
                State::Size => Err(Reason::BadChunkSize),
                _ => Err(Reason::BadChunkExtension),
            };
        }
        self.line_bytes += 1;
        if self.line_bytes > self.line_bytes_max {
            return Err(Reason::ChunkLineTooLong);
        }
        if state == State::Size && byte != b';' {
            return self.push_digit(byte);
        }
        self.extension_bytes += 1;
        if self.extension_bytes > EXTENSION_BYTES_MAX {
            return Err(Reason::ChunkExtensionsTooLarge);
        }
        match (state, byte) {
            (State::Size, _) if self.digits == 0 => Err(Reason::BadChunkSize),
            (State::Size | State::Name | State::Value | State::Unquoted, b';') => Ok(State::NameStart),
            (State::NameStart | State::Name, _) if is_token_byte(byte) => Ok(State::Name),
            (State::Name, b'=') => Ok(State::ValueStart),
            (State::ValueStart, b'"') => Ok(State::Quoted),
            (State::ValueStart | State::Value, _) if is_token_byte(byte) => Ok(State::Value),
            (State::Quoted, b'"') => Ok(State::Unquoted),
            (State::Quoted, b'\\') => Ok(State::Escaped),
            (State::Quoted | State::Escaped, _) if is_text_byte(byte) => Ok(State::Quoted),
            _ => Err(Reason::BadChunkExtension),
        }
    }

    fn push_digit(&mut self, byte: u8) -> Result<State, Reason> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => return Err(Reason::BadChunkSize),
        };
        if self.digits == SIZE_DIGITS_MAX {
            return Err(Reason::ChunkSizeOverflow);
        }
        self.digits += 1;
        self.left = self.left << 4 | u64::from(digit);
        if self.left > LENGTH_MAX {
            return Err(Reason::ChunkSizeOverflow);
        }
        Ok(State::Size)
    }

    /// The size line is complete but for its line feed. A size of 0 announces the trailers.
    fn begin_chunk(&mut self, byte: u8) -> Result<State, Reason> {
        if byte != b'\n' {
            return Err(Reason::BareCr);
        }
        self.digits = 0;
        self.line_bytes = 0;
        Ok(if self.left == 0 { State::Trailers } else { State::Data })
    }
}
