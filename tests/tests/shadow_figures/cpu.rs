//! What a request costs in processor time with copies of none, a tenth and all of the requests.
//!
//! At the same open load, since at saturation crossfade copies next to nothing: users come first there. Processor time is the
//! scheduler's own count of nanoseconds (`/proc/PID/task/TID/schedstat`) for all threads, over the requests answered meanwhile;
//! on loopback a sender's time has the receiver's half of TCP in it, for all proxies alike. How many copies were made is
//! what the other arm's nginx says it answered. One worker each; rounds are interleaved.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;

use test_kit::{Config, OpenLoad, Peer, Proxy};

use crate::peers::{Kind, Running};
use crate::{SETTLING, requests_in, slices, tell, wanted};

/// Shares of the requests that are copied, in per cent.
const SHARES: [u32; 3] = [0, 10, 100];

/// What was used, summed over rounds.
#[derive(Default)]
struct Used {
    requests: u64,
    copies: u64,
    /// By what the thread is for, in nanoseconds.
    by: BTreeMap<String, u64>,
    /// Microseconds a request in each round, by all threads.
    rounds: Vec<f64>,
}

/// Processor time of the threads, in nanoseconds, by their names without the numbers.
fn processor_time(pid: u32) -> BTreeMap<String, u64> {
    let mut by = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
        let read = |name: &str| fs::read_to_string(task.path().join(name));
        let (Ok(name), Ok(times)) = (read("comm"), read("schedstat")) else { continue };
        let ns: u64 = times.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
        let name = name.trim().trim_end_matches(|letter: char| letter == '-' || letter.is_ascii_digit());
        *by.entry(name.to_owned()).or_default() += ns;
    }
    by
}

/// What is at work: its process, and where it listens.
type Place = (u32, SocketAddr);

fn one_round(used: &mut Used, (pid, addr): Place, target: &Peer, rate: u32) {
    let load = OpenLoad::start("u", rate, addr);
    load.go_on_for(requests_in(rate, SETTLING));
    let (before, answered, sent) = (processor_time(pid), target.answered(), load.sent());
    load.go_on_for(requests_in(rate, slices().1 * 2));
    let (after, requests) = (processor_time(pid), load.sent() - sent);
    used.copies += target.answered() - answered;
    assert_eq!(load.stop().iter().filter(|asked| asked.failed()).count(), 0, "users were failed");
    used.requests += requests;
    let mut all = 0;
    for (name, ns) in after {
        let ns = ns - before.get(&name).copied().unwrap_or(0);
        *used.by.entry(name).or_default() += ns;
        all += ns;
    }
    used.rounds.push(all as f64 / 1000.0 / requests as f64);
}

fn config(old: SocketAddr, new: SocketAddr, percent: u32) -> Config {
    let config = Config::pair(old, new).workers(1).migration("phase = \"shadow\"");
    if percent == 0 {
        return config.migration("shadow = false");
    }
    config.section(format!("[migration.shop.shadow]\npercent = {percent}\nper_second = 1000000\nholdout = 0"))
}

fn row(who: &str, percent: u32, mut used: Used) -> String {
    let each = |ns: u64| ns as f64 / 1000.0 / used.requests as f64;
    used.rounds.sort_unstable_by(f64::total_cmp);
    let [least, most] = [used.rounds.first(), used.rounds.last()].map(|us| us.copied().unwrap_or(f64::NAN));
    let middle = used.rounds.get(used.rounds.len() / 2).copied().unwrap_or(f64::NAN);
    let threads: Vec<String> = used
        .by
        .iter()
        .filter(|(_, ns)| each(**ns) >= 0.05)
        .map(|(name, ns)| format!("{name} {:.1}", each(*ns)))
        .collect();
    format!(
        "| {who} | {percent} % | {middle:.1} ({least:.1}-{most:.1}) | {} | {:.3} |",
        threads.join(", "),
        used.copies as f64 / used.requests as f64
    )
}

#[test]
#[ignore = "figures: four minutes with both peers, on an idle machine"]
fn processor_time_of_a_request_with_and_without_copies() {
    let (old, new) = (Peer::nginx("old"), Peer::nginx("old"));
    let rate = wanted("RATE", 5000);
    let mut used: BTreeMap<(&str, u32), Used> = BTreeMap::new();
    for _ in 0..wanted("ROUNDS", 5) {
        for percent in SHARES {
            let proxy = Proxy::start(&config(old.addr(), new.addr(), percent));
            one_round(
                used.entry(("crossfade", percent)).or_default(),
                (proxy.pid(), proxy.addr()),
                &new,
                rate,
            );
            for kind in Kind::ALL.into_iter().take(wanted("PEERS", 2) as usize) {
                let Some(program) = kind.program() else { continue };
                let running = Running::start(kind, &program, [old.addr(), new.addr()], percent);
                one_round(
                    used.entry((kind.name(), percent)).or_default(),
                    (running.pid(), running.addr()),
                    &new,
                    rate,
                );
            }
        }
    }
    tell(format_args!(
        "{rate} requests a second, open loop; us of processor time a request, median (least-most) of rounds"
    ));
    tell("| proxy | copied | all threads | by thread, mean | copies a request |");
    tell("|---|---|---|---|---|");
    for ((who, percent), used) in used {
        tell(row(who, percent, used));
    }
}
