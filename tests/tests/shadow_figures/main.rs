//! What copies of every request cost the users whose requests they are copies of, with real processes: the time in which
//! served requests are answered with the shadow at 100 % beside that without it, while the other arm is well, dead, out of
//! reach, slow, trickling, or resets its connections.
//!
//! By hand, on a release build, on an otherwise idle machine, in about seven minutes:
//!
//! ```text
//! cargo build --release
//! CROSSFADE_BIN=$PWD/target/release/crossfade \
//!     cargo test --release -p crossfade-tests --test shadow_figures -- --ignored --nocapture
//! ```
//!
//! The load is open: requests come when they are due, a quarter as many as the proxy could serve, and their time counts from
//! when they were due. One process serves all of it; the shadow is switched on and off every few seconds by a reload, so that
//! whatever else the machine does falls on both alike. `RATE` sets the requests a second, `SLICE_S` the seconds between two
//! switches, `SLICES` how many of each kind there are, and `TARGET` picks those whose name has it. nginx with `mirror` and,
//! where `ENVOY_BIN` says where it is, Envoy with `request_mirror_policies` get the same load in the same run; each slice
//! begins a new one of those. `PEERS` is how many of the two there are.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test that had it")]

mod peers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::Socket;
use test_kit::{
    Asked, Config, Fault, FaultyOrigin, OpenLoad, Peer, Proxy, Scripted, Serving, refusing_address,
};

/// After a switch, what is still under way from before it does not count.
const SETTLING: Duration = Duration::from_millis(700);

#[allow(clippy::print_stdout, reason = "figures are run by hand, to be read")]
fn tell(line: impl std::fmt::Display) {
    println!("{line}");
}

