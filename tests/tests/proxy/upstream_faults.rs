//! An upstream that lies, breaks off or is not there: the client gets an honest error, or sees the answer break.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use test_kit::{Broken, Config, Framing, Origin, Proxy, Scripted, Wire, refusing_address, request};

use crate::{expect_problem, rig, says};

/// Answers that are none, and nothing of which may reach the client.
const NO_ANSWERS: &[(&str, &str)] = &[
    ("garbage", "what is this\r\n\r\n"),
    ("garbage without end", "\0\x01\x02\x03"),
    ("another protocol", "SSH-2.0-OpenSSH_9.2\r\n"),
    ("a bad status", "HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n"),
    ("a status of two digits", "HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n"),
    ("a status of four digits", "HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n"),
    ("another version", "HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ("both framings", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!"),
    ("a bad length", "HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\nhello"),
    ("an unknown coding", "HTTP/1.1 200 OK\r\ntransfer-encoding: rot13\r\n\r\nuryyb"),
    ("a space before a colon", "HTTP/1.1 200 OK\r\ncontent-length : 0\r\n\r\n"),
    ("bare LF", "HTTP/1.1 200 OK\ncontent-length: 0\n\n"),
    ("a control in a value", "HTTP/1.1 200 OK\r\nx-a: b\x01c\r\ncontent-length: 0\r\n\r\n"),
    ("a folded line", "HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\ncontent-length: 0\r\n\r\n"),
    ("a coding on 204", "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("half a head", "HTTP/1.1 200 OK\r\ncontent-le"),
    ("nothing", ""),
    ("an interim answer and nothing", "HTTP/1.1 103 Early Hints\r\n\r\n"),
    ("an interim answer and garbage", "HTTP/1.1 100 Continue\r\n\r\ngarbage\r\n\r\n"),
];

/// The first answer that is not interim.
fn last(client: &mut Wire) -> test_kit::Response {
    loop {
        let answer = client.response();
        if answer.status >= 200 {
            return answer;
        }
    }
}

#[test]
fn what_is_no_answer_is_502() {
    let (_proxy, upstream, mut client) = rig();
    for (name, bytes) in NO_ANSWERS {
        // A POST, so that no second attempt blurs the picture.
        client.send(request::post("/", b"once"));
        let mut wire = upstream.accept();
        wire.request();
        wire.send(bytes);
        wire.half_close();
        let answer = last(&mut client);
        assert_eq!(answer.status, 502, "{name}: {}", answer.text());
        expect_problem(&answer, 502);
        let (more, _) = wire.rest();
        assert!(more.is_empty(), "{name}: the connection was used again");
        if answer.says_close() {
            client = _proxy.connect();
        }
    }
}

#[test]
fn a_reset_before_the_head_is_502() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::post("/", b"once"));
    let mut wire = upstream.accept();
    wire.request();
    wire.reset();
    let problem = expect_problem(&client.response(), 502);
    assert!(says(&problem, "closed"), "{problem}");
}

