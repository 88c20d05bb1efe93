//! The users of the shop: a bounded load that checks every answer it gets.
//!
//! Users share keep-alive connections, as they would behind a gateway; each user belongs to one connection, so that
//! what happens to a user has an order. Connections take turns at a fixed pace, and every user is asked for once in
//! each round.

mod page;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::StatusCode;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HeaderMap, SERVER};
use hyper_util::rt::TokioIo;
use telemetry::SnapshotCell;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at, timeout};
use traffic_split::Arm;

use super::ledger::{Answer, Expected, Ledger, Tally, user_id};
use super::shop;
use page::Page;

/// Requests in a second, all users together.
pub(super) const REQUESTS_PER_S: u32 = 1500;
/// Keep-alive connections: so many that nobody waits for another user's answer, even where each takes some 50 ms.
const CONNECTIONS: u32 = 96;
/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where the proxy says how an answer came about, and its words when old answered in new's place.
const PROXY_STATUS: &str = "proxy-status";
const STOOD_IN: &str = "answered by old";
/// No answer of the shop is longer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The users at work. Sent home by [`Crowd::leave`].
#[derive(Debug)]
pub(super) struct Crowd {
    ledger: Arc<Mutex<Ledger>>,
    both_fail: Arc<AtomicBool>,
    leaving: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// Where the users go, and what tells which arm they belong to.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    /// Where the proxy accepts clients.
    pub(super) proxy: SocketAddr,
    /// The migration's name.
    pub(super) migration: &'static str,
    /// The configuration in force.
    pub(super) snapshots: Arc<SnapshotCell>,
}

impl Crowd {
    /// Sends `users` users to the shop, on a thread of their own.
    ///
    /// # Errors
    /// When no thread can be made.
    pub(super) fn arrive(destination: &Destination, users: u32) -> io::Result<Crowd> {
        let ledger = Arc::new(Mutex::new(Ledger::new(users as usize)));
        let both_fail = Arc::new(AtomicBool::new(false));
        let (leaving, left) = watch::channel(false);
        let lanes = CONNECTIONS.min(users);
        let lanes: Vec<Lane> = (0..lanes)
            .map(|first| Lane {
                users: (first..users).step_by(lanes as usize).map(|user| user as usize).collect(),
                pause: Duration::from_secs(1) * lanes / REQUESTS_PER_S,
                delay: Duration::from_secs(1) * first / REQUESTS_PER_S,
                destination: destination.clone(),
                ledger: Arc::clone(&ledger),
                both_fail: Arc::clone(&both_fail),
                connection: None,
            })
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let walk = async move {
            let mut all: JoinSet<()> = lanes.into_iter().map(|lane| lane.walk(left.clone())).collect();
            while all.join_next().await.is_some() {}
        };
        let thread =
            std::thread::Builder::new().name("users".to_owned()).spawn(move || runtime.block_on(walk))?;
        Ok(Crowd { ledger, both_fail, leaving, thread })
    }

    /// What they saw so far.
    pub(super) fn tally(&self) -> Tally {
        lock(&self.ledger).tally().clone()
    }

    /// From now on it counts anew which users were answered.
    pub(super) fn begin_round(&self) {
        lock(&self.ledger).begin_round();
    }

    /// Both shops are made to fail, or are not any more. To be said before the first and after the last of them is: what
    /// fails meanwhile is counted apart.
    pub(super) fn expect_failures_of_both(&self, expected: bool) {
        self.both_fail.store(expected, Ordering::SeqCst);
    }

    /// Lets everybody finish the request under way and go; what they saw in all.
    pub(super) fn leave(self) -> Tally {
        self.leaving.send_replace(true);
        // A panic of that thread has been shown by now; what was counted until then still holds.
        let _ = self.thread.join();
        lock(&self.ledger).tally().clone()
    }
}

/// Users who share a connection.
struct Lane {
    users: Vec<usize>,
    /// From one request to the next.
    pause: Duration,
    /// Until the first, so that lanes take turns.
    delay: Duration,
    destination: Destination,
    ledger: Arc<Mutex<Ledger>>,
    both_fail: Arc<AtomicBool>,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Lane {
    async fn walk(mut self, mut left: watch::Receiver<bool>) {
        let mut turns = interval_at(tokio::time::Instant::now() + self.delay, self.pause);
        // Slow answers make the load smaller, never a burst.
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut taste = fastrand::Rng::with_seed(self.users.first().map_or(0, |&first| first as u64));
        let users = std::mem::take(&mut self.users);
        for &user in users.iter().cycle() {
            let stays = tokio::select! {
                _ = left.wait_for(|&left| left) => false,
                _ = turns.tick() => true,
            };
            if !stays {
                return;
            }
            self.visit(user, Page::any(&mut taste)).await;
        }
    }

    /// One request of one user, and what came of it.
    async fn visit(&mut self, user: usize, page: Page) {
        let key = user_id(user);
        let began = Instant::now();
        let before = self.expected(&key);
        let both_failed = self.both_fail.load(Ordering::SeqCst);
        let answer = timeout(PATIENCE, self.ask(&key, page)).await.ok().flatten();
        let after = self.expected(&key);
        let mut ledger = lock(&self.ledger);
        if let Some((arm, stood_in)) = answer {
            ledger.answered(&Answer { user, arm, stood_in, took: began.elapsed(), before, after });
        } else {
            self.connection = None;
            let both_failed = both_failed || self.both_fail.load(Ordering::SeqCst);
            ledger.failed(after.or(before).map_or(Arm::Old, |expected| expected.arm), both_failed);
        }
    }

    /// The shop that gave a right answer, if one did, and whether it gave it in the other's place.
    async fn ask(&mut self, key: &str, page: Page) -> Option<(Arm, bool)> {
        let request = page.request(&self.destination.proxy.to_string(), key)?;
        let answer = self.connection().await?.send_request(request).await.ok()?;
        let status = answer.status();
        let server = answer.headers().get(SERVER)?;
        let arm = Arm::ALL.into_iter().find(|&arm| server == shop::server_name(arm))?;
        let stood_in = stood_in(answer.headers());
        let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await.ok()?;
        (status == StatusCode::OK && page.is_answered_by(&body.to_bytes())).then_some((arm, stood_in))
    }

    /// The connection to the proxy: the one that there is, or a new one.
    async fn connection(&mut self) -> Option<&mut SendRequest<Full<Bytes>>> {
        let usable = match &mut self.connection {
            Some(connection) => connection.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            let stream = TcpStream::connect(self.destination.proxy).await.ok()?;
            stream.set_nodelay(true).ok()?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
            // Ends with its sender; what goes wrong on it is seen there.
            tokio::spawn(connection);
            self.connection = Some(sender);
        }
        self.connection.as_mut()
    }

    fn expected(&self, key: &str) -> Option<Expected> {
        Expected::now(&self.destination.snapshots, self.destination.migration, key)
    }
}

fn stood_in(headers: &HeaderMap) -> bool {
    let said = headers.get(PROXY_STATUS).and_then(|value| value.to_str().ok());
    said.is_some_and(|said| said.contains(STOOD_IN))
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    // Every booking leaves the sums whole.
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
