//! A proxy in this process, with a migration that has a shadow, and somebody who takes the pairs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use data_plane::{Lanes, Options, Proxy};
use route_plan::{
    AnswerFailures, CapturedBody, Compares, Endpoint, FieldLines, Match, Migration, NotCopied, Pair, Phase,
    RouteEntry, RouteTable, ShadowPolicy, Snapshot, Target, Timeouts, Upstream,
};
use telemetry::{ShadowTotals, SnapshotCell, Telemetry, access_log};
use test_kit::{DEADLINE, Scripted, Serving, Wire, eventually, request};
use traffic_split::{Arm, KeySource, Percent, Split};

/// Takes pairs, as long as it has room for them.
pub(crate) struct Taker {
    pairs: SyncSender<Box<Pair>>,
    /// What there is too little of.
    pub(crate) short_of: Mutex<Option<NotCopied>>,
    pub(crate) takes: AtomicBool,
}

impl Compares for Taker {
    fn take(&self, pair: Box<Pair>) -> Result<(), NotCopied> {
        if !self.takes.load(Ordering::SeqCst) {
            return Err(NotCopied::Budget);
        }
        self.pairs.try_send(pair).map_err(|_| NotCopied::Budget)
    }

    fn room(&self) -> Result<(), NotCopied> {
        (*self.short_of.lock().unwrap()).map_or(Ok(()), Err)
    }
}

pub(crate) struct Rig {
    proxy: Option<Proxy>,
    addr: SocketAddr,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) taker: Arc<Taker>,
    pairs: Mutex<Receiver<Box<Pair>>>,
    pub(crate) lanes: Arc<Lanes>,
    cell: Arc<SnapshotCell>,
}

/// A migration in its shadow phase, which `adapt` may change, before these two.
pub(crate) fn snapshot(old: SocketAddr, new: SocketAddr, adapt: impl FnOnce(&mut Migration)) -> Snapshot {
    let upstream = |name: &str, addr: SocketAddr| Upstream {
        name: name.to_owned(),
        endpoints: vec![Endpoint::new(&addr.ip().to_string(), addr.port())],
        ..Upstream::default()
    };
    let entry = RouteEntry { label: "shop".to_owned(), rule: Match::default(), target: Target::Migration(0) };
    let keys = ["header:x-user-id", "request-id"].map(|key| key.parse::<KeySource>().unwrap());
    let mut migration = Migration {
        name: "shop".to_owned(),
        lineage: 1,
        old: 0,
        new: 1,
        phase: Phase::Shadow,
        split: Split {
            salt: Box::from(&b"shop"[..]),
            keys: keys.into(),
            percent: Percent::ZERO,
            overrides: Default::default(),
        },
        asked: Percent::ZERO,
        force: None,
        assign_cookie: None,
        timeouts: Timeouts::default(),
        drain_after_rollback_ms: 30_000,
        fallback: None,
        shadow: Some(Box::default()),
        failures: AnswerFailures::default(),
        rules: Default::default(),
        expose_arm: None,
    };
    adapt(&mut migration);
    Snapshot {
        generation: 1,
        table: RouteTable::build(vec![entry]).unwrap(),
        migrations: vec![migration],
        upstreams: vec![upstream("shop-old", old), upstream("shop-new", new)],
        ..Snapshot::default()
    }
}

/// The shadow's policy of a migration.
pub(crate) fn policy(migration: &mut Migration) -> &mut ShadowPolicy {
    migration.shadow.as_mut().unwrap()
}

impl Rig {
    /// With the defaults, but for what `adapt` changes.
    pub(crate) fn start(old: SocketAddr, new: SocketAddr, adapt: impl FnOnce(&mut Migration)) -> Rig {
        Rig::over(snapshot(old, new, adapt), 1)
    }

    pub(crate) fn over(snapshot: Snapshot, workers: usize) -> Rig {
        let telemetry = Telemetry::new(workers);
        let cell = Arc::new(SnapshotCell::with_strategy(Arc::new(snapshot), RwLock::default()));
        let (sender, pairs) = sync_channel(100_000);
        let taker = Arc::new(Taker { pairs: sender, short_of: Mutex::default(), takes: true.into() });
        let lanes = Lanes::new();
        let options = Options {
            workers,
            access_log: access_log::Handle::off(),
            compares: Some(taker.clone()),
            lanes: lanes.clone(),
        };
        let proxy = Proxy::start(&options, &cell, &telemetry).unwrap();
        let addr = proxy.set_listeners(&["127.0.0.1:0".parse().unwrap()]).unwrap()[0].bound;
        Rig { proxy: Some(proxy), addr, telemetry, taker, pairs: Mutex::new(pairs), lanes, cell }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn client(&self) -> Wire {
        Wire::connect(self.addr)
    }

    /// Another configuration from now on.
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        self.cell.store(Arc::new(snapshot));
    }

    /// The next pair.
    #[track_caller]
    pub(crate) fn pair(&self) -> Box<Pair> {
        let pair = self.pairs.lock().unwrap().recv_timeout(DEADLINE);
        pair.unwrap_or_else(|_| panic!("no pair in {DEADLINE:?}; {:?}", self.counts()))
    }

    /// The pairs that have been taken so far.
    pub(crate) fn pairs(&self) -> Vec<Pair> {
        self.pairs.lock().unwrap().try_iter().map(|pair| *pair).collect()
    }

    pub(crate) fn totals(&self) -> ShadowTotals {
        self.telemetry.shadow("shop").totals()
    }

    /// What requests were counted as, but for pairs.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        let totals = self.totals();
        let all = NotCopied::ALL.iter().map(|why| (why.as_str(), totals.dropped_for(*why)));
        all.filter(|(_, count)| *count > 0).collect()
    }

    /// Waits until so many requests are accounted for, and expects these reasons among them, no others, and pairs for the
    /// rest.
    #[track_caller]
    pub(crate) fn expect(&self, requests: u64, reasons: &[(NotCopied, u64)]) {
        let what = format!("{requests} requests are accounted for");
        eventually(&what, || self.totals().requests() >= requests);
        let mut expected: Vec<_> = reasons.to_vec();
        expected.sort_unstable();
        let expected: Vec<_> = expected.iter().map(|(why, count)| (why.as_str(), *count)).collect();
        assert_eq!(self.counts(), expected);
        assert_eq!(self.totals().requests(), requests);
    }

    /// Waits until nothing of a copy is held any more.
    #[track_caller]
    pub(crate) fn expect_no_memory(&self) {
        eventually("all memory is given back", || self.telemetry.lane(0).memory() == 0);
    }

    /// Ends it, and expects that this does not wait for copies.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        let began = std::time::Instant::now();
        self.proxy.take().unwrap().stop();
        // Half of what a copy may take.
        assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(proxy) = self.proxy.take() {
            proxy.stop();
        }
    }
}

/// An upstream that answers everything with this text.
pub(crate) fn saying(text: &str) -> Serving {
    Scripted::bind().answering(request::ok(text))
}

pub(crate) fn body(pair: &Pair, arm: Arm) -> &[u8] {
    match &pair.answers[arm.index()].body {
        CapturedBody::Whole(body) => body,
        other => panic!("{arm}: {other:?}"),
    }
}

pub(crate) fn field<'a>(lines: &'a FieldLines, name: &str) -> Option<&'a str> {
    let mut all = lines.iter().filter(|line| line.0.eq_ignore_ascii_case(name.as_bytes()));
    all.next().map(|(_, value)| std::str::from_utf8(value).unwrap())
}
