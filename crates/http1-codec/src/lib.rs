//! Strict HTTP/1.1 as a sans-IO machine: bytes to heads, body framing, trailers, and back.
//!
//! A proxy that reads a message in another way than the system behind it can be made to forward a request
//! that it never saw (request smuggling). So this crate reads by the letter of RFC 9110 and RFC 9112, and
//! where the RFCs let a recipient choose between repairing and refusing, it refuses: a [`Reject`] names the
//! rule, its section and the status to answer with.
//!
//! Nothing here reads a socket or a clock. The caller owns a buffer and shows it to [`RequestHead::parse`] or
//! [`ResponseHead::parse`] as bytes arrive; a parsed head is a list of [`Span`]s into that buffer, in structs
//! that are reused from message to message, so that the steady state allocates nothing. [`BodyDecoder`] then
//! separates content from framing, and [`HeadWriter`] writes the head that goes on, copying untouched lines
//! through as they came.
//!
//! What is decided is a function of the bytes alone, never of how they were cut into reads: a head or body is
//! refused for the same reason whether it came whole or byte by byte.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod authority;
mod body;
mod chars;
mod field;
mod fields;
mod phrase;
mod reason;
mod request;
mod response;
mod scan;
mod span;
mod target;
mod trailers;
mod writer;

pub use body::{BodyDecoder, Piece};
pub use chars::is_token;
pub use field::{Field, FieldId, dashed};
pub use phrase::reason_phrase;
pub use reason::{Reason, Reject};
pub use request::RequestHead;
pub use response::ResponseHead;
pub use span::Span;
pub use trailers::Trailers;
pub use writer::{CHUNK_END, HeadWriter, write_chunk_head, write_last_chunk};

/// The version of a message (RFC 9112 section 2.3). Others are refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Version {
    /// `HTTP/1.0`: no transfer codings, no `100 (Continue)`, connections close unless asked otherwise.
    Http10,
    /// `HTTP/1.1`.
    #[default]
    Http11,
}

/// How the end of a message's body is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Framing {
    /// There is no body: the message ends with its head.
    #[default]
    None,
    /// The body is this many bytes long.
    Length(u64),
    /// The body comes in chunks, perhaps with trailers (RFC 9112 section 7.1).
    Chunked,
    /// The body is everything until the peer closes; responses only.
    UntilClose,
}

/// How much of a message is accepted before it is refused. All limits are inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of a head: start line, fields and the empty lines around them. At most 2^30. Default 65,536.
    pub head_bytes: usize,
    /// Field lines of a head. At most 256, whatever is written here. Default 100.
    pub fields: usize,
    /// Bytes of a request target; a longer one is answered 414. Default 16,384.
    pub target_bytes: usize,
    /// Bytes of a chunk's size line without its CRLF, extensions included. Default 256.
    pub chunk_line_bytes: usize,
    /// Bytes of all trailer lines together. At most 2^30. Default 8,192.
    pub trailer_bytes: usize,
    /// Trailer lines. At most 256, whatever is written here. Default 64.
    pub trailer_fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 65_536,
            fields: 100,
            target_bytes: 16_384,
            chunk_line_bytes: 256,
            trailer_bytes: 8_192,
            trailer_fields: 64,
        }
    }
}

/// What no setting of [`Limits`] can raise: field lines of one section.
const FIELDS_MAX: usize = 256;
/// What no setting of [`Limits`] can raise: bytes of one head or trailer section. Keeps every [`Span`] within
/// `u32`.
const SECTION_BYTES_MAX: usize = 1 << 30;
/// The longest content or chunk that is believed. Others along the way may count in signed 64 bits, and a
/// length that one of them reads as negative is a desynchronised connection.
const LENGTH_MAX: u64 = i64::MAX as u64;
