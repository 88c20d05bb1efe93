//! Which requests are copied to the other arm, and how.

use response_diff::Limits;
use response_diff::redact::Redactor;
use rollback_guard::{shift_factor, tolerated_shift};
use route_plan::{CanaryCopies, Phase, ShadowPolicy, When};
use traffic_split::Percent;

use super::{heads, is_token, rules, whole};
use crate::checked::ShadowConfig;
use crate::diagnostic::{Diagnostic, Sink, Spot};
use crate::nearest::one_of;
use crate::written::{Said, Table};

/// What the copies of a migration go by; `None` where there are none ever, or a part of it is wrong. Where the file has
/// no word on it, only phase `shadow` makes copies, by the defaults.
pub(super) fn shadow(migration: &Table, sink: &mut Sink) -> Option<ShadowConfig> {
    if migration.flag("shadow") == Some(false) {
        return None;
    }
    let Some(table) = migration.table("shadow") else { return Some(ShadowConfig::default()) };
    let methods = methods(table, sink);
    let except = rules::listed(table, "except", sink);
    let host = table.text("host").map(|said| heads::host_rule(&said, sink));
    let credentials = table.table("credentials").map(|table| heads::credentials(table, sink));
    let holdout = holdout(table, sink);
    let max_effect = max_effect(table, holdout.as_ref(), sink);
    let max_failures = max_failures(table, sink);
    let policy = ShadowPolicy {
        percent: table.share("percent")?.value,
        canary: match table.text("canary")?.value {
            "both" => CanaryCopies::Both,
            "none" => CanaryCopies::None,
            _ => CanaryCopies::ToNew,
        },
        methods,
        except: except?,
        per_second: whole(&table.count("per_second")?),
        concurrency: whole(&table.count("concurrency")?),
        when: if table.text("when")?.value == "after" { When::After } else { When::With },
        body_bytes: whole(&table.bytes("body_limit")?),
        deadline_ms: whole(&table.millis("deadline")?),
        holdout: holdout?.value,
        max_failures,
        host: host.unwrap_or_default(),
        credentials: credentials?,
        ..ShadowPolicy::default()
    };
    let (ignore, redact) = (places(table, "ignore", sink), redacted(table, sink));
    Some(ShadowConfig { policy, is_written: true, max_effect, ignore, redact })
}

/// Whether the file has a shadow for this migration, be it right or wrong.
pub(super) fn is_written(migration: &Table) -> bool {
    migration.wrote("shadow") && migration.flag("shadow") != Some(false)
}

/// Says what copying a request means, where any are copied. `shadow` is what the migration's shadow comes to.
pub(super) fn executes_twice(
    migration: &Table,
    phase: Option<Phase>,
    shadow: Option<&ShadowConfig>,
    sink: &mut Sink,
) {
    let Some(shadow) = shadow else { return };
    let key = migration.key("shadow").map(|key| migration.spot.child("shadow", key));
    let spot = key.or_else(|| {
        let said = migration.text("phase").filter(|_| phase == Some(Phase::Shadow));
        said.or_else(|| rollback_to_shadow(migration)).map(|said| said.spot)
    });
    let Some(spot) = spot else { return };
    let methods = migration.table("shadow").map(|table| table.texts("methods")).unwrap_or_default();
    let is_listed =
        |said: &Said<&str>| shadow.policy.methods.iter().any(|method| **method == *said.value.as_bytes());
    let risky: Vec<_> = methods.into_iter().filter(|said| is_listed(said) && !is_safe(said.value)).collect();
    let Some(first) = risky.first() else {
        let message =
            "requests that are copied execute twice: by the arm that serves them, and by the other one";
        return sink.push(Diagnostic::note("shadow-executes-twice", &spot, message));
    };
    let names: Vec<&str> = risky.iter().map(|said| said.value).collect();
    let message = format!(
        "{} requests that are copied execute twice: what they order, pay or delete happens on both arms",
        names.join(", ")
    );
    let help = "list only methods that do no harm when they are repeated, or leave requests out by `except`";
    sink.push(Diagnostic::warning("unsafe-shadow", &first.spot, message).help(help));
}

