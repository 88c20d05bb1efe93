//! `status`: what is asked for beside what is in force and what is measured.

mod shadow;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::api::{Api, CallError};
use crate::cli::StatusArgs;
use crate::output::{self, Exit};
use crate::status::shadow::Shadow;

/// How often `--watch` asks.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// To the upper left corner, and nothing below.
const REDRAW: &str = "\x1b[H\x1b[2J";

pub(crate) fn status(args: &StatusArgs) -> Exit {
    let api = match Api::find(&args.admin) {
        Ok(api) => api,
        Err(error) => return error.tell(),
    };
    let redraw = args.watch && !args.json && std::io::IsTerminal::is_terminal(&std::io::stdout());
    loop {
        let text = match shown(&api, args) {
            Ok(text) => text,
            Err(error) => return error.tell(),
        };
        output::say(&format!("{}{text}", if redraw { REDRAW } else { "" }));
        if !args.watch {
            return Exit::Done;
        }
        std::thread::park_timeout(WATCH_INTERVAL);
    }
}

fn shown(api: &Api, args: &StatusArgs) -> Result<String, CallError> {
    let answer = api.get("/api/v1/status")?;
    let of_name = |answer: &Value| {
        let migrations = answer["migrations"].as_array().into_iter().flatten();
        let found =
            args.name.as_ref().map(|name| migrations.clone().find(|one| one["name"] == name.as_str()));
        match (found, &args.name) {
            (None, _) => Ok(None),
            (Some(Some(migration)), _) => Ok(Some(migration.clone())),
            (Some(None), name) => {
                let name = name.as_deref().unwrap_or_default();
                Err(CallError::Refused(format!("there is no migration `{name}`")))
            }
        }
    };
    let one = of_name(&answer)?;
    if args.json {
        return Ok(format!("{:#}\n", one.unwrap_or(answer)));
    }
    let strange =
        |error: serde_json::Error| CallError::Refused(format!("the answer is not understood: {error}"));
    match one {
        Some(migration) => Ok(details(&serde_json::from_value(migration).map_err(strange)?)),
        None => Ok(overview(&serde_json::from_value(answer).map_err(strange)?)),
    }
}

#[derive(Debug, Deserialize)]
struct Status {
    version: String,
    uptime_seconds: f64,
    ready: bool,
    draining: bool,
    generation: u64,
    connections_open: u64,
    listeners: Vec<Listener>,
    config: Config,
    state: State,
    migrations: Vec<Migration>,
}

#[derive(Debug, Deserialize)]
struct Listener {
    bound: String,
}

