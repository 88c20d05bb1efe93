//! Ambiguous and malformed requests are refused, their connection is closed, and nothing of them gets through.

use test_kit::{Wire, request};

use crate::{rig, rig_with};

/// What must be refused, and the status for it. Each is sent before a request that is in order, which must not get
/// through either.
const REFUSED: &[(&str, &str, u16)] = &[
    (
        "length and coding",
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "coding and length",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "two lengths",
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        400,
    ),
    ("two lengths in a list", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5, 6\r\n\r\nhello!", 400),
    ("a signed length", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: +5\r\n\r\nhello", 400),
    ("a negative length", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: -5\r\n\r\nhello", 400),
    ("a hexadecimal length", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0x5\r\n\r\nhello", 400),
    ("an empty length", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length:\r\n\r\n", 400),
    ("a length with a space", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1 0\r\n\r\n0123456789", 400),
    (
        "a length beyond 64 bits",
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551616\r\n\r\n",
        400,
    ),
    ("a length with a comma", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5,\r\n\r\nhello", 400),
    (
        "two codings",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "chunked twice",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "chunked not last",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "a vertical tab before a coding",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "a coding in quotes",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "a space before the colon",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("a tab before the colon", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length\t: 5\r\n\r\nhello", 400),
    ("a folded line", "POST / HTTP/1.1\r\nHost: t\r\nX-A: b\r\n c\r\n\r\n", 400),
    ("a folded coding", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    ("a folded first line", "GET / HTTP/1.1\r\n Host: t\r\n\r\n", 400),
    ("bare LF in the head", "GET / HTTP/1.1\r\nHost: t\nX-A: b\r\n\r\n", 400),
    ("bare LF behind the request line", "GET / HTTP/1.1\nHost: t\r\n\r\n", 400),
    ("bare LF at the end", "GET / HTTP/1.1\r\nHost: t\r\n\n", 400),
    ("bare CR in a value", "GET / HTTP/1.1\r\nHost: t\r\nX-A: b\rc\r\n\r\n", 400),
    ("NUL in a value", "GET / HTTP/1.1\r\nHost: t\r\nX-A: b\0c\r\n\r\n", 400),
    ("NUL in a name", "GET / HTTP/1.1\r\nHost: t\r\nX\0A: b\r\n\r\n", 400),
    ("a name with brackets", "GET / HTTP/1.1\r\nHost: t\r\nX[A]: b\r\n\r\n", 400),
    ("an empty name", "GET / HTTP/1.1\r\nHost: t\r\n: b\r\n\r\n", 400),
    ("no colon", "GET / HTTP/1.1\r\nHost: t\r\nX-A\r\n\r\n", 400),
    ("no Host", "GET / HTTP/1.1\r\nX-A: b\r\n\r\n", 400),
    ("two Hosts", "GET / HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n", 400),
    ("two equal Hosts", "GET / HTTP/1.1\r\nHost: t\r\nHost: t\r\n\r\n", 400),
    ("a Host with a path", "GET / HTTP/1.1\r\nHost: t/x\r\n\r\n", 400),
    ("a Host with a user", "GET / HTTP/1.1\r\nHost: user@t\r\n\r\n", 400),
    ("a Host with a space", "GET / HTTP/1.1\r\nHost: t u\r\n\r\n", 400),
    ("a Host with a bad port", "GET / HTTP/1.1\r\nHost: t:port\r\n\r\n", 400),
    ("an absolute target with a user", "GET http://u@t/ HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    ("a target without slash", "GET x HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    ("a fragment", "GET /a#b HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    ("a raw byte in the target", "GET /caf\u{e9} HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    ("a control in the target", "GET /\x01 HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    ("two spaces", "GET  / HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    ("a space in the target", "GET /a b HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    ("a leading space", " GET / HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    ("a tab in the request line", "GET\t/\tHTTP/1.1\r\nHost: t\r\n\r\n", 400),
    ("no version", "GET /\r\nHost: t\r\n\r\n", 400),
    ("a version in small letters", "GET / http/1.1\r\nHost: t\r\n\r\n", 400),
    ("a bad method", "G@T / HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    ("asterisk with GET", "GET * HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    ("Connection names Host", "GET / HTTP/1.1\r\nHost: t\r\nConnection: host\r\n\r\n", 400),
    (
        "Connection names the length",
        "POST / HTTP/1.1\r\nHost: t\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\nhello",
        400,
    ),
    (
        "a TLS hello",
        "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03 hello hello hello hello hello hello hello hello\r\n\r\n",
        400,
    ),
    ("two empty lines", "\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    ("another version", "GET / HTTP/3.0\r\nHost: t\r\n\r\n", 505),
    ("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (
        "another coding",
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    ("CONNECT", "CONNECT t:443 HTTP/1.1\r\nHost: t:443\r\n\r\n", 501),
];

/// Bodies that must be refused although their head was in order.
const BAD_CHUNKS: &[(&str, &str)] = &[
    ("no size", "\r\nhello\r\n0\r\n\r\n"),
    ("a size that is no number", "xyz\r\nhello\r\n0\r\n\r\n"),
    ("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
    ("a signed size", "+5\r\nhello\r\n0\r\n\r\n"),
    ("a negative size", "-5\r\nhello\r\n0\r\n\r\n"),
    ("a size beyond 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("a space before the size", " 5\r\nhello\r\n0\r\n\r\n"),
    ("a space behind the size", "5 \r\nhello\r\n0\r\n\r\n"),
    ("bare LF behind the size", "5\nhello\r\n0\r\n\r\n"),
    ("bare LF behind the data", "5\r\nhello\n0\r\n\r\n"),
    ("bare CR behind the size", "5\rhello\r\n0\r\n\r\n"),
    ("too little data", "6\r\nhello\r\n0\r\n\r\n"),
    ("too much data", "4\r\nhello\r\n0\r\n\r\n"),
    ("an extension with LF", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
    (
        "an extension without end",
        "5;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
      aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
      aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nhello\r\n0\r\n\r\n",
    ),
    ("a folded trailer", "0\r\nx-a: b\r\n c\r\n\r\n"),
    ("a trailer with a space", "0\r\nx-a : b\r\n\r\n"),
    ("a trailer without colon", "0\r\nxa\r\n\r\n"),
    ("bare LF at the end", "0\r\n\n"),
];

/// The escapes above stand for bytes, one each.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("only bytes are written here")).collect()
}

fn expect_refusal(client: &mut Wire, name: &str, status: u16) {
    let answer = client.try_response().unwrap_or_else(|e| panic!("{name}: no answer, {e}"));
    assert_eq!(answer.status, status, "{name}: {}", answer.text());
    assert!(answer.says_close(), "{name}: {answer:?}");
    let (rest, _) = client.rest();
    assert!(rest.is_empty(), "{name}: more came behind the refusal: {:?}", String::from_utf8_lossy(&rest));
}

#[test]
fn malformed_heads() {
    let (proxy, upstream, _client) = rig();
    for (name, text, status) in REFUSED {
        let mut client = proxy.connect();
        client.send([bytes(text), request::get("/smuggled")].concat());
        expect_refusal(&mut client, name, *status);
        assert!(!upstream.has_caller(), "{name}: the upstream was called");
    }
    let refused = proxy.metrics();
    assert!(refused.names().iter().any(|name| name.contains("refused")), "{:?}", refused.names());
}

#[test]
fn malformed_heads_byte_by_byte() {
    let (proxy, upstream, _client) = rig();
    for (name, text, status) in REFUSED {
        let mut client = proxy.connect();
        for byte in bytes(text) {
            // The refusal may come before the last byte has gone.
            if client.try_send([byte]).is_err() {
                break;
            }
        }
        match client.try_response() {
            Ok(answer) => assert_eq!(answer.status, *status, "{name}"),
            Err(test_kit::Broken::Reset) => {}
            Err(e) => panic!("{name}: {e}"),
        }
        assert!(!upstream.has_caller(), "{name}: the upstream was called");
    }
}

#[test]
fn malformed_behind_a_good_request() {
    let (proxy, upstream, _client) = rig();
    let mut wire: Option<Wire> = None;
    for (name, text, status) in REFUSED.iter().filter(|(name, ..)| *name != "two empty lines") {
        let mut client = proxy.connect();
        client.send([request::get("/good"), bytes(text), request::get("/smuggled")].concat());
        let wire = wire.get_or_insert_with(|| upstream.accept());
        assert_eq!(wire.request().target, "/good", "{name}");
        wire.send(request::ok("good"));
        assert_eq!(client.response().text(), "good", "{name}");
        expect_refusal(&mut client, name, *status);
        assert!(wire.is_quiet(), "{name}: something of it reached the upstream");
    }
}

#[test]
fn malformed_chunks_never_look_like_a_whole_request() {
    let (proxy, upstream, _client) = rig();
    for (name, text) in BAD_CHUNKS {
        let mut client = proxy.connect();
        client.send(request::with("POST", "/", &[("transfer-encoding", "chunked")], text.as_bytes()));
        client.send(request::get("/smuggled"));
        let answer = client.try_response().unwrap_or_else(|e| panic!("{name}: no answer, {e}"));
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
        client.expect_end();
        // The proxy may have opened the upstream request before it saw the fault, but must break it off.
        while let Some(mut wire) = upstream.accept_within(std::time::Duration::from_millis(20)) {
            let got = wire.try_request();
            assert!(got.is_err(), "{name}: the upstream got {got:?}");
            let received = String::from_utf8_lossy(wire.received()).into_owned();
            assert!(!received.contains("smuggled"), "{name}: {received}");
        }
    }
}

#[test]
fn endless_framing_is_refused_long_before_its_end() {
    for (name, start, piece, status) in [
        ("a chunk line", "5;", "x", 400),
        ("trailers", "0\r\n", "x-a: b\r\n", 431),
        ("a trailer", "0\r\nx-a: ", "b", 431),
        ("zeros", "", "0", 400),
    ] {
        let (proxy, upstream, mut client) = rig();
        client.send(request::with("POST", "/", &[("transfer-encoding", "chunked")], start.as_bytes()));
        client.send(piece.repeat(8 << 10));
        let answer = client.response();
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert!(answer.says_close(), "{name}");
        drop(client.try_send(piece.repeat(4 << 20)));
        if let Some(mut wire) = upstream.accept_within(std::time::Duration::from_millis(100)) {
            assert!(wire.try_request().is_err(), "{name}");
        }
        assert!(proxy.peak_memory_bytes() < 64 << 20, "{name}: {} bytes in use", proxy.peak_memory_bytes());
    }
}

#[test]
fn limits() {
    let lines = |count: usize| "x-a: b\r\n".repeat(count);
    let (proxy, upstream, _client) = rig_with(|config| {
        config.proxy("header_bytes = \"16KiB\"\nheader_count = 50\ntarget_bytes = \"4KiB\"")
    });
    for (name, head, status) in [
        ("a long target", format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", "x".repeat(5000)), 414),
        ("a long field", format!("GET / HTTP/1.1\r\nHost: t\r\nx-a: {}\r\n\r\n", "x".repeat(20_000)), 431),
        ("a field without end", format!("GET / HTTP/1.1\r\nHost: t\r\nx-a: {}", "x".repeat(20_000)), 431),
        ("a target without end", format!("GET /{}", "x".repeat(20_000)), 414),
        ("many fields", format!("GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", lines(51)), 431),
    ] {
        let mut client = proxy.connect();
        drop(client.try_send(head));
        expect_refusal(&mut client, name, status);
        assert!(!upstream.has_caller(), "{name}");
    }
    let mut client = proxy.connect();
    client.send(format!("GET /{} HTTP/1.1\r\nHost: t\r\n{}\r\n", "x".repeat(4000), lines(40)));
    let mut wire = upstream.accept();
    assert_eq!(wire.request().fields.all("x-a").len(), 40);
}

#[test]
fn a_refusal_is_a_problem_that_says_why() {
    let (_proxy, _upstream, mut client) = rig();
    client.send("GET / HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n");
    let problem = crate::expect_problem(&client.response(), 400);
    assert!(problem.as_object().is_some_and(|members| members.len() > 2), "{problem}");
}
