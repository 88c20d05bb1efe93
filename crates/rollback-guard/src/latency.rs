//! Durations as buckets: sixteen for each doubling, so that "so many times slower" is "so many buckets further".
//!
//! The bucket of a duration is `floor(16 * log2(milliseconds))`, counted from 2^-10 ms on. A factor between two
//! distributions becomes a shift between their buckets, whatever the durations themselves are, and a comparison of
//! quantiles needs nothing but sums over buckets.

use std::time::Duration;

/// How many latency buckets there are: 28 doublings, from just under 1 us to 262 s.
pub const BUCKETS: usize = 28 * PER_OCTAVE;

/// Buckets for each doubling.
const PER_OCTAVE: usize = 16;

/// Doublings below one millisecond.
const OCTAVES_BELOW_MS: usize = 10;

/// `2^(i/16)`, each the nearest double.
const STEPS: [f64; PER_OCTAVE] = [
    1.0,
    1.044_273_782_427_413_8,
    1.090_507_732_665_257_7,
    1.138_788_634_756_691_6,
    1.189_207_115_002_721,
    1.241_857_812_073_484,
    1.296_839_554_651_009_6,
    1.354_255_546_936_892_7,
    std::f64::consts::SQRT_2,
    1.476_826_145_939_499_3,
    1.542_210_825_407_940_7,
    1.610_490_331_949_254_3,
    1.681_792_830_507_429,
    1.756_252_160_373_299_5,
    1.834_008_086_409_342_4,
    1.915_206_561_397_147_2,
];

/// Lower edge of each bucket in nanoseconds, rounded up: a duration is in bucket `b` or above exactly when it is at
/// least `EDGES_NS[b]`. The last entry is the upper edge of the last bucket.
const EDGES_NS: [u64; BUCKETS + 1] = edges();

/// Cells into which one doubling of nanoseconds is cut for the first guess. Narrower than a bucket, so that at most
/// one edge lies in each.
const CELLS: usize = 32;
const CELL_BITS: u32 = CELLS.ilog2();

/// The bucket of the start of each cell, for nanoseconds from `2^REFERENCE_OCTAVE` on.
const GUESSES: [usize; CELLS] = guesses();
const REFERENCE_OCTAVE: u32 = 20;

/// Which bucket a duration falls into: 0 for less than a microsecond, the last one for all that is longer than it
/// reaches.
#[inline]
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "the number of a cell, below 32")]
pub fn latency_bucket(elapsed: Duration) -> usize {
    let ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX).clamp(EDGES_NS[0], EDGES_NS[BUCKETS] - 1);
    let octave = ns.ilog2();
    let cell = (ns >> (octave - CELL_BITS)) as usize & (CELLS - 1);
    let from_reference = GUESSES[cell] + PER_OCTAVE * octave as usize;
    let guess = from_reference.saturating_sub(PER_OCTAVE * REFERENCE_OCTAVE as usize);
    // An edge inside the cell is the next bucket's. Below the first bucket's edge the guess is already 0.
    let next = (guess + 1).min(BUCKETS);
    guess + usize::from(ns >= EDGES_NS[next])
}

/// The shortest duration that falls into `bucket` or above it; of the end of the last bucket for larger numbers.
#[must_use]
pub fn bucket_start(bucket: usize) -> Duration {
    Duration::from_nanos(EDGES_NS[bucket.min(BUCKETS)])
}

/// The first bucket whose durations are all `limit` or longer; [`BUCKETS`] where there is none.
pub(crate) fn first_bucket_from(limit: Duration) -> usize {
    let ns = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    EDGES_NS.partition_point(|edge| *edge < ns).min(BUCKETS)
}

/// From which bucket on new is too slow, where old's quantile lies at the start of `edge`: `shift` buckets further, and by at
/// least `floor`. Both grow with `edge`, so the comparison of rates that [`crate::old_latency`] tells of holds: it
/// tolerates that new takes longer by the factor or by `floor`, whichever is more.
pub(crate) fn too_slow_from(edge: usize, shift: usize, floor: Duration) -> usize {
    (edge + shift).max(first_bucket_from(bucket_start(edge) + floor))
}

/// How many buckets further a quantile may lie without being blamed, when a factor of `caught` has to be caught.
///
/// What must be caught lies clearly beyond what is tolerated, since right on the line the evidence never grows:
/// `floor(16 * log2(caught)) - 7`, at least 2. So `2x` tolerates 9 buckets, a factor of 1.477. `caught` is meant to be
/// above 1; anything else gives the least, 2.
#[must_use]
pub fn tolerated_shift(caught: f64) -> usize {
    let buckets = (PER_OCTAVE as f64 * caught.log2()).floor() - 7.0;
    (2..BUCKETS).rev().find(|shift| *shift as f64 <= buckets).unwrap_or(2)
}

