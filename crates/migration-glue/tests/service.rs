//! The glue as a `tower::Service`: what an application that embeds it can rely on.
#![cfg(feature = "tower")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use migration_glue::{Dial, Migrated, Service};
use route_plan::Observation;
use tower::ServiceExt;
use traffic_split::{Arm, Bucket, Percent};

/// A service that answers with its own name.
#[derive(Clone)]
struct Named(&'static str, StatusCode);

impl tower::Service<Request<()>> for Named {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let mut response = Response::new(Full::new(Bytes::from(self.0)));
        *response.status_mut() = self.1;
        ready(Ok(response))
    }
}

const OLD: Named = Named("old", StatusCode::OK);
const NEW: Named = Named("new", StatusCode::OK);

fn shop(percent: &str) -> (Service<Named, Named>, Dial) {
    Migrated::new("shop").key("header:x-user-id").percent(percent).over(OLD, NEW).expect("a valid migration")
}

fn request(user: Option<&str>) -> Request<()> {
    let request = Request::get("/cart");
    let request = user.map(|user| Request::get("/cart").header("x-user-id", user)).unwrap_or(request);
    request.body(()).expect("a valid request")
}

async fn body<B>(response: Response<B>) -> Bytes
where
    B: http_body::Body,
    B::Error: std::fmt::Debug,
{
    response.into_body().collect().await.expect("a whole body").to_bytes()
}

#[tokio::test]
async fn each_user_gets_the_arm_that_the_bucket_says() {
    let (service, _dial) = shop("37.5");
    let percent: Percent = "37.5".parse().expect("a percentage");
    for user in 0..500 {
        let user = format!("user-{user}");
        let response = service.clone().oneshot(request(Some(&user))).await.expect("infallible");
        let expected = if Bucket::of(b"shop", user.as_bytes()).is_new(percent) { "new" } else { "old" };
        assert_eq!(body(response).await, expected, "{user}");
    }
}

#[tokio::test]
async fn no_key_means_old_even_at_a_hundred_per_cent() {
    let (service, _dial) = shop("100");
    let response = service.oneshot(request(None)).await.expect("infallible");
    assert_eq!(body(response).await, "old");
}

#[tokio::test]
async fn the_dial_moves_running_clones() {
    let (service, dial) = shop("0");
    let answer =
        async || body(service.clone().oneshot(request(Some("ann"))).await.expect("infallible")).await;
    assert_eq!(answer().await, "old");
    dial.set("100").expect("a percentage");
    assert_eq!(answer().await, "new");
    assert_eq!(dial.percent(), Percent::FULL);
    assert!(dial.set("100.1").is_err());
    assert_eq!(answer().await, "new", "a refused percentage changes nothing");
}

#[tokio::test]
async fn an_anonymous_user_gets_a_cookie_and_keeps_the_arm_of_the_first_answer() {
    let (service, _dial) = Migrated::new("shop")
        .key("header:x-user-id")
        .assign_cookie("shop-visitor")
        .percent("50")
        .over(OLD, NEW)
        .expect("a valid migration");
    for _ in 0..50 {
        let first = service.clone().oneshot(request(None)).await.expect("infallible");
        let cookie = first.headers().get("set-cookie").expect("a cookie").to_str().expect("text").to_owned();
        let pair = cookie.split(';').next().expect("a pair").to_owned();
        let arm = body(first).await;
        let again = Request::get("/cart").header("cookie", pair).body(()).expect("a valid request");
        let again = service.clone().oneshot(again).await.expect("infallible");
        assert!(!again.headers().contains_key("set-cookie"), "assigned once");
        assert_eq!(body(again).await, arm);
    }
}

#[tokio::test]
async fn every_request_is_observed_once_when_its_answer_has_ended() {
    let seen: Arc<Mutex<Vec<(Arm, Observation)>>> = Arc::default();
    let sink = seen.clone();
    let failing = Named("broken", StatusCode::BAD_GATEWAY);
    let (service, _dial) = Migrated::new("shop")
        .percent("100")
        .observe(move |arm, observation| sink.lock().expect("a lock").push((arm, *observation)))
        .over(OLD, failing)
        .expect("a valid migration");
    let response = service.clone().oneshot(request(Some("ann"))).await.expect("infallible");
    assert!(seen.lock().expect("a lock").is_empty(), "not before the body has ended");
    body(response).await;
    let dropped = service.oneshot(request(Some("bob"))).await.expect("infallible");
    drop(dropped);
    let seen = seen.lock().expect("a lock");
    let [(first_arm, first), (_, second)] = &seen[..] else { panic!("two observations: {seen:?}") };
    assert_eq!((*first_arm, first.status, first.client_aborted), (Arm::New, Some(502), false));
    assert_eq!(first.failure, Some(route_plan::Failure::Status5xx));
    assert!(first.by_bucket);
    assert!(second.client_aborted, "an answer that was dropped unread");
}

#[test]
fn a_wrong_description_says_what_is_wrong() {
    let error = |migrated: Migrated| migrated.over(OLD, NEW).err().expect("an error").to_string();
    let message = error(Migrated::new("shop").key("headr:x"));
    assert!(message.starts_with("key: "), "{message}");
    let message = error(Migrated::new("shop").percent("101"));
    assert!(message.starts_with("percent: "), "{message}");
}
