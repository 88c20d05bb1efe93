use proptest::prelude::*;

use super::*;

const KNOWN_AS: KnownAs<'_> =
    KnownAs { endpoint: b"10.0.0.11:8080", host: b"Shop-New.internal", origin: b"http://shop.example" };

fn prefix(from: &str, to: &str) -> PathPrefix {
    PathPrefix { from: from.to_owned(), to: to.to_owned() }
}

#[track_caller]
fn check(value: &str, prefix: Option<&PathPrefix>, known_as: KnownAs<'_>, expected: &str) {
    let mut out = b"old".to_vec();
    let is_changed = lead_back(value.as_bytes(), prefix, known_as, &mut out);
    assert_eq!(is_changed, value != expected, "{value}");
    assert!(is_changed || out.is_empty(), "{value}");
    let found = if is_changed { String::from_utf8_lossy(&out).into_owned() } else { value.to_owned() };
    assert_eq!(found, expected, "{value}");
}

#[test]
fn what_names_the_upstream_is_led_back() {
    let prefix = prefix("/v1", "/v2");
    for (value, expected) in [
        // The endpoint, and the host that it was asked as.
        ("http://10.0.0.11:8080/v2/cart", "http://shop.example/v1/cart"),
        ("http://shop-new.INTERNAL/v2/cart?a=/v2#/v2", "http://shop.example/v1/cart?a=/v2#/v2"),
        ("HTTP://shop-new.internal/v2", "http://shop.example/v1"),
        ("https://shop-new.internal/v2/", "http://shop.example/v1/"),
        ("http://10.0.0.11:8080", "http://shop.example/"),
        ("http://10.0.0.11:8080?a=b", "http://shop.example/?a=b"),
        ("http://10.0.0.11:8080#a", "http://shop.example/#a"),
        ("http://10.0.0.11:8080/other", "http://shop.example/other"),
        // The scheme's own port may be left out.
        ("http://shop-new.internal:80/v2/a", "http://shop.example/v1/a"),
        ("https://shop-new.internal:443/v2/a", "http://shop.example/v1/a"),
        ("http://shop-new.internal:/v2/a", "http://shop.example/v1/a"),
        // A path alone.
        ("/v2", "/v1"),
        ("/v2/cart?a=b", "/v1/cart?a=b"),
        ("/v2?next=/v2", "/v1?next=/v2"),
        ("/v2//cart", "/v1//cart"),
        ("/v2/a/../b", "/v1/b"),
        ("/x/../v2/b", "/v1/b"),
        ("/%76%32/b", "/v1/b"),
    ] {
        check(value, Some(&prefix), KNOWN_AS, expected);
    }
}

#[test]
fn everything_else_stays() {
    let prefix = prefix("/v1", "/v2");
    for value in [
        "",
        "/",
        "/v20/cart",
        "/cart",
        "/v2/../cart",
        "/a/v2",
        "cart",
        "../cart",
        "v2/cart",
        "?a=/v2",
        "#v2",
        // Other hosts, however they are written.
        "http://shop.example/v2/cart",
        "http://elsewhere.example/v2/cart",
        "http://10.0.0.11/v2/cart",
        "http://10.0.0.11:8081/v2/cart",
        "http://10.0.0.11:8080x/v2/cart",
        "https://10.0.0.11/v2/cart",
        "http://shop-new.internal:443/v2",
        "https://shop-new.internal:80/v2",
        "http://shop-new.internal.evil.example/v2",
        "http://10.0.0.11:8080@evil.example/v2",
        "http://10.0.0.11:8080\\@evil.example/v2",
        "http://user@10.0.0.11:8080/v2",
        "http:///v2",
        "http:/v2",
        "ftp://10.0.0.11:8080/v2",
        "ws://10.0.0.11:8080/v2",
        "mailto:a@10.0.0.11",
        // Hosts without a scheme.
        "//10.0.0.11:8080/v2/cart",
        "//evil.example/v2",
        "/\\evil.example/v2",
        "/\t/evil.example/v2",
        // Paths that have no normal form.
        "/v2/../../cart",
        "/v2/%zz",
        "/v2/a b",
    ] {
        check(value, Some(&prefix), KNOWN_AS, value);
    }
}

