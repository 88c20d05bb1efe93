//! Hashes by which the elements of arrays find those that may be the same.
//!
//! Values that are the same by the rules have the same fingerprint. The other way round it need not be so: where a
//! tolerance, a window or a filter decides, the fingerprint says no more than the type, and the values are compared.

use xxhash_rust::xxh3::xxh3_64;

use crate::path::{Place, Step};

use super::compare::Comparer;
use super::number;
use super::rules::ArrayRule;
use super::tree::{Type, Value, View};

impl Comparer<'_> {
    pub(super) fn fingerprint(&mut self, value: Value<'_>, place: &Place) -> u64 {
        self.work.take(1);
        if self.work.is_spent() {
            return 0;
        }
        let rules = self.rules;
        let options = rules.options(place);
        match value.view() {
            View::Null => mark(Type::Null),
            View::Bool(is) => mix(mark(Type::Bool), u64::from(is)),
            View::Number(text) => {
                if options.within.is_some() || options.numbers.tolerance.is_some() {
                    return mark(Type::Number);
                }
                mix(mark(Type::Number), number::hash(text))
            }
            View::String(text) => {
                self.work.take_bytes(text.len());
                if options.within.is_some() {
                    return mark(Type::String);
                }
                let hash = match options.text.is_plain() {
                    true => xxh3_64(text.as_bytes()),
                    false => xxh3_64(options.text.essence(text).as_bytes()),
                };
                mix(mark(Type::String), hash)
            }
            View::Array(_) | View::Object(_) if place.looks() => mark(value.kind()),
            View::Array(_) => self.array_fingerprint(value, place, &options.array),
            View::Object(_) => self.object_fingerprint(value, place),
        }
    }

    fn array_fingerprint(&mut self, value: Value<'_>, place: &Place, rule: &ArrayRule) -> u64 {
        let mut sum = mark(Type::Array);
        let mut elements = value.elements();
        let Some(first) = elements.next() else { return sum };
        let inner = self.rules.places().step(place, Step::Index(0), 0, first, &mut self.work);
        if self.rules.ignores(&inner) {
            return sum;
        }
        for element in value.elements() {
            let one = self.fingerprint(element, &inner);
            sum = if rule.ordered && rule.by.is_empty() {
                mix(sum, one)
            } else {
                sum.wrapping_add(mix(one, 1))
            };
        }
        sum
    }

    fn object_fingerprint(&mut self, value: Value<'_>, place: &Place) -> u64 {
        let mut sum = mark(Type::Object);
        for (name, member) in value.members() {
            let inner;
            let place = if place.is_nowhere() {
                place
            } else {
                inner = self.rules.places().step(place, Step::Name(name), 0, member, &mut self.work);
                if self.rules.ignores(&inner) {
                    continue;
                }
                &inner
            };
            if self.counts(member, place) {
                let one = self.fingerprint(member, place);
                sum = sum.wrapping_add(mix(xxh3_64(name.as_bytes()), one));
            }
        }
        sum
    }
}

fn mark(kind: Type) -> u64 {
    mix(0x9e37_79b9_7f4a_7c15, kind as u64)
}

/// Two hashes as one, the order of which counts: the two halves of their product.
pub(super) fn mix(one: u64, other: u64) -> u64 {
    let product = u128::from(one ^ 0x9e37_79b9_7f4a_7c15) * u128::from(other ^ 0xe703_7ed1_a0b4_28db);
    let [low, high] = [product, product >> 64].map(|half| u64::try_from(half & u128::from(u64::MAX)));
    low.unwrap_or(0) ^ high.unwrap_or(0)
}
