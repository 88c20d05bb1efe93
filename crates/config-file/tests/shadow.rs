//! What a file says of copies and of answers that differ, and what it comes to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod example;
mod get;

use config_file::{Checked, NoFiles, Outcome, Severity, ShadowConfig, Standing};
use example::{HEAD, MIGRATION};
use get::Get;
use rollback_guard::MismatchLimit;
use route_plan::{CanaryCopies, Credentials, HostRule, Phase, ShadowPolicy, When};
use traffic_split::Percent;

/// A file with these lines at the end of its migration.
fn outcome(lines: &str) -> Outcome {
    let env = |name: &str| match name {
        "TOKEN" => Some("Bearer abc".to_owned()),
        "NO" => Some("false".to_owned()),
        _ => None,
    };
    config_file::parse(&format!("{HEAD}{MIGRATION}{lines}\n"), "test.toml", &env, &NoFiles)
}

fn checked(lines: &str) -> Checked {
    let outcome = outcome(lines);
    let shown = outcome.render(false);
    outcome.checked.unwrap_or_else(|| panic!("{lines}\n{shown}"))
}

fn shadow(lines: &str) -> Option<ShadowConfig> {
    checked(lines).migrations[0].shadow.clone()
}

fn codes(lines: &str) -> Vec<&'static str> {
    outcome(lines).diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

/// The policy that workers get in this phase.
fn in_phase(lines: &str, phase: Phase, shadow_off: bool) -> Option<ShadowPolicy> {
    let standing = Standing { asked: Percent::ZERO, phase, cap: Percent::FULL, shadow_off };
    let snapshot = checked(lines).snapshot(1, &|_| standing);
    snapshot.migrations[0].shadow.as_deref().cloned()
}

fn percent(text: &str) -> Percent {
    text.parse().unwrap()
}

#[test]
fn a_shadow_of_which_nothing_is_said_has_the_defaults() {
    let expected = ShadowConfig { is_written: true, ..ShadowConfig::default() };
    for lines in ["shadow = true", "shadow = {}", "[migration.shop.shadow]", "shadow = { credentials = {} }"]
    {
        // A table of routes has no equality of its own.
        assert_eq!(format!("{:?}", shadow(lines)), format!("{:?}", Some(&expected)), "{lines}");
    }
    assert_eq!(format!("{:?}", shadow("")), format!("{:?}", Some(ShadowConfig::default())));
    assert_eq!(expected.policy.holdout, percent("2"));
    for none in ["shadow = false", "shadow = \"${NO}\""] {
        assert!(shadow(none).is_none(), "{none}");
    }
}

#[test]
fn every_field_has_its_effect() {
    let ShadowConfig { policy, is_written, max_effect, ignore, redact } = shadow(
        "[migration.shop.shadow]\npercent = 12.5\ncanary = \"both\"\nmethods = [\"GET\", \"POST\", \"GET\"]\n\
         except = [{ path = \"/admin/*\" }]\nper_second = 7\nconcurrency = 3\nwhen = \"after\"\nbody_limit = \"1MiB\"\n\
         deadline = \"3s\"\nholdout = 50\nmax_effect = \"2x\"\nmax_failures = \"20%\"\nhost = \"endpoint\"\n\
         ignore = [\"$.meta.at\", \"header:Date\", \"header:date\", \"trailer:X\"]\nredact = [\"$.card\"]\n\
         credentials = { remove = [\"Cookie\", \"cookie\"], set = { \"Authorization\" = \"${TOKEN}\" } }",
    )
    .unwrap();
    assert!(is_written);
    assert_eq!((policy.percent, policy.canary), (percent("12.5"), CanaryCopies::Both));
    assert_eq!(policy.methods, [b"GET".as_slice(), b"POST"].map(Box::from));
    assert_eq!((policy.per_second, policy.concurrency, policy.when), (7, 3, When::After));
    assert_eq!((policy.body_bytes, policy.deadline_ms, policy.holdout), (1 << 20, 3_000, percent("50")));
    assert_eq!((policy.max_failures, policy.host), (Some(percent("20")), Some(HostRule::Endpoint)));
    let set = vec![("authorization".to_owned(), b"Bearer abc".as_slice().into())];
    assert_eq!(policy.credentials, Credentials { remove: vec!["cookie".to_owned()], set });
    assert!(policy.except.find(&Get("/admin/x")).is_some() && policy.except.find(&Get("/cart")).is_none());
    assert!(!policy.off);
    assert_eq!(max_effect, Some(2.0));
    assert_eq!(ignore, ["$.meta.at", "header:date", "trailer:x"]);
    assert_eq!(redact, ["$.card"]);
}

