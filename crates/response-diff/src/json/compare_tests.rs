use super::{JsonRules, JsonSpec, MapSpec, NumberSpec, RuleSpec, differences, parse};
use crate::{Limits, NotCompared};
use std::fmt::Write as _;
use std::time::Duration;

fn told(spec: &JsonSpec, old: &str, new: &str, limits: &Limits) -> Result<Vec<String>, NotCompared> {
    let rules = JsonRules::compile(spec).unwrap();
    let (old, new) = (parse(old, limits).unwrap(), parse(new, limits).unwrap());
    let found = differences(&old, &new, &rules, limits)?;
    Ok(found
        .into_iter()
        .map(|one| {
            let at = if one.at == one.path { String::new() } else { format!(" at {}", one.at) };
            let side = |side: Option<String>| side.unwrap_or_else(|| "-".to_owned());
            format!("{} {}: {} => {}{at}", one.path, one.kind, side(one.old), side(one.new))
        })
        .collect())
}

/// Each case with what is told of it, for a snapshot.
fn table(cases: &[(&str, JsonSpec, &str, &str)]) -> String {
    let mut out = String::new();
    for (name, spec, old, new) in cases {
        writeln!(out, "{name}\n    {old}\n    {new}").unwrap();
        let told = told(spec, old, new, &Limits::default()).unwrap();
        if told.is_empty() {
            out.push_str("  same\n");
        }
        for line in told {
            writeln!(out, "  {line}").unwrap();
        }
    }
    out
}

fn plain() -> JsonSpec {
    JsonSpec::default()
}

fn ignoring(paths: &[&str]) -> JsonSpec {
    JsonSpec { ignore: paths.iter().map(|path| (*path).to_owned()).collect(), ..plain() }
}

fn one(rule: RuleSpec) -> JsonSpec {
    JsonSpec { rules: vec![rule], ..plain() }
}

fn at(path: &str) -> RuleSpec {
    RuleSpec { path: path.to_owned(), ..RuleSpec::default() }
}

fn text(word: &str) -> Option<String> {
    Some(word.to_owned())
}

fn unordered(path: &str) -> JsonSpec {
    one(RuleSpec { order: text("ignore"), ..at(path) })
}

fn keyed(path: &str, by: &[&str]) -> JsonSpec {
    one(RuleSpec { by: by.iter().map(|field| (*field).to_owned()).collect(), ..at(path) })
}

