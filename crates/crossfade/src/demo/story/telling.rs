//! The story in words.

use std::cmp::Ordering;

use traffic_split::Percent;

use crate::demo::ledger::Places;
use crate::demo::text::{grouped, users};

use super::Story;
use super::acts::{ACTS, Act, FAILS_ONE_IN, SLOW_TIMES};

impl Act {
    /// What comes, before it does.
    fn announced(self) -> &'static str {
        match self {
            Act::Old => "everybody is on old",
            Act::Copy => "new gets copies",
            Act::Find => "what differs is found",
            Act::Learn => "what differs by itself is learned",
            Act::Apply => "the suggested rules are applied",
            Act::Mend => "new is mended",
            Act::Climb => "the ramp begins",
            Act::Fail => "new begins to fail",
            Act::Refuse => "somebody asks for more",
            Act::Resume | Act::ResumeAgain => "new is fixed",
            Act::Slow => "new becomes slow",
            Act::Outage => "old and new fail alike",
            Act::Arrive => "the ramp goes on",
            Act::Kill => "new is killed",
            Act::Revive => "new comes back",
            Act::Back => "a person takes everybody back",
        }
    }
}

impl Story {
    /// `4/12`, or nothing once the migration is the watcher's.
    pub(in crate::demo) fn place(&self) -> Option<String> {
        (!self.is_yours()).then(|| format!("{}/{}", self.at + 1, ACTS.len()))
    }

    /// What happens, in a few words.
    pub(in crate::demo) fn headline(&self) -> String {
        let Some(act) = self.act() else {
            return match self.followed {
                true => format!("{} % is in force", self.to),
                false => "The migration is yours".to_owned(),
            };
        };
        match act {
            Act::Old => "Everybody is on old".to_owned(),
            Act::Copy => "New gets copies of what users ask old".to_owned(),
            Act::Find => "Comparing finds what is wrong with new".to_owned(),
            Act::Learn => "Old, asked twice, tells what differs by itself".to_owned(),
            Act::Apply => "The suggested rules go into the file".to_owned(),
            Act::Mend if self.is_healed => "New is mended, and compared anew".to_owned(),
            Act::Mend => "New is mended".to_owned(),
            Act::Climb => "The ramp begins".to_owned(),
            Act::Fail => format!("New begins to fail: 1 in {FAILS_ONE_IN} of its answers is a 500"),
            Act::Refuse => "Somebody asks for more, with `set`".to_owned(),
            Act::Resume => "New is fixed, and the migration resumed".to_owned(),
            Act::Slow => format!("New becomes slow: {SLOW_TIMES} times as long for each answer"),
            Act::ResumeAgain => "New is quick again, and the migration resumed".to_owned(),
            Act::Outage if self.is_healed => "Old and new are well again".to_owned(),
            Act::Outage => format!("Old and new fail alike: 1 in {FAILS_ONE_IN} answers of both"),
            Act::Arrive if self.to == Percent::FULL => "Everybody gets new".to_owned(),
            Act::Arrive => "The ramp goes on".to_owned(),
            Act::Kill => "New is killed: its port closed, its connections cut".to_owned(),
            Act::Revive => "New is open again".to_owned(),
            Act::Back => "A person takes everybody back".to_owned(),
        }
    }

    /// What that means for the users, in a sentence or two.
    pub(in crate::demo) fn sentence(&self, places: &Places) -> String {
        let (before, now) = (places.on_new(self.from), places.on_new(self.to));
        let Some(act) = self.act() else { return self.of_the_watcher(before, now) };
        let are_on_new = format!("{} of {} users get new", grouped(now as u64), grouped(places.all() as u64));
        match act {
            Act::Old => {
                let all = users(places.all(), "is", "are");
                format!("{all} in the old shop. The new one is connected and waits.")
            }
            Act::Copy => "New's answers are compared and thrown away. No user waits for them.".to_owned(),
            Act::Find => "Prices, a note, a header: what users would have seen, and none did.".to_owned(),
            Act::Learn => "A number and a time differ with each answer, of old as well: noise.".to_owned(),
            Act::Apply => "Saved, and in force. Answers with noise count now, by all the rest.".to_owned(),
            Act::Mend => "Users get new when its answers are shown to match, and not before.".to_owned(),
            Act::Climb | Act::Arrive if self.to == Percent::FULL => {
                format!("{} it. Old stays connected.", users(now, "gets", "get"))
            }
            Act::Climb | Act::Arrive => {
                format!("{are_on_new}. More will, once it is shown to be no worse.")
            }
            Act::Fail | Act::Slow if self.is_latched => {
                let back = users(before - now.min(before), "was", "were");
                format!("{back} taken back. No person had to say so.")
            }
            Act::Fail => format!("{are_on_new}. Where it fails, old answers in its place."),
            Act::Slow => format!("{are_on_new}. No request fails; it only takes longer."),
            Act::Refuse => "A rollback holds until somebody says that new is fixed.".to_owned(),
            Act::Resume | Act::ResumeAgain => {
                format!("At its first step, with fresh evidence: {are_on_new}.")
            }
            Act::Outage if self.is_healed => format!("{are_on_new}. Nobody was taken back."),
            Act::Outage => format!("{are_on_new}. Taking them back would help nobody."),
            Act::Kill => {
                let all = users(now, "belongs", "belong");
                format!("{all} to new. Old answers them in its place.")
            }
            Act::Revive => {
                let all = users(now, "gets", "get");
                format!("Once its health check finds it well, {all} it again.")
            }
            Act::Back => "`crossfade rollback` does it in any phase, and at once.".to_owned(),
        }
    }

