//! Exact decimal numbers of any size: equality, order and tolerance without floating point.
//!
//! `1`, `1.0` and `1e0` are one value, and so are `0.5e-4` and `0.00005`, and `-0` and `0`;
//! 9007199254740993 and 9007199254740992 are two.

use std::cmp::Ordering;

use xxhash_rust::xxh3::xxh3_64;

/// The value of a JSON number: `0.d₁d₂d₃… × 10^scale`, its digits neither beginning nor ending with 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal<'a> {
    negative: bool,
    /// The digits, in two parts since a point may stand between them. Zero has none.
    head: &'a [u8],
    tail: &'a [u8],
    scale: i64,
}

/// Numbers with more digits, or further from 1, than these have no tolerance: they are equal or they are not.
const TOLERANT_DIGITS: usize = 400;
const TOLERANT_SCALE: i64 = 400;

/// An exponent of more digits than this is not computed with.
const EXPONENT_DIGITS: usize = 17;

impl<'a> Decimal<'a> {
    /// Reads a number as JSON writes it (RFC 8259 section 6). `None` where it is not one, or where its exponent has
    /// more than 17 digits: such numbers are equal if they are written alike.
    pub(crate) fn parse(text: &'a str) -> Option<Decimal<'a>> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, "0"),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.as_bytes(), fraction.as_bytes());
        let head = without_leading_zeros(whole);
        let mut scale = i64::try_from(head.len()).ok()?;
        let mut tail = fraction;
        if head.is_empty() {
            tail = without_leading_zeros(fraction);
            scale = -i64::try_from(fraction.len() - tail.len()).ok()?;
        }
        let tail = without_trailing_zeros(tail);
        let head = if tail.is_empty() { without_trailing_zeros(head) } else { head };
        if head.is_empty() && tail.is_empty() {
            return Some(Decimal { negative: false, head, tail, scale: 0 });
        }
        let scale = scale.checked_add(parse_exponent(exponent)?)?;
        Some(Decimal { negative, head, tail, scale })
    }

    fn digits(&self) -> impl Iterator<Item = u8> + Clone + 'a {
        self.head.iter().chain(self.tail).copied()
    }

    fn count(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    fn is_zero(&self) -> bool {
        self.count() == 0
    }

    fn compare_magnitude(&self, other: &Decimal<'_>) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.scale.cmp(&other.scale).then_with(|| self.digits().cmp(other.digits())),
        }
    }

    /// Which value is the greater one.
    pub(crate) fn compare(&self, other: &Decimal<'_>) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.compare_magnitude(other),
            (true, true) => other.compare_magnitude(self),
        }
    }

    /// The same for all numbers of this value.
    fn hash(&self) -> u64 {
        // FNV-1a: numbers are short.
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        let start = if self.negative { 0x8422_2325_cbf2_9ce4 } else { 0xcbf2_9ce4_8422_2325 };
        self.scale.to_le_bytes().into_iter().chain(self.digits()).fold(start, step)
    }

    fn is_tolerant(&self) -> bool {
        self.count() <= TOLERANT_DIGITS && self.scale.abs() <= TOLERANT_SCALE
    }
}

/// A hash that is the same for all numbers of one value.
pub(crate) fn hash(text: &str) -> u64 {
    Decimal::parse(text).map_or_else(|| xxh3_64(text.as_bytes()), |decimal| decimal.hash())
}

/// One text for all numbers of one value.
pub(crate) fn canonical(text: &str) -> String {
    let Some(decimal) = Decimal::parse(text) else { return text.to_owned() };
    let sign = if decimal.negative { "-" } else { "" };
    let digits: String = decimal.digits().map(char::from).collect();
    format!("{sign}0.{digits}e{}", decimal.scale)
}

/// Whether a number is written without fraction and exponent: `1` and not `1.0`. Languages with types read the one as
/// an integer and the other as a floating-point number, and some refuse the one where they expect the other.
pub(crate) fn is_integer_form(text: &str) -> bool {
    !text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
}

/// Whether two numbers have one value, however they are written.
pub(crate) fn same_value(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    match (Decimal::parse(one), Decimal::parse(other)) {
        (Some(one), Some(other)) => one.compare(&other) == Ordering::Equal,
        _ => false,
    }
}

