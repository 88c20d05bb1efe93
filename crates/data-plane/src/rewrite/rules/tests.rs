use http1_codec::{Framing, Limits, Version};
use route_plan::{PathPrefix, Snapshot};

use super::*;
use crate::admit::admit;
use crate::rewrite::{Added, AnswerForm, request_head, response_head};

const AUTHORITY: &str = "10.0.0.11:8080";

/// A request that has been read and admitted; its peer is trusted when it says so.
fn admitted(head: &str, peer_trusted: bool) -> Scratch {
    let mut scratch = Scratch::default();
    assert_eq!(scratch.request.parse(head.as_bytes(), &Limits::default()), Ok(true));
    let mut snapshot = Snapshot::default();
    if peer_trusted {
        snapshot.trusted_proxies.push("10.0.0.0/8".parse().unwrap());
    }
    let peer = [10, 9, 9, 9].into();
    admit(&mut scratch, head.as_bytes(), peer, &snapshot, &mut || 7).unwrap();
    scratch
}

fn form(rules: &Rules) -> RequestForm<'_> {
    RequestForm { authority: AUTHORITY, forcing: &[], rules: Some(rules) }
}

/// The head that the upstream gets, line by line.
fn sent(head: &str, rules: &Rules) -> Vec<String> {
    let mut scratch = admitted(head, false);
    request_head(&mut scratch, head.as_bytes(), form(rules));
    lines(&scratch.sent)
}

fn lines(head: &[u8]) -> Vec<String> {
    let head =
        str::from_utf8(head).unwrap().strip_suffix("\r\n\r\n").expect("a head ends with an empty line");
    head.split("\r\n").map(str::to_owned).collect()
}

/// The values of a field, its name in any case.
fn values<'l>(lines: &'l [String], name: &str) -> Vec<&'l str> {
    let fields = lines.iter().filter_map(|line| line.split_once(": "));
    fields.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn changes(remove: &[&str], set: &[(&str, &str)], add: &[(&str, &str)]) -> HeaderRules {
    let remove = remove.iter().map(|name| (*name).to_owned()).collect();
    HeaderRules { remove, set: owned(set), add: owned(add) }
}

fn prefix(from: &str, to: &str) -> Option<PathPrefix> {
    Some(PathPrefix { from: from.to_owned(), to: to.to_owned() })
}

