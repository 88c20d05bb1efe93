//! Header fields: what belongs to one hop stays there, what a proxy adds is added, all else is untouched.

use test_kit::{Config, Proxy, Request, Response, Scripted, Wire};

use crate::{asked_of, rig, rig_with};

/// One exchange with these request fields and this answer; both as they came out on the other side.
fn pass(fields: &str, answer: &str) -> (Request, Response) {
    let (_proxy, upstream, mut client) = rig();
    through(&upstream, &mut client, fields, answer)
}

pub(crate) fn through(
    upstream: &Scripted,
    client: &mut Wire,
    fields: &str,
    answer: &str,
) -> (Request, Response) {
    client.send(format!("GET /a HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n"));
    let mut wire = upstream.accept();
    let got = wire.request();
    wire.send(answer);
    (got, client.response())
}

const PLAIN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[test]
fn fields_of_one_hop_stop_here_on_the_way_in() {
    let (got, _) = pass(
        "Connection: keep-alive, X-Hop, x-other\r\nX-Hop: 1\r\nX-Other: 2\r\nX-End: 3\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nTE: gzip\r\n",
        PLAIN,
    );
    for hop in ["x-hop", "x-other", "keep-alive", "proxy-connection", "te"] {
        assert!(!got.fields.has(hop), "{hop} went on: {got:?}");
        assert!(!got.fields.lists("connection", hop), "{got:?}");
    }
    assert_eq!(got.fields.get("x-end"), Some("3"));
}

#[test]
fn fields_of_one_hop_stop_here_on_the_way_out() {
    let (_, answer) = pass(
        "",
        "HTTP/1.1 200 OK\r\nX-Hop: 1\r\nConnection: x-hop, keep-alive\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: close\r\nX-End: 3\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
    );
    for hop in ["x-hop", "keep-alive", "proxy-connection", "upgrade"] {
        assert!(!answer.fields.has(hop), "{hop} went on: {answer:?}");
        assert!(!answer.fields.lists("connection", hop) || hop == "keep-alive", "{answer:?}");
    }
    assert_eq!(answer.fields.get("x-end"), Some("3"));
}

#[test]
fn te_trailers_alone_goes_on() {
    for te in ["trailers", "gzip;q=0.5, Trailers"] {
        let (got, _) = pass(&format!("Connection: te\r\nTE: {te}\r\n"), PLAIN);
        assert_eq!(
            got.fields.get("te").map(str::to_ascii_lowercase).as_deref(),
            Some("trailers"),
            "TE: {te}"
        );
        assert!(got.fields.lists("connection", "te"), "RFC 9110, section 10.1.4: {got:?}");
    }
}

#[test]
fn connection_cannot_strip_what_the_proxy_adds() {
    let (got, _) = pass(
        "Connection: x-forwarded-for, x-request-id, via, forwarded\r\nX-Forwarded-For: 6.6.6.6\r\n",
        PLAIN,
    );
    assert!(got.fields.get("x-forwarded-for").is_some_and(|value| value.ends_with("127.0.0.1")), "{got:?}");
    assert!(got.fields.has("x-request-id") && got.fields.has("via"), "{got:?}");
}

