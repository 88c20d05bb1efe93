//! Everything that can happen to the controller. The list is closed: what is not here cannot change anything.

use std::fmt;
use std::time::Duration;

use ramp::HookKind;
use tokio::sync::oneshot;
use traffic_split::Percent;

use crate::change;
use crate::controller::Ask;
use crate::handle::{Changed, ControlError, Reloaded};
use crate::status::Plan;

/// Who wants something, and why; told in logs and status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// A name, such as that of the user who ran the command.
    pub who: String,
    /// The reason given, if any.
    pub reason: Option<String>,
    /// They insist: what is given up, closed or not shown yet does not stand in the way. Needs a reason.
    pub force: bool,
}

/// Why the file is to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The process got SIGHUP.
    Signal,
    /// Somebody asked for it.
    Asked(Actor),
    /// The file's content changed.
    FileChanged,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Signal => f.write_str("a signal"),
            Cause::Asked(actor) => {
                write!(f, "{}{}", change::name(actor), change::reason(actor.reason.as_deref()))
            }
            Cause::FileChanged => f.write_str("a changed file"),
        }
    }
}

/// Where somebody wants users to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// All get old.
    Old,
    /// The percentage of the ramp's step before; old, where there is none below what is in force.
    PreviousStep,
    /// This percentage.
    At(Percent),
}

/// Where an answer goes. A caller that no longer waits loses nothing but the answer.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, ControlError>>;

/// One thing that happens to the controller.
pub(crate) enum Event {
    /// Read the file again.
    Reload { cause: Cause, reply: Option<Reply<Reloaded>> },
    /// The file may have changed: look, and read it if so. With `settle` somebody may still be writing it: then it is
    /// read only if it looks the same that much later.
    FileTouched { settle: Option<Duration> },
    /// Somebody, or the guard, wants something of a migration.
    Ask(Ask),
    /// Somebody says that a ramp may go on.
    Advance { migration: String, actor: Actor, reply: Reply<Changed> },
    /// Somebody takes users back: to where the file says, if they name no other place; at once with `now`.
    RollBack { migration: String, to: Option<Place>, now: bool, actor: Actor, reply: Reply<Changed> },
    /// Somebody switches a shadow on, perhaps to compare anew, or off.
    Shadow { migration: String, on: bool, anew: bool, actor: Actor, reply: Reply<Changed> },
    /// Somebody wants to see that going back works.
    Drill { migration: String, actor: Actor, reply: Reply<Changed> },
    /// Somebody wants to see what comes when.
    Plan { migration: String, reply: Reply<Plan> },
    /// A hook of the ramp has answered the call of this number: yes, or why not.
    HookAnswered { migration: String, kind: HookKind, number: u64, answer: Result<(), String> },
    /// A second went by: measure the split, renew the status.
    Tick,
    /// The process is about to end: take no more changes, say so to probes.
    Drain { reply: oneshot::Sender<()> },
    /// The process ends, or all handles are gone: say the last word.
    Shutdown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_names_who_and_why() {
        let asked = |who: &str, reason: Option<&str>| {
            Cause::Asked(Actor { who: who.to_owned(), reason: reason.map(str::to_owned), ..Actor::default() })
                .to_string()
        };
        assert_eq!(asked("alice", Some("new endpoints")), "alice (new endpoints)");
        assert_eq!(asked("", None), "a person");
    }
}
