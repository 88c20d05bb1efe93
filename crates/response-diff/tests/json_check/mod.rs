//! What must hold of every comparison of JSON, checked by the generated tests and the fuzz target:
//!
//! - nothing panics, whatever the bytes;
//! - a document does not differ from itself, nor from itself written otherwise;
//! - what is found does not depend on which of the two is old, but for its names;
//! - an ignore rule or a greater tolerance makes no match a mismatch, and adds nothing but in arrays that differed;
//! - a mask twice is that mask once;
//! - a limit makes no mismatch a match, and cuts the list of differences at its end;
//! - what is told is where it says.

use response_diff::json::{
    Json, JsonRules, JsonSpec, MapSpec, NumberSpec, RuleSpec, Unparsed, differences, parse,
};
use response_diff::path::PathSet;
use response_diff::{Difference, Kind, Limits, NotCompared};
use std::time::Duration;

/// Paths that choose something of the documents that are grown below.
const PATHS: [&str; 16] = [
    "$",
    "$.a",
    "$.b",
    "$[*]",
    "$.a[*]",
    "$[*].a",
    "$..a",
    "$..b",
    "$..*",
    "$[0]",
    "$.a[-1]",
    "$..[1:]",
    "$[?@.a == 1]",
    "$..[?@ == 'x']",
    "$.a[?@.b].c",
    "$..[?count(@.*) > 1]",
];

const MASKS: [&str; 6] = ["x", "[0-9]", "^.", r"\bx|x\b", ".*", "x*y?"];

/// Enough for every difference of the small documents here to be told.
fn limits() -> Limits {
    Limits { differences: 100_000, work: 2_000_000, ..Limits::default() }
}

/// Checks bytes of which the first few choose the rules; for the fuzzer. The rest is two texts with 0xff between them, or
/// what two documents are grown from.
pub(crate) fn check_fuzzed(data: &[u8]) {
    let Some((&[mode, first, second, third], rest)) = data.split_first_chunk::<4>() else { return };
    let spec = spec(&[first, second, third]);
    let (old, new) = if mode & 1 == 0 {
        let end = rest.iter().position(|byte| *byte == 0xff).unwrap_or(rest.len());
        let (old, new) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
        let Ok(texts) = str::from_utf8(old).and_then(|old| Ok((old, str::from_utf8(new)?))) else { return };
        (texts.0.to_owned(), texts.1.to_owned())
    } else {
        grown(rest)
    };
    check_pair(&spec, &old, &new, mode >> 1);
}

/// Rules that differ in every byte.
pub(crate) fn spec(bytes: &[u8; 3]) -> JsonSpec {
    let [first, second, third] = *bytes;
    let path = |byte: u8| PATHS[usize::from(byte) % PATHS.len()].to_owned();
    let word = |condition: bool, word: &str| condition.then(|| word.to_owned());
    let numbers = NumberSpec {
        form: word(first & 0x10 != 0, "loose"),
        absolute: word(first & 0x20 != 0, "1"),
        relative: word(first & 0x40 != 0, "10%"),
    };
    let arrays = RuleSpec {
        path: path(second),
        order: word(second & 0x10 != 0, "ignore").or_else(|| word(second & 0x20 != 0, "exact")),
        by: if second & 0x40 != 0 { vec!["a".to_owned()] } else { Vec::new() },
        null: word(second & 0x80 != 0, "absent"),
        ..RuleSpec::default()
    };
    let texts = RuleSpec {
        path: path(third),
        case: word(third & 0x10 != 0, "ignore"),
        whitespace: word(third & 0x20 != 0, "collapse"),
        mask: if third & 0x40 != 0 {
            vec![MASKS[usize::from(first) % MASKS.len()].to_owned()]
        } else {
            Vec::new()
        },
        within: (third & 0x80 != 0).then(|| Duration::from_secs(2)),
        ..RuleSpec::default()
    };
    let rules = [arrays, texts]
        .into_iter()
        .filter(|rule| *rule != RuleSpec { path: rule.path.clone(), ..RuleSpec::default() });
    JsonSpec {
        ignore: if first & 0x80 != 0 { vec![path(first)] } else { Vec::new() },
        numbers,
        null_is_absent: first & 0x0f == 0x0f,
        rules: rules.collect(),
        map: Vec::new(),
    }
}

/// Two documents of few names and values, so that much of them is alike.
pub(crate) fn grown(bytes: &[u8]) -> (String, String) {
    let mut bytes = bytes.iter().copied();
    let mut one = String::new();
    grow(&mut bytes, 4, &mut one);
    let mut other = String::new();
    grow(&mut bytes, 4, &mut other);
    (one, other)
}

