use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use ramp::{Cause, Event, Intent, Policy, Progress, RollbackPolicy, Step, Terms, Written, apply};
use route_plan::Phase;
use traffic_split::{KeySource, Percent};

use super::*;
use crate::change::LastChanges;
use crate::journal::record::Kind;
use crate::status::LastChange;

pub(in crate::journal) fn percent(text: &str) -> Percent {
    text.parse().unwrap()
}

/// A state in which nothing is at its default.
pub(in crate::journal) fn state(name: &str, asked: &str) -> State {
    let steps = ["1", "37.5", "100"].map(|text| Step::to(percent(text)));
    let written = Written {
        percent: percent("37.5"),
        phase: Some(Phase::Canary),
        attempt: 2,
        ramp: steps.iter().map(|step| step.percent).collect(),
    };
    let mut policy = Policy { steps: steps.to_vec(), ..Policy::default() };
    policy.rollback =
        RollbackPolicy { then: Some(Phase::Shadow), over: Duration::from_secs(60), ..policy.rollback };
    let terms = Terms { policy: &policy, now: "2026-11-26T00:00:00Z".parse().unwrap(), force: false };
    let mut intent = Intent::first(written, &policy);
    for event in [
        Event::Held(Duration::from_millis(61_500)),
        Event::PercentSet(percent(asked)),
        Event::RolledBack { cause: Cause::ALL[2], to: percent("0.000001"), in_parts: true },
    ] {
        intent = apply(&intent, &event, &terms).unwrap().0;
    }
    intent.is_drilling = true;
    intent.frozen_at = Some(percent("50"));
    intent.progress = intent.progress.map(|progress| Progress { arrived_at: Some(terms.now), ..progress });
    let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
    let change = |who: &str| {
        let reason = Some("a \"reason\"\u{2028} with é".to_owned());
        Some(LastChange { who: who.to_owned(), reason, at, what: "asked".to_owned() })
    };
    let dealing = ramp::reshuffle::Dealing {
        name: name.to_owned(),
        upstreams: ("a".to_owned(), "b".to_owned()),
        salt: b"salt".to_vec(),
        keys: vec![KeySource::RequestId, "header:x-user-id".parse().unwrap()],
        assigned_cookie: Some("cf".to_owned()),
        trusted_proxies: vec!["10.0.0.0/8".to_owned()],
        in_force: intent.standing().in_force(),
    };
    let last_changes =
        LastChanges { percent: change("alice"), phase: None, latch: change("bob"), shadow: None };
    State { intent, last_changes, dealing, is_present: true }
}

pub(in crate::journal) fn entry(name: &str, asked: &str) -> Entry {
    Entry::of(name, Kind::Percent, state(name, asked)).with("percent", 1)
}

fn current(dir: &Path) -> PathBuf {
    dir.join(CURRENT)
}

fn open(dir: &Path) -> (Disk, Told) {
    Disk::open(dir).unwrap()
}

fn damage(dir: &Path) -> String {
    Disk::open(dir).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn a_shadow_that_is_switched_off_is_found_so() {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, _) = open(dir.path());
    let mut states = ramp::ShadowOff::ALL.map(|off| {
        let mut state = state("shop", "5");
        state.intent.shadow_off = Some(off);
        state.last_changes.shadow = state.last_changes.percent.clone();
        state
    });
    for expected in &mut states {
        disk.append(&[Entry::of("shop", Kind::Shadow, expected.clone())]).unwrap();
        drop(disk);
        let told;
        (disk, told) = open(dir.path());
        assert_eq!(told.states, [("shop".to_owned(), expected.clone())]);
    }
}

#[test]
fn what_was_written_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("made/on/the/way");
    let (mut disk, told) = open(&dir);
    assert!(told.states.is_empty() && told.torn_bytes == 0);
    disk.append(&[Entry::of_process(Kind::Started), entry("shop", "5"), entry("store", "1")]).unwrap();
    disk.append(&[entry("shop", "12.345678")]).unwrap();
    drop(disk);
    let (disk, told) = open(&dir);
    assert_eq!(disk.seq(), 4);
    let expected =
        [("store".to_owned(), state("store", "1")), ("shop".to_owned(), state("shop", "12.345678"))];
    assert_eq!(told.states, expected);
    let text = fs::read_to_string(current(&dir)).unwrap();
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["seq"], &first["kind"], &first["prev"]),
        (&1.into(), &"started".into(), &line::NO_HASH.into())
    );
    let time = first["time"].as_str().unwrap();
    assert_eq!(time.len(), "2026-01-01T00:00:00.000000Z".len(), "{time}");
}

