//! Each request goes where the most specific match sends it, and nowhere when nothing matches.

use test_kit::{Config, Origin, Proxy, Wire, request};

use crate::{expect_problem, origin};

struct Rig {
    proxy: Proxy,
    _origins: Vec<Origin>,
}

/// A route for each (name, match), each with an origin of that name, beside the migration for `/shop/*`.
fn rig(routes: &[(&str, &str)]) -> Rig {
    let shop = Origin::start("shop");
    let mut config = Config::single(shop.addr()).path("/shop/*");
    let mut origins = vec![shop];
    for (name, matches) in routes {
        let origin = Origin::start(name);
        config = config
            .upstream(name, origin.addr())
            .section(format!("[route.{name}]\nmatch = [{matches}]\nto = \"{name}\""));
        origins.push(origin);
    }
    Rig { proxy: Proxy::start(&config), _origins: origins }
}

fn ask(wire: &mut Wire, method: &str, host: &str, target: &str, fields: &str) -> String {
    let answer = wire.exchange(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
    if answer.status == 404 { "404".to_owned() } else { origin(&answer).to_owned() }
}

#[test]
fn nothing_matches() {
    let rig = rig(&[]);
    let mut wire = rig.proxy.connect();
    let answer = wire.exchange(request::get("/elsewhere"));
    expect_problem(&answer, 404);
    assert_eq!(origin(&wire.exchange(request::get("/shop/"))), "shop", "the connection goes on after a 404");
}

#[test]
fn hosts() {
    let rig = rig(&[
        ("exact", "{ host = \"api.example.com\", path = \"/*\" }"),
        ("wild", "{ host = \"*.example.com\", path = \"/*\" }"),
        ("deep", "{ host = \"*.eu.example.com\", path = \"/*\" }"),
    ]);
    let mut wire = rig.proxy.connect();
    for (host, want) in [
        ("api.example.com", "exact"),
        ("API.Example.COM", "exact"),
        ("api.example.com:8080", "exact"),
        ("www.example.com", "wild"),
        ("a.b.example.com", "wild"),
        ("x.eu.example.com", "deep"),
        ("eu.example.com", "wild"),
        ("example.com", "404"),
        ("badexample.com", "404"),
        ("api.example.com.evil.org", "404"),
        ("api.example.org", "404"),
    ] {
        assert_eq!(ask(&mut wire, "GET", host, "/x", ""), want, "{host}");
    }
    // An absolute target's authority wins over Host (RFC 9112, section 3.2.2).
    assert_eq!(ask(&mut wire, "GET", "www.example.com", "http://api.example.com/x", ""), "exact");
}

#[test]
fn paths() {
    let rig = rig(&[
        ("exact", "{ path = \"/a\" }"),
        ("below", "{ path = \"/a/*\" }"),
        ("longer", "{ path = \"/a/b/*\" }"),
        ("param", "{ path = \"/users/{id}/orders\" }"),
        ("me", "{ path = \"/users/me/orders\" }"),
        ("root", "{ path = \"/\" }"),
    ]);
    let mut wire = rig.proxy.connect();
    for (target, want) in [
        ("/a", "exact"),
        ("/a?x=/a/b/c", "exact"),
        ("/a/", "below"),
        ("/a/c", "below"),
        ("/a/b", "longer"),
        ("/a/b/", "longer"),
        ("/a/b/c/d", "longer"),
        ("/a/bc", "below"),
        ("/ab", "404"),
        ("/A", "404"),
        ("/users/7/orders", "param"),
        ("/users/me/orders", "me"),
        ("/users/7/orders/1", "404"),
        ("/users//orders", "404"),
        ("/", "root"),
        ("/?q", "root"),
        ("/shop", "shop"),
        ("/shop/x", "shop"),
        ("/shopping", "404"),
    ] {
        assert_eq!(ask(&mut wire, "GET", "h", target, ""), want, "{target}");
    }
}

#[test]
fn methods_fields_and_query() {
    let rig = rig(&[
        ("any", "{ path = \"/p\" }"),
        ("write", "{ path = \"/p\", methods = [\"POST\", \"PUT\"] }"),
        ("beta", "{ path = \"/p\", header = { x-beta = \"1\" } }"),
        ("debug", "{ path = \"/q\", query = { debug = true } }"),
        ("q", "{ path = \"/q\" }"),
    ]);
    let mut wire = rig.proxy.connect();
    for (method, target, fields, want) in [
        ("GET", "/p", "", "any"),
        ("POST", "/p", "Content-Length: 0\r\n", "write"),
        ("PUT", "/p", "Content-Length: 0\r\n", "write"),
        ("DELETE", "/p", "", "any"),
        ("GET", "/p", "X-Beta: 1\r\n", "beta"),
        ("GET", "/p", "X-Beta: 2\r\n", "any"),
        ("GET", "/q", "", "q"),
        ("GET", "/q?debug", "", "debug"),
        ("GET", "/q?a=1&debug=2", "", "debug"),
        ("GET", "/q?nodebug=1", "", "q"),
    ] {
        assert_eq!(ask(&mut wire, method, "h", target, fields), want, "{method} {target} {fields}");
    }
}

#[test]
fn several_matches_of_one_route() {
    let rig = rig(&[("two", "{ path = \"/one\" }, { host = \"two.example\", path = \"/*\" }")]);
    let mut wire = rig.proxy.connect();
    assert_eq!(ask(&mut wire, "GET", "h", "/one", ""), "two");
    assert_eq!(ask(&mut wire, "GET", "two.example", "/other", ""), "two");
    assert_eq!(ask(&mut wire, "GET", "h", "/other", ""), "404");
}
