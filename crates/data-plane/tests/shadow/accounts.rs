//! Every request ends in exactly one class.

use std::sync::atomic::Ordering;
use std::time::Duration;

use route_plan::{FallbackPolicy, NotCopied, Phase, When};
use telemetry::{COPIED, HELD_OUT, TrafficKind};
use test_kit::{Fault, FaultyOrigin, Scripted, eventually, request};
use traffic_split::{Arm, Percent, Role};

use crate::rig::{Rig, policy, saying, snapshot};

#[test]
fn too_large_bodies_are_not_copied() {
    let (old, new) = (saying("old"), saying("new"));
    let rig = Rig::start(old.addr(), new.addr(), |migration| {
        policy(migration).methods = vec![Box::from(&b"POST"[..])];
        policy(migration).body_bytes = 1_000;
    });
    let mut client = rig.client();
    for bytes in [1_000, 1_001] {
        let content = vec![b'x'; bytes];
        assert_eq!(client.exchange(request::post("/", &content)).text(), "old");
        assert_eq!(client.exchange(request::post_chunked("/", &content, 300)).text(), "old");
    }
    rig.expect(4, &[(NotCopied::TooLarge, 2)]);
    rig.expect_no_memory();
}

#[test]
fn there_are_so_many_in_a_second_and_no_more() {
    let (old, new) = (saying("old"), saying("new"));
    let rig = Rig::start(old.addr(), new.addr(), |migration| policy(migration).per_second = 20);
    let began = std::time::Instant::now();
    let mut client = rig.client();
    for _ in 0..200 {
        client.exchange(request::get("/"));
    }
    let most = 20.0 * began.elapsed().as_secs_f64() + 3.0;
    eventually("all are accounted for", || rig.totals().requests() == 200);
    let pairs = rig.totals().pairs;
    assert!(pairs >= 2 && pairs as f64 <= most, "{pairs} in {:?}", began.elapsed());
    rig.expect(200, &[(NotCopied::Rate, 200 - pairs)]);
}

#[test]
fn there_are_so_many_at_once_and_no_more() {
    let (old, new) = (saying("old"), Scripted::bind());
    let rig = Rig::start(old.addr(), new.addr(), |migration| policy(migration).concurrency = 3);
    let mut client = rig.client();
    for _ in 0..10 {
        client.exchange(request::get("/"));
    }
    let mut held: Vec<_> = (0..3).map(|_| new.accept()).collect();
    for wire in &mut held {
        wire.request();
        wire.send(request::ok("new"));
    }
    assert!(!new.has_caller());
    rig.expect(10, &[(NotCopied::Concurrency, 7)]);
}

#[test]
fn who_compares_may_have_no_room() {
    let (old, new) = (saying("old"), saying("new"));
    let rig = Rig::start(old.addr(), new.addr(), |_| {});
    let mut client = rig.client();
    for short_of in [NotCopied::Budget, NotCopied::QueueFull] {
        *rig.taker.short_of.lock().unwrap() = Some(short_of);
        client.exchange(request::get("/"));
    }
    rig.expect(2, &[(NotCopied::Budget, 1), (NotCopied::QueueFull, 1)]);
    assert_eq!(new.connections(), 0, "nothing is sent that nobody would look at");
    *rig.taker.short_of.lock().unwrap() = None;
    rig.taker.takes.store(false, Ordering::SeqCst);
    client.exchange(request::get("/"));
    rig.expect(3, &[(NotCopied::Budget, 2), (NotCopied::QueueFull, 1)]);
    assert_eq!(new.connections(), 1);
}

