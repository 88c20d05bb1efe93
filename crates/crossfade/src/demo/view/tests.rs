use std::time::Duration;

use route_plan::Failure;

use super::*;

fn arm(users: u32, requests_per_s: f64, p50_us: u64, p99_us: u64) -> ArmFigures {
    let time = |us| (us > 0).then(|| Duration::from_micros(us));
    ArmFigures { users, requests_per_s, p50: time(p50_us), p99: time(p99_us), failed: 0 }
}

fn missing() -> String {
    "insufficient; about 1,850 more requests (4.9 s) are needed to call new no worse, error_rate last".into()
}

fn scene() -> Scene {
    let percent = |text: &str| Some(text.parse().unwrap());
    Scene {
        users: 3000,
        place: Some("2/12".into()),
        headline: "The ramp begins".into(),
        sentence: "743 of 3,000 users get new. More will, once it is shown to be no worse.".into(),
        next: "new begins to fail, when the ramp is in its second step".into(),
        asked: percent("25"),
        in_force: percent("25"),
        measured: Some(24.8),
        answered: Some(24.8),
        healthy: [Some(true); 2],
        arms: [arm(2257, 1128.4, 7100, 16_200), arm(743, 371.6, 4300, 10_100)],
        moves: [743, 0, 0],
        wrong_arm: 0,
        fallbacks: Fallbacks::default(),
        failed_of_both: 0,
        shadow: None,
        ramp: Some(Ramp {
            step: 1,
            steps: ["25", "50", "100"].map(|text| text.parse().unwrap()).to_vec(),
            waits_for: "the step is to be served for 2 s more".into(),
        }),
        guard: Some(missing()),
        told: Vec::new(),
        commands: vec![
            "target/release/crossfade where shop alice --admin http://127.0.0.1:39001".into(),
            "curl -i -H 'x-user-id: alice' http://127.0.0.1:43211/products/7".into(),
        ],
    }
}

