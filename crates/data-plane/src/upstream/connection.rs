//! Connections to one address: idle ones kept for reuse, the one used last on top.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::rc::Rc;

use route_plan::Endpoint;
use socket2::SockRef;
use tokio::net::TcpStream;

use super::standing::{FULL_WEIGHT, Standing};
use super::usage::{Open, Spare, Usage};

/// One address of an upstream, for one worker.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) endpoint: Endpoint,
    pub(crate) address: SocketAddr,
    pub(crate) standing: Standing,
    usage: Rc<Usage>,
    healthy: Cell<bool>,
    /// Requests that have one of its connections or are waiting for it to be made.
    under_way: Cell<u64>,
    idle: RefCell<Vec<Idle>>,
    /// No longer in the configuration or the name's addresses: what comes back is closed.
    retired: Cell<bool>,
}

#[derive(Debug)]
struct Idle {
    stream: TcpStream,
    open: Open,
    born_ms: u64,
    since_ms: u64,
    _spare: Spare,
}

/// A connection that is about to be opened, counted already.
#[derive(Debug)]
pub(crate) struct Opening {
    open: Open,
    in_use: Use,
}

/// A connection to an endpoint, in use by one request.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    /// It has carried a request before, so the endpoint may close it at any moment without being at fault.
    pub(crate) reused: bool,
    home: Rc<Member>,
    born_ms: u64,
    open: Open,
    _use: Use,
}

/// Counts one use of a member for as long as it lives.
#[derive(Debug)]
struct Use(Rc<Member>);

impl Use {
    fn of(member: &Rc<Member>) -> Use {
        member.under_way.set(member.under_way.get() + 1);
        Use(member.clone())
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get().saturating_sub(1));
    }
}

impl Connection {
    /// The address that it leads to, with its other connections.
    pub(crate) fn home(&self) -> Rc<Member> {
        self.home.clone()
    }

    /// Keeps it for another request, unless it is old or its endpoint has gone. Its last answer must be whole, and nothing
    /// may have come behind it.
    pub(crate) fn release(self, now_ms: u64) {
        let Connection { stream, home, born_ms, open, .. } = self;
        let is_old = now_ms.saturating_sub(born_ms) >= home.usage.lifetime_ms();
        if !home.retired.get() && !is_old {
            let spare = Spare::of(&home.usage);
            home.idle.borrow_mut().push(Idle { stream, open, born_ms, since_ms: now_ms, _spare: spare });
            home.usage.wake_one();
        }
    }
}

impl Idle {
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

impl Opening {
    /// To be called once, and once more when that failed.
    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.in_use.0.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// It stands.
    pub(crate) fn succeeded(self, stream: TcpStream, now_ms: u64) -> Connection {
        let Opening { mut open, in_use } = self;
        open.succeeded();
        let home = in_use.0.clone();
        Connection { stream, reused: false, home, born_ms: now_ms, open, _use: in_use }
    }
}

impl Member {
    pub(crate) fn new(endpoint: Endpoint, address: SocketAddr, usage: Rc<Usage>) -> Rc<Member> {
        Rc::new(Member {
            endpoint,
            address,
            standing: Standing::default(),
            usage,
            healthy: Cell::new(true),
            under_way: Cell::new(0),
            idle: RefCell::default(),
            retired: Cell::new(false),
        })
    }

    /// What the health checks say from now on. One that becomes healthy comes back slowly.
    pub(crate) fn set_healthy(&self, healthy: bool, now_ms: u64, slow_start_ms: u64) {
        if healthy && !self.healthy.replace(healthy) {
            self.standing.returns(now_ms.max(1), slow_start_ms);
        }
        self.healthy.set(healthy);
    }

    pub(crate) fn is_eligible(&self, now_ms: u64) -> bool {
        self.healthy.get() && !self.standing.is_out(now_ms)
    }

    /// How busy it is, to be compared with others: requests under way with this one, over its weight.
    pub(crate) fn load(&self, now_ms: u64) -> u64 {
        (self.under_way.get() + 1).saturating_mul(FULL_WEIGHT * FULL_WEIGHT) / self.standing.weight(now_ms)
    }

    /// The idle connection used last that is still good. A request that can be sent only `once` is worth a system call
    /// to make sure; others are repeated if need be.
    pub(crate) fn take_idle(self: &Rc<Self>, once: bool, now_ms: u64) -> Option<Connection> {
        loop {
            let idle = self.idle.borrow_mut().pop()?;
            let is_young = now_ms.saturating_sub(idle.born_ms) < self.usage.lifetime_ms();
            if is_young && idle.is_quiet() && (!once || idle.is_quiet_now()) {
                let Idle { stream, open, born_ms, .. } = idle;
                let (home, in_use) = (self.clone(), Use::of(self));
                return Some(Connection { stream, reused: true, home, born_ms, open, _use: in_use });
            }
        }
    }

    /// Begins to open a connection, for which there must be room.
    pub(crate) fn begin(self: &Rc<Self>) -> Opening {
        Opening { open: Open::begin(&self.usage), in_use: Use::of(self) }
    }

    /// Closes the connection that has been idle for longest, to make room for one elsewhere.
    pub(crate) fn close_one(&self) -> bool {
        let mut idle = self.idle.borrow_mut();
        if idle.is_empty() {
            return false;
        }
        idle.remove(0);
        true
    }

    /// Closes connections that have been idle for too long; the oldest are at the bottom.
    pub(crate) fn sweep(&self, now_ms: u64) {
        let idle_timeout_ms = self.usage.idle_timeout_ms();
        let mut idle = self.idle.borrow_mut();
        let old =
            idle.iter().take_while(|one| one.since_ms.saturating_add(idle_timeout_ms) <= now_ms).count();
        idle.drain(..old);
    }

    /// Closes all idle connections.
    pub(crate) fn close_idle(&self) {
        self.idle.borrow_mut().clear();
    }

    /// It has left the configuration.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
        self.close_idle();
    }
}
