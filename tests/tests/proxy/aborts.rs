//! Clients that go away free what they held, and are nobody's failure.

use test_kit::{Broken, request};

use crate::rig;

#[test]
fn before_the_answer() {
    let (proxy, upstream, mut client) = rig();
    client.send(request::get("/slow"));
    let mut wire = upstream.accept();
    wire.request();
    client.reset();
    wire.expect_end();
    proxy
        .wait_metric("crossfade_client_aborts_total", &[("migration", "shop"), ("arm", "old")], |n| n >= 1.0);
    let failures = proxy.metrics().count("crossfade_failures_total", &[("migration", "shop")]);
    assert!(failures < 0.5, "the upstream was blamed for {failures} aborts");
}

#[test]
fn in_mid_answer() {
    for by_reset in [true, false] {
        let (proxy, upstream, mut client) = rig();
        client.send(request::get("/long"));
        let mut wire = upstream.accept();
        wire.request();
        wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
        let head = client.response_head();
        assert_eq!(client.chunk().unwrap(), b"hello");
        drop(head);
        if by_reset {
            client.reset();
        } else {
            drop(client);
        }
        // A plain close shows only when more is sent.
        let more = vec![b'x'; 1 << 20];
        for _ in 0..64 {
            if wire.try_send(format!("{:x}\r\n", more.len())).is_err()
                || wire.try_send(&more).is_err()
                || wire.try_send("\r\n").is_err()
            {
                break;
            }
        }
        assert!(
            matches!(wire.try_request(), Err(Broken::Closed | Broken::Reset)),
            "the upstream is held for nobody"
        );
        proxy.wait_metric("crossfade_client_aborts_total", &[("migration", "shop"), ("arm", "old")], |n| {
            n >= 1.0
        });
    }
}

#[test]
fn in_mid_upload() {
    let (proxy, upstream, mut client) = rig();
    client.send(request::with("POST", "/", &[("content-length", "1000")], b"some"));
    let mut wire = upstream.accept();
    wire.request_head();
    assert_eq!(wire.exactly(4).unwrap(), b"some");
    client.reset();
    assert!(matches!(wire.exactly(1), Err(Broken::Truncated | Broken::Reset)));
    proxy
        .wait_metric("crossfade_client_aborts_total", &[("migration", "shop"), ("arm", "old")], |n| n >= 1.0);
}

#[test]
fn in_a_crowd() {
    let (mut proxy, upstream, client) = rig();
    drop(client);
    let serving = upstream.serve(|mut wire| {
        while wire.try_request().is_ok() {
            let body = vec![b'x'; 300_000];
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            if wire.try_send(head).is_err() || wire.try_send(body).is_err() {
                return;
            }
        }
    });
    assert_eq!(proxy.get("/").status, 200);
    let before = proxy.open_descriptors();
    for n in 0..200_u32 {
        let mut client = proxy.connect();
        match n % 5 {
            0 => {}
            1 => client.send("GET / HT"),
            2 => client.send(request::get("/")),
            3 => {
                client.send(request::get("/"));
                client.response_head();
            }
            _ => client.send(request::with("POST", "/", &[("content-length", "99")], b"x")),
        }
        if n % 2 == 0 { client.reset() } else { drop(client) }
    }
    let mut client = proxy.connect();
    assert_eq!(client.exchange(request::get("/")).body.len(), 300_000);
    drop(client);
    test_kit::eventually("all descriptors are given back", || proxy.open_descriptors() <= before + 4);
    assert!(proxy.is_running());
    drop(serving);
}
