//! Values in HTML and XML whose element or attribute says that they are secret.
//!
//! - `<Password>...</Password>`, with a prefix, in CDATA; `<password value="..."/>`;
//! - `<user password="...">`, `<div data-token='...'>`;
//! - `<input name=csrf_token value=...>`, `<meta content="..." name="csrf-token">`, `<add key="ApiKey" value="..."/>`, in any
//!   order and with any quotes or none; `<entry key="password">...</entry>`.

use std::borrow::Cow;
use std::ops::Range;

use super::pass::Pass;
use super::scan::{Spliced, opening, up_to, without_slash};

/// Attributes that say what an element's `value`, `content` or text is, beside `id`.
const NAMING: [&str; 4] = ["name", "key", "property", "itemprop"];
const VALUES: [&str; 2] = ["value", "content"];
/// Elements of HTML that have no text: what follows them is that of another one.
const VOID: [&str; 5] = ["img", "input", "link", "meta", "param"];

/// What `<name a=b c="d">` says.
struct Tag<'t> {
    name: &'t str,
    /// Values, and whether they are secret by the name of their attribute; else they are if the element is named so.
    values: Vec<(bool, Range<usize>)>,
    /// Whether an attribute other than `id` is a secret's name, and whether `id` is one.
    is_named: bool,
    has_id: bool,
    /// Where it ends.
    end: usize,
    /// Whether text may follow that belongs to it.
    has_text: bool,
}

/// Where values in quotes end. A page may stand in an attribute or in a script, and a script has `<` and quotes that are
/// neither of an element nor of an attribute: a text is read in both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// With the quote.
    Quotes,
    /// With the quote, or where an element may begin, and then the element around it has ended, too.
    Elements,
}

impl<'t> Tag<'t> {
    /// The tag behind a `<`; `None` where none is.
    fn read(text: &'t str, start: usize, reading: Reading, is_secret: impl Fn(&str) -> bool) -> Option<Self> {
        let first = text.as_bytes().get(start)?;
        if !(first.is_ascii_alphabetic() || *first == b'_') {
            return None;
        }
        let name = word(&text[start..]);
        let mut at = start + name.len();
        let mut tag = Tag {
            name: local(name),
            values: Vec::new(),
            is_named: false,
            has_id: false,
            end: at,
            has_text: false,
        };
        loop {
            let rest =
                text[at..].trim_start_matches(|letter: char| letter.is_ascii_whitespace() || letter == '/');
            let is_closed = text[at..text.len() - rest.len()].ends_with('/');
            at = text.len() - rest.len();
            if rest.starts_with('>') {
                tag.has_text = !is_closed && !VOID.iter().any(|void| tag.name.eq_ignore_ascii_case(void));
                at += 1;
            }
            if rest.is_empty() || rest.starts_with(['>', '<', '=']) {
                break;
            }
            let name = word(&text[at..]);
            at += name.len();
            let Some(value) = assigned(text, at, reading) else { continue };
            at = value.after;
            tag.take(local(name), value.inner, text, &is_secret);
        }
        tag.end = at;
        Some(tag)
    }

    fn take(&mut self, name: &str, value: Range<usize>, text: &str, is_secret: impl Fn(&str) -> bool) {
        let is = |other: &&str| name.eq_ignore_ascii_case(other);
        let says = &text[value.clone()];
        if is(&"id") {
            self.has_id |= is_secret(says);
        } else {
            self.is_named |= NAMING.iter().any(is) && is_secret(says);
            self.is_named |= is(&"type") && says.eq_ignore_ascii_case("password");
        }
        let is_secret = is_secret(name);
        if !value.is_empty() && (is_secret || VALUES.iter().any(is)) {
            self.values.push((is_secret, value));
        }
    }

    /// Whether its text is secret. What has an id may be a caption or a form as well: a token is one word with a digit.
    fn names_text(&self, text: &str) -> bool {
        let is_token =
            || text.bytes().any(|byte| byte.is_ascii_digit()) && !text.contains(char::is_whitespace);
        self.is_named || self.has_id && is_token()
    }
}

