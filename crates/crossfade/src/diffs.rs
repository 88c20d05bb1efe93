//! `diffs`: what comparing found, for a person to work from.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;

use response_diff::{Difference, Kind};
use serde::Deserialize;
use serde_json::Value;

use crate::api::{Api, CallError, encode};
use crate::cli::DiffsArgs;
use crate::differences::{self, Style, cut, visible};
use crate::output::{self, Exit};

mod beside;

/// Of so many groups it is said that they are noise in part.
const MOST_NOTED: usize = 3;

pub(crate) fn diffs(args: &DiffsArgs) -> Exit {
    let path = path(args);
    let shown = Api::find(&args.admin).and_then(|api| {
        if args.export {
            return api.get_text(&path);
        }
        let answer = api.get(&path)?;
        if args.json { Ok(format!("{answer:#}\n")) } else { in_words(args, answer) }
    });
    match shown {
        Ok(text) => {
            output::say(&text);
            Exit::Done
        }
        Err(error) => error.tell(),
    }
}

fn path(args: &DiffsArgs) -> String {
    let format = if args.export { "ndjson" } else { "json" };
    let mut path = format!("/api/v1/migrations/{}/diffs?format={format}", encode(args.name.as_bytes()));
    if !args.export {
        let _ = write!(path, "&limit={}", args.limit);
    }
    if let Some(endpoint) = &args.endpoint {
        let _ = write!(path, "&endpoint={}", encode(endpoint.as_bytes()));
    }
    if let Some(sample) = args.sample {
        let _ = write!(path, "&sample={sample}");
    }
    path
}

fn in_words(args: &DiffsArgs, answer: Value) -> Result<String, CallError> {
    let found: Found = serde_json::from_value(answer)
        .map_err(|error| CallError::Refused(format!("the answer is not understood: {error}")))?;
    if let Some(asked) = args.endpoint.as_deref()
        && !found.endpoints.iter().any(|one| one.is_called(asked))
    {
        let name = visible(&found.migration);
        return Err(CallError::Refused(format!(
            "{name} has no endpoint `{}`; `crossfade diffs {name}` shows which it has",
            visible(asked)
        )));
    }
    if args.suggest {
        return Ok(found.suggestions);
    }
    let style = Style::of(&io::stdout());
    Ok(match found.samples.first().filter(|_| args.sample.is_some()) {
        Some(sample) => shown(sample, &style),
        None => overview(&found, &style),
    })
}

#[derive(Debug, Deserialize)]
struct Found {
    migration: String,
    since: String,
    comparisons: Counts,
    judged: u64,
    not_copied: BTreeMap<String, u64>,
    match_rate: Option<f64>,
    match_rate_text: String,
    coverage: Coverage,
    groups_left_out: usize,
    asked_again: Questions,
    let_in: f64,
    storage: Storage,
    suggestions: String,
    endpoints: Vec<Endpoint>,
    groups: Vec<Group>,
    /// Not told by a crossfade of before.
    #[serde(default)]
    races: Vec<Race>,
    samples: Vec<Sample>,
}

