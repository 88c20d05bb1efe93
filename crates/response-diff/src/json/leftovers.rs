//! What a `map` leaves beside a value that it unwraps, where that value has no members to which it could be added.
//!
//! It is compared in the place that it had, with nothing, since new has no such place. When both documents are old's, it
//! is compared with what is left of the other one there.

use std::cmp::Ordering;

use crate::outcome::Kind;
use crate::path::{Place, Step};

use super::compare::{Comparer, Sides};
use super::map::Left;
use super::tree::Value;

/// Tells all differences in what is left of two documents.
pub(super) fn compare<'c>(comparer: &mut Comparer<'c>, left: [&'c [Left<'_>]; 2], start: &Place) {
    match left {
        // Told as they are found, so that there is no more of them at a time than one.
        [old, []] => each(comparer, old, start, &mut |comparer, one| tell(comparer, Some(one), None)),
        [[], new] => each(comparer, new, start, &mut |comparer, one| tell(comparer, None, Some(one))),
        both => in_pairs(comparer, both, start),
    }
}

fn in_pairs<'c>(comparer: &mut Comparer<'c>, left: [&'c [Left<'_>]; 2], start: &Place) {
    let [mut old, mut new] = left.map(|left| {
        let mut list = Vec::new();
        each(comparer, left, start, &mut |comparer, one| {
            // To be sorted, the ways are compared to the letter.
            let names = one.steps.iter().map(|step| if let Step::Name(name) = step { name.len() } else { 0 });
            comparer.work.take_bytes(names.sum());
            list.push(one);
        });
        // Stable: of places that have the same name twice, the first are compared with each other.
        list.sort_by(|one, other| one.steps.cmp(&other.steps));
        list.into_iter().peekable()
    });
    while !comparer.is_over() {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.steps.cmp(&other.steps),
        };
        let one = if order.is_le() { old.next() } else { None };
        let other = if order.is_ge() { new.next() } else { None };
        tell(comparer, one, other);
    }
}

/// One value that is left.
struct Leftover<'c> {
    steps: Vec<Step<'c>>,
    value: Value<'c>,
    place: Place,
}

fn tell<'c>(comparer: &mut Comparer<'c>, old: Option<Leftover<'c>>, new: Option<Leftover<'c>>) {
    let outer = std::mem::take(&mut comparer.steps);
    match (old, new) {
        (Some(old), Some(new)) => {
            comparer.steps = old.steps;
            comparer.pair(old.value, new.value, &old.place);
        }
        (Some(old), None) if comparer.counts(old.value, &old.place) => {
            comparer.steps = old.steps;
            comparer.tell(Kind::Missing, Sides::Old(old.value));
        }
        (None, Some(new)) if comparer.counts(new.value, &new.place) => {
            comparer.steps = new.steps;
            comparer.tell(Kind::Added, Sides::New(new.value));
        }
        _ => comparer.work.take(1),
    }
    comparer.steps = outer;
}

/// What is done with each value that is left.
type Found<'f, 'c> = dyn FnMut(&mut Comparer<'c>, Leftover<'c>) + 'f;

fn each<'c>(comparer: &mut Comparer<'c>, left: &'c [Left<'_>], start: &Place, found: &mut Found<'_, 'c>) {
    for Left { json, places } in left {
        Walk { way: Vec::new(), found }.look_into(comparer, json.root(), places, start);
    }
}

struct Walk<'f, 'c, 'd> {
    way: Vec<Step<'c>>,
    found: &'f mut Found<'d, 'c>,
}

impl<'c> Walk<'_, 'c, '_> {
    /// Goes where something is left, and nowhere else.
    fn look_into(&mut self, comparer: &mut Comparer<'c>, value: Value<'c>, places: &[usize], place: &Place) {
        let json = value.json();
        let siblings = value.elements().count();
        let elements = value.elements().enumerate().map(|(index, child)| (Step::Index(index), child));
        let members = value.members().map(|(name, child)| (Step::Name(name), child));
        let mut places = places;
        for (step, child) in elements.chain(members) {
            comparer.work.take(1);
            let inside = places.partition_point(|at| *at < json.after(child.at()));
            let (here, behind) = places.split_at(inside);
            places = behind;
            if comparer.is_over() {
                return;
            }
            if here.is_empty() {
                continue;
            }
            let inner = comparer.rules.places().step(place, step, siblings, child, &mut comparer.work);
            if comparer.rules.ignores(&inner) {
                continue;
            }
            self.way.push(step);
            if here.first() == Some(&child.at()) {
                let steps = self.way.clone();
                (self.found)(comparer, Leftover { steps, value: child, place: inner });
            } else {
                self.look_into(comparer, child, here, &inner);
            }
            self.way.pop();
        }
    }
}
