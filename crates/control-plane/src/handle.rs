//! What the rest of the program holds of the controller.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use route_plan::Phase;
use telemetry::SnapshotCell;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use traffic_split::{Arm, Percent, Reason};

use crate::controller::Ask;
use crate::event::{Actor, Cause, Event, Place, Reply};
use crate::journal::{self, Health, Wanted};
use crate::source::LoadError;
use crate::status::{MigrationStatus, Plan, Status};

/// How long a caller waits for a place in the controller's queue.
const QUEUE_WAIT: Duration = Duration::from_secs(5);

/// A way to ask the controller for things. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct ControlHandle {
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) status: watch::Receiver<Arc<Status>>,
    pub(crate) snapshots: Arc<SnapshotCell>,
    /// Where the journal is, and how far it counts.
    pub(crate) journal: Option<(PathBuf, watch::Receiver<Health>)>,
}

/// Why the controller did not do what it was asked.
#[derive(Clone, Debug)]
pub enum ControlError {
    /// There is no migration of this name.
    UnknownMigration {
        /// The name asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The file cannot be read, or has errors. What runs stays.
    Config(LoadError),
    /// It is not possible as the migration stands, such as going forward while latched.
    Refused(String),
    /// It would go forward, and the journal cannot be written.
    NotStored(String),
    /// The journal cannot be read, or there is none.
    NoJournal(String),
    /// It was done, but a file that was read meanwhile has no such migration any more, so there is no status of it.
    Left {
        /// Its name until then.
        name: String,
        /// What was changed, as sentences.
        effects: Vec<String>,
    },
    /// The file would move users by accident. What runs stays.
    Reshuffle(String),
    /// A listener cannot be opened. What runs stays.
    Listen(String),
    /// The process is about to end and takes no more changes.
    Draining,
    /// Too much is asked for at once; try again.
    Busy,
    /// The controller has ended.
    Gone,
}

impl ControlError {
    /// Nobody of this name is among the migrations that there are.
    pub fn unknown_migration<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Self {
        ControlError::UnknownMigration { name: name.to_owned(), known: known.cloned().collect() }
    }
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControlError::UnknownMigration { name, known } if known.is_empty() => {
                write!(f, "there is no migration `{name}`; none is configured")
            }
            ControlError::UnknownMigration { name, known } => {
                write!(f, "there is no migration `{name}`; there are: {}", known.join(", "))
            }
            ControlError::Config(error) => write!(f, "{error}"),
            ControlError::Refused(sentence)
            | ControlError::NotStored(sentence)
            | ControlError::NoJournal(sentence)
            | ControlError::Reshuffle(sentence)
            | ControlError::Listen(sentence) => f.write_str(sentence),
            ControlError::Left { name, effects } if effects.is_empty() => {
                write!(
                    f,
                    "{name} left the configuration, or has another name, since this was asked; nothing was changed"
                )
            }
            ControlError::Left { name, effects } => write!(
                f,
                "{name} left the configuration, or has another name, since this was asked; it was done all the same: {}",
                effects.join("; ")
            ),
            ControlError::Draining => f.write_str("the process is draining and takes no more changes"),
            ControlError::Busy => f.write_str("too many changes are waiting, try again"),
            ControlError::Gone => f.write_str("the controller has ended"),
        }
    }
}

impl std::error::Error for ControlError {}

/// What a reload did.
#[derive(Clone, Debug, PartialEq)]
pub struct Reloaded {
    /// The generation in force now.
    pub generation: u64,
    /// `false` when the content was that of the running configuration.
    pub changed: bool,
    /// What it changed for users, as sentences.
    pub effects: Vec<String>,
    /// What the file says and only a restart brings about: `proxy.workers: running 2, file says 4`.
    pub needs_restart: Vec<String>,
    /// What a person should look at in the file.
    pub warnings: Vec<String>,
}

/// What a changed percent or phase did.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// The generation in force now.
    pub generation: u64,
    /// What it changed, as sentences; empty when it was so before.
    pub effects: Vec<String>,
    /// The migration after it.
    pub migration: MigrationStatus,
}

/// Where a key goes, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Where {
    /// The arm.
    pub arm: Arm,
    /// What chose it.
    pub reason: Reason,
    /// The key's place, 0 up to but not including 1; `None` for an empty key.
    pub bucket: Option<f64>,
    /// The percent in force.
    pub percent: Percent,
    /// The migration's phase.
    pub phase: Phase,
}

impl Where {
    /// Where `key` goes in `migration`, as things stand in a snapshot.
    #[must_use]
    pub fn of(migration: &route_plan::Migration, key: &[u8]) -> Self {
        let assignment = migration.split.assign_key(key);
        Where {
            arm: assignment.arm,
            reason: assignment.reason,
            bucket: assignment.bucket.map(traffic_split::Bucket::as_fraction),
            percent: migration.split.percent,
            phase: migration.phase,
        }
    }
}

