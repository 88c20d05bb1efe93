//! What old answered in new's place: the counts, and the sentence for the log.
//!
//! A new system that dies fails thousands of requests a second. The log says so at once and then at most once in
//! [`PERIOD`], with the sums of what came since. Pure: the counts and the time are arguments.

use std::time::Duration;

use route_plan::{Failure, Kept};
use telemetry::Totals;
use traffic_split::{Arm, Role};

/// At most one sentence for each migration in this time.
const PERIOD: Duration = Duration::from_secs(10);

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    answered: [u64; Failure::ALL.len()],
    withheld: [u64; Kept::ALL.len()],
}

impl Counts {
    pub(crate) fn of(totals: &Totals) -> Self {
        Counts { answered: totals.leg(Arm::New, Role::Served).covered, withheld: totals.kept }
    }

    /// Requests that old answered, by what new had failed with; reasons that did not occur are left out.
    pub(crate) fn answered(&self) -> Vec<(&'static str, u64)> {
        occurred(Failure::ALL.iter().map(|failure| failure.as_str()).zip(self.answered))
    }

    /// Failures of new that were passed on, by why old was not asked.
    pub(crate) fn withheld(&self) -> Vec<(&'static str, u64)> {
        occurred(Kept::ALL.iter().map(|why| why.as_str()).zip(self.withheld))
    }

    fn since(&self, before: &Counts) -> Counts {
        Counts {
            answered: difference(self.answered, &before.answered),
            withheld: difference(self.withheld, &before.withheld),
        }
    }

    /// What happened in `span`, as a sentence; `None` if nothing did.
    fn sentence(&self, migration: &str, span: Duration) -> Option<String> {
        let (answered, withheld) = (self.answered(), self.withheld());
        let seconds = span.as_secs_f64().round().max(1.0);
        let requests = match sum(&answered) {
            1 => "1 request".to_owned(),
            count => format!("{count} requests"),
        };
        let failures = |of: &str| match sum(&withheld) {
            1 => format!("1 failure{of} was passed on"),
            count => format!("{count} failures{of} were passed on"),
        };
        let (by_failure, by_reason) = (list(&answered), list(&withheld));
        let last = format!("in the last {seconds} s");
        match (answered.is_empty(), withheld.is_empty()) {
            (true, true) => None,
            (true, false) => Some(format!("{migration}: {} {last}: {by_reason}", failures(" of new"))),
            (false, true) => {
                Some(format!("{migration}: old answered {requests} that new had failed {last}: {by_failure}"))
            }
            (false, false) => Some(format!(
                "{migration}: old answered {requests} that new had failed {last}: {by_failure}; {}: {by_reason}",
                failures("")
            )),
        }
    }
}

/// Knows what the log has said of one migration.
#[derive(Clone, Debug)]
pub(crate) struct Teller {
    told: Counts,
    told_at: Option<Duration>,
    /// When the counts were last seen to be those that were told.
    unchanged_at: Duration,
}

impl Teller {
    /// Begins with these counts, which are not told. `now` is the time since the start, here and below.
    pub(crate) fn from(counts: Counts, now: Duration) -> Self {
        Teller { told: counts, told_at: None, unchanged_at: now }
    }

    /// What is to be said now.
    pub(crate) fn look(&mut self, migration: &str, counts: Counts, now: Duration) -> Option<String> {
        if counts == self.told {
            self.unchanged_at = now;
            return None;
        }
        if self.told_at.is_some_and(|at| now.saturating_sub(at) < PERIOD) {
            return None;
        }
        let span = now.saturating_sub(self.unchanged_at);
        let sentence = counts.since(&self.told).sentence(migration, span);
        *self = Teller { told: counts, told_at: Some(now), unchanged_at: now };
        sentence
    }
}

fn occurred(counts: impl Iterator<Item = (&'static str, u64)>) -> Vec<(&'static str, u64)> {
    counts.filter(|(_, count)| *count > 0).collect()
}

fn difference<const N: usize>(mut now: [u64; N], before: &[u64; N]) -> [u64; N] {
    for (count, before) in now.iter_mut().zip(before) {
        *count = count.saturating_sub(*before);
    }
    now
}

fn sum(counts: &[(&str, u64)]) -> u64 {
    counts.iter().map(|(_, count)| count).sum()
}

/// `connect 30, status-5xx 7`.
fn list(counts: &[(&str, u64)]) -> String {
    let counts: Vec<String> = counts.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    counts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(answered: &[(Failure, u64)], withheld: &[(Kept, u64)]) -> Counts {
        let mut counts = Counts::default();
        for (failure, count) in answered {
            counts.answered[failure.index()] = *count;
        }
        for (why, count) in withheld {
            counts.withheld[why.index()] = *count;
        }
        counts
    }

    #[test]
    fn sentences_have_numbers() {
        let many = [(Failure::Status5xx, 7), (Failure::Connect, 30)];
        let kept = [(Kept::NotReplayable, 2)];
        let say = |counts: Counts, seconds: f64| counts.sentence("shop", Duration::from_secs_f64(seconds));
        assert_eq!(
            say(counts(&many, &kept), 10.04).unwrap(),
            "shop: old answered 37 requests that new had failed in the last 10 s: connect 30, status-5xx 7; \
             2 failures were passed on: not-replayable 2"
        );
        assert_eq!(
            say(counts(&[(Failure::Closed, 1)], &[]), 0.2).unwrap(),
            "shop: old answered 1 request that new had failed in the last 1 s: closed 1"
        );
        assert_eq!(
            say(counts(&[], &[(Kept::TooMany, 1)]), 3.0).unwrap(),
            "shop: 1 failure of new was passed on in the last 3 s: too-many 1"
        );
        assert_eq!(say(Counts::default(), 10.0), None);
    }

    #[test]
    fn the_first_is_told_at_once_and_then_one_in_ten_seconds() {
        let before = counts(&[(Failure::Connect, 5)], &[]);
        let mut teller = Teller::from(before, Duration::ZERO);
        let mut told = Vec::new();
        for second in 1..=60 {
            // Two failures a second from the 20th to the 44th.
            let failed = 5 + 2 * u64::min(25, second.max(19) - 19);
            let now = counts(&[(Failure::Connect, failed)], &[]);
            if let Some(sentence) = teller.look("shop", now, Duration::from_secs(second)) {
                let said = sentence.trim_start_matches("shop: old answered ").to_owned();
                told.push((second, said));
            }
        }
        let said = |count: u64, seconds: u64| {
            format!("{count} requests that new had failed in the last {seconds} s: connect {count}")
        };
        assert_eq!(told, [(20, said(2, 1)), (30, said(20, 10)), (40, said(20, 10)), (50, said(8, 10))]);
    }
}
