//! The same in large numbers, by hand; see [`crate`].

use std::time::{Duration, Instant};

use test_kit::{
    FaultyOrigin, Kind, Load, LoadReport, Proxy, Scripted, SlowClients, Slowness, Wire, eventually, request,
};

use crate::crowds::{QUICK_TO_CLOSE, Rig, expect_only, rig, storm};
use crate::{AFTER_MS, falling_back, posts, routed, table};

/// At most so late is a deadline noticed: two ticks of the worker's clock.
const TICKS: Duration = Duration::from_millis(50);

#[allow(clippy::print_stdout, reason = "figures are run by hand, to be read")]
fn tell(line: impl std::fmt::Display) {
    println!("figure: {line}");
}

/// A number from the environment, or this.
fn wanted(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// How old answers by itself, through the same proxy and the same load.
fn old_alone(requests: usize, connections: usize) -> LoadReport {
    let old = FaultyOrigin::start("old");
    let proxy = Proxy::start(&falling_back(old.addr(), old.addr()).percent(0));
    Load::of("old", requests).connections(connections).kinds(table::MIXED).run(proxy.addr())
}

/// `REQUESTS` for each case, 50,000 by default; `CASE` picks those whose name has it.
#[test]
#[ignore = "figures: minutes; 50,000 requests for each way to fail"]
fn figures_of_the_fault_table() {
    let requests = wanted("REQUESTS", 50_000);
    let named = std::env::var("CASE").unwrap_or_default();
    let base = old_alone(requests / 5, 32);
    let bound = Duration::from_millis(AFTER_MS) + TICKS + base.quantile(0.99);
    tell(format_args!("old alone: {base}; so p99 may be {bound:.1?}"));
    tell("| case | requests | visible failures | by old | fallbacks | p50 | p99 | max |");
    let mut faults = Vec::new();
    for case in table::CASES.iter().filter(|case| case.name.contains(&named)) {
        let outcome = table::run(case, requests, 32, Duration::from_secs(600));
        let report = &outcome.report;
        let [half, most, all] = [0.5, 0.99, 1.0].map(|share| report.quantile(share));
        tell(format_args!(
            "| {} | {} | {} | {} | {:?} | {half:.1?} | {most:.1?} | {all:.1?} |",
            case.name,
            report.sent,
            report.failures(),
            report.served("old"),
            outcome.fallbacks
        ));
        if report.failures() > 0 || most > bound || outcome.withheld > 0.5 {
            faults.push(format!("{}: withheld {}, {report}", case.name, outcome.withheld));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
#[ignore = "figures: a minute; 20,000 POSTs that are not listed, and 20,000 that are, with faults at random"]
fn figures_of_posts() {
    let requests = wanted("REQUESTS", 20_000);
    let once = posts::run(Kind::ORDER, requests, 4, Duration::from_secs(600));
    posts::expect_once(&once);
    tell(format_args!(
        "POSTs, not listed: {} requests, {} carried out by new, {} by old, none twice; {} failures passed on ({} not \
         replayable); fallbacks {:?}",
        once.report.sent,
        once.new.len(),
        once.old.len(),
        once.report.failures(),
        once.not_replayable,
        once.fallbacks
    ));
    let listed = posts::run(Kind::SEARCH, requests, 5, Duration::from_secs(600));
    listed.report.expect_no_failures("listed");
    tell(format_args!("POSTs, listed: {}; fallbacks {:?}", listed.report, listed.fallbacks));
}

/// 2,000 slow clients by default, a third of each kind, beside a load of which each request has to succeed.
#[test]
#[ignore = "figures: a minute; 2,000 slow clients beside a load"]
fn figures_of_slow_clients() {
    let each = wanted("SLOW", 2000) / 3;
    let Rig { origin: _origin, proxy, big: _big } = rig(&["header_timeout = \"10s\""]);
    let load = Load::of("beside", 20_000).connections(8).kinds(&[Kind::GET, Kind::ORDER]);
    load.run(proxy.addr()).expect_no_failures("nothing is wrong");
    let without = load.run(proxy.addr());
    let (before, descriptors) = (proxy.memory_bytes(), proxy.open_descriptors());
    let started = Instant::now();
    let slow = SlowClients::start(proxy.addr(), &Slowness::ALL, each, Duration::from_millis(500));
    let arriving = load.run(proxy.addr());
    arriving.expect_no_failures("others were slow");
    // All of them are there, and what the kernel takes ahead is full.
    eventually("the slow clients have settled", || slow.rounds() >= 4);
    let with = load.run(proxy.addr());
    let during = proxy.memory_bytes();
    with.expect_no_failures("others were slow");
    // The time for a head is ten seconds, and the rate of bodies is taken over ten.
    while started.elapsed() < Duration::from_secs(60) && proxy.open_descriptors() > descriptors {
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let (over, left) = (started.elapsed(), proxy.open_descriptors().saturating_sub(descriptors));
    let ended = Slowness::ALL.map(|kind| (kind, slow.ended(kind)));
    let ratio = with.quantile(0.99).as_secs_f64() / without.quantile(0.99).as_secs_f64();
    tell(format_args!("{} slow clients, ended by {over:.1?}: {ended:?}; {left} descriptors left", 3 * each));
    tell(format_args!("without: {without}"));
    tell(format_args!("as they come: {arriving}"));
    tell(format_args!("with:    {with}; p99 {ratio:.2} x"));
    tell(format_args!(
        "memory before {:.1} MiB, during {:.1} MiB, at the most {:.1} MiB",
        mebibytes(before),
        mebibytes(during),
        mebibytes(proxy.peak_memory_bytes())
    ));
    assert_eq!(left, 0, "descriptors of slow clients are left after {over:.1?}");
}

#[test]
#[ignore = "figures: half a minute; 5,000 connects at once, with and without descriptors for them"]
fn figures_of_storms() {
    let clients = wanted("CLIENTS", 5000);
    for descriptors in [256, 20_000] {
        let origin = FaultyOrigin::start("a");
        let proxy = Proxy::start_with_descriptors(&routed(&[origin.addr()], &[QUICK_TO_CLOSE]), descriptors);
        let before = proxy.open_descriptors();
        let started = Instant::now();
        let answers = storm(&proxy, clients, 8);
        let took = started.elapsed();
        expect_only(&proxy, before);
        let after = Load::of("after", 5000).run(proxy.addr());
        after.expect_no_failures("the storm was over");
        tell(format_args!(
            "{clients} connects at once with {descriptors} descriptors: {answers:?} in {took:.1?}; VmHWM {:.1} MiB; \
             afterwards {after}",
            mebibytes(proxy.peak_memory_bytes())
        ));
    }
}

/// Bodies of `BODY_MIB` (1024 by default) over 200 connections at once, discarded by the upstream.
#[test]
#[ignore = "figures: minutes; 1 GiB up on each of 200 connections"]
fn figures_of_large_bodies() {
    const CONNECTIONS: usize = 200;
    let length = (wanted("BODY_MIB", 1024) as u64) << 20;
    let sink = Scripted::bind().serve(|mut wire| {
        while let Ok(got) = wire.try_request_head() {
            let mut seen = 0;
            if wire.body_into(got.framing, &mut |piece| seen += piece.len()).is_err() {
                return;
            }
            drop(wire.try_send(request::ok(&seen.to_string())));
        }
    });
    let proxy = Proxy::start(&routed(&[sink.addr()], &[]));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut wire = Wire::connect(proxy.addr());
                wire.send(request::with("POST", "/", &[("content-length", &length.to_string())], b""));
                wire.try_send_pattern(length).unwrap();
                assert_eq!(wire.response().text(), length.to_string());
            });
        }
    });
    let took = started.elapsed();
    let peak = proxy.peak_memory_bytes();
    tell(format_args!(
        "{CONNECTIONS} bodies of {:.0} MiB at once in {took:.1?} ({:.0} MiB/s); VmHWM {:.1} MiB",
        mebibytes(length),
        mebibytes(length) * CONNECTIONS as f64 / took.as_secs_f64(),
        mebibytes(peak)
    ));
    assert!(peak < 128 << 20, "{peak} bytes in use at the peak");
    eventually("the connections are ended", || proxy.open_descriptors() < CONNECTIONS * 2);
}
