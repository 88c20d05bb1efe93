//! What people see when their file is wrong: each `broken/*.toml` with the text beside it.
//!
//! After a change that is meant, `INSTA_UPDATE=always cargo test -p config-file` writes the texts anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use config_file::{Files, Outcome};
use serde_json::Value;

struct Keys;

impl Files for Keys {
    fn read(&self, path: &str) -> Result<String, String> {
        match path {
            "keys.txt" => Ok("# testers\r\n1004\n\n  1001  \n1005\n".to_owned()),
            "short-token" => Ok("hunter2\n".to_owned()),
            _ => Err("no such file".to_owned()),
        }
    }
}

fn env(name: &str) -> Option<String> {
    match name {
        "SHOP_PORT" => Some("8080".to_owned()),
        "WORD" => Some("lots".to_owned()),
        "HOOK" => Some("hooks.example.com/a-secret".to_owned()),
        "SHORT_SECRET" => Some("correct-horse".to_owned()),
        _ => None,
    }
}

fn read(path: &Path) -> Outcome {
    let text = std::fs::read_to_string(path).unwrap();
    config_file::parse(&text, path.file_name().unwrap().to_str().unwrap(), &env, &Keys)
}

#[test]
fn each_looks_as_recorded() {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "broken" }, {
        insta::glob!("broken/*.toml", |path| {
            let outcome = read(path);
            assert!(!outcome.diagnostics.is_empty(), "nothing is wrong with {}", path.display());
            assert_eq!(outcome.checked.is_none(), outcome.errors() > 0, "{}", path.display());
            insta::assert_snapshot!("shown", outcome.render(false));
        });
    });
}

#[test]
fn programs_get_the_same_as_json() {
    let outcome = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken/many-of-all-kinds.toml"));
    let text = serde_json::to_string_pretty(&sorted(&outcome.to_json())).unwrap();
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "broken" }, {
        insta::assert_snapshot!("json", text);
    });
}

#[test]
fn colour_only_adds_escapes() {
    for name in ["many-of-all-kinds", "escapes", "tie"] {
        let outcome = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/broken/{name}.toml")));
        let (plain, coloured) = (outcome.render(false), outcome.render(true));
        assert!(!plain.contains('\u{1b}'), "{plain}");
        assert_eq!(without_escapes(&coloured), plain);
    }
}

#[test]
fn every_code_has_its_example() {
    let shown: String = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "snap"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let mut codes = Vec::new();
    for source in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        for call in ["Diagnostic::error(", "Diagnostic::warning(", "self.bad("] {
            let literals = source.split(call).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
            codes.extend(literals.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
        }
    }
    assert!(codes.len() > 40, "{codes:?}");
    let missing: Vec<_> = codes.iter().filter(|code| !shown.contains(&format!("[{code}]"))).collect();
    assert!(missing.is_empty(), "no example shows {missing:?}");
}

fn sources(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(
            |path| if path.is_dir() { sources(&path) } else { vec![std::fs::read_to_string(path).unwrap()] },
        )
        .collect()
}

/// The same with its keys by the alphabet, whatever order the JSON library keeps.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let entries: BTreeMap<_, _> =
                object.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

fn without_escapes(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}
