//! Requests that are asked once more.

use std::sync::mpsc::sync_channel;

use route_plan::{Again, Asks, Captured, CapturedBody, NotCopied};
use telemetry::TrafficKind;
use test_kit::{DEADLINE, Scripted, request};
use traffic_split::{Arm, Role};

use crate::rig::{Rig, policy, saying};

fn ask(rig: &Rig, migration: &str, again: &Again, arm: Arm) -> Result<Captured, NotCopied> {
    let (told, answers) = sync_channel(1);
    let here = std::thread::current().id();
    rig.lanes.ask(
        migration,
        again,
        arm,
        Box::new(move |answer| {
            assert_ne!(std::thread::current().id(), here, "on another thread");
            told.send(answer).unwrap();
        }),
    );
    answers.recv_timeout(DEADLINE).unwrap()
}

#[test]
fn either_arm_can_be_asked_once_more() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let rig = Rig::start(old.addr(), new.addr(), |_| {});
    let mut client = rig.client();
    client.send(request::get_with("/items", &[("authorization", "Bearer x")]));
    let (mut to_old, mut to_new) = (old.accept(), new.accept());
    let (served, copied) = (to_old.request(), to_new.request());
    to_old.send(request::ok("old"));
    to_new.send(request::ok("new"));
    client.response();
    let again = rig.pair().again.unwrap();
    for arm in Arm::ALL {
        // Its head is as the arm's own was, marked as a copy. Old sees the lane for the first time.
        let asked = std::thread::scope(|scope| {
            let answer = scope.spawn(|| ask(&rig, "shop", &again, arm));
            let mut wire = if arm == Arm::Old { old.accept() } else { to_new.second_handle() };
            let asked = wire.request();
            wire.send(request::ok("again"));
            let answer = answer.join().unwrap().unwrap();
            assert_eq!((answer.status, answer.body), (200, CapturedBody::Whole(b"again".to_vec())));
            asked
        });
        assert_eq!(asked.fields.all("crossfade-shadow"), ["1"]);
        assert_eq!(asked.fields.get("x-request-id"), served.fields.get("x-request-id"));
        assert_eq!(asked.fields.get("authorization"), Some("Bearer x"));
        assert_eq!(asked.target, copied.target);
    }
    let totals = rig.telemetry.traffic(TrafficKind::Migration, "shop").totals();
    assert_eq!(totals.leg(Arm::Old, Role::Shadow).requests(), 1);
    assert_eq!(totals.leg(Arm::New, Role::Shadow).requests(), 2);
    rig.expect(1, &[]);
}

#[test]
fn who_asks_in_vain_is_told_why() {
    let (old, new) = (saying("old"), Scripted::bind());
    let rig = Rig::start(old.addr(), new.addr(), |migration| policy(migration).deadline_ms = 3_000);
    // The lane is there when the worker is.
    rig.client().exchange(request::post("/", b"not copied"));
    let again = Again { heads: [(); 2].map(|()| Box::from(&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..])) };
    assert_eq!(ask(&rig, "nobody", &again, Arm::New), Err(NotCopied::Ended));
    let silent = std::thread::scope(|scope| {
        let answer = scope.spawn(|| ask(&rig, "shop", &again, Arm::New));
        let wire = new.accept();
        let answer = answer.join().unwrap();
        drop(wire);
        answer
    });
    assert_eq!(silent, Err(NotCopied::Slow));
    drop(new);
    assert_eq!(ask(&rig, "shop", &again, Arm::New), Err(NotCopied::Failed));
}