#[test]
fn a_client_that_goes_away_leaves_nothing_to_compare() {
    let (old, new) = (Scripted::bind(), saying("new"));
    let rig = Rig::start(old.addr(), new.addr(), |migration| {
        policy(migration).methods = ["GET", "POST"].map(|one| one.as_bytes().into()).into();
    });
    // Before its body is whole.
    let mut client = rig.client();
    client.send(request::with("POST", "/", &[("content-length", "10")], b"half"));
    let mut wire = old.accept();
    wire.request_head();
    drop(client);
    rig.expect(1, &[(NotCopied::ClientGone, 1)]);
    assert_eq!(new.connections(), 0);
    // While the answer is on its way.
    let mut client = rig.client();
    client.send(request::get("/"));
    let mut wire = old.accept();
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n");
    client.response_head();
    client.reset();
    drop(wire.try_send_pattern(100_000_000));
    rig.expect(2, &[(NotCopied::ClientGone, 2)]);
    rig.expect_no_memory();
    let evidence = rig.telemetry.shadow_evidence("shop").totals();
    assert_eq!(evidence.arm(Arm::New).requests, 0, "who left is no evidence");
}

#[test]
fn a_request_that_is_answered_before_it_has_come_is_not_copied() {
    let (old, new) = (Scripted::bind(), saying("new"));
    let rig = Rig::start(old.addr(), new.addr(), |migration| {
        policy(migration).methods = vec![Box::from(&b"POST"[..])];
    });
    let mut client = rig.client();
    client.send(request::with("POST", "/", &[("content-length", "1000")], b"a part"));
    let mut wire = old.accept();
    wire.request_head();
    wire.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
    assert_eq!(client.response().status, 403);
    rig.expect(1, &[(NotCopied::NotServed, 1)]);
    assert_eq!(new.connections(), 0);
}

