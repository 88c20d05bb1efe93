//! From what was written to what can run.
//!
//! Every check takes its part of the file, tells the [`Sink`] what is wrong, and gives the checked value if there is
//! one. Parts do not wait for one another, so one run finds the errors of all of them.

mod addresses;
mod calendar;
mod compare;
mod cookie;
mod fallback;
mod force;
mod guard;
mod heads;
mod health;
mod keys;
mod migrations;
mod order;
mod overrides;
mod policy;
mod proxy;
mod rules;
mod shadow;
mod timeouts;
mod upstreams;

use std::fmt::Display;
use std::str::FromStr;

use crate::Files;
use route_plan::Route;
use route_plan::authority::host_and_port;

use crate::checked::Checked;
use crate::diagnostic::{Diagnostic, Sink, Spot};
use crate::written::{Said, Table};

/// The checked configuration; `None` when the sink holds an error by now.
pub(crate) fn check(root: &Table, files: &dyn Files, sink: &mut Sink) -> Option<Checked> {
    let listeners = addresses::listeners(root, sink);
    let admin = root.table("admin").and_then(|table| addresses::admin(table, files, sink));
    addresses::conflicts(root, sink);
    let upstreams = upstreams::upstreams(root, sink);
    let calendar = root.table("calendar").and_then(|table| calendar::calendar(table, sink));
    let migrations: Vec<_> = root
        .named("migration")
        .iter()
        .map(|(name, table)| migrations::migration(name, table, root, calendar.as_ref(), files, sink))
        .collect();
    order::circles(root, sink);
    let routes: Vec<_> =
        root.named("route").iter().map(|(name, table)| route(name, table, root, sink)).collect();
    let rules = rules::rules(root, sink);
    nothing_to_serve(root, sink);
    let proxy = root.table("proxy").and_then(|table| proxy::proxy(table, sink));
    let log = root.table("log").and_then(proxy::log);
    let state_dir = root.table("state").and_then(proxy::state_dir);

    upstreams::unused(root, sink);

    if sink.has_errors() {
        return None;
    }
    let (proxy, (entries, table)) = (proxy?, rules?);
    Some(Checked {
        listeners,
        admin: admin?,
        state_dir,
        upstreams,
        migrations: migrations.into_iter().collect::<Option<_>>()?,
        routes: routes.into_iter().collect::<Option<_>>()?,
        entries,
        trusted_proxies: proxy.trusted_proxies,
        copies_from: proxy.copies_from,
        request_id_trust: proxy.request_id_trust,
        connection: proxy.connection,
        workers: proxy.workers,
        drain_timeout_ms: proxy.drain_timeout_ms,
        compare_cpu: proxy.compare_cpu,
        access_log: proxy.access_log,
        log: log?,
        table,
    })
}

fn route(name: &Said<String>, table: &Table, root: &Table, sink: &mut Sink) -> Option<Route> {
    let upstream = upstreams::reference(table, "to", root, sink);
    let timeouts = table.table("timeouts").and_then(|table| timeouts::timeouts(table, sink));
    let rules = table.table("rules").and_then(|table| heads::rules(table, sink));
    Some(Route { name: name.value.clone(), upstream: upstream?, timeouts: timeouts?, rules: rules? })
}

fn nothing_to_serve(root: &Table, sink: &mut Sink) {
    let file = Spot::default();
    // What was written but wrong has been reported already.
    let lacks = |name: &str, empty: bool, sink: &Sink| empty && !(root.wrote(name) && sink.has_errors());
    if lacks("listener", root.tables("listener").is_empty(), sink) {
        let diagnostic = Diagnostic::error("no-listener", &file, "nothing listens for clients");
        let help = "add `[[listener]]` with `listen = \"0.0.0.0:8080\"`";
        sink.push(diagnostic.expected("at least one `[[listener]]`").help(help));
    }
    if lacks("migration", root.named("migration").is_empty(), sink)
        && lacks("route", root.named("route").is_empty(), sink)
    {
        let diagnostic = Diagnostic::error("nothing-to-serve", &file, "no request would be answered");
        sink.push(diagnostic.expected("at least one `[migration.NAME]` or `[route.NAME]`"));
    }
}

/// The text as a value of another type, or an error with the reason that the type gives. `what` names it in a sentence.
fn parsed<T>(said: &Said<&str>, code: &'static str, what: &str, expected: &str, sink: &mut Sink) -> Option<T>
where
    T: FromStr,
    T::Err: Display,
{
    match said.value.parse::<T>() {
        Ok(value) => Some(value),
        Err(reason) => {
            let message = format!("`{}` is not a {what}: {reason}", said.value);
            sink.push(Diagnostic::error(code, &said.spot, message).expected(expected));
            None
        }
    }
}

/// A host, with or without a port, that requests ask for.
fn host(said: &Said<&str>, sink: &mut Sink) -> Option<String> {
    let (message, help) = match (host_and_port(said.value), said.value.split_once("://")) {
        (Ok(_), None) => return Some(said.value.to_owned()),
        (_, Some((_, bare))) => {
            let bare = bare.split('/').next().filter(|bare| host_and_port(bare).is_ok());
            let help = bare.map(|bare| format!("write \"{bare}\""));
            (format!("`{}` is more than a host", said.value), help)
        }
        (Err(message), None) => (message, None),
    };
    let diagnostic = Diagnostic::error("bad-host", &said.spot, message);
    sink.push(diagnostic.expected("a host such as \"shop.internal\" or \"10.0.0.11:8080\"").maybe_help(help));
    None
}

/// A number that the schema keeps far below what a `u32` holds.
fn whole(said: &Said<u64>) -> u32 {
    u32::try_from(said.value).unwrap_or(u32::MAX)
}

/// A number that the schema keeps far below what a `usize` holds.
fn size(said: &Said<u64>) -> usize {
    usize::try_from(said.value).unwrap_or(usize::MAX)
}

/// RFC 9110 section 5.6.2: what names of headers, cookies and methods are made of.
fn is_token(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(fits)
}

/// A header's name in lower case. Headers that carry the message itself cannot be given another meaning.
fn header_name(said: &Said<&str>, sink: &mut Sink) -> Option<String> {
    let name = said.value.to_ascii_lowercase();
    if !is_token(&name) {
        let message = format!("`{}` is not a header name", said.value);
        sink.push(
            Diagnostic::error("bad-header-name", &said.spot, message).expected("letters, digits and `-`"),
        );
        return None;
    }
    if RESERVED_HEADERS.contains(&name.as_str()) {
        let message = format!("`{name}` already has a meaning of its own");
        let diagnostic = Diagnostic::error("reserved-header", &said.spot, message);
        sink.push(diagnostic.expected("a header that nothing else uses"));
        return None;
    }
    Some(name)
}

const RESERVED_HEADERS: &[&str] = &[
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "location",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];
