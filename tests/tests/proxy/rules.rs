//! Rules of an arm or a route: another path, another host, other fields, and a way back for the places that answers name.

use test_kit::{Config, Proxy, Request, Response, Scripted, Wire, request};

use crate::fields::through;
use crate::rig_with;

const MOVED: &str = "[migration.shop.rules.old]\npath_prefix = { from = \"/v1\", to = \"/v2\" }\nhost = \"endpoint\"\n\
                     location = true";

fn moved() -> (Proxy, Scripted, Wire) {
    rig_with(|config| config.section(MOVED))
}

/// One exchange on the connections at hand: what the upstream got, and what the client got for its answer.
fn exchange(client: &mut Wire, upstream: &mut Wire, request: &[u8], answer: &str) -> (Request, Response) {
    client.send(request);
    let got = upstream.request();
    upstream.send(answer);
    (got, client.response())
}

fn found(place: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n")
}

#[test]
fn each_arm_is_asked_in_its_own_way() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let rules =
        "[migration.shop.rules.new]\npath_prefix = { from = \"/v1\", to = \"/v2\" }\nhost = \"endpoint\"";
    let config = |percent: u8| Config::pair(old.addr(), new.addr()).percent(percent).section(rules);
    for (percent, upstream, target, host) in [
        (0, &old, "/v1/cart?a=/v1", "test".to_owned()),
        (100, &new, "/v2/cart?a=/v1", new.addr().to_string()),
    ] {
        let proxy = Proxy::start(&config(percent));
        let mut client = proxy.connect();
        client.send(request::get_as("/v1/cart?a=/v1", "u"));
        let mut wire = upstream.accept();
        let got = wire.request();
        assert_eq!((got.target.as_str(), got.fields.all("host")), (target, vec![host.as_str()]));
        assert_eq!(got.fields.all("x-forwarded-host"), ["test"], "the client's host is told in any case");
        wire.send(request::ok("done"));
        assert_eq!(client.response().text(), "done");
    }
}

#[test]
fn no_spelling_gets_around_a_prefix() {
    let (_proxy, upstream, mut client) = moved();
    client.send(request::get("/v1"));
    let mut wire = upstream.accept();
    assert_eq!(wire.request().target, "/v2");
    wire.send(request::ok(""));
    client.response();
    for (target, expected) in [
        ("/v1/", "/v2/"),
        ("//v1/a", "/v2/a"),
        ("/%761/a", "/v2/a"),
        ("/x/../v1/a", "/v2/a"),
        ("/v1/x/../a//b", "/v2/a//b"),
        ("/v10/a", "/v10/a"),
        ("/v1%2Fa", "/v1%2Fa"),
        ("/v2/a", "/v2/a"),
    ] {
        let (got, _) = exchange(&mut client, &mut wire, &request::get(target), "HTTP/1.1 204 N\r\n\r\n");
        assert_eq!(got.target, expected, "{target}");
    }
}

