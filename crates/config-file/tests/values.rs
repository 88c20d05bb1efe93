//! What a file that is right comes to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod example;
mod get;

use std::collections::HashMap;
use std::num::NonZeroU32;

use config_file::{AccessLog, Checked, Files, LogFormat, LogLevel, NoFiles, Outcome, Standing};
use example::{HEAD, MIGRATION};
use get::Get;
use ramp::Policy;
use route_plan::{
    ConnectionLimits, Ejection, FallbackPolicy, HeaderRules, HealthCheck, HostRule, ListenerLimits,
    PathPrefix, Phase, Probe, RequestIdTrust, Retry, Rules, SameSite, Target, Timeouts, Upstream,
    UpstreamLimits,
};
use traffic_split::{KeySource, Percent};

struct Keys;

impl Files for Keys {
    fn read(&self, path: &str) -> Result<String, String> {
        match path {
            "old.txt" => Ok("# stay\r\n17\n\n  with space  \r\n#18\n".to_owned()),
            "token" => Ok("correct-horse-battery\n".to_owned()),
            _ => Err("no such file".to_owned()),
        }
    }
}

fn outcome(text: &str) -> Outcome {
    let env: HashMap<&str, &str> =
        [("NEW", "10.0.0.22"), ("PERCENT", "12.5"), ("ATTEMPT", "3"), ("YES", "true")].into();
    config_file::parse(text, "test.toml", &|name| env.get(name).map(|value| (*value).to_owned()), &Keys)
}

fn checked(text: &str) -> Checked {
    let outcome = outcome(text);
    let shown = outcome.render(false);
    outcome.checked.unwrap_or_else(|| panic!("{shown}"))
}

/// The migration of a file with these lines at its end.
fn with(lines: &str) -> Checked {
    checked(&format!("{HEAD}{MIGRATION}{lines}"))
}

#[test]
fn what_is_left_out_has_its_default() {
    let checked = with("");
    assert_eq!(checked.admin.listen.to_string(), "127.0.0.1:9900");
    assert_eq!((checked.admin.token_file, checked.admin.probe_listen, checked.state_dir), (None, None, None));
    assert_eq!(checked.connection, ConnectionLimits::default());
    assert_eq!(
        (checked.workers, checked.connection.connections, checked.drain_timeout_ms),
        (0, 20_000, 30_000)
    );
    assert_eq!((checked.access_log, checked.request_id_trust), (None, RequestIdTrust::Everyone));
    assert_eq!((checked.log.level, checked.log.format), (LogLevel::Info, LogFormat::Auto));
    assert!(checked.trusted_proxies.is_empty());
    assert_eq!(checked.listeners[0].name, "0.0.0.0:8080");
    assert_eq!(checked.listeners[0].limits, ListenerLimits::default());
    let upstream = checked.upstreams[0].clone();
    let (name, endpoints) = (upstream.name.clone(), upstream.endpoints.clone());
    let ejection = Some(Ejection::default());
    assert_eq!(upstream, Upstream { name, endpoints, ejection, ..Upstream::default() });

    let migration = &checked.migrations[0];
    assert_eq!((migration.name.as_str(), migration.salt.as_str(), migration.attempt), ("shop", "shop", 1));
    assert_eq!(
        (migration.percent, migration.phase, migration.asked_phase()),
        (Percent::ZERO, None, Phase::Preparation)
    );
    assert_eq!(migration.timeouts, Timeouts::default());
    assert!(migration.fallback.is_none());
    assert_eq!(migration.rules, <[Rules; 2]>::default());
    assert!(migration.overrides.old.is_empty() && migration.overrides.new.is_empty());
    assert!(migration.force.is_none() && migration.assign_cookie.is_none() && migration.expose_arm.is_none());
    assert!(!migration.reshuffle);
    assert_eq!(migration.policy, Policy::default());
}

