//! One end of a TCP connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, SockRef, Socket, Type};

use crate::reading::{Broken, Fields, Framing, Request, Response, chunk_size, malformed, parse_fields};
use crate::{DEADLINE, eventually, pattern};

/// So much of what came is kept word for word.
const RECORDED_BYTES: usize = 1 << 20;

/// A connection that moves nothing for so long is held to be stuck.
const STUCK: Duration = Duration::from_millis(700);

/// One end of a TCP connection: the test as a client of the proxy, or as its upstream.
///
/// Every step waits at most [`DEADLINE`]. The plain methods panic when the step fails; those that begin with
/// `try_` say how it failed.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    pending: Vec<u8>,
    received: Vec<u8>,
}

impl Wire {
    /// Connects as a client.
    ///
    /// # Panics
    /// When nobody accepts.
    #[must_use]
    pub fn connect(to: SocketAddr) -> Self {
        Self::try_connect(to).unwrap_or_else(|e| panic!("cannot connect to {to}: {e}"))
    }

    /// Connects as a client, if somebody accepts.
    pub fn try_connect(to: SocketAddr) -> io::Result<Self> {
        TcpStream::connect_timeout(&to, DEADLINE).map(Self::over)
    }

    /// Connects as a client whose kernel takes in only about `receive_bytes` before the test reads.
    ///
    /// # Panics
    /// When nobody accepts.
    #[must_use]
    pub fn connect_narrow(to: SocketAddr, receive_bytes: usize) -> Self {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket can be made");
        socket.set_recv_buffer_size(receive_bytes).expect("the receive buffer can be made small");
        socket
            .connect_timeout(&to.into(), DEADLINE)
            .unwrap_or_else(|e| panic!("cannot connect to {to}: {e}"));
        Self::over(socket.into())
    }

