use config_file::NoFiles;
use route_plan::outcome::{Failure, Observation};
use telemetry::{COPIED, Compared, HELD_OUT, Memory, Side};
use traffic_split::{Arm, Role};

use super::*;

const TICK: Duration = Duration::from_millis(50);

fn migration(lines: &str) -> MigrationConfig {
    let text = format!(
        "[[listener]]\nlisten = \"0.0.0.0:8080\"\n[upstream.a]\nendpoints = [\"http://10.0.0.1\"]\n[upstream.b]\n\
         endpoints = [\"http://10.0.0.2\"]\n[migration.shop]\nmatch = [{{ path = \"/*\" }}]\nold = \"a\"\nnew = \"b\"\n\
         key = [\"header:x-user-id\"]\n{lines}\n"
    );
    let outcome = config_file::parse(&text, "test.toml", &|_| None, &NoFiles);
    let shown = outcome.render(false);
    outcome.checked.unwrap_or_else(|| panic!("{shown}")).migrations.remove(0)
}

fn intent(migration: &MigrationConfig, phase: Phase) -> Intent {
    let written =
        ramp::Written { percent: "5".parse().unwrap(), phase: Some(phase), attempt: 1, ramp: Vec::new() };
    Intent::first(written, &migration.policy)
}

fn observation(key: u64, took: Duration, fails: bool) -> Observation {
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
        to_head: took,
        total: took,
        failure: fails.then_some(Failure::Closed),
        client_aborted: false,
        drained: false,
    }
}

struct Stage {
    telemetry: Arc<Telemetry>,
    memory: [Memory; 2],
    migration: MigrationConfig,
    watch: ShadowWatch,
    key: u64,
}

impl Stage {
    fn new(lines: &str, phase: Phase) -> Self {
        let (telemetry, migration) = (Telemetry::new(1), migration(lines));
        let scene = Scene::of(&migration, &intent(&migration, phase));
        let watch = ShadowWatch::new(&telemetry, &migration, scene, &KeptShadow::default());
        Stage { telemetry, memory: Default::default(), migration, watch, key: 0 }
    }

    fn enter(&mut self, phase: Phase) {
        let scene = Scene::of(&self.migration, &intent(&self.migration, phase));
        self.watch.follow(&self.telemetry, &self.migration, scene);
    }

    /// A second in which so many requests are to be copied and a twentieth of them is held out, and which take so long.
    fn second(&mut self, copied: Duration, held_out: Duration) -> Vec<Finding> {
        let cells = self.telemetry.shadow_effect("shop");
        let mut found = Vec::new();
        for _ in 0..20 {
            for _ in 0..20 {
                self.key += 1;
                let took = copied + Duration::from_micros(self.key * 7919 % 1_000);
                cells.record_as(0, &mut self.memory[0], COPIED, &observation(self.key, took, false));
            }
            self.key += 1;
            let took = held_out + Duration::from_micros(self.key * 7919 % 1_000);
            cells.record_as(0, &mut self.memory[0], HELD_OUT, &observation(self.key, took, false));
            found.extend(self.watch.look(TICK));
        }
        found
    }

    /// A second of requests that both arms answered, new failing or not.
    fn pairs(&mut self, new_fails: bool) -> Vec<Finding> {
        let cells = self.telemetry.shadow_evidence("shop");
        let mut found = Vec::new();
        for _ in 0..20 {
            for _ in 0..5 {
                self.key += 1;
                let took = Duration::from_millis(5);
                cells.record_as(0, &mut self.memory[1], Arm::Old, &observation(self.key, took, false));
                cells.record_as(0, &mut self.memory[1], Arm::New, &observation(self.key, took, new_fails));
            }
            found.extend(self.watch.look(TICK));
        }
        found
    }
}

const FAST: Duration = Duration::from_millis(5);

#[test]
fn copies_that_make_users_wait_are_found() {
    let mut stage = Stage::new("shadow = true", Phase::Shadow);
    for _ in 0..60 {
        assert_eq!(stage.second(FAST, FAST), []);
    }
    let harm = (0..120).find_map(|_| stage.second(FAST * 2, FAST).into_iter().next());
    let Some(Finding::Harms(sentence)) = harm else { panic!("not within two minutes: {harm:?}") };
    assert!(
        sentence.starts_with("served requests with a copy are slower: ") && sentence.contains(" times the p"),
        "{sentence}"
    );
    assert_eq!(stage.watch.effect_sentence().unwrap(), "served requests are slower for being copied");
}

#[test]
fn a_shadow_that_is_switched_on_again_is_given_another_chance() {
    let mut stage = Stage::new("shadow = true", Phase::Shadow);
    assert!((0..180).any(|_| !stage.second(FAST * 3, FAST).is_empty()));
    stage.enter(Phase::Preparation);
    assert_eq!(stage.second(FAST * 3, FAST), [], "nothing is copied");
    stage.enter(Phase::Shadow);
    assert_eq!(stage.second(FAST, FAST), []);
    assert!((0..180).any(|_| !stage.second(FAST * 3, FAST).is_empty()), "and seen again");
}

#[test]
fn who_wants_nothing_done_about_the_effect_has_nothing_done() {
    let mut stage = Stage::new("shadow = { max_effect = false }", Phase::Shadow);
    for _ in 0..60 {
        assert_eq!(stage.second(FAST * 3, FAST), []);
    }
    assert_eq!(stage.watch.effect_sentence(), None);
}

