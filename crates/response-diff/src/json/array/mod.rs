//! Which elements of two arrays are compared with each other, and what is said of those that are not.
//!
//! In order (the default), equal elements at the beginning and at the end are each other's. Between them, the longest run
//! of equal elements is kept, so that one element that was put in is one that is `added`, and not all that follow are
//! different. Objects that are not equal, but likely the same record, are each other's too. Elements that have changed
//! places are one `order` at the array. What is left between two that are kept is paired so that the least differs, and
//! what has no partner is `missing` or `added`. Where nothing is gained by all that, arrays of one length are compared
//! index by index.
//!
//! With `order = "ignore"`, equal elements are each other's wherever they stand, and of those that are left, arrays and
//! objects are paired with what is most like them. With `by`, elements of one key are each other's; those without one, and
//! those whose key comes several times, are among themselves as with `order = "ignore"`.
//!
//! Ignored elements are left out on both sides before all that, unless arrays are the same with some of them.

mod align;
mod ignored;
mod keyed;
mod likely;
mod unordered;

use std::borrow::Cow;

use crate::outcome::Kind;
use crate::path::{Place, Step};

use super::compare::{Comparer, Sides, weight};
use super::rules::ArrayRule;
use super::tree::Value;

/// More elements than this without partners, where no better word can be said, are one difference in length.
const MOST_SURPLUS: usize = 16;

/// One element.
#[derive(Clone, Debug)]
struct Item<'c> {
    index: usize,
    value: Value<'c>,
    /// Where it is for the rules, if not all elements are in one place.
    place: Option<Place>,
}

/// Elements of old's array and of new's.
struct Lists<'l, 'c> {
    old: &'l [Item<'c>],
    new: &'l [Item<'c>],
    /// The place of elements that have none of their own.
    shared: &'l Place,
    /// The arrays that they are in.
    arrays: (Value<'c>, Value<'c>),
}

/// What is to be said of two lists, by their positions in them.
#[derive(Debug, Default)]
struct Matching {
    pairs: Vec<(usize, usize)>,
    missing: Vec<usize>,
    added: Vec<usize>,
    /// Equal elements have changed places.
    moved: bool,
    /// Elements have no partner, and there are too many to list.
    surplus: bool,
}

impl Matching {
    /// With old and new in each other's roles.
    fn mirrored(mut self) -> Matching {
        self.pairs.iter_mut().for_each(|(old, new)| std::mem::swap(old, new));
        std::mem::swap(&mut self.missing, &mut self.added);
        self
    }
}

