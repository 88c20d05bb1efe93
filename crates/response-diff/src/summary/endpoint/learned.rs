//! Endpoints learned from paths: a tree of segments in which a place with many values becomes `{id}`.

use std::collections::{BTreeMap, BTreeSet};

use super::segment::{ANY, canonical};
use super::{Endpoint, Fold, Limits, Method};

/// What follows the last segment that a name has room for, as in a configured template.
const REST: &str = "*";
/// A value stays a name of its own when a place is folded, if at least this many requests had it
const KEPT_REQUESTS: u64 = 20;
/// and at least one in this many of those that came through the place.
const KEPT_ONE_IN: u64 = 50;

/// One place in the tree.
#[derive(Debug, Default)]
struct Node {
    /// By canonical segment.
    children: BTreeMap<Box<str>, Node>,
    /// Names that are not among the children belong to `{id}`.
    folded: bool,
    /// The endpoints that end here.
    ends: BTreeMap<Method, End>,
}

#[derive(Debug)]
struct End {
    endpoint: Endpoint,
    requests: u64,
}

impl Node {
    fn requests(&self) -> u64 {
        let below: u64 = self.children.values().map(Node::requests).sum();
        self.ends.values().fold(below, |sum, end| sum.saturating_add(end.requests))
    }

    fn endpoints(&self) -> usize {
        self.ends.len() + self.children.values().map(Node::endpoints).sum::<usize>()
    }

    /// How many names the place has: children that are not an id, nor the slash at the end.
    fn names(&self) -> usize {
        self.children.keys().filter(|name| is_name(name)).count()
    }

    /// The child that this segment belongs to, if there is one.
    fn next_mut(&mut self, segment: &str) -> Option<&mut Node> {
        let known = self.children.contains_key(segment);
        let key = if !known && self.folded && is_name(segment) { ANY } else { segment };
        self.children.get_mut(key)
    }

    /// Makes one place of this one and another. `here` is this place's name, from which all names below follow.
    fn absorb(&mut self, other: Node, here: &str, folds: &mut Vec<Fold>) {
        for (method, end) in other.ends {
            let requests = end.requests;
            let into = self.ends.entry(method).or_insert_with(|| End {
                endpoint: Endpoint::of(method, if here.is_empty() { "/" } else { here }),
                requests: 0,
            });
            into.requests = into.requests.saturating_add(requests);
            if end.endpoint != into.endpoint {
                folds.push(Fold { from: end.endpoint, into: into.endpoint.clone() });
            }
        }
        for (segment, child) in other.children {
            // A name that was folded away here must not come back as one of its own.
            let is_gone = self.folded && is_name(&segment) && !self.children.contains_key(&segment);
            let key = if is_gone { ANY.into() } else { segment };
            let path = format!("{here}/{key}");
            self.children.entry(key).or_default().absorb(child, &path, folds);
        }
        self.folded |= other.folded;
    }

    /// Folds the names of this place into `{id}`, but for those that much of its traffic has.
    fn fold(&mut self, here: &str, limits: &Limits, folds: &mut Vec<Fold>) {
        self.folded = true;
        let whole = self.requests();
        let rare = |name: &str, node: &Node| {
            let requests = node.requests();
            is_name(name) && (requests < KEPT_REQUESTS || requests.saturating_mul(KEPT_ONE_IN) < whole)
        };
        let gone: BTreeSet<_> = self
            .children
            .iter()
            .filter(|(name, node)| rare(name, node))
            .map(|(name, _)| name.clone())
            .collect();
        let path = format!("{here}/{ANY}");
        for name in gone {
            if let Some(node) = self.children.remove(&name) {
                self.children.entry(ANY.into()).or_default().absorb(node, &path, folds);
            }
        }
        if let Some(any) = self.children.get_mut(ANY) {
            any.fold_where_wide(&path, limits, folds);
        }
    }

    /// Places below may have become too wide by being put together.
    fn fold_where_wide(&mut self, here: &str, limits: &Limits, folds: &mut Vec<Fold>) {
        if self.names() > limits.values {
            self.fold(here, limits, folds);
        } else {
            for (segment, child) in &mut self.children {
                child.fold_where_wide(&format!("{here}/{segment}"), limits, folds);
            }
        }
    }

    /// The place with the most names that may still be folded, at least `least`, as its name.
    fn widest(&self, here: &str, least: usize) -> Option<(usize, String)> {
        let below = self.children.iter();
        let below =
            below.filter_map(|(segment, child)| child.widest(&format!("{here}/{segment}"), least)).max();
        let own = (!self.folded && self.names() >= least).then(|| (self.names(), here.to_owned()));
        own.max(below)
    }

    fn walk<'n>(&'n self, here: &str, with: &mut impl FnMut(&str, &'n Node)) {
        with(here, self);
        for (segment, child) in &self.children {
            child.walk(&format!("{here}/{segment}"), with);
        }
    }
}

fn is_name(segment: &str) -> bool {
    !segment.is_empty() && segment != REST && !segment.contains('{')
}

/// All that was learned.
#[derive(Debug)]
pub(super) struct Learned {
    root: Node,
    limits: Limits,
    endpoints: usize,
    /// There is no room, and nothing to fold.
    full: bool,
}

