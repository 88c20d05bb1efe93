//! What a worker hands to its lane: a request to be sent once more, and by whom it was served.
//!
//! When the lane is done with it, it goes back to the worker to be freed ([`Leased`]). To free what another thread has
//! allocated takes a lock of the allocator's that belongs to that thread, and a lane, which has a low priority, may be
//! set aside while it has it: then its worker would wait for it. For the same reason the way back is a ring whose reader
//! never waits; that of a channel spins while a sender has taken a place and not yet filled it.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use route_plan::{Again, Asked, Captured, NotCopied, Observation, Snapshot};
use rtrb::Producer;
use tokio::sync::oneshot;
use traffic_split::{Arm, Percent};

use super::account::{Account, Slot};
use super::capture::Held;
use crate::rewrite::host_sent;

/// A copy that is to be sent.
pub(crate) struct Job {
    /// Gone once it is closed.
    pub(crate) account: Option<Account>,
    /// Gone once the copy is through.
    pub(crate) slot: Option<Slot>,
    /// The memory that it takes.
    pub(crate) _held: Held,
    pub(crate) road: Road,
    /// Let through although copies to the arm fail.
    pub(crate) is_probe: bool,
    pub(crate) message: Message,
    /// The head for the arm that served, if the request may be sent again.
    pub(crate) heads: Option<Heads>,
    pub(crate) asked: Asked,
    pub(crate) limits: CopyLimits,
    pub(crate) at: Instant,
    pub(crate) served: ServedBy,
}

impl Job {
    /// Counts it, if that has not been done.
    pub(crate) fn close(&mut self, why: NotCopied) {
        if let Some(account) = self.account.take() {
            account.close(why);
        }
    }
}

/// A job that the lane works on, and gives back when it is dropped.
pub(super) struct Leased {
    job: Option<Box<Job>>,
    worker: WayBack,
}

/// The lane's end of the way by which jobs go back to its worker.
pub(super) type WayBack = Rc<RefCell<Producer<Box<Job>>>>;

impl Leased {
    pub(super) fn new(job: Box<Job>, worker: &WayBack) -> Leased {
        Leased { job: Some(job), worker: worker.clone() }
    }
}

impl Deref for Leased {
    type Target = Job;

    fn deref(&self) -> &Job {
        self.job.as_deref().expect("a lease holds its job until it is dropped")
    }
}

impl DerefMut for Leased {
    fn deref_mut(&mut self) -> &mut Job {
        self.job.as_deref_mut().expect("a lease holds its job until it is dropped")
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        if let Some(mut job) = self.job.take() {
            // These count for the lane.
            (job.account, job.slot) = (None, None);
            // A worker that does not keep up, or has ended, has no part in it any more.
            drop(self.worker.borrow_mut().push(job));
        }
    }
}

/// A snapshot that a worker lends its lane: behind a pointer of the worker's own, so that workers do not share a count.
#[derive(Debug, Default)]
pub(crate) struct Lent(pub(crate) Arc<Snapshot>);

/// Where a copy goes.
#[derive(Clone)]
pub(crate) struct Road {
    /// What it was decided by.
    pub(crate) lent: Arc<Lent>,
    /// Index of the migration in it.
    pub(crate) migration: usize,
    pub(crate) arm: Arm,
}

impl Road {
    /// Index of the upstream in the snapshot.
    pub(crate) fn upstream(&self) -> Option<usize> {
        let migration = self.lent.0.migrations.get(self.migration)?;
        Some(match self.arm {
            Arm::Old => migration.old,
            Arm::New => migration.new,
        })
    }
}

/// How long a copy may take and how much of its answer is kept, as its policy says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CopyLimits {
    pub(crate) capture_bytes: usize,
    pub(crate) deadline_ms: u32,
    pub(crate) connect_ms: u32,
    /// The share of copies that fail at which the arm counts as down.
    pub(crate) max_failures: Option<Percent>,
    /// A head that takes longer is a failure for whoever judges.
    pub(crate) fail_after_ms: Option<NonZeroU32>,
}

/// A whole request as it is sent.
pub(crate) struct Message {
    wire: Vec<u8>,
    /// `Host` names the endpoint that gets it.
    by_endpoint: bool,
    /// Its method is safe and it has no body: it may be sent again when a connection turns out to be closed.
    pub(crate) is_repeatable: bool,
}

impl Message {
    /// A head with what follows it. An empty `Host` is filled in when the endpoint is known.
    pub(crate) fn new(wire: Vec<u8>, is_repeatable: bool) -> Message {
        let by_endpoint = wire.get(host_sent(&wire)).is_some_and(<[u8]>::is_empty);
        Message { wire, by_endpoint, is_repeatable }
    }

    pub(crate) fn wire(&self) -> &[u8] {
        &self.wire
    }

    pub(crate) fn is_head(&self) -> bool {
        self.wire.starts_with(b"HEAD ")
    }

    /// This endpoint is the one that gets it.
    pub(crate) fn name(&mut self, authority: &str) {
        if self.by_endpoint {
            let host = host_sent(&self.wire);
            self.wire.splice(host, authority.bytes());
        }
    }

    /// As it was before an endpoint was named.
    fn head(&mut self) -> Box<[u8]> {
        self.name("");
        self.wire.as_slice().into()
    }
}

/// The heads by which a safe request without a body can be sent again: the copy's own, and this for the arm that served.
pub(crate) enum Heads {
    /// Both arms are asked in the same words.
    Same,
    /// The served arm is asked like this.
    Served(Box<[u8]>),
}

impl Heads {
    /// Both heads; `message` went to `arm`.
    pub(crate) fn again(&self, message: &mut Message, arm: Arm) -> Again {
        let copied = message.head();
        let served = match self {
            Heads::Same => copied.clone(),
            Heads::Served(head) => head.clone(),
        };
        let mut heads = [served, copied];
        if arm == Arm::Old {
            heads.swap(0, 1);
        }
        Again { heads }
    }
}

/// What became of the served attempt.
pub(crate) struct Served {
    /// Its client stayed for the end, or for as long as there was something to stay for.
    pub(crate) observation: Observation,
    pub(crate) answer: Result<Captured, NotCopied>,
    /// The memory that the answer takes.
    pub(crate) _held: Option<Held>,
}

/// Where the served answer comes from.
pub(crate) enum ServedBy {
    /// The request has been served.
    Now(Box<Served>),
    /// It is being served.
    Later(oneshot::Receiver<Box<Served>>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_those_of_their_arm_without_an_endpoint() {
        let head = b"GET / HTTP/1.1\r\nHost: \r\nx: y\r\n\r\n";
        let mut message = Message::new(head.to_vec(), true);
        message.name("10.0.0.1:80");
        assert_eq!(message.wire(), b"GET / HTTP/1.1\r\nHost: 10.0.0.1:80\r\nx: y\r\n\r\n");
        message.name("[::1]:8080");
        assert_eq!(message.wire(), b"GET / HTTP/1.1\r\nHost: [::1]:8080\r\nx: y\r\n\r\n");
        let again = Heads::Served(b"served"[..].into()).again(&mut message, Arm::Old);
        assert_eq!((&*again.heads[0], &*again.heads[1]), (&head[..], &b"served"[..]));
        let mut named = Message::new(b"HEAD / HTTP/1.1\r\nHost: shop\r\n\r\n".to_vec(), true);
        named.name("10.0.0.1:80");
        assert!(named.is_head() && named.wire().ends_with(b"Host: shop\r\n\r\n"));
        let again = Heads::Same.again(&mut named, Arm::New);
        assert_eq!(again.heads[0], again.heads[1]);
    }
}
