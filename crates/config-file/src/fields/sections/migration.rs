//! What may stand in a migration beside what every route may have.

use super::compare::COMPARE;
use super::guard::GUARD;
use super::ramp::{ABORT, MIGRATION_CALENDAR, PRESETS, ROLLBACK, STEP};
use super::requests::{MATCH, RULES, TIMEOUTS};
use super::shadow::SHADOW;
use super::{
    AMOUNT, COOKIE_NAME, COOKIE_PATH, DAY_MS, DOMAIN, FILE, HEADER_NAME, HOUR_MS, KEY, KEY_SOURCE, MIB,
    MIGRATION_NAME, NETWORK, PHASE, SALT, SECOND_MS, SECRET, UPSTREAM_NAME,
};
use crate::fields::{Kind, Section, defaulted, optional, required};

pub(super) static MIGRATION: Section = Section {
    header: "[migration.NAME]",
    doc: "Which requests it is about, between which two upstreams they are split, and how.",
    fields: &[
        required(
            "match",
            Kind::Tables { of: &MATCH, min: 1 },
            "The requests it is about: those that fulfil any of these rules.",
        ),
        required("old", UPSTREAM_NAME, "The upstream that is being replaced."),
        required("new", UPSTREAM_NAME, "The upstream that replaces it."),
        defaulted(
            "key",
            Kind::List { of: &KEY_SOURCE, min: 1 },
            "[\"header:x-user-id\", \"request-id\"]",
            "What identifies a user. The first source that is present in a request counts.",
        ),
        defaulted(
            "percent",
            Kind::Share,
            "0",
            "The share of the keys that goes to `new`. Exact to six decimals of a per cent.",
        ),
        optional("phase", PHASE, "Default: `canary` when `percent` is above 0, else `preparation`."),
        defaulted(
            "attempt",
            Kind::Count { min: 1, max: 1_000_000 },
            "1",
            "Raise it to say that the migration starts afresh after a rollback.",
        ),
        optional(
            "salt",
            SALT,
            "Hashed with the key. Migrations with the same salt split alike. Default: the migration's name.",
        ),
        defaulted(
            "reshuffle",
            Kind::Flag,
            "false",
            "Allows a reload to change key or salt, which moves users between the arms.",
        ),
        optional(
            "assign_cookie",
            Kind::TableOr(&ASSIGN_COOKIE, "name"),
            "Gives users that have no key a random one in a cookie. The cookie never says which arm.",
        ),
        optional("override", Kind::Table(&OVERRIDE), "Keys that always go to one arm."),
        optional("force", Kind::Table(&FORCE), "A request header that chooses the arm, for testers."),
        defaulted("timeouts", Kind::Table(&TIMEOUTS), "{}", "How long its requests may take."),
        defaulted(
            "fallback",
            Kind::TableOrFlag(&FALLBACK),
            "false",
            "Whether `old` answers what `new` has failed. `true`, or the table: yes.",
        ),
        optional(
            "shadow",
            Kind::TableOrFlag(&SHADOW),
            "Which requests are copied to the other arm, so that its answers can be compared. `true`, or the table: yes; \
             `false`: none. Default: in phase `shadow` alone.",
        ),
        defaulted(
            "compare",
            Kind::Table(&COMPARE),
            "{}",
            "By what rules the answers of the two arms are compared.",
        ),
        defaulted(
            "guard",
            Kind::TableOrFlag(&GUARD),
            "{}",
            "By what `new` is judged. `false`: nothing judges it.",
        ),
        optional(
            "ramp",
            Kind::TablesOr { of: &STEP, names: PRESETS },
            "The schedule of percentages: up to 100 steps, or the name of one. Default: people move it.",
        ),
        defaulted(
            "exclusive",
            Kind::Flag,
            "false",
            "Whether of all exclusive migrations only one ramps at a time.",
        ),
        defaulted(
            "after",
            Kind::List { of: &MIGRATION_NAME, min: 0 },
            "[]",
            "Migrations that must have arrived before this one's ramp begins.",
        ),
        optional(
            "calendar",
            Kind::Table(&MIGRATION_CALENDAR),
            "When the percentage may rise, in place of [calendar].",
        ),
        defaulted("rollback", Kind::Table(&ROLLBACK), "{}", "How a rollback is done."),
        defaulted(
            "drain_after_rollback",
            Kind::Duration { min_ms: 0, max_ms: DAY_MS },
            "\"30s\"",
            "How long tunnels and streams on `new` may go on when their users are back on `old`.",
        ),
        defaulted("abort", Kind::Table(&ABORT), "{}", "When the migration is given up."),
        defaulted(
            "grace",
            Kind::Duration { min_ms: 0, max_ms: 400 * DAY_MS },
            "\"14d\"",
            "How long everybody is on `new` before `old` may go.",
        ),
        defaulted("rules", Kind::Table(&RULES), "{}", "What is changed in the heads of each arm's messages."),
        optional("expose_arm", HEADER_NAME, "A response header that tells clients the arm. Default: none."),
    ],
    later: &["dual_write"],
};

