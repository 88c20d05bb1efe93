//! The hooks of a ramp: who is told before a step, and who is asked.
//!
//! A call runs beside the loop and comes back as one more event. One that says no, or nothing, is called again after a
//! while, for as long as the step waits.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outbound_calls::{Caller, HookUrl, Options, Verdict};
use ramp::{Hook, HookKind};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

/// How long a hook may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// After how long one that did not say yes is called again.
const AGAIN: Duration = Duration::from_secs(10);

/// How far the hooks of the next step are.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    step: usize,
    announce: One,
    confirm: One,
}

#[derive(Debug, Default)]
struct One {
    hook: Hook,
    again_at: Option<Instant>,
}

impl Hooks {
    /// How far the hook is that is called before this step (counted from 0).
    pub(crate) fn state(&self, kind: HookKind, step: usize) -> Hook {
        if self.step != step {
            return Hook::NotCalled;
        }
        let one = self.one(kind);
        if one.again_at.is_some_and(|at| Instant::now() >= at) { Hook::NotCalled } else { one.hook.clone() }
    }

    /// It is being called.
    pub(crate) fn called(&mut self, kind: HookKind, step: usize) {
        if self.step != step {
            *self = Hooks { step, ..Hooks::default() };
        }
        *self.one_mut(kind) = One { hook: Hook::Called, again_at: None };
    }

    /// It has answered.
    pub(crate) fn answered(&mut self, kind: HookKind, step: usize, answer: Result<(), String>) {
        if self.step != step {
            return;
        }
        *self.one_mut(kind) = match answer {
            Ok(()) => One { hook: Hook::Yes, again_at: None },
            Err(why) => One { hook: Hook::No(why), again_at: Some(Instant::now() + AGAIN) },
        };
    }

    fn one(&self, kind: HookKind) -> &One {
        match kind {
            HookKind::Announce => &self.announce,
            HookKind::Confirm => &self.confirm,
        }
    }

    fn one_mut(&mut self, kind: HookKind) -> &mut One {
        match kind {
            HookKind::Announce => &mut self.announce,
            HookKind::Confirm => &mut self.confirm,
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
