//! The service that copies: as [`Service`](super::Service), with a copy of some requests to the service that does not serve
//! them.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use route_plan::{Asked, Circumstances, Compares, Copying, Ended, NotCopied, Plan, ShadowPolicy, Snapshot};
use traffic_split::{Arm, Bucket, RequestView};

use super::desk::{Account, Copies, Pass};
use super::job::{CopyLimits, Ticket, asking};
use super::leg::{Leg, lines};
use super::runtime::Runtime;
use super::teed::{Tee, Teed, size_of_fields};
use super::view::HttpView;
use super::{Call, Embedded, Observed, Shared, bodiless, head};
use crate::copies::Capture;
use crate::{Exchange, Ledger, Stop, Surroundings, carry};

/// How a service copies requests: by which policy, on which runtime, and who compares the answers.
pub struct Shadow {
    pub(super) policy: ShadowPolicy,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) compares: Arc<dyn Compares>,
    pub(super) memory_bytes: usize,
}

impl Shadow {
    /// How much memory copies and captured answers may hold, in bytes, unless [`Shadow::memory_bytes`] says otherwise.
    pub const MEMORY_BYTES: usize = 64 << 20;

    /// Copies by this policy, whose limits hold for all clones of the service together. Each pair is handed to `compares`,
    /// without [`Pair::again`](route_plan::Pair::again): what is compared here cannot be asked for once more.
    #[must_use]
    pub fn new(policy: ShadowPolicy, runtime: impl Runtime, compares: Arc<dyn Compares>) -> Self {
        Shadow { policy, runtime: Arc::new(runtime), compares, memory_bytes: Shadow::MEMORY_BYTES }
    }

    /// Copies and captured answers hold this much memory at most, in bytes; what does not fit is not copied.
    #[must_use]
    pub fn memory_bytes(mut self, bytes: usize) -> Self {
        self.memory_bytes = bytes;
        self
    }
}

/// One migration over an old and a new service, which shows by copies whether the two answer alike; made by
/// [`Migrated::over_with_shadow`](super::Migrated::over_with_shadow).
///
/// Each request is answered by exactly one of the two, and what its caller gets is the same with and without a copy: the
/// request's body and the answer pass through as they come, and are kept beside that, within the limits of the policy. The
/// copy runs on a task of its own. Nothing waits for it; its failures, panics and time-outs are counted and go no further.
/// Two things it can do all the same: block the thread that polls it, and act on what it shares with the other service. A
/// program that is built with `panic = "abort"` ends with any panic.
///
/// Requests without an `x-request-id` get one, so that both services see the same.
pub struct Shadowed<Old, New> {
    old: Old,
    new: New,
    shared: Arc<Shared>,
    copies: Arc<Copies>,
}

impl<Old, New> Shadowed<Old, New> {
    pub(super) fn new(old: Old, new: New, shared: Arc<Shared>, copies: Arc<Copies>) -> Self {
        Shadowed { old, new, shared, copies }
    }
}

impl<Old: Clone, New: Clone> Clone for Shadowed<Old, New> {
    fn clone(&self) -> Self {
        let (old, new) = (self.old.clone(), self.new.clone());
        Shadowed { old, new, shared: self.shared.clone(), copies: self.copies.clone() }
    }
}

impl<Old, New, B, A, E> tower_service::Service<Request<B>> for Shadowed<Old, New>
where
    Old: tower_service::Service<Request<Teed<B>>, Response = Response<A>, Error = E>,
    New: tower_service::Service<Request<Teed<B>>, Response = Response<A>, Error = E>,
    Old: Clone + Send + 'static,
    New: Clone + Send + 'static,
    Old::Future: Send,
    New::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    A: Body<Data = Bytes> + Send + 'static,
    E: Send + 'static,
{
    type Response = Response<Observed<Teed<A>>>;
    type Error = E;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, E>> + Send>>;

    /// Always ready: which of the two must be ready is known only when the request is.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let leg = Arc::new(Leg::default());
        let surroundings = Embedded { shared: self.shared.clone(), leg: Some(leg.clone()) };
        let snapshot = self.shared.snapshot();
        let view = HttpView::new(&request, surroundings.random());
        let is_named = request.headers().get("x-request-id").is_some_and(|id| !id.is_empty());
        if !is_named && let Ok(id) = HeaderValue::from_bytes(view.request_id()) {
            request.headers_mut().insert("x-request-id", id);
        }
        let request = Some(request.map(|body| Teed::passing(body, None)));
        let call = Call { old: self.old.clone(), new: self.new.clone(), request, view, error: None };
        let exchange = Twinned { call, leg, copies: self.copies.clone(), snapshot: snapshot.clone() };
        Box::pin(async move { carry(&snapshot, &surroundings, exchange).await })
    }
}

/// One request on its way through one of two services, with a copy for the other one.
struct Twinned<Old, New, B, E> {
    call: Call<Old, New, Teed<B>, E>,
    leg: Arc<Leg>,
    copies: Arc<Copies>,
    snapshot: Arc<Snapshot>,
}

