//! New breaks in the midst of a load: when are its users on old, and what did they see?

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use test_kit::{Asked, eventually};

use crate::{Harm, Rig, count, quantile, rate, spread, tell, wanted, within};

/// All is well for so long before.
const WELL: Duration = Duration::from_secs(5);
/// A rollback that takes longer is one that was missed.
const LIMIT: Duration = Duration::from_secs(60);
/// The load goes on for so long afterwards.
const AFTER: Duration = Duration::from_millis(500);

/// A load that was later than this was held up by the machine, and its run says nothing.
const LATE: Duration = Duration::from_millis(250);

/// What became of one run. Times are from the fault, in seconds.
#[derive(Debug, Default)]
struct Run {
    /// By the journal: from the fault until the rollback was in force.
    in_force: f64,
    /// From the decision until the snapshot was published, in microseconds.
    publishing_us: f64,
    /// Until `status` said 0 %.
    told: f64,
    /// When the last request that reached new, or failed to, was sent.
    last_on_new: f64,
    /// Requests for new from the fault on.
    on_new: f64,
    /// Users that were failed.
    failures: f64,
    /// Users whom old answered instead.
    covered: f64,
    /// The 99th percentile of the times of all requests from the fault to 0 %, in seconds.
    p99: f64,
    cause: String,
}

/// `RUNS` for each cell, 20 by default; `CASE` picks the cells whose name has it.
#[test]
#[ignore = "figures: half an hour; 20 runs of each fault, with 5 % and 50 % on new, with and without fallback"]
fn faults() {
    let runs = wanted("RUNS", 20);
    let named = std::env::var("CASE").unwrap_or_default();
    tell(format_args!(
        "{} requests/s, {runs} runs each, after {WELL:?} without a fault; median / worst",
        rate()
    ));
    tell(
        "| on new | fallback | new is | 0 % in force, s | published, us | status says so, s | last request to new sent, s \
         | requests for new | users failed | answered by old | p99 until 0 %, ms | causes |",
    );
    tell("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for percent in [5, 50] {
        for fallback in [false, true] {
            for harm in Harm::ALL {
                let name = format!("{percent} % fallback={fallback} {}", harm.name());
                if name.contains(&named) {
                    let tried =
                        (0..3 * runs).map(|number| run(&format!("user-{number}"), percent, fallback, harm));
                    let all: Vec<Run> = tried.flatten().take(runs as usize).collect();
                    tell(row(percent, fallback, harm, &all));
                }
            }
        }
    }
}

fn row(percent: u32, fallback: bool, harm: Harm, runs: &[Run]) -> String {
    let of = |number: fn(&Run) -> f64| spread(runs.iter().map(number).collect());
    let seconds = |number| format!("{:.2} / {:.2}", of(number).0, of(number).1);
    let counts = |number| format!("{:.0} / {:.0}", of(number).0, of(number).1);
    let mut causes: Vec<&str> = runs.iter().map(|run| run.cause.as_str()).collect();
    causes.sort_unstable();
    let causes: Vec<String> = causes
        .chunk_by(|one, other| one == other)
        .map(|same| format!("{} {}", same.len(), same[0]))
        .collect();
    format!(
        "| {percent} % | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        if fallback { "on" } else { "off" },
        harm.name(),
        seconds(|run| run.in_force),
        counts(|run| run.publishing_us),
        seconds(|run| run.told),
        seconds(|run| run.last_on_new),
        counts(|run| run.on_new),
        counts(|run| run.failures),
        counts(|run| run.covered),
        counts(|run| run.p99 * 1e3),
        causes.join(", "),
    )
}

/// One run; `None` when the machine held up the load, which is told.
fn run(users: &str, percent: u32, fallback: bool, harm: Harm) -> Option<Run> {
    let rig = Rig::start(users, percent, &[&format!("fallback = {fallback}")], &[]);
    rig.go_on_for(WELL);
    let (fault, fault_by_the_clock) = (Instant::now(), SystemTime::now());
    harm.befall(&rig.twins);
    let is_back = within(LIMIT, || rig.in_force() == 0.0);
    let told = Instant::now();
    rig.go_on_for(AFTER);
    let (line, status) = (is_back.then(|| rollback(&rig)), rig.status());
    let asked = rig.load.stop();
    let latest = asked.iter().filter(|one| one.due <= told).map(Asked::late).max().unwrap_or_default();
    if latest > LATE {
        tell(format_args!("once more: the machine held up the load for {latest:.1?}"));
        return None;
    }
    let line = line.unwrap_or_else(|| panic!("{percent} %, {harm:?}: not back after {LIMIT:?}: {status}"));
    let decided = at(&line).duration_since(fault_by_the_clock).expect("nothing was wrong before");
    let in_force_after = Duration::from_micros(line["data"]["in_force_after_us"].as_u64().unwrap());
    let run = Run::of(&asked, fault, decided + in_force_after, told);
    if fallback {
        assert_eq!(run.failures, 0.0, "{percent} %, {harm:?}: users were failed in spite of the fallback");
    }
    let cause = line["data"]["signal"].as_str().unwrap().to_owned();
    Some(Run { publishing_us: in_force_after.as_secs_f64() * 1e6, cause, ..run })
}

impl Run {
    /// What the users saw of it.
    fn of(asked: &[Asked], fault: Instant, in_force: Duration, told: Instant) -> Run {
        let (before, since): (Vec<_>, Vec<_>) = asked.iter().partition(|one| one.sent < fault);
        assert_eq!(count(&before, |one| one.failed() && one.done < fault), 0, "nothing was wrong");
        assert_eq!(
            count(&since, |one| one.on_new && one.sent > told),
            0,
            "nobody is on new once status says so"
        );
        let last_on_new = since.iter().filter(|one| one.on_new).map(|one| one.sent).max().unwrap_or(fault);
        let until_then: Vec<_> = since.iter().filter(|one| one.sent <= fault + in_force).copied().collect();
        Run {
            in_force: in_force.as_secs_f64(),
            told: (told - fault).as_secs_f64(),
            last_on_new: (last_on_new - fault).as_secs_f64(),
            on_new: count(&since, |one| one.on_new) as f64,
            failures: count(asked, Asked::failed) as f64,
            covered: count(asked, |one| one.covered) as f64,
            p99: quantile(&until_then, 0.99).as_secs_f64(),
            ..Run::default()
        }
    }
}

/// The line of the journal about the rollback.
pub(crate) fn rollback(rig: &Rig) -> Value {
    let mut found = Value::Null;
    eventually("the rollback is in the journal", || {
        let text = fs::read_to_string(rig.state.path().join("journal.jsonl")).unwrap_or_default();
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        found = lines.rfind(|line| line["kind"] == "rolled_back").unwrap_or_default();
        !found.is_null()
    });
    found
}

/// When a line was made.
pub(crate) fn at(line: &Value) -> SystemTime {
    let time: jiff::Timestamp = line["time"].as_str().unwrap().parse().unwrap();
    time.into()
}