/// The name of an element or an attribute, which the text begins with.
fn word(text: &str) -> &str {
    up_to(text, |_| None, |letter| letter.is_ascii_whitespace() || matches!(letter, '=' | '>' | '/' | '<'))
}

/// A name without its prefix.
fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// Where a value stands, and what follows it.
struct Assigned {
    inner: Range<usize>,
    after: usize,
}

/// The value of the attribute whose name ends here, if it has one.
fn assigned(text: &str, at: usize, reading: Reading) -> Option<Assigned> {
    let mut rest = text[at..].trim_ascii_start().strip_prefix('=')?.trim_ascii_start();
    let mut start = text.len() - rest.len();
    if let Some(quote) = opening(rest) {
        start += quote.len();
        rest = &rest[quote.len()..];
        // Where it is closed nowhere, none like it is left, so that nobody looks for it again.
        if let Some(length) = memchr::memmem::find(rest.as_bytes(), quote.as_bytes()) {
            let element = memchr::memchr(b'<', &rest.as_bytes()[..length]);
            if let Some(element) = element.filter(|_| reading == Reading::Elements) {
                return Some(Assigned { inner: start..start, after: start + element });
            }
            let end = start + length;
            return Some(Assigned { inner: start..end, after: end + quote.len() });
        }
    }
    let value = up_to(rest, |_| None, |letter| letter.is_ascii_whitespace() || matches!(letter, '>' | '<'));
    let value = without_slash(value, rest);
    let end = start + value.len();
    Some(Assigned { inner: start..end, after: end })
}

impl Pass<'_> {
    /// Hides what elements and attributes say is secret.
    pub(super) fn markup<'t>(&mut self, text: &'t str, reading: Reading) -> Cow<'t, str> {
        let mut out = Spliced::of(text);
        let mut at = 0;
        while let Some(open) = memchr::memchr(b'<', &text.as_bytes()[at..]) {
            at += open + 1;
            let Some(tag) = Tag::read(text, at, reading, |name| self.is_secret(name)) else { continue };
            at = tag.end;
            let is_secret = self.is_secret(tag.name);
            let is_named = is_secret || tag.is_named || tag.has_id;
            for (is_secret, value) in &tag.values {
                if *is_secret || is_named {
                    self.hide_part(value.clone(), text, &mut out);
                }
            }
            if tag.has_text && is_named {
                let (parts, end) = content(text, at);
                at = end;
                for part in parts {
                    if is_secret || tag.names_text(&text[part.clone()]) {
                        self.hide_part(part, text, &mut out);
                    }
                }
            }
        }
        out.whole()
    }

    fn hide_part(&mut self, part: Range<usize>, text: &str, out: &mut Spliced<'_>) {
        let hidden = self.hide_beside_marks(&text[part.clone()]);
        out.replace(part.start, part.end, &hidden);
    }
}

/// The text of an element without others in it, without white space around, and where it ends. What is in CDATA is text
/// for sure; anything else only before the element's end.
fn content(text: &str, start: usize) -> (Vec<Range<usize>>, usize) {
    const OPEN: &str = "<![CDATA[";
    const CLOSE: &str = "]]>";
    let (mut parts, mut plain) = (Vec::new(), Vec::new());
    let mut at = start;
    loop {
        let rest = &text[at..];
        let length = memchr::memchr(b'<', rest.as_bytes()).unwrap_or(rest.len());
        plain.push(at..at + length);
        at += length;
        let Some(data) = text[at..].strip_prefix(OPEN) else { break };
        let from = at + OPEN.len();
        let length = memchr::memmem::find(data.as_bytes(), CLOSE.as_bytes());
        parts.append(&mut plain);
        parts.push(from..from + length.unwrap_or(data.len()));
        at = length.map_or(text.len(), |length| from + length + CLOSE.len());
    }
    if text[at..].starts_with("</") {
        parts.append(&mut plain);
    }
    let mut trimmed: Vec<_> = parts
        .into_iter()
        .map(|part| {
            let inner = &text[part.clone()];
            let start = part.start + (inner.len() - inner.trim_start().len());
            start..start + inner.trim().len()
        })
        .collect();
    trimmed.retain(|part| !part.is_empty());
    (trimmed, at)
}