impl<Old, New, B, A, E> Exchange<Embedded> for Twinned<Old, New, B, E>
where
    Old: tower_service::Service<Request<Teed<B>>, Response = Response<A>, Error = E>,
    New: tower_service::Service<Request<Teed<B>>, Response = Response<A>, Error = E>,
    Old: Clone + Send + 'static,
    New: Clone + Send + 'static,
    Old::Future: Send,
    New::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    A: Body<Data = Bytes> + Send + 'static,
    E: Send + 'static,
{
    type Answer = Response<A>;
    type Out = Result<Response<Observed<Teed<A>>>, E>;

    fn view(&self) -> impl RequestView {
        &self.call.view
    }

    async fn forward(&mut self, plan: &Plan, ledger: &mut Ledger<Embedded>) -> Result<Self::Answer, Stop> {
        let passed = self.begin_copy(plan);
        let mut asked = pin!(self.call.forward(plan, ledger));
        // The served request is on its way first.
        let first = poll_fn(|cx| Poll::Ready(asked.as_mut().poll(cx))).await;
        if let Some(passed) = passed {
            passed.finish();
        }
        match first {
            Poll::Ready(answered) => answered,
            Poll::Pending => asked.await,
        }
    }

    fn circumstances(&self) -> Circumstances {
        Exchange::<Embedded>::circumstances(&self.call)
    }

    fn rewind(&mut self, ended: Ended) {
        Exchange::<Embedded>::rewind(&mut self.call, ended);
    }

    async fn respond(self, plan: &Plan, mut answer: Self::Answer, ledger: Ledger<Embedded>) -> Self::Out {
        let is_bodiless = bodiless(self.call.view.is_head(), answer.status());
        let tee = self.tee_for_answer(plan, &answer, is_bodiless);
        self.call.view.add_cookie(plan, &ledger, answer.headers_mut());
        Ok(answer.map(|body| Observed::new(Teed::passing(body, tee), ledger, is_bodiless)))
    }

    async fn refuse(self, _: &Plan, _: Stop, ledger: Ledger<Embedded>) -> Self::Out {
        Err(self.call.failed(ledger))
    }

    async fn unmatched(self) -> Self::Out {
        unreachable!("the one migration of a service matches every request")
    }
}

impl<Old, New, B, A, E> Twinned<Old, New, B, E>
where
    Old: tower_service::Service<Request<Teed<B>>, Response = Response<A>, Error = E>,
    New: tower_service::Service<Request<Teed<B>>, Response = Response<A>, Error = E>,
    Old: Clone + Send + 'static,
    New: Clone + Send + 'static,
    Old::Future: Send,
    New::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    A: Body<Data = Bytes> + Send + 'static,
    E: Send + 'static,
{
    /// Decides about the copy that the plan wants, and has what it takes kept from now on. Returns what is kept where all
    /// has passed already.
    fn begin_copy(&mut self, plan: &Plan) -> Option<Tee> {
        let (copying, policy) = plan.shadow.zip(policy(&self.snapshot, plan))?;
        let decided = match copying {
            Copying::Not(why) => Err(why),
            Copying::To(arm) => self.ticket(plan, policy, arm),
        };
        let ticket = match decided {
            Ok(ticket) => Box::new(ticket),
            Err(why) => {
                self.copies.dropped(why);
                return None;
            }
        };
        let request = self.call.request.as_mut()?;
        self.leg.begin(ticket);
        let most = policy.body_bytes as usize;
        let tee = Tee::of_request(Capture::of_request(most, self.copies.memory()), self.leg.clone());
        if request.body().is_end_stream() {
            return Some(tee);
        }
        request.body_mut().keep(tee);
        None
    }

    fn ticket(&self, plan: &Plan, policy: &ShadowPolicy, arm: Arm) -> Result<Ticket, NotCopied> {
        let Some(request) = &self.call.request else { return Err(NotCopied::NotServed) };
        if request.body().size_hint().lower() > u64::from(policy.body_bytes) {
            return Err(NotCopied::TooLarge);
        }
        let head_bytes = size_of_fields(request.headers()) + self.call.view.target().len();
        let Pass { held, is_probe } = self.copies.admit(policy, arm, head_bytes)?;
        let id = u64::try_from(fastrand::u128(..) >> 64).unwrap_or(1);
        Ok(Ticket {
            account: Account::open(&self.copies),
            held,
            is_probe,
            arm,
            ask: match arm {
                Arm::Old => asking(self.call.old.clone()),
                Arm::New => asking(self.call.new.clone()),
            },
            request: head::of_copy(request, policy, id),
            content: None,
            asked: self.asked(plan, arm),
            began: self.copies.runtime.now(),
            limits: CopyLimits::of(policy),
        })
    }

    fn asked(&self, plan: &Plan, arm: Arm) -> Asked {
        let view = &self.call.view;
        let since = self.copies.runtime.time_of_day().duration_since(std::time::UNIX_EPOCH);
        let bucket = plan.assignment.as_ref().and_then(|one| one.bucket);
        Asked {
            migration: self.copies.name.clone(),
            served: arm.other(),
            method: view.method().into(),
            host: view.host().into(),
            target: view.target().into(),
            request_id: view.request_id().into(),
            fields: lines(view.headers()),
            // Told when all of it has come.
            content: Box::default(),
            key: bucket.map_or(0, Bucket::hash),
            at_ms: u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// What the served answer is kept by while it passes. One without a body has passed.
    fn tee_for_answer(&self, plan: &Plan, answer: &Response<A>, is_bodiless: bool) -> Option<Box<Tee>> {
        let most = policy(&self.snapshot, plan)?.capture_bytes as usize;
        if !self.leg.wants_answer() {
            return None;
        }
        let capture = Capture::of_answer(most, self.copies.memory());
        let (status, headers) = (answer.status().as_u16(), lines(answer.headers()));
        let tee = Tee::of_answer(capture, status, headers, self.leg.clone());
        if is_bodiless || answer.body().is_end_stream() {
            tee.finish();
            return None;
        }
        Some(Box::new(tee))
    }
}

/// The policy that the plan was made by.
fn policy<'s>(snapshot: &'s Snapshot, plan: &Plan) -> Option<&'s ShadowPolicy> {
    snapshot.migrations.get(plan.migration()?)?.shadow.as_deref()
}
