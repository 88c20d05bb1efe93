//! An upstream that fails in every way that upstreams fail, switched by the test while it is in use.

mod play;

use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, SockRef, Socket, Type};

use crate::{Request, Wire, reserved_port};

/// As many connections wait to be accepted by an origin that is well.
const BACKLOG: i32 = 4096;

/// A condition is looked at again after so long, where nothing tells of its change.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What an origin does to a request that has come.
///
/// The first three are about the whole origin, and of use in [`FaultyOrigin::set`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing listens. Connections without a request are closed at once, the others behind their answer.
    Refusing,
    /// Connections cannot be made: the kernel drops each attempt, since the backlog is full. Those there are close as in
    /// [`Fault::Refusing`].
    Unreachable,
    /// Connections can be made, and nothing is read from them. A request that was sent is carried out all the same, when
    /// its client has given up or the fault is over, as by a process that was stopped.
    Silent,
    /// None: it is answered.
    Healthy,
    /// It is answered after a while.
    Slow(Duration),
    /// The connection is closed without an answer.
    Unanswered,
    /// The connection is reset within the answer's head.
    ResetInHead,
    /// The connection is reset within the answer's body.
    ResetInBody,
    /// The connection is closed within the answer's body.
    ClosedInBody,
    /// The answer stops within its body, and the connection stays.
    StalledInBody,
    /// What comes is not HTTP.
    Garbage,
    /// The answer's head goes on for 100 MiB.
    EndlessHead,
    /// It is answered before its body is read, which happens then.
    Early,
    /// It is answered before its body is read, and the connection is closed over the rest.
    EarlyAndClosed,
    /// It is answered, and a while later the connection is closed although nothing said so.
    ClosedAfter(Duration),
    /// It is answered, and when the next request on the connection comes, the connection is closed over it.
    ClosedWhenReused,
    /// It is answered with this status.
    Status(u16),
}

/// A request that an origin carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What its `x-request-id` says; empty without.
    pub id: String,
    /// The method.
    pub method: String,
    /// The target.
    pub target: String,
    /// Bytes of its content; those read so far where the answer came first.
    pub body_bytes: u64,
    /// Its content was the [`crate::pattern`] from its beginning.
    pub intact: bool,
}

/// An upstream in threads, on a loopback port that stays its own while it refuses connections.
///
/// Answers say in `x-origin` who gave them, in `x-answers` the id of the request, in `x-body-bytes` how much content it
/// had, and carry a piece of the [`crate::pattern`] as their body, in chunks where the target begins with `/stream`. A request
/// whose content is not the pattern is answered with 422. A target `/healthz` is answered and not recorded.
#[derive(Debug)]
pub struct FaultyOrigin {
    stage: Arc<Stage>,
    accepting: Option<JoinHandle<()>>,
}

type Choice = Arc<dyn Fn(&Request) -> Fault + Send + Sync>;

struct Stage {
    name: String,
    addr: SocketAddr,
    listener: TcpListener,
    state: Mutex<State>,
    changed: Condvar,
    received: Mutex<Vec<Received>>,
}

struct State {
    fault: Fault,
    choice: Option<Choice>,
    stopped: bool,
    accepted: u64,
    open: HashMap<u64, Open>,
    fillers: Vec<Socket>,
}

/// A connection. One that is busy has a request that is not answered.
struct Open {
    stream: TcpStream,
    busy: bool,
}

impl FaultyOrigin {
    /// Starts one that is well.
    ///
    /// # Panics
    /// When the system has no port or thread left.
    #[must_use]
    pub fn start(name: &str) -> Self {
        let (addr, _reserved) = reserved_port();
        Self::start_at(name, addr)
    }

    /// Starts one that is well at this IPv4 address.
    ///
    /// # Panics
    /// When the address is taken.
    #[must_use]
    pub fn start_at(name: &str, addr: SocketAddr) -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
        listener.set_reuse_address(true).expect("a socket takes SO_REUSEADDR");
        // Bound to a port by number, it keeps the port when it stops listening.
        listener.bind(&addr.into()).expect("the port is free, or reserved for this socket");
        listener.listen(BACKLOG).expect("a bound socket can listen");
        let state = State {
            fault: Fault::Healthy,
            choice: None,
            stopped: false,
            accepted: 0,
            open: HashMap::new(),
            fillers: Vec::new(),
        };
        let stage = Arc::new(Stage {
            name: name.to_owned(),
            addr,
            listener: listener.into(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            received: Mutex::default(),
        });
        let accept = {
            let stage = Arc::clone(&stage);
            move || stage.accept()
        };
        let accepting =
            Builder::new().name("faulty-accept".to_owned()).spawn(accept).expect("a thread can be started");
        FaultyOrigin { stage, accepting: Some(accepting) }
    }

    /// Where it listens, when it does.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.stage.addr
    }

    /// From now on this happens to every request.
    pub fn set(&self, fault: Fault) {
        self.stage.switch(fault, None);
    }

    /// From now on this says what happens to each request.
    pub fn choose(&self, choice: impl Fn(&Request) -> Fault + Send + Sync + 'static) {
        self.stage.switch(Fault::Healthy, Some(Arc::new(choice)));
    }

    /// Every request that it carried out so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.stage.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often it carried out the request of each id.
    #[must_use]
    pub fn executions(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for request in self.received() {
            *times.entry(request.id).or_default() += 1;
        }
        times
    }

    /// How many connections it has accepted.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.stage.lock().accepted
    }

    /// How many of its connections are open.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.stage.lock().open.len()
    }
}

