//! Differences as a person wants to see them: by endpoint, place and kind, the worst first.
//!
//! A service with one wrong field has a thousand mismatches and one cause. So differences are grouped, and each group has
//! its count, its share of the endpoint's comparisons, when it was seen first and last, whether it is noise, and a few
//! samples. What is noise stays in the list, at its end.
//!
//! Samples hold redacted texts only ([`crate::redact::Redacted`]). [`Groups::record`] says when one is wanted, so that
//! nobody redacts an answer that nobody keeps: of each group the first, the latest (one a minute), and two drawn so that
//! every difference has the same chance to be among them (a reservoir; Vitter 1985).
//!
//! The number of groups, samples and bytes is bounded, and what was turned away is counted. Where there is no room, a group
//! that was not seen for a week makes room for a new one.

use std::collections::BTreeMap;

use super::classes::Class;
use super::endpoint::{Endpoint, Fold};
use super::level::{Level, levels};
use super::likeness::Likenesses;
use super::noise::{Knowledge, Noise};
use crate::{Difference, Kind};

mod keep;
mod samples;

pub use keep::{EndpointGroups, GroupState, GroupsState};
pub use samples::Sample;
use samples::Samples;

/// A new latest sample is wanted when the one before is older.
const LATEST_EVERY_MS: u64 = 60_000;
/// How many samples are drawn beside the first and the latest.
const DRAWN: usize = 2;

/// What bounds the groups of one migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most groups of one endpoint.
    pub groups_per_endpoint: usize,
    /// The most groups in all.
    pub groups: usize,
    /// The longest path of a place, in bytes; what has a longer one is counted and no group.
    pub path_bytes: usize,
    /// The largest sample, in bytes.
    pub sample_bytes: usize,
    /// All samples together, in bytes.
    pub samples_bytes: usize,
    /// A group that was last seen longer ago than this, in milliseconds, makes room for another one.
    pub stale_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            groups_per_endpoint: 200,
            groups: 2000,
            path_bytes: 512,
            sample_bytes: 64 << 10,
            samples_bytes: 16 << 20,
            stale_ms: 7 * 86_400_000,
        }
    }
}

impl Limits {
    /// Of what was gone when asked again, beside the groups of what stays: an eighth of the groups, a quarter of the bytes.
    pub(super) fn of_races(self) -> Limits {
        Limits {
            groups_per_endpoint: self.groups_per_endpoint.div_ceil(8),
            groups: self.groups.div_ceil(8),
            samples_bytes: self.samples_bytes / 4,
            ..self
        }
    }
}

/// What a person sees of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupView<'g> {
    /// The endpoint.
    pub endpoint: &'g Endpoint,
    /// The normalised path.
    pub path: &'g str,
    /// In which way the answers differ there.
    pub kind: Kind,
    /// In how many comparisons.
    pub count: u64,
    /// Of those: how many that are at least as large as `knowledge.level` says.
    pub reaching: u64,
    /// The endpoint's comparisons.
    pub comparisons: u64,
    /// How often a difference here was gone when both arms were asked again; not among `count`.
    pub races: u64,
    /// Among what was gone when asked again: how often new alone gave another answer than before.
    pub new_alone: u64,
    /// When it was first seen, in milliseconds since 1970.
    pub first_ms: u64,
    /// When it was last seen.
    pub last_ms: u64,
    /// Whether it is noise, and why.
    pub knowledge: Knowledge,
    /// What the differences have in common.
    pub likenesses: Likenesses,
    /// Samples by number, the first one first.
    pub samples: Vec<(u64, &'g Sample)>,
}

impl GroupView<'_> {
    /// The share of the endpoint's comparisons, 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.count as f64 / self.comparisons.max(1) as f64
    }
}

/// What there was no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnedAway {
    /// Differences that belong to no group, for want of room.
    pub differences: u64,
    /// Groups that were forgotten to make room.
    pub groups: u64,
    /// Samples that are too large, or had to make room.
    pub samples: u64,
}

/// Which groups want a sample of a comparison. Given back with it, soon and once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a sample is wanted"]
pub struct Wanted {
    endpoint: Endpoint,
    /// Of a race, which has groups of its own.
    is_race: bool,
    at_ms: u64,
    slots: Vec<((String, Kind), Slot)>,
}

