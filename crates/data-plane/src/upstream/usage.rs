//! How much of one upstream a worker uses, and who waits for more.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use route_plan::UpstreamLimits;
use telemetry::WorkerCells;

use super::budget::Budget;

/// Counts of one upstream for one worker; they live as long as anybody uses them, whatever the configuration does.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    limits: Cell<Limits>,
    requests: Cell<usize>,
    /// Connections that are open or being opened.
    connections: Cell<usize>,
    /// Those of them that no request has.
    idle: Cell<usize>,
    /// Places in the queue, and turns that have come and have not been taken yet.
    places: Cell<usize>,
    queue: RefCell<VecDeque<Rc<Waiting>>>,
    pub(crate) budget: Budget,
    cells: Arc<WorkerCells>,
}

/// This worker's part of [`UpstreamLimits`].
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    requests: usize,
    connections: usize,
    pending: usize,
    idle_timeout_ms: u64,
    lifetime_ms: u64,
}

/// The limits are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

#[derive(Debug, Default)]
struct Waiting {
    woken: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Usage {
    pub(crate) fn new(cells: Arc<WorkerCells>) -> Rc<Usage> {
        Rc::new(Usage { cells, ..Usage::default() })
    }

    pub(crate) fn set_limits(&self, limits: &UpstreamLimits, workers: u32) {
        let share = |total| UpstreamLimits::share(total, workers as usize);
        self.limits.set(Limits {
            requests: share(limits.requests),
            connections: share(limits.connections),
            pending: if limits.pending == 0 { 0 } else { share(limits.pending) },
            idle_timeout_ms: limits.idle_timeout_ms,
            lifetime_ms: limits.lifetime_ms,
        });
        self.pass_on();
    }

    pub(crate) fn idle_timeout_ms(&self) -> u64 {
        self.limits.get().idle_timeout_ms
    }

    pub(crate) fn lifetime_ms(&self) -> u64 {
        self.limits.get().lifetime_ms
    }

    /// Lets one request in.
    pub(crate) fn admit(self: &Rc<Self>) -> Result<Ticket, Full> {
        if self.requests.get() >= self.limits.get().requests {
            return Err(Full);
        }
        self.requests.set(self.requests.get() + 1);
        Ok(Ticket(self.clone()))
    }

    /// Whether another connection may be opened.
    pub(crate) fn has_room(&self) -> bool {
        self.connections.get() < self.limits.get().connections
    }

    /// A connection was closed or became idle: whoever has waited longest may have it.
    pub(crate) fn wake_one(&self) {
        let next = self.queue.borrow_mut().pop_front();
        if let Some(next) = next {
            next.woken.set(true);
            if let Some(waker) = next.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// Whether somebody waits for a connection: whoever comes now stands behind them.
    pub(crate) fn is_awaited(&self) -> bool {
        self.places.get() > 0
    }

    /// Somebody whose turn it was has what they waited for: if there is more, it is the next one's turn.
    pub(crate) fn pass_on(&self) {
        if self.has_room() || self.idle.get() > 0 {
            self.wake_one();
        }
    }

    /// A place in the queue for a connection; `first`: at its front, for somebody who was woken in vain.
    pub(crate) fn queue(self: &Rc<Self>, first: bool) -> Result<Place, Full> {
        let mut queue = self.queue.borrow_mut();
        if !first && queue.len() >= self.limits.get().pending {
            return Err(Full);
        }
        let waiting = Rc::<Waiting>::default();
        if first {
            queue.push_front(waiting.clone());
        } else {
            queue.push_back(waiting.clone());
        }
        self.places.set(self.places.get() + 1);
        Ok(Place { usage: self.clone(), waiting })
    }
}

/// One connection, counted from when it is begun to be opened for as long as it lives.
#[derive(Debug)]
pub(crate) struct Open {
    usage: Rc<Usage>,
    is_open: bool,
}

impl Open {
    pub(crate) fn begin(usage: &Rc<Usage>) -> Open {
        usage.connections.set(usage.connections.get() + 1);
        Open { usage: usage.clone(), is_open: false }
    }

    /// It stands.
    pub(crate) fn succeeded(&mut self) {
        self.usage.cells.upstream_connects.inc();
        self.is_open = true;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.is_open {
            self.usage.cells.upstream_closed.inc();
        }
        self.usage.connections.set(self.usage.connections.get().saturating_sub(1));
        self.usage.wake_one();
    }
}

/// One connection without a request, counted for as long as that is so.
#[derive(Debug)]
pub(crate) struct Spare(Rc<Usage>);

impl Spare {
    pub(crate) fn of(usage: &Rc<Usage>) -> Spare {
        usage.idle.set(usage.idle.get() + 1);
        Spare(usage.clone())
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        self.0.idle.set(self.0.idle.get().saturating_sub(1));
    }
}

/// One request under way at an upstream, counted for as long as it lives.
#[derive(Debug)]
pub(crate) struct Ticket(Rc<Usage>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.requests.set(self.0.requests.get().saturating_sub(1));
    }
}

/// A place in the queue for a connection, and the turn when that has come.
#[derive(Debug)]
pub(crate) struct Place {
    usage: Rc<Usage>,
    waiting: Rc<Waiting>,
}

impl Place {
    /// Ready when it is this one's turn.
    pub(crate) fn poll_turn(&self, cx: &Context<'_>) -> Poll<()> {
        if self.waiting.woken.get() {
            return Poll::Ready(());
        }
        *self.waiting.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.usage.places.set(self.usage.places.get().saturating_sub(1));
        self.usage.queue.borrow_mut().retain(|other| !Rc::ptr_eq(other, &self.waiting));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(requests: usize, connections: usize, pending: usize) -> Rc<Usage> {
        let usage = Rc::<Usage>::default();
        usage.set_limits(&UpstreamLimits { requests, connections, pending, ..UpstreamLimits::default() }, 1);
        usage
    }

    #[test]
    fn requests_are_counted_for_as_long_as_they_live() {
        let usage = usage(2, 1, 1);
        let first = usage.admit().unwrap();
        let _second = usage.admit().unwrap();
        assert_eq!(usage.admit().unwrap_err(), Full);
        drop(first);
        assert!(usage.admit().is_ok());
    }

    #[test]
    fn whoever_has_waited_longest_comes_first() {
        let usage = usage(9, 1, 2);
        let open = Open::begin(&usage);
        assert!(!usage.has_room());
        let cx = Context::from_waker(Waker::noop());
        let places = [usage.queue(false).unwrap(), usage.queue(false).unwrap()];
        assert_eq!(usage.queue(false).unwrap_err(), Full);
        assert!(places.iter().all(|place| place.poll_turn(&cx).is_pending()));
        drop(open);
        assert!(usage.has_room());
        assert!(places[0].poll_turn(&cx).is_ready() && places[1].poll_turn(&cx).is_pending());
        let [woken, second] = places;
        drop(woken);
        let again = usage.queue(true).unwrap();
        usage.wake_one();
        assert!(again.poll_turn(&cx).is_ready(), "woken in vain, it goes first");
        drop(second);
        assert!(usage.queue.borrow().is_empty(), "who gives up leaves the queue");
        usage.wake_one();
    }

    #[test]
    fn whoever_comes_stands_behind_those_who_wait() {
        let usage = usage(9, 2, 9);
        let [first, second] = [Open::begin(&usage), Open::begin(&usage)];
        let cx = Context::from_waker(Waker::noop());
        let waits = usage.queue(false).unwrap();
        drop(first);
        assert!(usage.has_room() && usage.is_awaited(), "it is for the one whose turn has come");
        let behind = usage.queue(false).unwrap();
        drop(second);
        assert!(waits.poll_turn(&cx).is_ready() && behind.poll_turn(&cx).is_ready());
        drop((waits, behind));
        assert!(!usage.is_awaited());
    }

    #[test]
    fn what_is_left_over_goes_to_the_next() {
        let usage = usage(9, 1, 9);
        let open = Open::begin(&usage);
        let cx = Context::from_waker(Waker::noop());
        let places = [usage.queue(false).unwrap(), usage.queue(false).unwrap()];
        usage.set_limits(&UpstreamLimits { connections: 3, ..UpstreamLimits::default() }, 1);
        assert!(places[0].poll_turn(&cx).is_ready(), "there is more room than there was");
        assert!(places[1].poll_turn(&cx).is_pending());
        let taken = Open::begin(&usage);
        usage.pass_on();
        assert!(places[1].poll_turn(&cx).is_ready(), "for one more");
        let full = [taken, Open::begin(&usage), open];
        let last = usage.queue(false).unwrap();
        usage.pass_on();
        assert!(last.poll_turn(&cx).is_pending());
        let _spare = Spare::of(&usage);
        usage.pass_on();
        assert!(last.poll_turn(&cx).is_ready(), "an idle connection will do");
        drop(full);
    }
}
