//! Steps: an intent, a rollback, a file, from the moment it is asked for until it is told of.
//!
//! A step forward is on disk before it is in force, so that a restart never finds less than users have seen. A step
//! back is in force at once, on disk next, and told of last: nothing stands between the decision and the users, and
//! what was told of survives. So the loop never waits for a disk: a step is handed to the journal's thread, and goes on
//! when that answers.
//!
//! One step forward at a time is under way, on a copy of the book. A step back that comes meanwhile is done to the book
//! and to the copy, so it holds whatever becomes of the other. Further steps forward wait.

use std::future::pending;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ramp::{Effect, apply};
use serde_json::{Map, Value};

use super::reading::Wish;
use super::{Controller, Outlets};
use crate::book::Book;
use crate::change;
use crate::event::{Actor, Reply};
use crate::handle::{Changed, ControlError};
use crate::journal::{Ack, Entry, Keep, Kind, State};
use crate::source::Loaded;
use crate::status::LastChange;

/// How many steps forward may wait for the one under way.
const MAX_WAITING: usize = 64;
/// How long a disk may take before what is in force already is told of without it.
const PATIENCE: Duration = Duration::from_secs(3);

/// What somebody, or the guard, wants of a migration.
pub(crate) struct Ask {
    pub(crate) migration: String,
    pub(crate) event: ramp::Event,
    pub(crate) actor: Actor,
    /// What the journal is to have beside it, such as the evidence of a verdict.
    pub(crate) data: Map<String, Value>,
    /// `None` where nobody waits for an answer.
    pub(crate) reply: Option<Reply<Changed>>,
}

/// A step that the journal has, but has not answered for.
pub(super) struct Pending {
    ack: Ack,
    since: Instant,
    step: Step,
}

/// A step that goes on when it is written.
pub(super) struct Step {
    /// The migrations that it is about: nothing is told of them until it is written.
    names: Vec<String>,
    tidings: Tidings,
    /// What becomes of everything once it is written; `None` where it is in force already.
    forward: Option<Forward>,
}

/// The state after a step forward.
struct Forward {
    book: Book,
    /// The file that it came with.
    file: Option<Loaded>,
    /// What was recorded of its migrations before.
    recorded: Vec<(String, Option<State>)>,
}

/// What there is to be told of a step, and to whom.
pub(super) enum Tidings {
    Asked {
        name: String,
        what: String,
        sentences: Vec<String>,
        is_rollback: bool,
        actor: Actor,
        reply: Option<Reply<Changed>>,
    },
    File {
        sentences: Vec<String>,
        wishes: Vec<Wish>,
    },
    None,
}

/// What became of lines for the journal.
enum Handed {
    /// There is no journal: nothing to wait for.
    Nowhere,
    Over(Ack),
    /// Too many wait already.
    Full,
}

impl Controller {
    /// What somebody wants of a migration, as far as it can be done at once.
    pub(crate) fn ask(&mut self, outlets: &Outlets, mut ask: Ask) {
        let is_rollback = matches!(ask.event, ramp::Event::RolledBack { .. });
        // Whoever asked was told that it took too long, and may have asked for something else since. Going back is
        // never wrong.
        if !is_rollback && ask.reply.as_ref().is_some_and(Reply::is_closed) {
            return;
        }
        if self.draining && !is_rollback {
            return refuse(&mut ask.reply, ControlError::Draining);
        }
        let Some(&before) = self.book.intents.get(&ask.migration) else {
            let known = self.checked.migrations.iter().map(|known| &known.name);
            let unknown = ControlError::unknown_migration(&ask.migration, known);
            return refuse(&mut ask.reply, unknown);
        };
        let judged = apply(&before, &ask.event);
        let is_back = judged.as_ref().is_ok_and(|(after, _)| !after.is_forward_from(&before));
        if self.is_going_forward() && !is_back {
            if self.waiting.len() == MAX_WAITING {
                return refuse(&mut ask.reply, ControlError::Busy);
            }
            return self.waiting.push_back(ask);
        }
        match judged {
            Err(refusal) => {
                let sentence = format!("{} is {refusal}", ask.migration);
                refuse(&mut ask.reply, ControlError::Refused(sentence));
            }
            Ok(_) if is_back => self.go_back(outlets, ask),
            Ok((_, effects)) => self.go_forward(outlets, ask, &effects),
        }
    }

