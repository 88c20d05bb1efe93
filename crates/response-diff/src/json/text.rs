//! Texts that are the same by a rule: whatever their case, their white space, or what a mask covers.

use regex::{Regex, RegexBuilder};

/// Bytes that a compiled mask may take.
const MASK_SIZE: usize = 1 << 20;
/// Stands for what is masked. It is no character that texts are exchanged in (Unicode section 23.7); where one has it
/// all the same, it is marked as such.
const MARK: char = '\u{fdd0}';

/// Which texts are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct TextRule {
    pub(super) any_case: bool,
    pub(super) space: Space,
    pub(super) masks: Vec<Regex>,
}

/// What white space counts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Space {
    #[default]
    Exact,
    Collapse,
    Ignore,
}

/// Reads a mask.
///
/// # Errors
///
/// What is wrong with it, as a sentence.
pub(super) fn mask(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).size_limit(MASK_SIZE).dfa_size_limit(MASK_SIZE).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("the regular expression `{pattern}` takes more than {limit} bytes when compiled")
        }
        error => {
            let error = error.to_string();
            let last = error.lines().next_back().unwrap_or_default();
            format!("the regular expression `{pattern}` is not valid: {}", last.trim_start_matches("error: "))
        }
    })
}

impl TextRule {
    pub(super) fn is_plain(&self) -> bool {
        !self.any_case && self.space == Space::Exact && self.masks.is_empty()
    }

    pub(super) fn same(&self, one: &str, other: &str) -> bool {
        one == other || !self.is_plain() && self.essence(one) == self.essence(other)
    }

    /// What is left of a text when all that does not count is taken away. Texts are the same when this is.
    ///
    /// Every mask sees the whole text as it is, so that masks do not depend on their order and the same mask twice is
    /// that mask once.
    pub(super) fn essence(&self, text: &str) -> String {
        let mut out = Essence { text: String::with_capacity(text.len()), rule: self, space_waits: false };
        let mut at = 0;
        for (start, end) in self.masked(text) {
            out.push(&text[at..start]);
            out.push_mask();
            at = end;
        }
        out.push(&text[at..]);
        out.text
    }

    /// The parts that masks cover, in order; those that overlap are one.
    fn masked(&self, text: &str) -> Vec<(usize, usize)> {
        let found = self.masks.iter().flat_map(|mask| mask.find_iter(text));
        let mut parts: Vec<_> =
            found.filter(|part| !part.is_empty()).map(|part| (part.start(), part.end())).collect();
        parts.sort_unstable();
        let mut merged: Vec<(usize, usize)> = Vec::with_capacity(parts.len());
        for (start, end) in parts {
            match merged.last_mut() {
                Some(last) if start < last.1 => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        merged
    }
}

struct Essence<'r> {
    text: String,
    rule: &'r TextRule,
    /// White space came, and counts if something else comes.
    space_waits: bool,
}

impl Essence<'_> {
    fn push(&mut self, part: &str) {
        for letter in part.chars() {
            if self.rule.space != Space::Exact && letter.is_whitespace() {
                self.space_waits = self.rule.space == Space::Collapse && !self.text.is_empty();
                continue;
            }
            self.push_waiting_space();
            if self.rule.any_case {
                self.text.extend(letter.to_lowercase());
            } else {
                self.text.push(letter);
            }
            if letter == MARK {
                self.text.push('0');
            }
        }
    }

    fn push_mask(&mut self) {
        self.push_waiting_space();
        self.text.push(MARK);
        self.text.push('1');
    }

    fn push_waiting_space(&mut self) {
        if std::mem::take(&mut self.space_waits) {
            self.text.push(' ');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Space, TextRule, mask};
    use proptest::prelude::*;

    fn rule(any_case: bool, space: Space, masks: &[&str]) -> TextRule {
        TextRule { any_case, space, masks: masks.iter().map(|text| mask(text).unwrap()).collect() }
    }

    #[test]
    fn what_does_not_count_is_the_same() {
        let cases: &[(TextRule, &str, &str, bool)] = &[
            (rule(false, Space::Exact, &[]), "a", "a", true),
            (rule(false, Space::Exact, &[]), "a", "A", false),
            // Unicode is not normalised: a letter and its accent are two characters.
            (rule(false, Space::Exact, &[]), "é", "e\u{301}", false),
            (rule(true, Space::Exact, &[]), "ÄB", "äb", true),
            (rule(true, Space::Exact, &[]), "a b", "a  b", false),
            (rule(false, Space::Collapse, &[]), " a\t\nb ", "a b", true),
            (rule(false, Space::Collapse, &[]), "ab", "a b", false),
            (rule(false, Space::Ignore, &[]), " a\u{a0}b ", "ab", true),
            (rule(false, Space::Exact, &["[0-9]+"]), "order 17 of 20", "order 4 of 1000", true),
            (rule(false, Space::Exact, &["[0-9]+"]), "order 17 of 20", "order of 20", false),
            (rule(false, Space::Exact, &["[0-9]"]), "17", "5", false),
            (rule(false, Space::Exact, &["[0-9]"]), "17", "52", true),
            (rule(false, Space::Exact, &["x*"]), "ab", "ab", true),
            (rule(false, Space::Exact, &["x*"]), "ab", "axb", false),
            (rule(false, Space::Exact, &["^a"]), "aab", "bab", false),
            // The longer of two masks that overlap, whichever comes first.
            (rule(false, Space::Exact, &["id=[0-9]+", "[0-9]+;"]), "id=1;", "id=23;", true),
            (
                rule(true, Space::Collapse, &["[0-9a-f]{8}"]),
                "Key  deadbeef 0badcafe",
                "key 0badcafe 12345678",
                true,
            ),
            // What stands for a mask is no text that could be there.
            (rule(false, Space::Exact, &["[0-9]"]), "1", "\u{fdd0}1", false),
            (rule(false, Space::Exact, &["[0-9]"]), "1", "\u{fdd0}", false),
        ];
        for (rule, one, other, same) in cases {
            assert_eq!(rule.same(one, other), *same, "{rule:?}: {one:?} and {other:?}");
            assert_eq!(rule.same(other, one), *same, "{rule:?}: {other:?} and {one:?}");
        }
    }

    #[test]
    fn masks_that_are_none_are_refused() {
        let said = ["(", "[a", "a{1000}{1000}", "(?=a)"].map(|text| mask(text).unwrap_err());
        insta::assert_snapshot!(said.join("\n"));
    }

    proptest! {
        #[test]
        fn a_mask_twice_is_that_mask_once(pattern in "[ab.*+?^$|]{1,6}", one in "[ab ]{0,8}", other in "[ab ]{0,8}") {
            if mask(&pattern).is_err() {
                return Ok(());
            }
            let once = rule(false, Space::Exact, &[&pattern]);
            let twice = rule(false, Space::Exact, &[&pattern, &pattern]);
            prop_assert_eq!(once.essence(&one), twice.essence(&one));
            prop_assert_eq!(once.same(&one, &other), twice.same(&one, &other));
        }

        #[test]
        fn rules_that_forgive_keep_what_is_the_same(text in "\\PC{0,12}", pattern in "[a-c.]{1,3}") {
            for space in [Space::Exact, Space::Collapse, Space::Ignore] {
                prop_assert!(rule(true, space, &[&pattern]).same(&text, &text));
            }
        }
    }
}
