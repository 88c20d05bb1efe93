//! What comparing the answers of a migration found: `GET migrations/{name}/diffs`, as JSON or as lines of it.
//!
//! Who compares is not known here: what was found comes through [`Diffs`], in the types that travel.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Debug;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use control_plane::ControlError;
use http_body::Frame;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::handlers::{Answer, Name, path_name};
use crate::problem::Problem;
use crate::{Parts, query};

/// How many groups are given, where nobody says.
const DEFAULT_GROUPS: usize = 50;
/// The most groups that are given.
const MAX_GROUPS: usize = 1_000;
/// The media type of lines of JSON.
const NDJSON: &str = "application/x-ndjson";

/// Knows what comparing found.
pub trait Diffs: Debug + Send + Sync {
    /// What was found of a migration; `None` where nothing is compared of it. May take some milliseconds.
    fn diffs(&self, migration: &str, wish: &DiffsWish) -> Option<DiffsAnswer>;
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffsWish {
    /// One endpoint alone, by its name or its path.
    pub endpoint: Option<String>,
    /// The sample of this number.
    pub sample: Option<u64>,
    /// The samples of all groups.
    pub samples: bool,
    /// Groups, at most.
    pub limit: usize,
}

/// What comparing found of one migration.
#[derive(Clone, Debug, Serialize)]
pub struct DiffsAnswer {
    /// What all of it comes to.
    #[serde(flatten)]
    pub summary: DiffsSummary,
    /// By endpoint, the one with the most requests first.
    pub endpoints: Vec<DiffsEndpoint>,
    /// Differences by endpoint, place and kind: those that are not noise first, the most frequent first.
    pub groups: Vec<DiffsGroup>,
    /// Differences that were gone when both arms were asked again, the most frequent first: in no match rate, and in
    /// `groups` only where they also stayed. At most as many as groups.
    pub races: Vec<DiffsRace>,
    /// The samples that were asked for.
    pub samples: Vec<DiffsSample>,
}

/// What all of it comes to.
#[derive(Clone, Debug, Serialize)]
pub struct DiffsSummary {
    /// The migration.
    pub migration: String,
    /// Since when comparisons count, in milliseconds since 1970; travels as RFC 3339.
    #[serde(rename = "since", serialize_with = "as_time")]
    pub since_ms: u64,
    /// What became of the pairs of answers.
    pub comparisons: DiffsCounts,
    /// Requests that were not copied, or whose copy brought no pair, by reason, since the process started.
    pub not_copied: BTreeMap<String, u64>,
    /// Comparisons that the match rate is of, noise and races left out. Where mismatches are limited it is those that the
    /// gate of phase shadow counts, as in the status: more or fewer than `comparisons` where that began to count anew.
    pub judged: u64,
    /// The share of them that match, 0 to 1; `null` without any.
    pub match_rate: Option<f64>,
    /// What it is at least.
    pub match_rate_at_least: f64,
    /// How sure that is, 0 to 1, however often one looks.
    pub confidence: f64,
    /// Both as a person reads it: `99.93 %, at least 99.90 %`.
    pub match_rate_text: String,
    /// How much was compared of what there is.
    pub coverage: DiffsCoverage,
    /// Groups that there are beyond those that are listed.
    pub groups_left_out: usize,
    /// What was asked once more.
    pub asked_again: DiffsQuestions,
    /// What there was no room for.
    pub turned_away: DiffsTurnedAway,
    /// The share of requests whose answers there is processor time for, 0 to 1, of the whole process.
    pub let_in: f64,
    /// How keeping it goes.
    pub storage: DiffsStorage,
    /// The rules that are suggested, as TOML.
    pub suggestions: String,
}

/// What became of pairs of answers. Each is in one class.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DiffsCounts {
    /// The same by the rules.
    pub matched: u64,
    /// Different.
    pub mismatched: u64,
    /// Different only where old differs from itself.
    pub noise: u64,
    /// Different for a moment.
    pub race: u64,
    /// Not compared, by reason.
    pub not_compared: BTreeMap<String, u64>,
}

/// How much was compared of what there is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DiffsCoverage {
    /// Endpoints that are known.
    pub endpoints: usize,
    /// Those with enough comparisons.
    pub covered: usize,
    /// So many comparisons are enough.
    pub enough: u64,
    /// The share of requests that went to those, 0 to 1.
    pub share_of_requests: f64,
}

/// What was asked once more.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DiffsQuestions {
    /// Sampled requests, to learn what is noise.
    pub sampled: u64,
    /// Mismatches, to see whether they last.
    pub rechecked: u64,
    /// Mismatches that could not be.
    pub not_rechecked: u64,
    /// Races in which new alone gave another answer than before: a fault that comes and goes looks like that.
    pub races_of_new_alone: u64,
}

/// What there was no room for.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DiffsTurnedAway {
    /// Differences in no group.
    pub differences: u64,
    /// Groups that made room.
    pub groups: u64,
    /// Samples.
    pub samples: u64,
}

