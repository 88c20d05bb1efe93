use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use super::{Fault, FaultyOrigin};
use crate::{Broken, Wire, eventually, pattern, request};

fn ask(origin: &FaultyOrigin, target: &str) -> Result<crate::Response, Broken> {
    let mut wire = Wire::connect(origin.addr());
    wire.send(request::get(target));
    wire.try_response()
}

#[test]
fn answers_and_records() {
    let origin = FaultyOrigin::start("a");
    let mut wire = Wire::connect(origin.addr());
    let id = ("x-request-id", "r1");
    let answer =
        wire.exchange(request::with("POST", "/x", &[id, ("content-length", "5")], &pattern::bytes(5)));
    assert_eq!((answer.status, answer.fields.get("x-body-bytes")), (200, Some("5")));
    assert_eq!((answer.fields.get("x-origin"), answer.fields.get("x-answers")), (Some("a"), Some("r1")));
    assert_eq!(answer.body, pattern::bytes(2000));
    assert_eq!(wire.exchange(request::post("/x", b"other")).status, 422);
    assert_eq!(wire.exchange(request::get("/healthz")).status, 200);
    let received = origin.received();
    assert_eq!((received.len(), received[0].body_bytes, received[0].intact), (2, 5, true));
    assert!(!received[1].intact);
    assert_eq!(origin.executions().get("r1"), Some(&1));
    assert_eq!(origin.connections(), 1);
}

#[test]
fn breaks_as_told() {
    let origin = FaultyOrigin::start("a");
    let broken = |fault, target: &str| {
        origin.set(fault);
        ask(&origin, target).unwrap_err()
    };
    for target in ["/", "/stream"] {
        assert_eq!(broken(Fault::Unanswered, target), Broken::Closed);
        assert!(matches!(broken(Fault::ResetInHead, target), Broken::Reset));
        assert!(matches!(broken(Fault::ResetInBody, target), Broken::Reset));
        assert_eq!(broken(Fault::ClosedInBody, target), Broken::Truncated);
        assert!(matches!(broken(Fault::Garbage, target), Broken::Malformed(_)));
    }
    origin.set(Fault::Status(503));
    assert_eq!(ask(&origin, "/").unwrap().status, 503);
    origin.choose(|request| if request.target == "/" { Fault::Status(500) } else { Fault::Healthy });
    assert_eq!(ask(&origin, "/").unwrap().status, 500);
}

#[test]
fn stops_listening_and_comes_back_at_the_same_port() {
    let origin = FaultyOrigin::start("a");
    for fault in [Fault::Refusing, Fault::Unreachable, Fault::Refusing, Fault::Unreachable] {
        let mut kept = Wire::connect(origin.addr());
        kept.exchange(request::get("/"));
        origin.set(fault);
        kept.expect_end();
        let tried = TcpStream::connect_timeout(&origin.addr(), Duration::from_millis(100));
        let kind = tried.unwrap_err().kind();
        let expected =
            if fault == Fault::Refusing { ErrorKind::ConnectionRefused } else { ErrorKind::TimedOut };
        assert_eq!(kind, expected);
        origin.set(Fault::Healthy);
        assert_eq!(ask(&origin, "/").unwrap().status, 200);
    }
}

#[test]
fn what_was_sent_to_a_silent_one_is_carried_out_later() {
    let origin = FaultyOrigin::start("a");
    origin.set(Fault::Silent);
    let send = |id| {
        let mut wire = Wire::connect(origin.addr());
        wire.send(request::get_with("/", &[("x-request-id", id)]));
        wire
    };
    let (gone, mut waiting) = (send("gone"), send("waiting"));
    assert!(waiting.stays_quiet(Duration::from_millis(50)));
    assert!(origin.received().is_empty());
    drop(gone);
    eventually("a client that has gone is noticed", || origin.executions().contains_key("gone"));
    origin.set(Fault::Healthy);
    assert_eq!(waiting.response().status, 200);
}

#[test]
fn closes_when_nobody_expects_it() {
    let origin = FaultyOrigin::start("a");
    origin.set(Fault::ClosedWhenReused);
    let mut wire = Wire::connect(origin.addr());
    assert_eq!(wire.exchange(request::get("/")).status, 200);
    wire.send(request::get("/"));
    assert!(matches!(wire.try_response(), Err(Broken::Closed | Broken::Reset)));
    assert_eq!(origin.received().len(), 1);
    origin.set(Fault::ClosedAfter(Duration::ZERO));
    let mut wire = Wire::connect(origin.addr());
    assert_eq!(wire.exchange(request::get("/")).status, 200);
    wire.expect_end();
    origin.set(Fault::EarlyAndClosed);
    let mut wire = Wire::connect(origin.addr());
    wire.send(request::with("POST", "/", &[("content-length", "100")], b""));
    assert_eq!(wire.response().status, 200);
    wire.expect_end();
    eventually("its connections are forgotten", || origin.open_connections() == 0);
}
