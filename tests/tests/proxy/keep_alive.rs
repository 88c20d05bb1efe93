//! Connections are kept on both sides, and pipelined requests are answered in their order.

use test_kit::{Config, Origin, Proxy, Scripted, Wire, request};

use crate::{rig, rig_with};

#[test]
fn one_connection_each_side_for_many_requests() {
    let origin = Origin::start("old");
    let proxy = Proxy::start(&Config::single(origin.addr()));
    let mut client = proxy.connect();
    for n in 0..50 {
        let body = format!("body {n}");
        let answer = match n % 3 {
            0 => client.exchange(request::post("/echo", body.as_bytes())),
            1 => client.exchange(request::post_chunked("/echo", body.as_bytes(), 3)),
            _ => client.exchange(request::get(&format!("/{n}"))),
        };
        assert_eq!(answer.text(), if n % 3 == 2 { "old" } else { &body });
        assert!(!answer.says_close());
    }
    assert_eq!((origin.requests(), origin.connections()), (50, 1));
}

#[test]
fn an_upstream_connection_outlives_its_client() {
    let origin = Origin::start("old");
    let proxy = Proxy::start(&Config::single(origin.addr()));
    for _ in 0..20 {
        assert_eq!(proxy.connect().exchange(request::get("/")).text(), "old");
    }
    assert_eq!((origin.requests(), origin.connections()), (20, 1));
}

#[test]
fn a_client_that_says_close_gets_it() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get_with("/", &[("connection", "close")]));
    let mut wire = upstream.accept();
    let got = wire.request();
    assert!(
        !got.fields.lists("connection", "close"),
        "the client's close is no matter of the upstream: {got:?}"
    );
    wire.send(request::ok("bye"));
    let answer = client.response();
    assert!(answer.text() == "bye" && answer.says_close(), "{answer:?}");
    client.expect_end();
    assert!(wire.is_quiet(), "the upstream connection is kept for others");
}

#[test]
fn an_upstream_that_says_close_does_not_cost_the_client_its_connection() {
    let (_proxy, upstream, mut client) = rig();
    for n in 0..3 {
        client.send(request::get(&format!("/{n}")));
        let mut wire = upstream.accept();
        assert_eq!(wire.request().target, format!("/{n}"));
        wire.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
        assert!(!client.response().says_close());
        wire.expect_end();
    }
}

#[test]
fn an_upstream_that_speaks_http_1_0_is_not_kept_unless_it_says_so() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get("/1"));
    let mut first = upstream.accept();
    first.request();
    first.send("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na");
    assert_eq!(client.response().text(), "a");
    client.send(request::get("/2"));
    let mut second = upstream.accept();
    second.request();
    second.send("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nb");
    assert_eq!(client.response().text(), "b");
    client.send(request::get("/3"));
    assert_eq!(second.request().target, "/3");
}

#[test]
fn fifty_pipelined_requests_are_answered_in_order() {
    let origin = Origin::start("old");
    let proxy = Proxy::start(&Config::single(origin.addr()));
    let mut client = proxy.connect();
    let all: Vec<u8> = (0..50).flat_map(|n| request::get(&format!("/{n}"))).collect();
    client.send(all);
    for n in 0..50 {
        let answer = client.response();
        assert_eq!(answer.fields.get("x-target"), Some(format!("/{n}").as_str()));
    }
    assert!(client.is_quiet());
    assert_eq!(origin.requests(), 50);
}

#[test]
fn pipelined_bodies_stay_with_their_requests() {
    let origin = Origin::start("old");
    let proxy = Proxy::start(&Config::single(origin.addr()));
    let mut client = proxy.connect();
    let body = |n: usize| format!("GET /not-a-request-{n} HTTP/1.1\r\n\r\n").repeat(n % 7 * 40 + 1);
    let all: Vec<u8> = (0..50)
        .flat_map(|n| match n % 3 {
            0 => request::post("/echo", body(n).as_bytes()),
            1 => request::post_chunked("/echo", body(n).as_bytes(), 100),
            _ => request::get("/name"),
        })
        .collect();
    let mut sender = client.second_handle();
    let sending = std::thread::spawn(move || sender.send(all));
    for n in 0..50 {
        let answer = client.response();
        assert_eq!(answer.text(), if n % 3 == 2 { "old".to_owned() } else { body(n) }, "answer {n}");
    }
    sending.join().unwrap();
}

#[test]
fn a_pipelined_request_split_at_every_byte() {
    let serving = Scripted::bind().serve(|mut wire: Wire| {
        while let Ok(got) = wire.try_request() {
            if wire.try_send(request::ok(&format!("{} {}", got.target, got.text()))).is_err() {
                return;
            }
        }
    });
    let proxy = Proxy::start(&Config::single(serving.addr()));
    let all = [request::post("/1", b"hello"), request::post_chunked("/2", b"world", 2), request::get("/3")]
        .concat();
    for at in 1..all.len() {
        let mut client = proxy.connect();
        client.send(&all[..at]);
        client.send(&all[at..]);
        for want in ["/1 hello", "/2 world", "/3 "] {
            assert_eq!(client.response().text(), want, "split at {at}");
        }
    }
    let mut client = proxy.connect();
    for byte in &all {
        client.send([*byte]);
    }
    for want in ["/1 hello", "/2 world", "/3 "] {
        assert_eq!(client.response().text(), want, "byte by byte");
    }
}

