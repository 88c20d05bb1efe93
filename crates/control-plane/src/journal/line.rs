//! The JSON of a line, apart from the types inside.
//!
//! What this version does not know is passed over, so that an older version can go on with the journal of a newer
//! one; what it needs and does not find is damage.

use std::time::SystemTime;

use ramp::reshuffle::Dealing;
use ramp::{Cause, Intent, Latch, Origin, Parts, Written};
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
    latch: Option<LatchLine>,
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
    cause: String,
    by: Option<ByLine>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileLine {
    percent: f64,
    phase: Option<String>,
    attempt: u64,
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
        let Parts { percent, phase, percent_from, phase_from, written, attempt, latch } =
            state.intent.parts();
        let LastChanges { percent: percent_by, phase: phase_by, latch: latch_by } = &state.last_changes;
        let Dealing { upstreams, salt, keys, assigned_cookie, trusted_proxies, .. } = &state.dealing;
        let phase_name = |phase: Phase| phase.as_str().to_owned();
        StateLine {
            present: state.is_present,
            percent: percent.as_f64(),
            percent_from: percent_from.as_str().to_owned(),
            percent_by: percent_by.as_ref().map(ByLine::of),
            phase: phase.map(phase_name),
            phase_from: phase_from.as_str().to_owned(),
            phase_by: phase_by.as_ref().map(ByLine::of),
            in_force: state.intent.standing().in_force().as_f64(),
            attempt,
            latch: latch.map(|latch| LatchLine {
                cap: latch.cap.as_f64(),
                cause: latch.cause.as_str().to_owned(),
                by: latch_by.as_ref().map(ByLine::of),
            }),
            file: FileLine {
                percent: written.percent.as_f64(),
                phase: written.phase.map(phase_name),
                attempt: written.attempt,
            },
            dealing: DealingLine {
                old: upstreams.0.clone(),
                new: upstreams.1.clone(),
                salt: String::from_utf8_lossy(salt).into_owned(),
                keys: keys.iter().map(ToString::to_string).collect(),
                assigned_cookie: assigned_cookie.clone(),
                trusted_proxies: trusted_proxies.clone(),
            },
        }
    }

    fn read(&self, name: &str) -> Result<State, String> {
        let latch = match &self.latch {
            Some(latch) => Some(Latch {
                cap: percent(latch.cap)?,
                cause: Cause::named(&latch.cause)
                    .ok_or_else(|| format!("`{}` is no cause of a rollback", latch.cause))?,
            }),
            None => None,
        };
        let intent = Intent::from_parts(Parts {
            percent: percent(self.percent)?,
            phase: phase(self.phase.as_deref())?,
            percent_from: origin(&self.percent_from)?,
            phase_from: origin(&self.phase_from)?,
            written: Written {
                percent: percent(self.file.percent)?,
                phase: phase(self.file.phase.as_deref())?,
                attempt: self.file.attempt,
            },
            attempt: self.attempt,
            latch,
        });
        let by = |by: Option<&ByLine>| by.map(ByLine::read).transpose();
        let last_changes = LastChanges {
            percent: by(self.percent_by.as_ref())?,
            phase: by(self.phase_by.as_ref())?,
            latch: by(self.latch.as_ref().and_then(|latch| latch.by.as_ref()))?,
        };
        let DealingLine { old, new, salt, keys, assigned_cookie, trusted_proxies } = &self.dealing;
        let keys = keys.iter().map(|key| key.parse().map_err(|error| format!("key `{key}`: {error}")));
        let dealing = Dealing {
            name: name.to_owned(),
            upstreams: (old.clone(), new.clone()),
            salt: salt.clone().into_bytes(),
            keys: keys.collect::<Result<_, _>>()?,
            assigned_cookie: assigned_cookie.clone(),
            trusted_proxies: trusted_proxies.clone(),
            in_force: intent.standing().in_force(),
        };
        Ok(State { intent, last_changes, dealing, is_present: self.present })
    }
}

impl ByLine {
    fn of(change: &LastChange) -> Self {
        let LastChange { who, reason, at, what } = change;
        ByLine { who: who.clone(), reason: reason.clone(), at: timestamp(*at), what: what.clone() }
    }

    fn read(&self) -> Result<LastChange, String> {
        let at: jiff::Timestamp =
            self.at.parse().map_err(|error| format!("`{}` is no time: {error}", self.at))?;
        Ok(LastChange {
            who: self.who.clone(),
            reason: self.reason.clone(),
            at: SystemTime::from(at),
            what: self.what.clone(),
        })
    }
}

/// RFC 3339 in UTC, to the microsecond.
pub(super) fn timestamp(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|time| format!("{time:.6}")).unwrap_or_default()
}

fn percent(number: f64) -> Result<Percent, String> {
    Percent::from_f64(number).map_err(|error| format!("{number} is no percent: {error}"))
}

fn phase(name: Option<&str>) -> Result<Option<Phase>, String> {
    name.map(|name| name.parse().map_err(|error| format!("phase: {error}"))).transpose()
}

fn origin(word: &str) -> Result<Origin, String> {
    [Origin::File, Origin::Person]
        .into_iter()
        .find(|origin| origin.as_str() == word)
        .ok_or_else(|| format!("`{word}` is nobody who asks"))
}