#[test]
fn the_default_key_is_the_user_header_then_the_request_id() {
    let text = format!("{HEAD}{}", MIGRATION.replace("key = [\"header:x-user-id\"]\n", ""));
    let keys = checked(&text).migrations[0].keys();
    assert_eq!(keys, [KeySource::Header("x-user-id".to_owned()), KeySource::RequestId]);
}

#[test]
fn percentages_are_exact_however_written() {
    for (written, millionths) in [
        ("5", 5_000_000),
        ("+5", 5_000_000),
        ("0x0A", 10_000_000),
        ("37.5", 37_500_000),
        ("0.1", 100_000),
        ("33.333333", 33_333_333),
        ("1e1", 10_000_000),
        ("1e-6", 1),
        ("1_0", 10_000_000),
        ("\"37.5%\"", 37_500_000),
        ("\"0.5%\"", 500_000),
        ("\"100\"", 100_000_000),
        ("\"${PERCENT}%\"", 12_500_000),
        ("0.0", 0),
        ("-0.0", 0),
    ] {
        let percent = with(&format!("percent = {written}")).migrations[0].percent;
        assert_eq!(percent.millionths(), millionths, "{written}");
    }
    for wrong in [
        "-1",
        "100.1",
        "101",
        "nan",
        "inf",
        "-inf",
        "1e9",
        "1e400",
        "99999999999999999999",
        "\"\"",
        "\"5 %\"",
    ] {
        let outcome = outcome(&format!("{HEAD}{MIGRATION}percent = {wrong}"));
        assert_eq!(
            (outcome.errors(), outcome.diagnostics[0].line),
            (1, 16),
            "{wrong}: {}",
            outcome.render(false)
        );
    }
}

#[test]
fn a_phase_that_is_left_out_follows_the_percentage() {
    for (lines, phase, in_force) in [
        ("percent = 0", Phase::Preparation, 0),
        ("percent = 5", Phase::Canary, 5_000_000),
        ("phase = \"canary\"", Phase::Canary, 0),
        ("phase = \"full\"", Phase::Full, 100_000_000),
        ("phase = \"cleanup\"\npercent = 100", Phase::Cleanup, 100_000_000),
        ("phase = \"preparation\"\npercent = 5", Phase::Preparation, 0),
    ] {
        let checked = with(lines);
        let standing = checked.migrations[0].standing();
        assert_eq!(standing.phase, phase, "{lines}");
        let snapshot = checked.snapshot(7, &|_| standing);
        assert_eq!(snapshot.migrations[0].split.percent.millionths(), in_force, "{lines}");
        assert_eq!(snapshot.migrations[0].asked, standing.asked);
    }
}

#[test]
fn variables_stand_for_text_numbers_and_flags() {
    let text = format!(
        "{HEAD}{MIGRATION}attempt = \"${{ATTEMPT}}\"\nreshuffle = \"${{YES}}\"\nsalt = \"$${{NEW}}-${{NEW}}\""
    )
    .replace("10.0.0.21", "${NEW}");
    let checked = checked(&text);
    let migration = &checked.migrations[0];
    assert_eq!(
        (migration.attempt, migration.reshuffle, migration.salt.as_str()),
        (3, true, "${NEW}-10.0.0.22")
    );
    assert_eq!(checked.upstreams[1].endpoints[0].authority, "10.0.0.22:8080");
}

#[test]
fn override_files_add_to_the_lists() {
    let checked =
        with("[migration.shop.override]\nold = [\"1\", \"17\"]\nnew = [\"2\"]\nold_file = \"old.txt\"");
    let overrides = &checked.migrations[0].overrides;
    let mut old: Vec<_> = overrides.old.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
    old.sort();
    assert_eq!(old, ["1", "17", "with space"]);
    assert_eq!(overrides.new.len(), 1);
}

