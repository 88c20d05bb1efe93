//! The demo as it runs: look at everything ten times a second, let the story go on, show it.

mod comparing;
mod lines;
mod rollbacks;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use control_plane::{Actor, ControlError, MigrationStatus};
use route_plan::Phase;
use telemetry::{ShadowCells, TrafficCells, TrafficKind};
use tokio::time::{MissedTickBehavior, interval, timeout};
use traffic_split::{Arm, Percent, Role};

use crate::serving::Serving;

use super::MIGRATION;
use super::crowd::{Crowd, REQUESTS_PER_S};
use super::figures::{ArmFigures, Fallbacks, Sample, Window};
use super::ledger::{Places, Tally};
use super::shop::{Fault, Shops};
use super::story::{Deed, Seen, Story, Turn};
use super::terminal::Terminal;
use super::text::grouped;
use super::view::{Ramp, Scene};
use comparing::Comparing;
use lines::{settled_line, stuck_line};
use rollbacks::Switch;

/// How often everything is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// So many looks make one picture: digits that change faster cannot be read.
const LOOKS_PER_PICTURE: u32 = 2;
/// What is asked of the proxy takes no longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// So far back the journal is read for the last rollback.
const JOURNAL_LINES: usize = 20;
/// Who the demo speaks as, and who else may move users without taking the story over.
const THE_DEMO: &str = "the demo";
const OWN: [&str; 3] = [THE_DEMO, "the ramp", "the guard"];
/// What is asked for while a rollback holds.
const IN_VAIN: u32 = 50;

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
    /// The shops that fail.
    pub(super) shops: &'a Shops,
    /// How many users there are.
    pub(super) users: u32,
    /// Commands to show.
    pub(super) commands: &'a [String],
    /// The proxy's configuration file.
    pub(super) config: &'a Path,
}

/// The demo at work.
pub(super) struct Stage<'a> {
    cast: Cast<'a>,
    places: Places,
    cells: Arc<TrafficCells>,
    copies: Arc<ShadowCells>,
    story: Story,
    output: Output,
    began: Instant,
    window: Window,
    /// How things were when the act began.
    mark: Sample,
    /// What users had seen when the last line was told.
    counted: Tally,
    /// What comparing came to, in the acts that are about it; and how that was when the act began.
    comparing: Option<Comparing>,
    compared_before: Option<Comparing>,
    /// Old in the act before.
    old_before: ArmFigures,
    told: Told,
}

/// What the proxy has said since the act began.
#[derive(Debug, Default)]
struct Told {
    sentences: Vec<String>,
    /// Whether a rollback is among it, and what that came to.
    rollback: bool,
    verified: bool,
    /// What was added to the file.
    rules: Vec<String>,
}

