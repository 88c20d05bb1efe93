//! The end of tunnels and streams on new whose user is back on old, since the percentage was lowered.
//!
//! Requests on new finish there, but a tunnel or an endless answer would keep its user on new for as long as it lasts.
//! So it is closed `drain_after_rollback` after its user was taken back, or after its head if that came later: by the
//! alarm that it has anyway. A worker that sees users move wakes those whom it concerns, and each finds out by its own
//! bucket where its user is now. Who is on new again by then goes on as if nothing had been.

use route_plan::Plan;
use traffic_split::{Arm, Assignment, Role};

use super::H1Exchange;

/// What one exchange knows of its user's return to old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drain {
    /// It has looked how things are after so many moves of users; [`crate::worker::Worker::moves`].
    seen: u64,
    /// Since when its user is on old, on the worker's clock.
    since_ms: Option<u64>,
    /// When it is closed.
    pub(super) at_ms: Option<u64>,
}

impl Drain {
    /// The user is on old again, and has so many milliseconds left.
    fn set(&mut self, now_ms: u64, after_ms: u32) {
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        self.at_ms = Some(since_ms.saturating_add(u64::from(after_ms)));
    }
}

/// Whether the bucket put it on new: what testers force stays where they want it, whatever the percentage.
fn follows_bucket(plan: &Plan) -> bool {
    plan.arm == Some(Arm::New)
        && plan.role == Role::Served
        && plan.assignment.as_ref().is_some_and(Assignment::is_evidence)
}

impl H1Exchange<'_> {
    /// Whether the answer or tunnel, which goes on, is to end here. To be asked whenever it has to wait.
    pub(super) fn is_drained(&mut self, plan: &Plan) -> bool {
        if !follows_bucket(plan) {
            return false;
        }
        self.client.alarm.follow_moves(true);
        let moves = self.site.worker.moves();
        // What its own snapshot says put it on new.
        if self.scratch.legs.drain.seen.max(self.site.view.moves) != moves {
            self.look_where_the_user_is(plan, moves);
        }
        let is_due = self.scratch.legs.drain.at_ms.is_some_and(|at| self.client.alarm.reached(at));
        if is_due && self.is_all_here() {
            // Only the client is waited for: new has nothing to do with it any more.
            self.scratch.legs.drain.at_ms = None;
            self.arm();
            return false;
        }
        is_due
    }

    fn look_where_the_user_is(&mut self, plan: &Plan, moves: u64) {
        let bucket = plan.assignment.as_ref().and_then(|assignment| assignment.bucket);
        let now_ms = self.client.alarm.deadline(0);
        let own = plan.migration().and_then(|index| self.site.view.snapshot.migrations.get(index));
        let place = own.and_then(|migration| self.site.worker.place(migration.lineage));
        let drain = &mut self.scratch.legs.drain;
        drain.seen = moves;
        match (place, bucket) {
            // What has left the file moves nobody any more; whom it had moved before that stays moved.
            (None, _) => return,
            (Some((percent, after_ms)), Some(bucket)) if !bucket.is_new(percent) => {
                drain.set(now_ms, after_ms);
            }
            (Some(_), _) => (drain.since_ms, drain.at_ms) = (None, None),
        }
        self.arm();
    }

    /// The whole answer has been received from new.
    fn is_all_here(&self) -> bool {
        self.scratch.legs.answer.as_ref().is_some_and(crate::transfer::Transfer::is_received)
    }
}

#[cfg(test)]
mod tests {
    use super::Drain;

    #[test]
    fn the_time_counts_from_the_return_and_its_length_may_change() {
        let mut drain = Drain::default();
        drain.set(1_000, 30_000);
        assert_eq!(drain.at_ms, Some(31_000));
        drain.set(9_000, 5_000);
        assert_eq!(drain.at_ms, Some(6_000), "which was a while ago");
        drain.set(9_500, 0);
        assert_eq!(drain.at_ms, Some(1_000));
    }
}
