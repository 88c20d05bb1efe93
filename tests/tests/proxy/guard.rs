//! The guard takes the users back when new is worse, at once, and only then.

use std::time::{Duration, Instant};

use test_kit::{Config, Kind, Load, Origin, Proxy, Scripted, eventually, request};

const FAILING: &[u8] = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";

/// Half of the users on new, which fails every request.
fn broken_new(lines: &str) -> (Origin, test_kit::Serving, Proxy) {
    let (old, new) = (Origin::start("old"), Scripted::bind());
    let config = Config::pair(old.addr(), new.addr()).percent(50).section(lines);
    let serving = new.answering(FAILING.to_vec());
    let proxy = Proxy::start(&config);
    (old, serving, proxy)
}

/// By the status, which is renewed a moment after the metrics: whoever has seen this finds both telling the rest of it.
fn in_force(proxy: &Proxy) -> f64 {
    let shop = proxy.admin_get("/api/v1/migrations/shop").json();
    shop["percent"]["in_force"].as_f64().unwrap()
}

/// Waits until the guards have looked, from beginning to end, at all that was counted before.
fn looked(proxy: &Proxy) {
    let looks = || proxy.metrics().count("crossfade_guard_look_interval_seconds_count", &[]);
    // A look is counted as it begins: the first may have begun before, and the third tells that the second is over.
    let before = looks();
    eventually("the guards have looked", || looks() >= before + 3.0);
}

/// A request each of so many users.
fn ask(proxy: &Proxy, users: std::ops::Range<usize>) {
    let mut client = proxy.connect();
    for user in users {
        client.exchange(request::get_as("/", &format!("user-{user}")));
    }
}

#[test]
fn new_that_fails_is_left_and_stays_left() {
    let (_old, _new, proxy) = broken_new("");
    let ln_evidence =
        |proxy: &Proxy| proxy.metrics().count("crossfade_guard_ln_evidence", &[("migration", "shop")]);
    looked(&proxy);
    let stake = ln_evidence(&proxy);
    assert!((-12.0..-2.0).contains(&stake), "far from 0 as long as nothing was seen: {stake}");
    let mut asked = 0;
    eventually("everybody is on old", || {
        ask(&proxy, asked..asked + 50);
        asked += 50;
        in_force(&proxy) == 0.0
    });
    assert!(asked < 5_000, "after {asked} requests");
    let status = proxy.admin_get("/api/v1/migrations/shop").json();
    assert_eq!(status["guard"]["verdict"], "breached", "{status}");
    assert!(status["guard"]["ln_evidence"].as_f64().unwrap() >= 0.0, "{status}");
    assert!(ln_evidence(&proxy) >= 0.0);
    assert_eq!(status["latched"]["cause"], "error_rate", "{status}");
    let sentence = status["latched"]["sentence"].as_str().unwrap();
    assert!(sentence.contains("new fails 100% of requests, old 0%, allowed +0.5% (after "), "{sentence}");
    let told = "shop: rolled back from 50% to 0%: new fails 100% of requests, old 0%, allowed +0.5% (after ";
    eventually("it is in the log", || proxy.log().contains(told));
    let labels = [("migration", "shop"), ("cause", "error_rate")];
    assert_eq!(proxy.metrics().count("crossfade_rollbacks_total", &labels), 1.0);
    assert_ne!(proxy.command(&["set", "shop", "10"]).code, 0, "nothing goes forward until somebody resumes");
    ask(&proxy, 10_000..10_050);
    assert_eq!(in_force(&proxy), 0.0);
    assert_eq!(proxy.command(&["resume", "shop", "--reason", "fixed"]).code, 0);
    assert_eq!(in_force(&proxy), 50.0);
    assert!(ln_evidence(&proxy) < 0.0, "what spoke against new is forgotten");
}

/// Asks on behalf of ever new users until everybody is on old. Gives the cause.
fn rolled_back(proxy: &Proxy) -> String {
    let mut asked = 0;
    eventually("everybody is on old", || {
        ask(proxy, asked..asked + 50);
        asked += 50;
        in_force(proxy) == 0.0
    });
    let status = proxy.admin_get("/api/v1/migrations/shop").json();
    status["latched"]["cause"].as_str().unwrap_or_default().to_owned()
}

/// Half of the users on new, which answers all of them like this.
fn answering(answer: &[u8], lines: &str) -> (Origin, test_kit::Serving, Proxy) {
    let (old, new) = (Origin::start("old"), Scripted::bind());
    let config = Config::pair(old.addr(), new.addr()).percent(50).section(lines);
    let serving = new.answering(answer.to_vec());
    let proxy = Proxy::start(&config);
    (old, serving, proxy)
}