    fn go_back(&mut self, outlets: &Outlets, ask: Ask) {
        let begun = Instant::now();
        let change = change_of(&ask);
        let name = ask.migration.as_str();
        // It was judged on this very book, so it is not refused.
        let effects = self.book.apply(name, &ask.event, &change).unwrap_or_default();
        if !effects.is_empty() {
            self.publish();
        }
        let took = begun.elapsed();
        self.count(name, &effects);
        let ahead = self.pending.iter_mut().find_map(|pending| pending.step.forward.as_mut());
        let state = match ahead {
            Some(forward) => {
                // What is under way goes forward, so it has no latch that this one has not: not refused either.
                let _ = forward.book.apply(name, &ask.event, &change);
                forward.book.state(name)
            }
            None => self.book.state(name),
        };
        let entries = Vec::from_iter(state.map(|state| {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            entry(&ask, &change, &effects, state).with("in_force_after_us", micros)
        }));
        let handed = self.hand_in(entries, Keep::UntilWritten);
        self.go_on(outlets, handed, asked(ask, &effects, change.what, None));
    }

    fn go_forward(&mut self, outlets: &Outlets, ask: Ask, effects: &[Effect]) {
        let change = change_of(&ask);
        let mut book = self.book.clone();
        // It was judged on the original, so it is not refused.
        let _ = book.apply(&ask.migration, &ask.event, &change);
        let entries =
            Vec::from_iter(book.state(&ask.migration).map(|state| entry(&ask, &change, effects, state)));
        let forward = self.forward(book, None, &entries);
        let handed = self.hand_in(entries, Keep::No);
        self.go_on(outlets, handed, asked(ask, effects, change.what, Some(forward)));
    }

    /// A file that nothing can refuse any more but the journal.
    pub(super) fn go_on_with_file(
        &mut self,
        outlets: &Outlets,
        loaded: Loaded,
        outlook: &crate::reload::Outlook,
        wishes: Vec<Wish>,
    ) {
        let is_forward = self.book.is_forward(outlook);
        let mut book = self.book.clone();
        book.take_over(outlook, &loaded.checked);
        let entries = book.unrecorded(&self.recorded, &outlook.renamed);
        let names = entries.iter().filter_map(|entry| entry.migration.clone()).collect();
        let mut forward = Some(self.forward(book, Some(loaded), &entries));
        if !is_forward && let Some(forward) = forward.take() {
            self.enter(forward);
        }
        let tidings = Tidings::File { sentences: outlook.sentences.clone(), wishes };
        let keep = if is_forward { Keep::No } else { Keep::UntilWritten };
        let handed = self.hand_in(entries, keep);
        self.go_on(outlets, handed, Step { names, tidings, forward });
    }

    fn forward(&self, book: Book, file: Option<Loaded>, entries: &[Entry]) -> Forward {
        let names = entries.iter().filter_map(|entry| entry.migration.clone());
        let recorded = names.map(|name| (name.clone(), self.recorded.get(&name).cloned())).collect();
        Forward { book, file, recorded }
    }

    /// Hands lines to the journal. Lines that it takes count as recorded.
    fn hand_in(&mut self, entries: Vec<Entry>, keep: Keep) -> Handed {
        let Some(journal) = &self.journal else { return Handed::Nowhere };
        if entries.is_empty() {
            return Handed::Nowhere;
        }
        let mut states = Vec::new();
        for entry in &entries {
            if let Some(from) =
                entry.data.get("from").and_then(Value::as_str).filter(|_| entry.kind == Kind::Renamed)
            {
                self.recorded.remove(from);
            }
            states.extend(entry.migration.clone().zip(entry.state.clone()));
        }
        let Some(ack) = journal.append(entries, keep) else {
            self.is_behind |= keep == Keep::UntilWritten;
            return Handed::Full;
        };
        self.recorded.extend(states);
        Handed::Over(ack)
    }

    fn go_on(&mut self, outlets: &Outlets, handed: Handed, step: Step) {
        match handed {
            Handed::Nowhere => self.settle(outlets, step, Ok(())),
            Handed::Full => self.settle(outlets, step, Err("too much waits to be written".to_owned())),
            Handed::Over(ack) => self.pending.push_back(Pending { ack, since: Instant::now(), step }),
        }
    }

    /// The journal answered for the step that it has had longest.
    pub(super) fn acknowledged(&mut self, outlets: &Outlets, result: Result<(), String>) {
        self.hangs = false;
        if let Some(Pending { step, .. }) = self.pending.pop_front() {
            self.tell_deferred(outlets);
            self.settle(outlets, step, result);
        }
        while !self.is_going_forward()
            && let Some(ask) = self.waiting.pop_front()
        {
            self.ask(outlets, ask);
        }
    }

