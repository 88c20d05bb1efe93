//! Where falling back ends: what is passed on although old might have done better, and why.

use std::time::Duration;

use test_kit::{Config, Fault, FaultyOrigin, Kind, Load, Proxy, Scripted, eventually, pattern, request};

use crate::{falling_back, withheld};

fn pair() -> (FaultyOrigin, FaultyOrigin) {
    (FaultyOrigin::start("old"), FaultyOrigin::start("new"))
}

/// Expects that the metrics count so many failures of new that were passed on, all for this reason.
#[track_caller]
fn expect_withheld(proxy: &Proxy, reason: &str, times: usize) {
    let counted = (withheld(proxy, Some(reason)), withheld(proxy, None));
    assert_eq!(counted, (times as f64, times as f64), "failures passed on as {reason}");
}

/// Old is not to be flooded: above `fallback.concurrency` new's failures are passed on.
#[test]
fn more_at_once_than_allowed_are_passed_on() {
    let (old, new) = pair();
    old.set(Fault::Slow(Duration::from_millis(20)));
    new.set(Fault::Unanswered);
    let config = Config::pair(old.addr(), new.addr())
        .percent(100)
        .section("[migration.shop.fallback]\nconcurrency = 2");
    let proxy = Proxy::start(&config);
    let report = Load::of("many", 400).run(proxy.addr());
    assert!(report.served("old") >= 2 && report.failures() > 100, "{report}");
    assert!(report.failed.iter().all(|failed| failed.status == Some(502)), "{report}");
    expect_withheld(&proxy, "too-many", report.failures());
    assert_eq!(old.received().len(), report.served("old"));
}

/// When old fails as well, its failure is what the client is told, and nobody asks new again.
#[test]
fn never_from_old_to_new() {
    let (old, new) = pair();
    old.set(Fault::Status(503));
    new.set(Fault::Unanswered);
    let proxy = Proxy::start(&falling_back(old.addr(), new.addr()));
    let report = Load::of("both", 200).kinds(&[Kind::GET, Kind::SEARCH]).run(proxy.addr());
    assert_eq!(report.failures(), 200, "{report}");
    assert!(report.failed.iter().all(|failed| failed.why.contains("Some(\"old\")")), "{report}");
    assert_eq!((old.received().len(), new.received().len()), (200, 200));

    let at_old = Proxy::start(&falling_back(old.addr(), new.addr()).percent(0));
    let report = Load::of("at-old", 200).run(at_old.addr());
    assert_eq!((report.failures(), new.received().len()), (200, 200), "{report}");
}

/// When the time for the whole request is over, nobody else is asked.
#[test]
fn there_is_no_time_left() {
    let (old, new) = pair();
    new.set(Fault::Silent);
    // Both are long: whoever is set aside before new is reached for as long as `after` may ask old.
    let config = Config::pair(old.addr(), new.addr())
        .percent(100)
        .migration("fallback.after = \"2s\"")
        .section("[migration.shop.timeouts]\ntotal = \"3s\"");
    let proxy = Proxy::start(&config);
    let report = Load::of("late", 32).kinds(&[Kind::ORDER]).run(proxy.addr());
    assert_eq!(report.failures(), 32, "{report}");
    assert!(report.failed.iter().all(|failed| failed.status == Some(504)), "{report}");
    expect_withheld(&proxy, "time-is-up", 32);
    assert!(old.received().is_empty());
}

/// What is no failure of a server is the answer.
#[test]
fn other_statuses_are_passed_on() {
    let (old, new) = pair();
    let proxy = Proxy::start(&falling_back(old.addr(), new.addr()));
    let mut client = proxy.connect();
    for status in [200, 301, 400, 404, 409, 429, 501, 505, 511] {
        new.set(Fault::Status(status));
        for target in ["/items", "/stream"] {
            let answer = client.exchange(request::get(target));
            assert_eq!((answer.status, answer.fields.get("x-origin")), (status, Some("new")));
        }
    }
    expect_withheld(&proxy, "not-replayable", 0);
    assert!(old.received().is_empty());
}

/// New fails while the request's body is still on its way: old gets what came, and then the rest.
#[test]
fn a_body_that_is_still_arriving_goes_to_old() {
    let (old, scripted) = (FaultyOrigin::start("old"), Scripted::bind());
    let refusing = FaultyOrigin::start("new");
    refusing.set(Fault::Refusing);
    for (new, reaches) in [(scripted.addr(), true), (refusing.addr(), false)] {
        let proxy = Proxy::start(&falling_back(old.addr(), new));
        let mut client = proxy.connect();
        let (body, id) = (pattern::bytes(30_000), if reaches { "reached" } else { "refused" });
        let fields = [("content-length", "30000"), ("x-request-id", id)];
        client.send(request::with("POST", "/search", &fields, &body[..10_000]));
        if reaches {
            let mut wire = scripted.accept();
            wire.request_head();
            assert_eq!(wire.exactly(5000).unwrap(), body[..5000]);
        }
        client.send(&body[10_000..20_000]);
        client.send(&body[20_000..]);
        let answer = client.response();
        assert_eq!((answer.status, answer.fields.get("x-origin")), (200, Some("old")), "{id}");
        assert_eq!(answer.fields.get("x-body-bytes"), Some("30000"), "{id}");
        assert_eq!(old.executions().get(id), Some(&1));
    }
}

/// A client that goes away is no reason to ask anybody else.
#[test]
fn nobody_is_asked_for_a_client_that_has_gone() {
    let (old, new) = pair();
    new.set(Fault::Silent);
    let config = Config::pair(old.addr(), new.addr()).percent(100).migration("fallback.after = \"10s\"");
    let proxy = Proxy::start(&config);
    let mut client = proxy.connect();
    client.send(request::get("/items"));
    eventually("new is asked", || new.open_connections() > 0);
    client.reset();
    eventually("the request is given up", || !new.received().is_empty());
    assert!(old.received().is_empty());
}
