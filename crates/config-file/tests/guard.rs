//! What a file says of the guard, and what it comes to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod example;

use std::time::Duration;

use config_file::{GuardConfig, NoFiles, Outcome};
use example::{HEAD, MIGRATION};
use rollback_guard::{Budget, ClientErrors, LatencyLimit, Limits, Quantile, RateLimit, WarmUp};
use route_plan::{AnswerFailures, ValueMatch};

/// A file with these lines at the end of its migration.
fn outcome(lines: &str) -> Outcome {
    let env = |name: &str| match name {
        "YES" => Some("true".to_owned()),
        "NO" => Some("false".to_owned()),
        "ONE" => Some("1".to_owned()),
        "FACTOR" => Some("3".to_owned()),
        "QUANTILE" => Some("0.9".to_owned()),
        _ => None,
    };
    config_file::parse(&format!("{HEAD}{MIGRATION}{lines}\n"), "test.toml", &env, &NoFiles)
}

fn guard(lines: &str) -> Option<GuardConfig> {
    let outcome = outcome(lines);
    let shown = outcome.render(false);
    let checked = outcome.checked.unwrap_or_else(|| panic!("{lines}\n{shown}"));
    checked.migrations[0].guard.clone()
}

fn limits(fields: &str) -> Limits {
    guard(&format!("guard = {{ {fields} }}")).unwrap().limits
}

fn codes(lines: &str) -> Vec<&'static str> {
    outcome(lines).diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

fn quantile(millionths: u32) -> Quantile {
    Quantile::from_millionths(millionths).unwrap()
}

#[test]
fn the_guard_is_on_unless_switched_off() {
    for on in [
        "",
        "guard = true",
        "guard = {}",
        "guard = \"${YES}\"",
        "[migration.shop.guard]",
        "guard = { error_rate = {}, false_alarms = {} }",
        "guard = { latency = [{ quantile = \"p50\" }, { quantile = \"p95\" }, { quantile = \"p99\" }] }",
    ] {
        assert_eq!(guard(on), Some(GuardConfig::default()), "{on}");
    }
    for off in ["guard = false", "guard = \"${NO}\""] {
        assert_eq!(guard(off), None, "{off}");
    }
}

#[test]
fn every_field_has_its_effect() {
    let guard = guard(
        "[migration.shop.guard]\nclient_errors = \"rollback\"\nwarm_up = \"2m\"\nwarm_up_requests = 7\ndry_run = true\n\
         [migration.shop.guard.error_rate]\nover_old = 2\nmax = \"3.5%\"\n\
         [[migration.shop.guard.latency]]\nquantile = 0.999\nover_old = \"1.5x\"\nmax = \"800ms\"\n\
         [migration.shop.guard.false_alarms]\nper_step = \"10%\"\nper_day = 0.000001",
    );
    let limits = Limits {
        budget: Budget { per_step: 0.1, per_day: 1e-8 },
        error_rate: RateLimit { over_old: Some(0.02), max: Some(0.035) },
        latency: vec![LatencyLimit {
            quantile: quantile(999_000),
            over_old: Some(1.5),
            max: Some(Duration::from_millis(800)),
        }],
        client_errors: ClientErrors::Rollback,
        warm_up: WarmUp { time: Duration::from_secs(120), requests: 7 },
        ..Limits::default()
    };
    assert_eq!(guard, Some(GuardConfig { limits, dry_run: true, ..GuardConfig::default() }));
}

#[test]
fn failures_are_the_statuses_and_headers_listed() {
    let failures =
        |fields: &str| guard(&format!("guard = {{ failures = {{ {fields} }} }}")).unwrap().failures;
    assert_eq!(failures(""), AnswerFailures::default());
    assert_eq!(failures("statuses = [\"5xx\"], header = {}"), AnswerFailures::default());
    assert_eq!(failures("statuses = []"), AnswerFailures::of([], Vec::new()));
    let header = |name: &str, value: Option<&str>| ValueMatch {
        name: name.to_owned(),
        value: value.map(str::to_owned),
    };
    assert_eq!(
        failures("statuses = [429, \"50${ONE}\"], header = { X-Degraded = \"true\", x-stale = true }"),
        AnswerFailures::of(
            [429..=429, 501..=501],
            vec![header("x-degraded", Some("true")), header("x-stale", None)]
        )
    );
}

