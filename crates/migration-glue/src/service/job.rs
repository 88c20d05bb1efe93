//! A copy on its way: sent, its answer read, both answers handed over; on a task of its own, which nobody waits for.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use route_plan::{
    Asked, Captured, CapturedBody, Failure, FieldLines, NotCopied, Observation, Pair, ShadowPolicy, When,
};
use tokio::sync::oneshot;
use traffic_split::{Arm, Percent, Role};

use super::bodiless;
use super::desk::{Account, Copies, Held, Slot};
use super::leg::lines;
use super::runtime::{before, caught};
use super::teed::{Content, Faceless, Teed, size_of_fields};
use crate::copies::{Capture, SERVED_WAIT};

/// What became of the served answer, with the memory that it takes.
pub(super) type Served = Result<(Captured, Held), NotCopied>;

/// The answer to a copy.
pub(super) type Answered = Result<Response<Pin<Box<dyn Body<Data = Bytes, Error = ()> + Send>>>, ()>;

/// Asks a service for the answer to a copy. Nothing of it runs before it is polled.
pub(super) type Ask =
    Box<dyn FnOnce(Request<Content>) -> Pin<Box<dyn Future<Output = Answered> + Send>> + Send>;

/// Where the served answer comes from.
pub(super) enum ServedBy {
    /// The request has been served.
    Now(Served),
    /// It is being served.
    Later(oneshot::Receiver<Served>),
}

/// How long a copy may take and how much of its answer is kept, as its policy says.
#[derive(Clone, Copy)]
pub(super) struct CopyLimits {
    pub(super) when: When,
    capture_bytes: usize,
    deadline: Duration,
    concurrency: u32,
    max_failures: Option<Percent>,
}

impl CopyLimits {
    pub(super) fn of(policy: &ShadowPolicy) -> CopyLimits {
        CopyLimits {
            when: policy.when,
            capture_bytes: policy.capture_bytes as usize,
            deadline: Duration::from_millis(u64::from(policy.deadline_ms)),
            concurrency: policy.concurrency,
            max_failures: policy.max_failures,
        }
    }
}

/// A copy that is to be sent.
pub(super) struct Ticket {
    pub(super) account: Account,
    pub(super) held: Held,
    pub(super) is_probe: bool,
    pub(super) arm: Arm,
    pub(super) ask: Ask,
    pub(super) request: Request<()>,
    /// The request's body, once all of it is there.
    pub(super) content: Option<Content>,
    pub(super) asked: Asked,
    /// When the served attempt began.
    pub(super) began: Instant,
    pub(super) limits: CopyLimits,
}

impl Ticket {
    /// Sends the copy beside the request, if there may be one more.
    pub(super) fn send(self: Box<Self>, served: ServedBy) {
        let copies = self.account.copies().clone();
        let Some(slot) = copies.slot(self.limits.concurrency) else {
            return self.account.close(NotCopied::Concurrency);
        };
        let job = Job { at: copies.runtime.now(), ticket: *self, slot, served };
        copies.spawn(Box::pin(async move {
            // Whatever panics ends the task, and the account is counted by then.
            let _ = caught(job.carry()).await;
        }));
    }
}

struct Job {
    ticket: Ticket,
    slot: Slot,
    at: Instant,
    served: ServedBy,
}

/// What became of a copy.
struct Outcome {
    status: Option<u16>,
    to_head: Duration,
    total: Duration,
    failure: Option<Failure>,
    answer: Served,
}

impl Job {
    /// One copy, from its sending to its comparison.
    async fn carry(self) {
        let Job { ticket, slot, at, served } = self;
        let Ticket { mut account, held, is_probe, arm, ask, request, content, mut asked, limits, .. } =
            ticket;
        let copies = account.copies().clone();
        if copies.is_shut(arm) && !is_probe {
            return account.close(NotCopied::TargetDown);
        }
        let is_head = request.method() == Method::HEAD;
        let content = content.unwrap_or_default();
        let said = content.bytes.clone();
        let request = request.map(|()| content);
        let outcome = send(&copies, ask, request, is_head, limits, at).await;
        drop(slot);
        copies.note(arm, outcome.failure.is_some(), limits.max_failures);
        copies.observe(arm, &outcome.observation(arm, asked.key));
        let copied = match outcome.answer {
            Ok(copied) => copied,
            Err(why) => return account.close(why),
        };
        let served = match wait_for(&copies, served, at + limits.deadline + SERVED_WAIT).await {
            Ok(served) => served,
            Err(why) => return account.close(why),
        };
        // The memory is counted until somebody else has the answers.
        let ((copied, _copied_held), (served, _served_held)) = (copied, served);
        let answers = match arm {
            Arm::Old => [copied, served],
            Arm::New => [served, copied],
        };
        asked.content = said.as_ref().into();
        account.presume(NotCopied::Incomparable);
        match copies.compares.take(Box::new(Pair { asked, answers, again: None })) {
            Ok(()) => account.close_with_pair(),
            Err(why) => account.close(why),
        }
        drop(held);
    }
}

