//! The story that the demo tells: the share of new rises step by step to everybody, new is killed and comes back, and
//! the share goes back.
//!
//! An act is over when it has settled, which is when every user was answered since it began and by the shop that is to
//! answer, and when there was time to read what it says. From the last act on, and from the moment somebody else moves the percentage, the split
//! belongs to whoever watches; the story then only follows. Decides nothing by a clock of its own.

use std::cmp::Ordering;
use std::time::Duration;

use traffic_split::Percent;

use super::ledger::Places;
use super::text::{grouped, users};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// The share of new becomes so many per cent.
    Split(u32),
    /// The new shop dies while everybody is on it.
    Kill,
    /// The new shop is open again.
    Revive,
}

/// What happens, from the beginning to the end.
const ACTS: [Act; 9] = [
    Act::Split(0),
    Act::Split(1),
    Act::Split(5),
    Act::Split(25),
    Act::Split(100),
    Act::Kill,
    Act::Revive,
    Act::Split(25),
    Act::Split(0),
];
/// How long an act stays so that it can be read.
const READING: Duration = Duration::from_millis(4_800);
/// An act that has not settled in so much more than a round of all users takes has a fault to be looked for.
const ROUNDS: u32 = 10;
const SLACK: Duration = Duration::from_secs(10);

/// What was seen at one moment.
#[derive(Clone, Copy, Debug)]
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
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// This percent is to be asked for.
    Ask(Percent),
    /// The new shop is to be killed.
    Kill,
    /// The new shop is to be opened again.
    Revive,
    /// Somebody else moved the percentage.
    Followed,
    /// The act has settled.
    Settled,
    /// The last act is over.
    Over,
    /// The act does not settle.
    Stuck,
}

