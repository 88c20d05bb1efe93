//! After a rollback nobody stays on new for longer than `drain_after_rollback`: tunnels and streams are closed, and
//! nothing else is touched.

use std::ops::Range;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use test_kit::{Config, Framing, Origin, Outcome, Proxy, Scripted, Wire, eventually, request};
use xxhash_rust::xxh3::xxh3_64;

const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
const EVENTS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// Both backends in the test's hands.
struct Stage {
    old: Scripted,
    new: Scripted,
}

impl Stage {
    fn new() -> Self {
        Stage { old: Scripted::bind(), new: Scripted::bind() }
    }

    fn config(&self, percent: u32, drain_after: &str) -> Config {
        let config = Config::pair(self.old.addr(), self.new.addr()).percent(percent);
        config.migration(format!("drain_after_rollback = \"{drain_after}\""))
    }
}

/// A user whose bucket is within these per cent.
fn user_within(percent: Range<u32>) -> String {
    let bucket = |user: &String| xxh3_64(format!("shop\0{user}").as_bytes()) as f64 / 2_f64.powi(64) * 100.0;
    let within = |user: &String| (f64::from(percent.start)..f64::from(percent.end)).contains(&bucket(user));
    (0..).map(|number| format!("user-{number}")).find(within).unwrap()
}

/// A WebSocket of this user: the client's end and the backend's.
fn tunnel(proxy: &Proxy, backend: &Scripted, fields: &[(&str, &str)]) -> (Wire, Wire) {
    let upgrade = [("upgrade", "websocket"), ("connection", "upgrade")];
    let mut client = proxy.connect();
    client.send(request::get_with("/chat", &[&upgrade, fields].concat()));
    let mut wire = backend.accept();
    wire.request();
    wire.send(SWITCHING);
    assert_eq!(client.response().status, 101);
    (client, wire)
}

/// An endless answer to this user, whose first event has arrived.
fn events(proxy: &Proxy, backend: &Scripted, fields: &[(&str, &str)]) -> (Wire, Wire) {
    let mut client = proxy.connect();
    client.send(request::get_with("/events", fields));
    let mut wire = backend.accept();
    wire.request();
    wire.send(EVENTS);
    assert_eq!(client.response_head().framing, Framing::Chunked);
    let mut stream = (client, wire);
    expect_events(&mut stream);
    stream
}

#[track_caller]
fn expect_echo((client, wire): &mut (Wire, Wire)) {
    client.send("ping");
    assert_eq!(wire.exactly(4).unwrap(), b"ping");
    wire.send("pong");
    assert_eq!(client.exactly(4).unwrap(), b"pong");
}

#[track_caller]
fn expect_events((client, wire): &mut (Wire, Wire)) {
    wire.send("9\r\ndata: 1\n\n\r\n");
    assert_eq!(client.chunk().unwrap(), b"data: 1\n\n");
}

#[track_caller]
fn done(outcome: &Outcome) {
    assert_eq!(outcome.code, 0, "{outcome:?}");
}

fn drained(proxy: &Proxy, migration: &str) -> [f64; 2] {
    let metrics = proxy.metrics();
    ["tunnel", "stream"].map(|kind| {
        metrics.sum("crossfade_drained_total", &[("migration", migration), ("kind", kind)]).unwrap()
    })
}

/// What the guard judges new by, what counts against it, and whose clients went away.
fn of_new(proxy: &Proxy) -> [f64; 4] {
    let metrics = proxy.metrics();
    let names = ["evidence_requests", "evidence_failures", "failures", "client_aborts"];
    names.map(|name| {
        let labels = [("migration", "shop"), ("arm", "new")];
        metrics.sum(&format!("crossfade_{name}_total"), &labels).unwrap()
    })
}

/// What the log says of it.
fn sentences(proxy: &Proxy) -> Vec<String> {
    let log = proxy.log();
    let lines = log.lines().filter(|line| line.contains("`drain_after_rollback`"));
    lines.map(ToOwned::to_owned).collect()
}

