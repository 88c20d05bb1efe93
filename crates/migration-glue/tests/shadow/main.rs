//! Copies beside a `tower::Service`: that the other service gets them, that their answers are handed over to be compared,
//! and that nobody who is served notices.
#![cfg(feature = "tower")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test that had it")]

mod accounts;
mod isolation;
mod pairs;
mod rig;
