//! What is captured of the two answers.

use route_plan::{CapturedBody, NotCopied, Pair};
use test_kit::{Framing, Origin, Scripted, pattern, request};
use traffic_split::Arm;
use xxhash_rust::xxh3::xxh3_128;

use crate::rig::{Rig, body, field, policy};

/// The pair that comes of `GET /` when old and new answer these bytes, in pieces.
fn pair_of(request: Vec<u8>, old_answer: &[&str], new_answer: &[&str]) -> (test_kit::Response, Box<Pair>) {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let rig = Rig::start(old.addr(), new.addr(), |_| {});
    let mut client = rig.client();
    let is_head = request.starts_with(b"HEAD ");
    client.send(request);
    let mut to_old = old.accept();
    to_old.request();
    let mut to_new = new.accept();
    to_new.request();
    let most = old_answer.len().max(new_answer.len());
    for at in 0..most {
        for (wire, pieces) in [(&mut to_old, old_answer), (&mut to_new, new_answer)] {
            if let Some(piece) = pieces.get(at) {
                wire.send(piece);
                std::thread::park_timeout(std::time::Duration::from_millis(15));
            }
        }
    }
    let ends = |pieces: &[&str]| pieces.concat().to_ascii_lowercase().contains("connection: close");
    if ends(old_answer) {
        drop(to_old);
    }
    if ends(new_answer) {
        drop(to_new);
    }
    let answer = if is_head { client.response_to_head() } else { client.response() };
    (answer, rig.pair())
}

#[test]
fn heads_are_captured_as_they_came() {
    let old = "HTTP/1.1 200 OK\r\nServer: old\r\nX-A: 1\r\nX-A: 2\r\nconnection: x-hop\r\nx-hop: 1\r\n\
               Set-Cookie: a=b\r\ncontent-length: 3\r\n\r\nold";
    let new = "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nnew";
    let (answer, pair) = pair_of(request::get("/"), &[old], &[new]);
    assert_eq!((answer.status, answer.text().as_str()), (200, "old"));
    let [served, copied] = &pair.answers;
    assert_eq!((served.status, copied.status), (200, 404));
    let all: Vec<_> = served.headers.iter().filter(|line| line.0 == b"X-A").collect();
    assert_eq!(all.len(), 2);
    assert_eq!(field(&served.headers, "server"), Some("old"));
    assert_eq!(field(&served.headers, "x-hop"), None, "it belongs to the connection");
    assert_eq!(field(&served.headers, "via"), None, "nothing of ours is in it");
    assert_eq!(field(&copied.headers, "content-type"), Some("text/plain"));
    assert_eq!((body(&pair, Arm::Old), body(&pair, Arm::New)), (&b"old"[..], &b"new"[..]));
    assert!(served.to_head_us > 0 && copied.to_head_us > 0);
}

#[test]
fn chunks_and_trailers_are_taken_off_however_they_come() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n";
    let old = [head, "3\r\nabc\r", "\n4;x=y\r\nde", "fg\r\n0\r\nx-sum: 7\r\n\r\n"];
    let new = [head, "7\r\nabcdefg\r\n0\r\nx-sum: 8\r\n\r\n"];
    let (answer, pair) = pair_of(request::get("/"), &old, &new);
    assert_eq!((answer.text().as_str(), answer.trailers.get("x-sum")), ("abcdefg", Some("7")));
    assert_eq!(body(&pair, Arm::Old), body(&pair, Arm::New));
    let [served, copied] = &pair.answers;
    assert_eq!((field(&served.trailers, "x-sum"), field(&copied.trailers, "x-sum")), (Some("7"), Some("8")));
}

#[test]
fn interim_answers_are_passed_over() {
    let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let (answer, pair) = pair_of(
        request::get("/"),
        &["HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nold"],
        &[interim, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nnew"],
    );
    assert_eq!(answer.text(), "old");
    assert_eq!(pair.answers.each_ref().map(|one| one.status), [200, 200]);
    assert_eq!(field(&pair.answers[1].headers, "link"), None);
}

#[test]
fn answers_without_content_have_none() {
    for (asked, old, new) in [
        (request::with("HEAD", "/", &[], b""), "200 OK\r\ncontent-length: 9", "200 OK\r\ncontent-length: 8"),
        (request::get("/"), "204 No Content", "204 No Content"),
        (request::get("/"), "304 Not Modified\r\ncontent-length: 9", "200 OK\r\ncontent-length: 0"),
    ] {
        let answer = |head: &str| format!("HTTP/1.1 {head}\r\n\r\n");
        let (_, pair) = pair_of(asked, &[&answer(old)], &[&answer(new)]);
        assert!(body(&pair, Arm::Old).is_empty() && body(&pair, Arm::New).is_empty(), "{old}");
    }
}

#[test]
fn answers_that_end_with_their_connection_are_whole() {
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
    let (answer, pair) = pair_of(request::get("/"), &[head, "old ", "end"], &[head, "new ", "end"]);
    assert_eq!((answer.framing, answer.text().as_str()), (Framing::Chunked, "old end"));
    assert_eq!((body(&pair, Arm::Old), body(&pair, Arm::New)), (&b"old end"[..], &b"new end"[..]));
}

#[test]
fn long_answers_are_hashed_in_constant_memory() {
    const BYTES: usize = 8_000_000;
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let rig = Rig::start(old.addr(), new.addr(), |migration| {
        policy(migration).capture_bytes = 100_000;
        policy(migration).deadline_ms = 60_000;
    });
    let hash = xxh3_128(&pattern::bytes(BYTES));
    for path in ["/bytes/", "/chunks/"] {
        let mut client = rig.client();
        client.send(request::get(&format!("{path}{BYTES}")));
        let framing = client.response_head().framing;
        let mut seen = 0;
        client.body_into(framing, &mut |piece| seen += piece.len()).unwrap();
        assert_eq!(seen, BYTES);
        let pair = rig.pair();
        for answer in &pair.answers {
            assert_eq!(answer.body, CapturedBody::Hashed { bytes: BYTES as u64, hash });
        }
        assert!(rig.telemetry.lane(0).memory() < 300_000);
    }
    rig.expect_no_memory();
    for bytes in [100_000, 100_001] {
        rig.client().exchange(request::get(&format!("/bytes/{bytes}")));
        let is_whole = matches!(rig.pair().answers[0].body, CapturedBody::Whole(_));
        assert_eq!(is_whole, bytes == 100_000);
    }
}

#[test]
fn an_answer_that_is_cut_short_is_not_compared() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let rig = Rig::start(old.addr(), new.addr(), |_| {});
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort";
    for is_served in [true, false] {
        let mut client = rig.client();
        client.send(request::get("/"));
        let (mut to_old, mut to_new) = (old.accept(), new.accept());
        to_old.request();
        to_new.request();
        let close = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
        to_old.send(if is_served { short } else { close });
        to_new.send(if is_served { close } else { short });
        drop((to_old, to_new));
        assert_eq!(client.try_response().is_err(), is_served);
    }
    rig.expect(2, &[(NotCopied::NotServed, 1), (NotCopied::Failed, 1)]);
    rig.expect_no_memory();
}
