//! The owner: wait for an event, apply it, publish.

mod reading;
mod report;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use config_file::{Checked, Standing};
use ramp::apply;
use route_plan::Snapshot;
use telemetry::{ReloadCounts, SnapshotCell, Telemetry, Totals, TrafficCells, TrafficKind};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};
use traffic_split::{Arm, Percent};

use crate::change::LastChanges;
use crate::controller::reading::{Found, Reader, Wish};
use crate::departed::{self, Departed};
use crate::event::{Actor, Cause, Event};
use crate::fallbacks::{Counts, Teller};
use crate::handle::{Changed, ControlError, ControlHandle, Reloaded};
use crate::listeners::{Bound, ListenError, Listeners};
use crate::measure::{Measure, Reading};
use crate::reload::{self, Intents, Outlook};
use crate::source::{Content, Loaded, resolve};
use crate::status::{LastChange, Status};
use crate::{change, watch as files};

/// How many events may wait.
const QUEUE: usize = 64;
/// How often the split is measured and the status renewed.
const TICK: Duration = Duration::from_secs(1);

/// How the files are watched.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long the directory must be quiet before a changed file is read.
    pub quiet: Duration,
    /// How often the content is compared without any sign of a change.
    pub poll: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { quiet: Duration::from_millis(150), poll: Duration::from_secs(10) }
    }
}

/// A listener of the first configuration cannot be opened.
pub type StartError = ListenError;

/// The controller at work. It ends when the last handle is gone.
#[derive(Debug)]
pub struct Control {
    /// What the rest of the program asks it through.
    pub handle: ControlHandle,
    /// Its task.
    pub task: JoinHandle<()>,
}

/// The one owner of configuration, intents and what is published of them.
pub struct Controller {
    path: PathBuf,
    /// What the process was started with: some of it cannot change.
    first: Checked,
    checked: Checked,
    /// The content that runs.
    content: Content,
    /// The content that was looked at last, good or bad.
    seen: Content,
    reader: Reader,
    warnings: Vec<String>,
    intents: Intents,
    last_changes: BTreeMap<String, LastChanges>,
    departed: Departed,
    traffic: BTreeMap<String, Traffic>,
    generation: u64,
    draining: bool,
    bound: Vec<Bound>,
    reload: ReloadRecord,
    started: (SystemTime, Instant),
    snapshots: Arc<SnapshotCell>,
    telemetry: Arc<Telemetry>,
}

/// A migration's counters, the split measured from them, and what the log has said of them.
struct Traffic {
    cells: Arc<TrafficCells>,
    measure: Measure,
    teller: Teller,
}

impl Traffic {
    fn reading(totals: &Totals) -> Reading {
        Reading { old: totals.by_bucket(Arm::Old), new: totals.by_bucket(Arm::New) }
    }
}

struct ReloadRecord {
    counts: ReloadCounts,
    applied_at: SystemTime,
    error: Option<String>,
}

/// The ends of the controller that outlive an event.
struct Outlets {
    listeners: Arc<dyn Listeners>,
    status: watch::Sender<Arc<Status>>,
    paths: watch::Sender<Vec<PathBuf>>,
}

impl Controller {
    /// Takes over the first configuration and makes its snapshot. Nothing runs yet.
    #[must_use]
    pub fn new(first: Loaded, telemetry: Arc<Telemetry>) -> Self {
        let Loaded { checked, warnings, path, content } = first;
        let intents = reload::first(&checked);
        let now = SystemTime::now();
        let mut controller = Controller {
            path,
            first: checked.clone(),
            checked,
            seen: content.clone(),
            reader: Reader::new(),
            content,
            warnings,
            intents,
            last_changes: BTreeMap::new(),
            departed: Departed::default(),
            traffic: BTreeMap::new(),
            generation: 0,
            draining: false,
            bound: Vec::new(),
            reload: ReloadRecord { counts: ReloadCounts::default(), applied_at: now, error: None },
            started: (now, Instant::now()),
            snapshots: Arc::new(SnapshotCell::new(Arc::new(Snapshot::default()))),
            telemetry,
        };
        controller.publish();
        controller
    }

