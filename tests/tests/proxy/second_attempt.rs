//! What becomes of a request when its first attempt fails: it is never carried out twice unless it may be, nothing of it is
//! lost or doubled, and nobody is blamed for what others did.

use std::time::{Duration, Instant};

use test_kit::{Broken, Config, Deaf, Proxy, Scripted, eventually, pattern, refusing_address, request};

use crate::{expect_problem, says};

/// Lists every POST, with as little patience as lets a busy machine answer in time.
const LISTED: &str = "[migration.shop.fallback]\nafter = \"2s\"\nreplay = [{ method = \"POST\" }]";

/// All users on new, which falls back to old.
fn pair(old: &Scripted, new: &Scripted) -> Config {
    Config::pair(old.addr(), new.addr()).percent(100)
}

fn failures_of(proxy: &Proxy, arm: &str) -> f64 {
    proxy.metrics().count("crossfade_failures_total", &[("migration", "shop"), ("arm", arm)])
}

#[test]
fn what_may_have_reached_new_on_a_connection_that_closed_does_not_go_to_old() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let proxy = Proxy::start(&pair(&old, &new).migration("fallback = true"));
    let mut client = proxy.connect();
    client.send(request::get("/warm"));
    let mut kept = new.accept();
    kept.request();
    kept.send(request::ok("warm"));
    assert_eq!(client.response().text(), "warm");
    // New carries it out and dies: the repetition on another connection is refused.
    client.send(request::with("DELETE", "/order/7", &[], b""));
    kept.request();
    drop(new);
    drop(kept);
    let answer = client.response();
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(!old.has_caller(), "old gets what new may have carried out");
    proxy.wait_metric("crossfade_fallbacks_withheld_total", &[("reason", "not-replayable")], |n| n == 1.0);
}

#[test]
fn a_body_in_pieces_reaches_old_as_it_was() {
    for chunked in [false, true] {
        for pieces_before in 0..4 {
            let (old, new) = (Scripted::bind(), Scripted::bind());
            let proxy = Proxy::start(&pair(&old, &new).section(LISTED));
            let mut client = proxy.connect();
            let body = pattern::bytes(4_000);
            let whole = if chunked {
                let fields = [("transfer-encoding", "chunked"), ("trailer", "x-sum")];
                let mut content = request::chunked(&body, 700);
                content.truncate(content.len() - 2);
                request::with("POST", "/", &fields, &[&content, &b"x-sum: 7\r\n\r\n"[..]].concat())
            } else {
                request::post("/", &body)
            };
            let head = whole.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            let (head, content) = whole.split_at(head);
            let pieces: Vec<&[u8]> = content.chunks(content.len().div_ceil(4)).collect();
            client.send(head);
            let mut first = new.accept();
            first.request_head();
            for piece in &pieces[..pieces_before] {
                client.send(piece);
                std::thread::park_timeout(Duration::from_millis(20));
            }
            first.reset();
            let mut second = old.accept();
            for piece in &pieces[pieces_before..] {
                client.send(piece);
                std::thread::park_timeout(Duration::from_millis(20));
            }
            // A request behind it belongs to nobody's body.
            client.send(request::get("/next"));
            let got = second.request();
            assert_eq!(got.body, body, "chunked {chunked}, {pieces_before} before");
            assert_eq!(got.trailers.get("x-sum"), chunked.then_some("7"));
            second.send(request::ok("old"));
            assert_eq!(client.response().text(), "old");
            let mut next = new.accept();
            assert_eq!(next.request().target, "/next");
            next.send(request::ok("new"));
            assert_eq!(client.response().text(), "new");
        }
    }
}

#[test]
fn no_endpoint_of_new_is_waited_for_longer_than_old_waits() {
    let old = Scripted::bind().answering(request::ok("old"));
    let deaf = [Deaf::bind(), Deaf::bind(), Deaf::bind()];
    let all: Vec<String> = deaf.iter().map(|one| format!("\"http://{}\"", one.addr())).collect();
    let config = Config::pair(old.addr(), deaf[0].addr())
        .percent(100)
        .section("[migration.shop.fallback]\nafter = \"2s\"");
    let single = format!("[upstream.shop-new]\nendpoints = [\"http://{}\"]", deaf[0].addr());
    let several = format!("[upstream.shop-new]\nendpoints = [{}]", all.join(", "));
    let proxy = Proxy::start_text(&config.to_string().replace(&single, &several));
    let mut client = proxy.connect();
    let began = Instant::now();
    let answer = client.exchange(request::post("/", b"order"));
    assert_eq!(answer.text(), "old", "nothing was sent to new");
    // One after the other, three would have had 6 s.
    assert!(began.elapsed() < Duration::from_secs(5), "only after {:?}", began.elapsed());
}

