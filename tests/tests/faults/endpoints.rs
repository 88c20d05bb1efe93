//! One of several endpoints fails under load.

use std::time::Duration;

use test_kit::{Fault, FaultyOrigin, Kind, Load, Peer, Proxy, Wire, before_long, eventually, request};

use crate::{falling_back, routed};

/// Ejection that is quick enough for a test.
const EJECT: &str = "eject = { failures = 3, time = \"300ms\", slow_start = \"100ms\" }";

fn two() -> [FaultyOrigin; 2] {
    [FaultyOrigin::start("a"), FaultyOrigin::start("b")]
}

/// Waits until this origin answers again.
fn serves_again(proxy: &Proxy, origin: &FaultyOrigin) {
    let mut client = proxy.connect();
    let before = origin.received().len();
    eventually("the endpoint is asked again", || {
        client.exchange(request::get("/items"));
        origin.received().len() > before
    });
}

/// A connection that could not be made has sent nothing, and a kept one that is closed takes no GET with it.
#[test]
fn a_refusing_endpoint_costs_no_get_anything() {
    let [a, b] = two();
    let proxy = Proxy::start(&routed(&[a.addr(), b.addr()], &[EJECT]));
    let loading = Load::of("refusing", 3000).start_in_steps(proxy.addr());
    for at in [500, 1500] {
        loading.reach(at);
        a.set(Fault::Refusing);
        loading.reach(at + 500);
        a.set(Fault::Healthy);
    }
    let report = loading.finish();
    report.expect_no_failures("one of two endpoints refused connections");
    assert!(report.served("a") > 200, "{report}");
    serves_again(&proxy, &a);
}

/// The same for POSTs that new connections were needed for: where nothing was sent, any request may be tried elsewhere.
#[test]
fn a_refusing_endpoint_costs_no_post_on_a_new_connection() {
    let [a, b] = two();
    a.set(Fault::Refusing);
    // All clients may meet it at once before it is ejected.
    let proxy = Proxy::start(&routed(&[a.addr(), b.addr()], &["retry = { budget_min = 100 }"]));
    let report = Load::of("post", 500).kinds(&[Kind::ORDER]).run(proxy.addr());
    report.expect_no_failures("one of two endpoints was never there");
    assert_eq!(report.served("b"), 500);
    assert!(b.executions().values().all(|times| *times == 1), "a POST was carried out twice");
}

/// With `safe_methods`, a GET whose connection broke before an answer is tried at the other endpoint.
#[test]
fn a_killed_endpoint_costs_no_get_anything_with_retries() {
    let (mut a, b) = (Peer::nginx("a"), Peer::nginx("b"));
    let retry = "retry = { attempts = 2, budget = \"20%\", budget_min = 50, safe_methods = true }";
    let proxy = Proxy::start(&routed(&[a.addr(), b.addr()], &[retry, EJECT]));
    let loading = Load::of("killed", 2000).start_in_steps(proxy.addr());
    loading.reach(500);
    a.kill();
    loading.reach(1500);
    a.restart();
    let report = loading.finish();
    report.expect_no_failures("one of two endpoints was killed");
    assert!(report.served("b") >= 800, "{report}");
    proxy.wait_metric("crossfade_upstream_retries_total", &[], |times| times > 0.0);
}

/// A process that is stopped is found out by time-outs: those requests that wait for it fail, and after its ejection no
/// more.
#[test]
fn a_stopped_endpoint_is_left_out() {
    let (a, b) = (Peer::nginx("a"), Peer::nginx("b"));
    let config = routed(&[a.addr(), b.addr()], &["eject = { failures = 3, time = \"100s\" }"])
        .section("[route.all.timeouts]\nfirst_byte = \"2s\"");
    let proxy = Proxy::start(&config);
    let loading = Load::of("stopped", 2000).start_in_steps(proxy.addr());
    loading.reach(500);
    a.stop();
    let report = loading.finish();
    // Each of 16 clients can be caught twice while two workers count to three.
    assert!(report.failures() <= 32, "{report}");
    assert!(report.failed.iter().all(|failed| failed.status == Some(504)), "{report}");
    assert!(report.served("b") > 1400, "{report}");
    // Each of the two finds out for itself, and all may have been served before it has.
    before_long("both workers have ejected it", || {
        let ejections = proxy.metrics().count("crossfade_upstream_ejections_total", &[]);
        ejections > 1.5 || {
            let _ = Load::of("until", 64).run(proxy.addr());
            false
        }
    });
    Load::of("after", 200).run(proxy.addr()).expect_no_failures("the stopped endpoint was ejected");
}

