//! The thread that compares: one loop over one queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use route_plan::{Captured, NotCopied, Pair};
use rustix::time::{ClockId, clock_gettime};
use telemetry::Compared;
use traffic_split::Arm;

use crate::budget::{Budget, Happened, LOOK, Shedding};
use crate::comparer::{Shared, lock};
use crate::desk::Moment;
use crate::gate::PAIRS;
use crate::inquiry::{Ask, Finished, Inquiries, Next};

/// How often what was found is kept.
const KEEP_EVERY: Duration = Duration::from_secs(15);
/// How long pairs are left to gather when the queue has been emptied: to be woken for each costs as much as to compare it, and
/// costs whoever hands it in, too.
const GATHER: Duration = Duration::from_millis(5);
/// The longest sleep, so that nothing is missed for long.
const MOST_SLEEP: Duration = Duration::from_secs(1);
/// The priority of the thread (setpriority(2); on Linux it is the thread's own): behind whoever serves users, beside the lanes that send copies.
const NICE: i32 = 10;

/// What the thread is told.
pub(crate) enum Message {
    /// A copied request with both its answers.
    Pair {
        /// The pair.
        pair: Box<Pair>,
        /// What it takes in memory.
        bytes: usize,
        /// When it was handed in.
        at: Instant,
    },
    /// An arm was asked once more.
    Answered {
        /// Which inquiry it is about.
        ticket: u64,
        /// Who was asked.
        arm: Arm,
        /// What came of it.
        answer: Result<Captured, NotCopied>,
    },
    /// Look what there is to do.
    Wake,
}

/// What the thread has.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    queue: Receiver<Message>,
    own: SyncSender<Message>,
    inquiries: Inquiries,
    budget: Budget,
    shedding: Shedding,
    random: fastrand::Rng,
    /// What the thread's clock said last.
    used_before: Duration,
    since_look: Look,
    /// A message came since the queue was last found empty.
    gathers: bool,
    kept_at: Instant,
}

