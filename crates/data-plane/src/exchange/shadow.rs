//! The copy of a request: its body and its answer kept as they pass, the copy handed to the lane. Nothing here waits, and
//! nothing that goes wrong with it changes the served request.

use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use http1_codec::{CHUNK_END, FieldId, Framing, RequestHead, write_chunk_head, write_last_chunk};
use migration_glue::Ledger;
use migration_glue::copies::{ChildTrace, Holds};
use route_plan::{
    Asked, Captured, CapturedBody, Copying, Ended, Failure, FieldLines, NotCopied, Observation, Plan,
    ShadowPolicy, When,
};
use telemetry::{COPIED, HELD_OUT, Side};
use tokio::sync::oneshot;
use traffic_split::{Arm, Bucket, Role};

use super::H1Exchange;
use crate::buffer::Buffer;
use crate::copies::{
    Account, Capture, CopyLimits, Desk, Heads, Job, Message, Pass, Road, Served, ServedBy, lines_of_head,
    lines_of_trailers,
};
use crate::rewrite::{self, CopyForm, RequestForm};
use crate::transfer::Transfer;
use crate::worker::Site;

/// What a request under way remembers of its copy.
pub(crate) struct Twin {
    desk: Rc<Desk>,
    arm: Arm,
    stage: Stage,
    /// The hash of the key, 0 where there was none.
    key: u64,
    by_bucket: bool,
    fail_after_ms: Option<NonZeroU32>,
    /// Of the served answer.
    headers: FieldLines,
}

enum Stage {
    /// It is made when all of the request is there, or once it is served.
    Waiting(Account, Pass),
    /// The lane has it, and is told how the request is served.
    Sent(oneshot::Sender<Box<Served>>),
}

