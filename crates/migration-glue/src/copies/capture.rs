//! Content that is kept while it passes: of requests for their copies, of answers to be compared. Bounded, and counted in
//! the memory that copies may hold.

use route_plan::{CapturedBody, NotCopied};
use xxhash_rust::xxh3::Xxh3;

/// Memory for copies that is in use, given back when this is dropped.
pub trait Holds {
    /// Takes so many bytes more; `false`: there is not as much left, and nothing is taken.
    #[must_use]
    fn grow(&mut self, bytes: usize) -> bool;

    /// Gives back all but so many bytes.
    fn shrink_to(&mut self, bytes: usize);
}

/// Content as it passes. The content of a request is kept whole or not at all; of an answer that is longer than what is
/// kept there is a length and a hash, in constant memory.
pub struct Capture<H> {
    content: Content,
    bytes: u64,
    most: usize,
    is_request: bool,
    held: H,
}

enum Content {
    Kept(Vec<u8>),
    Hashed(Box<Xxh3>),
    Lost(NotCopied),
}

impl<H: Holds> Capture<H> {
    /// Of a request: up to `most` bytes.
    #[must_use]
    pub fn of_request(most: usize, held: H) -> Self {
        Capture { content: Content::Kept(Vec::new()), bytes: 0, most, is_request: true, held }
    }

    /// Of an answer: up to `most` bytes, and beyond that a length and a hash.
    #[must_use]
    pub fn of_answer(most: usize, held: H) -> Self {
        Capture { content: Content::Kept(Vec::new()), bytes: 0, most, is_request: false, held }
    }

    /// Takes note of more of it.
    pub fn take(&mut self, content: &[u8]) {
        if content.is_empty() {
            return;
        }
        self.bytes += content.len() as u64;
        match &mut self.content {
            Content::Lost(_) => {}
            Content::Hashed(hash) => hash.update(content),
            Content::Kept(kept) => {
                let length = kept.len() + content.len();
                if length <= self.most {
                    if make_room(kept, length, self.most, &mut self.held) {
                        kept.extend_from_slice(content);
                    } else {
                        self.lose(NotCopied::Memory);
                    }
                } else if self.is_request {
                    self.lose(NotCopied::TooLarge);
                } else {
                    self.hash(content);
                }
            }
        }
    }

    /// More memory is used for something beside the content.
    pub fn charge(&mut self, bytes: usize) {
        if !self.held.grow(bytes) {
            self.lose(NotCopied::Memory);
        }
    }

    /// Why there is nothing, if so.
    #[must_use]
    pub fn is_lost(&self) -> Option<NotCopied> {
        match self.content {
            Content::Lost(why) => Some(why),
            Content::Kept(_) | Content::Hashed(_) => None,
        }
    }

    /// What came of it, when all has passed, and the memory that it takes.
    #[must_use]
    pub fn finish(self) -> (CapturedBody, H) {
        let body = match self.content {
            Content::Kept(kept) => CapturedBody::Whole(kept),
            Content::Hashed(hash) => CapturedBody::Hashed { bytes: self.bytes, hash: hash.digest128() },
            Content::Lost(why) => CapturedBody::Incomplete(why),
        };
        (body, self.held)
    }

    fn lose(&mut self, why: NotCopied) {
        self.content = Content::Lost(why);
        self.held.shrink_to(0);
    }

    /// There is more than is kept: from now on it is hashed, with what was kept before.
    fn hash(&mut self, content: &[u8]) {
        let mut hash = Box::new(Xxh3::new());
        if let Content::Kept(kept) = &self.content {
            hash.update(kept);
        }
        hash.update(content);
        self.content = Content::Hashed(hash);
        self.held.shrink_to(size_of::<Xxh3>());
    }
}