/// A number from the environment, or this.
fn wanted(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// The other arm, and what is wrong with it.
enum Target {
    Nginx(Peer),
    Refusing(SocketAddr, #[allow(dead_code, reason = "keeps the address")] Socket),
    Faulty(FaultyOrigin),
    Scripted(Serving),
}

impl Target {
    const NAMES: [&str; 6] = ["healthy", "dead", "black-holed", "5 s slow", "1 byte a second", "resetting"];

    fn start(name: &str) -> Target {
        let faulty = |fault| {
            let origin = FaultyOrigin::start("new");
            origin.set(fault);
            Target::Faulty(origin)
        };
        match name {
            // It answers as old does: so an arm is that is well.
            "healthy" => Target::Nginx(Peer::nginx("old")),
            "dead" => {
                let (addr, held) = refusing_address();
                Target::Refusing(addr, held)
            }
            "black-holed" => faulty(Fault::Unreachable),
            "5 s slow" => faulty(Fault::Slow(Duration::from_secs(5))),
            "1 byte a second" => Target::Scripted(Scripted::bind().serve(|mut wire| {
                while wire.try_request().is_ok() {
                    for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n" {
                        if wire.try_send([*byte]).is_err() {
                            return;
                        }
                        std::thread::park_timeout(Duration::from_secs(1));
                    }
                }
            })),
            _ => Target::Scripted(Scripted::bind().serve(|mut wire| {
                drop(wire.try_request());
                wire.reset();
            })),
        }
    }

    fn addr(&self) -> SocketAddr {
        match self {
            Target::Nginx(peer) => peer.addr(),
            Target::Refusing(addr, _) => *addr,
            Target::Faulty(origin) => origin.addr(),
            Target::Scripted(serving) => serving.addr(),
        }
    }
}

fn config(old: SocketAddr, new: SocketAddr, copies: bool) -> Config {
    let config = Config::pair(old, new).workers(2).migration("phase = \"shadow\"");
    if copies {
        config.section("[migration.shop.shadow]\nper_second = 1000000\nholdout = 0")
    } else {
        config.migration("shadow = false")
    }
}

/// How many requests a second this load gets through the proxy without a shadow when far more of them are due.
fn saturation(proxy: &Proxy) -> u32 {
    let load = OpenLoad::start("u", 1_000_000, proxy.addr());
    load.go_on_for(10_000);
    let (before, since) = (load.sent(), Instant::now());
    load.go_on_for(100_000);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate, far below 2^32")]
    let rate = ((load.sent() - before) as f64 / since.elapsed().as_secs_f64()) as u32;
    assert_eq!(load.stop().iter().filter(|asked| asked.failed()).count(), 0, "users were failed");
    rate
}

/// The times that users waited, and how many were failed.
#[derive(Default)]
pub(crate) struct Seen {
    waited: Vec<Duration>,
    failed: usize,
}

impl Seen {
    pub(crate) fn take(&mut self, asked: &Asked) {
        self.waited.push(asked.waited());
        self.failed += usize::from(asked.failed());
    }

    fn quantile(&mut self, share: f64) -> f64 {
        self.waited.sort_unstable();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of the list")]
        let rank = (self.waited.len() as f64 * share).ceil() as usize;
        self.waited.get(rank.saturating_sub(1)).map_or(f64::NAN, Duration::as_secs_f64)
    }
}

/// What became of copies, by reason.
fn classes(proxy: &Proxy) -> BTreeMap<String, f64> {
    let metrics = proxy.metrics();
    let mut all: BTreeMap<String, f64> = metrics
        .label_values("crossfade_shadow_dropped_total", "reason")
        .into_iter()
        .map(|why| (why.to_owned(), metrics.count("crossfade_shadow_dropped_total", &[("reason", why)])))
        .collect();
    all.insert("pairs".to_owned(), metrics.count("crossfade_shadow_pairs_total", &[]));
    all
}

/// How many slices of each kind there are, and how many seconds each lasts.
fn slices() -> [u32; 2] {
    [wanted("SLICES", 6), wanted("SLICE_S", 4)]
}

/// One row of the table.
fn row(who: &str, name: &str, [mut without, mut with]: [Seen; 2], rest: &str) -> String {
    let [p50, p99] = [0.5, 0.99].map(|share| (without.quantile(share), with.quantile(share)));
    format!(
        "| {name} | {who} | {} | {:.0} / {:.0} us, {:.2} | {:.0} / {:.0} us, {:.2} | {} / {} | {rest} |",
        with.waited.len(),
        p50.1 * 1e6,
        p50.0 * 1e6,
        p50.1 / p50.0,
        p99.1 * 1e6,
        p99.0 * 1e6,
        p99.1 / p99.0,
        with.failed,
        without.failed,
    )
}

fn run(old: &Peer, name: &str, rate: u32) -> String {
    let [slices, slice_s] = slices();
    let slice = Duration::from_secs(u64::from(slice_s));
    let target = Target::start(name);
    let configs = [false, true].map(|copies| config(old.addr(), target.addr(), copies));
    let proxy = Proxy::start(&configs[0]);
    let load = OpenLoad::start("u", rate, proxy.addr());
    load.go_on_for(u64::from(rate));
    let mut spans: Vec<(bool, Instant, Instant)> = Vec::new();
    let mut memory = [0; 2];
    for at in 0..2 * slices {
        // On, off, off, on: so that a drift falls on both alike.
        let copies = matches!(at % 4, 0 | 3);
        let outcome = proxy.reload(&configs[usize::from(copies)]);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        let begins = Instant::now() + SETTLING;
        let slice_ms = u64::try_from((slice + SETTLING).as_millis()).unwrap();
        load.go_on_for(u64::from(rate) * slice_ms / 1000);
        spans.push((copies, begins, Instant::now()));
        let now = &mut memory[usize::from(copies)];
        *now = proxy.memory_bytes().max(*now);
    }
    let mut seen: [Seen; 2] = Default::default();
    for asked in load.stop() {
        let span = spans.iter().find(|(_, from, to)| asked.due >= *from && asked.due < *to);
        if let Some((copies, ..)) = span {
            seen[usize::from(*copies)].take(&asked);
        }
    }
    let mebibytes = memory.map(|bytes| bytes as f64 / f64::from(1 << 20));
    let copied = classes(&proxy).into_iter().filter(|(_, count)| *count > 0.5);
    let copied: Vec<String> = copied.map(|(why, count)| format!("{why} {count}")).collect();
    assert_eq!(seen.each_ref().map(|seen| seen.failed), [0, 0], "{name}: users were failed");
    let rest = format!("{:.1} / {:.1} MiB; {}", mebibytes[1], mebibytes[0], copied.join(", "));
    row("crossfade", name, seen, &rest)
}

#[test]
#[ignore = "figures: seven minutes, on an idle machine"]
fn served_requests_with_and_without_copies() {
    let old = Peer::nginx("old");
    let named = std::env::var("TARGET").unwrap_or_default();
    let unused = refusing_address();
    let most = saturation(&Proxy::start(&config(old.addr(), unused.0, false)));
    let rate = wanted("RATE", most / 4);
    tell(format_args!("at the most {most} requests a second; the load is {rate}"));
    tell(
        "| target | proxy | requests | p50 with / without, ratio | p99 with / without, ratio | failed | memory; copies |",
    );
    tell("|---|---|---|---|---|---|---|");
    for name in Target::NAMES.iter().filter(|name| name.contains(&named)) {
        tell(run(&old, name, rate));
        for kind in peers::Kind::ALL.into_iter().take(wanted("PEERS", 2) as usize) {
            let Some(program) = kind.program() else { continue };
            let target = Target::start(name);
            let seen = peers::run(kind, &program, old.addr(), target.addr(), rate, slices());
            tell(row(kind.name(), name, seen, ""));
        }
    }
}