/// Which endpoint a path belongs to.
pub(super) enum Walked {
    /// This one.
    Known(Endpoint),
    /// None yet, and it is not to be learned from.
    Unknown,
    /// A new one for which there is no room.
    Overflow,
}

impl Learned {
    pub(super) fn new(limits: Limits) -> Self {
        Learned { root: Node::default(), limits, endpoints: 0, full: false }
    }

    /// Counts one request. `learn` is whether an endpoint that is not known yet may become one.
    pub(super) fn walk(&mut self, method: Method, path: &str, learn: bool, folds: &mut Vec<Fold>) -> Walked {
        let segments = self.segments(path);
        if let Some(endpoint) = self.count_known(method, &segments) {
            return Walked::Known(endpoint);
        }
        if !learn {
            return Walked::Unknown;
        }
        if self.endpoints >= self.limits.endpoints && !self.full {
            self.make_room(folds);
            if let Some(endpoint) = self.count_known(method, &segments) {
                return Walked::Known(endpoint);
            }
        }
        if self.endpoints >= self.limits.endpoints {
            return Walked::Overflow;
        }
        self.add(method, &segments, 1);
        let mut place = String::new();
        let mut node = &mut self.root;
        for segment in &segments {
            if node.names() > self.limits.values && !node.folded {
                node.fold(&place, &self.limits, folds);
                self.endpoints = self.root.endpoints();
                break;
            }
            let key = if node.children.contains_key(segment.as_str()) { segment } else { ANY };
            let Some(next) = node.children.get_mut(key) else { break };
            place = format!("{place}/{key}");
            node = next;
        }
        match self.find(method, &segments) {
            Some(end) => Walked::Known(end.endpoint.clone()),
            None => Walked::Overflow,
        }
    }

    fn segments(&self, path: &str) -> Vec<String> {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let below_root = path.strip_prefix('/').unwrap_or(path);
        let mut parts = below_root.split('/');
        let mut segments: Vec<String> =
            parts.by_ref().take(self.limits.depth).map(|part| canonical(part).into_owned()).collect();
        if parts.next().is_some() {
            segments.push(REST.to_owned());
        }
        segments
    }

    fn find(&mut self, method: Method, segments: &[String]) -> Option<&mut End> {
        let mut node = &mut self.root;
        for segment in segments {
            node = node.next_mut(segment)?;
        }
        node.ends.get_mut(&method)
    }

    fn count_known(&mut self, method: Method, segments: &[String]) -> Option<Endpoint> {
        let end = self.find(method, segments)?;
        end.requests = end.requests.saturating_add(1);
        Some(end.endpoint.clone())
    }

    fn add(&mut self, method: Method, segments: &[String], requests: u64) {
        let mut node = &mut self.root;
        let mut place = String::new();
        for segment in segments {
            let known = node.children.contains_key(segment.as_str());
            let key = if !known && node.folded && is_name(segment) { ANY } else { segment };
            place = format!("{place}/{key}");
            node = node.children.entry(key.into()).or_default();
        }
        let before = node.ends.len();
        let new = || End { endpoint: Endpoint::of(method, &place), requests: 0 };
        let end = node.ends.entry(method).or_insert_with(new);
        end.requests = end.requests.saturating_add(requests);
        if node.ends.len() > before {
            self.endpoints += 1;
            self.full = false;
        }
    }

    /// Folds the widest place early, before endpoints are turned away.
    fn make_room(&mut self, folds: &mut Vec<Fold>) {
        let Some((_, place)) = self.root.widest("", self.limits.early_values) else {
            self.full = true;
            return;
        };
        let mut node = &mut self.root;
        for segment in place.split('/').skip(1) {
            match node.children.get_mut(segment) {
                Some(next) => node = next,
                None => return,
            }
        }
        node.fold(&place, &self.limits, folds);
        self.endpoints = self.root.endpoints();
    }

    /// All endpoints and how many requests each had.
    pub(super) fn endpoints(&self) -> Vec<(Endpoint, u64)> {
        let mut all = Vec::new();
        self.root.walk("", &mut |_, node| {
            all.extend(node.ends.values().map(|end| (end.endpoint.clone(), end.requests)));
        });
        all.sort();
        all
    }

    /// The places that have been folded, as the beginning of paths.
    pub(super) fn folded(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.root.walk("", &mut |here, node| {
            if node.folded {
                all.push(here.to_owned());
            }
        });
        all
    }

    /// Takes up what was learned before. What there is no room for is left out.
    pub(super) fn restore<'a>(
        &mut self,
        folded: impl Iterator<Item = &'a str>,
        endpoints: impl Iterator<Item = (Method, &'a str, u64)>,
    ) {
        // The names first, while every place still takes them as they are.
        for (method, template, requests) in endpoints {
            let below_root = template.strip_prefix('/').unwrap_or(template);
            let segments: Vec<_> =
                below_root.split('/').take(self.limits.depth + 1).map(str::to_owned).collect();
            if self.endpoints < self.limits.endpoints || self.find(method, &segments).is_some() {
                self.add(method, &segments, requests);
            }
        }
        for place in folded.take(self.limits.endpoints) {
            let mut node = &mut self.root;
            for segment in place.split('/').skip(1).take(self.limits.depth) {
                node = node.children.entry(segment.into()).or_default();
            }
            node.folded = true;
        }
    }
}
