//! What outlives the process: what was found of each migration, and the key by which secrets are hidden.
//!
//! `diffs/NAME.json` in the state directory holds what the desk of one migration knows: counts, what is noise, groups, and
//! samples, of which nothing is secret. It is written beside, synced, and takes the place of the one before, so that there
//! is a whole one at any moment. A thread of its own does that: nobody waits for a disk, and what is not written yet is
//! overtaken by what comes later. A disk that is full or read-only costs what would be on it, is counted, and said once; what
//! could not be written stays owed, so that it is written when there is room again, also where nothing more is compared.
//!
//! Bounded: a file has at most [`MOST_BYTES`], else it is written without samples, or not at all; of migrations that have
//! left the file, [`MOST_DEPARTED`] are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use telemetry::{ComparerCells, Telemetry};

use crate::desk::Desk;
use crate::settings::Key;

mod wire;

/// The directory in the state directory.
const DIR: &str = "diffs";
/// The key, in it.
const KEY: &str = "redaction.key";
/// The ending of what holds a migration.
const ENDING: &str = ".json";
/// More is neither written nor read of one migration.
const MOST_BYTES: usize = 16 << 20;
/// Of so many migrations that left the file, what was found is kept.
const MOST_DEPARTED: usize = 32;

/// How keeping what was found goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Whether there is a place for it at all.
    pub on_disk: bool,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
    /// Times that a migration was written.
    pub written: u64,
    /// Times that one could not be.
    pub failed: u64,
}

/// Keeps and restores.
#[derive(Debug)]
pub(crate) struct Store {
    dir: Option<PathBuf>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    tray: Mutex<Tray>,
    changed: Condvar,
}

/// What lies between who hands in and who writes.
#[derive(Debug, Default)]
struct Tray {
    /// To be written, by name.
    wanted: BTreeMap<Arc<str>, Vec<u8>>,
    /// The migrations in force.
    in_force: BTreeSet<Arc<str>>,
    /// Those of which the last attempt to write what is known failed.
    owed: BTreeSet<Arc<str>>,
    /// Attempts that failed since one did not.
    failed_lately: u64,
    is_closing: bool,
    is_closed: bool,
    told: Kept,
}

impl Store {
    /// Makes the directory in this state directory, and finds or makes the key. Where that cannot be, all is in memory.
    pub(crate) fn open(state_dir: Option<PathBuf>, telemetry: Arc<Telemetry>) -> (Store, Key) {
        let shared = Arc::new(Shared::default());
        let Some(dir) = state_dir.map(|dir| dir.join(DIR)) else {
            return (Store { dir: None, shared }, random_key());
        };
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        let key = made.and_then(|()| key_in(&dir));
        let writer = shared.clone();
        let folder = dir.clone();
        let thread = std::thread::Builder::new()
            .name("diffs".to_owned())
            .spawn(move || writer.write_until_closed(&folder, telemetry.comparer()));
        if let Err(error) = &thread {
            tracing::error!("what comparisons find is not kept: its thread cannot be started: {error}");
            shared.tray().is_closed = true;
        }
        shared.tray().told.on_disk = thread.is_ok();
        let key = key.unwrap_or_else(|error| {
            tracing::warn!(
                "the key by which secrets are hidden cannot be kept in {}, so marks change with a restart: {error}",
                dir.display()
            );
            random_key()
        });
        (Store { dir: Some(dir), shared }, key)
    }

    /// Hands over what a desk knows, to be written when there is time.
    pub(crate) fn save(&self, desk: &Desk) {
        if self.dir.is_none() || self.shared.tray().is_closed {
            return;
        }
        let text = match wire::encode(desk, true) {
            text if text.len() <= MOST_BYTES => text,
            _ => wire::encode(desk, false),
        };
        let mut tray = self.shared.tray();
        tray.owed.remove(&desk.settings.name);
        tray.wanted.insert(desk.settings.name.clone(), text);
        self.shared.changed.notify_all();
    }

    /// A desk with what was kept of its migration, if that is about the same rules.
    pub(crate) fn restore(&self, desk: Desk) -> Desk {
        let Some(dir) = &self.dir else { return desk };
        let path = dir.join(file_name(&desk.settings.name));
        let found = match read(&path) {
            Ok(None) => return desk,
            Ok(Some(text)) => wire::decode(&text),
            Err(error) => Err(error.to_string()),
        };
        match found {
            Ok(kept) => kept.into_desk(desk),
            Err(why) => {
                let name = &desk.settings.name;
                tracing::warn!(
                    migration = &**name,
                    "what was found of {name} cannot be read from {}, so it begins anew: {why}",
                    path.display()
                );
                desk
            }
        }
    }

    /// These are compared now; of others only the latest are kept.
    pub(crate) fn in_force(&self, names: BTreeSet<Arc<str>>) {
        let mut tray = self.shared.tray();
        tray.owed.retain(|name| names.contains(name));
        tray.in_force = names;
        drop(tray);
        self.shared.changed.notify_all();
    }

    /// Whether what is known of this migration is to be handed over once more, though it is what it was.
    pub(crate) fn is_owed(&self, migration: &str) -> bool {
        self.shared.tray().owed.contains(migration)
    }

    /// How it goes.
    pub(crate) fn told(&self) -> Kept {
        self.shared.tray().told.clone()
    }

