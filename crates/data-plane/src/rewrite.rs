//! Which fields pass, which go, and what is added: heads as they leave.
//!
//! Untouched lines are copied as bytes; a run of them is one copy. Hop-by-hop fields end here in both directions
//! (RFC 9110 7.6.1), the codec has marked them. What a client says of the way it came (`X-Forwarded-*`,
//! `Forwarded`) is kept only from a trusted proxy; from anybody else it is replaced by what is known.
//! What the rules of an arm or a route change beside that is in [`rules`].

mod copy;
mod rules;

use std::io::Write;
use std::net::IpAddr;

use http1_codec::{Field, FieldId, Framing, HeadWriter, ResponseHead, Version, dashed, reason_phrase};
use route_plan::shadow::MARK;
use route_plan::{PathPrefix, Rules};

use crate::proxy_status;
use crate::scratch::Scratch;
pub(crate) use copy::{CopyForm, copy_head};
pub(crate) use rules::{AnswerRules, host_sent, repeat_head};

/// This proxy's element of `Via` (RFC 9110 7.6.3).
const VIA_SELF: &[u8] = b"1.1 crossfade";
/// The same as a whole line.
const VIA_LINE: &str = "Via: 1.1 crossfade\r\n";

/// How the head of a request changes on its way to one upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestForm<'a> {
    /// Host and port of the endpoint that gets it.
    pub(crate) authority: &'a str,
    /// The headers by which clients may force an arm.
    pub(crate) forcing: &'a [String],
    /// What the arm or the route changes; `None` when nothing.
    pub(crate) rules: Option<&'a Rules>,
}

/// Writes `scratch.sent`: the request's head as the upstream gets it.
pub(crate) fn request_head(scratch: &mut Scratch, head: &[u8], form: RequestForm<'_>) {
    let RequestForm { forcing, rules, .. } = form;
    let mut sent = std::mem::take(&mut scratch.sent);
    sent.clear();
    let mut writer = HeadWriter::new(&mut sent);
    match rules {
        None => {
            request_line(&mut writer, scratch, head, None);
            request_host(&mut writer, scratch, head, form.authority);
            request_fields(&mut writer, scratch, head, forcing, |_| false);
        }
        Some(rules) => {
            rules::keep_origin(scratch, head, rules);
            request_line(&mut writer, scratch, head, rules.path_prefix.as_ref());
            match rules::chosen_host(&rules.host, form.authority) {
                None => request_host(&mut writer, scratch, head, form.authority),
                Some(host) => writer.field("Host", host),
            }
            let changes = &rules.request_headers;
            let gives_way = |field: &Field| rules::gives_way(changes, field, head);
            request_fields(&mut writer, scratch, head, forcing, gives_way);
            rules::write(&mut writer, changes, |_| false);
        }
    }
    let protocol = upgrade_wanted(scratch, head);
    request_end(writer, scratch, head, protocol);
    scratch.sent = sent;
}

/// What crossfade itself says of the request, and the end of its head.
fn request_end<'h>(mut writer: HeadWriter<'h>, scratch: &Scratch, head: &'h [u8], upgrade: Option<&[u8]>) {
    let request = &scratch.request;
    if request.framing() == Framing::Chunked {
        writer.lines("Transfer-Encoding: chunked\r\n");
    }
    match (upgrade, request.te_trailers()) {
        (Some(protocol), _) => {
            writer.lines("Connection: Upgrade\r\n");
            writer.field("Upgrade", protocol);
        }
        (None, true) => {
            writer.lines("Connection: TE\r\nTE: trailers\r\n");
        }
        (None, false) => {}
    }
    way_of_the_request(&mut writer, scratch, head);
    writer.field("X-Request-Id", &scratch.request_id);
    writer.end();
}

/// What the client asked for as `Host`, or else the endpoint's own.
fn request_host<'h>(writer: &mut HeadWriter<'h>, scratch: &Scratch, head: &'h [u8], authority: &str) {
    let request = &scratch.request;
    let host = request.host();
    let sent_host = request.field(FieldId::Host).filter(|field| field.value == host && !host.is_empty());
    match sent_host {
        Some(field) => writer.copy_field(head, field),
        None if host.is_empty() => writer.field("Host", authority.as_bytes()),
        // The authority of an absolute-form target wins over `Host` (RFC 9112 3.2.2).
        None => writer.field("Host", host.of(head)),
    }
}

