use std::io::Write;

use proptest::prelude::*;

use super::*;

const MOST: usize = 1 << 20;

fn parsed(bytes: &[u8]) -> (u16, Vec<String>, Vec<String>, Vec<u8>) {
    let saved = SavedAnswer::parse(bytes, MOST);
    let answer = saved.answer();
    let lines = |fields: &[Field<'_>]| {
        let line = |field: &Field<'_>| {
            format!("{}: {}", String::from_utf8_lossy(field.name), String::from_utf8_lossy(field.value))
        };
        fields.iter().map(line).collect::<Vec<_>>()
    };
    (answer.status, lines(&answer.headers), lines(&answer.trailers), saved.body.clone())
}

#[track_caller]
fn reads(bytes: &[u8], status: u16, headers: &[&str], trailers: &[&str], body: &str) {
    let text = String::from_utf8_lossy(bytes);
    let (found_status, found_headers, found_trailers, found_body) = parsed(bytes);
    assert_eq!(found_status, status, "{text}");
    assert_eq!(found_headers, headers, "{text}");
    assert_eq!(found_trailers, trailers, "{text}");
    assert_eq!(String::from_utf8_lossy(&found_body), body, "{text}");
}

#[test]
fn messages_as_curl_saves_them() {
    reads(b"HTTP/1.1 200 OK\r\nA: 1\r\nB:2\r\n\r\nbody\r\n", 200, &["A: 1", "B: 2"], &[], "body\r\n");
    reads(b"HTTP/2 404 \r\nx: y\r\n\r\n", 404, &["x: y"], &[], "");
    reads(b"HTTP/3 204\n\n", 204, &[], &[], "");
    reads(b"HTTP/1.0 500 Oops now\nx: y\n\nHTTP is a protocol", 500, &["x: y"], &[], "HTTP is a protocol");
    reads(b"HTTP/1.1 200 OK\r\nx: y", 200, &["x: y"], &[], "");
    reads(b"HTTP/1.1 200 OK\r\nx: a\r\n  b\r\n\r\nc", 200, &["x: a b"], &[], "c");
    reads(b"HTTP/1.1 200 OK\r\nx:\r\n\r\n", 200, &["x: "], &[], "");
}

#[test]
fn of_several_heads_the_last_one_counts() {
    for before in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
        "HTTP/1.1 200 Connection established\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 CONNECTION ESTABLISHED \r\nproxy-agent: x\r\n\r\n",
        "HTTP/1.1 407 Proxy Authentication Required\r\n\r\nHTTP/1.1 200 Connection established\r\n\r\n",
        "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Digest nonce=\"1\"\r\ncontent-length: 9\r\n\r\n",
        "HTTP/1.1 301 Moved\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\nlocation: /b\n\n",
    ] {
        let bytes = [before, "HTTP/2 201\r\nx: y\r\n\r\nbody"].concat();
        reads(bytes.as_bytes(), 201, &["x: y"], &[], "body");
    }
}

#[test]
fn behind_the_last_head_comes_its_body_whatever_it_looks_like() {
    let inner = "HTTP/1.1 500 X\r\nx: y\r\n\r\nabc";
    for (line, status) in [
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.1 200", 200),
        ("HTTP/2 200 ", 200),
        ("HTTP/1.1 200 Connection established?", 200),
        ("HTTP/1.1 201 Connection established", 201),
        ("HTTP/1.1 404 Not Found", 404),
        ("HTTP/1.1 502 Bad Gateway", 502),
    ] {
        let bytes = format!("{line}\r\na: b\r\n\r\n{inner}");
        reads(bytes.as_bytes(), status, &["a: b"], &[], inner);
    }
}

#[test]
fn a_body_that_is_shorter_than_its_length_did_not_end() {
    for (fields, body, is_cut) in [
        ("content-length: 10", "abc", true),
        ("Content-Length: 4", "abc", true),
        ("content-length: 3", "abc", false),
        ("content-length: 2", "abc", false),
        // HEAD.
        ("content-length: 10", "", false),
        // What is not read as a length is none.
        ("content-length: many", "abc", false),
        ("x: 1", "abc", false),
        // What was saved is not what was sent.
        ("content-length: 10\r\ncontent-encoding: gzip", "abc", false),
        ("content-length: 10\r\ntransfer-encoding: chunked", "abc", false),
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}");
        let saved = SavedAnswer::parse(bytes.as_bytes(), MOST);
        let expected =
            if is_cut { Body::Incomplete(Incomplete::Upstream) } else { Body::Whole(body.as_bytes()) };
        assert_eq!(saved.answer().body, expected, "{fields} {body}");
        // A body alone says nothing of its length.
        let mut alone = SavedAnswer::parse(b"ab", MOST);
        alone.take_head_of(&saved);
        assert_eq!(alone.answer().body, Body::Whole(b"ab"));
    }
}

