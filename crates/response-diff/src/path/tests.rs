use super::{PathSet, Query, Step, concrete, normalised};
use crate::json::{Json, parse};
use crate::{Limits, NotCompared};
use proptest::prelude::*;
use std::fmt::Write as _;

#[test]
fn places_are_written_as_queries() {
    let cases: &[(&[Step<'_>], &str, &str)] = &[
        (&[], "$", "$"),
        (&[Step::Name("items"), Step::Index(3), Step::Name("price")], "$.items[3].price", "$.items[*].price"),
        (&[Step::Index(0), Step::Index(10)], "$[0][10]", "$[*][*]"),
        (&[Step::Name("odd name")], "$['odd name']", "$['odd name']"),
        (&[Step::Name(""), Step::Name("1a"), Step::Name("a1")], "$['']['1a'].a1", "$['']['1a'].a1"),
        (&[Step::Name("größe"), Step::Name("_x-y")], "$.größe['_x-y']", "$.größe['_x-y']"),
        (
            &[Step::Name("it's\\\"\u{1}\u{b}\n\t\r\u{8}\u{c}")],
            "$['it\\'s\\\\\"\\u0001\\u000b\\n\\t\\r\\b\\f']",
            "$['it\\'s\\\\\"\\u0001\\u000b\\n\\t\\r\\b\\f']",
        ),
    ];
    for (steps, place, of_all) in cases {
        assert_eq!(concrete(steps.iter().copied()), *place);
        assert_eq!(normalised(steps.iter().copied()), *of_all);
        assert!(Query::parse(place).is_ok(), "{place}");
        assert!(Query::parse(of_all).is_ok(), "{of_all}");
    }
}

fn document(text: &str) -> Json<'_> {
    parse(text, &Limits::default()).unwrap()
}

/// Where the queries choose, as RFC 9535's normalized paths, with the numbers of the queries.
fn places(set: &PathSet, text: &str) -> Vec<(String, Vec<u16>)> {
    let mut found = Vec::new();
    let each = set.each_chosen(&document(text), &Limits::default(), |steps, _, chosen| {
        let bracketed = steps.iter().fold("$".to_owned(), |mut path, step| {
            match step {
                Step::Index(index) => write!(path, "[{index}]").unwrap(),
                Step::Name(_) => {
                    let one = concrete([*step]);
                    match one.strip_prefix("$.") {
                        Some(name) => write!(path, "['{name}']").unwrap(),
                        None => path.push_str(&one[1..]),
                    }
                }
            }
            path
        });
        found.push((bracketed, chosen.to_vec()));
    });
    each.unwrap();
    found
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list.dedup();
    list
}

/// <https://github.com/jsonpath-standard/jsonpath-compliance-test-suite>, one case a line. A place that a query chooses
/// twice is one place here, and a set has no order.
#[test]
fn the_compliance_suite_of_rfc_9535_passes() {
    let suite = include_str!("../../tests/jsonpath/cts.json");
    let cases: serde_json::Value = serde_json::from_str(suite).unwrap();
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 703);
    let paths = |list: &serde_json::Value| {
        sorted(list.as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_owned()).collect())
    };
    let mut failed = Vec::new();
    for case in cases {
        let (name, query) = (case["name"].as_str().unwrap(), case["selector"].as_str().unwrap());
        let set = PathSet::compile(&[query]);
        let invalid = case["invalid_selector"] == true;
        let Ok(set) = set else {
            if !invalid {
                failed.push(format!("{name}: `{query}` is refused: {}", set.unwrap_err()[0].error));
            }
            continue;
        };
        if invalid {
            failed.push(format!("{name}: `{query}` is taken"));
            continue;
        }
        let found =
            sorted(places(&set, &case["document"].to_string()).into_iter().map(|(path, _)| path).collect());
        let right = match case.get("result_paths") {
            Some(only) => found == paths(only),
            None => case["results_paths"].as_array().unwrap().iter().any(|one| found == paths(one)),
        };
        if !right {
            failed.push(format!("{name}: `{query}` chooses {found:?} of {}", case["document"]));
        }
    }
    assert!(failed.is_empty(), "{} of {} fail:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

/// Table 11 of RFC 9535.
#[test]
fn comparisons_are_those_of_the_rfc() {
    let text = r#"{"obj": {"x": "y"}, "arr": [2, 3], "none": null}"#;
    let cases = [
        ("$.absent1 == $.absent2", true),
        ("$.absent1 <= $.absent2", true),
        ("$.absent == 'g'", false),
        ("$.absent1 != $.absent2", false),
        ("$.absent != 'g'", true),
        ("1 <= 2", true),
        ("1 > 2", false),
        ("13 == '13'", false),
        ("'a' <= 'b'", true),
        ("'a' > 'b'", false),
        ("$.obj == $.arr", false),
        ("$.obj != $.arr", true),
        ("$.obj == $.obj", true),
        ("$.obj != $.obj", false),
        ("$.arr == $.arr", true),
        ("$.arr != $.arr", false),
        ("$.obj == 17", false),
        ("$.obj != 17", true),
        ("$.obj <= $.arr", false),
        ("$.obj < $.arr", false),
        ("$.obj <= $.obj", true),
        ("$.arr <= $.arr", true),
        ("1 <= $.arr", false),
        ("1 >= $.arr", false),
        ("1 > $.arr", false),
        ("1 < $.arr", false),
        ("true <= true", true),
        ("true > true", false),
        // `null` is a value, and nothing is none.
        ("$.none == null", true),
        ("$.none == $.absent", false),
        ("null == $.absent", false),
        // An index counts from the end here too.
        ("$.arr[-1] == 3", true),
        ("$.arr[-3] == $.absent", true),
        // Numbers are exact, however they are written.
        ("9007199254740993 == 9007199254740992", false),
        ("0.5e-4 == 0.00005", true),
    ];
    for (test, holds) in cases {
        let set = PathSet::compile(&[format!("$[?{test}]")]).unwrap();
        assert_eq!(!places(&set, text).is_empty(), holds, "{test}");
    }
}

#[test]
fn what_is_wrong_with_a_path_is_said_precisely() {
    let texts = [
        "",
        "items",
        "$.items[",
        "$.items[1",
        "$.items[01]",
        "$.items[9007199254740992]",
        "$.odd name",
        "$.1",
        "$['open",
        "$['\\x']",
        "$['\\ud800']",
        "$[?@.a = 1]",
        "$[?@.a]x",
        "$[?@.* == 1]",
        "$[?1]",
        "$[?length(@.a)]",
        "$[?match(@.a)]",
        "$[?match(@.a, '(')]",
        "$[?match(@.a, 'x') == true]",
        "$[?lenght(@.a) == 1]",
        "$[?True]",
        "$[?count(1) == 1]",
        "$[?(@.a]",
        "$ ",
        "$..",
        "$[?((((((((((((((((((@.a))))))))))))))))))]",
    ];
    let said = texts.map(|text| format!("{text:?}: {}", PathSet::compile(&[text]).unwrap_err()[0].error));
    insta::assert_snapshot!(said.join("\n"));
    let long = format!("$.{}", "a".repeat(5000));
    assert_eq!(
        PathSet::compile(&["$.a", &long]).unwrap_err()[0].to_string(),
        "path 2: the path has 5002 bytes, more than 4096 (at byte 4096)"
    );
}

#[test]
fn each_place_knows_the_queries_that_choose_it() {
    let set = PathSet::compile(&["$", "$.a", "$..b", "$.a.*", "$.a[0]", "$..[?@ == 1]", "$.c[*].d"]).unwrap();
    let text = r#"{"a":{"b":1,"x":2},"b":[1],"c":[{"d":1},{"b":2}]}"#;
    let expected: &[(&str, &[u16])] = &[
        ("$", &[0]),
        ("$['a']", &[1]),
        ("$['a']['b']", &[2, 3, 5]),
        ("$['a']['x']", &[3]),
        ("$['b']", &[2]),
        ("$['b'][0]", &[5]),
        ("$['c'][0]['d']", &[5, 6]),
        ("$['c'][1]['b']", &[2]),
    ];
    let mut found = places(&set, text);
    found.iter_mut().for_each(|(_, chosen)| chosen.sort_unstable());
    let found: Vec<_> = found.iter().map(|(path, chosen)| (path.as_str(), chosen.as_slice())).collect();
    assert_eq!(found, expected);
}

#[test]
fn too_many_states_are_followed_one_by_one() {
    // Each pair of names at unknown depths doubles the states.
    let queries: Vec<String> = (0..40).map(|n| format!("$..a{n}..b{n}")).collect();
    let set = PathSet::compile(&queries).unwrap();
    assert!(set.states() < 4096, "{} states", set.states());
    let text = r#"{"a7":{"a9":{"b9":1,"b7":2,"b8":3}}}"#;
    let expected = [("$['a7']['a9']['b9']".to_owned(), vec![9]), ("$['a7']['a9']['b7']".to_owned(), vec![7])];
    assert_eq!(places(&set, text), expected);
    let set = PathSet::compile(&(0..200).map(|n| format!("$..x{n}")).collect::<Vec<_>>()).unwrap();
    assert!(!set.start().looks());
}

#[test]
fn queries_that_cost_too_much_stop_at_the_limit() {
    let text = format!("{}1{}", "[1,".repeat(100), "]".repeat(100));
    let limits = Limits { work: 100_000, ..Limits::default() };
    for query in ["$..[?count(@..*..*..*) > 7]", "$[?@..*[?@..*[?@..* == 1]]]", "$..[?@ == $..*]"] {
        let Ok(set) = PathSet::compile(&[query]) else { continue };
        let result = set.each_chosen(&document(&text), &limits, |_, _, _| {});
        assert_eq!(result, Err(NotCompared::Work), "{query}");
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        (-3_i64..4).prop_map(Into::into),
        "[ab]{0,2}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec(("[a-d]", inner), 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

fn query() -> impl Strategy<Value = String> {
    let comparable = prop_oneof![
        Just("@".to_owned()),
        "[a-d]".prop_map(|name| format!("@.{name}")),
        // From the end, serde_json_path finds nothing in a query that is compared.
        (0_i64..3).prop_map(|index| format!("@[{index}]")),
        Just("$.a".to_owned()),
        Just("'a'".to_owned()),
        (-2_i64..3).prop_map(|number| number.to_string()),
        Just("null".to_owned()),
        Just("length(@)".to_owned()),
        Just("count(@.*)".to_owned()),
        Just("value(@..a)".to_owned()),
    ];
    // serde_json_path has `<=` false where both sides are nothing; RFC 9535 has it true, see below.
    let operator = prop::sample::select(vec!["==", "!=", "<", ">"]);
    let test = prop_oneof![
        4 => (comparable.clone(), operator, comparable).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        1 => Just("@.a".to_owned()),
        1 => Just("!@..b".to_owned()),
        1 => Just("search(@, 'a')".to_owned()),
        1 => Just("match(@.b, 'a.')".to_owned()),
    ];
    let filter = prop::collection::vec(test, 1..3).prop_map(|tests| format!("?{}", tests.join(" && ")));
    let selector = prop_oneof![
        3 => "[a-d]".prop_map(|name| format!("'{name}'")),
        1 => Just("*".to_owned()),
        2 => (-3_i64..4).prop_map(|index| index.to_string()),
        1 => (-3_i64..4, -3_i64..4, -2_i64..3).prop_map(|(start, end, step)| format!("{start}:{end}:{step}")),
        2 => filter,
    ];
    let segment = (prop::bool::weighted(0.3), prop::collection::vec(selector, 1..3))
        .prop_map(|(deep, selectors)| format!("{}[{}]", if deep { ".." } else { "" }, selectors.join(",")));
    prop::collection::vec(segment, 0..4).prop_map(|segments| format!("${}", segments.concat()))
}

proptest! {
    #[test]
    fn it_agrees_with_another_implementation(query in query(), document in json()) {
        let theirs = serde_json_path::JsonPath::parse(&query).unwrap();
        let theirs = theirs.query_located(&document).locations().map(ToString::to_string).collect();
        let set = PathSet::compile(&[&query]).unwrap();
        let ours = places(&set, &document.to_string()).into_iter().map(|(path, _)| path).collect();
        prop_assert_eq!(sorted(ours), sorted(theirs), "{}", query);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}", path in "\\$[\\[\\]?@.*'a-c0-9:,() =!&|\\\\u-]{0,40}") {
        let _ = PathSet::compile(&[text]);
        let theirs = serde_json_path::JsonPath::parse(&path).is_ok();
        prop_assert_eq!(PathSet::compile(&[&path]).is_ok(), theirs, "{}", path);
    }

    #[test]
    fn many_at_once_choose_as_each_alone(queries in prop::collection::vec(query(), 1..6), document in json()) {
        let text = document.to_string();
        let together = places(&PathSet::compile(&queries).unwrap(), &text);
        for (number, query) in (0..).zip(&queries) {
            let alone: Vec<_> = places(&PathSet::compile(&[query]).unwrap(), &text);
            let alone: Vec<_> = alone.into_iter().map(|(path, _)| path).collect();
            let here = together.iter().filter(|(_, chosen)| chosen.contains(&number));
            prop_assert_eq!(here.map(|(path, _)| path.clone()).collect::<Vec<_>>(), alone, "{}", query);
        }
    }
}
