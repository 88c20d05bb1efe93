//! Two real servers of one API: old is httpbin, a Flask application behind waitress, and new a port of it that has a list of
//! faults and does all the rest as a port would, in its own way. Their answers are compared beside some thousands of requests
//! of all kinds: each fault is found as often as it was met, in its place and kind, and nothing else is.
//!
//! Run `cargo test -p crossfade-tests --test two_servers -- --nocapture` for the table of what was found.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test that had it")]

mod httpbin;
mod plants;
mod port;
mod traffic;

use std::collections::BTreeMap;

use serde_json::Value;
use test_kit::{Config, Proxy, eventually};

use httpbin::Httpbin;
use plants::{PLANTS, RANDOM};
use port::Port;
use traffic::{Asking, send};

const REQUESTS: u64 = 4_800;
const CONNECTIONS: usize = 4;
/// Of `/uuid` alone, until enough of them were asked twice: a step, and how many steps at most.
const STEP: usize = 500;
const STEPS: usize = 24;

/// Both servers tell what they are asked with. What the proxy adds to each request, and how it marks its copies, differs
/// for that reason alone.
const SHADOW: &str = "[migration.shop.shadow]
holdout = 0
methods = [\"GET\", \"HEAD\", \"OPTIONS\", \"POST\"]
ignore = [\"$..['Crossfade-Shadow']\", \"$..Traceparent\"]
";

/// Endpoint, place and kind.
type Place = (String, String, String);

#[allow(clippy::print_stdout, reason = "for whoever runs it with --nocapture")]
fn tell(line: impl std::fmt::Display) {
    println!("{line}");
}

#[test]
fn the_faults_of_a_port_are_found_and_nothing_else() {
    let old = Httpbin::start();
    let new = Port::start(old.templates());
    let config = Config::pair(old.addr(), new.addr())
        .workers(2)
        .proxy("compare_cpu = \"100%\"")
        .migration("phase = \"shadow\"")
        .section(SHADOW);
    let proxy = Proxy::start(&config);
    let asked: Vec<Asking> = (0..REQUESTS).map(Asking::at).collect();
    send(&asked, CONNECTIONS, proxy.addr());
    let mut sent = asked.len();
    settled(&proxy, sent);
    let found = Found::ask(&proxy);
    found.table(&asked);
    found.expect_all(&asked, &proxy);
    found.expect_nothing_else(&proxy);

    let uuids: Vec<Asking> = (0..STEP).map(|_| Asking::uuid()).collect();
    let (endpoint, path, kind) = RANDOM[0];
    let mut steps = 0;
    while Found::ask(&proxy).state(endpoint, path, kind) != Some("noise".to_owned()) {
        assert!(steps < STEPS, "not known as noise after {sent} requests: {:?}", Found::ask(&proxy));
        send(&uuids, CONNECTIONS, proxy.addr());
        steps += 1;
        sent += uuids.len();
        settled(&proxy, sent);
    }
    let found = Found::ask(&proxy);
    found.table(&asked);
    found.expect_all(&asked, &proxy);
    found.expect_nothing_else(&proxy);
}

/// Waits until every request is in its class.
fn settled(proxy: &Proxy, requests: usize) {
    eventually("every request is in its class", || {
        let metrics = proxy.metrics();
        let classes = metrics.count("crossfade_comparisons_total", &[]);
        (classes + metrics.count("crossfade_shadow_dropped_total", &[])).round() as usize >= requests
    });
}

/// What `crossfade diffs` says.
#[derive(Debug)]
struct Found(Value);

impl Found {
    fn ask(proxy: &Proxy) -> Self {
        let outcome = proxy.command(&["diffs", "shop", "--json", "--limit", "1000"]);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        Found(serde_json::from_str(&outcome.stdout).unwrap())
    }

    fn groups(&self) -> impl Iterator<Item = (Place, &Value)> {
        let text = |group: &Value, name: &str| group[name].as_str().unwrap().to_owned();
        let groups = self.0["groups"].as_array().unwrap();
        groups
            .iter()
            .map(move |group| ((text(group, "endpoint"), text(group, "path"), text(group, "kind")), group))
    }

    fn group(&self, endpoint: &str, path: &str, kind: &str) -> Option<&Value> {
        let wanted = (endpoint.to_owned(), path.to_owned(), kind.to_owned());
        self.groups().find(|(place, _)| *place == wanted).map(|(_, group)| group)
    }

    fn state(&self, endpoint: &str, path: &str, kind: &str) -> Option<String> {
        Some(self.group(endpoint, path, kind)?["noise"]["state"].as_str()?.to_owned())
    }

    /// Every fault was found in each request that met it, and compared with all that was sent.
    fn expect_all(&self, asked: &[Asking], proxy: &Proxy) {
        assert_eq!(self.0["not_copied"], serde_json::json!({}), "{}", self.0["not_copied"]);
        assert_eq!(self.0["comparisons"]["not_compared"], serde_json::json!({}), "{}", proxy.log());
        let met = met(asked);
        for plant in PLANTS {
            let met = met.get(plant.name).copied().unwrap_or_default();
            assert!(met >= 5, "{} was met {met} times", plant.name);
            for (path, kind) in plant.places {
                let group = self.group(plant.endpoint, path, kind);
                let group = group.unwrap_or_else(|| panic!("{} was not found", plant.name));
                let times = group["count"].as_u64().unwrap();
                assert_eq!(times, met, "{}: {group}", plant.name);
                assert_ne!(group["noise"]["state"], "noise", "{}", plant.name);
            }
        }
    }

    /// Nothing was found that is no fault, but for what differs with each answer.
    fn expect_nothing_else(&self, proxy: &Proxy) {
        let mut invented = Vec::new();
        for ((endpoint, path, kind), group) in self.groups() {
            let is_planted = PLANTS.iter().any(|plant| {
                plant.endpoint == endpoint && plant.places.contains(&(path.as_str(), kind.as_str()))
            });
            let is_random = RANDOM.contains(&(endpoint.as_str(), path.as_str(), kind.as_str()));
            if is_random {
                assert_ne!(group["noise"]["state"], "real", "{group}");
            }
            if !is_planted && !is_random {
                let sample = group["samples"][0].to_string();
                let sample = proxy.command(&["diffs", "shop", "--sample", &sample]).stdout;
                invented.push(format!("{endpoint} {path} {kind}: {group}\n{sample}"));
            }
        }
        assert!(invented.is_empty(), "{} invented:\n{}", invented.len(), invented.join("\n"));
        assert_eq!(self.0["groups_left_out"], 0);
    }

    fn table(&self, asked: &[Asking]) {
        let met = met(asked);
        tell("| endpoint | place | kind | fault of the port | met | found | noise |");
        tell("|---|---|---|---|---|---|---|");
        for ((endpoint, path, kind), group) in self.groups() {
            let plant = PLANTS.iter().find(|plant| {
                plant.endpoint == endpoint && plant.places.contains(&(path.as_str(), kind.as_str()))
            });
            let what = plant.map_or("none", |plant| plant.what);
            let met = plant.and_then(|plant| met.get(plant.name)).copied().unwrap_or_default();
            let noise = &group["noise"];
            let noise = format!(
                "{}, {} of {} and {} of {}",
                noise["state"].as_str().unwrap_or_default(),
                noise["old_differ"],
                noise["old_pairs"],
                noise["new_differ"],
                noise["new_pairs"]
            );
            tell(format_args!(
                "| {endpoint} | {path} | {kind} | {what} | {met} | {} | {noise} |",
                group["count"]
            ));
        }
        tell(format_args!("{}, of {}", self.0["match_rate_text"], self.0["comparisons"]));
        tell(format_args!("asked again: {}; let in: {}", self.0["asked_again"], self.0["let_in"]));
    }
}

/// How many requests meet each fault.
fn met(asked: &[Asking]) -> BTreeMap<&'static str, u64> {
    let mut met = BTreeMap::new();
    asked.iter().flat_map(|asking| &asking.faults).for_each(|fault| *met.entry(*fault).or_default() += 1);
    met
}
