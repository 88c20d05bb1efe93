//! Notices that the configuration may have changed.
//!
//! What is watched are directories, not files: editors write a new file and rename it over the old one, and
//! Kubernetes swaps a symbolic link (`..data`) one directory up from where the content lies. So both the directory of
//! the path as given and the one it resolves to are watched, and looked up anew after each event. Whatever happens in
//! them only means "look again"; whether anything changed is decided by content. Events can be lost (network file
//! systems send none), so a slow poll goes over it all the same.
//!
//! Half a file can be a valid configuration with half its migrations. So a file that somebody writes is looked at when
//! the writer has closed it, and where nothing tells of that, only if two reads some time apart are the same.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout_at};

use crate::event::Event;

/// After how many quiet times a look is taken although the directory never got quiet.
const MAX_QUIET_TIMES: u32 = 10;
/// How long a writer may keep a file open before a look is taken all the same.
const MAX_WRITING: Duration = Duration::from_secs(10);

/// How the files are watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// How long nothing may have happened before a look is taken: an editor writes in several steps.
    pub(crate) quiet: Duration,
    /// How often a look is taken without any event.
    pub(crate) poll: Duration,
}

/// The watched files.
pub(crate) struct Watch {
    timing: Timing,
    paths: watch::Receiver<Vec<PathBuf>>,
    directories: Directories,
    nudges: mpsc::Receiver<()>,
}

impl Watch {
    /// Begins to watch the files that `paths` names: from here on no change is missed.
    pub(crate) fn new(timing: Timing, mut paths: watch::Receiver<Vec<PathBuf>>) -> Self {
        let (nudge, nudges) = mpsc::channel(1);
        // They were read before they were watched, so the first look is due now.
        let _ = nudge.try_send(());
        let mut directories = Directories::new(nudge);
        directories.watch(&paths.borrow_and_update());
        Watch { timing, paths, directories, nudges }
    }

    /// Tells the controller of every sign of a change, until it has ended.
    pub(crate) async fn run(mut self, events: mpsc::WeakSender<Event>) {
        let Timing { quiet, poll } = self.timing;
        let mut poll = interval_at(Instant::now() + poll, poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let settle = tokio::select! {
                changed = self.paths.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.directories.watch(&self.paths.borrow_and_update());
                    continue;
                }
                Some(()) = self.nudges.recv() => {
                    let writing = &self.directories.writing;
                    let is_whole = until_written(&mut self.nudges, writing, quiet).await;
                    (!is_whole).then_some(quiet)
                }
                _ = poll.tick() => Some(quiet),
            };
            // Only handles keep the controller alive, so this holds none.
            let Some(events) = events.upgrade() else { return };
            // With a full queue the controller has enough to do; the poll comes round again.
            let _ = events.try_send(Event::FileTouched { settle });
        }
    }
}

/// Waits until nobody writes and nothing happens. `false` when the writer has not come to an end in time.
async fn until_written(nudges: &mut mpsc::Receiver<()>, writing: &Writing, quiet: Duration) -> bool {
    let unfinished = Instant::now() + MAX_WRITING;
    let mut latest = Instant::now() + quiet * MAX_QUIET_TIMES;
    loop {
        let is_open = writing.is_any();
        let until = if is_open { unfinished } else { (Instant::now() + quiet).min(latest) };
        match timeout_at(until, nudges.recv()).await {
            Ok(Some(())) if is_open => latest = Instant::now() + quiet * MAX_QUIET_TIMES,
            Ok(Some(())) if Instant::now() < latest => {}
            Err(_) if is_open => {
                writing.forget();
                return false;
            }
            _ => return !writing.is_any(),
        }
    }
}

/// Which of the files somebody writes at the moment.
#[derive(Clone, Default)]
struct Writing(Arc<Mutex<Files>>);

#[derive(Default)]
struct Files {
    /// The files, under every path at which an event may tell of them.
    known: BTreeSet<PathBuf>,
    open: BTreeSet<PathBuf>,
}

impl Writing {
    fn follow(&self, known: BTreeSet<PathBuf>) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.open.retain(|path| known.contains(path));
        files.known = known;
    }

    fn note(&self, event: &notify::Event) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for path in &event.paths {
            match event.kind {
                EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_))
                    if files.known.contains(path) && will_be_closed(path) =>
                {
                    files.open.insert(path.clone());
                }
                EventKind::Access(AccessKind::Close(AccessMode::Write))
                | EventKind::Modify(ModifyKind::Name(_))
                | EventKind::Remove(_) => {
                    files.open.remove(path);
                }
                _ => {}
            }
        }
    }

    fn is_any(&self) -> bool {
        !self.0.lock().unwrap_or_else(PoisonError::into_inner).open.is_empty()
    }

    fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).open.clear();
    }
}

/// Links appear with their whole content: nobody writes and closes them.
fn will_be_closed(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_file() && found.nlink() == 1)
}

/// The directories that are watched at the moment.
struct Directories {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    writing: Writing,
}