    fn of_the_watcher(&self, before: usize, now: usize) -> String {
        if !self.followed {
            return "Move it with the commands below, and watch who follows.".to_owned();
        }
        match self.to.cmp(&self.from) {
            Ordering::Greater => {
                let end =
                    if self.to == Percent::FULL { "Old stays connected." } else { "Nobody moves back." };
                format!("{} from old to new. {end}", users(now - before, "moves", "move"))
            }
            Ordering::Less => {
                let end = match now {
                    0 => "Nobody is left on new.".to_owned(),
                    stay => format!("The same {} as before stay on new.", grouped(stay as u64)),
                };
                format!("{} back to old. {end}", users(before - now, "goes", "go"))
            }
            Ordering::Equal => "Nobody moves.".to_owned(),
        }
    }

    /// What comes after it; `seen` users of `all` were answered since the act began.
    pub(in crate::demo) fn next(&self, seen: usize, all: usize) -> String {
        let answered = format!("{} of {} users", grouped(seen as u64), grouped(all as u64));
        let Some(act) = self.act() else {
            return if self.settled.is_some() {
                "whatever you ask for".to_owned()
            } else {
                format!("{answered} were seen since")
            };
        };
        let next = ACTS.get(self.at + 1).map_or("the migration is yours", |next| next.announced());
        if self.settled.is_some() {
            return next.to_owned();
        }
        let when = match act {
            Act::Find => "when all that is planted was found",
            Act::Learn => "when it is known",
            Act::Apply => "when more answers match than before",
            Act::Mend => "when the answers are shown to match",
            Act::Climb if self.step < 2 => "when the ramp is in its second step",
            Act::Fail | Act::Slow if !self.is_latched => "when the guard has taken everybody back",
            Act::Fail | Act::Slow | Act::Back => "when it is verified",
            Act::Outage => "when it is over",
            Act::Arrive if self.to < Percent::FULL => "when everybody gets new",
            _ => return format!("{next}, when all were seen: {answered}"),
        };
        format!("{next}, {when}")
    }

    /// What was done, for a line that begins with it.
    pub(in crate::demo) fn done(&self) -> String {
        let how = match (self.act(), self.to.cmp(&self.from)) {
            (Some(Act::Copy), _) => "copied at",
            (Some(Act::Find), _) => "faults found at",
            (Some(Act::Learn), _) => "noise known at",
            (Some(Act::Apply), _) => "rules applied at",
            (Some(Act::Mend), _) => "new mended at",
            (Some(Act::Climb), _) => "ramp at",
            (Some(Act::Fail), _) => "new failing, back to",
            (Some(Act::Refuse), _) => "latched at",
            (Some(Act::Resume | Act::ResumeAgain), _) => "resumed at",
            (Some(Act::Slow), _) => "new slow, back to",
            (Some(Act::Outage), _) => "both failing at",
            (Some(Act::Arrive), _) => "arrived at",
            (Some(Act::Kill), _) => "new killed at",
            (Some(Act::Revive), _) => "new back at",
            (Some(Act::Back), _) => "taken back to",
            (Some(Act::Old), _) | (_, Ordering::Equal) => "at",
            (None, Ordering::Greater) => "raised to",
            (None, Ordering::Less) => "back to",
        };
        format!("{how} {} %", self.to)
    }
}
