//! Where a request's body ends: lengths, codings, chunks and trailers.

use http1_codec::{Framing, Reason};

use crate::{Also, Case, accept, refuse, truncated};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = lengths();
    cases.extend(codings());
    cases.extend(chunks());
    cases.extend(malformed_chunks());
    cases.extend(extensions());
    cases.extend(trailers());
    cases
}

/// A POST with these field lines and what follows the head.
fn post(fields: &str, rest: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{rest}")
}

fn chunked(rest: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", rest)
}

fn ok(
    section: &'static str,
    name: &'static str,
    bytes: String,
    framing: Framing,
    body: &'static str,
) -> Case {
    accept(section, name, bytes, ("POST", "/"), framing, body)
}

fn bad(section: &'static str, name: &'static str, bytes: impl AsRef<[u8]>, reason: Reason) -> Case {
    refuse(section, name, bytes, 400, reason)
}

#[rustfmt::skip]
fn lengths() -> Vec<Case> {
    vec![
        ok("RFC 9112 6.3", "a body of known length", post("Content-Length: 5\r\n", "hello"), Framing::Length(5), "hello"),
        ok("RFC 9112 6.3", "a length of zero", post("Content-Length: 0\r\n", ""), Framing::None, "")
            .also(Also::Field("content-length", "0")),
        ok("RFC 9112 6.3", "no length", post("", ""), Framing::None, ""),
        ok("RFC 9110 8.6", "leading zeros", post("Content-Length: 0005\r\n", "hello"), Framing::Length(5), "hello"),
        ok(
            "RFC 9112 6.3",
            "a body that looks like a request",
            post("Content-Length: 18\r\n", "GET / HTTP/1.1\r\n\r\n"),
            Framing::Length(18),
            "GET / HTTP/1.1\\r\\n\\r\\n",
        ),
        accept("RFC 9112 6", "a body for GET", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", ("GET", "/"), Framing::Length(2), "hi"),
        bad("RFC 9110 8.6", "lengths that differ", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), Reason::LengthRepeated),
        bad("RFC 9110 8.6", "lengths that are equal", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), Reason::LengthRepeated),
        bad("RFC 9110 8.6", "a list of equal lengths", post("Content-Length: 5, 5\r\n", "hello"), Reason::BadLength),
        bad("RFC 9110 8.6", "a list with an empty element", post("Content-Length: 5,\r\n", "hello"), Reason::BadLength),
        bad("RFC 9110 8.6", "a plus sign", post("Content-Length: +5\r\n", "hello"), Reason::BadLength),
        bad("RFC 9110 8.6", "a minus sign", post("Content-Length: -1\r\n", ""), Reason::BadLength),
        bad("RFC 9110 8.6", "a hexadecimal length", post("Content-Length: 0x5\r\n", "hello"), Reason::BadLength),
        bad("RFC 9110 8.6", "a fraction", post("Content-Length: 5.0\r\n", "hello"), Reason::BadLength),
        bad("RFC 9110 8.6", "a space between digits", post("Content-Length: 1 0\r\n", "hello"), Reason::BadLength),
        bad("RFC 9110 8.6", "an underscore between digits", post("Content-Length: 1_0\r\n", "hello"), Reason::BadLength),
        bad("RFC 9110 8.6", "an empty length", post("Content-Length:\r\n", ""), Reason::BadLength),
        bad("RFC 9110 8.6", "a quoted length", post("Content-Length: \"5\"\r\n", "hello"), Reason::BadLength),
        bad("RFC 9110 8.6", "a length beyond 64 bits", post("Content-Length: 18446744073709551616\r\n", ""), Reason::BadLength),
        bad("RFC 9110 8.6", "a length that some read as negative", post("Content-Length: 9223372036854775808\r\n", ""), Reason::BadLength),
        bad("RFC 9110 8.6", "digits of another script", post("Content-Length: \u{0665}\r\n", "hello"), Reason::BadLength),
        truncated("RFC 9112 8", "a body that breaks off", post("Content-Length: 5\r\n", "hell")),
        truncated("RFC 9112 8", "the longest length that is believed", post("Content-Length: 9223372036854775807\r\n", "x")),
    ]
}

