//! Any bytes at all against what must hold of every stream of HTTP/1 messages: see `check`.
#![no_main]

#[path = "../../crates/http1-codec/tests/check/mod.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check_fuzzed(data));