/// How keeping it goes.
#[derive(Clone, Debug, Serialize)]
pub struct DiffsStorage {
    /// Whether it outlives the process.
    pub on_disk: bool,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
    /// Times that it was written.
    pub written: u64,
    /// Times that it could not be.
    pub failed: u64,
}

/// One endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct DiffsEndpoint {
    /// Method and template: `GET /orders/{id}`.
    pub endpoint: String,
    /// Requests that were seen of it.
    pub requests: u64,
    /// `enough`, `few`, `only-noise` or `not`.
    pub covered: &'static str,
    /// What became of its pairs.
    #[serde(flatten)]
    pub counts: DiffsCounts,
    /// The share that matches.
    pub match_rate: Option<f64>,
    /// What it is at least.
    pub match_rate_at_least: f64,
}

/// Differences of one endpoint, place and kind.
#[derive(Clone, Debug, Serialize)]
pub struct DiffsGroup {
    /// The endpoint.
    pub endpoint: String,
    /// The place: `$.items[*].price`, `header:location`, `status`.
    pub path: String,
    /// `missing`, `added`, `type`, `value`, `order` or `length`.
    pub kind: &'static str,
    /// In how many comparisons.
    pub count: u64,
    /// Of the endpoint.
    pub comparisons: u64,
    /// The share of them, 0 to 1.
    pub share: f64,
    /// How often it was gone a moment later; not among `count`.
    pub races: u64,
    /// When it was first seen, in milliseconds since 1970; travels as RFC 3339.
    #[serde(rename = "first_seen", serialize_with = "as_time")]
    pub first_seen_ms: u64,
    /// When it was last seen, in milliseconds since 1970; travels as RFC 3339.
    #[serde(rename = "last_seen", serialize_with = "as_time")]
    pub last_seen_ms: u64,
    /// Whether it is noise, and why.
    pub noise: DiffsNoise,
    /// The numbers of its samples.
    pub samples: Vec<u64>,
}

/// Differences of one endpoint, place and kind that were gone when both arms were asked again.
#[derive(Clone, Debug, Serialize)]
pub struct DiffsRace {
    /// The endpoint.
    pub endpoint: String,
    /// The place: `$.items[*].price`, `header:location`, `status`.
    pub path: String,
    /// `missing`, `added`, `type`, `value`, `order` or `length`.
    pub kind: &'static str,
    /// In how many comparisons.
    pub count: u64,
    /// In how many of them old stood by its answer and new alone gave another one: a fault that comes and goes.
    pub new_alone: u64,
    /// Of the endpoint.
    pub comparisons: u64,
    /// When it was first seen, in milliseconds since 1970; travels as RFC 3339.
    #[serde(rename = "first_seen", serialize_with = "as_time")]
    pub first_seen_ms: u64,
    /// When it was last seen, in milliseconds since 1970; travels as RFC 3339.
    #[serde(rename = "last_seen", serialize_with = "as_time")]
    pub last_seen_ms: u64,
    /// The numbers of its samples: the answers that differed.
    pub samples: Vec<u64>,
}

/// Whether a place is noise, and why.
#[derive(Clone, Debug, Serialize)]
pub struct DiffsNoise {
    /// `noise`: old differs there from itself as often as from new. `real`: it does not. `unknown`: too few were asked
    /// twice.
    pub state: &'static str,
    /// Where it is not noise: it is where less than this differs at once, in places (elements of a list, lines of a text,
    /// or parts of 32 bytes of a line that is longer); 1, 2, 4 ... 128. State and counts are of comparisons with at least
    /// as much. 1 where it is noise, or where nothing is.
    pub at_least: u64,
    /// In how many of the group's comparisons it is at least as much.
    pub reaching: u64,
    /// How sure it is that it is noise.
    pub confidence: Option<f64>,
    /// About how many more sampled requests will tell.
    pub needs: Option<u64>,
    /// Sampled requests,
    pub old_pairs: u64,
    /// and in how many of them old differed there from itself.
    pub old_differ: u64,
    /// Comparisons,
    pub new_pairs: u64,
    /// and in how many of them new differed there from old.
    pub new_differ: u64,
}

/// One request with both answers, of which nothing is secret.
#[derive(Clone, Debug, Serialize)]
pub struct DiffsSample {
    /// Its number.
    pub sample: u64,
    /// When it was, in milliseconds since 1970; travels as RFC 3339.
    #[serde(rename = "at", serialize_with = "as_time")]
    pub at_ms: u64,
    /// Method and target.
    pub request: String,
    /// The id by which logs have it.
    pub request_id: String,
    /// In what its answers differ.
    pub differences: Vec<DiffsDifference>,
    /// Old's answer.
    pub old: String,
    /// New's answer.
    pub new: String,
}

/// One place in which two answers differ.
#[derive(Clone, Debug, Serialize)]
pub struct DiffsDifference {
    /// The place, the same in all answers.
    pub path: String,
    /// The place in these.
    pub at: String,
    /// In which way.
    pub kind: &'static str,
    /// What old has there.
    pub old: Option<String>,
    /// What new has there.
    pub new: Option<String>,
}

