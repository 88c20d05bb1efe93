//! The second half: the answer on its way to the client.

use std::task::{Context, Poll};

use http1_codec::{Framing, Version};
use migration_glue::{Delivery, Ledger};
use route_plan::{ConnectionLimits, Drained, Failure, Plan};

use super::H1Exchange;
use crate::buffer::Buffer;
use crate::client::Next;
use crate::proxy_status;
use crate::rewrite::{self, Added, AnswerForm, AnswerRules};
use crate::transfer::{Broken, Moved, Outgoing, Transfer};
use crate::upstream::Connection;
use crate::worker::Site;

impl H1Exchange<'_> {
    /// Writes the head for the client and takes in what has come of the body. Nothing is sent yet.
    pub(super) fn begin_answer(&mut self, plan: &Plan) -> Result<AnswerForm, Broken> {
        self.forget_kept();
        let form = self.form();
        let mut buffer = self.scratch.legs.incoming.take().unwrap_or_else(|| self.site.worker.buffers.take());
        self.write_head(plan, form, buffer.filled());
        let framing = self.scratch.response.framing(self.scratch.request.is_head());
        let outgoing = if form.chunked { Outgoing::Chunked } else { Outgoing::Plain };
        let tee = self.tee_for_answer(plan, buffer.filled());
        buffer.consume(self.scratch.response.head_len());
        let scratch = &mut *self.scratch;
        let answer =
            scratch.legs.answer.insert(Transfer::new(framing, outgoing, &self.site.view.answer_limits));
        answer.tee(tee);
        answer.begin(buffer, &scratch.answer)?;
        self.release_upstream();
        self.set_alarm(plan.timeouts.idle_ms);
        Ok(form)
    }

    /// Decides how the answer leaves.
    fn form(&self) -> AnswerForm {
        let (request, response) = (&self.scratch.request, &self.scratch.response);
        let legs = &self.scratch.legs;
        let client = request.version();
        let (framing, chunked) = match response.framing(request.is_head()) {
            Framing::Chunked | Framing::UntilClose if client == Version::Http11 => (Framing::Chunked, true),
            Framing::Chunked | Framing::UntilClose => (Framing::UntilClose, false),
            known => (known, false),
        };
        // An upstream that answers early and closes will not take the rest: better that the client stops.
        let refused = !legs.request_done() && !response.keep_alive();
        let close = !request.keep_alive()
            || framing == Framing::UntilClose
            || refused
            || legs.request_given_up
            || self.client.is_worn()
            || self.site.worker.is_draining();
        AnswerForm { framing, chunked, close, client }
    }

    /// Writes `scratch.answer` from the upstream's head.
    pub(super) fn write_head(&mut self, plan: &Plan, form: AnswerForm, head: &[u8]) {
        let view = &self.site.view;
        let migrations = &view.snapshot.migrations;
        let migration = plan.migration().and_then(|index| migrations.get(index));
        let cookie = match (migration.and_then(|one| one.assign_cookie.as_ref()), &plan.set_cookie_key) {
            (Some(cookie), Some(key)) => Some(cookie.render(key)),
            _ => None,
        };
        let exposed = migration.and_then(|one| one.expose_arm.as_deref());
        let proxy_status = self.scratch.legs.covered.map(proxy_status::of_fallback);
        let added = Added {
            set_cookie: cookie.as_deref(),
            arm: exposed.zip(plan.arm.map(traffic_split::Arm::as_str)),
            proxy_status: proxy_status.as_deref(),
        };
        let rules = view.rules(plan);
        let home = rules.and(self.scratch.legs.upstream.as_ref()).map(Connection::home);
        let endpoint = home.as_ref().map_or("", |home| &home.endpoint.authority);
        let rules = rules.map(|rules| AnswerRules { rules, endpoint });
        rewrite::response_head(&mut self.scratch, head, form, added, rules);
    }

    /// Moves the answer on, and a request that is not through yet. Ready when the answer is.
    pub(super) fn poll_stream(&mut self, cx: &mut Context<'_>, plan: &Plan) -> Poll<Result<(), Delivery>> {
        let late = self.poll_late_request(cx);
        let mut moved = Moved::default();
        let legs = &mut self.scratch.legs;
        let Some(answer) = &mut legs.answer else { return Poll::Ready(Ok(())) };
        let buffers = &self.site.worker.buffers;
        let polled = match &mut legs.upstream {
            Some(upstream) => {
                answer.poll(cx, &mut upstream.stream, &mut self.client.stream, buffers, &mut moved)
            }
            None => answer.poll_send(cx, &mut self.client.stream, &mut moved),
        };
        let unsent = answer.has_unsent();
        self.site.worker.cells.bytes_out.add(moved.sent);
        let failed = match polled {
            Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(Broken::Sink)) => return Poll::Ready(Err(Delivery::ClientGone)),
            Poll::Ready(Err(_)) => Failure::Truncated,
            Poll::Pending if self.scratch.legs.client_broke => return Poll::Ready(Err(Delivery::ClientGone)),
            Poll::Pending if self.is_drained(plan) => return Poll::Ready(Err(Delivery::Drained)),
            Poll::Pending => {
                if moved.any() || late.any() {
                    self.set_alarm(plan.timeouts.idle_ms);
                }
                if unsent {
                    if !self.is_taken_fast_enough(plan, moved.sent) {
                        return Poll::Ready(Err(Delivery::ClientGone));
                    }
                } else {
                    self.scratch.legs.taking.rest();
                    self.scratch.legs.watch.begin();
                    if self.poll_client_gone(cx) {
                        return Poll::Ready(Err(Delivery::ClientGone));
                    }
                }
                if !self.client.alarm.expired(cx) {
                    return Poll::Pending;
                }
                if self.total_reached() { Failure::TotalTimeout } else { Failure::IdleTimeout }
            }
        };
        // Whose turn was it? A client that does not read, or does not go on with its body, keeps everybody waiting.
        let legs = &self.scratch.legs;
        let body_awaited = legs.request.as_ref().is_some_and(|request| !request.has_unsent());
        let out_of_time = matches!(failed, Failure::IdleTimeout | Failure::TotalTimeout);
        let by_client =
            legs.client_broke || (out_of_time && (unsent || (legs.request_under_way() && body_awaited)));
        Poll::Ready(Err(if by_client { Delivery::ClientGone } else { Delivery::Failed(failed) }))
    }

    /// Whether the client, which is waited for, takes what there is. The kernel tells of room only when much of it has
    /// become free, so this looks at longer periods than for bodies of requests.
    fn is_taken_fast_enough(&mut self, plan: &Plan, sent: u64) -> bool {
        let limits = self.site.view.snapshot.connection;
        let period_ms = u64::from(plan.timeouts.idle_ms).max(ConnectionLimits::RATE_PERIOD_MS);
        let now_ms = self.site.worker.alarms.now_ms();
        self.scratch.legs.taking.note(sent, limits.min_rate_bytes, period_ms, now_ms)
    }

    /// Goes on with a request's body that the upstream began to answer before its end.
    fn poll_late_request(&mut self, cx: &mut Context<'_>) -> Moved {
        let mut moved = Moved::default();
        let legs = &mut self.scratch.legs;
        if !legs.request_under_way() {
            return moved;
        }
        let (Some(request), Some(upstream)) = (&mut legs.request, &mut legs.upstream) else { return moved };
        let buffers = &self.site.worker.buffers;
        let polled = request.poll(cx, &mut self.client.stream, &mut upstream.stream, buffers, &mut moved);
        self.site.worker.cells.bytes_in.add(moved.received);
        match polled {
            Poll::Ready(Ok(())) => self.keep_rest(),
            Poll::Ready(Err(broken)) => {
                legs.request_given_up = true;
                legs.client_broke = !matches!(broken, Broken::Sink | Broken::TooLarge);
            }
            Poll::Pending => {}
        }
        if moved.received > 0 && !self.is_body_fast_enough(moved.received) {
            // The answer goes on; the connection ends after it.
            self.scratch.legs.request_given_up = true;
        }
        moved
    }

    /// Keeps the upstream's connection for others if the exchange is over for it and left it clean.
    fn release_upstream(&mut self) {
        let legs = &self.scratch.legs;
        let until_close =
            self.scratch.response.framing(self.scratch.request.is_head()) == Framing::UntilClose;
        let clean = legs.answer.as_ref().is_some_and(|answer| answer.is_received() && !answer.has_rest())
            && !until_close
            && self.scratch.response.keep_alive()
            && legs.request_done()
            && !legs.request_given_up;
        if clean {
            self.keep_upstream();
        }
    }

    /// The answer is through, or will never be. `at_once`: as soon as its head was there.
    pub(super) fn finish(
        mut self,
        plan: &Plan,
        form: AnswerForm,
        streamed: Result<(), Delivery>,
        ledger: Ledger<Site>,
        at_once: bool,
    ) -> Next {
        self.client.alarm.follow_moves(false);
        match streamed {
            Err(Delivery::Failed(failure)) => self.note_attempt(plan, Some(failure)),
            Err(Delivery::Drained) => self.site.count_drained(plan, Drained::Stream),
            Ok(()) | Err(_) => {}
        }
        self.release_upstream();
        self.drop_upstream();
        self.keep_rest();
        let legs = &self.scratch.legs;
        let next = match streamed {
            Ok(()) if !legs.request_received() => Next::Linger,
            Ok(()) if form.close || legs.request_given_up => Next::Close,
            Ok(()) => Next::Again,
            // Neither a length nor a last chunk would tell this client that something is missing: a reset does.
            Err(_) if form.framing == Framing::UntilClose => Next::Abort,
            Err(_) => Next::Close,
        };
        let sent_bytes = legs.answer.as_ref().map_or(0, Transfer::content_bytes);
        let delivery = streamed.err().unwrap_or(Delivery::Complete);
        let observed = if at_once { ledger.close_at_head(delivery) } else { ledger.close(delivery) };
        self.end_copy(plan, &observed, true);
        self.log(plan, &observed, sent_bytes);
        next
    }

    /// What came behind the answer's head, ready to be sent on.
    pub(super) fn take_incoming(&mut self) -> Buffer {
        self.scratch.legs.incoming.take().unwrap_or_else(|| self.site.worker.buffers.take())
    }
}
