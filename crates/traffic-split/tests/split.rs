//! What the split promises, as properties: keys move one way, everywhere alike, and evenly.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::thread;

use proptest::prelude::*;
use traffic_split::{Arm, Bucket, Overrides, Percent, Reason, Split};

fn split(salt: &[u8], percent: Percent) -> Split {
    Split { salt: salt.into(), keys: Vec::new(), percent, overrides: Overrides::default() }
}

fn percents() -> impl Strategy<Value = Percent> {
    prop_oneof![
        4 => 0_u32..=100_000_000,
        1 => Just(0_u32),
        1 => Just(1_u32),
        1 => Just(99_999_999_u32),
        1 => Just(100_000_000_u32),
    ]
    .prop_map(|millionths| Percent::from_millionths(millionths).unwrap())
}

proptest! {
    #[test]
    fn raising_moves_only_to_new_and_lowering_only_back(
        salt in prop::collection::vec(any::<u8>(), 0..20),
        keys in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..50),
        one in percents(),
        other in percents(),
    ) {
        let (low, high) = (split(&salt, one.min(other)), split(&salt, one.max(other)));
        for key in &keys {
            let (before, after) = (low.assign_key(key), high.assign_key(key));
            prop_assert!(before.arm <= after.arm, "{key:?} went back from {one} to {other}");
            prop_assert_eq!(before.bucket, after.bucket);
            prop_assert_eq!(before.reason, Reason::Bucket);
        }
    }

    #[test]
    fn the_line_is_exact(percent in percents()) {
        // The first hash that is old, computed the other way round: ceil(millionths * 2^64 / 10^8).
        let line = (u128::from(percent.millionths()) << 64).div_ceil(100_000_000);
        if let Some(below) = line.checked_sub(1).and_then(|hash| u64::try_from(hash).ok()) {
            prop_assert!(Bucket::from_hash(below).is_new(percent), "{below:x} at {percent}");
        }
        if let Ok(at) = u64::try_from(line) {
            prop_assert!(!Bucket::from_hash(at).is_new(percent), "{at:x} at {percent}");
        }
    }

    #[test]
    fn the_fraction_agrees_with_the_decision_away_from_the_line(hash: u64, percent in percents()) {
        let bucket = Bucket::from_hash(hash);
        let line = percent.as_f64() / 100.0;
        prop_assert!((0.0..1.0).contains(&bucket.as_fraction()));
        if (bucket.as_fraction() - line).abs() > 1e-12 {
            prop_assert_eq!(bucket.is_new(percent), bucket.as_fraction() < line);
        }
    }

    #[test]
    fn zero_is_nobody_and_full_is_everybody(salt: Vec<u8>, key in prop::collection::vec(any::<u8>(), 1..300)) {
        prop_assert_eq!(split(&salt, Percent::ZERO).assign_key(&key).arm, Arm::Old);
        prop_assert_eq!(split(&salt, Percent::FULL).assign_key(&key).arm, Arm::New);
    }
}

#[test]
fn every_thread_gives_the_same_answer() {
    let split = split(b"shop", "37.5".parse().unwrap());
    let answers =
        || -> Vec<_> { emails().take(20_000).map(|key| split.assign_key(key.as_bytes())).collect() };
    let expected = answers();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(answers)).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), expected);
        }
    });
    // And after a restart: nothing but the arguments went into it, so another value built from them agrees.
    let again = split.clone();
    assert!(emails().take(20_000).map(|key| again.assign_key(key.as_bytes())).eq(expected));
}

#[test]
fn a_person_comes_to_new_at_one_percentage_and_stays() {
    let mut moved = 0;
    for key in uuids().take(2_000) {
        let bucket = Bucket::of(b"shop", key.as_bytes());
        let arms = (0..=1_000).map(|step| bucket.is_new(Percent::from_millionths(step * 100_000).unwrap()));
        let arms: Vec<bool> = arms.collect();
        assert!(arms.is_sorted(), "{key}");
        moved += usize::from(arms[100]);
    }
    // 10 % of 2,000, within six standard deviations.
    assert!((120..280).contains(&moved), "{moved}");
}

const IDS: usize = 1_000_000;
const CELLS: usize = 1_000;
/// The chi-square distribution with 999 degrees of freedom exceeds this once in a million.
const CRITICAL: f64 = 1_226.05;

#[test]
fn real_looking_ids_spread_evenly() {
    let sequential = chi_square((1..).map(|id: u64| cell(b"shop", id.to_string().as_bytes())));
    let uuids = chi_square(uuids().map(|id| cell(b"shop", id.as_bytes())));
    let emails = chi_square(emails().map(|id| cell(b"shop", id.as_bytes())));
    for (name, statistic) in [("sequential", sequential), ("uuids", uuids), ("e-mails", emails)] {
        assert!(statistic < CRITICAL, "{name}: {statistic:.1}");
        // Too even would be as suspicious.
        assert!(statistic > 786.0, "{name}: {statistic:.1}");
    }
}

#[test]
fn two_salts_split_independently() {
    // If the buckets of two migrations were related, some of the 25 by 40 combinations would be too frequent.
    let joint = |id: String| {
        let place = |salt, cells: usize| cell(salt, id.as_bytes()) * cells / CELLS;
        place(&b"shop"[..], 25) * 40 + place(&b"checkout"[..], 40)
    };
    let sequential = chi_square((1..).map(|id: u64| joint(id.to_string())));
    let emails = chi_square(emails().map(joint));
    for (name, statistic) in [("sequential", sequential), ("e-mails", emails)] {
        assert!(statistic < CRITICAL, "{name}: {statistic:.1}");
    }
}

/// Pearson's statistic of the first million cells against an even spread.
fn chi_square(cells: impl Iterator<Item = usize>) -> f64 {
    let mut counts = [0_u32; CELLS];
    cells.take(IDS).for_each(|cell| counts[cell] += 1);
    let expected = (IDS / CELLS) as f64;
    counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum()
}

/// Which of 1,000 equal parts of the line holds the key.
fn cell(salt: &[u8], key: &[u8]) -> usize {
    let hash = Bucket::of(salt, key).hash();
    usize::try_from((u128::from(hash) * CELLS as u128) >> 64).unwrap()
}

fn uuids() -> impl Iterator<Item = String> {
    let mut random = random();
    std::iter::from_fn(move || {
        let (high, low) = (random(), random());
        let (time, version, node) = (high >> 16 & 0xffff, high & 0xfff, low & 0xffff_ffff_ffff);
        Some(format!("{:08x}-{time:04x}-4{version:03x}-{:04x}-{node:012x}", high >> 32, low >> 50 | 0x8000))
    })
}

fn emails() -> impl Iterator<Item = String> {
    const FIRST: [&str; 8] = ["anna", "ben", "carla", "dmitri", "elif", "fatima", "george", "hiro"];
    const LAST: [&str; 8] = ["ng", "smith", "garcia", "mueller", "okafor", "rossi", "silva", "tanaka"];
    const AT: [&str; 4] = ["example.com", "mail.example.org", "example.net", "shop.example"];
    (0_usize..).map(|id| {
        let (first, last, at) = (FIRST[id % 8], LAST[id / 8 % 8], AT[id / 64 % 4]);
        format!("{first}.{last}{}@{at}", id / 256)
    })
}

/// SplitMix64: the same numbers in every run.
fn random() -> impl FnMut() -> u64 {
    let mut state: u64 = 0x5eed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