#[derive(Debug, Deserialize)]
struct Counts {
    matched: u64,
    mismatched: u64,
    noise: u64,
    race: u64,
    not_compared: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
struct Coverage {
    endpoints: usize,
    covered: usize,
    enough: u64,
    share_of_requests: f64,
}

#[derive(Debug, Deserialize)]
struct Questions {
    sampled: u64,
    rechecked: u64,
    not_rechecked: u64,
    races_of_new_alone: u64,
}

#[derive(Debug, Deserialize)]
struct Storage {
    on_disk: bool,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    endpoint: String,
    requests: u64,
    covered: String,
}

#[derive(Debug, Deserialize)]
struct Group {
    endpoint: String,
    path: String,
    kind: String,
    count: u64,
    share: f64,
    races: u64,
    first_seen: String,
    last_seen: String,
    noise: Noise,
    samples: Vec<u64>,
}

#[derive(Debug, Deserialize)]
struct Race {
    endpoint: String,
    path: String,
    kind: String,
    count: u64,
    new_alone: u64,
    first_seen: String,
    last_seen: String,
    samples: Vec<u64>,
}

#[derive(Debug, Deserialize)]
struct Noise {
    state: String,
    #[serde(default)]
    at_least: u64,
    #[serde(default)]
    reaching: u64,
    old_pairs: u64,
    old_differ: u64,
    confidence: Option<f64>,
    needs: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Sample {
    sample: u64,
    at: String,
    request: String,
    request_id: String,
    differences: Vec<One>,
    old: String,
    new: String,
}

#[derive(Debug, Deserialize)]
struct One {
    path: String,
    at: String,
    kind: String,
    old: Option<String>,
    new: Option<String>,
}

fn overview(found: &Found, style: &Style) -> String {
    let mut out = head(found, style);
    if found.groups.is_empty() {
        let judged = found.comparisons.matched > 0;
        let text = match (judged, found.races.is_empty()) {
            (_, false) => "no differences were found that stayed",
            (true, true) => "no differences were found",
            (false, true) => "nothing was found yet",
        };
        let _ = writeln!(out, "\n{text}");
    } else {
        let _ = write!(out, "\n{}", table(&found.groups, style));
    }
    if found.groups_left_out > 0 {
        let _ = writeln!(out, "and {} more: --limit shows more of them", found.groups_left_out);
    }
    if !found.races.is_empty() {
        let _ = write!(
            out,
            "\ngone when both were asked again (races), and in no match rate:\n{}",
            races(&found.races, style)
        );
    }
    out.push_str(&notes(found));
    let samples =
        found.groups.iter().map(|group| &group.samples).chain(found.races.iter().map(|race| &race.samples));
    if let Some(sample) = samples.flatten().next() {
        let name = visible(&found.migration);
        let _ = writeln!(
            out,
            "\n`crossfade diffs {name} --sample {sample}` shows both answers, `--suggest` the rules for what is noise"
        );
    }
    out
}

/// The match rate, and what became of all pairs.
fn head(found: &Found, style: &Style) -> String {
    let Counts { matched, mismatched, noise, race, not_compared } = &found.comparisons;
    let rate = match found.match_rate {
        None => style.doubtful(&found.match_rate_text),
        Some(rate) if rate >= 1.0 => style.good(&found.match_rate_text),
        Some(_) => style.bad(&found.match_rate_text),
    };
    let mut out = format!("{}: {rate}", style.bold(&visible(&found.migration)));
    if found.judged > 0 {
        let _ = write!(out, " of {} comparisons match", grouped(found.judged));
    }
    let _ = writeln!(out);
    let _ = writeln!(out, "counted since {}", visible(&found.since));
    let left_out: u64 = not_compared.values().sum();
    let _ = writeln!(
        out,
        "matched {}, mismatched {}, noise {}, races {}, not compared {}{}",
        grouped(*matched),
        grouped(*mismatched),
        grouped(*noise),
        grouped(*race),
        grouped(left_out),
        reasons(not_compared)
    );
    let not_copied: u64 = found.not_copied.values().sum();
    if not_copied > 0 {
        let _ = writeln!(out, "not copied {}{}", grouped(not_copied), reasons(&found.not_copied));
    }
    let Coverage { endpoints, covered, enough, share_of_requests } = found.coverage;
    let _ = writeln!(
        out,
        "covered {covered} of {endpoints} endpoints, {} of the requests (from {enough} comparisons on)",
        percent(share_of_requests)
    );
    out
}

/// The largest first.
fn reasons(counts: &BTreeMap<String, u64>) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
    let each: Vec<_> =
        counts.iter().map(|(why, count)| format!("{} {}", visible(why), grouped(**count))).collect();
    if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) }
}

