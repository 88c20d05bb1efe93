//! Limits: each is inclusive, and exceeded as soon as one byte or field too many is there.

use http1_codec::{Framing, Limits, Reason};

use crate::{Also, Case, accept, answer, refuse, refuse_answer};

/// Small enough to be met exactly, and enough for the good messages.
const LIMITS: Limits = Limits {
    head_bytes: 100,
    fields: 3,
    target_bytes: 16,
    chunk_line_bytes: 8,
    trailer_bytes: 12,
    trailer_fields: 2,
};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = heads();
    cases.extend(bodies());
    cases.into_iter().map(|case| case.within(LIMITS)).chain(defaults()).collect()
}

/// A head of this many bytes.
fn head_of(bytes: usize) -> String {
    let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n";
    frame.replace("X: ", &format!("X: {}", "x".repeat(bytes - frame.len())))
}

fn target_of(bytes: usize) -> String {
    format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(bytes - 1))
}

fn fields_of(count: usize) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(count - 1))
}

#[rustfmt::skip]
fn heads() -> Vec<Case> {
    vec![
        accept("RFC 6585 5", "a head as long as the limit", head_of(100), ("GET", "/"), Framing::None, ""),
        refuse("RFC 6585 5", "a head longer than the limit", head_of(101), 431, Reason::HeadTooLarge),
        refuse("RFC 6585 5", "a head far longer than the limit", head_of(1000), 431, Reason::HeadTooLarge),
        refuse("RFC 6585 5", "a head without an end", "GET / HTTP/1.1\r\n".to_owned() + &"x".repeat(84), 431, Reason::HeadTooLarge),
        accept("RFC 6585 5", "as many fields as the limit", fields_of(3), ("GET", "/"), Framing::None, ""),
        refuse("RFC 6585 5", "more fields than the limit", fields_of(4), 431, Reason::TooManyFields),
        accept("RFC 9112 3", "a target as long as the limit", target_of(16), ("GET", "/xxxxxxxxxxxxxxx"), Framing::None, ""),
        refuse("RFC 9112 3", "a target longer than the limit", target_of(17), 414, Reason::TargetTooLong),
        refuse("RFC 9112 3", "a target without an end", "GET /xxxxxxxxxxxxxxxx", 414, Reason::TargetTooLong),
        refuse_answer(
            "RFC 6585 5",
            "a response with more fields than the limit",
            format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(4)),
            Reason::TooManyFields,
        ),
        refuse_answer("RFC 6585 5", "a response head longer than the limit", format!("HTTP/1.1 200 {}\r\n\r\n", "x".repeat(100)), Reason::HeadTooLarge),
        answer("RFC 6585 5", "a response with as many fields as the limit", format!("HTTP/1.1 204 \r\n{}\r\n", "A: b\r\n".repeat(3)), 204, Framing::None, ""),
    ]
}

#[rustfmt::skip]
fn bodies() -> Vec<Case> {
    let chunked =
        |rest: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{rest}");
    let ok = |section, name, rest: &str| {
        accept(section, name, chunked(rest), ("POST", "/"), Framing::Chunked, "hello")
    };
    let bad =
        |section, name, rest: &str, status, reason| refuse(section, name, chunked(rest), status, reason);
    vec![
        ok("RFC 9112 7.1.1", "a chunk line as long as the limit", "5;a=bcde\r\nhello\r\n0\r\n\r\n"),
        bad("RFC 9112 7.1.1", "a chunk line longer than the limit", "5;a=bcdef\r\nhello\r\n0\r\n\r\n", 400, Reason::ChunkLineTooLong),
        bad("RFC 9112 7.1.1", "a chunk line without an end", "5;a=\"bcde", 400, Reason::ChunkLineTooLong),
        bad("RFC 9112 7.1.1", "a size line of zeros without an end", "000000000", 400, Reason::ChunkLineTooLong),
        ok("RFC 6585 5", "trailers as long as the limit", "5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n")
            .also(Also::Trailer("c", "d")),
        bad("RFC 6585 5", "trailers longer than the limit", "5\r\nhello\r\n0\r\nA: b\r\nC: de\r\n\r\n", 431, Reason::TrailersTooLarge),
        bad("RFC 6585 5", "more trailers than the limit", "5\r\nhello\r\n0\r\nA:\r\nB:\r\nC:\r\n\r\n", 431, Reason::TooManyTrailers),
    ]
}

/// What no setting changes, and what is usual.
#[rustfmt::skip]
fn defaults() -> Vec<Case> {
    let many_extensions = format!("1;{}\r\nx\r\n", "e".repeat(200)).repeat(41);
    vec![
        accept(
            "RFC 9112 3",
            "a method of 64 bytes",
            format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(64)),
            ("MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM", "/"),
            Framing::None,
            "",
        ),
        refuse("RFC 9112 3", "a method of 65 bytes", format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(65)), 501, Reason::MethodTooLong),
        refuse("RFC 9110 9.1", "65 bytes that are no method", "(".repeat(65).replacen('(', "M", 1), 400, Reason::BadMethod),
        accept("RFC 6585 5", "100 fields", fields_of(100), ("GET", "/"), Framing::None, ""),
        refuse("RFC 6585 5", "101 fields", fields_of(101), 431, Reason::TooManyFields),
        refuse("RFC 6585 5", "257 fields, whatever the limit", fields_of(257), 431, Reason::TooManyFields)
            .within(Limits { fields: 1000, ..Limits::default() }),
        refuse(
            "RFC 9112 7.1.1",
            "a body of chunk extensions",
            format!(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{many_extensions}0\r\n\r\n"
            ),
            400,
            Reason::ChunkExtensionsTooLarge,
        ),
    ]
}