#[test]
fn new_that_takes_no_more_of_a_body_is_not_waited_for() {
    let old = Scripted::bind();
    let (new, _held) = narrow_new();
    let fallback = "[migration.shop.fallback]\nafter = \"300ms\"\nbody_bytes = \"16MiB\"\n\
                    replay = [{ method = \"POST\" }]";
    let config = Config::pair(old.addr(), new).percent(100).section(fallback);
    let proxy = Proxy::start(&config);
    let mut client = proxy.connect();
    let body = pattern::bytes(8 << 20);
    let mut sender = client.second_handle();
    let bytes = request::post("/", &body);
    let sending = std::thread::spawn(move || sender.try_send(&bytes));
    let began = Instant::now();
    let mut second = old.accept();
    assert!(began.elapsed() < Duration::from_secs(5), "only after {:?}", began.elapsed());
    assert!(second.request().body == body, "not what was sent");
    second.send(request::ok("old"));
    assert_eq!(client.response().text(), "old");
    sending.join().unwrap().unwrap();
}

/// Where connections are made by the kernel, and nobody reads.
fn narrow_new() -> (std::net::SocketAddr, std::net::TcpListener) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    (listener.local_addr().unwrap(), listener)
}

#[test]
fn the_time_to_a_held_answer_is_that_to_its_head() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let fallback = "[migration.shop.fallback]\nafter = \"14s\"";
    let proxy = Proxy::start(&pair(&old, &new).section(fallback));
    let mut client = proxy.connect();
    let began = Instant::now();
    client.send(request::get("/"));
    let mut wire = new.accept();
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha");
    let to_head = began.elapsed();
    assert!(client.stays_quiet(Duration::from_millis(3_000)), "it is not held");
    wire.send("lf");
    assert_eq!(client.response().text(), "half");
    let labels = [("arm", "new"), ("role", "served")];
    proxy.wait_metric("crossfade_request_duration_seconds_count", &labels, |count| count == 1.0);
    let took = proxy.metrics().count("crossfade_request_duration_seconds_sum", &labels);
    // With as much time as a busy machine may need to take the head in.
    assert!(took < to_head.as_secs_f64() + 2.5, "{took} s to a head that was sent after {to_head:?}");
}

#[test]
fn an_upload_that_outlasts_the_total_is_the_clients_own_fault() {
    let upstream = Scripted::bind();
    let config = Config::single(upstream.addr()).section("[migration.shop.timeouts]\ntotal = \"3s\"");
    let proxy = Proxy::start(&config);
    let mut client = proxy.connect();
    client.send(request::with("POST", "/", &[("content-length", "1000")], b"a"));
    let mut wire = upstream.accept();
    wire.request_head();
    let answer = client.response();
    assert_eq!(answer.status, 408, "{}", answer.text());
    proxy.wait_metric("crossfade_client_aborts_total", &[], |count| count == 1.0);
    assert!(failures_of(&proxy, "old") < 0.5);
}

#[test]
fn a_reader_that_outlasts_the_total_is_not_the_upstreams_failure() {
    let upstream = Scripted::bind();
    let config = Config::single(upstream.addr()).section("[migration.shop.timeouts]\ntotal = \"3s\"");
    let proxy = Proxy::start(&config);
    let mut client = test_kit::Wire::connect_narrow(proxy.addr(), 4 << 10);
    client.send(request::get("/"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n");
    let sending = std::thread::spawn(move || wire.try_send_pattern(50_000_000));
    proxy.wait_metric("crossfade_client_aborts_total", &[], |count| count == 1.0);
    assert!(failures_of(&proxy, "old") < 0.5);
    drop(sending.join().unwrap());
}

#[test]
fn interim_answers_of_new_do_not_keep_old_from_being_asked_again() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let config = pair(&old, &new).section("[migration.shop.fallback]\nafter = \"2s\"");
    let proxy = Proxy::start(&config);
    // Old has an idle connection, from a fallback before.
    let mut client = proxy.connect();
    client.send(request::get("/first"));
    new.accept().reset();
    let mut kept = old.accept();
    kept.request();
    kept.send(request::ok("old"));
    assert_eq!(client.response().text(), "old");
    // HTTP/1.0 clients see no interim answers: nothing of an answer has begun.
    let mut plain = proxy.connect();
    plain.send("GET /second HTTP/1.0\r\nHost: shop\r\n\r\n");
    let mut wire = new.accept();
    wire.request();
    wire.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    std::thread::park_timeout(Duration::from_millis(50));
    wire.reset();
    kept.request();
    drop(kept);
    let mut fresh = old.accept();
    assert_eq!(fresh.request().target, "/second");
    fresh.send(request::ok("old again"));
    assert_eq!(plain.response().text(), "old again");
}

#[test]
fn a_client_that_leaves_while_new_is_waited_for_is_no_failure_of_new() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let proxy = Proxy::start(&pair(&old, &new).section("[migration.shop.fallback]\nafter = \"14s\""));
    for held in [false, true] {
        let mut client = proxy.connect();
        client.send(request::get("/"));
        let mut wire = new.accept();
        wire.request();
        if held {
            wire.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha");
            std::thread::park_timeout(Duration::from_millis(50));
        }
        client.reset();
        assert!(matches!(wire.exactly(1), Err(Broken::Truncated | Broken::Reset | Broken::Closed)));
    }
    proxy.wait_metric("crossfade_client_aborts_total", &[], |count| count == 2.0);
    assert!(failures_of(&proxy, "new") < 0.5);
    assert!(!old.has_caller(), "nobody is left to be answered");
}

