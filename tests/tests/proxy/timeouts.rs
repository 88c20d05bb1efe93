//! Nothing is waited for longer than the configuration says, and the answer says what took too long.

use std::time::{Duration, Instant};

use test_kit::{Broken, Deaf, Proxy, Scripted, Wire, request};

use crate::{Config, expect_problem, rig_with, says};

/// Where the test waits for the time to be over.
const SHORT_MS: u64 = 200;
/// Where the test has something to do in time, on a machine that may be busy.
const LONG_MS: u64 = 2_000;

fn with(name: &'static str, ms: u64) -> impl Fn(Config) -> Config {
    move |config| config.section(format!("[migration.shop.timeouts]\n{name} = \"{ms}ms\""))
}

/// Runs `step`; it must end about as long after `started`, when nothing could run yet, as the time-out says, not longer than
/// a busy machine needs.
fn timed<T>(started: Instant, ms: u64, step: impl FnOnce() -> T) -> T {
    let out = step();
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(ms * 3 / 4), "gave up after {took:?}");
    assert!(took < Duration::from_millis(ms) + Duration::from_secs(5), "gave up only after {took:?}");
    out
}

fn expect_504(client: &mut Wire, reason: &str) {
    let problem = expect_problem(&client.response(), 504);
    assert!(says(&problem, reason), "{reason} is not in {problem}");
}

#[test]
fn no_connection() {
    let deaf = Deaf::bind();
    let proxy = Proxy::start(&with("connect", SHORT_MS)(Config::single(deaf.addr())));
    let mut client = proxy.connect();
    let started = Instant::now();
    client.send(request::get("/"));
    timed(started, SHORT_MS, || expect_504(&mut client, "connect-timeout"));
    let labels = [("migration", "shop"), ("arm", "old"), ("reason", "connect-timeout")];
    proxy.wait_metric("crossfade_failures_total", &labels, |n| n >= 1.0);
}

#[test]
fn no_answer() {
    let (proxy, upstream, mut client) = rig_with(with("first_byte", SHORT_MS));
    let started = Instant::now();
    client.send(request::post("/", b"hello"));
    let mut wire = upstream.accept();
    wire.request();
    timed(started, SHORT_MS, || expect_504(&mut client, "first-byte-timeout"));
    wire.expect_end();
    let labels = [("migration", "shop"), ("arm", "old"), ("reason", "first-byte-timeout")];
    proxy.wait_metric("crossfade_failures_total", &labels, |n| n >= 1.0);
}

