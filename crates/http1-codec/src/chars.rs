//! Which bytes may stand where, as tables built at compile time.

/// A member of `tchar` (RFC 9110 section 5.6.2).
const TOKEN: u8 = 1;
/// May stand in the path of a request target.
const PATH: u8 = 1 << 1;
/// May stand in the query of a request target.
const QUERY: u8 = 1 << 2;
/// May stand in a registered name: `unreserved` and `sub-delims` of RFC 3986 but for the comma, which would
/// read as a list of hosts, and without percent-encoding, which no host name needs and few readers decode.
const NAME: u8 = 1 << 3;
/// May stand in a field value, a reason phrase or a quoted string: HTAB, SP, VCHAR, obs-text (RFC 9110
/// section 5.5).
const TEXT: u8 = 1 << 4;

static CLASSES: [u8; 256] = classes();

/// Whether `bytes` is a token: one or more of the characters that names are made of (RFC 9110 section 5.6.2).
#[must_use]
#[inline]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    has(byte, TOKEN)
}

#[inline]
pub(crate) fn is_path_byte(byte: u8) -> bool {
    has(byte, PATH)
}

#[inline]
pub(crate) fn is_query_byte(byte: u8) -> bool {
    has(byte, QUERY)
}

#[inline]
pub(crate) fn is_host_byte(byte: u8) -> bool {
    has(byte, NAME)
}

#[inline]
pub(crate) fn is_text_byte(byte: u8) -> bool {
    has(byte, TEXT)
}

/// The elements of a comma-separated list, without the white space around them; empty ones included (RFC 9110
/// section 5.6.1).
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim)
}

/// `value` without the SP and HTAB at its ends.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[inline]
fn has(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        let alphanumeric = byte.is_ascii_alphanumeric();
        let mut class = 0;
        if alphanumeric
            || matches!(
                byte,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_'
            )
            || matches!(byte, b'`' | b'|' | b'~')
        {
            class |= TOKEN;
        }
        // RFC 3986 allows fewer, but old systems live on `|`, `{`, `}`, `^`, `\` and `"`. A quotation mark in
        // the query is left out because common libraries refuse it there.
        if byte.is_ascii_graphic() && !matches!(byte, b'#' | b'<' | b'>' | b'`') {
            if byte != b'?' {
                class |= PATH;
            }
            if byte != b'"' {
                class |= QUERY;
            }
        }
        if alphanumeric
            || matches!(byte, b'-' | b'.' | b'_' | b'~')
            || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=')
        {
            class |= NAME;
        }
        if byte == b'\t' || (byte >= b' ' && byte != 0x7f) {
            class |= TEXT;
        }
        table[byte as usize] = class;
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn tokens_are_what_rfc_9110_says() {
        assert!(is_token(b"!#$%&'*+-.^_`|~09azAZ"));
        for bytes in
            [&b""[..], b"a b", b"a:", b"a/b", b"(a)", b"a\x7f", b"\xe9", b"\"a\"", b"{a}", b"a,b", b"@"]
        {
            assert!(!is_token(bytes), "{bytes:?}");
        }
    }

    #[test]
    fn lists_are_split_at_commas_and_trimmed() {
        let list: Vec<_> = elements(b" a ,\tb,,c d\t ").collect();
        assert_eq!(list, [&b"a"[..], b"b", b"", b"c d"]);
        assert_eq!(elements(b"").collect::<Vec<_>>(), [b""]);
    }

    #[test]
    fn targets_exclude_what_delimits_or_confuses() {
        for byte in *b" #<>`\x00\x7f\x80\xff\r\n\t" {
            assert!(!is_path_byte(byte) && !is_query_byte(byte), "{byte:#x}");
        }
        for byte in *b"|{}^\\[]" {
            assert!(is_path_byte(byte) && is_query_byte(byte), "{byte:#x}");
        }
        assert!(is_path_byte(b'"') && !is_query_byte(b'"'));
    }
}
