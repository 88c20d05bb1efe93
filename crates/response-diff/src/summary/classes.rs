//! What became of each shadowed request: exactly one class.

use std::collections::BTreeMap;
use std::fmt;

use route_plan::NotCopied;

use super::endpoint::{Endpoint, Fold};
use crate::NotCompared;

/// What became of one shadowed request, when nothing more is to come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Both answers were the same by the rules.
    Matched,
    /// They differed, and not by noise alone.
    Mismatched,
    /// They differed only where old differs from itself.
    Noise,
    /// They differed, and no longer did when both were asked again.
    Race,
    /// No judgement was possible.
    NotCompared(Why),
}

impl Class {
    /// The word in reports and for the label `result`; the reason of what was not compared is [`Why::as_str`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Matched => "matched",
            Class::Mismatched => "mismatched",
            Class::Noise => "noise",
            Class::Race => "race",
            Class::NotCompared(_) => "not_compared",
        }
    }

    /// Every class, those not compared once for each reason.
    pub fn all() -> impl Iterator<Item = Class> {
        let judged = [Class::Matched, Class::Mismatched, Class::Noise, Class::Race];
        judged.into_iter().chain(Why::all().map(Class::NotCompared))
    }

    const fn index(self) -> usize {
        match self {
            Class::Matched => 0,
            Class::Mismatched => 1,
            Class::Noise => 2,
            Class::Race => 3,
            Class::NotCompared(why) => 4 + why.index(),
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Class::NotCompared(why) => write!(f, "not compared ({why})"),
            Class::Mismatched | Class::Matched | Class::Noise | Class::Race => f.pad(self.as_str()),
        }
    }
}

/// Why a request that would have been shadowed was not, or its answers were not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// No copy was sent, or it was given up, or its answer was not compared.
    Copy(NotCopied),
    /// There were two answers, and they could not be held against each other.
    Answers(NotCompared),
}

impl Why {
    const COUNT: usize = NotCopied::ALL.len() + NotCompared::ALL.len();

    /// Every reason.
    pub fn all() -> impl Iterator<Item = Why> {
        let copy = NotCopied::ALL.into_iter().map(Why::Copy);
        copy.chain(NotCompared::ALL.into_iter().map(Why::Answers))
    }

    /// The word in reports and for the label `reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Why::Copy(why) => why.as_str(),
            Why::Answers(why) => why.as_str(),
        }
    }

    const fn index(self) -> usize {
        match self {
            Why::Copy(why) => why as usize,
            Why::Answers(why) => NotCopied::ALL.len() + why as usize,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How many requests ended in each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassCounts([u64; 4 + Why::COUNT]);

impl Default for ClassCounts {
    fn default() -> Self {
        ClassCounts([0; 4 + Why::COUNT])
    }
}

impl ClassCounts {
    /// Counts one request.
    pub fn count(&mut self, class: Class) {
        self.add(class, 1);
    }

    /// Counts several requests of one class, as when counts are restored.
    pub fn add(&mut self, class: Class, requests: u64) {
        let count = &mut self.0[class.index()];
        *count = count.saturating_add(requests);
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &ClassCounts) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.saturating_add(theirs);
        }
    }

    /// How many ended in this class.
    #[must_use]
    pub const fn of(&self, class: Class) -> u64 {
        self.0[class.index()]
    }

    /// All that ended: the sum over all classes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those of which both answers were held against each other, whatever came of it.
    #[must_use]
    pub const fn compared(&self) -> u64 {
        self.judged() + self.of(Class::Noise) + self.of(Class::Race)
    }

    /// Those that say something about new: matched and mismatched. Noise and races never count.
    #[must_use]
    pub const fn judged(&self) -> u64 {
        self.of(Class::Matched) + self.of(Class::Mismatched)
    }

    /// Those that could not be judged, for whatever reason.
    #[must_use]
    pub fn not_compared(&self) -> u64 {
        self.0.iter().skip(4).sum()
    }

    /// The classes that anything ended in, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (Class, u64)> + '_ {
        Class::all().map(|class| (class, self.of(class))).filter(|(_, count)| *count > 0)
    }
}

/// What became of the shadowed requests of one migration, by endpoint. The endpoints always sum up to the whole.
///
/// Bounded by the number of endpoints, which [`super::Endpoints`] bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    total: ClassCounts,
    endpoints: BTreeMap<Endpoint, ClassCounts>,
}

impl Tally {
    /// Counts one request of this endpoint, when it is known what becomes of it.
    pub fn count(&mut self, endpoint: &Endpoint, class: Class) {
        self.add(endpoint, class, 1);
    }

    /// Counts several requests, as when counts are restored.
    pub fn add(&mut self, endpoint: &Endpoint, class: Class, requests: u64) {
        self.total.add(class, requests);
        match self.endpoints.get_mut(endpoint) {
            Some(counts) => counts.add(class, requests),
            None => self.endpoints.entry(endpoint.clone()).or_default().add(class, requests),
        }
    }

    /// Carries out what became of endpoints.
    pub fn fold(&mut self, fold: &Fold) {
        if let Some(counts) = self.endpoints.remove(&fold.from) {
            self.endpoints.entry(fold.into.clone()).or_default().merge(&counts);
        }
    }

    /// Of the whole migration.
    #[must_use]
    pub const fn total(&self) -> &ClassCounts {
        &self.total
    }

    /// Of one endpoint; nothing where it is not known.
    #[must_use]
    pub fn of(&self, endpoint: &Endpoint) -> ClassCounts {
        self.endpoints.get(endpoint).copied().unwrap_or_default()
    }

    /// Of every endpoint that had a request, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Endpoint, &ClassCounts)> {
        self.endpoints.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_class_has_a_count_and_a_word_of_its_own() {
        let words: BTreeSet<_> = Class::all().map(|class| class.to_string()).collect();
        let places: BTreeSet<_> = Class::all().map(Class::index).collect();
        assert_eq!(words.len(), 4 + Why::COUNT);
        assert_eq!(places, (0..4 + Why::COUNT).collect());
        // What a dashboard may be built on.
        insta::assert_snapshot!(words.into_iter().collect::<Vec<_>>().join("\n"));
    }

    fn any_class() -> impl Strategy<Value = Class> {
        let all: Vec<_> = Class::all().collect();
        prop::sample::select(all)
    }

    proptest! {
        #[test]
        fn endpoints_and_classes_always_sum_up(
            steps in prop::collection::vec((0_u8..6, any_class(), prop::option::weighted(0.1, (0_u8..6, 0_u8..6))), 0..80),
        ) {
            let endpoint = |number: u8| Endpoint::named(&format!("GET /{number}"));
            let mut tally = Tally::default();
            for (done, (number, class, fold)) in steps.iter().enumerate() {
                tally.count(&endpoint(*number), *class);
                if let Some((from, into)) = fold {
                    tally.fold(&Fold { from: endpoint(*from), into: endpoint(*into) });
                }
                let mut sum = ClassCounts::default();
                tally.iter().for_each(|(_, counts)| sum.merge(counts));
                prop_assert_eq!(&sum, tally.total());
                prop_assert_eq!(sum.total(), done as u64 + 1);
                prop_assert_eq!(sum.total(), sum.compared() + sum.not_compared());
                prop_assert_eq!(sum.iter().map(|(_, count)| count).sum::<u64>(), sum.total());
            }
        }
    }
}
