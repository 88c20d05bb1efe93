//! Copies of requests over real sockets: what they are, what is captured of their answers, that no user notices, and that
//! every request is accounted for.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test that had it")]

mod accounts;
mod answers;
mod copies;
mod isolation;
mod questions;
mod rig;
