use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::journal::disk::Told;
use crate::journal::disk::tests::{entry, percent, state};
use crate::journal::read::{Wanted, history};
use crate::journal::record::State;
use crate::journal::verify::{Verified, verify};

/// What a test goes through its few lines with.
fn small(max_file_bytes: u64) -> Rotation {
    Rotation { max_file_bytes, ..Rotation::default() }
}

fn open(dir: &Path, max_file_bytes: u64) -> (Disk, Told) {
    Disk::open_with(dir, small(max_file_bytes)).unwrap()
}

fn refusal(dir: &Path) -> String {
    Disk::open(dir).map(drop).unwrap_err().to_string()
}

fn gone(name: &str, asked: &str) -> Entry {
    let left = State { is_present: false, ..state(name, asked) };
    Entry::of(name, Kind::Left, left)
}

fn seqs(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect()
}

fn kinds(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["kind"].as_str().unwrap()).collect()
}

fn latest(dir: &Path, name: &str, limit: usize, synced: u64) -> Vec<Value> {
    history(dir, &Wanted { migration: name.to_owned(), limit, seq: None }, synced).unwrap()
}

/// The content of a directory.
fn content(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files.map(|path| (name_of(&path), fs::read(path).unwrap())).collect()
}

/// A directory with just that content.
fn made_of<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    dir
}

#[test]
fn a_start_needs_the_newest_file_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, _) = open(dir.path(), 20_000);
    disk.append(&[gone("cart", "3"), entry("store", "9")]).unwrap();
    for number in 0..=90 {
        disk.append(&[entry("shop", &number.to_string())]).unwrap();
    }
    let last_seq = disk.seq();
    drop(disk);
    let aside = read::aside(dir.path()).unwrap();
    assert!(aside.len() > 2, "{aside:?}");
    let Verified { files, lines, first_seq, torn_bytes, .. } = verify(dir.path()).unwrap();
    assert_eq!((files, lines, first_seq, torn_bytes), (aside.len() as u64 + 1, last_seq, 1, 0));

    let text = fs::read_to_string(dir.path().join(CURRENT)).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let (before_seq, before) = aside.last_key_value().unwrap();
    assert_eq!(first["kind"], "continued");
    assert_eq!(first["data"]["file"], format!("journal-{before_seq:020}.jsonl"));
    let end = fs::read_to_string(before).unwrap();
    let hash = crate::journal::line::hash(end.lines().last().unwrap().as_bytes());
    assert_eq!((&first["prev"], &first["data"]["hash"]), (&hash.as_str().into(), &hash.into()));

    aside.values().for_each(|path| fs::remove_file(path).unwrap());
    let (mut disk, told) = open(dir.path(), 20_000);
    let cart = State { is_present: false, ..state("cart", "3") };
    let expected = [("cart", cart), ("store", state("store", "9")), ("shop", state("shop", "90"))];
    assert_eq!(told.states, expected.map(|(name, state)| (name.to_owned(), state)));
    assert_eq!(disk.seq(), last_seq);
    disk.append(&[entry("shop", "91")]).unwrap();
    let alone = verify(dir.path()).unwrap();
    assert_eq!((alone.files, alone.last_seq), (1, last_seq + 1));
    assert!(alone.first_seq > 60);
}

/// 50 migrations, each within a step.
fn fifty() -> Vec<Entry> {
    (0..50)
        .map(|number| {
            let (mut entry, name) = (entry("", "5"), format!("checkout-service-{number}"));
            entry.state.iter_mut().for_each(|state| state.dealing.name.clone_from(&name));
            Entry { migration: Some(name), ..entry }
        })
        .collect()
}

/// How long those steps were served after so many minutes, in seconds by name.
fn served(minutes: u32) -> Vec<(String, Duration)> {
    let held = |number: u32| Duration::from_millis(u64::from(60_003 * minutes + 1_117 * number));
    (0..50).map(|number| (format!("checkout-service-{number}"), held(number))).collect()
}

fn held(told: &Told) -> Vec<(String, Duration)> {
    let held = |(name, state): &(String, State)| {
        (name.clone(), state.intent.progress.as_ref().expect("it has a ramp").held)
    };
    told.states.iter().map(held).collect()
}

