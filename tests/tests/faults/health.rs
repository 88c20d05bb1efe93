//! Endpoints are asked whether they are healthy, and get no requests while they are not.

use std::time::{Duration, Instant};

use test_kit::{Fault, FaultyOrigin, Kind, Load, Proxy, eventually};

use crate::{fallbacks, falling_back, routed};

/// Whoever is well answers one question in three, on a machine that may be busy.
const HTTP: &str = "health = { path = \"/healthz\", interval = \"1s\", timeout = \"1s\", unhealthy_after = 3, healthy_after = 1 }";
const TCP: &str =
    "health = { tcp = true, interval = \"1s\", timeout = \"1s\", unhealthy_after = 3, healthy_after = 1 }";

/// An endpoint that is back gets its whole part soon.
const QUICK_START: &str = "eject = { slow_start = \"50ms\" }";

/// Only the question is answered badly.
fn unwell(origin: &FaultyOrigin) {
    origin.choose(|request| if request.target == "/healthz" { Fault::Status(503) } else { Fault::Healthy });
}

fn is_healthy(proxy: &Proxy, origin: &FaultyOrigin, healthy: bool) {
    let endpoint = origin.addr().to_string();
    let labels = [("upstream", "named"), ("endpoint", endpoint.as_str())];
    proxy.wait_metric("crossfade_upstream_healthy", &labels, |value| (value > 0.5) == healthy);
}

/// An endpoint that says it is not healthy gets no requests, and gets them again when it says that it is.
#[test]
fn an_endpoint_is_turned_off_and_on() {
    let [a, b] = [FaultyOrigin::start("a"), FaultyOrigin::start("b")];
    let proxy = Proxy::start(&routed(&[a.addr(), b.addr()], &[HTTP, QUICK_START]));
    let loading = Load::of("beside", 1_000_000)
        .kinds(&[Kind::GET, Kind::ORDER])
        .within(Duration::from_secs(100))
        .start(proxy.addr());
    is_healthy(&proxy, &a, true);
    unwell(&a);
    is_healthy(&proxy, &a, false);
    let off = Load::of("off", 200).run(proxy.addr());
    assert_eq!((off.failures(), off.served("b")), (0, 200), "{off}");
    a.set(Fault::Healthy);
    is_healthy(&proxy, &a, true);
    eventually("both share the work again", || {
        let on = Load::of("on", 400).run(proxy.addr());
        on.failures() == 0 && on.served("a") > 100
    });
    loading.stop().expect_no_failures("an endpoint was turned off and on in good order");
}

/// A port that nobody listens at is not healthy.
#[test]
fn a_port_is_asked_by_connecting() {
    let [a, b] = [FaultyOrigin::start("a"), FaultyOrigin::start("b")];
    let proxy = Proxy::start(&routed(&[a.addr(), b.addr()], &[TCP]));
    is_healthy(&proxy, &a, true);
    a.set(Fault::Refusing);
    is_healthy(&proxy, &a, false);
    let off = Load::of("off", 200).run(proxy.addr());
    assert_eq!((off.failures(), off.served("b")), (0, 200), "{off}");
    a.set(Fault::Healthy);
    is_healthy(&proxy, &a, true);
}

/// With one prober for all workers, the question is asked once in an interval, not once for each worker.
#[test]
fn one_prober_asks_for_all_workers() {
    let a = FaultyOrigin::start("a");
    let began = Instant::now();
    let proxy = Proxy::start(&routed(&[a.addr()], &[HTTP]).workers(8));
    unwell(&a);
    is_healthy(&proxy, &a, false);
    // It took three answers; eight workers would have asked twenty-four times.
    let (asked, seconds) = (a.connections(), began.elapsed().as_secs());
    assert!(asked < 5 + 2 * seconds, "{asked} connections before the first request, in {seconds} s");
}

/// New without a healthy endpoint was never reached: old answers, also a POST that is not listed.
#[test]
fn new_without_a_healthy_endpoint_falls_back() {
    let [old, new] = [FaultyOrigin::start("old"), FaultyOrigin::start("new")];
    let health = HTTP.trim_start_matches("health = { ").trim_end_matches(" }").replace(", ", "\n");
    let config =
        falling_back(old.addr(), new.addr()).section(format!("[upstream.shop-new.health]\n{health}"));
    let proxy = Proxy::start(&config);
    unwell(&new);
    let endpoint = new.addr().to_string();
    let labels = [("upstream", "shop-new"), ("endpoint", endpoint.as_str())];
    proxy.wait_metric("crossfade_upstream_healthy", &labels, |value| value < 0.5);
    let report = Load::of("unwell", 400).kinds(&[Kind::GET, Kind::ORDER]).run(proxy.addr());
    report.expect_no_failures("new is not healthy");
    assert_eq!(report.served("old"), 400, "{report}");
    assert_eq!(fallbacks(&proxy), [("no-endpoint".to_owned(), 400.0)]);
    let labels = [("migration", "shop"), ("arm", "new"), ("reason", "no-endpoint")];
    proxy.wait_metric("crossfade_failures_total", &labels, |times| times > 399.5);
}

/// Old without a healthy endpoint is asked anyway.
#[test]
fn old_is_asked_although_it_is_not_healthy() {
    let old = FaultyOrigin::start("old");
    let config = test_kit::Config::single(old.addr()).section(
        "[upstream.shop-old.health]\npath = \"/healthz\"\ninterval = \"100ms\"\nunhealthy_after = 1",
    );
    let proxy = Proxy::start(&config);
    unwell(&old);
    proxy.wait_metric("crossfade_upstream_healthy", &[("upstream", "shop-old")], |value| value < 0.5);
    Load::of("anyway", 100).run(proxy.addr()).expect_no_failures("old is all there is");
}
