//! How a migration goes forward and back by itself, and when it may.

use super::{DATE, DAY_MS, HOOK, MOMENT, TEXT, TIME, TIME_ZONE, WEEKDAYS};
use crate::fields::{Field, Kind, Section, defaulted, optional, required};

pub(super) static CALENDAR: Section = Section {
    header: "[calendar]",
    doc: "When percentages may rise, by the clock on the wall. Going back is never a matter of the hour.",
    fields: &CALENDAR_FIELDS,
    later: &[],
};

pub(super) static MIGRATION_CALENDAR: Section = Section {
    header: "[migration.NAME.calendar]",
    doc: "When this migration's percentage may rise, in place of [calendar] as a whole.",
    fields: &MIGRATION_CALENDAR_FIELDS,
    later: &[],
};

static CALENDAR_FIELDS: [Field; 3] = calendar(&WINDOW, &FREEZE);
static MIGRATION_CALENDAR_FIELDS: [Field; 3] = calendar(&MIGRATION_WINDOW, &MIGRATION_FREEZE);

const fn calendar(window: &'static Section, freeze: &'static Section) -> [Field; 3] {
    [
        defaulted("time_zone", TIME_ZONE, "\"UTC\"", "Where the clock hangs, as the IANA names it."),
        defaulted(
            "windows",
            Kind::Tables { of: window, min: 0 },
            "[]",
            "The percentage may rise within any of them. None: always.",
        ),
        defaulted(
            "freezes",
            Kind::Tables { of: freeze, min: 0 },
            "[]",
            "The percentage may not rise within any of them.",
        ),
    ]
}

pub(super) static WINDOW: Section = window("[[calendar.windows]]");
pub(super) static MIGRATION_WINDOW: Section = window("[[migration.NAME.calendar.windows]]");

const fn window(header: &'static str) -> Section {
    Section { header, doc: "Hours of some days of the week.", fields: &WINDOW_FIELDS, later: &[] }
}

static WINDOW_FIELDS: [Field; 3] = [
    defaulted(
        "days",
        Kind::List { of: &WEEKDAYS, min: 1 },
        "[\"mon-sun\"]",
        "The days of the week: names and ranges. \"sat-mon\" is three days.",
    ),
    defaulted("from", TIME, "\"00:00\"", "The first moment inside."),
    defaulted("to", TIME, "\"24:00\"", "The first moment outside. \"24:00\" is midnight."),
];

pub(super) static FREEZE: Section = freeze("[[calendar.freezes]]");
pub(super) static MIGRATION_FREEZE: Section = freeze("[[migration.NAME.calendar.freezes]]");

const fn freeze(header: &'static str) -> Section {
    Section {
        header,
        doc: "A span in which the percentage may not rise, as the clock on the wall shows it.",
        fields: &FREEZE_FIELDS,
        later: &[],
    }
}

static FREEZE_FIELDS: [Field; 3] = [
    required("from", DATE, "The first moment inside. A date is its midnight."),
    required("to", DATE, "The first moment outside. A date is its midnight: that day is outside."),
    optional("reason", TEXT, "What for. It is shown to whoever has to wait."),
];

pub(super) static STEP: Section = Section {
    header: "[[migration.NAME.ramp]]",
    doc: "A step of the schedule: the percentage, and what has to be fulfilled before the next one.",
    fields: &[
        required("percent", Kind::Share, "The percentage: above 0, and above that of the step before."),
        defaulted(
            "hold",
            Kind::Duration { min_ms: 0, max_ms: 400 * DAY_MS },
            "\"0s\"",
            "How long it is served at least. Downtime does not count.",
        ),
        defaulted(
            "min_requests",
            Kind::Count { min: 0, max: 1_000_000_000_000 },
            "0",
            "How many requests `new` must have had in it at least.",
        ),
        defaulted(
            "approve",
            Kind::Flag,
            "false",
            "Whether a person must say that it goes on after it: `crossfade advance`.",
        ),
        defaulted("drill", Kind::Flag, "false", "Whether going back is tried before it goes on."),
        optional(
            "announce",
            HOOK,
            "Who is told before the step is entered. It waits until that is delivered.",
        ),
        optional("confirm", HOOK, "Who is asked before the step is entered. It waits for a yes."),
    ],
    later: &[],
};

pub(super) static ROLLBACK: Section = Section {
    header: "[migration.NAME.rollback]",
    doc: "How a rollback is done.",
    fields: &[
        defaulted(
            "to",
            Kind::Choice { names: &["old", "previous-step"], later: &[] },
            "\"old\"",
            "Where to: all users to `old`, or to the percentage of the ramp's step before, if there is one.",
        ),
        optional(
            "then",
            Kind::Choice { names: &["shadow", "preparation"], later: &[] },
            "The phase while it is latched at 0. Default: as it was.",
        ),
        defaulted(
            "over",
            Kind::Duration { min_ms: 0, max_ms: DAY_MS },
            "\"0s\"",
            "Over how long users return, for an `old` that has been scaled down. 0: all at once.",
        ),
    ],
    later: &[],
};

pub(super) static ABORT: Section = Section {
    header: "[migration.NAME.abort]",
    doc: "When the migration is given up: it goes forward again only by force.",
    fields: &[
        defaulted(
            "rollbacks",
            Kind::OrOff(&Kind::Count { min: 1, max: 1_000_000 }),
            "3",
            "After so many rollbacks of one attempt. `false`: however many.",
        ),
        optional("deadline", MOMENT, "From this moment on. Default: none."),
    ],
    later: &[],
};

/// The longest schedule.
pub(crate) const MOST_STEPS: usize = 100;
/// The schedules that have names, see [`ramp::Preset`].
pub(super) const PRESETS: &[&str] = &["standard", "expansion"];
