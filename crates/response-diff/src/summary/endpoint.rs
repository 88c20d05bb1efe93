//! Which endpoint a request belongs to.
//!
//! What is found is told by endpoint: method and template of the path, `GET /orders/{id}`. Templates that the operator
//! wrote come first, the one that says the most of a path among them. All other paths are learned from:
//!
//! - A segment that looks like an id (numbers, UUIDs, hashes, ULIDs, dates, addresses, coded text) is `{id}` at once.
//! - A place with more than [`Limits::values`] different names in it is folded: its names become `{id}`, but for those
//!   that at least 20 requests and 2 % of the place's had, so that `/users/me` stays what it is.
//! - A path that old answers with 404 teaches nothing; where it is not known, it is counted as `(not found)`. So a
//!   scanner does not fill the table.
//! - There are at most [`Limits::endpoints`]. Before that is reached, the widest place is folded early; a new endpoint
//!   for which there is still no room is counted as `(other)`.
//!
//! The same paths in the same order give the same endpoints. A path changes its endpoint only by folding, and whoever
//! keeps something by endpoint is told ([`Fold`]).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use learned::{Learned, Walked};
pub use template::{Template, TemplateError};

mod learned;
mod segment;
mod template;

/// Method and template of the path: `GET /orders/{id}`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint(Arc<str>);

impl Endpoint {
    /// The name of what there was no room for.
    pub const OTHER: &str = "(other)";
    /// The name of what old answers with 404 and nobody knows.
    pub const NOT_FOUND: &str = "(not found)";

    fn of(method: Method, template: &str) -> Endpoint {
        Endpoint(format!("{} {template}", method.0).into())
    }

    /// An endpoint by its name, as [`Endpoint::as_str`] gave it.
    #[must_use]
    pub fn named(name: &str) -> Endpoint {
        Endpoint(name.into())
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The template of its path; `None` of `(other)` and `(not found)`.
    #[must_use]
    pub fn template(&self) -> Option<&str> {
        self.0.split_once(' ').map(|(_, template)| template).filter(|template| template.starts_with('/'))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A method as part of a name: one that is registered, or `_OTHER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Method(&'static str);

impl Method {
    const KNOWN: [&'static str; 10] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];

    fn of(method: &str) -> Method {
        Method(Method::KNOWN.into_iter().find(|known| *known == method).unwrap_or("_OTHER"))
    }
}

/// What bounds the learning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most endpoints that are learned. Those of configured templates come on top of it.
    pub endpoints: usize,
    /// The most different names in one place of a path.
    pub values: usize,
    /// The fewest names that a place has to have to be folded early, when there is no room for another endpoint.
    pub early_values: usize,
    /// The most segments; what is behind them is `*`.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { endpoints: 200, values: 50, early_values: 8, depth: 12 }
    }
}

/// One endpoint has become part of another one, and with it all that is kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// The one that is gone.
    pub from: Endpoint,
    /// The one that it is now.
    pub into: Endpoint,
}

/// Where a request belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "endpoints that were folded have to be folded wherever something is kept of them"]
pub struct Located {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// What this request made become part of something else; to be carried out in this order.
    pub folds: Vec<Fold>,
}

/// The endpoints of one migration.
#[derive(Debug)]
pub struct Endpoints {
    templates: Vec<Template>,
    /// Requests by template's number and method.
    configured: BTreeMap<(usize, Method), u64>,
    learned: Learned,
    other: u64,
    not_found: u64,
}

/// What is known of the endpoints, to be kept across restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointsState {
    /// The name of each endpoint, and how many requests it had.
    pub endpoints: Vec<(String, u64)>,
    /// The beginnings of paths behind which names are `{id}`.
    pub folded: Vec<String>,
}

impl Endpoints {
    /// Nothing learned yet.
    #[must_use]
    pub fn new(mut templates: Vec<Template>, limits: Limits) -> Self {
        templates.sort_by(|one, other| one.rank().cmp(&other.rank()));
        let learned = Learned::new(limits);
        Endpoints { templates, configured: BTreeMap::new(), learned, other: 0, not_found: 0 }
    }

    /// Takes up what was known. Configured templates are those of now: a template that is gone is learned anew, and
    /// what a new one covers is left to it.
    #[must_use]
    pub fn restore(templates: Vec<Template>, limits: Limits, state: &EndpointsState) -> Self {
        let mut all = Endpoints::new(templates, limits);
        let mut learned = Vec::new();
        for (name, requests) in &state.endpoints {
            match name.split_once(' ') {
                _ if name == Endpoint::OTHER => all.other = *requests,
                _ if name == Endpoint::NOT_FOUND => all.not_found = *requests,
                Some((method, path)) if path.starts_with('/') => {
                    let method = Method::of(method);
                    if let Some(index) = all.templates.iter().position(|template| template.as_str() == path) {
                        all.configured.insert((index, method), *requests);
                    } else if !all.templates.iter().any(|template| template.matches(path)) {
                        learned.push((method, path, *requests));
                    }
                }
                _ => {}
            }
        }
        all.learned.restore(state.folded.iter().map(String::as_str), learned.into_iter());
        all
    }

    /// The endpoint of one request, which is counted.
    ///
    /// `path` is the normalised path; a query behind it is left out. `found` is whether the served answer was
    /// anything but a 404.
    pub fn locate(&mut self, method: &str, path: &str, found: bool) -> Located {
        let method = Method::of(method);
        let path = path.split(['?', '#']).next().unwrap_or_default();
        if let Some(index) = self.templates.iter().position(|template| template.matches(path)) {
            let requests = self.configured.entry((index, method)).or_default();
            *requests = requests.saturating_add(1);
            let endpoint = Endpoint::of(method, self.templates[index].as_str());
            return Located { endpoint, folds: Vec::new() };
        }
        let mut folds = Vec::new();
        let endpoint = match self.learned.walk(method, path, found, &mut folds) {
            Walked::Known(endpoint) => endpoint,
            Walked::Unknown => {
                self.not_found = self.not_found.saturating_add(1);
                Endpoint::named(Endpoint::NOT_FOUND)
            }
            Walked::Overflow => {
                self.other = self.other.saturating_add(1);
                Endpoint::named(Endpoint::OTHER)
            }
        };
        Located { endpoint, folds }
    }

    /// All endpoints by name, and how many requests each had; `(other)` and `(not found)` where they had any.
    #[must_use]
    pub fn all(&self) -> Vec<(Endpoint, u64)> {
        let configured = self.configured.iter().map(|((index, method), requests)| {
            (Endpoint::of(*method, self.templates[*index].as_str()), *requests)
        });
        let left = [(Endpoint::OTHER, self.other), (Endpoint::NOT_FOUND, self.not_found)];
        let left = left.into_iter().filter(|(_, requests)| *requests > 0);
        let left = left.map(|(name, requests)| (Endpoint::named(name), requests));
        let mut all: Vec<_> = configured.chain(self.learned.endpoints()).chain(left).collect();
        all.sort();
        all
    }

    /// How many requests went to `(other)` for want of room.
    #[must_use]
    pub fn turned_away(&self) -> u64 {
        self.other
    }

    /// What is known, to be kept.
    #[must_use]
    pub fn state(&self) -> EndpointsState {
        let endpoints = self.all().into_iter();
        let endpoints =
            endpoints.map(|(endpoint, requests)| (endpoint.as_str().to_owned(), requests)).collect();
        EndpointsState { endpoints, folded: self.learned.folded() }
    }
}

#[cfg(test)]
mod tests;
