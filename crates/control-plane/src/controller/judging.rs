//! What the controller does about the guards: looks twenty times a second, and takes the users back when one says so.

use std::time::Instant;

use ramp::{Cause, Metric, Target};
use rollback_guard::{Breach, Signal, Verdict};
use serde_json::{Map, Value};
use traffic_split::Percent;

use super::steps::Ask;
use super::{Controller, Outlets};
use crate::change::THE_GUARD;
use crate::event::{Actor, Place};
use crate::guarding::{Ground, Watchman};
use crate::journal::{Entry, Kind};
use crate::shadowing::Scene;

impl Controller {
    /// Lets the guards follow configuration, percentage and latch: of exactly the migrations that are to be judged.
    pub(super) fn follow_guards(&mut self) {
        let mut before = std::mem::take(&mut self.guards);
        for migration in &self.checked.migrations {
            let (Some(config), Some(intent)) = (&migration.guard, self.book.intents.get(&migration.name))
            else {
                continue;
            };
            let name = &migration.name;
            let is_compared = Scene::of(migration, intent).copies;
            let ground = Ground { is_compared, ..Ground::of(intent) };
            let watchman = before.remove(name).map(|mut watchman| {
                watchman.follow(config, ground);
                watchman
            });
            let watchman = watchman.unwrap_or_else(|| {
                let (cells, config) = (self.telemetry.evidence(name), config.clone());
                let comparisons = self.telemetry.comparisons(name);
                let Some(before) = self.kept.take(name) else {
                    return Watchman::new(cells, config, ground).comparing(comparisons);
                };
                let mut watchman =
                    Watchman::restored(name, cells, config.clone(), &before).comparing(comparisons);
                watchman.follow(&config, ground);
                watchman
            });
            self.guards.insert(name.clone(), watchman);
        }
        self.put_away(before);
    }

    /// Takes in what was counted since the last look, and acts upon what the guards find.
    pub(super) fn look_at_new(&mut self, outlets: &Outlets) {
        let now = Instant::now();
        let since_last = now.saturating_duration_since(self.looked_at);
        self.looked_at = now;
        if !self.guards.is_empty() {
            self.telemetry.looks().record(since_last);
        }
        let (mut breached, mut turned) = (Vec::new(), Vec::new());
        for (name, watchman) in &mut self.guards {
            if let Some(breach) = watchman.look(since_last) {
                breached.push((name.clone(), breach));
            } else if let Some(before) = watchman.turned() {
                turned.push((name.clone(), before));
            }
        }
        for (name, breach) in breached {
            self.act_upon(outlets, &name, &breach, false);
        }
        for (name, before) in turned {
            self.tell_verdict(outlets, &name, before);
        }
        self.look_at_shadows(outlets, since_last);
    }

    /// Once: what is found while users return in parts is for people to judge.
    fn tell_still_bad(&mut self, name: &str) {
        let Some(watchman) = self.guards.get_mut(name).filter(|watchman| !watchman.config().dry_run) else {
            return;
        };
        if watchman.tell_once() {
            let sentence = watchman.breach_sentence();
            tracing::error!(
                migration = name,
                "{name}: {sentence}, while users return in parts; `crossfade rollback {name} --now` takes all of them at once"
            );
        }
    }

    /// Another verdict that is no reason to go back, for people and the journal.
    fn tell_verdict(&mut self, outlets: &Outlets, name: &str, before: Verdict) {
        let Some(watchman) = self.guards.get(name) else { return };
        let (verdict, sentence) = watchman.report();
        if verdict == Verdict::Degraded {
            tracing::warn!(migration = name, "{name}: the verdict was {before}, now it is {sentence}");
        } else {
            tracing::info!(migration = name, "{name}: the verdict was {before}, now it is {sentence}");
        }
        let mut data = watchman.data();
        data.insert("before".to_owned(), before.as_str().into());
        let Some(state) = self.state_ahead(name) else { return };
        let entry = Entry { data, reason: Some(sentence), ..Entry::of(name, Kind::Verdict, state) };
        self.write_aside(outlets, vec![entry]);
    }

