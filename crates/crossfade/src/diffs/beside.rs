//! Two texts beside each other, old on the left and new on the right, around the lines in which they differ.

use std::fmt::Write;

use similar::{DiffOp, TextDiff};

use crate::differences::{Style, cut, visible};

/// Lines shown around those that differ.
const AROUND: usize = 3;
/// Rows at most.
const ROWS: usize = 400;

/// Both texts, as far as they are near a difference.
pub(super) fn both(old: &str, new: &str, style: &Style) -> String {
    let diff = TextDiff::from_lines(old, new);
    let (olds, news): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let room = style.columns.saturating_sub(5) / 2;
    let mut rows = Rows { style, room, out: String::new(), left: ROWS };
    rows.row(" ", "old", "new");
    for (number, ops) in diff.grouped_ops(AROUND).iter().enumerate() {
        if number > 0 {
            rows.row("~", "", "");
        }
        for op in ops {
            let (left, right) =
                (&olds[clamped(op.old_range(), &olds)], &news[clamped(op.new_range(), &news)]);
            if let DiffOp::Equal { .. } = op {
                left.iter().for_each(|line| rows.row(" ", line, line));
                continue;
            }
            for at in 0..left.len().max(right.len()) {
                let mark = match (left.get(at), right.get(at)) {
                    (Some(_), Some(_)) => "|",
                    (Some(_), None) => "<",
                    _ => ">",
                };
                rows.row(mark, left.get(at).unwrap_or(&""), right.get(at).unwrap_or(&""));
            }
        }
    }
    if rows.left == 0 {
        let _ = writeln!(rows.out, "... the rest is left out; --json has all of it");
    }
    rows.out
}

fn clamped(range: std::ops::Range<usize>, lines: &[&str]) -> std::ops::Range<usize> {
    range.start.min(lines.len())..range.end.min(lines.len())
}

struct Rows<'s> {
    style: &'s Style,
    room: usize,
    out: String,
    left: usize,
}

impl Rows<'_> {
    fn row(&mut self, mark: &str, old: &str, new: &str) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let (old, new) = (cut(&visible(old), self.room), cut(&visible(new), self.room));
        let gap = " ".repeat(self.room.saturating_sub(old.chars().count()));
        let (old, new) = match mark {
            " " | "~" => (self.style.faint(&old), self.style.faint(&new)),
            _ => (self.style.of_old(&old), self.style.of_new(&new)),
        };
        let line = format!("{old}{gap} {mark} {new}");
        let _ = writeln!(self.out, "{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "200\ncontent-type: application/json\n\n{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3,\n  \"d\": 4,\n  \"e\": 5,\n  \"f\": 6,\n  \"g\": 7,\n  \"h\": 8\n}\n";

    #[test]
    fn lines_that_differ_stand_beside_each_other() {
        let new = OLD.replace("200", "404").replace("\"h\": 8", "\"h\": \"\u{1b}[31m8\"\n  \"i\": 9");
        let style = Style { columns: 50, is_coloured: false };
        insta::assert_snapshot!(both(OLD, &new, &style));
    }

    #[test]
    fn whatever_the_texts_every_line_fits_and_there_is_an_end() {
        let long: String = (0..2_000).map(|line| format!("{line} {}\r\n", "ä".repeat(line % 90))).collect();
        for (old, new) in [("", ""), ("a", ""), ("", "b\n"), (long.as_str(), ""), (OLD, long.as_str())] {
            for columns in [40, 100] {
                let text = both(old, new, &Style { columns, is_coloured: false });
                assert!(text.lines().all(|line| line.chars().count() <= columns.max(50)), "{text}");
                assert!(text.lines().count() <= ROWS + 1);
            }
        }
    }
}