/// How far apart two numbers may be. They are close when either says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tolerance {
    absolute: Option<Amount>,
    relative: Option<Amount>,
}

/// A number that is not negative: digits times a power of ten.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Amount {
    /// 0 to 9 each, the highest first.
    digits: Vec<u8>,
    power: i64,
}

impl Tolerance {
    /// From `0.01` and from `1%` or `0.01`.
    ///
    /// # Errors
    ///
    /// What is wrong with either, as a sentence.
    pub(crate) fn parse(absolute: Option<&str>, relative: Option<&str>) -> Result<Tolerance, String> {
        Ok(Tolerance {
            absolute: absolute.map(|text| Amount::parse(text, 0)).transpose()?,
            relative: relative
                .map(|text| match text.strip_suffix('%') {
                    Some(percent) => Amount::parse(percent.trim_end(), -2),
                    None => Amount::parse(text, 0),
                })
                .transpose()?,
        })
    }

    /// Whether two numbers are no further apart than the absolute tolerance, or than the relative one times the
    /// greater of them.
    pub(crate) fn covers(&self, one: &str, other: &str) -> bool {
        let (Some(one), Some(other)) = (Decimal::parse(one), Decimal::parse(other)) else { return false };
        if one.compare(&other) == Ordering::Equal {
            return true;
        }
        if !one.is_tolerant() || !other.is_tolerant() {
            return false;
        }
        let apart = Amount::apart(&one, &other);
        let within = |limit: &Amount| apart.compare(limit) != Ordering::Greater;
        if self.absolute.as_ref().is_some_and(within) {
            return true;
        }
        let greater = if one.compare_magnitude(&other) == Ordering::Less { &other } else { &one };
        self.relative.as_ref().is_some_and(|share| within(&share.times(&Amount::of(greater))))
    }
}

impl Amount {
    fn parse(text: &str, power: i64) -> Result<Amount, String> {
        let decimal = Decimal::parse(text)
            .ok_or_else(|| format!("`{text}` is no number; a tolerance is one such as `0.01`"))?;
        if decimal.negative {
            return Err(format!("`{text}` is negative; a tolerance is 0 or more"));
        }
        if !decimal.is_tolerant() {
            return Err(format!(
                "`{text}` is no tolerance: it has more than {TOLERANT_DIGITS} digits or zeros"
            ));
        }
        let mut amount = Amount::of(&decimal);
        amount.power += power;
        Ok(amount)
    }

    /// A number without its sign.
    fn of(decimal: &Decimal<'_>) -> Amount {
        let digits: Vec<u8> = decimal.digits().map(|digit| digit - b'0').collect();
        let power = decimal.scale - i64::try_from(digits.len()).unwrap_or(i64::MAX);
        Amount { digits, power }
    }

    /// How far two numbers are apart.
    fn apart(one: &Decimal<'_>, other: &Decimal<'_>) -> Amount {
        let subtract = one.negative == other.negative;
        let (greater, less) =
            if one.compare_magnitude(other) == Ordering::Less { (other, one) } else { (one, other) };
        let (greater, less) = (Amount::of(greater), Amount::of(less));
        let power = match (greater.digits.is_empty(), less.digits.is_empty()) {
            (_, true) => greater.power,
            (true, false) => less.power,
            (false, false) => greater.power.min(less.power),
        };
        let mut sum = greater.padded(power);
        let less = less.padded(power);
        // One digit more, for what a sum may carry.
        sum.insert(0, 0);
        let mut carry = 0;
        let mut addends = less.iter().rev();
        for place in sum.iter_mut().rev() {
            let digit = addends.next().copied().unwrap_or(0) + carry;
            if subtract {
                carry = u8::from(*place < digit);
                *place = *place + 10 * carry - digit;
            } else {
                carry = (*place + digit) / 10;
                *place = (*place + digit) % 10;
            }
        }
        Amount { digits: sum, power }
    }

    /// The digits when the last of them stands for `10^power`.
    fn padded(mut self, power: i64) -> Vec<u8> {
        let zeros = usize::try_from(self.power - power).unwrap_or(0);
        if !self.digits.is_empty() {
            self.digits.resize(self.digits.len() + zeros, 0);
        }
        self.digits
    }

