//! The table of (state, event) -> (state, effects).

use jiff::Timestamp;
use route_plan::Phase;
use traffic_split::Percent;

use crate::decide::Wait;
use crate::event::{Effect, Event};
use crate::intent::{Intent, Origin, ShadowOff, Written};
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
    if after.frozen_at.is_some_and(|at| after.wanted() <= at) {
        after.frozen_at = None;
    }
    // What a drill or a freeze keeps from being in force at once is judged all the same.
    if is_a_persons(event) && after.due() > before.due() {
        may_go_forward(before, terms)?;
    }
    after.full_since = match (before.is_over(), after.is_over()) {
        (_, false) => None,
        (false, true) => Some(terms.now),
        (true, true) => before.full_since,
    };
    let effects = effects(before, &after, event, by, terms.policy);
    Ok((after, effects))
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
                (intent.percent, intent.percent_from) = (*percent, Origin::Person);
            })?;
        }
        Event::PhaseSet(phase) => {
            by_hand(after, terms, |intent| {
                (intent.phase, intent.phase_from) = (Some(*phase), Origin::Person);
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
        // What copies did to users goes before that somebody had them off already.
        Event::ShadowSwitched(Some(ShadowOff::Asked)) => {
            after.shadow_off.get_or_insert(ShadowOff::Asked);
        }
        Event::ShadowSwitched(off) => after.shadow_off = *off,
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
        Event::DrillEnded { .. } | Event::DrillInterrupted => end_drill(after, event)?,
    }
    Ok(Origin::Person)
}

fn end_drill(intent: &mut Intent, event: &Event) -> Result<(), Refusal> {
    if !std::mem::take(&mut intent.is_drilling) {
        return Err(Refusal::Drill);
    }
    if let (Some(progress), Event::DrillEnded { passed }) = (&mut intent.progress, event) {
        progress.drilled |= passed;
        if !passed {
            progress.paused.get_or_insert(Pause::Drill);
        }
    }
    Ok(())
}

/// A percent or a phase that a person wants. It pauses the ramp, since what it leads to was not shown.
fn by_hand(intent: &mut Intent, terms: &Terms<'_>, set: impl FnOnce(&mut Intent)) -> Result<(), Refusal> {
    let was = intent.clone();
    set(intent);
    let wanted = intent.wanted();
    if let Some(latch) = intent.latch.filter(|latch| wanted > latch.cap) {
        return Err(Refusal::Latched { wanted, cap: latch.cap });
    }
    if terms.force {
        intent.frozen_at = None;
    }
    pause_by_intent(intent, &was);
    Ok(())
}

/// Pauses the ramp if an intent moved users, or will, or has taken back that they all get new for good: else the ramp
/// would say so again at once.
fn pause_by_intent(intent: &mut Intent, was: &Intent) {
    let is_back = was.is_over() && !intent.is_over();
    let moves = (intent.wanted(), intent.percent) != (was.wanted(), was.percent);
    let Some(progress) = &mut intent.progress else { return };
    if is_back {
        progress.arrived_at = None;
    }
    if is_back || moves {
        progress.paused.get_or_insert(Pause::Intent);
    }
}

fn roll_back(intent: &mut Intent, cause: Cause, to: Percent, in_parts: bool, policy: &Policy) {
    let from = intent.standing().in_force();
    // Where nobody is on new nobody was failed: that is a lock, and no sign that the migration fails. Those whom a drill
    // has away for a moment are on new all the same.
    let has_users = intent.let_through() > Percent::ZERO;
    // What a drill has taken back stays where it is, and nothing that is called a rollback lets more through than is.
    let to = if std::mem::take(&mut intent.is_drilling) { Percent::ZERO } else { to.min(from) };
    let mut latch = Latch { cap: to, target: to, from, then: policy.rollback.then, cause };
    if in_parts && !policy.rollback.over.is_zero() && from > to {
        latch.cap = from;
        latch.cap = latch.next_cap();
    }
    match &mut intent.latch {
        None => {
            intent.rollbacks = intent.rollbacks.saturating_add(u32::from(has_users));
            intent.latch = Some(latch);
        }
        // A second rollback never loosens the first, and what is on its way back in parts is let go on.
        Some(known) if to < known.target => {
            *known = Latch { cap: latch.cap.min(known.cap), ..latch };
        }
        Some(known) if !in_parts => known.cap = known.cap.min(to),
        Some(_) => {}
    }
}

fn resume(intent: &mut Intent, terms: &Terms<'_>) -> Result<(), Refusal> {
    let latch = intent.latch.take();
    let is_paused = intent.progress.as_ref().is_some_and(|progress| progress.paused.is_some());
    match latch {
        Some(latch) => {
            may_be_resumed(intent, terms)?;
            begin_again(intent, latch.cap, terms.policy);
            if terms.force {
                intent.frozen_at = None;
            }
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

/// A ramp begins again at its first step, or where a rollback has left it: at the step before, or at what is in force of
/// a return in parts, since who has stopped that wants nobody moved at once.
fn begin_again(intent: &mut Intent, at: Percent, policy: &Policy) {
    let is_over = intent.is_over();
    let percent = if is_over { at } else { at.min(intent.percent) };
    let Some(progress) = Progress::at(percent, policy) else { return };
    intent.progress = Some(progress);
    (intent.percent, intent.percent_from) = (percent, Origin::Ramp);
    if is_over {
        (intent.phase, intent.phase_from) = (Some(Phase::Canary), Origin::Ramp);
    }
}

/// Takes over what the file says otherwise than last time, and remembers what it says. A latch holds, unless the file
/// begins an attempt that it never had before; an increase waits while the calendar is closed.
fn read_file(intent: &mut Intent, now: &Written, terms: &Terms<'_>) {
    let was = intent.clone();
    let last = std::mem::replace(&mut intent.written, now.clone());
    if now.percent != last.percent {
        (intent.percent, intent.percent_from) = (now.percent, Origin::File);
    }
    if now.phase != last.phase {
        (intent.phase, intent.phase_from) = (now.phase, Origin::File);
    }
    if now.ramp != last.ramp {
        // What somebody has paused stays so by another schedule.
        let paused = intent.progress.as_ref().and_then(|progress| progress.paused);
        let progress = Progress::at(intent.percent, terms.policy);
        intent.progress = progress.map(|progress| Progress { paused, ..progress });
    } else {
        pause_by_intent(intent, &was);
    }
    if now.attempt > intent.attempt {
        intent.attempt = now.attempt;
        intent.rollbacks = 0;
        if let Some(latch) = intent.latch.take()
            && now.percent == last.percent
        {
            begin_again(intent, latch.cap, terms.policy);
        }
    }
    if intent.let_through() > was.let_through() && terms.policy.calendar.closed(terms.now).is_some() {
        intent.frozen_at = Some(was.let_through());
    }
}

fn advance(intent: &mut Intent, wait: &Wait, terms: &Terms<'_>) -> Result<(), Refusal> {
    let phase = |intent: &mut Intent, phase| {
        (intent.phase, intent.phase_from) = (Some(phase), Origin::Person);
    };
    match wait {
        Wait::Grace { .. } if terms.force => phase(intent, Phase::Cleanup),
        Wait::Cleanup => phase(intent, Phase::Cleanup),
        Wait::Phase(Phase::Preparation) if terms.policy.shadow => phase(intent, Phase::Shadow),
        Wait::Phase(_) => phase(intent, Phase::Canary),
        Wait::Matching(_) if terms.force => phase(intent, Phase::Canary),
        Wait::Approval { .. } => {
            let progress = intent.progress.as_mut().ok_or(Refusal::NoRamp)?;
            progress.approved = true;
        }
        Wait::NoRamp => return Err(Refusal::NoRamp),
        Wait::Closed(_) if terms.force && intent.frozen_at.is_some() => intent.frozen_at = None,
        wait if terms.force && wait.can_be_forced() => go_on(intent, wait, terms)?,
        wait => return Err(Refusal::Waits(wait.to_string())),
    }
    Ok(())
}

/// Goes on to the next step, and from the last one to where everybody gets new.
fn go_on(intent: &mut Intent, wait: &Wait, terms: &Terms<'_>) -> Result<(), Refusal> {
    let entered = intent.progress.as_ref().ok_or(Refusal::NoRamp)?.entered;
    if entered < terms.policy.steps.len() {
        enter(intent, entered, Origin::Person, terms.policy)
    } else {
        arrive(intent, Origin::Person, terms).map_err(|_| Refusal::Waits(wait.to_string()))
    }
}

fn enter(intent: &mut Intent, next: usize, by: Origin, policy: &Policy) -> Result<(), Refusal> {
    let progress = intent.progress.as_mut().ok_or(Refusal::NoRamp)?;
    let step = policy.steps.get(next).filter(|_| next == progress.entered).ok_or(Refusal::Stale)?;
    progress.enter(next);
    (intent.percent, intent.percent_from) = (step.percent, by);
    // An increase by the file that the calendar held back is overtaken by the ramp's.
    intent.frozen_at = None;
    Ok(())
}

fn arrive(intent: &mut Intent, by: Origin, terms: &Terms<'_>) -> Result<(), Refusal> {
    let steps = &terms.policy.steps;
    let progress = intent.progress.as_mut().ok_or(Refusal::NoRamp)?;
    let last = steps.last().filter(|_| progress.entered == steps.len());
    if last.is_none_or(|last| last.percent < Percent::FULL) {
        return Err(Refusal::Stale);
    }
    progress.arrived_at = Some(terms.now);
    (intent.percent, intent.percent_from) = (Percent::FULL, by);
    (intent.phase, intent.phase_from) = (Some(Phase::Full), by);
    Ok(())
}

fn move_ramp(intent: &mut Intent, event: &Event, terms: &Terms<'_>) -> Result<(), Refusal> {
    let is_elsewhere = intent.phase.is_some_and(|phase| phase != Phase::Canary);
    let is_held = intent.latch.is_some() || intent.is_drilling || is_elsewhere;
    let progress = intent.progress.as_mut().ok_or(Refusal::NoRamp)?;
    match event {
        Event::Held(held) => progress.held = progress.held.max(*held),
        _ if is_held || progress.paused.is_some() => return Err(Refusal::Stale),
        Event::StepEntered(next) => enter(intent, *next, Origin::Ramp, terms.policy)?,
        Event::Arrived => arrive(intent, Origin::Ramp, terms)?,
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
    match event {
        Event::DrillEnded { passed } => effects.push(Effect::DrillEnded { passed: *passed }),
        Event::DrillInterrupted => effects.push(Effect::DrillInterrupted),
        Event::DrillBegun => effects.push(Effect::DrillBegun { from: was.in_force() }),
        _ => {}
    }
    if was.in_force() != is.in_force() {
        effects.push(Effect::InForce { from: was.in_force(), to: is.in_force() });
    }
    if after.attempt > before.attempt {
        effects.push(Effect::AttemptRaised { from: before.attempt, to: after.attempt });
    }
    of_the_ramp(before, after, policy, &mut effects);
    if before.shadow_off != after.shadow_off {
        effects.push(Effect::ShadowSwitched { off: after.shadow_off });
    }
    // A rollback is told of first, whatever else it changed.
    effects.sort_by_key(|effect| !matches!(effect, Effect::Latched { .. }));
    effects
}

fn held_back(before: &Intent, after: &Intent, by: Origin, effects: &mut Vec<Effect>) {
    let (from, wanted) = (before.standing().in_force(), after.wanted());
    let is_news = wanted != before.wanted();
    match (before.latch, after.latch) {
        (known, Some(Latch { cap, target, cause, .. }))
            if known.is_none_or(|known| (known.cap, known.target) != (cap, target)) =>
        {
            effects.push(Effect::Latched { from, cap, target, cause });
        }
        (Some(latch), None) => effects.push(Effect::Released { cap: latch.cap, by }),
        (_, Some(latch)) if is_news && wanted > latch.cap => {
            effects.push(Effect::HeldBack { wanted, cap: latch.cap, by_calendar: false });
        }
        _ => {}
    }
    match (before.frozen_at, after.frozen_at) {
        (known, Some(cap)) if is_news || known.is_none() => {
            effects.push(Effect::HeldBack { wanted, cap, by_calendar: true });
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