impl<'a> Stage<'a> {
    /// A stage that nothing was shown on yet. `fast` leaves no time for reading.
    pub(super) fn new(cast: Cast<'a>, output: Output, fast: bool) -> Self {
        let round = Duration::from_secs(1) * cast.users / REQUESTS_PER_S;
        Stage {
            cast,
            places: Places::of(MIGRATION, cast.users as usize),
            cells: cast.serving.telemetry.traffic(TrafficKind::Migration, MIGRATION),
            copies: cast.serving.telemetry.shadow(MIGRATION),
            story: Story::new(round, fast),
            output,
            began: Instant::now(),
            window: Window::default(),
            mark: Sample::default(),
            counted: Tally::default(),
            comparing: None,
            compared_before: None,
            old_before: ArmFigures::default(),
            told: Told::default(),
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
        let status = self.cast.serving.control.status();
        let migration = status.migration(MIGRATION);
        if let Some(migration) = migration {
            self.follow_rollback(migration).await?;
        }
        let sample = self.sample();
        let all_answered =
            sample.tally.generation >= status.generation && sample.tally.seen == self.cast.users;
        self.look_at_comparing(migration, &sample).await?;
        let compared = self.comparing.as_ref();
        let compared = compared.map(|now| now.seen(self.compared_before.as_ref())).unwrap_or_default();
        let seen = Seen { compared, ..seen(&sample, migration, all_answered) };
        let turn = self.story.look(seen);
        self.window.add(sample.clone());
        match turn {
            None => {}
            Some(Turn::Over) => self.begin(),
            Some(Turn::Followed) => {
                self.heal();
                self.told = Told::default();
                self.mark = sample;
            }
            Some(Turn::Settled) => {
                let compared = self.conclude_comparing(&sample)?;
                self.tell(&settled_line(&self.story, &self.counted, &self.mark, &sample, compared))?;
                self.counted = sample.tally.clone();
            }
            Some(Turn::Begin(deed)) => {
                self.begin();
                if let Some(deed) = deed {
                    self.perform(deed, migration).await?;
                }
            }
            Some(Turn::Do(deed)) => self.perform(deed, migration).await?,
            Some(Turn::Stuck) => {
                let said = migration.map(what_it_says).unwrap_or_default();
                let sentence = stuck_line(&self.story, &sample.tally, self.cast.users) + &said;
                return Err(Ending::Broken(sentence));
            }
            Some(Turn::Blamed) => {
                let why = migration.and_then(|migration| migration.latch.as_ref());
                let why = why.map(|latch| latch.sentence.clone()).unwrap_or_default();
                let sentence =
                    format!("users were taken back although nothing is wrong with new alone: {why}");
                return Err(Ending::Broken(sentence));
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

    /// An act begins.
    fn begin(&mut self) {
        let now = self.sample();
        self.old_before = now.arm_since(&self.mark, Arm::Old);
        self.compared_before = self.comparing.clone();
        self.told = Told::default();
        self.cast.crowd.begin_round();
        self.mark = now;
    }

    /// What the story asks for.
    async fn perform(&mut self, deed: Deed, migration: Option<&MigrationStatus>) -> Result<(), Ending> {
        let shops = self.cast.shops;
        match deed {
            Deed::Apply => self.apply_suggestion()?,
            Deed::Mend => shops.new.mend(),
            Deed::Spoil(fault) => shops.new.suffer(fault),
            Deed::SpoilBoth(fault) => {
                self.cast.crowd.expect_failures_of_both(true);
                shops.old.suffer(fault);
                shops.new.suffer(fault);
            }
            Deed::Heal => {
                let [old, new] = [&shops.old, &shops.new].map(|shop| grouped(shop.spoilt().answers));
                let said = migration.and_then(|migration| migration.guard.as_ref());
                let said = said.map(|guard| guard.sentence.as_str()).unwrap_or_default();
                let sentence = format!("old failed {old} requests, new {new}, and the guard says: {said}");
                self.heal();
                self.say(sentence)?;
            }
            Deed::Kill => shops.new.kill(),
            Deed::Revive => shops.new.revive(),
            Deed::Copy
            | Deed::CompareAnew
            | Deed::Advance
            | Deed::Insist
            | Deed::AskInVain
            | Deed::Resume
            | Deed::RollBack => {
                if deed == Deed::Resume {
                    self.heal();
                }
                if deed == Deed::Insist
                    && let Some(ramp) = migration.and_then(|migration| migration.ramp.as_ref())
                {
                    self.say(format!("late, so the ramp goes on by force: {}", ramp.waits_for))?;
                }
                self.ask(deed).await?;
            }
        }
        Ok(())
    }

    /// Nothing is wrong with either shop any more.
    fn heal(&self) {
        let shops = self.cast.shops;
        shops.new.mend();
        shops.new.suffer(Fault::None);
        shops.old.suffer(Fault::None);
        self.cast.crowd.expect_failures_of_both(false);
        shops.new.revive();
    }

    /// Asks the proxy for it, as a person would.
    async fn ask(&mut self, deed: Deed) -> Result<(), Ending> {
        let control = &self.cast.serving.control;
        let reason = Some(self.story.headline());
        let actor = Actor { who: THE_DEMO.to_owned(), reason, force: deed == Deed::Insist };
        let asked = async {
            match deed {
                Deed::AskInVain => control.set_percent(MIGRATION, whole(IN_VAIN), actor).await,
                Deed::Resume => control.resume(MIGRATION, actor).await,
                Deed::CompareAnew => control.switch_shadow(MIGRATION, true, true, actor).await,
                // From here on new is judged by its users.
                Deed::Advance => {
                    control.advance(MIGRATION, actor.clone()).await?;
                    control.switch_shadow(MIGRATION, false, false, actor).await
                }
                Deed::RollBack => control.go_back(MIGRATION, None, true, actor).await,
                _ => control.advance(MIGRATION, actor).await,
            }
        };
        let answer = timeout(ANSWER_LIMIT, asked).await.map_err(|_| silent())?;
        match (deed, answer) {
            (Deed::AskInVain, Err(ControlError::Refused(sentence))) => {
                self.say(format!("`crossfade set {MIGRATION} {IN_VAIN}` is refused: {sentence}"))
            }
            (Deed::AskInVain, Ok(_)) => {
                Err(Ending::Broken(format!("{IN_VAIN} % was let through although a rollback holds")))
            }
            // It did so by itself meanwhile.
            (Deed::Insist, Err(ControlError::Refused(_))) | (_, Ok(_)) => Ok(()),
            (_, Err(error)) => Err(Ending::Broken(error.to_string())),
        }
    }

    /// Says what the proxy says of a rollback, as soon as it does.
    async fn follow_rollback(&mut self, migration: &MigrationStatus) -> Result<(), Ending> {
        let Some(latch) = migration.latch.as_ref().filter(|_| self.story.tells_of_rollbacks()) else {
            return Ok(());
        };
        if !std::mem::replace(&mut self.told.rollback, true) {
            self.say(latch.sentence.clone())?;
            let history = self.cast.serving.control.history(MIGRATION, JOURNAL_LINES);
            let lines = timeout(ANSWER_LIMIT, history).await.map_err(|_| silent())?;
            let lines = lines.map_err(|error| Ending::Broken(error.to_string()))?;
            let switch = latch.by.as_ref().and_then(|by| Switch::of(by.at, &lines));
            if let Some(switch) = switch {
                self.say(switch.sentence(self.cast.shops.new.spoilt().first))?;
            }
        }
        if let Some(verified) = &migration.verified
            && !std::mem::replace(&mut self.told.verified, true)
        {
            self.say(verified.clone())?;
        }
        Ok(())
    }

    /// Shows a sentence until the act is over.
    fn say(&mut self, sentence: String) -> Result<(), Ending> {
        self.tell(&format!("  {sentence}"))?;
        self.told.sentences.push(sentence);
        Ok(())
    }

    fn tell(&self, line: &str) -> io::Result<()> {
        match self.output {
            Output::Lines => writeln!(io::stdout().lock(), "{line}"),
            Output::Picture(_) => Ok(()),
        }
    }

    fn sample(&self) -> Sample {
        let (totals, copied) = (self.cells.totals(), self.copies.totals());
        Sample {
            at: self.began.elapsed(),
            tally: self.cast.crowd.tally(),
            by_bucket: Arm::ALL.map(|arm| totals.by_bucket(arm)),
            fallbacks: Fallbacks {
                covered: totals.leg(Arm::New, Role::Served).covered,
                withheld: totals.kept.iter().sum(),
            },
            copies: copied.pairs,
            served: copied.served.map(|times| (times.count(), times.sum_s)),
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
            failed_of_both: last.tally.failures_of_both,
            shadow: self.shown_of_comparing(first, last),
            ramp: migration.and_then(|migration| Some(Ramp::of(migration.ramp.as_ref()?))),
            guard: migration.and_then(|migration| Some(migration.guard.as_ref()?.sentence.clone())),
            told: self.told.sentences.clone(),
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

/// What the story goes by.
fn seen(sample: &Sample, migration: Option<&MigrationStatus>, all_answered: bool) -> Seen {
    let seen = Seen {
        now: sample.at,
        all_answered,
        on_new: sample.tally.users[Arm::New.index()],
        stood_in: sample.tally.users_stood_in,
        ..Seen::default()
    };
    let Some(migration) = migration else { return seen };
    let ramp = migration.ramp.as_ref();
    let is_paused = ramp.is_some_and(|ramp| ramp.paused.is_some());
    let last_word = migration.last_change.as_ref();
    Seen {
        in_force: Some(migration.in_force),
        step: ramp.map_or(0, |ramp| ramp.step),
        is_full: migration.phase == Phase::Full,
        is_latched: migration.latch.is_some(),
        is_verified: migration.verified.is_some(),
        by_others: is_paused || last_word.is_some_and(|last| !OWN.contains(&last.who.as_str())),
        ..seen
    }
}

/// What the proxy has to say of a migration that does not go on.
fn what_it_says(migration: &MigrationStatus) -> String {
    let guard = migration.guard.as_ref().map(|guard| format!("; the guard says: {}", guard.sentence));
    let ramp = migration.ramp.as_ref().map(|ramp| format!("; the ramp: {}", ramp.waits_for));
    let shadow = migration.shadow.as_ref().map(|shadow| format!("; the shadow: {}", shadow.sentence));
    guard.into_iter().chain(ramp).chain(shadow).collect()
}

fn silent() -> Ending {
    Ending::Broken(format!("the proxy has not answered for {} s", ANSWER_LIMIT.as_secs()))
}

fn whole(percent: u32) -> Percent {
    Percent::from_millionths(percent * 1_000_000).unwrap_or(Percent::ZERO)
}
