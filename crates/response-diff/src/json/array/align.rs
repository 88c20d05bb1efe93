//! Arrays in order: which elements are kept, which have changed places, and who stands for whom.

use super::super::compare::{Comparer, weight};
use super::{Item, Lists, MOST_SURPLUS, Matching, steps_to_weigh};

/// Cells of the table of common runs.
const MOST_CELLS: usize = 1 << 18;

impl<'c> Comparer<'c> {
    /// What is to be said of two lists that have nothing in common at their ends.
    pub(super) fn align(&mut self, lists: &Lists<'_, 'c>) -> Matching {
        let (old, new) = (lists.old.len(), lists.new.len());
        match (old, new) {
            (_, 0) => return Matching { missing: (0..old).collect(), ..Matching::default() },
            (0, _) => return Matching { added: (0..new).collect(), ..Matching::default() },
            (1, 1) => return Matching { pairs: vec![(0, 0)], ..Matching::default() },
            _ => {}
        }
        let prints = self.fingerprints(lists);
        let aligned = if self.is_turned(lists, &prints) {
            self.aligned(&lists.mirrored(), &prints.1, &prints.0).mirrored()
        } else {
            self.aligned(lists, &prints.0, &prints.1)
        };
        if old != new {
            return aligned;
        }
        let by_index =
            Matching { pairs: (0..old).map(|index| (index, index)).collect(), ..Matching::default() };
        if aligned.pairs == by_index.pairs {
            return by_index;
        }
        let most = self.weigh_matching(lists, &aligned, u64::MAX - 1);
        if self.weigh_matching(lists, &by_index, most) <= most { by_index } else { aligned }
    }

    fn aligned(&mut self, lists: &Lists<'_, 'c>, old: &[u64], new: &[u64]) -> Matching {
        let mut kept = self.kept(lists, old, new);
        let equal = self.equal_elsewhere(lists, &kept, old, new);
        let mut moved = keep_in_order(&mut kept, &equal);
        let taken = || kept.iter().chain(&moved);
        let old_left = left(old.len(), taken().map(|(old, _)| *old));
        let new_left = left(new.len(), taken().map(|(_, new)| *new));
        let likely = self.likely_pairs(lists, &old_left, &new_left);
        let likely_moved = keep_in_order(&mut kept, &likely);
        moved.extend(&likely_moved);
        let mut matching = Matching { moved: !moved.is_empty(), pairs: likely_moved, ..Matching::default() };
        let (mut old_moved, mut new_moved) = (vec![false; old.len()], vec![false; new.len()]);
        for (old, new) in moved {
            old_moved[old] = true;
            new_moved[new] = true;
        }
        kept.push((old.len(), new.len()));
        let (mut old_start, mut new_start) = (0, 0);
        for (old_end, new_end) in kept {
            let old_left: Vec<usize> = (old_start..old_end).filter(|at| !old_moved[*at]).collect();
            let new_left: Vec<usize> = (new_start..new_end).filter(|at| !new_moved[*at]).collect();
            self.pair_up(lists, &old_left, &new_left, &mut matching);
            if old_end < old.len() {
                matching.pairs.push((old_end, new_end));
            }
            (old_start, new_start) = (old_end + 1, new_end + 1);
        }
        matching
    }

    /// The longest run of elements that both have, in order.
    fn kept(&mut self, lists: &Lists<'_, 'c>, old: &[u64], new: &[u64]) -> Vec<(usize, usize)> {
        if old.len().saturating_mul(new.len()) <= MOST_CELLS {
            return self.longest_run(lists, (0, old), (0, new));
        }
        // Too many for a table: those that come once in each are kept first, then what is between them.
        let mut run = Vec::new();
        let mut anchors = unique_run(old, new);
        self.work.take((old.len() + new.len()) as u64);
        anchors.push((old.len(), new.len()));
        let (mut old_start, mut new_start) = (0, 0);
        for (old_end, new_end) in anchors {
            let (old_part, new_part) = (&old[old_start..old_end], &new[new_start..new_end]);
            if old_part.len().saturating_mul(new_part.len()) <= MOST_CELLS {
                run.extend(self.longest_run(lists, (old_start, old_part), (new_start, new_part)));
            }
            if old_end < old.len() {
                run.push((old_end, new_end));
            }
            (old_start, new_start) = (old_end + 1, new_end + 1);
        }
        run
    }

