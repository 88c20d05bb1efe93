//! The story that the demo tells: new gets copies, what comparing finds is mended, a ramp takes users to new, new fails, becomes slow, fails together with old, and in
//! the end everybody gets new; then new is killed and comes back, and a person takes everybody back.
//!
//! An act is over when it has settled, which is when what it is about has come about and every user was answered since
//! (but where something is to break before the ramp goes on from its step), and when there was time to read what it says.
//! After the last act, and from the moment somebody else says how things are to be, the migration belongs to whoever
//! watches; the story then only follows. Decides nothing by a clock of its own.

mod acts;
mod telling;

use std::time::Duration;

use traffic_split::Percent;

use super::shop::Fault;
use acts::{ACTS, Act};

/// An act that has not settled in so much more than a round of all users takes has a fault to be looked for.
const ROUNDS: u32 = 10;
const SLACK: Duration = Duration::from_secs(10);
/// A ramp that has waited so long for one step is made to go on.
const STEP_LIMIT: Duration = Duration::from_secs(60);
/// The guard has so long to see what is wrong with new, and users to be back.
const ROLLBACK_LIMIT: Duration = Duration::from_secs(30);
/// Comparing has so long to find what it is about.
const COMPARE_LIMIT: Duration = Duration::from_secs(60);
/// What the new shop was asked before it was mended is answered and compared after so long.
const UNDER_WAY: Duration = Duration::from_millis(1_500);
/// So many comparisons by other rules say what these do to the match rate.
const TELLING: u64 = 1_000;
/// After so long in the first step something else breaks, though some users may not have been answered in it.
const GLANCE: Duration = Duration::from_millis(2_500);
/// For so long both shops fail.
const BOTH_FAIL: Duration = Duration::from_millis(1_500);
/// For so long it is watched, after that, whether anything comes of it.
const AFTERMATH: Duration = Duration::from_millis(1_500);

/// What comparing has come to, as far as the story goes by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Compared {
    /// New gets copies.
    pub(super) is_on: bool,
    /// Comparisons since they began to count, noise and races left out.
    pub(super) judged: u64,
    /// Comparisons began to count anew in this act.
    pub(super) is_anew: bool,
    /// All that is planted was found.
    pub(super) has_all_faults: bool,
    /// All that is noise is known to be.
    pub(super) has_all_noise: bool,
    /// More match than when the act began.
    pub(super) has_risen: bool,
    /// So many match, with evidence, that users may get new.
    pub(super) is_proven: bool,
}

/// What was seen at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Since the demo began.
    pub(super) now: Duration,
    /// The percent in force; `None` while the migration is not configured.
    pub(super) in_force: Option<Percent>,
    /// Whether every user was answered since the act began, and under the configuration in force.
    pub(super) all_answered: bool,
    /// Users whose last answer came from new.
    pub(super) on_new: u32,
    /// Users whose last answer old gave in new's place.
    pub(super) stood_in: u32,
    /// Which step the ramp is in, from 1; 0 before the first.
    pub(super) step: usize,
    /// Everybody gets new for good.
    pub(super) is_full: bool,
    /// A rollback holds.
    pub(super) is_latched: bool,
    /// What the rollback came to was seen in the counters.
    pub(super) is_verified: bool,
    /// The last word was neither the demo's nor the ramp's nor the guard's.
    pub(super) by_others: bool,
    /// What comparing has come to.
    pub(super) compared: Compared,
}

/// What the demo does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Lets new get copies.
    Copy,
    /// Adds the rules that are suggested to the file.
    Apply,
    /// What was planted is not wrong with new any more.
    Mend,
    /// What was compared so far says nothing any more.
    CompareAnew,
    /// Says that the ramp may begin.
    Advance,
    /// Makes the ramp go on although it is not shown yet that it may.
    Insist,
    /// Something is wrong with new.
    Spoil(Fault),
    /// Something is wrong with both.
    SpoilBoth(Fault),
    /// Nothing is wrong with either any more.
    Heal,
    /// Asks for a percentage although a rollback holds.
    AskInVain,
    /// Nothing is wrong any more, and the migration is resumed.
    Resume,
    /// The new shop is killed.
    Kill,
    /// The new shop is opened again.
    Revive,
    /// A person takes everybody back.
    RollBack,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// An act begins with this; `None`: with nothing but watching.
    Begin(Option<Deed>),
    /// This is to be done within the act.
    Do(Deed),
    /// Somebody else said how things are to be.
    Followed,
    /// The act has settled.
    Settled,
    /// The last act is over.
    Over,
    /// The act does not settle.
    Stuck,
    /// Users were taken back although nothing was wrong with new alone.
    Blamed,
}