#[test]
fn a_place_is_led_back_to_what_the_client_asked() {
    let (_proxy, upstream, mut client) = moved();
    let addr = upstream.addr();
    client.send(request::get("/v1/a"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send(found(&format!("http://{addr}/v2/b?c")));
    assert_eq!(client.response().fields.all("location"), ["http://test/v1/b?c"]);
    for (place, expected) in [
        ("/v2/b", "/v1/b"),
        ("/other", "/other"),
        ("b", "b"),
        ("//elsewhere.example/v2", "//elsewhere.example/v2"),
        ("https://elsewhere.example/v2", "https://elsewhere.example/v2"),
    ] {
        let (_, answer) = exchange(&mut client, &mut wire, &request::get("/v1/a"), &found(place));
        assert_eq!(answer.fields.all("location"), [expected]);
    }
    let created =
        "HTTP/1.1 201 Created\r\nContent-Location: /v2/b\r\nX-Place: /v2/b\r\nContent-Length: 0\r\n\r\n";
    let (_, answer) = exchange(&mut client, &mut wire, &request::post("/v1/a", b"x"), created);
    assert_eq!(answer.fields.all("content-location"), ["/v1/b"]);
    assert_eq!(answer.fields.all("x-place"), ["/v2/b"]);
}

#[test]
fn fields_are_removed_set_and_added_both_ways() {
    let rules = "[migration.shop.rules.old]\n\
                 request_headers = { set = { \"X-A\" = \"b\" }, add = { \"X-C\" = \"d\" }, remove = [\"x-b\"] }\n\
                 response_headers = { set = { \"Cache-Control\" = \"no-store\" }, add = { \"X-C\" = \"d\" }, \
                 remove = [\"server\"] }";
    let (_proxy, upstream, mut client) = rig_with(|config| config.section(rules));
    let (got, answer) = through(
        &upstream,
        &mut client,
        "x-a: 1\r\nX-A: 2\r\nX-B: 3\r\nx_b: 4\r\nX-C: 5\r\nConnection: x-d\r\nX-D: 6\r\n",
        "HTTP/1.1 200 OK\r\nServer: n/1\r\nCache-Control: public\r\ncache-control: max-age=9\r\nX-C: 1\r\n\
         Content-Length: 0\r\n\r\n",
    );
    assert_eq!((got.fields.all("x-a"), got.fields.all("x-c")), (vec!["b"], vec!["5", "d"]));
    assert!(!got.fields.has("x-b") && !got.fields.has("x_b") && !got.fields.has("x-d"), "{got:?}");
    assert_eq!(answer.fields.all("cache-control"), ["no-store"]);
    assert_eq!(answer.fields.all("x-c"), ["1", "d"]);
    assert!(!answer.fields.has("server"), "{answer:?}");
}

#[test]
fn answers_of_the_proxy_and_interim_ones_are_not_changed() {
    let rules =
        "[migration.shop.rules.old]\nresponse_headers = { add = { \"X-C\" = \"d\" }, remove = [\"link\"] }";
    let (_proxy, upstream, mut client) = rig_with(|config| config.section(rules));
    client.send(request::get("/a"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    let interim = client.response();
    assert_eq!((interim.status, interim.fields.get("link")), (103, Some("</a>")));
    assert!(!interim.fields.has("x-c"), "{interim:?}");
    wire.send("HTTP/1.1 200 OK\r\nLink: </a>\r\nContent-Length: 0\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.fields.get("link"), answer.fields.get("x-c")), (None, Some("d")));
    client.send(request::get("/b"));
    wire.request();
    wire.send("nonsense\r\n\r\n");
    let problem = client.response();
    assert_eq!((problem.status, problem.fields.get("x-c")), (502, None));
}

#[test]
fn a_switch_of_protocols_is_changed_too() {
    let rules = "[migration.shop.rules.old]\npath_prefix = { from = \"/\", to = \"/ws\" }\n\
                 response_headers = { add = { \"X-C\" = \"d\" } }";
    let (_proxy, upstream, mut client) = rig_with(|config| config.section(rules));
    client.send(request::get_with("/chat", &[("connection", "upgrade"), ("upgrade", "websocket")]));
    let mut wire = upstream.accept();
    assert_eq!(wire.request().target, "/ws/chat");
    wire.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status, answer.fields.get("x-c")), (101, Some("d")));
    assert_eq!(answer.fields.get("upgrade"), Some("websocket"));
    client.send("x");
    assert_eq!(wire.exactly(1).unwrap(), b"x");
}

#[test]
fn a_repeated_request_names_the_endpoint_that_it_reaches() {
    // Each connection answers once, saying who was asked and who it is, and breaks under its second request.
    let once = |scripted: Scripted| {
        let own = scripted.addr();
        scripted.serve(move |mut wire| {
            let Ok(got) = wire.try_request() else { return };
            let asked = got.fields.get("host").unwrap_or_default();
            if wire.try_send(request::ok(&format!("{own} as {asked} for {}", got.target))).is_ok() {
                // Its end closes the connection.
                let _ = wire.try_request();
            }
        })
    };
    let endpoints = [once(Scripted::bind()), once(Scripted::bind())];
    let section = format!(
        "[upstream.two]\nendpoints = [\"http://{}\", \"http://{}\"]\n[route.two]\nmatch = [{{ path = \"/two/*\" }}]\n\
         to = \"two\"\n[route.two.rules]\nhost = \"endpoint\"\npath_prefix = {{ from = \"/two\", to = \"/\" }}",
        endpoints[0].addr(),
        endpoints[1].addr()
    );
    let proxy = Proxy::start(&Config::single(endpoints[0].addr()).section(section));
    let mut client = proxy.connect();
    for number in 0..40 {
        let answer = client.exchange(request::get(&format!("/two/{number}"))).text();
        let own = endpoints.iter().map(|one| one.addr().to_string()).find(|own| answer.starts_with(own));
        let own = own.unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(answer, format!("{own} as {own} for /{number}"));
    }
    assert!(
        proxy.metrics().count("crossfade_upstream_stale_total", &[]) >= 10.0,
        "connections broke under requests"
    );
}

#[test]
fn old_is_asked_in_its_own_way_when_new_has_failed() {
    let (old, new) = (Scripted::bind(), Scripted::bind());
    let config = Config::pair(old.addr(), new.addr()).percent(100).section(
        "[migration.shop.fallback]\n\
         [migration.shop.rules.old]\nrequest_headers = { set = { \"X-Arm\" = \"old\" } }\nlocation = true\n\
         [migration.shop.rules.new]\npath_prefix = { from = \"/v1\", to = \"/v2\" }\nhost = \"endpoint\"\n\
         request_headers = { set = { \"X-Arm\" = \"new\" } }\n\
         response_headers = { set = { \"X-Answer\" = \"new\" } }",
    );
    let proxy = Proxy::start(&config);
    let mut client = proxy.connect();
    client.send(request::get_as("/v1/a", "u"));
    let mut wire = new.accept();
    let got = wire.request();
    assert_eq!((got.target.as_str(), got.fields.all("x-arm")), ("/v2/a", vec!["new"]));
    wire.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    let mut wire = old.accept();
    let got = wire.request();
    assert_eq!((got.target.as_str(), got.fields.all("x-arm")), ("/v1/a", vec!["old"]));
    assert_eq!(got.fields.all("host"), ["test"]);
    wire.send(found(&format!("http://{}/v1/b", old.addr())));
    let answer = client.response();
    assert_eq!((answer.status, answer.fields.get("x-answer")), (302, None));
    assert_eq!(answer.fields.get("location"), Some("http://test/v1/b"));
}
