//! What must hold for every byte string, checked by the generated tests, the conformance table and the fuzz
//! target:
//!
//! - nothing panics, and spans lie where they should;
//! - however the bytes are cut into reads, the outcome is the same;
//! - what is written from a parsed message parses back to the same message;
//! - what is accepted, hyper's own parser reads alike: method, target, fields, body, and where the message
//!   ends.
//!
//! Nothing is required of messages that are refused: hyper repairs much that this crate does not.

mod reference;
mod transcript;

use http1_codec::{
    CHUNK_END, FieldId, Framing, HeadWriter, Limits, Trailers, Version, write_chunk_head, write_last_chunk,
};
pub(crate) use transcript::{End, Message, Side, read};

/// Checks one stream of messages; `cuts` are distances between reads, used in turn.
pub(crate) fn check_stream(side: Side, stream: &[u8], cuts: &[u8], limits: &Limits) {
    let whole = read(side, [stream], limits);
    let single = read(side, stream.chunks(1), limits);
    assert_eq!(whole, single, "byte by byte differs: {}", stream.escape_ascii());
    if !cuts.is_empty() {
        let cut = read(side, pieces(stream, cuts), limits);
        assert_eq!(whole, cut, "cut by {cuts:?} differs: {}", stream.escape_ascii());
    }
    for message in &whole.messages {
        check_round_trip(side, message, limits);
    }
    match side {
        Side::Requests => reference::check_requests(stream, &whole),
        Side::Responses { .. } => reference::check_responses(side, stream, &whole),
    }
}

/// Checks bytes of which the first few say how to read the rest; for the fuzzer.
pub(crate) fn check_fuzzed(data: &[u8]) {
    let Some((&[mode, first_cut, second_cut], stream)) = data.split_first_chunk::<3>() else { return };
    let side = match mode & 3 {
        0 | 1 => Side::Requests,
        2 => Side::Responses { to_head: false },
        _ => Side::Responses { to_head: true },
    };
    let limits = if mode & 4 == 0 {
        Limits::default()
    } else {
        Limits {
            head_bytes: 192,
            fields: 5,
            target_bytes: 24,
            chunk_line_bytes: 16,
            trailer_bytes: 32,
            trailer_fields: 2,
        }
    };
    check_stream(side, stream, &[first_cut % 64 + 1, second_cut % 16 + 1], &limits);
}

fn pieces<'s>(stream: &'s [u8], cuts: &[u8]) -> impl Iterator<Item = &'s [u8]> {
    let mut cuts = cuts.iter().cycle();
    let mut rest = stream;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let cut = cuts.next().map_or(1, |&cut| usize::from(cut).max(1));
        let (piece, after) = rest.split_at(cut.min(rest.len()));
        rest = after;
        Some(piece)
    })
}

/// Writes the message as a proxy would write it on and reads it back.
fn check_round_trip(side: Side, message: &Message, limits: &Limits) {
    let bytes = write(side, message, limits);
    // What is written may be longer than what was read: `a:b` becomes `a: b`.
    let wide = Limits {
        head_bytes: limits.head_bytes + limits.fields + 256,
        fields: limits.fields + 1,
        target_bytes: limits.target_bytes + 1,
        ..Limits::default()
    };
    let again = read(side, [bytes.as_slice()], &wide);
    let shown = bytes.escape_ascii();
    let [back] = &again.messages[..] else { panic!("{again:?} after writing {shown}") };
    assert!(matches!(again.end, End::Complete | End::Closed), "{:?} after writing {shown}", again.end);
    let mut want = message.clone();
    want.target.clone_from(&message.path_and_query);
    // Only HTTP/1.1 is ever written, so what is peculiar to HTTP/1.0 does not come back.
    if message.version == Version::Http10 {
        want.version = Version::Http11;
        want.keep_alive = back.keep_alive;
        want.upgrade.clone_from(&back.upgrade);
        want.expects_continue = back.expects_continue;
        if want.host.is_empty() {
            want.host.clone_from(&back.host);
        }
        want.fields.retain(|field| field.id != FieldId::Expect);
    }
    want.end = back.end;
    want.trailers.clone_from(&back.trailers);
    assert_eq!(*back, want, "after writing {shown}");
    let mut rest = message.trailers.iter();
    assert!(back.trailers.iter().all(|trailer| rest.any(|sent| sent == trailer)), "trailers in {shown}");
    for (name, _) in &back.trailers {
        assert!(!matches!(&name[..], b"content-length" | b"transfer-encoding" | b"host"), "{shown}");
    }
}

fn write(side: Side, message: &Message, limits: &Limits) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = HeadWriter::new(&mut out);
    if side == Side::Requests {
        writer.request_line(&message.method, &message.path_and_query);
        writer.field("host", if message.host.is_empty() { b"unknown" } else { &message.host });
    } else {
        writer.status_line(message.status, &message.reason);
    }
    for field in &message.fields {
        if !(message.version == Version::Http10 && field.id == FieldId::Expect) {
            writer.copy_field(&message.head, &field.parsed);
        }
    }
    writer.end();
    match message.framing {
        Framing::Chunked => {
            for chunk in message.body.chunks(message.body.len() / 3 + 1) {
                write_chunk_head(&mut out, chunk.len());
                out.extend_from_slice(chunk);
                out.extend_from_slice(CHUNK_END);
            }
            let mut trailers = Trailers::new();
            for (name, value) in &message.trailers {
                trailers.push(name, value, limits).expect("they were read within the same limits");
            }
            write_last_chunk(&mut out, Some(&trailers));
        }
        _ => out.extend_from_slice(&message.body),
    }
    out
}
