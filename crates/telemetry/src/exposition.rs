//! From cells to Prometheus' text format.
//!
//! The families are put together anew for each scrape from the sums over workers; the `prometheus` crate's types and
//! encoder write them, so that escaping and number format are the ones every scraper knows. Label sets that can
//! occur are there from the start with a zero, so that a rate over the first failure is not lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::proto;
use rollback_guard::Verdict;
use route_plan::fallback::Kept;
use route_plan::outcome::{Drained, Failure};
use route_plan::{NotCopied, Phase};
use traffic_split::{Arm, Role};

use crate::names::{self, Kind, Metric};
use crate::process::ProcessFacts;
use crate::registry::Named;
use crate::traffic::{CODE_CLASSES, DURATION_BOUNDS_S, Durations, Leg};
use crate::{
    AskedFor, Compared, ComparerCells, ComparisonCells, ControlFacts, Counter, EndpointFacts, EvidenceCells,
    LOOK_BOUNDS_S, LaneCells, LookCells, ShadowCells, ShadowTotals, Totals, TrafficKind, WorkerCells,
    access_log,
};

/// Everything that a scrape is made of.
pub(crate) struct Sources<'a> {
    pub(crate) traffic: &'a [Named],
    pub(crate) evidence: &'a BTreeMap<Arc<str>, Arc<EvidenceCells>>,
    pub(crate) comparisons: &'a BTreeMap<Arc<str>, Arc<ComparisonCells>>,
    pub(crate) shadow: &'a BTreeMap<Arc<str>, Arc<ShadowCells>>,
    pub(crate) lanes: &'a [Arc<LaneCells>],
    pub(crate) names_overflowed: u64,
    pub(crate) workers: &'a [Arc<WorkerCells>],
    pub(crate) looks: &'a LookCells,
    pub(crate) comparer: &'a ComparerCells,
    pub(crate) facts: &'a ControlFacts,
    pub(crate) endpoints: &'a [EndpointFacts],
    pub(crate) access_log: Option<&'a access_log::Handle>,
    pub(crate) event_log_dropped: u64,
    pub(crate) process: ProcessFacts,
}

