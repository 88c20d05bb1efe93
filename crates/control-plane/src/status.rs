//! What runs, as one value for everybody who asks.

use std::time::{Duration, SystemTime};

use ramp::{Cause, HookKind, Origin, Pause};
use rollback_guard::{MatchRate, Verdict};
use route_plan::Phase;
use telemetry::{ComparisonTotals, ReloadCounts};
use traffic_split::Percent;

use crate::Bound;

/// The state of the process, renewed after every event and every second.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Version of the program.
    pub version: &'static str,
    /// When the controller started.
    pub started_at: SystemTime,
    /// How long ago that was, by a clock that does not jump.
    pub uptime: Duration,
    /// Number of the snapshot in force, counted from 1.
    pub generation: u64,
    /// The configuration file.
    pub config_path: String,
    /// How reading it went.
    pub reload: ReloadStatus,
    /// The open listeners.
    pub listeners: Vec<Bound>,
    /// Worker threads.
    pub workers: usize,
    /// Client connections open now.
    pub connections_open: u64,
    /// Whether the process is about to end.
    pub draining: bool,
    /// How long requests may finish then.
    pub drain_timeout: Duration,
    /// What outlives a restart.
    pub state: StateStatus,
    /// The migrations, in the order of the file.
    pub migrations: Vec<MigrationStatus>,
}

impl Status {
    /// Whether clients can be sent here: configured, listening, not about to end.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.generation > 0 && !self.listeners.is_empty() && !self.draining
    }

    /// The migration of this name.
    #[must_use]
    pub fn migration(&self, name: &str) -> Option<&MigrationStatus> {
        self.migrations.iter().find(|migration| migration.name == name)
    }
}

/// What outlives a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateStatus {
    /// The directory of the journal; `None`: state lives in memory.
    pub dir: Option<String>,
    /// Why the journal cannot be written, if so.
    pub problem: Option<String>,
    /// Lines that wait until it can be.
    pub unwritten: usize,
}

impl StateStatus {
    /// Whether what is told of outlives a restart.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.dir.is_some() && self.problem.is_none()
    }

    /// How that is, as a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        match (&self.dir, &self.problem) {
            (None, _) => {
                "memory only: after a restart the file's percent and phase are in force again".to_owned()
            }
            (Some(dir), None) => format!("the journal in {dir} has it all"),
            (Some(dir), Some(problem)) => format!(
                "ALERT: the journal in {dir} cannot be written: {problem}; rollbacks take effect, nothing goes forward; \
                 {} lines wait",
                self.unwritten
            ),
        }
    }
}

/// How reading the configuration went.
#[derive(Clone, Debug, PartialEq)]
pub struct ReloadStatus {
    /// Whether the last reading was applied.
    pub last_successful: bool,
    /// When a configuration was last applied.
    pub last_applied_at: SystemTime,
    /// Why the last reading was refused, if it was.
    pub last_error: Option<String>,
    /// Readings since the start.
    pub counts: ReloadCounts,
    /// What the file says and only a restart brings about.
    pub needs_restart: Vec<String>,
    /// What a person should look at in the file that runs.
    pub warnings: Vec<String>,
}

/// What the guard says of new.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardStatus {
    /// The verdict.
    pub verdict: Verdict,
    /// The natural logarithm of the evidence that new is worse: it begins with that of the stake, far below 0, and at 0
    /// users go back, for slowness once that has lasted. `None` where there is nothing to judge by.
    pub ln_evidence: Option<f64>,
    /// The verdict and what it rests on, as a sentence.
    pub sentence: String,
    /// It only says what it would do.
    pub dry_run: bool,
}

/// Whether requests are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowState {
    /// They are.
    On,
    /// Not until somebody switches it on.
    Off,
    /// Not in this phase.
    Idle,
}

impl ShadowState {
    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ShadowState::On => "on",
            ShadowState::Off => "off",
            ShadowState::Idle => "idle",
        }
    }
}

