//! The rules of RFC 9110 and RFC 9112 as a table of messages: what is accepted and as what, what is refused
//! and why.
//!
//! Every case is read whole, byte by byte, cut at each single place, and with a good message before and after
//! it; and it passes all that is checked of generated messages.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../check/mod.rs"]
mod check;

mod fields;
mod framing;
mod limits;
mod requests;
mod responses;

use check::{End, Message, Side, check_fuzzed, check_stream, read};
use http1_codec::{Framing, Limits, Reason, Reject, Version};

/// A good request, to stand before and after others.
const GOOD_REQUEST: &[u8] = b"PUT /good HTTP/1.1\r\nHost: good\r\nContent-Length: 4\r\n\r\ngood";
/// A good response, to stand before and after others.
const GOOD_RESPONSE: &[u8] = b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\ngood";

/// One message and what must become of it.
pub(crate) struct Case {
    section: &'static str,
    name: &'static str,
    bytes: Vec<u8>,
    limits: Limits,
    side: Side,
    want: Want,
    also: Vec<Also>,
}

/// What must become of a message.
enum Want {
    /// A request with this method and target, framed like this, with this content.
    Request(&'static str, &'static str, Framing, &'static str),
    /// A response with this status, framed like this, with this content.
    Response(u16, Framing, &'static str),
    /// Refused for this reason, which a client is answered with this status.
    Refused(u16, Reason),
    /// The stream ends too early.
    Truncated,
}

/// What else must hold of an accepted message.
pub(crate) enum Also {
    Host(&'static str),
    Path(&'static str),
    Reason(&'static str),
    Http10,
    KeepsAlive(bool),
    ExpectsContinue(bool),
    Upgrade(Option<&'static str>),
    Field(&'static str, &'static str),
    Hop(&'static str),
    EndToEnd(&'static str),
    Trailer(&'static str, &'static str),
}

impl Case {
    fn new(
        section: &'static str,
        name: &'static str,
        bytes: impl AsRef<[u8]>,
        side: Side,
        want: Want,
    ) -> Self {
        let bytes = bytes.as_ref().to_vec();
        Self { section, name, bytes, limits: Limits::default(), side, want, also: Vec::new() }
    }

    pub(crate) fn also(mut self, also: Also) -> Self {
        self.also.push(also);
        self
    }

    pub(crate) fn within(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    pub(crate) fn answering_head(mut self) -> Self {
        self.side = Side::Responses { to_head: true };
        self
    }
}

/// A request that is accepted.
pub(crate) fn accept(
    section: &'static str,
    name: &'static str,
    bytes: impl AsRef<[u8]>,
    (method, target): (&'static str, &'static str),
    framing: Framing,
    body: &'static str,
) -> Case {
    Case::new(section, name, bytes, Side::Requests, Want::Request(method, target, framing, body))
}

/// A request that is refused.
pub(crate) fn refuse(
    section: &'static str,
    name: &'static str,
    bytes: impl AsRef<[u8]>,
    status: u16,
    reason: Reason,
) -> Case {
    Case::new(section, name, bytes, Side::Requests, Want::Refused(status, reason))
}

/// A request that breaks off.
pub(crate) fn truncated(section: &'static str, name: &'static str, bytes: impl AsRef<[u8]>) -> Case {
    Case::new(section, name, bytes, Side::Requests, Want::Truncated)
}

/// A response that is accepted.
pub(crate) fn answer(
    section: &'static str,
    name: &'static str,
    bytes: impl AsRef<[u8]>,
    status: u16,
    framing: Framing,
    body: &'static str,
) -> Case {
    Case::new(section, name, bytes, Side::Responses { to_head: false }, Want::Response(status, framing, body))
}

/// A response that is refused.
pub(crate) fn refuse_answer(
    section: &'static str,
    name: &'static str,
    bytes: impl AsRef<[u8]>,
    reason: Reason,
) -> Case {
    let status = Reject { reason }.status();
    Case::new(section, name, bytes, Side::Responses { to_head: false }, Want::Refused(status, reason))
}

fn all() -> Vec<Case> {
    let mut cases = requests::cases();
    cases.extend(fields::cases());
    cases.extend(framing::cases());
    cases.extend(responses::cases());
    cases.extend(limits::cases());
    cases
}

#[test]
fn there_are_enough_cases_and_each_has_its_own_name() {
    let cases = all();
    assert!(cases.len() >= 120, "{}", cases.len());
    let mut names: Vec<_> = cases.iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len());
    assert!(cases.iter().all(|case| case.section.starts_with("RFC ")));
}

#[test]
fn every_reason_has_a_case() {
    let cases = all();
    for &reason in Reason::ALL {
        let covered = cases.iter().any(|case| match case.want {
            Want::Refused(_, refused) => refused == reason,
            Want::Truncated => reason == Reason::Truncated,
            _ => false,
        });
        assert!(covered, "{reason:?}");
    }
}

#[test]
fn whole() {
    for case in all() {
        expect(&case, "whole", &[&case.bytes], 0);
    }
}

#[test]
fn byte_by_byte() {
    for case in all() {
        let bytes: Vec<_> = case.bytes.chunks(1).collect();
        expect(&case, "byte by byte", &bytes, 0);
    }
}

#[test]
fn cut_at_every_place() {
    for case in all() {
        for cut in 1..case.bytes.len() {
            let (first, second) = case.bytes.split_at(cut);
            expect(&case, &format!("cut at {cut}"), &[first, second], 0);
        }
    }
}

#[test]
fn behind_a_good_message() {
    for case in all() {
        let stream = [good(case.side), &case.bytes].concat();
        // To HEAD, what looks like the good response's body would be the next response.
        if case.side != (Side::Responses { to_head: true }) {
            expect(&case, "behind a good message", &[&stream], 1);
            let bytes: Vec<_> = stream.chunks(1).collect();
            expect(&case, "behind a good message, byte by byte", &bytes, 1);
        }
    }
}

#[test]
fn before_a_good_message() {
    for case in all() {
        if matches!(case.want, Want::Truncated | Want::Response(_, Framing::UntilClose, _)) {
            continue;
        }
        let stream = [&case.bytes, good(case.side)].concat();
        expect(&case, "before a good message", &[&stream], 0);
        for cut in 1..stream.len() {
            let (first, second) = stream.split_at(cut);
            expect(&case, &format!("before a good message, cut at {cut}"), &[first, second], 0);
        }
    }
}

#[test]
fn cases_pass_what_is_checked_of_generated_messages() {
    for case in all() {
        check_stream(case.side, &case.bytes, &[7, 3], &case.limits);
        check_stream(case.side, &[&case.bytes, good(case.side)].concat(), &[11, 2], &case.limits);
        // The same as the fuzzer would have it: as requests and responses, within usual and narrow limits.
        for mode in 0..8 {
            check_fuzzed(&[&[mode, 6, 2], &case.bytes[..]].concat());
        }
    }
}

fn good(side: Side) -> &'static [u8] {
    match side {
        Side::Requests => GOOD_REQUEST,
        // Without a body, as none is sent to HEAD.
        Side::Responses { to_head: true } => b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\n",
        Side::Responses { to_head: false } => GOOD_RESPONSE,
    }
}

/// Reads the case from these pieces, after `before` good messages.
fn expect(case: &Case, how: &str, pieces: &[&[u8]], before: usize) {
    let name = format!("{}: {} ({how})", case.section, case.name);
    let transcript = read(case.side, pieces.iter().copied(), &case.limits);
    let message = transcript.messages.get(before);
    let total: usize = pieces.iter().map(|piece| piece.len()).sum();
    let alone = total == case.bytes.len() || before > 0;
    match case.want {
        Want::Refused(status, reason) => {
            assert_eq!(transcript.end, End::Refused(reason), "{name}");
            assert_eq!(Reject { reason }.status(), status, "{name}");
            assert_eq!(transcript.messages.len(), before, "{name}");
            return;
        }
        Want::Truncated => {
            assert_eq!(transcript.end, End::Refused(Reason::Truncated), "{name}");
            return;
        }
        Want::Request(method, target, framing, body) => {
            let message = message.expect(&name);
            assert_eq!(as_text(&message.method), method, "{name}");
            assert_eq!(as_text(&message.target), target, "{name}");
            assert_eq!((message.framing, as_text(&message.body)), (framing, body.to_owned()), "{name}");
        }
        Want::Response(status, framing, body) => {
            let message = message.expect(&name);
            assert_eq!(message.status, status, "{name}");
            assert_eq!((message.framing, as_text(&message.body)), (framing, body.to_owned()), "{name}");
        }
    }
    let message = message.expect("checked above");
    for also in &case.also {
        expect_also(&name, also, message);
    }
    let closed = transcript.end == End::Closed;
    assert!(closed || transcript.end == End::Complete, "{name}: {:?}", transcript.end);
    let end = message.end - before * good(case.side).len();
    assert_eq!(end, case.bytes.len(), "{name}: where the message ends");
    if !alone && !closed {
        assert_eq!(transcript.messages.len(), before + 2, "{name}: the message behind it");
    }
}

fn expect_also(name: &str, also: &Also, message: &Message) {
    let field = |wanted: &str| message.fields.iter().find(|field| as_text(&field.name) == wanted);
    match *also {
        Also::Host(host) => assert_eq!(as_text(&message.host), host, "{name}"),
        Also::Path(path) => assert_eq!(as_text(&message.path_and_query), path, "{name}"),
        Also::Reason(reason) => assert_eq!(as_text(&message.reason), reason, "{name}"),
        Also::Http10 => assert_eq!(message.version, Version::Http10, "{name}"),
        Also::KeepsAlive(keeps) => assert_eq!(message.keep_alive, keeps, "{name}"),
        Also::ExpectsContinue(expects) => assert_eq!(message.expects_continue, expects, "{name}"),
        Also::Upgrade(upgrade) => {
            assert_eq!(message.upgrade.as_deref().map(as_text).as_deref(), upgrade, "{name}");
        }
        Also::Field(wanted, value) => {
            assert_eq!(field(wanted).map(|field| as_text(&field.value)).as_deref(), Some(value), "{name}");
        }
        Also::Hop(wanted) => assert!(field(wanted).is_some_and(|field| field.hop), "{name}"),
        Also::EndToEnd(wanted) => assert!(field(wanted).is_some_and(|field| !field.hop), "{name}"),
        Also::Trailer(wanted, value) => {
            let found = message.trailers.iter().find(|(name, _)| as_text(name) == wanted);
            assert_eq!(found.map(|(_, value)| as_text(value)).as_deref(), Some(value), "{name}");
        }
    }
}

fn as_text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
