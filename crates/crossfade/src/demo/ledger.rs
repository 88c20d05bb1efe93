//! What the shop's users saw: which arm answered whom, and whether it was the one that should.
//!
//! One user's requests follow each other, so what a user saw is a sequence, and each change of arm in it is a move.
//! A move is right when the split in force sends the user there. The split may change while a request is under way;
//! then the answer is right if it fits what was in force at its start or at its end.

use std::time::Duration;

use telemetry::SnapshotCell;
use traffic_split::{Arm, Bucket, Percent};

use super::latency::Latency;

/// Where the configuration in force sends a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// The number of that configuration.
    pub(super) generation: u64,
    /// The arm.
    pub(super) arm: Arm,
}

impl Expected {
    /// Where `key` belongs now; `None` when the migration is not configured any more.
    pub(super) fn now(snapshots: &SnapshotCell, migration: &str, key: &str) -> Option<Self> {
        let snapshot = snapshots.load();
        let migration = snapshot.migrations.iter().find(|known| known.name == migration)?;
        Some(Expected {
            generation: snapshot.generation,
            arm: migration.split.assign_key(key.as_bytes()).arm,
        })
    }
}

/// One answer that a user got.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// The user's number.
    pub(super) user: usize,
    /// Which shop it came from.
    pub(super) arm: Arm,
    /// Whether the proxy said that old answered in new's place.
    pub(super) stood_in: bool,
    /// From the request's first byte to the answer's last.
    pub(super) took: Duration,
    /// Where the user belonged when the request began.
    pub(super) before: Option<Expected>,
    /// Where the user belonged when the answer was complete.
    pub(super) after: Option<Expected>,
}

/// Sums over all users, cheap enough to be copied many times a second.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Users by the arm that answered them last.
    pub(super) users: [u32; 2],
    /// Users whose last answer old gave in new's place.
    pub(super) users_stood_in: u32,
    /// Right answers by arm.
    pub(super) answers: [u64; 2],
    /// Answers that old gave in new's place.
    pub(super) stood_in: u64,
    /// Requests that got no answer or a wrong one, by the arm that the user belonged to.
    pub(super) failures: [u64; 2],
    /// Those of them that came while both shops were made to fail, which nothing could have covered.
    pub(super) failures_of_both: u64,
    /// Moves from old to new.
    pub(super) moved_to_new: u64,
    /// Moves from new to old.
    pub(super) moved_back: u64,
    /// Moves of users who had already moved since the configuration last changed.
    pub(super) flapped: u64,
    /// Answers from an arm that the split in force does not send the user to.
    pub(super) wrong_arm: u64,
    /// The latest configuration that answers were given under.
    pub(super) generation: u64,
    /// Users who were answered under that configuration, and in this round.
    pub(super) seen: u32,
    /// How long answers took, by arm.
    pub(super) latency: [Latency; 2],
}

impl Tally {
    /// All requests, failed ones included.
    pub(super) fn requests(&self) -> u64 {
        self.answers.iter().chain(&self.failures).sum()
    }

    /// All failed requests.
    pub(super) fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }

    /// Failed requests that should have been none: while one of the shops was well.
    pub(super) fn failed_without_need(&self) -> u64 {
        self.failed().saturating_sub(self.failures_of_both)
    }

    /// Whether no user was ever treated wrongly.
    pub(super) fn is_clean(&self) -> bool {
        self.failed_without_need() == 0 && self.flapped == 0 && self.wrong_arm == 0
    }
}

/// Every user's history, as far as it is needed to judge the next answer.
#[derive(Debug)]
pub(super) struct Ledger {
    users: Vec<User>,
    round: u64,
    tally: Tally,
}

#[derive(Clone, Copy, Debug, Default)]
struct User {
    /// The arm that was last asked for the user's sake.
    arm: Option<Arm>,
    /// The arm that gave the last answer.
    answered_by: Option<Arm>,
    /// Whether it gave it in new's place.
    stood_in: bool,
    /// The configuration and the round of the last answer.
    answered_in: (u64, u64),
    /// The configuration of the last move.
    moved_in: u64,
}

