//! Content of requests that is kept so that it can be sent once more.

use std::cell::Cell;
use std::rc::Rc;

/// Room for kept content that is not given back to the system.
const ROOM_BYTES: usize = 64 * 1024;
/// How much all requests of the process may keep. More is not kept, so that clients who send slowly cannot use up the
/// memory: 4,000 of them with as much as is kept of each by default.
const PROCESS_BYTES: usize = 256 << 20;

/// How much one worker keeps, of how much it may.
#[derive(Debug)]
pub(crate) struct Allowance {
    used: Cell<usize>,
    most: usize,
}

impl Allowance {
    /// The part of one of so many workers.
    pub(crate) fn share(workers: usize) -> Rc<Allowance> {
        Rc::new(Allowance { used: Cell::new(0), most: PROCESS_BYTES / workers.max(1) })
    }

    fn take(&self, bytes: usize) -> bool {
        let used = self.used.get().saturating_add(bytes);
        let fits = used <= self.most;
        if fits {
            self.used.set(used);
        }
        fits
    }
}

/// The content of one request received so far, up to a limit.
#[derive(Debug)]
pub(crate) struct Keep {
    bytes: Vec<u8>,
    most: usize,
    /// There was more than may be kept, so nothing is.
    lost: bool,
    allowance: Rc<Allowance>,
}

impl Keep {
    /// Keeps up to `most` bytes, in `room`, as far as the `allowance` lasts.
    pub(crate) fn new(mut room: Vec<u8>, most: usize, allowance: &Rc<Allowance>) -> Keep {
        room.clear();
        Keep { bytes: room, most, lost: false, allowance: allowance.clone() }
    }

    pub(crate) fn take_note(&mut self, content: &[u8]) {
        if self.lost {
            return;
        }
        let fits = content.len() <= self.most - self.bytes.len() && self.allowance.take(content.len());
        if fits {
            self.bytes.extend_from_slice(content);
        } else {
            self.lost = true;
            self.give_back();
            self.bytes = Vec::new();
        }
    }

    /// Whether nothing is missing.
    pub(crate) fn is_whole(&self) -> bool {
        !self.lost
    }

    pub(crate) fn content(&self) -> &[u8] {
        &self.bytes
    }

    /// The room, for the next one.
    pub(crate) fn into_room(mut self) -> Vec<u8> {
        self.give_back();
        let room = std::mem::take(&mut self.bytes);
        if room.capacity() <= ROOM_BYTES { room } else { Vec::new() }
    }

    fn give_back(&self) {
        let used = &self.allowance.used;
        used.set(used.get().saturating_sub(self.bytes.len()));
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_not_kept_at_all() {
        let allowance = Allowance::share(1);
        let mut keep = Keep::new(Vec::new(), 5, &allowance);
        keep.take_note(b"hel");
        keep.take_note(b"lo");
        assert_eq!((keep.is_whole(), keep.content()), (true, &b"hello"[..]));
        keep.take_note(b"!");
        assert_eq!((keep.is_whole(), keep.content()), (false, &b""[..]));
        keep.take_note(b"more");
        assert!(!keep.is_whole() && allowance.used.get() == 0);
    }

    #[test]
    fn all_together_keep_no_more_than_they_may() {
        let allowance = Rc::new(Allowance { used: Cell::new(0), most: 10 });
        let keep = || Keep::new(Vec::new(), 8, &allowance);
        let [mut one, mut two, mut three] = [keep(), keep(), keep()];
        one.take_note(&[1; 6]);
        two.take_note(&[2; 4]);
        three.take_note(&[3]);
        assert_eq!([one.is_whole(), two.is_whole(), three.is_whole()], [true, true, false]);
        assert_eq!(one.into_room().len(), 6);
        drop(two);
        assert_eq!(allowance.used.get(), 0, "it is given back, once");
        let mut four = keep();
        four.take_note(&[4; 8]);
        assert!(four.is_whole());
    }
}
