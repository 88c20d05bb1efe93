//! What copies of every request cost the users whose requests they are copies of, with real processes: the time in which
//! served requests are answered with the shadow at 100 % beside that without it, while the other arm is well, dead, out of
//! reach, slow, trickling, or resets its connections.
//!
//! By hand, on a release build, on an otherwise idle machine:
//!
//! ```text
//! cargo build --release
//! CROSSFADE_BIN=$PWD/target/release/crossfade cargo test --release -p crossfade-tests --test shadow_figures -- \
//!     --ignored --nocapture --test-threads 1
//! ```
//!
//! The load is open: requests come when they are due, a quarter as many as it could get through the proxy, and their time
//! counts from when they were due. One process serves all of it; the shadow is switched on and off every two seconds by a
//! reload, so that whatever else the machine does falls on both alike, and each slice with copies is held against the one
//! beside it. Where it may (as root), the load and the serving arm go before all others, and the other arm's nginx always behind
//! them: each stands for another machine, and it is the proxy that is measured.
//!
//! `RATE` sets the requests a second, `SLICE_MS` how long a slice lasts, `SLICES` how many of each kind there are, and
//! `TARGET` picks those whose name has it. nginx with `mirror` and, where `ENVOY_BIN` says where it is, Envoy with
//! `request_mirror_policies` get the same load in the same run; each slice begins a new one of those. `PEERS` is how many of
//! the two there are.
//!
//! Beside a target that is well, the same number of requests goes to it from a thread of the load's, with the priority of a
//! lane, while the proxy copies nothing: what that does to users is the machine's doing, and no proxy's.
//!
//! The other table is the processor time of a served request with copies of none, a tenth and all of them (`cpu.rs`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test that had it")]

mod cpu;
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
            // It answers as old does: so an arm is that is well. What it costs is not the proxy's doing.
            "healthy" => {
                let peer = Peer::nginx("old");
                peer.set_nice(19);
                Target::Nginx(peer)
            }
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

/// The times that users waited in one slice, and how many were failed.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    waited: Vec<Duration>,
    failed: usize,
}

impl Seen {
    pub(crate) fn take(&mut self, asked: &Asked) {
        self.waited.push(asked.waited());
        self.failed += usize::from(asked.failed());
    }

    fn join(mut self, other: Seen) -> Seen {
        self.waited.extend(other.waited);
        Seen { waited: self.waited, failed: self.failed + other.failed }
    }

    fn quantile(&mut self, share: f64) -> f64 {
        self.waited.sort_unstable();
        at_share(&self.waited, share).map_or(f64::NAN, |waited| waited.as_secs_f64() * 1e6)
    }
}

/// The value below which this share of the sorted ones is.
fn at_share<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of the list")]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The median of the sorted ones, between the ends of its 95 % confidence interval: as many as fall on one side of it are
/// binomial with p = 1/2, whatever the values' own distribution is (the sign test turned round; here by the normal
/// approximation).
fn median(sorted: &[f64]) -> [f64; 3] {
    let count = sorted.len() as f64;
    let aside = if sorted.is_empty() { 0.0 } else { 0.98 / count.sqrt() };
    [0.5 - aside, 0.5, 0.5 + aside].map(|share| at_share(sorted, share.clamp(0.0, 1.0)).unwrap_or(f64::NAN))
}

/// Two slices that followed each other: without copies, with copies.
pub(crate) type Turn = [Seen; 2];

/// Whether there are copies in this slice: off, on, on, off, so that a drift falls on both alike.
pub(crate) fn copies_in(slice: u32) -> bool {
    matches!(slice % 4, 1 | 2)
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

/// How many slices of each kind there are, and how long each lasts.
fn slices() -> (u32, Duration) {
    (wanted("SLICES", 12), Duration::from_millis(u64::from(wanted("SLICE_MS", 1500))))
}

/// One row of the table: of all slices together, and how the two of each turn compare.
fn row(who: &str, name: &str, turns: &[Turn], rest: &str) -> String {
    let quantiles = |share: f64| {
        let mut ratios: Vec<f64> = Vec::new();
        let mut all: Turn = Default::default();
        for mut turn in turns.iter().cloned() {
            ratios.push(turn[1].quantile(share) / turn[0].quantile(share));
            all = std::iter::zip(all, turn)
                .map(|(all, one)| all.join(one))
                .collect::<Vec<_>>()
                .try_into()
                .unwrap_or_default();
        }
        ratios.sort_unstable_by(f64::total_cmp);
        let [low, middle, high] = median(&ratios);
        let [without, with] = &mut all;
        let [without, with] = [without, with].map(|seen| seen.quantile(share));
        format!("{with:.0} / {without:.0} us; {middle:.2} ({low:.2}-{high:.2})")
    };
    let [p50, p99] = [0.5, 0.99].map(quantiles);
    let failed = [1, 0].map(|at| turns.iter().map(|turn| turn[at].failed).sum::<usize>());
    let requests: usize = turns.iter().map(|turn| turn[1].waited.len()).sum();
    format!("| {name} | {who} | {requests} | {p50} | {p99} | {} / {} | {rest} |", failed[0], failed[1])
}

/// Who sends the copies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    Proxy,
    /// A load of its own, past the proxy.
    Apart,
}