#[test]
fn tunnels_and_streams_on_new_are_closed_after_the_time_and_nothing_else_is() {
    let stage = Stage::new();
    let lists =
        "[migration.shop.override]\nnew = [\"vip\"]\n\n[migration.shop.force]\nnetworks = [\"127.0.0.0/8\"]";
    let config = stage.config(50, "700ms").workers(2).section(lists);
    let log = TempDir::new().unwrap();
    let path = log.path().join("access.log");
    let proxy = Proxy::start(&config.proxy(format!("access_log = \"{}\"", path.display())));
    let (on_new, on_old) = (user_within(0..50), user_within(50..100));
    let (on_new, on_old) = ([("x-user-id", on_new.as_str())], [("x-user-id", on_old.as_str())]);

    let mut chat = tunnel(&proxy, &stage.new, &on_new);
    expect_echo(&mut chat);
    let mut stream = events(&proxy, &stage.new, &on_new);
    let mut download = proxy.connect();
    download.send(request::get_with("/video", &on_new));
    let mut video = stage.new.accept();
    video.request();
    video.send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nframe");
    assert_eq!(download.response_head().framing, Framing::Length(1000));
    let mut ancient = proxy.connect();
    ancient.send(format!("GET /old-events HTTP/1.0\r\nx-user-id: {}\r\n\r\n", on_new[0].1));
    let mut wire = stage.new.accept();
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\n\r\nline");
    assert_eq!(ancient.response_head().framing, Framing::UntilClose);
    let mut waiting = proxy.connect();
    waiting.send(request::get_with("/report", &on_new));
    let mut report = stage.new.accept();
    report.request();

    let mut stays = [
        tunnel(&proxy, &stage.old, &on_old),
        tunnel(&proxy, &stage.new, &[("crossfade-force", "new")]),
        tunnel(&proxy, &stage.new, &[("x-user-id", "vip")]),
    ];
    let mut flows =
        [events(&proxy, &stage.old, &on_old), events(&proxy, &stage.new, &[("x-user-id", "vip")])];
    let before = of_new(&proxy);

    let begun = Instant::now();
    done(&proxy.command(&["rollback", "shop"]));
    assert_eq!(chat.0.rest(), (Vec::new(), true), "a reset, since nothing else says that it is not complete");
    assert!(begun.elapsed() >= Duration::from_millis(700), "too soon: {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(5), "too late: {:?}", begun.elapsed());
    assert!(stream.0.chunk().is_err(), "the last chunk never comes");
    let (content, _) = download.rest();
    assert_eq!(content, b"frame", "of 1000 bytes");
    assert_eq!(ancient.rest(), (b"line".to_vec(), true), "a reset, since only the end says that it ends");
    for mut backend in [chat.1, stream.1, video, wire] {
        backend.rest();
    }
    assert_eq!(drained(&proxy, "shop"), [1.0, 3.0]);

    stays.iter_mut().for_each(|chat| expect_echo(chat));
    flows.iter_mut().for_each(|stream| expect_events(stream));
    report.send(request::ok("what new was asked, it answers"));
    assert_eq!(waiting.response().text(), "what new was asked, it answers");
    let labels = [("migration", "shop"), ("arm", "new")];
    proxy.wait_metric("crossfade_evidence_requests_total", &labels, |count| count > before[0]);
    let after = [before[0] + 1.0, before[1], before[2], before[3]];
    assert_eq!(of_new(&proxy), after, "the report alone tells anything of new");
    assert_eq!((before[1], before[2], before[3]), (0.0, 0.0, 0.0));

    eventually("the log says it", || !sentences(&proxy).is_empty());
    assert_eq!(sentences(&proxy).len(), 1);
    let sentence = "shop: 1 tunnel and 3 streams on new were closed, 0.7 s after going back to old";
    assert!(sentences(&proxy)[0].contains(sentence), "{:?}", sentences(&proxy));
    let marked = |text: &str| text.lines().filter(|line| line.contains("\"crossfade.drained\":true")).count();
    eventually("the access log has each", || {
        std::fs::read_to_string(&path).is_ok_and(|text| marked(&text) == 4)
    });
}

#[test]
fn who_is_on_new_again_in_time_stays() {
    let stage = Stage::new();
    // It takes two commands and a request to be back, on a machine that may be busy.
    let proxy = Proxy::start(&stage.config(100, "4s"));
    let mut chat = tunnel(&proxy, &stage.new, &[("x-user-id", "anna")]);
    let mut stream = events(&proxy, &stage.new, &[("x-user-id", "anna")]);
    let ask = |what: &str| {
        let said = proxy.admin_post(&format!("/api/v1/migrations/shop/{what}"), &serde_json::json!({}));
        assert_eq!(said.status, 200, "{}", said.text());
    };
    ask("rollback");
    let mut bob = proxy.connect();
    bob.send(request::get_as("/", "bob"));
    stage.old.accept().request();
    // Now the worker has seen that users are on old.
    ask("resume");
    assert!(chat.0.stays_quiet(Duration::from_millis(4_500)), "longer than it has after a rollback");
    expect_echo(&mut chat);
    expect_events(&mut stream);
    assert_eq!(drained(&proxy, "shop"), [0.0, 0.0]);

    // Another one begins its time anew.
    let begun = Instant::now();
    done(&proxy.command(&["rollback", "shop"]));
    chat.0.expect_end();
    assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
    assert!(stream.0.chunk().is_err());
    assert_eq!(drained(&proxy, "shop"), [1.0, 1.0]);
}

#[test]
fn whatever_takes_users_back_closes_their_tunnels() {
    let (stage, state) = (Stage::new(), TempDir::new().unwrap());
    let config = stage.config(100, "0s").section(format!("[state]\ndir = \"{}\"", state.path().display()));
    let proxy = Proxy::start(&config);
    done(&proxy.command(&["set", "shop", "0"]));
    let journal = proxy.admin_get("/api/v1/migrations/shop/journal").json();
    let seq = journal["lines"].as_array().unwrap().last().unwrap()["seq"].to_string();
    for (number, back) in [
        &["rollback", "shop"][..],
        &["set", "shop", "0"],
        &["undo", "shop", "--to", &seq],
        &["phase", "shop", "shadow"],
    ]
    .iter()
    .enumerate()
    {
        for forward in [&["resume", "shop"][..], &["phase", "shop", "canary"], &["set", "shop", "100"]] {
            let _ = proxy.command(forward);
        }
        let mut chat = tunnel(&proxy, &stage.new, &[("x-user-id", "anna")]);
        expect_echo(&mut chat);
        done(&proxy.command(back));
        chat.0.expect_end();
        assert_eq!(drained(&proxy, "shop"), [number as f64 + 1.0, 0.0], "{back:?}");
    }
}

#[test]
fn a_drill_closes_what_it_lasts_longer_than() {
    let (old, new) = (Origin::start("old"), Scripted::bind());
    for (drain_after, closed) in [("200ms", 1.0), ("30s", 0.0)] {
        let config = Config::pair(old.addr(), new.addr()).percent(100);
        let config = config.migration(format!("drain_after_rollback = \"{drain_after}\""));
        let proxy = Proxy::start(&config);
        let mut chat = tunnel(&proxy, &new, &[("x-user-id", "anna")]);
        std::thread::scope(|scope| {
            let drill = scope.spawn(|| done(&proxy.command(&["drill", "shop"])));
            eventually("users are on old", || {
                proxy.metrics().count("crossfade_percent", &[("kind", "in_force")]) == 0.0
            });
            assert_eq!(proxy.connect().exchange(request::get_as("/", "bob")).status, 200, "old serves");
            drill.join().unwrap();
        });
        assert_eq!(drained(&proxy, "shop"), [closed, 0.0], "{drain_after}");
        if closed > 0.0 {
            chat.0.expect_end();
        } else {
            expect_echo(&mut chat);
        }
    }
}

#[test]
fn the_guard_s_rollback_closes_them_too() {
    let (old, new) = (Origin::start("old"), Scripted::bind());
    let config = Config::pair(old.addr(), new.addr()).percent(50);
    let proxy = Proxy::start(&config.migration("drain_after_rollback = \"0s\""));
    let on_new = user_within(0..50);
    let mut stream = events(&proxy, &new, &[("x-user-id", &on_new)]);
    let _failing = new.answering(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n".to_vec());
    let latched = || proxy.metrics().count("crossfade_latched", &[]) > 0.0;
    let mut users = (0..20_000).map(|number| format!("user-{number}"));
    let mut client = proxy.connect();
    while !latched() {
        assert!(users.len() > 0, "20,000 users and no rollback");
        for user in users.by_ref().take(50) {
            client.exchange(request::get_as("/", &user));
        }
    }
    assert!(stream.0.chunk().is_err());
    assert_eq!(drained(&proxy, "shop"), [0.0, 1.0]);
    let cause = [("migration", "shop"), ("cause", "error_rate")];
    assert_eq!(proxy.metrics().count("crossfade_rollbacks_total", &cause), 1.0);
}

#[test]
fn users_who_return_in_parts_have_their_time_each() {
    let stage = Stage::new();
    let config = stage.config(100, "0s").migration("rollback = { over = \"5s\" }");
    let proxy = Proxy::start(&config);
    let (first, last) = (user_within(90..100), user_within(0..10));
    let mut first = tunnel(&proxy, &stage.new, &[("x-user-id", &first)]);
    let mut last = tunnel(&proxy, &stage.new, &[("x-user-id", &last)]);
    done(&proxy.command(&["rollback", "shop"]));
    first.0.expect_end();
    expect_echo(&mut last);
    assert_eq!(drained(&proxy, "shop"), [1.0, 0.0], "the other nine parts are on new");
    last.0.expect_end();
    assert_eq!(drained(&proxy, "shop"), [2.0, 0.0]);
}

#[test]
fn the_time_is_the_present_file_s_and_the_name_may_be_another() {
    let stage = Stage::new();
    let config = stage.config(100, "24h").migration("salt = \"shop\"");
    let proxy = Proxy::start(&config);
    let mut chat = tunnel(&proxy, &stage.new, &[("x-user-id", "anna")]);
    let renamed = config.to_string().replace("migration.shop", "migration.store");
    done(&proxy.reload(&renamed));
    expect_echo(&mut chat);
    done(&proxy.command(&["rollback", "store"]));
    assert!(chat.0.stays_quiet(Duration::from_millis(300)), "it has a day");
    done(&proxy.reload(renamed.replace("24h", "0s")));
    chat.0.expect_end();
    assert_eq!(drained(&proxy, "store"), [1.0, 0.0]);
}

#[test]
fn an_answer_that_begins_after_the_rollback_has_its_time_from_there() {
    let stage = Stage::new();
    let proxy = Proxy::start(&stage.config(100, "500ms"));
    let mut client = proxy.connect();
    client.send(request::get_as("/events", "anna"));
    let mut wire = stage.new.accept();
    wire.request();
    done(&proxy.command(&["rollback", "shop"]));
    assert!(client.stays_quiet(Duration::from_millis(800)), "requests on new finish there");
    let begun = Instant::now();
    wire.send(EVENTS);
    client.response_head();
    assert!(client.chunk().is_err());
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
    assert_eq!(drained(&proxy, "shop"), [0.0, 1.0]);
}
