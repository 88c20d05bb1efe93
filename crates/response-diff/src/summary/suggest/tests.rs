use proptest::prelude::*;

use super::*;
use crate::Difference;
use crate::path::PathSet;
use crate::summary::endpoint::{Endpoint, Template};
use crate::summary::groups::Limits;
use crate::summary::noise::Rules;
use crate::summary::{Class, Groups, Noise};

/// Comparisons of several endpoints, and what is known of noise after them.
struct Seen {
    groups: Groups,
    noise: Noise,
}

impl Seen {
    fn new() -> Seen {
        Seen { groups: Groups::new(Limits::default()), noise: Noise::new(Rules::default()) }
    }

    /// `times` comparisons with these differences; old differs from itself in them too, or not.
    fn take(&mut self, endpoint: &str, times: u32, is_noise: bool, list: &[(&str, Kind, &str, &str)]) {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let differences: Vec<_> = list
            .iter()
            .map(|(path, kind, old, new)| Difference {
                path: (*path).to_owned(),
                at: (*path).to_owned(),
                kind: *kind,
                old: text(old),
                new: text(new),
            })
            .collect();
        let endpoint = Endpoint::named(endpoint);
        for at_ms in 0..times {
            let itself = if is_noise { differences.as_slice() } else { &[] };
            self.noise.sampled(&endpoint, &differences, true, itself);
            let _ = self.groups.record(&endpoint, Class::Mismatched, &differences, u64::from(at_ms), 0);
        }
    }

    fn suggestions(&self) -> Suggestions {
        Suggestions::of(&self.groups.list(&self.noise, None))
    }
}

/// The TOML is configuration: its paths are queries and templates. With the proposals taken for granted too.
fn check(toml: &str) {
    let uncommented: String = toml
        .lines()
        .skip_while(|line| !line.starts_with("# Not noise"))
        .skip(1)
        .map(|line| format!("{}\n", line.trim_start_matches('#')))
        .collect();
    for text in [toml, &uncommented] {
        let table: toml::Table = text.parse().unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
        let Some(migrations) = table.get("migration").and_then(toml::Value::as_table) else { continue };
        let migration = migrations.values().next().unwrap();
        let compare = migration.get("compare");
        let endpoints = compare.and_then(|compare| compare.get("endpoint")).and_then(toml::Value::as_array);
        for table in endpoints.into_iter().flatten().chain(compare).chain(migration.get("shadow")) {
            if let Some(path) = table.get("path") {
                Template::parse(path.as_str().unwrap()).unwrap();
            }
            let rules = table.get("rules").and_then(toml::Value::as_array).into_iter().flatten();
            let rules = rules.map(|rule| rule.get("path").unwrap());
            let ignored = table.get("ignore").and_then(toml::Value::as_array).into_iter().flatten();
            for path in rules.chain(ignored).map(|path| path.as_str().unwrap()) {
                let is_field = path.starts_with("header:") || path.starts_with("trailer:");
                assert!(is_field || PathSet::compile(&[path]).is_ok(), "{path}");
            }
        }
    }
}

