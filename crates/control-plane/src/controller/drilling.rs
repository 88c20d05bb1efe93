//! Rollback drills and what a rollback came to: seen from live counters, told and written down.

use std::time::{Duration, Instant};

use ramp::{Effect, HookKind};
use serde_json::json;
use traffic_split::{Arm, Percent, Role};

use super::ramping::question;
use super::steps::{Ask, Shown, refuse};
use super::{Controller, Outlets};
use crate::event::{Actor, Event, Reply};
use crate::handle::{Changed, ControlError};
use crate::journal::{Entry, Kind};
use crate::verifying::{Count, Seen, Verification};

/// Old serves everybody for so long at least.
const DRILL_LASTS: Duration = Duration::from_secs(3);
/// After so long a drill that cannot be verified is over.
const DRILL_PATIENCE: Duration = Duration::from_secs(20);
/// A share of failures above which old did not serve everybody, where few failures are none.
const DRILL_FAILURES: f64 = 0.01;

/// A rollback, or a drill, that is being watched.
pub(super) struct Watched {
    begun: Instant,
    verification: Verification,
    seen: Option<Seen>,
    /// Of a drill.
    drill: Option<Drill>,
}

struct Drill {
    actor: Actor,
    from: Percent,
    reply: Option<Reply<Changed>>,
}

impl Watched {
    /// Takes in what was counted by now; whether that is all there is to see.
    fn look(&mut self, count: Count) -> bool {
        let since = self.begun.elapsed();
        self.seen = self.verification.look(since, count).or(self.seen);
        if self.drill.is_none() {
            return self.seen.is_some();
        }
        if since >= DRILL_PATIENCE {
            self.seen.get_or_insert(self.verification.seen(false));
        }
        self.seen.is_some() && since >= DRILL_LASTS
    }
}

impl Controller {
    /// Takes everybody back for a moment. Whoever asked is answered when they are where they were.
    pub(super) fn begin_drill(
        &mut self,
        outlets: &Outlets,
        name: &str,
        actor: Actor,
        mut reply: Option<Reply<Changed>>,
    ) {
        let before =
            self.book.intents.get(name).map(|intent| (intent.is_drilling, intent.standing().in_force()));
        let (sender, mut refused) = tokio::sync::oneshot::channel();
        let event = ramp::Event::DrillBegun;
        self.ask(outlets, Ask { reply: Some(sender), ..Ask::new(name, event, actor.clone()) });
        let is_drilling = self.book.intents.get(name).is_some_and(|intent| intent.is_drilling);
        let Some((false, from)) = before.filter(|_| is_drilling) else {
            if let Ok(Err(error)) = refused.try_recv() {
                refuse(&mut reply, error);
            } else {
                refuse(&mut reply, ControlError::Busy);
            }
            return;
        };
        self.found_drilling.remove(name);
        let target = Percent::ZERO;
        let verification = Verification::new(target, self.count_of(name));
        let drill = Some(Drill { actor, from, reply });
        let watched = Watched { begun: Instant::now(), verification, seen: None, drill };
        self.watched.insert(name.to_owned(), watched);
    }

    /// Begins to watch what a rollback comes to. What an earlier one came to is not to be told of it.
    pub(super) fn begin_verification(&mut self, name: &str, effects: &[Effect]) {
        let latched = effects.iter().find_map(|effect| match effect {
            Effect::Latched { cap, target, .. } => Some((*cap, *target)),
            _ => None,
        });
        let Some((cap, target)) = latched else { return };
        self.verified.remove(name);
        if cap != target {
            return;
        }
        let verification = Verification::new(target, self.count_of(name));
        let watched = Watched { begun: Instant::now(), verification, seen: None, drill: None };
        if let Some(Watched { drill: Some(mut drill), .. }) = self.watched.insert(name.to_owned(), watched) {
            let sentence = format!("{name}: the drill was overtaken by a rollback");
            refuse(&mut drill.reply, ControlError::Refused(sentence));
        }
    }