impl ControlHandle {
    /// Reads the configuration again and applies it.
    ///
    /// # Errors
    /// When it was refused; then everything runs on as before.
    pub async fn reload(&self, cause: Cause) -> Result<Reloaded, ControlError> {
        self.ask(|reply| Event::Reload { cause, reply: Some(reply) }).await
    }

    /// Asks for a percent. It is in force when this returns, if the phase is `canary`.
    ///
    /// # Errors
    /// When there is no such migration, or the process drains.
    pub async fn set_percent(
        &self,
        migration: &str,
        percent: Percent,
        actor: Actor,
    ) -> Result<Changed, ControlError> {
        self.ask_of(migration, ramp::Event::PercentSet(percent), actor).await
    }

    /// Asks for a phase. It is in force when this returns.
    ///
    /// # Errors
    /// When there is no such migration, or the process drains.
    pub async fn set_phase(
        &self,
        migration: &str,
        phase: Phase,
        actor: Actor,
    ) -> Result<Changed, ControlError> {
        self.ask_of(migration, ramp::Event::PhaseSet(phase), actor).await
    }

    /// Takes users back to `to` per cent and latches there. It is in force before this returns, and in the journal
    /// unless the disk does not let it be; then the effects say so.
    ///
    /// # Errors
    /// When there is no such migration.
    pub async fn roll_back(
        &self,
        migration: &str,
        cause: ramp::Cause,
        to: Percent,
        actor: Actor,
    ) -> Result<Changed, ControlError> {
        self.ask_of(migration, ramp::Event::RolledBack { cause, to, in_parts: false }, actor).await
    }

    /// Takes users back as the file says: to `to` if that is given, in parts unless `now`. In force before this returns.
    ///
    /// # Errors
    /// When there is no such migration, or old has no healthy endpoint and the actor does not insist.
    pub async fn go_back(
        &self,
        migration: &str,
        to: Option<Place>,
        now: bool,
        actor: Actor,
    ) -> Result<Changed, ControlError> {
        let migration = migration.to_owned();
        self.ask(|reply| Event::RollBack { migration, to, now, actor, reply }).await
    }

    /// Says that the ramp may go on; with force, whatever it waits for.
    ///
    /// # Errors
    /// When there is no such migration or ramp, or it is not ready and the actor does not insist.
    pub async fn advance(&self, migration: &str, actor: Actor) -> Result<Changed, ControlError> {
        let migration = migration.to_owned();
        self.ask(|reply| Event::Advance { migration, actor, reply }).await
    }

    /// Pauses the ramp, until a resume. The guard stays armed.
    ///
    /// # Errors
    /// When there is no such migration or ramp, or the process drains.
    pub async fn pause(&self, migration: &str, actor: Actor) -> Result<Changed, ControlError> {
        self.ask_of(migration, ramp::Event::Paused, actor).await
    }

    /// Takes all users back for some seconds, looks whether old serves them, and puts them where they were. Returns
    /// when that is done.
    ///
    /// # Errors
    /// When there is no such migration, nobody is on new, old has no healthy endpoint, or a rollback comes meanwhile.
    pub async fn drill(&self, migration: &str, actor: Actor) -> Result<Changed, ControlError> {
        let migration = migration.to_owned();
        self.ask(|reply| Event::Drill { migration, actor, reply }).await
    }

    /// Switches a migration's shadow on or off; it stays so, also over restarts. With `anew` what was compared so far says
    /// nothing any more, as for a new that was mended.
    ///
    /// # Errors
    /// When there is no such migration, its file says that it has no shadow, or the process drains.
    pub async fn switch_shadow(
        &self,
        migration: &str,
        on: bool,
        anew: bool,
        actor: Actor,
    ) -> Result<Changed, ControlError> {
        let migration = migration.to_owned();
        self.ask(|reply| Event::Shadow { migration, on, anew, actor, reply }).await
    }

    /// What comes when in the ramp, at present traffic.
    ///
    /// # Errors
    /// When there is no such migration, or it has no ramp.
    pub async fn plan(&self, migration: &str) -> Result<Plan, ControlError> {
        let migration = migration.to_owned();
        self.ask(|reply| Event::Plan { migration, reply }).await
    }

