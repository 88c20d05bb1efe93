//! What a request needs so that old can answer it after new has failed: its head and the received part of its body are
//! kept, new gets a deadline of its own, and a short answer is held until it is whole.

use std::rc::Rc;

use http1_codec::{BodyDecoder, FieldId, Framing, Limits};
use migration_glue::Ledger;
use route_plan::{Circumstances, Ended, Failure, Fallback, Plan};

use super::H1Exchange;
use crate::alarm::TICK_MS;
use crate::buffer::{Buffer, READ_BYTES};
use crate::keep::Keep;
use crate::transfer::Transfer;
use crate::upstream::Tried;
use crate::worker::{Site, Worker};

/// How much longer than for an answer is waited for a `100 Continue`, in milliseconds: clients do not wait for ever, curl
/// for a second, and then send (RFC 9110 10.1.1).
const INVITATION_MS: u64 = 2_000;

/// How long an answer of unknown length is held, in milliseconds: most are whole by then, and who streams is hardly
/// delayed.
const HOLD_MS: u32 = 50;

/// One fallback under way, counted for as long as it lives.
pub(crate) struct Slot(Rc<Worker>);

impl Slot {
    fn take(worker: &Rc<Worker>) -> Slot {
        worker.fallbacks.set(worker.fallbacks.get() + 1);
        Slot(worker.clone())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fallbacks.set(self.0.fallbacks.get().saturating_sub(1));
    }
}

