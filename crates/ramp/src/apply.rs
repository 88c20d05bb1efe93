//! The table of (state, event) -> (state, effects).

use jiff::Timestamp;
use route_plan::Phase;
use traffic_split::Percent;

use crate::decide::Wait;
use crate::event::{Effect, Event};
use crate::intent::{Intent, Origin, Written};
use crate::latch::{Aborted, Cause, Latch, Refusal};
use crate::policy::Policy;
use crate::progress::{Pause, Progress};

/// What an event is judged by beside the state.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// What the file says of the way forward and back.
    pub policy: &'a Policy,
    /// The moment.
    pub now: Timestamp,
    /// Somebody insists, and has given a reason: what is given up, closed or not shown yet does not stand in the way. A
    /// latch does all the same.
    pub force: bool,
}

/// One event: the state after it, and its effects, none when nothing changed.
///
/// # Errors
/// When the event is not possible in this state, which then stays: while latched nobody goes beyond the cap but by
/// resuming; what was given up or is closed goes forward by force alone; a ramp advances when it is ready.
pub fn apply(before: &Intent, event: &Event, terms: &Terms<'_>) -> Result<(Intent, Vec<Effect>), Refusal> {
    let mut after = before.clone();
    let by = change(&mut after, event, terms)?;
    if after.frozen_at.is_some_and(|at| after.standing().wanted() <= at) {
        after.frozen_at = None;
    }
    if is_a_persons(event) && asks_for_more(before, &after) {
        may_go_forward(before, terms)?;
    }
    let effects = effects(before, &after, event, by, terms.policy);
    Ok((after, effects))
}

/// Whether more users are to get new, now or once the calendar is open.
fn asks_for_more(before: &Intent, after: &Intent) -> bool {
    let (was, is) = (before.standing(), after.standing());
    is.in_force() > was.in_force() || (after.frozen_at.is_some() && is.wanted() > was.wanted())
}

/// Whether it is a person's word on how things are to be, which nothing else has looked at.
fn is_a_persons(event: &Event) -> bool {
    matches!(
        event,
        Event::PercentSet(_)
            | Event::PhaseSet(_)
            | Event::Undone { .. }
            | Event::Resumed
            | Event::Advanced(_)
    )
}

fn change(after: &mut Intent, event: &Event, terms: &Terms<'_>) -> Result<Origin, Refusal> {
    match event {
        Event::FileRead(written) => {
            read_file(after, written, terms);
            return Ok(Origin::File);
        }
        Event::PercentSet(percent) => {
            by_hand(after, terms, |intent| {
                (intent.percent, intent.percent_from) = (*percent, Origin::Person)
            })?;
        }
        Event::PhaseSet(phase) => {
            by_hand(after, terms, |intent| {
                (intent.phase, intent.phase_from) = (Some(*phase), Origin::Person)
            })?;
        }
        Event::Undone { percent, phase } => by_hand(after, terms, |intent| {
            (intent.percent, intent.percent_from) = (*percent, Origin::Person);
            (intent.phase, intent.phase_from) = (*phase, Origin::Person);
        })?,
        Event::RolledBack { cause, to, in_parts } => roll_back(after, *cause, *to, *in_parts, terms.policy),
        Event::Returned => {
            let latch = after.latch.as_mut().filter(|latch| latch.is_returning()).ok_or(Refusal::Stale)?;
            latch.cap = latch.next_cap();
        }
        Event::Resumed => resume(after, terms)?,
        Event::Paused => {
            let progress = after.progress.as_mut().ok_or(Refusal::NoRamp)?;
            progress.paused.get_or_insert(Pause::Asked);
        }
        Event::Advanced(wait) => advance(after, wait, terms)?,
        Event::Opened => after.frozen_at = None,
        Event::StepEntered(_) | Event::Held(_) | Event::Arrived => {
            move_ramp(after, event, terms)?;
            return Ok(Origin::Ramp);
        }
        Event::DrillBegun => {
            if after.is_drilling {
                return Err(Refusal::Drill);
            }
            if after.latch.is_some() || after.standing().in_force() == Percent::ZERO {
                return Err(Refusal::NothingToDrill);
            }
            after.is_drilling = true;
        }
        Event::DrillEnded { passed } => {
            if !std::mem::take(&mut after.is_drilling) {
                return Err(Refusal::Drill);
            }
            if let Some(progress) = &mut after.progress {
                progress.drilled |= passed;
                if !passed {
                    progress.paused.get_or_insert(Pause::Drill);
                }
            }
        }
    }
    Ok(Origin::Person)
}