#[test]
fn force_header_and_cookie() {
    let checked = with(
        "expose_arm = \"X-Served-By\"\nassign_cookie = \"visitor\"\n\
         [migration.shop.force]\nheader = \"X-Arm\"\nsecret = \"0123456789abcdef\"\nnetworks = [\"10.0.0.0/8\", \"::1\"]",
    );
    let migration = &checked.migrations[0];
    let force = migration.force.as_ref().unwrap();
    assert_eq!((force.header.as_str(), force.secret.as_deref()), ("x-arm", Some("0123456789abcdef")));
    assert_eq!(force.networks.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "::1/128"]);
    assert_eq!(migration.expose_arm.as_deref(), Some("x-served-by"));
    let cookie = migration.assign_cookie.as_ref().unwrap();
    assert_eq!((cookie.name.as_str(), cookie.max_age_s, cookie.path.as_str()), ("visitor", 31_536_000, "/"));
    assert_eq!((cookie.secure, cookie.same_site, cookie.domain.as_deref()), (false, SameSite::Lax, None));
    assert_eq!(
        migration.keys(),
        [KeySource::Header("x-user-id".into()), KeySource::Cookie("visitor".into())]
    );
    assert!(!format!("{checked:?}").contains("0123456789abcdef"), "the secret is in a debug print");
}

#[test]
fn an_assigned_cookie_makes_request_ids_sticky_enough() {
    let text = format!("{HEAD}{MIGRATION}")
        .replace("[\"header:x-user-id\"]", "[\"header:x-user-id\", \"request-id\"]");
    let codes =
        |text: &str| outcome(text).diagnostics.iter().map(|diagnostic| diagnostic.code).collect::<Vec<_>>();
    assert_eq!(codes(&text), ["not-sticky"]);
    assert!(codes(&format!("{text}assign_cookie = \"visitor\"")).is_empty());
    let behind = text.replace("\"request-id\"]", "\"request-id\", \"cookie:visitor\"]");
    assert_eq!(codes(&format!("{behind}assign_cookie = \"visitor\"")), ["not-sticky", "key-never-reached"]);
}

#[test]
fn process_wide_fields() {
    let checked = with(
        "[proxy]\nrequests = 300\nbody_bytes = \"1MiB\"\nmin_rate = 0\nconnection_lifetime = \"2h\"\nconnection_requests = 7\n\
         workers = 2\nheader_bytes = 32768\ntarget_bytes = \"4KiB\"\nidle_timeout = \"5m\"\n\
         trusted_proxies = [\"10.0.0.0/8\"]\nrequest_id_trust = \"nobody\"\naccess_log = \"/var/log/crossfade.log\"\n\
         [log]\nlevel = \"debug\"\nformat = \"json\"\n[state]\ndir = \"state\"\n\
         [admin]\nlisten = \"0.0.0.0:9900\"\ntoken_file = \"token\"\nprobe_listen = \"[::]:9901\"",
    );
    let connection = checked.connection;
    assert_eq!(
        (connection.header_bytes, connection.target_bytes, connection.idle_timeout_ms),
        (32_768, 4_096, 300_000)
    );
    assert_eq!(
        (connection.requests, connection.body_bytes, connection.min_rate_bytes),
        (300, Some(1 << 20), 0)
    );
    assert_eq!((connection.lifetime_ms, connection.requests_per_connection), (7_200_000, 7));
    assert_eq!((checked.workers, checked.request_id_trust), (2, RequestIdTrust::Nobody));
    assert_eq!(checked.access_log, Some(AccessLog::File("/var/log/crossfade.log".to_owned())));
    assert_eq!((checked.log.level, checked.log.format), (LogLevel::Debug, LogFormat::Json));
    assert_eq!(with("[log]\nformat = \"text\"").log.format, LogFormat::Text);
    assert_eq!(checked.state_dir.as_deref(), Some("state"));
    assert_eq!(checked.admin.token_file.as_deref(), Some("token"));
    assert_eq!(checked.admin.probe_listen.unwrap().port(), 9901);
}

