//! What happens, from the beginning to the end.

use std::time::Duration;

use crate::demo::shop::Fault;

use super::Deed;

/// So many answers of a shop that fails are one failure.
pub(super) const FAILS_ONE_IN: u32 = 10;
/// So many times as long takes an answer of a shop that is slow.
pub(super) const SLOW_TIMES: u32 = 4;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Everybody is on old.
    Old,
    /// New gets copies of what users ask old.
    Copy,
    /// What is wrong with new is found by comparing.
    Find,
    /// What differs by itself is learned from old, asked twice.
    Learn,
    /// The rules that are suggested are written into the file.
    Apply,
    /// New is mended, and compared anew until its answers are shown to match.
    Mend,
    /// The ramp begins, and goes on to its second step.
    Climb,
    /// New begins to fail, and the guard takes everybody back.
    Fail,
    /// The rollback holds against a `set`.
    Refuse,
    /// New is fixed, and the ramp begins again.
    Resume,
    /// New becomes slow, and the guard takes everybody back.
    Slow,
    /// New is fixed again.
    ResumeAgain,
    /// Both shops fail alike, and the guard leaves users where they are.
    Outage,
    /// The ramp goes on until everybody gets new.
    Arrive,
    /// The new shop dies while everybody is on it.
    Kill,
    /// The new shop is open again.
    Revive,
    /// A person takes everybody back.
    Back,
}

/// All of it.
pub(super) const ACTS: [Act; 17] = [
    Act::Old,
    Act::Copy,
    Act::Find,
    Act::Learn,
    Act::Apply,
    Act::Mend,
    Act::Climb,
    Act::Fail,
    Act::Refuse,
    Act::Resume,
    Act::Slow,
    Act::ResumeAgain,
    Act::Outage,
    Act::Arrive,
    Act::Kill,
    Act::Revive,
    Act::Back,
];

impl Act {
    /// What the demo does as it begins.
    pub(super) fn deed(self) -> Option<Deed> {
        let fails = Fault::Fails { one_in: FAILS_ONE_IN };
        Some(match self {
            Act::Old | Act::Find | Act::Learn | Act::Arrive => return None,
            Act::Copy => Deed::Copy,
            Act::Apply => Deed::Apply,
            Act::Mend => Deed::Mend,
            Act::Climb => Deed::Advance,
            Act::Fail => Deed::Spoil(fails),
            Act::Refuse => Deed::AskInVain,
            Act::Resume | Act::ResumeAgain => Deed::Resume,
            Act::Slow => Deed::Spoil(Fault::Slow { times: SLOW_TIMES }),
            Act::Outage => Deed::SpoilBoth(fails),
            Act::Kill => Deed::Kill,
            Act::Revive => Deed::Revive,
            Act::Back => Deed::RollBack,
        })
    }

    /// Whether new gets copies in it, whose answers are compared.
    pub(super) fn compares(self) -> bool {
        matches!(self, Act::Copy | Act::Find | Act::Learn | Act::Apply | Act::Mend)
    }

    /// Whether users may have been taken back in it.
    pub(super) fn may_be_latched(self) -> bool {
        matches!(self, Act::Fail | Act::Refuse | Act::Slow | Act::Back)
    }

    /// Whether a rollback ends as it begins.
    pub(super) fn begins_with_a_resume(self) -> bool {
        self.deed() == Some(Deed::Resume)
    }

    /// How long it stays from its beginning so that it can be read.
    pub(super) fn reading(self) -> Duration {
        Duration::from_millis(match self {
            Act::Resume | Act::ResumeAgain => 2_500,
            Act::Apply => 5_000,
            _ => 4_000,
        })
    }

    /// How long it stays from when it has settled.
    pub(super) fn pause(self) -> Duration {
        Duration::from_millis(match self {
            Act::Fail | Act::Slow => 5_000,
            Act::Outage | Act::Back => 4_000,
            Act::Learn => 3_000,
            Act::Arrive | Act::Mend => 2_000,
            Act::Climb => 1_000,
            _ => 0,
        })
    }
}
