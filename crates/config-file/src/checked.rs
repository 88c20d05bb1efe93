//! Checked values: every reference resolved, every value in its range.
//!
//! Nothing here is about text any more, and nothing is yet decided that may change while the proxy runs: the phase and
//! the percentage are what the file asks for. What is in force comes in when a [`Snapshot`] is made.

use std::net::SocketAddr;

use ipnet::IpNet;
use ramp::Policy;
use response_diff::{RuleSet, RuleSetSpec};
use rollback_guard::Limits;
use route_plan::{
    AnswerFailures, AssignCookie, CanaryCopies, ConnectionLimits, FallbackPolicy, ForceHeader,
    ListenerLimits, Migration, Phase, RequestIdTrust, Route, RouteEntry, RouteTable, Rules, ShadowPolicy,
    Snapshot, Timeouts, Upstream, key_list,
};
use traffic_split::{KeySource, Overrides, Percent, Split};

/// A configuration that can run.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Where clients come in. At least one.
    pub listeners: Vec<Listener>,
    /// The admin API.
    pub admin: Admin,
    /// The directory of what outlives a restart; `None`: nothing does.
    pub state_dir: Option<String>,
    /// The backend systems, in file order; migrations, routes and entries name them by index.
    pub upstreams: Vec<Upstream>,
    /// The migrations, in file order; entries name them by index.
    pub migrations: Vec<MigrationConfig>,
    /// What is served outside of any migration, in file order.
    pub routes: Vec<Route>,
    /// All rules of migrations and routes, without ties.
    pub entries: Vec<RouteEntry>,
    /// Proxies whose word about the client's address is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Crossfades in front, whose word that a request is a copy is passed on.
    pub copies_from: Vec<IpNet>,
    /// Whose request ids are taken over.
    pub request_id_trust: RequestIdTrust,
    /// What clients may use up.
    pub connection: ConnectionLimits,
    /// Worker threads; 0 means one for each core.
    pub workers: usize,
    /// How long requests under way may go on after the process was told to end, in milliseconds.
    pub drain_timeout_ms: u64,
    /// How much of one processor comparing answers may use.
    pub compare_cpu: Percent,
    /// Where a line for each request goes; `None`: nowhere.
    pub access_log: Option<AccessLog>,
    /// What is logged about the process itself.
    pub log: Log,
    /// Built once, when ties were looked for.
    pub(crate) table: RouteTable,
}

/// Where clients come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name; the address as written where none is given.
    pub name: String,
    /// Where it listens; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// What its clients may use up.
    pub limits: ListenerLimits,
}

/// The admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens. Beyond loopback there is a `token_file`.
    pub listen: SocketAddr,
    /// The file with the bearer token that clients must show.
    pub token_file: Option<String>,
    /// What that file held when the configuration was read.
    pub token: Option<Secret>,
    /// Where metrics and health are answered without a token.
    pub probe_listen: Option<SocketAddr>,
}

/// A migration as the file asks for it.
#[derive(Clone, Debug)]
pub struct MigrationConfig {
    /// Its name: 1 to 63 of `a-z`, `0-9`, `-`, `_` and `.`.
    pub name: String,
    /// Index of the upstream that is being replaced.
    pub old: usize,
    /// Index of the upstream that replaces it; not the same.
    pub new: usize,
    /// The phase as written; see [`MigrationConfig::asked_phase`].
    pub phase: Option<Phase>,
    /// The percentage as written, 0 where it is not.
    pub percent: Percent,
    /// Counts fresh starts after a rollback, from 1.
    pub attempt: u64,
    /// Hashed with each key; the migration's name where none is written.
    pub salt: String,
    /// Where keys are looked for, as listed: without the place of the assigned cookie, see [`MigrationConfig::keys`].
    pub listed_keys: Vec<KeySource>,
    /// Keys that always go to one arm; no key is in both lists.
    pub overrides: Overrides,
    /// How testers choose an arm, if they may.
    pub force: Option<ForceHeader>,
    /// The cookie that gives anonymous users a key, if one is wanted.
    pub assign_cookie: Option<AssignCookie>,
    /// How long either upstream may take.
    pub timeouts: Timeouts,
    /// How long tunnels and streams on new may go on when their users are back on old, in milliseconds.
    pub drain_after_rollback_ms: u32,
    /// When old answers what new has failed; `None`: never.
    pub fallback: Option<FallbackPolicy>,
    /// What the copies to the other arm go by; `None`: there are none ever.
    pub shadow: Option<ShadowConfig>,
    /// By what its answers are compared.
    pub compare: CompareConfig,
    /// By what new is judged; `None`: by nobody.
    pub guard: Option<GuardConfig>,
    /// What its way forward and back goes by.
    pub policy: Policy,
    /// What is changed in the messages of each arm, by [`traffic_split::Arm::index`].
    pub rules: [Rules; 2],
    /// The response header that tells the client the arm, in lower case.
    pub expose_arm: Option<String>,
    /// Whether this file may move users between the arms by another key or salt.
    pub reshuffle: bool,
}

