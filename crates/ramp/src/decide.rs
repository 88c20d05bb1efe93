//! What a ramp does next, and what it waits for.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use route_plan::Phase;
use traffic_split::Percent;

use crate::apply::aborted;
use crate::calendar::Closed;
use crate::event::Event;
use crate::intent::Intent;
use crate::latch::Aborted;
use crate::policy::{Policy, Step};
use crate::progress::{Pause, Progress};

/// What is known of the moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The moment.
    pub now: Timestamp,
    /// How long the present step was served by now.
    pub held: Duration,
    /// Requests that new had in the present step.
    pub requests: u64,
    /// What the guard says.
    pub evidence: Evidence,
    /// What is shown of the answers of both arms, where the policy has a shadow.
    pub matching: Evidence,
    /// Another exclusive migration that is within a step.
    pub busy: Option<String>,
    /// A migration that has to arrive first.
    pub after: Option<String>,
    /// How far telling of the next step is.
    pub announced: Hook,
    /// How far asking about the next step is.
    pub confirmed: Hook,
}

/// What the guard says of going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// New was shown to be no worse.
    Proven,
    /// Not yet; a sentence with what is missing.
    Missing(String),
    /// Something speaks against it; a sentence with what.
    Against(String),
    /// Nothing can be judged.
    Unguarded,
}

/// How far a hook is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Hook {
    /// Not called for this step.
    #[default]
    NotCalled,
    /// Called, and no answer yet.
    Called,
    /// It said yes.
    Yes,
    /// It said no, or nothing that could be understood; why. It is called again later.
    No(String),
}

/// Which hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// Who is told.
    Announce,
    /// Who is asked.
    Confirm,
}

impl HookKind {
    /// Its key in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            HookKind::Announce => "announce",
            HookKind::Confirm => "confirm",
        }
    }
}

/// What a ramp does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// This is due.
    Do(Event),
    /// This hook of the step (counted from 0) is to be called.
    Call(HookKind, usize),
    /// Nothing, until this is over.
    Wait(Wait),
}

/// What a ramp waits for.
#[derive(Clone, Debug, PartialEq)]
pub enum Wait {
    /// There is no ramp.
    NoRamp,
    /// Somebody must resume after a rollback.
    Latched,
    /// Somebody must resume.
    Paused(Pause),
    /// A drill is under way.
    Drill,
    /// The migration is in a phase before the ramp, and may go on.
    Phase(Phase),
    /// It is not shown that the answers of both arms match, which comes before users get new.
    Matching(String),
    /// The step must be served longer.
    Hold {
        /// So long.
        left: Duration,
    },
    /// New must have more requests in the step.
    Requests {
        /// So many more.
        left: u64,
    },
    /// New is not shown to be no worse yet.
    Evidence(String),
    /// Something speaks against going on.
    Against(String),
    /// A person must say so.
    Approval {
        /// Which step is over, from 1; 0: the first is yet to come, and some users are on new already.
        step: usize,
        /// Nothing judges new, so nothing was shown, whether or not the step wants a person's word.
        unguarded: bool,
    },
    /// Another migration must arrive first.
    After(String),
    /// Another exclusive migration is within a step.
    Busy(String),
    /// It was given up.
    Aborted(Aborted),
    /// The calendar is closed.
    Closed(Closed),
    /// A hook has not said yes.
    Hook(HookKind, Hook),
    /// The last step was shown to be good; nothing is due any more, though not everybody gets new.
    Done,
    /// Everybody gets new, and the grace period runs.
    Grace {
        /// So long.
        left: Duration,
    },
    /// The grace period is over: a person may go on to cleanup.
    Cleanup,
    /// The migration is over.
    Over,
}

impl Wait {
    /// Whether somebody who insists may go on to the next step all the same.
    #[must_use]
    pub fn can_be_forced(&self) -> bool {
        matches!(
            self,
            Wait::Hold { .. }
                | Wait::Requests { .. }
                | Wait::Evidence(_)
                | Wait::Against(_)
                | Wait::After(_)
                | Wait::Busy(_)
                | Wait::Aborted(_)
                | Wait::Closed(_)
                | Wait::Hook(..)
        )
    }
}

