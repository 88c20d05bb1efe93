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
    ended: [AtomicUsize; Slowness::ALL.len()],
}

struct Slow {
    stream: TcpStream,
    kind: Slowness,
}

impl SlowClients {
    /// So many clients of each of these kinds. Each moves one byte in `every`.
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

    /// How many connections of clients of this kind the other end has ended, as far as they can know: a slow reader learns
    /// of a reset, while an end in good order is behind all that it has not read.
    #[must_use]
    pub fn ended(&self, kind: Slowness) -> usize {
        self.shared.ended[kind as usize].load(Ordering::SeqCst)
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
    /// Each client has its own moment in every round, so that they do not come in bursts.
    fn play(&self, clients: Vec<Slow>, every: Duration) {
        let mut clients: Vec<Option<Slow>> = clients.into_iter().map(Some).collect();
        let gap = every / u32::try_from(clients.len().max(1)).unwrap_or(u32::MAX);
        let mut due = Instant::now();
        loop {
            for place in &mut clients {
                if let Some(client) = place.take_if(|client| !client.goes_on()) {
                    self.ended[client.kind as usize].fetch_add(1, Ordering::SeqCst);
                }
                due += gap;
                if !self.waits_until(due) {
                    return;
                }
            }
            self.rounds.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// `false` when it is to end.
    fn waits_until(&self, due: Instant) -> bool {
        while !self.stop.load(Ordering::SeqCst) {
            match due.checked_duration_since(Instant::now()) {
                Some(left) if left >= Duration::from_millis(1) => std::thread::park_timeout(left),
                _ => return true,
            }
        }
        false
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
