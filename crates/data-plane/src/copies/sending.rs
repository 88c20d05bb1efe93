//! One copy: a connection, the request, the whole answer; all of it within its deadline.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use route_plan::{Captured, CapturedBody, Failure, NotCopied};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::capture::{Capture, Held};
use super::job::{CopyLimits, Message};
use super::lane::Lane;
use super::reading::Reading;
use crate::buffer::BufferPool;
use crate::descriptors::is_out_of_descriptors;
use crate::transfer::poll_read;
use crate::upstream::{Connection, Full, Member, Tried, UpstreamPool};

/// What became of a copy.
pub(crate) struct Outcome {
    /// Somebody was asked, so that it says something of the arm.
    pub(crate) is_attempt: bool,
    pub(crate) status: Option<u16>,
    pub(crate) to_head: Duration,
    pub(crate) total: Duration,
    pub(crate) failure: Option<Failure>,
    /// The answer, with the memory that it takes.
    pub(crate) answer: Result<(Captured, Held), NotCopied>,
}

impl Outcome {
    /// No whole answer came, or none that could be read.
    pub(crate) fn failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Nobody was asked.
    pub(crate) fn not_sent(why: NotCopied) -> Outcome {
        let nothing = Duration::ZERO;
        let (status, failure) = (None, None);
        Outcome { is_attempt: false, status, to_head: nothing, total: nothing, failure, answer: Err(why) }
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// Nobody was asked.
    NotSent(NotCopied),
    /// The arm failed.
    Failed(Failure),
    /// What came of the answer could not be kept.
    Lost(NotCopied),
}

impl Lane {
    /// Sends a copy to an upstream. It may take until its deadline, which counts from `since`.
    pub(super) async fn send(
        &self,
        pool: &UpstreamPool,
        message: &mut Message,
        limits: CopyLimits,
        since: Instant,
    ) -> Outcome {
        let began = Instant::now();
        let deadline = since + Duration::from_millis(u64::from(limits.deadline_ms));
        let capture = Capture::of_answer(limits.capture_bytes, Held::nothing(self.cells()));
        let mut exchange = Exchange {
            reading: Reading::new(message.is_head(), capture),
            sent: 0,
            gave_up: false,
            head_at: None,
            member: None,
        };
        let attempt = self.attempt(pool, message, limits, &mut exchange);
        let ended = match tokio::time::timeout_at(deadline.into(), attempt).await {
            Ok(ended) => ended,
            // One whose head is there may be a stream that never ends: nobody's failure.
            Err(_) if exchange.head_at.is_some() => Err(Trouble::Lost(NotCopied::Slow)),
            Err(_) => {
                exchange.note(self, pool, true);
                Err(Trouble::Failed(Failure::TotalTimeout))
            }
        };
        let now = Instant::now();
        let to_head = exchange.head_at.unwrap_or(now).saturating_duration_since(began);
        let (total, status) = (now.saturating_duration_since(began), exchange.reading.status());
        let failure = match ended {
            Err(Trouble::Failed(failure)) => Some(failure),
            Ok(()) | Err(Trouble::NotSent(_) | Trouble::Lost(_)) => None,
        };
        let is_attempt = !matches!(ended, Err(Trouble::NotSent(_)));
        let answer = match ended {
            Ok(()) => whole(exchange.reading, to_head),
            Err(Trouble::Failed(Failure::TotalTimeout)) => Err(NotCopied::Slow),
            Err(Trouble::Failed(_)) => Err(NotCopied::Failed),
            Err(Trouble::NotSent(why) | Trouble::Lost(why)) => Err(why),
        };
        Outcome { is_attempt, status, to_head, total, failure, answer }
    }

    async fn attempt(
        &self,
        pool: &UpstreamPool,
        message: &mut Message,
        limits: CopyLimits,
        exchange: &mut Exchange,
    ) -> Result<(), Trouble> {
        let _ticket = pool.usage.admit().map_err(|Full| Trouble::NotSent(NotCopied::Concurrency))?;
        let mut fresh_only = false;
        loop {
            let mut connection = self.connect(pool, message, limits, fresh_only).await?;
            let member = connection.home();
            message.name(&member.endpoint.authority);
            exchange.member = Some(member);
            exchange.sent = 0;
            let wire = message.wire();
            let buffers = self.buffers();
            let ended = poll_fn(|cx| exchange.poll(cx, &mut connection.stream, wire, buffers)).await;
            match ended {
                Err(Trouble::Failed(Failure::Closed))
                    if connection.reused && message.is_repeatable && !exchange.reading.has_begun() =>
                {
                    self.cells().connections.upstream_stale.inc();
                    (fresh_only, exchange.gave_up) = (true, false);
                }
                Ok(()) => {
                    let is_gateway_error = matches!(exchange.reading.status(), Some(502..=504));
                    exchange.note(self, pool, is_gateway_error);
                    if exchange.sent == wire.len() && exchange.reading.is_reusable() {
                        connection.release(self.now_ms());
                    }
                    return Ok(());
                }
                Err(trouble) => {
                    exchange.note(self, pool, matches!(trouble, Trouble::Failed(_)));
                    return Err(trouble);
                }
            }
        }
    }

