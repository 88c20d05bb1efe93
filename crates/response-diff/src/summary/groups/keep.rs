//! What is kept of groups across restarts, as plain data.

use super::{DRAWN, Group, Groups, GroupsOf, Limits, Sample, Samples, TurnedAway};
use crate::Kind;
use crate::summary::endpoint::Endpoint;
use crate::summary::level::Level;
use crate::summary::likeness::Likenesses;

/// All groups of one migration. Its samples hold redacted texts; whoever reads them back from where they were stored
/// makes them by [`crate::redact::Redactor::restored`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupsState {
    /// By name.
    pub endpoints: Vec<EndpointGroups>,
    /// Samples by number.
    pub samples: Vec<(u64, Sample)>,
    /// The number of the next sample.
    pub next_sample: u64,
    /// What there was no room for.
    pub turned_away: TurnedAway,
}

/// The groups of one endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointGroups {
    /// The endpoint's name.
    pub endpoint: String,
    /// Its comparisons.
    pub comparisons: u64,
    /// Differences that belong to no group, for want of room.
    pub overflow: u64,
    /// Its groups.
    pub groups: Vec<GroupState>,
}

/// One group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupState {
    /// The normalised path.
    pub path: String,
    /// In which way the answers differ there.
    pub kind: Kind,
    /// In how many comparisons.
    pub count: u64,
    /// How many of those differ so much at once, by level, the first one first; what is missing is of the first one.
    pub sizes: Vec<u64>,
    /// Differences that were gone when asked again.
    pub races: u64,
    /// [`super::GroupView::new_alone`].
    pub new_alone: u64,
    /// When it was first seen, in milliseconds since 1970.
    pub first_ms: u64,
    /// When it was last seen.
    pub last_ms: u64,
    /// What the differences have in common.
    pub likenesses: Likenesses,
    /// The number of the first sample.
    pub first: Option<u64>,
    /// The number of the latest sample, and when it was.
    pub latest: Option<(u64, u64)>,
    /// The numbers of those that were drawn.
    pub drawn: Vec<u64>,
}

impl GroupState {
    fn sizes(&self) -> [u64; Level::COUNT] {
        let mut sizes = [0_u64; Level::COUNT];
        // Each as far as there are comparisons for it.
        let mut left = self.count;
        for (size, kept) in sizes.iter_mut().zip(&self.sizes).skip(1) {
            *size = (*kept).min(left);
            left -= *size;
        }
        sizes[0] = left;
        sizes
    }
}

impl Groups {
    /// All groups, to be kept.
    #[must_use]
    pub fn state(&self) -> GroupsState {
        let group = |((path, kind), group): (&(String, Kind), &Group)| GroupState {
            path: path.clone(),
            kind: *kind,
            count: group.count,
            sizes: group.sizes.to_vec(),
            races: group.races,
            new_alone: group.new_alone,
            first_ms: group.first_ms,
            last_ms: group.last_ms,
            likenesses: group.likenesses,
            first: group.first,
            latest: group.latest,
            drawn: group.drawn.clone(),
        };
        let endpoint = |(endpoint, all): (&Endpoint, &GroupsOf)| EndpointGroups {
            endpoint: endpoint.as_str().to_owned(),
            comparisons: all.comparisons,
            overflow: all.overflow,
            groups: all.groups.iter().map(group).collect(),
        };
        GroupsState {
            endpoints: self.endpoints.iter().map(endpoint).collect(),
            samples: self.samples.iter().map(|(id, sample)| (id, sample.clone())).collect(),
            next_sample: self.samples.next(),
            turned_away: self.turned_away,
        }
    }

    /// Takes up what was kept, as far as there is room. Samples that are not there are left out.
    #[must_use]
    pub fn restore(limits: Limits, state: &GroupsState) -> Groups {
        let mut all = Groups { turned_away: state.turned_away, ..Groups::new(limits) };
        let mut samples = Samples::restored(state.next_sample);
        for (id, sample) in &state.samples {
            if samples.bytes() + sample.bytes() <= limits.samples_bytes
                && sample.bytes() <= limits.sample_bytes
            {
                samples.insert(*id, sample.clone());
            }
        }
        let is_there = |id: &u64| samples.get(*id).is_some();
        for endpoint in &state.endpoints {
            let mut known = GroupsOf {
                comparisons: endpoint.comparisons,
                overflow: endpoint.overflow,
                ..GroupsOf::default()
            };
            for kept in &endpoint.groups {
                let room = known.groups.len() < limits.groups_per_endpoint && all.groups < limits.groups;
                if !room || kept.path.len() > limits.path_bytes {
                    known.overflow += kept.count;
                    continue;
                }
                let group = Group {
                    count: kept.count,
                    sizes: kept.sizes(),
                    races: kept.races,
                    new_alone: kept.new_alone,
                    first_ms: kept.first_ms,
                    last_ms: kept.last_ms,
                    likenesses: kept.likenesses,
                    first: kept.first.filter(is_there),
                    latest: kept.latest.filter(|(id, _)| is_there(id)),
                    drawn: kept.drawn.iter().copied().filter(is_there).take(DRAWN).collect(),
                };
                let twice = known.groups.insert((kept.path.clone(), kept.kind), group);
                all.groups += usize::from(twice.is_none());
            }
            if let Some(twice) = all.endpoints.insert(Endpoint::named(&endpoint.endpoint), known) {
                all.groups -= twice.groups.len();
            }
        }
        samples
            .recount(all.endpoints.values().flat_map(|all| all.groups.values()).flat_map(Group::sample_ids));
        all.samples = samples;
        all
    }
}
