//! Whether a segment of a path names one thing among many, told by its looks.
//!
//! All that looks like an id is `{id}`, whatever sort it is: a place that holds numbers on one day and UUIDs on the next
//! is still one place. What is missed here, such as plain names of users, is learned from how many different values a
//! place has. Taking a word for an id merges it with its neighbours; taking an id for a word only waits for that
//! learning. So a rule here has to be fairly sure.

use std::borrow::Cow;

/// What stands for any one segment.
pub(super) const ANY: &str = "{id}";
/// A longer segment is no name that people gave to a resource. In bytes.
const LONGEST_LITERAL: usize = 64;
/// The longest ending that counts as a file's: `.woff2`, `.jsonl`.
const LONGEST_EXTENSION: usize = 5;

/// The segment as an endpoint's name has it: itself, `{id}`, or `{id}` with what surrounds it for good, as in
/// `{id}.json`, `Orders({id})` and `{id}:cancel`. Matrix parameters (`;v=1`, RFC 3986 section 3.3) are left out.
pub(super) fn canonical(segment: &str) -> Cow<'_, str> {
    let segment = segment.split(';').next().unwrap_or_default();
    if segment.is_empty() {
        return Cow::Borrowed("");
    }
    if segment.len() > LONGEST_LITERAL || segment.contains(['{', '}', '%']) || !segment.is_ascii() {
        return Cow::Borrowed(ANY);
    }
    around(segment).unwrap_or_else(|| Cow::Borrowed(if is_id(segment) { ANY } else { segment }))
}

/// Ids with something around them that belongs to the endpoint.
fn around(segment: &str) -> Option<Cow<'_, str>> {
    // OData: `Orders(42)`, `Orders('ALFKI')`.
    if let Some((name, key)) = segment.strip_suffix(')').and_then(|open| open.split_once('(')) {
        let named = !name.is_empty() && name.bytes().all(is_word_byte);
        let whole =
            if key.is_empty() { Cow::Borrowed(segment) } else { Cow::Owned(format!("{name}({ANY})")) };
        return named.then_some(whole);
    }
    // Custom methods (Google AIP-136): `42:cancel`.
    if let Some((resource, method)) = segment.rsplit_once(':') {
        let is_method = method.len() > 2 && method.bytes().all(|byte| byte.is_ascii_alphabetic());
        return (is_method && is_id(resource)).then(|| Cow::Owned(format!("{ANY}:{method}")));
    }
    let (stem, extension) = segment.rsplit_once('.')?;
    let is_extension = (1..=LONGEST_EXTENSION).contains(&extension.len())
        && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && extension.starts_with(|first: char| first.is_ascii_alphabetic());
    (is_extension && stem.bytes().all(is_word_byte) && is_id(stem))
        .then(|| Cow::Owned(format!("{ANY}.{extension}")))
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

fn is_id(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return true;
    }
    // `@name` and `$count` are names. An @ within is an address, and `=`, `,` and the like are values.
    let named = text.strip_prefix(['@', '$']).unwrap_or(text);
    if named.bytes().any(|byte| !(is_word_byte(byte) || matches!(byte, b'~' | b':'))) {
        return true;
    }
    if is_short_version(named) {
        return false;
    }
    let parts = || named.split(['-', '_', '.', '~', ':']);
    let is_numeric = parts().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let pairs = parts().filter(|part| part.len() == 2 && is_hex(part)).count();
    let is_hardware_address = pairs == 6 && parts().count() == 6;
    is_numeric || is_hardware_address || is_uuid(named) || parts().any(is_id_part)
}

/// `1.0`, `2.11`, `1.2.3`: a version, not a number.
fn is_short_version(text: &str) -> bool {
    let short = |part: &str| matches!(part.len(), 1 | 2) && part.bytes().all(|byte| byte.is_ascii_digit());
    matches!(text.split('.').count(), 2 | 3) && text.split('.').all(short)
}

/// RFC 9562 section 4. Other groups of hex digits are found part by part, but one without any digit is rare enough to be
/// looked for only here.
fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.split('-').all(is_hex)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether one part between separators is enough to make the whole an id: `123` of `user_123`, `9s6XKzkNRiz8i3` of
/// `cus_9s6XKzkNRiz8i3`.
fn is_id_part(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    if digits == part.len() {
        return digits >= 3;
    }
    if is_version(part) {
        return false;
    }
    let hex = is_hex(part) && (part.len() >= 12 || part.len() >= 8 && digits > 0);
    // `sha256` and `OAuth2Callback` are words; ULIDs, KSUIDs, base64 and the names of videos change between letters and
    // digits all the time.
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let changes = part.as_bytes().windows(2).filter(|two| is_digit(&two[0]) != is_digit(&two[1])).count();
    hex || digits >= 4 || changes >= 3 && part.len() >= 8
}