/// What the ramp of a migration does next.
#[must_use]
pub fn decide(intent: &Intent, policy: &Policy, facts: &Facts) -> Next {
    if intent.latch.is_some() {
        return Next::Wait(Wait::Latched);
    }
    if intent.is_drilling {
        return Next::Wait(Wait::Drill);
    }
    // What the file asked for comes first: the present step is not served while less than it is in force.
    if intent.frozen_at.is_some() {
        let closed = policy.calendar.closed(facts.now);
        return closed.map_or(Next::Do(Event::Opened), |closed| Next::Wait(Wait::Closed(closed)));
    }
    match intent.phase {
        Some(Phase::Full) => return Next::Wait(grace(intent, policy, facts.now)),
        Some(Phase::Cleanup) => return Next::Wait(Wait::Over),
        _ => {}
    }
    if let Some(pause) = intent.progress.as_ref().and_then(|progress| progress.paused) {
        return Next::Wait(Wait::Paused(pause));
    }
    if let Some(phase) = intent.phase.filter(|_| intent.is_before_the_ramp())
        && (intent.progress.is_some() || policy.shadow)
    {
        return Next::Wait(before_the_ramp(phase, policy, facts));
    }
    let Some(progress) = &intent.progress else { return Next::Wait(Wait::NoRamp) };
    let present = progress.entered.checked_sub(1).and_then(|index| policy.steps.get(index));
    let within = match present {
        Some(step) => within(step, progress, policy, facts),
        // A file or a person may have some users on new before the first step: more follow when those do well.
        None if intent.wanted() > Percent::ZERO => not_shown(progress, false, true, facts),
        None => None,
    };
    within.unwrap_or_else(|| entering(intent, progress.entered, policy, facts))
}

/// What is waited for before users get new.
fn before_the_ramp(phase: Phase, policy: &Policy, facts: &Facts) -> Wait {
    match &facts.matching {
        Evidence::Missing(what) | Evidence::Against(what) if policy.shadow && phase == Phase::Shadow => {
            Wait::Matching(what.clone())
        }
        _ => Wait::Phase(phase),
    }
}

/// Where nobody knows since when everybody gets new, the whole of the grace period is still to come.
fn grace(intent: &Intent, policy: &Policy, now: Timestamp) -> Wait {
    let since = intent.full_since.map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default());
    match policy.grace.0.checked_sub(since.unwrap_or_default()) {
        Some(left) if !left.is_zero() => Wait::Grace { left },
        _ => Wait::Cleanup,
    }
}

/// What is due or waited for in the present step; `None` when it is over.
fn within(step: &Step, progress: &Progress, policy: &Policy, facts: &Facts) -> Option<Next> {
    let is_last = progress.entered == policy.steps.len();
    let is_full = step.percent == Percent::FULL;
    if let Some(left) = step.hold.checked_sub(facts.held).filter(|left| !left.is_zero()) {
        return Some(Next::Wait(Wait::Hold { left }));
    }
    if let Some(left) = step.min_requests.checked_sub(facts.requests).filter(|left| *left > 0) {
        return Some(Next::Wait(Wait::Requests { left }));
    }
    // With everybody on new nothing rises any more: what was to be shown was shown before.
    if let Some(wait) = not_shown(progress, step.approve, !is_full, facts) {
        return Some(wait);
    }
    if step.drill && !progress.drilled {
        return Some(Next::Do(Event::DrillBegun));
    }
    match is_last {
        true if is_full => Some(Next::Do(Event::Arrived)),
        true => Some(Next::Wait(Wait::Done)),
        false => None,
    }
}

/// What is missing for new to count as shown to be good. Where nothing judges it and that is `needed`, a person's word.
fn not_shown(progress: &Progress, approve: bool, needed: bool, facts: &Facts) -> Option<Next> {
    let unguarded = match &facts.evidence {
        Evidence::Proven => false,
        Evidence::Missing(what) => return Some(Next::Wait(Wait::Evidence(what.clone()))),
        Evidence::Against(what) => return Some(Next::Wait(Wait::Against(what.clone()))),
        Evidence::Unguarded => needed,
    };
    let waits = (approve || unguarded) && !progress.approved;
    waits.then_some(Next::Wait(Wait::Approval { step: progress.entered, unguarded }))
}

