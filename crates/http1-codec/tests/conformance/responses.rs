//! Responses.

use http1_codec::{Framing, Reason};

use crate::{Also, Case, answer, refuse_answer};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = status_lines();
    cases.extend(malformed_status_lines());
    cases.extend(bodies());
    cases.extend(without_bodies());
    cases.extend(malformed_framing());
    cases
}

#[rustfmt::skip]
fn status_lines() -> Vec<Case> {
    let empty = Framing::Length(0);
    let line = |line: &str| format!("{line}\r\nContent-Length: 0\r\n\r\n");
    vec![
        answer("RFC 9112 4", "a status line", line("HTTP/1.1 200 OK"), 200, empty, "").also(Also::Reason("OK")),
        answer("RFC 9112 4", "an empty reason", line("HTTP/1.1 200 "), 200, empty, "").also(Also::Reason("")),
        answer("RFC 9112 4", "no space before an empty reason", line("HTTP/1.1 200"), 200, empty, "").also(Also::Reason("")),
        answer("RFC 9112 4", "a reason of several words", line("HTTP/1.1 404 Not \tFound \u{e9}"), 404, empty, "")
            .also(Also::Reason("Not \\tFound \\xc3\\xa9")),
        answer("RFC 9110 15", "a status of one's own", line("HTTP/1.1 599 x"), 599, empty, ""),
        answer("RFC 9112 9.3", "HTTP/1.0 closes", line("HTTP/1.0 200 OK"), 200, empty, "").also(Also::Http10).also(Also::KeepsAlive(false)),
        answer("RFC 9112 9.3", "HTTP/1.0 that stays open", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", 200, empty, "")
            .also(Also::KeepsAlive(true)),
        answer("RFC 9112 9.3", "a server that closes", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 200, empty, "")
            .also(Also::KeepsAlive(false)),
        answer("RFC 9110 7.6.1", "what a server names is for one hop", "HTTP/1.1 200 OK\r\nConnection: x-foo, transfer-encoding\r\nX-Foo: 1\r\nX-Bar: 2\r\nContent-Length: 0\r\n\r\n", 200, empty, "")
            .also(Also::Hop("x-foo"))
            .also(Also::EndToEnd("x-bar")),
    ]
}

#[rustfmt::skip]
fn malformed_status_lines() -> Vec<Case> {
    let bad = |section, name, line: &str, reason| {
        refuse_answer(section, name, format!("{line}\r\nContent-Length: 0\r\n\r\n"), reason)
    };
    vec![
        bad("RFC 9112 4", "no status", "HTTP/1.1", Reason::BadStatusLine),
        bad("RFC 9112 4", "a status of two digits", "HTTP/1.1 20 OK", Reason::BadStatusLine),
        bad("RFC 9112 4", "a status of four digits", "HTTP/1.1 2000 OK", Reason::BadStatusLine),
        bad("RFC 9112 4", "a status that is no number", "HTTP/1.1 2x0 OK", Reason::BadStatusLine),
        bad("RFC 9112 4", "two spaces before the status", "HTTP/1.1  200 OK", Reason::BadStatusLine),
        bad("RFC 9112 4", "a tab before the reason", "HTTP/1.1 200\tOK", Reason::BadStatusLine),
        bad("RFC 9112 4", "a NUL in the reason", "HTTP/1.1 200 O\0K", Reason::BadStatusLine),
        bad("RFC 9110 15", "a status below 100", "HTTP/1.1 099 x", Reason::BadStatus),
        bad("RFC 9110 15", "a status above 599", "HTTP/1.1 600 x", Reason::BadStatus),
        bad("RFC 9112 2.2", "a bare CR in the reason", "HTTP/1.1 200 O\rK", Reason::BareCr),
        bad("RFC 9112 2.2", "a bare CR in the response's version", "HTTP/\r1.1 200 OK", Reason::BareCr),
        bad("RFC 9112 2.3", "a response's version in lower case", "http/1.1 200 OK", Reason::NotHttp),
        bad("RFC 9112 2.3", "a response's version of two digits", "HTTP/1.10 200 OK", Reason::BadVersion),
        bad("RFC 9110 15.6.6", "an HTTP/2.0 response", "HTTP/2.0 200 OK", Reason::UnsupportedVersion),
        bad("RFC 9112 2.1", "another protocol's greeting", "220 mail.example ESMTP", Reason::NotHttp),
        bad("RFC 9112 2.2", "an empty line before the status line", "\r\nHTTP/1.1 200 OK", Reason::NotHttp),
        refuse_answer("RFC 9112 2.2", "a bare LF after the status line", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", Reason::BareLf),
        refuse_answer(
            "RFC 9112 2.2",
            "white space before a response's first field",
            "HTTP/1.1 200 OK\r\n Content-Length: 0\r\n\r\n",
            Reason::SpaceBeforeFields,
        ),
        refuse_answer("RFC 9112 5.1", "a space before a response's colon", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n", Reason::SpaceBeforeColon),
        refuse_answer("RFC 9112 5.2", "a response's folded value", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n", Reason::Folded),
    ]
}

#[rustfmt::skip]
fn bodies() -> Vec<Case> {
    vec![
        answer("RFC 9112 6.3", "a response of known length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, Framing::Length(5), "hello"),
        answer(
            "RFC 9112 6.3",
            "a chunked response",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
            200,
            Framing::Chunked,
            "hello",
        )
        .also(Also::Trailer("a", "b")),
        answer("RFC 9112 6.3", "a response until the server closes", "HTTP/1.1 200 OK\r\n\r\nhello", 200, Framing::UntilClose, "hello"),
        answer("RFC 9112 6.3", "an HTTP/1.0 response until the server closes", "HTTP/1.0 200 OK\r\n\r\nhello", 200, Framing::UntilClose, "hello"),
        answer("RFC 9110 15.3.6", "205 with a length", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", 205, Framing::Length(0), ""),
    ]
}

#[rustfmt::skip]
fn without_bodies() -> Vec<Case> {
    vec![
        answer("RFC 9110 15.3.5", "204", "HTTP/1.1 204 No Content\r\n\r\n", 204, Framing::None, ""),
        answer("RFC 9110 8.6", "204 with a length of zero", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, Framing::None, ""),
        answer("RFC 9110 15.4.5", "304 with the length of what is not sent", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, Framing::None, ""),
        answer(
            "RFC 9112 6.1",
            "304 with the coding of what is not sent",
            "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
            304,
            Framing::None,
            "",
        ),
        answer("RFC 9110 9.3.2", "an answer to HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, Framing::None, "")
            .answering_head(),
        answer("RFC 9110 9.3.2", "a chunked answer to HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, Framing::None, "")
            .answering_head(),
        answer("RFC 9110 9.3.2", "an answer to HEAD without a length", "HTTP/1.1 200 OK\r\n\r\n", 200, Framing::None, "")
            .answering_head(),
        answer("RFC 9110 15.2.1", "100", "HTTP/1.1 100 Continue\r\n\r\n", 100, Framing::None, ""),
        answer("RFC 8297 2", "103", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 103, Framing::None, ""),
        answer("RFC 9110 15.2.2", "101", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 101, Framing::None, "")
            .also(Also::Upgrade(Some("websocket"))),
        answer(
            "RFC 9110 15.5.22",
            "426 names protocols but does not switch",
            "HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: a\r\nContent-Length: 0\r\n\r\n",
            426,
            Framing::Length(0),
            "",
        )
        .also(Also::Upgrade(None)),
    ]
}

#[rustfmt::skip]
fn malformed_framing() -> Vec<Case> {
    let bad = |section, name, head: &str, reason| {
        refuse_answer(section, name, format!("HTTP/1.1 {head}\r\n"), reason)
    };
    vec![
        bad("RFC 9112 6.1", "a response with both framings", "200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", Reason::LengthAndCoding),
        bad("RFC 9110 8.6", "a response with two lengths", "200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n", Reason::LengthRepeated),
        bad("RFC 9110 8.6", "a response with a bad length", "200 OK\r\nContent-Length: 5, 5\r\n", Reason::BadLength),
        bad("RFC 9112 6.1", "a response with another coding", "200 OK\r\nTransfer-Encoding: gzip, chunked\r\n", Reason::UnsupportedCoding),
        bad("RFC 9112 6.3", "a response whose last coding is not chunked", "200 OK\r\nTransfer-Encoding: gzip\r\n", Reason::BadCoding),
        refuse_answer("RFC 9112 6.1", "a coding in an HTTP/1.0 response", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Reason::CodingInHttp10),
        bad("RFC 9112 6.1", "204 with a coding", "204 No Content\r\nTransfer-Encoding: chunked\r\n", Reason::BodyNotAllowed),
        bad("RFC 9110 8.6", "204 with a length", "204 No Content\r\nContent-Length: 5\r\n", Reason::BodyNotAllowed),
        bad("RFC 9112 6.1", "100 with a coding", "100 Continue\r\nTransfer-Encoding: chunked\r\n", Reason::BodyNotAllowed),
        bad("RFC 9110 8.6", "103 with a length", "103 Early Hints\r\nContent-Length: 5\r\n", Reason::BodyNotAllowed),
        bad("RFC 9110 15.2.2", "101 that names no protocol", "101 Switching Protocols\r\nConnection: Upgrade\r\n", Reason::SwitchWithoutUpgrade),
        bad("RFC 9110 15.2.2", "101 without the connection option", "101 Switching Protocols\r\nUpgrade: websocket\r\n", Reason::SwitchWithoutUpgrade),
        bad("RFC 9110 7.6.1", "a server that names Content-Length", "200 OK\r\nConnection: content-length\r\nContent-Length: 0\r\n", Reason::ProtectedOption),
    ]
}
