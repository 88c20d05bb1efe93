//! Copies of requests: sent to the other arm by a lane beside each worker, so that no user waits for them.
//!
//! A worker that serves a request which its plan wants copied decides at once whether a copy can be made ([`desk`]): rate,
//! concurrency, memory, the other arm's health. While the request goes its way the worker keeps its body and its answer
//! ([`capture`]), and hands a [`Job`] to its [`lane`], a thread of low priority with connections of its own, through a queue
//! that never waits. The lane sends the copy, waits for the served answer, and hands both over to be compared. What the
//! lane cannot keep up with is dropped and counted.
//!
//! Exactly one of the two has an [`Account`] of each such request at any moment, which counts when it is dropped: so every
//! request ends in one class, whatever happens to it.

mod account;
mod capture;
mod desk;
mod job;
mod lane;
mod lanes;
mod reading;
mod sending;

pub(crate) use account::Account;
pub(crate) use capture::{Capture, Held};
pub(crate) use desk::{Copier, CopierParts, Desk, Pass};
pub(crate) use job::{CopyLimits, Heads, Job, Lent, Message, Road, Served, ServedBy};
pub use lanes::Lanes;
pub(crate) use reading::{lines_of_head, lines_of_trailers};
