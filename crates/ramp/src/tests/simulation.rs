//! A ramp of weeks in seconds: the preset `standard` by the calendar of a place whose clock is put forward or back
//! meanwhile, with people who take their time, hooks that say no, a proxy that restarts, and a system that is not always
//! well. Every minute of it is simulated; what is random comes from the seed.

use std::fmt::Write;
use std::time::Duration;

use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use route_plan::Phase;
use traffic_split::Percent;

use crate::calendar::{Calendar, Freeze, Window};
use crate::tests::{HOUR, at, percent};
use crate::{
    Cause, Event, Evidence, Facts, Hook, HookKind, Intent, Metric, Next, Pause, Policy, Preset, Progress,
    RollbackPolicy, Terms, Wait, Written, apply, decide,
};

const MINUTE: Duration = Duration::from_secs(60);
/// When to give up.
const LIMIT_DAYS: u32 = 100;

/// Where it happens, and what the wall clock shows there.
struct Place {
    zone: &'static str,
    begin: &'static str,
    /// Hours ahead of UTC until the clock is put forward or back, when that is, and hours ahead after it.
    clock: (i64, &'static str, i64),
    freeze: (&'static str, &'static str),
}

const BERLIN: Place = Place {
    zone: "Europe/Berlin",
    begin: "2026-10-12T07:30:00Z",
    clock: (2, "2026-10-25T01:00:00Z", 1),
    freeze: ("2026-10-23T12:00", "2026-10-28T00:00"),
};

const NEW_YORK: Place = Place {
    zone: "America/New_York",
    begin: "2026-02-23T20:30:00Z",
    clock: (-5, "2026-03-08T07:00:00Z", -4),
    freeze: ("2026-03-05T00:00", "2026-03-09T11:30"),
};

impl Place {
    /// Minutes since 1970 on the wall clock, without a time zone's help.
    fn wall_minutes(&self, now: Timestamp) -> i64 {
        let (before, change, after) = self.clock;
        let hours = if now < at(change) { before } else { after };
        now.as_second().div_euclid(60) + hours * 60
    }

    /// Whether the percentage may rise: on a workday from 9 to 16, and not in the freeze.
    fn is_open(&self, now: Timestamp) -> bool {
        let wall = self.wall_minutes(now);
        let written = |text: &str| at(&format!("{text}:00Z")).as_second() / 60;
        // The 1st of January 1970 was a Thursday.
        let weekday = (wall.div_euclid(24 * 60) + 3) % 7;
        let is_frozen = written(self.freeze.0) <= wall && wall < written(self.freeze.1);
        weekday < 5 && (9 * 60..16 * 60).contains(&wall.rem_euclid(24 * 60)) && !is_frozen
    }

    fn calendar(&self) -> Calendar {
        let civil = |text: &str| text.parse::<DateTime>().unwrap();
        let days =
            [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];
        let window = Window {
            days: days.to_vec(),
            from: "09:00".parse().unwrap(),
            to: Some("16:00".parse().unwrap()),
        };
        Calendar {
            time_zone: TimeZone::get(self.zone).unwrap(),
            windows: vec![window],
            freezes: vec![Freeze { from: civil(self.freeze.0), to: civil(self.freeze.1), reason: None }],
        }
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) % u64::from(limit)).unwrap()
    }

    fn minutes(&mut self, from: u32, to: u32) -> Duration {
        MINUTE * (from + self.below(to - from))
    }
}

/// What the proxy knows of the moment and loses when it ends.
#[derive(Default)]
struct Memory {
    held: Duration,
    requests: u64,
    hooks: [Hook; 2],
}

