//! The JSON of `guard.json`, apart from the types inside.
//!
//! Members that this version does not know are passed over. Numbers come back to the last bit.

use std::collections::BTreeMap;
use std::time::Duration;

use rollback_guard::{Breach, Cause, GuardState, ProofState, Quantile, Signal, Tally, TestState};
use serde::{Deserialize, Serialize};

use super::{Stake, Stakes};

const VERSION: u64 = 1;

#[derive(Serialize, Deserialize)]
struct FileJson {
    version: u64,
    guards: BTreeMap<String, GuardJson>,
}

/// Looked at first: the rest of another version may be anything.
#[derive(Deserialize)]
struct VersionJson {
    version: u64,
}

#[derive(Serialize, Deserialize)]
struct GuardJson {
    step: String,
    now_s: f64,
    step_elapsed_s: f64,
    old: TallyJson,
    new: TallyJson,
    rollback: Vec<TestJson>,
    rollback_paid: f64,
    pause: Vec<TestJson>,
    pause_paid: f64,
    gate: Vec<ProofJson>,
    /// Buckets and what is in them.
    old_latency: Vec<(u16, f64)>,
    learn_at_s: f64,
    old_quantiles: Vec<(String, u16)>,
    #[serde(default)]
    zero_tolerance: u64,
    hold: Option<HoldJson>,
    breach: Option<BreachJson>,
}

#[derive(Serialize, Deserialize)]
struct TallyJson {
    requests: u64,
    failures: u64,
}

#[derive(Serialize, Deserialize)]
struct TestJson {
    cause: String,
    line: f64,
    capital: [f64; 7],
    old_bad: f64,
    old_all: f64,
}

#[derive(Serialize, Deserialize)]
struct ProofJson {
    cause: String,
    line: f64,
    ln_e: [f64; 5],
    passed: bool,
    old_bad: f64,
    old_all: f64,
    #[serde(default)]
    new_bad: f64,
    #[serde(default)]
    new_all: f64,
}

#[derive(Serialize, Deserialize)]
struct HoldJson {
    cause: String,
    quiet_s: f64,
}

#[derive(Serialize, Deserialize)]
struct BreachJson {
    cause: String,
    at_s: u64,
    at_ns: u32,
    ln_w: f64,
    old: TallyJson,
    new: TallyJson,
}

/// The text of the file.
pub(crate) fn encode(stakes: &Stakes) -> String {
    let guards = stakes.iter().map(|(name, stake)| (name.clone(), GuardJson::of(stake))).collect();
    // Numbers that are finite and texts under literal names: nothing in it can fail to be JSON.
    serde_json::to_string(&FileJson { version: VERSION, guards }).unwrap_or_default()
}

/// Reads the text of the file.
///
/// # Errors
/// A sentence about what is wrong with it.
pub(crate) fn decode(text: &str) -> Result<Stakes, String> {
    let damaged = |error: serde_json::Error| format!("it is not as it was written: {error}");
    let VersionJson { version } = serde_json::from_str(text).map_err(damaged)?;
    if version != VERSION {
        return Err(format!("it is of version {version}, and this program reads version {VERSION}"));
    }
    let file: FileJson = serde_json::from_str(text).map_err(damaged)?;
    let read = |(name, guard): (String, GuardJson)| {
        let stake = guard.read().map_err(|why| format!("{name}: {why}"))?;
        Ok((name, stake))
    };
    file.guards.into_iter().map(read).collect()
}

impl GuardJson {
    fn of(stake: &Stake) -> Self {
        let state = &stake.state;
        let [old, new] = state.step.map(TallyJson::of);
        let quantiles = state.old_quantiles.iter();
        GuardJson {
            step: stake.step.clone(),
            now_s: finite(state.now_s),
            step_elapsed_s: finite(state.step_elapsed_s),
            old,
            new,
            rollback: state.rollback.iter().map(TestJson::of).collect(),
            rollback_paid: finite(state.rollback_paid),
            pause: state.pause.iter().map(TestJson::of).collect(),
            pause_paid: finite(state.pause_paid),
            gate: state.gate.iter().map(ProofJson::of).collect(),
            old_latency: state.old_latency.iter().map(|(bucket, count)| (*bucket, finite(*count))).collect(),
            learn_at_s: finite(state.learn_at_s),
            old_quantiles: quantiles.map(|(quantile, edge)| (quantile.to_string(), *edge)).collect(),
            zero_tolerance: state.zero_tolerance,
            hold: state
                .hold
                .map(|(cause, quiet_s)| HoldJson { cause: cause.to_string(), quiet_s: finite(quiet_s) }),
            breach: state.breach.as_ref().map(BreachJson::of),
        }
    }

