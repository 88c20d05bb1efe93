//! What there is to know about copies wherever they are sent from: by the proxy's lanes, or beside a service.
//!
//! Which requests are copied is decided before anything happens (`route_plan::shadow`). Here is what keeps copies within
//! their bounds: how often there may be one ([`Rate`]), when an arm is left alone ([`Breaker`]), how much is kept of what
//! passes ([`Capture`]), and where a copy is in its request's trace ([`ChildTrace`]).

mod breaker;
mod capture;
mod rate;
mod trace;

use std::time::Duration;

pub use breaker::{Breaker, PROBE_MS, Turn};
pub use capture::{Capture, Holds};
pub use rate::Rate;
pub use trace::ChildTrace;

/// How long the answer to a copy is kept for a served one that goes on, beyond the copy's own deadline.
pub const SERVED_WAIT: Duration = Duration::from_secs(300);

/// What a copy costs in memory beside its bytes.
pub const COPY_BYTES: usize = 4 * 1024;
