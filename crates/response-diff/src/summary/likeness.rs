//! How alike two values are that differ: by what rule they would be the same.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;

use crate::json::{View, parse, same_value};
use crate::{Difference, Kind, Limits};

/// By what rule two values would be the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Likeness {
    /// Moments in time, this far apart.
    Time { apart_ms: u64 },
    /// The same number in two forms: `1` and `1.0`.
    Form,
    /// Two numbers, this far apart as a share of the greater one.
    Number { relative: f64 },
    /// `null` and nothing.
    Null,
    /// The same letters in another case.
    Case,
    /// The same text but for white space.
    Space,
    /// The same elements in another order.
    Order,
    /// None that is known.
    Other,
}

/// What the differences of one group have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Likenesses {
    /// Moments in time,
    pub times: u64,
    /// and how far apart they were at most, in milliseconds.
    pub most_apart_ms: u64,
    /// The same number in two forms.
    pub forms: u64,
    /// Other numbers,
    pub numbers: u64,
    /// and how far apart they were at most, as a share of the greater one.
    pub most_relative: f64,
    /// `null` and nothing.
    pub nulls: u64,
    /// The same letters in another case.
    pub cases: u64,
    /// The same text but for white space.
    pub spaces: u64,
    /// The same elements in another order.
    pub orders: u64,
    /// Nothing in common that a rule could be made of.
    pub others: u64,
}

impl Likenesses {
    pub(super) fn add(&mut self, difference: &Difference) {
        match of(difference) {
            Likeness::Time { apart_ms } => {
                self.times += 1;
                self.most_apart_ms = self.most_apart_ms.max(apart_ms);
            }
            Likeness::Form => self.forms += 1,
            Likeness::Number { relative } => {
                self.numbers += 1;
                self.most_relative = self.most_relative.max(relative);
            }
            Likeness::Null => self.nulls += 1,
            Likeness::Case => self.cases += 1,
            Likeness::Space => self.spaces += 1,
            Likeness::Order => self.orders += 1,
            Likeness::Other => self.others += 1,
        }
    }

    pub(super) fn merge(&mut self, other: &Likenesses) {
        self.times += other.times;
        self.most_apart_ms = self.most_apart_ms.max(other.most_apart_ms);
        self.forms += other.forms;
        self.numbers += other.numbers;
        self.most_relative = self.most_relative.max(other.most_relative);
        self.nulls += other.nulls;
        self.cases += other.cases;
        self.spaces += other.spaces;
        self.orders += other.orders;
        self.others += other.others;
    }

    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.times
            + self.forms
            + self.numbers
            + self.nulls
            + self.cases
            + self.spaces
            + self.orders
            + self.others
    }
}

/// Values longer than this are not looked at.
const MOST_BYTES: usize = 1024;

pub(super) fn of(difference: &Difference) -> Likeness {
    let sides = (difference.old.as_deref(), difference.new.as_deref());
    match (difference.kind, sides) {
        (Kind::Order, _) => Likeness::Order,
        (Kind::Missing | Kind::Added, (Some("null"), None) | (None, Some("null"))) => Likeness::Null,
        (Kind::Value, (Some(old), Some(new))) if old.len().max(new.len()) <= MOST_BYTES => values(old, new),
        _ => Likeness::Other,
    }
}

/// Two values as JSON writes them, or two texts as they are.
fn values(old: &str, new: &str) -> Likeness {
    let limits = Limits { depth: 1, nodes: 8, ..Limits::default() };
    let (one, other) = (parse(old, &limits), parse(new, &limits));
    let views = one
        .as_ref()
        .ok()
        .zip(other.as_ref().ok())
        .map(|(one, other)| (one.root().view(), other.root().view()));
    match views {
        Some((View::Number(old), View::Number(new))) => numbers(old, new),
        Some((View::String(old), View::String(new))) => texts(old, new),
        Some(_) => Likeness::Other,
        None => texts(old, new),
    }
}

fn numbers(old: &str, new: &str) -> Likeness {
    if same_value(old, new) {
        return Likeness::Form;
    }
    let (Ok(old), Ok(new)) = (old.parse::<f64>(), new.parse::<f64>()) else { return Likeness::Other };
    if let (Some(old), Some(new)) = (epoch_ms(old), epoch_ms(new)) {
        return Likeness::Time { apart_ms: rounded((old - new).abs()) };
    }
    let greater = old.abs().max(new.abs());
    if greater.is_finite() && greater > 0.0 {
        Likeness::Number { relative: (old - new).abs() / greater }
    } else {
        Likeness::Other
    }
}

