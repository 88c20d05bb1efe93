//! The picture in the terminal: 80 columns, the same lines in the same places all the time. Of 23 lines the last seven
//! are for words, what matters most first: a small terminal cuts off the end.
//!
//! Pure: a [`Scene`] in, lines of styled text out. [`super::terminal`] puts them on the screen.

mod shadow;

use control_plane::RampStatus;
use traffic_split::{Arm, Percent};

use super::figures::{ArmFigures, Fallbacks};
use super::text::{grouped, milliseconds, percent};
pub(super) use shadow::{GroupLine, Shadow};

/// Columns that the picture takes.
const WIDTH: usize = 80;
/// Columns before what is said.
const INDENT: usize = 8;
/// Columns of a bar.
const BAR: usize = 60;
/// Parts of a column, from none to seven eighths.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// How a piece of text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Text.
    Plain,
    /// What to look at first.
    Strong,
    /// What to look at last.
    Faint,
    /// Of the old shop.
    Old,
    /// Of the new shop.
    New,
    /// What should not be.
    Bad,
}

impl Style {
    const fn of(arm: Arm) -> Style {
        match arm {
            Arm::Old => Style::Old,
            Arm::New => Style::New,
        }
    }
}

/// A line: pieces of text with their styles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line(Vec<(Style, String)>);

impl Line {
    /// A line that begins with this.
    pub(super) fn plain(text: &str) -> Line {
        Line::default().and(Style::Plain, text)
    }

    /// The same line with this behind it.
    pub(super) fn and(mut self, style: Style, text: &str) -> Line {
        self.0.push((style, text.to_owned()));
        self
    }

    /// How many columns it takes.
    fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// Its pieces, from left to right.
    pub(super) fn parts(&self) -> &[(Style, String)] {
        &self.0
    }
}

/// All that the picture shows.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    /// How many users there are.
    pub(super) users: u32,
    /// Which act of how many; `None` once the split is the watcher's.
    pub(super) place: Option<String>,
    /// What happens.
    pub(super) headline: String,
    /// What that means.
    pub(super) sentence: String,
    /// What comes after it.
    pub(super) next: String,
    /// The percent asked for; `None` while the migration is not configured.
    pub(super) asked: Option<Percent>,
    /// The percent that the split works with.
    pub(super) in_force: Option<Percent>,
    /// The share of new in per cent among the requests of the latest seconds, as the split has it.
    pub(super) measured: Option<f64>,
    /// The share of new in per cent among the answers of the latest seconds.
    pub(super) answered: Option<f64>,
    /// What health checks find, old first; `None` before they have.
    pub(super) healthy: [Option<bool>; 2],
    /// The arms in numbers, old first.
    pub(super) arms: [ArmFigures; 2],
    /// Moves so far: to new, back to old, and of users who moved twice in one step.
    pub(super) moves: [u64; 3],
    /// Answers from an arm that the user does not belong to.
    pub(super) wrong_arm: u64,
    /// What old answered in new's place so far.
    pub(super) fallbacks: Fallbacks,
    /// Requests that failed while both shops were made to.
    pub(super) failed_of_both: u64,
    /// What is shown of copies, in the acts that are about them.
    pub(super) shadow: Option<Shadow>,
    /// How far the ramp is; `None` where there is none.
    pub(super) ramp: Option<Ramp>,
    /// What the guard says of new.
    pub(super) guard: Option<String>,
    /// What else the proxy has said in this act.
    pub(super) told: Vec<String>,
    /// Commands to try.
    pub(super) commands: Vec<String>,
}

/// A ramp as far as the picture shows it.
#[derive(Clone, Debug)]
pub(super) struct Ramp {
    /// The present step, from 1; 0 before the first.
    pub(super) step: usize,
    /// The percentages of all steps.
    pub(super) steps: Vec<Percent>,
    /// What it waits for, as the proxy says it.
    pub(super) waits_for: String,
}

impl Ramp {
    /// As the proxy tells of it.
    pub(super) fn of(status: &RampStatus) -> Self {
        Ramp { step: status.step, steps: status.steps.clone(), waits_for: status.waits_for.clone() }
    }