/// Copies the fields that pass, but for those that give way to a rule.
fn request_fields<'h>(
    writer: &mut HeadWriter<'h>,
    scratch: &Scratch,
    head: &'h [u8],
    forcing: &[String],
    gives_way: impl Fn(&Field) -> bool,
) {
    for field in scratch.request.fields() {
        let dropped = field.hop
            || match field.id {
                FieldId::Host | FieldId::ProxyAuthorization | FieldId::XRequestId => true,
                // Copies of a crossfade in front stay marked for whoever gets them.
                FieldId::Crossfade => {
                    !(scratch.facts.may_mark && field.name.of(head).eq_ignore_ascii_case(MARK.as_bytes()))
                }
                FieldId::Via
                | FieldId::Forwarded
                | FieldId::XForwardedFor
                | FieldId::XForwardedHost
                | FieldId::XForwardedProto
                | FieldId::XForwardedPort
                | FieldId::XRealIp => true,
                FieldId::Other => speaks_for_us(field.name.of(head), forcing, scratch.facts.peer_trusted),
                _ => false,
            };
        if !dropped && !gives_way(field) {
            writer.copy_field(head, field);
        }
    }
}

/// Whether a field that the codec does not know would all the same be taken for one that only a proxy may set: another
/// `X-Forwarded-` field from a peer that is not trusted, a forcing header, or one of those or of the known ones spelt
/// with `_`, which many application servers cannot tell from `-`.
fn speaks_for_us(name: &[u8], forcing: &[String], peer_trusted: bool) -> bool {
    const FORWARDED: &[u8] = b"x-forwarded-";
    let is_reserved = |name: &[u8]| {
        let forwarded =
            name.get(..FORWARDED.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORWARDED));
        (forwarded && !peer_trusted)
            || forcing.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    };
    match dashed(name) {
        None => is_reserved(name),
        Some(dashed) => FieldId::of(&dashed) != FieldId::Other || is_reserved(&dashed),
    }
}

/// The protocol that the client wants to change to, unless it is HTTP/2: a tunnel would let requests pass unseen.
pub(crate) fn upgrade_wanted<'a>(scratch: &Scratch, head: &'a [u8]) -> Option<&'a [u8]> {
    let protocol = scratch.request.upgrade()?.of(head);
    let http = protocol.split(|&byte| byte == b',').any(|one| {
        let one = one.trim_ascii();
        one.eq_ignore_ascii_case(b"h2c")
            || one.eq_ignore_ascii_case(b"h2")
            || one.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"http/"))
    });
    (!http).then_some(protocol)
}

/// The path as it was matched, with the prefix replaced where a rule says so, and the query as it came.
fn request_line(
    writer: &mut HeadWriter<'_>,
    scratch: &mut Scratch,
    head: &[u8],
    prefix: Option<&PathPrefix>,
) {
    let method = scratch.request.method().of(head);
    if prefix.is_none() && scratch.path.is_empty() && !scratch.facts.path.is_empty() {
        return writer.request_line(method, scratch.request.path_and_query().of(head));
    }
    let mut target = std::mem::take(&mut scratch.spare);
    target.clear();
    let path = scratch.path(head);
    if !prefix.is_some_and(|prefix| prefix.rewrite(path, &mut target)) {
        target.extend_from_slice(path);
    }
    if let Some(query) = scratch.facts.query {
        target.push(b'?');
        target.extend_from_slice(query.of(head));
    }
    writer.request_line(method, &target);
    scratch.spare = target;
}