#[test]
fn limits_can_be_switched_off() {
    let limits = |fields: &str| {
        let shadow = shadow(&format!("shadow = {{ {fields} }}")).unwrap();
        (shadow.max_effect, shadow.policy.max_failures)
    };
    assert_eq!(limits(""), (Some(1.2), Some(percent("50"))));
    assert_eq!(limits("max_effect = false, max_failures = false"), (None, None));
    assert_eq!(limits("holdout = 0"), (None, Some(percent("50"))), "nothing to measure it by");
    let host = shadow("shadow = { host = \"copies.internal\" }").unwrap().policy.host;
    assert_eq!(host, Some(HostRule::Fixed("copies.internal".to_owned())));
}

#[test]
fn copies_are_made_in_the_phases_that_they_are_wanted_in() {
    let phases = |lines: &str| Phase::ALL.map(|phase| in_phase(lines, phase, false).is_some());
    // Preparation, shadow, canary, full, cleanup.
    assert_eq!(phases(""), [false, true, false, false, false]);
    assert_eq!(phases("shadow = true"), [false, true, true, true, false]);
    assert_eq!(phases("shadow = { canary = \"none\" }"), [false, true, false, true, false]);
    assert_eq!(phases("shadow = false"), [false; 5]);
    assert!(!in_phase("shadow = true", Phase::Shadow, false).unwrap().off);
    assert!(in_phase("shadow = true", Phase::Shadow, true).unwrap().off);
    let captured = "shadow = true\ncompare = { capture_limit = \"1MiB\" }";
    assert_eq!(in_phase(captured, Phase::Shadow, false).unwrap().capture_bytes, 1 << 20);
}

#[test]
fn mismatches_are_limited_where_the_file_has_a_shadow() {
    let limit = |lines: &str| checked(lines).migrations[0].guard.clone().unwrap().limits.mismatches;
    let none = MismatchLimit::default();
    let by_default = MismatchLimit { pause: Some(0.001), rollback: None };
    assert_eq!(limit(""), none);
    assert_eq!(limit("phase = \"shadow\""), none);
    assert_eq!(limit("guard = { mismatches = { pause = \"1%\" } }"), none);
    assert_eq!(limit("shadow = true"), by_default);
    assert_eq!(limit("shadow = true\nguard = {}"), by_default);
    assert_eq!(limit("shadow = false"), none);
    let both = limit("shadow = true\nguard = { mismatches = { pause = \"0.5%\", rollback = 2 } }");
    assert_eq!(both, MismatchLimit { pause: Some(0.005), rollback: Some(0.02) });
    let back = limit("shadow = true\nguard = { mismatches = { pause = false, rollback = 2 } }");
    assert_eq!(back, MismatchLimit { pause: None, rollback: Some(0.02) });
    let guard = checked("shadow = true\nguard = { zero_tolerance = [\"$.total\", \"header:Location\"] }")
        .migrations[0]
        .guard
        .clone();
    assert_eq!(guard.unwrap().zero_tolerance, ["$.total", "header:location"]);
}

#[test]
fn whoever_copies_requests_is_told_that_they_execute_twice() {
    for (lines, expected) in [
        ("", vec![]),
        ("percent = 5", vec![]),
        ("shadow = false", vec![]),
        ("shadow = true", vec!["shadow-executes-twice"]),
        ("phase = \"shadow\"", vec!["shadow-executes-twice"]),
        ("rollback = { then = \"shadow\" }", vec!["shadow-executes-twice"]),
        ("phase = \"shadow\"\nshadow = true", vec!["shadow-executes-twice"]),
        ("shadow = { methods = [\"TRACE\"] }", vec!["shadow-executes-twice"]),
        ("shadow = { methods = [\"POST\"] }", vec!["unsafe-shadow"]),
        ("ramp = \"expansion\"\nshadow = true", vec!["ramp-before-shadow", "shadow-executes-twice"]),
        ("ramp = \"expansion\"\nshadow = false", vec![]),
        ("ramp = \"expansion\"\nphase = \"shadow\"\nshadow = true", vec!["shadow-executes-twice"]),
        ("ramp = \"expansion\"\npercent = 5\nshadow = true", vec!["shadow-executes-twice"]),
        ("phase = \"shadow\"\nshadow = false", vec!["no-shadow"]),
        ("guard = { mismatches = {} }", vec!["needs-shadow"]),
        ("guard = { zero_tolerance = [\"$.a\"] }\nphase = \"shadow\"", vec!["shadow-executes-twice"]),
    ] {
        assert_eq!(codes(lines), expected, "{lines}");
    }
    let severity = |lines: &str| outcome(lines).diagnostics[0].severity;
    assert_eq!(severity("shadow = true"), Severity::Note);
    assert_eq!(severity("shadow = { methods = [\"PUT\"] }"), Severity::Warning);
    let quiet = outcome("shadow = true");
    assert_eq!((quiet.errors(), quiet.warnings(), quiet.notes()), (0, 0, 1));
}