#[test]
fn the_time_served_is_added_to_the_last_state_and_carried_over() {
    let dir = tempfile::tempdir().unwrap();
    // The head of 50 states is longer than a file would be.
    let (mut disk, _) = open(dir.path(), 1000);
    disk.append(&fifty()).unwrap();
    for minutes in 2..=100 {
        disk.append(&[Entry::of_served(&served(minutes))]).unwrap();
    }
    assert!(!read::aside(dir.path()).unwrap().is_empty());
    verify(dir.path()).unwrap();
    drop(disk);
    assert_eq!(held(&open(dir.path(), 1000).1), served(100));
    // A step that is entered later begins at nothing, whatever was served before; so does what is not a ramp any more.
    let (mut disk, _) = open(dir.path(), 1000);
    let mut entered = fifty().swap_remove(7);
    for progress in entered.state.iter_mut().flat_map(|state| &mut state.intent.progress) {
        progress.held = Duration::ZERO;
    }
    let mut gone = fifty().swap_remove(9);
    gone.state.iter_mut().for_each(|state| state.intent.progress = None);
    disk.append(&[entered, gone, Entry::of_served(&[("checkout-service-9".to_owned(), Duration::MAX / 4)])])
        .unwrap();
    drop(disk);
    let told = open(dir.path(), 1000).1.by_name();
    assert_eq!(told["checkout-service-7"].intent.progress.as_ref().unwrap().held, Duration::ZERO);
    assert_eq!(told["checkout-service-9"].intent.progress, None);
    verify(dir.path()).unwrap();
}

#[test]
fn what_is_no_time_served_is_damage() {
    for (written, said) in [
        ("{\"held_s\":7}", "held_s has no migrations"),
        ("{\"held_s\":{\"shop\":-1}}", "held_s of shop: -1 is no time"),
        ("{\"held_s\":{\"shop\":\"a\"}}", "held_s of shop: \"a\" is no time"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (mut disk, _) = open(dir.path(), LIMIT);
        disk.append(&[Entry::of_process(Kind::Held)]).unwrap();
        drop(disk);
        let path = dir.path().join(CURRENT);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"data\":{}", &format!("\"data\":{written}"))).unwrap();
        let found = refusal(dir.path());
        assert!(found.contains(&format!("line 1: {said}")), "{found}");
    }
}

#[test]
fn a_line_of_an_earlier_version_about_the_time_served_has_the_state() {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, _) = open(dir.path(), LIMIT);
    let mut note = Entry { kind: Kind::Held, ..entry("shop", "5") };
    for progress in note.state.iter_mut().flat_map(|state| &mut state.intent.progress) {
        progress.held = Duration::from_secs(180);
    }
    disk.append(&[entry("shop", "5"), note]).unwrap();
    let seen = latest(dir.path(), "shop", 10, disk.seq());
    drop(disk);
    assert_eq!(held(&open(dir.path(), LIMIT).1), [("shop".to_owned(), Duration::from_secs(180))]);
    assert_eq!(kinds(&seen), ["percent"]);
}

#[test]
#[allow(clippy::print_stdout, reason = "a figure that is read by hand")]
fn fifty_ramps_leave_weeks_of_history() {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, _) = open(dir.path(), 8 << 20);
    disk.append(&fifty()).unwrap();
    let before = disk.tail.bytes;
    // After two weeks in a step, when the numbers are long.
    disk.append(&[Entry::of_served(&served(14 * 24 * 60))]).unwrap();
    let (states, line) = (before / 50, disk.tail.bytes - before);
    let bytes = (Rotation::default().max_aside as u64 + 1) * Rotation::default().max_file_bytes;
    let days = bytes / (line * 24 * 60);
    println!("{line} bytes a minute, {days} days of history; a line with its state has {states}");
    assert!(days >= 30, "{line} bytes a minute: {days} days");
}

#[test]
fn what_a_name_was_before_is_not_carried_over() {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, _) = open(dir.path(), 3000);
    disk.append(&[entry("shop", "5")]).unwrap();
    let renamed = Entry::of("store", Kind::Renamed, state("store", "5")).with("from", "shop");
    disk.append(&[renamed]).unwrap();
    (0..4).for_each(|_| disk.append(&[entry("store", "6")]).unwrap());
    drop(disk);
    assert!(!read::aside(dir.path()).unwrap().is_empty());
    let told = open(dir.path(), 3000).1;
    assert_eq!(told.states, [("store".to_owned(), state("store", "6"))]);
    verify(dir.path()).unwrap();
}