    fn count_of(&self, name: &str) -> Count {
        let Some(traffic) = self.traffic.get(name) else { return Count::default() };
        let totals = traffic.cells.totals();
        let failed = |arm| totals.leg(arm, Role::Served).failed();
        Count {
            old: totals.by_bucket(Arm::Old),
            new: totals.by_bucket(Arm::New),
            old_failures: failed(Arm::Old),
            new_failures: failed(Arm::New),
        }
    }

    /// Looks at what is being watched.
    pub(super) fn look_at_watched(&mut self, outlets: &Outlets) {
        let intents = &self.book.intents;
        let is_latched = |name: &String| intents.get(name).is_some_and(|intent| intent.latch.is_some());
        // Whoever has resumed meanwhile sent users to new, which is no rollback that failed.
        self.watched.retain(|name, watched| watched.drill.is_some() || is_latched(name));
        let mut is_over = Vec::new();
        for name in self.watched.keys().cloned().collect::<Vec<_>>() {
            let count = self.count_of(&name);
            if self.watched.get_mut(&name).is_some_and(|watched| watched.look(count)) {
                is_over.push(name);
            }
        }
        for name in is_over {
            self.end_watch(outlets, &name);
        }
        self.end_lost_drills(outlets);
    }

    fn end_watch(&mut self, outlets: &Outlets, name: &str) {
        if self.watched.get(name).is_some_and(|watched| watched.drill.is_some()) && self.is_going_forward() {
            return;
        }
        let Some(Watched { seen: Some(seen), drill, verification, .. }) = self.watched.remove(name) else {
            return;
        };
        match drill {
            Some(drill) => self.end_drill(outlets, name, drill, &verification.seen(seen.verified)),
            None => self.tell_seen(outlets, name, &seen),
        }
    }

    fn end_drill(&mut self, outlets: &Outlets, name: &str, drill: Drill, seen: &Seen) {
        let Count { old, old_failures, .. } = seen.count;
        let is_served = old_failures <= 1 || (old_failures as f64) < DRILL_FAILURES * old as f64;
        let passed = seen.verified && is_served;
        let sentence = match (seen.verified, is_served) {
            (true, true) => format!(
                "{name}: old served all {old} requests, the last one on new ended {} after the decision",
                milliseconds(seen.to_target)
            ),
            (true, false) => format!(
                "{name}: old served all {old} requests but failed {old_failures} of them, allowed {} %",
                DRILL_FAILURES * 100.0
            ),
            (false, _) => {
                format!("{name}: not verified: {old} requests ended on old, {} on new", seen.count.new)
            }
        };
        let Drill { actor, from, reply } = drill;
        // It ends also where nobody waits for the answer any more.
        let reply = reply.filter(|reply| !reply.is_closed());
        let event = ramp::Event::DrillEnded { passed };
        let ask = Ask {
            shown: Some(Shown { sentence, from }),
            data: data(seen),
            reply,
            ..Ask::new(name, event, actor)
        };
        self.ask(outlets, ask);
    }

    fn tell_seen(&mut self, outlets: &Outlets, name: &str, seen: &Seen) {
        let Some(intent) = self.book.intents.get(name) else { return };
        let Count { old, new, .. } = seen.count;
        let target = intent.standing().in_force();
        let sentence = if seen.verified {
            format!(
                "{name}: the rollback to {target}% is verified: the last request beyond it ended {} after the decision, \
                 the last failure of new {} after it; old has served {old} requests since",
                milliseconds(seen.to_target),
                milliseconds(seen.recovery)
            )
        } else {
            format!(
                "{name}: the rollback to {target}% is NOT verified: {old} requests ended on old since, {new} on new"
            )
        };
        if seen.verified {
            tracing::info!(migration = name, "{sentence}");
        } else {
            tracing::warn!(migration = name, "{sentence}");
        }
        self.verified.insert(name.to_owned(), sentence);
        let Some(state) = self.state_ahead(name) else { return };
        let entry = Entry { data: data(seen), ..Entry::of(name, Kind::Verified, state) };
        self.write_aside(outlets, vec![entry]);
    }

