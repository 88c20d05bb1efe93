//! What the controller tells of itself: status, metrics, log.

use std::path::absolute;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config_file::MigrationConfig;
use ramp::{Cause, HookKind, Intent};
use rollback_guard::Verdict;
use telemetry::{ControlFacts, HookFacts, MigrationFacts, RampFacts, ShadowFacts, Totals};
use traffic_split::{Arm, Role};

use super::ramping::question;
use super::{Controller, Outlets, Traffic};
use crate::change::LastChanges;
use crate::drains;
use crate::fallbacks::Counts;
use crate::handle::{ControlError, Reloaded};
use crate::journal::Health;
use crate::shadowing::ShadowWatch;
use crate::source::LoadError;
use crate::status::{
    ArmStatus, EndpointStatus, FallbackStatus, GuardStatus, HookStatus, LatchStatus, MigrationStatus,
    RampStatus, ReloadStatus, ShadowState, StateStatus, Status,
};
use crate::{change, reload};

impl Controller {
    /// Measures the splits, and tells what old answered in new's place and what was closed on new.
    pub(super) fn read_traffic(&mut self) {
        let now = self.started.1.elapsed();
        for (name, traffic) in &mut self.traffic {
            let totals = traffic.cells.totals();
            traffic.measure.add(Traffic::reading(&totals));
            if let Some(sentence) = traffic.teller.look(name, Counts::of(&totals), now) {
                tracing::warn!(migration = %name, "{sentence}");
            }
            let Some(config) = self.checked.migration(name) else { continue };
            let drain_after = Duration::from_millis(u64::from(config.drain_after_rollback_ms));
            let drained = drains::Counts::of(&totals);
            if let Some(sentence) = traffic.drains.look(name, drained, drain_after, now) {
                tracing::info!(migration = %name, "{sentence}");
            }
        }
    }

    /// Makes the status and the metrics' facts anew and leaves them for readers.
    pub(super) fn renew(&self, outlets: &Outlets) -> Arc<Status> {
        let mut status = self.status();
        {
            let last = outlets.status.borrow();
            // What is not in the journal yet is not told of.
            for name in self.untold() {
                let now = status.migrations.iter_mut().find(|migration| migration.name == name);
                if let (Some(now), Some(was)) = (now, last.migration(name)) {
                    now.clone_from(was);
                }
            }
        }
        let status = Arc::new(status);
        // First, so that whoever was woken by the status finds the metrics telling the same.
        self.telemetry.publish_facts(facts(&status));
        outlets.status.send_replace(Arc::clone(&status));
        status
    }

    pub(super) fn status(&self) -> Status {
        let connections = (0..self.telemetry.worker_count()).map(|index| {
            let cells = self.telemetry.worker(index);
            let closed = cells.connections_closed.get();
            cells.connections_accepted.get().saturating_sub(closed)
        });
        Status {
            version: env!("CARGO_PKG_VERSION"),
            started_at: self.started.0,
            uptime: self.started.1.elapsed(),
            generation: self.generation,
            config_path: absolute(&self.path).as_ref().unwrap_or(&self.path).display().to_string(),
            reload: ReloadStatus {
                last_successful: self.reload.error.is_none(),
                last_applied_at: self.reload.applied_at,
                last_error: self.reload.error.clone(),
                counts: self.reload.counts,
                needs_restart: self.needs_restart(),
                warnings: self.warnings.clone(),
            },
            listeners: self.bound.clone(),
            workers: self.telemetry.worker_count(),
            connections_open: connections.sum(),
            draining: self.draining,
            drain_timeout: Duration::from_millis(self.checked.drain_timeout_ms),
            state: self.state_status(),
            migrations: self.checked.migrations.iter().filter_map(|one| self.migration_status(one)).collect(),
        }
    }

    fn state_status(&self) -> StateStatus {
        let Some(journal) = &self.journal else { return StateStatus::default() };
        let health = journal.health();
        let health = health.borrow();
        let hangs = self.hangs.then(|| "the disk does not answer".to_owned());
        StateStatus {
            dir: Some(journal.dir().display().to_string()),
            problem: health.error.clone().or(hangs),
            unwritten: health.unwritten,
        }
    }

    /// What the journal's thread says of how writing goes: told when it turns.
    pub(super) fn look_at(&mut self, outlets: &Outlets, health: &Health) {
        self.hangs = false;
        match (&self.trouble, &health.error) {
            (None, Some(error)) => tracing::error!(
                unwritten = health.unwritten,
                "the journal cannot be written: {error}; rollbacks take effect, nothing goes forward"
            ),
            (Some(_), None) => {
                tracing::warn!(
                    seq = health.seq,
                    "the journal can be written again, and has what was missing"
                );
            }
            _ => {}
        }
        self.trouble.clone_from(&health.error);
        self.renew(outlets);
    }

