//! What goes wrong with copies changes nothing for users.

use std::time::{Duration, Instant};

use route_plan::NotCopied;
use test_kit::{Deaf, Fault, FaultyOrigin, Framing, Origin, Scripted, Wire, refusing_address, request};
use traffic_split::Arm;

use crate::rig::{Rig, policy, saying, snapshot};

/// How long any served request may take here, on a machine that may be busy: less than what the other arm takes, or what
/// is waited for it.
const AT_ONCE: Duration = Duration::from_millis(2_500);
/// How long is waited for the other arm.
const PATIENCE_MS: u32 = 4_000;

/// Sends so many requests, and expects that none fails or waits.
#[track_caller]
fn serve(rig: &Rig, requests: usize) {
    let mut client = rig.client();
    for at in 0..requests {
        let began = Instant::now();
        let answer = client.exchange(request::get(&format!("/{at}")));
        assert_eq!((answer.status, answer.text().as_str()), (200, "old"));
        assert!(began.elapsed() < AT_ONCE, "request {at} took {:?}", began.elapsed());
    }
}

fn fast(migration: &mut route_plan::Migration) {
    policy(migration).per_second = 100_000;
    migration.timeouts.connect_ms = PATIENCE_MS;
}

fn hasty(migration: &mut route_plan::Migration) {
    fast(migration);
    policy(migration).deadline_ms = PATIENCE_MS;
}

#[test]
fn a_dead_target_is_found_out_and_left_alone() {
    let old = saying("old");
    let (dead, _held) = refusing_address();
    let rig = Rig::start(old.addr(), dead, fast);
    serve(&rig, 100);
    test_kit::eventually("all are accounted for", || rig.totals().requests() == 100);
    let failed_at_first = rig.totals().dropped_for(NotCopied::Failed);
    // Whatever came while the lane had yet to find it out has failed by now.
    serve(&rig, 100);
    test_kit::eventually("all are accounted for", || rig.totals().requests() == 200);
    let (failed, down) =
        (rig.totals().dropped_for(NotCopied::Failed), rig.totals().dropped_for(NotCopied::TargetDown));
    assert_eq!(failed + down, 200, "{:?}", rig.counts());
    // But for one in a second.
    assert!(failed_at_first >= 10 && failed - failed_at_first < 50, "{failed_at_first}, {:?}", rig.counts());
    rig.expect_no_memory();
}

#[test]
fn a_target_that_health_checks_find_down_is_not_tried() {
    let (old, new) = (saying("old"), FaultyOrigin::start("new"));
    new.set(Fault::Refusing);
    // What the copies themselves come to is left out of account.
    let mut config = snapshot(old.addr(), new.addr(), |migration| {
        fast(migration);
        policy(migration).max_failures = None;
    });
    config.upstreams[1].health = Some(route_plan::HealthCheck {
        probe: route_plan::Probe::Tcp,
        interval_ms: 20,
        timeout_ms: 200,
        unhealthy_after: 2,
        healthy_after: 2,
    });
    let rig = Rig::over(config, 1);
    let (mut client, mut sent) = (rig.client(), 0);
    test_kit::eventually("it is found down", || {
        client.exchange(request::get("/"));
        sent += 1;
        rig.totals().dropped_for(NotCopied::TargetDown) > 0
    });
    test_kit::eventually("all are accounted for", || rig.totals().requests() == sent);
    let failed = rig.totals().dropped_for(NotCopied::Failed);
    serve(&rig, 50);
    test_kit::eventually("all are accounted for", || rig.totals().dropped_for(NotCopied::TargetDown) >= 51);
    assert_eq!(rig.totals().dropped_for(NotCopied::Failed), failed);
    new.set(Fault::Healthy);
    test_kit::eventually("it is found well", || {
        client.exchange(request::get("/"));
        rig.totals().pairs > 0
    });
}

