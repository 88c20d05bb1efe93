//! The JSON of a line, apart from the types inside.
//!
//! What this version does not know is passed over, so that an older version can go on with the journal of a newer
//! one; what it needs and does not find is damage.

use std::time::{Duration, SystemTime};

use ramp::reshuffle::Dealing;
use ramp::{Cause, Intent, Latch, Origin, Pause, Progress, ShadowOff, Written};
use route_plan::Phase;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use traffic_split::Percent;

use super::record::{Entry, State};
use crate::change::LastChanges;
use crate::status::LastChange;

/// What the first line of all has in place of a hash.
pub(super) const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) time: String,
    pub(super) prev: String,
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) migration: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) who: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) data: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<StateLine>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StateLine {
    present: bool,
    percent: f64,
    percent_from: String,
    percent_by: Option<ByLine>,
    phase: Option<String>,
    phase_from: String,
    phase_by: Option<ByLine>,
    /// For those who read the journal; it follows from the rest.
    in_force: f64,
    attempt: u64,
    #[serde(default)]
    rollbacks: u32,
    latch: Option<LatchLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ramp: Option<RampLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frozen_at: Option<f64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    drilling: bool,
    /// Why no requests are copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shadow_off: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shadow_by: Option<ByLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    full_since: Option<String>,
    file: FileLine,
    dealing: DealingLine,
}

