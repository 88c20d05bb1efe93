//! The rollback guard: counts in, verdict out.
//!
//! New serves some of the requests and old the rest, at the same time. Is new worse? A window over the last minute
//! answers late; a rule such as "more than 1 % failed" answers wrongly, since one failure among ten requests is 10 %,
//! and a bad database fails both. And whoever looks at a classical test every second finds it "significant" before
//! long, whatever the truth.
//!
//! The guard measures **evidence** instead: how much better "new is worse" explains what was seen than the closest of
//! all that is tolerated ([`evidence`](crate#the-statistics-in-one-paragraph)). Evidence is worth the same however often
//! one looks at it, for any amount of traffic and however old's own rate moves. It starts from a small stake, and users
//! go back when it has grown to 1; the chance of ever doing so without need is at most the stakes paid in: by default
//! 1 in 10,000 for each step of the ramp and each day. Only what both arms do at the same time is compared, so an
//! outage of both, a busy noon or a slow database cancels out, and there is no baseline that could go stale.
//!
//! # The statistics in one paragraph
//!
//! Each tick's requests are a block. Its *e-value* is a likelihood ratio against the closest tolerated pair of rates,
//! with an expected value of at most 1 under everything that is tolerated; e-values multiply over blocks, and are mixed
//! over alternatives and signals. Stakes drip in, so that a fault after hours of health meets fresh ones; a cap keeps a
//! burst of failures inside 100 ms from deciding alone. Latency is compared by counting requests past old's own
//! quantiles, on buckets of which sixteen make a doubling; less than a floor of a millisecond is never blamed, and nobody goes
//! back for slowness that is over in a second. The same e-values turned round are the *advance gate*,
//! evidence that new is not worse, and with a tighter line and a larger stake they *hold* the ramp. Against a fixed
//! limit the closest tolerated rate is the limit, and new is blamed only in so far as it is also worse than old.
//!
//! What is assumed: given the past, the requests of a block fail independently of each other, and being sent to new
//! does not go together with being a request that fails more often. [`Repeats`] and the burst cap help with the first,
//! hashing of keys with the second. An outage that reaches old more than about 0.3 s after new looks like a bad new.
//!
//! Sources: Turner, Ly and Grunwald, "Generic E-variables for exact sequential k-sample tests", arXiv:2106.02693;
//! Turner and Grunwald, arXiv:2203.09785; Shin, Ramdas and Rinaldo, "E-detectors"; Howard and Ramdas, "Sequential
//! estimation of quantiles", arXiv:1906.09712; for canaries in practice Lindon, Sanden and Shirikian, arXiv:2205.14762.
//!
//! # How it is called
//!
//! Workers count ([`Counts`]: cells of their own that only grow) and each asks its own [`Repeats`] whether a failure is
//! one of a key that failed just now. Every 50 ms one thread sums the workers' cells, takes the difference to the last
//! sum, takes back what several workers counted of one key ([`Merged`]), and calls [`Guard::tick`]. That is all; the
//! clock, the files and what is done about a verdict are the caller's.
//!
//! ```
//! use std::time::Duration;
//! use rollback_guard::{Counts, Guard, Limits, Verdict};
//! use traffic_split::Arm;
//!
//! let mut guard = Guard::new(Limits::default());
//! let mut block = Counts::ZERO;
//! for _ in 0..20 {
//!     block.success(Arm::Old, Duration::from_millis(12));
//! }
//! block.failure(Arm::New);
//! block.failure(Arm::New);
//! let ticks = (1..=10).map(|_| guard.tick(Duration::from_millis(50), &block).verdict);
//! assert_eq!(ticks.last(), Some(Verdict::Breached));
//! assert!(guard.explain().starts_with("breached; "));
//! ```
//!
//! A shadow is judged by a guard of its own, fed only with pairs: the served leg and the shadow leg of the same
//! requests, counted together when both have ended ([`Counts`] of which both arms have the same number of requests). A
//! request of which either leg is left out is left out whole. That such pairs fail together more often than strangers
//! do makes the guard slower, never rash.

mod comparing;
mod counts;
mod evidence;
mod explain;
mod gate;
mod guard;
mod latency;
mod limits;
mod machine;
mod match_rate;
mod need;
mod old_latency;
mod repeats;
pub mod replay;
mod run;
mod signal;
mod state;
mod verdict;

pub use comparing::{MatchProof, MatchState};
pub use counts::{ArmCounts, Counts};
pub use guard::Guard;
pub use latency::{BUCKETS, bucket_start, latency_bucket, shift_factor, tolerated_shift};
pub use limits::{Budget, ClientErrors, LatencyLimit, Limits, MismatchLimit, RateLimit, WarmUp};
pub use match_rate::{MATCH_CONFIDENCE, MatchRate};
pub use repeats::{Mark, Merged, Repeats, Trouble};
pub use signal::{Cause, CauseError, Line, Quantile, Signal};
pub use state::{GuardState, ProofState, TestState};
pub use verdict::{Breach, Judgement, Margin, Need, SignalEvidence, Tally, Verdict};
