//! Rules as a case writes them, as the engine's specification takes them.

use std::time::Duration;

use response_diff::json::{JsonSpec, MapSpec, NumberSpec, RuleSpec};
use response_diff::{EndpointSpec, Limits, RuleSet, RuleSetSpec, RulesSpec, StatusRule};
use toml::{Table, Value};

use crate::case::Case;

/// The rules of a case, and the limits that hold for it.
pub(crate) fn of(case: &Case) -> (RuleSet, Limits) {
    let written: Table = case.rules.parse().unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let mut limits = Limits::default();
    limits.depth = case.limits.depth.unwrap_or(limits.depth);
    limits.nodes = case.limits.nodes.unwrap_or(limits.nodes);
    let mut spec = RuleSetSpec::default();
    for (section, table) in &written {
        let table = table.as_table().expect("a section is a table");
        match section.as_str() {
            "shadow" => {
                assert!(
                    table.keys().all(|key| key == "ignore"),
                    "{}: only ignore is for comparing",
                    case.name
                );
                spec.rules.json.ignore = texts(&table["ignore"]);
            }
            "compare" => compare(table, &mut spec, &mut limits),
            other => panic!("{}: no such section: {other}", case.name),
        }
    }
    let rules = RuleSet::compile(&spec).unwrap_or_else(|errors| panic!("{}: {errors:?}", case.name));
    (rules, limits)
}

fn compare(table: &Table, spec: &mut RuleSetSpec, limits: &mut Limits) {
    for (key, value) in table {
        match key.as_str() {
            "endpoint" => spec.endpoints = tables(value).map(endpoint).collect(),
            "decoded_limit" => {
                let mebibytes =
                    text(value).strip_suffix("MiB").and_then(|number| number.parse::<usize>().ok());
                limits.decoded_bytes = mebibytes.expect("limits of the corpus are in MiB") << 20;
            }
            _ => rule(key, value, &mut spec.rules),
        }
    }
}

fn endpoint(table: &Table) -> EndpointSpec {
    let mut rules = RulesSpec::default();
    for (key, value) in table.iter().filter(|(key, _)| *key != "path") {
        rule(key, value, &mut rules);
    }
    EndpointSpec { path: text(&table["path"]), rules }
}

fn rule(key: &str, value: &Value, rules: &mut RulesSpec) {
    let json: &mut JsonSpec = &mut rules.json;
    match key {
        "ignore" => json.ignore = texts(value),
        "status" => {
            rules.status = Some(match text(value).as_str() {
                "exact" => StatusRule::Exact,
                "class" => StatusRule::Class,
                other => panic!("no such status rule: {other}"),
            });
        }
        "status_pairs" => {
            let status = |value: &Value| value.as_integer().and_then(|code| u16::try_from(code).ok());
            let pairs = value.as_array().expect("pairs are a list").iter();
            rules.status_pairs = pairs
                .map(|pair| (status(&pair[0]).expect("a status"), status(&pair[1]).expect("a status")))
                .collect();
        }
        "headers" => rules.headers = Some(texts(value)),
        "numbers" => json.numbers = numbers(value.as_table().expect("numbers are a table")),
        "null_is_absent" => json.null_is_absent = value.as_bool().expect("true or false"),
        "rules" => json.rules = tables(value).map(value_rule).collect(),
        "map" => json.map = tables(value).map(change).collect(),
        other => panic!("no such rule: {other}"),
    }
}

fn numbers(table: &Table) -> NumberSpec {
    let said = |key: &str| table.get(key).map(text);
    NumberSpec { form: said("form"), absolute: said("absolute"), relative: said("relative") }
}

fn value_rule(table: &Table) -> RuleSpec {
    let said = |key: &str| table.get(key).map(text);
    let list = |key: &str| table.get(key).map(texts).unwrap_or_default();
    let within = said("within").map(|window| {
        let (number, unit) = window.split_at(window.len() - 1);
        let number = number.parse().expect("a window has a number");
        Duration::from_secs(if unit == "h" { 3600 * number } else { number })
    });
    RuleSpec {
        path: text(&table["path"]),
        order: said("order"),
        by: list("by"),
        numbers: numbers(table),
        null: said("null"),
        within,
        case: said("case"),
        whitespace: said("whitespace"),
        mask: list("mask"),
    }
}

fn change(table: &Table) -> MapSpec {
    let said = |key: &str| table.get(key).map(text);
    MapSpec {
        from: said("from"),
        to: said("to"),
        wrap: said("wrap"),
        unwrap: said("unwrap"),
        drop: said("drop"),
        names: said("names"),
        values: table.get("values").map(words).unwrap_or_default(),
        convert: said("convert"),
        at: said("at"),
    }
}

/// Old's words and new's for them.
fn words(value: &Value) -> Vec<(String, String)> {
    let pairs = value.as_array().expect("a list of pairs").iter();
    pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

fn tables(value: &Value) -> impl Iterator<Item = &Table> {
    value.as_array().expect("a list").iter().map(|table| table.as_table().expect("a table"))
}

/// One text, or a list of them.
fn texts(value: &Value) -> Vec<String> {
    value.as_array().map_or_else(|| vec![text(value)], |list| list.iter().map(text).collect())
}

/// A text, or a number as it would be written.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
