use std::borrow::Cow;

use proptest::prelude::*;

use super::{PathError, normalise_path};

/// Raw path, and its normal form or why it has none.
const TABLE: &[(&str, Result<&str, PathError>)] = &[
    // Normal already.
    ("/", Ok("/")),
    ("*", Ok("*")),
    ("/a", Ok("/a")),
    ("/a/", Ok("/a/")),
    ("/a/b/c", Ok("/a/b/c")),
    ("/a-b._~9", Ok("/a-b._~9")),
    ("/a:b@c!$&'()*+,;=d", Ok("/a:b@c!$&'()*+,;=d")),
    ("/cart;jsessionid=1F.node1", Ok("/cart;jsessionid=1F.node1")),
    ("/|{}^[]\"<>`", Ok("/|{}^[]\"<>`")),
    ("/.well-known/acme", Ok("/.well-known/acme")),
    ("/.hidden", Ok("/.hidden")),
    ("/..a", Ok("/..a")),
    ("/a..", Ok("/a..")),
    ("/a.", Ok("/a.")),
    ("/...", Ok("/...")),
    ("/a/.../b", Ok("/a/.../b")),
    ("/caf\u{e9}", Ok("/caf\u{e9}")),
    // The empty path is the root (RFC 9110 4.2.3).
    ("", Ok("/")),
    // Slashes are kept.
    ("//", Ok("//")),
    ("//a", Ok("//a")),
    ("/a//b", Ok("/a//b")),
    ("/a///", Ok("/a///")),
    // Dot segments (RFC 3986 5.2.4, 6.2.2.3).
    ("/.", Ok("/")),
    ("/./", Ok("/")),
    ("/a/.", Ok("/a/")),
    ("/a/./b", Ok("/a/b")),
    ("/./a", Ok("/a")),
    ("/a/..", Ok("/")),
    ("/a/../", Ok("/")),
    ("/a/../b", Ok("/b")),
    ("/a/b/..", Ok("/a/")),
    ("/a/b/../", Ok("/a/")),
    ("/a/b/../../c", Ok("/c")),
    ("/a/b/c/./../../g", Ok("/a/g")),
    ("/x/../admin", Ok("/admin")),
    ("/a/..//b", Ok("//b")),
    ("/a//../b", Ok("/a/b")),
    ("//..", Ok("/")),
    ("//../a", Ok("/a")),
    // Encoded dots are dots.
    ("/%2e", Ok("/")),
    ("/%2E/a", Ok("/a")),
    ("/a/%2e%2e/b", Ok("/b")),
    ("/a/%2E%2e/b", Ok("/b")),
    ("/a/.%2e/b", Ok("/b")),
    ("/a/%2e./b", Ok("/b")),
    ("/%2ewell-known", Ok("/.well-known")),
    ("/%2e%2e%2e", Ok("/...")),
    // Unreserved characters are decoded (6.2.2.2), others are not, hex is upper-cased (6.2.2.1).
    ("/%61dmin", Ok("/admin")),
    ("/%41%5A%61%7a%30%39", Ok("/AZaz09")),
    ("/%2D%5F%7E", Ok("/-_~")),
    ("/%c3%a9", Ok("/%C3%A9")),
    ("/%C3%A9", Ok("/%C3%A9")),
    ("/%c3%A9", Ok("/%C3%A9")),
    ("/a%20b", Ok("/a%20b")),
    ("/%25", Ok("/%25")),
    ("/%252e%252e/a", Ok("/%252e%252e/a")),
    ("/%3fa%23b", Ok("/%3Fa%23b")),
    ("/%3b%3D%26", Ok("/%3B%3D%26")),
    ("/%0d%0a", Ok("/%0D%0A")),
    ("/%7f%80", Ok("/%7F%80")),
    // Encoded separators stay in their segment.
    ("/a%2Fb", Ok("/a%2Fb")),
    ("/a%2fb", Ok("/a%2Fb")),
    ("/a%5cb", Ok("/a%5Cb")),
    ("/a\\b", Ok("/a\\b")),
    ("/\\a", Ok("/\\a")),
    ("/a%2F%2Fb", Ok("/a%2F%2Fb")),
    ("/a%2f../b", Err(PathError::HiddenDotSegment)),
    ("/..%2fa", Err(PathError::HiddenDotSegment)),
    ("/..%2Fa", Err(PathError::HiddenDotSegment)),
    ("/%2e%2e%2fa", Err(PathError::HiddenDotSegment)),
    ("/a/..%5cb", Err(PathError::HiddenDotSegment)),
    ("/a\\..\\b", Err(PathError::HiddenDotSegment)),
    ("/..\\b", Err(PathError::HiddenDotSegment)),
    ("/a\\..", Err(PathError::HiddenDotSegment)),
    ("/.\\admin", Err(PathError::HiddenDotSegment)),
    ("/a%2f.%2fb", Err(PathError::HiddenDotSegment)),
    ("/a%2f..", Err(PathError::HiddenDotSegment)),
    ("/a%2F.b%2F..c", Ok("/a%2F.b%2F..c")),
    // Parameters of segments, which some servers cut before they resolve dots.
    ("/a/..;/b", Err(PathError::HiddenDotSegment)),
    ("/a/..;x=1/b", Err(PathError::HiddenDotSegment)),
    ("/.;/admin", Err(PathError::HiddenDotSegment)),
    ("/a/%2e%2e;/b", Err(PathError::HiddenDotSegment)),
    ("/a/..%3b/b", Err(PathError::HiddenDotSegment)),
    ("/a;..", Ok("/a;..")),
    ("/a;v=../b", Ok("/a;v=../b")),
    ("/a;x\\..", Err(PathError::HiddenDotSegment)),
    // Above the root.
    ("/..", Err(PathError::AboveRoot)),
    ("/../a", Err(PathError::AboveRoot)),
    ("/./../a", Err(PathError::AboveRoot)),
    ("/a/../../b", Err(PathError::AboveRoot)),
    ("/%2e%2e/a", Err(PathError::AboveRoot)),
    // Malformed.
    ("/%", Err(PathError::MalformedPercent)),
    ("/%4", Err(PathError::MalformedPercent)),
    ("/a%4/b", Err(PathError::MalformedPercent)),
    ("/%zz", Err(PathError::MalformedPercent)),
    ("/%%41", Err(PathError::MalformedPercent)),
    ("/%+1", Err(PathError::MalformedPercent)),
    ("/100%", Err(PathError::MalformedPercent)),
    ("/%u0041", Err(PathError::MalformedPercent)),
    ("/%00", Err(PathError::Nul)),
    ("/a%00.png", Err(PathError::Nul)),
    ("/a b", Err(PathError::ForbiddenByte(b' '))),
    ("/a\tb", Err(PathError::ForbiddenByte(b'\t'))),
    ("/a\r\nb", Err(PathError::ForbiddenByte(b'\r'))),
    ("/a\0", Err(PathError::ForbiddenByte(0))),
    ("/\x7f", Err(PathError::ForbiddenByte(0x7f))),
    ("/a?b", Err(PathError::ForbiddenByte(b'?'))),
    ("/a#b", Err(PathError::ForbiddenByte(b'#'))),
    // No path at all.
    ("a", Err(PathError::NotAbsolute)),
    ("**", Err(PathError::NotAbsolute)),
    ("*/", Err(PathError::NotAbsolute)),
    ("\\a", Err(PathError::NotAbsolute)),
    ("%2Fa", Err(PathError::NotAbsolute)),
    ("http://a/", Err(PathError::NotAbsolute)),
];