#[derive(Debug, Deserialize)]
struct Config {
    path: String,
    last_reload_successful: bool,
    last_error: Option<String>,
    needs_restart: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct State {
    durable: bool,
    note: String,
}

#[derive(Debug, Deserialize)]
struct Guard {
    sentence: String,
    dry_run: bool,
}

#[derive(Debug, Deserialize)]
struct Ramp {
    step: usize,
    steps: Vec<f64>,
    held_seconds: f64,
    hold_seconds: f64,
    waits_for: String,
}

#[derive(Debug, Deserialize)]
struct Migration {
    name: String,
    old: String,
    new: String,
    phase: String,
    percent: Percent,
    why: String,
    guard: Option<Guard>,
    shadow: Option<Shadow>,
    ramp: Option<Ramp>,
    latched: Option<Latch>,
    verified: Option<String>,
    last_change: Option<LastChange>,
    keys: Vec<String>,
    salt: String,
    arms: Arms,
    fallback: Fallback,
    keyless_requests: u64,
}

#[derive(Debug, Deserialize)]
struct Percent {
    asked: f64,
    in_force: f64,
    measured: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Latch {
    sentence: String,
}

#[derive(Debug, Deserialize)]
struct LastChange {
    at: String,
    who: String,
    what: String,
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Arms {
    old: Arm,
    new: Arm,
}

#[derive(Debug, Deserialize)]
struct Arm {
    requests: u64,
    failures: u64,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    address: String,
    healthy: bool,
}

#[derive(Debug, Deserialize)]
struct Fallback {
    on: bool,
    answered: u64,
    answered_by_reason: BTreeMap<String, u64>,
    withheld: u64,
    withheld_by_reason: BTreeMap<String, u64>,
}

impl Migration {
    /// Each arm's name, upstream and figures, old first.
    fn arms(&self) -> [(&'static str, &str, &Arm); 2] {
        [("old", &self.old, &self.arms.old), ("new", &self.new, &self.arms.new)]
    }
}

fn overview(status: &Status) -> String {
    let listeners: Vec<&str> = status.listeners.iter().map(|listener| listener.bound.as_str()).collect();
    let state = match (status.draining, status.ready) {
        (true, _) => "draining",
        (false, true) => "ready",
        (false, false) => "not ready",
    };
    let mut text = format!(
        "crossfade {}: {state}, up {}, generation {} of {}\n",
        status.version,
        duration(status.uptime_seconds),
        status.generation,
        status.config.path
    );
    text.push_str(&format!(
        "listening on {}, {} client connections\n\n",
        if listeners.is_empty() { "nothing".to_owned() } else { listeners.join(", ") },
        status.connections_open
    ));
    text.push_str(&table(&status.migrations));
    let mut notes = Vec::from_iter(latched(&status.migrations));
    notes.extend(shadows_off(&status.migrations));
    notes.extend(unhealthy(&status.migrations));
    if !status.config.last_reload_successful {
        let error = status.config.last_error.as_deref().unwrap_or("no reason given");
        notes
            .push(format!("the last reload was refused, generation {} runs on:\n{error}", status.generation));
    }
    notes.extend(status.config.needs_restart.iter().map(|line| format!("needs a restart: {line}")));
    if !status.state.durable {
        notes.push(format!("state: {}", status.state.note));
    }
    for note in notes {
        text.push_str(&format!("\n{}\n", note.trim_end()));
    }
    text
}

fn table(migrations: &[Migration]) -> String {
    if migrations.is_empty() {
        return "no migrations\n".to_owned();
    }
    let head = ["MIGRATION", "PHASE", "ASKED", "IN FORCE", "MEASURED", "FALLBACKS"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(migrations.iter().map(|migration| {
        vec![
            migration.name.clone(),
            migration.phase.clone(),
            share(migration.percent.asked),
            share(migration.percent.in_force),
            measured(migration.percent.measured),
            match &migration.fallback {
                Fallback { on: false, answered: 0, withheld: 0, .. } => "off".to_owned(),
                Fallback { answered, withheld: 0, .. } => answered.to_string(),
                Fallback { answered, withheld, .. } => format!("{answered}, {withheld} withheld"),
            },
        ]
    }));
    let head = ["ARM", "REQUESTS", "FAILURES", "HEALTHY"];
    let mut arms = vec![head.map(str::to_owned).to_vec()];
    for migration in migrations {
        arms.extend(migration.arms().map(|(name, _, arm)| {
            vec![
                format!("{} {name}", migration.name),
                arm.requests.to_string(),
                arm.failures.to_string(),
                healthy(&arm.endpoints),
            ]
        }));
    }
    let mut shadows = vec![shadow::HEAD.map(str::to_owned).to_vec()];
    shadows.extend(migrations.iter().filter_map(|one| Some(one.shadow.as_ref()?.row(&one.name))));
    let shadows = if shadows.len() > 1 { format!("\n{}", output::table(&shadows)) } else { String::new() };
    format!("{}\n{}{shadows}", output::table(&rows), output::table(&arms))
}

/// `2 of 2`, or a dash before they have been looked at.
fn healthy(endpoints: &[Endpoint]) -> String {
    let healthy = endpoints.iter().filter(|endpoint| endpoint.healthy).count();
    if endpoints.is_empty() { "-".to_owned() } else { format!("{healthy} of {}", endpoints.len()) }
}

/// The latched migrations, a line each.
fn latched(migrations: &[Migration]) -> Option<String> {
    let lines: Vec<String> = migrations
        .iter()
        .filter_map(|one| Some(format!("{}: {}\n", one.name, one.latched.as_ref()?.sentence)))
        .collect();
    (!lines.is_empty()).then(|| lines.concat())
}

/// The shadows that are switched off, a line each.
fn shadows_off(migrations: &[Migration]) -> Option<String> {
    let off = migrations.iter().filter_map(|one| Some((one, one.shadow.as_ref()?)));
    let off = off.filter(|(_, shadow)| shadow.state == "off");
    let lines: Vec<String> =
        off.map(|(one, shadow)| format!("{}: shadow {}\n", one.name, shadow.sentence)).collect();
    (!lines.is_empty()).then(|| lines.concat())
}

/// Every address that is not healthy, once.
fn unhealthy(migrations: &[Migration]) -> Option<String> {
    let mut lines = BTreeSet::new();
    for (_, upstream, arm) in migrations.iter().flat_map(Migration::arms) {
        let bad = arm.endpoints.iter().filter(|endpoint| !endpoint.healthy);
        lines.extend(bad.map(|endpoint| format!("unhealthy: {upstream} {}\n", endpoint.address)));
    }
    (!lines.is_empty()).then(|| lines.into_iter().collect())
}

fn details(migration: &Migration) -> String {
    let percent = &migration.percent;
    let mut rows = vec![
        ("migration", migration.name.clone()),
        ("phase", migration.phase.clone()),
        ("asked", share(percent.asked)),
        ("in force", share(percent.in_force)),
        ("measured", format!("{} over the last minute", measured(percent.measured))),
        ("why", migration.why.clone()),
    ];
    if let Some(guard) = &migration.guard {
        let note = if guard.dry_run { " (dry run)" } else { "" };
        rows.push(("guard", format!("{}{note}", guard.sentence)));
    }
    if let Some(ramp) = &migration.ramp {
        rows.extend(self::ramp(ramp));
    }
    rows.extend(migration.shadow.iter().flat_map(Shadow::details));
    if let Some(latch) = &migration.latched {
        rows.insert(2, ("latch", latch.sentence.clone()));
    }
    if let Some(verified) = &migration.verified {
        rows.insert(3, ("verified", verified.clone()));
    }
    for (name, upstream, arm) in migration.arms() {
        rows.push((name, format!("{upstream}: {} requests, {} failures", arm.requests, arm.failures)));
        rows.extend(arm.endpoints.iter().map(|endpoint| {
            let health = if endpoint.healthy { "healthy" } else { "unhealthy" };
            ("", format!("{} {health}", endpoint.address))
        }));
    }
    rows.extend(fallback(&migration.fallback));
    rows.extend([
        ("keys", migration.keys.join(", ")),
        ("salt", migration.salt.clone()),
        ("keyless", format!("{} requests", migration.keyless_requests)),
    ]);
    if let Some(change) = &migration.last_change {
        let reason = change.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        rows.push(("last change", format!("{}: {} by {}{reason}", change.at, change.what, change.who)));
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    output::table(&rows)
}

fn ramp(ramp: &Ramp) -> [(&'static str, String); 2] {
    let of = ramp.steps.len();
    let place = match ramp.step.checked_sub(1).and_then(|index| ramp.steps.get(index)) {
        Some(percent) => {
            let (held, hold) = (duration(ramp.held_seconds), duration(ramp.hold_seconds));
            format!("step {} of {of}, {}: served for {held} of {hold}", ramp.step, share(*percent))
        }
        None => format!("before the first of {of} steps"),
    };
    [("ramp", place), ("waits for", ramp.waits_for.clone())]
}

fn fallback(fallback: &Fallback) -> Vec<(&'static str, String)> {
    if !fallback.on && fallback.answered + fallback.withheld == 0 {
        return vec![("fallbacks", "off".to_owned())];
    }
    let reasons = |count: u64, what: &str, reasons: &BTreeMap<String, u64>| {
        let reasons: Vec<String> =
            reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        let colon = if reasons.is_empty() { "" } else { ": " };
        format!("{count} {what}{colon}{}", reasons.join(", "))
    };
    let answered = reasons(fallback.answered, "requests answered by old", &fallback.answered_by_reason);
    let withheld = reasons(fallback.withheld, "failures passed on", &fallback.withheld_by_reason);
    vec![("fallbacks", answered), ("withheld", withheld)]
}

fn share(percent: f64) -> String {
    format!("{percent} %")
}

fn measured(percent: Option<f64>) -> String {
    percent.map_or("-".to_owned(), |percent| format!("{percent:.2} %"))
}

/// The two largest units.
fn duration(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    let (days, hours, minutes) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{whole} s"),
        (0, 0, _) => format!("{minutes} min {} s", whole % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn migration() -> Value {
        json!({
            "name": "shop", "old": "shop-old", "new": "shop-new", "phase": "canary", "phase_from": "file",
            "percent": { "asked": 37.5, "asked_from": "person", "in_force": 37.5, "measured": 37.4321 },
            "why": "phase canary: the percent asked for is in force",
            "latched": null,
            "last_change": { "at": "2026-01-01T00:00:00Z", "who": "alice", "what": "37.5 % asked for", "reason": "fine" },
            "attempt": 1, "salt": "shop", "keys": ["header:x-user-id"],
            "arms": {
                "old": {
                    "requests": 625, "failures": 0, "client_aborts": 0,
                    "endpoints": [
                        { "address": "10.0.0.11:8080", "healthy": true },
                        { "address": "10.0.0.12:8080", "healthy": false }
                    ]
                },
                "new": { "requests": 375, "failures": 39, "client_aborts": 0, "endpoints": [] }
            },
            "fallback": {
                "on": true, "answered": 37, "answered_by_reason": { "connect": 30, "status-5xx": 7 },
                "withheld": 2, "withheld_by_reason": { "not-replayable": 2 }
            },
            "keyless_requests": 3
        })
    }

    #[test]
    fn the_overview_shows_asked_beside_measured() {
        let status = serde_json::from_value(json!({
            "version": "0.1.0", "uptime_seconds": 3725.5, "ready": true, "draining": false, "generation": 4,
            "connections_open": 12, "listeners": [{ "listen": "0.0.0.0:8080", "bound": "0.0.0.0:8080" }],
            "config": {
                "path": "/etc/crossfade/crossfade.toml", "last_reload_successful": false,
                "last_error": "crossfade.toml: 1 error\n", "needs_restart": ["proxy.workers: running 2, file says 4"]
            },
            "state": { "durable": false, "note": "memory only" },
            "migrations": [migration()]
        }))
        .unwrap();
        assert_eq!(
            overview(&status),
            "\
crossfade 0.1.0: ready, up 1 h 2 min, generation 4 of /etc/crossfade/crossfade.toml
listening on 0.0.0.0:8080, 12 client connections

MIGRATION  PHASE   ASKED   IN FORCE  MEASURED  FALLBACKS
shop       canary  37.5 %  37.5 %    37.43 %   37, 2 withheld

ARM       REQUESTS  FAILURES  HEALTHY
shop old  625       0         1 of 2
shop new  375       39        -

unhealthy: shop-old 10.0.0.12:8080

the last reload was refused, generation 4 runs on:
crossfade.toml: 1 error

needs a restart: proxy.workers: running 2, file says 4

state: memory only
"
        );
    }

    #[test]
    fn the_details_say_why() {
        let text = details(&serde_json::from_value(migration()).unwrap());
        for line in [
            "why          phase canary: the percent asked for is in force",
            "             10.0.0.12:8080 unhealthy",
            "new          shop-new: 375 requests, 39 failures",
            "fallbacks    37 requests answered by old: connect 30, status-5xx 7",
            "withheld     2 failures passed on: not-replayable 2",
            "last change  2026-01-01T00:00:00Z: 37.5 % asked for by alice (fine)",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\nis not in\n{text}");
        }
    }

    #[test]
    fn a_latch_is_shown() {
        let mut migration = migration();
        let sentence = "latched at 0 % since 2026-01-01T00:00:00Z: rolled back by alice: errors in the cart";
        migration["latched"] = json!({ "sentence": sentence });
        let migration: Migration = serde_json::from_value(migration).unwrap();
        assert!(details(&migration).contains(&format!("latch        {sentence}\n")));
        assert_eq!(latched(&[migration]), Some(format!("shop: {sentence}\n")));
    }

    #[test]
    fn a_shadow_that_is_off_is_noted() {
        let mut migration = migration();
        migration["shadow"] = json!({
            "state": "off", "sentence": "off since 2026-01-01T00:00:00Z, by the guard: slow", "pairs_per_second": 0.0,
            "comparisons": {}, "match_rate": { "compared": 0, "text": "no comparisons yet" }, "top_drops": []
        });
        let migration: Migration = serde_json::from_value(migration).unwrap();
        assert!(
            details(&migration).contains("shadow       off since 2026-01-01T00:00:00Z, by the guard: slow\n")
        );
        let migrations = [migration];
        assert!(
            table(&migrations)
                .contains("SHADOW  STATE  PAIRS/S  COMPARED  MATCH\nshop    off    0.0      0         -\n")
        );
        let note = "shop: shadow off since 2026-01-01T00:00:00Z, by the guard: slow\n";
        assert_eq!(shadows_off(&migrations).as_deref(), Some(note));
    }

    #[test]
    fn large_numbers_fit_a_terminal() {
        let mut migration = migration();
        migration["name"] = json!("checkout-payments");
        migration["phase"] = json!("preparation");
        for arm in ["old", "new"] {
            migration["arms"][arm]["requests"] = json!(123_456_789_012_u64);
            migration["arms"][arm]["failures"] = json!(1_234_567_890);
        }
        migration["fallback"]["answered"] = json!(1_234_567);
        let text = table(&[serde_json::from_value(migration).unwrap()]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("1234567, 2 withheld"), "{text}");
    }

    #[test]
    fn without_fallbacks_nothing_is_counted() {
        let none = json!({
            "on": false, "answered": 0, "answered_by_reason": {}, "withheld": 0, "withheld_by_reason": {}
        });
        let mut migration = migration();
        migration["fallback"] = none;
        let migration: Migration = serde_json::from_value(migration).unwrap();
        assert!(details(&migration).lines().any(|line| line == "fallbacks    off"));
        assert!(table(&[migration]).lines().any(|line| line.ends_with("37.43 %   off")));
    }

    #[test]
    fn durations() {
        for (seconds, expected) in
            [(0.4, "0 s"), (61.0, "1 min 1 s"), (7_260.0, "2 h 1 min"), (90_000.0, "1 d 1 h"), (-1.0, "0 s")]
        {
            assert_eq!(duration(seconds), expected);
        }
    }
}