    fn times(&self, other: &Amount) -> Amount {
        let mut sums = vec![0_u32; self.digits.len() + other.digits.len()];
        for (i, one) in self.digits.iter().enumerate() {
            for (j, another) in other.digits.iter().enumerate() {
                sums[i + j + 1] += u32::from(*one) * u32::from(*another);
            }
        }
        let mut carry = 0;
        for sum in sums.iter_mut().rev() {
            *sum += carry;
            carry = *sum / 10;
            *sum %= 10;
        }
        let digits = sums.into_iter().map(|digit| u8::try_from(digit).unwrap_or(9)).collect();
        Amount { digits, power: self.power + other.power }
    }

    fn compare(&self, other: &Amount) -> Ordering {
        let significant = |amount: &Amount| {
            let zeros = amount.digits.iter().take_while(|digit| **digit == 0).count();
            let end = amount.digits.iter().rposition(|digit| *digit != 0).map_or(zeros, |last| last + 1);
            (zeros, end.max(zeros))
        };
        let ((start, end), (other_start, other_end)) = (significant(self), significant(other));
        match (start == end, other_start == other_end) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        let scale = |amount: &Amount, start: usize| {
            amount.power + i64::try_from(amount.digits.len() - start).unwrap_or(i64::MAX)
        };
        scale(self, start)
            .cmp(&scale(other, other_start))
            .then_with(|| self.digits[start..end].cmp(&other.digits[other_start..other_end]))
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = without_leading_zeros(digits);
    if digits.len() > EXPONENT_DIGITS {
        return None;
    }
    let size = digits.iter().fold(0, |sum: i64, digit| sum * 10 + i64::from(digit - b'0'));
    Some(if negative { -size } else { size })
}

fn without_leading_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    &digits[zeros..]
}

fn without_trailing_zeros(digits: &[u8]) -> &[u8] {
    let end = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    &digits[..end]
}

#[cfg(test)]
mod tests {
    use super::{Decimal, Tolerance, canonical, hash, same_value};
    use proptest::prelude::*;
    use std::cmp::Ordering;