#[test]
fn what_has_no_head_is_a_body() {
    for body in [
        "",
        "{\"a\":1}",
        "HTTP/1.1 is a protocol",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno field\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nno name : 1\r\n\r\nbody",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        reads(body.as_bytes(), 200, &[], &[], body);
        assert!(!SavedAnswer::parse(body.as_bytes(), MOST).has_head());
    }
}

#[test]
fn chunks_are_taken_apart_where_they_are() {
    let chunked = |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n{body}");
    for (body, expected, trailers) in [
        ("4\r\nbody\r\n0\r\n\r\n", "body", &[][..]),
        ("4;a=b\nbody\n00\n\n", "body", &[]),
        (
            "3\r\nbod\r\nB\r\ny, and so\r\n\r\n0\r\nX-Rows: 5\r\ngrpc-status: 0\r\n\r\n",
            "body, and so\r\n",
            &["X-Rows: 5", "grpc-status: 0"],
        ),
        ("0\r\n\r\n", "", &[]),
        // No chunks, or not only: `curl` has taken them apart, and this is what was in them.
        ("body", "body", &[]),
        ("4\r\nbody\r\n", "4\r\nbody\r\n", &[]),
        ("6\r\nbody\r\n0\r\n\r\n", "6\r\nbody\r\n0\r\n\r\n", &[]),
        ("4\r\nbody\r\n0\r\n\r\nmore", "4\r\nbody\r\n0\r\n\r\nmore", &[]),
        ("+4\r\nbody\r\n0\r\n\r\n", "+4\r\nbody\r\n0\r\n\r\n", &[]),
        ("ffffffffffffffffff\r\n", "ffffffffffffffffff\r\n", &[]),
        ("", "", &[]),
    ] {
        reads(chunked(body).as_bytes(), 200, &["Transfer-Encoding: gzip, Chunked"], trailers, expected);
    }
    // Without the field, what looks like a chunk is the body.
    reads(b"HTTP/1.1 200 OK\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 200, &[], &[], "4\r\nbody\r\n0\r\n\r\n");
}

#[test]
fn a_coding_that_was_undone_is_left_out() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let gzip = encoder.write_all(b"body").and_then(|()| encoder.finish()).unwrap();
    let head = |coding: &str| format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n").into_bytes();
    for (coding, body, is_kept) in [
        ("gzip", &b"{\"a\":1}"[..], false),
        ("br", b"{\"a\":1}", false),
        ("deflate", b"{\"a\":1}", false),
        ("zstd", b"{\"a\":1}", false),
        ("gzip", &gzip, true),
        ("gzip", &gzip[..gzip.len() - 1], true),
        ("gzip", b"", true),
        ("unheard-of", b"{}", true),
        ("identity", b"{}", true),
    ] {
        let (_, headers, _, found) = parsed(&[&head(coding)[..], body].concat());
        assert_eq!(headers.len(), usize::from(is_kept), "{coding}");
        assert_eq!(found, body);
    }
}

#[test]
fn a_body_alone_takes_the_head_of_the_other() {
    let whole = SavedAnswer::parse(b"HTTP/1.1 201 Created\r\ncontent-type: text/csv\r\n\r\na", MOST);
    let mut body = SavedAnswer::parse(b"b", MOST);
    assert!(whole.has_head() && !body.has_head());
    body.take_head_of(&whole);
    let answer = body.answer();
    assert_eq!(
        (answer.status, answer.headers, answer.body),
        (201, whole.answer().headers, Body::Whole(b"b"))
    );
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(
        parts in prop::collection::vec(
            prop_oneof![
                Just("HTTP/1.1 200 OK\r\n".to_owned()),
                Just("transfer-encoding: chunked\r\n".to_owned()),
                Just("content-encoding: gzip\n".to_owned()),
                Just("\r\n".to_owned()),
                Just("4\r\nbody\r\n".to_owned()),
                Just("0\r\n".to_owned()),
                "\\PC{0,12}",
            ],
            0..12,
        ),
        noise in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let bytes = [parts.concat().as_bytes(), &noise].concat();
        let saved = SavedAnswer::parse(&bytes, MOST);
        prop_assert!(saved.body.len() <= bytes.len());
        prop_assert!((100..=599).contains(&saved.answer().status));
    }
}
