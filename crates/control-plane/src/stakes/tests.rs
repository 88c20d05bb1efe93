use std::sync::mpsc::sync_channel;

use proptest::collection::vec;
use proptest::prelude::*;
use rollback_guard::{Breach, Cause, Counts, ProofState, Quantile, Signal, Tally, TestState};
use traffic_split::Arm;

use super::*;

const TICK: Duration = Duration::from_millis(50);

/// One tick's requests; both arms have some.
#[derive(Clone, Copy, Debug)]
struct Tick {
    old: u64,
    old_bad: u64,
    new: u64,
    new_bad: u64,
    slow: u64,
}

fn tick() -> impl Strategy<Value = Tick> {
    (1..40_u64, 0..2_u64, 1..10_u64, 0..3_u64, 1..2000_u64)
        .prop_map(|(old, old_bad, new, new_bad, slow)| Tick { old, old_bad, new, new_bad, slow })
}

impl Tick {
    fn counts(self) -> Counts {
        let mut counts = Counts::ZERO;
        for (arm, good, bad) in [(Arm::Old, self.old, self.old_bad), (Arm::New, self.new, self.new_bad)] {
            for n in 0..good {
                counts.success(arm, Duration::from_millis(5 + n * self.slow % 97 + self.slow % 7));
            }
            (0..bad).for_each(|_| counts.failure(arm));
        }
        counts
    }
}

fn run(guard: &mut Guard, ticks: &[Tick]) {
    for tick in ticks {
        guard.tick(TICK, &tick.counts());
    }
}

fn capital(guard: &Guard) -> f64 {
    guard.state().rollback.iter().flat_map(|test| test.capital).sum()
}

fn before(guard: &Guard, step: &str) -> Before {
    let state = guard.state();
    let is_latched = state.would_roll_back();
    let ground = Ground { percent: "5".parse().unwrap(), is_latched, ..Ground::default() };
    let stake = Stake { step: step.to_owned(), state };
    // As the file gives it back.
    let kept = decode(&encode(&[("shop".to_owned(), stake)].into())).unwrap();
    let stake = kept.get("shop").cloned();
    Before { stake, step: "one".to_owned(), ground }
}

/// Any number that a test may meet, and some that it must not.
fn number() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![
        any::<f64>(),
        0.0..1.0_f64,
        Just(0.0),
        Just(f64::MIN_POSITIVE),
        Just(5e-324),
        Just(f64::INFINITY),
        Just(f64::NAN),
    ]
}

fn cause() -> impl Strategy<Value = Cause> + Clone {
    let names = ["error_rate", "error_rate_max", "p50", "p99.95_max", "client_errors", "mismatches_max"];
    proptest::sample::select(names.to_vec()).prop_map(|name| name.parse().unwrap())
}