#[test]
fn history_goes_back_over_the_files_as_far_as_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, _) = open(dir.path(), 5000);
    for number in 0..20 {
        disk.append(&[entry("shop", &number.to_string()), entry("store", "9")]).unwrap();
    }
    let synced = disk.seq();
    let all = latest(dir.path(), "shop", 1000, synced);
    assert_eq!(all.len(), 20, "nothing that was only carried over");
    assert!(all.iter().all(|line| line["kind"] == "percent"));
    assert!(seqs(&all).is_sorted());
    for limit in [1, 3, 7, 19] {
        assert_eq!(latest(dir.path(), "shop", limit, synced), all[20 - limit..]);
    }
    let asked = |lines: &[Value]| lines.last().unwrap()["state"]["percent"].as_f64().unwrap();
    let one = latest(dir.path(), "shop", 3, seqs(&all)[9]);
    assert_eq!((seqs(&one), asked(&one)), (seqs(&all)[7..10].to_vec(), 9.0), "what is synced");

    // Files that it does not need it does not read; where the oldest are gone it begins with how things stood.
    let aside = read::aside(dir.path()).unwrap();
    fs::write(aside.first_key_value().unwrap().1, "garbage").unwrap();
    assert_eq!(latest(dir.path(), "shop", 3, synced), all[17..]);
    aside.values().for_each(|path| fs::remove_file(path).unwrap());
    let left = latest(dir.path(), "shop", 1000, synced);
    assert_eq!(kinds(&left)[0], "carried_over");
    assert_eq!(left[1..], all[20 + 1 - left.len()..]);
    assert!(latest(dir.path(), "nobody", 10, synced).is_empty());
}

#[test]
fn the_oldest_files_are_removed_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let rotation = Rotation { max_file_bytes: 2000, max_aside: 3, ..Rotation::default() };
    let (mut disk, _) = Disk::open_with(dir.path(), rotation).unwrap();
    for number in 0..30 {
        disk.append(&[entry("shop", &number.to_string())]).unwrap();
    }
    let aside = read::aside(dir.path()).unwrap();
    assert_eq!(aside.len(), 3);
    let verified = verify(dir.path()).unwrap();
    assert_eq!((verified.files, verified.first_seq), (4, *aside.first_key_value().unwrap().0));
    assert!(disk.rotation.removed > 3);
    drop(disk);
    assert_eq!(open(dir.path(), 2000).1.by_name()["shop"], state("shop", "29"));
    // A hole is no end.
    fs::remove_file(aside.values().nth(1).unwrap()).unwrap();
    let said = verify(dir.path()).unwrap_err();
    assert!(said.contains("line 1: its number is") && said.contains("lines are missing"), "{said}");
}

#[test]
fn those_that_left_long_ago_are_forgotten_first_and_the_latched_last() {
    let dir = tempfile::tempdir().unwrap();
    let rotation = Rotation { max_file_bytes: 30_000, max_gone: 3, ..Rotation::default() };
    let (mut disk, _) = Disk::open_with(dir.path(), rotation).unwrap();
    let unlatched = |name: &str| {
        let written = ramp::Written { percent: percent("1"), attempt: 1, ..ramp::Written::default() };
        let left = State {
            is_present: false,
            intent: ramp::Intent::first(written, &ramp::Policy::default()),
            ..state(name, "1")
        };
        let dealing = ramp::reshuffle::Dealing { in_force: percent("1"), ..left.dealing.clone() };
        Entry::of(name, Kind::Left, State { dealing, ..left })
    };
    disk.append(&[gone("latched", "1"), unlatched("a"), unlatched("b"), unlatched("c"), entry("shop", "0")])
        .unwrap();
    while read::aside(dir.path()).unwrap().is_empty() {
        disk.append(&[entry("shop", "1")]).unwrap();
    }
    assert_eq!(disk.rotation.forgotten, 1);
    drop(disk);
    let told = open(dir.path(), 30_000).1.by_name();
    assert_eq!(told.keys().collect::<Vec<_>>(), ["b", "c", "latched", "shop"]);
    verify(dir.path()).unwrap();
}

#[test]
fn a_long_head_is_not_written_again_after_a_few_lines() {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, _) = open(dir.path(), 1000);
    let many: Vec<_> = (0..30).map(|number| entry(&format!("m{number}"), "1")).collect();
    disk.append(&many).unwrap();
    for _ in 0..60 {
        disk.append(&[entry("m0", "2")]).unwrap();
    }
    assert!((2..=4).contains(&read::aside(dir.path()).unwrap().len()));
}

