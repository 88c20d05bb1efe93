//! Durations, sizes, shares, quantiles, factors and `${VARIABLES}` as they are written.

use std::ops::{Range, RangeInclusive};

use rollback_guard::Quantile;
use route_plan::failures::DEFINABLE;
use traffic_split::{Percent, PercentError};

/// Milliseconds of a duration such as `250ms`, `2s`, `5m`, `24h` or `14d`. None when it is not one, or out of range.
pub(crate) fn parse_duration_ms(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit_ms)
}

/// Bytes of a size such as `512B`, `64KiB`, `1MiB` or `1GiB`. None when it is not one, or out of range.
pub(crate) fn parse_size_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let unit_bytes = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit_bytes)
}

/// A share of 100 %, such as `5`, `37.5` or `0.5%`.
///
/// # Errors
/// As [`Percent`] reads text.
pub(crate) fn parse_share(text: &str) -> Result<Percent, PercentError> {
    // Decimal text is exact. What is left is a float with an exponent, infinite or no number at all.
    text.parse().or_else(|error| match text.parse::<f64>() {
        Ok(number) if text.contains(['e', 'E']) => Percent::from_f64(number),
        _ => Err(error),
    })
}

/// A quantile such as `0.95` or `p95`.
///
/// # Errors
/// What about its number is wrong.
pub(crate) fn parse_quantile(text: &str) -> Result<Quantile, PercentError> {
    let (number, parts) = match text.strip_prefix('p') {
        Some(percent) => (percent, 100),
        None => (text, 1),
    };
    if number.ends_with('%') {
        return Err(PercentError::NotANumber);
    }
    // A number has as many millionths whatever it is a number of.
    let millionths = parse_share(number)?.millionths();
    if !millionths.is_multiple_of(parts) {
        return Err(PercentError::TooPrecise);
    }
    Quantile::from_millionths(millionths / parts).ok_or(PercentError::OutOfRange)
}

/// A status such as `429`, or all of a class such as `5xx`. None when it is not one of a final answer.
pub(crate) fn parse_statuses(text: &str) -> Option<RangeInclusive<u16>> {
    let class = text.strip_suffix("xx");
    let (number, of_class) = (class.unwrap_or(text), class.is_some());
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u16 = number.parse().ok()?;
    match of_class {
        true => (2..=5).contains(&number).then(|| number * 100..=number * 100 + 99),
        false => DEFINABLE.contains(&number).then_some(number..=number),
    }
}

/// How many times as much: `2x` or `1.5x`. None when it is not that.
pub(crate) fn parse_factor(text: &str) -> Option<f64> {
    let number = text.strip_suffix('x')?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if is_digits(whole) && is_digits(decimals) { number.parse().ok() } else { None }
}

/// A duration as it would be written: in the largest unit that leaves nothing over.
pub(crate) fn show_duration(ms: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    match units.into_iter().find(|(unit_ms, _)| ms >= *unit_ms && ms.is_multiple_of(*unit_ms)) {
        Some((unit_ms, name)) => format!("{}{name}", ms / unit_ms),
        None => format!("{ms}ms"),
    }
}

/// A size as it would be written: in the largest unit that leaves nothing over.
pub(crate) fn show_size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit_bytes, _)| bytes >= *unit_bytes && bytes.is_multiple_of(*unit_bytes))
    {
        Some((unit_bytes, name)) => format!("{}{name}", bytes / unit_bytes),
        None => format!("{bytes}B"),
    }
}

/// Why a `${...}` could not be replaced. The range is within the text that was to be expanded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum VariableError {
    /// No variable of this name is set.
    Unset(String, Range<usize>),
    /// Not `${NAME}`: no closing brace, or no name between them.
    Malformed(Range<usize>),
}

