use std::string::{String, ToString};
use std::vec::Vec;

use super::*;
use crate::{Limits, RequestHead};

const HEAD: &[u8] =
    b"GET /a HTTP/1.1\r\nHost: h\r\nA: 1\r\nB:2\r\nC: 3\r\nD:\t4 \r\nE: \r\nF:\r\nG: 5\r\n\r\n";

fn parsed() -> RequestHead {
    let mut head = RequestHead::new();
    assert_eq!(head.parse(HEAD, &Limits::default()), Ok(true));
    head
}

fn text(out: Vec<u8>) -> String {
    String::from_utf8(out).unwrap()
}

#[test]
fn lines_are_copied_or_written_anew_in_order() {
    let head = parsed();
    let verbatim: Vec<_> = head.fields().iter().map(|field| field.verbatim).collect();
    assert_eq!(verbatim, [true, true, false, true, false, true, false, true]);

    let mut out = Vec::new();
    let mut writer = HeadWriter::new(&mut out);
    writer.request_line(b"GET", b"/a");
    for field in head.fields() {
        writer.copy_field(HEAD, field);
    }
    writer.end();
    assert_eq!(
        text(out),
        "GET /a HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: \r\nF: \r\nG: 5\r\n\r\n"
    );
}

#[test]
fn fields_left_out_interrupt_a_run() {
    let head = parsed();
    let mut out = Vec::new();
    let mut writer = HeadWriter::new(&mut out);
    writer.status_line(204, b"No Content");
    for field in head.fields().iter().filter(|field| !matches!(field.name.of(HEAD), b"A" | b"F")) {
        writer.copy_field(HEAD, field);
    }
    writer.field("via", b"1.1 crossfade");
    writer.field_u64("content-length", 0);
    writer.end();
    assert_eq!(
        text(out),
        "HTTP/1.1 204 No Content\r\nHost: h\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: \r\nG: 5\r\nvia: 1.1 crossfade\r\n\
         content-length: 0\r\n\r\n"
    );
}

#[test]
fn runs_of_different_buffers_are_not_joined() {
    let head = parsed();
    let other = HEAD.to_vec();
    let mut out = Vec::new();
    let mut writer = HeadWriter::new(&mut out);
    let [host, a, ..] = head.fields() else { panic!("eight fields") };
    writer.copy_field(HEAD, host);
    writer.copy_field(&other, a);
    writer.end();
    assert_eq!(text(out), "Host: h\r\nA: 1\r\n\r\n");
}

#[test]
fn targets_without_a_path_are_completed() {
    for (method, target, line) in [
        (&b"GET"[..], &b""[..], "GET / HTTP/1.1\r\n\r\n"),
        (b"GET", b"?q", "GET /?q HTTP/1.1\r\n\r\n"),
        (b"GET", b"/p?q", "GET /p?q HTTP/1.1\r\n\r\n"),
        (b"OPTIONS", b"", "OPTIONS * HTTP/1.1\r\n\r\n"),
        (b"OPTIONS", b"*", "OPTIONS * HTTP/1.1\r\n\r\n"),
    ] {
        let mut out = Vec::new();
        let mut writer = HeadWriter::new(&mut out);
        writer.request_line(method, target);
        writer.end();
        assert_eq!(text(out), line);
    }
}

#[test]
fn what_would_split_a_message_is_replaced() {
    let mut out = b"\r\n".to_vec();
    replace(&mut out, 2, |byte| byte < b' ', b'_');
    assert_eq!(out, b"\r\n", "what stood there before stays");
    out.extend_from_slice(b"a\r\nset-cookie: b\0\xe9");
    replace(&mut out, 2, |byte| byte < b' ', b'_');
    assert_eq!(out, b"\r\na__set-cookie: b_\xe9");
}

#[test]
fn a_value_may_come_in_parts() {
    let mut out = Vec::new();
    let mut writer = HeadWriter::new(&mut out);
    writer.field_of("via", &[b"1.0 a", b", ", b"1.1 b"]);
    writer.field_of("empty", &[]);
    writer.end();
    assert_eq!(text(out), "via: 1.0 a, 1.1 b\r\nempty: \r\n\r\n");
}

#[test]
fn lines_may_come_with_values_between() {
    let mut out = Vec::new();
    let mut writer = HeadWriter::new(&mut out);
    writer.lines_of(&[("a: ", b"1"), ("\r\nb: x=", b""), (";y=", b"2")], "\r\n");
    writer.end();
    assert_eq!(text(out), "a: 1\r\nb: x=;y=2\r\n\r\n");
}

#[cfg(not(debug_assertions))]
#[test]
fn release_builds_write_harmless_lines() {
    let mut out = Vec::new();
    let mut writer = HeadWriter::new(&mut out);
    writer.request_line(b"G\rT", b"/a b\r\n");
    writer.field("a\r\nb:", b"c\r\nd: e");
    writer.end();
    write_chunk_head(&mut out, 0);
    assert_eq!(text(out), "G_T /a_b__ HTTP/1.1\r\na__b:: c  d: e\r\n\r\n");
}

#[test]
fn a_control_is_found_wherever_it_stands() {
    for len in 0..40 {
        for fill in [b'!', b'~', 0x7f, 0x80, 0xff] {
            let mut bytes = std::vec![fill; len];
            assert!(!any_below::<b'!'>(&bytes), "{len} times {fill}");
            for at in 0..len {
                for control in [0, b'\r', b'\n', b' '] {
                    bytes[at] = control;
                    assert!(any_below::<b'!'>(&bytes), "{control} at {at} of {len}");
                    assert_eq!(any_below::<b' '>(&bytes), control != b' ');
                }
                bytes[at] = fill;
            }
        }
    }
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "controls in a line")]
fn debug_builds_tell_the_caller() {
    HeadWriter::new(&mut Vec::new()).field("a", b"b\r\nc: d");
}

#[test]
fn numbers_are_written_in_their_bases() {
    for number in [0, 7, 10, 4096, u64::MAX] {
        let mut out = Vec::new();
        push_decimal(&mut out, number);
        assert_eq!(text(out), number.to_string());
    }
    for (len, line) in [(1, "1\r\n"), (0xa, "a\r\n"), (0x10, "10\r\n"), (0xfe_dc, "fedc\r\n")] {
        let mut out = Vec::new();
        write_chunk_head(&mut out, len);
        assert_eq!(text(out), line);
    }
}

#[test]
fn the_last_chunk_carries_what_may_be_a_trailer() {
    let limits = Limits::default();
    let mut trailers = Trailers::new();
    trailers.push(b"grpc-status", b"0", &limits).unwrap();
    trailers.push(b"Content-Length", b"5", &limits).unwrap();
    let mut out = Vec::new();
    write_last_chunk(&mut out, Some(&trailers));
    write_last_chunk(&mut out, None);
    assert_eq!(text(out), "0\r\ngrpc-status: 0\r\n\r\n0\r\n\r\n");
}
