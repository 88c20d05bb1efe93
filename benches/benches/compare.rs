//! Comparisons per second and core through the whole comparer: queue, decoding, comparing, noise, groups, samples.
//!
//! `cargo bench -p crossfade-benches --bench compare [-- PART OF A NAME]`. Each line is one kind of pair; what is divided by is the time that the
//! comparing thread has used of a processor, by its own clock, so that a busy machine changes little.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config_file::Checked;
use route_plan::{Asked, Captured, CapturedBody, Compares, FieldLines, Pair};
use shadow_compare::Comparer;
use telemetry::Telemetry;
use traffic_split::Arm;

/// How long each kind is compared for, in time of the processor.
const LONG: Duration = Duration::from_secs(3);

const CONFIG: &str = r#"
[[listener]]
listen = "127.0.0.1:0"
[proxy]
compare_cpu = "100%"
[upstream.old]
endpoints = ["http://127.0.0.1:1"]
[upstream.new]
endpoints = ["http://127.0.0.1:2"]
[migration.shop]
match = [{ path = "/*" }]
old = "old"
new = "new"
phase = "shadow"
[migration.shop.shadow]
ignore = ["$.meta.generated_at"]
redact = ["$.items[*].card"]
"#;

fn checked() -> Checked {
    let outcome = config_file::parse(CONFIG, "bench.toml", &|_| None, &config_file::NoFiles);
    outcome.checked.expect("the configuration above is right")
}

/// A list of orders of about this many bytes; every `wrong`th has another price.
fn body(bytes: usize, number: usize, wrong: usize) -> String {
    let mut out = format!(r#"{{"meta":{{"generated_at":"t{number}","page":1}},"items":["#);
    let mut item = 0;
    while out.len() < bytes {
        let price = if wrong > 0 && item % wrong == 0 { 99.5 } else { 9.5 };
        let comma = if item > 0 { "," } else { "" };
        let _ = write!(
            out,
            r#"{comma}{{"id":{item},"sku":"A-{item:05}","price":{price},"tags":["red","new"],"stock":{{"left":{item},"at":"north"}},"note":null}}"#
        );
        item += 1;
    }
    out.push_str("]}");
    out
}

fn captured(body: &str) -> Captured {
    let mut headers = FieldLines::new();
    for (name, value) in [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("date", "Thu, 26 Nov 2026 08:00:00 GMT"),
        ("server", "nginx"),
        ("x-request-id", "0f3b2a1c"),
        ("etag", "\"17\""),
    ] {
        headers.push(name.as_bytes(), value.as_bytes());
    }
    let body = CapturedBody::Whole(body.as_bytes().to_vec());
    Captured { status: 200, headers, trailers: FieldLines::new(), body, to_head_us: 900 }
}

fn pair(old: &str, new: &str, number: usize) -> Pair {
    Pair {
        asked: Asked {
            migration: Arc::from("shop"),
            served: Arm::Old,
            method: Box::from(&b"GET"[..]),
            host: Box::from(&b"shop.example.com"[..]),
            target: format!("/orders/{number}?page=1").into_bytes().into(),
            fields: FieldLines::new(),
            content: Box::default(),
            request_id: Box::from(&b"r-1"[..]),
            key: 7,
            at_ms: 1_700_000_000_000,
        },
        answers: [captured(old), captured(new)],
        again: None,
    }
}

fn run(name: &str, bytes: usize, wrong: usize) {
    let mut wanted = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    if wanted.next().is_some_and(|part| !name.contains(&part)) {
        return;
    }
    let telemetry = Telemetry::new(1);
    let comparer = Comparer::start(None, telemetry.clone()).expect("a thread can be started");
    comparer.follow(&checked());
    let (old, new) = (body(bytes, 1, 0), body(bytes, 2, wrong));
    let totals = || {
        let totals = telemetry.comparisons("shop").totals();
        (totals.judged() + totals.noise + totals.race, totals.mismatched)
    };
    let (began, mut number) = (Instant::now(), 0);
    while comparer.used() < LONG {
        if comparer.take(Box::new(pair(&old, &new, number % 5_000))).is_err() {
            std::thread::park_timeout(Duration::from_micros(500));
        }
        number += 1;
    }
    let ((compared, mismatched), used) = (totals(), comparer.used());
    let (per_second, each_us) =
        (compared as f64 / used.as_secs_f64(), used.as_secs_f64() * 1e6 / compared.max(1) as f64);
    #[allow(clippy::print_stdout, reason = "a benchmark tells its figures")]
    {
        println!(
            "{name:<28} {:>7} bytes  {per_second:>9.0} /s and core  {each_us:>8.1} us  {:>7.1} MB/s of both sides  ({mismatched} of {compared} mismatched, {:.1} s)",
            old.len(),
            per_second * (old.len() + new.len()) as f64 / 1e6,
            began.elapsed().as_secs_f64()
        );
    }
    comparer.stop();
}

fn main() {
    for (bytes, word) in [(2 << 10, "2 KiB"), (64 << 10, "64 KiB")] {
        run(&format!("JSON of {word}, the same"), bytes, 0);
        run(&format!("JSON of {word}, one differs"), bytes, usize::MAX);
        run(&format!("JSON of {word}, all differ"), bytes, 1);
    }
}