/// All metrics as text, families in alphabetical order.
pub(crate) fn text(sources: &Sources<'_>) -> String {
    let mut sheet = Sheet::default();
    for (kind, name, cells) in sources.traffic {
        match kind {
            TrafficKind::Migration => migration(&mut sheet, name, &cells.totals()),
            TrafficKind::Route => route(&mut sheet, name, &cells.totals().route()),
        }
    }
    for (name, cells) in sources.evidence {
        let totals = cells.totals();
        for arm in Arm::ALL {
            let counts = totals.arm(arm);
            sheet.count(&names::EVIDENCE_REQUESTS, &[name, arm.as_str()], counts.requests);
            sheet.count(&names::EVIDENCE_FAILURES, &[name, arm.as_str()], counts.failures);
        }
    }
    for (name, cells) in sources.comparisons {
        let totals = cells.totals();
        for result in Compared::ALL {
            sheet.count(&names::COMPARISONS, &[name, result.as_str()], totals.of(result));
        }
        for purpose in AskedFor::ALL {
            sheet.count(&names::ASKED_AGAIN, &[name, purpose.as_str()], cells.asked_for(purpose));
        }
    }
    for (name, cells) in sources.shadow {
        shadow(&mut sheet, name, &cells.totals());
    }
    lanes(&mut sheet, sources.lanes);
    comparer(&mut sheet, sources.comparer);
    sheet.count(&names::TRAFFIC_NAMES_OVERFLOWED, &[], sources.names_overflowed);
    workers(&mut sheet, sources);
    let (counts, sum_s) = sources.looks.read();
    sheet.histogram(
        &names::GUARD_LOOK_INTERVAL,
        &[],
        Buckets { bounds: &LOOK_BOUNDS_S, counts: &counts, sum_s },
    );
    control(&mut sheet, sources.facts);
    for one in sources.endpoints {
        sheet.gauge(&names::UPSTREAM_HEALTHY, &[&one.upstream, &one.endpoint], flag(one.healthy));
    }
    logs(&mut sheet, sources);
    process(&mut sheet, &sources.process);
    let build = [env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_RUST_VERSION")];
    sheet.gauge(&names::BUILD_INFO, &build, 1.0);
    sheet.encode()
}

fn comparer(sheet: &mut Sheet, cells: &ComparerCells) {
    let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
    sheet.gauge(&names::COMPARE_WAITING, &[], read(&cells.waiting) as f64);
    sheet.gauge(&names::COMPARE_LET_IN, &[], read(&cells.let_in_ppm) as f64 / 1e6);
    sheet.gauge(&names::COMPARE_CPU, &[], read(&cells.used_us) as f64 / 1e6);
    for (result, count) in [("written", &cells.kept), ("failed", &cells.not_kept)] {
        sheet.count(&names::COMPARE_KEPT, &[result], count.get());
    }
}

fn migration(sheet: &mut Sheet, name: &str, totals: &Totals) {
    for arm in Arm::ALL {
        let labels = [name, arm.as_str()];
        let mut aborts = 0;
        for role in [Role::Served, Role::Shadow, Role::Fallback, Role::DualWrite] {
            let leg = totals.leg(arm, role);
            // Every migration serves; the other roles appear once they are used.
            if role == Role::Served || leg.requests() > 0 {
                requests(sheet, [name, arm.as_str(), role.as_str()], &leg);
            }
            aborts += leg.client_aborts;
        }
        sheet.count(&names::CLIENT_ABORTS, &labels, aborts);
        sheet.count(&names::BUCKETED_REQUESTS, &labels, totals.by_bucket(arm));
    }
    sheet.count(&names::KEYLESS_REQUESTS, &[name], totals.no_key);
    for (failure, count) in Failure::ALL.iter().zip(totals.leg(Arm::New, Role::Served).covered) {
        sheet.count(&names::FALLBACKS, &[name, failure.as_str()], count);
    }
    for (why, count) in Kept::ALL.iter().zip(totals.kept) {
        sheet.count(&names::FALLBACKS_WITHHELD, &[name, why.as_str()], count);
    }
    for (kind, count) in Drained::ALL.iter().zip(totals.drained) {
        sheet.count(&names::DRAINED, &[name, kind.as_str()], count);
    }
}

fn requests(sheet: &mut Sheet, [name, arm, role]: [&str; 3], leg: &Leg) {
    for (class, count) in CODE_CLASSES.iter().zip(leg.by_class) {
        sheet.count(&names::REQUESTS, &[name, arm, role, class], count);
    }
    sheet.histogram(&names::REQUEST_DURATION, &[name, arm, role], Buckets::of(&leg.durations));
    for (failure, count) in Failure::ALL.iter().zip(leg.failures) {
        sheet.count(&names::FAILURES, &[name, arm, role, failure.as_str()], count);
    }
}

fn shadow(sheet: &mut Sheet, name: &str, totals: &ShadowTotals) {
    for (why, count) in NotCopied::ALL.iter().zip(totals.dropped) {
        sheet.count(&names::SHADOW_DROPPED, &[name, why.as_str()], count);
    }
    sheet.count(&names::SHADOW_PAIRS, &[name], totals.pairs);
    for (copied, durations) in ["no", "yes"].iter().zip(&totals.served) {
        sheet.histogram(&names::SHADOW_SERVED_DURATION, &[name, copied], Buckets::of(durations));
    }
}

fn lanes(sheet: &mut Sheet, lanes: &[Arc<LaneCells>]) {
    let sum = |count: fn(&LaneCells) -> u64| lanes.iter().map(|lane| count(lane)).sum::<u64>();
    // What ended is read before what began, so that a difference is never negative; saturating all the same.
    let ended = sum(|lane| lane.ended.get());
    let taken = sum(|lane| lane.taken.get());
    let under_way = sum(|lane| lane.begun.get()).saturating_sub(ended);
    sheet.gauge(&names::SHADOW_UNDER_WAY, &[], under_way as f64);
    let queued = sum(|lane| lane.queued.get()).saturating_sub(taken);
    sheet.gauge(&names::SHADOW_QUEUED, &[], queued as f64);
    sheet.gauge(&names::SHADOW_MEMORY, &[], sum(|lane| lane.memory() as u64) as f64);
    sheet.gauge(&names::SHADOW_MEMORY_LIMIT, &[], sum(|lane| lane.memory_limit() as u64) as f64);
}

fn route(sheet: &mut Sheet, name: &str, leg: &Leg) {
    for (class, count) in CODE_CLASSES.iter().zip(leg.by_class) {
        sheet.count(&names::ROUTE_REQUESTS, &[name, class], count);
    }
    for (failure, count) in Failure::ALL.iter().zip(leg.failures) {
        sheet.count(&names::ROUTE_FAILURES, &[name, failure.as_str()], count);
    }
    sheet.histogram(&names::ROUTE_REQUEST_DURATION, &[name], Buckets::of(&leg.durations));
    sheet.count(&names::ROUTE_CLIENT_ABORTS, &[name], leg.client_aborts);
}

fn workers(sheet: &mut Sheet, sources: &Sources<'_>) {
    let workers = sources.workers;
    // The connections of lanes are connections to upstreams like any other.
    let all =
        || workers.iter().map(|cells| &**cells).chain(sources.lanes.iter().map(|lane| &*lane.connections));
    let sum = |cell: fn(&WorkerCells) -> &Counter| all().map(|cells| cell(cells).get()).sum::<u64>();
    let counters = [
        (&names::REQUESTS_STARTED, sum(|cells| &cells.requests_started)),
        (&names::REQUESTS_UNMATCHED, sum(|cells| &cells.unmatched)),
        (&names::CONNECTIONS_ACCEPTED, sum(|cells| &cells.connections_accepted)),
        (&names::CONNECTIONS_TURNED_AWAY, sum(|cells| &cells.connections_turned_away)),
        (&names::CONNECTIONS_HANDED_OVER, sum(|cells| &cells.handed_over)),
        (&names::TUNNELS_OPENED, sum(|cells| &cells.tunnels_opened)),
        (&names::CLIENT_RECEIVED_BYTES, sum(|cells| &cells.bytes_in)),
        (&names::CLIENT_SENT_BYTES, sum(|cells| &cells.bytes_out)),
        (&names::UPSTREAM_CONNECTS, sum(|cells| &cells.upstream_connects)),
        (&names::UPSTREAM_REUSES, sum(|cells| &cells.upstream_reuses)),
        (&names::UPSTREAM_STALE, sum(|cells| &cells.upstream_stale)),
        (&names::UPSTREAM_RETRIES, sum(|cells| &cells.upstream_retries)),
        (&names::UPSTREAM_RETRIES_WITHHELD, sum(|cells| &cells.upstream_retries_withheld)),
        (&names::UPSTREAM_EJECTIONS, sum(|cells| &cells.upstream_ejections)),
        (&names::UPSTREAM_TURNED_AWAY, sum(|cells| &cells.upstream_turned_away)),
    ];
    for (metric, count) in counters {
        sheet.count(metric, &[], count);
    }
    // What ended is read before what began, so that a difference is never negative; saturating all the same.
    let closed = sum(|cells| &cells.connections_closed);
    let open = sum(|cells| &cells.connections_accepted).saturating_sub(closed);
    sheet.gauge(&names::CONNECTIONS_OPEN, &[], open as f64);
    let closed = sum(|cells| &cells.tunnels_closed);
    let open = sum(|cells| &cells.tunnels_opened).saturating_sub(closed);
    sheet.gauge(&names::TUNNELS_OPEN, &[], open as f64);
    let closed = sum(|cells| &cells.upstream_closed);
    let open = sum(|cells| &cells.upstream_connects).saturating_sub(closed);
    sheet.gauge(&names::UPSTREAM_CONNECTIONS_OPEN, &[], open as f64);
    sheet.gauge(&names::WORKERS, &[], workers.len() as f64);
    let mut refused = BTreeMap::new();
    for (reason, count) in workers.iter().flat_map(|cells| cells.refusals()) {
        *refused.entry(reason).or_insert(0) += count;
    }
    for (reason, count) in refused {
        sheet.count(&names::REQUESTS_REFUSED, &[reason], count);
    }
}

fn control(sheet: &mut Sheet, facts: &ControlFacts) {
    for migration in &facts.migrations {
        let name = migration.name.as_str();
        sheet.gauge(&names::PERCENT, &[name, "asked"], migration.asked.as_f64());
        sheet.gauge(&names::PERCENT, &[name, "in_force"], migration.in_force.as_f64());
        // Without traffic there is nothing measured; NaN is how the format says so.
        sheet.gauge(&names::PERCENT, &[name, "measured"], migration.measured.unwrap_or(f64::NAN));
        for phase in Phase::ALL {
            sheet.gauge(&names::PHASE, &[name, phase.as_str()], flag(phase == migration.phase));
        }
        sheet.gauge(&names::LATCHED, &[name], flag(migration.latched));
        for verdict in Verdict::ALL.iter().filter(|_| migration.verdict.is_some()) {
            let is_it = migration.verdict == Some(verdict.as_str());
            sheet.gauge(&names::VERDICT, &[name, verdict.as_str()], flag(is_it));
        }
        if let Some(shadow) = &migration.shadow {
            sheet.gauge(&names::SHADOW_ON, &[name], flag(shadow.on));
            sheet.gauge(&names::MATCH_RATE, &[name], shadow.match_rate.unwrap_or(f64::NAN));
            sheet.gauge(&names::MATCH_RATE_AT_LEAST, &[name], shadow.match_rate_at_least);
        }
        if let Some(ln_evidence) = migration.ln_evidence {
            sheet.gauge(&names::GUARD_LN_EVIDENCE, &[name], ln_evidence);
        }
        if let Some(ramp) = &migration.ramp {
            sheet.gauge(&names::RAMP_STEP, &[name], ramp.step as f64);
            sheet.gauge(&names::RAMP_STEPS, &[name], ramp.steps as f64);
            sheet.gauge(&names::RAMP_PAUSED, &[name], flag(ramp.paused));
        }
        for hook in &migration.hooks {
            sheet.count(&names::HOOK_ANSWERS, &[name, hook.hook, "yes"], hook.yes);
            sheet.count(&names::HOOK_ANSWERS, &[name, hook.hook, "no"], hook.no);
        }
        for (cause, count) in &migration.rollbacks {
            sheet.count(&names::ROLLBACKS, &[name, cause], *count);
        }
    }
    if let Some(healthy) = facts.journal_healthy {
        sheet.gauge(&names::JOURNAL_HEALTHY, &[], flag(healthy));
    }
    sheet.gauge(&names::LISTENERS, &[], facts.listeners as f64);
    sheet.gauge(&names::DRAINING, &[], flag(facts.draining));
    sheet.gauge(&names::CONFIG_GENERATION, &[], facts.generation as f64);
    sheet.gauge(&names::CONFIG_LAST_RELOAD_SUCCESSFUL, &[], flag(facts.last_reload_successful));
    sheet.gauge(&names::CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP, &[], facts.last_reload_success_unix_s);
    let reloads = facts.reloads;
    for (result, count) in
        [("applied", reloads.applied), ("refused", reloads.refused), ("unchanged", reloads.unchanged)]
    {
        sheet.count(&names::CONFIG_RELOADS, &[result], count);
    }
}

fn logs(sheet: &mut Sheet, sources: &Sources<'_>) {
    let (written, dropped) = sources.access_log.map_or((0, 0), |log| (log.accepted(), log.dropped()));
    sheet.count(&names::ACCESS_LOG_LINES, &[], written);
    sheet.count(&names::ACCESS_LOG_DROPPED, &[], dropped);
    sheet.count(&names::LOG_DROPPED, &[], sources.event_log_dropped);
}

fn process(sheet: &mut Sheet, facts: &ProcessFacts) {
    if let Some(cpu_s) = facts.cpu_s {
        sheet.add(&names::PROCESS_CPU, &[], Value::Number(cpu_s));
    }
    let whole = |count: Option<u64>| count.map(|count| count as f64);
    for (metric, value) in [
        (&names::PROCESS_RESIDENT_MEMORY, whole(facts.resident_bytes)),
        (&names::PROCESS_VIRTUAL_MEMORY, whole(facts.virtual_bytes)),
        (&names::PROCESS_OPEN_FDS, whole(facts.open_fds)),
        (&names::PROCESS_MAX_FDS, whole(facts.max_fds)),
        (&names::PROCESS_THREADS, whole(facts.threads)),
        (&names::PROCESS_START_TIME, facts.start_unix_s),
    ] {
        if let Some(value) = value {
            sheet.gauge(metric, &[], value);
        }
    }
}

fn flag(set: bool) -> f64 {
    if set { 1.0 } else { 0.0 }
}

enum Value<'a> {
    Number(f64),
    Buckets(Buckets<'a>),
}

/// A histogram: upper bounds, counts that are not cumulated, one more than there are bounds, and the sum in seconds.
struct Buckets<'a> {
    bounds: &'a [f64],
    counts: &'a [u64],
    sum_s: f64,
}

