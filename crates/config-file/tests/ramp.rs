//! What a file says of the ramp and the calendar, and what it comes to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod example;

use std::time::Duration;

use config_file::{Checked, NoFiles, Outcome};
use example::{HEAD, MIGRATION};
use jiff::Timestamp;
use jiff::civil::{DateTime, Time, Weekday};
use ramp::calendar::{Calendar, Freeze, Window};
use ramp::{Abort, Grace, Policy, Preset, RollbackPolicy, Step, Target};
use route_plan::{Migration, Phase};

/// A file with these lines at the end of its migration.
fn outcome(lines: &str) -> Outcome {
    let env = |name: &str| match name {
        "RAMP" => Some("expansion".to_owned()),
        "YES" => Some("true".to_owned()),
        "NO" => Some("false".to_owned()),
        "FIVE" => Some("5".to_owned()),
        "DAY" => Some("2026-12-18".to_owned()),
        "HOOK" => Some("https://hooks.example.com/secret?token=1".to_owned()),
        _ => None,
    };
    config_file::parse(&format!("{HEAD}{MIGRATION}{lines}\n"), "test.toml", &env, &NoFiles)
}

fn checked(lines: &str) -> Checked {
    let outcome = outcome(lines);
    let shown = outcome.render(false);
    outcome.checked.unwrap_or_else(|| panic!("{lines}\n{shown}"))
}

fn policy(lines: &str) -> Policy {
    checked(lines).migrations[0].policy.clone()
}

fn calendar(fields: &str) -> Calendar {
    policy(&format!("[calendar]\n{fields}")).calendar
}

fn codes(lines: &str) -> Vec<&'static str> {
    outcome(lines).diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

fn other(name: &str, lines: &str) -> String {
    format!(
        "{}\n{lines}\n",
        MIGRATION.replace("shop]", &format!("{name}]")).replace("/*", &format!("/{name}"))
    )
}

fn hours(hours: u64) -> Duration {
    Duration::from_hours(hours)
}

#[test]
fn what_is_left_out_has_its_default() {
    assert_eq!(policy(""), Policy::default());
    let written = policy(
        "exclusive = false\nafter = []\ngrace = \"14d\"\nrollback = { to = \"old\", over = \"0s\" }\n\
         abort = { rollbacks = 3 }\n[migration.shop.calendar]\ntime_zone = \"UTC\"\nwindows = []\nfreezes = []",
    );
    assert_eq!(written, Policy::default());
    assert_eq!(policy("rollback = {}\nabort = {}\ncalendar = {}\n[calendar]"), Policy::default());
}

#[test]
fn a_step_needs_only_its_percentage() {
    let percent = |text: &str| text.parse().unwrap();
    let steps =
        policy("ramp = [{ percent = 0.5 }, { percent = \"${FIVE}%\" }, { percent = \"37.5%\" }]").steps;
    assert_eq!(steps, ["0.5", "5", "37.5"].map(|text| Step::to(percent(text))));
    let steps = policy(
        "[[migration.shop.ramp]]\npercent = 1\nhold = \"24h\"\nmin_requests = 1000\napprove = true\ndrill = true\n\
         announce = \"${HOOK}\"\nconfirm = \"http://10.0.0.1/ask\"\n\
         [[migration.shop.ramp]]\npercent = 100\nhold = \"400d\"\nmin_requests = \"${FIVE}\"\napprove = \"${YES}\"",
    )
    .steps;
    let first = Step {
        hold: hours(24),
        min_requests: 1_000,
        approve: true,
        drill: true,
        announce: Some("https://hooks.example.com/secret?token=1".parse().unwrap()),
        confirm: Some("http://10.0.0.1/ask".parse().unwrap()),
        ..Step::to(percent("1"))
    };
    let last = Step { hold: hours(400 * 24), min_requests: 5, approve: true, ..Step::to(percent("100")) };
    assert_eq!(steps, [first, last]);
}