/// Where the story is.
#[derive(Debug)]
pub(super) struct Story {
    /// Position in [`ACTS`]; beyond them the split is the watcher's.
    at: usize,
    /// Whether it was somebody else who asked for the percent in force.
    followed: bool,
    from: Percent,
    to: Percent,
    began: Duration,
    settled: bool,
    stuck: bool,
    reading: Duration,
    limit: Duration,
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
            began: Duration::ZERO,
            settled: false,
            stuck: false,
            reading: if fast { Duration::ZERO } else { READING },
            limit: round * ROUNDS + SLACK,
        }
    }

    /// Goes on by what was seen. After [`Turn::Ask`] the percent is expected to be in force.
    pub(super) fn look(&mut self, seen: Seen) -> Option<Turn> {
        let in_force = seen.in_force?;
        if in_force != self.to {
            self.followed = true;
            self.at = ACTS.len();
            self.begin(in_force, seen.now);
            return Some(Turn::Followed);
        }
        let took = seen.now.saturating_sub(self.began);
        if !self.settled {
            if seen.all_answered && self.is_as_it_should(seen) {
                self.settled = true;
                return Some(Turn::Settled);
            }
            let stuck = took > self.limit && !self.stuck;
            self.stuck |= stuck;
            return stuck.then_some(Turn::Stuck);
        }
        if took < self.reading || self.is_yours() {
            return None;
        }
        self.at += 1;
        let turn = match self.act() {
            Some(Act::Split(share)) => Turn::Ask(percent(share)),
            Some(Act::Kill) => Turn::Kill,
            Some(Act::Revive) => Turn::Revive,
            None => return Some(Turn::Over),
        };
        let to = if let Turn::Ask(percent) = turn { percent } else { self.to };
        self.begin(to, seen.now);
        Some(turn)
    }

    /// Whether the users are answered by whom the act is about.
    fn is_as_it_should(&self, seen: Seen) -> bool {
        match self.act() {
            Some(Act::Kill) => seen.on_new == 0,
            Some(Act::Revive) => seen.stood_in == 0,
            Some(Act::Split(_)) | None => true,
        }
    }

    /// Whether the split is the watcher's to move.
    pub(super) fn is_yours(&self) -> bool {
        self.act().is_none()
    }

    /// Whether the new shop is dead.
    pub(super) fn new_is_dead(&self) -> bool {
        self.act() == Some(Act::Kill)
    }

    /// `4/9`, or nothing once the split is the watcher's.
    pub(super) fn place(&self) -> Option<String> {
        (!self.is_yours()).then(|| format!("{}/{}", self.at + 1, ACTS.len()))
    }

    /// What happens, in a few words.
    pub(super) fn headline(&self) -> String {
        match self.act() {
            None if self.followed => format!("You asked for {} %", self.to),
            None => "The split is yours".to_owned(),
            Some(Act::Kill) => "New is killed: its port closed, its connections cut".to_owned(),
            Some(Act::Revive) => "New is open again".to_owned(),
            Some(Act::Split(_)) if self.to > self.from => format!("Raising to {} %", self.to),
            Some(Act::Split(_)) if self.to < self.from => format!("Going back to {} %", self.to),
            Some(Act::Split(_)) => "Everybody is on old".to_owned(),
        }
    }

    /// What that means for the users, in a sentence or two.
    pub(super) fn sentence(&self, places: &Places) -> String {
        let (before, now) = (places.on_new(self.from), places.on_new(self.to));
        if self.act() == Some(Act::Kill) {
            let all = users(now, "belongs", "belong");
            format!("{all} to new. Old answers them, and nobody notices.")
        } else if self.act() == Some(Act::Revive) {
            let all = users(now, "gets", "get");
            format!("Once its health check finds it well, {all} it again.")
        } else if self.is_yours() && !self.followed {
            "Move it with the commands below, and watch who follows.".to_owned()
        } else if self.to > self.from {
            let end = if self.to == Percent::FULL { "Old stays connected." } else { "Nobody moves back." };
            format!("{} from old to new. {end}", users(now - before, "moves", "move"))
        } else if self.to < self.from {
            let end = match now {
                0 => "Nobody is left on new.".to_owned(),
                stay => format!("The same {} as before stay on new.", grouped(stay as u64)),
            };
            format!("{} back to old. {end}", users(before - now, "goes", "go"))
        } else {
            let all = users(places.all(), "is", "are");
            format!("{all} in the old shop. The new one is connected and waits.")
        }
    }

    /// What comes after it; `seen` users of `all` were answered since the act began.
    pub(super) fn next(&self, seen: usize, all: usize) -> String {
        let (seen, all) = (grouped(seen as u64), grouped(all as u64));
        let next = match ACTS.get(self.at + 1) {
            _ if self.is_yours() && self.settled => return "whatever you ask for".to_owned(),
            _ if self.is_yours() => return format!("{seen} of {all} users were seen since"),
            Some(Act::Split(share)) => format!("{share} %"),
            Some(Act::Kill) => "new is killed".to_owned(),
            Some(Act::Revive) => "new comes back".to_owned(),
            None => "the split is yours".to_owned(),
        };
        if self.settled {
            format!("{next}; all users were seen")
        } else {
            format!("{next}, when all users were seen: {seen} of {all}")
        }
    }

    /// What was done, for a line that begins with it.
    pub(super) fn done(&self) -> String {
        let how = match (self.act(), self.to.cmp(&self.from)) {
            (Some(Act::Kill), _) => "new killed at",
            (Some(Act::Revive), _) => "new back at",
            (_, Ordering::Greater) => "raised to",
            (_, Ordering::Less) => "back to",
            (_, Ordering::Equal) => "at",
        };
        format!("{how} {} %", self.to)
    }

    fn begin(&mut self, to: Percent, now: Duration) {
        (self.from, self.to, self.began) = (self.to, to, now);
        (self.settled, self.stuck) = (false, false);
    }

    fn act(&self) -> Option<Act> {
        ACTS.get(self.at).copied()
    }
}

