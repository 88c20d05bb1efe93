//! Read buffers that a worker's connections share.
//!
//! A connection holds a buffer only while bytes are in it. In the steady state a worker therefore needs about one,
//! which stays in the processor's cache, and an idle connection costs none. Room before and after the bytes lets a
//! head or a chunk's frame be put around a body where it lies, so that both leave in one send without a copy.

use std::cell::RefCell;
use std::rc::Rc;

/// How much one read may bring, in bytes. Also the longest head that can be received.
pub(crate) const READ_BYTES: usize = 64 * 1024;
/// Room for a rewritten head that grew, and for a chunk's size line.
const HEADROOM_BYTES: usize = 2 * 1024;
/// Room for the end of a chunk and the last chunk.
const TAILROOM_BYTES: usize = 64;
/// Free buffers that a worker keeps: enough for its connections under way at once, 8 MiB at most.
const KEPT: usize = 128;
/// First size of a buffer that holds the beginning of a head that comes slowly.
const SMALL_BYTES: usize = 1024;

/// The free buffers of one worker.
#[derive(Debug, Default)]
pub(crate) struct BufferPool {
    free: RefCell<Vec<Vec<u8>>>,
}

impl BufferPool {
    /// An empty buffer, most likely the one used last.
    pub(crate) fn take(self: &Rc<Self>) -> Buffer {
        let bytes = self.free.borrow_mut().pop();
        let bytes = bytes.unwrap_or_else(|| vec![0; HEADROOM_BYTES + READ_BYTES + TAILROOM_BYTES]);
        Buffer { bytes, start: HEADROOM_BYTES, end: HEADROOM_BYTES, home: Some(self.clone()) }
    }

    fn put_back(&self, bytes: Vec<u8>) {
        let mut free = self.free.borrow_mut();
        if free.len() < KEPT {
            free.push(bytes);
        }
    }
}

/// Bytes received and not yet sent on, with room around them. Returns to its pool when dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    home: Option<Rc<BufferPool>>,
}

impl Buffer {
    /// A buffer of its own that holds these bytes and can grow: for what has to be kept for long.
    pub(crate) fn kept(held: &[u8]) -> Buffer {
        let mut bytes = vec![0; HEADROOM_BYTES + held.len().max(SMALL_BYTES) + TAILROOM_BYTES];
        let end = HEADROOM_BYTES + held.len();
        bytes[HEADROOM_BYTES..end].copy_from_slice(held);
        Buffer { bytes, start: HEADROOM_BYTES, end, home: None }
    }

    /// The bytes it holds.
    pub(crate) fn filled(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether it is one of the worker's, as opposed to one that a slow head holds.
    pub(crate) fn is_pooled(&self) -> bool {
        self.home.is_some()
    }

    /// Where the next read goes. Empty when it is full.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        let limit = self.bytes.len() - TAILROOM_BYTES;
        self.bytes.get_mut(self.end..limit).unwrap_or_default()
    }

    /// Makes room in a buffer of its own, up to [`READ_BYTES`] in all.
    pub(crate) fn grow(&mut self) {
        let most = HEADROOM_BYTES + READ_BYTES + TAILROOM_BYTES;
        if self.space().is_empty() && self.bytes.len() < most {
            let larger = (self.bytes.len() * 2).min(most);
            self.bytes.resize(larger, 0);
        }
    }

    /// `count` bytes were read into [`Buffer::space`].
    pub(crate) fn added(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// The first `count` bytes are done with.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Keeps the `length` bytes from `from` on (both relative to [`Buffer::filled`]).
    pub(crate) fn keep(&mut self, from: usize, length: usize) {
        self.start = (self.start + from).min(self.end);
        self.end = (self.start + length).min(self.end);
    }

    /// Moves `length` bytes within [`Buffer::filled`] from `from` to the earlier `to`.
    pub(crate) fn shift(&mut self, from: usize, length: usize, to: usize) {
        let base = self.start;
        if to <= from && base + from + length <= self.end {
            self.bytes.copy_within(base + from..base + from + length, base + to);
        }
    }

    /// Puts `head` right before the bytes.
    pub(crate) fn prepend(&mut self, head: &[u8]) {
        if head.len() > self.start {
            // Rare: a head that grew by more than the headroom. Everything moves back.
            let more = head.len() - self.start;
            self.bytes.splice(0..0, std::iter::repeat_n(0, more));
            self.start += more;
            self.end += more;
        }
        let to = self.start - head.len();
        self.bytes[to..self.start].copy_from_slice(head);
        self.start = to;
    }

    /// Puts `tail` right after the bytes.
    pub(crate) fn append(&mut self, tail: &[u8]) {
        let to = self.end + tail.len();
        if to > self.bytes.len() {
            self.bytes.resize(to, 0);
        }
        self.bytes[self.end..to].copy_from_slice(tail);
        self.end = to;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            let bytes = std::mem::take(&mut self.bytes);
            if bytes.len() == HEADROOM_BYTES + READ_BYTES + TAILROOM_BYTES {
                home.put_back(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_goes_before_and_a_tail_behind_the_bytes() {
        let pool = Rc::new(BufferPool::default());
        let mut buffer = pool.take();
        buffer.space()[..5].copy_from_slice(b"hello");
        buffer.added(5);
        buffer.prepend(b"5\r\n");
        buffer.append(b"\r\n");
        assert_eq!(buffer.filled(), b"5\r\nhello\r\n");
        buffer.prepend(&vec![b'x'; 10_000]);
        assert_eq!(buffer.len(), 10_010);
        assert!(buffer.filled().ends_with(b"x5\r\nhello\r\n"));
    }

    #[test]
    fn a_buffer_comes_back_empty_and_only_at_its_own_size() {
        let pool = Rc::new(BufferPool::default());
        let mut buffer = pool.take();
        buffer.added(100);
        drop(buffer);
        assert_eq!(pool.free.borrow().len(), 1);
        let mut buffer = pool.take();
        assert!(buffer.is_empty());
        buffer.append(&vec![0; 2 * READ_BYTES]);
        drop(buffer);
        assert!(pool.free.borrow().is_empty(), "one that grew is not kept");
    }

    #[test]
    fn a_kept_buffer_grows_up_to_one_read() {
        let mut buffer = Buffer::kept(b"GET");
        let mut total = 3;
        loop {
            buffer.grow();
            let room = buffer.space().len();
            if room == 0 {
                break;
            }
            buffer.added(room);
            total += room;
        }
        assert_eq!(total, READ_BYTES);
    }
}
