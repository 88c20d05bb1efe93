//! Who may hand in pairs, and how many: what workers and lanes look at before and while they do.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use route_plan::NotCopied;

/// Pairs that may wait.
pub(crate) const PAIRS: usize = 1_024;
/// What they may hold, in bytes.
pub(crate) const PAIR_BYTES: usize = 32 << 20;
/// When a queue that was full takes pairs again, as a share of it.
const LOW: usize = PAIRS / 2;

/// The limits of the queue, and the share of requests that is let in.
#[derive(Debug)]
pub(crate) struct Gate {
    front: Front,
    pairs: AtomicUsize,
    bytes: AtomicUsize,
    taken: AtomicU64,
}

/// What every worker reads before it copies a request, and who compares hardly ever writes: on a line of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Front {
    /// The share of requests that is let in, as 32 bits behind the point.
    share: AtomicU32,
    /// Which end of the queue was reached: one of the constants below.
    full: AtomicU8,
    /// All that is offered takes more processor time than there is.
    short_of_cpu: AtomicBool,
}

/// The queue has room,
const ROOM: u8 = 0;
/// it had no place for one more pair,
const NO_PLACE: u8 = 1;
/// or no memory for what that holds; half of both has to be free again.
const NO_MEMORY: u8 = 2;

impl Gate {
    pub(crate) fn new() -> Self {
        Gate {
            front: Front {
                share: AtomicU32::new(u32::MAX),
                full: AtomicU8::new(ROOM),
                short_of_cpu: AtomicBool::new(false),
            },
            pairs: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            taken: AtomicU64::new(0),
        }
    }

    /// Whether one more request should be copied, or what there is too little of; `draw` are random bits.
    pub(crate) fn lets_in(&self, draw: u32) -> Result<(), NotCopied> {
        let full = self.front.full.load(Ordering::Relaxed);
        if full == ROOM && draw <= self.front.share.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(self.why(full))
        }
    }

    /// A queue fills up as well where there is too little processor time to empty it, and then that is what is missing.
    fn why(&self, full: u8) -> NotCopied {
        match full {
            _ if self.front.short_of_cpu.load(Ordering::Relaxed) => NotCopied::Budget,
            NO_MEMORY => NotCopied::Memory,
            _ => NotCopied::QueueFull,
        }
    }

    /// Takes a place for a pair of so many bytes.
    pub(crate) fn enter(&self, bytes: usize) -> Result<(), NotCopied> {
        let pairs = self.pairs.fetch_add(1, Ordering::Relaxed) + 1;
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let full = match (pairs > PAIRS, held > PAIR_BYTES) {
            (true, _) => NO_PLACE,
            (_, true) => NO_MEMORY,
            (false, false) => ROOM,
        };
        if full != ROOM {
            self.front.full.store(full, Ordering::Relaxed);
            self.leave(bytes);
            return Err(self.why(full));
        }
        self.taken.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// A pair has left the queue.
    pub(crate) fn leave(&self, bytes: usize) {
        let pairs = self.pairs.fetch_sub(1, Ordering::Relaxed) - 1;
        let held = self.bytes.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        if pairs <= LOW && held <= PAIR_BYTES / 2 && self.front.full.load(Ordering::Relaxed) != ROOM {
            self.front.full.store(ROOM, Ordering::Relaxed);
        }
    }

    /// Pairs that were taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Pairs that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.pairs.load(Ordering::Relaxed)
    }

    /// From now on this share of requests is let in, 0 to 1; where that is less than all, or the queue fills up, it is for
    /// want of processor time or not.
    pub(crate) fn set_share(&self, share: f64, is_short_of_cpu: bool) {
        if self.front.short_of_cpu.load(Ordering::Relaxed) != is_short_of_cpu {
            self.front.short_of_cpu.store(is_short_of_cpu, Ordering::Relaxed);
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of 0 to 1 of all 32-bit numbers is one of them"
        )]
        let bits = (share.clamp(0.0, 1.0) * f64::from(u32::MAX)) as u32;
        if self.front.share.load(Ordering::Relaxed) != bits {
            self.front.share.store(bits, Ordering::Relaxed);
        }
    }

    /// The share of requests that is let in.
    pub(crate) fn share(&self) -> f64 {
        f64::from(self.front.share.load(Ordering::Relaxed)) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_has_an_end_in_pairs_and_in_bytes() {
        let gate = Gate::new();
        assert_eq!(gate.lets_in(u32::MAX), Ok(()));
        for _ in 0..PAIRS {
            gate.enter(10).unwrap();
        }
        assert_eq!(gate.enter(10), Err(NotCopied::QueueFull));
        assert_eq!(gate.lets_in(0), Err(NotCopied::QueueFull), "nothing more is copied");
        for left in (0..PAIRS).rev() {
            gate.leave(10);
            assert_eq!(gate.lets_in(0).is_ok(), left <= LOW, "{left} left");
        }
        gate.enter(PAIR_BYTES).unwrap();
        assert_eq!(gate.enter(1), Err(NotCopied::Memory));
        assert_eq!(gate.lets_in(0), Err(NotCopied::Memory));
        gate.leave(PAIR_BYTES);
        assert_eq!(gate.lets_in(0), Ok(()));
        assert_eq!((gate.taken(), gate.waiting()), (PAIRS as u64 + 1, 0));
    }

    #[test]
    fn a_share_of_requests_is_let_in() {
        let gate = Gate::new();
        gate.set_share(0.25, true);
        let in_of_all = (0..=255_u32).filter(|draw| gate.lets_in(draw << 24).is_ok()).count();
        assert_eq!(in_of_all, 64);
        assert!((gate.share() - 0.25).abs() < 1e-6);
    }

    #[test]
    fn too_little_processor_time_is_told_from_too_little_room() {
        let gate = Gate::new();
        gate.set_share(0.25, true);
        assert_eq!(gate.lets_in(u32::MAX), Err(NotCopied::Budget));
        gate.set_share(0.25, false);
        assert_eq!(gate.lets_in(u32::MAX), Err(NotCopied::QueueFull), "what is left of a full queue");
        gate.set_share(1.0, false);
        gate.enter(PAIR_BYTES).unwrap();
        assert_eq!((gate.enter(1), gate.lets_in(0)), (Err(NotCopied::Memory), Err(NotCopied::Memory)));
        // It is full because nobody has time to empty it.
        gate.set_share(1.0, true);
        assert_eq!((gate.enter(1), gate.lets_in(0)), (Err(NotCopied::Budget), Err(NotCopied::Budget)));
    }
}