impl Ledger {
    pub(super) fn new(users: usize) -> Self {
        Ledger { users: vec![User::default(); users], round: 0, tally: Tally::default() }
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// From now on it counts anew which users were answered.
    pub(super) fn begin_round(&mut self) {
        self.round += 1;
        self.tally.seen = 0;
    }

    /// Books an answer. To be called in the order in which a user got them.
    pub(super) fn answered(&mut self, answer: &Answer) {
        let Some(user) = self.users.get_mut(answer.user) else { return };
        let tally = &mut self.tally;
        let at = answer.arm.index();
        tally.answers[at] += 1;
        tally.stood_in += u64::from(answer.stood_in);
        tally.latency[at].add(answer.took);

        let arm = if answer.stood_in { Arm::New } else { answer.arm };
        let Some(generation) = explained(answer, arm) else {
            tally.wrong_arm += 1;
            return;
        };
        if generation > tally.generation {
            (tally.generation, tally.seen) = (generation, 0);
        }
        let now = (generation, self.round);
        if generation == tally.generation && user.answered_in < now {
            tally.seen += 1;
        }
        user.answered_in = user.answered_in.max(now);

        tally.users[at] += 1;
        if let Some(before) = user.answered_by.replace(answer.arm) {
            tally.users[before.index()] -= 1;
        }
        tally.users_stood_in += u32::from(answer.stood_in);
        tally.users_stood_in -= u32::from(std::mem::replace(&mut user.stood_in, answer.stood_in));

        if let Some(before) = user.arm.replace(arm)
            && before != arm
        {
            match arm {
                Arm::New => tally.moved_to_new += 1,
                Arm::Old => tally.moved_back += 1,
            }
            if user.moved_in == generation {
                tally.flapped += 1;
            }
            user.moved_in = generation;
        }
    }

    /// Books a request that failed, for a user who belonged to `arm`; `both`: while both shops were made to fail.
    pub(super) fn failed(&mut self, arm: Arm, both: bool) {
        self.tally.failures[arm.index()] += 1;
        self.tally.failures_of_both += u64::from(both);
    }
}

/// Which configuration sent the user to `arm`; `None` when none did.
fn explained(answer: &Answer, arm: Arm) -> Option<u64> {
    let (Some(before), Some(after)) = (answer.before, answer.after) else {
        // Without a migration nothing says where users belong.
        return Some(answer.after.or(answer.before).map_or(0, |known| known.generation));
    };
    if arm == before.arm {
        Some(before.generation)
    } else if arm == after.arm {
        Some(after.generation)
    } else {
        // With more than one change under way, what was in force between them is not known here.
        (after.generation > before.generation + 1).then(|| after.generation - 1)
    }
}

/// The places of all users on the line from 0 to 1, to foretell who moves.
#[derive(Debug)]
pub(super) struct Places(Vec<Bucket>);

impl Places {
    /// Of `users` users, under this salt.
    pub(super) fn of(salt: &str, users: usize) -> Self {
        Places((0..users).map(|user| Bucket::of(salt.as_bytes(), user_id(user).as_bytes())).collect())
    }

    /// How many there are.
    pub(super) fn all(&self) -> usize {
        self.0.len()
    }

