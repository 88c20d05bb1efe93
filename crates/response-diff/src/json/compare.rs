//! Two documents held against each other.
//!
//! The walk is as deep as the documents, which parsing has bounded. It runs in one of two ways: it tells each difference,
//! or it weighs how much two values differ, which is how elements of arrays find their partners. Both walk alike, so that
//! values weigh nothing exactly when there is nothing to tell.

use crate::findings::Findings;
use crate::limits::Work;
use crate::outcome::{Difference, Kind};
use crate::path::{Place, Step, concrete, normalised};
use crate::{Limits, NotCompared};

use super::leftovers;
use super::rules::{JsonRules, Options};
use super::tree::{Json, Type, Value, View};

/// The differences between old's document and new's, at most as many as the limits allow. None: they match.
///
/// # Errors
///
/// [`NotCompared::Work`] when it takes more steps than the limit. Nothing is known then.
pub fn differences(
    old: &Json<'_>,
    new: &Json<'_>,
    rules: &JsonRules,
    limits: &Limits,
) -> Result<Vec<Difference>, NotCompared> {
    let mut findings = Findings::new(limits);
    compare(old, new, rules, limits, &mut findings)?;
    Ok(findings.into_list())
}

/// As [`differences`], added to what was found already. What was told before the steps ran out is so all the same.
pub(crate) fn compare(
    old: &Json<'_>,
    new: &Json<'_>,
    rules: &JsonRules,
    limits: &Limits,
    findings: &mut Findings,
) -> Result<(), NotCompared> {
    let mut work = Work::new(limits);
    let mapped = rules.map().apply(old, &mut work);
    let old = mapped.as_ref().map_or(old, |mapped| &mapped.json);
    let other = if rules.is_of_old_alone() { rules.map().apply(new, &mut work) } else { None };
    let new = other.as_ref().map_or(new, |mapped| &mapped.json);
    let mut comparer = Comparer {
        rules,
        align_left: limits.work / 8,
        work,
        shown: limits.shown,
        findings,
        steps: Vec::new(),
        weighing: None,
    };
    let start = rules.places().start().clone();
    let (old, new) = (old.root(), new.root());
    // What is chosen at the document itself.
    if !rules.ignores(&start) {
        comparer.pair(old, new, &start);
        let left = [&mapped, &other].map(|mapped| mapped.as_ref().map_or(&[][..], |mapped| &mapped.left));
        leftovers::compare(&mut comparer, left, &start);
    }
    if comparer.work.is_spent() { Err(NotCompared::Work) } else { Ok(()) }
}

pub(super) struct Comparer<'c> {
    pub(super) rules: &'c JsonRules,
    pub(super) work: Work,
    /// Steps that may still be spent on finding better partners, of all that there are.
    pub(super) align_left: u64,
    shown: usize,
    findings: &'c mut Findings,
    /// The way to the pair that is looked at, with new's indexes.
    pub(super) steps: Vec<Step<'c>>,
    weighing: Option<Weighing>,
}

/// How much two values differ, as far as it matters.
#[derive(Clone, Copy)]
struct Weighing {
    sum: u64,
    /// More than this is as good as anything more.
    most: u64,
}

/// A value that only one of two has: what it weighs.
pub(super) fn weight(value: Value<'_>) -> u64 {
    1 + value.span() as u64 / 2
}