fn grow(bytes: &mut impl Iterator<Item = u8>, depth: usize, out: &mut String) {
    const SCALARS: [&str; 24] = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "1.0",
        "2",
        "1.5",
        "10",
        "10.4",
        "1e1",
        "\"x\"",
        "\"X\"",
        "\" x\"",
        "\"y\"",
        "\"1\"",
        "\"\\u0078\"",
        "\"2024-05-01T10:00:00Z\"",
        "\"2024-05-01T10:00:01Z\"",
        "1700000000",
        "1700000001",
        "{}",
        "[]",
    ];
    const NAMES: [&str; 5] = ["a", "b", "c", "\\u0061", "odd name"];
    let byte = bytes.next().unwrap_or(0);
    let (kind, more) = (byte % 8, usize::from(byte / 8));
    if depth == 0 || kind > 3 {
        out.push_str(SCALARS[more % SCALARS.len()]);
        return;
    }
    out.push(if kind < 2 { '[' } else { '{' });
    for number in 0..more % 6 {
        if number > 0 {
            out.push(',');
        }
        if kind >= 2 {
            let name = NAMES[usize::from(bytes.next().unwrap_or(0)) % NAMES.len()];
            out.push_str(&format!("\"{name}\": "));
        }
        grow(bytes, depth - 1, out);
    }
    out.push(if kind < 2 { ']' } else { '}' });
}

/// Checks two texts by one set of rules; `choice` chooses what is added to the rules.
pub(crate) fn check_pair(spec: &JsonSpec, old: &str, new: &str, choice: u8) {
    let rules = JsonRules::compile(spec).expect("rules made here are valid");
    for text in [old, new] {
        check_alone(&rules, text);
    }
    let (Ok(old), Ok(new)) = (parse(old, &limits()), parse(new, &limits())) else { return };
    let Ok(found) = differences(&old, &new, &rules, &limits()) else { return };
    check_mirrored(&rules, &old, &new, &found);
    check_places(&old, &new, &found);
    check_limits(&rules, &old, &new, &found);
    check_more_forgiving(spec, &old, &new, &found, choice);
    if choice % 8 == 1 {
        check_mapped(&old, &new, choice / 8);
    }
}

fn check_alone(rules: &JsonRules, text: &str) {
    let json = match parse(text, &limits()) {
        Ok(json) => json,
        Err(Unparsed::Malformed { at, .. }) => {
            assert!(at <= text.len(), "{at} in {text:?}");
            return;
        }
        Err(Unparsed::TooMuch(_)) => return,
    };
    let itself = differences(&json, &json, rules, &limits());
    assert!(itself.as_ref().is_err() || itself == Ok(Vec::new()), "{text:?} is not itself: {itself:?}");
    let written = json.root().shortened(usize::MAX);
    let again = parse(&written, &limits()).expect("what is written is JSON");
    let itself = differences(&json, &again, rules, &limits());
    assert!(itself.as_ref().is_err() || itself == Ok(Vec::new()), "{text:?} is not {written:?}: {itself:?}");
}

fn names(found: &[Difference], mirrored: bool) -> Vec<(String, Kind)> {
    let kind = |kind: Kind| if mirrored { kind.mirrored() } else { kind };
    let mut names: Vec<_> = found.iter().map(|one| (one.path.clone(), kind(one.kind))).collect();
    names.sort();
    names
}

fn check_mirrored(rules: &JsonRules, old: &Json<'_>, new: &Json<'_>, found: &[Difference]) {
    let Ok(mirrored) = differences(new, old, rules, &limits()) else { return };
    assert_eq!(names(found, false), names(&mirrored, true), "mirrored: {found:#?}\n{mirrored:#?}");
}

fn chooses(path: &str, json: &Json<'_>) -> bool {
    let set = PathSet::compile(&[path]).expect("a path that is told is a query");
    let mut is_there = false;
    set.each_chosen(json, &limits(), |_, _, _| is_there = true).expect("a small document");
    is_there
}

fn check_places(old: &Json<'_>, new: &Json<'_>, found: &[Difference]) {
    for one in found.iter().take(20) {
        let (old_told, new_told) = (one.old.is_some(), one.new.is_some());
        assert_eq!((old_told, new_told), (one.kind != Kind::Added, one.kind != Kind::Missing), "{one:?}");
        // What is missing has the place that it would have in new, where its array or object is.
        assert!(one.kind == Kind::Missing || chooses(&one.at, new), "{one:?} is not there");
        assert!(chooses(&one.path, if new_told { new } else { old }), "{one:?} is nowhere");
    }
}

