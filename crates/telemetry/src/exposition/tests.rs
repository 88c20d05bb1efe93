use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use route_plan::outcome::Observation;
use traffic_split::Percent;

use super::*;
use crate::{EndpointFacts, HookFacts, MigrationFacts, RampFacts, ShadowFacts, Telemetry};

fn compare(telemetry: &Telemetry) {
    telemetry.comparisons("shop").record(Compared::Mismatched);
    telemetry.comparisons("shop").asked(AskedFor::Race);
    telemetry.comparer().set(3, Duration::from_millis(1_500), 0.25);
    telemetry.comparer().not_kept.inc();
}

fn busy() -> Arc<Telemetry> {
    let telemetry = Telemetry::new(2);
    let migration = telemetry.traffic(TrafficKind::Migration, "shop");
    let route = telemetry.traffic(TrafficKind::Route, "default");
    let observation = Observation {
        arm: Some(Arm::New),
        role: Role::Served,
        by_bucket: true,
        key: 7,
        hung: false,
        retried: false,
        status: None,
        client_status: Some(502),
        to_head: Duration::from_millis(4),
        total: Duration::from_millis(5),
        failure: Some(Failure::Connect),
        covered: true,
        client_aborted: false,
        drained: false,
    };
    migration.record(0, &observation);
    migration.record(1, &observation);
    migration.no_key(1);
    route.record(0, &Observation { arm: None, ..observation });
    telemetry.worker(0).refused("bad-request");
    telemetry.worker(1).refused("bad-request");
    telemetry.worker(1).connections_accepted.add(3);
    telemetry.worker(1).connections_closed.inc();
    telemetry.publish_facts(ControlFacts {
        generation: 3,
        last_reload_successful: true,
        last_reload_success_unix_s: 1_700_000_000.5,
        migrations: vec![MigrationFacts {
            name: "shop".into(),
            asked: "37.5".parse::<Percent>().unwrap(),
            in_force: Percent::ZERO,
            measured: None,
            phase: Phase::Shadow,
            verdict: Some("healthy"),
            ln_evidence: Some(-2.5),
            latched: true,
            shadow: Some(ShadowFacts { on: true, match_rate: Some(0.9993), match_rate_at_least: 0.999 }),
            ramp: Some(RampFacts { step: 2, steps: 4, paused: true }),
            rollbacks: vec![("person", 0), ("error_rate", 2)],
            hooks: vec![HookFacts { hook: "confirm", yes: 1, no: 7 }],
        }],
        journal_healthy: Some(false),
        ..ControlFacts::default()
    });
    telemetry.looks().record(Duration::from_micros(50_900));
    telemetry.looks().record(Duration::from_micros(61_000));
    migration.kept(0, Kept::NotReplayable);
    compare(&telemetry);
    migration.drained(1, Drained::Stream);
    telemetry.evidence("shop").record(0, &mut crate::Memory::default(), &observation);
    let shadow = telemetry.shadow("shop");
    shadow.dropped(1, crate::Side::Lane, NotCopied::TooLarge);
    shadow.pair(0);
    shadow.served(0, true, Duration::from_millis(4));
    let lane = telemetry.lane(1);
    assert!(lane.take_memory(4_096));
    lane.queued.add(3);
    lane.taken.add(2);
    lane.begun.add(2);
    lane.ended.inc();
    lane.connections.upstream_connects.inc();
    let endpoint = "10.0.0.1:80".to_owned();
    telemetry.publish_endpoints(vec![EndpointFacts { upstream: "a".into(), endpoint, healthy: false }]);
    telemetry
}

