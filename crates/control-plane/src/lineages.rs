//! Which migration is which, whatever it is called: a number for each that it keeps under another name, and while it is
//! gone from the file. By it the data plane finds out how the migration stands that a tunnel began under.

use std::collections::BTreeMap;

/// The numbers, by the present names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lineages {
    known: BTreeMap<String, u64>,
    last: u64,
}

impl Lineages {
    /// The number of the migration of this name; a new one where it was never seen.
    pub(crate) fn of(&mut self, name: &str) -> u64 {
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        self.last += 1;
        self.known.insert(name.to_owned(), self.last);
        self.last
    }

    /// Migrations go on under another name, all at once: now and before.
    pub(crate) fn rename(&mut self, renamed: &[(String, String)]) {
        let moved: Vec<_> = renamed.iter().map(|(now, was)| (now.clone(), self.known.remove(was))).collect();
        for (now, number) in moved {
            if let Some(number) = number {
                self.known.insert(now, number);
            }
        }
    }

    /// Forgets those that nobody remembers any more.
    pub(crate) fn retain(&mut self, is_known: impl Fn(&str) -> bool) {
        self.known.retain(|name, _| is_known(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(now, was)| ((*now).to_owned(), (*was).to_owned())).collect()
    }

    #[test]
    fn a_number_stays_with_a_migration_under_whatever_name() {
        let mut lineages = Lineages::default();
        assert_eq!(["a", "b", "a"].map(|name| lineages.of(name)), [1, 2, 1]);
        lineages.rename(&pairs(&[("c", "a")]));
        assert_eq!(["c", "b", "a"].map(|name| lineages.of(name)), [1, 2, 3], "another one is called `a` now");
        lineages.rename(&pairs(&[("b", "c"), ("c", "b")]));
        assert_eq!(["b", "c"].map(|name| lineages.of(name)), [1, 2], "two that change places");
        lineages.retain(|name| name != "b");
        assert_eq!(["c", "b"].map(|name| lineages.of(name)), [2, 4], "and no number comes back");
    }
}
