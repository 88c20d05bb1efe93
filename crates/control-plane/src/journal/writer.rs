//! The thread that writes.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::disk::Disk;
use super::record::{Entry, Kind};

/// How many batches may wait.
const QUEUE: usize = 64;
/// How many lines are kept that could not be written.
const MAX_UNWRITTEN: usize = 1024;
/// How long after a failure writing is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What becomes of lines that cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// They are written as soon as that is possible: what they tell has happened.
    UntilWritten,
    /// They are dropped: what they tell does not happen then.
    No,
}

/// How writing goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// Why the last attempt failed, if it did.
    pub(crate) error: Option<String>,
    /// Lines that are kept until they can be written.
    pub(crate) unwritten: usize,
    /// The last line that counts.
    pub(crate) seq: u64,
    /// Files of lines long ago that were removed since the start.
    pub(crate) removed: u64,
}

/// Tells once how writing went: why it failed, if it did.
pub(crate) type Ack = oneshot::Receiver<Result<(), String>>;

struct Batch {
    entries: Vec<Entry>,
    keep: Keep,
    done: oneshot::Sender<Result<(), String>>,
}

/// The way to the thread. It ends when this is dropped and all is written that can be.
#[derive(Debug)]
pub(crate) struct Journal {
    batches: SyncSender<Batch>,
    health: watch::Receiver<Health>,
    dir: PathBuf,
}

impl Journal {
    /// Starts the thread. With `failed` the first attempt is already made: why it failed, and what is kept of it.
    pub(crate) fn start(disk: Disk, failed: Option<(String, Vec<Entry>)>) -> std::io::Result<Self> {
        let (batches, queue) = sync_channel(QUEUE);
        let dir = disk.dir().to_owned();
        let (error, unwritten) = failed.map_or((None, Vec::new()), |(why, kept)| (Some(why), kept));
        let first = Health { error, unwritten: unwritten.len(), seq: disk.seq(), removed: disk.removed() };
        let (teller, health) = watch::channel(first.clone());
        let writer = Writer { disk, unwritten: unwritten.into(), health: first, teller };
        thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(&queue))?;
        Ok(Journal { batches, health, dir })
    }

    /// Hands in lines. `None` when too many wait: then they are not going to be written.
    pub(crate) fn append(&self, entries: Vec<Entry>, keep: Keep) -> Option<Ack> {
        let (done, ack) = oneshot::channel();
        self.batches.try_send(Batch { entries, keep, done }).ok().map(|()| ack)
    }

    /// How writing goes.
    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

struct Writer {
    disk: Disk,
    unwritten: VecDeque<Entry>,
    health: Health,
    teller: watch::Sender<Health>,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Batch>) {
        loop {
            let batch = if self.health.error.is_none() {
                queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                queue.recv_timeout(RETRY)
            };
            match batch {
                Ok(batch) => self.take(batch),
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.write(Vec::new());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    if !self.unwritten.is_empty() {
                        let _ = self.write(Vec::new());
                    }
                    return;
                }
            }
        }
    }

    fn take(&mut self, batch: Batch) {
        let Batch { entries, keep, done } = batch;
        let kept = if keep == Keep::UntilWritten { entries.clone() } else { Vec::new() };
        let result = self.write(entries);
        if result.is_err() {
            self.keep(kept);
        }
        // A caller that has gone away needs no answer.
        let _ = done.send(result);
    }

    /// Writes these lines behind those that are kept. After a failure that it can be done again is told too.
    fn write(&mut self, entries: Vec<Entry>) -> Result<(), String> {
        let mut all = Vec::from(self.unwritten.clone());
        if let Some(error) = &self.health.error {
            all.push(Entry::of_process(Kind::Recovered).with("after", error.as_str()));
        }
        all.extend(entries);
        let result = self.disk.append(&all).map_err(|error| error.to_string());
        if result.is_ok() {
            self.unwritten.clear();
        }
        self.tell(result.clone().err());
        result
    }

    /// Keeps what could not be written. Where that is too much, the first goes that a later line overrules: one with the
    /// whole state of its migration, or one more that says the same of the process or of the time served.
    fn keep(&mut self, entries: Vec<Entry>) {
        self.unwritten.extend(entries);
        while self.unwritten.len() > MAX_UNWRITTEN {
            let overruled = self.unwritten.iter().enumerate().position(|(at, one)| {
                let is_overruled_by = |later: &Entry| {
                    later.migration == one.migration && (later.state.is_some() || later.kind == one.kind)
                };
                self.unwritten.iter().skip(at + 1).any(is_overruled_by)
            });
            self.unwritten.remove(overruled.unwrap_or(0));
        }
        self.tell(self.health.error.clone());
    }

    fn tell(&mut self, error: Option<String>) {
        let now = Health {
            error,
            unwritten: self.unwritten.len(),
            seq: self.disk.seq(),
            removed: self.disk.removed(),
        };
        if now != self.health {
            self.health = now;
            // Nobody listens when the controller has ended.
            let _ = self.teller.send(self.health.clone());
        }
    }
}

#[cfg(test)]
mod tests;