    /// Asks for percent and phase as they were after the line `seq` of the journal.
    ///
    /// # Errors
    /// As [`ControlHandle::history`] and [`ControlHandle::set_percent`], and when that line is not about the migration.
    pub async fn undo(&self, migration: &str, seq: u64, actor: Actor) -> Result<Changed, ControlError> {
        let wanted = Wanted { migration: migration.to_owned(), limit: 1, seq: Some(seq) };
        let lines = self.read_journal(wanted).await?;
        let asked = lines.first().and_then(|line| {
            let state = line.get("state")?;
            let percent = Percent::from_f64(state.get("percent")?.as_f64()?).ok()?;
            let phase = state.get("phase")?.as_str().map(str::parse).transpose().ok()?;
            Some(ramp::Event::Undone { percent, phase })
        });
        let Some(event) = asked else {
            let sentence = format!(
                "there is no line {seq} about {migration} in the journal; `crossfade history {migration}` shows those \
                 that there are"
            );
            return Err(ControlError::Refused(sentence));
        };
        self.ask_of(migration, event, actor).await
    }

    /// Lifts the latch; what is asked for is in force when this returns.
    ///
    /// # Errors
    /// When there is no such migration, nothing is latched, the journal cannot be written, or the process drains.
    pub async fn resume(&self, migration: &str, actor: Actor) -> Result<Changed, ControlError> {
        self.ask_of(migration, ramp::Event::Resumed, actor).await
    }

    /// The latest lines of the journal about a migration, also about one that left the file; oldest first.
    ///
    /// # Errors
    /// When there is no journal, it cannot be read, or neither it nor the file knows the migration.
    pub async fn history(
        &self,
        migration: &str,
        limit: usize,
    ) -> Result<Vec<serde_json::Value>, ControlError> {
        let wanted = Wanted { migration: migration.to_owned(), limit, seq: None };
        let lines = self.read_journal(wanted).await?;
        let status = self.status();
        if lines.is_empty() && status.migration(migration).is_none() {
            let known = status.migrations.iter().map(|known| &known.name);
            return Err(ControlError::unknown_migration(migration, known));
        }
        Ok(lines)
    }

    async fn read_journal(&self, wanted: Wanted) -> Result<Vec<serde_json::Value>, ControlError> {
        let Some((dir, health)) = &self.journal else {
            let sentence = "there is no journal: the configuration names no `[state] dir`";
            return Err(ControlError::NoJournal(sentence.to_owned()));
        };
        let (dir, synced) = (dir.clone(), health.borrow().seq);
        let read = spawn_blocking(move || journal::history(&dir, &wanted, synced)).await;
        let lines = read.map_err(|_| ControlError::Gone)?;
        lines.map_err(|error| ControlError::NoJournal(error.to_string()))
    }

    /// The state of the process; at most a second old in its counts, never in anything else.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status.borrow())
    }

    /// Waits until the status is as wanted; `None` when the controller ends before.
    pub async fn status_when(&self, wanted: impl Fn(&Status) -> bool) -> Option<Arc<Status>> {
        let mut status = self.status.clone();
        let found = status.wait_for(|status| wanted(status)).await;
        found.ok().map(|status| Arc::clone(&status))
    }

    /// Where a key goes at this moment.
    ///
    /// # Errors
    /// When there is no such migration.
    pub fn where_key(&self, migration: &str, key: &[u8]) -> Result<Where, ControlError> {
        let snapshot = self.snapshots.load_full();
        match snapshot.migrations.iter().find(|known| known.name == migration) {
            Some(migration) => Ok(Where::of(migration, key)),
            None => {
                let known = snapshot.migrations.iter().map(|known| &known.name);
                Err(ControlError::unknown_migration(migration, known))
            }
        }
    }

    /// Takes no more changes from here on, and makes [`Status::is_ready`] false. Returns when that is so.
    pub async fn drain(&self) {
        let (reply, done) = oneshot::channel();
        if self.events.send(Event::Drain { reply }).await.is_ok() {
            // An answer that does not come means that the controller has ended, which is as good.
            let _ = done.await;
        }
    }

    /// Has the controller end once it has kept what its guards know, for which its task is to be waited for. Whoever asks
    /// it something later is told that it has gone.
    pub async fn end(&self) {
        // One that has ended is as good.
        let _ = self.events.send(Event::Shutdown).await;
    }

    async fn ask_of(
        &self,
        migration: &str,
        event: ramp::Event,
        actor: Actor,
    ) -> Result<Changed, ControlError> {
        self.ask(|reply| Event::Ask(Ask { reply: Some(reply), ..Ask::new(migration, event, actor) })).await
    }

    async fn ask<T>(&self, event: impl FnOnce(Reply<T>) -> Event) -> Result<T, ControlError> {
        let (reply, answer) = oneshot::channel();
        match self.events.send_timeout(event(reply), QUEUE_WAIT).await {
            Ok(()) => answer.await.unwrap_or(Err(ControlError::Gone)),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(ControlError::Busy),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(ControlError::Gone),
        }
    }
}
