use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use route_plan::outcome::Failure;
use traffic_split::Arm;

use super::*;

fn entry<'a>(path: &'a [u8]) -> AccessEntry<'a> {
    AccessEntry {
        client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
        method: b"GET",
        host: b"shop.example.com",
        path,
        status: Some(502),
        duration: Duration::from_micros(1_234_567),
        to_head: None,
        request_body_bytes: 0,
        response_body_bytes: 17,
        migration: Some("shop"),
        route: None,
        arm: Some(Arm::New),
        reason: Some("bucket"),
        failure: Some(Failure::Connect),
        refused: None,
        client_aborted: false,
        drained: false,
        request_id: b"abc",
        user_agent: Some(b"curl/8"),
    }
}

fn temporary(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("crossfade-access-log-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn a_line_says_who_ended_the_answer() {
    for (client_aborted, drained) in [(false, false), (true, false), (false, true)] {
        let mut out = Vec::new();
        AccessEntry { client_aborted, drained, ..entry(b"/a") }.write(jiff::Timestamp::UNIX_EPOCH, &mut out);
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(line["crossfade.client_aborted"] == true, client_aborted, "{line}");
        assert_eq!(line["crossfade.drained"] == true, drained, "{line}");
    }
}

#[test]
fn a_line_is_flat_json_with_opentelemetry_names() {
    let mut out = Vec::new();
    entry(b"/a").write(jiff::Timestamp::from_microsecond(1_700_000_000_000_001).unwrap(), &mut out);
    let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        line,
        serde_json::json!({
            "timestamp": "2023-11-14T22:13:20.000001Z",
            "client.address": "192.0.2.7",
            "http.request.method": "GET",
            "server.address": "shop.example.com",
            "url.path": "/a",
            "http.response.status_code": 502,
            "duration_seconds": 1.234567,
            "http.request.body.size": 0,
            "http.response.body.size": 17,
            "crossfade.migration": "shop",
            "crossfade.arm": "new",
            "crossfade.reason": "bucket",
            "error.type": "connect",
            "http.request.id": "abc",
            "user_agent.original": "curl/8",
        })
    );
}

proptest! {
    #[test]
    fn whatever_a_client_sends_is_one_bounded_line_of_json(
        path in proptest::collection::vec(any::<u8>(), 0..5000),
        agent in proptest::collection::vec(any::<u8>(), 0..5000),
    ) {
        let mut out = Vec::new();
        let entry = AccessEntry { user_agent: Some(&agent), ..entry(&path) };
        entry.write(jiff::Timestamp::UNIX_EPOCH, &mut out);
        prop_assert!(out.len() <= line::MAX_BYTES);
        prop_assert_eq!(out.iter().filter(|&&byte| byte == b'\n').count(), 1);
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        prop_assert!(line["url.path"].is_string());
    }
}

#[test]
fn off_is_off() {
    let handle = Handle::off();
    assert!(!handle.enabled());
    handle.log(0, &entry(b"/"));
    assert_eq!((handle.accepted(), handle.dropped()), (0, 0));
}

#[test]
fn every_line_taken_is_written_in_order_before_the_end() {
    let path = temporary("order").join("access.log");
    let (log, handle) = AccessLog::start(Destination::File(path.clone()), 2).unwrap();
    let mut taken = Vec::new();
    for number in 0..20_000 {
        let before = handle.accepted();
        handle.log(1, &entry(format!("/{number}").as_bytes()));
        if handle.accepted() > before {
            taken.push(format!("/{number}"));
        }
    }
    drop(log);
    assert_eq!(handle.accepted() + handle.dropped(), 20_000);
    let text = std::fs::read_to_string(&path).unwrap();
    let written: Vec<String> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["url.path"].as_str().unwrap().into()
        })
        .collect();
    assert_eq!(written, taken);
}

#[test]
fn a_full_buffer_drops_and_counts() {
    let lane = Lane::default();
    let held = lane.buffers[0].lock().unwrap();
    for _ in 0..BUFFER_BYTES {
        lane.push(&entry(b"/"));
    }
    drop(held);
    assert!(lane.dropped.get() > 0);
    assert_eq!(lane.accepted.get() + lane.dropped.get(), BUFFER_BYTES as u64);
    assert!(lane.buffers[1].lock().unwrap().capacity() <= BUFFER_BYTES);
}

#[test]
fn reopen_follows_rotation() {
    let dir = temporary("rotation");
    let (path, moved) = (dir.join("access.log"), dir.join("access.log.1"));
    let (log, handle) = AccessLog::start(Destination::File(path.clone()), 1).unwrap();
    std::fs::rename(&path, &moved).unwrap();
    log.reopen();
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while !path.exists() {
        assert!(std::time::Instant::now() < deadline, "the file was not opened anew");
        thread::yield_now();
    }
    handle.log(0, &entry(b"/after"));
    drop(log);
    assert!(std::fs::read_to_string(&path).unwrap().contains("/after"));
    assert_eq!(std::fs::read_to_string(&moved).unwrap(), "");
}

#[test]
fn a_destination_that_fails_costs_lines_not_requests() {
    let (log, handle) = AccessLog::start(Destination::File("/dev/full".into()), 1).unwrap();
    handle.log(0, &entry(b"/"));
    drop(log);
    assert_eq!((handle.accepted(), handle.dropped()), (1, 1));
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error() {
    assert!(AccessLog::start(Destination::File("/nowhere/access.log".into()), 1).is_err());
}
