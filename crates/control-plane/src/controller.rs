//! The owner: wait for an event, apply it, publish.

mod drilling;
mod judging;
mod keeping;
mod lines;
mod planning;
mod ramping;
mod reading;
mod reloading;
mod report;
mod restart;
mod shadowing;
mod steps;
mod tidings;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use config_file::{Checked, Standing};
use ramp::{Cause, Policy};
use route_plan::Snapshot;
use telemetry::{ReloadCounts, SnapshotCell, Telemetry, Totals, TrafficCells, TrafficKind};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};
use traffic_split::{Arm, Percent};

use crate::book::Book;
use crate::controller::drilling::Watched;
use crate::controller::keeping::Kept;
use crate::controller::ramping::Climbs;
use crate::controller::reading::{Reader, Wish};
use crate::controller::reloading::{addresses, next_health};
pub(crate) use crate::controller::steps::Ask;
use crate::controller::steps::{Pending, next_ack};
use crate::controller::tidings::Tidings;
use crate::drains;
use crate::event::Event;
use crate::fallbacks::{Counts, Teller};
use crate::follows::{Followers, Follows};
use crate::guarding::Watchman;
use crate::handle::{ControlError, ControlHandle};
use crate::hooks::{Answers, Line};
use crate::journal::{Health, Journal, State};
use crate::lineages::Lineages;
use crate::listeners::{Bound, ListenError, Listeners};
use crate::measure::{Measure, Reading};
use crate::shadowing::ShadowWatch;
use crate::source::{Content, Loaded, resolve};
use crate::status::Status;
use crate::watch as files;

/// How many events may wait.
const QUEUE: usize = 64;
/// How often the guards look.
const LOOK: Duration = Duration::from_millis(50);
/// How often it is decided what is due in the ramps.
const STRIDE: Duration = Duration::from_millis(200);
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
    book: Book,
    /// Rollbacks since the start, by migration and cause.
    rollbacks: BTreeMap<String, BTreeMap<Cause, u64>>,
    /// `None`: state lives in memory.
    journal: Option<Journal>,
    health: Option<watch::Receiver<Health>>,
    /// Why the journal cannot be written, since the log was told.
    trouble: Option<String>,
    /// The disk takes too long.
    hangs: bool,
    /// What the journal has, or is about to have, of each migration.
    recorded: BTreeMap<String, State>,
    /// There is something that the journal has not been given.
    is_behind: bool,
    /// The file asks for something that waits until the journal can be written.
    is_held_back: bool,
    /// Seconds until the file is read again for that, and after how many the time before.
    reading_in_s: u32,
    read_again_s: u32,
    /// Steps that the journal has not answered for.
    pending: VecDeque<Pending>,
    /// What is written and waits for a later step of the same migration to be told of.
    deferred: Vec<(Tidings, Option<String>)>,
    /// Steps forward that wait for the one under way.
    waiting: VecDeque<Ask>,
    /// The listeners are to be those of what runs.
    reopens: bool,
    /// What the start has to say.
    first_words: Vec<String>,
    lineages: Lineages,
    traffic: BTreeMap<String, Traffic>,
    guards: BTreeMap<String, Watchman>,
    shadows: BTreeMap<String, ShadowWatch>,
    /// What is kept of them.
    kept: Kept,
    /// When the guards looked last.
    looked_at: Instant,
    climbs: Climbs,
    /// When the ramps moved last.
    moved_at: Instant,
    /// When the time that steps were served was written down last.
    noted_at: Instant,
    /// Rollbacks and drills whose effect is being watched.
    watched: BTreeMap<String, Watched>,
    /// Those that were in a drill when the process before ended.
    found_drilling: BTreeSet<String>,
    /// What the last rollback came to.
    verified: BTreeMap<String, String>,
    /// What a migration goes by that is not in the file.
    no_policy: Policy,
    /// For calls to hooks.
    line: Line,
    /// So many hooks were called.
    calls: u64,
    /// What they said since the start, by migration.
    hook_answers: BTreeMap<String, Answers>,
    followers: Followers,
    own_events: Option<mpsc::WeakSender<Event>>,
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
    drains: drains::Teller,
}

