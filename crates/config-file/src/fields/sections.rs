//! The sections themselves: the top level, and what it consists of.

mod compare;
mod guard;
mod migration;
mod process;
mod ramp;
mod requests;
mod shadow;
mod upstream;

use compare::{COMPARE, COMPARE_ENDPOINT, MAP, NUMBERS, RULE};
use guard::{ERROR_RATE, FAILURES, FALSE_ALARMS, GUARD, LATENCY, MISMATCHES};
use migration::{ASSIGN_COOKIE, FALLBACK, FORCE, MIGRATION, OVERRIDE};
use process::{ADMIN, LISTENER, LOG, PROXY, STATE};
use ramp::{
    ABORT, CALENDAR, FREEZE, MIGRATION_CALENDAR, MIGRATION_FREEZE, MIGRATION_WINDOW, ROLLBACK, STEP, WINDOW,
};
use requests::{
    HEADER_RULES, MATCH, NEW_RULES, OLD_RULES, PATH_PREFIX, ROUTE, ROUTE_RULES, ROUTE_TIMEOUTS, RULES,
    TIMEOUTS,
};
use shadow::{CREDENTIALS, SHADOW};
use upstream::{EJECT, HEALTH, LIMITS, RETRY, UPSTREAM};

use super::{Format, Kind, Section, defaulted, text};

pub(crate) use ramp::MOST_STEPS;

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
        defaulted(
            "calendar",
            Kind::Table(&CALENDAR),
            "{}",
            "When percentages may rise, for all migrations without a calendar of their own.",
        ),
        defaulted("admin", Kind::Table(&ADMIN), "{}", "The admin API."),
        defaulted("state", Kind::Table(&STATE), "{}", "What outlives a restart."),
        defaulted("proxy", Kind::Table(&PROXY), "{}", "What holds for the process as a whole."),
        defaulted("log", Kind::Table(&LOG), "{}", "The log of events, on standard error."),
    ],
    later: &["fleet", "notify", "shadow"],
};

/// Every section, the nested ones included.
pub(crate) static ALL: &[&Section] = &[
    &ROOT,
    &LISTENER,
    &UPSTREAM,
    &LIMITS,
    &HEALTH,
    &EJECT,
    &RETRY,
    &MIGRATION,
    &MATCH,
    &ASSIGN_COOKIE,
    &OVERRIDE,
    &FORCE,
    &TIMEOUTS,
    &FALLBACK,
    &COMPARE,
    &NUMBERS,
    &RULE,
    &MAP,
    &COMPARE_ENDPOINT,
    &GUARD,
    &ERROR_RATE,
    &LATENCY,
    &FALSE_ALARMS,
    &FAILURES,
    &MISMATCHES,
    &SHADOW,
    &CREDENTIALS,
    &STEP,
    &ROLLBACK,
    &ABORT,
    &MIGRATION_CALENDAR,
    &MIGRATION_WINDOW,
    &MIGRATION_FREEZE,
    &RULES,
    &OLD_RULES,
    &NEW_RULES,
    &PATH_PREFIX,
    &HEADER_RULES,
    &ROUTE,
    &ROUTE_TIMEOUTS,
    &ROUTE_RULES,
    &CALENDAR,
    &WINDOW,
    &FREEZE,
    &ADMIN,
    &STATE,
    &PROXY,
    &LOG,
];

const SECOND_MS: u64 = 1_000;
const HOUR_MS: u64 = 60 * 60 * SECOND_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// How many there may be at once, of connections or requests.
const AMOUNT: Kind = Kind::Count { min: 1, max: 1_000_000 };
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
static MIGRATION_NAME: Kind = text("the name of a migration", crate::NAME_PATTERN);
const HOST: Kind = text("a host name, or `*.` and a host name", r"^(\*\.)?[^*/:\s]+$|^\[[0-9A-Fa-f:.]+\]$");
const PATH: Kind = text("a path that starts with `/`", r"^/");
const COOKIE_PATH: Kind = text("a path that starts with `/`", r"^/[^;\s]*$");
const COOKIE_NAME: Kind = text("a cookie name", TOKEN);
static HEADER_NAME: Kind = text("a header name", TOKEN);
const DOMAIN: Kind = text("a host name", r"^\.?[0-9A-Za-z._-]+$");
const TEXT: Kind = text("some text", r"^.");
const SALT: Kind = text("some text", r"^.");
const SECRET: Kind = text("at least 16 characters", r"^.{16,}$");
const FILE: Kind = text("the path of a file", r"^.");
const ACCESS_LOG: Kind = text("`stdout` or the path of a file", r"^.");
static METHOD: Kind = text("a method, such as `GET`", TOKEN);
static KEY: Kind = text("a key", r"^[\s\S]");
static ENDPOINT: Kind = text("an address such as \"http://10.0.0.11:8080\"", r"^http://[^/?#@\s]+$");
static NETWORK: Kind =
    text("a network such as \"10.0.0.0/8\", or an IP address", r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$");
/// Where answers may differ.
static PLACE: Kind = text(
    "a JSONPath such as \"$.meta.at\", or a header such as \"header:date\"",
    r"^(\$.*|(header|trailer):.+)$",
);
static KEY_SOURCE: Kind = text(
    "a source such as \"header:x-user-id\" or \"cookie:session\"",
    r"^((header|cookie|query|jwt):.+|path:[1-9][0-9]*|client-ip|request-id)$",
);
const TIME_ZONE: Kind = text("a time zone such as \"Europe/Berlin\" or \"UTC\"", r"^[A-Za-z0-9_+/-]+$");
static WEEKDAYS: Kind = text(
    "a day such as \"mon\", or a range such as \"mon-fri\"",
    r"^(mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?$",
);
const TIME: Kind = Kind::Date(Format {
    expected: "a time from \"00:00\" to \"24:00\"",
    pattern: r"^[0-9]{2}:[0-9]{2}(:[0-9]{2})?$",
});
const DATE: Kind = Kind::Date(Format {
    expected: "a date or a date with a time, such as \"2026-12-18\" or \"2026-12-18T12:00\"",
    pattern: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?$",
});
const MOMENT: Kind = Kind::Date(Format {
    expected: "a moment such as \"2027-01-31T00:00:00Z\" or \"2027-01-31T00:00:00+01:00\"",
    pattern: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$",
});
const HOOK: Kind = text("an address such as \"https://hooks.example.com/x\"", r"^https?://[\s\S]");

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
                if let Kind::TableOrFlag(of) = field.kind {
                    let all_optional = of.fields.iter().all(|field| field.need != Need::Required);
                    assert!(all_optional, "`{} = true` lacks a field", field.name);
                }
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
