//! Changes as sentences: for logs, answers and status.

use std::time::SystemTime;

use ramp::{Cause, Effect, Intent, Origin, ShadowOff};
use route_plan::{CanaryCopies, Phase};
use traffic_split::Percent;

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
/// Who speaks by evidence.
pub(crate) const THE_GUARD: &str = "the guard";
/// Who a ramp speaks as.
pub(crate) const THE_RAMP: &str = "the ramp";

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
        Effect::Latched { from, cap, target, cause } => {
            let rest = if target < cap {
                format!("; users return in parts, to {target}% in the end")
            } else {
                String::new()
            };
            // The guard gives its reason with the numbers, which is put behind.
            let by = match cause {
                Cause::Person => format!(": asked for by {author}"),
                Cause::Guard(_) => String::new(),
            };
            format!("{migration}: rolled back from {from}% to {cap}%{rest}{by}")
        }
        Effect::Released { cap, .. } => {
            format!("{migration}: no longer latched at {cap} %, by {author}")
        }
        Effect::HeldBack { wanted, cap, by_calendar } => {
            let until = if *by_calendar {
                format!("{cap} % stays until the calendar is open")
            } else {
                format!("latched at {cap} % until resumed")
            };
            format!("{migration}: {wanted} % is remembered, not in force: {until}")
        }
        Effect::Opened => {
            format!("{migration}: what was asked for while the calendar was closed comes into force")
        }
        Effect::StepEntered { step: 0, of } => {
            format!("{migration}: the ramp is before the first of its {of} steps")
        }
        Effect::StepEntered { step, of } => format!("{migration}: the ramp is in step {step} of {of}"),
        Effect::StepApproved { step: 0 } => format!("{migration}: the ramp may begin, by {author}"),
        Effect::StepApproved { step } => {
            format!("{migration}: the ramp may go on after step {step}, by {author}")
        }
        Effect::RampPaused { why } => format!("{migration}: the ramp is paused, since {why}"),
        Effect::RampGoesOn => format!("{migration}: the ramp goes on, by {author}"),
        Effect::RampGone => format!("{migration}: there is no ramp any more"),
        Effect::DrillBegun { from } => {
            format!("{migration}: a rollback drill takes all users back, from {from}%")
        }
        Effect::DrillEnded { passed: true } => format!("{migration}: the rollback drill went well"),
        Effect::DrillEnded { passed: false } => format!("{migration}: the rollback drill did not go well"),
        Effect::ShadowSwitched { off: Some(_) } => {
            format!("{migration}: the shadow is switched off, by {author}")
        }
        Effect::ShadowSwitched { off: None } => {
            format!("{migration}: the shadow is switched on, by {author}")
        }
        Effect::DrillInterrupted => {
            format!("{migration}: the rollback drill was interrupted, so it shows nothing")
        }
        Effect::Arrived => format!("{migration}: the ramp has arrived, everybody gets new"),
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
    /// Of the switch of its shadow.
    pub(crate) shadow: Option<LastChange>,
}

impl LastChanges {
    /// The latest of them.
    pub(crate) fn latest(&self) -> Option<&LastChange> {
        [&self.percent, &self.phase, &self.latch, &self.shadow]
            .into_iter()
            .flatten()
            .max_by_key(|change| change.at)
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
        (Origin::Person | Origin::Ramp, Some(last)) => {
            format!("{}{}", last.who, reason(last.reason.as_deref()))
        }
        (origin, _) => author(origin).to_owned(),
    };
    let phase_from = if intent.phase_is_implied() {
        ", following the percent".to_owned()
    } else {
        format!(", from {}", from(intent.phase_from, &last.phase))
    };
    let asked_from = from(intent.percent_from, &last.percent);
    let asked = format!("{} % was asked for by {asked_from}", standing.asked);
    match latched(intent, last) {
        Some(latched) => {
            // The rollback may have made another phase of it, which is not what waits.
            let (phase, wanted) = (intent.asked_phase(), intent.wanted());
            format!("{latched}; phase {phase}{phase_from} and {wanted} % wait for a resume; {asked}")
        }
        None if intent.is_drilling => {
            format!("a rollback drill: all users are on old for a moment; {asked}")
        }
        None if intent.frozen_at.is_some() => {
            format!("the calendar is closed, and {} % wait until it opens; {asked}", standing.wanted())
        }
        None => format!("{phase}{phase_from}; {asked}"),
    }
}

/// The mark of a rollback as a sentence: since when, by whom and why.
pub(crate) fn latched(intent: &Intent, last: &LastChanges) -> Option<String> {
    let latch = intent.latch?;
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

/// How a migration's shadow is, as a sentence. `copies` says which copies of `canary` there are, where any are made.
pub(crate) fn shadow(
    name: &str,
    intent: &Intent,
    copies: Option<CanaryCopies>,
    last: &LastChanges,
) -> String {
    let standing = intent.standing();
    let phase = standing.phase;
    let Some(off) = intent.shadow_off else {
        return match copies {
            None => format!("idle: nothing is copied in phase {phase}"),
            Some(canary) => format!("on: {}", who_gets_copies(phase, standing.in_force(), canary)),
        };
    };
    let since = last.shadow.as_ref().map(|last| format!(" since {}", timestamp(last.at))).unwrap_or_default();
    let by = match (off, &last.shadow) {
        (ShadowOff::Effect, _) => format!(", by {THE_GUARD}"),
        (ShadowOff::Asked, Some(last)) => format!(", by {}", last.who),
        (ShadowOff::Asked, None) => String::new(),
    };
    let why = last.shadow.as_ref().and_then(|last| last.reason.as_deref());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("off{since}{by}{why}; `crossfade shadow {name} on` switches it on again")
}

/// Also in full old serves, after a rollback.
fn who_gets_copies(phase: Phase, in_force: Percent, canary: CanaryCopies) -> &'static str {
    let both = phase == Phase::Full || (phase == Phase::Canary && canary == CanaryCopies::Both);
    match in_force {
        Percent::FULL if both => "new serves, old gets copies",
        Percent::ZERO => "new gets copies",
        _ if both => "each arm gets copies of what the other one serves",
        _ => "new gets copies",
    }
}

/// To the second, in UTC.
fn timestamp(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|time| format!("{time:.0}")).unwrap_or_default()
}

/// ` (...)`, if a reason was given.
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
        Origin::Ramp => THE_RAMP,
    }
}

#[cfg(test)]
mod tests {
    use ramp::{Event, Policy, RollbackPolicy, Terms, Written, apply};
    use traffic_split::Percent;

    use super::*;

    #[test]
    fn what_waits_for_a_resume_is_what_was_asked_for() {
        let rollback = RollbackPolicy { then: Some(Phase::Preparation), ..RollbackPolicy::default() };
        let policy = Policy { rollback, ..Policy::default() };
        let written = Written { percent: "50".parse().unwrap(), attempt: 1, ..Written::default() };
        let event = Event::RolledBack { cause: Cause::Person, to: Percent::ZERO, in_parts: false };
        let terms = Terms { policy: &policy, now: jiff::Timestamp::UNIX_EPOCH, force: false };
        let (intent, _) = apply(&Intent::first(written, &policy), &event, &terms).unwrap();
        assert_eq!(intent.standing().phase, Phase::Preparation);
        assert_eq!(
            why(&intent, &LastChanges::default()),
            "latched at 0 %: rolled back by a person; phase canary, following the percent and 50 % wait for a resume; \
             50 % was asked for by the file"
        );
    }
}
