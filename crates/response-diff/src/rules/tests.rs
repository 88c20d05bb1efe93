use std::time::Duration;

use super::*;

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn ignoring(list: &[&str]) -> RulesSpec {
    RulesSpec { json: JsonSpec { ignore: texts(list), ..JsonSpec::default() }, ..RulesSpec::default() }
}

fn rule(path: &str) -> RuleSpec {
    RuleSpec { path: path.to_owned(), ..RuleSpec::default() }
}

fn with_rules(rules: Vec<RuleSpec>) -> RulesSpec {
    RulesSpec { json: JsonSpec { rules, ..JsonSpec::default() }, ..RulesSpec::default() }
}

#[test]
fn statuses() {
    let differs = |spec: &RulesSpec, old, new| {
        let mut findings = Findings::new(&crate::Limits::default());
        Rules::compile(spec).unwrap().compare_status(old, new, &mut findings);
        findings.len() > 0
    };
    let exact = RulesSpec::default();
    let class = RulesSpec { status: Some(StatusRule::Class), ..RulesSpec::default() };
    let pairs = RulesSpec { status_pairs: vec![(201, 200), (404, 410)], ..RulesSpec::default() };
    for (spec, old, new, expected) in [
        (&exact, 200, 200, false),
        (&exact, 200, 201, true),
        (&class, 200, 201, false),
        (&class, 200, 301, true),
        (&class, 299, 300, true),
        (&pairs, 201, 200, false),
        (&pairs, 404, 410, false),
        // A pair has a direction.
        (&pairs, 200, 201, true),
        (&pairs, 202, 200, true),
    ] {
        assert_eq!(differs(spec, old, new), expected, "{spec:?} {old} {new}");
    }
}

