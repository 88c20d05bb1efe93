use proptest::prelude::*;

use super::*;

#[test]
fn rates_are_written_with_what_they_are_at_least() {
    for (compared, differed, expected) in [
        (0, 0, "no comparisons yet"),
        (1, 0, "100 %, at least 0.00 %"),
        (1, 1, "0.00 %, at least 0.00 %"),
        (100, 0, "100 %, at least 94.59 %"),
        (100, 50, "50.00 %, at least 32.78 %"),
        (5_536, 0, "100 %, at least 99.89 %"),
        (5_537, 0, "100 %, at least 99.90 %"),
        (10_000, 7, "99.93 %, at least 99.79 %"),
        (100_000, 70, "99.93 %, at least 99.89 %"),
        (1_000_000, 700, "99.93 %, at least 99.91 %"),
        (1_000_000, 0, "100 %, at least 99.9994 %"),
        (1_000_000, 1, "99.9999 %, at least 99.9991 %"),
        (4_294_967_295_000, 1, "99.999999 %, at least 99.999999 %"),
        (3, 1, "66.66 %, at least 1.56 %"),
        (4_162, 3_733, "10.30 %, at least 8.22 %"),
    ] {
        println!("{differed} of {compared}: {}", MatchRate::of(compared, differed));
        assert_eq!(MatchRate::of(compared, differed).to_string(), expected, "{differed} of {compared}");
    }
}

#[test]
fn shares_are_rounded_down() {
    for (share, expected) in [
        (0.0, "0.00"),
        (0.999_37, "99.93"),
        (0.999, "99.90"),
        (0.999 - SHORT_OF, "99.89"),
        (0.29, "29.00"),
        (0.999_999, "99.9999"),
        (0.999_95, "99.995"),
        (1.0, "100.000000"),
    ] {
        assert_eq!(floored(share), expected, "{share}");
    }
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
    for (compared, differed) in [(5_000, 0), (10_000, 3), (100_000, 70), (1_000_000, 700)] {
        let once = clopper_pearson(compared, differed, 0.01);
        let always = 1.0 - MatchRate::of(compared, differed).at_least();
        let ratio = always / once;
        println!("{differed} of {compared}: {once:.6} for one look, {always:.6} for all: {ratio:.2}");
        assert!((1.0..1.5).contains(&ratio), "{differed} of {compared}: {once} {always}");
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
fn a_rate_is_rarely_called_good_by_luck_however_often_it_is_looked_at() {
    // New differs in 2 % here so that a run is short: a bound above 98 % at any time is wrong.
    let (mut wrong, mut wrong_once) = (0, 0);
    for run in 0..1_000_u64 {
        let mut random = Random(run);
        let (mut differed, mut by_all, mut by_one) = (0, false, false);
        for compared in 1..=1_000_u64 {
            differed += u64::from(random.unit() < 0.02);
            if compared % 10 == 0 {
                by_all |= MatchRate::of(compared, differed).at_least() > 0.98;
                by_one |= clopper_pearson(compared, differed, 0.01) < 0.02;
            }
        }
        wrong += u32::from(by_all);
        wrong_once += u32::from(by_one);
    }
    println!(
        "called good by luck: {wrong} of 1,000 runs, by looking at Clopper and Pearson's bound {wrong_once}"
    );
    assert!(wrong <= 10, "{wrong} of 1,000 runs, where 1 in 100 is promised");
    assert!(wrong_once > 20, "{wrong_once}: else the simpler bound would do");
}

proptest! {
    #[test]
    fn bounds_are_below_the_rate_and_grow_with_evidence(compared in 1_u64..5_000_000, one_in in 0_u32..22) {
        let differed = compared >> one_in;
        let one = MatchRate::of(compared, differed);
        prop_assert!((0.0..=one.rate().unwrap()).contains(&one.at_least()), "{one:?}");
        prop_assert!(MatchRate::of(compared + 1, differed).at_least() >= one.at_least() - 1e-9);
        if differed > 0 {
            prop_assert!(MatchRate::of(compared, differed - 1).at_least() >= one.at_least() - 1e-9);
        }
    }
}
