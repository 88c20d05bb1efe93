//! What the guard is worth, with real processes: how soon users are back on old and how many of them were failed, beside
//! what Prometheus makes of the same fault, and that nothing takes them back when nothing is wrong.
//!
//! By hand, on a release build, in up to half an hour each:
//!
//! ```text
//! cargo build --release
//! CROSSFADE_BIN=$PWD/target/release/crossfade \
//!     cargo test --release -p crossfade-tests --test guard_figures TEST -- --ignored --nocapture --test-threads 1
//! ```
//!
//! with one of `faults`, `prometheus`, `promptness` and `quiet` as TEST. Times are measured and told, never asserted; what must not happen is
//! asserted: a rollback without need, none where there is need, a failure that `fallback` should have covered.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test that had it")]

mod faults;
mod prometheus;
mod promptness;
mod quiet;

use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use test_kit::{Asked, Config, Manner, OpenLoad, Proxy, Twins};

/// The median time in which an origin answers.
const SERVICE: Duration = Duration::from_millis(10);

#[allow(clippy::print_stdout, reason = "figures are run by hand, to be read")]
fn tell(line: impl std::fmt::Display) {
    println!("{line}");
}

/// A number from the environment, or this.
fn wanted(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// Requests a second: `RATE`, 2,000 by default.
fn rate() -> u32 {
    wanted("RATE", 2000)
}

/// What goes wrong with new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    /// Its process is gone.
    Killed,
    /// Half of its answers are 500.
    HalfFails,
    /// It takes three times as long.
    Slow,
}

impl Harm {
    const ALL: [Harm; 3] = [Harm::Killed, Harm::HalfFails, Harm::Slow];

    fn name(self) -> &'static str {
        match self {
            Harm::Killed => "killed",
            Harm::HalfFails => "50 % are 500",
            Harm::Slow => "3 x slower",
        }
    }

    fn befall(self, twins: &Twins) {
        match self {
            Harm::Killed => twins.new.kill(),
            Harm::HalfFails => twins.new.set(Manner::healthy(SERVICE).failing(0.5)),
            Harm::Slow => twins.new.set(Manner::healthy(3 * SERVICE)),
        }
    }
}

/// Two origins, the proxy with a journal in front of them, and a load on it.
struct Rig {
    load: OpenLoad,
    proxy: Proxy,
    twins: Twins,
    state: TempDir,
}

impl Rig {
    /// With users of this name, so much on new, and these lines for the migration and for the file.
    fn start(users: &str, percent: impl std::fmt::Display, migration: &[&str], sections: &[&str]) -> Self {
        let (twins, state) = (Twins::start(SERVICE), TempDir::new().unwrap());
        let mut config = Config::pair(twins.old.addr(), twins.new.addr()).percent(percent).workers(2);
        config = config.section(format!("[state]\ndir = \"{}\"", state.path().display()));
        config = migration.iter().fold(config, |config, line| config.migration(*line));
        config = sections.iter().fold(config, |config, text| config.section(*text));
        let proxy = Proxy::start(&config);
        let load = OpenLoad::start(users, rate(), proxy.addr());
        Rig { load, proxy, twins, state }
    }

    /// Lets the load go on for a while.
    fn go_on_for(&self, time: Duration) {
        self.load.go_on_for(u64::from(rate()) * u64::try_from(time.as_millis()).unwrap() / 1000);
    }

    fn status(&self) -> Value {
        self.proxy.admin_get("/api/v1/migrations/shop").json()
    }

    /// The percentage in force, as `status` says.
    fn in_force(&self) -> f64 {
        self.status()["percent"]["in_force"].as_f64().unwrap()
    }
}

/// Waits until `holds` does, for as long as that may take.
fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !holds() {
        if started.elapsed() > limit {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    true
}

fn count(asked: &[Asked], of: impl Fn(&Asked) -> bool) -> usize {
    asked.iter().filter(|one| of(one)).count()
}

/// The middle and the worst.
fn spread(mut numbers: Vec<f64>) -> (f64, f64) {
    numbers.sort_by(f64::total_cmp);
    (numbers[(numbers.len() - 1) / 2], numbers[numbers.len() - 1])
}

/// The time below which this share of the requests was answered.
fn quantile(asked: &[Asked], share: f64) -> Duration {
    let mut waited: Vec<Duration> = asked.iter().map(Asked::waited).collect();
    waited.sort_unstable();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of the list")]
    let rank = (waited.len() as f64 * share).ceil() as usize;
    waited.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}
