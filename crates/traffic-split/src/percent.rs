//! Percentages without rounding. A share is an integer number of millionths of a per cent, so that `12.345678 %`
//! in a file, over the API and in the decision are the same number, and equality means equality.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// A share of buckets, exact to six decimals of a per cent: 0 to 100,000,000 millionths of a per cent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u32);

/// Millionths in one per cent.
const ONE: u32 = 1_000_000;
const DECIMALS: usize = 6;

impl Percent {
    /// Nobody.
    pub const ZERO: Percent = Percent(0);
    /// Everybody.
    pub const FULL: Percent = Percent(100 * ONE);

    /// From millionths of a per cent: 37,500,000 is 37.5 %.
    ///
    /// # Errors
    /// [`PercentError::OutOfRange`] above 100,000,000.
    pub const fn from_millionths(millionths: u32) -> Result<Self, PercentError> {
        if millionths <= Self::FULL.0 { Ok(Self(millionths)) } else { Err(PercentError::OutOfRange) }
    }

    /// Millionths of a per cent, 0 to 100,000,000.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// From a number of per cent as JSON and TOML carry it: the share whose decimal form reads as this number.
    ///
    /// # Errors
    /// [`PercentError::NotANumber`] for NaN, [`PercentError::OutOfRange`] outside 0 to 100, and
    /// [`PercentError::TooPrecise`] when the number is none that has at most six decimals.
    pub fn from_f64(percent: f64) -> Result<Self, PercentError> {
        if percent.is_nan() {
            return Err(PercentError::NotANumber);
        }
        if !(0.0..=100.0).contains(&percent) {
            return Err(PercentError::OutOfRange);
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above to lie in 0..=100, so this lies in 0..=100_000_000"
        )]
        let share = Self((percent * f64::from(ONE)).round() as u32);
        // A number written with six decimals is the float nearest to that decimal, which is what `as_f64` computes.
        if share.as_f64() == percent { Ok(share) } else { Err(PercentError::TooPrecise) }
    }

    /// The float nearest to the number of per cent, 0.0 to 100.0. `from_f64` of it gives the same share again.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / f64::from(ONE)
    }
}

impl fmt::Display for Percent {
    /// The number of per cent without sign and trailing zeros: `37.5`, `0.000001`, `100`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / ONE, self.0 % ONE);
        if rest == 0 {
            return f.pad(&whole.to_string());
        }
        f.pad(format!("{whole}.{rest:0DECIMALS$}").trim_end_matches('0'))
    }
}

impl FromStr for Percent {
    type Err = PercentError;

    /// Reads digits, optionally a point and digits, optionally `%`: `5`, `37.5`, `0.5%`. In decimal throughout.
    ///
    /// # Errors
    /// As [`Percent::from_f64`]; zeros after the sixth decimal are allowed, since they change nothing.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_suffix('%').unwrap_or(text);
        let (negative, number) = match number.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, number),
        };
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        if !is_digits(whole) || !is_digits(decimals) {
            return Err(PercentError::NotANumber);
        }
        let (kept, beyond) = decimals.split_at(decimals.len().min(DECIMALS));
        // Only digits are left, so the one way to fail is a number too large for the type.
        let whole: u32 = whole.parse().map_err(|_| PercentError::OutOfRange)?;
        let kept: u32 = format!("{kept:0<DECIMALS$}").parse().map_err(|_| PercentError::OutOfRange)?;
        let share = whole.checked_mul(ONE).and_then(|whole| whole.checked_add(kept));
        let share = share.filter(|share| !negative || *share == 0).ok_or(PercentError::OutOfRange)?;
        let share = Self::from_millionths(share)?;
        if beyond.bytes().all(|digit| digit == b'0') { Ok(share) } else { Err(PercentError::TooPrecise) }
    }
}

/// Why something is no [`Percent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PercentError {
    /// Not a decimal number.
    NotANumber,
    /// Below 0 or above 100.
    OutOfRange,
    /// More than six decimals.
    TooPrecise,
}

impl fmt::Display for PercentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PercentError::NotANumber => "expected a number of per cent such as `5` or `37.5%`",
            PercentError::OutOfRange => "a percentage lies between 0 and 100",
            PercentError::TooPrecise => "a percentage has at most six decimals",
        })
    }
}

