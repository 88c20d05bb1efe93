//! What the controller does about ramps: counts the time that a step is served, decides what is due, does it.
//!
//! What is due is decided by [`ramp::decide`] from the state and the facts of the moment; nothing is remembered here that
//! a restart would miss, but for the seconds since the last whole minute and what a hook has said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use config_file::MigrationConfig;
use jiff::Timestamp;
use ramp::{Evidence, Facts, HookKind, Intent, Next, Policy, Progress, Wait, decide, is_within_a_step};
use route_plan::Phase;
use serde_json::{Map, Value};
use traffic_split::{Arm, Percent};

use super::lines::change_of;
use super::steps::Ask;
use super::{Controller, Outlets};
use crate::change::THE_RAMP;
use crate::event::Actor;
use crate::guarding::Watchman;
use crate::hooks::{Complaints, Hooks, Question};
use crate::journal::Entry;

/// More than this between two looks was not served: the process was stopped.
const MOST_AT_ONCE: Duration = Duration::from_secs(5);
/// The time served is written down this often, of all ramps at once.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// What is known of a ramp beside what is kept.
#[derive(Debug, Default)]
pub(super) struct Climb {
    /// Its migration is one of those of which one is within a step.
    is_exclusive: bool,
    /// How far it was when this was looked at last.
    entered: usize,
    /// As kept.
    noted: Duration,
    /// To the moment.
    pub(super) held: Duration,
    /// Requests of new when the step began, or the process.
    first_requests: u64,
    pub(super) hooks: Hooks,
    /// What the log was told of them.
    pub(super) complaints: Complaints,
    /// When the next part of the users is taken back.
    part_due: Option<Instant>,
    /// It does not return, since old is not there; that has been told.
    waits_for_old: bool,
    /// What was decided last.
    pub(super) next: Option<Next>,
}

impl Climb {
    /// Follows what is kept: time counts from there on.
    fn follow(&mut self, progress: &Progress, requests: u64) {
        let is_other = self.entered != progress.entered || self.noted != progress.held;
        if self.next.is_none() || is_other {
            if self.entered != progress.entered || self.next.is_none() {
                self.first_requests = requests;
                self.hooks.forget();
                self.complaints = Complaints::default();
            }
            (self.entered, self.noted, self.held) = (progress.entered, progress.held, progress.held);
        }
    }

    /// After a rollback nothing counts that was counted or answered before, however soon somebody resumes.
    pub(super) fn begin_anew(&mut self) {
        *self = Climb { is_exclusive: self.is_exclusive, part_due: self.part_due, ..Climb::default() };
    }

    /// The time served, in whole milliseconds, if it is more than is kept.
    fn owes(&self) -> Option<Duration> {
        let held = Duration::from_millis(u64::try_from(self.held.as_millis()).unwrap_or(u64::MAX));
        (held > self.noted).then_some(held)
    }
}

impl Controller {
    /// Takes all ramps a little further, `since_last` after the last time.
    pub(super) fn move_ramps(&mut self, outlets: &Outlets, since_last: Duration) {
        let names: Vec<String> =
            self.checked.migrations.iter().map(|migration| migration.name.clone()).collect();
        let known: BTreeSet<&String> = names.iter().collect();
        self.climbs.retain(|name, _| known.contains(name));
        let since_last = since_last.min(MOST_AT_ONCE);
        let owed = names.iter().filter_map(|name| Some((name.clone(), self.count_time(name, since_last)?)));
        let owed: Vec<_> = owed.collect();
        if self.noted_at.elapsed() >= NOTED_EVERY && !self.is_going_forward() {
            self.noted_at = Instant::now();
            self.note_held(outlets, &owed);
        }
        for name in &names {
            self.go_on_returning(outlets, name);
        }
        let decided = names.iter().filter_map(|name| Some((name, self.decide(name, None)?)));
        let decided: Vec<_> = decided.collect();
        let within = decided.iter().filter(|(name, next)| self.is_exclusive(name) && is_within_a_step(next));
        let mut within: BTreeSet<String> = within.map(|(name, _)| (*name).clone()).collect();
        for (name, mut next) in decided {
            let busy = within.iter().find(|other| *other != name).cloned();
            // That another one is within a step is nothing to whoever waits for something else.
            if busy.is_some() && self.is_exclusive(name) && is_before_a_step(&next) {
                next = self.decide(name, busy).unwrap_or(next);
            }
            if matches!(next, Next::Do(ramp::Event::StepEntered(_))) && self.is_exclusive(name) {
                within.insert(name.clone());
            }
            if let Some(climb) = self.climbs.get_mut(name) {
                if !is_at_a_step(&next) {
                    climb.hooks.forget();
                }
                climb.next = Some(next.clone());
            }
            self.act(outlets, name, next);
        }
    }

    fn is_exclusive(&self, name: &str) -> bool {
        self.checked.migration(name).is_some_and(|migration| migration.policy.exclusive)
    }

