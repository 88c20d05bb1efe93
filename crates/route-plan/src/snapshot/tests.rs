use traffic_split::{Arm, KeySource, Percent};

use super::{
    AssignCookie, ForceHeader, Phase, PhaseError, RequestIdTrust, SameSite, Snapshot, is_same_secret,
    key_list,
};
use crate::limits::{ConnectionLimits, Timeouts};
use crate::upstream::Endpoint;
use crate::view::Request;

#[test]
fn the_phase_says_which_percentage_users_get() {
    let asked = "37.5".parse().unwrap();
    let table = [
        (Phase::Preparation, "preparation", Percent::ZERO),
        (Phase::Shadow, "shadow", Percent::ZERO),
        (Phase::Canary, "canary", asked),
        (Phase::Full, "full", Percent::FULL),
        (Phase::Cleanup, "cleanup", Percent::FULL),
    ];
    assert_eq!(table.map(|row| row.0), Phase::ALL);
    for (phase, word, percent) in table {
        assert_eq!(phase.in_force(asked), percent);
        assert_eq!(phase.to_string(), word);
        assert_eq!(word.parse(), Ok(phase));
    }
    assert_eq!("Canary".parse::<Phase>(), Err(PhaseError));
    assert!(PhaseError.to_string().contains("`canary`"));
}

#[test]
fn forcing_needs_the_secret_or_the_network() {
    let force = |secret: Option<&str>, networks: &[&str]| ForceHeader {
        header: ForceHeader::DEFAULT_HEADER.to_owned(),
        secret: secret.map(Into::into),
        networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
    };
    let secret = || force(Some("s3cret; really"), &[]);
    let network = || force(None, &["198.51.100.0/24", "2001:db8::/32"]);
    let both = || force(Some("s3cret"), &["198.51.100.0/24"]);
    let (outside, inside) = ("203.0.113.9", "198.51.100.7");
    let table: &[(ForceHeader, &str, &str, Option<Arm>)] = &[
        // By secret.
        (secret(), "new; secret=s3cret; really", outside, Some(Arm::New)),
        (secret(), "old;secret=s3cret; really", outside, Some(Arm::Old)),
        (secret(), " new ;  secret=s3cret; really ", outside, Some(Arm::New)),
        (secret(), "new", outside, None),
        (secret(), "new; secret=", outside, None),
        (secret(), "new; secret=s3cret", outside, None),
        (secret(), "new; secret=s3cret; reallY", outside, None),
        (secret(), "new; secret=s3cret; really!", outside, None),
        (secret(), "new; s3cret; really", outside, None),
        (secret(), "new secret=s3cret; really", outside, None),
        (secret(), "newer; secret=s3cret; really", outside, None),
        (secret(), "New; secret=s3cret; really", outside, None),
        (secret(), "; secret=s3cret; really", outside, None),
        (secret(), "", outside, None),
        // By network, that of the client and not of the peer.
        (network(), "new", inside, Some(Arm::New)),
        (network(), "old; whatever", inside, Some(Arm::Old)),
        (network(), "new", "::ffff:198.51.100.7", Some(Arm::New)),
        (network(), "new", "2001:db8::9", Some(Arm::New)),
        (network(), "new", outside, None),
        (network(), "new; secret=", outside, None),
        // Either suffices.
        (both(), "new", inside, Some(Arm::New)),
        (both(), "new; secret=s3cret", outside, Some(Arm::New)),
        (both(), "new; secret=wrong", inside, Some(Arm::New)),
        (both(), "new; secret=wrong", outside, None),
        // Neither configured: never. An empty secret is none.
        (force(None, &[]), "new", inside, None),
        (force(Some(""), &[]), "new; secret=", inside, None),
    ];
    for (force, value, client, expected) in table {
        let request = Request::new("", "/").header("crossfade-force", value).client(client);
        assert_eq!(force.arm(&request), *expected, "{value:?} from {client} by {force:?}");
    }
    assert_eq!(network().arm(&Request::new("", "/").client(inside)), None);
}

