//! By what rules answers are compared.

use std::time::Duration;

use response_diff::json::{JsonSpec, MapSpec, NumberSpec, RuleError, RuleSpec};
use response_diff::{EndpointSpec, Limits, RuleSet, RuleSetSpec, RulesSpec, StatusRule};

use super::size;
use crate::checked::CompareConfig;
use crate::diagnostic::{Diagnostic, Sink, Spot};
use crate::fields::{Field, Need};
use crate::written::{Said, Table, Value};

/// How the answers of a migration are compared; `None` where a part of it is wrong.
pub(super) fn compare(migration: &Table, sink: &mut Sink) -> Option<CompareConfig> {
    let table = migration.table("compare")?;
    let ignore = migration.table("shadow").map(|shadow| own(shadow.texts("ignore"))).unwrap_or_default();
    let endpoints = table.tables("endpoint").iter().map(|endpoint| EndpointSpec {
        path: endpoint.text("path").map(|said| said.value.to_owned()).unwrap_or_default(),
        rules: rules(endpoint, own(endpoint.texts("ignore")), sink),
    });
    let endpoints: Vec<EndpointSpec> = endpoints.collect();
    let spec = RuleSetSpec { rules: rules(table, ignore, sink), endpoints };
    let rules = RuleSet::compile(&spec);
    for error in rules.as_ref().err().into_iter().flatten() {
        // What is ignored anywhere stands with what is copied.
        let home = if error.entry.starts_with("ignore") { migration.table("shadow") } else { Some(table) };
        match place_of(home.unwrap_or(table), &error.entry, sink) {
            Place::At(spot) => report(error, &spot, sink),
            Place::Reported => {}
        }
    }
    let decoded_bytes = size(&table.bytes("decoded_limit")?);
    Some(CompareConfig {
        rules: rules.ok()?,
        written: spec,
        capture_bytes: size(&table.bytes("capture_limit")?),
        limits: Limits { decoded_bytes, ..Limits::default() },
    })
}

fn report(error: &RuleError, spot: &Spot, sink: &mut Sink) {
    // A place of an answer that is no place was reported by what reads it.
    let is_known = sink.has_error_at(spot);
    if !is_known {
        sink.push(Diagnostic::error("bad-rule", spot, error.message.clone()));
    }
}

fn rules(table: &Table, ignore: Vec<String>, sink: &mut Sink) -> RulesSpec {
    let status = table.text("status").map(|said| match said.value {
        "class" => StatusRule::Class,
        _ => StatusRule::Exact,
    });
    RulesSpec {
        status,
        status_pairs: status_pairs(table, sink),
        headers: table.wrote("headers").then(|| own(table.texts("headers"))),
        json: JsonSpec {
            ignore,
            numbers: table.table("numbers").map(numbers).unwrap_or_default(),
            null_is_absent: table.flag("null_is_absent").unwrap_or_default(),
            rules: table.tables("rules").iter().map(rule).collect(),
            map: table.tables("map").iter().map(change).collect(),
        },
    }
}

fn status_pairs(table: &Table, sink: &mut Sink) -> Vec<(u16, u16)> {
    let mut pairs = Vec::new();
    for pair in table.lists("status_pairs") {
        let statuses = pair.value.iter().map(|item| match item.value {
            Value::Count(status) => u16::try_from(status).unwrap_or_default(),
            _ => 0,
        });
        match statuses.collect::<Vec<_>>()[..] {
            [old, new] => pairs.push((old, new)),
            // One that is none was left out.
            _ if sink.has_error_in(&pair.spot) => {}
            ref more => {
                let message = format!("a pair has two statuses, and this one {}", more.len());
                let diagnostic = Diagnostic::error("bad-pair", &pair.spot, message);
                sink.push(diagnostic.expected("that of `old`, then that of `new`"));
            }
        }
    }
    pairs
}

fn numbers(table: &Table) -> NumberSpec {
    let text = |name| table.text(name).map(|said| said.value.to_owned());
    NumberSpec { form: text("form"), absolute: text("absolute"), relative: text("relative") }
}

fn rule(table: &Table) -> RuleSpec {
    let text = |name| table.text(name).map(|said| said.value.to_owned());
    RuleSpec {
        path: text("path").unwrap_or_default(),
        order: text("order"),
        by: own(table.texts("by")),
        numbers: numbers(table),
        null: text("null"),
        within: table.millis("within").map(|said| Duration::from_millis(said.value)),
        case: text("case"),
        whitespace: text("whitespace"),
        mask: own(table.texts("mask")),
    }
}

fn change(table: &Table) -> MapSpec {
    let text = |name| table.text(name).map(|said| said.value.to_owned());
    let values = table.pairs("values").iter().map(|(old, new)| (old.value.clone(), new.value.clone()));
    MapSpec {
        from: text("from"),
        to: text("to"),
        wrap: text("wrap"),
        unwrap: text("unwrap"),
        drop: text("drop"),
        names: text("names"),
        values: values.collect(),
        convert: text("convert"),
        at: text("at"),
    }
}

fn own(said: Vec<Said<&str>>) -> Vec<String> {
    said.into_iter().map(|said| said.value.to_owned()).collect()
}

/// Where an entry of the rules stands in the file.
enum Place {
    At(Spot),
    /// In a table of which something has been reported already, so that what follows from it is not.
    Reported,
}

/// Where an entry such as `rules[0].path` or `endpoint[1].map[0]` stands; the table that it would stand in where it was
/// left out.
fn place_of(table: &Table, entry: &str, sink: &Sink) -> Place {
    let (first, rest) = entry.split_once('.').unwrap_or((entry, ""));
    let (name, index) = first.split_once('[').unwrap_or((first, ""));
    let index: usize = index.strip_suffix(']').and_then(|index| index.parse().ok()).unwrap_or(0);
    let Some(field) = table.section.field(name) else { return Place::At(table.spot.clone()) };
    let said = match (table.said(name), field.need) {
        (Some(said), _) => said,
        (None, Need::Required) => return Place::Reported,
        (None, _) => return Place::At(table.spot.clone()),
    };
    match &said.value {
        Value::Table(inner) => place_of(inner, rest, sink),
        Value::Tables(tables) => match tables.get(index) {
            Some(inner) if is_half(inner, sink) => Place::Reported,
            Some(inner) if rest.is_empty() => Place::At(inner.spot.clone()),
            Some(inner) => place_of(inner, rest, sink),
            None => Place::At(said.spot.clone()),
        },
        Value::List(items) => Place::At(items.get(index).unwrap_or(said).spot.clone()),
        Value::Texts(pairs) => {
            Place::At(pairs.get(index).map_or(&said.spot, |(_, value)| &value.spot).clone())
        }
        _ => Place::At(said.spot.clone()),
    }
}

/// Whether a rule or a change lacks what was wrong or misspelt, so that it seems to say less than it does.
fn is_half(table: &Table, sink: &Sink) -> bool {
    let has_lists = table.section.field("rules").is_some();
    let is_wrong = table.entries.iter().any(|entry| entry.value.is_none());
    let is_missing = |field: &&Field| field.need == Need::Required && table.said(field.name).is_none();
    let lacks = table.section.fields.iter().any(|field| is_missing(&field));
    !has_lists && (is_wrong || lacks || sink.has_unknown_key_in(&table.spot))
}