impl H1Exchange<'_> {
    /// Keeps the head as received, and starts new's clock, where the plan has a fallback.
    pub(super) fn prepare_fallback(&mut self, plan: &Plan) {
        let Some(fallback) = &plan.fallback else { return };
        let scratch = &mut *self.scratch;
        let received = scratch.legs.head.as_ref().map(Buffer::filled).unwrap_or_default();
        let (head, behind) = received.split_at_checked(scratch.request.head_len()).unwrap_or_default();
        scratch.original.clear();
        scratch.original.extend_from_slice(head);
        // While the client is still sending, the time is its own.
        let is_whole = match scratch.request.framing() {
            Framing::None => true,
            Framing::Length(length) => length <= behind.len() as u64,
            Framing::Chunked | Framing::UntilClose => false,
        };
        let is_awaited = scratch.request.expects_continue() && behind.is_empty();
        if is_whole {
            self.start_fallback_clock(fallback);
        } else if is_awaited && fallback.replayable {
            // New may invite the body, or the client send it uninvited; where neither happens, new is not there.
            let invited_ms = self.fallback_deadline(fallback).saturating_add(INVITATION_MS);
            self.scratch.legs.fallback_at_ms = Some(invited_ms);
        }
    }

    /// From now on new has `fallback.after`. Rather a little early than late: two ticks is how late an alarm may be.
    pub(super) fn start_fallback_clock(&mut self, fallback: &Fallback) {
        if fallback.replayable {
            self.scratch.legs.fallback_at_ms = Some(self.fallback_deadline(fallback));
        }
    }

    fn fallback_deadline(&self, fallback: &Fallback) -> u64 {
        let after_ms = u64::from(fallback.after_ms).saturating_sub(3 * TICK_MS).max(TICK_MS);
        self.client.alarm.deadline(after_ms)
    }

    /// The clock for as long as nothing has been sent to new, which is when old may answer any request: as it runs, or
    /// from now on. Returns what it was, to be put back when there is a connection.
    pub(super) fn start_connecting_clock(&mut self, plan: &Plan) -> Option<u64> {
        let running = self.scratch.legs.fallback_at_ms;
        if let (None, Some(fallback)) = (running, &plan.fallback) {
            self.scratch.legs.fallback_at_ms = Some(self.fallback_deadline(fallback));
        }
        running
    }

    /// The last byte of the request's body has arrived.
    pub(super) fn request_arrived(&mut self, plan: &Plan, ledger: &mut Ledger<Site>) {
        ledger.request_sent();
        self.start_failure_clock(ledger);
        self.scratch.legs.hold_until_ms = None;
        if let Some(fallback) = &plan.fallback {
            self.start_fallback_clock(fallback);
        }
    }

    /// What the body's transfer is to keep for a second attempt.
    pub(super) fn keep_for(&mut self, plan: &Plan) -> Option<Keep> {
        let fallback = plan.fallback.as_ref().filter(|fallback| fallback.replayable)?;
        let room = std::mem::take(&mut self.scratch.kept_room);
        Some(Keep::new(room, fallback.body_bytes as usize, &self.site.worker.allowance))
    }

    /// Old will not be asked any more.
    pub(super) fn forget_kept(&mut self) {
        if let Some(keep) = self.scratch.legs.request.as_mut().and_then(Transfer::take_keep) {
            self.scratch.kept_room = keep.into_room();
        }
    }

    /// Whether new has used up the time that it has until old is asked.
    pub(super) fn fallback_due(&self) -> bool {
        self.scratch.legs.fallback_at_ms.is_some_and(|at| self.client.alarm.reached(at))
    }

    /// Whether the answer, whose head is there, is to be held until it is whole: then one that is cut short is seen in
    /// time. Only where it fits the buffer; one of unknown length for [`HOLD_MS`] at most, and never a stream of events.
    pub(super) fn holds_answer(&mut self, plan: &Plan) -> Result<bool, Failure> {
        let Some(fallback) = plan.fallback.as_ref().filter(|fallback| fallback.replayable) else {
            return Ok(false);
        };
        let (legs, response) = (&self.scratch.legs, &self.scratch.response);
        if response.is_interim()
            || fallback.statuses.contains(response.status())
            || legs.begun
            || self.body_lost()
        {
            return Ok(false);
        }
        match response.framing(self.scratch.request.is_head()) {
            Framing::Length(length) => {
                let whole = (response.head_len() as u64).saturating_add(length);
                let received = legs.incoming.as_ref().map_or(0, |incoming| incoming.len() as u64);
                let is_held = received < whole && whole <= READ_BYTES as u64;
                // Who is still sending may wait for the beginning of the answer to go on.
                Ok(is_held && (legs.request_received() || self.holds_for_now()))
            }
            Framing::Chunked => self.holds_chunks(),
            Framing::None | Framing::UntilClose => Ok(false),
        }
    }

    fn holds_chunks(&mut self) -> Result<bool, Failure> {
        let scratch = &mut *self.scratch;
        let (response, legs) = (&scratch.response, &mut scratch.legs);
        let Some(incoming) = &mut legs.incoming else { return Ok(false) };
        let is_full = incoming.space().is_empty();
        let kind = response.field(FieldId::ContentType).map(|field| field.value.of(incoming.filled()));
        let body = incoming.filled().get(response.head_len()..).unwrap_or_default();
        if is_full || kind.is_some_and(is_stream) || is_whole(body, &self.site.view.answer_limits)? {
            return Ok(false);
        }
        Ok(self.holds_for_now())
    }

    /// Holds an answer for [`HOLD_MS`] from the first time that this is asked.
    fn holds_for_now(&mut self) -> bool {
        let legs = &mut self.scratch.legs;
        match legs.hold_until_ms {
            Some(until_ms) => !self.client.alarm.reached(until_ms),
            None => {
                legs.hold_until_ms = Some(self.client.alarm.deadline(u64::from(HOLD_MS)));
                self.set_alarm(HOLD_MS);
                true
            }
        }
    }

    /// Whether a part of the request's body is gone that old would have to get.
    fn body_lost(&self) -> bool {
        let legs = &self.scratch.legs;
        // Before the first attempt has begun everything is still where it was received.
        legs.head.is_none() && legs.request.as_ref().is_some_and(|request| !request.is_kept())
    }

    /// See [`migration_glue::Exchange::circumstances`].
    pub(super) fn what_became(&self) -> Circumstances {
        let worker = &self.site.worker;
        Circumstances {
            begun: self.scratch.legs.begun,
            sent: self.scratch.legs.head.is_none(),
            body_lost: self.body_lost(),
            // The limit is the process's: this worker takes it that the others do as much as itself.
            under_way: worker.fallbacks.get().saturating_mul(worker.workers),
        }
    }

    /// See [`migration_glue::Exchange::rewind`].
    pub(super) fn back_to_start(&mut self, ended: Ended) {
        self.release_whole_answer();
        self.drop_upstream();
        self.copy_without_answer(ended);
        let slot = Slot::take(&self.site.worker);
        let legs = &mut self.scratch.legs;
        legs.incoming = None;
        legs.tried = Tried::default();
        legs.retries = 0;
        legs.request_given_up = false;
        legs.interim_seen = false;
        legs.fallback_at_ms = None;
        legs.hold_until_ms = None;
        legs.covered = Some(ended);
        legs.slot = Some(slot);
        self.scratch.response.reset();
    }

    /// An answer that is here as a whole, and is not going to be sent on, leaves its connection as good as any other.
    fn release_whole_answer(&mut self) {
        let (legs, response) = (&self.scratch.legs, &self.scratch.response);
        let Some(incoming) = &legs.incoming else { return };
        let length = match response.framing(self.scratch.request.is_head()) {
            Framing::None => 0,
            Framing::Length(length) => length,
            Framing::Chunked | Framing::UntilClose => return,
        };
        let is_whole = response.head_len() > 0
            && incoming.len() as u64 == (response.head_len() as u64).saturating_add(length);
        if is_whole && response.keep_alive() && legs.request_done() && !legs.request_given_up {
            self.keep_upstream();
        }
    }
}

/// Whether an answer of this media type comes bit by bit over a long time, and every bit is wanted at once.
fn is_stream(media_type: &[u8]) -> bool {
    let begins = |prefix: &[u8]| {
        media_type.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    begins(b"text/event-stream") || begins(b"application/grpc")
}

/// Whether all chunks are there, up to the last one and the trailers.
fn is_whole(mut body: &[u8], limits: &Limits) -> Result<bool, Failure> {
    let mut decoder = BodyDecoder::new(Framing::Chunked, limits);
    loop {
        let piece = decoder.decode(body).map_err(|_| Failure::BadAnswer)?;
        if decoder.is_done() || piece.consumed == 0 {
            return Ok(decoder.is_done());
        }
        body = body.get(piece.consumed..).unwrap_or_default();
    }
}
