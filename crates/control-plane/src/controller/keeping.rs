//! The guards' stakes over restarts: taken up at the start, handed to their keeper each minute and at each step.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Controller;
use crate::book::Book;
use crate::guarding::{Ground, Watchman};
use crate::reload::Outlook;
use crate::shadowing::KeptShadow;
use crate::stakes::{self, Before, Keeper, Stake, Stakes, step_name};

/// How often they are kept where nothing happens.
const EVERY: Duration = Duration::from_secs(60);
/// What is kept of a migration's shadow has its name and this; no name has a space.
const EFFECT: &str = " (effect of copies)";
const PAIRS: &str = " (copies)";
/// How long the end waits for the disk.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is kept of guards, and by whom.
#[derive(Default)]
pub(super) struct Kept {
    keeper: Option<Keeper>,
    /// Of migrations whose guard has not begun yet, or that left the file.
    befores: BTreeMap<String, Before>,
    /// Of shadows that are not watched yet, or whose migrations left the file.
    shadows: BTreeMap<String, KeptShadow>,
    /// The steps that were kept last.
    steps: BTreeMap<String, String>,
    at: Option<Instant>,
    /// Why it cannot be kept, as told last.
    problem: Option<String>,
}

impl Kept {
    /// What the process before has left in `dir`. The directory must be this process's. Blocks.
    pub(super) fn load(dir: &Path, before: &Book, outlook: &Outlook) -> Self {
        let mut stored = stakes::load(dir).unwrap_or_else(|error| {
            tracing::warn!("what was kept of the guards cannot be used: {error}");
            Stakes::new()
        });
        let keeper = Keeper::start(dir.to_owned())
            .inspect_err(|error| {
                tracing::warn!(
                    "what the guards know is not kept, since no thread can be started for it: {error}"
                );
            })
            .ok();
        let (mut befores, mut shadows) = (BTreeMap::new(), BTreeMap::new());
        for name in before.intents.keys().map(String::as_str).chain(before.departed.names()) {
            let Some((step, ground)) = step_of(before, name) else { continue };
            let stake = stored.remove(name);
            let [effect, pairs] =
                [EFFECT, PAIRS].map(|kind| stored.remove(&format!("{name}{kind}")).map(|stake| stake.state));
            let renamed = outlook.renamed.iter().find(|(_, was)| was == name);
            let now = renamed.map_or(name, |(now, _)| now);
            befores.insert(now.to_owned(), Before { stake, step, ground });
            shadows.insert(now.to_owned(), KeptShadow { effect, pairs });
        }
        Kept { keeper, befores, shadows, ..Kept::default() }
    }

    /// What was kept of the guards of a shadow that is watched from now on.
    pub(super) fn take_shadow(&mut self, name: &str) -> KeptShadow {
        self.shadows.remove(name).unwrap_or_default()
    }

    /// Keeps what the guards of a shadow know that is not watched any more, in case it comes back.
    pub(super) fn put_shadow_away(&mut self, name: String, kept: KeptShadow) {
        self.shadows.insert(name, kept);
    }

    /// How a migration stood whose guard begins now, if it was known.
    pub(super) fn take(&mut self, name: &str) -> Option<Before> {
        self.befores.remove(name)
    }
}

impl Controller {
    /// The guards of migrations that are not judged any more are kept as they are, in case they come back.
    pub(super) fn put_away(&mut self, gone: BTreeMap<String, Watchman>) {
        for (name, watchman) in gone {
            let step = self.kept.steps.remove(&name).unwrap_or_default();
            let stake = Some(Stake { step: step.clone(), state: watchman.state() });
            self.kept.befores.insert(name, Before { stake, step, ground: watchman.ground() });
        }
        self.kept.befores.retain(|name, _| self.book.knows(name));
        self.kept.shadows.retain(|name, _| self.book.knows(name));
    }

    /// Keeps what the guards know: when a step has changed, and once a minute.
    pub(super) fn keep_stakes(&mut self) {
        let steps: BTreeMap<String, String> = self
            .guards
            .keys()
            .filter_map(|name| Some((name.clone(), step_of(&self.book, name)?.0)))
            .collect();
        if steps == self.kept.steps && self.kept.at.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        let guards = self.guards.iter();
        let of_guards = guards.map(|(name, watchman)| {
            let step = steps.get(name).cloned().unwrap_or_default();
            (name.clone(), Stake { step, state: watchman.state() })
        });
        let befores = self.kept.befores.iter();
        let of_others = befores.filter_map(|(name, before)| Some((name.clone(), before.stake.clone()?)));
        let watched = self.shadows.iter().map(|(name, watch)| (name.clone(), watch.kept()));
        let shadows = self.kept.shadows.iter().map(|(name, kept)| (name.clone(), kept.clone()));
        let of_shadows = shadows.chain(watched).flat_map(|(name, kept)| {
            let each = [(EFFECT, kept.effect), (PAIRS, kept.pairs)].into_iter();
            each.filter_map(move |(kind, state)| {
                Some((format!("{name}{kind}"), Stake { step: String::new(), state: state? }))
            })
        });
        let stakes = of_others.chain(of_guards).chain(of_shadows).collect();
        if let Some(keeper) = &self.kept.keeper {
            keeper.save(stakes);
        }
        (self.kept.steps, self.kept.at) = (steps, Some(Instant::now()));
    }

    /// The last word. Blocks for a moment.
    pub(super) fn finish_keeping(&mut self) {
        self.kept.at = None;
        self.keep_stakes();
        if let Some(keeper) = self.kept.keeper.take()
            && !keeper.finish(PATIENCE)
        {
            tracing::warn!("what the guards knew at the end is not kept: the disk did not take it in time");
        }
    }

    /// Tells when what the guards know cannot be kept, and when it can be again.
    pub(super) fn mind_keeping(&mut self) {
        let problem = self.kept.keeper.as_ref().and_then(|keeper| keeper.told().error);
        match (&self.kept.problem, &problem) {
            (None, Some(error)) => tracing::warn!(
                "what the guards know cannot be kept: {error}; after a restart they begin without a stake"
            ),
            (Some(_), None) => tracing::info!("what the guards know can be kept again"),
            _ => {}
        }
        self.kept.problem = problem;
    }
}

fn step_of(book: &Book, name: &str) -> Option<(String, Ground)> {
    let state = book.state(name)?;
    let intent = &state.intent;
    let asked_at = state.last_changes.percent.map(|change| change.at);
    // A drill takes everybody back for a moment and is no step.
    let in_force = if intent.is_drilling { intent.percent } else { intent.standing().in_force() };
    Some((step_name(in_force, intent.attempt, intent.rollbacks.into(), asked_at), Ground::of(intent)))
}
