//! What copies are.

use std::time::Duration;

use route_plan::{HeaderRules, HostRule, NotCopied, PathPrefix, Phase, Rules, When};
use test_kit::{Framing, Scripted, request};
use traffic_split::{Arm, Percent};

use crate::rig::{Rig, body, policy, saying, snapshot};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_copy_is_told_what_the_served_one_is_told_and_is_marked() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let rig = Rig::start(old.addr(), new.addr(), |_| {});
    let mut client = rig.client();
    client.send(request::get_with(
        "/items?page=2",
        &[
            ("authorization", "Bearer secret"),
            ("cookie", "session=1"),
            ("x-user-id", "u1"),
            ("traceparent", TRACE),
            ("tracestate", "a=b"),
            ("x-custom", "kept"),
            ("crossfade-else", "stripped"),
            ("expect", "100-continue"),
        ],
    ));
    let mut to_old = old.accept();
    let served = to_old.request();
    let mut to_new = new.accept();
    let copy = to_new.request();
    to_old.send(request::ok("old"));
    to_new.send(request::ok("new"));
    assert_eq!(client.response().text(), "old");

    assert_eq!((copy.method.as_str(), copy.target.as_str()), ("GET", "/items?page=2"));
    assert_eq!(copy.fields.all("crossfade-shadow"), ["1"]);
    assert!(!served.fields.has("crossfade-shadow") && !copy.fields.has("crossfade-else"));
    for same in [
        "host",
        "x-request-id",
        "authorization",
        "cookie",
        "x-custom",
        "tracestate",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "forwarded",
        "via",
        "x-user-id",
    ] {
        assert!(copy.fields.has(same), "{same}");
        assert_eq!(copy.fields.all(same), served.fields.all(same), "{same}");
    }
    assert!(!copy.fields.has("expect"), "all of it is there");
    let (trace, served_trace) = (copy.fields.get("traceparent").unwrap(), served.fields.get("traceparent"));
    assert_eq!(served_trace, Some(TRACE));
    assert_eq!((&trace[..36], &trace[52..]), (&TRACE[..36], "-01"), "the same trace");
    assert_ne!(&trace[36..52], &TRACE[36..52], "another span");

    let pair = rig.pair();
    assert_eq!((body(&pair, Arm::Old), body(&pair, Arm::New)), (&b"old"[..], &b"new"[..]));
    assert_eq!((&*pair.asked.migration, pair.asked.served), ("shop", Arm::Old));
    assert_eq!(&*pair.asked.target, b"/items?page=2");
    assert_eq!((&*pair.asked.method, &*pair.asked.host), (&b"GET"[..], &b"test"[..]));
    assert_eq!(&*pair.asked.request_id, served.fields.get("x-request-id").unwrap().as_bytes());
    assert!(pair.asked.content.is_empty() && pair.asked.key != 0 && pair.asked.at_ms > 1_700_000_000_000);
    assert!(pair.again.is_some());
    rig.expect(1, &[]);
}

#[test]
fn credentials_are_replaced_or_removed_where_the_operator_says_so() {
    let (old, new) = (saying("old"), Scripted::bind());
    let rig = Rig::start(old.addr(), new.addr(), |migration| {
        policy(migration).credentials.remove = vec!["cookie".to_owned()];
        policy(migration).credentials.set =
            vec![("Authorization".to_owned(), Box::from(&b"Bearer test-account"[..]))];
    });
    let fields = [("authorization", "Bearer user"), ("Cookie", "a=1"), ("cookie", "b=2"), ("x-a", "1")];
    assert_eq!(rig.client().exchange(request::get_with("/", &fields)).text(), "old");
    let copy = new.accept().request();
    assert_eq!(copy.fields.all("authorization"), ["Bearer test-account"]);
    assert!(!copy.fields.has("cookie") && copy.fields.has("x-a"));
}

#[test]
fn a_traceparent_that_cannot_be_read_is_left_out() {
    let (old, new) = (saying("old"), Scripted::bind());
    let rig = Rig::start(old.addr(), new.addr(), |_| {});
    let fields = [("traceparent", "00-nonsense"), ("tracestate", "a=b")];
    rig.client().exchange(request::get_with("/", &fields));
    let copy = new.accept().request();
    assert!(!copy.fields.has("traceparent") && !copy.fields.has("tracestate"));
}

