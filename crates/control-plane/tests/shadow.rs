//! Shadows: the switch, what switches it, and what has to be shown of answers before users get new. The controller with a
//! real journal.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail as the test does")]

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use control_plane::{
    Actor, Bound, Cause, Control, ControlError, ControlHandle, Controller, Follows, JournalError,
    ListenError, Listeners, MigrationStatus, Settings, ShadowState, ShadowStatus, load,
};
use rollback_guard::Verdict;
use route_plan::outcome::{Failure, Observation};
use route_plan::{Phase, ShadowPolicy};
use telemetry::{COPIED, Compared, HELD_OUT, Memory, SnapshotCell, Telemetry};
use tempfile::TempDir;
use traffic_split::{Arm, Role};

const DEADLINE: Duration = Duration::from_secs(30);

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
    snapshots: Arc<SnapshotCell>,
}

impl Place {
    /// One migration with these lines.
    fn new(lines: &str) -> Self {
        let place = Place { dir: tempfile::tempdir().unwrap() };
        place.write(lines);
        place
    }

    fn write(&self, lines: &str) {
        let text = format!(
            "[state]\ndir = \"state\"\n[[listener]]\nlisten = \"127.0.0.1:8080\"\n[upstream.a]\n\
             endpoints = [\"http://127.0.0.1:2\"]\n[upstream.b]\nendpoints = [\"http://127.0.0.1:3\"]\n\
             [migration.shop]\nmatch = [{{ path = \"/*\" }}]\nold = \"a\"\nnew = \"b\"\n\
             key = [\"header:x-user-id\"]\n{lines}\n"
        );
        fs::write(self.dir.path().join("crossfade.toml"), text).unwrap();
    }

