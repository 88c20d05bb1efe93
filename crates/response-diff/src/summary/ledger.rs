//! All that is kept of one migration's comparisons, in step with each other.

use std::collections::BTreeMap;

use super::classes::{Class, ClassCounts, Tally, Why};
use super::coverage::Coverage;
use super::endpoint::{self, Endpoint, Endpoints, EndpointsState, Template};
use super::groups::{self, Groups, GroupsState, Sample, Wanted};
use super::noise::{self, Judged, Noise, NoiseTable};
use super::suggest::Suggestions;
use crate::Difference;

/// How many folded endpoints are remembered for comparisons that were under way. They take seconds at most.
const MOST_MOVED: usize = 1024;

/// What bounds a ledger, and what it calls noise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LedgerRules {
    /// Of endpoints.
    pub endpoints: endpoint::Limits,
    /// Of noise.
    pub noise: noise::Rules,
    /// Of groups.
    pub groups: groups::Limits,
}

/// Endpoints, classes, noise and groups of one migration.
///
/// The way of one request: [`Ledger::locate`] when it is known that it is to be shadowed, [`Ledger::judge`] when both
/// answers have been compared, and [`Ledger::end`] when it is known what it came to; requests of the sample also go to
/// [`Ledger::sampled`]. An endpoint may be folded into another one meanwhile; whoever still has the old one may use it.
#[derive(Debug)]
pub struct Ledger {
    endpoints: Endpoints,
    tally: Tally,
    noise: Noise,
    groups: Groups,
    /// What was gone when asked again.
    races: Groups,
    moved: BTreeMap<Endpoint, Endpoint>,
}

/// A ledger as plain data, to be kept across restarts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LedgerState {
    /// The endpoints.
    pub endpoints: EndpointsState,
    /// What became of requests: endpoint, class and count.
    pub tally: Vec<(String, Class, u64)>,
    /// What is noise.
    pub noise: NoiseTable,
    /// The groups, with their samples.
    pub groups: GroupsState,
    /// Those of races.
    pub races: GroupsState,
}

impl Ledger {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(templates: Vec<Template>, rules: LedgerRules) -> Self {
        Ledger {
            endpoints: Endpoints::new(templates, rules.endpoints),
            tally: Tally::default(),
            noise: Noise::new(rules.noise),
            groups: Groups::new(rules.groups),
            races: Groups::new(rules.groups.of_races()),
            moved: BTreeMap::new(),
        }
    }

    /// Takes up what was kept. What templates of now take the place of stays under its old name.
    #[must_use]
    pub fn restore(templates: Vec<Template>, rules: LedgerRules, state: &LedgerState) -> Self {
        let mut tally = Tally::default();
        for (endpoint, class, requests) in &state.tally {
            tally.add(&Endpoint::named(endpoint), *class, *requests);
        }
        Ledger {
            endpoints: Endpoints::restore(templates, rules.endpoints, &state.endpoints),
            tally,
            noise: Noise::restore(rules.noise, &state.noise),
            groups: Groups::restore(rules.groups, &state.groups),
            races: Groups::restore(rules.groups.of_races(), &state.races),
            moved: BTreeMap::new(),
        }
    }

    /// All of it, to be kept.
    #[must_use]
    pub fn state(&self) -> LedgerState {
        let counts = |(endpoint, counts): (&Endpoint, &ClassCounts)| {
            let name = endpoint.as_str().to_owned();
            counts.iter().map(|(class, requests)| (name.clone(), class, requests)).collect::<Vec<_>>()
        };
        LedgerState {
            endpoints: self.endpoints.state(),
            tally: self.tally.iter().flat_map(counts).collect(),
            noise: self.noise.table(),
            groups: self.groups.state(),
            races: self.races.state(),
        }
    }

