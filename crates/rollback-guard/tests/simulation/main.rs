//! What the guard promises, under simulated traffic. The goals are those of the design note: G1 false alarms, G2 to G4
//! detection, G5 noise that must not roll back, G8 the advance gate. Each has a quick version that always runs, and one
//! of many runs that prints a table:
//!
//! ```text
//! cargo test --release -p rollback-guard --test simulation -- --ignored --nocapture --test-threads 1
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    unreachable_pub,
    missing_docs,
    reason = "a failed expectation ends the test that had it; figures are printed to be read"
)]

mod detection;
mod false_alarms;
mod gate;
mod noise;
mod traffic;
