use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::answer::{Answer, Body, Field};
use crate::json::{JsonSpec, RuleSpec};
use crate::summary::endpoint::{Endpoint, Template};
use crate::summary::groups::Limits;
use crate::summary::noise::Rules;
use crate::summary::{Class, Groups, Level, Noise};
use crate::{Comparison, Difference, EndpointSpec, RuleSet, RuleSetSpec, RulesSpec};

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
                extent: 1,
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

/// The rules that the TOML says, as configuration would read them.
fn rules_of(toml: &str) -> RuleSetSpec {
    let table: toml::Table = toml.parse().unwrap_or_else(|wrong| panic!("{wrong}\n{toml}"));
    let migration = table.get("migration").and_then(|all| all.as_table()?.values().next()).cloned();
    let migration = migration.unwrap_or(toml::Value::Table(toml::Table::new()));
    let list = |table: Option<&toml::Value>, name: &str| {
        table.and_then(|table| table.get(name)?.as_array()).cloned().unwrap_or_default()
    };
    let spec = |compare: Option<&toml::Value>, ignore: Option<&toml::Value>| {
        let text = |value: &toml::Value| value.as_str().unwrap().replace("$${", "${");
        let ignore = list(ignore, "ignore").iter().map(text).collect();
        let rules = list(compare, "rules").iter().map(|rule| rule_of(rule.as_table().unwrap())).collect();
        RulesSpec { json: JsonSpec { ignore, rules, ..JsonSpec::default() }, ..RulesSpec::default() }
    };
    let compare = migration.get("compare");
    let endpoint = |table: &toml::Value| EndpointSpec {
        path: table.get("path").unwrap().as_str().unwrap().to_owned(),
        rules: spec(Some(table), Some(table)),
    };
    RuleSetSpec {
        rules: spec(compare, migration.get("shadow")),
        endpoints: list(compare, "endpoint").iter().map(endpoint).collect(),
    }
}

fn rule_of(table: &toml::Table) -> RuleSpec {
    let mut rule = RuleSpec::default();
    for (option, value) in table {
        let value = value.as_str().unwrap().replace("$${", "${");
        match option.as_str() {
            "path" => rule.path = value,
            "order" => rule.order = Some(value),
            "within" => {
                let minutes = value.strip_suffix('m').map(|minutes| minutes.parse::<u64>().unwrap() * 60);
                let seconds = || value.strip_suffix('s').unwrap().parse().unwrap();
                rule.within = Some(Duration::from_secs(minutes.unwrap_or_else(seconds)));
            }
            "relative" => rule.numbers.relative = Some(value),
            "form" => rule.numbers.form = Some(value),
            "null" => rule.null = Some(value),
            "case" => rule.case = Some(value),
            "whitespace" => rule.whitespace = Some(value),
            other => panic!("there is no option {other}"),
        }
    }
    rule
}

