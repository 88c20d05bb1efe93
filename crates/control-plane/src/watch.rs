//! Notices that the configuration may have changed.
//!
//! What is watched are directories, not files: editors write a new file and rename it over the old one, and
//! Kubernetes swaps a symbolic link (`..data`) one directory up from where the content lies. So both the directory of
//! the path as given and the one it resolves to are watched, and looked up anew after each event. Whatever happens in
//! them only means "look again"; whether anything changed is decided by content. Events can be lost (network file
//! systems send none), so a slow poll goes over it all the same.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout_at};

use crate::event::Event;

/// After how many quiet times a look is taken although the directory never got quiet.
const MAX_QUIET_TIMES: u32 = 10;

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
            tokio::select! {
                changed = self.paths.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.directories.watch(&self.paths.borrow_and_update());
                    continue;
                }
                Some(()) = self.nudges.recv() => until_quiet(&mut self.nudges, quiet).await,
                _ = poll.tick() => {}
            }
            // Only handles keep the controller alive, so this holds none.
            let Some(events) = events.upgrade() else { return };
            // With a full queue the controller has enough to do; the poll comes round again.
            let _ = events.try_send(Event::FileTouched);
        }
    }
}

async fn until_quiet(nudges: &mut mpsc::Receiver<()>, quiet: Duration) {
    let latest = Instant::now() + quiet * MAX_QUIET_TIMES;
    loop {
        let until = (Instant::now() + quiet).min(latest);
        if timeout_at(until, nudges.recv()).await.is_err() || Instant::now() >= latest {
            return;
        }
    }
}

/// The directories that are watched at the moment.
struct Directories {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Directories {
    fn new(nudge: mpsc::Sender<()>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !may_change(event.kind)) {
                return;
            }
            // A nudge that waits already says the same.
            let _ = nudge.try_send(());
        });
        let watcher = watcher.map_err(|error| {
            tracing::warn!(error = %error, "files cannot be watched: changes are noticed by polling alone");
        });
        Directories { watcher: watcher.ok(), watched: BTreeSet::new() }
    }

    fn watch(&mut self, paths: &[PathBuf]) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted: BTreeSet<PathBuf> = paths.iter().flat_map(|path| directories_of(path)).collect();
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

/// The directory of the path as given, and of every link on the way to what it resolves to.
fn directories_of(path: &Path) -> BTreeSet<PathBuf> {
    let parent = |path: &Path| match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => PathBuf::from("/"),
    };
    let mut directories = BTreeSet::from([parent(path)]);
    let mut link = path.to_owned();
    // Bounded, since links may go in circles.
    for _ in 0..8 {
        let Ok(target) = std::fs::read_link(&link) else { break };
        link = parent(&link).join(target);
        directories.insert(parent(&link));
    }
    if let Ok(resolved) = path.canonicalize() {
        directories.insert(parent(&resolved));
    }
    directories.retain(|directory| directory.is_dir());
    directories
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

    use super::*;

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
