//! What upstreams and clients do wrong, under load: who notices, and what crossfade makes of it.
//!
//! Each test puts a load through the proxy in which every answer is checked, and lets something fail in the midst of it.
//! The same tests in large numbers are those that are ignored with `figures: `; they run by hand, on a release build:
//!
//! ```text
//! cargo build --release
//! CROSSFADE_BIN=$PWD/target/release/crossfade \
//!     cargo test --release -p crossfade-tests --test faults figures -- --ignored --nocapture --test-threads 1
//! ```
//!
//! A test of what is not so yet is ignored with `needs: ` and what it waits for.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test that had it")]

mod bounds;
mod crowds;
mod endpoints;
mod figures;
mod health;
mod names;
mod posts;
mod table;

use std::net::SocketAddr;

use test_kit::{Config, Proxy};

/// The fallback that these tests configure: old is asked after this time.
const AFTER_MS: u64 = 150;

/// A migration that is done, all users on new, and that falls back to old; POSTs to `/search` are listed.
fn falling_back(old: SocketAddr, new: SocketAddr) -> Config {
    let fallback = format!(
        "[migration.shop.fallback]\nafter = \"{AFTER_MS}ms\"\n\
         replay = [{{ method = \"POST\", path = \"/search\" }}]"
    );
    Config::pair(old, new).percent(100).workers(2).section(fallback)
}

/// A route to one upstream with these endpoints, and more lines for `[upstream.named]`.
fn routed(endpoints: &[SocketAddr], lines: &[&str]) -> Config {
    let named: Vec<String> = endpoints.iter().map(|endpoint| format!("\"http://{endpoint}\"")).collect();
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    Config::single(nobody)
        .path("/never/*")
        .workers(2)
        .section(format!("[upstream.named]\nendpoints = [{}]\n{}", named.join(", "), lines.join("\n")))
        .section("[route.all]\nmatch = [{ path = \"/*\" }]\nto = \"named\"")
}

/// How often new's failures were passed on although the migration falls back, for this reason or for any.
fn withheld(proxy: &Proxy, reason: Option<&str>) -> f64 {
    let labels = [("migration", "shop"), ("reason", reason.unwrap_or_default())];
    let labels = if reason.is_some() { &labels[..] } else { &labels[..1] };
    proxy.metrics().count("crossfade_fallbacks_withheld_total", labels)
}

/// How often old answered instead of new, by reason.
fn fallbacks(proxy: &Proxy) -> Vec<(String, f64)> {
    let metrics = proxy.metrics();
    let name = "crossfade_fallbacks_total";
    let times = |reason: &str| metrics.count(name, &[("migration", "shop"), ("reason", reason)]);
    let reasons = metrics.label_values(name, "reason");
    reasons
        .into_iter()
        .map(|reason| (reason.to_owned(), times(reason)))
        .filter(|(_, times)| *times > 0.0)
        .collect()
}
