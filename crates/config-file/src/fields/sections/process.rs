//! What holds for the process as a whole: where it listens, what clients may use up, what it logs.

use super::{ACCESS_LOG, ADDRESS, AMOUNT, DAY_MS, FILE, KIB, MIB, NAME, NETWORK, SECOND_MS, TIMEOUT};
use crate::fields::{Kind, Section, defaulted, optional, required};

pub(super) static LISTENER: Section = Section {
    header: "[[listener]]",
    doc: "An address that accepts clients.",
    fields: &[
        required("listen", ADDRESS, "IP address and port. Port 0 lets the kernel choose."),
        optional("name", NAME, "What logs and metrics call it. Default: the address."),
        optional(
            "connections",
            AMOUNT,
            "Client connections of this listener open at once. Default: what `[proxy]` allows for all.",
        ),
        optional(
            "requests",
            AMOUNT,
            "Requests of this listener under way at once. Default: what `[proxy]` allows for all.",
        ),
    ],
    later: &["certificates", "tls", "protocol", "proxy_protocol"],
};

pub(super) static ADMIN: Section = Section {
    header: "[admin]",
    doc: "The admin API. Whoever reaches it can move traffic.",
    fields: &[
        defaulted(
            "listen",
            ADDRESS,
            "\"127.0.0.1:9900\"",
            "Its address. Beyond loopback it needs `token_file`.",
        ),
        optional("token_file", FILE, "The file with the bearer token that clients must show."),
        optional(
            "probe_listen",
            ADDRESS,
            "A second address, for /metrics, /healthz and /readyz alone, without a token.",
        ),
    ],
    later: &["client_ca", "mtls", "certificates"],
};

pub(super) static STATE: Section = Section {
    header: "[state]",
    doc: "What outlives a restart.",
    fields: &[optional(
        "dir",
        FILE,
        "The directory of the journal, which one process has to itself. Without it state lives in memory alone.",
    )],
    later: &[],
};

pub(super) static PROXY: Section = Section {
    header: "[proxy]",
    doc: "What holds for the process as a whole.",
    fields: &[
        defaulted(
            "workers",
            Kind::Count { min: 0, max: 1024 },
            "0",
            "Threads that serve clients. 0: one for each core.",
        ),
        defaulted(
            "trusted_proxies",
            Kind::List { of: &NETWORK, min: 0 },
            "[]",
            "Who may say in `X-Forwarded-For` on whose behalf a request comes.",
        ),
        defaulted(
            "copies_from",
            Kind::List { of: &NETWORK, min: 0 },
            "[]",
            "Other crossfades in front, whose copies stay marked as such for the upstreams behind this one.",
        ),
        defaulted(
            "request_id_trust",
            Kind::Choice { names: &["everyone", "trusted-proxies", "nobody"], later: &[] },
            "\"everyone\"",
            "Whose `X-Request-Id` is taken over. All others get a new one.",
        ),
        defaulted(
            "connections",
            AMOUNT,
            "20000",
            "Client connections open at once, over all listeners. More are told so with a 503 and closed.",
        ),
        defaulted(
            "requests",
            AMOUNT,
            "20000",
            "Requests under way at once, over all listeners. More are answered with 503.",
        ),
        defaulted(
            "header_bytes",
            Kind::Size { min: KIB, max: 64 * KIB },
            "\"64KiB\"",
            "The largest head of a request.",
        ),
        defaulted(
            "header_count",
            Kind::Count { min: 1, max: 256 },
            "100",
            "The most header fields in a message.",
        ),
        defaulted(
            "target_bytes",
            Kind::Size { min: 64, max: 64 * KIB },
            "\"8KiB\"",
            "The longest request target.",
        ),
        optional(
            "body_bytes",
            Kind::Size { min: 1, max: TIB },
            "The largest content of a request. Default: any, since bodies are streamed.",
        ),
        defaulted(
            "min_rate",
            Kind::Size { min: 0, max: MIB },
            "\"128B\"",
            "Bytes a second that a client must send of a body, over any 10 s, and take of an answer, over any `timeouts.idle`. 0: any.",
        ),
        defaulted(
            "header_timeout",
            TIMEOUT,
            "\"10s\"",
            "How long a client may take to send a request's head.",
        ),
        defaulted(
            "idle_timeout",
            TIMEOUT,
            "\"60s\"",
            "How long a client's connection may wait for its next request.",
        ),
        defaulted(
            "connection_lifetime",
            Kind::Duration { min_ms: SECOND_MS, max_ms: 365 * DAY_MS },
            "\"24h\"",
            "How long a client's connection is used at all. It ends between two requests.",
        ),
        defaulted(
            "connection_requests",
            Kind::Count { min: 1, max: 1_000_000_000 },
            "1000000",
            "Requests on one client's connection, after which it ends.",
        ),
        defaulted(
            "drain_timeout",
            Kind::Duration { min_ms: 0, max_ms: DAY_MS },
            "\"30s\"",
            "How long requests may finish at shut-down.",
        ),
        defaulted(
            "compare_cpu",
            Kind::Share,
            "\"25%\"",
            "How much of one processor comparing the answers of copies may use; what it has no time for is not copied.",
        ),
        optional("access_log", ACCESS_LOG, "`stdout` or a file: one line for each request. Default: none."),
    ],
    later: &["forwarded"],
};

pub(super) static LOG: Section = Section {
    header: "[log]",
    doc: "The log of events, on standard error.",
    fields: &[
        defaulted(
            "level",
            Kind::Choice { names: &["error", "warn", "info", "debug", "trace"], later: &[] },
            "\"info\"",
            "The least important events that are logged.",
        ),
        defaulted(
            "format",
            Kind::Choice { names: &["auto", "text", "json"], later: &[] },
            "\"auto\"",
            "How a line looks; `auto` is text on a terminal and JSON elsewhere.",
        ),
    ],
    later: &[],
};

const TIB: u64 = MIB << 20;
