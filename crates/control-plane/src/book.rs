//! What is known of all migrations: the one value that events change, a file continues, and the journal keeps.
//!
//! It is a value, so that a step forward can be made on a copy: the copy becomes the book once the step is on disk,
//! and what happens meanwhile is done to both.

use std::collections::BTreeMap;
use std::time::SystemTime;

use config_file::Checked;
use ramp::reshuffle::Dealing;
use ramp::{Effect, Event, Intent, Refusal, Terms, apply};

use crate::change::LastChanges;
use crate::departed::{self, Departed};
use crate::journal::{Entry, Kind, State};
use crate::reload::{self, Intents, Outlook};
use crate::status::LastChange;

/// What is known of all migrations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    /// The intents of those in the file.
    pub(crate) intents: Intents,
    pub(crate) last_changes: BTreeMap<String, LastChanges>,
    pub(crate) departed: Departed,
    /// How those in the file deal out their users, in its order.
    dealings: Vec<Dealing>,
}

impl Book {
    /// The first file: it is the intent.
    pub(crate) fn first(file: &Checked) -> Self {
        Book { intents: reload::first(file), dealings: reload::dealings(file), ..Book::default() }
    }

    /// As the journal has it; the one that was told of longest ago first.
    pub(crate) fn restored(states: Vec<(String, State)>) -> Self {
        let mut book = Book::default();
        for (name, State { intent, last_changes, dealing, is_present }) in states {
            if is_present {
                book.intents.insert(name.clone(), intent);
                book.last_changes.insert(name, last_changes);
                book.dealings.push(dealing);
            } else {
                book.departed.add(departed::One { dealing, intent, last_changes });
            }
        }
        book
    }

    /// How those in the file deal out their users now.
    pub(crate) fn dealings(&self) -> Vec<Dealing> {
        let mut dealings = self.dealings.clone();
        for dealing in &mut dealings {
            if let Some(intent) = self.intents.get(&dealing.name) {
                dealing.in_force = intent.standing().in_force();
            }
        }
        dealings
    }

