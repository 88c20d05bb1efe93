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

mod carry;
pub mod copies;
mod ledger;
#[cfg(feature = "tower")]
mod service;

pub use carry::{Exchange, Stop, Surroundings, carry};
pub use ledger::{Delivery, Ledger};
#[cfg(feature = "tower")]
pub use service::{Dial, Migrated, Observed, Service, SetupError};
