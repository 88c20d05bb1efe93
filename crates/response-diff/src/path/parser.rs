//! From text to query, by the grammar of RFC 9535.

mod filters;

use std::fmt;

pub(super) use filters::compile_pattern;

use super::query::{Query, Segment, Selector, Slice, begins_name, continues_name};

/// Bytes of one query.
const LONGEST: usize = 4096;
/// How deep filters, parentheses and functions may stand in each other.
const DEEPEST: usize = 16;
/// Indexes are the integers that every JSON implementation has exactly (RFC 9535 section 2.1).
const LARGEST_INDEX: i64 = (1 << 53) - 1;

/// Why a text is not a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    /// The byte at which it is wrong.
    pub at: usize,
    /// What is wrong, as a sentence without its full stop.
    pub message: String,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.message, self.at)
    }
}

impl std::error::Error for PathError {}

type Parsed<T> = Result<T, PathError>;

impl Query {
    /// Reads a query from the document's value: `$.items[*].price`.
    ///
    /// # Errors
    ///
    /// The first place at which the text is not one.
    pub(crate) fn parse(text: &str) -> Parsed<Query> {
        if text.len() > LONGEST {
            let message = format!("the path has {} bytes, more than {LONGEST}", text.len());
            return Err(PathError { at: LONGEST, message });
        }
        let mut parser = Parser { text, at: 0, depth: 0 };
        if !parser.take("$") {
            return Err(parser.wrong("a path begins with `$`"));
        }
        let segments = parser.segments()?;
        if parser.at < text.len() {
            return Err(parser.wrong("a part of a path begins with `.`, `..` or `[`"));
        }
        Ok(Query { relative: false, segments })
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn segments(&mut self) -> Parsed<Vec<Segment>> {
        let mut segments = Vec::new();
        loop {
            let before = self.at;
            self.skip_space();
            if self.take("..") {
                let selectors = match self.peek() {
                    Some('[') => self.bracketed()?,
                    _ => vec![self.shorthand()?],
                };
                segments.push(Segment { descendant: true, selectors });
            } else if self.take(".") {
                segments.push(Segment { descendant: false, selectors: vec![self.shorthand()?] });
            } else if self.peek() == Some('[') {
                segments.push(Segment { descendant: false, selectors: self.bracketed()? });
            } else {
                self.at = before;
                return Ok(segments);
            }
        }
    }

    /// What stands behind a dot.
    fn shorthand(&mut self) -> Parsed<Selector> {
        if self.take("*") {
            return Ok(Selector::Wildcard);
        }
        let rest = &self.text[self.at..];
        if !rest.chars().next().is_some_and(begins_name) {
            let odd = "a name behind a dot begins with a letter or `_`; others are written `['name']`";
            return Err(self.wrong(odd));
        }
        let end = rest.find(|letter| !continues_name(letter)).unwrap_or(rest.len());
        self.at += end;
        Ok(Selector::Name(rest[..end].into()))
    }

    fn bracketed(&mut self) -> Parsed<Vec<Selector>> {
        self.at += 1;
        let mut selectors = Vec::new();
        loop {
            self.skip_space();
            selectors.push(self.selector()?);
            self.skip_space();
            if self.take("]") {
                return Ok(selectors);
            }
            if !self.take(",") {
                return Err(self.wrong("a selector ends with `,` or `]`"));
            }
        }
    }

    fn selector(&mut self) -> Parsed<Selector> {
        match self.peek() {
            Some('\'' | '"') => Ok(Selector::Name(self.string()?.into())),
            Some('*') => {
                self.at += 1;
                Ok(Selector::Wildcard)
            }
            Some('?') => {
                self.at += 1;
                self.skip_space();
                Ok(Selector::Filter(Box::new(self.deeper(Self::any)?)))
            }
            Some('-' | ':' | '0'..='9') => self.index_or_slice(),
            _ => Err(self.wrong("a selector is `'name'`, `*`, an index, a slice or a filter `?...`")),
        }
    }

    fn index_or_slice(&mut self) -> Parsed<Selector> {
        let start = self.optional_integer()?;
        let before = self.at;
        self.skip_space();
        if !self.take(":") {
            self.at = before;
            return start.map(Selector::Index).ok_or_else(|| self.wrong("an index is an integer"));
        }
        self.skip_space();
        let end = self.optional_integer()?;
        let before = self.at;
        self.skip_space();
        let mut step = None;
        if self.take(":") {
            let before = self.at;
            self.skip_space();
            step = self.optional_integer()?;
            if step.is_none() {
                self.at = before;
            }
        } else {
            self.at = before;
        }
        Ok(Selector::Slice(Slice { start, end, step: step.unwrap_or(1) }))
    }

    fn optional_integer(&mut self) -> Parsed<Option<i64>> {
        let start = self.at;
        let negative = self.take("-");
        let digits_start = self.at;
        self.digits();
        let digits = &self.text[digits_start..self.at];
        if digits.is_empty() && !negative {
            return Ok(None);
        }
        let is_written_right = !digits.is_empty() && (!digits.starts_with('0') || digits == "0" && !negative);
        if !is_written_right {
            return Err(self.wrong_at(start, "an index is an integer without leading zeros"));
        }
        let value = digits.parse::<i64>().ok().filter(|value| *value <= LARGEST_INDEX);
        let value = value.ok_or_else(|| self.wrong_at(start, "an index is at most 2^53 - 1"))?;
        Ok(Some(if negative { -value } else { value }))
    }

    fn some_digits(&mut self) -> Parsed<()> {
        let start = self.at;
        self.digits();
        if self.at == start { Err(self.wrong("a number is written as JSON writes it")) } else { Ok(()) }
    }

    fn digits(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    }

    /// A text in single or double quotes.
    fn string(&mut self) -> Parsed<String> {
        let start = self.at;
        let quote = if self.take("'") { '\'' } else { '"' };
        self.at = start + 1;
        let mut out = String::new();
        loop {
            let Some(letter) = self.peek() else {
                return Err(self.wrong_at(start, "a quote is not closed"));
            };
            if letter == '\\' {
                out.push(self.escape(quote)?);
                continue;
            }
            if letter < ' ' {
                return Err(self.wrong("a control character in quotes is written as `\\u00..`"));
            }
            self.at += letter.len_utf8();
            if letter == quote {
                return Ok(out);
            }
            out.push(letter);
        }
    }

    fn escape(&mut self, quote: char) -> Parsed<char> {
        let start = self.at;
        self.at += 1;
        let letter = match self.peek() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some(plain @ ('/' | '\\')) => plain,
            Some(same) if same == quote => same,
            Some('u') => return self.unicode_escape(start),
            _ => return Err(self.wrong_at(start, "this escape is not known")),
        };
        self.at += 1;
        Ok(letter)
    }

