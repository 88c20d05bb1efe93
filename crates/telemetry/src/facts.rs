//! What the controller leaves for the next scrape: facts that change seldom, as one value.

use route_plan::Phase;
use traffic_split::Percent;

/// The controller's state as far as it is exposed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ControlFacts {
    /// The generation of the configuration in force; 0 before the first.
    pub generation: u64,
    /// Whether the last attempt to read the configuration was applied.
    pub last_reload_successful: bool,
    /// When a configuration was last applied, in seconds since 1970.
    pub last_reload_success_unix_s: f64,
    /// Attempts to read the configuration since the start.
    pub reloads: ReloadCounts,
    /// How many addresses are listened on.
    pub listeners: usize,
    /// Whether the process is draining.
    pub draining: bool,
    /// Whether the journal can be written; `None` without one.
    pub journal_healthy: Option<bool>,
    /// The migrations in force, in the order of the file.
    pub migrations: Vec<MigrationFacts>,
}

/// Attempts to read the configuration, by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReloadCounts {
    /// Applied.
    pub applied: u64,
    /// Refused as a whole; the running configuration stayed.
    pub refused: u64,
    /// The content was that of the running configuration.
    pub unchanged: u64,
}

/// One migration's intent and effect.
#[derive(Clone, Debug, PartialEq)]
pub struct MigrationFacts {
    /// The migration's name.
    pub name: String,
    /// The percent asked for last.
    pub asked: Percent,
    /// The percent that the split works with.
    pub in_force: Percent,
    /// The share of `new` in per cent among the latest requests that the bucket decided; `None` without such.
    pub measured: Option<f64>,
    /// Its phase.
    pub phase: Phase,
    /// Whether a rollback caps its percent.
    pub latched: bool,
    /// What its guard says; `None` where it has none.
    pub verdict: Option<&'static str>,
    /// How its shadow is; `None` where it has none.
    pub shadow: Option<ShadowFacts>,
    /// The natural logarithm of its evidence that new is worse; `None` where it has none to judge by.
    pub ln_evidence: Option<f64>,
    /// How far its ramp is; `None` where it has none.
    pub ramp: Option<RampFacts>,
    /// Rollbacks since the start, by cause.
    pub rollbacks: Vec<(&'static str, u64)>,
    /// Answers of the hooks of its ramp since the start.
    pub hooks: Vec<HookFacts>,
}

/// Answers of one kind of hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookFacts {
    /// The hook's key in the file.
    pub hook: &'static str,
    /// Those that said yes.
    pub yes: u64,
    /// Those that said no, or nothing that was understood.
    pub no: u64,
}

/// How a shadow is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShadowFacts {
    /// Requests are copied.
    pub on: bool,
    /// The share of comparisons that match, 0 to 1; `None` without any.
    pub match_rate: Option<f64>,
    /// What that is at least.
    pub match_rate_at_least: f64,
}

/// How far a ramp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RampFacts {
    /// The present step, from 1; 0: before the first.
    pub step: usize,
    /// How many there are.
    pub steps: usize,
    /// Whether it does not move until somebody resumes.
    pub paused: bool,
}

/// One address of an upstream, as health checks find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointFacts {
    /// The upstream's name.
    pub upstream: String,
    /// The address; before its name has been resolved, the name and port.
    pub endpoint: String,
    /// Whether it is healthy.
    pub healthy: bool,
}