#[test]
fn the_rules_of_the_arm_that_gets_it_are_applied() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let new_addr = new.addr().to_string();
    let rig = Rig::start(old.addr(), new.addr(), |migration| {
        let headers = HeaderRules {
            remove: vec!["x-old-only".to_owned()],
            set: vec![("x-api".to_owned(), "2".to_owned())],
            add: Vec::new(),
        };
        migration.rules[Arm::New.index()] = Rules {
            path_prefix: Some(PathPrefix { from: "/v1".to_owned(), to: "/v2".to_owned() }),
            host: HostRule::Endpoint,
            request_headers: headers,
            location: true,
            ..Rules::default()
        };
    });
    let mut client = rig.client();
    client.send(request::get_with("/v1/items", &[("x-old-only", "1"), ("x-api", "1")]));
    let mut to_old = old.accept();
    let served = to_old.request();
    let copy = new.accept().request();
    assert_eq!((served.target.as_str(), served.fields.get("x-api")), ("/v1/items", Some("1")));
    assert_eq!((copy.target.as_str(), copy.fields.get("x-api")), ("/v2/items", Some("2")));
    assert_eq!(copy.fields.all("host"), [new_addr.as_str()]);
    assert!(!copy.fields.has("x-old-only"));
    to_old.send(request::ok("old"));
    assert_eq!(client.response().text(), "old");
}

#[test]
fn copies_may_ask_for_a_host_of_their_own() {
    let (old, new) = (saying("old"), Scripted::bind());
    let authority = new.addr().to_string();
    let fixed = HostRule::Fixed("new.example".to_owned());
    let cases =
        [(HostRule::Endpoint, authority.as_str()), (fixed, "new.example"), (HostRule::Client, "test")];
    for (rule, asked) in cases {
        let rig = Rig::start(old.addr(), new.addr(), |migration| {
            migration.rules[Arm::New.index()].host = HostRule::Fixed("by-rule.example".to_owned());
            policy(migration).host = Some(rule);
        });
        rig.client().exchange(request::get("/"));
        assert_eq!(new.accept().request().fields.all("host"), [asked]);
    }
}

#[test]
fn a_body_is_copied_as_it_passes_and_keeps_its_form() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let rig = Rig::start(old.addr(), new.addr(), |migration| {
        policy(migration).methods = vec![Box::from(&b"POST"[..])];
    });
    let mut client = rig.client();
    for chunked in [false, true] {
        let content = test_kit::pattern::bytes(20_000);
        let whole = if chunked {
            let mut framed = request::chunked(&content, 3_000);
            framed.truncate(framed.len() - 2);
            let fields = [("transfer-encoding", "chunked"), ("trailer", "x-sum")];
            request::with("POST", "/search", &fields, &[&framed, &b"x-sum: 7\r\n\r\n"[..]].concat())
        } else {
            request::post("/search", &content)
        };
        let (first, second) = whole.split_at(whole.len() / 2);
        client.send(first);
        let mut to_old = old.accept();
        to_old.request_head();
        assert!(!new.has_caller(), "not before all of it is there");
        client.send(second);
        let framing = if chunked { Framing::Chunked } else { Framing::Length(20_000) };
        assert_eq!(to_old.body(framing).unwrap().0, content);
        let mut to_new = new.accept();
        let copy = to_new.request();
        assert_eq!((copy.framing, &copy.body), (framing, &content));
        assert_eq!(copy.trailers.get("x-sum"), chunked.then_some("7"));
        // The target's connections end, so that each round begins with new ones.
        to_old.send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nold");
        to_new.send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nnew");
        assert_eq!(client.response().text(), "old");
        let pair = rig.pair();
        assert_eq!((body(&pair, Arm::Old), body(&pair, Arm::New)), (&b"old"[..], &b"new"[..]));
        assert!(pair.again.is_none(), "it is not asked again");
        assert_eq!(&*pair.asked.content, content, "who compares is told what was asked");
    }
    rig.expect(2, &[]);
    rig.expect_no_memory();
}

#[test]
fn what_is_not_to_be_copied_is_not() {
    let (old, new) = (saying("old"), Scripted::bind());
    let rig = Rig::start(old.addr(), new.addr(), |_| {});
    let mut client = rig.client();
    let ok = |answer: test_kit::Response| assert_eq!(answer.text(), "old");
    ok(client.exchange(request::post("/", b"order")));
    ok(client.exchange(request::get_with("/", &[("crossfade-shadow", "1")])));
    ok(client.exchange(request::get_with("/", &[("connection", "upgrade"), ("upgrade", "websocket")])));
    rig.expect(3, &[(NotCopied::Method, 1), (NotCopied::Copy, 1), (NotCopied::Upgrade, 1)]);
    assert!(!new.has_caller());
}

#[test]
fn every_reason_of_the_plan_is_counted() {
    let (old, new) = (saying("old"), saying("new"));
    type Adapt = fn(&mut route_plan::Migration);
    let cases: [(Adapt, NotCopied); 5] = [
        (|migration| migration.phase = Phase::Preparation, NotCopied::Phase),
        (|migration| policy(migration).off = true, NotCopied::Off),
        (|migration| policy(migration).percent = Percent::ZERO, NotCopied::Percent),
        (|migration| policy(migration).holdout = Percent::FULL, NotCopied::Holdout),
        (|migration| policy(migration).per_second = 0, NotCopied::Rate),
    ];
    for (adapt, why) in cases {
        let rig = Rig::start(old.addr(), new.addr(), adapt);
        assert_eq!(rig.client().exchange(request::get("/")).text(), "old");
        rig.expect(1, &[(why, 1)]);
    }
    let rig = Rig::start(old.addr(), new.addr(), |migration| {
        migration.split.keys.clear();
        policy(migration).percent = "50".parse().unwrap();
    });
    rig.client().exchange(request::get("/"));
    rig.expect(1, &[(NotCopied::NoKey, 1)]);
    assert_eq!(new.connections(), 0);
}