#[test]
fn what_is_wrong_is_said_by_entry() {
    let mut spec = ignoring(&["$.a", "header:date", "date", "$.[", "header:a b", "trailer:", "header:x:y"]);
    spec.headers = Some(texts(&["x-*", "bad name", "", "*"]));
    spec.status_pairs = vec![(201, 200), (200, 99), (600, 200)];
    spec.json.rules = vec![
        RuleSpec { case: Some("ignore".to_owned()), ..rule("header:location") },
        RuleSpec { mask: texts(&["["]), ..rule("body") },
        RuleSpec { within: Some(Duration::ZERO), ..rule("$.[") },
        RuleSpec { order: Some("ignore".to_owned()), by: texts(&["id"]), ..rule("body") },
        rule("trailer:x"),
        RuleSpec { case: Some("ignore".to_owned()), ..rule("status") },
    ];
    let mut errors = Rules::compile(&spec).unwrap_err();
    errors.sort_by(|one, other| one.entry.cmp(&other.entry));
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_is_wrong_at_an_endpoint_is_said_once() {
    let spec = RuleSetSpec {
        rules: ignoring(&["$.fine"]),
        endpoints: vec![
            EndpointSpec { path: "/orders/{id}".to_owned(), rules: ignoring(&["$.fine", "nowhere"]) },
            EndpointSpec { path: "orders".to_owned(), rules: ignoring(&["$.["]) },
        ],
    };
    let errors = RuleSet::compile(&spec).unwrap_err();
    let entries: Vec<&str> = errors.iter().map(|error| error.entry.as_str()).collect();
    assert_eq!(entries, ["endpoint[0].ignore[1]", "endpoint[1].path", "endpoint[1].ignore[0]"]);
}

#[test]
fn texts_have_rules_by_place() {
    let rules = Rules::compile(&with_rules(vec![
        RuleSpec { mask: texts(&["^https?://[^/]+"]), ..rule("header:location") },
        RuleSpec { within: Some(Duration::from_secs(2)), ..rule("header:*-modified") },
        RuleSpec { case: Some("ignore".to_owned()), ..rule("header:*") },
        RuleSpec { whitespace: Some("collapse".to_owned()), ..rule("body") },
    ]))
    .unwrap();
    for (place, old, new, same) in [
        ("header:location", "http://a/x", "https://b:8080/x", true),
        ("header:location", "http://a/x", "https://b:8080/y", false),
        // Each option is the first rule's that has it.
        ("header:location", "http://a/x", "https://b:8080/X", true),
        ("header:last-modified", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:39 GMT", true),
        ("header:last-modified", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:40 GMT", false),
        ("header:x", "a", "A", true),
        ("trailer:x", "a", "A", false),
        ("body", "a  b", "a\nb", true),
        ("body", "a", "A", false),
    ] {
        assert_eq!(rules.is_same_text(place, old, new), same, "{place} {old} {new}");
    }
    assert!(rules.has_text_rule("body") && !rules.has_text_rule("trailer:x"));
    assert_eq!(rules.normal_text("body")(" a \t b "), "a b");
    assert_eq!(rules.normal_text("trailer:x")(" a "), " a ");
}

#[test]
fn the_endpoint_that_says_the_most_of_a_path_counts() {
    let endpoint = |path: &str, status| EndpointSpec {
        path: path.to_owned(),
        rules: RulesSpec { status: Some(status), ..RulesSpec::default() },
    };
    let set = RuleSet::compile(&RuleSetSpec {
        rules: RulesSpec { status_pairs: vec![(1_00, 500)], ..RulesSpec::default() },
        endpoints: vec![
            endpoint("/*", StatusRule::Class),
            endpoint("/orders/{id}", StatusRule::Class),
            endpoint("/orders/latest", StatusRule::Exact),
        ],
    })
    .unwrap();
    for (path, status) in [
        ("/orders/latest", StatusRule::Exact),
        ("/orders/latest?x=1", StatusRule::Exact),
        ("/orders/7", StatusRule::Class),
        ("/orders/7?a=/b", StatusRule::Class),
        ("/elsewhere", StatusRule::Class),
    ] {
        let rules = set.for_path(path);
        assert_eq!(rules.status, status, "{path}");
        assert!(rules.status_pairs.contains(&(100, 500)), "{path}");
    }
    assert_eq!(set.endpoints().collect::<Vec<_>>(), ["/orders/latest", "/orders/{id}", "/*"]);
    assert_eq!(RuleSet::default().for_path("/orders/7").status, StatusRule::Exact);
}

#[test]
fn an_endpoint_adds_to_what_holds_for_all() {
    let all = RulesSpec {
        status: Some(StatusRule::Class),
        status_pairs: vec![(404, 200)],
        headers: Some(texts(&["location"])),
        json: JsonSpec {
            ignore: texts(&["$.all"]),
            null_is_absent: true,
            rules: vec![rule("$.all")],
            ..JsonSpec::default()
        },
    };
    let mut own = ignoring(&["$.own"]);
    own.json.rules = vec![rule("$.own")];
    own.json.numbers.absolute = Some("1".to_owned());
    let both = own.over(&all);
    assert_eq!(both.json.ignore, ["$.own", "$.all"]);
    assert_eq!(both.json.rules, [rule("$.own"), rule("$.all")]);
    assert_eq!((both.status, both.headers, both.json.null_is_absent), (all.status, all.headers, true));
    assert_eq!(both.json.numbers.absolute.as_deref(), Some("1"));
    let replacing =
        RulesSpec { status: Some(StatusRule::Exact), headers: Some(Vec::new()), ..RulesSpec::default() };
    let both = replacing.over(&RulesSpec { headers: Some(texts(&["a"])), ..RulesSpec::default() });
    assert_eq!((both.status, both.headers), (Some(StatusRule::Exact), Some(Vec::new())));
}

#[test]
fn two_endpoints_for_the_same_paths_are_refused() {
    let endpoint = |path: &str| EndpointSpec { path: path.to_owned(), rules: RulesSpec::default() };
    for (one, other, is_same) in [
        ("/a/{id}", "/a/{name}", true),
        ("/a/b", "/a/%62", true),
        ("/a/*", "/a/*", true),
        ("/a/{id}", "/a/*", false),
        ("/a/{id}", "/a/b", false),
    ] {
        let spec = RuleSetSpec {
            rules: RulesSpec::default(),
            endpoints: vec![endpoint(one), endpoint("/else"), endpoint(other)],
        };
        let entries = match RuleSet::compile(&spec) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.into_iter().map(|error| error.entry).collect(),
        };
        let expected: &[&str] = if is_same { &["endpoint[2].path"] } else { &[] };
        assert_eq!(entries, expected, "{one} {other}");
    }
}
