//! Whether a changed configuration would deal the users out anew.
//!
//! A user's place depends on the key that is found and on the salt. With another of either, the same percentage
//! selects other people: some who were on new find themselves back on old, with no percentage lowered. At 0 and at
//! 100 % there is nothing to mix up; between, it has to be said on purpose.

use std::fmt;

use traffic_split::{KeySource, Percent};

/// What decides who goes where in one migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dealing<'a> {
    /// The migration's name.
    pub name: &'a str,
    /// The names of its upstreams, old and new: what tells a renamed migration from another one.
    pub upstreams: (&'a str, &'a str),
    /// The salt in use: as written, or the name.
    pub salt: &'a [u8],
    /// The key list in use, the assigned cookie at its place.
    pub keys: Vec<KeySource>,
    /// The percent in force.
    pub in_force: Percent,
}

impl Dealing<'_> {
    /// Whether some users are on new and some on old.
    fn is_partial(&self) -> bool {
        self.in_force > Percent::ZERO && self.in_force < Percent::FULL
    }
}

/// A change that would move users by accident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reshuffle {
    /// The migration's name in the new configuration.
    pub name: String,
    /// What changed.
    pub change: Change,
    /// The percent in force when it was about to happen.
    pub in_force: Percent,
}

/// Which part of a [`Dealing`] changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key list.
    Keys {
        /// The list before.
        from: Vec<KeySource>,
        /// The list now.
        to: Vec<KeySource>,
    },
    /// The salt.
    Salt {
        /// The salt before.
        from: String,
        /// The salt now.
        to: String,
    },
    /// The name, and with it the salt, since none is written that would stay the same.
    Name {
        /// The name before.
        from: String,
    },
}

impl fmt::Display for Reshuffle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reshuffle { name, change, in_force } = self;
        write!(f, "migration `{name}` has {in_force} % in force, and ")?;
        match change {
            Change::Keys { from, to } => {
                write!(f, "its key list changes from {} to {}", list(from), list(to))?;
            }
            Change::Salt { from, to } => write!(f, "its salt changes from `{from}` to `{to}`")?,
            Change::Name { from } => {
                write!(f, "it was called `{from}` and has no `salt` that stays the same")?;
            }
        }
        f.write_str(", which would move users from one system to the other at random; ")?;
        if let Change::Name { from } = change {
            write!(f, "set `salt = \"{from}\"` to keep everybody's place, or ")?;
        }
        f.write_str("set `reshuffle = true` to do it on purpose")
    }
}

/// Judges the change from one configuration's dealings to the next one's: `Some` when users would be moved that no
/// percentage moves. `may_reshuffle` says of a migration, by its new name, whether that is on purpose.
#[must_use]
pub fn judge(
    before: &[Dealing<'_>],
    after: &[Dealing<'_>],
    may_reshuffle: &dyn Fn(&str) -> bool,
) -> Option<Reshuffle> {
    after.iter().filter(|now| now.is_partial() && !may_reshuffle(now.name)).find_map(|now| {
        let was = predecessor(before, after, now)?;
        if !was.is_partial() {
            return None;
        }
        Some(Reshuffle { name: now.name.to_owned(), change: change(was, now)?, in_force: was.in_force })
    })
}

/// The migration that `now` was before: the one of the same name, else one that is gone and moved between the same
/// two upstreams.
fn predecessor<'a>(
    before: &'a [Dealing<'a>],
    after: &[Dealing<'_>],
    now: &Dealing<'_>,
) -> Option<&'a Dealing<'a>> {
    before.iter().find(|was| was.name == now.name).or_else(|| {
        before
            .iter()
            .filter(|was| was.upstreams == now.upstreams)
            .find(|was| !after.iter().any(|stays| stays.name == was.name))
    })
}

fn change(was: &Dealing<'_>, now: &Dealing<'_>) -> Option<Change> {
    let text = |salt: &[u8]| String::from_utf8_lossy(salt).into_owned();
    if was.salt != now.salt {
        let follows_the_name = was.name != now.name && now.salt == now.name.as_bytes();
        return Some(if follows_the_name {
            Change::Name { from: was.name.to_owned() }
        } else {
            Change::Salt { from: text(was.salt), to: text(now.salt) }
        });
    }
    (was.keys != now.keys).then(|| Change::Keys { from: was.keys.clone(), to: now.keys.clone() })
}

fn list(keys: &[KeySource]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| format!("\"{key}\"")).collect();
    format!("[{}]", keys.join(", "))
}

#[cfg(test)]
mod tests;