/// `Via`, `X-Forwarded-*` and `Forwarded` (RFC 7239).
fn way_of_the_request(writer: &mut HeadWriter<'_>, scratch: &Scratch, head: &[u8]) {
    let facts = &scratch.facts;
    let mut room = [0; 48];
    let peer = ip_text(&mut room, facts.peer_ip);
    let host = scratch.request.host().of(head);
    let said_before = facts.peer_trusted || scratch.request.field(FieldId::Via).is_some();
    if !said_before && !host.is_empty() && facts.peer_ip.is_ipv4() {
        // As nearly all requests: all of it at once.
        let lines: [(&str, &[u8]); 4] = [
            ("Via: 1.1 crossfade\r\nX-Forwarded-For: ", peer),
            ("\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ", host),
            ("\r\nForwarded: for=", peer),
            (";host=\"", host),
        ];
        return writer.lines_of(&lines, "\";proto=http\r\n");
    }
    let kept = |id: FieldId| facts.peer_trusted.then(|| joined(scratch, head, id)).flatten();

    match joined(scratch, head, FieldId::Via) {
        Some(before) => writer.field_of("Via", &[&before, b", ", VIA_SELF]),
        None => writer.lines(VIA_LINE),
    }
    match kept(FieldId::XForwardedFor) {
        Some(before) => writer.field_of("X-Forwarded-For", &[&before, b", ", peer]),
        None => writer.field("X-Forwarded-For", peer),
    }
    match kept(FieldId::XForwardedProto) {
        Some(before) => writer.field("X-Forwarded-Proto", &before),
        None => writer.lines("X-Forwarded-Proto: http\r\n"),
    }
    match kept(FieldId::XForwardedHost) {
        Some(before) => writer.field("X-Forwarded-Host", &before),
        None if host.is_empty() => {}
        None => writer.field("X-Forwarded-Host", host),
    }
    for (id, name) in [(FieldId::XForwardedPort, "X-Forwarded-Port"), (FieldId::XRealIp, "X-Real-IP")] {
        if let Some(before) = kept(id) {
            writer.field(name, &before);
        }
    }
    let before = kept(FieldId::Forwarded);
    let [before, comma]: [&[u8]; 2] = match &before {
        Some(before) => [before, b", "],
        None => [b"", b""],
    };
    let v4 = facts.peer_ip.is_ipv4();
    let by: &[u8] = if v4 { b"for=" } else { b"for=\"[" };
    let [named, proto]: [&[u8]; 2] = match (v4, host.is_empty()) {
        (true, false) => [b";host=\"", b"\";proto=http"],
        (false, false) => [b"]\";host=\"", b"\";proto=http"],
        (true, true) => [b"", b";proto=http"],
        (false, true) => [b"]\"", b";proto=http"],
    };
    writer.field_of("Forwarded", &[before, comma, by, peer, named, host, proto]);
}

/// The values of all fields of one kind as one list, `None` when there is none.
fn joined(scratch: &Scratch, head: &[u8], id: FieldId) -> Option<Vec<u8>> {
    scratch.request.field(id)?;
    let mut all: Option<Vec<u8>> = None;
    for field in scratch.request.fields().iter().filter(|field| field.id == id && !field.hop) {
        let value = field.value.of(head);
        match &mut all {
            None => all = Some(value.to_vec()),
            Some(all) => {
                all.extend_from_slice(b", ");
                all.extend_from_slice(value);
            }
        }
    }
    all
}

/// An address as text, without an allocation.
fn ip_text(room: &mut [u8; 48], ip: IpAddr) -> &[u8] {
    let IpAddr::V4(v4) = ip.to_canonical() else {
        let capacity = room.len();
        let mut rest = &mut room[..];
        let written = write!(rest, "{ip}");
        let left = rest.len();
        return if written.is_ok() { &room[..capacity - left] } else { b"unknown" };
    };
    // By hand, since the formatting machinery costs more than the rest of the line.
    let mut length = 0;
    let mut push = |byte: u8| {
        room[length] = byte;
        length += 1;
    };
    for (at, octet) in v4.octets().into_iter().enumerate() {
        if at > 0 {
            push(b'.');
        }
        if octet >= 100 {
            push(b'0' + octet / 100);
        }
        if octet >= 10 {
            push(b'0' + octet / 10 % 10);
        }
        push(b'0' + octet % 10);
    }
    &room[..length]
}

/// How the answer's content is framed for the client, and whether the connection outlives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnswerForm {
    pub(crate) framing: Framing,
    pub(crate) chunked: bool,
    pub(crate) close: bool,
    pub(crate) client: Version,
}

/// Fields that crossfade adds to an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Added<'a> {
    pub(crate) set_cookie: Option<&'a str>,
    /// Name of the field that tells the arm, and the arm.
    pub(crate) arm: Option<(&'a str, &'a str)>,
    /// The value of `Proxy-Status`.
    pub(crate) proxy_status: Option<&'a str>,
}

