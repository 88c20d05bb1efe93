//! The admin interface over real sockets, spoken to in plain bytes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail as the test does")]

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use admin_api::{
    Diffs, DiffsAnswer, DiffsCounts, DiffsCoverage, DiffsGroup, DiffsNoise, DiffsQuestions, DiffsRace,
    DiffsSample, DiffsStorage, DiffsSummary, DiffsTurnedAway, DiffsWish, Guard, MAX_CONNECTIONS, Parts,
    Token, probe_router, router, serve,
};
use control_plane::{Bound, Control, Controller, ListenError, Listeners, Settings, load};
use route_plan::{Failure, Kept, Observation};
use serde_json::{Value, json};
use telemetry::{EndpointFacts, Telemetry, TrafficKind};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use traffic_split::{Arm, Role};

const DEADLINE: Duration = Duration::from_secs(10);
const TOKEN: &str = "correct-horse-battery-staple";

struct Pretended;

impl Listeners for Pretended {
    fn set(&self, wanted: &[SocketAddr]) -> Result<Vec<Bound>, ListenError> {
        Ok(wanted.iter().map(|&asked| Bound { asked, bound: asked }).collect())
    }
}

fn config(percent: &str) -> String {
    format!(
        "[[listener]]
listen = \"127.0.0.1:8080\"
[upstream.a]
endpoints = [\"http://127.0.0.1:2\"]
[upstream.b]
endpoints = [\"http://127.0.0.1:3\"]
[migration.shop]
match = [{{ path = \"/*\" }}]
old = \"a\"
new = \"b\"
key = [\"header:x-user-id\"]
fallback = true
percent = {percent}
"
    )
}

struct Admin {
    addr: SocketAddr,
    probe: SocketAddr,
    parts: Parts,
    dir: TempDir,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn problem(&self) -> (u16, String) {
        assert!(self.head.contains("application/problem+json"), "{}\n{}", self.head, self.body);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }
}

async fn start(token: Option<&str>) -> Admin {
    start_with(token, &config("37.5")).await
}

async fn start_with(token: Option<&str>, text: &str) -> Admin {
    start_comparing(token, text, None).await
}

async fn start_comparing(token: Option<&str>, text: &str, diffs: Option<Arc<dyn Diffs>>) -> Admin {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("crossfade.toml");
    fs::write(&path, text).unwrap();
    let telemetry = Telemetry::new(1);
    let controller = Controller::open(load(&path).unwrap(), Arc::clone(&telemetry)).unwrap();
    // Files are read when asked only.
    let settings = Settings { quiet: Duration::from_secs(600), poll: Duration::from_secs(3600) };
    let Control { handle, .. } = controller.start(Arc::new(Pretended), settings).await.unwrap();
    let parts = Parts { control: handle, telemetry, diffs };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let guard = Guard::new(addr, token.map(|token| Token::from_text(token).unwrap()));
    tokio::spawn(serve(listener, router(parts.clone(), guard)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let probe = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, probe_router(parts.clone())));
    Admin { addr, probe, parts, dir }
}

async fn exchange(addr: SocketAddr, request: &str) -> Answer {
    let exchange = async {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {answer:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    };
    tokio::time::timeout(DEADLINE, exchange).await.unwrap()
}

impl Admin {
    async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\n{length}{headers}\r\n{body}"
        );
        exchange(self.addr, &request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", "").await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, "Content-Type: application/json\r\n", &body.to_string()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_answer_on_both_addresses() {
    let admin = start(None).await;
    for addr in [admin.addr, admin.probe] {
        for (path, body) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let answer = exchange(addr, &request).await;
            assert_eq!((answer.status, answer.body.as_str()), (200, body));
        }
        let metrics =
            exchange(addr, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"));
        assert!(metrics.body.contains("crossfade_percent{migration=\"shop\",kind=\"asked\"} 37.5\n"));
        assert!(metrics.body.contains("crossfade_config_generation 1\n"));
    }
    admin.parts.control.drain().await;
    let answer = admin.get("/readyz").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "draining\n"));
    assert_eq!(admin.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_probe_address_has_nothing_else() {
    let admin = start(None).await;
    for path in ["/api/v1/status", "/api/v1/migrations"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n");
        assert_eq!(exchange(admin.probe, &request).await.problem(), (404, "not-found".to_owned()));
    }
    let reload = "POST /api/v1/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(admin.probe, reload).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_are_listed_and_shown() {
    let admin = start(None).await;
    let all = admin.get("/api/v1/migrations").await.json();
    let shop = admin.get("/api/v1/migrations/shop").await.json();
    assert_eq!(all["migrations"], json!([shop]));
    assert_eq!(shop["name"], "shop");
    assert_eq!((&shop["old"], &shop["new"]), (&json!("a"), &json!("b")));
    assert_eq!(shop["phase"], "canary");
    assert_eq!(
        shop["percent"],
        json!({ "asked": 37.5, "asked_from": "file", "in_force": 37.5, "measured": null })
    );
    assert_eq!(shop["keys"], json!(["header:x-user-id"]));
    assert_eq!(admin.get("/api/v1/migrations/shpo").await.problem(), (404, "unknown-migration".to_owned()));
    let status = admin.get("/api/v1/status").await.json();
    assert_eq!(status["migrations"], all["migrations"]);
    assert_eq!((&status["ready"], &status["generation"]), (&json!(true), &json!(1)));
    assert_eq!(status["listeners"], json!([{ "listen": "127.0.0.1:8080", "bound": "127.0.0.1:8080" }]));
    assert_eq!(status["state"]["durable"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_percent_is_in_force_with_its_answer() {
    let admin = start(None).await;
    let wanted = json!({ "percent": 25, "who": "alice", "reason": "looks good" });
    let answer = admin.post("/api/v1/migrations/shop/percent", &wanted).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let changed = answer.json();
    assert_eq!(changed["migration"]["percent"]["in_force"], 25.0);
    assert_eq!(changed["migration"]["last_change"]["who"], "alice");
    assert_eq!(changed["effects"].as_array().unwrap().len(), 2);
    let shop = admin.get("/api/v1/migrations/shop").await.json();
    assert_eq!(shop["percent"]["asked"], 25.0);
    assert_eq!(shop["percent"]["asked_from"], "person");
    let fine =
        admin.post("/api/v1/migrations/shop/percent", &json!({ "percent": "12.345678%" })).await.json();
    assert_eq!(fine["migration"]["percent"]["asked"], 12.345678);
    for number in [12.345678, 0.000001, 33.333333, 99.999999, 0.1, 37.5] {
        let exact = admin.post("/api/v1/migrations/shop/percent", &json!({ "percent": number })).await;
        assert_eq!(exact.status, 200, "{number}: {}", exact.body);
        assert_eq!(exact.json()["migration"]["percent"]["asked"], number);
    }
    let phase = admin.post("/api/v1/migrations/shop/phase", &json!({ "phase": "full" })).await.json();
    assert_eq!(phase["migration"]["percent"]["in_force"], 100.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_shown_until_a_resume_and_both_are_in_the_journal() {
    let admin = start_with(None, &format!("[state]\ndir = \"state\"\n{}", config("37.5"))).await;
    let shop = "/api/v1/migrations/shop";
    assert!(admin.get(shop).await.json()["latched"].is_null());
    let said = json!({ "who": "alice", "reason": "errors in the cart" });
    let back = admin.post(&format!("{shop}/rollback"), &said).await.json();
    assert_eq!(
        back["effects"][0],
        "shop: rolled back from 37.5% to 0%: asked for by alice: errors in the cart"
    );
    let latched = &back["migration"]["latched"];
    assert_eq!(
        (&latched["cap"], &latched["cause"], &latched["who"], &latched["reason"]),
        (&json!(0.0), &json!("person"), &json!("alice"), &json!("errors in the cart"))
    );
    assert_eq!(back["migration"]["rollbacks"]["person"], 1);
    assert_eq!(back["migration"]["percent"]["in_force"], 0.0);
    let set = admin.post(&format!("{shop}/percent"), &json!({ "percent": 50 })).await;
    assert_eq!(set.problem(), (409, "refused".to_owned()));
    assert_eq!(admin.get("/api/v1/status").await.json()["state"]["durable"], true);
    // The body may be left out.
    let resumed = admin.send("POST", &format!("{shop}/resume"), "", "").await.json();
    assert_eq!(
        (&resumed["migration"]["percent"]["in_force"], &resumed["migration"]["latched"]),
        (&json!(37.5), &Value::Null)
    );
    assert_eq!(admin.post(&format!("{shop}/resume"), &said).await.problem(), (409, "refused".to_owned()));

    let journal = admin.get(&format!("{shop}/journal?limit=2")).await.json();
    let kinds: Vec<_> =
        journal["lines"].as_array().unwrap().iter().map(|line| line["kind"].clone()).collect();
    assert_eq!(kinds, ["rolled_back", "resumed"]);
    for limit in ["0", "1001", "many"] {
        let refused = admin.get(&format!("{shop}/journal?limit={limit}")).await;
        assert_eq!(refused.problem(), (400, "bad-request".to_owned()));
    }
    for path in ["journal", "rollback", "resume"] {
        let path = format!("/api/v1/migrations/shpo/{path}");
        let unknown =
            if path.ends_with("journal") { admin.get(&path).await } else { admin.post(&path, &said).await };
        assert_eq!(unknown.problem(), (404, "unknown-migration".to_owned()));
    }
    let memory = start(None).await;
    assert_eq!(memory.get(&format!("{shop}/journal")).await.problem(), (409, "no-journal".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_is_switched_and_shown() {
    let admin = start_with(None, &format!("{}shadow = true\n", config("5"))).await;
    let shop = "/api/v1/migrations/shop";
    let shadow = admin.get(shop).await.json()["shadow"].clone();
    assert_eq!((&shadow["state"], &shadow["sentence"]), (&json!("on"), &json!("on: new gets copies")));
    assert_eq!(
        shadow["match_rate"],
        json!({ "compared": 0, "rate": null, "at_least": 0.0, "text": "no comparisons yet" })
    );
    assert_eq!(
        shadow["comparisons"],
        json!({ "matched": 0, "mismatched": 0, "noise": 0, "race": 0, "not_compared": 0 })
    );
    let off = json!({ "on": false, "who": "alice", "reason": "old is busy" });
    let off = admin.post(&format!("{shop}/shadow"), &off).await.json();
    assert_eq!(off["effects"], json!(["shop: the shadow is switched off, by alice"]));
    let shadow = &off["migration"]["shadow"];
    assert_eq!((&shadow["state"], &shadow["reason"]), (&json!("off"), &json!("old is busy")));
    let on = admin.post(&format!("{shop}/shadow"), &json!({ "on": true, "anew": true })).await.json();
    assert_eq!(on["migration"]["shadow"]["state"], "on");
    assert_eq!(on["effects"].as_array().unwrap().len(), 2, "{on}");
    for body in [json!({ "on": false, "anew": true }), json!({ "on": "no" }), json!({})] {
        let refused = admin.post(&format!("{shop}/shadow"), &body).await;
        assert_eq!(refused.problem(), (422, "bad-request".to_owned()), "{body}");
    }
    let none = start_with(None, &format!("{}shadow = false\n", config("5"))).await;
    assert!(none.get(shop).await.json()["shadow"].is_null());
    let refused = none.post(&format!("{shop}/shadow"), &json!({ "on": true })).await;
    assert_eq!(refused.problem(), (409, "refused".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_changes_are_told_apart() {
    let admin = start(None).await;
    let path = "/api/v1/migrations/shop/percent";
    for (body, expected) in [
        (r#"{"percent": 101}"#, (422, "bad-request")),
        (r#"{"percent": -1}"#, (422, "bad-request")),
        (r#"{"percent": 1.1234567}"#, (422, "bad-request")),
        (r#"{"percent": "many"}"#, (422, "bad-request")),
        (r#"{"percent": null}"#, (422, "bad-request")),
        (r#"{"percnet": 5}"#, (422, "bad-request")),
        (r#"{"percent": 5, "why": "x"}"#, (422, "bad-request")),
        (r#"{"percent": 5, "reason": "two\nlines"}"#, (422, "bad-request")),
        (r#"{"percent": 5"#, (400, "bad-json")),
        ("nonsense", (400, "bad-json")),
        ("", (400, "bad-json")),
    ] {
        let answer = admin.send("POST", path, "Content-Type: application/json\r\n", body).await;
        assert_eq!(answer.problem(), (expected.0, expected.1.to_owned()), "{body}");
    }
    let form = admin.send("POST", path, "Content-Type: text/plain\r\n", r#"{"percent": 5}"#).await;
    assert_eq!(form.problem(), (415, "not-json".to_owned()));
    let unknown = admin.post("/api/v1/migrations/shpo/percent", &json!({ "percent": 5 })).await;
    assert_eq!(unknown.problem(), (404, "unknown-migration".to_owned()));
    let phase = admin.post("/api/v1/migrations/shop/phase", &json!({ "phase": "fulll" })).await;
    assert_eq!(phase.problem(), (422, "bad-request".to_owned()));
    let huge = json!({ "percent": 5, "reason": "x".repeat(70_000) });
    assert_eq!(admin.post(path, &huge).await.problem(), (413, "too-large".to_owned()));
    let announced = admin.send("POST", path, "Content-Length: 100000000\r\n", "").await;
    assert_eq!(announced.problem(), (413, "too-large".to_owned()), "without waiting for the body");
    let chunks = format!("{:x}\r\n{}\r\n0\r\n\r\n", 70_000, "x".repeat(70_000));
    let chunked = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
    );
    assert_eq!(exchange(admin.addr, &chunked).await.problem(), (413, "too-large".to_owned()));
    assert_eq!(admin.get("/api/v1/migrations/shop").await.json()["percent"]["asked"], 37.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_problems_too() {
    let admin = start(None).await;
    for path in ["/", "/api", "/api/v1", "/api/v1/nothing", "/metrics/", "/api/v2/status"] {
        assert_eq!(admin.get(path).await.problem(), (404, "not-found".to_owned()), "{path}");
    }
    for (method, path) in [
        ("POST", "/metrics"),
        ("DELETE", "/api/v1/migrations/shop"),
        ("GET", "/api/v1/reload"),
        ("PUT", "/healthz"),
    ] {
        let answer = admin.send(method, path, "", "").await;
        assert_eq!(answer.problem(), (405, "method-not-allowed".to_owned()), "{method} {path}");
        assert!(answer.head.contains("\r\nallow: "), "{}", answer.head);
    }
    assert_eq!(admin.get("/api/v1/migrations/%ff").await.problem().0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_says_what_it_did_or_all_that_is_wrong() {
    let admin = start(None).await;
    let path = admin.dir.path().join("crossfade.toml");
    let unchanged = admin.send("POST", "/api/v1/reload", "", "").await;
    assert_eq!((unchanged.status, &unchanged.json()["changed"]), (200, &json!(false)));

    fs::write(&path, config("50") + "[proxy]\nworkers = 7\n").unwrap();
    let forced = admin.post("/api/v1/reload", &json!({ "force": true, "reason": "now" })).await;
    let detail = forced.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("force: a reload cannot be forced; "), "{detail}");
    assert_eq!(forced.problem(), (422, "bad-request".to_owned()));
    let applied = admin.post("/api/v1/reload", &json!({ "who": "alice", "force": false })).await.json();
    assert_eq!((&applied["changed"], &applied["generation"]), (&json!(true), &json!(2)));
    assert_eq!(applied["needs_restart"], json!(["proxy.workers: running 1, file says 7"]));
    assert_eq!(applied["effects"].as_array().unwrap().len(), 2);

    fs::write(&path, config("60") + "nonsense = 1\nmore = 2\n").unwrap();
    let refused = admin.post("/api/v1/reload", &json!({})).await;
    assert_eq!(refused.problem(), (422, "bad-config".to_owned()));
    let problem = refused.json();
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2);
    assert_eq!(problem["errors"][0]["code"], "unknown-key");
    assert!(problem["errors"][0]["line"].is_u64());
    assert!(problem["rendered"].as_str().unwrap().contains("nonsense"));

    fs::write(&path, config("50").replace("new = \"b\"", "new = \"b\"\nsalt = \"x\"")).unwrap();
    assert_eq!(admin.post("/api/v1/reload", &json!({})).await.problem(), (409, "reshuffle".to_owned()));
    fs::remove_file(&path).unwrap();
    assert_eq!(
        admin.post("/api/v1/reload", &json!({})).await.problem(),
        (422, "unreadable-config".to_owned())
    );
    let status = admin.get("/api/v1/status").await.json();
    assert_eq!(status["config"]["last_reload_successful"], false);
    assert_eq!(status["config"]["reloads"], json!({ "applied": 1, "refused": 3, "unchanged": 1 }));

    admin.parts.control.drain().await;
    let draining = admin.post("/api/v1/reload", &json!({})).await;
    assert_eq!(draining.problem(), (503, "draining".to_owned()));
    assert!(draining.head.contains("retry-after: 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_agrees_with_the_split() {
    let admin = start(None).await;
    for number in 0..50 {
        let place = admin.get(&format!("/api/v1/migrations/shop/where?key=user-{number}")).await.json();
        let bucket = traffic_split::Bucket::of(b"shop", format!("user-{number}").as_bytes());
        let expected = if bucket.is_new("37.5".parse().unwrap()) { "new" } else { "old" };
        assert_eq!((place["arm"].as_str(), place["reason"].as_str()), (Some(expected), Some("bucket")));
        assert_eq!(place["bucket"], bucket.as_fraction());
        assert_eq!(place["percent"], 37.5);
    }
    let bytes = admin.get("/api/v1/migrations/shop/where?key=%ff%00").await.json();
    assert_eq!(bytes["bucket"], traffic_split::Bucket::of(b"shop", b"\xff\x00").as_fraction());
    let empty = admin.get("/api/v1/migrations/shop/where?key=").await.json();
    assert_eq!(
        (&empty["arm"], &empty["reason"], &empty["bucket"]),
        (&json!("old"), &json!("no-key"), &Value::Null)
    );
    assert_eq!(admin.get("/api/v1/migrations/shop/where").await.problem(), (400, "bad-request".to_owned()));
    assert_eq!(admin.get("/api/v1/migrations/x/where?key=a").await.problem().0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_tells_endpoints_and_fallbacks() {
    let admin = start(None).await;
    let telemetry = &admin.parts.telemetry;
    let endpoint = |upstream: &str, endpoint: &str, healthy| EndpointFacts {
        upstream: upstream.to_owned(),
        endpoint: endpoint.to_owned(),
        healthy,
    };
    telemetry
        .publish_endpoints(vec![endpoint("a", "127.0.0.1:2", true), endpoint("b", "127.0.0.1:3", false)]);
    let cells = telemetry.traffic(TrafficKind::Migration, "shop");
    let failed = Observation {
        arm: Some(Arm::New),
        role: Role::Served,
        by_bucket: true,
        key: 7,
        hung: false,
        retried: false,
        status: None,
        client_status: None,
        covered: true,
        to_head: Duration::ZERO,
        total: Duration::ZERO,
        failure: Some(Failure::Connect),
        client_aborted: false,
        drained: false,
    };
    cells.record(0, &failed);
    cells.record(0, &Observation { covered: false, failure: Some(Failure::Closed), ..failed });
    cells.kept(0, Kept::NotReplayable);

    // A change of the percentage renews the status at once.
    let answer = admin.post("/api/v1/migrations/shop/percent", &json!({ "percent": 1 })).await;
    assert_eq!(answer.status, 200);
    let shop = admin.get("/api/v1/migrations/shop").await.json();
    assert_eq!(shop["arms"]["old"]["endpoints"], json!([{ "address": "127.0.0.1:2", "healthy": true }]));
    assert_eq!(shop["arms"]["new"]["endpoints"], json!([{ "address": "127.0.0.1:3", "healthy": false }]));
    assert_eq!(shop["arms"]["new"]["failures"], 2);
    let fallback = json!({
        "on": true,
        "answered": 1, "answered_by_reason": { "connect": 1 },
        "withheld": 1, "withheld_by_reason": { "not-replayable": 1 }
    });
    assert_eq!(shop["fallback"], fallback);
    assert_eq!(admin.get("/api/v1/migrations").await.json()["migrations"][0]["fallback"], fallback);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_cannot_be_used_against_it() {
    let admin = start(None).await;
    let rebound = "GET /api/v1/status HTTP/1.1\r\nHost: evil.example:9900\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(admin.addr, rebound).await.problem(), (403, "host-not-allowed".to_owned()));
    let absolute =
        "GET http://evil.example/api/v1/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(admin.addr, absolute).await.status, 403);
    let nameless = "GET /api/v1/status HTTP/1.0\r\n\r\n";
    assert_eq!(exchange(admin.addr, nameless).await.status, 403);
    for header in ["Sec-Fetch-Site: cross-site\r\n", "Origin: https://evil.example\r\n", "Origin: null\r\n"] {
        let answer = admin.send("POST", "/api/v1/reload", header, "").await;
        assert_eq!(answer.problem(), (403, "cross-site".to_owned()), "{header}");
    }
    let own = admin
        .send("POST", "/api/v1/reload", "Sec-Fetch-Site: same-origin\r\nOrigin: http://localhost:1\r\n", "")
        .await;
    assert_eq!(own.status, 200);
    assert!(!own.head.contains("access-control-allow-origin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_nothing_but_health_goes_without_it() {
    let admin = start(Some(TOKEN)).await;
    for path in ["/metrics", "/api/v1/status", "/api/v1/migrations/shop/where?key=a", "/nowhere"] {
        let answer = admin.get(path).await;
        assert_eq!(answer.problem(), (401, "token-required".to_owned()), "{path}");
        assert!(answer.head.contains("www-authenticate: bearer"));
    }
    assert_eq!(admin.send("POST", "/api/v1/reload", "", "").await.status, 401);
    let wrong = "Authorization: Bearer correct-horse-battery-stable\r\n";
    assert_eq!(admin.send("GET", "/api/v1/status", wrong, "").await.status, 401);
    assert_eq!(admin.get("/readyz").await.status, 200);
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(admin.send("GET", "/api/v1/status", &right, "").await.status, 200);
    assert_eq!(admin.send("POST", "/api/v1/reload", &right, "").await.status, 200);
    // The probe address is for those that have none.
    let metrics =
        exchange(admin.probe, "GET /metrics HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n").await;
    assert_eq!(metrics.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded() {
    let admin = start(None).await;
    let mut held = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        let mut stream = TcpStream::connect(admin.addr).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut first = [0; 1];
        stream.read_exact(&mut first).await.unwrap();
        held.push(stream);
    }
    let mut one_more = TcpStream::connect(admin.addr).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(DEADLINE, one_more.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.is_empty(), "{read:?}");
}

/// Has found the same for everybody who asks about `shop`, and remembers what was asked.
#[derive(Debug, Default)]
struct Found(std::sync::Mutex<Vec<DiffsWish>>);

impl Diffs for Found {
    fn diffs(&self, migration: &str, wish: &DiffsWish) -> Option<DiffsAnswer> {
        self.0.lock().unwrap().push(wish.clone());
        let sample = |number| DiffsSample {
            sample: number,
            at_ms: 1_700_000_000_123,
            request: "GET /orders/7".to_owned(),
            request_id: "r-1".to_owned(),
            differences: Vec::new(),
            old: "200\n".to_owned(),
            new: "404\n".to_owned(),
        };
        let group = DiffsGroup {
            endpoint: "GET /orders/{id}".to_owned(),
            path: "status".to_owned(),
            kind: "value",
            count: 3,
            comparisons: 30,
            share: 0.1,
            races: 0,
            first_seen_ms: 1_700_000_000_000,
            last_seen_ms: 1_700_000_001_000,
            noise: DiffsNoise {
                state: "unknown",
                at_least: 1,
                reaching: 1,
                confidence: None,
                needs: Some(9),
                old_pairs: 1,
                old_differ: 0,
                new_pairs: 30,
                new_differ: 3,
            },
            samples: vec![1, 2],
        };
        let known = wish.sample.is_none_or(|number| number < 3);
        (migration == "shop").then(|| DiffsAnswer {
            summary: summary(),
            endpoints: Vec::new(),
            groups: vec![group; wish.limit.min(2)],
            races: vec![race()],
            samples: wish.sample.into_iter().chain([1, 2]).filter(|_| known).map(sample).collect(),
        })
    }
}

fn race() -> DiffsRace {
    DiffsRace {
        endpoint: "GET /orders/{id}".to_owned(),
        path: "$.left".to_owned(),
        kind: "value",
        count: 3,
        new_alone: 2,
        comparisons: 30,
        first_seen_ms: 1_700_000_000_000,
        last_seen_ms: 1_700_000_001_000,
        samples: vec![2],
    }
}

fn summary() -> DiffsSummary {
    DiffsSummary {
        migration: "shop".to_owned(),
        since_ms: 1_700_000_000_000,
        comparisons: DiffsCounts { matched: 27, mismatched: 3, ..DiffsCounts::default() },
        not_copied: [("rate".to_owned(), 4)].into(),
        judged: 30,
        match_rate: Some(0.9),
        match_rate_at_least: 0.6,
        confidence: 0.99,
        match_rate_text: "90.00 %, at least 60.00 %".to_owned(),
        coverage: DiffsCoverage { endpoints: 1, covered: 0, enough: 100, share_of_requests: 0.0 },
        groups_left_out: 0,
        asked_again: DiffsQuestions { sampled: 1, rechecked: 2, not_rechecked: 1, races_of_new_alone: 0 },
        turned_away: DiffsTurnedAway { differences: 0, groups: 0, samples: 0 },
        let_in: 1.0,
        storage: DiffsStorage { on_disk: true, error: None, written: 1, failed: 0 },
        suggestions: "# none\n".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comparing_found_is_told_as_json_and_as_lines() {
    let found = Arc::new(Found::default());
    let admin = start_comparing(None, &config("37.5"), Some(found.clone())).await;
    let diffs = "/api/v1/migrations/shop/diffs";
    let answer = admin.get(&format!("{diffs}?endpoint=GET%20/orders/%7Bid%7D&limit=1&sample=2")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = answer.json();
    assert_eq!((&told["match_rate"], &told["since"]), (&json!(0.9), &json!("2023-11-14T22:13:20.000Z")));
    assert_eq!(told["groups"][0]["last_seen"], "2023-11-14T22:13:21.000Z");
    assert_eq!((&told["races"][0]["path"], &told["races"][0]["new_alone"]), (&json!("$.left"), &json!(2)));
    assert_eq!((&told["groups"][0]["noise"]["needs"], &told["samples"][0]["sample"]), (&json!(9), &json!(2)));
    let wish = DiffsWish {
        endpoint: Some("GET /orders/{id}".to_owned()),
        sample: Some(2),
        samples: false,
        limit: 1,
    };
    assert_eq!(found.0.lock().unwrap().pop(), Some(wish));
    let by_name = admin.get(&format!("{diffs}?format=ndjson")).await;
    let by_header = admin.send("GET", diffs, "Accept: text/plain, application/x-ndjson;q=0.9\r\n", "").await;
    for lines in [&by_name, &by_header] {
        assert!(lines.head.contains("content-type: application/x-ndjson"), "{}", lines.head);
        for kind in ["summary", "group", "race", "sample"] {
            assert!(lines.body.contains(&format!("{{\"line\":\"{kind}\",")), "{kind}: {}", lines.body);
        }
    }
    let all = DiffsWish { endpoint: None, sample: None, samples: true, limit: 1_000 };
    assert_eq!(found.0.lock().unwrap().pop(), Some(all));
    for (query, status, code) in [
        ("limit=0", 400, "bad-request"),
        ("limit=1001", 400, "bad-request"),
        ("sample=-1", 400, "bad-request"),
        ("format=xml", 400, "bad-request"),
        ("endpoint=%ff", 400, "bad-request"),
        ("sample=3", 404, "unknown-sample"),
    ] {
        let refused = admin.get(&format!("{diffs}?{query}")).await;
        assert_eq!(refused.problem(), (status, code.to_owned()), "{query}");
    }
    let nobody = admin.get("/api/v1/migrations/shpo/diffs").await;
    assert_eq!(nobody.problem(), (404, "unknown-migration".to_owned()));
    let nothing = start(None).await.get(diffs).await;
    assert_eq!(nothing.problem(), (404, "not-compared".to_owned()));
}
