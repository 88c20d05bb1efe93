//! Elements that are likely the same one, although something in them differs.
//!
//! Lists of records mostly have a member that names each of them, such as an id. Whatever it is called, its values come
//! once in each list, and most of them in both. So a record is found again where each one differs a little, by a time for
//! example, and one was put in.

use xxhash_rust::xxh3::xxh3_64;

use crate::path::Step;

use super::super::compare::Comparer;
use super::super::fingerprint::mix;
use super::super::number;
use super::super::tree::View;
use super::align::longest_rising;
use super::{Item, Lists};

/// One value of one member of one element.
type Mention<'c> = (&'c str, u64, bool, usize);

impl<'c> Comparer<'c> {
    /// Pairs of those elements that have the same value in the member that names most of them, in old's order. None when
    /// no member names at least half of them.
    pub(super) fn likely_pairs(
        &mut self,
        lists: &Lists<'_, 'c>,
        old: &[usize],
        new: &[usize],
    ) -> Vec<(usize, usize)> {
        let least = old.len().min(new.len()).div_ceil(2);
        if least == 0 || (old.len(), new.len()) == (1, 1) {
            return Vec::new();
        }
        let mut mentions: Vec<Mention<'c>> = Vec::new();
        for (items, at, is_new) in [(lists.old, old, false), (lists.new, new, true)] {
            for at in at {
                self.mention(&items[*at], lists, |name, hash| mentions.push((name, hash, is_new, *at)));
            }
        }
        self.work.take(mentions.len() as u64);
        mentions.sort_unstable();
        let mut best = (Vec::new(), 0);
        for of_one_name in mentions.chunk_by(|one, other| one.0 == other.0) {
            let values = of_one_name.chunk_by(|one, other| one.1 == other.1);
            let mut pairs: Vec<(usize, usize)> = values
                .filter_map(|mentions| match mentions {
                    [(_, _, false, old), (_, _, true, new)] => Some((*old, *new)),
                    _ => None,
                })
                .collect();
            if pairs.len() < least.max(best.0.len()) {
                continue;
            }
            pairs.sort_unstable();
            let in_order = longest_rising(&pairs).len();
            if (pairs.len(), in_order) > (best.0.len(), best.1) {
                best = (pairs, in_order);
            }
        }
        best.0
    }

    /// Calls with each member of an object that could name it: numbers and texts that are not ignored.
    fn mention(&mut self, item: &Item<'c>, lists: &Lists<'_, 'c>, mut found: impl FnMut(&'c str, u64)) {
        let place = item.place.as_ref().unwrap_or(lists.shared);
        for (name, value) in item.value.members() {
            self.work.take(1);
            let hash = match value.view() {
                View::Number(text) => number::hash(text),
                View::String(text) => mix(1, xxh3_64(text.as_bytes())),
                _ => continue,
            };
            let is_ignored = !place.is_nowhere() && {
                let inner = self.rules.places().step(place, Step::Name(name), 0, value, &mut self.work);
                self.rules.ignores(&inner)
            };
            if !is_ignored {
                found(name, hash);
            }
        }
    }
}
