//! The shadow of one migration, watched: what copying does to users, and what copies say of new.
//!
//! Two guards beside the one that judges new. One holds served requests that were to be copied against those that chance
//! held out from it: when users wait or fail for the copies, the shadow is switched off. The other one holds copies
//! against the served attempts of the same requests: it judges new where there is nobody to compare it with, before
//! anybody is on new and when everybody is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use config_file::{GuardConfig, MigrationConfig, ShadowConfig};
use ramp::Intent;
use rollback_guard::{
    Breach, ClientErrors, Guard, GuardState, LatencyLimit, Limits, Margin, MismatchLimit, Quantile,
    RateLimit, Signal, Verdict, WarmUp,
};
use route_plan::{CanaryCopies, NotCopied, Phase};
use telemetry::{ComparisonCells, ComparisonTotals, EvidenceCells, ShadowCells, ShadowTotals, Telemetry};
use traffic_split::Percent;

use crate::lookout::Lookout;

/// Less than this is no effect of copying, whatever the factor.
const LEAST_EFFECT: Duration = Duration::from_micros(200);
/// For so long what copies have shown of new before anybody is on it is told; what comes again sooner is no news.
const TOLD_FOR: Duration = Duration::from_mins(10);
/// Readings of the counts are kept for so many seconds, to tell how many copies there are in a second.
const READINGS: usize = 61;

/// Where a migration stands, as far as its shadow goes by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scene {
    pub(crate) phase: Phase,
    /// Requests are copied.
    pub(crate) copies: bool,
    /// Copies judge new: nobody is on new yet, or everybody is and old gets copies.
    pub(crate) judges: bool,
}

impl Scene {
    pub(crate) fn of(migration: &MigrationConfig, intent: &Intent) -> Self {
        let standing = intent.standing();
        let (phase, in_force) = (standing.phase, standing.in_force());
        let shadow = migration.shadow.as_ref().filter(|_| intent.shadow_off.is_none());
        let copies = shadow.is_some_and(|shadow| shadow.copies_in(phase));
        let copies_of_new = |shadow: &ShadowConfig| match phase {
            Phase::Full => true,
            Phase::Canary => shadow.policy.canary == CanaryCopies::Both,
            _ => false,
        };
        let judges = match in_force {
            Percent::FULL => shadow.is_some_and(copies_of_new),
            Percent::ZERO => phase == Phase::Shadow,
            _ => false,
        };
        Scene { phase, copies, judges: copies && judges }
    }

    /// Users could be taken back for what copies show.
    pub(crate) fn can_go_back(self) -> bool {
        self.judges && self.phase != Phase::Shadow
    }
}

/// A guard over one pair of cells.
struct Sight {
    lookout: Lookout,
    guard: Guard,
}

impl Sight {
    /// Goes on from what was kept. What would act at once does not: nobody knows what was done about it.
    fn new(cells: Arc<EvidenceCells>, limits: Limits, kept: Option<&GuardState>) -> Self {
        let guard = match kept {
            None => Guard::new(limits),
            Some(state) if state.would_roll_back() => Guard::restore(limits, &state.without_stake()),
            Some(state) => Guard::restore(limits, state),
        };
        Sight { lookout: Lookout::new(cells), guard }
    }

    fn look(&mut self, since_last: Duration) -> Option<Breach> {
        let block = self.lookout.block();
        self.guard.tick(since_last, &block);
        self.guard.breach().copied()
    }

    fn follow(&mut self, limits: &Limits) {
        if self.guard.limits() != limits {
            self.guard = Guard::restore(limits.clone(), &self.guard.state());
        }
    }
}

/// What is to be kept of a shadow's guards.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct KeptShadow {
    pub(crate) effect: Option<GuardState>,
    pub(crate) pairs: Option<GuardState>,
}

/// What a look at a shadow has found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Finding {
    /// Copies make users wait or fail, told with its numbers: to be switched off.
    Harms(String),
    /// By its copies new is worse than is tolerated, and everybody is on it.
    Breach(Breach),
    /// The same before anybody is on it, and the verdict before: to be told.
    Worse(String),
}

/// One migration's shadow, watched.
pub(crate) struct ShadowWatch {
    cells: Arc<ShadowCells>,
    comparisons: Arc<ComparisonCells>,
    /// `None`: the file wants nothing done about what copying does to users.
    effect: Option<Sight>,
    /// `None`: nothing judges new.
    pairs: Option<Sight>,
    scene: Scene,
    /// The phase in which requests were copied last, as far as this process knows.
    copied_in: Option<Phase>,
    /// What answers are compared by, as it was when comparisons began to count.
    compares_by: String,
    /// What was compared before they did.
    before: ComparisonTotals,
    /// What was found of new before anybody is on it, and how long ago.
    told: Option<(String, Duration)>,
    readings: VecDeque<u64>,
}