    /// The longest common run, by the table of the longest ones from each pair of positions on.
    fn longest_run(
        &mut self,
        lists: &Lists<'_, 'c>,
        (old_start, old): (usize, &[u64]),
        (new_start, new): (usize, &[u64]),
    ) -> Vec<(usize, usize)> {
        let width = new.len() + 1;
        let cells = (old.len() + 1) * width;
        self.work.take(cells as u64 / 16);
        if old.is_empty() || new.is_empty() || self.work.is_spent() {
            return Vec::new();
        }
        let mut equal = vec![false; cells];
        let mut longest = vec![0_u32; cells];
        for i in (0..old.len()).rev() {
            for j in (0..new.len()).rev() {
                let at = i * width + j;
                // A fingerprint that says little is looked behind.
                equal[at] = old[i] == new[j] && {
                    let (old, new) = (&lists.old[old_start + i], &lists.new[new_start + j]);
                    self.same_items(lists, old, new)
                };
                longest[at] = if equal[at] {
                    longest[at + width + 1] + 1
                } else {
                    longest[at + width].max(longest[at + 1])
                };
            }
        }
        let (mut i, mut j) = (0, 0);
        let mut run = Vec::new();
        while i < old.len() && j < new.len() {
            let at = i * width + j;
            if equal[at] && longest[at] == longest[at + width + 1] + 1 {
                run.push((old_start + i, new_start + j));
                (i, j) = (i + 1, j + 1);
            } else if longest[at + width] >= longest[at + 1] {
                i += 1;
            } else {
                j += 1;
            }
        }
        run
    }

    /// Pairs of equal elements that are not kept, in old's order.
    fn equal_elsewhere(
        &mut self,
        lists: &Lists<'_, 'c>,
        kept: &[(usize, usize)],
        old: &[u64],
        new: &[u64],
    ) -> Vec<(usize, usize)> {
        let new_left = left(new.len(), kept.iter().map(|(_, new)| *new));
        let mut waiting: Vec<(u64, usize)> = new_left.into_iter().map(|at| (new[at], at)).collect();
        waiting.sort_unstable();
        let mut is_taken = vec![false; waiting.len()];
        // How many of one kind are taken one behind the other, kept where the first of them is.
        let mut taken_first = vec![0; waiting.len()];
        let mut moved = Vec::new();
        for at in left(old.len(), kept.iter().map(|(old, _)| *old)) {
            let print = old[at];
            let first = waiting.partition_point(|(other, _)| *other < print);
            let mut next = first + taken_first.get(first).copied().unwrap_or(0);
            while let Some((_, candidate)) = waiting.get(next).filter(|(other, _)| *other == print) {
                self.work.take(1);
                if !is_taken[next] && self.same_items(lists, &lists.old[at], &lists.new[*candidate]) {
                    is_taken[next] = true;
                    moved.push((at, *candidate));
                    while is_taken.get(first + taken_first[first]) == Some(&true) {
                        taken_first[first] += 1;
                    }
                    break;
                }
                next += 1;
            }
            if self.work.is_spent() {
                break;
            }
        }
        moved
    }

    /// Pairs elements in order so that the least differs.
    fn pair_up(&mut self, lists: &Lists<'_, 'c>, old: &[usize], new: &[usize], matching: &mut Matching) {
        let old_items: Vec<&Item<'c>> = old.iter().map(|at| &lists.old[*at]).collect();
        let new_items: Vec<&Item<'c>> = new.iter().map(|at| &lists.new[*at]).collect();
        let is_plain = old.is_empty() || new.is_empty() || (old.len(), new.len()) == (1, 1);
        if !is_plain && self.may_align(steps_to_weigh(&old_items, &new_items)) {
            let pairs = self.cheapest_pairs(lists, &old_items, &new_items);
            matching.pairs.extend(pairs.iter().map(|(i, j)| (old[*i], new[*j])));
            let alone = |items: &[usize], paired: Vec<usize>| -> Vec<usize> {
                left(items.len(), paired.into_iter()).into_iter().map(|at| items[at]).collect()
            };
            matching.missing.extend(alone(old, pairs.iter().map(|(i, _)| *i).collect()));
            matching.added.extend(alone(new, pairs.iter().map(|(_, j)| *j).collect()));
            return;
        }
        let shorter = old.len().min(new.len());
        matching.pairs.extend(old.iter().copied().zip(new.iter().copied()));
        if shorter > 0 && old.len().abs_diff(new.len()) > MOST_SURPLUS {
            matching.surplus = true;
        } else {
            matching.missing.extend(&old[shorter..]);
            matching.added.extend(&new[shorter..]);
        }
    }

