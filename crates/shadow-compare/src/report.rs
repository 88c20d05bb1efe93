//! What was found of one migration, for whoever asks.

use std::sync::Arc;

use response_diff::Kind;
use response_diff::summary::groups::{GroupView, Sample, TurnedAway};
use response_diff::summary::noise::Knowledge;
use response_diff::summary::{ClassCounts, Coverage, Endpoint};

use crate::desk::{Desk, Questions};
use crate::store::Kept;

/// An endpoint counts as covered from so many comparisons on.
pub const ENOUGH: u64 = 100;

/// What is wanted of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// This endpoint alone, by its name: `GET /orders/{id}`, or by its path alone.
    pub endpoint: Option<String>,
    /// The sample of this number; [`Wish::samples`] is for all.
    pub sample: Option<u64>,
    /// All samples of the groups that are listed.
    pub samples: bool,
    /// Groups, at most.
    pub limit: usize,
}

impl Default for Wish {
    fn default() -> Self {
        Wish { endpoint: None, sample: None, samples: false, limit: 50 }
    }
}

/// What was found of one migration.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The migration.
    pub migration: Arc<str>,
    /// Since when comparisons count, in milliseconds since 1970.
    pub since_ms: u64,
    /// What became of all pairs, or of those of the endpoint that was asked for.
    pub counts: ClassCounts,
    /// How much of what is known was compared.
    pub coverage: Coverage,
    /// Every endpoint with what became of its pairs, the one with the most requests first.
    pub endpoints: Vec<(Endpoint, ClassCounts)>,
    /// The groups that were asked for, the worst first.
    pub groups: Vec<Group>,
    /// What was gone when both arms were asked again: in no group above, unless it also stayed, and in no match rate.
    pub races: Vec<RaceGroup>,
    /// Groups beyond the limit.
    pub groups_left_out: usize,
    /// The samples that were asked for.
    pub samples: Vec<(u64, Sample)>,
    /// What was asked again.
    pub questions: Questions,
    /// What there was no room for.
    pub turned_away: TurnedAway,
    /// The rules that are suggested, as TOML.
    pub suggestions: String,
    /// How keeping it goes.
    pub kept: Kept,
    /// The share of requests whose answers there is processor time for, 0 to 1, of the whole process.
    pub let_in: f64,
}

/// Differences of one endpoint, place and kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The place, normalised.
    pub path: String,
    /// In which way the answers differ there.
    pub kind: Kind,
    /// In how many comparisons.
    pub count: u64,
    /// Of those: how many that are at least as large as `knowledge.level` says.
    pub reaching: u64,
    /// The endpoint's comparisons.
    pub comparisons: u64,
    /// How often it was gone when both arms were asked again; not among `count`.
    pub races: u64,
    /// When it was first seen, in milliseconds since 1970.
    pub first_ms: u64,
    /// When it was last seen.
    pub last_ms: u64,
    /// Whether it is noise, and why.
    pub knowledge: Knowledge,
    /// The numbers of its samples.
    pub samples: Vec<u64>,
}

/// Differences of one endpoint, place and kind that were gone when both arms were asked again.
#[derive(Clone, Debug, PartialEq)]
pub struct RaceGroup {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The place, normalised.
    pub path: String,
    /// In which way the answers differed there.
    pub kind: Kind,
    /// In how many comparisons.
    pub count: u64,
    /// In how many of them old stood by its answer and new alone gave another one.
    pub new_alone: u64,
    /// The endpoint's comparisons.
    pub comparisons: u64,
    /// When it was first seen, in milliseconds since 1970.
    pub first_ms: u64,
    /// When it was last seen.
    pub last_ms: u64,
    /// The numbers of its samples.
    pub samples: Vec<u64>,
}

impl Report {
    pub(crate) fn of(desk: &Desk, wish: &Wish, kept: &Kept, let_in: f64) -> Report {
        let ledger = &desk.ledger;
        let tally = ledger.tally();
        let coverage = ledger.coverage(ENOUGH);
        let endpoint = wish.endpoint.as_deref();
        let is_wanted = |one: &Endpoint| endpoint.is_none_or(|wanted| is_it(one, wanted));
        let views = ledger.groups().list(ledger.noise(), None);
        let views: Vec<GroupView<'_>> = views.into_iter().filter(|view| is_wanted(view.endpoint)).collect();
        let groups_left_out = views.len().saturating_sub(wish.limit);
        let mut samples: Vec<(u64, Sample)> = Vec::new();
        if let Some(number) = wish.sample {
            samples.extend(ledger.sample(number).map(|sample| (number, sample.clone())));
        }
        let listed = &views[..views.len().min(wish.limit)];
        let races = ledger.races().list(ledger.noise(), None);
        let races = races.iter().filter(|view| is_wanted(view.endpoint)).take(wish.limit);
        if wish.samples {
            let all = listed.iter().chain(races.clone()).flat_map(|view| &view.samples);
            samples.extend(all.map(|(number, sample)| (*number, (*sample).clone())));
            samples.sort_by_key(|(number, _)| *number);
            samples.dedup_by_key(|(number, _)| *number);
        }
        let endpoints: Vec<(Endpoint, ClassCounts)> = coverage
            .endpoints
            .iter()
            .filter(|one| is_wanted(&one.endpoint))
            .map(|one| (one.endpoint.clone(), tally.of(&one.endpoint)))
            .collect();
        let mut counts = ClassCounts::default();
        match endpoint {
            None => counts = *tally.total(),
            Some(_) => endpoints.iter().for_each(|(_, one)| counts.merge(one)),
        }
        Report {
            migration: desk.settings.name.clone(),
            since_ms: desk.since_ms,
            counts,
            coverage,
            endpoints,
            groups: listed.iter().map(Group::of).collect(),
            races: races.map(|view| RaceGroup::of(view, ledger.groups().of(view.endpoint).0)).collect(),
            groups_left_out,
            samples,
            questions: desk.questions,
            turned_away: both(ledger.groups().turned_away(), ledger.races().turned_away()),
            suggestions: ledger.suggestions().toml(&desk.settings.name, &desk.settings.rules),
            kept: kept.clone(),
            let_in,
        }
    }
}

impl RaceGroup {
    fn of(view: &GroupView<'_>, comparisons: u64) -> RaceGroup {
        RaceGroup {
            endpoint: view.endpoint.clone(),
            path: view.path.to_owned(),
            kind: view.kind,
            count: view.count,
            new_alone: view.new_alone,
            comparisons,
            first_ms: view.first_ms,
            last_ms: view.last_ms,
            samples: view.samples.iter().map(|(number, _)| *number).collect(),
        }
    }
}

fn both(one: TurnedAway, other: TurnedAway) -> TurnedAway {
    TurnedAway {
        differences: one.differences + other.differences,
        groups: one.groups + other.groups,
        samples: one.samples + other.samples,
    }
}

impl Group {
    fn of(view: &GroupView<'_>) -> Group {
        Group {
            endpoint: view.endpoint.clone(),
            path: view.path.to_owned(),
            kind: view.kind,
            count: view.count,
            reaching: view.reaching,
            comparisons: view.comparisons,
            races: view.races,
            first_ms: view.first_ms,
            last_ms: view.last_ms,
            knowledge: view.knowledge,
            samples: view.samples.iter().map(|(number, _)| *number).collect(),
        }
    }
}

/// Whether somebody means this endpoint: by its whole name or by its path.
fn is_it(endpoint: &Endpoint, wanted: &str) -> bool {
    endpoint.as_str() == wanted || endpoint.template() == Some(wanted)
}
