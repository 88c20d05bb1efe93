//! The journal: what outlives a restart.
//!
//! An append-only file in the state directory, one JSON object a line. Each line has its number, its time, the hash of
//! the line before it, what happened, who wanted it and why; one about a migration has the migration's whole state
//! after it as well. So the last line about a name is all that is needed to go on from there, and no later version has
//! to repeat what an earlier one decided. But for one thing: each minute one line says of all ramps how long their
//! present step was served, and nothing else; that is added to the last state of each.
//!
//! * One process at a time has the directory, by a lock that the kernel takes back when the process is gone.
//! * A line counts once its file, and the directory if the file is new, have been synced. After a write or a sync that
//!   failed nothing is trusted that was not synced before: the file is cut back to there and all that is missing is
//!   written anew, because a second sync after a failed one may succeed without the data.
//! * A last line without its end was being written when the power went: nobody was told of it, and it is cut off.
//!   Anything else that is not as it was written is damage. Then nothing is guessed: the proxy does not start.
//! * A file that has grown large is set aside under another name, and the chain goes on in the next one. That begins
//!   with how everything stands, so a start reads the newest file alone, and the oldest of many are removed: see
//!   `rotation.rs`.
//!
//! Writing happens on a thread of its own, since a disk may be slow or hang. What it cannot write it keeps, within
//! limits, and tries again each second.

mod disk;
mod line;
mod read;
mod record;
mod rotation;
mod verify;
mod writer;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use disk::Disk;
pub(crate) use read::{Wanted, history};
pub(crate) use record::{Entry, Kind, State};
pub use verify::{Verified, verify};
pub(crate) use writer::{Ack, Health, Journal, Keep};

/// The file that is written.
const CURRENT: &str = "journal.jsonl";
/// The next one, until it is whole and takes the place of that.
const NEXT: &str = "journal.next";
/// The file that is locked, with the process that did.
const LOCK: &str = "lock";
/// The longest line that is written or read. What is in a line comes from a configuration of at most 16 MiB.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// The journal cannot be used. A sentence that says what to do.
#[derive(Debug)]
pub enum JournalError {
    /// Another process has the directory.
    Locked {
        /// The directory.
        dir: PathBuf,
        /// The other process, if it said which.
        pid: Option<u32>,
    },
    /// A line is not as it was written.
    Damaged {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The directory or a file in it cannot be used.
    Unusable {
        /// What was tried.
        what: String,
        /// What came of it.
        error: io::Error,
    },
}

impl JournalError {
    fn unusable(what: &str, path: &Path, error: io::Error) -> Self {
        JournalError::Unusable { what: format!("{what} {}", path.display()), error }
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalError::Locked { dir, pid } => {
                write!(f, "the state directory {} is in use by ", dir.display())?;
                match pid {
                    Some(pid) => write!(f, "process {pid}")?,
                    None => f.write_str("another process")?,
                }
                f.write_str("; end that one first, or give this one another `[state] dir`")
            }
            JournalError::Damaged { file, line, why } => {
                let dir = file.parent().unwrap_or(file).display();
                write!(
                    f,
                    "the journal is damaged: {} line {line}: {why}. Nothing was changed. Put the file back from a \
                     backup; or move journal*.jsonl in {dir} away to begin with what the configuration file says, \
                     which forgets rollbacks and what was set by hand",
                    file.display()
                )
            }
            JournalError::Unusable { what, error } => {
                write!(f, "the state directory cannot be used: cannot {what}: {error}")
            }
        }
    }
}

impl std::error::Error for JournalError {}
