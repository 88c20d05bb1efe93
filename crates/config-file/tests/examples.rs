//! The example configurations, and the schema beside them.
//!
//! After a change of the schema that is meant, `UPDATE_SCHEMA=1 cargo test -p config-file` writes it anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config_file::{Files, Outcome};
use serde_json::{Value, json};

struct Beside;

impl Files for Beside {
    fn read(&self, path: &str) -> Result<String, String> {
        if path == "/etc/crossfade/token" {
            return Ok("correct-horse-battery\n".to_owned());
        }
        std::fs::read_to_string(folder().join(path)).map_err(|error| error.to_string())
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

fn examples() -> Vec<(String, String)> {
    let paths = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut examples: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    examples.sort();
    assert!(examples.len() >= 5);
    examples
}

fn parse(name: &str, text: &str) -> Outcome {
    let env = |name: &str| name.starts_with("CROSSFADE_").then(|| "correct-horse-battery-staple".to_owned());
    config_file::parse(text, name, &env, &Beside)
}

/// The file as JSON, for the schema's eyes.
fn as_json(text: &str) -> Value {
    fn convert(value: toml::Value) -> Value {
        match value {
            toml::Value::String(text) => json!(text),
            toml::Value::Integer(number) => json!(number),
            toml::Value::Float(number) => json!(number),
            toml::Value::Boolean(flag) => json!(flag),
            toml::Value::Datetime(date) => json!(date.to_string()),
            toml::Value::Array(items) => items.into_iter().map(convert).collect(),
            toml::Value::Table(table) => table.into_iter().map(|(key, item)| (key, convert(item))).collect(),
        }
    }
    convert(toml::Value::Table(text.parse().unwrap()))
}

#[test]
fn every_example_checks_clean() {
    for (name, text) in examples() {
        let outcome = parse(&name, &text);
        assert!(outcome.checked.is_some(), "{}", outcome.render(false));
        // The smallest file shows the default key and the full one every field: the checks say what there is to say.
        let expected: &[&str] = match name.as_str() {
            "minimal.toml" => &["not-sticky"],
            "full.toml" => &["replay-executes-twice", "shadow-executes-twice"],
            _ => &[],
        };
        let codes: Vec<_> = outcome.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        assert_eq!(codes, expected, "{}", outcome.render(false));
    }
}

#[test]
fn editors_find_the_schema() {
    for (name, text) in examples() {
        assert_eq!(text.lines().next(), Some("#:schema ./schema.json"), "{name}");
    }
}

#[test]
fn the_published_schema_is_the_one_of_the_reader() {
    let path = folder().join("schema.json");
    let schema = config_file::schema();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&schema).unwrap() + "\n").unwrap();
    }
    let published: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert!(published == schema, "config/schema.json is out of date");
}

#[test]
fn every_example_fits_the_schema() {
    let validator = jsonschema::draft202012::new(&config_file::schema()).unwrap();
    for (name, text) in examples() {
        let errors: Vec<_> = validator
            .iter_errors(&as_json(&text))
            .map(|error| format!("{}: {error}", error.instance_path))
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

#[test]
fn whatever_checks_clean_fits_the_schema_and_wrong_shapes_do_not() {
    let validator = jsonschema::draft202012::new(&config_file::schema()).unwrap();
    let broken = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    for path in std::fs::read_dir(broken).unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let outcome = parse("broken.toml", &text);
        if text.parse::<toml::Table>().is_err() {
            continue;
        }
        let valid = validator.is_valid(&as_json(&text));
        let shape = ["unknown-key", "not-yet", "missing-key", "wrong-type", "empty-list", "unknown-choice"];
        let wrong_shape = outcome.diagnostics.iter().any(|diagnostic| shape.contains(&diagnostic.code));
        assert!(outcome.checked.is_none() || valid, "the schema refuses {}", path.display());
        assert!(!(wrong_shape && valid), "the schema lets through {}", path.display());
    }
}

#[test]
fn the_full_example_shows_every_field() {
    let full = as_json(&std::fs::read_to_string(folder().join("full.toml")).unwrap());
    let mut shown = BTreeMap::new();
    compare(&config_file::schema(), &full, &mut shown);
    let missing: Vec<_> = shown.into_iter().filter(|(_, shown)| !shown).map(|(field, _)| field).collect();
    assert!(missing.is_empty(), "full.toml lacks {missing:?}");
}

/// Collects the properties of the schema with whether a value of the example has them. Tables of the same properties
/// are of one kind, wherever they stand: it is enough that one of them shows a field.
fn compare(schema: &Value, example: &Value, shown: &mut BTreeMap<(String, String), bool>) {
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    for schema in std::iter::once(schema).chain(alternatives) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let values = found(example, name);
            *shown.entry((schema["properties"].to_string(), name.clone())).or_default() |= !values.is_empty();
            values.iter().for_each(|value| compare(property, value, shown));
        }
        for (_, property) in schema["patternProperties"].as_object().into_iter().flatten() {
            let named = example.as_object().into_iter().flatten();
            named.for_each(|(_, value)| compare(property, value, shown));
        }
        if schema["items"].is_object() {
            compare(&schema["items"], example, shown);
        }
    }
}

/// The values of a key: of a table, or of any table in a list.
fn found(example: &Value, name: &str) -> Vec<Value> {
    match example {
        Value::Array(items) => items.iter().filter_map(|item| item.get(name)).cloned().collect(),
        table => table.get(name).into_iter().cloned().collect(),
    }
}