pub(super) static ASSIGN_COOKIE: Section = Section {
    header: "[migration.NAME.assign_cookie]",
    doc: "The cookie that holds the random key of an anonymous user.",
    fields: &[
        required("name", COOKIE_NAME, "The cookie's name."),
        defaulted(
            "max_age",
            Kind::Duration { min_ms: SECOND_MS, max_ms: 400 * DAY_MS },
            "\"365d\"",
            "How long browsers keep it.",
        ),
        optional("domain", DOMAIN, "Default: the host that was asked, and nothing below it."),
        defaulted("path", COOKIE_PATH, "\"/\"", "Below which path browsers send it."),
        defaulted("secure", Kind::Flag, "false", "Whether browsers send it over https alone."),
        defaulted(
            "same_site",
            Kind::Choice { names: &["lax", "strict", "none"], later: &[] },
            "\"lax\"",
            "When browsers send it with requests from other sites.",
        ),
    ],
    later: &[],
};

pub(super) static OVERRIDE: Section = Section {
    header: "[migration.NAME.override]",
    doc: "Keys that always go to one arm, whatever the percentage.",
    fields: &[
        defaulted("old", Kind::List { of: &KEY, min: 0 }, "[]", "Keys that go to `old`."),
        defaulted("new", Kind::List { of: &KEY, min: 0 }, "[]", "Keys that go to `new`."),
        optional(
            "old_file",
            FILE,
            "A file of keys that go to `old`, one a line. Lines that start with `#` do not count.",
        ),
        optional(
            "new_file",
            FILE,
            "A file of keys that go to `new`, one a line. Lines that start with `#` do not count.",
        ),
    ],
    later: &[],
};

pub(super) static FORCE: Section = Section {
    header: "[migration.NAME.force]",
    doc: "A request header that chooses the arm. It works only with the secret or from the networks.",
    fields: &[
        defaulted(
            "header",
            HEADER_NAME,
            "\"crossfade-force\"",
            "The header: `old` or `new`, with a secret `new; secret=...`.",
        ),
        optional(
            "secret",
            SECRET,
            "What the header must carry, at least 16 characters. Best as `${ENV_VAR}`.",
        ),
        defaulted("networks", Kind::List { of: &NETWORK, min: 0 }, "[]", "The clients that may use it."),
    ],
    later: &[],
};

pub(super) static FALLBACK: Section = Section {
    header: "[migration.NAME.fallback]",
    doc: "When `old` answers what `new` has failed: always where `new` was never reached, else where the request may be \
          carried out twice.",
    fields: &[
        defaulted(
            "after",
            Kind::Duration { min_ms: 10, max_ms: HOUR_MS },
            "\"1s\"",
            "How long `new` may take to answer before `old` is asked.",
        ),
        defaulted(
            "statuses",
            Kind::List { of: &FAILURE_STATUS, min: 0 },
            "[500, 502, 503, 504]",
            "The statuses of `new` for which `old` is asked.",
        ),
        defaulted(
            "replay",
            Kind::Tables { of: &MATCH, min: 0 },
            "[]",
            "Requests that may be carried out twice although their method is not safe: those that fulfil any of these \
             rules.",
        ),
        defaulted(
            "body_bytes",
            Kind::Size { min: 0, max: 16 * MIB },
            "\"64KiB\"",
            "How much of a request's content is kept for `old`. What is longer does not fall back.",
        ),
        defaulted(
            "concurrency",
            AMOUNT,
            "1000",
            "Fallbacks under way at once. Above it the failure of `new` is passed on.",
        ),
    ],
    later: &[],
};

static FAILURE_STATUS: Kind = Kind::Count { min: 500, max: 599 };
