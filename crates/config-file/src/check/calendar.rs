//! When the percentage may rise: days, times and dates.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use ramp::calendar::{Calendar, Freeze, Window};

use crate::diagnostic::{Diagnostic, Sink};
use crate::nearest::nearest;
use crate::written::{Said, Table};

pub(super) fn calendar(table: &Table, sink: &mut Sink) -> Option<Calendar> {
    let time_zone = table.text("time_zone").and_then(|said| time_zone(&said, sink));
    let windows: Vec<_> = table.tables("windows").iter().map(|table| window(table, sink)).collect();
    let freezes: Vec<_> = table.tables("freezes").iter().map(|table| freeze(table, sink)).collect();
    Some(Calendar {
        time_zone: time_zone?,
        windows: windows.into_iter().collect::<Option<_>>()?,
        freezes: freezes.into_iter().collect::<Option<_>>()?,
    })
}

/// Zones are those that the program brings along, so that a file means the same on every machine.
fn time_zone(said: &Said<&str>, sink: &mut Sink) -> Option<TimeZone> {
    let zones = TimeZoneDatabase::bundled();
    if let Ok(zone) = zones.get(said.value) {
        return Some(zone);
    }
    let known: Vec<_> = zones.available().collect();
    let names = || known.iter().map(jiff::tz::TimeZoneName::as_str);
    // Many write the city alone.
    let of_city = |name: &&str| {
        name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&said.value.replace(' ', "_")))
    };
    let help = if said.value.contains(['+', ':']) {
        Some("an offset is the same all year round: write the name of the place".to_owned())
    } else {
        let near = names().find(of_city).or_else(|| nearest(said.value, names()));
        near.map(|near| format!("did you mean \"{near}\"?"))
    };
    let message = format!("there is no time zone `{}`", said.value);
    let diagnostic = Diagnostic::error("unknown-time-zone", &said.spot, message);
    sink.push(diagnostic.expected("a name such as \"Europe/Berlin\" or \"UTC\"").maybe_help(help));
    None
}

fn window(table: &Table, sink: &mut Sink) -> Option<Window> {
    let mut days = Vec::new();
    for said in table.texts("days") {
        days.extend(days_of(&said, sink).unwrap_or_default());
    }
    let days = DAYS.map(|(_, day)| day).into_iter().filter(|day| days.contains(day)).collect();
    let from = table.text("from").and_then(|said| time(said, Time::MIN, sink));
    let to = table.text("to").and_then(|said| end_of_window(said, sink));
    let (from, to) = (from?, to?);
    if let Some(end) = to.value
        && end <= from.value
    {
        let message = if end == from.value {
            format!("the window is empty: it ends at {}, where it begins", hour(end))
        } else {
            format!("the window ends at {}, before it begins at {}", hour(end), hour(from.value))
        };
        let help = match end {
            end if end == Time::MIN => "write \"24:00\" for midnight at the end of a day".to_owned(),
            end if end == from.value => "leave out both for the whole day".to_owned(),
            end => format!(
                "write a window up to \"24:00\", and one from \"00:00\" to \"{}\" for the days after",
                hour(end)
            ),
        };
        let diagnostic = Diagnostic::error("window-order", &to.spot, message);
        let diagnostic = diagnostic.expected(format!("a time after {}", hour(from.value))).help(help);
        sink.push(if table.wrote("from") { diagnostic.label(from.span(), "its begin") } else { diagnostic });
    }
    Some(Window { days, from: from.value, to: to.value })
}

/// The days of a name or a range.
fn days_of(said: &Said<&str>, sink: &mut Sink) -> Option<Vec<Weekday>> {
    let (first, last) = said.value.split_once('-').unwrap_or((said.value, said.value));
    let place = |name: &str| DAYS.iter().position(|(day, _)| *day == name);
    if let (Some(first), Some(last)) = (place(first), place(last)) {
        let count = (last + DAYS.len() - first) % DAYS.len() + 1;
        return Some(DAYS.iter().cycle().skip(first).take(count).map(|(_, day)| *day).collect());
    }
    let meant = |name: &str| nearest(name, DAYS.map(|(day, _)| day));
    let help = match (meant(first), meant(last), said.value.matches('-').count()) {
        (Some(day), _, 0) => format!("did you mean \"{day}\"?"),
        (Some(first), Some(last), 1) => format!("did you mean \"{first}-{last}\"?"),
        _ => "the days are mon, tue, wed, thu, fri, sat and sun".to_owned(),
    };
    let message = format!("`{}` is neither a day nor a range of days", said.value);
    let diagnostic = Diagnostic::error("bad-day", &said.spot, message);
    sink.push(diagnostic.expected("a day such as \"mon\", or a range such as \"mon-fri\"").help(help));
    None
}

/// A time of the day; `None` in it: the midnight at the day's end.
fn end_of_window(said: Said<&str>, sink: &mut Sink) -> Option<Said<Option<Time>>> {
    if matches!(said.value, "24:00" | "24:00:00") {
        return Some(Said::new(None, said.spot));
    }
    let said = time(said, Time::MAX, sink)?;
    Some(Said::new(Some(said.value), said.spot))
}

