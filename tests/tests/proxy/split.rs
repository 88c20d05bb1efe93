//! The same user gets the same system, and exactly the share that was asked for goes to new.

use std::collections::BTreeSet;

use serde_json::json;
use test_kit::{Config, Origin, Proxy, Wire, request};
use xxhash_rust::xxh3::xxh3_64;

use crate::origin;

struct Rig {
    old: Origin,
    new: Origin,
    proxy: Proxy,
}

fn rig(adapt: impl FnOnce(Config) -> Config) -> Rig {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let proxy = Proxy::start(&adapt(Config::pair(old.addr(), new.addr())));
    Rig { old, new, proxy }
}

/// The documented function: the arm of a key at a percentage in millionths, computed apart from the proxy.
fn arm_of(salt: &str, key: &str, millionths: u64) -> &'static str {
    let hash = xxh3_64(&[salt.as_bytes(), &[0], key.as_bytes()].concat());
    let new = u128::from(hash) * 100_000_000 < u128::from(millionths) << 64;
    if new { "new" } else { "old" }
}

/// The users among `users` that new serves.
fn on_new(wire: &mut Wire, users: &[String]) -> BTreeSet<String> {
    users.iter().filter(|user| origin(&wire.exchange(request::get_as("/", user))) == "new").cloned().collect()
}

fn users(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("user-{n}@example.com")).collect()
}

#[test]
fn the_documented_bucket_decides_on_every_connection_and_worker() {
    let rig = rig(|config| config.percent("37.5").workers(2));
    let users = users(300);
    for round in 0..3 {
        let mut wires: Vec<Wire> = (0..6).map(|_| rig.proxy.connect()).collect();
        for (n, user) in users.iter().enumerate() {
            let wire = &mut wires[(n + round) % 6];
            let answer = wire.exchange(request::get_as("/", user));
            assert_eq!(origin(&answer), arm_of("shop", user, 37_500_000), "{user} in round {round}");
        }
    }
    assert_eq!(rig.old.requests() + rig.new.requests(), 900);
}

#[test]
fn a_restart_changes_nobodys_arm() {
    let (old, new) = (Origin::start("old"), Origin::start("new"));
    let config = Config::pair(old.addr(), new.addr()).percent(50);
    let users = users(100);
    let before = on_new(&mut Proxy::start(&config).connect(), &users);
    let after = on_new(&mut Proxy::start(&config).connect(), &users);
    assert_eq!(before, after);
    assert!((30..70).contains(&before.len()), "{} of 100 at 50 %", before.len());
}

#[test]
fn none_at_zero_and_all_at_a_hundred() {
    let rig = rig(|config| config);
    let users = users(200);
    assert_eq!(on_new(&mut rig.proxy.connect(), &users).len(), 0);
    let set =
        rig.proxy.admin_post("/api/v1/migrations/shop/percent", &json!({ "percent": 100, "reason": "test" }));
    assert!((200..300).contains(&set.status), "{}", set.text());
    assert_eq!(on_new(&mut rig.proxy.connect(), &users).len(), 200);
}

#[test]
fn raising_moves_users_only_to_new_and_lowering_only_back() {
    let rig = rig(|config| config.percent(10));
    let users = users(300);
    let mut wire = rig.proxy.connect();
    let mut before = on_new(&mut wire, &users);
    for (percent, raised) in
        [(35.0, true), (35.5, true), (90.0, true), (60.0, false), (12.25, false), (13.0, true)]
    {
        let body = json!({ "percent": percent, "reason": "test" });
        let set = rig.proxy.admin_post("/api/v1/migrations/shop/percent", &body);
        assert!((200..300).contains(&set.status), "{}", set.text());
        let now = on_new(&mut wire, &users);
        let (small, large) = if raised { (&before, &now) } else { (&now, &before) };
        assert!(small.is_subset(large), "{percent} %: {:?} moved the wrong way", small - large);
        before = now;
    }
}

