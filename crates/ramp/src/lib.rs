//! Intents and the latch: who asked for which percent and phase, and what is therefore in force.
//!
//! A file and people both steer a migration, and the file is read again and again. If each reading were an order,
//! reloading a file to add a route would undo the percentage that somebody set by hand an hour ago. So the file
//! carries intent only where it *changed*: its percent, phase and attempt are compared with what it said last, and
//! what is the same says nothing. After that the rule is simple: the last intent wins, whoever it came from.
//!
//! But for one thing: a rollback latches. From then on the percent is capped, whoever asks for more, until somebody
//! resumes or the file begins another attempt. What the file says meanwhile is remembered and not applied.
//!
//! The state of one migration is a value and [`apply`] a function: state and event in, state and effects out, or
//! a refusal. No clock, no files; whoever calls it publishes the effects. [`reshuffle`] judges the other way in which users could
//! be moved, by another key or salt.

mod apply;
pub mod calendar;
mod decide;
mod event;
pub mod hook_url;
mod intent;
mod latch;
mod policy;
mod progress;
pub mod reshuffle;

pub use apply::{Terms, aborted, apply};
pub use decide::{Evidence, Facts, Hook, HookKind, Next, Wait, decide, is_within_a_step};
pub use event::{Effect, Event};
pub use intent::{Intent, Origin, ShadowOff, Standing, Written};
pub use latch::{Aborted, Cause, Latch, Metric, Refusal};
pub use policy::{Abort, Grace, Policy, Preset, RollbackPolicy, Step, Target};
pub use progress::{Pause, Progress};

#[cfg(test)]
mod tests;
