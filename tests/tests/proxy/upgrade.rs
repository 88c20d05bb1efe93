//! Upgrades: a WebSocket is a tunnel, from the first byte behind its head to the last.

use std::time::Duration;

use test_kit::{Config, Proxy, Scripted, Wire, pattern, request};

use crate::{expect_problem, rig};

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A tunnel with both ends in the test's hands.
fn tunnel(upstream: &Scripted, client: &mut Wire) -> Wire {
    client.send(HANDSHAKE);
    let mut wire = upstream.accept();
    let got = wire.request();
    assert_eq!(got.fields.get("upgrade"), Some("websocket"));
    assert!(got.fields.lists("connection", "upgrade"), "{got:?}");
    assert_eq!(got.fields.get("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    wire.send(SWITCHING);
    let answer = client.response();
    assert_eq!((answer.status, answer.fields.get("upgrade")), (101, Some("websocket")));
    assert!(answer.fields.lists("connection", "upgrade"), "{answer:?}");
    assert_eq!(answer.fields.get("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    wire
}

#[test]
fn bytes_pass_both_ways_untouched() {
    let (_proxy, upstream, mut client) = rig();
    let mut wire = tunnel(&upstream, &mut client);
    for n in 0..20_u8 {
        let message = [&[0x81, n, 0, 13, 10, 13, 10][..], b"HTTP/1.1 200 OK\r\n\r\n"].concat();
        client.send(&message);
        assert_eq!(wire.exactly(message.len()).unwrap(), message);
        wire.send(&message);
        assert_eq!(client.exactly(message.len()).unwrap(), message);
    }
    let body = pattern::bytes(3 << 20);
    let (mut sender, sent) = (client.second_handle(), body.clone());
    let sending = std::thread::spawn(move || sender.send(sent));
    assert!(wire.exactly(body.len()).unwrap() == body);
    sending.join().unwrap();
    let (mut sender, sent) = (wire.second_handle(), body.clone());
    let sending = std::thread::spawn(move || sender.send(sent));
    assert!(client.exactly(body.len()).unwrap() == body);
    sending.join().unwrap();
}

#[test]
fn each_side_may_end_first() {
    let (proxy, upstream, mut client) = rig();
    let mut wire = tunnel(&upstream, &mut client);
    client.send("bye");
    client.half_close();
    assert_eq!(wire.rest(), (b"bye".to_vec(), false));
    wire.send("so long");
    wire.half_close();
    assert_eq!(client.rest(), (b"so long".to_vec(), false));

    let mut client = proxy.connect();
    let mut wire = tunnel(&upstream, &mut client);
    wire.send("first");
    wire.half_close();
    assert_eq!(client.rest(), (b"first".to_vec(), false));
    client.send("later");
    client.half_close();
    assert_eq!(wire.rest(), (b"later".to_vec(), false));
}

#[test]
fn a_side_that_breaks_breaks_the_other() {
    let (proxy, upstream, mut client) = rig();
    let wire = tunnel(&upstream, &mut client);
    wire.reset();
    client.rest();

    let mut client = proxy.connect();
    let mut wire = tunnel(&upstream, &mut client);
    client.reset();
    wire.rest();
}

#[test]
fn bytes_sent_early_are_not_lost() {
    let (_proxy, upstream, mut client) = rig();
    client.send([HANDSHAKE.as_bytes(), b"early from the client"].concat());
    let mut wire = upstream.accept();
    wire.request();
    wire.send([SWITCHING.as_bytes(), b"early from the upstream"].concat());
    assert_eq!(client.response().status, 101);
    assert_eq!(client.exactly(23).unwrap(), b"early from the upstream");
    assert_eq!(wire.exactly(21).unwrap(), b"early from the client");
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer() {
    let (_proxy, upstream, mut client) = rig();
    client.send(HANDSHAKE);
    let mut wire = upstream.accept();
    for answer in [
        request::ok("no sockets here"),
        b"HTTP/1.1 426 No\r\nupgrade: h9\r\ncontent-length: 0\r\n\r\n".to_vec(),
    ] {
        wire.request();
        wire.send(&answer);
        assert!(matches!(client.response().status, 200 | 426));
        client.send(HANDSHAKE);
    }
    wire.request();
    wire.send(request::ok("no"));
    client.response();
    client.send(request::get("/next"));
    assert_eq!(wire.request().target, "/next", "both connections go on");
    wire.send(request::ok("next"));
    assert_eq!(client.response().text(), "next");
}

#[test]
fn an_upgrade_behind_an_ordinary_request() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send(request::ok("page"));
    client.response();
    client.send(HANDSHAKE);
    wire.request();
    wire.send(SWITCHING);
    assert_eq!(client.response().status, 101);
    client.send("x");
    assert_eq!(wire.exactly(1).unwrap(), b"x");
}

#[test]
fn a_switch_that_nobody_asked_for_is_a_bad_answer() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send(SWITCHING);
    expect_problem(&client.response(), 502);
}

#[test]
fn upgrade_without_its_connection_option_is_no_upgrade() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get_with("/", &[("upgrade", "websocket")]));
    let mut wire = upstream.accept();
    let got = wire.request();
    assert!(!got.fields.has("upgrade"), "a field of one hop went on: {got:?}");
}

#[test]
fn http2_is_not_smuggled_in() {
    // A backend that takes h2c would be reached past every rule of the proxy.
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get_with(
        "/",
        &[
            ("upgrade", "h2c"),
            ("connection", "Upgrade, HTTP2-Settings"),
            ("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"),
        ],
    ));
    let mut wire = upstream.accept();
    let got = wire.request();
    assert!(!got.fields.has("upgrade") && !got.fields.has("http2-settings"), "{got:?}");
    wire.send(request::ok("plain"));
    assert_eq!(client.response().text(), "plain");
}

#[test]
fn an_idle_tunnel_outlives_the_clients_keep_alive() {
    let (_proxy, upstream, mut client) = crate::rig_with(|config| config.proxy("idle_timeout = \"2s\""));
    let mut wire = tunnel(&upstream, &mut client);
    assert!(client.stays_quiet(Duration::from_millis(2_600)), "an open tunnel is no idle connection");
    wire.send("still here");
    assert_eq!(client.exactly(10).unwrap(), b"still here");
}

#[test]
fn a_silent_tunnel_is_closed_after_its_time() {
    let upstream = Scripted::bind();
    let timeouts = "[migration.shop.timeouts]\ntunnel_idle = \"2s\"";
    let proxy = Proxy::start(&Config::single(upstream.addr()).section(timeouts));
    let mut client = proxy.connect();
    let mut wire = tunnel(&upstream, &mut client);
    for _ in 0..4 {
        assert!(client.stays_quiet(Duration::from_millis(600)), "what is used is kept");
        client.send("ping");
        assert_eq!(wire.exactly(4).unwrap(), b"ping");
    }
    client.expect_end();
    wire.expect_end();
}
