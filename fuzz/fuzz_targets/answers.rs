//! Two answers of any bytes: coded bodies of every kind, decoded and compared within small limits, and kept without secrets.
//!
//! The input is two bytes that choose codings and types, one that says where old's body ends, and both bodies.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use response_diff::redact::{Redactor, Said};
use response_diff::{Answer, Body, Comparison, Field, Limits, NotCompared, Rules, SavedAnswer, compare};

const CODINGS: [&str; 8] = ["", "gzip", "deflate", "br", "zstd", "gzip, br", "zstd, deflate", "x-gzip"];
const TYPES: [&str; 16] = [
    "",
    "application/json",
    "application/x-ndjson",
    "application/json-seq",
    "text/event-stream",
    "application/x-www-form-urlencoded",
    "text/plain",
    "text/html; charset=shift_jis",
    "text/xml",
    "application/grpc",
    "application/grpc-web+proto",
    "multipart/mixed; boundary=x",
    "image/png",
    "text/csv; charset=utf-16",
    "application/json; charset=latin1",
    "application/vnd.api+json",
];
const DECODED_BYTES: usize = 64 << 10;
/// Of an answer without its secrets.
const KEPT: usize = 2048;

fuzz_target!(|data: &[u8]| {
    let [first, second, cut, rest @ ..] = data else { return };
    let (old_body, new_body) = rest.split_at(rest.len() * usize::from(*cut) / 256);
    let limits = limits();
    let (old, new) = (answer(*first, old_body), answer(*second, new_body));
    let rules = Rules::default();
    let there = compare(&old, &new, &rules, &limits);
    let back = compare(&new, &old, &rules, &limits);
    assert_eq!(std::mem::discriminant(&there), std::mem::discriminant(&back), "{there:?} {back:?}");
    if let Comparison::Mismatch(list) = &there {
        assert!(!list.is_empty() && list.len() <= limits.differences);
        let shown = list.iter().flat_map(|found| [&found.old, &found.new]).flatten();
        assert!(shown.map(String::len).all(|len| len <= limits.shown + '…'.len_utf8()));
    }
    for one in [&old, &new] {
        assert_eq!(compare(one, one, &rules, &limits), Comparison::Match);
    }
    let saved = SavedAnswer::parse(rest, DECODED_BYTES);
    let again = compare(&saved.answer(), &saved.answer(), &rules, &limits);
    let is_cut = matches!(saved.answer().body, Body::Incomplete(_));
    let expected = if is_cut { Comparison::NotCompared(NotCompared::Incomplete) } else { Comparison::Match };
    assert_eq!(again, expected);
    redact(&old, &new, old_body, there);
});

/// What is kept of both where old's body is what the client said, too.
fn redact(old: &Answer<'_>, new: &Answer<'_>, content: &[u8], found: Comparison) {
    static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
        let rules = ["$.a".to_owned(), "text:s[0-9]+".to_owned()];
        Redactor::new(&[7; 32], &rules, &limits(), KEPT).expect("both are rules")
    });
    let said = Said { target: "/a?b=c", fields: old.headers.clone(), content };
    let redaction = REDACTOR.pair(old, new).knowing(&said);
    for one in [old, new] {
        let kept = redaction.answer(one);
        assert!(kept.as_str().len() <= KEPT + "…\n".len(), "{kept}");
        assert_eq!(redaction.answer(one).as_str(), kept.as_str());
    }
    if let Comparison::Mismatch(mut list) = found {
        REDACTOR.hide_names(&mut list);
        REDACTOR.hide_names_said(&mut list, &said);
        list.iter().for_each(|one| drop(redaction.difference(one)));
    }
}

fn limits() -> Limits {
    Limits { decoded_bytes: DECODED_BYTES, nodes: 10_000, work: 100_000, ..Limits::default() }
}

fn answer(choice: u8, body: &[u8]) -> Answer<'_> {
    let field =
        |name: &'static str, value: &'static str| Field { name: name.as_bytes(), value: value.as_bytes() };
    let coding = field("content-encoding", CODINGS[usize::from(choice >> 4) % CODINGS.len()]);
    let content_type = field("content-type", TYPES[usize::from(choice & 0x0f)]);
    let headers = [coding, content_type].into_iter().filter(|field| !field.value.is_empty());
    Answer { status: 200, headers: headers.collect(), trailers: Vec::new(), body: Body::Whole(body) }
}