/// The TOML is configuration that can be compared by. So are the proposals.
fn check(toml: &str) {
    let proposals = toml.lines().skip_while(|line| !line.starts_with("# Not noise")).skip(1);
    let uncommented: String = proposals.map(|line| format!("{}\n", line.trim_start_matches('#'))).collect();
    for text in [toml, &uncommented] {
        if let Err(wrong) = RuleSet::compile(&rules_of(text)) {
            panic!("{wrong:?}\n{text}");
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
    let toml = seen.suggestions().toml("checkout", &RuleSet::default());
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
    let toml = seen.suggestions().toml("a \"name\"", &RuleSet::default());
    check(&toml);
    insta::assert_snapshot!(toml);
}

#[test]
fn a_table_that_the_file_has_is_not_written_twice() {
    let mut seen = Seen::new();
    seen.take("GET /orders/{id}", 40, true, &[("$.at", Kind::Value, "\"a\"", "\"b\"")]);
    seen.take("GET /carts/{id}", 40, true, &[("$.at", Kind::Value, "\"a\"", "\"b\"")]);
    let file = "[[migration.shop.compare.endpoint]]\npath = \"/orders/{order}\"\nignore = [\"$.eta\"]\n";
    let toml = seen.suggestions().toml("shop", &RuleSet::compile(&rules_of(file)).unwrap());
    insta::assert_snapshot!(toml);
    // Pasted behind it, both tables hold.
    let both = RuleSet::compile(&rules_of(&format!("{file}{toml}"))).unwrap();
    assert_eq!(both.endpoints().collect::<Vec<_>>().len(), 2);
}

#[test]
fn without_noise_there_are_no_rules() {
    let mut seen = Seen::new();
    assert_eq!(seen.suggestions(), Suggestions::default());
    seen.take("GET /", 2, false, &[("$.price", Kind::Value, "1", "1.0")]);
    // Twice is too little to propose anything.
    assert_eq!(seen.suggestions(), Suggestions::default());
    check(&seen.suggestions().toml("x", &RuleSet::default()));
}

#[test]
fn a_place_that_is_noise_only_where_little_differs_gets_no_rule() {
    let mut seen = Seen::new();
    let endpoint = Endpoint::named("GET /list");
    let one = |index: u32| Difference {
        path: "$.xs[*].v".to_owned(),
        at: format!("$.xs[{index}].v"),
        kind: Kind::Value,
        old: Some("1".to_owned()),
        new: Some("2".to_owned()),
        extent: 1,
    };
    for at_ms in 0..40_u64 {
        let both = [one(0), one(1)];
        seen.noise.sampled(&endpoint, &both, true, &both[..1]);
        let _ = seen.groups.record(
            &endpoint,
            Class::Mismatched,
            if at_ms % 2 == 0 { &both[..1] } else { &both },
            at_ms,
            0,
        );
    }
    seen.take("GET /page", 40, true, &[("body", Kind::Value, "<b>1</b>", "<b>2</b>")]);
    let groups = seen.groups.list(&seen.noise, None);
    assert_eq!((groups[0].count, groups[0].reaching, groups[0].knowledge.level), (40, 20, Level::of(2)));
    let toml = seen.suggestions().toml("shop", &RuleSet::default());
    assert!(rules_of(&toml).endpoints.is_empty(), "{toml}");
    insta::assert_snapshot!(toml);
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

/// An answer of which much varies: `number` is what varies it, `total` what a client looks for.
fn varied(number: u32, total: u32) -> String {
    let tags = if number.is_multiple_of(2) { r#"["a","b","c"]"# } else { r#"["c","a","b"]"# };
    let promo = if number.is_multiple_of(3) { r#","promo":null"# } else { "" };
    let items = format!(r#"[{{"sku":1,"trace":"t{number}"}},{{"sku":2,"trace":"u{number}"}}]"#);
    let load = 0.5 + f64::from(number % 5) * 1e-7;
    format!(
        r#"{{"id":7,"total":{total},"at":"2024-05-01T12:00:0{}Z","tags":{tags},"load":{load},"items":{items}{promo}}}"#,
        number % 4
    )
}

#[test]
fn the_rules_make_matches_of_noise_and_of_nothing_else() {
    let number =
        |number: u32| [("content-type", "application/json".to_owned()), ("x-id", format!("r-{number}"))];
    let compared = |rules: &RuleSet, old: u32, new: u32, totals: (u32, u32)| {
        let (bodies, fields) = ([varied(old, totals.0), varied(new, totals.1)], [number(old), number(new)]);
        let answer = |side: usize| Answer {
            status: 200,
            headers: fields[side]
                .iter()
                .map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() })
                .collect(),
            trailers: Vec::new(),
            body: Body::Whole(bodies[side].as_bytes()),
        };
        match crate::compare(&answer(0), &answer(1), rules.for_path("/orders/7"), &crate::Limits::default()) {
            Comparison::Match => Vec::new(),
            Comparison::Mismatch(differences) => differences,
            Comparison::NotCompared(why) => panic!("{why}"),
        }
    };
    let none = RuleSet::compile(&RuleSetSpec::default()).unwrap();
    let (mut seen, endpoint) = (Seen::new(), Endpoint::named("GET /orders/{id}"));
    for at in 0..3_000_u32 {
        // Numbers that have nothing to do with each other.
        let drawn = |of: u32| crate::summary::groups::mixed(u64::from(at), u64::from(of)) >> 40;
        let [served, second, new] = [0, 1, 2].map(|of| u32::try_from(drawn(of)).unwrap());
        let old_new = compared(&none, served, new, (5, 5));
        let old_old = compared(&none, served, second, (5, 5));
        seen.noise.sampled(&endpoint, &old_new, true, &old_old);
        let class = seen.noise.judge(&endpoint, &old_new, true).class;
        let _ = seen.groups.record(&endpoint, class, &old_new, u64::from(at), 0);
    }
    let toml = seen.suggestions().toml("shop", &RuleSet::default());
    insta::assert_snapshot!(toml);
    let rules = RuleSet::compile(&rules_of(&toml)).unwrap();
    for at in 0..100 {
        assert_eq!(compared(&rules, at, at * 7 + 3, (5, 5)), [], "{at}");
        assert_eq!(compared(&rules, at, at * 7 + 3, (5, 6)).len(), 1, "{at}");
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
        check(&seen.suggestions().toml(&name, &RuleSet::default()));
    }
}
