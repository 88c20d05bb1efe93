//! Reading the files beside the loop.
//!
//! A disk may be slow and a network file system may not answer at all, so no event waits for a file: one reading at a
//! time runs on a thread of its own, and what it found comes back as one more thing that happens. Whoever asks for a
//! reload meanwhile is served, together with all others, by the next reading: the one under way may have read the
//! file before they changed it.

use std::future::pending;
use std::mem::take;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use crate::event::{Cause, Reply};
use crate::handle::{ControlError, Reloaded};
use crate::source::{Content, LoadError, Loaded, load_with_content};

/// How many requests for a reload may wait for a reading.
const MAX_WAITING: usize = 64;
/// After how long a reading is said to be stuck.
const STUCK: Duration = Duration::from_secs(10);

/// What a reading found; the mark of the content also when it was refused.
pub(super) type Found = (Content, Result<Loaded, LoadError>);

/// What reads: the path, and the content that is no news, if what is the same need not be read in full.
type Source = Arc<dyn Fn(&Path, Option<&Content>) -> Option<Found> + Send + Sync>;

/// Somebody's wish for a reload.
pub(super) struct Wish {
    pub(super) cause: Cause,
    pub(super) reply: Option<Reply<Reloaded>>,
}

/// The one reader.
pub(super) struct Reader {
    source: Source,
    running: Option<Running>,
    waiting: Vec<Wish>,
    touched: bool,
    settle: Option<Duration>,
}

/// The reading under way.
struct Running {
    task: JoinHandle<Option<Found>>,
    wishes: Vec<Wish>,
    since: Instant,
    is_stuck: bool,
}

impl Reader {
    pub(super) fn new() -> Self {
        Reader { source: Arc::new(read), running: None, waiting: Vec::new(), touched: false, settle: None }
    }

    /// Asks for a reading that begins after this; turned away when too many wait.
    pub(super) fn wish(&mut self, wish: Wish) {
        self.waiting.retain(|waiting| waiting.reply.as_ref().is_none_or(|reply| !reply.is_closed()));
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push(wish);
        } else if let Some(reply) = wish.reply {
            // A caller that has gone away needs no answer; so in all cases below.
            let _ = reply.send(Err(ControlError::Busy));
        }
    }

    /// Asks for a look whether the content has changed. With `settle` somebody may still be writing it, so it counts
    /// only if it is the same that much later.
    pub(super) fn look(&mut self, settle: Option<Duration>) {
        self.touched = true;
        self.settle = self.settle.max(settle);
    }

    /// Begins a reading if one is asked for and none is under way. `seen` is the content that was looked at last.
    pub(super) fn begin(&mut self, path: &Path, seen: &Content) {
        if self.running.is_some() || (self.waiting.is_empty() && !self.touched) {
            return;
        }
        let wishes = take(&mut self.waiting);
        let known = wishes.is_empty().then(|| seen.clone());
        self.touched = false;
        let settle = self.settle.take().filter(|_| wishes.is_empty());
        let (source, path): (_, PathBuf) = (Arc::clone(&self.source), path.to_owned());
        let task = tokio::spawn(async move {
            if let (Some(settle), Some(known)) = (settle, &known)
                && !is_settled(&path, known, settle).await
            {
                return None;
            }
            // Fails only when the runtime is going down.
            spawn_blocking(move || source(&path, known.as_ref())).await.unwrap_or(None)
        });
        self.running = Some(Running { task, wishes, since: Instant::now(), is_stuck: false });
    }

    /// Waits for the end of the reading under way; for ever when there is none. Nothing is lost when this is dropped.
    pub(super) async fn next(&mut self) -> (Option<Found>, Vec<Wish>) {
        let Some(running) = &mut self.running else { return pending().await };
        // A reading that came to no end found nothing: the runtime is going down.
        let found = (&mut running.task).await.unwrap_or(None);
        let wishes = take(&mut running.wishes);
        self.running = None;
        (found, wishes)
    }

    /// Everybody who waits for a reading, which is not going to have an effect any more.
    pub(super) fn give_up(&mut self) -> Vec<Wish> {
        self.touched = false;
        let mut wishes = take(&mut self.waiting);
        if let Some(running) = &mut self.running {
            wishes.append(&mut running.wishes);
        }
        wishes
    }

    /// Says once that a reading takes too long.
    pub(super) fn tell_stuck(&mut self, path: &Path) {
        let Some(running) = &mut self.running else { return };
        if !running.is_stuck && running.since.elapsed() >= STUCK {
            running.is_stuck = true;
            tracing::warn!(
                config = %path.display(),
                "{} or a file that it names cannot be read for {} s; what runs stays, reloads wait",
                path.display(), STUCK.as_secs()
            );
        }
    }
}

/// Whether two looks that much apart find the same.
async fn is_settled(path: &Path, known: &Content, settle: Duration) -> bool {
    let now = look(path, known).await;
    if now.as_ref() == Some(known) {
        return true;
    }
    sleep(settle).await;
    now.is_some() && look(path, known).await == now
}

/// The present content; `None` when the runtime is going down.
async fn look(path: &Path, known: &Content) -> Option<Content> {
    let (path, known) = (path.to_owned(), known.clone());
    spawn_blocking(move || known.again(&path)).await.ok()
}

fn read(path: &Path, known: Option<&Content>) -> Option<Found> {
    if known.is_some_and(|known| known.again(path) == *known) {
        return None;
    }
    Some(load_with_content(path))
}

#[cfg(test)]
mod tests;