fn texts(old: &str, new: &str) -> Likeness {
    let (old_words, new_words) = (old.split_whitespace(), new.split_whitespace());
    if old_words.eq(new_words) {
        return Likeness::Space;
    }
    if old.to_lowercase() == new.to_lowercase() {
        return Likeness::Case;
    }
    match (moment_ms(old), moment_ms(new)) {
        (Some(old), Some(new)) => Likeness::Time { apart_ms: old.abs_diff(new) },
        _ => Likeness::Other,
    }
}

/// A number as seconds or milliseconds since 1970, if it is one between 2001 and 2096.
fn epoch_ms(number: f64) -> Option<f64> {
    if (1e9..4e9).contains(&number) {
        Some(number * 1e3)
    } else {
        (1e12..4e12).contains(&number).then_some(number)
    }
}

/// RFC 3339, the same without an offset, HTTP's dates, or digits of a number as above.
fn moment_ms(text: &str) -> Option<i64> {
    if let Ok(moment) = Timestamp::from_str(text) {
        return Some(moment.as_millisecond());
    }
    if text.len() >= "1000000000".len() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().and_then(epoch_ms).and_then(|ms| i64::try_from(rounded(ms)).ok());
    }
    let begins_as_year = text
        .as_bytes()
        .get(..5)
        .is_some_and(|start| start.iter().take(4).all(u8::is_ascii_digit) && start[4] == b'-');
    if begins_as_year && text.len() > "2024-05-01".len() {
        let moment = DateTime::from_str(text).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        return Some(moment.timestamp().as_millisecond());
    }
    rfc2822::parse(text).ok().map(|moment| moment.timestamp().as_millisecond())
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds, not negative, below 4e12"
)]
fn rounded(ms: f64) -> u64 {
    ms.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likeness(kind: Kind, old: Option<&str>, new: Option<&str>) -> Likeness {
        let text = |text: Option<&str>| text.map(str::to_owned);
        of(&Difference {
            path: "$.a".into(),
            at: "$.a".into(),
            kind,
            old: text(old),
            new: text(new),
            extent: 1,
        })
    }

    #[test]
    fn values_are_alike_in_these_ways() {
        for (old, new, expected) in [
            ("1", "1.0", Likeness::Form),
            ("100", "1e2", Likeness::Form),
            ("12345678901234567890", "12345678901234567891", Likeness::Number { relative: 0.0 }),
            ("100", "99", Likeness::Number { relative: 0.01 }),
            ("0", "0.5", Likeness::Number { relative: 1.0 }),
            ("1700000000", "1700000002", Likeness::Time { apart_ms: 2000 }),
            ("1700000000123", "1700000000100", Likeness::Time { apart_ms: 23 }),
            ("\"1700000000\"", "\"1700000001\"", Likeness::Time { apart_ms: 1000 }),
            (
                "\"2024-05-01T12:00:00Z\"",
                "\"2024-05-01T14:00:01.5+02:00\"",
                Likeness::Time { apart_ms: 1500 },
            ),
            ("\"2024-05-01T12:00:00\"", "\"2024-05-01 12:00:01\"", Likeness::Time { apart_ms: 1000 }),
            ("\"2024-05-01\"", "\"2024-05-02\"", Likeness::Other),
            (
                "Wed, 01 May 2024 12:00:00 GMT",
                "Wed, 01 May 2024 12:00:03 GMT",
                Likeness::Time { apart_ms: 3000 },
            ),
            ("\"Ann\"", "\"ANN\"", Likeness::Case),
            ("\"a  b\"", "\" a b\\n\"", Likeness::Space),
            ("\"a\"", "\"b\"", Likeness::Other),
            ("true", "false", Likeness::Other),
            ("{}", "[]", Likeness::Other),
            ("{\"a\":1…", "{\"a\":2…", Likeness::Other),
        ] {
            assert_eq!(likeness(Kind::Value, Some(old), Some(new)), expected, "{old} {new}");
        }
        assert_eq!(likeness(Kind::Missing, Some("null"), None), Likeness::Null);
        assert_eq!(likeness(Kind::Added, None, Some("null")), Likeness::Null);
        assert_eq!(likeness(Kind::Added, None, Some("1")), Likeness::Other);
        assert_eq!(likeness(Kind::Type, Some("1"), Some("\"1\"")), Likeness::Other);
        assert_eq!(likeness(Kind::Order, Some("[1,2]"), Some("[2,1]")), Likeness::Order);
    }
}