#[test]
fn when_the_total_is_over_in_the_queue_for_new_old_is_not_asked_any_more() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let config = pair(&old, &new)
        .section("[migration.shop.fallback]\nafter = \"5s\"")
        .section("[migration.shop.timeouts]\ntotal = \"400ms\"")
        .section("[upstream.shop-new.limits]\nconnections = 1")
        .section("[route.hold]\nmatch = [{ path = \"/hold\" }]\nto = \"shop-new\"");
    let proxy = Proxy::start(&config);
    let mut holder = proxy.connect();
    holder.send(request::get("/hold"));
    let mut wire = new.accept();
    wire.request();
    let mut client = proxy.connect();
    client.send(request::post("/order", b"one"));
    let problem = expect_problem(&client.response(), 504);
    assert!(says(&problem, "total-timeout"), "{problem}");
    assert!(!old.has_caller(), "nobody waits for what old would do");
}

#[test]
fn a_client_that_is_turned_away_is_told_so() {
    let upstream = Scripted::bind().answering(request::ok("ok"));
    let proxy = Proxy::start(&Config::single(upstream.addr()).proxy("connections = 1"));
    let mut one = proxy.connect();
    assert_eq!(one.exchange(request::get("/")).status, 200);
    let mut two = proxy.connect();
    let answer = two.response();
    assert_eq!((answer.status, answer.fields.get("retry-after")), (503, Some("1")), "{}", answer.text());
    two.expect_end();
    drop(one);
    eventually("there is room again", || {
        let Ok(mut wire) = test_kit::Wire::try_connect(proxy.addr()) else { return false };
        wire.try_send(request::get("/")).is_ok()
            && wire.try_response().is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn never_reached_and_not_listed_goes_to_old_with_all_of_its_body() {
    let old = Scripted::bind();
    let (refusing, _held) = refusing_address();
    let proxy = Proxy::start(&Config::pair(old.addr(), refusing).percent(100).migration("fallback = true"));
    let body = pattern::bytes(1 << 20);
    let mut client = proxy.connect();
    let mut sender = client.second_handle();
    let bytes = request::post_chunked("/", &body, 3_000);
    let sending = std::thread::spawn(move || sender.try_send(&bytes));
    let mut wire = old.accept();
    assert!(wire.request().body == body);
    wire.send(request::ok("old"));
    let answer = client.response();
    assert_eq!(answer.text(), "old");
    assert!(answer.fields.get("proxy-status").is_some_and(|status| status.contains("connection_refused")));
    sending.join().unwrap().unwrap();
}

#[test]
fn a_tunnel_to_old_takes_no_fallbacks_place() {
    let old = Scripted::bind();
    let (refusing, _held) = refusing_address();
    let fallback = "[migration.shop.fallback]\nconcurrency = 1";
    let proxy = Proxy::start(&Config::pair(old.addr(), refusing).percent(100).section(fallback));
    let mut client = proxy.connect();
    client.send(request::get_with("/live", &[("connection", "upgrade"), ("upgrade", "websocket")]));
    let mut tunnel = old.accept();
    tunnel.request();
    tunnel.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    assert_eq!(client.response_head().status, 101);
    let mut other = proxy.connect();
    other.send(request::get("/"));
    let mut wire = old.accept();
    wire.request();
    wire.send(request::ok("old"));
    assert_eq!(other.response().text(), "old");
    // While that one is under way there is no room for a second.
    other.send(request::get("/slow"));
    wire.request();
    let mut third = proxy.connect();
    third.send(request::get("/"));
    assert_eq!(third.response().status, 502, "more than may be");
    wire.send(request::ok("slow"));
    assert_eq!(other.response().text(), "slow");
    client.send("still open");
    assert_eq!(tunnel.exactly(10).unwrap(), b"still open");
}

#[test]
fn nobody_who_waits_for_a_connection_is_overtaken_for_ever() {
    let upstream = Scripted::bind().answering(request::ok("ok"));
    let config = Config::single(upstream.addr())
        .section("[upstream.shop-old.limits]\nconnections = 1")
        .section("[migration.shop.timeouts]\nconnect = \"5s\"");
    let proxy = Proxy::start(&config);
    let mut greedy = proxy.connect();
    assert_eq!(greedy.exchange(request::get("/")).status, 200);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut sender = greedy.second_handle();
        let ended = &stop;
        scope.spawn(move || {
            let many = request::get("/").repeat(100);
            while !ended.load(std::sync::atomic::Ordering::SeqCst) && sender.try_send(&many).is_ok() {}
        });
        scope.spawn(move || while greedy.try_response().is_ok() {});
        let waited: Vec<u16> = (0..5).map(|_| proxy.get("/").status).collect();
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        proxy.terminate();
        assert_eq!(waited, [200; 5]);
    });
}

#[test]
fn a_beginning_is_not_held_for_longer_because_the_client_goes_on() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let proxy = Proxy::start(&pair(&old, &new).section(LISTED.replace("2s", "14s")));
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    let mut wire = new.accept();
    wire.request_head();
    assert_eq!(wire.chunk().unwrap(), b"a");
    assert!(client.stays_quiet(Duration::from_millis(200)), "nobody has answered");
    wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nA\r\n");
    std::thread::park_timeout(Duration::from_millis(10));
    client.send("1\r\nb\r\n");
    // Each says the next thing only when it has heard the last one.
    let began = Instant::now();
    assert_eq!(client.response_head().status, 200);
    assert_eq!(client.chunk().unwrap(), b"A");
    assert!(began.elapsed() < Duration::from_secs(7), "only after {:?}", began.elapsed());
    assert_eq!(wire.chunk().unwrap(), b"b");
    client.send("0\r\n\r\n");
    wire.send("0\r\n\r\n");
    assert_eq!(client.chunk().unwrap(), b"");
}