impl<'a> Buckets<'a> {
    fn of(durations: &'a Durations) -> Self {
        Buckets { bounds: &DURATION_BOUNDS_S, counts: &durations.counts, sum_s: durations.sum_s }
    }
}

/// Metric families under construction.
#[derive(Default)]
struct Sheet {
    families: BTreeMap<&'static str, (Metric, Vec<proto::Metric>)>,
}

impl Sheet {
    fn count(&mut self, metric: &Metric, labels: &[&str], count: u64) {
        self.add(metric, labels, Value::Number(count as f64));
    }

    fn gauge(&mut self, metric: &Metric, labels: &[&str], value: f64) {
        self.add(metric, labels, Value::Number(value));
    }

    fn histogram(&mut self, metric: &Metric, labels: &[&str], buckets: Buckets<'_>) {
        self.add(metric, labels, Value::Buckets(buckets));
    }

    fn add(&mut self, metric: &Metric, labels: &[&str], value: Value<'_>) {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
        let pairs = metric.labels.iter().zip(labels).map(|(name, value)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        let mut sample = proto::Metric::from_label(pairs.collect());
        match (value, metric.kind) {
            (Value::Number(number), Kind::Counter) => {
                let mut counter = proto::Counter::default();
                counter.set_value(number);
                sample.set_counter(counter);
            }
            (Value::Number(number), _) => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(number);
                sample.set_gauge(gauge);
            }
            (Value::Buckets(buckets), _) => sample.set_histogram(histogram_of(&buckets)),
        }
        self.families.entry(metric.name).or_insert_with(|| (*metric, Vec::new())).1.push(sample);
    }

    fn encode(self) -> String {
        let families: Vec<_> =
            self.families.into_values().map(|(metric, samples)| family(&metric, samples)).collect();
        // The encoder fails only on families without a name or without samples; there are none by construction.
        prometheus::TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }
}

fn family(metric: &Metric, samples: Vec<proto::Metric>) -> proto::MetricFamily {
    let mut family = proto::MetricFamily::default();
    family.set_name(metric.name.to_owned());
    family.set_help(metric.help.to_owned());
    family.set_field_type(match metric.kind {
        Kind::Counter => proto::MetricType::COUNTER,
        Kind::Gauge => proto::MetricType::GAUGE,
        Kind::Histogram => proto::MetricType::HISTOGRAM,
    });
    family.set_metric(samples);
    family
}

fn histogram_of(of: &Buckets<'_>) -> proto::Histogram {
    let mut histogram = proto::Histogram::default();
    let mut sum = 0;
    let buckets = of.bounds.iter().zip(of.counts).map(|(bound, count)| {
        sum += count;
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(sum);
        bucket
    });
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(of.counts.iter().sum());
    histogram.set_sample_sum(of.sum_s);
    histogram
}

#[cfg(test)]
mod tests;
