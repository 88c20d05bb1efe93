//! Whether a changed configuration would deal the users out anew.
//!
//! A user's place depends on the key that is found and on the salt. With another of either, the same percentage
//! selects other people: some who were on new find themselves back on old, with no percentage lowered. At 0 there is
//! nothing to mix up. At 100 % another salt changes nothing, but another key list does: whoever it gives no key goes
//! to old. All else has to be said on purpose.

use std::fmt;

use traffic_split::{KeySource, Percent};

/// What decides who goes where in one migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dealing {
    /// The migration's name.
    pub name: String,
    /// The names of its upstreams, old and new: they help to tell a renamed migration from another one.
    pub upstreams: (String, String),
    /// The salt in use: as written, or the name.
    pub salt: Vec<u8>,
    /// The key list in use, the assigned cookie at its place.
    pub keys: Vec<KeySource>,
    /// The cookie that gives a key to whoever has none, if there is one.
    pub assigned_cookie: Option<String>,
    /// The networks whose word about the client's address is taken: they decide what `client-ip` finds.
    pub trusted_proxies: Vec<String>,
    /// The percent in force.
    pub in_force: Percent,
}

impl Dealing {
    /// Whether some users are on new and some on old.
    fn is_partial(&self) -> bool {
        self.in_force > Percent::ZERO && self.in_force < Percent::FULL
    }

    /// Whether its key list finds a key in every request.
    fn keys_everyone(&self) -> bool {
        self.keys.iter().any(|key| match key {
            KeySource::RequestId | KeySource::ClientIp => true,
            KeySource::Cookie(name) => self.assigned_cookie.as_ref() == Some(name),
            _ => false,
        })
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
    /// The networks that are trusted to name the client's address, which is a key.
    TrustedProxies {
        /// The networks before.
        from: Vec<String>,
        /// The networks now.
        to: Vec<String>,
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
            Change::TrustedProxies { from, to } => write!(
                f,
                "with `trusted_proxies` changing from {} to {} its key `client-ip` finds other addresses",
                list(from),
                list(to)
            )?,
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

/// Judges the change of a migration from one configuration to the next: `Some` when users would be moved that no
/// percentage moves.
#[must_use]
pub fn judge(was: &Dealing, now: &Dealing) -> Option<Reshuffle> {
    let change = change(was, now)?;
    let moves_users = match &change {
        // Another key list moves those to old whom it gives no key, also where everybody is on new.
        Change::Keys { .. } => {
            was.in_force > Percent::ZERO
                && now.in_force > Percent::ZERO
                && !(now.in_force == Percent::FULL && now.keys_everyone())
        }
        Change::Salt { .. } | Change::Name { .. } | Change::TrustedProxies { .. } => {
            was.is_partial() && now.is_partial()
        }
    };
    moves_users.then(|| Reshuffle { name: now.name.clone(), change, in_force: was.in_force })
}

/// The migration that `now`, one of `after`, was before: the one of the same name, else one that is gone and dealt
/// its users out by the same salt and keys, else one that is gone and moved between the same two upstreams.
#[must_use]
pub fn predecessor<'a>(before: &'a [Dealing], after: &[Dealing], now: &Dealing) -> Option<&'a Dealing> {
    if let Some(same) = before.iter().find(|was| was.name == now.name) {
        return Some(same);
    }
    let gone = || before.iter().filter(|was| !after.iter().any(|stays| stays.name == was.name));
    gone()
        .find(|was| was.salt == now.salt && was.keys == now.keys)
        .or_else(|| gone().find(|was| was.upstreams == now.upstreams))
}

/// What changed, the worst first: a key list that leaves users out counts also where another salt does not.
fn change(was: &Dealing, now: &Dealing) -> Option<Change> {
    let text = |salt: &[u8]| String::from_utf8_lossy(salt).into_owned();
    if was.keys != now.keys {
        return Some(Change::Keys { from: was.keys.clone(), to: now.keys.clone() });
    }
    if was.salt != now.salt {
        let follows_the_name = was.name != now.name && now.salt == now.name.as_bytes();
        return Some(if follows_the_name {
            Change::Name { from: was.name.clone() }
        } else {
            Change::Salt { from: text(&was.salt), to: text(&now.salt) }
        });
    }
    let other_addresses =
        now.keys.contains(&KeySource::ClientIp) && was.trusted_proxies != now.trusted_proxies;
    other_addresses.then(|| Change::TrustedProxies {
        from: was.trusted_proxies.clone(),
        to: now.trusted_proxies.clone(),
    })
}

fn list(items: &[impl fmt::Display]) -> String {
    let items: Vec<_> = items.iter().map(|item| format!("\"{item}\"")).collect();
    format!("[{}]", items.join(", "))
}

#[cfg(test)]
mod tests;