#[test]
fn before_anybody_is_on_new_copies_only_inform() {
    let mut stage = Stage::new("shadow = true", Phase::Shadow);
    assert_eq!(stage.pairs(false), []);
    let found: Vec<_> = (0..5).flat_map(|_| stage.pairs(true)).collect();
    let [Finding::Worse(sentence)] = found.as_slice() else { panic!("once: {found:?}") };
    assert!(sentence.starts_with("new fails 100% of requests, old 0%"), "{sentence}");
    let (verdict, sentence) = stage.watch.verdict().unwrap();
    assert_eq!(verdict, Verdict::Degraded);
    assert!(sentence.starts_with("degraded; new fails "), "{sentence}");
    stage.watch.look(TOLD_FOR);
    assert_ne!(stage.watch.verdict().unwrap().0, Verdict::Degraded, "it is over");
}

#[test]
fn with_everybody_on_new_copies_take_users_back() {
    let mut stage = Stage::new("shadow = true", Phase::Full);
    assert_eq!(stage.pairs(false), []);
    let found: Vec<_> = (0..2).flat_map(|_| stage.pairs(true)).collect();
    assert!(matches!(found.first(), Some(Finding::Breach(_))), "{found:?}");
    assert!(stage.watch.breach_sentence().ends_with("by copies of the same requests"));
    stage.enter(Phase::Canary);
    assert_eq!(stage.pairs(true), [], "there is somebody to compare with");
    assert_eq!(stage.watch.verdict(), None);
}

#[test]
fn copies_judge_new_where_nobody_else_can() {
    let judges = |lines: &str| {
        let migration = migration(lines);
        Phase::ALL.map(|phase| Scene::of(&migration, &intent(&migration, phase)).judges)
    };
    assert_eq!(judges("shadow = true"), [false, true, false, true, false]);
    assert_eq!(judges(""), [false, true, false, false, false]);
    assert_eq!(judges("shadow = false"), [false; 5]);
    let migration = migration("shadow = { canary = \"both\" }");
    let mut all_on_new = intent(&migration, Phase::Canary);
    all_on_new.percent = Percent::FULL;
    assert!(Scene::of(&migration, &all_on_new).can_go_back());
    all_on_new.shadow_off = Some(ramp::ShadowOff::Asked);
    assert!(!Scene::of(&migration, &all_on_new).copies);
}

#[test]
fn other_rules_make_comparisons_count_anew() {
    let mut stage = Stage::new("shadow = true", Phase::Shadow);
    let cells = stage.telemetry.comparisons("shop");
    cells.record(Compared::Mismatched);
    assert_eq!(stage.watch.counted().mismatched, 1);
    let scene = Scene::of(&stage.migration, &intent(&stage.migration, Phase::Shadow));
    assert!(!stage.watch.follow(&stage.telemetry, &stage.migration, scene));
    for lines in ["shadow = { ignore = [\"$.at\"] }", "shadow = true\ncompare = { status = \"class\" }"] {
        let other = migration(lines);
        assert!(stage.watch.follow(&stage.telemetry, &other, scene), "{lines}");
        assert!(!stage.watch.follow(&stage.telemetry, &other, scene), "{lines}");
    }
    cells.record(Compared::Matched);
    assert_eq!((stage.watch.counted().judged(), stage.watch.counted().mismatched), (1, 0));
    assert_eq!(stage.watch.comparisons().judged(), 2, "all of them are still told");
}

#[test]
fn a_shadow_that_was_only_switched_off_goes_on_counting_and_one_of_another_phase_begins() {
    let mut stage = Stage::new("shadow = true", Phase::Shadow);
    let [shadow, canary, full] = [Phase::Shadow, Phase::Canary, Phase::Full]
        .map(|phase| Scene::of(&stage.migration, &intent(&stage.migration, phase)));
    let off = Scene { copies: false, judges: false, ..shadow };
    let mut begins = |scene| stage.watch.follow(&stage.telemetry, &stage.migration, scene);
    for scene in [off, shadow, canary, off, canary, off] {
        assert!(!begins(scene), "{scene:?}");
    }
    assert!(begins(full), "old gets the copies now");
    assert!(!begins(full));
}

#[test]
fn what_is_not_meant_to_be_copied_is_no_drop() {
    let cells = Telemetry::new(1).shadow("shop");
    for (times, why) in
        [(9, NotCopied::Method), (8, NotCopied::Holdout), (3, NotCopied::Slow), (5, NotCopied::TargetDown)]
    {
        (0..times).for_each(|_| cells.dropped(0, Side::Worker, why));
    }
    assert_eq!(top_drops(&cells.totals()), [("target-down", 5), ("slow", 3)]);
}

#[test]
fn what_is_kept_is_gone_on_from_and_never_acts_at_once() {
    let mut stage = Stage::new("shadow = true", Phase::Full);
    (0..3).for_each(|_| drop(stage.pairs(true)));
    let kept = stage.watch.kept();
    assert!(kept.pairs.as_ref().unwrap().would_roll_back());
    let scene = Scene::of(&stage.migration, &intent(&stage.migration, Phase::Full));
    let mut again = ShadowWatch::new(&stage.telemetry, &stage.migration, scene, &kept);
    assert_eq!(again.look(TICK), []);
}
