//! What the tests of this crate are made of.

use std::sync::Arc;

use response_diff::json::JsonSpec;
use response_diff::redact::Redactor;
use response_diff::{Limits, RuleSet, RuleSetSpec, RulesSpec};
use route_plan::{Again, Asked, Captured, CapturedBody, FieldLines, Pair};
use telemetry::Telemetry;
use traffic_split::Arm;

use crate::desk::{Desk, Sources};
use crate::settings::Settings;
use crate::zero::ZeroTolerance;

/// An answer with this body, of JSON.
pub(crate) fn captured(status: u16, body: &str) -> Captured {
    let mut headers = FieldLines::new();
    headers.push(b"content-type", b"application/json");
    Captured {
        status,
        headers,
        trailers: FieldLines::new(),
        body: CapturedBody::Whole(body.as_bytes().to_vec()),
        to_head_us: 1_000,
    }
}

/// A `GET` that old served, with the bodies of both answers.
pub(crate) fn pair(migration: &str, target: &str, old: &str, new: &str) -> Pair {
    Pair {
        asked: Asked {
            migration: Arc::from(migration),
            served: Arm::Old,
            method: Box::from(&b"GET"[..]),
            host: Box::from(&b"shop.example.com"[..]),
            target: target.as_bytes().into(),
            request_id: Box::from(&b"r-1"[..]),
            fields: FieldLines::new(),
            content: Box::default(),
            key: 7,
            at_ms: 1_700_000_000_000,
        },
        answers: [captured(200, old), captured(200, new)],
        again: Some(Again { heads: [b"GET old".as_slice().into(), b"GET new".as_slice().into()] }),
    }
}

/// What answers are compared by: all of them but the places in `ignore`.
pub(crate) fn settings(ignore: &[&str], zero_tolerance: &[&str]) -> Settings {
    let json = JsonSpec { ignore: ignore.iter().map(ToString::to_string).collect(), ..JsonSpec::default() };
    let spec = RuleSetSpec { rules: RulesSpec { json, ..RulesSpec::default() }, endpoints: Vec::new() };
    let (rules, limits) = (RuleSet::compile(&spec).unwrap(), Limits::default());
    Settings {
        name: Arc::from("shop"),
        rules_of_old: rules.of_old_alone(),
        rules,
        limits,
        redactor: Redactor::new(&[7; 32], &["$.card".to_owned()], &limits, 24 << 10).unwrap(),
        zero_tolerance: ZeroTolerance::new(zero_tolerance.iter().copied()),
        compares_by: ignore.len() as u64,
        redacts_by: 1,
    }
}

/// A desk of migration `shop`, and where it counts.
pub(crate) fn desk(settings: Settings, telemetry: &Arc<Telemetry>) -> Desk {
    let sources = Sources {
        comparisons: telemetry.comparisons("shop"),
        served: telemetry.evidence("shop"),
        copied: telemetry.shadow_evidence("shop"),
    };
    Desk::new(settings, sources, 1_000)
}