impl ShadowWatch {
    pub(crate) fn new(
        telemetry: &Telemetry,
        migration: &MigrationConfig,
        scene: Scene,
        kept: &KeptShadow,
    ) -> Self {
        let name = migration.name.as_str();
        let shadow = migration.shadow.as_ref();
        let effect = effect_limits(shadow)
            .map(|limits| Sight::new(telemetry.shadow_effect(name), limits, kept.effect.as_ref()));
        let pairs = migration.guard.as_ref().map(|guard| {
            Sight::new(telemetry.shadow_evidence(name), pair_limits(guard), kept.pairs.as_ref())
        });
        ShadowWatch {
            cells: telemetry.shadow(name),
            comparisons: telemetry.comparisons(name),
            effect,
            pairs,
            scene,
            copied_in: scene.copies.then_some(scene.phase),
            compares_by: migration.compares_by(),
            before: ComparisonTotals::default(),
            told: None,
            readings: VecDeque::new(),
        }
    }

    /// Goes by another configuration and state. Says whether what was compared so far says nothing any more.
    pub(crate) fn follow(
        &mut self,
        telemetry: &Telemetry,
        migration: &MigrationConfig,
        scene: Scene,
    ) -> bool {
        let name = migration.name.as_str();
        let shadow = migration.shadow.as_ref();
        match (effect_limits(shadow), &mut self.effect) {
            (Some(limits), Some(effect)) => effect.follow(&limits),
            (Some(limits), none) => *none = Some(Sight::new(telemetry.shadow_effect(name), limits, None)),
            (None, effect) => *effect = None,
        }
        match (&migration.guard, &mut self.pairs) {
            (Some(guard), Some(pairs)) => pairs.follow(&pair_limits(guard)),
            (Some(guard), none) => {
                *none = Some(Sight::new(telemetry.shadow_evidence(name), pair_limits(guard), None));
            }
            (None, pairs) => *pairs = None,
        }
        let was = std::mem::replace(&mut self.scene, scene);
        if scene.copies && !was.copies {
            // Somebody wants to see again.
            self.effect.iter_mut().for_each(|effect| effect.guard.resume());
        }
        // In another phase the copies say something else; where they were only switched off they go on.
        let is_elsewhere = self.copied_in.is_some_and(|phase| phase != scene.phase);
        let begins = scene.copies && !was.copies && is_elsewhere;
        if scene.copies {
            self.copied_in = Some(scene.phase);
        }
        if (was.judges, was.phase) != (scene.judges, scene.phase) {
            self.pairs.iter_mut().for_each(|pairs| pairs.guard.resume());
            self.told = None;
        }
        let compares_by = migration.compares_by();
        let is_other = std::mem::replace(&mut self.compares_by, compares_by.clone()) != compares_by;
        if is_other || begins {
            self.begin_anew();
        }
        is_other || begins
    }

    /// What was compared so far says nothing any more.
    pub(crate) fn begin_anew(&mut self) {
        self.before = self.comparisons.totals();
    }

    /// What was compared since that was said last.
    pub(crate) fn counted(&self) -> ComparisonTotals {
        self.comparisons.totals().since(&self.before)
    }

    /// Looks at what was counted since the last time, `since_last` ago.
    pub(crate) fn look(&mut self, since_last: Duration) -> Vec<Finding> {
        let Scene { copies, judges, .. } = self.scene;
        let mut found = Vec::new();
        if let Some(effect) = &mut self.effect {
            if copies {
                found.extend(
                    effect.look(since_last).map(|breach| Finding::Harms(harm(&effect.guard, &breach))),
                );
            } else {
                effect.lookout.skip();
            }
        }
        self.told = self.told.take().and_then(|(sentence, ago)| {
            let ago = ago.saturating_add(since_last);
            (ago < TOLD_FOR).then_some((sentence, ago))
        });
        let Some(pairs) = &mut self.pairs else { return found };
        if !judges {
            pairs.lookout.skip();
        } else if let Some(breach) = pairs.look(since_last) {
            if self.scene.can_go_back() {
                found.push(Finding::Breach(breach));
            } else {
                let sentence = pairs.guard.breach_sentence().unwrap_or_default();
                // To look further: there is nobody to take back.
                pairs.guard.resume();
                let is_news = self.told.is_none();
                self.told = Some((sentence.clone(), Duration::ZERO));
                found.extend(is_news.then_some(Finding::Worse(sentence)));
            }
        }
        found
    }

    /// Once a second.
    pub(crate) fn read(&mut self) {
        if self.readings.len() == READINGS {
            self.readings.pop_front();
        }
        self.readings.push_back(self.cells.totals().pairs);
    }

    /// Copies of which both answers were had, in a second, over the last minute; `None` before there are two readings.
    pub(crate) fn pairs_per_s(&self) -> Option<f64> {
        let (first, last) = (self.readings.front()?, self.readings.back()?);
        let seconds = self.readings.len().checked_sub(1).filter(|seconds| *seconds > 0)?;
        Some(last.saturating_sub(*first) as f64 / seconds as f64)
    }

