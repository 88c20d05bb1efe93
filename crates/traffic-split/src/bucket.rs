//! The place of a key on the line from 0 to 1.
//!
//! The whole 64-bit hash is the place; there are no thousand or ten thousand numbered buckets whose number would
//! round a percentage. `BUCKETS.md` beside this crate writes the function down for other programs, with vectors.

use std::fmt;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::Percent;

/// A key's place in [0, 1), in units of 2^-64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u64);

/// Salt, separator and key up to this many bytes are hashed in one go from the stack.
const SHORT_BYTES: usize = 256;

impl Bucket {
    /// The bucket of `key` among those that share `salt`: `xxh3_64(salt ++ 0x00 ++ key)` with seed 0, over the raw
    /// bytes. Allocates nothing, whatever the lengths.
    #[must_use]
    pub fn of(salt: &[u8], key: &[u8]) -> Self {
        let mut joined = [0; SHORT_BYTES];
        let Some(joined) = joined.get_mut(..salt.len() + 1 + key.len()) else {
            let mut hasher = Xxh3::new();
            hasher.update(salt);
            hasher.update(&[0]);
            hasher.update(key);
            return Self(hasher.digest());
        };
        let (head, tail) = joined.split_at_mut(salt.len());
        head.copy_from_slice(salt);
        if let Some((_separator, tail)) = tail.split_first_mut() {
            tail.copy_from_slice(key);
        }
        Self(xxh3_64(joined))
    }

    /// The bucket that a hash stands for.
    #[must_use]
    pub const fn from_hash(hash: u64) -> Self {
        Self(hash)
    }

    /// The hash behind it.
    #[must_use]
    pub const fn hash(self) -> u64 {
        self.0
    }

    /// The place as a number in [0, 1), rounded down to 53 bits so that it never reads 1.0. For people: decisions
    /// are made by [`Bucket::is_new`].
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "the eleven bits that a float cannot hold are shifted out first"
    )]
    pub fn as_fraction(self) -> f64 {
        const STEPS: f64 = (1_u64 << 53) as f64;
        (self.0 >> 11) as f64 / STEPS
    }

    /// Whether `percent` reaches this bucket, exactly: `hash * 10^8 < millionths * 2^64` in 128-bit integers.
    /// False for all buckets at 0 %, true for all at 100 %, and once true it stays true for every higher percentage.
    #[must_use]
    pub const fn is_new(self, percent: Percent) -> bool {
        // At most 2^64 * 10^8 < 2^91 on either side.
        (self.0 as u128) * (Percent::FULL.millionths() as u128) < (percent.millionths() as u128) << 64
    }
}

impl fmt::Display for Bucket {
    /// Four decimals, cut and not rounded: `0.2817`, `0.9999`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0.{:04}", (u128::from(self.0) * 10_000) >> 64)
    }
}

#[cfg(test)]
mod tests {
    use super::{Bucket, SHORT_BYTES};
    use crate::Percent;

    #[test]
    fn shows_a_place_below_one() {
        for (hash, text, fraction) in [
            (0, "0.0000", 0.0),
            (1 << 62, "0.2500", 0.25),
            (0x481d_0000_0000_0000, "0.2816", 0.281_692_504_882_812_5),
            (u64::MAX, "0.9999", 1.0 - f64::EPSILON / 2.0),
        ] {
            let bucket = Bucket::from_hash(hash);
            assert_eq!(bucket.to_string(), text);
            assert_eq!(bucket.as_fraction(), fraction);
            assert!(bucket.as_fraction() < 1.0);
            assert_eq!(bucket.hash(), hash);
        }
    }

    #[test]
    fn nobody_at_zero_and_everybody_at_full() {
        for hash in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            assert!(!Bucket::from_hash(hash).is_new(Percent::ZERO));
            assert!(Bucket::from_hash(hash).is_new(Percent::FULL));
        }
    }

    #[test]
    fn length_decides_how_but_not_what() {
        for key_bytes in [0, 1, 240, 250, 251, 252, 253, 254, 255, 256, 300, 5_000] {
            for salt in [&b""[..], b"s", b"salt"] {
                let key = vec![b'k'; key_bytes];
                let joined: Vec<u8> = [salt, b"\0", &key].concat();
                let expected = xxhash_rust::xxh3::xxh3_64(&joined);
                assert_eq!(Bucket::of(salt, &key).hash(), expected, "{} of {SHORT_BYTES}", joined.len());
            }
        }
    }
}