/// A percent or a phase that a person wants. It pauses the ramp, since what it leads to was not shown.
fn by_hand(intent: &mut Intent, terms: &Terms<'_>, set: impl FnOnce(&mut Intent)) -> Result<(), Refusal> {
    let was = intent.standing();
    set(intent);
    let is = intent.standing();
    if let Some(latch) = intent.latch.filter(|latch| is.wanted() > latch.cap) {
        return Err(Refusal::Latched { wanted: is.wanted(), cap: latch.cap });
    }
    if terms.force {
        intent.frozen_at = None;
    }
    pause_by_intent(intent, is.wanted() != was.wanted() || is.asked != was.asked);
    Ok(())
}

fn pause_by_intent(intent: &mut Intent, moves: bool) {
    if let Some(progress) = intent.progress.as_mut().filter(|_| moves) {
        progress.paused.get_or_insert(Pause::Intent);
    }
}

fn roll_back(intent: &mut Intent, cause: Cause, to: Percent, in_parts: bool, policy: &Policy) {
    let from = intent.standing().in_force();
    intent.is_drilling = false;
    let mut latch = Latch { cap: to, target: to, from, then: policy.rollback.then, cause };
    if in_parts && !policy.rollback.over.is_zero() && from > to {
        latch.cap = from;
        latch.cap = latch.next_cap();
    }
    match &mut intent.latch {
        None => {
            intent.rollbacks = intent.rollbacks.saturating_add(1);
            intent.latch = Some(latch);
        }
        // A second rollback never loosens the first, and what is on its way back in parts is let go on.
        Some(known) if to < known.target => {
            *known = Latch { cap: latch.cap.min(known.cap), ..latch };
        }
        Some(known) if to == known.target && !in_parts => known.cap = to,
        Some(_) => {}
    }
}

fn resume(intent: &mut Intent, terms: &Terms<'_>) -> Result<(), Refusal> {
    let latch = intent.latch.take();
    let is_paused = intent.progress.as_ref().is_some_and(|progress| progress.paused.is_some());
    match latch {
        Some(latch) => {
            may_be_resumed(intent, terms)?;
            begin_again(intent, latch.target, terms.policy);
        }
        None if is_paused => {
            let percent = intent.percent;
            if let Some(progress) = &mut intent.progress {
                progress.go_on_at(percent, terms.policy);
            }
        }
        None => return Err(Refusal::NothingToResume),
    }
    Ok(())
}

fn may_be_resumed(intent: &Intent, terms: &Terms<'_>) -> Result<(), Refusal> {
    match aborted(intent, terms.policy, terms.now) {
        Some(aborted) if !terms.force => Err(Refusal::Aborted(aborted)),
        _ => Ok(()),
    }
}

/// A ramp begins again at its first step, or where a rollback to a step has left it.
fn begin_again(intent: &mut Intent, at: Percent, policy: &Policy) {
    let Some(progress) = Progress::at(at, policy) else { return };
    intent.progress = Some(progress);
    (intent.percent, intent.percent_from) = (at.min(intent.percent), Origin::Ramp);
    if matches!(intent.phase, Some(Phase::Full | Phase::Cleanup)) {
        (intent.phase, intent.phase_from) = (Some(Phase::Canary), Origin::Ramp);
    }
}

