//! Which header fields are compared when nobody says, how, and why: one table.
//!
//! `HEADERS.md` is this table for people; a test holds the two together.

/// How the values of a field are held against each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// Not at all.
    Ignored,
    /// Only whether both have it.
    Presence,
    /// As they are, in their order. A field in several lines is the same as one with commas (RFC 9110 section 5.2).
    Exact,
    /// As they are, whatever their case.
    Caseless,
    /// As a set of members between commas.
    Members,
    /// As a set of members between commas, whatever their case.
    CaselessMembers,
    /// As a set of directives between commas, their names whatever their case: `max-age=60, private`.
    Directives,
    /// As a set of directives between semicolons: `max-age=60; includeSubDomains`.
    Parameters,
    /// As a media type with parameters.
    MediaType,
    /// As policies whose directives list sources; the nonces in them are drawn for each answer.
    Policy,
    /// As a moment, in whichever of HTTP's forms.
    Moment,
    /// As cookies, by name and attributes.
    Cookies,
    /// As a number, where both have it and it is all that is known of a body; else not at all.
    Length,
}

impl Treatment {
    /// For the table.
    #[cfg(test)]
    pub(crate) fn words(self) -> &'static str {
        match self {
            Ignored => "ignored",
            Presence => "presence",
            Exact => "as it is",
            Caseless => "without case",
            Members => "set",
            CaselessMembers => "set, without case",
            Directives | Parameters => "set of directives",
            MediaType => "media type",
            Policy => "policy",
            Moment => "moment",
            Cookies => "cookies",
            Length => "of HEAD, where both have it",
        }
    }
}

pub(crate) struct Row {
    /// In lower case.
    pub(crate) name: &'static str,
    pub(crate) treatment: Treatment,
    #[cfg_attr(not(test), allow(dead_code, reason = "it is said in HEADERS.md"))]
    pub(crate) why: &'static str,
}

/// How a field of this name, in lower case, is compared unless the rules say otherwise.
pub(crate) fn treatment(name: &str) -> Treatment {
    if let Ok(found) = ROWS.binary_search_by(|row| row.name.cmp(name)) {
        return ROWS.get(found).map_or(Exact, |row| row.treatment);
    }
    let ends = PATTERNS.iter().find(|row| {
        let (start, end) = row.name.split_once('*').unwrap_or((row.name, ""));
        name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
    });
    ends.map_or(Exact, |row| row.treatment)
}

const fn row(name: &'static str, treatment: Treatment, why: &'static str) -> Row {
    Row { name, treatment, why }
}

use Treatment::{
    Caseless, CaselessMembers, Cookies, Directives, Exact, Ignored, Length, MediaType, Members, Moment,
    Parameters, Policy, Presence,
};

const CACHE: &str = "What a cache on the way says of itself.";
const CODED: &str = "Bodies are compared decoded.";
const COUNTER: &str = "Each arm counts for itself, and it moves with each request; clients wait by it.";
const DIGEST: &str = "A digest of the bytes, which differ with every coding and key order.";
const HOP: &str = "Of one connection, not of the answer (RFC 9110 section 7.6.1).";
const NAMES: &str = "Header names have no case.";
const NETWORK: &str = "Of the network in front of the arm.";
const REQUEST: &str = "Names this one request.";
const SOFTWARE: &str = "Names the software or the host, which are meant to differ.";
const TIMING: &str = "How long this one answer took.";

