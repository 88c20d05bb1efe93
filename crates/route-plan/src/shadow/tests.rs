use traffic_split::{KeySource, Overrides, Split};

use super::*;
use crate::matching::{Match, RouteEntry, Target};
use crate::view::Request;

fn policy(percent: &str) -> ShadowPolicy {
    ShadowPolicy { percent: percent.parse().unwrap(), ..ShadowPolicy::default() }
}

fn split(percent: &str) -> Split {
    Split {
        salt: b"shop".as_slice().into(),
        keys: vec![KeySource::Header("x-user-id".to_owned())],
        percent: percent.parse().unwrap(),
        overrides: Overrides::default(),
    }
}

fn of(policy: &ShadowPolicy, phase: Phase, split: &Split, request: &Request) -> Copying {
    policy.decide(phase, split.percent, &split.assign(request), request, 1 << 31)
}

fn user(name: &str) -> Request {
    Request::new("shop.example.com", "/cart").header("x-user-id", name)
}

#[test]
fn which_phase_copies_what() {
    use CanaryCopies::{Both, None, ToNew};
    let to = |arm| Copying::To(arm);
    let never = Copying::Not(NotCopied::Phase);
    for (phase, canary, on_old, on_new) in [
        (Phase::Preparation, Both, never, never),
        (Phase::Shadow, ToNew, to(Arm::New), never),
        (Phase::Canary, ToNew, to(Arm::New), never),
        (Phase::Canary, Both, to(Arm::New), to(Arm::Old)),
        (Phase::Canary, None, never, never),
        (Phase::Full, None, never, to(Arm::Old)),
        (Phase::Cleanup, Both, never, never),
    ] {
        let policy = ShadowPolicy { canary, ..policy("100") };
        assert_eq!(of(&policy, phase, &split("0"), &user("ada")), on_old, "{phase:?} {canary:?} old");
        assert_eq!(of(&policy, phase, &split("100"), &user("ada")), on_new, "{phase:?} {canary:?} new");
    }
}

#[test]
fn what_is_left_out() {
    let rule = Match { path: "/pay/*".parse().unwrap(), ..Match::default() };
    let entry = RouteEntry { label: "payments".to_owned(), rule, target: Target::Migration(0) };
    let everyone = ShadowPolicy { except: RouteTable::build(vec![entry]).unwrap(), ..policy("100") };
    let keyless = Request::new("shop.example.com", "/cart");
    let pay = Request::new("shop.example.com", "/pay/1");
    for (why, request) in [
        (NotCopied::Method, user("ada").method("POST")),
        (NotCopied::Upgrade, user("ada").header("upgrade", "websocket")),
        (NotCopied::Copy, user("ada").header("crossfade-shadow", "1")),
        (NotCopied::Excepted, pay),
    ] {
        assert_eq!(of(&everyone, Phase::Shadow, &split("0"), &request), Copying::Not(why));
    }
    assert_eq!(of(&everyone, Phase::Shadow, &split("0"), &keyless), Copying::To(Arm::New));
    assert_eq!(of(&policy("99"), Phase::Shadow, &split("0"), &keyless), Copying::Not(NotCopied::NoKey));
    let off = ShadowPolicy { off: true, ..policy("100") };
    assert_eq!(of(&off, Phase::Shadow, &split("0"), &keyless), Copying::Not(NotCopied::Off));
    let lists = ShadowPolicy { methods: vec![b"POST".as_slice().into()], ..policy("100") };
    let post = user("ada").method("POST");
    assert_eq!(of(&lists, Phase::Shadow, &split("0"), &post), Copying::To(Arm::New));
}

/// Whole users are copied, in the order in which they move: who is reached at one percentage on new is still reached at
/// every higher one, until that user moves.
#[test]
fn copies_follow_the_order_of_the_split() {
    let users: Vec<Request> = (0..2_000).map(|number| user(&format!("user-{number}"))).collect();
    let half = policy("50");
    let mut before: Vec<bool> = vec![false; users.len()];
    for percent in ["0", "10", "25", "50", "90"] {
        let split = split(percent);
        let mut copied = 0;
        let mut on_old = 0;
        for (request, before) in users.iter().zip(&mut before) {
            let served = split.assign(request);
            let now = of(&half, Phase::Canary, &split, request) == Copying::To(Arm::New);
            if served.arm == Arm::Old {
                assert!(now || !*before, "a user who was copied at less than {percent} % is not any more");
                on_old += 1;
                copied += usize::from(now);
            }
            *before |= now;
        }
        let share = f64::from(u32::try_from(copied).unwrap()) / f64::from(u32::try_from(on_old).unwrap());
        assert!((share - 0.5).abs() < 0.12, "at {percent} %: {share} of old's users are copied");
    }
}

#[test]
fn those_who_move_next_come_first() {
    let split = split("10");
    let few = policy("1");
    let reached = (0..5_000).filter_map(|number| {
        let request = user(&format!("user-{number}"));
        let copied = of(&few, Phase::Canary, &split, &request) == Copying::To(Arm::New);
        copied.then(|| split.assign(&request).bucket.unwrap().as_fraction())
    });
    let reached: Vec<f64> = reached.collect();
    assert!(!reached.is_empty() && reached.iter().all(|at| (0.1..0.1091).contains(at)), "{reached:?}");
}

#[test]
fn a_share_is_held_out_by_chance() {
    let some = ShadowPolicy { holdout: "25".parse().unwrap(), ..policy("100") };
    let (request, split) = (user("ada"), split("0"));
    let decide = |draw| some.decide(Phase::Shadow, split.percent, &split.assign(&request), &request, draw);
    for (draw, held_out) in [(0, true), ((1 << 30) - 1, true), (1 << 30, false), (u32::MAX, false)] {
        let expected = if held_out { Copying::Not(NotCopied::Holdout) } else { Copying::To(Arm::New) };
        assert_eq!(decide(draw), expected, "{draw}");
    }
}
