//! What decisions may see of a request.

use std::net::IpAddr;

/// A borrowed look at a request's head. The proxy implements it on byte ranges of its read buffer, the library on
/// `http::Request`, and tests on a struct; the decisions are the same code for all of them.
///
/// Everything is raw bytes as received, after the framing and target checks of the layer that received them.
pub trait RequestView {
    /// The method token, case-sensitive (RFC 9110 9.1).
    fn method(&self) -> &[u8];

    /// The host as sent, in any case, without port; empty when there is none. An IPv6 literal keeps its brackets.
    fn host(&self) -> &[u8];

    /// The normalised path: it begins with `/` and holds no dot segments, or it is `*` (RFC 9112 3.2.4).
    fn path(&self) -> &[u8];

    /// The raw query without its `?`; `None` without a `?`.
    fn query(&self) -> Option<&[u8]>;

    /// The value of the `nth` field (from 0) of this name, which is given in lower case. Fields of other names do not
    /// count: `header("cookie", 1)` is the second `Cookie` field.
    fn header(&self, name: &str, nth: usize) -> Option<&[u8]>;

    /// The client, as far as proxies that are trusted say so; else [`RequestView::peer_ip`].
    fn client_ip(&self) -> IpAddr;

    /// The other end of the TCP connection.
    fn peer_ip(&self) -> IpAddr;

    /// The request's id, taken over or generated; never empty.
    fn request_id(&self) -> &[u8];
}

impl<V: RequestView + ?Sized> RequestView for &V {
    fn method(&self) -> &[u8] {
        (**self).method()
    }

    fn host(&self) -> &[u8] {
        (**self).host()
    }

    fn path(&self) -> &[u8] {
        (**self).path()
    }

    fn query(&self) -> Option<&[u8]> {
        (**self).query()
    }

    fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
        (**self).header(name, nth)
    }

    fn client_ip(&self) -> IpAddr {
        (**self).client_ip()
    }

    fn peer_ip(&self) -> IpAddr {
        (**self).peer_ip()
    }

    fn request_id(&self) -> &[u8] {
        (**self).request_id()
    }
}
