//! Numbers as people read them.

use std::time::Duration;

/// `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 user moves`, `2,257 users move`.
pub(super) fn users(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 user {one}"),
        _ => format!("{} users {many}", grouped(count as u64)),
    }
}

/// `6.2 ms`, or a dash where nothing was measured.
pub(super) fn milliseconds(duration: Option<Duration>) -> String {
    match duration {
        Some(duration) if duration >= Duration::from_millis(100) => {
            format!("{} ms", grouped(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
        }
        Some(duration) => format!("{:.1} ms", duration.as_secs_f64() * 1000.0),
        None => "-".to_owned(),
    }
}

/// `24.8 %`, or a dash where nothing was measured.
pub(super) fn percent(percent: Option<f64>) -> String {
    percent.map_or("-".to_owned(), |percent| format!("{percent:.1} %"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(users(1, "moves", "move"), "1 user moves");
        assert_eq!(users(2257, "moves", "move"), "2,257 users move");
        assert_eq!(milliseconds(Some(Duration::from_micros(6240))), "6.2 ms");
        assert_eq!(milliseconds(Some(Duration::from_millis(1200))), "1,200 ms");
        assert_eq!(milliseconds(None), "-");
        assert_eq!((percent(Some(24.76)), percent(None)), ("24.8 %".to_owned(), "-".to_owned()));
    }
}
