//! Python's `random`: the Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998), seeded and read as CPython does, so that
//! the same seed gives the same bytes.

const WORDS: usize = 624;
const SHIFT: usize = 397;

pub(crate) struct Random {
    state: [u32; WORDS],
    at: usize,
}

impl Random {
    /// `random.seed(seed)` for a seed below 2^32: `init_by_array` of one word.
    pub(crate) fn seeded(seed: u32) -> Self {
        let mut state = [0_u32; WORDS];
        state[0] = 19_650_218;
        for at in 1..WORDS {
            state[at] = mixed(state[at - 1], 1_812_433_253).wrapping_add(word(at));
        }
        let mut at = 1;
        for _ in 0..WORDS {
            state[at] = (state[at] ^ mixed(state[at - 1], 1_664_525)).wrapping_add(seed);
            next(&mut at, &mut state);
        }
        for _ in 0..WORDS - 1 {
            state[at] = (state[at] ^ mixed(state[at - 1], 1_566_083_941)).wrapping_sub(word(at));
            next(&mut at, &mut state);
        }
        state[0] = 1 << 31;
        Random { state, at: WORDS }
    }

    /// `random.randint(0, 255)`: nine bits, until they are below 256.
    pub(crate) fn byte(&mut self) -> u8 {
        loop {
            if let Ok(byte) = u8::try_from(self.bits() >> 23) {
                return byte;
            }
        }
    }

    pub(crate) fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.byte()).collect()
    }

    /// `random.getrandbits(32)`
    pub(crate) fn bits(&mut self) -> u32 {
        if self.at == WORDS {
            self.twist();
        }
        let mut bits = self.state[self.at];
        self.at += 1;
        bits ^= bits >> 11;
        bits ^= (bits << 7) & 0x9d2c_5680;
        bits ^= (bits << 15) & 0xefc6_0000;
        bits ^ (bits >> 18)
    }

    fn twist(&mut self) {
        for at in 0..WORDS {
            let both = (self.state[at] & 1 << 31) | (self.state[(at + 1) % WORDS] & !(1 << 31));
            let odd = if both & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[at] = self.state[(at + SHIFT) % WORDS] ^ (both >> 1) ^ odd;
        }
        self.at = 0;
    }
}

fn mixed(before: u32, factor: u32) -> u32 {
    (before ^ (before >> 30)).wrapping_mul(factor)
}

fn word(at: usize) -> u32 {
    u32::try_from(at).unwrap()
}

fn next(at: &mut usize, state: &mut [u32; WORDS]) {
    *at += 1;
    if *at == WORDS {
        state[0] = state[WORDS - 1];
        *at = 1;
    }
}

#[test]
fn it_is_pythons() {
    // `random.seed(7); [random.randint(0, 255) for _ in range(5)]`
    assert_eq!(Random::seeded(7).bytes(5), [165, 77, 202, 24, 37]);
    assert_eq!(Random::seeded(0).bytes(5), [197, 215, 20, 132, 248]);
}
