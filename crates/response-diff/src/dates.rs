//! Dates in header fields.

/// The seconds since 1970 that a date of any of HTTP's three forms names (RFC 9110 section 5.6.7), or one of the
/// sloppier forms that cookies have come in. Read as user agents read it (RFC 6265 section 5.1.1): by its parts, in
/// whatever order, and always as UTC.
pub(crate) fn http_date(value: &[u8]) -> Option<i64> {
    let value = str::from_utf8(value).ok()?;
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    // Its delimiters, but for the colon, which a time is known by.
    for token in value.split(|c: char| !(c.is_ascii_alphanumeric() || c == ':')) {
        if time.is_none()
            && let Some(found) = clock(token)
        {
            time = Some(found);
        } else if day.is_none()
            && let Some(found) = number(token, 1, 2)
        {
            day = Some(found);
        } else if month.is_none()
            && let Some(found) = month_of(token)
        {
            month = Some(found);
        } else if year.is_none()
            && let Some(found) = number(token, 2, 4)
        {
            year = Some(match (token.len(), found) {
                (2, 70..=99) => found + 1900,
                (2, _) => found + 2000,
                _ => found,
            });
        }
    }
    let (time, day, month, year) = (time?, day?, month?, year?);
    let is_date = (1..=31).contains(&day) && year >= 1601;
    is_date.then(|| days_since_1970(year, month, day) * 86_400 + time)
}

/// Digits alone, this many.
fn number(token: &str, least: usize, most: usize) -> Option<i64> {
    let fits = (least..=most).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_digit());
    if fits { token.parse().ok() } else { None }
}

/// `08:49:37` as seconds of the day.
fn clock(token: &str) -> Option<i64> {
    let mut parts = token.split(':').map(|part| number(part, 1, 2));
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let is_time = parts.next().is_none() && hours < 24 && minutes < 60 && seconds <= 60;
    is_time.then_some((hours * 60 + minutes) * 60 + seconds)
}

fn month_of(token: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let start = token.get(..3)?.to_ascii_lowercase();
    (1..).zip(MONTHS).find(|(_, name)| *name == start).map(|(number, _)| number)
}

/// Days of the proleptic Gregorian calendar, by Hinnant's `days_from_civil`.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_name_the_same_moment() {
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "6 november 1994 8:49:37",
        ] {
            assert_eq!(http_date(date.as_bytes()), Some(784_111_777), "{date}");
        }
        for (date, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Thu, 01-Jan-70 00:00:01 GMT", 1),
            ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
            ("Thu, 29 Feb 2024 12:00:00 GMT", 1_709_208_000),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ] {
            assert_eq!(http_date(date.as_bytes()), Some(seconds), "{date}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in
            ["", "0", "-1", "tomorrow", "Sun, 06 Nov 1994", "08:49:37", "06 Nov 1994 25:00:00", "\u{fc}"]
        {
            assert_eq!(http_date(text.as_bytes()), None, "{text}");
        }
        assert_eq!(http_date(b"06 Nov 1994 08:49:37 \xff"), None);
    }
}