#[test]
fn a_target_that_is_back_gets_copies_again() {
    let old = saying("old");
    let new = FaultyOrigin::start("new");
    new.set(Fault::Refusing);
    let rig = Rig::start(old.addr(), new.addr(), fast);
    serve(&rig, 100);
    test_kit::eventually("all are accounted for", || rig.totals().requests() == 100);
    new.set(Fault::Healthy);
    let mut client = rig.client();
    test_kit::eventually("a probe has been answered", || {
        client.exchange(request::get("/"));
        rig.totals().pairs > 0
    });
    let before = rig.totals().requests();
    serve(&rig, 20);
    test_kit::eventually("all are accounted for", || rig.totals().requests() >= before + 20);
    assert!(rig.totals().pairs >= 20, "{:?}", rig.counts());
}

#[test]
fn a_target_that_nobody_reaches_holds_nobody_up() {
    let old = saying("old");
    let deaf = Deaf::bind();
    let rig = Rig::start(old.addr(), deaf.addr(), fast);
    serve(&rig, 30);
    test_kit::eventually("all are accounted for", || rig.totals().requests() == 30);
    assert_eq!(rig.totals().pairs, 0);
    assert!(rig.totals().dropped_for(NotCopied::Failed) > 0, "{:?}", rig.counts());
    rig.expect_no_memory();
}

#[test]
fn a_target_that_takes_too_long_is_too_slow() {
    let old = saying("old");
    // It reads, and says nothing until the client is gone.
    let silent = Scripted::bind().serve(|mut wire| {
        drop(wire.try_request());
        drop(wire.rest());
    });
    let rig = Rig::start(old.addr(), silent.addr(), hasty);
    serve(&rig, 8);
    rig.expect(8, &[(NotCopied::Slow, 8)]);
    rig.expect_no_memory();
}

#[test]
fn a_target_that_trickles_is_too_slow() {
    let old = saying("old");
    for head_first in [false, true] {
        let trickling = Scripted::bind().serve(move |mut wire| {
            drop(wire.try_request());
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
            let (now, later) =
                if head_first { (&answer[..], &[b'x'; 500][..]) } else { (&b""[..], &answer[..]) };
            drop(wire.try_send(now));
            // The shorter one takes twice as long as is waited for it.
            for byte in later {
                if wire.try_send([*byte]).is_err() {
                    return;
                }
                std::thread::park_timeout(Duration::from_millis(200));
            }
        });
        let rig = Rig::start(old.addr(), trickling.addr(), hasty);
        serve(&rig, 8);
        rig.expect(8, &[(NotCopied::Slow, 8)]);
        // A copy that failed is counted at once, what it says of new when the served request is looked at.
        let evidence = || rig.telemetry.shadow_evidence("shop").totals();
        test_kit::eventually("all are evidence", || evidence().arm(Arm::New).requests == 8);
        // What has begun may be a stream without an end.
        assert_eq!(evidence().arm(Arm::New).failures, if head_first { 0 } else { 8 });
        rig.expect_no_memory();
    }
}

#[test]
fn a_target_that_resets_or_talks_nonsense_has_failed() {
    let old = saying("old");
    let resetting = Scripted::bind().serve(|mut wire| {
        drop(wire.try_request());
        wire.reset();
    });
    let nonsense = Scripted::bind().serve(|mut wire| {
        drop(wire.try_request());
        drop(wire.try_send("SSH-2.0-OpenSSH_9.9\r\n\r\n"));
        drop(wire.rest());
    });
    for target in [resetting.addr(), nonsense.addr()] {
        let rig = Rig::start(old.addr(), target, fast);
        serve(&rig, 8);
        rig.expect(8, &[(NotCopied::Failed, 8)]);
        rig.expect_no_memory();
    }
}

#[test]
fn a_target_that_does_not_take_the_body_is_heard_all_the_same() {
    let (old, new) = (Origin::start("old"), Scripted::bind());
    let rig = Rig::start(old.addr(), new.addr(), |migration| {
        policy(migration).methods = vec![Box::from(&b"POST"[..])];
        policy(migration).body_bytes = 16 << 20;
    });
    let content = vec![b'x'; 12 << 20];
    let mut client = rig.client();
    let answer = client.exchange(request::post("/check", &content));
    assert_eq!(answer.status, 200);
    let mut wire = new.accept();
    wire.request_head();
    wire.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig");
    let pair = rig.pair();
    assert_eq!(pair.answers[1].status, 413);
    rig.expect(1, &[]);
}

