//! A file that has grown large is set aside, and the next one begins.
//!
//! The next one begins with a line that names the file before and the hash of its last line, as the `prev` of any line
//! does, and then has how each migration stands. So whoever starts needs the newest file alone, the others are for
//! people, and the oldest of many are removed.
//!
//! In which order, so that power may go at any point:
//!
//! 1. The head of the next file is written as `journal.next` and synced, name and all. Until here nothing has changed;
//!    what is half written is written anew the next time.
//! 2. `journal.jsonl` gets its own name, and that is synced. From here on there is no current file. Whoever starts now
//!    reads the last one that was set aside, and trusts it only because the head in `journal.next` goes on from it:
//!    else somebody took the current file away. Then it gives that one its place back, which takes no room on the
//!    disk.
//! 3. `journal.next` becomes `journal.jsonl`, and that is synced. Before it is, no line is written behind the head, so
//!    it does not matter which of the two is found.
//! 4. The oldest files beyond the limit are removed, one after the other.
//!
//! Where any of it cannot be done, as on a full disk, the file before has its place back and goes on to grow, until it
//! is tried again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::disk::{Disk, encode};
use super::read::{self, Tail, aside_name, name_of};
use super::record::{Entry, Kind};
use super::{CURRENT, NEXT};

/// A file as large as that is set aside.
const MAX_FILE_BYTES: u64 = 8 << 20;
/// So many files that were set aside are kept.
const MAX_ASIDE: usize = 16;
/// So many migrations that are not in the file any more are carried over: twice as many as are remembered.
const MAX_GONE: usize = 2048;

/// When to begin another file, and how that went.
#[derive(Debug)]
pub(super) struct Rotation {
    pub(super) max_file_bytes: u64,
    pub(super) max_aside: usize,
    pub(super) max_gone: usize,
    /// The last file that was set aside has to have its place back before anything is written.
    pub(super) gap: Option<PathBuf>,
    /// It failed, and is tried again when the file is as large as that.
    again_at: Option<u64>,
    /// Files that were removed since the start.
    removed: u64,
    /// Migrations that were not carried over since the start.
    forgotten: u64,
    /// Whether the last removal that was told of went well.
    removal_told: Option<bool>,
}

impl Default for Rotation {
    fn default() -> Self {
        Rotation {
            max_file_bytes: MAX_FILE_BYTES,
            max_aside: MAX_ASIDE,
            max_gone: MAX_GONE,
            gap: None,
            again_at: None,
            removed: 0,
            forgotten: 0,
            removal_told: None,
        }
    }
}

impl Disk {
    /// How many files of lines long ago were removed since the start.
    pub(crate) fn removed(&self) -> u64 {
        self.rotation.removed
    }

