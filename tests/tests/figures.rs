//! The promises in large numbers. They take minutes, so they run by hand, on a release build:
//!
//! ```text
//! cargo build --release
//! CROSSFADE_BIN=$PWD/target/release/crossfade \
//!     cargo test --release -p crossfade-tests --test figures -- --ignored --nocapture --test-threads 1
//! ```
//!
//! nginx, wrk, h2load and curl come from Debian's packages; `tests/run` installs them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test that had it")]

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use test_kit::{Config, Origin, Outcome, Peer, Proxy, Wire, installed, pattern, request};
use xxhash_rust::xxh3::xxh3_64;

/// Whether new serves this user: the documented function, computed apart from the proxy.
fn is_new(user: &str, percent: f64) -> bool {
    let hash = xxh3_64(&[&b"shop\0"[..], user.as_bytes()].concat());
    // Percentages here have at most three decimals, which millionths hold exactly.
    let millionths = format!("{:.0}", percent * 1e6).parse::<u128>().unwrap();
    u128::from(hash) * 100_000_000 < millionths << 64
}

fn program(name: &str) -> Command {
    Command::new(installed(name).unwrap_or_else(|| panic!("{name} is not installed; tests/run installs it")))
}

#[allow(clippy::print_stdout, reason = "figures are run by hand, to be read")]
fn tell(line: impl std::fmt::Display) {
    println!("figure: {line}");
}

#[test]
#[ignore = "a minute: 100,000 requests of 10,000 users through two nginx; run with --ignored"]
fn a_hundred_thousand_requests() {
    const USERS: usize = 10_000;
    const THREADS: usize = 4;
    let (old, new) = (Peer::nginx("old"), Peer::nginx("new"));
    let config = Config::pair(old.addr(), new.addr()).percent("37.5").workers(2);
    let proxy = Proxy::start(&config);
    let started = Instant::now();
    let arms: Vec<HashMap<String, String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let proxy = &proxy;
                scope.spawn(move || {
                    let mut wires: Vec<Wire> = (0..8).map(|_| proxy.connect()).collect();
                    let mut arms = HashMap::new();
                    for n in (thread..10 * USERS).step_by(THREADS) {
                        let user = format!("user-{}@example.com", n * 7919 % USERS);
                        let answer = wires[n % 8].exchange(request::get_as(&format!("/{n}"), &user));
                        assert_eq!(answer.status, 200);
                        let arm = answer.fields.get("x-origin").unwrap().to_owned();
                        let before = arms.insert(user.clone(), arm.clone());
                        assert!(before.is_none_or(|before| before == arm), "{user} was on both arms");
                    }
                    arms
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let took = started.elapsed();
    let mut all: HashMap<String, String> = HashMap::new();
    for (user, arm) in arms.into_iter().flatten() {
        let before = all.insert(user.clone(), arm.clone());
        assert!(before.is_none_or(|before| before == arm), "{user} was on both arms");
    }
    assert_eq!(all.len(), USERS);
    let on_new = all.values().filter(|arm| *arm == "new").count();
    let (mean, deviation) = (0.375 * USERS as f64, (USERS as f64 * 0.375 * 0.625).sqrt());
    assert!(
        (on_new as f64 - mean).abs() < 3.0 * deviation,
        "{on_new} users on new, {mean} ± {deviation:.1} expected"
    );

    let mut admin = Wire::connect(proxy.admin());
    for (user, arm) in &all {
        let target = format!("/api/v1/migrations/shop/where?key={}", user.replace('@', "%40"));
        let ask = format!("GET {target} HTTP/1.1\r\nhost: {}\r\n\r\n", proxy.admin());
        let told = admin.exchange(ask);
        assert_eq!(told.json()["arm"], arm.as_str(), "{user}");
        assert_eq!(is_new(user, 37.5), arm == "new", "{user}");
        if told.says_close() {
            admin = Wire::connect(proxy.admin());
        }
    }
    tell(format_args!(
        "100,000 requests in {took:.1?}: {on_new} of {USERS} users on new at 37.5 % ({mean} ± {deviation:.1}), \
         each on one arm only, each as `where` says"
    ));
}

/// wrk, started on the proxy, with ids of users in its requests.
fn wrk(dir: &TempDir, proxy: &Proxy, seconds: u64) -> Child {
    let script = dir.path().join("users.lua");
    let mut text = String::from("local n = 0\nrequest = function()\n  n = n + 1\n");
    writeln!(text, "  wrk.headers['x-user-id'] = 'wrk-' .. (n % 5000)\n  return wrk.format('GET', '/')\nend")
        .unwrap();
    fs::write(&script, text).unwrap();
    program("wrk")
        .args(["-t", "2", "-c", "64", "-d", &format!("{seconds}s"), "-s"])
        .arg(script)
        .arg(format!("http://{}/", proxy.addr()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "a minute: 300 reloads in 30 s under 64 busy connections; run with --ignored"]
fn three_hundred_reloads_under_load() {
    const RELOADS: u64 = 300;
    let (old, new) = (Peer::nginx("old"), Peer::nginx("new"));
    let config = Config::pair(old.addr(), new.addr()).workers(2);
    let percent = |reload: u64| (reload * 37 % 1000) as f64 / 10.0;
    let proxy = Proxy::start(&config);
    let dir = TempDir::new().unwrap();
    let load = wrk(&dir, &proxy, 32);

    // What may be in force: the reload that is done, and the one that is under way.
    let (done, begun) = (AtomicU64::new(0), AtomicU64::new(0));
    let stop = AtomicBool::new(false);
    let started = Instant::now();
    let checked: u64 = std::thread::scope(|scope| {
        let checkers: Vec<_> = (0..2)
            .map(|checker| {
                let (proxy, done, begun, stop) = (&proxy, &done, &begun, &stop);
                scope.spawn(move || {
                    let mut wire = proxy.connect();
                    let mut checked = 0;
                    while !stop.load(Ordering::SeqCst) {
                        let user = format!("checked-{checker}-{}", checked % 500);
                        let first = done.load(Ordering::SeqCst);
                        wire.send(request::get_as("/", &user));
                        let answer = wire.try_response().unwrap_or_else(|e| panic!("request {checked}: {e}"));
                        let last = begun.load(Ordering::SeqCst);
                        assert_eq!(answer.status, 200);
                        assert!(!answer.says_close());
                        let on_new = answer.fields.get("x-origin") == Some("new");
                        let right = (first..=last).any(|reload| is_new(&user, percent(reload)) == on_new);
                        assert!(
                            right,
                            "{user} was on new: {on_new}, with percentages {first}..={last} in force"
                        );
                        checked += 1;
                    }
                    checked
                })
            })
            .collect();
        for reload in 1..=RELOADS {
            begun.store(reload, Ordering::SeqCst);
            proxy.rewrite(config.clone().percent(percent(reload)));
            let answer = proxy.admin_post("/api/v1/reload", &serde_json::json!({}));
            assert_eq!(answer.status, 200, "{}", answer.text());
            done.store(reload, Ordering::SeqCst);
            let due = started + Duration::from_millis(100 * reload);
            std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
        }
        stop.store(true, Ordering::SeqCst);
        checkers.into_iter().map(|checker| checker.join().unwrap()).sum()
    });
    let took = started.elapsed();
    let output = load.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
    let requests = said.lines().find(|line| line.contains("requests in")).unwrap_or_default().trim();
    tell(format_args!(
        "{RELOADS} reloads in {took:.1?}: wrk on 64 connections had no error ({requests}); {checked} checked requests, \
         none failed, none on the wrong arm"
    ));
}

#[test]
#[ignore = "a minute: 2 GiB up and 2 GiB down at once; run with --ignored"]
fn two_gibibytes_each_way() {
    const LEN: u64 = 2 << 30;
    let origin = Origin::start("old");
    let proxy = Proxy::start(&Config::single(origin.addr()).workers(2));
    let started = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = proxy.connect();
            client.send(request::with("POST", "/check", &[("content-length", &LEN.to_string())], b""));
            client.try_send_pattern(LEN).unwrap();
            let told = client.response().json();
            assert_eq!(told, serde_json::json!({ "seen": LEN, "wrong_at": null }));
        });
        scope.spawn(|| {
            let mut client = proxy.connect();
            client.send(request::get(&format!("/chunks/{LEN}")));
            let head = client.response_head();
            let mut check = pattern::Check::default();
            client.body_into(head.framing, &mut |piece| check.take(piece)).unwrap();
            assert!(check.is_whole(LEN), "{check:?}");
        });
    });
    let peak = proxy.peak_memory_bytes();
    assert!(peak < 64 << 20, "{peak} bytes in use at the peak");
    tell(format_args!(
        "2 GiB up and 2 GiB down at once in {:.1?}, byte for byte; VmHWM {:.1} MiB",
        started.elapsed(),
        peak as f64 / f64::from(1 << 20)
    ));
}