    /// New is worse than is tolerated: by what its users saw, or `by_copies` where everybody is on it.
    pub(super) fn act_upon(&mut self, outlets: &Outlets, name: &str, breach: &Breach, by_copies: bool) {
        if self.is_going_back(name) {
            return self.tell_still_bad(name);
        }
        let old_is_there = self.old_is_there(name);
        let Some(watchman) = self.guards.get_mut(name) else { return };
        let watch = self.shadows.get_mut(name).filter(|_| by_copies);
        let mut sentence =
            watch.as_ref().map_or_else(|| watchman.breach_sentence(), |watch| watch.breach_sentence());
        if matches!(breach.cause.signal, Signal::Mismatches | Signal::ZeroTolerance) {
            sentence.push_str(&format!("; `crossfade diffs {name}` shows where"));
        }
        if watchman.config().dry_run {
            // To look further, as it would after a rollback that somebody resumed.
            match watch {
                Some(watch) => watch.resume(),
                None => watchman.resume(),
            }
            return tracing::warn!(migration = %name, "{name}: would roll back, but for dry_run: {sentence}");
        }
        if !old_is_there {
            if watchman.cannot_go_back() {
                tracing::error!(
                    migration = %name,
                    "{name}: cannot go back: no endpoint of old is healthy, while {sentence}; \
                     `crossfade rollback {name} --force` goes back all the same"
                );
            }
            return;
        }
        let data = Map::from_iter([
            ("signal".to_owned(), Value::from(breach.cause.to_string())),
            ("ln_w".to_owned(), Value::from(breach.ln_w)),
            ("new_requests".to_owned(), Value::from(breach.new.requests)),
            ("new_failures".to_owned(), Value::from(breach.new.failures)),
            ("old_requests".to_owned(), Value::from(breach.old.requests)),
            ("old_failures".to_owned(), Value::from(breach.old.failures)),
            ("by_copies".to_owned(), by_copies.into()),
            ("evidence".to_owned(), Value::Object(watchman.data())),
        ]);
        let to = self.rollback_target(name);
        let event = ramp::Event::RolledBack { cause: Cause::Guard(metric(breach)), to, in_parts: true };
        let actor = Actor { who: THE_GUARD.to_owned(), reason: Some(sentence), force: false };
        self.ask(outlets, Ask { data, ..Ask::new(name, event, actor) });
    }

    /// Where the guard takes users back to: where the file says.
    pub(super) fn rollback_target(&self, name: &str) -> Percent {
        self.place(name, None)
    }

    /// Where somebody takes users back to; where the file says, if they name no place.
    pub(super) fn place(&self, name: &str, to: Option<Place>) -> Percent {
        let config = self.checked.migration(name);
        let intent = self.book.intents.get(name);
        let (Some(config), Some(intent)) = (config, intent) else { return Percent::ZERO };
        match to {
            None => config.policy.target(intent),
            Some(Place::Old) => Percent::ZERO,
            Some(Place::PreviousStep) => config.policy.target_of(Target::PreviousStep, intent),
            Some(Place::At(percent)) => percent,
        }
    }

    /// Whether its users are on their way back in parts already, as far as the guard would take them.
    fn is_going_back(&self, name: &str) -> bool {
        let latch = self.book.intents.get(name).and_then(|intent| intent.latch);
        latch.is_some_and(|latch| latch.is_returning() && latch.target <= self.rollback_target(name))
    }

    /// Whether old has an endpoint that is healthy, or none is known not to be.
    pub(super) fn old_is_there(&self, name: &str) -> bool {
        let old =
            self.checked.migration(name).and_then(|migration| self.checked.upstreams.get(migration.old));
        let Some(old) = old else { return true };
        let endpoints = self.telemetry.endpoints();
        let mut known = endpoints.iter().filter(|endpoint| endpoint.upstream == old.name).peekable();
        known.peek().is_none() || known.any(|endpoint| endpoint.healthy)
    }
}

fn metric(breach: &Breach) -> Metric {
    match breach.cause.signal {
        Signal::ErrorRate | Signal::Retries => Metric::ErrorRate,
        Signal::Latency(_) => Metric::Latency,
        Signal::ClientErrors => Metric::ClientErrors,
        Signal::Mismatches | Signal::ZeroTolerance => Metric::Mismatches,
    }
}
