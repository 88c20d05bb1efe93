//! The guard of one migration at work: takes what the workers have counted since the last look, and judges.

use std::sync::Arc;
use std::time::Duration;

use config_file::GuardConfig;
use rollback_guard::{Breach, Counts, Guard, GuardState, Merged, Verdict};
use telemetry::EvidenceCells;
use traffic_split::Percent;

use crate::stakes::{self, Before};

/// A guard with its eyes.
pub(crate) struct Watchman {
    cells: Arc<EvidenceCells>,
    config: GuardConfig,
    guard: Guard,
    merged: Merged,
    /// The counts as of the last look.
    seen: Counts,
    /// The percentage in force.
    percent: Percent,
    latched: bool,
    /// It has been told that there is nowhere to go back to.
    alerted: bool,
}

impl Watchman {
    /// Judges by what is counted from now on.
    pub(crate) fn new(
        cells: Arc<EvidenceCells>,
        config: GuardConfig,
        percent: Percent,
        latched: bool,
    ) -> Self {
        let guard = Guard::new(config.limits.clone());
        Self::with(cells, config, guard, percent, latched)
    }

    /// Goes on from what was kept of its guard when the process before ended, or of a migration that was gone from the
    /// file. Stands as that did; what is different now is for [`Watchman::follow`].
    #[cfg_attr(not(test), expect(dead_code, reason = "the controller does not call it yet"))]
    pub(crate) fn restored(
        name: &str,
        cells: Arc<EvidenceCells>,
        config: GuardConfig,
        before: &Before,
    ) -> Self {
        let (guard, lost) = stakes::begin(config.limits.clone(), Some(before));
        if let Some(why) = lost {
            tracing::warn!(
                migration = name,
                "{name}: {why}, so the guard begins without a stake: it needs more evidence for a rollback until the \
                 next step"
            );
        }
        Self::with(cells, config, guard, before.percent, before.is_latched)
    }

    fn with(
        cells: Arc<EvidenceCells>,
        config: GuardConfig,
        guard: Guard,
        percent: Percent,
        latched: bool,
    ) -> Self {
        let (merged, seen) = (Merged::new(), Counts::ZERO);
        let mut watchman = Watchman { cells, config, guard, merged, seen, percent, latched, alerted: false };
        watchman.skip();
        watchman
    }

    /// Goes by another configuration and percentage. Evidence and stakes stay; a raise pays in another stake and shuts the
    /// gate. Once a latch is cleared, what spoke against new is forgotten.
    pub(crate) fn follow(&mut self, config: &GuardConfig, percent: Percent, latched: bool) {
        if config.limits != self.config.limits {
            self.guard = Guard::restore(config.limits.clone(), &self.guard.state());
        }
        self.config = config.clone();
        if self.latched && !latched {
            self.resume();
        } else if percent > self.percent {
            self.guard.begin_step();
        }
        (self.percent, self.latched) = (percent, latched);
    }

    /// Looks at what was counted since the last time, `since_last` ago. What it finds it finds at every look, until nobody
    /// is on new any more. Only while both arms serve there is something to compare, so else what was counted is skipped.
    pub(crate) fn look(&mut self, since_last: Duration) -> Option<Breach> {
        if self.percent == Percent::ZERO || self.percent == Percent::FULL {
            self.skip();
            return None;
        }
        let now = self.cells.totals();
        let mut block = now.clone();
        block.since(&self.seen);
        self.seen = now;
        let merged = &mut self.merged;
        self.cells.take_marks(|mark| merged.add(mark));
        merged.settle(&mut block);
        self.guard.tick(since_last, &block);
        self.guard.breach().copied()
    }

    fn skip(&mut self) {
        self.seen = self.cells.totals();
        let merged = &mut self.merged;
        self.cells.take_marks(|mark| merged.add(mark));
    }

    /// Somebody lets new go forward again: what spoke against it is forgotten.
    pub(crate) fn resume(&mut self) {
        self.guard.resume();
        self.alerted = false;
    }

    /// Takes note that there is nowhere to go back to. `true` when that has to be told.
    pub(crate) fn cannot_go_back(&mut self) -> bool {
        !std::mem::replace(&mut self.alerted, true)
    }

    /// What is to be kept of its guard.
    #[cfg_attr(not(test), expect(dead_code, reason = "the controller does not call it yet"))]
    pub(crate) fn state(&self) -> GuardState {
        self.guard.state()
    }

    /// What it goes by.
    pub(crate) fn config(&self) -> &GuardConfig {
        &self.config
    }

    /// The verdict, and one sentence about it. With everybody on one arm there is nothing to compare with.
    pub(crate) fn report(&self) -> (Verdict, String) {
        if self.percent == Percent::FULL && self.guard.breach().is_none() {
            let sentence = "unguarded; everybody is on new, so there is nobody to compare with";
            return (Verdict::Unguarded, sentence.to_owned());
        }
        if self.percent == Percent::ZERO && self.guard.breach().is_none() {
            return (Verdict::Insufficient, "insufficient; new gets no requests".to_owned());
        }
        (self.guard.judgement().verdict, self.guard.explain())
    }
}