fn table(groups: &[Group], style: &Style) -> String {
    let head = [
        "ENDPOINT",
        "PLACE",
        "KIND",
        "COUNT",
        "SHARE",
        "RACES",
        "FIRST SEEN",
        "LAST SEEN",
        "NOISE",
        "SAMPLES",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    // What a name or place may take, so that the rest of a line stays on the screen.
    let room = (style.columns / 5).max(16);
    rows.extend(groups.iter().map(|group| {
        let samples: Vec<_> = group.samples.iter().map(ToString::to_string).collect();
        vec![
            cut(&visible(&group.endpoint), room),
            cut(&visible(&group.path), room),
            visible(&group.kind),
            grouped(group.count),
            percent(group.share),
            if group.races == 0 { "-".to_owned() } else { grouped(group.races) },
            moment(&group.first_seen),
            moment(&group.last_seen),
            noise(&group.noise),
            samples.join(" "),
        ]
    }));
    output::table(&rows)
}

fn races(races: &[Race], style: &Style) -> String {
    let head = ["ENDPOINT", "PLACE", "KIND", "RACES", "NEW ALONE", "FIRST SEEN", "LAST SEEN", "SAMPLES"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let room = (style.columns / 5).max(16);
    rows.extend(races.iter().map(|race| {
        let samples: Vec<_> = race.samples.iter().map(ToString::to_string).collect();
        vec![
            cut(&visible(&race.endpoint), room),
            cut(&visible(&race.path), room),
            visible(&race.kind),
            grouped(race.count),
            if race.new_alone == 0 { "-".to_owned() } else { grouped(race.new_alone) },
            moment(&race.first_seen),
            moment(&race.last_seen),
            samples.join(" "),
        ]
    }));
    output::table(&rows)
}

/// Whether a place is noise, in a few words.
fn noise(noise: &Noise) -> String {
    let sure = noise.confidence.map(|confidence| percent((confidence * 1e4).floor() / 1e4));
    let from = if noise.at_least > 1 { format!(" from {} on", noise.at_least) } else { String::new() };
    match (noise.state.as_str(), sure, noise.needs) {
        ("noise", Some(sure), _) => format!("noise, {sure} sure"),
        ("real", ..) => format!("no{from}"),
        (_, _, Some(needs)) => format!("unknown{from}, {} samples tell", grouped(needs)),
        _ => format!("unknown{from}"),
    }
}

/// Groups that are noise only as long as little differs at once, with what old does.
fn noise_in_part(groups: &[Group]) -> impl Iterator<Item = String> {
    groups.iter().filter(|group| group.noise.at_least > 1).take(MOST_NOTED).map(|group| {
        let Noise { at_least, reaching, old_pairs, old_differ, .. } = group.noise;
        format!(
            "{} {} {}: in {} of {} comparisons {at_least} places or more differ at once; old differs from itself in so many \
             in {} of {} sampled requests, and in fewer it is noise",
            visible(&group.endpoint),
            visible(&group.path),
            visible(&group.kind),
            grouped(reaching),
            grouped(group.count),
            grouped(old_differ),
            grouped(old_pairs)
        )
    })
}

/// What is worth a sentence.
fn notes(found: &Found) -> String {
    let mut notes = Vec::new();
    let missing: Vec<_> = found.endpoints.iter().filter(|one| one.covered != "enough").collect();
    if !missing.is_empty() {
        let name = |one: &&Endpoint| {
            let why = if one.covered == "only-noise" { ", only noise" } else { "" };
            let requests = if one.requests == 1 { "request" } else { "requests" };
            format!("{} ({} {requests}{why})", visible(&one.endpoint), grouped(one.requests))
        };
        let shown: Vec<_> = missing.iter().take(5).map(name).collect();
        let more = missing.len().saturating_sub(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        notes.push(format!("too few comparisons say something of {}{more}", shown.join(", ")));
    }
    notes.extend(noise_in_part(&found.groups));
    let asked = &found.asked_again;
    if asked.races_of_new_alone > 0 {
        notes.push(format!(
            "in {} of {} races new alone gave another answer than before while old stood by its own: a fault that comes \
             and goes looks like that",
            grouped(asked.races_of_new_alone),
            grouped(found.comparisons.race)
        ));
    }
    if asked.not_rechecked > 0 {
        notes.push(format!(
            "{} mismatches were asked again and {} were not: at most 1 % of the requests are, of safe methods, while old is \
             well; {} sampled requests say what is noise",
            grouped(asked.rechecked),
            grouped(asked.not_rechecked),
            grouped(asked.sampled)
        ));
    }
    if found.let_in < 0.999 {
        notes.push(format!(
            "comparing has processor time for {} of the requests only: proxy.compare_cpu",
            percent(found.let_in)
        ));
    }
    match (&found.storage.error, found.storage.on_disk) {
        (Some(error), _) => notes.push(format!("what is found cannot be kept: {}", visible(error))),
        (None, false) => {
            notes.push("what is found ends with the process: there is no [state] dir".to_owned());
        }
        (None, true) => {}
    }
    notes.iter().fold(String::new(), |mut out, note| {
        let _ = writeln!(out, "\n{note}");
        out
    })
}

/// One request with both answers: in what they differ, and both beside each other.
fn shown(sample: &Sample, style: &Style) -> String {
    let mut out = format!(
        "{}\nsample {}, {}, request id {}\n\n",
        style.bold(&visible(&sample.request)),
        sample.sample,
        visible(&sample.at),
        visible(&sample.request_id)
    );
    let list: Vec<Difference> = sample.differences.iter().map(One::as_difference).collect();
    out.push_str(&differences::list(&list, style));
    out.push_str(&beside::both(&sample.old, &sample.new, style));
    out
}

impl Endpoint {
    /// Whether it has this name, `GET /orders/{id}`, or this path.
    fn is_called(&self, asked: &str) -> bool {
        self.endpoint == asked || self.endpoint.split_once(' ').is_some_and(|(_, path)| path == asked)
    }
}

impl One {
    fn as_difference(&self) -> Difference {
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == self.kind);
        Difference {
            path: self.path.clone(),
            at: self.at.clone(),
            kind: kind.unwrap_or(Kind::Value),
            old: self.old.clone(),
            new: self.new.clone(),
            extent: 1,
        }
    }
}

/// `12345` as `12,345`.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A share as per cent, with as many digits as tell something.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent == 0.0 || percent >= 99.995 {
        format!("{percent:.0} %")
    } else if percent < 0.01 {
        "<0.01 %".to_owned()
    } else {
        format!("{percent:.2} %")
    }
}

/// `11-26 08:00`: the year and the seconds are in --json.
fn moment(time: &str) -> String {
    let day = time.split_once('-').map_or(time, |(_, day)| day);
    cut(&visible(day), 12).replace('T', " ").chars().take(11).collect()
}

#[cfg(test)]
mod tests;
