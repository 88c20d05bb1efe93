//! What identifies a user: every key source, their order, and cookies for anonymous users.

use std::collections::BTreeSet;

use test_kit::{Config, Origin, Proxy, Response, Wire, request};

use crate::{origin, rig_with};

struct Rig {
    proxy: Proxy,
    _old: Origin,
    _new: Origin,
}

fn rig(adapt: impl FnOnce(Config) -> Config) -> Rig {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let proxy = Proxy::start(&adapt(Config::pair(old.addr(), new.addr()).percent(50)));
    Rig { proxy, _old: old, _new: new }
}

impl Rig {
    /// The arm that `where` names for a key.
    fn told(&self, key: &str) -> String {
        let told = self.proxy.admin_get(&format!("/api/v1/migrations/shop/where?key={key}")).json();
        told["arm"].as_str().expect("where names an arm").to_owned()
    }
}

/// Bytes of JSON as a bearer token whose signature nobody looks at.
fn bearer(claims: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let encode = |text: &str| -> String {
        text.as_bytes()
            .chunks(3)
            .flat_map(|three| {
                let padded = [three[0], *three.get(1).unwrap_or(&0), *three.get(2).unwrap_or(&0)];
                let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
                (0..=three.len()).map(move |n| ALPHABET[(bits >> (18 - 6 * n)) as usize & 63] as char)
            })
            .collect()
    };
    format!("Bearer {}.{}.c2ln", encode("{\"alg\":\"none\"}"), encode(claims))
}

#[test]
fn every_source_finds_its_key() {
    for source in ["header:x-user-id", "cookie:session", "query:user", "path:2", "jwt:sub", "client-ip"] {
        let rig = rig(|config| {
            config.migration(format!("key = [\"{source}\"]")).proxy("trusted_proxies = [\"127.0.0.0/8\"]")
        });
        let mut wire = rig.proxy.connect();
        let mut arms = BTreeSet::new();
        for n in 0..16 {
            let user = if source == "client-ip" { format!("192.0.2.{n}") } else { format!("u{n}") };
            let (cookie, token) = (
                format!("a=1; session={user}; b=2"),
                bearer(&format!("{{\"iss\":\"x\",\"sub\":\"{user}\"}}")),
            );
            let target = match source {
                "query:user" => format!("/?a=1&user={user}&user=other"),
                "path:2" => format!("/users/{user}/orders"),
                _ => "/".to_owned(),
            };
            let field = match source {
                "header:x-user-id" => ("x-user-id", user.as_str()),
                "cookie:session" => ("cookie", cookie.as_str()),
                "jwt:sub" => ("authorization", token.as_str()),
                "client-ip" => ("x-forwarded-for", user.as_str()),
                _ => ("x-nothing", "1"),
            };
            let answer = wire.exchange(request::get_with(&target, &[field]));
            assert_eq!(origin(&answer), rig.told(&user), "{source} with {user}");
            arms.insert(origin(&answer).to_owned());
        }
        assert_eq!(arms.len(), 2, "{source} puts everybody on {arms:?} at 50 %");
    }
}

#[test]
fn the_first_source_that_is_present_and_not_empty_wins() {
    let rig = rig(|config| config.migration("key = [\"header:x-user-id\", \"cookie:session\"]"));
    let mut wire = rig.proxy.connect();
    for n in 0..12 {
        let (user, session) = (format!("u{n}"), format!("s{n}"));
        let cookie = format!("session={session}");
        let both = wire.exchange(request::get_with("/", &[("cookie", &cookie), ("x-user-id", &user)]));
        assert_eq!(origin(&both), rig.told(&user));
        let empty = wire.exchange(request::get_with("/", &[("x-user-id", ""), ("cookie", &cookie)]));
        assert_eq!(origin(&empty), rig.told(&session));
    }
}

#[test]
fn no_key_at_all_means_old_and_is_counted() {
    let rig = rig(|config| config.migration("key = [\"header:x-user-id\"]").percent(100));
    let mut wire = rig.proxy.connect();
    for _ in 0..5 {
        assert_eq!(origin(&wire.exchange(request::get("/"))), "old");
    }
    assert_eq!(origin(&wire.exchange(request::get_as("/", "somebody"))), "new");
    rig.proxy
        .wait_metric("crossfade_keyless_requests_total", &[("migration", "shop")], |n| (n - 5.0).abs() < 0.1);
}

