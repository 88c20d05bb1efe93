//! What travels: the JSON of requests and answers, apart from the types inside.

use std::collections::BTreeMap;
use std::time::SystemTime;

use control_plane::{
    ArmStatus, Bound, Changed, FallbackStatus, GuardStatus, LastChange, LatchStatus, MigrationStatus,
    Reloaded, Status, Where,
};
use serde::{Deserialize, Deserializer, Serialize};
use traffic_split::{Arm, Percent, Reason};

use crate::ramp::RampAnswer;
use crate::shadow::ShadowAnswer;

/// `POST .../percent`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetPercent {
    /// A number of per cent, or a text such as `"37.5%"`.
    #[serde(deserialize_with = "percent")]
    pub(crate) percent: Percent,
    #[serde(default)]
    pub(crate) who: Option<String>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// What is given up or closed does not stand in the way; needs a reason. So in all below.
    #[serde(default)]
    pub(crate) force: bool,
}

/// `POST .../phase`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetPhase {
    pub(crate) phase: String,
    #[serde(default)]
    pub(crate) who: Option<String>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) force: bool,
}

/// `POST .../rollback`; the body may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollBack {
    /// Where to: a number of per cent, `"old"` or `"previous-step"`; where the file says, if it is left out.
    #[serde(default)]
    pub(crate) to: Option<serde_json::Value>,
    /// All users at once, also where the file has them return in parts.
    #[serde(default)]
    pub(crate) now: bool,
    #[serde(default)]
    pub(crate) who: Option<String>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) force: bool,
}

/// `POST .../undo`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Undo {
    /// The number of a line of the journal.
    pub(crate) to: u64,
    #[serde(default)]
    pub(crate) who: Option<String>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) force: bool,
}

/// `POST reload`, `.../resume`, `.../advance`, `.../pause` and `.../drill`; their body may be left out. A reload cannot be
/// forced.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaidBy {
    #[serde(default)]
    pub(crate) who: Option<String>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) force: bool,
}

/// `GET status`.
#[derive(Debug, Serialize)]
pub(crate) struct StatusAnswer<'a> {
    version: &'static str,
    started_at: String,
    uptime_seconds: f64,
    ready: bool,
    draining: bool,
    generation: u64,
    workers: usize,
    connections_open: u64,
    listeners: Vec<ListenerAnswer>,
    config: ConfigAnswer<'a>,
    state: StateAnswer<'a>,
    migrations: Vec<MigrationAnswer<'a>>,
}

#[derive(Debug, Serialize)]
struct ListenerAnswer {
    listen: String,
    bound: String,
}

#[derive(Debug, Serialize)]
struct ConfigAnswer<'a> {
    path: &'a str,
    last_reload_successful: bool,
    last_applied_at: String,
    last_error: Option<&'a str>,
    reloads: ReloadsAnswer,
    needs_restart: &'a [String],
    warnings: &'a [String],
}

#[derive(Debug, Serialize)]
struct ReloadsAnswer {
    applied: u64,
    refused: u64,
    unchanged: u64,
}

#[derive(Debug, Serialize)]
struct StateAnswer<'a> {
    /// Whether intents and latches outlive a restart.
    durable: bool,
    dir: Option<&'a str>,
    /// Why the journal cannot be written, if so.
    problem: Option<&'a str>,
    /// Lines that wait until it can be.
    unwritten: usize,
    note: String,
}

/// `GET migrations`.
#[derive(Debug, Serialize)]
pub(crate) struct MigrationsAnswer<'a> {
    migrations: Vec<MigrationAnswer<'a>>,
}

/// What the guard says of new.
#[derive(Debug, Serialize)]
struct GuardAnswer<'a> {
    verdict: &'static str,
    /// Natural logarithm of the evidence that new is worse; at 0 users go back. `null` where there is nothing to judge by.
    ln_evidence: Option<f64>,
    sentence: &'a str,
    dry_run: bool,
}

impl<'a> From<&'a GuardStatus> for GuardAnswer<'a> {
    fn from(guard: &'a GuardStatus) -> Self {
        GuardAnswer {
            verdict: guard.verdict.as_str(),
            ln_evidence: guard.ln_evidence,
            sentence: &guard.sentence,
            dry_run: guard.dry_run,
        }
    }
}

/// `GET migrations/{name}`.
#[derive(Debug, Serialize)]
pub(crate) struct MigrationAnswer<'a> {
    name: &'a str,
    old: &'a str,
    new: &'a str,
    phase: &'static str,
    phase_from: &'static str,
    percent: PercentAnswer,
    why: &'a str,
    /// What the guard says; `null` where there is none.
    guard: Option<GuardAnswer<'a>>,
    /// `null` where there is none.
    shadow: Option<ShadowAnswer<'a>>,
    /// `null` where there is none.
    ramp: Option<RampAnswer>,
    /// `null` where nothing is latched.
    latched: Option<LatchAnswer<'a>>,
    /// What the last rollback came to, while it is latched.
    verified: Option<&'a str>,
    /// Rollbacks of this attempt, across restarts.
    rollbacks_of_attempt: u32,
    /// Rollbacks since the start, by cause.
    rollbacks: BTreeMap<&'static str, u64>,
    last_change: Option<LastChangeAnswer<'a>>,
    attempt: u64,
    salt: &'a str,
    keys: &'a [String],
    arms: ArmsAnswer<'a>,
    fallback: FallbackAnswer,
    keyless_requests: u64,
}

