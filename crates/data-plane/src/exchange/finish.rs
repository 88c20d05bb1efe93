//! Answers of crossfade's own, and the line in the access log.

use std::num::NonZeroU32;

use http1_codec::Framing;
use migration_glue::{Delivery, Ledger, Stop};
use route_plan::{Failure, Observation, Plan};

use super::H1Exchange;
use crate::buffer::Buffer;
use crate::client::Next;
use crate::entry::RETRY_AFTER_S;
use crate::proxy_status;
use crate::rewrite::Problem;
use crate::transfer::Transfer;
use crate::worker::Site;

/// How long a client may take to read an answer of our own, in milliseconds.
const ANSWER_MS: u64 = 10_000;

impl H1Exchange<'_> {
    /// There is no answer from the upstream: says so.
    pub(super) async fn answer_itself(mut self, plan: &Plan, why: Stop, mut ledger: Ledger<Site>) -> Next {
        self.drop_upstream();
        let mut failed = None;
        let (status, reason, detail) = match why {
            Stop::Failed(failure) => {
                failed = Some(failure);
                (failure.status(), failure.as_str(), self.detail(plan, failure))
            }
            Stop::Busy => (503, "overloaded", "there are no descriptors left for a connection".to_owned()),
            Stop::Client => match self.scratch.legs.refusal {
                Some(refusal) => {
                    self.site.worker.cells.refused(refusal.reason());
                    (refusal.status(), refusal.reason(), refusal.detail())
                }
                None => {
                    let observed = ledger.close(Delivery::ClientGone);
                    self.end_copy(plan, &observed, false);
                    self.log(plan, &observed, 0);
                    return Next::Close;
                }
            },
        };
        ledger.answered_with(status);
        let (sent, next) = self.send_problem(status, reason, &detail, failed).await;
        let observed = ledger.close(if sent { Delivery::Complete } else { Delivery::ClientGone });
        self.end_copy(plan, &observed, false);
        self.log(plan, &observed, 0);
        next
    }

    /// The answer's body is malformed and nothing of it was sent.
    pub(super) async fn answer_bad(mut self, plan: &Plan, mut ledger: Ledger<Site>) -> Next {
        self.drop_upstream();
        let failure = Failure::BadAnswer;
        ledger.answered_with(failure.status());
        let detail = self.detail(plan, failure);
        let (_, next) = self.send_problem(failure.status(), failure.as_str(), &detail, Some(failure)).await;
        let observed = ledger.close(Delivery::Failed(failure));
        self.end_copy(plan, &observed, false);
        self.log(plan, &observed, 0);
        next
    }

    /// No migration and no route matches.
    pub(super) async fn answer_not_found(mut self) -> Next {
        self.site.worker.cells.unmatched.inc();
        if !self.scratch.logged.is_empty() {
            self.site.log_unmatched(&self.scratch);
        }
        self.send_problem(404, "no-route", "no migration and no route matches this request", None).await.1
    }

    /// A sentence about the upstream, with the limit where there is one.
    fn detail(&self, plan: &Plan, failure: Failure) -> String {
        let name = self.site.view.snapshot.upstreams.get(plan.upstream).map_or("", |one| one.name.as_str());
        let limits = plan.timeouts;
        match failure {
            Failure::Connect => format!("no connection to {name} could be made"),
            Failure::ConnectTimeout => format!("no connection to {name} within {} ms", limits.connect_ms),
            Failure::FirstByteTimeout => {
                let after_ms = plan.fallback.filter(|fallback| fallback.replayable).map(|one| one.after_ms);
                let limit_ms = after_ms.map_or(limits.first_byte_ms, |ms| ms.min(limits.first_byte_ms));
                format!("{name} gave no answer within {limit_ms} ms")
            }
            Failure::IdleTimeout => format!("{name} took nothing for {} ms", limits.idle_ms),
            Failure::TotalTimeout => {
                format!("not done within {} ms", limits.total_ms.map_or(0, NonZeroU32::get))
            }
            Failure::Closed => format!("{name} closed the connection without an answer"),
            Failure::Truncated => format!("the answer of {name} was cut short"),
            Failure::BadAnswer => format!("the answer of {name} is not valid HTTP/1.1"),
            Failure::Status5xx | Failure::StatusOther | Failure::Header | Failure::Late => {
                format!("{name} failed")
            }
            Failure::NoEndpoint => format!("{name} has no healthy endpoint"),
            Failure::Overloaded => format!("{name} has as many requests as it may have"),
        }
    }

    /// `failed`: what the upstream failed with, where one is to blame.
    async fn send_problem(
        &mut self,
        status: u16,
        reason: &str,
        detail: &str,
        failed: Option<Failure>,
    ) -> (bool, Next) {
        // What was read of the request is either all of it, or the connection cannot go on.
        let whole = match &self.scratch.legs.request {
            Some(request) => request.is_received(),
            None => self.scratch.request.framing() == Framing::None,
        };
        self.keep_rest();
        if let Some(mut received) = self.scratch.legs.head.take()
            && whole
        {
            received.consume(self.scratch.request.head_len());
            if !received.is_empty() {
                self.client.pending = Some(Buffer::kept(received.filled()));
            }
        }
        let close = !whole
            || self.scratch.legs.refusal.is_some()
            || !self.scratch.request.keep_alive()
            || self.client.is_worn()
            || self.site.worker.is_draining();
        let mut out = std::mem::take(&mut self.scratch.answer);
        Problem {
            status,
            reason,
            detail,
            request_id: &self.scratch.request_id,
            proxy_status: failed.map(proxy_status::of_failure),
            retry_after_s: (status == 503).then_some(RETRY_AFTER_S),
            head_only: self.scratch.request.is_head(),
            close,
        }
        .write(&mut out);
        self.client.alarm.set(ANSWER_MS, None);
        let sent = self.client.send(&out).await;
        self.scratch.answer = out;
        let next = match (sent, whole, close) {
            (false, ..) => Next::Close,
            _ if self.scratch.legs.refusal.is_some() => Next::Refuse,
            (true, false, _) => Next::Linger,
            (true, true, true) => Next::Close,
            (true, true, false) => Next::Again,
        };
        (sent, next)
    }

    /// Writes the access log's line, where there is an access log.
    pub(super) fn log(&self, plan: &Plan, observed: &Observation, answer_bytes: u64) {
        if !self.scratch.logged.is_empty() {
            let request_bytes = self.scratch.legs.request.as_ref().map_or(0, Transfer::content_bytes);
            self.site.log(&self.scratch, plan, observed, [request_bytes, answer_bytes]);
        }
    }
}