/// What stands before a step.
fn entering(intent: &Intent, next: usize, policy: &Policy, facts: &Facts) -> Next {
    let Some(step) = policy.steps.get(next) else { return Next::Wait(Wait::Done) };
    if let Some(aborted) = aborted(intent, policy, facts.now) {
        return Next::Wait(Wait::Aborted(aborted));
    }
    if let Some(name) = &facts.after {
        return Next::Wait(Wait::After(name.clone()));
    }
    if let Some(name) = facts.busy.as_ref().filter(|_| policy.exclusive) {
        return Next::Wait(Wait::Busy(name.clone()));
    }
    if let Some(closed) = policy.calendar.closed(facts.now) {
        return Next::Wait(Wait::Closed(closed));
    }
    let hooks = [
        (HookKind::Announce, step.announce.is_some(), &facts.announced),
        (HookKind::Confirm, step.confirm.is_some(), &facts.confirmed),
    ];
    for (kind, is_wanted, hook) in hooks {
        match hook {
            _ if !is_wanted => {}
            Hook::Yes => {}
            Hook::NotCalled => return Next::Call(kind, next),
            hook => return Next::Wait(Wait::Hook(kind, hook.clone())),
        }
    }
    Next::Do(Event::StepEntered(next))
}

/// Whether a migration is within a step that is not shown to be good yet, so that other exclusive ones wait.
#[must_use]
pub fn is_within_a_step(next: &Next) -> bool {
    let Next::Wait(wait) = next else { return false };
    matches!(
        wait,
        Wait::Hold { .. } | Wait::Requests { .. } | Wait::Evidence(_) | Wait::Against(_) | Wait::Drill
    )
}

/// Days, hours, minutes and seconds, as few as say it.
pub(crate) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) if seconds == 0 || minutes >= 10 => format!("{minutes} min"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, _, _) if minutes == 0 => format!("{hours} h"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        (_, 0, _) => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wait::NoRamp => f.write_str("there is no ramp"),
            Wait::Latched => f.write_str("latched since a rollback, waits for `crossfade resume`"),
            Wait::Paused(why) => write!(f, "paused, since {why}; waits for `crossfade resume`"),
            Wait::Drill => f.write_str("a rollback drill is under way"),
            Wait::Phase(phase) => {
                write!(f, "in phase {phase}, which comes before the ramp; waits for `crossfade advance`")
            }
            Wait::Matching(what) => write!(f, "in phase shadow until the answers are shown to match: {what}"),
            Wait::Hold { left } => write!(f, "the step is to be served for {} more", time(*left)),
            Wait::Requests { left } => write!(f, "the step needs {left} more requests on new"),
            Wait::Evidence(what) | Wait::Against(what) => f.write_str(what),
            Wait::Approval { step, unguarded: false } => {
                write!(f, "step {step} is shown to be good; waits for `crossfade advance`")
            }
            Wait::Approval { step: 0, .. } => f.write_str(
                "some users are on new before the first step, but nothing judges new; waits for `crossfade advance`",
            ),
            Wait::Approval { step, unguarded: true } => {
                write!(f, "step {step} is over, but nothing judges new; waits for `crossfade advance`")
            }
            Wait::After(name) => write!(f, "waits until `{name}` has arrived"),
            Wait::Busy(name) => write!(f, "waits for `{name}`, which is within a step of its own"),
            Wait::Aborted(aborted) => write!(f, "{aborted}"),
            Wait::Closed(closed) => write!(f, "not to be raised during {closed}"),
            Wait::Hook(kind, Hook::No(why)) => {
                write!(f, "the {} hook says no: {why}; it is asked again", kind.as_str())
            }
            Wait::Hook(kind, _) => write!(f, "waits for the answer of the {} hook", kind.as_str()),
            Wait::Done => f.write_str("the last step is shown to be good; nothing more is due"),
            Wait::Grace { left } => {
                write!(f, "everybody gets new; old is kept for {} more", time(*left))
            }
            Wait::Cleanup => f.write_str("the grace period is over; `crossfade advance` goes on to cleanup"),
            Wait::Over => f.write_str("the migration is over"),
        }
    }
}

#[cfg(test)]
mod tests;