    /// The pairs of the alignment that weighs least.
    fn cheapest_pairs(
        &mut self,
        lists: &Lists<'_, 'c>,
        old: &[&Item<'c>],
        new: &[&Item<'c>],
    ) -> Vec<(usize, usize)> {
        let width = new.len() + 1;
        let mut pair_weights = vec![0_u64; (old.len() + 1) * width];
        let mut least = vec![0_u64; (old.len() + 1) * width];
        for i in (0..old.len()).rev() {
            least[i * width + new.len()] = least[(i + 1) * width + new.len()] + weight(old[i].value);
        }
        for j in (0..new.len()).rev() {
            least[old.len() * width + j] = least[old.len() * width + j + 1] + weight(new[j].value);
        }
        for i in (0..old.len()).rev() {
            for j in (0..new.len()).rev() {
                let at = i * width + j;
                let (old_alone, new_alone) = (weight(old[i].value), weight(new[j].value));
                pair_weights[at] = self.weigh_items(lists, old[i], new[j], old_alone + new_alone);
                let apart = (old_alone + least[at + width]).min(new_alone + least[at + 1]);
                least[at] = apart.min(pair_weights[at] + least[at + width + 1]);
            }
        }
        let (mut i, mut j) = (0, 0);
        let mut pairs = Vec::new();
        while i < old.len() && j < new.len() {
            let at = i * width + j;
            if least[at] == pair_weights[at] + least[at + width + 1] {
                pairs.push((i, j));
                (i, j) = (i + 1, j + 1);
            } else if least[at] == weight(old[i].value) + least[at + width] {
                i += 1;
            } else {
                j += 1;
            }
        }
        pairs
    }
}

/// Keeps of more pairs, which come in old's order, those that can be kept beside those that are; the rest has changed
/// places.
fn keep_in_order(kept: &mut Vec<(usize, usize)>, pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // Only between the same two that are kept.
    let between = |(old, new): (usize, usize)| {
        let old_before = kept.partition_point(|(kept, _)| *kept < old);
        (old_before == kept.partition_point(|(_, kept)| *kept < new)).then_some(old_before)
    };
    let in_place: Vec<_> = pairs.iter().copied().filter(|pair| between(*pair).is_some()).collect();
    let more: Vec<_> =
        in_place.chunk_by(|one, other| between(*one) == between(*other)).flat_map(longest_rising).collect();
    let moved = pairs.iter().copied().filter(|pair| more.binary_search(pair).is_err()).collect();
    kept.extend(more);
    kept.sort_unstable();
    moved
}

/// The longest run, in order, of those that come once in each of two lists (patience).
fn unique_run(old: &[u64], new: &[u64]) -> Vec<(usize, usize)> {
    let mut places: Vec<(u64, bool, usize)> = Vec::with_capacity(old.len() + new.len());
    places.extend(old.iter().enumerate().map(|(at, print)| (*print, false, at)));
    places.extend(new.iter().enumerate().map(|(at, print)| (*print, true, at)));
    places.sort_unstable();
    let mut unique: Vec<(usize, usize)> = places
        .chunk_by(|one, other| one.0 == other.0)
        .filter_map(|same| match same {
            [(_, false, old), (_, true, new)] => Some((*old, *new)),
            _ => None,
        })
        .collect();
    unique.sort_unstable();
    longest_rising(&unique)
}

/// Of pairs in the order of their first, the longest run that is in the order of their second too.
pub(super) fn longest_rising(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // For each length, the run that ends earliest, as a place in `pairs`; and what stands before each.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (at, (_, second)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| pairs[*end].1 < *second);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        if length == ends.len() {
            ends.push(at);
        } else {
            ends[length] = at;
        }
    }
    let mut run: Vec<(usize, usize)> =
        std::iter::successors(ends.last().copied(), |at| before[*at]).map(|at| pairs[at]).collect();
    run.reverse();
    run
}

/// Those of the first `count` positions that are not taken.
pub(super) fn left(count: usize, taken: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut is_left = vec![true; count];
    taken.for_each(|at| is_left[at] = false);
    (0..count).filter(|at| is_left[*at]).collect()
}