/// By name; sorted.
pub(crate) static ROWS: &[Row] = &[
    row("accept-ch", CaselessMembers, NAMES),
    row("accept-patch", CaselessMembers, "A list of media types without order."),
    row("accept-post", CaselessMembers, "A list of media types without order."),
    row("accept-ranges", CaselessMembers, "Range units have no case."),
    row("access-control-allow-headers", CaselessMembers, NAMES),
    row("access-control-allow-methods", Members, "Methods have case, and no order."),
    row("access-control-expose-headers", CaselessMembers, NAMES),
    row("age", Ignored, CACHE),
    row("allow", Members, "Methods have case, and no order."),
    row("alt-svc", Ignored, NETWORK),
    row("b3", Ignored, REQUEST),
    row("cache-control", Directives, "Directives have no order, their names no case."),
    row("cache-status", Ignored, CACHE),
    row("cdn-cache-control", Directives, "Directives have no order, their names no case."),
    row("cf-cache-status", Ignored, CACHE),
    row("cf-ray", Ignored, REQUEST),
    row("connection", Ignored, HOP),
    row("content-digest", Presence, DIGEST),
    row("content-disposition", Parameters, "Parameters have no order, their names no case."),
    row("content-encoding", Ignored, CODED),
    row("content-language", CaselessMembers, "Language tags have no case."),
    row("content-length", Length, "Bodies are compared decoded; of HEAD, this is all that is known of them."),
    row("content-md5", Presence, DIGEST),
    row("content-security-policy", Policy, "Directives and sources have no order, nonces are random."),
    row(
        "content-security-policy-report-only",
        Policy,
        "Directives and sources have no order, nonces are random.",
    ),
    row(
        "content-type",
        MediaType,
        "Names and charsets have no case; boundaries that the body has are random.",
    ),
    row("correlation-id", Ignored, REQUEST),
    row("date", Ignored, "When the answer was made."),
    row("digest", Presence, DIGEST),
    row("etag", Presence, "Made from bytes, inodes or versions; that there is one makes answers cacheable."),
    row("expires", Presence, "Counts from the date of the answer."),
    row("grpc-accept-encoding", Ignored, "Messages are compared decoded."),
    row("grpc-encoding", Ignored, "Messages are compared decoded."),
    row("keep-alive", Ignored, HOP),
    row("last-modified", Moment, "The document's own time, in any of HTTP's forms."),
    row("link", Members, "Links have no order."),
    row("nel", Ignored, NETWORK),
    row("permissions-policy", Directives, "Features have no order."),
    row("pragma", CaselessMembers, "Directives have no order and no case."),
    row("proxy-connection", Ignored, HOP),
    row("ratelimit", Presence, COUNTER),
    row("report-to", Ignored, NETWORK),
    row("reporting-endpoints", Ignored, NETWORK),
    row("repr-digest", Presence, DIGEST),
    row("request-id", Ignored, REQUEST),
    row("retry-after", Presence, "Counts down."),
    row("server", Ignored, SOFTWARE),
    row("server-timing", Ignored, TIMING),
    row("set-cookie", Cookies, "Values of sessions are random; the rest counts."),
    row("strict-transport-security", Parameters, "Directives have no order, their names no case."),
    row("te", Ignored, HOP),
    row("traceparent", Ignored, REQUEST),
    row("traceresponse", Ignored, REQUEST),
    row("tracestate", Ignored, REQUEST),
    row("trailer", Ignored, HOP),
    row("transfer-encoding", Ignored, HOP),
    row("upgrade", Ignored, HOP),
    row("vary", CaselessMembers, NAMES),
    row("via", Ignored, NETWORK),
    row("warning", Ignored, CACHE),
    row("x-amz-cf-id", Ignored, REQUEST),
    row("x-amz-cf-pop", Ignored, NETWORK),
    row("x-amz-id-2", Ignored, REQUEST),
    row("x-amzn-requestid", Ignored, REQUEST),
    row("x-aspnet-version", Ignored, SOFTWARE),
    row("x-aspnetmvc-version", Ignored, SOFTWARE),
    row("x-backend", Ignored, SOFTWARE),
    row("x-backend-server", Ignored, SOFTWARE),
    row("x-cache", Ignored, CACHE),
    row("x-cache-hits", Ignored, CACHE),
    row("x-cache-status", Ignored, CACHE),
    row("x-cloud-trace-context", Ignored, REQUEST),
    row("x-content-type-options", Caseless, "`nosniff` has no case."),
    row("x-dns-prefetch-control", Caseless, "`off` and `on` have no case."),
    row("x-envoy-upstream-service-time", Ignored, TIMING),
    row("x-frame-options", Caseless, "`DENY` and `SAMEORIGIN` have no case."),
    row("x-powered-by", Ignored, SOFTWARE),
    row("x-process-time-ms", Ignored, TIMING),
    row("x-request-start", Ignored, TIMING),
    row("x-runtime", Ignored, TIMING),
    row("x-served-by", Ignored, SOFTWARE),
    row("x-server", Ignored, SOFTWARE),
    row("x-timer", Ignored, TIMING),
    row("x-varnish", Ignored, CACHE),
];

