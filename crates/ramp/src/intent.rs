//! The state of one migration's intents, and what changes it.

use std::fmt;

use route_plan::Phase;
use traffic_split::Percent;

/// What is asked for: the share and the phase, which may overrule the share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The percent asked for last.
    pub asked: Percent,
    /// The phase the migration is in.
    pub phase: Phase,
}

impl Standing {
    /// The percent that the split works with.
    #[must_use]
    pub fn in_force(&self) -> Percent {
        self.phase.in_force(self.asked)
    }
}

/// What a file says of one migration, as far as it carries intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its percent; 0 where none is written.
    pub percent: Percent,
    /// Its phase; where none is written, the phase follows the percent.
    pub phase: Option<Phase>,
    /// Counts fresh starts.
    pub attempt: u64,
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The configuration file, by a changed value.
    File,
    /// A person or program, through the command line or the API.
    Person,
}

impl Origin {
    /// The word used in status and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Origin::File => "file",
            Origin::Person => "person",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The intents of one migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    percent: Percent,
    /// `None`: nobody asked for a phase, so it follows the percent.
    phase: Option<Phase>,
    percent_from: Origin,
    phase_from: Origin,
    written: Written,
}

impl Intent {
    /// The intents of a migration that was not known before: the file is the intent.
    #[must_use]
    pub fn first(written: Written) -> Self {
        Intent {
            percent: written.percent,
            phase: written.phase,
            percent_from: Origin::File,
            phase_from: Origin::File,
            written,
        }
    }

    /// What is asked for now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let implied = if self.percent > Percent::ZERO { Phase::Canary } else { Phase::Preparation };
        Standing { asked: self.percent, phase: self.phase.unwrap_or(implied) }
    }

    /// Who asked for the percent.
    #[must_use]
    pub fn percent_from(&self) -> Origin {
        self.percent_from
    }

    /// Who asked for the phase, or left it to follow the percent.
    #[must_use]
    pub fn phase_from(&self) -> Origin {
        self.phase_from
    }

    /// Whether nobody asked for a phase, so that it follows the percent.
    #[must_use]
    pub fn phase_is_implied(&self) -> bool {
        self.phase.is_none()
    }

    /// What the file said last.
    #[must_use]
    pub fn written(&self) -> Written {
        self.written
    }
}

/// What can happen to a migration's intents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The file was read and says this.
    FileRead(Written),
    /// Somebody asked for a percent.
    PercentSet(Percent),
    /// Somebody asked for a phase.
    PhaseSet(Phase),
}

/// What an event changed, to be told and, where it is about what is in force, to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Another percent is asked for.
    PercentAsked {
        /// The percent before.
        from: Percent,
        /// The percent now.
        to: Percent,
        /// Who asked.
        by: Origin,
    },
    /// The migration entered another phase.
    PhaseEntered {
        /// The phase before.
        from: Phase,
        /// The phase now.
        to: Phase,
        /// Who asked, for the phase or for the percent that it follows.
        by: Origin,
    },
    /// Another percent is in force: users move.
    InForce {
        /// The percent before.
        from: Percent,
        /// The percent now.
        to: Percent,
    },
    /// The file begins a fresh attempt.
    AttemptRaised {
        /// The attempt before.
        from: u64,
        /// The attempt now.
        to: u64,
    },
}

/// One event: the state after it, and its effects, none when nothing changed.
#[must_use]
pub fn apply(before: &Intent, event: &Event) -> (Intent, Vec<Effect>) {
    let mut after = *before;
    let by = match event {
        Event::FileRead(written) => {
            read_file(&mut after, written);
            Origin::File
        }
        Event::PercentSet(percent) => {
            after.percent = *percent;
            after.percent_from = Origin::Person;
            Origin::Person
        }
        Event::PhaseSet(phase) => {
            after.phase = Some(*phase);
            after.phase_from = Origin::Person;
            Origin::Person
        }
    };
    let effects = effects(before, &after, by);
    (after, effects)
}

/// Takes over what the file says otherwise than last time, and remembers what it says.
fn read_file(intent: &mut Intent, now: &Written) {
    let last = intent.written;
    if now.percent != last.percent {
        intent.percent = now.percent;
        intent.percent_from = Origin::File;
    }
    if now.phase != last.phase {
        intent.phase = now.phase;
        intent.phase_from = Origin::File;
    }
    intent.written = *now;
}

fn effects(before: &Intent, after: &Intent, by: Origin) -> Vec<Effect> {
    let (was, is) = (before.standing(), after.standing());
    let mut effects = Vec::new();
    if was.asked != is.asked {
        effects.push(Effect::PercentAsked { from: was.asked, to: is.asked, by });
    }
    if was.phase != is.phase {
        effects.push(Effect::PhaseEntered { from: was.phase, to: is.phase, by });
    }
    if was.in_force() != is.in_force() {
        effects.push(Effect::InForce { from: was.in_force(), to: is.in_force() });
    }
    if after.written.attempt > before.written.attempt {
        effects.push(Effect::AttemptRaised { from: before.written.attempt, to: after.written.attempt });
    }
    effects
}

#[cfg(test)]
mod tests;
