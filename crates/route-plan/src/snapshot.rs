//! The configuration in force, as one immutable value.
//!
//! Everything is resolved: migrations name upstreams by index, the percentage is the one in force, key lists are whole.
//! A reload, a changed percentage or a rollback builds another snapshot and publishes it; a request holds on to the one
//! that it began with, so none ever sees half of two.

use std::error::Error;
use std::fmt;
use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use traffic_split::{Arm, KeySource, Percent, RequestView, Split};

use crate::failures::AnswerFailures;
use crate::fallback::FallbackPolicy;
use crate::limits::{ConnectionLimits, ListenerLimits, Timeouts};
use crate::matching::RouteTable;
use crate::rules::Rules;
use crate::shadow::ShadowPolicy;
use crate::upstream::Upstream;

/// One generation of the configuration, ready to run.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Counts the snapshots published by this process.
    pub generation: u64,
    /// Which rule answers for a request.
    pub table: RouteTable,
    /// What [`crate::Target::Migration`] points into.
    pub migrations: Vec<Migration>,
    /// What [`crate::Target::Route`] points into.
    pub routes: Vec<Route>,
    /// What routes and the arms of migrations point into.
    pub upstreams: Vec<Upstream>,
    /// The label of each entry that the table was built from, in the same order: `migration.shop match 1`.
    pub entry_labels: Vec<String>,
    /// Proxies whose word about the client's address is taken, see [`crate::client_ip`].
    pub trusted_proxies: Vec<IpNet>,
    /// Crossfades in front, whose word that a request is a copy is passed on. Whoever else says so is not copied either,
    /// but no upstream is told of it.
    pub copies_from: Vec<IpNet>,
    /// Whose request ids are taken over.
    pub request_id_trust: RequestIdTrust,
    /// What clients may use up.
    pub connection: ConnectionLimits,
    /// What the clients of single listeners may use up, by their configured address: those that have limits.
    pub listeners: Vec<(SocketAddr, ListenerLimits)>,
}

/// A rule by which requests move from one upstream to another, as it stands now.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Its name in the configuration, metrics and logs.
    pub name: String,
    /// A number that no other migration of the snapshot has, and that it keeps from one snapshot to the next, also under
    /// another name: by it a tunnel that began long ago finds out how its migration stands.
    pub lineage: u64,
    /// Index of the upstream that is being replaced.
    pub old: usize,
    /// Index of the upstream that replaces it.
    pub new: usize,
    /// Where in its life the migration is.
    pub phase: Phase,
    /// How requests are split; its percentage is the one in force.
    pub split: Split,
    /// The percentage last asked for, which the phase may overrule.
    pub asked: Percent,
    /// How testers choose an arm themselves, if they may.
    pub force: Option<ForceHeader>,
    /// The cookie that gives anonymous users a key, if one is wanted. [`key_list`] puts it among the split's keys.
    pub assign_cookie: Option<AssignCookie>,
    /// How long either upstream may take.
    pub timeouts: Timeouts,
    /// After how many milliseconds a tunnel or stream on new is closed whose user is back on old, because the percentage
    /// was lowered; 0: at once. At most a day.
    pub drain_after_rollback_ms: u32,
    /// When old answers what new has failed; `None`: never.
    pub fallback: Option<FallbackPolicy>,
    /// Which requests are copied to the other arm; `None`: none.
    pub shadow: Option<Box<ShadowPolicy>>,
    /// Which answers count as failures of the arm that gave them.
    pub failures: AnswerFailures,
    /// What is changed in the messages of each arm, by [`Arm::index`].
    pub rules: [Rules; 2],
    /// The response header that tells the client which arm answered, in lower case; off by default.
    pub expose_arm: Option<String>,
}

/// Requests that one upstream serves, outside of any migration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Its name in the configuration, metrics and logs.
    pub name: String,
    /// Index of the upstream, in [`Snapshot::upstreams`].
    pub upstream: usize,
    /// How long the upstream may take.
    pub timeouts: Timeouts,
    /// What is changed in its messages.
    pub rules: Rules,
}

/// Where in its life a migration is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Users get old, new gets nothing.
    #[default]
    Preparation,
    /// Users get old, new gets copies.
    Shadow,
    /// Users get new by the percentage asked for.
    Canary,
    /// Users get new, old stands by.
    Full,
    /// Users get new, old is not needed any more.
    Cleanup,
}

impl Migration {
    /// [`Migration::drain_after_rollback_ms`] where the file does not say.
    pub const DRAIN_AFTER_ROLLBACK_MS: u32 = 30_000;
}

impl Phase {
    /// Every phase, in the order of a migration's life.
    pub const ALL: [Phase; 5] =
        [Phase::Preparation, Phase::Shadow, Phase::Canary, Phase::Full, Phase::Cleanup];

    /// The word used in configuration, metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Preparation => "preparation",
            Phase::Shadow => "shadow",
            Phase::Canary => "canary",
            Phase::Full => "full",
            Phase::Cleanup => "cleanup",
        }
    }

    /// The percentage that users get in this phase: none before canary, all after it, what was asked for within it.
    #[must_use]
    pub const fn in_force(self, asked: Percent) -> Percent {
        match self {
            Phase::Preparation | Phase::Shadow => Percent::ZERO,
            Phase::Canary => asked,
            Phase::Full | Phase::Cleanup => Percent::FULL,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = PhaseError;

    /// Reads exactly the words of [`Phase::as_str`].
    ///
    /// # Errors
    /// [`PhaseError`] for any other text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Phase::ALL.into_iter().find(|phase| phase.as_str() == text).ok_or(PhaseError)
    }
}

