//! What the guards' stakes have become, over restarts.
//!
//! A guard is paid a stake at each step: the chance of a false alarm that one is ready to take. One that began anew at
//! every restart would be paid each time, and the bound on false alarms would grow with the number of restarts. So what
//! the guards know is kept in `guard.json` in the state directory, once a minute and whenever a step begins, and a
//! guard goes on from there.
//!
//! What is kept may be some time old: requests that came between are bet on by nobody, which costs speed and nothing
//! else. But it must be of the same step of the migration, or evidence that new is not worse would open a gate that
//! was shut since. So a name of the step is kept beside it. Where nothing is found that can be gone on from, the guard
//! begins **without a stake**, but for what drips in: that delays what it finds, and never refills what was spent.
//!
//! The file is written by a thread of its own, so nobody waits for a disk, and what is not written yet is overtaken by
//! what comes later. It is not in the journal, which would grow by it each minute for nobody to read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rollback_guard::{Guard, GuardState, Limits};
use traffic_split::Percent;

use crate::guarding::Ground;

mod wire;

pub(crate) use wire::{decode, encode};

/// The file.
const FILE: &str = "guard.json";
/// The next one, until it is whole and takes the place of that.
const NEXT: &str = "guard.json.next";
/// More is neither written nor read. A guard has 20 KB at most.
const MAX_BYTES: u64 = 64 << 20;

/// What is kept of one guard.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stake {
    /// The step of the migration that it was in, as [`step_name`] has it.
    pub(crate) step: String,
    pub(crate) state: GuardState,
}

/// What is kept of all guards, by migration.
pub(crate) type Stakes = BTreeMap<String, Stake>;

/// How a migration stood before its guard begins, as the journal has it: before the file is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Before {
    /// What was kept of its guard.
    pub(crate) stake: Option<Stake>,
    /// The step that it was in, as [`step_name`] has it.
    pub(crate) step: String,
    /// Where it stood.
    pub(crate) ground: Ground,
}

/// A name for the step that a migration is in: another one after each raise and each resume.
pub(crate) fn step_name(
    in_force: Percent,
    attempt: u64,
    rollbacks: u64,
    percent_asked_at: Option<SystemTime>,
) -> String {
    let asked_at = percent_asked_at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let mut name = String::new();
    // Writing to a string cannot fail.
    let _ = write!(name, "{in_force} % of attempt {attempt} after {rollbacks} rollbacks");
    let _ = write!(name, ", asked for at {}.{:06}", asked_at.as_secs(), asked_at.subsec_micros());
    name
}

/// The guard of a migration that was judged before, and why it begins without a stake, if it does.
///
/// One that the journal does not know is new, and gets a stake.
pub(crate) fn begin(limits: Limits, before: Option<&Before>) -> (Guard, Option<&'static str>) {
    let Some(before) = before else { return (Guard::new(limits), None) };
    let Some(Stake { step, state }) = &before.stake else {
        let nothing = "nothing was kept of its guard";
        return (Guard::restore(limits, &GuardState::default()), Some(nothing));
    };
    let why = if state.would_roll_back() && !before.ground.is_latched {
        // Else a rollback would come again with every start, or one that somebody undid.
        Some("what was kept of its guard would roll back at once, and no rollback is in the journal")
    } else if *step != before.step {
        Some("what was kept of its guard is of another step")
    } else {
        None
    };
    let kept = if why.is_some() { &state.without_stake() } else { state };
    (Guard::restore(limits, kept), why)
}

/// Reads what was kept; nothing where there is no file.
///
/// # Errors
/// A sentence, where there is one and it cannot be used.
pub(crate) fn load(dir: &Path) -> Result<Stakes, String> {
    let path = dir.join(FILE);
    let text = match File::open(&path) {
        Ok(file) => {
            let mut text = String::new();
            file.take(MAX_BYTES).read_to_string(&mut text).map(|_| text)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stakes::new()),
        Err(error) => Err(error),
    };
    let found = text.map_err(|error| error.to_string()).and_then(|text| decode(&text));
    found.map_err(|why| format!("what was kept of the guards in {} cannot be used: {why}", path.display()))
}