impl<'l, 'c> Lists<'l, 'c> {
    /// The place of a pair, for the rules.
    fn place(&self, comparer: &Comparer<'_>, old: &Item<'c>, new: &Item<'c>) -> Cow<'l, Place> {
        match (&old.place, &new.place) {
            (Some(old), Some(new)) => Cow::Owned(comparer.rules.places().both(old.clone(), new)),
            _ => Cow::Borrowed(self.shared),
        }
    }

    fn slice(&self, start: usize, old_end: usize, new_end: usize) -> Lists<'l, 'c> {
        Lists { old: &self.old[start..old_end], new: &self.new[start..new_end], ..*self }
    }

    fn mirrored(&self) -> Lists<'l, 'c> {
        Lists { old: self.new, new: self.old, shared: self.shared, arrays: (self.arrays.1, self.arrays.0) }
    }
}

impl<'c> Comparer<'c> {
    pub(super) fn arrays(&mut self, old: Value<'c>, new: Value<'c>, place: &Place, rule: &ArrayRule) {
        let Some(shared) = self.shared_place(old, new, place) else { return };
        let (old_items, new_items) = (self.items(old, place), self.items(new, place));
        let lists = Lists { old: &old_items, new: &new_items, shared: &shared, arrays: (old, new) };
        if !place.looks() {
            return self.lists(&lists, rule);
        }
        let kept = |items: &[Item<'c>]| -> Vec<Item<'c>> {
            items.iter().filter(|item| !self.is_ignored(item)).cloned().collect()
        };
        let (old_kept, new_kept) = (kept(&old_items), kept(&new_items));
        let some_ignored = old_kept.len() < old_items.len() || new_kept.len() < new_items.len();
        let kept = Lists { old: &old_kept, new: &new_kept, ..lists };
        let are_same =
            some_ignored && (self.are_same(&kept, rule) || self.are_same_but_for_ignored(&lists, rule));
        if !are_same {
            self.lists(&kept, rule);
        }
    }

    /// The place of all elements if only their being elements counts. `None` when all of them are ignored.
    fn shared_place(&mut self, old: Value<'c>, new: Value<'c>, place: &Place) -> Option<Place> {
        if place.is_nowhere() || place.looks() {
            return Some(place.clone());
        }
        let any = old.elements().next().or_else(|| new.elements().next()).unwrap_or(old);
        let shared = self.rules.places().step(place, Step::Index(0), 0, any, &mut self.work);
        (!self.rules.ignores(&shared)).then_some(shared)
    }

    fn items(&mut self, array: Value<'c>, place: &Place) -> Vec<Item<'c>> {
        let mut items: Vec<Item<'c>> =
            array.elements().enumerate().map(|(index, value)| Item { index, value, place: None }).collect();
        if place.looks() {
            let count = items.len();
            let places = self.rules.places();
            for Item { index, value, place: own } in &mut items {
                *own = Some(places.step(place, Step::Index(*index), count, *value, &mut self.work));
            }
        }
        self.work.take(items.len() as u64 / 8);
        items
    }

    fn are_same(&mut self, lists: &Lists<'_, 'c>, rule: &ArrayRule) -> bool {
        self.weigh_all(0, |comparer| comparer.lists(lists, rule)) == 0
    }

    fn lists(&mut self, lists: &Lists<'_, 'c>, rule: &ArrayRule) {
        if !rule.by.is_empty() {
            self.keyed(lists, rule);
        } else if !rule.ordered {
            let matching = self.unordered(lists);
            self.tell_matching(lists, &matching);
        } else if self.is_weighing() {
            self.weigh_in_order(lists);
        } else {
            self.in_order(lists);
        }
    }

    fn pair_items(&mut self, lists: &Lists<'_, 'c>, old: &Item<'c>, new: &Item<'c>) {
        let place = lists.place(self, old, new);
        if !(old.place.is_some() && self.rules.ignores(&place)) {
            self.pair_at(Step::Index(new.index), old.value, new.value, &place);
        }
    }

    fn weigh_items(&mut self, lists: &Lists<'_, 'c>, old: &Item<'c>, new: &Item<'c>, most: u64) -> u64 {
        self.weigh_all(most, |comparer| comparer.pair_items(lists, old, new))
    }

    fn same_items(&mut self, lists: &Lists<'_, 'c>, old: &Item<'c>, new: &Item<'c>) -> bool {
        self.weigh_items(lists, old, new, 0) == 0
    }

    fn tell_missing(&mut self, item: &Item<'c>) {
        self.tell_at(Step::Index(item.index), Kind::Missing, Sides::Old(item.value));
    }

    fn tell_added(&mut self, item: &Item<'c>) {
        self.tell_at(Step::Index(item.index), Kind::Added, Sides::New(item.value));
    }

    fn tell_matching(&mut self, lists: &Lists<'_, 'c>, matching: &Matching) {
        let both = Sides::Both(lists.arrays.0, lists.arrays.1);
        if matching.surplus {
            self.tell(Kind::Length, both);
        }
        if matching.moved {
            self.tell(Kind::Order, both);
        }
        let pairs = matching.pairs.iter().map(|(old, new)| (*new, Some(*old), Some(*new)));
        let missing = matching.missing.iter().map(|old| (*old, Some(*old), None));
        let added = matching.added.iter().map(|new| (*new, None, Some(*new)));
        let mut events: Vec<_> = pairs.chain(missing).chain(added).collect();
        events.sort_unstable();
        for (_, old, new) in events {
            match (old.map(|old| &lists.old[old]), new.map(|new| &lists.new[new])) {
                (Some(old), Some(new)) => self.pair_items(lists, old, new),
                (Some(old), None) => self.tell_missing(old),
                (None, Some(new)) => self.tell_added(new),
                (None, None) => {}
            }
            if self.is_over() {
                return;
            }
        }
    }

    /// What a matching weighs, at most one more than `most`.
    fn weigh_matching(&mut self, lists: &Lists<'_, 'c>, matching: &Matching, most: u64) -> u64 {
        self.weigh_all(most, |comparer| comparer.tell_matching(lists, matching))
    }

    /// How much two lists in order differ, near enough: index by index, but for what is the same at their ends. Each pair
    /// is looked at once, so that lists in lists do not cost more the deeper they are.
    fn weigh_in_order(&mut self, lists: &Lists<'_, 'c>) {
        let (mut old, mut new) = (lists.old, lists.new);
        if old.len() != new.len() {
            self.tell(Kind::Length, Sides::Both(lists.arrays.0, lists.arrays.1));
        }
        let mut from_end = old.len() == new.len();
        while !self.is_over() {
            let (Some((old_first, old_rest)), Some((new_first, new_rest))) =
                (old.split_first(), new.split_first())
            else {
                break;
            };
            let before = self.weighed();
            self.pair_items(lists, old_first, new_first);
            (old, new) = (old_rest, new_rest);
            if from_end || self.weighed() == before {
                continue;
            }
            from_end = true;
            while !self.is_over() {
                let (Some((old_last, old_rest)), Some((new_last, new_rest))) =
                    (old.split_last(), new.split_last())
                else {
                    break;
                };
                let before = self.weighed();
                self.pair_items(lists, old_last, new_last);
                (old, new) = (old_rest, new_rest);
                if self.weighed() != before {
                    break;
                }
            }
        }
        if self.is_over() {
            return;
        }
        for item in old {
            self.tell_missing(item);
        }
        for item in new {
            self.tell_added(item);
        }
    }

    fn in_order(&mut self, lists: &Lists<'_, 'c>) {
        let shorter = lists.old.len().min(lists.new.len());
        let mut start = 0;
        while start < shorter && self.same_items(lists, &lists.old[start], &lists.new[start]) {
            start += 1;
        }
        let (mut old_end, mut new_end) = (lists.old.len(), lists.new.len());
        while old_end > start
            && new_end > start
            && self.same_items(lists, &lists.old[old_end - 1], &lists.new[new_end - 1])
        {
            old_end -= 1;
            new_end -= 1;
        }
        let middle = lists.slice(start, old_end, new_end);
        let matching = self.align(&middle);
        self.tell_matching(&middle, &matching);
    }

    /// The fingerprints of both lists.
    fn fingerprints<'l>(&mut self, lists: &Lists<'l, 'c>) -> (Vec<u64>, Vec<u64>) {
        let mut all = |items: &'l [Item<'c>]| -> Vec<u64> {
            let place = |item: &'l Item<'c>| item.place.as_ref().unwrap_or(lists.shared);
            items.iter().map(|item| self.fingerprint(item.value, place(item))).collect()
        };
        (all(lists.old), all(lists.new))
    }

