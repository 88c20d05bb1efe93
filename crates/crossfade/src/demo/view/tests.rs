use std::time::Duration;

use route_plan::Failure;

use super::*;

fn arm(users: u32, requests_per_s: f64, p50_us: u64, p99_us: u64) -> ArmFigures {
    let time = |us| (us > 0).then(|| Duration::from_micros(us));
    ArmFigures { users, requests_per_s, p50: time(p50_us), p99: time(p99_us), failed: 0 }
}

fn scene() -> Scene {
    let percent = |text: &str| Some(text.parse().unwrap());
    Scene {
        users: 3000,
        place: Some("4/9".into()),
        headline: "Raising to 25 %".into(),
        sentence: "620 users move from old to new. Nobody moves back.".into(),
        next: "100 %, when all users were seen: 2,134 of 3,000".into(),
        asked: percent("25"),
        in_force: percent("25"),
        measured: Some(24.8),
        answered: Some(24.8),
        healthy: [Some(true); 2],
        arms: [arm(2257, 1128.4, 7100, 16_200), arm(743, 371.6, 4300, 10_100)],
        moves: [743, 0, 0],
        wrong_arm: 0,
        fallbacks: Fallbacks::default(),
        commands: vec![
            "curl -i -H 'x-user-id: alice' http://127.0.0.1:43211/products/7".into(),
            "target/release/crossfade where shop alice --admin http://127.0.0.1:39001".into(),
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
        place: Some("1/9".into()),
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
        place: Some("6/9".into()),
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