#[derive(Debug, Serialize, Deserialize)]
struct ByLine {
    who: String,
    reason: Option<String>,
    at: String,
    what: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct LatchLine {
    cap: f64,
    /// Where users return to in parts; `None`: they are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<f64>,
    #[serde(default)]
    from: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    then: Option<String>,
    cause: String,
    by: Option<ByLine>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RampLine {
    entered: usize,
    held_s: f64,
    approved: bool,
    drilled: bool,
    paused: Option<String>,
    arrived_at: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileLine {
    percent: f64,
    phase: Option<String>,
    attempt: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ramp: Vec<f64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct DealingLine {
    old: String,
    new: String,
    salt: String,
    keys: Vec<String>,
    assigned_cookie: Option<String>,
    trusted_proxies: Vec<String>,
}

/// The text of a line, without its end.
pub(super) fn encode(entry: &Entry, seq: u64, prev: &str) -> String {
    let line = Line {
        seq,
        time: timestamp(entry.at),
        prev: prev.to_owned(),
        kind: entry.kind.as_str().to_owned(),
        migration: entry.migration.clone(),
        who: entry.who.clone(),
        reason: entry.reason.clone(),
        data: entry.data.clone(),
        state: entry.state.as_ref().map(StateLine::of),
    };
    // Numbers and texts under literal names: nothing in it can fail to be JSON.
    serde_json::to_string(&line).unwrap_or_default()
}

/// Reads the text of a line, without its end.
pub(super) fn decode(text: &[u8]) -> Result<Line, String> {
    serde_json::from_slice(text).map_err(|error| format!("it is not a line of a journal: {error}"))
}

/// What the next line names this one by.
pub(super) fn hash(text: &[u8]) -> String {
    Sha256::digest(text).iter().fold(String::with_capacity(64), |mut hex, byte| {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
        hex
    })
}

impl Line {
    /// The state of its migration after it, if it tells one.
    pub(super) fn state(&self) -> Result<Option<State>, String> {
        let name = self.migration.as_deref().unwrap_or_default();
        self.state.as_ref().map(|state| state.read(name)).transpose()
    }
}

impl StateLine {
    fn of(state: &State) -> Self {
        let intent = &state.intent;
        let LastChanges { percent: percent_by, phase: phase_by, latch: latch_by, shadow: shadow_by } =
            &state.last_changes;
        StateLine {
            present: state.is_present,
            percent: intent.percent.as_f64(),
            percent_from: intent.percent_from.as_str().to_owned(),
            percent_by: percent_by.as_ref().map(ByLine::of),
            phase: intent.phase.map(phase_name),
            phase_from: intent.phase_from.as_str().to_owned(),
            phase_by: phase_by.as_ref().map(ByLine::of),
            in_force: intent.standing().in_force().as_f64(),
            attempt: intent.attempt,
            rollbacks: intent.rollbacks,
            latch: intent.latch.map(|latch| LatchLine::of(&latch, latch_by.as_ref())),
            ramp: intent.progress.as_ref().map(RampLine::of),
            frozen_at: intent.frozen_at.map(Percent::as_f64),
            drilling: intent.is_drilling,
            shadow_off: intent.shadow_off.map(|off| off.as_str().to_owned()),
            shadow_by: shadow_by.as_ref().map(ByLine::of),
            full_since: intent.full_since.map(|at| at.to_string()),
            file: FileLine {
                percent: intent.written.percent.as_f64(),
                phase: intent.written.phase.map(phase_name),
                attempt: intent.written.attempt,
                ramp: intent.written.ramp.iter().map(|percent| percent.as_f64()).collect(),
            },
            dealing: DealingLine::of(&state.dealing),
        }
    }

    fn read(&self, name: &str) -> Result<State, String> {
        let intent = Intent {
            percent: percent(self.percent)?,
            phase: phase(self.phase.as_deref())?,
            percent_from: origin(&self.percent_from)?,
            phase_from: origin(&self.phase_from)?,
            written: Written {
                percent: percent(self.file.percent)?,
                phase: phase(self.file.phase.as_deref())?,
                attempt: self.file.attempt,
                ramp: self.file.ramp.iter().copied().map(percent).collect::<Result<_, _>>()?,
            },
            attempt: self.attempt,
            latch: self.latch.as_ref().map(LatchLine::read).transpose()?,
            rollbacks: self.rollbacks,
            progress: self.ramp.as_ref().map(RampLine::read).transpose()?,
            frozen_at: self.frozen_at.map(percent).transpose()?,
            is_drilling: self.drilling,
            shadow_off: self.shadow_off.as_deref().map(shadow_off).transpose()?,
            full_since: self.full_since.as_deref().map(time).transpose()?,
        };
        let by = |by: Option<&ByLine>| by.map(ByLine::read).transpose();
        let last_changes = LastChanges {
            percent: by(self.percent_by.as_ref())?,
            phase: by(self.phase_by.as_ref())?,
            latch: by(self.latch.as_ref().and_then(|latch| latch.by.as_ref()))?,
            shadow: by(self.shadow_by.as_ref())?,
        };
        let dealing = self.dealing.read(name, intent.standing().in_force())?;
        Ok(State { intent, last_changes, dealing, is_present: self.present })
    }
}

impl LatchLine {
    fn of(latch: &Latch, by: Option<&LastChange>) -> Self {
        LatchLine {
            cap: latch.cap.as_f64(),
            target: latch.is_returning().then(|| latch.target.as_f64()),
            from: latch.from.as_f64(),
            then: latch.then.map(phase_name),
            cause: latch.cause.as_str().to_owned(),
            by: by.map(ByLine::of),
        }
    }

    fn read(&self) -> Result<Latch, String> {
        let cause = Cause::named(&self.cause);
        Ok(Latch {
            cap: percent(self.cap)?,
            target: percent(self.target.unwrap_or(self.cap))?,
            from: percent(self.from)?,
            then: phase(self.then.as_deref())?,
            cause: cause.ok_or_else(|| format!("`{}` is no cause of a rollback", self.cause))?,
        })
    }
}

impl RampLine {
    fn of(progress: &Progress) -> Self {
        RampLine {
            entered: progress.entered,
            held_s: progress.held.as_secs_f64(),
            approved: progress.approved,
            drilled: progress.drilled,
            paused: progress.paused.map(|why| why.as_str().to_owned()),
            arrived_at: progress.arrived_at.map(|at| at.to_string()),
        }
    }

    fn read(&self) -> Result<Progress, String> {
        let why = |word: &String| {
            let why = Pause::ALL.into_iter().find(|why| why.as_str() == word);
            why.ok_or_else(|| format!("`{word}` is no reason to pause"))
        };
        let held = Duration::try_from_secs_f64(self.held_s);
        Ok(Progress {
            entered: self.entered,
            held: held.map_err(|error| format!("held_s {}: {error}", self.held_s))?,
            approved: self.approved,
            drilled: self.drilled,
            paused: self.paused.as_ref().map(why).transpose()?,
            arrived_at: self.arrived_at.as_deref().map(time).transpose()?,
        })
    }
}

impl DealingLine {
    fn of(dealing: &Dealing) -> Self {
        let Dealing { upstreams, salt, keys, assigned_cookie, trusted_proxies, .. } = dealing;
        DealingLine {
            old: upstreams.0.clone(),
            new: upstreams.1.clone(),
            salt: String::from_utf8_lossy(salt).into_owned(),
            keys: keys.iter().map(ToString::to_string).collect(),
            assigned_cookie: assigned_cookie.clone(),
            trusted_proxies: trusted_proxies.clone(),
        }
    }

    fn read(&self, name: &str, in_force: Percent) -> Result<Dealing, String> {
        let DealingLine { old, new, salt, keys, assigned_cookie, trusted_proxies } = self;
        let keys = keys.iter().map(|key| key.parse().map_err(|error| format!("key `{key}`: {error}")));
        Ok(Dealing {
            name: name.to_owned(),
            upstreams: (old.clone(), new.clone()),
            salt: salt.clone().into_bytes(),
            keys: keys.collect::<Result<_, _>>()?,
            assigned_cookie: assigned_cookie.clone(),
            trusted_proxies: trusted_proxies.clone(),
            in_force,
        })
    }
}

impl ByLine {
    fn of(change: &LastChange) -> Self {
        let LastChange { who, reason, at, what } = change;
        ByLine { who: who.clone(), reason: reason.clone(), at: timestamp(*at), what: what.clone() }
    }

    fn read(&self) -> Result<LastChange, String> {
        Ok(LastChange {
            who: self.who.clone(),
            reason: self.reason.clone(),
            at: SystemTime::from(time(&self.at)?),
            what: self.what.clone(),
        })
    }
}

/// RFC 3339 in UTC, to the microsecond.
pub(super) fn timestamp(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|time| format!("{time:.6}")).unwrap_or_default()
}

fn time(text: &str) -> Result<jiff::Timestamp, String> {
    text.parse().map_err(|error| format!("`{text}` is no time: {error}"))
}

fn phase_name(phase: Phase) -> String {
    phase.as_str().to_owned()
}

fn percent(number: f64) -> Result<Percent, String> {
    Percent::from_f64(number).map_err(|error| format!("{number} is no percent: {error}"))
}

fn phase(name: Option<&str>) -> Result<Option<Phase>, String> {
    name.map(|name| name.parse().map_err(|error| format!("phase: {error}"))).transpose()
}

fn shadow_off(word: &str) -> Result<ShadowOff, String> {
    ShadowOff::ALL
        .into_iter()
        .find(|off| off.as_str() == word)
        .ok_or_else(|| format!("`{word}` is no reason to switch a shadow off"))
}

fn origin(word: &str) -> Result<Origin, String> {
    Origin::ALL
        .into_iter()
        .find(|origin| origin.as_str() == word)
        .ok_or_else(|| format!("`{word}` is nobody who asks"))
}
