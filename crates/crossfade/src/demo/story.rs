//! The story that the demo tells: the share of new rises step by step to everybody and comes back.
//!
//! A step is over when its split has settled, which is when every user was answered since it began, and when there was
//! time to read what it says. From the last step on, and from the moment somebody else moves the percentage, the split
//! belongs to whoever watches; the story then only follows. Decides nothing by a clock of its own.

use std::time::Duration;

use traffic_split::Percent;

use super::ledger::Places;
use super::text::{grouped, users};

/// The percentages, in per cent.
const STEPS: [u32; 7] = [0, 1, 5, 25, 100, 25, 0];
/// How long a step stays so that it can be read.
const READING: Duration = Duration::from_millis(4_800);
/// A split that has not settled in so much more than a round of all users takes has a fault to be looked for.
const ROUNDS: u32 = 10;
const SLACK: Duration = Duration::from_secs(10);

/// What was seen at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Since the demo began.
    pub(super) now: Duration,
    /// The percent in force; `None` while the migration is not configured.
    pub(super) in_force: Option<Percent>,
    /// Whether every user was answered under the configuration in force.
    pub(super) settled: bool,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// This percent is to be asked for.
    Ask(Percent),
    /// Somebody else moved the percentage.
    Followed,
    /// The split has settled.
    Settled,
    /// The last step is over.
    Over,
    /// The split does not settle.
    Stuck,
}

/// Where the story is.
#[derive(Debug)]
pub(super) struct Story {
    /// Position in [`STEPS`]; beyond them the split is the watcher's.
    step: usize,
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
            step: 0,
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
            self.step = STEPS.len();
            self.begin(in_force, seen.now);
            return Some(Turn::Followed);
        }
        let took = seen.now.saturating_sub(self.began);
        if !self.settled {
            if seen.settled {
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
        self.step += 1;
        match self.step() {
            Some(percent) => {
                self.begin(percent, seen.now);
                Some(Turn::Ask(percent))
            }
            None => Some(Turn::Over),
        }
    }

    /// Whether the split is the watcher's to move.
    pub(super) fn is_yours(&self) -> bool {
        self.step().is_none()
    }

    /// `4/7`, or nothing once the split is the watcher's.
    pub(super) fn place(&self) -> Option<String> {
        (!self.is_yours()).then(|| format!("{}/{}", self.step + 1, STEPS.len()))
    }

    /// What happens, in a few words.
    pub(super) fn headline(&self) -> String {
        if self.followed {
            format!("You asked for {} %", self.to)
        } else if self.is_yours() {
            "The split is yours".to_owned()
        } else if self.to > self.from {
            format!("Raising to {} %", self.to)
        } else if self.to < self.from {
            format!("Going back to {} %", self.to)
        } else {
            "Everybody is on old".to_owned()
        }
    }

    /// What that means for the users, in a sentence or two.
    pub(super) fn sentence(&self, places: &Places) -> String {
        let (before, now) = (places.on_new(self.from), places.on_new(self.to));
        if self.is_yours() && !self.followed {
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

    /// What comes after it; `seen` users of `all` were answered since the step began.
    pub(super) fn next(&self, seen: usize, all: usize) -> String {
        let (seen, all) = (grouped(seen as u64), grouped(all as u64));
        let next = match STEPS.get(self.step + 1) {
            _ if self.is_yours() && self.settled => return "whatever you ask for".to_owned(),
            _ if self.is_yours() => return format!("{seen} of {all} users were seen since"),
            Some(percent) => format!("{percent} %"),
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
        let how = match self.to.cmp(&self.from) {
            std::cmp::Ordering::Greater => "raised to",
            std::cmp::Ordering::Less => "back to",
            std::cmp::Ordering::Equal => "at",
        };
        format!("{how} {} %", self.to)
    }

    fn begin(&mut self, to: Percent, now: Duration) {
        (self.from, self.to, self.began) = (self.to, to, now);
        (self.settled, self.stuck) = (false, false);
    }

    fn step(&self) -> Option<Percent> {
        let whole = STEPS.get(self.step)?;
        Percent::from_millionths(whole * 1_000_000).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(whole: u32) -> Percent {
        Percent::from_millionths(whole * 1_000_000).unwrap()
    }

    fn seen(now_s: u64, in_force: u32, settled: bool) -> Seen {
        Seen { now: Duration::from_secs(now_s), in_force: Some(percent(in_force)), settled }
    }

    #[test]
    fn it_goes_through_all_steps() {
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
    fn a_split_that_does_not_settle_is_told_once() {
        let mut story = Story::new(Duration::from_secs(1), true);
        assert_eq!(story.look(seen(20, 0, false)), None);
        assert_eq!(story.look(seen(21, 0, false)), Some(Turn::Stuck));
        assert_eq!(story.look(seen(22, 0, false)), None);
        assert_eq!(story.look(seen(23, 0, true)), Some(Turn::Settled));
    }
}
