//! What there is to be told of a step once it is written: to the log, to the status, to whoever asked.

use super::reading::Wish;
use super::steps::{Shown, refuse};
use super::{Controller, Outlets};
use crate::change;
use crate::event::{Actor, Reply};
use crate::handle::{Changed, ControlError};

/// What there is to be told of a step, and to whom.
pub(super) enum Tidings {
    Asked {
        name: String,
        what: String,
        sentences: Vec<String>,
        shown: Option<Shown>,
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

impl Controller {
    pub(super) fn tell_deferred(&mut self, outlets: &Outlets) {
        for (tidings, unwritten) in std::mem::take(&mut self.deferred) {
            self.tell(outlets, tidings, unwritten);
        }
    }

    /// Log, status and answer, in this order. All of that shows how a migration stands, so it waits while a later step
    /// of the same one is not to be told of yet.
    pub(super) fn tell(&mut self, outlets: &Outlets, tidings: Tidings, unwritten: Option<String>) {
        if let Tidings::Asked { name, .. } = &tidings
            && self.untold().any(|untold| untold == name)
        {
            return self.deferred.push((tidings, unwritten));
        }
        let unwritten = unwritten
            .map(|why| format!("in force, but NOT in the journal: {why}; a restart would not know of it"));
        match tidings {
            Tidings::Asked { name, what, mut sentences, shown, is_rollback, actor, reply } => {
                sentences.extend(shown.map(|shown| self.told_of_a_drill(&name, &shown)));
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
                    let (generation, effects) = (self.generation, sentences);
                    let result = match status.migration(&name).cloned() {
                        Some(migration) => Ok(Changed { generation, effects, migration }),
                        None => Err(ControlError::Left { name, effects }),
                    };
                    // A caller that has gone away needs no answer.
                    let _ = reply.send(result);
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

    /// What a drill has shown, and where users are now: somebody may have asked for another percentage meanwhile, also
    /// while its end was being written.
    fn told_of_a_drill(&self, name: &str, shown: &Shown) -> String {
        let Shown { sentence, from } = shown;
        let Some(intent) = self.book.intents.get(name) else { return sentence.clone() };
        let now = intent.standing().in_force();
        if now == *from {
            return format!("{sentence}; back at {now}%");
        }
        let last_changes = self.book.last_changes.get(name).cloned().unwrap_or_default();
        let why = change::why(intent, &last_changes);
        format!("{sentence}; at {now}% now instead of {from}%: {why}")
    }

    pub(super) fn tell_refused(&mut self, outlets: &Outlets, tidings: Tidings, why: &str) {
        let refused = format!(
            "nothing goes forward, since the journal cannot be written: {why}; rollbacks still take effect"
        );
        match tidings {
            Tidings::Asked { name, what, actor, mut reply, .. } => {
                let error = ControlError::NotStored(refused);
                tracing::error!(
                    migration = name,
                    "{name}: {what} by {} refused: {error}",
                    change::name(&actor)
                );
                refuse(&mut reply, error);
            }
            Tidings::File { wishes, .. } => {
                self.is_held_back = true;
                let error = ControlError::NotStored(format!(
                    "{refused}; the file is read again when the journal can be written"
                ));
                self.answer_reload(outlets, wishes, &Err(error));
            }
            Tidings::None => {}
        }
    }
}