    /// What copies say of new, where they judge it: the verdict, and a sentence about it. Before anybody is on new there
    /// is nothing worse than `degraded`.
    pub(crate) fn verdict(&self) -> Option<(Verdict, String)> {
        let pairs = self.pairs.as_ref().filter(|_| self.scene.judges)?;
        if let Some((sentence, _)) = &self.told {
            return Some((Verdict::Degraded, format!("{}; {sentence}", Verdict::Degraded)));
        }
        Some((pairs.guard.judgement().verdict, pairs.guard.explain()))
    }

    /// Why users go back for what copies show, with its numbers.
    pub(crate) fn breach_sentence(&self) -> String {
        let sentence = self.pairs.as_ref().and_then(|pairs| pairs.guard.breach_sentence());
        format!("{}, by copies of the same requests", sentence.unwrap_or_default())
    }

    /// What copying does to users, as far as that is known, as a sentence.
    pub(crate) fn effect_sentence(&self) -> Option<String> {
        let effect = self.effect.as_ref()?;
        Some(match effect.guard.judgement().verdict {
            Verdict::Healthy => "served requests are shown not to be slower for being copied".to_owned(),
            Verdict::Degraded => "served requests may be a little slower for being copied".to_owned(),
            Verdict::Breached => "served requests are slower for being copied".to_owned(),
            Verdict::Insufficient | Verdict::Unguarded => {
                "too few requests to tell whether being copied slows them down".to_owned()
            }
        })
    }

    /// Somebody lets everything go on: what spoke against it is forgotten.
    pub(crate) fn resume(&mut self) {
        for sight in self.effect.iter_mut().chain(&mut self.pairs) {
            sight.guard.resume();
        }
        self.told = None;
    }

    pub(crate) fn comparisons(&self) -> ComparisonTotals {
        self.comparisons.totals()
    }

    pub(crate) fn totals(&self) -> ShadowTotals {
        self.cells.totals()
    }

    pub(crate) fn kept(&self) -> KeptShadow {
        let state = |sight: &Option<Sight>| sight.as_ref().map(|sight| sight.guard.state());
        KeptShadow { effect: state(&self.effect), pairs: state(&self.pairs) }
    }
}

/// Why most requests are not copied: the three most frequent reasons of those that tell of trouble or of a limit.
pub(crate) fn top_drops(totals: &ShadowTotals) -> Vec<(&'static str, u64)> {
    // What is not meant to be copied is no drop.
    let is_meant = |why: &NotCopied| {
        !matches!(
            why,
            NotCopied::Phase
                | NotCopied::Percent
                | NotCopied::Method
                | NotCopied::Excepted
                | NotCopied::Holdout
        )
    };
    let counts =
        NotCopied::ALL.into_iter().filter(is_meant).map(|why| (why.as_str(), totals.dropped_for(why)));
    let mut counts: Vec<_> = counts.filter(|(_, count)| *count > 0).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(3);
    counts
}

/// What copying may do to users: served requests that were to be copied are new, those that were held out are old.
fn effect_limits(shadow: Option<&ShadowConfig>) -> Option<Limits> {
    let factor = shadow?.max_effect?;
    let limit = |quantile| LatencyLimit { quantile, over_old: Some(factor), max: None };
    Some(Limits {
        error_rate: RateLimit { max: None, ..Limits::default().error_rate },
        latency: [Quantile::P50, Quantile::P95, Quantile::P99].map(limit).to_vec(),
        latency_floor: LEAST_EFFECT,
        client_errors: ClientErrors::Ignore,
        warm_up: WarmUp::NONE,
        ..Limits::default()
    })
}

/// What is tolerated of new by its copies: as of its users, but for what needs no old to compare with.
fn pair_limits(guard: &GuardConfig) -> Limits {
    let latency = guard.limits.latency.iter();
    let latency =
        latency.filter(|limit| limit.over_old.is_some()).map(|limit| LatencyLimit { max: None, ..*limit });
    Limits {
        error_rate: RateLimit { max: None, ..guard.limits.error_rate },
        latency: latency.collect(),
        mismatches: MismatchLimit::default(),
        ..guard.limits.clone()
    }
}

/// What copies do to users, in numbers.
fn harm(guard: &Guard, breach: &Breach) -> String {
    let shown = guard.evidence().into_iter().find(|signal| signal.cause == breach.cause);
    let Some(shown) = shown else { return "served requests suffer from being copied".to_owned() };
    let counts = format!("{} of {} with a copy", shown.new_bad, shown.new);
    let others = format!("{} of {} without one", shown.old_bad, shown.old);
    match (breach.cause.signal, shown.margin) {
        (Signal::Latency(quantile), Margin::TimesOld(factor)) => format!(
            "served requests with a copy are slower: {counts} took more than {factor:.2} times the {quantile} of those \
             without, which {others} reached"
        ),
        _ => format!(
            "served requests with a copy fail more often: {counts} and {others} did, 0.5 pp more are tolerated"
        ),
    }
}

#[cfg(test)]
mod tests;
