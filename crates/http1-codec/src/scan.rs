//! Finds the end of a head in bytes that arrive piecemeal, looking at each byte once.
//!
//! What can be refused before the head is complete is refused here: a peer that does not speak HTTP, a line
//! feed without its carriage return, whatever exceeds a limit. Each check fires at one certain byte of the
//! stream, so the outcome does not depend on how the stream was cut. Everything else waits until the head is
//! whole.

use memchr::memchr;

use crate::chars::{is_token, is_token_byte};
use crate::{FIELDS_MAX, Limits, Reason, SECTION_BYTES_MAX};

/// Longer methods are answered 501, as RFC 9112 section 3 advises. The longest registered one has 17 bytes.
pub(crate) const METHOD_BYTES_MAX: usize = 64;

/// What kind of start line is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Request,
    Response,
}

/// How far a head has been looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeadScan {
    /// Where the start line begins: after an empty line that was skipped.
    pub(crate) start: usize,
    /// Where the start line ends: the index of its line feed. 0 until it has been found.
    pub(crate) start_line_feed: usize,
    /// The first and second space of a request line. 0 until found; neither can stand at index 0.
    pub(crate) spaces: [usize; 2],
    /// `start` is known and the first bytes are plausible.
    begun: bool,
    /// Bytes already looked at.
    looked: usize,
    /// Where the current line begins.
    line_start: usize,
    /// Complete field lines.
    fields: usize,
}

/// As much of `buf` as a head may take.
#[inline]
pub(crate) fn window<'b>(buf: &'b [u8], limits: &Limits) -> &'b [u8] {
    buf.get(..limits.head_bytes.min(SECTION_BYTES_MAX)).unwrap_or(buf)
}

impl HeadScan {
    /// Nothing has been looked at.
    #[inline]
    pub(crate) fn is_fresh(&self) -> bool {
        !self.begun && self.looked == 0
    }

    /// What a look would have found in a head that begins at 0 and is known to be whole.
    #[inline]
    pub(crate) fn set(&mut self, spaces: [usize; 2], start_line_feed: usize) {
        self.begun = true;
        self.spaces = spaces;
        self.start_line_feed = start_line_feed;
    }

    /// Looks at what is new in `buf`. The length of the head, once its end is there.
    pub(crate) fn advance(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        kind: Kind,
    ) -> Result<Option<usize>, Reason> {
        let head_bytes_max = limits.head_bytes.min(SECTION_BYTES_MAX);
        let window = window(buf, limits);
        if !self.begun {
            match kind {
                Kind::Request => self.begin_request(window)?,
                Kind::Response => self.begin_response(window)?,
            }
        }
        if self.begun {
            while let Some(distance) = window.get(self.looked..).and_then(|rest| memchr(b'\n', rest)) {
                let feed = self.looked + distance;
                if self.start_line_feed == 0 && kind == Kind::Request {
                    self.find_spaces(window, feed, limits)?;
                }
                if self.end_line(window, feed, limits)? {
                    return Ok(Some(feed + 1));
                }
            }
            if self.start_line_feed == 0 && kind == Kind::Request {
                self.find_spaces(window, window.len(), limits)?;
            }
            self.looked = window.len();
        }
        if window.len() >= head_bytes_max {
            return Err(Reason::HeadTooLarge);
        }
        Ok(None)
    }

    /// One empty line before a request line is skipped (RFC 9112 section 2.2: old clients send one after a
    /// body).
    fn begin_request(&mut self, window: &[u8]) -> Result<(), Reason> {
        let (start, first) = match *window {
            [] | [b'\r'] | [b'\r', b'\n'] => return Ok(()),
            [b'\r', b'\n', b'\r', ..] => return Err(Reason::EmptyLines),
            [b'\r', b'\n', first, ..] => (2, first),
            [b'\r', ..] => return Err(Reason::BareCr),
            [first, ..] => (0, first),
        };
        if !is_token_byte(first) {
            return Err(match first {
                b'\n' => Reason::BareLf,
                b' '..=b'~' => Reason::BadMethod,
                // A TLS hello begins with 0x16, and nothing that begins like this is HTTP.
                _ => Reason::NotHttp,
            });
        }
        self.begin(start);
        Ok(())
    }

    fn begin_response(&mut self, window: &[u8]) -> Result<(), Reason> {
        const PROTOCOL: &[u8] = b"HTTP/";
        let seen = window.get(..PROTOCOL.len()).unwrap_or(window);
        if !PROTOCOL.starts_with(seen) {
            return Err(Reason::NotHttp);
        }
        if seen.len() == PROTOCOL.len() {
            self.begin(0);
        }
        Ok(())
    }

    fn begin(&mut self, start: usize) {
        self.begun = true;
        self.start = start;
        self.line_start = start;
        self.looked = start;
    }

    /// Looks for the two spaces of the request line, which ends or has arrived up to `end`.
    fn find_spaces(&mut self, window: &[u8], end: usize, limits: &Limits) -> Result<(), Reason> {
        let find =
            |from: usize| window.get(from..end).and_then(|rest| memchr(b' ', rest)).map(|at| from + at);
        if self.spaces[0] == 0 {
            let found = find(self.looked);
            if found.unwrap_or(end) - self.start > METHOD_BYTES_MAX {
                let method = window.get(self.start..=self.start + METHOD_BYTES_MAX).unwrap_or_default();
                return Err(if is_token(method) { Reason::MethodTooLong } else { Reason::BadMethod });
            }
            let Some(first) = found else { return Ok(()) };
            self.spaces[0] = first;
        }
        if self.spaces[1] == 0 {
            let target = self.spaces[0] + 1;
            let found = find(self.looked.max(target));
            if found.unwrap_or(end).saturating_sub(target) > limits.target_bytes {
                return Err(Reason::TargetTooLong);
            }
            self.spaces[1] = found.unwrap_or(0);
        }
        Ok(())
    }

    /// Takes note of the line that ends with the line feed at `feed`. Whether it is the empty one after the
    /// fields.
    fn end_line(&mut self, window: &[u8], feed: usize, limits: &Limits) -> Result<bool, Reason> {
        let line = window.get(self.line_start..feed).unwrap_or_default();
        if line.last() != Some(&b'\r') {
            return Err(Reason::BareLf);
        }
        if self.start_line_feed == 0 {
            self.start_line_feed = feed;
        } else if line.len() == 1 {
            return Ok(true);
        } else {
            self.fields += 1;
            if self.fields > limits.fields.min(FIELDS_MAX) {
                return Err(Reason::TooManyFields);
            }
        }
        self.line_start = feed + 1;
        self.looked = feed + 1;
        Ok(false)
    }
}
