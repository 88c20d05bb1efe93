//! The demo as it runs: look at everything ten times a second, let the story go on, show it.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use control_plane::{Actor, MigrationStatus};
use telemetry::{TrafficCells, TrafficKind};
use tokio::time::{MissedTickBehavior, interval};
use traffic_split::{Arm, Percent, Role};

use crate::serving::Serving;

use super::MIGRATION;
use super::crowd::{Crowd, REQUESTS_PER_S};
use super::figures::{Fallbacks, Sample, Window};
use super::ledger::{Places, Tally};
use super::shop::Shop;
use super::story::{Seen, Story, Turn};
use super::terminal::Terminal;
use super::text::{grouped, milliseconds, percent};
use super::view::Scene;

/// How often everything is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// So many looks make one picture: digits that change faster cannot be read.
const LOOKS_PER_PICTURE: u32 = 2;

/// Where the demo shows itself.
#[derive(Debug)]
pub(super) enum Output {
    /// A picture, drawn in place.
    Picture(Terminal),
    /// A line for each step.
    Lines,
}

/// How the demo came to its end by itself.
#[derive(Debug)]
pub(super) enum Ending {
    /// The story is over, and it was to end then.
    Over,
    /// The story cannot go on, for this reason.
    Broken(String),
    /// Nobody can be shown anything any more.
    Unseen,
}

impl From<io::Error> for Ending {
    fn from(_gone: io::Error) -> Self {
        Ending::Unseen
    }
}

/// What the demo is made of.
#[derive(Clone, Copy)]
pub(super) struct Cast<'a> {
    /// The proxy.
    pub(super) serving: &'a Serving,
    /// The users.
    pub(super) crowd: &'a Crowd,
    /// The shop that dies and comes back.
    pub(super) new: &'a Shop,
    /// How many users there are.
    pub(super) users: u32,
    /// Commands to show.
    pub(super) commands: &'a [String],
}

/// The demo at work.
pub(super) struct Stage<'a> {
    cast: Cast<'a>,
    places: Places,
    cells: Arc<TrafficCells>,
    story: Story,
    output: Output,
    began: Instant,
    window: Window,
    /// How things were when the act began.
    mark: Sample,
}

impl<'a> Stage<'a> {
    /// A stage that nothing was shown on yet. `fast` leaves no time for reading.
    pub(super) fn new(cast: Cast<'a>, output: Output, fast: bool) -> Self {
        let round = Duration::from_secs(1) * cast.users / REQUESTS_PER_S;
        Stage {
            cast,
            places: Places::of(MIGRATION, cast.users as usize),
            cells: cast.serving.telemetry.traffic(TrafficKind::Migration, MIGRATION),
            story: Story::new(round, fast),
            output,
            began: Instant::now(),
            window: Window::default(),
            mark: Sample::default(),
        }
    }

    /// Tells the story and shows what happens; with `exit` to the end of the story, else for ever.
    pub(super) async fn play(&mut self, exit: bool) -> Ending {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for look in 0_u32.. {
            looks.tick().await;
            match self.look(look.is_multiple_of(LOOKS_PER_PICTURE)).await {
                Ok(over) if over && exit => return Ending::Over,
                Ok(_) => {}
                Err(ending) => return ending,
            }
        }
        Ending::Over
    }

    /// One look at everything; whether the story is over.
    async fn look(&mut self, draw: bool) -> Result<bool, Ending> {
        let sample = self.sample();
        let status = self.cast.serving.control.status();
        let migration = status.migration(MIGRATION);
        let turn = self.story.look(Seen {
            now: sample.at,
            in_force: migration.map(|migration| migration.in_force),
            all_answered: sample.tally.generation >= status.generation
                && sample.tally.seen == self.cast.users,
            on_new: sample.tally.users[Arm::New.index()],
            stood_in: sample.tally.users_stood_in,
        });
        self.window.add(sample.clone());
        match turn {
            None | Some(Turn::Over) => {}
            Some(Turn::Followed) => {
                self.cast.new.revive();
                self.mark = sample;
            }
            Some(Turn::Settled) => self.tell(&settled_line(&self.story, &self.mark, &sample))?,
            Some(Turn::Kill) => {
                self.begin_round();
                self.cast.new.kill();
            }
            Some(Turn::Revive) => {
                self.begin_round();
                self.cast.new.revive();
            }
            Some(Turn::Stuck) => {
                let sentence = stuck_line(&sample.tally, self.cast.users);
                self.tell(&sentence)?;
                return Err(Ending::Broken(sentence));
            }
            Some(Turn::Ask(percent)) => {
                self.ask(percent).await?;
                self.mark = self.sample();
            }
        }
        if draw || turn.is_some() {
            let scene = self.scene(migration);
            if let (Output::Picture(terminal), Some(scene)) = (&mut self.output, scene) {
                terminal.draw(&scene.lines())?;
            }
        }
        Ok(self.story.is_yours())
    }

