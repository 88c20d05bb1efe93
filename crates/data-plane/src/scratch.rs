//! What a request under way needs to remember, kept from one request to the next so that nothing is allocated anew.

use std::cell::RefCell;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use http1_codec::{FieldId, RequestHead, ResponseHead, Span};
use route_plan::Ended;
use traffic_split::RequestView;

use crate::admit::Refusal;
use crate::buffer::Buffer;
use crate::entry::UnderWay;
use crate::exchange::{Drain, Slot, Twin};
use crate::pace::Pace;
use crate::transfer::Transfer;
use crate::upstream::{Connection, Ticket, Tried};

/// How many a worker keeps: its requests under way at once, as a rule.
const KEPT: usize = 256;

/// One request's parsed heads and rewritten bytes.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) request: RequestHead,
    pub(crate) response: ResponseHead,
    /// The head as sent to the upstream.
    pub(crate) sent: Vec<u8>,
    /// The head as sent to the client.
    pub(crate) answer: Vec<u8>,
    /// The normalised path, where it differs from the one received.
    pub(crate) path: Vec<u8>,
    /// The request's id, taken over or made.
    pub(crate) request_id: Vec<u8>,
    /// Scheme and authority that the client used, for answers that are to lead back to them; else empty.
    pub(crate) origin: Vec<u8>,
    /// Room for a value that is put together.
    pub(crate) spare: Vec<u8>,
    /// A copy of the request's head, for the access log; empty when that is off.
    pub(crate) logged: Vec<u8>,
    /// The request's head as received, for a second attempt or a copy; empty when there will be none.
    pub(crate) original: Vec<u8>,
    /// Room for the content that is kept for a second attempt.
    pub(crate) kept_room: Vec<u8>,
    pub(crate) facts: Facts,
    pub(crate) legs: Legs,
}

/// What a request under way holds of both connections. Kept here and not in the connection's task, so that the task
/// of an idle connection is small.
#[derive(Default)]
pub(crate) struct Legs {
    /// The request as received: its head and what came with it. Gone once it is sent on.
    pub(crate) head: Option<Buffer>,
    /// The request's body. `None` until it is sent on.
    pub(crate) request: Option<Transfer>,
    /// The upstream stopped taking the request's body: what it answers still counts.
    pub(crate) request_given_up: bool,
    pub(crate) upstream: Option<Connection>,
    /// Counts the request among those of its upstream.
    pub(crate) ticket: Option<Ticket>,
    /// The endpoints that it was tried at.
    pub(crate) tried: Tried,
    /// Attempts after the first.
    pub(crate) retries: u32,
    /// What has been received of the answer and not been sent on.
    pub(crate) incoming: Option<Buffer>,
    /// The answer's body. `None` until its head is written.
    pub(crate) answer: Option<Transfer>,
    /// The client's connection ended, or its body turned out to be malformed, while the answer was on its way.
    pub(crate) client_broke: bool,
    /// An interim answer has been passed on.
    pub(crate) interim_seen: bool,
    /// Something other than `100 Continue` has been passed on: the client has seen a part of an answer.
    pub(crate) begun: bool,
    /// When old is asked if new has not answered by then, on the worker's clock.
    pub(crate) fallback_at_ms: Option<u64>,
    /// When the attempt counts as one that hangs.
    pub(crate) fail_at_ms: Option<u64>,
    /// When whoever is waited for has had the time that it has, whatever else happens before.
    pub(crate) patience_ends_ms: u64,
    /// Until when an answer of unknown length is held.
    pub(crate) hold_until_ms: Option<u64>,
    /// How the attempt ended in whose place this one answers.
    pub(crate) covered: Option<Ended>,
    pub(crate) slot: Option<Slot>,
    /// The copy of the request, as long as something is still to be done for it.
    pub(crate) twin: Option<Box<Twin>>,
    /// The request shows what copying does to users: it was to be copied, or was held out from that.
    pub(crate) shows_copying: Option<bool>,
    pub(crate) under_way: Option<UnderWay>,
    /// How fast the request's body arrives.
    pub(crate) pace: Pace,
    /// How fast the client takes the answer.
    pub(crate) taking: Pace,
    /// On the worker's clock.
    pub(crate) total_at_ms: Option<u64>,
    /// When it ends because its user is back on old.
    pub(crate) drain: Drain,
    /// The request turned out to be malformed, or too slow, after it was admitted.
    pub(crate) refusal: Option<Refusal>,
    pub(crate) watch: Watch,
}

/// Whether a waiting exchange looks out for a client that goes away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Not yet: most answers come before it is worth it.
    #[default]
    Later,
    /// It does.
    Now,
    /// The client has sent more or ended its half: looking tells nothing any more.
    Useless,
}

impl Watch {
    /// From now on, unless it is useless.
    pub(crate) fn begin(&mut self) {
        if *self == Watch::Later {
            *self = Watch::Now;
        }
    }
}

impl Legs {
    /// Field by field: what holds nothing is not written, and there is much of it.
    fn clear(&mut self) {
        let Legs { head, request, upstream, incoming, answer, slot, ticket, under_way, twin, .. } = self;
        (*head, *request, *upstream, *incoming, *answer) = (None, None, None, None, None);
        (*slot, *ticket, *under_way, *twin) = (None, None, None, None);
        self.pace = Pace::default();
        self.taking = Pace::default();
        self.tried = Tried::default();
        self.retries = 0;
        self.request_given_up = false;
        self.client_broke = false;
        self.interim_seen = false;
        self.begun = false;
        self.fallback_at_ms = None;
        self.hold_until_ms = None;
        self.fail_at_ms = None;
        self.covered = None;
        self.shows_copying = None;
        self.total_at_ms = None;
        self.drain = Drain::default();
        self.refusal = None;
        self.watch = Watch::Later;
    }

