//! How messages speak of the schema.

use toml::de::DeValue;

use crate::diagnostic::Spot;
use crate::fields::{Kind, Section};
use crate::nearest::one_of;
use crate::scalar;

/// What to call a table in a sentence.
pub(crate) fn describe(section: &Section, spot: &Spot) -> String {
    match section.header {
        "match" => format!("the rule `{}`", spot.path),
        "[[listener]]" => section.header.to_owned(),
        header if header.starts_with("[[") => format!("`{}`", spot.path),
        _ => format!("[{}]", spot.path),
    }
}

/// Where a key stands, as the end of a sentence about it.
pub(crate) fn place(section: &Section, spot: &Spot) -> String {
    if spot.path.is_empty() {
        "at the top level".to_owned()
    } else {
        format!("in {}", describe(section, spot))
    }
}

/// A key as people would write its value's place: a table in its brackets.
pub(crate) fn written_path(value: &DeValue<'_>, at: &Spot) -> String {
    match value {
        // Nothing in a list of tables has a header of its own.
        _ if at.path.contains("].") => at.path.clone(),
        DeValue::Table(_) => format!("[{}]", at.path),
        DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
            format!("[[{}]]", at.path)
        }
        _ => at.path.clone(),
    }
}

/// What to write when a rule is only a path, or a step only a percentage.
pub(crate) fn rule_hint(section: &Section, found: &DeValue<'_>) -> Option<String> {
    let percent = match found {
        DeValue::String(path) if section.header == "match" && path.starts_with('/') => {
            return Some(format!("write `{{ path = \"{path}\" }}`"));
        }
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        _ => return None,
    };
    (section.header == "[[migration.NAME.ramp]]").then(|| format!("write `{{ percent = {percent} }}`"))
}

/// What would have been right, as the end of "expected ...".
pub(crate) fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Count { min, max } => format!("a whole number from {min} to {max}"),
        Kind::Duration { min_ms, max_ms } => format!(
            "a duration from {} to {}, such as \"250ms\", \"2s\" or \"24h\"",
            scalar::show_duration(*min_ms),
            scalar::show_duration(*max_ms)
        ),
        Kind::Size { min, max } => {
            format!(
                "a size from {} to {}, such as \"64KiB\"",
                scalar::show_size(*min),
                scalar::show_size(*max)
            )
        }
        Kind::Share => "a number of per cent from 0 to 100, or text such as \"37.5%\"".to_owned(),
        Kind::Quantile => "a number above 0 and below 1 such as 0.95, or text such as \"p95\"".to_owned(),
        Kind::Statuses => "a status from 200 to 599, or a class of them such as \"5xx\"".to_owned(),
        Kind::Factor { max } => format!("a factor above 1x and up to {max}x, such as \"1.5x\" or \"2x\""),
        Kind::OrOff(of) => format!("{}, or `false`", expected(of)),
        Kind::Text(format) | Kind::Date(format) | Kind::Decimal(format) => format.expected.to_owned(),
        Kind::OneOrMore(of) => format!("{}, or a list of them", expected(of)),
        Kind::Choice { names, .. } => one_of(names),
        Kind::List { of, min: 0 } => format!("a list, each entry {}", expected(of)),
        Kind::List { of, .. } => format!("a list of at least one entry, each {}", expected(of)),
        Kind::Table(_) | Kind::Conditions | Kind::Texts(_) => "a table".to_owned(),
        Kind::TableOrFlag(_) => "`true`, `false` or a table".to_owned(),
        Kind::TableOr(section, main) => {
            let main = section.field(main).map(|field| expected(&field.kind)).unwrap_or_default();
            format!("{main}, or a table")
        }
        Kind::Tables { of, .. } if of.header.starts_with('[') => format!("`{}` tables", of.header),
        Kind::Tables { .. } => "a list of rules such as `[{ path = \"/*\" }]`".to_owned(),
        Kind::TablesOr { of, names } => format!("{}, or `{}` tables", one_of(names), of.header),
        Kind::Named(section) => format!("tables with names: `{}`", section.header),
    }
}

/// What people mostly mean when they write the wrong type.
pub(crate) fn hint(kind: &Kind, spot: &Spot) -> Option<String> {
    match kind {
        Kind::Duration { .. } => Some("write it with its unit and in quotes, such as \"30s\"".to_owned()),
        Kind::Factor { .. } | Kind::OrOff(Kind::Factor { .. }) => {
            Some("write it with an `x` and in quotes, such as \"2x\"".to_owned())
        }
        Kind::List { of: Kind::Count { min: 100, .. }, .. } => {
            Some("write a pair such as `[201, 200]`".to_owned())
        }
        Kind::List { of: Kind::Count { min, .. }, .. } => {
            Some(format!("write a single entry in brackets too: `[{min}]`"))
        }
        Kind::List { of: Kind::Statuses, .. } => {
            Some("write a single entry in brackets too: `[\"5xx\"]`".to_owned())
        }
        Kind::List { of: Kind::List { .. }, .. } => {
            Some("write a single pair in brackets too: `[[201, 200]]`".to_owned())
        }
        Kind::List { .. } => Some("write a single entry in brackets too: `[\"...\"]`".to_owned()),
        Kind::TablesOr { .. } => Some(format!("write `[[{}]]`", spot.path)),
        Kind::Tables { of, .. } if of.header.contains(".NAME.") => {
            Some("write a single table in brackets too: `[{ ... }]`, and `[]` for none".to_owned())
        }
        Kind::Tables { of, .. } if of.header.starts_with("[[") => Some(format!("write `{}`", of.header)),
        Kind::Tables { .. } => Some("write a single rule in brackets too".to_owned()),
        Kind::Texts(_) => Some("write `{ \"name\" = \"text\" }`".to_owned()),
        Kind::Table(_) | Kind::TableOrFlag(_) => {
            Some(format!("write `[{}]` and the fields on lines of their own", spot.path))
        }
        _ => None,
    }
}

/// What was found instead.
pub(crate) fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