fn failures(proxy: &Proxy, reason: &str) -> f64 {
    let labels = [("migration", "shop"), ("arm", "new"), ("reason", reason)];
    proxy.metrics().count("crossfade_failures_total", &labels)
}

#[test]
fn which_statuses_are_failures_is_for_the_operator_to_say() {
    const LIMITED: &[u8] = b"HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\n\r\n";
    let counted = "[migration.shop.guard]\nfailures = { statuses = [\"5xx\", 429] }";
    let (_old, _new, proxy) = answering(LIMITED, counted);
    assert_eq!(rolled_back(&proxy), "error_rate");
    assert!(failures(&proxy, "status-other") > 5.0);

    let (_old, _new, proxy) = answering(LIMITED, "");
    ask(&proxy, 0..1_000);
    assert_eq!((in_force(&proxy), failures(&proxy, "status-other")), (50.0, 0.0), "a 4xx is the client's");

    let left_out = "[migration.shop.guard]\nfailures = { statuses = [501, 503] }";
    let (_old, _new, proxy) = answering(FAILING, left_out);
    ask(&proxy, 0..1_000);
    assert_eq!((in_force(&proxy), failures(&proxy, "status-5xx")), (50.0, 0.0), "not every 5xx need be one");
}

#[test]
fn an_answer_may_say_itself_that_it_is_a_failure() {
    const DEGRADED: &[u8] = b"HTTP/1.1 200 OK\r\nX-Degraded: true\r\nContent-Length: 0\r\n\r\n";
    let counted =
        |value: &str| format!("[migration.shop.guard]\nfailures = {{ header = {{ x-degraded = {value} }} }}");
    for value in ["true", "\"true\""] {
        let (_old, _new, proxy) = answering(DEGRADED, &counted(value));
        assert_eq!(rolled_back(&proxy), "error_rate", "{value}");
        assert!(failures(&proxy, "header") > 5.0);
    }
    for lines in [String::new(), counted("\"very\"")] {
        let (_old, _new, proxy) = answering(DEGRADED, &lines);
        ask(&proxy, 0..1_000);
        assert_eq!((in_force(&proxy), failures(&proxy, "header")), (50.0, 0.0), "{lines}");
    }
}

#[test]
fn what_old_had_to_answer_is_a_failure_whatever_else_is() {
    let lines = "[migration.shop.fallback]\n[migration.shop.guard]\nfailures = { statuses = [] }";
    let (_old, _new, proxy) = answering(FAILING, lines);
    assert_eq!(rolled_back(&proxy), "error_rate");
}

#[test]
fn a_dry_run_says_so_and_does_nothing() {
    let (_old, _new, proxy) = broken_new("[migration.shop.guard]\ndry_run = true");
    let mut asked = 0;
    eventually("it would have", || {
        ask(&proxy, asked..asked + 50);
        asked += 50;
        proxy.log().contains("shop: would roll back, but for dry_run: new fails 100% of requests")
    });
    assert_eq!(in_force(&proxy), 50.0);
}

#[test]
fn nobody_judges_where_the_file_says_so() {
    let (_old, _new, proxy) = broken_new("");
    drop(proxy);
    let (old, new) = (Origin::start("old"), Scripted::bind());
    let config = Config::pair(old.addr(), new.addr()).percent(50).migration("guard = false");
    let _serving = new.answering(FAILING.to_vec());
    let proxy = Proxy::start(&config);
    ask(&proxy, 0..1_000);
    assert_eq!(in_force(&proxy), 50.0);
    assert!(proxy.admin_get("/api/v1/migrations/shop").json()["guard"].is_null());
}

#[test]
fn what_fails_on_both_is_nobody_s_reason_to_go_back() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let config = Config::pair(old.addr(), new.addr()).percent(50);
    let _serving = [old.answering(FAILING.to_vec()), new.answering(FAILING.to_vec())];
    let proxy = Proxy::start(&config);
    ask(&proxy, 0..2_000);
    assert_eq!(in_force(&proxy), 50.0);
}

#[test]
fn two_that_are_alike_stay_as_they_are() {
    let (old, new) = (test_kit::FaultyOrigin::start("old"), test_kit::FaultyOrigin::start("new"));
    let proxy = Proxy::start(&Config::pair(old.addr(), new.addr()).percent(50));
    let report = Load::of("alike", 4_000).kinds(&[Kind::GET]).run(proxy.addr());
    report.expect_no_failures("nothing is wrong");
    assert_eq!(in_force(&proxy), 50.0);
    let verdict = proxy.admin_get("/api/v1/migrations/shop").json()["guard"]["verdict"].clone();
    assert!(verdict == "insufficient" || verdict == "healthy", "{verdict}");
}

