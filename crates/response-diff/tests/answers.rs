//! What two answers come to: one table over statuses, fields and every kind of body, and what holds of all answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use response_diff::json::{JsonSpec, MapSpec, RuleSpec};
use response_diff::{
    Answer, Body, Comparison, Field, Incomplete, Kind, Limits, NotCompared, RuleSet, RuleSetSpec, Rules,
    RulesSpec, compare, look_at_heads,
};
use xxhash_rust::xxh3::xxh3_128;

/// An answer that owns its bytes.
#[derive(Clone, Debug)]
struct Own {
    status: u16,
    headers: Vec<(String, String)>,
    trailers: Vec<(String, String)>,
    body: Vec<u8>,
    capture: Capture,
}

#[derive(Clone, Copy, Debug)]
enum Capture {
    Whole,
    Hashed,
    Incomplete(Incomplete),
}

fn own(content_type: &str, body: impl AsRef<[u8]>) -> Own {
    let headers = if content_type.is_empty() {
        Vec::new()
    } else {
        vec![("Content-Type".to_owned(), content_type.to_owned())]
    };
    Own { status: 200, headers, trailers: Vec::new(), body: body.as_ref().to_vec(), capture: Capture::Whole }
}

impl Own {
    fn status(mut self, status: u16) -> Own {
        self.status = status;
        self
    }

    fn with(mut self, name: &str, value: &str) -> Own {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn trailer(mut self, name: &str, value: &str) -> Own {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its body coded, and said so.
    fn coded(mut self, coding: &str) -> Own {
        self.body = coded(coding, &self.body);
        self.with("Content-Encoding", coding)
    }

    fn hashed(mut self) -> Own {
        self.capture = Capture::Hashed;
        self
    }

    fn answer(&self) -> Answer<'_> {
        let body = match self.capture {
            Capture::Whole => Body::Whole(&self.body),
            Capture::Hashed => Body::Hashed { bytes: self.body.len() as u64, hash: xxh3_128(&self.body) },
            Capture::Incomplete(why) => Body::Incomplete(why),
        };
        Answer {
            status: self.status,
            headers: self.headers.iter().map(field).collect(),
            trailers: self.trailers.iter().map(field).collect(),
            body,
        }
    }
}

fn field((name, value): &(String, String)) -> Field<'_> {
    Field { name: name.as_bytes(), value: value.as_bytes() }
}

fn coded(coding: &str, plain: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(plain).and_then(|()| encoder.finish()).unwrap()
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(plain).and_then(|()| encoder.finish()).unwrap()
        }
        "zstd" => ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest),
        other => panic!("no encoder for {other}"),
    }
}

/// A gRPC message.
fn message(flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[flags][..], &length, payload].concat()
}

/// What it came to, as `match`, `not compared: why`, or a line for each difference.
fn told(old: &Own, new: &Own, rules: &Rules, limits: &Limits) -> String {
    match compare(&old.answer(), &new.answer(), rules, limits) {
        Comparison::Match => "match".to_owned(),
        Comparison::NotCompared(why) => format!("not compared: {why}"),
        Comparison::Mismatch(list) => {
            let lines = list.iter().map(|found| format!("{} {}", found.at, found.kind));
            lines.collect::<Vec<_>>().join(", ")
        }
    }
}

/// Old against new comes to `expected`, and new against old to the same, mirrored.
#[track_caller]
fn comes_to(old: &Own, new: &Own, expected: &str) {
    let (rules, limits) = (Rules::default(), Limits::default());
    assert_eq!(told(old, new, &rules, &limits), expected, "{old:?}\n{new:?}");
    let mirrored = expected.replace("missing", "@").replace("added", "missing").replace('@', "added");
    assert_eq!(told(new, old, &rules, &limits), mirrored, "{new:?}\n{old:?}");
}

fn rules(change: impl Fn(&mut RulesSpec)) -> Rules {
    let mut spec = RulesSpec::default();
    change(&mut spec);
    Rules::compile(&spec).unwrap()
}

