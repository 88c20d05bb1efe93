//! Field lines, and the fields that speak about the connection.

use http1_codec::{Framing, Reason};

use crate::{Also, Case, accept, refuse};

const NONE: Framing = Framing::None;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = lines();
    cases.extend(malformed_lines());
    cases.extend(connection());
    cases.extend(upgrades());
    cases.extend(expectations());
    cases
}

/// A GET with these field lines.
fn with(fields: &str) -> Vec<u8> {
    raw(fields.as_bytes())
}

fn raw(fields: &[u8]) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\nHost: a\r\n", fields, b"\r\n"].concat()
}

fn get(section: &'static str, name: &'static str, fields: &str) -> Case {
    accept(section, name, with(fields), ("GET", "/"), NONE, "")
}

fn bad(section: &'static str, name: &'static str, fields: &str, reason: Reason) -> Case {
    refuse(section, name, with(fields), 400, reason)
}

#[rustfmt::skip]
fn lines() -> Vec<Case> {
    vec![
        get("RFC 9112 5", "white space around a value is no part of it", "A: \t b c \t\r\n")
            .also(Also::Field("a", "b c")),
        get("RFC 9112 5", "no white space before a value", "A:b\r\n").also(Also::Field("a", "b")),
        get("RFC 9112 5", "an empty value", "A:\r\nB: c\r\n")
            .also(Also::Field("a", ""))
            .also(Also::Field("b", "c")),
        get("RFC 9112 5", "a value of white space", "A: \t \r\n").also(Also::Field("a", "")),
        get("RFC 9110 5.5", "colons and tabs in a value", "A: b:c\td\r\n").also(Also::Field("a", "b:c\\td")),
        get("RFC 9110 5.5", "obs-text in a value", "A: \u{e9}\r\n").also(Also::Field("a", "\\xc3\\xa9")),
        get("RFC 9110 5.1", "every token character in a name", "!#$%&'*+-.^_`|~aZ09: b\r\n")
            .also(Also::Field("!#$%&\\'*+-.^_`|~az09", "b")),
        get("RFC 9110 5.3", "a field on several lines", "Cookie: a\r\nCookie: b\r\n")
            .also(Also::Field("cookie", "a")),
    ]
}

