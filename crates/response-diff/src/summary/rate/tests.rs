use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use route_plan::NotCopied;

use crate::summary::{Class, Why};

fn rate(judged: u64, mismatched: u64) -> MatchRate {
    MatchRate { judged, mismatched }
}

#[test]
fn rates_are_written_with_what_they_are_at_least() {
    let mut text = String::new();
    for (judged, mismatched) in [
        (0, 0),
        (1, 0),
        (1, 1),
        (100, 0),
        (100, 50),
        (5_700, 0),
        (10_000, 7),
        (100_000, 70),
        (1_000_000, 700),
        (1_000_000, 0),
        (1_000_000, 1),
        (u64::from(u32::MAX) * 1000, 1),
        (3, 1),
    ] {
        writeln!(text, "{judged:>13} {mismatched:>4}  {}", rate(judged, mismatched).display(0.99)).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_entry_condition_says_how_many_more_it_takes() {
    let mut text = String::new();
    for (judged, mismatched) in [
        (0, 0),
        (1_000, 0),
        (5_675, 0),
        (5_676, 0),
        (10_000, 1),
        (10_000, 5),
        (10_000, 9),
        (100, 1),
        (1_000_000, 900),
    ] {
        let state = Entry::default().state(rate(judged, mismatched));
        writeln!(text, "{judged:>8} {mismatched:>4}  {state:?}").unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn coverage_tells_what_was_never_compared_from_what_is_noise() {
    let endpoint = |name: &str| Endpoint::named(&format!("GET /{name}"));
    let known = [("a", 10), ("b", 500), ("c", 20), ("d", 30), ("e", 440)];
    let known: Vec<_> = known.into_iter().map(|(name, requests)| (endpoint(name), requests)).collect();
    let mut tally = Tally::default();
    tally.add(&endpoint("a"), Class::Matched, 9);
    tally.add(&endpoint("b"), Class::Matched, 99);
    tally.add(&endpoint("b"), Class::Mismatched, 1);
    tally.add(&endpoint("c"), Class::Noise, 17);
    tally.add(&endpoint("c"), Class::Race, 1);
    tally.add(&endpoint("d"), Class::NotCompared(Why::Copy(NotCopied::Slow)), 30);
    let coverage = Coverage::new(&known, &tally, 100);
    assert!((coverage.share_of_requests - 0.5).abs() < 1e-12);
    let missing: Vec<_> =
        coverage.missing().map(|found| (found.endpoint.as_str(), found.requests, found.state)).collect();
    assert_eq!(
        missing,
        [
            ("GET /e", 440, Covered::Not),
            ("GET /d", 30, Covered::Not),
            ("GET /c", 20, Covered::OnlyNoise { comparisons: 18 }),
            ("GET /a", 10, Covered::Few { judged: 9 }),
        ]
    );
    assert_eq!(Coverage::new(&[], &tally, 1).share_of_requests, 1.0);
    let none = Coverage::new(&known, &Tally::default(), 100).share_of_requests;
    assert_eq!(format!("{none:.0}"), "0", "and not -0");
}

/// The classical bound for one look: the largest q at which `mismatched` or fewer among `judged` still has a chance of a.
fn clopper_pearson(judged: u64, mismatched: u64, a: f64) -> f64 {
    let chance = |q: f64| {
        let mut term = judged as f64 * (-q).ln_1p();
        let mut sum = 0.0;
        for seen in 0..=mismatched {
            sum += term.exp();
            term += ((judged - seen) as f64 / (seen + 1) as f64).ln() + q.ln() - (-q).ln_1p();
        }
        sum
    };
    let (mut low, mut high) = (0.0, 1.0 - 1e-12);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if chance(middle) <= a { high = middle } else { low = middle }
    }
    high
}

#[test]
fn looking_at_all_times_costs_less_than_half_as_much_again() {
    for (judged, mismatched) in [(5_000, 0), (10_000, 3), (100_000, 70), (1_000_000, 700)] {
        let once = clopper_pearson(judged, mismatched, 0.01);
        let always = 1.0 - rate(judged, mismatched).at_least(0.99);
        let ratio = always / once;
        println!("{mismatched} of {judged}: {once:.6} for one look, {always:.6} for all: {ratio:.2}");
        assert!((1.0..1.45).contains(&ratio), "{mismatched} of {judged}: {once} {always}");
    }
}

/// A small generator of random numbers, so that figures are the same each time (Steele et al., SplitMix64).
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[test]
fn the_entry_is_rarely_met_by_luck_however_often_it_is_looked_at() {
    // The limit is 2 % here so that a run is short, and new is exactly at it: met at any time is wrong.
    let entry = Entry { limit: 0.02, confidence: 0.95 };
    let (mut wrong, mut wrong_once) = (0, 0);
    for run in 0..300_u64 {
        let mut random = Random(run);
        let (mut counts, mut met, mut met_by_clopper_pearson) = (MatchRate::default(), false, false);
        for _ in 0..1_000 {
            counts.judged += 1;
            counts.mismatched += u64::from(random.unit() < entry.limit);
            met |=
                ln_evidence(counts.judged as f64, counts.mismatched as f64, entry.limit) >= needed_ln(0.95);
            met_by_clopper_pearson |= counts.judged % 10 == 0
                && clopper_pearson(counts.judged, counts.mismatched, 0.05) < entry.limit;
        }
        wrong += u32::from(met);
        wrong_once += u32::from(met_by_clopper_pearson);
    }
    println!("met by luck: {wrong} of 300 runs, by looking at Clopper and Pearson's bound {wrong_once}");
    assert!(wrong <= 15, "{wrong} of 300 runs, where 5 % is promised");
    assert!(wrong_once > 30, "{wrong_once}: else the simpler bound would do");
}

proptest! {
    #[test]
    fn bounds_are_below_the_rate_and_grow_with_evidence(
        judged in 1_u64..5_000_000, one_in in 0_u32..22, confidence in 0.5_f64..0.9999,
    ) {
        let mismatched = judged >> one_in;
        let one = rate(judged, mismatched);
        let bound = one.at_least(confidence);
        prop_assert!((0.0..=one.rate().unwrap()).contains(&bound), "{bound}");
        prop_assert!(rate(judged + 1, mismatched).at_least(confidence) >= bound - 1e-9);
        prop_assert!(one.at_least(confidence - 0.1) >= bound - 1e-9);
        if mismatched > 0 {
            prop_assert!(rate(judged, mismatched - 1).at_least(confidence) >= bound - 1e-9);
        }
    }

    #[test]
    fn what_is_said_to_be_needed_is_enough_and_not_too_much(judged in 0_u64..20_000, mismatched in 0_u64..20) {
        let mismatched = mismatched.min(judged);
        let entry = Entry::default();
        match entry.state(rate(judged, mismatched)) {
            EntryState::Met => prop_assert!(rate(judged, mismatched).at_least(0.99) > 0.999 - 1e-9),
            EntryState::Needs { without_mismatch, .. } | EntryState::TooMany { without_mismatch } => {
                prop_assert_eq!(entry.state(rate(judged + without_mismatch, mismatched)), EntryState::Met);
                prop_assert_ne!(entry.state(rate(judged + without_mismatch - 1, mismatched)), EntryState::Met);
            }
        }
    }
}
