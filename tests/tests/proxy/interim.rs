//! Interim answers, expectations, and answers that come before the request has ended.

use std::time::Duration;

use test_kit::{pattern, request};

use crate::rig;

fn expecting(length: usize) -> Vec<u8> {
    request::with("PUT", "/", &[("content-length", &length.to_string()), ("expect", "100-continue")], b"")
}

#[test]
fn a_100_is_waited_for_and_passed_on() {
    let (_proxy, upstream, mut client) = rig();
    client.send(expecting(5));
    let mut wire = upstream.accept();
    let head = wire.request_head();
    assert_eq!(head.fields.get("expect"), Some("100-continue"), "the upstream decides");
    assert!(client.is_quiet(), "nobody may say 100 before the upstream does");
    wire.send("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.response().status, 100);
    client.send("hello");
    assert_eq!(wire.exactly(5).unwrap(), b"hello");
    wire.send(request::ok("thanks"));
    assert_eq!(client.response().text(), "thanks");
    assert_eq!(
        {
            client.send(request::get("/2"));
            wire.request().target
        },
        "/2",
        "both connections go on"
    );
}

#[test]
fn a_client_that_does_not_wait_for_the_100() {
    let (_proxy, upstream, mut client) = rig();
    client.send([&expecting(5)[..], b"hello"].concat());
    let mut wire = upstream.accept();
    wire.request_head();
    wire.send("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(wire.exactly(5).unwrap(), b"hello");
    wire.send(request::ok("thanks"));
    let mut first = client.response();
    if first.status == 100 {
        first = client.response();
    }
    assert_eq!(first.text(), "thanks");
}

#[test]
fn a_refusal_comes_without_the_body() {
    for status in [417, 401, 413] {
        let (_proxy, upstream, mut client) = rig();
        client.send(expecting(1000));
        let mut wire = upstream.accept();
        wire.request_head();
        wire.send(format!("HTTP/1.1 {status} No\r\ncontent-length: 3\r\n\r\nno!"));
        let answer = client.response();
        assert_eq!((answer.status, answer.text().as_str()), (status, "no!"));
        if answer.says_close() {
            client.expect_end();
        } else {
            // The client may still send the body; whatever happens to it, it is no request.
            client.send(vec![b'x'; 1000]);
            client.send(request::get("/next"));
        }
        let next = upstream.accept_within(Duration::from_millis(300));
        if let Some(mut next) = next {
            assert_eq!(next.request().target, "/next");
        }
        if let Ok(leftover) = wire.exactly(1) {
            assert_eq!(leftover, b"x", "another request went over a connection that still owes a body");
        }
    }
}

#[test]
fn an_unknown_expectation_is_417() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::with("PUT", "/", &[("content-length", "1"), ("expect", "the-unexpected")], b"x"));
    assert_eq!(client.response().status, 417);
    assert!(!upstream.has_caller());
}

#[test]
fn early_hints_and_other_interim_answers_are_passed_on() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send(
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n",
    );
    let hints = client.response();
    assert_eq!((hints.status, hints.fields.get("link")), (103, Some("</a.css>; rel=preload")));
    assert!(!hints.fields.has("x-hop"));
    wire.send("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </b>\r\n\r\n");
    assert_eq!(client.response().status, 102);
    assert_eq!(client.response().status, 103);
    wire.send(request::ok("done"));
    assert_eq!(client.response().text(), "done");
    client.send(request::get("/again"));
    assert_eq!(wire.request().target, "/again");
}

#[test]
fn an_interim_answer_in_the_same_segment_as_the_final_one() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send([&b"HTTP/1.1 103 Early Hints\r\n\r\n"[..], &request::ok("x")].concat());
    assert_eq!(client.response().status, 103);
    assert_eq!(client.response().text(), "x");
}

#[test]
fn an_early_answer_is_whole_and_its_connection_is_not_used_again() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::with("POST", "/big", &[("content-length", "10000000")], b"the first bytes"));
    let mut wire = upstream.accept();
    wire.request_head();
    let body = "too large, and here is why".repeat(4000);
    wire.send(format!("HTTP/1.1 413 Content Too Large\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    let answer = client.response();
    assert_eq!((answer.status, answer.text() == body), (413, true));

    let mut other = _proxy.connect();
    other.send(request::get("/other"));
    let mut second = upstream.accept();
    assert_eq!(second.request().target, "/other", "a connection that is owed a body was used again");
}

#[test]
fn a_client_that_sends_everything_before_it_reads_gets_the_early_answer_too() {
    // Closing at once would reset the connection and destroy the answer on its way (RFC 9112, section 9.6).
    let (_proxy, upstream, mut client) = rig();
    let body = pattern::bytes(16 << 20);
    client.send(request::with("POST", "/big", &[("content-length", &body.len().to_string())], &body[..1000]));
    let mut wire = upstream.accept();
    wire.request_head();
    wire.send("HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 3\r\n\r\nno!");
    drop(wire);
    let sent = client.try_send(&body[1000..]);
    assert!(sent.is_ok(), "the connection was reset under the client: {sent:?}");
    let answer = client.response();
    assert_eq!((answer.status, answer.text().as_str()), (413, "no!"));
}

#[test]
fn an_early_answer_while_the_client_goes_on_sending() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::with("POST", "/", &[("transfer-encoding", "chunked")], b"3\r\none\r\n"));
    let mut wire = upstream.accept();
    wire.request_head();
    assert_eq!(wire.chunk().unwrap(), b"one");
    // A conversation: the answer starts while the request is still coming, and neither hurts the other.
    wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nuno\r\n");
    client.response_head();
    assert_eq!(client.chunk().unwrap(), b"uno");
    client.send("3\r\ntwo\r\n");
    assert_eq!(wire.chunk().unwrap(), b"two");
    wire.send("3\r\ndos\r\n");
    assert_eq!(client.chunk().unwrap(), b"dos");
    client.send("0\r\n\r\n");
    assert_eq!(wire.chunk().unwrap(), b"");
    wire.send("0\r\n\r\n");
    assert_eq!(client.chunk().unwrap(), b"");
}

#[test]
fn a_client_that_waits_in_vain_for_a_100_sends_its_body() {
    // RFC 9110, section 10.1.1: it may not wait for ever, and an old upstream may never say it.
    let (_proxy, upstream, mut client) = rig();
    client.send(expecting(5));
    let mut wire = upstream.accept();
    wire.request_head();
    assert!(client.stays_quiet(Duration::from_millis(200)));
    client.send("hello");
    assert_eq!(wire.exactly(5).unwrap(), b"hello");
    wire.send(request::ok("thanks"));
    assert_eq!(client.response().text(), "thanks");
}

#[test]
fn a_slow_sender_gets_the_early_answer_too() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::with("POST", "/big", &[("content-length", "1000000")], b"first"));
    let mut wire = upstream.accept();
    wire.request_head();
    wire.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 3\r\n\r\nno!");
    // Two seconds of sending, without a look at what has come.
    for n in 0..20 {
        let sent = client.try_send(vec![b'x'; 20_000]);
        assert!(sent.is_ok(), "the connection was reset under the client after {n} pieces: {sent:?}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let answer = client.response();
    assert_eq!((answer.status, answer.text().as_str()), (403, "no!"));
}
