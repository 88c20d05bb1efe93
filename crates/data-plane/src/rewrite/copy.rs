//! The head of a copy: what the other arm gets of a request that is served elsewhere.
//!
//! As the arm's own rules have it, and told as the served one is: the same request id, `Host` and `X-Forwarded-*`. Beside
//! that it is marked, carries the credentials that the operator chose, asks for no `100 Continue`, since all of its body is
//! there, and is another span of the same trace.

use http1_codec::{Field, FieldId, HeadWriter};
use migration_glue::copies::ChildTrace;
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
        writer.field("traceparent", trace.as_bytes());
    }
    writer.field(MARK, b"1");
    request_end(writer, scratch, head, None);
}

fn is_replaced(credentials: &Credentials, name: &[u8]) -> bool {
    credentials.replaces(name) && !rules::is_out_of_reach(name)
}
