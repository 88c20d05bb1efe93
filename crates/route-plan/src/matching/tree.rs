//! The rules of one host as a tree of path segments.
//!
//! Walking it depth first, literal children before the parameter child before `/*`, visits the matching patterns from the
//! most to the least specific, so the first rule whose other conditions hold is the answer. Every node is visited at
//! most once, so no request costs more than the rules of its host, whatever its path looks like.

use std::cmp::{Ordering, Reverse};

use traffic_split::{RequestView, query_value};

use super::{RouteEntry, Target, Tie, ValueMatch};
use crate::pattern::{Decoded, End, Step, Steps};

/// What is known after some segments of a path.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// Children by decoded text, sorted.
    literals: Vec<(Box<[u8]>, Node)>,
    /// The child for any other segment.
    any: Option<Box<Node>>,
    /// Rules whose path ends here, by rank.
    end: Vec<Rule>,
    /// Rules whose path ends here with a slash, by rank.
    slash: Vec<Rule>,
    /// Rules for whatever follows, by rank.
    whatever: Vec<Rule>,
}

/// A rule but for host and path.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) target: Target,
    pub(super) entry: usize,
    methods: Vec<Box<[u8]>>,
    headers: Vec<Condition>,
    query: Vec<Condition>,
}

/// A [`ValueMatch`]; names of headers are in lower case.
#[derive(Clone, Debug)]
struct Condition {
    name: Box<str>,
    value: Option<Box<[u8]>>,
}

/// Lower is more specific: without methods, then conditions and values of the headers, then of the query.
type Rank = (bool, Reverse<(usize, usize)>, Reverse<(usize, usize)>);

impl Node {
    pub(super) fn insert(&mut self, pattern: &Steps, rule: Rule) {
        let node = pattern.steps.iter().fold(self, Node::child_for);
        let rules = match pattern.end {
            End::Nothing => &mut node.end,
            End::Slash => &mut node.slash,
            End::Whatever => &mut node.whatever,
        };
        let place = rules.partition_point(|other| (other.rank(), other.entry) < (rule.rank(), rule.entry));
        rules.insert(place, rule);
    }

    /// The most specific rule for the view's path whose conditions hold.
    pub(super) fn find(&self, view: &(impl RequestView + ?Sized)) -> Option<&Rule> {
        // The `*` of `OPTIONS *` is below no segment.
        match view.path().strip_prefix(b"/") {
            Some(below_root) => self.find_below(below_root, view),
            None => first_match(&self.whatever, view),
        }
    }

    /// Appends, for each rule here and below, the first that it ties with.
    pub(super) fn collect_ties(&self, ties: &mut Vec<Tie>) {
        for rules in [&self.end, &self.slash, &self.whatever] {
            for equals in rules.chunk_by(|left, right| left.rank() == right.rank()) {
                for (index, rule) in equals.iter().enumerate() {
                    // Within a rank the rules are in the order of their entries.
                    let earlier = equals.iter().take(index).find(|earlier| earlier.ties_with(rule));
                    ties.extend(earlier.map(|earlier| Tie { first: earlier.entry, second: rule.entry }));
                }
            }
        }
        let children = self.literals.iter().map(|(_text, child)| child).chain(self.any.as_deref());
        children.for_each(|child| child.collect_ties(ties));
    }

    fn child_for(&mut self, step: &Step) -> &mut Node {
        let Step::Literal(text) = step else { return self.any.get_or_insert_default() };
        let place = match self.literals.binary_search_by(|(other, _child)| other.cmp(text)) {
            Ok(place) => place,
            Err(place) => {
                self.literals.insert(place, (text.clone(), Node::default()));
                place
            }
        };
        &mut self.literals[place].1
    }