#[test]
fn half_a_head_is_no_answer() {
    let (_proxy, upstream, mut client) = rig_with(with("first_byte", SHORT_MS));
    client.send(request::post("/", b"hello"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\nconten");
    expect_504(&mut client, "first-byte-timeout");
}

#[test]
fn the_upload_does_not_count_against_the_answer() {
    let (_proxy, upstream, mut client) = rig_with(with("first_byte", LONG_MS));
    client.send(request::with("POST", "/", &[("content-length", "6")], b"one"));
    let mut wire = upstream.accept();
    wire.request_head();
    assert!(
        client.stays_quiet(Duration::from_millis(LONG_MS * 3 / 2)),
        "a slow client was taken for a slow upstream"
    );
    client.send("two");
    assert_eq!(wire.exactly(6).unwrap(), b"onetwo");
    wire.send(request::ok("ok"));
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn an_answer_that_stops() {
    let (_proxy, upstream, mut client) = rig_with(with("idle", SHORT_MS));
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    wire.request();
    let started = Instant::now();
    wire.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
    let head = client.response_head();
    let body = timed(started, SHORT_MS, || client.body(head.framing));
    assert!(matches!(body, Err(Broken::Truncated | Broken::Reset)), "{body:?}");
    wire.expect_end();
}

#[test]
fn an_answer_that_goes_on_slowly_is_not_idle() {
    let (_proxy, upstream, mut client) = rig_with(with("idle", LONG_MS));
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n");
    let head = client.response_head();
    for _ in 0..8 {
        assert!(client.stays_quiet(Duration::from_millis(LONG_MS / 6)), "cut off in spite of moving");
        wire.send("x");
        client.exactly(1).unwrap();
    }
    drop(head);
    client.send(request::get("/again"));
    assert_eq!(wire.request().target, "/again");
}

#[test]
fn the_whole_of_it() {
    let (_proxy, upstream, mut client) = rig_with(with("total", LONG_MS));
    let started = Instant::now();
    client.send(request::post("/", b"hello"));
    let mut wire = upstream.accept();
    wire.request();
    timed(started, LONG_MS, || expect_504(&mut client, "total-timeout"));
    wire.expect_end();
}

#[test]
fn the_whole_of_it_in_mid_answer() {
    let (_proxy, upstream, mut client) = rig_with(with("total", LONG_MS));
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    let head = client.response_head();
    let started = Instant::now();
    while wire.try_send("1\r\nx\r\n").is_ok() {
        assert!(started.elapsed() < Duration::from_secs(10), "the answer drips on for ever");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert!(matches!(client.body(head.framing), Err(Broken::Truncated | Broken::Reset)));
}

#[test]
fn a_client_that_stops_uploading() {
    let (proxy, upstream, mut client) = rig_with(with("idle", LONG_MS));
    client.send(request::with("POST", "/", &[("content-length", "10")], b"hello"));
    let mut wire = upstream.accept();
    wire.request_head();
    wire.exactly(5).unwrap();
    // Not the upstream's fault: 408 or a close, never a 5xx that the arm is blamed for.
    if let Ok(answer) = client.try_response() {
        assert_eq!(answer.status, 408, "{}", answer.text());
    }
    assert!(matches!(wire.exactly(1), Err(Broken::Truncated | Broken::Reset)));
    let blamed = proxy.metrics().count("crossfade_failures_total", &[("migration", "shop")]);
    assert!(blamed < 0.5, "{blamed} failures were counted");
}

#[test]
fn a_time_out_of_one_request_leaves_the_next_alone() {
    let upstream = Scripted::bind();
    let proxy = Proxy::start(&with("first_byte", LONG_MS)(Config::single(upstream.addr())));
    let mut client = proxy.connect();
    client.send(request::post("/", b"slow"));
    let mut slow = upstream.accept();
    slow.request();
    let answer = client.response();
    assert_eq!(answer.status, 504);
    if answer.says_close() {
        client = proxy.connect();
    }
    client.send(request::get("/quick"));
    let mut quick = upstream.accept();
    quick.request();
    drop(slow.try_send(request::ok("too late")));
    quick.send(request::ok("quick"));
    assert_eq!(client.response().text(), "quick");
}

#[test]
fn each_time_out_covers_its_own_part_alone() {
    let lines = format!("header_timeout = \"{SHORT_MS}ms\"");
    let (_proxy, upstream, mut client) = rig_with(|config| config.proxy(lines));
    let longer = Duration::from_millis(3 * SHORT_MS);
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    wire.request();
    assert!(client.stays_quiet(longer), "the time for a head ran on while the upstream thought");
    wire.send(request::ok("ok"));
    client.response();
    assert!(client.stays_quiet(longer), "the time for a head ran while there was none");
    client.send(request::with("POST", "/", &[("content-length", "2")], b"x"));
    wire.request_head();
    assert!(client.stays_quiet(longer), "the time for a head ran on in the body");
    client.send("x");
    wire.exactly(2).unwrap();
    wire.send(request::ok("ok"));
    client.response();
}

#[test]
fn a_client_is_not_idle_while_its_request_is_under_way() {
    let lines = format!("idle_timeout = \"{LONG_MS}ms\"");
    let longer = Duration::from_millis(LONG_MS * 5 / 4);
    let (_proxy, upstream, mut client) = rig_with(|config| config.proxy(lines));
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    wire.request();
    assert!(client.stays_quiet(longer));
    wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no");
    client.response_head();
    client.exactly(1).unwrap();
    assert!(client.stays_quiet(longer));
    let started = Instant::now();
    wire.send("k");
    assert_eq!(client.exactly(1).unwrap(), b"k");
    timed(started, LONG_MS, || client.expect_end());
}
