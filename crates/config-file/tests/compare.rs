//! How a migration's answers are compared, from the file to the rules that compare them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use config_file::{CompareConfig, NoFiles};
use response_diff::{Answer, Body, Comparison, Field, compare};

fn config(sections: &str) -> CompareConfig {
    let text = format!(
        r#"
[[listener]]
listen = "0.0.0.0:8080"
[upstream.old]
endpoints = ["http://10.0.0.11:8080"]
[upstream.new]
endpoints = ["http://10.0.0.21:8080"]
[migration.shop]
match = [{{ path = "/*" }}]
old = "old"
new = "new"
key = ["header:x-user-id"]
{sections}"#
    );
    let outcome = config_file::parse(&text, "crossfade.toml", &|_| None, &NoFiles);
    let checked = outcome.checked.as_ref().unwrap_or_else(|| panic!("{}", outcome.render(false)));
    checked.migrations[0].compare.clone()
}

/// An answer as `status name: value, ... body`.
fn answer<'a>(status: u16, fields: &[(&'a str, &'a str)], body: &'a str) -> Answer<'a> {
    let headers = fields.iter().map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() });
    Answer { status, headers: headers.collect(), trailers: Vec::new(), body: Body::Whole(body.as_bytes()) }
}

fn places(config: &CompareConfig, path: &str, old: &Answer<'_>, new: &Answer<'_>) -> Vec<String> {
    match compare(old, new, config.rules.for_path(path), &config.limits) {
        Comparison::Match => Vec::new(),
        Comparison::Mismatch(list) => list.into_iter().map(|difference| difference.path).collect(),
        Comparison::NotCompared(why) => panic!("not compared: {why}"),
    }
}

#[test]
fn without_a_word_all_counts() {
    let config = config("");
    assert_eq!((config.capture_bytes, config.limits.decoded_bytes), (256 << 10, 4 << 20));
    let old = answer(201, &[("date", "a"), ("x-a", "1")], r#"{"a":1,"b":null}"#);
    let new = answer(200, &[("date", "b"), ("x-a", "2")], r#"{"a":1.0}"#);
    let mut found = places(&config, "/", &old, &new);
    found.sort();
    assert_eq!(found, ["$.a", "$.b", "header:x-a", "status"]);
}

#[test]
fn limits_are_taken() {
    let config = config("[migration.shop.compare]\ncapture_limit = \"1MiB\"\ndecoded_limit = \"8MiB\"");
    assert_eq!((config.capture_bytes, config.limits.decoded_bytes), (1 << 20, 8 << 20));
}

#[test]
fn each_rule_does_what_it_says() {
    let json = [("content-type", "application/json")];
    let base = answer(200, &json, "{}");
    let with = |body| answer(200, &json, body);
    for (sections, old, new) in [
        ("[migration.shop.compare]\nstatus = \"class\"", answer(201, &json, "{}"), base.clone()),
        ("[migration.shop.compare]\nstatus_pairs = [[404, 200]]", answer(404, &json, "{}"), base.clone()),
        (
            "[migration.shop.compare]\nheaders = []",
            answer(200, &[("x-a", "1")], "{}"),
            answer(200, &[], "{}"),
        ),
        ("[migration.shop.shadow]\nignore = [\"header:content-*\"]", answer(200, &[], "{}"), base.clone()),
        ("[migration.shop.shadow]\nignore = [\"$.a\"]", with(r#"{"a":1}"#), base.clone()),
        ("[migration.shop.compare]\nnumbers = { form = \"loose\" }", with("[1]"), with("[1.0]")),
        ("[migration.shop.compare]\nnumbers = { absolute = 0.5 }", with("[1]"), with("[1.5]")),
        ("[migration.shop.compare]\nnumbers = { relative = \"10%\" }", with("[100]"), with("[105]")),
        ("[migration.shop.compare]\nnull_is_absent = true", with(r#"{"a":null}"#), base.clone()),
        (
            "[migration.shop.compare]\nrules = [{ path = \"$\", order = \"ignore\" }]",
            with("[1,2]"),
            with("[2,1]"),
        ),
        (
            "[migration.shop.compare]\nrules = [{ path = \"$\", by = \"id\" }]",
            with(r#"[{"id":1,"a":1},{"id":2}]"#),
            with(r#"[{"id":2},{"id":1,"a":1}]"#),
        ),
        (
            "[[migration.shop.compare.rules]]\npath = \"$.t\"\nwithin = \"2s\"",
            with(r#"{"t":"2026-01-01T00:00:00Z"}"#),
            with(r#"{"t":"2026-01-01T00:00:02Z"}"#),
        ),
        (
            "[migration.shop.compare]\nrules = [{ path = \"$[*]\", mask = [\"[0-9]+\", \"x\"], case = \"ignore\" }]",
            with(r#"["a1x"]"#),
            with(r#"["A22x"]"#),
        ),
        (
            "[migration.shop.compare]\nmap = [{ from = \"$.a\", to = \"$.b\" }, { values = { \"X\" = \"y\" }, at = \"$.b\" }]",
            with(r#"{"a":"X"}"#),
            with(r#"{"b":"y"}"#),
        ),
    ] {
        let unruled = config("");
        assert_ne!(places(&unruled, "/", &old, &new), Vec::<String>::new(), "{sections}");
        assert_eq!(places(&config(sections), "/", &old, &new), Vec::<String>::new(), "{sections}");
    }
}

#[test]
fn endpoints_have_rules_of_their_own() {
    let config = config(
        r#"
[migration.shop.shadow]
ignore = ["$.all"]
[[migration.shop.compare.endpoint]]
path = "/orders/{id}"
ignore = ["$.eta"]
status = "class"
"#,
    );
    let old = answer(200, &[], r#"{"all":1,"eta":1}"#);
    let new = answer(201, &[], r#"{"all":2,"eta":2}"#);
    assert_eq!(places(&config, "/orders/7?x=y", &old, &new), Vec::<String>::new());
    assert_eq!(places(&config, "/orders", &old, &new), ["status", "$.eta"]);
}