#[test]
fn a_request_id_is_a_key_of_last_resort() {
    let rig = rig(|config| config);
    let mut wire = rig.proxy.connect();
    let arms: BTreeSet<String> =
        (0..40).map(|_| origin(&wire.exchange(request::get("/"))).to_owned()).collect();
    assert_eq!(arms.len(), 2, "forty requests without a user all went to {arms:?} at 50 %");
    for n in 0..10 {
        let id = format!("request-{n}");
        let answer = wire.exchange(request::get_with("/", &[("x-request-id", &id)]));
        assert_eq!(origin(&answer), rig.told(&id));
    }
}

/// The cookie that an answer sets: its value and all its attributes.
fn assigned(answer: &Response) -> (String, String) {
    let [set] = answer.fields.all("set-cookie")[..] else { panic!("one cookie was expected: {answer:?}") };
    let (pair, attributes) = set.split_once(';').unwrap_or((set, ""));
    let value = pair.strip_prefix("visitor=").unwrap_or_else(|| panic!("another cookie: {set}"));
    (value.to_owned(), attributes.to_ascii_lowercase())
}

fn visit(wire: &mut Wire, visitor: &str) -> Response {
    wire.exchange(request::get_with("/", &[("cookie", &format!("visitor={visitor}"))]))
}

#[test]
fn an_anonymous_user_keeps_the_arm_of_the_very_first_answer() {
    let rig =
        rig(|config| config.migration("assign_cookie = { name = \"visitor\" }\nkey = [\"cookie:visitor\"]"));
    let mut seen = BTreeSet::new();
    for _ in 0..24 {
        let mut wire = rig.proxy.connect();
        let first = wire.exchange(request::get("/"));
        let (visitor, attributes) = assigned(&first);
        assert!(visitor.len() >= 16 && visitor.bytes().all(|b| b.is_ascii_alphanumeric()), "{visitor}");
        assert!(attributes.contains("httponly") && attributes.contains("max-age="), "{attributes}");
        assert_eq!(
            origin(&first),
            rig.told(&visitor),
            "the first answer came from another arm than its cookie's"
        );
        for _ in 0..3 {
            let again = visit(&mut wire, &visitor);
            assert_eq!(origin(&again), origin(&first));
            assert!(!again.fields.has("set-cookie"), "the cookie was set twice: {again:?}");
        }
        assert!(seen.insert((visitor, origin(&first).to_owned())), "a key was given twice");
    }
    let arms: BTreeSet<&str> = seen.iter().map(|(_, arm)| arm.as_str()).collect();
    assert_eq!(arms.len(), 2, "24 visitors are all on {arms:?} at 50 %");
}

#[test]
fn a_known_user_gets_no_cookie_and_the_systems_own_cookies_stay() {
    let lines = "assign_cookie = \"visitor\"\nkey = [\"header:x-user-id\", \"cookie:visitor\"]";
    let (_proxy, upstream, mut client) = rig_with(|config| config.migration(lines));
    client.send(request::get_as("/", "known"));
    let mut wire = upstream.accept();
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\nset-cookie: a=1; path=/\r\nset-cookie: b=2\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(client.response().fields.all("set-cookie"), ["a=1; path=/", "b=2"]);

    client.send(request::get("/"));
    wire.request();
    wire.send("HTTP/1.1 200 OK\r\nset-cookie: a=1; path=/\r\nset-cookie: b=2\r\ncontent-length: 0\r\n\r\n");
    let answer = client.response();
    let cookies = answer.fields.all("set-cookie");
    assert_eq!(cookies.len(), 3, "{cookies:?}");
    assert!(cookies.contains(&"a=1; path=/") && cookies.contains(&"b=2"), "{cookies:?}");
    assert!(cookies.iter().any(|cookie| cookie.starts_with("visitor=")), "{cookies:?}");
}
