//! Two upstreams that are alike until a test says otherwise.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Response, StatusCode};
use hyper_util::rt::TokioIo;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;

use crate::reserved_port;

/// How far the logarithms of service times spread: the 95th percentile is 2.3 times the median, the 99th 3.2 times.
const SPREAD: f64 = 0.5;

/// Two upstreams in one thread, so that neither gets more of the machine than the other.
///
/// Both answer every request with 200 after a service time that is each user's own, until [`Twin::set`] says
/// otherwise. Each answer says in `x-origin` who gave it.
#[derive(Debug)]
pub struct Twins {
    /// The one named `old`.
    pub old: Twin,
    /// The one named `new`.
    pub new: Twin,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// One of [`Twins`].
#[derive(Debug)]
pub struct Twin {
    addr: SocketAddr,
    /// The port stays its own when it is killed.
    _port: Socket,
    shared: Arc<Shared>,
}

/// How a [`Twin`] answers.
#[derive(Clone, Debug)]
pub struct Manner {
    /// The median of the service times.
    pub service: Duration,
    /// The share of users (`x-user-id`) whose requests are answered with 500.
    pub failing_users: f64,
    /// One more such user.
    pub failing_user: Option<String>,
}

#[derive(Debug)]
struct Shared {
    name: &'static str,
    manner: Mutex<Manner>,
    /// So many of the next requests fail.
    fail_next: AtomicU64,
    requests: AtomicU64,
    failed: AtomicU64,
    killed: Notify,
}

impl Manner {
    /// Nothing fails.
    #[must_use]
    pub fn healthy(service: Duration) -> Self {
        Manner { service, failing_users: 0.0, failing_user: None }
    }

    /// The same, but requests of this share of users fail.
    #[must_use]
    pub fn failing(mut self, share: f64) -> Self {
        self.failing_users = share;
        self
    }

    /// The same, but requests of this user fail.
    #[must_use]
    pub fn failing_user(mut self, user: &str) -> Self {
        self.failing_user = Some(user.to_owned());
        self
    }

    fn fails(&self, user: &[u8]) -> bool {
        if self.failing_user.as_ref().is_some_and(|failing| failing.as_bytes() == user) {
            return true;
        }
        let mut hash = DefaultHasher::new();
        user.hash(&mut hash);
        (hash.finish() as f64) < self.failing_users * u64::MAX as f64
    }
}

impl Twins {
    /// Starts both, with this median of service times.
    ///
    /// # Panics
    /// When the system has no port or thread left.
    #[must_use]
    pub fn start(service: Duration) -> Self {
        let ((old, old_listener), (new, new_listener)) = (twin("old", service), twin("new", service));
        let (stop, stopped) = oneshot::channel();
        let work = {
            let (old, new) = (Arc::clone(&old.shared), Arc::clone(&new.shared));
            move || {
                let runtime = runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime can be built").block_on(async {
                    tokio::select! {
                        _ = async { tokio::join!(live(old_listener, old), live(new_listener, new)) } => {}
                        _ = stopped => {}
                    }
                });
            }
        };
        let thread = Builder::new().name("twins".to_owned()).spawn(work).expect("a thread can be started");
        Twins { old, new, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Twins {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Twin {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on it answers like this.
    pub fn set(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }

    /// So many of the next requests are answered with 500, whoever asks.
    pub fn fail_next(&self, requests: u64) {
        self.shared.fail_next.fetch_add(requests, Ordering::SeqCst);
    }

    /// Closes its listener and all its connections at once, as the kernel does for a process that is killed. For good.
    pub fn kill(&self) {
        self.shared.killed.notify_one();
    }

    /// How many requests have come.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// How many of them were to be answered with 500.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::SeqCst)
    }
}

fn twin(name: &'static str, service: Duration) -> (Twin, std::net::TcpListener) {
    let (addr, port) = reserved_port();
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    listener.set_reuse_address(true).expect("a socket takes SO_REUSEADDR");
    listener.bind(&addr.into()).expect("the port is reserved for this socket");
    listener.listen(4096).expect("a bound socket can listen");
    listener.set_nonblocking(true).expect("a socket can be made non-blocking");
    let shared = Shared {
        name,
        manner: Mutex::new(Manner::healthy(service)),
        fail_next: AtomicU64::new(0),
        requests: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        killed: Notify::new(),
    };
    (Twin { addr, _port: port, shared: Arc::new(shared) }, listener.into())
}

/// Serves until it is killed, when its connections end with it.
async fn live(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    tokio::select! {
        () = accept(listener, &shared, &mut connections) => {}
        () = shared.killed.notified() => {}
    }
}

async fn accept(listener: std::net::TcpListener, shared: &Arc<Shared>, connections: &mut JoinSet<()>) {
    let listener = TcpListener::from_std(listener).expect("the runtime takes a non-blocking socket");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        drop(stream.set_nodelay(true));
        let shared = Arc::clone(shared);
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(shared.answer(request.headers()).await) }
        });
        connections.spawn(async move {
            // However it ends, it has ended.
            drop(
                http1::Builder::new().half_close(true).serve_connection(TokioIo::new(stream), service).await,
            );
        });
        while connections.try_join_next().is_some() {}
    }
}

