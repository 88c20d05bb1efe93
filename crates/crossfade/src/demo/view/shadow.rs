//! The part of the picture that is about copies: in its acts everybody is on old, so it has the place of the split.

use super::{INDENT, Line, Style, WIDTH, good_if_zero, whole};
use crate::demo::text::grouped;

/// What the picture shows of copies and of how their answers compare.
#[derive(Clone, Debug)]
pub(in crate::demo) struct Shadow {
    /// Copies in a second.
    pub(in crate::demo) copies_per_s: f64,
    /// What became of the pairs of answers since they began to count.
    pub(in crate::demo) matched: u64,
    /// Those that differ.
    pub(in crate::demo) mismatched: u64,
    /// Those that differ only where old differs from itself.
    pub(in crate::demo) noise: u64,
    /// Those that differed for a moment.
    pub(in crate::demo) races: u64,
    /// Those that could not be compared.
    pub(in crate::demo) not_compared: u64,
    /// How many match, and how many at least.
    pub(in crate::demo) rate: String,
    /// What differs, by place.
    pub(in crate::demo) groups: Vec<GroupLine>,
    /// What was added to the file.
    pub(in crate::demo) rules: Vec<String>,
}

/// One place in which answers differ.
#[derive(Clone, Debug)]
pub(in crate::demo) struct GroupLine {
    /// Method and path.
    pub(in crate::demo) endpoint: String,
    /// The place in the answer.
    pub(in crate::demo) path: String,
    /// In which way they differ.
    pub(in crate::demo) kind: &'static str,
    /// How often.
    pub(in crate::demo) count: u64,
    /// What they have there, or that it is noise.
    pub(in crate::demo) what: String,
}

impl Shadow {
    /// The copies in numbers.
    pub(super) fn lines(&self) -> [Line; 2] {
        let numbers = |line: Line, numbers: &[(&str, u64)]| {
            numbers.iter().fold(line, |line, (name, count)| {
                line.and(Style::Faint, &format!("  {name} ")).and(Style::Plain, &grouped(*count))
            })
        };
        let copies = Line::default()
            .and(Style::New, "  copies ")
            .and(Style::Strong, &whole(self.copies_per_s))
            .and(Style::Faint, "/s");
        let copies = numbers(
            copies,
            &[("matched", self.matched), ("mismatched", self.mismatched), ("noise", self.noise)],
        );
        let rate = Line::default().and(Style::New, "  match  ").and(Style::Strong, &self.rate);
        let rate = numbers(rate, &[("races", self.races)])
            .and(Style::Faint, "  not compared ")
            .and(good_if_zero(self.not_compared), &grouped(self.not_compared));
        [copies, rate]
    }

    /// Whether there is room for other words.
    pub(super) fn has_room(&self) -> bool {
        self.groups.is_empty() && self.rules.is_empty()
    }

    /// What differs, and what was added to the file.
    pub(super) fn words(&self) -> Vec<Line> {
        let group = |one: &GroupLine| {
            let GroupLine { endpoint, path, kind, count, what } = one;
            let place = format!("{endpoint:<18} {path:<20} {kind:<8}{:>6}  ", grouped(*count));
            let room = (WIDTH - INDENT).saturating_sub(place.chars().count());
            let what: String = what.chars().take(room).collect();
            (Style::Plain, place + &what)
        };
        let rule = |rule: &String| (Style::New, rule.chars().take(WIDTH - INDENT).collect());
        let with_label = |label: &str, lines: Vec<(Style, String)>| -> Vec<Line> {
            let lines = lines.iter().enumerate().map(|(at, (style, text))| {
                let label = if at == 0 { label } else { "" };
                Line::default().and(Style::Faint, &format!("{label:<INDENT$}")).and(*style, text)
            });
            lines.collect()
        };
        let mut lines = with_label("  found", self.groups.iter().map(group).collect());
        lines.extend(with_label("  file", self.rules.iter().map(rule).collect()));
        lines
    }
}
