//! Starting, changing and stopping the workers, from the outside.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use route_plan::Compares;
use socket2::{Domain, Protocol, Socket, Type};
use telemetry::{SnapshotCell, Telemetry, access_log};
use tokio::sync::{mpsc, oneshot};

use crate::accept;
use crate::copies::Lanes;
use crate::descriptors;
use crate::load::Loads;
use crate::prober;
use crate::worker::Parts;

/// Commands that may wait for a worker; handed-over connections beyond it stay where they were accepted.
const COMMANDS: usize = 1_024;
/// Connections that the kernel may hold for us until they are accepted.
const BACKLOG: i32 = 4_096;
/// How often a drain looks whether it is done.
const DRAIN_LOOK: Duration = Duration::from_millis(5);

/// What the workers are started with and cannot change while they run.
#[derive(Clone)]
pub struct Options {
    /// Worker threads; 0 means one for each processor that this process may use.
    pub workers: usize,
    /// Where the access log's lines go.
    pub access_log: access_log::Handle,
    /// Who compares the answers to copies with the served ones. Without it copies are sent for the sake of the arm alone,
    /// and count as incomparable.
    pub compares: Option<Arc<dyn Compares>>,
    /// The lanes that send copies, through which requests can be asked again; [`Lanes::new`].
    pub lanes: Arc<Lanes>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("workers", &self.workers)
            .field("compares", &self.compares.is_some())
            .finish_non_exhaustive()
    }
}

/// A listener that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The address asked for.
    pub asked: SocketAddr,
    /// The address in use: another one where port 0 was asked for.
    pub bound: SocketAddr,
}

/// A listener could not be opened.
#[derive(Debug)]
pub struct ListenError {
    /// The address asked for.
    pub addr: SocketAddr,
    source: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.addr, self.source)
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// What a worker is told.
pub(crate) enum Command {
    /// Accept here; known by the address that it is bound to.
    Listen(Bound, TcpListener),
    /// Accept what waits there, then close it.
    Unlisten(SocketAddr),
    /// Serve this client, that another worker accepted at this listener.
    Serve(TcpStream, SocketAddr, SocketAddr),
    /// Close all listeners, end keep-alive, and say when that is done.
    Drain(std::sync::mpsc::SyncSender<()>),
    /// End now.
    Stop,
}

/// The running workers.
#[derive(Debug)]
pub struct Proxy {
    workers: Vec<WorkerThread>,
    listeners: Mutex<Vec<Bound>>,
    loads: Arc<Loads>,
    ended: Arc<AtomicBool>,
    lanes: Arc<Lanes>,
    /// Ends the prober when it is dropped.
    _prober: oneshot::Sender<()>,
}

#[derive(Debug)]
struct WorkerThread {
    commands: mpsc::Sender<Command>,
    thread: JoinHandle<()>,
}