    fn read(self) -> Result<Stake, String> {
        let quantiles = self.old_quantiles.into_iter();
        let state = GuardState {
            now_s: self.now_s,
            step_elapsed_s: self.step_elapsed_s,
            step: [self.old, self.new].map(TallyJson::read),
            rollback: self.rollback.into_iter().map(TestJson::read).collect::<Result<_, _>>()?,
            rollback_paid: self.rollback_paid,
            pause: self.pause.into_iter().map(TestJson::read).collect::<Result<_, _>>()?,
            pause_paid: self.pause_paid,
            gate: self.gate.into_iter().map(ProofJson::read).collect::<Result<_, _>>()?,
            old_latency: self.old_latency,
            learn_at_s: self.learn_at_s,
            old_quantiles: quantiles
                .map(|(name, edge)| quantile(&name).map(|quantile| (quantile, edge)))
                .collect::<Result<_, _>>()?,
            zero_tolerance: self.zero_tolerance,
            hold: self.hold.map(|hold| Ok::<_, String>((cause(&hold.cause)?, hold.quiet_s))).transpose()?,
            breach: self.breach.map(BreachJson::read).transpose()?,
        };
        Ok(Stake { step: self.step, state })
    }
}

impl TallyJson {
    fn of(tally: Tally) -> Self {
        TallyJson { requests: tally.requests, failures: tally.failures }
    }

    fn read(self) -> Tally {
        Tally { requests: self.requests, failures: self.failures }
    }
}

impl TestJson {
    fn of(test: &TestState) -> Self {
        TestJson {
            cause: test.cause.to_string(),
            line: finite(test.line),
            capital: test.capital.map(finite),
            old_bad: finite(test.old.0),
            old_all: finite(test.old.1),
        }
    }

    fn read(self) -> Result<TestState, String> {
        let TestJson { cause: name, line, capital, old_bad, old_all } = self;
        Ok(TestState { cause: cause(&name)?, line, capital, old: (old_bad, old_all) })
    }
}

impl ProofJson {
    fn of(proof: &ProofState) -> Self {
        ProofJson {
            cause: proof.cause.to_string(),
            line: finite(proof.line),
            ln_e: proof.ln_e.map(finite),
            passed: proof.passed,
            old_bad: finite(proof.old.0),
            old_all: finite(proof.old.1),
            new_bad: finite(proof.new.0),
            new_all: finite(proof.new.1),
        }
    }

    fn read(self) -> Result<ProofState, String> {
        let ProofJson { cause: name, line, ln_e, passed, old_bad, old_all, new_bad, new_all } = self;
        let (old, new) = ((old_bad, old_all), (new_bad, new_all));
        Ok(ProofState { cause: cause(&name)?, line, ln_e, passed, old, new })
    }
}

impl BreachJson {
    fn of(breach: &Breach) -> Self {
        BreachJson {
            cause: breach.cause.to_string(),
            at_s: breach.at.as_secs(),
            at_ns: breach.at.subsec_nanos(),
            ln_w: finite(breach.ln_w),
            old: TallyJson::of(breach.old),
            new: TallyJson::of(breach.new),
        }
    }

    fn read(self) -> Result<Breach, String> {
        let BreachJson { cause: name, at_s, at_ns, ln_w, old, new } = self;
        let at = Duration::from_secs(at_s).checked_add(Duration::from_nanos(at_ns.into()));
        let at = at.ok_or_else(|| format!("{at_s} s are too long"))?;
        Ok(Breach { cause: cause(&name)?, at, ln_w, new: new.read(), old: old.read() })
    }
}

/// JSON has no other numbers. What is none at all is no evidence.
fn finite(number: f64) -> f64 {
    if number.is_nan() { 0.0 } else { number.clamp(f64::MIN, f64::MAX) }
}

fn cause(name: &str) -> Result<Cause, String> {
    name.parse().map_err(|_| format!("`{name}` is no signal"))
}

fn quantile(name: &str) -> Result<Quantile, String> {
    match cause(name)? {
        Cause { signal: Signal::Latency(quantile), .. } => Ok(quantile),
        _ => Err(format!("`{name}` is no quantile")),
    }
}