#[test]
fn via_and_forwarding_fields_are_added() {
    let (got, answer) = pass("", PLAIN);
    let via = got.fields.get("via").expect("a request through a proxy has Via");
    assert!(via.starts_with("1.1 "), "RFC 9110, section 7.6.3: {via}");
    assert!(answer.fields.get("via").is_some_and(|via| via.starts_with("1.1 ")), "{answer:?}");
    assert_eq!(got.fields.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(got.fields.all("x-forwarded-proto"), ["http"]);
    assert_eq!(got.fields.all("x-forwarded-host"), ["shop.example"]);
    let forwarded = got.fields.get("forwarded").expect("RFC 7239").to_ascii_lowercase();
    for part in ["for=127.0.0.1", "proto=http", "host=shop.example"] {
        assert!(forwarded.replace('"', "").contains(part), "{part} is not in {forwarded}");
    }
}

#[test]
fn an_untrusted_client_cannot_choose_its_origin() {
    let (got, _) = pass(
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\
         Forwarded: for=6.6.6.6;proto=https\r\n",
        PLAIN,
    );
    let last =
        got.fields.all("x-forwarded-for").join(",").split(',').next_back().map(|a| a.trim().to_owned());
    assert_eq!(last.as_deref(), Some("127.0.0.1"), "{got:?}");
    assert_eq!(got.fields.all("x-forwarded-proto"), ["http"]);
    assert_eq!(got.fields.all("x-forwarded-host"), ["shop.example"]);
    assert!(!got.fields.all("forwarded").join(",").ends_with("proto=https"), "{got:?}");
}

#[test]
fn a_trusted_proxy_in_front_is_believed_and_continued() {
    let (_proxy, upstream, mut client) =
        rig_with(|config| config.proxy("trusted_proxies = [\"127.0.0.0/8\"]"));
    let (got, _) = through(
        &upstream,
        &mut client,
        "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: www.example\r\nVia: 1.1 lb\r\n",
        PLAIN,
    );
    assert_eq!(got.fields.all("x-forwarded-for").join(", "), "203.0.113.9, 127.0.0.1");
    assert_eq!(got.fields.all("x-forwarded-proto"), ["https"]);
    assert_eq!(got.fields.all("x-forwarded-host"), ["www.example"]);
    let via = got.fields.all("via").join(", ");
    assert!(via.starts_with("1.1 lb, 1.1 "), "{via}");
}

#[test]
fn the_host_stays_the_clients() {
    let (got, _) = pass("", PLAIN);
    assert_eq!(got.fields.all("host"), ["shop.example"]);
}

#[test]
fn an_absolute_target_becomes_an_origin_form_and_its_host_wins() {
    let (_proxy, upstream, mut client) = rig();
    client.send("GET http://real.example:81/p?q=1 HTTP/1.1\r\nHost: other.example\r\n\r\n");
    let mut wire = upstream.accept();
    let got = wire.request();
    assert_eq!((got.target.as_str(), got.fields.all("host")), ("/p?q=1", vec!["real.example:81"]));
    wire.send(PLAIN);
    client.response();
    client.send("GET http://real.example HTTP/1.1\r\nHost: real.example\r\n\r\n");
    assert_eq!(wire.request().target, "/");
    wire.send(PLAIN);
    client.response();
    client.send("GET http://real.example?q HTTP/1.1\r\nHost: real.example\r\n\r\n");
    assert_eq!(wire.request().target, "/?q");
}

#[test]
fn a_request_id_is_made_passed_and_returned() {
    let (got, answer) = pass("", PLAIN);
    let made = got.fields.get("x-request-id").expect("every request has an id");
    assert!(made.len() >= 16, "{made}");
    assert_eq!(answer.fields.get("x-request-id"), Some(made));
    let (other, _) = pass("", PLAIN);
    assert_ne!(other.fields.get("x-request-id"), Some(made));

    let (got, answer) = pass("X-Request-Id: abc-123\r\n", PLAIN);
    assert_eq!(got.fields.all("x-request-id"), ["abc-123"]);
    assert_eq!(answer.fields.all("x-request-id"), ["abc-123"]);

    let (_, answer) = pass("", "HTTP/1.1 200 OK\r\nx-request-id: upstreams-own\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(answer.fields.all("x-request-id").len(), 1, "{answer:?}");
}

#[test]
fn both_arms_get_a_request_id() {
    for percent in [0, 100] {
        let (old, new) = (Scripted::bind(), Scripted::bind());
        let proxy = Proxy::start(&Config::pair(old.addr(), new.addr()).percent(percent));
        let mut client = proxy.connect();
        let arm = if percent == 0 { &old } else { &new };
        let fields = "x-user-id: a\r\nx-request-id: given\r\n";
        let (got, answer) = through(arm, &mut client, fields, PLAIN);
        assert_eq!(got.fields.all("x-request-id"), ["given"]);
        assert_eq!(answer.fields.all("x-request-id"), ["given"]);
    }
}

#[test]
fn trace_context_is_untouched() {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (got, _) = pass(&format!("traceparent: {parent}\r\ntracestate: a=b, c=d\r\nbaggage: k=v\r\n"), PLAIN);
    assert_eq!(got.fields.all("traceparent"), [parent]);
    assert_eq!(got.fields.all("tracestate"), ["a=b, c=d"]);
    assert_eq!(got.fields.all("baggage"), ["k=v"]);
}

#[test]
fn clients_own_crossfade_fields_are_stripped() {
    let (got, _) = pass(
        "Crossfade-Shadow: 1\r\ncrossfade-force: new\r\nCROSSFADE-Anything: x\r\nX-Crossfade: stays\r\n",
        PLAIN,
    );
    let ours: Vec<_> =
        got.fields.0.iter().filter(|(name, _)| name.to_ascii_lowercase().starts_with("crossfade-")).collect();
    assert!(ours.is_empty(), "{ours:?}");
    assert_eq!(got.fields.get("x-crossfade"), Some("stays"));
}

#[test]
fn the_forcing_header_and_its_secret_go_no_further() {
    let force = "[migration.shop.force]\nheader = \"x-force\"\nsecret = \"correct-horse-battery\"";
    let (_proxy, upstream, mut client) = rig_with(|config| config.section(force));
    let (got, _) = through(&upstream, &mut client, "X-Force: old; secret=correct-horse-battery\r\n", PLAIN);
    assert!(!String::from_utf8_lossy(&got.head).contains("battery"), "{got:?}");
}

#[test]
fn everything_else_is_untouched_both_ways() {
    let fields = "X-Upper: MiXeD\r\nx-empty:\r\nx-spaces:   padded  inside \t\r\nx-twice: 1\r\nx-twice: 2\r\n\
                  Cookie: a=1; b=\"2\"\r\nAuthorization: Basic dTpw\r\nx-latin: caf\u{e9}\r\nx-quotes: \"a, b\", c\r\n\
                  Accept-Encoding: gzip, br\r\nIf-None-Match: \"x\"\r\nRange: bytes=0-9\r\nUser-Agent: t/1 (x; y)\r\n";
    let names = [
        "x-upper",
        "x-empty",
        "x-spaces",
        "x-twice",
        "cookie",
        "authorization",
        "x-latin",
        "x-quotes",
        "accept-encoding",
        "if-none-match",
        "range",
        "user-agent",
    ];
    let mut sent =
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nserver: mine/1\r\ndate: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
            .to_vec();
    sent.extend_from_slice(fields.as_bytes());
    sent.extend_from_slice(b"\r\n");
    let answer = String::from_utf8(sent).unwrap();
    let (got, back) = pass(fields, &answer);
    let latin: String = "caf\u{e9}".bytes().map(char::from).collect();
    for fields in [&got.fields, &back.fields] {
        assert_eq!(fields.all("x-twice"), ["1", "2"]);
        assert_eq!(fields.get("x-empty"), Some(""));
        assert_eq!(fields.get("x-spaces"), Some("padded  inside"));
        assert_eq!(fields.get("x-latin"), Some(latin.as_str()));
        let order: Vec<String> = fields
            .0
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .filter(|name| names.contains(&name.as_str()))
            .collect();
        assert_eq!(order.len(), names.len() + 1, "{order:?}");
        assert!(
            order.windows(2).all(|pair| {
                let at = |name: &str| names.iter().position(|n| *n == name);
                at(&pair[0]) <= at(&pair[1])
            }),
            "the order changed: {order:?}"
        );
    }
    assert_eq!(back.fields.all("server"), ["mine/1"]);
    assert_eq!(back.fields.all("date"), ["Mon, 01 Jan 2024 00:00:00 GMT"]);
}

#[test]
fn a_large_head_passes_both_ways() {
    let big = "x".repeat(12_000);
    let (got, answer) = pass(
        &format!("Cookie: {big}\r\nX-More: {big}\r\n"),
        &format!("HTTP/1.1 200 OK\r\nx-big: {big}\r\nx-more: {big}\r\ncontent-length: 0\r\n\r\n"),
    );
    assert_eq!(
        (got.fields.get("cookie"), got.fields.get("x-more")),
        (Some(big.as_str()), Some(big.as_str()))
    );
    assert_eq!(
        (answer.fields.get("x-big"), answer.fields.get("x-more")),
        (Some(big.as_str()), Some(big.as_str()))
    );
}

#[test]
fn options_for_the_server_itself() {
    let (proxy, upstream, mut client) = rig();
    client.send("OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n");
    if let Some(mut wire) = asked_of(&upstream, &mut client) {
        assert_eq!(wire.request().target, "*", "RFC 9112, section 3.2.4");
        wire.send(PLAIN);
        assert_eq!(client.response().status, 200);
    } else {
        assert_eq!(client.response().status, 404);
    }
    drop(proxy);
}

#[test]
fn a_request_id_is_one_value() {
    for fields in ["X-Request-Id:\r\n", "X-Request-Id: one\r\nX-Request-Id: two\r\n"] {
        let (got, answer) = pass(fields, PLAIN);
        let ids = got.fields.all("x-request-id");
        assert!(ids.len() == 1 && !ids[0].is_empty(), "{fields:?}: {ids:?}");
        assert_eq!(answer.fields.all("x-request-id"), ids, "{fields:?}");
    }
}

#[test]
fn only_a_crossfade_in_front_may_say_that_a_request_is_a_copy() {
    let sent = "Crossfade-Shadow: 1\r\ncrossfade-arm: new\r\ncrossfade_shadow: 1\r\n";
    for (from, expected) in [("", &[][..]), ("10.9.9.9", &[]), ("127.0.0.1", &["1"])] {
        // A load balancer passes on what clients say, so that it is trusted for their address tells nothing of the mark.
        let proxy = format!("trusted_proxies = [\"127.0.0.0/8\"]\ncopies_from = [\"{from}\"]")
            .replace("[\"\"]", "[]");
        let (_proxy, upstream, mut client) = rig_with(|config| config.proxy(proxy));
        let (got, _) = through(&upstream, &mut client, sent, PLAIN);
        assert_eq!(got.fields.all("crossfade-shadow"), expected, "{from}: {got:?}");
        assert!(!got.fields.has("crossfade-arm") && !got.fields.has("crossfade_shadow"), "{got:?}");
    }
}
