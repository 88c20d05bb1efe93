//! From text to nodes, in one pass and without recursion.

use crate::{Limits, NotCompared};

use super::surrogate;
use super::tree::{Json, Node, Tag};

/// What is said of a character that stands for a lone surrogate.
const TAKEN: &str = "has a character for private use that is used here already";

/// Why a text was not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unparsed {
    /// It is not JSON (RFC 8259), or has one of the last 2,048 characters of plane 16: they are for private use, and stand
    /// for lone surrogates here.
    Malformed {
        /// The byte at which it is wrong.
        at: usize,
        /// What is wrong with it, as an end of a sentence.
        what: &'static str,
    },
    /// It exceeds a limit. It may or may not be JSON.
    TooMuch(NotCompared),
}

/// Parses a whole document, white space around it allowed. A byte order mark is not: whoever decodes the text takes it
/// away. A lone surrogate such as `\ud800` is a character like others.
///
/// # Errors
///
/// [`Unparsed`], at the first place that is wrong or too much.
pub fn parse<'a>(text: &'a str, limits: &Limits) -> Result<Json<'a>, Unparsed> {
    if u32::try_from(text.len()).is_err() {
        return Err(Unparsed::TooMuch(NotCompared::DecodedSize));
    }
    let guess = (text.len() / 10 + 1).min(limits.nodes);
    let mut parser = Parser {
        text,
        bytes: text.as_bytes(),
        at: 0,
        nodes: Vec::with_capacity(guess),
        owned: String::new(),
        open: Vec::new(),
        depth: limits.depth.min(Limits::DEEPEST),
        limit: limits.nodes,
    };
    if let Some(at) = surrogate::find(text) {
        return Err(Unparsed::Malformed { at, what: TAKEN });
    }
    parser.document()?;
    Ok(Json { text, nodes: parser.nodes, owned: parser.owned })
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    owned: String,
    /// The containers that are not closed.
    open: Vec<usize>,
    depth: usize,
    limit: usize,
}

/// What may come next.
enum Next {
    Value,
    /// The first element of an array, or its end.
    Element,
    /// The first name of an object, or its end.
    Member,
    /// A value is complete.
    Done,
}

