//! Before the first half: an endpoint, and a connection to it. And what its failures mean for the next attempt.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use http1_codec::Framing;
use migration_glue::Stop;
use route_plan::{Failure, Plan};
use tokio::net::TcpStream;

use super::H1Exchange;
use crate::descriptors::is_out_of_descriptors;
use crate::upstream::{Full, Member, Names, Opening, Place, UpstreamPool};
use crate::view::View;

impl H1Exchange<'_> {
    /// Takes an idle connection or opens one.
    pub(super) async fn lease(&mut self, plan: &Plan, fresh_only: bool) -> Result<(), Stop> {
        let view = self.site.view.clone();
        let Some(pool) = view.upstreams.get(plan.upstream) else {
            return Err(Stop::Failed(Failure::Connect));
        };
        self.admit_to(pool)?;
        let member = self.choose(plan, pool);
        let may_reuse = !fresh_only && !pool.usage.is_awaited();
        if may_reuse && member.as_ref().is_some_and(|member| self.take_idle(member)) {
            return Ok(());
        }
        let running = self.start_connecting_clock(plan);
        let opened = Box::pin(self.open(plan, view.clone(), member, fresh_only)).await;
        self.scratch.legs.fallback_at_ms = running;
        opened
    }

    /// Counts the request among those of its upstream, if there may be one more.
    fn admit_to(&mut self, pool: &UpstreamPool) -> Result<(), Stop> {
        if self.scratch.legs.ticket.is_some() {
            return Ok(());
        }
        let worker = &self.site.worker;
        pool.usage.budget.request(worker.alarms.now_ms());
        match pool.usage.admit() {
            Ok(ticket) => {
                self.scratch.legs.ticket = Some(ticket);
                Ok(())
            }
            Err(Full) => {
                worker.cells.upstream_turned_away.inc();
                Err(Stop::Failed(Failure::Overloaded))
            }
        }
    }

    /// The endpoint for one more attempt.
    fn choose(&mut self, plan: &Plan, pool: &UpstreamPool) -> Option<Rc<Member>> {
        let worker = &self.site.worker;
        let now_ms = worker.alarms.now_ms();
        let tried = &mut self.scratch.legs.tried;
        pool.choose(now_ms, tried, plan.last_resort, |below| worker.random_below(below))
    }

    /// The usual case: the endpoint has an idle connection.
    fn take_idle(&mut self, member: &Rc<Member>) -> bool {
        let once = !self.is_repeatable();
        let worker = &self.site.worker;
        let Some(connection) = member.take_idle(once, worker.alarms.now_ms()) else { return false };
        worker.cells.upstream_reuses.inc();
        self.scratch.legs.upstream = Some(connection);
        true
    }

    /// Opens a connection to `member`, or where that gives none to another one.
    async fn open(
        &mut self,
        plan: &Plan,
        mut view: Rc<View>,
        mut member: Option<Rc<Member>>,
        fresh_only: bool,
    ) -> Result<(), Stop> {
        let mut upstream = plan.upstream;
        let patience_ms = plan.timeouts.connect_ms;
        self.set_alarm(patience_ms);
        let unknown = |pool: &UpstreamPool| pool.members.is_empty() && pool.names == Names::Unknown;
        if view.upstreams.get(upstream).is_some_and(unknown) {
            (view, upstream) = self.await_names(plan).await?;
            member = view.upstreams.get(upstream).and_then(|pool| self.choose(plan, pool));
        }
        let Some(pool) = view.upstreams.get(upstream) else { return Err(Stop::Failed(Failure::NoEndpoint)) };
        let mut turn = None;
        loop {
            let Some(one) = member else { return Err(Stop::Failed(without_endpoint(pool))) };
            let overtakes = turn.is_none() && pool.usage.is_awaited();
            if overtakes || (!pool.usage.has_room() && !pool.members.iter().any(|other| other.close_one())) {
                turn = Some(self.await_turn(pool, turn.take()).await?);
                // Whoever let go of a connection may have left it idle, here or at another endpoint.
                let now_ms = self.site.worker.alarms.now_ms();
                let mut fit = pool.members.iter().filter(|other| other.is_eligible(now_ms));
                if !fresh_only && fit.any(|other| self.take_idle(other)) {
                    pool.usage.pass_on();
                    return Ok(());
                }
                member = Some(one);
                continue;
            }
            let opening = one.begin();
            if turn.take().is_some() {
                pool.usage.pass_on();
            }
            let failure = match self.connect(opening).await {
                Ok(()) => return Ok(()),
                Err(Stop::Failed(failure)) => failure,
                Err(why) => return Err(why),
            };
            if pool.note(&one, true, self.site.worker.alarms.now_ms()) {
                self.site.worker.cells.upstream_ejections.inc();
            }
            if self.total_reached() {
                return Err(Stop::Failed(Failure::TotalTimeout));
            }
            if !self.may_try_another(pool) {
                return Err(Stop::Failed(failure));
            }
            self.set_alarm(patience_ms);
            member = self.choose(plan, pool);
            if !fresh_only && member.as_ref().is_some_and(|member| self.take_idle(member)) {
                return Ok(());
            }
        }
    }

    async fn connect(&mut self, opening: Opening) -> Result<(), Stop> {
        let stream = match self.connect_once(&opening).await {
            Err(error) if is_out_of_descriptors(&error) => {
                self.site.worker.free_descriptors();
                self.connect_once(&opening).await
            }
            connected => connected,
        }
        .map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Stop::Failed(Failure::ConnectTimeout),
            _ if is_out_of_descriptors(&error) => Stop::Busy,
            _ => Stop::Failed(Failure::Connect),
        })?;
        self.scratch.legs.upstream = Some(opening.succeeded(stream, self.site.worker.alarms.now_ms()));
        Ok(())
    }

    /// It was waited for in vain, and `failure` is why, unless the time for everything is over.
    fn waited_for(&self, failure: Failure) -> Stop {
        Stop::Failed(if self.total_reached() { Failure::TotalTimeout } else { failure })
    }

    async fn connect_once(&self, opening: &Opening) -> io::Result<TcpStream> {
        let mut connecting = pin!(opening.connect());
        let alarm = &self.client.alarm;
        poll_fn(|cx| match connecting.as_mut().poll(cx) {
            Poll::Pending if alarm.expired(cx) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            other => other,
        })
        .await
    }

    /// Waits until the names of the upstream have been looked up. The view with the addresses, and where in it the
    /// upstream is: in the meantime there may be another configuration.
    async fn await_names(&mut self, plan: &Plan) -> Result<(Rc<View>, usize), Stop> {
        let own = self.site.view.snapshot.clone();
        let Some(name) = own.upstreams.get(plan.upstream).map(|upstream| upstream.name.as_str()) else {
            return Err(Stop::Failed(Failure::NoEndpoint));
        };
        let mut board = self.site.worker.board();
        loop {
            board.mark_unchanged();
            let view = self.site.worker.view();
            let at = view.snapshot.upstreams.iter().position(|upstream| upstream.name == name);
            let Some(at) = at else { return Err(Stop::Failed(Failure::NoEndpoint)) };
            let known = view.upstreams.get(at).is_some_and(|pool| pool.names != Names::Unknown);
            if known {
                return Ok((view, at));
            }
            let mut changed = pin!(board.changed());
            let alarm = &self.client.alarm;
            let in_time = poll_fn(|cx| match changed.as_mut().poll(cx) {
                // Once the prober has ended nothing will change any more.
                Poll::Ready(changed) => Poll::Ready(changed.is_ok()),
                Poll::Pending if alarm.expired(cx) => Poll::Ready(false),
                Poll::Pending => Poll::Pending,
            });
            if !in_time.await {
                return Err(self.waited_for(Failure::ConnectTimeout));
            }
        }
    }

    /// Waits until there is room for a connection, which lasts as long as the turn is held. `before`: it was this one's turn
    /// already, and there was none after all.
    async fn await_turn(&mut self, pool: &UpstreamPool, before: Option<Place>) -> Result<Place, Stop> {
        let again = before.is_some();
        drop(before);
        let Ok(place) = pool.usage.queue(again) else {
            self.site.worker.cells.upstream_turned_away.inc();
            return Err(Stop::Failed(Failure::Overloaded));
        };
        let alarm = &self.client.alarm;
        let in_time = poll_fn(|cx| match place.poll_turn(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending if alarm.expired(cx) => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        });
        if in_time.await { Ok(place) } else { Err(self.waited_for(Failure::Overloaded)) }
    }

    /// Whether the request may go to another endpoint after one gave no connection.
    fn may_try_another(&mut self, pool: &UpstreamPool) -> bool {
        let elsewhere = (self.scratch.legs.retries as usize) + 1 < pool.members.len();
        elsewhere && !self.fallback_due() && self.spend_retry(pool)
    }

    /// Whether a request that failed after it was sent may be sent again: it has a safe method, the operator says so, and
    /// nothing of an answer has come (RFC 9110 9.2.2).
    pub(super) fn may_retry(&mut self, plan: &Plan, failure: Failure) -> bool {
        let view = self.site.view.clone();
        let Some(pool) = view.upstreams.get(plan.upstream) else { return false };
        let legs = &self.scratch.legs;
        pool.retry.safe_methods
            && failure == Failure::Closed
            && self.scratch.facts.safe
            && self.scratch.request.framing() == Framing::None
            && legs.incoming.is_none()
            && !legs.begun
            && !self.fallback_due()
            && self.spend_retry(pool)
    }

    fn spend_retry(&mut self, pool: &UpstreamPool) -> bool {
        let worker = &self.site.worker;
        if self.scratch.legs.retries >= pool.retry.attempts {
            return false;
        }
        if !pool.usage.budget.retry(&pool.retry, worker.workers, worker.alarms.now_ms()) {
            worker.cells.upstream_retries_withheld.inc();
            return false;
        }
        worker.cells.upstream_retries.inc();
        self.scratch.legs.retries += 1;
        true
    }

    /// An attempt with a connection has ended: the endpoint's record is kept by that.
    pub(super) fn note_attempt(&mut self, plan: &Plan, failure: Option<Failure>) {
        let Some(connection) = &self.scratch.legs.upstream else { return };
        let Some(pool) = self.site.view.upstreams.get(plan.upstream) else { return };
        // Statuses by which gateways and servers say that they cannot, not that the request was wrong.
        let failed = failure.is_some() || matches!(self.scratch.response.status(), 502..=504);
        let worker = &self.site.worker;
        if pool.note(&connection.home(), failed, worker.alarms.now_ms()) {
            worker.cells.upstream_ejections.inc();
        }
    }
}

/// Why there is nobody to ask.
fn without_endpoint(pool: &UpstreamPool) -> Failure {
    let nowhere = pool.members.is_empty() && pool.names == Names::NotFound;
    if nowhere { Failure::Connect } else { Failure::NoEndpoint }
}
