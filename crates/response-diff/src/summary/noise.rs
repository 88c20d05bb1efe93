//! Which differences are noise: old differs there from itself as often as from new.
//!
//! A generated id, a clock, the order of a hash map: such places differ between any two answers, and say nothing about
//! new. Nobody can list them in advance, so for a sample of requests old is asked a second time, and each place (endpoint,
//! normalised path and kind, and how much of it differs at once) is judged by two frequencies:
//!
//! - `p_oo`, how often it differs between two answers of old,
//! - `p_on`, how often it differs between old and new.
//!
//! The dangerous error is to hide a real regression. So a place is noise only when there is **evidence that
//! `p_on < k * p_oo`**, where `k` is 1.25 by default ([`Rules::excess`] of 25 %): that old has at least four fifths of those
//! differences with itself. A place where old never differs can therefore never become noise, however rarely new differs
//! there, and until there is evidence a difference counts as a mismatch.
//!
//! # The evidence
//!
//! Each sampled request closes a *block*: `x` is 1 when the place differed between the two answers of old, else 0;
//! `y` is the share of the comparisons of old with new since the block before, the sampled one among them, in which
//! it differed. A bet on noise multiplies its wealth by `1 + r (k x - y)`, where it risks the share `r` of it, 0 < r
//! <= 1; this is never negative, since `y <= 1`. While `p_on >= k p_oo`, the expected value of `k x - y` is at most 0
//! whatever came before, so the wealth is a supermartingale, and by Ville's inequality the chance that it ever grows
//! from 1 to 1/a is at most a. **The chance that a place with `p_on >= k p_oo` is ever called noise is at most 1 %**
//! (a = 0.01, a confidence of 99 %), however often one looks, and nothing is assumed of pairs being independent of
//! each other: not of `x` and `y`, which share an answer of old, nor of blocks, nor that rates stay the same.
//!
//! Several bets that risk different shares stand side by side, and what counts is their sum. A bet that was worn down
//! by a time in which the place was no noise could not see that it has become noise. So the stake of 1 is paid in
//! parts: 0.8 at the start, and the rest in ever smaller parts (`0.2 / (j (j + 1))`) after 64, 128, 256 ... blocks in
//! which the place differed, and whenever noise is revoked. All parts sum up to at most 1, so the bound above holds
//! for all of them together. Blocks in which the place never differed multiply by 1, which is why nothing is lost by
//! beginning when it is first seen.
//!
//! **Noise is revoked** by the opposite bet, `1 + r (y - k x) / k`, which wins while `p_on > k p_oo`. It is given a
//! new stake of 0.01 with each block in which the place differed (an e-detector), so that it meets a regression with
//! fresh means whenever that comes; the chance of a wrong revocation within n of them is at most n/10,000, and costs
//! nobody but a reader. Between the two lines (old differs from itself nearly as often as from new) a place stays
//! what it was.
//!
//! Figures of the simulation in this module's tests: a place that always varies is known after 27 sampled requests, one
//! that varies in 30 % of the answers after about 700, and a regression from 30 % to 60 % is seen after about 100.
//!
//! # How much differs at once
//!
//! One path stands for many places: all elements of a list, all events of a stream, all lines of a text. That old has
//! another time in one of them says nothing of a wrong value in the next. So what is noise is learned for each [`Level`]
//! of how much differs there at once, by powers of two: a comparison that differs in 5 elements is one that differs in 1
//! or more, in 2 or more and in 4 or more, and each of these has bets of its own. A difference is noise only where all
//! levels up to that of its own comparison are. Where old differs from itself in one element and new in two, the second
//! level is one in which old never differs, and never becomes noise; a list whose length and values vary differs from
//! itself as largely as from new, and does.
//!
//! That many levels are looked at makes the promise no weaker. Take the first level, in their order, with `p_on >= k
//! p_oo`: to call any level noise wrongly, this one has to be called noise, and the chance of that is at most 1 %
//! (testing in a fixed sequence; Maurer, Hothorn and Lehmacher 1995). So **the chance that a place is ever called noise at
//! a level at which `p_on >= k p_oo` is at most 1 %, all levels together**.
//!
//! # What the caller has to keep to
//!
//! The sample is drawn before any answer is known; whether the second request to old goes out before or after the one to new
//! is drawn too, so that as much time passes between the two answers of old as between old's and new's. Comparisons
//! beside the sample ([`Noise::compared`]) make it faster, and belong in here only if they were taken alike: a copy that
//! was sent with the served request differs from it less often than one sent a second later, and evidence from both would
//! favour noise. Asking old again only where there was a mismatch would make noise of anything.
//!
//! What this cannot see: a regression at a place that differs always anyway, in the same way and less than twice as much.
//!
//! Sources: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", arXiv:2010.09686; Shin,
//! Ramdas and Rinaldo, "E-detectors", arXiv:2203.03532; Vovk and Wang, "E-values", arXiv:1912.06116, for the mean of several.

