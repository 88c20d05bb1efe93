//! One line of the access log: a flat JSON object with the names of OpenTelemetry's semantic conventions.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use route_plan::outcome::Failure;
use traffic_split::Arm;

/// How many bytes of a text that a client chose are logged; the rest is cut off.
const MAX_TEXT_BYTES: usize = 2048;
/// How many such texts a line has.
const MAX_TEXTS: usize = 6;
/// An upper bound of a line's length: a byte becomes at most six (`\u0000`), names and numbers take the rest.
pub(super) const MAX_BYTES: usize = MAX_TEXTS * MAX_TEXT_BYTES * 6 + 2048;

/// What is logged of one request. Times are durations; the line is stamped when it is logged, at the request's end.
#[derive(Clone, Copy, Debug)]
pub struct AccessEntry<'a> {
    /// Address of the client, after the trusted proxies in front.
    pub client: IpAddr,
    /// The method as sent.
    pub method: &'a [u8],
    /// The host as sent, without port.
    pub host: &'a [u8],
    /// The path as forwarded, without the query, which may hold secrets.
    pub path: &'a [u8],
    /// The status that the client was given, if any.
    pub status: Option<u16>,
    /// From the first byte of the request to the last byte of the answer.
    pub duration: Duration,
    /// To the head of the upstream's answer, if it came.
    pub to_head: Option<Duration>,
    /// Bytes of the request's body.
    pub request_body_bytes: u64,
    /// Bytes of the answer's body.
    pub response_body_bytes: u64,
    /// The migration's name, if one matched.
    pub migration: Option<&'a str>,
    /// The plain route's name, if one matched.
    pub route: Option<&'a str>,
    /// The arm that was asked.
    pub arm: Option<Arm>,
    /// Why that arm: `bucket`, `key-list`, `forced-header`, `no-key`.
    pub reason: Option<&'static str>,
    /// Why the upstream failed, if it did.
    pub failure: Option<Failure>,
    /// Why crossfade refused the request itself, if it did.
    pub refused: Option<&'static str>,
    /// Whether the client went away before its answer was complete.
    pub client_aborted: bool,
    /// Whether it was closed because its user was back on old.
    pub drained: bool,
    /// The request id, taken over or generated.
    pub request_id: &'a [u8],
    /// The `User-Agent`, if sent.
    pub user_agent: Option<&'a [u8]>,
}

impl AccessEntry<'_> {
    /// An entry that says nothing, to fill in.
    pub const EMPTY: AccessEntry<'static> = AccessEntry {
        client: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        method: b"",
        host: b"",
        path: b"",
        status: None,
        duration: Duration::ZERO,
        to_head: None,
        request_body_bytes: 0,
        response_body_bytes: 0,
        migration: None,
        route: None,
        arm: None,
        reason: None,
        failure: None,
        refused: None,
        client_aborted: false,
        drained: false,
        request_id: b"",
        user_agent: None,
    };

    /// Appends the line with its line feed; at most [`MAX_BYTES`].
    pub(super) fn write(&self, now: jiff::Timestamp, out: &mut Vec<u8>) {
        let start = out.len();
        // Writing to a vector cannot fail.
        let _ = write!(out, "{{\"timestamp\":\"{now:.6}\",\"client.address\":\"{}\"", self.client);
        text(out, "http.request.method", self.method);
        text(out, "server.address", self.host);
        text(out, "url.path", self.path);
        if let Some(status) = self.status {
            let _ = write!(out, ",\"http.response.status_code\":{status}");
        }
        seconds(out, "duration_seconds", self.duration);
        if let Some(to_head) = self.to_head {
            seconds(out, "crossfade.to_head_seconds", to_head);
        }
        let _ = write!(
            out,
            ",\"http.request.body.size\":{},\"http.response.body.size\":{}",
            self.request_body_bytes, self.response_body_bytes
        );
        let failure = self.failure.map(Failure::as_str);
        for (name, value) in [
            ("crossfade.migration", self.migration),
            ("crossfade.route", self.route),
            ("crossfade.arm", self.arm.map(Arm::as_str)),
            ("crossfade.reason", self.reason),
            ("crossfade.refused", self.refused),
            ("error.type", failure),
        ] {
            if let Some(value) = value {
                text(out, name, value.as_bytes());
            }
        }
        if self.client_aborted {
            out.extend_from_slice(b",\"crossfade.client_aborted\":true");
        }
        if self.drained {
            out.extend_from_slice(b",\"crossfade.drained\":true");
        }
        text(out, "http.request.id", self.request_id);
        if let Some(agent) = self.user_agent {
            text(out, "user_agent.original", agent);
        }
        out.extend_from_slice(b"}\n");
        debug_assert!(out.len() - start <= MAX_BYTES);
    }
}

fn seconds(out: &mut Vec<u8>, name: &str, duration: Duration) {
    let _ = write!(out, ",\"{name}\":{}.{:06}", duration.as_secs(), duration.subsec_micros());
}

/// A member whose value is text from outside: cut to length, escaped as RFC 8259 section 7 says, and what is not
/// UTF-8 replaced by U+FFFD.
fn text(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    let _ = write!(out, ",\"{name}\":\"");
    let value = value.get(..MAX_TEXT_BYTES).unwrap_or(value);
    for chunk in value.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                0..0x20 | 0x7f => {
                    let _ = write!(out, "\\u{byte:04x}");
                }
                _ => out.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}
