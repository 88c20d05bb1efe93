//! The guard says what the reference implementation says, slot by slot. `traces/generate.py` tells how the traces and
//! the expected values were made.

#![allow(clippy::unwrap_used, reason = "a failed expectation ends the test that had it")]

use rollback_guard::Limits;
use rollback_guard::replay::{HEADER, Replay, Row, TICK};

const CLOSE: f64 = 1e-6;

macro_rules! traces {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("traces/", $name, ".csv")), include_str!(concat!("traces/", $name, ".lnw")))),*]
    };
}

/// The evidence at the end of each slot, and the end as the reference words it.
fn replayed(trace: &str) -> (Vec<f64>, String) {
    let mut replay = Replay::new(Limits::default(), TICK);
    let mut slots = Vec::new();
    for line in trace.lines().filter(|line| *line != HEADER) {
        let row = Row::parse(line).unwrap();
        replay.row(&row, |_, judgement, _| slots.extend(judgement.slot_ended.then_some(judgement.ln_w)));
        if let Some((t_s, breach)) = replay.breach() {
            let (new, cause) = (breach.new, breach.cause);
            return (slots, format!("breached {:.2} {} {} {cause}", t_s, new.requests, new.failures));
        }
    }
    (slots, "none".to_owned())
}

/// The reference prints as many decimals as it needs; times are multiples of a tick.
fn normal(end: &str) -> String {
    let mut words: Vec<String> = end.split(' ').map(str::to_owned).collect();
    if let Some(t_s) = words.get_mut(1) {
        *t_s = format!("{:.2}", t_s.parse::<f64>().unwrap());
    }
    words.join(" ")
}

#[test]
fn evidence_agrees_with_the_reference_in_every_slot() {
    let traces = traces![
        "healthy_moving",
        "hard_down_canary",
        "hard_down_half",
        "hard_down_slow_site",
        "hangs",
        "five_percent",
        "shared_outage",
        "shared_slow",
        "burst",
        "one_user_fails",
        "slower_x3",
    ];
    for (name, trace, wanted) in traces {
        let (slots, end) = replayed(trace);
        let mut wanted: Vec<&str> = wanted.lines().collect();
        assert_eq!(end, normal(wanted.pop().unwrap()), "{name}");
        assert_eq!(slots.len(), wanted.len(), "{name}");
        for (slot, (ln_w, wanted)) in slots.iter().zip(&wanted).enumerate() {
            let wanted: f64 = wanted.parse().unwrap();
            assert!(
                (ln_w - wanted).abs() < CLOSE,
                "{name}, slot {slot}: {ln_w}, the reference says {wanted}"
            );
        }
    }
}
