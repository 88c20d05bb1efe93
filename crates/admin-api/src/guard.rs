//! Who may ask: the token, the `Host`, and whether another site caused the request.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use crate::problem::Problem;

/// The shortest token that is taken.
pub const MIN_TOKEN_BYTES: usize = 12;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What may be asked without the token: they tell no more than that the process is alive and takes clients.
const WITHOUT_TOKEN: [&str; 2] = ["/healthz", "/readyz"];

/// A secret that callers show as `Authorization: Bearer ...` (RFC 6750 section 2.1).
#[derive(Clone)]
pub struct Token(Box<[u8]>);

impl Token {
    /// The token in a file's text: its only line.
    ///
    /// # Errors
    /// When it is shorter than [`MIN_TOKEN_BYTES`], or has characters that no header can carry.
    pub fn from_text(text: &str) -> Result<Self, TokenError> {
        let token = text.trim();
        if token.len() < MIN_TOKEN_BYTES {
            return Err(TokenError::TooShort);
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::NotGraphic);
        }
        Ok(Token(token.as_bytes().into()))
    }

    /// Compares in a time that depends on the lengths only.
    fn is_shown_in(&self, authorization: Option<&HeaderValue>) -> bool {
        let Some((scheme, shown)) = authorization.and_then(|value| value.to_str().ok()?.split_once(' '))
        else {
            return false;
        };
        scheme.eq_ignore_ascii_case("bearer") && bool::from(self.0.ct_eq(shown.trim_start().as_bytes()))
    }
}

impl fmt::Debug for Token {
    /// Never shows the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// The text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Shorter than [`MIN_TOKEN_BYTES`].
    TooShort,
    /// Has characters other than printable ASCII without spaces.
    NotGraphic,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenError::TooShort => write!(f, "a token has at least {MIN_TOKEN_BYTES} characters"),
            TokenError::NotGraphic => f.write_str("a token is printable ASCII without spaces"),
        }
    }
}

impl std::error::Error for TokenError {}

/// What a request has to satisfy.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    token: Option<Token>,
    /// The address listened on, where the `Host` is checked.
    listen: Option<IpAddr>,
    /// Whether requests that other sites cause are refused.
    same_site: bool,
}

impl Guard {
    /// Everything is allowed; for what only reads and tells nothing secret.
    #[must_use]
    pub fn open() -> Self {
        Guard::default()
    }

    /// For the interface at `listen`, with its token, if there is one. On loopback the `Host` must be `localhost`, a
    /// loopback address or the address itself: a name that somebody else resolves to loopback (DNS rebinding) is
    /// none. Beyond loopback the names are not known, and a token is needed anyway.
    #[must_use]
    pub fn new(listen: SocketAddr, token: Option<Token>) -> Self {
        let ip = listen.ip().to_canonical();
        Guard { token, listen: ip.is_loopback().then_some(ip), same_site: true }
    }

    fn judge(&self, request: &Request) -> Result<(), Problem> {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| request.uri().authority().map(axum::http::uri::Authority::as_str));
        if let Some(listen) = self.listen
            && !host.is_some_and(|host| is_own_name(host, listen))
        {
            return Err(Problem::new(StatusCode::FORBIDDEN, "host-not-allowed").detail(
                "this interface answers to localhost, loopback addresses and its own address only; connect to one of them",
            ));
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if self.same_site && !reads && !is_same_site(request, host) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "cross-site")
                .detail("a change that another site's page asks for is refused"));
        }
        if let Some(token) = &self.token
            && !WITHOUT_TOKEN.contains(&request.uri().path())
            && !token.is_shown_in(request.headers().get(AUTHORIZATION))
        {
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "token-required")
                .detail("show the token of admin.token_file as `Authorization: Bearer TOKEN`"));
        }
        Ok(())
    }
}