impl Parser<'_> {
    fn document(&mut self) -> Result<(), Unparsed> {
        let mut next = Next::Value;
        loop {
            self.skip_space();
            next = match next {
                Next::Value => self.value()?,
                Next::Element if self.peek() == b']' => self.close(),
                Next::Element => self.value()?,
                Next::Member if self.peek() == b'}' => self.close(),
                Next::Member => self.name()?,
                Next::Done => {
                    let Some(&container) = self.open.last() else { break };
                    self.separator(self.nodes[container].tag)?
                }
            };
        }
        if self.at < self.bytes.len() { Err(self.wrong("has something behind its end")) } else { Ok(()) }
    }

    /// What stands behind a complete value inside a container.
    fn separator(&mut self, container: Tag) -> Result<Next, Unparsed> {
        match (container, self.peek()) {
            (Tag::Array, b',') => {
                self.at += 1;
                Ok(Next::Value)
            }
            (Tag::Array, b']') | (Tag::Object, b'}') => Ok(self.close()),
            (Tag::Object, b',') => {
                self.at += 1;
                self.skip_space();
                self.name()
            }
            (Tag::Array, _) => Err(self.wrong("has neither `,` nor `]` behind an element")),
            _ => Err(self.wrong("has neither `,` nor `}` behind a member")),
        }
    }

    fn value(&mut self) -> Result<Next, Unparsed> {
        let start = self.at;
        match self.peek() {
            b'"' => self.string(Tag::Text, Tag::TextOwned)?,
            b'{' => return self.open(Tag::Object, Next::Member),
            b'[' => return self.open(Tag::Array, Next::Element),
            b'-' | b'0'..=b'9' => {
                self.number()?;
                self.push(Tag::Number, start, self.at)?;
            }
            b't' => self.word("true", Tag::True)?,
            b'f' => self.word("false", Tag::False)?,
            b'n' => self.word("null", Tag::Null)?,
            _ => return Err(self.wrong("has no value where one must be")),
        }
        Ok(Next::Done)
    }

    fn open(&mut self, tag: Tag, next: Next) -> Result<Next, Unparsed> {
        if self.open.len() >= self.depth {
            return Err(Unparsed::TooMuch(NotCompared::Depth));
        }
        self.open.push(self.nodes.len());
        self.push(tag, self.at, self.at)?;
        self.at += 1;
        Ok(next)
    }

    fn close(&mut self) -> Next {
        self.at += 1;
        if let Some(container) = self.open.pop() {
            let inside = self.nodes.len() - container - 1;
            let node = &mut self.nodes[container];
            node.len = narrow(self.at) - node.start;
            node.span = narrow(inside);
        }
        Next::Done
    }

    fn name(&mut self) -> Result<Next, Unparsed> {
        if self.peek() != b'"' {
            return Err(self.wrong("has no name where one must be"));
        }
        self.string(Tag::Name, Tag::NameOwned)?;
        self.skip_space();
        if self.peek() != b':' {
            return Err(self.wrong("has no `:` behind a name"));
        }
        self.at += 1;
        Ok(Next::Value)
    }

    fn push(&mut self, tag: Tag, start: usize, end: usize) -> Result<(), Unparsed> {
        if self.nodes.len() >= self.limit {
            return Err(Unparsed::TooMuch(NotCompared::Nodes));
        }
        self.nodes.push(Node { tag, start: narrow(start), len: narrow(end - start), span: 0 });
        Ok(())
    }

    fn word(&mut self, word: &str, tag: Tag) -> Result<(), Unparsed> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.wrong("has no value where one must be"));
        }
        self.push(tag, self.at, self.at + word.len())?;
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Unparsed> {
        if self.peek() == b'-' {
            self.at += 1;
        }
        match self.peek() {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits(),
            _ => return Err(self.wrong("has a number without digits")),
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.some_digits("has a number without digits behind its point")?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.some_digits("has a number without digits in its exponent")?;
        }
        Ok(())
    }

    fn some_digits(&mut self, missing: &'static str) -> Result<(), Unparsed> {
        if !self.peek().is_ascii_digit() {
            return Err(self.wrong(missing));
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
    }

    fn string(&mut self, borrowed: Tag, owned: Tag) -> Result<(), Unparsed> {
        self.at += 1;
        let start = self.at;
        self.at = plain_end(self.bytes, start);
        match self.peek() {
            b'"' => {
                self.push(borrowed, start, self.at)?;
                self.at += 1;
                Ok(())
            }
            _ => self.escaped_string(start, owned),
        }
    }

    /// A string from its first escape on.
    #[cold]
    fn escaped_string(&mut self, mut start: usize, tag: Tag) -> Result<(), Unparsed> {
        let owned_start = self.owned.len();
        loop {
            self.owned.push_str(&self.text[start..self.at]);
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.wrong("has a control character inside a string")),
                None => return Err(self.wrong("ends inside a string")),
            }
            start = self.at;
            self.at = plain_end(self.bytes, start);
        }
        self.at += 1;
        self.push(tag, owned_start, self.owned.len())
    }

    fn escape(&mut self) -> Result<(), Unparsed> {
        let letter = match self.bytes.get(self.at + 1) {
            Some(letter @ (b'"' | b'\\' | b'/')) => char::from(*letter),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.wrong("has an escape that JSON does not know")),
        };
        self.at += 2;
        self.owned.push(letter);
        Ok(())
    }

    fn unicode_escape(&mut self) -> Result<(), Unparsed> {
        let first = self.unit()?;
        let behind = self.at;
        let mut code = first;
        if matches!(first, 0xd800..=0xdbff) && self.bytes[self.at..].starts_with(b"\\u") {
            match self.unit()? {
                second @ 0xdc00..=0xdfff => code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                // The first one is alone; what is behind it is read by itself.
                _ => self.at = behind,
            }
        }
        let lone = surrogate::stand_in(code);
        // Every code below 0x110000 that is no surrogate is a character.
        let letter = lone.or_else(|| char::from_u32(code)).ok_or_else(|| self.wrong(TAKEN))?;
        if lone.is_none() && surrogate::original(letter).is_some() {
            return Err(self.wrong(TAKEN));
        }
        self.owned.push(letter);
        Ok(())
    }

    /// The four digits of `\u0000`.
    fn unit(&mut self) -> Result<u32, Unparsed> {
        let digits = self.bytes.get(self.at + 2..self.at + 6).unwrap_or_default();
        let mut code = 0;
        for digit in digits {
            let digit = char::from(*digit).to_digit(16);
            code = code << 4 | digit.ok_or_else(|| self.wrong("has `\\u` without four digits behind it"))?;
        }
        if digits.len() < 4 {
            return Err(self.wrong("has `\\u` without four digits behind it"));
        }
        self.at += 6;
        Ok(code)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// The byte that comes next; 0, which JSON has nowhere, at the end.
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    #[cold]
    fn wrong(&self, what: &'static str) -> Unparsed {
        Unparsed::Malformed { at: self.at, what }
    }
}

/// Where a string stops being plain: at its quote, an escape, a control character or the end.
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    // Eight bytes at once: the high bit of a byte is set where the byte is one that stops.
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let quote = is_zero(word ^ (ONES * u64::from(b'"')));
        let escape = is_zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        // A borrow only runs upwards, so the lowest byte that is marked is marked rightly.
        let stop = (quote | escape | control) & HIGH;
        if stop != 0 {
            return at + (stop.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let stops = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    at + bytes[at..].iter().position(stops).unwrap_or(bytes.len() - at)
}

/// An offset in a document, which [`parse`] has checked to fit.
fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