/// The factor between the starts of two buckets that lie `shift` apart.
#[must_use]
pub fn shift_factor(shift: usize) -> f64 {
    (shift as f64 / PER_OCTAVE as f64).exp2()
}

#[allow(clippy::cast_possible_truncation, reason = "the last edge is 2.7e11")]
const fn edges() -> [u64; BUCKETS + 1] {
    let mut edges = [0; BUCKETS + 1];
    let mut bucket = 0;
    while bucket <= BUCKETS {
        // 2^(i/16) as a fixed-point number with 52 fractional bits, times the nanoseconds of the octave's start.
        let step = (1 << 52 | STEPS[bucket % PER_OCTAVE].to_bits() & ((1 << 52) - 1)) as u128;
        let octave = bucket / PER_OCTAVE;
        let scaled = (step * 1_000_000) << octave;
        let bits = 52 + OCTAVES_BELOW_MS;
        edges[bucket] = ((scaled + (1 << bits) - 1) >> bits) as u64;
        bucket += 1;
    }
    edges
}

const fn guesses() -> [usize; CELLS] {
    let mut guesses = [0; CELLS];
    let mut cell = 0;
    while cell < CELLS {
        let start = (1 << (REFERENCE_OCTAVE - CELL_BITS)) * (CELLS + cell) as u64;
        let mut bucket = 0;
        while bucket + 1 < BUCKETS && EDGES_NS[bucket + 1] <= start {
            bucket += 1;
        }
        guesses[cell] = bucket;
        cell += 1;
    }
    guesses
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small positive numbers")]
mod tests {
    use super::*;

    fn by_logarithm(ns: u64) -> i64 {
        let ms = ns as f64 / 1e6;
        ((ms.log2() * 16.0).floor() as i64 + 160).clamp(0, BUCKETS as i64 - 1)
    }

    #[test]
    fn agrees_with_the_logarithm() {
        let mut ns = 500.0_f64;
        while ns < 400e9 {
            let at = ns as u64;
            assert_eq!(latency_bucket(Duration::from_nanos(at)) as i64, by_logarithm(at), "{at} ns");
            ns *= 1.000_7;
        }
    }

    #[test]
    fn edges_belong_to_the_bucket_above() {
        for (bucket, edge) in EDGES_NS.iter().enumerate().take(BUCKETS) {
            assert_eq!(latency_bucket(Duration::from_nanos(*edge)), bucket);
            assert_eq!(latency_bucket(Duration::from_nanos(edge - 1)), bucket.saturating_sub(1));
        }
        assert_eq!(latency_bucket(Duration::from_millis(1)), 160);
        assert_eq!(latency_bucket(Duration::ZERO), 0);
        assert_eq!(latency_bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_limit_is_rounded_up_to_a_bucket() {
        assert_eq!(bucket_start(first_bucket_from(Duration::from_millis(512))), Duration::from_millis(512));
        assert!(bucket_start(first_bucket_from(Duration::from_millis(800))) >= Duration::from_millis(800));
        assert_eq!(first_bucket_from(Duration::from_secs(3600)), BUCKETS);
    }

    const FLOOR: Duration = Duration::from_millis(1);

    #[test]
    fn nobody_is_blamed_for_less_than_a_millisecond() {
        let from = |ms: f64| {
            let edge = first_bucket_from(Duration::from_secs_f64(ms / 1e3));
            bucket_start(too_slow_from(edge, 9, FLOOR)).as_secs_f64() * 1e3
        };
        assert!((1.1..1.2).contains(&from(0.1)), "{}", from(0.1));
        assert!((2.0..2.1).contains(&from(1.0)), "{}", from(1.0));
        assert!((14.7..15.5).contains(&from(10.0)), "{}: the factor alone", from(10.0));
        for edge in 0..=BUCKETS {
            assert!(
                too_slow_from(edge, 9, FLOOR) >= edge + 9
                    && too_slow_from(edge + 1, 9, FLOOR) >= too_slow_from(edge, 9, FLOOR)
            );
        }
    }

    #[test]
    fn ratios_become_shifts() {
        for (caught, shift) in [(2.0, 9), (4.0, 25), (1.5, 2), (1.0, 2), (0.5, 2), (3.0, 18), (f64::NAN, 2)] {
            assert_eq!(tolerated_shift(caught), shift, "{caught}");
        }
        assert!((shift_factor(9) - 1.477).abs() < 1e-3);
    }
}