/// The first upstream with these lines in its table.
fn upstream_with(lines: &str) -> Upstream {
    let text = format!("{HEAD}{MIGRATION}").replacen(
        "endpoints = [\"http://10.0.0.11:8080\"]",
        &format!("endpoints = [\"http://10.0.0.11:8080\"]\n{lines}"),
        1,
    );
    checked(&text).upstreams[0].clone()
}

#[test]
fn limits_of_listeners_and_upstreams() {
    let text = format!("{HEAD}{MIGRATION}").replacen(
        "listen = \"0.0.0.0:8080\"",
        "listen = \"0.0.0.0:8080\"\nconnections = 30\nrequests = 20",
        1,
    );
    let limits = checked(&text).listeners[0].limits;
    assert_eq!(limits, ListenerLimits { connections: Some(30), requests: Some(20) });
    let upstream =
        upstream_with("limits = { connections = 5, requests = 7 }\nidle_timeout = \"9s\"\nlifetime = \"1d\"");
    assert_eq!(
        upstream.limits,
        UpstreamLimits {
            connections: 5,
            pending: 1_000,
            requests: 7,
            idle_timeout_ms: 9_000,
            lifetime_ms: 86_400_000
        }
    );
}

#[test]
fn health_checks_ask_for_a_path_or_a_connection() {
    let http =
        |path: &str, host: Option<&str>| Probe::Http { path: path.to_owned(), host: host.map(str::to_owned) };
    let usual = |probe| HealthCheck {
        probe,
        interval_ms: 2_000,
        timeout_ms: 1_000,
        unhealthy_after: 3,
        healthy_after: 2,
    };
    assert_eq!(
        upstream_with("health = \"/healthz?deep=1\"").health,
        Some(usual(http("/healthz?deep=1", None)))
    );
    assert_eq!(upstream_with("health = { tcp = true }").health, Some(usual(Probe::Tcp)));
    assert_eq!(
        upstream_with(
            "[upstream.shop-old.health]\npath = \"/up\"\nhost = \"[::1]:81\"\ntcp = false\ninterval = \"500ms\"\n\
             timeout = \"500ms\"\nunhealthy_after = 1\nhealthy_after = 4"
        )
        .health,
        Some(HealthCheck {
            probe: http("/up", Some("[::1]:81")),
            interval_ms: 500,
            timeout_ms: 500,
            unhealthy_after: 1,
            healthy_after: 4
        })
    );
}

#[test]
fn ejection_and_retries_are_tables_or_flags() {
    for on in ["", "eject = true", "eject = {}", "eject = \"${YES}\""] {
        assert_eq!(upstream_with(on).ejection, Some(Ejection::default()), "{on}");
    }
    assert_eq!(upstream_with("eject = false").ejection, None);
    assert_eq!(
        upstream_with(
            "eject = { failures = 1, time = \"1s\", max_time = \"1s\", max_share = 100, slow_start = \"0s\" }"
        )
        .ejection,
        Some(Ejection {
            failures: 1,
            time_ms: 1_000,
            max_time_ms: 1_000,
            max_percent: 100,
            slow_start_ms: 0
        })
    );
    for on in ["", "retry = true", "retry = {}", "retry = \"${YES}\""] {
        assert_eq!(upstream_with(on).retry, Retry::default(), "{on}");
    }
    assert_eq!(upstream_with("retry = false").retry.attempts, 0);
    assert_eq!(
        upstream_with("retry = { attempts = 1, budget = \"7%\", budget_min = 0, safe_methods = true }").retry,
        Retry { attempts: 1, budget_percent: 7, budget_min: 0, safe_methods: true }
    );
}

