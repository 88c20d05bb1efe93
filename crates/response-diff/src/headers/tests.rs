use std::time::Duration;

use super::*;
use crate::answer::Body;
use crate::json::{JsonSpec, RuleSpec};
use crate::limits::Limits;
use crate::outcome::Kind::{Added, Missing, Order, Value};
use crate::rules::RulesSpec;

/// Header fields as `name: value` lines; after a line `--`, trailers.
fn answer(lines: &str) -> Answer<'_> {
    let (headers, trailers) = lines.split_once("--\n").unwrap_or((lines, ""));
    Answer {
        status: 200,
        headers: field_list(headers),
        trailers: field_list(trailers),
        body: Body::Whole(b""),
    }
}

fn fields<'a>(answer: &Answer<'a>) -> Fields<'a> {
    Fields::of(answer, std::iter::empty())
}

fn field_list(lines: &str) -> Vec<Field<'_>> {
    let split = lines.lines().filter_map(|line| line.split_once(':'));
    split
        .map(|(name, value)| Field { name: name.trim().as_bytes(), value: value.trim().as_bytes() })
        .collect()
}

const USUAL: Setting = Setting { lengths_count: false, boundaries_fit: true };

fn found(old: &str, new: &str, rules: &Rules) -> Vec<(String, Kind)> {
    found_in(USUAL, old, new, rules)
}

fn found_in(setting: Setting, old: &str, new: &str, rules: &Rules) -> Vec<(String, Kind)> {
    let mut findings = Findings::new(&Limits::default());
    compare(&fields(&answer(old)), &fields(&answer(new)), setting, rules, &mut findings);
    findings.into_list().into_iter().map(|difference| (difference.at, difference.kind)).collect()
}

#[track_caller]
fn differ(old: &str, new: &str, expected: &[(&str, Kind)]) {
    let rules = Rules::default();
    let own = |list: &[(&str, Kind)]| -> Vec<(String, Kind)> {
        list.iter().map(|(at, kind)| ((*at).to_owned(), *kind)).collect()
    };
    assert_eq!(found(old, new, &rules), own(expected), "{old} | {new}");
    let mirrored: Vec<_> = expected.iter().map(|(at, kind)| (*at, kind.mirrored())).collect();
    assert_eq!(found(new, old, &rules), own(&mirrored), "{new} | {old}");
    assert_eq!(found(old, old, &rules), []);
}

