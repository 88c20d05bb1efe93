//! Streams of generated messages, mostly good, some with a few bytes changed, against all that [`check`]
//! knows.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod check;

use std::cell::Cell;

use check::{Side, check_fuzzed, check_stream, read};
use http1_codec::Limits;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestRunner};

const CASES: u32 = 3_000;

#[test]
fn requests() {
    run(Side::Requests, vec(request(), 1..4).prop_map(|requests| requests.concat()), 1);
}

#[test]
fn responses() {
    run(Side::Responses { to_head: false }, (vec(interim(), 0..2), response()).prop_map(concat_response), 2);
}

#[test]
fn responses_to_head() {
    run(Side::Responses { to_head: true }, response(), 3);
}

#[test]
fn noise() {
    let bytes = prop_oneof![
        any::<u8>(),
        select(&b"GETHPOS/1.0 :\r\n\t,;=\"chunked0a"[..]),
        Just(b'\r'),
        Just(b'\n'),
    ];
    let mut runner = runner(4);
    runner
        .run(&vec(bytes, 0..200), |data| {
            check_fuzzed(&data);
            Ok(())
        })
        .unwrap();
}

/// Checks good streams, and what becomes of them when bytes change.
fn run(side: Side, streams: impl Strategy<Value = Vec<u8>>, seed: u64) {
    let accepted = Cell::new(0);
    let refused = Cell::new(0);
    let mut runner = runner(seed);
    let input = (streams, vec(change(), 0..3), vec(1..40_u8, 1..4), any::<bool>());
    runner
        .run(&input, |(mut stream, changes, cuts, changed)| {
            if changed {
                changes.into_iter().for_each(|change| change.apply(&mut stream));
            }
            check_stream(side, &stream, &cuts, &Limits::default());
            let some = !read(side, [&stream[..]], &Limits::default()).messages.is_empty();
            let counter = if some { &accepted } else { &refused };
            counter.set(counter.get() + 1);
            Ok(())
        })
        .unwrap();
    // Otherwise the comparison with hyper would be vacuous.
    assert!(accepted.get() > CASES / 3, "{} accepted", accepted.get());
    assert!(refused.get() > CASES / 20, "{} refused", refused.get());
}

fn runner(seed: u64) -> TestRunner {
    TestRunner::new(Config {
        cases: CASES,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    })
}

/// A change to one place of a stream.
#[derive(Clone, Debug)]
enum Change {
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, &'static str),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
}