/// What of comparing an act is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chapter {
    /// What copying does to users.
    Copies,
    /// What differs.
    Differences,
    /// What of it is noise, and the rules for that.
    Noise,
    /// What those rules do.
    Rules,
    /// How well new matches once it is mended.
    Match,
}

/// Where the story is.
#[derive(Debug)]
pub(super) struct Story {
    /// Position in [`ACTS`]; beyond them the migration is the watcher's.
    at: usize,
    /// Whether it was somebody else who had the last word.
    followed: bool,
    from: Percent,
    to: Percent,
    step: usize,
    /// When the act began, when users were last moved or the ramp was made to go on, and when the act settled.
    began: Duration,
    moved: Duration,
    settled: Option<Duration>,
    is_latched: bool,
    /// What the act broke, or found broken, was mended in it.
    is_healed: bool,
    compared: Compared,
    stuck: bool,
    fast: bool,
    round: Duration,
}

impl Story {
    /// The beginning: nobody is on new. `round` is how long it takes until every user was asked for once; `fast` leaves
    /// no time for reading.
    pub(super) fn new(round: Duration, fast: bool) -> Self {
        Story {
            at: 0,
            followed: false,
            from: Percent::ZERO,
            to: Percent::ZERO,
            step: 0,
            began: Duration::ZERO,
            moved: Duration::ZERO,
            settled: None,
            is_latched: false,
            is_healed: false,
            compared: Compared::default(),
            stuck: false,
            fast,
            round,
        }
    }

    /// Goes on by what was seen. What a [`Turn`] asks for is expected to be done before the next look.
    pub(super) fn look(&mut self, seen: Seen) -> Option<Turn> {
        let in_force = seen.in_force?;
        let was_latched = std::mem::replace(&mut self.is_latched, seen.is_latched);
        (self.step, self.compared) = (seen.step, seen.compared);
        let Some(act) = self.act() else { return self.follow(in_force, seen) };
        // The demo's own resume is done before the next look, and begins an act.
        let resumed_by_others = was_latched && !seen.is_latched && !act.begins_with_a_resume();
        if seen.by_others || resumed_by_others {
            (self.followed, self.at) = (true, ACTS.len());
            self.begin(seen.now);
            self.move_to(in_force, seen.now);
            return Some(Turn::Followed);
        }
        if in_force != self.to {
            self.move_to(in_force, seen.now);
        }
        if seen.is_latched && !act.may_be_latched() {
            return Some(Turn::Blamed);
        }
        let Some(settled) = self.settled else { return self.wait(act, seen) };
        let was_read = seen.now.saturating_sub(self.began) >= act.reading()
            && seen.now.saturating_sub(settled) >= act.pause();
        if !was_read && !self.fast {
            return None;
        }
        self.at += 1;
        self.begin(seen.now);
        Some(self.act().map_or(Turn::Over, |act| Turn::Begin(act.deed())))
    }

    /// Whatever the watcher does.
    fn follow(&mut self, in_force: Percent, seen: Seen) -> Option<Turn> {
        if in_force != self.to {
            self.followed = true;
            self.begin(seen.now);
            self.move_to(in_force, seen.now);
            return Some(Turn::Followed);
        }
        if self.settled.is_none() && seen.all_answered {
            self.settled = Some(seen.now);
            return Some(Turn::Settled);
        }
        None
    }

