//! Two answers to one request in, classified differences out.
//!
//! A comparison knows nothing of time, sockets and files: it is a function of two [`Answer`]s and the rules. What it
//! cannot compare it says so, with the reason, and never calls it a match ([`Comparison::NotCompared`]).

mod answer;
mod charset;
mod decode;
mod findings;
pub mod json;
mod limits;
mod media;
mod outcome;
pub mod path;
pub mod redact;
pub mod summary;

pub use answer::{Answer, Body, Field, Incomplete};
pub use limits::Limits;
pub use outcome::{Comparison, Difference, Kind, NotCompared};
