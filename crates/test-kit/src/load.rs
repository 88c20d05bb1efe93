//! Many clients at once, each of which checks every answer.

mod client;
mod report;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

pub use report::{Failed, LoadReport};

use client::Client;

/// A kind of request in a [`Load`].
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The method.
    pub method: &'static str,
    /// The target.
    pub target: &'static str,
    /// Bytes of content, from none to so many: a number that depends on the request's place in the load.
    pub up_to_bytes: usize,
    /// The content is sent in chunks.
    pub chunked: bool,
}

impl Kind {
    /// GET.
    pub const GET: Kind = Kind { method: "GET", target: "/items", up_to_bytes: 0, chunked: false };
    /// GET of something that origins answer in chunks.
    pub const STREAM: Kind = Kind { target: "/stream", ..Kind::GET };
    /// A POST that an operator would list as one that may be carried out twice.
    pub const SEARCH: Kind = Kind { method: "POST", target: "/search", up_to_bytes: 20_000, chunked: false };
    /// The same in chunks.
    pub const SEARCH_CHUNKED: Kind = Kind { chunked: true, ..Kind::SEARCH };
    /// A POST that nobody would list.
    pub const ORDER: Kind = Kind { method: "POST", target: "/orders", up_to_bytes: 20_000, chunked: false };
}

/// So many requests over so many connections that are kept, each with an id and a user of its own, mixed of kinds.
#[derive(Clone, Debug)]
pub struct Load {
    name: String,
    requests: usize,
    connections: usize,
    kinds: Vec<Kind>,
    within: Duration,
}

/// A [`Load`] that is under way.
#[derive(Debug)]
pub struct Loading {
    done: Arc<AtomicUsize>,
    allowed: Arc<AtomicUsize>,
    /// The place of the next request.
    next: Arc<AtomicUsize>,
    requests: usize,
    /// How far it may go beyond what is to be reached.
    ahead: usize,
    until: Instant,
    clients: Vec<JoinHandle<LoadReport>>,
}

impl Load {
    /// So many requests, GETs on 16 connections until more is said, within half a minute. Ids begin with `name`.
    #[must_use]
    pub fn of(name: &str, requests: usize) -> Self {
        let within = Duration::from_secs(30);
        Load { name: name.to_owned(), requests, connections: 16, kinds: vec![Kind::GET], within }
    }

    /// The kinds of requests, taken in turn.
    #[must_use]
    pub fn kinds(mut self, kinds: &[Kind]) -> Self {
        self.kinds = kinds.to_vec();
        self
    }

    /// How many connections.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How long all of it may take. Requests that are not sent by then are failures.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// Starts sending.
    ///
    /// # Panics
    /// When no thread can be started.
    #[must_use]
    pub fn start(&self, to: SocketAddr) -> Loading {
        let loading = self.start_in_steps(to);
        loading.allowed.store(usize::MAX, Ordering::SeqCst);
        loading
    }

    /// Starts sending, but goes no further than [`Loading::reach`] says, and the few that are then under way: so whoever
    /// wants to do something in the midst of it does, however busy the machine is.
    ///
    /// # Panics
    /// When no thread can be started.
    #[must_use]
    pub fn start_in_steps(&self, to: SocketAddr) -> Loading {
        let allowed = Arc::new(AtomicUsize::new(0));
        let (done, next) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let until = Instant::now() + self.within;
        let clients = (0..self.connections)
            .map(|_| {
                let client = Client::new(
                    self.clone(),
                    to,
                    until,
                    Arc::clone(&next),
                    Arc::clone(&done),
                    Arc::clone(&allowed),
                );
                Builder::new()
                    .name("load".to_owned())
                    .spawn(|| client.run())
                    .expect("a thread can be started")
            })
            .collect();
        Loading { done, allowed, next, requests: self.requests, ahead: 2 * self.connections, until, clients }
    }

    /// Sends all of it and says how it went.
    #[must_use]
    pub fn run(&self, to: SocketAddr) -> LoadReport {
        self.start(to).finish()
    }