fn check_limits(rules: &JsonRules, old: &Json<'_>, new: &Json<'_>, found: &[Difference]) {
    let few = Limits { differences: 3, ..limits() };
    let first = differences(old, new, rules, &few).expect("fewer differences take no more steps");
    assert_eq!(first, found[..found.len().min(3)]);
    for work in [1, 20, 300] {
        match differences(old, new, rules, &Limits { work, ..limits() }) {
            Ok(some) => assert_eq!(some.is_empty(), found.is_empty(), "{work} steps: {some:?}"),
            Err(reason) => assert_eq!(reason, NotCompared::Work),
        }
    }
}

/// Whether what is told was told before, or is in an array that differed before.
fn was_there(one: &Difference, before: &[Difference]) -> bool {
    let is_in = |array: &str| before.iter().any(|other| other.path.starts_with(array));
    let arrays = one.path.match_indices("[*]").map(|(end, _)| &one.path[..end]);
    before.iter().any(|other| (&other.path, other.kind) == (&one.path, one.kind))
        || arrays.chain([one.path.as_str()]).any(is_in)
}

/// One more thing that is forgiven, by chance: reading rules costs more than most comparisons.
fn check_more_forgiving(spec: &JsonSpec, old: &Json<'_>, new: &Json<'_>, found: &[Difference], choice: u8) {
    let mut forgiving = spec.clone();
    match choice % 4 {
        0 => {
            for rule in &mut forgiving.rules {
                let again = rule.mask.clone();
                rule.mask.extend(again);
            }
            let rules = JsonRules::compile(&forgiving).expect("rules made here are valid");
            assert_eq!(differences(old, new, &rules, &limits()).as_deref(), Ok(found), "a mask twice");
            return;
        }
        1 => {
            let greater = if spec.numbers.absolute.is_some() { "2" } else { "0.5" };
            forgiving.numbers.absolute = Some(greater.to_owned());
        }
        _ => forgiving.ignore.push(PATHS[usize::from(choice / 4) % PATHS.len()].to_owned()),
    }
    let rules = JsonRules::compile(&forgiving).expect("rules made here are valid");
    let Ok(left) = differences(old, new, &rules, &limits()) else { return };
    assert!(!found.is_empty() || left.is_empty(), "{forgiving:#?} adds {left:#?}");
    for one in &left {
        assert!(was_there(one, found), "{forgiving:#?} adds {one:#?} to {found:#?}");
    }
}

/// Any changes are made without a panic, and what they lead to is a document like any other.
fn check_mapped(old: &Json<'_>, new: &Json<'_>, choice: u8) {
    let text = |text: &str| Some(text.to_owned());
    let moved = |from: &str, to: &str| MapSpec { from: text(from), to: text(to), ..MapSpec::default() };
    let changes = [
        moved("$.a", "$.b.c"),
        moved("$[*].a", "$[*].c"),
        moved("$.b.a", "$.a"),
        MapSpec { wrap: text("$.a"), ..MapSpec::default() },
        MapSpec { unwrap: text("$.a"), at: text("$.*"), ..MapSpec::default() },
        MapSpec { drop: text(PATHS[1 + usize::from(choice) % (PATHS.len() - 1)]), ..MapSpec::default() },
        MapSpec { names: text("snake-to-pascal"), at: text("$[*]"), ..MapSpec::default() },
        MapSpec { convert: text("number-to-string"), at: text("$.a"), ..MapSpec::default() },
        MapSpec { convert: text("string-to-number"), at: text("$[*]"), ..MapSpec::default() },
        MapSpec { values: vec![("x".to_owned(), "y".to_owned())], at: text("$[*][*]"), ..MapSpec::default() },
    ];
    let start = usize::from(choice) % changes.len();
    let map: Vec<MapSpec> = changes[start..].iter().chain(&changes[..start]).take(3).cloned().collect();
    let rules =
        JsonRules::compile(&JsonSpec { map, ..JsonSpec::default() }).expect("changes made here are valid");
    let Ok(found) = differences(old, new, &rules, &limits()) else { return };
    for one in &found {
        let _ = rules.origin(&one.path);
        assert!(one.kind == Kind::Missing || chooses(&one.at, new), "{one:?} is not there");
    }
}
