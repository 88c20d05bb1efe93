//! The state of one migration's intents, and what changes it.

use std::fmt;

use route_plan::Phase;
use traffic_split::Percent;

use crate::latch::{Cause, Latch, Refusal};

/// What is asked for: the share and the phase, which may overrule the share; and what a latch lets through of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The percent asked for last.
    pub asked: Percent,
    /// The phase the migration is in.
    pub phase: Phase,
    /// What a latch caps the percent at; 100 without one.
    pub cap: Percent,
}

impl Standing {
    /// The percent that would be in force without a latch.
    #[must_use]
    pub fn wanted(&self) -> Percent {
        self.phase.in_force(self.asked)
    }

    /// The percent that the split works with.
    #[must_use]
    pub fn in_force(&self) -> Percent {
        self.wanted().min(self.cap)
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

/// The intents of one migration, and the latch that overrules them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    percent: Percent,
    /// `None`: nobody asked for a phase, so it follows the percent.
    phase: Option<Phase>,
    percent_from: Origin,
    phase_from: Origin,
    written: Written,
    /// The highest attempt that the file ever had: going back to a lower one and forth again is no fresh start.
    attempt: u64,
    latch: Option<Latch>,
}

/// All that an [`Intent`] consists of, to be written down and read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The percent asked for last.
    pub percent: Percent,
    /// The phase asked for last; `None` where nobody did.
    pub phase: Option<Phase>,
    /// Who asked for the percent.
    pub percent_from: Origin,
    /// Who asked for the phase.
    pub phase_from: Origin,
    /// What the file said last.
    pub written: Written,
    /// The highest attempt that the file ever had.
    pub attempt: u64,
    /// The mark of a rollback, until somebody resumes.
    pub latch: Option<Latch>,
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
            attempt: written.attempt,
            latch: None,
        }
    }

    /// As it was written down.
    #[must_use]
    pub fn from_parts(parts: Parts) -> Self {
        let Parts { percent, phase, percent_from, phase_from, written, attempt, latch } = parts;
        Intent { percent, phase, percent_from, phase_from, written, attempt, latch }
    }

    /// To be written down.
    #[must_use]
    pub fn parts(&self) -> Parts {
        let Intent { percent, phase, percent_from, phase_from, written, attempt, latch } = *self;
        Parts { percent, phase, percent_from, phase_from, written, attempt, latch }
    }

    /// What is asked for now, and what a latch lets through of it.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let implied = if self.percent > Percent::ZERO { Phase::Canary } else { Phase::Preparation };
        Standing {
            asked: self.percent,
            phase: self.phase.unwrap_or(implied),
            cap: self.latch.map_or(Percent::FULL, |latch| latch.cap),
        }
    }

    /// The mark of a rollback, if there is one.
    #[must_use]
    pub fn latch(&self) -> Option<Latch> {
        self.latch
    }

    /// Whether going from `before` to this is a step forward: more users may get new, now or once a phase or a latch
    /// lets them. What is none can be done at once and written down afterwards.
    #[must_use]
    pub fn is_forward_from(&self, before: &Intent) -> bool {
        let (was, is) = (before.standing(), self.standing());
        is.in_force() > was.in_force()
            || is.asked > was.asked
            || is.wanted() > was.wanted()
            || is.cap > was.cap
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
    /// Users are taken back, and a latch keeps them there.
    RolledBack {
        /// Who or what asked for it.
        cause: Cause,
        /// The percent that is not to be exceeded from here on.
        to: Percent,
    },
    /// Somebody lifted the latch.
    Resumed,
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
    /// A latch begins, or is tightened.
    Latched {
        /// The percent in force before.
        from: Percent,
        /// What is not exceeded from here on.
        cap: Percent,
        /// Who or what asked for it.
        cause: Cause,
    },
    /// The latch is gone.
    Released {
        /// What it capped the percent at.
        cap: Percent,
        /// Who lifted it: a person, or the file by a higher attempt.
        by: Origin,
    },
    /// More is asked for than the latch lets through: it is remembered, not applied.
    HeldBack {
        /// What would be in force.
        wanted: Percent,
        /// What the latch lets through.
        cap: Percent,
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
///
/// # Errors
/// When the event is not possible in this state, which then stays: while latched nobody goes beyond the cap but by
/// resuming, and without a latch there is nothing to resume.
pub fn apply(before: &Intent, event: &Event) -> Result<(Intent, Vec<Effect>), Refusal> {
    let mut after = *before;
    let by = match event {
        Event::FileRead(written) => {
            read_file(&mut after, written);
            Origin::File
        }
        Event::PercentSet(percent) => {
            after.percent = *percent;
            after.percent_from = Origin::Person;
            within_latch(&after, *percent)?;
            Origin::Person
        }
        Event::PhaseSet(phase) => {
            after.phase = Some(*phase);
            after.phase_from = Origin::Person;
            within_latch(&after, after.standing().wanted())?;
            Origin::Person
        }
        Event::RolledBack { cause, to } => {
            // A second rollback never loosens the first.
            if after.latch.is_none_or(|latch| *to < latch.cap) {
                after.latch = Some(Latch { cap: *to, cause: *cause });
            }
            Origin::Person
        }
        Event::Resumed => {
            after.latch.take().ok_or(Refusal::NotLatched)?;
            Origin::Person
        }
    };
    let effects = effects(before, &after, by);
    Ok((after, effects))
}

/// Refuses a person's word that goes beyond the cap of a latch.
fn within_latch(after: &Intent, wanted: Percent) -> Result<(), Refusal> {
    match after.latch {
        Some(latch) if wanted > latch.cap => Err(Refusal::Latched { wanted, cap: latch.cap }),
        _ => Ok(()),
    }
}

/// Takes over what the file says otherwise than last time, and remembers what it says. A latch holds, unless the file
/// begins an attempt that it never had before.
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
    if now.attempt > intent.attempt {
        intent.attempt = now.attempt;
        intent.latch = None;
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
    match (before.latch, after.latch) {
        (was_latched, Some(latch)) if was_latched != after.latch => {
            effects.push(Effect::Latched { from: was.in_force(), cap: latch.cap, cause: latch.cause });
        }
        (Some(latch), None) => effects.push(Effect::Released { cap: latch.cap, by }),
        (_, Some(latch)) if is.wanted() != was.wanted() && is.wanted() > latch.cap => {
            effects.push(Effect::HeldBack { wanted: is.wanted(), cap: latch.cap });
        }
        _ => {}
    }
    if was.in_force() != is.in_force() {
        effects.push(Effect::InForce { from: was.in_force(), to: is.in_force() });
    }
    if after.attempt > before.attempt {
        effects.push(Effect::AttemptRaised { from: before.attempt, to: after.attempt });
    }
    effects
}

#[cfg(test)]
mod tests;
