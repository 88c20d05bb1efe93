use super::*;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn time(text: &str) -> Time {
    text.parse().unwrap()
}

const WORKDAYS: [Weekday; 5] =
    [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];

fn calendar(zone_name: &str, days: &[Weekday], from: &str, to: &str) -> Calendar {
    let window = Window { days: days.to_vec(), from: time(from), to: Some(time(to)) };
    Calendar { time_zone: zone(zone_name), windows: vec![window], freezes: Vec::new() }
}

fn freeze(from: &str, to: &str) -> Freeze {
    Freeze { from: from.parse().unwrap(), to: to.parse().unwrap(), reason: Some("holidays".to_owned()) }
}

fn said(calendar: &Calendar, now: &str) -> String {
    calendar.closed(at(now)).map_or("open".to_owned(), |closed| closed.to_string())
}

#[test]
fn without_windows_and_freezes_it_is_always_open() {
    assert_eq!(said(&Calendar::default(), "2026-12-25T03:00:00Z"), "open");
}

#[test]
fn business_hours_are_those_of_the_place() {
    let berlin = calendar("Europe/Berlin", &WORKDAYS, "09:00", "16:00");
    // A Thursday in winter, UTC+1.
    assert_eq!(
        said(&berlin, "2026-11-26T07:59:59Z"),
        "outside of the calendar's windows until 2026-11-26 09:00 Europe/Berlin"
    );
    assert_eq!(said(&berlin, "2026-11-26T08:00:00Z"), "open");
    assert_eq!(
        said(&berlin, "2026-11-27T15:00:00Z"),
        "outside of the calendar's windows until 2026-11-30 09:00 Europe/Berlin",
        "over the weekend"
    );
    // The same hour of the wall clock is an hour earlier in summer.
    assert_eq!(said(&berlin, "2026-07-02T07:00:00Z"), "open");
}

#[test]
fn a_freeze_ends_when_a_window_is_open_too() {
    let mut berlin = calendar("Europe/Berlin", &WORKDAYS, "09:00", "16:00");
    berlin.freezes.push(freeze("2026-12-18T12:00", "2027-01-02T00:00"));
    assert_eq!(said(&berlin, "2026-12-18T10:59:00Z"), "open");
    assert_eq!(
        said(&berlin, "2026-12-18T11:00:00Z"),
        "a freeze (holidays) until 2027-01-04 09:00 Europe/Berlin",
        "the 2nd is a Saturday"
    );
}

#[test]
fn an_hour_that_the_clock_leaps_over_is_never_inside() {
    // 2026-03-29, 02:00 to 03:00 does not exist in Berlin.
    let berlin = calendar("Europe/Berlin", &[Weekday::Sunday], "02:00", "03:00");
    assert_eq!(
        said(&berlin, "2026-03-29T00:59:59Z"),
        "outside of the calendar's windows until 2026-04-05 02:00 Europe/Berlin"
    );
    let longer = calendar("Europe/Berlin", &[Weekday::Sunday], "02:30", "04:00");
    assert_eq!(
        said(&longer, "2026-03-29T00:59:59Z"),
        "outside of the calendar's windows until 2026-03-29 03:00 Europe/Berlin",
        "the first moment whose wall clock is inside"
    );
    assert_eq!(said(&longer, "2026-03-29T01:00:00Z"), "open");
}

#[test]
fn an_hour_that_the_clock_shows_twice_is_inside_both_times() {
    // 2026-10-25, 02:00 to 03:00 comes twice: at UTC+2 and at UTC+1.
    let berlin = calendar("Europe/Berlin", &[Weekday::Sunday], "02:30", "02:45");
    for (now, expected) in [
        ("2026-10-25T00:29:00Z", false),
        ("2026-10-25T00:30:00Z", true),
        ("2026-10-25T00:45:00Z", false),
        ("2026-10-25T01:30:00Z", true),
        ("2026-10-25T01:45:00Z", false),
    ] {
        assert_eq!(berlin.closed(at(now)).is_none(), expected, "{now}");
    }
}

#[test]
fn what_never_opens_is_said_plainly() {
    let mut never = Calendar::default();
    never.freezes.push(freeze("2026-01-01T00:00", "2030-01-01T00:00"));
    assert_eq!(said(&never, "2026-06-01T00:00:00Z"), "a freeze (holidays) for more than 400 days");
    assert_eq!(never.opens(at("2026-06-01T00:00:00Z")), None);
}

#[test]
fn the_opening_that_is_promised_is_the_first_open_moment() {
    let mut new_york = calendar("America/New_York", &WORKDAYS, "10:00", "15:00");
    new_york.freezes.push(freeze("2026-03-05T00:00", "2026-03-09T11:30"));
    // Every half hour of two weeks around the change of the clock on March 8th.
    let start = at("2026-03-01T00:00:00Z");
    let moments: Vec<Timestamp> =
        (0..672_i64).map(|n| start.checked_add((n * 30).minutes()).unwrap()).collect();
    let open: Vec<bool> = moments.iter().map(|now| new_york.closed(*now).is_none()).collect();
    for (index, now) in moments.iter().enumerate() {
        let Some(first) = (index..moments.len()).find(|at| open[*at]) else { break };
        assert_eq!(new_york.opens(*now), Some(moments[first]), "{now}");
    }
}
