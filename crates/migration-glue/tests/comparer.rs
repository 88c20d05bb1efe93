//! Two routers, the glue and the comparer that the proxy has: what a team that embeds all three gets.
#![cfg(feature = "tower")]

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::Request;
use migration_glue::{Migrated, Runtime, Shadow, Task};
use route_plan::ShadowPolicy;
use serde_json::{Value, json};
use shadow_compare::{Comparer, Wish};
use telemetry::Telemetry;
use tower::ServiceExt;

struct Tokio;

impl Runtime for Tokio {
    fn spawn(&self, task: Task) {
        drop(tokio::spawn(task));
    }

    fn sleep(&self, duration: Duration) -> Task {
        Box::pin(tokio::time::sleep(duration))
    }
}

const CONFIG: &str = r#"
    [proxy]
    compare_cpu = "100%"
    [[listener]]
    listen = "127.0.0.1:0"
    [upstream.old]
    endpoints = ["http://127.0.0.1:1"]
    [upstream.new]
    endpoints = ["http://127.0.0.1:2"]
    [migration.shop]
    match = [{ path = "/*" }]
    old = "old"
    new = "new"
    phase = "shadow"
    shadow = { ignore = ["$.by"] }
"#;

/// A shop that says who it is, adds up what it is sent, and counts the price in its own way.
fn shop(name: &'static str, price: u64) -> Router {
    Router::new()
        .route("/price", get(move || async move { Json(json!({ "price": price, "by": name })) }))
        .route(
            "/sum",
            post(move |Json(numbers): Json<Vec<u64>>| async move {
                Json(json!({ "sum": numbers.iter().sum::<u64>(), "by": name }))
            }),
        )
}

async fn ask(shop: Router, request: Request<Body>) -> Value {
    let answer = shop.oneshot(request).await.expect("infallible");
    let body = to_bytes(answer.into_body(), 1 << 20).await.expect("a whole body");
    serde_json::from_slice(&body).expect("JSON")
}

#[tokio::test]
async fn the_proxys_comparer_takes_the_pairs() {
    let outcome = config_file::parse(CONFIG, "test.toml", &|_| None, &config_file::NoFiles);
    let checked = outcome.checked.clone().expect("a valid configuration");
    let telemetry = Telemetry::new(1);
    let comparer = Comparer::start(None, telemetry.clone()).expect("a thread");
    comparer.follow(&checked);
    let methods = [b"GET".as_slice(), b"POST"].map(Into::into).into();
    let shadow = Shadow::new(ShadowPolicy { methods, ..ShadowPolicy::default() }, Tokio, comparer.clone());
    let (service, dial) =
        Migrated::new("shop").over_with_shadow(shop("old", 5), shop("new", 6), shadow).expect("a migration");
    let service = Router::new().fallback_service(service);
    for number in 0..20_u64 {
        let sum = Request::post("/sum")
            .header("content-type", "application/json")
            .body(Body::from(format!("[1, {number}]")))
            .expect("a request");
        assert_eq!(ask(service.clone(), sum).await, json!({ "sum": number + 1, "by": "old" }));
        let price = Request::get("/price").body(Body::empty()).expect("a request");
        assert_eq!(ask(service.clone(), price).await, json!({ "price": 5, "by": "old" }));
    }
    let all = async {
        loop {
            let totals = telemetry.comparisons("shop").totals();
            if totals.matched + totals.mismatched == 40 {
                return totals;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let totals = tokio::time::timeout(Duration::from_secs(20), all).await.expect("all are compared");
    assert_eq!((totals.matched, totals.mismatched), (20, 20));
    let counts = dial.shadow_counts().expect("there is a shadow");
    assert_eq!((counts.pairs, counts.requests()), (40, 40));
    let report = comparer.report("shop", &Wish::default()).expect("a report");
    let [group] = &report.groups[..] else { panic!("one group: {:?}", report.groups) };
    assert_eq!((&group.path[..], group.count), ("$.price", 20));
    comparer.stop();
}
