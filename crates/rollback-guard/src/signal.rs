//! What the guard looks at, and against which line.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// A quantile of latency, exact to a millionth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantile(u32);

impl Quantile {
    /// The median.
    pub const P50: Quantile = Quantile(500_000);
    /// One in twenty is slower.
    pub const P95: Quantile = Quantile(950_000);
    /// One in a hundred is slower.
    pub const P99: Quantile = Quantile(990_000);

    /// The quantile at `millionths` of a million; `None` unless it lies strictly between 0 and a million.
    #[must_use]
    pub const fn from_millionths(millionths: u32) -> Option<Quantile> {
        if millionths > 0 && millionths < 1_000_000 { Some(Quantile(millionths)) } else { None }
    }

    /// As a share, strictly between 0 and 1.
    #[must_use]
    pub fn share(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", f64::from(self.0) / 1e4)
    }
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// The share of requests that failed.
    ErrorRate,
    /// The latency at a quantile, of requests that did not fail.
    Latency(Quantile),
    /// The share of requests answered with a 4xx.
    ClientErrors,
    /// The share of requests that needed another attempt at the same arm.
    Retries,
    /// The share of comparisons whose answers differed.
    Mismatches,
    /// A difference where none at all is allowed.
    ZeroTolerance,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Signal::ErrorRate => f.write_str("error_rate"),
            Signal::Latency(quantile) => quantile.fmt(f),
            Signal::ClientErrors => f.write_str("client_errors"),
            Signal::Retries => f.write_str("retries"),
            Signal::Mismatches => f.write_str("mismatches"),
            Signal::ZeroTolerance => f.write_str("zero_tolerance"),
        }
    }
}

/// What it is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    /// What old does at the same time, and a margin.
    OverOld,
    /// A fixed limit.
    Max,
}

/// Why a verdict is what it is. As text: the signal's name, with `_max` where it was held against a fixed limit, such
/// as `error_rate`, `p95` or `p99_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cause {
    /// What was looked at.
    pub signal: Signal,
    /// Against what.
    pub line: Line,
}

impl Cause {
    pub(crate) const fn over_old(signal: Signal) -> Cause {
        Cause { signal, line: Line::OverOld }
    }

    pub(crate) const fn max(signal: Signal) -> Cause {
        Cause { signal, line: Line::Max }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.line == Line::Max { "_max" } else { "" };
        f.pad(&format!("{}{end}", self.signal))
    }
}

impl FromStr for Cause {
    type Err = CauseError;

    /// Reads what [`Cause`] prints.
    ///
    /// # Errors
    /// [`CauseError`] for any other text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, line) = match text.strip_suffix("_max") {
            Some(name) => (name, Line::Max),
            None => (text, Line::OverOld),
        };
        let signal = match name {
            "error_rate" => Signal::ErrorRate,
            "client_errors" => Signal::ClientErrors,
            "retries" => Signal::Retries,
            "mismatches" => Signal::Mismatches,
            "zero_tolerance" => Signal::ZeroTolerance,
            other => Signal::Latency(quantile(other).ok_or(CauseError)?),
        };
        Ok(Cause { signal, line })
    }
}

fn quantile(text: &str) -> Option<Quantile> {
    let percent: f64 = text.strip_prefix('p')?.parse().ok()?;
    // Rounds to the nearest, and so gives back exactly what was printed.
    let millionths = format!("{:.0}", percent * 1e4).parse().ok()?;
    Quantile::from_millionths(millionths)
}

/// The text names no cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CauseError;

impl fmt::Display for CauseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected the name of a signal, such as `error_rate`, `p95` or `p95_max`")
    }
}

impl Error for CauseError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_read_as_they_are_printed() {
        let tail = Quantile::from_millionths(999_500).unwrap();
        let signals = [
            Signal::ErrorRate,
            Signal::Latency(Quantile::P95),
            Signal::Latency(tail),
            Signal::ClientErrors,
            Signal::Retries,
            Signal::Mismatches,
            Signal::ZeroTolerance,
        ];
        for cause in signals.into_iter().flat_map(|signal| [Cause::over_old(signal), Cause::max(signal)]) {
            assert_eq!(cause.to_string().parse(), Ok(cause));
        }
        assert_eq!(Cause::max(Signal::Latency(tail)).to_string(), "p99.95_max");
        assert_eq!("p0".parse::<Cause>(), Err(CauseError));
        assert_eq!("speed".parse::<Cause>(), Err(CauseError));
    }
}