/// Answers that begin well and break.
const BROKEN: &[(&str, &str)] = &[
    ("a sized answer cut short", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"),
    ("a sized answer without a byte", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"),
    ("a chunk cut short", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nhello"),
    ("no last chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    ("cut in the last chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"),
    (
        "cut in the trailers",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-a: b\r\n",
    ),
    (
        "a bad chunk",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "a chunk without its end",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhelloworld\r\n0\r\n\r\n",
    ),
];

#[test]
fn an_answer_that_breaks_off_never_looks_complete() {
    for closes_by_reset in [false, true] {
        let (proxy, upstream, _client) = rig();
        for (name, bytes) in BROKEN {
            let mut client = proxy.connect();
            client.send(request::post("/", b"once"));
            let mut wire = upstream.accept();
            wire.request();
            wire.send(bytes);
            if closes_by_reset {
                wire.reset();
            } else {
                drop(wire);
            }
            match client.try_response() {
                Err(Broken::Truncated | Broken::Reset) => {}
                // As long as nothing was sent to the client, an honest error is as good.
                Ok(answer) if answer.status == 502 => {}
                other => panic!("{name} (by reset: {closes_by_reset}): the client saw {other:?}"),
            }
        }
    }
}

#[test]
fn an_answer_until_close_that_is_reset_never_looks_complete() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\n\r\nhello");
    let head = client.response_head();
    wire.reset();
    assert_eq!(head.framing, Framing::Chunked);
    assert!(matches!(client.body(head.framing), Err(Broken::Truncated | Broken::Reset)));
}

#[test]
fn bytes_behind_an_answer_never_reach_anybody() {
    let (proxy, upstream, mut client) = rig();
    let second = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\npoisoned";
    for first in [
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ] {
        client.send(request::get("/first"));
        let mut wire = upstream.accept();
        wire.request();
        wire.send([first, second].concat());
        let answer = client.response();
        assert!(matches!(answer.text().as_str(), "fine" | ""), "{answer:?}");
        client.send(request::get("/next"));
        let mut fresh = upstream.accept();
        assert_eq!(fresh.request().target, "/next", "a connection with leftover bytes was used again");
        fresh.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nclean");
        assert_eq!(client.response().text(), "clean");
    }
    drop(proxy);
}

#[test]
fn an_answer_that_nobody_asked_for_is_thrown_away() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get("/first"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send(request::ok("first"));
    assert_eq!(client.response().text(), "first");
    wire.send(request::ok("poisoned"));
    // The proxy sees the bytes on its idle connection, at the latest when it wants to use it.
    client.send(request::get("/second"));
    let mut fresh = upstream.accept();
    assert_eq!(fresh.request().target, "/second");
    fresh.send(request::ok("second"));
    assert_eq!(client.response().text(), "second");
}

#[test]
fn a_stale_pooled_connection_never_fails_a_request() {
    let busy = Origin::start("busy");
    let upstream = Scripted::bind();
    let config = Config::single(upstream.addr())
        .upstream("busy", busy.addr())
        .section("[route.busy]\nmatch = [{ path = \"/busy\" }]\nto = \"busy\"");
    let proxy = Proxy::start(&config);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Keeps the worker from sleeping, so that it meets the close at every point of its round.
        for _ in 0..3 {
            scope.spawn(|| {
                let mut client = proxy.connect();
                while !stop.load(Ordering::SeqCst) {
                    assert_eq!(client.exchange(request::get("/busy")).status, 200);
                }
            });
        }
        let mut client = proxy.connect();
        let mut pooled: Option<Wire> = None;
        let mut failed = Vec::new();
        for n in 0..300 {
            // Closed in good order, or by a reset, while it lay idle: before the request was sent.
            if let Some(stale) = pooled.take() {
                stale.end_and_arrive(n % 2 == 0);
            }
            client.send(if n % 4 == 0 { request::get("/") } else { request::post("/", b"body") });
            if let Some(mut fresh) = upstream.accept_within(Duration::from_secs(5)) {
                fresh.request();
                fresh.send(request::ok("ok"));
                pooled = Some(fresh);
            }
            let answer = client.response();
            if answer.status != 200 {
                failed.push((n, answer.status));
            }
            if answer.says_close() {
                client = proxy.connect();
            }
        }
        stop.store(true, Ordering::SeqCst);
        assert!(failed.is_empty(), "{} of 300 requests failed: {failed:?}", failed.len());
    });
}

#[test]
fn a_get_that_a_pooled_connection_swallowed_is_sent_again() {
    for by_reset in [false, true] {
        let (_proxy, upstream, mut client) = rig();
        client.send(request::get("/first"));
        let mut wire = upstream.accept();
        wire.request();
        wire.send(request::ok("first"));
        client.response();
        client.send(request::get("/second"));
        assert_eq!(wire.request().target, "/second");
        // The server's keep-alive ran out at this very moment.
        if by_reset {
            wire.reset();
        } else {
            drop(wire);
        }
        let mut fresh = upstream.accept();
        assert_eq!(fresh.request().target, "/second");
        fresh.send(request::ok("second"));
        assert_eq!(client.response().text(), "second");
    }
}

#[test]
fn a_post_that_may_have_arrived_is_never_sent_twice() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::get("/first"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send(request::ok("first"));
    client.response();
    client.send(request::post("/pay", b"100"));
    assert_eq!(wire.request().text(), "100");
    drop(wire);
    expect_problem(&client.response(), 502);
    assert!(!upstream.has_caller(), "the payment was sent again");
}

#[test]
fn a_get_on_a_fresh_connection_is_not_repeated_for_ever() {
    let serving = Scripted::bind().serve(|mut wire| drop(wire.try_request()));
    let proxy = Proxy::start(&Config::single(serving.addr()));
    for n in 1..=5 {
        expect_problem(&proxy.get("/"), 502);
        assert!(serving.connections() <= 3 * n, "{} attempts for {n} requests", serving.connections());
    }
}

#[test]
fn a_refused_connection_is_502() {
    let (nobody, _held) = refusing_address();
    let proxy = Proxy::start(&Config::single(nobody));
    let mut client = proxy.connect();
    for request in [request::get("/"), request::post("/", b"body"), request::post_chunked("/", b"body", 2)] {
        client.send(request);
        let answer = client.response();
        let problem = expect_problem(&answer, 502);
        assert!(says(&problem, "connect"), "{problem}");
        if answer.says_close() {
            client = proxy.connect();
        }
    }
    proxy.wait_metric(
        "crossfade_failures_total",
        &[("migration", "shop"), ("arm", "old"), ("reason", "connect")],
        |n| n >= 3.0,
    );
}

#[test]
fn a_second_endpoint_serves_when_the_first_refuses() {
    let (nobody, _held) = refusing_address();
    let serving = Scripted::bind().answering(request::ok("second"));
    let config = Config::single(serving.addr())
        .path("/shop/*")
        .section(format!("[upstream.two]\nendpoints = [\"http://{nobody}\", \"http://{}\"]", serving.addr()))
        .section("[route.two]\nmatch = [{ path = \"/*\" }]\nto = \"two\"");
    let proxy = Proxy::start(&config);
    let mut client = proxy.connect();
    for n in 0..10 {
        let answer = client.exchange(request::get("/"));
        assert_eq!(
            answer.text(),
            "second",
            "request {n}: a connection that was never made is safe to try elsewhere"
        );
    }
}

#[test]
fn an_endless_head_is_cut_off() {
    let (proxy, upstream, mut client) = rig();
    client.send(request::post("/", b"x"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\n");
    let mut sent = 0_u64;
    while sent < 64 << 20 && wire.try_send(format!("x-a: {}\r\n", "b".repeat(8000))).is_ok() {
        sent += 8000;
    }
    assert!(sent < 64 << 20, "the proxy took {sent} bytes of a head");
    expect_problem(&client.response(), 502);
    assert!(proxy.peak_memory_bytes() < 64 << 20);
}

#[test]
fn the_proxy_survives_it_all() {
    let serving = Scripted::bind().serve(|mut wire| {
        while let Ok(got) = wire.try_request() {
            let at = got.target.trim_start_matches('/').parse::<usize>().unwrap_or(usize::MAX);
            let bytes = NO_ANSWERS
                .iter()
                .chain(BROKEN)
                .nth(at)
                .map_or(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine".to_vec(), |(_, text)| {
                    text.as_bytes().to_vec()
                });
            if wire.try_send(&bytes).is_err() || at != usize::MAX {
                return;
            }
        }
    });
    let mut proxy = Proxy::start(&Config::single(serving.addr()).workers(2));
    for round in 0..3 {
        for at in 0..NO_ANSWERS.len() + BROKEN.len() {
            let mut client = proxy.connect();
            client.send(request::get(&format!("/{at}")));
            drop(client.try_response());
            assert_eq!(proxy.get("/fine").text(), "fine", "behind fault {at} in round {round}");
        }
    }
    assert!(proxy.is_running());
}

#[test]
fn a_body_where_none_may_be_never_reaches_anybody() {
    let (_proxy, upstream, mut client) = rig();
    for (method, answer) in [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\ncontent-length: 41\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n\r\n\r\n",
        ),
        ("GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 8\r\n\r\npoisoned"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\npoisoned"),
    ] {
        client.send(request::with(method, "/first", &[], b""));
        let mut wire = upstream.accept();
        wire.request();
        wire.send(answer);
        let got = if method == "HEAD" { client.response_to_head() } else { client.response() };
        assert!(got.body.is_empty(), "{method}: {got:?}");
        client.send(request::get("/next"));
        let mut fresh = upstream.accept();
        assert_eq!(
            fresh.request().target,
            "/next",
            "{method}: a connection with leftover bytes was used again"
        );
        fresh.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nclean");
        assert_eq!(client.response().text(), "clean");
    }
}

#[test]
fn endless_framing_is_cut_off() {
    for (name, start, piece) in [
        ("a chunk line", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;", "x"),
        ("trailers", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", "x-a: b\r\n"),
        ("a trailer", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-a: ", "x"),
        ("zeros", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "0"),
    ] {
        let (proxy, upstream, mut client) = rig();
        client.send(request::post("/", b"x"));
        let mut wire = upstream.accept();
        wire.request();
        wire.send(start);
        let (pieces, mut sent) = (piece.repeat(8 << 10), 0);
        while sent < 64 << 20 && wire.try_send(&pieces).is_ok() {
            sent += pieces.len();
        }
        assert!(sent < 64 << 20, "{name}: the proxy took {sent} bytes");
        match client.try_response() {
            Err(Broken::Truncated | Broken::Reset) => {}
            Ok(answer) if answer.status == 502 => {}
            other => panic!("{name}: the client saw {other:?}"),
        }
        assert!(proxy.peak_memory_bytes() < 64 << 20);
    }
}

#[test]
fn endless_interim_answers_are_bounded_by_who_reads_them() {
    let (proxy, upstream, mut client) = rig();
    client.send(request::post("/", b"x"));
    let mut wire = upstream.accept();
    wire.request();
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(1000);
    let sent = wire.send_again_until_stuck(hints.as_bytes(), 128 << 20);
    assert!(sent < 128 << 20, "the proxy took {sent} bytes of interim answers for a client that reads none");
    assert!(proxy.peak_memory_bytes() < 64 << 20, "{} bytes in use", proxy.peak_memory_bytes());
}

#[test]
fn an_upstream_that_ends_in_mid_upload_without_a_word_is_502() {
    let (_proxy, upstream, mut client) = rig();
    client.send(request::with("POST", "/", &[("content-length", "100000")], b"some"));
    let mut wire = upstream.accept();
    wire.request_head();
    drop(wire);
    expect_problem(&client.response(), 502);
}
