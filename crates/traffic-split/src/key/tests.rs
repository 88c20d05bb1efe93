use std::borrow::Cow;
use std::net::IpAddr;

use proptest::prelude::*;

use super::{KeySource, KeySourceError};
use crate::view::RequestView;

struct Request {
    target: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    client: &'static str,
}

impl RequestView for Request {
    fn method(&self) -> &[u8] {
        b"GET"
    }

    fn host(&self) -> &[u8] {
        b"shop.example.com"
    }

    fn path(&self) -> &[u8] {
        self.target.split('?').next().unwrap().as_bytes()
    }

    fn query(&self) -> Option<&[u8]> {
        self.target.split_once('?').map(|(_path, query)| query.as_bytes())
    }

    fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
        self.headers.iter().filter(|field| field.0 == name).nth(nth).map(|field| field.1.as_bytes())
    }

    fn client_ip(&self) -> IpAddr {
        self.client.parse().unwrap()
    }

    fn peer_ip(&self) -> IpAddr {
        "192.0.2.1".parse().unwrap()
    }

    fn request_id(&self) -> &[u8] {
        b"0193-abc"
    }
}

fn request(target: &'static str, headers: &[(&'static str, &'static str)]) -> Request {
    Request { target, headers: headers.to_vec(), client: "203.0.113.9" }
}

fn find(source: &str, request: &Request) -> Option<String> {
    let source: KeySource = source.parse().unwrap();
    source.find(request).map(|key| String::from_utf8(key.into_owned()).unwrap())
}

#[test]
fn looks_where_it_is_told() {
    let table: &[(&str, Request, Option<&str>)] = &[
        ("header:X-User-Id", request("/", &[("x-user-id", "u1")]), Some("u1")),
        ("header:x-user-id", request("/", &[("x-user-id", " \tu 1\t ")]), Some("u 1")),
        ("header:x-user-id", request("/", &[("x-user-id", "u1"), ("x-user-id", "u2")]), Some("u1")),
        ("header:x-user-id", request("/", &[("x-user-id", "  ")]), None),
        ("header:x-user-id", request("/", &[("x-user", "u1")]), None),
        ("cookie:sid", request("/", &[("cookie", "sid=a")]), Some("a")),
        ("cookie:sid", request("/", &[("cookie", "x=1; sid=a; sid=b")]), Some("a")),
        ("cookie:sid", request("/", &[("cookie", "x=1;sid=a")]), Some("a")),
        ("cookie:sid", request("/", &[("cookie", "x=1"), ("cookie", "sid=a")]), Some("a")),
        ("cookie:sid", request("/", &[("cookie", " sid = a ")]), Some("a")),
        ("cookie:sid", request("/", &[("cookie", "sid=\"a b\"")]), Some("\"a b\"")),
        ("cookie:sid", request("/", &[("cookie", "sid=a=b==")]), Some("a=b==")),
        ("cookie:sid", request("/", &[("cookie", "SID=a; xsid=b; sidx=c")]), None),
        ("cookie:sid", request("/", &[("cookie", "sid; sid =")]), None),
        ("cookie:sid", request("/", &[]), None),
        ("query:user", request("/?a=1&user=u%201", &[]), Some("u 1")),
        ("query:user", request("/?user=u1&user=u2", &[]), Some("u1")),
        ("query:user", request("/?user=", &[]), None),
        ("query:user", request("/", &[]), None),
        ("path:1", request("/users/42", &[]), Some("users")),
        ("path:2", request("/users/42", &[]), Some("42")),
        ("path:2", request("//users///42/", &[]), Some("42")),
        ("path:2", request("/users/a%2Fb", &[]), Some("a%2Fb")),
        ("path:3", request("/users/42/", &[]), None),
        ("path:1", request("/", &[]), None),
        ("path:1", request("*", &[]), None),
        ("path:99999", request("/a", &[]), None),
        ("client-ip", request("/", &[]), Some("203.0.113.9")),
        ("request-id", request("/", &[]), Some("0193-abc")),
        ("jwt:sub", request("/", &[("authorization", "Bearer e30.eyJzdWIiOiJ1MSJ9.x")]), Some("u1")),
        ("jwt:sub", request("/", &[("authorization", "Bearer e30.eyJzdWIiOiIifQ.x")]), None),
        ("jwt:aud", request("/", &[("authorization", "Bearer e30.eyJzdWIiOiJ1MSJ9.x")]), None),
        ("jwt:sub", request("/", &[("authorization", "Basic dTE6cHc=")]), None),
        ("jwt:sub", request("/", &[]), None),
    ];
    for (source, request, expected) in table {
        assert_eq!(
            find(source, request).as_deref(),
            *expected,
            "{source} in {} {:?}",
            request.target,
            request.headers
        );
    }
}