#[test]
fn documents_whatever_their_type_is_called() {
    const JSON: &str = "application/json";
    for (content_type, old, new, expected) in [
        (JSON, r#"{"a":1,"b":[1,2]}"#, r#"{ "b": [1, 2], "a": 1 }"#, "match"),
        (JSON, r#"{"a":{"b":1}}"#, r#"{"a":{"b":2}}"#, "$.a.b value"),
        ("application/problem+json", r#"{"a":1}"#, r#"{"a":"1"}"#, "$.a type"),
        ("application/vnd.api+json; version=2", r#"{"a":1}"#, "{}", "$.a missing"),
        ("text/json", "[1]", "[2]", "$[0] value"),
        // No type at all: whatever is JSON on both sides.
        ("", r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, "match"),
        ("", "true", "false", "$ value"),
        ("", r#"{"a":1}"#, r#"{"a":1"#, "body type"),
        ("", "plain", "words", "body:1 value"),
        // Types under which JSON is sent as well: objects and arrays are.
        ("text/html", r#"{"a":1,"b":2}"#, r#" {"b":2,"a":1}"#, "match"),
        ("text/plain; charset=utf-8", "[1, 2]", "[1,2]", "match"),
        ("text/plain", "1", "1.0", "body:1 value"),
        ("text/html", "[not JSON]", "[neither]", "body:1 value"),
        ("application/octet-stream", r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, "body value"),
        // What is not JSON although it says so.
        (JSON, r#"{"a":1}"#, "<h1>502</h1>", "body type"),
        (JSON, r#"{"a":1}"#, r#"{"a":1}{"a":1}"#, "body type"),
        (JSON, "NaN", "Infinity", "body:1 value"),
        (JSON, "{\"a\":1}\n{\"a\":2}\n", "{\"a\": 1}\n{\"a\":3}\n", "$[1].a value"),
        (JSON, r#"{"a":1}"#, "", "body missing"),
        (JSON, "", "", "match"),
    ] {
        comes_to(&own(content_type, old), &own(content_type, new), expected);
    }
    for (old, new, expected) in [
        (own(JSON, r#"{"a":1}"#), own("text/html", r#"{"a": 1}"#), "header:content-type value"),
        (own(JSON, r#"{"a":1}"#), own("", r#"{"a": 1}"#), "header:content-type missing"),
        (own(JSON, "{}"), own("text/html", "<p>"), "header:content-type value, body type"),
        (own(JSON, "{}"), own("application/x-ndjson", "{}"), "header:content-type value"),
        (
            own("text/csv", "a"),
            own("text/event-stream", "data: a\n\n"),
            "header:content-type value, body type",
        ),
        (own("image/png", "\u{1}"), own("text/plain", "a"), "header:content-type value, body:1 value"),
        (own("image/png", "a"), own("", "b"), "header:content-type missing, body value"),
        (own(JSON, "\u{feff}[1]"), own(JSON, "[1]"), "match"),
        (own(JSON, b"[\"\xfc\"]"), own(JSON, "[\"ü\"]"), "body type"),
        (
            own("application/json; charset=latin1", b"[\"\xfc\"]"),
            own(JSON, "[\"ü\"]"),
            "header:content-type value",
        ),
    ] {
        comes_to(&old, &new, expected);
    }
}

#[test]
fn records_events_and_forms() {
    for (content_type, old, new, expected) in [
        ("application/x-ndjson", "{\"a\":1,\"b\":2}\n{}\n", "{\"b\":2,\"a\":1}\r\n\r\n{}", "match"),
        ("application/jsonl", "{\"a\":1}\n{\"a\":2}\n", "{\"a\":1}\n{\"a\":3}\n", "$[1].a value"),
        ("application/jsonl", "{\"a\":1}\n", "{\"a\":1}\n{\"a\":2}\n", "$[1] added"),
        ("application/jsonl", "{\"a\":1}\n", "{\"a\":1\n", "body type"),
        ("application/jsonl", "{\"a\":1\n", "{\"a\":2\n", "body:1 value"),
        ("application/json-seq", "\u{1e}{\"a\":1}\n\u{1e}[]\n", "\u{1e}{ \"a\":1}\u{1e}[]", "match"),
        ("application/json-seq", "\u{1e}{\"a\":1}\n", "\u{1e}{\"a\":2}\n", "$[0].a value"),
        ("text/event-stream", "data: {\"a\":1}\n\n", ": hi\ndata:{\"a\": 1}\r\n\r\n", "match"),
        (
            "text/event-stream",
            "event: x\ndata: {\"a\":1}\n\n",
            "event: y\ndata: {\"a\":2}\n\n",
            "$[0].event value, $[0].data.a value",
        ),
        ("text/event-stream", "data: {}\n\n", "data: []\n\n", "$[0].data type"),
        ("text/event-stream", "data: a\n\n", "data: a\n", "$[0].unfinished added"),
        ("application/x-www-form-urlencoded", "a=1&b=x+y", "b=x%20y&a=1", "match"),
        ("application/x-www-form-urlencoded", "a=1&b=2", "a=2&b=2", "$.a value"),
        ("application/x-www-form-urlencoded", "a=1&a=2", "a=1", "$.a type"),
        ("application/x-www-form-urlencoded", "a=%ff", "a=%fe", "body:1 value"),
        ("multipart/mixed; boundary=x", "--x\r\n\r\na\r\n--x--", "--x\r\n\r\nb\r\n--x--", "body:3 value"),
    ] {
        comes_to(&own(content_type, old), &own(content_type, new), expected);
    }
    let multipart = |boundary: &str| {
        own(
            &format!("multipart/mixed; boundary={boundary}"),
            format!("--{boundary}\r\n\r\na\r\n--{boundary}--"),
        )
    };
    comes_to(&multipart("one"), &multipart("another"), "match");
}

/// Boundaries are drawn anew for each answer, but a client finds no parts where the header names another one.
#[test]
fn boundaries_that_the_body_does_not_have_are_differences() {
    let parts = |named: &str, used: &str| {
        let named = if named.is_empty() { String::new() } else { format!("; boundary={named}") };
        own(&format!("multipart/mixed{named}"), format!("--{used}\r\n\r\na\r\n--{used}--"))
    };
    let all = "header:content-type value, body:1 value, body:4 value";
    for (old, new, expected) in [
        (parts("Q", "Q"), parts("X", "X"), "match"),
        (parts("Q", "Q").coded("gzip"), parts("X", "X"), "match"),
        (parts("Q", "Q"), parts("X", "Q"), "header:content-type value"),
        (parts("Q", "X"), parts("X", "Q"), all),
        (parts("Q", "Q").coded("gzip"), parts("X", "Q").coded("gzip"), "header:content-type value"),
        (parts("Q", "Q"), parts("", "Q"), "header:content-type value"),
        (parts("Q", "Q"), parts("Q", "X"), "body:1 value, body:4 value"),
        (parts("X", "Q"), parts("X", "Q"), "match"),
        (parts("Q", "Q").hashed(), parts("X", "Q").hashed(), "header:content-type value"),
        (parts("Q", "Q").hashed(), parts("X", "X").hashed(), "not compared: capture-limit"),
        (parts("Q", "Q").hashed(), parts("X", "Q"), "header:content-type value"),
        // Without a body, such as of HEAD, nothing speaks against it.
        (own("multipart/mixed; boundary=Q", ""), own("multipart/mixed; boundary=X", ""), "match"),
        (own("multipart/mixed; boundary=Q", ""), own("multipart/mixed", ""), "header:content-type value"),
        // What looks like a boundary within a part is content.
        (
            own("multipart/mixed; boundary=Q", "--Q\r\n\r\nsee --Q\r\n--Q--"),
            own("multipart/mixed; boundary=X", "--X\r\n\r\nsee --X\r\n--X--"),
            "body:3 value",
        ),
    ] {
        comes_to(&old, &new, expected);
    }
}

/// All that is known of the body that GET would have got.
#[test]
fn lengths_are_compared_of_answers_to_head() {
    let head = |length: &str| own("text/plain", "").with("Content-Length", length);
    let json = |length: &str| own("application/json", "").with("Content-Length", length);
    let gzip = |length: &str| head(length).with("Content-Encoding", "gzip");
    for (old, new, differs) in [
        (head("10"), head("20"), true),
        (head("10"), head("10"), false),
        (gzip("10"), gzip("20"), false),
        (json("10"), json("20"), false),
        (gzip("10"), head("20"), false),
        (head("10").with("Content-Encoding", "identity"), head("20"), true),
        (head("10"), own("text/plain", ""), false),
        (head("10").status(304), head("20").status(304), false),
    ] {
        let (rules, limits) = (Rules::default(), Limits::default());
        for (one, other) in [(&old, &new), (&new, &old)] {
            let seen = look_at_heads(&one.answer(), &other.answer(), &rules, &limits);
            let found: Vec<_> = seen.differences.iter().map(|found| (&*found.at, found.kind)).collect();
            let expected: &[_] = if differs { &[("header:content-length", Kind::Value)] } else { &[] };
            assert_eq!(found, expected, "{one:?} {other:?}");
            assert!(seen.complete);
        }
        comes_to(&old, &new, "match");
    }
}

#[test]
fn texts_and_bytes() {
    for (content_type, old, new, expected) in [
        ("text/plain", "a\nb\nc\n", "a\nB\nc\nd\n", "body:2 value, body:4 value"),
        ("text/html; charset=utf-8", "<p>ü</p>", "<p>u</p>", "body:1 value"),
        ("image/svg+xml", "<a/>", "<a></a>", "body:1 value"),
        ("image/png", "abcd", "abce", "body value"),
        ("image/png", "abcd", "abcde", "body length"),
        ("image/png", "abcd", "", "body missing"),
        ("made up", "abc", "abd", "body:1 value"),
    ] {
        comes_to(&own(content_type, old), &own(content_type, new), expected);
    }
    let latin = own("text/plain; charset=latin1", b"gr\xfcn").with("x", "1");
    comes_to(&latin, &own("text/plain; charset=utf-8", "grün").with("x", "1"), "header:content-type value");
    comes_to(&own("text/plain", b"gr\xfcn"), &own("text/plain", b"gr\xfdn"), "body:1 value");
    comes_to(&own("text/plain", b"\xff"), &own("text/plain", "ÿ"), "body:1 value");
    comes_to(&own("text/plain", "\u{feff}a"), &own("text/plain", "a"), "match");
}

#[test]
fn grpc_messages() {
    const GRPC: &str = "application/grpc+proto";
    let (one, two) = (message(0, b"one"), message(0, b"two"));
    let zipped = |payload: &[u8]| message(1, &coded("gzip", payload));
    for (old, new, expected) in [
        (own(GRPC, [&one[..], &two].concat()), own(GRPC, [&one[..], &two].concat()), "match"),
        (own(GRPC, [&one[..], &two].concat()), own(GRPC, [&one[..], &one].concat()), "body[1] value"),
        (own(GRPC, &one), own(GRPC, message(0, b"three")), "body[0] length"),
        (own(GRPC, &one), own(GRPC, [&one[..], &two].concat()), "body length"),
        (own(GRPC, &one), own(GRPC, ""), "body missing"),
        (own(GRPC, &one), own(GRPC, &one[..6]), "body length"),
        (own(GRPC, &one), own(GRPC, zipped(b"one")).with("grpc-encoding", "gzip"), "match"),
        (own(GRPC, &two), own(GRPC, zipped(b"one")).with("grpc-encoding", "gzip"), "body[0] value"),
        (own(GRPC, &one), own(GRPC, zipped(b"one")), "not compared: encoding"),
        (
            own(GRPC, &one),
            own(GRPC, zipped(b"one")).with("grpc-encoding", "snappy"),
            "not compared: encoding",
        ),
        (
            own(GRPC, &one).trailer("grpc-status", "0"),
            own(GRPC, &one).trailer("grpc-status", "5"),
            "trailer:grpc-status value",
        ),
        (own(GRPC, "").with("grpc-status", "5"), own(GRPC, "").trailer("grpc-status", "5"), "match"),
    ] {
        comes_to(&old, &new, expected);
    }
    let web = |status: &str| {
        let trailers = message(0x80, format!("grpc-status:{status}\r\ngrpc-message:x\r\n").as_bytes());
        own("application/grpc-web+proto", [one.clone(), trailers].concat())
    };
    comes_to(&web("0"), &web("13"), "trailer:grpc-status value");
    comes_to(
        &web("0"),
        &own("application/grpc-web+proto", &one).trailer("grpc-status", "0"),
        "trailer:grpc-message missing",
    );
}

#[test]
fn codings_are_taken_off_first() {
    let plain = || own("application/json", r#"{"a":1,"b":2}"#);
    let other = || own("application/json", r#"{"b":2,"a":1}"#);
    for (old, new, expected) in [
        (plain().coded("gzip"), other(), "match"),
        (plain().coded("gzip"), other().coded("zstd"), "match"),
        (plain().coded("deflate"), own("application/json", r#"{"a":1}"#).coded("gzip"), "$.b missing"),
        (own("image/png", "abc").coded("gzip"), own("image/png", "abd"), "body value"),
        (plain().with("content-encoding", "gzip"), plain(), "not compared: encoding"),
        (plain().with("content-encoding", "compress"), plain(), "not compared: encoding"),
        // The same bytes under the same name are the same, whatever they are.
        (plain().with("content-encoding", "compress"), plain().with("content-encoding", "Compress"), "match"),
        // What is proven stays so.
        (plain().with("content-encoding", "compress").status(500), plain(), "status value"),
    ] {
        comes_to(&old, &new, expected);
    }
    let bomb = own("text/plain", vec![b'a'; 5 << 20]).coded("gzip");
    comes_to(&bomb, &own("text/plain", "a"), "not compared: decoded-size");
    comes_to(&bomb, &bomb, "match");
}

#[test]
fn bodies_of_which_only_a_hash_is_left() {
    let text = |body: &str| own("text/csv", body);
    let json = |body: &str| own("application/json", body);
    for (old, new, expected) in [
        (text("aaa").hashed(), text("aaa").hashed(), "match"),
        (text("aaa").hashed(), text("aab").hashed(), "body value"),
        (text("aaa").hashed(), text("aaaa").hashed(), "body length"),
        (text("aaa").hashed(), text("aaa"), "match"),
        (text("aaa").hashed(), text("a"), "body length"),
        (text("aaa").hashed(), text(""), "body missing"),
        (text("aaa").hashed(), text("aaa").coded("gzip"), "match"),
        (text("aaa").coded("gzip").hashed(), text("aaa").coded("gzip").hashed(), "match"),
        (
            text("aaa").coded("gzip").hashed(),
            text("aab").coded("gzip").hashed(),
            "not compared: capture-limit",
        ),
        (text("aaa").coded("gzip").hashed(), text("aaa").hashed(), "not compared: capture-limit"),
        (text("aaa").coded("gzip").hashed(), text("aaa"), "not compared: capture-limit"),
        // The same document can have other bytes.
        (json("[1]").hashed(), json("[1]").hashed(), "match"),
        (json("[1]").hashed(), json("[2]").hashed(), "not compared: capture-limit"),
        (json("[1]").hashed(), json("[ 1 ]"), "not compared: capture-limit"),
        (json("[1]").hashed(), json("").hashed(), "body missing"),
        (own("", "a").hashed(), own("", "b").hashed(), "not compared: capture-limit"),
        (own("text/html", "a").hashed(), own("text/html", "b").hashed(), "body value"),
        (json("[1]").hashed().status(404), json("[2]").hashed(), "status value"),
    ] {
        comes_to(&old, &new, expected);
    }
}

#[test]
fn bodies_that_did_not_end() {
    for why in [Incomplete::Client, Incomplete::Upstream, Incomplete::Slow, Incomplete::Stream] {
        let mut cut = own("text/plain", "a");
        cut.capture = Capture::Incomplete(why);
        comes_to(&cut, &own("text/plain", "a"), "not compared: incomplete");
        comes_to(&cut, &cut, "not compared: incomplete");
        comes_to(&cut.clone().status(500), &own("text/plain", "a"), "status value");
        // Without a body there is nothing to cut.
        comes_to(&cut.clone().status(204), &own("text/plain", "").status(204), "match");
    }
    for status in [204, 304] {
        comes_to(&own("", "stray").status(status), &own("", "").status(status), "match");
    }
}

#[test]
fn what_rules_forgive_is_no_difference_and_everything_else_is() {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let rule = |path: &str| RuleSpec { path: path.to_owned(), ..RuleSpec::default() };
    let body_spaces = rules(|spec| {
        spec.json.rules = vec![RuleSpec { whitespace: Some("collapse".to_owned()), ..rule("body") }];
    });
    let csrf = rules(|spec| {
        spec.json.rules = vec![RuleSpec { mask: texts(&["value=\"[^\"]*\""]), ..rule("body") }];
    });
    let ignoring =
        |places: &[&str]| rules(|spec| spec.json = JsonSpec { ignore: texts(places), ..JsonSpec::default() });
    let moved = rules(|spec| {
        let (from, to) = (Some("$.a".to_owned()), Some("$.b".to_owned()));
        spec.json.map = vec![MapSpec { from, to, ..MapSpec::default() }];
    });
    let json = |body: &str| own("application/json", body);
    let csv = |body: &str| own("text/csv", body);
    for (rules, old, new, expected) in [
        (&body_spaces, csv("a\r\nb \r\n"), csv("a\nb\n"), "match"),
        (&body_spaces, csv("a\r\nb\r\nc\r\n"), csv("a\nx\nc\n"), "body:2 value"),
        (&body_spaces, csv("a b").hashed(), csv("a  b").hashed(), "not compared: capture-limit"),
        (&csrf, own("text/html", "<i value=\"1\">\nx"), own("text/html", "<i value=\"2\">\nx"), "match"),
        (
            &csrf,
            own("text/html", "<i value=\"1\">\nx"),
            own("text/html", "<i value=\"2\">\ny"),
            "body:2 value",
        ),
        (&ignoring(&["$.a", "header:x-*"]), json(r#"{"a":1}"#).with("x-a", "1"), json("{}"), "match"),
        (
            &ignoring(&["$[*].a"]),
            own("application/jsonl", "{\"a\":1}\n"),
            own("application/jsonl", "{\"a\":2}\n"),
            "match",
        ),
        (
            &ignoring(&["$.t"]),
            own("application/x-www-form-urlencoded", "t=1&a=1"),
            own("application/x-www-form-urlencoded", "t=2&a=1"),
            "match",
        ),
        (
            &ignoring(&["$[*].data.t"]),
            own("text/event-stream", "data: {\"t\":1}\n\n"),
            own("text/event-stream", "data: {\"t\":2}\n\n"),
            "match",
        ),
        (&moved, json(r#"{"a":1}"#), json(r#"{"b":1}"#), "match"),
        // Old's form is to be another one, so the same bytes are not the same.
        (&moved, json(r#"{"a":1}"#), json(r#"{"a":1}"#), "$.b missing, $.a added"),
        (&moved, json(r#"{"a":1}"#).hashed(), json(r#"{"a":1}"#).hashed(), "not compared: capture-limit"),
        (&moved, own("text/csv", "a"), own("text/csv", "a"), "match"),
    ] {
        assert_eq!(told(&old, &new, rules, &Limits::default()), expected, "{old:?}\n{new:?}");
    }
}

#[test]
fn limits_are_kept_and_said() {
    let json = |body: &str| own("application/json", body);
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let limits = Limits::default();
    let rules = Rules::default();
    assert_eq!(told(&json(&deep), &json("[1]"), &rules, &limits), "not compared: depth");
    let few = Limits { nodes: 10, differences: 3, shown: 8, ..limits };
    let numbers: String = (0..20).map(|n| format!("{n}\n")).collect();
    assert_eq!(
        told(&own("application/jsonl", &numbers), &json("[1]"), &rules, &few),
        "header:content-type value, body type"
    );
    assert_eq!(
        told(&own("application/jsonl", &numbers), &own("application/jsonl", "1\n"), &rules, &few),
        "not compared: nodes"
    );
    let (old, new) = (own("text/csv", &numbers), own("text/csv", numbers.replace('\n', "x\n")));
    let Comparison::Mismatch(list) = compare(&old.answer(), &new.answer(), &rules, &few) else { panic!() };
    assert_eq!(list.len(), 3);
    let long = compare(&csv_of('a', 100).answer(), &csv_of('b', 100).answer(), &rules, &few);
    let Comparison::Mismatch(list) = long else { panic!() };
    assert_eq!(list[0].old.as_deref(), Some("aaaaaaaa…"));
    // Work that is too much leaves nothing behind but what was found elsewhere.
    let little = Limits { work: 5, ..limits };
    let (old, new) = (json("[1,2,3,4,5,6,7,8]"), json("[2,3,4,5,6,7,8,9]"));
    assert_eq!(told(&old, &new, &rules, &little), "not compared: work");
    assert_eq!(told(&old.status(500), &new, &rules, &little), "status value");
    assert_eq!(NotCompared::ALL.len(), 7);
}

fn csv_of(c: char, count: usize) -> Own {
    own("text/csv", c.to_string().repeat(count))
}

fn any_answer() -> impl Strategy<Value = Own> {
    let types = prop::sample::select(vec![
        "",
        "application/json",
        "application/jsonl",
        "application/json-seq",
        "text/event-stream",
        "application/x-www-form-urlencoded",
        "text/plain",
        "text/csv",
        "text/html; charset=latin1",
        "application/grpc",
        "application/grpc-web",
        "multipart/mixed; boundary=x",
        "multipart/mixed; boundary=y",
        "image/png",
    ]);
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "[\\[\\]{}\":,a1\n ]{0,30}".prop_map(String::into_bytes),
        "(\\{\"a\":(1|2|\"x\"|null)\\}\n){0,3}".prop_map(String::into_bytes),
        "(data: [ab]\n\n|a=[12]&|--[xy]\r\n){0,4}".prop_map(String::into_bytes),
        prop::collection::vec((0..2_u8, "[ab]{0,3}"), 0..3).prop_map(|messages| {
            messages.iter().flat_map(|(flags, text)| message(*flags, text.as_bytes())).collect()
        }),
    ];
    let headers = prop::sample::subsequence(
        vec![
            ("set-cookie", "a=1; Path=/"),
            ("set-cookie", "a=2; Max-Age=5"),
            ("vary", "a, b"),
            ("vary", "b"),
            ("x-a", "1"),
            ("x-a", "2"),
            ("etag", "x"),
            ("content-encoding", "gzip"),
            ("cache-control", "private"),
            ("grpc-status", "5"),
        ],
        0..6,
    );
    let statuses = prop::sample::select(vec![200_u16, 200, 200, 201, 204, 500]);
    (statuses, types, body, headers, any::<bool>()).prop_map(
        |(status, content_type, body, headers, is_hashed)| {
            let answer = headers
                .into_iter()
                .fold(own(content_type, body), |answer, (name, value)| answer.with(name, value));
            let answer = answer.status(status);
            if is_hashed && status != 201 {
                answer
            } else if is_hashed {
                answer.hashed()
            } else {
                answer
            }
        },
    )
}

fn paths(comparison: &Comparison, mirror: bool) -> Vec<(String, Kind)> {
    let Comparison::Mismatch(list) = comparison else { return Vec::new() };
    let kind = |kind: Kind| if mirror { kind.mirrored() } else { kind };
    let mut all: Vec<_> = list.iter().map(|found| (found.path.clone(), kind(found.kind))).collect();
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_matches_itself(one in any_answer()) {
        let comparison = compare(&one.answer(), &one.answer(), &Rules::default(), &Limits::default());
        prop_assert_eq!(comparison, Comparison::Match);
    }

    #[test]
    fn the_other_way_round_it_is_the_same_mirrored(old in any_answer(), new in any_answer()) {
        let limits = Limits { differences: 10_000, ..Limits::default() };
        let there = compare(&old.answer(), &new.answer(), &Rules::default(), &limits);
        let back = compare(&new.answer(), &old.answer(), &Rules::default(), &limits);
        prop_assert_eq!(std::mem::discriminant(&there), std::mem::discriminant(&back));
        prop_assert_eq!(paths(&there, false), paths(&back, true));
    }

    #[test]
    fn a_match_is_no_accident(old in any_answer(), new in any_answer()) {
        // Bodies of bytes match exactly when their bytes do.
        let bytes = |answer: &Own| Own { headers: Vec::new(), ..answer.clone() }.with("content-type", "image/png");
        let (old, new) = (bytes(&old), bytes(&new));
        let is_same = old.status == new.status && (old.body == new.body || old.status == 204);
        let comparison = compare(&old.answer(), &new.answer(), &Rules::default(), &Limits::default());
        prop_assert_eq!(comparison == Comparison::Match, is_same);
    }

    #[test]
    fn nothing_beside_an_unwrapped_value_is_lost(
        inner in prop::sample::select(vec!["1", "null", "[1,2]", "{}", "{\"x\":{\"y\":1}}"]),
        (before, behind) in (0..3_usize, 0..3_usize),
        is_element in any::<bool>(),
    ) {
        let members = |name: char, count: usize| (0..count).map(move |n| format!("\"{name}{n}\":[{n}]"));
        let all: Vec<String> =
            members('b', before).chain([format!("\"r\":{inner}")]).chain(members('c', behind)).collect();
        let (old, new) = (format!("{{{}}}", all.join(",")), inner.to_owned());
        let (old, new) = if is_element { (format!("[{old},7]"), format!("[{new},7]")) } else { (old, new) };
        let unwrap = MapSpec {
            unwrap: Some("$.r".to_owned()),
            at: is_element.then(|| "$[*]".to_owned()),
            ..MapSpec::default()
        };
        let json = JsonSpec { map: vec![unwrap], ..JsonSpec::default() };
        let spec = RuleSetSpec { rules: RulesSpec { json, ..RulesSpec::default() }, endpoints: Vec::new() };
        let rules = RuleSet::compile(&spec).unwrap();
        let [old, new] = [old, new].map(|body| own("application/json", body));
        let limits = Limits::default();
        let found = compare(&old.answer(), &new.answer(), rules.for_path("/"), &limits);
        let missing = paths(&found, false);
        prop_assert_eq!(missing.len(), before + behind);
        prop_assert!(missing.iter().all(|(_, kind)| *kind == Kind::Missing));
        let alone = rules.of_old_alone();
        let itself = compare(&old.answer(), &old.answer(), alone.for_path("/"), &limits);
        prop_assert_eq!(itself, Comparison::Match);
    }

    #[test]
    fn an_ignore_rule_never_adds_a_difference(old in any_answer(), new in any_answer(), which in 0..5_usize) {
        let place = ["header:x-a", "header:set-cookie", "$.a", "$[*].data", "trailer:*"][which];
        let ignoring = rules(|spec| spec.json.ignore = vec![place.to_owned()]);
        let limits = Limits { differences: 10_000, ..Limits::default() };
        let all = paths(&compare(&old.answer(), &new.answer(), &Rules::default(), &limits), false);
        for found in paths(&compare(&old.answer(), &new.answer(), &ignoring, &limits), false) {
            prop_assert!(all.contains(&found), "{found:?} is not in {all:?}");
        }
    }
}
