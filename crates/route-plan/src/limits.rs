//! How long things may take, and how much of them there may be.

use std::num::NonZeroU32;

/// How long the parts of one request may take, in milliseconds. Small, since every request under way carries one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// Until a connection stands.
    pub connect_ms: u32,
    /// From the end of the request to the head of the answer.
    pub first_byte_ms: u32,
    /// While no byte moves either way.
    pub idle_ms: u32,
    /// For the whole exchange; `None`: as long as bytes move.
    pub total_ms: Option<NonZeroU32>,
    /// An answer whose head takes longer is a failure for the guard, though the client still gets it; `None`: as long
    /// as the guard says, if there is one.
    pub fail_after_ms: Option<NonZeroU32>,
    /// How long an upgraded connection (WebSocket) may carry nothing.
    pub tunnel_idle_ms: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect_ms: 2_000,
            first_byte_ms: 30_000,
            idle_ms: 60_000,
            total_ms: None,
            fail_after_ms: None,
            tunnel_idle_ms: 3_600_000,
        }
    }
}

/// What clients may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionLimits {
    /// Client connections open at once, over all listeners. More are closed as soon as they are accepted.
    pub connections: usize,
    /// Requests under way at once, over all listeners. More are answered with 503.
    pub requests: usize,
    /// Bytes of a request's head, from the request line to the empty line.
    pub header_bytes: usize,
    /// Header fields of one request.
    pub header_count: usize,
    /// Bytes of the request target.
    pub target_bytes: usize,
    /// Bytes of a request's content; `None`: any number, since bodies are streamed.
    pub body_bytes: Option<u64>,
    /// How long a connection may wait for its next request, in milliseconds.
    pub idle_timeout_ms: u64,
    /// How long a request's head may take from its first byte, in milliseconds.
    pub header_timeout_ms: u64,
    /// Bytes in a second that a client must send of a body, on the average of any
    /// [`ConnectionLimits::RATE_PERIOD_MS`] in which it is the one that is waited for, and must take of an answer, on that
    /// of [`Timeouts::idle_ms`]; 0: any.
    pub min_rate_bytes: u64,
    /// How long a connection is used at all, in milliseconds; it ends between two requests.
    pub lifetime_ms: u64,
    /// Requests on one connection, after which it ends.
    pub requests_per_connection: u64,
}

impl ConnectionLimits {
    /// Over how long the rate of a body is taken, in milliseconds.
    pub const RATE_PERIOD_MS: u64 = 10_000;
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            requests: 20_000,
            header_bytes: 64 << 10,
            header_count: 100,
            target_bytes: 8 << 10,
            body_bytes: None,
            idle_timeout_ms: 60_000,
            header_timeout_ms: 10_000,
            min_rate_bytes: 128,
            lifetime_ms: 86_400_000,
            requests_per_connection: 1_000_000,
        }
    }
}

/// What the clients of one listener may use up. Process totals; each worker gets its part, rounded up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListenerLimits {
    /// Connections open at once; `None`: what the process allows.
    pub connections: Option<usize>,
    /// Requests under way at once; `None`: what the process allows.
    pub requests: Option<usize>,
}