    fn unicode_escape(&mut self, start: usize) -> Parsed<char> {
        let mut code = self.unit(start)?;
        if (0xd800..0xdc00).contains(&code) && self.take("\\") && self.peek() == Some('u') {
            let low = self.unit(start)?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err(self.wrong_at(start, "this is half a surrogate pair"));
            }
            code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        char::from_u32(code).ok_or_else(|| self.wrong_at(start, "this is half a surrogate pair"))
    }

    /// `u` and four digits.
    fn unit(&mut self, start: usize) -> Parsed<u32> {
        let digits = self.text.get(self.at + 1..self.at + 5);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.at += 5;
        code.ok_or_else(|| self.wrong_at(start, "`\\u` has four hexadecimal digits behind it"))
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEEPEST {
            return Err(self.wrong(&format!("filters and parentheses nest more than {DEEPEST} deep")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, wanted: &str) -> bool {
        let is_next = self.text[self.at..].starts_with(wanted);
        if is_next {
            self.at += wanted.len();
        }
        is_next
    }

    fn wrong(&self, message: &str) -> PathError {
        self.wrong_at(self.at, message)
    }

    fn wrong_at(&self, at: usize, message: &str) -> PathError {
        PathError { at: at.min(self.text.len()), message: message.to_owned() }
    }
}
