//! One client connection: wait for a request, carry it, and again.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use crate::admit::{Refusal, admit};
use crate::alarm::Alarm;
use crate::buffer::Buffer;
use crate::entry::{self, Open};
use crate::exchange::H1Exchange;
use crate::rewrite::Problem;
use crate::scratch::ScratchLease;
use crate::transfer::poll_read;
use crate::view::View;
use crate::worker::{Site, Worker};

/// How long a connection that we end is still read from, so that our last answer is not lost to a reset: while
/// something comes, up to this in all.
const LINGER_MS: u64 = 30_000;
/// And without a byte up to this.
const LINGER_IDLE_MS: u64 = 5_000;
/// The same for a client that was refused, which has no more patience coming.
const REFUSED_MS: u64 = 1_000;
/// And as much as is read from it then.
const REFUSED_BYTES: usize = 256 * 1024;
/// How long a client may take to read why its request was refused.
const REFUSAL_MS: u64 = 5_000;

/// What becomes of the client's connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It may send another request.
    Again,
    /// It is closed; everything it sent was read.
    Close,
    /// It is closed while it may still be sending, having got its answer early.
    Linger,
    /// It is closed because what it sent is not to be trusted; what it still sends is of no interest.
    Refuse,
    /// It is reset, so that what it got so far cannot pass for complete.
    Abort,
}

/// A client connection. Idle, it holds nothing but its socket and its alarm.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) alarm: Alarm,
    pub(crate) worker: Rc<Worker>,
    /// What was received behind the last request.
    pub(crate) pending: Option<Buffer>,
    peer: IpAddr,
    /// It has been read from, or been given the time to send something: while draining it may go.
    served: bool,
    /// Requests that it has carried.
    requests: u32,
    /// On the worker's clock.
    born_ms: u64,
    open: Open,
}

/// A request whose head is complete and valid.
struct Arrived {
    scratch: ScratchLease,
    head: Buffer,
    view: Rc<View>,
}

/// Serves one client until either side ends the connection.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn keeps what it is given twice, for as long as it lives"
)]
pub(crate) fn serve(mut client: Client) -> impl Future<Output = ()> {
    async move {
        let next = loop {
            let next = match client.next_request().await {
                Ok(Some(arrived)) => client.carry(arrived).await,
                Ok(None) => break Next::Close,
                Err(refusal) => Box::pin(client.refuse(refusal)).await,
            };
            if next != Next::Again {
                break next;
            }
        };
        client.end(next).await;
    }
}

impl Client {
    pub(crate) fn new(open: Open, stream: TcpStream, peer: SocketAddr) -> Client {
        let worker = open.entry().worker.clone();
        let peer = peer.ip().to_canonical();
        let worker_born_ms = worker.alarms.now_ms();
        Client {
            stream,
            alarm: worker.alarms.alarm(),
            worker,
            pending: None,
            peer,
            served: false,
            requests: 0,
            born_ms: worker_born_ms,
            open,
        }
    }

    /// Whether it has carried as much, or for as long, as one connection may: it ends after the request under way.
    pub(crate) fn is_worn(&self) -> bool {
        let limits = self.worker.patience();
        u64::from(self.requests) >= limits.requests_per_connection
            || self.worker.alarms.now_ms().saturating_sub(self.born_ms) >= limits.lifetime_ms
    }

    async fn end(&mut self, next: Next) {
        match next {
            Next::Linger => Box::pin(self.linger(LINGER_MS, usize::MAX)).await,
            Next::Refuse => Box::pin(self.linger(REFUSED_MS, REFUSED_BYTES)).await,
            Next::Abort => {
                // A failure to set the option means that the connection is gone, which is what is wanted.
                drop(self.stream.set_zero_linger());
            }
            Next::Again | Next::Close => {}
        }
    }

    /// Waits for the head of the next request. `None`: the connection ended between requests.
    async fn next_request(&mut self) -> Result<Option<Arrived>, Refusal> {
        let mut started = self.pending.is_some();
        let limits = self.worker.patience();
        self.alarm.set(if started { limits.header_timeout_ms } else { limits.idle_timeout_ms }, None);
        let mut scratch = None;
        poll_fn(|cx| self.poll_request(cx, &mut scratch, &mut started)).await
    }

    fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Option<ScratchLease>,
        started: &mut bool,
    ) -> Poll<Result<Option<Arrived>, Refusal>> {
        loop {
            if let Some(head) = self.pending.take() {
                let view = self.worker.view();
                let mut lease = scratch.take().unwrap_or_else(|| self.worker.scratches.take());
                if lease.request.parse(head.filled(), &view.limits).map_err(Refusal::Malformed)? {
                    return Poll::Ready(Ok(Some(Arrived { scratch: lease, head, view })));
                }
                self.pending = Some(head);
                *scratch = Some(lease);
            }
            if self.alarm.expired(cx) {
                return Poll::Ready(if *started { Err(Refusal::HeadTooSlow) } else { Ok(None) });
            }
            let mut buffer = match self.pending.take() {
                None => self.worker.buffers.take(),
                Some(part) if part.is_pooled() => Buffer::kept(part.filled()),
                Some(part) => part,
            };
            buffer.grow();
            let read = poll_read(cx, &mut self.stream, &mut buffer);
            if !buffer.is_empty() {
                self.pending = Some(buffer);
            }
            let read = match read {
                Poll::Pending if self.worker.is_draining() && !*started => {
                    if self.served {
                        return Poll::Ready(Ok(None));
                    }
                    // It was accepted a moment ago: what it has sent may not have been told to us yet.
                    self.served = true;
                    self.alarm.set(0, None);
                    if self.alarm.expired(cx) {
                        return Poll::Ready(Ok(None));
                    }
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(read) => read,
            };
            match read {
                Ok(count) if count > 0 => {
                    self.served = true;
                    self.worker.cells.bytes_in.add(count as u64);
                    if !*started {
                        *started = true;
                        self.alarm.set(self.worker.patience().header_timeout_ms, None);
                    }
                }
                _ => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// Admits one request and carries it through.
    async fn carry(&mut self, arrived: Arrived) -> Next {
        let Arrived { mut scratch, head, view } = arrived;
        let site = Site { worker: self.worker.clone(), view };
        let bytes = head.filled().get(..scratch.request.head_len()).unwrap_or_default();
        let admitted =
            admit(&mut scratch, bytes, self.peer, &site.view.snapshot, &mut || site.worker.random());
        if let Err(refusal) = admitted {
            return Box::pin(self.refuse(refusal)).await;
        }
        if site.worker.access_log.enabled() {
            scratch.logged.extend_from_slice(bytes);
        }
        site.worker.cells.requests_started.inc();
        self.requests = self.requests.saturating_add(1);
        let Some(under_way) = self.open.entry().begin() else {
            return Box::pin(self.shed(scratch, head)).await;
        };
        scratch.legs.under_way = Some(under_way);
        scratch.legs.head = Some(head);
        let exchange = H1Exchange::new(self, site.clone(), scratch);
        migration_glue::carry(&site.view.snapshot, &site, exchange).await
    }

    /// Tells the client to come again: there are as many requests under way as there may be.
    async fn shed(&mut self, scratch: ScratchLease, mut head: Buffer) -> Next {
        const REASON: &str = "overloaded";
        self.worker.cells.refused(REASON);
        self.worker.log_refused(self.peer, 503, REASON);
        let request = &scratch.request;
        let whole = request.framing() == http1_codec::Framing::None;
        let close = !whole || !request.keep_alive() || self.worker.is_draining();
        let mut out = Vec::new();
        let detail = "as many requests are under way as there may be at the moment";
        let problem = entry::busy(detail, close);
        let problem = Problem { request_id: &scratch.request_id, head_only: request.is_head(), ..problem };
        problem.write(&mut out);
        head.consume(request.head_len());
        if whole && !head.is_empty() {
            self.pending = Some(Buffer::kept(head.filled()));
        }
        drop(head);
        self.alarm.set(REFUSAL_MS, None);
        match (self.send(&out).await, close) {
            (true, false) => Next::Again,
            (true, true) if !whole => Next::Refuse,
            _ => Next::Close,
        }
    }

    /// Answers a request that is not carried at all, and ends the connection: what follows cannot be trusted.
    async fn refuse(&mut self, refusal: Refusal) -> Next {
        self.worker.cells.refused(refusal.reason());
        self.worker.log_refused(self.peer, refusal.status(), refusal.reason());
        self.pending = None;
        let detail = refusal.detail();
        let mut out = Vec::new();
        Problem {
            status: refusal.status(),
            reason: refusal.reason(),
            detail: &detail,
            request_id: b"",
            proxy_status: None,
            retry_after_s: None,
            head_only: false,
            close: true,
        }
        .write(&mut out);
        self.alarm.set(REFUSAL_MS, None);
        self.send(&out).await;
        Next::Refuse
    }

    /// Sends all of `bytes`; `false` when the client is gone or does not read in time.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        let mut sent = 0;
        poll_fn(|cx| {
            while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
                if self.alarm.expired(cx) {
                    return Poll::Ready(false);
                }
                match ready!(Pin::new(&mut self.stream).poll_write(cx, rest)) {
                    Ok(count) if count > 0 => {
                        sent += count;
                        self.worker.cells.bytes_out.add(count as u64);
                    }
                    _ => return Poll::Ready(false),
                }
            }
            Poll::Ready(true)
        })
        .await
    }

    /// Says that nothing more comes, and reads what the client still sends (RFC 9112 9.6).
    async fn linger(&mut self, most_ms: u64, most_bytes: usize) {
        let until_ms = self.alarm.deadline(most_ms);
        let mut read = 0;
        self.alarm.set(LINGER_IDLE_MS, Some(until_ms));
        poll_fn(|cx| {
            if ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
            while read < most_bytes && !self.alarm.expired(cx) && !self.worker.is_stopping() {
                let mut buffer = self.worker.buffers.take();
                match ready!(poll_read(cx, &mut self.stream, &mut buffer)) {
                    Ok(count) if count > 0 => {
                        read = read.saturating_add(count);
                        self.alarm.set(LINGER_IDLE_MS, Some(until_ms));
                    }
                    _ => break,
                }
            }
            Poll::Ready(())
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An idle connection costs this, its alarm and what the runtime keeps for its socket and its task.
    #[test]
    fn the_task_of_a_connection_is_small() {
        fn size_of_future<F>(_: fn(Client) -> F) -> usize {
            size_of::<F>()
        }
        let bytes = size_of_future(serve);
        assert!(bytes <= 1_280, "{bytes} bytes: move what is large into the scratch");
    }
}