    /// Begins another file where this one is large. Where that cannot be done it is told, and this one goes on.
    ///
    /// # Errors
    /// When there is no file to go on with.
    pub(super) fn rotate_if_due(&mut self) -> io::Result<()> {
        self.close_gap()?;
        // Beginning anew must pay: after many lines, not again after a few behind a long head.
        let due = self.rotation.max_file_bytes.max(self.tail.head_bytes.saturating_mul(2));
        if self.tail.bytes < self.rotation.again_at.unwrap_or(due).max(due) {
            return Ok(());
        }
        let full = aside_name(self.tail.first_seq);
        match self.rotate() {
            Ok(()) => {
                if self.rotation.again_at.take().is_some() {
                    tracing::info!("the journal begins another file again; the one before is kept as {full}");
                }
                self.remove_oldest();
            }
            Err(error) => {
                if self.rotation.again_at.is_none() {
                    tracing::warn!(
                        "the journal's file is full and another cannot be begun: {error}; it goes on to grow, and \
                         nothing is lost"
                    );
                }
                self.rotation.again_at = Some(self.tail.bytes + self.rotation.max_file_bytes / 16);
                self.close_gap()?;
                // It takes room, and is written anew the next time.
                let _ = fs::remove_file(self.dir.join(NEXT));
            }
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let length = self.tail.bytes;
        let file = self.opened()?;
        // All of it counts, and nothing else goes with it.
        file.set_len(length)?;
        file.sync_all()?;
        let aside = self.dir.join(aside_name(self.tail.first_seq));
        if is_there(&aside)? {
            return Err(io::Error::other(format!("{} is there already", name_of(&aside))));
        }
        let (head, text, after) = self.head(&name_of(&aside))?;
        let next = self.write_next(&text)?;
        self.file = None;
        self.rotation.gap = Some(aside.clone());
        self.set_aside(&aside)?;
        self.put_in_place()?;
        self.rotation.gap = None;
        (self.file, self.tail) = (Some(next), after);
        let carried: Vec<_> = head.into_iter().filter_map(|entry| entry.migration.zip(entry.state)).collect();
        // Behind the line that begins the file.
        let numbers = self.tail.first_seq + 1..;
        self.states =
            carried.into_iter().zip(numbers).map(|((name, state), seq)| (name, (seq, state))).collect();
        Ok(())
    }

    /// What the next file begins with, and where the journal ends with that.
    fn head(&mut self, before: &str) -> io::Result<(Vec<Entry>, Vec<u8>, Tail)> {
        let mut known: Vec<_> = self.states.iter().collect();
        known.sort_by_key(|(_, (seq, _))| *seq);
        let gone = |unlatched: bool| {
            known
                .iter()
                .filter(move |(_, (_, state))| !state.is_present && state.intent.latch.is_none() == unlatched)
        };
        let many = (gone(true).count() + gone(false).count()).saturating_sub(self.rotation.max_gone);
        let forgotten: Vec<_> = gone(true).chain(gone(false)).take(many).map(|(name, _)| *name).collect();
        let states: Vec<_> = known
            .iter()
            .filter(|(name, _)| !forgotten.contains(name))
            .map(|(name, (_, state))| (*name, state.clone()))
            .collect();
        let first = Entry::of_process(Kind::Continued)
            .with("file", before)
            .with("hash", self.tail.hash.as_str())
            .with("states", states.len());
        let at: SystemTime = first.at;
        let carried =
            states.into_iter().map(|(name, state)| Entry { at, ..Entry::of(name, Kind::Carried, state) });
        let head: Vec<_> = std::iter::once(first).chain(carried).collect();
        if many > 0 {
            self.rotation.forgotten += many as u64;
            tracing::warn!(
                forgotten = self.rotation.forgotten,
                "the journal begins another file without {many} migrations that left the configuration long ago"
            );
        }
        let tail = Tail { first_seq: self.tail.seq + 1, bytes: 0, head_bytes: 0, ..self.tail.clone() };
        let (text, after) = encode(&head, &tail)?;
        let after = Tail { head_bytes: after.bytes, ..after };
        Ok((head, text, after))
    }

    fn write_next(&self, text: &[u8]) -> io::Result<File> {
        let mut next = OpenOptions::new().append(true).create(true).mode(0o640).open(self.dir.join(NEXT))?;
        next.set_len(0)?;
        next.write_all(text)?;
        next.sync_all()?;
        self.sync_dir()?;
        Ok(next)
    }

    fn set_aside(&self, aside: &Path) -> io::Result<()> {
        fs::rename(self.dir.join(CURRENT), aside)?;
        self.sync_dir()
    }

    fn put_in_place(&self) -> io::Result<()> {
        fs::rename(self.dir.join(NEXT), self.dir.join(CURRENT))?;
        self.sync_dir()
    }

    /// Gives the last file that was set aside its place back, if it is still in use. A head that took its place has no
    /// line behind it yet.
    fn close_gap(&mut self) -> io::Result<()> {
        let Some(aside) = &self.rotation.gap else { return Ok(()) };
        if is_there(aside)? {
            let current = self.dir.join(CURRENT);
            if is_there(&current)? {
                fs::rename(&current, self.dir.join(NEXT))?;
            }
            fs::rename(aside, &current)?;
            self.sync_dir()?;
        }
        self.rotation.gap = None;
        Ok(())
    }

    fn remove_oldest(&mut self) {
        let Ok(mut aside) = read::aside(&self.dir) else { return };
        while aside.len() > self.rotation.max_aside
            && let Some((_, oldest)) = aside.pop_first()
        {
            let removed = fs::remove_file(&oldest).and_then(|()| self.sync_dir());
            self.rotation.removed += u64::from(removed.is_ok());
            if self.rotation.removal_told.replace(removed.is_ok()) != Some(removed.is_ok()) {
                let (name, kept) = (name_of(&oldest), self.rotation.max_aside);
                match &removed {
                    Ok(()) => tracing::info!(
                        "the journal keeps its last {kept} files beside the current one; {name} is removed, and from \
                         now on the oldest whenever another begins"
                    ),
                    Err(error) => {
                        tracing::warn!("{name} cannot be removed, so the journal takes more room: {error}");
                    }
                }
            }
            if removed.is_err() {
                return;
            }
        }
    }
}

fn is_there(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
