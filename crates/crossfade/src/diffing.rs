//! What joins those who compare with the controller and the admin interface: names of types, no decisions.

use std::collections::BTreeMap;
use std::sync::Arc;

use admin_api::{
    Diffs, DiffsAnswer, DiffsCounts, DiffsCoverage, DiffsDifference, DiffsEndpoint, DiffsGroup, DiffsNoise,
    DiffsQuestions, DiffsRace, DiffsSample, DiffsStorage, DiffsSummary, DiffsTurnedAway, DiffsWish,
};
use config_file::Checked;
use control_plane::Follows;
use response_diff::redact::RedactedDifference;
use response_diff::summary::coverage::Covered;
use response_diff::summary::groups::Sample;
use response_diff::summary::noise::State;
use response_diff::summary::{Class, ClassCounts};
use rollback_guard::{MATCH_CONFIDENCE, MatchRate};
use route_plan::NotCopied;
use shadow_compare::{Comparer, ENOUGH, Group, RaceGroup, Report, Wish};
use telemetry::Telemetry;

/// Those who compare.
#[derive(Clone, Debug)]
pub(crate) struct Diffing {
    pub(crate) comparer: Arc<Comparer>,
    pub(crate) telemetry: Arc<Telemetry>,
}

impl Follows for Diffing {
    fn follow(&self, checked: &Checked) {
        self.comparer.follow(checked);
    }

    fn begin_anew(&self, migration: &str) {
        self.comparer.begin_anew(migration);
    }
}

impl Diffs for Diffing {
    fn diffs(&self, migration: &str, wish: &DiffsWish) -> Option<DiffsAnswer> {
        let DiffsWish { endpoint, sample, samples, limit } = wish.clone();
        let report = self.comparer.report(migration, &Wish { endpoint, sample, samples, limit })?;
        let dropped = self.telemetry.shadow(migration).totals();
        let not_copied =
            NotCopied::ALL.into_iter().map(|why| (why.as_str().to_owned(), dropped.dropped_for(why)));
        Some(answer(&report, not_copied.filter(|(_, count)| *count > 0).collect()))
    }
}

fn answer(report: &Report, not_copied: BTreeMap<String, u64>) -> DiffsAnswer {
    let requests: BTreeMap<&str, (u64, Covered)> = report
        .coverage
        .endpoints
        .iter()
        .map(|one| (one.endpoint.as_str(), (one.requests, one.state)))
        .collect();
    let endpoints = report.endpoints.iter().map(|(endpoint, all)| {
        let known = requests.get(endpoint.as_str()).copied();
        let rate = match_rate(all);
        DiffsEndpoint {
            endpoint: endpoint.as_str().to_owned(),
            requests: known.map_or(0, |(requests, _)| requests),
            covered: known.map_or("not", |(_, state)| covered(state)),
            counts: counts(all),
            match_rate: rate.rate(),
            match_rate_at_least: rate.at_least(),
        }
    });
    DiffsAnswer {
        endpoints: endpoints.collect(),
        groups: report.groups.iter().map(group).collect(),
        races: report.races.iter().map(race).collect(),
        samples: report.samples.iter().map(|(number, one)| sample(*number, one)).collect(),
        summary: summary(report, not_copied),
    }
}

fn summary(report: &Report, not_copied: BTreeMap<String, u64>) -> DiffsSummary {
    let rate = match_rate(&report.counts);
    let is_covered = |state| matches!(state, Covered::Enough);
    let (questions, kept, away) = (report.questions, &report.kept, report.turned_away);
    DiffsSummary {
        migration: report.migration.to_string(),
        since_ms: report.since_ms,
        comparisons: counts(&report.counts),
        not_copied,
        judged: rate.compared(),
        match_rate: rate.rate(),
        match_rate_at_least: rate.at_least(),
        confidence: MATCH_CONFIDENCE,
        match_rate_text: rate.to_string(),
        coverage: DiffsCoverage {
            endpoints: report.coverage.endpoints.len(),
            covered: report.coverage.endpoints.iter().filter(|one| is_covered(one.state)).count(),
            enough: ENOUGH,
            share_of_requests: report.coverage.share_of_requests,
        },
        groups_left_out: report.groups_left_out,
        asked_again: DiffsQuestions {
            sampled: questions.sampled,
            rechecked: questions.rechecked,
            not_rechecked: questions.not_rechecked,
            races_of_new_alone: questions.new_alone,
        },
        turned_away: DiffsTurnedAway {
            differences: away.differences,
            groups: away.groups,
            samples: away.samples,
        },
        let_in: report.let_in,
        storage: DiffsStorage {
            on_disk: kept.on_disk,
            error: kept.error.clone(),
            written: kept.written,
            failed: kept.failed,
        },
        suggestions: report.suggestions.clone(),
    }
}