    #[test]
    fn numbers_have_one_value_however_they_are_written() {
        let same: &[&[&str]] = &[
            &["1", "1.0", "1e0", "1E+0", "10e-1", "0.1e1", "100000e-5", "1.000e000"],
            &["0.5e-4", "0.00005", "5e-5", "0.000050", "50e-6"],
            &["0", "-0", "0.0", "-0.0e7", "0e99999999999999999999999"],
            &[
                "1000000000000000000000000001",
                "1000000000000000000000000001.0",
                "1.000000000000000000000000001e27",
            ],
            &["9007199254740993"],
            &["9007199254740992"],
            &["-1", "-1.0"],
            &["1e400", "10e399"],
            &["1e-400"],
            &["120", "1.2e2", "12e1"],
            &["12"],
            &["1e99999999999999999999"],
            &["1e99999999999999999998"],
        ];
        for (i, class) in same.iter().enumerate() {
            for (j, other) in same.iter().enumerate() {
                for one in *class {
                    for another in *other {
                        assert_eq!(same_value(one, another), i == j, "{one} and {another}");
                        assert_eq!(canonical(one) == canonical(another), i == j, "{one} and {another}");
                        if i == j {
                            assert_eq!(hash(one), hash(another), "{one} and {another}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_are_in_order() {
        let ascending =
            ["-1e9", "-100", "-99.5", "-0.001", "0", "1e-9", "0.5", "0.55", "1", "9", "10", "10.01", "1e300"];
        let parsed: Vec<_> = ascending.iter().map(|text| Decimal::parse(text).unwrap()).collect();
        for (i, one) in parsed.iter().enumerate() {
            for (j, other) in parsed.iter().enumerate() {
                assert_eq!(one.compare(other), i.cmp(&j), "{} and {}", ascending[i], ascending[j]);
            }
        }
    }

    #[test]
    fn tolerances_are_exact() {
        type Case<'a> = (&'a str, &'a str, Option<&'a str>, Option<&'a str>, bool);
        let cases: &[Case<'_>] = &[
            ("10", "10.01", Some("0.01"), None, true),
            ("10", "10.010000000000000000001", Some("0.01"), None, false),
            ("9007199254740993", "9007199254740992", Some("0.5"), None, false),
            ("9007199254740993", "9007199254740992", Some("1"), None, true),
            ("-1", "1", Some("2"), None, true),
            ("-1", "1", Some("1.999"), None, false),
            ("0", "0.001", Some("1e-3"), None, true),
            ("0", "-5", Some("5"), None, true),
            ("99.5", "0.6", Some("98.9"), None, true),
            ("99.5", "0.6", Some("98.89"), None, false),
            ("-7.5", "-3.25", Some("4.25"), None, true),
            ("-7.5", "-3.25", Some("4.2499"), None, false),
            ("999", "-999", Some("1998"), None, true),
            ("999", "-999", Some("1997"), None, false),
            ("100", "99", None, Some("1%"), true),
            ("100", "98.99", None, Some("1%"), false),
            ("100", "98.99", None, Some("0.02"), true),
            ("0", "1e-300", None, Some("50%"), false),
            ("1", "0", None, Some("100%"), true),
            ("1e300", "1.001e300", None, Some("0.1%"), true),
            ("1e300", "1.002e300", None, Some("0.1%"), false),
            ("1", "1.5", Some("0.1"), Some("50%"), true),
            ("1", "2", None, None, false),
            ("1", "1.0", None, None, true),
            // Beyond what is computed with.
            ("1e500", "2e500", None, Some("100%"), false),
            ("1e500", "10e499", None, None, true),
        ];
        for &(one, other, absolute, relative, close) in cases {
            let tolerance = Tolerance::parse(absolute, relative).unwrap();
            assert_eq!(tolerance.covers(one, other), close, "{one} {other} {absolute:?} {relative:?}");
            assert_eq!(tolerance.covers(other, one), close, "{other} {one} {absolute:?} {relative:?}");
        }
    }

    #[test]
    fn no_tolerance_is_read_from_what_is_none() {
        for text in ["", "-1", "one", "1,5", ".5", "1e", "NaN", "1e999999999999999999", "%", "1 %x"] {
            assert!(Tolerance::parse(Some(text), None).is_err(), "{text}");
            assert!(Tolerance::parse(None, Some(text)).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn order_agrees_with_integers(one: i128, other: i128, zeros in 0_usize..5) {
            let text = |number: i128| match zeros {
                0 => number.to_string(),
                zeros => format!("{number}.{}", "0".repeat(zeros)),
            };
            let (one_text, other_text) = (one.to_string(), text(other));
            let (a, b) = (Decimal::parse(&one_text).unwrap(), Decimal::parse(&other_text).unwrap());
            prop_assert_eq!(a.compare(&b), one.cmp(&other));
            prop_assert_eq!(same_value(&one_text, &other_text), one == other);
        }

        #[test]
        fn tolerance_agrees_with_integers(one in -1_000_000_i64..1_000_000, other in -1_000_000_i64..1_000_000,
            absolute in 0_i64..2_000_000, percent in 0_i64..200) {
            let covers = |absolute: Option<String>, relative: Option<String>| {
                Tolerance::parse(absolute.as_deref(), relative.as_deref()).unwrap()
                    .covers(&format!("{one}e-3"), &format!("{other}e-3"))
            };
            let apart = (one - other).abs();
            prop_assert_eq!(covers(Some(format!("{absolute}e-3")), None), apart <= absolute);
            let greater = one.abs().max(other.abs());
            prop_assert_eq!(covers(None, Some(format!("{percent}%"))), apart * 100 <= greater * percent);
        }

        #[test]
        fn order_agrees_with_floats(one: f64, other: f64) {
            prop_assume!(one.is_finite() && other.is_finite());
            let texts = (format!("{one:e}"), format!("{other:e}"));
            let (a, b) = (Decimal::parse(&texts.0).unwrap(), Decimal::parse(&texts.1).unwrap());
            prop_assert_eq!(Some(a.compare(&b)), one.partial_cmp(&other));
            prop_assert_eq!(a.compare(&b) == Ordering::Equal, hash(&texts.0) == hash(&texts.1));
        }
    }
}
