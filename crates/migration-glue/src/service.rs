//! The glue as a `tower::Service` over two services.

mod body;
mod desk;
mod head;
mod job;
mod leg;
mod runtime;
mod setup;
mod shadowed;
mod teed;
mod view;

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use http::{Request, Response, StatusCode};
use route_plan::{Circumstances, Ended, Failure, Kept, Migration, Observation, Plan, Snapshot, Target};
use traffic_split::{Arm, Percent, PercentError, RequestView};

pub use body::Observed;
pub use desk::ShadowCounts;
pub use runtime::{Runtime, Task};
pub use setup::{Migrated, SetupError};
pub use shadowed::{Shadow, Shadowed};
pub use teed::Teed;

use crate::{Delivery, Exchange, Ledger, Stop, Surroundings, carry};
use desk::Copies;
use leg::Leg;
use view::HttpView;

/// What is done with each observation.
type Observer = dyn Fn(Arm, &Observation) + Send + Sync;

/// One migration over an old and a new service; made by [`Migrated::over`].
///
/// Each request is answered by exactly one of the two. Their answers pass through unchanged, but for the cookie of
/// `assign_cookie`.
pub struct Service<Old, New> {
    old: Old,
    new: New,
    shared: Arc<Shared>,
}

impl<Old: Clone, New: Clone> Clone for Service<Old, New> {
    fn clone(&self) -> Self {
        Service { old: self.old.clone(), new: self.new.clone(), shared: self.shared.clone() }
    }
}

/// Moves the percentage of a running [`Service`] or [`Shadowed`], from any thread.
#[derive(Clone)]
pub struct Dial(Arc<Shared>);

impl Dial {
    /// Sends this share of keys to the new service from the next request on.
    ///
    /// # Errors
    /// When `percent` is not a number from 0 to 100 with at most six decimals.
    pub fn set(&self, percent: &str) -> Result<(), PercentError> {
        let percent: Percent = percent.parse()?;
        self.0.change(|migration| (migration.split.percent, migration.asked) = (percent, percent));
        Ok(())
    }

    /// Whether requests are copied from the next one on. Without effect where there is no [`Shadow`].
    pub fn set_shadow(&self, is_on: bool) {
        self.0.change(|migration| {
            if let Some(policy) = &mut migration.shadow {
                policy.off = !is_on;
            }
        });
    }

    /// What became of all requests so far as copies go; `None` where there is no [`Shadow`].
    #[must_use]
    pub fn shadow_counts(&self) -> Option<ShadowCounts> {
        self.0.copies.as_ref().map(|copies| copies.counts())
    }

    /// The percentage in force.
    #[must_use]
    pub fn percent(&self) -> Percent {
        self.0.snapshot().migrations.first().map_or(Percent::ZERO, |migration| migration.split.percent)
    }
}

/// What all clones of one service share.
struct Shared {
    snapshot: Mutex<Arc<Snapshot>>,
    observer: Option<Arc<Observer>>,
    copies: Option<Arc<Copies>>,
}

impl Shared {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Publishes the snapshot with its migration changed. Requests under way keep the one that they began with.
    fn change(&self, change: impl FnOnce(&mut Migration)) {
        let mut current = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&current);
        if let Some(migration) = next.migrations.first_mut() {
            change(migration);
        }
        *current = Arc::new(next);
    }
}

impl Embedded {
    /// The `Set-Cookie` value that stores this key.
    fn cookie(&self, key: &str) -> Option<String> {
        let snapshot = self.shared.snapshot();
        snapshot.migrations.first()?.assign_cookie.as_ref().map(|cookie| cookie.render(key))
    }
}

/// The [`Surroundings`] of a service: the clock, the embedder's observer, and the copy that waits for the served attempt.
#[derive(Clone)]
pub(crate) struct Embedded {
    shared: Arc<Shared>,
    leg: Option<Arc<Leg>>,
}

impl Surroundings for Embedded {
    fn now(&self) -> Instant {
        self.shared.copies.as_ref().map_or_else(Instant::now, |copies| copies.runtime.now())
    }

    fn random(&self) -> u128 {
        fastrand::u128(..)
    }

    fn observe(&self, _target: Target, observation: &Observation) {
        if let (Some(observer), Some(arm)) = (&self.shared.observer, observation.arm) {
            observer(arm, observation);
        }
        if let Some(leg) = &self.leg {
            leg.observed(observation);
        }
    }

