//! The JSON Schema of the file, for editors.

use serde_json::{Map, Value, json};
use toml::de::DeValue;

use crate::NAME_PATTERN;
use crate::fields::{Field, Kind, Need, ROOT, Section};

/// The JSON Schema (2020-12) of a configuration file.
///
/// It is made from the fields that the reader itself works from. What it cannot say, such as that a name must be that
/// of an upstream, the checks say.
#[must_use]
pub fn schema() -> Value {
    let mut schema = section(&ROOT);
    if let Value::Object(object) = &mut schema {
        object.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        object.insert("title".to_owned(), json!("crossfade"));
    }
    schema
}

fn section(section: &Section) -> Value {
    let properties: Map<String, Value> =
        section.fields.iter().map(|field| (field.name.to_owned(), property(field))).collect();
    let required = section.fields.iter().filter(|field| field.need == Need::Required).map(|field| field.name);
    json!({
        "type": "object",
        "description": section.doc,
        "properties": properties,
        "required": required.collect::<Vec<_>>(),
        "additionalProperties": false,
    })
}

fn property(field: &Field) -> Value {
    let mut schema = kind(&field.kind);
    if let Value::Object(object) = &mut schema {
        object.insert("description".to_owned(), json!(field.doc));
        if let Need::Default(written) = field.need
            && let Ok(value) = DeValue::parse(written)
        {
            object.insert("default".to_owned(), plain(value.get_ref()));
        }
    }
    schema
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Flag => json!({ "anyOf": [{ "type": "boolean" }, variable()] }),
        Kind::Count { min, max } => {
            json!({ "anyOf": [{ "type": "integer", "minimum": min, "maximum": max }, variable()] })
        }
        Kind::Duration { .. } => text("^[0-9]+(ms|s|m|h|d)$"),
        Kind::Size { min, max } => {
            let number = json!({ "type": "integer", "minimum": min, "maximum": max });
            json!({ "anyOf": [number, text("^[0-9]+(B|KiB|MiB|GiB)$")] })
        }
        Kind::Share => {
            let number = json!({ "type": "number", "minimum": 0, "maximum": 100 });
            json!({ "anyOf": [number, text("^[0-9]+(\\.[0-9]+)?%?$")] })
        }
        Kind::Quantile => {
            let number = json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1 });
            json!({ "anyOf": [number, text("^p?[0-9]+(\\.[0-9]+)?$")] })
        }
        Kind::Statuses => {
            let number = json!({ "type": "integer", "minimum": 200, "maximum": 599 });
            json!({ "anyOf": [number, text("^[2-5]([0-9][0-9]|xx)$")] })
        }
        Kind::Factor { .. } => text("^[0-9]+(\\.[0-9]+)?x$"),
        Kind::OrOff(of) => json!({ "anyOf": [{ "const": false }, self::kind(of)] }),
        Kind::Text(format) | Kind::Date(format) => text(format.pattern),
        Kind::Decimal(format) => {
            json!({ "anyOf": [{ "type": "number", "minimum": 0 }, text(format.pattern)] })
        }
        Kind::Choice { names, .. } => json!({ "anyOf": [{ "enum": names }, variable()] }),
        Kind::List { of, min } => json!({ "type": "array", "items": self::kind(of), "minItems": min }),
        Kind::OneOrMore(of) => {
            let list = json!({ "type": "array", "items": self::kind(of), "minItems": 1 });
            json!({ "anyOf": [self::kind(of), list] })
        }
        Kind::Table(of) => section(of),
        Kind::TableOr(of, main) => {
            let short = of.field(main).map(|field| self::kind(&field.kind));
            json!({ "anyOf": [short, section(of)] })
        }
        Kind::TableOrFlag(of) => json!({ "anyOf": [{ "type": "boolean" }, variable(), section(of)] }),
        Kind::Tables { of, min } => json!({ "type": "array", "items": section(of), "minItems": min }),
        Kind::TablesOr { of, names } => {
            let tables = json!({ "type": "array", "items": section(of), "minItems": 1 });
            json!({ "anyOf": [{ "enum": names }, variable(), tables] })
        }
        Kind::Named(of) => json!({
            "type": "object",
            "patternProperties": { NAME_PATTERN: section(of) },
            "additionalProperties": false,
        }),
        Kind::Conditions => json!({
            "type": "object",
            "additionalProperties": { "anyOf": [{ "type": "string" }, { "const": true }] },
        }),
        Kind::Texts(format) => json!({ "type": "object", "additionalProperties": text(format.pattern) }),
    }
}

/// Text of this pattern, or with a variable in it, of which no pattern knows what it stands for.
fn text(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": format!("({pattern})|{VARIABLE}") })
}

fn variable() -> Value {
    json!({ "type": "string", "pattern": VARIABLE })
}

const VARIABLE: &str = "\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}";

/// A default as JSON.
fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Boolean(flag) => json!(flag),
        DeValue::Integer(number) => json!(number.as_str().parse::<i64>().unwrap_or_default()),
        DeValue::Float(number) => json!(number.as_str().parse::<f64>().unwrap_or_default()),
        DeValue::Datetime(date) => json!(date.to_string()),
        DeValue::Array(items) => items.iter().map(|item| plain(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let entries =
                table.iter().map(|(key, value)| (key.get_ref().to_string(), plain(value.get_ref())));
            Value::Object(entries.collect())
        }
    }
}
