//! The differences as they are found, at most as many as the limits allow.

use crate::limits::Limits;
use crate::outcome::{Difference, Kind};

/// Collects differences up to a limit. What more is found is counted and left out, so that a list stays a list that a
/// person can read, and its size bounded.
#[derive(Debug)]
pub(crate) struct Findings {
    list: Vec<Difference>,
    most: usize,
    shown: usize,
    /// Old and new have changed places, see [`Findings::mirror`].
    mirrored: bool,
}

impl Findings {
    pub(crate) fn new(limits: &Limits) -> Self {
        // One is always kept: with none there would be no telling a mismatch from a match.
        Findings { list: Vec::new(), most: limits.differences.max(1), shown: limits.shown, mirrored: false }
    }

    /// No other difference will be kept, so that there is no use in looking for more.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= self.most
    }

    /// How many were found and kept.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Forgets what was found since there were so many.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.list.truncate(len);
    }

    /// From here on what is called old is new, and the other way round; once more turns it back. What looks at the
    /// two in an order of its own finds the same, whichever is old.
    pub(crate) fn mirror(&mut self) {
        self.mirrored = !self.mirrored;
    }

    /// A difference in a place whose name in this answer is the one that it has in all.
    pub(crate) fn push(&mut self, path: &str, kind: Kind, old: Option<&str>, new: Option<&str>) {
        self.push_at(path, path, kind, old, new);
    }

    /// A difference in the place that is called `path` in all answers and `at` in this one.
    pub(crate) fn push_at(&mut self, path: &str, at: &str, kind: Kind, old: Option<&str>, new: Option<&str>) {
        self.push_sized(path, at, kind, [old, new], 1);
    }

    /// A difference of which it is known how much it is ([`Difference::extent`]). `sides` are old and new.
    pub(crate) fn push_sized(
        &mut self,
        path: &str,
        at: &str,
        kind: Kind,
        sides: [Option<&str>; 2],
        extent: u32,
    ) {
        let [old, new] = sides;
        if self.is_full() {
            return;
        }
        let (kind, old, new) = if self.mirrored { (kind.mirrored(), new, old) } else { (kind, old, new) };
        let shown = |text: &str| shorten(text, self.shown);
        self.list.push(Difference {
            path: path.to_owned(),
            at: at.to_owned(),
            kind,
            old: old.map(shown),
            new: new.map(shown),
            extent: extent.max(1),
        });
    }

    pub(crate) fn into_list(self) -> Vec<Difference> {
        self.list
    }
}

/// The text, or its beginning and `…` where it has more than `most` bytes.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(most)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_as_many_as_the_limit_and_at_least_one() {
        for (limit, kept) in [(0, 1), (1, 1), (3, 3)] {
            let mut findings = Findings::new(&Limits { differences: limit, ..Limits::default() });
            assert!(findings.len() == 0 && !findings.is_full());
            for _ in 0..5 {
                findings.push("status", Kind::Value, Some("200"), Some("201"));
            }
            assert!(findings.is_full());
            assert_eq!(findings.into_list().len(), kept);
        }
    }

    #[test]
    fn mirrored_it_swaps_sides_and_kinds() {
        let mut findings = Findings::new(&Limits::default());
        findings.mirror();
        findings.push_at("$.a[*]", "$.a[1]", Kind::Missing, Some("1"), None);
        findings.mirror();
        findings.push("$.b", Kind::Missing, Some("2"), None);
        let list = findings.into_list();
        assert_eq!(
            (list[0].kind, list[0].old.as_deref(), list[0].new.as_deref()),
            (Kind::Added, None, Some("1"))
        );
        assert_eq!(
            (list[1].kind, list[1].old.as_deref(), list[1].at.as_str()),
            (Kind::Missing, Some("2"), "$.b")
        );
    }

    #[test]
    fn long_values_are_shortened_between_characters() {
        assert_eq!(shorten("äöü", 6), "äöü");
        assert_eq!(shorten("äöü", 5), "äö…");
        assert_eq!(shorten("äöü", 4), "äö…");
        assert_eq!(shorten("", 0), "");
    }
}