#[test]
fn has_one_spelling_for_each_path() {
    for (raw, expected) in TABLE {
        let found = normalise_path(raw.as_bytes());
        assert_eq!(found.as_deref(), expected.as_ref().map(|path| path.as_bytes()), "{raw:?}");
        if let Ok(path) = &found {
            let is_same = **path == *raw.as_bytes();
            assert!(!is_same || matches!(path, Cow::Borrowed(_)), "{raw:?} is copied");
        }
    }
}

#[test]
fn every_error_has_its_word_and_sentence() {
    let mut words: Vec<_> = TABLE.iter().filter_map(|(_, form)| form.err()).map(PathError::as_str).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), 6);
    assert_eq!(PathError::ForbiddenByte(b' ').to_string(), "byte 0x20 cannot be part of a path");
}

proptest! {
    #[test]
    fn the_normal_form_is_normal(raw in prop::collection::vec(path_byte(), 0..24)) {
        let raw = [&b"/"[..], &raw].concat();
        let Ok(path) = normalise_path(&raw) else { return Ok(()) };
        prop_assert!(path.starts_with(b"/"));
        prop_assert!(path.len() <= raw.len());
        // Once more changes nothing, and costs nothing.
        let again = normalise_path(&path);
        prop_assert!(matches!(&again, Ok(Cow::Borrowed(again)) if **again == *path), "{:?}", again);
        // However a backend decodes it, there is nowhere to climb to.
        let decoded: Vec<u8> = crate::pattern::Decoded(&path).collect();
        let mut parts = decoded.split(|byte| matches!(byte, b'/' | b'\\'));
        let climbs = parts.any(|part| matches!(part.split(|byte| *byte == b';').next(), Some(b"." | b"..")));
        prop_assert!(!climbs, "{}", String::from_utf8_lossy(&path));
    }

    #[test]
    fn any_bytes_are_normalised_or_refused(raw: Vec<u8>) {
        let _ = normalise_path(&raw);
    }
}

/// Bytes that make paths go wrong, most of all.
fn path_byte() -> impl Strategy<Value = u8> {
    prop::sample::select(&b"/////...%%%%2222eEfF55cC;\\0134abAZ~_-"[..])
}