/// A line of the export.
#[derive(Serialize)]
#[serde(tag = "line", rename_all = "snake_case")]
enum Line<'a> {
    Summary(&'a DiffsSummary),
    Endpoint(&'a DiffsEndpoint),
    Group(&'a DiffsGroup),
    Race(&'a DiffsRace),
    Sample(&'a DiffsSample),
}

/// `GET migrations/{name}/diffs`
pub(crate) async fn diffs(
    State(parts): State<Parts>,
    name: Name,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let name = path_name(name)?;
    let (wish, lines) = wish(query.as_deref(), &headers)?;
    let status = parts.control.status();
    if status.migration(&name).is_none() {
        let known = status.migrations.iter().map(|known| &known.name);
        return Err(ControlError::unknown_migration(&name, known).into());
    }
    // One figure for all who look, and that by which the phase is left.
    let gate = status.migration(&name).and_then(|migration| migration.shadow.as_ref());
    let gate = gate.filter(|gate| gate.is_by_gate && wish.endpoint.is_none());
    let gate = gate.map(|gate| gate.match_rate);
    let (asked, sample) = (name.clone(), wish.sample);
    let diffs = parts.diffs.clone();
    // It may be long, and have to wait for a comparison.
    let found = tokio::task::spawn_blocking(move || diffs.and_then(|diffs| diffs.diffs(&asked, &wish)));
    let Some(mut found) = found.await.ok().flatten() else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "not-compared")
            .detail(format!("nothing is compared of {name}: the file says `shadow = false`")));
    };
    if let Some(rate) = gate {
        let summary = &mut found.summary;
        (summary.judged, summary.match_rate) = (rate.compared(), rate.rate());
        (summary.match_rate_at_least, summary.match_rate_text) = (rate.at_least(), rate.to_string());
    }
    if let Some(number) = sample.filter(|_| found.samples.is_empty()) {
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown-sample")
            .detail(format!("{name} has no sample {number}, or not any more")));
    }
    Ok(if lines { export(found) } else { Json(found).into_response() })
}

/// What is asked for, and whether as lines.
fn wish(query: Option<&str>, headers: &HeaderMap) -> Result<(DiffsWish, bool), Problem> {
    let text = |name: &str| {
        let found = query::parameter(query, name);
        found.map(|value| {
            String::from_utf8(value).map_err(|_| Problem::bad_request(format!("{name}: expected UTF-8")))
        })
    };
    let endpoint = text("endpoint").transpose()?.filter(|endpoint| !endpoint.is_empty());
    let sample = text("sample").transpose()?;
    let sample = sample
        .map(|number| number.parse().map_err(|_| Problem::bad_request("sample: expected a number")))
        .transpose()?;
    let in_range = |limit: &usize| (1..=MAX_GROUPS).contains(limit);
    let limit = text("limit").transpose()?;
    let limit = limit.map(|limit| {
        let expected = || Problem::bad_request(format!("limit: expected a number, 1 to {MAX_GROUPS}"));
        limit.parse().ok().filter(in_range).ok_or_else(expected)
    });
    let limit = limit.transpose()?;
    let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let lines = match text("format").transpose()?.as_deref() {
        None => accepts.split(',').any(|one| one.split(';').next().unwrap_or_default().trim() == NDJSON),
        Some("ndjson") => true,
        Some("json") => false,
        Some(_) => return Err(Problem::bad_request("format: expected `json` or `ndjson`")),
    };
    let limit = limit.unwrap_or(if lines { MAX_GROUPS } else { DEFAULT_GROUPS });
    Ok((DiffsWish { endpoint, sample, samples: lines, limit }, lines))
}

/// One line after the other, so that no more of it is text at once than is being sent.
fn export(found: DiffsAnswer) -> Response {
    let DiffsAnswer { summary, endpoints, groups, races, samples } = found;
    let lines = std::iter::once(text(&Line::Summary(&summary)))
        .chain(endpoints.into_iter().map(|one| text(&Line::Endpoint(&one))))
        .chain(groups.into_iter().map(|one| text(&Line::Group(&one))))
        .chain(races.into_iter().map(|one| text(&Line::Race(&one))))
        .chain(samples.into_iter().map(|one| text(&Line::Sample(&one))));
    let body = Body::new(Lines(lines));
    ([(CONTENT_TYPE, HeaderValue::from_static(NDJSON))], body).into_response()
}

/// Numbers and texts under literal names: nothing in it can fail to be JSON.
fn text(line: &Line<'_>) -> String {
    let mut text = serde_json::to_string(line).unwrap_or_default();
    text.push('\n');
    text
}

/// Lines that are there when they are asked for.
struct Lines<I>(I);

impl<I: Iterator<Item = String> + Unpin> http_body::Body for Lines<I> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|line| Ok(Frame::data(line.into()))))
    }
}

/// Milliseconds since 1970 as RFC 3339.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn as_time<S: Serializer>(ms: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    let time = i64::try_from(*ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    serializer.serialize_str(&time.map(|time| format!("{time:.3}")).unwrap_or_default())
}