    /// The endpoint of a request, which is counted as seen; `found` is whether its served answer was anything but a 404.
    pub fn locate(&mut self, method: &str, path: &str, found: bool) -> Endpoint {
        let located = self.endpoints.locate(method, path, found);
        for fold in &located.folds {
            self.tally.fold(fold);
            self.noise.fold(fold);
            self.groups.fold(fold);
            self.races.fold(fold);
            if self.moved.len() >= MOST_MOVED {
                self.moved.clear();
            }
            self.moved
                .values_mut()
                .filter(|into| **into == fold.from)
                .for_each(|into| *into = fold.into.clone());
            self.moved.insert(fold.from.clone(), fold.into.clone());
            self.moved.remove(&fold.into);
        }
        located.endpoint
    }

    /// What has become of this endpoint.
    fn now<'e>(&'e self, endpoint: &'e Endpoint) -> &'e Endpoint {
        self.moved.get(endpoint).unwrap_or(endpoint)
    }

    /// The class of a comparison with these differences, as far as noise decides it ([`Noise::judge`]).
    #[must_use]
    pub fn judge(&self, endpoint: &Endpoint, differences: &[Difference], complete: bool) -> Judged {
        self.noise.judge(self.now(endpoint), differences, complete)
    }

    /// Takes what became of a request, when nothing more is to come of it. Where a sample is wanted, it says so.
    pub fn end(
        &mut self,
        endpoint: &Endpoint,
        class: Class,
        differences: &[Difference],
        at_ms: u64,
        random: u64,
    ) -> Option<Wanted> {
        if class == Class::Race {
            return self.raced(endpoint, differences, at_ms, random, false);
        }
        let endpoint = self.now(endpoint).clone();
        self.tally.count(&endpoint, class);
        self.groups.record(&endpoint, class, differences, at_ms, random)
    }

    /// Takes a request whose differences were gone when it was asked again: a race. It has groups and samples of its own
    /// ([`Ledger::races`]), of the differences that are no noise. `new_alone` is whether old stood by its answer.
    pub fn raced(
        &mut self,
        endpoint: &Endpoint,
        differences: &[Difference],
        at_ms: u64,
        random: u64,
        new_alone: bool,
    ) -> Option<Wanted> {
        let endpoint = self.now(endpoint).clone();
        self.tally.count(&endpoint, Class::Race);
        let noise = self.noise.judge(&endpoint, differences, true).noise;
        let gone = differences.iter().zip(noise).filter(|(_, is_noise)| !is_noise);
        let gone: Vec<Difference> = gone.map(|(difference, _)| difference.clone()).collect();
        // There it adds to what stays, and wants no sample.
        let _ = self.groups.record(&endpoint, Class::Race, &gone, at_ms, random);
        let wanted = self.races.record(&endpoint, Class::Mismatched, &gone, at_ms, random);
        if new_alone {
            self.races.new_alone(&endpoint, &gone);
        }
        wanted.map(Wanted::of_race)
    }

    /// Takes a request that was not compared.
    pub fn not_compared(&mut self, endpoint: &Endpoint, why: Why) {
        let endpoint = self.now(endpoint).clone();
        self.tally.count(&endpoint, Class::NotCompared(why));
    }

    /// Takes a request of the sample ([`Noise::sampled`]).
    pub fn sampled(
        &mut self,
        endpoint: &Endpoint,
        old_new: &[Difference],
        complete: bool,
        old_old: &[Difference],
    ) {
        let endpoint = self.now(endpoint).clone();
        self.noise.sampled(&endpoint, old_new, complete, old_old);
    }

    /// Whether more requests of the sample would tell something about this endpoint ([`Noise::wants_sample`]).
    #[must_use]
    pub fn wants_sample(&self, endpoint: &Endpoint) -> bool {
        self.noise.wants_sample(self.now(endpoint))
    }

