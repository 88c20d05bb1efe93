//! One parameter of a query, as bytes: keys need not be UTF-8.

/// The first value of `name`, decoded as `application/x-www-form-urlencoded` (URL standard 5.1); a malformed escape
/// stands for itself.
pub(crate) fn parameter(query: Option<&str>, name: &str) -> Option<Vec<u8>> {
    query?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key) == name.as_bytes()).then(|| decode(value))
    })
}

fn decode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'+', _) => out.push(b' '),
            (b'%', &[high, low, ref tail @ ..]) => match hex(high).zip(hex(low)) {
                Some((high, low)) => {
                    out.push(high << 4 | low);
                    rest = tail;
                }
                None => out.push(byte),
            },
            _ => out.push(byte),
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::parameter;

    #[test]
    fn parameters() {
        for (query, expected) in [
            ("key=alice", Some(b"alice".as_slice())),
            ("a=1&key=b&key=c", Some(b"b")),
            ("key=a+b%20c%2Bd", Some(b"a b c+d")),
            ("key=%ff%00", Some(b"\xff\x00")),
            ("key=%zz%4", Some(b"%zz%4")),
            ("key=a=b", Some(b"a=b")),
            ("%6bey=x", Some(b"x")),
            ("key", Some(b"")),
            ("keys=x", None),
            ("", None),
        ] {
            assert_eq!(parameter(Some(query), "key").as_deref(), expected, "{query}");
        }
        assert_eq!(parameter(None, "key"), None);
    }
}
