//! Whatever the text: checked values or errors, never a panic, and every message within the text.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;

use config_file::NoFiles;
use proptest::prelude::*;

fn files() -> Vec<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for folder in [here.join("tests/broken"), here.join("../../config")] {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.extension().is_some_and(|extension| extension == "toml") {
                texts.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    texts.sort();
    texts
}

/// One thing that may happen to a file on its way.
#[derive(Clone, Debug)]
enum Slip {
    Cut { at: usize, length: usize },
    Insert { at: usize, text: String },
    Repeat { at: usize, length: usize },
    SwapLines { one: usize, other: usize },
}

impl Slip {
    fn apply(&self, text: &str) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        let place = |at: usize| at % (characters.len() + 1);
        match self {
            Slip::Cut { at, length } => {
                let start = place(*at);
                let end = (start + length).min(characters.len());
                characters.drain(start..end);
            }
            Slip::Insert { at, text } => {
                let start = place(*at);
                characters.splice(start..start, text.chars());
            }
            Slip::Repeat { at, length } => {
                let start = place(*at);
                let end = (start + length).min(characters.len());
                let part = characters[start..end].to_vec();
                characters.splice(end..end, part);
            }
            Slip::SwapLines { one, other } => {
                let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
                if !lines.is_empty() {
                    let (one, other) = (one % lines.len(), other % lines.len());
                    lines.swap(one, other);
                }
                return lines.concat();
            }
        }
        characters.into_iter().collect()
    }
}

fn slip() -> impl Strategy<Value = Slip> {
    let tokens = prop::sample::select(vec![
        "\"",
        "'",
        "[",
        "]",
        "{",
        "}",
        "=",
        ",",
        ".",
        "#",
        "\n",
        "\r\n",
        "\t",
        "\u{0}",
        "\u{feff}",
        "é",
        "東",
        "${",
        "${X}",
        "$${",
        "\"\"\"",
        "[[",
        "]]",
        "5",
        "-1",
        "1e9",
        "nan",
        "true",
        "\\u001b",
        "\\",
        "percent",
        "match",
        "[migration.shop]",
        "[[upstream.a]]",
        "a.b.c = 1\n",
        "1979-05-27",
    ]);
    let token = prop_oneof![tokens.prop_map(str::to_owned), any::<char>().prop_map(String::from)];
    prop_oneof![
        (any::<usize>(), 0..40_usize).prop_map(|(at, length)| Slip::Cut { at, length }),
        (any::<usize>(), token).prop_map(|(at, text)| Slip::Insert { at, text }),
        (any::<usize>(), 0..200_usize).prop_map(|(at, length)| Slip::Repeat { at, length }),
        (any::<usize>(), any::<usize>()).prop_map(|(one, other)| Slip::SwapLines { one, other }),
    ]
}

fn holds(text: &str) {
    let outcome =
        config_file::parse(text, "test.toml", &|name| (name == "X").then(|| "é".to_owned()), &NoFiles);
    assert_eq!(outcome.checked.is_none(), outcome.errors() > 0);
    for diagnostic in &outcome.diagnostics {
        assert!(diagnostic.line >= 1 && diagnostic.column >= 1);
        assert!(text.get(diagnostic.span.clone()).is_some(), "{diagnostic:?}");
        assert!(diagnostic.labels.iter().all(|(span, _)| text.get(span.clone()).is_some()), "{diagnostic:?}");
    }
    let in_order = outcome.diagnostics.is_sorted_by_key(|diagnostic| diagnostic.span.start);
    assert!(in_order, "{}", outcome.render(false));
    assert!(outcome.render(true).lines().count() > outcome.diagnostics.len());
    assert!(!outcome.render(false).contains('\u{1b}'));
    assert!(outcome.to_json()["diagnostics"].is_array());
    if let Some(checked) = &outcome.checked {
        let snapshot =
            checked.snapshot(1, &|name| checked.migration(name).expect("it asks for its own").standing());
        assert_eq!(snapshot.entry_labels.len(), checked.entries.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files(file in any::<prop::sample::Index>(), slips in prop::collection::vec(slip(), 1..6)) {
        let files = files();
        let text = slips.iter().fold(file.get(&files).clone(), |text, slip| slip.apply(&text));
        holds(&text);
    }

    #[test]
    fn any_text(text in any::<String>()) {
        holds(&text);
    }
}

#[test]
fn deep_and_long_files() {
    holds(&"[".repeat(10_000));
    holds(&format!("a = {}", "[".repeat(10_000)));
    holds(&format!("a = {}", "{ b = ".repeat(10_000)));
    holds(&"a.".repeat(10_000));
    holds(&format!("salt = \"{}\"", "${".repeat(10_000)));
    holds(&"unknown = 1\n".repeat(200));
    let routes: String =
        (0..500).map(|n| format!("[route.r{n}]\nmatch = [{{ path = \"/r{n}/*\" }}]\nto = \"a\"\n")).collect();
    holds(&format!(
        "[[listener]]\nlisten = \"127.0.0.1:0\"\n[upstream.a]\nendpoints = [\"http://a\"]\n{routes}"
    ));
}