#[test]
#[ignore = "half a minute: curl, wrk and h2load in front of nginx; run with --ignored"]
fn other_peoples_clients() {
    let (old, new) = (Peer::nginx("old"), Peer::nginx("new"));
    let proxy = Arc::new(Proxy::start(&Config::pair(old.addr(), new.addr()).percent(50).workers(2)));
    let url = format!("http://{}/", proxy.addr());

    let fetched = Outcome::of(program("curl").args(["-sS", "--fail", "-H", "x-user-id: ann", &url, &url]));
    assert!(fetched.code == 0 && matches!(fetched.stdout.as_str(), "oldold" | "newnew"), "{fetched:?}");
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("upload");
    fs::write(&file, pattern::bytes(5 << 20)).unwrap();
    for version in ["--http1.0", "--http1.1"] {
        let mut put = program("curl");
        put.args(["-sS", version, "-o", "/dev/null", "-w", "%{http_code}", "-T"]).arg(&file).arg(&url);
        let put = Outcome::of(&mut put);
        assert!(put.code == 0 && matches!(put.stdout.as_str(), "200" | "413"), "{version}: {put:?}");
    }

    let output = wrk(&dir, &proxy, 5).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && !said.contains("Socket errors") && !said.contains("Non-2xx"),
        "{said}"
    );
    tell(said.lines().find(|line| line.contains("Requests/sec")).unwrap_or_default().trim());

    let ran = Outcome::of(program("h2load").args(["--h1", "-n", "50000", "-c", "32", "-m", "1", &url]));
    assert!(
        ran.code == 0 && ran.stdout.contains("50000 succeeded, 0 failed, 0 errored, 0 timeout"),
        "{ran:?}"
    );
    tell(ran.stdout.lines().find(|line| line.starts_with("finished in")).unwrap_or_default());
}
