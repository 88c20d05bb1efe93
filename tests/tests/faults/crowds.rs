//! Many clients that do wrong, or that are many: those that do right do not notice, and it is over when they are gone.

use std::collections::BTreeMap;
use std::time::Duration;

use test_kit::{
    Broken, Config, FaultyOrigin, Kind, Load, Origin, Proxy, SlowClients, Slowness, Wire, eventually, request,
};

use crate::routed;

/// Connections to upstreams are closed soon, so that those of clients can be counted.
pub(crate) const QUICK_TO_CLOSE: &str = "idle_timeout = \"250ms\"";

/// A proxy in front of an origin for the load, and of another one that slow clients ask.
pub(crate) struct Rig {
    pub(crate) origin: FaultyOrigin,
    pub(crate) proxy: Proxy,
    pub(crate) big: Origin,
}

pub(crate) fn rig(lines: &[&str]) -> Rig {
    let (origin, big) = (FaultyOrigin::start("a"), Origin::start("big"));
    let mut config = routed(&[origin.addr()], &[QUICK_TO_CLOSE])
        .upstream("big", big.addr())
        .section("[migration.big]\nmatch = [{ path = \"/bytes/*\" }, { path = \"/check\" }]\nold = \"big\"\nnew = \"shop-new\"")
        .section("[migration.big.timeouts]\nidle = \"1s\"");
    for line in lines {
        config = config.proxy(*line);
    }
    Rig { origin, proxy: Proxy::start(&config), big }
}

/// Waits until the proxy has no more descriptors open than this.
pub(crate) fn expect_only(proxy: &Proxy, descriptors: usize) {
    eventually("the connections are ended", || proxy.open_descriptors() <= descriptors);
}

/// Clients that send a head, a body or take an answer slower than any person's would be: the others do not notice, and
/// each of them is ended.
#[test]
fn slow_clients_are_ended_and_cost_the_others_nothing() {
    let Rig { origin: _origin, proxy, big: _big } = rig(&["header_timeout = \"1s\""]);
    let before = proxy.open_descriptors();
    // Stalled rather than slow, but for the heads: the least rate of a body is taken over ten seconds.
    let dripping = SlowClients::start(proxy.addr(), &[Slowness::Head], 34, Duration::from_millis(100));
    let stalled =
        SlowClients::start(proxy.addr(), &[Slowness::Body, Slowness::Reading], 33, Duration::from_secs(3600));
    let report = Load::of("beside", 1000).kinds(&[Kind::GET, Kind::ORDER]).run(proxy.addr());
    report.expect_no_failures("a hundred others were slow");
    eventually("the slow heads are ended", || dripping.ended(Slowness::Head) == 34);
    expect_only(&proxy, before);
    drop(stalled);
    assert!(proxy.peak_memory_bytes() < 64 << 20, "{} bytes", proxy.peak_memory_bytes());
}

/// Connects with so many clients at once, asks once over each that stands; how many got which answer, or none.
pub(crate) fn storm(proxy: &Proxy, clients: usize, threads: usize) -> BTreeMap<String, usize> {
    let ask = request::get_with("/items", &[("connection", "close")]);
    let one = || {
        let wires: Vec<_> = (0..clients / threads).map(|_| Wire::try_connect(proxy.addr())).collect();
        let asked = wires.into_iter().map(|wire| {
            let mut wire = wire.ok()?;
            drop(wire.try_send(&ask));
            Some(wire)
        });
        let asked: Vec<Option<Wire>> = asked.collect();
        let answers = asked.into_iter().map(|wire| match wire.map(|mut wire| wire.try_response()) {
            None => "no connection".to_owned(),
            Some(Ok(answer)) => answer.status.to_string(),
            Some(Err(broken)) => broken.to_string(),
        });
        answers.collect::<Vec<String>>()
    };
    let mut counts = BTreeMap::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        for answer in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
            *counts.entry(answer).or_insert(0) += 1;
        }
    });
    counts
}

fn is_served(answer: Result<test_kit::Response, Broken>) -> bool {
    answer.is_ok_and(|answer| answer.status == 200)
}

/// More connect at once than there are descriptors for: it refuses the rest, goes on, and serves everybody when they are
/// gone.
#[test]
fn a_storm_beyond_the_descriptors_passes() {
    let origin = FaultyOrigin::start("a");
    let mut proxy = Proxy::start_with_descriptors(&routed(&[origin.addr()], &[QUICK_TO_CLOSE]), 256);
    let before = proxy.open_descriptors();
    let answers = storm(&proxy, 2000, 8);
    // As many as have room at once, whatever else a busy machine gets done.
    assert!(answers.get("200").is_some_and(|served| *served > 90), "{answers:?}");
    let politely = ["200", "502", "503", "closed before a message", "connection reset"];
    assert!(answers.keys().all(|answer| politely.contains(&answer.as_str())), "{answers:?}");
    assert!(proxy.is_running());
    expect_only(&proxy, before);
    let report = Load::of("after", 1000).kinds(&[Kind::GET, Kind::ORDER]).run(proxy.addr());
    report.expect_no_failures("the storm was over");
}

/// What crossfade cannot do for want of descriptors is no failure of an upstream: nobody is to be judged by it.
#[test]
fn want_of_descriptors_is_no_failure_of_an_upstream() {
    let (old, new) = (FaultyOrigin::start("old"), FaultyOrigin::start("new"));
    // Patient, since in a storm an origin that is well may be slow.
    let config = Config::pair(old.addr(), new.addr())
        .percent(100)
        .workers(2)
        .migration("fallback.after = \"10s\"\ntimeouts.connect = \"10s\"");
    let proxy = Proxy::start_with_descriptors(&config, 256);
    let answers = storm(&proxy, 2000, 8);
    let metrics = proxy.metrics();
    let failures = |reason: &str| metrics.count("crossfade_failures_total", &[("reason", reason)]);
    let reasons = metrics.label_values("crossfade_failures_total", "reason");
    let blamed: Vec<_> = reasons.into_iter().filter(|reason| failures(reason) > 0.5).collect();
    assert!(blamed.is_empty(), "upstreams that were well are blamed for {blamed:?}; clients got {answers:?}");
}

/// Clients hold every descriptor there is: it goes on serving those that are connected as far as it can, and everybody as
/// soon as they let go.
#[test]
fn held_descriptors_are_survived() {
    let origin = FaultyOrigin::start("a");
    let proxy = Proxy::start_with_descriptors(&routed(&[origin.addr()], &[]), 256);
    let mut first = proxy.connect();
    assert_eq!(first.exchange(request::get("/items")).status, 200);
    let held: Vec<Wire> = (0..400).filter_map(|_| Wire::try_connect(proxy.addr()).ok()).collect();
    assert_eq!(first.exchange(request::get("/items")).status, 200, "a connection from before is cut off");
    drop(held);
    eventually("a new connection is served", || {
        let Ok(mut wire) = Wire::try_connect(proxy.addr()) else { return false };
        wire.try_send(request::get("/items")).is_ok() && is_served(wire.try_response())
    });
    Load::of("after", 500).run(proxy.addr()).expect_no_failures("the descriptors are free again");
    assert_eq!(proxy.admin_get("/healthz").status, 200);
}

/// Many at once, all of whom are welcome, are all served.
#[test]
fn a_storm_within_the_descriptors_is_served() {
    let origin = FaultyOrigin::start("a");
    let proxy = Proxy::start(&routed(&[origin.addr()], &[QUICK_TO_CLOSE]));
    let answers = storm(&proxy, 2000, 4);
    assert_eq!(answers.get("200"), Some(&2000), "{answers:?}");
}