fn state() -> impl Strategy<Value = GuardState> {
    let test = (cause(), number(), [number(), number(), number()], (number(), number())).prop_map(
        |(cause, line, [a, b, c], old)| TestState { cause, line, capital: [a, b, c, a, b, c, 0.0], old },
    );
    let counts = || (number(), number());
    let proof = (cause(), number(), [number(), number()], any::<bool>(), counts(), counts()).prop_map(
        |(cause, line, [a, b], passed, old, new)| ProofState {
            cause,
            line,
            ln_e: [a, b, a, b, -1.5],
            passed,
            old,
            new,
        },
    );
    let tally = || (any::<u64>(), any::<u64>()).prop_map(|(requests, failures)| Tally { requests, failures });
    let breach = (cause(), any::<u64>(), 0..1_000_000_000_u32, number(), tally(), tally()).prop_map(
        |(cause, s, ns, ln_w, new, old)| Breach { cause, at: Duration::new(s, ns), ln_w, new, old },
    );
    let quantile = (1..1_000_000_u32).prop_map(|millionths| Quantile::from_millionths(millionths).unwrap());
    (
        [number(), number(), number(), number(), number()],
        [tally(), tally()],
        (vec(test.clone(), 0..4), vec(test, 0..4), vec(proof, 0..4)),
        (vec((any::<u16>(), number()), 0..5), vec((quantile, any::<u16>()), 0..4)),
        (proptest::option::of((cause(), number())), proptest::option::of(breach), any::<u64>()),
    )
        .prop_map(
            |([now_s, step_elapsed_s, rollback_paid, pause_paid, learn_at_s], step, tests, old, end)| {
                let (rollback, pause, gate) = tests;
                let ((old_latency, old_quantiles), (hold, breach, zero_tolerance)) = (old, end);
                GuardState {
                    now_s,
                    step_elapsed_s,
                    step,
                    rollback,
                    rollback_paid,
                    pause,
                    pause_paid,
                    gate,
                    old_latency,
                    learn_at_s,
                    old_quantiles,
                    zero_tolerance,
                    hold,
                    breach,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_was_kept_is_found_again_to_the_last_bit(states in vec((".*", ".*", state()), 0..4)) {
        let stakes: Stakes =
            states.into_iter().map(|(name, step, state)| (name, Stake { step, state })).collect();
        let text = encode(&stakes);
        let again = decode(&text).unwrap();
        // Numbers that JSON has not are the nearest that it has, and then stay.
        prop_assert_eq!(encode(&again), text);
        prop_assert_eq!(decode(&encode(&again)).unwrap(), again.clone());
        for (name, stake) in &stakes {
            let found = &again[name];
            prop_assert_eq!(&found.step, &stake.step);
            for (was, now) in stake.state.rollback.iter().zip(&found.state.rollback) {
                prop_assert_eq!(was.cause, now.cause);
                for (was, now) in was.capital.iter().zip(&now.capital) {
                    prop_assert!(!was.is_finite() || was.to_bits() == now.to_bits(), "{} {}", was, now);
                }
            }
            let is_finite = !format!("{:?}", stake.state).contains("inf") && !format!("{:?}", stake.state).contains("NaN");
            prop_assert!(!is_finite || found == stake);
        }
    }

    #[test]
    fn a_guard_that_was_restarted_goes_on_like_one_that_was_not(
        first in vec(tick(), 2..80), then in vec(tick(), 1..80), learned in any::<bool>(),
    ) {
        let mut guard = Guard::new(Limits::default());
        if learned {
            // Longer than latency takes to warm up and to be learned.
            let good = Tick { old: 30, old_bad: 0, new: 3, new_bad: 0, slow: 11 };
            run(&mut guard, &vec![good; 1400]);
        }
        // Between two slots.
        run(&mut guard, &first[..first.len() / 2 * 2]);
        let (mut restarted, why) = begin(Limits::default(), Some(&before(&guard, "one")));
        prop_assert_eq!(why, None);
        prop_assert_eq!(restarted.state(), guard.state());
        // A hold begins and ends slots of its own.
        let is_between_slots = guard.state().hold.is_none();
        for tick in then {
            let expected = guard.tick(TICK, &tick.counts());
            let found = restarted.tick(TICK, &tick.counts());
            prop_assert_eq!(found.ln_w.to_bits(), expected.ln_w.to_bits());
            prop_assert!(!is_between_slots || found.ln_pause.to_bits() == expected.ln_pause.to_bits());
            prop_assert_eq!(found.verdict, expected.verdict);
            prop_assert_eq!(restarted.paid_in().to_bits(), guard.paid_in().to_bits());
        }
    }

    /// Whenever the process ends, and whatever is found afterwards.
    #[test]
    fn no_restart_pays_in_a_stake(
        lives in vec((vec(tick(), 1..12), 0..4_u8), 1..12),
    ) {
        let (mut guard, mut lasting) = (Guard::new(Limits::default()), Guard::new(Limits::default()));
        for (ticks, end) in lives {
            run(&mut guard, &ticks);
            run(&mut lasting, &ticks);
            let (paid, had) = (guard.paid_in(), capital(&guard));
            let found = match end {
                0 => Before { stake: None, ..before(&guard, "one") },
                1 => before(&guard, "another"),
                2 => Before { ground: Ground::default(), ..before(&guard, "one") },
                _ => before(&guard, "one"),
            };
            guard = begin(Limits::default(), Some(&found)).0;
            prop_assert!(guard.paid_in() <= paid);
            prop_assert!(capital(&guard) <= had, "{} {}", capital(&guard), had);
            prop_assert!(end == 0 || guard.paid_in().to_bits() == paid.to_bits());
        }
        prop_assert!(guard.paid_in() <= lasting.paid_in());
    }
}

fn guard_that_failed() -> Guard {
    let mut guard = Guard::new(Limits::default());
    let down = Tick { old: 20, old_bad: 0, new: 1, new_bad: 6, slow: 3 };
    run(&mut guard, &[down; 40]);
    assert!(guard.breach().is_some());
    guard
}

#[test]
fn a_guard_begins_with_what_may_be_gone_on_from() {
    let limits = Limits::default;
    let fresh = begin(limits(), None).0.state();
    assert_eq!(fresh, Guard::new(limits()).state(), "what nobody knew gets a stake");
    let empty = Guard::restore(limits(), &GuardState::default()).state();
    let (lost, why) = begin(limits(), Some(&Before::default()));
    assert_eq!((lost.state(), why), (empty, Some("nothing was kept of its guard")));

    let failed = guard_that_failed();
    let latched = before(&failed, "one");
    let (kept, why) = begin(limits(), Some(&latched));
    assert_eq!((kept.breach(), why), (failed.breach(), None), "it is known why it went back");
    let (lost, why) = begin(limits(), Some(&Before { ground: Ground::default(), ..latched }));
    assert!(lost.breach().is_none() && lost.judgement().ln_w < -300.0);
    assert!(why.unwrap().contains("no rollback is in the journal"), "{why:?}");

    let mut good = Guard::new(limits());
    run(&mut good, &[Tick { old: 40, old_bad: 0, new: 40, new_bad: 0, slow: 1 }; 1400]);
    assert!(good.state().gate.iter().any(|proof| proof.passed));
    let (shut, why) = begin(limits(), Some(&before(&good, "another")));
    assert!(
        shut.state().gate.iter().all(|proof| !proof.passed),
        "what was shown in another step opens nothing"
    );
    assert_eq!(why, Some("what was kept of its guard is of another step"));
}

#[test]
fn each_raise_and_each_resume_is_another_step() {
    let at = |s: u64| Some(UNIX_EPOCH + Duration::from_micros(s));
    let five = "5".parse().unwrap();
    let names = [
        step_name(five, 1, 0, at(1)),
        step_name("5.000001".parse().unwrap(), 1, 0, at(1)),
        step_name(five, 2, 0, at(1)),
        step_name(five, 1, 1, at(1)),
        step_name(five, 1, 0, at(2)),
        step_name(five, 1, 0, None),
    ];
    let different: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(different.len(), names.len());
    assert_eq!(names[0], "5 % of attempt 1 after 0 rollbacks, asked for at 0.000001");
}

fn stakes(step: &str) -> Stakes {
    let state = guard_that_failed().state();
    [("shop".to_owned(), Stake { step: step.to_owned(), state })].into()
}

#[test]
fn a_file_that_is_not_whole_is_refused_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(load(dir.path()), Ok(Stakes::new()), "there is none yet");
    let stakes = stakes("one");
    let text = encode(&stakes);
    let path = dir.path().join(FILE);
    for length in (0..text.len()).step_by(13) {
        fs::write(&path, &text[..length]).unwrap();
        let said = load(dir.path()).unwrap_err();
        assert!(said.contains("guard.json cannot be used: it is not as it was written"), "{said}");
    }
    for (from, to, said) in [
        ("\"version\":1", "\"version\":2", "it is of version 2, and this program reads version 1"),
        ("\"cause\":\"error_rate\"", "\"cause\":\"speed\"", "shop: `speed` is no signal"),
        ("[\"p50\",", "[\"retries\",", "shop: `retries` is no quantile"),
        ("\"rollback_paid\":", "\"rollback_paid\":null,\"x\":", "it is not as it was written: invalid type"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        fs::write(&path, changed).unwrap();
        let sentence = load(dir.path()).unwrap_err();
        assert!(sentence.contains(said), "{sentence}");
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(load(dir.path()).is_err());
    // What a later version adds is passed over.
    fs::write(&path, text.replacen("{\"step\":", "{\"more\":[1],\"step\":", 1)).unwrap();
    assert_eq!(load(dir.path()), Ok(stakes));
}

#[test]
fn what_was_handed_in_last_is_in_the_file_when_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    // Left by a process that ended while it wrote.
    fs::write(dir.path().join(NEXT), "{\"version\":").unwrap();
    assert_eq!(load(dir.path()), Ok(Stakes::new()));
    let keeper = Keeper::start(dir.path().to_owned()).unwrap();
    for step in ["one", "two", "three"] {
        keeper.save(stakes(step));
    }
    let shared = Arc::clone(&keeper.shared);
    assert!(keeper.finish(Duration::from_secs(10)));
    assert_eq!(load(dir.path()), Ok(stakes("three")));
    assert!(!dir.path().join(NEXT).exists());
    let Kept { written, failed, overtaken, error } = shared.desk().told.clone();
    assert_eq!((written + overtaken, failed, error), (3, 0, None));
}

#[test]
fn whoever_hands_in_waits_for_no_disk_and_the_newest_wins() {
    let (begun, has_begun) = sync_channel(8);
    let (go_on, may_go_on) = sync_channel::<()>(8);
    let keeper = Keeper::start_with(move |stakes| {
        begun.send(stakes["shop"].step.clone()).unwrap();
        may_go_on.recv().map_err(io::Error::other)
    });
    let keeper = keeper.unwrap();
    keeper.save(stakes("one"));
    assert_eq!(has_begun.recv().unwrap(), "one");
    for step in ["two", "three", "four"] {
        keeper.save(stakes(step));
    }
    assert_eq!(keeper.told(), Kept { overtaken: 2, ..Kept::default() });
    go_on.send(()).unwrap();
    assert_eq!(has_begun.recv().unwrap(), "four");
    assert!(!keeper.finish(Duration::from_millis(5)), "a disk that hangs holds up nobody for longer");
    drop(go_on);
    assert!(has_begun.recv().is_err(), "and the thread ends when it is let go");
}

#[test]
fn what_cannot_be_written_is_told_and_the_file_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &stakes("one")).unwrap();
    // No file can be made where a directory is.
    fs::create_dir(dir.path().join(NEXT)).unwrap();
    let keeper = Keeper::start(dir.path().to_owned()).unwrap();
    let shared = Arc::clone(&keeper.shared);
    keeper.save(stakes("two"));
    assert!(!keeper.finish(Duration::from_secs(10)));
    let told = shared.desk().told.clone();
    assert!(told.failed == 1 && told.written == 0 && told.error.is_some(), "{told:?}");
    assert_eq!(load(dir.path()), Ok(stakes("one")));
    fs::remove_dir(dir.path().join(NEXT)).unwrap();
    let mut told = told;
    tell(&mut told, write(dir.path(), &stakes("three")).err());
    assert_eq!((told.failed, told.written, told.error), (1, 1, None));
    assert_eq!(load(dir.path()), Ok(stakes("three")));
}

#[test]
fn a_signal_of_each_kind_has_a_name_in_the_file() {
    let mut state = guard_that_failed().state();
    let tail = Quantile::from_millionths(999_500).unwrap();
    let signals = [
        Signal::Latency(tail),
        Signal::Retries,
        Signal::Mismatches,
        Signal::ZeroTolerance,
        Signal::ClientErrors,
    ];
    for signal in signals {
        state.hold = Some((Cause { signal, line: rollback_guard::Line::Max }, 3.25));
        let stakes: Stakes =
            [("é\n\"".to_owned(), Stake { step: String::new(), state: state.clone() })].into();
        assert_eq!(decode(&encode(&stakes)), Ok(stakes));
    }
}