    /// Time counts while the step is served: not in a drill, not while latched. Returns it where it is to be noted.
    fn count_time(&mut self, name: &str, since_last: Duration) -> Option<Duration> {
        let requests = self.requests_of_new(name);
        let is_exclusive = self.is_exclusive(name);
        let intent = self.book.intents.get(name)?;
        let climb = self.climbs.entry(name.to_owned()).or_default();
        climb.is_exclusive = is_exclusive;
        let Some(progress) = &intent.progress else {
            // A ramp that comes later has been served by nobody.
            climb.begin_anew();
            return None;
        };
        climb.follow(progress, requests);
        let is_served = intent.standing().in_force() > Percent::ZERO && intent.latch.is_none();
        if !is_served || self.draining {
            return None;
        }
        climb.held += since_last;
        // Once the ramp has arrived there is no step to be served.
        climb.owes().filter(|_| progress.arrived_at.is_none())
    }

    /// How long steps were served by now, in one line without their states: what all ramps write each minute has to be
    /// little, or what people want to look up is soon among the files that are removed.
    fn note_held(&mut self, outlets: &Outlets, notes: &[(String, Duration)]) {
        let mut book = std::mem::take(&mut self.book);
        for (name, held) in notes {
            let ask = Ask::new(name, ramp::Event::Held(*held), the_ramp());
            // It has a ramp, so it is not refused.
            let _ = book.apply(name, &ask.event, &self.terms(name, false), &change_of(&ask));
        }
        self.book = book;
        if !notes.is_empty() {
            self.write_aside(outlets, vec![Entry::of_served(notes)]);
        }
    }

    fn requests_of_new(&self, name: &str) -> u64 {
        self.traffic.get(name).map_or(0, |traffic| traffic.cells.totals().by_bucket(Arm::New))
    }

    /// Takes back the next part of the users where they return in parts and it is time.
    fn go_on_returning(&mut self, outlets: &Outlets, name: &str) {
        let Some(migration) = self.checked.migration(name) else { return };
        let each = migration.policy.rollback.over / ramp::Latch::parts();
        let is_returning = self
            .book
            .intents
            .get(name)
            .and_then(|intent| intent.latch)
            .is_some_and(|latch| latch.is_returning());
        let old_is_there = self.old_is_there(name);
        let Some(climb) = self.climbs.get_mut(name) else { return };
        if !is_returning {
            (climb.part_due, climb.waits_for_old) = (None, false);
            return;
        }
        let now = Instant::now();
        match climb.part_due {
            // Not onto an old that is not there; whoever insists takes all users back at once.
            Some(due) if now >= due && !old_is_there => {
                if !std::mem::replace(&mut climb.waits_for_old, true) {
                    tracing::error!(
                        migration = name,
                        "{name}: cannot go back any further: no endpoint of old is healthy; the next part of the users \
                         returns when one is, `crossfade rollback {name} --now --force` takes all of them at once"
                    );
                }
            }
            Some(due) if now >= due => {
                let was_waiting = std::mem::take(&mut climb.waits_for_old);
                climb.part_due = Some(if was_waiting { now } else { due } + each);
                let actor = Actor { who: "the rollback".to_owned(), ..Actor::default() };
                self.ask(outlets, Ask::new(name, ramp::Event::Returned, actor));
            }
            Some(_) => {}
            None => climb.part_due = Some(now + each),
        }
    }

    /// Nothing goes forward by itself while the journal cannot be written, or while something is on its way already.
    fn may_go_forward_now(&self) -> bool {
        self.trouble.is_none() && !self.hangs && !self.is_going_forward() && !self.draining
    }

    /// What is due in this migration.
    pub(super) fn decide(&self, name: &str, busy: Option<String>) -> Option<Next> {
        let (intent, migration) = (self.book.intents.get(name)?, self.checked.migration(name)?);
        Some(decide(intent, &migration.policy, &self.facts(intent, migration, busy)))
    }

    fn facts(&self, intent: &Intent, migration: &MigrationConfig, busy: Option<String>) -> Facts {
        let (name, policy) = (&migration.name, &migration.policy);
        let entered = intent.steps_entered();
        let climb = self.climbs.get(name);
        // What was counted in another step is not looked at, also before the ramps are moved again.
        let in_step = climb.filter(|climb| climb.entered == entered);
        let hook = |kind| {
            let question = question(policy, kind, entered);
            let state = climb.zip(question).map(|(climb, question)| climb.hooks.state(kind, &question));
            state.unwrap_or_default()
        };
        let by_traffic = || {
            let first = in_step.map(|climb| climb.first_requests);
            first.map_or(0, |first| self.requests_of_new(name).saturating_sub(first))
        };
        let (evidence, requests) = match self.guards.get(name) {
            // With everybody on new it counts nothing, unless there are fixed limits.
            Some(watchman) => match watchman.evidence() {
                Evidence::Unguarded => (Evidence::Unguarded, by_traffic()),
                evidence => (evidence, watchman.requests()),
            },
            None => (Evidence::Unguarded, by_traffic()),
        };
        Facts {
            now: Timestamp::now(),
            held: intent.progress.as_ref().map_or(Duration::ZERO, |progress| self.held(name, progress)),
            requests,
            evidence,
            matching: self.matching(migration, intent),
            busy,
            after: policy.after.iter().find(|other| !self.has_arrived(other)).cloned(),
            announced: hook(HookKind::Announce),
            confirmed: hook(HookKind::Confirm),
        }
    }

