//! Where old's quantiles lie, learned from its own requests.
//!
//! A request is "slow" when it is past old's quantile `q`, and for new past the same place moved by the tolerated
//! number of buckets. If new is at most that factor slower than old, then its share of slow requests is at most old's,
//! at every quantile, and whether or not the place is exactly old's quantile. So comparing latencies becomes comparing
//! rates, and the place needs to be neither exact nor up to date.

use crate::Quantile;
use crate::latency::BUCKETS;

/// So many of old's requests are needed before anything is said of its quantiles.
const LEAST_REQUESTS: f64 = 300.0;
pub(crate) const LEARN_EVERY_S: f64 = 60.0;

/// Old's latencies, halved each time they are learned from, and the quantiles that came of it.
#[derive(Clone, Debug)]
pub(crate) struct OldLatency {
    pub(crate) counts: Box<[f64; BUCKETS]>,
    pub(crate) all: f64,
    pub(crate) learn_at_s: f64,
    /// The first bucket past each quantile. Empty until learned.
    pub(crate) edges: Vec<(Quantile, usize)>,
    wanted: Vec<Quantile>,
}

impl OldLatency {
    pub(crate) fn new(mut wanted: Vec<Quantile>) -> Self {
        if !wanted.contains(&Quantile::P99) {
            wanted.push(Quantile::P99);
        }
        OldLatency { counts: Box::new([0.0; BUCKETS]), all: 0.0, learn_at_s: 0.0, edges: Vec::new(), wanted }
    }

    pub(crate) fn see(&mut self, latency: &[u64; BUCKETS]) {
        for (sum, count) in self.counts.iter_mut().zip(latency) {
            *sum += *count as f64;
            self.all += *count as f64;
        }
    }

    pub(crate) fn edge(&self, quantile: Quantile) -> Option<usize> {
        self.edges.iter().find(|(known, _)| *known == quantile).map(|(_, edge)| *edge)
    }

    /// Learns anew when it is time.
    pub(crate) fn learn(&mut self, now_s: f64) {
        if self.all < LEAST_REQUESTS || now_s < self.learn_at_s {
            return;
        }
        self.learn_at_s = now_s + LEARN_EVERY_S;
        self.edges = self.wanted.iter().map(|quantile| (*quantile, self.past(*quantile))).collect();
        self.counts.iter_mut().for_each(|count| *count *= 0.5);
        self.all *= 0.5;
    }

    /// The lowest edge with at most `1 - q` of all requests above it.
    fn past(&self, quantile: Quantile) -> usize {
        let left = (1.0 - quantile.share()) * self.all;
        let mut above = 0.0;
        for (bucket, count) in self.counts.iter().enumerate().rev() {
            above += count;
            if above > left {
                return bucket + 1;
            }
        }
        0
    }

    /// Old's share of requests in `bucket` or above.
    pub(crate) fn share_from(&self, bucket: usize) -> f64 {
        let from: f64 = self.counts.get(bucket..).unwrap_or_default().iter().sum();
        if self.all > 0.0 { from / self.all } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_lowest_edge_with_no_more_above() {
        let mut old = OldLatency::new(vec![Quantile::P50, Quantile::P95]);
        let mut latency = [0; BUCKETS];
        latency[100] = 60;
        latency[150] = 36;
        latency[200] = 4;
        old.see(&latency);
        old.learn(0.0);
        assert_eq!(old.edge(Quantile::P95), None, "too few requests");
        (0..2).for_each(|_| old.see(&latency));
        old.learn(0.0);
        assert_eq!(old.edge(Quantile::P50), Some(101));
        assert_eq!(old.edge(Quantile::P95), Some(151));
        assert_eq!(old.edge(Quantile::P99), Some(201));
        assert_eq!(old.all, 150.0, "halved");
        assert!((old.share_from(150) - 0.4).abs() < 1e-12);
        old.see(&[50; BUCKETS]);
        old.learn(59.0);
        assert_eq!(old.edge(Quantile::P95), Some(151), "not yet time");
    }
}
