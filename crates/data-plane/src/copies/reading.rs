//! The answer to a copy as its bytes arrive. No socket and no clock: bytes in, a captured answer out.

use http1_codec::{BodyDecoder, Field, Framing, Limits, ResponseHead, Trailers};
use route_plan::{CapturedBody, FieldLines, NotCopied};

use super::capture::{Capture, Held};
use crate::buffer::READ_BYTES;

/// The answer is no HTTP, is cut short, or says what was not asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bad;

/// One answer.
pub(crate) struct Reading {
    head: ResponseHead,
    limits: Limits,
    to_head: bool,
    /// What has come of a head that is not whole.
    early: Vec<u8>,
    headers: FieldLines,
    body: Option<BodyDecoder>,
    has_begun: bool,
    /// Something came behind the message.
    has_rest: bool,
    capture: Capture,
}

/// A whole answer.
pub(crate) struct Read {
    pub(crate) status: u16,
    pub(crate) headers: FieldLines,
    pub(crate) trailers: FieldLines,
    pub(crate) body: CapturedBody,
    pub(crate) held: Held,
}

impl Reading {
    /// Of an answer to a request, which is a HEAD or not.
    pub(crate) fn new(to_head: bool, capture: Capture) -> Reading {
        Reading {
            head: ResponseHead::new(),
            limits: Limits { head_bytes: READ_BYTES, ..Limits::default() },
            to_head,
            early: Vec::new(),
            headers: FieldLines::new(),
            body: None,
            has_begun: false,
            has_rest: false,
            capture,
        }
    }

    /// Takes in bytes as they came.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        self.has_begun |= !bytes.is_empty();
        if self.body.is_some() {
            return self.take_content(bytes);
        }
        if self.early.is_empty() {
            let used = self.read_heads(bytes)?;
            let rest = bytes.get(used..).unwrap_or_default();
            if self.body.is_some() {
                return self.take_content(rest);
            }
            self.capture.charge(rest.len());
            self.early = rest.to_vec();
            return Ok(());
        }
        if self.early.len() + bytes.len() > 2 * READ_BYTES {
            return Err(Bad);
        }
        self.capture.charge(bytes.len());
        let mut early = std::mem::take(&mut self.early);
        early.extend_from_slice(bytes);
        let used = self.read_heads(&early)?;
        if self.body.is_some() {
            return self.take_content(early.get(used..).unwrap_or_default());
        }
        early.drain(..used);
        self.early = early;
        Ok(())
    }

    /// The peer has ended its half.
    pub(crate) fn eof(&mut self) -> Result<(), Bad> {
        self.body.as_mut().ok_or(Bad)?.eof().map_err(|_| Bad)
    }

    /// The final answer's status, once its head is there.
    pub(crate) fn status(&self) -> Option<u16> {
        self.body.is_some().then(|| self.head.status())
    }

    /// Anything has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// All of it is there.
    pub(crate) fn is_done(&self) -> bool {
        self.body.as_ref().is_some_and(BodyDecoder::is_done)
    }

    /// Why it is not worth going on, if so.
    pub(crate) fn is_lost(&self) -> Option<NotCopied> {
        self.capture.is_lost()
    }

    /// Whether the connection, as far as the answer goes, is as good as before.
    pub(crate) fn is_reusable(&self) -> bool {
        let until_close = self.head.framing(self.to_head) == Framing::UntilClose;
        self.is_done() && !self.has_rest && !until_close && self.head.keep_alive()
    }

    /// What came of it, once it is done.
    pub(crate) fn finish(self) -> Read {
        let status = self.head.status();
        let trailers = self.body.as_ref().map(|body| lines_of_trailers(body.trailers())).unwrap_or_default();
        let (body, held) = self.capture.finish();
        Read { status, headers: self.headers, trailers, body, held }
    }

    /// Reads heads up to the final one, and tells how many bytes they took.
    fn read_heads(&mut self, bytes: &[u8]) -> Result<usize, Bad> {
        let mut at = 0;
        while self.body.is_none() {
            let head = bytes.get(at..).unwrap_or_default();
            if !self.head.parse(head, &self.limits).map_err(|_| Bad)? {
                break;
            }
            at += self.head.head_len();
            match self.head.status() {
                // Copies ask for no other protocol.
                101 => return Err(Bad),
                100..200 => self.head.reset(),
                _ => {
                    self.headers = lines_of_head(self.head.fields(), head);
                    self.capture.charge(self.headers.len());
                    self.body = Some(BodyDecoder::new(self.head.framing(self.to_head), &self.limits));
                }
            }
        }
        Ok(at)
    }

    fn take_content(&mut self, mut bytes: &[u8]) -> Result<(), Bad> {
        let Some(body) = &mut self.body else { return Ok(()) };
        while !body.is_done() && !bytes.is_empty() {
            let piece = body.decode(bytes).map_err(|_| Bad)?;
            if piece.consumed == 0 {
                break;
            }
            self.capture.take(bytes.get(piece.data).unwrap_or_default());
            bytes = bytes.get(piece.consumed..).unwrap_or_default();
        }
        self.has_rest |= !bytes.is_empty();
        Ok(())
    }
}

