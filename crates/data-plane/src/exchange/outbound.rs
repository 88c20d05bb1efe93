//! The first half, with a connection at hand: send the request, wait for the head of the answer.

use std::future::poll_fn;
use std::task::{Context, Poll};

use http1_codec::Framing;
use migration_glue::{Ledger, Stop};
use route_plan::{ConnectionLimits, Failure, Plan};
use traffic_split::Role;

use super::H1Exchange;
use crate::admit::Refusal;
use crate::buffer::Buffer;
use crate::rewrite::{self, RequestForm};
use crate::scratch::Watch;
use crate::transfer::{Broken, Moved, Outgoing, Transfer, poll_read};
use crate::upstream::{Connection, Member};
use crate::view::View;
use crate::worker::Site;

/// How long an answer may take until its client is watched, in milliseconds. Before that it is not worth its cost.
const WATCH_AFTER_MS: u32 = 100;

impl H1Exchange<'_> {
    /// Makes the request ready to be sent: its new head before what has arrived of its body.
    pub(super) fn begin(&mut self, plan: &Plan, ledger: &Ledger<Site>) -> Result<(), Stop> {
        let view = self.site.view.clone();
        if self.scratch.legs.head.is_none() && plan.role == Role::Fallback {
            return self.begin_by_old(plan);
        }
        let (keep, tee) = (self.keep_for(plan), self.tee_for_copy(plan));
        let home = self.scratch.legs.upstream.as_ref().map(Connection::home);
        let form = request_form(&view, home.as_deref(), plan);
        let mut buffer = match self.scratch.legs.head.take() {
            Some(received) => {
                rewrite::request_head(&mut self.scratch, received.filled(), form);
                received
            }
            // Sent before, on a connection that turned out to be closed; it has no body.
            None => {
                rewrite::repeat_head(&mut self.scratch, form);
                self.site.worker.buffers.take()
            }
        };
        buffer.consume(self.scratch.request.head_len());
        let framing = self.scratch.request.framing();
        let outgoing = if framing == Framing::Chunked { Outgoing::Chunked } else { Outgoing::Plain };
        let scratch = &mut *self.scratch;
        let transfer = scratch.legs.request.insert(Transfer::new(framing, outgoing, &view.limits));
        transfer.keep(keep);
        transfer.tee(tee);
        transfer.limit(view.snapshot.connection.body_bytes.unwrap_or(u64::MAX));
        let begun = transfer.begin(buffer, &scratch.sent);
        scratch.legs.request_given_up = false;
        let is_received = transfer.is_received();
        if let Err(broken) = begun {
            self.scratch.legs.refusal = refusal_of(&broken);
            return Err(Stop::Client);
        }
        if is_received && framing != Framing::None {
            self.start_failure_clock(ledger);
        }
        if is_received
            && self.scratch.legs.fallback_at_ms.is_none()
            && let Some(fallback) = &plan.fallback
        {
            self.start_fallback_clock(fallback);
        }
        self.keep_rest();
        Ok(())
    }

    /// The same for a request that new has had: from what was kept of it.
    fn begin_by_old(&mut self, plan: &Plan) -> Result<(), Stop> {
        let view = self.site.view.clone();
        let original = std::mem::take(&mut self.scratch.original);
        let home = self.scratch.legs.upstream.as_ref().map(Connection::home);
        let form = request_form(&view, home.as_deref(), plan);
        rewrite::request_head(&mut self.scratch, &original, form);
        self.scratch.original = original;
        let buffer = self.site.worker.buffers.take();
        let scratch = &mut *self.scratch;
        if let Some(transfer) = &mut scratch.legs.request {
            transfer.begin_again(buffer, &scratch.sent);
        }
        Ok(())
    }

    /// Whether a connection that closed without a byte of an answer leaves the request free to be sent again: it was
    /// an old connection, and the request is repeatable (RFC 9112 9.3.1).
    pub(super) fn may_repeat(&self) -> bool {
        let legs = &self.scratch.legs;
        let reused = legs.upstream.as_ref().is_some_and(|connection| connection.reused);
        reused && legs.incoming.is_none() && !legs.interim_seen && self.is_repeatable()
    }

    /// Whether the request does no harm when it is carried out twice (RFC 9110 9.2.2), and has no body to keep.
    pub(super) fn is_repeatable(&self) -> bool {
        self.scratch.facts.idempotent && self.scratch.request.framing() == Framing::None
    }

    /// Sends the request and waits for the head of its final answer; interim ones are passed on.
    pub(super) async fn await_answer(&mut self, plan: &Plan, ledger: &mut Ledger<Site>) -> Result<(), Stop> {
        self.set_patience(plan);
        loop {
            poll_fn(|cx| {
                let polled = self.poll_answer(cx, plan, ledger);
                // What there was of the request is on its way, and nobody waits.
                self.copy_when_due(plan);
                polled
            })
            .await?;
            if !self.scratch.response.is_interim() {
                break;
            }
            Box::pin(self.pass_interim(plan)).await?;
        }
        let status = self.scratch.response.status();
        let unasked = status == 101 && !self.upgrade_was_asked();
        if unasked {
            return Err(Stop::Failed(Failure::BadAnswer));
        }
        self.tell_head(plan, ledger);
        Ok(())
    }

    /// Tells, once, that the answer's head is there, and whether the answer is a failure.
    fn tell_head(&self, plan: &Plan, ledger: &mut Ledger<Site>) {
        if ledger.has_head() {
            return;
        }
        let (response, status) = (&self.scratch.response, self.scratch.response.status());
        match self.site.view.failures(plan) {
            None => ledger.head(status),
            Some(failures) => {
                let head = self.scratch.legs.incoming.as_ref().map(Buffer::filled).unwrap_or_default();
                let failure = failures.judge(status, |name, nth| response.find(head, name, nth));
                ledger.judged_head(status, failure);
            }
        }
    }

    /// While the body is under way either side may be slow for `idle`; then the upstream has `first_byte`. Where old can
    /// still get all of the body, new may not be slow to take it for longer than it may be to answer.
    fn patience_ms(&self, plan: &Plan) -> u32 {
        let (request, idle_ms) = (&self.scratch.legs.request, plan.timeouts.idle_ms);
        if self.awaits_upstream() {
            return plan.timeouts.first_byte_ms;
        }
        match plan.fallback.as_ref().filter(|fallback| fallback.replayable).zip(request.as_ref()) {
            Some((fallback, request)) if request.has_unsent() && request.is_kept() => {
                idle_ms.min(fallback.after_ms)
            }
            _ => idle_ms,
        }
    }

    /// It is the upstream's turn: the request is through, or its body waits for a `100 Continue` (RFC 9110 10.1.1).
    fn awaits_upstream(&self) -> bool {
        let legs = &self.scratch.legs;
        let nothing_sent = legs.request.as_ref().is_some_and(|request| request.content_bytes() == 0);
        let invited = !self.scratch.request.expects_continue() || legs.interim_seen;
        legs.request_done() || legs.request_given_up || (!invited && nothing_sent)
    }

    /// It is the client's turn: what it has sent of the body is through.
    fn awaits_client(&self) -> bool {
        let request = self.scratch.legs.request.as_ref();
        !self.awaits_upstream() && request.is_some_and(|request| !request.has_unsent())
    }

    fn set_patience(&mut self, plan: &Plan) {
        let patience_ms = self.patience_ms(plan);
        let unwatched = self.scratch.legs.watch == Watch::Later;
        self.set_alarm(if unwatched { patience_ms.min(WATCH_AFTER_MS) } else { patience_ms });
    }

    /// The alarm went off. The first time that may be only to begin to look out for the client.
    fn begin_to_watch(&mut self, plan: &Plan) -> bool {
        let patience_ms = self.patience_ms(plan);
        let begins = self.scratch.legs.watch == Watch::Later
            && patience_ms > WATCH_AFTER_MS
            && !self.total_reached()
            && !self.fallback_due();
        if begins {
            self.scratch.legs.watch = Watch::Now;
            self.set_alarm(patience_ms - WATCH_AFTER_MS);
        }
        begins
    }

    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        plan: &Plan,
        ledger: &mut Ledger<Site>,
    ) -> Poll<Result<(), Stop>> {
        if let Poll::Ready(stop) = self.poll_request(cx, plan, ledger) {
            return Poll::Ready(Err(stop));
        }
        // A stream of interim answers must not hide that the final one does not come.
        let awaits_head = self.scratch.response.head_len() == 0;
        if awaits_head
            && self.scratch.legs.interim_seen
            && self.client.alarm.expired(cx)
            && !self.note_hang(ledger)
            && !self.begin_to_watch(plan)
        {
            return Poll::Ready(Err(self.out_of_patience()));
        }
        loop {
            let held = if self.has_answer_head()? {
                if !self.holds_answer(plan).map_err(Stop::Failed)? {
                    return Poll::Ready(Ok(()));
                }
                self.tell_head(plan, ledger);
                true
            } else {
                false
            };
            let legs = &mut self.scratch.legs;
            let Some(upstream) = &mut legs.upstream else {
                return Poll::Ready(Err(Stop::Failed(Failure::Closed)));
            };
            let mut buffer = legs.incoming.take().unwrap_or_else(|| self.site.worker.buffers.take());
            let read = poll_read(cx, &mut upstream.stream, &mut buffer);
            if !buffer.is_empty() {
                legs.incoming = Some(buffer);
            }
            match read {
                Poll::Pending => break,
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => {
                    let failure = if held { Failure::Truncated } else { Failure::Closed };
                    return Poll::Ready(Err(Stop::Failed(failure)));
                }
            }
        }
        while self.client.alarm.expired(cx) {
            if !self.note_hang(ledger) && !self.begin_to_watch(plan) {
                return Poll::Ready(Err(self.out_of_patience()));
            }
        }
        if self.poll_client_gone(cx) { Poll::Ready(Err(Stop::Client)) } else { Poll::Pending }
    }

    /// Sends on what has arrived of the request. Ready only with a reason to stop.
    fn poll_request(&mut self, cx: &mut Context<'_>, plan: &Plan, ledger: &mut Ledger<Site>) -> Poll<Stop> {
        if !self.scratch.legs.request_under_way() {
            return Poll::Pending;
        }
        let legs = &mut self.scratch.legs;
        let (Some(request), Some(upstream)) = (&mut legs.request, &mut legs.upstream) else {
            return Poll::Pending;
        };
        let was_received = request.is_received();
        let mut moved = Moved::default();
        let buffers = &self.site.worker.buffers;
        let polled = request.poll(cx, &mut self.client.stream, &mut upstream.stream, buffers, &mut moved);
        self.site.worker.cells.bytes_in.add(moved.received);
        if !was_received && request.is_received() {
            self.request_arrived(plan, ledger);
        } else if moved.received > 0 {
            // From its first byte to its last the body is the client's time.
            legs.fallback_at_ms = None;
        }
        match polled {
            Poll::Ready(Ok(())) => {
                self.keep_rest();
                self.set_patience(plan);
            }
            Poll::Ready(Err(Broken::Sink)) => self.scratch.legs.request_given_up = true,
            Poll::Ready(Err(broken)) => {
                self.scratch.legs.refusal = refusal_of(&broken);
                return Poll::Ready(Stop::Client);
            }
            Poll::Pending if moved.any() => self.set_patience(plan),
            Poll::Pending => {}
        }
        if moved.received > 0 && !self.is_body_fast_enough(moved.received) {
            self.scratch.legs.refusal = Some(Refusal::BodyTooSlow);
            return Poll::Ready(Stop::Client);
        }
        Poll::Pending
    }

    /// Whether the request's body, of which `received` bytes have just come, arrives fast enough.
    pub(super) fn is_body_fast_enough(&mut self, received: u64) -> bool {
        let now_ms = self.site.worker.alarms.now_ms();
        let min_rate_bytes = self.site.view.snapshot.connection.min_rate_bytes;
        let legs = &mut self.scratch.legs;
        let Some(request) = &legs.request else { return true };
        if request.has_unsent() {
            // The upstream is the one that is waited for.
            legs.pace.rest();
            return true;
        }
        let period_ms = ConnectionLimits::RATE_PERIOD_MS;
        request.is_received() || legs.pace.note(received, min_rate_bytes, period_ms, now_ms)
    }

    fn has_answer_head(&mut self) -> Result<bool, Stop> {
        let scratch = &mut *self.scratch;
        let Some(incoming) = &mut scratch.legs.incoming else { return Ok(false) };
        let limits = &self.site.view.answer_limits;
        match scratch.response.parse(incoming.filled(), limits) {
            Ok(false) if incoming.space().is_empty() => Err(Stop::Failed(Failure::BadAnswer)),
            Ok(whole) => Ok(whole),
            Err(_) => Err(Stop::Failed(Failure::BadAnswer)),
        }
    }

    /// Who kept us waiting for too long.
    fn out_of_patience(&mut self) -> Stop {
        if self.awaits_client() {
            self.scratch.legs.refusal = Some(Refusal::BodyTooSlow);
            return Stop::Client;
        }
        Stop::Failed(match () {
            () if self.total_reached() => Failure::TotalTimeout,
            () if self.fallback_due() && self.scratch.response.head_len() > 0 => Failure::IdleTimeout,
            () if self.fallback_due() || self.awaits_upstream() => Failure::FirstByteTimeout,
            () => Failure::IdleTimeout,
        })
    }

    /// A client that resets its connection is gone. One that only ends its half may still read (RFC 9112 9.6).
    pub(super) fn poll_client_gone(&mut self, cx: &mut Context<'_>) -> bool {
        if self.scratch.legs.watch != Watch::Now || !self.scratch.legs.request_received() {
            return false;
        }
        let mut byte = [0];
        let mut look = tokio::io::ReadBuf::new(&mut byte);
        match self.client.stream.poll_peek(cx, &mut look) {
            Poll::Pending => false,
            Poll::Ready(Ok(_)) => {
                self.scratch.legs.watch = Watch::Useless;
                false
            }
            Poll::Ready(Err(_)) => true,
        }
    }

    /// Passes an interim answer on, to clients that know of them (RFC 9110 15.2).
    async fn pass_interim(&mut self, plan: &Plan) -> Result<(), Stop> {
        let Some(mut incoming) = self.scratch.legs.incoming.take() else { return Ok(()) };
        let head_len = self.scratch.response.head_len();
        let known = self.scratch.request.version() == http1_codec::Version::Http11;
        if known {
            rewrite::interim_head(&mut self.scratch, incoming.filled());
        }
        incoming.consume(head_len);
        if !incoming.is_empty() {
            // To the front of another buffer: the next head may need all the room.
            let mut rest = self.site.worker.buffers.take();
            rest.append(incoming.filled());
            self.scratch.legs.incoming = Some(rest);
        }
        self.scratch.legs.interim_seen = true;
        self.scratch.legs.begun |= known && self.scratch.response.status() != 100;
        self.scratch.response.reset();
        if known {
            let answer = std::mem::take(&mut self.scratch.answer);
            // The client's time to read this is its own, not what is left of the upstream's.
            let patience =
                self.client.alarm.swap(u64::from(plan.timeouts.idle_ms), self.scratch.legs.total_at_ms);
            let sent = self.client.send(&answer).await;
            self.client.alarm.restore(patience);
            self.scratch.answer = answer;
            if !sent {
                return Err(Stop::Client);
            }
        }
        Ok(())
    }

    fn upgrade_was_asked(&self) -> bool {
        // The head that was sent tells: it names an upgrade only where the client asked for one that may pass.
        self.scratch.request.upgrade().is_some()
            && self.scratch.sent.windows(9).any(|window| window.eq_ignore_ascii_case(b"\nUpgrade:"))
    }
}

/// How the head of a request changes on its way to this endpoint.
pub(super) fn request_form<'a>(view: &'a View, endpoint: Option<&'a Member>, plan: &Plan) -> RequestForm<'a> {
    RequestForm {
        authority: endpoint.map_or("", |one| &one.endpoint.authority),
        forcing: &view.force_headers,
        rules: view.rules(plan),
    }
}

/// What the client is told of its body, if anything: when it is gone there is nobody to be told.
fn refusal_of(broken: &Broken) -> Option<Refusal> {
    match broken {
        Broken::Malformed(reject) => Some(Refusal::Malformed(*reject)),
        Broken::TooLarge => Some(Refusal::BodyTooLarge),
        Broken::Source | Broken::Sink => None,
    }
}
