//! How much of a processor comparing may use, and what is left out when that is not enough.
//!
//! Two controls, one inside the other. [`Budget`] is the hard one: a bucket of processor time that fills by the share and
//! is emptied by what the thread's own clock says it used; while it is overdrawn, nothing is compared. [`Shedding`] looks
//! ahead: from what comparisons have cost, how many are offered and how long the queue is it says which share of them to
//! take, so that requests are left out by chance before they are copied, and not by whatever happens to be in the queue.

use std::time::{Duration, Instant};

/// How often [`Shedding`] looks again.
pub(crate) const LOOK: Duration = Duration::from_millis(100);
/// What may be used at once after a pause: as much as comes in in this time.
const BURST: Duration = Duration::from_secs(1);
/// How much the latest look counts for what comparisons are taken to cost and how many are offered.
const LATEST: f64 = 0.3;
/// However dear they are, one in so many is still taken.
const LEAST: f64 = 0.001;
/// A queue that is fuller than this is not being kept up with.
const FULL: f64 = 0.125;
/// What the share is multiplied with then, and while the queue is not.
const LESS: f64 = 0.7;
const MORE: f64 = 1.25;

/// The processor time that may be used.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Of one core, above 0 and at most 1.
    share: f64,
    /// In seconds; negative when overdrawn.
    left_s: f64,
    filled_at: Instant,
}

impl Budget {
    /// `share` is that of one core, 0.01 to 1.
    pub(crate) fn new(share: f64, now: Instant) -> Self {
        let share = share.clamp(0.01, 1.0);
        Budget { share, left_s: share * BURST.as_secs_f64(), filled_at: now }
    }

    pub(crate) fn set_share(&mut self, share: f64) {
        self.share = share.clamp(0.01, 1.0);
    }

    /// What came in since the last time.
    pub(crate) fn fill(&mut self, now: Instant) {
        let past = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.left_s = (self.left_s + past * self.share).min(self.share * BURST.as_secs_f64());
    }

    /// What was used, by the thread's own clock.
    pub(crate) fn take(&mut self, used: Duration) {
        self.left_s -= used.as_secs_f64();
    }

    /// How long nothing may be compared; `None`: it may be now.
    pub(crate) fn wait(&self) -> Option<Duration> {
        (self.left_s < 0.0).then(|| Duration::from_secs_f64(-self.left_s / self.share))
    }

    /// What may be used until the next look, in seconds.
    fn ahead_s(&self, span: Duration) -> f64 {
        let saved = self.left_s / (BURST.as_secs_f64() / span.as_secs_f64().max(1e-3));
        (self.share * span.as_secs_f64() + saved).max(0.0)
    }
}

/// Which share of what is offered is taken.
#[derive(Debug)]
pub(crate) struct Shedding {
    /// What it said last.
    share: f64,
    /// What a comparison costs, in seconds.
    cost_s: f64,
    /// Offered in a second.
    offered: f64,
    /// What was left out last was for want of processor time.
    short_of_cpu: bool,
}

/// What happened since the last look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Happened {
    /// In this time
    pub(crate) span: Duration,
    /// so many were offered,
    pub(crate) offered: f64,
    /// and so many compared,
    pub(crate) compared: u64,
    /// which took so much of a processor.
    pub(crate) used: Duration,
    /// How full the queue is, 0 to 1.
    pub(crate) fill: f64,
}

impl Default for Shedding {
    fn default() -> Self {
        Shedding { share: 1.0, cost_s: 0.0, offered: 0.0, short_of_cpu: false }
    }
}

impl Shedding {
    /// The share to take from now on, 0 to 1.
    pub(crate) fn look(&mut self, budget: &Budget, happened: Happened) -> f64 {
        let Happened { span, offered, compared, used, fill } = happened;
        if compared > 0 {
            let cost_s = used.as_secs_f64() / compared as f64;
            self.cost_s = if self.cost_s > 0.0 { blend(self.cost_s, cost_s) } else { cost_s };
        }
        // By the second, since a thread that had to wait for a processor looks late.
        let offered = offered / span.as_secs_f64().max(1e-3);
        // A rush is met at once, and forgotten slowly.
        self.offered = if offered > self.offered { offered } else { blend(self.offered, offered) };
        let wanted_s = self.offered * span.as_secs_f64() * self.cost_s;
        let affordable = if wanted_s <= 0.0 { 1.0 } else { budget.ahead_s(span) / wanted_s };
        // Those who found the queue full were not counted, so that what is offered may look like less than it is.
        let kept_up = self.share * if fill > FULL { LESS } else { MORE };
        self.share = affordable.min(kept_up).clamp(LEAST, 1.0);
        // While the share rises again, what lowered it is still why some are left out.
        self.short_of_cpu = affordable < 1.0 || (self.short_of_cpu && self.share < 1.0 && fill <= FULL);
        self.share
    }

    /// Whether some are left out for want of processor time; else it is for a queue that was full.
    pub(crate) fn is_short_of_cpu(&self) -> bool {
        self.short_of_cpu
    }
}

