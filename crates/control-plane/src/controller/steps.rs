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
use std::time::{Duration, Instant};

use jiff::Timestamp;
use ramp::{Effect, Intent, Terms, apply};
use serde_json::{Map, Value};
use traffic_split::Percent;

use super::lines::{change_of, entry};
use super::ramping::Climb;
use super::reading::Wish;
use super::tidings::Tidings;
use super::{Controller, Outlets};
use crate::book::Book;
use crate::change;
use crate::event::{Actor, Reply};
use crate::handle::{Changed, ControlError};
use crate::journal::{Ack, Entry, Keep, Kind, State};
use crate::source::{Content, Loaded};

/// How many steps forward may wait for the one under way.
const MAX_WAITING: usize = 64;
/// How long a disk may take before what is in force already is told of without it.
const PATIENCE: Duration = Duration::from_secs(3);

/// The longest time between two attempts to take in a file that the journal had no room for, in seconds.
const MOST_READ_AGAIN_S: u32 = 60;
/// How long a file has to be the same before it is read again by itself.
const SETTLE: Duration = Duration::from_millis(150);
/// Whether comparisons count anew, in what the journal has beside a switch of the shadow.
pub(super) const ANEW: &str = "anew";

/// What somebody, or the guard, wants of a migration.
pub(crate) struct Ask {
    pub(crate) migration: String,
    pub(crate) event: ramp::Event,
    pub(crate) actor: Actor,
    /// What a drill has shown, to be told at its end.
    pub(crate) shown: Option<Shown>,
    /// What the journal is to have beside it, such as the evidence of a verdict.
    pub(crate) data: Map<String, Value>,
    /// How many steps the ramp had entered when this was asked for, where it is about the present one.
    pub(crate) seen: Option<usize>,
    /// `None` where nobody waits for an answer.
    pub(crate) reply: Option<Reply<Changed>>,
}

impl Ask {
    /// What somebody wants, with nothing beside it and nobody who waits for an answer.
    pub(crate) fn new(migration: &str, event: ramp::Event, actor: Actor) -> Self {
        let (migration, data) = (migration.to_owned(), Map::new());
        Ask { migration, event, actor, shown: None, data, seen: None, reply: None }
    }
}

/// What a drill has shown.
pub(crate) struct Shown {
    pub(crate) sentence: String,
    /// What was in force before it.
    pub(crate) from: Percent,
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
    /// Migrations that it gives another name: that and the one before.
    renamed: Vec<(String, String)>,
    /// What was recorded of its migrations before.
    recorded: Vec<(String, Option<State>)>,
}

