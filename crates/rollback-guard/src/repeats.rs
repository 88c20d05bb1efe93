//! One key that fails again and again is one user's trouble, not evidence about everybody's.
//!
//! The tests of the guard take failures to be independent. A client that retries in a loop is not: fifty failures of
//! one user would look like an outage. So the first failure of a key counts; another one of the same key counts only
//! after 10 s, the next after 20 s, then 40 s and so on up to 640 s, each from the last that counted, and after
//! 20 minutes the key is forgotten. What does not count is left out of the requests too. Both arms are treated alike.
//!
//! Each worker keeps its own [`Repeats`] and asks nobody. A key that fails on several workers would count once on each;
//! so a worker also hands a [`Mark`] of every failure that counted to the controller, whose [`Merged`] applies the same
//! rule over all of them and takes back what was counted twice. With one worker, nothing ever is.

use std::time::Duration;

use traffic_split::Arm;

use crate::Counts;

const FIRST_WINDOW_US: u64 = 10_000_000;
const MOST_DOUBLINGS: u64 = 6;
const FORGOTTEN_AFTER_US: u64 = 1_200_000_000;

const WAYS: usize = 16;
const FIRST_SETS: usize = 4;
const MOST_SETS: usize = 2048;

/// What is counted once for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// A failure.
    Failure,
    /// An answer with a 4xx.
    ClientError,
}

/// A failure or client error that counted on one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What it was.
    pub trouble: Trouble,
    /// On which arm.
    pub arm: Arm,
    /// A hash of the request's key, the same on every worker.
    pub key: u64,
    /// When, since a start that all workers share.
    pub at: Duration,
}

/// One worker's memory of the keys that had trouble.
///
/// Takes no memory until something fails, then grows with the number of failing keys up to 32,768 of them (768 KiB);
/// beyond that the key whose trouble is longest ago is forgotten early. Successes never touch it.
#[derive(Clone, Debug, Default)]
pub struct Repeats {
    /// A power of two of sets, or none yet.
    sets: Vec<[Entry; WAYS]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// 0: free.
    fingerprint: u64,
    /// When it last counted.
    last_us: u64,
    /// Its window is [`FIRST_WINDOW_US`] doubled this often.
    doublings: u64,
}

impl Entry {
    fn is_forgotten(&self, now_us: u64) -> bool {
        self.fingerprint == 0 || now_us.saturating_sub(self.last_us) >= FORGOTTEN_AFTER_US
    }
}

impl Repeats {
    /// Remembers nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Repeats { sets: Vec::new() }
    }

    /// Whether this trouble counts, or is one of a key that had the same only just now.
    ///
    /// `at` is meant not to go back; where it does, the trouble is taken to come right after the last one.
    pub fn counts(&mut self, mark: Mark) -> bool {
        let fingerprint = fingerprint(mark);
        let now_us = u64::try_from(mark.at.as_micros()).unwrap_or(u64::MAX);
        if let Some(entry) = self.known(fingerprint) {
            let since_us = now_us.saturating_sub(entry.last_us);
            if since_us >= FORGOTTEN_AFTER_US {
                *entry = Entry { fingerprint, last_us: now_us, doublings: 0 };
                return true;
            }
            let over = since_us >= FIRST_WINDOW_US << entry.doublings;
            if over {
                let doublings = (entry.doublings + 1).min(MOST_DOUBLINGS);
                *entry = Entry { fingerprint, last_us: now_us, doublings };
            }
            return over;
        }
        self.insert(Entry { fingerprint, last_us: now_us, doublings: 0 }, now_us);
        true
    }

    fn known(&mut self, fingerprint: u64) -> Option<&mut Entry> {
        let at = self.set_of(fingerprint)?;
        self.sets[at].iter_mut().find(|entry| entry.fingerprint == fingerprint)
    }

    fn set_of(&self, fingerprint: u64) -> Option<usize> {
        let last = self.sets.len().checked_sub(1)?;
        Some(usize::try_from(fingerprint >> 32).unwrap_or(0) & last)
    }

    fn insert(&mut self, new: Entry, now_us: u64) {
        loop {
            if let Some(at) = self.set_of(new.fingerprint) {
                let set = &mut self.sets[at];
                if let Some(free) = set.iter_mut().find(|entry| entry.is_forgotten(now_us)) {
                    *free = new;
                    return;
                }
                if self.sets.len() >= MOST_SETS {
                    if let Some(oldest) = self.sets[at].iter_mut().min_by_key(|entry| entry.last_us) {
                        *oldest = new;
                    }
                    return;
                }
            }
            self.grow(now_us);
        }
    }

    fn grow(&mut self, now_us: u64) {
        let sets = (self.sets.len() * 2).max(FIRST_SETS);
        let before = std::mem::replace(&mut self.sets, vec![[Entry::default(); WAYS]; sets]);
        for entry in before.into_iter().flatten().filter(|entry| !entry.is_forgotten(now_us)) {
            // Each set is dealt out to two, so that there is room for every entry.
            if let Some(at) = self.set_of(entry.fingerprint)
                && let Some(free) = self.sets[at].iter_mut().find(|place| place.fingerprint == 0)
            {
                *free = entry;
            }
        }
    }
}

