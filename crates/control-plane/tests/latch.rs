//! Rollbacks, and what of them and of all else outlives a restart: the controller with a real journal.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail as the test does")]

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use control_plane::{
    Actor, Bound, Cause, Changed, Control, ControlError, ControlHandle, Controller, JournalError,
    ListenError, Listeners, MigrationStatus, Settings, load,
};
use ramp::Metric;
use route_plan::Phase;
use telemetry::Telemetry;
use tempfile::TempDir;
use traffic_split::Percent;

const DEADLINE: Duration = Duration::from_secs(10);

struct Pretended;

impl Listeners for Pretended {
    fn set(&self, wanted: &[SocketAddr]) -> Result<Vec<Bound>, ListenError> {
        Ok(wanted.iter().map(|&asked| Bound { asked, bound: asked }).collect())
    }
}

/// A folder with a configuration and a state directory; controllers come and go.
struct Place {
    dir: TempDir,
}

struct Running {
    control: Option<Control>,
    telemetry: Arc<Telemetry>,
}

fn migration(name: &str, lines: &str) -> String {
    format!(
        "[migration.{name}]\nmatch = [{{ path = \"/{name}/*\" }}]\nold = \"a\"\nnew = \"b\"\n\
         key = [\"header:x-user-id\"]\n{lines}\n"
    )
}

fn shop(percent: &str) -> String {
    migration("shop", &format!("percent = {percent}"))
}

impl Place {
    fn new(migrations: &str) -> Self {
        let place = Place { dir: tempfile::tempdir().unwrap() };
        place.write(migrations);
        place
    }

    fn write(&self, migrations: &str) {
        let text = format!(
            "[state]\ndir = \"state\"\n[[listener]]\nlisten = \"127.0.0.1:8080\"\n[upstream.a]\n\
             endpoints = [\"http://127.0.0.1:2\"]\n[upstream.b]\nendpoints = [\"http://127.0.0.1:3\"]\n\
             [route.rest]\nmatch = [{{ path = \"/*\" }}]\nto = \"a\"\n{migrations}"
        );
        fs::write(self.dir.path().join("crossfade.toml"), text).unwrap();
    }

    fn journal(&self) -> PathBuf {
        self.dir.path().join("state/journal.jsonl")
    }

    fn open(&self) -> Result<(Controller, Arc<Telemetry>), JournalError> {
        let telemetry = Telemetry::new(1);
        let loaded = load(&self.dir.path().join("crossfade.toml")).unwrap();
        Controller::open(loaded, Arc::clone(&telemetry)).map(|controller| (controller, telemetry))
    }

    async fn start(&self) -> Running {
        let begun = Instant::now();
        let (controller, telemetry) = loop {
            match self.open() {
                // The one before has not let go yet.
                Err(JournalError::Locked { .. }) if begun.elapsed() < DEADLINE => {
                    tokio::task::yield_now().await;
                }
                opened => break opened.unwrap(),
            }
        };
        // Files are read when asked only.
        let settings = Settings { quiet: Duration::from_secs(600), poll: Duration::from_secs(3600) };
        let control = controller.start(Arc::new(Pretended), settings).await.unwrap();
        Running { control: Some(control), telemetry }
    }
}

impl Running {
    fn handle(&self) -> &ControlHandle {
        &self.control.as_ref().unwrap().handle
    }

    async fn end(mut self) {
        let Control { handle, task } = self.control.take().unwrap();
        drop(handle);
        tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
    }

    fn of(&self, name: &str) -> MigrationStatus {
        self.handle().status().migration(name).cloned().unwrap()
    }

    fn shop(&self) -> MigrationStatus {
        self.of("shop")
    }

    async fn set(&self, percent: &str) -> Result<Changed, ControlError> {
        self.handle().set_percent("shop", percent.parse().unwrap(), alice("looks good")).await
    }

    async fn back(&self) -> Changed {
        let cause = ramp::Cause::Person;
        self.handle().roll_back("shop", cause, Percent::ZERO, alice("errors in the cart")).await.unwrap()
    }

    async fn reload(&self) -> Result<control_plane::Reloaded, ControlError> {
        self.handle().reload(Cause::Signal).await
    }
}

fn alice(reason: &str) -> Actor {
    Actor { who: "alice".into(), reason: Some(reason.into()), force: false }
}

fn asked_in_force(shop: &MigrationStatus) -> (String, String) {
    (shop.asked.to_string(), shop.in_force.to_string())
}