    /// The kind and the content's length of the request at this place.
    fn request(&self, at: usize) -> (Kind, usize) {
        let kind = self.kinds[at % self.kinds.len()];
        (kind, at.wrapping_mul(7919) % (kind.up_to_bytes + 1))
    }

    /// The id of the request at this place.
    #[must_use]
    pub fn id(&self, at: usize) -> String {
        format!("{}-{at}", self.name)
    }
}

impl Loading {
    /// How many requests have ended.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    /// Waits until so many requests have ended.
    ///
    /// # Panics
    /// When they do not in the time that the load has.
    pub fn reach(&self, requests: usize) {
        self.allowed.fetch_max(requests + self.ahead, Ordering::SeqCst);
        while self.done() < requests {
            assert!(Instant::now() < self.until, "only {} of {requests} requests in time", self.done());
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Sends no more, whatever is left of it, and says how it went.
    ///
    /// # Panics
    /// When one of the clients did.
    #[must_use]
    pub fn stop(self) -> LoadReport {
        self.next.fetch_max(self.requests, Ordering::SeqCst);
        self.finish()
    }

    /// Waits for the end and says how it went.
    ///
    /// # Panics
    /// When one of the clients did.
    #[must_use]
    pub fn finish(self) -> LoadReport {
        self.allowed.store(usize::MAX, Ordering::SeqCst);
        let mut whole = LoadReport::default();
        for client in self.clients {
            whole.add(client.join().expect("a client reports instead of panicking"));
        }
        whole.sort();
        whole
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Kind, Load};
    use crate::{Fault, FaultyOrigin};

    #[test]
    fn every_request_is_sent_once_and_checked() {
        let origin = FaultyOrigin::start("a");
        let load = Load::of("t", 60).connections(4).kinds(&[Kind::GET, Kind::ORDER, Kind::SEARCH_CHUNKED]);
        let report = load.run(origin.addr());
        report.expect_no_failures("nothing is wrong");
        assert_eq!((report.sent, report.served("a")), (60, 60));
        assert_eq!(origin.connections(), 4);
        let executions = origin.executions();
        assert_eq!(executions.len(), 60);
        assert!(executions.values().all(|times| *times == 1));
        let search = origin.received().into_iter().find(|received| received.id == "t-5").unwrap();
        assert_eq!((search.target.as_str(), search.body_bytes), ("/search", (5 * 7919) % 20_001));
        assert!(report.quantile(0.5) <= report.quantile(1.0));
    }

    #[test]
    fn failures_are_told() {
        let origin = FaultyOrigin::start("a");
        for (fault, said) in [
            (Fault::Status(503), "status 503"),
            (Fault::Unanswered, "closed before a message"),
            (Fault::ClosedInBody, "closed in the midst of a message"),
            (Fault::Refusing, "cannot connect"),
        ] {
            origin.set(fault);
            let report = Load::of("t", 10).connections(2).run(origin.addr());
            assert_eq!((report.sent, report.failures()), (10, 10), "{fault:?}");
            assert!(report.failed.iter().all(|failed| failed.why.contains(said)), "{report}");
        }
    }

    #[test]
    fn a_load_can_be_stopped() {
        let origin = FaultyOrigin::start("a");
        let loading = Load::of("t", 1_000_000).connections(2).start(origin.addr());
        loading.reach(50);
        let report = loading.stop();
        report.expect_no_failures("nothing is wrong");
        assert!(report.sent >= 50 && report.sent == origin.received().len(), "{report}");
    }

    #[test]
    fn a_load_ends_in_time() {
        let origin = FaultyOrigin::start("a");
        origin.set(Fault::Slow(Duration::from_millis(20)));
        let report = Load::of("t", 1000).connections(2).within(Duration::from_millis(200)).run(origin.addr());
        assert_eq!(report.sent, 1000);
        assert!(report.failures() > 900, "{report}");
    }
}