    /// `step 2 of 3 (25, 50, 100 %); the step is to be served for 2 s more`. What the guard says itself is not said twice.
    fn sentence(&self, guard: Option<&str>) -> String {
        let steps: Vec<String> = self.steps.iter().map(ToString::to_string).collect();
        let steps = steps.join(", ");
        let waits_for = match guard {
            Some(guard) if guard == self.waits_for => "waits for the guard",
            _ => &self.waits_for,
        };
        match self.step {
            0 => format!("before its first step ({steps} %); {waits_for}"),
            step => format!("step {step} of {} ({steps} %); {waits_for}", self.steps.len()),
        }
    }
}

impl Scene {
    /// The picture.
    pub(super) fn lines(&self) -> Vec<Line> {
        let mut lines = vec![self.title(), Line::default(), self.chapter()];
        lines.push(Line::plain(&format!("       {}", self.sentence)));
        lines.push(Line::default().and(Style::Faint, "  next ").and(Style::Plain, &self.next));
        lines.push(Line::default());
        if let Some(shadow) = &self.shadow {
            lines.extend(shadow.lines());
        } else {
            lines.extend(Arm::ALL.map(|arm| self.bar(arm)));
            lines.push(self.percents());
        }
        lines.push(Line::default());
        lines.push(Line::default().and(
            Style::Faint,
            "              users    requests/s         p50         p99      failed     health",
        ));
        lines.extend(Arm::ALL.map(|arm| self.row(arm)));
        if self.shadow.is_none() {
            lines.push(self.movements());
            lines.push(self.stood_in());
        }
        lines.push(Line::default());
        lines.extend(self.words());
        lines
    }

    /// What the proxy says, what was said in this act first; then what to try.
    fn words(&self) -> Vec<Line> {
        let told = self.told.iter().flat_map(|sentence| labelled("  said", Style::Strong, sentence));
        // Where there is much to show of copies, there is no room for what is not about them.
        let has_room = self.shadow.as_ref().is_none_or(Shadow::has_room);
        let ramp = self
            .ramp
            .iter()
            .filter(|_| has_room)
            .flat_map(|ramp| labelled("  ramp", Style::Plain, &ramp.sentence(self.guard.as_deref())));
        let compared = self.shadow.iter().flat_map(Shadow::words);
        // While everybody is on old it has nothing to say.
        let guard = self.guard.iter().filter(|_| self.shadow.is_none());
        let guard = guard.flat_map(|guard| labelled("  guard", Style::Plain, guard));
        let commands = self.commands.iter().enumerate().map(|(at, command)| {
            let label = if at == 0 { "  try" } else { "" };
            Line::default().and(Style::Faint, &format!("{label:<INDENT$}")).and(Style::Plain, command)
        });
        told.chain(compared).chain(ramp).chain(guard).chain(commands).collect()
    }

    fn title(&self) -> Line {
        let load: f64 = self.arms.iter().map(|arm| arm.requests_per_s).sum();
        let (name, what) = ("  crossfade demo", "  two shops, one proxy");
        let load = format!("{} users, {} requests/s", grouped(self.users.into()), whole(load));
        let gap = (WIDTH - 2).saturating_sub(name.len() + what.len() + load.len());
        Line::default()
            .and(Style::Strong, name)
            .and(Style::Faint, what)
            .and(Style::Faint, &format!("{}{load}", " ".repeat(gap)))
    }

    fn chapter(&self) -> Line {
        const END: &str = "Ctrl-C ends it";
        let place = format!("  {:<4} ", self.place.as_deref().unwrap_or_default());
        let gap = (WIDTH - 2).saturating_sub(place.chars().count() + self.headline.chars().count());
        Line::default()
            .and(Style::Faint, &place)
            .and(Style::Strong, &self.headline)
            .and(Style::Faint, &format!("{END:>gap$}"))
    }

    fn bar(&self, arm: Arm) -> Line {
        let share = self.answered.map(|new| match arm {
            Arm::New => new,
            Arm::Old => 100.0 - new,
        });
        let (full, rest) = filled(share.unwrap_or(0.0));
        Line::default()
            .and(Style::of(arm), &format!("  {arm}  "))
            .and(Style::of(arm), &full)
            .and(Style::Faint, &rest)
            .and(Style::Strong, &format!("{:>9}", percent(share)))
    }