#[test]
fn error_rates_are_compared_unless_told_otherwise() {
    let rate = |fields: &str| limits(&format!("error_rate = {{ {fields} }}")).error_rate;
    assert_eq!(rate("max = 1"), RateLimit { over_old: Some(0.005), max: Some(0.01) });
    for off in ["false", "\"${NO}\""] {
        let wanted = RateLimit { over_old: None, max: Some(0.01) };
        assert_eq!(rate(&format!("over_old = {off}, max = \"1%\"")), wanted, "{off}");
    }
    assert_eq!(rate("over_old = \"99.999999%\"").over_old, Some(0.999_999_99));
    assert_eq!(rate("over_old = 0.000001").over_old, Some(1e-8));
}

#[test]
fn latencies_are_limited_by_quantile() {
    let latency = |entries: &str| limits(&format!("latency = [{entries}]")).latency;
    assert_eq!(latency(""), []);
    let limit = |millionths, over_old, max: Option<u64>| LatencyLimit {
        quantile: quantile(millionths),
        over_old,
        max: max.map(Duration::from_millis),
    };
    assert_eq!(
        latency(
            "{ quantile = 0.5 }, { quantile = 0.95, over_old = false, max = \"1s\" }, \
             { quantile = \"p99.9\", over_old = \"1000x\", max = \"4m\" }"
        ),
        [
            limit(500_000, Some(2.0), None),
            limit(950_000, None, Some(1_000)),
            limit(999_000, Some(1000.0), Some(240_000))
        ]
    );
    for (written, millionths) in [
        ("0.95", 950_000),
        ("+0.95", 950_000),
        ("9.5e-1", 950_000),
        ("0.9_5", 950_000),
        ("0.000001", 1),
        ("0.999999", 999_999),
        ("\"p95\"", 950_000),
        ("\"p2.5\"", 25_000),
        ("\"p99.9999\"", 999_999),
        ("\"0.95\"", 950_000),
        ("\"${QUANTILE}\"", 900_000),
        ("\"p9${FACTOR}\"", 930_000),
    ] {
        assert_eq!(
            latency(&format!("{{ quantile = {written} }}")),
            [limit(millionths, Some(2.0), None)],
            "{written}"
        );
    }
    let variable = latency("{ quantile = 0.5, over_old = \"${FACTOR}x\" }");
    assert_eq!(variable, [limit(500_000, Some(3.0), None)]);
}

#[test]
fn client_errors_are_a_choice_of_three() {
    let wanted = [ClientErrors::Pause, ClientErrors::Rollback, ClientErrors::Ignore];
    for (written, wanted) in ["pause", "rollback", "ignore"].into_iter().zip(wanted) {
        assert_eq!(limits(&format!("client_errors = \"{written}\"")).client_errors, wanted);
    }
    assert_eq!(limits("warm_up = \"0s\", warm_up_requests = 0").warm_up, WarmUp::NONE);
}

#[test]
fn factors_that_are_too_close_are_warned_of() {
    for (factor, is_warned_of) in
        [("1.01x", true), ("1.4x", true), ("1.47x", true), ("1.48x", false), ("1.5x", false), ("4x", false)]
    {
        let codes =
            codes(&format!("guard = {{ latency = [{{ quantile = 0.5, over_old = \"{factor}\" }}] }}"));
        assert_eq!(codes == ["small-factor"], is_warned_of, "{factor}: {codes:?}");
    }
}

#[test]
fn whoever_sends_all_users_to_new_is_told_that_nothing_judges_it() {
    for (lines, is_told) in [
        ("phase = \"full\"", true),
        ("phase = \"cleanup\"\nguard = true", true),
        ("phase = \"full\"\nguard = { latency = [] }", true),
        ("phase = \"full\"\nguard = { error_rate = { max = \"1%\" } }", false),
        ("phase = \"full\"\nguard = { latency = [{ quantile = 0.99, max = \"2s\" }] }", false),
        ("phase = \"full\"\nguard = false", false),
        ("phase = \"full\"\nshadow = false", true),
        ("phase = \"cleanup\"\nshadow = true", true),
        ("phase = \"canary\"", false),
        ("phase = \"preparation\"", false),
        ("percent = 5", false),
    ] {
        assert_eq!(codes(lines).contains(&"unguarded"), is_told, "{lines}");
    }
}