/// By what the answers of a migration's arms are compared.
#[derive(Clone, Debug)]
pub struct CompareConfig {
    /// Which differences count, `ignore` of the shadow included.
    pub rules: RuleSet,
    /// The same as written: what was compared by other rules says nothing of these.
    pub written: RuleSetSpec,
    /// How much of a body is kept to be compared.
    pub capture_bytes: usize,
    /// What one comparison may cost.
    pub limits: response_diff::Limits,
}

/// By what new is judged against old.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuardConfig {
    /// What is tolerated.
    pub limits: Limits,
    /// Which answers are failures, of either arm.
    pub failures: AnswerFailures,
    /// Where a single difference between answers takes users back: JSONPaths, `header:NAME`, `trailer:NAME`.
    pub zero_tolerance: Vec<String>,
    /// The guard says what it would do, and does nothing.
    pub dry_run: bool,
}

/// What the copies of a migration's requests go by.
#[derive(Clone, Debug)]
pub struct ShadowConfig {
    /// Which requests are copied, and how.
    pub policy: ShadowPolicy,
    /// Whether the file has a shadow for this migration. Else only phase `shadow` makes copies, by the defaults.
    pub is_written: bool,
    /// How many times as long served requests take with a copy for the shadow to be switched off; `None`: it never is.
    pub max_effect: Option<f64>,
    /// What may differ between answers: JSONPaths, `header:NAME`, `trailer:NAME`.
    pub ignore: Vec<String>,
    /// What is neither stored nor logged of answers, beside credentials and cookies; written likewise.
    pub redact: Vec<String>,
}

impl Default for ShadowConfig {
    fn default() -> Self {
        let holdout = Percent::from_millionths(2_000_000).unwrap_or(Percent::ZERO);
        ShadowConfig {
            policy: ShadowPolicy { holdout, ..ShadowPolicy::default() },
            is_written: false,
            max_effect: Some(1.2),
            ignore: Vec::new(),
            redact: Vec::new(),
        }
    }
}

impl ShadowConfig {
    /// Whether requests are copied in this phase, of users of either arm.
    #[must_use]
    pub fn copies_in(&self, phase: Phase) -> bool {
        match phase {
            Phase::Preparation | Phase::Cleanup => false,
            Phase::Shadow => true,
            Phase::Canary => self.is_written && self.policy.canary != CanaryCopies::None,
            Phase::Full => self.is_written,
        }
    }
}

/// A text that no message shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    pub(crate) fn new(text: &str) -> Self {
        Secret(text.into())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Where a line for each request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(String),
}

/// The log of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least important events that are logged.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
}

/// How important an event must be to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something needs attention.
    Warn,
    /// Something happened.
    Info,
    /// What developers want to know.
    Debug,
    /// All of it.
    Trace,
}

impl LogLevel {
    /// Every level, the most important first.
    pub const ALL: [LogLevel; 5] =
        [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];

    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is in force for one migration at the moment a snapshot is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The percentage last asked for, by whomever.
    pub asked: Percent,
    /// The phase the migration is in; it may overrule the percentage.
    pub phase: Phase,
    /// What a rollback caps the percentage at, whatever is asked for; 100 without one.
    pub cap: Percent,
    /// The shadow is switched off.
    pub shadow_off: bool,
}

