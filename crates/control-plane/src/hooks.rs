//! The hooks of a ramp: who is told before a step, and who is asked.
//!
//! A call runs beside the loop and comes back as one more event. One that says no, or nothing, is called again after a
//! while, for as long as the step waits. What it says holds for the question that it was asked: not for a step that a
//! file has changed since, and not for the same step once more after somebody has paused the ramp or users were taken
//! back.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outbound_calls::{Caller, HookUrl, Options, Verdict};
use ramp::{Hook, HookKind};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use traffic_split::Percent;

/// How long a hook may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// After how long one that did not say yes is called again.
const AGAIN: Duration = Duration::from_secs(10);

/// What a hook is asked about. A yes to one question is no answer to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// The step, counted from 0.
    pub(crate) step: usize,
    /// Its percentage.
    pub(crate) percent: Percent,
    /// Who is asked.
    pub(crate) url: HookUrl,
}

/// How far the hooks of the next step are.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    announce: Option<Call>,
    confirm: Option<Call>,
}

#[derive(Debug)]
struct Call {
    number: u64,
    question: Question,
    hook: Hook,
    again_at: Option<Instant>,
}

impl Hooks {
    /// How far the hook is that is asked this.
    pub(crate) fn state(&self, kind: HookKind, question: &Question) -> Hook {
        let call = self.call(kind).filter(|call| call.question == *question);
        let call = call.filter(|call| call.again_at.is_none_or(|at| Instant::now() < at));
        call.map_or(Hook::NotCalled, |call| call.hook.clone())
    }

    /// It is being asked. `number` tells this call from all others.
    pub(crate) fn called(&mut self, kind: HookKind, number: u64, question: Question) {
        *self.call_mut(kind) = Some(Call { number, question, hook: Hook::Called, again_at: None });
    }

    /// It has answered. `false`: nobody waits for this answer any more.
    pub(crate) fn answered(&mut self, kind: HookKind, number: u64, answer: Result<(), String>) -> bool {
        let Some(call) = self.call_mut(kind).as_mut().filter(|call| call.number == number) else {
            return false;
        };
        (call.hook, call.again_at) = match answer {
            Ok(()) => (Hook::Yes, None),
            Err(why) => (Hook::No(why), Some(Instant::now() + AGAIN)),
        };
        true
    }

    /// What was said is over: whoever goes on later asks again.
    pub(crate) fn forget(&mut self) {
        *self = Hooks::default();
    }

    fn call(&self, kind: HookKind) -> Option<&Call> {
        match kind {
            HookKind::Announce => self.announce.as_ref(),
            HookKind::Confirm => self.confirm.as_ref(),
        }
    }

    fn call_mut(&mut self, kind: HookKind) -> &mut Option<Call> {
        match kind {
            HookKind::Announce => &mut self.announce,
            HookKind::Confirm => &mut self.confirm,
        }
    }
}

/// After so long the same no is told once more.
const TELL_AGAIN: Duration = Duration::from_secs(3600);

/// What the log was told of hooks that say no. A hook may say the same every ten seconds for days.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    announce: Option<Complaint>,
    confirm: Option<Complaint>,
}

#[derive(Debug)]
struct Complaint {
    why: String,
    told_at: Instant,
    /// So often it was said since, and not told.
    untold: u64,
}

impl Complaints {
    /// A hook says no, and why. Returns how often it said the same without being told, where this is to be told: the first
    /// time, for another reason, and once an hour.
    pub(crate) fn no(&mut self, kind: HookKind, why: &str, now: Instant) -> Option<u64> {
        let last = self.of(kind);
        let untold = match last {
            Some(last) if last.why == why => {
                if now.saturating_duration_since(last.told_at) < TELL_AGAIN {
                    last.untold += 1;
                    return None;
                }
                last.untold
            }
            _ => 0,
        };
        *last = Some(Complaint { why: why.to_owned(), told_at: now, untold: 0 });
        Some(untold)
    }

    /// A hook says yes: the next no is another one.
    pub(crate) fn yes(&mut self, kind: HookKind) {
        *self.of(kind) = None;
    }

    fn of(&mut self, kind: HookKind) -> &mut Option<Complaint> {
        match kind {
            HookKind::Announce => &mut self.announce,
            HookKind::Confirm => &mut self.confirm,
        }
    }
}