/// Warns where a phase that is named for copies makes none.
pub(super) fn no_copies(migration: &Table, phase: Option<Phase>, sink: &mut Sink) {
    if migration.flag("shadow") != Some(false) {
        return;
    }
    let phase = migration.text("phase").filter(|_| phase == Some(Phase::Shadow));
    for said in phase.into_iter().chain(rollback_to_shadow(migration)) {
        let message = "no copies are made: with `shadow = false` phase `shadow` does what `preparation` does";
        let diagnostic = Diagnostic::warning("no-shadow", &said.spot, message);
        let diagnostic = match migration.key("shadow") {
            Some(key) => diagnostic.label(key, "switched off here"),
            None => diagnostic,
        };
        sink.push(diagnostic);
    }
}

fn rollback_to_shadow(migration: &Table) -> Option<Said<&str>> {
    let then = migration.table("rollback").and_then(|rollback| rollback.text("then"));
    then.filter(|said| said.value == Phase::Shadow.as_str())
}

/// RFC 9110 section 9.2.1.
fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

fn methods(table: &Table, sink: &mut Sink) -> Vec<Box<[u8]>> {
    let mut methods: Vec<Box<[u8]>> = Vec::new();
    for said in table.texts("methods") {
        if !rules::check_method(&said, sink) {
            continue;
        }
        if said.value == "CONNECT" {
            let message = "`CONNECT` is never copied: it opens a tunnel";
            sink.push(
                Diagnostic::error("bad-method", &said.spot, message).expected("a method such as `GET`"),
            );
            continue;
        }
        if !methods.iter().any(|method| **method == *said.value.as_bytes()) {
            methods.push(said.value.as_bytes().into());
        }
    }
    methods
}

fn holdout(table: &Table, sink: &mut Sink) -> Option<Said<Percent>> {
    let said = table.share("holdout")?;
    if said.value.millionths() > Percent::FULL.millionths() / 2 {
        let message = format!("`{}` % is out of range", said.value);
        let diagnostic = Diagnostic::error("out-of-range", &said.spot, message);
        sink.push(diagnostic.expected("at most 50 %").help("for fewer copies set `percent`"));
    }
    Some(said)
}

/// The factor that has to be caught; `None`: nothing is.
fn max_effect(table: &Table, holdout: Option<&Said<Percent>>, sink: &mut Sink) -> Option<f64> {
    let said = table.factor("max_effect")?;
    if said.value <= shift_factor(tolerated_shift(said.value)) {
        let message = format!("`{}x` is out of range: latencies are not compared that closely", said.value);
        sink.push(Diagnostic::error("out-of-range", &said.spot, message).expected("at least 1.1x"));
    }
    if let Some(holdout) = holdout.filter(|holdout| holdout.value == Percent::ZERO) {
        let message = "without requests that are held out, nobody notices when copies make users wait";
        let diagnostic = Diagnostic::warning("needs-holdout", &holdout.spot, message);
        let help = "leave `holdout` at 2 %, or write `max_effect = false` where that is meant";
        sink.push(diagnostic.help(help));
        return None;
    }
    Some(said.value)
}

fn max_failures(table: &Table, sink: &mut Sink) -> Option<Percent> {
    let said = table.share("max_failures")?;
    if said.value == Percent::ZERO {
        let diagnostic = Diagnostic::error("out-of-range", &said.spot, "`0` % is out of range");
        let help = "write `max_failures = false` where copies are sent whatever becomes of them";
        sink.push(diagnostic.expected("more than 0 %").help(help));
    }
    Some(said.value)
}

