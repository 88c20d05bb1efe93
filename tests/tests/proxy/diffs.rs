//! The answers of copies are held against the served ones, and what differs is told so that a person can work from it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;
use test_kit::{Config, Proxy, Request, Scripted, Serving, Wire, before_long, eventually, request};

/// What nobody may find again: a token of a request, one of an answer, a card, and a password in a query.
const SECRETS: [&str; 4] =
    ["planted-bearer-5311", "planted-token-8812", "4111111111111111", "planted-password-77"];

/// An upstream that answers by the target, and says how many copies it got.
struct Shop {
    serving: Serving,
    asked: Arc<AtomicU64>,
    copies: Arc<AtomicU64>,
}

impl Shop {
    fn start(answer: impl Fn(&Request, u64) -> String + Send + Sync + 'static) -> Shop {
        let (asked, copies) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counts = (asked.clone(), copies.clone());
        let serving = Scripted::bind().serve(move |mut wire: Wire| {
            while let Ok(request) = wire.try_request() {
                let number = counts.0.fetch_add(1, Ordering::SeqCst);
                let is_copy = request.fields.has("crossfade-shadow");
                counts.1.fetch_add(u64::from(is_copy), Ordering::SeqCst);
                let body = answer(&request, number);
                let head =
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nset-cookie: sid=planted-token-8812";
                let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                if wire.try_send(answer).is_err() {
                    return;
                }
            }
        });
        Shop { serving, asked, copies }
    }

