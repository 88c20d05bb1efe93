//! The state directory: locked, read, written.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;

use rustix::fs::{FlockOperation, flock};

use super::line;
use super::read::{self, States, Tail};
use super::record::{Entry, State};
use super::rotation::Rotation;
use super::{CURRENT, JournalError, LOCK, MAX_LINE_BYTES};

/// The journal as it is on disk. Blocks.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(super) dir: PathBuf,
    /// The last line that was synced. What is behind it in the file is not trusted.
    pub(super) tail: Tail,
    /// How everything stands after it.
    pub(super) states: States,
    /// The current file; `None` before the first write and after one that failed.
    pub(super) file: Option<File>,
    pub(super) rotation: Rotation,
    /// Held for as long as the process uses the directory.
    _lock: File,
}

/// What the journal said when it was opened.
#[derive(Debug)]
pub(crate) struct Told {
    /// The last state of each migration, the one that was told of longest ago first.
    pub(crate) states: Vec<(String, State)>,
    /// The bytes of a last line that was not whole, and is cut off.
    pub(crate) torn_bytes: u64,
}

impl Disk {
    /// Locks the directory, which is made if it is not there, and reads the journal in it.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Told), JournalError> {
        Self::open_with(dir, Rotation::default())
    }

    pub(super) fn open_with(dir: &Path, mut rotation: Rotation) -> Result<(Self, Told), JournalError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o750).create(dir);
        made.map_err(|error| JournalError::unusable("make", dir, error))?;
        let lock = lock(dir)?;
        let found = read::newest(dir)?;
        rotation.gap = found.gap;
        let mut states: Vec<_> = found.states.clone().into_iter().collect();
        states.sort_by_key(|(_, (seq, _))| *seq);
        let states = states.into_iter().map(|(name, (_, state))| (name, state)).collect();
        let (tail, known) = (found.tail, found.states);
        let disk = Disk { dir: dir.to_owned(), tail, states: known, file: None, rotation, _lock: lock };
        Ok((disk, Told { states, torn_bytes: found.torn_bytes }))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The number of the last line that counts.
    pub(crate) fn seq(&self) -> u64 {
        self.tail.seq
    }

    /// Writes these lines and syncs them: all of them count when this returns, or none.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        self.rotate_if_due()?;
        let (text, after) = encode(entries, &self.tail)?;
        if let Err(error) = self.write(&text, after.bytes) {
            // Nobody is going to be told that these lines count, so a restart should not find them either. Where that
            // fails too, the next write cuts them off.
            if let Some(file) = self.file.take() {
                let _ = file.set_len(self.tail.bytes);
            }
            return Err(error);
        }
        for (entry, seq) in entries.iter().zip(self.tail.seq + 1..) {
            let from = read::renamed_from(entry.kind.as_str(), &entry.data);
            read::note(&mut self.states, seq, entry.migration.as_deref(), from, entry.state.clone());
            read::note_served(&mut self.states, entry.served());
        }
        self.tail = after;
        Ok(())
    }

    fn write(&mut self, text: &[u8], bytes_after: u64) -> io::Result<()> {
        let file = self.opened()?;
        file.write_all(text)?;
        file.sync_all()?;
        let found = file.metadata()?;
        if found.nlink() == 0 {
            return Err(io::Error::other(format!("{CURRENT} was removed while it was in use")));
        }
        if found.len() != bytes_after {
            return Err(io::Error::other(format!("something else writes into {CURRENT}")));
        }
        Ok(())
    }

    /// Opens the current file and cuts off what does not count.
    fn reopen(&self) -> io::Result<File> {
        let path = self.dir.join(CURRENT);
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(&path)?;
        let length = file.metadata()?.len();
        if length < self.tail.bytes {
            return Err(io::Error::other(format!("{CURRENT} has become shorter than what was written")));
        }
        if length > self.tail.bytes {
            file.set_len(self.tail.bytes)?;
        }
        self.sync_dir()?;
        Ok(file)
    }

    /// The current file, of which all counts.
    pub(super) fn opened(&mut self) -> io::Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.reopen()?,
        };
        Ok(self.file.insert(file))
    }

    pub(super) fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

/// The text of these lines after `tail`, and where the journal ends with them.
pub(super) fn encode(entries: &[Entry], tail: &Tail) -> io::Result<(Vec<u8>, Tail)> {
    let (mut text, mut after) = (Vec::new(), tail.clone());
    for entry in entries {
        after.seq += 1;
        let line = line::encode(entry, after.seq, &after.hash);
        if line.len() as u64 >= MAX_LINE_BYTES {
            return Err(io::Error::other(format!("a line would be longer than {MAX_LINE_BYTES} bytes")));
        }
        after.hash = line::hash(line.as_bytes());
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    after.bytes += text.len() as u64;
    Ok((text, after))
}

/// Takes the directory for this process. The file's content is for people; what counts is the kernel's lock. A disk
/// that cannot be written is no reason to refuse: it may be full of what has to be read now.
fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join(LOCK);
    let unusable = |error| JournalError::unusable("lock", &path, error);
    let writable =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o640).open(&path);
    let mut file = writable.or_else(|_| File::open(&path)).or_else(|_| File::open(dir)).map_err(unusable)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            // Whoever has it may not have been able to say so.
            let _ = (&mut file).take(32).read_to_string(&mut text);
            return Err(JournalError::Locked { dir: dir.to_owned(), pid: text.trim().parse().ok() });
        }
        Err(error) => return Err(unusable(error.into())),
    }
    let _ = file.set_len(0).and_then(|()| file.write_all(format!("{}\n", process::id()).as_bytes()));
    Ok(file)
}

/// The states by name, for comparing.
impl Told {
    pub(crate) fn by_name(&self) -> BTreeMap<String, State> {
        self.states.iter().cloned().collect()
    }
}

#[cfg(test)]
pub(super) mod tests;
