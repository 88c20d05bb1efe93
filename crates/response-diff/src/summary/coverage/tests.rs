use route_plan::NotCopied;

use super::*;
use crate::summary::{Class, Why};

#[test]
fn coverage_tells_what_was_never_compared_from_what_is_noise() {
    let endpoint = |name: &str| Endpoint::named(&format!("GET /{name}"));
    let known = [("a", 10), ("b", 500), ("c", 20), ("d", 30), ("e", 440)];
    let known: Vec<_> = known.into_iter().map(|(name, requests)| (endpoint(name), requests)).collect();
    let mut tally = Tally::default();
    tally.add(&endpoint("a"), Class::Matched, 9);
    tally.add(&endpoint("b"), Class::Matched, 99);
    tally.add(&endpoint("b"), Class::Mismatched, 1);
    tally.add(&endpoint("c"), Class::Noise, 17);
    tally.add(&endpoint("c"), Class::Race, 1);
    tally.add(&endpoint("d"), Class::NotCompared(Why::Copy(NotCopied::Slow)), 30);
    let coverage = Coverage::new(&known, &tally, 100);
    assert!((coverage.share_of_requests - 0.5).abs() < 1e-12);
    let missing: Vec<_> =
        coverage.missing().map(|found| (found.endpoint.as_str(), found.requests, found.state)).collect();
    assert_eq!(
        missing,
        [
            ("GET /e", 440, Covered::Not),
            ("GET /d", 30, Covered::Not),
            ("GET /c", 20, Covered::OnlyNoise { comparisons: 18 }),
            ("GET /a", 10, Covered::Few { judged: 9 }),
        ]
    );
    assert_eq!(Coverage::new(&[], &tally, 1).share_of_requests, 1.0);
    let none = Coverage::new(&known, &Tally::default(), 100).share_of_requests;
    assert_eq!(format!("{none:.0}"), "0", "and not -0");
}