impl H1Exchange<'_> {
    /// Decides about the copy that the plan wants.
    #[inline]
    pub(super) fn begin_copy(&mut self, plan: &Plan, ledger: &Ledger<Site>) {
        if let Some(copying) = plan.shadow {
            self.decide_copy(plan, copying, ledger);
        }
    }

    fn decide_copy(&mut self, plan: &Plan, copying: Copying, ledger: &Ledger<Site>) {
        let Some((desk, policy)) = self.desk(plan) else { return };
        let decided = match copying {
            Copying::Not(why) => Err(why),
            Copying::To(arm) => self.admit_copy(plan, &desk, policy, arm).map(|pass| (arm, pass)),
        };
        self.scratch.legs.shows_copying = match copying {
            Copying::Not(NotCopied::Holdout) => Some(false),
            Copying::Not(_) => None,
            Copying::To(_) => Some(true),
        };
        let (arm, pass) = match decided {
            Ok(admitted) => admitted,
            Err(why) => return desk.track.cells.dropped(self.site.worker.index, Side::Worker, why),
        };
        let scratch = &mut *self.scratch;
        if scratch.original.is_empty() {
            let received = scratch.legs.head.as_ref().map(Buffer::filled).unwrap_or_default();
            scratch
                .original
                .extend_from_slice(received.get(..scratch.request.head_len()).unwrap_or_default());
        }
        let assignment = plan.assignment.as_ref();
        self.scratch.legs.twin = Some(Box::new(Twin {
            arm,
            stage: Stage::Waiting(Account::open(desk.track.clone()), pass),
            desk,
            key: assignment.and_then(|one| one.bucket).map_or(0, Bucket::hash),
            by_bucket: assignment.is_some_and(traffic_split::Assignment::is_evidence),
            fail_after_ms: ledger.fail_after_ms(),
            headers: FieldLines::new(),
        }));
    }

    /// Where it is decided about the copies of a plan's migration, and by what policy.
    fn desk(&self, plan: &Plan) -> Option<(Rc<Desk>, &ShadowPolicy)> {
        let view = &self.site.view;
        let index = plan.migration()?;
        let policy = view.snapshot.migrations.get(index)?.shadow.as_deref()?;
        Some((view.desks.get(index)?.clone()?, policy))
    }

    fn admit_copy(
        &self,
        plan: &Plan,
        desk: &Desk,
        policy: &ShadowPolicy,
        arm: Arm,
    ) -> Result<Pass, NotCopied> {
        let length = self.scratch.request.content_length().unwrap_or(0);
        if length > u64::from(policy.body_bytes) {
            return Err(NotCopied::TooLarge);
        }
        let worker = &self.site.worker;
        let now_ms = worker.alarms.now_ms();
        let migration = plan.migration().and_then(|index| self.site.view.snapshot.migrations.get(index));
        let upstream = migration.map(|one| if arm == Arm::Old { one.old } else { one.new });
        let pool = upstream.and_then(|upstream| self.site.view.upstreams.get(upstream));
        let is_healthy = pool.is_some_and(|pool| pool.members.iter().any(|one| one.is_eligible(now_ms)));
        worker.copier.admit(desk, policy, arm, now_ms, is_healthy)
    }

    /// What the request's body is captured by for its copy.
    pub(super) fn tee_for_copy(&self, plan: &Plan) -> Option<Box<Capture>> {
        let twin = self.scratch.legs.twin.as_ref()?;
        let Stage::Waiting(_, pass) = &twin.stage else { return None };
        let policy = self.desk(plan)?.1;
        let has_body = self.scratch.request.framing() != Framing::None;
        has_body.then(|| Box::new(Capture::of_request(policy.body_bytes as usize, pass.held.another())))
    }

    /// What the answer, whose head is in `received`, is captured by to be compared.
    pub(super) fn tee_for_answer(&mut self, plan: &Plan, received: &[u8]) -> Option<Box<Capture>> {
        self.scratch.legs.twin.as_ref()?;
        let most = self.desk(plan)?.1.capture_bytes as usize;
        let held = self.site.worker.copier.memory()?;
        let response = &self.scratch.response;
        let headers = lines_of_head(response.fields(), received);
        let mut capture = Box::new(Capture::of_answer(most, held));
        capture.charge(headers.len());
        self.scratch.legs.twin.as_mut()?.headers = headers;
        Some(capture)
    }

    /// Sends the copy if it is to go with the request and all of that is there.
    #[inline]
    pub(super) fn copy_when_due(&mut self, plan: &Plan) {
        if self.scratch.legs.twin.is_some() {
            self.copy_if_due(plan);
        }
    }

    fn copy_if_due(&mut self, plan: &Plan) {
        let legs = &self.scratch.legs;
        let is_waiting = legs.twin.as_ref().is_some_and(|twin| matches!(twin.stage, Stage::Waiting(..)));
        if !is_waiting || !legs.request_received() {
            return;
        }
        if self.desk(plan).is_none_or(|(_, policy)| policy.when != When::With) {
            return;
        }
        let Some(mut twin) = self.scratch.legs.twin.take() else { return };
        let (tell, told) = oneshot::channel();
        let Stage::Waiting(account, pass) = std::mem::replace(&mut twin.stage, Stage::Sent(tell)) else {
            return;
        };
        if self.send_copy(plan, &twin, account, pass, ServedBy::Later(told)) {
            self.scratch.legs.twin = Some(twin);
        }
    }

    /// The request is over, and this was observed of it. `has_answer`: what came of the answer is in its transfer.
    pub(super) fn end_copy(&mut self, plan: &Plan, observed: &Observation, has_answer: bool) {
        if let Some(copied) = self.scratch.legs.shows_copying.take() {
            self.show_copying(plan, observed, copied);
        }
        let Some(mut twin) = self.scratch.legs.twin.take() else { return };
        let answer = match (has_answer, observed) {
            (_, Observation { client_aborted: true, .. }) => Err(NotCopied::ClientGone),
            (true, Observation { status: Some(status), .. }) if observed.has_whole_answer() => {
                self.captured(&mut twin, *status, observed)
            }
            _ => Err(NotCopied::NotServed),
        };
        let (answer, held) = match answer {
            Ok((captured, held)) => (Ok(captured), Some(held)),
            Err(why) => (Err(why), None),
        };
        let served = Box::new(Served { observation: *observed, answer, _held: held });
        let Twin { stage, .. } = &mut *twin;
        // The lane may have given the request up.
        match std::mem::replace(stage, Stage::Sent(oneshot::channel().0)) {
            Stage::Sent(tell) => drop(tell.send(served)),
            Stage::Waiting(account, pass) => {
                let when = self.desk(plan).map(|(_, policy)| policy.when);
                match served.answer {
                    Err(why) => account.close(why),
                    Ok(_) if when == Some(When::After) && self.scratch.legs.request_received() => {
                        self.send_copy(plan, &twin, account, pass, ServedBy::Now(served));
                    }
                    // It was answered before all of it had come.
                    Ok(_) => account.close(NotCopied::NotServed),
                }
            }
        }
    }

    /// Old answers instead: there is nothing to compare, but what became of both is evidence.
    pub(super) fn copy_without_answer(&mut self, ended: Ended) {
        self.scratch.legs.shows_copying = None;
        let Some(twin) = self.scratch.legs.twin.take() else { return };
        let twin = *twin;
        let (status, failure) = match ended {
            Ended::Failed(failure) => (None, failure),
            Ended::Answered(status) => (Some(status), Failure::Status5xx),
            // There is no second attempt for a client that has gone.
            Ended::Client => return,
        };
        let observation = Observation {
            arm: Some(twin.arm.other()),
            role: Role::Served,
            by_bucket: twin.by_bucket,
            key: twin.key,
            status,
            client_status: None,
            covered: true,
            hung: false,
            retried: false,
            to_head: std::time::Duration::ZERO,
            total: std::time::Duration::ZERO,
            failure: Some(failure),
            client_aborted: false,
            drained: false,
        };
        match twin.stage {
            Stage::Sent(tell) => {
                let served = Served { observation, answer: Err(NotCopied::NotServed), _held: None };
                drop(tell.send(Box::new(served)));
            }
            Stage::Waiting(account, _) => account.close(NotCopied::NotServed),
        }
    }

    /// Counts the request among those that show what copying does to users.
    fn show_copying(&self, plan: &Plan, observed: &Observation, copied: bool) {
        let Some((desk, _)) = self.desk(plan) else { return };
        let worker = self.site.worker.index;
        if !observed.client_aborted && observed.status.is_some() {
            desk.track.cells.served(worker, copied, observed.to_head);
        }
        let arm = if copied { COPIED } else { HELD_OUT };
        desk.track.effect.record_as(worker, &mut desk.memory.borrow_mut(), arm, observed);
    }

    /// The served answer as it was received.
    fn captured(
        &mut self,
        twin: &mut Twin,
        status: u16,
        observed: &Observation,
    ) -> Result<(Captured, crate::copies::Held), NotCopied> {
        let answer = self.scratch.legs.answer.as_mut();
        let Some((capture, answer)) = answer.and_then(|answer| Some((answer.take_tee()?, answer))) else {
            return Err(NotCopied::Memory);
        };
        let trailers = lines_of_trailers(answer.trailers());
        let (body, held) = capture.finish();
        if let CapturedBody::Incomplete(why) = body {
            return Err(why);
        }
        let to_head_us = u64::try_from(observed.to_head.as_micros()).unwrap_or(u64::MAX);
        let headers = std::mem::take(&mut twin.headers);
        Ok((Captured { status, headers, trailers, body, to_head_us }, held))
    }

    /// Makes the copy and hands it to the lane; `false`: there is none, and that is accounted for.
    fn send_copy(
        &mut self,
        plan: &Plan,
        twin: &Twin,
        account: Account,
        pass: Pass,
        served: ServedBy,
    ) -> bool {
        let site = self.site.clone();
        let Some((index, policy)) = plan
            .migration()
            .and_then(|index| Some((index, site.view.snapshot.migrations.get(index)?.shadow.as_deref()?)))
        else {
            account.close(NotCopied::Off);
            return false;
        };
        let Pass { mut held, is_probe } = pass;
        let made = self.make_copy(twin.arm, index, policy, &mut held);
        let Made { message, heads, content } = match made {
            Ok(made) => made,
            Err(why) => {
                account.close(why);
                return false;
            }
        };
        let Some(slot) = site.worker.copier.slot(&twin.desk, policy) else {
            account.close(NotCopied::Concurrency);
            return false;
        };
        let limits = CopyLimits {
            capture_bytes: policy.capture_bytes as usize,
            deadline_ms: policy.deadline_ms,
            connect_ms: plan.timeouts.connect_ms,
            max_failures: policy.max_failures,
            fail_after_ms: twin.fail_after_ms,
        };
        let asked = self.asked(twin, content);
        let road = Road { lent: site.view.lent.clone(), migration: index, arm: twin.arm };
        let at = Instant::now();
        let (account, slot) = (Some(account), Some(slot));
        let job =
            Job { account, slot, _held: held, road, is_probe, message, heads, asked, limits, at, served };
        site.worker.copier.collect();
        site.worker.copier.send(Box::new(job))
    }

    /// The request as the other arm gets it, and as both would get it again.
    fn make_copy(
        &mut self,
        arm: Arm,
        migration: usize,
        policy: &ShadowPolicy,
        held: &mut crate::copies::Held,
    ) -> Result<Made, NotCopied> {
        let view = self.site.view.clone();
        let framing = self.scratch.request.framing();
        let tee = self.scratch.legs.request.as_mut().and_then(Transfer::take_tee);
        // The memory is counted as long as the copy holds it: here with the rest.
        let content = match tee.map(|tee| tee.finish().0) {
            None => Vec::new(),
            Some(CapturedBody::Whole(content)) => content,
            Some(CapturedBody::Incomplete(why)) => return Err(why),
            Some(CapturedBody::Hashed { .. }) => return Err(NotCopied::TooLarge),
        };
        let original = std::mem::take(&mut self.scratch.original);
        let id = u64::try_from(self.site.worker.random() >> 64).unwrap_or(1);
        let parent = self.scratch.request.field(FieldId::Traceparent).map(|field| field.value.of(&original));
        let trace = parent.and_then(|parent| ChildTrace::of(parent, id));
        let (credentials, host) = (&policy.credentials, policy.host.as_ref());
        let copy = CopyForm { credentials, host, trace: trace.as_ref() };
        let form = |arm: Arm| RequestForm {
            authority: "",
            forcing: &view.force_headers,
            rules: view.rules_of(migration, arm),
        };
        let mut wire = Vec::with_capacity(original.len() + 512 + content.len());
        rewrite::copy_head(&mut wire, &mut self.scratch, &original, form(arm), copy);
        let is_repeatable = self.scratch.facts.safe && framing == Framing::None;
        let heads = is_repeatable.then(|| {
            let (own, other) = (form(arm), form(arm.other()));
            if own.rules == other.rules {
                return Heads::Same;
            }
            let mut head = Vec::with_capacity(wire.len() + 128);
            rewrite::copy_head(&mut head, &mut self.scratch, &original, other, copy);
            Heads::Served(head.into())
        });
        self.scratch.original = original;
        self.append_content(&mut wire, framing, &content);
        // Beside it the fields and the content that the comparison is told of.
        if !held.grow(wire.capacity() + self.scratch.original.len() + content.capacity()) {
            return Err(NotCopied::Memory);
        }
        Ok(Made { message: Message::new(wire, is_repeatable), heads, content })
    }

    /// The content behind the head, framed as it came.
    fn append_content(&self, wire: &mut Vec<u8>, framing: Framing, content: &[u8]) {
        if framing != Framing::Chunked {
            return wire.extend_from_slice(content);
        }
        if !content.is_empty() {
            write_chunk_head(wire, content.len());
            wire.extend_from_slice(content);
            wire.extend_from_slice(CHUNK_END);
        }
        write_last_chunk(wire, self.scratch.legs.request.as_ref().map(Transfer::trailers));
    }

    fn asked(&self, twin: &Twin, content: Vec<u8>) -> Asked {
        let scratch = &self.scratch;
        let head = scratch.original.as_slice();
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Asked {
            migration: twin.desk.track.name.clone(),
            served: twin.arm.other(),
            method: scratch.request.method().of(head).into(),
            host: scratch.facts.host.of(head).into(),
            target: scratch.request.path_and_query().of(head).into(),
            request_id: scratch.request_id.as_slice().into(),
            fields: telling_fields(&scratch.request, head, !content.is_empty()),
            content: content.into(),
            key: twin.key,
            at_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The fields in which a client may say what is secret, and those by which its content can be read.
fn telling_fields(request: &RequestHead, head: &[u8], has_content: bool) -> FieldLines {
    let mut lines = FieldLines::with_capacity(head.len());
    for field in request.fields() {
        let tells = match field.id {
            FieldId::Authorization | FieldId::ProxyAuthorization | FieldId::Cookie | FieldId::Other => true,
            FieldId::ContentType | FieldId::ContentEncoding => has_content,
            _ => false,
        };
        if tells {
            lines.push(field.name.of(head), field.value.of(head));
        }
    }
    lines
}

/// A copy as it is sent.
struct Made {
    message: Message,
    /// By which it can be asked for again.
    heads: Option<Heads>,
    /// What the message has behind its head, without its framing.
    content: Vec<u8>,
}
