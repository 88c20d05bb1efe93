//! What may stand in an upstream.

use super::{AMOUNT, DAY_MS, ENDPOINT, SECOND_MS, TIMEOUT, text};
use crate::fields::{Kind, Section, defaulted, optional, required};

pub(super) static UPSTREAM: Section = Section {
    header: "[upstream.NAME]",
    doc: "A backend system.",
    fields: &[
        required(
            "endpoints",
            Kind::List { of: &ENDPOINT, min: 1 },
            "Its addresses. A host name is resolved while the proxy runs; the port defaults to 80.",
        ),
        defaulted(
            "protocol",
            Kind::Choice { names: &["auto", "h1"], later: &["h2", "h2c"] },
            "\"auto\"",
            "What is spoken to it. `auto` is HTTP/1.1 for `http://` endpoints.",
        ),
        defaulted("limits", Kind::Table(&LIMITS), "{}", "How much of it may be used at once."),
        defaulted(
            "idle_timeout",
            TIMEOUT,
            "\"4s\"",
            "How long a connection is kept without a request. Best below what the backend keeps it.",
        ),
        defaulted(
            "lifetime",
            Kind::Duration { min_ms: SECOND_MS, max_ms: 365 * DAY_MS },
            "\"1h\"",
            "How long a connection is used at all. It ends between two requests.",
        ),
        optional(
            "health",
            Kind::TableOr(&HEALTH, "path"),
            "How its endpoints are asked whether they are healthy. Default: they are not asked, and count as healthy.",
        ),
        defaulted(
            "eject",
            Kind::TableOrFlag(&EJECT),
            "{}",
            "When an endpoint that fails requests is left out for a while. `false`: never.",
        ),
        defaulted(
            "retry",
            Kind::TableOrFlag(&RETRY),
            "{}",
            "When a request that failed is tried again, at another endpoint where there is one. `false`: never.",
        ),
    ],
    later: &["tls", "balance", "host"],
};

pub(super) static LIMITS: Section = Section {
    header: "[upstream.NAME.limits]",
    doc: "How much of an upstream the whole process may use at once. Each worker gets its part, rounded up.",
    fields: &[
        defaulted(
            "connections",
            AMOUNT,
            "10000",
            "Connections open at once for clients' requests, over all endpoints. Copies and what is asked once more have \
             connections of their own, on top: as many as are under way (`concurrency` of the shadows), and at most as many \
             as this again.",
        ),
        defaulted(
            "pending",
            AMOUNT,
            "1000",
            "Requests that may wait for a connection while all are in use. More are turned away.",
        ),
        defaulted(
            "requests",
            AMOUNT,
            "20000",
            "Requests under way at once, waiting ones included. More are turned away.",
        ),
    ],
    later: &[],
};

pub(super) static HEALTH: Section = Section {
    header: "[upstream.NAME.health]",
    doc: "How endpoints are asked whether they are healthy: by a `path`, or with `tcp = true`.",
    fields: &[
        optional(
            "path",
            text("a path that starts with `/`", r"^/[!-~]*$"),
            "What `GET` asks for. A status from 200 to 399 is a good answer.",
        ),
        optional(
            "host",
            text("a host such as \"shop.internal\"", r"^[^/@\s]+$"),
            "The `Host` to ask for. Default: the endpoint's own.",
        ),
        defaulted(
            "tcp",
            Kind::Flag,
            "false",
            "Whether a connection that can be made is a good answer already.",
        ),
        defaulted(
            "interval",
            Kind::Duration { min_ms: 100, max_ms: DAY_MS },
            "\"2s\"",
            "From one question to the next.",
        ),
        defaulted(
            "timeout",
            Kind::Duration { min_ms: 10, max_ms: DAY_MS },
            "\"1s\"",
            "How long the answer may take.",
        ),
        defaulted(
            "unhealthy_after",
            IN_A_ROW,
            "3",
            "Bad answers in a row that make a healthy endpoint unhealthy.",
        ),
        defaulted(
            "healthy_after",
            IN_A_ROW,
            "2",
            "Good answers in a row that make an unhealthy endpoint healthy.",
        ),
    ],
    later: &["port", "statuses", "method"],
};

pub(super) static EJECT: Section = Section {
    header: "[upstream.NAME.eject]",
    doc: "When an endpoint that fails requests is left out for a while. Each worker judges by its own requests.",
    fields: &[
        defaulted(
            "failures",
            IN_A_ROW,
            "5",
            "Failures in a row that eject it: no connection, no whole answer, or a status of 502, 503 or 504.",
        ),
        defaulted("time", EJECTED, "\"5s\"", "For how long the first time. Each time in a row doubles it."),
        defaulted("max_time", EJECTED, "\"5m\"", "The longest time."),
        defaulted(
            "max_share",
            Kind::Share,
            "\"50%\"",
            "The most endpoints that may be out at once, in whole per cent, rounded down: the only one never is.",
        ),
        defaulted(
            "slow_start",
            Kind::Duration { min_ms: 0, max_ms: DAY_MS },
            "\"10s\"",
            "For how long an endpoint that is back gets less than its part.",
        ),
    ],
    later: &[],
};

pub(super) static RETRY: Section = Section {
    header: "[upstream.NAME.retry]",
    doc: "When a request that failed is tried again: always where no connection could be made, so that nothing was sent.",
    fields: &[
        defaulted("attempts", Kind::Count { min: 0, max: 10 }, "2", "Attempts after the first."),
        defaulted(
            "budget",
            Kind::Share,
            "\"20%\"",
            "The share of the requests of the last ten seconds that may be tried again, in whole per cent.",
        ),
        defaulted(
            "budget_min",
            Kind::Count { min: 0, max: 1_000_000 },
            "10",
            "Retries in ten seconds that are allowed however few requests there are.",
        ),
        defaulted(
            "safe_methods",
            Kind::Flag,
            "false",
            "Also tries again a request with a safe method whose connection broke before an answer began.",
        ),
    ],
    later: &[],
};

const IN_A_ROW: Kind = Kind::Count { min: 1, max: 1_000 };
const EJECTED: Kind = Kind::Duration { min_ms: 100, max_ms: DAY_MS };