/// The text with each `${NAME}` replaced by the variable's value, and `$${` by `${`. Values are not expanded again.
///
/// # Errors
/// All that is wrong, in order.
pub(crate) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Vec<VariableError>> {
    let mut out = String::with_capacity(text.len());
    let mut errors = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let start = text.len() - after.len() - 2;
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let (name, behind) = match after.split_once('}') {
            Some((name, behind)) if is_variable_name(name) => (name, behind),
            Some((name, behind)) => {
                errors.push(VariableError::Malformed(start..start + name.len() + 3));
                rest = behind;
                continue;
            }
            None => {
                errors.push(VariableError::Malformed(start..text.len()));
                rest = "";
                break;
            }
        };
        match env(name) {
            Some(value) => out.push_str(&value),
            None => errors.push(VariableError::Unset(name.to_owned(), start..start + name.len() + 3)),
        }
        rest = behind;
    }
    out.push_str(rest);
    if errors.is_empty() { Ok(out) } else { Err(errors) }
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("250ms", Some(250)),
            ("0s", Some(0)),
            ("2s", Some(2_000)),
            ("5m", Some(300_000)),
            ("24h", Some(86_400_000)),
            ("14d", Some(1_209_600_000)),
            ("", None),
            ("s", None),
            ("5", None),
            ("5 s", None),
            ("-5s", None),
            ("+5s", None),
            ("1.5s", None),
            ("5S", None),
            ("5sec", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ] {
            assert_eq!(parse_duration_ms(text), ms, "{text:?}");
        }
    }

    #[test]
    fn statuses() {
        for (text, statuses) in [
            ("429", Some(429..=429)),
            ("200", Some(200..=200)),
            ("5xx", Some(500..=599)),
            ("2xx", Some(200..=299)),
            ("1xx", None),
            ("6xx", None),
            ("50xx", None),
            ("5x", None),
            ("5XX", None),
            ("xx", None),
            ("", None),
            ("199", None),
            ("600", None),
            ("+404", None),
            ("70000", None),
        ] {
            assert_eq!(parse_statuses(text), statuses, "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0B", Some(0)),
            ("64KiB", Some(65_536)),
            ("2MiB", Some(2_097_152)),
            ("1GiB", Some(1_073_741_824)),
            ("64kb", None),
            ("64K", None),
            ("64", None),
            ("KiB", None),
            ("18446744073709551615GiB", None),
        ] {
            assert_eq!(parse_size_bytes(text), bytes, "{text:?}");
        }
    }

    #[test]
    fn quantiles() {
        let millionths = |text| parse_quantile(text).map(|quantile| quantile.share() * 1e6);
        for (text, wanted) in [
            ("0.95", Ok(950_000.0)),
            ("0.000001", Ok(1.0)),
            ("0.9999990", Ok(999_999.0)),
            ("1e-3", Ok(1_000.0)),
            ("p50", Ok(500_000.0)),
            ("p99.9", Ok(999_000.0)),
            ("p0.0001", Ok(1.0)),
            ("0", Err(PercentError::OutOfRange)),
            ("1", Err(PercentError::OutOfRange)),
            ("95", Err(PercentError::OutOfRange)),
            ("-0.5", Err(PercentError::OutOfRange)),
            ("p0", Err(PercentError::OutOfRange)),
            ("p100", Err(PercentError::OutOfRange)),
            ("p101", Err(PercentError::OutOfRange)),
            ("0.9999999", Err(PercentError::TooPrecise)),
            ("p99.99999", Err(PercentError::TooPrecise)),
            ("", Err(PercentError::NotANumber)),
            ("p", Err(PercentError::NotANumber)),
            ("P95", Err(PercentError::NotANumber)),
            ("p95%", Err(PercentError::NotANumber)),
            ("0.5%", Err(PercentError::NotANumber)),
            ("nan", Err(PercentError::NotANumber)),
        ] {
            assert_eq!(millionths(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn factors() {
        for (text, factor) in
            [("2x", Some(2.0)), ("1.5x", Some(1.5)), ("0x", Some(0.0)), ("1000x", Some(1000.0))]
        {
            assert_eq!(parse_factor(text), factor, "{text:?}");
        }
        for text in
            ["", "x", "2", "2X", "2.x", ".5x", "-2x", "+2x", "2 x", "2xx", "1e3x", "infx", "nanx", "1.2.3x"]
        {
            assert_eq!(parse_factor(text), None, "{text:?}");
        }
        assert_eq!(parse_factor(&format!("{}x", "9".repeat(400))), Some(f64::INFINITY));
    }

    #[test]
    fn what_is_shown_reads_back() {
        for ms in [0, 1, 999, 1_000, 61_000, 120_000, 86_400_000, 1_209_600_000] {
            assert_eq!(parse_duration_ms(&show_duration(ms)), Some(ms));
        }
        for bytes in [0, 1, 1_023, 1_024, 65_536, 1_048_577, 1 << 30] {
            assert_eq!(parse_size_bytes(&show_size(bytes)), Some(bytes));
        }
    }

    #[test]
    fn variables() {
        let env = |name: &str| match name {
            "HOST" => Some("10.0.0.1".to_owned()),
            "NESTED" => Some("${HOST}".to_owned()),
            _ => None,
        };
        for (text, expanded) in [
            ("", ""),
            ("plain $5 {x}", "plain $5 {x}"),
            ("http://${HOST}:80", "http://10.0.0.1:80"),
            ("${HOST}${HOST}", "10.0.0.110.0.0.1"),
            ("${NESTED}", "${HOST}"),
            ("$${HOST}", "${HOST}"),
            ("$", "$"),
        ] {
            assert_eq!(expand(text, &env).as_deref(), Ok(expanded), "{text:?}");
        }
        let errors = expand("a ${NO} ${} ${1X} ${HOST", &env).unwrap_err();
        assert_eq!(errors.len(), 4);
        assert_eq!(errors[0], VariableError::Unset("NO".to_owned(), 2..7));
        assert_eq!(errors[1], VariableError::Malformed(8..11));
        assert_eq!(errors[2], VariableError::Malformed(12..17));
        assert_eq!(errors[3], VariableError::Malformed(18..24));
    }
}