#[test]
fn there_is_no_going_back_to_nobody() {
    let (old, new) = (Origin::start("old"), Scripted::bind());
    // The check asks for a path that old does not have.
    let config = Config::pair(old.addr(), new.addr()).percent(50).to_string().replacen(
        "[upstream.shop-old]\n",
        "[upstream.shop-old]\nhealth = { path = \"/status/500\", interval = \"100ms\", unhealthy_after = 1 }\n",
        1,
    );
    let _serving = new.answering(FAILING.to_vec());
    let proxy = Proxy::start_text(&config);
    let unhealthy = [("upstream", "shop-old")];
    proxy.wait_metric("crossfade_upstream_healthy", &unhealthy, |healthy| healthy == 0.0);
    let mut asked = 0;
    eventually("the alert", || {
        ask(&proxy, asked..asked + 50);
        asked += 50;
        proxy.log().contains("shop: cannot go back: no endpoint of old is healthy")
    });
    assert_eq!(in_force(&proxy), 50.0);
    let refused = proxy.command(&["rollback", "shop", "--reason", "all the same"]);
    assert!(
        refused.code == 1 && refused.stderr.contains("shop: cannot go back: no endpoint of old"),
        "{refused:?}"
    );
    assert_eq!(proxy.command(&["rollback", "shop", "--force", "--reason", "all the same"]).code, 0);
    assert_eq!(in_force(&proxy), 0.0, "a person who insists may");
}

/// The first `count` users that are on this arm.
fn users_on(proxy: &Proxy, arm: &str, count: usize) -> Vec<String> {
    let is_on = |user: &String| {
        let answer = proxy.admin_get(&format!("/api/v1/migrations/shop/where?key={user}")).json();
        answer["arm"] == arm
    };
    (0..).map(|n| format!("user-{n}")).filter(is_on).take(count).collect()
}

#[test]
fn new_that_hangs_is_left_long_before_it_times_out() {
    let (old, new) = (Origin::start("old"), Scripted::bind());
    let timeouts = "[migration.shop.timeouts]\nfirst_byte = \"30s\"\ntotal = \"30s\"";
    let config = Config::pair(old.addr(), new.addr()).percent(50).section(timeouts);
    let proxy = Proxy::start(&config);
    let (on_old, on_new) = (users_on(&proxy, "old", 1), users_on(&proxy, "new", 60));
    let mut shopper = proxy.connect();
    let mut shop = |requests: usize| {
        for _ in 0..requests {
            assert_eq!(shopper.exchange(request::get_as("/", &on_old[0])).status, 200);
        }
    };
    // So much that it is known how long old takes, and who takes longer: whoever asked before that hangs unnoticed.
    shop(400);
    looked(&proxy);
    let (began, mut on_new) = (Instant::now(), on_new.iter());
    let mut waiting = Vec::new();
    eventually("everybody is on old", || {
        // Nobody answers these, and nobody hangs up.
        for user in on_new.by_ref().take(2) {
            let mut client = proxy.connect();
            client.send(request::get_as("/", user));
            waiting.push(client);
        }
        shop(20);
        in_force(&proxy) == 0.0
    });
    let took = began.elapsed();
    assert!(took < Duration::from_secs(12), "it took {took:?}");
    let status = proxy.admin_get("/api/v1/migrations/shop").json();
    assert_eq!(status["latched"]["cause"], "error_rate", "{status}");
    let evidence = || {
        let metrics = proxy.metrics();
        let counted = |name| metrics.count(name, &[("migration", "shop"), ("arm", "new")]);
        ["crossfade_evidence_requests_total", "crossfade_evidence_failures_total"].map(counted)
    };
    // The last ones may have come when all had gone back; old answers those.
    eventually("each of the others counts once, as a failure", || {
        let by_old = waiting.iter_mut().map(|client| usize::from(!client.is_quiet())).sum::<usize>();
        let [requests, failed] = evidence();
        assert!(failed <= waiting.len() as f64, "{failed} of {requests}");
        requests == failed && failed == (waiting.len() - by_old) as f64
    });
    waiting.retain_mut(|client| {
        let is_awaited = client.is_quiet();
        assert!(is_awaited || client.response().fields.get("x-origin") == Some("old"), "nothing was cut off");
        is_awaited
    });
    // Those that were not yet late when all went back are still awaited; then each is answered.
    for _ in &waiting {
        let mut wire = new.accept();
        wire.request();
        wire.send(request::ok("late"));
    }
    assert!(waiting.iter_mut().all(|client| client.response().text() == "late"));
    let [requests, failed] = evidence();
    assert!(failed <= requests && requests <= waiting.len() as f64, "{failed} of {requests}, each once");
    eventually("metrics tell of them", || failures(&proxy, "late") >= 5.0);
}
