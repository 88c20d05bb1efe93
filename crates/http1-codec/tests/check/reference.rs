//! Holds what was accepted against what hyper makes of the same bytes. There are no exceptions: hyper refuses
//! nothing that this crate accepts.
//!
//! hyper's server and client connections run over a stream that is always ready, so they need no runtime:
//! polling them until they are done is all.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{HeaderMap, Method, Request, Response, Uri};

use super::transcript::{End, Message, Side, Transcript};

/// Follows the accepted requests, to see that hyper finds the same end of the last of them.
const SENTINEL: &[u8] = b"GET /sentinel HTTP/1.1\r\nHost: sentinel\r\n\r\n";
/// More than any input here takes; a connection that makes no progress is a failure, not a hang.
const POLLS_MAX: usize = 100_000;

/// Field values by name, in their order.
type Fields = BTreeMap<String, Vec<Vec<u8>>>;

struct Seen {
    method: Method,
    uri: Uri,
    status: u16,
    fields: Fields,
    body: Vec<u8>,
    trailers: Fields,
}

/// hyper's server sees the same requests, and as many.
pub(crate) fn check_requests(stream: &[u8], ours: &Transcript) {
    let Some(last) = ours.messages.last() else { return };
    let shown = stream.escape_ascii();
    let mut bytes = stream[..last.end].to_vec();
    // A request that closes the connection or may leave HTTP/1 is not followed by another.
    let open = ours.end != End::Closed;
    if open {
        bytes.extend_from_slice(SENTINEL);
    }
    let seen = serve(bytes);
    assert_eq!(seen.len(), ours.messages.len() + usize::from(open), "requests in {shown}");
    for (theirs, ours) in seen.iter().zip(&ours.messages) {
        assert_eq!(theirs.method.as_str().as_bytes(), ours.method, "method in {shown}");
        check_target(&theirs.uri, ours);
        check_content(theirs, ours, &shown.to_string());
    }
    if open {
        assert_eq!(seen.last().map(|last| last.uri.path()), Some("/sentinel"), "{shown}");
    }
}

/// hyper's client sees the same final response.
pub(crate) fn check_responses(side: Side, stream: &[u8], ours: &Transcript) {
    // hyper hides interim responses, and one connection is asked one request here.
    let Some(last) = ours.messages.iter().find(|message| message.status == 101 || message.status >= 200)
    else {
        return;
    };
    let shown = stream.escape_ascii();
    let method = if side == (Side::Responses { to_head: true }) { Method::HEAD } else { Method::GET };
    let theirs = match ask(method, stream[..last.end].to_vec()) {
        Ok(theirs) => theirs,
        Err(error) => panic!("hyper refused ({error:?}) {shown}"),
    };
    assert_eq!(theirs.status, last.status, "status in {shown}");
    check_content(&theirs, last, &shown.to_string());
}

fn check_target(uri: &Uri, ours: &Message) {
    let shown = ours.target.escape_ascii();
    let theirs = uri.path_and_query().map_or("", |path| path.as_str()).as_bytes();
    // hyper keeps `?q` of `http://h?q` as it is, and knows no asterisk for `OPTIONS http://h`.
    let same = theirs == ours.path_and_query
        || [b"/", theirs].concat() == ours.path_and_query
        || (ours.path_and_query == b"*" && theirs == b"/");
    assert!(same, "path and query of {shown}: {}", theirs.escape_ascii());
    if let Some(authority) = uri.authority() {
        assert_eq!(authority.as_str().as_bytes(), ours.host, "authority of {shown}");
    }
    assert_eq!(uri.authority().is_some(), !ours.target.starts_with(b"/") && ours.target != b"*", "{shown}");
}

fn check_content(theirs: &Seen, ours: &Message, shown: &str) {
    let mut theirs_fields = theirs.fields.clone();
    theirs_fields.remove("host");
    let ours_fields = ours.fields.iter().map(|field| (&field.name, &field.value));
    assert_eq!(theirs_fields, grouped(ours_fields), "fields in {shown}");
    assert_eq!(theirs.body, ours.body, "body in {shown}");
    let ours_trailers = ours.trailers.iter().map(|(name, value)| (name, value));
    assert_eq!(theirs.trailers, grouped(ours_trailers), "trailers in {shown}");
}

fn grouped<'f>(fields: impl Iterator<Item = (&'f Vec<u8>, &'f Vec<u8>)>) -> Fields {
    let mut grouped = Fields::new();
    for (name, value) in fields {
        let name = String::from_utf8(name.clone()).expect("names are tokens");
        grouped.entry(name).or_default().push(value.clone());
    }
    grouped
}

fn from_map(map: &HeaderMap) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in map {
        fields.entry(name.as_str().to_owned()).or_default().push(value.as_bytes().to_vec());
    }
    fields
}

/// What hyper's server makes of these bytes.
fn serve(bytes: Vec<u8>) -> Vec<Seen> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let (head, body) = request.into_parts();
            // A body that hyper cannot read shows as a missing request.
            if let Ok(body) = body.collect().await {
                let trailers = body.trailers().map(from_map).unwrap_or_default();
                seen.borrow_mut().push(Seen {
                    method: head.method,
                    uri: head.uri,
                    status: 0,
                    fields: from_map(&head.headers),
                    body: body.to_bytes().to_vec(),
                    trailers,
                });
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .max_headers(300)
        .serve_connection(Stream { bytes, at: 0, readable: true }, service);
    let _ = run(connection);
    Rc::into_inner(seen).map(RefCell::into_inner).unwrap_or_default()
}

/// What hyper's client makes of these bytes as the answer to one request.
fn ask(method: Method, bytes: Vec<u8>) -> hyper::Result<Seen> {
    run(async {
        let stream = Stream { bytes, at: 0, readable: false };
        let (mut sender, connection) =
            hyper::client::conn::http1::Builder::new().max_headers(300).handshake(stream).await?;
        let request = Request::builder().method(method.clone()).uri("/").body(Empty::<Bytes>::new());
        let mut answer = pin!(async move {
            let request = request.expect("a constant request is valid");
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = body.collect().await?;
            let trailers = body.trailers().map(from_map).unwrap_or_default();
            Ok(Seen {
                method,
                uri: Uri::default(),
                status: head.status.as_u16(),
                fields: from_map(&head.headers),
                body: body.to_bytes().to_vec(),
                trailers,
            })
        });
        let mut connection = Some(Box::pin(connection));
        poll_fn(|context| {
            if connection.as_mut().is_some_and(|connection| connection.as_mut().poll(context).is_ready()) {
                connection = None;
            }
            answer.as_mut().poll(context)
        })
        .await
    })
}

/// Polls until the future is done. Nothing it waits for happens elsewhere.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..POLLS_MAX {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("the connection makes no progress");
}

/// A peer that has sent these bytes and then closed its side, and that takes whatever it is sent.
struct Stream {
    bytes: Vec<u8>,
    at: usize,
    /// A server does not answer before it is asked.
    readable: bool,
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut out: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        if !self.readable {
            return Poll::Pending;
        }
        let rest = &self.bytes[self.at..];
        let len = rest.len().min(out.remaining());
        out.put_slice(&rest[..len]);
        self.at += len;
        Poll::Ready(Ok(()))
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.readable = true;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