/// Never 0. Mixes what was in trouble into the key's hash, and mixes well, since a caller's hash may be a plain number.
fn fingerprint(mark: Mark) -> u64 {
    let kind = 2 * u64::from(mark.trouble == Trouble::ClientError) + u64::from(mark.arm == Arm::New);
    let mut x =
        mark.key.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(kind.wrapping_mul(0xd1b5_4a32_d192_ed03));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)).max(1)
}

/// What the workers' marks come to, taken together.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    repeats: Repeats,
    /// Counted by more than one worker and not yet taken back, by trouble and arm.
    twice: [[u64; 2]; 2],
}

impl Merged {
    /// Has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Merged::default()
    }

    /// Takes in a mark of any worker. Marks that come from several workers may be a little out of order.
    pub fn add(&mut self, mark: Mark) {
        if !self.repeats.counts(mark) {
            self.twice[usize::from(mark.trouble == Trouble::ClientError)][mark.arm.index()] += 1;
        }
    }

    /// Takes back from `block`, the counts since the last tick, what more than one worker counted. What is not in
    /// them yet waits for the next block.
    pub fn settle(&mut self, block: &mut Counts) {
        let [failures, client_errors] = &mut self.twice;
        for arm in Arm::ALL {
            let counts = block.arm_mut(arm);
            let back = failures[arm.index()].min(counts.failures).min(counts.requests);
            counts.failures -= back;
            counts.requests -= back;
            failures[arm.index()] -= back;
            let back = client_errors[arm.index()].min(counts.client_errors);
            counts.client_errors -= back;
            counts.client_errors_left_out += back;
            client_errors[arm.index()] -= back;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(key: u64, at_s: f64) -> Mark {
        Mark { trouble: Trouble::Failure, arm: Arm::New, key, at: Duration::from_secs_f64(at_s) }
    }

    #[test]
    fn windows_double_and_are_forgotten() {
        let mut repeats = Repeats::new();
        let counted: Vec<u32> = (0..3000).filter(|s| repeats.counts(failure(7, f64::from(*s)))).collect();
        assert_eq!(counted, [0, 10, 30, 70, 150, 310, 630, 1270, 1910, 2550]);
        assert!(!repeats.counts(failure(7, 3000.0)));
        assert!(repeats.counts(failure(7, 2550.0 + 1200.0)));
        assert!(repeats.counts(failure(7, 2550.0 + 1210.0)), "a forgotten key begins with the first window");
    }

    #[test]
    fn five_hundred_failures_of_one_key_are_a_few() {
        let mut repeats = Repeats::new();
        let counted = (0..500).filter(|n| repeats.counts(failure(1, f64::from(*n) * 0.02))).count();
        assert_eq!(counted, 1);
        assert!(repeats.counts(failure(2, 10.0)), "another key is not held back");
        assert!(repeats.counts(Mark { arm: Arm::Old, ..failure(1, 10.0) }), "nor the other arm");
        assert!(repeats.counts(Mark { trouble: Trouble::ClientError, ..failure(1, 10.0) }));
    }

    #[test]
    fn memory_is_bounded_and_takes_nothing_until_something_fails() {
        let mut repeats = Repeats::new();
        assert_eq!(repeats.sets.capacity(), 0);
        for key in 0..200_000 {
            assert!(repeats.counts(failure(key, 1.0)));
        }
        assert_eq!(repeats.sets.len(), MOST_SETS);
    }

    #[test]
    fn ten_thousand_failing_keys_are_remembered() {
        let mut repeats = Repeats::new();
        for key in 0..10_000 {
            assert!(repeats.counts(failure(key, 1.0)));
        }
        assert_eq!((0..10_000).filter(|key| repeats.counts(failure(*key, 2.0))).count(), 0);
    }

    #[test]
    fn what_two_workers_counted_is_taken_back_once() {
        let (mut workers, mut merged) = ([Repeats::new(), Repeats::new()], Merged::new());
        let mut block = Counts::ZERO;
        for n in 0..40_u32 {
            let mark = failure(5, f64::from(n) * 0.1);
            if workers[n as usize % 2].counts(mark) {
                block.failure(Arm::New);
                merged.add(mark);
            }
        }
        assert_eq!(block.arm(Arm::New).failures, 2);
        merged.settle(&mut block);
        assert_eq!((block.arm(Arm::New).failures, block.arm(Arm::New).requests), (1, 1));
        merged.settle(&mut block);
        assert_eq!(block.arm(Arm::New).failures, 1);
    }

    #[test]
    fn one_workers_marks_are_never_taken_back() {
        let (mut worker, mut merged) = (Repeats::new(), Merged::new());
        for n in 0..20_000_u64 {
            let mark = failure(n * n % 37, n as f64 * 0.173);
            if worker.counts(mark) {
                merged.add(mark);
            }
        }
        assert_eq!(merged.twice, [[0; 2]; 2]);
    }
}