    fn hangs(&self, _: Target, _: Arm, _: u64) {}

    fn fail_after_ms(&self, _: Target) -> Option<NonZeroU32> {
        None
    }

    fn kept(&self, _: Target, _: Kept) {}
}

impl<Old, New, Body, Answer, E> tower_service::Service<Request<Body>> for Service<Old, New>
where
    Old: tower_service::Service<Request<Body>, Response = Response<Answer>, Error = E>,
    New: tower_service::Service<Request<Body>, Response = Response<Answer>, Error = E>,
    Old: Clone + Send + 'static,
    New: Clone + Send + 'static,
    Old::Future: Send,
    New::Future: Send,
    Body: Send + 'static,
    Answer: http_body::Body + Send + 'static,
    E: Send + 'static,
{
    type Response = Response<Observed<Answer>>;
    type Error = E;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, E>> + Send>>;

    /// Always ready: which of the two must be ready is known only when the request is.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let surroundings = Embedded { shared: self.shared.clone(), leg: None };
        let snapshot = self.shared.snapshot();
        let view = HttpView::new(&request, surroundings.random());
        let exchange =
            Call { old: self.old.clone(), new: self.new.clone(), request: Some(request), view, error: None };
        Box::pin(async move { carry(&snapshot, &surroundings, exchange).await })
    }
}

/// One request on its way through one of two services.
struct Call<Old, New, Body, E> {
    old: Old,
    new: New,
    request: Option<Request<Body>>,
    view: HttpView,
    error: Option<E>,
}

impl<Old, New, Body, Answer, E> Exchange<Embedded> for Call<Old, New, Body, E>
where
    Old: tower_service::Service<Request<Body>, Response = Response<Answer>, Error = E>,
    New: tower_service::Service<Request<Body>, Response = Response<Answer>, Error = E>,
    Answer: http_body::Body,
{
    type Answer = Response<Answer>;
    type Out = Result<Response<Observed<Answer>>, E>;

    fn view(&self) -> impl RequestView {
        &self.view
    }

    async fn forward(&mut self, plan: &Plan, ledger: &mut Ledger<Embedded>) -> Result<Self::Answer, Stop> {
        let request = self.request.take().ok_or(Stop::Client)?;
        let answered = match plan.arm {
            Some(Arm::New) => ask(&mut self.new, request).await,
            _ => ask(&mut self.old, request).await,
        };
        match answered {
            Ok(response) => {
                ledger.head(response.status().as_u16());
                Ok(response)
            }
            Err(error) => {
                self.error = Some(error);
                Err(Stop::Failed(Failure::Closed))
            }
        }
    }

    /// A service takes its request for good, so there is nothing to send a second time.
    fn circumstances(&self) -> Circumstances {
        Circumstances { body_lost: true, ..Circumstances::default() }
    }

    fn rewind(&mut self, _: Ended) {}

    async fn respond(self, plan: &Plan, mut answer: Self::Answer, ledger: Ledger<Embedded>) -> Self::Out {
        self.view.add_cookie(plan, &ledger, answer.headers_mut());
        let is_bodiless = bodiless(self.view.is_head(), answer.status());
        Ok(answer.map(|body| Observed::new(body, ledger, is_bodiless)))
    }

    async fn refuse(self, _: &Plan, _: Stop, ledger: Ledger<Embedded>) -> Self::Out {
        Err(self.failed(ledger))
    }

    async fn unmatched(self) -> Self::Out {
        unreachable!("the one migration of a service matches every request")
    }
}

impl<Old, New, Body, E> Call<Old, New, Body, E> {
    /// The error in the place of an answer: the service's failure, while its caller is still there.
    fn failed(self, ledger: Ledger<Embedded>) -> E {
        ledger.close(Delivery::Complete);
        self.error.expect("a service that gave no answer gave an error")
    }
}

/// Whether no body will be asked for, whatever the service made (RFC 9110 9.3.2, 15.3.5, 15.4.5).
fn bodiless(is_head: bool, status: StatusCode) -> bool {
    is_head || matches!(status.as_u16(), 204 | 304)
}

async fn ask<S, Request>(service: &mut S, request: Request) -> Result<S::Response, S::Error>
where
    S: tower_service::Service<Request>,
{
    std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}