impl Wanted {
    /// The same in the groups of races.
    pub(super) fn of_race(self) -> Wanted {
        Wanted { is_race: true, ..self }
    }

    pub(super) const fn is_race(&self) -> bool {
        self.is_race
    }

    pub(super) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The same of an endpoint that this one has become.
    pub(super) fn at(self, endpoint: Endpoint) -> Wanted {
        Wanted { endpoint, ..self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    First,
    Latest,
    Drawn(usize),
}

#[derive(Clone, Debug, Default)]
struct Group {
    count: u64,
    /// By how much differed at once: each counted at its highest level. Together they are `count`.
    sizes: [u64; Level::COUNT],
    races: u64,
    new_alone: u64,
    first_ms: u64,
    last_ms: u64,
    likenesses: Likenesses,
    first: Option<u64>,
    /// The latest one, and when it was.
    latest: Option<(u64, u64)>,
    drawn: Vec<u64>,
}

impl Group {
    fn sample_ids(&self) -> impl Iterator<Item = u64> {
        self.first.into_iter().chain(self.drawn.iter().copied()).chain(self.latest.map(|(id, _)| id))
    }

    /// The highest level that any of its comparisons reaches.
    fn highest(&self) -> Level {
        let seen = (0_u8..).zip(self.sizes).filter(|(_, count)| *count > 0);
        seen.last().and_then(|(number, _)| Level::numbered(number)).unwrap_or_default()
    }

    /// How many comparisons reach this level.
    fn reaching(&self, level: Level) -> u64 {
        self.sizes.iter().skip(usize::from(level.number())).sum()
    }

    fn forget(&mut self, id: u64) {
        self.first = self.first.filter(|first| *first != id);
        self.latest = self.latest.filter(|(latest, _)| *latest != id);
        self.drawn.retain(|drawn| *drawn != id);
    }

    /// Which sample this difference, already counted, would be.
    fn wants(&self, at_ms: u64, random: u64) -> Option<Slot> {
        if self.first.is_none() && self.count == 1 {
            return Some(Slot::First);
        }
        let place = usize::try_from(random % self.count.max(1)).unwrap_or(usize::MAX);
        if place < DRAWN {
            return Some(Slot::Drawn(place));
        }
        let is_due = self.latest.is_none_or(|(_, latest)| at_ms.saturating_sub(latest) >= LATEST_EVERY_MS);
        is_due.then_some(Slot::Latest)
    }

    fn absorb(&mut self, other: Group) {
        if other.first_ms < self.first_ms || self.count == 0 {
            self.first = other.first.or(self.first);
        }
        self.first_ms = if self.count == 0 { other.first_ms } else { self.first_ms.min(other.first_ms) };
        self.last_ms = self.last_ms.max(other.last_ms);
        self.count += other.count;
        for (mine, theirs) in self.sizes.iter_mut().zip(other.sizes) {
            *mine += theirs;
        }
        self.races += other.races;
        self.new_alone += other.new_alone;
        self.likenesses.merge(&other.likenesses);
        let when = |latest: &Option<(u64, u64)>| latest.map_or(0, |(_, at_ms)| at_ms);
        if when(&other.latest) > when(&self.latest) {
            self.latest = other.latest;
        }
        self.drawn.extend(other.drawn);
        self.drawn.truncate(DRAWN);
    }
}

#[derive(Clone, Debug, Default)]
struct GroupsOf {
    comparisons: u64,
    overflow: u64,
    groups: BTreeMap<(String, Kind), Group>,
}

/// The differences of one migration, grouped. Bounded by [`Limits`].
#[derive(Clone, Debug, Default)]
pub struct Groups {
    limits: Limits,
    endpoints: BTreeMap<Endpoint, GroupsOf>,
    groups: usize,
    samples: Samples,
    turned_away: TurnedAway,
}

impl Groups {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Groups { limits, ..Groups::default() }
    }

    /// Takes what came of one request: its class and its differences, at this time in milliseconds since 1970. `random`
    /// are random bits. Where a sample of it is wanted, it says so.
    ///
    /// Paths are kept as they are: names that may be secrets are hidden before
    /// ([`crate::redact::Redactor::hide_names`]).
    pub fn record(
        &mut self,
        endpoint: &Endpoint,
        class: Class,
        differences: &[Difference],
        at_ms: u64,
        random: u64,
    ) -> Option<Wanted> {
        if matches!(class, Class::NotCompared(_)) {
            return None;
        }
        self.endpoints.entry(endpoint.clone()).or_default().comparisons += 1;
        let mut one_each: BTreeMap<(&str, Kind), &Difference> = BTreeMap::new();
        for difference in differences {
            one_each.entry((&difference.path, difference.kind)).or_insert(difference);
        }
        let levels = levels(differences);
        let mut slots = Vec::new();
        for (number, ((path, kind), difference)) in (0_u64..).zip(one_each) {
            let key = (path.to_owned(), kind);
            if class == Class::Race {
                let group = self.endpoints.get_mut(endpoint).and_then(|all| all.groups.get_mut(&key));
                if let Some(group) = group {
                    group.races += 1;
                }
                continue;
            }
            let Some(group) = self.enter(endpoint, &key, at_ms) else { continue };
            group.count += 1;
            let level = levels.get(&(path, kind)).copied().unwrap_or_default();
            group.sizes[usize::from(level.number())] += 1;
            group.last_ms = group.last_ms.max(at_ms);
            group.likenesses.add(difference);
            if let Some(slot) = group.wants(at_ms, mixed(random, number)) {
                slots.push((key, slot));
            }
        }
        (!slots.is_empty()).then(|| Wanted { endpoint: endpoint.clone(), is_race: false, at_ms, slots })
    }

    /// Of a race that was recorded: new alone gave another answer than before.
    pub(super) fn new_alone(&mut self, endpoint: &Endpoint, differences: &[Difference]) {
        let Some(all) = self.endpoints.get_mut(endpoint) else { return };
        for (path, kind) in levels(differences).into_keys() {
            if let Some(group) = all.groups.get_mut(&(path.to_owned(), kind)) {
                group.new_alone += 1;
            }
        }
    }

    /// Samples that are kept from now on have this number or a higher one.
    pub(super) fn number_from(&mut self, next: u64) {
        self.samples.number_from(next);
    }

    pub(super) const fn next_sample(&self) -> u64 {
        self.samples.next()
    }

    /// Keeps the sample that was wanted, if it is small enough. The number by which it is found, if any group has it.
    pub fn keep(&mut self, wanted: Wanted, sample: Sample) -> Option<u64> {
        if sample.bytes() > self.limits.sample_bytes.min(self.limits.samples_bytes) {
            self.turned_away.samples += 1;
            return None;
        }
        let id = self.samples.add(sample);
        let mut replaced = Vec::new();
        if let Some(all) = self.endpoints.get_mut(&wanted.endpoint) {
            for (key, slot) in wanted.slots {
                let Some(group) = all.groups.get_mut(&key) else { continue };
                match slot {
                    Slot::First => replaced.extend(group.first.replace(id)),
                    Slot::Latest => {
                        replaced.extend(group.latest.replace((id, wanted.at_ms)).map(|(before, _)| before));
                    }
                    Slot::Drawn(place) if place < group.drawn.len() => {
                        replaced.push(std::mem::replace(&mut group.drawn[place], id));
                    }
                    Slot::Drawn(_) => group.drawn.push(id),
                }
                self.samples.use_one(id);
            }
        }
        self.samples.release(replaced);
        self.samples.drop_unused(id);
        while self.samples.bytes() > self.limits.samples_bytes {
            let Some(oldest) = self.samples.oldest_but(id) else { break };
            for group in self.endpoints.values_mut().flat_map(|all| all.groups.values_mut()) {
                group.forget(oldest);
            }
            self.samples.remove(oldest);
            self.turned_away.samples += 1;
        }
        self.samples.get(id).map(|_| id)
    }

    /// All groups, or those of one endpoint: first what is not known to be noise, then what is; the most frequent ones
    /// first.
    #[must_use]
    pub fn list<'g>(&'g self, noise: &Noise, of: Option<&Endpoint>) -> Vec<GroupView<'g>> {
        let endpoints = self.endpoints.iter().filter(|(endpoint, _)| of.is_none_or(|of| of == *endpoint));
        let mut list: Vec<_> = endpoints
            .flat_map(|(endpoint, all)| {
                all.groups.iter().filter(|(_, group)| group.count > 0).map(move |((path, kind), group)| {
                    let mut ids: Vec<_> = group.sample_ids().collect();
                    ids.dedup();
                    let knowledge = noise.of(endpoint, path, *kind, group.highest());
                    GroupView {
                        endpoint,
                        path,
                        kind: *kind,
                        count: group.count,
                        reaching: group.reaching(knowledge.level),
                        comparisons: all.comparisons,
                        races: group.races,
                        new_alone: group.new_alone,
                        first_ms: group.first_ms,
                        last_ms: group.last_ms,
                        knowledge,
                        likenesses: group.likenesses,
                        samples: ids
                            .into_iter()
                            .filter_map(|id| self.samples.get(id).map(|sample| (id, sample)))
                            .collect(),
                    }
                })
            })
            .collect();
        list.sort_by(|one, other| {
            let rank = |view: &GroupView<'_>| (view.knowledge.is_noise(), std::cmp::Reverse(view.count));
            let place = |view: &GroupView<'g>| (view.endpoint, view.path, view.kind);
            rank(one).cmp(&rank(other)).then_with(|| place(one).cmp(&place(other)))
        });
        list
    }

    /// A sample by its number.
    #[must_use]
    pub fn sample(&self, id: u64) -> Option<&Sample> {
        self.samples.get(id)
    }

    /// The endpoint's comparisons, and how many differences of it belong to no group for want of room.
    #[must_use]
    pub fn of(&self, endpoint: &Endpoint) -> (u64, u64) {
        self.endpoints.get(endpoint).map_or((0, 0), |all| (all.comparisons, all.overflow))
    }

    /// What there was no room for.
    #[must_use]
    pub const fn turned_away(&self) -> TurnedAway {
        self.turned_away
    }

    /// Forgets all samples, as when the rules by which they were redacted are no longer enough.
    pub fn forget_samples(&mut self) {
        for group in self.endpoints.values_mut().flat_map(|all| all.groups.values_mut()) {
            (group.first, group.latest) = (None, None);
            group.drawn.clear();
        }
        self.samples.clear();
    }

    /// Carries out what became of endpoints.
    pub fn fold(&mut self, fold: &Fold) {
        let Some(from) = self.endpoints.remove(&fold.from) else { return };
        let into = self.endpoints.entry(fold.into.clone()).or_default();
        into.comparisons += from.comparisons;
        into.overflow += from.overflow;
        for (key, group) in from.groups {
            let has_room = into.groups.len() < self.limits.groups_per_endpoint;
            if !has_room && !into.groups.contains_key(&key) {
                into.overflow += group.count;
                self.turned_away.differences += group.count;
                self.groups -= 1;
                continue;
            }
            if into.groups.contains_key(&key) {
                self.groups -= 1;
            }
            into.groups.entry(key).or_default().absorb(group);
        }
        self.samples
            .recount(self.endpoints.values().flat_map(|all| all.groups.values()).flat_map(Group::sample_ids));
    }

    /// The group of this place; `None` where there is no room for it, which is counted.
    fn enter(&mut self, endpoint: &Endpoint, key: &(String, Kind), at_ms: u64) -> Option<&mut Group> {
        let all = self.endpoints.entry(endpoint.clone()).or_default();
        if !all.groups.contains_key(key) {
            let fits = key.0.len() <= self.limits.path_bytes;
            let mut room =
                all.groups.len() < self.limits.groups_per_endpoint && self.groups < self.limits.groups;
            if fits && !room {
                let stalest = all.groups.iter().min_by_key(|(_, group)| group.last_ms);
                let stale =
                    stalest.filter(|(_, group)| at_ms.saturating_sub(group.last_ms) > self.limits.stale_ms);
                if let Some(gone) = stale.map(|(key, _)| key.clone()).and_then(|key| all.groups.remove(&key))
                {
                    self.samples.release(gone.sample_ids());
                    self.turned_away.groups += 1;
                    self.groups -= 1;
                    room = self.groups < self.limits.groups;
                }
            }
            if !(fits && room) {
                all.overflow += 1;
                self.turned_away.differences += 1;
                return None;
            }
            self.groups += 1;
            all.groups.insert(key.clone(), Group { first_ms: at_ms, last_ms: at_ms, ..Group::default() });
        }
        all.groups.get_mut(key)
    }
}

/// Other random bits for each number (Steele et al., SplitMix64).
pub(super) fn mixed(random: u64, number: u64) -> u64 {
    let mut mixed = random.wrapping_add((number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
