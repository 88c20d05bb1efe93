//! How soon the guard decides once it could: from the end of the failed request that carries the evidence over its line to
//! the decision. It may take until the next look, 50 ms, and 10 ms more.

use std::time::{Duration, Instant, SystemTime};

use test_kit::{Asked, Manner, Metrics};

use crate::faults::{at, rollback};
use crate::{Rig, SERVICE, rate, spread, tell, wanted, within};

const WELL: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(60);
const AFTER: Duration = Duration::from_millis(200);
/// From look to look, and what a decision may take beyond that.
const ALLOWED_MS: f64 = 60.0;

/// What became of one run.
struct Run {
    /// From the end of the last failure that the decision counted, as its user saw it, to the decision. The two clocks
    /// are read at the same moment once, so below 0 is the time that an answer takes to its user.
    decided_ms: f64,
    /// Failures that ended within one look before the decision: where there is but one, that is what carried the evidence.
    in_last_look: usize,
    failures: u64,
}

/// `RUNS` of each row, 20 by default. New fails whatever it is asked. With few requests on new each failure is in a look of
/// its own, so that the last one is the one that carried the evidence over the line; with many the last one is but the
/// latest of its look, and the time between two looks says how long the carrying one may have waited.
#[test]
#[ignore = "figures: ten minutes; 20 runs with 0.2, 5 and 50 % on new, which fails"]
fn promptness() {
    let runs = wanted("RUNS", 20);
    tell(format_args!("{} requests/s, {runs} runs each; median / worst", rate()));
    tell(
        "| on new, % | last failure to decision, ms | of those alone in their look | over 60 ms | failures counted \
         | looks | look interval p99 | longest | longer than 60 ms |",
    );
    tell("|---|---|---|---|---|---|---|---|---|");
    for percent in ["0.2", "5", "50"] {
        let mut looks = Looks::default();
        let all: Vec<Run> =
            (0..runs).map(|number| run(&format!("user-{number}"), percent, &mut looks)).collect();
        let of = |runs: &mut dyn Iterator<Item = &Run>| {
            let (middle, worst) = spread(runs.map(|run| run.decided_ms).collect());
            format!("{middle:.1} / {worst:.1}")
        };
        let alone = || all.iter().filter(|run| run.in_last_look == 1);
        let (failures, most) = spread(all.iter().map(|run| run.failures as f64).collect());
        tell(format_args!(
            "| {percent} | {} | {} ({} runs) | {} | {failures:.0} / {most:.0} | {looks} |",
            of(&mut all.iter()),
            if alone().next().is_some() { of(&mut alone()) } else { "-".to_owned() },
            alone().count(),
            all.iter().filter(|run| run.decided_ms > ALLOWED_MS).count(),
        ));
    }
}

fn run(users: &str, percent: &str, looks: &mut Looks) -> Run {
    let rig = Rig::start(users, percent, &[], &[]);
    rig.go_on_for(WELL);
    let (fault, by_the_clock) = (Instant::now(), SystemTime::now());
    rig.twins.new.set(Manner::healthy(SERVICE).failing(1.0));
    assert!(within(LIMIT, || rig.in_force() == 0.0), "not back after {LIMIT:?}: {}", rig.status());
    let line = rollback(&rig);
    rig.go_on_for(AFTER);
    looks.add(&rig.proxy.metrics());
    let asked = rig.load.stop();
    let decided = fault + at(&line).duration_since(by_the_clock).expect("nothing was wrong before");
    let failures = line["data"]["new_failures"].as_u64().unwrap();
    let mut ended: Vec<Instant> =
        asked.iter().filter(|one| one.on_new && Asked::failed(one)).map(|one| one.done).collect();
    ended.sort_unstable();
    let counted = &ended[..usize::try_from(failures).unwrap()];
    let before = |at: Instant| {
        let early = decided.saturating_duration_since(at).as_secs_f64();
        (early - at.saturating_duration_since(decided).as_secs_f64()) * 1e3
    };
    Run {
        decided_ms: before(*counted.last().expect("a failure was counted")),
        in_last_look: counted.iter().filter(|at| before(**at) < ALLOWED_MS).count(),
        failures,
    }
}

/// The times between the guards' looks, as the proxies tell them.
#[derive(Default)]
struct Looks {
    /// Upper bounds in seconds, and how many were not longer.
    within: Vec<(f64, f64)>,
}

impl Looks {
    fn add(&mut self, metrics: &Metrics) {
        const NAME: &str = "crossfade_guard_look_interval_seconds_bucket";
        let mut bounds: Vec<(f64, f64)> = metrics
            .label_values(NAME, "le")
            .into_iter()
            .map(|le| (le.replace("+Inf", "inf").parse().unwrap(), metrics.count(NAME, &[("le", le)])))
            .collect();
        bounds.sort_by(|one, other| one.0.total_cmp(&other.0));
        if self.within.is_empty() {
            self.within = bounds;
        } else {
            self.within.iter_mut().zip(bounds).for_each(|(sum, (_, count))| sum.1 += count);
        }
    }

    /// The bound that this share is within, in milliseconds.
    fn quantile(&self, share: f64) -> f64 {
        let all = self.within.last().map_or(0.0, |(_, count)| *count);
        self.within.iter().find(|(_, count)| *count >= share * all).map_or(0.0, |(bound, _)| bound * 1e3)
    }
}

impl std::fmt::Display for Looks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.within.last().map_or(0.0, |(_, count)| *count);
        let in_time =
            self.within.iter().rfind(|(bound, _)| bound * 1e3 <= ALLOWED_MS).map_or(0.0, |(_, count)| *count);
        let (p99, longest) = (self.quantile(0.99), self.quantile(1.0));
        write!(f, "{all} | <= {p99} ms | <= {longest} ms | {}", all - in_time)
    }
}
