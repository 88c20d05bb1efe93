//! What clients may use up is limited, and whoever is over a limit is told so.

use test_kit::{Config, Origin, Proxy, Response, Scripted, Wire, request};

use crate::{expect_problem, rig_with, says};

fn expect_busy(answer: &Response) {
    let problem = expect_problem(answer, 503);
    assert!(says(&problem, "overloaded"), "{problem}");
    assert_eq!(answer.fields.get("retry-after"), Some("1"), "RFC 9110 10.2.3");
    let status = answer.fields.get("proxy-status").unwrap_or_default();
    assert!(status.starts_with("crossfade; error="), "RFC 9209: {status}");
}

#[test]
fn more_requests_than_may_be_under_way_are_shed_and_the_connection_goes_on() {
    let (proxy, upstream, mut first) = rig_with(|config| config.proxy("requests = 1"));
    first.send(request::get("/first"));
    let mut wire = upstream.accept();
    wire.request();
    let mut second = proxy.connect();
    for _ in 0..3 {
        expect_busy(&second.exchange(request::get("/second")));
    }
    let mut third = proxy.connect();
    third.send(request::post("/third", b"with a body"));
    expect_busy(&third.response());
    third.expect_end();
    wire.send(request::ok("1"));
    assert_eq!(first.response().text(), "1");
    second.send(request::get("/second"));
    wire.request();
    wire.send(request::ok("2"));
    assert_eq!(second.response().text(), "2", "room again, on the same connection");
    assert!(proxy.metrics().count("crossfade_requests_refused_total", &[("reason", "overloaded")]) >= 4.0);
}

#[test]
fn a_request_behind_one_that_was_shed_is_kept() {
    let (proxy, upstream, mut first) = rig_with(|config| config.proxy("requests = 1"));
    first.send(request::get("/first"));
    let mut wire = upstream.accept();
    wire.request();
    let mut second = proxy.connect();
    second.send([request::get("/a"), request::get("/b")].concat());
    expect_busy(&second.response());
    expect_busy(&second.response());
    drop(wire);
}

#[test]
fn each_listener_has_limits_of_its_own() {
    let origin = Origin::start("old");
    let config = Config::single(origin.addr()).to_string();
    let own = "[[listener]]\nlisten = \"127.0.0.2:0\"\nconnections = 1\n";
    let proxy = Proxy::start_text(&format!("{config}\n{own}"));
    let narrow = *proxy.bound().iter().find(|addr| addr.ip().to_string() == "127.0.0.2").unwrap();
    let mut one = Wire::connect(narrow);
    assert_eq!(one.exchange(request::get("/")).status, 200);
    let mut two = Wire::connect(narrow);
    // It is told without being asked, so what it sends may come too late.
    let _ = two.try_send(request::get("/"));
    if let Ok(answer) = two.try_response() {
        expect_busy(&answer);
    }
    let mut elsewhere = proxy.connect();
    assert_eq!(elsewhere.exchange(request::get("/")).status, 200, "the other listener is not concerned");
    assert!(proxy.metrics().count("crossfade_connections_turned_away_total", &[]) >= 1.0);
}

#[test]
fn all_of_a_listeners_limit_can_be_used() {
    let origin = Origin::start("old");
    let config = Config::single(origin.addr()).workers(2).to_string();
    let own = "[[listener]]\nlisten = \"127.0.0.2:0\"\nconnections = 2\n";
    let proxy = Proxy::start_text(&format!("{config}\n{own}"));
    let narrow = *proxy.bound().iter().find(|addr| addr.ip().to_string() == "127.0.0.2").unwrap();
    let served = || {
        let mut wire = Wire::connect(narrow);
        let _ = wire.try_send(request::get("/"));
        wire.try_response().ok().filter(|answer| answer.status == 200).map(|_| wire)
    };
    for round in 0..8 {
        // Whichever of the workers the kernel gives them to.
        let held = [served(), served()];
        assert!(held.iter().all(Option::is_some), "round {round}");
        assert!(served().is_none(), "one more than may be");
        drop(held);
        proxy.wait_metric("crossfade_connections_open", &[], |open| open < 0.5);
    }
}

#[test]
fn a_body_that_is_announced_as_too_large_is_refused_at_once() {
    let (_proxy, upstream, mut client) = rig_with(|config| config.proxy("body_bytes = \"1KiB\""));
    client.send(request::with("POST", "/", &[("content-length", "1025"), ("expect", "100-continue")], b""));
    expect_problem(&client.response(), 413);
    client.expect_end();
    assert!(!upstream.has_caller());
}

#[test]
fn a_body_that_turns_out_too_large_is_refused() {
    let (_proxy, upstream, mut client) = rig_with(|config| config.proxy("body_bytes = \"1KiB\""));
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(request::chunked(&[b'x'; 3_000], 500));
    expect_problem(&client.response(), 413);
    if let Some(mut wire) = upstream.accept_within(std::time::Duration::from_millis(200)) {
        assert!(wire.try_request().is_err(), "the upstream never gets a whole request");
    }
}

#[test]
fn a_body_within_the_limit_passes() {
    let (_proxy, upstream, mut client) = rig_with(|config| config.proxy("body_bytes = \"1KiB\""));
    client.send(request::post_chunked("/", &[b'x'; 1_024], 100));
    let mut wire = upstream.accept();
    assert_eq!(wire.request().body.len(), 1_024);
    wire.send(request::ok("ok"));
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn a_connection_carries_so_many_requests() {
    let origin = Origin::start("old");
    let proxy = Proxy::start(&Config::single(origin.addr()).proxy("connection_requests = 3"));
    let mut client = proxy.connect();
    for number in 1..=3 {
        let answer = client.exchange(request::get("/"));
        let close = answer.fields.get("connection") == Some("close");
        assert_eq!(close, number == 3, "request {number}");
    }
    client.expect_end();
}

#[test]
fn a_trickle_of_a_body_is_ended() {
    let upstream = Scripted::bind();
    // A rate that nobody keeps for ten seconds by sending a byte now and then.
    let proxy = Proxy::start(&Config::single(upstream.addr()).proxy("min_rate = \"1KiB\""));
    let mut client = proxy.connect();
    // Before the proxy can know of it.
    let began = std::time::Instant::now();
    client.send(request::with("POST", "/", &[("content-length", "1000000")], b"a"));
    let mut wire = upstream.accept();
    wire.request_head();
    let mut looked = began;
    let mut is_busy = false;
    while client.stays_quiet(std::time::Duration::from_millis(500)) {
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "still there");
        // A machine that stops between the look and the byte, until the proxy has closed, loses the answer by that byte.
        if client.try_send("a").is_err() {
            break;
        }
        is_busy = looked.elapsed() > std::time::Duration::from_millis(1_200);
        looked = std::time::Instant::now();
    }
    match client.try_response() {
        Ok(answer) => drop(expect_problem(&answer, 408)),
        Err(broken) => assert!(is_busy && broken == test_kit::Broken::Reset, "{broken}"),
    }
    assert!(began.elapsed() >= std::time::Duration::from_secs(9), "everybody has that long");
}
