//! The two systems, and what one attempt at one of them is for. Two types, because a shadow can go to either arm.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// One of the two systems of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arm {
    /// The system that is being replaced. It is what everything falls back to.
    Old,
    /// The system that replaces it.
    New,
}

impl Arm {
    /// Both arms, in the order of [`Arm::index`].
    pub const ALL: [Arm; 2] = [Arm::Old, Arm::New];

    /// The word used in configuration, metrics and headers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Arm::Old => "old",
            Arm::New => "new",
        }
    }

    /// Position in tables that have one place for each arm: 0 for old, 1 for new.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Arm::Old => 0,
            Arm::New => 1,
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Arm {
        match self {
            Arm::Old => Arm::New,
            Arm::New => Arm::Old,
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Arm {
    type Err = ArmError;

    /// Reads exactly `old` or `new`.
    ///
    /// # Errors
    /// [`ArmError`] for any other text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Arm::ALL.into_iter().find(|arm| arm.as_str() == text).ok_or(ArmError)
    }
}

/// The text names no arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArmError;

impl fmt::Display for ArmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected `old` or `new`")
    }
}

impl Error for ArmError {}

/// What one attempt at an upstream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Its answer goes to the client.
    Served,
    /// A copy whose answer no user sees.
    Shadow,
    /// Old answering after new failed the request.
    Fallback,
    /// A write that both systems must receive.
    DualWrite,
}

impl Role {
    /// Every role, in the order of [`Role::index`].
    pub const ALL: [Role; 4] = [Role::Served, Role::Shadow, Role::Fallback, Role::DualWrite];

    /// The word used in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Served => "served",
            Role::Shadow => "shadow",
            Role::Fallback => "fallback",
            Role::DualWrite => "dual-write",
        }
    }

    /// Position in tables that have one place for each role.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Role::Served => 0,
            Role::Shadow => 1,
            Role::Fallback => 2,
            Role::DualWrite => 3,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{Arm, ArmError, Role};

    #[test]
    fn arms_and_roles_are_numbered_in_order() {
        for (at, arm) in Arm::ALL.into_iter().enumerate() {
            assert_eq!(arm.index(), at);
            assert_eq!(arm.to_string().parse(), Ok(arm));
        }
        for (at, role) in Role::ALL.into_iter().enumerate() {
            assert_eq!(role.index(), at);
        }
        assert_eq!("New".parse::<Arm>(), Err(ArmError));
        assert_eq!(format!("{:>5}|{:<6}|", Arm::New, Arm::Old), "  new|old   |");
        assert_eq!(Role::DualWrite.to_string(), "dual-write");
    }
}
