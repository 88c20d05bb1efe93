//! Which requests are copied to the other arm, and how.

use super::requests::{HEADER_VALUES, HOST_RULE, MATCH};
use super::{HEADER_NAME, HOUR_MS, METHOD, MIB, PLACE};
use crate::fields::{Kind, Section, defaulted, optional};

pub(super) static SHADOW: Section = Section {
    header: "[migration.NAME.shadow]",
    doc: "Which requests are copied to the arm that does not serve them, so that its answers can be compared. Users never \
          see these answers. A copied request executes twice.",
    fields: &[
        defaulted(
            "percent",
            Kind::Share,
            "100",
            "The share of the serving arm's keys whose requests are copied: whole users, those that move next first.",
        ),
        defaulted(
            "canary",
            Kind::Choice { names: &["to-new", "both", "none"], later: &[] },
            "\"to-new\"",
            "What is copied while both arms serve users: what `old` serves, what either serves, or nothing.",
        ),
        defaulted(
            "methods",
            Kind::List { of: &METHOD, min: 1 },
            "[\"GET\", \"HEAD\", \"OPTIONS\"]",
            "The methods whose requests are copied. What is listed of others executes twice.",
        ),
        defaulted(
            "except",
            Kind::Tables { of: &MATCH, min: 0 },
            "[]",
            "Requests that are never copied: those that fulfil any of these rules.",
        ),
        defaulted(
            "per_second",
            Kind::Count { min: 1, max: 1_000_000 },
            "1000",
            "Copies in a second, at most, in the whole process.",
        ),
        defaulted(
            "concurrency",
            Kind::Count { min: 1, max: 65_536 },
            "256",
            "Copies under way at once, at most, in the whole process.",
        ),
        defaulted(
            "when",
            Kind::Choice { names: &["with", "after"], later: &[] },
            "\"with\"",
            "When a copy is sent: beside the served request, or after its answer is through.",
        ),
        defaulted(
            "body_limit",
            Kind::Size { min: 0, max: 16 * MIB },
            "\"64KiB\"",
            "How much of a request's content is kept for its copy. Requests with more are not copied.",
        ),
        defaulted(
            "deadline",
            Kind::Duration { min_ms: 10, max_ms: HOUR_MS },
            "\"10s\"",
            "How long a copy may take, to the last byte of its answer.",
        ),
        defaulted(
            "holdout",
            Kind::Share,
            "\"2%\"",
            "The share of the requests that would be copied and are not, by which the effect of copying on users is \
             measured. Up to 50 %.",
        ),
        defaulted(
            "max_effect",
            Kind::OrOff(&Kind::Factor { max: 1_000 }),
            "\"1.2x\"",
            "How many times as long served requests take with a copy, at p50, p95 or p99, for the shadow to switch itself \
             off; also when they fail more often. From 1.1x on. `false`: it never does.",
        ),
        defaulted(
            "max_failures",
            Kind::OrOff(&Kind::Share),
            "\"50%\"",
            "The share of the copies that fail at which the arm counts as down: then copies are tried only now and then. \
             `false`: never.",
        ),
        optional(
            "host",
            HOST_RULE,
            "The host that copies ask for: `client`, `endpoint`, or this one. Default: as other requests to that arm.",
        ),
        defaulted(
            "credentials",
            Kind::Table(&CREDENTIALS),
            "{}",
            "What becomes of the clients' credentials. Default: copies carry them.",
        ),
        defaulted(
            "ignore",
            Kind::List { of: &PLACE, min: 0 },
            "[]",
            "What may differ between the answers: JSONPaths, and headers such as \"header:date\".",
        ),
        defaulted(
            "redact",
            Kind::List { of: &PLACE, min: 0 },
            "[]",
            "What is neither stored nor logged of answers, beside credentials and cookies: JSONPaths, and headers such as \
             \"header:x-api-key\".",
        ),
    ],
    later: &[],
};

pub(super) static CREDENTIALS: Section = Section {
    header: "[migration.NAME.shadow.credentials]",
    doc: "What becomes of the clients' credentials in copies: first `remove`, then `set`.",
    fields: &[
        defaulted(
            "remove",
            Kind::List { of: &HEADER_NAME, min: 0 },
            "[]",
            "Request headers that copies do not carry, such as \"cookie\".",
        ),
        defaulted(
            "set",
            HEADER_VALUES,
            "{}",
            "Request headers that copies carry with this value, such as those of a test account. Best as `${ENV_VAR}`.",
        ),
    ],
    later: &[],
};