impl Forward {
    /// What a migration is called after it.
    fn name_of<'a>(&'a self, name: &'a str) -> &'a str {
        self.renamed.iter().find(|(_, was)| was == name).map_or(name, |(now, _)| now)
    }
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
        let is_rollback = is_rollback(&ask.event);
        // Whoever asked was told that it took too long, and may have asked for something else since. Going back is
        // never wrong.
        if !is_rollback && ask.reply.as_ref().is_some_and(Reply::is_closed) {
            return;
        }
        if self.draining && !is_rollback {
            return refuse(&mut ask.reply, ControlError::Draining);
        }
        let Some(before) = self.book.intents.get(&ask.migration).cloned() else {
            let known = self.checked.migrations.iter().map(|known| &known.name);
            let unknown = ControlError::unknown_migration(&ask.migration, known);
            return refuse(&mut ask.reply, unknown);
        };
        if let Err(error) = self.may_be_asked(&ask) {
            return refuse(&mut ask.reply, error);
        }
        let judged = self.judge(&before, &ask);
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
            Ok(_) if is_back => {
                self.forget_held_back(&ask);
                self.go_back(outlets, ask);
            }
            Ok((_, effects)) => self.go_forward(outlets, ask, &effects),
        }
    }

    /// What stands against it that is no matter of intents.
    fn may_be_asked(&self, ask: &Ask) -> Result<(), ControlError> {
        if ask.actor.force && ask.actor.reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
            let sentence = "`--force` needs a reason: say with `--reason` why".to_owned();
            return Err(ControlError::Refused(sentence));
        }
        let empties_new = matches!(ask.event, ramp::Event::RolledBack { .. } | ramp::Event::DrillBegun);
        if empties_new && !ask.actor.force && !self.old_is_there(&ask.migration) {
            return Err(ControlError::Refused(format!(
                "{}: cannot go back: no endpoint of old is healthy; `--force` with a reason goes back all the same",
                ask.migration
            )));
        }
        Ok(())
    }

    /// The state after it, and its effects.
    fn judge(&self, before: &Intent, ask: &Ask) -> Result<(Intent, Vec<Effect>), ramp::Refusal> {
        // It may have waited for a step under way, perhaps for the very one that another asked for in the same words.
        if ask.seen.is_some_and(|seen| seen != before.steps_entered()) {
            return Err(ramp::Refusal::Stale);
        }
        apply(before, &ask.event, &self.terms(&ask.migration, ask.actor.force))
    }

    /// What events of this migration are judged by at this moment.
    pub(super) fn terms(&self, migration: &str, force: bool) -> Terms<'_> {
        let config = self.checked.migration(migration);
        Terms {
            policy: config.map_or(&self.no_policy, |config| &config.policy),
            now: Timestamp::now(),
            force,
        }
    }

    fn go_back(&mut self, outlets: &Outlets, ask: Ask) {
        let begun = Instant::now();
        let change = change_of(&ask);
        let name = ask.migration.as_str();
        // It was judged on this very book, so it is not refused.
        let mut book = std::mem::take(&mut self.book);
        let applied = book.apply(name, &ask.event, &self.terms(name, ask.actor.force), &change);
        self.book = book;
        let effects = applied.unwrap_or_default();
        if !effects.is_empty() {
            self.publish();
        }
        let took = begun.elapsed();
        if is_rollback(&ask.event) {
            self.count(name, &effects);
            self.climbs.get_mut(name).map(Climb::begin_anew);
        }
        self.begin_verification(name, &effects);
        let mut pending = std::mem::take(&mut self.pending);
        let ahead = pending.iter_mut().find_map(|pending| pending.step.forward.as_mut());
        let (named, state) = match ahead {
            Some(forward) => {
                // What is under way goes forward, so it has no latch that this one has not: not refused either.
                let named = forward.name_of(name).to_owned();
                let _ = forward.book.apply(&named, &ask.event, &self.terms(name, ask.actor.force), &change);
                let state = forward.book.state(&named);
                (named, state)
            }
            None => (name.to_owned(), self.book.state(name)),
        };
        self.pending = pending;
        let entries = Vec::from_iter(state.map(|state| {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            let entry = entry(&ask, &change, &effects, state).with("in_force_after_us", micros);
            Entry { migration: Some(named), ..entry }
        }));
        let handed = self.hand_in(entries, Keep::UntilWritten);
        self.go_on(outlets, handed, asked(ask, &effects, change.what, None));
    }

    fn go_forward(&mut self, outlets: &Outlets, ask: Ask, effects: &[Effect]) {
        let change = change_of(&ask);
        let mut book = self.book.clone();
        // It was judged on the original, so it is not refused.
        let _ = book.apply(&ask.migration, &ask.event, &self.terms(&ask.migration, ask.actor.force), &change);
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
        let renamed = outlook.renamed.clone();
        let mut forward = Some(Forward { renamed, ..self.forward(book, Some(loaded), &entries) });
        if !is_forward && let Some(forward) = forward.take() {
            self.enter(forward);
        }
        let tidings = Tidings::File { sentences: outlook.sentences.clone(), wishes };
        let keep = if is_forward { Keep::No } else { Keep::UntilWritten };
        let handed = self.hand_in(entries, keep);
        self.go_on(outlets, handed, Step { names, tidings, forward });
    }

    /// Lines that change nothing: they are written when they can be, and nobody waits for them.
    pub(super) fn write_aside(&mut self, outlets: &Outlets, entries: Vec<Entry>) {
        let handed = self.hand_in(entries, Keep::UntilWritten);
        self.go_on(outlets, handed, Step { names: Vec::new(), tidings: Tidings::None, forward: None });
    }

    /// How a migration stands once the step forward under way is written: what is written aside comes after that one.
    pub(super) fn state_ahead(&self, name: &str) -> Option<State> {
        let ahead = self.pending.iter().find_map(|pending| pending.step.forward.as_ref());
        ahead.map_or(&self.book, |forward| &forward.book).state(name)
    }

    fn forward(&self, book: Book, file: Option<Loaded>, entries: &[Entry]) -> Forward {
        let names = entries.iter().filter_map(|entry| entry.migration.clone());
        let recorded = names.map(|name| (name.clone(), self.recorded.get(&name).cloned())).collect();
        Forward { book, file, renamed: Vec::new(), recorded }
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
        let served: Vec<_> = entries.iter().flat_map(Entry::served).collect();
        let Some(ack) = journal.append(entries, keep) else {
            self.is_behind |= keep == Keep::UntilWritten;
            return Handed::Full;
        };
        self.recorded.extend(states);
        for (name, held) in served {
            if let Some(state) = self.recorded.get_mut(&name) {
                state.serve(held);
            }
        }
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
        let Forward { book, file, renamed, .. } = forward;
        self.book = book;
        self.lineages.rename(&renamed);
        if let Some(Loaded { checked, warnings, content, .. }) = file {
            (self.checked, self.warnings, self.content) = (checked, warnings, content);
            self.read_again_s = 0;
            self.followers.follow(&self.checked);
            self.recorded.retain(|name, _| self.book.knows(name));
            self.rollbacks.retain(|name, _| self.book.knows(name));
            self.hook_answers.retain(|name, _| self.book.knows(name));
            self.verified.retain(|name, _| self.book.knows(name));
            self.lineages.retain(|name| self.book.knows(name));
        }
        self.publish();
    }

    /// Gives up a step that could not be written. What came back meanwhile was written as if the step were made, so
    /// how things stand is written once more.
    fn leave(&mut self, forward: Forward) {
        let Forward { book, file, recorded, .. } = forward;
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

    /// Once a second: what the disk keeps waiting for too long is told of, what the journal had no room for is handed in
    /// again, and a file that it could not take in is read again as soon as it can.
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
        let is_writable = self.trouble.is_none() && !self.hangs && !self.is_going_forward();
        self.reading_in_s = self.reading_in_s.saturating_sub(1);
        if is_writable && self.reading_in_s == 0 && std::mem::take(&mut self.is_held_back) {
            // Where it is refused again and again, it is read less and less often.
            self.read_again_s = (2 * self.read_again_s).clamp(1, MOST_READ_AGAIN_S);
            self.reading_in_s = self.read_again_s;
            // It was read before, and refused: what has been seen is news again.
            self.seen = Content::default();
            self.reader.look(Some(SETTLE));
        }
    }

    /// Somebody has said where users are to be: the last word is theirs, not that of a file which was refused before.
    fn forget_held_back(&mut self, ask: &Ask) {
        use ramp::Event::{Paused, PercentSet, PhaseSet, Undone};
        let is_word = matches!(ask.event, PercentSet(_) | PhaseSet(_) | Undone { .. } | Paused);
        if is_word && std::mem::take(&mut self.is_held_back) {
            tracing::warn!(
                migration = ask.migration,
                "{}: {} has changed it since the file was refused, so that is not read again by itself; `crossfade reload` \
                 reads it",
                ask.migration,
                change::name(&ask.actor)
            );
        }
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

pub(super) fn refuse(reply: &mut Option<Reply<Changed>>, error: ControlError) {
    if let Some(reply) = reply.take() {
        // A caller that has gone away needs no answer.
        let _ = reply.send(Err(error));
    }
}

fn is_rollback(event: &ramp::Event) -> bool {
    matches!(event, ramp::Event::RolledBack { .. })
}

fn asked(ask: Ask, effects: &[Effect], what: String, forward: Option<Forward>) -> Step {
    let Ask { migration: name, event, actor, shown, reply, data, .. } = ask;
    let names = vec![name.clone()];
    let is_rollback = is_rollback(&event);
    let mut sentences = if is_rollback {
        change::rollback_sentences(&name, effects, &actor)
    } else {
        change::sentences(&name, effects, change::name(&actor))
    };
    if data.get(ANEW) == Some(&Value::Bool(true)) {
        sentences.push(format!("{name}: comparisons count anew"));
    }
    Step {
        names,
        tidings: Tidings::Asked { name, what, sentences, shown, is_rollback, actor, reply },
        forward,
    }
}
