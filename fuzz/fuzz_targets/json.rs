//! Any bytes at all against what must hold of every comparison of JSON, see `json_check`, and of what JSON is.
#![no_main]

#[path = "../../crates/response-diff/tests/json_check/mod.rs"]
mod json_check;

use response_diff::Limits;
use response_diff::json::{Unparsed, parse};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    json_check::check_fuzzed(data);
    if let Ok(text) = str::from_utf8(data) {
        check_validity(text);
    }
});

/// What is JSON here is JSON to serde_json, but for numbers beyond floating point and for how deep either nests.
fn check_validity(text: &str) {
    let ours = parse(text, &Limits::default());
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(_) => assert!(!matches!(ours, Err(Unparsed::Malformed { .. })), "{text:?}: {ours:?}"),
        Err(error) => {
            let error = error.to_string();
            let is_limit = error.starts_with("number out of range") || error.starts_with("recursion limit");
            assert!(ours.is_err() || is_limit, "{text:?}: {error}");
        }
    }
}
