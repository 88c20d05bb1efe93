//! What the controller does about shadows: looks at what copying does to users and at what copies say of new, and
//! switches them off and on.

use std::time::Duration;

use config_file::{MigrationConfig, ShadowConfig};
use ramp::{Evidence, Intent, ShadowOff};
use rollback_guard::MatchRate;
use serde_json::Map;

use super::steps::{ANEW, Ask, refuse};
use super::{Controller, Outlets};
use crate::change::{self, LastChanges, THE_GUARD};
use crate::event::{Actor, Reply};
use crate::guarding::Watchman;
use crate::handle::{Changed, ControlError};
use crate::journal::{Entry, Kind};
use crate::shadowing::{Finding, Scene, ShadowWatch, top_drops};
use crate::status::{ShadowState, ShadowStatus};

/// Whether there is a shadow to watch: the file has one, or the phase makes copies, or would.
fn has_shadow(migration: &MigrationConfig, intent: &Intent) -> bool {
    let is_switched_off = intent.shadow_off.is_some();
    let is_written = |shadow: &ShadowConfig| shadow.is_written || is_switched_off;
    migration.shadow.as_ref().is_some_and(is_written) || Scene::of(migration, intent).copies
}

impl Controller {
    /// Lets the watches follow configuration, phase and switch: of exactly the migrations that have a shadow.
    pub(super) fn follow_shadows(&mut self) {
        let mut before = std::mem::take(&mut self.shadows);
        for migration in &self.checked.migrations {
            let name = &migration.name;
            let Some(intent) = self.book.intents.get(name).filter(|intent| has_shadow(migration, intent))
            else {
                continue;
            };
            let scene = Scene::of(migration, intent);
            let watch = match before.remove(name) {
                Some(mut watch) => {
                    if watch.follow(&self.telemetry, migration, scene) {
                        self.guards.get_mut(name).into_iter().for_each(Watchman::compare_anew);
                        self.followers.begin_anew(name);
                    }
                    watch
                }
                None => ShadowWatch::new(&self.telemetry, migration, scene, &self.kept.take_shadow(name)),
            };
            self.shadows.insert(name.clone(), watch);
        }
        for (name, watch) in before {
            self.kept.put_shadow_away(name, watch.kept());
        }
    }

    /// Takes in what was counted of copies since the last look, and acts upon it.
    pub(super) fn look_at_shadows(&mut self, outlets: &Outlets, since_last: Duration) {
        let mut found = Vec::new();
        for (name, watch) in &mut self.shadows {
            found.extend(watch.look(since_last).into_iter().map(|finding| (name.clone(), finding)));
        }
        for (name, finding) in found {
            match finding {
                Finding::Harms(sentence) => self.switch_off(outlets, &name, sentence),
                Finding::Breach(breach) => self.act_upon(outlets, &name, &breach, true),
                Finding::Worse(sentence) => self.tell_worse(outlets, &name, sentence),
            }
        }
    }

    /// Copies do harm, so there are none any more until somebody switches them on.
    fn switch_off(&mut self, outlets: &Outlets, name: &str, sentence: String) {
        let is_off = self.book.intents.get(name).is_none_or(|intent| intent.shadow_off.is_some());
        if is_off || self.draining {
            return;
        }
        tracing::warn!(
            migration = name,
            "{name}: shadow switched off: {sentence}; `crossfade shadow {name} on` switches it on again"
        );
        let event = ramp::Event::ShadowSwitched(Some(ShadowOff::Effect));
        let actor = Actor { who: THE_GUARD.to_owned(), reason: Some(sentence), force: false };
        self.ask(outlets, Ask::new(name, event, actor));
    }

    /// New is worse by its copies, and nobody is on it yet: for people and the journal.
    fn tell_worse(&mut self, outlets: &Outlets, name: &str, sentence: String) {
        tracing::warn!(migration = name, "{name}: degraded, by copies of the same requests: {sentence}");
        let Some(state) = self.state_ahead(name) else { return };
        let data = Map::from_iter([
            ("verdict".to_owned(), rollback_guard::Verdict::Degraded.as_str().into()),
            ("by_copies".to_owned(), true.into()),
        ]);
        let entry = Entry { data, reason: Some(sentence), ..Entry::of(name, Kind::Verdict, state) };
        self.write_aside(outlets, vec![entry]);
    }

    /// Somebody switches a shadow on or off. With `anew`, what was compared so far says nothing any more.
    pub(super) fn switch_shadow(
        &mut self,
        outlets: &Outlets,
        name: &str,
        (on, anew): (bool, bool),
        actor: Actor,
        reply: Reply<Changed>,
    ) {
        if self.checked.migration(name).is_some_and(|migration| migration.shadow.is_none()) {
            let sentence = format!("{name} has no shadow: the file says `shadow = false`");
            return refuse(&mut Some(reply), ControlError::Refused(sentence));
        }
        let anew = on && anew;
        if anew {
            self.guards.get_mut(name).into_iter().for_each(Watchman::compare_anew);
            self.shadows.get_mut(name).into_iter().for_each(ShadowWatch::begin_anew);
            self.followers.begin_anew(name);
        }
        let event = ramp::Event::ShadowSwitched((!on).then_some(ShadowOff::Asked));
        let data = Map::from_iter([(ANEW.to_owned(), anew.into())]);
        self.ask(outlets, Ask { data, reply: Some(reply), ..Ask::new(name, event, actor) });
    }

    /// Whether it is shown that the answers of both arms match, where that comes before users get new.
    pub(super) fn matching(&self, migration: &MigrationConfig, intent: &Intent) -> Evidence {
        let name = &migration.name;
        if !migration.policy.shadow {
            return Evidence::Unguarded;
        }
        if intent.shadow_off.is_some() {
            let sentence = format!(
                "the shadow is switched off, so nothing is compared; `crossfade shadow {name} on` switches it on"
            );
            return Evidence::Missing(sentence);
        }
        self.guards.get(name).map_or(Evidence::Unguarded, Watchman::matching)
    }

    /// How a migration's shadow is; `None` where it has none.
    pub(super) fn shadow_status(
        &self,
        migration: &MigrationConfig,
        intent: &Intent,
        last_changes: &LastChanges,
    ) -> Option<ShadowStatus> {
        let watch = self.shadows.get(&migration.name)?;
        let scene = Scene::of(migration, intent);
        let state = match (intent.shadow_off, scene.copies) {
            (Some(_), _) => ShadowState::Off,
            (None, true) => ShadowState::On,
            (None, false) => ShadowState::Idle,
        };
        let guard = self.guards.get(&migration.name);
        let copies = migration.shadow.as_ref().filter(|_| scene.copies).map(|shadow| shadow.policy.canary);
        let counted = watch.counted();
        let of_gate = guard.and_then(Watchman::match_rate);
        Some(ShadowStatus {
            state,
            sentence: change::shadow(&migration.name, intent, copies, last_changes),
            by: last_changes.shadow.clone().filter(|_| state == ShadowState::Off),
            pairs_per_s: watch.pairs_per_s(),
            comparisons: watch.comparisons(),
            match_rate: of_gate.unwrap_or_else(|| MatchRate::of(counted.judged(), counted.mismatched)),
            is_by_gate: of_gate.is_some(),
            matching: guard.and_then(Watchman::match_sentence),
            verdict: watch.verdict(),
            effect: watch.effect_sentence().filter(|_| state == ShadowState::On),
            drops: top_drops(&watch.totals()),
        })
    }
}