fn percent(whole: u32) -> Percent {
    Percent::from_millionths(whole * 1_000_000).unwrap_or(Percent::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(now_s: u64, in_force: u32, all_answered: bool) -> Seen {
        let now = Duration::from_secs(now_s);
        Seen { now, in_force: Some(percent(in_force)), all_answered, on_new: 0, stood_in: 0 }
    }

    #[test]
    fn it_goes_through_all_acts() {
        let mut story = Story::new(Duration::from_secs(2), false);
        let places = Places::of("shop", 3000);
        let mut told = vec![format!("{}: {}", story.headline(), story.sentence(&places))];
        let mut in_force = 0;
        for now in (0..).step_by(5) {
            assert_eq!(story.look(seen(now, in_force, false)), None);
            assert_eq!(story.look(seen(now, in_force, true)), Some(Turn::Settled));
            assert_eq!(story.look(seen(now + 1, in_force, true)), None, "there is time to read");
            let turn = story.look(seen(now + 5, in_force, true));
            told.push(format!("{}: {}", story.headline(), story.sentence(&places)));
            match turn {
                Some(Turn::Ask(percent)) => in_force = percent.millionths() / 1_000_000,
                Some(Turn::Kill | Turn::Revive) => assert_eq!(in_force, 100),
                turn => {
                    assert_eq!(turn, Some(Turn::Over));
                    break;
                }
            }
        }
        insta::assert_snapshot!(told.join("\n"));
        assert!(story.is_yours());
        assert_eq!(story.look(seen(100, 0, true)), None);
    }

    #[test]
    fn somebody_else_takes_over() {
        let mut story = Story::new(Duration::from_secs(2), true);
        let places = Places::of("shop", 1000);
        assert_eq!(story.look(seen(1, 50, true)), Some(Turn::Followed));
        assert!(story.is_yours());
        assert_eq!(story.headline(), "You asked for 50 %");
        assert!(story.sentence(&places).ends_with("users move from old to new. Nobody moves back."));
        assert_eq!(story.look(seen(2, 50, true)), Some(Turn::Settled));
        assert_eq!(story.look(seen(9, 50, true)), None);
        assert_eq!(story.look(seen(9, 10, true)), Some(Turn::Followed));
        assert_eq!(story.done(), "back to 10 %");
        let gone = Seen { in_force: None, ..seen(10, 0, true) };
        assert_eq!(story.look(gone), None);
    }

    #[test]
    fn what_new_s_death_waits_for() {
        let mut story = Story::new(Duration::from_secs(2), true);
        let mut in_force = 0;
        while !story.new_is_dead() {
            if let Some(Turn::Ask(percent)) = story.look(seen(1, in_force, true)) {
                in_force = percent.millionths() / 1_000_000;
            }
        }
        let look =
            |story: &mut Story, on_new, stood_in| story.look(Seen { on_new, stood_in, ..seen(1, 100, true) });
        assert_eq!(look(&mut story, 1, 2999), None, "somebody was answered by it last");
        assert_eq!(look(&mut story, 0, 3000), Some(Turn::Settled));
        assert_eq!(look(&mut story, 0, 3000), Some(Turn::Revive));
        assert!(!story.new_is_dead());
        assert_eq!(look(&mut story, 2999, 1), None, "somebody is still answered by old");
        assert_eq!(look(&mut story, 3000, 0), Some(Turn::Settled));
    }

    #[test]
    fn a_split_that_does_not_settle_is_told_once() {
        let mut story = Story::new(Duration::from_secs(1), true);
        assert_eq!(story.look(seen(20, 0, false)), None);
        assert_eq!(story.look(seen(21, 0, false)), Some(Turn::Stuck));
        assert_eq!(story.look(seen(22, 0, false)), None);
        assert_eq!(story.look(seen(23, 0, true)), Some(Turn::Settled));
    }
}
