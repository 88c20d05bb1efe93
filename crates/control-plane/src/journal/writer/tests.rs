use std::fs;
use std::path::Path;

use super::*;
use crate::journal::{CURRENT, JournalError};

fn kinds(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(dir.join(CURRENT)).unwrap();
    let kind = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].as_str().unwrap().to_owned()
    };
    text.lines().map(kind).collect()
}

fn entry(kind: Kind) -> Vec<Entry> {
    vec![Entry::of_process(kind)]
}

async fn healthy(journal: &Journal) {
    let healthy = async { journal.health().wait_for(|health| health.error.is_none()).await.map(drop) };
    tokio::time::timeout(Duration::from_secs(10), healthy).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_a_disk_does_not_take_is_written_later_if_it_has_happened() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, _) = Disk::open(dir.path()).unwrap();
    // No file can be made where a directory is.
    fs::create_dir(dir.path().join(CURRENT)).unwrap();
    let journal = Journal::start(disk, None).unwrap();
    let back = journal.append(entry(Kind::RolledBack), Keep::UntilWritten).unwrap().await.unwrap();
    let forward = journal.append(entry(Kind::Resumed), Keep::No).unwrap().await.unwrap();
    assert!(back.is_err() && forward.is_err());
    let health = journal.health().borrow().clone();
    assert_eq!((health.unwritten, health.seq, health.error), (1, 0, back.err()));

    fs::remove_dir(dir.path().join(CURRENT)).unwrap();
    healthy(&journal).await;
    assert_eq!(kinds(dir.path()), ["rolled_back", "recovered"], "what goes forward was dropped");
    assert_eq!(journal.health().borrow().seq, 2);
    journal.append(entry(Kind::Resumed), Keep::No).unwrap().await.unwrap().unwrap();
    assert_eq!(kinds(dir.path()), ["rolled_back", "recovered", "resumed"]);
}

#[tokio::test]
async fn what_is_kept_has_a_limit_and_the_last_word_of_each_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, _) = Disk::open(dir.path()).unwrap();
    fs::create_dir(dir.path().join(CURRENT)).unwrap();
    let journal = Journal::start(disk, None).unwrap();
    let of = |name: String| Entry { migration: Some(name), ..Entry::of_process(Kind::RolledBack) };
    let many = (0..MAX_UNWRITTEN + 100).map(|number| of(format!("m{}", number.min(7)))).collect();
    assert!(journal.append(many, Keep::UntilWritten).unwrap().await.unwrap().is_err());
    assert_eq!(journal.health().borrow().unwritten, MAX_UNWRITTEN);
    fs::remove_dir(dir.path().join(CURRENT)).unwrap();
    healthy(&journal).await;
    let text = fs::read_to_string(dir.path().join(CURRENT)).unwrap();
    assert!((0..=7).all(|number| text.contains(&format!("\"m{number}\""))));
}

#[tokio::test]
async fn it_lets_go_of_the_directory_when_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::start(Disk::open(dir.path()).unwrap().0, None).unwrap();
    assert!(matches!(Disk::open(dir.path()), Err(JournalError::Locked { .. })));
    let _ = journal.append(entry(Kind::Started), Keep::UntilWritten);
    drop(journal);
    let started = std::time::Instant::now();
    while Disk::open(dir.path()).is_err() {
        assert!(started.elapsed() < Duration::from_secs(10));
        thread::park_timeout(Duration::from_millis(1));
    }
    assert_eq!(kinds(dir.path()), ["started"], "what waited was written first");
}
