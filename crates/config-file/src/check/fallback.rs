//! When old answers what new has failed.

use route_plan::{FallbackPolicy, Statuses};

use super::{rules, whole};
use crate::diagnostic::{Diagnostic, Sink};
use crate::scalar::show_duration;
use crate::written::{Said, Table};

/// The policy of a migration's `fallback` table. `total` is the limit for the whole request, if there is one.
pub(super) fn fallback(table: &Table, total: Option<Said<u64>>, sink: &mut Sink) -> Option<FallbackPolicy> {
    if let (Some(after), Some(total)) = (table.millis("after"), total)
        && after.value >= total.value
    {
        let message = format!(
            "a fallback after {} is never reached: the request ends after {}",
            show_duration(after.value),
            show_duration(total.value)
        );
        let diagnostic = Diagnostic::warning("timeout-order", &after.spot, message);
        sink.push(
            diagnostic
                .label(total.span(), "the limit for all of it")
                .help("leave `old` time to answer: set `after` well below `timeouts.total`"),
        );
    }
    let listed = rules::listed(table, "replay", sink);
    if let Some(key) = table.key("replay").filter(|_| !table.tables("replay").is_empty()) {
        let message = "what `replay` lists may be carried out twice: by `new`, and again by `old`";
        let spot = table.spot.child("replay", key);
        sink.push(
            Diagnostic::warning("replay-executes-twice", &spot, message)
                .help("list only requests that do no harm when they are repeated"),
        );
    }
    let statuses: Vec<u16> =
        table.counts("statuses").iter().filter_map(|said| u16::try_from(said.value).ok()).collect();
    Some(FallbackPolicy {
        after_ms: whole(&table.millis("after")?),
        statuses: Statuses::of(&statuses),
        listed: listed?,
        body_bytes: whole(&table.bytes("body_bytes")?),
        concurrency: whole(&table.count("concurrency")?),
    })
}