/// The text names no phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseError;

impl fmt::Display for PhaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected `preparation`, `shadow`, `canary`, `full` or `cleanup`")
    }
}

impl Error for PhaseError {}

/// A request header by which testers choose their arm: `crossfade-force: new`, or with a secret
/// `crossfade-force: new; secret=...`. It works only with the secret or from one of the networks; with neither
/// configured it never works.
#[derive(Clone, PartialEq, Eq)]
pub struct ForceHeader {
    /// Name of the header in lower case.
    pub header: String,
    /// What must follow `secret=`; it runs to the end of the value.
    pub secret: Option<Box<str>>,
    /// Networks whose clients need no secret. The client is the one that trusted proxies name.
    pub networks: Vec<IpNet>,
}

impl ForceHeader {
    /// The header's name where the configuration gives none.
    pub const DEFAULT_HEADER: &str = "crossfade-force";

    /// The arm that the request may and does choose; `None` leaves it to the split.
    #[must_use]
    pub fn arm(&self, view: &(impl RequestView + ?Sized)) -> Option<Arm> {
        let value = view.header(&self.header, 0)?;
        let mut parts = value.splitn(2, |byte| *byte == b';');
        let arm = parts.next()?.trim_ascii();
        let arm = Arm::ALL.into_iter().find(|known| known.as_str().as_bytes() == arm)?;
        let secret = parts.next().and_then(|rest| rest.trim_ascii().strip_prefix(b"secret="));
        let may_choose = self.knows(secret) || contains(&self.networks, view.client_ip());
        may_choose.then_some(arm)
    }

    fn knows(&self, given: Option<&[u8]>) -> bool {
        match (&self.secret, given) {
            (Some(secret), Some(given)) => !secret.is_empty() && is_same_secret(secret.as_bytes(), given),
            _ => false,
        }
    }
}

impl fmt::Debug for ForceHeader {
    /// Never shows the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForceHeader")
            .field("header", &self.header)
            .field("secret", &self.secret.as_ref().map(|_| "(hidden)"))
            .field("networks", &self.networks)
            .finish()
    }
}

/// The cookie that stores a random key, never an arm, for users who have no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignCookie {
    /// Its name, a token (RFC 6265 section 4.1.1).
    pub name: String,
    /// How long browsers keep it, in seconds.
    pub max_age_s: u64,
    /// The domain that shares it; `None`: the host that was asked.
    pub domain: Option<String>,
    /// The path below which it is sent, usually `/`.
    pub path: String,
    /// Whether it travels over TLS only.
    pub secure: bool,
    /// Whether it travels with requests that come from other sites.
    pub same_site: SameSite,
}

impl AssignCookie {
    /// The value of the `Set-Cookie` field that stores `key` (RFC 6265 section 4.1.1), out of reach for scripts.
    #[must_use]
    pub fn render(&self, key: &str) -> String {
        let mut cookie = format!("{}={key}; Path={}; Max-Age={}", self.name, self.path, self.max_age_s);
        if let Some(domain) = &self.domain {
            cookie.push_str("; Domain=");
            cookie.push_str(domain);
        }
        // Browsers drop a cookie for all sites that is not `Secure`.
        if self.secure || self.same_site == SameSite::None {
            cookie.push_str("; Secure");
        }
        cookie.push_str("; HttpOnly; SameSite=");
        cookie.push_str(self.same_site.as_str());
        cookie
    }

    /// Whether this key source reads this cookie.
    pub(crate) fn is_source(&self, source: &KeySource) -> bool {
        matches!(source, KeySource::Cookie(name) if *name == self.name)
    }
}

/// The `SameSite` attribute of a cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SameSite {
    /// Also when a user follows a link from elsewhere.
    #[default]
    Lax,
    /// Only from the site itself.
    Strict,
    /// Always; implies `Secure`.
    None,
}

impl SameSite {
    /// Every value.
    pub const ALL: [SameSite; 3] = [SameSite::Lax, SameSite::Strict, SameSite::None];

    /// The word in the field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            SameSite::Lax => "Lax",
            SameSite::Strict => "Strict",
            SameSite::None => "None",
        }
    }
}

/// A migration's key sources with its cookie in place: where `keys` names that cookie, else right before the first
/// `request-id` (which is always present, so that nothing behind it is ever reached), else last.
#[must_use]
pub fn key_list(mut keys: Vec<KeySource>, assign_cookie: Option<&AssignCookie>) -> Vec<KeySource> {
    if let Some(cookie) = assign_cookie
        && !keys.iter().any(|key| cookie.is_source(key))
    {
        let place = keys.iter().position(|key| !key.is_sticky()).unwrap_or(keys.len());
        keys.insert(place, KeySource::Cookie(cookie.name.clone()));
    }
    keys
}

/// Whose `X-Request-Id` is taken over; all others get a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RequestIdTrust {
    /// Everybody's.
    #[default]
    Everyone,
    /// Only that of peers among [`Snapshot::trusted_proxies`].
    TrustedProxies,
    /// Nobody's.
    Nobody,
}

/// Whether one of the networks holds the address; IPv4 mapped into IPv6 counts as IPv4.
pub(crate) fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Compares in a time that depends on the lengths only, so that nobody can guess a secret byte by byte.
fn is_same_secret(secret: &[u8], given: &[u8]) -> bool {
    let padded = given.iter().copied().chain(std::iter::repeat(0));
    let difference =
        secret.iter().zip(padded).fold(0, |all, (ours, theirs)| black_box(all | (ours ^ theirs)));
    difference == 0 && secret.len() == given.len()
}

#[cfg(test)]
mod tests;
