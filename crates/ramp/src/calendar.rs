//! When the percentage may rise: windows in which it may, freezes in which it may not.
//!
//! Both are about what a clock on the wall of some place shows, and this is all that is asked: a moment lies in a
//! window if the wall clock then shows a day and a time within it. So daylight saving needs no rule of its own. An
//! hour that the clock shows twice is inside both times, one that it leaps over is never inside, and every moment has
//! one answer.
//!
//! Only increases are held back. Going back is never a matter of the hour.

use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// How far ahead an opening is looked for.
const HORIZON_DAYS: i64 = 400;

/// When the percentage may rise.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    /// Where the clock hangs.
    pub time_zone: TimeZone,
    /// It may rise within any of them; none: always.
    pub windows: Vec<Window>,
    /// It may not rise within any of them.
    pub freezes: Vec<Freeze>,
}

impl Default for Calendar {
    fn default() -> Self {
        Calendar { time_zone: TimeZone::UTC, windows: Vec::new(), freezes: Vec::new() }
    }
}

/// Hours of some days of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The days; one at least.
    pub days: Vec<Weekday>,
    /// The first moment inside.
    pub from: Time,
    /// The first moment outside; not before `from`. `None`: midnight.
    pub to: Option<Time>,
}

/// A span of days, or hours, of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// The first moment inside.
    pub from: DateTime,
    /// The first moment outside.
    pub to: DateTime,
    /// What for.
    pub reason: Option<String>,
}

/// Why the percentage may not rise now.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// The freeze, or else it is outside of all windows.
    pub freeze: Option<Freeze>,
    /// When it may again, as the wall clock will have it; `None`: not within a year.
    pub until: Option<Zoned>,
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.freeze {
            Some(Freeze { reason: Some(reason), .. }) => write!(f, "a freeze ({reason})")?,
            Some(_) => f.write_str("a freeze")?,
            None => f.write_str("outside of the calendar's windows")?,
        }
        match &self.until {
            Some(until) => {
                let zone = until.time_zone().iana_name().unwrap_or("UTC");
                write!(f, " until {} {zone}", until.strftime("%Y-%m-%d %H:%M"))
            }
            None => write!(f, " for more than {HORIZON_DAYS} days"),
        }
    }
}

impl Calendar {
    /// Why the percentage may not rise at `now`; `None` when it may.
    #[must_use]
    pub fn closed(&self, now: Timestamp) -> Option<Closed> {
        let wall = self.time_zone.to_datetime(now);
        (!self.is_open(wall)).then(|| Closed {
            freeze: self.freezes.iter().find(|freeze| freeze.contains(wall)).cloned(),
            until: self.next_opening(now),
        })
    }

    /// The first moment from `now` on at which the percentage may rise; `None`: not within the horizon of 400 days.
    #[must_use]
    pub fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_open(self.time_zone.to_datetime(now)) {
            return Some(now);
        }
        self.next_opening(now).map(|zoned| zoned.timestamp())
    }

    fn is_open(&self, wall: DateTime) -> bool {
        let in_window = self.windows.is_empty() || self.windows.iter().any(|window| window.contains(wall));
        in_window && !self.freezes.iter().any(|freeze| freeze.contains(wall))
    }

    /// It can only open where a window begins, a freeze ends, or the clock is put forward or back.
    fn next_opening(&self, now: Timestamp) -> Option<Zoned> {
        let last = now.checked_add((HORIZON_DAYS * 24).hours()).ok()?;
        let zoned = |at: DateTime| self.time_zone.to_ambiguous_zoned(at).compatible().ok();
        let opens =
            |at: &Zoned| at.timestamp() > now && at.timestamp() <= last && self.is_open(at.datetime());
        let today = self.time_zone.to_datetime(now).date();
        let windows = if self.windows.is_empty() { 0 } else { HORIZON_DAYS };
        let mut days = (0..=windows).map_while(|day| today.checked_add(day.days()).ok());
        // The first day on which one of the windows opens it is enough.
        let begins = days.find_map(|date| {
            let own = self.windows.iter().filter(|window| window.days.contains(&date.weekday()));
            let begins = own.filter_map(|window| zoned(date.to_datetime(window.from)));
            begins.filter(opens).min_by_key(Zoned::timestamp)
        });
        let ends = self.freezes.iter().filter_map(|freeze| zoned(freeze.to));
        let changes = self.time_zone.following(now).map(|change| change.timestamp());
        let changes = changes.take_while(|at| *at <= last).map(|at| at.to_zoned(self.time_zone.clone()));
        begins.into_iter().chain(ends.chain(changes).filter(opens)).min_by_key(Zoned::timestamp)
    }
}

impl Window {
    fn contains(&self, wall: DateTime) -> bool {
        let time = wall.time();
        self.days.contains(&wall.weekday()) && self.from <= time && self.to.is_none_or(|to| time < to)
    }
}

impl Freeze {
    fn contains(&self, wall: DateTime) -> bool {
        self.from <= wall && wall < self.to
    }
}

#[cfg(test)]
mod tests;
