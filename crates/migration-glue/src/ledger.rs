//! The account of one attempt, from its start to its one observation.

use std::time::Instant;

use std::num::NonZeroU32;
use std::time::Duration;

use route_plan::{Failure, Observation, Plan, Target};
use traffic_split::{Arm, Assignment, Bucket, Role};

use crate::{Stop, Surroundings};

/// How the answer's way to the client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The last byte was handed over.
    Complete,
    /// The client went away first.
    ClientGone,
    /// The upstream failed after its head.
    Failed(Failure),
    /// Its user is back on old and its time was up, so that it was cut short: nobody failed.
    Drained,
}

/// Gathers what is seen of one attempt, and reports it exactly once: by [`Ledger::close`], or when it is dropped,
/// which means that whoever waited for the answer gave up.
#[derive(Debug)]
pub struct Ledger<S: Surroundings> {
    surroundings: S,
    target: Target,
    began: Instant,
    /// Start of the time that counts as the upstream's: moves to the end of the request's body.
    asked: Instant,
    answered: Option<Instant>,
    arm: Option<Arm>,
    role: Role,
    by_bucket: bool,
    /// The hash of the key, 0 where there was none.
    key: u64,
    status: Option<u16>,
    client_status: Option<u16>,
    failure: Option<Failure>,
    fail_after_ms: Option<NonZeroU32>,
    covered: bool,
    hung: bool,
    retried: bool,
    client_aborted: bool,
    drained: bool,
    open: bool,
}

impl<S: Surroundings> Ledger<S> {
    pub(crate) fn open(plan: &Plan, surroundings: S) -> Self {
        let now = surroundings.now();
        let by_bucket =
            plan.role == Role::Served && plan.assignment.as_ref().is_some_and(Assignment::is_evidence);
        // Asked for once, so that one request goes by one limit.
        let by_guard = || surroundings.fail_after_ms(plan.target).filter(|_| by_bucket);
        let fail_after_ms = plan.timeouts.fail_after_ms.or_else(by_guard);
        Ledger {
            surroundings,
            target: plan.target,
            began: now,
            asked: now,
            answered: None,
            arm: plan.arm,
            role: plan.role,
            by_bucket,
            key: plan.assignment.as_ref().and_then(|one| one.bucket).map_or(0, Bucket::hash),
            status: None,
            client_status: None,
            failure: None,
            fail_after_ms,
            covered: false,
            hung: false,
            retried: false,
            client_aborted: false,
            drained: false,
            open: true,
        }
    }

    /// The request's body ended only now: what came before was the client's time, not the upstream's.
    pub fn request_sent(&mut self) {
        if self.answered.is_none() {
            self.asked = self.surroundings.now();
        }
    }

    /// The head of the final answer is there. It is a failure where its status says so.
    pub fn head(&mut self, status: u16) {
        self.judged_head(status, (status >= 500).then_some(Failure::Status5xx));
    }

    /// The same, where the migration has said which answers are failures.
    pub fn judged_head(&mut self, status: u16, failure: Option<Failure>) {
        self.answered = Some(self.surroundings.now());
        self.status = Some(status);
        self.client_status = Some(status);
        self.failure = failure;
    }

    /// After how many milliseconds without a head the attempt counts as hung; `None`: never.
    #[must_use]
    pub fn fail_after_ms(&self) -> Option<NonZeroU32> {
        self.fail_after_ms
    }

    /// The attempt was made again at the same upstream; it stays one outcome.
    pub fn retried(&mut self) {
        self.retried = true;
    }

    /// The attempt has been under way for longer than `fail_after`. Told once; without effect when its head is there, or
    /// when it is no evidence.
    pub fn hangs(&mut self) {
        if self.hung || self.answered.is_some() {
            return;
        }
        self.hung = true;
        if let Some(arm) = self.arm.filter(|_| self.by_bucket) {
            self.surroundings.hangs(self.target, arm, self.key);
        }
    }

    /// Whether [`Ledger::head`] has been told.
    #[must_use]
    pub fn has_head(&self) -> bool {
        self.answered.is_some()
    }

    /// crossfade itself answers, with this status.
    pub fn answered_with(&mut self, status: u16) {
        self.client_status = Some(status);
    }

    pub(crate) fn stopped(&mut self, why: Stop) {
        self.answered.get_or_insert_with(|| self.surroundings.now());
        match why {
            Stop::Failed(failure) => self.failure = Some(failure),
            Stop::Client => self.client_aborted = true,
            Stop::Busy => self.by_bucket = false,
        }
    }

    /// The attempt failed and another one answers in its place.
    pub(crate) fn close_covered(mut self) {
        self.covered = true;
        self.client_status = None;
        if !self.client_aborted {
            // What old had to answer is a failure, whatever else counts as one.
            self.failure.get_or_insert(Failure::Status5xx);
        }
        self.report(None);
    }

    /// The status of the answer, once its head is there.
    pub(crate) fn status(&self) -> Option<u16> {
        self.status
    }

    /// Where it reports to.
    #[must_use]
    pub fn surroundings(&self) -> &S {
        &self.surroundings
    }

    /// The attempt is over, and was so as soon as the head was there: as [`Ledger::close`], without asking for the
    /// time again. For answers that were handed over in one go, which are most.
    pub fn close_at_head(mut self, delivery: Delivery) -> Observation {
        let head = self.answered;
        self.delivered(delivery);
        self.report(head)
    }

    /// The attempt is over. Returns what was reported.
    pub fn close(mut self, delivery: Delivery) -> Observation {
        self.delivered(delivery);
        self.report(None)
    }

    fn delivered(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Complete => {}
            Delivery::ClientGone => self.client_aborted = true,
            Delivery::Failed(failure) => self.failure = Some(failure),
            Delivery::Drained => self.drained = true,
        }
    }

    /// Reports the attempt as over at `closed`; `None`: now.
    fn report(&mut self, closed: Option<Instant>) -> Observation {
        self.open = false;
        let now = closed.unwrap_or_else(|| self.surroundings.now());
        let to_head = self.answered.unwrap_or(now).saturating_duration_since(self.asked);
        let late = !self.client_aborted
            && self
                .fail_after_ms
                .is_some_and(|limit| to_head > Duration::from_millis(u64::from(limit.get())));
        let observation = Observation {
            arm: self.arm,
            role: self.role,
            by_bucket: self.by_bucket,
            key: self.key,
            status: self.status,
            client_status: self.client_status,
            covered: self.covered,
            hung: self.hung,
            retried: self.retried,
            to_head,
            total: now.saturating_duration_since(self.began),
            failure: self.failure.or(late.then_some(Failure::Late)),
            client_aborted: self.client_aborted,
            drained: self.drained,
        };
        self.surroundings.observe(self.target, &observation);
        observation
    }
}

impl<S: Surroundings> Drop for Ledger<S> {
    fn drop(&mut self) {
        if self.open {
            self.client_aborted = true;
            self.report(None);
        }
    }
}
