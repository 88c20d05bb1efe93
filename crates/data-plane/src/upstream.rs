//! A worker's connections to upstreams: idle ones kept for reuse, new ones made when there is none.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::MaybeUninit;
use std::rc::Rc;

use route_plan::Endpoint;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::resolve::Resolver;

/// How long an idle connection is kept, in milliseconds: below what common servers keep theirs (Node.js: 5 s), so
/// that the upstream seldom closes first.
const IDLE_MS: u64 = 4_000;
/// Idle connections kept for one endpoint by one worker.
const IDLE_CONNECTIONS: usize = 1_024;

/// A connection to an endpoint, in use by one request.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    /// It has carried a request before, so the endpoint may close it at any moment without being at fault.
    pub(crate) reused: bool,
    home: Rc<EndpointPool>,
    idle_since_ms: u64,
}

impl Connection {
    /// The endpoint that it leads to, with its other connections.
    pub(crate) fn home(&self) -> Rc<EndpointPool> {
        self.home.clone()
    }

    /// Keeps it for another request. Its last answer must be whole, and nothing may have come behind it. `false`: it
    /// was closed, since there are enough or the endpoint has gone from the configuration.
    pub(crate) fn release(mut self, now_ms: u64) -> bool {
        self.reused = true;
        self.idle_since_ms = now_ms;
        let home = self.home.clone();
        let mut idle = home.idle.borrow_mut();
        let kept = !home.retired.get() && idle.len() < IDLE_CONNECTIONS;
        if kept {
            idle.push(self);
        }
        kept
    }

    /// Whether the endpoint has neither closed it nor sent anything that nobody asked for, as far as the runtime has
    /// been told. Costs no system call unless there is something to read.
    fn is_quiet(&self) -> bool {
        let mut byte = [0];
        matches!(self.stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The same, asking the kernel: what has arrived since the runtime last looked counts too.
    fn is_quiet_now(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = SockRef::from(&self.stream).peek(&mut byte);
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// The idle connections to one endpoint, the one used last on top.
#[derive(Debug)]
pub(crate) struct EndpointPool {
    pub(crate) endpoint: Endpoint,
    resolver: Rc<Resolver>,
    idle: RefCell<Vec<Connection>>,
    /// No longer in the configuration: what comes back is closed.
    retired: Cell<bool>,
}

impl EndpointPool {
    pub(crate) fn new(endpoint: Endpoint) -> Rc<EndpointPool> {
        let resolver = Resolver::new(&endpoint.host, endpoint.port);
        Rc::new(EndpointPool { endpoint, resolver, idle: RefCell::default(), retired: Cell::new(false) })
    }

    /// The idle connection used last that is still good. `stale` counts those that were not. A request that can be
    /// sent only `once` is worth a system call to make sure; others are repeated if need be.
    pub(crate) fn take_idle(&self, once: bool, stale: &mut u64) -> Option<Connection> {
        loop {
            let connection = self.idle.borrow_mut().pop()?;
            if connection.is_quiet() && (!once || connection.is_quiet_now()) {
                return Some(connection);
            }
            *stale += 1;
        }
    }

    /// Opens a connection.
    pub(crate) async fn connect(self: Rc<Self>) -> io::Result<Connection> {
        let stream = match self.endpoint.addr {
            Some(address) => TcpStream::connect(address).await?,
            None => TcpStream::connect(&self.resolver.addresses().await?[..]).await?,
        };
        stream.set_nodelay(true)?;
        Ok(Connection { stream, reused: false, home: self, idle_since_ms: 0 })
    }

    /// Closes connections that have been idle for too long; the oldest are at the bottom.
    pub(crate) fn sweep(&self, now_ms: u64) -> u64 {
        let mut idle = self.idle.borrow_mut();
        let old = idle.iter().take_while(|one| one.idle_since_ms + IDLE_MS <= now_ms).count();
        idle.drain(..old);
        old as u64
    }

    /// The endpoint has left the configuration.
    pub(crate) fn retire(&self) -> u64 {
        self.retired.set(true);
        let idle = std::mem::take(&mut *self.idle.borrow_mut());
        idle.len() as u64
    }
}

/// The endpoints of one upstream, taken in turn.
#[derive(Debug)]
pub(crate) struct UpstreamPool {
    endpoints: Vec<Rc<EndpointPool>>,
    next: Cell<usize>,
}

impl UpstreamPool {
    pub(crate) fn new(endpoints: Vec<Rc<EndpointPool>>) -> UpstreamPool {
        UpstreamPool { endpoints, next: Cell::new(0) }
    }

    /// The endpoints in the order in which to try them for one request.
    pub(crate) fn in_turn(&self) -> impl Iterator<Item = &Rc<EndpointPool>> {
        let count = self.endpoints.len();
        let first = self.next.get();
        self.next.set(if first + 1 >= count { 0 } else { first + 1 });
        self.endpoints.iter().cycle().skip(first).take(count)
    }
}
