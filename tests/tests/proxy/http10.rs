//! Clients that speak HTTP/1.0.

use test_kit::{Framing, Wire, pattern, request};

use crate::{rig, rig_with};

fn ask(client: &mut Wire, fields: &str) {
    client.send(format!("GET /old HTTP/1.0\r\nHost: t\r\n{fields}\r\n"));
}

#[test]
fn is_answered_and_let_go() {
    let (_proxy, upstream, mut client) = rig();
    ask(&mut client, "");
    let mut wire = upstream.accept();
    let got = wire.request();
    assert_eq!(
        (got.version.as_str(), got.target.as_str()),
        ("HTTP/1.1", "/old"),
        "each hop has its own version"
    );
    wire.send(request::ok("hello"));
    assert_eq!(client.response().text(), "hello");
    client.expect_end();
}

#[test]
fn needs_no_host() {
    let (_proxy, upstream, mut client) = rig();
    client.send("GET /old HTTP/1.0\r\n\r\n");
    let mut wire = upstream.accept();
    let got = wire.request();
    assert_eq!(got.fields.all("host").len(), 1, "an HTTP/1.1 request has a Host: {got:?}");
    wire.send(request::ok("hello"));
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn is_kept_when_it_asks_for_it() {
    let (_proxy, upstream, mut client) = rig();
    ask(&mut client, "Connection: keep-alive\r\n");
    let mut wire = upstream.accept();
    for _ in 0..3 {
        wire.request();
        wire.send(request::ok("hello"));
        let answer = client.response();
        assert_eq!(answer.text(), "hello");
        assert!(answer.fields.lists("connection", "keep-alive"), "it must be told: {answer:?}");
        ask(&mut client, "Connection: Keep-Alive\r\n");
    }
}

#[test]
fn gets_a_chunked_answer_without_chunks() {
    for fields in ["", "Connection: keep-alive\r\n"] {
        let (_proxy, upstream, mut client) = rig();
        ask(&mut client, fields);
        let mut wire = upstream.accept();
        wire.request();
        let body = pattern::bytes(100_000);
        wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        wire.send([&request::chunked(&body, 999)[..]].concat());
        let answer = client.response();
        assert!(!answer.fields.has("transfer-encoding"), "{answer:?}");
        assert!(!answer.fields.lists("connection", "keep-alive"), "the end is the connection's end");
        assert_eq!(answer.framing, Framing::UntilClose);
        assert!(answer.body == body);
        assert!(wire.is_quiet(), "the upstream connection was fine and is kept");
    }
}

#[test]
fn gets_no_interim_answers_and_no_trailers() {
    let (_proxy, upstream, mut client) = rig();
    client.send("POST / HTTP/1.0\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi");
    let mut wire = upstream.accept();
    assert_eq!(wire.request().text(), "hi");
    wire.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
}

#[test]
fn sees_a_truncated_answer_break() {
    // Only a reset tells a client that reads until the end that the end is none.
    let (_proxy, upstream, mut client) = rig();
    ask(&mut client, "");
    let mut wire = upstream.accept();
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
    client.response_head();
    drop(wire);
    let (_, reset) = client.rest();
    assert!(reset, "half an answer looked complete");
}

#[test]
fn may_not_send_chunks() {
    let (_proxy, upstream, mut client) = rig();
    client.send("POST / HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(client.response().status, 400, "RFC 9112, section 6.1");
    client.expect_end();
    assert!(!upstream.has_caller());
}

#[test]
fn an_answer_that_its_reader_was_too_slow_for_does_not_look_complete() {
    let (proxy, upstream, _) =
        rig_with(|config| config.section("[migration.shop.timeouts]\nidle = \"300ms\""));
    let mut client = Wire::connect_narrow(proxy.addr(), 4 << 10);
    client.send("GET / HTTP/1.0\r\nHost: t\r\n\r\n");
    let mut wire = upstream.accept();
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n989680\r\n");
    let sending = std::thread::spawn(move || wire.try_send_pattern(10_000_000));
    proxy.wait_metric("crossfade_client_aborts_total", &[], |count| count == 1.0);
    assert!(client.rest().1, "a part of the answer looked complete");
    drop(sending.join());
}