/// An endpoint that fails requests in a row is left out for a while, asked again, and back when it is well.
#[test]
fn an_endpoint_is_ejected_and_comes_back() {
    let [a, b] = two();
    let proxy = Proxy::start(&routed(&[a.addr(), b.addr()], &[EJECT]).workers(1));
    a.set(Fault::Status(503));
    let report = Load::of("failing", 1000).run(proxy.addr());
    proxy.wait_metric("crossfade_upstream_ejections_total", &[], |times| times > 0.0);
    // Without ejection about half of them would fail; the longer a machine takes, the more often it is asked again.
    assert!(report.failures() >= 3 && report.failures() < 350, "{report}");
    a.set(Fault::Healthy);
    serves_again(&proxy, &a);
    eventually("both share the work again", || {
        let report = Load::of("well", 200).run(proxy.addr());
        report.failures() == 0 && report.served("a") > 50
    });
}

/// Half of the endpoints at most are left out: with everything failing, everything is still asked.
#[test]
fn never_are_all_endpoints_ejected() {
    let [a, b] = two();
    let proxy = Proxy::start(&routed(&[a.addr(), b.addr()], &["eject = { failures = 3, time = \"20s\" }"]));
    a.set(Fault::Status(503));
    b.set(Fault::Status(503));
    let report = Load::of("failing", 400).run(proxy.addr());
    assert_eq!(report.failures(), 400);
    assert!(
        report.failed.iter().all(|failed| failed.why.contains("Some(")),
        "crossfade itself answered: {report}"
    );
    assert_eq!(a.received().len() + b.received().len(), 400);
}

/// The work is shared evenly by endpoints that are equally quick.
#[test]
fn work_is_shared_evenly() {
    let [a, b] = two();
    let proxy = Proxy::start(&routed(&[a.addr(), b.addr()], &[]));
    let report = Load::of("even", 2000).run(proxy.addr());
    report.expect_no_failures("nothing is wrong");
    for origin in ["a", "b"] {
        assert!((700..=1300).contains(&report.served(origin)), "{report}");
    }
}

/// An endpoint with many requests under way gets no more: one that is slow gets less than its part.
#[test]
fn a_slow_endpoint_gets_less() {
    let [a, b] = two();
    // Far longer than any answer takes on a busy machine.
    a.set(Fault::Slow(Duration::from_millis(250)));
    let proxy = Proxy::start(&routed(&[a.addr(), b.addr()], &[]));
    let report = Load::of("uneven", 1000).run(proxy.addr());
    report.expect_no_failures("one of two endpoints is slow");
    assert!(report.served("a") * 2 < report.served("b"), "{report}");
}

