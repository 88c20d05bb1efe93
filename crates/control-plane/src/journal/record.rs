//! What is written down.

use std::time::{Duration, SystemTime};

use ramp::Intent;
use ramp::reshuffle::Dealing;
use serde_json::{Map, Value};

use crate::change::LastChanges;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The process started.
    Started,
    /// A migration is in the file for the first time.
    Known,
    /// The file says something else of a migration.
    File,
    /// Somebody asked for a percent.
    Percent,
    /// Somebody asked for a phase.
    Phase,
    /// Users were taken back, and a latch keeps them there.
    RolledBack,
    /// Somebody lifted the latch.
    Resumed,
    /// A migration goes on under another name.
    Renamed,
    /// A migration is gone from the file.
    Left,
    /// A migration is back in the file.
    Returned,
    /// How a migration stands, where that could not be written when it came about.
    Restated,
    /// The journal can be written again.
    Recovered,
    /// A file of the journal begins, and goes on from another one.
    Continued,
    /// How a migration stands as a file of the journal begins.
    Carried,
    /// Somebody wanted percent and phase as they were at some time.
    Undone,
    /// The next part of the users was taken back.
    PartTakenBack,
    /// It was seen in the counters what a rollback came to.
    Verified,
    /// The guard says something else of new.
    Verdict,
    /// Somebody paused the ramp.
    Paused,
    /// Somebody said that the ramp may go on.
    Advanced,
    /// The ramp entered a step.
    Step,
    /// How long the present steps of all ramps were served: the one line that changes a state without repeating it,
    /// since there is one each minute.
    Held,
    /// The calendar is open again.
    Opened,
    /// A drill begins.
    DrillBegun,
    /// A drill is over.
    DrillEnded,
    /// A drill is over, and nobody saw what became of it.
    DrillInterrupted,
    /// The ramp is over: everybody gets new.
    Arrived,
    /// The shadow was switched off or on.
    Shadow,
}

impl Kind {
    /// The word in the journal.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Kind::Started => "started",
            Kind::Known => "known",
            Kind::File => "file",
            Kind::Percent => "percent",
            Kind::Phase => "phase",
            Kind::RolledBack => "rolled_back",
            Kind::Resumed => "resumed",
            Kind::Renamed => "renamed",
            Kind::Left => "left",
            Kind::Returned => "returned",
            Kind::Restated => "restated",
            Kind::Recovered => "recovered",
            Kind::Continued => "continued",
            Kind::Carried => "carried_over",
            Kind::Undone => "undone",
            Kind::PartTakenBack => "part_taken_back",
            Kind::Verified => "verified",
            Kind::Verdict => "verdict",
            Kind::Paused => "paused",
            Kind::Advanced => "advanced",
            Kind::Step => "step",
            Kind::Held => "held",
            Kind::Opened => "opened",
            Kind::DrillBegun => "drill_begun",
            Kind::DrillEnded => "drill_ended",
            Kind::DrillInterrupted => "drill_interrupted",
            Kind::Arrived => "arrived",
            Kind::Shadow => "shadow",
        }
    }

    /// What is recorded of a migration that stands otherwise than the journal has it, for no other reason.
    pub(crate) fn between(was: Option<&State>, now: &State) -> Self {
        let Some(was) = was else { return Kind::Known };
        match (was.is_present, now.is_present) {
            (true, false) => Kind::Left,
            (false, true) => Kind::Returned,
            _ if was.intent.written != now.intent.written || was.dealing != now.dealing => Kind::File,
            _ => Kind::Restated,
        }
    }
}

/// All that has to be known of a migration to go on with it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) intent: Intent,
    pub(crate) last_changes: LastChanges,
    /// How it deals out its users; its percent in force says nothing that the intent does not.
    pub(crate) dealing: Dealing,
    /// Whether it is in the file.
    pub(crate) is_present: bool,
}

impl State {
    /// Takes in how long the present step was served by then.
    pub(crate) fn serve(&mut self, held: Duration) {
        if let Some(progress) = &mut self.intent.progress {
            progress.held = progress.held.max(held);
        }
    }
}

/// What belongs to a [`Kind::Held`]: seconds by the name of the migration.
const HELD_S: &str = "held_s";

/// The migrations whose steps were served so long, in what belongs to a line of this kind. A line of an earlier version
/// has the state of its one migration instead, and nothing here.
pub(super) fn served(kind: &str, data: &Map<String, Value>) -> Result<Vec<(String, Duration)>, String> {
    let notes = data.get(HELD_S).filter(|_| kind == Kind::Held.as_str());
    let Some(notes) = notes else { return Ok(Vec::new()) };
    let notes = notes.as_object().ok_or_else(|| format!("{HELD_S} has no migrations"))?;
    let read = |(name, seconds): (&String, &Value)| {
        let held = seconds.as_f64().map(Duration::try_from_secs_f64).and_then(Result::ok);
        Some(name.clone()).zip(held).ok_or_else(|| format!("{HELD_S} of {name}: {seconds} is no time"))
    };
    notes.iter().map(read).collect()
}

/// One line to be.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: SystemTime,
    pub(crate) kind: Kind,
    pub(crate) migration: Option<String>,
    pub(crate) who: Option<String>,
    pub(crate) reason: Option<String>,
    /// What belongs to its kind.
    pub(crate) data: Map<String, Value>,
    pub(crate) state: Option<State>,
}

impl Entry {
    /// One about the process.
    pub(crate) fn of_process(kind: Kind) -> Self {
        Entry {
            at: SystemTime::now(),
            kind,
            migration: None,
            who: None,
            reason: None,
            data: Map::new(),
            state: None,
        }
    }

    /// One about a migration.
    pub(crate) fn of(name: &str, kind: Kind, state: State) -> Self {
        Entry { migration: Some(name.to_owned()), state: Some(state), ..Entry::of_process(kind) }
    }

    /// One about the time that steps were served.
    pub(crate) fn of_served(notes: &[(String, Duration)]) -> Self {
        let seconds = notes.iter().map(|(name, held)| (name.clone(), Value::from(held.as_secs_f64())));
        Entry::of_process(Kind::Held).with(HELD_S, seconds.collect::<Map<_, _>>())
    }

    /// The migrations whose steps were served so long, by this line.
    pub(crate) fn served(&self) -> Vec<(String, Duration)> {
        served(self.kind.as_str(), &self.data).unwrap_or_default()
    }

    /// With one more thing that belongs to its kind.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }
}