#[test]
fn values_that_differ_are_told_by_kind() {
    let told = table(&[
        ("the same", plain(), r#"{"a":[1,"x",null,true]}"#, r#"{ "a" : [1, "x", null, true] }"#),
        (
            "members in another order",
            plain(),
            r#"{"a":1,"b":2,"c":{"d":3,"e":4}}"#,
            r#"{"c":{"e":4,"d":3},"b":2,"a":1}"#,
        ),
        ("escapes", plain(), r#"{"caf\u00e9":"\ud83d\ude00\/"}"#, r#"{"café":"😀/"}"#),
        ("missing and added", plain(), r#"{"a":1,"b":{"c":2}}"#, r#"{"a":1,"d":[3]}"#),
        ("values", plain(), r#"{"a":1,"b":"x","c":true}"#, r#"{"a":2,"b":"y","c":false}"#),
        (
            "types",
            plain(),
            r#"{"a":1,"b":"x","c":null,"d":[],"e":0}"#,
            r#"{"a":"1","b":null,"c":false,"d":{},"e":false}"#,
        ),
        ("the document itself", plain(), "1", "[1]"),
        ("null is not nothing", plain(), r#"{"a":null}"#, "{}"),
        ("names that need quotes", plain(), r#"{"odd name":{"it's":1}}"#, r#"{"odd name":{"it's":2}}"#),
        ("a name that comes twice", plain(), r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        (
            "a name that comes twice, both changed",
            plain(),
            r#"{"a":1,"b":0,"a":2}"#,
            r#"{"b":0,"a":1,"a":3}"#,
        ),
        ("the same name twice", plain(), r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#),
        ("Unicode is not normalised", plain(), "\"\u{e9}\"", "\"e\u{301}\""),
        ("long values are cut", plain(), &format!("\"{}\"", "x".repeat(300)), "[]"),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn numbers_are_exact_unless_a_rule_forgives() {
    let numbers = |form: Option<&str>, absolute: Option<&str>, relative: Option<&str>| {
        let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
        NumberSpec { form: owned(form), absolute: owned(absolute), relative: owned(relative) }
    };
    let all = |form, absolute, relative| JsonSpec { numbers: numbers(form, absolute, relative), ..plain() };
    let price = one(RuleSpec { numbers: numbers(None, Some("0.01"), None), ..at("$.price") });
    let strict = JsonSpec {
        numbers: numbers(None, Some("1"), None),
        rules: vec![
            RuleSpec { numbers: numbers(Some("exact"), None, None), ..at("$.a") },
            RuleSpec { numbers: numbers(None, Some("0.1"), None), ..at("$.*") },
        ],
        ..plain()
    };
    let told = table(&[
        ("one value", plain(), "[10.5, 1e2, 0.5e-4, -0, 1.0]", "[10.50, 100.0, 0.00005, 0, 1.00]"),
        ("an integer and a fraction", plain(), "[1, 100]", "[1.0, 1e2]"),
        ("loose", all(Some("loose"), None, None), "[1, 100]", "[1.0, 1e2]"),
        (
            "beyond floating point",
            plain(),
            "[9007199254740993, 1000000000000000000000000001]",
            "[9007199254740992, 1000000000000000000000000000]",
        ),
        ("a numeric string", all(Some("loose"), None, None), r#"{"id":17}"#, r#"{"id":"17"}"#),
        ("absolute", all(None, Some("0.001"), None), "[1, 5, 7.0001]", "[1.001, 5.0011, 7]"),
        ("relative", all(None, None, Some("1%")), "[100, 100, 0]", "[101, 102, 0.001]"),
        ("exact form with a tolerance", all(Some("exact"), Some("1"), None), "[1, 1]", "[2, 1.5]"),
        ("in one place", price, r#"{"price":9.99,"tax":9.99}"#, r#"{"price":10,"tax":10.00}"#),
        (
            "the first rule that has the option",
            strict,
            r#"{"a":1,"b":1,"c":[1]}"#,
            r#"{"a":1.05,"b":1.05,"c":[1.9]}"#,
        ),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn texts_and_times_forgive_by_rule() {
    let within =
        |path: &str, seconds| one(RuleSpec { within: Some(Duration::from_secs(seconds)), ..at(path) });
    let masked = RuleSpec { mask: vec!["[0-9a-f]{8}".to_owned()], ..at("$.*") };
    let sloppy = RuleSpec { case: text("ignore"), whitespace: text("collapse"), ..at("$.*") };
    let squeezed = RuleSpec { whitespace: text("ignore"), ..at("$.*") };
    let told = table(&[
        (
            "times within",
            within("$.*", 2),
            r#"{"a":"2024-05-01T10:00:00Z","b":1700000000}"#,
            r#"{"a":"2024-05-01T12:00:01+02:00","b":1700000002}"#,
        ),
        (
            "times beyond",
            within("$.*", 2),
            r#"{"a":"2024-05-01T10:00:00Z","b":1700000000}"#,
            r#"{"a":"2024-05-01T10:00:00+02:00","b":1700000000000}"#,
        ),
        ("a time that became a number", within("$.a", 2), r#"{"a":"1700000000"}"#, r#"{"a":1700000000}"#),
        ("no times", within("$.a", 2), r#"{"a":"now"}"#, r#"{"a":"then"}"#),
        (
            "masks",
            one(masked),
            r#"{"a":"key deadbeef","b":"deadbeef","c":"deadbee"}"#,
            r#"{"a":"key 0badcafe","b":"DEADBEEF","c":"0badcaf"}"#,
        ),
        ("case and space", one(sloppy), r#"{"a":"A  B\n","b":"ab"}"#, r#"{"a":"a b","b":"a b"}"#),
        ("no space", one(squeezed), r#"{"a":" a b\t"}"#, r#"{"a":"ab"}"#),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn null_may_be_nothing() {
    let everywhere = JsonSpec { null_is_absent: true, ..plain() };
    let here = one(RuleSpec { null: text("absent"), ..at("$.a") });
    let but_here = JsonSpec { null_is_absent: true, ..one(RuleSpec { null: text("distinct"), ..at("$.a") }) };
    let told = table(&[
        ("everywhere", everywhere.clone(), r#"{"a":null,"b":{"c":null}}"#, r#"{"b":{},"d":null}"#),
        ("null and a value", everywhere.clone(), r#"{"a":null,"b":1}"#, r#"{"a":1,"b":null}"#),
        ("elements are there", everywhere.clone(), "[null]", "[]"),
        ("elements and documents are there", everywhere.clone(), "[null]", "[1]"),
        ("a document is there", everywhere, "null", "{}"),
        ("in one place", here, r#"{"a":null,"b":null}"#, "{}"),
        ("everywhere else", but_here, r#"{"a":null,"b":null}"#, "{}"),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn ignored_places_are_left_out() {
    let old = r#"{"meta":{"at":1,"id":"x"},"items":[{"id":1,"eta":5},{"id":2,"eta":6}],"v":1}"#;
    let new = r#"{"meta":{"at":2,"id":"y"},"items":[{"id":1,"eta":7},{"id":3}],"w":2}"#;
    let told = table(&[
        ("names", ignoring(&["$.meta.at", "$.v", "$.w"]), old, new),
        ("wildcards", ignoring(&["$.meta.*", "$.items[*].eta"]), old, new),
        ("at any depth", ignoring(&["$..id", "$..eta"]), old, new),
        ("all of it", ignoring(&["$"]), old, "7"),
        ("an element", ignoring(&["$[0]"]), "[1,2,3]", "[9,2,4]"),
        ("the last element", ignoring(&["$[-1]"]), "[1,2,3]", "[1,2,4]"),
        ("a slice", ignoring(&["$[1:]"]), "[1,2,3]", "[1]"),
        (
            "a filter",
            ignoring(&["$.items[?@.type == 'ad']"]),
            r#"{"items":[{"type":"ad","n":1},{"type":"x","n":2},{"type":"x","n":3}]}"#,
            r#"{"items":[{"type":"x","n":2},{"type":"ad","n":9},{"type":"ad"},{"type":"x","n":4}]}"#,
        ),
        (
            "a filter on one side of a member",
            ignoring(&["$[?@.secret == true]"]),
            r#"{"a":{"secret":true,"x":1},"b":{"x":1}}"#,
            r#"{"a":{"x":2},"b":{"x":2}}"#,
        ),
        (
            "a filter with the document",
            ignoring(&["$.items[?@.id == $.skip]"]),
            r#"{"skip":1,"items":[{"id":1,"x":1},{"id":2,"x":1}]}"#,
            r#"{"skip":1,"items":[{"id":2,"x":1}]}"#,
        ),
        (
            "a filter on one side of what a tolerance makes the same",
            JsonSpec {
                numbers: NumberSpec { absolute: text("0.01"), ..NumberSpec::default() },
                ..ignoring(&["$[?@ < 5]"])
            },
            "[4.999, 7]",
            "[5.001, 7]",
        ),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn arrays_in_order_are_aligned() {
    let timed = |n: &[(u32, u32)]| {
        let items: Vec<String> =
            n.iter().map(|(id, at)| format!(r#"{{"id":{id},"name":"n{id}","at":{at}}}"#)).collect();
        format!("[{}]", items.join(","))
    };
    let told = table(&[
        ("one put in", plain(), "[1,2,3,4]", "[1,9,2,3,4]"),
        ("one put in at the beginning", plain(), "[1,2,3]", "[9,1,2,3]"),
        ("one taken out at the end", plain(), "[1,2,3]", "[1,2]"),
        ("some put in, one taken out", plain(), "[1,2,3,4,5,6]", "[1,8,2,3,5,6,9]"),
        ("one changed", plain(), "[1,2,3]", "[1,7,3]"),
        ("all changed", plain(), "[1,2,3]", "[4,5,6]"),
        ("two changed that look moved", plain(), "[1,5]", "[5,7]"),
        ("another order", plain(), r#"{"a":["x","y","z"]}"#, r#"{"a":["z","x","y"]}"#),
        ("two swapped", plain(), "[12.5,41.9]", "[41.9,12.5]"),
        ("another order and one changed", plain(), r#"["a","b","c","d","e"]"#, r#"["b","a","c","x","e"]"#),
        ("objects in another order", plain(), r#"[{"id":1},{"id":2}]"#, r#"[{"id":2},{"id":1}]"#),
        (
            "one changed within",
            plain(),
            r#"[{"id":1,"p":5},{"id":2,"p":5}]"#,
            r#"[{"id":1,"p":5},{"id":2,"p":6}]"#,
        ),
        (
            "all noisy, one put in",
            plain(),
            &timed(&[(1, 10), (2, 10), (3, 10)]),
            &timed(&[(9, 11), (1, 11), (2, 11), (3, 11)]),
        ),
        (
            "all noisy and ignored, one put in",
            ignoring(&["$[*].at"]),
            &timed(&[(1, 10), (2, 10), (3, 10)]),
            &timed(&[(9, 11), (1, 11), (2, 11), (3, 11)]),
        ),
        (
            "all noisy and ignored, another order",
            ignoring(&["$[*].at"]),
            &timed(&[(1, 10), (2, 10), (3, 10)]),
            &timed(&[(3, 11), (1, 11), (2, 11)]),
        ),
        (
            "all noisy, in another order",
            plain(),
            &timed(&[(1, 10), (2, 10), (3, 10)]),
            &timed(&[(2, 11), (1, 11), (3, 11)]),
        ),
        (
            "records and others, noisy, one taken out",
            plain(),
            r#"[0,{"k":"a","t":1},{"k":"b","t":1},{"k":"c","t":1},0]"#,
            r#"[1,{"k":"b","t":2},{"k":"c","t":2},1]"#,
        ),
        ("within arrays", plain(), "[[1,2],[3,4]]", "[[1,2],[3,5,4]]"),
        ("to nothing", plain(), "[1,2]", "[]"),
        (
            "a tolerance",
            JsonSpec { numbers: NumberSpec { absolute: text("0.01"), ..NumberSpec::default() }, ..plain() },
            "[1.0,2.0,3.0]",
            "[1.001,3.001]",
        ),
        ("types within", plain(), r#"[1,"a",null]"#, r#"["1","a",null]"#),
    ]);
    insta::assert_snapshot!(told);
}

/// However long the list: a page of records, each with a time of its own, and a new one at its beginning.
#[test]
fn records_are_found_again_in_long_lists() {
    let records = |from: usize, count: usize, time: usize| {
        let one =
            |id: usize| format!(r#"{{"kind":"order","at":{},"id":"o-{id}","total":"{id}.50"}}"#, time + id);
        format!("[{}]", (from..from + count).map(one).collect::<Vec<_>>().join(","))
    };
    let limits = Limits { differences: 10_000, ..Limits::default() };
    let found = told(&plain(), &records(1, 1000, 5_000_000), &records(0, 1001, 7_000_000), &limits).unwrap();
    assert_eq!(found.len(), 1001);
    assert!(found[0].starts_with("$[*] added: - =>"), "{}", found[0]);
    assert!(found[1..].iter().all(|one| one.starts_with("$[*].at value:")));
    // Where fingerprints say no more than the type, as beside a filter, what is equal and in order has not moved.
    let list = |from: usize| format!("{:?}", (from..from + 600).collect::<Vec<_>>());
    let found = told(&ignoring(&["$[?@ == 'ad']"]), &list(0), &list(1), &limits).unwrap();
    assert_eq!(found, ["$[*] missing: 0 => - at $[0]", "$[*] added: - => 600 at $[599]"]);
    let tolerant =
        JsonSpec { numbers: NumberSpec { absolute: text("0.1"), ..NumberSpec::default() }, ..plain() };
    assert_eq!(told(&tolerant, &list(0), &list(1), &limits).unwrap(), found);
}

/// Where no better word can be said, one that says so stands before what there is to say.
#[test]
fn arrays_that_have_nothing_in_common_differ_in_length() {
    let list = |from: usize, count: usize| format!("{:?}", (from..from + count).collect::<Vec<_>>());
    let limits = Limits { differences: 1000, shown: 5, ..Limits::default() };
    let found = told(&plain(), &list(0, 300), &list(1000, 600), &limits).unwrap();
    assert_eq!(found[0], "$ length: [0,1,… => [1000…");
    assert_eq!(found[1], "$[*] value: 0 => 1000 at $[0]");
    assert_eq!(found.len(), 301);
}

#[test]
fn arrays_without_order_are_multisets() {
    let close =
        JsonSpec { numbers: NumberSpec { absolute: text("0.5"), ..NumberSpec::default() }, ..unordered("$") };
    let told = table(&[
        ("the same", unordered("$.tags"), r#"{"tags":["a","b","a"]}"#, r#"{"tags":["a","a","b"]}"#),
        ("other counts", unordered("$.tags"), r#"{"tags":["a","b","a"]}"#, r#"{"tags":["a","b","b"]}"#),
        ("another element", unordered("$"), "[1,2,3]", "[4,3,1]"),
        (
            "objects that are alike",
            unordered("$"),
            r#"[{"id":1,"p":5,"q":1},{"id":2,"p":6,"q":1}]"#,
            r#"[{"id":2,"p":7,"q":1},{"id":1,"p":5,"q":1},{"id":3,"p":0,"q":0}]"#,
        ),
        ("only there", unordered("$.a"), r#"{"a":[1,2],"b":[1,2]}"#, r#"{"a":[2,1],"b":[2,1]}"#),
        ("within each other", unordered("$..*"), r#"{"a":[[1,2],[3,4]]}"#, r#"{"a":[[4,3],[2,1]]}"#),
        ("one that could be two", close.clone(), "[1.0,1.6]", "[1.4,0.8]"),
        ("one that could be two, and one too many", close, "[1.0,1.6,9]", "[1.4,0.8]"),
        (
            "with what is ignored",
            JsonSpec { ignore: vec!["$[*].at".to_owned()], ..unordered("$") },
            r#"[{"id":1,"at":1},{"id":2,"at":2}]"#,
            r#"[{"id":2,"at":3},{"id":1,"at":4}]"#,
        ),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn arrays_are_matched_by_fields() {
    let in_order = JsonSpec {
        rules: vec![RuleSpec { order: text("exact"), by: vec!["id".to_owned()], ..at("$") }],
        ..plain()
    };
    let told = table(&[
        (
            "another order",
            keyed("$.items", &["id"]),
            r#"{"items":[{"id":1,"p":1},{"id":2,"p":2}]}"#,
            r#"{"items":[{"id":2,"p":2},{"id":1,"p":3}]}"#,
        ),
        (
            "another order that counts",
            in_order,
            r#"[{"id":1},{"id":2},{"id":3}]"#,
            r#"[{"id":3},{"id":1},{"id":4}]"#,
        ),
        (
            "one put in, one taken out",
            keyed("$", &["id"]),
            r#"[{"id":"a"},{"id":"b"}]"#,
            r#"[{"id":"c"},{"id":"a"}]"#,
        ),
        (
            "inside the element",
            keyed("$", &["meta.id"]),
            r#"[{"meta":{"id":1},"p":1},{"meta":{"id":2},"p":2}]"#,
            r#"[{"meta":{"id":2},"p":2},{"meta":{"id":1},"p":9}]"#,
        ),
        (
            "two fields",
            keyed("$", &["a", "b"]),
            r#"[{"a":1,"b":"x","p":1},{"a":1,"b":"y","p":2}]"#,
            r#"[{"a":1,"b":"y","p":2},{"a":1,"b":"x","p":9}]"#,
        ),
        (
            "a number is one key however it is written",
            keyed("$", &["id"]),
            r#"[{"id":1.0,"p":1}]"#,
            r#"[{"id":1.00,"p":2}]"#,
        ),
        ("but not as a string", keyed("$", &["id"]), r#"[{"id":1,"p":1}]"#, r#"[{"id":"1","p":1}]"#),
        (
            "a key that comes twice",
            keyed("$", &["id"]),
            r#"[{"id":1,"p":1},{"id":1,"p":2}]"#,
            r#"[{"id":1,"p":2},{"id":1,"p":1}]"#,
        ),
        (
            "a key that comes twice and once",
            keyed("$", &["id"]),
            r#"[{"id":1,"p":1},{"id":1,"p":2}]"#,
            r#"[{"id":1,"p":2}]"#,
        ),
        (
            "without a key",
            keyed("$", &["id"]),
            r#"[{"p":1},{"id":null,"p":2},7]"#,
            r#"[7,{"id":null,"p":2},{"p":3}]"#,
        ),
    ]);
    insta::assert_snapshot!(told);
}

fn map(changes: Vec<MapSpec>) -> JsonSpec {
    JsonSpec { map: changes, ..plain() }
}

fn moved(from: &str, to: &str) -> MapSpec {
    MapSpec { from: text(from), to: text(to), ..MapSpec::default() }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn intended_changes_are_no_differences() {
    let wrap = MapSpec { wrap: text("$.data"), ..MapSpec::default() };
    let unwrap_of = |path: &str| MapSpec { unwrap: text(path), ..MapSpec::default() };
    let drop = |path: &str| MapSpec { drop: text(path), ..MapSpec::default() };
    let names = |at: &str| MapSpec { names: text("snake-to-camel"), at: text(at), ..MapSpec::default() };
    let convert = |how: &str| MapSpec { convert: text(how), at: text("$.items[*].id"), ..MapSpec::default() };
    let values = MapSpec {
        values: vec![("ACTIVE".to_owned(), "active".to_owned()), ("GONE".to_owned(), "deleted".to_owned())],
        at: text("$.*.state"),
        ..MapSpec::default()
    };
    let told = table(&[
        ("renamed", map(vec![moved("$.a", "$.b")]), r#"{"a":1,"c":2}"#, r#"{"b":1,"c":2}"#),
        (
            "moved into an object",
            map(vec![moved("$.user_name", "$.user.name")]),
            r#"{"user_name":"x","user":{"id":1}}"#,
            r#"{"user":{"id":1,"name":"x"}}"#,
        ),
        (
            "moved into an object that is new",
            map(vec![moved("$.user_name", "$.user.name")]),
            r#"{"user_name":"x"}"#,
            r#"{"user":{"name":"y"}}"#,
        ),
        (
            "moved out of an object that is empty then",
            map(vec![moved("$.a.b.c", "$.c")]),
            r#"{"a":{"b":{"c":1}}}"#,
            r#"{"c":1}"#,
        ),
        (
            "moved out of an object that stays",
            map(vec![moved("$.a.b.c", "$.c")]),
            r#"{"a":{"b":{"c":1},"d":2}}"#,
            r#"{"c":1,"a":{"d":2}}"#,
        ),
        (
            "moved within an object",
            map(vec![moved("$.a.b", "$.a.c.d")]),
            r#"{"a":{"b":1,"c":{}}}"#,
            r#"{"a":{"c":{"d":1}}}"#,
        ),
        ("moved inside itself", map(vec![moved("$.a", "$.a.value")]), r#"{"a":1}"#, r#"{"a":{"value":1}}"#),
        ("moved out of itself", map(vec![moved("$.a.value", "$.a")]), r#"{"a":{"value":1}}"#, r#"{"a":1}"#),
        (
            "in elements",
            map(vec![moved("$.items[*].sku", "$.items[*].product.id")]),
            r#"{"items":[{"sku":1},{"x":2},{"sku":3,"product":{"p":1}},7]}"#,
            r#"{"items":[{"product":{"id":1}},{"x":2},{"product":{"id":3,"p":1}},7]}"#,
        ),
        (
            "swapped in three steps",
            map(vec![moved("$.a", "$.tmp"), moved("$.b", "$.a"), moved("$.tmp", "$.b")]),
            r#"{"a":1,"b":2}"#,
            r#"{"a":2,"b":1}"#,
        ),
        ("not there", map(vec![moved("$.a", "$.b")]), r#"{"c":1}"#, r#"{"c":1}"#),
        ("already taken", map(vec![moved("$.a", "$.b")]), r#"{"a":1,"b":2}"#, r#"{"b":2}"#),
        ("no room", map(vec![moved("$.a", "$.b.c")]), r#"{"a":1,"b":2}"#, r#"{"b":{"c":1}}"#),
        ("wrapped", map(vec![wrap.clone()]), "[1,2]", r#"{"data":[1,3]}"#),
        (
            "wrapped elements",
            map(vec![MapSpec { at: text("$[*]"), ..wrap.clone() }]),
            "[1,2]",
            r#"[{"data":1},{"data":2}]"#,
        ),
        (
            "unwrapped",
            map(vec![unwrap_of("$.data.order")]),
            r#"{"data":{"order":{"id":1}},"meta":{}}"#,
            r#"{"id":2}"#,
        ),
        (
            "unwrapped, and what stood beside it is still there",
            map(vec![unwrap_of("$.data.order")]),
            r#"{"data":{"order":{"id":1},"n":1},"more":2}"#,
            r#"{"more":2,"id":1}"#,
        ),
        (
            "unwrapped, with a member that stood beside it as well",
            map(vec![unwrap_of("$.r")]),
            r#"{"a":2,"r":{"a":1}}"#,
            r#"{"a":1}"#,
        ),
        (
            "unwrapped, with what is dropped before or after",
            map(vec![drop("$.a"), unwrap_of("$.r"), drop("$.b")]),
            r#"{"r":{"c":1},"a":2,"b":3}"#,
            r#"{"c":1}"#,
        ),
        (
            "unwrapped twice in a row, then wrapped",
            map(vec![unwrap_of("$.r"), unwrap_of("$.s"), wrap.clone()]),
            r#"{"r":{"s":{"c":1},"a":2},"b":3}"#,
            r#"{"data":{"c":1}}"#,
        ),
        (
            "unwrapped to no object",
            map(vec![unwrap_of("$.data.items")]),
            r#"{"data":{"n":1,"items":[1,2],"m":{}},"next":"/2"}"#,
            r#"[1,3]"#,
        ),
        (
            "unwrapped to no object, and dropped before",
            map(vec![drop("$.next"), unwrap_of("$.items")]),
            r#"{"items":[1,2],"next":"/2"}"#,
            r#"[1,2]"#,
        ),
        (
            "unwrapped to no object, and ignored",
            JsonSpec { ignore: vec!["$.next".to_owned()], ..map(vec![unwrap_of("$.items")]) },
            r#"{"items":[1,2],"next":"/2","n":1}"#,
            r#"[1,2]"#,
        ),
        (
            "unwrapped to no object, with null for nothing",
            JsonSpec { null_is_absent: true, ..map(vec![unwrap_of("$.items")]) },
            r#"{"items":[1,2],"error":null}"#,
            r#"[1,2]"#,
        ),
        ("unwrapped to a name that is there twice", map(vec![unwrap_of("$.r")]), r#"{"r":1,"r":2}"#, "1"),
        (
            "unwrapped elements",
            map(vec![MapSpec { at: text("$.items[*]"), ..unwrap_of("$.r") }]),
            r#"{"items":[{"r":1,"x":1},{"r":{"a":1},"x":2},{"r":3},4]}"#,
            r#"{"items":[1,{"a":1},3,4]}"#,
        ),
        (
            "moved out of itself, with more in it",
            map(vec![moved("$.a.value", "$.a")]),
            r#"{"a":{"value":1,"unit":"m"}}"#,
            r#"{"a":1}"#,
        ),
        ("renamed to what is there", map(vec![moved("$.a", "$.b")]), r#"{"b":1,"a":1}"#, r#"{"b":1}"#),
        (
            "moved to where something is",
            map(vec![moved("$.a", "$.o.a")]),
            r#"{"a":1,"o":{"a":2}}"#,
            r#"{"o":{"a":1}}"#,
        ),
        ("names that become the same", map(vec![names("$")]), r#"{"a_b":1,"aB":1}"#, r#"{"aB":1}"#),
        ("wrapped, with more beside it", map(vec![wrap.clone()]), "[1]", r#"{"data":[1],"more":1}"#),
        (
            "dropped",
            map(vec![drop("$.legacy"), drop("$.items[?@.old == true]")]),
            r#"{"legacy":1,"items":[{"old":true},{"old":false}]}"#,
            r#"{"items":[{"old":false}]}"#,
        ),
        (
            "names",
            map(vec![names("$")]),
            r#"{"unit_price":1,"line_items":[{"tax_rate":2}]}"#,
            r#"{"unitPrice":1,"lineItems":[{"taxRate":3}]}"#,
        ),
        (
            "names in one place",
            map(vec![names("$.a")]),
            r#"{"a":{"b_c":1},"b_c":2}"#,
            r#"{"a":{"bC":1},"b_c":2}"#,
        ),
        (
            "numbers to strings",
            map(vec![convert("number-to-string")]),
            r#"{"items":[{"id":17},{"id":"x"},{"id":1.50}]}"#,
            r#"{"items":[{"id":"17"},{"id":"x"},{"id":"1.50"}]}"#,
        ),
        (
            "strings to numbers",
            map(vec![convert("string-to-number")]),
            r#"{"items":[{"id":"17"},{"id":"x"},{"id":" 1"}]}"#,
            r#"{"items":[{"id":17},{"id":"x"},{"id":" 1"}]}"#,
        ),
        (
            "values",
            map(vec![values]),
            r#"{"a":{"state":"ACTIVE"},"b":{"state":"GONE"},"c":{"state":"NEW"}}"#,
            r#"{"a":{"state":"active"},"b":{"state":"deleted"},"c":{"state":"NEW"}}"#,
        ),
        (
            "several",
            map(vec![names("$"), moved("$.userName", "$.user.name"), wrap]),
            r#"{"user_name":"x","id":1}"#,
            r#"{"data":{"id":1,"user":{"name":"x"}}}"#,
        ),
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn what_unwrapping_leaves_of_two_answers_of_old_is_compared_with_each_other() {
    let unwrap = |path: &str, at: &str| MapSpec { unwrap: text(path), at: text(at), ..MapSpec::default() };
    let spec = map(vec![unwrap("$.items", "$"), unwrap("$.r", "$[*]")]);
    let rules = JsonRules::compile(&spec).unwrap().of_old_alone();
    let found = |old: &str, new: &str| {
        let limits = Limits::default();
        let [old, new] = [old, new].map(|text| parse(text, &limits).unwrap());
        let found = differences(&old, &new, &rules, &limits).unwrap();
        found.iter().map(|one| format!("{} {}", one.at, one.kind)).collect::<Vec<_>>()
    };
    let one = r#"{"next":"/2","at":{"t":1},"items":[{"r":1,"x":1},{"r":2}]}"#;
    assert!(found(one, one).is_empty());
    let other = r#"{"at":{"t":2},"items":[{"r":1},{"r":2,"x":1}],"n":1}"#;
    let there = ["$.at.t value", "$.n added", "$.next missing", "$[0].x missing", "$[1].x added"];
    assert_eq!(found(one, other), there);
    let back = ["$.at.t value", "$.n missing", "$.next added", "$[0].x added", "$[1].x missing"];
    assert_eq!(found(other, one), back);
}

#[test]
fn where_old_has_it_can_be_asked() {
    let spec = map(vec![
        MapSpec { names: text("snake-to-camel"), ..MapSpec::default() },
        MapSpec { unwrap: text("$.payload"), ..MapSpec::default() },
        moved("$.userName", "$.user.name"),
        moved("$.items[*].sku", "$.items[*].product.id"),
        MapSpec { wrap: text("$.data"), ..MapSpec::default() },
    ]);
    let rules = JsonRules::compile(&spec).unwrap();
    let cases = [
        ("$.data.user.name", Some("$.payload.user_name")),
        ("$.data.items[*].product.id", Some("$.payload.items[*].sku")),
        ("$.data.items[*].unitPrice", Some("$.payload.items[*].unit_price")),
        ("$.data", Some("$.payload")),
        // What old has nowhere, such as what new has beside the wrapping, is named as new has it, but for its manner.
        ("$.meta", Some("$.payload.meta")),
        ("status", None),
    ];
    for (path, expected) in cases {
        assert_eq!(rules.origin(path).as_deref(), expected, "{path}");
    }
    assert_eq!(JsonRules::default().origin("$.a"), None);
    assert!(JsonRules::default().same_bytes_match());
    assert!(!rules.same_bytes_match());
}

#[test]
fn what_is_wrong_with_rules_is_said_precisely() {
    let spec = JsonSpec {
        ignore: vec!["$.ok".to_owned(), "items".to_owned(), "$.a[".to_owned()],
        numbers: NumberSpec { form: text("lose"), absolute: text("-1"), relative: text("1 percent") },
        null_is_absent: false,
        rules: vec![
            at("$.a"),
            RuleSpec { order: text("ignored"), ..at("$..[?@.a = 1]") },
            RuleSpec { by: vec!["id".to_owned(), "a[*]".to_owned(), String::new()], ..at("$.b") },
            RuleSpec {
                case: text("lower"),
                whitespace: text("trim"),
                null: text("missing"),
                mask: vec!["x".to_owned(), "(".to_owned()],
                numbers: NumberSpec { absolute: text("x"), ..NumberSpec::default() },
                ..at("$.c")
            },
        ],
        map: vec![
            MapSpec::default(),
            MapSpec { from: text("$.a"), ..MapSpec::default() },
            moved("$.items[*].a", "$.things[*].a"),
            moved("$.a", "$.a"),
            moved("$.a[0]", "$.b"),
            MapSpec { wrap: text("$"), ..MapSpec::default() },
            MapSpec { wrap: text("$.a"), drop: text("$.b"), ..MapSpec::default() },
            MapSpec { drop: text("$"), ..MapSpec::default() },
            MapSpec { drop: text("$.a"), at: text("$.b"), ..MapSpec::default() },
            MapSpec { names: text("snake-to-snake"), ..MapSpec::default() },
            MapSpec { convert: text("string"), ..MapSpec::default() },
            MapSpec { unwrap: text("$.a[*]"), ..MapSpec::default() },
            MapSpec { wrap: Some(format!("${}", ".a".repeat(65))), ..MapSpec::default() },
        ],
    };
    let errors = JsonRules::compile(&spec).unwrap_err();
    let said = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(said);
}

#[test]
fn what_costs_too_much_is_not_compared() {
    let objects = |from: usize| {
        let items: Vec<String> =
            (0..3000).map(|n| format!(r#"{{"n":{},"x":{}}}"#, from + n, n % 7)).collect();
        format!("[{}]", items.join(","))
    };
    let tolerant =
        JsonSpec { numbers: NumberSpec { absolute: text("0.1"), ..NumberSpec::default() }, ..unordered("$") };
    let (old, new) = (objects(0), objects(100_000));
    let some = Limits { work: 300_000, ..Limits::default() };
    assert_eq!(told(&tolerant, &old, &new, &some), Err(NotCompared::Work));
    // The same without the tolerance is a matter of sorting.
    let found = told(&unordered("$"), &old, &new, &Limits::default()).unwrap();
    assert_eq!(found.len(), Limits::default().differences);
    for work in [0, 1, 10, 1000] {
        let limits = Limits { work, ..Limits::default() };
        assert_eq!(told(&plain(), &old, &new, &limits), Err(NotCompared::Work), "{work}");
    }
}

#[test]
fn no_more_differences_are_told_than_the_limit() {
    let list = |from: usize| format!("{:?}", (from..from + 50).collect::<Vec<_>>());
    for differences in [1, 7, 100] {
        let limits = Limits { differences, ..Limits::default() };
        let found = told(&plain(), &list(0), &list(100), &limits).unwrap();
        assert_eq!(found.len(), differences.min(50));
    }
}

/// Parsing bounds the depth, and with it how deep anything here recurses, also in arrays that are looked at again at each
/// level.
#[test]
fn the_deepest_documents_are_compared() {
    let limits = Limits { depth: Limits::DEEPEST, ..Limits::default() };
    let nest = |open: &str, middle: &str, close: &str| {
        let depth = Limits::DEEPEST - usize::from(open.starts_with("[["));
        format!("{}{middle}{}", open.repeat(depth), close.repeat(depth))
    };
    for spec in [plain(), unordered("$..*"), keyed("$..*", &["a"]), ignoring(&["$..[?@.b == 1]"])] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[1,", ",2]"), ("[[],", ",[3]]")] {
            let found = told(&spec, &nest(open, "1", close), &nest(open, "2", close), &limits);
            match found {
                Ok(found) => assert!(!found.is_empty(), "{open} {spec:?}"),
                Err(reason) => assert_eq!(reason, NotCompared::Work, "{open} {spec:?}"),
            }
        }
    }
    let found = told(&plain(), &nest("[1,", "1", ",2]"), &nest("[1,", "2", ",2]"), &limits).unwrap();
    assert_eq!(found.len(), 1);
}