impl Shared {
    async fn answer(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let user = headers.get("x-user-id").map(HeaderValue::as_bytes).unwrap_or_default();
        let (service, by_user) = {
            let manner = self.manner.lock().unwrap_or_else(PoisonError::into_inner);
            (manner.service, manner.fails(user))
        };
        let next = |left: u64| left.checked_sub(1);
        let by_count = self.fail_next.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).is_ok();
        if !service.is_zero() {
            tokio::time::sleep(service.mul_f64((SPREAD * normal(self.name, user)).exp())).await;
        }
        let mut response = Response::new(Full::new(Bytes::from_static(b"well")));
        if by_user || by_count {
            self.failed.fetch_add(1, Ordering::SeqCst);
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        let name = HeaderValue::from_static(self.name);
        response.headers_mut().insert("x-origin", name);
        response
    }
}

/// A number that is distributed like a normal one, as a sum of twelve is, and the same for the same user.
fn normal(name: &str, user: &[u8]) -> f64 {
    let parts = (0..3_u64).flat_map(|part| {
        let mut hash = DefaultHasher::new();
        (name, user, part).hash(&mut hash);
        hash.finish().to_le_bytes().chunks_exact(2).map(|two| [two[0], two[1]]).collect::<Vec<_>>()
    });
    parts.map(|two| f64::from(u16::from_le_bytes(two)) / 65_536.0).sum::<f64>() - 6.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Manner, Twins, normal};
    use crate::{Wire, eventually, request};

    #[test]
    fn each_answers_in_its_manner() {
        let twins = Twins::start(Duration::ZERO);
        let [mut old, mut new] = [&twins.old, &twins.new].map(|twin| Wire::connect(twin.addr()));
        let mut ask = |user: &str| {
            let asked = [&mut old, &mut new].map(|wire| wire.exchange(request::get_as("/", user)));
            assert_eq!(
                asked.each_ref().map(|answer| answer.fields.get("x-origin")),
                [Some("old"), Some("new")]
            );
            asked.map(|answer| answer.status)
        };
        assert_eq!(ask("ann"), [200, 200]);
        twins.new.set(Manner::healthy(Duration::ZERO).failing_user("ann"));
        assert_eq!((ask("ann"), ask("bob")), ([200, 500], [200, 200]));
        twins.new.set(Manner::healthy(Duration::ZERO));
        twins.new.fail_next(1);
        assert_eq!((ask("ann"), ask("ann")), ([200, 500], [200, 200]));
        twins.old.set(Manner::healthy(Duration::ZERO).failing(0.5));
        let failed = (0..400).filter(|n| ask(&format!("user-{n}"))[0] == 500).count();
        assert!((150..250).contains(&failed), "{failed}");
        assert_eq!((twins.new.requests(), twins.new.failed()), (405, 2));
        twins.new.kill();
        eventually("its connection has ended", || new.has_ended());
        eventually("nobody accepts", || Wire::try_connect(twins.new.addr()).is_err());
        assert_eq!(old.exchange(request::get_as("/", "ann")).fields.get("x-origin"), Some("old"));
    }

    #[test]
    fn service_times_spread_around_their_median() {
        let mut drawn: Vec<f64> = (0..10_000_u32).map(|n| normal("old", &n.to_le_bytes())).collect();
        drawn.sort_by(f64::total_cmp);
        let at = |share: usize| drawn[drawn.len() * share / 100];
        assert!(at(50).abs() < 0.05 && (at(95) - 1.645).abs() < 0.1, "{} {}", at(50), at(95));
    }
}
