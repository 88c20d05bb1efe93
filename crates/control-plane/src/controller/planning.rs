//! The preview of a ramp: when each step comes at the earliest, what its gate needs, and which keys it moves.

use std::time::Duration;

use jiff::Timestamp;

use traffic_split::Percent;

use super::Controller;
use crate::handle::ControlError;
use crate::status::{Plan, PlannedStep};

impl Controller {
    /// What comes when in this migration, if nothing speaks against it and every word that is waited for is given at once.
    pub(super) fn plan(&self, name: &str) -> Option<Plan> {
        let (intent, migration) = (self.book.intents.get(name)?, self.checked.migration(name)?);
        let progress = intent.progress.as_ref()?;
        let policy = &migration.policy;
        let now = Timestamp::now();
        let held = self.held(name, progress);
        let mut steps = Vec::new();
        let mut at = Some(now);
        let mut before = Percent::ZERO;
        for (index, step) in policy.steps.iter().enumerate() {
            let number = index + 1;
            let needs = self.gate_needs(name, step.percent);
            let by_traffic = self.time_for(name, step.min_requests, step.percent);
            let whole = step.hold.max(needs.and_then(|need| need.time).unwrap_or_default());
            let whole = whole.max(by_traffic.unwrap_or_default());
            let earliest = if number <= progress.entered {
                None
            } else {
                let opens = at.and_then(|at| policy.calendar.opens(at));
                at = opens.and_then(|opens| opens.checked_add(whole).ok());
                opens
            };
            if number == progress.entered {
                let left = whole.saturating_sub(held);
                at = now.checked_add(left).ok();
            }
            steps.push(PlannedStep {
                step: number,
                percent: step.percent,
                from: before,
                is_entered: number <= progress.entered,
                earliest: earliest.map(|at| at.to_zoned(policy.calendar.time_zone.clone())),
                hold: step.hold,
                min_requests: step.min_requests,
                gate_requests: needs.map(|need| need.requests),
                gate_time: needs.and_then(|need| need.time),
                approve: step.approve,
                drill: step.drill,
                hooks: [("announce", step.announce.is_some()), ("confirm", step.confirm.is_some())]
                    .into_iter()
                    .filter_map(|(name, is_there)| is_there.then_some(name))
                    .collect(),
            });
            before = step.percent;
        }
        let waits_for = self.waits_for(name).unwrap_or_default();
        let is_held = intent.latch.is_some() || progress.paused.is_some();
        Some(Plan { steps, present: progress.entered, is_held, waits_for })
    }

    /// Why there is no preview.
    pub(super) fn no_plan(&self, name: &str) -> ControlError {
        if self.book.intents.contains_key(name) {
            return ControlError::Refused(format!("{name} has no ramp, so there is nothing to preview"));
        }
        let known = self.checked.migrations.iter().map(|known| &known.name);
        ControlError::unknown_migration(name, known)
    }

    fn gate_needs(&self, name: &str, percent: Percent) -> Option<rollback_guard::Need> {
        let watchman = self.guards.get(name).filter(|_| percent < Percent::FULL)?;
        watchman.need_for_gate_at(percent.as_f64() / 100.0)
    }

    /// How long so many requests of new take at present traffic.
    fn time_for(&self, name: &str, requests: u64, percent: Percent) -> Option<Duration> {
        let rate = self.guards.get(name)?.requests_per_s()? * percent.as_f64() / 100.0;
        Duration::try_from_secs_f64(requests as f64 / rate).ok()
    }
}
