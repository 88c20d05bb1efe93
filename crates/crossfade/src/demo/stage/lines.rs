//! What an act came to, as lines for those who see no picture.

use traffic_split::Arm;

use crate::demo::figures::Sample;
use crate::demo::ledger::Tally;
use crate::demo::story::Story;
use crate::demo::text::{grouped, milliseconds, percent};

/// What an act came to, in one line: counts since the line `before` it, times since its beginning. `compared` is what it
/// came to where it is about comparing.
pub(super) fn settled_line(
    story: &Story,
    before: &Tally,
    mark: &Sample,
    now: &Sample,
    compared: Option<String>,
) -> String {
    let happened = match compared {
        Some(compared) => compared,
        None if story.new_is_dead() => covered(mark, now),
        None => moved(before, mark, now),
    };
    let after = &now.tally;
    let of_both = match after.failures_of_both - before.failures_of_both {
        0 => String::new(),
        count => format!("; {} failed while both shops did", grouped(count)),
    };
    format!(
        "{}: {happened}; {} failed, {} flapped, {} on a wrong arm{of_both}",
        story.done(),
        grouped(after.failed_without_need() - before.failed_without_need()),
        grouped(after.flapped - before.flapped),
        grouped(after.wrong_arm - before.wrong_arm),
    )
}

/// Who answered while new was dead.
fn covered(mark: &Sample, now: &Sample) -> String {
    let fallbacks = now.fallbacks.since(&mark.fallbacks);
    let reasons: Vec<String> =
        fallbacks.reasons().iter().map(|(reason, count)| format!("{reason} {}", grouped(*count))).collect();
    let old = now.arm_since(mark, Arm::Old);
    format!(
        "{} of {} users answered by old in new's place; {} fallbacks: {}; {} withheld; old p50 {} p99 {}",
        grouped(now.tally.users_stood_in.into()),
        grouped(now.tally.seen.into()),
        grouped(fallbacks.total()),
        reasons.join(", "),
        grouped(fallbacks.withheld),
        milliseconds(old.p50),
        milliseconds(old.p99)
    )
}

/// Who moved, and where everybody is.
fn moved(before: &Tally, mark: &Sample, now: &Sample) -> String {
    let after = &now.tally;
    let arms = Arm::ALL.map(|arm| {
        let figures = now.arm_since(mark, arm);
        format!("{arm} p50 {} p99 {}", milliseconds(figures.p50), milliseconds(figures.p99))
    });
    format!(
        "{} moved to new, {} moved back; {} of {} users on new, measured {}; {}",
        grouped(after.moved_to_new - before.moved_to_new),
        grouped(after.moved_back - before.moved_back),
        // Whoever old stands in for belongs to new all the same.
        grouped((after.users[Arm::New.index()] + after.users_stood_in).into()),
        grouped(after.users.iter().copied().map(u64::from).sum()),
        percent(now.measured_since(mark)),
        arms.join(", ")
    )
}

pub(super) fn stuck_line(story: &Story, tally: &Tally, users: u32) -> String {
    format!(
        "{}: it does not settle: {} of {} users were answered, {} requests failed, {} users by old in new's place",
        story.headline(),
        grouped(tally.seen.into()),
        grouped(users.into()),
        grouped(tally.failed()),
        grouped(tally.users_stood_in.into())
    )
}