#[test]
fn served_answers_are_the_same_byte_for_byte() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let with = Rig::start(old.addr(), new.addr(), |migration| {
        policy(migration).methods = ["GET", "HEAD", "POST"].map(|one| one.as_bytes().into()).into();
        policy(migration).capture_bytes = 10_000;
    });
    let without = Rig::over(snapshot(old.addr(), new.addr(), |migration| migration.shadow = None), 1);
    let id = ("x-request-id", "id-1");
    let requests = [
        request::get_with("/named?x=1", &[id]),
        request::get_with("/bytes/5", &[id]),
        request::get_with("/bytes/300000", &[id]),
        request::get_with("/chunks/300000", &[id]),
        request::get_with("/status/204", &[id]),
        request::get_with("/status/304", &[id]),
        request::get_with("/status/500", &[id]),
        request::with("HEAD", "/bytes/300000", &[id], b""),
        request::with("POST", "/echo", &[id, ("content-length", "5")], b"hello"),
        request::with("POST", "/echo", &[id, ("transfer-encoding", "chunked")], b"5\r\nhello\r\n0\r\n\r\n"),
        request::with("DELETE", "/named", &[id], b""),
    ];
    let count = requests.len() as u64;
    for bytes in requests {
        let [one, other] = [&with, &without].map(|rig| {
            let mut client = rig.client();
            let answer = client.exchange(&bytes);
            (undated(&answer.head), answer.framing, answer.body, answer.trailers.0.clone())
        });
        assert_eq!(one, other, "{}", bytes.escape_ascii());
    }
    with.expect(count, &[(NotCopied::Method, 1)]);
    assert_eq!(without.totals().requests(), 0);
}

fn undated(head: &[u8]) -> String {
    let text = String::from_utf8_lossy(head);
    text.lines().filter(|line| !line.starts_with("date:")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_user_s_connection_carries_on_as_before() {
    let (old, new) = (saying("old"), Scripted::bind());
    let rig = Rig::start(old.addr(), new.addr(), hasty);
    let mut client = rig.client();
    // Several at once, behind each other.
    let several: Vec<u8> = (0..20).flat_map(|at| request::get(&format!("/{at}"))).collect();
    client.send(several);
    for _ in 0..20 {
        let answer = client.response();
        assert_eq!((answer.framing, answer.text().as_str()), (Framing::Length(3), "old"));
    }
    drop(client);
    drop(new);
    test_kit::eventually("all are accounted for", || rig.totals().requests() == 20);
}

#[test]
fn large_answers_stay_within_the_memory() {
    const AT_ONCE: usize = 40;
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let rig = Rig::start(old.addr(), new.addr(), |migration| {
        policy(migration).capture_bytes = 8 << 20;
        policy(migration).deadline_ms = 20_000;
    });
    // Clients that read nothing for now, so that answers pile up as far as they may.
    let mut clients: Vec<Wire> = (0..AT_ONCE).map(|_| Wire::connect_narrow(rig.addr(), 4 << 10)).collect();
    for client in &mut clients {
        client.send(request::get("/bytes/6000000"));
    }
    let lane = rig.telemetry.lane(0);
    let mut highest = 0;
    test_kit::eventually("copies have been given up", || {
        highest = highest.max(lane.memory());
        rig.totals().dropped_for(NotCopied::Memory) > 0
    });
    for client in &mut clients {
        let framing = client.response_head().framing;
        let mut seen = 0;
        client.body_into(framing, &mut |piece| seen += piece.len()).unwrap();
        assert_eq!(seen, 6_000_000);
        highest = highest.max(lane.memory());
    }
    assert!(highest <= lane.memory_limit(), "{highest} bytes");
    test_kit::eventually("all are accounted for", || rig.totals().requests() == AT_ONCE as u64);
    rig.expect_no_memory();
}