    /// Whether the whole request has been received from the client.
    pub(crate) fn request_received(&self) -> bool {
        self.request.as_ref().is_some_and(Transfer::is_received)
    }

    /// Whether the whole request has been received and sent on.
    pub(crate) fn request_done(&self) -> bool {
        self.request.as_ref().is_some_and(Transfer::is_done)
    }

    /// Whether the request still has something to send that the upstream may take.
    pub(crate) fn request_under_way(&self) -> bool {
        !self.request_given_up && !self.request_done()
    }
}

/// What was found out about a request when it was admitted. Spans lie in the head as received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) path: Span,
    pub(crate) query: Option<Span>,
    /// Without port.
    pub(crate) host: Span,
    pub(crate) peer_ip: IpAddr,
    pub(crate) client_ip: IpAddr,
    /// The peer is one of the trusted proxies, so what it says of the client is kept.
    pub(crate) peer_trusted: bool,
    /// The peer is another crossfade, so what it marks as a copy stays marked.
    pub(crate) may_mark: bool,
    /// The method is idempotent (RFC 9110 9.2.2).
    pub(crate) idempotent: bool,
    /// The method is safe (RFC 9110 9.2.1).
    pub(crate) safe: bool,
}

impl Default for Facts {
    fn default() -> Self {
        let nobody = IpAddr::from([0, 0, 0, 0]);
        Facts {
            path: Span::default(),
            query: None,
            host: Span::default(),
            peer_ip: nobody,
            client_ip: nobody,
            peer_trusted: false,
            may_mark: false,
            idempotent: false,
            safe: false,
        }
    }
}

impl Scratch {
    fn reset(&mut self) {
        self.request.reset();
        self.response.reset();
        if let Some(keep) = self.legs.request.as_mut().and_then(Transfer::take_keep) {
            self.kept_room = keep.into_room();
        }
        let Scratch { sent, answer, path, request_id, origin, logged, original, .. } = self;
        for bytes in [sent, answer, path, request_id, origin, logged, original] {
            bytes.clear();
        }
        self.facts = Facts::default();
        self.legs.clear();
    }

    /// The path that is matched and forwarded.
    pub(crate) fn path<'a>(&'a self, head: &'a [u8]) -> &'a [u8] {
        if !self.path.is_empty() {
            return &self.path;
        }
        let received = self.facts.path.of(head);
        if received.is_empty() { b"/" } else { received }
    }
}

/// The scratches that no request uses at the moment.
#[derive(Default)]
pub(crate) struct ScratchPool {
    #[expect(clippy::vec_box, reason = "they move between the pool and connections: a pointer each time")]
    free: RefCell<Vec<Box<Scratch>>>,
}

impl ScratchPool {
    pub(crate) fn take(self: &Rc<Self>) -> ScratchLease {
        let scratch = self.free.borrow_mut().pop().unwrap_or_default();
        ScratchLease { scratch: Some(scratch), home: self.clone() }
    }
}

/// A scratch in use by one request. Returns to its pool when dropped.
pub(crate) struct ScratchLease {
    scratch: Option<Box<Scratch>>,
    home: Rc<ScratchPool>,
}

impl Deref for ScratchLease {
    type Target = Scratch;

    fn deref(&self) -> &Scratch {
        self.scratch.as_deref().expect("a lease holds its scratch until it is dropped")
    }
}

impl DerefMut for ScratchLease {
    fn deref_mut(&mut self) -> &mut Scratch {
        self.scratch.as_deref_mut().expect("a lease holds its scratch until it is dropped")
    }
}

impl Drop for ScratchLease {
    fn drop(&mut self) {
        let mut free = self.home.free.borrow_mut();
        if let Some(mut scratch) = self.scratch.take()
            && free.len() < KEPT
        {
            scratch.reset();
            free.push(scratch);
        }
    }
}

/// A request as decisions see it: byte ranges of the head as received.
pub(crate) struct View<'a> {
    pub(crate) scratch: &'a Scratch,
    pub(crate) head: &'a [u8],
}

impl RequestView for View<'_> {
    fn method(&self) -> &[u8] {
        self.scratch.request.method().of(self.head)
    }

    fn host(&self) -> &[u8] {
        self.scratch.facts.host.of(self.head)
    }

    fn path(&self) -> &[u8] {
        self.scratch.path(self.head)
    }

    fn query(&self) -> Option<&[u8]> {
        self.scratch.facts.query.map(|query| query.of(self.head))
    }

    fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
        self.scratch.request.find(self.head, name, nth)
    }

    fn client_ip(&self) -> IpAddr {
        self.scratch.facts.client_ip
    }

    fn peer_ip(&self) -> IpAddr {
        self.scratch.facts.peer_ip
    }

    fn request_id(&self) -> &[u8] {
        &self.scratch.request_id
    }
}

/// Values of all fields of one kind, in the order received.
pub(crate) fn values<'a>(
    request: &'a RequestHead,
    head: &'a [u8],
    id: FieldId,
) -> impl DoubleEndedIterator<Item = &'a [u8]> {
    request.fields().iter().filter(move |field| field.id == id).map(move |field| field.value.of(head))
}