#[test]
fn fields_are_compared_by_their_meaning() {
    for (old, new) in [
        ("", "Date: x\nServer: y\nConnection: close\nX-Request-Id: 1\nX-Response-Time: 3\nAge: 5"),
        ("Content-Length: 5", "Transfer-Encoding: chunked\nContent-Encoding: gzip"),
        ("ETag: \"a\"", "etag: W/\"b\""),
        ("Retry-After: 3", "retry-after: Sun, 06 Nov 1994 08:49:37 GMT"),
        ("Vary: Accept, Origin", "vary: origin\nvary: ACCEPT"),
        ("Vary:", ""),
        ("Allow: GET, HEAD", "allow: HEAD,GET,GET"),
        ("Cache-Control: Max-Age=60, private", "cache-control: private,max-age=\"60\""),
        (
            "Strict-Transport-Security: max-age=5; includeSubDomains",
            "strict-transport-security: includesubdomains;max-age=5",
        ),
        (
            "Content-Disposition: attachment; filename=\"a;b.txt\"",
            "content-disposition: Attachment;filename=\"a;b.txt\"",
        ),
        ("Link: </a,b>; rel=\"next\", </c>; rel=last", "link: </c>; rel=last\nlink: </a,b>; rel=\"next\""),
        ("Content-Type: Application/JSON", "content-type: application/json; charset=UTF8"),
        ("Content-Type: text/html;charset=\"UTF-8\"", "content-type: text/html; charset=utf8"),
        ("Content-Type: text/html; charset=latin1", "content-type: text/html; charset=ISO-8859-1"),
        ("Content-Type: multipart/mixed; boundary=a", "content-type: multipart/mixed; boundary=b"),
        ("Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "last-modified: Sun Nov  6 08:49:37 1994"),
        ("X-Frame-Options: DENY", "x-frame-options: deny"),
        (
            "Content-Security-Policy: default-src 'self' https://a; script-src 'nonce-abc' 'self'",
            "content-security-policy: script-src 'self' 'nonce-xyz'; default-src https://a 'self'",
        ),
        ("X-A: 1, 2", "x-a: 1\nX-A: 2"),
        ("X-A: 1\nX-B: 2", "x-b: 2\nx-a: 1"),
    ] {
        differ(old, new, &[]);
    }
}

#[test]
fn what_differs_is_told_by_its_place_and_kind() {
    for (old, new, expected) in [
        ("X-A: 1", "x-a: 2", ("header:x-a", Value)),
        ("X-A: a", "x-a: A", ("header:x-a", Value)),
        ("X-A: 1", "", ("header:x-a", Missing)),
        ("X-A:", "", ("header:x-a", Missing)),
        ("ETag: \"a\"", "", ("header:etag", Missing)),
        ("", "Retry-After: 5", ("header:retry-after", Added)),
        ("Vary: Accept", "vary: Origin", ("header:vary", Value)),
        ("Vary: Accept", "", ("header:vary", Missing)),
        ("Allow: GET", "allow: get", ("header:allow", Value)),
        ("Cache-Control: max-age=60", "cache-control: max-age=61", ("header:cache-control", Value)),
        ("Content-Type: application/json", "content-type: text/html", ("header:content-type", Value)),
        ("Content-Type: text/html", "content-type: text/html; charset=utf-8", ("header:content-type", Value)),
        (
            "Content-Type: application/json; charset=latin1",
            "content-type: application/json",
            ("header:content-type", Value),
        ),
        (
            "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
            "last-modified: Sun, 06 Nov 1994 08:49:38 GMT",
            ("header:last-modified", Value),
        ),
        ("Last-Modified: then", "last-modified: now", ("header:last-modified", Value)),
        ("Link: </a>; rel=next", "link: </b>; rel=next", ("header:link", Value)),
        ("X-A: 1\nX-A: 2", "x-a: 2\nx-a: 1", ("header:x-a", Order)),
        ("Location: /A", "location: /a", ("header:location", Value)),
        (
            "Content-Security-Policy: script-src 'nonce-abc' 'self'",
            "content-security-policy: script-src 'self'",
            ("header:content-security-policy", Value),
        ),
        ("--\nX-Rows: 5", "--\nx-rows: 6", ("trailer:x-rows", Value)),
        ("X-Rows: 5", "x-rows: 5\n--\nx-rows: 5", ("trailer:x-rows", Added)),
    ] {
        differ(old, new, &[expected]);
    }
}

#[test]
fn bytes_that_are_no_text_are_told_apart() {
    let field = |value| Answer {
        status: 200,
        headers: vec![Field { name: b"x-name", value }],
        trailers: Vec::new(),
        body: Body::Whole(b""),
    };
    for (old, new, is_same) in
        [(&b"\xff"[..], &b"\xff"[..], true), (b"\xff", b"\xc3\xbf", false), (b"\xff", b"\xfe", false)]
    {
        for name in [&b"x-name"[..], b"set-cookie"] {
            let (mut old, mut new) = (field(old), field(new));
            let cookies = [[b"a=", old.headers[0].value].concat(), [b"a=", new.headers[0].value].concat()];
            old.headers[0] = Field { name, value: &cookies[0] };
            new.headers[0] = Field { name, value: &cookies[1] };
            let mut findings = Findings::new(&Limits::default());
            compare(&fields(&old), &fields(&new), USUAL, &Rules::default(), &mut findings);
            assert_eq!(findings.len() == 0, is_same, "{old:?} {new:?}");
        }
    }
}

#[test]
fn grpc_has_its_status_wherever_it_stands() {
    let grpc = |lines: &str| format!("content-type: application/grpc\n{lines}");
    for (old, new, expected) in [
        ("grpc-status: 5", "--\ngrpc-status: 5", &[][..]),
        ("grpc-status: 5\ngrpc-message: no%20order", "--\ngrpc-status: 5\ngrpc-message: no order", &[]),
        (
            "--\ngrpc-status: 0",
            "grpc-status: 13\ngrpc-message: x",
            &[("trailer:grpc-message", Added), ("trailer:grpc-status", Value)],
        ),
        ("--\ngrpc-status: 0", "", &[("trailer:grpc-status", Missing)]),
        ("grpc-encoding: gzip\n--\ngrpc-status: 0", "grpc-accept-encoding: gzip\n--\ngrpc-status: 0", &[]),
    ] {
        differ(&grpc(old), &grpc(new), expected);
    }
    differ(
        "grpc-status: 5",
        "--\ngrpc-status: 5",
        &[("header:grpc-status", Missing), ("trailer:grpc-status", Added)],
    );
}

#[test]
fn rules_say_which_fields() {
    let rules = |only: Option<&[&str]>, ignored: &[&str]| {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let json = JsonSpec { ignore: own(ignored), ..JsonSpec::default() };
        Rules::compile(&RulesSpec { headers: only.map(own), json, ..RulesSpec::default() }).unwrap()
    };
    let old = "server: a\nx-a: 1\netag: 1\nset-cookie: sid=1\n--\nx-t: 1";
    let new = "server: b\nx-a: 2\netag: 2\nset-cookie: sid=2\n--\nx-t: 2";
    for (rules, expected) in [
        (rules(None, &[]), &["header:set-cookie:sid", "header:x-a", "trailer:x-t"][..]),
        (rules(Some(&["Server"]), &[]), &["header:server", "trailer:x-t"]),
        (rules(Some(&["etag", "x-*"]), &[]), &["header:etag", "header:x-a", "trailer:x-t"]),
        (
            rules(Some(&["*", "server"]), &[]),
            &["header:server", "header:set-cookie:sid", "header:x-a", "trailer:x-t"],
        ),
        (rules(Some(&[]), &[]), &["trailer:x-t"]),
        (rules(Some(&["server"]), &["header:server"]), &["trailer:x-t"]),
        (rules(None, &["header:X-*"]), &["header:set-cookie:sid", "trailer:x-t"]),
        (rules(None, &["trailer:x-t"]), &["header:set-cookie:sid", "header:x-a"]),
        (rules(None, &["header:set-cookie"]), &["header:x-a", "trailer:x-t"]),
        (rules(None, &["header:Set-Cookie:sid"]), &["header:x-a", "trailer:x-t"]),
        (rules(None, &["header:set-cookie:s*"]), &["header:x-a", "trailer:x-t"]),
        // Names of cookies have case.
        (rules(None, &["header:set-cookie:SID"]), &["header:set-cookie:sid", "header:x-a", "trailer:x-t"]),
    ] {
        let places: Vec<String> = found(old, new, &rules).into_iter().map(|(at, _)| at).collect();
        assert_eq!(places, expected, "{rules:?}");
    }
}

#[test]
fn lengths_count_where_they_are_all_there_is() {
    let heads = Setting { lengths_count: true, ..USUAL };
    let length = ("header:content-length".to_owned(), Value);
    for (old, new, differs) in [
        ("Content-Length: 10", "content-length: 20", true),
        ("Content-Length: 10", "content-length: 010", false),
        ("Content-Length: 10, 10", "content-length: 10", false),
        ("Content-Length: 10", "content-length: ten", true),
        ("Content-Length: 10", "", false),
        ("Content-Length: 10", "transfer-encoding: chunked", false),
        ("", "", false),
    ] {
        let expected = if differs { vec![length.clone()] } else { Vec::new() };
        let all = Rules::default();
        assert_eq!(found_in(heads, old, new, &all), expected, "{old} | {new}");
        assert_eq!(found_in(heads, new, old, &all), expected, "{new} | {old}");
        assert_eq!(found(old, new, &all), [], "{old} | {new}");
    }
    let only = |names: &[&str], ignored: &[&str]| {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let json = JsonSpec { ignore: own(ignored), ..JsonSpec::default() };
        Rules::compile(&RulesSpec { headers: Some(own(names)), json, ..RulesSpec::default() }).unwrap()
    };
    let lengths = ("content-length: 10", "content-length: 20");
    for (rules, differs) in [
        (only(&["*"], &[]), true),
        (only(&["etag"], &[]), false),
        (only(&["content-*"], &[]), true),
        (only(&["*"], &["header:content-length"]), false),
    ] {
        assert_eq!(!found_in(heads, lengths.0, lengths.1, &rules).is_empty(), differs, "{rules:?}");
    }
}

#[test]
fn boundaries_count_unless_the_bodies_have_them() {
    let unfit = Setting { boundaries_fit: false, ..USUAL };
    let content_type = ("header:content-type".to_owned(), Value);
    for (old, new, differs, differs_unfit) in [
        ("multipart/mixed; boundary=Q", "multipart/mixed; boundary=X", false, true),
        ("multipart/mixed; boundary=Q", "multipart/mixed; boundary=\"Q\"", false, false),
        ("multipart/mixed; boundary=Q", "multipart/mixed", true, true),
        ("multipart/mixed; boundary=Q", "multipart/form-data; boundary=Q", true, true),
        ("text/plain; boundary=Q", "text/plain; boundary=X", true, true),
    ] {
        let [old, new] = [old, new].map(|value| format!("content-type: {value}"));
        for (setting, differs) in [(USUAL, differs), (unfit, differs_unfit)] {
            let expected = if differs { vec![content_type.clone()] } else { Vec::new() };
            assert_eq!(found_in(setting, &old, &new, &Rules::default()), expected, "{old} | {new}");
        }
    }
}

#[test]
fn rules_hold_for_the_values_of_cookies() {
    let rule = |path: &str, change: &dyn Fn(&mut RuleSpec)| {
        let mut rule = RuleSpec { path: path.to_owned(), ..RuleSpec::default() };
        change(&mut rule);
        let json = JsonSpec { rules: vec![rule], ..JsonSpec::default() };
        Rules::compile(&RulesSpec { json, ..RulesSpec::default() }).unwrap()
    };
    let mask = |rule: &mut RuleSpec| rule.mask = vec!["[0-9]".to_owned()];
    let case = |rule: &mut RuleSpec| rule.case = Some("ignore".to_owned());
    let space = |rule: &mut RuleSpec| rule.whitespace = Some("ignore".to_owned());
    let within = |rule: &mut RuleSpec| rule.within = Some(Duration::from_secs(2));
    let (a, value) = ("header:set-cookie:a", ("header:set-cookie:a", Value));
    for (rules, old, new, expected) in [
        (rule(a, &mask), "a=x1", "a=x2", &[][..]),
        (rule(a, &mask), "a=x1", "a=y2", &[value]),
        (rule(a, &mask), "b=x1", "b=x2", &[("header:set-cookie:b", Value)]),
        (rule(a, &mask), "A=x1", "A=x2", &[("header:set-cookie:A", Value)]),
        (rule("header:set-cookie", &mask), "b=x1", "b=x2", &[]),
        (rule("header:set-cookie:*", &mask), "b=x1", "b=x2", &[]),
        (rule("header:*", &mask), "b=x1", "b=x2", &[]),
        (rule("header:x-*", &mask), "x-b=x1", "x-b=x2", &[("header:set-cookie:x-b", Value)]),
        (rule("trailer:set-cookie", &mask), "a=x1", "a=x2", &[value]),
        (rule(a, &case), "a=No", "a=nO", &[]),
        (rule(a, &space), "a=1 2", "a=12", &[]),
        (rule(a, &within), "a=1700000000", "a=1700000002", &[]),
        (rule(a, &within), "a=1700000000", "a=1700000003", &[value]),
        // Attributes are no part of the value.
        (rule(a, &case), "a=1; Path=/A", "a=1; Path=/a", &[("header:set-cookie:a;path", Value)]),
    ] {
        let [old, new] = [old, new].map(|cookie| format!("set-cookie: {cookie}"));
        let expected: Vec<_> = expected.iter().map(|(at, kind)| ((*at).to_owned(), *kind)).collect();
        assert_eq!(found(&old, &new, &rules), expected, "{old} | {new}");
        assert_eq!(found(&new, &old, &rules), expected, "{new} | {old}");
    }
}

#[test]
fn cookies_are_compared_by_name_and_attributes() {
    const DATE: &str = "date: Sun, 06 Nov 1994 08:00:00 GMT\n";
    let cookie = "header:set-cookie:a";
    for (old, new, expected) in [
        ("a=1; Path=/; HttpOnly; SameSite=Lax", "a=1;samesite=LAX;httponly;path=/", &[][..]),
        ("a=1; Domain=.Example.com", "a=1; Domain=example.com", &[]),
        ("a=1; Domain=", "a=1", &[]),
        ("a=\"1\"", "a=1", &[]),
        // As long as what a session or a signature looks like: another one for each answer.
        ("a=0123456789abcdef", "a=fedcba9876543210ff", &[]),
        ("a=0123456789abcdef", "a=", &[("header:set-cookie:a", Value)]),
        ("a=no", "a=en", &[("header:set-cookie:a", Value)]),
        ("a=no", "A=no", &[("header:set-cookie:A", Added), ("header:set-cookie:a", Missing)]),
        ("a=1; Secure; HttpOnly", "a=1; Secure", &[("header:set-cookie:a;httponly", Value)]),
        ("a=1; Path=/", "a=1; Path=/app", &[("header:set-cookie:a;path", Value)]),
        ("a=1; SameSite=None", "a=1; SameSite=Lax", &[("header:set-cookie:a;samesite", Value)]),
        ("a=1", "a=1; Max-Age=60", &[("header:set-cookie:a;expires", Value)]),
        ("a=1; Max-Age=60", "a=1; Max-Age=63", &[]),
        ("a=1; Max-Age=60", "a=1; Max-Age=120", &[("header:set-cookie:a;expires", Value)]),
        ("a=1; Max-Age=60", "a=1; Expires=Sun, 06 Nov 1994 08:01:00 GMT", &[]),
        (
            "a=1; Max-Age=60",
            "a=1; Expires=Sun, 06 Nov 1994 09:01:00 GMT",
            &[("header:set-cookie:a;expires", Value)],
        ),
        ("a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "a=1; Max-Age=60", &[]),
        ("a=gone; Max-Age=0", "a=; Expires=Thu, 01-Jan-70 00:00:01 GMT", &[]),
        ("a=1; Max-Age=0", "a=1", &[("header:set-cookie:a;expires", Value)]),
        ("a=1; Max-Age=soon", "a=1", &[]),
        ("no cookie", "", &[]),
    ] {
        let line = |cookie: &str| {
            if cookie.is_empty() { String::new() } else { format!("{DATE}set-cookie: {cookie}") }
        };
        differ(&line(old), &line(new), expected);
    }
    // Without a date, only the moment itself tells, or that it is long past.
    for (old, new, expected) in [
        ("Expires=Wed, 01-May-2030 10:00:00 GMT", "Expires=Wed, 01 May 2030 10:00:02 GMT", &[][..]),
        (
            "Expires=Wed, 01-May-2030 10:00:00 GMT",
            "Expires=Wed, 01 May 2031 10:00:00 GMT",
            &[("header:set-cookie:a;expires", Value)],
        ),
        ("Expires=Wed, 01-May-2030 10:00:00 GMT", "Max-Age=9", &[]),
        ("Expires=Thu, 01 Jan 1970 00:00:00 GMT", "Max-Age=0", &[]),
    ] {
        differ(&format!("set-cookie: a=1; {old}"), &format!("set-cookie: a=1; {new}"), expected);
    }
    let both = |one: &str, other: &str| format!("set-cookie: {one}\nset-cookie: {other}");
    differ(&both("a=1; Path=/", "a=2; Path=/x"), &both("a=2; Path=/x", "a=1; Path=/"), &[]);
    differ(&both("a=1", "b=2"), "set-cookie: b=2", &[(cookie, Missing)]);
    differ(&both("a=1; Path=/", "a=2; Path=/x"), "set-cookie: a=2; Path=/x", &[(cookie, Missing)]);
}
