//! The promises, each in a module.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test that had it")]

mod aborts;
mod admin;
mod answers;
mod blame;
mod bodies;
mod command;
mod diffs;
mod drain;
mod evidence;
mod fields;
mod going_back;
mod guard;
mod http10;
mod interim;
mod keep_alive;
mod kills;
mod latch;
mod limits;
mod malformed;
mod matching;
mod paths;
mod ramp;
mod reload;
mod replay;
mod rules;
mod second_attempt;
mod shadow;
mod split;
mod split_keys;
mod streaming;
mod timeouts;
mod upgrade;
mod upstream_faults;
mod upstreams;

use std::time::Duration;

use test_kit::{Config, Proxy, Response, Scripted, Wire};

/// A proxy, the one upstream behind it and a client in front of it, all in the test's hands.
fn rig() -> (Proxy, Scripted, Wire) {
    rig_with(|config| config)
}

/// The same, with more in the configuration.
fn rig_with(adapt: impl FnOnce(Config) -> Config) -> (Proxy, Scripted, Wire) {
    let upstream = Scripted::bind();
    let proxy = Proxy::start(&adapt(Config::single(upstream.addr())));
    let client = proxy.connect();
    (proxy, upstream, client)
}

/// The upstream's end where it is asked; `None` where the client has an answer, or is cut off, without that.
fn asked_of(upstream: &Scripted, client: &mut Wire) -> Option<Wire> {
    let mut asked = None;
    test_kit::eventually("the upstream is asked or the client answered", || {
        asked = upstream.accept_within(Duration::from_millis(1));
        asked.is_some() || !client.is_quiet()
    });
    asked
}

/// Who answered, as the origins of the test kit say it.
fn origin(answer: &Response) -> &str {
    answer.fields.get("x-origin").unwrap_or("nobody")
}

/// Expects an answer that crossfade made itself: this status, told as problem+json (RFC 9457). Answers it.
#[track_caller]
fn expect_problem(answer: &Response, status: u16) -> serde_json::Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    let kind = answer.fields.get("content-type").unwrap_or_default();
    assert!(kind.starts_with("application/problem+json"), "content-type {kind:?}: {}", answer.text());
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{problem}");
    assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
    problem
}

/// Whether one of the texts in a problem's members is `word`, or has it.
fn says(problem: &serde_json::Value, word: &str) -> bool {
    problem.as_object().is_some_and(|members| {
        members.values().any(|value| value.as_str().is_some_and(|text| text.contains(word)))
    })
}
