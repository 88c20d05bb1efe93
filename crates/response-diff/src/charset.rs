//! From bytes to text.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use crate::media::{BodyKind, MediaType};

/// How far into a document its own word about its charset is looked for; HTML has the same bound.
const PROLOGUE_BYTES: usize = 1_024;

/// The text that the bytes stand for; `None` where they are not valid in their charset, so that nothing is lost that
/// could have told two bodies apart.
///
/// A byte order mark goes before everything and is no part of the text. JSON and streams of events are UTF-8 (RFC 8259
/// section 8.1), whatever charset is named, as long as they are valid so: many senders name another by habit. Else the
/// Content-Type's charset counts, then what HTML or XML say of themselves, then UTF-8.
pub(crate) fn text<'a>(bytes: &'a [u8], media: Option<&MediaType>, kind: BodyKind) -> Option<Cow<'a, str>> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return decoded(encoding, bytes.get(mark..).unwrap_or_default());
    }
    let encoding = media.and_then(named).or_else(|| by_itself(bytes, media)).unwrap_or(UTF_8);
    // UTF-16 of plain letters is valid UTF-8 too, with zeros in it that no text has.
    let is_utf8_anyway = kind.has_structure() && !bytes.contains(&0);
    if is_utf8_anyway && let Ok(text) = str::from_utf8(bytes) {
        return Some(Cow::Borrowed(text));
    }
    decoded(encoding, bytes)
}

/// The charset that a Content-Type names, UTF-8 for a name that nobody knows; `None` where it names none.
pub(crate) fn named(media: &MediaType) -> Option<&'static Encoding> {
    media.parameter("charset").map(|label| Encoding::for_label(label.as_bytes()).unwrap_or(UTF_8))
}

fn decoded<'a>(encoding: &'static Encoding, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
    encoding.decode_without_bom_handling_and_without_replacement(bytes)
}

/// The charset that an XML declaration or an HTML `meta` names.
fn by_itself(bytes: &[u8], media: Option<&MediaType>) -> Option<&'static Encoding> {
    let essence = media?.essence.as_str();
    let is_html = matches!(essence, "text/html" | "application/xhtml+xml");
    let is_xml = essence.ends_with("xml");
    if !(is_html || is_xml) {
        return None;
    }
    let head = bytes.get(..PROLOGUE_BYTES).unwrap_or(bytes).to_ascii_lowercase();
    let head = String::from_utf8_lossy(&head);
    let label = head
        .trim_start()
        .strip_prefix("<?xml")
        .and_then(|rest| rest.split_once("?>"))
        .and_then(|(declaration, _)| quoted_after(declaration, "encoding"))
        .or_else(|| is_html.then(|| quoted_after(head.split_once("<meta")?.1, "charset")).flatten())?;
    // Whoever could be read up to here is no UTF-16 (HTML section 13.2.3.2, step "if charset is UTF-16").
    Encoding::for_label(label.as_bytes()).map(|found| if found.is_ascii_compatible() { found } else { UTF_8 })
}

/// The word after `name` and an equals sign, with or without quotes.
fn quoted_after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = text.split_once(name)?.1.trim_start().strip_prefix('=')?.trim_start();
    let rest = rest.trim_start_matches(['"', '\'']);
    rest.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '>' | ';' | '/')).next()
}

/// Bytes of two sides as texts that are the same only where the bytes are: as UTF-8 where both are valid so, else with
/// one character for each byte of either.
pub(crate) fn both<'a>(old: &'a [u8], new: &'a [u8]) -> (Cow<'a, str>, Cow<'a, str>) {
    match (str::from_utf8(old), str::from_utf8(new)) {
        (Ok(old), Ok(new)) => (Cow::Borrowed(old), Cow::Borrowed(new)),
        _ => (byte_by_byte(old), byte_by_byte(new)),
    }
}

/// One character for each byte: windows-1252 has one for each.
pub(crate) fn byte_by_byte(bytes: &[u8]) -> Cow<'_, str> {
    WINDOWS_1252.decode_without_bom_handling(bytes).0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content_type: &str, bytes: &[u8]) -> Option<String> {
        let media = MediaType::parse(content_type.as_bytes());
        let kind = media.as_ref().map_or(BodyKind::Text, MediaType::kind);
        text(bytes, media.as_ref(), kind).map(Cow::into_owned)
    }

    #[test]
    fn charsets() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        for (content_type, bytes, expected) in [
            ("text/plain", "grün".as_bytes().to_vec(), Some("grün")),
            ("", "grün".as_bytes().to_vec(), Some("grün")),
            ("text/plain", b"gr\xfcn".to_vec(), None),
            ("text/plain; charset=iso-8859-1", b"gr\xfcn".to_vec(), Some("grün")),
            ("text/plain; charset=\"windows-1252\"", b"\x80 5".to_vec(), Some("€ 5")),
            ("text/plain; charset=shift_jis", b"\x83\x65\x83\x58\x83\x67".to_vec(), Some("テスト")),
            ("text/plain; charset=utf-8", b"\xff".to_vec(), None),
            ("text/plain; charset=klingon", "grün".as_bytes().to_vec(), Some("grün")),
            ("text/plain; charset=klingon", b"\xff".to_vec(), None),
            ("text/plain; charset=utf-16le", utf16("ab"), Some("ab")),
            ("text/plain; charset=utf-16le", b"a\0b".to_vec(), None),
            // A byte order mark knows better, and is not part of the text.
            ("text/plain; charset=iso-8859-1", b"\xef\xbb\xbfgr\xc3\xbcn".to_vec(), Some("grün")),
            ("application/json", [&b"\xff\xfe"[..], &utf16("{}")].concat(), Some("{}")),
            // JSON is UTF-8 whatever is said, if it can be.
            ("application/json; charset=iso-8859-1", "\"grün\"".as_bytes().to_vec(), Some("\"grün\"")),
            ("application/json; charset=iso-8859-1", b"\"gr\xfcn\"".to_vec(), Some("\"grün\"")),
            ("application/json; charset=utf-16le", utf16("{}"), Some("{}")),
            ("application/json", b"\"gr\xfcn\"".to_vec(), None),
            (
                "text/xml",
                b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xfc</a>".to_vec(),
                Some("<?xml version='1.0' encoding='ISO-8859-1'?><a>ü</a>"),
            ),
            ("text/html", b"<meta charset=latin1>\xfc".to_vec(), Some("<meta charset=latin1>ü")),
            (
                "text/html",
                b"<meta http-equiv=x content=\"text/html; charset=latin1\">\xfc".to_vec(),
                Some("<meta http-equiv=x content=\"text/html; charset=latin1\">ü"),
            ),
            ("text/html", b"<meta charset=utf-16>ok".to_vec(), Some("<meta charset=utf-16>ok")),
            ("text/html; charset=utf-8", b"<meta charset=latin1>\xfc".to_vec(), None),
        ] {
            assert_eq!(read(content_type, &bytes).as_deref(), expected, "{content_type} {bytes:?}");
        }
    }

    #[test]
    fn texts_of_both_sides_are_the_same_only_where_the_bytes_are() {
        let all: Vec<Vec<u8>> = (0..=255_u8).map(|byte| vec![byte]).chain([vec![0xc3, 0xbf]]).collect();
        for (number, old) in all.iter().enumerate() {
            for (other, new) in all.iter().enumerate() {
                let (old, new) = both(old, new);
                assert_eq!(old == new, number == other, "{old} {new}");
            }
        }
    }
}
