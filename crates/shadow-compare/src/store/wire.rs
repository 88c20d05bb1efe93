//! What is kept of one migration, as JSON.

use serde::{Deserialize, Serialize};

use response_diff::Kind;
use response_diff::redact::{Redacted, RedactedDifference, Redactor};
use response_diff::summary::endpoint::EndpointsState;
use response_diff::summary::groups::{EndpointGroups, GroupState, GroupsState, Sample, TurnedAway};
use response_diff::summary::noise::{EndpointNoise, NoiseTable, PathNoise};
use response_diff::summary::{Class, Ledger, LedgerState, Level, Likenesses};

use crate::desk::{Desk, Questions, rules};

/// Of the form.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
pub(super) struct DeskJson {
    version: u32,
    migration: String,
    since_ms: u64,
    compares_by: u64,
    redacts_by: u64,
    questions: QuestionsJson,
    endpoints: Vec<(String, u64)>,
    folded: Vec<String>,
    /// Endpoint, class with its reason, requests.
    tally: Vec<(String, String, u64)>,
    noise: NoiseJson,
    groups: Vec<GroupsJson>,
    next_sample: u64,
    turned_away: [u64; 3],
    samples: Vec<(u64, SampleJson)>,
    /// Not in files of before.
    #[serde(default)]
    races: AllGroupsJson,
}

/// Groups with their samples.
#[derive(Default, Serialize, Deserialize)]
struct AllGroupsJson {
    groups: Vec<GroupsJson>,
    next_sample: u64,
    turned_away: [u64; 3],
    samples: Vec<(u64, SampleJson)>,
}

#[derive(Serialize, Deserialize)]
struct QuestionsJson {
    sampled: u64,
    rechecked: u64,
    not_rechecked: u64,
    new_alone: u64,
}

#[derive(Serialize, Deserialize)]
struct NoiseJson {
    turned_away: u64,
    excess: f64,
    endpoints: Vec<EndpointNoiseJson>,
}

#[derive(Serialize, Deserialize)]
struct EndpointNoiseJson {
    endpoint: String,
    old_pairs: u64,
    new_pairs: u64,
    pending: u64,
    places: Vec<PlaceJson>,
}

#[derive(Serialize, Deserialize)]
struct PlaceJson {
    path: String,
    kind: String,
    /// Files of before have places as a whole, which is what the first level is.
    #[serde(default)]
    level: u8,
    old_differ: u64,
    new_differ: u64,
    pending: u64,
    noise: Option<bool>,
    for_noise: Vec<f64>,
    peak: f64,
    for_real: Vec<f64>,
    stakes: u32,
    blocks: u64,
}

#[derive(Serialize, Deserialize)]
struct GroupsJson {
    endpoint: String,
    comparisons: u64,
    overflow: u64,
    groups: Vec<GroupJson>,
}

