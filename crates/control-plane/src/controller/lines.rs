//! What somebody asked for, as the journal and the last changes have it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ramp::Effect;

use super::steps::Ask;
use crate::change;
use crate::journal::{Entry, Kind, State};
use crate::status::LastChange;

/// Who asked for what, when and why.
pub(super) fn change_of(ask: &Ask) -> LastChange {
    let what = match &ask.event {
        ramp::Event::PercentSet(percent) => format!("{percent} % asked for"),
        ramp::Event::PhaseSet(phase) => format!("phase {phase} asked for"),
        ramp::Event::Undone { percent, .. } => format!("{percent} % asked for again"),
        ramp::Event::RolledBack { to, .. } => format!("rolled back to {to} %"),
        ramp::Event::Returned => "the next part of the users taken back".to_owned(),
        ramp::Event::Resumed => "resumed".to_owned(),
        ramp::Event::FileRead(_) => "file read".to_owned(),
        ramp::Event::Paused => "ramp paused".to_owned(),
        ramp::Event::Advanced(_) => "ramp advanced".to_owned(),
        ramp::Event::StepEntered(step) => format!("step {} entered", step + 1),
        ramp::Event::Held(_) => "time served noted".to_owned(),
        ramp::Event::Opened => "calendar open".to_owned(),
        ramp::Event::DrillBegun => "rollback drill begun".to_owned(),
        ramp::Event::DrillEnded { .. } => "rollback drill ended".to_owned(),
        ramp::Event::DrillInterrupted => "rollback drill given up".to_owned(),
        ramp::Event::Arrived => "ramp arrived".to_owned(),
        ramp::Event::ShadowSwitched(Some(_)) => "shadow switched off".to_owned(),
        ramp::Event::ShadowSwitched(None) => "shadow switched on".to_owned(),
    };
    let who = change::name(&ask.actor).to_owned();
    LastChange { who, reason: ask.actor.reason.clone(), at: now(), what }
}

/// The time as the journal has it, so that it is the same after a restart: to the microsecond.
fn now() -> SystemTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_micros(u64::try_from(since.as_micros()).unwrap_or_default())
}

/// The line about a step that was asked for.
pub(super) fn entry(ask: &Ask, change: &LastChange, effects: &[Effect], state: State) -> Entry {
    let in_force = effects.iter().find_map(|effect| match effect {
        Effect::InForce { from, to } => Some((from.as_f64(), to.as_f64())),
        _ => None,
    });
    let kind = match ask.event {
        ramp::Event::PercentSet(_) => Kind::Percent,
        ramp::Event::PhaseSet(_) => Kind::Phase,
        ramp::Event::Undone { .. } => Kind::Undone,
        ramp::Event::RolledBack { .. } => Kind::RolledBack,
        ramp::Event::Returned => Kind::PartTakenBack,
        ramp::Event::Resumed => Kind::Resumed,
        ramp::Event::FileRead(_) => Kind::File,
        ramp::Event::Paused => Kind::Paused,
        ramp::Event::Advanced(_) => Kind::Advanced,
        ramp::Event::StepEntered(_) => Kind::Step,
        ramp::Event::Held(_) => Kind::Held,
        ramp::Event::Opened => Kind::Opened,
        ramp::Event::DrillBegun => Kind::DrillBegun,
        ramp::Event::DrillEnded { .. } => Kind::DrillEnded,
        ramp::Event::DrillInterrupted => Kind::DrillInterrupted,
        ramp::Event::Arrived => Kind::Arrived,
        ramp::Event::ShadowSwitched(_) => Kind::Shadow,
    };
    let stays = state.intent.standing().in_force().as_f64();
    let (from, to) = in_force.unwrap_or((stays, stays));
    let entry = Entry {
        at: change.at,
        who: Some(change.who.clone()),
        reason: change.reason.clone(),
        data: ask.data.clone(),
        ..Entry::of(&ask.migration, kind, state)
    };
    let entry = entry.with("in_force_before", from).with("in_force", to);
    let entry = if ask.actor.force { entry.with("force", true) } else { entry };
    match &ask.event {
        ramp::Event::PercentSet(percent) => {
            entry.with("percent", percent.as_f64()).with("without_evidence", true)
        }
        ramp::Event::PhaseSet(phase) => entry.with("phase", phase.as_str()).with("without_evidence", true),
        ramp::Event::RolledBack { cause, to, .. } => {
            entry.with("cause", cause.as_str()).with("to", to.as_f64())
        }
        ramp::Event::ShadowSwitched(off) => {
            let entry = entry.with("on", off.is_none());
            match off {
                Some(why) => entry.with("off", why.as_str()),
                None => entry,
            }
        }
        ramp::Event::StepEntered(step) => entry.with("step", step + 1),
        ramp::Event::DrillEnded { passed } => entry.with("passed", *passed),
        ramp::Event::Advanced(waited) => entry.with("waited_for", waited.to_string()),
        _ => entry,
    }
}
