use traffic_split::{Arm, Assignment, Bucket, Overrides, Percent, Reason, Role, Split};

use super::{Plan, plan};
use crate::matching::{Match, RouteEntry, RouteTable, Target};
use crate::snapshot::{AssignCookie, ForceHeader, Migration, Phase, Route, SameSite, Snapshot, key_list};
use crate::upstream::{Endpoint, Upstream};
use crate::view::Request;
use crate::{FallbackPolicy, Timeouts};

/// `/*` moves from upstream 0 to 1 by header, cookie or request id; `/static/*` goes to upstream 2.
fn snapshot(percent: &str, assign_cookie: Option<AssignCookie>) -> Snapshot {
    let entry = |path: &str, target| RouteEntry {
        label: path.to_owned(),
        rule: Match { path: path.parse().unwrap(), ..Match::default() },
        target,
    };
    let entries = vec![entry("/*", Target::Migration(0)), entry("/static/*", Target::Route(0))];
    let upstream = |name: &str| Upstream {
        name: name.to_owned(),
        endpoints: vec![Endpoint::new("127.0.0.1", 1)],
        ..Upstream::default()
    };
    let percent: Percent = percent.parse().unwrap();
    let keys = ["header:x-user-id", "request-id"].map(|key| key.parse().unwrap());
    Snapshot {
        entry_labels: entries.iter().map(|entry| entry.label.clone()).collect(),
        table: RouteTable::build(entries).unwrap(),
        upstreams: vec![upstream("shop-old"), upstream("shop-new"), upstream("files")],
        routes: vec![Route { name: "files".to_owned(), upstream: 2, ..Route::default() }],
        migrations: vec![Migration {
            name: "shop".to_owned(),
            lineage: 0,
            old: 0,
            new: 1,
            phase: Phase::Canary,
            split: Split {
                salt: b"shop"[..].into(),
                keys: key_list(keys.to_vec(), assign_cookie.as_ref()),
                percent,
                overrides: Overrides { old: [b"vip"[..].into()].into(), new: [b"tester"[..].into()].into() },
            },
            asked: percent,
            force: Some(ForceHeader {
                header: "crossfade-force".to_owned(),
                secret: Some("hush".into()),
                networks: Vec::new(),
            }),
            assign_cookie,
            timeouts: Timeouts { first_byte_ms: 1_500, ..Timeouts::default() },
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

fn cookie() -> AssignCookie {
    AssignCookie {
        name: "cf".to_owned(),
        max_age_s: 60,
        domain: None,
        path: "/".to_owned(),
        secure: true,
        same_site: SameSite::Lax,
    }
}

fn get(path: &str) -> Request {
    Request::new("shop.example.com", path)
}

/// The plan of a request that needs no fresh key.
fn decide(snapshot: &Snapshot, request: &Request) -> Option<Plan> {
    plan(snapshot, request, &mut || panic!("no key is to be made up"))
}

#[test]
fn a_migration_sends_a_user_where_his_bucket_says() {
    // The bucket of user-1001 is 0.2763, see BUCKETS.md of traffic-split.
    for (percent, arm, upstream) in
        [("0", Arm::Old, 0), ("27.630821", Arm::Old, 0), ("27.630822", Arm::New, 1)]
    {
        let found = decide(&snapshot(percent, None), &get("/cart").header("x-user-id", "user-1001"));
        let expected = Plan {
            target: Target::Migration(0),
            upstream,
            arm: Some(arm),
            role: Role::Served,
            assignment: Some(Assignment {
                arm,
                reason: Reason::Bucket,
                bucket: Some(Bucket::from_hash(0x46bc_2293_d178_b283)),
                source: Some(0),
                assigned_cookie: false,
            }),
            set_cookie_key: None,
            timeouts: Timeouts { first_byte_ms: 1_500, ..Timeouts::default() },
            fallback: None,
            shadow: None,
            last_resort: arm == Arm::Old,
        };
        assert_eq!(found, Some(expected), "{percent}");
    }
}

#[test]
fn what_new_fails_old_answers() {
    let mut snapshot = snapshot("100", None);
    let listed = RouteEntry {
        label: "search".to_owned(),
        rule: Match {
            path: "/search".parse().unwrap(),
            methods: vec!["POST".to_owned()],
            ..Match::default()
        },
        target: Target::Migration(0),
    };
    let listed = RouteTable::build(vec![listed]).unwrap();
    snapshot.migrations[0].fallback = Some(FallbackPolicy { listed, ..FallbackPolicy::default() });
    let user = |path: &str, method: &str| get(path).method(method).header("x-user-id", "user-1001");
    let table = [
        ("/search", "GET", true),
        ("/", "HEAD", true),
        ("/", "OPTIONS", true),
        ("/search", "POST", true),
        ("/cart", "POST", false),
        ("/cart", "PUT", false),
        ("/cart", "DELETE", false),
        ("/cart", "get", false),
    ];
    for (path, method, replayable) in table {
        let by_new = decide(&snapshot, &user(path, method)).unwrap();
        let fallback = by_new.fallback.unwrap();
        assert_eq!((fallback.upstream, fallback.replayable), (0, replayable), "{method} {path}");
        assert!(!by_new.last_resort, "an unhealthy new counts as never reached");
        let by_old = by_new.by_old().unwrap();
        assert_eq!((by_old.upstream, by_old.arm, by_old.role), (0, Some(Arm::Old), Role::Fallback));
        assert!(by_old.last_resort && by_old.by_old().is_none(), "and there it ends");
        assert_eq!(by_old.assignment, by_new.assignment);
    }
    snapshot.migrations[0].split.percent = Percent::ZERO;
    assert!(decide(&snapshot, &user("/", "GET")).unwrap().fallback.is_none(), "never from old to new");
}

#[test]
fn a_plain_route_has_no_arm() {
    let expected = Plan {
        target: Target::Route(0),
        upstream: 2,
        arm: None,
        role: Role::Served,
        assignment: None,
        set_cookie_key: None,
        timeouts: Timeouts::default(),
        fallback: None,
        shadow: None,
        last_resort: true,
    };
    assert_eq!(decide(&snapshot("50", Some(cookie())), &get("/static/a.css")), Some(expected));
}

#[test]
fn what_nothing_matches_has_no_plan() {
    assert_eq!(decide(&Snapshot::default(), &get("/")), None);
}

#[test]
fn force_wins_over_lists_and_lists_over_the_bucket() {
    let (forced, listed, bucket) = (Reason::ForcedHeader, Reason::KeyList, Reason::Bucket);
    let table: &[(&str, &str, &str, Arm, Reason)] = &[
        ("0", "user-1001", "new; secret=hush", Arm::New, forced),
        ("100", "user-1001", "old; secret=hush", Arm::Old, forced),
        ("0", "vip", "new; secret=hush", Arm::New, forced),
        ("100", "vip", "new; secret=wrong", Arm::Old, listed),
        ("0", "tester", "", Arm::New, listed),
        ("100", "user-1001", "old", Arm::New, bucket),
    ];
    for (percent, user, force, arm, reason) in table {
        let request = get("/").header("x-user-id", user).header("crossfade-force", force);
        let assignment = decide(&snapshot(percent, None), &request).and_then(|plan| plan.assignment).unwrap();
        assert_eq!((assignment.arm, assignment.reason), (*arm, *reason), "{user} {force:?} at {percent}");
        assert_eq!(assignment.is_evidence(), *reason == bucket);
    }
}

#[test]
fn without_the_cookie_anonymous_users_fall_to_the_request_id() {
    let found = decide(&snapshot("50", None), &get("/")).and_then(|plan| plan.assignment).unwrap();
    assert_eq!((found.source, found.bucket), (Some(1), Some(Bucket::of(b"shop", b"request-1"))));
}

#[test]
fn an_anonymous_user_gets_a_key_that_counts_at_once() {
    for percent in ["0", "50", "100"] {
        let snapshot = snapshot(percent, Some(cookie()));
        let mut asked = 0;
        let first = plan(&snapshot, &get("/"), &mut || {
            asked += 1;
            0x0123
        });
        let first = first.unwrap();
        assert_eq!(asked, 1);
        let key = first.set_cookie_key.clone().unwrap();
        assert_eq!(key, "00000000000000000000000000000123");
        let assignment = first.assignment.unwrap();
        assert!(assignment.assigned_cookie && assignment.is_evidence());
        assert_eq!(
            (assignment.source, assignment.bucket),
            (Some(1), Some(Bucket::of(b"shop", key.as_bytes())))
        );

        // The next request brings it back, gets the same arm, and is told nothing new.
        let second = decide(&snapshot, &get("/").header("cookie", &format!("cf={key}"))).unwrap();
        assert_eq!((second.arm, second.set_cookie_key), (first.arm, None));
        let again = Assignment { assigned_cookie: false, ..assignment };
        assert_eq!(second.assignment, Some(again));
    }
}

#[test]
fn whoever_has_a_key_gets_no_cookie() {
    let snapshot = snapshot("50", Some(cookie()));
    let known = get("/").header("x-user-id", "user-1001");
    let forced = get("/").header("crossfade-force", "old; secret=hush");
    for request in [known, forced] {
        let plan = decide(&snapshot, &request).unwrap();
        assert_eq!(plan.set_cookie_key, None);
        assert!(!plan.assignment.unwrap().assigned_cookie);
    }
    // An emptied cookie is no key.
    let emptied = get("/").header("cookie", "cf=");
    assert!(plan(&snapshot, &emptied, &mut || 7).unwrap().set_cookie_key.is_some());
}

#[test]
fn sources_behind_the_cookie_are_not_asked() {
    let mut snapshot = snapshot("50", Some(cookie()));
    snapshot.migrations[0].split.keys =
        ["cookie:cf", "header:x-user-id"].map(|key| key.parse().unwrap()).to_vec();
    let request = get("/").header("x-user-id", "user-1001");
    let plan = plan(&snapshot, &request, &mut || 7).unwrap();
    assert_eq!(plan.assignment.unwrap().source, Some(0));
    assert!(plan.set_cookie_key.is_some());
}

#[test]
fn a_target_outside_the_snapshot_is_no_plan() {
    let mut snapshot = snapshot("50", None);
    snapshot.migrations.clear();
    assert_eq!(decide(&snapshot, &get("/")), None);
}
