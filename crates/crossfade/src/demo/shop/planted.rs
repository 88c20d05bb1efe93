//! What is planted in the shops for comparing to find, and how much of it was found.

use admin_api::DiffsGroup;

/// One place in which answers differ, in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::demo) struct Planted {
    endpoint: &'static str,
    /// The place, as comparing names it.
    pub(in crate::demo) path: &'static str,
    kind: &'static str,
}

const fn planted(endpoint: &'static str, path: &'static str, kind: &'static str) -> Planted {
    Planted { endpoint, path, kind }
}

const LIST: &str = "GET /products";
const PRODUCT: &str = "GET /products/{id}";

/// What is wrong with the new shop at first: prices are rounded, notes forgotten, and the list does not say how long it may
/// be kept.
pub(in crate::demo) const FAULTS: [Planted; 5] = [
    planted(PRODUCT, "$.price", "value"),
    planted(PRODUCT, "$.note", "missing"),
    planted(LIST, "$[*].price", "value"),
    planted(LIST, "$[*].note", "missing"),
    planted(LIST, "header:cache-control", "missing"),
];

/// What differs between any two answers, also of old: the number of a quote and the time of its price.
pub(in crate::demo) const NOISE: [Planted; 2] =
    [planted(PRODUCT, "$.quote", "value"), planted(PRODUCT, "$.priced_at", "value")];

/// How much of it was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::demo) struct Found {
    /// Faults with a group.
    pub(in crate::demo) faults: usize,
    /// Noise that is known to be noise.
    pub(in crate::demo) noise: usize,
}

impl Found {
    /// In these groups.
    pub(in crate::demo) fn among(groups: &[DiffsGroup]) -> Found {
        let is_found = |one: &&Planted| groups.iter().any(|group| one.is(group));
        let is_known = |one: &&Planted| groups.iter().any(|group| one.is(group) && is_noise(group));
        Found { faults: FAULTS.iter().filter(is_found).count(), noise: NOISE.iter().filter(is_known).count() }
    }

    /// Every fault.
    pub(in crate::demo) fn has_all_faults(self) -> bool {
        self.faults == FAULTS.len()
    }

    /// All the noise.
    pub(in crate::demo) fn has_all_noise(self) -> bool {
        self.noise == NOISE.len()
    }
}

/// A group that should not be: it was not planted, or it is a fault and taken for noise.
pub(in crate::demo) fn invented(groups: &[DiffsGroup]) -> Option<&DiffsGroup> {
    groups.iter().filter(|group| group.count > 0).find(|group| {
        let is_fault = FAULTS.iter().any(|one| one.is(group));
        let was_planted = is_fault || NOISE.iter().any(|one| one.is(group));
        !was_planted || is_fault && is_noise(group)
    })
}

/// Whether it is known to be noise.
pub(in crate::demo) fn is_noise(group: &DiffsGroup) -> bool {
    group.noise.state == "noise"
}

impl Planted {
    fn is(&self, group: &DiffsGroup) -> bool {
        group.count > 0
            && (&*group.endpoint, &*group.path, group.kind) == (self.endpoint, self.path, self.kind)
    }
}

#[cfg(test)]
pub(in crate::demo) mod tests {
    use admin_api::DiffsNoise;

    use super::*;

    /// A group of this place.
    pub(in crate::demo) fn group(place: Planted, state: &'static str) -> DiffsGroup {
        let confidence = (state == "noise").then_some(0.9921);
        DiffsGroup {
            endpoint: place.endpoint.to_owned(),
            path: place.path.to_owned(),
            kind: place.kind,
            count: 412,
            comparisons: 4870,
            share: 412.0 / 4870.0,
            races: 0,
            first_seen_ms: 0,
            last_seen_ms: 0,
            noise: DiffsNoise {
                state,
                at_least: 1,
                reaching: 412,
                confidence,
                needs: None,
                old_pairs: 31,
                old_differ: 31,
                new_pairs: 4870,
                new_differ: 4870,
            },
            samples: Vec::new(),
        }
    }

    #[test]
    fn what_is_planted_is_looked_for_in_its_place() {
        let mut groups: Vec<_> = FAULTS.iter().map(|one| group(*one, "unknown")).collect();
        groups.extend(NOISE.iter().map(|one| group(*one, "noise")));
        let found = Found::among(&groups);
        assert_eq!(found, Found { faults: 5, noise: 2 });
        assert!(found.has_all_faults() && found.has_all_noise() && invented(&groups).is_none());
        groups[6].noise.state = "unknown";
        groups[0].kind = "type";
        let found = Found::among(&groups);
        assert_eq!(found, Found { faults: 4, noise: 1 });
        assert!(!found.has_all_faults() && !found.has_all_noise());
        assert_eq!(invented(&groups).map(|group| group.kind), Some("type"), "nobody planted that");
    }

    #[test]
    fn a_fault_that_is_taken_for_noise_is_an_error_and_a_race_is_none() {
        let groups = [group(FAULTS[4], "noise")];
        assert_eq!(invented(&groups).map(|group| &*group.path), Some("header:cache-control"));
        let race = DiffsGroup { count: 0, races: 3, ..group(planted(LIST, "status", "value"), "unknown") };
        assert!(invented(&[race]).is_none());
    }
}