/// Takes over what the file says otherwise than last time, and remembers what it says. A latch holds, unless the file
/// begins an attempt that it never had before; an increase waits while the calendar is closed.
fn read_file(intent: &mut Intent, now: &Written, terms: &Terms<'_>) {
    let was = intent.standing();
    let last = std::mem::replace(&mut intent.written, now.clone());
    if now.percent != last.percent {
        (intent.percent, intent.percent_from) = (now.percent, Origin::File);
    }
    if now.phase != last.phase {
        (intent.phase, intent.phase_from) = (now.phase, Origin::File);
    }
    if now.ramp != last.ramp {
        intent.progress = Progress::at(intent.percent, terms.policy);
    } else {
        pause_by_intent(intent, now.percent != last.percent || now.phase != last.phase);
    }
    if now.attempt > intent.attempt {
        intent.attempt = now.attempt;
        intent.rollbacks = 0;
        if let Some(latch) = intent.latch.take()
            && now.percent == last.percent
        {
            begin_again(intent, latch.target, terms.policy);
        }
    }
    if intent.standing().in_force() > was.in_force() && terms.policy.calendar.closed(terms.now).is_some() {
        intent.frozen_at = Some(was.in_force());
    }
}

fn advance(intent: &mut Intent, wait: &Wait, terms: &Terms<'_>) -> Result<(), Refusal> {
    let phase = |intent: &mut Intent, phase| {
        (intent.phase, intent.phase_from) = (Some(phase), Origin::Person);
    };
    match wait {
        Wait::Grace { .. } if terms.force => phase(intent, Phase::Cleanup),
        Wait::Cleanup => phase(intent, Phase::Cleanup),
        Wait::Phase(_) => phase(intent, Phase::Canary),
        Wait::Approval { .. } => {
            let progress = intent.progress.as_mut().ok_or(Refusal::NoRamp)?;
            progress.approved = true;
        }
        Wait::NoRamp => return Err(Refusal::NoRamp),
        wait if terms.force && wait.can_be_forced() => enter_next(intent, terms.policy)?,
        wait => return Err(Refusal::Waits(wait.to_string())),
    }
    Ok(())
}

fn enter_next(intent: &mut Intent, policy: &Policy) -> Result<(), Refusal> {
    let progress = intent.progress.as_mut().ok_or(Refusal::NoRamp)?;
    let next = progress.entered;
    let step = policy.steps.get(next).ok_or(Refusal::Stale)?;
    progress.enter(next);
    (intent.percent, intent.percent_from) = (step.percent, Origin::Person);
    Ok(())
}

fn move_ramp(intent: &mut Intent, event: &Event, terms: &Terms<'_>) -> Result<(), Refusal> {
    let is_held = intent.latch.is_some() || intent.is_drilling;
    let progress = intent.progress.as_mut().ok_or(Refusal::NoRamp)?;
    match event {
        Event::Held(held) => progress.held = progress.held.max(*held),
        _ if is_held || progress.paused.is_some() => return Err(Refusal::Stale),
        Event::StepEntered(next) => {
            let step = terms.policy.steps.get(*next).filter(|_| *next == progress.entered);
            let step = step.ok_or(Refusal::Stale)?;
            progress.enter(*next);
            (intent.percent, intent.percent_from) = (step.percent, Origin::Ramp);
            // An increase by the file that the calendar held back is overtaken by the ramp's.
            intent.frozen_at = None;
        }
        Event::Arrived => {
            if progress.entered != terms.policy.steps.len() {
                return Err(Refusal::Stale);
            }
            progress.arrived_at = Some(terms.now);
            (intent.percent, intent.percent_from) = (Percent::FULL, Origin::Ramp);
            (intent.phase, intent.phase_from) = (Some(Phase::Full), Origin::Ramp);
        }
        _ => {}
    }
    Ok(())
}

/// Why a migration goes forward by force alone, if so.
#[must_use]
pub fn aborted(intent: &Intent, policy: &Policy, now: Timestamp) -> Option<Aborted> {
    let count = intent.rollbacks;
    let limit = policy.abort.rollbacks.filter(|limit| count >= *limit);
    let deadline = policy.abort.deadline.filter(|deadline| now >= *deadline);
    limit.map(|limit| Aborted::Rollbacks { count, limit }).or(deadline.map(Aborted::Deadline))
}