    fn copies(&self) -> u64 {
        self.copies.load(Ordering::SeqCst)
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

/// What a careless service says of who asked: the token, without a word that tells what it is.
fn caller(request: &Request) -> &str {
    request.fields.get("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default()
}

/// Old: what is right.
fn old_answer(request: &Request, number: u64) -> String {
    let (path, caller) = (request.target.split('?').next().unwrap_or_default(), caller(request));
    match path.split('/').nth(1).unwrap_or_default() {
        "orders" => format!(
            r#"{{"id":"{path}","for":"{caller}","price":9.5,"note":"x","at":"t-old-{number}","card":"4111111111111111","token":"planted-token-8812"}}"#
        ),
        _ => r#"{"same":true}"#.to_owned(),
    }
}

/// New: a price of another type, a note that is missing, and its own clock.
fn new_answer(request: &Request, number: u64) -> String {
    let (path, caller) = (request.target.split('?').next().unwrap_or_default(), caller(request));
    match path.split('/').nth(1).unwrap_or_default() {
        "orders" if path.ends_with('7') => format!(
            r#"{{"id":"{path}","for":"{caller}","price":"9.5","at":"t-new-{number}","card":"4111111111111111","token":"planted-token-8812"}}"#
        ),
        "orders" => old_answer(request, number).replace("t-old", "t-new"),
        _ => r#"{"same":true}"#.to_owned(),
    }
}

fn config(old: &Shop, new: &Shop, state: &Path, more: &str) -> Config {
    Config::pair(old.serving.addr(), new.serving.addr())
        .migration("phase = \"shadow\"")
        .proxy("compare_cpu = \"100%\"")
        .section(format!("[state]\ndir = \"{}\"", state.display()))
        .section(format!(
            "[migration.shop.shadow]\nholdout = 0\nmax_effect = false\nper_second = 100000\nredact = [\"$.card\"]\n{more}"
        ))
}

/// Sends so many requests, one after the other, by target.
fn send(proxy: &Proxy, requests: usize, target: impl Fn(usize) -> String) {
    let mut client = proxy.connect();
    for number in 0..requests {
        let fields = [("authorization", "Bearer planted-bearer-5311")];
        let answer = client.exchange(request::get_with(&target(number), &fields));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// Sends so many of which all become pairs, and waits for their comparison: whoever copies and compares comes last on a
/// busy machine.
fn send_and_wait(proxy: &Proxy, requests: usize, target: impl Fn(usize) -> String) {
    const BATCH: usize = 100;
    // What is counted of requests served is no measure: the last of them may be counted after all of these.
    let look = || {
        let metrics = proxy.metrics();
        let pairs = metrics.count("crossfade_shadow_pairs_total", &[]);
        let accounted = metrics.count("crossfade_shadow_dropped_total", &[]) + pairs;
        (accounted, pairs, metrics.count("crossfade_comparisons_total", &[]))
    };
    let (before, ..) = look();
    for batch in (0..requests).step_by(BATCH) {
        let some = BATCH.min(requests - batch);
        send(proxy, some, |number| target(batch + number));
        let all = before + (batch + some) as f64;
        eventually("all are compared", || {
            let (accounted, pairs, compared) = look();
            // A mismatch that is being asked again comes a second later; few are at once.
            accounted > all - 0.5 && pairs - compared < 20.0
        });
    }
}

fn diffs(proxy: &Proxy, query: &str) -> Value {
    let answer = proxy.admin_get(&format!("/api/v1/migrations/shop/diffs{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn count(found: &Value, class: &str) -> u64 {
    found["comparisons"][class].as_u64().unwrap()
}

/// The groups by place and kind, with how many comparisons each has and whether it is noise.
fn groups(found: &Value) -> HashMap<(String, String), (u64, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let group = |one: &Value| {
        let known = (one["count"].as_u64().unwrap(), text(&one["noise"]["state"]));
        ((text(&one["path"]), text(&one["kind"])), known)
    };
    found["groups"].as_array().unwrap().iter().map(group).collect()
}

/// All that is in files below a directory.
fn all_text(dir: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            text.push_str(&all_text(&entry));
        } else {
            text.push_str(&String::from_utf8_lossy(&fs::read(&entry).unwrap()));
        }
    }
    text
}

fn has_no_secret(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} is in {what}");
    }
}

/// What a person sees of it, without anything secret.
fn is_shown(proxy: &Proxy, sample: u64) {
    let overview = proxy.command(&["diffs", "shop"]);
    assert!(overview.stdout.contains("$.price") && overview.stdout.contains("noise"), "{overview:?}");
    let suggested = proxy.command(&["diffs", "shop", "--suggest"]);
    assert!(suggested.stdout.contains("\"$.at\"") && !suggested.stdout.contains("$.price"), "{suggested:?}");
    let shown = proxy.command(&["diffs", "shop", "--sample", &sample.to_string()]);
    assert!(shown.stdout.contains("GET /orders/") && shown.stdout.contains("\"9.5\""), "{shown:?}");
    let export = proxy.command(&["diffs", "shop", "--export"]);
    let lines: Vec<Value> = export.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_kind = |kind: &str| lines.iter().filter(|line| line["line"] == kind).count();
    assert_eq!((of_kind("summary"), of_kind("group")), (1, 3));
    assert!(of_kind("sample") >= 3, "{export:?}");
    let unknown = proxy.command(&["diffs", "shop", "--sample", "999999"]);
    assert_eq!(unknown.code, 1, "{unknown:?}");
    let unknown = proxy.command(&["diffs", "shop", "--endpoint", "/nowhere"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("has no endpoint `/nowhere`"), "{unknown:?}");
    for outcome in [&overview, &suggested, &shown, &export] {
        assert_eq!(outcome.code, 0, "{outcome:?}");
        has_no_secret("what is shown", &outcome.stdout);
    }
}

#[test]
fn planted_differences_are_found_noise_is_learned_and_secrets_stay_secret() {
    let (old, new, state) = (Shop::start(old_answer), Shop::start(new_answer), TempDir::new().unwrap());
    let mut proxy = Proxy::start(&config(&old, &new, state.path(), ""));
    let compared = |found: &Value| {
        let classes = ["matched", "mismatched", "noise", "race"];
        classes.iter().map(|class| count(found, class)).sum::<u64>()
    };
    let handed_over = || proxy.metrics().count("crossfade_shadow_pairs_total", &[]);
    // Old is asked a second time for seven in a thousand, and has to be for some dozens before that is evidence.
    let is_known = |proxy: &Proxy| groups(&diffs(proxy, "")).values().any(|(_, state)| state == "noise");
    let mut sent = 0;
    while !is_known(&proxy) {
        assert!(sent < 20_000, "{:#}", diffs(&proxy, ""));
        send_and_wait(&proxy, 500, |number| match number % 10 {
            0 => format!("/health/{}", number / 10 % 10),
            _ => format!("/orders/{}?password=planted-password-77", sent + number),
        });
        sent += 500;
    }
    send_and_wait(&proxy, 500, |number| format!("/orders/{number}"));
    eventually("the last of them is", || (compared(&diffs(&proxy, "")) as f64 - handed_over()).abs() < 0.5);
    let found = diffs(&proxy, "?endpoint=GET%20%2Forders%2F%7Bid%7D");
    let groups = groups(&found);
    let place = |path: &str, kind: &str| groups[&(path.to_owned(), kind.to_owned())].clone();
    // A tenth of the orders have a wrong price and no note; the clock is different in all of them.
    let (prices, price_state) = place("$.price", "type");
    let (notes, note_state) = place("$.note", "missing");
    assert!(prices > 150 && prices == notes, "{groups:?}");
    assert!(price_state != "noise" && note_state != "noise", "{groups:?}");
    assert_eq!(place("$.at", "value").1, "noise", "{groups:?}");
    assert_eq!(groups.len(), 3, "nothing is invented: {groups:?}");
    assert!(count(&found, "noise") > 200 && count(&found, "mismatched") >= prices, "{found:#}");
    // Old was asked again for at most one in a hundred.
    let all = compared(&diffs(&proxy, ""));
    assert!(old.copies() > 20 && old.copies() * 100 <= all, "{} of {all}", old.copies());

    let metrics = proxy.metrics();
    let by_result = |result: &str| metrics.count("crossfade_comparisons_total", &[("result", result)]);
    let each = ["matched", "mismatched", "noise", "race", "not_compared"];
    let counted: f64 = each.iter().map(|one| by_result(one)).sum();
    assert!(
        (counted - handed_over()).abs() < 0.5,
        "each pair is in one class: {counted} of {}",
        handed_over()
    );

    is_shown(&proxy, found["groups"][0]["samples"][0].as_u64().unwrap());
    has_no_secret("the log", &proxy.log());

    proxy.terminate();
    assert_eq!(proxy.wait(), 0);
    let kept = all_text(state.path());
    assert!(kept.contains("$.price") && kept.contains("«redacted"), "samples are kept");
    has_no_secret("the state directory", &kept);
    let again = Proxy::start(&config(&old, &new, state.path(), ""));
    eventually("what was found is found again", || count(&diffs(&again, ""), "mismatched") >= prices);
    let before = diffs(&again, "");
    assert_eq!(compared(&before), all);
    assert!(before["groups"][0]["samples"].as_array().is_some_and(|samples| !samples.is_empty()));
    // Other rules count anew, and by the suggested one the noise matches.
    let ruled = config(&old, &new, state.path(), "ignore = [\"$.at\"]");
    assert_eq!(again.reload(&ruled).code, 0);
    eventually("comparisons count anew", || compared(&diffs(&again, "")) == 0);
    send_and_wait(&again, 200, |number| format!("/orders/{}", number * 10 + 1));
    eventually("they match", || count(&diffs(&again, ""), "matched") >= 150);
    eventually("one figure is shown everywhere, of what was compared by these rules", || {
        let found = diffs(&again, "");
        let status = again.admin_get("/api/v1/migrations/shop").json()["shadow"]["match_rate"].clone();
        let metric = again.metrics().count("crossfade_match_rate_at_least", &[]);
        found["match_rate"].as_f64().is_some_and(|rate| rate > 0.99)
            && found["judged"] == count(&found, "matched") + count(&found, "mismatched")
            && (&found["judged"], &found["match_rate_text"]) == (&status["compared"], &status["text"])
            && found["match_rate_at_least"].as_f64().is_some_and(|rate| (rate - metric).abs() < 1e-9)
    });
}

#[test]
fn what_a_request_says_in_its_content_is_secret_too() {
    // What was wrong is said without a word that tells what it is; new makes a name of it.
    let said = |request: &Request| {
        let content: Value = serde_json::from_slice(&request.body).unwrap();
        content["password"].as_str().unwrap().to_owned()
    };
    let old = Shop::start(move |request, _| format!(r#"{{"note":"{} is not known"}}"#, said(request)));
    let new = Shop::start(move |request, _| format!(r#"{{"note":"unknown","{}":1}}"#, said(request)));
    let state = TempDir::new().unwrap();
    let mut proxy = Proxy::start(&config(&old, &new, state.path(), "methods = [\"POST\"]"));
    let content = br#"{"user":"ann","password":"planted-password-77"}"#;
    let length = content.len().to_string();
    let fields = [("content-type", "application/json"), ("content-length", &*length)];
    let request = request::with("POST", "/logins", &fields, content);
    let mut client = proxy.connect();
    for _ in 0..5 {
        assert_eq!(client.exchange(&request).status, 200);
    }
    eventually("they differ", || count(&diffs(&proxy, ""), "mismatched") == 5);
    let found = groups(&diffs(&proxy, ""));
    assert!(found.contains_key(&("$.*".to_owned(), "added".to_owned())), "{found:?}");
    let export = proxy.command(&["diffs", "shop", "--export"]);
    assert!(export.stdout.contains("«redacted") && export.stdout.contains(" is not known"), "{export:?}");
    has_no_secret("what is shown", &export.stdout);
    proxy.terminate();
    assert_eq!(proxy.wait(), 0);
    has_no_secret("the state directory", &all_text(state.path()));
    has_no_secret("the log", &proxy.log());
}

#[test]
fn a_race_is_told_from_a_regression() {
    let seen: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let times = seen.clone();
    // Old sells the last one just after it answered; new knows that already.
    let old = Shop::start(move |request, _| {
        let mut seen = times.lock().unwrap();
        let times = seen.entry(request.target.clone()).or_default();
        *times += 1;
        match request.target.as_str() {
            target if target.starts_with("/stock/") => format!("{{\"left\":{}}}", u32::from(*times == 1)),
            _ => "{\"a\":1}".to_owned(),
        }
    });
    let new = Shop::start(|request, _| match request.target.as_str() {
        target if target.starts_with("/stock/") => "{\"left\":0}".to_owned(),
        "/broken" => "{\"a\":2}".to_owned(),
        _ => "{\"a\":1}".to_owned(),
    });
    let state = TempDir::new().unwrap();
    let proxy = Proxy::start(&config(&old, &new, state.path(), ""));
    // So many that old may be asked again.
    send_and_wait(&proxy, 1_200, |_| "/fine".to_owned());
    send(&proxy, 1, |_| "/stock/1".to_owned());
    eventually("the race is over", || count(&diffs(&proxy, ""), "race") == 1);
    assert_eq!(count(&diffs(&proxy, ""), "mismatched"), 0);
    send(&proxy, 1, |_| "/broken".to_owned());
    eventually("the regression is found", || count(&diffs(&proxy, ""), "mismatched") == 1);
    let found = diffs(&proxy, "");
    assert_eq!(
        (count(&found, "race"), found["asked_again"]["rechecked"].as_u64()),
        (1, Some(2)),
        "{found:#}"
    );
    assert!(old.asked() >= 1_200 && new.copies() >= 1_200);
}

#[test]
fn what_was_found_outlives_a_restart_and_a_shadow_that_is_switched_off() {
    let answer = |right: &'static str, other: &'static str| {
        move |request: &Request, _| if request.target == "/other" { other } else { right }.to_owned()
    };
    let (old, new) = (Shop::start(answer("1", "2")), Shop::start(answer("1", "3")));
    let state = TempDir::new().unwrap();
    let config = config(&old, &new, state.path(), "");
    let mut proxy = Proxy::start(&config);
    send_and_wait(&proxy, 50, |number| if number < 40 { "/same" } else { "/other" }.to_owned());
    // By the ledger, by the gate, and by what the one shows of the other.
    let found = |proxy: &Proxy| {
        let found = diffs(proxy, "");
        let shop = proxy.admin_get("/api/v1/migrations/shop").json();
        let by_gate = shop["shadow"]["match_rate"]["compared"].as_u64();
        (count(&found, "matched"), count(&found, "mismatched"), found["judged"].as_u64(), by_gate)
    };
    let all = (40, 10, Some(50), Some(50));
    eventually("all are judged", || found(&proxy) == all);
    proxy.terminate();
    assert_eq!(proxy.wait(), 0, "{}", proxy.log());
    drop(proxy);

    let proxy = Proxy::start(&config);
    assert_eq!(found(&proxy), all, "after a restart");
    for word in ["off", "on"] {
        assert_eq!(proxy.command(&["shadow", "shop", word]).code, 0);
        assert_eq!(found(&proxy), all, "switched {word}");
    }
    assert_eq!(proxy.command(&["shadow", "shop", "on", "--anew"]).code, 0);
    eventually("they count anew", || found(&proxy) == (0, 0, Some(0), Some(0)));
}

#[test]
fn answers_to_head_differ_where_their_lengths_do() {
    let shop = |length: fn(&str) -> &'static str| {
        Scripted::bind().serve(move |mut wire: Wire| {
            while let Ok(request) = wire.try_request() {
                let length = length(&request.target);
                let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\n{length}\r\n");
                if wire.try_send(head).is_err() {
                    return;
                }
            }
        })
    };
    let old = shop(|_| "content-length: 100000\r\n");
    let new = shop(|target| match target {
        "/cut.csv" => "content-length: 99999\r\n",
        "/streamed.csv" => "transfer-encoding: chunked\r\n",
        _ => "content-length: 100000\r\n",
    });
    let config = Config::pair(old.addr(), new.addr())
        .migration("phase = \"shadow\"")
        .proxy("compare_cpu = \"100%\"")
        .section("[migration.shop.shadow]\nholdout = 0\nmax_effect = false\nper_second = 1000");
    let proxy = Proxy::start(&config);
    let mut client = proxy.connect();
    for target in ["/whole.csv", "/streamed.csv", "/cut.csv"] {
        client.send(request::with("HEAD", target, &[], b""));
        assert_eq!(client.response_to_head().fields.get("content-length"), Some("100000"), "{target}");
    }
    eventually("all three are compared", || {
        let found = diffs(&proxy, "");
        (count(&found, "matched"), count(&found, "mismatched")) == (2, 1)
    });
    let found = groups(&diffs(&proxy, ""));
    let places: Vec<_> = found.keys().map(|(path, kind)| (path.as_str(), kind.as_str())).collect();
    assert_eq!(places, [("header:content-length", "value")]);
}

#[test]
fn a_place_that_cannot_be_written_costs_nothing_but_what_would_be_there() {
    let (old, new, state) = (Shop::start(old_answer), Shop::start(new_answer), TempDir::new().unwrap());
    fs::write(state.path().join("diffs"), "in the way").unwrap();
    let mut proxy = Proxy::start(&config(&old, &new, state.path(), ""));
    send_and_wait(&proxy, 200, |number| format!("/orders/{number}"));
    eventually("they differ", || count(&diffs(&proxy, ""), "mismatched") > 50);
    proxy.wait_log("marks change with a restart");
    proxy.terminate();
    assert_eq!(proxy.wait(), 0, "{}", proxy.log());
    assert!(proxy.log().contains("what comparisons find cannot be kept in"), "{}", proxy.log());
    assert_eq!(fs::read_to_string(state.path().join("diffs")).unwrap(), "in the way");
}

#[test]
fn a_full_disk_costs_what_would_be_kept_and_is_used_again_when_there_is_room() {
    let (old, new, state) = (Shop::start(old_answer), Shop::start(new_answer), TempDir::new().unwrap());
    let disk = state.path().join("diffs");
    fs::create_dir(&disk).unwrap();
    let mount = format!("mount -t tmpfs -o size=64k,mode=0700 diffs '{}'", disk.display());
    let mut tried = Command::new("unshare");
    tried.args(["--mount", "sh", "-c", &mount]).stdin(Stdio::null()).stderr(Stdio::null());
    if !tried.status().is_ok_and(|status| status.success()) {
        eprintln!(
            "SKIPPED: a full disk was not tried, since nobody may mount one here (`unshare --mount` fails)"
        );
        return;
    }
    let script = format!("{mount} && exec \"$0\" \"$@\"");
    let config = config(&old, &new, state.path(), "");
    let mut proxy = Proxy::start_within(&config, &["unshare", "--mount", "sh", "-c", &script]);
    let disk = PathBuf::from(format!("/proc/{}/root{}", proxy.pid(), disk.display()));
    let kept = disk.join("shop.json");
    let attempts =
        |result: &str| proxy.metrics().count("crossfade_compare_kept_total", &[("result", result)]);
    let mismatched = || count(&diffs(&proxy, ""), "mismatched");

    send_and_wait(&proxy, 100, |number| format!("/orders/{number}"));
    before_long("it is kept", || attempts("written") > 0.5);
    let (before, written) = (fs::read(&kept).unwrap(), attempts("written"));
    let filler = disk.join("filler");
    let mut filling = File::create(&filler).unwrap();
    let full = loop {
        if let Err(error) = filling.write_all(&[b'x'; 512]) {
            break error.kind();
        }
    };
    assert_eq!(full, ErrorKind::StorageFull);

    // Users get their answers, which are compared.
    let known = mismatched();
    send_and_wait(&proxy, 100, |number| format!("/orders/{number}"));
    before_long("it cannot be kept", || attempts("failed") > 0.5);
    send_and_wait(&proxy, 100, |number| format!("/orders/{number}"));
    assert!(mismatched() > known + 100, "{} after {known}", mismatched());
    assert_eq!(fs::read(&kept).unwrap(), before, "what was there is whole");
    // But for the moment of another attempt.
    eventually("nothing else takes room", || {
        let names =
            fs::read_dir(&disk).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names == ["filler", "redaction.key", "shop.json"]
    });
    let storage = &diffs(&proxy, "")["storage"];
    assert!(storage["error"].as_str().is_some_and(|error| error.contains("No space left")), "{storage}");
    proxy.wait_log("what comparisons find cannot be kept in");
    let log = proxy.log();
    let said = log.lines().filter(|line| line.contains("what comparisons find cannot be kept in"));
    let said: Vec<_> = said.collect();
    assert!(
        said.len() == 1 && said[0].contains("bytes of at most 16777216: No space left on device"),
        "{said:?}"
    );

    // There is room, and nobody asks for anything any more.
    drop(filling);
    fs::remove_file(&filler).unwrap();
    before_long("it is kept again", || attempts("written") > written + 0.5);
    eventually("that is said", || proxy.log().contains("again, after "));
    let after: Value = serde_json::from_slice(&fs::read(&kept).unwrap()).unwrap();
    assert!(after.is_object() && fs::read(&kept).unwrap() != before);
    assert_eq!(diffs(&proxy, "")["storage"]["error"], Value::Null);
    proxy.terminate();
    assert_eq!(proxy.wait(), 0);
}

#[test]
fn what_is_asked_for_wrongly_is_said() {
    let (old, new, state) = (Shop::start(old_answer), Shop::start(new_answer), TempDir::new().unwrap());
    let proxy = Proxy::start(&config(&old, &new, state.path(), ""));
    for (target, status) in [
        ("/api/v1/migrations/nobody/diffs", 404),
        ("/api/v1/migrations/shop/diffs?limit=0", 400),
        ("/api/v1/migrations/shop/diffs?sample=x", 400),
        ("/api/v1/migrations/shop/diffs?sample=1", 404),
        ("/api/v1/migrations/shop/diffs?format=xml", 400),
        ("/api/v1/migrations/shop/diffs?endpoint=%ff", 400),
    ] {
        let answer = proxy.admin_get(target);
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        assert_eq!(answer.fields.get("content-type"), Some("application/problem+json"), "{target}");
    }
    let nobody = proxy.command(&["diffs", "nobody"]);
    assert_eq!(nobody.code, 1, "{nobody:?}");
}