    /// Keeps a sample that was wanted ([`Groups::keep`]).
    pub fn keep(&mut self, wanted: Wanted, sample: Sample) -> Option<u64> {
        let endpoint = self.now(wanted.endpoint()).clone();
        // One number is one sample, whichever of the two has it.
        let next = self.groups.next_sample().max(self.races.next_sample());
        let groups = if wanted.is_race() { &mut self.races } else { &mut self.groups };
        groups.number_from(next);
        groups.keep(wanted.at(endpoint), sample)
    }

    /// Forgets all samples ([`Groups::forget_samples`]).
    pub fn forget_samples(&mut self) {
        self.groups.forget_samples();
        self.races.forget_samples();
    }

    /// The endpoints.
    #[must_use]
    pub const fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// What became of all requests.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What is noise.
    #[must_use]
    pub const fn noise(&self) -> &Noise {
        &self.noise
    }

    /// The groups of differences.
    #[must_use]
    pub const fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The groups of what was gone when asked again; counts and samples are of races alone.
    #[must_use]
    pub const fn races(&self) -> &Groups {
        &self.races
    }

    /// A sample by its number, of a race too.
    #[must_use]
    pub fn sample(&self, number: u64) -> Option<&Sample> {
        self.groups.sample(number).or_else(|| self.races.sample(number))
    }

    /// How much of what is known has been compared, at least `enough` times each.
    #[must_use]
    pub fn coverage(&self, enough: u64) -> Coverage {
        Coverage::new(&self.endpoints.all(), &self.tally, enough)
    }

