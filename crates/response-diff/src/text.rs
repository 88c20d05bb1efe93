//! Text, by lines.
//!
//! What both begin and end with is set aside first. The lines between are aligned by Myers' algorithm, whose worst case
//! is the product of their numbers, so that both their bytes and that product have a limit, and no clock is needed to
//! end it. Beyond it the first line that differs is the one difference.

use std::borrow::Cow;
use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::extent::of_texts;
use crate::findings::Findings;
use crate::limits::Limits;
use crate::outcome::Kind;

/// Pairs of lines that alignment may have to look at: two texts of a thousand lines without one in common.
const MOST_PAIRS: usize = 1_000_000;

/// Compares two texts that differ. `normal` says what of a line counts; where all lines count the same, what differs is
/// in how they are put together, and the first one that looks different is told.
pub(crate) fn compare(
    place: &str,
    old: &str,
    new: &str,
    normal: &dyn Fn(&str) -> String,
    limits: &Limits,
    findings: &mut Findings,
) {
    // Alignment depends on which text is the first. One order for both makes the outcome the same, mirrored.
    let is_swapped = old > new;
    let (one, other) = if is_swapped { (new, old) } else { (old, new) };
    if is_swapped {
        findings.mirror();
    }
    Texts { place, one: lines(one), other: lines(other), is_swapped }.compare(normal, limits, findings);
    if is_swapped {
        findings.mirror();
    }
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

struct Texts<'a> {
    place: &'a str,
    one: Vec<&'a str>,
    other: Vec<&'a str>,
    /// Whether the first one is new's.
    is_swapped: bool,
}

impl<'t> Texts<'t> {
    fn compare(&self, normal: &dyn Fn(&str) -> String, limits: &Limits, findings: &mut Findings) {
        let normal = |lines: &[&str]| lines.iter().map(|line| normal(line)).collect::<Vec<_>>();
        let (one, other) = (normal(&self.one), normal(&self.other));
        let is_same = |pair: &(&String, &String)| pair.0 == pair.1;
        let start = one.iter().zip(&other).take_while(is_same).count();
        let (rest, other_rest) = (&one[start..], &other[start..]);
        let end = rest.iter().rev().zip(other_rest.iter().rev()).take_while(is_same).count();
        let (middle, other_middle) = (&rest[..rest.len() - end], &other_rest[..other_rest.len() - end]);
        let bytes = |lines: &[String]| lines.iter().map(String::len).sum::<usize>();
        let is_small = bytes(middle).max(bytes(other_middle)) <= limits.text_bytes
            && middle.len().saturating_mul(other_middle.len()) <= MOST_PAIRS;
        if middle.is_empty() && other_middle.is_empty() {
            // Only together do they differ, such as by a mask that reaches over several lines.
            let first = self.one.iter().zip(&self.other).take_while(|pair| pair.0 == pair.1).count();
            self.push_first(first, 1, findings);
        } else if is_small {
            for op in capture_diff_slices(Algorithm::Myers, middle, other_middle) {
                if !matches!(op, DiffOp::Equal { .. }) {
                    let shift = |range: Range<usize>| range.start + start..range.end + start;
                    let ranges = [shift(op.old_range()), shift(op.new_range())];
                    self.push(&ranges, [&one, &other], findings);
                }
            }
        } else {
            // One difference stands for all that follow it, and says how much that is.
            let lines = u32::try_from(middle.len().max(other_middle.len())).unwrap_or(u32::MAX);
            let extent = of_texts(middle, other_middle);
            self.push_first(start, if lines > 1 { extent.max(lines) } else { extent }, findings);
        }
    }

    /// Lines in place of other lines, one pair after the other.
    fn push(&self, ranges: &[Range<usize>; 2], normal: [&[String]; 2], findings: &mut Findings) {
        let [one, other] = ranges;
        for step in 0..one.len().max(other.len()) {
            if findings.is_full() {
                return;
            }
            let numbers = [one.start + step, other.start + step];
            let counts = |side: usize| {
                let line = ranges[side].contains(&numbers[side]).then(|| normal[side].get(numbers[side]));
                line.flatten().map_or("", String::as_str)
            };
            let extent = of_texts(&[counts(0)], &[counts(1)]);
            let line = |lines: &[&'t str], side: usize| {
                ranges[side].contains(&numbers[side]).then(|| lines.get(numbers[side]).copied()).flatten()
            };
            self.push_line(numbers, [line(&self.one, 0), line(&self.other, 1)], extent, findings);
        }
    }

    /// The line of this number on both sides, in the name of all that differs.
    fn push_first(&self, number: usize, extent: u32, findings: &mut Findings) {
        let lines = [self.one.get(number).copied(), self.other.get(number).copied()];
        self.push_line([number; 2], lines, extent, findings);
    }

    fn push_line(&self, numbers: [usize; 2], lines: [Option<&str>; 2], extent: u32, findings: &mut Findings) {
        // The line's number is old's, where old has it.
        let old_has_it = if self.is_swapped { lines[1].is_some() } else { lines[0].is_some() };
        let number = if old_has_it == self.is_swapped { numbers[1] } else { numbers[0] };
        let at = format!("{}:{}", self.place, number + 1);
        let (first, second) = without_ends(lines[0], lines[1]);
        if first.is_some() || second.is_some() {
            let sides = [first.as_deref(), second.as_deref()];
            findings.push_sized(self.place, &at, Kind::Value, sides, extent);
        }
    }
}