#[test]
fn addresses_have_one_text() {
    for (client, text) in [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:0DB8:0:0:0:0:0:1", "2001:db8::1"),
    ] {
        let request = Request { target: "/", headers: vec![], client };
        assert_eq!(find("client-ip", &request).as_deref(), Some(text));
    }
}

#[test]
fn borrows_what_it_can() {
    let request = request("/users/42?user=u1", &[("x-user-id", "u1"), ("cookie", "sid=a")]);
    for source in ["header:x-user-id", "cookie:sid", "query:user", "path:2", "request-id"] {
        let source: KeySource = source.parse().unwrap();
        assert!(matches!(source.find(&request), Some(Cow::Borrowed(_))), "{source}");
    }
    // Also behind a reference and a trait object.
    let view: &dyn RequestView = &request;
    assert_eq!(KeySource::Path(2).find(view).as_deref(), Some(&b"42"[..]));
    assert_eq!(KeySource::Path(2).find(&view).as_deref(), Some(&b"42"[..]));
}

#[test]
fn reads_and_shows_each_form() {
    for text in [
        "header:x-user-id",
        "cookie:Session_Id",
        "query:user id",
        "path:1",
        "path:12",
        "jwt:https://example.com/uid",
        "client-ip",
        "request-id",
    ] {
        let source: KeySource = text.parse().unwrap();
        assert_eq!(source.to_string(), text);
        assert_eq!(source.is_sticky(), text != "request-id");
    }
    assert_eq!("header:X-User".parse(), Ok(KeySource::Header("x-user".to_owned())));
}

#[test]
fn says_what_is_wrong() {
    let table: &[(&str, KeySourceError, &str)] = &[
        ("", KeySourceError::UnknownKind, "`request-id`"),
        ("x-user-id", KeySourceError::UnknownKind, "`header:NAME`, `cookie:NAME`"),
        ("Header:x", KeySourceError::UnknownKind, "unknown kind"),
        ("headers:x", KeySourceError::UnknownKind, "unknown kind"),
        ("header", KeySourceError::MissingName { form: "header:NAME" }, "expected `header:NAME`"),
        ("header:", KeySourceError::MissingName { form: "header:NAME" }, "expected `header:NAME`"),
        ("jwt:", KeySourceError::MissingName { form: "jwt:CLAIM" }, "expected `jwt:CLAIM`"),
        ("path", KeySourceError::MissingName { form: "path:N" }, "expected `path:N`"),
        ("header:x user", KeySourceError::BadName { found: ' ' }, "' ' cannot"),
        ("header:x:y", KeySourceError::BadName { found: ':' }, "':' cannot"),
        ("header:n\u{e4}me", KeySourceError::BadName { found: '\u{e4}' }, "cannot"),
        ("cookie:a=b", KeySourceError::BadName { found: '=' }, "'=' cannot"),
        ("query:a\nb", KeySourceError::BadName { found: '\n' }, "'\\n' cannot"),
        ("path:0", KeySourceError::BadSegment, "counted from 1"),
        ("path:-1", KeySourceError::BadSegment, "counted from 1"),
        ("path:+1", KeySourceError::BadSegment, "counted from 1"),
        ("path:two", KeySourceError::BadSegment, "counted from 1"),
        ("path:99999999999999999999", KeySourceError::BadSegment, "counted from 1"),
        ("client-ip:4", KeySourceError::TakesNoName, "stand alone"),
        ("request-id:", KeySourceError::TakesNoName, "stand alone"),
    ];
    for (text, error, message) in table {
        assert_eq!(text.parse::<KeySource>(), Err(*error), "{text:?}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_back_or_refused(text in "(header|cookie|query|path|jwt|client-ip|request-id)?:?.{0,12}") {
        if let Ok(source) = text.parse::<KeySource>() {
            prop_assert_eq!(source.to_string().parse(), Ok(source));
        }
    }
}