#[test]
fn every_preset_has_its_name_in_the_file() {
    for preset in Preset::ALL {
        let policy = policy(&format!("ramp = \"{}\"", preset.as_str()));
        assert_eq!(policy, Policy { steps: preset.steps(), ..Policy::default() });
    }
    assert_eq!(policy("ramp = \"${RAMP}\"").steps, Preset::Expansion.steps());
}

#[test]
fn a_hundred_steps_are_not_too_many() {
    let ramp = |steps: u32| {
        let steps: String = (1..=steps).map(|step| format!("{{ percent = 0.{step:03} }}, ")).collect();
        format!("ramp = [{steps}]")
    };
    assert_eq!(policy(&ramp(100)).steps.len(), 100);
    assert_eq!(codes(&ramp(101)), ["too-many-steps"]);
}

#[test]
fn order_among_migrations() {
    let lines = "ramp = \"standard\"\nexclusive = true\nafter = [\"two\", \"three\", \"two\"]";
    let policy = policy(&format!("{lines}{}{}", other("two", "after = [\"three\"]"), other("three", "")));
    assert!(policy.exclusive);
    assert_eq!(policy.after, ["two", "three"]);
}

#[test]
fn circles_are_found_once_each_and_however_long() {
    let chain = |count: usize, last: &str| -> String {
        let next = |n: usize| if n == count { last.to_owned() } else { format!("\"m{}\"", n + 1) };
        (1..=count)
            .map(|n| other(&format!("m{n}"), &format!("ramp = \"standard\"\nafter = [{}]", next(n))))
            .collect()
    };
    assert!(codes(&chain(200, "")).is_empty());
    assert_eq!(codes(&chain(200, "\"m1\"")), ["after-in-a-circle"]);
    assert_eq!(codes(&chain(5, "\"m4\"")), ["after-in-a-circle"]);
    // Two circles that share a migration.
    assert_eq!(codes(&chain(5, "\"m4\", \"m1\"")), ["after-in-a-circle", "after-in-a-circle"]);
}

#[test]
fn rollback_abort_and_grace() {
    let lines =
        "ramp = \"standard\"\nrollback = { to = \"previous-step\", then = \"preparation\", over = \"24h\" }";
    let wanted = RollbackPolicy { to: Target::PreviousStep, then: Some(Phase::Preparation), over: hours(24) };
    assert_eq!(policy(lines).rollback, wanted);
    let shadow = policy("rollback = { then = \"shadow\" }").rollback;
    assert_eq!(shadow, RollbackPolicy { then: Some(Phase::Shadow), ..RollbackPolicy::default() });

    let abort = |fields: &str| policy(&format!("abort = {{ {fields} }}")).abort;
    assert_eq!(abort("rollbacks = 1"), Abort { rollbacks: Some(1), deadline: None });
    for never in ["false", "\"${NO}\""] {
        assert_eq!(abort(&format!("rollbacks = {never}")), Abort { rollbacks: None, deadline: None });
    }
    let deadline: Timestamp = "2027-01-30T23:00:00Z".parse().unwrap();
    for written in [
        "\"2027-01-30T23:00:00Z\"",
        "\"2027-01-31T00:00:00+01:00\"",
        "\"2027-01-30T18:00:00.000-05:00\"",
        "\"2027-01-30 23:00:00Z\"",
        "2027-01-31T00:00:00+01:00",
        "2027-01-30 23:00:00Z",
    ] {
        let wanted = Abort { rollbacks: Some(3), deadline: Some(deadline) };
        assert_eq!(abort(&format!("deadline = {written}")), wanted, "{written}");
    }
    assert_eq!(policy("grace = \"0s\"").grace, Grace(Duration::ZERO));
    assert_eq!(policy("grace = \"400d\"").grace, Grace(hours(400 * 24)));
}

