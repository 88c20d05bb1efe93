//! Who is at fault, and nothing lost, when both sides do unusual things at once: what an attack once found.

use std::time::Duration;

use test_kit::{Broken, Config, Scripted, eventually, pattern, request};

use crate::{rig, rig_with};

/// Sizes of an upload around what the sockets between the client and an upstream that does not read can hold. That is
/// the kernel's choice, so they are many, closer to each other than what the proxy holds itself.
const UPLOADS: std::ops::Range<usize> = 2_400_000..3_600_000;
const UPLOAD_STEP: usize = 16_000;

#[test]
fn a_request_behind_one_that_was_answered_early_is_not_lost() {
    for length in UPLOADS.step_by(UPLOAD_STEP) {
        let (proxy, upstream, mut client) = rig();
        let body = pattern::bytes(length);
        let both = [request::post("/early", &body), request::get("/second")].concat();
        let mut sender = client.second_handle();
        // The proxy may close a connection whose body nobody takes; what it has answered is not lost by that.
        let (taken, is_taken) = std::sync::mpsc::sync_channel(1);
        let sending = std::thread::spawn(move || {
            let sent = sender.try_send(&both);
            drop((sent, taken.try_send(())));
        });
        let mut wire = upstream.accept();
        wire.request_head();
        // Until all of it is on its way, or for as long as it takes to see that there is no room for it.
        let _ = is_taken.recv_timeout(Duration::from_millis(100));
        wire.send(request::ok("early"));
        assert_eq!(client.response().text(), "early");
        // Depending on how much the sockets took, `/second` comes behind the body or on a connection of its own.
        let serving = upstream.answering(request::ok("second"));
        let behind = std::thread::spawn(move || {
            if wire.exactly(body.len()).is_ok() && wire.try_request().is_ok() {
                wire.send(request::ok("second"));
            }
        });
        match client.try_response() {
            Ok(second) => assert_eq!(second.text(), "second", "{length} bytes"),
            Err(Broken::Closed | Broken::Reset) => {}
            Err(other) => panic!("{other}: {length} bytes"),
        }
        drop((client, proxy));
        sending.join().expect("the sender ends");
        behind.join().expect("the upstream's end ends");
        drop(serving);
    }
}

#[test]
fn an_upstream_that_never_invites_the_body_is_at_fault() {
    let (proxy, upstream, mut client) = rig_with(|config| {
        config.section("[migration.shop.timeouts]\nfirst_byte = \"200ms\"\nidle = \"30s\"")
    });
    client.send(request::with("PUT", "/", &[("content-length", "5"), ("expect", "100-continue")], b""));
    let mut wire = upstream.accept();
    wire.request_head();
    let answer = client.response();
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (504, Some("first-byte-timeout")));
    proxy.wait_metric("crossfade_failures_total", &[("reason", "first-byte-timeout")], |count| count == 1.0);
}

#[test]
fn interim_answers_without_end_do_not_hide_that_the_final_one_is_late() {
    let (proxy, upstream, mut client) =
        rig_with(|config| config.section("[migration.shop.timeouts]\nfirst_byte = \"400ms\""));
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    wire.request();
    let flood = std::thread::spawn(move || {
        while wire.try_send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n").is_ok() {}
    });
    let mut answer = client.response();
    while answer.status == 103 {
        answer = client.response();
    }
    assert_eq!((answer.status, answer.json()["reason"].as_str()), (504, Some("first-byte-timeout")));
    flood.join().expect("the flood ends with its connection");
    assert_eq!(proxy.metrics().count("crossfade_client_aborts_total", &[]), 0.0);
}

#[test]
fn a_client_that_leaves_while_its_answer_streams_is_not_the_upstreams_failure() {
    let (proxy, upstream, mut client) = rig();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let mut wire = upstream.accept();
    wire.request_head();
    wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    assert_eq!(client.response_head().status, 200);
    client.reset();
    proxy.wait_metric("crossfade_client_aborts_total", &[], |count| count == 1.0);
    assert_eq!(proxy.metrics().count("crossfade_failures_total", &[]), 0.0);
}

#[test]
fn bytes_are_counted_as_they_pass() {
    let (proxy, upstream, mut client) = rig();
    client.send(request::post("/", &pattern::bytes(300_000)));
    let mut wire = upstream.accept();
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n");
    wire.send(pattern::bytes(500_000));
    client.response();
    eventually("the bytes are counted", || {
        let metrics = proxy.metrics();
        metrics.count("crossfade_client_received_bytes_total", &[]) > 300_000.0
            && metrics.count("crossfade_client_sent_bytes_total", &[]) > 500_000.0
    });
}

#[test]
fn no_backend_sees_a_forcing_header_or_what_only_a_proxy_may_say() {
    let (migrated, plain) = (Scripted::bind(), Scripted::bind());
    let config = Config::single(migrated.addr())
        .path("/app/*")
        .upstream("plain", plain.addr())
        .section("[migration.shop.force]\nheader = \"x-arm\"\nsecret = \"0123456789abcdef\"")
        .section("[route.rest]\nmatch = [{ path = \"/*\" }]\nto = \"plain\"");
    let proxy = test_kit::Proxy::start(&config);
    let fields = [
        ("x-arm", "old; secret=0123456789abcdef"),
        ("X_Arm", "old; secret=0123456789abcdef"),
        ("X_Forwarded_For", "6.6.6.6"),
        ("X_Real_IP", "6.6.6.6"),
        ("X-Forwarded-Ssl", "on"),
        ("X-Forwarded-Prefix", "/admin"),
        ("Transfer_Encoding", "chunked"),
        ("Content_Length", "99"),
        ("crossfade_arm", "new"),
        ("x_harmless", "yes"),
    ];
    for (target, upstream) in [("/app/a", &migrated), ("/other", &plain)] {
        let mut client = proxy.connect();
        client.send(request::get_with(target, &fields));
        let mut wire = upstream.accept();
        let got = wire.request();
        for (name, _) in &fields[..9] {
            assert!(!got.fields.has(name), "{target}: {name} went on: {got:?}");
        }
        assert_eq!(got.fields.get("x_harmless"), Some("yes"));
        wire.send(request::ok(""));
        client.response();
    }
}
