//! New fails, each time in another way, in the midst of a load of requests that may be carried out twice: nobody notices.

use std::time::Duration;

use test_kit::{Fault, FaultyOrigin, Kind, Load, LoadReport, Peer, Proxy, Scripted, eventually, request};

use crate::{AFTER_MS, fallbacks, falling_back, withheld};

/// A way to fail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    how: How,
    kinds: &'static [Kind],
    /// Each request that meets the failure has to be answered by old.
    old_answers: bool,
}

#[derive(Clone, Copy, Debug)]
enum How {
    /// The process is killed with SIGKILL.
    Killed,
    /// The process is stopped with SIGSTOP.
    Stopped,
    By(Fault),
}

/// What came of a case.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) report: LoadReport,
    pub(crate) fallbacks: Vec<(String, f64)>,
    pub(crate) withheld: f64,
}

/// Most requests have no content, some a little, sized or in chunks.
pub(crate) const MIXED: &[Kind] = &[Kind::GET, Kind::STREAM, Kind::SEARCH, Kind::GET, Kind::SEARCH_CHUNKED];

/// The same, with answers whose length is told before they begin.
const SIZED: &[Kind] = &[Kind::GET, Kind::SEARCH, Kind::GET, Kind::SEARCH_CHUNKED];

/// Content that is still on its way when the answer comes.
const LARGE: &[Kind] = &[
    Kind { up_to_bytes: 60_000, ..Kind::SEARCH },
    Kind { up_to_bytes: 60_000, ..Kind::SEARCH_CHUNKED },
    Kind::GET,
];

const fn fails(how: How) -> Case {
    Case { name: "", how, kinds: MIXED, old_answers: true }
}

const fn by(fault: Fault) -> Case {
    fails(How::By(fault))
}

/// An answer of known length that fits a buffer is held until it is whole; one of unknown length only for a moment.
const fn sized(fault: Fault) -> Case {
    Case { kinds: SIZED, ..by(fault) }
}

/// New answers well in spite of it, or the request is sent to it again: old may have nothing to do.
const fn hardly(fault: Fault, kinds: &'static [Kind]) -> Case {
    Case { name: "", how: How::By(fault), kinds, old_answers: false }
}