    /// Until the act has settled.
    fn wait(&mut self, act: Act, seen: Seen) -> Option<Turn> {
        let took = seen.now.saturating_sub(self.began);
        if act == Act::Outage && !self.is_healed {
            self.is_healed = took >= BOTH_FAIL;
            return self.is_healed.then_some(Turn::Do(Deed::Heal));
        }
        if act == Act::Mend && !self.is_healed {
            self.is_healed = took >= UNDER_WAY;
            return self.is_healed.then_some(Turn::Do(Deed::CompareAnew));
        }
        let waited = seen.now.saturating_sub(self.moved);
        let was_seen = match act {
            Act::Find | Act::Learn | Act::Apply | Act::Mend | Act::Climb | Act::Outage => true,
            Act::Resume | Act::ResumeAgain => seen.all_answered || waited >= GLANCE,
            _ => seen.all_answered,
        };
        if was_seen && self.has_come_about(act, seen) {
            self.settled = Some(seen.now);
            return Some(Turn::Settled);
        }
        let answering = self.round * ROUNDS + SLACK;
        match act {
            Act::Climb | Act::Arrive
                if waited > STEP_LIMIT + answering && !self.has_come_about(act, seen) =>
            {
                self.moved = seen.now;
                return Some(Turn::Do(Deed::Insist));
            }
            Act::Climb | Act::Arrive if !self.has_come_about(act, seen) => return None,
            Act::Fail | Act::Slow if !seen.is_latched && waited <= ROLLBACK_LIMIT => return None,
            _ if act.compares() && took <= COMPARE_LIMIT => return None,
            _ if waited <= answering || self.stuck => return None,
            _ => {}
        }
        self.stuck = true;
        Some(Turn::Stuck)
    }

    /// Whether what the act is about has come about.
    fn has_come_about(&self, act: Act, seen: Seen) -> bool {
        match act {
            Act::Old => true,
            Act::Copy => seen.compared.is_on && seen.compared.judged > 0,
            Act::Find => seen.compared.has_all_faults,
            Act::Learn => seen.compared.has_all_noise,
            Act::Apply => self.tells(seen.compared),
            Act::Mend => self.tells(seen.compared) && seen.compared.is_proven,
            Act::Climb => seen.step >= 2,
            Act::Fail | Act::Slow => seen.is_latched && seen.is_verified,
            Act::Refuse => seen.is_latched,
            Act::Resume | Act::ResumeAgain => seen.step >= 1,
            Act::Outage => seen.now.saturating_sub(self.began) >= BOTH_FAIL + AFTERMATH,
            Act::Arrive => seen.is_full,
            Act::Kill => seen.on_new == 0,
            Act::Revive => seen.stood_in == 0,
            Act::Back => seen.is_latched && seen.is_verified,
        }
    }

    /// Whether what was compared since the rules or new changed says that this was for the better.
    fn tells(&self, compared: Compared) -> bool {
        compared.is_anew && compared.judged >= TELLING && compared.has_risen
    }

    /// What of comparing is told in this act; `None` outside of its chapter.
    pub(super) fn comparing(&self) -> Option<Chapter> {
        Some(match self.act()? {
            Act::Copy => Chapter::Copies,
            Act::Find => Chapter::Differences,
            Act::Learn => Chapter::Noise,
            Act::Apply => Chapter::Rules,
            Act::Mend => Chapter::Match,
            _ => return None,
        })
    }

    /// Whether the migration is the watcher's to move.
    pub(super) fn is_yours(&self) -> bool {
        self.act().is_none()
    }

    /// Whether the new shop is dead.
    pub(super) fn new_is_dead(&self) -> bool {
        self.act() == Some(Act::Kill)
    }

    /// Whether what the proxy says of a rollback is news in this act.
    pub(super) fn tells_of_rollbacks(&self) -> bool {
        matches!(self.act(), Some(Act::Fail | Act::Slow | Act::Back))
    }

    fn begin(&mut self, now: Duration) {
        (self.from, self.began, self.moved) = (self.to, now, now);
        (self.settled, self.stuck, self.is_healed) = (None, false, false);
    }

    fn move_to(&mut self, to: Percent, now: Duration) {
        (self.from, self.to, self.moved) = (self.to, to, now);
    }

    fn act(&self) -> Option<Act> {
        ACTS.get(self.at).copied()
    }
}

#[cfg(test)]
mod tests;