#[test]
fn tunnels_and_streams_have_half_a_minute_after_a_rollback_at_once_to_a_day() {
    for (line, wanted_ms) in [
        ("", Migration::DRAIN_AFTER_ROLLBACK_MS),
        ("drain_after_rollback = \"30s\"", 30_000),
        ("drain_after_rollback = \"0s\"", 0),
        ("drain_after_rollback = \"250ms\"", 250),
        ("drain_after_rollback = \"24h\"", 86_400_000),
    ] {
        let checked = checked(line);
        let standing = checked.migrations[0].standing();
        let snapshot = checked.snapshot(1, &|_| standing);
        assert_eq!(snapshot.migrations[0].drain_after_rollback_ms, wanted_ms, "{line}");
    }
    let two = checked(&other("two", ""));
    let snapshot = two.snapshot(1, &|name| two.migration(name).unwrap().standing());
    assert_eq!(snapshot.migrations.iter().map(|one| one.lineage).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn days_are_names_and_ranges() {
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    for (written, days) in [
        ("\"wed\"", vec![Wednesday]),
        ("\"mon-fri\"", vec![Monday, Tuesday, Wednesday, Thursday, Friday]),
        ("\"sat-mon\"", vec![Monday, Saturday, Sunday]),
        ("\"sun-sat\"", vec![Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday]),
        ("\"tue-tue\"", vec![Tuesday]),
        ("\"fri\", \"mon-tue\", \"mon\"", vec![Monday, Tuesday, Friday]),
    ] {
        let window = Window { days, from: Time::MIN, to: None };
        assert_eq!(calendar(&format!("windows = [{{ days = [{written}] }}]")).windows, [window], "{written}");
    }
}

#[test]
fn windows_end_at_a_time_or_at_midnight() {
    let days = Weekday::Monday.cycle_forward().take(7).collect::<Vec<_>>();
    for (written, from, to) in [
        ("", (0, 0, 0), None),
        ("from = \"09:00\"", (9, 0, 0), None),
        ("from = \"09:00\", to = \"24:00\"", (9, 0, 0), None),
        ("from = \"23:59\", to = \"24:00:00\"", (23, 59, 0), None),
        ("from = \"09:05\", to = \"16:00:30\"", (9, 5, 0), Some((16, 0, 30))),
        ("from = 09:00:00, to = 16:00:00", (9, 0, 0), Some((16, 0, 0))),
        ("to = \"00:01\"", (0, 0, 0), Some((0, 1, 0))),
    ] {
        let time = |(hour, minute, second)| jiff::civil::time(hour, minute, second, 0);
        let window = Window { days: days.clone(), from: time(from), to: to.map(time) };
        assert_eq!(calendar(&format!("windows = [{{ {written} }}]")).windows, [window], "{written}");
    }
}

#[test]
fn freezes_begin_and_end_with_dates_or_times() {
    let at = |text: &str| -> DateTime { text.parse().unwrap() };
    for (written, from, to) in [
        ("from = \"2026-12-18T12:00\", to = \"2027-01-02\"", "2026-12-18T12:00:00", "2027-01-02T00:00:00"),
        ("from = 2026-12-18, to = 2026-12-18T00:00:01", "2026-12-18T00:00:00", "2026-12-18T00:00:01"),
        (
            "from = \"2026-12-18 12:00:30\", to = \"2026-12-19 00:00\"",
            "2026-12-18T12:00:30",
            "2026-12-19T00:00:00",
        ),
        ("from = \"${DAY}\", to = \"${DAY}T01:00\"", "2026-12-18T00:00:00", "2026-12-18T01:00:00"),
        ("from = \"2028-02-29\", to = \"2028-03-01\"", "2028-02-29T00:00:00", "2028-03-01T00:00:00"),
    ] {
        let freeze = Freeze { from: at(from), to: at(to), reason: None };
        assert_eq!(calendar(&format!("freezes = [{{ {written} }}]")).freezes, [freeze], "{written}");
    }
    let both = calendar(
        "freezes = [{ from = \"2026-11-26\", to = \"2026-12-01\", reason = \"Black Friday\" }, \
         { from = \"2026-12-18\", to = \"2027-01-02\" }]",
    );
    assert_eq!(both.freezes[0].reason.as_deref(), Some("Black Friday"));
    assert_eq!(both.freezes.len(), 2);
}

#[test]
fn every_time_zone_is_known_by_its_name() {
    for (written, name) in [
        ("UTC", Some("UTC")),
        ("Europe/Berlin", Some("Europe/Berlin")),
        ("europe/berlin", Some("Europe/Berlin")),
        ("America/Argentina/Buenos_Aires", Some("America/Argentina/Buenos_Aires")),
        ("Etc/GMT+5", Some("Etc/GMT+5")),
    ] {
        assert_eq!(calendar(&format!("time_zone = \"{written}\"")).time_zone.iana_name(), name);
    }
    // Its clock is put forward and back.
    let berlin = calendar("time_zone = \"Europe/Berlin\"").time_zone;
    for (moment, wall) in [("2026-07-01T12:00:00Z", 14), ("2026-12-01T12:00:00Z", 13)] {
        assert_eq!(berlin.to_datetime(moment.parse().unwrap()).hour(), wall);
    }
}

#[test]
fn a_calendar_of_its_own_replaces_the_common_one_as_a_whole() {
    let common = "[calendar]\ntime_zone = \"Europe/Berlin\"\nwindows = [{ days = [\"mon-fri\"] }]\n";
    let own = "\n[migration.two.calendar]\ntime_zone = \"Asia/Tokyo\"\nfreezes = [{ from = 2026-12-18, to = 2027-01-02 }]";
    let migrations = checked(&format!("{}{own}\n{common}", other("two", ""))).migrations;
    let [first, second] = migrations.as_slice() else { panic!("{}", migrations.len()) };
    assert_eq!(first.policy.calendar.time_zone.iana_name(), Some("Europe/Berlin"));
    assert_eq!((first.policy.calendar.windows.len(), first.policy.calendar.freezes.len()), (1, 0));
    assert_eq!(second.policy.calendar.time_zone.iana_name(), Some("Asia/Tokyo"));
    assert_eq!((second.policy.calendar.windows.len(), second.policy.calendar.freezes.len()), (0, 1));
}

#[test]
fn what_does_nothing_is_warned_of() {
    for (lines, codes_of) in [
        ("ramp = \"standard\"", &[] as &[&str]),
        ("ramp = \"standard\"\nguard = false", &["ramp-without-guard"]),
        ("ramp = \"standard\"\nguard = { dry_run = true }", &[]),
        ("ramp = \"standard\"\nphase = \"full\"\nguard = { error_rate = { max = 1 } }", &["ramp-not-run"]),
        ("ramp = \"standard\"\nphase = \"preparation\"", &[]),
        ("ramp = \"standard\"\npercent = 25", &[]),
        ("ramp = \"standard\"\npercent = 25.000001", &["percent-between-steps"]),
        ("ramp = \"standard\"\npercent = 0.5", &[]),
        ("ramp = \"standard\"\npercent = 30\nphase = \"preparation\"", &["percent-not-applied"]),
        ("ramp = [{ percent = 5 }]\npercent = 30", &[]),
        ("ramp = \"standard\"\nrollback = { to = \"previous-step\" }", &[]),
        ("rollback = { to = \"previous-step\" }", &["needs-ramp"]),
        ("exclusive = true", &["needs-ramp"]),
        ("exclusive = true\nramp = \"standard\"", &[]),
        ("exclusive = true\nramps = \"standard\"", &["unknown-key"]),
        ("ramp = \"standrd\"\nexclusive = true", &["unknown-choice"]),
        ("rollback = { then = \"shadow\" }", &["shadow-executes-twice"]),
        ("[migration.shop.calendar]\n[calendar]\ntime_zone = \"Asia/Tokyo\"", &["time-zone-not-taken-over"]),
        ("[migration.shop.calendar]\n[calendar]\ntime_zone = \"utc\"", &[]),
        ("[migration.shop.calendar]\ntime_zone = \"UTC\"\n[calendar]\ntime_zone = \"Asia/Tokyo\"", &[]),
    ] {
        assert_eq!(codes(lines), codes_of, "{lines}");
    }
}
