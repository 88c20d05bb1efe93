//! What is to happen to one request, decided before anything happens.

use traffic_split::{Arm, Assignment, RequestView, Role};

use crate::matching::Target;
use crate::snapshot::{AssignCookie, Migration, Snapshot, Timeouts};

/// The decision about one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Index of the migration in [`Snapshot::migrations`]; `None` on a plain route.
    pub migration: Option<usize>,
    /// Index of the upstream that serves the request, in [`Snapshot::upstreams`].
    pub upstream: usize,
    /// The arm that this upstream is; `None` on a plain route.
    pub arm: Option<Arm>,
    /// What the attempt is for.
    pub role: Role,
    /// Why this arm; `None` on a plain route.
    pub assignment: Option<Assignment>,
    /// A key that was made up for this user: the answer must store it, by [`AssignCookie::render`].
    pub set_cookie_key: Option<String>,
    /// How long the upstream may take.
    pub timeouts: Timeouts,
}

/// Decides about a request; `None` when no rule matches it (404).
///
/// A forcing header that works wins over everything, a list of keys over the bucket. A user without a key who reaches
/// the migration's cookie gets the key that `fresh_key` makes, and this very request already uses it; `fresh_key` must
/// give 128 unpredictable bits, and is asked at most once and only then. Without such a cookie nothing is allocated
/// for keys that need no decoding.
pub fn plan(
    snapshot: &Snapshot,
    view: &(impl RequestView + ?Sized),
    fresh_key: &mut dyn FnMut() -> u128,
) -> Option<Plan> {
    let (target, _entry) = snapshot.table.find(view)?;
    match target {
        Target::Upstream(upstream) => Some(Plan {
            migration: None,
            upstream,
            arm: None,
            role: Role::Served,
            assignment: None,
            set_cookie_key: None,
            timeouts: Timeouts::default(),
        }),
        Target::Migration(index) => {
            let migration = snapshot.migrations.get(index)?;
            let (assignment, set_cookie_key) = assign(migration, view, fresh_key);
            Some(Plan {
                migration: Some(index),
                upstream: match assignment.arm {
                    Arm::Old => migration.old,
                    Arm::New => migration.new,
                },
                arm: Some(assignment.arm),
                role: Role::Served,
                assignment: Some(assignment),
                set_cookie_key,
                timeouts: migration.timeouts,
            })
        }
    }
}

fn assign(
    migration: &Migration,
    view: &(impl RequestView + ?Sized),
    fresh_key: &mut dyn FnMut() -> u128,
) -> (Assignment, Option<String>) {
    if let Some(arm) = migration.force.as_ref().and_then(|force| force.arm(view)) {
        return (Assignment::forced(arm), None);
    }
    match &migration.assign_cookie {
        None => (migration.split.assign(view), None),
        Some(cookie) => assign_with_cookie(migration, cookie, view, fresh_key),
    }
}

fn assign_with_cookie(
    migration: &Migration,
    cookie: &AssignCookie,
    view: &(impl RequestView + ?Sized),
    fresh_key: &mut dyn FnMut() -> u128,
) -> (Assignment, Option<String>) {
    let split = &migration.split;
    let place = split.keys.iter().position(|key| cookie.is_source(key)).unwrap_or(split.keys.len());
    // Sources behind the cookie are never reached: from it on there is always a key.
    if let Some((source, key)) = split.find_key_before(view, place.saturating_add(1)) {
        return (Assignment { source: Some(source), ..split.assign_key(&key) }, None);
    }
    let key = format!("{:032x}", fresh_key());
    let assignment = split.assign_key(key.as_bytes());
    (Assignment { source: Some(place), assigned_cookie: true, ..assignment }, Some(key))
}

#[cfg(test)]
mod tests;
