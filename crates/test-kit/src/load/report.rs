//! How a load went.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// So many failures are shown.
const SHOWN: usize = 10;

/// A request that failed, as its client saw it.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Its id.
    pub id: String,
    /// Its method.
    pub method: &'static str,
    /// The status of the answer, where a whole one came.
    pub status: Option<u16>,
    /// What was wrong.
    pub why: String,
    /// When that was clear.
    pub after: Duration,
}

/// What became of the requests of a load.
#[derive(Clone, Debug, Default)]
pub struct LoadReport {
    /// Requests, those that could not be sent in time included.
    pub sent: usize,
    /// Those that failed.
    pub failed: Vec<Failed>,
    /// Who answered how many of the others.
    pub by_origin: BTreeMap<String, usize>,
    /// How long those took, in order.
    pub latencies: Vec<Duration>,
}

impl LoadReport {
    /// How many failed.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.failed.len()
    }

    /// How many this origin answered.
    #[must_use]
    pub fn served(&self, origin: &str) -> usize {
        self.by_origin.get(origin).copied().unwrap_or(0)
    }

    /// The time within which this share of the requests that succeeded were answered.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of the list")]
        let rank = (self.latencies.len() as f64 * share).ceil() as usize;
        self.latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// Expects that none failed.
    ///
    /// # Panics
    /// When one did.
    #[track_caller]
    pub fn expect_no_failures(&self, what: &str) {
        assert!(self.failed.is_empty(), "{what}: {self}");
    }

    pub(super) fn add(&mut self, other: LoadReport) {
        self.sent += other.sent;
        self.failed.extend(other.failed);
        self.latencies.extend(other.latencies);
        for (origin, count) in other.by_origin {
            *self.by_origin.entry(origin).or_default() += count;
        }
    }

    pub(super) fn sort(&mut self) {
        self.latencies.sort_unstable();
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, most, all] = [0.5, 0.99, 1.0].map(|share| self.quantile(share));
        write!(
            f,
            "{} requests, {} failed; answered by {:?}; p50 {half:.1?}, p99 {most:.1?}, max {all:.1?}",
            self.sent,
            self.failures(),
            self.by_origin
        )?;
        for failed in self.failed.iter().take(SHOWN) {
            write!(f, "\n  {} {} after {:.1?}: {}", failed.method, failed.id, failed.after, failed.why)?;
        }
        if self.failures() > SHOWN {
            write!(f, "\n  and {} more", self.failures() - SHOWN)?;
        }
        Ok(())
    }
}