#[test]
fn reverse_copies_go_to_old_and_canary_ones_by_choice() {
    let (old, new) = (saying("old"), saying("new"));
    let rig = Rig::start(old.addr(), new.addr(), |migration| {
        migration.phase = Phase::Full;
        migration.split.percent = Percent::FULL;
    });
    assert_eq!(rig.client().exchange(request::get("/")).text(), "new");
    let pair = rig.pair();
    assert_eq!(pair.asked.served, Arm::New);
    assert_eq!((body(&pair, Arm::Old), body(&pair, Arm::New)), (&b"old"[..], &b"new"[..]));
    rig.expect(1, &[]);
    // From here on half of the users are on new.
    for (canary, copied) in [
        (route_plan::CanaryCopies::ToNew, &[Arm::Old][..]),
        (route_plan::CanaryCopies::Both, &[Arm::Old, Arm::New]),
        (route_plan::CanaryCopies::None, &[]),
    ] {
        rig.publish(snapshot(old.addr(), new.addr(), |migration| {
            migration.phase = Phase::Canary;
            migration.split.percent = "50".parse().unwrap();
            policy(migration).canary = canary;
        }));
        let before = rig.totals().requests();
        let mut client = rig.client();
        let mut served = [0, 0];
        for user in 0..20 {
            let answer = client.exchange(request::get_as("/", &format!("u{user}")));
            served[usize::from(answer.text() == "new")] += 1;
        }
        test_kit::eventually("all are accounted for", || rig.totals().requests() == before + 20);
        let pairs = rig.pairs();
        for arm in Arm::ALL {
            let count = pairs.iter().filter(|pair| pair.asked.served == arm).count();
            assert_eq!(
                count,
                if copied.contains(&arm) { served[arm.index()] } else { 0 },
                "{canary:?} {arm}"
            );
        }
    }
}

#[test]
fn after_means_once_the_served_answer_is_through() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let rig = Rig::start(old.addr(), new.addr(), |migration| policy(migration).when = When::After);
    let mut client = rig.client();
    client.send(request::get("/"));
    let mut to_old = old.accept();
    to_old.request();
    to_old.send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nold");
    client.response_head();
    assert!(new.accept_within(Duration::from_millis(150)).is_none(), "old still has it");
    to_old.send("old");
    let mut to_new = new.accept();
    to_new.request();
    to_new.send(request::ok("new"));
    let pair = rig.pair();
    assert_eq!((body(&pair, Arm::Old), body(&pair, Arm::New)), (&b"oldold"[..], &b"new"[..]));
    rig.expect(1, &[]);
}

#[test]
fn connections_to_the_other_arm_are_kept_and_replaced_when_they_are_stale() {
    let (old, new) = (saying("old"), Scripted::bind());
    let rig = Rig::start(old.addr(), new.addr(), |_| {});
    let mut client = rig.client();
    client.exchange(request::get("/1"));
    let mut kept = new.accept();
    assert_eq!(kept.request().target, "/1");
    kept.send(request::ok("new"));
    rig.pair();
    client.exchange(request::get("/2"));
    assert_eq!(kept.request().target, "/2", "on the same connection");
    // Closed with the request in it: the copy is sent again on a new one.
    drop(kept);
    let mut fresh = new.accept();
    assert_eq!(fresh.request().target, "/2");
    fresh.send(request::ok("new"));
    rig.pair();
    rig.expect(2, &[]);
    assert_eq!(rig.telemetry.lane(0).connections.upstream_stale.get(), 1);
}

#[test]
fn a_copy_goes_to_where_its_own_configuration_says_or_nowhere() {
    let (old, new, other) = (Scripted::bind(), saying("new"), saying("other"));
    let rig = Rig::start(old.addr(), new.addr(), |migration| policy(migration).when = When::After);
    let mut client = rig.client();
    for (addr, pairs) in [(new.addr(), true), (other.addr(), false)] {
        client.send(request::get("/"));
        let mut to_old = old.accept();
        to_old.request();
        rig.publish(snapshot(old.addr(), addr, |migration| policy(migration).when = When::After));
        // Somebody else's request makes the worker look.
        std::thread::scope(|scope| {
            let mut second = rig.client();
            scope.spawn(move || second.send(request::get("/second")));
            let mut to_second = old.accept();
            to_second.request();
            to_second.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        });
        rig.pair();
        to_old.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        client.response();
        if pairs {
            assert_eq!(body(&rig.pair(), Arm::New), b"new");
        }
    }
    rig.expect(4, &[(NotCopied::TargetDown, 1)]);
}
