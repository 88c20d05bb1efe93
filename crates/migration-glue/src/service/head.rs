//! The head of a copy: as that of its request, but marked, with the credentials that the policy chose, another span of the
//! same trace, and without `Expect`, since all of its body is there. As the proxy's `rewrite/copy.rs` has it.

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};
use route_plan::shadow::MARK;
use route_plan::{Credentials, HostRule, ShadowPolicy};

use super::SetupError;
use crate::copies::ChildTrace;

/// Fields that say where a message ends, belong to one hop or tell requests apart: no credentials, whatever a policy says.
const OUT_OF_REACH: [HeaderName; 11] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::VIA,
    header::FORWARDED,
    HeaderName::from_static("x-request-id"),
];

/// Whether all that the policy says about heads can be done.
pub(super) fn check(policy: &ShadowPolicy) -> Result<(), SetupError> {
    if let Some(HostRule::Fixed(host)) = &policy.host
        && (host.parse::<Authority>().is_err() || HeaderValue::from_str(host).is_err())
    {
        return Err(SetupError::Host(host.clone()));
    }
    for (name, value) in &policy.credentials.set {
        if credential(name, value).is_none() {
            return Err(SetupError::Credentials(name.clone()));
        }
    }
    Ok(())
}

/// A field that copies carry, if it can be one.
fn credential(name: &str, value: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::try_from(name).ok().filter(|name| !OUT_OF_REACH.contains(name))?;
    Some((name, HeaderValue::from_bytes(value).ok()?))
}

/// The copy of a request with this head. `id` is a random one for its span.
///
/// Extensions are cloned with it, since services read from them who is asking; what they share is shared with the copy.
pub(super) fn of_copy<B>(original: &Request<B>, policy: &ShadowPolicy, id: u64) -> Request<()> {
    let mut copy = Request::new(());
    *copy.method_mut() = original.method().clone();
    *copy.version_mut() = original.version();
    *copy.extensions_mut() = original.extensions().clone();
    *copy.headers_mut() = fields(original.headers(), policy, id);
    *copy.uri_mut() = original.uri().clone();
    if let Some(HostRule::Fixed(host)) = &policy.host {
        if let Ok(value) = HeaderValue::from_str(host) {
            copy.headers_mut().insert(header::HOST, value);
        }
        if let Some(uri) = with_authority(original.uri(), host) {
            *copy.uri_mut() = uri;
        }
    }
    copy
}

fn fields(original: &HeaderMap, policy: &ShadowPolicy, id: u64) -> HeaderMap {
    let mut fields = original.clone();
    fields.remove(header::EXPECT);
    change_credentials(&mut fields, &policy.credentials);
    let parent = original.get("traceparent").map(HeaderValue::as_bytes);
    let child = parent.and_then(|parent| ChildTrace::of(parent, id));
    match child.and_then(|child| HeaderValue::from_bytes(child.as_bytes()).ok()) {
        Some(child) => {
            fields.insert("traceparent", child);
        }
        // What cannot be read has no children, and `tracestate` belongs to it (W3C Trace Context, section 3.3.1).
        None => {
            fields.remove("traceparent");
            fields.remove("tracestate");
        }
    }
    fields.insert(MARK, HeaderValue::from_static("1"));
    fields
}

fn change_credentials(fields: &mut HeaderMap, credentials: &Credentials) {
    if credentials.remove.is_empty() && credentials.set.is_empty() {
        return;
    }
    let is_replaced =
        |name: &&HeaderName| credentials.replaces(name.as_str().as_bytes()) && !OUT_OF_REACH.contains(*name);
    let replaced: Vec<HeaderName> = fields.keys().filter(is_replaced).cloned().collect();
    for name in replaced {
        fields.remove(name);
    }
    for (name, value) in &credentials.set {
        if let Some((name, value)) = credential(name, value) {
            fields.append(name, value);
        }
    }
}

/// The same URI with another authority, where it has one.
fn with_authority(uri: &Uri, host: &str) -> Option<Uri> {
    uri.authority()?;
    let mut parts = uri.clone().into_parts();
    parts.authority = Some(host.parse::<Authority>().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(fields: &[(&'static str, &'static str)], policy: &ShadowPolicy) -> Request<()> {
        let mut request = Request::get("http://shop.example/cart?n=1").body(()).unwrap();
        for (name, value) in fields {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        of_copy(&request, policy, 0xabc)
    }

    fn told(copy: &Request<()>) -> Vec<String> {
        let line =
            |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        let mut lines: Vec<String> = copy.headers().iter().map(line).collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn a_copy_is_marked_and_another_span() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let sent = [
            ("traceparent", parent),
            ("tracestate", "a=b"),
            ("expect", "100-continue"),
            ("cookie", "s=1"),
            ("x-request-id", "r1"),
        ];
        let made = copy(&sent, &ShadowPolicy::default());
        assert_eq!(
            told(&made),
            [
                "cookie: s=1",
                "crossfade-shadow: 1",
                "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000abc-01",
                "tracestate: a=b",
                "x-request-id: r1"
            ]
        );
        let made = copy(&[("traceparent", "00-nonsense"), ("tracestate", "a=b")], &ShadowPolicy::default());
        assert_eq!(told(&made), ["crossfade-shadow: 1"]);
    }

    #[test]
    fn credentials_and_host_are_the_policys() {
        let policy = ShadowPolicy {
            credentials: Credentials {
                remove: vec!["cookie".into(), "x-request-id".into()],
                set: vec![("authorization".into(), b"Basic dGVzdA==".as_slice().into())],
            },
            host: Some(HostRule::Fixed("staging.example".into())),
            ..ShadowPolicy::default()
        };
        let sent = [
            ("cookie", "s=1"),
            ("cookie", "t=2"),
            ("authorization", "Bearer real"),
            ("x-request-id", "r1"),
            ("host", "shop.example"),
        ];
        let made = copy(&sent, &policy);
        assert_eq!(made.uri(), "http://staging.example/cart?n=1");
        assert_eq!(
            told(&made),
            [
                "authorization: Basic dGVzdA==",
                "crossfade-shadow: 1",
                "host: staging.example",
                "x-request-id: r1"
            ]
        );
    }

    #[test]
    fn a_policy_that_cannot_be_followed_is_refused() {
        let with = |name: &str, value: &[u8], host: &str| {
            let set = vec![(name.to_owned(), value.into())];
            let credentials = Credentials { remove: Vec::new(), set };
            check(&ShadowPolicy {
                credentials,
                host: Some(HostRule::Fixed(host.to_owned())),
                ..ShadowPolicy::default()
            })
        };
        assert_eq!(with("cookie", b"test=1", "staging.example:8443"), Ok(()));
        for (name, value) in [("content-length", &b"7"[..]), ("two words", b"1"), ("cookie", b"a\nb")] {
            let refused = with(name, value, "staging.example");
            assert_eq!(refused, Err(SetupError::Credentials(name.to_owned())));
        }
        for host in ["", "two words", "a/b"] {
            assert_eq!(with("cookie", b"test=1", host), Err(SetupError::Host(host.to_owned())), "{host}");
        }
    }
}