impl Sender {
    /// The nice value of a lane.
    const NICE: i32 = 10;

    const fn name(self) -> &'static str {
        match self {
            Sender::Proxy => "crossfade",
            Sender::Apart => "crossfade, which copies nothing; the same load past it",
        }
    }
}

fn run(old: &Peer, name: &str, rate: u32, sender: Sender) -> String {
    let (slices, slice) = slices();
    let target = Target::start(name);
    let configs =
        [false, true].map(|copies| config(old.addr(), target.addr(), copies && sender == Sender::Proxy));
    let proxy = Proxy::start(&configs[0]);
    let load = OpenLoad::start("u", rate, proxy.addr());
    load.go_on_for(u64::from(rate));
    let mut spans: Vec<[Option<(Instant, Instant)>; 2]> = Vec::new();
    let mut memory = [0; 2];
    for at in 0..2 * slices {
        let copies = usize::from(copies_in(at));
        let outcome = proxy.reload(&configs[copies]);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        let apart = (copies == 1 && sender == Sender::Apart)
            .then(|| OpenLoad::start_at(Sender::NICE, "c", rate, target.addr()));
        let begins = Instant::now() + SETTLING;
        load.go_on_for(requests_in(rate, SETTLING + slice));
        if at % 2 == 0 {
            spans.push([None; 2]);
        }
        if let Some(turn) = spans.last_mut() {
            turn[copies] = Some((begins, Instant::now()));
        }
        drop(apart);
        memory[copies] = proxy.memory_bytes().max(memory[copies]);
    }
    let asked = load.stop();
    let turns: Vec<Turn> = spans.iter().map(|turn| turn.map(|span| between(&asked, span))).collect();
    let mebibytes = memory.map(|bytes| bytes as f64 / f64::from(1 << 20));
    let copied = classes(&proxy).into_iter().filter(|(_, count)| *count > 0.5);
    let copied: Vec<String> = copied.map(|(why, count)| format!("{why} {count}")).collect();
    assert!(turns.iter().flatten().all(|seen| seen.failed == 0), "{name}: users were failed");
    let rest = format!("{:.1} / {:.1} MiB; {}", mebibytes[1], mebibytes[0], copied.join(", "));
    row(sender.name(), name, &turns, &rest)
}

/// How many requests are due in this time.
pub(crate) fn requests_in(rate: u32, time: Duration) -> u64 {
    u64::from(rate) * u64::try_from(time.as_millis()).unwrap() / 1000
}

/// Those that were due in the span.
pub(crate) fn between(asked: &[Asked], span: Option<(Instant, Instant)>) -> Seen {
    let mut seen = Seen::default();
    let (from, to) = span.expect("each turn has both its slices");
    asked.iter().filter(|asked| asked.due >= from && asked.due < to).for_each(|asked| seen.take(asked));
    seen
}

#[test]
#[ignore = "figures: fifteen minutes with both peers, on an idle machine"]
fn served_requests_with_and_without_copies() {
    let old = Peer::nginx("old");
    old.set_nice(-10);
    let named = std::env::var("TARGET").unwrap_or_default();
    let unused = refusing_address();
    let most = saturation(&Proxy::start(&config(old.addr(), unused.0, false)));
    let rate = wanted("RATE", most / 4);
    tell(format_args!("at the most {most} requests a second; the load is {rate}"));
    tell(
        "p50 and p99 are with / without copies; then the ratios of slices that follow each other: median (95 % confidence)",
    );
    tell("| target | proxy | requests | p50 | p99 | failed | memory; copies |");
    tell("|---|---|---|---|---|---|---|");
    for name in Target::NAMES.iter().filter(|name| name.contains(&named)) {
        tell(run(&old, name, rate, Sender::Proxy));
        if *name == "healthy" {
            tell(run(&old, name, rate, Sender::Apart));
        }
        for kind in peers::Kind::ALL.into_iter().take(wanted("PEERS", 2) as usize) {
            let Some(program) = kind.program() else { continue };
            let target = Target::start(name);
            let turns = peers::run(kind, &program, [old.addr(), target.addr()], rate, slices());
            tell(row(kind.name(), name, &turns, ""));
        }
    }
}