/// Refuses a person's word that goes forward where force is needed.
fn may_go_forward(before: &Intent, terms: &Terms<'_>) -> Result<(), Refusal> {
    if terms.force {
        return Ok(());
    }
    if let Some(aborted) = aborted(before, terms.policy, terms.now) {
        return Err(Refusal::Aborted(aborted));
    }
    match terms.policy.calendar.closed(terms.now) {
        Some(closed) => Err(Refusal::Closed(closed)),
        None => Ok(()),
    }
}

fn effects(before: &Intent, after: &Intent, event: &Event, by: Origin, policy: &Policy) -> Vec<Effect> {
    let (was, is) = (before.standing(), after.standing());
    let mut effects = Vec::new();
    if was.asked != is.asked {
        effects.push(Effect::PercentAsked { from: was.asked, to: is.asked, by: after.percent_from });
    }
    if was.phase != is.phase {
        effects.push(Effect::PhaseEntered { from: was.phase, to: is.phase, by });
    }
    held_back(before, after, by, &mut effects);
    if let Event::DrillEnded { passed } = event {
        effects.push(Effect::DrillEnded { passed: *passed });
    } else if after.is_drilling && !before.is_drilling {
        effects.push(Effect::DrillBegun { from: was.in_force() });
    }
    if was.in_force() != is.in_force() {
        effects.push(Effect::InForce { from: was.in_force(), to: is.in_force() });
    }
    if after.attempt > before.attempt {
        effects.push(Effect::AttemptRaised { from: before.attempt, to: after.attempt });
    }
    of_the_ramp(before, after, policy, &mut effects);
    // A rollback is told of first, whatever else it changed.
    effects.sort_by_key(|effect| !matches!(effect, Effect::Latched { .. }));
    effects
}

fn held_back(before: &Intent, after: &Intent, by: Origin, effects: &mut Vec<Effect>) {
    let (was, is) = (before.standing(), after.standing());
    let more = is.wanted() != was.wanted();
    match (before.latch, after.latch) {
        (known, Some(Latch { cap, target, cause, .. }))
            if known.is_none_or(|known| (known.cap, known.target) != (cap, target)) =>
        {
            effects.push(Effect::Latched { from: was.in_force(), cap, target, cause });
        }
        (Some(latch), None) => effects.push(Effect::Released { cap: latch.cap, by }),
        (_, Some(latch)) if more && is.wanted() > latch.cap => {
            effects.push(Effect::HeldBack { wanted: is.wanted(), cap: latch.cap, by_calendar: false });
        }
        _ => {}
    }
    match (before.frozen_at, after.frozen_at) {
        (_, Some(cap)) if more => {
            effects.push(Effect::HeldBack { wanted: is.wanted(), cap, by_calendar: true });
        }
        (Some(_), None) => effects.push(Effect::Opened),
        _ => {}
    }
}

fn of_the_ramp(before: &Intent, after: &Intent, policy: &Policy, effects: &mut Vec<Effect>) {
    let (was, is) = match (&before.progress, &after.progress) {
        (None, None) => return,
        (Some(_), None) => return effects.push(Effect::RampGone),
        (was, Some(is)) => (was.clone().unwrap_or_default(), is),
    };
    if was.entered != is.entered || before.progress.is_none() {
        effects.push(Effect::StepEntered { step: is.entered, of: policy.steps.len() });
    }
    if is.approved && !was.approved {
        effects.push(Effect::StepApproved { step: is.entered });
    }
    match (was.paused, is.paused) {
        (None, Some(why)) => effects.push(Effect::RampPaused { why }),
        (Some(_), None) => effects.push(Effect::RampGoesOn),
        _ => {}
    }
    if is.arrived_at.is_some() && was.arrived_at.is_none() {
        effects.push(Effect::Arrived);
    }
}

#[cfg(test)]
mod tests;