fn text(scene: &Scene) -> String {
    let lines = scene.lines().into_iter().map(|line| {
        let text: String = line.parts().iter().map(|(_, part)| part.as_str()).collect();
        assert!(text.chars().count() <= WIDTH, "{text}");
        text.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn on_the_way() {
    insta::assert_snapshot!(text(&scene()));
}

#[test]
fn before_the_first_answer() {
    let scene = Scene {
        place: Some("1/12".into()),
        headline: "Everybody is on old".into(),
        sentence: "3,000 users are in the old shop. The new one is connected and waits.".into(),
        measured: None,
        answered: None,
        healthy: [None; 2],
        arms: [ArmFigures::default(); 2],
        moves: [0; 3],
        ..scene()
    };
    insta::assert_snapshot!(text(&scene));
}

#[test]
fn new_is_dead() {
    let mut fallbacks = Fallbacks::default();
    fallbacks.covered[Failure::Connect.index()] = 2_204;
    fallbacks.covered[Failure::Closed.index()] = 9;
    fallbacks.covered[Failure::NoEndpoint.index()] = 4_310;
    let scene = Scene {
        place: Some("10/12".into()),
        headline: "New is killed: its port closed, its connections cut".into(),
        sentence: "3,000 users belong to new. Old answers them, and nobody notices.".into(),
        next: "new comes back; all users were seen".into(),
        asked: Some(Percent::FULL),
        in_force: Some(Percent::FULL),
        measured: Some(100.0),
        answered: Some(0.0),
        healthy: [Some(true), Some(false)],
        arms: [arm(3000, 1500.0, 7100, 16_200), ArmFigures::default()],
        moves: [3000, 0, 0],
        fallbacks,
        ..scene()
    };
    insta::assert_snapshot!(text(&scene));
}

#[test]
fn users_are_taken_back() {
    let ramp = scene().ramp.map(|ramp| Ramp { waits_for: "latched since a rollback".into(), ..ramp });
    let scene = Scene {
        place: Some("3/12".into()),
        headline: "New begins to fail: 1 in 10 of its answers is a 500".into(),
        in_force: Some(Percent::ZERO),
        told: vec![
            "latched at 0 % since 2026-11-26T07:00:13Z: rolled back by the guard (error_rate): new fails 3.2% of \
             requests, old 0%, allowed +0.5% (after 1125 requests, 4.6 s)"
                .into(),
            "0 % in force 334 ms after the first bad answer; the switch took 158 us".into(),
            "shop: the rollback to 0% is verified: the last request beyond it ended 49 ms after the decision, the last \
             failure of new 0 ms after it; old has served 577 requests since"
                .into(),
        ],
        ramp,
        ..scene()
    };
    let text = text(&scene);
    assert!(text.lines().nth(22).unwrap().ends_with("requests since"), "what is news fits 23 lines");
    insta::assert_snapshot!(text);
}

fn shadow() -> Shadow {
    let group = |endpoint: &str, path: &str, kind, what: &str| GroupLine {
        endpoint: endpoint.into(),
        path: path.into(),
        kind,
        count: 1_440,
        what: what.into(),
    };
    Shadow {
        copies_per_s: 1_322.4,
        matched: 791,
        mismatched: 6_206,
        noise: 370,
        races: 1,
        not_compared: 0,
        rate: "11.30 %, at least 9.30 %".into(),
        groups: vec![
            group("GET /products/{id}", "$.price", "value", "59.99 -> 60.00"),
            group("GET /products", "header:cache-control", "missing", "public, max-age=60"),
            group("GET /products/{id}", "$.quote", "value", "noise, 99.2 %"),
        ],
        rules: Vec::new(),
    }
}

fn comparing(shadow: Shadow, told: &str) -> Scene {
    Scene {
        place: Some("4/17".into()),
        headline: "Old, asked twice, tells what differs by itself".into(),
        sentence: "A number and a time differ with each answer, of old as well: noise.".into(),
        next: "the suggested rules are applied".into(),
        in_force: Some(Percent::ZERO),
        arms: [arm(3000, 1500.0, 7100, 16_200), ArmFigures::default()],
        moves: [0; 3],
        shadow: Some(shadow),
        told: vec![told.into()],
        ..scene()
    }
}

#[test]
fn new_gets_copies() {
    let told = "old was asked once more for 57 of 6,977 copied requests (0.82 %)";
    insta::assert_snapshot!(text(&comparing(shadow(), told)));
}

#[test]
fn rules_are_applied() {
    let rules = [
        "[[migration.shop.compare.endpoint]]",
        "path = \"/products/{id}\"",
        "ignore = [",
        "  \"$.quote\",",
        "]",
        "rules = [",
        "  { path = \"$.priced_at\", within = \"2s\" },",
        "]",
    ];
    let rules = rules.map(str::to_owned).to_vec();
    let told = "match rate 63.82 %, at least 58.31 %, of 1,056 comparisons; before 11.31 %, at least 9.30 %";
    let text = text(&comparing(Shadow { groups: Vec::new(), rules, ..shadow() }, told));
    assert!(text.lines().nth(22).unwrap().ends_with(']'), "all of it fits 23 lines");
    insta::assert_snapshot!(text);
}

#[test]
fn many_copies_fit() {
    let many = Shadow {
        copies_per_s: 99_999.0,
        matched: 12_345_678,
        mismatched: 12_345_678,
        noise: 12_345_678,
        races: 123_456,
        not_compared: 123_456,
        rate: "99.999999 %, at least 99.999999 %".into(),
        ..shadow()
    };
    let scene = comparing(many, "");
    assert!(text(&scene).contains("  not compared 123,456\n"));
    let bad = scene.lines().iter().flat_map(Line::parts).filter(|part| part.0 == Style::Bad).count();
    assert_eq!(bad, 1, "what could not be compared is to be looked at");
}

#[test]
fn what_the_guard_says_is_not_said_twice() {
    let ramp = scene().ramp.map(|ramp| Ramp { waits_for: missing(), ..ramp });
    let text = text(&Scene { ramp, ..scene() });
    assert!(
        text.contains(
            "  ramp  step 1 of 3 (25, 50, 100 %); waits for the guard\n  guard insufficient; about"
        )
    );
    assert_eq!(text.matches("insufficient").count(), 1);
}

#[test]
fn failures_of_both_are_told_and_not_marked_as_bad() {
    let failed = |failed, failed_of_both| {
        let [old, new] = scene().arms;
        let arms = [ArmFigures { failed, ..old }, new];
        Scene { arms, failed_of_both, ..scene() }
    };
    let bad = |scene: &Scene| scene.lines().iter().flat_map(Line::parts).any(|part| part.0 == Style::Bad);
    assert!(text(&failed(167, 167)).contains("  failed as both did 167"));
    assert!(!bad(&failed(167, 167)) && bad(&failed(168, 167)));
}

#[test]
fn long_sentences_are_broken_between_words() {
    assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
    assert_eq!(wrapped("onetwothree four", 7), ["onetwot", "four"]);
    assert!(wrapped("", 7).is_empty());
}

#[test]
fn large_and_bad_numbers_fit() {
    let worst = ArmFigures { failed: 123_456_789, ..arm(10_000, 99_999.0, 59_000_000, 60_000_000) };
    let scene = Scene {
        users: 10_000,
        place: None,
        headline: "You asked for 12.345678 %".into(),
        asked: Some("12.345678".parse().unwrap()),
        in_force: None,
        measured: Some(100.0),
        answered: Some(100.0),
        fallbacks: Fallbacks { covered: [123_456; Failure::ALL.len()], withheld: 1_234_567 },
        arms: [worst; 2],
        moves: [1_234_567, 1_234_567, 12],
        wrong_arm: 1_234,
        failed_of_both: 1_234_567,
        ..scene()
    };
    insta::assert_snapshot!(text(&scene));
    let bad = scene.lines().iter().flat_map(Line::parts).filter(|part| part.0 == Style::Bad).count();
    assert_eq!(bad, 5);
}

#[test]
fn what_is_not_nothing_shows() {
    let columns = |percent| {
        let (full, rest) = filled(percent);
        assert_eq!(full.chars().count() + rest.chars().count(), BAR);
        full
    };
    assert_eq!(columns(0.0), "");
    assert_eq!(columns(0.01), "▏");
    assert_eq!(columns(1.0), "▋");
    assert_eq!(columns(25.0), "█".repeat(15));
    assert_eq!(columns(100.0), "█".repeat(60));
    assert_eq!(columns(250.0), "█".repeat(60));
}
