//! The latest seconds in numbers: what a view shows between two looks at counters that only grow.

use std::collections::VecDeque;
use std::time::Duration;

use route_plan::Failure;
use traffic_split::Arm;

use super::ledger::Tally;

/// How far back a figure looks; as long as the usual crowd takes for a round, so that a settled split reads steady.
const WINDOW: Duration = Duration::from_secs(2);
/// Looks kept at most, whatever their pace.
const MAX_SAMPLES: usize = 64;

/// The counters at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// Since the demo began.
    pub(super) at: Duration,
    /// What users saw.
    pub(super) tally: Tally,
    /// Requests whose arm the bucket chose, as the proxy counts them.
    pub(super) by_bucket: [u64; 2],
    /// What the proxy tells of fallbacks.
    pub(super) fallbacks: Fallbacks,
    /// Copied requests with both answers, as the proxy counts them.
    pub(super) copies: u64,
    /// Served requests while new got copies: those held out from it, and those to be copied; how many, and the sum of their
    /// times in seconds, as the proxy measures them.
    pub(super) served: [(u64, f64); 2],
}

/// Counts of the proxy: what old answered in new's place, and what was passed on instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fallbacks {
    /// Requests that old answered after new had failed them, in the order of [`Failure::ALL`].
    pub(super) covered: [u64; Failure::ALL.len()],
    /// Failures of new that were passed on.
    pub(super) withheld: u64,
}

impl Fallbacks {
    /// Of all reasons together.
    pub(super) fn total(&self) -> u64 {
        self.covered.iter().sum()
    }

    /// The reasons that occurred, the most frequent first.
    pub(super) fn reasons(&self) -> Vec<(&'static str, u64)> {
        let counts = Failure::ALL.iter().zip(self.covered).filter(|(_, count)| *count > 0);
        let mut reasons: Vec<_> = counts.map(|(failure, count)| (failure.as_str(), count)).collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        reasons
    }

    /// What was counted since `before`.
    pub(super) fn since(&self, before: &Fallbacks) -> Fallbacks {
        let mut covered = self.covered;
        for (count, earlier) in covered.iter_mut().zip(before.covered) {
            *count = count.saturating_sub(earlier);
        }
        Fallbacks { covered, withheld: self.withheld.saturating_sub(before.withheld) }
    }
}

impl Sample {
    /// The share of new in per cent among the requests since `before`, as the proxy counts them.
    pub(super) fn measured_since(&self, before: &Sample) -> Option<f64> {
        let [old, new] = [0, 1].map(|arm| self.by_bucket[arm].saturating_sub(before.by_bucket[arm]));
        (old + new > 0).then(|| new as f64 * 100.0 / (old + new) as f64)
    }

    /// The share of new in per cent among the right answers since `before`, as users saw them.
    pub(super) fn answered_since(&self, before: &Sample) -> Option<f64> {
        let [old, new] = [0, 1].map(|arm| self.tally.answers[arm].saturating_sub(before.tally.answers[arm]));
        (old + new > 0).then(|| new as f64 * 100.0 / (old + new) as f64)
    }

    /// Copied requests since `before`.
    pub(super) fn copies_since(&self, before: &Sample) -> u64 {
        self.copies.saturating_sub(before.copies)
    }

    /// Served requests without and with a copy since `before`.
    pub(super) fn served_since(&self, before: &Sample) -> [(u64, f64); 2] {
        let [held_out, copied] = [0, 1].map(|at| {
            let (now, before) = (self.served[at], before.served[at]);
            (now.0.saturating_sub(before.0), now.1 - before.1)
        });
        [held_out, copied]
    }

    /// Copied requests in a second since `before`.
    pub(super) fn copies_per_s_since(&self, before: &Sample) -> f64 {
        let seconds = self.at.saturating_sub(before.at).as_secs_f64();
        if seconds > 0.0 { self.copies_since(before) as f64 / seconds } else { 0.0 }
    }