    /// Takes over an accepted connection.
    ///
    /// # Panics
    /// When the socket is broken already.
    #[must_use]
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline above zero is accepted");
        stream.set_write_timeout(Some(DEADLINE)).expect("a deadline above zero is accepted");
        stream.set_nodelay(true).expect("a TCP socket takes TCP_NODELAY");
        Wire { stream, pending: Vec::new(), received: Vec::new() }
    }

    /// This end's address.
    ///
    /// # Panics
    /// When the socket has none any more.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has an address")
    }

    /// All bytes that came, up to the first mebibyte of them.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    /// A second handle on the connection, for a thread that writes while another reads. It has not the bytes
    /// that this one has read ahead.
    ///
    /// # Panics
    /// When the system is out of descriptors.
    #[must_use]
    pub fn second_handle(&self) -> Wire {
        Self::over(self.stream.try_clone().expect("a descriptor can be duplicated"))
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// When they cannot be sent.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap_or_else(|e| panic!("cannot send: {e}"));
    }

    /// Sends bytes if that is possible.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends the first `len` bytes of the [`pattern`], piece by piece.
    pub fn try_send_pattern(&mut self, len: u64) -> io::Result<()> {
        let mut piece = vec![0; 64 << 10];
        let mut sent = 0;
        while sent < len {
            let now = usize::try_from(len - sent).map_or(piece.len(), |rest| rest.min(piece.len()));
            pattern::fill(sent, &mut piece[..now]);
            self.stream.write_all(&piece[..now])?;
            sent += now as u64;
        }
        Ok(())
    }

    /// Sends the [`pattern`] until the other end takes no more, or `limit` bytes are sent; answers how many were.
    ///
    /// # Panics
    /// When the connection breaks.
    pub fn send_until_stuck(&mut self, limit: u64) -> u64 {
        self.stream.set_write_timeout(Some(STUCK)).expect("a deadline above zero is accepted");
        let mut piece = vec![0; 64 << 10];
        let mut sent = 0;
        while sent < limit {
            pattern::fill(sent, &mut piece);
            match self.stream.write(&piece) {
                Ok(now) => sent += now as u64,
                Err(e) if is_timeout(&e) => break,
                Err(e) => panic!("cannot send after {sent} bytes: {e}"),
            }
        }
        self.stream.set_write_timeout(Some(DEADLINE)).expect("a deadline above zero is accepted");
        sent
    }

    /// Sends `bytes` over and over until the other end takes no more or breaks, or `limit` bytes are sent; answers how
    /// many were.
    ///
    /// # Panics
    /// When the socket does not take a time-out.
    pub fn send_again_until_stuck(&mut self, bytes: &[u8], limit: u64) -> u64 {
        self.stream.set_write_timeout(Some(STUCK)).expect("a deadline above zero is accepted");
        let mut sent = 0;
        let mut rest = bytes;
        while sent < limit {
            let Ok(now) = self.stream.write(rest) else { break };
            sent += now as u64;
            rest = &rest[now..];
            if rest.is_empty() {
                rest = bytes;
            }
        }
        self.stream.set_write_timeout(Some(DEADLINE)).expect("a deadline above zero is accepted");
        sent
    }

    /// Sends `request` and reads the final answer to it; interim answers before it are passed over.
    ///
    /// # Panics
    /// When no whole answer comes.
    pub fn exchange(&mut self, request: impl AsRef<[u8]>) -> Response {
        let request = request.as_ref();
        self.send(request);
        let to_head = request.starts_with(b"HEAD ");
        loop {
            let answer = self.try_answer(to_head).unwrap_or_else(|e| self.give_up(&e));
            if answer.status >= 200 {
                return answer;
            }
        }
    }

    /// Reads one whole answer, interim ones included.
    ///
    /// # Panics
    /// When none comes.
    pub fn response(&mut self) -> Response {
        self.try_response().unwrap_or_else(|e| self.give_up(&e))
    }

    /// Reads one whole answer, interim ones included.
    pub fn try_response(&mut self) -> Result<Response, Broken> {
        self.try_answer(false)
    }

    /// Reads one answer to a HEAD request.
    ///
    /// # Panics
    /// When none comes.
    pub fn response_to_head(&mut self) -> Response {
        self.try_answer(true).unwrap_or_else(|e| self.give_up(&e))
    }

    /// Reads the head of an answer and leaves its body unread.
    ///
    /// # Panics
    /// When none comes.
    pub fn response_head(&mut self) -> Response {
        self.head().and_then(|head| Response::parse(head, false)).unwrap_or_else(|e| self.give_up(&e))
    }

    /// Reads one whole request.
    ///
    /// # Panics
    /// When none comes.
    pub fn request(&mut self) -> Request {
        self.try_request().unwrap_or_else(|e| self.give_up(&e))
    }

    /// Reads one whole request.
    pub fn try_request(&mut self) -> Result<Request, Broken> {
        let mut request = self.head().and_then(Request::parse)?;
        (request.body, request.trailers) = self.body(request.framing)?;
        Ok(request)
    }

    /// Reads the head of a request and leaves its body unread.
    ///
    /// # Panics
    /// When none comes.
    pub fn request_head(&mut self) -> Request {
        self.try_request_head().unwrap_or_else(|e| self.give_up(&e))
    }

    /// Reads the head of a request and leaves its body unread.
    pub fn try_request_head(&mut self) -> Result<Request, Broken> {
        self.head().and_then(Request::parse)
    }

    /// Reads a body of this framing: its content, and the trailer fields.
    pub fn body(&mut self, framing: Framing) -> Result<(Vec<u8>, Fields), Broken> {
        let mut content = Vec::new();
        let trailers = self.body_into(framing, &mut |piece| content.extend_from_slice(piece))?;
        Ok((content, trailers))
    }

    /// Hands a body of this framing to `sink` piece by piece; answers the trailer fields.
    pub fn body_into(&mut self, framing: Framing, sink: &mut dyn FnMut(&[u8])) -> Result<Fields, Broken> {
        match framing {
            Framing::None => {}
            Framing::Length(length) => self.run(length, sink)?,
            Framing::Chunked => return self.chunks(sink),
            Framing::UntilClose => {
                sink(&std::mem::take(&mut self.pending));
                while self.fill()? {
                    sink(&std::mem::take(&mut self.pending));
                }
            }
        }
        Ok(Fields::default())
    }

    /// Reads the content of one chunk of a chunked body.
    pub fn chunk(&mut self) -> Result<Vec<u8>, Broken> {
        let line = self.through(b"\r\n")?;
        let size = chunk_size(line.strip_suffix(b"\r\n").unwrap_or(&line))?;
        let mut content = Vec::new();
        self.run(size, &mut |piece| content.extend_from_slice(piece))?;
        if size > 0 && self.exactly(2)? != b"\r\n" {
            return malformed("a chunk's data does not end in CRLF".to_owned());
        }
        Ok(content)
    }

    /// Reads exactly so many bytes, whatever they mean.
    pub fn exactly(&mut self, len: usize) -> Result<Vec<u8>, Broken> {
        while self.pending.len() < len {
            if !self.fill()? {
                return Err(Broken::Truncated);
            }
        }
        Ok(self.pending.drain(..len).collect())
    }

    /// Reads until the connection ends: what still came, and whether it ended by a reset.
    ///
    /// # Panics
    /// When it does not end.
    pub fn rest(&mut self) -> (Vec<u8>, bool) {
        loop {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return (std::mem::take(&mut self.pending), false),
                Err(Broken::Reset) => return (std::mem::take(&mut self.pending), true),
                Err(e) => self.give_up(&e),
            }
        }
    }

    /// Expects that the other end closes, or resets, without another byte.
    ///
    /// # Panics
    /// When something else happens.
    pub fn expect_end(&mut self) {
        let (rest, _) = self.rest();
        assert!(rest.is_empty(), "bytes came before the end: {:?}", String::from_utf8_lossy(&rest));
    }

    /// Whether the other end has neither sent anything unread nor closed, as far as can be seen now.
    ///
    /// # Panics
    /// When the socket is broken.
    pub fn is_quiet(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("a socket can be made non-blocking");
        let looked = self.stream.peek(&mut [0; 1]);
        self.stream.set_nonblocking(false).expect("a socket can be made blocking");
        self.pending.is_empty() && looked.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether nothing comes and nobody closes for `time`.
    ///
    /// # Panics
    /// When the socket is broken.
    pub fn stays_quiet(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let looked = loop {
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).expect("a deadline above zero is accepted");
            match self.stream.peek(&mut [0; 1]) {
                // As after the process was stopped for a while, whatever handles its signals.
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                looked => break looked,
            }
        };
        self.stream.set_read_timeout(Some(DEADLINE)).expect("a deadline above zero is accepted");
        self.pending.is_empty() && looked.is_err_and(|e| is_timeout(&e))
    }

    /// Says that nothing more will be sent (FIN), and goes on reading.
    ///
    /// # Panics
    /// When the connection is broken already.
    pub fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("an open connection can be half closed");
    }

    /// Waits for bytes; `false` when the other end has closed or broken the connection, or its [`Wire::second_handle`]
    /// was shut.
    pub(crate) fn has_more(&self) -> bool {
        let waited = |e: &io::Error| is_timeout(e) || e.kind() == io::ErrorKind::Interrupted;
        loop {
            match self.stream.peek(&mut [0; 1]) {
                Ok(bytes) => return bytes > 0 || !self.pending.is_empty(),
                Err(e) if waited(&e) => {}
                Err(_) => return false,
            }
        }
    }

    /// Whether the other end has said that it sends no more, or broken the connection, whatever lies unread before that.
    pub(crate) fn has_ended(&self) -> bool {
        ended(&self.stream)
    }

    /// Ends the connection by a reset (RST).
    ///
    /// # Panics
    /// When the socket does not take SO_LINGER.
    pub fn reset(self) {
        self.reset_on_close();
    }

    /// Has the connection end in a reset (RST) when its last handle is dropped.
    pub(crate) fn reset_on_close(&self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a socket takes SO_LINGER");
    }

    /// Ends the connection, by a reset or in good order, and waits until the other end's kernel knows it, which loopback
    /// on a busy machine does not do at once.
    ///
    /// # Panics
    /// When it never learns it.
    pub fn end_and_arrive(self, by_reset: bool) {
        let (here, there) =
            (self.local_addr(), self.stream.peer_addr().expect("a connected socket has a peer"));
        if by_reset {
            self.reset();
        } else {
            drop(self);
        }
        eventually("the other end has learnt of the close", || !is_established(there, here));
    }

    /// Lets this end's kernel hold only about so many bytes that are sent and not yet taken.
    ///
    /// # Panics
    /// When the socket does not take SO_SNDBUF.
    pub fn narrow_sending(&mut self, bytes: usize) {
        SockRef::from(&self.stream).set_send_buffer_size(bytes).expect("a socket takes SO_SNDBUF");
    }

    /// Reads one whole answer, interim ones included, to a HEAD or to something else.
    pub fn try_answer(&mut self, to_head: bool) -> Result<Response, Broken> {
        let mut response = self.head().and_then(|head| Response::parse(head, to_head))?;
        (response.body, response.trailers) = self.body(response.framing)?;
        Ok(response)
    }

    fn head(&mut self) -> Result<Vec<u8>, Broken> {
        if self.pending.is_empty() && !self.fill()? {
            return Err(Broken::Closed);
        }
        self.through(b"\r\n\r\n")
    }

    fn chunks(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<Fields, Broken> {
        loop {
            let content = self.chunk()?;
            if content.is_empty() {
                break;
            }
            sink(&content);
        }
        let mut section = self.through(b"\r\n")?;
        while section != b"\r\n" && !section.ends_with(b"\r\n\r\n") {
            section.append(&mut self.through(b"\r\n")?);
        }
        parse_fields(&section)
    }

    /// Passes on `len` bytes of content.
    fn run(&mut self, len: u64, sink: &mut dyn FnMut(&[u8])) -> Result<(), Broken> {
        let mut left = len;
        while left > 0 {
            if self.pending.is_empty() && !self.fill()? {
                return Err(Broken::Truncated);
            }
            let now = usize::try_from(left).map_or(self.pending.len(), |left| left.min(self.pending.len()));
            sink(&self.pending[..now]);
            self.pending.drain(..now);
            left -= now as u64;
        }
        Ok(())
    }

    /// Everything up to and with `mark`.
    fn through(&mut self, mark: &[u8]) -> Result<Vec<u8>, Broken> {
        loop {
            if let Some(at) = self.pending.windows(mark.len()).position(|window| window == mark) {
                return Ok(self.pending.drain(..at + mark.len()).collect());
            }
            if !self.fill()? {
                return Err(Broken::Truncated);
            }
        }
    }

    /// Takes in what has come; `false` when the other end has closed.
    fn fill(&mut self) -> Result<bool, Broken> {
        let started = Instant::now();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(read) => {
                    self.pending.extend_from_slice(&buffer[..read]);
                    let room = RECORDED_BYTES.saturating_sub(self.received.len()).min(read);
                    self.received.extend_from_slice(&buffer[..room]);
                    return Ok(true);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted && started.elapsed() < DEADLINE => {}
                Err(e) if is_timeout(&e) => return Err(Broken::TimedOut),
                Err(_) => return Err(Broken::Reset),
            }
        }
    }

    fn give_up(&self, why: &Broken) -> ! {
        panic!("{why}; unread: {:?}", String::from_utf8_lossy(&self.pending))
    }
}

/// Whether the other end has closed or broken a connection, whatever lies unread before that.
pub(crate) fn ended(stream: &TcpStream) -> bool {
    let mut asked = [PollFd::new(stream, PollFlags::RDHUP)];
    let ready = poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    ready.is_ok_and(|ready| ready > 0)
}

/// Whether this machine has a socket from `local` to `remote` in the state ESTABLISHED, by `/proc/net/tcp`; IPv4 only.
fn is_established(local: SocketAddr, remote: SocketAddr) -> bool {
    let written = |addr: SocketAddr| match addr {
        SocketAddr::V4(addr) => format!("{:08X}:{:04X}", u32::from_ne_bytes(addr.ip().octets()), addr.port()),
        SocketAddr::V6(_) => String::new(),
    };
    let wanted = format!(" {} {} 01 ", written(local), written(remote));
    std::fs::read_to_string("/proc/net/tcp").is_ok_and(|table| table.contains(&wanted))
}

fn is_timeout(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
