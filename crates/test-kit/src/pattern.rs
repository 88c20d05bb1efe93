//! Byte streams of any length that are made and checked on the fly.
//!
//! The byte at an offset depends on that offset alone, and repeats only after a prime number of bytes, so that a
//! piece which is lost, repeated or moved shows, while neither end holds more than the piece at hand.

use std::sync::LazyLock;

/// Length of the period: a prime, so that no buffer size divides it.
const PERIOD: usize = 65_521;

static TABLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    (0..PERIOD)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[7]
        })
        .collect()
});

/// Writes the bytes from `offset` on over `out`.
pub fn fill(offset: u64, out: &mut [u8]) {
    let mut at = start(offset);
    let mut rest = out;
    while !rest.is_empty() {
        let run = rest.len().min(PERIOD - at);
        let (now, later) = rest.split_at_mut(run);
        now.copy_from_slice(&TABLE[at..at + run]);
        rest = later;
        at = 0;
    }
}

/// The first `len` bytes.
#[must_use]
pub fn bytes(len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    fill(0, &mut out);
    out
}

/// Checks a stream piece by piece.
#[derive(Debug, Default)]
pub struct Check {
    /// Bytes seen so far.
    pub seen: u64,
    /// Offset of the first byte that was not the right one.
    pub wrong_at: Option<u64>,
}

impl Check {
    /// Looks at the next piece.
    pub fn take(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !rest.is_empty() && self.wrong_at.is_none() {
            let at = start(self.seen);
            let (now, later) = rest.split_at(rest.len().min(PERIOD - at));
            let good = &TABLE[at..at + now.len()];
            if now != good {
                let same = now.iter().zip(good).take_while(|(got, want)| got == want).count();
                self.wrong_at = Some(self.seen + same as u64);
            }
            self.seen += now.len() as u64;
            rest = later;
        }
    }

    /// Whether exactly the first `len` bytes were seen.
    #[must_use]
    pub fn is_whole(&self, len: u64) -> bool {
        self.seen == len && self.wrong_at.is_none()
    }
}

fn start(offset: u64) -> usize {
    usize::try_from(offset % PERIOD as u64).expect("a remainder below the period fits")
}

#[cfg(test)]
mod tests {
    use super::{Check, PERIOD, bytes, fill};

    #[test]
    fn pieces_make_up_the_whole() {
        let whole = bytes(3 * PERIOD + 11);
        let mut pieced = vec![0; whole.len()];
        let (first, second) = pieced.split_at_mut(PERIOD + 7);
        fill(0, first);
        fill((PERIOD + 7) as u64, second);
        assert_eq!(whole, pieced);
    }

    #[test]
    fn a_lost_a_doubled_and_a_changed_byte_show() {
        let whole = bytes(200_000);
        let mut check = Check::default();
        whole.chunks(777).for_each(|piece| check.take(piece));
        assert!(check.is_whole(200_000));

        for (name, damaged) in [
            ("lost", [&whole[..5000], &whole[5001..]].concat()),
            ("doubled", [&whole[..5000], &whole[4999..]].concat()),
            ("changed", {
                let mut copy = whole.clone();
                copy[5000] ^= 1;
                copy
            }),
        ] {
            let mut check = Check::default();
            check.take(&damaged);
            assert!(check.wrong_at.is_some_and(|at| (4999..5100).contains(&at)), "{name}: {check:?}");
        }
    }
}
