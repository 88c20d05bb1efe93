//! A request as tests write it down.

use std::net::{IpAddr, Ipv4Addr};

use traffic_split::RequestView;

/// A request head; everything that is not set is as a plain `GET /` has it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) client: IpAddr,
}

#[allow(dead_code, reason = "not every test that shares this file needs all of it")]
impl Request {
    /// `host` with a target such as `/users?page=2`.
    pub(crate) fn new(host: &str, target: &str) -> Self {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        Self {
            method: "GET".to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            query,
            headers: Vec::new(),
            client: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)),
        }
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn client(mut self, client: &str) -> Self {
        self.client = client.parse().expect("tests write addresses");
        self
    }
}

impl RequestView for Request {
    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }

    fn host(&self) -> &[u8] {
        self.host.as_bytes()
    }

    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }

    fn query(&self) -> Option<&[u8]> {
        self.query.as_deref().map(str::as_bytes)
    }

    fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
        let mut named = self.headers.iter().filter(|field| field.0 == name);
        named.nth(nth).map(|field| field.1.as_bytes())
    }

    fn client_ip(&self) -> IpAddr {
        self.client
    }

    fn peer_ip(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    }

    fn request_id(&self) -> &[u8] {
        b"request-1"
    }
}
