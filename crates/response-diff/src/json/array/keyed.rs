//! Arrays whose elements are known by fields.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::compare::Comparer;
use super::super::number;
use super::super::rules::{ArrayRule, Field};
use super::super::tree::{Value, View};
use super::{Item, Lists, Matching};

/// By key, the positions in both lists. Elements without a key are together.
pub(super) type Groups = BTreeMap<Option<String>, (Vec<usize>, Vec<usize>)>;

impl<'c> Comparer<'c> {
    pub(super) fn keyed(&mut self, lists: &Lists<'_, 'c>, rule: &ArrayRule) {
        let groups = self.groups_by_key(lists, rule);
        let mut matching = Matching { pairs: pairs_of_one(&groups), ..Matching::default() };
        matching.moved = rule.ordered && !is_in_order(&matching.pairs);
        for (key, (old, new)) in groups {
            if !is_pair(&key, &old, &new) {
                self.among_themselves(lists, (&old, &new), &mut matching);
            }
            if self.is_over() {
                return;
            }
        }
        self.tell_matching(lists, &matching);
    }

    pub(super) fn groups_by_key(&mut self, lists: &Lists<'_, 'c>, rule: &ArrayRule) -> Groups {
        let mut groups = Groups::new();
        for (at, item) in lists.old.iter().enumerate() {
            groups.entry(self.key(item.value, &rule.by)).or_default().0.push(at);
        }
        for (at, item) in lists.new.iter().enumerate() {
            groups.entry(self.key(item.value, &rule.by)).or_default().1.push(at);
        }
        groups
    }

    /// Elements without a key, or of a key that comes several times.
    fn among_themselves(
        &mut self,
        lists: &Lists<'_, 'c>,
        (old, new): (&[usize], &[usize]),
        matching: &mut Matching,
    ) {
        let pick = |items: &[Item<'c>], at: &[usize]| -> Vec<Item<'c>> {
            at.iter().map(|at| items[*at].clone()).collect()
        };
        let (old_items, new_items) = (pick(lists.old, old), pick(lists.new, new));
        let among = self.unordered(&Lists { old: &old_items, new: &new_items, ..*lists });
        matching.pairs.extend(among.pairs.iter().map(|(i, j)| (old[*i], new[*j])));
        matching.missing.extend(among.missing.iter().map(|i| old[*i]));
        matching.added.extend(among.added.iter().map(|j| new[*j]));
    }

    /// What an element is known by. `None` when it lacks one of the fields, or one of them is `null`, an array or an
    /// object: those name nothing.
    fn key(&mut self, element: Value<'_>, by: &[Field]) -> Option<String> {
        let mut key = String::new();
        for field in by {
            let mut value = element;
            for name in field {
                self.work.take(1 + value.span() as u64 / 16);
                value = value.member(name)?;
            }
            match value.view() {
                View::Bool(is) => {
                    let _ = write!(key, "{is};");
                }
                // However a number is written, it is the same key.
                View::Number(text) => {
                    let _ = write!(key, "#{};", number::canonical(text));
                }
                // With its length, so that no two lists of fields make one key.
                View::String(text) => {
                    let _ = write!(key, "{}:{text};", text.len());
                }
                View::Null | View::Array(_) | View::Object(_) => return None,
            }
        }
        Some(key)
    }
}

/// The pairs of elements whose key comes once on both sides. Only their order is that of the arrays: of others it cannot
/// be said which is which.
pub(super) fn pairs_of_one(groups: &Groups) -> Vec<(usize, usize)> {
    let pairs = groups.iter().filter(|(key, (old, new))| is_pair(key, old, new));
    let mut pairs: Vec<(usize, usize)> = pairs.map(|(_, (old, new))| (old[0], new[0])).collect();
    pairs.sort_unstable();
    pairs
}

/// Whether pairs in old's order are in new's.
pub(super) fn is_in_order(pairs: &[(usize, usize)]) -> bool {
    pairs.is_sorted_by_key(|(_, new)| *new)
}

fn is_pair(key: &Option<String>, old: &[usize], new: &[usize]) -> bool {
    key.is_some() && old.len() == 1 && new.len() == 1
}