/// By the same bound as that of the gate of phase shadow.
fn match_rate(counts: &ClassCounts) -> MatchRate {
    MatchRate::of(counts.judged(), counts.of(Class::Mismatched))
}

fn counts(all: &ClassCounts) -> DiffsCounts {
    let not_compared = all.iter().filter_map(|(class, count)| match class {
        Class::NotCompared(why) => Some((why.as_str().to_owned(), count)),
        Class::Matched | Class::Mismatched | Class::Noise | Class::Race => None,
    });
    DiffsCounts {
        matched: all.of(Class::Matched),
        mismatched: all.of(Class::Mismatched),
        noise: all.of(Class::Noise),
        race: all.of(Class::Race),
        not_compared: not_compared.collect(),
    }
}

fn covered(state: Covered) -> &'static str {
    match state {
        Covered::Enough => "enough",
        Covered::Few { .. } => "few",
        Covered::OnlyNoise { .. } => "only-noise",
        Covered::Not => "not",
    }
}

fn group(group: &Group) -> DiffsGroup {
    DiffsGroup {
        endpoint: group.endpoint.as_str().to_owned(),
        path: group.path.clone(),
        kind: group.kind.as_str(),
        count: group.count,
        comparisons: group.comparisons,
        share: group.count as f64 / group.comparisons.max(1) as f64,
        races: group.races,
        first_seen_ms: group.first_ms,
        last_seen_ms: group.last_ms,
        noise: noise(group),
        samples: group.samples.clone(),
    }
}

fn race(race: &RaceGroup) -> DiffsRace {
    DiffsRace {
        endpoint: race.endpoint.as_str().to_owned(),
        path: race.path.clone(),
        kind: race.kind.as_str(),
        count: race.count,
        new_alone: race.new_alone,
        comparisons: race.comparisons,
        first_seen_ms: race.first_ms,
        last_seen_ms: race.last_ms,
        samples: race.samples.clone(),
    }
}

fn noise(group: &Group) -> DiffsNoise {
    let known = group.knowledge;
    let (state, confidence, needs) = match known.state {
        State::Noise { confidence } => ("noise", Some(confidence), None),
        State::Real => ("real", None, None),
        State::Unknown { needs } => ("unknown", None, needs),
    };
    let evidence = known.evidence;
    DiffsNoise {
        state,
        at_least: known.level.at_least(),
        reaching: group.reaching,
        confidence,
        needs,
        old_pairs: evidence.old_pairs,
        old_differ: evidence.old_differ,
        new_pairs: evidence.new_pairs,
        new_differ: evidence.new_differ,
    }
}

fn sample(number: u64, sample: &Sample) -> DiffsSample {
    let difference = |one: &RedactedDifference| DiffsDifference {
        path: one.path.to_string(),
        at: one.at.to_string(),
        kind: one.kind.as_str(),
        old: one.old.as_ref().map(ToString::to_string),
        new: one.new.as_ref().map(ToString::to_string),
    };
    DiffsSample {
        sample: number,
        at_ms: sample.at_ms,
        request: sample.request.to_string(),
        request_id: sample.request_id.to_string(),
        differences: sample.differences.iter().map(difference).collect(),
        old: sample.old.to_string(),
        new: sample.new.to_string(),
    }
}