/// How often the hooks of a migration said yes and no since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    announce: Tally,
    confirm: Tally,
}

/// So often yes and no.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) yes: u64,
    pub(crate) no: u64,
}

impl Answers {
    pub(crate) fn count(&mut self, kind: HookKind, is_yes: bool) {
        let tally = match kind {
            HookKind::Announce => &mut self.announce,
            HookKind::Confirm => &mut self.confirm,
        };
        tally.yes += u64::from(is_yes);
        tally.no += u64::from(!is_yes);
    }

    pub(crate) fn of(&self, kind: HookKind) -> Tally {
        match kind {
            HookKind::Announce => self.announce,
            HookKind::Confirm => self.confirm,
        }
    }
}

/// The client for hooks, made when it is needed for the first time: it reads the system's certificates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line(Arc<OnceCell<Caller>>);

impl Line {
    /// Calls a hook. Yes, or why not.
    pub(crate) async fn call(&self, kind: HookKind, url: &HookUrl, question: &Value) -> Result<(), String> {
        let make = || async {
            let made = spawn_blocking(|| Caller::new(None::<PathBuf>.as_deref())).await;
            made.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
        };
        let caller = self.0.get_or_try_init(make).await?;
        let options = Options { timeout: TIMEOUT, signing: None };
        match kind {
            HookKind::Announce => {
                caller.announce(url, question, &options).await.map_err(|error| error.to_string())
            }
            HookKind::Confirm => match caller.ask(url, question, &options).await {
                Verdict::Yes => Ok(()),
                Verdict::No { why } => Err(why),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(percent: &str, url: &str) -> Question {
        Question { step: 1, percent: percent.parse().unwrap(), url: url.parse().unwrap() }
    }

    #[test]
    fn a_yes_holds_for_its_question_and_its_call() {
        let (asked, mut hooks) = (question("10", "http://h/a"), Hooks::default());
        hooks.called(HookKind::Confirm, 1, asked.clone());
        assert_eq!(hooks.state(HookKind::Confirm, &asked), Hook::Called);
        for other in [question("90", "http://h/a"), question("10", "http://h/b")] {
            assert_eq!(hooks.state(HookKind::Confirm, &other), Hook::NotCalled, "{other:?}");
        }
        assert_eq!(hooks.state(HookKind::Announce, &asked), Hook::NotCalled);
        hooks.called(HookKind::Confirm, 2, asked.clone());
        assert!(!hooks.answered(HookKind::Confirm, 1, Ok(())), "another call took its place");
        assert!(hooks.answered(HookKind::Confirm, 2, Err("not now".to_owned())));
        assert_eq!(hooks.state(HookKind::Confirm, &asked), Hook::No("not now".to_owned()));
        hooks.called(HookKind::Confirm, 3, asked.clone());
        assert!(hooks.answered(HookKind::Confirm, 3, Ok(())));
        assert_eq!(hooks.state(HookKind::Confirm, &asked), Hook::Yes);
        hooks.forget();
        assert_eq!(hooks.state(HookKind::Confirm, &asked), Hook::NotCalled);
        assert!(!hooks.answered(HookKind::Confirm, 3, Ok(())), "late");
    }

    #[test]
    fn the_same_no_is_told_once_an_hour() {
        let (mut complaints, begun) = (Complaints::default(), Instant::now());
        let mut no = |why: &str, after_s: u64| {
            complaints.no(HookKind::Confirm, why, begun + Duration::from_secs(after_s))
        };
        assert_eq!(no("a freeze", 0), Some(0), "the first one");
        for number in 1..360 {
            assert_eq!(no("a freeze", 10 * number), None);
        }
        assert_eq!(no("a freeze", 3600), Some(359), "an hour later, with how often meanwhile");
        assert_eq!(no("a freeze", 3610), None);
        assert_eq!(no("no answer", 3620), Some(0), "another reason");
        assert_eq!(no("a freeze", 3630), Some(0), "and back");
        assert_eq!(complaints.no(HookKind::Announce, "a freeze", begun), Some(0), "another hook");
        complaints.yes(HookKind::Confirm);
        assert_eq!(complaints.no(HookKind::Confirm, "a freeze", begun), Some(0), "once more after a yes");
    }
}
