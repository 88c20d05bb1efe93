//! What one worker counts about its connections, whatever request they carry.

use std::sync::OnceLock;

use crate::Counter;

/// How many distinct reasons for refusing a request can be told apart; more are counted as `other`.
pub const MAX_REFUSAL_REASONS: usize = 64;

/// Counters of one worker, on cache lines of their own. Only that worker's thread adds to them.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerCells {
    /// Client connections accepted and served.
    pub connections_accepted: Counter,
    /// Client connections that ended.
    pub connections_closed: Counter,
    /// Client connections closed at once because the limit was reached.
    pub connections_turned_away: Counter,
    /// Accepted connections handed to a less loaded worker.
    pub handed_over: Counter,
    /// Requests whose head was complete and valid.
    pub requests_started: Counter,
    /// Requests that no migration and no route matches (404).
    pub unmatched: Counter,
    /// Connections to upstreams that were opened.
    pub upstream_connects: Counter,
    /// Attempts that reused an idle connection to their upstream.
    pub upstream_reuses: Counter,
    /// Reused connections that the upstream turned out to have closed, so that the attempt was made anew.
    pub upstream_stale: Counter,
    /// Attempts made again at the same upstream.
    pub upstream_retries: Counter,
    /// Attempts not made again for want of budget.
    pub upstream_retries_withheld: Counter,
    /// Times that an endpoint was left out because it failed requests.
    pub upstream_ejections: Counter,
    /// Attempts turned away by the limits of their upstream.
    pub upstream_turned_away: Counter,
    /// Connections to upstreams that were closed.
    pub upstream_closed: Counter,
    /// Upgraded connections (WebSocket and the like) that began.
    pub tunnels_opened: Counter,
    /// Upgraded connections that ended.
    pub tunnels_closed: Counter,
    /// Bytes received from clients, heads and framing included.
    pub bytes_in: Counter,
    /// Bytes sent to clients, heads and framing included.
    pub bytes_out: Counter,
    refusals: Refusals,
}

impl WorkerCells {
    /// Counts a request that crossfade refused itself, such as a malformed one.
    ///
    /// `reason` becomes a label's value, so it has to come from a short list that is fixed when the program is
    /// built; beyond [`MAX_REFUSAL_REASONS`] distinct ones it is counted as `other`.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.count(reason);
    }

    /// Refused requests by reason, in the order in which the reasons were first seen.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.refusals.iter()
    }
}

/// A table that only grows: the slots are found by a scan, which for the handful of reasons is as fast as a hash.
#[derive(Debug)]
struct Refusals {
    slots: [(OnceLock<&'static str>, Counter); MAX_REFUSAL_REASONS],
    other: Counter,
}

impl Default for Refusals {
    fn default() -> Self {
        Refusals { slots: std::array::from_fn(|_| (OnceLock::new(), Counter::new())), other: Counter::new() }
    }
}

impl Refusals {
    fn count(&self, reason: &'static str) {
        for (name, count) in &self.slots {
            if *name.get_or_init(|| reason) == reason {
                return count.inc();
            }
        }
        self.other.inc();
    }

    fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let other = (self.other.get() > 0).then(|| ("other", self.other.get()));
        self.slots.iter().filter_map(|(name, count)| Some((*name.get()?, count.get()))).chain(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_reason_and_bounded() {
        let cells = WorkerCells::default();
        cells.refused("bad-head");
        cells.refused("too-long");
        cells.refused("bad-head");
        assert_eq!(cells.refusals().collect::<Vec<_>>(), [("bad-head", 2), ("too-long", 1)]);
        for number in 0..100 {
            cells.refused(Box::leak(format!("reason-{number}").into_boxed_str()));
        }
        let all: Vec<_> = cells.refusals().collect();
        assert_eq!(all.len(), MAX_REFUSAL_REASONS + 1);
        assert_eq!(all.last(), Some(&("other", 100 - (MAX_REFUSAL_REASONS as u64 - 2))));
    }
}
