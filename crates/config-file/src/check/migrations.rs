//! One migration.

use ramp::calendar::Calendar;
use route_plan::{Phase, Rules};
use traffic_split::{Arm, Percent};

use super::{
    compare, cookie, fallback, force, guard, header_name, heads, keys, overrides, policy, shadow, timeouts,
    upstreams,
};
use crate::Files;
use crate::checked::MigrationConfig;
use crate::diagnostic::{Diagnostic, Sink};
use crate::written::{Said, Table};

pub(super) fn migration(
    name: &Said<String>,
    table: &Table,
    root: &Table,
    calendar: Option<&Calendar>,
    files: &dyn Files,
    sink: &mut Sink,
) -> Option<MigrationConfig> {
    let old = upstreams::reference(table, "old", root, sink);
    let new = upstreams::reference(table, "new", root, sink);
    different_upstreams(table, sink);
    let phase = table.text("phase").and_then(|said| said.value.parse::<Phase>().ok());
    phase_and_percent(table, phase, sink);
    let listed = keys::sources(table, sink);
    let assign_cookie = table.table("assign_cookie").map(|table| cookie::assign_cookie(table, sink));
    keys::stickiness(table, &listed, assign_cookie.as_ref().and_then(Option::as_ref), sink);
    let overrides =
        table.table("override").map(|table| overrides::overrides(table, files, sink)).unwrap_or_default();
    let force = table.table("force").map(|table| force::force(table, sink));
    let timeouts = table.table("timeouts").and_then(|table| timeouts::timeouts(table, sink));
    let total = table.table("timeouts").and_then(|table| table.millis("total"));
    let fallback = table.table("fallback").map(|table| fallback::fallback(table, total, sink));
    let shadow = shadow::shadow(table, sink);
    shadow::executes_twice(table, phase, shadow.as_ref(), sink);
    shadow::no_copies(table, phase, sink);
    shadow::needs_shadow(table, phase, sink);
    shadow::ramp_first(&name.value, table, phase, sink);
    let compare = compare::compare(table, sink);
    let is_compared = shadow::is_written(table);
    let guard = table.table("guard").map(|table| guard::guard(table, is_compared, sink));
    guard::unguarded(table, phase, sink);
    let policy = policy::policy(name, table, root, calendar, sink);
    policy::of_no_use(&name.value, table, phase, policy.as_ref(), sink);
    let rules = table.table("rules").and_then(|table| rules(table, sink));
    let expose_arm = table.text("expose_arm").map(|said| header_name(&said, sink));
    Some(MigrationConfig {
        name: name.value.clone(),
        old: old?,
        new: new?,
        phase,
        percent: table.share("percent")?.value,
        attempt: table.count("attempt")?.value,
        salt: table.text("salt").map_or_else(|| name.value.clone(), |salt| salt.value.to_owned()),
        listed_keys: listed.into_iter().map(|said| said.value).collect(),
        overrides,
        force: force.unwrap_or_default(),
        assign_cookie: assign_cookie.unwrap_or_default(),
        timeouts: timeouts?,
        // A day at most.
        drain_after_rollback_ms: table.millis("drain_after_rollback")?.value.try_into().unwrap_or(u32::MAX),
        fallback: fallback.unwrap_or_default(),
        shadow,
        compare: compare?,
        guard: guard.unwrap_or_default(),
        policy: policy?,
        rules: rules?,
        expose_arm: expose_arm.unwrap_or_default(),
        reshuffle: table.flag("reshuffle")?,
    })
}

/// The changes to each arm's heads, by [`traffic_split::Arm::index`].
fn rules(table: &Table, sink: &mut Sink) -> Option<[Rules; 2]> {
    let mut arm = |arm: Arm| table.table(arm.as_str()).and_then(|table| heads::rules(table, sink));
    let [old, new] = Arm::ALL.map(&mut arm);
    Some([old?, new?])
}

fn different_upstreams(table: &Table, sink: &mut Sink) {
    let (Some(old), Some(new)) = (table.text("old"), table.text("new")) else { return };
    if old.value == new.value {
        let message = format!("`{}` cannot be replaced by itself", old.value);
        let diagnostic = Diagnostic::error("same-upstream", &new.spot, message);
        sink.push(diagnostic.expected("another upstream than `old`").label(old.span(), "also the old one"));
    }
}

/// Warns where phase and percentage say different things. The phase wins.
fn phase_and_percent(table: &Table, phase: Option<Phase>, sink: &mut Sink) {
    let (Some(phase), Some(said)) = (phase, table.text("phase")) else { return };
    let Some(percent) = table.share("percent").filter(|_| table.wrote("percent")) else { return };
    let in_force = phase.in_force(percent.value);
    if in_force != percent.value {
        let who = if in_force == Percent::ZERO { "all users to old" } else { "all users to new" };
        let message = format!("{} % is not applied: phase `{phase}` sends {who}", percent.value);
        let diagnostic = Diagnostic::warning("percent-not-applied", &percent.spot, message);
        sink.push(
            diagnostic
                .label(said.span(), "the phase decides")
                .help("the percentage counts in phase `canary`"),
        );
    }
}