    /// What one arm did since `before`.
    pub(super) fn arm_since(&self, before: &Sample, arm: Arm) -> ArmFigures {
        let at = arm.index();
        let quantile = |quantile| self.tally.latency[at].quantile_since(&before.tally.latency[at], quantile);
        let answers = self.tally.answers[at].saturating_sub(before.tally.answers[at]);
        let seconds = self.at.saturating_sub(before.at).as_secs_f64();
        ArmFigures {
            users: self.tally.users[at],
            requests_per_s: if seconds > 0.0 { answers as f64 / seconds } else { 0.0 },
            p50: quantile(0.5),
            p99: quantile(0.99),
            failed: self.tally.failures[at],
        }
    }
}

/// One arm in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ArmFigures {
    /// Users whose last answer came from it.
    pub(super) users: u32,
    /// Right answers in a second.
    pub(super) requests_per_s: f64,
    /// Half of the answers took no longer.
    pub(super) p50: Option<Duration>,
    /// One in a hundred took longer.
    pub(super) p99: Option<Duration>,
    /// Requests that failed since the demo began.
    pub(super) failed: u64,
}

/// The samples of the latest seconds.
#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<Sample>);

impl Window {
    /// Adds the latest; forgets what is older than is looked back to.
    pub(super) fn add(&mut self, sample: Sample) {
        let keep_from = sample.at.saturating_sub(WINDOW);
        // The last one that is too old stays: a figure looks back to it.
        while self.0.get(1).is_some_and(|second| second.at <= keep_from) || self.0.len() >= MAX_SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// The first and the last; `None` before there was any.
    pub(super) fn ends(&self) -> Option<(&Sample, &Sample)> {
        self.0.front().zip(self.0.back())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_ms: u64, old: u64, new: u64) -> Sample {
        let tally = Tally { answers: [old, new], ..Tally::default() };
        Sample {
            at: Duration::from_millis(at_ms),
            tally,
            by_bucket: [old, new],
            fallbacks: Fallbacks::default(),
            copies: new * 2,
            served: [(new, 0.5), (new, new as f64)],
        }
    }

    #[test]
    fn figures_are_of_the_latest_seconds() {
        let mut window = Window::default();
        assert!(window.ends().is_none());
        for tick in 0..100 {
            window.add(sample(tick * 100, tick * 75, tick * 25));
        }
        let (first, last) = window.ends().unwrap();
        assert_eq!(last.at.saturating_sub(first.at), WINDOW);
        assert_eq!((last.measured_since(first), last.answered_since(first)), (Some(25.0), Some(25.0)));
        assert_eq!(last.arm_since(first, Arm::Old).requests_per_s, 750.0);
        assert_eq!((last.copies_since(first), last.copies_per_s_since(first)), (1000, 500.0));
        assert_eq!(last.copies_per_s_since(last), 0.0);
        assert_eq!(last.served_since(first), [(500, 0.0), (500, 500.0)]);
        assert_eq!(last.arm_since(last, Arm::New), ArmFigures::default());
        assert_eq!(last.measured_since(last), None);
    }

    #[test]
    fn reasons_come_by_their_number() {
        let mut before = Fallbacks::default();
        before.covered[Failure::Connect.index()] = 7;
        let mut now = Fallbacks { withheld: 2, ..before.clone() };
        now.covered[Failure::Closed.index()] = 1;
        now.covered[Failure::NoEndpoint.index()] = 30;
        assert_eq!(now.reasons(), [("no-endpoint", 30), ("connect", 7), ("closed", 1)]);
        let since = now.since(&before);
        assert_eq!((since.reasons(), since.total()), (vec![("no-endpoint", 30), ("closed", 1)], 31));
        assert_eq!(since.withheld, 2);
    }

    #[test]
    fn it_stays_small() {
        let mut window = Window::default();
        for tick in 0..1000 {
            window.add(sample(tick, tick, 0));
        }
        assert!(window.0.len() <= MAX_SAMPLES);
    }
}