/// A migration's shadow.
#[derive(Clone, Debug, PartialEq)]
pub struct ShadowStatus {
    /// Whether requests are copied.
    pub state: ShadowState,
    /// The same with why, as a sentence.
    pub sentence: String,
    /// Who switched it off, when and why.
    pub by: Option<LastChange>,
    /// Copied requests a second with both answers, over the last minute; `None` before that is known.
    pub pairs_per_s: Option<f64>,
    /// What comparing came to since the start of the process.
    pub comparisons: ComparisonTotals,
    /// How often the answers match since comparisons began to count anew, noise and races left out: by the counts of the
    /// gate of phase shadow, where mismatches are limited.
    pub match_rate: MatchRate,
    /// Whether that is by the counts of the gate, which outlive a restart.
    pub is_by_gate: bool,
    /// What is shown of the answers of both arms, as a sentence; `None` where mismatches are not limited.
    pub matching: Option<String>,
    /// What copies say of new, where they judge it, with a sentence.
    pub verdict: Option<(Verdict, String)>,
    /// What copying does to users, as far as that is known, as a sentence.
    pub effect: Option<String>,
    /// The most frequent reasons why requests were not copied or compared, and how often, since the start of the process.
    pub drops: Vec<(&'static str, u64)>,
}

/// One migration.
#[derive(Clone, Debug, PartialEq)]
pub struct MigrationStatus {
    /// Its name.
    pub name: String,
    /// The name of the upstream that is being replaced.
    pub old: String,
    /// The name of the upstream that replaces it.
    pub new: String,
    /// Its phase.
    pub phase: Phase,
    /// Who asked for the phase.
    pub phase_from: Origin,
    /// The percent asked for last.
    pub asked: Percent,
    /// Who asked for it.
    pub asked_from: Origin,
    /// The percent that the split works with.
    pub in_force: Percent,
    /// The share of new in per cent over the latest bucketed requests, a minute at most; `None` without any.
    pub measured: Option<f64>,
    /// The mark of a rollback, if there is one.
    pub latch: Option<LatchStatus>,
    /// Rollbacks since the start, by cause.
    pub rollbacks: Vec<(Cause, u64)>,
    /// Answers of the hooks that its ramp has, since the start.
    pub hooks: Vec<HookStatus>,
    /// Why this percent is in force, as a sentence.
    pub why: String,
    /// How far the ramp is; `None` where there is none.
    pub ramp: Option<RampStatus>,
    /// Rollbacks of this attempt, across restarts.
    pub rollbacks_of_attempt: u32,
    /// What the last rollback since the start came to, as a sentence.
    pub verified: Option<String>,
    /// What the guard says; `None` where there is none.
    pub guard: Option<GuardStatus>,
    /// How its shadow is; `None` where it has none.
    pub shadow: Option<ShadowStatus>,
    /// The last change by a person since the start.
    pub last_change: Option<LastChange>,
    /// The file's attempt.
    pub attempt: u64,
    /// The salt in use.
    pub salt: String,
    /// The key list in use.
    pub keys: Vec<String>,
    /// What old did.
    pub old_arm: ArmStatus,
    /// What new did.
    pub new_arm: ArmStatus,
    /// What old answered in new's place.
    pub fallback: FallbackStatus,
    /// Requests without a key, which went to old.
    pub keyless: u64,
}

/// How often one kind of hook said yes and no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookStatus {
    /// Which.
    pub kind: HookKind,
    /// Those that said yes.
    pub yes: u64,
    /// Those that said no, or nothing that was understood.
    pub no: u64,
}

/// How far a ramp is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RampStatus {
    /// The present step, from 1; 0: before the first.
    pub step: usize,
    /// The percentages of its steps.
    pub steps: Vec<Percent>,
    /// How long the present step was served.
    pub held: Duration,
    /// How long it is to be served at least.
    pub hold: Duration,
    /// Why it does not move until somebody resumes; `None`: it does.
    pub paused: Option<Pause>,
    /// What it waits for, as a sentence.
    pub waits_for: String,
}

/// What comes when in a ramp, if nothing speaks against it and every word that is waited for is given at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Its steps.
    pub steps: Vec<PlannedStep>,
    /// The present step, from 1; 0: before the first.
    pub present: usize,
    /// A latch or a pause keeps it from moving.
    pub is_held: bool,
    /// What it waits for, as a sentence.
    pub waits_for: String,
}

/// A step to come, or one that was entered.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedStep {
    /// Which, from 1.
    pub step: usize,
    /// Its percentage.
    pub percent: Percent,
    /// That of the step before: keys whose bucket lies between the two move.
    pub from: Percent,
    /// It was entered already.
    pub is_entered: bool,
    /// When it comes at the earliest; `None`: it was entered, or the calendar does not open within its horizon.
    pub earliest: Option<jiff::Zoned>,
    /// How long it is served at least.
    pub hold: Duration,
    /// How many requests new has to have in it at least.
    pub min_requests: u64,
    /// How many requests of new its gate needs, if new is as good as old; `None`: not known yet.
    pub gate_requests: Option<u64>,
    /// How long that takes at present traffic.
    pub gate_time: Option<Duration>,
    /// A person has to say that it goes on after it.
    pub approve: bool,
    /// Going back is tried in it.
    pub drill: bool,
    /// The hooks before it.
    pub hooks: Vec<&'static str>,
}

/// The mark that a rollback left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatchStatus {
    /// What the percent is capped at.
    pub cap: Percent,
    /// Who or what asked for the rollback.
    pub cause: Cause,
    /// By whom, when and why.
    pub by: Option<LastChange>,
    /// All of it as a sentence.
    pub sentence: String,
}

/// Who changed something, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastChange {
    /// Who.
    pub who: String,
    /// The reason given.
    pub reason: Option<String>,
    /// When.
    pub at: SystemTime,
    /// What, as a sentence.
    pub what: String,
}

/// One arm: counts since the start, all roles together, and where its upstream is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArmStatus {
    /// Requests.
    pub requests: u64,
    /// Failures of the upstream.
    pub failures: u64,
    /// Requests whose client went away.
    pub client_aborts: u64,
    /// The addresses of its upstream; none before they have been looked at for the first time.
    pub endpoints: Vec<EndpointStatus>,
}

/// One address of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointStatus {
    /// The address; before its name has been resolved, the name and port.
    pub address: String,
    /// Whether its health check finds it healthy, or it has none.
    pub healthy: bool,
}

/// What became of requests that new failed, since the start. Reasons that did not occur are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FallbackStatus {
    /// Whether the migration falls back.
    pub on: bool,
    /// Requests that old answered, by what new had failed with.
    pub answered: Vec<(&'static str, u64)>,
    /// Failures that were passed on although the migration falls back, by why old was not asked.
    pub withheld: Vec<(&'static str, u64)>,
}