struct Story {
    place: Place,
    policy: Policy,
    dice: Dice,
    now: Timestamp,
    /// What is kept over a restart.
    intent: Intent,
    memory: Memory,
    down_until: Option<Timestamp>,
    drill_until: Option<Timestamp>,
    degraded_until: Option<Timestamp>,
    next_return: Option<Timestamp>,
    /// When somebody comes to look.
    person: Option<Timestamp>,
    /// What a hook answers next, when, and how often it has said no.
    answers: [(Option<Timestamp>, u32); 2],
    /// How long the present step was truly served.
    served: Duration,
    was_degraded: bool,
    was_rolled_back: bool,
    restarts: u32,
    /// What was waited for, the last word of it.
    waited: Vec<&'static str>,
    timeline: String,
}

impl Story {
    fn new(place: Place, seed: u64) -> Self {
        let mut steps = Preset::Standard.steps();
        for step in [1, 4] {
            steps[step].announce = Some("https://hooks.internal/announce".parse().unwrap());
            steps[step].confirm = Some("https://hooks.internal/confirm".parse().unwrap());
            steps[step].min_requests = 6_000;
        }
        let policy = Policy {
            steps,
            calendar: place.calendar(),
            rollback: RollbackPolicy { over: HOUR, ..RollbackPolicy::default() },
            ..Policy::default()
        };
        let ramp = policy.steps.iter().map(|step| step.percent).collect();
        let intent = Intent::first(Written { attempt: 1, ramp, ..Written::default() }, &policy);
        Story {
            now: at(place.begin),
            place,
            policy,
            dice: Dice(seed),
            intent,
            memory: Memory::default(),
            down_until: None,
            drill_until: None,
            degraded_until: None,
            next_return: None,
            person: None,
            answers: [(None, 0); 2],
            served: Duration::ZERO,
            was_degraded: false,
            was_rolled_back: false,
            restarts: 0,
            waited: Vec::new(),
            timeline: String::new(),
        }
    }

    fn tell(&mut self, what: &str) {
        let wall = DateTime::constant(1970, 1, 1, 0, 0, 0, 0)
            .checked_add(SignedDuration::from_mins(self.place.wall_minutes(self.now)))
            .unwrap();
        let in_force = self.intent.standing().in_force();
        writeln!(self.timeline, "{} {in_force:>3} %  {what}", wall.strftime("%a %d %b %H:%M")).unwrap();
    }

    fn after(&self, duration: Duration) -> Timestamp {
        self.now.checked_add(duration).unwrap()
    }

    fn is_past(&self, moment: Option<Timestamp>) -> bool {
        moment.is_some_and(|at| at <= self.now)
    }

    fn progress(&self) -> &Progress {
        self.intent.progress.as_ref().unwrap()
    }

    /// An event, which must be possible. What is in force rises in an open window alone, or comes back after a drill.
    fn happens(&mut self, event: &Event) {
        let terms = Terms { policy: &self.policy, now: self.now, force: false };
        let (after, _) = apply(&self.intent, event, &terms).unwrap();
        let (was, is) = (self.intent.standing().in_force(), after.standing().in_force());
        let is_drills_end = matches!(event, Event::DrillEnded { .. } | Event::DrillInterrupted);
        assert!(is <= was || is_drills_end || self.place.is_open(self.now), "{event:?} at {}", self.now);
        if self.progress().entered != after.progress.as_ref().unwrap().entered {
            self.served = Duration::ZERO;
            self.memory = Memory::default();
        }
        self.intent = after;
    }

    fn facts(&self) -> Facts {
        let evidence = match self.memory.requests {
            _ if self.degraded_until.is_some() => Evidence::Against("new is slower than old".to_owned()),
            ..5_000 => Evidence::Missing("more requests are needed".to_owned()),
            _ => Evidence::Proven,
        };
        Facts {
            now: self.now,
            held: self.memory.held,
            requests: self.memory.requests,
            evidence,
            matching: Evidence::Proven,
            busy: None,
            after: None,
            announced: self.memory.hooks[0].clone(),
            confirmed: self.memory.hooks[1].clone(),
        }
    }