/// A journal just before another file begins, and just after.
struct Turn {
    before: BTreeMap<String, Vec<u8>>,
    after: BTreeMap<String, Vec<u8>>,
    /// The name under which the full file is set aside.
    full: String,
    shop: State,
}

const LIMIT: u64 = 20_000;

impl Turn {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (mut disk, _) = open(dir.path(), LIMIT);
        disk.append(&[gone("cart", "3"), entry("store", "9")]).unwrap();
        let mut number = 0;
        // The second turn, so that a file is set aside already.
        while read::aside(dir.path()).unwrap().is_empty() || disk.tail.bytes < LIMIT {
            number += 1;
            disk.append(&[entry("shop", &number.to_string())]).unwrap();
        }
        let before = content(dir.path());
        let full = aside_name(disk.tail.first_seq);
        disk.rotate().unwrap();
        Turn { before, after: content(dir.path()), full, shop: state("shop", &number.to_string()) }
    }

    fn full_file(&self) -> &[u8] {
        &self.before[CURRENT]
    }

    fn head(&self) -> &[u8] {
        &self.after[CURRENT]
    }

    /// The files that nothing happens to.
    fn others(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let others = self.before.iter().filter(|(name, _)| *name != CURRENT && *name != "lock");
        others.map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }

    fn state<'a>(&'a self, more: &[(&'a str, &'a [u8])]) -> tempfile::TempDir {
        made_of(self.others().chain(more.iter().copied()))
    }

    /// All is there and as it was, and goes on from there.
    fn is_whole(&self, dir: &Path, at: &str) {
        let lines = |files: &BTreeMap<String, Vec<u8>>| {
            files.values().flatten().filter(|byte| **byte == b'\n').count() as u64
        };
        let whole = lines(&self.before) - 1;
        let told = verify(dir).unwrap_or_else(|error| panic!("{at}: {error}"));
        assert!(told.last_seq >= whole, "{at}");
        let (mut disk, told) = open(dir, LIMIT);
        assert_eq!(told.torn_bytes, 0, "{at}");
        let told = told.by_name();
        assert_eq!(told.keys().collect::<Vec<_>>(), ["cart", "shop", "store"], "{at}");
        assert_eq!((&told["shop"], &told["store"]), (&self.shop, &state("store", "9")), "{at}");
        assert!(!told["cart"].is_present, "{at}");
        disk.append(&[entry("shop", "77")]).unwrap();
        let seq = disk.seq();
        drop(disk);
        let now = verify(dir).unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!((now.first_seq, now.last_seq), (1, seq), "{at}");
        assert_eq!(open(dir, LIMIT).1.by_name()["shop"], state("shop", "77"), "{at}");
        assert!(dir.join(&self.full).exists() && !dir.join(NEXT).exists(), "{at}: and it turned");
    }
}

#[test]
fn power_may_go_at_any_point_of_beginning_another_file() {
    let turn = Turn::new();
    let (full, head) = (turn.full_file(), turn.head());
    // The next file is not there, is being written, or lost what had not been synced.
    for length in (0..head.len()).step_by(97).chain([head.len()]) {
        let dir = turn.state(&[(CURRENT, full), (NEXT, &head[..length])]);
        turn.is_whole(dir.path(), &format!("{length} bytes of the next file"));
    }
    let zeros = vec![0; head.len()];
    let dir = turn.state(&[(CURRENT, full), (NEXT, &zeros)]);
    turn.is_whole(dir.path(), "the next file's length without its content");
    let dir = turn.state(&[(CURRENT, full)]);
    turn.is_whole(dir.path(), "before anything");
    // The full file is set aside.
    let dir = turn.state(&[(&turn.full, full), (NEXT, head)]);
    turn.is_whole(dir.path(), "between the two names");
    // The next one has its place.
    let dir = turn.state(&[(&turn.full, full), (CURRENT, head)]);
    turn.is_whole(dir.path(), "done");
    // The oldest was to be removed, or is.
    let dir = turn.state(&[(&turn.full, full), (CURRENT, head)]);
    let oldest = read::aside(dir.path()).unwrap().pop_first().unwrap().1;
    fs::remove_file(oldest).unwrap();
    let (mut disk, _) = open(dir.path(), LIMIT);
    disk.append(&[entry("shop", "77")]).unwrap();
    assert!(verify(dir.path()).unwrap().first_seq > 1);
}

