//! One request on its way: sent to an upstream, its answer streamed back. The proxy's side of the glue.
//!
//! Everything happens on the client's own task: no channel, no second task, no lock. Both directions are moved by
//! poll functions over the two sockets, so an answer that comes before the request has ended needs nothing special.

mod answer;
mod drain;
mod fallback;
mod finish;
mod lease;
mod outbound;
mod shadow;
mod tunnel;

use http1_codec::Framing;
use migration_glue::{Exchange, Ledger, Stop};
use route_plan::{Circumstances, Ended, Failure, Plan};
use traffic_split::{RequestView, Role};

use crate::buffer::Buffer;
use crate::client::{Client, Next};
use crate::scratch::{Legs, ScratchLease, View};
use crate::transfer::Transfer;
use crate::worker::Site;

pub(crate) use drain::Drain;
pub(crate) use fallback::Slot;
pub(crate) use shadow::Twin;

/// One request of one client. Moved by value along the glue's way, so what is large lives in the scratch.
pub(crate) struct H1Exchange<'c> {
    client: &'c mut Client,
    site: Site,
    scratch: ScratchLease,
}

impl<'c> H1Exchange<'c> {
    /// `scratch` holds the request, admitted.
    pub(crate) fn new(client: &'c mut Client, site: Site, scratch: ScratchLease) -> Self {
        H1Exchange { client, site, scratch }
    }

    /// The deadline for everything has come, so it is this that ended the wait.
    fn total_reached(&self) -> bool {
        self.scratch.legs.total_at_ms.is_some_and(|at| self.client.alarm.reached(at))
    }

    /// Fires when nothing has moved for this long, or when one of the moments comes that the exchange waits for.
    fn set_alarm(&mut self, after_ms: u32) {
        self.scratch.legs.patience_ends_ms = self.client.alarm.deadline(u64::from(after_ms));
        self.arm();
    }

    /// Sets the alarm to whatever comes first.
    fn arm(&self) {
        let legs = &self.scratch.legs;
        let Legs { total_at_ms, fallback_at_ms, hold_until_ms, fail_at_ms, drain, .. } = legs;
        let moments_ms = [*total_at_ms, *fallback_at_ms, *hold_until_ms, *fail_at_ms, drain.at_ms];
        let first_ms = moments_ms.into_iter().flatten().min().unwrap_or(u64::MAX);
        self.client.alarm.restore(first_ms.min(legs.patience_ends_ms));
    }

    /// From now on the answer's head may take as long as `fail_after` allows.
    fn start_failure_clock(&mut self, ledger: &Ledger<Site>) {
        let limit_ms = ledger.fail_after_ms().map(|limit_ms| u64::from(limit_ms.get()));
        self.scratch.legs.fail_at_ms = limit_ms.map(|limit_ms| self.client.alarm.deadline(limit_ms));
    }

    /// Tells, once, that the attempt hangs.
    fn note_hang(&mut self, ledger: &mut Ledger<Site>) -> bool {
        let hangs = self.scratch.legs.fail_at_ms.is_some_and(|at| self.client.alarm.reached(at));
        if hangs {
            ledger.hangs();
            self.scratch.legs.fail_at_ms = None;
            self.arm();
        }
        hangs
    }

    /// Closes the connection to the upstream, which may not be used again.
    fn drop_upstream(&mut self) {
        let legs = &mut self.scratch.legs;
        (legs.upstream, legs.ticket) = (None, None);
    }

    /// Keeps the connection to the upstream, which the exchange left clean, for others.
    fn keep_upstream(&mut self) {
        if let Some(upstream) = self.scratch.legs.upstream.take() {
            upstream.release(self.site.worker.alarms.now_ms());
        }
        self.scratch.legs.ticket = None;
    }

    /// What the client sent behind the request is the start of its next one.
    fn keep_rest(&mut self) {
        if let Some(rest) = self.scratch.legs.request.as_mut().and_then(Transfer::take_rest) {
            self.client.pending = Some(rest);
        }
    }
}

impl Exchange<Site> for H1Exchange<'_> {
    /// The head of the answer is in the scratch, with what came behind it.
    type Answer = ();
    type Out = Next;

    fn view(&self) -> impl RequestView {
        let head = self.scratch.legs.head.as_ref().map(Buffer::filled).unwrap_or_default();
        View { scratch: &self.scratch, head }
    }

    async fn forward(&mut self, plan: &Plan, ledger: &mut Ledger<Site>) -> Result<(), Stop> {
        if plan.role != Role::Fallback {
            let total_ms = plan.timeouts.total_ms.map(|total_ms| u64::from(total_ms.get()));
            self.scratch.legs.total_at_ms = total_ms.map(|total_ms| self.client.alarm.deadline(total_ms));
            self.site.count_keyless(plan);
            self.prepare_fallback(plan);
            self.begin_copy(plan, ledger);
        }
        if self.scratch.request.framing() == Framing::None {
            self.start_failure_clock(ledger);
        }
        let mut fresh_only = false;
        loop {
            self.lease(plan, fresh_only).await?;
            if self.scratch.legs.retries > 0 {
                ledger.retried();
            }
            self.begin(plan, ledger)?;
            let answered = self.await_answer(plan, ledger).await;
            match answered {
                Err(Stop::Failed(Failure::Closed)) if self.may_repeat() => {
                    self.site.worker.cells.upstream_stale.inc();
                    fresh_only = true;
                    self.scratch.legs.upstream = None;
                    continue;
                }
                Err(Stop::Failed(failure)) => self.note_attempt(plan, Some(failure)),
                Err(Stop::Client | Stop::Busy) => {}
                Ok(()) => self.note_attempt(plan, None),
            }
            match answered {
                Err(Stop::Failed(failure)) if self.may_retry(plan, failure) => {
                    self.scratch.legs.upstream = None;
                    ledger.retried();
                }
                Err(why) => return Err(why),
                Ok(()) => {
                    self.scratch.legs.fallback_at_ms = None;
                    // The answer may go on for long, and costs no more than any other.
                    self.scratch.legs.slot = None;
                    self.scratch.legs.hold_until_ms = None;
                    self.scratch.legs.fail_at_ms = None;
                    return Ok(());
                }
            }
        }
    }

    fn circumstances(&self) -> Circumstances {
        self.what_became()
    }

    fn rewind(&mut self, ended: Ended) {
        self.back_to_start(ended);
    }

    async fn respond(mut self, plan: &Plan, (): (), ledger: Ledger<Site>) -> Next {
        if self.scratch.response.status() == 101 {
            return Box::pin(self.tunnel(plan, ledger)).await;
        }
        let Ok(form) = self.begin_answer(plan) else {
            return Box::pin(self.answer_bad(plan, ledger)).await;
        };
        let mut at_once = true;
        let streamed = std::future::poll_fn(|cx| {
            let polled = self.poll_stream(cx, plan);
            self.copy_when_due(plan);
            at_once &= polled.is_ready();
            polled
        })
        .await;
        self.finish(plan, form, streamed, ledger, at_once)
    }

    async fn refuse(self, plan: &Plan, why: Stop, ledger: Ledger<Site>) -> Next {
        Box::pin(self.answer_itself(plan, why, ledger)).await
    }

    async fn unmatched(self) -> Next {
        Box::pin(self.answer_not_found()).await
    }
}