impl Outcome {
    fn observation(&self, arm: Arm, key: u64) -> Observation {
        let judged = self.status.filter(|status| *status >= 500).map(|_| Failure::Status5xx);
        Observation {
            arm: Some(arm),
            role: Role::Shadow,
            by_bucket: false,
            key,
            status: self.status,
            client_status: None,
            covered: false,
            hung: false,
            retried: false,
            to_head: self.to_head,
            total: self.total,
            failure: self.failure.or(judged),
            client_aborted: false,
            drained: false,
        }
    }
}

/// Sends a copy and reads its answer, both within the deadline, which counts from `since`.
async fn send(
    copies: &std::sync::Arc<Copies>,
    ask: Ask,
    request: Request<Content>,
    is_head: bool,
    limits: CopyLimits,
    since: Instant,
) -> Outcome {
    let runtime = &copies.runtime;
    let began = runtime.now();
    let past = || runtime.now().saturating_duration_since(began);
    let left = (since + limits.deadline).saturating_duration_since(began);
    let mut alarm = runtime.sleep(left);
    let ended = |status, to_head, failure, why| {
        let total = runtime.now().saturating_duration_since(began);
        Outcome { status, to_head, total, failure, answer: Err(why) }
    };
    let response = match before(&mut alarm, caught(async move { ask(request).await })).await {
        Some(Ok(Ok(response))) => response,
        Some(_) => return ended(None, past(), Some(Failure::Closed), NotCopied::Failed),
        None => return ended(None, past(), Some(Failure::TotalTimeout), NotCopied::Slow),
    };
    let to_head = past();
    let (head, body) = response.into_parts();
    let status = head.status.as_u16();
    let mut reading = Reading {
        capture: Capture::of_answer(limits.capture_bytes, copies.memory()),
        trailers: FieldLines::new(),
    };
    reading.capture.charge(size_of_fields(&head.headers));
    if !bodiless(is_head, head.status) {
        match before(&mut alarm, caught(reading.read(body))).await {
            Some(Ok(Ok(()))) => {}
            Some(_) => return ended(Some(status), to_head, Some(Failure::Truncated), NotCopied::Failed),
            // One whose head is there may be a stream that never ends: nobody's failure.
            None => return ended(Some(status), to_head, None, NotCopied::Slow),
        }
    }
    let Reading { capture, trailers } = reading;
    let (body, held) = capture.finish();
    if let CapturedBody::Incomplete(why) = body {
        return ended(Some(status), to_head, None, why);
    }
    let to_head_us = u64::try_from(to_head.as_micros()).unwrap_or(u64::MAX);
    let captured = Captured { status, headers: lines(&head.headers), trailers, body, to_head_us };
    Outcome { status: Some(status), to_head, total: past(), failure: None, answer: Ok((captured, held)) }
}

/// An answer's body, kept as it comes.
struct Reading {
    capture: Capture<Held>,
    trailers: FieldLines,
}

impl Reading {
    /// Reads it to its end, or until it cannot be kept any more.
    async fn read(
        &mut self,
        mut body: Pin<Box<dyn Body<Data = Bytes, Error = ()> + Send>>,
    ) -> Result<(), ()> {
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            let frame = frame?;
            if let Some(content) = frame.data_ref() {
                self.capture.take(content);
            } else if let Some(trailers) = frame.trailers_ref() {
                self.capture.charge(size_of_fields(trailers));
                self.trailers = lines(trailers);
            }
            if self.capture.is_lost().is_some() {
                break;
            }
        }
        Ok(())
    }
}

/// Waits until it is known what became of the served attempt.
async fn wait_for(copies: &Copies, served: ServedBy, until: Instant) -> Served {
    let told = match served {
        ServedBy::Now(served) => return served,
        ServedBy::Later(told) => told,
    };
    let mut alarm = copies.runtime.sleep(until.saturating_duration_since(copies.runtime.now()));
    match before(&mut alarm, told).await {
        Some(Ok(served)) => served,
        Some(Err(_)) => Err(NotCopied::Ended),
        None => Err(NotCopied::NotServed),
    }
}

/// The way to a service, for a copy.
pub(super) fn asking<S, B, Answer, E>(mut service: S) -> Ask
where
    S: tower_service::Service<Request<Teed<B>>, Response = Response<Answer>, Error = E> + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    Answer: Body<Data = Bytes> + Send + 'static,
    E: Send + 'static,
{
    Box::new(move |request| {
        Box::pin(async move {
            let response = super::ask(&mut service, request.map(Teed::copy)).await.map_err(drop)?;
            Ok(response.map(|body| Box::pin(Faceless::new(body)) as Pin<Box<_>>))
        })
    })
}