#[test]
fn the_secret_is_never_shown() {
    let force = ForceHeader { header: "x".to_owned(), secret: Some("hush".into()), networks: Vec::new() };
    let shown = format!("{force:?}");
    assert!(shown.contains("hidden") && !shown.contains("hush"), "{shown}");
}

#[test]
fn secrets_are_compared_whole() {
    for (secret, given, is_same) in [
        ("abc", "abc", true),
        ("abc", "abd", false),
        ("abc", "ab", false),
        ("abc", "abc\0", false),
        ("abc\0", "abc", false),
        ("abc", "", false),
        ("", "", true),
    ] {
        assert_eq!(is_same_secret(secret.as_bytes(), given.as_bytes()), is_same, "{secret:?} {given:?}");
    }
}

fn cookie() -> AssignCookie {
    AssignCookie {
        name: "cf".to_owned(),
        max_age_s: 31_536_000,
        domain: None,
        path: "/".to_owned(),
        secure: false,
        same_site: SameSite::Lax,
    }
}

#[test]
fn renders_the_cookie() {
    assert_eq!(cookie().render("00ff"), "cf=00ff; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax");
    let wide = AssignCookie {
        domain: Some("example.com".to_owned()),
        secure: true,
        same_site: SameSite::Strict,
        ..cookie()
    };
    assert_eq!(
        wide.render("00ff"),
        "cf=00ff; Path=/; Max-Age=31536000; Domain=example.com; Secure; HttpOnly; SameSite=Strict"
    );
    // Without `Secure` a browser would drop it.
    let everywhere = AssignCookie { same_site: SameSite::None, ..cookie() };
    assert!(everywhere.render("1").contains("; Secure; "));
}

#[test]
fn the_cookie_has_its_place_among_the_keys() {
    let table: &[(&[&str], &[&str])] = &[
        (&["header:x-user-id", "request-id"], &["header:x-user-id", "cookie:cf", "request-id"]),
        (&["header:x-user-id"], &["header:x-user-id", "cookie:cf"]),
        (&["cookie:cf", "header:x-user-id"], &["cookie:cf", "header:x-user-id"]),
        (&["request-id", "header:x", "request-id"], &["cookie:cf", "request-id", "header:x", "request-id"]),
        (&["request-id", "cookie:cf"], &["request-id", "cookie:cf"]),
        (&["cookie:CF"], &["cookie:CF", "cookie:cf"]),
        (&[], &["cookie:cf"]),
    ];
    let read = |keys: &[&str]| -> Vec<KeySource> { keys.iter().map(|key| key.parse().unwrap()).collect() };
    for (keys, expected) in table {
        assert_eq!(key_list(read(keys), Some(&cookie())), read(expected));
        assert_eq!(key_list(read(keys), None), read(keys));
    }
}

#[test]
fn endpoints_know_their_address() {
    let table = [
        ("10.0.0.11", "10.0.0.11", Some("10.0.0.11:8080"), "10.0.0.11:8080"),
        ("::1", "::1", Some("[::1]:8080"), "[::1]:8080"),
        ("[2001:db8::1]", "2001:db8::1", Some("[2001:db8::1]:8080"), "[2001:db8::1]:8080"),
        ("shop-old.internal", "shop-old.internal", None, "shop-old.internal:8080"),
    ];
    for (given, host, addr, authority) in table {
        let endpoint = Endpoint::new(given, 8080);
        assert_eq!((endpoint.host.as_str(), endpoint.port), (host, 8080));
        assert_eq!(endpoint.addr, addr.map(|addr| addr.parse().unwrap()));
        assert_eq!(endpoint.authority, authority);
    }
}

#[test]
fn an_empty_snapshot_is_a_safe_one() {
    let snapshot = Snapshot::default();
    assert!(snapshot.table.is_empty() && snapshot.trusted_proxies.is_empty());
    assert_eq!(snapshot.request_id_trust, RequestIdTrust::Everyone);
    assert_eq!(snapshot.connection, ConnectionLimits::default());
    assert_eq!(
        Timeouts::default(),
        Timeouts {
            connect_ms: 2_000,
            first_byte_ms: 30_000,
            idle_ms: 60_000,
            total_ms: None,
            fail_after_ms: None,
            tunnel_idle_ms: 3_600_000,
        }
    );
}
