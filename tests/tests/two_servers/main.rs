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
use std::time::{Duration, Instant};

use serde_json::Value;
use test_kit::{Config, DEADLINE, Proxy};

use httpbin::Httpbin;
use plants::{PLANTS, RANDOM};
use port::Port;
use traffic::{Asking, send};

const REQUESTS: usize = 4_800;
/// So many requests are sent, and then their copies waited for.
const AT_ONCE: usize = 48;
/// So many comparisons may wait: fewer than there is room for.
const WAITING: usize = 256;
/// Requests that were not copied, for want of time, are sent again.
const ROUNDS: usize = 20;
/// Of `/uuid` alone, until enough of them were asked twice: a step, and how many steps at most.
const STEP: usize = 480;
const STEPS: usize = 25;

/// Both servers tell what they are asked with. What the proxy adds to each request, and how it marks its copies, differs
/// for that reason alone.
const SHADOW: &str = "[migration.shop.shadow]
holdout = 0
max_effect = false
per_second = 100000
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
    let mut run = Run { proxy: Proxy::start(&config), new, asked: Vec::new(), since: 0, sent: 0 };
    run.ask((0..REQUESTS).map(Asking::at));
    let met = met(&run.asked);
    assert!(PLANTS.iter().all(|plant| met.get(plant.name).is_some_and(|met| *met >= 10)), "{met:?}");
    run.check();
    // What is random is known to be so when enough of it was asked twice, which is at most one request in two hundred.
    for _ in 0..STEPS {
        if run.is_noise(RANDOM[0]) {
            break;
        }
        run.ask((0..STEP).map(|_| Asking::uuid()));
    }
    let found = run.check();
    assert!(run.is_noise(RANDOM[0]), "nobody knows after {} requests: {found:?}", run.sent);
    // By the rules that follow from it, answers are the same.
    let suggested = found.0["suggestions"].as_str().unwrap();
    tell(suggested);
    let outcome = run.proxy.reload(config.section(suggested));
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    run.since = run.asked.len();
    run.ask((0..10 * AT_ONCE).map(Asking::at));
    run.ask((0..AT_ONCE).map(|_| Asking::uuid()));
    let (endpoint, path, kind) = RANDOM[0];
    let found = run.check();
    assert!(found.group(endpoint, path, kind).is_none(), "{found:?}");
}

/// The proxy between the two, and what was asked of it.
struct Run {
    proxy: Proxy,
    new: Port,
    /// By the number of the user.
    asked: Vec<Asking>,
    /// The first user since comparisons count.
    since: usize,
    sent: usize,
}

impl Run {
    /// Sends all of these until each was copied once, and waits until each copy is in its class.
    fn ask(&mut self, all: impl Iterator<Item = Asking>) {
        let first = self.asked.len();
        self.asked.extend(all);
        for round in 0.. {
            let left = (first..self.asked.len()).filter(|user| !self.new.has_answered(*user));
            let left: Vec<_> = left.map(|user| (user, &self.asked[user])).collect();
            if left.is_empty() {
                break;
            }
            assert!(round < ROUNDS, "{} were never copied: {:?}", left.len(), Found::ask(&self.proxy));
            for (at, some) in left.chunks(AT_ONCE).enumerate() {
                send(some, self.proxy.addr());
                self.sent += some.len();
                let is_answered = || some.iter().all(|(user, _)| self.new.has_answered(*user));
                self.wait("it was copied or not", || is_answered() || self.counted(PAIRS) >= self.sent);
                if at % 4 == 3 {
                    self.wait("most are compared", || self.counted(COMPARISONS) + WAITING >= self.sent);
                }
            }
            let let_in = || Found::ask(&self.proxy).0["let_in"].as_f64().unwrap();
            self.wait("there is time for all again", || let_in() > 0.99);
        }
        self.wait("every request is in its class", || self.counted(COMPARISONS) >= self.sent);
    }

    /// Requests that came to this, or were not copied.
    fn counted(&self, what: &str) -> usize {
        let metrics = self.proxy.metrics();
        let count = metrics.count(what, &[]) + metrics.count("crossfade_shadow_dropped_total", &[]);
        format!("{count:.0}").parse().unwrap()
    }

    /// Waits until `holds` does, and looks seldom: copies have less priority than whoever asks for the metrics.
    fn wait(&self, what: &str, holds: impl Fn() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < DEADLINE, "waited in vain until {what}: {:?}", Found::ask(&self.proxy));
            std::thread::park_timeout(Duration::from_millis(30));
        }
    }

    fn is_noise(&self, (endpoint, path, kind): (&str, &str, &str)) -> bool {
        let found = Found::ask(&self.proxy);
        found.group(endpoint, path, kind).is_some_and(|group| group["noise"]["state"] == "noise")
    }

    /// Every fault was found, and nothing else.
    fn check(&self) -> Found {
        let (found, asked) = (Found::ask(&self.proxy), &self.asked[self.since..]);
        tell(format_args!("sent {}, compared or not copied {}", self.sent, self.counted(COMPARISONS)));
        found.table(asked);
        found.expect_all(asked);
        found.expect_nothing_else(&self.proxy);
        found
    }
}

const PAIRS: &str = "crossfade_shadow_pairs_total";
const COMPARISONS: &str = "crossfade_comparisons_total";

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

    /// All requests were compared, each once, and every fault was found in each request that met it.
    fn expect_all(&self, asked: &[Asking]) {
        let reasons = self.0["not_copied"].as_object().unwrap();
        // By the comparer's own limits, or because the machine gave its thread no time.
        let for_want_of_time = ["budget", "concurrency", "queue-full"];
        assert!(reasons.keys().all(|why| for_want_of_time.contains(&why.as_str())), "{reasons:?}");
        let classes = &self.0["comparisons"];
        assert_eq!(classes["not_compared"], serde_json::json!({}));
        let classes =
            ["matched", "mismatched", "noise", "race"].map(|class| classes[class].as_u64().unwrap());
        assert_eq!(
            classes.into_iter().sum::<u64>(),
            asked.len() as u64,
            "{classes:?}, not copied {reasons:?}"
        );
        let met = met(asked);
        for plant in PLANTS {
            let met = met.get(plant.name).copied().unwrap_or_default();
            for (path, kind) in plant.places {
                let Some(group) = self.group(plant.endpoint, path, kind) else {
                    assert_eq!(met, 0, "{} was not found", plant.name);
                    continue;
                };
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