#[test]
fn a_torn_tail_is_cut_off_at_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, _) = open(dir.path());
    disk.append(&[entry("shop", "5")]).unwrap();
    let whole = fs::read(current(dir.path())).unwrap();
    disk.append(&[entry("shop", "50")]).unwrap();
    let both = fs::read(current(dir.path())).unwrap();
    drop(disk);
    for length in whole.len()..both.len() {
        fs::write(current(dir.path()), &both[..length]).unwrap();
        let (mut disk, told) = open(dir.path());
        assert_eq!(told.torn_bytes, (length - whole.len()) as u64);
        assert_eq!(told.by_name()["shop"], state("shop", "5"), "cut at {length}");
        if length % 100 != 0 {
            continue;
        }
        disk.append(&[entry("shop", "7")]).unwrap();
        drop(disk);
        assert_eq!(open(dir.path()).1.by_name()["shop"], state("shop", "7"), "cut at {length}");
    }
    fs::write(current(dir.path()), [whole.as_slice(), &[0; 4096]].concat()).unwrap();
    assert_eq!(open(dir.path()).1.torn_bytes, 4096, "what a file system leaves that had only begun to write");
}

#[test]
fn damage_is_not_repaired_by_guessing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, _) = open(dir.path());
    for asked in ["1", "2", "3"] {
        disk.append(&[entry("shop", asked)]).unwrap();
    }
    drop(disk);
    let text = fs::read_to_string(current(dir.path())).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let with = |lines: &[&str]| {
        fs::write(current(dir.path()), lines.join("\n") + "\n").unwrap();
        damage(dir.path())
    };
    let changed = lines[1].replace("\"percent\":2.0", "\"percent\":90.0");
    assert_ne!(changed, lines[1]);
    for (said, lines) in [
        ("line 3: its `prev` is not the hash of the line before", vec![lines[0], &changed, lines[2]]),
        ("line 2: its number is 3, expected 2", vec![lines[0], lines[2]]),
        ("line 1: its number is 2, expected 1", vec![lines[1], lines[2]]),
        ("line 2: it is not a line of a journal", vec![lines[0], "garbage", lines[2]]),
        ("line 3: it is not a line of a journal", vec![lines[0], lines[1], "garbage"]),
    ] {
        let sentence = with(&lines);
        assert!(
            sentence.contains(said) && sentence.contains("Put the file back"),
            "{said} is not in {sentence}"
        );
    }
    fs::write(current(dir.path()), text).unwrap();
    assert_eq!(open(dir.path()).0.seq(), 3);
}

#[test]
fn one_process_has_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, _) = open(dir.path());
    let said = damage(dir.path());
    let expected = format!("is in use by process {}; end that one first", process::id());
    assert!(said.contains(&expected), "{said}");
    drop(disk);
    open(dir.path());
}

#[test]
fn what_could_not_be_written_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, _) = open(dir.path());
    disk.append(&[entry("shop", "5")]).unwrap();
    // Something was written behind the last line that counts, as by a sync that failed.
    let mut other = OpenOptions::new().append(true).open(current(dir.path())).unwrap();
    other.write_all(b"{\"half\":").unwrap();
    assert!(disk.append(&[entry("shop", "50")]).unwrap_err().to_string().contains("something else writes"));
    assert_eq!(disk.seq(), 1);
    disk.append(&[entry("shop", "6")]).unwrap();
    drop(disk);
    let (mut disk, told) = open(dir.path());
    assert_eq!((disk.seq(), &told.by_name()["shop"]), (2, &state("shop", "6")));
    disk.append(&[entry("shop", "7")]).unwrap();
    fs::remove_file(current(dir.path())).unwrap();
    assert!(disk.append(&[entry("shop", "8")]).is_err(), "a file without a name keeps nothing");
    assert!(disk.append(&[entry("shop", "8")]).is_err(), "nor does a new one go on from what is gone");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_cut_finds_a_beginning_of_what_was_written(sizes in proptest::collection::vec(1..4_usize, 1..6), cut in any::<proptest::sample::Index>()) {
        let dir = tempfile::tempdir().unwrap();
        let (mut disk, _) = open(dir.path());
        let mut ends = vec![0];
        for (number, size) in sizes.iter().enumerate() {
            let batch: Vec<_> = (0..*size).map(|_| entry("shop", &number.to_string())).collect();
            disk.append(&batch).unwrap();
            ends.push(fs::metadata(current(dir.path())).unwrap().len());
        }
        drop(disk);
        let text = fs::read(current(dir.path())).unwrap();
        let length = cut.index(text.len() + 1);
        fs::write(current(dir.path()), &text[..length]).unwrap();
        let (disk, told) = open(dir.path());
        let whole = text[..length].iter().filter(|byte| **byte == b'\n').count() as u64;
        prop_assert_eq!(disk.seq(), whole);
        let found = told.by_name().get("shop").map(|found| found.intent.standing().asked);
        let batches = ends.iter().filter(|end| **end <= length as u64).count() - 1;
        if batches > 0 {
            prop_assert!(found.unwrap() >= percent(&(batches - 1).to_string()), "no whole batch is lost");
        }
    }
}
