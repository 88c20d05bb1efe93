//! Two answers to one request in, classified differences out.
//!
//! A comparison knows nothing of time, sockets and files: it is a function of two [`Answer`]s and the rules. What it
//! cannot compare it says so, with the reason, and never calls it a match ([`Comparison::NotCompared`]).

mod answer;
mod body;
mod charset;
mod dates;
mod decode;
mod findings;
mod headers;
pub mod json;
mod limits;
mod media;
mod message;
mod outcome;
pub mod path;
pub mod redact;
pub mod summary;
mod text;

pub use answer::{Answer, Body, Field, Incomplete};
pub use limits::Limits;
pub use message::SavedAnswer;
pub use outcome::{Comparison, Difference, Kind, NotCompared};
