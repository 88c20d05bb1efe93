//! What migrations and routes have in common, and the routes: which requests they are about, how long those may take,
//! and what is changed in their heads.

use super::{HEADER_NAME, HOST, METHOD, PATH, TIMEOUT, UPSTREAM_NAME, text};
use crate::fields::{Field, Format, Kind, Section, defaulted, optional, required};

pub(super) static ROUTE: Section = Section {
    header: "[route.NAME]",
    doc: "Requests that one upstream serves, outside of any migration.",
    fields: &[
        required(
            "match",
            Kind::Tables { of: &MATCH, min: 1 },
            "The requests: those that fulfil any of these rules.",
        ),
        required("to", UPSTREAM_NAME, "The upstream that serves them."),
        defaulted("timeouts", Kind::Table(&ROUTE_TIMEOUTS), "{}", "How long they may take."),
        defaulted(
            "rules",
            Kind::Table(&ROUTE_RULES),
            "{}",
            "What is changed in the heads of their messages.",
        ),
    ],
    later: &[],
};

pub(super) static MATCH: Section = Section {
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

pub(super) static TIMEOUTS: Section = timeouts("[migration.NAME.timeouts]");
pub(super) static ROUTE_TIMEOUTS: Section = timeouts("[route.NAME.timeouts]");

const fn timeouts(header: &'static str) -> Section {
    Section { header, doc: "How long an upstream may take.", fields: &TIMEOUT_FIELDS, later: &[] }
}

static TIMEOUT_FIELDS: [Field; 6] = [
    defaulted("connect", TIMEOUT, "\"2s\"", "Until a connection stands."),
    defaulted("first_byte", TIMEOUT, "\"30s\"", "From the request's last byte to the head of the answer."),
    defaulted("idle", TIMEOUT, "\"60s\"", "Without a byte in either direction."),
    optional("total", TIMEOUT, "For all of it. Default: no limit."),
    optional(
        "fail_after",
        TIMEOUT,
        "An answer whose head takes longer counts as a failure, though the client still gets it. Default: where a guard \
         judges, four times the slowest p99 that it tolerates, at least 1 s; else none does.",
    ),
    defaulted(
        "tunnel_idle",
        TIMEOUT,
        "\"1h\"",
        "How long an upgraded connection, such as a WebSocket, may carry nothing.",
    ),
];

pub(super) static RULES: Section = Section {
    header: "[migration.NAME.rules]",
    doc: "What is changed in the heads of each arm's messages.",
    fields: &[
        defaulted("old", Kind::Table(&OLD_RULES), "{}", "For requests to `old`, and its answers."),
        defaulted("new", Kind::Table(&NEW_RULES), "{}", "For requests to `new`, and its answers."),
    ],
    later: &[],
};

pub(super) static OLD_RULES: Section = rules("[migration.NAME.rules.old]");
pub(super) static NEW_RULES: Section = rules("[migration.NAME.rules.new]");
pub(super) static ROUTE_RULES: Section = rules("[route.NAME.rules]");

const fn rules(header: &'static str) -> Section {
    let doc = "Changes to the heads of requests to one upstream, and of its answers.";
    Section { header, doc, fields: &RULE_FIELDS, later: &["query", "method"] }
}

static RULE_FIELDS: [Field; 5] = [
    optional(
        "path_prefix",
        Kind::Table(&PATH_PREFIX),
        "The beginning of the path that is replaced. Default: the path stays as it is.",
    ),
    defaulted(
        "host",
        HOST_RULE,
        "\"client\"",
        "The `Host` that the upstream is asked for: `client`, what the client asked for; `endpoint`, the endpoint's own; \
         or a host of your own.",
    ),
    defaulted(
        "location",
        Kind::Flag,
        "false",
        "Leads `Location` in answers back to what the client knows: its own host, and the path without its new prefix.",
    ),
    defaulted(
        "request_headers",
        Kind::Table(&HEADER_RULES),
        "{}",
        "Changes to the header fields of requests.",
    ),
    defaulted(
        "response_headers",
        Kind::Table(&HEADER_RULES),
        "{}",
        "Changes to the header fields of answers.",
    ),
];

pub(super) static PATH_PREFIX: Section = Section {
    header: "`path_prefix`",
    doc: "The beginning of the path, up to the end of a segment, and what takes its place.",
    fields: &[
        required("from", PREFIX, "What the path must begin with. Other paths stay as they are."),
        required("to", PREFIX, "What takes its place."),
    ],
    later: &[],
};

pub(super) static HEADER_RULES: Section = Section {
    header: "`request_headers` or `response_headers`",
    doc: "Changes to header fields: first `remove`, then `set`, then `add`.",
    fields: &[
        defaulted(
            "set",
            HEADER_VALUES,
            "{}",
            "Fields by name with the value that replaces all that the message has of this name.",
        ),
        defaulted(
            "add",
            HEADER_VALUES,
            "{}",
            "Fields by name with the value that is added to what the message has.",
        ),
        defaulted("remove", Kind::List { of: &HEADER_NAME, min: 0 }, "[]", "Names of fields to remove."),
    ],
    later: &[],
};

const PREFIX: Kind = text("a path such as \"/v1\"", r"^/[!-~]*$");
pub(super) const HOST_RULE: Kind =
    text("`client`, `endpoint` or a host such as \"shop.internal\"", r"^[^/@\s]+$");
pub(super) const HEADER_VALUES: Kind =
    Kind::Texts(Format { expected: "the text of the header field", pattern: r"^[\t -~]*$" });