impl Drop for FaultyOrigin {
    fn drop(&mut self) {
        {
            let mut state = self.stage.lock();
            state.stopped = true;
            self.stage.unlisten();
            state.open.values().for_each(|open| shut(&open.stream));
        }
        self.stage.changed.notify_all();
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.name, self.addr)
    }
}

impl Stage {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn switch(&self, fault: Fault, choice: Option<Choice>) {
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.fault, fault);
        state.choice = choice;
        let (was_open, is_open) = (before.accepts(), fault.accepts());
        if was_open && !is_open {
            self.unlisten();
            state.open.values().filter(|open| !open.busy).for_each(|open| shut(&open.stream));
        }
        if before == Fault::Unreachable {
            self.unlisten();
            state.fillers.clear();
        }
        if is_open && !was_open {
            SockRef::from(&self.listener).listen(BACKLOG).expect("a bound socket can listen");
        }
        if fault == Fault::Unreachable {
            state.fillers = self.fill_up();
        }
        drop(state);
        self.changed.notify_all();
    }

    /// On Linux a socket that is shut stops listening and may listen again.
    fn unlisten(&self) {
        drop(SockRef::from(&self.listener).shutdown(std::net::Shutdown::Read));
    }

    /// Listens with the smallest backlog there is, and fills it.
    fn fill_up(&self) -> Vec<Socket> {
        SockRef::from(&self.listener).listen(0).expect("a bound socket can listen");
        let mut fillers = Vec::new();
        while fillers.len() < 16 {
            let filler = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
            // A connection that is not made at once on loopback is one the kernel has dropped.
            if filler.connect_timeout(&self.addr.into(), Duration::from_millis(100)).is_err() {
                break;
            }
            fillers.push(filler);
        }
        fillers
    }

    fn accept(self: &Arc<Self>) {
        self.listener.set_nonblocking(true).expect("a listener can be asked without waiting");
        loop {
            let state = self.lock();
            if state.stopped {
                return;
            }
            if !state.fault.accepts() {
                let _state = self.changed.wait_timeout(state, LOOK_AGAIN);
                continue;
            }
            // Under the lock, so that nobody is taken from a queue that has been filled up meanwhile. An error means that
            // nobody waits, or that the socket does not listen now.
            let accepted = self.listener.accept();
            drop(state);
            match accepted {
                Ok((stream, _)) => self.take_on(stream),
                Err(_) => self.wait_for_a_caller(),
            }
        }
    }

    /// Waits until somebody may have connected, for a moment only.
    fn wait_for_a_caller(&self) {
        let mut listening = [PollFd::new(&self.listener, PollFlags::IN)];
        let moment = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        // A failure, or somebody who has gone again, only means another look.
        if poll(&mut listening, Some(&moment)).is_ok_and(|ready| ready > 0)
            && listening[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
        {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn take_on(self: &Arc<Self>, stream: TcpStream) {
        let Ok(handle) = stream.try_clone() else { return };
        let number = {
            let mut state = self.lock();
            if state.stopped {
                return;
            }
            let number = state.accepted;
            state.accepted += 1;
            state.open.insert(number, Open { stream: handle, busy: false });
            number
        };
        let stage = Arc::clone(self);
        let serve = move || {
            let mut wire = Wire::over(stream);
            play::connection(&stage, &mut wire, number);
            stage.lock().open.remove(&number);
        };
        Builder::new().name("faulty".to_owned()).spawn(serve).expect("a thread can be started");
    }

    fn fault(&self) -> Fault {
        self.lock().fault
    }

    /// What happens to this request.
    fn fault_of(&self, request: &Request) -> Fault {
        let state = self.lock();
        let (fault, choice) = (state.fault, state.choice.clone());
        drop(state);
        choice.map_or(fault, |choice| choice(request))
    }

    fn record(&self, received: Received) {
        if received.target != "/healthz" {
            self.received.lock().unwrap_or_else(PoisonError::into_inner).push(received);
        }
    }

    /// Marks a connection as busy or not; `false` when it is to be closed instead of waiting for a request.
    fn mark(&self, number: u64, busy: bool) -> bool {
        let mut state = self.lock();
        if let Some(open) = state.open.get_mut(&number) {
            open.busy = busy;
        }
        busy || (state.fault.accepts() && !state.stopped)
    }

    /// Waits for `time`, unless the origin is stopped or `done` before.
    fn pause(&self, time: Duration, done: impl Fn(&State) -> bool) {
        let started = Instant::now();
        let mut state = self.lock();
        while !state.stopped && !done(&state) {
            let left = time.saturating_sub(started.elapsed());
            if left.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Fault {
    /// Whether connections can be made, as far as the origin goes.
    fn accepts(self) -> bool {
        !matches!(self, Fault::Refusing | Fault::Unreachable)
    }
}

fn shut(stream: &TcpStream) {
    drop(stream.shutdown(std::net::Shutdown::Both));
}

#[cfg(test)]
mod tests;
