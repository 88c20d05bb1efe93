//! The head of a copy: what the other arm gets of a request that is served elsewhere.
//!
//! As the arm's own rules have it, and told as the served one is: the same request id, `Host` and `X-Forwarded-*`. Beside
//! that it is marked, carries the credentials that the operator chose, asks for no `100 Continue`, since all of its body is
//! there, and is another span of the same trace.

use http1_codec::{Field, FieldId, HeadWriter};
use route_plan::shadow::MARK;
use route_plan::{Credentials, HostRule};

use super::rules;
use super::{RequestForm, request_end, request_fields, request_host, request_line};
use crate::scratch::Scratch;

/// How the head of a copy changes beside what its arm changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CopyForm<'a> {
    /// What is done with the client's credentials.
    pub(crate) credentials: &'a Credentials,
    /// The host that it asks for; `None`: as the arm's rules have it.
    pub(crate) host: Option<&'a HostRule>,
    /// Its place in the client's trace, where there is one.
    pub(crate) trace: Option<&'a ChildTrace>,
}

/// Writes the head of a copy. `form.authority` is empty: where the arm is asked by its endpoint's own name, or the client
/// named no host, `Host` has no value until the endpoint is known.
pub(crate) fn copy_head(
    out: &mut Vec<u8>,
    scratch: &mut Scratch,
    head: &[u8],
    form: RequestForm<'_>,
    copy: CopyForm<'_>,
) {
    let RequestForm { forcing, rules, .. } = form;
    let credentials = copy.credentials;
    let replaced = |field: &Field| match field.id {
        FieldId::Expect | FieldId::Traceparent => true,
        // It belongs to a `traceparent` that can be read (W3C Trace Context, section 3.3.1).
        FieldId::Other if field.name.of(head).eq_ignore_ascii_case(b"tracestate") => copy.trace.is_none(),
        _ => is_replaced(credentials, field.name.of(head)),
    };
    let mut writer = HeadWriter::new(out);
    request_line(&mut writer, scratch, head, rules.and_then(|rules| rules.path_prefix.as_ref()));
    let host = copy.host.or(rules.map(|rules| &rules.host));
    match host.and_then(|host| rules::chosen_host(host, form.authority)) {
        None => request_host(&mut writer, scratch, head, form.authority),
        Some(host) => writer.field("Host", host),
    }
    match rules.map(|rules| &rules.request_headers) {
        None => request_fields(&mut writer, scratch, head, forcing, replaced),
        Some(changes) => {
            let gives_way = |field: &Field| replaced(field) || rules::gives_way(changes, field, head);
            request_fields(&mut writer, scratch, head, forcing, gives_way);
            rules::write(&mut writer, changes, |name| is_replaced(credentials, name.as_bytes()));
        }
    }
    for (name, value) in &credentials.set {
        if !rules::is_out_of_reach(name.as_bytes()) {
            writer.field(name, value);
        }
    }
    if let Some(trace) = copy.trace {
        writer.field("traceparent", &trace.0);
    }
    writer.field(MARK, b"1");
    request_end(writer, scratch, head, None);
}

fn is_replaced(credentials: &Credentials, name: &[u8]) -> bool {
    credentials.replaces(name) && !rules::is_out_of_reach(name)
}

/// A `traceparent` of version 00 (W3C Trace Context, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChildTrace([u8; 55]);

impl ChildTrace {
    /// A span below the one that the client names, with this id, of which 0 is none. `None` where the client's value cannot
    /// be read. A later version is read as far as this one goes, and answered in this one (section 3.2.4 there).
    pub(crate) fn of(parent: &[u8], id: u64) -> Option<ChildTrace> {
        let (known, behind) = parent.split_first_chunk::<55>()?;
        let is_hex = |bytes: &[u8]| bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == b'0');
        let (version, trace, span, flags) = (&known[..2], &known[3..35], &known[36..52], &known[53..]);
        let well_formed = [2, 35, 52].iter().all(|at| known[*at] == b'-')
            && [version, trace, span, flags].into_iter().all(is_hex)
            && !is_zero(trace)
            && !is_zero(span)
            && version != b"ff"
            && (behind.is_empty() || (version != b"00" && behind[0] == b'-'));
        if !well_formed {
            return None;
        }
        let mut child = *known;
        child[..2].copy_from_slice(b"00");
        const HEX: &[u8; 16] = b"0123456789abcdef";
        for (pair, byte) in child[36..52].as_chunks_mut::<2>().0.iter_mut().zip(id.max(1).to_be_bytes()) {
            *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
        }
        Some(ChildTrace(child))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn child(parent: &[u8]) -> Option<String> {
        ChildTrace::of(parent, 0xabc).map(|child| String::from_utf8(child.0.to_vec()).unwrap())
    }

    #[test]
    fn a_copy_is_another_span_of_the_same_trace() {
        let expected = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000abc-01";
        assert_eq!(child(PARENT).as_deref(), Some(expected));
        let later = b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes";
        assert_eq!(child(later).as_deref(), Some(expected));
        assert!(ChildTrace::of(PARENT, 0).is_some_and(|child| child.0.ends_with(b"-0000000000000001-01")));
    }

    #[test]
    fn what_cannot_be_read_has_no_children() {
        for bad in [
            &b""[..],
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            b"00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"\xff\xff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(child(bad), None, "{}", bad.escape_ascii());
        }
    }
}