fn blend(before: f64, latest: f64) -> f64 {
    before * (1.0 - LATEST) + latest * LATEST
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_overdrawn_budget_waits_until_it_is_paid_back() {
        let start = Instant::now();
        let mut budget = Budget::new(0.25, start);
        budget.take(Duration::from_millis(200));
        assert_eq!(budget.wait(), None, "a quarter of a second may be used at once");
        budget.take(Duration::from_millis(100));
        let wait = budget.wait().unwrap();
        assert!(wait.abs_diff(Duration::from_millis(200)) < Duration::from_micros(1), "{wait:?}");
        budget.fill(start + wait + Duration::from_micros(10));
        assert_eq!(budget.wait(), None);
        budget.fill(start + Duration::from_secs(3600));
        budget.take(Duration::from_millis(251));
        assert!(budget.wait().is_some(), "an hour of rest is worth no more than a second of it");
    }

    /// Offers `rate` comparisons a second that cost `cost` each, as the thread and its gate would; returns the share of
    /// a core that was used and the share that was taken, over the last half of the time.
    fn run(share: f64, rate: u64, cost: Duration) -> (f64, f64) {
        let (start, looks) = (Instant::now(), 200_u32);
        let (mut budget, mut shedding) = (Budget::new(share, start), Shedding::default());
        let (mut accept, mut used_late, mut taken_late, mut queue) = (1.0, Duration::ZERO, 0, 0_u64);
        for at in 1..=looks {
            let offered = rate / 10;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
            let taken = (offered as f64 * accept).round() as u64;
            queue = (queue + taken).min(1_000);
            let now = start + LOOK * at;
            budget.fill(now);
            let (mut used, mut compared) = (Duration::ZERO, 0);
            while queue > 0 && budget.wait().is_none() && used < LOOK {
                budget.take(cost);
                (used, compared, queue) = (used + cost, compared + 1, queue - 1);
            }
            let (offered, fill) = (offered as f64, queue as f64 / 1_000.0);
            accept = shedding.look(&budget, Happened { span: LOOK, offered, compared, used, fill });
            if at > looks / 2 {
                (used_late, taken_late) = (used_late + used, taken_late + compared);
            }
        }
        let seconds = (LOOK * (looks / 2)).as_secs_f64();
        (used_late.as_secs_f64() / seconds, taken_late as f64 / (seconds * rate as f64))
    }

    #[test]
    fn it_is_known_whether_more_processor_time_would_help() {
        let (start, span) = (Instant::now(), LOOK);
        let budget = Budget::new(0.25, start);
        let look = |shedding: &mut Shedding, cost: Duration, fill: f64| {
            let happened = Happened { span, offered: 100.0, compared: 10, used: cost * 10, fill };
            (shedding.look(&budget, happened), shedding.is_short_of_cpu())
        };
        // Each costs little, and the thread does not get to them: its priority is low.
        let mut shedding = Shedding::default();
        let (share, is_short) = look(&mut shedding, Duration::from_micros(10), 1.0);
        assert!(share < 1.0 && !is_short, "{share}");
        let (share, is_short) = look(&mut shedding, Duration::from_micros(10), 0.0);
        assert!(share < 1.0 && !is_short, "{share}");
        // They cost more than may be used.
        let mut shedding = Shedding::default();
        let (share, is_short) = look(&mut shedding, Duration::from_millis(10), 1.0);
        assert!(share < 1.0 && is_short, "{share}");
        let mut looks = 0;
        while look(&mut shedding, Duration::ZERO, 0.0).0 < 1.0 {
            looks += 1;
            assert!(looks < 1_000);
            assert!(shedding.is_short_of_cpu(), "until all are let in again");
        }
        assert!(looks > 0 && !shedding.is_short_of_cpu());
    }

    #[test]
    fn all_are_taken_while_the_budget_lasts() {
        let (used, taken) = run(0.25, 1_000, Duration::from_micros(100));
        assert!(taken > 0.999 && used < 0.11, "used {used}, took {taken}");
    }

    #[test]
    fn a_late_look_is_no_rush() {
        let (start, cost) = (Instant::now(), Duration::from_millis(1));
        let (mut budget, mut shedding, mut now) = (Budget::new(1.0, start), Shedding::default(), start);
        // 300 a second that take 1 ms each, seen after a second and then after the usual time.
        for (span, offered) in [(Duration::from_secs(1), 300), (LOOK, 30), (LOOK, 30)] {
            now += span;
            budget.fill(now);
            budget.take(cost * offered);
            let (compared, used) = (u64::from(offered), cost * offered);
            let offered = f64::from(offered);
            let accept = shedding.look(&budget, Happened { span, offered, compared, used, fill: 0.0 });
            assert!(accept > 0.999, "{accept} after {span:?}");
        }
    }

    proptest! {
        #[test]
        fn the_budget_is_kept_and_used(share in 0.05_f64..1.0, rate in 200_u64..20_000, cost_us in 20_u64..20_000) {
            let (used, taken) = run(share, rate, Duration::from_micros(cost_us));
            let wanted = rate as f64 * cost_us as f64 / 1e6;
            // What was saved is used in this time too, and one comparison may begin with hardly anything left.
            prop_assert!(used <= share * 1.1 + cost_us as f64 / 1e6 / 10.0 + 1e-3, "used {used} of {share}");
            if wanted > share * 1.5 {
                prop_assert!(used >= share * 0.7, "used {used} of {share}, took {taken}");
            }
        }
    }
}