#[test]
fn without_a_prefix_paths_stay() {
    check("/v2/cart", None, KNOWN_AS, "/v2/cart");
    check("http://10.0.0.11:8080/v2/../x?y", None, KNOWN_AS, "http://shop.example/v2/../x?y");
    check("http://10.0.0.11:8080/a b", None, KNOWN_AS, "http://shop.example/a b");
}

#[test]
fn an_upstream_may_send_its_clients_to_tls() {
    let known_as = KnownAs { host: b"shop.example", ..KNOWN_AS };
    let prefix = prefix("/v1", "/v2");
    for (value, expected) in [
        ("https://shop.example/cart", "https://shop.example/cart"),
        ("https://shop.example/v2/cart", "https://shop.example/v1/cart"),
        ("https://SHOP.example:443/v2/cart", "https://SHOP.example:443/v1/cart"),
        ("http://shop.example/v2/cart", "http://shop.example/v1/cart"),
    ] {
        check(value, Some(&prefix), known_as, expected);
    }
    // Behind a proxy that ends TLS, an upstream that only ever sees HTTP is put right.
    let known_as = KnownAs { origin: b"https://shop.example", ..known_as };
    check("http://shop.example/v2/cart", Some(&prefix), known_as, "https://shop.example/v1/cart");
    check("https://shop.example/v2/cart", Some(&prefix), known_as, "https://shop.example/v1/cart");
    check("http://10.0.0.11:8080/cart", Some(&prefix), known_as, "https://shop.example/cart");
}

#[test]
fn literals_of_ipv6_are_hosts() {
    let known_as = KnownAs { endpoint: b"[::1]:8080", host: b"[2001:db8::7]", ..KNOWN_AS };
    check("http://[::1]:8080/a", None, known_as, "http://shop.example/a");
    check("http://[2001:DB8::7]/a", None, known_as, "http://shop.example/a");
    check("http://[2001:db8::7]:80/a", None, known_as, "http://shop.example/a");
    check("http://[::1]/a", None, known_as, "http://[::1]/a");
    check("http://[::1/a", None, known_as, "http://[::1/a");
}

#[test]
fn a_client_that_named_no_host_gets_a_path() {
    let known_as = KnownAs { origin: b"", ..KNOWN_AS };
    check("http://10.0.0.11:8080/v2/a?b", Some(&prefix("/v1", "/v2")), known_as, "/v1/a?b");
    check("http://10.0.0.11:8080", None, known_as, "/");
    for value in ["http://10.0.0.11:8080//evil.example", "http://10.0.0.11:8080/\\evil.example"] {
        check(value, None, known_as, value);
    }
}

#[test]
fn taking_the_prefix_out_makes_no_host_of_a_path() {
    let prefix = prefix("", "/v2");
    check("/v2/cart", Some(&prefix), KNOWN_AS, "/cart");
    check("/v2", Some(&prefix), KNOWN_AS, "/");
    check("/v2//evil.example", Some(&prefix), KNOWN_AS, "/evil.example");
    check("/v2/\\evil.example", Some(&prefix), KNOWN_AS, "/v2/\\evil.example");
    check("/v2/\t/evil.example", Some(&prefix), KNOWN_AS, "/v2/\t/evil.example");
}

proptest! {
    /// A reference never leads to a host that neither side of the request has a name for, unless the upstream said so.
    #[test]
    fn no_other_host_is_ever_made_up(
        value in "(http://|HTTPS://|/|//|)(10\\.0\\.0\\.11:8080|shop|evil)?[/\\\\\t@:?#v2.%e]{0,12}",
        to in prop::sample::select(vec!["", "/v2"]),
        origin in prop::sample::select(vec![&b""[..], b"http://shop.example"]),
    ) {
        let mut out = Vec::new();
        let known_as = KnownAs { origin, ..KNOWN_AS };
        let is_changed = lead_back(value.as_bytes(), Some(&prefix("", to)), known_as, &mut out);
        prop_assert_eq!(is_changed, !out.is_empty());
        let is_safe = match out.as_slice() {
            [] => true,
            [b'/', rest @ ..] => !matches!(rest, [b'/' | b'\\' | b'\t', ..]),
            _ => !origin.is_empty() && out.strip_prefix(origin).is_some_and(|rest| rest.starts_with(b"/")),
        };
        prop_assert!(is_safe, "{:?} became {:?}", value, String::from_utf8_lossy(&out));
    }
}
