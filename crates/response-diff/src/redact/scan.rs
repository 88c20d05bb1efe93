//! What the scanners of texts have in common. They go through a text once: none looks twice at what it has passed.

use std::borrow::Cow;

use super::marks;

/// How quotes are written, also within a text that is quoted, in an attribute, or percent-encoded once or twice. The
/// longer ones before what they end with.
const QUOTES: [&str; 12] =
    ["\\\"", "\\'", "&quot;", "&#34;", "&apos;", "&#39;", "&#x27;", "%2522", "%2527", "%22", "%27", "\""];

/// The quote that a text begins with.
pub(super) fn opening(text: &str) -> Option<&'static str> {
    QUOTES.into_iter().chain(["'"]).find(|quote| text.starts_with(quote))
}

/// The quote that a text ends with.
pub(super) fn closing(text: &[u8]) -> Option<&'static str> {
    QUOTES.into_iter().chain(["'"]).find(|quote| text.ends_with(quote.as_bytes()))
}

/// What a text begins with, up to the first character that ends it; marks are stepped over. `meant` says what a character
/// stands for, where that is not itself.
pub(super) fn up_to(text: &str, meant: impl Fn(&str) -> Option<char>, is_end: impl Fn(char) -> bool) -> &str {
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        let rest = &text[at..];
        if letter == '«'
            && let Some(mark) = marks::first(rest)
        {
            at += mark.len();
            continue;
        }
        if is_end(meant(rest).unwrap_or(letter)) {
            break;
        }
        at += letter.len_utf8();
    }
    &text[..at]
}

/// A value without quotes that `rest` begins with. The slash of `<input value=abc/>` is the element's.
pub(super) fn without_slash<'t>(value: &'t str, rest: &str) -> &'t str {
    let is_last = rest[value.len()..].starts_with('>');
    value.strip_suffix('/').filter(|value| is_last && !value.is_empty()).unwrap_or(value)
}

/// A text of which parts are replaced, from its beginning to its end.
pub(super) struct Spliced<'t> {
    text: &'t str,
    out: String,
    /// Up to where the text is in `out`, or replaced there.
    done: usize,
}

impl<'t> Spliced<'t> {
    pub(super) const fn of(text: &'t str) -> Self {
        Spliced { text, out: String::new(), done: 0 }
    }

    /// Puts something in the place of a part behind all that were replaced before.
    pub(super) fn replace(&mut self, start: usize, end: usize, with: &str) {
        self.out.push_str(&self.text[self.done..start]);
        self.out.push_str(with);
        self.done = end;
    }

    pub(super) fn whole(mut self) -> Cow<'t, str> {
        if self.done == 0 {
            return Cow::Borrowed(self.text);
        }
        self.out.push_str(&self.text[self.done..]);
        Cow::Owned(self.out)
    }
}
