//! Changes as sentences: for logs, answers and status.

use std::time::SystemTime;

use ramp::{Cause, Effect, Intent, Origin};
use route_plan::Phase;

use crate::event::Actor;
use crate::status::LastChange;

/// What an event that `author` caused changed in a migration, a sentence each.
pub(crate) fn sentences(migration: &str, effects: &[Effect], author: &str) -> Vec<String> {
    effects.iter().map(|effect| sentence(migration, effect, author)).collect()
}

/// The same for a rollback, which says first of all from where to where and why.
pub(crate) fn rollback_sentences(migration: &str, effects: &[Effect], actor: &Actor) -> Vec<String> {
    let mut sentences = sentences(migration, effects, name(actor));
    if let (Some(first), Some(reason)) = (sentences.first_mut(), &actor.reason) {
        first.push_str(&format!(": {reason}"));
    }
    sentences
}

/// Who a file speaks as.
pub(crate) const THE_FILE: &str = "the file";

fn sentence(migration: &str, effect: &Effect, author: &str) -> String {
    match effect {
        Effect::PercentAsked { from, to, .. } => {
            format!("{migration}: {to} % is asked for instead of {from} %, by {author}")
        }
        Effect::PhaseEntered { from, to, .. } => {
            format!("{migration}: the phase changes from {from} to {to}, by {author}")
        }
        Effect::InForce { from, to } => {
            format!("{migration}: {to} % of the users get new instead of {from} %")
        }
        Effect::Latched { from, cap, cause: Cause::Person } => {
            format!("{migration}: rolled back from {from}% to {cap}%: asked for by {author}")
        }
        // The guard gives its reason with the numbers, which is put behind.
        Effect::Latched { from, cap, .. } => format!("{migration}: rolled back from {from}% to {cap}%"),
        Effect::Released { cap, .. } => {
            format!("{migration}: no longer latched at {cap} %, by {author}")
        }
        Effect::HeldBack { wanted, cap } => {
            format!("{migration}: {wanted} % is remembered, not in force: latched at {cap} % until resumed")
        }
        Effect::AttemptRaised { from, to } => format!("{migration}: attempt {to} begins after {from}"),
    }
}

/// The last words of people about one migration: each names only what it was about.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LastChanges {
    pub(crate) percent: Option<LastChange>,
    pub(crate) phase: Option<LastChange>,
    /// Of the rollback that latched it, while it is latched.
    pub(crate) latch: Option<LastChange>,
}

impl LastChanges {
    /// The latest of them.
    pub(crate) fn latest(&self) -> Option<&LastChange> {
        [&self.percent, &self.phase, &self.latch].into_iter().flatten().max_by_key(|change| change.at)
    }
}

/// Why the percent in force is what it is.
pub(crate) fn why(intent: &Intent, last: &LastChanges) -> String {
    let standing = intent.standing();
    let phase = match standing.phase {
        Phase::Preparation => "phase preparation: all users get old".to_owned(),
        Phase::Shadow => "phase shadow: all users get old".to_owned(),
        Phase::Full => "phase full: all users get new".to_owned(),
        Phase::Cleanup => "phase cleanup: all users get new".to_owned(),
        Phase::Canary => "phase canary: the percent asked for is in force".to_owned(),
    };
    let from = |origin: Origin, last: &Option<LastChange>| match (origin, last) {
        (Origin::Person, Some(last)) => format!("{}{}", last.who, reason(last.reason.as_deref())),
        (origin, _) => author(origin).to_owned(),
    };
    let phase_from = if intent.phase_is_implied() {
        ", following the percent".to_owned()
    } else {
        format!(", from {}", from(intent.phase_from(), &last.phase))
    };
    let asked_from = from(intent.percent_from(), &last.percent);
    let asked = format!("{} % was asked for by {asked_from}", standing.asked);
    match latched(intent, last) {
        Some(latched) => {
            let phase = phase.split(':').next().unwrap_or_default();
            format!("{latched}; {phase}{phase_from} and {} % wait for a resume; {asked}", standing.wanted())
        }
        None => format!("{phase}{phase_from}; {asked}"),
    }
}

/// The mark of a rollback as a sentence: since when, by whom and why.
pub(crate) fn latched(intent: &Intent, last: &LastChanges) -> Option<String> {
    let latch = intent.latch()?;
    let since = last.latch.as_ref().map(|last| format!(" since {}", timestamp(last.at))).unwrap_or_default();
    let by = match (latch.cause, &last.latch) {
        (Cause::Person, Some(last)) => format!("by {}", last.who),
        (Cause::Person, None) => "by a person".to_owned(),
        (cause, _) => format!("by the guard ({cause})"),
    };
    let why = last.latch.as_ref().and_then(|last| last.reason.as_deref());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    Some(format!("latched at {} %{since}: rolled back {by}{why}", latch.cap))
}

/// To the second, in UTC.
fn timestamp(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|time| format!("{time:.0}")).unwrap_or_default()
}

/// ` because ...`, if a reason was given.
pub(crate) fn reason(reason: Option<&str>) -> String {
    reason.map(|reason| format!(" ({reason})")).unwrap_or_default()
}

/// Who, for a sentence; somebody who gave no name is a person.
pub(crate) fn name(actor: &Actor) -> &str {
    if actor.who.is_empty() { "a person" } else { &actor.who }
}

fn author(origin: Origin) -> &'static str {
    match origin {
        Origin::File => THE_FILE,
        Origin::Person => "a person",
    }
}