fn is(asked: &str, in_force: &str) -> (String, String) {
    (asked.to_owned(), in_force.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_latches_and_says_why() {
    let place = Place::new(&shop("5"));
    let running = place.start().await;
    running.set("25").await.unwrap();
    let changed = running.back().await;
    assert_eq!(
        changed.effects,
        [
            "shop: rolled back from 25% to 0%: asked for by alice: errors in the cart",
            "shop: 0 % of the users get new instead of 25 %"
        ]
    );
    let shop = running.shop();
    assert_eq!(asked_in_force(&shop), is("25", "0"));
    let latch = shop.latch.unwrap();
    assert!(latch.sentence.starts_with("latched at 0 % since 20"), "{}", latch.sentence);
    assert!(latch.sentence.ends_with("Z: rolled back by alice: errors in the cart"), "{}", latch.sentence);
    assert!(
        shop.why.starts_with(&latch.sentence) && shop.why.contains("25 % wait for a resume"),
        "{}",
        shop.why
    );
    let scrape = running.telemetry.scrape();
    for line in [
        "crossfade_latched{migration=\"shop\"} 1",
        "crossfade_rollbacks_total{migration=\"shop\",cause=\"person\"} 1",
        "crossfade_rollbacks_total{migration=\"shop\",cause=\"latency\"} 0",
        "crossfade_journal_healthy 1",
    ] {
        assert!(scrape.lines().any(|have| have == line), "{line}");
    }
    let Err(ControlError::Refused(said)) = running.set("50").await else { panic!("not refused") };
    assert_eq!(said, "shop is latched at 0 % since a rollback, so 50 % is refused; resume first");
    let full = running.handle().set_phase("shop", Phase::Full, alice("why not")).await;
    assert!(matches!(full, Err(ControlError::Refused(_))));
    let again = running.back().await;
    assert!(again.effects.is_empty());

    let resumed = running.handle().resume("shop", alice("fixed")).await.unwrap();
    assert_eq!(asked_in_force(&resumed.migration), is("25", "25"));
    assert!(resumed.migration.latch.is_none());
    let twice = running.handle().resume("shop", alice("fixed")).await;
    assert!(matches!(twice, Err(ControlError::Refused(said)) if said.contains("nothing to resume")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_s_rollback_is_one_like_a_person_s() {
    let place = Place::new(&shop("5"));
    let running = place.start().await;
    let guard =
        Actor { who: "the guard".into(), reason: Some("9 of 100 requests failed".into()), force: false };
    let cause = ramp::Cause::Guard(Metric::ErrorRate);
    let changed = running.handle().roll_back("shop", cause, "1".parse().unwrap(), guard).await.unwrap();
    assert_eq!(changed.effects[0], "shop: rolled back from 5% to 1%: 9 of 100 requests failed");
    assert!(running.shop().latch.unwrap().sentence.contains("rolled back by the guard (error_rate): 9 of"));
    assert!(running.set("1").await.is_ok(), "as far as the latch lets it");
    let lines = running.handle().history("shop", 10).await.unwrap();
    let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["known", "rolled_back", "percent"]);
    assert_eq!(lines[1]["data"]["cause"], "error_rate");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_outlives_a_restart() {
    let place = Place::new(&shop("5"));
    let running = place.start().await;
    running.set("25").await.unwrap();
    running.back().await;
    let before = running.shop();
    running.end().await;

    let running = place.start().await;
    let after = running.shop();
    assert_eq!(
        (&after.latch, &after.why, &after.last_change),
        (&before.latch, &before.why, &before.last_change)
    );
    assert_eq!(asked_in_force(&after), is("25", "0"));
    assert!(running.set("5").await.is_err());
    // What the file says anew while nothing ran is recorded, not applied.
    running.end().await;
    place.write(&shop("50"));
    let running = place.start().await;
    assert_eq!(asked_in_force(&running.shop()), is("50", "0"));
    running.handle().resume("shop", alice("fixed")).await.unwrap();
    running.set("10").await.unwrap();
    running.end().await;
    let running = place.start().await;
    assert_eq!(asked_in_force(&running.shop()), is("10", "10"), "50 in the file is no news");
    running.back().await;
    running.end().await;
    place.write(&migration("shop", "percent = 50\nattempt = 2"));
    let running = place.start().await;
    assert_eq!(asked_in_force(&running.shop()), is("10", "10"), "another attempt lifts the latch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_recorded_while_latched_and_another_attempt_lifts_it() {
    let place = Place::new(&shop("5"));
    let running = place.start().await;
    running.back().await;
    place.write(&shop("40"));
    let reloaded = running.reload().await.unwrap();
    assert_eq!(
        reloaded.effects,
        [
            "shop: 40 % is asked for instead of 5 %, by the file",
            "shop: 40 % is remembered, not in force: latched at 0 % until resumed"
        ]
    );
    assert_eq!(asked_in_force(&running.shop()), is("40", "0"));
    place.write(&migration("shop", "percent = 40\nattempt = 2"));
    running.reload().await.unwrap();
    assert_eq!(asked_in_force(&running.shop()), is("40", "40"));
    assert!(running.shop().latch.is_none());
    let lines = running.handle().history("shop", 2).await.unwrap();
    assert_eq!((&lines[0]["kind"], &lines[1]["kind"]), (&"file".into(), &"file".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn latches_stay_with_a_name_that_leaves_the_file_or_changes() {
    let place = Place::new(&shop("5"));
    let running = place.start().await;
    running.back().await;
    place.write("");
    running.reload().await.unwrap();
    running.end().await;
    place.write(&shop("60"));
    let running = place.start().await;
    assert_eq!(asked_in_force(&running.shop()), is("60", "0"));
    let renamed = migration("store", "percent = 60\nsalt = \"shop\"");
    place.write(&renamed);
    running.reload().await.unwrap();
    assert_eq!(asked_in_force(&running.of("store")), is("60", "0"));
    running.end().await;
    let another = migration("shop", "percent = 1\nsalt = \"x\"")
        .replace("\"a\"", "\"c\"")
        .replace("\"b\"", "\"a\"")
        .replace("\"c\"", "\"b\"");
    // Renamed again, while nothing runs; a new one under the old name begins anew.
    place.write(&format!("{}{}", renamed.replace("store", "cart"), another));
    let running = place.start().await;
    assert_eq!(asked_in_force(&running.of("cart")), is("60", "0"));
    assert_eq!(asked_in_force(&running.shop()), is("1", "1"));
    let kinds = |lines: Vec<serde_json::Value>| {
        lines.iter().map(|line| line["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let shop = running.handle().history("shop", 100).await.unwrap();
    assert_eq!(kinds(shop), ["known", "rolled_back", "left", "returned", "renamed", "known"]);
    assert_eq!(kinds(running.handle().history("cart", 100).await.unwrap()), ["renamed"]);
    let nobody = running.handle().history("nobody", 100).await;
    assert!(matches!(nobody, Err(ControlError::UnknownMigration { .. })));
}

/// Lets the journal fail: no file can be opened where a folder is, once the open one is found to be gone.
struct Broken(PathBuf);

impl Broken {
    fn new(place: &Place) -> Self {
        let journal = place.journal();
        fs::rename(&journal, journal.with_extension("kept")).unwrap();
        fs::remove_file(journal.with_extension("other")).ok();
        fs::create_dir(&journal).unwrap();
        // The open file is still written under its other name; a second line in it is what the journal notices.
        let mut file = fs::OpenOptions::new().append(true).open(journal.with_extension("kept")).unwrap();
        std::io::Write::write_all(&mut file, b"x").unwrap();
        Broken(journal)
    }

    fn repair(self) {
        fs::remove_dir(&self.0).unwrap();
        fs::rename(self.0.with_extension("kept"), &self.0).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_nothing_stops_steps_forward_alone() {
    let place = Place::new(&shop("5"));
    let running = place.start().await;
    let broken = Broken::new(&place);
    let refused = running.set("50").await.unwrap_err();
    assert!(matches!(refused, ControlError::NotStored(_)), "{refused}");
    assert!(refused.to_string().contains("rollbacks still take effect"), "{refused}");
    assert_eq!(asked_in_force(&running.shop()), is("5", "5"));
    place.write(&shop("70"));
    assert!(matches!(running.reload().await, Err(ControlError::NotStored(_))));
    let changed = running.back().await;
    assert_eq!(asked_in_force(&changed.migration), is("5", "0"));
    assert!(changed.effects.last().unwrap().contains("in force, but NOT in the journal"), "{changed:?}");
    let resume = running.handle().resume("shop", alice("fixed")).await;
    assert!(matches!(resume, Err(ControlError::NotStored(_))));
    let state = running.handle().status().state.clone();
    assert!(!state.is_durable() && state.sentence().starts_with("ALERT: "), "{}", state.sentence());
    assert!(running.telemetry.scrape().contains("crossfade_journal_healthy 0\n"));

    broken.repair();
    let recovered = running.handle().status_when(|status| status.state.is_durable());
    tokio::time::timeout(DEADLINE, recovered).await.unwrap().unwrap();
    assert!(running.telemetry.scrape().contains("crossfade_journal_healthy 1\n"));
    running.end().await;
    place.write(&shop("5"));
    let running = place.start().await;
    assert_eq!(asked_in_force(&running.shop()), is("5", "0"), "what was not written was written then");
    running.handle().resume("shop", alice("fixed")).await.unwrap();
    running.set("6").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_holds_up_no_rollback_and_its_answer_not_for_long() {
    let place = Place::new(&shop("5"));
    let running = place.start().await;
    let broken = Broken::new(&place);
    // Opening a pipe waits until somebody reads from it.
    fs::remove_dir(&broken.0).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&broken.0).status().unwrap().success());
    assert!(running.set("50").await.is_err(), "notices that something else has written");
    let handle = running.handle().clone();
    let mut forward =
        tokio::spawn(async move { handle.set_percent("shop", Percent::FULL, alice("up")).await });
    let waits = tokio::time::timeout(Duration::from_millis(100), &mut forward).await;
    assert!(waits.is_err(), "{waits:?}");
    let begun = Instant::now();
    let handle = running.handle().clone();
    let back = tokio::spawn(async move {
        handle.roll_back("shop", ramp::Cause::Person, Percent::ZERO, alice("errors")).await.unwrap()
    });
    while running.handle().where_key("shop", b"u1").unwrap().percent > Percent::ZERO {
        // Less than the 3 s for which the disk is waited for before it is told of.
        assert!(begun.elapsed() < Duration::from_millis(2_500), "it is in force whatever the disk does");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(running.shop().latch.is_none(), "not told of yet");
    let changed = tokio::time::timeout(DEADLINE, back).await.unwrap().unwrap();
    assert!(changed.effects.last().unwrap().contains("has not answered for 3 s"), "{changed:?}");
    assert!(running.shop().latch.is_some() && !running.handle().status().state.is_durable());

    // The pipe is open at its other end, so what hung goes on and fails; then the journal is back.
    let end = fs::OpenOptions::new().read(true).write(true).open(&broken.0).unwrap();
    let refused = tokio::time::timeout(DEADLINE, forward).await.unwrap().unwrap();
    assert!(matches!(refused, Err(ControlError::NotStored(_))), "{refused:?}");
    fs::remove_file(&broken.0).unwrap();
    fs::create_dir(&broken.0).unwrap();
    broken.repair();
    drop(end);
    let recovered = running.handle().status_when(|status| status.state.is_durable());
    tokio::time::timeout(DEADLINE, recovered).await.unwrap().unwrap();
    running.end().await;
    assert_eq!(asked_in_force(&place.start().await.shop()), is("5", "0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_back_wait_for_nothing_and_steps_forward_for_each_other() {
    let place = Place::new(&(shop("1") + "abort = { rollbacks = false }\n"));
    let running = place.start().await;
    for round in 0..20_u32 {
        let handle = running.handle();
        let (up, down) = ((round % 50 + 2).to_string(), Percent::ZERO);
        let (first, back, second) = tokio::join!(
            handle.set_percent("shop", up.parse().unwrap(), alice("up")),
            handle.roll_back("shop", ramp::Cause::Person, down, alice("down")),
            handle.set_percent("shop", up.parse().unwrap(), alice("up again")),
        );
        assert!(back.is_ok() && second.is_err(), "{second:?}");
        assert_eq!(running.shop().in_force, Percent::ZERO);
        assert!(running.shop().latch.is_some());
        if let Ok(first) = first {
            assert_eq!(first.migration.asked.to_string(), up);
        }
        running.handle().resume("shop", alice("again")).await.unwrap();
    }
    let before = asked_in_force(&running.shop());
    running.end().await;
    let running = place.start().await;
    assert_eq!(asked_in_force(&running.shop()), before, "memory and journal agree");
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_still_goes_back() {
    let place = Place::new(&shop("5"));
    let running = place.start().await;
    running.handle().drain().await;
    assert!(matches!(running.set("6").await, Err(ControlError::Draining)));
    assert_eq!(asked_in_force(&running.back().await.migration), is("5", "0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_directory_there_is_no_journal_to_ask() {
    let place = Place::new(&shop("5"));
    let telemetry = Telemetry::new(1);
    let controller = Controller::new(load(&place.dir.path().join("crossfade.toml")).unwrap(), telemetry);
    let control = controller.start(Arc::new(Pretended), Settings::default()).await.unwrap();
    let asked = control.handle.history("shop", 1).await;
    assert!(matches!(asked, Err(ControlError::NoJournal(said)) if said.contains("[state] dir")));
    let back =
        control.handle.roll_back("shop", ramp::Cause::Person, Percent::ZERO, alice("x")).await.unwrap();
    assert_eq!(asked_in_force(&back.migration), is("5", "0"));
    assert!(control.handle.status().state.sentence().starts_with("memory only"));
}
