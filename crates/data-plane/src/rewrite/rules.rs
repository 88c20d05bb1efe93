//! What the rules of an arm or a route change in heads, beside what every proxy changes.
//!
//! Rules are about fields that come from the peer and go on to the other one. Fields that crossfade itself writes, and
//! those that say where a message ends or belong to one hop, are out of their reach: the configuration refuses such
//! rules, and here they would do nothing.

use std::ops::Range;

use http1_codec::{Field, FieldId, HeadWriter, dashed};
use route_plan::{HeaderRules, HostRule, KnownAs, Rules, lead_back};

use super::RequestForm;
use crate::scratch::Scratch;

/// Remembers what answers may have to lead back to: the head of the request is gone by then.
pub(super) fn keep_origin(scratch: &mut Scratch, head: &[u8], rules: &Rules) {
    let mut origin = std::mem::take(&mut scratch.origin);
    origin.clear();
    if rules.location {
        let is_https = told(scratch, head, FieldId::XForwardedProto)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https"));
        let host = told(scratch, head, FieldId::XForwardedHost)
            .filter(|host| is_authority(host))
            .unwrap_or_else(|| scratch.request.host().of(head));
        if !host.is_empty() {
            origin.extend_from_slice(if is_https { b"https://" } else { b"http://" });
            origin.extend_from_slice(host);
        }
    }
    scratch.origin = origin;
}

/// What a trusted proxy says of the client itself: of a list, the first stands for the connection nearest to it.
fn told<'h>(scratch: &Scratch, head: &'h [u8], id: FieldId) -> Option<&'h [u8]> {
    if !scratch.facts.peer_trusted {
        return None;
    }
    let field = scratch.request.fields().iter().find(|field| field.id == id && !field.hop)?;
    field.value.of(head).split(|&byte| byte == b',').next().map(<[u8]>::trim_ascii)
}

/// A host name or literal with or without a port, and nothing that could end it.
fn is_authority(host: &[u8]) -> bool {
    let may_stand =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    !host.is_empty() && host.iter().all(may_stand)
}

/// What the upstream is asked as `Host` where it is not what the client asked for.
pub(super) fn chosen_host<'a>(rule: &'a HostRule, authority: &'a str) -> Option<&'a [u8]> {
    match rule {
        HostRule::Client => None,
        HostRule::Endpoint => Some(authority.as_bytes()),
        HostRule::Fixed(host) => Some(host.as_bytes()),
    }
}

/// Makes `scratch.sent`, which one endpoint has got, ready for another: `Host` may name it.
pub(crate) fn repeat_head(scratch: &mut Scratch, form: RequestForm<'_>) {
    let by_endpoint = match form.rules.map(|rules| &rules.host) {
        None | Some(HostRule::Client) => scratch.request.host().is_empty(),
        Some(HostRule::Endpoint) => true,
        Some(HostRule::Fixed(_)) => false,
    };
    if by_endpoint {
        let host = host_sent(&scratch.sent);
        scratch.sent.splice(host, form.authority.bytes());
    }
}

/// Where the value of `Host` lies in a head that we wrote: its line is the first one after the request line.
pub(crate) fn host_sent(sent: &[u8]) -> Range<usize> {
    let mut line_feeds = memchr::memchr_iter(b'\n', sent);
    let (Some(before), Some(line_feed)) = (line_feeds.next(), line_feeds.next()) else { return 0..0 };
    let start = before + 1 + b"Host: ".len();
    start..line_feed.saturating_sub(1).max(start)
}

/// Whether a field that comes from the peer gives way to the rules.
pub(super) fn gives_way(changes: &HeaderRules, field: &Field, head: &[u8]) -> bool {
    let name = field.name.of(head);
    changes.replaces(name) && !is_out_of_reach(name)
}

/// Writes the fields that the rules set and add, but for those that are `reserved`, which follow.
pub(super) fn write(writer: &mut HeadWriter<'_>, changes: &HeaderRules, reserved: impl Fn(&str) -> bool) {
    for (name, value) in changes.written() {
        if !reserved(name) && !is_out_of_reach(name.as_bytes()) {
            writer.field(name, value.as_bytes());
        }
    }
}

/// Fields that say where a message ends or belong to one hop, and those that crossfade itself writes or acts on, in
/// either spelling.
pub(super) fn is_out_of_reach(name: &[u8]) -> bool {
    let id = match dashed(name) {
        None => FieldId::of(name),
        Some(dashed) => FieldId::of(&dashed),
    };
    matches!(
        id,
        FieldId::Host
            | FieldId::ContentLength
            | FieldId::TransferEncoding
            | FieldId::Connection
            | FieldId::KeepAlive
            | FieldId::ProxyConnection
            | FieldId::Te
            | FieldId::Trailer
            | FieldId::Upgrade
            | FieldId::Expect
            | FieldId::Via
            | FieldId::Forwarded
            | FieldId::XForwardedFor
            | FieldId::XForwardedHost
            | FieldId::XForwardedProto
            | FieldId::XForwardedPort
            | FieldId::XRealIp
            | FieldId::XRequestId
            | FieldId::Crossfade
    )
}

/// What an arm or a route changes in the heads of its answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerRules<'a> {
    pub(crate) rules: &'a Rules,
    /// Host and port of the endpoint that answered.
    pub(crate) endpoint: &'a str,
}

impl<'a> AnswerRules<'a> {
    /// The names by which both sides know the place that answered.
    pub(super) fn known_as<'s>(self, scratch: &'s Scratch) -> KnownAs<'s>
    where
        'a: 's,
    {
        KnownAs {
            endpoint: self.endpoint.as_bytes(),
            host: scratch.sent.get(host_sent(&scratch.sent)).unwrap_or_default(),
            origin: &scratch.origin,
        }
    }

    /// Leaves a field out or writes it with another value; `false`: it stays as it is.
    pub(super) fn change(
        self,
        writer: &mut HeadWriter<'_>,
        field: &Field,
        head: &[u8],
        known_as: KnownAs<'_>,
    ) -> bool {
        let rules = self.rules;
        if gives_way(&rules.response_headers, field, head) {
            return true;
        }
        if !rules.location {
            return false;
        }
        let name = match field.id {
            FieldId::Location => "Location",
            FieldId::Other if field.name.of(head).eq_ignore_ascii_case(b"content-location") => {
                "Content-Location"
            }
            _ => return false,
        };
        let mut value = Vec::new();
        let is_changed = lead_back(field.value.of(head), rules.path_prefix.as_ref(), known_as, &mut value);
        if is_changed {
            writer.field(name, &value);
        }
        is_changed
    }
}

#[cfg(test)]
mod tests;