    fn migration_status(&self, migration: &MigrationConfig) -> Option<MigrationStatus> {
        let name = &migration.name;
        let intent = self.book.intents.get(name)?;
        let traffic = self.traffic.get(name)?;
        let standing = intent.standing();
        let totals = traffic.cells.totals();
        let upstream = |index: usize| self.checked.upstreams.get(index).map(|upstream| upstream.name.clone());
        let (old, new) = (upstream(migration.old)?, upstream(migration.new)?);
        let fallbacks = Counts::of(&totals);
        let last_changes = self.book.last_changes.get(name).cloned().unwrap_or_default();
        Some(MigrationStatus {
            name: name.clone(),
            old_arm: self.arm_status(Arm::Old, &old, &totals),
            new_arm: self.arm_status(Arm::New, &new, &totals),
            old,
            new,
            phase: standing.phase,
            phase_from: intent.phase_from,
            asked: standing.asked,
            asked_from: intent.percent_from,
            in_force: standing.in_force(),
            measured: traffic.measure.percent(),
            latch: latch_status(intent, &last_changes),
            rollbacks: self.rollbacks_of(name),
            hooks: self.hooks_of(migration),
            why: change::why(intent, &last_changes),
            ramp: self.ramp_status(migration, intent),
            rollbacks_of_attempt: intent.rollbacks,
            verified: self.verified.get(name).filter(|_| intent.latch.is_some()).cloned(),
            guard: self.guard_status(name),
            shadow: self.shadow_status(migration, intent, &last_changes),
            last_change: last_changes.latest().cloned(),
            attempt: migration.attempt,
            salt: migration.salt.clone(),
            keys: migration.keys().iter().map(ToString::to_string).collect(),
            fallback: FallbackStatus {
                on: migration.fallback.is_some(),
                answered: fallbacks.answered(),
                withheld: fallbacks.withheld(),
            },
            keyless: totals.no_key,
        })
    }

    /// With everybody on new, copies judge it where old gets them.
    fn guard_status(&self, name: &str) -> Option<GuardStatus> {
        let watchman = self.guards.get(name)?;
        let by_copies = || self.shadows.get(name).and_then(ShadowWatch::verdict);
        let (verdict, sentence) = match watchman.report() {
            (Verdict::Unguarded, sentence) => by_copies().unwrap_or((Verdict::Unguarded, sentence)),
            report => report,
        };
        let (ln_evidence, dry_run) = (watchman.ln_evidence(), watchman.config().dry_run);
        Some(GuardStatus { verdict, ln_evidence, sentence, dry_run })
    }

    fn ramp_status(&self, migration: &MigrationConfig, intent: &Intent) -> Option<RampStatus> {
        let progress = intent.progress.as_ref()?;
        let steps = &migration.policy.steps;
        let present = progress.entered.checked_sub(1).and_then(|index| steps.get(index));
        Some(RampStatus {
            step: progress.entered,
            steps: steps.iter().map(|step| step.percent).collect(),
            held: self.held(&migration.name, progress),
            hold: present.map_or(Duration::ZERO, |step| step.hold),
            paused: progress.paused,
            waits_for: self.waits_for(&migration.name).unwrap_or_else(|| "begins".to_owned()),
        })
    }

    fn rollbacks_of(&self, name: &str) -> Vec<(Cause, u64)> {
        let counts = self.rollbacks.get(name);
        let count = |cause| counts.and_then(|counts| counts.get(&cause)).copied().unwrap_or_default();
        Cause::ALL.into_iter().map(|cause| (cause, count(cause))).collect()
    }

    /// Those that the ramp has, also before they are called.
    fn hooks_of(&self, migration: &MigrationConfig) -> Vec<HookStatus> {
        let steps = &migration.policy.steps;
        let answers = self.hook_answers.get(&migration.name).copied().unwrap_or_default();
        let has = |kind| (0..steps.len()).any(|step| question(&migration.policy, kind, step).is_some());
        let kinds = [HookKind::Announce, HookKind::Confirm].into_iter().filter(|kind| has(*kind));
        let status = |kind| HookStatus { kind, yes: answers.of(kind).yes, no: answers.of(kind).no };
        kinds.map(status).collect()
    }

    fn arm_status(&self, arm: Arm, upstream: &str, totals: &Totals) -> ArmStatus {
        let mut status = ArmStatus::default();
        for role in [Role::Served, Role::Shadow, Role::Fallback, Role::DualWrite] {
            let leg = totals.leg(arm, role);
            status.requests += leg.requests();
            status.failures += leg.failed();
            status.client_aborts += leg.client_aborts;
        }
        let endpoints = self.telemetry.endpoints();
        let own = endpoints.iter().filter(|one| one.upstream == upstream);
        status.endpoints =
            own.map(|one| EndpointStatus { address: one.endpoint.clone(), healthy: one.healthy }).collect();
        status
    }

    pub(super) fn needs_restart(&self) -> Vec<String> {
        reload::needs_restart(&self.first, self.telemetry.worker_count(), &self.checked)
    }