#[test]
fn what_old_answered_in_place_of_new_is_not_compared_and_is_evidence() {
    let (old, new) = (saying("old"), FaultyOrigin::start("new"));
    new.set(Fault::Refusing);
    let rig = Rig::start(old.addr(), new.addr(), |migration| {
        migration.phase = Phase::Full;
        migration.split.percent = Percent::FULL;
        migration.fallback = Some(FallbackPolicy::default());
    });
    let mut client = rig.client();
    for user in 0..5 {
        assert_eq!(client.exchange(request::get_as("/", &format!("u{user}"))).text(), "old");
    }
    // Nothing was sent to new: each request was given up before its copy was due.
    rig.expect(5, &[(NotCopied::NotServed, 5)]);
    new.set(Fault::Healthy);
    let failing =
        Scripted::bind().answering(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".to_vec());
    rig.publish(snapshot(old.addr(), failing.addr(), |migration| {
        migration.phase = Phase::Full;
        migration.split.percent = Percent::FULL;
        migration.fallback = Some(FallbackPolicy::default());
    }));
    for user in 0..5 {
        assert_eq!(client.exchange(request::get_as("/", &format!("v{user}"))).text(), "old");
    }
    rig.expect(10, &[(NotCopied::NotServed, 10)]);
    let evidence = rig.telemetry.shadow_evidence("shop").totals();
    assert_eq!((evidence.arm(Arm::New).failures, evidence.arm(Arm::Old).failures), (5, 0));
    assert_eq!((evidence.arm(Arm::New).requests, evidence.arm(Arm::Old).requests), (5, 5));
}

#[test]
fn a_served_request_that_fails_has_nothing_to_compare_with() {
    let (old, new) = (Scripted::bind(), saying("new"));
    let rig = Rig::start(old.addr(), new.addr(), |_| {});
    let mut client = rig.client();
    client.send(request::get_as("/", "u1"));
    let mut wire = old.accept();
    wire.request();
    drop(wire);
    assert_eq!(client.response().status, 502);
    rig.expect(1, &[(NotCopied::NotServed, 1)]);
    let evidence = rig.telemetry.shadow_evidence("shop").totals();
    let [one, other] = [Arm::Old, Arm::New].map(|arm| {
        let counts = evidence.arm(arm);
        (counts.requests, counts.failures)
    });
    assert_eq!((one, other), ((1, 1), (1, 0)), "it is evidence all the same");
}

#[test]
fn copies_are_metrics_of_their_own_and_evidence_beside_the_same_requests() {
    let old = saying("old");
    let new = Scripted::bind()
        .answering(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n".to_vec());
    let rig = Rig::start(old.addr(), new.addr(), |_| {});
    let mut client = rig.client();
    for user in 0..30 {
        client.exchange(request::get_as("/", &format!("u{user}")));
    }
    rig.expect(30, &[]);
    let totals = rig.telemetry.traffic(TrafficKind::Migration, "shop").totals();
    let copied = totals.leg(Arm::New, Role::Shadow);
    assert_eq!((copied.requests(), copied.failed(), copied.durations.count()), (30, 30, 30));
    assert_eq!(totals.leg(Arm::Old, Role::Served).requests(), 30);
    assert_eq!(totals.leg(Arm::New, Role::Served).requests(), 0);
    assert_eq!(rig.telemetry.evidence("shop").totals().arm(Arm::New).requests, 0, "no user saw it");
    let evidence = rig.telemetry.shadow_evidence("shop").totals();
    assert_eq!((evidence.arm(Arm::Old).requests, evidence.arm(Arm::Old).failures), (30, 0));
    assert_eq!((evidence.arm(Arm::New).requests, evidence.arm(Arm::New).failures), (30, 30));
}

#[test]
fn what_copying_does_is_seen_beside_those_held_out() {
    let (old, new) = (saying("old"), saying("new"));
    let rig = Rig::start(old.addr(), new.addr(), |migration| {
        policy(migration).holdout = "30".parse().unwrap();
        policy(migration).per_second = 100_000;
    });
    let mut client = rig.client();
    for user in 0..400 {
        client.exchange(request::get_as("/", &format!("u{user}")));
    }
    // One that is held out is counted when that is decided; how long it took, when its answer has been sent.
    let effect = || rig.telemetry.shadow_effect("shop").totals();
    eventually("all are accounted for, and have ended", || {
        let shown = [HELD_OUT, COPIED].map(|group| effect().arm(group).requests);
        rig.totals().requests() == 400 && shown.iter().sum::<u64>() == 400
    });
    let totals = rig.totals();
    let held_out = totals.dropped_for(NotCopied::Holdout);
    // Six and a half standard deviations: the dice have no seed.
    assert!((60..=180).contains(&held_out), "{held_out} of 400");
    // Whatever became of the others: chance alone says which group a request is in.
    assert_eq!(totals.served.map(|one| one.count()), [held_out, 400 - held_out]);
    assert_eq!([HELD_OUT, COPIED].map(|group| effect().arm(group).requests), [held_out, 400 - held_out]);
}

#[test]
fn what_is_under_way_at_the_end_has_ended() {
    for when in [When::With, When::After] {
        let (old, new) = (saying("old"), Scripted::bind());
        let mut rig = Rig::start(old.addr(), new.addr(), |migration| policy(migration).when = when);
        let mut client = rig.client();
        for _ in 0..5 {
            assert_eq!(client.exchange(request::get("/")).text(), "old");
        }
        let held: Vec<_> = (0..5).map(|_| new.accept()).collect();
        rig.stop();
        rig.expect(5, &[(NotCopied::Ended, 5)]);
        rig.expect_no_memory();
        drop(held);
    }
}

#[test]
fn served_requests_that_are_cut_off_are_accounted_for_too() {
    let (old, new) = (Scripted::bind(), saying("new"));
    let mut rig = Rig::start(old.addr(), new.addr(), |_| {});
    let mut clients: Vec<_> = (0..4).map(|_| rig.client()).collect();
    let mut held = Vec::new();
    for client in &mut clients {
        client.send(request::get("/"));
        let mut wire = old.accept();
        wire.request();
        held.push(wire);
    }
    eventually("all copies are answered", || {
        let totals = rig.telemetry.traffic(TrafficKind::Migration, "shop").totals();
        totals.leg(Arm::New, Role::Shadow).requests() == 4
    });
    rig.stop();
    rig.expect(4, &[(NotCopied::Ended, 4)]);
}

/// Both ways, with every limit low enough to be met.
fn crowded(old: &FaultyOrigin, new: &FaultyOrigin) -> route_plan::Snapshot {
    snapshot(old.addr(), new.addr(), |migration| {
        migration.phase = Phase::Canary;
        migration.split.percent = "40".parse().unwrap();
        migration.fallback = Some(FallbackPolicy { after_ms: 500, ..FallbackPolicy::default() });
        let policy = policy(migration);
        policy.canary = route_plan::CanaryCopies::Both;
        policy.methods = ["GET", "HEAD", "POST"].map(|one| one.as_bytes().into()).into();
        policy.body_bytes = 1_500;
        policy.capture_bytes = 300;
        policy.concurrency = 64;
        policy.per_second = 400;
        policy.percent = "80".parse().unwrap();
        policy.holdout = "10".parse().unwrap();
        policy.deadline_ms = 500;
    })
}

/// Fails or not by what a request is, differently for each number.
fn fault_of(number: usize) -> impl Fn(&test_kit::Request) -> Fault {
    move |request| match (request.target.bytes().map(usize::from).sum::<usize>() + number) % 11 {
        0 => Fault::ResetInHead,
        1 => Fault::ResetInBody,
        2 => Fault::Status(500),
        3 => Fault::Garbage,
        _ => Fault::Healthy,
    }
}

/// A few requests of all kinds, one in seven of which does not wait for its answer.
fn crowd(rig: &Rig, thread: usize, requests: usize) {
    for at in 0..requests {
        let target = format!("/{thread}/{at}");
        let user = format!("u{}", (thread * requests + at) % 97);
        let user = ("x-user-id", user.as_str());
        let content = vec![b'x'; at % 2_000];
        let length = content.len().to_string();
        let bytes = match at % 5 {
            0 => request::with("HEAD", &target, &[user], b""),
            1 => request::with("POST", &target, &[user, ("content-length", &length)], &content),
            2 => request::with("DELETE", &target, &[user], b""),
            _ => request::with("GET", &target, &[user], b""),
        };
        let mut client = rig.client();
        client.send(&bytes);
        if at % 7 != 0 {
            // Old fails too, now and then.
            drop(client.try_answer(at % 5 == 0));
        }
    }
}

#[test]
fn whatever_happens_every_request_is_in_one_class() {
    const THREADS: usize = 6;
    const EACH: usize = 150;
    let (old, new) = (FaultyOrigin::start("old"), FaultyOrigin::start("new"));
    old.choose(fault_of(0));
    new.choose(fault_of(3));
    let mut config = crowded(&old, &new);
    let rig = Rig::over(config.clone(), 2);
    let mut sent = 0;
    let served = || {
        let totals = rig.telemetry.traffic(TrafficKind::Migration, "shop").totals();
        Arm::ALL.iter().map(|arm| totals.leg(*arm, Role::Served).requests()).sum::<u64>()
    };
    // Where the machine has no time for copies, there are hardly any pairs: then once more.
    while rig.totals().pairs <= 50 {
        assert!(sent < 10 * THREADS * EACH, "{:?}", rig.counts());
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let rig = &rig;
                scope.spawn(move || crowd(rig, thread, EACH));
            }
            // In the meantime the configuration changes, too.
            for round in 0..20 {
                config.generation += 1;
                config.migrations[0].split.percent =
                    Percent::from_millionths(2_000_000 * round + 10_000_000).unwrap();
                rig.publish(config.clone());
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        sent += THREADS * EACH;
        eventually("every request is in one class", || {
            served() == sent as u64 && rig.totals().requests() == served()
        });
    }
    let totals = rig.totals();
    assert_eq!(rig.pairs().len() as u64, totals.pairs);
    for lane in [0, 1] {
        eventually("all memory is given back", || rig.telemetry.lane(lane).memory() == 0);
    }
}