/// With `limits.requests` in use, more are turned away at once: 503 on a route, with the time to come back.
#[test]
fn requests_beyond_the_limit_are_shed() {
    let a = FaultyOrigin::start("a");
    a.set(Fault::Slow(Duration::from_millis(100)));
    let proxy = Proxy::start(&routed(&[a.addr()], &["limits = { requests = 4 }"]));
    let report = Load::of("shed", 600).run(proxy.addr());
    assert!(report.served("a") >= 4 && report.failures() > 100, "{report}");
    assert!(report.failed.iter().all(|failed| failed.status == Some(503)), "{report}");
    // A machine that stops for a moment holds up the few that are under way.
    let late = report.failed.iter().filter(|failed| failed.after >= Duration::from_secs(1)).count();
    assert!(late * 10 < report.failures(), "not cheaply: {late} of {report}");
    assert!(a.connections() <= 4, "{} connections", a.connections());

    // They end with the test.
    a.set(Fault::Slow(Duration::from_secs(30)));
    let mut held: Vec<Wire> = Vec::new();
    let busy = || a.received().iter().filter(|received| received.target == "/held").count();
    // Each of two workers has half of the limit, and which of them takes a connection is chance.
    eventually("the limit is reached", || {
        let mut wire = proxy.connect();
        wire.send(request::get("/held"));
        held.push(wire);
        busy() == 4
    });
    let turned_away = proxy.get("/one-more");
    assert_eq!(turned_away.status, 503, "{}", turned_away.text());
    assert!(turned_away.fields.has("retry-after"), "{turned_away:?}");
    drop(held);
}

/// New at its limits was never reached: old answers, also a POST that is not listed.
#[test]
fn new_at_its_limits_falls_back() {
    let [old, new] = [FaultyOrigin::start("old"), FaultyOrigin::start("new")];
    new.set(Fault::Slow(Duration::from_millis(50)));
    let config = falling_back(old.addr(), new.addr()).section("[upstream.shop-new.limits]\nrequests = 4");
    let proxy = Proxy::start(&config);
    let report = Load::of("full", 600).kinds(&[Kind::GET, Kind::ORDER]).run(proxy.addr());
    report.expect_no_failures("new takes four requests at once");
    assert!(report.served("old") > 100 && report.served("new") >= 4, "{report}");
    proxy.wait_metric("crossfade_fallbacks_total", &[("reason", "overloaded")], |times| times > 0.0);
}

/// Retries do not multiply a load that nobody can serve.
#[test]
fn retries_stay_within_their_budget() {
    let [a, b] = two();
    a.set(Fault::Unanswered);
    b.set(Fault::Unanswered);
    let lines =
        ["retry = { attempts = 2, budget = \"20%\", budget_min = 10, safe_methods = true }", "eject = false"];
    let proxy = Proxy::start(&routed(&[a.addr(), b.addr()], &lines));
    let report = Load::of("budget", 1000).run(proxy.addr());
    assert_eq!(report.failures(), 1000);
    let asked = a.received().len() + b.received().len();
    // A fifth of 1,000, and ten for each worker; and a little, since the share is of the last ten seconds.
    assert!((1000..=1300).contains(&asked), "{asked} attempts for 1000 requests");
    let counted = proxy.metrics().count("crossfade_upstream_retries_total", &[]);
    assert!(
        (counted - (asked as f64 - 1000.0)).abs() < 0.5,
        "{counted} retries counted, {asked} attempts seen"
    );
}

/// Connections are closed after `idle_timeout` without a request.
#[test]
fn unused_connections_are_closed() {
    let a = FaultyOrigin::start("a");
    let proxy = Proxy::start(&routed(&[a.addr()], &["idle_timeout = \"200ms\""]));
    Load::of("idle", 100).run(proxy.addr()).expect_no_failures("nothing is wrong");
    eventually("the connections are closed", || a.open_connections() == 0);
    Load::of("again", 100).run(proxy.addr()).expect_no_failures("the connections were closed");
}

/// Connections are closed when they are as old as `lifetime`, between two requests, and nobody notices.
#[test]
fn old_connections_are_replaced() {
    let a = FaultyOrigin::start("a");
    a.set(Fault::Slow(Duration::from_millis(5)));
    let proxy = Proxy::start(&routed(&[a.addr()], &["lifetime = \"1s\""]));
    let report = Load::of("old", 2000).connections(8).kinds(&[Kind::GET, Kind::ORDER]).run(proxy.addr());
    report.expect_no_failures("connections were replaced");
    assert!(a.connections() >= 14, "{} connections", a.connections());
    assert!(a.executions().values().all(|times| *times == 1), "a request was sent twice");
}