/// The lines to show: without their ends, unless it is just these that differ.
fn without_ends<'a>(
    one: Option<&'a str>,
    other: Option<&'a str>,
) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
    let bare =
        |line: &'a str| line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line));
    if one.map(bare) == other.map(bare) {
        return (
            one.map(|line| line.escape_debug().to_string().into()),
            other.map(|line| line.escape_debug().to_string().into()),
        );
    }
    (one.map(|line| bare(line).into()), other.map(|line| bare(line).into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::Difference;

    fn found(old: &str, new: &str, limits: &Limits) -> Vec<Difference> {
        let mut findings = Findings::new(limits);
        compare("body", old, new, &str::to_owned, limits, &mut findings);
        findings.into_list()
    }

    fn shown(list: &[Difference]) -> Vec<(&str, Option<&str>, Option<&str>)> {
        list.iter().map(|found| (found.at.as_str(), found.old.as_deref(), found.new.as_deref())).collect()
    }

    #[test]
    fn lines_are_aligned() {
        for (old, new, expected) in [
            ("a\nb\nc\n", "a\nB\nc\n", &[("body:2", Some("b"), Some("B"))][..]),
            ("a\nb\nc\n", "a\nc\n", &[("body:2", Some("b"), None)]),
            ("a\nc\n", "a\nb\nc\n", &[("body:2", None, Some("b"))]),
            ("a\nc\nd\n", "x\na\nc\nD\n", &[("body:1", None, Some("x")), ("body:3", Some("d"), Some("D"))]),
            ("a", "a\n", &[("body:1", Some("a"), Some("a\\n"))]),
            ("a\r\n", "a\n", &[("body:1", Some("a\\r\\n"), Some("a\\n"))]),
            ("a\n", "a\n\n", &[("body:2", None, Some(""))]),
            ("OK", "ok", &[("body:1", Some("OK"), Some("ok"))]),
        ] {
            let list = found(old, new, &Limits::default());
            assert_eq!(shown(&list), expected, "{old:?} {new:?}");
            assert!(list.iter().all(|found| found.path == "body" && found.kind == Kind::Value));
        }
    }

    #[test]
    fn what_does_not_count_is_no_difference_beside_one() {
        let mut findings = Findings::new(&Limits::default());
        let normal = |line: &str| line.to_ascii_lowercase();
        compare("body", "A\nb\nC\n", "a\nx\nc\n", &normal, &Limits::default(), &mut findings);
        assert_eq!(shown(&findings.into_list()), [("body:2", Some("b"), Some("x"))]);
        // All lines count the same, but whoever called says that the texts do not.
        let mut findings = Findings::new(&Limits::default());
        compare("body", "A\nb\n", "A\nB\n", &normal, &Limits::default(), &mut findings);
        assert_eq!(shown(&findings.into_list()), [("body:2", Some("b"), Some("B"))]);
    }

    #[test]
    fn beyond_the_limits_the_first_line_that_differs_is_told() {
        let limits = Limits { text_bytes: 8, ..Limits::default() };
        let list = found("same\nsame too\n1\n2\n3\n4\n5\n", "same\nsame too\n6\n7\n8\n9\n0\n", &limits);
        assert_eq!(shown(&list), [("body:3", Some("1"), Some("6"))]);
        // A large text in which little differs is still compared line by line.
        let list = found("a long line\nb\na long line\n", "a long line\nc\na long line\n", &limits);
        assert_eq!(shown(&list), [("body:2", Some("b"), Some("c"))]);
        let many = |first: usize| (first..first + 1_001).map(|n| format!("{n}\n")).collect::<String>();
        let list = found(&many(1), &many(5_000), &Limits::default());
        assert_eq!(shown(&list), [("body:1", Some("1"), Some("5000"))]);
    }

    #[test]
    fn how_much_differs_is_told() {
        let page = |line: &str, lines: usize| format!("{}{line}\n", "a line of a page\n".repeat(lines));
        let extent = |old: &str, new: &str| {
            let list = found(old, new, &Limits::default());
            list.iter().map(|found| u64::from(found.extent)).sum::<u64>()
        };
        let (short, long) = (page("1", 20), page("1", 10_000));
        assert_eq!(extent(&short, &page("2", 20)), 1);
        assert_eq!(extent(&short, "Error\n"), 21);
        // Beyond the limits there is one difference, and it says what it stands for.
        assert_eq!(extent(&long, &page("2", 10_000)), 1);
        assert_eq!(extent(&long, &format!("Error\n{}", "another line\n".repeat(9_000))), 10_001);
        let line = |token: &str| format!("{token} {}{token}\n", "and much text ".repeat(10_000));
        assert_eq!(extent(&line("1"), &line("2")), 1);
        assert!(extent(&line("1"), "Error\n") > 1_000);
    }

    #[test]
    fn the_worst_texts_end_soon() {
        // No line in common, and the largest product that is aligned.
        let one: String = (0..1_000).map(|n| format!("{n}\n")).collect();
        let other: String = (1_000..2_000).map(|n| format!("{n}\n")).collect();
        assert_eq!(found(&one, &other, &Limits::default()).len(), Limits::default().differences);
        // Two lines only, in every order.
        let bits = |seed: usize| {
            (0..1_000).map(|n| if n * seed % 7 < 3 { "a\n" } else { "b\n" }).collect::<String>()
        };
        assert!(!found(&bits(3), &bits(5), &Limits::default()).is_empty());
    }

    proptest! {
        #[test]
        fn the_other_way_round_it_is_the_same_mirrored(old in "[ab\n]{0,40}", new in "[ab\n]{0,40}") {
            prop_assume!(old != new);
            let there = found(&old, &new, &Limits::default());
            prop_assert!(!there.is_empty());
            let back: Vec<_> = found(&new, &old, &Limits::default())
                .into_iter()
                .map(|found| (found.new, found.old))
                .collect();
            let there: Vec<_> = there.into_iter().map(|found| (found.old, found.new)).collect();
            prop_assert_eq!(there, back);
        }
    }
}