    /// Takes an idle connection or opens one.
    async fn connect(
        &self,
        pool: &UpstreamPool,
        message: &Message,
        limits: CopyLimits,
        fresh_only: bool,
    ) -> Result<Connection, Trouble> {
        let now_ms = self.now_ms();
        let chosen = pool.choose(now_ms, &mut Tried::default(), false, |below| self.random_below(below));
        let Some(member) = chosen else { return Err(Trouble::NotSent(NotCopied::TargetDown)) };
        if !fresh_only && let Some(idle) = member.take_idle(!message.is_repeatable, now_ms) {
            self.cells().connections.upstream_reuses.inc();
            return Ok(idle);
        }
        if !pool.usage.has_room() && !pool.members.iter().any(|other| other.close_one()) {
            return Err(Trouble::NotSent(NotCopied::Concurrency));
        }
        let opening = member.begin();
        let patience = Duration::from_millis(u64::from(limits.connect_ms));
        let connected = match timeout(patience, opening.connect()).await {
            Ok(connected) => connected,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        match connected {
            Ok(stream) => Ok(opening.succeeded(stream, self.now_ms())),
            Err(error) if is_out_of_descriptors(&error) => {
                // Those that it has are better used for users.
                self.free_descriptors();
                Err(Trouble::NotSent(NotCopied::Failed))
            }
            Err(error) => {
                if pool.note(&member, true, self.now_ms()) {
                    self.cells().connections.upstream_ejections.inc();
                }
                let is_late = error.kind() == io::ErrorKind::TimedOut;
                Err(Trouble::Failed(if is_late { Failure::ConnectTimeout } else { Failure::Connect }))
            }
        }
    }
}

/// The captured answer, if all that it takes could be kept.
fn whole(reading: Reading, to_head: Duration) -> Result<(Captured, Held), NotCopied> {
    let read = reading.finish();
    if let CapturedBody::Incomplete(why) = read.body {
        return Err(why);
    }
    let to_head_us = u64::try_from(to_head.as_micros()).unwrap_or(u64::MAX);
    let (status, headers, trailers, body) = (read.status, read.headers, read.trailers, read.body);
    Ok((Captured { status, headers, trailers, body, to_head_us }, read.held))
}

/// A request on its way out and its answer on the way in, over one connection after the other.
struct Exchange {
    reading: Reading,
    /// Bytes of the request that are sent.
    sent: usize,
    /// The upstream takes no more of it: what it answers still counts.
    gave_up: bool,
    head_at: Option<Instant>,
    member: Option<Rc<Member>>,
}

impl Exchange {
    /// Moves on as far as the connection lets it. Ready when the answer is whole, or will never be.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut TcpStream,
        wire: &[u8],
        buffers: &Rc<BufferPool>,
    ) -> Poll<Result<(), Trouble>> {
        while let Some(rest) = wire.get(self.sent..).filter(|rest| !rest.is_empty() && !self.gave_up) {
            match Pin::new(&mut *stream).poll_write(cx, rest) {
                Poll::Pending => break,
                Poll::Ready(Ok(count)) if count > 0 => self.sent += count,
                Poll::Ready(_) => self.gave_up = true,
            }
        }
        while !self.reading.is_done() {
            let mut buffer = buffers.take();
            match ready!(poll_read(cx, stream, &mut buffer)) {
                Ok(count) if count > 0 => {}
                Ok(_) if self.reading.eof().is_ok() => break,
                _ if self.reading.status().is_some() => {
                    return Poll::Ready(Err(Trouble::Failed(Failure::Truncated)));
                }
                _ => return Poll::Ready(Err(Trouble::Failed(Failure::Closed))),
            }
            if self.reading.take(buffer.filled()).is_err() {
                return Poll::Ready(Err(Trouble::Failed(Failure::BadAnswer)));
            }
            if self.reading.status().is_some() {
                self.head_at.get_or_insert_with(Instant::now);
            }
            if let Some(why) = self.reading.is_lost() {
                return Poll::Ready(Err(Trouble::Lost(why)));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The endpoint's record is kept by how attempts at it end.
    fn note(&self, lane: &Lane, pool: &UpstreamPool, failed: bool) {
        if let Some(member) = &self.member
            && pool.note(member, failed, lane.now_ms())
        {
            lane.cells().connections.upstream_ejections.inc();
        }
    }
}
