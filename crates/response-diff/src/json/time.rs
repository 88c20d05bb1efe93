//! Times as APIs write them, so that two clocks a little apart are no difference.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::{Timestamp, tz::TimeZone};

/// How a time is written. Times in two forms are never the same: a client that reads the one may not read the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// RFC 3339, with its zone.
    Zoned,
    /// A date and a time without a zone.
    Civil,
    /// A date alone.
    Date,
    /// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7, RFC 5322 section 3.3).
    Http,
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// Whether two texts, or two numbers, are times in one form and no further apart than this.
pub(super) fn within(one: &str, other: &str, window: Duration) -> bool {
    let (Some((one_form, one)), Some((other_form, other))) = (read(one), read(other)) else { return false };
    one_form == other_form && one.abs_diff(other) <= window.as_nanos()
}

/// The form of a time, and its nanoseconds since 1970.
fn read(text: &str) -> Option<(Form, i128)> {
    // No form is longer; what is, is not looked into.
    if text.len() > 64 {
        return None;
    }
    if let Some(since) = read_since_1970(text) {
        return Some(since);
    }
    if let Ok(zoned) = text.parse::<Timestamp>() {
        return Some((Form::Zoned, zoned.as_nanosecond()));
    }
    if let Ok(civil) = text.parse::<DateTime>() {
        let form = if text.contains(':') { Form::Civil } else { Form::Date };
        let nanoseconds = TimeZone::UTC.to_timestamp(civil).ok()?.as_nanosecond();
        return Some((form, nanoseconds));
    }
    let http = jiff::fmt::rfc2822::parse(text).ok()?;
    Some((Form::Http, http.timestamp().as_nanosecond()))
}

/// A number of seconds, or of smaller units when it is too great to be seconds: those of the year 5138 are where
/// milliseconds of 1973 begin.
fn read_since_1970(text: &str) -> Option<(Form, i128)> {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 20 || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let number: i128 = whole.parse().ok()?;
    let (form, unit) = match number {
        ..100_000_000_000 => (Form::Seconds, 1_000_000_000),
        100_000_000_000..100_000_000_000_000 => (Form::Milliseconds, 1_000_000),
        100_000_000_000_000..100_000_000_000_000_000 => (Form::Microseconds, 1_000),
        _ => (Form::Nanoseconds, 1),
    };
    // Digits behind the ninth are less than a nanosecond whatever the unit.
    let digits = &fraction[..fraction.len().min(9)];
    let parts: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let nanoseconds = number * unit + parts * unit / 10_i128.pow(u32::try_from(digits.len()).ok()?);
    Some((form, if negative { -nanoseconds } else { nanoseconds }))
}

#[cfg(test)]
mod tests {
    use super::within;
    use std::time::Duration;

    #[test]
    fn times_in_one_form_are_the_same_within_the_window() {
        let cases = [
            // A window of two seconds.
            ("2024-05-01T10:00:00Z", "2024-05-01T10:00:02Z", true),
            ("2024-05-01T10:00:00Z", "2024-05-01T10:00:02.000000001Z", false),
            ("2024-05-01T10:00:00Z", "2024-05-01T12:00:01.5+02:00", true),
            ("2024-05-01T10:00:00Z", "2024-05-01T10:00:00+02:00", false),
            ("2024-05-01T10:00:00.123Z", "2024-05-01 10:00:00Z", true),
            ("2024-12-31T23:59:59Z", "2025-01-01T00:00:00Z", true),
            // Without a zone, only beside one without.
            ("2024-05-01T10:00:00", "2024-05-01 10:00:01", true),
            ("2024-05-01T10:00:00", "2024-05-01T10:00:00Z", false),
            ("2024-05-01", "2024-05-01", true),
            ("2024-05-01", "2024-05-02", false),
            ("2024-05-01", "2024-05-01T00:00:00", false),
            ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:39 GMT", true),
            ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 09:49:37 +0100", true),
            ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:40 GMT", false),
            ("Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z", false),
            // Since 1970; another unit is another form.
            ("1700000000", "1700000002", true),
            ("1700000000", "1700000003", false),
            ("1700000000.5", "1700000002.25", true),
            ("1700000000.123456", "1700000000", true),
            ("1700000000000", "1700000002000", true),
            ("1700000000000", "1700000002001", false),
            ("1700000000", "1700000000000", false),
            ("1700000000000000", "1700000002000000", true),
            ("1700000000000000000", "1700000002000000001", false),
            ("-1", "1", true),
            ("-1", "2", false),
            // No times at all.
            ("yesterday", "today", false),
            ("", "", false),
            ("2024-13-01T10:00:00Z", "2024-13-01T10:00:00Z", false),
            ("1e9", "1000000000", false),
            ("999999999999999999999", "999999999999999999999", false),
        ];
        for (one, other, same) in cases {
            assert_eq!(within(one, other, Duration::from_secs(2)), same, "{one} and {other}");
            assert_eq!(within(other, one, Duration::from_secs(2)), same, "{other} and {one}");
        }
    }
}
