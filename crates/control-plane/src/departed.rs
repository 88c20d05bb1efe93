//! The migrations that left the file.
//!
//! A migration may be gone for a moment only: a file that was edited in two steps, a deployment that was undone. What
//! a person asked for, a rollback above all, must not be undone by that, so it is kept by name until the name comes
//! back. Names could come and go for ever, so there is a limit; the one that left first is forgotten
//! first, and one that is latched only when all are.

use std::collections::VecDeque;

use ramp::Intent;
use ramp::reshuffle::Dealing;

use crate::change::LastChanges;

/// How many are remembered.
const MAX_DEPARTED: usize = 1024;

/// The migrations that left the file, the latest last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Departed {
    all: VecDeque<One>,
    forgotten: u64,
}

/// How a migration stood when it left.
#[derive(Clone, Debug)]
pub(crate) struct One {
    pub(crate) dealing: Dealing,
    pub(crate) intent: Intent,
    pub(crate) last_changes: LastChanges,
}

impl Departed {
    /// How the migration of this name stood.
    pub(crate) fn get(&self, name: &str) -> Option<&One> {
        self.all.iter().find(|one| one.dealing.name == name)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut One> {
        self.all.iter_mut().find(|one| one.dealing.name == name)
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|one| one.dealing.name.as_str())
    }

    /// Takes out the migration of this name: it is back.
    pub(crate) fn take(&mut self, name: &str) -> Option<One> {
        let at = self.all.iter().position(|one| one.dealing.name == name)?;
        self.all.remove(at)
    }

    /// Remembers one that leaves. Where that is one too many, another is forgotten, counted and told.
    pub(crate) fn add(&mut self, one: One) {
        let unlatched = self.all.iter().position(|one| one.intent.latch.is_none());
        if self.all.len() == MAX_DEPARTED
            && let Some(oldest) = self.all.remove(unlatched.unwrap_or(0))
        {
            self.forgotten += 1;
            tracing::warn!(
                migration = oldest.dealing.name,
                forgotten = self.forgotten,
                "{}: left the file so long ago that its percent and phase are forgotten; {} were so far",
                oldest.dealing.name,
                self.forgotten
            );
        }
        self.all.push_back(one);
    }
}

#[cfg(test)]
mod tests {
    use ramp::{Policy, Written};
    use traffic_split::Percent;

    use super::*;

    #[test]
    fn the_one_that_left_first_is_forgotten_first_and_counted() {
        let one = |index: usize| One {
            dealing: Dealing {
                name: format!("m{index}"),
                upstreams: (String::new(), String::new()),
                salt: Vec::new(),
                keys: Vec::new(),
                assigned_cookie: None,
                trusted_proxies: Vec::new(),
                in_force: Percent::ZERO,
            },
            intent: Intent::first(Written { attempt: 1, ..Written::default() }, &Policy::default()),
            last_changes: LastChanges::default(),
        };
        let mut departed = Departed::default();
        (0..MAX_DEPARTED + 2).for_each(|index| departed.add(one(index)));
        assert!(departed.get("m1").is_none() && departed.get("m2").is_some());
        assert_eq!((departed.all.len(), departed.forgotten), (MAX_DEPARTED, 2));
        assert!(departed.take("m2").is_some() && departed.take("m2").is_none());
    }
}