impl Directories {
    fn new(nudge: mpsc::Sender<()>) -> Self {
        let writing = Writing::default();
        let noted = writing.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if let Ok(event) = event {
                if !may_change(event.kind) {
                    return;
                }
                noted.note(&event);
            }
            // A nudge that waits already says the same.
            let _ = nudge.try_send(());
        });
        let watcher = watcher.map_err(|error| {
            tracing::warn!(error = %error, "files cannot be watched: changes are noticed by polling alone");
        });
        Directories { watcher: watcher.ok(), watched: BTreeSet::new(), writing }
    }

    fn watch(&mut self, paths: &[PathBuf]) {
        let Some(watcher) = &mut self.watcher else { return };
        let files: BTreeSet<PathBuf> = paths.iter().flat_map(|path| places_of(path)).collect();
        let mut wanted: BTreeSet<PathBuf> = files.iter().map(|file| parent(file)).collect();
        wanted.retain(|directory| directory.is_dir());
        self.writing.follow(files);
        for gone in self.watched.difference(&wanted) {
            // Fails when the directory itself is gone, and its watch with it.
            let _ = watcher.unwatch(gone);
        }
        self.watched.retain(|directory| wanted.contains(directory));
        for directory in wanted {
            // Also one that is watched already: it may have been replaced by another of the same name.
            match watcher.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(directory);
                }
                Err(error) => tracing::warn!(
                    error = %error, directory = %directory.display(),
                    "a directory cannot be watched: changes in it are noticed by polling alone"
                ),
            }
        }
    }
}

/// The path as given, every link on the way, and what it resolves to.
fn places_of(path: &Path) -> BTreeSet<PathBuf> {
    // As the watch of its directory spells it.
    let spelt = |path: &Path| path.file_name().map_or(path.to_owned(), |name| parent(path).join(name));
    let mut places = BTreeSet::from([spelt(path)]);
    let mut link = path.to_owned();
    // Bounded, since links may go in circles.
    for _ in 0..8 {
        let Ok(target) = std::fs::read_link(&link) else { break };
        link = parent(&link).join(target);
        places.insert(spelt(&link));
    }
    places.extend(path.canonicalize());
    places
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => PathBuf::from("/"),
    }
}

/// Our own reading of the file is an event too, and no reason to read it again.
fn may_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use std::fs::File;
    use std::io::Write;

    use notify::event::{CreateKind, DataChange, RenameMode};
    use tokio::time::timeout;

    use super::*;

    fn directories_of(path: &Path) -> BTreeSet<PathBuf> {
        places_of(path).iter().map(|place| parent(place)).filter(|directory| directory.is_dir()).collect()
    }

    #[tokio::test]
    async fn a_file_is_looked_at_when_its_writer_has_closed_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("crossfade.toml");
        std::fs::write(&path, "before").unwrap();
        let (_paths, reader) = watch::channel(vec![path.clone()]);
        let timing = Timing { quiet: Duration::from_millis(5), poll: Duration::from_secs(3600) };
        let (events, mut queue) = mpsc::channel(8);
        let task = tokio::spawn(Watch::new(timing, reader).run(events.downgrade()));
        assert!(matches!(queue.recv().await, Some(Event::FileTouched { settle: None })), "the first look");

        let mut file = File::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        let early = timeout(Duration::from_millis(200), queue.recv()).await;
        assert!(early.is_err(), "the file is still being written");
        file.write_all(b" and half").unwrap();
        drop(file);
        let seen = timeout(Duration::from_secs(5), queue.recv()).await.unwrap();
        assert!(matches!(seen, Some(Event::FileTouched { settle: None })));
        task.abort();
    }

    #[test]
    fn who_writes_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "").unwrap();
        let writing = Writing::default();
        writing.follow(BTreeSet::from([path.clone()]));
        let note = |kind, path: &Path| {
            writing.note(&notify::Event::new(kind).add_path(path.to_owned()));
            writing.is_any()
        };
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let created = EventKind::Create(CreateKind::File);
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        assert!(!note(data, &dir.path().join("log")), "another file of the directory");
        assert!(note(data, &path) && !note(closed, &path));
        assert!(note(created, &path) && !note(EventKind::Modify(ModifyKind::Name(RenameMode::To)), &path));
        std::fs::hard_link(&path, dir.path().join("b")).unwrap();
        assert!(!note(created, &path), "a link comes with its content");
    }

    #[test]
    fn every_directory_on_the_way_is_watched() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for version in ["..v1", "..v2"] {
            std::fs::create_dir(root.join(version)).unwrap();
            std::fs::write(root.join(version).join("crossfade.toml"), version).unwrap();
        }
        symlink("..v1", root.join("..data")).unwrap();
        symlink("..data/crossfade.toml", root.join("crossfade.toml")).unwrap();
        let path = root.join("crossfade.toml");
        let expected = [root.clone(), root.join("..data"), root.join("..v1")];
        assert_eq!(directories_of(&path), BTreeSet::from(expected));
    }

    #[test]
    fn a_circle_of_links_and_a_missing_file_end() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        assert_eq!(directories_of(&dir.path().join("a")).len(), 1);
        assert!(directories_of(Path::new("/nowhere/at/all")).is_empty());
        assert!(directories_of(Path::new("Cargo.toml")).contains(Path::new(".")));
    }

    #[test]
    fn reading_is_no_change() {
        assert!(!may_change(EventKind::Access(AccessKind::Open(AccessMode::Any))));
        assert!(may_change(EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(may_change(EventKind::Any));
    }
}