/// By pattern, for names that [`ROWS`] does not have; the first that fits.
pub(crate) static PATTERNS: &[Row] = &[
    row("*ratelimit-remaining", Presence, COUNTER),
    row("*ratelimit-reset", Presence, COUNTER),
    row("*ratelimit-used", Presence, COUNTER),
    row("*rate-limit-remaining", Presence, COUNTER),
    row("*rate-limit-reset", Presence, COUNTER),
    row("*-request-id", Ignored, REQUEST),
    row("*-requestid", Ignored, REQUEST),
    row("*-correlation-id", Ignored, REQUEST),
    row("*-trace-id", Ignored, REQUEST),
    row("*-span-id", Ignored, REQUEST),
    row("x-b3-*", Ignored, REQUEST),
    row("x-datadog-*", Ignored, REQUEST),
    row("x-*-latency", Ignored, TIMING),
    row("*-backend-time", Ignored, TIMING),
    row("*-elapsed-time", Ignored, TIMING),
    row("*-execution-time", Ignored, TIMING),
    row("*-process-time", Ignored, TIMING),
    row("*-processing-time", Ignored, TIMING),
    row("*-render-time", Ignored, TIMING),
    row("*-request-time", Ignored, TIMING),
    row("*-response-time", Ignored, TIMING),
    row("*-service-time", Ignored, TIMING),
    row("*-upstream-time", Ignored, TIMING),
    row("*-request-duration", Ignored, TIMING),
    row("*-response-duration", Ignored, TIMING),
    row("crossfade-*", Ignored, "Crossfade's own."),
    row("*", Exact, "What is not known may matter."),
];

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn names_are_found_by_row_then_by_pattern() {
        assert!(ROWS.is_sorted_by(|one, next| one.name < next.name));
        for (name, expected) in [
            ("date", Ignored),
            ("vary", CaselessMembers),
            ("x-request-id", Ignored),
            ("request-id", Ignored),
            ("x-acme-request-id", Ignored),
            ("x-response-time", Ignored),
            ("x-time", Exact),
            ("x-delivery-time", Exact),
            ("x-video-duration", Exact),
            ("x-request-duration", Ignored),
            ("x-ratelimit-remaining", Presence),
            ("x-ratelimit-limit", Exact),
            ("ratelimit-reset", Presence),
            ("location", Exact),
            ("crossfade-shadow", Ignored),
        ] {
            assert_eq!(treatment(name), expected, "{name}");
        }
    }

    #[test]
    fn the_table_for_people_says_the_same() {
        let mut table = String::from(
            "# Which header fields are compared\n\n\
             How each field is compared when no rule says otherwise, and why. Trailers are compared by the same table. \
             `headers = [...]`\nin `[migration.NAME.compare]` takes the place of it: those fields alone, the ignored \
             ones among them too; `\"*\"` in that\nlist stands for all that the table compares. What `ignore` names \
             as `header:NAME` or `trailer:NAME` is left out in any case.\n\n\
             | field | compared | why |\n|---|---|---|\n",
        );
        for row in ROWS.iter().chain(PATTERNS) {
            writeln!(table, "| `{}` | {} | {} |", row.name, row.treatment.words(), row.why).unwrap();
        }
        assert!(
            include_str!("../../HEADERS.md") == table,
            "HEADERS.md is out of date; it should be:\n{table}"
        );
    }
}
