//! A worker's main loop: commands from outside, and connections as they come.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinHandle;

use crate::client::{self, Client};
use crate::proxy::Command;
use crate::worker::{Parts, Worker};

/// How long accepting rests when there are no descriptors left.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// How many tasks run between two looks at the sockets, when that many are ready. Larger batches mean fewer wake-ups
/// on both sides; one batch is still well under a millisecond.
const EVENT_INTERVAL: u32 = 128;

/// A worker's runtime: one thread, no work stealing, nothing that has to be `Send`.
pub(crate) fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .event_interval(EVENT_INTERVAL)
        .max_blocking_threads(4)
        .build_local(LocalOptions::default())
}

/// Runs until told to stop.
pub(crate) async fn run(
    parts: Parts,
    mut commands: mpsc::Receiver<Command>,
    others: Vec<mpsc::Sender<Command>>,
) {
    let worker = Worker::new(parts);
    let others: Rc<[mpsc::Sender<Command>]> = others.into();
    let mut accepting: HashMap<SocketAddr, Accepting> = HashMap::new();
    tokio::task::spawn_local(worker.clone().tick());
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen(address, socket) => {
                let closing = Rc::new(Notify::new());
                let acceptor =
                    Acceptor { worker: worker.clone(), others: others.clone(), closing: closing.clone() };
                let task = tokio::task::spawn_local(acceptor.run(socket));
                accepting.insert(address, Accepting { closing, task });
            }
            Command::Unlisten(address) => {
                if let Some(acceptor) = accepting.remove(&address) {
                    acceptor.closing.notify_one();
                }
            }
            Command::Serve(stream, peer) => spawn(&worker, stream, peer),
            Command::Drain(handled) => {
                for (_, acceptor) in accepting.drain() {
                    acceptor.closing.notify_one();
                    // It ends by itself; a failure would be its panic, which ends the process.
                    let _ = acceptor.task.await;
                }
                worker.drain();
                // Whoever asked may have given up waiting.
                let _ = handled.try_send(());
            }
            Command::Stop => {
                worker.stop();
                break;
            }
        }
    }
}

/// An acceptor that runs, and how to end it.
struct Accepting {
    closing: Rc<Notify>,
    task: JoinHandle<()>,
}

/// Where a worker accepts connections.
struct Acceptor {
    worker: Rc<Worker>,
    others: Rc<[mpsc::Sender<Command>]>,
    closing: Rc<Notify>,
}

impl Acceptor {
    /// Accepts until told to close, then takes what the kernel has completed already: closing would lose it.
    async fn run(self, socket: TcpListener) {
        let listener = match tokio::net::TcpListener::from_std(socket) {
            Ok(listener) => listener,
            Err(error) => {
                return tracing::error!(
                    worker = self.worker.index,
                    "a listener could not be registered: {error}"
                );
            }
        };
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.closing.notified() => break,
            };
            match accepted {
                Ok((stream, peer)) => self.place(stream, peer),
                Err(error) if is_transient(&error) => {}
                Err(error) => self.rest(&error).await,
            }
        }
        if let Ok(listener) = listener.into_std() {
            while let Ok((stream, peer)) = listener.accept() {
                if stream.set_nonblocking(true).is_ok() {
                    spawn(&self.worker, stream, peer);
                }
            }
        }
    }

    /// Serves a connection here, or hands it to a worker that has far fewer. Over the limit it is closed at once.
    fn place(&self, stream: TcpStream, peer: SocketAddr) {
        if self.worker.loads.total() >= self.worker.patience().connections {
            return self.worker.cells.connections_turned_away.inc();
        }
        let better = self.worker.loads.better_than(self.worker.index);
        let Some(queue) = better.and_then(|other| self.others.get(other)) else {
            return serve(&self.worker, stream, peer);
        };
        // Taking it out of this worker's runtime costs two system calls, which is why balance is only approximate.
        let Ok(stream) = stream.into_std() else { return };
        match queue.try_send(Command::Serve(stream, peer)) {
            Ok(()) => self.worker.cells.handed_over.inc(),
            Err(
                TrySendError::Full(Command::Serve(stream, peer))
                | TrySendError::Closed(Command::Serve(stream, peer)),
            ) => spawn(&self.worker, stream, peer),
            Err(_) => {}
        }
    }

    /// There are no descriptors left, most likely: connections wait in the kernel.
    async fn rest(&self, error: &io::Error) {
        self.worker.cells.connections_turned_away.inc();
        let rest_ms = OUT_OF_DESCRIPTORS.as_millis();
        tracing::warn!(worker = self.worker.index, "accepting rests for {rest_ms} ms: {error}");
        tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
    }
}

/// The client was gone before we got to it.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

fn spawn(worker: &Rc<Worker>, stream: std::net::TcpStream, peer: SocketAddr) {
    match TcpStream::from_std(stream) {
        Ok(stream) => serve(worker, stream, peer),
        Err(error) => {
            worker.cells.connections_turned_away.inc();
            tracing::warn!(worker = worker.index, "a connection could not be registered: {error}");
        }
    }
}

fn serve(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    tokio::task::spawn_local(client::serve(Client::new(Open::new(worker), stream, peer)));
}

/// Counts one connection for as long as it lives.
pub(crate) struct Open(Rc<Worker>);

impl Open {
    fn new(worker: &Rc<Worker>) -> Open {
        worker.cells.connections_accepted.inc();
        worker.loads.opened(worker.index);
        Open(worker.clone())
    }

    pub(crate) fn worker(&self) -> Rc<Worker> {
        self.0.clone()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.cells.connections_closed.inc();
        self.0.loads.closed(self.0.index);
    }
}
