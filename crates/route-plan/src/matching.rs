//! Which rule answers for a request.
//!
//! Every migration and every plain route brings rules; a request belongs to the most specific one that matches it, so
//! that the order of a file never matters. What cannot be decided that way is an error when the table is built, and not
//! a surprise in production.

mod tree;

use std::collections::HashMap;

use traffic_split::RequestView;

use crate::pattern::{HostPattern, PathPattern};
use tree::{Node, Rule};

/// What a request must be for a rule to match it. All of it must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// The host; `None`: any.
    pub host: Option<HostPattern>,
    /// The path.
    pub path: PathPattern,
    /// The methods, case-sensitive (RFC 9110 section 9.1); none: any.
    pub methods: Vec<String>,
    /// What header fields must hold. Names in any case; of several fields of a name the first counts.
    pub headers: Vec<ValueMatch>,
    /// What parameters of the query must hold, decoded; of several of a name the first counts.
    pub query: Vec<ValueMatch>,
}

/// A condition on a named value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueMatch {
    /// Name of the header or parameter.
    pub name: String,
    /// The value it must have, byte for byte; `None`: it must be there.
    pub value: Option<String>,
}

/// What answers for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Index into [`crate::Snapshot::migrations`].
    Migration(usize),
    /// Index into [`crate::Snapshot::routes`]: a plain route.
    Route(usize),
}

/// One rule on its way into the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    /// What messages call it: `migration.shop match 1`.
    pub label: String,
    /// What it matches.
    pub rule: Match,
    /// What it leads to.
    pub target: Target,
}

/// Two rules of equal rank and different targets that can match one request. Indices of entries, `first < second`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tie {
    /// The rule that was given first.
    pub first: usize,
    /// The other one.
    pub second: usize,
}

/// All rules, arranged for lookup.
///
/// The most specific rule that matches wins. Each line decides only where those above leave it open:
///
/// 1. **Host**: an exact one, then the wildcard with the longest suffix, then any.
/// 2. **Path**: segment by segment from the left, text before `{param}` before the end of the pattern before `/*`. So
///    exact paths come first, and of two prefixes the longer.
/// 3. **Method**: rules that name methods before those that do not.
/// 4. **Headers**: the rule with more conditions; of as many, the one with more values.
/// 5. **Query**: likewise.
///
/// Lookup costs one hash for the exact host, one for each label of the host where there are wildcards, and a binary
/// search for each segment of the path. It allocates only where a query condition meets a value that has to be decoded.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    exact_hosts: HashMap<Box<[u8]>, Node>,
    /// By the suffix behind `*.`.
    wildcards: HashMap<Box<[u8]>, Node>,
    any_host: Node,
    entries: usize,
}

/// Names in the DNS have up to 253 bytes, so a longer host is none that a rule names.
const HOST_BYTES: usize = 255;

impl RouteTable {
    /// Arranges the rules.
    ///
    /// # Errors
    /// The ties, for each rule the first, in ascending order.
    #[allow(clippy::needless_pass_by_value, reason = "the table stands for the entries from here on")]
    pub fn build(entries: Vec<RouteEntry>) -> Result<Self, Vec<Tie>> {
        let mut table = Self { entries: entries.len(), ..Self::default() };
        let mut rules: Vec<_> = entries
            .iter()
            .enumerate()
            .map(|(index, entry)| (entry.rule.path.steps(), entry, Rule::new(index, entry)))
            .collect();
        // In order, every segment goes behind its siblings instead of moving them.
        rules.sort_by(|left, right| left.0.cmp(&right.0));
        for (steps, entry, rule) in rules {
            table.host_node(entry.rule.host.as_ref()).insert(&steps, rule);
        }
        let mut ties = Vec::new();
        for node in table.exact_hosts.values().chain(table.wildcards.values()).chain([&table.any_host]) {
            node.collect_ties(&mut ties);
        }
        ties.sort_unstable();
        if ties.is_empty() { Ok(table) } else { Err(ties) }
    }

    /// The target of the most specific rule that matches, and the index of its entry; `None` when none matches.
    #[must_use]
    pub fn find(&self, view: &(impl RequestView + ?Sized)) -> Option<(Target, usize)> {
        self.find_by_host(view).or_else(|| self.any_host.find(view)).map(|rule| (rule.target, rule.entry))
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether there is no rule at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    fn find_by_host(&self, view: &(impl RequestView + ?Sized)) -> Option<&Rule> {
        if self.exact_hosts.is_empty() && self.wildcards.is_empty() {
            return None;
        }
        let mut buffer = [0; HOST_BYTES];
        let host = lower_case(view.host(), &mut buffer)?;
        let exact = self.exact_hosts.get(host).and_then(|node| node.find(view));
        exact.or_else(|| self.find_by_wildcard(host, view))
    }

    fn find_by_wildcard(&self, mut host: &[u8], view: &(impl RequestView + ?Sized)) -> Option<&Rule> {
        if self.wildcards.is_empty() {
            return None;
        }
        while let Some(dot) = host.iter().position(|byte| *byte == b'.') {
            let (label, rest) = host.split_at_checked(dot)?;
            let suffix = rest.strip_prefix(b".")?;
            let node = self.wildcards.get(suffix).filter(|_| !label.is_empty());
            if let Some(rule) = node.and_then(|node| node.find(view)) {
                return Some(rule);
            }
            host = suffix;
        }
        None
    }

    fn host_node(&mut self, host: Option<&HostPattern>) -> &mut Node {
        let key = |host: &str| host.to_ascii_lowercase().into_bytes().into_boxed_slice();
        match host {
            None => &mut self.any_host,
            Some(HostPattern::Exact(host)) => self.exact_hosts.entry(key(host)).or_default(),
            Some(HostPattern::Wildcard(suffix)) => self.wildcards.entry(key(suffix)).or_default(),
        }
    }
}

/// The host in lower case and without a dot at its end; `None` when it is empty or too long.
fn lower_case<'a>(host: &[u8], buffer: &'a mut [u8; HOST_BYTES]) -> Option<&'a [u8]> {
    let host = host.strip_suffix(b".").unwrap_or(host);
    let lower = buffer.get_mut(..host.len()).filter(|lower| !lower.is_empty())?;
    lower.copy_from_slice(host);
    lower.make_ascii_lowercase();
    Some(lower)
}

#[cfg(test)]
mod tests;