/// The layer that applies the guard.
pub(crate) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.judge(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => {
            let unauthorized = problem.status() == StatusCode::UNAUTHORIZED;
            let mut response = problem.into_response();
            if unauthorized {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

fn is_own_name(host: &str, listen: IpAddr) -> bool {
    let name = without_port(host);
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    literal.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == listen || ip.to_canonical().is_loopback())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !is_bare_v6(host) => name,
        _ => host,
    }
}

/// `::1` without brackets is no valid `Host`, and its last colon begins no port.
fn is_bare_v6(host: &str) -> bool {
    !host.starts_with('[') && host.matches(':').count() > 1
}

/// Browsers say where a request comes from, and pages cannot change it: `Sec-Fetch-Site` (Fetch Metadata), and
/// `Origin` with every request that changes something (Fetch standard 3.2). What is no browser sends neither.
fn is_same_site(request: &Request, host: Option<&str>) -> bool {
    let headers = request.headers();
    if let Some(site) = headers.get(SEC_FETCH_SITE)
        && site != "same-origin"
        && site != "none"
    {
        return false;
    }
    headers.get_all(ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        let authority = origin.as_ref().and_then(Uri::authority);
        authority.zip(host).is_some_and(|(origin, host)| origin.as_str().eq_ignore_ascii_case(host))
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn guard(listen: &str, token: Option<&str>) -> Guard {
        Guard::new(listen.parse().unwrap(), token.map(|token| Token::from_text(token).unwrap()))
    }

    fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request {
        let builder = axum::http::Request::builder().method(method).uri(path);
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        builder.body(Body::empty()).unwrap()
    }

    fn verdict(guard: &Guard, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        guard
            .judge(&request(method, path, headers))
            .map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    #[test]
    fn on_loopback_only_own_names_are_answered() {
        let guard = guard("127.0.0.1:9900", None);
        for (host, expected) in [
            ("127.0.0.1:9900", 200),
            ("127.0.0.1", 200),
            ("localhost:9900", 200),
            ("LOCALHOST", 200),
            ("localhost:19900", 200),
            ("[::1]:9900", 200),
            ("[::1]", 200),
            ("127.0.0.5", 200),
            ("evil.example", 403),
            ("localhost.evil.example:9900", 403),
            ("127.0.0.1.evil.example", 403),
            ("10.0.0.1:9900", 403),
            ("", 403),
        ] {
            assert_eq!(verdict(&guard, "GET", "/metrics", &[("host", host)]), expected, "{host}");
        }
        assert_eq!(verdict(&guard, "GET", "/metrics", &[]), 403, "no host at all");
    }

    #[test]
    fn beyond_loopback_names_are_not_known() {
        let guard = guard("0.0.0.0:9900", Some("0123456789abcdef"));
        let headers = [("host", "proxy.internal:9900"), ("authorization", "Bearer 0123456789abcdef")];
        assert_eq!(verdict(&guard, "GET", "/metrics", &headers), 200);
    }

    #[test]
    fn changes_that_other_sites_cause_are_refused() {
        let guard = guard("127.0.0.1:9900", None);
        let host = ("host", "localhost:9900");
        for (name, value, expected) in [
            ("sec-fetch-site", "same-origin", 200),
            ("sec-fetch-site", "none", 200),
            ("sec-fetch-site", "same-site", 403),
            ("sec-fetch-site", "cross-site", 403),
            ("origin", "http://localhost:9900", 200),
            ("origin", "http://LOCALHOST:9900", 200),
            ("origin", "http://localhost:3000", 403),
            ("origin", "https://evil.example", 403),
            ("origin", "null", 403),
            ("origin", "", 403),
            ("accept", "*/*", 200),
        ] {
            assert_eq!(
                verdict(&guard, "POST", "/api/v1/reload", &[host, (name, value)]),
                expected,
                "{name}: {value}"
            );
        }
        let cross = [host, ("sec-fetch-site", "cross-site")];
        assert_eq!(verdict(&guard, "GET", "/metrics", &cross), 200, "a link to the status page works");
        assert_eq!(verdict(&guard, "DELETE", "/api/v1/reload", &cross), 403);
    }

    #[test]
    fn the_token_has_to_be_shown() {
        let guard = guard("127.0.0.1:9900", Some("correct-horse-battery\n"));
        let host = ("host", "localhost");
        for (authorization, expected) in [
            ("Bearer correct-horse-battery", 200),
            ("bearer  correct-horse-battery", 200),
            ("Bearer correct-horse-batterz", 401),
            ("Bearer correct-horse", 401),
            ("Bearer correct-horse-battery-", 401),
            ("Bearer", 401),
            ("Basic correct-horse-battery", 401),
            ("correct-horse-battery", 401),
            ("", 401),
        ] {
            let headers = [host, ("authorization", authorization)];
            assert_eq!(verdict(&guard, "GET", "/api/v1/status", &headers), expected, "{authorization}");
        }
        assert_eq!(verdict(&guard, "GET", "/metrics", &[host]), 401);
        assert_eq!(verdict(&guard, "GET", "/healthz", &[host]), 200);
        assert_eq!(verdict(&guard, "GET", "/readyz", &[host]), 200);
        assert!(!format!("{guard:?}").contains("horse"));
    }

    #[test]
    fn weak_tokens_are_refused() {
        assert_eq!(Token::from_text(" short \n").unwrap_err(), TokenError::TooShort);
        assert_eq!(Token::from_text("two words, which is long enough").unwrap_err(), TokenError::NotGraphic);
        assert_eq!(Token::from_text("0123456789abcdéf").unwrap_err(), TokenError::NotGraphic);
    }
}