    /// Until everybody gets new.
    fn play(&mut self) {
        let last = self.after(24 * HOUR * LIMIT_DAYS);
        while self.intent.phase != Some(Phase::Full) {
            assert!(self.now < last, "not over by now:\n{}", self.timeline);
            if self.is_up() {
                self.live();
            }
            self.now = self.after(MINUTE);
        }
    }

    /// It ends now and then; of a drill it only knows then that it did not see the end of it, and tries it again.
    fn is_up(&mut self) -> bool {
        if self.down_until.is_none() && self.dice.below(1500) == 0 {
            let down = self.dice.minutes(1, 240);
            self.down_until = Some(self.after(down));
        }
        if self.down_until.is_some() && self.is_past(self.down_until) {
            (self.down_until, self.drill_until) = (None, None);
            (self.memory, self.restarts) = (Memory::default(), self.restarts + 1);
            self.memory.held = self.progress().held;
            if self.intent.is_drilling {
                self.happens(&Event::DrillInterrupted);
                self.tell("a drill was interrupted");
            }
        }
        self.down_until.is_none()
    }

    /// One minute.
    fn live(&mut self) {
        self.suffer();
        self.answer();
        for _ in 0..4 {
            match decide(&self.intent, &self.policy, &self.facts()) {
                Next::Do(event) => self.due(&event),
                Next::Call(kind, _) => {
                    self.memory.hooks[kind as usize] = Hook::Called;
                    let takes = self.dice.minutes(1, 5);
                    self.answers[kind as usize].0 = Some(self.after(takes));
                }
                Next::Wait(wait) => {
                    self.wait(wait);
                    break;
                }
            }
        }
        let is_served = self.intent.latch.is_none() && !self.intent.is_drilling;
        if is_served && self.progress().entered > 0 {
            self.served += MINUTE;
            self.memory.held += MINUTE;
            self.memory.requests += 100;
            self.happens(&Event::Held(self.memory.held));
        }
    }

    /// Drills end, users return in parts, the new system is slow for hours, and once it is so bad that all go back.
    fn suffer(&mut self) {
        if self.drill_until.is_some() && self.is_past(self.drill_until) {
            self.drill_until = None;
            self.happens(&Event::DrillEnded { passed: true });
            self.tell("went back and came again");
        }
        let in_step = self.progress().entered;
        if in_step == 2 && !self.was_degraded && self.served >= 47 * HOUR {
            self.was_degraded = true;
            self.degraded_until = Some(self.after(6 * HOUR));
            self.tell("new is slower");
        }
        if self.degraded_until.is_some() && self.is_past(self.degraded_until) {
            self.degraded_until = None;
        }
        if in_step == 3 && !self.was_rolled_back && self.served >= 20 * HOUR {
            self.was_rolled_back = true;
            let cause = Cause::Guard(Metric::ErrorRate);
            self.happens(&Event::RolledBack { cause, to: Percent::ZERO, in_parts: true });
            self.tell("rolled back in parts");
            self.next_return = Some(self.after(6 * MINUTE));
        }
        if self.intent.latch.is_some_and(|latch| latch.is_returning()) && self.is_past(self.next_return) {
            self.happens(&Event::Returned);
            self.next_return = Some(self.after(6 * MINUTE));
        }
    }

    /// Each hook says no twice, is asked again after ten minutes, and then says yes.
    fn answer(&mut self) {
        for kind in [HookKind::Announce, HookKind::Confirm] {
            let (due, refused) = self.answers[kind as usize];
            if due.is_none() || !self.is_past(due) {
                continue;
            }
            let hook = &mut self.memory.hooks[kind as usize];
            let (next, again) = match hook {
                Hook::Called if refused < 2 => (Hook::No("not today".to_owned()), Some(10 * MINUTE)),
                Hook::Called => (Hook::Yes, None),
                // To be called again; or it was called before a restart, and nobody knows of it any more.
                _ => (Hook::NotCalled, None),
            };
            let refused = if matches!(next, Hook::No(_)) { refused + 1 } else { refused };
            *hook = next;
            self.answers[kind as usize] = (again.map(|again| self.after(again)), refused);
        }
    }