#[test]
fn power_may_go_again_while_the_full_file_gets_its_place_back() {
    let turn = Turn::new();
    let (full, head) = (turn.full_file(), turn.head());
    let dir = turn.state(&[(&turn.full, full), (CURRENT, head)]);
    let (mut disk, _) = open(dir.path(), LIMIT);
    // As if syncing the directory had failed behind the last rename.
    disk.rotation.gap = Some(dir.path().join(&turn.full));
    disk.close_gap().unwrap();
    let found = content(dir.path());
    assert_eq!((found[CURRENT].as_slice(), found[NEXT].as_slice()), (full, head));
    drop(disk);
    turn.is_whole(dir.path(), "taken back");
    let dir = turn.state(&[(&turn.full, full), (NEXT, head)]);
    let (mut disk, _) = open(dir.path(), LIMIT);
    disk.close_gap().unwrap();
    drop(disk);
    turn.is_whole(dir.path(), "its place back, and then power went");
}

#[test]
fn a_current_file_that_somebody_took_away_is_damage() {
    let turn = Turn::new();
    let (full, head) = (turn.full_file(), turn.head());
    let gone = format!("line 1: it is gone, while {}, which it goes on from, is there", turn.full);
    for (at, files, said) in [
        ("no next file", vec![(turn.full.as_str(), full)], gone.as_str()),
        ("half a next file", vec![(&turn.full, full), (NEXT, &head[..20])], &gone),
        ("emptied", vec![(&turn.full, full), (CURRENT, b"")], "it does not go on from journal-"),
        ("only begun", vec![(&turn.full, full), (CURRENT, &head[..50])], "it does not go on from journal-"),
        ("no head", vec![(&turn.full, full), (CURRENT, &full[..0])], "it does not go on from journal-"),
        ("a stale next file", vec![(NEXT, head)], "it is gone, while journal-00000000000000000001.jsonl"),
    ] {
        let dir = turn.state(&files);
        let sentence = refusal(dir.path());
        assert!(sentence.contains(said) && sentence.contains("Put the file back"), "{at}: {sentence}");
        assert!(verify(dir.path()).is_err(), "{at}");
    }
    // Cut within what it began with, whole lines or not: states are missing.
    let ends = head.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let cuts: Vec<_> = ends.clone().chain(ends.map(|end| end - 30)).filter(|cut| *cut < head.len()).collect();
    for cut in cuts.into_iter().filter(|cut| *cut > 600) {
        let dir = turn.state(&[(&turn.full, full), (CURRENT, &head[..cut])]);
        let sentence = refusal(dir.path());
        assert!(sentence.contains("states were carried over to it"), "cut at {cut}: {sentence}");
    }
}

#[test]
fn what_is_carried_over_is_held_against_the_file_before() {
    let turn = Turn::new();
    let (full, head) = (turn.full_file(), String::from_utf8(turn.head().to_vec()).unwrap());
    let lines: Vec<&str> = head.lines().collect();
    let forged = lines.last().unwrap().replace("\"attempt\":2", "\"attempt\":3");
    assert_ne!(forged, *lines.last().unwrap());
    let text = [&lines[..lines.len() - 1], &[forged.as_str()]].concat().join("\n") + "\n";
    let dir = turn.state(&[(&turn.full, full), (CURRENT, text.as_bytes())]);
    let said = verify(dir.path()).unwrap_err();
    assert!(said.contains("it has shop otherwise than the file before"), "{said}");
}

#[test]
fn where_no_file_can_begin_the_one_before_goes_on() {
    // Neither can be made where a directory is.
    for in_the_way in [NEXT.to_owned(), aside_name(1)] {
        let dir = tempfile::tempdir().unwrap();
        let (mut disk, _) = open(dir.path(), 3000);
        let obstacle = dir.path().join(&in_the_way);
        fs::create_dir(&obstacle).unwrap();
        for number in 0..10 {
            disk.append(&[entry("shop", &number.to_string())]).unwrap();
        }
        assert_eq!(disk.seq(), 10, "{in_the_way}");
        assert!(disk.rotation.again_at.is_some_and(|bytes| bytes > disk.tail.bytes - 2000));
        assert!(in_the_way == NEXT || !dir.path().join(NEXT).exists(), "it takes no room meanwhile");
        fs::remove_dir(&obstacle).unwrap();
        disk.append(&[entry("shop", "10")]).unwrap();
        assert_eq!(disk.seq(), 13, "{in_the_way}: another file began, with its two lines");
        drop(disk);
        assert_eq!(verify(dir.path()).unwrap().files, 2);
        assert_eq!(open(dir.path(), 3000).1.by_name()["shop"], state("shop", "10"));
    }
}

