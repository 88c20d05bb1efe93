//! How a service over two services is described.

use std::fmt;
use std::sync::{Arc, Mutex};

use route_plan::{
    AnswerFailures, AssignCookie, Match, Migration, Observation, PathPattern, Phase, RouteEntry, RouteTable,
    SameSite, ShadowPolicy, Snapshot, Target, Timeouts, Upstream, key_list,
};
use traffic_split::{Arm, KeySource, KeySourceError, Overrides, Percent, PercentError, Split};

use super::desk::Copies;
use super::{Dial, Observer, Service, Shadow, Shadowed, Shared, head};

/// Describes a migration between two services; [`Migrated::over`] makes it.
pub struct Migrated {
    name: String,
    keys: Vec<String>,
    percent: String,
    salt: Option<String>,
    cookie: Option<String>,
    observer: Option<Arc<Observer>>,
}

/// What is wrong with the description of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupError {
    /// A key source is not one.
    Key(KeySourceError),
    /// The percentage is not one.
    Percent(PercentError),
    /// The host that copies are to ask for cannot be one.
    Host(String),
    /// Copies are to carry a field of this name that cannot be one, or that is none of theirs to change.
    Credentials(String),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetupError::Key(error) => write!(f, "key: {error}"),
            SetupError::Percent(error) => write!(f, "percent: {error}"),
            SetupError::Host(host) => write!(f, "host of copies: {host:?} cannot be a host"),
            SetupError::Credentials(name) => {
                write!(f, "credentials of copies: a field {name:?} with that value cannot be set")
            }
        }
    }
}

impl std::error::Error for SetupError {}

impl Migrated {
    /// A migration of this name, which is its salt too: renaming it moves users, unless [`Migrated::salt`] keeps the
    /// old name. All requests go to the old service until [`Migrated::percent`] or a [`Dial`] says otherwise.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Migrated {
            name: name.to_owned(),
            keys: Vec::new(),
            percent: "0".to_owned(),
            salt: None,
            cookie: None,
            observer: None,
        }
    }

    /// Adds a source of the key, as in the configuration file: `header:x-user-id`, `cookie:session`, `path:2`. The
    /// first that is present decides. Without any: `header:x-user-id`, then `request-id`.
    #[must_use]
    pub fn key(mut self, source: &str) -> Self {
        self.keys.push(source.to_owned());
        self
    }

    /// The share of keys that the new service gets at first, in per cent.
    #[must_use]
    pub fn percent(mut self, percent: &str) -> Self {
        percent.clone_into(&mut self.percent);
        self
    }

    /// Splits by this salt instead of the name.
    #[must_use]
    pub fn salt(mut self, salt: &str) -> Self {
        self.salt = Some(salt.to_owned());
        self
    }

    /// Gives anonymous users a random key in a cookie of this name, for a year.
    #[must_use]
    pub fn assign_cookie(mut self, name: &str) -> Self {
        self.cookie = Some(name.to_owned());
        self
    }

    /// Calls `observer` with the outcome of each request, once its answer has ended, and with that of each copy, whose role
    /// is [`Role::Shadow`](traffic_split::Role::Shadow).
    #[must_use]
    pub fn observe(mut self, observer: impl Fn(Arm, &Observation) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Makes the service over `old` and `new`, and the dial that moves its percentage.
    ///
    /// # Errors
    /// When a key source or the percentage cannot be read.
    pub fn over<Old, New>(self, old: Old, new: New) -> Result<(Service<Old, New>, Dial), SetupError> {
        let shared = Arc::new(Shared {
            snapshot: Mutex::new(Arc::new(self.snapshot(None)?)),
            observer: self.observer,
            copies: None,
        });
        Ok((Service { old, new, shared: shared.clone() }, Dial(shared)))
    }

    /// The same, with a copy of requests to the service that does not serve them. The migration is in canary, so it depends
    /// on [`ShadowPolicy::canary`](route_plan::ShadowPolicy::canary) whether copies go to the old service, too.
    ///
    /// # Errors
    /// When a key source or the percentage cannot be read, or the policy has a host or a field that cannot be one.
    pub fn over_with_shadow<Old, New>(
        self,
        old: Old,
        new: New,
        shadow: Shadow,
    ) -> Result<(Shadowed<Old, New>, Dial), SetupError> {
        let Shadow { policy, runtime, compares, memory_bytes } = shadow;
        head::check(&policy)?;
        let snapshot = Arc::new(self.snapshot(Some(Box::new(policy)))?);
        let copies =
            Arc::new(Copies::new(&self.name, runtime, compares, memory_bytes, self.observer.clone()));
        let shared = Arc::new(Shared {
            snapshot: Mutex::new(snapshot),
            observer: self.observer,
            copies: Some(copies.clone()),
        });
        Ok((Shadowed::new(old, new, shared.clone(), copies), Dial(shared)))
    }

    fn snapshot(&self, shadow: Option<Box<ShadowPolicy>>) -> Result<Snapshot, SetupError> {
        let mut keys = Vec::new();
        let defaults = ["header:x-user-id".to_owned(), "request-id".to_owned()];
        for source in if self.keys.is_empty() { &defaults[..] } else { &self.keys } {
            keys.push(source.parse::<KeySource>().map_err(SetupError::Key)?);
        }
        let percent: Percent = self.percent.parse().map_err(SetupError::Percent)?;
        let cookie = self.cookie.as_ref().map(|name| AssignCookie {
            name: name.clone(),
            max_age_s: 365 * 24 * 3600,
            domain: None,
            path: "/".to_owned(),
            secure: false,
            same_site: SameSite::Lax,
        });
        let split = Split {
            salt: self.salt.as_ref().unwrap_or(&self.name).clone().into_bytes().into(),
            keys: key_list(keys, cookie.as_ref()),
            percent,
            overrides: Overrides::default(),
        };
        Ok(snapshot(&self.name, split, cookie, shadow))
    }
}

/// One migration that every request matches.
fn snapshot(
    name: &str,
    split: Split,
    cookie: Option<AssignCookie>,
    shadow: Option<Box<ShadowPolicy>>,
) -> Snapshot {
    let every = Match {
        host: None,
        path: PathPattern::Any,
        methods: Vec::new(),
        headers: Vec::new(),
        query: Vec::new(),
    };
    let entry = RouteEntry { label: name.to_owned(), rule: every, target: Target::Migration(0) };
    let upstream = |arm: Arm| Upstream { name: arm.to_string(), ..Upstream::default() };
    Snapshot {
        table: RouteTable::build(vec![entry]).unwrap_or_default(),
        migrations: vec![Migration {
            name: name.to_owned(),
            lineage: 0,
            old: 0,
            new: 1,
            phase: Phase::Canary,
            asked: split.percent,
            split,
            force: None,
            assign_cookie: cookie,
            timeouts: Timeouts::default(),
            drain_after_rollback_ms: Migration::DRAIN_AFTER_ROLLBACK_MS,
            fallback: None,
            shadow,
            failures: AnswerFailures::default(),
            rules: Default::default(),
            expose_arm: None,
        }],
        upstreams: vec![upstream(Arm::Old), upstream(Arm::New)],
        ..Snapshot::default()
    }
}