    fn find_below(&self, path: &[u8], view: &(impl RequestView + ?Sized)) -> Option<&Rule> {
        let exact = match next_segment(path) {
            Some((segment, rest)) => {
                let literal = self.literal(segment).and_then(|child| child.find_below(rest, view));
                literal.or_else(|| self.any.as_ref().and_then(|child| child.find_below(rest, view)))
            }
            None if view.path().ends_with(b"/") => first_match(&self.slash, view),
            None => first_match(&self.end, view),
        };
        exact.or_else(|| first_match(&self.whatever, view))
    }

    fn literal(&self, segment: &[u8]) -> Option<&Node> {
        let is_encoded = segment.contains(&b'%');
        let compare = |text: &[u8]| -> Ordering {
            if is_encoded { text.iter().copied().cmp(Decoded(segment)) } else { text.cmp(segment) }
        };
        let place = self.literals.binary_search_by(|(text, _child)| compare(text)).ok()?;
        self.literals.get(place).map(|(_text, child)| child)
    }
}

impl Rule {
    pub(super) fn new(index: usize, entry: &RouteEntry) -> Self {
        let rule = &entry.rule;
        Self {
            target: entry.target,
            entry: index,
            methods: rule.methods.iter().map(|method| method.as_bytes().into()).collect(),
            headers: rule
                .headers
                .iter()
                .map(|header| Condition::new(header, header.name.to_ascii_lowercase()))
                .collect(),
            query: rule
                .query
                .iter()
                .map(|parameter| Condition::new(parameter, parameter.name.clone()))
                .collect(),
        }
    }

    fn rank(&self) -> Rank {
        let count = |conditions: &[Condition]| {
            (conditions.len(), conditions.iter().filter(|condition| condition.value.is_some()).count())
        };
        (self.methods.is_empty(), Reverse(count(&self.headers)), Reverse(count(&self.query)))
    }

    /// Whether the conditions other than host and path hold.
    fn matches(&self, view: &(impl RequestView + ?Sized)) -> bool {
        let method_fits =
            self.methods.is_empty() || self.methods.iter().any(|method| **method == *view.method());
        let header_fits = |condition: &Condition| {
            view.header(&condition.name, 0).is_some_and(|value| condition.accepts(value.trim_ascii()))
        };
        let parameter_fits = |condition: &Condition| {
            let value = view.query().and_then(|query| query_value(query, condition.name.as_bytes()));
            value.is_some_and(|value| condition.accepts(&value))
        };
        method_fits && self.headers.iter().all(header_fits) && self.query.iter().all(parameter_fits)
    }

    /// Whether a request that both match, as far as host and path go, could not be decided between them.
    fn ties_with(&self, other: &Rule) -> bool {
        let shares_a_method = self.methods.is_empty()
            || other.methods.is_empty()
            || self.methods.iter().any(|method| other.methods.contains(method));
        self.target != other.target
            && shares_a_method
            && can_all_hold(self.headers.iter().chain(&other.headers))
            && can_all_hold(self.query.iter().chain(&other.query))
    }
}

impl Condition {
    fn new(condition: &ValueMatch, name: String) -> Self {
        let value = condition.value.as_deref().map(|value| value.as_bytes().into());
        Self { name: name.into(), value }
    }

    fn accepts(&self, value: &[u8]) -> bool {
        self.value.as_deref().is_none_or(|wanted| wanted == value)
    }
}

/// Whether no name must have two values. (Only the first value of a name counts, so two can never be had.)
fn can_all_hold<'a>(conditions: impl Iterator<Item = &'a Condition> + Clone) -> bool {
    let valued = conditions.filter(|condition| condition.value.is_some());
    valued.clone().all(|one| valued.clone().all(|other| one.name != other.name || one.value == other.value))
}

fn first_match<'a>(rules: &'a [Rule], view: &(impl RequestView + ?Sized)) -> Option<&'a Rule> {
    rules.iter().find(|rule| rule.matches(view))
}

/// The next segment that is not empty, and what follows it.
fn next_segment(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = path.iter().position(|byte| *byte != b'/')?;
    let (_slashes, path) = path.split_at_checked(start)?;
    let end = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
    path.split_at_checked(end)
}