/// Makes room for `length` bytes, and some more as long as that is not too much. What is made is counted.
fn make_room(kept: &mut Vec<u8>, length: usize, most: usize, held: &mut impl Holds) -> bool {
    if length <= kept.capacity() {
        return true;
    }
    // Most content comes at once, and takes what it needs.
    let wanted = if kept.is_empty() { length } else { (2 * length).min(most) };
    if !held.grow(wanted - kept.capacity()) {
        return false;
    }
    kept.reserve_exact(wanted - kept.len());
    true
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    /// Memory with an end, of which `used` is shared by all who hold some.
    struct Held {
        used: Rc<Cell<usize>>,
        bytes: usize,
    }

    const MEMORY_BYTES: usize = 64 << 20;

    impl Held {
        fn nothing(used: &Rc<Cell<usize>>) -> Held {
            Held { used: used.clone(), bytes: 0 }
        }
    }

    impl Holds for Held {
        fn grow(&mut self, bytes: usize) -> bool {
            let fits = self.used.get() + bytes <= MEMORY_BYTES;
            if fits {
                self.used.set(self.used.get() + bytes);
                self.bytes += bytes;
            }
            fits
        }

        fn shrink_to(&mut self, bytes: usize) {
            self.used.set(self.used.get() - self.bytes.saturating_sub(bytes));
            self.bytes = self.bytes.min(bytes);
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            self.shrink_to(0);
        }
    }

    fn answer(most: usize, pieces: &[&[u8]]) -> (CapturedBody, usize) {
        let used = Rc::new(Cell::new(0));
        let mut capture = Capture::of_answer(most, Held::nothing(&used));
        pieces.iter().for_each(|piece| capture.take(piece));
        let (body, held) = capture.finish();
        let most_used = used.get();
        drop(held);
        assert_eq!(used.get(), 0, "all of it is given back");
        (body, most_used)
    }

    #[test]
    fn up_to_the_limit_all_is_kept_and_beyond_it_a_hash() {
        let content: Vec<u8> = (0..200_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
        for most in [0, 1, 4_096, 199_999, 200_000, 1 << 20] {
            for piece in
                [1_usize, 7, 1_000, 70_000, 200_000].into_iter().filter(|piece| *piece > 5 || most < 9)
            {
                let pieces: Vec<&[u8]> = content.chunks(piece).collect();
                let (body, used) = answer(most, &pieces);
                if content.len() <= most {
                    assert_eq!(body, CapturedBody::Whole(content.clone()));
                    assert!(used >= content.len() && used <= most, "{used} of {most}");
                } else {
                    let (bytes, hash) = (content.len() as u64, xxh3_128(&content));
                    assert_eq!(body, CapturedBody::Hashed { bytes, hash }, "{most} by {piece}");
                    assert!(used < 1_024, "{used} bytes for a hash");
                }
            }
        }
        assert_eq!(answer(0, &[]), (CapturedBody::Whole(Vec::new()), 0));
    }

    #[test]
    fn of_a_request_that_is_too_large_nothing_is_kept() {
        let used = Rc::new(Cell::new(0));
        let mut capture = Capture::of_request(5, Held::nothing(&used));
        capture.take(b"hello");
        assert!(capture.is_lost().is_none());
        capture.take(b"!");
        assert_eq!((capture.is_lost(), used.get()), (Some(NotCopied::TooLarge), 0));
        capture.take(b"more");
        assert_eq!(capture.finish().0, CapturedBody::Incomplete(NotCopied::TooLarge));
    }

    #[test]
    fn what_there_is_no_memory_for_is_lost() {
        let used = Rc::new(Cell::new(0));
        let mut others = Held::nothing(&used);
        assert!(others.grow(MEMORY_BYTES - 3_000));
        let mut capture = Capture::of_answer(1 << 20, Held::nothing(&used));
        capture.take(&[1; 2_000]);
        capture.take(&[1; 2_000]);
        assert_eq!(capture.is_lost(), Some(NotCopied::Memory));
        assert_eq!(used.get(), MEMORY_BYTES - 3_000);
    }
}