/// Writes `scratch.answer`: the head of a final answer as the client gets it.
pub(crate) fn response_head(
    scratch: &mut Scratch,
    head: &[u8],
    form: AnswerForm,
    added: Added<'_>,
    rules: Option<AnswerRules<'_>>,
) {
    let mut answer = std::mem::take(&mut scratch.answer);
    answer.clear();
    let mut writer = HeadWriter::new(&mut answer);
    let response = &scratch.response;
    status_line(&mut writer, response, head);
    let upgraded = response.status() == 101;
    let has_id = match rules {
        None => answer_fields(&mut writer, response, head, form, added, |_, _| false),
        Some(rules) => {
            let known_as = rules.known_as(scratch);
            let change =
                |writer: &mut HeadWriter<'_>, field: &Field| rules.change(writer, field, head, known_as);
            let has_id = answer_fields(&mut writer, response, head, form, added, change);
            let is_arm = |name: &str| added.arm.is_some_and(|(arm, _)| arm.eq_ignore_ascii_case(name));
            rules::write(&mut writer, &rules.rules.response_headers, is_arm);
            has_id
        }
    };
    if form.chunked {
        writer.lines("Transfer-Encoding: chunked\r\n");
    }
    if upgraded {
        writer.lines("Connection: Upgrade\r\n");
        writer.field("Upgrade", response.upgrade().unwrap_or_default().of(head));
    } else if form.close {
        writer.lines("Connection: close\r\n");
    } else if form.client == Version::Http10 {
        writer.lines("Connection: keep-alive\r\n");
    }
    if has_id {
        writer.lines(VIA_LINE);
    } else {
        writer.lines_of(&[("Via: 1.1 crossfade\r\nX-Request-Id: ", &scratch.request_id)], "\r\n");
    }
    if let Some(cookie) = added.set_cookie {
        writer.field("Set-Cookie", cookie.as_bytes());
    }
    if let Some((name, arm)) = added.arm {
        writer.field(name, arm.as_bytes());
    }
    if let Some(proxy_status) = added.proxy_status {
        writer.field(proxy_status::NAME, proxy_status.as_bytes());
    }
    writer.end();
    scratch.answer = answer;
}

/// Copies the fields that pass, but for those that `change` takes care of: it says whether it has. Whether a request id
/// was among them.
fn answer_fields<'h>(
    writer: &mut HeadWriter<'h>,
    response: &ResponseHead,
    head: &'h [u8],
    form: AnswerForm,
    added: Added<'_>,
    change: impl Fn(&mut HeadWriter<'h>, &Field) -> bool,
) -> bool {
    let mut has_id = false;
    for field in response.fields() {
        has_id |= field.id == FieldId::XRequestId && !field.hop;
        let dropped = field.hop
            || matches!(field.id, FieldId::Crossfade)
            || (field.id == FieldId::ContentLength && form.chunked)
            || added.arm.is_some_and(|(name, _)| field.name.of(head).eq_ignore_ascii_case(name.as_bytes()));
        if !dropped && !change(writer, field) {
            writer.copy_field(head, field);
        }
    }
    has_id
}

/// Writes `scratch.answer`: an interim answer as the client gets it (RFC 9110 15.2).
pub(crate) fn interim_head(scratch: &mut Scratch, head: &[u8]) {
    let mut answer = std::mem::take(&mut scratch.answer);
    answer.clear();
    let mut writer = HeadWriter::new(&mut answer);
    status_line(&mut writer, &scratch.response, head);
    for field in scratch.response.fields() {
        if !field.hop && field.id != FieldId::Crossfade {
            writer.copy_field(head, field);
        }
    }
    writer.end();
    scratch.answer = answer;
}

fn status_line(writer: &mut HeadWriter<'_>, response: &ResponseHead, head: &[u8]) {
    let status = response.status();
    let reason = response.reason().of(head);
    writer.status_line(status, if reason.is_empty() { reason_phrase(status).as_bytes() } else { reason });
}

/// An answer of crossfade's own (RFC 9457), head and body.
pub(crate) struct Problem<'a> {
    pub(crate) status: u16,
    /// A short word that programs can tell apart.
    pub(crate) reason: &'a str,
    /// A sentence for people.
    pub(crate) detail: &'a str,
    pub(crate) request_id: &'a [u8],
    /// The value of `Proxy-Status`, where an upstream is to blame.
    pub(crate) proxy_status: Option<&'a str>,
    /// Seconds after which it is worth asking again.
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) head_only: bool,
    pub(crate) close: bool,
}

impl Problem<'_> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let title = reason_phrase(self.status);
        let body = format!(
            "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{},\"reason\":\"{}\",\"detail\":\"{}\"}}\n",
            self.status,
            json_text(self.reason),
            json_text(self.detail),
        );
        out.clear();
        let mut writer = HeadWriter::new(out);
        writer.status_line(self.status, title.as_bytes());
        writer.field("Content-Type", b"application/problem+json");
        writer.field_u64("Content-Length", body.len() as u64);
        writer.field("Cache-Control", b"no-store");
        if !self.request_id.is_empty() {
            writer.field("X-Request-Id", self.request_id);
        }
        if let Some(proxy_status) = self.proxy_status {
            writer.field(proxy_status::NAME, proxy_status.as_bytes());
        }
        if let Some(seconds) = self.retry_after_s {
            writer.field_u64("Retry-After", seconds);
        }
        if self.close {
            writer.lines("Connection: close\r\n");
        }
        writer.end();
        if !self.head_only {
            out.extend_from_slice(body.as_bytes());
        }
    }
}

fn json_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
