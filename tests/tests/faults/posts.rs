//! Nothing is carried out twice that the operator did not say may be.

use std::collections::BTreeMap;
use std::time::Duration;

use test_kit::{Fault, FaultyOrigin, Kind, Load, LoadReport, Loading, Proxy, Request};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{fallbacks, falling_back, withheld};

/// What new does to single requests, beside answering them.
const FAULTS: &[Fault] = &[
    Fault::Unanswered,
    Fault::ResetInHead,
    Fault::ResetInBody,
    Fault::ClosedInBody,
    Fault::StalledInBody,
    Fault::Garbage,
    Fault::Early,
    Fault::EarlyAndClosed,
    Fault::ClosedAfter(Duration::ZERO),
    Fault::ClosedAfter(Duration::from_millis(1)),
    Fault::ClosedWhenReused,
    Fault::Slow(Duration::from_millis(400)),
    Fault::Status(500),
    Fault::Status(502),
    Fault::Status(503),
    Fault::Status(504),
];

/// What happens to new as a whole now and then.
const OUTAGES: &[Fault] = &[Fault::Refusing, Fault::Silent, Fault::Unreachable];

/// What came of a load of POSTs.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) report: LoadReport,
    pub(crate) old: BTreeMap<String, usize>,
    pub(crate) new: BTreeMap<String, usize>,
    pub(crate) withheld: f64,
    pub(crate) not_replayable: f64,
    pub(crate) fallbacks: Vec<(String, f64)>,
}

/// Every third request fails, each id always in the same way.
fn at_random(seed: u64) -> impl Fn(&Request) -> Fault + Send + Sync + 'static {
    move |request| {
        let id = request.fields.get("x-request-id").unwrap_or_default();
        let drawn = usize::try_from(xxh3_64_with_seed(id.as_bytes(), seed) >> 33).unwrap();
        if drawn % 3 > 0 { Fault::Healthy } else { FAULTS[drawn / 3 % FAULTS.len()] }
    }
}

/// Ten times in the load, new as a whole fails for a hundredth of it.
fn outages(new: &FaultyOrigin, seed: u64, requests: usize, loading: &Loading) {
    for outage in 0..10 {
        loading.reach(requests * (2 * outage + 1) / 20);
        let drawn = xxh3_64_with_seed(&outage.to_le_bytes(), seed) >> 33;
        new.set(OUTAGES[usize::try_from(drawn).unwrap() % OUTAGES.len()]);
        loading.reach(requests * (2 * outage + 1) / 20 + requests / 100);
        new.choose(at_random(seed));
    }
}

/// Puts POSTs of this kind through a migration whose new system fails at random.
pub(crate) fn run(kind: Kind, requests: usize, seed: u64, within: Duration) -> Outcome {
    let (old, new) = (FaultyOrigin::start("old"), FaultyOrigin::start("new"));
    new.choose(at_random(seed));
    let config = falling_back(old.addr(), new.addr())
        .section("[migration.shop.timeouts]\nconnect = \"2s\"\nfirst_byte = \"2s\"\nidle = \"2s\"");
    let proxy = Proxy::start(&config);
    let load = Load::of(&format!("post-{seed}"), requests).connections(32).kinds(&[kind]).within(within);
    let loading = load.start_in_steps(proxy.addr());
    outages(&new, seed, requests, &loading);
    let report = loading.finish();
    assert!(old.received().iter().all(|received| received.intact), "old got damaged content");
    Outcome {
        report,
        old: old.executions(),
        new: new.executions(),
        withheld: withheld(&proxy, None),
        not_replayable: withheld(&proxy, Some("not-replayable")),
        fallbacks: fallbacks(&proxy),
    }
}

/// What holds of POSTs that are not listed, however many: not one is carried out twice; what new never saw is saved; each
/// failure that is passed on instead of an answer is counted with its reason.
pub(crate) fn expect_once(outcome: &Outcome) {
    let report = &outcome.report;
    let times = |id: &str| {
        let of = |origin: &BTreeMap<String, usize>| origin.get(id).copied().unwrap_or(0);
        of(&outcome.old) + of(&outcome.new)
    };
    let twice: Vec<&String> =
        outcome.old.keys().chain(outcome.new.keys()).filter(|id| times(id) > 1).collect();
    assert!(twice.is_empty(), "{} were carried out twice: {twice:?}", twice.len());
    let carried_out = outcome.old.len() + outcome.new.len();
    assert!(carried_out >= report.sent - report.failures(), "an answer without an execution: {report}");
    assert!(report.failures() > 0 && report.served("old") > 0, "nothing went wrong: {report}");
    // The others broke off when a part of the answer was with the client.
    let told = report.failed.iter().filter(|failed| failed.status.is_some()).count();
    assert!(
        (outcome.withheld - told as f64).abs() < 0.5,
        "{} failures were passed on by the metrics, {told} by the clients: {report}",
        outcome.withheld
    );
    assert!(outcome.not_replayable > 0.9 * outcome.withheld, "{outcome:?}");
}

/// POSTs of an order, while new fails in every way there is: each is carried out once or, where its client is told of a
/// failure, at most once.
#[test]
fn no_post_is_carried_out_twice() {
    expect_once(&run(Kind::ORDER, 1000, 1, Duration::from_secs(100)));
}

/// The same POSTs, listed: old answers whatever new did to them.
#[test]
fn listed_posts_fall_back() {
    for (kind, seed) in [(Kind::SEARCH, 2), (Kind::SEARCH_CHUNKED, 3)] {
        let outcome = run(kind, 600, seed, Duration::from_secs(60));
        outcome.report.expect_no_failures("listed");
        assert!(outcome.report.served("old") > 100, "{outcome:?}");
        assert!(outcome.withheld < 0.5, "{outcome:?}");
    }
}

/// Content of more than `fallback.body_bytes` is not kept: what failed after that much of it is passed on, counted, and
/// what failed before still falls back.
#[test]
fn a_listed_post_with_more_content_than_is_kept() {
    let (old, new) = (FaultyOrigin::start("old"), FaultyOrigin::start("new"));
    new.set(Fault::Unanswered);
    let proxy = Proxy::start(&falling_back(old.addr(), new.addr()));
    let kind = Kind { up_to_bytes: 400_000, ..Kind::SEARCH };
    let report = Load::of("large", 100).connections(4).kinds(&[kind]).run(proxy.addr());
    assert!(report.failures() > 50 && report.served("old") > 5, "{report}");
    assert!(report.failed.iter().all(|failed| failed.status == Some(502)), "{report}");
    let counted = withheld(&proxy, Some("body-too-large"));
    assert!((counted - report.failures() as f64).abs() < 0.5, "{counted} counted: {report}");
}