impl Proxy {
    /// Starts the workers, without listeners.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be made.
    pub fn start(
        options: &Options,
        snapshots: &Arc<SnapshotCell>,
        telemetry: &Arc<Telemetry>,
    ) -> io::Result<Proxy> {
        let count = worker_count(options.workers);
        let loads = Arc::new(Loads::new(count));
        let most_clients = descriptors::most_clients();
        let asked = snapshots.load().connection.connections;
        if most_clients < asked {
            tracing::warn!(
                "client connections are limited to {most_clients} instead of {asked}: the process may not open more files"
            );
        }
        let ended = Arc::new(AtomicBool::new(false));
        let (prober, stop_prober) = oneshot::channel();
        let board = prober::start(snapshots, telemetry, stop_prober)?;
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(COMMANDS)).unzip();
        let mut workers = Vec::with_capacity(count);
        for (index, (queue, commands)) in senders.iter().zip(receivers).enumerate() {
            let parts = Parts {
                index,
                snapshots: snapshots.clone(),
                telemetry: telemetry.clone(),
                access_log: options.access_log.clone(),
                loads: loads.clone(),
                board: board.clone(),
                most_clients,
                compares: options.compares.clone(),
                lanes: options.lanes.clone(),
            };
            let thread = start_worker(parts, commands, senders.clone(), Ended(ended.clone()))?;
            workers.push(WorkerThread { commands: queue.clone(), thread });
        }
        let (listeners, lanes) = (Mutex::default(), options.lanes.clone());
        Ok(Proxy { workers, listeners, loads, ended, lanes, _prober: prober })
    }

    /// Opens and closes listeners so that exactly those `wanted` are open. Blocks. All or nothing: when one cannot be
    /// opened, none is opened or closed. Connections of a listener that is closed live on.
    ///
    /// # Errors
    /// When an address is in use, not ours, or not permitted.
    pub fn set_listeners(&self, wanted: &[SocketAddr]) -> Result<Vec<Bound>, ListenError> {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let closed: Vec<Bound> =
            listeners.iter().copied().filter(|open| !wanted.contains(&open.asked)).collect();
        let mut opened = Vec::new();
        for &asked in wanted {
            if !listeners.iter().any(|open| open.asked == asked) {
                // A listener that is about to go may hold the port: 127.0.0.1:80 on its way to 0.0.0.0:80.
                let ours = closed.iter().any(|gone| gone.bound.port() == asked.port());
                let sockets = open(asked, self.workers.len(), ours)
                    .map_err(|source| ListenError { addr: asked, source })?;
                opened.push((asked, sockets));
            }
        }
        for (asked, sockets) in opened {
            let Some(bound) = sockets.first().and_then(|socket| socket.local_addr().ok()) else { continue };
            for (worker, socket) in self.workers.iter().zip(sockets) {
                worker.tell(Command::Listen(Bound { asked, bound }, socket));
            }
            listeners.push(Bound { asked, bound });
        }
        for gone in &closed {
            for worker in &self.workers {
                worker.tell(Command::Unlisten(gone.bound));
            }
        }
        listeners.retain(|open| wanted.contains(&open.asked));
        Ok(listeners.clone())
    }

    /// The listeners that are open.
    #[must_use]
    pub fn listeners(&self) -> Vec<Bound> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Client connections open at the moment.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.loads.total()
    }

    /// Closes the listeners, ends keep-alive and waits until every connection is gone, `deadline` at most. Blocks.
    /// `true` when nothing was left.
    #[must_use]
    pub fn drain(&self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        let (handled, told) = std::sync::mpsc::sync_channel(self.workers.len());
        for worker in &self.workers {
            worker.tell(Command::Drain(handled.clone()));
        }
        // Not before each has taken what the kernel had completed for it: until then the count means nothing.
        for _ in &self.workers {
            if told.recv_timeout(until.saturating_duration_since(Instant::now())).is_err() {
                break;
            }
        }
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clear();
        while self.connections() > 0 && Instant::now() < until {
            std::thread::park_timeout(DRAIN_LOOK);
        }
        self.connections() == 0
    }

    /// Ends the workers; what is still under way is cut off.
    pub fn stop(self) {
        for worker in &self.workers {
            worker.tell(Command::Stop);
        }
        for worker in self.workers {
            // A worker that panicked has said so; with `panic = "abort"` it has ended the process.
            let _ = worker.thread.join();
        }
        // Each ends with its worker, and drops what it has under way.
        self.lanes.join();
    }

    /// Whether a worker has ended, which none does by itself: the process should end too.
    #[must_use]
    pub fn worker_died(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.len()
    }
}

/// Starts one worker's thread and waits until its runtime is there.
fn start_worker(
    parts: Parts,
    commands: mpsc::Receiver<Command>,
    others: Vec<mpsc::Sender<Command>>,
    ended: Ended,
) -> io::Result<JoinHandle<()>> {
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(format!("worker-{}", parts.index)).spawn(move || {
        let _ended = ended;
        let runtime = accept::runtime(1);
        let told =
            runtime.as_ref().map(|_| ()).map_err(|error| io::Error::new(error.kind(), error.to_string()));
        // Whoever started us waits for this; if it is gone there is nobody to tell.
        let _ = ready.send(told);
        if let Ok(runtime) = runtime {
            runtime.block_on(accept::run(parts, commands, others));
        }
    })?;
    started.recv().map_err(|_| io::Error::other("a worker ended while it started"))??;
    Ok(thread)
}

impl WorkerThread {
    fn tell(&self, command: Command) {
        // Fails only when the worker is gone, which `worker_died` tells.
        let _ = self.commands.blocking_send(command);
    }
}

/// Set when a worker's thread ends, however it ends.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The number of workers for what the file says.
#[must_use]
pub fn worker_count(asked: usize) -> usize {
    if asked > 0 { asked } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

/// One socket for each worker at one address; the kernel spreads connections over them. `ours`: the port is held by
/// another listener of this process.
fn open(address: SocketAddr, workers: usize, ours: bool) -> io::Result<Vec<TcpListener>> {
    // Without SO_REUSEPORT first: a second crossfade would otherwise silently get part of the traffic.
    let probe = socket(address, ours)?;
    let address = SocketAddr::new(address.ip(), local_port(&probe)?);
    drop(probe);
    (0..workers)
        .map(|_| {
            let socket = socket(address, true)?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect()
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // Accepted connections inherit it.
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn local_port(socket: &Socket) -> io::Result<u16> {
    let address = socket.local_addr()?.as_socket();
    address.map(|address| address.port()).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}