#[rustfmt::skip]
fn malformed_lines() -> Vec<Case> {
    vec![
        bad("RFC 9112 5.1", "a space before the colon", "A : b\r\n", Reason::SpaceBeforeColon),
        bad("RFC 9112 5.1", "a tab before the colon", "Content-Length\t: 5\r\n", Reason::SpaceBeforeColon),
        bad("RFC 9112 5.2", "a folded value", "A: b\r\n c\r\n", Reason::Folded),
        bad("RFC 9112 5.2", "a value folded with a tab", "A: b\r\n\tc\r\n", Reason::Folded),
        bad("RFC 9112 5.2", "a fold of white space", "A: b\r\n \r\n", Reason::Folded),
        refuse("RFC 9112 2.2", "white space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, Reason::SpaceBeforeFields),
        bad("RFC 9112 5", "an empty name", ": b\r\n", Reason::EmptyName),
        bad("RFC 9112 5", "no colon", "abc\r\n", Reason::MissingColon),
        bad("RFC 9110 5.1", "a space in a name", "A B: c\r\n", Reason::BadName),
        bad("RFC 9110 5.1", "a delimiter in a name", "A(B): c\r\n", Reason::BadName),
        bad("RFC 9110 5.1", "a NUL in a name", "A\0B: c\r\n", Reason::BadName),
        bad("RFC 9110 5.1", "obs-text in a name", "\u{e9}: c\r\n", Reason::BadName),
        bad("RFC 9110 5.5", "a NUL in a value", "A: b\0c\r\n", Reason::BadValue),
        bad("RFC 9110 5.5", "a control character in a value", "A: b\x0bc\r\n", Reason::BadValue),
        bad("RFC 9110 5.5", "DEL in a value", "A: \x7f\r\n", Reason::BadValue),
        bad("RFC 9112 2.2", "a bare CR in a value", "A: b\rContent-Length: 5\r\n", Reason::BareCr),
        bad("RFC 9112 2.2", "a bare CR in a name", "A\rB: c\r\n", Reason::BareCr),
        bad("RFC 9112 2.2", "a bare CR in place of a field", "\r\r\n", Reason::BareCr),
        bad("RFC 9112 2.2", "a bare LF after a field", "A: b\nC: d\r\n", Reason::BareLf),
        refuse("RFC 9112 2.2", "a bare LF after the fields", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400, Reason::BareLf),
        refuse("RFC 9112 2.2", "two bare LFs", "GET / HTTP/1.1\r\nHost: a\n\n", 400, Reason::BareLf),
    ]
}

#[rustfmt::skip]
fn connection() -> Vec<Case> {
    vec![
        get("RFC 9112 9.3", "HTTP/1.1 stays open", "").also(Also::KeepsAlive(true)),
        get("RFC 9112 9.3", "close", "Connection: Close\r\n").also(Also::KeepsAlive(false)),
        get("RFC 9112 9.3", "close wins over keep-alive", "Connection: keep-alive\r\nConnection: foo, close\r\n")
            .also(Also::KeepsAlive(false)),
        get("RFC 9110 7.6.1", "what Connection names is for one hop", "X-Foo: 1\r\nConnection: x-foo, X-Bar\r\nx-bar: 2\r\nX-Baz: 3\r\n")
            .also(Also::Hop("x-foo"))
            .also(Also::Hop("x-bar"))
            .also(Also::Hop("connection"))
            .also(Also::EndToEnd("x-baz")),
        get("RFC 9110 7.6.1", "credentials too, when they are named", "Connection: cookie\r\nCookie: a\r\nVia: b\r\n")
            .also(Also::Hop("cookie"))
            .also(Also::EndToEnd("via")),
        get("RFC 9110 7.6.1", "fields for one hop that nobody named", "Keep-Alive: a\r\nProxy-Connection: b\r\nTE: trailers\r\nUpgrade: d\r\nTrailer: e\r\n")
            .also(Also::Hop("keep-alive"))
            .also(Also::Hop("proxy-connection"))
            .also(Also::Hop("te"))
            .also(Also::Hop("upgrade"))
            .also(Also::EndToEnd("trailer")),
        get("RFC 9110 5.6.1.2", "empty elements of a list", "Connection: , ,x-foo,\r\nX-Foo: 1\r\n")
            .also(Also::Hop("x-foo")),
        get("RFC 9110 7.6.1", "an option that names no field", "Connection: x-foo\r\n")
            .also(Also::KeepsAlive(true)),
        bad("RFC 9110 7.6.1", "an option that is no token", "Connection: a b\r\n", Reason::BadConnectionOption),
        bad("RFC 9110 7.6.1", "a quoted option", "Connection: \"close\"\r\n", Reason::BadConnectionOption),
        bad("RFC 9110 7.6.1", "Connection names Host", "Connection: host\r\n", Reason::ProtectedOption),
        bad("RFC 9110 7.6.1", "Connection names Content-Length", "Connection: close, Content-Length\r\n", Reason::ProtectedOption),
        bad("RFC 9110 7.6.1", "Connection names far too many fields", &format!("Connection: {}\r\n", "x,".repeat(33)), Reason::TooManyOptions),
    ]
}

#[rustfmt::skip]
fn upgrades() -> Vec<Case> {
    vec![
        get("RFC 9110 7.8", "an upgrade", "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n").also(Also::Upgrade(Some("websocket"))),
        get("RFC 9110 7.8", "a list of protocols", "Connection: upgrade\r\nUpgrade: a/1, b\r\n").also(Also::Upgrade(Some("a/1, b"))),
        get("RFC 9110 7.8", "Upgrade that Connection does not name", "Upgrade: websocket\r\n").also(Also::Upgrade(None)),
        get("RFC 9110 7.8", "Connection without Upgrade", "Connection: upgrade\r\n").also(Also::Upgrade(None)),
        get("RFC 9110 7.8", "two lines of Upgrade", "Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n").also(Also::Upgrade(None)),
        get("RFC 9110 7.8", "Upgrade that is no protocol", "Connection: upgrade\r\nUpgrade: a b\r\n").also(Also::Upgrade(None)),
        get("RFC 9113 3.1", "h2c is not passed on", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n")
            .also(Also::Upgrade(None))
            .also(Also::Hop("http2-settings")),
        accept("RFC 9110 7.8", "Upgrade in HTTP/1.0", "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", ("GET", "/"), NONE, "")
            .also(Also::Upgrade(None)),
        accept(
            "RFC 9110 7.8",
            "an upgrade with a body is an ordinary request",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi",
            ("POST", "/"),
            Framing::Length(2),
            "hi",
        )
        .also(Also::Upgrade(None)),
    ]
}

#[rustfmt::skip]
fn expectations() -> Vec<Case> {
    vec![
        accept(
            "RFC 9110 10.1.1",
            "100-continue",
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\nhi",
            ("POST", "/"),
            Framing::Length(2),
            "hi",
        )
        .also(Also::ExpectsContinue(true)),
        get("RFC 9110 10.1.1", "100-continue without a body", "Expect: 100-continue\r\n")
            .also(Also::ExpectsContinue(false)),
        accept(
            "RFC 9110 10.1.1",
            "HTTP/1.0 expects nothing",
            "POST / HTTP/1.0\r\nExpect: 100-continue, foo\r\nContent-Length: 2\r\n\r\nhi",
            ("POST", "/"),
            Framing::Length(2),
            "hi",
        )
        .also(Also::ExpectsContinue(false)),
        refuse("RFC 9110 10.1.1", "another expectation", with("Expect: 200-ok\r\n"), 417, Reason::UnknownExpectation),
        refuse("RFC 9110 10.1.1", "one expectation too many", with("Expect: 100-continue, foo\r\n"), 417, Reason::UnknownExpectation),
    ]
}
