//! Copies of requests go to the other arm, and no user notices, whatever becomes of them.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use test_kit::{Config, Fault, FaultyOrigin, Load, Proxy, Scripted, eventually, request};

/// Old serves, new gets copies.
fn shadowed(old: SocketAddr, new: SocketAddr, policy: &str) -> Config {
    Config::pair(old, new)
        .migration("phase = \"shadow\"")
        .section(format!("[migration.shop.shadow]\nholdout = 0\n{policy}"))
}

/// Requests of the migration that are accounted for: not copied or compared, by why, and those whose answers were handed
/// over to be compared.
fn accounted(proxy: &Proxy) -> f64 {
    let metrics = proxy.metrics();
    metrics.count("crossfade_shadow_dropped_total", &[]) + metrics.count("crossfade_shadow_pairs_total", &[])
}

fn dropped(proxy: &Proxy, why: &str) -> f64 {
    proxy.metrics().count("crossfade_shadow_dropped_total", &[("reason", why)])
}

/// The threads that send copies, with their priority (proc_pid_stat(5), field 19).
fn lanes(proxy: &Proxy) -> Vec<(String, i32)> {
    let tasks = fs::read_dir(format!("/proc/{}/task", proxy.pid())).unwrap();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
    let named = stats.filter_map(|stat| {
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
        let nice = rest.split(' ').nth(16)?.parse().ok()?;
        name.starts_with("lane-").then(|| (name.to_owned(), nice))
    });
    named.collect()
}

#[test]
fn a_copy_goes_to_new_and_old_answers() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let proxy = Proxy::start(&shadowed(old.addr(), new.addr(), ""));
    let mut client = proxy.connect();
    client.send(request::get("/items"));
    let (mut to_old, mut to_new) = (old.accept(), new.accept());
    let (served, copy) = (to_old.request(), to_new.request());
    assert_eq!((copy.target.as_str(), copy.fields.get("crossfade-shadow")), ("/items", Some("1")));
    assert_eq!(copy.fields.get("x-request-id"), served.fields.get("x-request-id"));
    assert!(!served.fields.has("crossfade-shadow"));
    to_old.send(request::ok("old"));
    assert_eq!(client.response().text(), "old", "it waits for nobody");
    to_new.send(request::ok("new"));
    eventually("it is accounted for", || accounted(&proxy) > 0.5);
    let of_copies = [("migration", "shop"), ("arm", "new"), ("role", "shadow")];
    let metrics = proxy.metrics();
    assert!((metrics.count("crossfade_requests_total", &of_copies) - 1.0).abs() < 0.5);
    assert!((metrics.count("crossfade_request_duration_seconds_count", &of_copies) - 1.0).abs() < 0.5);
    assert!(metrics.count("crossfade_evidence_requests_total", &[("arm", "new")]) < 0.5, "no user saw it");
}

#[test]
fn nobody_notices_what_is_wrong_with_the_other_arm() {
    let old = FaultyOrigin::start("old");
    let faults = [
        Fault::Healthy,
        Fault::Refusing,
        Fault::Unreachable,
        Fault::Silent,
        Fault::Slow(Duration::from_secs(5)),
        Fault::Unanswered,
        Fault::ResetInHead,
        Fault::ResetInBody,
        Fault::ClosedInBody,
        Fault::StalledInBody,
        Fault::Garbage,
        Fault::EndlessHead,
        Fault::ClosedWhenReused,
        Fault::Status(503),
    ];
    for fault in faults {
        let new = FaultyOrigin::start("new");
        new.set(fault);
        let proxy = Proxy::start(&shadowed(old.addr(), new.addr(), "deadline = \"500ms\"").workers(2));
        let report = Load::of("u", 300).connections(8).run(proxy.addr());
        report.expect_no_failures(&format!("new: {fault:?}"));
        assert_eq!(report.served("old"), 300, "{fault:?}");
        // Nine in ten are served before a copy is given up, and a machine that stops for a moment holds up the few that are
        // under way.
        let [most, slowest] = [0.9, 1.0].map(|share| report.quantile(share));
        assert!(most < Duration::from_millis(450), "{fault:?}: most waited {most:?}");
        assert!(slowest < Duration::from_secs(8), "{fault:?}: somebody waited {slowest:?}");
        eventually("every request is in one class", || accounted(&proxy) > 299.5);
        assert!((accounted(&proxy) - 300.0).abs() < 0.5, "{fault:?}: {}", accounted(&proxy));
        eventually("nothing is held any more", || {
            let metrics = proxy.metrics();
            metrics.count("crossfade_shadow_memory_bytes", &[]) < 0.5
                && metrics.count("crossfade_shadow_copies_under_way", &[]) < 0.5
                && metrics.count("crossfade_shadow_copies_queued", &[]) < 0.5
        });
    }
}

#[test]
fn the_end_does_not_wait_for_copies() {
    let (old, new) = (FaultyOrigin::start("old"), FaultyOrigin::start("new"));
    new.set(Fault::Silent);
    let mut proxy = Proxy::start(&shadowed(old.addr(), new.addr(), "deadline = \"60s\""));
    Load::of("u", 20).connections(2).run(proxy.addr()).expect_no_failures("new is silent");
    let began = Instant::now();
    proxy.terminate();
    assert_eq!(proxy.wait(), 0);
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
}

#[test]
fn who_has_no_shadow_has_no_lanes_and_a_reload_brings_them() {
    let (old, new) = (FaultyOrigin::start("old"), FaultyOrigin::start("new"));
    let plain = Config::pair(old.addr(), new.addr()).workers(2).migration("shadow = false");
    let proxy = Proxy::start(&plain);
    Load::of("u", 20).connections(2).run(proxy.addr()).expect_no_failures("nothing is wrong");
    assert_eq!(lanes(&proxy), []);
    assert!(accounted(&proxy) < 0.5, "there is nothing to account for");
    let outcome = proxy.reload(shadowed(old.addr(), new.addr(), "").workers(2));
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    Load::of("v", 20).connections(4).run(proxy.addr()).expect_no_failures("nothing is wrong");
    eventually("every request is in one class", || accounted(&proxy) > 19.5);
    // Users come first wherever there is not enough for all. A lane says so when its thread has begun.
    eventually("both lanes are there and come last", || {
        let mut lanes = lanes(&proxy);
        lanes.sort();
        lanes == [("lane-0".to_owned(), 10), ("lane-1".to_owned(), 10)]
    });
}

#[test]
fn only_what_is_listed_is_copied_with_its_body() {
    let (old, new) = (FaultyOrigin::start("old"), FaultyOrigin::start("new"));
    let policy = "methods = [\"POST\"]\nbody_limit = \"4KiB\"\nexcept = [{ path = \"/orders\" }]";
    let proxy = Proxy::start(&shadowed(old.addr(), new.addr(), policy));
    let mut client = proxy.connect();
    for (bytes, target) in [(4_096, "/search"), (4_097, "/search"), (10, "/orders")] {
        let content = test_kit::pattern::bytes(bytes);
        assert_eq!(client.exchange(request::post(target, &content)).status, 200);
    }
    assert_eq!(client.exchange(request::get("/search")).status, 200);
    eventually("every request is in one class", || accounted(&proxy) > 3.5);
    for why in ["too-large", "excepted", "method"] {
        assert!((dropped(&proxy, why) - 1.0).abs() < 0.5, "{why}");
    }
    let received = new.received();
    assert_eq!(received.len(), 1);
    assert_eq!((received[0].body_bytes, received[0].intact), (4_096, true));
}