#[derive(Debug, Serialize)]
struct PercentAnswer {
    asked: f64,
    asked_from: &'static str,
    in_force: f64,
    /// Over the latest minute; `null` without requests.
    measured: Option<f64>,
}

#[derive(Debug, Serialize)]
struct LatchAnswer<'a> {
    cap: f64,
    cause: &'static str,
    since: Option<String>,
    who: Option<&'a str>,
    reason: Option<&'a str>,
    /// All of it.
    sentence: &'a str,
}

#[derive(Debug, Serialize)]
struct LastChangeAnswer<'a> {
    at: String,
    who: &'a str,
    what: &'a str,
    reason: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct ArmsAnswer<'a> {
    old: ArmAnswer<'a>,
    new: ArmAnswer<'a>,
}

#[derive(Debug, Serialize)]
struct ArmAnswer<'a> {
    requests: u64,
    failures: u64,
    client_aborts: u64,
    /// The addresses of its upstream.
    endpoints: Vec<EndpointAnswer<'a>>,
}

#[derive(Debug, Serialize)]
struct EndpointAnswer<'a> {
    address: &'a str,
    healthy: bool,
}

/// What became of requests that new failed; the reasons are those of the metrics.
#[derive(Debug, Serialize)]
struct FallbackAnswer {
    on: bool,
    answered: u64,
    answered_by_reason: BTreeMap<&'static str, u64>,
    withheld: u64,
    withheld_by_reason: BTreeMap<&'static str, u64>,
}

/// What a changed percent or phase did.
#[derive(Debug, Serialize)]
pub(crate) struct ChangedAnswer<'a> {
    generation: u64,
    effects: &'a [String],
    migration: MigrationAnswer<'a>,
}

/// What a reload did.
#[derive(Debug, Serialize)]
pub(crate) struct ReloadedAnswer {
    generation: u64,
    changed: bool,
    effects: Vec<String>,
    needs_restart: Vec<String>,
    warnings: Vec<String>,
}

/// `GET migrations/{name}/journal`.
#[derive(Debug, Serialize)]
pub(crate) struct JournalAnswer {
    pub(crate) migration: String,
    /// As they are in the journal, oldest first.
    pub(crate) lines: Vec<serde_json::Value>,
}

/// `GET migrations/{name}/where`.
#[derive(Debug, Serialize)]
pub(crate) struct WhereAnswer {
    arm: &'static str,
    bucket: Option<f64>,
    percent: f64,
    phase: &'static str,
    reason: &'static str,
    explanation: String,
}

impl<'a> From<&'a Status> for StatusAnswer<'a> {
    fn from(status: &'a Status) -> Self {
        let reload = &status.reload;
        StatusAnswer {
            version: status.version,
            started_at: timestamp(status.started_at),
            uptime_seconds: status.uptime.as_secs_f64(),
            ready: status.is_ready(),
            draining: status.draining,
            generation: status.generation,
            workers: status.workers,
            connections_open: status.connections_open,
            listeners: status.listeners.iter().map(ListenerAnswer::from).collect(),
            config: ConfigAnswer {
                path: &status.config_path,
                last_reload_successful: reload.last_successful,
                last_applied_at: timestamp(reload.last_applied_at),
                last_error: reload.last_error.as_deref(),
                reloads: ReloadsAnswer {
                    applied: reload.counts.applied,
                    refused: reload.counts.refused,
                    unchanged: reload.counts.unchanged,
                },
                needs_restart: &reload.needs_restart,
                warnings: &reload.warnings,
            },
            state: StateAnswer {
                durable: status.state.is_durable(),
                dir: status.state.dir.as_deref(),
                problem: status.state.problem.as_deref(),
                unwritten: status.state.unwritten,
                note: status.state.sentence(),
            },
            migrations: status.migrations.iter().map(MigrationAnswer::from).collect(),
        }
    }
}

impl From<&Bound> for ListenerAnswer {
    fn from(bound: &Bound) -> Self {
        ListenerAnswer { listen: bound.asked.to_string(), bound: bound.bound.to_string() }
    }
}

impl<'a> From<&'a Status> for MigrationsAnswer<'a> {
    fn from(status: &'a Status) -> Self {
        MigrationsAnswer { migrations: status.migrations.iter().map(MigrationAnswer::from).collect() }
    }
}