/// `v1`, `v2beta3`, `v1p1beta1`: the version of an API.
fn is_version(part: &str) -> bool {
    let Some(rest) = part.strip_prefix(['v', 'V']) else { return false };
    let words = rest.split(|c: char| c.is_ascii_digit()).filter(|word| !word.is_empty());
    rest.starts_with(|first: char| first.is_ascii_digit())
        && part.len() <= 12
        && words.into_iter().all(|word| matches!(word, "p" | "rc" | "alpha" | "beta"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENTS: &[(&str, &str)] = &[
        // Names.
        ("", ""),
        ("orders", "orders"),
        ("v1", "v1"),
        ("v1p1beta1", "v1p1beta1"),
        ("1.0", "1.0"),
        ("2.11.3", "2.11.3"),
        ("oauth2", "oauth2"),
        ("OAuth2Callback", "OAuth2Callback"),
        ("getUserV2Profile", "getUserV2Profile"),
        ("sha256", "sha256"),
        ("h264", "h264"),
        ("base64", "base64"),
        ("us-east-1", "us-east-1"),
        ("en-US", "en-US"),
        ("zh_Hans", "zh_Hans"),
        ("covid-19", "covid-19"),
        ("facade", "facade"),
        ("defaced", "defaced"),
        ("me", "me"),
        ("@babel", "@babel"),
        ("$metadata", "$metadata"),
        (".well-known", ".well-known"),
        ("openid-configuration", "openid-configuration"),
        ("favicon.ico", "favicon.ico"),
        ("index.html", "index.html"),
        ("john.smith", "john.smith"),
        ("grpc.health.v1.Health", "grpc.health.v1.Health"),
        ("google.cloud.speech.v1p1beta1.Speech", "google.cloud.speech.v1p1beta1.Speech"),
        ("orders:batchGet", "orders:batchGet"),
        ("how-to-build-a-proxy", "how-to-build-a-proxy"),
        ("Orders()", "Orders()"),
        ("cart;v=1", "cart"),
        (";jsessionid=8F2A", ""),
        // Numbers.
        ("7", "{id}"),
        ("0042", "{id}"),
        ("-5", "{id}"),
        ("17042099123456789", "{id}"),
        ("52.5200", "{id}"),
        ("52.5200,13.4050", "{id}"),
        ("1,2,3", "{id}"),
        ("192.0.2.17", "{id}"),
        ("4111-1111-1111-1111", "{id}"),
        // Dates and times.
        ("2024-05-01", "{id}"),
        ("20240501", "{id}"),
        ("2024-05", "{id}"),
        ("2024-W05", "{id}"),
        ("2024-05-01T12:00:00Z", "{id}"),
        ("2024-05-01T12:00:00.123+02:00", "{id}"),
        // Identifiers with a standard of their own.
        ("f47ac10b-58cc-4372-a567-0e02b2c3d479", "{id}"),
        ("F47AC10B-58CC-4372-A567-0E02B2C3D479", "{id}"),
        ("abcdefab-cdef-abcd-efab-cdefabcdefab", "{id}"),
        ("f47ac10b58cc4372a5670e02b2c3d479", "{id}"),
        ("urn:uuid:f47ac10b-58cc-4372-a567-0e02b2c3d479", "{id}"),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "{id}"),
        ("0ujtsYcgvSTl8PAuAdqWYSMnLOv", "{id}"),
        ("507f1f77bcf86cd799439011", "{id}"),
        ("cjld2cjxh0000qzrmn831i7rn", "{id}"),
        ("V1StGXR8_Z5jdHi6B-myT", "{id}"),
        ("dQw4w9WgXcQ", "{id}"),
        ("00:1b:44:11:3a:b7", "{id}"),
        ("i-0abcd1234ef567890", "{id}"),
        // Hashes.
        ("3f9a1c2b", "{id}"),
        ("da39a3ee5e6b4b0d3255bfef95601890afd80709", "{id}"),
        ("sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", "{id}"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVPmB92K27uhbUJU1p1r", "{id}"),
        ("SGVsbG8gV29ybGQ=", "{id}"),
        // Prefixed and mixed.
        ("cus_9s6XKzkNRiz8i3", "{id}"),
        ("user_123", "{id}"),
        ("INV-2024-0001", "{id}"),
        ("SKU12345", "{id}"),
        ("A1B2C3D4", "{id}"),
        ("my-article-48213", "{id}"),
        // People, and what is coded.
        ("ann@example.com", "{id}"),
        ("ann%40example.com", "{id}"),
        ("M%C3%BCller", "{id}"),
        ("My%20Documents", "{id}"),
        ("Müller", "{id}"),
        ("id=5", "{id}"),
        ("{id}", "{id}"),
        // With something around it that stays.
        ("1234.json", "{id}.json"),
        ("photo-1234.jpg", "{id}.jpg"),
        ("main.3f9a1c2b.chunk.js", "{id}.js"),
        ("42:cancel", "{id}:cancel"),
        ("Orders(42)", "Orders({id})"),
        ("Orders('ALFKI')", "Orders({id})"),
        ("42;v=1", "{id}"),
    ];

    #[test]
    fn segments_are_told_apart_by_their_looks() {
        for (segment, expected) in SEGMENTS {
            assert_eq!(canonical(segment), *expected, "{segment}");
        }
        assert_eq!(canonical(&"x".repeat(LONGEST_LITERAL)), "x".repeat(LONGEST_LITERAL));
        assert_eq!(canonical(&"x".repeat(LONGEST_LITERAL + 1)), ANY);
    }
}
