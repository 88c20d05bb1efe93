//! Clients that hold connections and give or take next to nothing over them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::{DEADLINE, wire};

/// A slow reader's kernel takes about so many bytes ahead.
const NARROW_BYTES: usize = 4096;

/// What a slow client is slow at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slowness {
    /// The head of its request comes a byte at a time.
    Head,
    /// The body of its request comes a byte at a time.
    Body,
    /// It asks for much and takes a byte of it at a time.
    Reading,
}

impl Slowness {
    /// All of them.
    pub const ALL: [Slowness; 3] = [Slowness::Head, Slowness::Body, Slowness::Reading];

    /// What it sends at first.
    fn start(self) -> &'static [u8] {
        match self {
            Slowness::Head => b"GET / HTTP/1.1\r\nhost: test\r\nx-slow: ",
            Slowness::Body => b"POST /check HTTP/1.1\r\nhost: test\r\ncontent-length: 100000\r\n\r\n",
            Slowness::Reading => b"GET /bytes/100000000 HTTP/1.1\r\nhost: test\r\n\r\n",
        }
    }
}

/// Slow clients in one thread, until they are dropped. What they ask for is as the paths of [`crate::Origin`].
#[derive(Debug)]
pub struct SlowClients {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    rounds: AtomicUsize,
    ended: AtomicUsize,
}

struct Slow {
    stream: TcpStream,
    kind: Slowness,
}

impl SlowClients {
    /// So many clients of each of these kinds. Each moves one byte, then nothing for `every`.
    ///
    /// # Panics
    /// When one cannot connect.
    #[must_use]
    pub fn start(to: SocketAddr, kinds: &[Slowness], each: usize, every: Duration) -> Self {
        let kinds = (0..each).flat_map(|_| kinds.iter().copied());
        let clients: Vec<Slow> = kinds.map(|kind| Slow::connect(to, kind)).collect();
        let shared = Arc::new(Shared::default());
        let work = {
            let shared = Arc::clone(&shared);
            move || shared.play(clients, every)
        };
        let thread = Builder::new().name("slow".to_owned()).spawn(work).expect("a thread can be started");
        SlowClients { shared, thread: Some(thread) }
    }

    /// How many connections the other end has ended, as far as these clients can know: what it said at the end does not
    /// reach a slow reader.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.shared.ended.load(Ordering::SeqCst)
    }

    /// How many bytes each that is still there has moved.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.shared.rounds.load(Ordering::SeqCst)
    }
}

impl Drop for SlowClients {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            drop(thread.join());
        }
    }
}

impl Shared {
    fn play(&self, mut clients: Vec<Slow>, every: Duration) {
        let mut due = Instant::now();
        while !self.stop.load(Ordering::SeqCst) {
            let before = clients.len();
            clients.retain_mut(Slow::goes_on);
            self.ended.fetch_add(before - clients.len(), Ordering::SeqCst);
            self.rounds.fetch_add(1, Ordering::SeqCst);
            due += every;
            while let Some(left) = due.checked_duration_since(Instant::now()) {
                if self.stop.load(Ordering::SeqCst) {
                    return;
                }
                std::thread::park_timeout(left);
            }
        }
    }
}

impl Slow {
    fn connect(to: SocketAddr, kind: Slowness) -> Self {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket can be made");
        if kind == Slowness::Reading {
            socket.set_recv_buffer_size(NARROW_BYTES).expect("the receive buffer can be made small");
        }
        socket.connect_timeout(&to.into(), DEADLINE).expect("a slow client can connect");
        let mut stream = TcpStream::from(socket);
        stream.write_all(kind.start()).expect("a new connection takes the start of a request");
        stream.set_nonblocking(true).expect("a socket can be made non-blocking");
        Slow { stream, kind }
    }

    /// Moves one byte; `false` when the other end has answered an unfinished request, closed, or broken off.
    fn goes_on(&mut self) -> bool {
        let later = |e: &std::io::Error| e.kind() == ErrorKind::WouldBlock;
        let read = self.stream.read(&mut [0; 1]);
        let still = match (self.kind, &read) {
            (_, Err(e)) => later(e),
            (Slowness::Reading, Ok(bytes)) => *bytes > 0,
            (Slowness::Head | Slowness::Body, Ok(_)) => false,
        };
        let moves = match self.kind {
            Slowness::Reading => true,
            Slowness::Head | Slowness::Body => self.stream.write(b"a").map_or_else(|e| later(&e), |_| true),
        };
        still && moves && !wire::ended(&self.stream)
    }
}