#[rustfmt::skip]
fn codings() -> Vec<Case> {
    let te = |value: &str| post(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n");
    vec![
        ok("RFC 9112 6.1", "chunked in any case", te("ChUnKeD"), Framing::Chunked, "")
            .also(Also::Hop("transfer-encoding")),
        ok("RFC 9112 6.1", "chunked between tabs", te("\tchunked\t"), Framing::Chunked, ""),
        bad("RFC 9112 6.1", "both framings", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), Reason::LengthAndCoding),
        bad(
            "RFC 9112 6.1",
            "both framings the other way round",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
            Reason::LengthAndCoding,
        ),
        bad(
            "RFC 9112 6.1",
            "both framings with a length of zero",
            post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "0\r\n\r\n"),
            Reason::LengthAndCoding,
        ),
        refuse("RFC 9112 6.1", "a coding before chunked", te("gzip, chunked"), 501, Reason::UnsupportedCoding),
        refuse(
            "RFC 9112 6.1",
            "codings on two lines",
            post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            501,
            Reason::UnsupportedCoding,
        ),
        refuse("RFC 9112 6.1", "identity before chunked", te("identity, chunked"), 501, Reason::UnsupportedCoding),
        bad("RFC 9112 6.3", "chunked is not last", te("chunked, gzip"), Reason::BadCoding),
        bad(
            "RFC 9112 6.3",
            "chunked is not last, on two lines",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
            Reason::BadCoding,
        ),
        bad("RFC 9112 6.3", "no chunked at all", te("gzip"), Reason::BadCoding),
        bad("RFC 9112 6.3", "identity", te("identity"), Reason::BadCoding),
        bad("RFC 9112 6.1", "chunked twice", te("chunked, chunked"), Reason::CodingRepeated),
        bad("RFC 9112 6.1", "chunked on two lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), Reason::CodingRepeated),
        bad("RFC 9112 6.3", "something like chunked", te("xchunked"), Reason::BadCoding),
        bad("RFC 9112 6.3", "chunked in quotes", te("\"chunked\""), Reason::BadCoding),
        bad("RFC 9112 7.1", "chunked with a parameter", te("chunked;q=1"), Reason::BadCoding),
        bad("RFC 9112 6.3", "chunked and an empty element", te("chunked,"), Reason::BadCoding),
        bad("RFC 9112 6.3", "an empty element and chunked", te(", chunked"), Reason::BadCoding),
        bad("RFC 9112 6.3", "no coding", te(""), Reason::BadCoding),
        bad("RFC 9110 5.5", "a vertical tab before chunked", te("\x0bchunked"), Reason::BadValue),
        bad("RFC 9112 5.1", "a space before the colon of a coding", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), Reason::SpaceBeforeColon),
        bad("RFC 9112 6.1", "a coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Reason::CodingInHttp10),
        ok(
            "RFC 9110 7.6.1",
            "Connection may name Transfer-Encoding",
            post("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            Framing::Chunked,
            "",
        ),
    ]
}

#[rustfmt::skip]
fn chunks() -> Vec<Case> {
    vec![
        ok("RFC 9112 7.1", "two chunks", chunked("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), Framing::Chunked, "hello world"),
        ok("RFC 9112 7.1", "no chunks", chunked("0\r\n\r\n"), Framing::Chunked, ""),
        ok("RFC 9112 7.1", "a size in either case", chunked("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), Framing::Chunked, "01234567890123456789"),
        ok("RFC 9112 7.1", "zeros before a size", chunked("0000000000000005\r\nhello\r\n000\r\n\r\n"), Framing::Chunked, "hello"),
        ok("RFC 9112 7.1", "CRLF within data", chunked("4\r\n\r\n\r\n\r\n0\r\n\r\n"), Framing::Chunked, "\\r\\n\\r\\n"),
        truncated("RFC 9112 8", "chunks that break off", chunked("5\r\nhello\r\n")),
        truncated("RFC 9112 8", "a chunk that breaks off", chunked("5\r\nhel")),
        truncated("RFC 9112 8", "no empty line after the last chunk", chunked("0\r\n")),
        truncated("RFC 9112 7.1", "the longest chunk that is believed", chunked("7fffffffffffffff\r\nx")),
    ]
}

#[rustfmt::skip]
fn malformed_chunks() -> Vec<Case> {
    vec![
        bad("RFC 9112 7.1", "an empty size", chunked("\r\nhello"), Reason::BadChunkSize),
        bad("RFC 9112 7.1", "a size that is no number", chunked("g\r\n"), Reason::BadChunkSize),
        bad("RFC 9112 7.1", "a size with a prefix", chunked("0x5\r\nhello\r\n"), Reason::BadChunkSize),
        bad("RFC 9112 7.1", "a negative size", chunked("-5\r\nhello\r\n"), Reason::BadChunkSize),
        bad("RFC 9112 7.1", "a size with a sign", chunked("+5\r\nhello\r\n"), Reason::BadChunkSize),
        bad("RFC 9112 7.1", "a space before the size", chunked(" 5\r\nhello\r\n"), Reason::BadChunkSize),
        bad("RFC 9112 7.1", "a space after the size", chunked("5 \r\nhello\r\n"), Reason::BadChunkSize),
        bad("RFC 9112 7.1", "an underscore in the size", chunked("1_0\r\nhello\r\n"), Reason::BadChunkSize),
        bad("RFC 9112 7.1", "a size beyond 64 bits", chunked("10000000000000000\r\n"), Reason::ChunkSizeOverflow),
        bad("RFC 9112 7.1", "a size that some read as negative", chunked("8000000000000000\r\n"), Reason::ChunkSizeOverflow),
        bad("RFC 9112 7.1", "a size of too many zeros", chunked("00000000000000005\r\nhello\r\n"), Reason::ChunkSizeOverflow),
        bad("RFC 9112 2.2", "a bare LF after the size", chunked("5\nhello\r\n0\r\n\r\n"), Reason::BareLf),
        bad("RFC 9112 2.2", "a bare CR after the size", chunked("5\rhello\r\n0\r\n\r\n"), Reason::BareCr),
        bad("RFC 9112 2.2", "a bare LF after the data", chunked("5\r\nhello\n0\r\n\r\n"), Reason::BareLf),
        bad("RFC 9112 7.1", "data longer than its size", chunked("5\r\nhello!\r\n0\r\n\r\n"), Reason::ChunkNotTerminated),
        bad("RFC 9112 7.1", "a bare CR after the data", chunked("5\r\nhello\r0\r\n\r\n"), Reason::ChunkNotTerminated),
        bad("RFC 9112 2.2", "a bare LF after the last chunk", chunked("0\n\r\n"), Reason::BareLf),
        bad("RFC 9112 2.2", "a bare LF at the end", chunked("0\r\n\n"), Reason::BareLf),
        bad("RFC 9112 2.2", "a bare CR at the end", chunked("0\r\n\rX"), Reason::BareCr),
    ]
}

#[rustfmt::skip]
fn extensions() -> Vec<Case> {
    vec![
        ok("RFC 9112 7.1.1", "a chunk extension", chunked("5;a\r\nhello\r\n0\r\n\r\n"), Framing::Chunked, "hello"),
        ok("RFC 9112 7.1.1", "extensions with values", chunked("5;a=b;c=\"d;\\\" \te\";f\r\nhello\r\n0;g=\"\"\r\n\r\n"), Framing::Chunked, "hello"),
        bad("RFC 9112 7.1.1", "an extension without a name", chunked("5;\r\nhello\r\n0\r\n\r\n"), Reason::BadChunkExtension),
        bad("RFC 9112 7.1.1", "an extension without a value", chunked("5;a=\r\nhello\r\n0\r\n\r\n"), Reason::BadChunkExtension),
        bad("RFC 9112 7.1.1", "an extension with two values", chunked("5;a=b=c\r\nhello\r\n0\r\n\r\n"), Reason::BadChunkExtension),
        bad("RFC 9112 7.1.1", "white space before an extension", chunked("5 ;a\r\nhello\r\n0\r\n\r\n"), Reason::BadChunkSize),
        bad("RFC 9112 7.1.1", "white space in an extension", chunked("5; a\r\nhello\r\n0\r\n\r\n"), Reason::BadChunkExtension),
        bad("RFC 9112 7.1.1", "an extension without a size", chunked(";a\r\nhello\r\n0\r\n\r\n"), Reason::BadChunkSize),
        bad("RFC 9112 7.1.1", "an open quotation", chunked("5;a=\"b\r\nhello\r\n0\r\n\r\n"), Reason::BadChunkExtension),
        bad("RFC 9112 7.1.1", "text after a quotation", chunked("5;a=\"b\"c\r\nhello\r\n0\r\n\r\n"), Reason::BadChunkExtension),
        bad("RFC 9112 7.1.1", "a NUL in a quotation", chunked("5;a=\"\0\"\r\nhello\r\n0\r\n\r\n"), Reason::BadChunkExtension),
        bad("RFC 9112 2.2", "a bare LF in an extension", chunked("5;a\nhello\r\n0\r\n\r\n"), Reason::BareLf),
        bad("RFC 9112 2.2", "a bare LF in a quotation", chunked("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"), Reason::BareLf),
    ]
}

#[rustfmt::skip]
fn trailers() -> Vec<Case> {
    let with = |trailers: &str| chunked(&format!("2\r\nhi\r\n0\r\n{trailers}\r\n"));
    vec![
        ok("RFC 9112 7.1.2", "trailers", with("Grpc-Status: 0\r\nB:  c \r\n"), Framing::Chunked, "hi")
            .also(Also::Trailer("grpc-status", "0"))
            .also(Also::Trailer("b", "c")),
        ok("RFC 9110 6.5.1", "trailers that go no further", with("Content-Length: 5\r\nHost: b\r\n"), Framing::Chunked, "hi")
            .also(Also::Trailer("content-length", "5")),
        bad("RFC 9112 5.2", "a folded trailer", with("A: b\r\n c\r\n"), Reason::Folded),
        bad("RFC 9112 5.1", "a space before a trailer's colon", with("A : b\r\n"), Reason::SpaceBeforeColon),
        bad("RFC 9112 5", "a trailer without a colon", with("abc\r\n"), Reason::MissingColon),
        bad("RFC 9112 5", "a trailer without a name", with(": b\r\n"), Reason::EmptyName),
        bad("RFC 9110 5.1", "a trailer whose name is no token", with("A\"B: c\r\n"), Reason::BadName),
        bad("RFC 9110 5.5", "a NUL in a trailer", with("A: \0\r\n"), Reason::BadValue),
        bad("RFC 9112 2.2", "a bare CR in a trailer", with("A: b\rc\r\n"), Reason::BareCr),
        bad("RFC 9112 2.2", "a bare LF after a trailer", with("A: b\n"), Reason::BareLf),
        bad("RFC 9112 2.2", "white space before the first trailer", with(" A: b\r\n"), Reason::SpaceBeforeFields),
        bad("RFC 9112 7.1", "a request in place of the empty line", chunked("0\r\nGET / HTTP/1.1\r\n\r\n"), Reason::BadName),
    ]
}