use std::collections::{BTreeMap, BTreeSet};

use place::{Mark, Place};

use super::classes::Class;
use super::endpoint::{Endpoint, Fold};
use super::level::{Level, levels};
use crate::{Difference, Kind};

mod evidence;
mod keep;
mod place;

pub use keep::{EndpointNoise, NoiseTable, PathNoise};

/// What is called noise, and how much is remembered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// How sure it has to be, above 0 and below 1.
    pub confidence: f64,
    /// How much more often new may differ from old than old from itself, as a share of the latter: 0.25 for a quarter.
    /// Above 0; less is stricter and takes longer.
    pub excess: f64,
    /// The most places remembered of one endpoint, each level of a place counted.
    pub places_per_endpoint: usize,
    /// The most places remembered in all, each level of a place counted.
    pub places: usize,
    /// The longest path of a place, in bytes. A longer one is never noise.
    pub path_bytes: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Rules { confidence: 0.99, excess: 0.25, places_per_endpoint: 512, places: 8192, path_bytes: 512 }
    }
}

impl Rules {
    fn factor(&self) -> f64 {
        1.0 + self.excess.max(1e-3)
    }

    fn enough(&self) -> f64 {
        1.0 / (1.0 - self.confidence.clamp(0.0, 1.0 - 1e-9))
    }
}

/// Whether a place is noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    /// Nobody knows yet. It counts as a mismatch.
    Unknown {
        /// About how many more sampled requests will tell, if all goes on as it did; `None` where old differs from
        /// itself so nearly as often as from new that it may never be told.
        needs: Option<u64>,
    },
    /// Old differs from itself as often as from new.
    Noise {
        /// How sure that is: at least the configured confidence.
        confidence: f64,
    },
    /// New differs from old more often than old from itself.
    Real,
}

/// What a state rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Sampled requests of which the two answers of old were compared,
    pub old_pairs: u64,
    /// and how many of those differed in this place.
    pub old_differ: u64,
    /// Comparisons of old with new,
    pub new_pairs: u64,
    /// and how many of those differed in this place.
    pub new_differ: u64,
}

/// What is known of one place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knowledge {
    /// Whether it is noise.
    pub state: State,
    /// Why.
    pub evidence: Evidence,
    /// Where it is not noise: from which level on. Where less differs at once, it is noise. State and evidence are of
    /// comparisons that reach this level.
    pub level: Level,
}

impl Knowledge {
    /// Whether it is noise.
    #[must_use]
    pub const fn is_noise(&self) -> bool {
        matches!(self.state, State::Noise { .. })
    }
}

/// What came of one comparison when noise is taken into account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// [`Class::Matched`], [`Class::Mismatched`], or [`Class::Noise`] where all differences are noise.
    pub class: Class,
    /// Of each difference, in their order, whether it is noise.
    pub noise: Vec<bool>,
}

type Key = (String, Kind, Level);

#[derive(Clone, Debug, Default)]
struct PlacesOf {
    /// Those of which both comparisons were possible.
    old_pairs: u64,
    new_pairs: u64,
    /// Comparisons with new since the last block.
    pending: u64,
    places: BTreeMap<Key, Place>,
}

/// What is known of noise in one migration. Bounded by [`Rules`].
#[derive(Clone, Debug, Default)]
pub struct Noise {
    rules: Rules,
    endpoints: BTreeMap<Endpoint, PlacesOf>,
    places: usize,
    clock: u64,
    turned_away: u64,
}

/// The places of one comparison with the highest level of each.
type Seen<'d> = BTreeMap<(&'d str, Kind), Level>;