/// A test for each case, and the list of them.
macro_rules! table {
    ($($(#[doc = $doc:literal])+ $name:ident: $case:expr;)+) => {
        pub(crate) const CASES: &[Case] = &[$(Case { name: stringify!($name), ..$case }),+];

        $(
            $(#[doc = $doc])+
            #[test]
            fn $name() {
                nobody_notices(&Case { name: stringify!($name), ..$case });
            }
        )+
    };
}

table! {
    /// The process is gone, and the kernel refuses connections: old answers at once.
    killed_with_sigkill: fails(How::Killed);
    /// The kernel still makes connections, and nobody answers: old answers after `fallback.after`.
    stopped_with_sigstop: fails(How::Stopped);
    /// Nothing listens: old answers at once.
    refusing: by(Fault::Refusing);
    /// No connection is made: old answers after `fallback.after`.
    unreachable: by(Fault::Unreachable);
    /// Connections are made and nothing is ever read from them: old answers after `fallback.after`.
    black_hole: by(Fault::Silent);
    /// Every answer comes after `fallback.after`: old answers instead.
    too_slow: by(Fault::Slow(Duration::from_millis(3 * AFTER_MS)));
    /// Each request is read, and the connection closed: old answers.
    closing_without_an_answer: by(Fault::Unanswered);
    /// Nothing of such an answer has reached the client: old answers.
    resetting_in_mid_head: by(Fault::ResetInHead);
    /// The answer is short, and held until it is whole: old answers.
    resetting_in_mid_body: by(Fault::ResetInBody);
    /// The same, closed in good order.
    half_a_body_and_closed: by(Fault::ClosedInBody);
    /// Half an answer of known length, and then nothing: old answers after `fallback.after`.
    half_a_body_and_stalled: sized(Fault::StalledInBody);
    /// What new says is not HTTP: old answers.
    garbage: by(Fault::Garbage);
    /// A head of 100 MiB is cut off at `header_bytes`: old answers.
    endless_head: by(Fault::EndlessHead);
    /// 500 is in `fallback.statuses`.
    status_500: by(Fault::Status(500));
    /// 502 is in `fallback.statuses`.
    status_502: by(Fault::Status(502));
    /// 503 is in `fallback.statuses`.
    status_503: by(Fault::Status(503));
    /// 504 is in `fallback.statuses`.
    status_504: by(Fault::Status(504));
    /// New answers before it has read the request, reads the rest behind that, and its answer is good.
    answering_before_the_request_ends: hardly(Fault::Early, LARGE);
    /// The same, but the connection is closed over what is still to be read: new's answer, or old's where it was lost.
    answering_before_the_request_ends_and_closing: hardly(Fault::EarlyAndClosed, LARGE);
    /// New closes each connection behind an answer without a word: a request on such a one is sent again.
    closing_kept_connections: hardly(Fault::ClosedAfter(Duration::ZERO), MIXED);
    /// The same a moment later, when the next request may be on its way.
    closing_kept_connections_soon: hardly(Fault::ClosedAfter(Duration::from_millis(1)), MIXED);
    /// New closes each kept connection exactly when a request comes over it.
    closing_kept_connections_as_they_are_used: hardly(Fault::ClosedWhenReused, MIXED);
}

/// The new system of a case.
enum New {
    Origin(FaultyOrigin),
    Process(Peer),
}

impl New {
    fn start(how: How) -> Self {
        match how {
            How::By(_) => New::Origin(FaultyOrigin::start("new")),
            How::Killed | How::Stopped => New::Process(Peer::nginx("new")),
        }
    }

    fn addr(&self) -> std::net::SocketAddr {
        match self {
            New::Origin(origin) => origin.addr(),
            New::Process(peer) => peer.addr(),
        }
    }

    fn fail(&mut self, how: How) {
        match (self, how) {
            (New::Origin(origin), How::By(fault)) => origin.set(fault),
            (New::Process(peer), How::Killed) => peer.kill(),
            (New::Process(peer), _) => peer.stop(),
            (New::Origin(_), _) => unreachable!("an origin fails by a fault"),
        }
    }

    fn recover(&mut self, how: How) {
        match self {
            New::Origin(origin) => origin.set(Fault::Healthy),
            New::Process(peer) if matches!(how, How::Killed) => peer.restart(),
            New::Process(peer) => peer.resume(),
        }
    }
}

/// Puts a load through a migration whose new system is well, fails after a quarter of it and is well again after three
/// quarters; waits until new serves again.
pub(crate) fn run(case: &Case, requests: usize, connections: usize, within: Duration) -> Outcome {
    let (old, mut new) = (FaultyOrigin::start("old"), New::start(case.how));
    let proxy = Proxy::start(&falling_back(old.addr(), new.addr()));
    let load = Load::of(case.name, requests).connections(connections).kinds(case.kinds).within(within);
    let loading = load.start_in_steps(proxy.addr());
    loading.reach(requests / 4);
    new.fail(case.how);
    loading.reach(requests * 3 / 4);
    new.recover(case.how);
    let report = loading.finish();
    let mut client = proxy.connect();
    eventually("new serves again", || {
        let answer = client.exchange(request::get("/items"));
        if answer.says_close() {
            client = proxy.connect();
        }
        answer.status == 200 && answer.fields.get("x-origin") == Some("new")
    });
    assert!(old.received().iter().all(|received| received.intact), "old got damaged content");
    Outcome { report, fallbacks: fallbacks(&proxy), withheld: withheld(&proxy, None) }
}

/// What holds of a case, however large the load.
pub(crate) fn expect(case: &Case, outcome: &Outcome) {
    let report = &outcome.report;
    report.expect_no_failures(case.name);
    if case.old_answers {
        // A request that was under way when new failed or came back may have been answered by either.
        let met = report.sent / 2 - report.sent / 8;
        assert!(report.served("old") >= met, "{}: {report}", case.name);
        let counted: f64 = outcome.fallbacks.iter().map(|(_, times)| times).sum();
        assert!(counted >= report.served("old") as f64, "{}: {outcome:?}", case.name);
    }
    assert!(report.served("new") >= report.sent / 8, "{}: {report}", case.name);
    assert!(outcome.withheld < 0.5, "{}: {} failures of new were passed on", case.name, outcome.withheld);
}

fn nobody_notices(case: &Case) {
    let outcome = run(case, 1000, 32, Duration::from_secs(20));
    expect(case, &outcome);
}

/// What is not held any more is passed on as it comes, so that an answer that breaks off is seen to break off, and never
/// looks whole.
#[test]
fn a_stream_that_breaks_off_is_passed_on() {
    let (old, new) = (FaultyOrigin::start("old"), Scripted::bind());
    let proxy = Proxy::start(&falling_back(old.addr(), new.addr()));
    for media_type in ["text/event-stream", "text/plain"] {
        let mut client = proxy.connect();
        client.send(request::get_as("/stream", "user-1"));
        let mut wire = new.accept();
        wire.request();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n\r\n");
        wire.send([head.as_bytes(), b"5\r\nevent\r\n"].concat());
        let head = client.response_head();
        assert_eq!((head.status, client.chunk().unwrap()), (200, b"event".to_vec()), "{media_type}");
        drop(wire);
        assert!(client.chunk().is_err(), "{media_type}: an answer in pieces is never made to look whole");
    }
    let labels = [("migration", "shop"), ("arm", "new"), ("reason", "truncated")];
    proxy.wait_metric("crossfade_failures_total", &labels, |count| count > 1.5);
}
