//! Bodies of parts between boundaries (RFC 2046 section 5.1), which are drawn anew for each answer.

/// Whether a line of the body is delimited by the boundary.
pub(super) fn has_boundary(body: &[u8], boundary: &str) -> bool {
    body.split(|byte| *byte == b'\n').any(|line| {
        let behind = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary.as_bytes()));
        behind.is_some_and(|behind| matches!(behind.trim_ascii_end(), b"" | b"--"))
    })
}

/// The text with `boundary` in place of the boundary, in all lines that delimit parts and nowhere else.
pub(super) fn with_one_boundary(text: &str, boundary: &str) -> String {
    let line = |line| match delimiter(line, boundary) {
        Some(behind) => ["--boundary", behind],
        None => [line, ""],
    };
    text.split_inclusive('\n').flat_map(line).collect()
}

/// What a delimiting line has behind the boundary.
fn delimiter<'l>(line: &'l str, boundary: &str) -> Option<&'l str> {
    let behind = line.strip_prefix("--")?.strip_prefix(boundary)?;
    matches!(behind.trim_end(), "" | "--").then_some(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_delimit_parts() {
        for (text, expected) in [
            ("--Q\r\na\r\n--Q--\r\n", "--boundary\r\na\r\n--boundary--\r\n"),
            ("--Q \t\na\n--Q--", "--boundary \t\na\n--boundary--"),
            ("--Qa\n --Q\n-Q\nsee --Q\n--Q-", "--Qa\n --Q\n-Q\nsee --Q\n--Q-"),
            ("", ""),
        ] {
            assert_eq!(with_one_boundary(text, "Q"), expected);
            assert_eq!(has_boundary(text.as_bytes(), "Q"), text != expected, "{text}");
        }
    }
}