impl Change {
    fn apply(self, stream: &mut Vec<u8>) {
        if stream.is_empty() {
            return;
        }
        let len = stream.len();
        match self {
            Self::Replace(at, byte) => stream[at.index(len)] = byte,
            Self::Insert(at, text) => {
                let at = at.index(len);
                stream.splice(at..at, text.bytes());
            }
            Self::Remove(at, count) => {
                let at = at.index(len);
                stream.drain(at..len.min(at + count));
            }
            Self::Repeat(at, count) => {
                let at = at.index(len);
                let part = stream[at..len.min(at + count)].to_vec();
                stream.splice(at..at, part);
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<prop::sample::Index>;
    let nasty =
        vec!["\r", "\n", "\r\n", " ", "\t", "\0", ":", ",", ";", "\u{e9}", "0", "\r\n\r\n", "#", "\x7f"];
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (place(), select(nasty)).prop_map(|(at, text)| Change::Insert(at, text)),
        (place(), 1..8_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (place(), 1..30_usize).prop_map(|(at, count)| Change::Repeat(at, count)),
    ]
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![
        4 => select(vec!["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH"]).prop_map(str::to_owned),
        1 => "[A-Za-z!#$%&'*+.^_`|~0-9-]{1,20}",
    ];
    let target = prop_oneof![
        4 => "/[a-z0-9/%._~-]{0,20}(\\?[a-z=&+/?]{0,10})?",
        2 => "/[!-~]{0,10}",
        1 => "(http|HTTPS)://[a-z0-9.-]{1,10}(:[0-9]{1,5})?(/[a-z]{0,5})?(\\?[a-z]{0,3})?",
        1 => Just("http://[::1]:80/".to_owned()),
        1 => Just("*".to_owned()),
    ];
    let version = prop_oneof![9 => Just("1.1"), 1 => Just("1.0")];
    let host = prop_oneof![
        8 => Just("Host: a\r\n"),
        1 => Just("host:b:80 \r\n"),
        1 => Just(""),
    ];
    (method, target, version, host, vec(field(), 0..5), body()).prop_map(
        |(method, target, version, host, fields, (framing, body))| {
            let fields = fields.concat();
            let head = format!("{method} {target} HTTP/{version}\r\n{host}{fields}{framing}\r\n");
            [head.into_bytes(), body].concat()
        },
    )
}

fn response() -> impl Strategy<Value = Vec<u8>> {
    let status = prop_oneof![
        6 => Just("200 OK"),
        1 => Just("204 No Content"),
        1 => Just("304 Not Modified"),
        1 => Just("101 Switching Protocols"),
        1 => Just("404"),
        1 => Just("503 "),
    ];
    let version = prop_oneof![5 => Just("1.1"), 1 => Just("1.0")];
    (status, version, vec(field(), 0..5), body()).prop_map(|(status, version, fields, (framing, body))| {
        let head = format!("HTTP/{version} {status}\r\n{}{framing}\r\n", fields.concat());
        [head.into_bytes(), body].concat()
    })
}

fn interim() -> impl Strategy<Value = Vec<u8>> {
    (select(vec!["100 Continue", "103 Early Hints"]), vec(field(), 0..2))
        .prop_map(|(status, fields)| format!("HTTP/1.1 {status}\r\n{}\r\n", fields.concat()).into_bytes())
}

fn concat_response((interim, response): (Vec<Vec<u8>>, Vec<u8>)) -> Vec<u8> {
    [interim.concat(), response].concat()
}

/// A field line, rarely a bad one.
fn field() -> impl Strategy<Value = String> {
    let usual = vec![
        "Cookie: a=b; c=d\r\n",
        "Connection: keep-alive\r\n",
        "Connection: x-foo,\r\n",
        "Connection: Upgrade\r\n",
        "Upgrade: websocket\r\n",
        "X-Foo: 1\r\n",
        "TE: trailers\r\n",
        "Expect: 100-continue\r\n",
        "X-Forwarded-For: 10.0.0.1\r\n",
        "Empty:\r\n",
        "Tabs:\t\ta\tb\t\r\n",
        "Latin: \u{e9}\r\n",
    ];
    let unusual = vec![
        "Connection: close\r\n",
        "Connection: host\r\n",
        "Content-Length: 3\r\n",
        "Content-Length: +3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Upgrade: h2c\r\n",
        "Expect: something\r\n",
        "Host: b\r\n",
        " folded\r\n",
        "no colon\r\n",
        "Bare: a\nb\r\n",
    ];
    prop_oneof![
        20 => select(usual).prop_map(str::to_owned),
        10 => "[A-Za-z][A-Za-z0-9_-]{0,12}:[ \t]{0,2}([!-~]([ -~]{0,10}[!-~])?)?[ \t]{0,2}\r\n",
        1 => select(unusual).prop_map(str::to_owned),
    ]
}

/// The framing fields of a body, and the body.
fn body() -> impl Strategy<Value = (String, Vec<u8>)> {
    let content = || vec(any::<u8>(), 0..40);
    prop_oneof![
        Just((String::new(), Vec::new())),
        content().prop_map(|content| (format!("Content-Length: {}\r\n", content.len()), content)),
        (vec((content(), extension()), 0..4), vec(field(), 0..3)).prop_map(|(chunks, trailers)| {
            let mut body = Vec::new();
            for (content, extension) in chunks.into_iter().filter(|(content, _)| !content.is_empty()) {
                body.extend_from_slice(format!("{:X}{extension}\r\n", content.len()).as_bytes());
                body.extend_from_slice(&content);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(format!("0\r\n{}\r\n", trailers.concat()).as_bytes());
            ("Transfer-Encoding: chunked\r\n".to_owned(), body)
        }),
    ]
}

fn extension() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "(;[a-z]{1,3}(=([a-z]{1,3}|\"[ -!a-z]{0,4}\"))?){1,2}"]
}
