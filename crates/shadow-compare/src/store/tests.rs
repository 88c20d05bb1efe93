use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use response_diff::summary::LedgerState;
use response_diff::summary::groups::{GroupsState, Sample};
use response_diff::{Difference, Kind};
use telemetry::Telemetry;

use super::*;
use crate::desk::Moment;
use crate::inquiry::Inquiries;
use crate::scripted::{desk, pair, settings};

const PATIENCE: Duration = Duration::from_secs(15);

fn busy(ignore: &[&str]) -> Desk {
    let mut desk = desk(settings(ignore, &[]), &Telemetry::new(1));
    let mut inquiries = Inquiries::default();
    for number in 0..20_u64 {
        let moment = Moment { now: Instant::now(), random: [number, number], asks: false };
        let (old, new) = (format!(r#"{{"a":{number},"b":1}}"#), r#"{"a":7,"b":"x"}"#);
        desk.take(
            pair("shop", &format!("/orders/{number}"), &old, new),
            Duration::ZERO,
            &moment,
            &mut inquiries,
        );
    }
    race(&mut desk);
    desk
}

/// Something that was gone when asked again, with its sample.
fn race(desk: &mut Desk) {
    let (path, old, new) = ("$.left".to_owned(), Some("1".to_owned()), Some("2".to_owned()));
    let one = Difference { at: path.clone(), path, kind: Kind::Value, old, new, extent: 1 };
    let endpoint = desk.ledger.locate("GET", "/stock", true);
    let wanted = desk.ledger.raced(&endpoint, &[one], 1, 1, true).unwrap();
    let text = |text: &str| desk.settings.redactor.restored(text.to_owned());
    let sample = Sample {
        at_ms: 1,
        request: text("GET /stock"),
        request_id: text("r-1"),
        differences: Vec::new(),
        old: text("1"),
        new: text("2"),
    };
    desk.ledger.keep(wanted, sample).unwrap();
}

fn kept(dir: &Path, desk: &Desk) -> Kept {
    let (store, _) = Store::open(Some(dir.to_owned()), Telemetry::new(1));
    store.save(desk);
    store.close(PATIENCE);
    store.told()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_was_found_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let before = busy(&[]);
    assert_eq!(kept(dir.path(), &before), Kept { on_disk: true, error: None, written: 1, failed: 0 });
    let (store, _) = Store::open(Some(dir.path().to_owned()), Telemetry::new(1));
    let after = store.restore(desk(settings(&[], &[]), &Telemetry::new(1)));
    assert_eq!(before.ledger.state(), after.ledger.state());
    assert!(!after.ledger.state().groups.samples.is_empty());
    assert_eq!(after.ledger.state().races.samples.len(), 1);
    assert_eq!((before.questions, before.since_ms), (after.questions, after.since_ms));
    let folder = dir.path().join(DIR);
    assert_eq!(
        (mode(&folder), mode(&folder.join(KEY)), mode(&folder.join("shop.json"))),
        (0o700, 0o600, 0o600)
    );
    let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "nothing is left beside them: {names:?}");
}

#[test]
fn by_other_rules_only_endpoints_and_noise_are_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    let before = busy(&[]);
    kept(dir.path(), &before);
    let (store, _) = Store::open(Some(dir.path().to_owned()), Telemetry::new(1));
    let after = store.restore(desk(settings(&["$.a"], &[]), &Telemetry::new(1)));
    let (before, after) = (before.ledger.state(), after.ledger.state());
    assert_eq!((after.endpoints, after.noise), (before.endpoints, before.noise));
    assert!(after.tally.is_empty() && after.groups.endpoints.is_empty());
}

#[test]
fn the_key_stays_and_a_bad_one_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let (_, first) = Store::open(Some(dir.path().to_owned()), Telemetry::new(1));
    let (_, second) = Store::open(Some(dir.path().to_owned()), Telemetry::new(1));
    assert_eq!(first, second);
    assert_ne!(Store::open(None, Telemetry::new(1)).1, first);
    let path = dir.path().join(DIR).join(KEY);
    for bad in ["", "no key", &"g".repeat(64), &"a".repeat(66)] {
        fs::write(&path, bad).unwrap();
        let (_, key) = Store::open(Some(dir.path().to_owned()), Telemetry::new(1));
        assert_ne!(key, Key::default());
        assert_eq!(fs::read_to_string(&path).unwrap(), bad, "somebody may want to look at it");
    }
}

