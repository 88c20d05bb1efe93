use route_plan::{Endpoint, Probe, Upstream};

use super::*;

const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// A configuration of one upstream with one endpoint, a name.
fn snapshot(interval_ms: Option<u64>) -> Arc<Snapshot> {
    let check = |interval_ms| HealthCheck {
        probe: Probe::Tcp,
        interval_ms,
        timeout_ms: 1_000,
        unhealthy_after: 3,
        healthy_after: 2,
    };
    let upstream = Upstream {
        name: "shop".to_owned(),
        endpoints: vec![Endpoint::new("shop.invalid", 9)],
        health: interval_ms.map(check),
        ..Upstream::default()
    };
    Arc::new(Snapshot { upstreams: vec![upstream], ..Snapshot::default() })
}

struct Rig {
    snapshots: Arc<SnapshotCell>,
    prober: Prober,
    _found: mpsc::Receiver<Finding>,
}

impl Rig {
    fn new(interval_ms: Option<u64>) -> Rig {
        let snapshots = Arc::new(SnapshotCell::new(snapshot(interval_ms)));
        let (findings, found) = mpsc::channel(FINDINGS);
        let prober = Prober {
            published: Cache::new(snapshots.clone()),
            seen: None,
            watched: HashMap::new(),
            findings,
            board: watch::channel(Arc::default()).0,
            telemetry: Telemetry::new(1),
        };
        let mut rig = Rig { snapshots, prober, _found: found };
        rig.prober.look();
        rig
    }

    fn configure(&mut self, interval_ms: Option<u64>) {
        self.snapshots.store(snapshot(interval_ms));
        assert!(self.prober.look());
    }

    fn place(&self) -> Place {
        self.prober.watched.keys().next().unwrap().clone()
    }

    fn checked_by(&self) -> task::Id {
        self.prober.watched[&self.place()].checking[&ADDRESS].0.id()
    }

    fn known(&self) -> Found {
        self.prober.watched[&self.place()].found.clone()
    }
}

fn within_a_runtime(test: impl AsyncFnOnce()) {
    crate::accept::runtime(1).unwrap().block_on(test());
}

#[test]
fn another_check_keeps_what_is_known() {
    within_a_runtime(async || {
        let mut rig = Rig::new(Some(60_000));
        let place = rig.place();
        assert!(rig.prober.take(Finding::Addresses(place.clone(), vec![ADDRESS])));
        let by = rig.checked_by();
        assert!(rig.prober.take(Finding::Health(place.clone(), ADDRESS, by, false)));
        rig.configure(Some(30_000));
        assert_eq!(
            rig.known(),
            Found::At(vec![(ADDRESS, false)]),
            "the address, though no lookup succeeds now"
        );
        let by = rig.checked_by();
        assert!(rig.prober.take(Finding::Health(place, ADDRESS, by, true)), "the new check can turn it");
        assert_eq!(rig.known(), Found::At(vec![(ADDRESS, true)]));
    });
}

#[test]
fn what_is_not_checked_any_more_counts_as_healthy() {
    within_a_runtime(async || {
        let mut rig = Rig::new(Some(60_000));
        let place = rig.place();
        rig.prober.take(Finding::Addresses(place.clone(), vec![ADDRESS]));
        let by = rig.checked_by();
        rig.prober.take(Finding::Health(place, ADDRESS, by, false));
        rig.configure(None);
        assert_eq!(rig.known(), Found::At(vec![(ADDRESS, true)]));
    });
}

#[test]
fn a_check_that_was_replaced_has_no_say() {
    within_a_runtime(async || {
        let mut rig = Rig::new(Some(60_000));
        let place = rig.place();
        rig.prober.take(Finding::Addresses(place.clone(), vec![ADDRESS]));
        let before = rig.checked_by();
        rig.configure(Some(30_000));
        assert!(
            !rig.prober.take(Finding::Health(place, ADDRESS, before, false)),
            "nobody would take it back"
        );
        assert_eq!(rig.known(), Found::At(vec![(ADDRESS, true)]));
    });
}