#[test]
fn each_noise_gets_the_narrowest_rule_and_its_evidence() {
    let mut seen = Seen::new();
    let order = "GET /orders/{id}";
    seen.take(
        order,
        40,
        true,
        &[
            ("$.meta.request_id", Kind::Value, "\"a\"", "\"b\""),
            ("$.updated_at", Kind::Value, "\"2024-05-01T12:00:00Z\"", "\"2024-05-01T12:00:00.8Z\""),
            ("$.expires", Kind::Value, "1700000000", "1700100000"),
            ("$.tags", Kind::Order, "[1,2]", "[2,1]"),
            ("$.load", Kind::Value, "0.1000001", "0.1"),
            ("$.odd['na\"me']", Kind::Added, "", "1"),
            ("$.odd", Kind::Length, "", ""),
            ("$.promo", Kind::Missing, "1", ""),
            ("$.promo", Kind::Added, "", "1"),
            ("header:x-served-by", Kind::Value, "a", "b"),
            ("status", Kind::Value, "200", "503"),
            ("$.mixed", Kind::Value, "1", "2"),
        ],
    );
    seen.take(
        order,
        40,
        false,
        &[
            ("$.mixed", Kind::Type, "1", "\"1\""),
            ("$.price", Kind::Value, "1", "1.0"),
            ("$.note", Kind::Missing, "null", ""),
            ("$.name", Kind::Value, "\"Ann\"", "\"ANN\""),
            ("$.total", Kind::Value, "5", "6"),
        ],
    );
    seen.take("POST /orders/{id}", 40, true, &[("$.meta.request_id", Kind::Value, "\"a\"", "\"b\"")]);
    seen.take("GET /assets/{id}.js", 40, true, &[("header:x-served-by", Kind::Value, "a", "b")]);
    seen.take("(not found)", 40, true, &[("$.trace", Kind::Value, "1", "2")]);
    let toml = seen.suggestions().toml("checkout");
    check(&toml);
    insta::assert_snapshot!(toml);
}

#[test]
fn what_is_noise_everywhere_is_told_once() {
    let mut seen = Seen::new();
    for name in ["a", "b", "c", "d"] {
        let clock = ("$.now", Kind::Value, "1700000000", "1700000001");
        seen.take(
            &format!("GET /{name}"),
            40,
            true,
            &[("header:x-id", Kind::Value, "1", "2"), clock, ("$.x", Kind::Value, "1", "2")],
        );
    }
    // At one endpoint it differs for real.
    seen.take("GET /e", 40, false, &[("$.x", Kind::Value, "1", "2")]);
    let toml = seen.suggestions().toml("a \"name\"");
    check(&toml);
    insta::assert_snapshot!(toml);
}

#[test]
fn without_noise_there_are_no_rules() {
    let mut seen = Seen::new();
    assert_eq!(seen.suggestions(), Suggestions::default());
    seen.take("GET /", 2, false, &[("$.price", Kind::Value, "1", "1.0")]);
    // Twice is too little to propose anything.
    assert_eq!(seen.suggestions(), Suggestions::default());
    check(&seen.suggestions().toml("x"));
}

#[test]
fn endpoints_are_written_as_configuration_can() {
    for (template, expected) in [
        ("/orders/{id}", "/orders/{id}"),
        ("/orders/{order}/x", "/orders/{order}/x"),
        ("/assets/{id}.js", "/assets/{id}"),
        ("/odata/Orders({id})/Items", "/odata/{id}/Items"),
        ("/v1/{id}:cancel", "/v1/{id}"),
        ("/a/*", "/a/*"),
        ("/", "/"),
    ] {
        assert_eq!(configured(template), expected);
        assert!(Template::parse(expected).is_ok());
    }
}

proptest! {
    #[test]
    fn whatever_was_found_the_rules_are_configuration(
        found in prop::collection::vec((0_usize..4, "[a-z]{1,3}(\\.[a-z]{1,3})?|.{0,6}", 0_usize..6, any::<bool>(), 0_usize..6), 0..12),
        name in ".{0,8}",
    ) {
        let endpoints = ["GET /orders/{id}", "GET /a", "GET /b/{id}.js", "(other)"];
        let values = ["1", "1.0", "null", "\"A\"", "\"a\"", ""];
        let mut seen = Seen::new();
        for (endpoint, place, kind, is_noise, value) in &found {
            let path = crate::path::concrete([crate::path::Step::Name(place), crate::path::Step::Name("x")]);
            let one = (path.as_str(), Kind::ALL[*kind], values[*value], values[(value + 1) % 6]);
            seen.take(endpoints[*endpoint], 30, *is_noise, &[one]);
        }
        check(&seen.suggestions().toml(&name));
    }
}
