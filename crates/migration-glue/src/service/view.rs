//! An `http::Request` as decisions see it.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::{HeaderMap, HeaderValue, Request, header};
use route_plan::Plan;
use traffic_split::RequestView;

use super::Embedded;
use crate::Ledger;

/// The parts of a request that decisions may see, kept while the request itself is on its way.
pub(super) struct HttpView {
    method: http::Method,
    host: Vec<u8>,
    path: Vec<u8>,
    query: Option<Vec<u8>>,
    headers: HeaderMap,
    ip: IpAddr,
    request_id: Vec<u8>,
    /// Path and query as they were received.
    target: Vec<u8>,
}

impl HttpView {
    pub(super) fn new<B>(request: &Request<B>, random: u128) -> Self {
        let uri = request.uri();
        let headers = request.headers().clone();
        let host = uri.host().map(str::to_owned).or_else(|| {
            let host = headers.get(header::HOST)?.to_str().ok()?;
            Some(host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned())
        });
        let path = route_plan::normalise_path(uri.path().as_bytes());
        let request_id = headers.get("x-request-id").map(HeaderValue::as_bytes).filter(|id| !id.is_empty());
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        HttpView {
            target: target.as_bytes().to_vec(),
            method: request.method().clone(),
            host: host.unwrap_or_default().into_bytes(),
            path: path.map_or_else(|_| uri.path().as_bytes().to_vec(), Cow::into_owned),
            query: uri.query().map(|query| query.as_bytes().to_vec()),
            request_id: request_id.map_or_else(|| format!("{random:032x}").into_bytes(), <[u8]>::to_vec),
            ip: request
                .extensions()
                .get::<SocketAddr>()
                .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), SocketAddr::ip),
            headers,
        }
    }

    /// Whether the answer's body will not be sent.
    pub(super) fn is_head(&self) -> bool {
        self.method == http::Method::HEAD
    }

    /// The header fields as the caller gave them.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Path and query as they were received, in origin form.
    pub(super) fn target(&self) -> &[u8] {
        &self.target
    }

    /// Adds the cookie that holds a newly assigned key.
    pub(super) fn add_cookie(&self, plan: &Plan, ledger: &Ledger<Embedded>, headers: &mut HeaderMap) {
        let Some(key) = &plan.set_cookie_key else { return };
        let cookie = ledger.surroundings().cookie(key);
        if let Some(value) = cookie.and_then(|cookie| HeaderValue::try_from(cookie).ok()) {
            headers.append(header::SET_COOKIE, value);
        }
    }
}

impl RequestView for HttpView {
    fn method(&self) -> &[u8] {
        self.method.as_str().as_bytes()
    }

    fn host(&self) -> &[u8] {
        &self.host
    }

    fn path(&self) -> &[u8] {
        &self.path
    }

    fn query(&self) -> Option<&[u8]> {
        self.query.as_deref()
    }

    fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
        self.headers.get_all(name).iter().nth(nth).map(HeaderValue::as_bytes)
    }

    fn client_ip(&self) -> IpAddr {
        self.ip
    }

    fn peer_ip(&self) -> IpAddr {
        self.ip
    }

    fn request_id(&self) -> &[u8] {
        &self.request_id
    }
}
