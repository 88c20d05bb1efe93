//! The story of one request.

use std::future::Future;
use std::num::NonZeroU32;
use std::time::Instant;

use route_plan::{Circumstances, Decision, Ended, Failure, Kept, Observation, Plan, Snapshot, Target};
use traffic_split::{Arm, RequestView};

use crate::Ledger;

/// Where a request's time and randomness come from, and where its evidence goes.
pub trait Surroundings: Clone {
    /// Monotonic time.
    fn now(&self) -> Instant;
    /// Random bits, for a fresh key; need not be fit for secrets.
    fn random(&self) -> u128;
    /// Takes what became of one attempt. Called exactly once for each.
    fn observe(&self, target: Target, observation: &Observation);
    /// An attempt has been under way for longer than its `fail_after`, and is still. Its observation comes later, and says
    /// that it hung.
    fn hangs(&self, target: Target, arm: Arm, key: u64);
    /// After how many milliseconds an attempt that is evidence counts as hung where its plan does not say; `None`: never.
    fn fail_after_ms(&self, target: Target) -> Option<NonZeroU32>;
    /// A failure of new is passed on although the migration falls back.
    fn kept(&self, target: Target, why: Kept);
}

/// Why no answer came back from [`Exchange::forward`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The upstream failed.
    Failed(Failure),
    /// The client went away, or its request turned out to be malformed: nobody's failure but its own.
    Client,
    /// Whoever carries the request lacks what it takes, such as a descriptor: no failure of the upstream.
    Busy,
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
    /// end of the request's body when that came later than the start, to the ledger. Where the plan has a copy for the other
    /// arm, the exchange keeps what that takes as it passes, and sends it on detached: nothing of it is waited for here or in
    /// any later step.
    fn forward(
        &mut self,
        plan: &Plan,
        ledger: &mut Ledger<S>,
    ) -> impl Future<Output = Result<Self::Answer, Stop>>;

    /// What the decision about falling back depends on, once [`Exchange::forward`] has ended.
    fn circumstances(&self) -> Circumstances;

    /// Gives up what came of the attempt, and makes the request ready to be forwarded once more, as it came in. Called at
    /// most once, and only where [`Exchange::circumstances`] say that all of it that was received has been kept.
    fn rewind(&mut self, ended: Ended);

    /// Streams the answer to the client, and closes the ledger once its last byte is handed over.
    fn respond(self, plan: &Plan, answer: Self::Answer, ledger: Ledger<S>)
    -> impl Future<Output = Self::Out>;

    /// Tells the client that there is no answer, and closes the ledger.
    fn refuse(self, plan: &Plan, why: Stop, ledger: Ledger<S>) -> impl Future<Output = Self::Out>;

    /// No migration and no route matches: 404.
    fn unmatched(self) -> impl Future<Output = Self::Out>;
}

/// Takes one admitted request through match, assign, plan, forward, respond and observe. Where new fails it and the plan
/// has a fallback, old answers; then there are two attempts, each observed. A copy that the plan has for the other arm goes
/// its own way from forward on, and is observed by whoever sends it.
///
/// After the plan is made nothing reads configuration, so a request never sees half of two of them.
pub async fn carry<S, X>(snapshot: &Snapshot, surroundings: &S, mut exchange: X) -> X::Out
where
    S: Surroundings,
    X: Exchange<S>,
{
    // Not by way of a variable, which would stay beside the plan for as long as the request lives.
    let Some(plan) = route_plan::plan(snapshot, &exchange.view(), &mut || surroundings.random()) else {
        return exchange.unmatched().await;
    };
    let mut ledger = Ledger::open(&plan, surroundings.clone());
    let answered = exchange.forward(&plan, &mut ledger).await;
    if let Some((by_old, ended)) = fallback(&plan, &answered, &exchange, &ledger) {
        if let Err(why) = &answered {
            ledger.stopped(*why);
        }
        ledger.close_covered();
        exchange.rewind(ended);
        // Rare and large, so that no other request carries its weight.
        return Box::pin(answer_by_old(by_old, surroundings, exchange)).await;
    }
    match answered {
        Ok(answer) => exchange.respond(&plan, answer, ledger).await,
        Err(why) => {
            ledger.stopped(why);
            exchange.refuse(&plan, why, ledger).await
        }
    }
}

/// The plan for old to answer instead, if that is to happen.
fn fallback<S, X>(
    plan: &Plan,
    answered: &Result<X::Answer, Stop>,
    exchange: &X,
    ledger: &Ledger<S>,
) -> Option<(Plan, Ended)>
where
    S: Surroundings,
    X: Exchange<S>,
{
    let policy = plan.fallback.as_ref()?;
    let ended = match answered {
        Ok(_) => Ended::Answered(ledger.status()?),
        Err(Stop::Failed(failure)) => Ended::Failed(*failure),
        Err(Stop::Client | Stop::Busy) => Ended::Client,
    };
    match policy.decide(ended, exchange.circumstances()) {
        Decision::FallBack => Some((plan.by_old()?, ended)),
        Decision::PassOn => None,
        Decision::Keep(why) => {
            ledger.surroundings().kept(plan.target, why);
            None
        }
    }
}

async fn answer_by_old<S, X>(plan: Plan, surroundings: &S, mut exchange: X) -> X::Out
where
    S: Surroundings,
    X: Exchange<S>,
{
    let mut ledger = Ledger::open(&plan, surroundings.clone());
    match exchange.forward(&plan, &mut ledger).await {
        Ok(answer) => exchange.respond(&plan, answer, ledger).await,
        Err(why) => {
            ledger.stopped(why);
            exchange.refuse(&plan, why, ledger).await
        }
    }
}