    /// How many of them are on new at this percentage.
    pub(super) fn on_new(&self, percent: Percent) -> usize {
        self.0.iter().filter(|bucket| bucket.is_new(percent)).count()
    }
}

/// The id that a user is known by.
pub(super) fn user_id(user: usize) -> String {
    format!("user-{}", 1001 + user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(generation: u64, arm: Arm) -> Option<Expected> {
        Some(Expected { generation, arm })
    }

    fn answer(user: usize, arm: Arm, before: Option<Expected>, after: Option<Expected>) -> Answer {
        Answer { user, arm, stood_in: false, took: Duration::from_millis(5), before, after }
    }

    #[test]
    fn a_rise_and_a_return() {
        let mut ledger = Ledger::new(2);
        for user in 0..2 {
            ledger.answered(&answer(user, Arm::Old, expected(1, Arm::Old), expected(1, Arm::Old)));
        }
        assert_eq!((ledger.tally().users, ledger.tally().seen), ([2, 0], 2));
        // Under way when the split changed, once answered before and once after it.
        ledger.answered(&answer(0, Arm::Old, expected(1, Arm::Old), expected(2, Arm::New)));
        assert_eq!((ledger.tally().generation, ledger.tally().seen), (1, 2));
        ledger.answered(&answer(0, Arm::New, expected(1, Arm::Old), expected(2, Arm::New)));
        ledger.answered(&answer(0, Arm::New, expected(2, Arm::New), expected(2, Arm::New)));
        assert_eq!((ledger.tally().generation, ledger.tally().seen), (2, 1));
        ledger.answered(&answer(1, Arm::Old, expected(2, Arm::Old), expected(2, Arm::Old)));
        assert_eq!((ledger.tally().users, ledger.tally().seen), ([1, 1], 2));
        ledger.answered(&answer(0, Arm::Old, expected(3, Arm::Old), expected(3, Arm::Old)));
        let tally = ledger.tally();
        assert_eq!((tally.moved_to_new, tally.moved_back, tally.users), (1, 1, [2, 0]));
        assert!(tally.is_clean());
        assert_eq!(tally.requests(), 7);
    }

    #[test]
    fn wrong_arms_flaps_and_failures_are_told() {
        let mut ledger = Ledger::new(1);
        let (old, new) = (expected(1, Arm::Old), expected(1, Arm::New));
        ledger.answered(&answer(0, Arm::Old, old, old));
        ledger.answered(&answer(0, Arm::New, old, old));
        assert_eq!((ledger.tally().wrong_arm, ledger.tally().moved_to_new), (1, 0));
        // The same configuration that says this now and that then: both moves are explained, the second is a flap.
        ledger.answered(&answer(0, Arm::New, new, new));
        ledger.answered(&answer(0, Arm::Old, old, old));
        assert_eq!((ledger.tally().flapped, ledger.tally().moved_back), (1, 1));
        ledger.failed(Arm::New, false);
        ledger.failed(Arm::Old, true);
        assert_eq!((ledger.tally().failures, ledger.tally().failed()), ([1, 1], 2));
        assert_eq!(ledger.tally().failed_without_need(), 1);
        assert!(!ledger.tally().is_clean());
        // An unknown user changes nothing.
        ledger.answered(&answer(1, Arm::Old, old, old));
        assert_eq!(ledger.tally().users, [1, 0]);
    }

    #[test]
    fn what_nothing_could_have_covered_is_told_apart() {
        let mut ledger = Ledger::new(1);
        ledger.failed(Arm::Old, true);
        assert!(ledger.tally().is_clean());
        ledger.failed(Arm::Old, false);
        assert!(!ledger.tally().is_clean());
    }

    #[test]
    fn an_answer_in_new_s_place_is_no_move() {
        let mut ledger = Ledger::new(2);
        let (old, new) = (expected(1, Arm::Old), expected(1, Arm::New));
        let stood_in = |user, belongs| Answer { stood_in: true, ..answer(user, Arm::Old, belongs, belongs) };
        ledger.answered(&answer(0, Arm::New, new, new));
        ledger.answered(&answer(1, Arm::Old, old, old));
        ledger.begin_round();
        assert_eq!(ledger.tally().seen, 0);
        ledger.answered(&stood_in(0, new));
        let tally = ledger.tally();
        assert_eq!((tally.users, tally.users_stood_in, tally.stood_in, tally.seen), ([2, 0], 1, 1, 1));
        ledger.answered(&answer(0, Arm::New, new, new));
        let tally = ledger.tally();
        assert_eq!((tally.users, tally.users_stood_in, tally.seen), ([1, 1], 0, 1));
        assert!((tally.moved_to_new, tally.moved_back) == (0, 0) && tally.is_clean());
        // Nobody has to stand in for old.
        ledger.answered(&stood_in(1, old));
        assert_eq!(ledger.tally().wrong_arm, 1);
    }

    #[test]
    fn two_changes_within_one_request_are_not_judged() {
        let mut ledger = Ledger::new(1);
        ledger.answered(&answer(0, Arm::New, expected(1, Arm::Old), expected(3, Arm::Old)));
        assert_eq!((ledger.tally().wrong_arm, ledger.tally().generation), (0, 2));
        ledger.answered(&answer(0, Arm::Old, None, None));
        assert_eq!(ledger.tally().wrong_arm, 0);
    }

    #[test]
    fn who_moves_is_known_before() {
        let places = Places::of("shop", 3000);
        let on_new = |text: &str| places.on_new(text.parse().unwrap());
        assert_eq!((on_new("0"), on_new("100"), places.all()), (0, 3000, 3000));
        assert!((700..800).contains(&on_new("25")));
        // `user-1001` of the table in BUCKETS.md.
        let first = Places::of("shop", 1);
        assert_eq!(first.on_new("27.630821".parse().unwrap()), 0);
        assert_eq!(first.on_new("27.630822".parse().unwrap()), 1);
    }
}
