//! Which requests go where: the rules of all migrations and routes, as one table.

use std::collections::HashSet;

use route_plan::{Match, RouteEntry, RouteTable, Target, ValueMatch};

use super::{is_token, parsed};
use crate::diagnostic::{Diagnostic, Sink, Spot};
use crate::written::{Said, Table};

/// All rules and the table made of them; `None` when two rules tie.
pub(super) fn rules(root: &Table, sink: &mut Sink) -> Option<(Vec<RouteEntry>, RouteTable)> {
    let mut entries = Vec::new();
    let mut spots = Vec::new();
    for (index, (name, table)) in root.named("migration").iter().enumerate() {
        add(
            &format!("migration.{}", name.value),
            table,
            Target::Migration(index),
            &mut entries,
            &mut spots,
            sink,
        );
    }
    for (index, (name, table)) in root.named("route").iter().enumerate() {
        let target = Target::Route(index);
        add(&format!("route.{}", name.value), table, target, &mut entries, &mut spots, sink);
    }
    match RouteTable::build(entries.clone()) {
        Ok(table) => Some((entries, table)),
        Err(ties) => {
            for tie in ties {
                let (Some(first), Some(second)) = (spots.get(tie.first), spots.get(tie.second)) else {
                    continue;
                };
                report_tie(first, second, sink);
            }
            None
        }
    }
}

fn add(
    label: &str,
    table: &Table,
    target: Target,
    entries: &mut Vec<RouteEntry>,
    spots: &mut Vec<Spot>,
    sink: &mut Sink,
) {
    for (index, rule, spot) in list(table, "match", sink) {
        entries.push(RouteEntry { label: format!("{label} match {}", index + 1), rule, target });
        spots.push(spot);
    }
}

/// A list of rules that only tells whether a request is in it.
pub(super) fn listed(table: &Table, field: &str, sink: &mut Sink) -> Option<RouteTable> {
    let target = Target::Migration(0);
    let entry = |(index, rule, _)| RouteEntry { label: format!("{field} {}", index + 1), rule, target };
    // Rules that lead to the same never tie.
    RouteTable::build(list(table, field, sink).into_iter().map(entry).collect()).ok()
}

/// The rules of a list that are right, each with its place in the list and in the file.
fn list(table: &Table, field: &str, sink: &mut Sink) -> Vec<(usize, Match, Spot)> {
    let mut rules: Vec<(usize, Match, Spot)> = Vec::new();
    for (index, table) in table.tables(field).iter().enumerate() {
        let Some(rule) = rule(table, sink) else { continue };
        if let Some((_, _, earlier)) = rules.iter().find(|(_, other, _)| *other == rule) {
            let diagnostic =
                Diagnostic::warning("duplicate-rule", &table.spot, "this rule stands in the list already");
            sink.push(diagnostic.label(earlier.span.clone(), "the same rule"));
        }
        rules.push((index, rule, table.spot.clone()));
    }
    rules
}

fn report_tie(first: &Spot, second: &Spot, sink: &mut Sink) {
    let (first, second) =
        if first.span.start <= second.span.start { (first, second) } else { (second, first) };
    let message = format!("`{}` and `{}` claim the same requests", first.path, second.path);
    let diagnostic = Diagnostic::error("tie", second, message);
    sink.push(
        diagnostic
            .expected("a rule that is more or less specific than the other")
            .label(first.span.clone(), "just as specific")
            .help("tell them apart by host, path, method, header or query: the most specific rule gets the request"),
    );
}

/// One rule; `None` when a part of it was wrong, so that half a rule claims nothing.
fn rule(table: &Table, sink: &mut Sink) -> Option<Match> {
    if !table.section.names().any(|name| table.wrote(name)) {
        let diagnostic = Diagnostic::error("empty-rule", &table.spot, "the rule says nothing");
        sink.push(
            diagnostic
                .expected("a host, a path or another condition")
                .help("for all requests write `path = \"/*\"`"),
        );
        return None;
    }
    let mut whole = table.entries.iter().all(|entry| entry.value.is_some());
    let host = table.text("host").and_then(|said| {
        let host = parsed(
            &said,
            "bad-host",
            "host",
            "a host such as \"shop.example.com\" or \"*.example.com\"",
            sink,
        );
        whole &= host.is_some();
        host
    });
    let path = table.text("path").and_then(|said| {
        let path =
            parsed(&said, "bad-path", "path", "a path such as \"/checkout/*\" or \"/users/{id}\"", sink);
        whole &= path.is_some();
        path
    });
    let methods = methods(table, sink);
    let headers = conditions(table, "header", sink);
    let query = conditions(table, "query", sink);
    let (methods, headers, query) = (methods?, headers?, query?);
    whole.then(|| Match { host, path: path.unwrap_or_default(), methods, headers, query })
}

fn methods(table: &Table, sink: &mut Sink) -> Option<Vec<String>> {
    if let (Some(one), Some(many)) = (table.key("method"), table.key("methods")) {
        let spot = table.spot.child("methods", many);
        let diagnostic =
            Diagnostic::error("method-twice", &spot, "`method` and `methods` say the same thing");
        sink.push(diagnostic.expected("one of the two").label(one, "the other one"));
        return None;
    }
    let mut methods: Vec<String> = Vec::new();
    let mut fine = true;
    for said in table.text("method").into_iter().chain(table.texts("methods")) {
        fine &= check_method(&said, sink);
        if !methods.iter().any(|method| method == said.value) {
            methods.push(said.value.to_owned());
        }
    }
    fine.then_some(methods)
}

pub(super) fn check_method(said: &Said<&str>, sink: &mut Sink) -> bool {
    let upper = said.value.to_ascii_uppercase();
    let (message, help) = if !is_token(said.value) {
        (format!("`{}` is not a method", said.value), None)
    } else if upper != said.value && KNOWN_METHODS.contains(&upper.as_str()) {
        let message = format!("`{}` is never sent: methods are written in upper case", said.value);
        (message, Some(format!("write `{upper}`")))
    } else {
        return true;
    };
    sink.push(
        Diagnostic::error("bad-method", &said.spot, message)
            .expected("a method such as `GET`")
            .maybe_help(help),
    );
    false
}

fn conditions(table: &Table, field: &str, sink: &mut Sink) -> Option<Vec<ValueMatch>> {
    let is_header = field == "header";
    let mut seen = HashSet::new();
    let mut conditions = Vec::new();
    let mut fine = true;
    for (name, value) in table.conditions(field) {
        let key = if is_header { name.value.to_ascii_lowercase() } else { name.value.clone() };
        if is_header && !is_token(&key) {
            let diagnostic = Diagnostic::error(
                "bad-header-name",
                &name.spot,
                format!("`{}` is not a header name", name.value),
            );
            sink.push(diagnostic.expected("letters, digits and `-`"));
            fine = false;
        }
        if is_header && key == "host" {
            let diagnostic =
                Diagnostic::error("bad-condition", &name.spot, "the host has a condition of its own");
            sink.push(diagnostic.expected("another header").help("write `host = \"...\"` in the rule"));
            fine = false;
        }
        if !seen.insert(key.clone()) {
            let message = format!("the rule names the header `{key}` twice; case makes no difference");
            sink.push(Diagnostic::error("bad-condition", &name.spot, message).expected("each header once"));
            fine = false;
        }
        conditions.push(ValueMatch { name: key, value: value.clone() });
    }
    fine.then_some(conditions)
}

/// RFC 9110 section 9 and RFC 5789.
const KNOWN_METHODS: &[&str] =
    &["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
