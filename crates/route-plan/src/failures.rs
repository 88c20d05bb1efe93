//! Which answers count as failures of whoever gave them, though they came in time and whole.
//!
//! No answer, a late one and one that is cut short always count; they need no definition.

use std::ops::RangeInclusive;

use crate::matching::ValueMatch;
use crate::outcome::Failure;

/// A migration's definition of an answer that is a failure. By default every status from 500 to 599, and no header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerFailures {
    statuses: [u64; WORDS],
    headers: Vec<ValueMatch>,
}

/// The statuses that may be in a definition: those of final answers.
pub const DEFINABLE: RangeInclusive<u16> = 200..=599;

const WORDS: usize = 400_usize.div_ceil(64);

impl Default for AnswerFailures {
    fn default() -> Self {
        AnswerFailures::of([500..=599], Vec::new())
    }
}

impl AnswerFailures {
    /// Answers with a status in any of these ranges, as far as they are [`DEFINABLE`], or with any of these headers, named
    /// in lower case.
    #[must_use]
    pub fn of(statuses: impl IntoIterator<Item = RangeInclusive<u16>>, headers: Vec<ValueMatch>) -> Self {
        let mut set = [0; WORDS];
        for (word, bit) in statuses.into_iter().flatten().filter_map(place) {
            set[word] |= bit;
        }
        AnswerFailures { statuses: set, headers }
    }

    /// Why an answer is a failure, if it is one. `header` gives the value of the nth field of a name in any case.
    #[must_use]
    pub fn judge<'h>(
        &self,
        status: u16,
        header: impl Fn(&str, usize) -> Option<&'h [u8]>,
    ) -> Option<Failure> {
        if place(status).is_some_and(|(word, bit)| self.statuses[word] & bit != 0) {
            return Some(if status >= 500 { Failure::Status5xx } else { Failure::StatusOther });
        }
        let is_there = |wanted: &ValueMatch| {
            let values = (0..).map_while(|nth| header(&wanted.name, nth));
            let mut values = values.map(<[u8]>::trim_ascii);
            values.any(|value| wanted.value.as_ref().is_none_or(|wanted| wanted.as_bytes() == value))
        };
        self.headers.iter().any(is_there).then_some(Failure::Header)
    }
}

fn place(status: u16) -> Option<(usize, u64)> {
    let at = usize::from(status.checked_sub(*DEFINABLE.start())?);
    (status <= *DEFINABLE.end()).then_some((at / 64, 1 << (at % 64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(failures: &AnswerFailures, status: u16, fields: &[(&str, &'static str)]) -> Option<Failure> {
        failures.judge(status, |name, nth| {
            let mut named = fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
            named.nth(nth).map(|(_, value)| value.as_bytes())
        })
    }

    #[test]
    fn by_default_every_5xx_is_one_and_nothing_else() {
        let usual = AnswerFailures::default();
        for status in 100..=999 {
            let wanted = (500..=599).contains(&status).then_some(Failure::Status5xx);
            assert_eq!(judge(&usual, status, &[("x-degraded", "true")]), wanted, "{status}");
        }
    }

    #[test]
    fn statuses_are_those_listed() {
        let listed = AnswerFailures::of([500..=500, 429..=429, 200..=200, 599..=700, 0..=100], Vec::new());
        let found: Vec<u16> = (0..1000).filter(|status| judge(&listed, *status, &[]).is_some()).collect();
        assert_eq!(found, [200, 429, 500, 599]);
        assert_eq!(judge(&listed, 429, &[]), Some(Failure::StatusOther));
    }

    #[test]
    fn a_header_is_there_or_has_its_value() {
        let header = |name: &str, value: Option<&str>| ValueMatch {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        };
        let listed =
            AnswerFailures::of([], vec![header("x-degraded", Some("true")), header("x-stale", None)]);
        for (fields, fails) in [
            (&[("X-Degraded", "true")][..], true),
            (&[("x-degraded", "false"), ("x-degraded", " true ")], true),
            (&[("x-degraded", "True")], false),
            (&[("x-stale", "")], true),
            (&[("x-other", "true")], false),
        ] {
            assert_eq!(judge(&listed, 200, fields).is_some(), fails, "{fields:?}");
        }
        assert_eq!(judge(&listed, 503, &[("x-stale", "1")]), Some(Failure::Header));
    }
}