impl Error for PercentError {}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Percent, PercentError};

    #[test]
    fn reads_text() {
        let table: &[(&str, Result<u32, PercentError>)] = &[
            ("0", Ok(0)),
            ("5", Ok(5_000_000)),
            ("37.5", Ok(37_500_000)),
            ("37.5%", Ok(37_500_000)),
            ("100", Ok(100_000_000)),
            ("100.000000%", Ok(100_000_000)),
            ("0.000001", Ok(1)),
            ("0.0000010", Ok(1)),
            ("007.25", Ok(7_250_000)),
            ("-0", Ok(0)),
            ("0.0000001", Err(PercentError::TooPrecise)),
            ("100.0000001", Err(PercentError::TooPrecise)),
            ("100.000001", Err(PercentError::OutOfRange)),
            ("101", Err(PercentError::OutOfRange)),
            ("-1", Err(PercentError::OutOfRange)),
            ("4294967296", Err(PercentError::OutOfRange)),
            ("99999999999999999999999", Err(PercentError::OutOfRange)),
            ("", Err(PercentError::NotANumber)),
            ("%", Err(PercentError::NotANumber)),
            (".5", Err(PercentError::NotANumber)),
            ("5.", Err(PercentError::NotANumber)),
            ("1e1", Err(PercentError::NotANumber)),
            ("+5", Err(PercentError::NotANumber)),
            ("--5", Err(PercentError::NotANumber)),
            ("5 %", Err(PercentError::NotANumber)),
            ("5%%", Err(PercentError::NotANumber)),
            ("1,5", Err(PercentError::NotANumber)),
            ("1.2.3", Err(PercentError::NotANumber)),
            ("NaN", Err(PercentError::NotANumber)),
            ("\u{0665}", Err(PercentError::NotANumber)),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Percent>().map(Percent::millionths), *expected, "{text:?}");
        }
    }

    #[test]
    fn reads_floats() {
        let table: &[(f64, Result<u32, PercentError>)] = &[
            (0.0, Ok(0)),
            (-0.0, Ok(0)),
            (0.1, Ok(100_000)),
            (37.5, Ok(37_500_000)),
            (12.345_678, Ok(12_345_678)),
            (99.999_999, Ok(99_999_999)),
            (100.0, Ok(100_000_000)),
            (100.000_000_1, Err(PercentError::OutOfRange)),
            (-0.000_001, Err(PercentError::OutOfRange)),
            (f64::INFINITY, Err(PercentError::OutOfRange)),
            (f64::NAN, Err(PercentError::NotANumber)),
            (0.000_000_1, Err(PercentError::TooPrecise)),
            (33.333_333_3, Err(PercentError::TooPrecise)),
            (100.0 / 3.0, Err(PercentError::TooPrecise)),
            (f64::MIN_POSITIVE, Err(PercentError::TooPrecise)),
        ];
        for (number, expected) in table {
            assert_eq!(Percent::from_f64(*number).map(Percent::millionths), *expected, "{number}");
        }
    }

    #[test]
    fn shows_no_trailing_zeros() {
        for (millionths, text) in
            [(0, "0"), (1, "0.000001"), (37_500_000, "37.5"), (10_000_000, "10"), (100_000_000, "100")]
        {
            assert_eq!(Percent::from_millionths(millionths).unwrap().to_string(), text);
        }
        assert_eq!(format!("{:>6}", Percent(500_000)), "   0.5");
        assert_eq!(Percent::from_millionths(100_000_001), Err(PercentError::OutOfRange));
        assert_eq!(Percent::default(), Percent::ZERO);
    }

    proptest! {
        #[test]
        fn every_share_survives_text_and_float(millionths in 0_u32..=100_000_000) {
            let share = Percent::from_millionths(millionths).unwrap();
            prop_assert_eq!(share.to_string().parse(), Ok(share));
            prop_assert_eq!(Percent::from_f64(share.as_f64()), Ok(share));
            prop_assert_eq!(Percent::from_f64(share.to_string().parse().unwrap()), Ok(share));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,20}") {
            let _ = text.parse::<Percent>();
        }
    }
}
