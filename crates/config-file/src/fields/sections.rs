//! The sections themselves, in the order of a file.

use super::{Kind, Section, defaulted, optional, required, text};

pub(crate) static ROOT: Section = Section {
    header: "the top level",
    doc: "The configuration of a crossfade proxy.",
    fields: &[
        defaulted(
            "listener",
            Kind::Tables { of: &LISTENER, min: 0 },
            "[]",
            "The addresses that accept clients.",
        ),
        defaulted("upstream", Kind::Named(&UPSTREAM), "{}", "The backend systems, by name."),
        defaulted(
            "migration",
            Kind::Named(&MIGRATION),
            "{}",
            "How traffic moves from an old to a new upstream, by name.",
        ),
        defaulted("route", Kind::Named(&ROUTE), "{}", "Traffic that takes no part in a migration, by name."),
        defaulted("admin", Kind::Table(&ADMIN), "{}", "The admin API."),
        defaulted("state", Kind::Table(&STATE), "{}", "What outlives a restart."),
        defaulted("proxy", Kind::Table(&PROXY), "{}", "What holds for the process as a whole."),
        defaulted("log", Kind::Table(&LOG), "{}", "The log of events, on standard error."),
    ],
    later: &["fleet", "notify", "freeze", "calendar", "shadow", "guard", "ramp"],
};

/// Every section, the nested ones included.
pub(crate) static ALL: &[&Section] = &[
    &ROOT,
    &LISTENER,
    &UPSTREAM,
    &MIGRATION,
    &MATCH,
    &ASSIGN_COOKIE,
    &OVERRIDE,
    &FORCE,
    &TIMEOUTS,
    &ROUTE,
    &ADMIN,
    &STATE,
    &PROXY,
    &LOG,
];

static LISTENER: Section = Section {
    header: "[[listener]]",
    doc: "An address that accepts clients.",
    fields: &[
        required("listen", ADDRESS, "IP address and port. Port 0 lets the kernel choose."),
        optional("name", NAME, "What logs and metrics call it. Default: the address."),
    ],
    later: &["certificates", "tls", "protocol", "proxy_protocol"],
};

static UPSTREAM: Section = Section {
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
    ],
    later: &["health", "tls", "balance", "retries", "host"],
};

static MIGRATION: Section = Section {
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
        optional("expose_arm", HEADER_NAME, "A response header that tells clients the arm. Default: none."),
    ],
    later: &[
        "shadow",
        "guard",
        "ramp",
        "fallback",
        "compare",
        "dual_write",
        "exclusive",
        "after",
        "over",
        "drain_after_rollback",
        "rewrite",
        "retries",
        "grace",
    ],
};

static MATCH: Section = Section {
    header: "match",
    doc: "A rule. All of its conditions must hold; of all rules that fit a request, the most specific one counts.",
    fields: &[
        optional("host", HOST, "The host name, or `*.example.com` for those below it."),
        optional("path", PATH, "The path, `/below/*` or `/users/{id}/orders`. Default: any."),
        optional("method", METHOD, "The method, such as `GET`."),
        optional("methods", Kind::List { of: &METHOD, min: 1 }, "Several methods."),
        optional(
            "header",
            Kind::Conditions,
            "Header fields with the value they must have, or `true` for any.",
        ),
        optional(
            "query",
            Kind::Conditions,
            "Query parameters with the value they must have, or `true` for any.",
        ),
    ],
    later: &["cookie", "client_ip"],
};