#[test]
fn where_tells_what_happens() {
    let rig = rig(|config| config.percent("12.5"));
    let mut wire = rig.proxy.connect();
    for user in users(40) {
        let told =
            rig.proxy.admin_get(&format!("/api/v1/migrations/shop/where?key={}", user.replace('@', "%40")));
        assert_eq!(told.status, 200, "{}", told.text());
        let told = told.json();
        assert_eq!(told["arm"], arm_of("shop", &user, 12_500_000), "{user}: {told}");
        assert_eq!(told["arm"], origin(&wire.exchange(request::get_as("/", &user))), "{user}: {told}");
        assert_eq!(told["percent"], 12.5, "{told}");
        let bucket = told["bucket"].as_f64().expect("the bucket is a number");
        assert_eq!(bucket < 0.125, told["arm"] == "new", "{told}");
        assert!(told["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{told}");
    }
}

#[test]
fn a_salt_of_its_own_makes_a_split_of_its_own() {
    let rig = rig(|config| config.percent(50).migration("salt = \"spring\""));
    let mut wire = rig.proxy.connect();
    for user in users(60) {
        let answer = wire.exchange(request::get_as("/", &user));
        assert_eq!(origin(&answer), arm_of("spring", &user, 50_000_000), "{user}");
    }
}

#[test]
fn key_lists_override_the_bucket() {
    let lists = "[migration.shop.override]\nold = [\"careful\"]\nnew = [\"tester\", \"tester-2\"]";
    let none = rig(|config| config.section(lists));
    let mut wire = none.proxy.connect();
    for (user, arm) in [("tester", "new"), ("tester-2", "new"), ("careful", "old"), ("tester-3", "old")] {
        assert_eq!(origin(&wire.exchange(request::get_as("/", user))), arm, "{user} at 0 %");
    }
    let all = rig(|config| config.percent(100).section(lists));
    let mut wire = all.proxy.connect();
    for (user, arm) in [("tester", "new"), ("careful", "old"), ("someone", "new")] {
        assert_eq!(origin(&wire.exchange(request::get_as("/", user))), arm, "{user} at 100 %");
    }
    let told = all.proxy.admin_get("/api/v1/migrations/shop/where?key=careful").json();
    assert_eq!(told["arm"], "old", "{told}");
}

#[test]
fn the_forcing_header_works_only_with_its_secret() {
    let rig = rig(|config| config.section("[migration.shop.force]\nsecret = \"correct-horse-battery\""));
    let mut wire = rig.proxy.connect();
    for (value, arm) in [
        ("new; secret=correct-horse-battery", "new"),
        ("old; secret=correct-horse-battery", "old"),
        ("new", "old"),
        ("new; secret=", "old"),
        ("new; secret=wrong-horse-battery!", "old"),
        ("new; secret=correct-horse-batter", "old"),
        ("new; secret=correct-horse-batteryy", "old"),
        ("newer; secret=correct-horse-battery", "old"),
    ] {
        let answer = wire.exchange(request::get_with("/", &[("crossfade-force", value), ("x-user-id", "a")]));
        assert_eq!((answer.status, origin(&answer)), (200, arm), "crossfade-force: {value}");
    }
}

#[test]
fn the_forcing_header_works_from_given_networks_alone() {
    for (network, arm) in [("127.0.0.0/8", "new"), ("10.0.0.0/8", "old")] {
        let rig = rig(|config| config.section(format!("[migration.shop.force]\nnetworks = [\"{network}\"]")));
        let answer = rig.proxy.connect().exchange(request::get_with("/", &[("crossfade-force", "new")]));
        assert_eq!(origin(&answer), arm, "networks = {network}");
    }
}

#[test]
fn the_arm_is_told_to_clients_only_when_asked_for() {
    let quiet = rig(|config| config.percent(100));
    let answer = quiet.proxy.connect().exchange(request::get_as("/", "a"));
    assert!(!answer.fields.has("x-served-by"));
    assert!(
        !answer.fields.0.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("crossfade")),
        "{answer:?}"
    );

    let open = rig(|config| config.percent(100).migration("expose_arm = \"x-served-by\""));
    let answer = open.proxy.connect().exchange(request::get_as("/", "a"));
    assert_eq!(answer.fields.all("x-served-by"), ["new"]);
}

#[test]
fn phases_bound_the_percentage() {
    for (lines, arm) in [
        (["phase = \"preparation\"", "percent = 0"], "old"),
        (["phase = \"shadow\"", "percent = 0"], "old"),
        (["phase = \"full\"", "percent = 100"], "new"),
        (["phase = \"cleanup\"", "percent = 100"], "new"),
    ] {
        let percent = lines[1].trim_start_matches("percent = ");
        let rig = rig(|config| config.percent(percent).migration(lines[0]));
        assert_eq!(origin(&rig.proxy.connect().exchange(request::get_as("/", "a"))), arm, "{lines:?}");
    }
}
