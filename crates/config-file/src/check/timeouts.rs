//! How long things may take.

use std::num::NonZeroU32;

use route_plan::Timeouts;

use super::whole;
use crate::diagnostic::{Diagnostic, Sink};
use crate::scalar::show_duration;
use crate::written::Table;

/// The time-outs of a migration or a route.
pub(super) fn timeouts(table: &Table, sink: &mut Sink) -> Option<Timeouts> {
    let total = table.millis("total");
    if let Some(total) = &total {
        for name in ["connect", "first_byte", "idle", "fail_after"] {
            let Some(part) = table.millis(name).filter(|part| table.wrote(name) && part.value > total.value)
            else {
                continue;
            };
            let message =
                format!("`{name}` is never reached: the request ends after {}", show_duration(total.value));
            let diagnostic = Diagnostic::warning("timeout-order", &part.spot, message);
            sink.push(diagnostic.label(total.span(), "the limit for all of it"));
        }
    }
    Some(Timeouts {
        connect_ms: whole(&table.millis("connect")?),
        first_byte_ms: whole(&table.millis("first_byte")?),
        idle_ms: whole(&table.millis("idle")?),
        total_ms: total.and_then(|total| NonZeroU32::new(whole(&total))),
        fail_after_ms: table.millis("fail_after").and_then(|said| NonZeroU32::new(whole(&said))),
        tunnel_idle_ms: whole(&table.millis("tunnel_idle")?),
    })
}