    fn percents(&self) -> Line {
        let known =
            |percent: Option<Percent>| percent.map_or("-".to_owned(), |percent| format!("{percent} %"));
        let pair = |line: Line, name: &str, value: &str| {
            line.and(Style::Faint, name).and(Style::Plain, &format!(" {value:<14}"))
        };
        let line = pair(Line::plain("       "), "asked", &known(self.asked));
        let line = pair(line, "in force", &known(self.in_force));
        pair(line, "measured", &percent(self.measured))
    }

    fn row(&self, arm: Arm) -> Line {
        let figures = &self.arms[arm.index()];
        let numbers = format!(
            "{:>12}{:>14}{:>12}{:>12}",
            grouped(figures.users.into()),
            whole(figures.requests_per_s),
            milliseconds(figures.p50),
            milliseconds(figures.p99)
        );
        let (style, health) = match self.healthy[arm.index()] {
            Some(true) => (Style::Faint, "healthy"),
            Some(false) => (Style::Bad, "unhealthy"),
            None => (Style::Faint, "-"),
        };
        Line::default()
            .and(Style::of(arm), &format!("  {arm}  "))
            .and(Style::Plain, &numbers)
            .and(self.of_failures(figures.failed), &format!("{:>12}", grouped(figures.failed)))
            .and(style, &format!("{health:>11}"))
    }

    /// Failures are bad but for those that nothing could have covered.
    fn of_failures(&self, count: u64) -> Style {
        let all: u64 = self.arms.iter().map(|arm| arm.failed).sum();
        if all > self.failed_of_both { good_if_zero(count) } else { Style::Plain }
    }

    /// Fallbacks by reason, as many as there is room for.
    fn stood_in(&self) -> Line {
        let mut line = Line::default()
            .and(Style::Faint, "       fallbacks ")
            .and(Style::Plain, &grouped(self.fallbacks.total()))
            .and(Style::Faint, "  withheld ")
            .and(good_if_zero(self.fallbacks.withheld), &grouped(self.fallbacks.withheld));
        if self.failed_of_both > 0 {
            line = line
                .and(Style::Faint, "  failed as both did ")
                .and(Style::Plain, &grouped(self.failed_of_both));
        }
        for (reason, count) in self.fallbacks.reasons() {
            let (reason, count) = (format!("  {reason} "), grouped(count));
            if line.width() + reason.len() + count.len() > WIDTH {
                break;
            }
            line = line.and(Style::Faint, &reason).and(Style::Plain, &count);
        }
        line
    }

    fn movements(&self) -> Line {
        let [to_new, back, flapped] = self.moves;
        Line::default()
            .and(Style::Faint, "       moved to new ")
            .and(Style::Plain, &grouped(to_new))
            .and(Style::Faint, "  moved back ")
            .and(Style::Plain, &grouped(back))
            .and(Style::Faint, "  flapped ")
            .and(good_if_zero(flapped), &grouped(flapped))
            .and(Style::Faint, "  wrong arm ")
            .and(good_if_zero(self.wrong_arm), &grouped(self.wrong_arm))
    }
}

/// A text in as many lines as it takes, with a label before the first.
fn labelled(label: &str, style: Style, text: &str) -> Vec<Line> {
    let lines = wrapped(text, WIDTH - INDENT);
    let lines = lines.iter().enumerate().map(|(at, line)| {
        let label = if at == 0 { label } else { "" };
        Line::default().and(Style::Faint, &format!("{label:<INDENT$}")).and(style, line)
    });
    lines.collect()
}

/// Broken between words into lines of at most `width` columns; a longer word is a line of its own, cut.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word: String = word.chars().take(width).collect();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

fn good_if_zero(count: u64) -> Style {
    if count == 0 { Style::Plain } else { Style::Bad }
}

/// A rate without decimals.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast clips to the range, and a rate is far within it"
)]
fn whole(rate: f64) -> String {
    grouped(rate.round() as u64)
}

/// The filled part of a bar and the rest. Whatever is not nothing shows.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast clips to the range, and the result is clipped to the bar"
)]
fn filled(percent: f64) -> (String, String) {
    let eighths = (percent * (BAR * 8) as f64 / 100.0).round() as usize;
    let eighths = eighths.clamp(usize::from(percent > 0.0), BAR * 8);
    let part = EIGHTHS.get(eighths % 8).copied().unwrap_or_default();
    let columns = eighths.div_ceil(8);
    ("█".repeat(eighths / 8) + part, "·".repeat(BAR - columns))
}

#[cfg(test)]
mod tests;
