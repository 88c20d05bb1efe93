//! Requests as bytes.

use std::fmt::Write;

/// `GET target` for the host `test`.
#[must_use]
pub fn get(target: &str) -> Vec<u8> {
    with("GET", target, &[], b"")
}

/// `GET target` for the host `test`, with more fields.
#[must_use]
pub fn get_with(target: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    with("GET", target, fields, b"")
}

/// `GET target` of one user.
#[must_use]
pub fn get_as(target: &str, user: &str) -> Vec<u8> {
    with("GET", target, &[("x-user-id", user)], b"")
}

/// `POST target` with a sized body.
#[must_use]
pub fn post(target: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    with("POST", target, &[("content-length", &length)], body)
}

/// `POST target` with a body in chunks of `size` bytes and no trailers.
#[must_use]
pub fn post_chunked(target: &str, body: &[u8], size: usize) -> Vec<u8> {
    with("POST", target, &[("transfer-encoding", "chunked")], &chunked(body, size))
}

/// Any request for the host `test`; `body` is appended as it is.
#[must_use]
pub fn with(method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: test\r\n");
    for (name, value) in fields {
        write!(head, "{name}: {value}\r\n").expect("writing to a string cannot fail");
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// `body` as chunks of `size` bytes, with the last chunk.
#[must_use]
pub fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 64);
    for piece in body.chunks(size) {
        out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// An answer with a sized body.
#[must_use]
pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
