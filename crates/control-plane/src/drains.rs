//! What was closed of tunnels and streams on new once their users were back on old: the counts, and the sentence for the
//! log.
//!
//! Workers close them each for itself, so the log says it when all of it is over: one sentence for a step back, with the
//! sums. Steps that follow each other faster than that, as when users return in parts, share one. Pure: the counts and the
//! time are arguments.

use std::time::Duration;

use route_plan::Drained;
use telemetry::Totals;

/// What is closed in time is closed and counted by so long after it.
const SETTLING: Duration = Duration::from_secs(1);
/// At most one sentence in this time about what is closed later: answers whose head came late.
const PERIOD: Duration = Duration::from_secs(10);

/// Closed since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts([u64; Drained::ALL.len()]);

impl Counts {
    pub(crate) fn of(totals: &Totals) -> Self {
        Counts(totals.drained)
    }

    /// `2 tunnels and 1 stream`; `None` when there is nothing to tell.
    fn since(&self, before: &Counts) -> Option<String> {
        let counts = self.0.iter().zip(before.0).map(|(now, before)| now.saturating_sub(before));
        let told = Drained::ALL.iter().zip(counts).filter(|(_, count)| *count > 0);
        let told = told.map(|(kind, count)| {
            let plural = if count == 1 { "" } else { "s" };
            format!("{count} {}{plural}", kind.as_str())
        });
        let told: Vec<_> = told.collect();
        (!told.is_empty()).then(|| told.join(" and "))
    }
}

/// Knows what the log has said of one migration.
#[derive(Clone, Debug)]
pub(crate) struct Teller {
    told: Counts,
    /// Nothing is said before.
    not_before: Duration,
    /// When the last users were taken back whose tunnels and streams have not been told of.
    back_at: Option<Duration>,
}

impl Teller {
    /// Begins with these counts, which are not told.
    pub(crate) fn from(told: Counts) -> Self {
        Teller { told, not_before: Duration::ZERO, back_at: None }
    }

    /// Users were taken back. `now` is the time since the start, here and below.
    pub(crate) fn taken_back(&mut self, now: Duration) {
        self.back_at = Some(now);
    }

    /// What is to be said now, if tunnels and streams may go on for `drain_after` once their users are back.
    pub(crate) fn look(
        &mut self,
        migration: &str,
        counts: Counts,
        drain_after: Duration,
        now: Duration,
    ) -> Option<String> {
        let is_under_way = |at: Duration| now < at.saturating_add(drain_after).saturating_add(SETTLING);
        if now < self.not_before || self.back_at.is_some_and(is_under_way) {
            return None;
        }
        self.back_at = None;
        let closed = counts.since(&self.told)?;
        (self.told, self.not_before) = (counts, now + PERIOD);
        let verb = if closed.starts_with("1 ") && !closed.contains(" and ") { "was" } else { "were" };
        let limit_s = drain_after.as_secs_f64();
        Some(format!(
            "{migration}: {closed} on new {verb} closed, {limit_s} s after going back to old (`drain_after_rollback`)"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said each second of a minute, when users are taken back and things are closed at these seconds.
    fn said(back: &[u64], closed: &[(u64, [u64; 2])], drain_after_s: u64) -> Vec<(u64, String)> {
        let before = Counts([7, 7]);
        let (mut teller, mut counts) = (Teller::from(before), before);
        let mut said = Vec::new();
        for second in 0..60 {
            let now = Duration::from_secs(second);
            if back.contains(&second) {
                teller.taken_back(now);
            }
            for (_, more) in closed.iter().filter(|(at, _)| *at == second) {
                counts = Counts([counts.0[0] + more[0], counts.0[1] + more[1]]);
            }
            let sentence = teller.look("shop", counts, Duration::from_secs(drain_after_s), now);
            said.extend(sentence.map(|sentence| (second, sentence)));
        }
        said
    }

    fn sentence(closed: &str, limit_s: u64) -> String {
        format!("shop: {closed} closed, {limit_s} s after going back to old (`drain_after_rollback`)")
    }

    #[test]
    fn one_sentence_says_what_a_step_back_closed() {
        let all = said(&[5], &[(35, [1, 3]), (36, [1, 0])], 30);
        assert_eq!(all, [(36, sentence("2 tunnels and 3 streams on new were", 30))]);
        assert_eq!(said(&[5], &[(5, [1, 0])], 0), [(6, sentence("1 tunnel on new was", 0))]);
        assert_eq!(said(&[5], &[(5, [0, 12])], 0), [(6, sentence("12 streams on new were", 0))]);
        assert_eq!(said(&[5], &[(5, [1, 1])], 0), [(6, sentence("1 tunnel and 1 stream on new were", 0))]);
    }

    #[test]
    fn nothing_is_said_where_nothing_was_closed() {
        assert_eq!(said(&[5, 20], &[], 30), []);
    }

    #[test]
    fn steps_that_follow_each_other_share_a_sentence() {
        let parts = said(&[2, 4, 6], &[(7, [1, 0]), (9, [1, 0]), (11, [1, 0])], 5);
        assert_eq!(parts, [(12, sentence("3 tunnels on new were", 5))]);
        let apart = said(&[2, 22], &[(7, [1, 0]), (27, [0, 1])], 5);
        assert_eq!(
            apart,
            [(8, sentence("1 tunnel on new was", 5)), (28, sentence("1 stream on new was", 5))]
        );
    }

    #[test]
    fn what_comes_late_is_told_once_in_ten_seconds() {
        let late: Vec<_> = (8..30).map(|second| (second, [0, 1])).collect();
        let said: Vec<_> = said(&[2], &late, 5).into_iter().map(|(second, _)| second).collect();
        assert_eq!(said, [8, 18, 28, 38]);
    }
}
