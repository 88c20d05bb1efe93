//! All lanes of the process, as those see them who ask for a request once more.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use route_plan::{Again, Answered, Asks, NotCopied};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use traffic_split::Arm;

/// Questions that may wait for one lane.
pub(super) const QUESTIONS: usize = 128;
/// Those who are turned away and have not been told yet, for one lane.
pub(super) const TURNED_AWAY: usize = 1_024;

/// The lanes that send copies, one beside each worker as soon as a migration has a shadow. By this others ask for a
/// request once more, see [`Asks`].
#[derive(Default)]
pub struct Lanes {
    doors: Mutex<Vec<Door>>,
    next: AtomicUsize,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").field("open", &lock(&self.doors).len()).finish_non_exhaustive()
    }
}

/// How one lane is asked.
pub(super) struct Door {
    pub(super) questions: mpsc::Sender<Question>,
    pub(super) turned_away: mpsc::Sender<Question>,
}

/// A request that is to be sent once more. Whoever asked is told exactly once: when it is dropped, at the latest.
pub(super) struct Question {
    pub(super) migration: Box<str>,
    pub(super) arm: Arm,
    pub(super) head: Box<[u8]>,
    answered: Option<Answered>,
    why: NotCopied,
}

impl Question {
    /// Tells what came of it.
    pub(super) fn tell(mut self, answer: Result<route_plan::Captured, NotCopied>) {
        if let Some(answered) = self.answered.take() {
            answered(answer);
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if let Some(answered) = self.answered.take() {
            answered(Err(self.why));
        }
    }
}

impl Lanes {
    /// None yet: workers start them.
    #[must_use]
    pub fn new() -> Arc<Lanes> {
        Arc::default()
    }

    /// A lane has been started.
    pub(super) fn open(&self, door: Door, thread: JoinHandle<()>) {
        let mut doors = lock(&self.doors);
        doors.retain(|door| !door.questions.is_closed());
        doors.push(door);
        lock(&self.threads).push(thread);
    }

    /// Waits until all lanes have ended, which they do with their workers.
    pub(crate) fn join(&self) {
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            // A lane that panicked has said so; with `panic = "abort"` it has ended the process.
            let _ = thread.join();
        }
    }

    /// Gives a question to the next lane that takes it by this of its queues.
    fn give(
        &self,
        mut question: Question,
        queue: fn(&Door) -> &mpsc::Sender<Question>,
    ) -> Result<(), Question> {
        let doors = lock(&self.doors);
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for at in 0..doors.len() {
            let Some(door) = doors.get(first.wrapping_add(at) % doors.len()) else { break };
            match queue(door).try_send(question) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(back)) => question = back,
                Err(TrySendError::Full(back)) => {
                    question = back;
                    question.why = NotCopied::QueueFull;
                }
            }
        }
        Err(question)
    }
}

impl Asks for Lanes {
    /// As many questions as all lanes have room for may wait; more are turned away as [`NotCopied::QueueFull`], by a lane
    /// too. Only where no lane runs, or thousands have been turned away and not been told, `answered` is called at once.
    fn ask(&self, migration: &str, again: &Again, arm: Arm, answered: Answered) {
        let question = Question {
            migration: migration.into(),
            arm,
            head: again.heads[arm.index()].clone(),
            answered: Some(answered),
            why: NotCopied::Ended,
        };
        if let Err(question) = self.give(question, |door| &door.questions) {
            // Dropped, it is answered: outside of the lock, since whoever asked may ask again.
            drop(self.give(question, |door| &door.turned_away));
        }
    }
}

/// A poisoned lock guards nothing here that could be half written, so it is used as it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn whoever_asks_is_told_once_whatever_happens() {
        let lanes = Lanes::new();
        let (told, answers) = sync_channel(QUESTIONS + TURNED_AWAY + 10);
        let again = Again { heads: [Box::from(&b"GET"[..]), Box::from(&b"GET"[..])] };
        let ask = |lanes: &Lanes| {
            let told = told.clone();
            lanes.ask("shop", &again, Arm::Old, Box::new(move |answer| told.send(answer.err()).unwrap()));
        };
        ask(&lanes);
        assert_eq!(answers.try_recv(), Ok(Some(NotCopied::Ended)), "there is nobody to ask");
        let (questions, mut asked) = mpsc::channel(QUESTIONS);
        let (turned_away, mut away) = mpsc::channel(TURNED_AWAY);
        lanes.open(Door { questions, turned_away }, std::thread::spawn(|| {}));
        (0..QUESTIONS + TURNED_AWAY).for_each(|_| ask(&lanes));
        assert!(answers.try_recv().is_err(), "they are told by the lane");
        ask(&lanes);
        assert_eq!(answers.try_recv(), Ok(Some(NotCopied::QueueFull)));
        while let Ok(question) = away.try_recv() {
            drop(question);
            assert_eq!(answers.try_recv(), Ok(Some(NotCopied::QueueFull)));
        }
        asked.try_recv().unwrap().tell(Err(NotCopied::Slow));
        assert_eq!(answers.try_recv(), Ok(Some(NotCopied::Slow)));
        drop(asked);
        assert_eq!(answers.try_iter().filter(|why| *why == Some(NotCopied::Ended)).count(), QUESTIONS - 1);
        lanes.join();
    }
}