    /// What is left of a step when it is written, or cannot be.
    fn settle(&mut self, outlets: &Outlets, step: Step, result: Result<(), String>) {
        let Step { tidings, forward, .. } = step;
        match (forward, result) {
            (Some(forward), Ok(())) => {
                self.enter(forward);
                self.tell(outlets, tidings, None);
            }
            (Some(forward), Err(why)) => {
                self.leave(forward);
                self.catch_up(outlets);
                self.tell_refused(outlets, tidings, &why);
            }
            (None, result) => self.tell(outlets, tidings, result.err()),
        }
    }

    /// Goes on with the state after a step.
    fn enter(&mut self, forward: Forward) {
        let Forward { book, file, .. } = forward;
        self.book = book;
        if let Some(Loaded { checked, warnings, content, .. }) = file {
            (self.checked, self.warnings, self.content) = (checked, warnings, content);
            self.recorded.retain(|name, _| self.book.knows(name));
        }
        self.publish();
    }

    /// Gives up a step that could not be written. What came back meanwhile was written as if the step were made, so
    /// how things stand is written once more.
    fn leave(&mut self, forward: Forward) {
        let Forward { book, file, recorded } = forward;
        for (name, before) in recorded {
            if self.recorded.get(&name) == book.state(&name).as_ref() {
                match before {
                    Some(before) => self.recorded.insert(name, before),
                    None => self.recorded.remove(&name),
                };
            }
        }
        self.is_behind = true;
        self.reopens |= file.is_some();
    }

    fn tell_deferred(&mut self, outlets: &Outlets) {
        for (tidings, unwritten) in std::mem::take(&mut self.deferred) {
            self.tell(outlets, tidings, unwritten);
        }
    }

    /// Log, status and answer, in this order. All of that shows how a migration stands, so it waits while a later step
    /// of the same one is not to be told of yet.
    fn tell(&mut self, outlets: &Outlets, tidings: Tidings, unwritten: Option<String>) {
        if let Tidings::Asked { name, .. } = &tidings
            && self.untold().any(|untold| untold == name)
        {
            return self.deferred.push((tidings, unwritten));
        }
        let unwritten = unwritten
            .map(|why| format!("in force, but NOT in the journal: {why}; a restart would not know of it"));
        match tidings {
            Tidings::Asked { name, what, mut sentences, is_rollback, actor, reply } => {
                let (who, reason) = (change::name(&actor), actor.reason.as_deref());
                let generation = self.generation;
                let all = if sentences.is_empty() {
                    format!("{name}: nothing changes")
                } else {
                    sentences.join("; ")
                };
                if is_rollback {
                    tracing::warn!(migration = name, who, reason, generation, "{all}");
                } else {
                    let reason_said = change::reason(reason);
                    tracing::info!(
                        migration = name,
                        who,
                        reason,
                        generation,
                        "{name}: {what} by {who}{reason_said}: {all}"
                    );
                }
                if let Some(unwritten) = unwritten {
                    tracing::error!(migration = name, "{name}: {unwritten}");
                    sentences.push(format!("{name}: {unwritten}"));
                }
                let status = self.renew(outlets);
                if let Some(reply) = reply {
                    let migration = status.migration(&name).cloned().ok_or(ControlError::Gone);
                    // A caller that has gone away needs no answer.
                    let _ = reply.send(migration.map(|migration| Changed {
                        generation: self.generation,
                        effects: sentences,
                        migration,
                    }));
                }
            }
            Tidings::File { mut sentences, wishes } => {
                sentences.extend(unwritten);
                let result = Ok(self.reloaded(true, sentences));
                self.answer_reload(outlets, wishes, &result);
            }
            Tidings::None => {
                self.renew(outlets);
            }
        }
    }

    fn tell_refused(&mut self, outlets: &Outlets, tidings: Tidings, why: &str) {
        let error = ControlError::NotStored(format!(
            "nothing goes forward, since the journal cannot be written: {why}; rollbacks still take effect"
        ));
        match tidings {
            Tidings::Asked { name, what, actor, mut reply, .. } => {
                tracing::error!(
                    migration = name,
                    "{name}: {what} by {} refused: {error}",
                    change::name(&actor)
                );
                refuse(&mut reply, error);
            }
            Tidings::File { wishes, .. } => self.answer_reload(outlets, wishes, &Err(error)),
            Tidings::None => {}
        }
    }

    /// Once a second: what the disk keeps waiting for too long is told of, and what the journal had no room for is
    /// handed in again.
    pub(super) fn mind_journal(&mut self, outlets: &Outlets) {
        if self.pending.front().is_some_and(|first| first.since.elapsed() >= PATIENCE) {
            self.hangs = true;
            let (told, kept) = std::mem::take(&mut self.pending)
                .into_iter()
                .partition::<Vec<_>, _>(|pending| pending.step.forward.is_none());
            self.pending = kept.into();
            self.tell_deferred(outlets);
            for Pending { step, .. } in told {
                let why = format!("the disk has not answered for {} s", PATIENCE.as_secs());
                self.settle(outlets, step, Err(why));
            }
        }
        self.catch_up(outlets);
    }