#[test]
fn fallback_is_off_unless_asked_for() {
    let fallback = |lines: &str| with(lines).migrations[0].fallback.clone();
    assert!(fallback("fallback = false").is_none());
    for on in ["fallback = true", "fallback = {}", "[migration.shop.fallback]"] {
        let (policy, usual) = (fallback(on).unwrap(), FallbackPolicy::default());
        assert_eq!((policy.after_ms, policy.statuses), (usual.after_ms, usual.statuses), "{on}");
        assert_eq!((policy.body_bytes, policy.concurrency), (usual.body_bytes, usual.concurrency), "{on}");
        assert!(policy.listed.is_empty(), "{on}");
    }
    let checked = with(
        "[migration.shop.fallback]\nafter = \"250ms\"\nstatuses = [503, 599]\nbody_bytes = 0\nconcurrency = 3\n\
         replay = [{ method = \"GET\", path = \"/search\" }, { path = \"/quote/*\" }, { path = \"/quote/*\" }]",
    );
    let policy = checked.migrations[0].fallback.clone().unwrap();
    assert_eq!((policy.after_ms, policy.body_bytes, policy.concurrency), (250, 0, 3));
    let in_it: Vec<u16> = (400..=600).filter(|status| policy.statuses.contains(*status)).collect();
    assert_eq!(in_it, [503, 599]);
    assert!(policy.listed.find(&Get("/search")).is_some() && policy.listed.find(&Get("/quote/7")).is_some());
    assert!(policy.listed.find(&Get("/pay")).is_none());
    let standing = checked.migrations[0].standing();
    assert!(checked.snapshot(1, &|_| standing).migrations[0].fallback.is_some());
    assert!(!fallback("fallback = { statuses = [] }").unwrap().statuses.contains(503));
}

#[test]
fn timeouts_of_migrations_and_routes() {
    let lines = "connect = \"1s\"\nfirst_byte = \"2s\"\nidle = \"3s\"\ntotal = \"9s\"\nfail_after = \"5s\"\ntunnel_idle = \"6s\"";
    let checked = with(&format!(
        "[migration.shop.timeouts]\n{lines}\n[route.other]\nmatch = [{{ path = \"/other\" }}]\nto = \"shop-old\"\n\
         [route.other.timeouts]\n{lines}\n[route.usual]\nmatch = [{{ path = \"/usual\" }}]\nto = \"shop-old\""
    ));
    let wanted = Timeouts {
        connect_ms: 1_000,
        first_byte_ms: 2_000,
        idle_ms: 3_000,
        total_ms: NonZeroU32::new(9_000),
        fail_after_ms: NonZeroU32::new(5_000),
        tunnel_idle_ms: 6_000,
    };
    assert_eq!((checked.migrations[0].timeouts, checked.routes[0].timeouts), (wanted, wanted));
    assert_eq!(
        (checked.routes[1].timeouts, &checked.routes[1].rules),
        (Timeouts::default(), &Rules::default())
    );
}

#[test]
fn rules_for_each_arm_and_for_routes() {
    let checked = with(
        "[migration.shop.rules.old]\nhost = \"endpoint\"\n\
         [migration.shop.rules.new]\npath_prefix = { from = \"/v1/\", to = \"/\" }\nhost = \"shop.internal:8080\"\nlocation = true\n\
         [migration.shop.rules.new.request_headers]\nremove = [\"X-Old\", \"x-old\"]\n\
         set = { X-Plan = \"a\\tb c\", Authorization = \"Basic ${PERCENT}\" }\nadd = { Cookie = \"\" }\n\
         [route.other]\nmatch = [{ path = \"/other\" }]\nto = \"shop-old\"\n\
         rules = { path_prefix = { from = \"/\", to = \"/a%2Fb\" }, response_headers = { remove = [\"Server\"] } }",
    );
    let [old, new] = &checked.migrations[0].rules;
    assert_eq!(*old, Rules { host: HostRule::Endpoint, ..Rules::default() });
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let prefix = |from: &str, to: &str| Some(PathPrefix { from: from.to_owned(), to: to.to_owned() });
    assert_eq!(
        *new,
        Rules {
            path_prefix: prefix("/v1", ""),
            host: HostRule::Fixed("shop.internal:8080".to_owned()),
            location: true,
            request_headers: HeaderRules {
                remove: vec!["x-old".to_owned()],
                set: vec![pair("X-Plan", "a\tb c"), pair("Authorization", "Basic 12.5")],
                add: vec![pair("Cookie", "")],
            },
            response_headers: HeaderRules::default(),
        }
    );
    let standing = checked.migrations[0].standing();
    let snapshot = checked.snapshot(1, &|_| standing);
    assert_eq!(snapshot.migrations[0].rules, checked.migrations[0].rules);
    let rules = &snapshot.routes[0].rules;
    assert_eq!(rules.path_prefix, prefix("", "/a%2Fb"));
    assert_eq!((&rules.host, rules.location), (&HostRule::Client, false));
    assert_eq!(rules.response_headers.remove, ["server"]);
}

