//! A worker's main loop: commands from outside, and connections as they come.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinHandle;

use crate::client::{self, Client};
use crate::entry::{self, Entry};
use crate::proxy::Command;
use crate::worker::{Parts, Worker};

/// How long accepting rests when there are no descriptors left.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);
/// How many clients are told so each time.
const TOLD_AT_ONCE: usize = 32;

/// How many tasks run between two looks at the sockets, when that many are ready. Larger batches mean fewer wake-ups
/// on both sides; one batch is still well under a millisecond.
const EVENT_INTERVAL: u32 = 128;

/// A runtime: one thread, no work stealing, nothing that has to be `Send`. Beside it there may be `blocking` threads for
/// calls that block.
pub(crate) fn runtime(blocking: usize) -> io::Result<LocalRuntime> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .event_interval(EVENT_INTERVAL)
        .max_blocking_threads(blocking)
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
    let reserve = Reserve::default();
    reserve.refill();
    tokio::task::spawn_local(worker.clone().tick());
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen(listener, socket) => {
                let closing = Rc::new(Notify::new());
                let entry = Entry::new(worker.clone(), listener.asked);
                let acceptor = Acceptor {
                    entry: entry.clone(),
                    bound: listener.bound,
                    others: others.clone(),
                    closing: closing.clone(),
                    reserve: reserve.clone(),
                };
                let task = tokio::task::spawn_local(acceptor.run(socket));
                accepting.insert(listener.bound, Accepting { closing, task, entry });
            }
            Command::Unlisten(address) => {
                if let Some(acceptor) = accepting.remove(&address) {
                    acceptor.closing.notify_one();
                }
            }
            Command::Serve(stream, peer, bound) => {
                // A listener that was closed meanwhile has no limits any more.
                let entry = accepting.get(&bound).map(|one| one.entry.clone());
                spawn(&entry.unwrap_or_else(|| Entry::new(worker.clone(), bound)), stream, peer);
            }
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
    entry: Rc<Entry>,
}

/// Where a worker accepts connections.
struct Acceptor {
    entry: Rc<Entry>,
    /// The address in use.
    bound: SocketAddr,
    others: Rc<[mpsc::Sender<Command>]>,
    closing: Rc<Notify>,
    reserve: Reserve,
}

impl Acceptor {
    /// Accepts until told to close, then takes what the kernel has completed already: closing would lose it.
    async fn run(self, socket: TcpListener) {
        let listener = match tokio::net::TcpListener::from_std(socket) {
            Ok(listener) => listener,
            Err(error) => {
                return tracing::error!(
                    worker = self.entry.worker.index,
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
                Err(error) => self.rest(&listener, &error).await,
            }
        }
        if let Ok(listener) = listener.into_std() {
            while let Ok((stream, peer)) = listener.accept() {
                if stream.set_nonblocking(true).is_ok() {
                    spawn(&self.entry, stream, peer);
                }
            }
        }
    }

    /// Serves a connection here, or hands it to a worker that has far fewer. Over the limit it is turned away; whether it
    /// is over the listener's is for the worker to say that is to serve it.
    fn place(&self, stream: TcpStream, peer: SocketAddr) {
        let worker = &self.entry.worker;
        if !worker.has_room() {
            return entry::turn_away(worker, &stream);
        }
        let better = worker.loads.better_than(worker.index);
        let Some(queue) = better.and_then(|other| self.others.get(other)) else {
            return serve(&self.entry, stream, peer);
        };
        // Taking it out of this worker's runtime costs two system calls, which is why balance is only approximate.
        let Ok(stream) = stream.into_std() else { return };
        match queue.try_send(Command::Serve(stream, peer, self.bound)) {
            Ok(()) => worker.cells.handed_over.inc(),
            Err(
                TrySendError::Full(Command::Serve(stream, peer, _))
                | TrySendError::Closed(Command::Serve(stream, peer, _)),
            ) => spawn(&self.entry, stream, peer),
            Err(_) => {}
        }
    }

    /// There are no descriptors left, most likely: the one in reserve is used to tell some of those who wait, the others
    /// wait in the kernel.
    async fn rest(&self, listener: &tokio::net::TcpListener, error: &io::Error) {
        let worker = &self.entry.worker;
        let rest_ms = OUT_OF_DESCRIPTORS.as_millis();
        tracing::warn!(worker = worker.index, "accepting rests for {rest_ms} ms: {error}");
        for _ in 0..TOLD_AT_ONCE {
            self.reserve.0.borrow_mut().take();
            let told = poll_fn(|cx| match listener.poll_accept(cx) {
                Poll::Ready(Ok((stream, _))) => {
                    entry::turn_away(worker, &stream);
                    Poll::Ready(true)
                }
                Poll::Ready(Err(_)) | Poll::Pending => Poll::Ready(false),
            });
            let told = told.await;
            self.reserve.refill();
            if !told {
                break;
            }
        }
        tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
    }
}

/// A descriptor that is held so that there is one to give up when all are gone.
#[derive(Clone, Default)]
struct Reserve(Rc<RefCell<Option<std::net::UdpSocket>>>);

impl Reserve {
    fn refill(&self) {
        let mut held = self.0.borrow_mut();
        if held.is_none() {
            // Any descriptor will do; this one needs no file system. If there is none, there is none to give up.
            *held = std::net::UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0)).ok();
        }
    }
}

/// The client was gone before we got to it.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

fn spawn(entry: &Rc<Entry>, stream: std::net::TcpStream, peer: SocketAddr) {
    match TcpStream::from_std(stream) {
        Ok(stream) => serve(entry, stream, peer),
        Err(error) => {
            let worker = &entry.worker;
            worker.cells.connections_turned_away.inc();
            tracing::warn!(worker = worker.index, "a connection could not be registered: {error}");
        }
    }
}

fn serve(entry: &Rc<Entry>, stream: TcpStream, peer: SocketAddr) {
    if entry.has_room() {
        tokio::task::spawn_local(client::serve(Client::new(entry.open(), stream, peer)));
    } else {
        entry::turn_away(&entry.worker, &stream);
    }
}
