//! A load that does not wait: requests come when they are due, whether or not those before them are answered.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::DEADLINE;

/// A kept connection that was idle for so long is not used again: whoever is at its other end may be about to close it.
const STALE: Duration = Duration::from_secs(10);

/// So many requests are under way at most. More would only be new connections, which cost a machine that is behind already
/// so much that it never catches up.
const MOST_UNDER_WAY: usize = 512;

/// The nice value of the load's thread, where it may have that (root): it stands for users with machines of their own, and
/// what it waits for a processor is nothing that they would wait.
const NICE: i32 = -10;

/// A load of so many GETs a second, evenly spaced and each of a user of its own, until it is stopped.
///
/// A request goes out when it is due, over a kept connection that is free or a new one, and its time counts from then. So
/// whoever is slow to answer gets no fewer requests for it. Only when 512 are under way do others go out late, which
/// [`Asked::late`] shows.
#[derive(Debug)]
pub struct OpenLoad {
    counts: Arc<Counts>,
    thread: Option<JoinHandle<Vec<Asked>>>,
}

/// One request of an [`OpenLoad`], as its user saw it.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// When it was due.
    pub due: Instant,
    /// When it went out.
    pub sent: Instant,
    /// When its answer was there, or that none would come.
    pub done: Instant,
    /// The answer's status; `None` where the connection broke or nothing came in time.
    pub status: Option<u16>,
    /// Whether new answered it, or failed to: by `x-origin` and `Proxy-Status`. Where no answer came nobody knows.
    pub on_new: bool,
    /// Whether old answered what new had failed.
    pub covered: bool,
}

#[derive(Debug, Default)]
struct Counts {
    stop: AtomicBool,
    sent: AtomicU64,
    failed: AtomicU64,
}

impl Asked {
    /// Whether its user was failed: by the connection, or a status from 500 on.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.status.is_none_or(|status| status >= 500)
    }

    /// How long after it was due it went out: where that is long, the load was held up.
    #[must_use]
    pub fn late(&self) -> Duration {
        self.sent.saturating_duration_since(self.due)
    }

    /// How long its user waited.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.done.saturating_duration_since(self.due)
    }
}

impl OpenLoad {
    /// Begins to send `per_second` requests; the users' names begin with `name`.
    ///
    /// # Panics
    /// When no thread can be started.
    #[must_use]
    pub fn start(name: &str, per_second: u32, to: SocketAddr) -> Self {
        OpenLoad::start_at(NICE, name, per_second, to)
    }

    /// As [`OpenLoad::start`], with a thread of this nice value: above 0 for a load that is not what is measured.
    ///
    /// # Panics
    /// When no thread can be started.
    #[must_use]
    pub fn start_at(nice: i32, name: &str, per_second: u32, to: SocketAddr) -> Self {
        let counts = Arc::new(Counts::default());
        let work = {
            let (counts, name) = (Arc::clone(&counts), name.to_owned());
            move || {
                // Otherwise it stays as it is.
                let _ = rustix::process::setpriority_process(None, nice);
                let runtime = runtime::Builder::new_current_thread().enable_all().build();
                LocalSet::new()
                    .block_on(&runtime.expect("a runtime can be built"), send(&name, per_second, to, &counts))
            }
        };
        let thread =
            Builder::new().name("open-load".to_owned()).spawn(work).expect("a thread can be started");
        OpenLoad { counts, thread: Some(thread) }
    }

    /// How many requests went out.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.counts.sent.load(Ordering::SeqCst)
    }

    /// How many of their users were failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.counts.failed.load(Ordering::SeqCst)
    }

    /// Waits until so many more requests went out.
    ///
    /// # Panics
    /// When nothing goes out any more.
    pub fn go_on_for(&self, requests: u64) {
        let until = self.sent() + requests;
        let (mut before, mut moved) = (self.sent(), Instant::now());
        while before < until {
            std::thread::park_timeout(Duration::from_millis(1));
            let now = self.sent();
            if now > before {
                (before, moved) = (now, Instant::now());
            }
            assert!(moved.elapsed() < DEADLINE, "the load stands still at {now} requests");
        }
    }

    /// Sends no more, waits for the answers that are missing, and says how each request went.
    ///
    /// # Panics
    /// When the load did.
    #[must_use]
    pub fn stop(mut self) -> Vec<Asked> {
        self.counts.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.take().expect("a load is stopped once");
        thread.join().expect("a load reports instead of panicking")
    }
}

impl Drop for OpenLoad {
    fn drop(&mut self) {
        self.counts.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A timer to some microseconds: tokio's goes by whole milliseconds, and would send what came due in one all at once.
struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    #[allow(deprecated, reason = "the descriptor is owned, so nobody closes it while it is registered")]
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Alarm(AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)?))
    }

    async fn wait_until(&self, due: Instant) -> io::Result<()> {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            tokio::task::yield_now().await;
            return Ok(());
        }
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?,
        };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        let mut rang = [0; 8];
        let read = |fd: &OwnedFd| Ok(rustix::io::read(fd, &mut rang).map(drop)?);
        self.0.async_io(tokio::io::Interest::READABLE, read).await
    }
}

