//! kill -9 in the midst of a rollback drill: users come back to where they were, and the ramp goes on from there.

use serde_json::{Value, json};
use test_kit::{Proxy, Wire, before_long};

use crate::ramp::{Stage, Users, done, in_force, kinds, shop, steps};

fn line(proxy: &Proxy, kind: &str) -> Value {
    let journal = proxy.admin_get("/api/v1/migrations/shop/journal").json();
    journal["lines"].as_array().unwrap().iter().rfind(|line| line["kind"] == kind).unwrap().clone()
}

#[test]
fn a_ramp_tries_a_drill_again_that_a_kill_has_interrupted() {
    let stage = Stage::new();
    let ramp = steps(&[("20", "drill = true"), ("50", "hold = \"1h\"")]);
    let config = stage.config(0, "", &ramp);
    let proxy = Proxy::start(&config);
    let users = Users::of(&proxy);
    // The status tells it a moment after the journal has it.
    before_long("the drill is under way", || {
        kinds(&proxy).contains(&"drill_begun".to_owned()) && in_force(&proxy) == 0.0
    });
    drop(users);
    drop(proxy);

    let proxy = Proxy::start(&config);
    let _users = Users::of(&proxy);
    before_long("that is known", || kinds(&proxy).contains(&"drill_interrupted".to_owned()));
    let interrupted = line(&proxy, "drill_interrupted");
    assert_eq!(interrupted["reason"], "interrupted by a restart", "{interrupted}");
    assert_eq!(interrupted["state"]["in_force"], 20.0, "where it was: {interrupted}");
    assert_eq!(interrupted["state"]["ramp"]["entered"], 1, "{interrupted}");
    assert_eq!(interrupted["state"]["ramp"]["paused"], Value::Null, "{interrupted}");
    before_long("it is tried again, and the ramp goes on", || in_force(&proxy) == 50.0);
    assert_eq!(
        kinds(&proxy),
        ["known", "step", "drill_begun", "drill_interrupted", "drill_begun", "drill_ended", "step"]
    );
    assert_eq!(line(&proxy, "drill_ended")["data"]["passed"], true);
    assert_eq!(shop(&proxy)["ramp"]["paused"], Value::Null);
}

#[test]
fn after_a_kill_in_a_drill_nobody_goes_beyond_what_was_asked_for_last() {
    let stage = Stage::new();
    let config = stage.config(50, "", "");
    let proxy = Proxy::start(&config);
    let mut client = Wire::connect(proxy.admin());
    client
        .send("POST /api/v1/migrations/shop/drill HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    before_long("it is under way", || kinds(&proxy).contains(&"drill_begun".to_owned()));
    let set = proxy.admin_post("/api/v1/migrations/shop/percent", &json!({ "percent": 30 }));
    assert_eq!(set.status, 200, "{}", set.text());
    assert_eq!(in_force(&proxy), 0.0);
    drop(proxy);

    let proxy = Proxy::start(&config);
    before_long("they are back where somebody wants them", || {
        let now = in_force(&proxy);
        assert!(now <= 30.0, "{now} % although 30 % were asked for last");
        now == 30.0
    });
    assert_eq!(kinds(&proxy), ["known", "drill_begun", "percent", "drill_interrupted"]);
    before_long("the log tells it", || {
        proxy.log().contains("shop: the rollback drill was interrupted, so it shows nothing")
    });
    // Nobody waits for that drill any more, so it is not tried again.
    done(&proxy.command(&["set", "shop", "40"]));
    assert_eq!(in_force(&proxy), 40.0);
}
