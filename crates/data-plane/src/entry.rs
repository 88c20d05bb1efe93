//! How much of the worker the clients of one listener use, and what they are told when that is too much.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use route_plan::{ListenerLimits, UpstreamLimits};
use tokio::net::TcpStream;

use crate::rewrite::Problem;
use crate::worker::Worker;

/// When a client that was turned away is told to come again, in seconds.
pub(crate) const RETRY_AFTER_S: u64 = 1;
/// How much of what a client that is turned away has sent is read, so that closing does not reset the connection before
/// the client has read why.
const TURNED_AWAY_BYTES: usize = 16 * 1024;

/// One listener, as one worker serves it.
pub(crate) struct Entry {
    pub(crate) worker: Rc<Worker>,
    /// The address in the configuration, by which its limits are found.
    asked: SocketAddr,
    connections: Cell<usize>,
    requests: Cell<usize>,
}

impl Entry {
    pub(crate) fn new(worker: Rc<Worker>, asked: SocketAddr) -> Rc<Entry> {
        Rc::new(Entry { worker, asked, connections: Cell::new(0), requests: Cell::new(0) })
    }

    /// Whether one more connection is within the limits of the listener and of the process.
    pub(crate) fn has_room(&self) -> bool {
        self.worker.has_room() && self.is_below(|limits| limits.connections, self.connections.get())
    }

    /// Lets one connection in.
    pub(crate) fn open(self: &Rc<Self>) -> Open {
        self.worker.cells.connections_accepted.inc();
        self.worker.loads.opened(self.worker.index);
        self.connections.set(self.connections.get() + 1);
        Open(self.clone())
    }

    /// Lets one request in, if it is within the limits.
    pub(crate) fn begin(self: &Rc<Self>) -> Option<UnderWay> {
        let worker = &self.worker;
        let most = UpstreamLimits::share(worker.patience().requests, worker.workers as usize);
        if worker.requests.get() >= most || !self.is_below(|limits| limits.requests, self.requests.get()) {
            return None;
        }
        worker.requests.set(worker.requests.get() + 1);
        self.requests.set(self.requests.get() + 1);
        Some(UnderWay(self.clone()))
    }

    fn is_below(&self, limit: impl Fn(&ListenerLimits) -> Option<usize>, now: usize) -> bool {
        let workers = self.worker.workers as usize;
        let limit = self.worker.listener_limits(self.asked).and_then(|limits| limit(&limits));
        limit.is_none_or(|limit| now < UpstreamLimits::share(limit, workers))
    }
}

/// One client connection, counted for as long as it lives.
pub(crate) struct Open(Rc<Entry>);

impl Open {
    pub(crate) fn entry(&self) -> &Rc<Entry> {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let worker = &self.0.worker;
        self.0.connections.set(self.0.connections.get().saturating_sub(1));
        worker.loads.closed(worker.index);
        // Last: whoever sees fewer connections finds that there is room for another one.
        worker.cells.connections_closed.inc();
    }
}

/// One request under way, counted for as long as it lives.
pub(crate) struct UnderWay(Rc<Entry>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let worker = &self.0.worker;
        worker.requests.set(worker.requests.get().saturating_sub(1));
        self.0.requests.set(self.0.requests.get().saturating_sub(1));
    }
}

/// Tells a client that there is no room for its connection, as far as that can be done without waiting.
pub(crate) fn turn_away(worker: &Worker, stream: &TcpStream) {
    worker.cells.connections_turned_away.inc();
    let mut out = Vec::new();
    busy("no more connections are served at the moment", true).write(&mut out);
    let mut unread = [0; TURNED_AWAY_BYTES];
    // Best effort: a client that does not get it finds its connection closed.
    let _ = stream.try_read(&mut unread);
    if stream.try_write(&out).is_ok() {
        let _ = shut_down(stream);
    }
}

fn shut_down(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write)
}

/// The answer to what is more than there is room for.
pub(crate) fn busy(detail: &str, close: bool) -> Problem<'_> {
    Problem {
        status: 503,
        reason: "overloaded",
        detail,
        request_id: b"",
        proxy_status: Some("crossfade; error=connection_limit_reached"),
        retry_after_s: Some(RETRY_AFTER_S),
        head_only: false,
        close,
    }
}
