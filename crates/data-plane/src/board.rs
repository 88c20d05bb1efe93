//! What is known of the upstreams' addresses, as the prober leaves it for the workers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use route_plan::Endpoint;

/// An upstream's name and one of its endpoints.
pub(crate) type Place = (Arc<str>, Endpoint);

/// Everything that is known. Immutable: what changes is published as another one.
#[derive(Debug, Default)]
pub(crate) struct Board(HashMap<Place, Found>);

/// What is known of one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Found {
    /// Its name has not been looked up yet.
    #[default]
    Unknown,
    /// Its name has no address, and never had one.
    Nowhere,
    /// Its addresses, and whether each is healthy.
    At(Vec<(SocketAddr, bool)>),
}

impl Board {
    pub(crate) fn new(found: HashMap<Place, Found>) -> Board {
        Board(found)
    }

    /// What is known of an endpoint. An address literal that the prober has not come to yet counts as healthy.
    pub(crate) fn find(&self, upstream: &str, endpoint: &Endpoint) -> Found {
        let known = self.0.get(&(Arc::from(upstream), endpoint.clone())).cloned().unwrap_or_default();
        match (known, endpoint.addr) {
            (Found::Unknown, Some(address)) => Found::At(vec![(address, true)]),
            (known, _) => known,
        }
    }
}
