//! Values beside a secret's name: `name=value`, `name: value`, `"name": "value"`, wherever they stand in a text.
//!
//! Queries, fragments and forms are such pairs, and so is what links and other parameters carry of them, percent-encoded
//! once or twice, or in an attribute with `&amp;` between. A pair may stand in the value of another one, as in
//! `url=/x?token=...`: the value of a name that is no secret's is gone through as well.

use std::borrow::Cow;

use super::pass::{Pass, percent_decoded};
use super::scan::{Spliced, closing, opening, up_to, without_slash};
use super::{names, secrets};

/// How often something may be percent-encoded.
const DEEPEST: usize = 3;
/// The most white space before and after a separator.
const BLANKS: usize = 8;
/// The most bytes of a name, and of what it may be written as.
const NAME: usize = 64;
const WRITTEN: usize = 4 * NAME;

/// `=` or `:`, as it stands or percent-encoded.
#[derive(Clone, Copy)]
struct Separator {
    start: usize,
    end: usize,
    /// How often it is percent-encoded.
    level: usize,
    is_colon: bool,
}

impl Separator {
    /// The first one from here on.
    fn next(text: &str, from: usize) -> Option<Self> {
        let bytes = text.as_bytes();
        let mut at = from;
        loop {
            let start = at + memchr::memchr3(b'=', b':', b'%', bytes.get(at..)?)?;
            let (level, byte, length) = encoded(&bytes[start..]).unwrap_or((0, bytes[start], 1));
            if matches!(byte, b'=' | b':') {
                return Some(Separator { start, end: start + length, level, is_colon: byte == b':' });
            }
            at = start + 1;
        }
    }
}

/// The byte that stands percent-encoded at the start: how often, which, and how many bytes that takes.
fn encoded(text: &[u8]) -> Option<(usize, u8, usize)> {
    let mut rest = text.strip_prefix(b"%")?;
    let mut level = 1;
    while level < DEEPEST
        && let Some(inner) = rest.strip_prefix(b"25")
    {
        rest = inner;
        level += 1;
    }
    let digit = |at: usize| rest.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    Some((level, byte, text.len() - rest.len() + 2))
}

/// What stands before a separator.
struct Name<'t> {
    name: Cow<'t, str>,
    /// Whether it is a parameter of a query, a fragment or a form.
    is_parameter: bool,
}

impl<'t> Name<'t> {
    /// The name before a separator, of which nothing stands before `from`.
    fn before(text: &'t str, from: usize, separator: Separator) -> Option<Self> {
        let bytes = text.as_bytes();
        let mut end = separator.start;
        while end > from && separator.start - end < BLANKS && bytes[end - 1].is_ascii_whitespace() {
            end -= 1;
        }
        let quote = closing(&bytes[from..end]).filter(|quote| !quote.starts_with('%'));
        end -= quote.map_or(0, str::len);
        let is_of_it = |byte: &u8| is_of_name(char::from(*byte)) || *byte == b'%';
        let length = bytes[from..end].iter().rev().take(WRITTEN).take_while(|byte| is_of_it(byte)).count();
        let start = end - length;
        let written = &text[start..end];
        let decoded = if written.contains('%') {
            let twice = percent_decoded(&percent_decoded(written));
            Cow::Owned(twice.strip_suffix(['"', '\'']).unwrap_or(&twice).to_owned())
        } else {
            Cow::Borrowed(written)
        };
        let cut = decoded.char_indices().rev().find(|(_, letter)| !is_of_name(*letter));
        let cut = cut.map_or(0, |(at, letter)| at + letter.len_utf8());
        let before = match decoded[..cut].chars().next_back() {
            Some(letter) => Some(letter),
            None => text[..start].chars().next_back(),
        };
        let cut = cut.max(decoded.len().saturating_sub(NAME));
        let is_first = |letter: char| letter.is_ascii_alphabetic() || letter == '_';
        let cut = cut + decoded[cut..].find(is_first)?;
        // What follows a colon in a URN, or is an address in a URL, is no value.
        if separator.is_colon && quote.is_none() && matches!(before, Some(':' | '/')) {
            return None;
        }
        let is_parameter = matches!(before, Some('?' | '&' | '#'))
            || ["&amp;", "&#38;"].iter().any(|and| text[..start].ends_with(and));
        let name = match decoded {
            Cow::Borrowed(name) => Cow::Borrowed(&name[cut..]),
            Cow::Owned(name) => Cow::Owned(name[cut..].to_owned()),
        };
        Some(Name { name, is_parameter })
    }
}

const fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '[' | ']' | '-')
}

impl Pass<'_> {
    /// Hides values beside a secret's name.
    pub(super) fn pairs<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        let mut out = Spliced::of(text);
        // Names begin behind the separator or the value before, so that no byte is looked at for two of them.
        let mut from = 0;
        while let Some(separator) = Separator::next(text, from) {
            let name = Name::before(text, from, separator);
            from = separator.end;
            let Some(name) = name.filter(|name| self.is_secret_pair(name)) else { continue };
            let Some((start, end)) = self.value(text, separator, &name) else { continue };
            let value = &text[start..end];
            // A word of a sentence, as in `password: must not be empty`, is no value to be looked for elsewhere.
            let is_prose = separator.is_colon
                && text[..start].ends_with(' ')
                && text[end..].starts_with(' ')
                && value.bytes().all(|byte| byte.is_ascii_lowercase());
            if let Some(found) = self.found.as_mut().filter(|_| !is_prose) {
                let levels = separator.level + usize::from(name.is_parameter);
                (0..levels).fold(value.to_owned(), |value, _| {
                    let decoded = percent_decoded(&value);
                    found.add(&decoded);
                    decoded
                });
            }
            let hidden = self.hide_beside_marks(value);
            out.replace(start, end, &hidden);
            from = end;
        }
        out.whole()
    }

    fn is_secret_pair(&self, Name { name, is_parameter }: &Name<'_>) -> bool {
        self.is_secret(name)
            || *is_parameter && self.redactor.parameters.iter().any(|rule| rule.as_str() == name.as_ref())
    }

    /// Where the value behind a separator stands; `None` where there is none that could be secret.
    fn value(&self, text: &str, separator: Separator, name: &Name<'_>) -> Option<(usize, usize)> {
        let Separator { end: mut start, level, is_colon, .. } = separator;
        if !name.is_parameter {
            // As in `token := "..."`.
            start += usize::from(is_colon && text[start..].starts_with('='));
            start += text[start..].bytes().take(BLANKS).take_while(u8::is_ascii_whitespace).count();
        }
        if let Some(quote) = opening(&text[start..]) {
            let inner = start + quote.len();
            // Quotes of a kind are looked for from one to the next, so that this is linear.
            let inside = memchr::memmem::find(&text.as_bytes()[inner..], quote.as_bytes());
            let inside = inside.filter(|length| !text[inner..inner + length].contains('\n'));
            match inside {
                Some(0) => return None,
                Some(length) => return Some((inner, inner + length)),
                // It was cut, or does not close before the line does.
                None => start = inner,
            }
        }
        let meant = |rest: &str| {
            let (deep, byte, _) = encoded(rest.as_bytes()).filter(|_| level > 0)?;
            (deep <= level && byte.is_ascii()).then_some(char::from(byte))
        };
        let is_end = |letter: char| {
            letter.is_whitespace()
                || r#""'&;,<>(){}[]"#.contains(letter)
                || letter == '#' && name.is_parameter
        };
        let written = without_slash(up_to(&text[start..], meant, is_end), &text[start..]).len();
        // A value that is known has its end where that has.
        let known = self.known.at_start_of(&text[start..]).map_or(0, str::len);
        let end = start + written.max(known);
        let value = &text[start..end];
        let is_count = names::is_of_many(&name.name)
            && value.len() < secrets::SHORTEST
            && value.bytes().all(|byte| byte.is_ascii_digit());
        (!value.is_empty() && !is_count).then_some((start, end))
    }
}