#[test]
fn nothing_is_written_while_the_full_file_cannot_have_its_place_back() {
    let turn = Turn::new();
    let dir = turn.state(&[(&turn.full, turn.full_file()), (NEXT, turn.head())]);
    let (mut disk, told) = open(dir.path(), LIMIT);
    let seq = disk.seq();
    // Something that cannot be moved over is in its place, and nothing but a directory can be put over a directory.
    fs::create_dir(dir.path().join(CURRENT)).unwrap();
    assert!(disk.append(&[entry("shop", "77")]).is_err());
    assert_eq!(disk.seq(), seq);
    fs::remove_dir(dir.path().join(CURRENT)).unwrap();
    disk.append(&[entry("shop", "77")]).unwrap();
    drop(disk);
    assert_eq!(verify(dir.path()).unwrap().first_seq, 1);
    assert_eq!(told.by_name().len(), 3);
}

#[test]
fn what_was_written_behind_the_end_is_not_set_aside_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, _) = open(dir.path(), 2000);
    disk.append(&[entry("shop", "1"), entry("shop", "2"), entry("shop", "3")]).unwrap();
    let mut other = OpenOptions::new().append(true).open(dir.path().join(CURRENT)).unwrap();
    other.write_all(b"{\"half\":").unwrap();
    disk.append(&[entry("shop", "4")]).unwrap();
    assert_eq!(
        verify(dir.path()).unwrap(),
        Verified { files: 2, lines: 6, first_seq: 1, last_seq: 6, torn_bytes: 0 }
    );
}

#[test]
fn a_journal_is_verified_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(verify(dir.path()).unwrap().files, 0);
    let missing = verify(&PathBuf::from("/nowhere/at/all")).unwrap_err();
    assert!(missing.contains("/nowhere/at/all"), "{missing}");
    let (mut disk, _) = open(dir.path(), 2000);
    disk.append(&[entry("shop", "1"), entry("shop", "2")]).unwrap();
    let mut other = OpenOptions::new().append(true).open(dir.path().join(CURRENT)).unwrap();
    other.write_all(b"{\"half\":").unwrap();
    assert_eq!(verify(dir.path()).unwrap().torn_bytes, 8, "it is still being written");
    let text = fs::read_to_string(dir.path().join(CURRENT)).unwrap();
    fs::write(dir.path().join(CURRENT), text.replacen("\"percent\":1.0", "\"percent\":9.0", 1)).unwrap();
    let said = verify(dir.path()).unwrap_err();
    assert!(
        said.ends_with(
            "line 2: its `prev` is not the hash of the line before, so one of the two was changed"
        )
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is written, however large files may be, and whenever the process ends or power goes within a turn.
    #[test]
    fn nothing_is_lost_over_files_and_restarts(
        max_file_bytes in 500..9000_u64,
        steps in proptest::collection::vec((0..4_u8, 0..100_u8, 0..12_u8), 1..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (mut disk, _) = open(dir.path(), max_file_bytes);
        let mut model = BTreeMap::new();
        for (name, asked, what) in steps {
            let (name, asked) = (format!("m{name}"), asked.to_string());
            let entry = if what == 0 { gone(&name, &asked) } else { entry(&name, &asked) };
            model.insert(name, entry.state.clone().unwrap());
            disk.append(&[entry]).unwrap();
            if what == 1 || what == 2 {
                if what == 2 {
                    // Between the two names.
                    disk.opened().unwrap();
                    let aside = dir.path().join(aside_name(disk.tail.first_seq));
                    let (_, text, _) = disk.head(&name_of(&aside)).unwrap();
                    disk.write_next(&text).unwrap();
                    disk.set_aside(&aside).unwrap();
                }
                drop(disk);
                let (again, told) = open(dir.path(), max_file_bytes);
                prop_assert_eq!(&told.by_name(), &model);
                disk = again;
            }
        }
        prop_assert_eq!(verify(dir.path()).map(|told| (told.first_seq, told.last_seq)), Ok((1, disk.seq())));
        drop(disk);
        prop_assert_eq!(open(dir.path(), max_file_bytes).1.by_name(), model);
    }
}
