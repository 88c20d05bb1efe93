//! The admin API and the metrics tell what happens, and change it only for those who may.

use serde_json::json;
use test_kit::{Config, Origin, Proxy, Wire, request};

use crate::{expect_problem, origin};

struct Rig {
    old: Origin,
    new: Origin,
    proxy: Proxy,
}

fn rig(adapt: impl FnOnce(Config) -> Config) -> Rig {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let proxy = Proxy::start(&adapt(Config::pair(old.addr(), new.addr()).percent(50)));
    Rig { old, new, proxy }
}

#[test]
fn metrics_count_what_was_served() {
    let rig = rig(|config| config.workers(2));
    let mut client = rig.proxy.connect();
    for n in 0..60 {
        client.exchange(request::get_as("/", &format!("u{n}")));
    }
    for n in 0..6 {
        client.exchange(request::get_as("/status/503", &format!("u{n}")));
    }
    for (arm, served) in [("old", rig.old.requests()), ("new", rig.new.requests())] {
        let labels = [("migration", "shop"), ("arm", arm), ("role", "served")];
        let wanted = served as f64;
        rig.proxy.wait_metric("crossfade_requests_total", &labels, |n| (n - wanted).abs() < 0.1);
        rig.proxy
            .wait_metric("crossfade_request_duration_seconds_count", &labels, |n| (n - wanted).abs() < 0.1);
    }
    let metrics = rig.proxy.metrics();
    let count = |class: &str| {
        metrics.count("crossfade_requests_total", &[("migration", "shop"), ("code_class", class)])
    };
    assert!((count("2xx") - 60.0).abs() < 0.1 && (count("5xx") - 6.0).abs() < 0.1, "{:?}", metrics.names());
    let failed =
        metrics.count("crossfade_failures_total", &[("migration", "shop"), ("reason", "status-5xx")]);
    assert!((failed - 6.0).abs() < 0.1, "{failed}");
    let asked = metrics.count("crossfade_percent", &[("migration", "shop"), ("kind", "asked")]);
    let in_force = metrics.count("crossfade_percent", &[("migration", "shop"), ("kind", "in_force")]);
    assert!((asked - 50.0).abs() < 1e-9 && (in_force - 50.0).abs() < 1e-9, "{asked} {in_force}");
    assert_eq!(
        metrics.count("crossfade_phase", &[("migration", "shop"), ("phase", "canary")]).to_string(),
        "1"
    );
    for name in
        ["crossfade_build_info", "crossfade_config_generation", "crossfade_config_last_reload_successful"]
    {
        assert!(metrics.names().contains(&name), "{name} is missing");
    }
}

#[test]
fn labels_are_bounded() {
    let rig = rig(|config| config.path("/shop/*"));
    let mut client = rig.proxy.connect();
    let series =
        |rig: &Rig| rig.proxy.admin_get("/metrics").text().lines().filter(|l| !l.starts_with('#')).count();
    client.exchange(request::get_as("/shop/1", "somebody"));
    client.exchange(request::get("/nowhere"));
    let before = series(&rig);
    for n in 0..50 {
        let (target, method) = (format!("/shop/{n}"), format!("M{n}"));
        client.exchange(request::with(&method, &target, &[("x-user-id", &format!("secret-user-{n}"))], b""));
        client.exchange(request::get(&format!("/nowhere/{n}")));
    }
    let text = rig.proxy.admin_get("/metrics").text();
    assert!(!text.contains("secret-user") && !text.contains("/nowhere"), "{text}");
    assert!(series(&rig) <= before + 12, "{before} series grew to {}", series(&rig));
}

#[test]
fn migrations_can_be_read() {
    let rig = rig(|config| config);
    let all = rig.proxy.admin_get("/api/v1/migrations");
    assert_eq!(all.status, 200);
    assert!(all.text().contains("\"shop\""), "{}", all.text());
    let one = rig.proxy.admin_get("/api/v1/migrations/shop");
    assert_eq!(one.status, 200);
    let one = one.json();
    assert_eq!(one["name"], "shop", "{one}");
    assert_eq!(one["phase"], "canary", "{one}");
    for (target, status) in [
        ("/api/v1/migrations/nobody", 404),
        ("/api/v1/nothing", 404),
        ("/api/v1/migrations/nobody/where?key=a", 404),
    ] {
        expect_problem(&rig.proxy.admin_get(target), status);
    }
    assert_eq!(rig.proxy.admin_get("/healthz").status, 200);
    assert_eq!(rig.proxy.admin_get("/readyz").status, 200);
}

#[test]
fn a_percentage_that_is_none_is_refused_and_changes_nothing() {
    let rig = rig(|config| config);
    for bad in [
        json!({ "percent": 101, "reason": "r" }),
        json!({ "percent": -1, "reason": "r" }),
        json!({ "percent": "many", "reason": "r" }),
        json!({ "percent": 1e300, "reason": "r" }),
        json!({ "percent": null, "reason": "r" }),
        json!({ "reason": "r" }),
        json!([]),
        json!({ "percent": 12.345_678_9, "reason": "r" }),
    ] {
        let answer = rig.proxy.admin_post("/api/v1/migrations/shop/percent", &bad);
        assert!((400..500).contains(&answer.status), "{bad}: {} {}", answer.status, answer.text());
        expect_problem(&answer, answer.status);
    }
    let mut wire = Wire::connect(rig.proxy.admin());
    let answer = wire.exchange(format!(
        "POST /api/v1/migrations/shop/percent HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\nnot json",
        rig.proxy.admin()
    ));
    assert!((400..500).contains(&answer.status));
    let in_force = rig.proxy.metrics().count("crossfade_percent", &[("kind", "in_force")]);
    assert!((in_force - 50.0).abs() < 1e-9);
}

