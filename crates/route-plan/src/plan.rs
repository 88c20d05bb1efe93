//! What is to happen to one request, decided before anything happens.

use traffic_split::{Arm, Assignment, Percent, RequestView, Role};

use crate::fallback::{Fallback, FallbackPolicy};
use crate::limits::Timeouts;
use crate::matching::Target;
use crate::rules::Rules;
use crate::shadow::Copying;
use crate::snapshot::{AssignCookie, Migration, Snapshot};

/// The decision about one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The rule that the request goes by.
    pub target: Target,
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
    /// What happens when this attempt fails; `None`: its failure is passed on.
    pub fallback: Option<Fallback>,
    /// Whether a copy goes to the other arm; `None` where the migration has no shadow.
    pub shadow: Option<Copying>,
    /// Endpoints that count as unhealthy are tried when there are no others. Not so on new: it counts as never reached.
    pub last_resort: bool,
}

impl Plan {
    /// Index of the migration in [`Snapshot::migrations`]; `None` on a plain route.
    #[must_use]
    pub fn migration(&self) -> Option<usize> {
        match self.target {
            Target::Migration(index) => Some(index),
            Target::Route(_) => None,
        }
    }

    /// The plan by which old answers what new has failed; `None` where there is no [`Plan::fallback`].
    #[must_use]
    pub fn by_old(&self) -> Option<Plan> {
        let fallback = self.fallback?;
        Some(Plan {
            upstream: fallback.upstream as usize,
            arm: Some(Arm::Old),
            role: Role::Fallback,
            fallback: None,
            shadow: None,
            last_resort: true,
            ..self.clone()
        })
    }

    /// What is changed in the messages of this attempt.
    #[must_use]
    pub fn rules<'s>(&self, snapshot: &'s Snapshot) -> Option<&'s Rules> {
        match (self.target, self.arm) {
            (Target::Migration(index), Some(arm)) => {
                snapshot.migrations.get(index).and_then(|migration| migration.rules.get(arm.index()))
            }
            (Target::Migration(_), None) => None,
            (Target::Route(index), _) => snapshot.routes.get(index).map(|route| &route.rules),
        }
    }
}

/// Decides about a request; `None` when no rule matches it (404).
///
/// A forcing header that works wins over everything, a list of keys over the bucket. A user without a key who reaches
/// the migration's cookie gets the key that `random` makes, and this very request already uses it; `random` must
/// give 128 unpredictable bits; it is asked only then, and where requests are held out of a shadow by chance. Without such a cookie nothing is allocated
/// for keys that need no decoding.
pub fn plan(
    snapshot: &Snapshot,
    view: &(impl RequestView + ?Sized),
    random: &mut dyn FnMut() -> u128,
) -> Option<Plan> {
    let (target, _entry) = snapshot.table.find(view)?;
    match target {
        Target::Route(index) => {
            let route = snapshot.routes.get(index)?;
            Some(Plan {
                target,
                upstream: route.upstream,
                arm: None,
                role: Role::Served,
                assignment: None,
                set_cookie_key: None,
                timeouts: route.timeouts,
                fallback: None,
                shadow: None,
                last_resort: true,
            })
        }
        Target::Migration(index) => {
            let migration = snapshot.migrations.get(index)?;
            let (assignment, set_cookie_key) = assign(migration, view, random);
            let arm = assignment.arm;
            let policy = migration.fallback.as_ref().filter(|_| arm == Arm::New);
            let shadow = migration.shadow.as_ref().map(|policy| {
                let draw = if policy.holdout == Percent::ZERO { u32::MAX } else { low_bits(random()) };
                policy.decide(migration.phase, migration.split.percent, &assignment, view, draw)
            });
            Some(Plan {
                target,
                upstream: match arm {
                    Arm::Old => migration.old,
                    Arm::New => migration.new,
                },
                arm: Some(arm),
                role: Role::Served,
                assignment: Some(assignment),
                shadow,
                set_cookie_key,
                timeouts: migration.timeouts,
                fallback: policy.map(|policy| fallback(policy, migration.old, view)),
                last_resort: arm == Arm::Old,
            })
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "32 random bits out of 128 are wanted")]
fn low_bits(random: u128) -> u32 {
    random as u32
}

fn fallback(policy: &FallbackPolicy, old: usize, view: &(impl RequestView + ?Sized)) -> Fallback {
    // RFC 9110 section 9.2.1.
    let safe = matches!(view.method(), b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE");
    Fallback {
        // A configuration has nowhere near that many.
        upstream: u32::try_from(old).unwrap_or(u32::MAX),
        after_ms: policy.after_ms,
        statuses: policy.statuses,
        body_bytes: policy.body_bytes,
        concurrency: policy.concurrency,
        replayable: safe || policy.listed.find(view).is_some(),
    }
}

fn assign(
    migration: &Migration,
    view: &(impl RequestView + ?Sized),
    random: &mut dyn FnMut() -> u128,
) -> (Assignment, Option<String>) {
    if let Some(arm) = migration.force.as_ref().and_then(|force| force.arm(view)) {
        return (Assignment::forced(arm), None);
    }
    match &migration.assign_cookie {
        None => (migration.split.assign(view), None),
        Some(cookie) => assign_with_cookie(migration, cookie, view, random),
    }
}

fn assign_with_cookie(
    migration: &Migration,
    cookie: &AssignCookie,
    view: &(impl RequestView + ?Sized),
    random: &mut dyn FnMut() -> u128,
) -> (Assignment, Option<String>) {
    let split = &migration.split;
    let place = split.keys.iter().position(|key| cookie.is_source(key)).unwrap_or(split.keys.len());
    // Sources behind the cookie are never reached: from it on there is always a key.
    if let Some((source, key)) = split.find_key_before(view, place.saturating_add(1)) {
        return (Assignment { source: Some(source), ..split.assign_key(&key) }, None);
    }
    let key = format!("{:032x}", random());
    let assignment = split.assign_key(key.as_bytes());
    (Assignment { source: Some(place), assigned_cookie: true, ..assignment }, Some(key))
}

#[cfg(test)]
mod tests;
