//! What the guard costs: a worker for each request, and the one thread that judges for each tick.

use std::time::Duration;

use rollback_guard::{
    Counts, Guard, LatencyLimit, Limits, Mark, Merged, MismatchLimit, Quantile, RateLimit, Repeats, Trouble,
    latency_bucket,
};
use traffic_split::Arm;

const TICK: Duration = Duration::from_millis(50);

fn main() {
    divan::main();
}

/// The bucket of a latency alone.
#[divan::bench]
fn bucket_of_a_latency(bencher: divan::Bencher<'_, '_>) {
    let latencies = latencies();
    let mut next = latencies.iter().cycle();
    bencher.bench_local(|| next.next().map(|latency| latency_bucket(*latency)));
}

/// All that is counted of a request that does not fail.
#[divan::bench]
fn request_recorded(bencher: divan::Bencher<'_, '_>) {
    let (latencies, mut counts) = (latencies(), Counts::ZERO);
    let mut next = latencies.iter().cycle();
    bencher.bench_local(|| {
        if let Some(latency) = next.next() {
            counts.success(Arm::New, *latency);
        }
        divan::black_box(&mut counts);
    });
}

/// The same for one that fails, of a key among ten thousand that do.
#[divan::bench]
fn failure_recorded(bencher: divan::Bencher<'_, '_>) {
    let (mut repeats, mut counts) = (Repeats::new(), Counts::ZERO);
    let mut n = 0_u32;
    bencher.bench_local(|| {
        n += 1;
        let key = u64::from(n.wrapping_mul(2_654_435_761) % 10_000);
        let mark =
            Mark { trouble: Trouble::Failure, arm: Arm::New, key, at: Duration::from_micros(u64::from(n)) };
        if repeats.counts(mark) {
            counts.failure(Arm::New);
        }
        divan::black_box(&mut counts);
    });
}

/// A tick of a migration with default limits and 25 requests in the tick, the gate still shut.
#[divan::bench]
fn tick(bencher: divan::Bencher<'_, '_>) {
    judged(bencher, Limits::default());
}

/// The same with every limit there is.
#[divan::bench]
fn tick_with_all_limits(bencher: divan::Bencher<'_, '_>) {
    let mut limits =
        Limits { error_rate: RateLimit { over_old: Some(0.005), max: Some(0.02) }, ..Limits::default() };
    limits.mismatches = MismatchLimit { pause: Some(0.001), rollback: Some(0.01) };
    let max = Some(Duration::from_secs(2));
    limits.latency = [Quantile::P50, Quantile::P95, Quantile::P99]
        .map(|quantile| LatencyLimit { quantile, over_old: Some(2.0), max })
        .to_vec();
    judged(bencher, limits);
}

/// Summing up 8 workers' counts and taking the difference to the last sum.
#[divan::bench]
fn sums_of_eight_workers(bencher: divan::Bencher<'_, '_>) {
    let (workers, before) = (vec![block(0); 8], block(0));
    let mut merged = Merged::new();
    bencher.bench_local(|| {
        let mut sum = Counts::ZERO;
        workers.iter().for_each(|worker| sum.add(worker));
        sum.since(&before);
        merged.settle(&mut sum);
        sum
    });
}

fn judged(bencher: divan::Bencher<'_, '_>, limits: Limits) {
    let mut guard = Guard::new(limits);
    for n in 0..1000 {
        guard.tick(TICK, &block(n));
    }
    let blocks: Vec<Counts> = (0..64).map(block).collect();
    let mut next = blocks.iter().cycle();
    let mut ticks = 0_u32;
    bencher.bench_local(|| {
        ticks += 1;
        if ticks.is_multiple_of(128) {
            guard.begin_step();
        }
        next.next().map(|block| guard.tick(TICK, block))
    });
}

fn block(n: u64) -> Counts {
    let mut counts = Counts::ZERO;
    for (at, latency) in
        latencies().into_iter().skip(usize::try_from(n % 40).unwrap_or(0)).take(24).enumerate()
    {
        counts.success(if at < 3 { Arm::New } else { Arm::Old }, latency);
    }
    if n.is_multiple_of(40) {
        counts.failure(Arm::Old);
    }
    counts
}

fn latencies() -> Vec<Duration> {
    (0..1021_u64).map(|n| Duration::from_micros(1_000 + n * n * 7919 % 180_000)).collect()
}
