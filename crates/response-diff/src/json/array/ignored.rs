//! Arrays of which a filter, an index or a slice ignores elements, perhaps on one side alone.
//!
//! They are the same when each element that is not ignored has a partner that is the same, and what is ignored may be a
//! partner but need not be one. So whatever is ignored beside, what was the same stays the same.

use super::super::compare::Comparer;
use super::super::rules::ArrayRule;
use super::keyed::{is_in_order, pairs_of_one};
use super::{Item, Lists};

impl<'c> Comparer<'c> {
    pub(super) fn are_same_but_for_ignored(&mut self, lists: &Lists<'_, 'c>, rule: &ArrayRule) -> bool {
        if !rule.by.is_empty() {
            let groups = self.groups_by_key(lists, rule);
            let mut pairs = pairs_of_one(&groups);
            pairs.retain(|(old, new)| {
                !self.is_ignored(&lists.old[*old]) && !self.is_ignored(&lists.new[*new])
            });
            (!rule.ordered || is_in_order(&pairs))
                && groups.into_values().all(|(old, new)| self.have_partners(lists, &old, &new))
        } else if rule.ordered {
            self.have_partners_in_order(lists)
        } else {
            let all = |items: &[Item<'c>]| (0..items.len()).collect::<Vec<usize>>();
            self.have_partners(lists, &all(lists.old), &all(lists.new))
        }
    }

    pub(super) fn is_ignored(&self, item: &Item<'c>) -> bool {
        item.place.as_ref().is_some_and(|place| self.rules.ignores(place))
    }

    /// Whether there are partners for all that is not ignored, in any order. There are if there are for old's and there
    /// are for new's, each among all of the other side (Mendelsohn and Dulmage 1958).
    fn have_partners(&mut self, lists: &Lists<'_, 'c>, old: &[usize], new: &[usize]) -> bool {
        let old_kept: Vec<usize> =
            old.iter().copied().filter(|at| !self.is_ignored(&lists.old[*at])).collect();
        let new_kept: Vec<usize> =
            new.iter().copied().filter(|at| !self.is_ignored(&lists.new[*at])).collect();
        self.most_pairs(lists, &old_kept, new).len() == old_kept.len()
            && self.most_pairs(lists, old, &new_kept).len() == new_kept.len()
    }

    /// The same in order: a way through both lists, element by element, that leaves out only what is ignored.
    fn have_partners_in_order(&mut self, lists: &Lists<'_, 'c>) -> bool {
        let old_ignored: Vec<bool> = lists.old.iter().map(|item| self.is_ignored(item)).collect();
        let new_ignored: Vec<bool> = lists.new.iter().map(|item| self.is_ignored(item)).collect();
        // Whether there is a way up to here, for each position in new.
        let mut row = vec![true];
        for ignored in &new_ignored {
            row.push(*ignored && row.last() == Some(&true));
        }
        for (old, old_ignored) in lists.old.iter().zip(old_ignored) {
            let mut next = vec![row[0] && old_ignored];
            for (at, (new, new_ignored)) in lists.new.iter().zip(&new_ignored).enumerate() {
                let is_way = row[at + 1] && old_ignored
                    || next[at] && *new_ignored
                    || row[at] && self.same_items(lists, old, new);
                next.push(is_way);
            }
            row = next;
            if self.work.is_spent() || !row.contains(&true) {
                return false;
            }
        }
        row.last() == Some(&true)
    }
}
