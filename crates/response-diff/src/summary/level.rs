//! How much of two answers differs at once in one place, coarsely.

use std::collections::BTreeMap;

use crate::{Difference, Kind};

/// How much differs at once in one place: the extents ([`Difference::extent`]) of all differences that two answers have
/// there, by powers of two. The first level is anything at all, the next one 2 or more, then 4 or more, and the last one
/// 128 or more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// How many there are.
    pub const COUNT: usize = 8;
    /// Anything at all.
    pub const FIRST: Level = Level(0);
    const LAST: u8 = 7;

    /// The highest level that so much reaches.
    #[must_use]
    pub fn of(extent: u64) -> Level {
        let power = u8::try_from(extent.max(1).ilog2()).unwrap_or(Level::LAST);
        Level(power.min(Level::LAST))
    }

    /// The level of this number, from 0 on; `None` where there is none.
    #[must_use]
    pub fn numbered(number: u8) -> Option<Level> {
        (number <= Level::LAST).then_some(Level(number))
    }

    /// Its number, from 0 on and below [`Level::COUNT`].
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// What it begins with: 1, 2, 4 ... 128.
    #[must_use]
    pub const fn at_least(self) -> u64 {
        1 << self.0
    }

    /// This one and all before it, the first one first.
    pub fn up_to(self) -> impl DoubleEndedIterator<Item = Level> {
        (0..=self.0).map(Level)
    }
}

/// The places of one comparison, each once, with the level that it reaches there.
pub(super) fn levels(differences: &[Difference]) -> BTreeMap<(&str, Kind), Level> {
    let mut extents: BTreeMap<(&str, Kind), u64> = BTreeMap::new();
    for one in differences {
        let extent = extents.entry((one.path.as_str(), one.kind)).or_default();
        *extent = extent.saturating_add(u64::from(one.extent));
    }
    extents.into_iter().map(|(place, extent)| (place, Level::of(extent))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_powers_of_two_up_to_a_last_one() {
        for (extent, number) in [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (127, 6), (128, 7), (u64::MAX, 7)] {
            let level = Level::of(extent);
            assert_eq!(level.number(), number, "{extent}");
            assert!(level.at_least() <= extent.max(1));
            assert_eq!(level.up_to().count(), usize::from(number) + 1);
        }
        let all: Vec<_> = (0..=u8::MAX).filter_map(Level::numbered).collect();
        assert_eq!(all.len(), Level::COUNT);
        assert!(all.iter().all(|level| Level::of(level.at_least()) == *level));
    }
}
