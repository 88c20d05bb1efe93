//! One claim out of a bearer token, read and not verified.
//!
//! The split needs a name for the user, not proof: who forges a claim only chooses his own bucket. So the payload of
//! the compact form (RFC 7519 section 3, RFC 7515 section 3.1) is decoded and one member of its object is read;
//! signature and expiry are the backends' business. Anything that is not well formed has no claim.

/// The bytes of the claim `name` in the bearer token of an `Authorization` value (RFC 6750 section 2.1): a string's
/// text, or an integer's digits. Of duplicates the last counts (RFC 7519 section 4). Memory is bounded by the value.
pub(crate) fn bearer_claim(authorization: &[u8], name: &str) -> Option<Vec<u8>> {
    let (scheme, token) = authorization.split_at_checked("bearer".len())?;
    if !scheme.eq_ignore_ascii_case(b"bearer") || !token.starts_with(b" ") {
        return None;
    }
    let mut parts = token.trim_ascii().split(|byte| *byte == b'.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    // Five parts are an encrypted token, whose payload nobody can read here.
    if parts.next().is_some() {
        return None;
    }
    claim(&decode_base64url(payload)?, name.as_bytes())
}

/// RFC 4648 section 5 without padding, as RFC 7515 section 2 has it.
fn decode_base64url(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.chunks(4) {
        let mut bits: u32 = 0;
        for symbol in group {
            bits = bits << 6 | u32::from(sextet(*symbol)?);
        }
        let [_, first, second, third] = (bits << (6 * (4 - group.len()))).to_be_bytes();
        match group.len() {
            4 => bytes.extend([first, second, third]),
            3 => bytes.extend([first, second]),
            2 => bytes.push(first),
            _ => return None,
        }
    }
    Some(bytes)
}

fn sextet(symbol: u8) -> Option<u8> {
    match symbol {
        b'A'..=b'Z' => Some(symbol - b'A'),
        b'a'..=b'z' => Some(symbol - b'a' + 26),
        b'0'..=b'9' => Some(symbol - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

/// The member `name` of a JSON object (RFC 8259) when it is a string or an integer.
fn claim(json: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let mut json = Json(json);
    let mut found = None;
    json.expect(b'{')?;
    if json.take(b'}') {
        return None;
    }
    loop {
        let is_wanted = json.string()? == name;
        json.expect(b':')?;
        let value = json.value()?;
        if is_wanted {
            found = value;
        }
        if !json.take(b',') {
            break;
        }
    }
    json.expect(b'}')?;
    json.skip_space();
    found.filter(|_| json.0.is_empty())
}

/// What is left of a JSON text. Nesting costs a counter, not stack.
struct Json<'a>(&'a [u8]);

impl<'a> Json<'a> {
    fn skip_space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Takes this byte, if it is the next one after white space.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_next = self.0.first() == Some(&byte);
        if is_next {
            self.next();
        }
        is_next
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    /// Reads any value; its text if it is a string or an integer.
    #[allow(clippy::option_option, reason = "malformed, of another type, or a text: three outcomes")]
    fn value(&mut self) -> Option<Option<Vec<u8>>> {
        self.skip_space();
        match self.0.first()? {
            b'"' => self.string().map(Some),
            b'{' | b'[' => self.skip_nested().map(|()| None),
            _ => {
                let word = self.word();
                if is_integer(word) { Some(Some(word.to_vec())) } else { (!word.is_empty()).then_some(None) }
            }
        }
    }

    /// A string, its escapes resolved.
    fn string(&mut self) -> Option<Vec<u8>> {
        self.expect(b'"')?;
        let mut text = Vec::new();
        loop {
            match self.next()? {
                b'"' => return Some(text),
                b'\\' => {
                    let escaped = self.escape()?;
                    text.extend_from_slice(escaped.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0..0x20 => return None,
                byte => text.push(byte),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.next()? {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            _ => return None,
        })
    }

    /// Four hex digits, or two groups of them as a surrogate pair.
    fn unicode_escape(&mut self) -> Option<char> {
        let first = self.four_hex_digits()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        let is_pair = self.next()? == b'\\' && self.next()? == b'u';
        let second = self.four_hex_digits().filter(|second| is_pair && (0xdc00..0xe000).contains(second))?;
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    }

    fn four_hex_digits(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |number, _| Some(number << 4 | char::from(self.next()?).to_digit(16)?))
    }

    /// Passes over an object or array. Brackets are counted and not paired: the value is not wanted.
    fn skip_nested(&mut self) -> Option<()> {
        let mut depth: usize = 0;
        loop {
            match self.0.first()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.next();
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// A number, `true`, `false` or `null`, unchecked.
    fn word(&mut self) -> &'a [u8] {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let end = self.0.iter().position(|byte| !is_part(byte)).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at_checked(end).unwrap_or((self.0, b""));
        self.0 = rest;
        word
    }
}

fn is_integer(word: &[u8]) -> bool {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    let is_canonical = digits == b"0" || !digits.starts_with(b"0");
    !digits.is_empty() && is_canonical && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{bearer_claim, claim, decode_base64url};

    #[test]
    fn reads_strings_and_integers_of_the_object() {
        let table: &[(&str, Option<&str>)] = &[
            (r#"{"sub":"u-1"}"#, Some("u-1")),
            (r#" { "iss" : "x" , "sub" : 42 } "#, Some("42")),
            (r#"{"sub":-7}"#, Some("-7")),
            (r#"{"sub":0}"#, Some("0")),
            (r#"{"sub":123456789012345678901234567890}"#, Some("123456789012345678901234567890")),
            (r#"{"s\u0075b":"x"}"#, Some("x")),
            (r#"{"sub":"a\"\\\/\n\u00e9\ud83d\ude00"}"#, Some("a\"\\/\n\u{e9}\u{1f600}")),
            (r#"{"a":{"sub":"no","b":["}",{"]":"\""}]},"sub":"yes"}"#, Some("yes")),
            (r#"{"sub":"first","sub":"last"}"#, Some("last")),
            (r#"{"sub":"first","sub":null}"#, None),
            (r#"{"sub":""}"#, Some("")),
            (r#"{"sub":1.5}"#, None),
            (r#"{"sub":1e3}"#, None),
            (r#"{"sub":01}"#, None),
            (r#"{"sub":true}"#, None),
            (r#"{"sub":null}"#, None),
            (r#"{"sub":["x"]}"#, None),
            (r#"{"sub":{"a":1}}"#, None),
            (r#"{"sub":"x"} trailing"#, None),
            (r#"{"sub":"x","#, None),
            (r#"{"sub":"x",}"#, None),
            (r#"{"sub" "x"}"#, None),
            (r#"{"sub":}"#, None),
            (r#"{"sub":"\ud83d"}"#, None),
            (r#"{"sub":"\ud83d\u0041"}"#, None),
            (r#"{"sub":"\udc00"}"#, None),
            (r#"{"sub":"\x"}"#, None),
            ("{\"sub\":\"a\nb\"}", None),
            (r#"{"sub":"unclosed}"#, None),
            (r#"["sub","x"]"#, None),
            (r#""sub""#, None),
            ("{}", None),
            ("", None),
        ];
        for (json, expected) in table {
            assert_eq!(claim(json.as_bytes(), b"sub").as_deref(), expected.map(str::as_bytes), "{json}");
        }
    }

    #[test]
    fn reads_only_three_parts_of_a_bearer() {
        // {"sub":"user-1001","n":5}
        let payload = "eyJzdWIiOiJ1c2VyLTEwMDEiLCJuIjo1fQ";
        for (value, expected) in [
            (format!("Bearer e30.{payload}.sig"), Some("user-1001")),
            (format!("bEARER   e30.{payload}.sig "), Some("user-1001")),
            (format!("Bearer e30.{payload}."), Some("user-1001")),
            (format!("Bearer e30.{payload}"), None),
            (format!("Bearer a.{payload}.b.c.d"), None),
            (format!("Bearer e30.{payload}=.sig"), None),
            (format!("Bearere30.{payload}.sig"), None),
            (format!("Basic e30.{payload}.sig"), None),
            ("Bearer".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(
                bearer_claim(value.as_bytes(), "sub").as_deref(),
                expected.map(str::as_bytes),
                "{value}"
            );
        }
        assert_eq!(bearer_claim(format!("Bearer .{payload}.").as_bytes(), "n").as_deref(), Some(&b"5"[..]));
    }

    #[test]
    fn decodes_the_vectors_of_rfc_4648() {
        for (text, bytes) in [
            ("", ""),
            ("Zg", "f"),
            ("Zm8", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg", "foob"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(decode_base64url(text.as_bytes()).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(decode_base64url(b"-_-_").as_deref(), Some(&[0xfb, 0xff, 0xbf][..]));
        for bad in ["Z", "Zm9vY", "Zg==", "Zm+v", "Zm/v", "Z m8"] {
            assert_eq!(decode_base64url(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = bearer_claim(&[b"Bearer ", &bytes[..]].concat(), "sub");
            let _ = claim(&bytes, b"sub");
        }

        #[test]
        fn never_panics_on_near_json(json in r#"[{}\[\]:,"\\u0-9a-f sub]{0,60}"#) {
            let _ = claim(json.as_bytes(), b"sub");
        }
    }
}