#[cfg(test)]
mod tests {
    use route_plan::outcome::{Failure, Observation};
    use telemetry::{Memory, Telemetry};
    use traffic_split::{Arm, Role};

    use super::*;
    use crate::stakes::Stake;

    const TICK: Duration = Duration::from_millis(50);

    fn observation(arm: Arm, key: u64, fails: bool) -> Observation {
        Observation {
            arm: Some(arm),
            role: Role::Served,
            by_bucket: true,
            key,
            status: (!fails).then_some(200),
            client_status: Some(if fails { 502 } else { 200 }),
            covered: false,
            hung: false,
            retried: false,
            to_head: Duration::from_millis(5),
            total: Duration::from_millis(5),
            failure: fails.then_some(Failure::Closed),
            client_aborted: false,
        }
    }

    struct Stage {
        cells: Arc<EvidenceCells>,
        memory: Memory,
        watchman: Watchman,
        key: u64,
    }

    impl Stage {
        fn new(percent: &str) -> Self {
            let cells = Telemetry::new(1).evidence("shop");
            let percent = percent.parse().unwrap();
            let watchman = Watchman::new(Arc::clone(&cells), GuardConfig::default(), percent, false);
            Stage { cells, memory: Memory::default(), watchman, key: 0 }
        }

        /// A second in which each arm has so many requests, those of new failing or not.
        fn second(&mut self, requests: u64, new_fails: bool) -> Option<Breach> {
            let mut breach = None;
            for _ in 0..20 {
                for _ in 0..requests / 20 {
                    self.key += 1;
                    self.cells.record(0, &mut self.memory, &observation(Arm::Old, self.key, false));
                    self.cells.record(0, &mut self.memory, &observation(Arm::New, self.key, new_fails));
                }
                breach = breach.or(self.watchman.look(TICK));
            }
            breach
        }
    }

    #[test]
    fn new_that_is_down_is_found_within_a_second() {
        let mut stage = Stage::new("50");
        assert_eq!(stage.second(200, false), None);
        let breach = stage.second(200, true).expect("within a second");
        assert_eq!(stage.second(200, false), Some(breach), "until somebody has acted");
        assert_eq!(stage.watchman.report().0, Verdict::Breached);
        let sentence = breach.sentence(&GuardConfig::default().limits);
        assert!(
            sentence.starts_with("new fails ") && sentence.contains("old 0%, allowed +0.5% (after "),
            "{sentence}"
        );
        let (config, half) = (GuardConfig::default(), "50".parse().unwrap());
        stage.watchman.follow(&config, Percent::ZERO, true);
        assert_eq!(stage.second(200, true), None, "nobody is on new");
        assert_eq!(stage.watchman.report().0, Verdict::Breached, "and it is known why");
        stage.watchman.follow(&config, half, false);
        assert_ne!(stage.watchman.report().0, Verdict::Breached);
        assert!(stage.second(200, true).is_some(), "and again");
    }

    #[test]
    fn what_was_counted_while_nobody_was_compared_is_no_evidence() {
        for percent in ["0", "100"] {
            let mut stage = Stage::new(percent);
            assert_eq!(stage.second(200, true), None, "{percent}");
            stage.watchman.follow(&GuardConfig::default(), "50".parse().unwrap(), false);
            assert_eq!(stage.watchman.look(TICK), None);
            assert_eq!(stage.watchman.report().0, Verdict::Insufficient);
            assert!(stage.second(200, true).is_some());
        }
    }

    #[test]
    fn a_restart_keeps_the_evidence_and_refills_no_stake() {
        let mut stage = Stage::new("50");
        assert_eq!(stage.second(200, false), None);
        let half: Percent = "50".parse().unwrap();
        let kept = stage.watchman.state();
        let stake = Stake { step: "the first".to_owned(), state: kept.clone() };
        let before =
            Before { stake: Some(stake), step: "the first".to_owned(), percent: half, is_latched: false };
        let restart = |stage: &mut Stage, before: &Before| {
            let cells = Arc::clone(&stage.cells);
            stage.watchman = Watchman::restored("shop", cells, GuardConfig::default(), before);
            stage.watchman.state()
        };
        assert_eq!(restart(&mut stage, &before), kept);
        let lost = restart(&mut stage, &Before { step: "the second".to_owned(), ..before.clone() });
        assert_eq!((lost.rollback_paid, lost.step), (kept.rollback_paid, GuardState::default().step));
        assert!(lost.rollback.iter().all(|test| test.capital.iter().all(|capital| *capital == 0.0)));
        assert!(stage.second(200, true).is_some(), "and it sees all the same what is down");
        // A raise that came with the file of the new start is a step like any other.
        restart(&mut stage, &before);
        stage.watchman.follow(&GuardConfig::default(), "75".parse().unwrap(), false);
        assert!(stage.watchman.state().rollback_paid > kept.rollback_paid + 9e-5);
    }

    #[test]
    fn other_limits_keep_the_evidence() {
        let mut stage = Stage::new("50");
        assert!(stage.second(200, true).is_some());
        let mut config = GuardConfig::default();
        config.limits.error_rate.max = Some(0.02);
        stage.watchman.follow(&config, "50".parse().unwrap(), false);
        assert_eq!(stage.watchman.report().0, Verdict::Breached);
    }
}