    /// Whether the two lists are looked at with their roles changed, so that what is found does not depend on which of
    /// them is old.
    fn is_turned(&self, lists: &Lists<'_, 'c>, prints: &(Vec<u64>, Vec<u64>)) -> bool {
        let by_print = (lists.new.len(), &prints.1).cmp(&(lists.old.len(), &prints.0));
        by_print.then_with(|| {
            let text = |items: &[Item<'c>]| -> Vec<String> {
                items.iter().map(|item| item.value.shortened(usize::MAX)).collect()
            };
            text(lists.new).cmp(&text(lists.old))
        }) == std::cmp::Ordering::Less
    }

    /// Whether so many steps may be spent on finding better partners; they are taken if so.
    fn may_align(&mut self, steps: u64) -> bool {
        const MOST_AT_ONCE: u64 = 1 << 16;
        let may = steps <= self.align_left.min(MOST_AT_ONCE);
        if may {
            self.align_left -= steps;
        }
        may
    }
}

/// The steps of weighing each of these against each of those.
fn steps_to_weigh(old: &[&Item<'_>], new: &[&Item<'_>]) -> u64 {
    let sum = |items: &[&Item<'_>]| items.iter().map(|item| weight(item.value)).sum::<u64>();
    // A pair takes about as many steps as the smaller of the two has values.
    (sum(old) * new.len() as u64).min(sum(new) * old.len() as u64).saturating_mul(2)
}