#[test]
fn the_path_gets_its_other_prefix_and_the_query_stays() {
    let rules = Rules { path_prefix: prefix("/v1", "/v2"), ..Rules::default() };
    for (target, expected) in [
        ("/v1/cart?a=/v1", "/v2/cart?a=/v1"),
        ("/v1", "/v2"),
        ("/v1?", "/v2?"),
        ("/x/../%761//cart", "/v2//cart"),
        ("//v1/cart", "/v2/cart"),
        ("/v10", "/v10"),
        ("/%61?b=%61", "/a?b=%61"),
        ("http://real.example/v1/cart?q", "/v2/cart?q"),
        ("http://real.example?q", "/?q"),
    ] {
        let lines = sent(&format!("GET {target} HTTP/1.1\r\nHost: real.example\r\n\r\n"), &rules);
        assert_eq!(lines[0], format!("GET {expected} HTTP/1.1"), "{target}");
    }
    let rules = Rules { path_prefix: prefix("", "/v2"), ..Rules::default() };
    for (target, expected) in [("*", "*"), ("/", "/v2/"), ("/a", "/v2/a")] {
        let lines = sent(&format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n"), &rules);
        assert_eq!(lines[0], format!("OPTIONS {expected} HTTP/1.1"));
    }
}

#[test]
fn the_upstream_is_asked_under_the_name_that_the_rule_gives() {
    let asked = "GET / HTTP/1.1\r\nX-A: 1\r\nHost: shop.example:81\r\n\r\n";
    let nameless = "GET / HTTP/1.0\r\nX-A: 1\r\n\r\n";
    let fixed = HostRule::Fixed("shop-new.internal".to_owned());
    for (host, head, expected) in [
        (HostRule::Client, asked, "shop.example:81"),
        (HostRule::Client, nameless, AUTHORITY),
        (HostRule::Endpoint, asked, AUTHORITY),
        (HostRule::Endpoint, nameless, AUTHORITY),
        (fixed.clone(), asked, "shop-new.internal"),
        (fixed, nameless, "shop-new.internal"),
    ] {
        // Something else has to be changed too, or nothing would be.
        let rules = Rules { host, location: true, ..Rules::default() };
        let lines = sent(head, &rules);
        assert_eq!(lines[1], format!("Host: {expected}"));
        assert_eq!(values(&lines, "host").len(), 1);
        // What the client asked for is told all the same.
        let named = if head == asked { vec!["shop.example:81"] } else { vec![] };
        assert_eq!(values(&lines, "x-forwarded-host"), named);
        assert_eq!(values(&lines, "forwarded")[0].contains("shop.example:81"), head == asked);
    }
}

#[test]
fn a_request_that_goes_to_another_endpoint_names_that_one() {
    let head = "GET /v1/a HTTP/1.1\r\nHost: shop.example\r\nX-A: Host: no\r\n\r\n";
    for (host, first, second) in [
        (HostRule::Client, "shop.example", "shop.example"),
        (HostRule::Endpoint, AUTHORITY, "[::1]:80"),
        (HostRule::Fixed("fixed".to_owned()), "fixed", "fixed"),
    ] {
        let rules = Rules { host, path_prefix: prefix("/v1", "/v2"), ..Rules::default() };
        let mut scratch = admitted(head, false);
        request_head(&mut scratch, head.as_bytes(), form(&rules));
        let before = lines(&scratch.sent);
        assert_eq!(before[1], format!("Host: {first}"));
        repeat_head(&mut scratch, RequestForm { authority: "[::1]:80", ..form(&rules) });
        let after = lines(&scratch.sent);
        assert_eq!(after[1], format!("Host: {second}"));
        assert!(after[0] == before[0] && after[2..] == before[2..], "{after:?}");
    }
    // A request without `Host` names the endpoint, whether or not there are rules.
    let head = "GET / HTTP/1.0\r\n\r\n";
    let mut scratch = admitted(head, false);
    let form = |authority| RequestForm { authority, forcing: &[], rules: None };
    request_head(&mut scratch, head.as_bytes(), form("a:80"));
    repeat_head(&mut scratch, form("b:80"));
    assert_eq!(lines(&scratch.sent)[1], "Host: b:80");
}

#[test]
fn fields_of_requests_are_removed_set_and_added() {
    let head =
        "GET / HTTP/1.1\r\nHost: a\r\nX-B: 1\r\nx_b: 2\r\nX-A: 3\r\nx-a: 4\r\nX-C: 5\r\nX-D: 6\r\n\r\n";
    let request_headers = changes(&["x-b"], &[("X-A", "set"), ("X-E", "new")], &[("X-C", "7"), ("X-B", "8")]);
    let lines = sent(head, &Rules { request_headers, ..Rules::default() });
    assert_eq!(values(&lines, "x-a"), ["set"]);
    assert_eq!(values(&lines, "x-b"), ["8"], "what is added is not removed again");
    assert_eq!(values(&lines, "x_b"), Vec::<&str>::new(), "a backend may take it for x-b");
    assert_eq!(values(&lines, "x-c"), ["5", "7"]);
    assert_eq!(values(&lines, "x-d"), ["6"]);
    assert_eq!(values(&lines, "x-e"), ["new"]);
}

#[test]
fn no_rule_reaches_framing_or_what_the_proxy_writes() {
    let ours = [
        "host",
        "content-length",
        "content_length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "te",
        "trailer",
        "expect",
        "via",
        "forwarded",
        "x-forwarded-for",
        "x_forwarded_for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
        "x-request-id",
        "crossfade-arm",
    ];
    let set: Vec<_> = ours.iter().map(|name| (*name, "77")).collect();
    let all = changes(&ours, &set, &set);
    for head in [
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTrailer: x\r\nTE: trailers\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let lines_sent = sent(head, &Rules { request_headers: all.clone(), ..Rules::default() });
        // Location changes nothing in a request: what would be sent without rules.
        assert_eq!(lines_sent, sent(head, &Rules { location: true, ..Rules::default() }));
    }
    let rules = Rules { response_headers: all, ..Rules::default() };
    let head =
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTrailer: x\r\nX-Request-Id: theirs\r\nVia: 1.1 b\r\n\r\n";
    let plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let expected = answered(plain, head, &Rules::default(), Added::default());
    assert_eq!(answered(plain, head, &rules, Added::default()), expected);
}

/// The head that the client of this request gets for an answer's head, line by line.
fn answered(request: &str, answer: &str, rules: &Rules, added: Added<'_>) -> Vec<String> {
    answered_to(admitted(request, false), request, answer, rules, added)
}

fn answered_to(
    mut scratch: Scratch,
    request: &str,
    answer: &str,
    rules: &Rules,
    added: Added<'_>,
) -> Vec<String> {
    request_head(&mut scratch, request.as_bytes(), form(rules));
    assert_eq!(scratch.response.parse(answer.as_bytes(), &Limits::default()), Ok(true));
    let framing = scratch.response.framing(false);
    let chunked = framing == Framing::Chunked;
    let form = AnswerForm { framing, chunked, close: false, client: Version::Http11 };
    let rules = AnswerRules { rules, endpoint: AUTHORITY };
    response_head(&mut scratch, answer.as_bytes(), form, added, Some(rules));
    lines(&scratch.answer)
}

const GET: &str = "GET /v1/a HTTP/1.1\r\nHost: shop.example\r\n\r\n";

#[test]
fn fields_of_answers_are_removed_set_and_added() {
    let response_headers = changes(
        &["server", "set-cookie"],
        &[("Cache-Control", "no-store")],
        &[("X-Way", "new"), ("X-Arm", "forged")],
    );
    let rules = Rules { response_headers, ..Rules::default() };
    let added = Added { set_cookie: Some("k=1"), arm: Some(("x-arm", "new")), ..Added::default() };
    let head = "HTTP/1.1 200 OK\r\nServer: n\r\nset-cookie: s=1\r\ncache-control: a\r\nCache-Control: b\r\n\
                X-Way: first\r\nX-Arm: theirs\r\nContent-Length: 0\r\n\r\n";
    let lines = answered(GET, head, &rules, added);
    assert_eq!(values(&lines, "server"), Vec::<&str>::new());
    assert_eq!(values(&lines, "set-cookie"), ["k=1"], "the cookie that crossfade itself sets stays");
    assert_eq!(values(&lines, "cache-control"), ["no-store"]);
    assert_eq!(values(&lines, "x-way"), ["first", "new"]);
    assert_eq!(values(&lines, "x-arm"), ["new"]);
    assert_eq!(values(&lines, "content-length"), ["0"]);
}

#[test]
fn a_switch_of_protocols_is_a_final_answer_too() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let answer =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-A: 1\r\n\r\n";
    let response_headers = changes(&["x-a", "upgrade"], &[("Connection", "x")], &[("X-B", "2")]);
    let lines = answered(request, answer, &Rules { response_headers, ..Rules::default() }, Added::default());
    assert_eq!(values(&lines, "x-a"), Vec::<&str>::new());
    assert_eq!(values(&lines, "x-b"), ["2"]);
    assert_eq!(
        (values(&lines, "upgrade"), values(&lines, "connection")),
        (vec!["websocket"], vec!["Upgrade"])
    );
}