    /// Counts and tells how a reload went.
    pub(super) fn record(&mut self, cause: &str, result: &Result<Reloaded, ControlError>) {
        let counts = &mut self.reload.counts;
        match result {
            Ok(reloaded) => {
                if reloaded.changed {
                    counts.applied += 1;
                    self.reload.applied_at = SystemTime::now();
                } else {
                    counts.unchanged += 1;
                }
                self.reload.error = None;
                self.tell_reload(cause, reloaded);
            }
            Err(error) => {
                counts.refused += 1;
                let details = details(error);
                self.reload.error = Some(details.clone());
                tracing::error!(
                    config = %self.path.display(), generation = self.generation, details,
                    "reload asked for by {cause} refused, generation {} runs on: {error}", self.generation
                );
            }
        }
    }

    fn tell_reload(&self, cause: &str, reloaded: &Reloaded) {
        if !reloaded.changed {
            tracing::info!(
                generation = reloaded.generation,
                "reload asked for by {cause}: nothing has changed"
            );
            return;
        }
        tracing::info!(
            config = %self.path.display(), generation = reloaded.generation,
            "reload asked for by {cause} applied as generation {}", reloaded.generation
        );
        for effect in &reloaded.effects {
            tracing::info!(generation = reloaded.generation, "{effect}");
        }
        for line in &reloaded.needs_restart {
            tracing::warn!("only a restart brings about {line}");
        }
        self.tell_warnings();
    }

    fn tell_warnings(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }

    /// The first words in the log.
    pub(super) fn greet(&self) {
        tracing::info!(
            config = %self.path.display(), generation = self.generation,
            "configuration {} applied: migrations {}, routes {}, upstreams {}, workers {}",
            self.path.display(), self.checked.migrations.len(), self.checked.routes.len(),
            self.checked.upstreams.len(), self.telemetry.worker_count()
        );
        match &self.journal {
            Some(journal) => tracing::info!("the journal is in {}", journal.dir().display()),
            None => tracing::warn!(
                "state lives in memory: after a restart the file's percent and phase are in force again"
            ),
        }
        if let Some(error) = &self.trouble {
            tracing::error!(
                "the journal cannot be written: {error}; rollbacks take effect, nothing goes forward"
            );
        }
        for words in &self.first_words {
            tracing::warn!("{words}");
        }
        for (name, intent) in &self.book.intents {
            let last_changes = self.book.last_changes.get(name).cloned().unwrap_or_default();
            if let Some(latched) = change::latched(intent, &last_changes) {
                tracing::warn!(migration = name, "{name}: {latched}");
            }
        }
        self.tell_warnings();
    }
}

/// The whole story of a refusal; for a bad file all that is wrong with it.
fn details(error: &ControlError) -> String {
    match error {
        ControlError::Config(LoadError::Bad(bad)) => bad.rendered.clone(),
        other => other.to_string(),
    }
}

fn latch_status(intent: &Intent, last_changes: &LastChanges) -> Option<LatchStatus> {
    let latch = intent.latch?;
    let sentence = change::latched(intent, last_changes)?;
    Some(LatchStatus { cap: latch.cap, cause: latch.cause, by: last_changes.latch.clone(), sentence })
}

fn facts(status: &Status) -> ControlFacts {
    let applied = status.reload.last_applied_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    ControlFacts {
        generation: status.generation,
        last_reload_successful: status.reload.last_successful,
        last_reload_success_unix_s: applied.as_secs_f64(),
        reloads: status.reload.counts,
        listeners: status.listeners.len(),
        draining: status.draining,
        journal_healthy: status.state.dir.as_ref().map(|_| status.state.is_durable()),
        migrations: status
            .migrations
            .iter()
            .map(|migration| MigrationFacts {
                name: migration.name.clone(),
                asked: migration.asked,
                in_force: migration.in_force,
                measured: migration.measured,
                phase: migration.phase,
                latched: migration.latch.is_some(),
                verdict: migration.guard.as_ref().map(|guard| guard.verdict.as_str()),
                shadow: migration.shadow.as_ref().map(|shadow| ShadowFacts {
                    on: shadow.state == ShadowState::On,
                    match_rate: shadow.match_rate.rate(),
                    match_rate_at_least: shadow.match_rate.at_least(),
                }),
                ln_evidence: migration.guard.as_ref().and_then(|guard| guard.ln_evidence),
                ramp: migration.ramp.as_ref().map(|ramp| RampFacts {
                    step: ramp.step,
                    steps: ramp.steps.len(),
                    paused: ramp.paused.is_some(),
                }),
                hooks: migration
                    .hooks
                    .iter()
                    .map(|hook| HookFacts { hook: hook.kind.as_str(), yes: hook.yes, no: hook.no })
                    .collect(),
                rollbacks: migration
                    .rollbacks
                    .iter()
                    .map(|(cause, count)| (cause.as_str(), *count))
                    .collect(),
            })
            .collect(),
    }
}