#[test]
fn a_snapshot_routes_by_the_most_specific_rule() {
    let checked = checked(&format!(
        "{HEAD}{}\n[route.default]\nmatch = [{{ path = \"/*\" }}, {{ host = \"b.example\", path = \"/x\" }}]\nto = \"shop-new\"",
        MIGRATION.replace("\"/*\"", "\"/shop/*\"")
    ));
    let standing =
        Standing { asked: Percent::FULL, phase: Phase::Canary, cap: Percent::FULL, shadow_off: false };
    let snapshot = checked.snapshot(3, &|name| {
        assert_eq!(name, "shop");
        standing
    });
    assert_eq!(snapshot.generation, 3);
    assert_eq!(
        snapshot.entry_labels,
        ["migration.shop match 1", "route.default match 1", "route.default match 2"]
    );
    assert_eq!(snapshot.table.find(&Get("/shop/cart")), Some((Target::Migration(0), 0)));
    assert_eq!(snapshot.table.find(&Get("/other")), Some((Target::Route(0), 1)));
    assert_eq!(checked.table().len(), 3);
    assert_eq!((checked.routes[0].name.as_str(), checked.routes[0].upstream), ("default", 1));
    assert!(checked.migration("shop").is_some() && checked.migration("default").is_none());
}

#[test]
fn no_files_refuses_politely() {
    let text = format!("{HEAD}{MIGRATION}[migration.shop.override]\nold_file = \"x\"");
    let outcome = config_file::parse(&text, "test.toml", &|_| None, &NoFiles);
    assert_eq!(outcome.diagnostics[0].code, "unreadable-file");
}

#[test]
fn the_order_of_the_file_is_kept() {
    let text = "[[listener]]\nlisten = \"127.0.0.1:0\"\n[[listener]]\nlisten = \"127.0.0.1:0\"\n\
                [route.z]\nmatch = [{ path = \"/z\" }]\nto = \"z\"\n[route.a]\nmatch = [{ path = \"/a\" }]\nto = \"a\"\n\
                [upstream.z]\nendpoints = [\"http://z\"]\n[upstream.a]\nendpoints = [\"http://a\"]\n";
    let checked = checked(text);
    assert_eq!(
        checked.upstreams.iter().map(|upstream| upstream.name.as_str()).collect::<Vec<_>>(),
        ["z", "a"]
    );
    assert_eq!(
        checked.routes.iter().map(|route| (route.name.as_str(), route.upstream)).collect::<Vec<_>>(),
        [("z", 0), ("a", 1)]
    );
    assert_eq!(checked.listeners.len(), 2);
}

#[test]
fn only_so_many_problems_are_drawn() {
    let text: String = (0..60).map(|number| format!("unknown-{number} = 1\n")).collect();
    let outcome = outcome(&text);
    let all = outcome.diagnostics.len();
    assert!(all >= 60);
    let shown = outcome.render(false);
    assert_eq!(shown.matches("error[").count(), 50);
    assert!(shown.contains(&format!("\nand {} more\n", all - 50)), "{shown}");
    assert_eq!(outcome.to_json()["diagnostics"].as_array().unwrap().len(), all);
}
