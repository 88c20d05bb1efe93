use serde_json::json;

use super::*;

fn found() -> Found {
    let group = |endpoint: &str, path: &str, count: u64, noise: Value| {
        json!({
            "endpoint": endpoint, "path": path, "kind": "value", "count": count, "comparisons": 1000,
            "share": count as f64 / 1000.0, "races": count / 100, "first_seen": "2026-11-26T08:00:00.123Z",
            "last_seen": "2026-11-26T09:30:00.000Z", "noise": noise, "samples": [1, count]
        })
    };
    let known = |state: &str, confidence: Value, needs: Value, old_pairs: u64| {
        json!({
            "state": state, "confidence": confidence, "needs": needs, "old_pairs": old_pairs, "old_differ": 2,
            "new_pairs": 9, "new_differ": 9, "at_least": 1, "reaching": 9
        })
    };
    serde_json::from_value(json!({
        "migration": "shop",
        "since": "2026-11-26T08:00:00.000Z",
        "comparisons": {
            "matched": 12336, "mismatched": 9, "noise": 1204, "race": 4,
            "not_compared": { "incomplete": 12, "depth": 5 }
        },
        "not_copied": { "holdout": 2000, "rate": 31456 },
        "match_rate": 0.99927, "match_rate_at_least": 0.999, "confidence": 0.99,
        "judged": 12_345, "match_rate_text": "99.92 %, at least 99.85 %",
        "coverage": { "endpoints": 3, "covered": 1, "enough": 100, "share_of_requests": 0.971 },
        "groups_left_out": 7,
        "asked_again": { "sampled": 61, "rechecked": 8, "not_rechecked": 5, "races_of_new_alone": 3 },
        "turned_away": { "differences": 0, "groups": 0, "samples": 0 },
        "let_in": 0.25,
        "storage": { "on_disk": true, "error": "No space left on device", "written": 3, "failed": 1 },
        "suggestions": "# none\n",
        "endpoints": [
            { "endpoint": "GET /orders/{id}", "requests": 12000, "covered": "enough" },
            { "endpoint": "GET /time", "requests": 900, "covered": "only-noise" },
            { "endpoint": "GET /rare", "requests": 3, "covered": "few" }
        ],
        "groups": [
            group("GET /orders/{id}", "$.items[*].price", 9, known("unknown", Value::Null, json!(21), 3)),
            group("GET /orders/{id}", "$.a['\u{1b}[31m']", 3, known("unknown", Value::Null, Value::Null, 0)),
            group("GET /orders/{id}", "$.tags[*]", 2, json!({
                "state": "real", "confidence": null, "needs": null, "old_pairs": 70, "old_differ": 1,
                "new_pairs": 70, "new_differ": 31, "at_least": 4, "reaching": 2
            })),
            group("GET /a/very/long/path/that/goes/on/and/on/{id}", "status", 2, known("real", Value::Null, Value::Null, 70)),
            group("GET /time", "$.now", 900, known("noise", json!(0.99987), Value::Null, 61)),
        ],
        "races": [
            {
                "endpoint": "GET /flap", "path": "$.total", "kind": "value", "count": 4, "new_alone": 3, "comparisons": 900,
                "first_seen": "2026-11-26T08:00:00.123Z", "last_seen": "2026-11-26T09:30:00.000Z", "samples": [17, 18]
            },
            {
                "endpoint": "GET /stock", "path": "$.left", "kind": "value", "count": 1, "new_alone": 0, "comparisons": 900,
                "first_seen": "2026-11-26T08:00:00.123Z", "last_seen": "2026-11-26T08:00:00.123Z", "samples": []
            }
        ],
        "samples": []
    }))
    .unwrap()
}

#[test]
fn a_person_can_work_from_it() {
    insta::assert_snapshot!(overview(&found(), &Style { columns: 120, is_coloured: false }));
}

#[test]
fn at_the_beginning_it_says_that_there_is_nothing() {
    let nothing = Counts { matched: 0, mismatched: 0, noise: 0, race: 0, not_compared: BTreeMap::new() };
    let found = Found {
        comparisons: nothing,
        not_copied: BTreeMap::new(),
        match_rate: None,
        match_rate_text: "no comparisons yet".to_owned(),
        coverage: Coverage { endpoints: 0, covered: 0, enough: 100, share_of_requests: 1.0 },
        groups_left_out: 0,
        asked_again: Questions { sampled: 0, rechecked: 0, not_rechecked: 0, races_of_new_alone: 0 },
        let_in: 1.0,
        storage: Storage { on_disk: false, error: None },
        endpoints: Vec::new(),
        groups: Vec::new(),
        races: Vec::new(),
        ..found()
    };
    insta::assert_snapshot!(overview(&found, &Style { columns: 120, is_coloured: false }));
}

#[test]
fn differences_that_came_and_went_are_shown_without_any_that_stayed() {
    let found = Found { groups: Vec::new(), groups_left_out: 0, ..found() };
    insta::assert_snapshot!(overview(&found, &Style { columns: 120, is_coloured: false }));
}

#[test]
fn a_sample_shows_the_differences_and_both_answers() {
    let sample: Sample = serde_json::from_value(json!({
        "sample": 3, "at": "2026-11-26T08:00:00.123Z", "request": "GET /orders/17", "request_id": "r-1",
        "differences": [{ "path": "$.price", "at": "$.price", "kind": "type", "old": "9.5", "new": "\"9.5\"" }],
        "old": "200\ncontent-type: application/json\n\n{\n  \"price\": 9.5\n}\n",
        "new": "200\ncontent-type: application/json\n\n{\n  \"price\": \"9.5\"\n}\n"
    }))
    .unwrap();
    insta::assert_snapshot!(shown(&sample, &Style { columns: 70, is_coloured: false }));
    let coloured = shown(&sample, &Style { columns: 70, is_coloured: true });
    assert!(coloured.contains("\u{1b}[31m") && coloured.contains("\u{1b}[32m"));
}

#[test]
fn shares_are_not_rounded_to_what_they_are_not() {
    for (share, text) in [
        (0.0, "0 %"),
        (0.000_001, "<0.01 %"),
        (0.000_9, "0.09 %"),
        (0.5, "50.00 %"),
        (0.999_9, "99.99 %"),
        (1.0, "100 %"),
    ] {
        assert_eq!(percent(share), text);
    }
    for (count, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(grouped(count), text);
    }
}

#[test]
fn an_endpoint_is_called_by_its_name_or_its_path() {
    let endpoint = &found().endpoints[0];
    for (asked, expected) in [
        ("GET /orders/{id}", true),
        ("/orders/{id}", true),
        ("/orders/7", false),
        ("GET", false),
        ("orders", false),
        ("", false),
    ] {
        assert_eq!(endpoint.is_called(asked), expected, "{asked}");
    }
}