#[derive(Serialize, Deserialize)]
struct GroupJson {
    path: String,
    kind: String,
    count: u64,
    /// Not in files of before.
    #[serde(default)]
    sizes: Vec<u64>,
    races: u64,
    #[serde(default)]
    new_alone: u64,
    first_ms: u64,
    last_ms: u64,
    alike: LikenessesJson,
    first: Option<u64>,
    latest: Option<(u64, u64)>,
    drawn: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
struct LikenessesJson {
    times: u64,
    most_apart_ms: u64,
    forms: u64,
    numbers: u64,
    most_relative: f64,
    nulls: u64,
    cases: u64,
    spaces: u64,
    orders: u64,
    others: u64,
}

#[derive(Serialize, Deserialize)]
struct SampleJson {
    at_ms: u64,
    request: String,
    request_id: String,
    differences: Vec<DifferenceJson>,
    old: String,
    new: String,
}

#[derive(Serialize, Deserialize)]
struct DifferenceJson {
    path: String,
    at: String,
    kind: String,
    old: Option<String>,
    new: Option<String>,
}

/// What a desk knows, as text.
pub(super) fn encode(desk: &Desk, with_samples: bool) -> Vec<u8> {
    let state = desk.ledger.state();
    let groups = all_json(state.groups, with_samples);
    let Questions { sampled, rechecked, not_rechecked, new_alone } = desk.questions;
    let json = DeskJson {
        version: VERSION,
        migration: desk.settings.name.to_string(),
        since_ms: desk.since_ms,
        compares_by: desk.settings.compares_by,
        redacts_by: desk.settings.redacts_by,
        questions: QuestionsJson { sampled, rechecked, not_rechecked, new_alone },
        endpoints: state.endpoints.endpoints,
        folded: state.endpoints.folded,
        tally: state.tally.into_iter().map(|(name, class, count)| (name, class.to_string(), count)).collect(),
        noise: NoiseJson {
            turned_away: state.noise.turned_away,
            excess: state.noise.excess,
            endpoints: state.noise.endpoints.into_iter().map(noise_json).collect(),
        },
        groups: groups.groups,
        next_sample: groups.next_sample,
        turned_away: groups.turned_away,
        samples: groups.samples,
        races: all_json(state.races, with_samples),
    };
    // Numbers and texts under literal names: nothing in it can fail to be JSON.
    serde_json::to_vec(&json).unwrap_or_default()
}

fn all_json(state: GroupsState, with_samples: bool) -> AllGroupsJson {
    let samples = if with_samples { state.samples.as_slice() } else { &[] };
    let TurnedAway { differences, groups, samples: away } = state.turned_away;
    AllGroupsJson {
        groups: state.endpoints.into_iter().map(groups_json).collect(),
        next_sample: state.next_sample,
        turned_away: [differences, groups, away],
        samples: samples.iter().map(|(number, sample)| (*number, sample_json(sample))).collect(),
    }
}

impl AllGroupsJson {
    /// Samples that were redacted by other rules are left out.
    fn read(self, redactor: &Redactor, is_redacted_alike: bool) -> GroupsState {
        let samples = if is_redacted_alike { self.samples } else { Vec::new() };
        let [differences, groups, away] = self.turned_away;
        GroupsState {
            endpoints: self.groups.into_iter().map(GroupsJson::read).collect(),
            samples: samples.into_iter().map(|(number, one)| (number, one.read(redactor))).collect(),
            next_sample: self.next_sample,
            turned_away: TurnedAway { differences, groups, samples: away },
        }
    }
}

/// Reads what was kept.
pub(super) fn decode(text: &[u8]) -> Result<DeskJson, String> {
    let kept: DeskJson = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if kept.version != VERSION {
        return Err(format!("it is of form {}, and this is form {VERSION}", kept.version));
    }
    Ok(kept)
}

impl DeskJson {
    /// The desk with what was kept of it. What was compared by other rules does not count any more, and samples that were
    /// redacted by others are left out.
    pub(super) fn into_desk(self, desk: Desk) -> Desk {
        let is_same = self.compares_by == desk.settings.compares_by;
        let is_redacted_alike = self.redacts_by == desk.settings.redacts_by;
        let Self { groups, next_sample, turned_away, samples, races, .. } = self;
        let groups = AllGroupsJson { groups, next_sample, turned_away, samples };
        let redactor = &desk.settings.redactor;
        let state = LedgerState {
            endpoints: EndpointsState { endpoints: self.endpoints, folded: self.folded },
            noise: NoiseTable {
                endpoints: self.noise.endpoints.into_iter().map(EndpointNoiseJson::read).collect(),
                turned_away: self.noise.turned_away,
                excess: self.noise.excess,
            },
            ..LedgerState::default()
        };
        let state = if is_same {
            LedgerState {
                tally: self.tally.into_iter().filter_map(class_of).collect(),
                groups: groups.read(redactor, is_redacted_alike),
                races: races.read(redactor, is_redacted_alike),
                ..state
            }
        } else {
            state
        };
        let QuestionsJson { sampled, rechecked, not_rechecked, new_alone } = self.questions;
        let questions = Questions { sampled, rechecked, not_rechecked, new_alone };
        let mut desk = desk;
        desk.ledger = Ledger::restore(desk.settings.templates(), rules(), &state);
        if is_same {
            (desk.questions, desk.since_ms) = (questions, self.since_ms);
        }
        desk
    }
}

fn class_of((endpoint, word, count): (String, String, u64)) -> Option<(String, Class, u64)> {
    Some((endpoint, Class::all().find(|class| class.to_string() == word)?, count))
}

fn kind_of(word: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.as_str() == word)
}

fn noise_json(one: EndpointNoise) -> EndpointNoiseJson {
    let place = |place: PathNoise| PlaceJson {
        path: place.path,
        kind: place.kind.as_str().to_owned(),
        level: place.level.number(),
        old_differ: place.old_differ,
        new_differ: place.new_differ,
        pending: place.pending,
        noise: place.noise,
        for_noise: place.for_noise,
        peak: place.peak,
        for_real: place.for_real,
        stakes: place.stakes,
        blocks: place.blocks,
    };
    let EndpointNoise { endpoint, old_pairs, new_pairs, pending, places } = one;
    let places = places.into_iter().map(place).collect();
    EndpointNoiseJson { endpoint, old_pairs, new_pairs, pending, places }
}

