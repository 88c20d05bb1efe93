//! The sockets of the proxy: listeners, client connections, upstream connections.
//!
//! Workers share nothing. Each is a thread with a single-threaded runtime, its own accepted connections, its own
//! connections to upstreams and its own counters, so that a request's way takes no lock, touches no cache line that
//! another worker writes and, in the steady state, allocates nothing. One request is carried by the glue
//! (`migration_glue::carry`); what it does on sockets is the private module `exchange`. What is decided comes down
//! as a [`route_plan::Snapshot`], what was seen goes up as single-writer cells.
//!
//! Connections reach workers by `SO_REUSEPORT`, each worker accepting for itself; one that has far more than another
//! hands the next over, so that a few long connections do not all stay where the kernel's hash put them.

mod accept;
mod admit;
mod alarm;
mod board;
mod buffer;
mod client;
mod copies;
mod descriptors;
mod entry;
mod exchange;
mod keep;
mod load;
mod pace;
mod prober;
mod proxy;
mod proxy_status;
mod rewrite;
mod scratch;
mod transfer;
mod upstream;
mod view;
mod worker;

pub use copies::Lanes;
pub use proxy::{Bound, ListenError, Options, Proxy, worker_count};