    /// The rules that what was found justifies.
    #[must_use]
    pub fn suggestions(&self) -> Suggestions {
        Suggestions::of(&self.groups.list(&self.noise, None))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use route_plan::NotCopied;

    use super::*;
    use crate::Kind;
    use crate::redact::Redactor;

    fn rules() -> LedgerRules {
        let endpoints = endpoint::Limits { endpoints: 12, values: 3, early_values: 2, depth: 3 };
        LedgerRules { endpoints, ..LedgerRules::default() }
    }

    fn differences(mask: u8) -> Vec<Difference> {
        let one = |bit: u8| Difference {
            path: format!("$.p{bit}"),
            at: format!("$.p{bit}"),
            kind: Kind::Value,
            old: Some("1".to_owned()),
            new: Some("2".to_owned()),
            extent: 1,
        };
        (0_u8..3).filter(|bit| mask & (1 << bit) != 0).map(one).collect()
    }

    type Steps = Vec<(String, u8, u8, bool)>;

    fn steps() -> impl Strategy<Value = Steps> {
        prop::collection::vec(("/[a-f]{1,2}(/[a-c])?", 0_u8..8, 0_u8..4, any::<bool>()), 0..100)
    }

    /// Plays requests, of which each ends some steps after it was located.
    fn play(ledger: &mut Ledger, steps: &Steps) {
        let mut open: Vec<(Endpoint, u8, u8)> = Vec::new();
        for (path, mask, fate, ends) in steps {
            let endpoint = ledger.locate("GET", path, true);
            open.push((endpoint.clone(), *mask, *fate));
            if *fate == 0 {
                ledger.sampled(&endpoint, &differences(*mask), true, &differences(mask & 1));
            }
            if *ends || open.len() > 5 {
                for (endpoint, mask, fate) in open.drain(..) {
                    close(ledger, &endpoint, mask, fate);
                }
            }
        }
        for (endpoint, mask, fate) in open {
            close(ledger, &endpoint, mask, fate);
        }
    }

    fn close(ledger: &mut Ledger, endpoint: &Endpoint, mask: u8, fate: u8) {
        let list = differences(mask);
        let class = match fate {
            1 => return ledger.not_compared(endpoint, Why::Copy(NotCopied::Slow)),
            2 if mask > 0 => Class::Race,
            _ => ledger.judge(endpoint, &list, true).class,
        };
        let _ = ledger.end(endpoint, class, &list, u64::from(mask), 3);
    }

    #[test]
    fn races_have_groups_and_samples_of_their_own() {
        let redactor = Redactor::new(&[0; 32], &[], &crate::Limits::default(), 1 << 20).unwrap();
        let text = |text: &str| redactor.restored(text.to_owned());
        let sample = |at_ms| Sample {
            at_ms,
            request: text("GET /a"),
            request_id: text("r-1"),
            differences: Vec::new(),
            old: text("old"),
            new: text("new"),
        };
        let mut ledger = Ledger::new(Vec::new(), rules());
        let endpoint = ledger.locate("GET", "/a", true);
        let noise = differences(1);
        for _ in 0..40 {
            ledger.sampled(&endpoint, &noise, true, &noise);
        }
        let mut numbers = Vec::new();
        for at_ms in 0..20 {
            let wanted = match at_ms % 2 {
                0 => ledger.raced(&endpoint, &differences(0b11), at_ms, 1, at_ms < 6),
                _ => ledger.end(&endpoint, Class::Mismatched, &differences(0b10), at_ms, 1),
            };
            numbers.extend(wanted.and_then(|wanted| ledger.keep(wanted, sample(at_ms))));
        }
        // What is noise was not what was gone.
        let races = ledger.races().list(ledger.noise(), None);
        let [race] = races.as_slice() else { panic!("{races:?}") };
        assert_eq!((race.path, race.count, race.new_alone), ("$.p1", 10, 3));
        let groups = ledger.groups().list(ledger.noise(), None);
        // The first race came before anything had stayed.
        assert_eq!((groups.len(), groups[0].count, groups[0].races), (1, 10, 9));
        assert_eq!(ledger.tally().total().of(Class::Race), 10);
        // A number is one sample, and a race's is one of a race.
        let all: std::collections::BTreeSet<_> = numbers.iter().copied().collect();
        assert_eq!(all.len(), numbers.len());
        assert!(
            race.samples
                .iter()
                .all(|(number, sample)| { sample.at_ms % 2 == 0 && ledger.sample(*number) == Some(sample) })
        );
        assert!(!race.samples.is_empty() && race.samples.len() <= 4);
        let restored = Ledger::restore(Vec::new(), rules(), &ledger.state());
        assert_eq!(restored.state(), ledger.state());
        ledger.forget_samples();
        assert!(numbers.iter().all(|number| ledger.sample(*number).is_none()));
    }

    #[test]
    fn races_are_bounded() {
        let mut ledger = Ledger::new(Vec::new(), rules());
        let endpoint = ledger.locate("GET", "/a", true);
        for number in 0..100 {
            let mut one = differences(1);
            one[0].path = format!("$.p{number}");
            let _ = ledger.raced(&endpoint, &one, 0, 1, true);
        }
        assert_eq!(ledger.races().list(ledger.noise(), None).len(), 25);
        assert_eq!(ledger.races().turned_away().differences, 75);
    }

    proptest! {
        #[test]
        fn everything_is_kept_by_the_same_endpoints(before in steps(), after in steps()) {
            let mut one = Ledger::new(Vec::new(), rules());
            play(&mut one, &before);
            let mut other = Ledger::restore(Vec::new(), rules(), &one.state());
            prop_assert_eq!(one.state(), other.state());
            play(&mut one, &after);
            play(&mut other, &after);
            prop_assert_eq!(one.state(), other.state());
            let known = one.endpoints().all();
            let mut requests = 0;
            for (endpoint, seen) in &known {
                let counts = one.tally().of(endpoint);
                // Every request that was seen has ended in one class, at the endpoint that it belongs to now.
                prop_assert_eq!(counts.total(), *seen, "{}", endpoint);
                prop_assert_eq!(counts.compared(), one.groups().of(endpoint).0);
                requests += counts.total();
            }
            prop_assert_eq!(requests, one.tally().total().total());
            prop_assert_eq!(requests, (before.len() + after.len()) as u64);
            prop_assert_eq!(one.coverage(1).endpoints.len(), known.len());
        }
    }
}
