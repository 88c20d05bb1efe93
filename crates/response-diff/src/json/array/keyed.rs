//! Arrays whose elements are known by fields.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::outcome::Kind;

use super::super::compare::{Comparer, Sides};
use super::super::number;
use super::super::rules::{ArrayRule, Field};
use super::super::tree::{Value, View};
use super::{Item, Lists, Matching};

impl<'c> Comparer<'c> {
    pub(super) fn keyed(&mut self, lists: &Lists<'_, 'c>, rule: &ArrayRule) {
        let mut by_key: BTreeMap<Option<String>, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for (at, item) in lists.old.iter().enumerate() {
            by_key.entry(self.key(item.value, &rule.by)).or_default().0.push(at);
        }
        for (at, item) in lists.new.iter().enumerate() {
            by_key.entry(self.key(item.value, &rule.by)).or_default().1.push(at);
        }
        let mut matching = Matching::default();
        for (key, (old, new)) in by_key {
            match (key, old.as_slice(), new.as_slice()) {
                (Some(_), [old], [new]) => matching.pairs.push((*old, *new)),
                (_, old, new) => self.among_themselves(lists, (old, new), &mut matching),
            }
            if self.is_over() {
                return;
            }
        }
        matching.pairs.sort_unstable();
        if rule.ordered && !matching.pairs.is_sorted_by_key(|(_, new)| *new) {
            self.tell(Kind::Order, Sides::Both(lists.arrays.0, lists.arrays.1));
        }
        self.tell_matching(lists, &matching);
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
