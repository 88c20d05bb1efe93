//! Upstreams by name and by address, of either family, with one endpoint or several.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use test_kit::{Config, Origin, Proxy, Wire, refusing_address, request};

use crate::{expect_problem, origin};

/// A proxy whose every request goes to an upstream with these endpoints.
fn behind(endpoints: &[String]) -> Proxy {
    let quoted: Vec<String> = endpoints.iter().map(|endpoint| format!("\"http://{endpoint}\"")).collect();
    let unused = SocketAddr::from(([127, 0, 0, 1], 9));
    let config = Config::single(unused)
        .path("/never/*")
        .section(format!("[upstream.named]\nendpoints = [{}]", quoted.join(", ")))
        .section("[route.all]\nmatch = [{ path = \"/*\" }]\nto = \"named\"");
    Proxy::start(&config)
}

#[test]
fn by_name() {
    let origin_of_name = Origin::start("named");
    let proxy = behind(&[format!("localhost:{}", origin_of_name.addr().port())]);
    let mut client = proxy.connect();
    for _ in 0..3 {
        let answer = client.exchange(request::get("/"));
        assert_eq!(origin(&answer), "named", "{}", answer.text());
    }
}

#[test]
fn by_a_name_that_nobody_has() {
    let proxy = behind(&["no-such-host.invalid:80".to_owned()]);
    let answer = proxy.get("/");
    assert!(matches!(answer.status, 502 | 504), "{}", answer.text());
    expect_problem(&answer, answer.status);
}

#[test]
fn both_sides_over_ipv6() {
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else { return };
    let upstream = listener.local_addr().unwrap();
    let proxy = {
        let config = Config::single(upstream).listener("[::1]:0");
        Proxy::start(&config)
    };
    let listen = *proxy.bound().iter().find(|addr| addr.is_ipv6()).unwrap();
    let mut client = Wire::connect(listen);
    client.send(format!("GET / HTTP/1.1\r\nHost: {listen}\r\n\r\n"));
    let mut wire = Wire::over(listener.accept().unwrap().0);
    let got = wire.request();
    assert_eq!(got.fields.get("host"), Some(listen.to_string().as_str()));
    assert_eq!(got.fields.get("x-forwarded-for"), Some("::1"));
    let forwarded = got.fields.get("forwarded").unwrap_or_default();
    assert!(forwarded.contains("for=\"[::1]\""), "RFC 7239, section 6: {forwarded}");
    wire.send(request::ok("six"));
    assert_eq!(client.response().text(), "six");
}

#[test]
fn several_endpoints_share_the_work() {
    let origins = [Origin::start("a"), Origin::start("b"), Origin::start("c")];
    let proxy = behind(&origins.each_ref().map(|origin| origin.addr().to_string()));
    let mut client = proxy.connect();
    let mut served = BTreeMap::new();
    for _ in 0..900 {
        let answer = client.exchange(request::get("/"));
        *served.entry(origin(&answer).to_owned()).or_insert(0) += 1;
    }
    assert_eq!(served.len(), 3, "{served:?}");
    // Seven standard deviations of what chance, which has no seed, makes of a third.
    assert!(served.values().all(|count| (200..=400).contains(count)), "{served:?}");
    assert!(origins.iter().all(|origin| origin.connections() <= 2), "connections are reused");
}

#[test]
fn an_upstream_that_comes_back_is_used_again() {
    // Its port stays its own while nothing listens.
    let (addr, socket) = refusing_address();
    let proxy = Proxy::start(&Config::single(addr));
    let mut client = proxy.connect();
    assert_eq!(client.exchange(request::get("/")).status, 502);
    socket.listen(16).unwrap();
    let listener = std::net::TcpListener::from(socket);
    if !client.is_quiet() {
        client = proxy.connect();
    }
    client.send(request::get("/"));
    let mut wire = Wire::over(listener.accept().unwrap().0);
    wire.request();
    wire.send(request::ok("back"));
    assert_eq!(client.response().text(), "back");
}
