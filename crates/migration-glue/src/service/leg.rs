//! Where a request and its copy meet: what has passed of the one is what the other is made of and compared with.
//!
//! A request's body and its answer end in either order, on whatever thread they are polled, so each is told here. The copy
//! is sent when it is due; what became of the served attempt is learned from its one observation, like by everybody else.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use route_plan::{Captured, CapturedBody, FieldLines, NotCopied, Observation, When};
use tokio::sync::oneshot;

use super::desk::Held;
use super::job::{Served, ServedBy, Ticket};
use super::teed::Content;
use crate::copies::Capture;

/// One request's side of its copy.
#[derive(Default)]
pub(super) struct Leg(Mutex<State>);

#[derive(Default)]
struct State {
    stage: Stage,
    answer: Option<Answer>,
    /// How long the request's body took to come, which is not the answering service's time.
    upload: Duration,
}

#[derive(Default)]
enum Stage {
    /// There is no copy, or nothing more to say about it.
    #[default]
    None,
    /// It is made when all of the request is there, or once it is served.
    Waiting(Box<Ticket>),
    /// It is under way, and is told how the request is served.
    Sent(oneshot::Sender<Served>),
}

/// The served answer, as it passed.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: FieldLines,
    pub(super) trailers: FieldLines,
    pub(super) body: CapturedBody,
    pub(super) held: Held,
}

impl Leg {
    /// There is to be a copy.
    pub(super) fn begin(&self, ticket: Box<Ticket>) {
        self.state().stage = Stage::Waiting(ticket);
    }

    /// The request's body has passed, or what has passed cannot be kept.
    pub(super) fn request_passed(&self, capture: Capture<Held>, trailers: Option<HeaderMap>) {
        let mut state = self.state();
        let mut ticket = match std::mem::take(&mut state.stage) {
            Stage::Waiting(ticket) => ticket,
            other => return state.stage = other,
        };
        let (body, held) = capture.finish();
        let bytes = match body {
            CapturedBody::Whole(bytes) => Bytes::from(bytes),
            CapturedBody::Incomplete(why) => {
                drop(state);
                return ticket.account.close(why);
            }
            CapturedBody::Hashed { .. } => {
                drop(state);
                return ticket.account.close(NotCopied::TooLarge);
            }
        };
        ticket.held.absorb(held);
        if !bytes.is_empty() {
            state.upload = ticket.account.copies().runtime.now().saturating_duration_since(ticket.began);
        }
        ticket.content = Some(Content { bytes, trailers });
        match ticket.limits.when {
            When::After => state.stage = Stage::Waiting(ticket),
            When::With => {
                let (tell, told) = oneshot::channel();
                state.stage = Stage::Sent(tell);
                drop(state);
                ticket.send(ServedBy::Later(told));
            }
        }
    }

    /// The served answer has passed, or what has passed cannot be kept.
    pub(super) fn answer_passed(&self, answer: Answer) {
        self.state().answer = Some(answer);
    }

    /// Whether there is a copy that waits for the served answer.
    pub(super) fn wants_answer(&self) -> bool {
        !matches!(self.state().stage, Stage::None)
    }

    /// The served attempt is over.
    pub(super) fn observed(&self, observed: &Observation) {
        let State { stage, answer, upload } = std::mem::take(&mut *self.state());
        let served = match answer {
            _ if observed.client_aborted => Err(NotCopied::ClientGone),
            Some(answer) if observed.has_whole_answer() => answer.captured(observed, upload),
            _ => Err(NotCopied::NotServed),
        };
        match stage {
            Stage::None => {}
            // The copy may have been given up.
            Stage::Sent(tell) => drop(tell.send(served)),
            Stage::Waiting(ticket) => match served {
                Err(why) => ticket.account.close(why),
                Ok(served) if ticket.limits.when == When::After && ticket.content.is_some() => {
                    ticket.send(ServedBy::Now(Ok(served)));
                }
                // It was answered before all of it had been read.
                Ok(_) => ticket.account.close(NotCopied::NotServed),
            },
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    fn captured(self, observed: &Observation, upload: Duration) -> Served {
        let Answer { status, headers, trailers, body, held } = self;
        if let CapturedBody::Incomplete(why) = body {
            return Err(why);
        }
        let to_head_us =
            u64::try_from(observed.to_head.saturating_sub(upload).as_micros()).unwrap_or(u64::MAX);
        Ok((Captured { status, headers, trailers, body, to_head_us }, held))
    }
}

/// Fields as they are handed over to be compared.
pub(super) fn lines(fields: &HeaderMap) -> FieldLines {
    let mut lines = FieldLines::new();
    for (name, value) in fields {
        lines.push(name.as_str().as_bytes(), value.as_bytes());
    }
    lines
}