impl<'a> From<&'a MigrationStatus> for MigrationAnswer<'a> {
    fn from(migration: &'a MigrationStatus) -> Self {
        MigrationAnswer {
            name: &migration.name,
            old: &migration.old,
            new: &migration.new,
            phase: migration.phase.as_str(),
            phase_from: migration.phase_from.as_str(),
            percent: PercentAnswer {
                asked: migration.asked.as_f64(),
                asked_from: migration.asked_from.as_str(),
                in_force: migration.in_force.as_f64(),
                measured: migration.measured,
            },
            why: &migration.why,
            guard: migration.guard.as_ref().map(GuardAnswer::from),
            shadow: migration.shadow.as_ref().map(ShadowAnswer::from),
            ramp: migration.ramp.as_ref().map(RampAnswer::from),
            latched: migration.latch.as_ref().map(LatchAnswer::from),
            verified: migration.verified.as_deref(),
            rollbacks_of_attempt: migration.rollbacks_of_attempt,
            rollbacks: migration.rollbacks.iter().map(|(cause, count)| (cause.as_str(), *count)).collect(),
            last_change: migration.last_change.as_ref().map(LastChangeAnswer::from),
            attempt: migration.attempt,
            salt: &migration.salt,
            keys: &migration.keys,
            arms: ArmsAnswer {
                old: ArmAnswer::from(&migration.old_arm),
                new: ArmAnswer::from(&migration.new_arm),
            },
            fallback: FallbackAnswer::from(&migration.fallback),
            keyless_requests: migration.keyless,
        }
    }
}

impl<'a> From<&'a LatchStatus> for LatchAnswer<'a> {
    fn from(latch: &'a LatchStatus) -> Self {
        let by = latch.by.as_ref();
        LatchAnswer {
            cap: latch.cap.as_f64(),
            cause: latch.cause.as_str(),
            since: by.map(|by| timestamp(by.at)),
            who: by.map(|by| by.who.as_str()),
            reason: by.and_then(|by| by.reason.as_deref()),
            sentence: &latch.sentence,
        }
    }
}

impl<'a> From<&'a LastChange> for LastChangeAnswer<'a> {
    fn from(change: &'a LastChange) -> Self {
        LastChangeAnswer {
            at: timestamp(change.at),
            who: &change.who,
            what: &change.what,
            reason: change.reason.as_deref(),
        }
    }
}

impl<'a> From<&'a ArmStatus> for ArmAnswer<'a> {
    fn from(arm: &'a ArmStatus) -> Self {
        let endpoints = arm.endpoints.iter();
        ArmAnswer {
            requests: arm.requests,
            failures: arm.failures,
            client_aborts: arm.client_aborts,
            endpoints: endpoints
                .map(|one| EndpointAnswer { address: &one.address, healthy: one.healthy })
                .collect(),
        }
    }
}

impl From<&FallbackStatus> for FallbackAnswer {
    fn from(fallback: &FallbackStatus) -> Self {
        let sum = |counts: &[(&str, u64)]| counts.iter().map(|(_, count)| count).sum();
        FallbackAnswer {
            on: fallback.on,
            answered: sum(&fallback.answered),
            answered_by_reason: fallback.answered.iter().copied().collect(),
            withheld: sum(&fallback.withheld),
            withheld_by_reason: fallback.withheld.iter().copied().collect(),
        }
    }
}

impl<'a> From<&'a Changed> for ChangedAnswer<'a> {
    fn from(changed: &'a Changed) -> Self {
        ChangedAnswer {
            generation: changed.generation,
            effects: &changed.effects,
            migration: MigrationAnswer::from(&changed.migration),
        }
    }
}

impl From<Reloaded> for ReloadedAnswer {
    fn from(reloaded: Reloaded) -> Self {
        let Reloaded { generation, changed, effects, needs_restart, warnings } = reloaded;
        ReloadedAnswer { generation, changed, effects, needs_restart, warnings }
    }
}

impl From<&Where> for WhereAnswer {
    fn from(place: &Where) -> Self {
        WhereAnswer {
            arm: place.arm.as_str(),
            bucket: place.bucket,
            percent: place.percent.as_f64(),
            phase: place.phase.as_str(),
            reason: place.reason.as_str(),
            explanation: explanation(place),
        }
    }
}

fn explanation(place: &Where) -> String {
    match (place.reason, place.bucket) {
        (Reason::KeyList, _) => format!("a list of keys sends it to {}", place.arm),
        (Reason::Bucket, Some(bucket)) => {
            let side = if place.arm == Arm::New { "below" } else { "not below" };
            format!("its bucket {bucket:.8} is {side} {} %", place.percent)
        }
        (Reason::ForcedHeader, _) => format!("a header sends it to {}", place.arm),
        (Reason::NoKey | Reason::Bucket, _) => "an empty key is no key: old".to_owned(),
    }
}

/// RFC 3339 in UTC, to the microsecond.
fn timestamp(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|time| format!("{time:.6}")).unwrap_or_default()
}

fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Percent, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }
    let refused = |error: &dyn std::fmt::Display| serde::de::Error::custom(format!("percent: {error}"));
    match Written::deserialize(deserializer) {
        Ok(Written::Number(number)) => Percent::from_f64(number).map_err(|error| refused(&error)),
        Ok(Written::Text(text)) => text.parse().map_err(|error| refused(&error)),
        Err(_) => Err(refused(&"expected a number of per cent, 0 to 100, or a text such as \"37.5%\"")),
    }
}
