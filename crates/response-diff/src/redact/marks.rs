//! What stands in place of a secret: `«redacted 3fa9c1»`.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const START: &str = "«redacted ";
const END: char = '»';
const DIGITS: usize = 6;

/// Makes marks: the same for the same value under the same key.
#[derive(Clone)]
pub(super) struct Marks(Hmac<Sha256>);

impl Marks {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Marks(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    /// The mark of a value: 24 bits of HMAC-SHA-256 (RFC 2104). A mark is its own.
    pub(super) fn of(&self, value: &str) -> String {
        if is_mark(value) {
            return value.to_owned();
        }
        let mut hash = self.0.clone();
        hash.update(value.as_bytes());
        let digest = hash.finalize().into_bytes();
        let mut mark = String::from(START);
        for byte in digest.iter().take(DIGITS / 2) {
            let _ = write!(mark, "{byte:02x}");
        }
        mark.push(END);
        mark
    }
}

/// Whether this is a mark and no more.
pub(super) fn is_mark(text: &str) -> bool {
    first(text) == Some(text)
}

/// The mark that a text begins with.
pub(super) fn first(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(START)?;
    let digits = rest.get(..DIGITS)?;
    let is_hash = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_hash && rest[DIGITS..].starts_with(END)).then(|| &text[..START.len() + DIGITS + END.len_utf8()])
}

/// Calls `with` for each part of the text between marks; the marks stay as they are.
pub(super) fn between(text: &str, mut with: impl FnMut(&str, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut from = 0;
    while let Some(found) = rest.get(from..).and_then(|tail| tail.find(START)).map(|at| from + at) {
        match first(&rest[found..]) {
            Some(mark) => {
                with(&rest[..found], &mut out);
                out.push_str(mark);
                rest = &rest[found + mark.len()..];
                from = 0;
            }
            None => from = found + START.len(),
        }
    }
    with(rest, &mut out);
    out
}

/// The text up to `most` bytes, not ending within a character or a mark.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let end = text.floor_char_boundary(most);
    if end == text.len() {
        return text;
    }
    let open = text[..end].rfind('«').filter(|open| end - open < START.len() + DIGITS + END.len_utf8());
    match open {
        Some(open) if first(&text[open..]).is_some() => &text[..open],
        _ => &text[..end],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_the_same_for_the_same_value_and_key() {
        let (one, other) = (Marks::new(&[1; 32]), Marks::new(&[2; 32]));
        let mark = one.of("4111111111111111");
        assert_eq!(mark, one.of("4111111111111111"));
        assert_ne!(mark, one.of("4111111111111112"));
        assert_ne!(mark, other.of("4111111111111111"));
        assert!(is_mark(&mark) && !is_mark("«redacted»") && !is_mark("«redacted 3FA9C1»"));
        assert_eq!(one.of(&mark), mark);
        // RFC 4231 section 4.2, so that it is HMAC-SHA-256 indeed; its key is 20 bytes, here padded as HMAC pads it.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        assert_eq!(Marks::new(&key).of("Hi There"), "«redacted b0344c»");
    }

    #[test]
    fn marks_are_stepped_over_and_never_cut() {
        let text = "a «redacted 3fa9c1»b«redacted x» «redacted 000000»";
        assert_eq!(
            between(text, |part, out| out.push_str(&part.to_uppercase())),
            "A «redacted 3fa9c1»B«REDACTED X» «redacted 000000»"
        );
        for (most, expected) in [
            (0, ""),
            (2, "a "),
            (3, "a "),
            (15, "a "),
            (21, "a «redacted 3fa9c1»"),
            (22, "a «redacted 3fa9c1»b"),
            (500, text),
        ] {
            assert_eq!(cut(text, most), expected, "{most}");
        }
    }
}
