//! What comparing two JSON bodies costs, both parsed anew each time as the comparison of two answers does.

use divan::counter::BytesCount;
use response_diff::json::{JsonRules, JsonSpec, NumberSpec, RuleSpec, differences, parse};
use response_diff::{Difference, Limits, NotCompared};
use std::fmt::Write;

/// Bytes of one side, near enough.
const SIZES: [usize; 2] = [2 << 10, 64 << 10];

fn main() {
    divan::main();
}

/// A list of orders of this many bytes. `turn` turns the list, `noise` is in every element, and the last element has
/// `last` as its price.
fn orders(bytes: usize, turn: usize, noise: u32, last: &str) -> String {
    let count = bytes / 205;
    let mut out = String::from(r#"{"meta":{"generated_at":"2024-05-01T10:00:00Z","page":1},"orders":["#);
    for place in 0..count {
        let id = (place + turn) % count;
        let comma = if place == 0 { "" } else { "," };
        let price = if id + 1 == count { last } else { "129.90" };
        write!(
            out,
            r#"{comma}{{"id":{id},"customer":"customer-{id:08}","state":"shipped","price":{price},"lines":[{{"sku":"A-{id}","count":2}},{{"sku":"B-{id}","count":1}}],"tags":["new","gift"],"note":null,"eta":{noise}}}"#
        )
        .expect("a string takes all text");
    }
    out.push_str("]}");
    out
}

fn compared(bencher: divan::Bencher<'_, '_>, spec: &JsonSpec, old: &str, new: &str, differ: usize) {
    let rules = JsonRules::compile(spec).expect("valid rules");
    let compare = || -> Result<Vec<Difference>, NotCompared> {
        let limits = Limits::default();
        let (old, new) = (divan::black_box(old), divan::black_box(new));
        let (Ok(old), Ok(new)) = (parse(old, &limits), parse(new, &limits)) else {
            return Err(NotCompared::Encoding);
        };
        differences(&old, &new, &rules, &limits)
    };
    let found = compare().expect("within the limits");
    assert_eq!(found.len(), differ, "{found:?}");
    bencher.counter(BytesCount::new(old.len() + new.len())).bench_local(compare);
}

fn ignoring(paths: &[&str]) -> JsonSpec {
    JsonSpec { ignore: paths.iter().map(|path| (*path).to_owned()).collect(), ..JsonSpec::default() }
}

const TEN_PATHS: [&str; 10] = [
    "$.meta.generated_at",
    "$.meta.trace",
    "$.orders[*].eta",
    "$.orders[*].links",
    "$.orders[*].lines[*].weight",
    "$..etag",
    "$.debug",
    "$.orders[*].audit.at",
    "$['x-cache']",
    "$.next",
];

#[divan::bench(args = SIZES)]
fn equal(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    let text = orders(bytes, 0, 7, "1.5");
    compared(bencher, &JsonSpec::default(), &text, &text, 0);
}

/// The same values in every element, but none written alike.
#[divan::bench(args = SIZES)]
fn equal_but_written_otherwise(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    let (old, new) = (orders(bytes, 0, 7, "1.5"), orders(bytes, 0, 7, "1.5").replace(",\"", ", \""));
    compared(bencher, &JsonSpec::default(), &old, &new, 0);
}

#[divan::bench(args = SIZES)]
fn one_difference(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    compared(bencher, &JsonSpec::default(), &orders(bytes, 0, 7, "1.5"), &orders(bytes, 0, 7, "1.6"), 1);
}

/// Noise in every element is ignored.
#[divan::bench(args = SIZES)]
fn ten_ignore_rules(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    compared(bencher, &ignoring(&TEN_PATHS), &orders(bytes, 0, 7, "1.5"), &orders(bytes, 0, 8, "1.6"), 1);
}

/// One element was put in at the beginning, which all others moves.
#[divan::bench(args = SIZES)]
fn one_put_in(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    let old = orders(bytes, 0, 7, "1.5");
    let new = old.replacen("\"orders\":[", "\"orders\":[{\"id\":-1},", 1);
    compared(bencher, &JsonSpec::default(), &old, &new, 1);
}

#[divan::bench(args = SIZES)]
fn without_order(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    let rule =
        RuleSpec { path: "$.orders".to_owned(), order: Some("ignore".to_owned()), ..RuleSpec::default() };
    let spec = JsonSpec { rules: vec![rule], ..ignoring(&TEN_PATHS) };
    compared(bencher, &spec, &orders(bytes, 3, 7, "1.5"), &orders(bytes, 0, 8, "1.6"), 1);
}

#[divan::bench(args = SIZES)]
fn by_key(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    let rule = RuleSpec { path: "$.orders".to_owned(), by: vec!["id".to_owned()], ..RuleSpec::default() };
    let spec = JsonSpec { rules: vec![rule], ..ignoring(&TEN_PATHS) };
    compared(bencher, &spec, &orders(bytes, 3, 7, "1.5"), &orders(bytes, 0, 8, "1.6"), 1);
}

/// Every element differs within a tolerance.
#[divan::bench(args = SIZES)]
fn within_a_tolerance(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    let numbers = NumberSpec { relative: Some("50%".to_owned()), ..NumberSpec::default() };
    let spec = JsonSpec { numbers, ..JsonSpec::default() };
    compared(bencher, &spec, &orders(bytes, 0, 7, "1.5"), &orders(bytes, 0, 8, "1.6"), 0);
}

/// Parsing alone, both sides.
#[divan::bench(args = SIZES)]
fn parsing_alone(bencher: divan::Bencher<'_, '_>, bytes: usize) {
    let text = orders(bytes, 0, 7, "1.5");
    let limits = Limits::default();
    bencher.counter(BytesCount::new(2 * text.len())).bench_local(|| {
        [parse(divan::black_box(&text), &limits).is_ok(), parse(divan::black_box(&text), &limits).is_ok()]
    });
}