    /// Hands in how things stand wherever the journal has it otherwise.
    fn catch_up(&mut self, outlets: &Outlets) {
        if self.is_behind && !self.is_going_forward() {
            self.is_behind = false;
            let entries = self.book.unrecorded(&self.recorded, &[]);
            let handed = self.hand_in(entries, Keep::UntilWritten);
            self.go_on(outlets, handed, Step { names: Vec::new(), tidings: Tidings::None, forward: None });
        }
    }

    /// Whether a step forward waits for the journal.
    pub(super) fn is_going_forward(&self) -> bool {
        self.pending.iter().any(|pending| pending.step.forward.is_some())
    }

    /// The migrations whose last step is in force and not to be told of yet.
    pub(super) fn untold(&self) -> impl Iterator<Item = &str> {
        let in_force = self.pending.iter().filter(|pending| pending.step.forward.is_none());
        in_force.flat_map(|pending| pending.step.names.iter().map(String::as_str))
    }

    fn count(&mut self, name: &str, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Latched { cause, .. } = effect {
                let counts = self.rollbacks.entry(name.to_owned()).or_default();
                *counts.entry(*cause).or_default() += 1;
            }
        }
    }
}

/// Waits for the journal's answer to the step that it has had longest; for ever when it has none.
pub(super) async fn next_ack(steps: &mut std::collections::VecDeque<Pending>) -> Result<(), String> {
    match steps.front_mut() {
        Some(first) => (&mut first.ack).await.unwrap_or_else(|_| Err("its thread has ended".to_owned())),
        None => pending().await,
    }
}

fn refuse(reply: &mut Option<Reply<Changed>>, error: ControlError) {
    if let Some(reply) = reply.take() {
        // A caller that has gone away needs no answer.
        let _ = reply.send(Err(error));
    }
}

fn change_of(ask: &Ask) -> LastChange {
    let what = match ask.event {
        ramp::Event::PercentSet(percent) => format!("{percent} % asked for"),
        ramp::Event::PhaseSet(phase) => format!("phase {phase} asked for"),
        ramp::Event::RolledBack { to, .. } => format!("rolled back to {to} %"),
        ramp::Event::Resumed => "resumed".to_owned(),
        ramp::Event::FileRead(_) => "file read".to_owned(),
    };
    let who = change::name(&ask.actor).to_owned();
    LastChange { who, reason: ask.actor.reason.clone(), at: now(), what }
}

/// The time as the journal has it, so that it is the same after a restart: to the microsecond.
fn now() -> SystemTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_micros(u64::try_from(since.as_micros()).unwrap_or_default())
}

fn asked(ask: Ask, effects: &[Effect], what: String, forward: Option<Forward>) -> Step {
    let Ask { migration: name, event, actor, reply, .. } = ask;
    let is_rollback = matches!(event, ramp::Event::RolledBack { .. });
    let sentences = if is_rollback {
        change::rollback_sentences(&name, effects, &actor)
    } else {
        change::sentences(&name, effects, change::name(&actor))
    };
    let names = vec![name.clone()];
    Step { names, tidings: Tidings::Asked { name, what, sentences, is_rollback, actor, reply }, forward }
}

/// The line about a step that was asked for.
fn entry(ask: &Ask, change: &LastChange, effects: &[Effect], state: State) -> Entry {
    let in_force = effects.iter().find_map(|effect| match effect {
        Effect::InForce { from, to } => Some((from.as_f64(), to.as_f64())),
        _ => None,
    });
    let kind = match ask.event {
        ramp::Event::PercentSet(_) => Kind::Percent,
        ramp::Event::PhaseSet(_) => Kind::Phase,
        ramp::Event::RolledBack { .. } => Kind::RolledBack,
        ramp::Event::Resumed => Kind::Resumed,
        ramp::Event::FileRead(_) => Kind::File,
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
    match ask.event {
        ramp::Event::PercentSet(percent) => entry.with("percent", percent.as_f64()),
        ramp::Event::PhaseSet(phase) => entry.with("phase", phase.as_str()),
        ramp::Event::RolledBack { cause, to } => entry.with("cause", cause.as_str()).with("to", to.as_f64()),
        ramp::Event::Resumed | ramp::Event::FileRead(_) => entry,
    }
}
