//! Answers whose bodies are not what their fields say: HEAD, 204, 304; and clients that half close.

use test_kit::{Broken, Framing, request};

use crate::rig;

#[test]
fn head_has_the_fields_and_no_body() {
    let (_proxy, upstream, mut client) = rig();
    let head = request::with("HEAD", "/", &[], b"");
    client.send(&head);
    let mut wire = upstream.accept();
    for (fields, want) in [
        ("content-length: 12345\r\n", Some("12345")),
        ("transfer-encoding: chunked\r\n", None),
        ("", None),
        ("content-length: 0\r\n", Some("0")),
    ] {
        assert_eq!(wire.request().method, "HEAD");
        wire.send(format!("HTTP/1.1 200 OK\r\n{fields}x-a: b\r\n\r\n"));
        let answer = client.response_to_head();
        assert_eq!((answer.status, answer.fields.get("content-length")), (200, want), "{fields}");
        assert_eq!(answer.fields.get("x-a"), Some("b"));
        assert!(client.is_quiet(), "{fields}");
        client.send(&head);
    }
    assert!(!upstream.has_caller(), "an answer without body leaves the connection usable");
}

#[test]
fn no_content_and_not_modified_have_no_body() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    for answer in [
        "HTTP/1.1 204 No Content\r\nx-a: b\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\ncontent-length: 1234\r\n\r\n",
        "HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n",
    ] {
        wire.request();
        wire.send(answer);
        let got = client.response();
        assert!(answer.contains(&format!(" {} ", got.status)), "{answer}: {got:?}");
        assert!(got.body.is_empty());
        if got.status == 204 {
            let framed = got.fields.has("content-length") || got.fields.has("transfer-encoding");
            assert!(!framed, "RFC 9110, section 8.6: {got:?}");
        }
        client.send(request::get("/"));
    }
    assert!(!upstream.has_caller());
}

#[test]
fn a_304_with_a_length_is_not_waited_for() {
    let (_proxy, upstream, mut client) = rig();
    client.send([request::get("/1"), request::get("/2")].concat());
    let mut wire = upstream.accept();
    wire.request();
    wire.send("HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n");
    assert_eq!(client.response().status, 304);
    assert_eq!(wire.request().target, "/2");
    wire.send(request::ok("two"));
    assert_eq!(client.response().text(), "two");
}

#[test]
fn every_status_and_reason_passes() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    for (status, reason) in
        [(200, "OK"), (299, "Fine By Me"), (404, ""), (418, "I'm a teapot"), (500, "Oops"), (599, "x")]
    {
        wire.request();
        wire.send(format!("HTTP/1.1 {status} {reason}\r\ncontent-length: 2\r\n\r\nok"));
        let got = client.response();
        assert_eq!((got.status, got.text().as_str()), (status, "ok"));
        client.send(request::get("/"));
    }
    wire.request();
    wire.send("HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok");
    assert_eq!(client.response().status, 200, "a missing space behind the status is common and harmless");
}

#[test]
fn a_client_that_half_closes_still_gets_its_answer() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::post("/", b"last words"));
    client.half_close();
    let mut wire = upstream.accept();
    assert_eq!(wire.request().text(), "last words");
    wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nand\r\n");
    let head = client.response_head();
    wire.send("4\r\n yes\r\n0\r\n\r\n");
    let (body, _) = client.body(head.framing).unwrap();
    assert_eq!(body, b"and yes");
    client.expect_end();
}

#[test]
fn pipelined_requests_before_a_half_close_are_all_answered() {
    let (_proxy, upstream, mut client) = rig();
    client.send([request::get("/1"), request::get("/2"), request::get("/3")].concat());
    client.half_close();
    let mut wire = upstream.accept();
    for n in ["/1", "/2", "/3"] {
        assert_eq!(wire.request().target, n);
        wire.send(request::ok(n));
        assert_eq!(client.response().text(), n);
    }
    client.expect_end();
}

#[test]
fn a_half_close_in_mid_body_is_no_end_of_it() {
    let (_proxy, upstream, mut client) = rig();
    for cut in [
        request::with("POST", "/", &[("content-length", "10")], b"half"),
        request::with("POST", "/", &[("transfer-encoding", "chunked")], b"4\r\nhalf\r\n"),
    ] {
        client.send(&cut);
        client.half_close();
        let mut wire = upstream.accept();
        let got = wire.try_request();
        assert!(
            matches!(got, Err(Broken::Truncated | Broken::Reset)),
            "the upstream took half a body for whole: {got:?}"
        );
        drop(wire);
        client = _proxy.connect();
    }
}

#[test]
fn a_sized_answer_keeps_its_length() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send(request::ok("hello"));
    let answer = client.response();
    assert_eq!((answer.framing, answer.text().as_str()), (Framing::Length(5), "hello"));
}
