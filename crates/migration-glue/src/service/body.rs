//! The answer's body, watched to its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use route_plan::Failure;

use super::Embedded;
use crate::{Delivery, Ledger};

pin_project! {
    /// A service's body, passed through unchanged. When it ends, fails or is dropped, the attempt is accounted for.
    pub struct Observed<B> {
        #[pin]
        body: B,
        ledger: Option<Ledger<Embedded>>,
    }
}

impl<B: Body> Observed<B> {
    pub(super) fn new(body: B, ledger: Ledger<Embedded>, bodiless: bool) -> Self {
        if bodiless || body.is_end_stream() {
            ledger.close(Delivery::Complete);
            return Observed { body, ledger: None };
        }
        Observed { body, ledger: Some(ledger) }
    }
}

impl<B: Body> Body for Observed<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let polled = this.body.as_mut().poll_frame(cx);
        let delivery = match &polled {
            Poll::Ready(None) => Some(Delivery::Complete),
            Poll::Ready(Some(Err(_))) => Some(Delivery::Failed(Failure::Truncated)),
            // Whoever knows the length may never ask for the end.
            Poll::Ready(Some(Ok(_))) if this.body.is_end_stream() => Some(Delivery::Complete),
            _ => None,
        };
        if let Some(delivery) = delivery
            && let Some(ledger) = this.ledger.take()
        {
            ledger.close(delivery);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