/// What is hidden of answers before anything is kept of them.
fn redacted(table: &Table, sink: &mut Sink) -> Vec<String> {
    let mut rules: Vec<String> = Vec::new();
    for said in table.texts("redact") {
        let rule = said.value.to_owned();
        // The key is of no account here.
        match Redactor::new(&[0; 32], std::slice::from_ref(&rule), &Limits::default(), 0) {
            Ok(_) if rules.contains(&rule) => {}
            Ok(_) => rules.push(rule),
            Err(errors) => {
                let message = errors.first().map(|error| error.message.clone()).unwrap_or_default();
                let message = format!("`{}` is nothing that could be hidden: {message}", said.value);
                let help = is_token(said.value).then(|| meant(said.value));
                let expected = one_of(&["$.path", "header:name", "trailer:name", "query:name", "text:regex"]);
                let diagnostic = Diagnostic::error("bad-place", &said.spot, message);
                sink.push(diagnostic.expected(expected).maybe_help(help));
            }
        }
    }
    rules
}

/// What a name alone may have been meant as.
fn meant(name: &str) -> String {
    // A member with a hyphen in its name is written in brackets (RFC 9535 section 2.5.1.1).
    let is_path = name.split('.').all(|word| {
        word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && word.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
    });
    if is_path {
        format!("for a member of JSON write \"$.{name}\", for a header \"header:{name}\"")
    } else {
        format!("for a header write \"header:{name}\"")
    }
}

/// JSONPaths and headers, as the comparison knows them. Whether the paths are any is for who compiles them.
pub(super) fn places(table: &Table, field: &str, sink: &mut Sink) -> Vec<String> {
    let mut places: Vec<String> = Vec::new();
    for said in table.texts(field) {
        let place = match said.value.split_once(':') {
            Some((kind @ ("header" | "trailer"), name)) if is_token(name) => {
                format!("{kind}:{}", name.to_ascii_lowercase())
            }
            // One cookie of all that an answer sets.
            Some(("header", name)) if name.split_once(':').is_some_and(is_cookie) => format!("header:{name}"),
            _ if said.value.starts_with('$') => said.value.to_owned(),
            _ => {
                let message = format!("`{}` is no place in an answer", said.value);
                let help = match said.value.split_once(':') {
                    None if is_token(said.value) => Some(meant(said.value)),
                    _ => None,
                };
                let expected = one_of(&["$.path", "header:name", "trailer:name"]);
                let diagnostic = Diagnostic::error("bad-place", &said.spot, message);
                sink.push(diagnostic.expected(expected).maybe_help(help));
                continue;
            }
        };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// Warns where users get new before any answer was compared, although there is a shadow.
pub(super) fn ramp_first(name: &str, migration: &Table, phase: Option<Phase>, sink: &mut Sink) {
    let is_at_once =
        phase.is_none() && migration.share("percent").is_some_and(|said| said.value == Percent::ZERO);
    let Some(key) = migration.key("ramp").filter(|_| is_at_once && is_written(migration)) else { return };
    let message = "without a phase the ramp begins at once, before any answers were compared";
    let diagnostic = Diagnostic::warning("ramp-before-shadow", &migration.spot.child("ramp", key), message);
    let help =
        format!("write `phase = \"shadow\"`: `crossfade advance {name}` goes on when the answers match");
    let diagnostic = match migration.key("shadow") {
        Some(shadow) => diagnostic.label(shadow, "the shadow"),
        None => diagnostic,
    };
    sink.push(diagnostic.help(help));
}

/// `set-cookie:session`, split.
fn is_cookie((field, cookie): (&str, &str)) -> bool {
    field.eq_ignore_ascii_case("set-cookie") && is_token(cookie)
}

/// Warns where mismatches are limited of which there are none.
pub(super) fn needs_shadow(migration: &Table, phase: Option<Phase>, sink: &mut Sink) {
    let Some(guard) = migration.table("guard") else { return };
    if is_written(migration) || phase == Some(Phase::Shadow) || sink.has_unknown_key_in(&migration.spot) {
        return;
    }
    for field in ["mismatches", "zero_tolerance"] {
        let Some(key) = guard.key(field) else { continue };
        let spot: Spot = guard.spot.child(field, key);
        let message = format!("`{field}` does nothing where no answers are compared");
        let help = "add `shadow = true` or a shadow table to the migration, or leave it out";
        sink.push(Diagnostic::warning("needs-shadow", &spot, message).help(help));
    }
}
