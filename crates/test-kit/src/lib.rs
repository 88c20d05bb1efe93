//! Scripted upstreams and a whole-proxy harness for tests.
//!
//! A test holds both ends of the proxy in its own hands, in one thread: a [`Wire`] to the proxy as the client, and
//! a [`Scripted`] upstream whose connections are [`Wire`]s too. What happens when is then simply the order of the
//! test's lines; nothing sleeps, and a step that never comes fails after [`DEADLINE`] with the proxy's log.
//!
//! * [`Wire`] sends any bytes, records those that come, and reads messages with an own small and strict reader
//!   that shares no code with the proxy.
//! * [`Scripted`] is an upstream that a test drives by hand, or by a closure for every connection.
//! * [`Origin`] is a well-behaved upstream on hyper, for traffic in numbers; [`pattern`] makes and checks streams
//!   of any length without holding them.
//! * [`FaultyOrigin`] is an upstream that fails in the ways of a [`Fault`], from one request to the next, and knows what
//!   it carried out.
//! * [`Load`] is many clients at once that check every answer; [`SlowClients`] are many that hold connections.
//! * [`Twins`] are two upstreams that are alike until one of them is made to fail, and [`OpenLoad`] sends so many requests
//!   a second, whether they are answered or not.
//! * [`Proxy`] is the real binary with a configuration of its own, on ports that the kernel picks.
//! * [`Config`] writes the configuration; [`Metrics`] reads `/metrics`.
//! * [`Peer`] starts other people's programs (nginx) as upstreams.
//!
//! Everything here fails by panicking, since its only callers are tests.

#![allow(clippy::panic, reason = "a failed expectation ends the test that had it")]

mod binary;
mod config;
mod faulty;
mod load;
mod metrics;
mod open_load;
mod origin;
pub mod pattern;
mod peer;
mod proxy;
mod reading;
pub mod request;
mod scripted;
mod slow;
mod twins;
mod wire;

use std::time::{Duration, Instant};

pub use binary::crossfade_binary;
pub use config::Config;
pub use faulty::{Fault, FaultyOrigin, Received};
pub use load::{Failed, Kind, Load, LoadReport, Loading};
pub use metrics::Metrics;
pub use open_load::{Asked, OpenLoad};
pub use origin::Origin;
pub use peer::{Peer, free_port, installed, reserved_port};
pub use proxy::{Outcome, Proxy};
pub use reading::{Broken, Fields, Framing, Request, Response};
pub use scripted::{Deaf, Scripted, Serving, refusing_address};
pub use slow::{SlowClients, Slowness};
pub use twins::{Manner, Twin, Twins};
pub use wire::Wire;

/// How long anything that must happen may take: long enough for a busy machine, short enough to be waited for.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// Waits until `holds` does, looking every few milliseconds.
///
/// # Panics
/// When it does not within [`DEADLINE`]; `what` says what was waited for.
pub fn eventually(what: &str, holds: impl FnMut() -> bool) {
    wait(DEADLINE, what, holds);
}

/// As [`eventually`], for a minute: for what happens a few times a minute, or when users who ask one after the other have
/// shown enough, which takes longer on a busy machine.
///
/// # Panics
/// When it does not; `what` says what was waited for.
pub fn before_long(what: &str, holds: impl FnMut() -> bool) {
    wait(Duration::from_mins(1), what, holds);
}

fn wait(most: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < most, "waited {most:?} in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
