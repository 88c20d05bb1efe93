//! The route table and the pure decision what happens to one request.
//!
//! A configuration that has been checked becomes one [`Snapshot`]: immutable, complete, ready to run. For each request
//! the proxy loads it once and asks [`plan()`], which finds the most specific rule in the [`RouteTable`], assigns an arm
//! and returns a [`Plan`]. A plan is a value: everything that is to happen to the request, decided before the first
//! byte goes anywhere, and fit to be printed and compared. After it nothing reads configuration.
//!
//! No clock, no randomness, no files, no sockets: the one random number that a plan may need is an argument.

pub mod authority;
pub mod client;
pub mod failures;
pub mod fallback;
pub mod limits;
pub mod location;
pub mod matching;
pub mod outcome;
pub mod pair;
pub mod path;
pub mod pattern;
pub mod plan;
pub mod rules;
pub mod shadow;
pub mod snapshot;
pub mod upstream;

pub use client::client_ip;
pub use failures::AnswerFailures;
pub use fallback::{Circumstances, Decision, Ended, Fallback, FallbackPolicy, Kept, Statuses};
pub use limits::{ConnectionLimits, ListenerLimits, Timeouts};
pub use location::{KnownAs, lead_back};
pub use matching::{Match, RouteEntry, RouteTable, Target, Tie, ValueMatch};
pub use outcome::{Drained, Failure, Observation};
pub use pair::{Again, Answered, Asked, Asks, Captured, CapturedBody, Compares, FieldLines, Pair};
pub use path::{PathError, normalise_path};
pub use pattern::{HostPattern, HostPatternError, PathPattern, PathPatternError, Segment};
pub use plan::{Plan, plan};
pub use rules::{HeaderRules, HostRule, PathPrefix, Rules};
pub use shadow::{CanaryCopies, Copying, Credentials, NotCopied, ShadowPolicy, When};
pub use snapshot::{
    AssignCookie, ForceHeader, Migration, Phase, PhaseError, RequestIdTrust, Route, SameSite, Snapshot,
    key_list,
};
pub use upstream::{Ejection, Endpoint, HealthCheck, Probe, Retry, Upstream, UpstreamLimits};

#[cfg(test)]
#[path = "../tests/view/mod.rs"]
mod view;