/// The header fields of an answer, but for those that belong to the connection (RFC 9110 section 7.6.1).
pub(crate) fn lines_of_head(fields: &[Field], head: &[u8]) -> FieldLines {
    let mut lines = FieldLines::new();
    for field in fields.iter().filter(|field| !field.hop) {
        lines.push(field.name.of(head), field.value.of(head));
    }
    lines
}

/// The trailer fields of an answer.
pub(crate) fn lines_of_trailers(trailers: &Trailers) -> FieldLines {
    let mut lines = FieldLines::new();
    trailers.iter().for_each(|(name, value)| lines.push(name, value));
    lines
}

#[cfg(test)]
mod tests {
    use telemetry::Telemetry;

    use super::*;

    fn reading(to_head: bool, most: usize) -> Reading {
        let held = Held::nothing(&Telemetry::new(1).lane(0));
        Reading::new(to_head, Capture::of_answer(most, held))
    }

    /// What is read when the bytes come in pieces of this size.
    fn read(answer: &[u8], piece: usize, to_head: bool, ends: bool) -> Result<(Read, bool), Bad> {
        let mut reading = reading(to_head, 1 << 20);
        for piece in answer.chunks(piece) {
            reading.take(piece)?;
        }
        if ends {
            reading.eof()?;
        }
        if !reading.is_done() {
            return Err(Bad);
        }
        let reusable = reading.is_reusable();
        Ok((reading.finish(), reusable))
    }

    fn fields(lines: &FieldLines) -> Vec<(&str, &str)> {
        lines.iter().map(|(name, value)| (str(name), str(value))).collect()
    }

    fn str(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_answer_is_the_same_however_it_comes() {
        let answer = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\nConnection: x-hop\r\nx-hop: 2\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n";
        for piece in 1..=answer.len() {
            let (read, reusable) = read(answer, piece, false, false).unwrap_or_else(|_| panic!("{piece}"));
            assert_eq!((read.status, reusable), (200, true));
            assert_eq!(fields(&read.headers), [("X-A", "1")]);
            assert_eq!(fields(&read.trailers), [("X-Sum", "7")]);
            assert_eq!(read.body, CapturedBody::Whole(b"abcdefg".to_vec()), "{piece}");
        }
    }

    #[test]
    fn answers_without_content_end_with_their_head() {
        for (head, to_head) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", true),
            ("HTTP/1.1 204 No Content\r\n\r\n", false),
            ("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false),
        ] {
            let (read, reusable) =
                read(head.as_bytes(), 5, to_head, false).unwrap_or_else(|_| panic!("{head}"));
            assert_eq!((read.body, reusable), (CapturedBody::Whole(Vec::new()), true));
        }
    }

    #[test]
    fn what_ends_with_its_connection_needs_the_end() {
        let answer = b"HTTP/1.1 200 OK\r\n\r\nall of it";
        assert!(read(answer, 4, false, false).is_err());
        let (all, reusable) = read(answer, 4, false, true).unwrap_or_else(|_| panic!("it ended"));
        assert_eq!((all.body, reusable), (CapturedBody::Whole(b"all of it".to_vec()), false));
    }

    #[test]
    fn bad_answers_are_told_and_nothing_panics() {
        for bad in [
            "",
            "x",
            "HTTP/1.1",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ] {
            for piece in [1, 7, 1_000] {
                assert!(read(bad.as_bytes(), piece, false, true).is_err(), "{bad:?}");
            }
        }
        let mut endless = reading(false, 0);
        let line = [b"HTTP/1.1 200 OK\r\na: ".to_vec(), vec![b'a'; 200_000]].concat();
        assert!(line.chunks(1_000).any(|piece| endless.take(piece).is_err()));
    }

    #[test]
    fn what_comes_behind_an_answer_spoils_its_connection() {
        let twice = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\naHTTP/1.1 200 OK\r\n\r\n";
        assert!(!read(twice, 1_000, false, false).unwrap_or_else(|_| panic!("the first is fine")).1);
        let last = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\na";
        assert!(!read(last, 1_000, false, false).unwrap_or_else(|_| panic!("it is fine")).1);
    }

    #[test]
    fn more_than_is_kept_is_hashed() {
        let mut reading = reading(false, 10);
        reading.take(b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n").unwrap();
        (0..3).for_each(|_| reading.take(b"0123456789").unwrap());
        let hash = xxhash_rust::xxh3::xxh3_128(b"012345678901234567890123456789");
        assert_eq!(reading.finish().body, CapturedBody::Hashed { bytes: 30, hash });
    }
}
