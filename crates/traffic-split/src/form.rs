//! Reading a query as `application/x-www-form-urlencoded`, the way that nearly every server reads it (WHATWG URL,
//! section 5.1): `&` between pairs, `=` after the name, `+` for a space, percent-encoding; what is malformed stays
//! as it is written.

use std::borrow::Cow;

/// The decoded value of the first pair called `name` (which is given decoded). A name without `=` has an empty value.
/// Borrows unless there is something to decode.
#[must_use]
pub fn query_value<'a>(query: &'a [u8], name: &[u8]) -> Option<Cow<'a, [u8]>> {
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let (pair_name, value) = split_once(pair, b'=').unwrap_or((pair, b""));
        let is_named = if needs_decoding(pair_name) {
            Decoded(pair_name).eq(name.iter().copied())
        } else {
            pair_name == name
        };
        is_named.then(|| decode(value))
    })
}

/// The two sides of the first `separator`; `None` without one.
pub(crate) fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == separator)?;
    let (before, rest) = bytes.split_at_checked(at)?;
    rest.split_first().map(|(_separator, after)| (before, after))
}

fn decode(value: &[u8]) -> Cow<'_, [u8]> {
    if needs_decoding(value) { Cow::Owned(Decoded(value).collect()) } else { Cow::Borrowed(value) }
}

fn needs_decoding(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'%' | b'+'))
}

/// The bytes that an encoded text stands for.
struct Decoded<'a>(&'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if let [b'%', high, low, rest @ ..] = self.0
            && let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low))
        {
            self.0 = rest;
            return Some(high << 4 | low);
        }
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(if *first == b'+' { b' ' } else { *first })
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::query_value;

    #[test]
    fn finds_the_first_pair_of_the_name() {
        let table: &[(&str, &str, Option<&str>)] = &[
            ("user=42", "user", Some("42")),
            ("a=1&user=42&user=43", "user", Some("42")),
            ("user", "user", Some("")),
            ("user=", "user", Some("")),
            ("user=a=b", "user", Some("a=b")),
            ("us%65r=1", "user", Some("1")),
            ("a+b=1", "a b", Some("1")),
            ("user=a+b%20c%2B", "user", Some("a b c+")),
            ("user=100%", "user", Some("100%")),
            ("user=%zz%4", "user", Some("%zz%4")),
            ("user=%%34", "user", Some("%4")),
            ("User=1", "user", None),
            ("users=1", "user", None),
            ("xuser=1", "user", None),
            ("&&=&user=1", "user", Some("1")),
            ("a=1;user=2", "user", None),
            ("", "user", None),
        ];
        for (query, name, expected) in table {
            let found = query_value(query.as_bytes(), name.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{query}");
        }
    }

    #[test]
    fn copies_only_what_it_decodes() {
        assert!(matches!(query_value(b"user=plain", b"user"), Some(Cow::Borrowed(_))));
        assert!(matches!(query_value(b"user=a%20b", b"user"), Some(Cow::Owned(_))));
    }
}