    fn due(&mut self, event: &Event) {
        let present = self.progress().entered.checked_sub(1);
        let hold = present.map_or(Duration::ZERO, |index| self.policy.steps[index].hold);
        assert!(self.served >= hold, "{event:?} after {:?} of {hold:?}", self.served);
        if let Event::StepEntered(next) = event {
            assert!(self.place.is_open(self.now), "step {next} at {}", self.now);
            assert!(self.degraded_until.is_none(), "step {next} while new is slower");
        }
        let served = self.served;
        self.happens(event);
        match event {
            Event::StepEntered(next) => {
                self.answers = [(None, 0); 2];
                self.tell(&format!("step {}, after {} h", next + 1, served.as_secs() / 3600));
            }
            Event::DrillBegun => {
                let takes = self.dice.minutes(1, 4);
                self.drill_until = Some(self.after(takes));
            }
            Event::Arrived => self.tell("arrived"),
            event => panic!("{event:?} is not due in this story"),
        }
    }

    /// Somebody comes to look some hours later, at whatever hour, and does what is waited for.
    fn wait(&mut self, wait: Wait) {
        let (word, needs_a_person) = match &wait {
            Wait::Approval { .. } => ("approval", true),
            Wait::Latched => ("latched", true),
            Wait::Paused(Pause::Drill) => ("drill failed", true),
            Wait::Closed(_) => ("closed", false),
            Wait::Against(_) => ("against", false),
            Wait::Hook(_, Hook::No(_)) => ("hook says no", false),
            Wait::Requests { .. } => ("requests", false),
            _ => ("", false),
        };
        if !self.waited.contains(&word) {
            self.waited.push(word);
        }
        if !needs_a_person {
            return;
        }
        match self.person {
            None => {
                let takes = self.dice.minutes(120, 600);
                self.person = Some(self.after(takes));
            }
            Some(_) if self.is_past(self.person) => {
                self.person = None;
                if matches!(wait, Wait::Approval { .. }) {
                    self.happens(&Event::Advanced(wait));
                    self.tell("approved");
                } else {
                    self.happens(&Event::Resumed);
                    self.tell("resumed");
                }
            }
            Some(_) => {}
        }
    }
}

fn told(place: Place, seed: u64) -> Story {
    let mut story = Story::new(place, seed);
    story.play();
    let restarts = story.restarts;
    story.tell(&format!("everybody gets new; {restarts} restarts"));
    println!("{} (seed {seed})\n{}", story.place.zone, story.timeline);
    assert_eq!(story.intent.standing().in_force(), percent("100"));
    assert_eq!((story.intent.rollbacks, story.intent.latch), (1, None));
    story
}

/// As [`told`], and everything that can hold a ramp up has done so.
fn told_in_full(place: Place, seed: u64) -> Story {
    let story = told(place, seed);
    for word in ["approval", "latched", "closed", "against", "requests", "hook says no"] {
        assert!(story.waited.contains(&word), "it never waited for: {word}\n{}", story.timeline);
    }
    story
}

#[test]
fn weeks_in_berlin_while_the_clock_is_put_back() {
    let story = told_in_full(BERLIN, 1);
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("berlin", story.timeline) });
    told(BERLIN, 2);
}

#[test]
fn weeks_in_new_york_while_the_clock_is_put_forward() {
    let story = told_in_full(NEW_YORK, 1);
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("new_york", story.timeline) });
    told(NEW_YORK, 2);
}

#[test]
#[ignore = "a hundred stories of weeks take a while"]
fn weeks_in_a_hundred_ways() {
    for seed in 100..150 {
        told(BERLIN, seed);
        told(NEW_YORK, seed);
    }
}
