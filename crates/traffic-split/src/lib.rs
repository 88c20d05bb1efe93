//! Key to bucket to arm: the arithmetic of the split.
//!
//! A migration must give the same person the same system every time, on every thread, in every process and after
//! every restart, without remembering anybody. So nothing is stored: what identifies a request (its *key*) is
//! hashed into a fixed place, its [`Bucket`], and the [`Percent`] in force draws one line through all places.
//! Below the line is `new`, above it is `old`. Raising the line moves keys from old to new only, lowering it moves
//! them back only, and a key that was moved back comes to `new` again at the very same percentage.
//!
//! ```
//! use traffic_split::{Arm, Bucket, Percent};
//!
//! let bucket = Bucket::of(b"shop", b"user-1001");
//! let moved = (0..=100).filter(|whole| bucket.is_new(Percent::from_millionths(whole * 1_000_000).unwrap()));
//! // From some percentage on, and from there always.
//! let moved: Vec<u32> = moved.collect();
//! assert_eq!(moved, (moved[0]..=100).collect::<Vec<_>>());
//! assert_eq!(Arm::New.to_string(), "new");
//! ```
//!
//! What is seen of a request comes through [`RequestView`], so that neither this crate nor the decisions above it
//! know an HTTP library. No clock, no randomness, no files: the answers depend on the arguments alone.

mod arm;
mod assign;
mod bucket;
mod form;
mod jwt;
mod key;
mod percent;
mod view;

pub use arm::{Arm, ArmError, Role};
pub use assign::{Assignment, Overrides, Reason, Split};
pub use bucket::Bucket;
pub use form::query_value;
pub use key::{KeySource, KeySourceError};
pub use percent::{Percent, PercentError};
pub use view::RequestView;
