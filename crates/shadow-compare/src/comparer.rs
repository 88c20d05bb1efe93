//! Who takes pairs, and is asked what came of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use config_file::Checked;
use route_plan::{Asks, Compares, NotCopied, Pair};
use telemetry::{ComparisonCells, Telemetry};

use crate::desk::{Desk, Sources};
use crate::gate::{Gate, PAIRS};
use crate::inquiry::{MOST as INQUIRIES, bytes_of};
use crate::report::{Report, Wish};
use crate::settings::{Draft, Key, Settings};
use crate::store::Store;
use crate::thread::{Message, Worker};

/// How long the end may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Compares the answers of copied requests with the served ones, on a thread of its own.
///
/// Whoever hands in pairs never waits; what there is no room or time for is turned away and counted by them.
pub struct Comparer {
    shared: Arc<Shared>,
    messages: SyncSender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Where the comparisons of one migration go.
#[derive(Debug)]
enum Place {
    /// Nothing was compared or asked for yet: most migrations may have copies, and few have them at a time.
    Empty(Box<Draft>),
    Taken(Arc<Mutex<Desk>>),
}

/// What the thread shares with those who hand in and those who ask.
pub(crate) struct Shared {
    pub(crate) gate: Gate,
    places: Mutex<BTreeMap<Arc<str>, Place>>,
    pub(crate) asks: OnceLock<Arc<dyn Asks>>,
    pub(crate) store: Store,
    pub(crate) ending: AtomicBool,
    /// What is to be done before the next pair is taken or the next report is made.
    orders: Mutex<Orders>,
    /// Held by whoever does it, so that it is done in order.
    obeying: Mutex<()>,
    /// The share of one core that comparing may use, as the bits of a float.
    cpu_share: AtomicU64,
    key: Key,
    telemetry: Arc<Telemetry>,
}

impl std::fmt::Debug for Comparer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Comparer").field("waiting", &self.shared.gate.waiting()).finish_non_exhaustive()
    }
}

impl Comparer {
    /// Starts the thread. What was found is kept in `state_dir`, and read from there; without one it ends with the process.
    ///
    /// # Errors
    /// When the thread cannot be started. A directory that cannot be used costs what would be in it, and nothing else.
    pub fn start(state_dir: Option<PathBuf>, telemetry: Arc<Telemetry>) -> io::Result<Arc<Comparer>> {
        let (store, key) = Store::open(state_dir, telemetry.clone());
        let shared = Arc::new(Shared {
            gate: Gate::new(),
            places: Mutex::default(),
            asks: OnceLock::new(),
            store,
            ending: AtomicBool::new(false),
            orders: Mutex::default(),
            obeying: Mutex::default(),
            cpu_share: AtomicU64::new(1.0_f64.to_bits()),
            key,
            telemetry,
        });
        // Room for every answer that can be outstanding, so that none of them is ever turned away.
        let (messages, queue) = sync_channel(PAIRS + 2 * INQUIRIES + 1);
        let worker = Worker::new(shared.clone(), queue, messages.clone());
        let thread = std::thread::Builder::new().name("compare".to_owned()).spawn(move || worker.run())?;
        Ok(Arc::new(Comparer { shared, messages, thread: Mutex::new(Some(thread)) }))
    }

    /// By whom requests are asked once more. Until it is said, none are. Only the first call has an effect.
    pub fn ask_through(&self, asks: Arc<dyn Asks>) {
        let _ = self.shared.asks.set(asks);
    }

    /// A configuration has come into force: its migrations are compared by its rules from the next pair on. Never blocks.
    pub fn follow(&self, checked: &Checked) {
        self.shared.orders().follow(checked);
        let _ = self.messages.try_send(Message::Wake);
    }

    /// What was compared of a migration so far says nothing any more. Never blocks.
    pub fn begin_anew(&self, migration: &str) {
        self.shared.orders().anew.insert(Arc::from(migration));
        let _ = self.messages.try_send(Message::Wake);
    }

    /// What was found of a migration; `None` where nothing is compared of it. May read files, and may wait for a comparison.
    #[must_use]
    pub fn report(&self, migration: &str, wish: &Wish) -> Option<Report> {
        self.shared.obey();
        let desk = self.shared.desk(migration)?;
        let kept = self.shared.store.told();
        let share = self.shared.gate.share();
        Some(Report::of(&lock(&desk), wish, &kept, share))
    }

    /// What comparing has used of a processor so far.
    #[must_use]
    pub fn used(&self) -> Duration {
        Duration::from_micros(self.shared.telemetry.comparer().used_us.load(Ordering::Relaxed))
    }

    /// Ends the thread; what was found is kept. Waits for the disk, but not for long.
    pub fn stop(&self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        let _ = self.messages.try_send(Message::Wake);
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            thread.thread().unpark();
            // One that panicked has said so; with `panic = "abort"` it has ended the process.
            let _ = thread.join();
        }
        self.shared.store.close(PATIENCE);
    }
}