fn keys(seen: &Seen<'_>) -> impl Iterator<Item = Key> {
    let each =
        seen.iter().flat_map(|((path, kind), level)| level.up_to().map(move |level| (*path, *kind, level)));
    each.map(|(path, kind, level)| (path.to_owned(), kind, level))
}

impl PlacesOf {
    /// The first level up to this one that is not noise, if there is one, and what is known of it.
    fn real(&self, path: &str, kind: Kind, highest: Level) -> Option<(Level, Option<&Place>)> {
        let of = |level| (level, self.places.get(&(path.to_owned(), kind, level)));
        highest.up_to().map(of).find(|(_, place)| place.is_none_or(|place| place.mark != Mark::Noise))
    }
}

impl Noise {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Noise { rules, ..Noise::default() }
    }

    /// A comparison of old with new of a request that is not of the sample; also one that turned out to be a race.
    ///
    /// `complete` is whether `differences` has all of them, not only as many as a limit allows. Where it has not, every
    /// place is taken to have differed, so that nothing becomes noise by what was left out.
    pub fn compared(&mut self, endpoint: &Endpoint, differences: &[Difference], complete: bool) {
        if endpoint.as_str() == Endpoint::OTHER {
            return;
        }
        let seen = levels(differences);
        self.enter(endpoint, &seen);
        let Some(all) = self.endpoints.get_mut(endpoint) else { return };
        all.new_pairs += 1;
        all.pending += 1;
        if complete {
            for key in keys(&seen) {
                if let Some(place) = all.places.get_mut(&key) {
                    place.pending += 1;
                    place.evidence.new_differ += 1;
                }
            }
        } else {
            for place in all.places.values_mut() {
                place.pending += 1;
                place.evidence.new_differ += 1;
            }
        }
    }

    /// A request of the sample: old was asked twice and new once.
    ///
    /// `old_new` are the differences between the served answer and new's, `complete` as in [`Noise::compared`];
    /// `old_old` those between the served answer and old's second one. Where either comparison was not possible, the
    /// request is left out of here altogether.
    pub fn sampled(
        &mut self,
        endpoint: &Endpoint,
        old_new: &[Difference],
        complete: bool,
        old_old: &[Difference],
    ) {
        self.compared(endpoint, old_new, complete);
        let seen = levels(old_old);
        self.enter(endpoint, &seen);
        let Some(all) = self.endpoints.get_mut(endpoint) else { return };
        all.old_pairs += 1;
        let compared = all.pending.max(1) as f64;
        all.pending = 0;
        for ((path, kind, level), place) in &mut all.places {
            let old_differs = seen.get(&(path.as_str(), *kind)).is_some_and(|highest| highest >= level);
            let share = (place.pending as f64 / compared).min(1.0);
            place.pending = 0;
            if old_differs || share > 0.0 {
                place.block(old_differs, share, &self.rules);
            }
        }
    }

    /// What is known of one place, where so much of it differs at once as `highest` says: of the first level that is not
    /// noise, or, where all of them are, of the first one.
    #[must_use]
    pub fn of(&self, endpoint: &Endpoint, path: &str, kind: Kind, highest: Level) -> Knowledge {
        let Some(all) = self.endpoints.get(endpoint) else {
            let state = State::Unknown { needs: None };
            return Knowledge { state, evidence: Evidence::default(), level: Level::FIRST };
        };
        let first = || (Level::FIRST, all.places.get(&(path.to_owned(), kind, Level::FIRST)));
        let (level, place) = all.real(path, kind, highest).unwrap_or_else(first);
        self.known(all, level, place)
    }

    fn known(&self, all: &PlacesOf, level: Level, place: Option<&Place>) -> Knowledge {
        let evidence = place.map(|place| place.evidence).unwrap_or_default();
        let evidence = Evidence { old_pairs: all.old_pairs, new_pairs: all.new_pairs, ..evidence };
        let unknown = State::Unknown { needs: None };
        let state = place.map_or(unknown, |place| place.state(&evidence, &self.rules));
        Knowledge { state, evidence, level }
    }

    /// The class of a comparison with these differences, as far as noise decides it. Where not all of them are listed,
    /// one that is not may be real.
    #[must_use]
    pub fn judge(&self, endpoint: &Endpoint, differences: &[Difference], complete: bool) -> Judged {
        let all = self.endpoints.get(endpoint);
        let is_noise = |((path, kind), highest): (&(&str, Kind), &Level)| {
            all.is_some_and(|all| all.real(path, *kind, *highest).is_none())
        };
        let levels = levels(differences);
        let noisy: BTreeSet<_> =
            levels.iter().filter(|place| is_noise(*place)).map(|(place, _)| *place).collect();
        let is_noise = |difference: &Difference| noisy.contains(&(difference.path.as_str(), difference.kind));
        let noise: Vec<bool> = differences.iter().map(is_noise).collect();
        let class = if differences.is_empty() && complete {
            Class::Matched
        } else if complete && noise.iter().all(|noise| *noise) {
            Class::Noise
        } else {
            Class::Mismatched
        };
        Judged { class, noise }
    }

    /// Every place that is remembered of this endpoint, at each of its levels by itself.
    pub fn places(&self, endpoint: &Endpoint) -> impl Iterator<Item = (&str, Kind, Knowledge)> {
        let all = self.endpoints.get(endpoint);
        all.into_iter().flat_map(|all| all.places.iter().map(move |one| (all, one))).map(
            |(all, ((path, kind, level), place))| {
                (path.as_str(), *kind, self.known(all, *level, Some(place)))
            },
        )
    }

    /// Whether more sampled requests of this endpoint would tell something: it has places of which nobody knows yet
    /// whether they are noise, or none was sampled yet. For whoever has few requests to ask twice.
    #[must_use]
    pub fn wants_sample(&self, endpoint: &Endpoint) -> bool {
        self.endpoints.get(endpoint).is_none_or(|all| {
            all.old_pairs == 0 || all.places.values().any(|place| place.mark == Mark::Unknown)
        })
    }

    /// How many times a place was not remembered, for want of room or because its path is too long.
    #[must_use]
    pub const fn turned_away(&self) -> u64 {
        self.turned_away
    }

    /// Carries out what became of endpoints. The evidence of a place of both is the mean of both, by their blocks,
    /// which is as hard to come by through chance as that of each.
    pub fn fold(&mut self, fold: &Fold) {
        let Some(from) = self.endpoints.remove(&fold.from) else { return };
        if fold.into.as_str() == Endpoint::OTHER {
            self.places -= from.places.len();
            return;
        }
        let into = self.endpoints.entry(fold.into.clone()).or_default();
        into.old_pairs += from.old_pairs;
        into.new_pairs += from.new_pairs;
        into.pending += from.pending;
        for (key, place) in from.places {
            if let Some(mine) = into.places.get_mut(&key) {
                mine.absorb(&place, &self.rules);
                self.places -= 1;
            } else if into.places.len() < self.rules.places_per_endpoint {
                into.places.insert(key, place);
            } else {
                self.turned_away += 1;
                self.places -= 1;
            }
        }
    }

    /// Makes room for places that were not seen before, where there is any.
    fn enter(&mut self, endpoint: &Endpoint, seen: &Seen<'_>) {
        self.clock += 1;
        let all = self.endpoints.entry(endpoint.clone()).or_default();
        for key in keys(seen) {
            if let Some(place) = all.places.get_mut(&key) {
                place.touched = self.clock;
                continue;
            }
            let fits = key.0.len() <= self.rules.path_bytes && self.rules.places_per_endpoint > 0;
            let mut room =
                all.places.len() < self.rules.places_per_endpoint && self.places < self.rules.places;
            if fits && !room {
                room = forget_one(&mut all.places, self.clock);
                self.places -= usize::from(room);
            }
            if fits && room {
                self.places += 1;
                all.places.insert(key, Place { touched: self.clock, ..Place::new() });
            } else {
                self.turned_away += 1;
            }
        }
    }
}

/// Forgets the place that differed last the longest ago, among those in which old never differed from itself: what is
/// lost of them is no evidence for noise.
fn forget_one(places: &mut BTreeMap<Key, Place>, now: u64) -> bool {
    let idle = places.iter().filter(|(_, place)| place.evidence.old_differ == 0 && place.touched < now);
    let oldest = idle.min_by_key(|(_, place)| place.touched).map(|(key, _)| key.clone());
    oldest.is_some_and(|key| places.remove(&key).is_some())
}

#[cfg(test)]
mod tests;
