//! What is kept of noise across restarts, as plain data.

use super::evidence::Wealth;
use super::place::{Mark, Place};
use super::{Evidence, Key, Noise, PlacesOf, Rules};
use crate::Kind;
use crate::summary::endpoint::Endpoint;
use crate::summary::level::Level;

/// All that is known of noise in one migration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NoiseTable {
    /// By name.
    pub endpoints: Vec<EndpointNoise>,
    /// [`Noise::turned_away`].
    pub turned_away: u64,
    /// [`Rules::excess`] under which the evidence was found. Under another one it is none, and begins anew.
    pub excess: f64,
}

/// All that is known of noise at one endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointNoise {
    /// The endpoint's name.
    pub endpoint: String,
    /// [`Evidence::old_pairs`].
    pub old_pairs: u64,
    /// [`Evidence::new_pairs`].
    pub new_pairs: u64,
    /// Comparisons since the last sampled request.
    pub pending: u64,
    /// Its places.
    pub places: Vec<PathNoise>,
}

/// What is known of one place at one level.
#[derive(Clone, Debug, PartialEq)]
pub struct PathNoise {
    /// The normalised path.
    pub path: String,
    /// The kind of difference.
    pub kind: Kind,
    /// How much of it differs at once, at least.
    pub level: Level,
    /// [`Evidence::old_differ`].
    pub old_differ: u64,
    /// [`Evidence::new_differ`].
    pub new_differ: u64,
    /// Comparisons that differed here since the last sampled request.
    pub pending: u64,
    /// Whether it is noise (`Some(true)`), real, or not known.
    pub noise: Option<bool>,
    /// The evidence for noise, one number for each bet, and the most that their sum came to.
    pub for_noise: Vec<f64>,
    /// The most that the sum of them came to.
    pub peak: f64,
    /// The evidence against noise, one number for each bet.
    pub for_real: Vec<f64>,
    /// How many stakes on noise have been paid in.
    pub stakes: u32,
    /// Blocks in which it differed.
    pub blocks: u64,
}

impl Noise {
    /// What is known, to be kept.
    #[must_use]
    pub fn table(&self) -> NoiseTable {
        let path = |((path, kind, level), place): (&Key, &Place)| PathNoise {
            path: path.clone(),
            kind: *kind,
            level: *level,
            old_differ: place.evidence.old_differ,
            new_differ: place.evidence.new_differ,
            pending: place.pending,
            noise: match place.mark {
                Mark::Unknown => None,
                Mark::Noise => Some(true),
                Mark::Real => Some(false),
            },
            for_noise: place.noise.to_vec(),
            peak: place.peak,
            for_real: place.real.to_vec(),
            stakes: place.stakes,
            blocks: place.blocks,
        };
        let endpoint = |(endpoint, all): (&Endpoint, &PlacesOf)| EndpointNoise {
            endpoint: endpoint.as_str().to_owned(),
            old_pairs: all.old_pairs,
            new_pairs: all.new_pairs,
            pending: all.pending,
            places: all.places.iter().map(path).collect(),
        };
        NoiseTable {
            endpoints: self.endpoints.iter().map(endpoint).collect(),
            turned_away: self.turned_away,
            excess: self.rules.excess,
        }
    }

    /// Takes up what was known, as far as there is room. A place whose evidence does not fit begins with none, and is
    /// not known to be noise.
    #[must_use]
    pub fn restore(rules: Rules, table: &NoiseTable) -> Noise {
        let mut all = Noise { turned_away: table.turned_away, ..Noise::new(rules) };
        let same_rules = (table.excess - rules.excess).abs() < 1e-12;
        for endpoint in &table.endpoints {
            let room = rules.places_per_endpoint.min(rules.places - all.places);
            let fits = endpoint.places.iter().filter(|place| place.path.len() <= rules.path_bytes).take(room);
            let places: std::collections::BTreeMap<_, _> = fits
                .map(|kept| ((kept.path.clone(), kept.kind, kept.level), kept.restored(&rules, same_rules)))
                .collect();
            let name = Endpoint::named(&endpoint.endpoint);
            all.places += places.len();
            let pairs = (endpoint.old_pairs, endpoint.new_pairs, endpoint.pending);
            let (old_pairs, new_pairs, pending) = pairs;
            let known = PlacesOf { old_pairs, new_pairs, pending, places };
            if let Some(twice) = all.endpoints.insert(name, known) {
                all.places -= twice.places.len();
            }
        }
        all
    }
}

impl PathNoise {
    fn restored(&self, rules: &Rules, same_rules: bool) -> Place {
        let evidence =
            Evidence { old_differ: self.old_differ, new_differ: self.new_differ, ..Evidence::default() };
        let counts = Place { evidence, pending: self.pending, ..Place::new() };
        let (noise, real) = (Wealth::restored(&self.for_noise), Wealth::restored(&self.for_real));
        let (Some(noise), Some(real), true) = (noise, real, same_rules && self.peak.is_finite()) else {
            return counts;
        };
        let mark = match self.noise {
            Some(true) if self.peak >= rules.enough() => Mark::Noise,
            Some(false) => Mark::Real,
            _ => Mark::Unknown,
        };
        Place {
            noise,
            real,
            mark,
            peak: self.peak,
            stakes: self.stakes.max(1),
            blocks: self.blocks,
            ..counts
        }
    }
}
