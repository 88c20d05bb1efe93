//! One client of a load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Load, LoadReport};
use crate::{Failed, Response, Wire, pattern, request};

/// Users among whom the requests are dealt.
const USERS: usize = 997;

/// Content is sent in pieces of this size when it is chunked.
const CHUNK_BYTES: usize = 3000;

pub(super) struct Client {
    load: Load,
    to: SocketAddr,
    until: Instant,
    next: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
    /// The place up to which requests may be sent.
    allowed: Arc<AtomicUsize>,
    wire: Option<Wire>,
    report: LoadReport,
}

impl Client {
    pub(super) fn new(
        load: Load,
        to: SocketAddr,
        until: Instant,
        next: Arc<AtomicUsize>,
        done: Arc<AtomicUsize>,
        allowed: Arc<AtomicUsize>,
    ) -> Self {
        Client { load, to, until, next, done, allowed, wire: None, report: LoadReport::default() }
    }

    pub(super) fn run(mut self) -> LoadReport {
        loop {
            let at = self.next.fetch_add(1, Ordering::SeqCst);
            if at >= self.load.requests {
                return self.report;
            }
            while at >= self.allowed.load(Ordering::SeqCst) && Instant::now() < self.until {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            let started = Instant::now();
            let outcome =
                if started < self.until { self.ask(at) } else { Err((None, "not sent in time".into())) };
            self.report.sent += 1;
            match outcome {
                Ok(served) => {
                    self.report.latencies.push(started.elapsed());
                    *self.report.by_origin.entry(served).or_default() += 1;
                }
                Err((status, why)) => {
                    let method = self.load.request(at).0.method;
                    let after = started.elapsed();
                    self.report.failed.push(Failed { id: self.load.id(at), method, status, why, after });
                }
            }
            self.done.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Sends the request at this place; answers who answered it well.
    fn ask(&mut self, at: usize) -> Result<String, (Option<u16>, String)> {
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => Wire::try_connect(self.to).map_err(|e| (None, format!("cannot connect: {e}")))?,
        };
        // A proxy may answer and close before it has read all of it, so an answer is looked for in any case.
        let sent = wire.try_send(self.bytes(at));
        let answer = wire.try_response().map_err(|e| match sent {
            Ok(()) => (None, e.to_string()),
            Err(send) => (None, format!("cannot send ({send}), and then: {e}")),
        })?;
        let served = self.check(at, &answer).map_err(|why| (Some(answer.status), why));
        if !answer.says_close() {
            self.wire = Some(wire);
        }
        served
    }

    fn bytes(&self, at: usize) -> Vec<u8> {
        let (kind, length) = self.load.request(at);
        let (id, user) = (self.load.id(at), format!("user-{}", at % USERS));
        let (content, size) = (pattern::bytes(length), length.to_string());
        let own = [("x-request-id", id.as_str()), ("x-user-id", user.as_str())];
        let with = |framing: &[(&str, &str)], body: &[u8]| {
            request::with(kind.method, kind.target, &[&own, framing].concat(), body)
        };
        match (kind.up_to_bytes, kind.chunked) {
            (0, _) => with(&[], b""),
            (_, false) => with(&[("content-length", &size)], &content),
            (_, true) => with(&[("transfer-encoding", "chunked")], &request::chunked(&content, CHUNK_BYTES)),
        }
    }

    fn check(&self, at: usize, answer: &Response) -> Result<String, String> {
        let id = self.load.id(at);
        let (field, text) = (|name| answer.fields.get(name), answer.text());
        if answer.status != 200 {
            let start: String = text.chars().filter(char::is_ascii_graphic).take(200).collect();
            return Err(format!("status {} ({:?}): {start}", answer.status, field("x-origin")));
        }
        if field("x-answers") != Some(&id) {
            return Err(format!("the answer to {:?}", field("x-answers")));
        }
        if let Some(told) = field("x-body-bytes") {
            let length = self.load.request(at).1.to_string();
            if told != length {
                return Err(format!("{length} bytes were sent, {told} arrived"));
            }
            if answer.body != pattern::bytes(answer.body.len()) || answer.body.is_empty() {
                return Err(format!("a damaged body of {} bytes", answer.body.len()));
            }
        }
        Ok(field("x-origin").unwrap_or("nobody").to_owned())
    }
}