    /// A drill that nobody watches any more, since the process that began it has ended, or since its end could not be
    /// written: users go back to where they were, and what was not seen counts neither way. A ramp tries it again.
    fn end_lost_drills(&mut self, outlets: &Outlets) {
        if self.is_going_forward() || self.trouble.is_some() {
            return;
        }
        let drilling = self.book.intents.iter().filter(|(_, intent)| intent.is_drilling);
        let lost =
            drilling.filter(|(name, _)| !self.watched.contains_key(*name)).map(|(name, _)| name.clone());
        for name in lost.collect::<Vec<_>>() {
            let why = if self.found_drilling.contains(&name) {
                "a restart"
            } else {
                "a configuration without the migration, or a journal that could not be written"
            };
            let actor = Actor {
                who: "crossfade".to_owned(),
                reason: Some(format!("interrupted by {why}")),
                force: false,
            };
            self.ask(outlets, Ask::new(&name, ramp::Event::DrillInterrupted, actor));
        }
    }

    /// Calls a hook beside the loop. What it says comes back as an event.
    pub(super) fn call_hook(&mut self, name: &str, kind: HookKind, step: usize) {
        let Some(migration) = self.checked.migration(name) else { return };
        let asked = question(&migration.policy, kind, step);
        let (Some(asked), Some(events)) = (asked, self.own_events.clone()) else { return };
        let from = self.book.intents.get(name).map_or(Percent::ZERO, |intent| intent.standing().in_force());
        let body = json!({
            "type": format!("ramp.{}", kind.as_str()),
            "migration": name,
            "from": from.as_f64(),
            "to": asked.percent.as_f64(),
            "step": step + 1,
            "steps": migration.policy.steps.len(),
        });
        self.calls += 1;
        let number = self.calls;
        if let Some(climb) = self.climbs.get_mut(name) {
            climb.hooks.called(kind, number, asked.clone());
        }
        let (line, migration) = (self.line.clone(), name.to_owned());
        tokio::spawn(async move {
            let answer = line.call(kind, &asked.url, &body).await;
            if let Some(events) = events.upgrade() {
                // Fails only when the controller has ended.
                let _ = events.send(Event::HookAnswered { migration, kind, number, answer }).await;
            }
        });
    }

    /// Takes an answer, if anybody still waits for it.
    pub(super) fn hook_answered(
        &mut self,
        name: &str,
        kind: HookKind,
        number: u64,
        answer: Result<(), String>,
    ) {
        if self.book.knows(name) {
            self.hook_answers.entry(name.to_owned()).or_default().count(kind, answer.is_ok());
        }
        let word = kind.as_str();
        let why = answer.as_ref().err().cloned();
        let climb = self.climbs.get_mut(name);
        let waiting = climb.and_then(|climb| climb.hooks.answered(kind, number, answer).then_some(climb));
        match (waiting, why) {
            (None, why) => {
                let said = why.map_or_else(|| "yes".to_owned(), |why| format!("no: {why}"));
                tracing::info!(
                    migration = name,
                    "{name}: the {word} hook says {said}, which nobody waits for any more"
                );
            }
            (Some(climb), None) => {
                climb.complaints.yes(kind);
                tracing::info!(migration = name, "{name}: the {word} hook says yes");
            }
            (Some(climb), Some(why)) => {
                if let Some(untold) = climb.complaints.no(kind, &why, Instant::now()) {
                    let before =
                        if untold > 0 { format!(", as {untold} times before") } else { String::new() };
                    tracing::warn!(migration = name, "{name}: the {word} hook says no{before}: {why}");
                }
            }
        }
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

fn data(seen: &Seen) -> serde_json::Map<String, serde_json::Value> {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    serde_json::Map::from_iter([
        ("verified".to_owned(), seen.verified.into()),
        ("to_target_us".to_owned(), micros(seen.to_target).into()),
        ("recovery_us".to_owned(), micros(seen.recovery).into()),
        ("old_requests".to_owned(), seen.count.old.into()),
        ("old_failures".to_owned(), seen.count.old_failures.into()),
        ("new_requests".to_owned(), seen.count.new.into()),
        ("new_failures".to_owned(), seen.count.new_failures.into()),
    ])
}
