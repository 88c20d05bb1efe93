//! How much of what is there has been compared.

use super::classes::Tally;
use super::endpoint::Endpoint;

/// How much of what is known has been compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Coverage {
    /// Every known endpoint, the one with the most requests first.
    pub endpoints: Vec<EndpointCoverage>,
    /// The share of the requests that went to endpoints with enough comparisons, 0 to 1; 1 where there were none.
    pub share_of_requests: f64,
}

/// How much of one endpoint has been compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointCoverage {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The requests that were seen of it.
    pub requests: u64,
    /// Whether that is enough.
    pub state: Covered,
}

/// Whether an endpoint has been compared often enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covered {
    /// It has.
    Enough,
    /// A few times.
    Few {
        /// Comparisons that said something.
        judged: u64,
    },
    /// Every comparison came to noise or a race, which says nothing about new. A rule that ignores the noise makes the
    /// rest of the answers count.
    OnlyNoise {
        /// How many there were.
        comparisons: u64,
    },
    /// Never.
    Not,
}

impl Coverage {
    /// Of these endpoints ([`super::Endpoints::all`]), of which each should have at least `enough` comparisons that say
    /// something.
    #[must_use]
    pub fn new(known: &[(Endpoint, u64)], tally: &Tally, enough: u64) -> Coverage {
        let covered = |(endpoint, requests): &(Endpoint, u64)| {
            let counts = tally.of(endpoint);
            let state = match (counts.judged(), counts.compared()) {
                (judged, _) if judged >= enough.max(1) => Covered::Enough,
                (0, 0) => Covered::Not,
                (0, comparisons) => Covered::OnlyNoise { comparisons },
                (judged, _) => Covered::Few { judged },
            };
            EndpointCoverage { endpoint: endpoint.clone(), requests: *requests, state }
        };
        let mut endpoints: Vec<_> = known.iter().map(covered).collect();
        endpoints.sort_by(|one, other| {
            other.requests.cmp(&one.requests).then_with(|| one.endpoint.cmp(&other.endpoint))
        });
        let sum = |endpoints: &mut dyn Iterator<Item = &EndpointCoverage>| {
            // From 0, since the sum of nothing is -0.
            endpoints.fold(0.0, |sum, endpoint| sum + endpoint.requests as f64)
        };
        let whole = sum(&mut endpoints.iter());
        let enough = sum(&mut endpoints.iter().filter(|endpoint| endpoint.state == Covered::Enough));
        Coverage { share_of_requests: if whole > 0.0 { enough / whole } else { 1.0 }, endpoints }
    }

    /// The endpoints that have not been compared often enough, the one with the most requests first.
    pub fn missing(&self) -> impl Iterator<Item = &EndpointCoverage> {
        self.endpoints.iter().filter(|endpoint| endpoint.state != Covered::Enough)
    }
}

#[cfg(test)]
mod tests;
