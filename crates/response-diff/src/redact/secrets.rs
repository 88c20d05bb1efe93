//! The values that were found to be secret, so that they are hidden wherever else they stand.

use std::collections::BTreeMap;

/// Shorter values stand everywhere by chance.
pub(super) const SHORTEST: usize = 4;
/// How many are remembered, and their bytes in all. Who has more keeps nothing.
const MOST: usize = 4096;
const MOST_BYTES: usize = 1 << 20;
/// Those that begin alike, each of which is looked for where a text does: more would make that slow.
const MOST_ALIKE: usize = 64;

/// Secret values of one pair of answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    /// By their first bytes.
    known: BTreeMap<[u8; SHORTEST], Vec<String>>,
    count: usize,
    bytes: usize,
    /// There were too many, or one could not be looked for.
    incomplete: bool,
}

impl Secrets {
    /// Remembers a value. Shorter ones than four bytes are not looked for, nor are the words `true`, `false` and `null`.
    pub(super) fn add(&mut self, value: &str) {
        let Some(start) = value.as_bytes().first_chunk::<SHORTEST>() else { return };
        if matches!(value, "true" | "false" | "null") || super::marks::is_mark(value) {
            return;
        }
        let alike = self.known.entry(*start).or_default();
        if alike.iter().any(|known| known == value) {
            return;
        }
        let is_full = self.count >= MOST || alike.len() >= MOST_ALIKE;
        if is_full || self.bytes + value.len() > MOST_BYTES {
            self.incomplete = true;
            return;
        }
        alike.push(value.to_owned());
        // The longest that fits is the one that is hidden.
        alike.sort_by_key(|known| std::cmp::Reverse(known.len()));
        self.count += 1;
        self.bytes += value.len();
    }

    /// Some value could not be remembered: nothing that may hold it can be kept.
    pub(super) fn give_up(&mut self) {
        self.incomplete = true;
    }

    pub(super) fn is_complete(&self) -> bool {
        !self.incomplete
    }

    /// The secret that the text begins with.
    pub(super) fn at_start_of<'t>(&self, text: &'t str) -> Option<&'t str> {
        let alike = self.known.get(text.as_bytes().first_chunk::<SHORTEST>()?)?;
        alike.iter().find(|known| text.starts_with(known.as_str())).map(|known| &text[..known.len()])
    }

    /// Whether a secret begins with this text, of at least four bytes.
    pub(super) fn has_start(&self, text: &str) -> bool {
        let alike = text.as_bytes().first_chunk::<SHORTEST>().and_then(|start| self.known.get(start));
        alike.is_some_and(|alike| alike.iter().any(|known| known.starts_with(text)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}
