//! By what new is judged.

use super::{DAY_MS, PLACE, SECOND_MS};
use crate::fields::{Kind, Section, defaulted, optional, required};

pub(super) static GUARD: Section = Section {
    header: "[migration.NAME.guard]",
    doc: "By what `new` is judged: against `old` at the same time, and against fixed limits.",
    fields: &[
        defaulted("error_rate", Kind::Table(&ERROR_RATE), "{}", "How often requests may fail."),
        defaulted(
            "latency",
            Kind::Tables { of: &LATENCY, min: 0 },
            "[{ quantile = 0.5 }, { quantile = 0.95 }, { quantile = 0.99 }]",
            "How long requests that do not fail may take, by quantile. An empty list: latency is not judged.",
        ),
        defaulted(
            "latency_floor",
            Kind::Duration { min_ms: 0, max_ms: SECOND_MS },
            "\"1ms\"",
            "How far above that of `old` a latency may lie in any case, whatever `over_old` says.",
        ),
        defaulted(
            "latency_persists",
            Kind::Duration { min_ms: 0, max_ms: 60 * SECOND_MS },
            "\"1500ms\"",
            "How long `new` must have been slower before users go back for it: a pause is over before.",
        ),
        defaulted(
            "client_errors",
            Kind::Choice { names: &["pause", "rollback", "ignore"], later: &[] },
            "\"pause\"",
            "What happens when `new` answers with a 4xx more often than `old` does.",
        ),
        defaulted(
            "warm_up",
            Kind::Duration { min_ms: 0, max_ms: DAY_MS },
            "\"30s\"",
            "For how long at the start of a step latency does not count, unless `warm_up_requests` come first.",
        ),
        defaulted(
            "warm_up_requests",
            Kind::Count { min: 0, max: 1_000_000 },
            "200",
            "After how many requests of `new` in a step latency counts, unless `warm_up` is over first.",
        ),
        defaulted(
            "dry_run",
            Kind::Flag,
            "false",
            "Whether the guard only says what it would do, and does nothing.",
        ),
        defaulted(
            "false_alarms",
            Kind::Table(&FALSE_ALARMS),
            "{}",
            "How likely a rollback without need may be at most.",
        ),
        defaulted(
            "failures",
            Kind::Table(&FAILURES),
            "{}",
            "Which answers are failures. None at all, a late one and one that is cut short always are.",
        ),
        defaulted(
            "mismatches",
            Kind::Table(&MISMATCHES),
            "{}",
            "How many of the answers that a shadow compares may differ, noise and races left out.",
        ),
        defaulted(
            "zero_tolerance",
            Kind::List { of: &PLACE, min: 0 },
            "[]",
            "Where answers must never differ: a single difference there takes all users back.",
        ),
    ],
    later: &[],
};

pub(super) static MISMATCHES: Section = Section {
    header: "[migration.NAME.guard.mismatches]",
    doc: "How many of the answers that a shadow compares may differ. Counts where the migration has a shadow.",
    fields: &[
        defaulted(
            "pause",
            Kind::OrOff(&Kind::Share),
            "\"0.1%\"",
            "Above it the ramp is held, and fewer must be shown before `new` gets users. `false`: never.",
        ),
        optional("rollback", Kind::Share, "Above it users go back. Default: they never do for mismatches."),
    ],
    later: &[],
};

pub(super) static ERROR_RATE: Section = Section {
    header: "[migration.NAME.guard.error_rate]",
    doc: "How often requests may fail: no answer, one that comes too late or is cut short, or one of `failures`.",
    fields: &[
        defaulted(
            "over_old",
            Kind::OrOff(&Kind::Share),
            "\"0.5%\"",
            "How much more often than those of `old`, in percentage points. `false`: they are not compared.",
        ),
        optional("max", Kind::Share, "How often at all. Default: no limit."),
    ],
    later: &[],
};

pub(super) static FAILURES: Section = Section {
    header: "[migration.NAME.guard.failures]",
    doc: "Which answers are failures, of either arm: those with one of the statuses, and those with one of the headers.",
    fields: &[
        defaulted(
            "statuses",
            Kind::List { of: &Kind::Statuses, min: 0 },
            "[\"5xx\"]",
            "The statuses: numbers, or classes such as \"5xx\". What is listed here of 4xx is no client error any more.",
        ),
        defaulted(
            "header",
            Kind::Conditions,
            "{}",
            "Headers of the answer by name, each with the value that makes it a failure, or `true` for any.",
        ),
    ],
    later: &[],
};

pub(super) static LATENCY: Section = Section {
    header: "[[migration.NAME.guard.latency]]",
    doc: "How long requests that do not fail may take at one quantile: `over_old`, `max` or both.",
    fields: &[
        required(
            "quantile",
            Kind::Quantile,
            "Which quantile, each at most once: 0.95 is the same as \"p95\".",
        ),
        defaulted(
            "over_old",
            Kind::OrOff(&Kind::Factor { max: 1_000 }),
            "\"2x\"",
            "How many times as long as at `old` has to be caught; what is tolerated is less, 1.48x of 2x. `false`: \
             they are not compared.",
        ),
        optional(
            "max",
            Kind::Duration { min_ms: 1, max_ms: LONGEST_MS },
            "How long at all. Default: no limit.",
        ),
    ],
    later: &[],
};

pub(super) static FALSE_ALARMS: Section = Section {
    header: "[migration.NAME.guard.false_alarms]",
    doc: "How likely a rollback without need may be at most. The smaller, the more requests a rollback with need takes.",
    fields: &[
        defaulted("per_step", Kind::Share, "\"0.01%\"", "At the start and at each step, up to 10 %."),
        defaulted("per_day", Kind::Share, "\"0.01%\"", "Over each day, up to 10 %."),
    ],
    later: &[],
};

/// The guard does not tell apart what takes longer.
const LONGEST_MS: u64 = 240 * SECOND_MS;
