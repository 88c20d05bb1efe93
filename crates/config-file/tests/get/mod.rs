//! The simplest request.

use std::net::IpAddr;

use traffic_split::RequestView;

/// A request for this path.
pub(crate) struct Get(pub(crate) &'static str);

impl RequestView for Get {
    fn method(&self) -> &[u8] {
        b"GET"
    }
    fn host(&self) -> &[u8] {
        b"a.example"
    }
    fn path(&self) -> &[u8] {
        self.0.as_bytes()
    }
    fn query(&self) -> Option<&[u8]> {
        None
    }
    fn header(&self, _name: &str, _nth: usize) -> Option<&[u8]> {
        None
    }
    fn client_ip(&self) -> IpAddr {
        IpAddr::from([192, 0, 2, 1])
    }
    fn peer_ip(&self) -> IpAddr {
        self.client_ip()
    }
    fn request_id(&self) -> &[u8] {
        b"1"
    }
}
