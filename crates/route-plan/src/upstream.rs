//! Backend systems as the proxy sees them: addresses, how much of them it may use, and what counts as healthy.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A backend system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// Its name in the configuration, metrics and logs.
    pub name: String,
    /// Its addresses, at least one.
    pub endpoints: Vec<Endpoint>,
    /// How much of it may be used at once.
    pub limits: UpstreamLimits,
    /// How it is asked whether it is healthy; `None`: it is not asked, and counts as healthy.
    pub health: Option<HealthCheck>,
    /// When an endpoint that fails requests is left out for a while; `None`: never.
    pub ejection: Option<Ejection>,
    /// When a request is tried again.
    pub retry: Retry,
}

/// One address of a backend system.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Name or address literal, an IPv6 literal without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Where to connect when `host` is a literal; else its name has to be resolved.
    pub addr: Option<SocketAddr>,
    /// Host and port as they stand in a `Host` field or URL, IPv6 in brackets: `10.0.0.11:8080`, `[::1]:8080`.
    pub authority: String,
}

impl Endpoint {
    /// The endpoint of a host (an IPv6 literal with or without brackets) and a port.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let addr = bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port));
        let is_v6 = bare.parse::<Ipv6Addr>().is_ok();
        let authority = if is_v6 { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") };
        Self { host: bare.to_owned(), port, addr, authority }
    }
}

/// How much of one upstream the whole process may use at once. Each worker gets its part, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamLimits {
    /// Connections open at once, over all endpoints: of workers, for clients' requests. Lanes, for copies, may have as many
    /// again beside them, so that no copy ever takes one from a user.
    pub connections: usize,
    /// Requests that may wait for a connection while all of them are in use. More are turned away.
    pub pending: usize,
    /// Requests under way at once, waiting ones included. More are turned away.
    pub requests: usize,
    /// How long a connection is kept without a request, in milliseconds. Below what the backend keeps it, so that the
    /// backend seldom closes first.
    pub idle_timeout_ms: u64,
    /// How long a connection is used at all, in milliseconds; it ends between two requests.
    pub lifetime_ms: u64,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            pending: 1_000,
            requests: 20_000,
            // Node.js, the most impatient of the common servers, closes after 5 s.
            idle_timeout_ms: 4_000,
            lifetime_ms: 3_600_000,
        }
    }
}

/// How the endpoints of an upstream are asked whether they are healthy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// From one question to the next, in milliseconds.
    pub interval_ms: u64,
    /// How long the answer may take, in milliseconds.
    pub timeout_ms: u64,
    /// Bad answers in a row that make a healthy endpoint unhealthy.
    pub unhealthy_after: u32,
    /// Good answers in a row that make an unhealthy endpoint healthy.
    pub healthy_after: u32,
}

/// What a health check asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// Whether a connection can be made.
    Tcp,
    /// Whether `GET path` is answered with a status from 200 to 399.
    Http {
        /// The request target, from `/` on.
        path: String,
        /// The `Host` to ask for; `None`: the endpoint's own.
        host: Option<String>,
    },
}

/// When a worker leaves an endpoint out because it fails that worker's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ejection {
    /// Failures in a row (no connection, no whole answer, or a status of 502, 503 or 504) that eject it.
    pub failures: u32,
    /// For how long the first time, in milliseconds. Each time in a row doubles it, up to [`Ejection::max_time_ms`].
    pub time_ms: u64,
    /// The longest time, in milliseconds.
    pub max_time_ms: u64,
    /// Most endpoints of the upstream that may be out at once, in per cent, rounded down: the only endpoint never is.
    pub max_percent: u8,
    /// For how long an endpoint that is back gets less than its part, in milliseconds.
    pub slow_start_ms: u64,
}

impl Default for Ejection {
    fn default() -> Self {
        Self { failures: 5, time_ms: 5_000, max_time_ms: 300_000, max_percent: 50, slow_start_ms: 10_000 }
    }
}

/// When an attempt that failed is made again, at another endpoint where there is one. Where no connection could be made
/// nothing was sent, so that any request may be tried again; else only those whose method is safe (RFC 9110 section
/// 9.2.1), and only if asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Retry {
    /// Attempts after the first.
    pub attempts: u32,
    /// Share of the upstream's requests that may be tried again, in per cent of those of the last ten seconds.
    pub budget_percent: u8,
    /// Retries in ten seconds that are allowed however few requests there are.
    pub budget_min: u32,
    /// Also try again a request with a safe method whose connection broke before an answer began.
    pub safe_methods: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 2, budget_percent: 20, budget_min: 10, safe_methods: false }
    }
}

impl UpstreamLimits {
    /// One worker's part of a process total: rounded up, so that the parts add up to no less.
    #[must_use]
    pub fn share(total: usize, workers: usize) -> usize {
        total.div_ceil(workers.max(1)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_limit_add_up() {
        for (total, workers, share) in [(10, 1, 10), (10, 2, 5), (10, 3, 4), (1, 8, 1), (7, 0, 7)] {
            assert_eq!(UpstreamLimits::share(total, workers), share, "{total} over {workers}");
        }
    }
}