/// What happened since the last look at what comparing costs.
struct Look {
    at: Instant,
    taken: u64,
    compared: u64,
    used: Duration,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, queue: Receiver<Message>, own: SyncSender<Message>) -> Self {
        let now = Instant::now();
        Worker {
            shared,
            queue,
            own,
            inquiries: Inquiries::default(),
            budget: Budget::new(1.0, now),
            shedding: Shedding::default(),
            random: fastrand::Rng::new(),
            used_before: Duration::ZERO,
            since_look: Look { at: now, taken: 0, compared: 0, used: Duration::ZERO },
            gathers: false,
            kept_at: now,
        }
    }

    /// Until it is told to end.
    pub(crate) fn run(mut self) {
        // Where it may not be lowered, comparing competes with users like anybody else, within its budget.
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::warn!("answers are compared with the priority of users' requests: {error}");
        }
        self.used_before = thread_time();
        while !self.shared.ending.load(Ordering::Relaxed) {
            self.shared.obey();
            let now = Instant::now();
            self.account(now);
            if let Some(wait) = self.budget.wait() {
                std::thread::park_timeout(wait.min(LOOK));
                continue;
            }
            match self.next(now) {
                Ok(message) => self.handle(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.ask_what_is_due();
            self.keep(false);
        }
        self.end();
    }

    /// What is said next. Nobody wakes the thread while pairs gather; with nothing gathered the next message does.
    fn next(&mut self, now: Instant) -> Result<Message, RecvTimeoutError> {
        match self.queue.try_recv() {
            Ok(message) => {
                self.gathers = true;
                Ok(message)
            }
            Err(TryRecvError::Empty) if std::mem::take(&mut self.gathers) => {
                std::thread::park_timeout(GATHER);
                Err(RecvTimeoutError::Timeout)
            }
            Err(TryRecvError::Empty) => self.queue.recv_timeout(self.sleep(now)),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
        }
    }

    fn sleep(&self, now: Instant) -> Duration {
        let due = self.inquiries.next_at().map(|at| at.saturating_duration_since(now));
        // What is left to be forgotten of a rush is looked at soon.
        let rest = if self.shared.gate.share() < 1.0 { LOOK } else { MOST_SLEEP };
        due.map_or(rest, |due| due.min(rest))
    }

    /// What was used of the processor since the last time, and how much is let in from now on.
    fn account(&mut self, now: Instant) {
        let used_all = thread_time();
        let used = used_all.saturating_sub(self.used_before);
        self.used_before = used_all;
        let gate = &self.shared.gate;
        self.shared.telemetry().comparer().set(gate.waiting(), used_all, gate.share());
        self.budget.set_share(self.shared.cpu_share());
        self.budget.fill(now);
        self.budget.take(used);
        self.since_look.used += used;
        let span = now.saturating_duration_since(self.since_look.at);
        if span < LOOK {
            return;
        }
        let gate = &self.shared.gate;
        let taken = gate.taken();
        let Look { compared, used, .. } = self.since_look;
        // Those that were not let in are known by the share of those that were.
        let offered = (taken - self.since_look.taken) as f64 / gate.share().max(1e-6);
        let fill = gate.waiting() as f64 / PAIRS as f64;
        let share = self.shedding.look(&self.budget, Happened { span, offered, compared, used, fill });
        gate.set_share(share, self.shedding.is_short_of_cpu() || self.budget.wait().is_some());
        self.since_look = Look { at: now, taken, compared: 0, used: Duration::ZERO };
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Pair { pair, bytes, at } => {
                let waited = at.elapsed();
                let moment = self.moment();
                if let Some(desk) = self.shared.desk(&pair.asked.migration) {
                    lock(&desk).take(*pair, waited, &moment, &mut self.inquiries);
                } else {
                    self.shared.comparisons(&pair.asked.migration).record(Compared::NotCompared);
                }
                self.shared.gate.leave(bytes);
                self.since_look.compared += 1;
            }
            Message::Answered { ticket, arm, answer } => {
                if let Some(next) = self.inquiries.answered(ticket, arm, answer) {
                    self.go_on(next);
                }
            }
            Message::Wake => {}
        }
    }

    fn ask_what_is_due(&mut self) {
        let now = Instant::now();
        if self.inquiries.next_at().is_some_and(|at| at <= now) {
            for next in self.inquiries.due(now) {
                self.go_on(next);
            }
        }
    }

    fn go_on(&mut self, next: Next) {
        match next {
            Next::Ask(ask) => self.ask(&ask),
            Next::Finished(finished) => self.finish(*finished),
        }
    }

    fn ask(&self, ask: &Ask) {
        let (ticket, arm, own) = (ask.ticket, ask.arm, self.own.clone());
        let answered = move |answer: Result<Captured, NotCopied>| {
            // There is room for every answer; one that comes when nobody listens any more is nobody's.
            let _ = own.try_send(Message::Answered { ticket, arm, answer });
        };
        match (self.shared.asks.get(), &ask.pair.again) {
            (Some(asks), Some(again)) => {
                self.shared.comparisons(&ask.pair.asked.migration).asked(ask.purpose);
                asks.ask(&ask.pair.asked.migration, again, arm, Box::new(answered));
            }
            _ => answered(Err(NotCopied::Ended)),
        }
    }

    fn finish(&mut self, finished: Finished) {
        let moment = self.moment();
        let name = finished.inquiry.pair.asked.migration.clone();
        match self.shared.desk(&name) {
            Some(desk) => lock(&desk).answered(finished, &moment),
            // Its migration has left the file meanwhile; a sampled one was counted before.
            None if finished.inquiry.is_open_pair() => {
                self.shared.comparisons(&name).record(Compared::NotCompared);
            }
            None => {}
        }
    }

    fn moment(&mut self) -> Moment {
        Moment {
            now: Instant::now(),
            random: [self.random.u64(..), self.random.u64(..)],
            asks: self.shared.asks.get().is_some(),
        }
    }

    /// Hands what was found to the disk, where there is one.
    fn keep(&mut self, all: bool) {
        if !all && self.kept_at.elapsed() < KEEP_EVERY {
            return;
        }
        self.kept_at = Instant::now();
        for desk in self.shared.desks() {
            let mut desk = lock(&desk);
            if desk.is_new || self.shared.store.is_owed(&desk.settings.name) {
                desk.is_new = false;
                self.shared.store.save(&desk);
            }
        }
    }

    /// What waits is not compared any more, and counted as that.
    fn end(&mut self) {
        self.shared.obey();
        for finished in self.inquiries.give_up() {
            self.finish(finished);
        }
        let moment = self.moment();
        while let Ok(message) = self.queue.try_recv() {
            let Message::Pair { pair, bytes, .. } = message else { continue };
            match self.shared.desk(&pair.asked.migration) {
                Some(desk) => lock(&desk).give_up(&pair, &moment),
                None => self.shared.comparisons(&pair.asked.migration).record(Compared::NotCompared),
            }
            self.shared.gate.leave(bytes);
        }
        self.keep(true);
    }
}

/// What this thread has used of a processor so far.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}
