//! Bodies that pass through a service with a shadow, and are kept beside it as far as that is wanted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use route_plan::FieldLines;

use super::desk::Held;
use super::leg::{Answer, Leg, lines};
use crate::copies::Capture;

pin_project! {
    /// A body of a [`Shadowed`](super::Shadowed) service: the caller's own, passed through unchanged, or that of a copy.
    pub struct Teed<B> {
        #[pin]
        flow: Flow<B>,
    }
}

pin_project! {
    #[project = FlowNow]
    enum Flow<B> {
        Passing { #[pin] body: B, tee: Option<Box<Tee>> },
        Copy { content: Option<Bytes>, trailers: Option<HeaderMap> },
    }
}

/// All of a request's body, for its copy.
#[derive(Default)]
pub(super) struct Content {
    pub(super) bytes: Bytes,
    pub(super) trailers: Option<HeaderMap>,
}

/// What is kept of a body while it passes, and who gets it when all has passed.
pub(super) struct Tee {
    capture: Capture<Held>,
    trailers: Option<HeaderMap>,
    leg: Arc<Leg>,
    /// Status and fields of the answer that it is the body of; `None`: it is a request's.
    answer: Option<(u16, FieldLines)>,
}

impl Tee {
    /// Of a request.
    pub(super) fn of_request(capture: Capture<Held>, leg: Arc<Leg>) -> Tee {
        Tee { capture, trailers: None, leg, answer: None }
    }

    /// Of the served answer.
    pub(super) fn of_answer(
        mut capture: Capture<Held>,
        status: u16,
        headers: FieldLines,
        leg: Arc<Leg>,
    ) -> Tee {
        capture.charge(headers.len());
        Tee { capture, trailers: None, leg, answer: Some((status, headers)) }
    }

    fn take(&mut self, frame: &Frame<Bytes>) {
        if let Some(content) = frame.data_ref() {
            self.capture.take(content);
        } else if let Some(trailers) = frame.trailers_ref() {
            self.capture.charge(size_of_fields(trailers));
            self.trailers = Some(trailers.clone());
        }
    }

    /// Hands over what was kept: all has passed, or what has cannot be kept.
    pub(super) fn finish(self) {
        let Tee { capture, trailers, leg, answer } = self;
        match answer {
            None => leg.request_passed(capture, trailers),
            Some((status, headers)) => {
                let (body, held) = capture.finish();
                let trailers = trailers.as_ref().map(lines).unwrap_or_default();
                leg.answer_passed(Answer { status, headers, trailers, body, held });
            }
        }
    }
}

/// How much memory fields take, in bytes, as far as they are copied.
pub(super) fn size_of_fields(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

impl<B> Teed<B> {
    /// Passes it through.
    pub(super) fn passing(body: B, tee: Option<Box<Tee>>) -> Self {
        Teed { flow: Flow::Passing { body, tee } }
    }

    /// Passes through what passes already, and keeps it from now on.
    pub(super) fn keep(&mut self, kept: Tee) {
        if let Flow::Passing { tee, .. } = &mut self.flow {
            *tee = Some(Box::new(kept));
        }
    }

    pub(super) fn copy(content: Content) -> Self {
        let bytes = Some(content.bytes).filter(|bytes| !bytes.is_empty());
        Teed { flow: Flow::Copy { content: bytes, trailers: content.trailers } }
    }
}

impl<B: Body<Data = Bytes>> Body for Teed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().flow.project() {
            FlowNow::Passing { mut body, tee } => {
                let polled = body.as_mut().poll_frame(cx);
                if let Some(mut kept) = tee.take() {
                    let is_through = match &polled {
                        Poll::Pending => false,
                        Poll::Ready(None) => true,
                        // It broke off: there is nothing whole to hand over.
                        Poll::Ready(Some(Err(_))) => return polled,
                        Poll::Ready(Some(Ok(frame))) => {
                            kept.take(frame);
                            // Whoever knows the length may never ask for the end.
                            kept.capture.is_lost().is_some() || body.is_end_stream()
                        }
                    };
                    if is_through {
                        kept.finish();
                    } else {
                        *tee = Some(kept);
                    }
                }
                polled
            }
            FlowNow::Copy { content, trailers } => {
                let data = content.take().map(Frame::data);
                let frame = data.or_else(|| trailers.take().map(Frame::trailers));
                Poll::Ready(frame.map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.flow {
            Flow::Passing { body, .. } => body.is_end_stream(),
            Flow::Copy { content, trailers } => content.is_none() && trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.flow {
            Flow::Passing { body, .. } => body.size_hint(),
            Flow::Copy { content, .. } => {
                SizeHint::with_exact(content.as_ref().map_or(0, |content| content.len() as u64))
            }
        }
    }
}

pin_project! {
    /// The body of a copied service's answer, whatever its errors are.
    pub(super) struct Faceless<B> {
        #[pin]
        body: B,
    }
}

impl<B> Faceless<B> {
    pub(super) fn new(body: B) -> Self {
        Faceless { body }
    }
}

impl<B: Body<Data = Bytes>> Body for Faceless<B> {
    type Data = Bytes;
    type Error = ();

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ()>>> {
        self.project().body.poll_frame(cx).map_err(drop)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