impl EndpointNoiseJson {
    fn read(self) -> EndpointNoise {
        let place = |place: PlaceJson| {
            Some(PathNoise {
                kind: kind_of(&place.kind)?,
                path: place.path,
                level: Level::numbered(place.level)?,
                old_differ: place.old_differ,
                new_differ: place.new_differ,
                pending: place.pending,
                noise: place.noise,
                for_noise: place.for_noise,
                peak: place.peak,
                for_real: place.for_real,
                stakes: place.stakes,
                blocks: place.blocks,
            })
        };
        let EndpointNoiseJson { endpoint, old_pairs, new_pairs, pending, places } = self;
        let places = places.into_iter().filter_map(place).collect();
        EndpointNoise { endpoint, old_pairs, new_pairs, pending, places }
    }
}

fn groups_json(one: EndpointGroups) -> GroupsJson {
    let group = |group: GroupState| GroupJson {
        path: group.path,
        kind: group.kind.as_str().to_owned(),
        count: group.count,
        sizes: group.sizes,
        races: group.races,
        new_alone: group.new_alone,
        first_ms: group.first_ms,
        last_ms: group.last_ms,
        alike: likenesses_json(group.likenesses),
        first: group.first,
        latest: group.latest,
        drawn: group.drawn,
    };
    let EndpointGroups { endpoint, comparisons, overflow, groups } = one;
    GroupsJson { endpoint, comparisons, overflow, groups: groups.into_iter().map(group).collect() }
}

impl GroupsJson {
    fn read(self) -> EndpointGroups {
        let group = |group: GroupJson| {
            Some(GroupState {
                kind: kind_of(&group.kind)?,
                path: group.path,
                count: group.count,
                sizes: group.sizes,
                races: group.races,
                new_alone: group.new_alone,
                first_ms: group.first_ms,
                last_ms: group.last_ms,
                likenesses: group.alike.read(),
                first: group.first,
                latest: group.latest,
                drawn: group.drawn,
            })
        };
        let GroupsJson { endpoint, comparisons, overflow, groups } = self;
        EndpointGroups {
            endpoint,
            comparisons,
            overflow,
            groups: groups.into_iter().filter_map(group).collect(),
        }
    }
}

fn likenesses_json(alike: Likenesses) -> LikenessesJson {
    let Likenesses {
        times,
        most_apart_ms,
        forms,
        numbers,
        most_relative,
        nulls,
        cases,
        spaces,
        orders,
        others,
    } = alike;
    let most_relative = if most_relative.is_finite() { most_relative } else { f64::MAX };
    LikenessesJson {
        times,
        most_apart_ms,
        forms,
        numbers,
        most_relative,
        nulls,
        cases,
        spaces,
        orders,
        others,
    }
}

impl LikenessesJson {
    fn read(self) -> Likenesses {
        let LikenessesJson {
            times,
            most_apart_ms,
            forms,
            numbers,
            most_relative,
            nulls,
            cases,
            spaces,
            orders,
            others,
        } = self;
        Likenesses {
            times,
            most_apart_ms,
            forms,
            numbers,
            most_relative,
            nulls,
            cases,
            spaces,
            orders,
            others,
        }
    }
}

fn sample_json(sample: &Sample) -> SampleJson {
    let text = |text: &Redacted| text.as_str().to_owned();
    let difference = |one: &RedactedDifference| DifferenceJson {
        path: text(&one.path),
        at: text(&one.at),
        kind: one.kind.as_str().to_owned(),
        old: one.old.as_ref().map(text),
        new: one.new.as_ref().map(text),
    };
    SampleJson {
        at_ms: sample.at_ms,
        request: text(&sample.request),
        request_id: text(&sample.request_id),
        differences: sample.differences.iter().map(difference).collect(),
        old: text(&sample.old),
        new: text(&sample.new),
    }
}

impl SampleJson {
    /// The texts were redacted when they were stored.
    fn read(self, redactor: &Redactor) -> Sample {
        let text = |text: String| redactor.restored(text);
        let difference = |one: DifferenceJson| {
            Some(RedactedDifference {
                kind: kind_of(&one.kind)?,
                path: text(one.path),
                at: text(one.at),
                old: one.old.map(text),
                new: one.new.map(text),
            })
        };
        Sample {
            at_ms: self.at_ms,
            request: text(self.request),
            request_id: text(self.request_id),
            differences: self.differences.into_iter().filter_map(difference).collect(),
            old: text(self.old),
            new: text(self.new),
        }
    }
}
