//! When an upstream's endpoints count as healthy, and what happens to requests that they fail.

use route_plan::{Ejection, HealthCheck, Probe, Retry};

use super::{host, whole};
use crate::diagnostic::{Diagnostic, Sink};
use crate::scalar::show_duration;
use crate::written::{Said, Table};

/// The upstream's health check; `None` also when a part of it is wrong.
pub(super) fn health(table: &Table, sink: &mut Sink) -> Option<HealthCheck> {
    let (interval, timeout) = (table.millis("interval"), table.millis("timeout"));
    if let (Some(interval), Some(timeout)) = (&interval, &timeout)
        && timeout.value > interval.value
    {
        let spot = if table.wrote("timeout") { &timeout.spot } else { &interval.spot };
        let message = format!(
            "an answer may take {}, but the next question is due after {}",
            show_duration(timeout.value),
            show_duration(interval.value)
        );
        let diagnostic = Diagnostic::warning("health-order", spot, message);
        sink.push(diagnostic.help("set `timeout` to no more than `interval`"));
    }
    Some(HealthCheck {
        probe: probe(table, sink)?,
        interval_ms: interval?.value,
        timeout_ms: timeout?.value,
        unhealthy_after: whole(&table.count("unhealthy_after")?),
        healthy_after: whole(&table.count("healthy_after")?),
    })
}

fn probe(table: &Table, sink: &mut Sink) -> Option<Probe> {
    let tcp = table.key("tcp").filter(|_| table.flag("tcp") == Some(true));
    let path = table.text("path");
    let Some(tcp) = tcp else {
        // What was written but wrong, or misspelt, has been reported already.
        let is_reported = table.wrote("path")
            || table.wrote("tcp") && table.flag("tcp").is_none()
            || sink.has_unknown_key_in(&table.spot);
        if !is_reported {
            let message = format!("`{}` does not say what is asked", table.spot.path);
            let diagnostic = Diagnostic::error("bad-probe", &table.spot, message);
            sink.push(
                diagnostic
                    .expected("`path` or `tcp = true`")
                    .help("write `path = \"/healthz\"`, or `tcp = true` where a connection is enough"),
            );
        }
        let host = table.text("host").map(|said| host(&said, sink));
        let path = path.filter(|path| is_target(path, sink))?.value.to_owned();
        return Some(Probe::Http { path, host: host.unwrap_or_default() });
    };
    for (name, expected) in [("path", "either `path` or `tcp = true`"), ("host", "`host` only beside `path`")]
    {
        let Some(key) = table.key(name) else { continue };
        let spot = table.spot.child(name, key);
        let message = format!("`{name}` is never used: `tcp = true` only makes a connection");
        let diagnostic = Diagnostic::error("bad-probe", &spot, message);
        sink.push(diagnostic.expected(expected).label(tcp.clone(), "asks nothing further"));
    }
    Some(Probe::Tcp)
}

/// Whether it can stand in a request line as it is.
fn is_target(said: &Said<&str>, sink: &mut Sink) -> bool {
    let text = said.value;
    let odd = text.chars().find(|letter| !letter.is_ascii_graphic() || *letter == '#');
    let (message, help) = match odd {
        _ if !text.starts_with('/') => {
            (format!("`{text}` does not begin with `/`"), Some(format!("write \"/{text}\"")))
        }
        Some(odd) => (format!("`{text}` cannot be asked for: it holds {odd:?}"), None),
        None => return true,
    };
    let diagnostic = Diagnostic::error("bad-path", &said.spot, message);
    sink.push(diagnostic.expected("a path such as \"/healthz\", also with a query").maybe_help(help));
    false
}

/// When the upstream's endpoints are left out for a while; `None`: never.
pub(super) fn ejection(upstream: &Table, sink: &mut Sink) -> Option<Ejection> {
    let table = upstream.table("eject")?;
    let max_percent = whole_percent(table, "max_share", sink);
    let (time, max_time) = (table.millis("time")?, table.millis("max_time")?);
    if max_time.value < time.value {
        let message = format!(
            "the longest ejection, {}, is shorter than the first one, {}",
            show_duration(max_time.value),
            show_duration(time.value)
        );
        // Both defaults fit, so that at least one of the two was written.
        let spot = if table.wrote("max_time") { &max_time.spot } else { &time.spot };
        let diagnostic = Diagnostic::error("limit-order", spot, message);
        let diagnostic = diagnostic.expected("`max_time` to be no shorter than `time`");
        sink.push(if table.wrote("max_time") && table.wrote("time") {
            diagnostic.label(time.span(), "the first one")
        } else {
            diagnostic.help("set both `time` and `max_time`")
        });
    }
    Some(Ejection {
        failures: whole(&table.count("failures")?),
        time_ms: time.value,
        max_time_ms: max_time.value,
        max_percent: max_percent?,
        slow_start_ms: table.millis("slow_start")?.value,
    })
}

/// When requests to the upstream are tried again.
pub(super) fn retry(upstream: &Table, sink: &mut Sink) -> Option<Retry> {
    let Some(table) = upstream.table("retry") else { return Some(Retry { attempts: 0, ..Retry::default() }) };
    let budget_percent = whole_percent(table, "budget", sink);
    Some(Retry {
        attempts: whole(&table.count("attempts")?),
        budget_percent: budget_percent?,
        budget_min: whole(&table.count("budget_min")?),
        safe_methods: table.flag("safe_methods")?,
    })
}

fn whole_percent(table: &Table, name: &str, sink: &mut Sink) -> Option<u8> {
    let said = table.share(name)?;
    let (percent, rest) = (said.value.millionths() / ONE_PERCENT, said.value.millionths() % ONE_PERCENT);
    if rest != 0 {
        let message = format!("`{}` % is not a whole number of per cent", said.value);
        let diagnostic = Diagnostic::error("bad-share", &said.spot, message);
        let expected = "a whole number of per cent from 0 to 100";
        sink.push(diagnostic.expected(expected).help(format!("write \"{}%\"", percent.max(1))));
    }
    u8::try_from(percent).ok()
}

/// One per cent, in the millionths that shares are counted in.
const ONE_PERCENT: u32 = 1_000_000;
