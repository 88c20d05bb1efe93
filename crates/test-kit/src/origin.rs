//! A well-behaved upstream on hyper, for traffic in numbers.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread::{Builder, JoinHandle};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::oneshot;

use crate::pattern;

/// A content stream is handed out in pieces of this size.
const PIECE_BYTES: u64 = 64 << 10;

type Content = BoxBody<Bytes, hyper::Error>;

/// An upstream that answers, by path:
///
/// * `/echo`: the request's body, as it streams in, framed as the request was;
/// * `/check`: reads the body and answers `{"seen": bytes, "wrong_at": offset or null}` against the [`pattern`];
/// * `/bytes/N`, `/chunks/N`: the first N bytes of the [`pattern`], sized or chunked;
/// * `/status/N`: an empty answer of this status;
/// * anything else: its name.
///
/// Each answer says in `x-origin` who gave it and in `x-target` what was asked.
#[derive(Debug)]
pub struct Origin {
    addr: SocketAddr,
    counts: Arc<Counts>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    connections: AtomicU64,
}

impl Origin {
    /// Starts one on a loopback port that the kernel picks.
    ///
    /// # Panics
    /// When the system has no port or thread left.
    #[must_use]
    pub fn start(name: &str) -> Self {
        let listener =
            std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        // Where many connect at once, the default leaves some to the kernel's next try, a second later.
        socket2::SockRef::from(&listener).listen(4096).expect("a listener can listen");
        let addr = listener.local_addr().expect("a bound socket has an address");
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
        let counts = Arc::new(Counts::default());
        let (stop, stopped) = oneshot::channel();
        let work = {
            let (counts, name) = (Arc::clone(&counts), Arc::<str>::from(name));
            move || {
                let runtime = runtime::Builder::new_current_thread().enable_io().build();
                runtime.expect("a runtime can be built").block_on(async {
                    tokio::select! {
                        () = serve(listener, name, counts) => {}
                        _ = stopped => {}
                    }
                });
            }
        };
        let thread = Builder::new().name("origin".to_owned()).spawn(work).expect("a thread can be started");
        Origin { addr, counts, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many requests it has begun to answer.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::SeqCst)
    }

    /// How many connections it has accepted.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn serve(listener: std::net::TcpListener, name: Arc<str>, counts: Arc<Counts>) {
    let listener = TcpListener::from_std(listener).expect("the runtime takes a non-blocking socket");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        drop(stream.set_nodelay(true));
        counts.connections.fetch_add(1, Ordering::SeqCst);
        let (name, counts) = (Arc::clone(&name), Arc::clone(&counts));
        let service = service_fn(move |request| {
            counts.requests.fetch_add(1, Ordering::SeqCst);
            let name = Arc::clone(&name);
            async move { Ok::<_, Infallible>(answer(request, &name).await) }
        });
        tokio::spawn(http1::Builder::new().half_close(true).serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(request: Request<Incoming>, name: &str) -> Response<Content> {
    let target = request.uri().to_string();
    let path = request.uri().path().to_owned();
    let mut words = path.split('/').skip(1);
    let (kind, number) = (words.next().unwrap_or_default(), words.next().and_then(|n| n.parse::<u64>().ok()));
    let mut status = StatusCode::OK;
    let content = match (kind, number) {
        ("echo", _) => request.into_body().boxed(),
        ("check", _) => checked(request.into_body()).await,
        ("bytes", Some(len)) => Pattern { at: 0, len, sized: true }.map_err(never).boxed(),
        ("chunks", Some(len)) => Pattern { at: 0, len, sized: false }.map_err(never).boxed(),
        ("status", Some(code)) => {
            status = u16::try_from(code).ok().and_then(|c| StatusCode::from_u16(c).ok()).unwrap_or_default();
            full(String::new())
        }
        _ => full(name.to_owned()),
    };
    let mut response = Response::new(content);
    *response.status_mut() = status;
    for (field, value) in [("x-origin", name), ("x-target", &target)] {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(field, value);
        }
    }
    response
}

async fn checked(mut body: Incoming) -> Content {
    let mut check = pattern::Check::default();
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(data) = frame.data_ref() {
            check.take(data);
        }
    }
    full(serde_json::json!({ "seen": check.seen, "wrong_at": check.wrong_at }).to_string())
}

fn full(text: String) -> Content {
    Full::new(Bytes::from(text)).map_err(never).boxed()
}

fn never(impossible: Infallible) -> hyper::Error {
    match impossible {}
}

/// The pattern as an answer's body.
struct Pattern {
    at: u64,
    len: u64,
    sized: bool,
}

impl Body for Pattern {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let now = PIECE_BYTES.min(self.len - self.at);
        if now == 0 {
            return Poll::Ready(None);
        }
        let mut piece = vec![0; usize::try_from(now).expect("a piece fits into memory")];
        pattern::fill(self.at, &mut piece);
        self.at += now;
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        if self.sized { SizeHint::with_exact(self.len - self.at) } else { SizeHint::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::Origin;
    use crate::{Framing, Wire, pattern, request};

    #[test]
    fn answers_by_path() {
        let origin = Origin::start("new");
        let mut client = Wire::connect(origin.addr());

        let named = client.exchange(request::get("/x?y=1"));
        assert_eq!((named.text().as_str(), named.fields.get("x-target")), ("new", Some("/x?y=1")));

        let sized = client.exchange(request::get("/bytes/100000"));
        assert_eq!((sized.framing, &sized.body), (Framing::Length(100_000), &pattern::bytes(100_000)));
        let chunked = client.exchange(request::get("/chunks/100000"));
        assert_eq!((chunked.framing, &chunked.body), (Framing::Chunked, &pattern::bytes(100_000)));

        let echoed = client.exchange(request::post("/echo", b"abc"));
        assert_eq!((echoed.framing, echoed.text().as_str()), (Framing::Length(3), "abc"));
        let echoed = client.exchange(request::post_chunked("/echo", b"abc", 2));
        assert_eq!((echoed.framing, echoed.text().as_str()), (Framing::Chunked, "abc"));

        client.send(request::with("POST", "/check", &[("content-length", "70000")], b""));
        client.try_send_pattern(70_000).unwrap();
        assert_eq!(client.response().json(), serde_json::json!({ "seen": 70_000, "wrong_at": null }));
        assert_eq!(client.exchange(request::get("/status/503")).status, 503);
        assert_eq!((origin.requests(), origin.connections()), (7, 1));
    }
}