/// Keeps what the guards know. The thread ends when this is dropped and what was handed in last is written.
#[derive(Debug)]
pub(crate) struct Keeper {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
}

/// What lies between who hands in and who writes.
#[derive(Debug, Default)]
struct Desk {
    /// To be written next.
    wanted: Option<Stakes>,
    /// Nothing more is going to be handed in.
    is_closing: bool,
    /// The thread is gone.
    is_closed: bool,
    told: Kept,
}

/// How keeping goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Why the last attempt failed, if it did.
    pub(crate) error: Option<String>,
    /// Times that it was written.
    pub(crate) written: u64,
    /// Times that it could not be.
    pub(crate) failed: u64,
    /// Times that something later came before it was begun.
    pub(crate) overtaken: u64,
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Nothing is done to it that could be left half done.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    /// Starts the thread. The directory must be this process's, by the journal's lock, until [`Keeper::finish`].
    pub(crate) fn start(dir: PathBuf) -> io::Result<Self> {
        Self::start_with(move |stakes| write(&dir, stakes))
    }

    fn start_with(write: impl FnMut(&Stakes) -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name("guard stakes".to_owned()).spawn(move || run(&theirs, write))?;
        Ok(Keeper { shared })
    }

    /// Hands in what is to be kept, and waits for nothing. What was handed in before and is not begun is overtaken.
    pub(crate) fn save(&self, stakes: Stakes) {
        let mut desk = self.shared.desk();
        desk.told.overtaken += u64::from(desk.wanted.replace(stakes).is_some());
        drop(desk);
        self.shared.changed.notify_all();
    }

    /// How it goes.
    pub(crate) fn told(&self) -> Kept {
        self.shared.desk().told.clone()
    }

    /// Waits until what was handed in last is written, for so long at most. `false` where it is not.
    pub(crate) fn finish(self, patience: Duration) -> bool {
        let mut desk = self.shared.desk();
        desk.is_closing = true;
        self.shared.changed.notify_all();
        let waited = self.shared.changed.wait_timeout_while(desk, patience, |desk| !desk.is_closed);
        let (desk, _) = waited.unwrap_or_else(PoisonError::into_inner);
        desk.is_closed && desk.told.error.is_none()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.desk().is_closing = true;
        self.shared.changed.notify_all();
    }
}

fn run(shared: &Shared, mut write: impl FnMut(&Stakes) -> io::Result<()>) {
    loop {
        let desk = shared.desk();
        let idle = |desk: &mut Desk| desk.wanted.is_none() && !desk.is_closing;
        let mut desk = shared.changed.wait_while(desk, idle).unwrap_or_else(PoisonError::into_inner);
        let Some(stakes) = desk.wanted.take() else {
            desk.is_closed = true;
            drop(desk);
            return shared.changed.notify_all();
        };
        drop(desk);
        let result = write(&stakes);
        let mut desk = shared.desk();
        tell(&mut desk.told, result.err());
    }
}

/// Notes how it went, and tells the log when that turns.
fn tell(told: &mut Kept, error: Option<io::Error>) {
    match (&error, &told.error) {
        (Some(error), None) => tracing::warn!(
            "what the guards know cannot be kept: {error}; after a restart they begin with what was kept last, or \
             without a stake"
        ),
        (None, Some(_)) => tracing::info!(failed = told.failed, "what the guards know is kept again"),
        _ => {}
    }
    *(if error.is_some() { &mut told.failed } else { &mut told.written }) += 1;
    told.error = error.map(|error| error.to_string());
}

/// All of it or none of it.
fn write(dir: &Path, stakes: &Stakes) -> io::Result<()> {
    let text = encode(stakes);
    if text.len() as u64 >= MAX_BYTES {
        return Err(io::Error::other(format!("{FILE} would be longer than {MAX_BYTES} bytes")));
    }
    let next = dir.join(NEXT);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&next)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&next, dir.join(FILE))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests;
