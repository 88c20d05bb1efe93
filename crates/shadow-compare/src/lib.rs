//! Answers held against each other, beside the traffic: the shell around `response-diff`.
//!
//! Whoever copies requests hands in each with both its answers ([`Comparer`] is a [`route_plan::Compares`]) and never waits.
//! One thread of low priority takes them out of a bounded queue, within a budget of processor time, and compares them by
//! the rules of their migration. Each pair ends in exactly one class: matched, mismatched, noise, race, or not compared.
//!
//! Two of these need more than two answers, so some requests are asked once more ([`route_plan::Asks`]): a sample, to learn
//! in what old differs from itself, and mismatches, to see whether they last. Together they add at most 1 % to the requests
//! that were copied, of safe methods only, and nothing while old is unwell.
//!
//! What was found is kept in groups with a few samples, of which nothing is secret, in memory and in the state directory;
//! [`Comparer::report`] tells of it.

mod allowance;
mod budget;
mod comparer;
mod desk;
mod gate;
mod health;
mod inquiry;
mod looking;
mod report;
mod settings;
mod store;
mod thread;
mod zero;

pub use comparer::Comparer;
pub use desk::Questions;
pub use report::{ENOUGH, Group, RaceGroup, Report, Wish};
pub use store::Kept;

#[cfg(test)]
#[path = "tests/scripted.rs"]
mod scripted;
