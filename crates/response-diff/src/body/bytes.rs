//! Bodies of which nothing is known but their bytes.

use xxhash_rust::xxh3::xxh3_128;

use crate::extent::of_bytes;
use crate::findings::Findings;
use crate::outcome::Kind;

/// A body, or a message, by its length and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Print {
    pub(crate) bytes: u64,
    /// XXH3-128, seed 0.
    pub(crate) hash: u128,
}

impl Print {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Print { bytes: bytes.len() as u64, hash: xxh3_128(bytes) }
    }

    fn shown(self) -> Option<String> {
        let Print { bytes, hash } = self;
        (bytes > 0).then(|| format!("{bytes} bytes, XXH3 {hash:032x}"))
    }
}

/// Says how two bodies differ, if they do.
pub(crate) fn compare_prints(path: &str, at: &str, old: Print, new: Print, findings: &mut Findings) {
    compare_sized(path, at, [old, new], 1, findings);
}

fn compare_sized(path: &str, at: &str, sides: [Print; 2], extent: u32, findings: &mut Findings) {
    let [old, new] = sides;
    let kind = match (old.bytes, new.bytes) {
        _ if old == new => return,
        (0, _) => Kind::Added,
        (_, 0) => Kind::Missing,
        (old, new) if old != new => Kind::Length,
        _ => Kind::Value,
    };
    findings.push_sized(path, at, kind, [old.shown().as_deref(), new.shown().as_deref()], extent);
}

pub(crate) fn compare(path: &str, at: &str, old: &[u8], new: &[u8], findings: &mut Findings) {
    if old != new {
        compare_sized(path, at, [Print::of(old), Print::of(new)], of_bytes(old, new), findings);
    }
}
