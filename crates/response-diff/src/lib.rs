//! Two answers to one request in, classified differences out.
//!
//! A comparison knows nothing of time, sockets and files: it is a function of two [`Answer`]s and the rules. What it
//! cannot compare it says so, with the reason, and never calls it a match ([`Comparison::NotCompared`]).

mod answer;
mod body;
mod charset;
mod dates;
mod decode;
mod extent;
mod findings;
mod headers;
pub mod json;
mod limits;
mod media;
mod message;
mod outcome;
pub mod path;
pub mod redact;
mod rules;
pub mod summary;
mod text;

pub use answer::{Answer, Body, Field, Incomplete};
pub use limits::Limits;
pub use message::SavedAnswer;
pub use outcome::{Comparison, Difference, Kind, NotCompared, Seen};
pub use rules::{EndpointSpec, RuleSet, RuleSetSpec, Rules, RulesSpec, StatusRule};

/// Compares two answers to one request.
///
/// Fields and bodies are compared even where the status differs already. What cannot be compared counts only where
/// nothing differs beside it: a proven difference stays one.
#[must_use]
pub fn compare(old: &Answer<'_>, new: &Answer<'_>, rules: &Rules, limits: &Limits) -> Comparison {
    look(old, new, rules, limits).into()
}

/// Compares two answers to one request, and says what could not be compared beside the differences.
#[must_use]
pub fn look(old: &Answer<'_>, new: &Answer<'_>, rules: &Rules, limits: &Limits) -> Seen {
    look_at(old, new, rules, limits, false)
}

/// As [`look`], for two answers to a HEAD request: what Content-Length says of the body that GET would have got is all
/// that there is of it, so that two lengths that differ are a difference. They say nothing where one is left out, which
/// RFC 9110 section 8.6 allows, where there is a content coding, where the same content can have many lengths (JSON, forms,
/// events, parts) or `map` changes it, and with status 304.
#[must_use]
pub fn look_at_heads(old: &Answer<'_>, new: &Answer<'_>, rules: &Rules, limits: &Limits) -> Seen {
    let has_one_length = |answer: &Answer<'_>| {
        let has_structure = media::MediaType::of(answer).is_some_and(|media| media.kind().has_structure());
        !has_structure && decode::names(answer).next().is_none() && answer.status != 304
    };
    let lengths_count = rules.json().same_bytes_match() && has_one_length(old) && has_one_length(new);
    look_at(old, new, rules, limits, lengths_count)
}

fn look_at(old: &Answer<'_>, new: &Answer<'_>, rules: &Rules, limits: &Limits, lengths_count: bool) -> Seen {
    let mut findings = findings::Findings::new(limits);
    rules.compare_status(old.status, new.status, &mut findings);
    let web_trailers = [old, new].map(|answer| body::web_trailers(answer, limits));
    let [old_fields, new_fields] = [(old, &web_trailers[0]), (new, &web_trailers[1])]
        .map(|(answer, more)| headers::Fields::of(answer, more.iter().map(message::field)));
    let boundaries_fit = body::boundaries_fit(old, new, limits);
    let setting = headers::Setting { lengths_count, boundaries_fit };
    headers::compare(&old_fields, &new_fields, setting, rules, &mut findings);
    let before_bodies = findings.len();
    let unseen = body::compare(old, new, rules, limits, &mut findings).err();
    if unseen.is_some() {
        // What was found in bodies before they turned out to be too much is worth nothing.
        findings.truncate(before_bodies);
    }
    let complete = unseen.is_none() && !findings.is_full();
    Seen { differences: findings.into_list(), unseen, complete }
}