/// What a client is told for this place, in both fields that may name one.
fn led(scratch: Scratch, request: &str, rules: &Rules, place: &str) -> String {
    let answer = format!(
        "HTTP/1.1 302 Found\r\nLocation: {place}\r\ncontent-location: {place}\r\nX-Place: {place}\r\n\
         Content-Length: 0\r\n\r\n"
    );
    let lines = answered_to(scratch, request, &answer, rules, Added::default());
    let [location, content_location, other] =
        ["location", "content-location", "x-place"].map(|name| values(&lines, name));
    assert_eq!((location.len(), other), (1, vec![place]));
    assert_eq!(location, content_location);
    location[0].to_owned()
}

#[test]
fn places_are_led_back_to_what_the_client_asked() {
    let moved = Rules { path_prefix: prefix("/v1", "/v2"), location: true, ..Rules::default() };
    let by = |host| Rules { host, ..moved.clone() };
    let place = |rules: &Rules, place| led(admitted(GET, false), GET, rules, place);
    for rules in [by(HostRule::Client), by(HostRule::Endpoint), by(HostRule::Fixed("fixed:81".to_owned()))] {
        assert_eq!(place(&rules, "http://10.0.0.11:8080/v2/b"), "http://shop.example/v1/b");
        assert_eq!(place(&rules, "/v2/b"), "/v1/b");
        assert_eq!(place(&rules, "http://elsewhere.example/v2/b"), "http://elsewhere.example/v2/b");
    }
    assert_eq!(
        place(&by(HostRule::Fixed("fixed:81".to_owned())), "http://fixed:81/"),
        "http://shop.example/"
    );
    assert_eq!(place(&by(HostRule::Client), "http://shop.example:80/v2"), "http://shop.example/v1");
    let without = Rules { location: false, ..by(HostRule::Endpoint) };
    assert_eq!(place(&without, "http://10.0.0.11:8080/v2/b"), "http://10.0.0.11:8080/v2/b");
    let set = changes(&[], &[("Location", "/v2"), ("Content-Location", "/v2")], &[]);
    let set = Rules { response_headers: set, ..moved.clone() };
    assert_eq!(place(&set, "/v2/b"), "/v2", "what the operator writes stays");
}

#[test]
fn what_a_trusted_proxy_says_of_the_client_is_where_places_lead() {
    let rules = Rules { host: HostRule::Endpoint, location: true, ..Rules::default() };
    let place = "http://10.0.0.11:8080/b";
    for (fields, trusted, expected) in [
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Host: www.example\r\n", true, "https://www.example/b"),
        ("X-Forwarded-Proto: HTTPS, http\r\n", true, "https://shop.example/b"),
        ("X-Forwarded-Host: www.example, lb\r\n", true, "http://www.example/b"),
        ("X-Forwarded-Host: evil.example/\r\n", true, "http://shop.example/b"),
        ("X-Forwarded-Proto: gopher\r\n", true, "http://shop.example/b"),
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n", false, "http://shop.example/b"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n");
        assert_eq!(led(admitted(&request, trusted), &request, &rules, place), expected, "{fields}");
    }
    // A client that named no host knows the path at least.
    let request = "GET / HTTP/1.0\r\n\r\n";
    assert_eq!(led(admitted(request, false), request, &rules, place), "/b");
}
