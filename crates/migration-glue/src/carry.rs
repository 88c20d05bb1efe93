//! The story of one request.

use std::future::Future;
use std::time::Instant;

use route_plan::{Failure, Observation, Plan, Snapshot, Target};
use traffic_split::RequestView;

use crate::Ledger;

/// Where a request's time and randomness come from, and where its evidence goes.
pub trait Surroundings: Clone {
    /// Monotonic time.
    fn now(&self) -> Instant;
    /// Random bits, for a fresh key; need not be fit for secrets.
    fn random(&self) -> u128;
    /// Takes what became of one attempt. Called exactly once for each.
    fn observe(&self, target: Target, observation: &Observation);
}

/// Why no answer came back from [`Exchange::forward`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The upstream failed.
    Failed(Failure),
    /// The client went away, or its request turned out to be malformed: nobody's failure but its own.
    Client,
}

/// One request, and how it is sent on and answered.
pub trait Exchange<S: Surroundings> {
    /// An answer whose head is there and whose body may still be on its way.
    type Answer;
    /// What the caller of [`carry`] gets.
    type Out;

    /// What decisions may see of the request.
    fn view(&self) -> impl RequestView;

    /// Sends the request to the plan's upstream and waits for the head of the answer. Reports its status, and the
    /// end of the request's body when that came later than the start, to the ledger.
    fn forward(
        &mut self,
        plan: &Plan,
        ledger: &mut Ledger<S>,
    ) -> impl Future<Output = Result<Self::Answer, Stop>>;

    /// Streams the answer to the client, and closes the ledger once its last byte is handed over.
    fn respond(self, plan: &Plan, answer: Self::Answer, ledger: Ledger<S>)
    -> impl Future<Output = Self::Out>;

    /// Tells the client that there is no answer, and closes the ledger.
    fn refuse(self, plan: &Plan, why: Stop, ledger: Ledger<S>) -> impl Future<Output = Self::Out>;

    /// No migration and no route matches: 404.
    fn unmatched(self) -> impl Future<Output = Self::Out>;
}

/// Takes one admitted request through match, assign, plan, forward, respond and observe.
///
/// After the plan is made nothing reads configuration, so a request never sees half of two of them.
pub async fn carry<S, X>(snapshot: &Snapshot, surroundings: &S, mut exchange: X) -> X::Out
where
    S: Surroundings,
    X: Exchange<S>,
{
    let plan = route_plan::plan(snapshot, &exchange.view(), &mut || surroundings.random());
    let Some(plan) = plan else {
        return exchange.unmatched().await;
    };
    let mut ledger = Ledger::open(&plan, surroundings.clone());
    match exchange.forward(&plan, &mut ledger).await {
        Ok(answer) => exchange.respond(&plan, answer, ledger).await,
        Err(why) => {
            ledger.stopped(why);
            exchange.refuse(&plan, why, ledger).await
        }
    }
}
