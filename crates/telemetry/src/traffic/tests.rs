use std::time::{Duration, Instant};

use super::*;

fn answered(arm: Option<Arm>, status: u16, to_head: Duration) -> Observation {
    Observation {
        arm,
        role: Role::Served,
        by_bucket: true,
        key: 7,
        hung: false,
        retried: false,
        status: Some(status),
        client_status: Some(status),
        to_head,
        total: to_head,
        failure: None,
        covered: false,
        client_aborted: false,
        drained: false,
    }
}

#[test]
fn sums_over_workers_by_arm_and_role() {
    let cells = TrafficCells::new(TrafficKind::Migration, 3);
    for worker in 0..3 {
        cells.record(worker, &answered(Some(Arm::New), 200, Duration::from_millis(3)));
        cells.no_key(worker);
    }
    cells.record(
        1,
        &Observation { role: Role::Shadow, ..answered(Some(Arm::New), 404, Duration::from_millis(1)) },
    );
    let totals = cells.totals();
    assert_eq!(totals.no_key, 3);
    assert_eq!(totals.leg(Arm::New, Role::Served).by_class, [0, 3, 0, 0, 0, 0]);
    assert_eq!(totals.leg(Arm::New, Role::Shadow).by_class, [0, 0, 0, 1, 0, 0]);
    assert_eq!(totals.leg(Arm::Old, Role::Served).requests(), 0);
    assert_eq!(totals.by_bucket(Arm::New), 3);
}

#[test]
fn the_client_s_status_counts_and_the_failure_beside_it() {
    let cells = TrafficCells::new(TrafficKind::Route, 1);
    cells.record(
        0,
        &Observation {
            status: None,
            client_status: Some(504),
            failure: Some(Failure::FirstByteTimeout),
            ..answered(None, 200, Duration::from_secs(30))
        },
    );
    let leg = cells.totals().route();
    assert_eq!(leg.by_class, [0, 0, 0, 0, 1, 0]);
    assert_eq!(leg.failures[Failure::FirstByteTimeout.index()], 1);
    assert_eq!(leg.failed(), 1);
    assert_eq!(leg.durations.counts[DURATION_BOUNDS_S.len()], 1);
    assert!((leg.durations.sum_s - 30.0).abs() < 1e-9);
}

#[test]
fn a_fallback_is_counted_by_what_new_failed_with() {
    let cells = TrafficCells::new(TrafficKind::Migration, 1);
    let covered = |status, failure| Observation {
        status,
        client_status: None,
        covered: true,
        failure,
        ..answered(Some(Arm::New), 200, Duration::from_millis(1))
    };
    cells.record(0, &covered(None, Some(Failure::Connect)));
    cells.record(0, &covered(Some(503), Some(Failure::Status5xx)));
    cells.kept(0, Kept::NotReplayable);
    let totals = cells.totals();
    let leg = totals.leg(Arm::New, Role::Served);
    assert_eq!(leg.covered.iter().sum::<u64>(), 2);
    assert_eq!(leg.covered[Failure::Connect.index()], 1);
    assert_eq!(leg.by_class, [0, 0, 0, 0, 1, 1], "what new itself did");
    assert_eq!(totals.kept[Kept::NotReplayable.index()], 1);
}

#[test]
fn an_abort_before_the_head_has_no_duration() {
    let cells = TrafficCells::new(TrafficKind::Route, 1);
    cells.record(
        0,
        &Observation {
            status: None,
            client_status: None,
            client_aborted: true,
            ..answered(None, 200, Duration::from_secs(1))
        },
    );
    let leg = cells.totals().route();
    assert_eq!(leg.by_class, [0, 0, 0, 0, 0, 1]);
    assert_eq!((leg.durations.count(), leg.client_aborts), (0, 1));
}

#[test]
fn bounds_are_inclusive_as_le_says() {
    for (at, (&ns, &s)) in DURATION_BOUNDS_NS.iter().zip(&DURATION_BOUNDS_S).enumerate() {
        assert!((nanoseconds_to_s(ns) - s).abs() < 1e-12);
        let cells = TrafficCells::new(TrafficKind::Route, 1);
        cells.record(0, &answered(None, 200, Duration::from_nanos(ns)));
        cells.record(0, &answered(None, 200, Duration::from_nanos(ns + 1)));
        let counts = cells.totals().route().durations.counts;
        assert_eq!((counts[at], counts[at + 1]), (1, 1), "bound {s}");
    }
}

#[test]
fn classes() {
    for (status, class) in
        [(101, "1xx"), (200, "2xx"), (304, "3xx"), (499, "4xx"), (599, "5xx"), (600, "none"), (99, "none")]
    {
        assert_eq!(CODE_CLASSES[code_class(Some(status))], class);
    }
    assert_eq!(CODE_CLASSES[code_class(None)], "none");
}

#[test]
fn what_cannot_be_placed_is_left_out() {
    let cells = TrafficCells::new(TrafficKind::Migration, 1);
    cells.record(7, &answered(Some(Arm::Old), 200, Duration::ZERO));
    cells.record(0, &answered(None, 200, Duration::ZERO));
    cells.no_key(7);
    assert_eq!(cells.totals(), TrafficCells::new(TrafficKind::Migration, 1).totals());
}

#[test]
#[ignore = "a measurement; run with: cargo test --release -p telemetry -- --ignored --nocapture"]
fn recording_takes_less_than_60_ns() {
    let cells = TrafficCells::new(TrafficKind::Migration, 2);
    let rounds = 10_000_000_u32;
    let start = Instant::now();
    for round in 0..rounds {
        let arm = if round % 3 == 0 { Arm::New } else { Arm::Old };
        cells.record(1, &answered(Some(arm), 200, Duration::from_micros(u64::from(round % 5000))));
    }
    let each = start.elapsed() / rounds;
    println!("{each:?} a record");
    assert_eq!(cells.totals().leg(Arm::New, Role::Served).requests(), u64::from(rounds.div_ceil(3)));
    assert!(each < Duration::from_nanos(60), "{each:?}");
}

#[test]
fn what_is_closed_after_a_rollback_is_counted_by_kind_and_is_no_failure() {
    let cells = TrafficCells::new(TrafficKind::Migration, 2);
    cells.drained(0, Drained::Tunnel);
    cells.drained(1, Drained::Stream);
    cells.drained(1, Drained::Stream);
    cells.drained(2, Drained::Stream);
    let stream = Observation { drained: true, ..answered(Some(Arm::New), 200, Duration::from_millis(3)) };
    cells.record(1, &stream);
    let (totals, leg) = (cells.totals(), cells.totals().leg(Arm::New, Role::Served));
    assert_eq!(totals.drained, [1, 2], "there is no third worker");
    assert_eq!((leg.requests(), leg.failed(), leg.client_aborts), (1, 0, 0));
}