    fn begin_round(&mut self) {
        self.cast.crowd.begin_round();
        self.mark = self.sample();
    }

    async fn ask(&self, percent: Percent) -> Result<(), Ending> {
        let actor = Actor { who: "demo".to_owned(), reason: Some(self.story.headline()), force: false };
        match self.cast.serving.control.set_percent(MIGRATION, percent, actor).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Ending::Broken(error.to_string())),
        }
    }

    fn tell(&self, line: &str) -> io::Result<()> {
        match self.output {
            Output::Lines => writeln!(io::stdout().lock(), "{line}"),
            Output::Picture(_) => Ok(()),
        }
    }

    fn sample(&self) -> Sample {
        let totals = self.cells.totals();
        Sample {
            at: self.began.elapsed(),
            tally: self.cast.crowd.tally(),
            by_bucket: Arm::ALL.map(|arm| totals.by_bucket(arm)),
            fallbacks: Fallbacks {
                covered: totals.leg(Arm::New, Role::Served).covered,
                withheld: totals.kept.iter().sum(),
            },
        }
    }

    fn scene(&self, migration: Option<&MigrationStatus>) -> Option<Scene> {
        let (first, last) = self.window.ends()?;
        Some(Scene {
            users: self.cast.users,
            place: self.story.place(),
            headline: self.story.headline(),
            sentence: self.story.sentence(&self.places),
            next: self.story.next(last.tally.seen as usize, self.places.all()),
            asked: migration.map(|migration| migration.asked),
            in_force: migration.map(|migration| migration.in_force),
            measured: last.measured_since(first),
            answered: last.answered_since(first),
            healthy: Arm::ALL.map(|arm| self.is_healthy(migration?, arm)),
            arms: Arm::ALL.map(|arm| last.arm_since(first, arm)),
            moves: [last.tally.moved_to_new, last.tally.moved_back, last.tally.flapped],
            wrong_arm: last.tally.wrong_arm,
            fallbacks: last.fallbacks.clone(),
            commands: self.cast.commands.to_vec(),
        })
    }

    /// What the health check found of the arm's shop; `None` before it has.
    fn is_healthy(&self, migration: &MigrationStatus, arm: Arm) -> Option<bool> {
        let upstream = match arm {
            Arm::Old => &migration.old,
            Arm::New => &migration.new,
        };
        let endpoints = self.cast.serving.telemetry.endpoints();
        endpoints.iter().find(|one| one.upstream == *upstream).map(|one| one.healthy)
    }
}

/// What an act came to, in one line.
fn settled_line(story: &Story, mark: &Sample, now: &Sample) -> String {
    let happened = if story.new_is_dead() { covered(mark, now) } else { moved(mark, now) };
    let (before, after) = (&mark.tally, &now.tally);
    format!(
        "{}: {happened}; {} failed, {} flapped, {} on a wrong arm",
        story.done(),
        grouped(after.failed() - before.failed()),
        grouped(after.flapped - before.flapped),
        grouped(after.wrong_arm - before.wrong_arm),
    )
}

/// Who answered while new was dead.
fn covered(mark: &Sample, now: &Sample) -> String {
    let fallbacks = now.fallbacks.since(&mark.fallbacks);
    let reasons: Vec<String> =
        fallbacks.reasons().iter().map(|(reason, count)| format!("{reason} {}", grouped(*count))).collect();
    let old = now.arm_since(mark, Arm::Old);
    format!(
        "{} of {} users answered by old in new's place; {} fallbacks: {}; {} withheld; old p50 {} p99 {}",
        grouped(now.tally.users_stood_in.into()),
        grouped(now.tally.seen.into()),
        grouped(fallbacks.total()),
        reasons.join(", "),
        grouped(fallbacks.withheld),
        milliseconds(old.p50),
        milliseconds(old.p99)
    )
}

/// Who moved, and where everybody is.
fn moved(mark: &Sample, now: &Sample) -> String {
    let (before, after) = (&mark.tally, &now.tally);
    let arms = Arm::ALL.map(|arm| {
        let figures = now.arm_since(mark, arm);
        format!("{arm} p50 {} p99 {}", milliseconds(figures.p50), milliseconds(figures.p99))
    });
    format!(
        "{} moved to new, {} moved back; {} of {} users on new, measured {}; {}",
        grouped(after.moved_to_new - before.moved_to_new),
        grouped(after.moved_back - before.moved_back),
        // Whoever old stands in for belongs to new all the same.
        grouped((after.users[Arm::New.index()] + after.users_stood_in).into()),
        grouped(after.seen.into()),
        percent(now.measured_since(mark)),
        arms.join(", ")
    )
}

fn stuck_line(tally: &Tally, users: u32) -> String {
    format!(
        "the split does not settle: {} of {} users were answered, {} requests failed, {} users by old in new's place",
        grouped(tally.seen.into()),
        grouped(users.into()),
        grouped(tally.failed()),
        grouped(tally.users_stood_in.into())
    )
}