#[test]
fn a_percentage_from_the_api_is_in_force_when_the_answer_comes() {
    let rig = rig(|config| config.percent(0).workers(2));
    let mut clients: Vec<Wire> = (0..8).map(|_| rig.proxy.connect()).collect();
    for client in &mut clients {
        client.exchange(request::get_as("/", "a"));
    }
    for (percent, arm) in [(100, "new"), (0, "old"), (100, "new"), (0, "old")] {
        let body = json!({ "percent": percent, "reason": "test" });
        let set = rig.proxy.admin_post("/api/v1/migrations/shop/percent", &body);
        assert!((200..300).contains(&set.status), "{}", set.text());
        for client in &mut clients {
            assert_eq!(origin(&client.exchange(request::get_as("/", "a"))), arm, "at {percent} %");
        }
    }
}

#[test]
fn a_web_page_cannot_reach_the_api() {
    let rig = rig(|config| config);
    let post = |fields: &str| {
        let body = "{\"percent\": 100, \"reason\": \"attack\"}";
        Wire::connect(rig.proxy.admin()).exchange(format!(
            "POST /api/v1/migrations/shop/percent HTTP/1.1\r\n{fields}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ))
    };
    let admin = rig.proxy.admin();
    for (name, fields) in [
        ("another host", "host: evil.example\r\ncontent-type: application/json\r\n".to_owned()),
        (
            "another origin",
            format!("host: {admin}\r\norigin: http://evil.example\r\ncontent-type: application/json\r\n"),
        ),
        (
            "a cross-site fetch",
            format!("host: {admin}\r\nsec-fetch-site: cross-site\r\ncontent-type: application/json\r\n"),
        ),
    ] {
        let answer = post(&fields);
        assert!((400..500).contains(&answer.status), "{name}: {}", answer.status);
    }
    let in_force = rig.proxy.metrics().count("crossfade_percent", &[("kind", "in_force")]);
    assert!((in_force - 50.0).abs() < 1e-9);
}

#[test]
fn a_token_is_asked_for_where_there_is_one() {
    let dir = tempfile::TempDir::new().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "s3cret-t0ken\n").unwrap();
    let rig = rig(|config| {
        config.admin(format!("token_file = \"{}\"", token.display())).admin("probe_listen = \"127.0.0.1:0\"")
    });
    let ask = |fields: &str| {
        let host = rig.proxy.admin();
        let head =
            format!("GET /api/v1/migrations HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{fields}\r\n");
        Wire::connect(host).exchange(head).status
    };
    assert_eq!(ask(""), 401);
    assert_eq!(ask("authorization: Bearer wrong-t0ken!\r\n"), 401);
    assert_eq!(ask("authorization: Bearer s3cret-t0ken2\r\n"), 401);
    assert_eq!(ask("authorization: Bearer s3cret-t0ken\r\n"), 200);
    let without = rig.proxy.command(&["status"]);
    assert_eq!(without.code, 1, "{without:?}");
}

#[test]
fn the_admin_port_takes_no_harm_from_nonsense() {
    let mut rig = rig(|config| config);
    for bytes in
        [&b"\x16\x03\x01\x02\x00"[..], b"GET", b"\0\0\0\0\r\n\r\n", b"POST /api/v1/reload HTTP/1.1\r\n\r\n"]
    {
        let mut wire = Wire::connect(rig.proxy.admin());
        wire.send(bytes);
        wire.half_close();
        drop(wire.rest());
    }
    let mut wire = Wire::connect(rig.proxy.admin());
    wire.send(format!(
        "POST /api/v1/migrations/shop/percent HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 100000000\r\n\r\n",
        rig.proxy.admin()
    ));
    let answer = wire.try_response();
    assert!(answer.as_ref().map_or(true, |answer| answer.status == 413), "{answer:?}");
    assert!(rig.proxy.is_running());
    assert_eq!(rig.proxy.admin_get("/healthz").status, 200);
}

/// The lines of the access log, once there are as many as wanted.
fn access_lines(path: &std::path::Path, wanted: usize) -> Vec<serde_json::Value> {
    let read = || std::fs::read_to_string(path).unwrap_or_default();
    test_kit::eventually("the access log has its lines", || read().lines().count() >= wanted);
    read().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_access_log_has_a_line_for_each_request_and_no_secrets() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("access.log");
    let rig = rig(|config| config.proxy(format!("access_log = \"{}\"", path.display())));
    let mut client = rig.proxy.connect();
    client.exchange(request::get_with(
        "/a?token=hidden",
        &[("x-request-id", "first"), ("user-agent", "t \"1\"")],
    ));
    client.exchange(request::post("/status/503", b"hello"));
    client.exchange(request::get_as("/b", "ann"));
    let lines = access_lines(&path, 3);
    let text = serde_json::to_string(&lines).unwrap();
    for hidden in ["token", "hidden"] {
        assert!(!text.contains(hidden), "{hidden} was logged: {text}");
    }
    assert!(lines[0].to_string().contains("\"first\""), "{}", lines[0]);
    assert_eq!(lines[0]["url.path"], "/a", "{}", lines[0]);
    assert_eq!(lines[1]["http.response.status_code"], 503, "{}", lines[1]);
    assert_eq!(lines[1]["http.request.method"], "POST", "{}", lines[1]);
    assert_eq!(lines[2]["crossfade.migration"], "shop", "{}", lines[2]);

    // As log rotation does it: rename, then the signal.
    std::fs::rename(&path, dir.path().join("access.log.1")).unwrap();
    rig.proxy.reopen_logs();
    test_kit::eventually("the file is there again", || path.exists());
    client.exchange(request::get("/after"));
    assert_eq!(access_lines(&path, 1)[0]["url.path"], "/after");
}