#[test]
fn what_cannot_be_read_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    kept(dir.path(), &busy(&[]));
    let path = dir.path().join(DIR).join("shop.json");
    let whole = fs::read(&path).unwrap();
    let other = String::from_utf8(whole.clone()).unwrap().replacen("\"version\":1", "\"version\":2", 1);
    for bad in [&b""[..], b"{}", &whole[..whole.len() / 2], other.as_bytes()] {
        fs::write(&path, bad).unwrap();
        let (store, _) = Store::open(Some(dir.path().to_owned()), Telemetry::new(1));
        let begun = store.restore(desk(settings(&[], &[]), &Telemetry::new(1)));
        assert_eq!(begun.ledger.tally().total().total(), 0);
    }
}

#[test]
fn a_place_that_cannot_be_written_costs_what_would_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(Some(dir.path().to_owned()), Telemetry::new(1));
    // A folder in the way fails for root too, whom permissions do not stop.
    fs::create_dir(dir.path().join(DIR).join("shop.json")).unwrap();
    let one = busy(&[]);
    store.save(&one);
    store.close(PATIENCE);
    let told = store.told();
    assert_eq!((told.written, told.failed), (0, 1));
    assert!(told.error.is_some());
    let no_folder = dir.path().join("file");
    fs::write(&no_folder, "").unwrap();
    assert_eq!(kept(&no_folder, &one).failed, 1, "the state directory is none");
}

#[test]
fn what_could_not_be_written_is_owed_until_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(Some(dir.path().to_owned()), Telemetry::new(1));
    let in_the_way = dir.path().join(DIR).join("shop.json");
    fs::create_dir(&in_the_way).unwrap();
    let names = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
    store.in_force(names(&["shop"]));
    let one = busy(&[]);
    store.save(&one);
    eventually(|| store.is_owed("shop"));
    fs::remove_dir(&in_the_way).unwrap();
    store.save(&one);
    eventually(|| store.told().written == 1);
    assert!(!store.is_owed("shop") && store.told().error.is_none());
    // Of one that is gone nothing more is expected.
    fs::remove_file(&in_the_way).unwrap();
    fs::create_dir(&in_the_way).unwrap();
    store.save(&one);
    eventually(|| store.is_owed("shop"));
    store.in_force(names(&[]));
    assert!(!store.is_owed("shop"));
}

fn eventually(holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE);
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

#[test]
fn of_migrations_that_left_only_the_latest_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join(DIR);
    fs::create_dir_all(&folder).unwrap();
    for number in 0..MOST_DEPARTED + 8 {
        fs::write(folder.join(format!("gone-{number}.json")), "{}").unwrap();
    }
    let (store, _) = Store::open(Some(dir.path().to_owned()), Telemetry::new(1));
    store.in_force(BTreeSet::from([Arc::from("shop"), Arc::from("gone-3")]));
    store.save(&busy(&[]));
    store.close(PATIENCE);
    let left = fs::read_dir(&folder)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(ENDING));
    assert_eq!(left.count(), MOST_DEPARTED + 2);
    assert!(folder.join("gone-3.json").exists() && folder.join("shop.json").exists());
}

#[test]
fn a_file_from_before_places_had_levels_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let before = busy(&[]);
    kept(dir.path(), &before);
    let path = dir.path().join(DIR).join("shop.json");
    let mut file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut removed = 0;
    let parts = [("/groups", "groups", "sizes"), ("/noise/endpoints", "places", "level")];
    for (list, inner, field) in parts {
        for one in file.pointer_mut(list).unwrap().as_array_mut().unwrap() {
            for entry in one[inner].as_array_mut().unwrap() {
                removed += usize::from(entry.as_object_mut().unwrap().remove(field).is_some());
            }
        }
    }
    assert!(removed > 0, "{file}");
    file.as_object_mut().unwrap().remove("races").unwrap();
    fs::write(&path, file.to_string()).unwrap();
    let (store, _) = Store::open(Some(dir.path().to_owned()), Telemetry::new(1));
    let after = store.restore(desk(settings(&[], &[]), &Telemetry::new(1)));
    // One difference in each place, which is what the first level is.
    let state = LedgerState { races: GroupsState::default(), ..before.ledger.state() };
    assert_eq!(state, after.ledger.state());
}
