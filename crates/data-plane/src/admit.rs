//! From bytes to a request that may be decided on: framing, limits, path, client, request id.

use std::borrow::Cow;
use std::net::IpAddr;

use http1_codec::{FieldId, Reject, Span};
use route_plan::{RequestIdTrust, Snapshot, client_ip, normalise_path};

use crate::scratch::{Facts, Scratch, values};

/// Longest request id that is taken over from a client, in bytes.
const REQUEST_ID_BYTES: usize = 128;

/// Why a request is refused before anything is decided.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// Its head or body breaks HTTP's rules or our limits.
    Malformed(Reject),
    /// Its path can be read in more than one way.
    AmbiguousPath,
    /// Its head did not arrive in time (RFC 9110 15.5.9).
    HeadTooSlow,
    /// Nothing, or too little, of its body arrived for too long.
    BodyTooSlow,
    /// Its body is larger than the configuration allows (RFC 9110 15.5.14).
    BodyTooLarge,
}

impl Refusal {
    pub(crate) fn status(self) -> u16 {
        match self {
            Refusal::Malformed(reject) => reject.status(),
            Refusal::AmbiguousPath => 400,
            Refusal::HeadTooSlow | Refusal::BodyTooSlow => 408,
            Refusal::BodyTooLarge => 413,
        }
    }

    /// A label's value, and the `reason` member of the answer.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Refusal::Malformed(reject) => reject.reason.as_str(),
            Refusal::AmbiguousPath => "ambiguous-path",
            Refusal::HeadTooSlow => "head-timeout",
            Refusal::BodyTooSlow => "body-timeout",
            Refusal::BodyTooLarge => "body-too-large",
        }
    }

    /// A sentence for whoever sent the request.
    pub(crate) fn detail(self) -> String {
        match self {
            Refusal::Malformed(reject) => reject.to_string(),
            Refusal::AmbiguousPath => {
                "the path can be read in more than one way: it has a malformed escape, an escaped NUL, or leaves the root"
                    .to_owned()
            }
            Refusal::HeadTooSlow => "the head of the request did not arrive in time".to_owned(),
            Refusal::BodyTooSlow => "the request's body did not arrive fast enough".to_owned(),
            Refusal::BodyTooLarge => "the request's body is larger than this proxy takes".to_owned(),
        }
    }
}

/// Fills in what later steps need to know of the request whose head has just been parsed from `head`.
pub(crate) fn admit(
    scratch: &mut Scratch,
    head: &[u8],
    peer_ip: IpAddr,
    snapshot: &Snapshot,
    random: &mut dyn FnMut() -> u128,
) -> Result<(), Refusal> {
    let most = snapshot.connection.body_bytes;
    if most.is_some_and(|most| scratch.request.content_length().is_some_and(|length| length > most)) {
        return Err(Refusal::BodyTooLarge);
    }
    let (path, query) = split_target(head, scratch.request.path_and_query());
    scratch.path.clear();
    match normalise_path(path.of(head)) {
        Ok(Cow::Borrowed(_)) => {}
        Ok(Cow::Owned(normalised)) => scratch.path = normalised,
        Err(_) if path.is_empty() || path.of(head) == b"*" => {}
        Err(_) => return Err(Refusal::AmbiguousPath),
    }
    let peer_trusted = snapshot.trusted_proxies.iter().any(|network| network.contains(&peer_ip));
    let client = if peer_trusted {
        client_ip(peer_ip, values(&scratch.request, head, FieldId::XForwardedFor), &snapshot.trusted_proxies)
    } else {
        peer_ip
    };
    let id_trusted = match snapshot.request_id_trust {
        RequestIdTrust::Everyone => true,
        RequestIdTrust::TrustedProxies => peer_trusted,
        RequestIdTrust::Nobody => false,
    };
    take_request_id(scratch, head, id_trusted, random);
    let may_mark = snapshot.copies_from.iter().any(|network| network.contains(&peer_ip));
    let host = without_port(head, scratch.request.host());
    let method = scratch.request.method().of(head);
    let safe = matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE");
    let idempotent = safe || matches!(method, b"PUT" | b"DELETE");
    let client_ip = client;
    scratch.facts = Facts { path, query, host, peer_ip, client_ip, peer_trusted, may_mark, idempotent, safe };
    Ok(())
}

fn split_target(head: &[u8], target: Span) -> (Span, Option<Span>) {
    let bytes = target.of(head);
    match memchr::memchr(b'?', bytes) {
        None => (target, None),
        Some(at) => {
            let at = target.start.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
            (
                Span { start: target.start, end: at },
                Some(Span { start: at.saturating_add(1), end: target.end }),
            )
        }
    }
}

fn without_port(head: &[u8], host: Span) -> Span {
    let bytes = host.of(head);
    let from = bytes.iter().position(|&byte| byte == b']').unwrap_or(0);
    match bytes.iter().skip(from).position(|&byte| byte == b':') {
        Some(colon) => {
            let length = u32::try_from(from + colon).unwrap_or(u32::MAX);
            Span { start: host.start, end: host.start.saturating_add(length) }
        }
        None => host,
    }
}

/// Takes over the client's id where it is one short word of visible characters, else makes one.
fn take_request_id(scratch: &mut Scratch, head: &[u8], trusted: bool, random: &mut dyn FnMut() -> u128) {
    scratch.request_id.clear();
    let sent = scratch.request.field(FieldId::XRequestId).map(|field| field.value.of(head));
    if let Some(sent) = sent.filter(|_| trusted)
        && (1..=REQUEST_ID_BYTES).contains(&sent.len())
        && sent.iter().all(u8::is_ascii_graphic)
    {
        return scratch.request_id.extend_from_slice(sent);
    }
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut made = [0; 32];
    for (pair, byte) in made.as_chunks_mut::<2>().0.iter_mut().zip(random().to_be_bytes()) {
        *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
    }
    scratch.request_id.extend_from_slice(&made);
}
