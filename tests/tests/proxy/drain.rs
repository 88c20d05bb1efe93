//! SIGTERM ends the proxy without ending anybody's request.

use test_kit::{Framing, Wire, eventually, request};

use crate::{rig, rig_with};

#[test]
fn what_is_under_way_is_finished() {
    let (mut proxy, upstream, mut client) = rig();
    client.send(request::get("/slow"));
    let mut wire = upstream.accept();
    wire.request();
    proxy.terminate();
    let addr = proxy.addr();
    eventually("nobody new is let in", || Wire::try_connect(addr).is_err());
    assert!(proxy.is_running(), "it ended under a request");
    wire.send(request::ok("finished"));
    let answer = client.response();
    assert_eq!(answer.text(), "finished");
    assert!(answer.says_close(), "the client must know that the connection ends: {answer:?}");
    client.expect_end();
    assert_eq!(proxy.wait(), 0);
}

#[test]
fn a_stream_under_way_is_finished() {
    let (mut proxy, upstream, mut client) = rig();
    client.send(request::get("/stream"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    let head = client.response_head();
    assert_eq!((head.framing, client.chunk().unwrap()), (Framing::Chunked, b"one".to_vec()));
    proxy.terminate();
    let addr = proxy.addr();
    eventually("nobody new is let in", || Wire::try_connect(addr).is_err());
    wire.send("3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(client.chunk().unwrap(), b"two");
    assert_eq!(client.chunk().unwrap(), b"");
    assert_eq!(proxy.wait(), 0);
}

#[test]
fn idle_connections_are_closed_at_once() {
    let (mut proxy, upstream, mut client) = rig();
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send(request::ok("hi"));
    client.response();
    let mut silent = proxy.connect();
    proxy.terminate();
    client.expect_end();
    silent.expect_end();
    assert_eq!(proxy.wait(), 0);
    wire.expect_end();
}

#[test]
fn not_ready_while_it_drains() {
    let (mut proxy, upstream, mut client) = rig();
    client.send(request::get("/slow"));
    let mut wire = upstream.accept();
    wire.request();
    assert_eq!(proxy.admin_get("/readyz").status, 200);
    proxy.terminate();
    eventually("it says that it is not ready", || {
        Wire::try_connect(proxy.admin()).is_err() || proxy.admin_get("/readyz").status == 503
    });
    wire.send(request::ok("finished"));
    assert_eq!(client.response().text(), "finished");
    assert_eq!(proxy.wait(), 0);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (mut proxy, upstream, mut client) = rig();
    client.send(request::get("/slow"));
    let mut wire = upstream.accept();
    wire.request();
    proxy.terminate();
    let addr = proxy.addr();
    eventually("nobody new is let in", || Wire::try_connect(addr).is_err());
    proxy.terminate();
    proxy.wait();
    client.expect_end();
}

#[test]
fn a_tunnel_is_not_waited_for_without_end() {
    let (mut proxy, upstream, mut client) = rig_with(|config| config.proxy("drain_timeout = \"4s\""));
    client.send(request::get_with("/chat", &[("upgrade", "websocket"), ("connection", "upgrade")]));
    let mut wire = upstream.accept();
    wire.request();
    wire.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
    assert_eq!(client.response().status, 101);
    proxy.terminate();
    let addr = proxy.addr();
    eventually("nobody new is let in", || Wire::try_connect(addr).is_err());
    client.send("still open");
    assert_eq!(wire.exactly(10).unwrap(), b"still open", "a tunnel has its time too");
    assert!((0..=1).contains(&proxy.wait()), "it ends, and may say that not all was done");
    client.rest();
    wire.rest();
}