    /// Waits until all that was handed in is written, but no longer than this.
    pub(crate) fn close(&self, patience: Duration) {
        let mut tray = self.shared.tray();
        tray.is_closing = true;
        self.shared.changed.notify_all();
        if self.dir.is_some() && !tray.is_closed {
            let waited = self.shared.changed.wait_timeout_while(tray, patience, |tray| !tray.is_closed);
            let (tray, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if !tray.is_closed {
                tracing::warn!(
                    "the disk takes too long, so what comparisons found last is not kept for {} migrations",
                    tray.wanted.len().max(1)
                );
            }
        }
    }
}

impl Shared {
    fn tray(&self) -> MutexGuard<'_, Tray> {
        self.tray.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_until_closed(&self, dir: &Path, cells: &ComparerCells) {
        let mut swept = BTreeSet::new();
        loop {
            let (next, in_force) = {
                let tray = self.tray();
                let idle =
                    |tray: &mut Tray| tray.wanted.is_empty() && !tray.is_closing && tray.in_force == swept;
                let waited = self.changed.wait_while(tray, idle);
                let mut tray = waited.unwrap_or_else(PoisonError::into_inner);
                (tray.wanted.pop_first(), tray.in_force.clone())
            };
            if in_force != swept {
                sweep(dir, &in_force);
                swept = in_force;
            }
            let Some((name, text)) = next else {
                let mut tray = self.tray();
                if tray.is_closing && tray.wanted.is_empty() {
                    tray.is_closed = true;
                    self.changed.notify_all();
                    return;
                }
                continue;
            };
            let written = write(dir, &file_name(&name), &text);
            let count = if written.is_ok() { &cells.kept } else { &cells.not_kept };
            count.inc();
            self.note(dir, &name, text.len(), written);
        }
    }

    /// Counts, and says what is new about it.
    fn note(&self, dir: &Path, name: &Arc<str>, bytes: usize, written: io::Result<()>) {
        let mut tray = self.tray();
        let Tray { told, owed, in_force, failed_lately, .. } = &mut *tray;
        match written {
            Ok(()) => {
                told.written += 1;
                let failed = std::mem::take(failed_lately);
                if told.error.take().is_some() {
                    let attempts = if failed == 1 { "attempt" } else { "attempts" };
                    tracing::info!(
                        "what comparisons find is kept in {} again, after {failed} {attempts} that failed",
                        dir.display()
                    );
                }
            }
            Err(error) => {
                told.failed += 1;
                *failed_lately += 1;
                if in_force.contains(name) {
                    owed.insert(name.clone());
                }
                if told.error.replace(error.to_string()).is_none() {
                    tracing::warn!(
                        migration = &**name,
                        "what comparisons find cannot be kept in {}, which costs nothing else; {name} has {bytes} bytes \
                         of at most {MOST_BYTES}: {error}",
                        dir.display()
                    );
                }
            }
        }
    }
}

/// The name of a migration has no `/`, and the ending keeps it from being `.` or `..`.
fn file_name(migration: &str) -> String {
    format!("{migration}{ENDING}")
}

fn write(dir: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    if text.len() > MOST_BYTES {
        return Err(io::Error::other(format!("{} bytes are more than {MOST_BYTES}", text.len())));
    }
    let next = dir.join(format!(".{name}.next"));
    let replaced = write_whole(&next, text).and_then(|()| fs::rename(&next, dir.join(name)));
    if replaced.is_err() {
        // What is left of it takes room on a disk that may be full.
        let _ = fs::remove_file(&next);
    }
    replaced?;
    File::open(dir)?.sync_all()
}

fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut text)?;
    if text.len() > MOST_BYTES {
        return Err(io::Error::other(format!("it has more than {MOST_BYTES} bytes")));
    }
    Ok(Some(text))
}

/// Removes what was kept of migrations that left the file, but for the latest of them.
fn sweep(dir: &Path, in_force: &BTreeSet<Arc<str>>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let mut departed: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(ENDING));
            name.is_some_and(|name| !in_force.contains(name))
        })
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    departed.sort();
    let most = departed.len().saturating_sub(MOST_DEPARTED);
    for (_, path) in departed.into_iter().take(most) {
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!("{} cannot be removed: {error}", path.display());
        }
    }
}

/// The key that is kept in this directory, or a new one, which is kept there from now on.
fn key_in(dir: &Path) -> io::Result<Key> {
    let path = dir.join(KEY);
    if let Some(text) = read(&path)? {
        return from_hex(&text)
            .ok_or_else(|| io::Error::other(format!("{} holds no key of 64 hex digits", path.display())));
    }
    let key = random_key();
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    write(dir, KEY, hex.as_bytes())?;
    Ok(key)
}

fn from_hex(text: &[u8]) -> Option<Key> {
    let text = str::from_utf8(text).ok()?.trim();
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut key = Key::default();
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2).filter(|_| is_hex)?, 16).ok()?;
    }
    Some(key)
}

fn random_key() -> Key {
    let mut key = Key::default();
    let mut filled = 0;
    while filled < key.len() {
        match rustix::rand::getrandom(&mut key[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                // Marks that could be guessed are worse than none that are equal.
                tracing::error!(
                    "the kernel has no random bytes, so the key is made of what the process has: {error}"
                );
                fastrand::fill(&mut key);
                return key;
            }
        }
    }
    key
}

#[cfg(test)]
mod tests;