    /// Where the snapshots are published; for the workers.
    #[must_use]
    pub fn snapshots(&self) -> Arc<SnapshotCell> {
        Arc::clone(&self.snapshots)
    }

    /// Opens the listeners and begins to wait for events, on the runtime that this is called on.
    ///
    /// # Errors
    /// When a listener cannot be opened.
    pub async fn start(
        mut self,
        listeners: Arc<dyn Listeners>,
        settings: Settings,
    ) -> Result<Control, StartError> {
        let (status, status_reader) = watch::channel(Arc::new(self.status()));
        let (paths, paths_reader) = watch::channel(self.paths());
        let outlets = Outlets { listeners, status, paths };
        self.listen(&outlets, addresses(&self.checked)).await?;
        self.greet();
        self.renew(&outlets);
        let (events, queue) = mpsc::channel(QUEUE);
        let handle = ControlHandle { events, status: status_reader, snapshots: Arc::clone(&self.snapshots) };
        let timing = files::Timing { quiet: settings.quiet, poll: settings.poll };
        tokio::spawn(files::Watch::new(timing, paths_reader).run(handle.events.downgrade()));
        let task = tokio::spawn(self.run(outlets, queue));
        Ok(Control { handle, task })
    }

    async fn run(mut self, outlets: Outlets, mut queue: mpsc::Receiver<Event>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.reader.begin(&self.path, &self.seen);
            let event = tokio::select! {
                event = queue.recv() => event.unwrap_or(Event::Shutdown),
                (found, wishes) = self.reader.next() => {
                    self.files_read(&outlets, found, wishes).await;
                    continue;
                }
                _ = tick.tick() => Event::Tick,
            };
            if matches!(event, Event::Shutdown) {
                return;
            }
            self.apply(&outlets, event);
        }
    }

    /// One event, to its end. The status is renewed before the answer goes out, so that whoever reads it after an
    /// answer sees what was answered.
    fn apply(&mut self, outlets: &Outlets, event: Event) {
        match event {
            Event::Reload { reply, .. } if self.draining => {
                // A caller that has gone away needs no answer; so in all cases below.
                let _ = reply.map(|reply| reply.send(Err(ControlError::Draining)));
            }
            Event::Reload { cause, reply } => self.reader.wish(Wish { cause, reply }),
            Event::FileTouched { settle } => {
                outlets.paths.send_replace(self.paths());
                if !self.draining {
                    self.reader.look(settle);
                }
            }
            // Whoever asked was told that it took too long, and may have asked for something else since.
            Event::SetPercent { reply, .. } | Event::SetPhase { reply, .. } if reply.is_closed() => {}
            Event::SetPercent { migration, percent, actor, reply } => {
                let result = self.person_asks(outlets, &migration, ramp::Event::PercentSet(percent), &actor);
                let _ = reply.send(result);
            }
            Event::SetPhase { migration, phase, actor, reply } => {
                let result = self.person_asks(outlets, &migration, ramp::Event::PhaseSet(phase), &actor);
                let _ = reply.send(result);
            }
            Event::Tick => {
                self.read_traffic();
                self.reader.tell_stuck(&self.path);
                self.renew(outlets);
            }
            Event::Drain { reply } => {
                self.draining = true;
                for reply in self.reader.give_up().into_iter().filter_map(|wish| wish.reply) {
                    let _ = reply.send(Err(ControlError::Draining));
                }
                self.renew(outlets);
                let _ = reply.send(());
            }
            Event::Shutdown => {}
        }
    }

    /// What a reading found, for all who asked for it; none of them when the files were seen to change.
    async fn files_read(&mut self, outlets: &Outlets, found: Option<Found>, wishes: Vec<Wish>) {
        let Some((content, loaded)) = found.filter(|_| !self.draining) else { return };
        self.seen = content;
        let result = match loaded {
            Err(error) => Err(ControlError::Config(error)),
            Ok(loaded) if loaded.content == self.content => Ok(self.reloaded(false, Vec::new())),
            Ok(loaded) => self.adopt(outlets, loaded).await,
        };
        outlets.paths.send_replace(self.paths());
        let (mut causes, mut replies) = (Vec::new(), Vec::new());
        for wish in wishes {
            causes.push(wish.cause.to_string());
            replies.extend(wish.reply);
        }
        if causes.is_empty() {
            causes.push(Cause::FileChanged.to_string());
        }
        self.record(&causes.join(", "), &result);
        self.renew(outlets);
        for reply in replies {
            let _ = reply.send(result.clone());
        }
    }

    /// Everything that can refuse a file comes first; from the listeners on nothing can fail any more.
    async fn adopt(&mut self, outlets: &Outlets, loaded: Loaded) -> Result<Reloaded, ControlError> {
        let Loaded { checked, warnings, content, .. } = loaded;
        let outlook = reload::read_file((&self.checked, &self.intents), &self.departed, &checked);
        if let Some(reshuffle) = &outlook.reshuffle {
            return Err(ControlError::Reshuffle(reshuffle.to_string()));
        }
        self.listen(outlets, addresses(&checked))
            .await
            .map_err(|error| ControlError::Listen(error.to_string()))?;
        (self.checked, self.warnings, self.content) = (checked, warnings, content);
        let sentences = self.take_over(outlook);
        self.publish();
        Ok(self.reloaded(true, sentences))
    }

    /// Goes on with the intents after a file. What is known of a migration follows it under another name, is kept
    /// while it is gone, and is taken up when it is back.
    fn take_over(&mut self, outlook: Outlook) -> Vec<String> {
        let Outlook { intents, sentences, renamed, gone, .. } = outlook;
        let before = std::mem::replace(&mut self.intents, intents);
        let mut last_changes = std::mem::take(&mut self.last_changes);
        for name in self.intents.keys() {
            let renamed = renamed.iter().find(|(now, _)| now == name);
            let returned = self.departed.take(name).map(|one| one.last_changes);
            let known = match renamed {
                Some((_, was)) => last_changes.get(was).cloned(),
                None => last_changes.get(name).cloned().or(returned),
            };
            self.last_changes.extend(known.map(|known| (name.clone(), known)));
        }
        for dealing in gone {
            let last_changes = last_changes.remove(&dealing.name).unwrap_or_default();
            if let Some(&intent) = before.get(&dealing.name) {
                self.departed.add(departed::One { dealing, intent, last_changes });
            }
        }
        sentences
    }

    fn reloaded(&self, changed: bool, effects: Vec<String>) -> Reloaded {
        Reloaded {
            generation: self.generation,
            changed,
            effects,
            needs_restart: self.needs_restart(),
            warnings: self.warnings.clone(),
        }
    }

    /// A person's percent or phase.
    fn person_asks(
        &mut self,
        outlets: &Outlets,
        name: &str,
        event: ramp::Event,
        actor: &Actor,
    ) -> Result<Changed, ControlError> {
        if self.draining {
            return Err(ControlError::Draining);
        }
        let Some(intent) = self.intents.get(name) else {
            return Err(ControlError::UnknownMigration {
                name: name.to_owned(),
                known: self.checked.migrations.iter().map(|migration| migration.name.clone()).collect(),
            });
        };
        let (intent, effects) =
            apply(intent, &event).map_err(|refusal| ControlError::Refused(format!("{name} is {refusal}")))?;
        self.intents.insert(name.to_owned(), intent);
        let what = match event {
            ramp::Event::PercentSet(percent) => format!("{percent} % asked for"),
            ramp::Event::PhaseSet(phase) => format!("phase {phase} asked for"),
            ramp::Event::RolledBack { to, .. } => format!("rolled back to {to} %"),
            ramp::Event::Resumed => "resumed".to_owned(),
            ramp::Event::FileRead(_) => "file read".to_owned(),
        };
        let (who, reason) = (change::name(actor).to_owned(), actor.reason.clone());
        let sentences = change::sentences(name, &effects, &who);
        if !effects.is_empty() {
            self.publish();
        }
        tracing::info!(
            migration = name,
            who,
            reason,
            generation = self.generation,
            "{name}: {what} by {who}{}: {}",
            change::reason(reason.as_deref()),
            if sentences.is_empty() { "nothing changes".to_owned() } else { sentences.join("; ") }
        );
        let change = LastChange { who, reason, at: SystemTime::now(), what };
        let last_changes = self.last_changes.entry(name.to_owned()).or_default();
        match event {
            ramp::Event::PhaseSet(_) => last_changes.phase = Some(change),
            _ => last_changes.percent = Some(change),
        }
        let status = self.renew(outlets);
        let migration = status.migration(name).cloned().ok_or(ControlError::Gone)?;
        Ok(Changed { generation: self.generation, effects: sentences, migration })
    }

    async fn listen(&mut self, outlets: &Outlets, wanted: Vec<SocketAddr>) -> Result<(), ListenError> {
        let listeners = Arc::clone(&outlets.listeners);
        let bound = match spawn_blocking(move || listeners.set(&wanted)).await {
            Ok(result) => result?,
            // The runtime is going down; nobody will connect any more.
            Err(_) => return Ok(()),
        };
        for new in bound.iter().filter(|new| !self.bound.contains(new)) {
            tracing::info!(listen.bound = %new.bound, listen.asked = %new.asked, "listening on {}", new.bound);
        }
        for gone in self.bound.iter().filter(|gone| !bound.contains(gone)) {
            tracing::info!(listen.closed = %gone.bound, "no longer listening on {}", gone.bound);
        }
        self.bound = bound;
        Ok(())
    }

    /// Makes the snapshot of what is configured and asked for, and hands it to the workers.
    fn publish(&mut self) {
        self.generation += 1;
        self.follow_traffic();
        let standing = |name: &str| {
            let standing = self.intents.get(name).map(ramp::Intent::standing);
            standing.map_or(
                Standing { asked: Percent::ZERO, phase: route_plan::Phase::Preparation, cap: Percent::ZERO },
                |standing| Standing { asked: standing.asked, phase: standing.phase, cap: standing.cap },
            )
        };
        self.snapshots.store(Arc::new(self.checked.snapshot(self.generation, &standing)));
    }

    /// Holds on to the counters of exactly the migrations in force, and makes those of routes known to the scrape.
    fn follow_traffic(&mut self) {
        let mut before = std::mem::take(&mut self.traffic);
        let in_force: BTreeMap<_, _> = self
            .snapshots
            .load()
            .migrations
            .iter()
            .map(|migration| (migration.name.clone(), migration.split.percent))
            .collect();
        for migration in &self.checked.migrations {
            let name = &migration.name;
            let same = self.intents.get(name).map(|intent| intent.standing().in_force())
                == in_force.get(name).copied();
            let traffic = match before.remove(name) {
                Some(traffic) if same => traffic,
                // A new percentage is measured from here on; what the log has said of the old one holds.
                known => {
                    let cells = self.telemetry.traffic(TrafficKind::Migration, name);
                    let totals = cells.totals();
                    let teller = known.map(|known| known.teller);
                    let teller =
                        teller.unwrap_or_else(|| Teller::from(Counts::of(&totals), self.started.1.elapsed()));
                    Traffic { cells, measure: Measure::from(Traffic::reading(&totals)), teller }
                }
            };
            self.traffic.insert(name.clone(), traffic);
        }
        for route in &self.checked.routes {
            let _ = self.telemetry.traffic(TrafficKind::Route, &route.name);
        }
    }

    /// The files to watch.
    fn paths(&self) -> Vec<PathBuf> {
        let named = self.seen.files.iter().chain(&self.content.files).map(|file| resolve(&self.path, file));
        std::iter::once(self.path.clone()).chain(named).collect()
    }
}

fn addresses(checked: &Checked) -> Vec<SocketAddr> {
    checked.listeners.iter().map(|listener| listener.listen).collect()
}

#[cfg(test)]
mod tests;