static ASSIGN_COOKIE: Section = Section {
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

static OVERRIDE: Section = Section {
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

static FORCE: Section = Section {
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

static TIMEOUTS: Section = Section {
    header: "[migration.NAME.timeouts]",
    doc: "How long an upstream may take.",
    fields: &[
        defaulted("connect", TIMEOUT, "\"2s\"", "Until a connection stands."),
        defaulted(
            "first_byte",
            TIMEOUT,
            "\"30s\"",
            "From the request's last byte to the head of the answer.",
        ),
        defaulted("idle", TIMEOUT, "\"60s\"", "Without a byte in either direction."),
        optional("total", TIMEOUT, "For all of it. Default: no limit."),
    ],
    later: &["fail_after"],
};

static ROUTE: Section = Section {
    header: "[route.NAME]",
    doc: "Requests that one upstream serves, outside of any migration.",
    fields: &[
        required(
            "match",
            Kind::Tables { of: &MATCH, min: 1 },
            "The requests: those that fulfil any of these rules.",
        ),
        required("to", UPSTREAM_NAME, "The upstream that serves them."),
    ],
    later: &["timeouts"],
};

static ADMIN: Section = Section {
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

static STATE: Section = Section {
    header: "[state]",
    doc: "What outlives a restart.",
    fields: &[optional(
        "dir",
        FILE,
        "The directory of the journal. This version keeps none: nothing outlives a restart.",
    )],
    later: &[],
};

static PROXY: Section = Section {
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
            "request_id_trust",
            Kind::Choice { names: &["everyone", "trusted-proxies", "nobody"], later: &[] },
            "\"everyone\"",
            "Whose `X-Request-Id` is taken over. All others get a new one.",
        ),
        defaulted(
            "connections",
            Kind::Count { min: 1, max: 1_000_000 },
            "20000",
            "Client connections open at once, over all listeners.",
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
            "drain_timeout",
            Kind::Duration { min_ms: 0, max_ms: DAY_MS },
            "\"30s\"",
            "How long requests may finish at shut-down.",
        ),
        optional("access_log", ACCESS_LOG, "`stdout` or a file: one line for each request. Default: none."),
    ],
    later: &["forwarded"],
};

static LOG: Section = Section {
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

const SECOND_MS: u64 = 1_000;
const DAY_MS: u64 = 24 * 60 * 60 * SECOND_MS;
const KIB: u64 = 1024;

const TIMEOUT: Kind = Kind::Duration { min_ms: 1, max_ms: DAY_MS };
const PHASE: Kind =
    Kind::Choice { names: &["preparation", "shadow", "canary", "full", "cleanup"], later: &[] };
const ADDRESS: Kind = text(
    "an IP address and a port, such as \"0.0.0.0:8080\" or \"[::]:8080\"",
    r"^(\[[0-9A-Fa-f:.%]+\]|[0-9.]+):[0-9]{1,5}$",
);
const NAME: Kind =
    text("a name of up to 63 lower-case letters, digits, `-`, `_` and `.`", crate::NAME_PATTERN);
const UPSTREAM_NAME: Kind = text("the name of an upstream", crate::NAME_PATTERN);
const HOST: Kind = text("a host name, or `*.` and a host name", r"^(\*\.)?[^*/:\s]+$|^\[[0-9A-Fa-f:.]+\]$");
const PATH: Kind = text("a path that starts with `/`", r"^/");
const COOKIE_PATH: Kind = text("a path that starts with `/`", r"^/[^;\s]*$");
const COOKIE_NAME: Kind = text("a cookie name", TOKEN);
const HEADER_NAME: Kind = text("a header name", TOKEN);
const DOMAIN: Kind = text("a host name", r"^\.?[0-9A-Za-z._-]+$");
const SALT: Kind = text("some text", r"^.");
const SECRET: Kind = text("at least 16 characters", r"^.{16,}$");
const FILE: Kind = text("the path of a file", r"^.");
const ACCESS_LOG: Kind = text("`stdout` or the path of a file", r"^.");
static METHOD: Kind = text("a method, such as `GET`", TOKEN);
static KEY: Kind = text("a key", r"^[\s\S]");
static ENDPOINT: Kind = text("an address such as \"http://10.0.0.11:8080\"", r"^http://[^/?#@\s]+$");
static NETWORK: Kind =
    text("a network such as \"10.0.0.0/8\", or an IP address", r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$");
static KEY_SOURCE: Kind = text(
    "a source such as \"header:x-user-id\" or \"cookie:session\"",
    r"^((header|cookie|query|jwt):.+|path:[1-9][0-9]*|client-ip|request-id)$",
);

/// RFC 9110 section 5.6.2.
const TOKEN: &str = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use toml::de::DeValue;

    use super::*;
    use crate::fields::Need;

    #[test]
    fn the_tables_are_sound() {
        let headers: HashSet<&str> = ALL.iter().map(|section| section.header).collect();
        assert_eq!(headers.len(), ALL.len());
        for section in ALL {
            let names: HashSet<&str> = section.names().collect();
            assert_eq!(names.len(), section.fields.len(), "{} has a name twice", section.header);
            for field in section.fields {
                assert!(field.doc.ends_with('.'), "{}: {}", section.header, field.name);
                if let Need::Default(written) = field.need {
                    assert!(DeValue::parse(written).is_ok(), "{}: {}", section.header, field.name);
                }
            }
            assert!(
                section.later.iter().all(|later| !names.contains(later)),
                "{} has it by now",
                section.header
            );
        }
    }
}
