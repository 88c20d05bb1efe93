//! The glue: one request's way through a migration, the same for the proxy and for a Rust service that embeds it.
//!
//! [`carry`] is that way, from the match to the observation. It knows neither sockets nor a clock: what a request
//! looks like and how it reaches an arm is an [`Exchange`], where time, randomness and evidence come from and go to
//! is [`Surroundings`]. The proxy implements both on byte ranges and sockets without allocating; the `tower` feature
//! implements them over any two `tower::Service`s:
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use migration_glue::Migrated;
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let old = Router::new().route("/", get(|| async { "the old shop" }));
//!     let new = Router::new().route("/", get(|| async { "the new shop" }));
//!     let (shop, dial) = Migrated::new("shop").key("header:x-user-id").percent("5").over(old, new)?;
//!     dial.set("12.5")?; // any time later, from any thread
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//!     Ok(axum::serve(listener, Router::new().fallback_service(shop)).await?)
//! }
//! ```
//!
//! # Copies
//!
//! Before anybody is moved, and while they are, [`Migrated::over_with_shadow`] shows whether new answers as old does: the
//! service that does not serve a request gets a copy of it, marked `crossfade-shadow: 1`, and both answers go to a
//! [`Compares`](route_plan::Compares). `shadow_compare::Comparer` is one, or write your own, as here. Which requests are
//! copied, how many, how large and for how long, is said by a [`ShadowPolicy`](route_plan::ShadowPolicy), the same value
//! that the proxy goes by. The service needs to know how to run a task and how to wait ([`Runtime`]); both services take
//! requests whose body is a [`Teed`] one, as an `axum::Router` does anyway.
//!
//! ```no_run
//! use std::{sync::Arc, time::Duration};
//!
//! use axum::{Router, routing::get};
//! use migration_glue::{Migrated, Runtime, Shadow, Task};
//! use route_plan::{Compares, NotCopied, Pair, ShadowPolicy, When};
//!
//! struct Tokio;
//!
//! impl Runtime for Tokio {
//!     fn spawn(&self, task: Task) {
//!         tokio::spawn(task);
//!     }
//!
//!     fn sleep(&self, duration: Duration) -> Task {
//!         Box::pin(tokio::time::sleep(duration))
//!     }
//! }
//!
//! /// Tells of answers that are not the same, byte by byte.
//! struct Strict;
//!
//! impl Compares for Strict {
//!     fn take(&self, pair: Box<Pair>) -> Result<(), NotCopied> {
//!         let [old, new] = &pair.answers;
//!         if (old.status, &old.body) != (new.status, &new.body) {
//!             eprintln!("{} differs", String::from_utf8_lossy(&pair.asked.target));
//!         }
//!         Ok(())
//!     }
//!
//!     fn room(&self) -> Result<(), NotCopied> {
//!         Ok(())
//!     }
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let old = Router::new().route("/", get(|| async { "the old shop" }));
//!     let new = Router::new().route("/", get(|| async { "the new shop" }));
//!     let policy = ShadowPolicy { when: When::After, per_second: 50, ..ShadowPolicy::default() };
//!     let shadow = Shadow::new(policy, Tokio, Arc::new(Strict));
//!     let (shop, dial) = Migrated::new("shop").key("header:x-user-id").over_with_shadow(old, new, shadow)?;
//!     dial.set_shadow(true); // or false, any time later, from any thread
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//!     let shop = Router::new().fallback_service(shop);
//!     axum::serve(listener, shop).await?;
//!     let counts = dial.shadow_counts().ok_or("there is a shadow")?;
//!     println!("{} pairs of {} requests", counts.pairs, counts.requests());
//!     Ok(())
//! }
//! ```
//!
//! A copy goes with its request or after it, as the policy has it, and only when the served service has read all of the
//! request's body: one that answers without reading it has shown nothing to copy (`not-served`). Each request ends in one
//! class of [`ShadowCounts`], by the same words as the proxy's `crossfade_shadow_dropped_total`. What the proxy does beside
//! that, and this does not: it asks for safe requests once more (a [`Pair`](route_plan::Pair) from here has no `again`), and
//! it holds the latencies of both legs against each other.

mod carry;
pub mod copies;
mod ledger;
#[cfg(feature = "tower")]
mod service;

pub use carry::{Exchange, Stop, Surroundings, carry};
pub use ledger::{Delivery, Ledger};
#[cfg(feature = "tower")]
pub use service::{
    Dial, Migrated, Observed, Runtime, Service, SetupError, Shadow, ShadowCounts, Shadowed, Task, Teed,
};