impl Checked {
    /// The table of all rules.
    #[must_use]
    pub fn table(&self) -> RouteTable {
        self.table.clone()
    }

    /// The immutable value that workers run on.
    ///
    /// `in_force` says for each migration, by name, where it stands; [`MigrationConfig::standing`] is what the file
    /// itself asks for. The lineage of each is its place in the file, which tells nothing of the files before.
    #[must_use]
    pub fn snapshot(&self, generation: u64, in_force: &dyn Fn(&str) -> Standing) -> Snapshot {
        Snapshot {
            generation,
            table: self.table(),
            migrations: self
                .migrations
                .iter()
                .zip(0..)
                .map(|(migration, index)| migration.at(in_force(&migration.name), index))
                .collect(),
            routes: self.routes.clone(),
            upstreams: self.upstreams.clone(),
            entry_labels: self.entries.iter().map(|entry| entry.label.clone()).collect(),
            trusted_proxies: self.trusted_proxies.clone(),
            copies_from: self.copies_from.clone(),
            request_id_trust: self.request_id_trust,
            connection: self.connection,
            listeners: self
                .listeners
                .iter()
                .filter(|listener| listener.limits != ListenerLimits::default())
                .map(|listener| (listener.listen, listener.limits))
                .collect(),
        }
    }

    /// The migration of this name.
    #[must_use]
    pub fn migration(&self, name: &str) -> Option<&MigrationConfig> {
        self.migrations.iter().find(|migration| migration.name == name)
    }
}

impl MigrationConfig {
    /// The phase as written; where it is not, `canary` when the percentage is above 0, else `preparation`.
    #[must_use]
    pub fn asked_phase(&self) -> Phase {
        let implied = if self.percent > Percent::ZERO { Phase::Canary } else { Phase::Preparation };
        self.phase.unwrap_or(implied)
    }

    /// What its answers are compared by, as a text that is another one where what was compared before says nothing any
    /// more: by other rules, or in another attempt.
    #[must_use]
    pub fn compares_by(&self) -> String {
        let CompareConfig { written, limits, .. } = &self.compare;
        format!("{written:?} {limits:?} {}", self.attempt)
    }

    /// What the file asks for.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing { asked: self.percent, phase: self.asked_phase(), cap: Percent::FULL, shadow_off: false }
    }

    /// Where keys are looked for, the assigned cookie at its place among them.
    #[must_use]
    pub fn keys(&self) -> Vec<KeySource> {
        key_list(self.listed_keys.clone(), self.assign_cookie.as_ref())
    }

    /// Which requests are copied where it stands like this. A shadow that is switched off stays known, so that what is not
    /// copied for that is counted.
    fn copies_at(&self, standing: Standing) -> Option<Box<ShadowPolicy>> {
        let shadow = self.shadow.as_ref().filter(|shadow| shadow.copies_in(standing.phase))?;
        // The schema keeps it far below.
        let capture_bytes = u32::try_from(self.compare.capture_bytes).unwrap_or(u32::MAX);
        Some(Box::new(ShadowPolicy { off: standing.shadow_off, capture_bytes, ..shadow.policy.clone() }))
    }

    fn at(&self, standing: Standing, lineage: u64) -> Migration {
        Migration {
            name: self.name.clone(),
            lineage,
            old: self.old,
            new: self.new,
            phase: standing.phase,
            split: Split {
                salt: self.salt.clone().into_bytes().into_boxed_slice(),
                keys: self.keys(),
                percent: standing.phase.in_force(standing.asked).min(standing.cap),
                overrides: self.overrides.clone(),
            },
            asked: standing.asked,
            force: self.force.clone(),
            assign_cookie: self.assign_cookie.clone(),
            timeouts: self.timeouts,
            drain_after_rollback_ms: self.drain_after_rollback_ms,
            fallback: self.fallback.clone(),
            shadow: self.copies_at(standing),
            failures: self.guard.as_ref().map(|guard| guard.failures.clone()).unwrap_or_default(),
            rules: self.rules.clone(),
            expose_arm: self.expose_arm.clone(),
        }
    }
}