impl Drop for Comparer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Compares for Comparer {
    fn take(&self, pair: Box<Pair>) -> Result<(), NotCopied> {
        let bytes = bytes_of(&pair);
        if self.shared.ending.load(Ordering::Relaxed) {
            return Err(NotCopied::Ended);
        }
        self.shared.gate.enter(bytes)?;
        let sent = self.messages.try_send(Message::Pair { pair, bytes, at: Instant::now() });
        sent.map_err(|failed| {
            self.shared.gate.leave(bytes);
            match failed {
                TrySendError::Full(_) => NotCopied::QueueFull,
                TrySendError::Disconnected(_) => NotCopied::Ended,
            }
        })
    }

    fn room(&self) -> Result<(), NotCopied> {
        self.shared.gate.lets_in(fastrand::u32(..))
    }
}

/// What is to be done before the next pair is taken.
#[derive(Debug, Default)]
struct Orders {
    /// The latest configuration, and the share of one core that it gives to comparing.
    wanted: Option<(Vec<Draft>, f64)>,
    /// Migrations whose comparisons begin to count anew.
    anew: BTreeSet<Arc<str>>,
}

impl Orders {
    fn follow(&mut self, checked: &Checked) {
        self.wanted = Some((Draft::all(checked), checked.compare_cpu.as_f64() / 100.0));
    }
}

impl Shared {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        lock(&self.orders)
    }

    /// Goes by what was said meanwhile. May read files.
    pub(crate) fn obey(&self) {
        let _in_order = lock(&self.obeying);
        let Orders { wanted, anew } = std::mem::take(&mut *self.orders());
        if let Some((drafts, share)) = wanted {
            self.cpu_share.store(share.to_bits(), Ordering::Relaxed);
            self.follow(drafts);
        }
        anew.iter().for_each(|migration| self.begin_anew(migration));
    }

    /// The share of one core that comparing may use.
    pub(crate) fn cpu_share(&self) -> f64 {
        f64::from_bits(self.cpu_share.load(Ordering::Relaxed))
    }

    /// Lets the desks follow: exactly these migrations have a place.
    fn follow(&self, drafts: Vec<Draft>) {
        let now_ms = now_ms();
        let mut places = lock(&self.places);
        let mut before = std::mem::take(&mut *places);
        for draft in drafts {
            let name = draft.name.clone();
            let place = match before.remove(&name) {
                Some(Place::Taken(desk)) => {
                    let Some(settings) = Settings::of(draft, &self.key) else { continue };
                    lock(&desk).follow(settings, now_ms);
                    Place::Taken(desk)
                }
                Some(Place::Empty(_)) | None => Place::Empty(Box::new(draft)),
            };
            places.insert(name, place);
        }
        let names = places.keys().cloned().collect();
        drop(places);
        for place in before.into_values() {
            if let Place::Taken(desk) = place {
                self.store.save(&lock(&desk));
            }
        }
        self.store.in_force(names);
    }

    /// What was compared of this migration so far says nothing any more.
    fn begin_anew(&self, migration: &str) {
        if let Some(desk) = self.desk(migration) {
            lock(&desk).begin_anew(now_ms());
        }
    }

    /// The desk of a migration, made when it is asked for first, with what was kept of it; `None` where nothing is compared
    /// of it. May read a file.
    pub(crate) fn desk(&self, migration: &str) -> Option<Arc<Mutex<Desk>>> {
        let mut places = lock(&self.places);
        let place = places.get_mut(migration)?;
        let draft = match place {
            Place::Taken(desk) => return Some(desk.clone()),
            Place::Empty(draft) => (**draft).clone(),
        };
        let Some(settings) = Settings::of(draft, &self.key) else {
            places.remove(migration);
            return None;
        };
        let desk = Arc::new(Mutex::new(self.begin(settings, now_ms())));
        *place = Place::Taken(desk.clone());
        Some(desk)
    }

    /// Those that something was compared of, or asked for.
    pub(crate) fn desks(&self) -> Vec<Arc<Mutex<Desk>>> {
        let taken = |place: &Place| match place {
            Place::Taken(desk) => Some(desk.clone()),
            Place::Empty(_) => None,
        };
        lock(&self.places).values().filter_map(taken).collect()
    }

    /// A desk for a migration that was not known, with what was kept of it.
    fn begin(&self, settings: Settings, now_ms: u64) -> Desk {
        let name = settings.name.clone();
        let sources = Sources {
            comparisons: self.telemetry.comparisons(&name),
            served: self.telemetry.evidence(&name),
            copied: self.telemetry.shadow_evidence(&name),
        };
        self.store.restore(Desk::new(settings, sources, now_ms))
    }

    /// Where all is counted.
    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Where the comparisons of a migration are counted.
    pub(crate) fn comparisons(&self, migration: &str) -> Arc<ComparisonCells> {
        self.telemetry.comparisons(migration)
    }
}

/// The wall clock, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A poisoned lock guards nothing here that could be half written in a harmful way, so it is used as it is.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