#[test]
fn an_answer_that_began_before_the_request_ended_is_held_no_longer_than_a_moment() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let proxy = Proxy::start(&pair(&old, &new).section(LISTED));
    let (mut rounds, mut tries) = (vec![true, false], 0);
    while let Some(ends_first) = rounds.pop() {
        let mut client = proxy.connect();
        client.send(request::with("POST", "/", &[("content-length", "2")], b"a"));
        let mut wire = new.accept();
        wire.request_head();
        assert_eq!(wire.exactly(1).unwrap(), b"a");
        let began = Instant::now();
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nA");
        if ends_first {
            client.send("b");
            // A moment is 50 ms: where the machine let that pass between these two, it is tried again.
            if began.elapsed() > Duration::from_millis(20) {
                tries += 1;
                assert!(tries < 50, "the machine is too busy");
                rounds.push(ends_first);
                // New stays until the proxy has noticed that the client left: else it would be new's failure.
                client.reset();
                wire.rest();
                continue;
            }
            // From here on it is new's turn, for as long as `after` says.
            assert!(client.stays_quiet(Duration::from_millis(120)), "it is held until it is whole");
            wire.send("B");
            assert_eq!(client.response().text(), "AB");
        } else {
            assert_eq!(client.response_head().status, 200);
            assert_eq!(client.exactly(1).unwrap(), b"A");
            client.send("b");
            wire.send("B");
            assert_eq!(client.exactly(1).unwrap(), b"B");
        }
        assert_eq!(wire.exactly(1).unwrap(), b"b");
        drop((client, wire));
    }
    assert!(failures_of(&proxy, "new") < 0.5);
}

#[test]
fn a_body_that_new_does_not_invite_is_sent_to_old() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let proxy = Proxy::start(&pair(&old, &new).section(LISTED));
    let mut client = proxy.connect();
    client.send(request::with("POST", "/", &[("content-length", "5"), ("expect", "100-continue")], b""));
    let mut silent = new.accept();
    silent.request_head();
    let began = Instant::now();
    let mut wire = old.accept();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    wire.request_head();
    wire.send("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.response_head().status, 100);
    client.send("hello");
    assert_eq!(wire.exactly(5).unwrap(), b"hello");
    wire.send(request::ok("done"));
    assert_eq!(client.response().text(), "done");
}

#[test]
fn an_answer_of_old_that_goes_on_takes_no_other_fallback_s_place() {
    let (old, refusing) = (Scripted::bind(), refusing_address());
    let few = "[migration.shop.fallback]\nconcurrency = 1";
    let proxy = Proxy::start(&Config::pair(old.addr(), refusing.0).percent(100).section(few));
    let mut streaming = proxy.connect();
    streaming.send(request::get("/stream"));
    let mut wire = old.accept();
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
    assert_eq!(streaming.response_head().status, 200);
    let mut client = proxy.connect();
    client.send(request::get("/"));
    let mut other = old.accept();
    other.request();
    other.send(request::ok("old"));
    assert_eq!(client.response().text(), "old");
}
