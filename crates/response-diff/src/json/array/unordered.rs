//! Arrays as multisets.

use super::super::compare::{Comparer, weight};
use super::super::tree::Type;
use super::align::left;
use super::{Item, Lists, Matching, steps_to_weigh};

impl<'c> Comparer<'c> {
    pub(super) fn unordered(&mut self, lists: &Lists<'_, 'c>) -> Matching {
        if self.is_weighing() && !self.can_be_same(lists) {
            // What is heavier than anything that is looked for need not be weighed exactly.
            return self.all_apart(lists);
        }
        let prints = self.fingerprints(lists);
        if self.is_turned(lists, &prints) {
            self.matched(&lists.mirrored(), &prints.1, &prints.0).mirrored()
        } else {
            self.matched(lists, &prints.0, &prints.1)
        }
    }

    fn can_be_same(&self, lists: &Lists<'_, 'c>) -> bool {
        lists.old.len() == lists.new.len() || !self.is_only_asked_for_sameness()
    }

    fn all_apart(&self, lists: &Lists<'_, 'c>) -> Matching {
        let (missing, added) = ((0..lists.old.len()).collect(), (0..lists.new.len()).collect());
        Matching { missing, added, ..Matching::default() }
    }

    fn matched(&mut self, lists: &Lists<'_, 'c>, old: &[u64], new: &[u64]) -> Matching {
        let mut places: Vec<(u64, bool, usize)> = Vec::with_capacity(old.len() + new.len());
        places.extend(old.iter().enumerate().map(|(at, print)| (*print, false, at)));
        places.extend(new.iter().enumerate().map(|(at, print)| (*print, true, at)));
        places.sort_unstable();
        let mut same = Vec::new();
        for alike in places.chunk_by(|one, other| one.0 == other.0) {
            let (old, new) = alike.split_at(alike.partition_point(|(_, is_new, _)| !is_new));
            let positions =
                |part: &[(u64, bool, usize)]| part.iter().map(|(_, _, at)| *at).collect::<Vec<_>>();
            if !old.is_empty() && !new.is_empty() {
                same.extend(self.most_pairs(lists, &positions(old), &positions(new)));
            }
            if self.is_over() {
                return Matching::default();
            }
        }
        let old_left = left(old.len(), same.iter().map(|(old, _)| *old));
        let new_left = left(new.len(), same.iter().map(|(_, new)| *new));
        let pairs = self.most_alike(lists, &old_left, &new_left);
        let missing = left(old.len(), same.iter().chain(&pairs).map(|(old, _)| *old));
        let added = left(new.len(), same.iter().chain(&pairs).map(|(_, new)| *new));
        Matching { pairs, missing, added, ..Matching::default() }
    }

    /// As many pairs of equal elements as there can be. Where a tolerance decides, one can be equal to several that are
    /// not equal to each other, so that a pair may have to give way to make room for two (augmenting paths).
    pub(super) fn most_pairs(
        &mut self,
        lists: &Lists<'_, 'c>,
        old: &[usize],
        new: &[usize],
    ) -> Vec<(usize, usize)> {
        // By position in `new`: whose partner it is, by position in `old`.
        let mut partner: Vec<Option<usize>> = vec![None; new.len()];
        let mut free: Vec<usize> = (0..new.len()).rev().collect();
        let mut alone = Vec::new();
        for (i, at) in old.iter().enumerate() {
            let item = &lists.old[*at];
            let found = free.iter().rposition(|j| self.same_items(lists, item, &lists.new[new[*j]]));
            match found {
                Some(found) => partner[free.remove(found)] = Some(i),
                None => alone.push(i),
            }
            if self.work.is_spent() {
                return Vec::new();
            }
        }
        if !free.is_empty() && !alone.is_empty() {
            for i in alone {
                self.find_partner(lists, (old, new), i, &mut partner);
            }
        }
        let pairs = partner.iter().enumerate().filter_map(|(j, i)| Some((old[(*i)?], new[j])));
        pairs.collect()
    }

    /// Finds a partner for `first`, making others look for another one where that helps. Breadth first, so that a long
    /// chain of those is no deep recursion.
    fn find_partner(
        &mut self,
        lists: &Lists<'_, 'c>,
        (old, new): (&[usize], &[usize]),
        first: usize,
        partner: &mut [Option<usize>],
    ) {
        let mut came_from: Vec<Option<usize>> = vec![None; new.len()];
        let mut queue = vec![first];
        let mut next = 0;
        while let Some(&i) = queue.get(next) {
            next += 1;
            for j in 0..new.len() {
                if came_from[j].is_some()
                    || !self.same_items(lists, &lists.old[old[i]], &lists.new[new[j]])
                    || self.work.is_spent()
                {
                    continue;
                }
                came_from[j] = Some(i);
                if let Some(owner) = partner[j] {
                    queue.push(owner);
                    continue;
                }
                // Free: everyone on the way here takes the next one.
                let mut at = Some(j);
                while let Some(j) = at {
                    let Some(taker) = came_from[j] else { return };
                    at = partner.iter().position(|partner| *partner == Some(taker));
                    partner[j] = Some(taker);
                    if let Some(former) = at {
                        partner[former] = None;
                    }
                }
                return;
            }
        }
    }

    /// Pairs of arrays and objects that are more alike than nothing. Other values have nothing but their value, and if
    /// that is another one, they are another element.
    fn most_alike(&mut self, lists: &Lists<'_, 'c>, old: &[usize], new: &[usize]) -> Vec<(usize, usize)> {
        if self.is_weighing() {
            return Vec::new();
        }
        let is_deep = |item: &Item<'c>| matches!(item.value.kind(), Type::Array | Type::Object);
        let old: Vec<usize> = old.iter().copied().filter(|at| is_deep(&lists.old[*at])).collect();
        let new: Vec<usize> = new.iter().copied().filter(|at| is_deep(&lists.new[*at])).collect();
        let old_items: Vec<&Item<'c>> = old.iter().map(|at| &lists.old[*at]).collect();
        let new_items: Vec<&Item<'c>> = new.iter().map(|at| &lists.new[*at]).collect();
        if old.is_empty() || new.is_empty() || !self.may_align(steps_to_weigh(&old_items, &new_items)) {
            return Vec::new();
        }
        let mut weights = Vec::new();
        for (i, old) in old_items.iter().enumerate() {
            for (j, new) in new_items.iter().enumerate() {
                let apart = weight(old.value) + weight(new.value);
                let weighed = self.weigh_items(lists, old, new, apart);
                if weighed < apart && old.value.kind() == new.value.kind() {
                    weights.push((weighed, i, j));
                }
            }
        }
        weights.sort_unstable();
        let (mut old_taken, mut new_taken) = (vec![false; old.len()], vec![false; new.len()]);
        let mut pairs = Vec::new();
        for (_, i, j) in weights {
            if !old_taken[i] && !new_taken[j] {
                (old_taken[i], new_taken[j]) = (true, true);
                pairs.push((old[i], new[j]));
            }
        }
        pairs
    }
}