    /// Whether it is in the file, or remembered although it is not.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.intents.contains_key(name) || self.departed.get(name).is_some()
    }

    /// One event of one migration, and who said it; also of one that has left the file, which a rollback may meet on
    /// its way out.
    pub(crate) fn apply(
        &mut self,
        name: &str,
        event: &Event,
        terms: &Terms<'_>,
        change: &LastChange,
    ) -> Result<Vec<Effect>, Refusal> {
        let (intent, last) = match self.intents.get_mut(name) {
            Some(intent) => (intent, self.last_changes.entry(name.to_owned()).or_default()),
            None => match self.departed.get_mut(name) {
                Some(one) => (&mut one.intent, &mut one.last_changes),
                None => return Ok(Vec::new()),
            },
        };
        let (after, effects) = apply(intent, event, terms)?;
        *intent = after;
        match event {
            Event::PercentSet(_) | Event::StepEntered(_) => last.percent = Some(change.clone()),
            Event::PhaseSet(_) | Event::Arrived => last.phase = Some(change.clone()),
            Event::Undone { .. } => {
                (last.percent, last.phase) = (Some(change.clone()), Some(change.clone()));
            }
            Event::Advanced(_) => {
                for effect in &effects {
                    match effect {
                        Effect::PercentAsked { .. } => last.percent = Some(change.clone()),
                        Effect::PhaseEntered { .. } => last.phase = Some(change.clone()),
                        _ => {}
                    }
                }
            }
            Event::RolledBack { .. }
                if effects.iter().any(|effect| matches!(effect, Effect::Latched { .. })) =>
            {
                last.latch = Some(change.clone());
            }
            Event::Resumed => last.latch = None,
            Event::ShadowSwitched(_) if !effects.is_empty() => last.shadow = Some(change.clone()),
            Event::RolledBack { .. }
            | Event::ShadowSwitched(_)
            | Event::FileRead(_)
            | Event::Returned
            | Event::Paused
            | Event::Held(_)
            | Event::Opened
            | Event::DrillBegun
            | Event::DrillEnded { .. }
            | Event::DrillInterrupted => {}
        }
        Ok(effects)
    }

    /// Whether what a file comes to is a step forward for any migration.
    pub(crate) fn is_forward(&self, outlook: &Outlook) -> bool {
        outlook.intents.iter().any(|(name, after)| match self.before(outlook, name) {
            Some(before) => after.is_forward_from(before),
            None => {
                after.standing().asked > traffic_split::Percent::ZERO
                    || after.standing().wanted() > traffic_split::Percent::ZERO
            }
        })
    }

    /// What is known so far of a migration that a file has under this name.
    pub(crate) fn before(&self, outlook: &Outlook, name: &str) -> Option<&Intent> {
        let renamed = outlook.renamed.iter().find(|(now, _)| now == name);
        let known = self.intents.get(renamed.map_or(name, |(_, was)| was));
        known.or_else(|| self.departed.get(name).map(|one| &one.intent))
    }

    /// Goes on with the intents after a file. What is known of a migration follows it under another name, is kept
    /// while it is gone, and is taken up when it is back.
    pub(crate) fn take_over(&mut self, outlook: &Outlook, file: &Checked) {
        let before = std::mem::replace(&mut self.intents, outlook.intents.clone());
        let mut last_changes = std::mem::take(&mut self.last_changes);
        for (name, intent) in &self.intents {
            let renamed = outlook.renamed.iter().find(|(now, _)| now == name);
            let returned = self.departed.take(name).map(|one| one.last_changes);
            let known = match renamed {
                Some((_, was)) => last_changes.get(was).cloned(),
                None => last_changes.get(name).cloned().or(returned),
            };
            let mut known = known.unwrap_or_default();
            if intent.latch.is_none() {
                known.latch = None;
            }
            self.last_changes.insert(name.clone(), known);
        }
        for dealing in &outlook.gone {
            let last_changes = last_changes.remove(&dealing.name).unwrap_or_default();
            if let Some(intent) = before.get(&dealing.name).cloned() {
                self.departed.add(departed::One { dealing: dealing.clone(), intent, last_changes });
            }
        }
        self.dealings = reload::dealings(file);
    }

    /// All that has to be known to go on with this migration; in the file or gone from it.
    pub(crate) fn state(&self, name: &str) -> Option<State> {
        if let Some(intent) = self.intents.get(name).cloned() {
            let mut dealing = self.dealings.iter().find(|dealing| dealing.name == name)?.clone();
            dealing.in_force = intent.standing().in_force();
            let last_changes = self.last_changes.get(name).cloned().unwrap_or_default();
            return Some(State { intent, last_changes, dealing, is_present: true });
        }
        let departed::One { dealing, intent, last_changes } = self.departed.get(name)?.clone();
        let dealing = Dealing { in_force: intent.standing().in_force(), ..dealing };
        Some(State { intent, last_changes, dealing, is_present: false })
    }

    /// A line for each migration that stands otherwise than is recorded.
    pub(crate) fn unrecorded(
        &self,
        recorded: &BTreeMap<String, State>,
        renamed: &[(String, String)],
    ) -> Vec<Entry> {
        let names = self.intents.keys().map(String::as_str).chain(self.departed.names());
        let entry = |name: &str| {
            let now = self.state(name)?;
            let was = recorded.get(name);
            let renamed = renamed.iter().find(|(to, _)| to == name);
            match renamed {
                Some((_, from)) => Some(Entry::of(name, Kind::Renamed, now).with("from", from.as_str())),
                None if was == Some(&now) => None,
                None => Some(Entry::of(name, Kind::between(was, &now), now)),
            }
        };
        let at = SystemTime::now();
        names.filter_map(entry).map(|entry| Entry { at, ..entry }).collect()
    }
}