impl Traffic {
    /// Begins at `now`, the time since the start: what was counted before is not told of.
    fn from(cells: Arc<TrafficCells>, now: Duration) -> Self {
        let totals = cells.totals();
        Traffic {
            measure: Measure::from(Traffic::reading(&totals)),
            teller: Teller::from(Counts::of(&totals), now),
            drains: drains::Teller::from(drains::Counts::of(&totals)),
            cells,
        }
    }

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
pub(crate) struct Outlets {
    listeners: Arc<dyn Listeners>,
    status: watch::Sender<Arc<Status>>,
    paths: watch::Sender<Vec<PathBuf>>,
}

impl Controller {
    /// Takes over the first configuration and makes its snapshot. It keeps no journal, whatever the file says of one;
    /// see [`Controller::open`]. Nothing runs yet.
    #[must_use]
    pub fn new(first: Loaded, telemetry: Arc<Telemetry>) -> Self {
        let book = Book::first(&first.checked);
        Self::with(first, book, Kept::default(), telemetry)
    }

    fn with(first: Loaded, book: Book, kept: Kept, telemetry: Arc<Telemetry>) -> Self {
        let Loaded { checked, warnings, path, content } = first;
        let now = SystemTime::now();
        let drilling = book.intents.iter().filter(|(_, intent)| intent.is_drilling);
        let found_drilling = drilling.map(|(name, _)| name.clone()).collect();
        let mut controller = Controller {
            path,
            first: checked.clone(),
            checked,
            seen: content.clone(),
            reader: Reader::new(),
            content,
            warnings,
            book,
            rollbacks: BTreeMap::new(),
            journal: None,
            health: None,
            trouble: None,
            hangs: false,
            recorded: BTreeMap::new(),
            is_behind: false,
            is_held_back: false,
            reading_in_s: 0,
            read_again_s: 0,
            pending: VecDeque::new(),
            deferred: Vec::new(),
            waiting: VecDeque::new(),
            reopens: false,
            first_words: Vec::new(),
            lineages: Lineages::default(),
            traffic: BTreeMap::new(),
            guards: BTreeMap::new(),
            shadows: BTreeMap::new(),
            kept,
            looked_at: Instant::now(),
            climbs: Climbs::new(),
            moved_at: Instant::now(),
            noted_at: Instant::now(),
            watched: BTreeMap::new(),
            found_drilling,
            verified: BTreeMap::new(),
            no_policy: Policy::default(),
            line: Line::default(),
            calls: 0,
            hook_answers: BTreeMap::new(),
            followers: Followers::default(),
            own_events: None,
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

    /// Who else goes by the configuration, from now on.
    pub fn lead(&mut self, follows: Arc<dyn Follows>) {
        self.followers.join(follows, &self.checked);
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
        let handle = ControlHandle {
            events,
            status: status_reader,
            snapshots: Arc::clone(&self.snapshots),
            journal: self.journal.as_ref().map(|journal| (journal.dir().into(), journal.health())),
        };
        self.own_events = Some(handle.events.downgrade());
        let timing = files::Timing { quiet: settings.quiet, poll: settings.poll };
        tokio::spawn(files::Watch::new(timing, paths_reader).run(handle.events.downgrade()));
        let task = tokio::spawn(self.run(outlets, queue));
        Ok(Control { handle, task })
    }

    async fn run(mut self, outlets: Outlets, mut queue: mpsc::Receiver<Event>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stride = interval(STRIDE);
        stride.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if std::mem::take(&mut self.reopens) {
                // Those are open, or were until a moment ago.
                if let Err(error) = self.listen(&outlets, addresses(&self.checked)).await {
                    tracing::error!("the listeners before cannot be opened again: {error}");
                }
            }
            self.reader.begin(&self.path, &self.seen);
            let takes_files = !self.is_going_forward();
            let event = tokio::select! {
                event = queue.recv() => event.unwrap_or(Event::Shutdown),
                result = next_ack(&mut self.pending) => {
                    self.acknowledged(&outlets, result);
                    continue;
                }
                (found, wishes) = self.reader.next(), if takes_files => {
                    self.files_read(&outlets, found, wishes).await;
                    continue;
                }
                health = next_health(&mut self.health) => {
                    self.look_at(&outlets, &health);
                    continue;
                }
                _ = look.tick() => {
                    self.look_at_new(&outlets);
                    self.look_at_watched(&outlets);
                    continue;
                }
                _ = stride.tick() => {
                    let since_last = self.moved_at.elapsed();
                    self.moved_at = Instant::now();
                    self.move_ramps(&outlets, since_last);
                    continue;
                }
                _ = tick.tick() => Event::Tick,
            };
            if matches!(event, Event::Shutdown) {
                // Before the journal goes, and with it the lock on the directory.
                let _ = spawn_blocking(move || self.finish_keeping()).await;
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
            Event::Ask(ask) => self.ask(outlets, ask),
            Event::Advance { migration, actor, reply } => {
                let event = ramp::Event::Advanced(self.waits_now(&migration));
                let data = self.evidence_data(&migration);
                let seen = self.book.intents.get(&migration).map(ramp::Intent::steps_entered);
                let ask = Ask { data, seen, reply: Some(reply), ..Ask::new(&migration, event, actor) };
                self.ask(outlets, ask);
            }
            Event::RollBack { migration, to, now, actor, reply } => {
                let to = self.place(&migration, to);
                let event = ramp::Event::RolledBack { cause: Cause::Person, to, in_parts: !now };
                let ask = Ask { reply: Some(reply), ..Ask::new(&migration, event, actor) };
                self.ask(outlets, ask);
            }
            Event::Shadow { migration, on, anew, actor, reply } => {
                self.switch_shadow(outlets, &migration, (on, anew), actor, reply);
            }
            Event::Drill { migration, actor, reply } => {
                self.begin_drill(outlets, &migration, actor, Some(reply));
            }
            Event::Plan { migration, reply } => {
                let plan = self.plan(&migration).ok_or_else(|| self.no_plan(&migration));
                let _ = reply.send(plan);
            }
            Event::HookAnswered { migration, kind, number, answer } => {
                self.hook_answered(&migration, kind, number, answer);
            }
            Event::Tick => {
                self.read_traffic();
                self.shadows.values_mut().for_each(ShadowWatch::read);
                self.keep_stakes();
                self.mind_keeping();
                self.mind_journal(outlets);
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

    /// Makes the snapshot of what is configured and asked for, and hands it to the workers. What the guards know is
    /// kept after that: however many there are, no rollback waits for it.
    fn publish(&mut self) {
        self.generation += 1;
        self.follow_traffic();
        let standing = |name: &str| {
            let intent = self.book.intents.get(name);
            let shadow_off = intent.is_some_and(|intent| intent.shadow_off.is_some());
            let standing = intent.map(ramp::Intent::standing);
            let unknown = ramp::Standing {
                asked: Percent::ZERO,
                phase: route_plan::Phase::Preparation,
                cap: Percent::ZERO,
            };
            let ramp::Standing { asked, phase, cap } = standing.unwrap_or(unknown);
            Standing { asked, phase, cap, shadow_off }
        };
        let mut snapshot = self.checked.snapshot(self.generation, &standing);
        for migration in &mut snapshot.migrations {
            migration.lineage = self.lineages.of(&migration.name);
        }
        self.snapshots.store(Arc::new(snapshot));
        self.follow_guards();
        self.follow_shadows();
        self.keep_stakes();
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
        let now = self.started.1.elapsed();
        for migration in &self.checked.migrations {
            let name = &migration.name;
            let is = self.book.intents.get(name).map(|intent| intent.standing().in_force());
            let was = in_force.get(name).copied();
            let mut traffic = before
                .remove(name)
                .unwrap_or_else(|| Traffic::from(self.telemetry.traffic(TrafficKind::Migration, name), now));
            if is != was {
                // A new percentage is measured from here on; what the log has said of the old one holds.
                traffic.measure = Measure::from(Traffic::reading(&traffic.cells.totals()));
            }
            if is < was {
                traffic.drains.taken_back(now);
            }
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

#[cfg(test)]
mod tests;