#[test]
fn the_scrape_says_what_was_counted() {
    let text = busy().scrape();
    for line in [
        r#"crossfade_fallbacks_total{migration="shop",reason="connect"} 2"#,
        r#"crossfade_evidence_failures_total{migration="shop",arm="new"} 1"#,
        r#"crossfade_fallbacks_withheld_total{migration="shop",reason="not-replayable"} 1"#,
        r#"crossfade_upstream_healthy{upstream="a",endpoint="10.0.0.1:80"} 0"#,
        r#"crossfade_requests_total{migration="shop",arm="new",role="served",code_class="5xx"} 2"#,
        r#"crossfade_requests_total{migration="shop",arm="old",role="served",code_class="2xx"} 0"#,
        r#"crossfade_request_duration_seconds_bucket{migration="shop",arm="new",role="served",le="0.0025"} 0"#,
        r#"crossfade_request_duration_seconds_bucket{migration="shop",arm="new",role="served",le="0.005"} 2"#,
        r#"crossfade_request_duration_seconds_bucket{migration="shop",arm="new",role="served",le="+Inf"} 2"#,
        r#"crossfade_request_duration_seconds_sum{migration="shop",arm="new",role="served"} 0.008"#,
        r#"crossfade_request_duration_seconds_count{migration="shop",arm="new",role="served"} 2"#,
        r#"crossfade_shadow_on{migration="shop"} 1"#,
        r#"crossfade_match_rate{migration="shop"} 0.9993"#,
        r#"crossfade_match_rate_at_least{migration="shop"} 0.999"#,
        r#"crossfade_comparisons_total{migration="shop",result="mismatched"} 1"#,
        r#"crossfade_comparisons_total{migration="shop",result="matched"} 0"#,
        r#"crossfade_failures_total{migration="shop",arm="new",role="served",reason="connect"} 2"#,
        r#"crossfade_failures_total{migration="shop",arm="old",role="served",reason="truncated"} 0"#,
        r#"crossfade_shadow_dropped_total{migration="shop",reason="too-large"} 1"#,
        r#"crossfade_shadow_dropped_total{migration="shop",reason="phase"} 0"#,
        r#"crossfade_shadow_pairs_total{migration="shop"} 1"#,
        r#"crossfade_shadow_served_duration_seconds_count{migration="shop",copied="yes"} 1"#,
        r#"crossfade_shadow_served_duration_seconds_count{migration="shop",copied="no"} 0"#,
        "crossfade_shadow_copies_under_way 1",
        "crossfade_shadow_copies_queued 1",
        "crossfade_shadow_memory_bytes 4096",
        "crossfade_shadow_memory_limit_bytes 67108864",
        "crossfade_upstream_connections_open 1",
        r#"crossfade_bucketed_requests_total{migration="shop",arm="new"} 2"#,
        r#"crossfade_keyless_requests_total{migration="shop"} 1"#,
        r#"crossfade_route_requests_total{route="default",code_class="5xx"} 1"#,
        r#"crossfade_percent{migration="shop",kind="asked"} 37.5"#,
        r#"crossfade_percent{migration="shop",kind="in_force"} 0"#,
        r#"crossfade_percent{migration="shop",kind="measured"} NaN"#,
        r#"crossfade_phase{migration="shop",phase="shadow"} 1"#,
        r#"crossfade_phase{migration="shop",phase="canary"} 0"#,
        r#"crossfade_latched{migration="shop"} 1"#,
        r#"crossfade_guard_ln_evidence{migration="shop"} -2.5"#,
        r#"crossfade_guard_look_interval_seconds_bucket{le="0.05"} 0"#,
        r#"crossfade_guard_look_interval_seconds_bucket{le="0.06"} 1"#,
        r#"crossfade_guard_look_interval_seconds_bucket{le="+Inf"} 2"#,
        "crossfade_guard_look_interval_seconds_sum 0.1119",
        r#"crossfade_ramp_step{migration="shop"} 2"#,
        r#"crossfade_ramp_steps{migration="shop"} 4"#,
        r#"crossfade_ramp_paused{migration="shop"} 1"#,
        r#"crossfade_rollbacks_total{migration="shop",cause="error_rate"} 2"#,
        r#"crossfade_drained_total{migration="shop",kind="stream"} 1"#,
        r#"crossfade_drained_total{migration="shop",kind="tunnel"} 0"#,
        r#"crossfade_hook_answers_total{migration="shop",hook="confirm",answer="yes"} 1"#,
        r#"crossfade_hook_answers_total{migration="shop",hook="confirm",answer="no"} 7"#,
        "crossfade_journal_healthy 0",
        r#"crossfade_requests_refused_total{reason="bad-request"} 2"#,
        "crossfade_connections_open 2",
        "crossfade_config_generation 3",
        "crossfade_config_last_reload_successful 1",
        "crossfade_config_last_reload_success_timestamp_seconds 1700000000.5",
        r#"crossfade_config_reloads_total{result="refused"} 0"#,
    ] {
        assert!(text.lines().any(|have| have == line), "{line}\nis not in\n{text}");
    }
    assert!(!text.contains(r#"role="shadow""#), "an unused role is not exposed");
}

#[test]
fn every_declared_metric_is_exposed_and_no_other() {
    let text = busy().scrape();
    let exposed: std::collections::BTreeSet<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let declared: std::collections::BTreeSet<_> = names::ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(exposed, declared);
}

#[test]
fn promtool_has_no_complaint() {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        println!("promtool is not installed (Debian: prometheus): not checked");
        return;
    };
    promtool.stdin.take().unwrap().write_all(busy().scrape().as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}