    async fn start(&self) -> Running {
        let begun = Instant::now();
        let telemetry = Telemetry::new(1);
        let controller = loop {
            let loaded = load(&self.dir.path().join("crossfade.toml")).unwrap();
            match Controller::open(loaded, Arc::clone(&telemetry)) {
                // The one before has not let go yet.
                Err(JournalError::Locked { .. }) if begun.elapsed() < DEADLINE => {
                    tokio::task::yield_now().await;
                }
                opened => break opened.unwrap(),
            }
        };
        let snapshots = controller.snapshots();
        // Files are read when asked only.
        let settings = Settings { quiet: Duration::from_secs(600), poll: Duration::from_secs(3600) };
        let control = controller.start(Arc::new(Pretended), settings).await.unwrap();
        Running { control: Some(control), telemetry, snapshots }
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

    fn shop(&self) -> MigrationStatus {
        self.handle().status().migration("shop").cloned().unwrap()
    }

    fn shadow(&self) -> ShadowStatus {
        self.shop().shadow.unwrap()
    }

    /// What the workers copy by.
    fn policy(&self) -> Option<ShadowPolicy> {
        self.snapshots.load().migrations[0].shadow.as_deref().cloned()
    }

    /// Waits until the status is as wanted, with traffic meanwhile: `play` each 10 ms.
    async fn until(&self, mut play: impl FnMut(u64), wanted: impl Fn(&MigrationStatus) -> bool) {
        let begun = Instant::now();
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        for number in 0.. {
            let shop = self.shop();
            if wanted(&shop) {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "not within {} s: {shop:#?}", DEADLINE.as_secs());
            play(number);
            pace.tick().await;
        }
    }

    fn compared(&self, matched: u64, mismatched: u64) {
        let cells = self.telemetry.comparisons("shop");
        (0..matched).for_each(|_| cells.record(Compared::Matched));
        (0..mismatched).for_each(|_| cells.record(Compared::Mismatched));
    }

    async fn kinds(&self) -> Vec<String> {
        let lines = self.handle().history("shop", 50).await.unwrap();
        lines.iter().map(|line| line["kind"].as_str().unwrap().to_owned()).collect()
    }

    async fn advance(&self, force: bool) -> Result<control_plane::Changed, ControlError> {
        self.handle().advance("shop", Actor { force, ..alice("they match") }).await
    }
}

fn alice(reason: &str) -> Actor {
    Actor { who: "alice".into(), reason: Some(reason.into()), force: false }
}

fn observation(key: u64, fails: bool) -> Observation {
    Observation {
        arm: Some(Arm::Old),
        role: Role::Served,
        by_bucket: true,
        key,
        status: (!fails).then_some(200),
        client_status: Some(if fails { 502 } else { 200 }),
        covered: false,
        hung: false,
        retried: false,
        to_head: Duration::from_millis(5),
        total: Duration::from_millis(5),
        failure: fails.then_some(Failure::Closed),
        client_aborted: false,
        drained: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_switches_a_shadow_off_and_it_stays_so() {
    let place = Place::new("phase = \"shadow\"\nshadow = true");
    let running = place.start().await;
    assert_eq!(
        (running.shadow().state, running.shadow().sentence.as_str()),
        (ShadowState::On, "on: new gets copies")
    );
    assert!(!running.policy().unwrap().off);
    let off = running.handle().switch_shadow("shop", false, false, alice("old is busy")).await.unwrap();
    assert_eq!(off.effects, ["shop: the shadow is switched off, by alice"]);
    assert!(running.policy().unwrap().off);
    running.end().await;

    // Neither a restart nor the file switches it on.
    place.write("phase = \"shadow\"\nshadow = { percent = 50 }");
    let running = place.start().await;
    let shadow = running.shadow();
    assert_eq!(shadow.state, ShadowState::Off);
    assert!(
        shadow.sentence.starts_with("off since 20")
            && shadow
                .sentence
                .ends_with(", by alice: old is busy; `crossfade shadow shop on` switches it on again"),
        "{}",
        shadow.sentence
    );
    assert!(running.policy().unwrap().off);
    let on = running.handle().switch_shadow("shop", true, false, alice("quiet now")).await.unwrap();
    assert_eq!(on.effects, ["shop: the shadow is switched on, by alice"]);
    assert!(!running.policy().unwrap().off);
    let again = running.handle().switch_shadow("shop", true, true, alice("new is mended")).await.unwrap();
    assert_eq!(again.effects, ["shop: comparisons count anew"]);
    assert_eq!(running.kinds().await, ["known", "shadow", "shadow", "shadow"]);
    let scrape = running.telemetry.scrape();
    assert!(scrape.contains("crossfade_shadow_on{migration=\"shop\"} 1"), "{scrape}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comparisons_have_shown_stands_while_the_shadow_is_off_and_over_restarts() {
    let place = Place::new("phase = \"shadow\"\nshadow = true");
    let running = place.start().await;
    running.compared(3_000, 1);
    let has_all = |shop: &MigrationStatus| {
        let shadow = shop.shadow.as_ref().unwrap();
        (shadow.match_rate.compared(), shadow.is_by_gate) == (3_001, true)
    };
    running.until(|_| {}, has_all).await;
    running.handle().switch_shadow("shop", false, false, alice("old is busy")).await.unwrap();
    assert!(has_all(&running.shop()), "{:?}", running.shadow());
    running.end().await;
    let running = place.start().await;
    assert!(has_all(&running.shop()), "{:?}", running.shadow());
    running.handle().switch_shadow("shop", true, false, alice("quiet now")).await.unwrap();
    assert!(has_all(&running.shop()), "{:?}", running.shadow());
    assert!(running.shadow().matching.unwrap().contains("so far 1 of 3,001 do"));
    running.end().await;
    let running = place.start().await;
    assert!(has_all(&running.shop()), "{:?}", running.shadow());
    running.handle().switch_shadow("shop", true, true, alice("new is mended")).await.unwrap();
    assert_eq!(running.shadow().match_rate.compared(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_file_has_switched_off_nobody_switches_on() {
    let place = Place::new("phase = \"shadow\"\nshadow = false");
    let running = place.start().await;
    assert_eq!((running.shop().shadow, running.policy().is_some()), (None, false));
    let refused = running.handle().switch_shadow("shop", true, false, alice("please")).await;
    let Err(ControlError::Refused(sentence)) = refused else { panic!("not refused") };
    assert_eq!(sentence, "shop has no shadow: the file says `shadow = false`");
    let unknown = running.handle().switch_shadow("shp", true, false, alice("please")).await;
    assert!(matches!(unknown, Err(ControlError::UnknownMigration { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_harm_users_are_switched_off_and_people_are_told_why() {
    let place = Place::new("phase = \"shadow\"");
    let running = place.start().await;
    let cells = running.telemetry.shadow_effect("shop");
    let mut memory = Memory::default();
    let traffic = |number: u64| {
        for one in 0..20 {
            let key = number * 100 + one;
            cells.record_as(0, &mut memory, COPIED, &observation(key, one < 10));
            cells.record_as(0, &mut memory, HELD_OUT, &observation(key + 50, false));
        }
    };
    let is_off = |shop: &MigrationStatus| shop.shadow.as_ref().is_some_and(|it| it.state == ShadowState::Off);
    running.until(traffic, is_off).await;
    let shadow = running.shadow();
    let by = shadow.by.clone().unwrap();
    let reason = by.reason.unwrap();
    assert_eq!(by.who, "the guard");
    assert!(
        reason.starts_with("served requests with a copy fail more often: ")
            && reason.contains(" without one did"),
        "{reason}"
    );
    assert!(
        shadow.sentence.contains(&format!(", by the guard: {reason}; `crossfade shadow")),
        "{}",
        shadow.sentence
    );
    assert!(running.policy().unwrap().off);
    let lines = running.handle().history("shop", 5).await.unwrap();
    let last = lines.last().unwrap();
    assert_eq!((&last["kind"], &last["data"]["off"]), (&"shadow".into(), &"effect".into()));
    assert_eq!(last["reason"], reason);
    running.end().await;
    let running = place.start().await;
    assert_eq!(running.shadow().state, ShadowState::Off, "also after a restart");
    assert!(running.policy().unwrap().off);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_get_new_when_the_answers_are_shown_to_match() {
    let place =
        Place::new("phase = \"preparation\"\nshadow = true\nramp = [{ percent = 5, approve = true }]");
    let running = place.start().await;
    let shadow = running.advance(false).await.unwrap();
    assert_eq!(shadow.migration.phase, Phase::Shadow);
    let Err(ControlError::Refused(refused)) = running.advance(false).await else { panic!("not refused") };
    assert!(
        refused.starts_with(
            "shop is not ready to advance: in phase shadow until the answers are shown to match: about 5,500 more \
             comparisons without a mismatch are needed to show that fewer than 0.1% differ"
        ),
        "{refused}"
    );
    running.compared(3_000, 0);
    running
        .until(|_| {}, |shop| shop.ramp.as_ref().unwrap().waits_for.contains("so far 0 of 3,000 do"))
        .await;
    running.compared(4_000, 0);
    // A part of them may be enough, and a look may find just that.
    let all = |shop: &MigrationStatus| shop.shadow.as_ref().unwrap().match_rate.compared() == 7_000;
    let enough = |shop: &MigrationStatus| shop.ramp.as_ref().unwrap().waits_for.contains("crossfade advance");
    running.until(|_| {}, |shop| all(shop) && enough(shop)).await;
    let shadow = running.shadow();
    assert_eq!((shadow.match_rate.compared(), shadow.match_rate.rate()), (7_000, Some(1.0)));
    assert!((0.999..1.0).contains(&shadow.match_rate.at_least()), "{:?}", shadow.match_rate);
    assert!(shadow.matching.unwrap().starts_with("fewer than 0.1% of comparisons are shown to differ"));
    // A restart asks for none of it again.
    running.end().await;
    let running = place.start().await;
    assert!(
        running.shop().ramp.unwrap().waits_for.contains("crossfade advance"),
        "{:?}",
        running.shop().ramp
    );
    assert_eq!(running.advance(false).await.unwrap().migration.phase, Phase::Canary);
    running.until(|_| {}, |shop| shop.in_force.to_string() == "5").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_mismatches_keep_users_on_old_and_who_insists_is_written_down() {
    let place = Place::new("phase = \"shadow\"\nshadow = true\nramp = [{ percent = 5, approve = true }]");
    let running = place.start().await;
    let is_held =
        |shop: &MigrationStatus| shop.guard.as_ref().is_some_and(|guard| guard.verdict == Verdict::Degraded);
    running.until(|_| running.compared(10, 1), is_held).await;
    let sentence = running.shop().guard.unwrap().sentence;
    assert!(
        sentence.starts_with("degraded; mismatches_max: ")
            && sentence.ends_with(" comparisons differed; tolerated: 0.1%"),
        "{sentence}"
    );
    let Err(ControlError::Refused(refused)) = running.advance(false).await else { panic!("not refused") };
    assert!(refused.ends_with(" comparisons differ, and fewer than 0.1% have to"), "{refused}");
    assert_eq!(running.advance(true).await.unwrap().migration.phase, Phase::Canary);
    let lines = running.handle().history("shop", 50).await.unwrap();
    let advanced = lines.iter().find(|line| line["kind"] == "advanced").unwrap();
    assert_eq!(advanced["data"]["force"], true);
    assert!(
        advanced["data"]["waited_for"].as_str().unwrap().contains(" comparisons differ, and"),
        "{advanced}"
    );
    assert!(running.kinds().await.contains(&"verdict".to_owned()), "and so is the verdict");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phase_by_hand_needs_no_evidence_and_is_journaled_so() {
    let place = Place::new("phase = \"shadow\"\npercent = 5\nshadow = true");
    let running = place.start().await;
    let changed = running.handle().set_phase("shop", Phase::Canary, alice("I know")).await.unwrap();
    assert_eq!(changed.migration.in_force.to_string(), "5");
    let lines = running.handle().history("shop", 5).await.unwrap();
    assert_eq!(lines.last().unwrap()["data"]["without_evidence"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_shown_is_no_condition_met_while_the_shadow_is_off_nor_under_other_rules() {
    let place = Place::new("phase = \"shadow\"\nshadow = true");
    let running = place.start().await;
    running.compared(7_000, 0);
    let all = |shop: &MigrationStatus| shop.shadow.as_ref().unwrap().match_rate.compared() == 7_000;
    running.until(|_| {}, all).await;
    running.handle().switch_shadow("shop", false, false, alice("busy")).await.unwrap();
    let Err(ControlError::Refused(refused)) = running.advance(false).await else { panic!("not refused") };
    assert!(refused.contains("the shadow is switched off, so nothing is compared"), "{refused}");
    running.handle().switch_shadow("shop", true, false, alice("again")).await.unwrap();
    let shadow = running.shadow();
    assert_eq!(shadow.match_rate.compared(), 7_000, "what was shown before stands");
    assert!(shadow.matching.is_some_and(|sentence| sentence.starts_with("fewer than 0.1% of comparisons")));
    // Other rules, other comparisons.
    place.write("phase = \"shadow\"\nshadow = { ignore = [\"$.at\"] }");
    running.handle().reload(Cause::Signal).await.unwrap();
    let shadow = running.shadow();
    assert_eq!(shadow.match_rate.compared(), 0);
    assert!(shadow.matching.is_some_and(|sentence| sentence.ends_with("so far 0 of 0 do")));
    let Err(ControlError::Refused(refused)) = running.advance(false).await else { panic!("not refused") };
    assert!(refused.contains("about 5,500 more comparisons"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_where_none_may_be_takes_users_back() {
    let place = Place::new("percent = 5\nshadow = true\nguard = { zero_tolerance = [\"$.total\"] }");
    let running = place.start().await;
    running.compared(0, 1);
    running.telemetry.comparisons("shop").zero_tolerance();
    running.until(|_| {}, |shop| shop.latch.is_some()).await;
    let latch = running.shop().latch.unwrap().sentence;
    assert!(
        latch.contains("rolled back by the guard (mismatches): a comparison differs where none may"),
        "{latch}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mismatches_take_users_back_by_a_rate_that_the_file_has() {
    for (lines, goes_back) in [("", false), ("guard = { mismatches = { rollback = \"5%\" } }", true)] {
        let place = Place::new(&format!("percent = 5\nshadow = true\n{lines}"));
        let running = place.start().await;
        let differ = |_: u64| running.compared(4, 1);
        if goes_back {
            running.until(differ, |shop| shop.latch.is_some()).await;
            let latch = running.shop().latch.unwrap().sentence;
            assert!(latch.contains("of comparisons differ, allowed 5% (after "), "{latch}");
        } else {
            let is_held = |shop: &MigrationStatus| shop.guard.as_ref().unwrap().verdict == Verdict::Degraded;
            running.until(differ, is_held).await;
            assert_eq!(running.shop().latch, None, "they hold the ramp, and nobody goes back");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_full_the_reverse_shadow_judges_new_and_takes_users_back() {
    let place = Place::new("phase = \"full\"\nshadow = true");
    let running = place.start().await;
    assert_eq!(running.shadow().sentence, "on: new serves, old gets copies");
    let verdict = |shop: &MigrationStatus| shop.guard.as_ref().map(|guard| guard.verdict);
    assert_eq!(verdict(&running.shop()), Some(Verdict::Insufficient), "judged, and not known yet");
    let cells = running.telemetry.shadow_evidence("shop");
    let mut memory = Memory::default();
    let traffic = |number: u64| {
        for one in 0..10 {
            let key = number * 100 + one;
            cells.record_as(0, &mut memory, Arm::Old, &observation(key, false));
            cells.record_as(0, &mut memory, Arm::New, &observation(key, number > 50));
        }
    };
    running.until(traffic, |shop| shop.latch.is_some()).await;
    let shop = running.shop();
    assert_eq!(shop.in_force.to_string(), "0");
    let latch = shop.latch.unwrap().sentence;
    assert!(
        latch.contains("by the guard (error_rate): new fails ") && latch.contains("by copies"),
        "{latch}"
    );
    // Users are on old, and new gets copies: the cause stays visible.
    assert!(running.policy().is_some_and(|policy| !policy.off));
    assert_eq!(shop.shadow.unwrap().sentence, "on: new gets copies");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_which_arm_gets_copies() {
    let both = "each arm gets copies of what the other one serves";
    for (lines, expected) in [
        ("percent = 0\nphase = \"canary\"\nshadow = { canary = \"both\" }", "new gets copies"),
        ("percent = 30\nshadow = true", "new gets copies"),
        ("percent = 30\nshadow = { canary = \"both\" }", both),
        ("percent = 100\nshadow = { canary = \"both\" }", "new serves, old gets copies"),
    ] {
        let place = Place::new(lines);
        assert_eq!(place.start().await.shadow().sentence, format!("on: {expected}"), "{lines}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_full_without_a_shadow_nothing_judges_new() {
    let running = Place::new("phase = \"full\"").start().await;
    let shop = running.shop();
    assert_eq!((shop.guard.unwrap().verdict, shop.shadow), (Verdict::Unguarded, None));
    assert!(running.policy().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn before_users_get_new_copies_that_fail_are_told_of() {
    let place = Place::new("phase = \"shadow\"\nshadow = true");
    let running = place.start().await;
    let cells = running.telemetry.shadow_evidence("shop");
    let mut memory = Memory::default();
    let traffic = |number: u64| {
        for one in 0..10 {
            let key = number * 100 + one;
            cells.record_as(0, &mut memory, Arm::Old, &observation(key, false));
            cells.record_as(0, &mut memory, Arm::New, &observation(key, true));
        }
    };
    let is_told = |shop: &MigrationStatus| {
        shop.shadow.as_ref().and_then(|it| it.verdict.as_ref()).is_some_and(|it| it.0 == Verdict::Degraded)
    };
    running.until(traffic, is_told).await;
    assert_eq!(running.shop().latch, None);
    let lines = running.handle().history("shop", 10).await.unwrap();
    let told = lines.iter().find(|line| line["data"]["by_copies"] == true).unwrap();
    assert!(told["reason"].as_str().unwrap().starts_with("new fails "), "{told}");
}

/// Remembers what it was told.
#[derive(Default)]
struct Told(std::sync::Mutex<Vec<String>>);

impl Follows for Told {
    fn follow(&self, checked: &config_file::Checked) {
        let ignored =
            checked.migration("shop").and_then(|shop| shop.shadow.as_ref().map(|one| one.ignore.len()));
        self.0.lock().unwrap().push(format!("ignores {ignored:?}"));
    }

    fn begin_anew(&self, migration: &str) {
        self.0.lock().unwrap().push(format!("{migration} anew"));
    }
}

impl Told {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_is_told_of_each_configuration_and_when_comparisons_count_anew() {
    let place = Place::new("phase = \"shadow\"\nshadow = { ignore = [\"$.a\"] }");
    let told = Arc::new(Told::default());
    let loaded = load(&place.dir.path().join("crossfade.toml")).unwrap();
    let mut controller = Controller::open(loaded, Telemetry::new(1)).unwrap();
    controller.lead(told.clone());
    assert_eq!(told.take(), ["ignores Some(1)"], "the one in force");
    let settings = Settings { quiet: Duration::from_secs(600), poll: Duration::from_secs(3600) };
    let Control { handle, .. } = controller.start(Arc::new(Pretended), settings).await.unwrap();
    handle.reload(Cause::Asked(Actor::default())).await.unwrap();
    assert_eq!(told.take(), [""; 0], "nothing has changed");
    place.write("phase = \"shadow\"\nshadow = { ignore = [\"$.a\", \"$.b\"] }");
    handle.reload(Cause::Asked(Actor::default())).await.unwrap();
    let mut after = told.take();
    after.sort();
    assert_eq!(after, ["ignores Some(2)", "shop anew"]);
    place.write("phase = \"shadow\"\nshadow = { ignore = [\"$.a\"");
    handle.reload(Cause::Asked(Actor::default())).await.unwrap_err();
    assert_eq!(told.take(), [""; 0], "a file that is refused is not in force");
    handle.switch_shadow("shop", true, true, Actor::default()).await.unwrap();
    assert_eq!(told.take(), ["shop anew"], "somebody said so");
}
