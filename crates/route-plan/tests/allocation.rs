//! The way of a usual request allocates nothing: one route, a key in a header, a path in normal form.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod view;

use std::hint::black_box;

use allocation_counter::measure;
use ipnet::IpNet;
use route_plan::{
    ForceHeader, Match, Migration, Phase, RouteEntry, RouteTable, Snapshot, Target, Timeouts, client_ip,
    normalise_path, plan,
};
use traffic_split::{Overrides, Split};
use view::Request;

fn snapshot(hosts: &[&str], key: &str) -> Snapshot {
    let entry = |host: &&str| RouteEntry {
        label: "migration.shop match 1".to_owned(),
        rule: Match { host: (!host.is_empty()).then(|| host.parse().unwrap()), ..Match::default() },
        target: Target::Migration(0),
    };
    let percent = "37.5".parse().unwrap();
    Snapshot {
        table: RouteTable::build(hosts.iter().map(entry).collect()).unwrap(),
        migrations: vec![Migration {
            name: "shop".to_owned(),
            lineage: 0,
            old: 0,
            new: 1,
            phase: Phase::Canary,
            split: Split {
                salt: b"shop"[..].into(),
                keys: vec![key.parse().unwrap(), "request-id".parse().unwrap()],
                percent,
                overrides: Overrides { old: [b"vip"[..].into()].into(), new: [b"tester"[..].into()].into() },
            },
            asked: percent,
            force: Some(ForceHeader {
                header: "crossfade-force".to_owned(),
                secret: Some("a secret of some length".into()),
                networks: vec!["10.0.0.0/8".parse().unwrap()],
            }),
            assign_cookie: None,
            timeouts: Timeouts::default(),
            drain_after_rollback_ms: Migration::DRAIN_AFTER_ROLLBACK_MS,
            fallback: None,
            shadow: None,
            failures: Default::default(),
            rules: Default::default(),
            expose_arm: None,
        }],
        ..Snapshot::default()
    }
}

#[test]
fn deciding_allocates_nothing() {
    let request = Request::new("Shop.Example.com", "/users/42/.well-known/a%2Fb?user=7&x=%20")
        .header("x-user-id", "user-1001")
        .header("cookie", "a=b; sid=c")
        .header("crossfade-force", "new; secret=wrong");
    for hosts in [&[""][..], &["shop.example.com", "*.example.com", ""], &["*.com", "x.example"]] {
        for key in ["header:x-user-id", "cookie:sid", "query:user", "path:2", "header:absent"] {
            let snapshot = snapshot(hosts, key);
            let counted = measure(|| {
                let plan = plan(&snapshot, &request, &mut || 0);
                assert!(black_box(plan).is_some());
            });
            assert_eq!(counted.count_total, 0, "{hosts:?} {key}");
        }
    }
}

#[test]
fn normal_paths_and_addresses_allocate_nothing() {
    let trusted: [IpNet; 1] = ["10.0.0.0/8".parse().unwrap()];
    let counted = measure(|| {
        for path in ["/", "/users/42", "/.well-known/x", "/a%2Fb%20c", "//a\\b", "*"] {
            black_box(normalise_path(path.as_bytes()).unwrap());
        }
        let fields = [&b"198.51.100.1, 10.0.0.3:80"[..], b"[2001:db8::1]:80, 10.0.0.2"];
        black_box(client_ip(trusted[0].addr(), fields.into_iter(), &trusted));
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn long_keys_allocate_nothing_either() {
    let snapshot = snapshot(&[""], "header:x-user-id");
    let request = Request::new("", "/").header("x-user-id", &"k".repeat(4_000));
    let counted = measure(|| {
        black_box(plan(&snapshot, &request, &mut || 0));
    });
    assert_eq!(counted.count_total, 0);
}
