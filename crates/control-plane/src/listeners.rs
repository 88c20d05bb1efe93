//! The border to whatever accepts connections: control asks for addresses and learns what came of it.

use std::fmt;
use std::net::SocketAddr;

/// What opens and closes listeners. Implemented beside the data plane, which this crate does not know.
pub trait Listeners: Send + Sync {
    /// Opens and closes listeners so that exactly `wanted` are open. All or nothing. May block.
    ///
    /// # Errors
    /// When an address cannot be listened on; then nothing was changed.
    fn set(&self, wanted: &[SocketAddr]) -> Result<Vec<Bound>, ListenError>;
}

/// An open listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The address in the configuration.
    pub asked: SocketAddr,
    /// The address in use; another one where port 0 was asked for.
    pub bound: SocketAddr,
}

/// An address cannot be listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenError {
    /// The address.
    pub addr: SocketAddr,
    /// A sentence that names the address and says why.
    pub message: String,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ListenError {}