    /// How long the present step was served by now.
    pub(super) fn held(&self, name: &str, progress: &Progress) -> Duration {
        let climb = self.climbs.get(name).filter(|climb| climb.entered == progress.entered);
        climb.map_or(progress.held, |climb| climb.held.max(progress.held))
    }

    /// Whether everybody gets new in this migration, or its ramp has nothing more to do.
    fn has_arrived(&self, name: &str) -> bool {
        let Some(intent) = self.book.intents.get(name) else { return false };
        let is_done = matches!(
            self.climbs.get(name).and_then(|climb| climb.next.as_ref()),
            Some(Next::Wait(Wait::Done))
        );
        let is_full = matches!(intent.standing().phase, Phase::Full | Phase::Cleanup);
        intent.latch.is_none() && intent.frozen_at.is_none() && (is_full || is_done)
    }

    fn act(&mut self, outlets: &Outlets, name: &str, next: Next) {
        if !self.may_go_forward_now() {
            return;
        }
        match next {
            Next::Do(ramp::Event::DrillBegun) => self.begin_drill(outlets, name, the_ramp(), None),
            Next::Do(event @ ramp::Event::Opened) => {
                let actor = Actor { who: "the calendar".to_owned(), ..Actor::default() };
                self.ask(outlets, Ask::new(name, event, actor));
            }
            Next::Do(event) => {
                if let Some(climb) = self.climbs.get_mut(name) {
                    // What its hooks have said is used up by it.
                    climb.hooks.forget();
                }
                let data = self.evidence_data(name);
                self.ask(outlets, Ask { data, ..Ask::new(name, event, the_ramp()) });
            }
            Next::Call(kind, step) => self.call_hook(name, kind, step),
            Next::Wait(_) => {}
        }
    }

    /// What the guard knows, for the journal.
    pub(super) fn evidence_data(&self, name: &str) -> Map<String, Value> {
        self.guards.get(name).map(Watchman::data).unwrap_or_default()
    }

    /// What the ramp of this migration waits for, as a sentence.
    pub(super) fn waits_for(&self, name: &str) -> Option<String> {
        match self.decide(name, self.busy(name))? {
            Next::Wait(wait) => Some(wait.to_string()),
            _ if self.trouble.is_some() || self.hangs => {
                Some("waits until the journal can be written".to_owned())
            }
            Next::Call(kind, _) => Some(format!("calls the {} hook", kind.as_str())),
            Next::Do(_) => Some("goes on".to_owned()),
        }
    }

    /// Makes the facts anew for somebody's word, so that it is judged by how things are now.
    pub(super) fn waits_now(&self, name: &str) -> Wait {
        match self.decide(name, self.busy(name)) {
            Some(Next::Wait(wait)) => wait,
            // What is due will be done without anybody's word.
            Some(Next::Do(_) | Next::Call(..)) => {
                Wait::Evidence("it goes on by itself at this moment".to_owned())
            }
            None => Wait::NoRamp,
        }
    }

    fn busy(&self, name: &str) -> Option<String> {
        let is_busy = |climb: &Climb| climb.is_exclusive && climb.next.as_ref().is_some_and(is_within_a_step);
        let busy = self.climbs.iter().find(|(other, climb)| *other != name && is_busy(climb));
        busy.map(|(other, _)| other.clone())
    }
}

/// What a hook of this step, counted from 0, is asked; `None` where there is no such hook.
pub(super) fn question(policy: &Policy, kind: HookKind, step: usize) -> Option<Question> {
    let next = policy.steps.get(step)?;
    let url = match kind {
        HookKind::Announce => next.announce.clone(),
        HookKind::Confirm => next.confirm.clone(),
    };
    Some(Question { step, percent: next.percent, url: url? })
}

/// Whether nothing but the calendar and hooks stands before the next step: all that is looked at once another exclusive
/// migration is not within one.
fn is_before_a_step(next: &Next) -> bool {
    match next {
        Next::Do(event) => matches!(event, ramp::Event::StepEntered(_)),
        Next::Call(..) => true,
        Next::Wait(wait) => matches!(wait, Wait::Closed(_) | Wait::Hook(..)),
    }
}

/// Whether the ramp may be about to enter a step, or is kept from it by what passes by itself: then what its hooks have
/// said counts. After a rollback, or what a person or the calendar has stopped, they are asked again.
fn is_at_a_step(next: &Next) -> bool {
    match next {
        Next::Do(event) => matches!(event, ramp::Event::StepEntered(_)),
        Next::Call(..) => true,
        Next::Wait(wait) => {
            matches!(wait, Wait::Hook(..) | Wait::Evidence(_) | Wait::Against(_) | Wait::Busy(_))
        }
    }
}

pub(super) fn the_ramp() -> Actor {
    Actor { who: THE_RAMP.to_owned(), ..Actor::default() }
}

/// What the ramps are known by.
pub(super) type Climbs = BTreeMap<String, Climb>;