fn time(said: Said<&str>, last: Time, sink: &mut Sink) -> Option<Said<Time>> {
    let parsed = ["00:00", "00:00:00"].iter().any(|shape| has_shape(said.value, shape));
    if let Some(time) = said.value.parse().ok().filter(|_| parsed) {
        return Some(Said::new(time, said.spot));
    }
    let padded = format!("0{}", said.value);
    let help = (has_shape(&padded, "00:00") && padded.parse::<Time>().is_ok())
        .then(|| format!("write \"{padded}\""));
    let message = format!("`{}` is not a time of the day", said.value);
    let last = if last == Time::MAX { "24:00" } else { "23:59" };
    let diagnostic = Diagnostic::error("bad-time", &said.spot, message);
    sink.push(diagnostic.expected(format!("a time from \"00:00\" to \"{last}\"")).maybe_help(help));
    None
}

fn freeze(table: &Table, sink: &mut Sink) -> Option<Freeze> {
    let from = table.text("from").and_then(|said| date(&said, sink));
    let to = table.text("to").and_then(|said| date(&said, sink));
    let (from, to) = (from?, to?);
    if to.value <= from.value {
        let message = if to.value == from.value {
            "the freeze is empty: it ends where it begins"
        } else {
            "the freeze ends before it begins"
        };
        let day_after = to.value.date().tomorrow().ok();
        let help = day_after.filter(|_| to.value == from.value && to.value.time() == Time::MIN);
        let help = help.map(|day| format!("`to` is the first moment outside: for that day write \"{day}\""));
        let diagnostic = Diagnostic::error("freeze-order", &to.spot, message);
        let diagnostic = diagnostic.expected("a moment after `from`").label(from.span(), "its begin");
        sink.push(diagnostic.maybe_help(help));
    }
    let reason = table.text("reason").map(|said| said.value.to_owned());
    Some(Freeze { from: from.value, to: to.value, reason })
}

/// A date, which stands for its midnight, or a date with a time.
fn date(said: &Said<&str>, sink: &mut Sink) -> Option<Said<DateTime>> {
    let text = said.value;
    let parsed = if is_date(text) {
        text.parse::<Date>().ok().map(|date| date.to_datetime(Time::MIN))
    } else if is_date_with_time(text) {
        text.parse::<DateTime>().ok()
    } else {
        None
    };
    if let Some(date) = parsed {
        return Some(Said::new(date, said.spot.clone()));
    }
    let help = text.parse::<Timestamp>().is_ok().then_some(
        "write it without its offset from UTC: it is what the clock shows in the calendar's `time_zone`",
    );
    let diagnostic =
        Diagnostic::error("bad-date", &said.spot, format!("`{text}` is not a date of the calendar"));
    sink.push(
        diagnostic
            .expected("a date or a date with a time, such as \"2026-12-18\" or \"2026-12-18T12:00\"")
            .maybe_help(help.map(str::to_owned)),
    );
    None
}

/// A moment wherever the reader is: date, time and offset from UTC, as RFC 3339 has it.
pub(super) fn moment(said: &Said<&str>, sink: &mut Sink) -> Option<Timestamp> {
    let text = said.value;
    let offset = text.strip_suffix('Z').or_else(|| {
        let (local, offset) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
        (has_shape(offset, "+00:00") || has_shape(offset, "-00:00")).then_some(local)
    });
    let has_offset = offset.is_some_and(|local| {
        let (whole, fraction) = local.split_once('.').unwrap_or((local, "0"));
        is_date_with_seconds(whole) && !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit())
    });
    if let Some(moment) = text.parse().ok().filter(|_| has_offset) {
        return Some(moment);
    }
    let local = text.parse::<DateTime>().ok().filter(|_| is_date(text) || is_date_with_time(text));
    let message = match local {
        Some(_) => format!("`{text}` is not one moment everywhere: it lacks the offset from UTC"),
        None => format!("`{text}` is not a date with a time and an offset from UTC"),
    };
    let help = local.map(|local| {
        let whole = local.strftime("%Y-%m-%dT%H:%M:%S");
        format!("write \"{whole}Z\" for UTC, or the offset of another clock, as in \"{whole}+01:00\"")
    });
    let diagnostic = Diagnostic::error("bad-moment", &said.spot, message);
    let expected = "a moment such as \"2027-01-31T00:00:00Z\" or \"2027-01-31T00:00:00+01:00\"";
    sink.push(diagnostic.expected(expected).maybe_help(help));
    None
}

fn is_date(text: &str) -> bool {
    has_shape(text, "0000-00-00")
}

fn is_date_with_time(text: &str) -> bool {
    is_date_with_seconds(text)
        || ["0000-00-00T00:00", "0000-00-00 00:00"].iter().any(|shape| has_shape(text, shape))
}

fn is_date_with_seconds(text: &str) -> bool {
    ["0000-00-00T00:00:00", "0000-00-00 00:00:00"].iter().any(|shape| has_shape(text, shape))
}

/// Whether the text has a digit wherever the shape has one, and is the same elsewhere.
fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(byte, wanted): (u8, u8)| byte == wanted || wanted == b'0' && byte.is_ascii_digit();
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

/// As people write it: without seconds where there are none.
fn hour(time: Time) -> impl std::fmt::Display {
    time.strftime(if time.second() == 0 { "%H:%M" } else { "%H:%M:%S" })
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];