/// The two of a pair, or the one where the other is missing.
#[derive(Clone, Copy)]
pub(super) enum Sides<'c> {
    Both(Value<'c>, Value<'c>),
    Old(Value<'c>),
    New(Value<'c>),
}

impl<'c> Comparer<'c> {
    /// How much is found to differ, at most one more than `most`.
    pub(super) fn weigh_all(&mut self, most: u64, look: impl FnOnce(&mut Self)) -> u64 {
        let outer = self.weighing.replace(Weighing { sum: 0, most });
        look(self);
        let inner = std::mem::replace(&mut self.weighing, outer);
        inner.map_or(0, |weighing| weighing.sum.min(most.saturating_add(1)))
    }

    /// What has been weighed so far.
    pub(super) fn weighed(&self) -> u64 {
        self.weighing.map_or(0, |weighing| weighing.sum)
    }

    /// Whether anything at all that differs is enough.
    pub(super) fn is_only_asked_for_sameness(&self) -> bool {
        self.weighing.is_some_and(|weighing| weighing.most == 0)
    }

    pub(super) fn is_weighing(&self) -> bool {
        self.weighing.is_some()
    }

    /// Whether nothing more can be found that matters.
    pub(super) fn is_over(&self) -> bool {
        self.work.is_spent()
            || match self.weighing {
                Some(weighing) => weighing.sum > weighing.most,
                None => self.findings.is_full(),
            }
    }

    /// A difference at the pair that is looked at.
    pub(super) fn tell(&mut self, kind: Kind, sides: Sides<'c>) {
        let (old, new) = match sides {
            Sides::Both(old, new) => (Some(old), Some(new)),
            Sides::Old(old) => (Some(old), None),
            Sides::New(new) => (None, Some(new)),
        };
        if let Some(weighing) = &mut self.weighing {
            let weights: u64 = old.iter().chain(&new).map(|value| weight(*value)).sum();
            weighing.sum += match kind {
                Kind::Missing | Kind::Added => weights,
                // An array or an object and something else are further apart than two that have no partner.
                Kind::Type if weights > 2 => weights + 1,
                _ => 1,
            };
            return;
        }
        // What was found after the steps ran out may not be so.
        if self.work.is_spent() {
            return;
        }
        let path = normalised(self.steps.iter().copied());
        let at = concrete(self.steps.iter().copied());
        let show = |value: Option<Value<'_>>| value.map(|value| value.shortened(self.shown));
        let (old, new) = (show(old), show(new));
        self.findings.push_at(&path, &at, kind, old.as_deref(), new.as_deref());
    }

    /// A difference one step further.
    pub(super) fn tell_at(&mut self, step: Step<'c>, kind: Kind, sides: Sides<'c>) {
        self.steps.push(step);
        self.tell(kind, sides);
        self.steps.pop();
    }

    /// A pair one step further.
    pub(super) fn pair_at(&mut self, step: Step<'c>, old: Value<'c>, new: Value<'c>, place: &Place) {
        self.steps.push(step);
        self.pair(old, new, place);
        self.steps.pop();
    }

    pub(super) fn pair(&mut self, old: Value<'c>, new: Value<'c>, place: &Place) {
        self.work.take(1);
        if self.is_over() || self.is_same_source(old, new) {
            return;
        }
        let rules = self.rules;
        let options = rules.options(place);
        match (old.view(), new.view()) {
            (View::Object(_), View::Object(_)) => self.objects(old, new, place),
            (View::Array(_), View::Array(_)) => self.arrays(old, new, place, &options.array),
            (old_view, new_view) => {
                if let Some((kind, sides)) = self.scalars((old, old_view), (new, new_view), &options) {
                    self.tell(kind, sides);
                }
            }
        }
    }

    /// The same text is the same value by any rules.
    fn is_same_source(&mut self, old: Value<'c>, new: Value<'c>) -> bool {
        let (old_json, new_json) = (old.json(), new.json());
        let sources = (old_json.source(old_json.node(old.at())), new_json.source(new_json.node(new.at())));
        let (Some(old), Some(new)) = sources else { return false };
        if old.len() != new.len() {
            return false;
        }
        let same = old == new;
        self.work.take(old.len() as u64 / if same { 4096 } else { 1024 });
        same
    }

    fn scalars(
        &mut self,
        (old, old_view): (Value<'c>, View<'c>),
        (new, new_view): (Value<'c>, View<'c>),
        options: &Options,
    ) -> Option<(Kind, Sides<'c>)> {
        let both = Sides::Both(old, new);
        // Only a member can be absent: a document is there, and so is an element.
        let null_is_absent = options.null_is_absent && matches!(self.steps.last(), Some(Step::Name(_)));
        match (old_view, new_view) {
            (View::Null, View::Null) => None,
            (View::Null, _) if null_is_absent => Some((Kind::Added, Sides::New(new))),
            (_, View::Null) if null_is_absent => Some((Kind::Missing, Sides::Old(old))),
            (View::Bool(old), View::Bool(new)) => (old != new).then_some((Kind::Value, both)),
            (View::Number(old), View::Number(new)) => {
                self.work.take_bytes(old.len() + new.len());
                let same = old == new || options.same_number(old, new);
                (!same).then_some((Kind::Value, both))
            }
            (View::String(old), View::String(new)) => {
                self.work.take_bytes(old.len() + new.len());
                let same = old == new || options.same_text(old, new);
                (!same).then_some((Kind::Value, both))
            }
            _ => Some((Kind::Type, both)),
        }
    }

    /// Members are the same when they have the same name. Of a name that comes several times, each is compared with the
    /// one that has come as often before.
    fn objects(&mut self, old: Value<'c>, new: Value<'c>, place: &Place) {
        let (mut old_members, mut new_members) = (old.members(), new.members());
        loop {
            let (mut old_next, mut new_next) = (old_members, new_members);
            match (old_next.next(), new_next.next()) {
                (Some((old_name, old)), Some((new_name, new))) if old_name == new_name => {
                    (old_members, new_members) = (old_next, new_next);
                    self.member(old_name, Sides::Both(old, new), place);
                }
                (None, None) => return,
                _ => break,
            }
            if self.is_over() {
                return;
            }
        }
        let (old, new): (Vec<_>, Vec<_>) = (old_members.collect(), new_members.collect());
        self.members_in_any_order(&old, &new, place);
    }

    fn members_in_any_order(
        &mut self,
        old: &[(&'c str, Value<'c>)],
        new: &[(&'c str, Value<'c>)],
        place: &Place,
    ) {
        self.work.take((old.len() + new.len()) as u64);
        let mut by_name: Vec<(&str, usize)> =
            new.iter().enumerate().map(|(index, (name, _))| (*name, index)).collect();
        by_name.sort_unstable();
        // How many members of a name were taken, kept where the first of them stands.
        let mut taken = vec![0_usize; by_name.len()];
        let mut is_taken = vec![false; new.len()];
        for &(name, old) in old {
            let first = by_name.partition_point(|(known, _)| *known < name);
            let partner = taken.get(first).and_then(|taken| by_name.get(first + taken));
            match partner.filter(|(known, _)| *known == name) {
                Some(&(_, index)) => {
                    taken[first] += 1;
                    is_taken[index] = true;
                    self.member(name, Sides::Both(old, new[index].1), place);
                }
                None => self.member(name, Sides::Old(old), place),
            }
            if self.is_over() {
                return;
            }
        }
        for ((name, new), _) in new.iter().zip(is_taken).filter(|(_, taken)| !taken) {
            self.member(name, Sides::New(*new), place);
        }
    }

    fn member(&mut self, name: &'c str, sides: Sides<'c>, place: &Place) {
        let inner;
        let place = if place.is_nowhere() {
            place
        } else {
            inner = self.member_place(name, sides, place);
            if self.rules.ignores(&inner) {
                return;
            }
            &inner
        };
        match sides {
            Sides::Both(old, new) => self.pair_at(Step::Name(name), old, new, place),
            Sides::Old(value) if self.counts(value, place) => {
                self.tell_at(Step::Name(name), Kind::Missing, sides);
            }
            Sides::New(value) if self.counts(value, place) => {
                self.tell_at(Step::Name(name), Kind::Added, sides);
            }
            Sides::Old(_) | Sides::New(_) => self.work.take(1),
        }
    }

    /// Whether a member that the other side does not have is a difference.
    pub(super) fn counts(&self, value: Value<'_>, place: &Place) -> bool {
        value.kind() != Type::Null || !self.rules.options(place).null_is_absent
    }

    fn member_place(&mut self, name: &str, sides: Sides<'c>, place: &Place) -> Place {
        let places = self.rules.places();
        let mut step = |child: Value<'_>| places.step(place, Step::Name(name), 0, child, &mut self.work);
        match sides {
            Sides::Old(child) | Sides::New(child) => step(child),
            Sides::Both(old, new) => {
                let one = step(old);
                if place.looks() { places.both(one, &step(new)) } else { one }
            }
        }
    }
}
