//! Upstreams that do what a test tells them to, down to the byte.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::{DEADLINE, Wire};

/// A listening upstream whose connections the test accepts and plays by hand.
#[derive(Debug)]
pub struct Scripted {
    listener: TcpListener,
    addr: SocketAddr,
}

impl Scripted {
    /// Listens on a loopback port that the kernel picks.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn bind() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let addr = listener.local_addr().expect("a bound socket has an address");
        Scripted { listener, addr }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next connection.
    ///
    /// # Panics
    /// When none comes.
    #[must_use]
    pub fn accept(&self) -> Wire {
        self.accept_within(DEADLINE)
            .unwrap_or_else(|| panic!("nobody connected to the upstream in {DEADLINE:?}"))
    }

    /// The next connection, if one comes within `time`.
    ///
    /// # Panics
    /// When the listener is broken.
    #[must_use]
    pub fn accept_within(&self, time: Duration) -> Option<Wire> {
        // On Linux the receive time-out of a listening socket bounds accept(2) as well.
        SockRef::from(&self.listener)
            .set_read_timeout(Some(time))
            .expect("a deadline above zero is accepted");
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => return Some(Wire::over(stream)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return None,
                // As after the process was stopped for a while.
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => panic!("cannot accept: {e}"),
            }
        }
    }

    /// Whether somebody has connected who is not accepted yet.
    ///
    /// # Panics
    /// When the listener is broken.
    #[must_use]
    pub fn has_caller(&self) -> bool {
        self.accept_within(Duration::from_millis(1)).is_some()
    }

    /// Plays `script` for each connection, in a thread of its own, until the handle is dropped.
    ///
    /// # Panics
    /// When no thread can be started.
    #[must_use]
    pub fn serve(self, script: impl Fn(Wire) + Send + Sync + 'static) -> Serving {
        let shared = Arc::new(Shared::default());
        let addr = self.addr;
        let thread = {
            let shared = Arc::clone(&shared);
            let script = Arc::new(script);
            let accept = move || {
                for stream in self.listener.incoming() {
                    if shared.stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { return };
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                    let script = Arc::clone(&script);
                    let play = move || script(Wire::over(stream));
                    Builder::new().name("scripted".to_owned()).spawn(play).expect("a thread can be started");
                }
            };
            Builder::new().name("scripted-accept".to_owned()).spawn(accept).expect("a thread can be started")
        };
        Serving { addr, shared, thread: Some(thread) }
    }

    /// Answers every request with `answer`, keeps connections open, and ends each when its client does.
    #[must_use]
    pub fn answering(self, answer: Vec<u8>) -> Serving {
        self.serve(move |mut wire| while wire.try_request().is_ok() && wire.try_send(&answer).is_ok() {})
    }
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    connections: AtomicUsize,
}

/// A scripted upstream that plays by itself. Dropping it stops the accepting; scripts end with their connections.
#[derive(Debug)]
pub struct Serving {
    addr: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections it has accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which looks at the flag first.
        drop(TcpStream::connect(self.addr));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// An upstream whose kernel answers no connection attempt: its backlog is full and nobody accepts.
#[derive(Debug)]
pub struct Deaf {
    addr: SocketAddr,
    _listener: Socket,
    _fillers: Vec<Socket>,
}

impl Deaf {
    /// Listens, and fills the backlog.
    ///
    /// # Panics
    /// When the system refuses one of the steps.
    #[must_use]
    pub fn bind() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("loopback has a free port");
        listener.listen(0).expect("a bound socket can listen");
        let addr = listener.local_addr().ok().and_then(|addr| addr.as_socket()).expect("an IPv4 address");
        let mut fillers = Vec::new();
        // A connection that is not made at once on loopback is one the kernel has dropped.
        while fillers.len() < 16 {
            let filler = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
            if filler.connect_timeout(&addr.into(), Duration::from_millis(200)).is_err() {
                break;
            }
            fillers.push(filler);
        }
        Deaf { addr, _listener: listener, _fillers: fillers }
    }

    /// Where nobody answers.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// An address that refuses connections for as long as the socket is kept: bound, but not listening.
///
/// # Panics
/// When loopback has no free port.
#[must_use]
pub fn refusing_address() -> (SocketAddr, Socket) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("loopback has a free port");
    let addr = socket.local_addr().ok().and_then(|addr| addr.as_socket()).expect("an IPv4 address");
    (addr, socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::{Deaf, Scripted, refusing_address};
    use crate::{Broken, Framing, Wire, pattern, request};

    #[test]
    fn both_ends_in_one_thread() {
        let upstream = Scripted::bind();
        let mut client = Wire::connect(upstream.addr());
        client.send(request::post_chunked("/a", b"hello world", 4));
        let mut wire = upstream.accept();
        let got = wire.request();
        assert_eq!((got.text().as_str(), got.framing), ("hello world", Framing::Chunked));
        assert_eq!(wire.received(), request::post_chunked("/a", b"hello world", 4));
        assert!(client.is_quiet());
        wire.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
        wire.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n");
        assert_eq!(client.response().status, 103);
        let answer = client.response();
        assert_eq!((answer.text().as_str(), answer.trailers.get("X-Sum")), ("abc", Some("1")));
        assert!(!upstream.has_caller());
    }

    #[test]
    fn ends_are_told_apart() {
        let upstream = Scripted::bind();
        let ended = |end: &dyn Fn(Wire)| {
            let mut client = Wire::connect(upstream.addr());
            end(upstream.accept());
            client.try_response().unwrap_err()
        };
        assert_eq!(ended(&drop), Broken::Closed);
        assert_eq!(ended(&Wire::reset), Broken::Reset);
        assert_eq!(ended(&|mut w: Wire| w.send("HTTP/1.1 200 OK\r\ncontent-le")), Broken::Truncated);
        assert_eq!(
            ended(&|mut w: Wire| w.send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab")),
            Broken::Truncated
        );
        let half =
            ended(&|mut w: Wire| w.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n"));
        assert_eq!(half, Broken::Truncated);
        assert!(matches!(ended(&|mut w: Wire| w.send("nonsense\r\n\r\n")), Broken::Malformed(_)));
    }

    #[test]
    fn a_reader_that_stops_sticks_the_writer() {
        let upstream = Scripted::bind();
        let mut client = Wire::connect_narrow(upstream.addr(), 64 << 10);
        let mut wire = upstream.accept();
        let sent = wire.send_until_stuck(64 << 20);
        assert!(sent < 64 << 20, "{sent} bytes went nowhere");
        let mut check = pattern::Check::default();
        drop(wire);
        client.body_into(Framing::UntilClose, &mut |piece| check.take(piece)).unwrap();
        assert!(check.is_whole(sent), "{check:?} of {sent}");
    }

    #[test]
    fn serves_by_itself_and_stops() {
        let serving = Scripted::bind().answering(request::ok("hi"));
        let mut client = Wire::connect(serving.addr());
        assert_eq!(client.exchange(request::get("/1")).text(), "hi");
        assert_eq!(client.exchange(request::get("/2")).text(), "hi");
        assert_eq!(serving.connections(), 1);
        let addr = serving.addr();
        drop((serving, client));
        assert!(Wire::try_connect(addr).is_err());
    }

    #[test]
    fn nobody_home() {
        let (refusing, _held) = refusing_address();
        assert!(Wire::try_connect(refusing).is_err());
        let deaf = Deaf::bind();
        let tried = TcpStream::connect_timeout(&deaf.addr(), Duration::from_millis(300));
        assert_eq!(tried.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    }
}
