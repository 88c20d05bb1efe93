//! Sense made of many comparisons: where they belong, what of them is noise, how sure that is, and what a person sees.
//!
//! Everything here is bounded in memory and counts what it turned away. Time is an argument, in milliseconds since the
//! Unix epoch, and so are random bits.

pub mod classes;
pub mod coverage;
pub mod endpoint;
pub mod groups;
mod ledger;
mod level;
mod likeness;
pub mod noise;
pub mod suggest;

pub use classes::{Class, ClassCounts, Tally, Why};
pub use coverage::Coverage;
pub use endpoint::{Endpoint, Endpoints};
pub use groups::Groups;
pub use ledger::{Ledger, LedgerRules, LedgerState};
pub use level::Level;
pub use likeness::Likenesses;
pub use noise::Noise;
pub use suggest::Suggestions;
