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

/// What is JSON here is JSON to serde_json, but for numbers beyond floating point, lone surrogates, the characters that
/// stand for those here, and how deep either nests.
fn check_validity(text: &str) {
    let ours = parse(text, &Limits::default());
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(_) => {
            let is_other = matches!(ours, Err(Unparsed::Malformed { what, .. }) if !what.contains("private use"));
            assert!(!is_other, "{text:?}: {ours:?}");
        }
        Err(error) => {
            let error = error.to_string();
            let beyond =
                ["number out of range", "recursion limit", "lone leading surrogate", "unexpected end of hex escape"];
            let is_beyond = beyond.iter().any(|why| error.starts_with(why));
            assert!(ours.is_err() || is_beyond, "{text:?}: {error}");
        }
    }
}
