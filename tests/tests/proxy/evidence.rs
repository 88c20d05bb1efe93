//! What is evidence for the guard, and what is not: every request whose arm the bucket chose counts once, when it ends or
//! hangs, and nobody else's doing counts against new.

use std::time::Duration;

use test_kit::{Config, Origin, Proxy, Scripted, request};

/// All users on new.
fn pair(old: &Origin, new: &Scripted) -> Config {
    Config::pair(old.addr(), new.addr()).percent(100)
}

fn evidence(proxy: &Proxy, arm: &str) -> (f64, f64) {
    let metrics = proxy.metrics();
    let labels = [("migration", "shop"), ("arm", arm)];
    let count = |name| metrics.count(name, &labels);
    (count("crossfade_evidence_requests_total"), count("crossfade_evidence_failures_total"))
}

fn wait_for_failures(proxy: &Proxy, failures: f64) {
    let labels = [("migration", "shop"), ("arm", "new")];
    proxy.wait_metric("crossfade_evidence_failures_total", &labels, |count| count == failures);
}

#[test]
fn a_request_that_hangs_fails_while_it_does_and_once() {
    let (old, new) = (Origin::start("old"), Scripted::bind());
    let timeouts = "[migration.shop.timeouts]\nfail_after = \"300ms\"";
    let proxy = Proxy::start(&pair(&old, &new).section(timeouts));
    let mut client = proxy.connect();
    client.send(request::get_as("/", "user-1"));
    let mut wire = new.accept();
    wire.request();
    wait_for_failures(&proxy, 1.0);
    assert!(client.is_quiet(), "the client still waits");
    wire.send(request::ok("late"));
    assert_eq!(client.response().text(), "late");
    let late = [("migration", "shop"), ("arm", "new"), ("reason", "late")];
    proxy.wait_metric("crossfade_failures_total", &late, |count| count == 1.0);
    assert_eq!(evidence(&proxy, "new"), (1.0, 1.0), "it is not counted again");
}

#[test]
fn the_upload_is_not_the_upstream_s_time() {
    let (old, new) = (Origin::start("old"), Scripted::bind());
    // As long as a busy machine may keep this upstream from its answer.
    let timeouts = "[migration.shop.timeouts]\nfail_after = \"3s\"";
    let proxy = Proxy::start(&pair(&old, &new).section(timeouts));
    let mut client = proxy.connect();
    let fields = [("content-length", "2"), ("x-user-id", "user-1")];
    client.send(request::with("POST", "/", &fields, b"a"));
    let mut wire = new.accept();
    wire.request_head();
    assert!(client.stays_quiet(Duration::from_millis(3_500)));
    client.send("b");
    assert_eq!(wire.exactly(2).unwrap(), b"ab");
    wire.send(request::ok("in time"));
    assert_eq!(client.response().text(), "in time");
    let labels = [("migration", "shop"), ("arm", "new")];
    proxy.wait_metric("crossfade_evidence_requests_total", &labels, |count| count == 1.0);
    assert_eq!(evidence(&proxy, "new"), (1.0, 0.0));
}

#[test]
fn one_user_s_failures_are_one_failure() {
    let (old, new) = (Origin::start("old"), Scripted::bind());
    let addr = new.addr();
    let _serving = new.answering(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_vec());
    let proxy = Proxy::start(&Config::pair(old.addr(), addr).percent(100));
    let mut client = proxy.connect();
    for user in ["user-1", "user-2"] {
        for _ in 0..20 {
            assert_eq!(client.exchange(request::get_as("/", user)).status, 500);
        }
    }
    wait_for_failures(&proxy, 2.0);
    assert_eq!(evidence(&proxy, "new"), (2.0, 2.0), "what is left out is left out of the requests too");
}

#[test]
fn who_goes_away_or_is_covered_or_was_forced() {
    let (old, new) = (Origin::start("old"), Scripted::bind());
    let force = "[migration.shop.force]\nnetworks = [\"127.0.0.0/8\"]";
    let proxy = Proxy::start(&pair(&old, &new).migration("fallback = true").section(force));
    let mut gone = proxy.connect();
    gone.send(request::get_as("/", "user-1"));
    let mut wire = new.accept();
    wire.request();
    gone.reset();
    let aborts = [("migration", "shop"), ("arm", "new")];
    proxy.wait_metric("crossfade_client_aborts_total", &aborts, |count| count == 1.0);
    let mut tester = proxy.connect();
    tester.send(request::get_with("/", &[("crossfade-force", "new")]));
    drop(new.accept());
    assert_eq!(tester.response().status, 200, "old answers");
    assert_eq!(evidence(&proxy, "new"), (0.0, 0.0), "neither says anything about new");
    let mut client = proxy.connect();
    client.send(request::get_as("/", "user-2"));
    drop(new.accept());
    assert_eq!(client.response().status, 200);
    wait_for_failures(&proxy, 1.0);
    assert_eq!(evidence(&proxy, "old"), (0.0, 0.0), "what old answers in new's place is no evidence for old");
}