/// Connections that are free, those used last at the back.
type Free = Rc<RefCell<VecDeque<(TcpStream, Instant)>>>;

async fn send(name: &str, per_second: u32, to: SocketAddr, counts: &Arc<Counts>) -> Vec<Asked> {
    let (free, asked) = (Free::default(), Rc::new(RefCell::new(Vec::new())));
    let alarm = Alarm::new().expect("a timer can be made");
    let started = Instant::now();
    let mut number = 0;
    let mut under_way = tokio::task::JoinSet::new();
    while !counts.stop.load(Ordering::SeqCst) {
        let due = started + Duration::from_secs(1) * number / per_second;
        alarm.wait_until(due).await.expect("a timer can be set");
        let request = format!("GET /items HTTP/1.1\r\nhost: test\r\nx-user-id: {name}-{number}\r\n\r\n");
        let (free, asked, counts) = (Rc::clone(&free), Rc::clone(&asked), Arc::clone(counts));
        under_way.spawn_local(async move {
            let one = ask(request, due, to, &free, &counts).await;
            counts.failed.fetch_add(u64::from(one.failed()), Ordering::SeqCst);
            asked.borrow_mut().push(one);
        });
        number += 1;
        while under_way.try_join_next().is_some() {}
        if under_way.len() >= MOST_UNDER_WAY {
            under_way.join_next().await;
        }
    }
    while under_way.join_next().await.is_some() {}
    asked.take()
}

async fn ask(request: String, due: Instant, to: SocketAddr, free: &Free, counts: &Counts) -> Asked {
    let kept = free.borrow_mut().pop_back().filter(|(_, since)| since.elapsed() < STALE);
    let sent = Instant::now();
    counts.sent.fetch_add(1, Ordering::SeqCst);
    let exchange = timeout(DEADLINE, exchange(kept.map(|(stream, _)| stream), to, request.as_bytes())).await;
    let done = Instant::now();
    let mut asked = Asked { due, sent, done, status: None, on_new: false, covered: false };
    if let Ok(Ok((stream, answer))) = exchange {
        let blamed = answer.has("proxy-status:");
        asked.status = answer.status();
        asked.on_new = answer.has("x-origin: new") || blamed;
        asked.covered = blamed && answer.has("x-origin: old");
        if !answer.has("connection: close") {
            free.borrow_mut().push_back((stream, done));
        }
    }
    asked
}

/// The head of an answer, in small letters.
struct Head(String);

impl Head {
    fn status(&self) -> Option<u16> {
        self.0.get(9..12)?.parse().ok()
    }

    fn has(&self, start: &str) -> bool {
        self.0.lines().any(|line| line.starts_with(start))
    }

    fn content_length(&self) -> Option<usize> {
        self.0.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse().ok()
    }
}

async fn exchange(kept: Option<TcpStream>, to: SocketAddr, request: &[u8]) -> io::Result<(TcpStream, Head)> {
    let mut stream = match kept {
        Some(stream) => stream,
        None => TcpStream::connect(to).await?,
    };
    stream.set_nodelay(true)?;
    stream.write_all(request).await?;
    let mut received = Vec::with_capacity(1024);
    let (head, length) = loop {
        if stream.read_buf(&mut received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = Head(String::from_utf8_lossy(&received[..end]).to_ascii_lowercase());
            let content = head.content_length().ok_or(io::ErrorKind::InvalidData)?;
            break (head, end + 4 + content);
        }
    };
    while received.len() < length {
        if stream.read_buf(&mut received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((stream, head))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::OpenLoad;
    use crate::{Manner, Twins};

    #[test]
    fn requests_come_when_they_are_due() {
        let twins = Twins::start(Duration::from_millis(50));
        let load = OpenLoad::start("t", 400, twins.new.addr());
        load.go_on_for(100);
        twins.new.set(Manner::healthy(Duration::from_millis(50)).failing(1.0));
        load.go_on_for(100);
        twins.new.kill();
        load.go_on_for(100);
        let asked = load.stop();
        assert!(asked.iter().all(|one| one.on_new == one.status.is_some() && one.done >= one.sent));
        let [well, failed, broken] = [Some(200), Some(500), None]
            .map(|status| asked.iter().filter(|one| one.status == status).count());
        assert!(well > 50 && failed > 20 && broken > 50, "{well} {failed} {broken}");
        let mut due: Vec<_> = asked.iter().map(|one| one.due).collect();
        due.sort_unstable();
        assert!(due.windows(2).all(|two| two[1] - two[0] == Duration::from_micros(2500)));
        let slow = asked.iter().filter(|one| one.waited() > Duration::from_millis(20)).count();
        assert!(slow > well / 2, "{slow}");
    }
}
