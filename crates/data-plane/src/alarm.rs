//! Deadlines without a timer each.
//!
//! Every connection has one [`Alarm`], a number in a cell. Moving a deadline, which happens several times a request,
//! is a store. One tick for the whole worker looks at all of them and wakes those whose time has come; whoever is
//! woken finds out from [`Alarm::expired`]. A deadline fires at most two [`TICK_MS`] late and never early: when the
//! worker itself was held up, that time does not count.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Instant;

/// How often deadlines are looked at, in milliseconds.
pub(crate) const TICK_MS: u64 = 25;

/// A deadline that never comes.
const NEVER: u64 = u64::MAX;

/// All alarms of one worker, and its coarse clock.
#[derive(Debug)]
pub(crate) struct Alarms {
    began: Instant,
    now_ms: Cell<u64>,
    set: RefCell<Vec<Rc<State>>>,
}

#[derive(Debug)]
struct State {
    deadline_ms: Cell<u64>,
    waker: RefCell<Option<Waker>>,
    /// Woken also when users are moved.
    follows_moves: Cell<bool>,
    /// Where it stands in [`Alarms::set`].
    at: Cell<usize>,
}

impl State {
    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl Alarms {
    pub(crate) fn new() -> Rc<Alarms> {
        Rc::new(Alarms { began: Instant::now(), now_ms: Cell::new(0), set: RefCell::default() })
    }

    /// Milliseconds since the worker began, at most one tick old.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// A new alarm, not yet set.
    pub(crate) fn alarm(self: &Rc<Self>) -> Alarm {
        let mut set = self.set.borrow_mut();
        let state = Rc::new(State {
            deadline_ms: Cell::new(NEVER),
            waker: RefCell::new(None),
            follows_moves: Cell::new(false),
            at: Cell::new(set.len()),
        });
        set.push(state.clone());
        Alarm { state, alarms: self.clone() }
    }

    /// Moves the clock and wakes whose time has come.
    pub(crate) fn tick(&self) {
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(NEVER - 1);
        let held_up_ms = (now_ms - self.now_ms.get()).saturating_sub(2 * TICK_MS);
        self.now_ms.set(now_ms);
        for state in self.set.borrow().iter() {
            if held_up_ms > 0 {
                // What was set meanwhile was reckoned from a clock that stood.
                state.deadline_ms.set(state.deadline_ms.get().saturating_add(held_up_ms));
            }
            if state.deadline_ms.get() <= now_ms {
                state.wake();
            }
        }
    }

    /// Wakes everybody: something changed that all should look at.
    pub(crate) fn wake_all(&self) {
        self.set.borrow().iter().for_each(|state| state.wake());
    }

    /// Wakes those who want to know that users were moved.
    pub(crate) fn wake_followers(&self) {
        self.set.borrow().iter().filter(|state| state.follows_moves.get()).for_each(|state| state.wake());
    }
}

/// One connection's deadline.
#[derive(Debug)]
pub(crate) struct Alarm {
    state: Rc<State>,
    alarms: Rc<Alarms>,
}

impl Alarm {
    /// Fires `after_ms` from now, but no later than `limit_ms` on the worker's clock.
    pub(crate) fn set(&self, after_ms: u64, limit_ms: Option<u64>) {
        let deadline_ms = self.deadline(after_ms);
        self.state.deadline_ms.set(deadline_ms.min(limit_ms.unwrap_or(NEVER)));
    }

    /// As [`Alarm::set`]; returns the deadline that it had, for [`Alarm::restore`].
    pub(crate) fn swap(&self, after_ms: u64, limit_ms: Option<u64>) -> u64 {
        let before_ms = self.state.deadline_ms.get();
        self.set(after_ms, limit_ms);
        before_ms
    }

    /// Back to a deadline that [`Alarm::swap`] returned.
    pub(crate) fn restore(&self, deadline_ms: u64) {
        self.state.deadline_ms.set(deadline_ms);
    }

    /// Whether the task is also woken when users are moved.
    pub(crate) fn follow_moves(&self, follows: bool) {
        self.state.follows_moves.set(follows);
    }

    /// The moment `after_ms` from now on the worker's clock. The clock may be one tick behind: that is added.
    pub(crate) fn deadline(&self, after_ms: u64) -> u64 {
        self.alarms.now_ms().saturating_add(after_ms).saturating_add(TICK_MS)
    }

    /// Whether this moment of [`Alarm::deadline`] has come.
    pub(crate) fn reached(&self, deadline_ms: u64) -> bool {
        self.alarms.now_ms() >= deadline_ms
    }

    /// Whether its time has come. If not, the task is woken when it has.
    pub(crate) fn expired(&self, cx: &Context<'_>) -> bool {
        if self.alarms.now_ms() >= self.state.deadline_ms.get() {
            return true;
        }
        let mut waker = self.state.waker.borrow_mut();
        match &*waker {
            Some(known) if known.will_wake(cx.waker()) => {}
            _ => *waker = Some(cx.waker().clone()),
        }
        false
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let mut set = self.alarms.set.borrow_mut();
        let at = self.state.at.get();
        set.swap_remove(at);
        if let Some(moved) = set.get(at) {
            moved.at.set(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_keeps_the_places_of_the_others() {
        let alarms = Alarms::new();
        let mut held: Vec<_> = (0..10).map(|_| alarms.alarm()).collect();
        for at in [3, 0, 5, 1] {
            held.swap_remove(at);
        }
        assert_eq!(alarms.set.borrow().len(), 6);
        for alarm in &held {
            assert!(Rc::ptr_eq(&alarms.set.borrow()[alarm.state.at.get()], &alarm.state));
        }
    }

    #[test]
    fn only_followers_are_woken_when_users_are_moved() {
        struct Count(std::sync::atomic::AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: std::sync::Arc<Self>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let alarms = Alarms::new();
        let woken: Vec<_> = (0..3)
            .map(|at| {
                let count = std::sync::Arc::new(Count(0.into()));
                let (alarm, waker) = (alarms.alarm(), Waker::from(count.clone()));
                alarm.follow_moves(at != 1);
                assert!(!alarm.expired(&Context::from_waker(&waker)));
                (alarm, count)
            })
            .collect();
        woken[2].0.follow_moves(false);
        alarms.wake_followers();
        alarms.wake_followers();
        let counts: Vec<_> =
            woken.iter().map(|one| one.1.0.load(std::sync::atomic::Ordering::Relaxed)).collect();
        assert_eq!(counts, [1, 0, 0], "and once, until it waits again");
    }

    #[test]
    fn a_limit_comes_before_the_deadline() {
        let alarms = Alarms::new();
        let alarm = alarms.alarm();
        alarm.set(1_000, Some(10));
        let cx = Context::from_waker(Waker::noop());
        assert!(!alarm.expired(&cx));
        alarms.now_ms.set(10);
        assert!(alarm.expired(&cx));
        alarm.set(1_000, None);
        assert!(!alarm.expired(&cx));
    }
}