#[test]
fn an_answer_that_comes_byte_by_byte() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    for answer in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: b\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0002\r\nhe\r\n3\r\nllo\r\n0\r\nx-t: 1\r\n\r\n",
    ] {
        wire.request();
        for byte in answer {
            wire.send([*byte]);
        }
        assert_eq!(client.response().text(), "hello");
        client.send(request::get("/again"));
    }
}

#[test]
fn an_idle_client_is_let_go_without_a_word() {
    let (_proxy, upstream, mut client) = rig_with(|config| config.proxy("idle_timeout = \"3s\""));
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send(request::ok("hi"));
    client.response();
    client.expect_end();
}

#[test]
fn a_head_that_never_ends_is_not_waited_for() {
    let (_proxy, upstream, mut client) = rig_with(|config| config.proxy("header_timeout = \"300ms\""));
    client.send("GET / HTTP/1.1\r\nhost: te");
    let answer = client.response();
    assert_eq!(answer.status, 408, "{}", answer.text());
    assert!(answer.says_close());
    client.expect_end();
    assert!(!upstream.has_caller());
}

#[test]
fn empty_line_before_a_request_is_forgiven() {
    // RFC 9112, section 2.2: some old clients end a body with an extra CRLF.
    let (_proxy, upstream, mut client) = rig();
    client.send([&request::post("/1", b"x")[..], b"\r\n", &request::get("/2")].concat());
    let mut wire = upstream.accept();
    assert_eq!(wire.request().text(), "x");
    wire.send(request::ok("1"));
    assert_eq!(wire.request().target, "/2");
    wire.send(request::ok("2"));
    assert_eq!((client.response().text(), client.response().text()), ("1".to_owned(), "2".to_owned()));
}

#[test]
fn nothing_behind_a_close_is_served() {
    // RFC 9112, section 9.6.
    let (_proxy, upstream, mut client) = rig();
    client.send([request::get_with("/last", &[("connection", "close")]), request::get("/beyond")].concat());
    let mut wire = upstream.accept();
    assert_eq!(wire.request().target, "/last");
    wire.send(request::ok("last"));
    assert_eq!(client.response().text(), "last");
    client.expect_end();
    assert!(wire.is_quiet() && !upstream.has_caller(), "a request behind a close was served");
}

#[test]
fn an_answer_split_at_every_byte() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    for answer in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"[..],
        b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        for at in 1..answer.len() {
            wire.request();
            wire.send(&answer[..at]);
            wire.send(&answer[at..]);
            let mut got = client.response();
            if got.status == 103 {
                got = client.response();
            }
            assert_eq!(got.text(), "hello", "split at {at}");
            client.send(request::get("/again"));
        }
    }
    assert!(!upstream.has_caller());
}

#[test]
fn a_client_that_pipelines_and_does_not_read_is_stopped() {
    let origin = Origin::start("old");
    let proxy = Proxy::start(&Config::single(origin.addr()));
    let mut client = Wire::connect_narrow(proxy.addr(), 16 << 10);
    client.narrow_sending(16 << 10);
    let many = request::get("/bytes/20000").repeat(1000);
    let sent = client.send_again_until_stuck(&many, 256 << 20);
    assert!(sent < 256 << 20, "{sent} bytes of requests were taken from a client that reads no answer");
    assert!(proxy.peak_memory_bytes() < 64 << 20, "{} bytes in use", proxy.peak_memory_bytes());
    assert_eq!(proxy.get("/name").text(), "old");
}

#[test]
fn servers_that_serve_one_request_a_connection_without_saying_so() {
    let serving = Scripted::bind().serve(|mut wire: Wire| {
        if wire.try_request().is_ok() && wire.try_send(request::ok("once")).is_ok() {
            // Takes the next request, and ends without a word.
            drop(wire.try_request());
        }
    });
    let proxy = Proxy::start(&Config::single(serving.addr()));
    // Fill the pool with connections of this kind first.
    let mut clients: Vec<Wire> = (0..5).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send(request::get("/"));
    }
    for client in &mut clients {
        assert_eq!(client.response().text(), "once");
    }
    for n in 0..20 {
        let answer = clients[n % 5].exchange(request::get("/"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "once"), "request {n}");
    }
}

#[test]
fn idle_connections_cost_little() {
    const CLIENTS: u64 = 400;
    let origin = Origin::start("old");
    let proxy = Proxy::start(&Config::single(origin.addr()));
    assert_eq!(proxy.get("/bytes/100000").status, 200);
    let before = proxy.memory_bytes();
    let clients: Vec<Wire> = (0..CLIENTS)
        .map(|_| {
            let mut client = proxy.connect();
            client.exchange(request::get("/"));
            client
        })
        .collect();
    let each = proxy.memory_bytes().saturating_sub(before) / CLIENTS;
    assert!(each < 8 << 10, "an idle connection costs {each} bytes");
    drop(clients);
}

#[test]
fn a_burst_of_connections_is_served() {
    const CLIENTS: usize = 500;
    let origin = Origin::start("old");
    let proxy = Proxy::start(&Config::single(origin.addr()).workers(2));
    let mut clients: Vec<Wire> = (0..CLIENTS).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send(request::get("/"));
    }
    for client in &mut clients {
        assert_eq!(client.response().text(), "old");
    }
    assert_eq!(origin.requests(), CLIENTS as u64);
}
