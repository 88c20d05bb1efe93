//! Asking a filter about a value (RFC 9535 section 2.3.5), within a limit of steps.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::json::{Decimal, Type, Value, View};
use crate::limits::Work;

use super::Step;
use super::parser::compile_pattern;
use super::query::{Compared, Comparison, Pattern, Query, Segment, Selector, Test};

/// Steps that compiling a regular expression found in a document costs.
const PATTERN_STEPS: u64 = 5_000;

/// What one side of a comparison comes to.
#[derive(Clone, Debug)]
enum Found<'v> {
    Nothing,
    Null,
    Bool(bool),
    Number(Cow<'v, str>),
    Text(&'v str),
    /// An array or an object.
    Deep(Value<'v>),
}

impl Selector {
    /// Whether it chooses this child, to which `step` leads from a value with this many children.
    pub(crate) fn chooses(&self, step: Step<'_>, siblings: usize, child: Value<'_>, work: &mut Work) -> bool {
        match (self, step) {
            (Selector::Wildcard, _) => true,
            (Selector::Name(wanted), Step::Name(name)) => **wanted == *name,
            (Selector::Index(wanted), Step::Index(index)) => {
                let length = i64::try_from(siblings).unwrap_or(i64::MAX);
                let wanted = if *wanted < 0 { wanted + length } else { *wanted };
                usize::try_from(wanted) == Ok(index)
            }
            (Selector::Slice(slice), Step::Index(index)) => slice.has(index, siblings),
            (Selector::Filter(test), _) => test.holds(child, work),
            _ => false,
        }
    }
}

impl Test {
    /// Whether it holds of this value. When the steps run out, the answer means nothing.
    fn holds(&self, current: Value<'_>, work: &mut Work) -> bool {
        work.take(1);
        match self {
            Test::Any(parts) => parts.iter().any(|part| part.holds(current, work)),
            Test::All(parts) => parts.iter().all(|part| part.holds(current, work)),
            Test::Not(part) => !part.holds(current, work),
            Test::Exists(query) => {
                let mut found = false;
                query.visit(current, work, &mut |_| {
                    found = true;
                    false
                });
                found
            }
            Test::Compare(left, comparison, right) => {
                let (left, right) = (left.find(current, work), right.find(current, work));
                compare(&left, *comparison, &right, work)
            }
            Test::Matches { text, pattern } => {
                let Found::Text(text) = text.find(current, work) else { return false };
                work.take_bytes(text.len());
                match pattern {
                    Pattern::Fixed(pattern) => pattern.is_match(text),
                    Pattern::Found { pattern, whole } => {
                        let Found::Text(pattern) = pattern.find(current, work) else { return false };
                        work.take(PATTERN_STEPS);
                        compile_pattern(pattern, *whole).is_ok_and(|pattern| pattern.is_match(text))
                    }
                }
            }
        }
    }
}

impl Compared {
    fn find<'v>(&'v self, current: Value<'v>, work: &mut Work) -> Found<'v> {
        match self {
            Compared::Null => Found::Null,
            Compared::Bool(is) => Found::Bool(*is),
            Compared::Number(text) => Found::Number(Cow::Borrowed(text)),
            Compared::Text(text) => Found::Text(text),
            Compared::Value(query) => query.first(current, work).map_or(Found::Nothing, Found::of),
            Compared::Length(of) => match of.find(current, work) {
                Found::Text(text) => {
                    work.take_bytes(text.len());
                    Found::count(text.chars().count())
                }
                Found::Deep(value) => {
                    let count = value.elements().count() + value.members().count();
                    work.take(count as u64);
                    Found::count(count)
                }
                _ => Found::Nothing,
            },
            Compared::Count(query) => {
                let mut count = 0;
                query.visit(current, work, &mut |_| {
                    count += 1;
                    true
                });
                Found::count(count)
            }
            Compared::Only(query) => {
                let mut only = None;
                let mut count = 0;
                query.visit(current, work, &mut |value| {
                    only = Some(value);
                    count += 1;
                    count < 2
                });
                only.filter(|_| count == 1).map_or(Found::Nothing, Found::of)
            }
        }
    }
}

impl<'v> Found<'v> {
    fn of(value: Value<'v>) -> Found<'v> {
        match value.view() {
            View::Null => Found::Null,
            View::Bool(is) => Found::Bool(is),
            View::Number(text) => Found::Number(Cow::Borrowed(text)),
            View::String(text) => Found::Text(text),
            View::Array(_) | View::Object(_) => Found::Deep(value),
        }
    }

    fn count(count: usize) -> Found<'v> {
        Found::Number(Cow::Owned(count.to_string()))
    }
}

fn compare(left: &Found<'_>, comparison: Comparison, right: &Found<'_>, work: &mut Work) -> bool {
    match comparison {
        Comparison::Equal => is_equal(left, right, work),
        Comparison::NotEqual => !is_equal(left, right, work),
        Comparison::Less => is_less(left, right),
        Comparison::Greater => is_less(right, left),
        Comparison::LessOrEqual => is_less(left, right) || is_equal(left, right, work),
        Comparison::GreaterOrEqual => is_less(right, left) || is_equal(left, right, work),
    }
}

fn is_equal(left: &Found<'_>, right: &Found<'_>, work: &mut Work) -> bool {
    match (left, right) {
        (Found::Nothing, Found::Nothing) | (Found::Null, Found::Null) => true,
        (Found::Bool(left), Found::Bool(right)) => left == right,
        (Found::Number(left), Found::Number(right)) => crate::json::same_value(left, right),
        (Found::Text(left), Found::Text(right)) => left == right,
        (Found::Deep(left), Found::Deep(right)) => is_deeply_equal(*left, *right, work),
        _ => false,
    }
}

fn is_less(left: &Found<'_>, right: &Found<'_>) -> bool {
    match (left, right) {
        (Found::Number(left), Found::Number(right)) => match (Decimal::parse(left), Decimal::parse(right)) {
            (Some(left), Some(right)) => left.compare(&right) == Ordering::Less,
            _ => false,
        },
        // Bytes of UTF-8 are in the order of the characters.
        (Found::Text(left), Found::Text(right)) => left < right,
        _ => false,
    }
}

/// As RFC 9535 section 2.3.5.2.2 says. Documents nest no deeper than their limit, so neither does this.
fn is_deeply_equal(left: Value<'_>, right: Value<'_>, work: &mut Work) -> bool {
    work.take(1);
    if work.is_spent() || left.kind() != right.kind() {
        return false;
    }
    match left.kind() {
        Type::Array => {
            left.elements().count() == right.elements().count()
                && left
                    .elements()
                    .zip(right.elements())
                    .all(|(left, right)| is_deeply_equal(left, right, work))
        }
        Type::Object => {
            let count = right.members().count();
            left.members().count() == count
                && left.members().all(|(name, left)| {
                    work.take(count as u64);
                    right.member(name).is_some_and(|right| is_deeply_equal(left, right, work))
                })
        }
        _ => is_equal(&Found::of(left), &Found::of(right), work),
    }
}

impl Query {
    /// Calls with each value that it chooses, until told to stop by `false` or the steps run out.
    fn visit<'v>(&self, current: Value<'v>, work: &mut Work, found: &mut dyn FnMut(Value<'v>) -> bool) {
        let from = if self.relative { current } else { current.root() };
        visit(&self.segments, from, work, found);
    }

    /// The value that a singular query chooses.
    fn first<'v>(&self, current: Value<'v>, work: &mut Work) -> Option<Value<'v>> {
        let mut value = if self.relative { current } else { current.root() };
        for segment in &self.segments {
            value = match segment.selectors.first() {
                Some(Selector::Name(name)) => {
                    work.take(value.members().count() as u64);
                    value.member(name)?
                }
                Some(Selector::Index(index)) => {
                    let count = value.elements().count();
                    work.take(count as u64);
                    let from_end = usize::try_from(index.unsigned_abs()).ok()?;
                    let index = if *index < 0 { count.checked_sub(from_end)? } else { from_end };
                    value.elements().nth(index)?
                }
                _ => return None,
            };
        }
        Some(value)
    }
}

/// Goes on with the segments that are left; `false` when it was told to stop. It is as deep as there are segments.
fn visit<'v>(
    segments: &[Segment],
    from: Value<'v>,
    work: &mut Work,
    found: &mut dyn FnMut(Value<'v>) -> bool,
) -> bool {
    let Some((segment, rest)) = segments.split_first() else { return found(from) };
    if !segment.descendant {
        return visit_children(segment, rest, from, work, found);
    }
    from.descendants().all(|value| visit_children(segment, rest, value, work, found))
}

fn visit_children<'v>(
    segment: &Segment,
    rest: &[Segment],
    from: Value<'v>,
    work: &mut Work,
    found: &mut dyn FnMut(Value<'v>) -> bool,
) -> bool {
    for selector in &segment.selectors {
        let count = from.elements().count();
        let elements = from.elements().enumerate().map(|(index, value)| (Step::Index(index), value));
        let members = from.members().map(|(name, value)| (Step::Name(name), value));
        for (step, child) in elements.chain(members) {
            work.take(1);
            if work.is_spent() {
                return false;
            }
            if selector.chooses(step, count, child, work) && !visit(rest, child, work, found) {
                return false;
            }
        }
    }
    true
}
